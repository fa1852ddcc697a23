//! Run-queue delay and sent bytes of runs: known where possible, exact where they can be counted in another way, and unknown with a reason
//! elsewhere.

use std::process::Command;

use concmon::lab::catalog::{RunSpec, SYSTEMS, StartMethod, TaskKind, find};
use concmon::lab::measure::{Point, measure};
use concmon::lab::protocol::Creation;
use concmon::lab::python;
use concmon::lab::run::{Outcome, Run, RunPhase};

use crate::servers::SERVERS;
use crate::support::lab::{await_end, await_run, await_workers, launcher, run_it, spec};
use crate::support::python::{assert_done, available, named, no_python};

/// Systems in which tasks of the kernel come and go without being looked at, or never end.
const UNSEEN: [&str; 5] =
    ["native/async-vs-threads", "python/async-vs-threads", "python/thread", "python/anyio-tests", "native/states"];

/// Its processes send to each other through sockets, which are not counted.
const UNSENT: &str = "python/dask-local";

/// Whether its processes are those of a server of a package: what they wait and send is not counted.
fn is_server(id: &str) -> bool {
    id == "python/celery" || SERVERS.iter().any(|(server, _)| *server == id)
}

#[test]
fn every_system_tells_what_it_waited_and_what_its_processes_sent() {
    let launcher = launcher().with_pythons(named());
    for system in SYSTEMS.iter().filter(|s| available(s.id)) {
        let id = launcher.launch(system.defaults()).unwrap();
        let run = await_end(&launcher, id);
        let costs = &run.costs;
        let of_server = is_server(system.id);
        let seen = !UNSEEN.contains(&system.id) && !of_server;
        assert_eq!(costs.run_delay_ns.is_some(), seen, "{}: {:?}\n{}", system.id, run.warnings, run.output);
        let processes = run.workers.iter().any(|w| w.how.is_some_and(Creation::is_process));
        let sent = processes && !of_server && system.id != UNSENT;
        assert_eq!(costs.sent_bytes.is_some(), sent, "{}", system.id);
        for id in ["run_delay_ns", "sent_bytes"] {
            assert!(!(measure(id).unwrap().unknown)(Some(&Point::of(&run))).is_empty());
        }
        for known in [costs.user_ns, costs.minor_faults, costs.voluntary_switches, costs.teardown_ns, costs.peak_uss_bytes] {
            assert!(known.is_some(), "{}: {costs:?}", system.id);
        }
    }
}

/// Four workers to a CPU: while one computes three are ready and wait, however busy the machine is besides.
fn crowded(system: &str, size: u32) {
    if !available(system) {
        return;
    }
    let cpus = u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap();
    let workers = cpus * 4;
    let run = run_on_any(&RunSpec { workers, tasks: workers, task_size: Some(size), ..spec(system, TaskKind::Pi) });
    let cpu = run.costs.user_ns.unwrap() + run.costs.sys_ns.unwrap();
    let waited = run.costs.run_delay_ns.unwrap();
    assert!(waited > cpu, "{system}: {workers} workers on {cpus} CPUs waited {waited} ns and used {cpu} ns");
}

fn run_on_any(spec: &RunSpec) -> std::sync::Arc<Run> {
    let launcher = launcher().with_pythons(named());
    let id = launcher.launch(spec.clone()).unwrap();
    await_workers(&launcher, id, spec.workers);
    await_end(&launcher, id)
}

#[test]
fn who_shares_a_cpu_with_three_others_waits_for_it() {
    crowded("native/fork", 3_000);
    crowded("native/thread", 3_000);
    crowded("python/fork", 3_000);
}

