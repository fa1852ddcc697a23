//! Frames of every screen as text, made from a fixed `/proc`: at three sizes, in two themes, and in ASCII without colour.
//!
//! After an intended change: `UPDATE_GOLDEN=1 cargo test --test pure golden`, then read the difference of the files in `tests/golden/`.
//! Below a frame are its styles, one line per row that has any: `from-to:letter` in cells; the letters are explained at the end.

use crate::support::fake_proc::{Fake, FakeProc};

mod compare_screen;
mod contents;
mod keys;
mod rows;
mod space;
mod stages;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use concmon::app::App;
use concmon::app::compare::Progressed;
use concmon::app::key::{Code, Key};
use concmon::app::layer::Layer;
use concmon::app::msg::{Effect, Msg};
use concmon::app::options::{Options, Screen};
use concmon::app::target::FrozenTarget;
use concmon::config::ColorDepth;
use concmon::derive::Deriver;
use concmon::kernel::ProcSource;
use concmon::kernel::source::{Needs, Request, Source};
use concmon::lab::launcher::LabState;
use concmon::lab::run::Memory;
use concmon::snapshot::{EventKind, ExitStatus, Identity, LifecycleEvent, Snapshot, Temperature};
use concmon::ui;
use concmon::ui::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

const SIZES: [(u16, u16); 3] = [(80, 24), (140, 40), (220, 60)];
/// When the second sample was taken, after boot.
const NOW_NS: u64 = 1_000_500_000_000;

/// A small web shop: a server with workers, a database with threads, a stopped job, a zombie, and a name made to do harm.
fn fill(proc: &FakeProc, second: bool) {
    let more = u64::from(second);
    let idle = 20_000 + 60 * more;
    proc.write(
        "stat",
        format!(
            "cpu  {} 20 300 {} 50 6 7 8 0 0\ncpu0 {} 10 150 {idle} 25 3 3 4 0 0\ncpu1 500 10 150 {} 25 3 4 4 0 0\nbtime 1700000000\n",
            1000 + 40 * more,
            idle + 20_000 + 100 * more,
            500 + 40 * more,
            20_000 + 100 * more
        ),
    );
    let sectors = 1_000 + 6_000 * more;
    proc.write(
        "diskstats",
        format!(" 8 0 sda 10 0 {sectors} 5 10 0 {} 5 0 {} 10\n 8 1 sda1 9 0 9 9 9 0 9 9 0 9 9\n", sectors * 2, 70 * more),
    );
    let bytes = format!("{} 9 0 0 0 0 0 0 {} 9 0 0 0 0 0 0", 10_000 + 250_000 * more, 5_000 + 12_000 * more);
    proc.write("net/dev", format!("Inter-| Receive | Transmit\n face |bytes |bytes\n lo: {bytes}\n eth0: {bytes}\n"));
    if second {
        proc.remove(299);
    } else {
        proc.add(Fake::new(299).ppid(300).comm("nginx").cmdline(&["nginx: worker process"]).memory(70_000, 14_000));
    }
    proc.add(Fake::new(1).ppid(0).comm("systemd").cmdline(&["/sbin/init"]).memory(22_000, 12_000));
    proc.add(Fake::new(20).kernel_thread().comm("kworker/0:1"));
    proc.add(Fake::new(300).comm("nginx").cmdline(&["nginx: master process", "/usr/sbin/nginx"]).memory(66_000, 9_000));
    for (index, pid) in (301..305).enumerate() {
        let more = more * u64::from(index == 1);
        let busy = 60 * more + 10;
        let ran = Fake::new(pid).ppid(300).comm("nginx").cmdline(&["nginx: worker process"]).memory(70_000, 14_000);
        proc.add(ran.times(busy, 5).ran(1 + more, 1_000_000 + 600_000_000 * more).state(if index == 1 { 'R' } else { 'S' }));
    }
    let database =
        Fake::new(400).comm("postgres").cmdline(&["/usr/bin/postgres", "-D", "/var/lib/postgres"]).memory(900_000, 410_000);
    proc.add(
        database.thread(401, "checkpointer", 'S', 3, 1).thread(402, "walwriter", 'D', 4, 1 + more).times(500 + 20 * more, 40),
    );
    proc.add(Fake::new(500).comm("job").cmdline(&["./job", "--forever"]).state('T').nice(10));
    proc.add(Fake::new(501).ppid(500).comm("child").zombie());
    proc.add(Fake::new(600).comm(b") R 1 (\x1b[31m").cmdline(&["evil\x1b]0;pwned\x07", "\u{202e}txt.exe", "two\nlines", "漢字"]));
}

