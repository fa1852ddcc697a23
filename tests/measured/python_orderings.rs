//! The orderings of the talk, as ratios with wide margins: medians of interleaved runs on a machine with other things to do.
//!
//! One test at a time: what is compared must not be disturbed by the next comparison.

use std::time::{Duration, Instant};

use concmon::lab::catalog::{RunSpec, StartMethod, TaskKind};
use concmon::lab::run::{Outcome, Run, RunPhase};

use crate::support::exclusive::alone;
use crate::support::lab::{launcher, number, run_it, run_on, spec};
use crate::support::python::{assert_done, available, named, no_python};

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// Median walls of five interleaved rounds.
fn walls<const N: usize>(specs: &[RunSpec; N]) -> [u64; N] {
    let launcher = launcher().with_pythons(named());
    let mut walls: [Vec<u64>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..5 {
        for (spec, walls) in specs.iter().zip(&mut walls) {
            let run = run_on(&launcher, spec);
            assert_eq!(run.phase, RunPhase::Ended(Outcome::Done), "{}", run.output);
            walls.push(run.costs.wall_ns.unwrap());
        }
    }
    walls.map(median)
}

/// Speed-ups of some runs, percent; no more are made once one is `enough`. Others may want the CPUs meanwhile, and nothing makes a
/// speed-up better than it is.
fn speed_ups(spec: &RunSpec, enough: u64) -> Vec<u64> {
    let launcher = launcher().with_pythons(named());
    let mut tried = Vec::new();
    let until = Instant::now() + Duration::from_secs(90);
    let some_more = |tried: &[u64]| tried.len() < 8 || (enough < u64::MAX && Instant::now() < until);
    while tried.last().is_none_or(|last| *last <= enough) && some_more(&tried) {
        let run = run_on(&launcher, spec);
        assert_done(&run);
        tried.push(number(&run, "speed_up_percent"));
    }
    tried
}

/// Whether a round shows it, of four at most, and what each saw: a round in which the one or the other was disturbed decides nothing.
fn in_one_of_four<T>(mut round: impl FnMut() -> (T, bool)) -> (bool, Vec<T>) {
    let mut seen = Vec::new();
    let clear = (0..4).any(|_| {
        let (saw, clear) = round();
        seen.push(saw);
        clear
    });
    (clear, seen)
}

/// Median creation latencies of three interleaved rounds.
fn creations<const N: usize>(specs: &[RunSpec; N]) -> [u64; N] {
    let launcher = launcher().with_pythons(named());
    let mut points: [Vec<u64>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..3 {
        for (spec, points) in specs.iter().zip(&mut points) {
            let run = run_on(&launcher, spec);
            assert_eq!(run.phase, RunPhase::Ended(Outcome::Done), "{}", run.output);
            points.extend(run.workers.iter().filter_map(concmon::lab::run::Worker::creation_ns));
        }
    }
    points.map(median)
}

fn pool(workers: u32, start_method: StartMethod) -> RunSpec {
    RunSpec { workers, start_method: Some(start_method), ..spec("python/process-pool-executor", TaskKind::Factorial) }
}

#[test]
fn ten_processes_lose_to_one_and_threads_beat_both_and_one_thread_all() {
    let _alone = alone();
    if no_python() {
        return;
    }
    let threads = RunSpec { workers: 10, ..spec("python/thread-pool-executor", TaskKind::Factorial) };
    let single = spec("python/sequential", TaskKind::Factorial);
    let specs = [pool(10, StartMethod::Fork), pool(1, StartMethod::Fork), threads, single];
    // Others can only disturb the order: where they did, it is measured again.
    let until = Instant::now() + Duration::from_secs(90);
    loop {
        let [ten, one, threads, single] = walls(&specs);
        eprintln!("wall ns: 10 processes {ten}, 1 process {one}, 10 threads {threads}, single thread {single}");
        if ten > one * 3 / 2 && one > threads && threads > single * 2 {
            return;
        }
        assert!(Instant::now() < until, "{ten}, {one}, {threads}, {single}");
    }
}

#[test]
fn threads_are_at_least_twenty_times_cheaper_to_create_than_processes() {
    let _alone = alone();
    if no_python() {
        return;
    }
    let [thread, spawn] = creations(&[
        RunSpec { workers: 8, ..spec("python/thread", TaskKind::None) },
        RunSpec { workers: 4, ..spec("python/process-spawn", TaskKind::None) },
    ]);
    eprintln!("creation ns: thread {thread}, spawned process {spawn}");
    assert!(spawn > thread * 20, "{spawn} and {thread}");
}

#[test]
fn spawn_is_dearer_than_forkserver_and_forkserver_than_fork_for_a_small_parent() {
    let _alone = alone();
    if no_python() {
        return;
    }
    let of = |system: &str| RunSpec { workers: 6, ..spec(system, TaskKind::None) };
    let [fork, forkserver, spawn] =
        creations(&[of("python/process-fork"), of("python/process-forkserver"), of("python/process-spawn")]);
    eprintln!("creation ns: fork {fork}, forkserver {forkserver}, spawn {spawn}");
    assert!(spawn > forkserver * 3 / 2, "{spawn} and {forkserver}");
    assert!(forkserver > fork, "{forkserver} and {fork}");
}

#[test]
fn sub_interpreters_are_created_faster_than_spawned_processes() {
    let _alone = alone();
    if no_python() {
        return;
    }
    if !available("python/interpreters") {
        return;
    }
    let [interpreter, spawn] = creations(&[
        RunSpec { workers: 4, tasks: 4, ..spec("python/interpreters", TaskKind::Factorial) },
        RunSpec { workers: 4, tasks: 4, ..spec("python/process-spawn", TaskKind::Factorial) },
    ]);
    eprintln!("creation ns: sub-interpreter {interpreter}, spawned process {spawn}");
    assert!(spawn > interpreter * 3 / 2, "{spawn} and {interpreter}");
}

#[test]
fn async_tasks_are_created_faster_and_smaller_than_threads() {
    let _alone = alone();
    if no_python() {
        return;
    }
    let (clear, seen) = in_one_of_four(|| {
        let run = run_it(&spec("python/async-vs-threads", TaskKind::Sleep));
        assert_done(&run);
        let of = |what| ["asyncio", "threads"].map(|kind| number(&run, &format!("{kind}_1000_{what}_each")));
        let ([task, thread], [small, large]) = (of("create_ns"), of("private_bytes"));
        ((thread, task, large, small), thread > task * 10 && large > small * 3)
    });
    assert!(clear, "create ns and bytes of thread and task: {seen:?}");
}

#[test]
fn sleeping_threads_overlap() {
    let _alone = alone();
    if no_python() {
        return;
    }
    let run = run_it(&RunSpec { task_size: Some(50), ..spec("python/sleep-threads", TaskKind::Sleep) });
    assert_done(&run);
    let together = number(&run, "slept_together_ns");
    assert!((500_000_000..800_000_000).contains(&together), "ten times 50 ms is the longest: {together}");
    assert_eq!(run.output.lines().filter(|l| l.contains("awake after")).count(), 11);
    assert!(run.output.lines().last().unwrap().starts_with("thread 0 slept 1 x 0.500 s"), "{}", run.output);
}

#[test]
fn bytecode_threads_take_turns_under_the_gil_and_c_code_does_not() {
    let _alone = alone();
    if no_python() {
        return;
    }
    // No speed-up is enough here: all eight are made, and half of them are below. One or another is off, when what it is compared with was
    // disturbed.
    let gil = speed_ups(&spec("python/gil-threads", TaskKind::Pi), u64::MAX);
    eprintln!("speed-ups of 2 threads in percent: bytecode {gil:?}");
    assert!(median(gil.clone()) < 130, "{gil:?}");
    if std::thread::available_parallelism().is_ok_and(|n| n.get() >= 2) {
        let hash = speed_ups(&spec("python/hash-threads", TaskKind::None), 130);
        assert!(hash.last() > Some(&130), "{hash:?}");
    } else {
        loudly!("SKIPPED: parallel speed-up needs two CPUs");
    }
}

#[test]
fn without_the_gil_bytecode_threads_run_in_parallel() {
    let _alone = alone();
    if no_python() {
        return;
    }
    if available("python/no-gil-threads") && std::thread::available_parallelism().is_ok_and(|n| n.get() >= 2) {
        let tried = speed_ups(&spec("python/no-gil-threads", TaskKind::Pi), 130);
        assert!(tried.last() > Some(&130), "{tried:?}");
    }
}

#[test]
fn a_thread_pool_without_the_gil_computes_in_parallel() {
    let _alone = alone();
    if no_python() {
        return;
    }
    if available("python/no-gil-pool") && std::thread::available_parallelism().is_ok_and(|n| n.get() >= 2) {
        let tried = speed_ups(&RunSpec { tasks: 16, ..spec("python/no-gil-pool", TaskKind::Pi) }, 130);
        assert!(tried.last() > Some(&130), "{tried:?}");
    }
}

#[test]
fn a_pool_that_is_warm_maps_in_a_fraction_of_what_a_new_executor_takes() {
    let _alone = alone();
    if no_python() {
        return;
    }
    let launcher = launcher().with_pythons(named());
    let spawned =
        |system| RunSpec { workers: 4, tasks: 100, start_method: Some(StartMethod::Spawn), ..spec(system, TaskKind::Factorial) };
    let (clear, seen) = in_one_of_four(|| {
        let (pool, executor) =
            (run_on(&launcher, &spawned("python/pool")), run_on(&launcher, &spawned("python/process-pool-executor")));
        assert_done(&pool);
        assert_done(&executor);
        let (warm, cold) = (number(&pool, "warm_map_ns"), executor.costs.wall_ns.unwrap());
        ((warm, cold), cold > warm * 5)
    });
    eprintln!("ns: map of a warm pool, of a new executor: {seen:?}");
    assert!(clear, "{seen:?}");
}

#[test]
fn a_worker_of_loky_starts_dearer_than_one_that_is_forked() {
    let _alone = alone();
    if no_python() || !available("python/loky") {
        return;
    }
    let forked = RunSpec { start_method: Some(StartMethod::Fork), ..spec("python/process-pool-executor", TaskKind::Pi) };
    let [loky, forked] = creations(&[spec("python/loky", TaskKind::Pi), forked]);
    eprintln!("creation ns: worker of loky {loky}, forked worker of an executor {forked}");
    assert!(loky > forked * 3, "{loky} and {forked}");
}

/// Nanoseconds from the beginning of the first task to the end of the last, for each task.
fn each_task_ns(run: &Run) -> u64 {
    let spans = || run.workers.iter().flat_map(|w| &w.spans);
    let (first, last) = (spans().map(|s| s.start_ns).min().unwrap(), spans().filter_map(|s| s.end_ns).max().unwrap());
    (last - first) / spans().count() as u64
}

#[test]
fn a_tiny_task_takes_longer_through_dask_than_through_an_executor() {
    let _alone = alone();
    if no_python() || !available("python/dask-local") {
        return;
    }
    let launcher = launcher().with_pythons(named());
    let tiny = |system| RunSpec { workers: 2, tasks: 400, ..spec(system, TaskKind::Factorial) };
    let (clear, seen) = in_one_of_four(|| {
        let executor = RunSpec { start_method: Some(StartMethod::Fork), ..tiny("python/process-pool-executor") };
        let (dask, executor) = (run_on(&launcher, &tiny("python/dask-local")), run_on(&launcher, &executor));
        // Their shapes have a test of their own.
        for run in [&dask, &executor] {
            assert_eq!(run.phase, RunPhase::Ended(Outcome::Done), "{}", run.output);
        }
        let (dask, executor) = (each_task_ns(&dask), each_task_ns(&executor));
        ((dask, executor), dask * 2 > executor * 3)
    });
    eprintln!("ns for each task: dask, executor: {seen:?}");
    assert!(clear, "{seen:?}");
}

#[test]
fn a_preloaded_server_saves_each_worker_its_imports() {
    let _alone = alone();
    if no_python() {
        return;
    }
    let (clear, seen) = in_one_of_four(|| {
        let run = run_it(&spec("python/spawn-preload", TaskKind::Factorial));
        assert_done(&run);
        let (with, without) = (number(&run, "start_with_preload_ns"), number(&run, "start_without_preload_ns"));
        ((with, without), without > with * 2)
    });
    eprintln!("ns until a worker has its modules, with preload and without: {seen:?}");
    assert!(clear, "{seen:?}");
}

#[test]
fn a_blocking_call_stops_the_loop_and_a_thread_cures_it() {
    let _alone = alone();
    if no_python() {
        return;
    }
    let late = |system| number(&run_it(&spec(system, TaskKind::Sleep)), "largest_lateness_of_a_10_ms_tick_ns");
    let (blocked, cured) = (late("python/blocked-loop"), late("python/blocked-loop-cured"));
    eprintln!("lateness ns: blocked {blocked}, cured {cured}");
    assert!(blocked > 80_000_000, "{blocked}");
    assert!(cured < blocked / 2, "{cured} and {blocked}");
}

#[test]
fn a_selector_waits_for_all_at_once_at_next_to_no_cpu() {
    let _alone = alone();
    if no_python() {
        return;
    }
    let fetch = |system| {
        let run = run_it(&RunSpec { task_size: Some(100), ..spec(system, TaskKind::Http) });
        assert_done(&run);
        (number(&run, "fetch_wall_ns"), number(&run, "client_cpu_ns"), number(&run, "bytes_received"))
    };
    let (blocking, spin, select) =
        (fetch("python/socket-blocking"), fetch("python/socket-nonblocking"), fetch("python/selectors"));
    assert_eq!((blocking.2, spin.2), (select.2, select.2), "the same answer");
    assert!(blocking.0 > select.0 * 4, "in turn: {}, at once: {}", blocking.0, select.0);
    assert!(spin.1 > select.1 * 3, "CPU of asking all the time: {}, of a selector: {}", spin.1, select.1);
}

#[test]
fn reading_makes_inherited_pages_private_and_freeze_saves_the_collectors_share() {
    let _alone = alone();
    if no_python() {
        return;
    }
    let run = run_it(&spec("python/copy-on-write", TaskKind::None));
    assert_done(&run);
    let grown = |what: &str| number(&run, &format!("{what}_private_growth_bytes"));
    assert!(grown("read") > 10 << 20, "{}", grown("read"));
    assert!(grown("untouched") < 2 << 20, "{}", grown("untouched"));
    assert!(grown("frozen_then_collected") < 4 << 20, "{}", grown("frozen_then_collected"));
}
