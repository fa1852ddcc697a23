//! Python systems: threads and sub-interpreters.

use super::*;

pub(super) const ENTRIES: &[Entry] = &[
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
        program: Program { gil: Gil::Preferred, ..plain("run_sleep_threads.py") },
        system: System {
            id: "python/sleep-pair",
            title: "two sleeping threads",
            lesson: "One thread sleeps once for long, the other ten times for a tenth; sleep releases the GIL. \
                     Watch both end together: ten units of time instead of twenty.",
            section: Section::Threads,
            backend: Backend::Python,
            tasks: &[TaskKind::Sleep],
            params: Params { workers: None, fixed_workers: 2, tasks: None, parent_mb: false },
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
        program: Program { since: (3, 13), gil: Gil::Absent, ..plain("run_thread_pool_executor.py") },
        system: System {
            id: "python/no-gil-pool",
            title: "ThreadPoolExecutor, no GIL",
            lesson: "A thread pool runs on a free-threaded build: no GIL, no pickling. \
                     Watch a speed-up near the number of CPUs.",
            section: Section::Threads,
            backend: Backend::Python,
            tasks: PI_FIRST,
            params: PAIR,
            shape: thread_pool,
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
        program: Program { packages: &["numpy", "pandas"], gil: Gil::Preferred, ..plain("run_cpu_threads.py") },
        system: System {
            id: "python/pandas-threads",
            title: "pandas releases the GIL",
            lesson: "Threads compute grouped medians with pandas, whose C code releases the GIL. \
                     Watch a speed-up below numpy's: the parts in Python still take turns.",
            section: Section::Threads,
            backend: Backend::Python,
            tasks: &[TaskKind::None],
            params: Params { workers: Some(2), fixed_workers: 0, tasks: Some(12), parent_mb: false },
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
];
