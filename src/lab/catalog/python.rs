//! The Python systems: one entry each. Programs for them are in `assets/python/`.

use super::{Backend, Params, RunSpec, Section, Shape, ShapeParent, StartMethod, System, TaskKind};

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

struct Entry {
    system: System,
    program: Program,
}

/// Oldest CPython the lab's programs run on.
pub const OLDEST: (u8, u8) = (3, 9);

const PLAIN: Program = Program { file: "", since: OLDEST, gil: Gil::Any, packages: &[], start: Start::None };

const fn plain(file: &'static str) -> Program {
    Program { file, ..PLAIN }
}

const fn process(method: StartMethod) -> Program {
    Program { file: "run_process.py", start: Start::Fixed(method), ..PLAIN }
}

const CPU_TASKS: &[TaskKind] = &[TaskKind::Factorial, TaskKind::None, TaskKind::Pi, TaskKind::Sleep, TaskKind::File];
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
const PAIR: Params = Params { workers: Some(2), fixed_workers: 0, tasks: Some(8), parent_mb: false };
const TEN: Params = Params { workers: Some(10), fixed_workers: 0, tasks: Some(10), parent_mb: false };
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

fn threads(spec: &RunSpec) -> Shape {
    Shape { threads: spec.workers, processes: servers(spec), waits: &["futex"], ..Shape::default() }
}

fn sleepers(spec: &RunSpec) -> Shape {
    threads(spec)
}

/// A thread is only made while nobody is idle.
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

/// The executor makes a thread whenever it finds nobody idle, up to a number that depends on the CPUs and is never above 32.
fn files_from_a_loop(spec: &RunSpec) -> Shape {
    Shape { threads_more: 31, ..loop_with_executor(spec) }
}

/// Threads that serve, the one that accepts, and one of cheroot's that closes connections nobody uses.
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

fn four_forked(spec: &RunSpec) -> Shape {
    Shape { processes: 4, ..forked(spec) }
}

