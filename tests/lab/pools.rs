//! Pools of processes and threads that people use: what is special about each.
//!
//! Systems whose packages or interpreter are missing are skipped loudly.

use std::sync::Arc;

use concmon::lab::catalog::{RunSpec, Section, StartMethod, TaskKind, find};
use concmon::lab::launcher::Launcher;
use concmon::lab::protocol::Creation;
use concmon::lab::roles;
use concmon::lab::run::{Outcome, Run, RunPhase};

use crate::servers::SERVERS;
use crate::support::lab::{await_end, await_run, launcher, number, run_it, run_on, spec};
use crate::support::python::{assert_done, available, interpreters, named, no_python};
use crate::support::together::at_a_time;

/// The systems that are no web servers.
const POOLS: &[&str] = &[
    "python/pool",
    "python/pool-imap",
    "python/pool-max-tasks",
    "python/spawn-preload",
    "python/no-gil-pool",
    "python/trio",
    "python/loky",
    "python/joblib",
    "python/dask-local",
    "python/celery",
];

/// Every system of a pool or a server.
pub fn systems() -> impl Iterator<Item = &'static str> {
    POOLS.iter().copied().chain(SERVERS.iter().map(|(id, _)| *id))
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

/// Two workers of a system, with tasks that take no time.
fn two(system: &str) -> RunSpec {
    RunSpec { workers: 2, ..spec(system, TaskKind::Factorial) }
}

/// Such a run. Its shape is tested elsewhere.
fn tiny_tasks(launcher: &Launcher, spec: &RunSpec) -> Arc<Run> {
    let run = run_on(launcher, spec);
    assert_eq!(run.phase, RunPhase::Ended(Outcome::Done), "{}: {}", spec.system, run.output);
    run
}

fn least_creation(run: &Run) -> u64 {
    run.workers.iter().filter_map(|w| w.creation_ns()).min().unwrap()
}

/// Nanoseconds that one more task costs: of so many, beside 40.
fn each_ns(many: u32, run: impl Fn(u32) -> Arc<Run>) -> u64 {
    let wall = |tasks| run(tasks).costs.wall_ns.unwrap();
    wall(many).saturating_sub(wall(40)) / u64::from(many - 40)
}

#[test]
fn starts_and_tasks_of_pools_cost_in_this_order() {
    let [executor, loky, dask] = ["python/process-pool-executor", "python/loky", "python/dask-local"];
    if ![executor, loky, dask].into_iter().all(available) {
        return;
    }
    let found = concmon::lab::python::interpreters(&named());
    let python = concmon::lab::python::choose(find(dask).unwrap(), None, &found).unwrap().path;
    let launcher = launcher().with_pythons(named());
    let of = |system, tasks| tiny_tasks(&launcher, &RunSpec { tasks, python: Some(python.clone()), ..two(system) });
    let (forked, fresh) = (least_creation(&of(executor, 40)), least_creation(&of(loky, 40)));
    assert!(fresh > 5 * forked, "loky starts an interpreter for each worker: {fresh} and {forked}");
    let (queue, scheduler) = (each_ns(1_000, |tasks| of(executor, tasks)), each_ns(1_000, |tasks| of(dask, tasks)));
    assert!(scheduler > 4 * queue, "a task through dask's scheduler costs more: {scheduler} and {queue}");
}

#[test]
fn a_warm_pool_and_a_preloaded_server_are_cheaper() {
    let [executor, pool, spawn, preload] =
        ["python/process-pool-executor", "python/pool", "python/process-spawn", "python/spawn-preload"];
    if ![executor, pool, spawn, preload].into_iter().all(available) {
        return;
    }
    let launcher = launcher().with_pythons(named());
    let of = |system, tasks| tiny_tasks(&launcher, &RunSpec { tasks, ..two(system) });
    let (fresh, forked) = (least_creation(&of(spawn, 4)), least_creation(&of(preload, 4)));
    assert!(fresh > 2 * forked, "a fresh interpreter, and a fork of one that has imported all: {fresh} and {forked}");
    let (single, chunks) = (each_ns(2_000, |tasks| of(executor, tasks)), each_ns(2_000, |tasks| of(pool, tasks)));
    assert!(single > 2 * chunks, "a queue entry for each task, and one for many: {single} and {chunks}");
}

#[test]
fn threads_without_the_gil_want_as_many_cpus_as_they_are() {
    let [without, with] = ["python/no-gil-pool", "python/thread-pool-executor"];
    if ![without, with].into_iter().all(available) {
        return;
    }
    let launcher = launcher().with_pythons(named());
    // What they ran and what they waited for a CPU: other programs may have the CPUs, the GIL makes threads sleep.
    let wanted = |system: &str| {
        let run = run_on(&launcher, &RunSpec { workers: 2, tasks: 10, task_size: Some(2_000), ..spec(system, TaskKind::Pi) });
        assert_done(&run);
        let costs = &run.costs;
        let parts = [costs.user_ns, costs.sys_ns, costs.run_delay_ns].map(|part| part.unwrap() as f64);
        parts.iter().sum::<f64>() / costs.wall_ns.unwrap() as f64
    };
    let (without, with) = (wanted(without), wanted(with));
    assert!(
        without > 1.5 && without > with * 1.3,
        "CPUs that two threads want, without the GIL and with it: {without:.2} and {with:.2}"
    );
}

