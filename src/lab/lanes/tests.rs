use super::*;
use crate::lab::catalog;
use crate::lab::run::{Memory, RunId};
use crate::lab::trace::{Look, Trace};

const MS: u64 = 1_000_000;

fn worker(index: u32, pid: i32, tid: i32, how: Creation, spans: &[(u64, u64)]) -> Worker {
    let span = |(at, (from, to)): (usize, &(u64, u64))| TaskSpan {
        index: u32::try_from(at).unwrap_or(0),
        start_ns: from * MS,
        end_ns: Some(to * MS),
    };
    Worker {
        index,
        pid: Some(pid),
        shown_pid: None,
        tid: Some(tid),
        how: Some(how),
        requested_ns: Some(5 * MS),
        ready_ns: Some(10 * MS),
        exited_ns: Some(100 * MS),
        status: None,
        spans: spans.iter().enumerate().map(span).collect(),
        memory: Memory::default(),
    }
}

fn run(workers: Vec<Worker>, trace: Trace) -> Run {
    let mut run = Run::new(RunId(1), catalog::RunSpec::own(), 0);
    run.root_pid = Some(100);
    run.workers = workers;
    run.trace = Some(Arc::new(trace));
    run
}

/// A task that in each step of 5 ms from 10 to 100 ms ran and waited for that much, in tenths of the step.
fn steps(trace: &mut Trace, pid: i32, tid: i32, tenths: impl Fn(u64) -> (u64, u64)) {
    let (mut ran, mut waited) = (0, 0);
    for step in 0..18 {
        let (run, wait) = tenths(step);
        ran += run * MS / 2;
        waited += wait * MS / 2;
        let state = if run + wait > 0 { 'R' } else { 'S' };
        let (at_ns, parent, rss_bytes) = ((15 + step * 5) * MS, if pid == 100 { 1 } else { 100 }, (step + 1) << 20);
        let look = Look { at_ns, run_ns: ran, wait_ns: waited, state, cpu: Some(1), parent, rss_bytes, threads: 1 };
        trace.saw(pid, tid, "task", 10 * MS, look);
    }
}

#[test]
fn lanes_are_the_root_the_workers_and_what_else_there_was() {
    let mut trace = Trace::default();
    for (pid, tid) in [(100, 100), (101, 101), (102, 102), (103, 103)] {
        steps(&mut trace, pid, tid, |_| (0, 0));
    }
    let run = run(vec![worker(0, 101, 101, Creation::Fork, &[]), worker(1, 102, 102, Creation::Fork, &[])], trace);
    let roles: Vec<Role> = lanes(&run).iter().map(|l| l.role).collect();
    assert_eq!(roles, [Role::Root, Role::Worker(0), Role::Worker(1), Role::Other]);
}

#[test]
fn async_tasks_are_below_the_thread_that_they_share() {
    let mut trace = Trace::default();
    steps(&mut trace, 100, 100, |_| (1, 0));
    steps(&mut trace, 100, 105, |_| (1, 0));
    let on = |index, tid| worker(index, 100, tid, Creation::AsyncTask, &[(20, 60)]);
    let run = run(vec![on(0, 100), on(1, 100), on(2, 105), on(3, 105)], trace);
    let all = lanes(&run);
    let roles: Vec<Role> = all.iter().map(|l| l.role).collect();
    assert_eq!(roles, [Role::Root, Role::Inner(0), Role::Inner(1), Role::Other, Role::Inner(2), Role::Inner(3)]);
    let window = Window::new(0, 100 * MS);
    let picture = picture(&run, &all, 1..2, window, 10);
    assert_eq!(picture.marks[0][..3], [Mark::Creating, Mark::Blocked, Mark::Open]);
    assert_eq!(picture.concurrency[3], 4.0, "four units are open at once");
    assert!(picture.parallelism[3].is_some_and(|p| (p - 0.2).abs() < 1e-6), "{:?}", picture.parallelism);
}

#[test]
fn a_cell_shows_what_its_task_did_there() {
    let mut trace = Trace::default();
    steps(&mut trace, 101, 101, |step| match step {
        0..4 => (10, 0),
        4..8 => (0, 10),
        8..12 => (2, 0),
        _ => (0, 0),
    });
    let run = run(vec![worker(0, 101, 101, Creation::Fork, &[(12, 80)])], trace);
    let all = lanes(&run);
    let marks = picture(&run, &all, 1..2, Window::new(0, 120 * MS), 12).marks.remove(0);
    let expected = [
        Mark::Creating,
        Mark::Running(8),
        Mark::Running(8),
        Mark::Wanting,
        Mark::Wanting,
        Mark::Running(2),
        Mark::Running(2),
        Mark::Blocked,
        Mark::Blocked,
        Mark::Blocked,
        Mark::Absent,
        Mark::Absent,
    ];
    assert_eq!(marks, expected);
    let moment = all[1].moment(40 * MS);
    assert_eq!((moment.mark, moment.state, moment.cpu, moment.unit), (Mark::Wanting, Some('R'), Some(1), Some(0)));
    assert_eq!(all[1].moment(99 * MS).unit, None);
    assert_eq!(all[1].changes_ns(), [5, 10, 12, 80, 100].map(|ms| ms * MS));
}

