//! Pools of processes and threads that people use: what is special about each.
//!
//! Systems whose packages or interpreter are missing are skipped loudly.

use concmon::lab::catalog::{RunSpec, StartMethod, TaskKind, find};
use concmon::lab::protocol::Creation;
use concmon::lab::run::Run;

use crate::support::lab::{launcher, run_it, run_on, spec};
use crate::support::python::{assert_done, interpreters, named, no_python};

/// Every one of them.
pub const SYSTEMS: &[&str] =
    &["python/pool", "python/pool-imap", "python/pool-max-tasks", "python/spawn-preload", "python/no-gil-pool"];

/// The number that a run reports under this name.
fn value(run: &Run, name: &str) -> u64 {
    let found = run.values.iter().find(|v| v.name == name);
    found.and_then(|v| v.number).unwrap_or_else(|| panic!("{} has no value {name}: {:?}", run.spec.system, run.values))
}

fn sent(run: &Run) -> u64 {
    run.costs.sent_bytes.unwrap_or_else(|| panic!("{}: bytes that were sent", run.spec.system))
}

#[test]
fn a_pool_looks_the_same_on_every_interpreter() {
    if no_python() {
        return;
    }
    let launcher = launcher().with_pythons(named());
    for interpreter in interpreters() {
        for (method, how) in [
            (StartMethod::Fork, Creation::Fork),
            (StartMethod::Spawn, Creation::Spawn),
            (StartMethod::Forkserver, Creation::ForkServer),
        ] {
            let on = RunSpec {
                python: Some(interpreter.path.clone()),
                start_method: Some(method),
                ..find("python/pool").unwrap().defaults()
            };
            let run = run_on(&launcher, &on);
            assert_done(&run);
            assert_eq!(run.output, "", "{method:?} with {}", interpreter.path.display());
            assert_eq!(run.workers.len(), 4, "{method:?}");
            assert!(run.workers.iter().all(|w| w.how == Some(how)), "{:?}", run.workers);
        }
        for system in ["python/pool-imap", "python/pool-max-tasks", "python/spawn-preload"] {
            let run = run_on(&launcher, &RunSpec { python: Some(interpreter.path.clone()), ..find(system).unwrap().defaults() });
            assert_done(&run);
            assert_eq!(run.output, "", "{system} with {}", interpreter.path.display());
        }
    }
}

#[test]
fn map_sends_chunks_and_imap_single_tasks() {
    if no_python() {
        return;
    }
    let forked = |system| RunSpec { start_method: Some(StartMethod::Fork), tasks: 160, ..spec(system, TaskKind::Factorial) };
    let (map, imap) = (run_it(&forked("python/pool")), run_it(&forked("python/pool-imap")));
    assert_eq!((value(&map, "tasks_per_message"), value(&imap, "tasks_per_message")), (10, 1));
    // The head of a message costs more than the number of a task in it.
    assert!(sent(&imap) > sent(&map) * 2, "{} and {}", sent(&imap), sent(&map));
}

#[test]
fn a_worker_with_two_tasks_behind_it_is_replaced() {
    if no_python() {
        return;
    }
    for method in [StartMethod::Fork, StartMethod::Forkserver] {
        let run = run_it(&RunSpec {
            start_method: Some(method),
            workers: 3,
            tasks: 12,
            ..spec("python/pool-max-tasks", TaskKind::Factorial)
        });
        assert_done(&run);
        assert!(run.workers.iter().all(|w| w.spans.len() <= 2), "{:?}", run.workers);
        let worked = run.workers.iter().filter(|w| !w.spans.is_empty()).count();
        assert!(worked >= 6, "12 tasks of at most 2 each need 6 processes: {worked}");
        let mut pids: Vec<i32> = run.workers.iter().filter_map(|w| w.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        assert_eq!(pids.len() as u64, value(&run, "processes_in_all"), "each is a process of its own");
    }
}
