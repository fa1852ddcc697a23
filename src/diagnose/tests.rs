use super::*;
use crate::derive::{Deriver, test_process, test_snapshot};
use crate::snapshot::{
    Comm, CpuTimes, Exact, Identity, LifecycleEvent, ProcessFacts, PythonFacts, PythonThreadFacts, Seen, Snapshot, State,
    ThreadRan,
};
use std::sync::Arc;

const S: u64 = 1_000_000_000;

/// Steps through snapshots; findings after the last.
fn findings(snapshots: Vec<Snapshot>) -> Vec<Finding> {
    let (mut deriver, mut watch) = (Deriver::new(0), Watch::default());
    let mut last = Vec::new();
    for mut snapshot in snapshots {
        snapshot.host.cpus = vec![(0, CpuTimes::default()), (1, CpuTimes::default())];
        last = watch.step(&deriver.step(snapshot));
    }
    last
}

/// The same processes at each of these seconds.
fn held(processes: &[ProcessSample], seconds: std::ops::Range<u64>) -> Vec<Snapshot> {
    seconds.map(|s| test_snapshot(s * S, processes.to_vec())).collect()
}

fn said(found: &[Finding]) -> Vec<(&'static str, i32)> {
    found.iter().map(|f| (f.diagnosis.id, f.about.pid)).collect()
}

fn with_state(mut p: ProcessSample, state: State) -> ProcessSample {
    p.leader.state = state;
    p
}

#[test]
fn the_registry_is_sound() {
    let mut ids: Vec<&str> = DIAGNOSES.iter().map(|d| d.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), DIAGNOSES.len());
    for d in DIAGNOSES {
        assert!(d.description.ends_with('.') || d.description.ends_with(")."), "{}", d.id);
        assert!(!d.title.is_empty() && d.badge.len() <= 14, "{}", d.id);
    }
}

#[test]
fn a_healthy_machine_has_no_findings() {
    assert_eq!(findings(held(&[test_process(1, 0, 0), test_process(7, 1, 5)], 1..20)), []);
}

#[test]
fn zombies_are_the_parents_fault_once_they_stay() {
    let zombie = |pid| with_state(test_process(pid, 7, 9), State::ZOMBIE);
    let all = [test_process(1, 0, 0), test_process(7, 1, 5), zombie(8), zombie(9)];
    assert_eq!(findings(held(&all, 1..3)), [], "one that is about to be reaped is no trouble");
    let found = findings(held(&all, 1..5));
    assert_eq!(said(&found), [("zombies", 7)]);
    assert_eq!(found[0].evidence, "test (7) has 2 ended children it does not reap: 8, 9");
    assert!(found[0].concerns(all[2].key) && found[0].concerns(all[1].key) && !found[0].concerns(all[0].key));
    assert_eq!(findings(held(&all[..3], 1..9)), [], "a shell keeps one until its command ends");
    let left = with_state(test_process(8, 1, 9), State::ZOMBIE);
    assert_eq!(said(&findings(held(&[test_process(1, 0, 0), left], 1..5))), [("zombies", 1)], "an init must reap each");
    let mut leader = zombie(8);
    leader.nlwp = Some(3);
    assert_eq!(findings(held(&[test_process(7, 1, 5), leader], 1..9)), [], "its other threads go on");
}

#[test]
fn a_stopped_process_is_told_with_what_it_keeps() {
    let mut p = with_state(test_process(7, 1, 5), State::STOPPED);
    p.rss_bytes = Some(200 << 20);
    let found = findings(held(std::slice::from_ref(&p), 1..6));
    assert_eq!(said(&found), [("stopped", 7)]);
    assert_eq!(found[0].evidence, "test (7) was stopped by a signal and keeps 200M");
    p.rss_bytes = None;
    assert_eq!(findings(held(&[p], 1..6))[0].evidence, "test (7) was stopped by a signal");
}

