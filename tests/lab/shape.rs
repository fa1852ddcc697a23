//! Every native system in a real run: PIDs, TIDs, parents, states, and reports.

use std::collections::BTreeSet;

use concmon::lab::catalog::{Backend, RunSpec, SYSTEMS, TaskKind};
use concmon::lab::launcher::LaunchError;
use concmon::lab::protocol::Creation;
use concmon::lab::run::{Outcome, Run, RunPhase};
use concmon::snapshot::ExitStatus;

use crate::support::lab::{await_end, await_run, await_workers, launcher, run_it, spec};
use crate::support::python::can_run;

fn assert_done(run: &Run) {
    assert_eq!(run.phase, RunPhase::Ended(Outcome::Done), "{}: {:?} {}", run.spec.system, run.warnings, run.output);
    assert!(run.shape.len() >= 2, "{}: it was looked at while it held still", run.spec.system);
    assert!(run.shape.iter().all(|c| c.met), "{}: {:?}", run.spec.system, run.shape);
    assert_eq!(run.lines_lost, 0);
    assert_eq!(run.output.is_empty(), run.spec.system != "native/sleep-threads", "only that one prints: {}", run.output);
}

fn pids(run: &Run) -> BTreeSet<i32> {
    run.workers.iter().filter_map(|w| w.pid).collect()
}

fn tids(run: &Run) -> BTreeSet<i32> {
    run.workers.iter().filter_map(|w| w.tid).collect()
}

/// Every unit of work was done once, within its worker's life.
fn assert_worked(run: &Run) {
    let mut units: Vec<u32> = run.workers.iter().flat_map(|w| w.spans.iter().map(|s| s.index)).collect();
    units.sort_unstable();
    assert_eq!(units, (0..run.spec.tasks).collect::<Vec<_>>(), "{}", run.spec.system);
    for worker in &run.workers {
        for span in &worker.spans {
            assert!(worker.ready_ns.is_some_and(|ready| ready <= span.start_ns), "worked before it was there: {worker:?}");
            assert!(span.end_ns.is_some_and(|end| end >= span.start_ns));
        }
    }
}

#[test]
fn every_native_system_meets_its_shape_and_does_its_work() {
    for system in SYSTEMS.iter().filter(|s| s.backend == Backend::Native && can_run(s.id)) {
        let run = run_it(&system.defaults());
        assert_done(&run);
        // That one counts its thousands of sleeps and notes none.
        if system.params.tasks.is_some() && system.id != "native/async-vs-threads" {
            assert_worked(&run);
        }
        assert_eq!(run.workers.len(), run.spec.workers as usize, "{}", system.id);
        assert!(run.costs.wall_ns.is_some_and(|ns| ns > 0), "{}", system.id);
        assert!(run.costs.peak_rss_bytes.is_some_and(|b| b > 0), "{}", system.id);
        assert!(run.costs.peak_pss_bytes.is_some_and(|b| b > 0), "{}", system.id);
        assert!(run.costs.user_ns.zip(run.costs.sys_ns).is_some_and(|(u, s)| u + s > 0), "{}", system.id);
        assert!(run.costs.teardown_ns.is_some(), "{}", system.id);
    }
}

#[test]
fn process_systems_have_a_pid_and_an_exit_for_each_worker() {
    let how = [
        ("native/fork", Creation::Fork),
        ("native/exec", Creation::ForkExec),
        ("native/spawn", Creation::Spawn),
        ("native/forkserver", Creation::ForkServer),
        ("native/process-pool", Creation::Fork),
    ];
    for (system, how) in how {
        let run = run_it(&RunSpec { workers: 5, ..spec(system, TaskKind::Factorial) });
        assert_done(&run);
        let root = run.root_pid.unwrap();
        assert_eq!(pids(&run).len(), 5, "{system}");
        assert!(!pids(&run).contains(&root));
        for worker in &run.workers {
            assert_eq!(worker.how, Some(how));
            assert_eq!(worker.pid, worker.tid, "a worker process's only task is its leader");
            assert_eq!(worker.status, Some(ExitStatus::Code(0)));
            assert!(worker.creation_ns().is_some_and(|ns| ns > 0));
        }
    }
}

#[test]
fn thread_systems_have_a_tid_for_each_worker_in_the_roots_pid() {
    for system in ["native/thread", "native/thread-pool"] {
        let run = run_it(&RunSpec { workers: 6, ..spec(system, TaskKind::Factorial) });
        assert_done(&run);
        let root = run.root_pid.unwrap();
        assert_eq!(pids(&run), [root].into(), "{system}");
        assert_eq!(tids(&run).len(), 6, "{system}");
        assert!(!tids(&run).contains(&root));
        assert!(run.workers.iter().all(|w| w.how == Some(Creation::Thread) && w.exited_ns.is_some()));
    }
}