#[test]
fn an_async_task_waits_with_its_thread_once() {
    // Ten tasks on few threads: were each task charged with all of its thread, they would have waited longer than there was time for.
    let run = run_on_any(&spec("native/tokio-multi", TaskKind::Pi));
    let threads = u64::from(concmon::lab::catalog::TOKIO_THREADS) + 1;
    let life = run.costs.wall_ns.unwrap() + run.workers.iter().filter_map(|w| w.requested_ns).min().unwrap() - run.started_ns;
    let life = life + run.pauses().filter_map(|(from, to)| Some(to? - from)).sum::<u64>();
    assert!(run.costs.run_delay_ns.unwrap() <= life * threads, "{:?} of {life} on {threads} threads", run.costs);
}

#[test]
fn a_native_pool_sends_four_bytes_each_way_and_to_each_worker_at_the_end() {
    let run = run_on_any(&RunSpec { workers: 3, tasks: 20, ..spec("native/process-pool", TaskKind::Factorial) });
    assert_eq!(run.costs.sent_bytes, Some(4 * (20 + 20 + 3)));
    assert_eq!(run_on_any(&find("native/process-queue").unwrap().defaults()).costs.sent_bytes, Some(16));
    assert_eq!(
        run_on_any(&RunSpec { workers: 3, ..find("native/forkserver").unwrap().defaults() }).costs.sent_bytes,
        Some(1 + 12)
    );
    assert_eq!(
        run_on_any(&find("native/fork").unwrap().defaults()).costs.sent_bytes,
        Some(0),
        "its results are in shared memory"
    );
}

#[test]
fn python_processes_send_their_pickles() {
    if no_python() {
        return;
    }
    // 120 as a pickle of protocol 4 or 5 (two bytes of header, two of number, one to stop), "on", and four bytes of length before each.
    let queue = run_it(&find("python/process-queue").unwrap().defaults());
    assert_done(&queue);
    if queue.spec.start_method == Some(StartMethod::Fork) {
        assert_eq!(queue.costs.sent_bytes, Some(4 + 5 + 4 + 2));
    }
    let sent = |method, tasks| {
        let spec = RunSpec {
            start_method: Some(method),
            workers: 2,
            tasks,
            ..spec("python/process-pool-executor", TaskKind::Factorial)
        };
        run_it(&spec).costs.sent_bytes.unwrap()
    };
    let (few, many) = (sent(StartMethod::Fork, 10), sent(StartMethod::Fork, 110));
    let each = (many - few) as f64 / 100.0;
    assert!((50.0..1_000.0).contains(&each), "a call and its result: {each} bytes");
    assert!(sent(StartMethod::Spawn, 10) > few + 500, "a fresh interpreter is told where to begin");
}

/// Counts what comes out at the other end of the pipe.
const SCRIPT: &str = "
import os, sys, threading
sys.path.insert(0, sys.argv[1])
import lab_pool, concmon_lab as lab
from multiprocessing import Pipe, Queue
lab_pool.count_what_is_sent()
ours, theirs = Pipe(duplex=False)
came = 0
def drain():
    global came
    while chunk := os.read(ours.fileno(), 65536):
        came += len(chunk)
reader = threading.Thread(target=drain)
reader.start()
for thing in (None, 'x' * 100, list(range(1000)), b'y' * 20_000, b'z' * 300_000):
    theirs.send(thing)
senders = [threading.Thread(target=lambda: [lab.sent(1) for _ in range(10_000)]) for _ in range(4)]
counted = sum(lab._sent.values())
theirs.close()
reader.join()
assert counted == came > 320_000, (counted, came)
for sender in senders: sender.start()
for sender in senders: sender.join()
assert sum(lab._sent.values()) == counted + 40_000
ours, theirs = Pipe()
before = sum(lab._sent.values())
theirs.send_bytes(b'')
assert sum(lab._sent.values()) == before, 'an empty message carries nothing'
";

#[test]
fn what_is_counted_is_what_comes_out_at_the_other_end() {
    let programs = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/python");
    for interpreter in &python::interpreters(&named()).interpreters {
        let output =
            Command::new(&interpreter.path).args(["-c", SCRIPT, programs]).env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", interpreter.path.display());
    }
}

