use super::*;
use crate::snapshot::*;

pub(crate) fn process(pid: i32, ppid: i32, start: u64) -> ProcessSample {
    ProcessSample::from(ProcessValues {
        key: ProcKey { pid, start_ticks: start },
        ppid,
        pgrp: pid,
        session: pid,
        tty_nr: 0,
        kernel_thread: false,
        identity: Arc::new(Identity::default()),
        leader: TaskSample {
            tid: pid,
            tgid: pid,
            start_ticks: start,
            state: State::SLEEPING,
            comm: Comm::new(b"test"),
            utime_ns: Some(0),
            stime_ns: Some(0),
            run_ns: None,
            run_delay_ns: None,
            voluntary_switches: None,
            involuntary_switches: None,
            minor_faults: Some(0),
            major_faults: Some(0),
            priority: 20,
            nice: 0,
            policy: Some(0),
            rt_priority: Some(0),
            last_cpu: Some(0),
        },
        nlwp: Some(1),
        utime_ns: Some(0),
        stime_ns: Some(0),
        run_ns: None,
        seen: None,
        voluntary_switches: None,
        involuntary_switches: None,
        minor_faults: Some(0),
        major_faults: Some(0),
        virt_bytes: Some(0),
        rss_bytes: Some(0),
        rss_anon_bytes: None,
        rss_file_bytes: None,
        rss_shmem_bytes: None,
        shared_bytes: None,
        swap_bytes: None,
    })
}

/// The process with some values changed.
pub(crate) fn changed(mut process: ProcessSample, change: impl FnOnce(&mut ProcessSample)) -> ProcessSample {
    change(&mut process);
    process
}

pub(crate) fn snapshot(taken_ns: u64, processes: Vec<ProcessSample>) -> Snapshot {
    Snapshot {
        taken_ns,
        system: Arc::new(SystemInfo {
            page_bytes: 4096,
            ticks_per_second: 100,
            hostname: "host".into(),
            kernel_release: "6.0".into(),
            pid_max: None,
            booted_unix_ns: Some(1_700_000_000_000_000_000),
            utc_offsets: vec![(0, 3600)],
        }),
        host: HostSample::default(),
        processes,
        tasks: Vec::new(),
        task_states: None,
        events: Vec::new(),
        report: SourceReport {
            tier: Tier::Proc,
            why: String::new(),
            better: None,
            sample_cpu_ns: 0,
            sample_wall_ns: 0,
            events: EventTier::Polling(String::new()),
            events_lost: 0,
            denied: 0,
        },
    }
}

const S: u64 = 1_000_000_000;

#[test]
fn the_first_sample_has_no_rates() {
    let mut d = Deriver::new(0);
    let m = d.step(snapshot(S, vec![process(7, 1, 5)]));
    assert_eq!(m.dt_ns, None);
    assert_eq!(m.process_rates[0].cpu_percent, None);
    assert!(!m.process_rates[0].known_before);
}

#[test]
fn cpu_comes_from_schedstat_where_both_sides_have_it_and_from_ticks_elsewhere() {
    let mut d = Deriver::new(0);
    let mut exact = process(7, 1, 5);
    exact.run_ns = Some(S);
    d.step(snapshot(S, vec![exact.clone(), process(8, 1, 5)]));
    exact.run_ns = Some(S + S / 4);
    let mut ticks = process(8, 1, 5);
    ticks.utime_ns = Some(S / 2);
    let m = d.step(snapshot(2 * S, vec![exact, ticks]));
    assert_eq!(m.process_rates[0].cpu_percent, Some(25.0));
    assert_eq!(m.process_rates[1].cpu_percent, Some(50.0));
}