fn sample(source: &mut ProcSource, at_ns: u64) -> Snapshot {
    let needs = Needs::all();
    let mut snapshot = source.sample(&Request::basic(needs)).unwrap();
    snapshot.taken_ns = at_ns;
    snapshot.host.uptime_ns = Some(at_ns);
    // Sensors are this machine's.
    snapshot.host.temperatures = Some(vec![Temperature { label: "core 0".into(), celsius: 52.0 }]);
    (snapshot.report.sample_cpu_ns, snapshot.report.sample_wall_ns) = (400_000, 600_000);
    for process in &mut snapshot.processes {
        process.read_after_ns = 0;
        // The user that runs the test owns the files.
        let (uid, user) = if process.key.pid < 400 { (0, "root") } else { (1000, "maria") };
        process.identity = Arc::new(Identity { uid: Some(uid), user: Some(user.into()), ..(*process.identity).clone() });
    }
    snapshot
}

fn app(options: Options) -> App {
    let mut deriver = Deriver::new(60_000_000_000);
    let mut app = App::new(options);
    for snapshot in samples() {
        app.update(Msg::Sample(Arc::new(deriver.step(snapshot.clone()))));
    }
    app
}

/// The machine at two moments, a second apart; read once, for the files of a `/proc` take longer to write than all frames to draw.
fn samples() -> &'static [Snapshot; 2] {
    static SAMPLES: OnceLock<[Snapshot; 2]> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let proc = FakeProc::new();
        fill(&proc, false);
        let mut source = ProcSource::with_system(proc.root(), proc.system()).unwrap();
        let first = sample(&mut source, NOW_NS - 1_000_000_000);
        fill(&proc, true);
        let second = Snapshot { events: events(), ..sample(&mut source, NOW_NS) };
        [first, second]
    })
}

/// Worker 304 was forked half a second ago, and 299 ended.
fn events() -> Vec<LifecycleEvent> {
    let fork = EventKind::Fork { parent_tgid: 300, parent_tid: 300, child_tgid: 304, child_tid: 304 };
    let exit = EventKind::Exit { tgid: 299, tid: 299, status: ExitStatus::Signal { signal: 15, core: false } };
    vec![LifecycleEvent { at_ns: NOW_NS - 500_000_000, kind: fork }, LifecycleEvent { at_ns: NOW_NS - 250_000_000, kind: exit }]
}

/// Scenes whose ASCII frame is kept too, at the smallest size.
const IN_ASCII: [&str; 6] = ["list", "run", "lab", "timeline", "compare", "help"];

/// What is done to the opened program before it is drawn.
struct Scene {
    name: &'static str,
    options: fn() -> Options,
    keys: &'static [Key],
}

