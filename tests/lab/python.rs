//! Every Python system that an interpreter of this machine supports: shape, work and results of real runs.
//!
//! Systems that no interpreter here supports are skipped loudly, with the reason.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use concmon::lab::catalog::{Backend, PythonStart, RunSpec, SYSTEMS, StartMethod, System, TaskKind, find, python_program};
use concmon::lab::launcher::LaunchError;
use concmon::lab::protocol::Creation;
use concmon::lab::run::{Outcome, Run, RunPhase};

use crate::support::lab::{await_end, await_workers, launcher, run_it, run_on, spec, variable};
use crate::support::python::{assert_done, available, interpreters, named, no_python};
use crate::support::together::at_a_time;

fn python_systems() -> impl Iterator<Item = &'static System> {
    SYSTEMS.iter().filter(|s| s.backend == Backend::Python)
}

/// Every unit of work was done once, within the life of its worker.
fn assert_worked(run: &Run) {
    let mut units: Vec<u32> = run.workers.iter().flat_map(|w| w.spans.iter().map(|s| s.index)).collect();
    units.sort_unstable();
    assert_eq!(units, (0..run.spec.tasks).collect::<Vec<_>>(), "{}", run.spec.system);
    for worker in &run.workers {
        assert!(worker.creation_ns().is_some_and(|ns| ns > 0), "{}: {worker:?}", run.spec.system);
        assert!(worker.exited_ns.is_some(), "{}: its end was seen: {worker:?}", run.spec.system);
        for span in &worker.spans {
            assert!(worker.ready_ns.is_some_and(|ready| ready <= span.start_ns), "worked before it was there: {worker:?}");
            assert!(span.end_ns.is_some_and(|end| end >= span.start_ns));
        }
    }
}

#[test]
fn every_python_system_meets_its_shape_and_does_its_work() {
    if no_python() {
        return;
    }
    let launcher = launcher().with_pythons(named());
    let ran = AtomicUsize::new(0);
    // Those that need packages: `schemas::runs_of_every_pool_and_of_every_system_that_needs_packages`.
    let plain = |s: &&System| python_program(s.id).is_some_and(|program| program.packages.is_empty());
    at_a_time(2, python_systems().filter(plain).filter(|s| available(s.id)), |system| {
        let run = run_on(&launcher, &system.defaults());
        assert_done(&run);
        if system.params.tasks.is_some() && run.spec.task != TaskKind::None && system.id != "python/async-vs-threads" {
            assert_worked(&run);
        }
        assert!(run.costs.wall_ns.is_some_and(|ns| ns > 0), "{}", system.id);
        assert!(run.costs.user_ns.zip(run.costs.sys_ns).is_some_and(|(u, s)| u + s > 0), "{}", system.id);
        assert!(run.costs.peak_pss_bytes.is_some_and(|b| b > 0), "{}", system.id);
        assert!(run.costs.voluntary_switches.is_some(), "{}", system.id);
        ran.fetch_add(1, Relaxed);
    });
    let ran = ran.into_inner();
    assert!(ran > 20, "only {ran} Python systems ran: is there no python3 of at least 3.11 on PATH?");
}

#[test]
fn the_start_methods_look_the_same_on_every_interpreter() {
    if no_python() {
        return;
    }
    let launcher = launcher().with_pythons(named());
    for interpreter in interpreters() {
        for method in StartMethod::ALL {
            for system in ["python/process-pool-executor", "python/process-queue"] {
                let start_method = Some(method);
                let run = run_on(
                    &launcher,
                    &RunSpec { python: Some(interpreter.path.clone()), start_method, ..find(system).unwrap().defaults() },
                );
                assert_done(&run);
                let how = match method {
                    StartMethod::Fork => Creation::Fork,
                    StartMethod::Spawn => Creation::Spawn,
                    StartMethod::Forkserver => Creation::ForkServer,
                };
                assert!(run.workers.iter().all(|w| w.how == Some(how)), "{:?}", run.workers);
            }
        }
        let run = run_on(
            &launcher,
            &RunSpec { python: Some(interpreter.path.clone()), ..find("python/process-pool-executor").unwrap().defaults() },
        );
        assert_eq!(run.spec.start_method, Some(interpreter.start_method), "the interpreter's own default is used and told");
    }
}

