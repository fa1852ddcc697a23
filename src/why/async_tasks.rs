//! Tasks of asyncio that cannot go on: tasks that wait for each other, and loops that nothing can wake.

use std::collections::{HashMap, HashSet};

use crate::causes::{self, Scene, TaskId, Wait, handles_signals};
use crate::kernel::parse::syscall::{Machine, SyscallLine, epoll_patience_ms, epoll_targets};
use crate::kernel::proc_fs::{ProcFs, RelPath};
use crate::kernel::sockets::{listens, socket_inode};
use crate::snapshot::{
    AsyncCause, AsyncState, AsyncStuck, AsyncTask, Asyncio, AtQueue, EventLoop, Lock, LoopTurn, ProcKey, PythonFrame,
    PythonRuntime, QueueWait, circles,
};
use crate::text::{Charset, sanitize};

use super::BETWEEN;
use super::pythons::{self, waits_in, words};

/// The most tasks that are named.
const NAMED: usize = 8;
/// Readings that must all show a circle of tasks, if the thread of the loop never sleeps for as long as one takes.
const READINGS_OF_CYCLE: usize = 16;
/// Why tasks cannot go on whose loop rests.
pub(super) const NOTHING_WAKES: &str = "their event loop has no timer, no file or socket and no other thread that could wake one";
/// A wait of epoll without a timeout.
const FOR_EVER_MS: u32 = u32::MAX;
/// The most of `fdinfo` that is read.
const INFO_BYTES: usize = 64 * 1024;

/// The tasks of a process that cannot go on.
pub(super) fn stuck(fs: &ProcFs, scene: &Scene, pid: i32, runtime: &PythonRuntime) -> Option<AsyncStuck> {
    let asyncio = runtime.asyncio.as_ref()?;
    if let Some(tasks) = circle(asyncio) {
        let locks = tasks.iter().filter(|task| task.lock.is_some()).count();
        let (cause, evidence) = match locks {
            0 => (AsyncCause::Awaits, "each awaits the next one"),
            1 if tasks.len() == 1 => (AsyncCause::Locks, "it waits for an asyncio.Lock that it holds"),
            all if all == tasks.len() => (AsyncCause::Locks, "each waits for an asyncio.Lock that the next one holds"),
            _ => (AsyncCause::Locks, "each awaits the next one, or waits for an asyncio.Lock that it holds"),
        };
        let tid = asyncio.loops.iter().find(|one| one.id == tasks[0].loop_id).and_then(|one| one.tid);
        return Some(told(cause, &tasks, evidence.to_owned(), tid));
    }
    if asyncio.tasks.len() < asyncio.task_count {
        return None;
    }
    let idle = |one: &&EventLoop| one.turn == LoopTurn::Waits;
    asyncio.loops.iter().filter(idle).find_map(|one| {
        let tid = one.tid?;
        let files = idles(fs, scene, (pid, tid), FOR_EVER_MS)?;
        let tasks: Vec<&AsyncTask> = asyncio.tasks.iter().filter(|task| task.loop_id == one.id).collect();
        let (cause, evidence) = stuck_at_rest(&tasks, files, tid == pid && a_thread_wants_a_result(runtime, pid))?;
        // A connection makes a new task, which takes an item where no task is there that does.
        let gets = || tasks.iter().any(|task| task.queue.is_some_and(|queue| queue.wait == QueueWait::Get));
        if cause == AsyncCause::Queue && files > 1 && !gets() && serves(fs, (pid, tid)) {
            return None;
        }
        Some(told(cause, &tasks, evidence, Some(tid)))
    })
}

pub(super) fn told(cause: AsyncCause, tasks: &[&AsyncTask], evidence: String, tid: Option<i32>) -> AsyncStuck {
    AsyncStuck { cause, tasks: tasks.len(), evidence, lines: lines(tasks), tid, for_ms: None, twice: false }
}

/// True if the tasks wait for each other, as the reading `before` says. Other tasks of the loop may run during a reading, which then
/// mixes waits of different moments. So the cycle must be found again while the loop's thread sleeps, or in each of
/// [`READINGS_OF_CYCLE`] readings.
pub(super) fn is_cycle(fs: &ProcFs, key: ProcKey, tid: Option<i32>, before: &PythonRuntime) -> bool {
    let thread = tid.map(|tid| TaskId { pid: key.pid, tid });
    for _ in 0..READINGS_OF_CYCLE {
        std::thread::sleep(BETWEEN);
        let sleep = thread.and_then(|id| Some((id, causes::asleep(fs, id)?)));
        if !pythons::runtime(key).is_some_and(|now| same_cycle(before, &now)) {
            return false;
        }
        if sleep.is_some_and(|(id, figures)| causes::sleeps_on(fs, id, figures)) {
            return true;
        }
    }
    true
}