#[test]
fn rates_are_over_each_ones_own_time() {
    let mut d = Deriver::new(0);
    // The sweep had to wait for a CPU for half a second before it came to the second one.
    let mut all = [process(7, 1, 5), process(8, 1, 5)];
    all.iter_mut().for_each(|p| p.run_ns = Some(0));
    d.step(snapshot(S, all.to_vec()));
    all[0].run_ns = Some(S);
    (all[1].run_ns, all[1].read_after_ns) = (Some(S + S / 2), S / 2);
    let m = d.step(snapshot(2 * S, all.to_vec()));
    assert_eq!(m.process_rates[0].cpu_percent, Some(100.0));
    assert_eq!(m.process_rates[1].cpu_percent, Some(100.0), "not 150: one thread has one CPU at most");
    (all[1].run_ns, all[1].read_after_ns) = (Some(S + S / 2 + S / 4), 0);
    let m = d.step(snapshot(3 * S, all.to_vec()));
    assert_eq!(m.process_rates[1].cpu_percent, Some(50.0));
}

#[test]
fn a_sample_right_after_another_keeps_its_rates_and_the_next_is_over_all_of_the_time() {
    let mut d = Deriver::new(0);
    let at = |run: u64| changed(process(7, 1, 5), |p| p.run_ns = Some(run));
    d.step(snapshot(S, vec![at(0)]));
    let m = d.step(snapshot(2 * S, vec![at(S / 2)]));
    assert_eq!(m.process_rates[0].cpu_percent, Some(50.0));
    // 5 ms later: the counter has made a step of 10.
    let m = d.step(snapshot(2 * S + 5_000_000, vec![at(S / 2 + 10_000_000), process(8, 1, 9)]));
    assert_eq!(m.process_rates[0].cpu_percent, Some(50.0), "not 200");
    assert_eq!(*m.process_rates[1], Rates::default(), "who has just come has no rates yet");
    let m = d.step(snapshot(3 * S, vec![at(S / 2 + S / 4), process(8, 1, 9)]));
    assert_eq!(m.process_rates[0].cpu_percent, Some(25.0), "over the whole second");
    assert!(!m.process_rates[1].known_before);
}

#[test]
fn tasks_are_counted_by_state_where_all_were_looked_at() {
    let mut threaded = process(7, 1, 5);
    threaded.nlwp = Some(3);
    let mut busy = process(8, 1, 5);
    busy.leader.state = State::RUNNING;
    let counts = |snapshot: Snapshot| {
        let states = task_states(&snapshot.processes, &snapshot.tasks);
        Deriver::new(0).step(Snapshot { task_states: states, ..snapshot }).counts
    };
    let unseen = counts(snapshot(S, vec![threaded.clone(), busy.clone()]));
    assert_eq!((unseen.tasks, unseen.by_state), (Some(4), None), "two threads are in a state that nobody looked at");
    assert_eq!(unseen.leaders_by_state[..2], [1, 1]);
    threaded.tasks = 0..3;
    let task = |tid: i32, state| TaskSample { tid, state, ..threaded.leader };
    let tasks = vec![task(7, State::SLEEPING), task(70, State::RUNNING), task(71, State::RUNNING)];
    let seen = counts(Snapshot { tasks, ..snapshot(S, vec![threaded, busy]) });
    assert_eq!(seen.by_state.map(|states| states[..2].to_vec()), Some(vec![3, 1]));
}

#[test]
fn a_reused_pid_is_a_new_process_and_the_old_one_a_ghost() {
    let mut d = Deriver::new(5 * S);
    let mut old = process(7, 1, 5);
    old.utime_ns = Some(9 * S);
    d.step(snapshot(S, vec![old]));
    let m = d.step(snapshot(2 * S, vec![process(7, 1, 99)]));
    assert!(!m.process_rates[0].known_before);
    assert_eq!(m.lifecycle.ghosts.len(), 1);
    assert_eq!(m.lifecycle.ghosts[0].last.key.start_ticks, 5);
    let m = d.step(snapshot(9 * S, vec![process(7, 1, 99)]));
    assert!(m.lifecycle.ghosts.is_empty(), "ghosts leave after their time");
}

