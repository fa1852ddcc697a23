//! Python functions beside tasks, and what the threads of a Python process do over several readings.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::causes::search::Cause;
use crate::causes::{Kind, Problem, Scene, TaskId};
use crate::kernel::error::ReadError;
use crate::kernel::readers::within;
use crate::kernel::{DetailReader, reason};
use crate::snapshot::{
    Detail, DetailContent, Gil, LONG_LAG_NS, LoopTurn, PoolRole, ProcKey, PythonFacts, PythonFrame, PythonRuntime, PythonThread,
    PythonThreadFacts, State, WaitReason,
};
use crate::text::{Charset, sanitize};
use crate::units::age;

/// How long one process may take to have its Python stacks read.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most processes whose Python stacks are read.
const MOST_PYTHONS: usize = 64;

/// The innermost Python frames of tasks, and the event loops that they keep from going on.
#[derive(Debug, Default)]
pub struct Pythons {
    frames: BTreeMap<TaskId, Vec<PythonFrame>>,
    /// For how long a loop has run without a wait, nanoseconds, by the task that runs it.
    late: BTreeMap<TaskId, u64>,
}

impl Pythons {
    /// Of the processes of these tasks; those that run no Python have none.
    pub fn read(scene: &Scene, tasks: impl IntoIterator<Item = TaskId>) -> Self {
        let pids: BTreeSet<i32> = tasks.into_iter().map(|id| id.pid).collect();
        let mut found = Self::default();
        for process in pids.iter().take(MOST_PYTHONS).filter_map(|pid| scene.processes.get(pid)) {
            let Some(runtime) = runtime(process.key) else { continue };
            let id = |tid: i32| TaskId { pid: process.key.pid, tid };
            for thread in runtime.interpreters.into_iter().flat_map(|one| one.threads) {
                let Some(task) = thread.task.filter(|_| !thread.moved) else { continue };
                found.frames.insert(id(task.tid), thread.frames);
            }
            for one in runtime.asyncio.iter().flat_map(|asyncio| &asyncio.loops) {
                if let (Some(tid), LoopTurn::Runs { lag_ns, .. }) = (one.tid, &one.turn) {
                    found.late.insert(id(tid), *lag_ns);
                }
            }
        }
        found
    }

    /// For how long the event loop that this task runs has not come to a wait, if that is longer than other tasks of the loop notice,
    /// nanoseconds.
    pub fn late(&self, id: TaskId) -> Option<u64> {
        self.late.get(&id).copied().filter(|lag_ns| *lag_ns >= LONG_LAG_NS)
    }

    /// Whether `multiprocessing` started the process of this task.
    pub fn is_worker(&self, id: TaskId) -> bool {
        self.frames.get(&id).is_some_and(|frames| is_worker(frames))
    }

    /// The innermost frame of a task.
    pub fn frame(&self, id: TaskId) -> Option<&PythonFrame> {
        self.frames.get(&id)?.first()
    }

    /// The innermost frame that is not of the `threading` module: where the program is.
    pub fn place(&self, id: TaskId) -> Option<&PythonFrame> {
        let frames = self.frames.get(&id)?;
        frames.iter().find(|frame| !is_threading(frame)).or(frames.first())
    }

    /// The innermost frame of the program itself, if [`Self::place`] is of a library.
    pub fn caller(&self, id: TaskId) -> Option<&PythonFrame> {
        let own = self.frames.get(&id)?.iter().find(|frame| frame.is_own());
        own.filter(|own| self.place(id) != Some(*own))
    }

    /// Whether the program itself waits for an event or a condition of `multiprocessing`. One within a queue is none.
    fn waits_for_shared_event(&self, id: TaskId) -> bool {
        let Some(frames) = self.frames.get(&id) else { return false };
        let waits = |frame: &&PythonFrame| frame.file.ends_with("multiprocessing/synchronize.py") && method(frame) == "wait";
        let waiting = frames.iter().take_while(waits).count();
        waiting > 0 && frames.get(waiting).is_none_or(|caller| !caller.file.contains("/multiprocessing/") || is_start(caller))
    }

    /// Whether the program itself waits for an event or a condition, as programs do that rest until a signal ends them. A wait within a
    /// queue, a future or a barrier is none: another thread must act before it ends.
    pub fn rests(&self, id: TaskId) -> bool {
        let Some(frames) = self.frames.get(&id) else { return false };
        let waits = frames.iter().take_while(|frame| is_threading(frame) && method(frame) == "wait").count();
        let within = |frame: &PythonFrame| {
            let at = |end: &str| frame.file.ends_with(end);
            at("/queue.py") || at("/concurrent/futures/_base.py") || is_threading(frame)
        };
        waits > 0 && !frames.get(waits).is_some_and(within)
    }
}