/// Whether this later reading finds the same tasks in the same circle.
fn same_cycle(before: &PythonRuntime, now: &PythonRuntime) -> bool {
    let cycle = |runtime: &PythonRuntime| {
        let tasks = circle(runtime.asyncio.as_ref()?)?;
        Some(tasks.iter().map(|task| (task.id, task.lock)).collect::<HashSet<_>>())
    };
    let before = cycle(before);
    before.is_some() && before == cycle(now)
}

/// Whether a thread other than the main one waits for the result of a future, which a program at rest does not.
fn a_thread_wants_a_result(runtime: &PythonRuntime, pid: i32) -> bool {
    let threads = runtime.interpreters.iter().flat_map(|one| &one.threads);
    let mut others = threads.filter(|thread| thread.task.as_ref().is_some_and(|task| task.tid != pid));
    others.any(|thread| waits_in(&thread.frames, "Future.result", "/concurrent/futures/_base.py"))
}

/// The tasks of a loop that rests: it has no timer, and no other thread is left that could wake it. It listens to so many files, among them
/// the socket by which threads wake it.
fn stuck_at_rest(tasks: &[&AsyncTask], files: usize, result_wanted: bool) -> Option<(AsyncCause, String)> {
    if tasks.is_empty() || !tasks.iter().all(|task| task.state == AsyncState::Waiting && !task.moved) {
        return None;
    }
    if let Some(evidence) = never_joined(tasks) {
        return Some((AsyncCause::Queue, evidence));
    }
    if files > 1 || !result_wanted && tasks.iter().any(|task| may_rest(task, tasks)) {
        return None;
    }
    let evidence = NOTHING_WAKES;
    let thread = if result_wanted { "; a thread waits for the result of a future (Future.result)" } else { "" };
    Some((AsyncCause::Unwakeable, format!("{evidence}{thread}")))
}

/// What keeps a task in `Queue.join()`, if all other tasks wait in `get()` or `put()` of that queue, or for tasks that do.
fn never_joined(tasks: &[&AsyncTask]) -> Option<String> {
    let count = |queue: u64, wait| tasks.iter().filter(|t| t.queue.is_some_and(|q| q.queue == queue && q.wait == wait)).count();
    let joined = tasks.iter().filter_map(|task| task.queue.filter(|queue| queue.wait == QueueWait::Join));
    for AtQueue { queue, unfinished, .. } in joined {
        let Some(unfinished) = unfinished.filter(|unfinished| *unfinished > 0) else { continue };
        let (joins, gets, puts) = (count(queue, QueueWait::Join), count(queue, QueueWait::Get), count(queue, QueueWait::Put));
        // One of both is about to go on.
        if gets > 0 && puts > 0 {
            continue;
        }
        let mut bound: HashSet<u64> = tasks.iter().filter(|t| t.queue.is_some_and(|q| q.queue == queue)).map(|t| t.id).collect();
        let mut open: Vec<u64> = bound.iter().copied().collect();
        while let Some(id) = open.pop() {
            let above = tasks.iter().filter(|task| task.id == id).flat_map(|task| &task.awaited_by);
            open.extend(above.filter(|id| bound.insert(**id)));
        }
        if tasks.iter().all(|task| bound.contains(&task.id)) {
            let items = if unfinished == 1 { "1 item is".to_owned() } else { format!("{unfinished} items are") };
            return Some(format!(
                "{items} not done in an asyncio.Queue, and no task is left that could call task_done() \
                 ({joins} in join(), {gets} in get(), {puts} in put())"
            ));
        }
    }
    None
}

/// Tasks in a circle. Not if a timeout may end one of the waits.
fn circle(asyncio: &Asyncio) -> Option<Vec<&AsyncTask>> {
    let by_id: HashMap<u64, &AsyncTask> = asyncio.tasks.iter().map(|task| (task.id, task)).collect();
    circles(&asyncio.tasks).into_iter().find(|circle| !circle.iter().any(|task| is_timed(task, &by_id)))
}

/// Whether a timeout ends the task, or one that awaits it.
fn is_timed(task: &AsyncTask, by_id: &HashMap<u64, &AsyncTask>) -> bool {
    let (mut open, mut seen) = (vec![task.id], HashSet::new());
    while let Some(id) = open.pop() {
        let Some(task) = by_id.get(&id).filter(|_| seen.insert(id)) else { continue };
        if task.timed {
            return true;
        }
        open.extend(&task.awaited_by);
    }
    false
}