#[test]
fn an_end_that_is_reported_before_the_process_has_left_the_table_is_kept() {
    let killed = ExitStatus::Signal { signal: 9, core: false };
    let end = |at_ns| LifecycleEvent { at_ns, kind: EventKind::Exit { tid: 7, tgid: 7, status: killed } };
    let zombie = |nlwp| {
        let mut process = process(7, 1, 5);
        process.leader.state = State::ZOMBIE;
        process.nlwp = Some(nlwp);
        process
    };
    let ended = |second: ProcessSample| {
        let mut d = Deriver::new(9 * S);
        d.step(snapshot(S, vec![process(7, 1, 5)]));
        d.step(Snapshot { events: vec![end(2 * S - 5)], ..snapshot(2 * S, vec![second.clone()]) });
        d.step(snapshot(3 * S, vec![second]));
        let m = d.step(snapshot(4 * S, Vec::new()));
        (m.lifecycle.ghosts[0].status, m.lifecycle.ghosts[0].ended_ns)
    };
    assert_eq!(ended(zombie(1)), (killed, 2 * S - 5), "its parent reaps it two samples later");
    assert_eq!(ended(process(7, 1, 5)), (killed, 2 * S - 5), "it was read just before its end");
    assert_eq!(ended(zombie(3)).0, ExitStatus::Unknown, "only its main thread had ended");
}

#[test]
fn a_counter_that_went_backwards_is_unknown_not_negative() {
    let mut d = Deriver::new(0);
    let mut p = process(7, 1, 5);
    p.run_ns = Some(S);
    p.minor_faults = Some(100);
    d.step(snapshot(S, vec![p.clone()]));
    p.run_ns = Some(S / 2);
    p.minor_faults = Some(50);
    p.nlwp = Some(3);
    let m = d.step(snapshot(2 * S, vec![p]));
    assert_eq!(m.process_rates[0].minor_per_s, None);
    assert_eq!(m.process_rates[0].cpu_percent, None);
}

/// A main thread that sleeps and a worker; `seen` of both by now: CPU time, run delay, time off the CPU, in milliseconds.
fn threaded(threads: u32, cpu: u64, [run, delay, off]: [u64; 3], ended: u64) -> ProcessSample {
    const MS: u64 = 1_000_000;
    let seen = Seen { run_ns: run * MS, delay_ns: Some(delay * MS), off_ns: off * MS, switches: Some((run, 0)), ended };
    changed(process(7, 1, 5), |p| {
        (p.nlwp, p.run_ns) = (Some(threads), Some(cpu * MS));
        p.set_seen(Some(seen));
    })
}

#[test]
fn waiting_and_sleeping_go_with_cpu_use_where_threads_end() {
    let rates = |before, now| {
        let mut d = Deriver::new(0);
        d.step(snapshot(S, vec![before]));
        *d.step(snapshot(2 * S, vec![now])).process_rates[0]
    };
    let told = |r: Rates| (r.cpu_percent, r.wait_percent, r.sleep_percent, r.lost_waits);
    // All was seen: the worker ran 600 ms and waited 300.
    let r = rates(threaded(2, 0, [0, 0, 0], 0), threaded(2, 600, [600, 300, 1400], 0));
    assert_eq!(told(r), (Some(60.0), Some(30.0), Some(55.0), false), "(60 + 30) / 2 and 55 are 100");
    assert_eq!(r.voluntary_per_s, Some(600.0), "of the threads seen, of which none ended");
    // Workers of 20 ms took turns and ran all of the time; of the last one 10 ms were seen.
    let r = rates(threaded(2, 500, [10, 0, 0], 3), threaded(2, 1490, [20, 0, 1000], 4));
    assert_eq!((r.cpu_percent, r.wait_percent, r.lost_waits), (Some(99.0), Some(0.0), false));
    assert!(r.sleep_percent.is_some_and(|sleep| (49.0..52.0).contains(&sleep)), "{r:?}");
    assert_eq!(r.voluntary_per_s, None, "those of the ended are not known");
    // The same with half of a CPU: whether the others slept or waited is not known, nor is it where no worker is there right now.
    for threads in [1, 2] {
        let r = rates(threaded(2, 500, [10, 0, 0], 3), threaded(threads, 1000, [20, 0, 1000], 4));
        assert_eq!(told(r), (Some(50.0), None, None, true));
    }
    // One that did little before it ended.
    let r = rates(threaded(3, 500, [500, 0, 0], 0), threaded(2, 520, [500, 100, 2400], 1));
    assert_eq!((r.wait_percent, r.lost_waits), (Some(10.0), false));
}