#[test]
fn python_and_native_get_the_same_numbers_from_a_seed() {
    if no_python() {
        return;
    }
    let factorials = |system| {
        let run = run_it(&RunSpec { seed: 99, ..spec(system, TaskKind::Factorial) });
        run.values.iter().find(|v| v.name == "factorials").unwrap().text.clone()
    };
    let native = factorials("native/sequential");
    for system in ["python/sequential", "python/process-pool-executor", "python/thread", "python/asyncio", "python/fork"] {
        assert_eq!(factorials(system), native, "{system}");
    }
    let digits = |system| {
        let run = run_it(&RunSpec { tasks: 1, task_size: Some(500), ..spec(system, TaskKind::Pi) });
        run.values.iter().find(|v| v.name == "pi_last_9_digits").unwrap().text.clone()
    };
    assert_eq!(digits("native/sequential"), digits("python/sequential"));
}

/// What the compiler leaves in the heap would else be in each forked worker.
#[test]
fn modules_are_compiled_before_the_root_starts_and_that_is_no_part_of_its_start() {
    if no_python() {
        return;
    }
    let launcher = launcher().with_pythons(named());
    let id = launcher.launch(RunSpec { hold_ms: 60_000, ..spec("python/fork", TaskKind::Factorial) }).unwrap();
    let run = await_workers(&launcher, id, 4);
    let compiled = std::fs::read_dir(format!("{}/__pycache__", variable(&run, "TMPDIR"))).unwrap();
    let names: Vec<String> = compiled.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    // Its root imports the one, and nothing of it the other.
    assert!(["lab_root.", "lab_celery."].iter().all(|module| names.iter().any(|name| name.starts_with(module))), "{names:?}");
    let started: u64 = variable(&run, "CONCMON_LAB_STARTED").parse().unwrap();
    let first = run.workers.iter().filter_map(|worker| worker.ready_ns).min().unwrap();
    assert!(run.started_ns < started && started + run.costs.root_start_ns.unwrap() < first, "{started} {run:#?}");
}

#[test]
fn a_process_is_known_by_its_pid_and_its_end_by_its_status() {
    if no_python() {
        return;
    }
    for system in ["python/fork", "python/exec", "python/process-fork", "python/process-spawn", "python/process-forkserver"] {
        let run = run_it(&RunSpec { workers: 3, ..spec(system, TaskKind::Factorial) });
        assert_done(&run);
        let mut pids: Vec<i32> = run.workers.iter().filter_map(|w| w.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        assert_eq!(pids.len(), 3, "{system}");
        assert!(!pids.contains(&run.root_pid.unwrap()));
        assert!(
            run.workers.iter().all(|w| w.status == Some(concmon::snapshot::ExitStatus::Code(0))),
            "{system}: {:?}",
            run.workers
        );
    }
}

#[test]
fn a_worker_that_is_killed_fails_the_run_and_the_others_finish() {
    if no_python() {
        return;
    }
    let launcher = launcher();
    for system in ["python/fork", "python/process-fork", "python/process-spawn", "python/process-forkserver"] {
        let id = launcher.launch(RunSpec { hold_ms: 700, ..spec(system, TaskKind::Factorial) }).unwrap();
        let run = await_workers(&launcher, id, 4);
        let victim = run.workers[1].pid.unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim), nix::sys::signal::Signal::SIGKILL).unwrap();
        let run = await_end(&launcher, id);
        let RunPhase::Ended(Outcome::Failed(why)) = &run.phase else { panic!("{system}: {:?}", run.phase) };
        assert_eq!(*why, format!("worker 1 (pid {victim}) was killed by SIGKILL"), "{system}");
        assert_eq!(run.workers[0].status, Some(concmon::snapshot::ExitStatus::Code(0)), "{system}: {:?}", run.workers);
    }
}