/// A process that runs and waits so many nanoseconds of each second.
fn busy(pid: i32, ppid: i32, second: u64, run: u64, wait: u64, voluntary: Option<u64>) -> ProcessSample {
    let mut p = test_process(pid, ppid, 5);
    p.run_ns = Some(second * run);
    p.set_seen(Some(Seen { run_ns: second * run, delay_ns: Some(second * wait), off_ns: second * S, ..Seen::default() }));
    p.voluntary_switches = voluntary.map(|v| v * second);
    p
}

#[test]
fn a_thread_that_never_blocks_is_told_only_where_switches_are_known() {
    let run =
        |voluntary| findings((1..14).map(|s| test_snapshot(s * S, vec![busy(7, 1, s, S * 99 / 100, 0, voluntary)])).collect());
    let found = run(Some(0));
    assert_eq!(said(&found), [("never_blocks", 7)]);
    assert!(
        found[0].evidence.contains("thread 7 never rests (99% on a CPU, 0% waiting for one), mostly in its own code"),
        "{}",
        found[0].evidence
    );
    assert_eq!(run(Some(100)), [], "it waits now and then");
    assert_eq!(run(None), [], "not known is not none");
}

/// Facts of one survey a second apart: of 8 readings, so many in which the GIL was held, and in which each of two threads held and waited.
fn gil_facts(second: u64, held: u32, threads: [(u32, u32); 2], ran_percent: [u64; 2]) -> Facts {
    let ran = |(tid, percent): (i32, u64)| ThreadRan {
        tid,
        comm: Comm::new(b"t"),
        state: State::RUNNING,
        run_ns: S / 100 * percent,
        delay_ns: 0,
        turns: 100,
    };
    let ran = [8, 9].into_iter().zip(ran_percent).map(ran).collect();
    let thread = |(tid, (held, waited))| PythonThreadFacts { tid, held, waited, ..PythonThreadFacts::default() };
    let threads = [8, 9].into_iter().zip(threads).map(thread).collect();
    let python = PythonFacts { readings: 8, gil: true, held, threads, ..PythonFacts::default() };
    let of = ProcessFacts { ran, python: Some(python.into()), ..ProcessFacts::default() };
    Facts { taken_ns: second * S, span_ns: S, processes: [(7, of)].into(), ..Facts::default() }
}

#[test]
fn the_span_of_a_survey_counts_for_a_thread_that_never_rests() {
    let told = |span_s: u64, at_s: &[u64]| {
        let (mut deriver, mut watch) = (Deriver::new(0), Watch::default());
        let step = |second: &u64| {
            let mut facts = gil_facts(*second, 0, [(0, 0); 2], [0, 0]);
            facts.span_ns = span_s * S;
            let of = facts.processes.get_mut(&7).unwrap();
            of.python = None;
            of.ran.truncate(1);
            of.ran[0].run_ns = span_s * S;
            watch.step_with(&deriver.step(test_snapshot(second * S, vec![test_process(7, 1, 5)])), Some(&facts)).len()
        };
        at_s.iter().map(step).collect::<Vec<_>>()
    };
    assert_eq!(told(6, &[10]), [1], "six seconds of one span");
    assert_eq!(told(2, &[10, 12, 14]), [0, 0, 1], "two seconds of the first span and four since");
}