#[test]
fn map_sends_chunks_and_imap_single_tasks() {
    if no_python() {
        return;
    }
    let forked = |system| RunSpec { start_method: Some(StartMethod::Fork), tasks: 160, ..spec(system, TaskKind::Factorial) };
    let (map, imap) = (run_it(&forked("python/pool")), run_it(&forked("python/pool-imap")));
    assert_eq!((number(&map, "tasks_per_message"), number(&imap, "tasks_per_message")), (10, 1));
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
        assert_eq!(pids.len() as u64, number(&run, "processes_in_all"), "each is a process of its own");
    }
}

/// A run of the system with three workers, each of which has worked, that stays.
fn kept(launcher: &Launcher, id: &str) -> Arc<Run> {
    let stays = RunSpec { workers: 3, tasks: 6, hold_ms: 60_000, timeout_ms: 120_000, ..spec(id, TaskKind::Factorial) };
    let run = launcher.launch(stays).unwrap();
    let run = await_run(launcher, run, "it holds, was looked at, and its workers are there", |run| {
        // The first worker may have done all tasks before the others are there.
        let there = run.workers.iter().filter(|w| w.ready_ns.is_some()).count();
        run.ended() || (run.hold_began_ns().is_some() && !run.shape.is_empty() && there >= 3)
    });
    assert!(!run.ended(), "{id}: {:?}\n{}", run.phase, run.output);
    run
}

#[test]
fn every_process_that_a_pool_starts_has_a_role() {
    let launcher = launcher().with_pythons(named());
    let processes = |id: &&str| find(id).is_some_and(|s| s.section == Section::Processes);
    at_a_time(2, systems().filter(processes).filter(|id| available(id)), |id| {
        let run = kept(&launcher, id);
        let workers: Vec<i32> = run.workers.iter().filter_map(|w| w.pid).collect();
        for member in run.family.iter().filter(|m| Some(m.pid) != run.root_pid && !workers.contains(&m.pid) && m.state != 'Z') {
            let line = std::fs::read(format!("/proc/{}/cmdline", member.pid)).unwrap_or_default();
            let role = roles::process(&run, &line);
            assert_ne!(role, "helper process", "{id}: {}", String::from_utf8_lossy(&line));
        }
        launcher.stop(run.id);
        await_end(&launcher, run.id);
    });
}

/// Local addresses of the TCP sockets that these processes listen on, as `/proc/net/tcp` and `tcp6` give them (proc_pid_net(5)).
fn listening(pids: &[i32]) -> Vec<String> {
    let links = pids.iter().flat_map(|pid| std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten());
    let sockets: Vec<String> =
        links.filter_map(|fd| std::fs::read_link(fd.path()).ok()?.into_os_string().into_string().ok()).collect();
    let tables = ["tcp", "tcp6"].map(|name| std::fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1)).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let of_them = lines.filter(|f| f[3] == "0A" && sockets.contains(&format!("socket:[{}]", f[9])));
    of_them.map(|fields| fields[1].to_owned()).collect()
}

/// The fewest sockets that a run with three workers listens on.
const LISTENING: &[(&str, usize)] = &[
    // The scheduler and each worker.
    ("python/dask-local", 4),
    ("python/gunicorn-sync", 1),
    ("python/gunicorn-gthread", 1),
    ("python/gunicorn-uvicorn", 1),
    ("python/uvicorn", 1),
    ("python/granian", 1),
];

#[test]
fn what_listens_does_so_on_the_loopback_address_alone_and_at_no_known_port() {
    let launcher = launcher().with_pythons(named());
    at_a_time(2, LISTENING.iter().copied().filter(|(id, _)| available(id)), |(id, fewest)| {
        let run = kept(&launcher, id);
        let pids: Vec<i32> = run.family.iter().map(|m| m.pid).collect();
        let ports = listening(&pids);
        assert!(ports.len() >= fewest, "{id}: {ports:?}");
        let beyond: Vec<&String> = ports.iter().filter(|address| !address.starts_with("0100007F:")).collect();
        assert!(beyond.is_empty(), "{id}: {beyond:?}");
        // 8787 is dask's dashboard, 8000 what web servers take by themselves.
        let known = |address: &&String| ["2253", "1F40"].iter().any(|port| address.ends_with(&format!(":{port}")));
        assert_eq!(ports.iter().find(known), None, "{id}: {ports:?}");
        launcher.stop(run.id);
        await_end(&launcher, run.id);
    });
}
