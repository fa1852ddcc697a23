//! Lanes of real runs: their time matches the time that the kernel charged, and alternating and parallel work are distinguished.

use concmon::lab::catalog::{RunSpec, TaskKind};
use concmon::lab::lanes::{self, Mark, Role};
use concmon::lab::run::{Outcome, Run, RunPhase};

use crate::support::lab::{await_end, await_run, await_workers, launcher, launcher_with, spec};

/// Workers that compute for some tenths of a second each.
fn computing(system: &str) -> RunSpec {
    RunSpec { workers: 2, tasks: 8, task_size: Some(2_500), timeout_ms: 60_000, ..spec(system, TaskKind::Pi) }
}

#[test]
fn the_cpu_time_of_all_lanes_is_what_the_kernel_charged_to_the_run() {
    for system in ["native/fork", "native/process-pool", "native/thread-pool", "native/forkserver", "python/process-fork"] {
        let launcher = launcher().with_traces();
        let id = launcher.launch(computing(system)).unwrap();
        let run = await_end(&launcher, id);
        assert_eq!(run.phase, RunPhase::Ended(Outcome::Done), "{system}: {:?}", run.warnings);
        let charged = run.costs.charged_cpu_ns().unwrap();
        let seen = run.trace.as_deref().unwrap().run_ns();
        let share = seen as f64 / charged as f64;
        println!("{system}: lanes {:.1} ms of {:.1} ms charged: {share:.3}", seen as f64 / 1e6, charged as f64 / 1e6);
        assert!(charged > 200_000_000, "{system}: it did not compute for long enough to tell: {charged} ns");
        assert!((0.95..1.05).contains(&share), "{system}: lanes show {seen} ns, charged were {charged} ns");
        let window = lanes::whole(&run, 0);
        let all = lanes::lanes(&run);
        let workers = || all.iter().filter(|l| matches!(l.role, Role::Worker(_)));
        assert_eq!(workers().count(), 2, "{system}");
        assert!(workers().all(|l| l.totals_ns().is_some_and(|(ran, _)| ran > 50_000_000)), "{system}: a lane that did nothing");
        let picture = lanes::picture(&run, &all, 0..all.len(), window, 80);
        let cells = picture.parallelism.iter().enumerate();
        let drawn: f64 = cells.map(|(c, p)| p.unwrap_or(0.0) * window.cell(c, 80).length_ns() as f64).sum();
        assert!((drawn / seen as f64 - 1.0).abs() < 0.02, "{system}: the curve holds {drawn} ns of {seen}");
    }
}

#[test]
fn threads_that_sleep_overlap_without_a_cpu() {
    let launcher = launcher().with_traces();
    let sleeping = RunSpec { workers: 4, tasks: 4, task_size: Some(300), ..spec("native/thread-pool", TaskKind::Sleep) };
    let id = launcher.launch(sleeping).unwrap();
    let run = await_end(&launcher, id);
    let degree = lanes::degree(&run, 0).unwrap();
    assert!(degree.concurrency > 3.5, "{degree:?}");
    assert!(degree.parallelism.is_some_and(|p| p < 0.5), "{degree:?}");
    let all = lanes::lanes(&run);
    let middle = run.workers[0].spans[0].start_ns + 150_000_000;
    let asleep = all.iter().filter(|l| matches!(l.role, Role::Worker(_)) && l.moment(middle).mark == Mark::Blocked).count();
    assert_eq!(asleep, 4, "{:?}", all.iter().map(|l| l.moment(middle)).collect::<Vec<_>>());
}

#[test]
fn the_processes_of_a_past_instant_are_those_that_worked_then() {
    let launcher = launcher().with_traces();
    let id = launcher.launch(RunSpec { parent_mb: 64, ..computing("native/process-pool") }).unwrap();
    let run = await_end(&launcher, id);
    let all = lanes::lanes(&run);
    let begun = run.workers.iter().flat_map(|w| &w.spans).map(|s| s.start_ns).max().unwrap();
    let found = lanes::processes(&all, begun + 5_000_000);
    let root = found.first().unwrap();
    assert_eq!((Some(root.pid), root.depth), (run.root_pid, 0));
    assert!(root.holding.is_some_and(|held| held.rss_bytes > 64 << 20 && held.threads == 1), "{root:?}");
    let workers: Vec<_> = found.iter().filter(|p| run.workers.iter().any(|w| w.pid == Some(p.pid))).collect();
    assert_eq!(workers.len(), 2, "{found:?}");
    for worker in workers {
        assert_eq!((worker.ppid, worker.depth), (root.pid, 1), "{worker:?}");
        assert!(worker.holding.is_some_and(|held| held.rss_bytes > 0), "{worker:?}");
        assert!(worker.cpu.is_some_and(|cpu| cpu <= 1.0), "one thread is one CPU at most: {worker:?}");
    }
    assert!(found.iter().filter_map(|p| p.cpu).sum::<f64>() > 0.2, "somebody computes: {found:?}");
    assert_eq!(lanes::processes(&all, run.started_ns.saturating_sub(1)), [], "nobody was there before");
}

#[test]
fn a_run_that_is_only_measured_goes_unwatched() {
    let launcher = launcher();
    let id = launcher.launch(spec("native/fork", TaskKind::Factorial)).unwrap();
    let run = await_end(&launcher, id);
    assert_eq!(run.trace, None);
    let all = lanes::lanes(&run);
    assert!(all.iter().all(|l| l.totals_ns().is_none()));
}

#[test]
fn a_thousand_threads_are_a_thousand_lanes() {
    let limits = concmon::lab::launcher::Limits { max_workers: 1_000, ..Default::default() };
    let launcher = launcher_with(limits).with_traces();
    let many = RunSpec { workers: 1_000, tasks: 0, hold_ms: 60_000, timeout_ms: 90_000, ..spec("native/thread", TaskKind::None) };
    let id = launcher.launch(many).unwrap();
    await_workers(&launcher, id, 1_000);
    let asleep = |run: &Run| {
        let tasks = run.trace.as_deref().map_or(&[][..], |t| &t.tasks);
        tasks.iter().filter(|t| t.slices.last().is_some_and(|s| s.state == 'S')).count()
    };
    let run = await_run(&launcher, id, "a thousand lanes asleep", |run| asleep(run) > 1_000);
    launcher.stop(id);
    assert_eq!((lanes::lanes(&run).len(), run.trace.as_deref().unwrap().unwatched), (1_001, 0));
    await_end(&launcher, id);
}