#[test]
fn threads_that_want_the_gil_are_judged_by_several_surveys_together() {
    let told_of = |ran_percent: [u64; 2], surveys: &[(u32, [(u32, u32); 2])]| {
        let (mut deriver, mut watch) = (Deriver::new(0), Watch::default());
        let mut told = Vec::new();
        for (second, (held, threads)) in (1..).zip(surveys) {
            let model = deriver.step(test_snapshot(second * S, vec![test_process(7, 1, 5)]));
            told.push(said(&watch.step_with(&model, Some(&gil_facts(second, *held, *threads, ran_percent)))));
        }
        told
    };
    let told = |surveys: &[(u32, [(u32, u32); 2])]| told_of([50, 50], surveys);
    // One survey says little: its shares lie around those of the program.
    let (bound, [none, some]) = (vec![("gil_bound", 7)], [[(3, 1), (4, 0)], [(3, 5), (5, 3)]]);
    assert_eq!(
        told(&[(8, some), (7, none), (7, some), (6, some), (8, none)]),
        [vec![], vec![], bound.clone(), bound.clone(), bound]
    );
    assert_eq!(told(&[(8, none), (8, none), (8, none), (8, none)]), vec![vec![]; 4], "nobody waits");
    assert_eq!(told(&[(4, some), (4, some), (5, some), (4, some)]), vec![vec![]; 4], "the GIL is free half of the time");
    let wanted = [(8, some), (7, some), (6, some), (8, some)];
    assert_eq!(told_of([75, 25], &wanted).concat(), [("gil_bound", 7); 2], "one thread computes more than the other");
    assert_eq!(told_of([90, 10], &wanted), vec![vec![]; 4], "an event loop beside a thread that computes");
}

#[test]
fn pools_of_threads_and_of_processes_wider_than_the_machine() {
    let running = |n, run_ns, wait_ns| {
        let at = |s| {
            let mut p = busy(7, 1, s, run_ns, wait_ns, None);
            p.nlwp = Some(n);
            test_snapshot(s * S, vec![p])
        };
        findings((1..7).map(at).collect())
    };
    let threads = |n| running(n, 2 * S, 6 * S);
    assert_eq!(said(&threads(8)), [("oversubscribed", 7)]);
    assert!(threads(8)[0].evidence.contains("8 threads on 2 CPUs, 75% of their runnable time"), "{}", threads(8)[0].evidence);
    assert_eq!(threads(2), [], "as many as CPUs");
    assert_eq!(running(5, S * 62 / 100, S * 195 / 100), [], "it uses a third of the CPUs: other programs have the rest");
    let workers = |wait| {
        let at = |s| {
            let children = (10..14).map(|pid| busy(pid, 7, s, S / 2, wait, None));
            test_snapshot(s * S, std::iter::once(test_process(7, 1, 5)).chain(children).collect())
        };
        findings((1..7).map(at).collect())
    };
    let found = workers(S / 2);
    assert_eq!(said(&found), [("oversubscribed", 7)]);
    assert_eq!(found[0].others.len(), 4);
    assert_eq!(workers(0), [], "no process uses its result");
}

fn fork(parent: i32, child: i32) -> LifecycleEvent {
    LifecycleEvent {
        at_ns: S,
        kind: EventKind::Fork { parent_tid: parent, parent_tgid: parent, child_tid: child, child_tgid: child },
    }
}

/// 8 is forked by 7 in the second snapshot; afterwards the world is as `later` says.
fn born(threads: u32, later: impl Fn() -> Vec<ProcessSample>) -> Vec<Snapshot> {
    let mut parent = test_process(7, 1, 5);
    parent.nlwp = Some(threads);
    let mut child = test_process(8, 7, 150);
    child.session = 3;
    let first = test_snapshot(S, vec![test_process(1, 0, 0), parent.clone()]);
    let mut second = test_snapshot(2 * S, vec![test_process(1, 0, 0), parent, child]);
    second.events = vec![fork(7, 8)];
    second.report.events = EventTier::Connector;
    let mut all = vec![first, second];
    all.extend((3..8).map(|s| test_snapshot(s * S, later())));
    all
}

#[test]
fn a_worker_that_outlives_its_creator_is_an_orphan_a_daemon_is_not() {
    let left = |session| {
        let mut child = test_process(8, 1, 150);
        child.session = session;
        vec![test_process(1, 0, 0), child]
    };
    let found = findings(born(1, || left(3)));
    assert_eq!(said(&found), [("orphans", 8)]);
    assert_eq!(found[0].evidence, "test (8): PID 7, which forked this worker, has ended; left to PID 1 (test)");
    assert_eq!(findings(born(1, || left(8))), [], "a session of its own: a daemon");
    assert_eq!(findings(born(1, || left(7))), [], "its creator made the session for it and ended: a daemon");
    let mut never_seen = born(1, || left(7));
    never_seen[1].events.clear();
    assert_eq!(findings(never_seen), [], "not its creator");
}