const SCENES: &[Scene] = &[
    Scene { name: "list", options: Options::default, keys: &[] },
    Scene { name: "tree", options: tree, keys: &[Key::plain(Code::Down), Key::plain(Code::Down), Key::char(' ')] },
    Scene { name: "threads", options: threads, keys: &[] },
    Scene { name: "run", options: Options::default, keys: &[Key::char('n'), Key::char('f')] },
    Scene { name: "no-path", options: Options::default, keys: &[Key::char('p')] },
    Scene { name: "help", options: Options::default, keys: &[Key::f(1)] },
    Scene { name: "signal", options: tree, keys: &[Key::plain(Code::Down), Key::char(' '), Key::f(9)] },
    Scene { name: "signal-zombie", options: zombie, keys: &[Key::f(9)] },
    Scene { name: "help-end", options: Options::default, keys: &[Key::f(1), Key::plain(Code::PageDown), Key::plain(Code::End)] },
    Scene { name: "explain", options: Options::default, keys: &[Key::char('E')] },
    Scene { name: "sort", options: Options::default, keys: &[Key::f(6)] },
    Scene { name: "launch", options: Options::default, keys: &[Key::char('n')] },
    Scene { name: "filter", options: filtered, keys: &[] },
    Scene {
        name: "bad-filter",
        options: Options::default,
        keys: &[Key::f(4), Key::char('c'), Key::char('p'), Key::char('x'), Key::char('>')],
    },
    Scene { name: "readonly", options: readonly, keys: &[Key::f(9)] },
    Scene { name: "lab", options: Options::default, keys: &[Key::char('n'), Key::char('v'), Key::char('L')] },
    Scene { name: "lab-many", options: Options::default, keys: &[Key::char('n'), Key::char('p'), Key::char('L')] },
    Scene { name: "lesson", options: Options::default, keys: stages::LESSON },
    Scene { name: "lesson-run", options: Options::default, keys: stages::LESSON_RUN },
    Scene { name: "lesson-done", options: Options::default, keys: stages::LESSON_DONE },
    Scene { name: "detail", options: Options::default, keys: &[Key::plain(Code::Enter)] },
    Scene { name: "detail-full", options: Options::default, keys: &[Key::plain(Code::Enter), Key::plain(Code::Enter)] },
    Scene {
        name: "detail-files",
        options: Options::default,
        keys: &[Key::plain(Code::Enter), Key::plain(Code::Enter), Key::char('4')],
    },
    Scene {
        name: "detail-tree",
        options: Options::default,
        keys: &[Key::plain(Code::Enter), Key::plain(Code::Enter), Key::char('8')],
    },
    Scene { name: "setup", options: Options::default, keys: &[Key::f(2), Key::plain(Code::Down), Key::char(' ')] },
    Scene {
        name: "setup-display",
        options: Options::default,
        keys: &[Key::f(2), Key::plain(Code::Tab), Key::plain(Code::Down), Key::plain(Code::Right)],
    },
    Scene { name: "setup-meters", options: Options::default, keys: &[Key::f(2), Key::char('2'), Key::plain(Code::Down)] },
    Scene {
        name: "detail-memory",
        options: Options::default,
        keys: &[Key::plain(Code::Enter), Key::plain(Code::Enter), Key::char('3')],
    },
    Scene {
        name: "detail-environment",
        options: Options::default,
        keys: &[Key::plain(Code::Enter), Key::plain(Code::Enter), Key::char('5')],
    },
    Scene {
        name: "detail-limits",
        options: Options::default,
        keys: &[Key::plain(Code::Enter), Key::plain(Code::Enter), Key::char('6')],
    },
    Scene {
        name: "detail-groups",
        options: Options::default,
        keys: &[Key::plain(Code::Enter), Key::plain(Code::Enter), Key::char('7')],
    },
    Scene {
        name: "detail-stacks",
        options: Options::default,
        keys: &[Key::plain(Code::Enter), Key::plain(Code::Enter), Key::char('9')],
    },
    Scene { name: "detail-runtime", options: Options::default, keys: &[Key::char('G')] },
    Scene { name: "detail-ended", options: Options::default, keys: &[Key::plain(Code::Enter)] },
    Scene { name: "palette", options: Options::default, keys: &[Key::char(':'), Key::char('l'), Key::char('a'), Key::char('b')] },
    Scene { name: "only", options: tree, keys: &[Key::plain(Code::Down), Key::char('o')] },
    Scene { name: "compare", options: Options::default, keys: stages::COMPARE },
    Scene { name: "compare-sweep", options: Options::default, keys: stages::COMPARE_SWEEP },
    Scene { name: "compare-long", options: Options::default, keys: stages::COMPARE_LONG },
    Scene { name: "copy-on-write", options: tree, keys: &[Key::plain(Code::Down), Key::char('D')] },
    Scene { name: "events", options: Options::default, keys: &[Key::char('5')] },
    Scene { name: "timeline", options: Options::default, keys: stages::KEYS },
    Scene { name: "timeline-processes", options: Options::default, keys: stages::PROCESSES },
    Scene { name: "diagnoses", options: Options::default, keys: &[Key::char('!')] },
    Scene { name: "timeline-empty", options: Options::default, keys: &[Key::char('3')] },
    Scene { name: "timeline-family", options: Options::default, keys: &[Key::char('V')] },
];