/// A run of a system that stays so long to be looked at, watched as the lab's screen watches it, or measured as the command does.
fn staying(system: &str, hold_ms: u32) -> std::sync::Arc<Run> {
    let launcher = if hold_ms > 0 { launcher().with_traces() } else { launcher() }.with_pythons(named());
    let id = launcher.launch(RunSpec { hold_ms, ..find(system).unwrap().defaults() }).unwrap();
    let run = await_end(&launcher, id);
    assert_eq!(run.phase, RunPhase::Ended(Outcome::Done), "{system}: {}", run.output);
    run
}

/// The screen's runs stay to be looked at, the command's do not: both must report the same costs. Switches can be compared on a busy
/// machine too; a look 20 times a second would add 60 of them.
#[test]
fn staying_to_be_looked_at_costs_next_to_nothing() {
    let systems =
        ["native/fork", "native/thread", "native/event-loop", "native/process-pool", "native/sequential", "python/process-fork"];
    for system in systems.into_iter().filter(|s| available(s)) {
        let (plain, held) = (staying(system, 0), staying(system, 3_000));
        let switches = |run: &Run| run.costs.voluntary_switches.unwrap();
        // A Python run that is looked at reports what it does at once, not in batches.
        let more = if system.starts_with("python/") { 60 } else { 15 };
        assert!(
            switches(&held) <= switches(&plain) + more,
            "{system}: {} switches, {} while it stays",
            switches(&plain),
            switches(&held)
        );
    }
}

#[test]
fn what_the_work_has_cost_is_told_when_it_is_done_and_kept_when_the_run_is_stopped() {
    for system in ["native/fork", "native/tokio-multi", "python/process-fork"] {
        if !available(system) {
            continue;
        }
        let launcher = launcher().with_pythons(named());
        let spec = find(system).unwrap().defaults();
        let id = launcher.launch(RunSpec { hold_ms: 600_000, timeout_ms: 700_000, ..spec }).unwrap();
        let told = |run: &Run| (run.costs.wall_ns.is_some() && run.costs.so_far_cpu_ns.is_some()) || run.ended();
        let staying = await_run(&launcher, id, "its costs are known while it stays", told);
        assert!(!staying.ended() && staying.costs.peak_rss_bytes.is_some(), "{system}");
        let (wall, cpu) = (staying.costs.wall_ns.unwrap(), staying.costs.so_far_cpu_ns.unwrap());
        launcher.stop(id);
        let run = await_end(&launcher, id);
        assert_eq!(run.phase, RunPhase::Ended(Outcome::Stopped), "{system}");
        assert_eq!(run.costs.wall_ns, Some(wall), "{system}: the stay is no part of it");
        let all = run.costs.user_ns.unwrap() + run.costs.sys_ns.unwrap();
        assert!(cpu > 0 && cpu <= all + 1_000_000, "{system}: {cpu} ns so far, {all} ns in the end");
    }
}

/// Faults are counted alike however busy the machine is: 64 MiB are some 16,000 pages of 4 KiB.
#[test]
fn filling_the_parents_memory_is_no_cost_of_the_run() {
    for system in ["native/thread", "native/thread-pool", "python/thread"].into_iter().filter(|s| available(s)) {
        let run = run_on_any(&RunSpec { parent_mb: 64, ..find(system).unwrap().defaults() });
        let (apart, faults) = (run.costs.apart.unwrap(), run.costs.minor_faults.unwrap());
        assert!(apart.cpu_ns() > 1_000_000 && apart.minor_faults > 0, "{system}: {apart:?}");
        assert!(faults < 4_000, "{system}: {faults} faults, {apart:?}");
        let charged = run.costs.charged_cpu_ns().unwrap();
        assert_eq!(charged, run.costs.user_ns.unwrap() + run.costs.sys_ns.unwrap() + apart.cpu_ns(), "{system}");
    }
}