/// Whether it may be a program that rests until a signal ends it: its threads wait for locks without a recorded owner, and the main
/// thread for an event. Of a single thread it must be known that it does not.
pub fn may_rest(scene: &Scene, problem: &Problem, pythons: &Pythons) -> bool {
    let handles = |id: &TaskId| scene.processes.get(&id.pid).is_some_and(|process| process.handles_signals);
    let main = problem.tasks.iter().find(|id| id.pid == id.tid).copied();
    match problem.cause {
        Cause::OnlyThreadWaits => main.is_none_or(|main| pythons.frame(main).is_none() || pythons.rests(main)),
        Cause::NoThreadCanGoOn => main.is_some_and(|main| pythons.rests(main)),
        // A lock whose owner is recorded is held; of any other, the copy of a program may wait as the program itself does.
        Cause::StuckAfterFork if problem.edges.iter().all(|edge| edge.kind == Kind::Lock) => {
            main.is_some_and(|main| pythons.rests(main))
        }
        // A handler of one of them may set the event.
        Cause::SemaphoreAbandoned | Cause::ProcessCycle => {
            problem.tasks.iter().any(handles) && problem.tasks.iter().any(|id| pythons.waits_for_shared_event(*id))
        }
        _ => false,
    }
}

/// One reading of a process.
pub(super) struct Reading {
    pub runtime: Box<PythonRuntime>,
    /// The futexes at which its threads slept before it: reading takes a CPU, for which a thread that wakes then has to wait.
    asleep: BTreeMap<i32, u64>,
}

/// Reads the runtime of a process, and where these of its threads sleep.
pub(super) fn reading(key: ProcKey, tids: Vec<i32>) -> Option<Reading> {
    let (asleep, read) = in_time(key, move |reader| {
        let at = |tid: i32| Some((tid, crate::inspect::sleeps_at(reader.files(), key.pid, tid)?));
        let asleep = tids.into_iter().filter_map(at).collect();
        (asleep, crate::inspect::read(reader, key))
    })?;
    Some(Reading { runtime: content(read)?, asleep })
}

/// The runtime of a process; `None` if it runs no CPython, or cannot be read.
#[must_use]
pub fn runtime(key: ProcKey) -> Option<Box<PythonRuntime>> {
    content(in_time(key, move |reader| crate::inspect::read(reader, key))?)
}

fn content(read: Result<Detail, ReadError>) -> Option<Box<PythonRuntime>> {
    match read.map_err(|error| reason(&error)).ok()?.content {
        Ok(DetailContent::Runtime(runtime)) => Some(runtime),
        _ => None,
    }
}

/// Reads something of a process; `None` if that takes too long.
pub(super) fn in_time<T: Send + 'static>(key: ProcKey, read: impl FnOnce(&DetailReader) -> T + Send + 'static) -> Option<T> {
    let reader = DetailReader::open("/proc").ok()?;
    within(key, PATIENCE, move || read(&reader)).ok()
}

/// Adds one reading.
pub(super) fn add(facts: &mut PythonFacts, reading: &Reading) {
    let Reading { runtime, asleep } = reading;
    facts.readings += 1;
    facts.gil = runtime.interpreters.iter().any(|one| one.gil != Gil::Off);
    facts.held += u32::from(runtime.interpreters.iter().any(|one| matches!(one.gil, Gil::Held(_) | Gil::Elsewhere)));
    let threads = runtime.interpreters.iter().flat_map(|one| one.threads.iter().map(move |thread| (one, thread)));
    for (interpreter, thread) in threads {
        let Some(task) = &thread.task else { continue };
        let at = match facts.threads.iter().position(|known| known.tid == task.tid) {
            Some(at) => at,
            None => {
                let asleep = facts.readings == 1;
                facts.threads.push(PythonThreadFacts { tid: task.tid, asleep, ..PythonThreadFacts::default() });
                facts.threads.len() - 1
            }
        };
        let known = &mut facts.threads[at];
        let slept_at = asleep.get(&task.tid);
        let slept_there = slept_at.is_some_and(|address| interpreter.gil_futexes.contains(address));
        let at_futex = task.wait.as_ref().is_some_and(|wait| matches!(wait.reason, Some(WaitReason::Futex { .. })));
        // Not read at one moment: a thread may have waited and then held.
        known.held += u32::from(thread.holds_gil);
        known.waited += u32::from(thread.waits_for_gil || slept_there);
        known.dozed += u32::from(at_futex || slept_at.is_some());
        known.asleep &= task.state == State::SLEEPING;
        known.place = place(&thread.frames).map(words).or(known.place.take());
        known.callback = callback(thread).map(words);
        known.outermost = greenlet(thread).map(words);
        known.role = role(&thread.frames);
        facts.worker |= is_worker(&thread.frames);
        facts.pool |= !is_worker(&thread.frames) && cares_for_workers(&thread.frames);
    }
}

