//! The native systems that show one thing each, run for real: their tasks, what they report, and that it is as the lesson says.
//! Orderings are asserted with wide margins: the machine that runs this may be busy.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/lab.rs"]
mod support;

use std::sync::Arc;

use concmon::lab::catalog::{Backend, RunSpec, SYSTEMS, TaskKind};
use concmon::lab::run::{Outcome, Run, RunPhase};
use concmon::snapshot::ExitStatus;
use support::{await_end, await_workers, launcher, spec};

fn run_it(spec: &RunSpec) -> Arc<Run> {
    let launcher = launcher();
    let id = launcher.launch(spec.clone()).unwrap();
    await_end(&launcher, id)
}

/// It ended well, in its shape, and left nothing that had to be killed.
fn assert_done(run: &Run) {
    assert_eq!(run.phase, RunPhase::Ended(Outcome::Done), "{}: {:?} {}", run.spec.system, run.warnings, run.output);
    assert!(run.shape.len() >= 2, "{}: it was looked at while it held still", run.spec.system);
    assert!(run.shape.iter().all(|c| c.met), "{} with {}: {:?}", run.spec.system, run.spec.task.name(), run.shape);
    assert!(run.warnings.iter().all(|w| !w.contains("still there")), "{:?}", run.warnings);
    assert_eq!(run.lines_lost, 0);
}

/// The number reported under this name.
fn number(run: &Run, name: &str) -> u64 {
    let value = run.values.iter().find(|v| v.name == name);
    value.and_then(|v| v.number).unwrap_or_else(|| panic!("{} reports no number {name}: {:?}", run.spec.system, run.values))
}

/// How many units of work have a beginning and an end.
fn units_done(run: &Run) -> usize {
    run.workers.iter().flat_map(|w| &w.spans).filter(|s| s.end_ns.is_some()).count()
}

#[test]
fn files_fetches_and_products_give_the_same_everywhere() {
    for (task, size, name, expected) in [
        (TaskKind::File, 40, "bytes_read", Some(10 * 40 * 1024)),
        (TaskKind::Http, 5, "bytes_received", Some(10 * 31 * 32)),
        (TaskKind::Matmul, 40, "matmul_trace", None),
    ] {
        let mut seen = Vec::new();
        for system in SYSTEMS.iter().filter(|s| s.backend == Backend::Native && s.tasks.contains(&task)) {
            if system.params.tasks.is_none() {
                continue;
            }
            let run = run_it(&RunSpec { tasks: 10, task_size: Some(size), ..spec(system.id, task) });
            assert_done(&run);
            assert_eq!(units_done(&run), 10, "{}", system.id);
            seen.push(number(&run, name));
        }
        assert!(seen.len() >= 8, "task {} is one of many systems: {seen:?}", task.name());
        assert!(seen.iter().all(|n| *n > 0 && *n == expected.unwrap_or(seen[0])), "{}: {seen:?}", task.name());
    }
}

#[test]
fn a_fetch_takes_as_long_as_the_server_was_asked_to_take() {
    let run = run_it(&RunSpec { workers: 8, tasks: 8, task_size: Some(80), ..spec("native/thread", TaskKind::Http) });
    assert_done(&run);
    for span in run.workers.iter().flat_map(|w| &w.spans) {
        assert!(span.end_ns.unwrap() - span.start_ns >= 80_000_000, "{span:?}");
    }
    assert!(run.costs.wall_ns.unwrap() < 8 * 80_000_000 / 2, "the server answers all at once: {:?}", run.costs.wall_ns);
}

#[test]
fn the_server_on_loopback_goes_with_its_run() {
    let launcher = launcher();
    for kill_the_root in [false, true] {
        let long = RunSpec { hold_ms: 60_000, task_size: Some(60_000), ..spec("native/fork", TaskKind::Http) };
        let id = launcher.launch(long).unwrap();
        let run = await_workers(&launcher, id, 4);
        let root = run.root_pid.unwrap();
        let workers: Vec<i32> = run.workers.iter().filter_map(|w| w.pid).collect();
        let server = children_of(root).into_iter().find(|pid| !workers.contains(pid)).unwrap();
        let began = start_time(server).unwrap();
        if kill_the_root {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(root), nix::sys::signal::Signal::SIGKILL).unwrap();
        } else {
            launcher.stop(id);
        }
        let run = await_end(&launcher, id);
        assert_ne!(run.phase, RunPhase::Ended(Outcome::Done));
        assert_ne!(start_time(server), Some(began), "the server (pid {server}) has outlived its run");
    }
}

/// Start time and parent of a process.
fn stat(pid: i32) -> Option<(u64, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((fields.get(19)?.parse().ok()?, fields.get(1)?.parse().ok()?))
}

fn start_time(pid: i32) -> Option<u64> {
    stat(pid).map(|(start, _)| start)
}

fn children_of(parent: i32) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(_, ppid)| ppid == parent)).collect()
}