#[test]
fn events_tell_fork_exec_and_exit_status() {
    let mut d = Deriver::new(5 * S);
    d.step(snapshot(S, vec![process(7, 1, 5)]));
    let mut s = snapshot(2 * S, vec![process(7, 1, 5), process(8, 7, 150), process(9, 7, 150)]);
    let fork = |child| EventKind::Fork { parent_tid: 7, parent_tgid: 7, child_tid: child, child_tgid: child };
    s.events = vec![
        LifecycleEvent { at_ns: S, kind: fork(8) },
        LifecycleEvent { at_ns: S, kind: fork(9) },
        LifecycleEvent { at_ns: S, kind: EventKind::Exec { tgid: 9 } },
    ];
    let m = d.step(s);
    let method = |m: &Model, i: usize| m.lifecycle.birth(m.now.processes[i].key).map(|b| b.method);
    assert_eq!(method(&m, 0), Some(StartMethod::Unseen));
    assert_eq!(method(&m, 1), Some(StartMethod::Fork));
    assert_eq!(method(&m, 2), Some(StartMethod::ForkExec));
    let mut s = snapshot(3 * S, vec![process(7, 1, 5), process(8, 1, 150)]);
    s.events =
        vec![LifecycleEvent { at_ns: 2 * S + 5, kind: EventKind::Exit { tid: 9, tgid: 9, status: ExitStatus::from_raw(9) } }];
    let m = d.step(s);
    assert_eq!(m.lifecycle.ghosts[0].status, ExitStatus::Signal { signal: 9, core: false });
    assert_eq!(m.lifecycle.birth(m.now.processes[1].key).map(|b| b.parent_pid), Some(7), "kept after reparenting to 1");
}

#[test]
fn trees_survive_cycles_and_lost_parents() {
    let t = Tree::from_parents(vec![Some(1), Some(2), Some(0), Some(2), None]);
    let mut seen: Vec<u32> = t.roots().iter().flat_map(|r| t.subtree(*r)).collect();
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 4]);
    let t = Tree::build(&[process(1, 0, 0), process(5, 1, 0), process(9, 77, 0)]);
    assert_eq!(t.roots(), [0, 2]);
    assert_eq!(t.children(0), [1]);
}

#[test]
fn cpu_shares_add_up_to_a_hundred() {
    let a = HostSample { cpu_total: Some(CpuTimes { user_ns: 10, idle_ns: 10, ..CpuTimes::default() }), ..HostSample::default() };
    let b = HostSample { cpu_total: Some(CpuTimes { user_ns: 40, idle_ns: 20, ..CpuTimes::default() }), ..HostSample::default() };
    let share = host::rates(Some(&a), &b, None).total.unwrap();
    assert_eq!((share.user, share.busy()), (75.0, 75.0));
    assert_eq!(host::rates(None, &b, None).total, None);
}

fn fork(parent: i32, child: i32) -> LifecycleEvent {
    LifecycleEvent {
        at_ns: S,
        kind: EventKind::Fork { parent_tid: parent, parent_tgid: parent, child_tid: child, child_tgid: child },
    }
}