/// The innermost frame of the program itself, not of Python's library.
fn place(frames: &[PythonFrame]) -> Option<&PythonFrame> {
    frames.iter().find(|frame| !is_library(&frame.file)).or(frames.first())
}

fn is_library(file: &str) -> bool {
    file.contains("/lib/python3") || file.starts_with("<frozen")
}

/// What an event loop of this thread has called and that has not returned: the frame that the loop called. A loop that waits for events, or
/// does its own work, has called nothing.
fn callback(thread: &PythonThread) -> Option<&PythonFrame> {
    let at = thread.frames.iter().position(is_loop)?;
    let inner = thread.frames.get(..at)?;
    let own = |file: &str| file.contains("/asyncio/") || file.ends_with("/selectors.py") || file.contains("/uvloop/");
    if inner.first().is_none_or(|frame| frame.file.ends_with("/selectors.py")) || inner.iter().all(|frame| own(&frame.file)) {
        return None;
    }
    // A worker that was forked in a callback has the loop of its parent below its own frames, and runs none itself.
    if is_worker(inner) {
        return None;
    }
    // asyncio's own frames between the loop and the program are not what blocks it.
    inner.iter().rev().find(|frame| !own(&frame.file))
}

/// The outermost function of a thread that executes a greenlet: its frames do not lead to a module or to the start of a thread. The hub of
/// gevent, and gevent's own threads, have called nothing.
fn greenlet(thread: &PythonThread) -> Option<&PythonFrame> {
    let outermost = thread.frames.last().filter(|_| thread.left_out.is_none() && !thread.deeper && !thread.moved)?;
    let start = &*outermost.function == "<module>" || is_threading(outermost) || outermost.file.starts_with("<frozen");
    let gevent = |frame: &PythonFrame| frame.file.contains("/gevent/");
    let waits = thread.frames.first().is_none_or(gevent);
    (!start && !waits && !gevent(outermost)).then_some(outermost)
}

/// The part in a pool. A worker without a task sleeps in the queue that `worker()` reads. Threads of a `ThreadPool` read theirs without a
/// Python function, so that they count as busy.
fn role(frames: &[PythonFrame]) -> Option<PoolRole> {
    let of_pool = |frame: &PythonFrame| frame.file.ends_with("multiprocessing/pool.py");
    let inner = &frames[..=frames.iter().position(of_pool)?];
    let waits = inner.last().is_some_and(|frame| matches!(method(frame), "wait" | "next"));
    // A worker that was forked in a callback has the frames of that callback below its own.
    let loops = |frame: &PythonFrame| of_pool(frame) && matches!(method(frame), "worker" | "_handle_tasks" | "_handle_results");
    let Some(at) = frames.iter().position(loops) else { return waits.then_some(PoolRole::Waits) };
    let called = &frames[..at];
    let all_in = |file: &str| called.iter().all(|frame| frame.file.ends_with(file));
    let idle = |frame: &PythonFrame| frame.file.ends_with("multiprocessing/queues.py") && method(frame) == "get";
    match method(&frames[at]) {
        "_handle_results" if all_in("multiprocessing/connection.py") => None,
        "_handle_results" if waits => Some(PoolRole::CallbackWaits),
        "_handle_tasks" if called.is_empty() => None,
        "worker" if called.last().is_some_and(idle) => Some(PoolRole::Idle),
        _ if waits => Some(PoolRole::Waits),
        _ => Some(PoolRole::Busy),
    }
}

