//! Made scenes: who can go on, and what is found.

use crate::snapshot::{Comm, Lock, ProcKey};

use super::scene::{Ends, Holder, Process, Scene, SocketEnd, Task, TaskId, Wait};
use super::search::{Cause, chain, problems, stuck};
use super::{Kind, Target};

fn lock(pid: i32, address: u64) -> Lock {
    Lock::Private { pid, address }
}

fn mutex(pid: i32, address: u64, owner: i32) -> Wait {
    Wait::Futex { lock: lock(pid, address), holder: Holder::Task(Kind::Mutex, TaskId { pid, tid: owner }) }
}

fn unrecorded(pid: i32) -> Wait {
    Wait::Futex { lock: lock(pid, 0x70), holder: Holder::NotRecorded }
}

fn open() -> Wait {
    Wait::Open("running".into())
}

fn process(pid: i32, ppid: i32, waits: Vec<Wait>) -> Process {
    let tasks = waits
        .into_iter()
        .enumerate()
        .map(|(n, wait)| (pid + i32::try_from(n).unwrap(), Task { comm: Comm::new(b"t"), wait, for_ms: None }));
    Process {
        key: ProcKey { pid, start_ticks: 1 },
        ppid,
        session: 1,
        comm: Comm::new(b"p"),
        forked_from: None,
        is_copy: true,
        handles_signals: false,
        handles_messages: false,
        age_ms: None,
        tasks: std::sync::Arc::new(tasks.collect()),
    }
}

fn scene(processes: Vec<Process>) -> Scene {
    Scene { processes: processes.into_iter().map(|p| (p.key.pid, p)).collect(), ..Scene::default() }
}

fn causes(scene: &Scene) -> Vec<(Cause, usize)> {
    problems(scene).iter().map(|p| (p.cause, p.tasks.len())).collect()
}

#[test]
fn a_cycle_of_mutexes_is_found_beside_threads_that_run() {
    let s = scene(vec![process(10, 1, vec![open(), mutex(10, 1, 12), mutex(10, 2, 11), mutex(10, 1, 12)])]);
    let found = problems(&s);
    assert_eq!(causes(&s), [(Cause::LockCycle, 2)]);
    assert_eq!(found[0].behind, [TaskId { pid: 10, tid: 13 }], "who waits for the cycle is behind it");
    let own = scene(vec![process(10, 1, vec![open(), mutex(10, 1, 11)])]);
    assert_eq!(causes(&own), [(Cause::SelfLock, 1)]);
}

#[test]
fn an_owner_that_runs_is_no_problem() {
    let s = scene(vec![process(10, 1, vec![open(), mutex(10, 1, 10), mutex(10, 2, 11)])]);
    assert!(stuck(&s).is_empty());
    let steps = chain(&s, TaskId { pid: 10, tid: 12 });
    assert_eq!(steps.iter().map(|s| s.task.tid).collect::<Vec<_>>(), [12, 11, 10]);
    assert!(steps[2].edge.is_none() && !steps[2].again);
}

#[test]
fn a_parent_that_waits_for_the_writer_of_its_pipe_is_a_cycle_of_processes() {
    let pipe = |readers: &[i32]| Ends { readers: readers.to_vec(), writers: vec![20] };
    let mut s = scene(vec![process(10, 1, vec![Wait::Child(Some(20))]), process(20, 10, vec![Wait::PipeWrite(7)])]);
    s.pipes.insert(7, pipe(&[10]));
    assert_eq!(causes(&s), [(Cause::ProcessCycle, 2)]);
    assert!(chain(&s, TaskId { pid: 10, tid: 10 }).last().unwrap().again, "the chain comes back");
    let reader = process(30, 1, vec![open()]);
    s.processes.insert(30, reader);
    s.pipes.insert(7, pipe(&[10, 30]));
    assert!(causes(&s).is_empty(), "another process may read it");
    s.pipes.insert(7, pipe(&[]));
    assert!(causes(&s).is_empty(), "a blocked pipe has a reader: it was not seen");
    s.pipes.insert(7, pipe(&[20]));
    assert_eq!(causes(&s), [(Cause::PipeWithoutPeer, 1)]);
}