fn tree() -> Options {
    Options { tree: true, ..Options::default() }
}

fn threads() -> Options {
    Options { tree: true, threads: true, kernel_threads: true, ..Options::default() }
}

fn readonly() -> Options {
    Options { readonly: true, ..Options::default() }
}

fn zombie() -> Options {
    Options { filter: Some(concmon::query::Filter::parse("state=Z").unwrap()), ..Options::default() }
}

fn filtered() -> Options {
    Options { filter: Some(concmon::query::Filter::parse("user=maria and rss>5M").unwrap()), ..Options::default() }
}

fn frame(scene: &Scene, theme: &Theme, unicode: bool, (width, height): (u16, u16)) -> Buffer {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    ui::draw(&stage(scene, unicode, (width, height)), theme, area, &mut buffer);
    buffer
}

/// The program as the scene leaves it.
fn stage(scene: &Scene, unicode: bool, (width, height): (u16, u16)) -> App {
    let mut app = app(Options { unicode, ..(scene.options)() });
    let area = Rect::new(0, 0, width, height);
    fit(&mut app, area);
    for key in scene.keys {
        for effect in app.update(Msg::Key(*key)) {
            answer(&mut app, &effect);
        }
    }
    if let Some(pane) = app.shown_detail() {
        for detail in contents::details(pane.key, NOW_NS) {
            app.update(Msg::Detail(detail));
        }
    }
    if let Some(pane) = app.split.as_mut().filter(|_| scene.name == "detail-ended") {
        pane.ended = Some((NOW_NS, ExitStatus::Signal { signal: 9, core: true }));
    }
    if let Some(key) = app.traced_family() {
        app.update(Msg::Traced { key, lanes: Arc::new(stages::family_lanes()), offset_ns: 0 });
    }
    if app.screen == Screen::Problems {
        // What is wrong is reported once it has stayed so.
        let [_, second] = samples();
        let mut deriver = Deriver::new(0);
        for seconds in 0..5 {
            let later = Snapshot { taken_ns: NOW_NS + seconds * 1_000_000_000, events: Vec::new(), ..second.clone() };
            app.update(Msg::Sample(Arc::new(deriver.step(later))));
        }
    }
    if let Some(Layer::Ledger(pane)) = &app.layer {
        for detail in contents::ledger(pane.parent, NOW_NS) {
            app.update(Msg::Detail(detail));
        }
    }
    fit(&mut app, area);
    app
}

/// What the engine would answer.
fn answer(app: &mut App, effect: &Effect) {
    match effect {
        Effect::Freeze { token, keys } => {
            let problem = |pid| match pid {
                1 => Some("process 1 keeps the machine alive and is never signalled from here".to_owned()),
                501 => Some("PID 501 is a zombie: only its parent 500 (name-500) can reap it".to_owned()),
                _ => None,
            };
            let frozen = |key: &concmon::snapshot::ProcKey| FrozenTarget {
                key: *key,
                name: format!("name-{}", key.pid),
                command: format!("/usr/bin/name-{} --serve", key.pid),
                problem: problem(key.pid),
                sigterm: (key.pid == 300).then_some(concmon::snapshot::SigTerm::Ignored),
            };
            app.update(Msg::Frozen { token: *token, targets: keys.iter().map(frozen).collect() });
        }
        Effect::Compare(plan) => {
            app.update(Msg::Compared(Progressed {
                batch: Arc::new(compare_screen::measured(plan)),
                running: false,
                halted: None,
            }));
        }
        Effect::Launch(spec) if app.lessons.open => space::lesson_run(app, spec),
        Effect::Launch(spec) if spec.system == "native/fork" => {
            app.update(Msg::Lab(Arc::new(LabState { runs: vec![Arc::new(stages::forked(spec, 300, 301..305))] })));
            app.update(Msg::Sample(app.model.clone().unwrap()));
        }
        Effect::Launch(spec) => {
            let timed = spec.system == "native/thread-pool";
            let many = spec.system == "native/process-pool";
            let of = if many { ("native/process-pool", 12) } else { ("native/forkserver", 2) };
            let state = if timed { LabState { runs: vec![Arc::new(stages::taking_turns())] } } else { stages::lab(of.0, of.1) };
            app.update(Msg::Lab(Arc::new(state)));
        }
        _ => {}
    }
}