#[test]
fn a_fork_beside_threads_is_told_until_it_execs() {
    let family = || {
        let mut child = test_process(8, 7, 150);
        child.session = 7;
        let mut parent = test_process(7, 1, 5);
        parent.nlwp = Some(4);
        vec![test_process(1, 0, 0), parent, child]
    };
    let found = findings(born(4, family));
    assert_eq!(said(&found), [("fork_threads", 8)]);
    assert!(found[0].evidence.contains("which had at least 4 threads"), "{}", found[0].evidence);
    assert_eq!(findings(born(1, family)), [], "one thread at the time of the fork");
    let mut early = born(4, family);
    early[1].processes.pop();
    assert_eq!(said(&findings(early)), [("fork_threads", 8)], "the event came before the child was in the table");
    let mut later = born(4, family);
    let thread = |tid| EventKind::Fork { parent_tid: 7, parent_tgid: 7, child_tid: tid, child_tgid: 7 };
    later[1].events.extend([20, 21, 22].map(|tid| LifecycleEvent { at_ns: 2 * S, kind: thread(tid) }));
    assert_eq!(findings(later), [], "its threads were started after the fork");
    let mut polled = born(4, family);
    polled[1].report.events = EventTier::Polling(String::new());
    assert_eq!(findings(polled), [], "which came first is not known");
    let mut execs = born(4, family);
    execs[2].events = vec![LifecycleEvent { at_ns: 2 * S, kind: EventKind::Exec { tgid: 8 } }];
    assert_eq!(findings(execs), [], "a new program has none of the old one's locks");
}

#[test]
fn resident_sizes_of_a_family_overcount_where_all_is_known() {
    let member = |pid, ppid, pss: Option<u64>| {
        let mut p = test_process(pid, ppid, 5);
        p.rss_bytes = Some(200 << 20);
        p.exact = Some(Arc::new(Exact { pss_bytes: pss, uss_bytes: pss.map(|_| 1 << 20), ..Exact::default() }));
        p
    };
    let mut init = test_process(1, 0, 0);
    init.leader.comm = crate::snapshot::Comm::new(b"init");
    let family = |pss| {
        let workers = (8..15).map(|pid| member(pid, 7, pss));
        held(&[vec![init.clone(), member(7, 1, Some(25 << 20))], workers.collect()].concat(), 1..2)
    };
    let found = findings(family(Some(25 << 20)));
    assert_eq!(said(&found), [("overcount", 7)]);
    assert!(found[0].evidence.contains("RES adds up to 1.56G, PSS to 200M, 8.0x less"), "{}", found[0].evidence);
    assert_eq!(findings(family(None)), [], "one unknown makes the sum unknown");
    assert_eq!(findings(family(Some(190 << 20))), [], "little is shared");
}

