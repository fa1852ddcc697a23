//! The Python systems: one entry each, in `python/`. Their programs are in `assets/python/`.

mod processes;
mod threads;
mod waiting;

use super::{Backend, Params, RunSpec, Section, Shape, ShapeParent, StartMethod, System, TaskKind};
use crate::lab::joined;

/// What a Python system needs beside its entry in the list.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its main file in `assets/python/`.
    pub file: &'static str,
    /// Oldest version that has what it uses, major and minor.
    pub since: (u8, u8),
    /// What it needs of the GIL.
    pub gil: Gil,
    /// Packages from outside the standard library, by the name they are installed under.
    pub packages: &'static [&'static str],
    /// Where processes come from.
    pub start: Start,
    /// Whether it works on a cluster that the user names.
    pub cluster: bool,
}

/// What a system needs of the global interpreter lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gil {
    /// It runs the same way with and without.
    Any,
    /// What it teaches speaks of the GIL: it runs on a build that has one, unless another interpreter is named.
    Preferred,
    /// It shows what the GIL does.
    Needed,
    /// It shows what an interpreter without the GIL does (PEP 703).
    Absent,
}

/// Whether a system makes processes by multiprocessing, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It does not.
    None,
    /// Always so.
    Fixed(StartMethod),
    /// As the user says, or as the interpreter does by default.
    Chosen,
}

#[derive(Clone, Copy)]
struct Entry {
    system: System,
    program: Program,
}

/// Threads of `python/fork-with-threads` beside the one that forks.
const FORKING_THREADS: u32 = 4;

/// Oldest CPython the lab's programs run on.
pub const OLDEST: (u8, u8) = (3, 9);

const PLAIN: Program = Program { file: "", since: OLDEST, gil: Gil::Any, packages: &[], start: Start::None, cluster: false };

const fn plain(file: &'static str) -> Program {
    Program { file, ..PLAIN }
}

const fn process(method: StartMethod) -> Program {
    Program { file: "run_process.py", start: Start::Fixed(method), ..PLAIN }
}

const fn pool() -> Program {
    Program { file: "run_pool.py", start: Start::Chosen, ..PLAIN }
}

const fn web(packages: &'static [&'static str]) -> Program {
    Program { packages, ..plain("run_web.py") }
}

const CPU_TASKS: &[TaskKind] = &[TaskKind::Factorial, TaskKind::None, TaskKind::Pi, TaskKind::Sleep, TaskKind::File];
/// Without `none`: the system shows what happens after work.
const WORKING_TASKS: &[TaskKind] = &[TaskKind::Factorial, TaskKind::Pi, TaskKind::Sleep, TaskKind::File];
const FORK_TASKS: &[TaskKind] =
    &[TaskKind::Factorial, TaskKind::None, TaskKind::Pi, TaskKind::Sleep, TaskKind::File, TaskKind::Touch];
const ALL_TASKS: &[TaskKind] =
    &[TaskKind::Factorial, TaskKind::None, TaskKind::Pi, TaskKind::Sleep, TaskKind::File, TaskKind::Http, TaskKind::Touch];
const PI_FIRST: &[TaskKind] = &[TaskKind::Pi, TaskKind::Factorial];
const WAITS_FIRST: &[TaskKind] =
    &[TaskKind::Sleep, TaskKind::None, TaskKind::Factorial, TaskKind::Pi, TaskKind::Http, TaskKind::File];
const ANYIO_TASKS: &[TaskKind] = &[TaskKind::Sleep, TaskKind::None, TaskKind::Factorial, TaskKind::File];
const HTTP: &[TaskKind] = &[TaskKind::Http];

const FEW: Params = Params { workers: Some(4), fixed_workers: 0, tasks: Some(10), parent_mb: true };
/// Enough tasks that a pool puts several into one message.
const POOL: Params = Params { workers: Some(4), fixed_workers: 0, tasks: Some(100), parent_mb: true };
/// A request is a task: enough of them for a rate.
const WEB: Params = Params { workers: Some(4), fixed_workers: 0, tasks: Some(200), parent_mb: false };
const PAIR: Params = Params { workers: Some(2), fixed_workers: 0, tasks: Some(8), parent_mb: false };
const TEN: Params = Params { workers: Some(10), fixed_workers: 0, tasks: Some(10), parent_mb: false };
const ELSEWHERE: &[TaskKind] = &[TaskKind::Factorial, TaskKind::Pi, TaskKind::Sleep];
const ONE: Params = Params { workers: None, fixed_workers: 1, tasks: Some(10), parent_mb: false };

/// A run whose tasks are GETs has a server process beside it.
fn servers(spec: &RunSpec) -> u32 {
    u32::from(spec.task == TaskKind::Http)
}

fn alone(spec: &RunSpec) -> Shape {
    Shape { processes: servers(spec), ..Shape::default() }
}

fn forked(spec: &RunSpec) -> Shape {
    Shape { processes: spec.workers, parent: ShapeParent::Root, states: "S", waits: &["read"], ..Shape::default() }
}

