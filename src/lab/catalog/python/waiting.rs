//! Python systems: event loops, greenlets and sockets.

use super::*;

pub(super) const ENTRIES: &[Entry] = &[
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
        program: plain("run_loop_jobs.py"),
        system: System {
            id: "python/loop-jobs",
            title: "jobs of an event loop",
            lesson: "A process runs an event loop that does tasks, I/O, a timer and a signal handler in one thread. \
                     Watch it handle SIGTERM and go on, and end at SIGKILL, which nothing handles.",
            section: Section::Async,
            backend: Backend::Python,
            tasks: &[TaskKind::None],
            params: Params { workers: None, fixed_workers: 1, tasks: None, parent_mb: false },
            shape: loop_process,
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
        program: Program { packages: &["uvloop"], ..plain("run_loop_interface.py") },
        system: System {
            id: "python/loop-interface",
            title: "one interface, two event loops",
            lesson: "asyncio.AbstractEventLoop is the interface; the standard loop and uvloop implement it, and one program runs on both. \
                     Watch the same results, and how much of the interface each has.",
            section: Section::Async,
            backend: Backend::Python,
            tasks: &[TaskKind::Factorial],
            params: TEN,
            shape: event_loop,
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
        program: Program { packages: &["trio"], ..plain("run_trio.py") },
        system: System {
            id: "python/trio",
            title: "trio",
            lesson: "Tasks belong to a nursery of trio, which waits for all of them. \
                     Watch one thread asleep in epoll.",
            section: Section::Async,
            backend: Backend::Python,
            tasks: WAITS_FIRST,
            params: TEN,
            shape: event_loop,
        },
    },
    Entry {
        program: Program { packages: &["anyio", "trio"], ..plain("run_anyio_tests.py") },
        system: System {
            id: "python/anyio-tests",
            title: "one test on each AnyIO backend",
            lesson: "A test of tasks, streams and files runs on each backend that AnyIO has. \
                     Watch it pass on all: the backend is a parameter of the test.",
            section: Section::Async,
            backend: Backend::Python,
            tasks: &[TaskKind::None],
            params: Params { workers: None, fixed_workers: 1, tasks: None, parent_mb: false },
            shape: tested,
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
];