#[test]
fn a_process_that_may_not_be_read_counts_only_if_it_can_have_inherited_the_pipe() {
    let mut s = scene(vec![
        process(2, 1, vec![open()]),
        process(3, 2, vec![open()]),
        process(10, 3, vec![Wait::Child(Some(20))]),
        process(20, 10, vec![Wait::PipeWrite(7)]),
    ]);
    s.pipes.insert(7, Ends { readers: vec![10], writers: vec![20] });
    s.unreadable.insert(2, 1);
    assert_eq!(causes(&s), [(Cause::ProcessCycle, 2)], "between 2 and the pipe is one that does not hold it");
    for (hidden, parent) in [(3, 2), (30, 3), (30, 10), (30, 20)] {
        let mut s = s.clone();
        s.processes.entry(hidden).or_insert_with(|| process(hidden, parent, vec![open()]));
        s.unreadable.insert(hidden, 1);
        assert!(causes(&s).is_empty(), "{hidden} below {parent}");
    }
    s.processes.get_mut(&10).unwrap().ppid = 1;
    assert!(causes(&s).is_empty(), "init has adopted the oldest: any process of the session can have inherited it");
    s.unreadable.insert(2, 5);
    assert_eq!(causes(&s), [(Cause::ProcessCycle, 2)], "of another session");
}

#[test]
fn all_threads_at_locks_without_owners_are_a_deadlock_and_one_thread_may_rest() {
    let mut s = scene(vec![process(10, 1, vec![unrecorded(10), unrecorded(10)])]);
    assert_eq!(causes(&s), [(Cause::NoThreadCanGoOn, 2)]);
    s.processes.get_mut(&10).unwrap().handles_signals = true;
    assert!(causes(&s).is_empty(), "a handler may release the lock");
    let rest = scene(vec![process(10, 1, vec![unrecorded(10), open()])]);
    assert!(causes(&rest).is_empty());
    assert_eq!(causes(&scene(vec![process(10, 1, vec![unrecorded(10)])])), [(Cause::OnlyThreadWaits, 1)]);
}

#[test]
fn a_forked_child_alone_at_a_lock_is_stuck_after_fork_and_its_parent_behind_it() {
    let mut child = process(20, 10, vec![unrecorded(20)]);
    child.forked_from = Some(10);
    let s = scene(vec![process(10, 1, vec![Wait::Child(Some(20)), open()]), child]);
    assert_eq!(causes(&s), [(Cause::StuckAfterFork, 1)]);
    assert_eq!(problems(&s)[0].behind, [TaskId { pid: 10, tid: 10 }]);
}

#[test]
fn a_shared_semaphore_waits_for_whoever_maps_it() {
    let lock = Lock::Shared { device: (0, 26), inode: 5, offset: 0 };
    let wait = || Wait::Futex { lock, holder: Holder::Semaphore { value: 0, waiters: 3 } };
    let mut s =
        scene(vec![process(10, 1, vec![Wait::Child(Some(20))]), process(20, 10, vec![wait()]), process(30, 10, vec![wait()])]);
    s.sharers.insert(((0, 26), 5), vec![10, 20, 30]);
    let found = problems(&s);
    assert_eq!((found.len(), found[0].cause, found[0].lost_waiters), (1, Cause::SemaphoreAbandoned, 1));
    s.sharers.insert(((0, 26), 5), vec![20, 30, 40]);
    s.processes.insert(40, process(40, 1, vec![open()]));
    assert!(problems(&s).is_empty(), "somebody else may release it");
}

#[test]
fn a_parent_that_waits_for_its_children_and_has_handlers_rests_until_a_signal() {
    let lock = Lock::Shared { device: (0, 26), inode: 5, offset: 0 };
    let wait = Wait::Futex { lock, holder: Holder::Semaphore { value: 0, waiters: 1 } };
    for wait in [wait, Wait::PipeRead(7)] {
        let mut s = scene(vec![process(10, 1, vec![Wait::Child(Some(20))]), process(20, 10, vec![wait])]);
        s.sharers.insert(((0, 26), 5), vec![10, 20]);
        s.pipes.insert(7, Ends { readers: vec![20], writers: vec![10, 20] });
        assert_eq!(problems(&s).len(), 1);
        s.processes.get_mut(&10).unwrap().handles_signals = true;
        assert!(problems(&s).is_empty(), "its handler may set the event, or write");
    }
}

