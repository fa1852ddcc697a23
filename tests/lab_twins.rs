//! The native systems that show one thing each, run for real: their tasks, what they report, and that it is as the lesson says.
//! Orderings are asserted with wide margins: the machine that runs this may be busy.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/lab.rs"]
mod support;

use std::sync::Arc;

use concmon::lab::catalog::{Backend, RunSpec, SYSTEMS, TaskKind};
use concmon::lab::run::{Outcome, Run, RunPhase};
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