#[test]
fn async_tasks_share_one_tid_and_their_sleeps_overlap() {
    let spec = RunSpec { workers: 50, tasks: 50, task_size: Some(50), ..spec("native/event-loop", TaskKind::Sleep) };
    let run = run_it(&spec);
    assert_done(&run);
    assert_worked(&run);
    assert_eq!(tids(&run), [run.root_pid.unwrap()].into());
    assert!(run.workers.iter().all(|w| w.how == Some(Creation::AsyncTask) && w.creation_ns().is_some() && w.exited_ns.is_some()));
    let one_by_one = 50 * 50_000_000;
    assert!(run.costs.wall_ns.is_some_and(|wall| wall < one_by_one / 2), "{:?}", run.costs.wall_ns);
}

#[test]
fn a_computation_on_an_event_loop_holds_the_others_up() {
    let run = run_it(&RunSpec { task_size: Some(300), ..spec("native/event-loop", TaskKind::Pi) });
    assert_done(&run);
    let mut spans: Vec<_> = run.workers.iter().flat_map(|w| &w.spans).map(|s| (s.start_ns, s.end_ns.unwrap())).collect();
    spans.sort_unstable();
    assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "never two at a time: {spans:?}");
}

#[test]
fn sequential_is_the_root_alone() {
    let run = run_it(&spec("native/sequential", TaskKind::Factorial));
    assert_done(&run);
    assert_eq!((pids(&run), tids(&run)), ([run.root_pid.unwrap()].into(), [run.root_pid.unwrap()].into()));
    assert_eq!(run.costs.creation_ns, None, "nothing was created, so nothing can have taken time");
}

#[test]
fn forkserver_workers_are_children_of_one_server() {
    let launcher = launcher();
    let id = launcher.launch(RunSpec { hold_ms: 60_000, ..spec("native/forkserver", TaskKind::None) }).unwrap();
    let run = await_run(&launcher, id, "the family was seen whole", |run| run.family.len() == 6);
    let root = run.root_pid.unwrap();
    let parents: BTreeSet<i32> = run.family.iter().filter(|m| pids(&run).contains(&m.pid)).map(|m| m.ppid).collect();
    let server = *parents.first().unwrap();
    assert_eq!(parents.len(), 1);
    assert_ne!(server, root);
    assert_eq!(run.family.iter().find(|m| m.pid == server).unwrap().ppid, root);
    launcher.stop(id);
    assert_eq!(await_end(&launcher, id).phase, RunPhase::Ended(Outcome::Stopped));
}

#[test]
fn each_state_is_held_by_the_child_that_should() {
    let launcher = launcher();
    let id = launcher.launch(RunSpec { hold_ms: 60_000, ..spec("native/states", TaskKind::None) }).unwrap();
    let run = await_run(&launcher, id, "the shape was checked", |run| !run.shape.is_empty());
    for (worker, letter) in run.workers.iter().zip("RSDTtZ".chars()) {
        let seen = run.family.iter().find(|m| Some(m.pid) == worker.pid).unwrap().state;
        assert_eq!(seen, letter, "worker {}", worker.index);
    }
    let ended = await_run(&launcher, id, "the last one was reaped", |run| run.workers[6].exited_ns.is_some());
    assert_eq!(ended.workers[6].status, Some(ExitStatus::Code(0)));
    launcher.stop_all();
    assert_eq!(await_end(&launcher, id).phase, RunPhase::Ended(Outcome::Stopped));
}

#[test]
fn touching_inherited_memory_copies_it_in_processes_but_not_in_threads() {
    let touch =
        |system| run_it(&RunSpec { workers: 2, tasks: 2, parent_mb: 16, task_size: Some(16), ..spec(system, TaskKind::Touch) });
    let faults = |run: &Run| run.values.iter().find(|v| v.name == "touch_minor_faults").and_then(|v| v.number).unwrap();
    let (fork, thread) = (touch("native/fork"), touch("native/thread"));
    assert_done(&fork);
    assert_done(&thread);
    // 16 MiB are 4,096 pages of 4 KiB, less where the kernel copies several at once.
    assert!(faults(&fork) > 2 * 100 && faults(&thread) < faults(&fork) / 2, "{} and {}", faults(&fork), faults(&thread));
    let (fork, thread) = (fork.costs.peak_pss_bytes.unwrap(), thread.costs.peak_pss_bytes.unwrap());
    assert!(fork > 40 << 20, "parent and two copies of 16 MiB: {fork}");
    assert!(thread < 30 << 20, "one memory of 16 MiB: {thread}");
}