/// The table of a sample is read before its events are: a child that is born between the two comes with the next.
#[test]
fn a_birth_that_is_told_before_its_child_is_in_the_table_is_not_forgotten() {
    let mut d = Deriver::new(5 * S);
    d.step(snapshot(S, vec![process(7, 1, 5)]));
    let mut s = snapshot(2 * S, vec![process(7, 1, 5)]);
    let at = |kind| LifecycleEvent { at_ns: 2 * S, kind };
    let exit = EventKind::Exit { tid: 6, tgid: 6, status: ExitStatus::Code(0) };
    s.events = vec![fork(7, 8), fork(7, 9), at(EventKind::Exec { tgid: 9 }), fork(7, 6), at(exit)];
    d.step(s);
    let m = d.step(snapshot(3 * S, vec![process(6, 1, 290), process(7, 1, 5), process(8, 1, 250), process(9, 7, 250)]));
    let birth = |pid: i32| m.lifecycle.birth(m.process(pid).unwrap().key).map(|b| (b.method, b.seen, b.parent_pid));
    assert_eq!(birth(8), Some((StartMethod::Fork, true, 7)));
    assert_eq!(birth(9), Some((StartMethod::ForkExec, true, 7)));
    assert_eq!(birth(6), Some((StartMethod::Unseen, false, 1)), "another, with the number of one that has ended");
}

#[test]
fn a_birth_that_is_told_after_its_child_is_in_the_table_completes_its_entry() {
    let mut d = Deriver::new(5 * S);
    d.step(snapshot(S, vec![process(7, 1, 5)]));
    d.step(snapshot(2 * S, vec![process(7, 1, 5), process(8, 7, 150), process(9, 7, 150)]));
    let mut s = snapshot(3 * S, vec![process(7, 1, 5), process(8, 1, 150), process(9, 1, 290)]);
    s.events = vec![fork(7, 8)];
    let m = d.step(s);
    let birth = |pid: i32| m.lifecycle.birth(m.process(pid).unwrap().key).map(|b| (b.method, b.seen, b.parent_pid));
    assert_eq!(birth(8), Some((StartMethod::Fork, true, 7)));
    assert_eq!(birth(9), Some((StartMethod::Unseen, false, 1)), "another, with the number of one that has ended");
}

fn parents_by_spawner(model: &Model) -> Vec<(i32, Option<i32>)> {
    let tree = model.tree(true);
    let pid = |i: u32| model.now.processes[i as usize].key.pid;
    model.now.processes.iter().zip(&tree.parent).map(|(p, parent)| (p.key.pid, parent.map(pid))).collect()
}

#[test]
fn an_orphan_stays_below_the_nearest_creator_that_is_left() {
    let mut d = Deriver::new(0);
    d.step(snapshot(S, vec![process(1, 0, 0), process(10, 1, 5)]));
    // 10 makes 20, which makes 30 and ends between the samples: the kernel gives 30 to 1. 40 is made by 30.
    let mut second = snapshot(2 * S, vec![process(1, 0, 0), process(10, 1, 5), process(30, 1, 7), process(40, 30, 8)]);
    second.events = vec![fork(10, 20), fork(20, 30), fork(30, 40)];
    let model = d.step(second);
    assert_eq!(parents_by_spawner(&model), [(1, None), (10, Some(1)), (30, Some(10)), (40, Some(30))]);
    assert_eq!(model.tree(false).parent[2], Some(0), "the kernel's tree is as it was");
    // 30 ends too.
    let model = d.step(snapshot(3 * S, vec![process(1, 0, 0), process(10, 1, 5), process(40, 1, 8)]));
    assert_eq!(parents_by_spawner(&model), [(1, None), (10, Some(1)), (40, Some(10))]);
    // The dead are forgotten in a crowd, and who is left of the line is not.
    let crowd = |from: i32, t: u64| {
        let others = (from..from + 200).map(|pid| process(pid, 1, 50));
        let all = [process(1, 0, 0), process(10, 1, 5), process(40, 1, 8)].into_iter().chain(others).collect();
        snapshot(t, all)
    };
    d.step(crowd(1000, 4 * S));
    d.step(crowd(2000, 5 * S));
    let model = d.step(snapshot(6 * S, vec![process(1, 0, 0), process(10, 1, 5), process(40, 1, 8)]));
    assert_eq!(parents_by_spawner(&model), [(1, None), (10, Some(1)), (40, Some(10))]);
    // A later process with the creator's pid is not the creator.
    let model = d.step(snapshot(7 * S, vec![process(1, 0, 0), process(10, 1, 900), process(40, 1, 8)]));
    assert_eq!(parents_by_spawner(&model)[2], (40, Some(1)));
}