#[test]
fn the_heights_of_a_column_are_its_parallelism() {
    let mut trace = Trace::default();
    for tid in 101..=104 {
        steps(&mut trace, tid, tid, |_| (2, 8));
    }
    let mut workers: Vec<Worker> =
        (0..4).map(|i| worker(i, 101 + i as i32, 101 + i as i32, Creation::Fork, &[(10, 90)])).collect();
    // The last one starts an interpreter before it is ready.
    workers[3].ready_ns = Some(50 * MS);
    let run = run(workers, trace);
    let picture = picture(&run, &lanes(&run), 1..5, Window::new(0, 100 * MS), 10);
    let column: Vec<Mark> = picture.marks.iter().map(|lane| lane[3]).collect();
    assert_eq!(column, [Mark::Sharing(2), Mark::Sharing(2), Mark::Sharing(2), Mark::Starting(2)]);
    assert!(picture.parallelism[3].is_some_and(|p| (p - 0.8).abs() < 1e-6), "{:?}", picture.parallelism);
    assert_eq!(picture.marks[3][6], Mark::Sharing(2), "ready by then");
}

#[test]
fn one_unit_is_not_said_to_be_at_once_with_anything() {
    let mut trace = Trace::default();
    steps(&mut trace, 101, 101, |_| (5, 0));
    let of =
        |spans: &[(u64, u64)], trace: Trace| finding(&run(vec![worker(0, 101, 101, Creation::Fork, spans)], trace), 2, 100 * MS);
    assert_eq!(of(&[(20, 60)], trace.clone()), "one task of 40.00 ms, on a CPU for 50% of it");
    trace.round(500 * MS, 0);
    assert!(
        of(&[(20, 60)], trace.clone()).ends_with("sampled about every 256 ms: too short to tell"),
        "{}",
        of(&[(20, 60)], trace)
    );
    assert_eq!(of(&[(20, 60), (60, 90)], trace), "70.00 ms of work, sampled about every 256 ms: too short to tell");
}

#[test]
fn a_worker_that_nobody_looked_at_is_unknown_not_asleep() {
    let run = run(vec![worker(0, 101, 101, Creation::Fork, &[])], Trace::default());
    let marks = picture(&run, &lanes(&run), 1..2, Window::new(0, 120 * MS), 12).marks.remove(0);
    assert_eq!(marks[..2], [Mark::Creating, Mark::Unknown]);
    assert_eq!(picture(&run, &lanes(&run), 0..0, Window::new(0, MS), 3).parallelism, [None; 3]);
}

#[test]
fn cells_add_up_to_what_the_kernel_counted_however_wide_they_are() {
    let mut trace = Trace::default();
    steps(&mut trace, 101, 101, |step| (step % 7, 3));
    steps(&mut trace, 102, 102, |step| (10 - step % 3, 0));
    let ran = trace.run_ns();
    let run = run(vec![worker(0, 101, 101, Creation::Fork, &[]), worker(1, 102, 102, Creation::Fork, &[])], trace);
    let window = Window::new(0, 110 * MS);
    for cells in [1, 7, 60, 333] {
        let all = picture(&run, &lanes(&run), 0..0, window, cells);
        let parts = all.parallelism.iter().enumerate();
        let sum: f64 = parts.map(|(cell, p)| p.unwrap_or(0.0) * window.cell(cell, cells).length_ns() as f64).sum();
        assert!((sum / ran as f64 - 1.0).abs() < 1e-3, "{cells} cells: {sum} of {ran}");
    }
}

#[test]
fn a_thousand_lanes_are_one_picture() {
    let mut trace = Trace::default();
    let count = 1_000;
    for pid in 1_000..1_000 + count {
        steps(&mut trace, pid, pid, |step| (step % 2 * 5, 0));
    }
    let workers = (0..count).map(|i| worker(u32::try_from(i).unwrap(), 1_000 + i, 1_000 + i, Creation::Fork, &[(20, 90)]));
    let run = run(workers.collect(), trace);
    let all = lanes(&run);
    assert_eq!(all.len(), 1 + 1_000);
    let picture = picture(&run, &all, 900..950, interesting(&run, 0), 190);
    assert_eq!((picture.marks.len(), picture.marks[0].len()), (50, 190));
    assert!(picture.concurrency.iter().any(|c| (*c - 1_000.0).abs() < 1e-6));
}