/// Whether this thread belongs to a pool of processes: one of `multiprocessing.Pool` that reads from its workers or waits for their ends, or
/// the one that manages an executor. Those of a `ThreadPool` use no connections.
fn cares_for_workers(frames: &[PythonFrame]) -> bool {
    let executor = ["concurrent/futures/process.py", "loky/process_executor.py"];
    let connection = frames.iter().any(|frame| frame.file.ends_with("multiprocessing/connection.py"));
    frames.iter().any(|frame| match method(frame) {
        "_handle_workers" | "_handle_results" => connection && frame.file.ends_with("multiprocessing/pool.py"),
        "run" => executor.iter().any(|file| frame.file.ends_with(file)),
        _ => false,
    })
}

/// The name of its function without those of the classes and functions around it.
fn method(frame: &PythonFrame) -> &str {
    frame.function.rsplit('.').next().unwrap_or_default()
}

/// Whether it is the function that executes the target of a process.
fn is_start(frame: &PythonFrame) -> bool {
    method(frame) == "run" && frame.file.ends_with("multiprocessing/process.py")
}

/// Whether these are the frames of a process that `multiprocessing`, or loky by it, has started.
fn is_worker(frames: &[PythonFrame]) -> bool {
    frames.iter().any(|frame| method(frame) == "_bootstrap" && frame.file.ends_with("multiprocessing/process.py"))
}

fn is_loop(frame: &PythonFrame) -> bool {
    let name = method(frame);
    (frame.file.ends_with("asyncio/base_events.py") && matches!(name, "_run_once" | "run_forever" | "run_until_complete"))
        || (frame.file.ends_with("asyncio/events.py") && name == "_run")
        || (frame.file.ends_with("asyncio/runners.py") && name == "run")
        || (frame.file.ends_with("uvloop/__init__.py") && name == "run")
}

fn is_threading(frame: &PythonFrame) -> bool {
    frame.file.rsplit('/').next() == Some("threading.py")
}

/// `store() at tasks.py:88`.
pub(super) fn words(frame: &PythonFrame) -> String {
    in_words(&frame.function, &frame.file, frame.line)
}

/// The same of a function, its file and line.
pub fn in_words(function: &str, file: &str, line: Option<u32>) -> String {
    let safe = |text: &str| sanitize(text.as_bytes(), Charset::Unicode).into_owned();
    let file = file.rsplit('/').next().unwrap_or(file);
    let line = line.map(|line| format!(":{line}")).unwrap_or_default();
    format!("{}() at {}{line}", safe(function), safe(file))
}

/// `  [Queue.get() at queue.py:171, called by store() at tasks.py:88]`; nothing for a task without Python.
pub(super) fn in_python(pythons: &Pythons, id: TaskId) -> String {
    stands_at(pythons, id).map(|place| format!("  [{place}]")).unwrap_or_default()
}

/// `Queue.get() at queue.py:171, called by store() at tasks.py:88`.
fn stands_at(pythons: &Pythons, id: TaskId) -> Option<String> {
    let caller = pythons.caller(id).map(|own| format!(", called by {}", words(own))).unwrap_or_default();
    Some(format!("{}{caller}", words(pythons.place(id)?)))
}

/// Where a task is that waits for no other one, and for how long its event loop cannot go on because of it.
pub(super) fn at_the_end(pythons: &Pythons, id: TaskId) -> Option<String> {
    let place = stands_at(pythons, id)?;
    Some(match pythons.late(id) {
        Some(lag_ns) => {
            format!("It has kept its event loop from running any other task for {}, in {place}.", age(lag_ns / 1_000_000))
        }
        None => format!("It is in {place}."),
    })
}

/// The wait for a module that another thread imports.
const IMPORT: &str = "_ModuleLock.acquire";