#[test]
fn a_circle_of_creators_is_cut() {
    let mut d = Deriver::new(0);
    d.step(snapshot(S, vec![process(1, 0, 0)]));
    let mut next = snapshot(2 * S, vec![process(1, 0, 0), process(5, 6, 3), process(6, 5, 3)]);
    next.events = vec![fork(6, 5), fork(5, 6)];
    let model = d.step(next);
    assert_eq!(model.tree(true).roots().len(), 2);
}

#[test]
fn a_process_that_shares_its_values_has_the_rates_of_one_that_has_equal_ones() {
    const MS: u64 = 1_000_000;
    let seen = |off_ns| Seen { run_ns: 5 * MS, delay_ns: Some(7), off_ns, switches: Some((3, 4)), ended: 1 };
    let changes: [fn(&mut ProcessValues); 8] = [
        |_| {},
        |p| p.seen = None,
        |p| p.nlwp = None,
        |p| (p.run_ns, p.utime_ns) = (None, None),
        |p| (p.voluntary_switches, p.involuntary_switches) = (Some(3), Some(8)),
        |p| (p.minor_faults, p.rss_bytes) = (None, None),
        |p| p.seen.as_mut().unwrap().delay_ns = None,
        |p| p.seen.as_mut().unwrap().switches = None,
    ];
    for (nth, change) in changes.into_iter().enumerate() {
        let values = |off_ns| {
            let mut values = (*process(7, 1, 5)).clone();
            (values.run_ns, values.seen) = (Some(5 * MS), Some(seen(off_ns)));
            change(&mut values);
            values
        };
        let mut last = None;
        let old = ProcessSample::sharing(values(100 * MS), &mut last);
        let shared = ProcessSample::sharing(values(100 * MS + S), &mut last);
        let equal = ProcessSample::from(values(100 * MS + S));
        assert!(shared.rested_since(&old) && !equal.rested_since(&old));
        assert_eq!(shared.seen(), equal.seen());
        let rates = |now: ProcessSample| {
            let mut d = Deriver::new(0);
            d.step(snapshot(S, vec![old.clone()]));
            *d.step(snapshot(2 * S, vec![now])).process_rates[0]
        };
        assert_eq!(rates(shared), rates(equal), "case {nth}");
        let busy = ProcessSample::sharing(ProcessValues { run_ns: Some(9 * MS), ..values(100 * MS + S) }, &mut last);
        assert!(!busy.rested_since(&old), "it ran");
    }
}

#[test]
fn the_use_of_a_limited_group_is_in_percent_of_what_it_may_use() {
    let with = |at_s: u64, used_ms: u64, cpus| {
        let mut snapshot = test_snapshot(at_s * 1_000_000_000, Vec::new());
        snapshot.host.own_limits =
            crate::snapshot::OwnLimits { cpus, cpu_used: Some((used_ms * 1_000_000, at_s * 1_000_000_000)), memory: None };
        snapshot
    };
    let of = |snapshots: [Snapshot; 2]| {
        let mut deriver = Deriver::new(0);
        snapshots.map(|snapshot| deriver.step(snapshot).host.of_limit)
    };
    assert_eq!(of([with(1, 100, Some(0.5)), with(3, 600, Some(0.5))]), [None, Some(50.0)]);
    assert_eq!(of([with(1, 100, Some(0.5)), with(3, 50, Some(0.5))])[1], None, "the time of another group");
    assert_eq!(of([with(1, 100, None), with(3, 600, None)])[1], None, "no limit");
}