#[test]
fn every_system_gets_the_same_numbers_from_a_seed() {
    let results = |system| {
        let run = run_it(&RunSpec { seed: 99, ..spec(system, TaskKind::Factorial) });
        run.values.iter().find(|v| v.name == "factorials").unwrap().text.clone()
    };
    assert_eq!(results("native/sequential"), results("native/process-pool"));
    assert_eq!(results("native/sequential"), results("native/spawn"));
}

#[test]
fn sleeping_workers_overlap() {
    let run = run_it(&RunSpec { workers: 8, tasks: 8, task_size: Some(100), ..spec("native/thread", TaskKind::Sleep) });
    assert_done(&run);
    let begun = run.workers.iter().filter_map(|w| w.spans.first()).map(|s| s.start_ns).max().unwrap();
    let ended = run.workers.iter().filter_map(|w| w.spans.first()?.end_ns).min().unwrap();
    assert!(begun < ended, "all eight sleep at one time");
}

#[test]
fn a_worker_that_is_killed_fails_the_run_by_name_and_the_others_finish() {
    let launcher = launcher();
    for system in ["native/fork", "native/spawn", "native/forkserver", "native/process-pool"] {
        let id = launcher.launch(RunSpec { hold_ms: 300, ..spec(system, TaskKind::Factorial) }).unwrap();
        let run = await_workers(&launcher, id, 4);
        let victim = run.workers[1].pid.unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim), nix::sys::signal::Signal::SIGKILL).unwrap();
        let run = await_end(&launcher, id);
        let RunPhase::Ended(Outcome::Failed(why)) = &run.phase else { panic!("{system}: {:?}", run.phase) };
        assert_eq!(*why, format!("worker 1 (pid {victim}) was killed by SIGKILL"), "{system}");
        assert_eq!(run.workers[0].status, Some(ExitStatus::Code(0)), "{system}: {:?}", run.workers);
    }
}

#[test]
fn a_run_that_takes_too_long_is_killed() {
    let long = RunSpec { timeout_ms: 200, tasks: 4, task_size: Some(60_000), ..spec("native/fork", TaskKind::Sleep) };
    assert_eq!(run_it(&long).phase, RunPhase::Ended(Outcome::TimedOut));
}

#[test]
fn specs_that_cannot_be_run_are_refused_at_once_with_the_figures() {
    let launcher = launcher();
    let fork = spec("native/fork", TaskKind::None);
    let refused = |spec: RunSpec| launcher.launch(spec).unwrap_err();
    let unknown = refused(RunSpec { system: "native/forksever".into(), ..fork.clone() });
    assert_eq!(unknown, LaunchError::UnknownSystem { id: "native/forksever".into(), nearest: Some("native/forkserver".into()) });
    assert_eq!(unknown.to_string(), "there is no lab system \"native/forksever\"; did you mean native/forkserver?");
    for (spec, figure) in [
        (RunSpec { workers: 0, ..fork.clone() }, "at least 1"),
        (RunSpec { workers: 1_000_000_000, ..fork.clone() }, "1000000000 workers exceed the limit of 256"),
        (RunSpec { tasks: 2_000_000, ..fork.clone() }, "2000000 tasks"),
        (RunSpec { timeout_ms: 0, ..fork.clone() }, "timeout"),
        (spec("native/exec", TaskKind::Touch), "cannot run the task touch"),
        (RunSpec { task_size: Some(4), ..fork.clone() }, "has no size"),
        (RunSpec { task: TaskKind::Touch, task_size: Some(8), parent_mb: 4, ..fork.clone() }, "the parent has 4 MiB"),
        (RunSpec { workers: 3, ..spec("native/states", TaskKind::None) }, "always has 7 workers"),
    ] {
        let LaunchError::BadOption(why) = refused(spec.clone()) else { panic!("{spec:?}") };
        assert!(why.contains(figure), "{why}");
    }
    for spec in [
        RunSpec { parent_mb: 60_000, ..fork.clone() },
        RunSpec { task: TaskKind::Touch, workers: 256, parent_mb: 1_000, task_size: Some(1_000), ..fork },
    ] {
        let LaunchError::TooLarge(why) = refused(spec.clone()) else { panic!("{spec:?}") };
        assert!(why.contains("MiB are available"), "{why}");
    }
    assert!(launcher.watch().borrow().runs.is_empty(), "what was refused leaves no trace");
}