#[test]
fn a_killed_worker_is_a_loss_to_its_creator_and_not_to_who_adopted_it() {
    // At this second it is killed; the parent is known to have a pool.
    let found = |adopted: bool, comm: &[u8], (second, pool): (u64, bool)| {
        let (mut deriver, mut watch) = (Deriver::new(5 * S), Watch::default());
        let python = PythonFacts { readings: 1, pool, ..PythonFacts::default() };
        let of = ProcessFacts { python: Some(python.into()), ..ProcessFacts::default() };
        let facts = Facts { processes: [(7, of)].into(), ..Facts::default() };
        let worker = |pid, ppid| {
            let mut worker = test_process(pid, ppid, 150);
            worker.leader.comm = Comm::new(comm);
            Arc::make_mut(&mut worker.identity).cmdline = Some(Arc::from(comm));
            worker
        };
        let workers = |ppid| [8, 9].map(|pid| worker(pid, ppid)).to_vec();
        let all = |s: u64, ppid: i32, workers: &[ProcessSample]| {
            let creator = if ppid == 7 { vec![test_process(7, 1, 5)] } else { Vec::new() };
            test_snapshot(s * S, [vec![test_process(1, 0, 0)], creator, workers.to_vec()].concat())
        };
        watch.step(&deriver.step(all(1, 7, &[])));
        let mut born = all(2, 7, &workers(7));
        born.events = vec![fork(7, 8), fork(7, 9)];
        watch.step(&deriver.step(born));
        let ppid = if adopted { 1 } else { 7 };
        watch.step(&deriver.step(all(3, ppid, &workers(ppid))));
        let mut last = all(second, ppid, &workers(ppid)[..1]);
        let kind = EventKind::Exit { tid: 9, tgid: 9, status: crate::snapshot::ExitStatus::from_raw(9) };
        last.events = vec![LifecycleEvent { at_ns: second * S - 1, kind }];
        said(&watch.step_with(&deriver.step(last), Some(&facts)))
    };
    assert_eq!(found(false, b"test", (4, true)), [("worker_killed", 7)]);
    assert_eq!(found(false, b"test: worker 9", (4, true)), [("worker_killed", 7)], "it set its title");
    assert_eq!(found(false, b"test", (4, false)), [], "a parent that kills what takes too long");
    assert_eq!(found(false, b"test", (12, false)), [("worker_killed", 7)], "the other one has worked beside it for long");
    assert_eq!(found(false, b"sh", (4, true)), [], "a program that it started");
    assert!(!found(true, b"test", (4, true)).iter().any(|(id, _)| *id == "worker_killed"));
}

#[test]
fn threads_that_only_grow_are_a_warning_once_no_pool_is_likely_to_be_so_large() {
    let found = |each: u32, seconds: u64| {
        let at = |s: u64| {
            let mut process = test_process(7, 1, 5);
            process.nlwp = Some(1 + each * u32::try_from(s).unwrap());
            test_snapshot(s * S, vec![process])
        };
        findings((1..=seconds).map(at).collect())
    };
    let fills = found(4, 10);
    assert_eq!(said(&fills), [("threads_rise", 7)]);
    assert_eq!(fills[0].diagnosis.level, Level::Information);
    assert!(fills[0].evidence.ends_with("41 threads, +4.0 a second"), "{}", fills[0].evidence);
    assert_eq!(said(&found(4, 64)), [("threads_grow", 7)]);
    let many = found(40, 10);
    assert_eq!(said(&many), [("threads_grow", 7)]);
    assert!(many[0].evidence.contains("at this rate the machine is out of PIDs in"), "{}", many[0].evidence);
}