/// Whether it is a program that rests until a signal ends it: its outermost task waits for an event or a future of its own, or awaits a task
/// that waits for an event. Not while a task waits for a lock: it may be the one that should set the event.
fn may_rest(task: &AsyncTask, all: &[&AsyncTask]) -> bool {
    let awaits_others = all.iter().any(|other| other.awaited_by.contains(&task.id));
    let innermost = task.frames.first();
    let joins = task.queue.is_some_and(|queue| queue.wait == QueueWait::Join);
    let event = |frame: &PythonFrame| !joins && &*frame.function == "Event.wait" && frame.file.ends_with("asyncio/locks.py");
    task.awaited_by.is_empty() && !awaits_others && innermost.is_none_or(|frame| event(frame) || frame.is_own()) && all.len() == 1
        || innermost.is_some_and(event) && (task.awaited_by.is_empty() || all.iter().all(|other| other.lock.is_none()))
}

/// To how many files the loop listens, if only they can wake it: it waits for so long at least, and all other threads wait for locks of this
/// process.
pub(super) fn idles(fs: &ProcFs, scene: &Scene, (pid, tid): (i32, i32), least_ms: u32) -> Option<usize> {
    // A lock in shared memory may be released by another process.
    let waits = |wait: &Wait| matches!(wait, Wait::Futex { lock: Lock::Private { .. }, .. });
    let mut tasks = scene.processes.get(&pid)?.tasks.iter();
    let others_wait = tasks.all(|(other, task)| other == tid || waits(&task.wait));
    if others_wait && !handles_signals(fs, pid) { listens_to(fs, (pid, tid), least_ms) } else { None }
}

/// How many descriptors the epoll instance listens to at which the thread waits for so long at least.
fn listens_to(fs: &ProcFs, thread: (i32, i32), least_ms: u32) -> Option<usize> {
    Some(epoll_targets(&epoll(fs, thread, least_ms)?).count())
}

/// The `fdinfo` of the epoll instance at which the thread waits for so long at least.
fn epoll(fs: &ProcFs, (pid, tid): (i32, i32), least_ms: u32) -> Option<Vec<u8>> {
    let mut buffer = [0u8; 512];
    let line = SyscallLine::parse(fs.read_once(&RelPath::task(pid, tid, "syscall"), &mut buffer).ok()?)?;
    let SyscallLine::Inside { number, args, narrow: false } = line else { return None };
    epoll_patience_ms(Machine::HERE?.name(number)?, &args).filter(|ms| *ms >= least_ms)?;
    let mut info = Vec::new();
    fs.read_all(&RelPath::descriptor_info(pid, i32::try_from(args[0]).ok()?), INFO_BYTES, &mut info).ok()?;
    Some(info)
}

/// Whether a socket that the loop of the thread listens to accepts connections.
fn serves(fs: &ProcFs, (pid, tid): (i32, i32)) -> bool {
    let Some(info) = epoll(fs, (pid, tid), 0) else { return true };
    let socket = |fd: i32| socket_inode(&fs.read_link(&RelPath::descriptor(pid, fd)).ok()?);
    let sockets: Vec<u64> = epoll_targets(&info).flatten().filter_map(socket).collect();
    listens(fs, pid, &sockets)
}

