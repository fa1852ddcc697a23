//! States for frames: a generated run with lanes, and the keys that lead to a screen.

use std::sync::Arc;

use concmon::app::key::{Code, Key};
use concmon::lab::catalog;
use concmon::lab::launcher::LabState;
use concmon::lab::protocol::Creation;
use concmon::lab::run::{
    Costs, FamilyMember, Memory, ReportedValue, Run, RunId, RunPhase, ShapeCheck, Summary, TaskSpan, Worker,
};
use concmon::lab::trace::{Look, Trace};
use concmon::lanes::gil::{GilLane, Held};
use concmon::lanes::{Call, Lane, Lanes};

/// Launches a pool of threads, and goes to the end of its second lane's first unit, closer.
pub const KEYS: &[Key] = &[
    Key::char('n'),
    Key::char('t'),
    Key::char('3'),
    Key::plain(Code::Down),
    Key::plain(Code::Down),
    Key::char('<'),
    Key::char('<'),
    Key::char('+'),
    Key::plain(Code::Left),
];

/// The same with the processes at that instant, on any screen.
pub const PROCESSES: &[Key] =
    &[Key::char('n'), Key::char('t'), Key::char('3'), Key::plain(Code::Down), Key::char('<'), Key::char('p')];

/// Adds fork and spawn of the lab's list, and runs them.
pub const COMPARE: &[Key] = &[
    Key::char('L'),
    Key::plain(Code::Tab),
    Key::plain(Code::Down),
    Key::plain(Code::Down),
    Key::char('c'),
    Key::plain(Code::Down),
    Key::char('c'),
    Key::char('4'),
    Key::plain(Code::Enter),
];

/// Two pools of Python's, whose names are long.
pub const COMPARE_LONG: &[Key] = &[
    Key::char('L'),
    Key::plain(Code::Tab),
    Key::char('/'),
    Key::char('p'),
    Key::char('o'),
    Key::char('o'),
    Key::char('l'),
    Key::char('-'),
    Key::char('s'),
    Key::char('u'),
    Key::char('b'),
    Key::char('m'),
    Key::char('i'),
    Key::char('t'),
    Key::plain(Code::Enter),
    Key::char('c'),
    Key::plain(Code::Down),
    Key::char('c'),
    Key::char('4'),
    Key::plain(Code::Enter),
];

/// The same over the memory of the parent.
pub const COMPARE_SWEEP: &[Key] = &[
    Key::char('L'),
    Key::plain(Code::Tab),
    Key::plain(Code::Down),
    Key::plain(Code::Down),
    Key::char('c'),
    Key::plain(Code::Down),
    Key::char('c'),
    Key::char('4'),
    Key::char('s'),
    Key::char('s'),
    Key::plain(Code::Enter),
];

/// The lesson about a big parent, with its question open.
pub const LESSON: &[Key] = &[Key::char('2'), Key::plain(Code::Down), Key::plain(Code::Down), Key::plain(Code::Down)];

/// It runs, and fork was guessed.
pub const LESSON_RUN: &[Key] =
    &[Key::char('2'), Key::plain(Code::Down), Key::plain(Code::Down), Key::plain(Code::Down), Key::char('1')];

/// It has run, and the fork server was guessed.
pub const LESSON_DONE: &[Key] =
    &[Key::char('2'), Key::plain(Code::Down), Key::plain(Code::Down), Key::plain(Code::Down), Key::char('3')];