/// Waits of Python's library that tell what is missing: function, end of the file's name, what to do.
const HINTS: [(&str, &str, &str); 12] = [
    (
        "Queue.join",
        "/queue.py",
        "Queue.join() returns once task_done() was called for every item: call it for each item that get() returned, in a finally block.",
    ),
    (
        "Future.result",
        "/concurrent/futures/_base.py",
        "The thread that is to set this future waits too: do not call result() within the pool or event loop that computes it.",
    ),
    (
        "Barrier.wait",
        "/threading.py",
        "The Barrier needs more threads or processes than wait at it: at least one is missing. Give it a timeout.",
    ),
    (
        "Queue.get",
        "/queue.py",
        "No thread is left that could put an item into the queue: put a sentinel for each reader at the end.",
    ),
    (
        "Queue.put",
        "/queue.py",
        "The queue is full, and no thread is left that takes an item from it: see why its readers ended; put() can have a timeout.",
    ),
    (
        "Semaphore.acquire",
        "/threading.py",
        "No thread is left that could release the semaphore: take it with a `with` block, which releases it on every way out.",
    ),
    (
        "JoinableQueue.join",
        "/multiprocessing/queues.py",
        "JoinableQueue.join() returns once task_done() was called for every item: call it for each item that get() returned, in a finally block.",
    ),
    (
        "Event.wait",
        "/multiprocessing/synchronize.py",
        "No process is left that could set the event: set it before you wait for the process that needs it (join()).",
    ),
    ("Event.wait", "/threading.py", "No thread is left that could set the event: set the event on every path, also on errors."),
    (IMPORT, "importlib._bootstrap>", "Do not start and join threads while a module is imported: move that into a function."),
    // The last ones: the functions above call them.
    (
        "Condition.wait",
        "/threading.py",
        "No thread is left that could notify: notify after each change of what is waited for, and wait with wait_for().",
    ),
    (
        "Condition.wait",
        "/multiprocessing/synchronize.py",
        "No process is left that could notify: notify after each change of what is waited for, and wait with wait_for().",
    ),
];

/// Frames of the library between a wait and the function that waits, and that function.
const WITHIN: usize = 4;

/// Whether a thread waits within this function of this file.
pub(super) fn waits_in(frames: &[PythonFrame], function: &str, file: &str) -> bool {
    frames.iter().take(WITHIN).any(|frame| &*frame.function == function && frame.file.ends_with(file))
}

