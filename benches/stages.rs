//! CPU time of each stage of a tick, at 100, 5,000 and 20,000 tasks: `cargo bench --bench stages [-- NAME]`.
//!
//! parse: the bytes of `/proc/PID/stat` and `schedstat` of every task. sample: a sweep over an unchanging `/proc` tree of files.
//! derive: two snapshots into rates, tree and lifecycle. rows: from there to the table's lines, sorted, as a list and as a tree.
//! render: the lines on screen to a frame of 140x40.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot begin has nothing to measure")]

#[path = "../tests/support/fake_proc.rs"]
#[expect(dead_code, reason = "the trees of a benchmark are plain")]
mod fake_proc;

use std::sync::Arc;

use concmon::app::App;
use concmon::app::msg::Msg;
use concmon::app::options::Options;
use concmon::config::ColorDepth;
use concmon::derive::{Deriver, Model};
use concmon::kernel::ProcSource;
use concmon::kernel::parse::schedstat::Schedstat;
use concmon::kernel::parse::stat::Stat;
use concmon::kernel::source::{Needs, Request, Source};
use concmon::snapshot::Snapshot;
use concmon::ui;
use concmon::ui::layout::Layout;
use concmon::ui::theme::Theme;
use divan::{Bencher, black_box};
use fake_proc::{Fake, FakeProc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

const SIZES: [usize; 3] = [100, 5_000, 20_000];
const SCREEN: Rect = Rect { x: 0, y: 0, width: 140, height: 40 };

fn main() {
    divan::main();
}

/// A snapshot of `count` processes: copies of one that was read, in families of eight, every tenth of them at work.
fn snapshot(count: usize, tick: u64) -> Snapshot {
    let fake = FakeProc::new();
    fake.add(Fake::new(1).cmdline(&["/usr/bin/worker", "--serve", "127.0.0.1:8080"]).memory(20_000, 8_000));
    let mut source = ProcSource::with_system(fake.root(), fake.system()).unwrap();
    let mut snapshot = source.sample(&Request::basic(Needs::empty())).unwrap();
    let model = snapshot.processes[0].clone();
    snapshot.taken_ns += tick * 1_000_000_000;
    snapshot.processes = (0..i32::try_from(count).unwrap())
        .map(|i| {
            let mut process = model.clone();
            process.key.pid = i + 1;
            process.leader.tid = i + 1;
            process.leader.tgid = i + 1;
            process.ppid = i / 8;
            process.rss_bytes = Some(u64::from(i.unsigned_abs() % 977) * 4096);
            if i % 10 == 0 {
                process.run_ns = Some(tick * 1_000_000 * u64::from(i.unsigned_abs() % 97));
                process.utime_ns = process.run_ns;
            }
            process
        })
        .collect();
    snapshot
}

fn model(count: usize) -> Arc<Model> {
    let mut deriver = Deriver::new(0);
    deriver.step(snapshot(count, 1));
    Arc::new(deriver.step(snapshot(count, 2)))
}

fn app(count: usize, tree: bool) -> App {
    let mut app = App::new(Options { tree, ..Options::default() });
    app.update(Msg::Sample(model(count)));
    let layout = Layout::new(&app, SCREEN);
    app.page = usize::from(layout.body.height);
    app.visible_columns = layout.slots.iter().map(|s| s.column).collect();
    app.update(Msg::Resized { width: SCREEN.width, height: SCREEN.height });
    app
}

#[divan::bench(args = SIZES)]
fn parse(bencher: Bencher<'_, '_>, count: usize) {
    let stat = b"4242 (worker (1) R 2) S 1 4242 4242 0 -1 4194560 1831 0 2 0 112 37 0 0 20 0 3 0 8211312 230014976 3401 18446744073709551615 \
                 1 1 0 0 0 0 0 16781312 17642 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0";
    let schedstat = b"1490283771 22810943 9312";
    bencher.counter(count).bench(|| {
        for _ in 0..count {
            black_box(Stat::parse(black_box(stat)).unwrap());
            black_box(Schedstat::parse(black_box(schedstat)).unwrap());
        }
    });
}

#[divan::bench(args = SIZES, sample_count = 20, sample_size = 1)]
fn sample(bencher: Bencher<'_, '_>, count: usize) {
    concmon::kernel::raise_descriptor_limit();
    let fake = FakeProc::new();
    for pid in 1..=i32::try_from(count).unwrap() {
        fake.add(Fake::new(pid).ppid(pid / 8).cmdline(&["/usr/bin/worker"]));
    }
    let mut source = ProcSource::with_system(fake.root(), fake.system()).unwrap();
    let request = Request::basic(Needs::empty());
    // The first sweep reads everything; what follows is the price of a machine that sleeps.
    source.sample(&request).unwrap();
    bencher.counter(count).bench_local(|| source.sample(&request).unwrap());
}

#[divan::bench(args = SIZES)]
fn derive(bencher: Bencher<'_, '_>, count: usize) {
    let (first, second) = (snapshot(count, 1), snapshot(count, 2));
    let primed = || {
        let mut deriver = Deriver::new(0);
        deriver.step(first.clone());
        (deriver, second.clone())
    };
    bencher.counter(count).with_inputs(primed).bench_local_values(|(mut deriver, next)| deriver.step(next));
}

#[divan::bench(args = SIZES, consts = [false, true])]
fn rows<const TREE: bool>(bencher: Bencher<'_, '_>, count: usize) {
    let (mut app, model) = (app(count, TREE), model(count));
    bencher.counter(count).bench_local(|| app.update(Msg::Sample(Arc::clone(&model))));
}

#[divan::bench(args = SIZES, consts = [false, true])]
fn render<const TREE: bool>(bencher: Bencher<'_, '_>, count: usize) {
    let app = app(count, TREE);
    let theme = Theme::named("default", ColorDepth::TwoFiftySix).unwrap();
    let mut buffer = Buffer::empty(SCREEN);
    bencher.bench_local(|| ui::draw(black_box(&app), &theme, SCREEN, &mut buffer));
}