#[test]
fn an_event_loop_that_only_a_stuck_child_could_wake_is_stuck_too() {
    let at = |children: &[i32]| Wait::Events { children: children.to_vec(), sockets: vec![7], pipes: vec![8] };
    let with = |tasks: Vec<Wait>, child: Wait| {
        let mut s = scene(vec![process(10, 1, tasks), process(20, 10, vec![child])]);
        s.sockets.insert(7, SocketEnd { holders: vec![10], address: None });
        s.pipes.insert(8, Ends { readers: vec![20], writers: vec![10] });
        s.pipes.insert(9, Ends { readers: vec![10], writers: vec![20] });
        s
    };
    assert_eq!(causes(&with(vec![at(&[20])], Wait::PipeWrite(9))), [(Cause::ProcessCycle, 2)]);
    let found = problems(&with(vec![at(&[20])], Wait::PipeWrite(9)));
    assert_eq!(found[0].edges[0].evidence, "its event loop waits for the end of its child 20");
    // A thread waits for the child, and would wake the loop.
    assert_eq!(causes(&with(vec![at(&[]), Wait::Child(Some(20))], Wait::PipeWrite(9))), [(Cause::ProcessCycle, 3)]);
    assert!(causes(&with(vec![at(&[20]), open()], Wait::PipeWrite(9))).is_empty(), "a thread may wake the loop");
    assert!(causes(&with(vec![at(&[20])], open())).is_empty(), "the child goes on");
    let mut signalled = with(vec![at(&[20])], Wait::PipeWrite(9));
    signalled.processes.get_mut(&10).unwrap().handles_signals = true;
    assert!(causes(&signalled).is_empty(), "a handler may wake it");
    let mut other = with(vec![at(&[20])], Wait::PipeWrite(9));
    other.processes.insert(30, process(30, 1, vec![open()]));
    other.sockets.insert(7, SocketEnd { holders: vec![30], address: None });
    assert!(causes(&other).is_empty(), "another process may send");
    other.sockets.insert(7, SocketEnd { holders: vec![], address: Some("[::1]:80".into()) });
    assert!(causes(&other).is_empty(), "another machine may send");
}

#[test]
fn a_socket_of_ones_own_is_no_lock_and_a_handler_may_write_to_it() {
    let mut s = scene(vec![process(10, 1, vec![Wait::SocketRead(7)])]);
    s.sockets.insert(7, SocketEnd { holders: vec![10], address: None });
    assert_eq!(causes(&s), [(Cause::SelfRequest, 1)]);
    s.processes.get_mut(&10).unwrap().handles_signals = true;
    assert!(causes(&s).is_empty() && s.waits_for_handler(TaskId { pid: 10, tid: 10 }));
}

#[test]
fn two_that_write_are_told_to_read() {
    let mut s = scene(vec![process(10, 1, vec![Wait::SocketWrite(7)]), process(20, 10, vec![Wait::SocketWrite(8)])]);
    for (inode, holder) in [(7, 20), (8, 10)] {
        s.sockets.insert(inode, SocketEnd { holders: vec![holder], address: None });
    }
    let found = problems(&s);
    assert!(found[0].all_write && found[0].advice().starts_with("All processes write and none reads"), "{found:#?}");
}

#[test]
fn file_locks_owners_that_are_gone_and_the_unknown() {
    let s = scene(vec![process(10, 1, vec![Wait::FileLock(vec![20])]), process(20, 1, vec![Wait::FileLock(vec![10])])]);
    assert_eq!(causes(&s), [(Cause::FileLockCycle, 2)]);
    let gone = Wait::Futex { lock: lock(10, 1), holder: Holder::Gone { tid: 99, in_parent: None } };
    let s = scene(vec![process(10, 1, vec![gone, open()])]);
    assert_eq!(causes(&s), [(Cause::HolderGone, 1)]);
    assert_eq!(problems(&s)[0].edges[0].to, Target::Nobody);
    let unknown = scene(vec![process(10, 1, vec![mutex(10, 1, 11), Wait::Unknown("denied".into())])]);
    assert!(causes(&unknown).is_empty(), "what is not known is not called stuck");
}

#[test]
fn every_cause_has_a_place_and_a_name_of_its_own() {
    assert!(Cause::ALL.is_sorted(), "worst first, as they are declared");
    let ids: std::collections::HashSet<_> = Cause::ALL.iter().map(|cause| cause.id()).collect();
    assert_eq!(ids.len(), Cause::ALL.len());
}

#[test]
fn thousands_of_stuck_threads_are_one_problem_found_in_time() {
    let s = scene(vec![process(10, 1, (0..4000).map(|_| unrecorded(10)).collect())]);
    let begun = std::time::Instant::now();
    assert_eq!(causes(&s), [(Cause::NoThreadCanGoOn, 4000)]);
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
}