fn fit(app: &mut App, area: Rect) {
    app.lab.now_ns = 13_000_000;
    ui::fit(app, area);
}

fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut skip = 0;
        for x in 0..buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            if skip == 0 {
                line.push_str(symbol);
                skip = unicode_width::UnicodeWidthStr::width(symbol).max(1);
            }
            skip -= 1;
        }
        writeln!(out, "{}", line.trim_end()).unwrap();
    }
    out
}

fn styles(buffer: &Buffer) -> String {
    let plain = Style::reset();
    let mut letters: BTreeMap<String, char> = BTreeMap::new();
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut spans = Vec::new();
        let mut x = 0;
        while x < buffer.area.width {
            let style = buffer[(x, y)].style();
            let from = x;
            while x < buffer.area.width && buffer[(x, y)].style() == style {
                x += 1;
            }
            if style != plain && style != Style::default() {
                let name =
                    format!("{:?} on {:?} {:?}", style.fg.unwrap_or_default(), style.bg.unwrap_or_default(), style.add_modifier);
                let next = char::from_u32(u32::from('a') + u32::try_from(letters.len()).unwrap()).unwrap();
                spans.push(format!("{from}-{}:{}", x - 1, letters.entry(name).or_insert(next)));
            }
        }
        if !spans.is_empty() {
            writeln!(out, "{y:2} {}", spans.join(" ")).unwrap();
        }
    }
    for (name, letter) in letters {
        writeln!(out, "{letter} = {name}").unwrap();
    }
    out
}

/// Compares with a file, or writes it.
fn check(name: &str, now: &str, wrong: &mut Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, now).unwrap();
        return;
    }
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    if before != now {
        let line = before.lines().zip(now.lines()).position(|(a, b)| a != b).unwrap_or(0);
        let of = |text: &str| text.lines().nth(line).unwrap_or("").to_owned();
        wrong.push(format!("{name}, line {}:\n  was {}\n  is  {}", line + 1, of(&before), of(now)));
    }
}

#[test]
fn every_screen_looks_as_it_was_last_approved() {
    let mut wrong = Vec::new();
    for scene in SCENES {
        for size in SIZES {
            let name = format!("{}-{}x{}", scene.name, size.0, size.1);
            let dark = frame(scene, &Theme::named("default", ColorDepth::TwoFiftySix).unwrap(), true, size);
            let light = frame(scene, &Theme::named("light", ColorDepth::TwoFiftySix).unwrap(), true, size);
            assert_eq!(text(&dark), text(&light), "a theme changes colours only");
            check(&name, &format!("{}--- default\n{}--- light\n{}", text(&dark), styles(&dark), styles(&light)), &mut wrong);
            let mono = frame(scene, &Theme::named("mono", ColorDepth::TwoFiftySix).unwrap(), false, size);
            if size == SIZES[0] && IN_ASCII.contains(&scene.name) {
                check(&format!("{name}-ascii"), &text(&mono), &mut wrong);
            }
            stages::assert_ascii(scene.name, &mono);
        }
    }
    let count = wrong.len();
    wrong.truncate(5);
    assert!(
        wrong.is_empty(),
        "{count} frames changed. If that is intended: UPDATE_GOLDEN=1 cargo test --test pure golden, and read git diff tests/golden. The first:\n{}",
        wrong.join("\n")
    );
}

/// In every size, every scene is drawn without a panic, and no other process's escape sequence reaches a cell.
#[test]
fn every_screen_survives_every_size() {
    let theme = Theme::named("default", ColorDepth::TwoFiftySix).unwrap();
    for scene in SCENES {
        for size in [(1, 1), (2, 2), (3, 30), (20, 5), (21, 110), (60, 10), (300, 6), (400, 120)] {
            let buffer = frame(scene, &theme, true, size);
            let hostile = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{200b}');
            assert!(!buffer.content().iter().any(|cell| cell.symbol().chars().any(hostile)), "{} at {size:?}", scene.name);
        }
    }
}