#[test]
fn a_childs_result_comes_back_through_a_pipe() {
    let run = run_it(&spec("native/process-queue", TaskKind::None));
    assert_done(&run);
    assert_eq!(number(&run, "factorial_of_5"), 120);
    assert!((1..1_000_000_000).contains(&number(&run, "through_the_pipe_ns")));
    let [child] = &run.workers[..] else { panic!("{:?}", run.workers) };
    assert_ne!(child.pid, run.root_pid);
    assert_eq!(child.status, Some(ExitStatus::Code(0)));
    assert_eq!(units_done(&run), 1);
}

#[test]
fn a_child_that_dies_before_it_sends_fails_the_run() {
    let launcher = launcher();
    // The first thing the child does is to wait; it is killed while it does, before or after it has sent.
    let id = launcher.launch(RunSpec { hold_ms: 500, ..spec("native/process-queue", TaskKind::None) }).unwrap();
    let victim = await_workers(&launcher, id, 1).workers[0].pid.unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim), nix::sys::signal::Signal::SIGKILL).unwrap();
    let RunPhase::Ended(Outcome::Failed(why)) = &await_end(&launcher, id).phase else { panic!("it is not done") };
    assert_eq!(*why, format!("worker 0 (pid {victim}) was killed by SIGKILL"));
}

#[test]
fn only_what_a_child_writes_to_is_copied() {
    let mb = 32;
    let run = run_it(&RunSpec { parent_mb: mb, ..spec("native/copy-on-write", TaskKind::None) });
    assert_done(&run);
    let growth = |act: &str| number(&run, &format!("{act}_private_growth_bytes"));
    let all = u64::from(mb) << 20;
    assert!(number(&run, "parent_private_bytes") >= all);
    assert!(growth("untouched") < all / 16, "{}", growth("untouched"));
    assert!(growth("read") < all / 16, "reading copies nothing: {}", growth("read"));
    assert!((all / 5..all / 2).contains(&growth("quarter_written")), "{}", growth("quarter_written"));
    assert!((all / 10 * 9..all / 10 * 12).contains(&growth("written")), "{}", growth("written"));
    assert!(number(&run, "written_private_before_bytes") < all / 16, "it was shared before");
    // The parent's, a quarter and a whole copy; looked at again when they were there.
    assert!(run.costs.peak_pss_bytes.is_some_and(|pss| pss > all * 2), "{:?}", run.costs.peak_pss_bytes);
}

#[test]
fn sleeping_threads_wake_and_print_in_the_order_of_their_sleeps() {
    let run = run_it(&RunSpec { task_size: Some(60), ..spec("native/sleep-threads", TaskKind::Sleep) });
    assert_done(&run);
    let lines: Vec<&str> = run.output.lines().collect();
    assert_eq!(lines.len(), 11, "{}", run.output);
    assert!(lines[10].starts_with("thread 0 slept 0.600 s, awake after 0."), "the longest sleep ends last: {}", run.output);
    let (together, one_by_one) = (number(&run, "slept_together_ns"), number(&run, "slept_one_after_the_other_ns"));
    assert_eq!(one_by_one, 20 * 60_000_000);
    assert!(together >= 600_000_000 && together < one_by_one / 4 * 3, "{together}");
    let long = &run.workers[0].spans[0];
    for worker in &run.workers[1..] {
        assert!(worker.spans[0].start_ns < long.end_ns.unwrap() && long.start_ns < worker.spans[0].end_ns.unwrap());
        assert!(worker.spans[0].end_ns < long.end_ns, "it woke while the first one slept");
    }
}

#[test]
fn three_ways_to_wait_for_sockets_fetch_the_same_at_another_price() {
    let fetch = |system: &str| {
        let run = run_it(&RunSpec { tasks: 20, task_size: Some(50), ..spec(system, TaskKind::Http) });
        assert_done(&run);
        assert_eq!(units_done(&run), 20);
        assert_eq!(number(&run, "bytes_received"), 20 * 31 * 32);
        run
    };
    let (blocking, spin, epoll) =
        (fetch("native/socket-blocking"), fetch("native/socket-nonblocking"), fetch("native/socket-epoll"));
    let (wall, cpu) = (|run| number(run, "fetch_wall_ns"), |run| number(run, "client_cpu_ns"));
    assert!(wall(&blocking) >= 20 * 50_000_000, "one wait after the other: {}", wall(&blocking));
    for at_once in [&spin, &epoll] {
        assert!((50_000_000..wall(&blocking) / 2).contains(&wall(at_once)), "all waits at once: {}", wall(at_once));
    }
    assert!(cpu(&spin) > 3 * cpu(&epoll), "asking all the time costs: {} and {}", cpu(&spin), cpu(&epoll));
    assert!(number(&spin, "recv_calls_in_vain") > 20 * 20, "{:?}", spin.values);
    assert!(number(&epoll, "recv_calls") <= 3 * 20 && number(&epoll, "select_calls") <= 2 * 20, "{:?}", epoll.values);
    assert!(number(&blocking, "client_voluntary_switches") >= 20, "it slept for each: {:?}", blocking.values);
    assert!(number(&spin, "client_voluntary_switches") < 20, "it never slept: {:?}", spin.values);
}