#[test]
fn a_result_is_missing_if_no_thread_of_the_parent_may_bring_it() {
    use crate::snapshot::PoolRole::{self, Busy, CallbackWaits, Idle, Waits};
    let of_server = |pid, ppid| {
        let mut process = test_process(pid, ppid, 6);
        let cmdline = Some(b"python\0-c\0from multiprocessing.forkserver import main; main(5)".as_slice().into());
        process.identity = Arc::new(Identity { cmdline, ..Identity::default() });
        process
    };
    let found_of = |parent: &[PoolRole], worker: &[PoolRole], served: bool| {
        let of = |roles: &[PoolRole]| {
            let thread = |(tid, role): (i32, &PoolRole)| {
                let place = Some("again() at a.py:5".to_owned());
                PythonThreadFacts { tid, place, role: Some(*role), asleep: true, ..PythonThreadFacts::default() }
            };
            let threads = (1..).zip(roles).map(thread).collect();
            ProcessFacts {
                python: Some(PythonFacts { readings: 1, threads, ..PythonFacts::default() }.into()),
                ..ProcessFacts::default()
            }
        };
        let facts =
            Facts { processes: [(7, of(parent)), (8, of(&[Idle])), (9, of(worker)), (20, of(&[]))].into(), ..Facts::default() };
        let (mut deriver, mut watch) = (Deriver::new(0), Watch::default());
        let plain = [test_process(8, 7, 6), test_process(9, 7, 6)];
        let copies = [of_server(8, 20), of_server(9, 20), of_server(20, 7)];
        let children = if served { copies.to_vec() } else { plain.to_vec() };
        let all = [vec![test_process(1, 0, 0), test_process(7, 1, 5)], children].concat();
        let mut told = Vec::new();
        for snapshot in held(&all, 1..6) {
            told = watch.step_with(&deriver.step(snapshot), Some(&facts));
        }
        told
    };
    let found = |parent: &[PoolRole]| found_of(parent, &[Idle], false);
    let lost = found(&[Waits]);
    assert_eq!(said(&lost), [("task_lost", 7)]);
    assert!(lost[0].evidence.ends_with("its 2 workers wait for a task: no task is left"), "{}", lost[0].evidence);
    assert_eq!(found(&[Waits, Busy]), [], "an iterable or a callback takes its time");
    let callback = found(&[Waits, CallbackWaits]);
    assert_eq!(said(&callback), [("callback_waits", 7)]);
    assert!(callback[0].evidence.contains("again() at a.py:5 is called in a callback"), "{}", callback[0].evidence);
    assert_eq!(found(&[CallbackWaits, Busy]), [], "it may wait for another pool");
    for served in [false, true] {
        assert_eq!(said(&found_of(&[Waits], &[Idle], served)), [("task_lost", 7)], "a fork server: {served}");
        assert_eq!(found_of(&[Waits], &[], served), [], "a worker has a task; a fork server: {served}");
    }
}

#[test]
fn workers_that_fail_again_and_again_are_told_while_a_result_of_their_pool_is_waited_for() {
    let waits = |waits: bool| {
        let role = waits.then_some(crate::snapshot::PoolRole::Waits);
        let threads = vec![PythonThreadFacts { tid: 7, role, ..PythonThreadFacts::default() }];
        let python = PythonFacts { readings: 1, threads, ..PythonFacts::default() };
        let of = ProcessFacts { python: Some(python.into()), ..ProcessFacts::default() };
        Facts { processes: [(7, of)].into(), ..Facts::default() }
    };
    let found = |facts: &Facts, parent: i32, raw: u32, ends: i32| {
        let (mut deriver, mut watch) = (Deriver::new(0), Watch::default());
        // 20 is its fork server.
        let all = vec![test_process(1, 0, 0), test_process(7, 1, 5), test_process(20, 7, 6)];
        let mut told = Vec::new();
        for s in 1..=ends {
            let at_ns = u64::from(s.cast_unsigned()) * S;
            let mut snapshot = test_snapshot(at_ns, all.clone());
            let end = EventKind::Exit { tid: 30 + s, tgid: 30 + s, status: crate::snapshot::ExitStatus::from_raw(raw) };
            snapshot.events = vec![fork(parent, 30 + s), LifecycleEvent { at_ns, kind: end }];
            told = watch.step_with(&deriver.step(snapshot), Some(facts));
        }
        told
    };
    let failed = 1 << 8;
    let told = found(&waits(true), 7, failed, 3);
    assert_eq!(said(&told), [("workers_fail", 7)]);
    assert!(told[0].evidence.contains("3 of its workers ended with an error"), "{}", told[0].evidence);
    assert_eq!(said(&found(&waits(true), 20, failed, 3)), [("workers_fail", 7)], "children of its fork server");
    assert_eq!(found(&waits(true), 7, failed, 2), [], "may be chance");
    assert_eq!(found(&waits(true), 7, 0, 9), [], "each worker ends after its tasks (maxtasksperchild)");
    assert_eq!(found(&waits(true), 1, failed, 9), [], "children of others");
    assert_eq!(found(&waits(false), 7, failed, 9), [], "no result is waited for");
}