/// `task store waits in store() at tasks.py:88`.
fn lines(tasks: &[&AsyncTask]) -> Vec<String> {
    let line = |task: &&AsyncTask| {
        let own = task.frames.iter().find(|frame| frame.is_own());
        let inner = task.frames.first().filter(|inner| Some(*inner) != own).map(words);
        if let Some(AtQueue { wait, unfinished, .. }) = task.queue {
            let method = match wait {
                QueueWait::Join => "join()",
                QueueWait::Get => "get()",
                QueueWait::Put => "put()",
            };
            let place = own.map(|own| format!(" in {}", words(own))).unwrap_or_default();
            let items = unfinished.map(|items| format!(", {items} not done")).unwrap_or_default();
            let name = sanitize(task.name.as_bytes(), Charset::Unicode);
            return format!("task {name} waits{place}, at {method} of an asyncio.Queue{items}");
        }
        let place = match (inner, own.map(words)) {
            (Some(inner), Some(own)) => format!(" in {own}, at {inner}"),
            (Some(only), None) | (None, Some(only)) => format!(" in {only}"),
            (None, None) => String::new(),
        };
        format!("task {} waits{place}", sanitize(task.name.as_bytes(), Charset::Unicode))
    };
    let mut lines: Vec<String> = tasks.iter().take(NAMED).map(line).collect();
    if tasks.len() > NAMED {
        lines.push(format!("and {} more", tasks.len() - NAMED));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn task(id: u64, lock: Option<u64>, holds: &[u64]) -> AsyncTask {
        let frame = PythonFrame { function: "work".into(), file: "/srv/a.py".into(), line: Some(3), times: 1 };
        AsyncTask {
            id,
            name: Arc::from(format!("t{id}")),
            loop_id: 1,
            state: AsyncState::Waiting,
            frames: vec![frame],
            awaited_by: Vec::new(),
            moved: false,
            lock,
            queue: None,
            holds: holds.to_vec(),
            timed: false,
        }
    }

    fn cycle(tasks: Vec<AsyncTask>) -> Vec<u64> {
        let asyncio = Asyncio { loops: Vec::new(), task_count: tasks.len(), tasks };
        circle(&asyncio).into_iter().flatten().map(|task| task.id).collect()
    }

    #[test]
    fn tasks_that_hold_locks_crosswise_are_a_cycle_unless_a_timeout_ends_one() {
        let crosswise = || vec![task(1, Some(0xb), &[0xa]), task(2, Some(0xa), &[0xb]), task(3, Some(0xa), &[])];
        assert_eq!(cycle(crosswise()), [1, 2]);
        let mut timed = crosswise();
        timed[0].awaited_by.push(3);
        timed[2].timed = true;
        assert_eq!(cycle(timed), [0u64; 0], "the task that awaits it has a timeout");
        assert_eq!(cycle(vec![task(1, Some(0xb), &[]), task(2, None, &[0xb])]), [0u64; 0], "the holder goes on");
        assert_eq!(cycle(vec![task(1, Some(0xb), &[0xb])]), [1], "it waits for itself");
    }

    #[test]
    fn a_queue_is_never_joined_if_no_task_is_left_that_could_finish_its_items() {
        let at =
            |id, wait, unfinished| AsyncTask { queue: Some(AtQueue { queue: 0xa, wait, unfinished }), ..task(id, None, &[]) };
        let join = || at(1, QueueWait::Join, Some(2));
        let get = |id| at(id, QueueWait::Get, None);
        let found = |tasks: &[AsyncTask]| stuck_at_rest(&tasks.iter().collect::<Vec<_>>(), 2, false).map(|(cause, _)| cause);
        let queue = Some(AsyncCause::Queue);
        assert_eq!(found(&[join()]), queue, "its workers have ended");
        assert_eq!(found(&[join(), get(2), get(3)]), queue, "its workers did not call task_done()");
        assert_eq!(found(&[join(), task(2, None, &[]), get(3)]), None, "a worker has an item in hand");
        assert_eq!(found(&[join(), at(2, QueueWait::Put, None)]), queue, "a full queue that no task empties");
        assert_eq!(found(&[join(), at(2, QueueWait::Put, None), get(3)]), None, "one of them is about to go on");
        let other =
            AsyncTask { queue: Some(AtQueue { queue: 0xb, wait: QueueWait::Get, unfinished: None }), ..task(2, None, &[]) };
        assert_eq!(found(&[join(), other]), None, "the worker of another queue may finish its items");
        assert_eq!(found(&[at(1, QueueWait::Join, None)]), None, "how many items are not done is not known");
        let mut awaited = join();
        awaited.awaited_by.push(9);
        assert_eq!(found(&[awaited, task(9, None, &[])]), queue, "the other task waits for this one");
        let ready = AsyncTask { state: AsyncState::Ready, ..get(2) };
        assert_eq!(found(&[join(), ready]), None, "an item was put");
    }

    #[test]
    fn a_program_that_waits_for_its_end_rests() {
        let mut main = task(1, None, &[]);
        assert!(may_rest(&main, &[&main.clone()]), "the only task waits for a future");
        let event = PythonFrame {
            function: "Event.wait".into(),
            file: "/usr/lib/python3.13/asyncio/locks.py".into(),
            line: None,
            times: 1,
        };
        let other = task(2, None, &[]);
        assert!(!may_rest(&main, &[&main.clone(), &other]));
        main.frames.insert(0, event);
        assert!(may_rest(&main, &[&main.clone(), &other]));
        main.awaited_by.push(2);
        assert!(may_rest(&main, &[&main.clone(), &other]), "another task awaits this one, as in gather()");
        let wants = task(3, Some(0xa), &[]);
        assert!(!may_rest(&main, &[&main.clone(), &other, &wants]), "it may have to set the event");
        let alone = task(1, None, &[]);
        assert_eq!(stuck_at_rest(&[&alone], 1, false), None);
        let wanted = stuck_at_rest(&[&alone], 1, true).unwrap();
        assert!(wanted.1.ends_with("a thread waits for the result of a future (Future.result)"), "{wanted:?}");
    }
}