#[test]
fn the_finding_tells_turns_from_parallel_work() {
    let found_on = |cpus: u32, each: fn(u64) -> (u64, u64), how, lang: &str| {
        let mut trace = Trace::default();
        steps(&mut trace, 100, 101, each);
        steps(&mut trace, 100, 102, |step| each(step + 1));
        let mut run = run(vec![worker(0, 100, 101, how, &[(10, 100)]), worker(1, 100, 102, how, &[(10, 100)])], trace);
        run.lang = Some(lang.to_owned());
        finding(&run, cpus, 100 * MS)
    };
    let found = |each, how, lang: &str| found_on(2, each, how, lang);
    let turns = |step: u64| if step.is_multiple_of(2) { (10, 0) } else { (0, 0) };
    assert_eq!(
        found(turns, Creation::Thread, "python 3.11.7"),
        "2.0 tasks in progress, 1.0 on a CPU, never much above 1: the lanes alternate (GIL, or one thread)"
    );
    assert!(found(turns, Creation::Fork, "native").ends_with("overlapping, but not parallel"));
    assert!(found(|_| (10, 0), Creation::Thread, "python 3.13.0").ends_with("2.0 on a CPU: parallel"));
    assert!(found(|_| (0, 0), Creation::Thread, "native").contains("waiting at the same time"));
    let crowd = found_on(1, |_| (5, 5), Creation::Fork, "native");
    assert!(crowd.ends_with("1.0 waiting for a CPU: more ready tasks than the 1 CPUs"), "{crowd}");
    // What the run wanted and could have had, others had: that is the machine's doing and not the run's.
    let disturbed = found(|_| (3, 7), Creation::Fork, "native");
    assert!(disturbed.ends_with("1.4 waiting for one: other processes or a CPU limit took 1.4 of 2 CPUs"), "{disturbed}");
    let taking_turns = |step: u64| if step.is_multiple_of(2) { (5, 5) } else { (0, 0) };
    let gil = found(taking_turns, Creation::Thread, "python 3.11.7");
    assert!(gil.ends_with("took 0.5 of 2 CPUs; whether the lanes can run in parallel is not seen"), "{gil}");
}

#[test]
fn the_processes_of_an_instant_stand_below_their_parents_with_what_they_held_then() {
    let mut trace = Trace::default();
    steps(&mut trace, 100, 100, |_| (0, 0));
    steps(&mut trace, 101, 101, |step| (if step < 9 { 10 } else { 0 }, 0));
    steps(&mut trace, 101, 109, |step| (5, if step < 9 { 5 } else { 0 }));
    // A child of the first worker, which comes later and goes early.
    let look = |at: u64, rss: u64| Look {
        at_ns: at * MS,
        run_ns: 0,
        wait_ns: 0,
        state: 'S',
        cpu: None,
        parent: 101,
        rss_bytes: rss,
        threads: 3,
    };
    for at in [40, 50, 60] {
        trace.saw(77, 77, "late", 35 * MS, look(at, at << 10));
    }
    trace.gone(77, 77, 70 * MS);
    let run = run(vec![worker(0, 101, 101, Creation::Fork, &[(20, 60)])], trace);
    let all = lanes(&run);
    let at = |ms: u64| processes(&all, ms * MS);
    let tree = |ms: u64| at(ms).iter().map(|p| (p.pid, p.depth)).collect::<Vec<_>>();
    assert_eq!(tree(5), [], "before the first look there is nobody");
    assert_eq!(tree(30), [(100, 0), (101, 1)]);
    assert_eq!(tree(55), [(100, 0), (101, 1), (77, 2)]);
    assert_eq!(tree(75), [(100, 0), (101, 1)]);

    let worker = at(40).remove(1);
    assert_eq!((worker.units, worker.state), (1, Some('R')));
    assert!(worker.cpu.is_some_and(|cpu| (cpu - 1.5).abs() < 0.01), "both of its threads: {worker:?}");
    assert!(worker.waited.is_some_and(|part| (part - 0.5).abs() < 0.01), "{worker:?}");
    let later = at(80).remove(1);
    assert_eq!((later.units, later.cpu.map(|cpu| (cpu * 10.0).round())), (0, Some(5.0)));
    let late = at(55).remove(2);
    assert_eq!(late.holding.map(|h| (h.rss_bytes, h.threads)), Some((50 << 10, 3)));
    assert_eq!(at(39).remove(2).holding, None, "it was there, but nobody had looked");
}

#[test]
fn parents_in_a_circle_hide_nobody_for_ever() {
    let mut trace = Trace::default();
    for (pid, parent) in [(5, 6), (6, 5), (7, 7)] {
        let look = Look { at_ns: MS, run_ns: MS / 2, wait_ns: 0, state: 'S', cpu: None, parent, rss_bytes: 0, threads: 1 };
        trace.saw(pid, pid, "x", 0, look);
    }
    let run = run(Vec::new(), trace);
    let found = processes(&lanes(&run), MS * 9 / 10);
    assert_eq!(found.iter().map(|p| p.pid).collect::<Vec<_>>(), [7, 5, 6], "{found:?}");
}