#[test]
fn a_worker_that_crashes_is_named_and_one_that_hangs_is_killed_in_time() {
    if no_python() {
        return;
    }
    let launcher = launcher();
    let signal = |pid: i32, signal| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
    for system in ["python/fork", "python/process-spawn", "python/process-forkserver"] {
        let id = launcher.launch(RunSpec { hold_ms: 700, ..spec(system, TaskKind::Factorial) }).unwrap();
        let victim = await_workers(&launcher, id, 4).workers[2].pid.unwrap();
        signal(victim, nix::sys::signal::Signal::SIGSEGV);
        let RunPhase::Ended(Outcome::Failed(why)) = await_end(&launcher, id).phase.clone() else { panic!("{system}") };
        assert_eq!(why, format!("worker 2 (pid {victim}) was killed by SIGSEGV"), "{system}");

        // One that is stopped answers nothing and takes no SIGTERM.
        let hung = RunSpec { timeout_ms: 2_500, hold_ms: 500, ..spec(system, TaskKind::Factorial) };
        let id = launcher.launch(hung).unwrap();
        let run = await_workers(&launcher, id, 4);
        signal(run.workers[2].pid.unwrap(), nix::sys::signal::Signal::SIGSTOP);
        let run = await_end(&launcher, id);
        assert_eq!(run.phase, RunPhase::Ended(Outcome::TimedOut), "{system}");
        for worker in &run.workers {
            let gone = !std::path::Path::new(&format!("/proc/{}", worker.pid.unwrap())).exists();
            assert!(gone, "{system}: worker {} is left", worker.index);
        }
    }
}

#[test]
fn a_traceback_is_kept_whole() {
    if no_python() {
        return;
    }
    // A task that the program does not know: the catalog would refuse it, the program must too, with its traceback.
    let launcher = launcher();
    let id = launcher.launch(RunSpec { hold_ms: 700, ..spec("python/process-pool-executor", TaskKind::Factorial) }).unwrap();
    let run = await_workers(&launcher, id, 4);
    for worker in &run.workers {
        if let Some(pid) = worker.pid {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
    let run = await_end(&launcher, id);
    // Killed while it works, the pool says that it is broken; killed while it idles, no further call finds it broken.
    match &run.phase {
        RunPhase::Ended(Outcome::Failed(why)) => {
            assert!(why.contains("terminated abruptly"), "{why}");
            assert!(
                run.output.contains("Traceback (most recent call last):") && run.output.contains("BrokenProcessPool"),
                "{}",
                run.output
            );
        }
        RunPhase::Ended(Outcome::Done) => {
            assert!(run.workers.iter().any(|w| matches!(w.status, Some(concmon::snapshot::ExitStatus::Signal { .. }))));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_protocol_costs_less_than_a_fiftieth_of_the_work() {
    if no_python() {
        return;
    }
    for system in ["python/process-pool-executor", "python/thread-pool-executor", "python/gil-threads", "python/asyncio"] {
        let run = run_it(&RunSpec { workers: 2, tasks: 20, ..spec(system, TaskKind::Pi) });
        assert_done(&run);
        let (own, cpu) = (run.costs.protocol_ns.unwrap(), run.costs.user_ns.unwrap() + run.costs.sys_ns.unwrap());
        eprintln!("{system}: protocol {own} ns of {cpu} ns CPU, {:.2}%", own as f64 * 100.0 / cpu as f64);
        assert!(own * 50 < cpu, "{system}: {own} ns of {cpu} ns");
    }
}

#[test]
fn what_cannot_run_is_refused_with_what_would_help() {
    if no_python() {
        return;
    }
    let launcher = launcher();
    let refused = |spec: RunSpec| launcher.launch(spec).unwrap_err();
    let not_there = RunSpec { python: Some("/nowhere/python3".into()), ..spec("python/fork", TaskKind::Factorial) };
    assert!(
        matches!(refused(not_there), LaunchError::Unavailable(why) if why.contains("/nowhere/python3 cannot run the lab: it cannot be executed"))
    );
    let other = RunSpec { start_method: Some(StartMethod::Spawn), ..spec("python/process-fork", TaskKind::Factorial) };
    assert!(matches!(refused(other), LaunchError::BadOption(why) if why.contains("always uses start method fork")));
    let none = RunSpec { start_method: Some(StartMethod::Spawn), ..spec("python/thread", TaskKind::Factorial) };
    assert!(matches!(refused(none), LaunchError::BadOption(why) if why.contains("remove --start-method spawn")));
}

#[test]
fn fixed_start_methods_are_what_the_ids_say() {
    for (id, method) in
        [("python/process-fork", "fork"), ("python/process-spawn", "spawn"), ("python/process-forkserver", "forkserver")]
    {
        assert_eq!(python_program(id).map(|p| p.start), StartMethod::from_name(method).map(PythonStart::Fixed), "{id}");
    }
}