/// What to do about a problem: by the Python functions that wait, else by the waits themselves.
pub fn advice(problem: &Problem, pythons: &Pythons) -> String {
    let of = |id: &TaskId| pythons.frames.get(id).map_or(&[][..], Vec::as_slice);
    let waits = |(function, file, _): &&(&str, &str, &str)| problem.tasks.iter().any(|id| waits_in(of(id), function, file));
    let unknown = matches!(problem.cause, Cause::NoThreadCanGoOn | Cause::OnlyThreadWaits | Cause::SemaphoreAbandoned);
    // Of an import more can be said than of locks in general.
    let hint = HINTS.iter().filter(|(function, ..)| unknown || *function == IMPORT).find(waits);
    hint.map_or(problem.advice(), |(.., hint)| hint).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn frame(function: &str, file: &str) -> PythonFrame {
        PythonFrame { function: Arc::from(function), file: Arc::from(file), line: Some(7), times: 1 }
    }

    fn thread(frames: Vec<PythonFrame>) -> PythonThread {
        PythonThread {
            native_id: 1,
            task: None,
            holds_gil: false,
            waits_for_gil: false,
            name: None,
            frames,
            left_out: None,
            deeper: false,
            moved: false,
        }
    }

    #[test]
    fn a_greenlet_has_no_module_at_its_end_and_the_hub_is_none() {
        let of = |frames: Vec<PythonFrame>| greenlet(&thread(frames)).map(words);
        let (fetch, work) = (|| frame("fetch", "/srv/a.py"), || frame("work", "/srv/a.py"));
        assert_eq!(of(vec![fetch(), work()]).as_deref(), Some("work() at a.py:7"));
        assert_eq!(of(vec![fetch(), frame("<module>", "/srv/a.py")]), None);
        assert_eq!(of(vec![fetch(), frame("Thread._bootstrap", "/usr/lib/python3.13/threading.py")]), None);
        assert_eq!(of(vec![frame("Hub.run", "/x/site-packages/gevent/hub.py")]), None);
        assert_eq!(of(vec![frame("sleep", "/x/site-packages/gevent/hub.py"), work()]), None, "about to switch to the hub");
        assert_eq!(of(Vec::new()), None);
    }

    #[test]
    fn the_parts_in_a_pool_are_known_by_their_functions() {
        let lib = "/usr/lib/python3.14/multiprocessing/";
        let of = |functions: &[&str]| {
            let at = |one: &&str| match one.split_once(' ') {
                Some((function, file)) => frame(function, &format!("{lib}{file}")),
                None => frame(one, "/srv/a.py"),
            };
            role(&functions.iter().map(at).collect::<Vec<_>>())
        };
        let (tasks, results) = ("Pool._handle_tasks pool.py", "Pool._handle_results pool.py");
        let feeds = "Pool._guarded_task_generation pool.py";
        assert_eq!(of(&["ApplyResult.wait pool.py", "ApplyResult.get pool.py", "main"]), Some(PoolRole::Waits));
        assert_eq!(of(&["IMapIterator.next pool.py", "main"]), Some(PoolRole::Waits));
        assert_eq!(of(&["SimpleQueue.get queues.py", "worker pool.py"]), Some(PoolRole::Idle));
        assert_eq!(of(&["job", "worker pool.py"]), Some(PoolRole::Busy));
        assert_eq!(of(&["worker pool.py"]), Some(PoolRole::Busy), "a function of C");
        assert_eq!(of(&[tasks]), None, "it waits for tasks");
        assert_eq!(of(&["source", feeds, tasks]), Some(PoolRole::Busy));
        assert_eq!(of(&[feeds, tasks]), Some(PoolRole::Busy), "an iterable of C");
        assert_eq!(of(&["IMapIterator.next pool.py", feeds, tasks]), Some(PoolRole::Waits), "the results of another map()");
        assert_eq!(of(&["Connection._recv connection.py", "_ConnectionBase.recv connection.py", results]), None);
        assert_eq!(of(&["store", "ApplyResult._set pool.py", results]), Some(PoolRole::Busy));
        assert_eq!(of(&["ApplyResult._set pool.py", results]), Some(PoolRole::Busy), "a callback of C");
        let again = ["ApplyResult.wait pool.py", "Pool.apply pool.py", "again", "ApplyResult._set pool.py", results];
        assert_eq!(of(&again), Some(PoolRole::CallbackWaits));
        let forked = ["SimpleQueue.get queues.py", "worker pool.py", "again", "ApplyResult._set pool.py", results];
        assert_eq!(of(&forked), Some(PoolRole::Idle), "a worker of a pool that was made in a callback");
        assert_eq!(of(&["main"]), None);
    }

    #[test]
    fn a_process_that_has_worker_processes_is_known_by_its_threads() {
        let of = |frames: &[(&str, &str)]| {
            cares_for_workers(&frames.iter().map(|(function, file)| frame(function, file)).collect::<Vec<_>>())
        };
        let lib = "/usr/lib/python3.14/multiprocessing/connection.py";
        let pool = "/usr/lib/python3.14/multiprocessing/pool.py";
        assert!(of(&[("wait", lib), ("Pool._wait_for_updates", pool), ("Pool._handle_workers", pool)]));
        assert!(!of(&[("Pool._handle_results", pool)]), "of a ThreadPool");
        assert!(of(&[("_ExecutorManagerThread.run", "/usr/lib/python3.14/concurrent/futures/process.py")]));
        assert!(!of(&[("wait", lib), ("run", "/srv/a.py")]));
    }

    #[test]
    fn a_loop_at_rest_has_called_nothing_and_a_blocked_one_names_the_function() {
        let lib = "/usr/lib/python3.13/";
        let outer = || {
            vec![
                frame("Handle._run", &format!("{lib}asyncio/events.py")),
                frame("BaseEventLoop._run_once", &format!("{lib}asyncio/base_events.py")),
            ]
        };
        let idle = [
            vec![frame("EpollSelector.select", &format!("{lib}selectors.py"))],
            vec![frame("BaseEventLoop._run_once", &format!("{lib}asyncio/base_events.py"))],
        ];
        assert_eq!(callback(&thread(idle.concat())), None);
        let own = [vec![frame("_SelectorTransport._read_ready", &format!("{lib}asyncio/selector_events.py"))], outer()];
        assert_eq!(callback(&thread(own.concat())), None);
        let blocked = [
            vec![
                frame("SocketIO.readinto", &format!("{lib}socket.py")),
                frame("fetch", "/srv/a.py"),
                frame("handler", "/srv/a.py"),
            ],
            outer(),
        ];
        let blocked = thread(blocked.concat());
        assert_eq!(callback(&blocked).map(words).as_deref(), Some("handler() at a.py:7"));
        assert_eq!(place(&blocked.frames).map(words).as_deref(), Some("fetch() at a.py:7"));
        assert_eq!(callback(&thread(vec![frame("work", "/srv/a.py")])), None, "no loop");
        let start = || frame("BaseProcess._bootstrap", &format!("{lib}multiprocessing/process.py"));
        let forked =
            [vec![frame("Queue.get", &format!("{lib}multiprocessing/queues.py")), start(), frame("main", "/srv/a.py")], outer()];
        assert_eq!(callback(&thread(forked.concat())), None, "a worker that was forked in a callback");
    }
}
