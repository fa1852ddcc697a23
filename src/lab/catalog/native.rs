//! The native systems: one entry each. Code for them is in `lab/native/`.

use super::{Backend, Params, RunSpec, Section, Shape, ShapeParent, System, TaskKind};

const CPU_TASKS: &[TaskKind] =
    &[TaskKind::Factorial, TaskKind::None, TaskKind::Pi, TaskKind::Sleep, TaskKind::File, TaskKind::Http, TaskKind::Matmul];
const MEMORY_TASKS: &[TaskKind] = &[
    TaskKind::Factorial,
    TaskKind::None,
    TaskKind::Pi,
    TaskKind::Sleep,
    TaskKind::File,
    TaskKind::Http,
    TaskKind::Matmul,
    TaskKind::Touch,
];
const NO_TASKS: &[TaskKind] = &[TaskKind::None];

const HTTP: &[TaskKind] = &[TaskKind::Http];

const LOOP_TASKS: &[TaskKind] =
    &[TaskKind::Sleep, TaskKind::None, TaskKind::Factorial, TaskKind::Pi, TaskKind::Http, TaskKind::Matmul];
const RUNTIME_TASKS: &[TaskKind] =
    &[TaskKind::Pi, TaskKind::None, TaskKind::Factorial, TaskKind::Sleep, TaskKind::Http, TaskKind::Matmul];
const BLOCKING_TASKS: &[TaskKind] = &[TaskKind::Sleep, TaskKind::Pi];

/// Threads of the multi-threaded async runtime: more would be hard to distinguish in a list.
pub const TOKIO_THREADS: u32 = 4;

const ONE_WORKER: Params = Params { workers: None, fixed_workers: 1, tasks: Some(10), parent_mb: false };
const FOUR_CALLS: Params = Params { workers: Some(4), fixed_workers: 0, tasks: Some(4), parent_mb: false };
const FEW_WORKERS: Params = Params { workers: Some(4), fixed_workers: 0, tasks: Some(10), parent_mb: true };

/// A run whose tasks are GETs has a server process beside it.
fn servers(spec: &RunSpec) -> u32 {
    u32::from(spec.task == TaskKind::Http)
}

fn no_workers(spec: &RunSpec) -> Shape {
    Shape { processes: servers(spec), ..Shape::default() }
}

fn children(spec: &RunSpec) -> Shape {
    Shape { processes: spec.workers + servers(spec), parent: ShapeParent::Root, states: "S", ..Shape::default() }
}

fn grandchildren(spec: &RunSpec) -> Shape {
    Shape { processes: spec.workers + 1 + servers(spec), parent: ShapeParent::Server, states: "S", ..Shape::default() }
}

fn threads(spec: &RunSpec) -> Shape {
    Shape { processes: servers(spec), threads: spec.workers, ..Shape::default() }
}

/// Children that wait for each other by memory they share.
fn one_child(_: &RunSpec) -> Shape {
    Shape { processes: 1, parent: ShapeParent::Root, states: "S", waits: &["futex"], ..Shape::default() }
}

fn four_children(_: &RunSpec) -> Shape {
    Shape { processes: 4, parent: ShapeParent::Root, states: "S", waits: &["futex"], ..Shape::default() }
}

fn waiting_threads(spec: &RunSpec) -> Shape {
    Shape { waits: &["futex"], ..threads(spec) }
}

fn event_loop(spec: &RunSpec) -> Shape {
    Shape { waits: &["epoll"], ..no_workers(spec) }
}

/// One thread of the runtime waits in epoll for all, the others for it.
fn runtime_threads(spec: &RunSpec) -> Shape {
    Shape { threads: TOKIO_THREADS, waits: &["epoll", "futex"], ..no_workers(spec) }
}

/// The reactor has a thread, for times at which no other waits in epoll.
fn reactor_in_reserve(spec: &RunSpec) -> Shape {
    Shape { threads: 1, waits: &["epoll"], ..no_workers(spec) }
}

/// Threads are made for calls that block, as many as are needed at one time.
fn loop_with_threads(spec: &RunSpec) -> Shape {
    Shape { threads: 1, threads_more: spec.workers.saturating_sub(1), waits: &["epoll", "futex"], ..Shape::default() }
}

/// Six children held in one state each and the child of the one that waits for its vfork; the seventh has ended and been reaped.
fn every_state(_: &RunSpec) -> Shape {
    Shape { processes: 7, parent: ShapeParent::Root, states: "RSDTtZ", ..Shape::default() }
}

