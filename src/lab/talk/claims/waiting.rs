//! Parts 15 to 22: event loops, sockets, async against threads, gevent, uvloop, AnyIO.

use super::*;

fn ten_short_sleeps(spec: &mut RunSpec) {
    (spec.task, spec.task_size, spec.tasks) = (TaskKind::Sleep, Some(20), 10);
}

fn ten_sleepers(spec: &mut RunSpec) {
    ten_short_sleeps(spec);
    spec.workers = 10;
}

fn a_thousand(spec: &mut RunSpec) {
    (spec.task, spec.task_size, spec.workers, spec.tasks) = (TaskKind::Sleep, Some(300), 1_000, 1_000);
}

/// So many that the loop's start and end are a small part.
fn a_thousand_tasks(spec: &mut RunSpec) {
    (spec.task, spec.workers, spec.tasks) = (TaskKind::Factorial, 1_000, 1_000);
}

fn files(spec: &mut RunSpec) {
    (spec.task, spec.task_size) = (TaskKind::File, Some(16));
}

/// A figure per task or thread in KiB.
const KIB: Claim = Claim { part: 19, unit: "KiB", scale: 1.0 / 1024.0, talk: "cites superfastpython", ..BASE };

pub(super) const CLAIMS: &[Claim] = &[
    Claim {
        id: "asyncio",
        part: 15,
        statement: "An event loop overlaps waits in one thread",
        figure: "ten sleeps one after the other / as async tasks",
        arms: &[
            arm("async tasks", "python/asyncio", ten_sleepers, Measure::Wall),
            arm("one after the other", "python/sequential", ten_short_sleeps, Measure::Wall),
        ],
        holds: (5.0, 11.0),
        ..BASE
    },
    Claim {
        id: "loop-jobs",
        part: 15,
        statement: "An event loop runs tasks, I/O, timers and signal handlers",
        talk: "tasks, I/O, timers, signals",
        talk_figure: Some(4.0),
        figure: "jobs done, of 4",
        unit: "",
        arms: &[value("jobs", "python/loop-jobs", "jobs_of_the_loop")],
        holds: (4.0, 4.0),
        wrong: 3.0,
        ..BASE
    },
    Claim {
        id: "loop-thread",
        part: 15,
        statement: "It does all of them in one thread",
        figure: "threads of the process",
        unit: "",
        arms: &[value("threads", "python/loop-jobs", "threads_of_the_loop")],
        holds: (1.0, 1.0),
        wrong: 2.0,
        ..BASE
    },
    Claim {
        id: "same-answer",
        part: 16,
        statement: "A raw socket and aiohttp get the same responses",
        talk: "same answer",
        talk_figure: Some(1.0),
        figure: "bytes received, aiohttp / a blocking socket",
        arms: &[
            value("blocking socket", "python/socket-blocking", "bytes_received"),
            value("aiohttp", "python/aiohttp", "bytes_received"),
        ],
        holds: (1.0, 1.0),
        wrong: 0.9,
        ..BASE
    },
    Claim {
        id: "aiohttp",
        part: 16,
        statement: "aiohttp costs more CPU than a raw socket, its import included",
        talk: "different cost",
        figure: "CPU of the whole run, aiohttp / a blocking socket",
        arms: &[
            arm("blocking socket", "python/socket-blocking", as_it_is, Measure::Cpu),
            arm("aiohttp", "python/aiohttp", as_it_is, Measure::Cpu),
        ],
        holds: (1.5, FOREVER),
        ..BASE
    },
    Claim {
        id: "selector",
        part: 17,
        statement: "Polling non-blocking sockets wastes CPU; a selector waits",
        figure: "CPU of the client, spinning / with a selector",
        arms: &[
            value("selector", "python/selectors", "client_cpu_ns"),
            value("spinning", "python/socket-nonblocking", "client_cpu_ns"),
        ],
        holds: (3.0, FOREVER),
        ..BASE
    },
    Claim {
        id: "blocked-loop",
        part: 18,
        statement: "One blocking call stops the whole event loop",
        figure: "delay of a 10 ms tick, blocked / moved to a thread",
        arms: &[
            value("moved to a thread", "python/blocked-loop-cured", "largest_lateness_of_a_10_ms_tick_ns"),
            value("blocked", "python/blocked-loop", "largest_lateness_of_a_10_ms_tick_ns"),
        ],
        holds: (3.0, FOREVER),
        ..BASE
    },
    Claim {
        id: "task-creation",
        part: 19,
        statement: "An async task is far cheaper to create than a thread",
        talk: "cites superfastpython",
        figure: "until all 1,000 run, threads / async tasks",
        arms: &[
            value("async task", "python/async-vs-threads", "asyncio_1000_create_ns_each"),
            value("thread", "python/async-vs-threads", "threads_1000_create_ns_each"),
        ],
        holds: (5.0, FOREVER),
        ..BASE
    },
    Claim {
        id: "task-operation",
        part: 19,
        statement: "1,000 waits finish sooner as async tasks than as threads",
        talk: "cites superfastpython",
        figure: "1,000 sleeps of 100 ms, creation included, threads / async tasks",
        arms: &[
            value("async tasks", "python/async-vs-threads", "asyncio_1000_wall_ns"),
            value("threads", "python/async-vs-threads", "threads_1000_wall_ns"),
        ],
        holds: (1.2, FOREVER),
        ..BASE
    },
    Claim {
        id: "task-memory",
        part: 19,
        statement: "An async task takes far less memory than a thread",
        talk: "cites superfastpython",
        figure: "private memory of a thread / of an async task, 1,000 of each",
        arms: &[
            value("async task", "python/async-vs-threads", "asyncio_1000_private_bytes_each"),
            value("thread", "python/async-vs-threads", "threads_1000_private_bytes_each"),
        ],
        holds: (5.0, FOREVER),
        ..BASE
    },
    Claim {
        id: "task-kib",
        statement: "An async task takes a few KiB",
        figure: "private memory of an async task, 1,000 of them",
        arms: &[value("async task", "python/async-vs-threads", "asyncio_1000_private_bytes_each")],
        holds: (0.5, 6.0),
        wrong: 20.0,
        ..KIB
    },
    Claim {
        id: "thread-kib",
        statement: "A thread takes tens of KiB",
        figure: "private memory of a thread, 1,000 of them",
        arms: &[value("thread", "python/async-vs-threads", "threads_1000_private_bytes_each")],
        holds: (10.0, 100.0),
        wrong: 2.0,
        ..KIB
    },
    Claim {
        id: "gevent",
        part: 20,
        statement: "A thousand monkey-patched \"threads\" are one thread for the kernel",
        figure: "kernel threads",
        unit: "",
        arms: &[arm("threads", "python/gevent", a_thousand, Measure::Value("kernel_threads"))],
        holds: (1.0, 1.0),
        wrong: 1_000.0,
        ..BASE
    },
    Claim {
        id: "uvloop",
        part: 21,
        statement: "uvloop runs the same code with far less CPU",
        talk: "a faster loop",
        figure: "CPU of the echo server per request, asyncio / uvloop",
        arms: &[
            value("uvloop", "python/uvloop-echo", "server_cpu_ns_per_request"),
            value("asyncio", "python/asyncio-echo", "server_cpu_ns_per_request"),
        ],
        holds: (1.5, FOREVER),
        ..BASE
    },
    Claim {
        id: "loop-interface",
        part: 21,
        statement: "uvloop implements the interface of asyncio's event loop",
        figure: "methods of AbstractEventLoop, uvloop / asyncio's own loop",
        scale: 0.01,
        arms: &[value("share, %", "python/loop-interface", "uvloop_has_percent")],
        holds: (0.9, 1.1),
        wrong: 0.5,
        ..BASE
    },
    Claim {
        id: "loop-results",
        part: 21,
        statement: "The same program gives the same results on asyncio's loop and on uvloop",
        figure: "the same results (1) or not (0)",
        arms: &[value("results", "python/loop-interface", "same_results")],
        ..SHAPE
    },
    Claim {
        id: "anyio",
        part: 22,
        statement: "AnyIO runs the same code on asyncio and on trio",
        talk: "same code, two backends",
        talk_figure: Some(1.0),
        figure: "sum of the results on trio / on asyncio",
        arms: &[
            arm("asyncio", "python/anyio-asyncio", a_thousand_tasks, Measure::Value("sum_of_results")),
            arm("trio", "python/anyio-trio", a_thousand_tasks, Measure::Value("sum_of_results")),
        ],
        holds: (1.0, 1.0),
        wrong: 0.5,
        ..BASE
    },
    Claim {
        id: "anyio-cost",
        part: 22,
        statement: "A task of AnyIO costs about the same on either backend",
        figure: "1,000 tasks on trio / on asyncio",
        arms: &[
            arm("asyncio", "python/anyio-asyncio", a_thousand_tasks, Measure::Wall),
            arm("trio", "python/anyio-trio", a_thousand_tasks, Measure::Wall),
        ],
        holds: (0.5, 2.0),
        wrong: 5.0,
        ..BASE
    },
    Claim {
        id: "anyio-files",
        part: 22,
        statement: "AnyIO reads files in threads, on trio too",
        talk: "async files",
        figure: "threads beside the loop's after reading files on trio",
        unit: "",
        arms: &[arm("threads", "python/anyio-trio", files, Measure::Value("other_threads"))],
        holds: (1.0, 40.0),
        wrong: 0.0,
        ..BASE
    },
    Claim {
        id: "anyio-tests",
        part: 22,
        statement: "One test passes on each backend of AnyIO",
        talk: "asyncio or trio, chosen in tests",
        talk_figure: Some(2.0),
        figure: "backends that pass, of 2",
        unit: "",
        arms: &[value("backends", "python/anyio-tests", "backends_that_pass")],
        holds: (2.0, 2.0),
        wrong: 1.0,
        ..BASE
    },
];