/// Processes of multiprocessing: its helpers come on top.
fn processes(spec: &RunSpec) -> Shape {
    match spec.start_method {
        Some(StartMethod::Spawn) => {
            Shape { processes: spec.workers + 1, commands: &["resource_tracker", "spawn_main"], ..forked(spec) }
        }
        Some(StartMethod::Forkserver) => Shape {
            processes: spec.workers + 2,
            parent: ShapeParent::Server,
            commands: &["resource_tracker", "multiprocessing.forkserver"],
            ..forked(spec)
        },
        Some(StartMethod::Fork) | None => forked(spec),
    }
}

/// The one child, and the thread in it that feeds the queue.
fn queue(spec: &RunSpec) -> Shape {
    // The semaphores of a queue that others must find by name have the tracker, which fork's children need not.
    Shape { threads: 1, ..processes(spec) }
}

/// A pool's parent has a thread that manages and one that feeds the call queue. Idle workers: one reads the queue's pipe, the rest wait
/// for the lock beside it. Where processes are made on demand there may be less of them than workers.
fn process_pool(spec: &RunSpec) -> Shape {
    let shape = processes(spec);
    let created = if spec.task == TaskKind::None { spec.workers } else { spec.workers.min(spec.tasks) };
    let (fewest, most) = (shape.processes - spec.workers + created.min(1), shape.processes);
    let waits: &'static [&'static str] = if spec.workers > 1 { &["read", "futex"] } else { &["read"] };
    Shape { threads: 2, processes: fewest, processes_more: most - fewest, waits, ..shape }
}

/// All workers are started with the pool. Its parent has a thread that replaces workers, one that sends tasks and one that takes results.
fn pool_of_processes(spec: &RunSpec) -> Shape {
    let waits: &'static [&'static str] = if spec.workers > 1 { &["read", "futex"] } else { &["read"] };
    Shape { threads: 3, waits, ..processes(spec) }
}

fn threads(spec: &RunSpec) -> Shape {
    Shape { threads: spec.workers, processes: servers(spec), waits: &["futex"], ..Shape::default() }
}

fn sleepers(spec: &RunSpec) -> Shape {
    threads(spec)
}

/// A thread is only made while no thread is idle.
fn thread_pool(spec: &RunSpec) -> Shape {
    Shape { threads: 1, threads_more: spec.workers.saturating_sub(1), ..threads(spec) }
}

fn event_loop(spec: &RunSpec) -> Shape {
    Shape { waits: &["epoll"], ..alone(spec) }
}

/// Tasks whose blocking parts are done by threads of the loop's executor, which makes them on demand.
fn loop_with_executor(spec: &RunSpec) -> Shape {
    Shape { threads: 1, threads_more: spec.workers.saturating_sub(1), waits: &["epoll", "futex"], ..alone(spec) }
}

/// The executor makes a thread when it finds none idle, up to a number that depends on the CPUs and is never above 32.
fn files_from_a_loop(spec: &RunSpec) -> Shape {
    Shape { threads_more: 31, ..loop_with_executor(spec) }
}

/// Threads that serve, the one that accepts, and one of cheroot's that closes idle connections.
fn django(spec: &RunSpec) -> Shape {
    Shape { threads: spec.workers + 1, threads_more: 1, ..threads(spec) }
}

/// The clients are a process. libuv may keep threads for what no selector can wait for.
fn echo(_: &RunSpec) -> Shape {
    Shape { processes: 1, threads_more: 4, waits: &["epoll"], ..Shape::default() }
}

/// Files go through threads of AnyIO.
fn anyio(spec: &RunSpec) -> Shape {
    Shape { threads_more: if spec.task == TaskKind::File { spec.workers } else { 0 }, ..event_loop(spec) }
}

/// Its parent has threads for results, restarts, timeouts and unexpected ends, more of them by version; a worker gets one or two with its
/// first task, which an idle one never had.
fn mpire(spec: &RunSpec) -> Shape {
    Shape { threads: 5, threads_more: 3 + 2 * spec.workers, waits: &["futex"], ..processes(spec) }
}

/// Fresh interpreters, and two trackers: loky's, and multiprocessing's, which each interpreter knows of. The parent has a thread that
/// manages and one that feeds the call queue.
fn loky(spec: &RunSpec) -> Shape {
    let commands: &'static [&'static str] =
        &["loky.backend.resource_tracker", "multiprocessing.resource_tracker", "loky.backend.popen_loky_posix"];
    Shape { processes: spec.workers + 2, threads: 2, commands, waits: &["read", "futex"], ..forked(spec) }
}

/// joblib starts no process for one worker. Its parent may have threads that retrieve results.
fn joblib(spec: &RunSpec) -> Shape {
    if spec.workers == 1 { Shape::default() } else { Shape { threads_more: 3, ..loky(spec) } }
}