/// Systems that this binary runs by itself.
pub const SYSTEMS: &[System] = &[
    System {
        id: "native/sequential",
        title: "sequential",
        lesson: "One thread does every task in sequence; nothing is created and nothing is shared. \
                 Watch the wall time: it is the baseline of every other system.",
        section: Section::Baseline,
        backend: Backend::Native,
        tasks: MEMORY_TASKS,
        params: Params { workers: None, fixed_workers: 1, tasks: Some(10), parent_mb: true },
        shape: no_workers,
    },
    System {
        id: "native/fork",
        title: "fork",
        lesson: "fork(2) makes each worker a copy of the parent: a new PID, the same memory, copy-on-write. \
                 Watch the creation time grow with parent MiB, because page tables are copied, while USS stays small.",
        section: Section::Processes,
        backend: Backend::Native,
        tasks: MEMORY_TASKS,
        params: FEW_WORKERS,
        shape: children,
    },
    System {
        id: "native/exec",
        title: "fork + exec",
        lesson: "Each worker is forked and then replaces its program by execve(2): same PID, new memory. \
                 Watch the creation time: the copy of the parent is paid for and then discarded.",
        section: Section::Processes,
        backend: Backend::Native,
        tasks: CPU_TASKS,
        params: FEW_WORKERS,
        shape: children,
    },
    System {
        id: "native/spawn",
        title: "spawn",
        lesson: "posix_spawn(3) starts each worker as a fresh program and borrows the parent's memory until the exec. \
                 Watch the creation time stay the same for any amount of parent memory.",
        section: Section::Processes,
        backend: Backend::Native,
        tasks: CPU_TASKS,
        params: FEW_WORKERS,
        shape: children,
    },
    System {
        id: "native/forkserver",
        title: "forkserver",
        lesson: "A small, clean server starts once and forks every worker, so the cost does not grow with your program. \
                 Watch the tree: the parent of the workers is the server, not the run root.",
        section: Section::Processes,
        backend: Backend::Native,
        tasks: CPU_TASKS,
        params: FEW_WORKERS,
        shape: grandchildren,
    },
    System {
        id: "native/process-pool",
        title: "process pool",
        lesson: "Workers are forked once and then receive tasks over pipes. \
                 Watch idle workers sleep in a pipe read: the next free worker gets the next task.",
        section: Section::Processes,
        backend: Backend::Native,
        tasks: MEMORY_TASKS,
        params: FEW_WORKERS,
        shape: children,
    },
    System {
        id: "native/process-queue",
        title: "process + queue",
        lesson: "One child computes the factorial of 5 and sends it back through a pipe. \
                 Watch how much cheaper this is than Python's queue with its lock, feeder thread and pickling.",
        section: Section::Processes,
        backend: Backend::Native,
        tasks: NO_TASKS,
        params: Params { workers: None, fixed_workers: 1, tasks: None, parent_mb: true },
        shape: one_child,
    },
    System {
        id: "native/thread",
        title: "thread",
        lesson: "clone(2) makes each worker a thread: a new TID in the same PID, with shared memory and files. \
                 Watch one process with many tasks, and compare the creation time with fork's.",
        section: Section::Threads,
        backend: Backend::Native,
        tasks: MEMORY_TASKS,
        params: FEW_WORKERS,
        shape: threads,
    },
    System {
        id: "native/thread-pool",
        title: "thread pool",
        lesson: "Threads start once and take tasks from one queue behind a lock. \
                 Watch idle workers wait in futex, and parallel lanes: there is no interpreter lock.",
        section: Section::Threads,
        backend: Backend::Native,
        tasks: MEMORY_TASKS,
        params: FEW_WORKERS,
        shape: threads,
    },
    System {
        id: "native/crossbeam",
        title: "threads and crossbeam channel",
        lesson: "Threads take tasks from a crossbeam channel, which many can receive from. \
                 Watch idle threads wait in futex.",
        section: Section::Threads,
        backend: Backend::Native,
        tasks: MEMORY_TASKS,
        params: FEW_WORKERS,
        shape: waiting_threads,
    },
    System {
        id: "native/rayon",
        title: "rayon",
        lesson: "rayon splits a loop among threads, and idle threads steal from busy ones. \
                 Watch lanes that end together.",
        section: Section::Threads,
        backend: Backend::Native,
        tasks: MEMORY_TASKS,
        params: FEW_WORKERS,
        shape: waiting_threads,
    },
    System {
        id: "native/sleep-threads",
        title: "sleeping threads",
        lesson: "One thread sleeps ten times as long as the others; each prints when it wakes. \
                 Watch the lanes overlap: together they take as long as the longest sleep.",
        section: Section::Threads,
        backend: Backend::Native,
        tasks: &[TaskKind::Sleep],
        params: Params { workers: Some(11), fixed_workers: 0, tasks: None, parent_mb: false },
        shape: waiting_threads,
    },
    System {
        id: "native/event-loop",
        title: "event loop",
        lesson: "Each worker is an async task; one thread runs them all and switches whenever one waits. \
                 Watch many workers behind one TID in epoll; with task pi, one that computes delays the rest.",
        section: Section::Async,
        backend: Backend::Native,
        tasks: LOOP_TASKS,
        params: Params { workers: Some(10), fixed_workers: 0, tasks: Some(10), parent_mb: true },
        shape: event_loop,
    },
    System {
        id: "native/tokio-current",
        title: "tokio, current_thread",
        lesson: "Async tasks share a runtime with one thread, so only one of them computes at a time. \
                 Watch the lanes alternate, and compare the cost of a task with that of a thread.",
        section: Section::Async,
        backend: Backend::Native,
        tasks: RUNTIME_TASKS,
        params: Params { workers: Some(10), fixed_workers: 0, tasks: Some(10), parent_mb: true },
        shape: event_loop,
    },
    System {
        id: "native/tokio-multi",
        title: "tokio, multi_thread",
        lesson: "The same async tasks run on a runtime with four threads that steal tasks from each other. \
                 Watch one thread wait in epoll for all and the others in futex, until there is work.",
        section: Section::Async,
        backend: Backend::Native,
        tasks: RUNTIME_TASKS,
        params: Params { workers: Some(10), fixed_workers: 0, tasks: Some(10), parent_mb: true },
        shape: runtime_threads,
    },
    System {
        id: "native/smol",
        title: "smol",
        lesson: "Async tasks run on smol: its executor on the main thread, its reactor in epoll. \
                 Watch the main thread wait for all, and one thread of the reactor in reserve.",
        section: Section::Async,
        backend: Backend::Native,
        tasks: RUNTIME_TASKS,
        params: Params { workers: Some(10), fixed_workers: 0, tasks: Some(10), parent_mb: true },
        shape: reactor_in_reserve,
    },
    System {
        id: "native/blocked-loop",
        title: "blocked event loop",
        lesson: "Async tasks make a blocking call each; until it returns, nothing else on the loop's thread runs. \
                 Watch how late a 10 ms tick fires.",
        section: Section::Async,
        backend: Backend::Native,
        tasks: BLOCKING_TASKS,
        params: FOUR_CALLS,
        shape: event_loop,
    },
    System {
        id: "native/blocked-loop-cured",
        title: "blocked event loop, cured",
        lesson: "spawn_blocking moves the same calls to threads, and the loop keeps running while they block. \
                 Watch the ticks fire on time, and the threads next to the loop.",
        section: Section::Async,
        backend: Backend::Native,
        tasks: BLOCKING_TASKS,
        params: FOUR_CALLS,
        shape: loop_with_threads,
    },
    System {
        id: "native/async-vs-threads",
        title: "async tasks against threads",
        lesson: "The same waits run as 100, 1,000 and 10,000 async tasks, then as threads, limited by the task count. \
                 Watch creation time and private memory of each.",
        section: Section::Async,
        backend: Backend::Native,
        tasks: &[TaskKind::Sleep],
        params: Params { workers: None, fixed_workers: 1, tasks: Some(1_000), parent_mb: false },
        shape: no_workers,
    },
    System {
        id: "native/socket-blocking",
        title: "blocking sockets",
        lesson: "GETs run over raw sockets in sequence; recv(2) sleeps until the server answers. \
                 Watch almost no CPU, and a wall time that is the sum of all waits.",
        section: Section::Sockets,
        backend: Backend::Native,
        tasks: HTTP,
        params: ONE_WORKER,
        shape: no_workers,
    },
    System {
        id: "native/socket-nonblocking",
        title: "non-blocking sockets",
        lesson: "All GETs run at once over non-blocking sockets; the program polls each and mostly gets EAGAIN. \
                 Watch one wait for all, and a whole CPU wasted on polling.",
        section: Section::Sockets,
        backend: Backend::Native,
        tasks: HTTP,
        params: ONE_WORKER,
        shape: no_workers,
    },
    System {
        id: "native/socket-epoll",
        title: "selector",
        lesson: "All GETs run at once, and epoll(7) reports ready sockets: the basis of every event loop. \
                 Watch one wait for all, and almost no CPU.",
        section: Section::Sockets,
        backend: Backend::Native,
        tasks: HTTP,
        params: ONE_WORKER,
        shape: no_workers,
    },
    System {
        id: "native/socket-uring",
        title: "io_uring",
        lesson: "All GETs run at once; receives are queued in memory shared with the kernel (io_uring(7)). \
                 Watch one wait for all, without a recv call for each answer.",
        section: Section::Sockets,
        backend: Backend::Native,
        tasks: HTTP,
        params: ONE_WORKER,
        shape: no_workers,
    },
    System {
        id: "native/copy-on-write",
        title: "copy-on-write",
        lesson: "Four forked children inherit memory: one ignores it, one reads it, one writes a quarter, one writes all. \
                 Watch what each makes private: only what it writes, while Python's reference counts write on reading.",
        section: Section::Exhibits,
        backend: Backend::Native,
        tasks: NO_TASKS,
        params: Params { workers: None, fixed_workers: 4, tasks: None, parent_mb: true },
        shape: four_children,
    },
    System {
        id: "native/states",
        title: "process states",
        lesson: "One child per state: R running, S sleeping, D in vfork, T stopped, t traced, Z zombie; one ends. \
                 Watch the letters in the tree, and send SIGCONT to the stopped one.",
        section: Section::Exhibits,
        backend: Backend::Native,
        tasks: NO_TASKS,
        params: Params { workers: None, fixed_workers: 7, tasks: None, parent_mb: false },
        shape: every_state,
    },
];