/// Every Python system.
const ENTRIES: &[Entry] = &[
    Entry {
        program: plain("run_sequential.py"),
        system: System {
            id: "python/sequential",
            title: "sequential",
            lesson: "One thread does every task in sequence, as a plain Python loop. \
                     Watch the wall time; an unconsumed map() seems faster only because it does nothing.",
            section: Section::Baseline,
            backend: Backend::Python,
            tasks: ALL_TASKS,
            params: Params { parent_mb: true, ..ONE },
            shape: alone,
        },
    },
    Entry {
        program: plain("run_os_fork.py"),
        system: System {
            id: "python/fork",
            title: "fork",
            lesson: "os.fork() copies the interpreter: a new PID with the same memory, copy-on-write, and reference counts write. \
                     Watch the children share the parent's command line and most of its pages.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: FORK_TASKS,
            params: FEW,
            shape: forked,
        },
    },
    Entry {
        program: plain("run_fork_exec.py"),
        system: System {
            id: "python/exec",
            title: "fork + exec",
            lesson: "Each child is forked and replaces itself by a fresh interpreter through os.execv(): same PID, new program. \
                     Watch the creation time: starting Python costs far more than the fork.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: FEW,
            shape: forked,
        },
    },
    Entry {
        program: process(StartMethod::Fork),
        system: System {
            id: "python/process-fork",
            title: "Process, start method fork",
            lesson: "multiprocessing.Process uses start method fork, the default on Linux up to 3.13. \
                     Watch its cost grow with parent MiB, while each child's private memory stays near 1 MiB.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: FORK_TASKS,
            params: FEW,
            shape: processes,
        },
    },
    Entry {
        program: process(StartMethod::Spawn),
        system: System {
            id: "python/process-spawn",
            title: "Process, start method spawn",
            lesson: "Each child is a fresh interpreter that imports the main file again and unpickles its arguments. \
                     Watch the resource_tracker next to the children, and a cost that is high but independent of the parent.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: FEW,
            shape: processes,
        },
    },
    Entry {
        program: process(StartMethod::Forkserver),
        system: System {
            id: "python/process-forkserver",
            title: "Process, start method forkserver",
            lesson: "A clean server starts once, imports preloaded modules and forks every child: the default since 3.14. \
                     Watch two helpers appear, and the server as the parent of the children.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: FEW,
            shape: processes,
        },
    },
    Entry {
        program: Program { file: "run_process_queue.py", start: Start::Chosen, ..PLAIN },
        system: System {
            id: "python/process-queue",
            title: "process + queue",
            lesson: "A Process computes the factorial of 5 and returns it through a Queue: pipe, lock and feeder thread. \
                     Watch the child's second thread, which exists only to feed the pipe.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: &[TaskKind::None],
            params: Params { workers: None, fixed_workers: 1, tasks: None, parent_mb: true },
            shape: queue,
        },
    },
    Entry {
        program: Program { file: "run_process_pool_executor.py", start: Start::Chosen, ..PLAIN },
        system: System {
            id: "python/process-pool-submit",
            title: "ProcessPoolExecutor.submit",
            lesson: "One call runs in another process and returns a future. \
                     Watch what a single call needs: a worker process, a manager thread and a feeder thread.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: Params { workers: None, fixed_workers: 1, tasks: Some(1), parent_mb: true },
            shape: process_pool,
        },
    },
    Entry {
        program: Program { file: "run_process_pool_executor.py", start: Start::Chosen, ..PLAIN },
        system: System {
            id: "python/process-pool-executor",
            title: "ProcessPoolExecutor.map",
            lesson: "A pool of worker processes receives pickled calls over one pipe. \
                     Watch ten workers lose to one for ten tiny tasks: creating a process costs more than the work.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: FEW,
            shape: process_pool,
        },
    },
    Entry {
        program: Program { packages: &["mpire"], start: Start::Chosen, ..plain("run_mpire.py") },
        system: System {
            id: "python/mpire",
            title: "mpire WorkerPool",
            lesson: "A pool adds its own task queues, progress and exception handling to multiprocessing. \
                     Watch its threads in parent and workers, and compare its start-up with the executor's.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: FEW,
            shape: mpire,
        },
    },
    Entry {
        program: plain("run_thread.py"),
        system: System {
            id: "python/thread",
            title: "thread",
            lesson: "threading.Thread makes each worker a kernel thread in the same process, with the same objects. \
                     Watch one PID with many TIDs, and a creation time far below any process.",
            section: Section::Threads,
            backend: Backend::Python,
            tasks: ALL_TASKS,
            params: FEW,
            shape: threads,
        },
    },
    Entry {
        program: plain("run_thread_pool_executor.py"),
        system: System {
            id: "python/thread-pool-executor",
            title: "ThreadPoolExecutor.map",
            lesson: "A pool of threads takes calls from one queue and adds a thread only when none is idle. \
                     Watch tiny tasks need fewer threads than allowed, at about 1/100 of the cost of processes.",
            section: Section::Threads,
            backend: Backend::Python,
            tasks: ALL_TASKS,
            params: FEW,
            shape: thread_pool,
        },
    },
    Entry {
        program: Program { gil: Gil::Preferred, ..plain("run_sleep_threads.py") },
        system: System {
            id: "python/sleep-threads",
            title: "sleeping threads",
            lesson: "One thread sleeps ten times as long as the others; each prints when it wakes, since sleep releases the GIL. \
                     Watch the lanes overlap: together they take as long as the longest sleep.",
            section: Section::Threads,
            backend: Backend::Python,
            tasks: &[TaskKind::Sleep],
            params: Params { workers: Some(11), fixed_workers: 0, tasks: None, parent_mb: false },
            shape: sleepers,
        },
    },
    Entry {
        program: Program { gil: Gil::Needed, ..plain("run_cpu_threads.py") },
        system: System {
            id: "python/gil-threads",
            title: "bytecode threads, GIL",
            lesson: "Threads only run bytecode, and the GIL admits one of them at a time. \
                     Watch a speed-up near 1 on any number of CPUs, and threads that wait in futex.",
            section: Section::Threads,
            backend: Backend::Python,
            tasks: PI_FIRST,
            params: PAIR,
            shape: threads,
        },
    },
    Entry {
        program: Program { since: (3, 13), gil: Gil::Absent, ..plain("run_cpu_threads.py") },
        system: System {
            id: "python/no-gil-threads",
            title: "bytecode threads, no GIL",
            lesson: "The same program runs on a free-threaded build (PEP 703): bytecode runs on every CPU at once. \
                     Watch all threads in state R, no voluntary switches, and a speed-up near the number of CPUs.",
            section: Section::Threads,
            backend: Backend::Python,
            tasks: PI_FIRST,
            params: PAIR,
            shape: threads,
        },
    },
    Entry {
        program: Program { gil: Gil::Preferred, ..plain("run_cpu_threads.py") },
        system: System {
            id: "python/hash-threads",
            title: "C code that releases the GIL",
            lesson: "Threads hash large blocks; hashlib, like numpy and zlib, releases the GIL while its C code runs. \
                     Watch a speed-up near the number of CPUs with the GIL on.",
            section: Section::Threads,
            backend: Backend::Python,
            tasks: &[TaskKind::None],
            params: PAIR,
            shape: threads,
        },
    },
    Entry {
        program: Program { packages: &["numpy"], gil: Gil::Preferred, ..plain("run_cpu_threads.py") },
        system: System {
            id: "python/numpy-threads",
            title: "numpy releases the GIL",
            lesson: "Threads multiply matrices with numpy, whose C code releases the GIL. \
                     Watch a speed-up near the number of CPUs, with numpy's own threads switched off.",
            section: Section::Threads,
            backend: Backend::Python,
            tasks: &[TaskKind::Matmul],
            params: Params { workers: Some(2), fixed_workers: 0, tasks: Some(64), parent_mb: false },
            shape: threads,
        },
    },
    Entry {
        program: Program { packages: &["django", "cheroot"], gil: Gil::Preferred, ..plain("run_django.py") },
        system: System {
            id: "python/django",
            title: "Django under load",
            lesson: "A CPU-bound view is served by cheroot threads to concurrent clients, first with one thread, then with several. \
                     Watch requests per second: more threads help only without the GIL.",
            section: Section::Threads,
            backend: Backend::Python,
            tasks: &[TaskKind::Pi],
            params: Params { workers: Some(2), fixed_workers: 0, tasks: Some(40), parent_mb: false },
            shape: django,
        },
    },
    Entry {
        program: Program { since: (3, 13), gil: Gil::Preferred, ..plain("run_interpreters.py") },
        system: System {
            id: "python/interpreters",
            title: "sub-interpreters",
            lesson: "Each thread has its own interpreter with its own GIL (PEP 684), all in one process. \
                     Watch parallel lanes within one PID, and compare the creation cost with threads and processes.",
            section: Section::Interpreters,
            backend: Backend::Python,
            tasks: PI_FIRST,
            params: PAIR,
            shape: threads,
        },
    },
    Entry {
        program: Program { since: (3, 14), gil: Gil::Preferred, ..plain("run_interpreter_pool_executor.py") },
        system: System {
            id: "python/interpreter-pool-executor",
            title: "InterpreterPoolExecutor.map",
            lesson: "A thread pool gives each thread its own interpreter (3.14): calls are pickled, but no process is forked. \
                     Watch the memory per worker: megabytes instead of kilobytes for a thread.",
            section: Section::Interpreters,
            backend: Backend::Python,
            tasks: PI_FIRST,
            params: PAIR,
            shape: thread_pool,
        },
    },
    Entry {
        program: plain("run_asyncio.py"),
        system: System {
            id: "python/asyncio",
            title: "event loop",
            lesson: "Each worker is an asyncio task; coroutines share one thread and switch at each await. \
                     Watch many workers behind one TID in epoll; with task pi, one that computes delays all.",
            section: Section::Async,
            backend: Backend::Python,
            tasks: WAITS_FIRST,
            params: TEN,
            shape: event_loop,
        },
    },
    Entry {
        program: plain("run_blocked_loop.py"),
        system: System {
            id: "python/blocked-loop",
            title: "blocked event loop",
            lesson: "Tasks of an event loop make a blocking call each; until it returns, nothing else in the loop runs. \
                     Watch how late a 10 ms tick fires.",
            section: Section::Async,
            backend: Backend::Python,
            tasks: &[TaskKind::Sleep, TaskKind::Pi],
            params: Params { workers: Some(4), fixed_workers: 0, tasks: Some(4), parent_mb: false },
            shape: event_loop,
        },
    },
    Entry {
        program: plain("run_blocked_loop.py"),
        system: System {
            id: "python/blocked-loop-cured",
            title: "blocked event loop, cured",
            lesson: "asyncio.to_thread moves the same calls to threads, and the loop keeps running while they block. \
                     Watch the ticks fire on time, and the executor's threads next to the loop.",
            section: Section::Async,
            backend: Backend::Python,
            tasks: &[TaskKind::Sleep, TaskKind::Pi],
            params: Params { workers: Some(4), fixed_workers: 0, tasks: Some(4), parent_mb: false },
            shape: loop_with_executor,
        },
    },
    Entry {
        program: plain("run_asyncio_files.py"),
        system: System {
            id: "python/asyncio-files",
            title: "files from an event loop",
            lesson: "A selector cannot wait for regular files, so an event loop moves file operations to threads, like aiofiles. \
                     Watch the executor's threads, and the extra time for one operation.",
            section: Section::Async,
            backend: Backend::Python,
            tasks: &[TaskKind::File],
            params: Params { workers: Some(4), fixed_workers: 0, tasks: Some(8), parent_mb: false },
            shape: files_from_a_loop,
        },
    },
    Entry {
        program: plain("run_async_vs_threads.py"),
        system: System {
            id: "python/async-vs-threads",
            title: "async tasks against threads",
            lesson: "The same waits run as 100, 1,000 and 10,000 asyncio tasks, then as threads, limited by the task count. \
                     Watch creation time and private memory of each.",
            section: Section::Async,
            backend: Backend::Python,
            tasks: &[TaskKind::Sleep],
            params: Params { workers: None, fixed_workers: 1, tasks: Some(1_000), parent_mb: false },
            shape: alone,
        },
    },
    Entry {
        program: Program { packages: &["aiofiles"], ..plain("run_aiofiles.py") },
        system: System {
            id: "python/aiofiles",
            title: "aiofiles",
            lesson: "aiofiles awaits each file operation, which runs in a thread of the executor. \
                     Watch how many times longer one file takes than with plain calls.",
            section: Section::Async,
            backend: Backend::Python,
            tasks: &[TaskKind::File],
            params: Params { workers: Some(4), fixed_workers: 0, tasks: Some(8), parent_mb: false },
            shape: files_from_a_loop,
        },
    },
    Entry {
        program: Program { packages: &["gevent"], ..plain("run_gevent.py") },
        system: System {
            id: "python/gevent",
            title: "gevent",
            lesson: "Monkey-patched threads are greenlets: each has its own stack, and all share one kernel thread. \
                     Watch hundreds of Python threads behind one TID.",
            section: Section::Async,
            backend: Backend::Python,
            tasks: &[TaskKind::Sleep, TaskKind::None, TaskKind::Factorial],
            params: Params { workers: Some(200), fixed_workers: 0, tasks: Some(200), parent_mb: false },
            shape: event_loop,
        },
    },
    Entry {
        program: plain("run_echo.py"),
        system: System {
            id: "python/asyncio-echo",
            title: "echo server on asyncio",
            lesson: "An echo server runs on the event loop of the standard library, with its clients in another process. \
                     Watch the server's CPU time per request.",
            section: Section::Async,
            backend: Backend::Python,
            tasks: &[TaskKind::None],
            params: Params { workers: Some(10), fixed_workers: 0, tasks: Some(500), parent_mb: false },
            shape: echo,
        },
    },
    Entry {
        program: Program { packages: &["uvloop"], ..plain("run_echo.py") },
        system: System {
            id: "python/uvloop-echo",
            title: "echo server on uvloop",
            lesson: "The same echo server runs on uvloop, an event loop in C on top of libuv. \
                     Watch the server's CPU time per request, and compare it with asyncio's.",
            section: Section::Async,
            backend: Backend::Python,
            tasks: &[TaskKind::None],
            params: Params { workers: Some(10), fixed_workers: 0, tasks: Some(500), parent_mb: false },
            shape: echo,
        },
    },
    Entry {
        program: Program { packages: &["anyio"], ..plain("run_anyio.py") },
        system: System {
            id: "python/anyio-asyncio",
            title: "AnyIO on asyncio",
            lesson: "Structured concurrency on asyncio: tasks belong to a group, and the group waits for all of them. \
                     Watch one thread asleep in epoll; with task file, watch the threads that AnyIO adds.",
            section: Section::Async,
            backend: Backend::Python,
            tasks: ANYIO_TASKS,
            params: TEN,
            shape: anyio,
        },
    },
    Entry {
        program: Program { packages: &["anyio", "trio"], ..plain("run_anyio.py") },
        system: System {
            id: "python/anyio-trio",
            title: "AnyIO on trio",
            lesson: "The same program runs on trio's event loop without a changed line. \
                     Watch the same shape, and the cost of a task.",
            section: Section::Async,
            backend: Backend::Python,
            tasks: ANYIO_TASKS,
            params: TEN,
            shape: anyio,
        },
    },
    Entry {
        program: plain("run_sockets.py"),
        system: System {
            id: "python/socket-blocking",
            title: "blocking sockets",
            lesson: "GETs run over raw sockets in sequence; recv() sleeps until the server answers. \
                     Watch almost no CPU, and a wall time that is the sum of all waits.",
            section: Section::Sockets,
            backend: Backend::Python,
            tasks: HTTP,
            params: ONE,
            shape: alone,
        },
    },
    Entry {
        program: plain("run_sockets.py"),
        system: System {
            id: "python/socket-nonblocking",
            title: "non-blocking sockets",
            lesson: "All GETs run at once over non-blocking sockets, and the program polls each. \
                     Watch one wait for all, and a whole CPU wasted on polling.",
            section: Section::Sockets,
            backend: Backend::Python,
            tasks: HTTP,
            params: ONE,
            shape: alone,
        },
    },
    Entry {
        program: plain("run_sockets.py"),
        system: System {
            id: "python/selectors",
            title: "selector",
            lesson: "All GETs run at once, and epoll reports ready sockets: the basis of every event loop. \
                     Watch one wait for all, and almost no CPU.",
            section: Section::Sockets,
            backend: Backend::Python,
            tasks: HTTP,
            params: ONE,
            shape: alone,
        },
    },
    Entry {
        program: Program { packages: &["aiohttp"], ..plain("run_aiohttp.py") },
        system: System {
            id: "python/aiohttp",
            title: "aiohttp",
            lesson: "The same GETs run through an HTTP client for asyncio, all in one session. \
                     Watch the cost of convenience: importing it takes longer than all the requests.",
            section: Section::Sockets,
            backend: Backend::Python,
            tasks: HTTP,
            params: TEN,
            shape: event_loop,
        },
    },
    Entry {
        program: plain("run_copy_on_write.py"),
        system: System {
            id: "python/copy-on-write",
            title: "copy-on-write",
            lesson: "Four forked children inherit objects: one idles, one reads, one collects garbage, one collects after gc.freeze(). \
                     Watch what each makes private: reading alone copies pages, because it changes reference counts.",
            section: Section::Exhibits,
            backend: Backend::Python,
            tasks: &[TaskKind::None],
            params: Params { workers: None, fixed_workers: 4, tasks: None, parent_mb: true },
            shape: four_forked,
        },
    },
];

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

/// What the Python system with this id needs; `None` for native ones.
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