/// Lanes of a Python: a thread that runs, one that waits for a CPU between its turns, one that waits for the GIL, one that is blocked.
pub fn family_lanes() -> Lanes {
    let lane = |tid: i32, name: &str, function: &str| {
        let call = Call { from_ns: 0, to_ns: 10_000 * MS, function: function.into() };
        Lane { pid: 302, tid, name: name.into(), born: tid > 302, calls: vec![call], ..Lane::default() }
    };
    let (mut busy, mut turns) = (lane(302, "python3", "crunch jobs.py"), lane(303, "loader", "read feed.py"));
    let (mut waits, mut asleep) = (lane(304, "worker-1", "parse jobs.py"), lane(305, "cache", "poll cache.py"));
    let (epoll, gil) = (Arc::from("epoll of 3 files"), Arc::from(concmon::lanes::gil::WAIT));
    for at in (0..10_000).step_by(500) {
        let (from, to) = (at * MS, (at + 500) * MS);
        busy.add((from, to), 500 * MS, 0, None);
        turns.add((from, to), 200 * MS, 150 * MS, Some(&epoll));
        waits.add((from, to), 50 * MS, 0, Some(&gil));
        asleep.add((from, to), 0, 0, Some(&epoll));
    }
    let held = Held { from_ns: 0, to_ns: 9_000 * MS, holder: Some(302), waiters: 1 };
    let gils = vec![GilLane { pid: 302, address: 1, slices: vec![held] }];
    let lanes = vec![busy, turns, waits, asleep];
    Lanes { lanes, gils, from_ns: 0, to_ns: 10_000 * MS, looks: 2_001, cost_ns: 90 * MS, ..Lanes::default() }
}

const MS: u64 = 1_000_000;
const STEP: u64 = 2 * MS;

/// Two threads of one process that take turns of 4 ms, one that waits for a CPU, and one that sleeps; 80 ms long.
pub fn taking_turns() -> Run {
    let mut spec = catalog::find("native/thread-pool").unwrap().defaults();
    (spec.workers, spec.tasks) = (4, 12);
    let mut run = Run::new(RunId(3), spec, 0);
    run.phase = RunPhase::Running;
    run.root_pid = Some(900);
    run.lang = Some("native".to_owned());
    run.workers = (0..4).map(worker).collect();
    let mut trace = Trace::default();
    for (tid, share) in [(900, root as fn(u64) -> (u64, u64)), (901, first), (902, second), (903, third), (904, asleep)] {
        let (mut ran, mut waited) = (0, 0);
        for step in 1..=40 {
            let (run_tenths, wait_tenths) = share(step);
            ran += STEP / 10 * run_tenths;
            waited += STEP / 10 * wait_tenths;
            let state = if run_tenths + wait_tenths > 0 { 'R' } else { 'S' };
            let cpu = Some(u32::try_from(tid % 2).unwrap());
            let at_ns = STEP * step;
            let (parent, rss_bytes) = (10, (step.min(20) << 19) + (3 << 20));
            let look = Look { at_ns, run_ns: ran, wait_ns: waited, state, cpu, parent, rss_bytes, threads: 5 };
            trace.saw(900, tid, "concmon", 0, look);
            if tid == 904 {
                trace.round(STEP, 0);
            }
        }
    }
    run.trace = Some(Arc::new(trace));
    run
}

fn worker(index: u32) -> Worker {
    let start = u64::from(index) * MS + 4 * MS;
    let unit = |k: u64| TaskSpan {
        index: index + 4 * u32::try_from(k).unwrap(),
        start_ns: start + k * 25 * MS,
        end_ns: (k < 2).then(|| start + (k + 1) * 25 * MS),
    };
    Worker {
        index,
        pid: Some(900),
        shown_pid: None,
        tid: Some(901 + i32::try_from(index).unwrap()),
        how: Some(Creation::Thread),
        requested_ns: Some(2 * MS + u64::from(index) * MS),
        ready_ns: Some(start),
        exited_ns: None,
        status: None,
        spans: (0..3).map(unit).collect(),
        memory: Memory::default(),
    }
}

fn root(step: u64) -> (u64, u64) {
    if step < 4 { (8, 0) } else { (0, 0) }
}

fn first(step: u64) -> (u64, u64) {
    if step > 2 && step % 4 < 2 { (10, 0) } else { (0, 0) }
}

fn second(step: u64) -> (u64, u64) {
    if step > 3 && step % 4 >= 2 { (9, 1) } else { (0, 0) }
}

fn third(step: u64) -> (u64, u64) {
    if step > 3 { (1, 9) } else { (0, 0) }
}