/// The tracker and a process for each worker. One of the parent's threads runs the loop of scheduler and client, and three watch each
/// worker; a worker has two that watch its parent, and one that computes once it has a task. Profiles and large messages may get threads
/// of their own.
fn dask_local(spec: &RunSpec) -> Shape {
    Shape {
        processes: spec.workers + 1,
        threads: 1 + 5 * spec.workers,
        threads_more: 6 + 4 * spec.workers,
        commands: &["resource_tracker", "spawn_main"],
        waits: &["epoll", "futex"],
        ..forked(spec)
    }
}

/// The master is a child of the root and the parent of all workers. It and idle workers wait in select(2).
fn gunicorn(spec: &RunSpec) -> Shape {
    let (parent, commands) = (ShapeParent::Server, &["-m gunicorn"]);
    Shape { processes: spec.workers + 1, parent, commands, states: "S", waits: &["poll"], ..Shape::default() }
}

/// Each worker's main thread waits for connections; the others of its pool are made on demand.
fn gunicorn_threads(spec: &RunSpec) -> Shape {
    Shape { threads_more: 4 * spec.workers, waits: &["poll", "epoll"], ..gunicorn(spec) }
}

/// Workers wait in their event loops.
fn gunicorn_loops(spec: &RunSpec) -> Shape {
    Shape { threads_more: 2 * spec.workers, waits: &["poll", "epoll"], ..gunicorn(spec) }
}

/// The supervisor with the tracker and the workers, each of which has a thread that answers it; or a single process.
fn uvicorn(spec: &RunSpec) -> Shape {
    let alone = spec.workers == 1;
    let (parent, processes, threads) =
        if alone { (ShapeParent::Root, 1, 0) } else { (ShapeParent::Server, spec.workers + 2, spec.workers) };
    let commands = &["-m uvicorn"];
    Shape { processes, threads, parent, commands, states: "S", waits: &["epoll"], ..Shape::default() }
}

/// The main process, with a thread for each worker that waits for its end; each worker has some threads of Rust. Where multiprocessing does
/// not fork, a tracker.
fn granian(spec: &RunSpec) -> Shape {
    let (processes, threads) = (spec.workers + 1, 2 * spec.workers);
    let (parent, commands) = (ShapeParent::Server, &["-m granian"]);
    Shape {
        processes,
        processes_more: 1,
        threads,
        threads_more: 8 * spec.workers,
        parent,
        commands,
        states: "S",
        waits: &["futex", "epoll"],
    }
}

/// The main process is the parent of all workers, and has threads that replace workers, hand out calls, take results and watch for timeouts.
/// Idle workers: one reads a pipe, the others wait for the lock beside it.
fn celery(spec: &RunSpec) -> Shape {
    let waits: &'static [&'static str] = if spec.workers > 1 { &["read", "futex"] } else { &["read"] };
    let (parent, commands) = (ShapeParent::Server, &["-m celery"]);
    let processes = spec.workers + 1;
    Shape { processes, threads: 4, threads_more: 4, parent, commands, states: "S", waits, ..Shape::default() }
}

/// Its workers are not of the run: the root alone, and its threads for the loop of the client.
fn dask_cluster(_: &RunSpec) -> Shape {
    Shape { threads: 1, threads_more: 8, waits: &["epoll"], ..Shape::default() }
}

/// The root; threads that read files may still be there.
fn tested(_: &RunSpec) -> Shape {
    Shape { threads_more: 4, ..Shape::default() }
}

fn four_forked(spec: &RunSpec) -> Shape {
    Shape { processes: 4, ..forked(spec) }
}

/// The child that was forked, and the threads of its parent.
fn forked_beside_threads(spec: &RunSpec) -> Shape {
    Shape { threads: FORKING_THREADS, waits: &["futex", "read"], ..forked(spec) }
}

/// The loop's process, which sleeps in its selector.
fn loop_process(spec: &RunSpec) -> Shape {
    Shape { waits: &["epoll"], ..forked(spec) }
}

/// Every Python system.
const ENTRIES: &[Entry] = &joined::<_, { processes::ENTRIES.len() + threads::ENTRIES.len() + waiting::ENTRIES.len() }>(&[
    processes::ENTRIES,
    threads::ENTRIES,
    waiting::ENTRIES,
]);

const SYSTEMS_ARRAY: [System; ENTRIES.len()] = {
    let mut systems = [ENTRIES[0].system; ENTRIES.len()];
    let mut i = 0;
    while i < ENTRIES.len() {
        systems[i] = ENTRIES[i].system;
        i += 1;
    }
    systems
};

/// Systems that a CPython interpreter of the machine runs.
pub const SYSTEMS: &[System] = &SYSTEMS_ARRAY;

/// What the Python system with this id needs; `None` for others.
#[must_use]
pub fn program(id: &str) -> Option<&'static Program> {
    ENTRIES.iter().find(|e| e.system.id == id).map(|e| &e.program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_of_the_gil_asks_for_one_or_for_none() {
        for entry in ENTRIES.iter().filter(|e| e.system.lesson.contains("GIL")) {
            assert_ne!(entry.program.gil, Gil::Any, "{}", entry.system.id);
        }
    }
}