fn asleep(_: u64) -> (u64, u64) {
    (0, 0)
}

/// A run with so many workers, as it is while they stay.
pub fn lab(system: &str, workers: u32) -> LabState {
    let mut spec = catalog::find(system).unwrap().defaults();
    (spec.workers, spec.tasks) = (workers, 10);
    let mut run = Run::new(RunId(1), spec, 1_000);
    run.phase = RunPhase::Running;
    run.root_pid = Some(700);
    let member = |pid, ppid, rss| FamilyMember { pid, ppid, state: 'S', nlwp: 1, rss_bytes: Some(rss) };
    run.family = vec![member(700, 699, 4 << 20), member(701, 700, 3 << 20)];
    run.family.extend(
        (0..i32::try_from(workers).unwrap()).map(|i| member(702 + i, 701, (700 - 4 * u64::from(i.unsigned_abs())) << 10)),
    );
    run.workers = (0..workers)
        .map(|index| Worker {
            index,
            pid: Some(702 + i32::try_from(index).unwrap()),
            shown_pid: None,
            tid: Some(702 + i32::try_from(index).unwrap()),
            how: Some(Creation::ForkServer),
            requested_ns: Some(2_000),
            ready_ns: Some(302_000),
            exited_ns: None,
            status: None,
            spans: Vec::new(),
            memory: Memory::default(),
        })
        .collect();
    run.costs = Costs {
        creation_ns: Some(Summary { count: 2, min: 280e3, median: 300e3, p90: 320e3, max: 320e3 }),
        wall_ns: Some(12_300_000),
        so_far_cpu_ns: Some(4_000_000),
        peak_rss_bytes: Some(9 << 20),
        peak_pss_bytes: Some(5 << 20),
        ..Costs::default()
    };
    let met =
        |what: &str, met| ShapeCheck { what: what.into(), met, expected: "4".into(), seen: if met { "4" } else { "3" }.into() };
    run.shape = vec![met("pids", true), met("parents", false)];
    let value = |name: &str, text: &str, number| ReportedValue { name: name.into(), text: text.into(), number };
    run.values = vec![
        value("slept_one_after_the_other_ns", "2000000000 (computed)", Some(2_000_000_000)),
        value("factorials", "6! = 720, 9! = 362880, 3! = 6, 10! = 3628800, 7! = 5040, 8! = 40320, 2! = 2", None),
    ];
    LabState { runs: vec![Arc::new(run)] }
}

/// A running demo whose root and workers are processes that are there already.
pub fn forked(spec: &catalog::RunSpec, root: i32, workers: std::ops::Range<i32>) -> Run {
    let mut run = Run::new(RunId(1), spec.clone(), 1_000);
    (run.phase, run.root_pid) = (RunPhase::Running, Some(root));
    run.workers = (0..)
        .zip(workers)
        .map(|(index, pid)| Worker {
            index,
            pid: Some(pid),
            shown_pid: None,
            tid: Some(pid),
            how: Some(Creation::Fork),
            requested_ns: Some(2_000),
            ready_ns: Some(202_000 + u64::from(index) * 30_000),
            exited_ns: None,
            status: None,
            spans: Vec::new(),
            memory: Memory { uss_bytes: Some(208 << 10), ..Memory::default() },
        })
        .collect();
    run.costs.so_far_cpu_ns = Some(1_230_000_000);
    run
}

/// A frame for a terminal without UTF-8 is ASCII, and without colour.
pub fn assert_ascii(scene: &str, buffer: &ratatui::buffer::Buffer) {
    for cell in buffer.content() {
        assert!(cell.symbol().is_ascii(), "{scene}: {:?} in an ASCII frame", cell.symbol());
        let style = cell.style();
        let colour = |c: Option<ratatui::style::Color>| c.is_some_and(|c| c != ratatui::style::Color::Reset);
        assert!(!colour(style.fg) && !colour(style.bg), "{scene}: colour in a mono frame");
    }
}
