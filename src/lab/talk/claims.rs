//! The claims, in the talk's order.

use super::{Arm, Claim, Measure};
use crate::lab::catalog::{RunSpec, StartMethod, TaskKind};

const FOREVER: f64 = f64::INFINITY;

const BASE: Claim = Claim {
    id: "",
    part: 0,
    statement: "",
    talk: "",
    talk_figure: None,
    figure: "",
    unit: "x",
    scale: 1.0,
    arms: &[],
    holds: (1.0, FOREVER),
};

/// A claim about how something appears: it holds if the kernel shows it so.
const SHAPE: Claim = Claim { figure: "seen as expected (1) or not (0)", unit: "", holds: (1.0, 1.0), ..BASE };

const fn arm(label: &'static str, system: &'static str, with: fn(&mut RunSpec), measure: Measure) -> Arm {
    Arm { label, system, with, measure, gil: None }
}

const fn value(label: &'static str, system: &'static str, name: &'static str) -> Arm {
    arm(label, system, as_it_is, Measure::Value(name))
}

const fn shape(system: &'static str) -> Arm {
    arm("appearance", system, long_enough_to_see, Measure::Shape)
}

fn as_it_is(_: &mut RunSpec) {}

/// The kernel is looked at a few times a second, so what is judged by its looks must stay.
fn long_enough_to_see(spec: &mut RunSpec) {
    spec.hold_ms = 300;
}

fn one_worker(spec: &mut RunSpec) {
    spec.workers = 1;
    spec.tasks = 10;
}

fn ten_workers(spec: &mut RunSpec) {
    spec.workers = 10;
    spec.tasks = 10;
}

fn small_parent(spec: &mut RunSpec) {
    (spec.task, spec.workers, spec.tasks) = (TaskKind::None, 8, 0);
}

fn parent_of_1000_mb(spec: &mut RunSpec) {
    small_parent(spec);
    spec.parent_mb = 1_000;
}

/// The talk's tables were made when fork was the default; today it depends on the interpreter.
fn from_fork(spec: &mut RunSpec) {
    spec.start_method = Some(StartMethod::Fork);
}

fn one_from_fork(spec: &mut RunSpec) {
    from_fork(spec);
    one_worker(spec);
}

fn ten_from_fork(spec: &mut RunSpec) {
    from_fork(spec);
    ten_workers(spec);
}

/// Eight times so many digits, by one or by two.
fn digits(spec: &mut RunSpec, size: u32) {
    (spec.task, spec.task_size, spec.tasks) = (TaskKind::Pi, Some(size), 8);
}

fn digits_2000(spec: &mut RunSpec) {
    digits(spec, 2_000);
}

fn two_digits_2000(spec: &mut RunSpec) {
    digits(spec, 2_000);
    spec.workers = 2;
}

fn digits_200(spec: &mut RunSpec) {
    digits(spec, 200);
}

fn two_digits_200(spec: &mut RunSpec) {
    digits(spec, 200);
    spec.workers = 2;
}

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

/// Every claim. The figures of the talk are those of its slides, on a laptop of 10 cores.
pub const CLAIMS: &[Claim] = &[
    Claim {
        id: "states",
        part: 1,
        statement: "A process runs, sleeps, is stopped or is a zombie, and the process list shows it",
        arms: &[shape("native/states")],
        ..SHAPE
    },
    Claim {
        id: "fork",
        part: 2,
        statement: "fork creates a process with the memory of its parent",
        arms: &[shape("native/fork")],
        ..SHAPE
    },
    Claim {
        id: "exec",
        part: 2,
        statement: "exec replaces the program and keeps the process",
        arms: &[shape("native/exec")],
        ..SHAPE
    },
    Claim {
        id: "copied-by-reading",
        part: 3,
        statement: "In CPython, reading objects copies pages shared by fork, because reference counts are written",
        talk: "reference counts break copy-on-write",
        figure: "memory copied by reading all objects / memory of the parent",
        arms: &[
            value("parent", "python/copy-on-write", "parent_private_bytes"),
            value("copied by reading", "python/copy-on-write", "read_private_growth_bytes"),
        ],
        holds: (0.1, FOREVER),
        ..BASE
    },
    Claim {
        id: "gc-freeze",
        part: 3,
        statement: "gc.freeze() before fork prevents the collector from copying pages",
        talk: "freeze before fork",
        figure: "memory copied by gc.collect() / the same after gc.freeze()",
        arms: &[
            value("after gc.freeze()", "python/copy-on-write", "frozen_then_collected_private_growth_bytes"),
            value("gc.collect()", "python/copy-on-write", "collected_private_growth_bytes"),
        ],
        holds: (3.0, FOREVER),
        ..BASE
    },
    Claim {
        id: "fork-grows",
        part: 4,
        statement: "The cost of fork grows with the memory of the parent",
        figure: "creation with 1,000 MiB in the parent / with nothing",
        arms: &[
            arm("0 MiB", "native/fork", small_parent, Measure::Creation),
            arm("1,000 MiB", "native/fork", parent_of_1000_mb, Measure::Creation),
        ],
        holds: (20.0, FOREVER),
        ..BASE
    },
    Claim {
        id: "forkserver-does-not",
        part: 4,
        statement: "The cost of a fork server's child does not grow with it",
        figure: "creation with 1,000 MiB in the parent / with nothing",
        arms: &[
            arm("0 MiB", "native/forkserver", small_parent, Measure::Creation),
            arm("1,000 MiB", "native/forkserver", parent_of_1000_mb, Measure::Creation),
        ],
        holds: (0.0, 2.0),
        ..BASE
    },
    Claim {
        id: "spawn-costs-most",
        part: 4,
        statement: "spawn starts a fresh interpreter: the most expensive way to create a small process",
        figure: "creation by spawn / by fork, small parent",
        arms: &[
            arm("fork", "python/process-fork", as_it_is, Measure::Creation),
            arm("spawn", "python/process-spawn", as_it_is, Measure::Creation),
        ],
        holds: (5.0, FOREVER),
        ..BASE
    },
    Claim {
        id: "parents",
        part: 5,
        statement: "A Process has a parent, and the tree shows it",
        arms: &[shape("python/process-fork")],
        ..SHAPE
    },
    Claim {
        id: "queue",
        part: 6,
        statement: "The factorial of 5 comes back from a Process through a Queue",
        talk: "120",
        talk_figure: Some(120.0),
        figure: "the result",
        unit: "",
        arms: &[value("result", "python/process-queue", "factorial_of_5")],
        holds: (120.0, 120.0),
        ..BASE
    },
    Claim {
        id: "submit",
        part: 7,
        statement: "One future of a process pool costs as much as the process behind it",
        figure: "ProcessPoolExecutor.submit, one factorial / ten factorials without a pool",
        arms: &[
            value("single thread", "python/sequential", "map_consumed_ns"),
            arm("submit", "python/process-pool-submit", as_it_is, Measure::Wall),
        ],
        holds: (50.0, FOREVER),
        ..BASE
    },
    Claim {
        id: "generator",
        part: 8,
        statement: "The talk's time for a single thread is that of an unconsumed map",
        talk: "0.76 us",
        talk_figure: Some(0.76),
        figure: "map(factorial, ten numbers), made and not consumed",
        unit: "us",
        scale: 1e-3,
        arms: &[value("made, not consumed", "python/sequential", "map_made_but_not_consumed_ns")],
        holds: (0.05, 5.0),
    },
    Claim {
        id: "single-thread",
        part: 8,
        statement: "Ten tiny tasks finish long before a process pool has started",
        talk: "42.3365 / 0.00076 ms = 55,700 (map not consumed)",
        figure: "ProcessPoolExecutor.map with 1 worker / the same work without a pool",
        arms: &[
            value("single thread", "python/sequential", "map_consumed_ns"),
            arm("1 worker", "python/process-pool-executor", one_from_fork, Measure::Wall),
        ],
        holds: (100.0, FOREVER),
        ..BASE
    },
    Claim {
        id: "pool-10-to-1",
        part: 8,
        statement: "For ten tiny tasks, ten processes are slower than one",
        talk: "71.4012 / 42.3365 ms",
        talk_figure: Some(1.69),
        figure: "ProcessPoolExecutor.map from fork, 10 workers / 1 worker",
        arms: &[
            arm("1 worker", "python/process-pool-executor", one_from_fork, Measure::Wall),
            arm("10 workers", "python/process-pool-executor", ten_from_fork, Measure::Wall),
        ],
        holds: (1.2, FOREVER),
        ..BASE
    },
    Claim {
        id: "mpire",
        part: 9,
        statement: "mpire is faster than the pools of the standard library",
        talk: "its authors' claim",
        figure: "ProcessPoolExecutor.map / mpire's map, from fork, ten tiny tasks",
        arms: &[
            arm("mpire", "python/mpire", from_fork, Measure::Wall),
            arm("ProcessPoolExecutor", "python/process-pool-executor", from_fork, Measure::Wall),
        ],
        holds: (1.05, FOREVER),
        ..BASE
    },
    Claim {
        id: "threads-10-to-1",
        part: 10,
        statement: "For ten tiny tasks, ten threads are slower than one",
        talk: "0.307925 / 0.168133 ms",
        talk_figure: Some(1.83),
        figure: "ThreadPoolExecutor.map from opening to closing the pool, 10 workers / 1 worker",
        arms: &[
            arm("1 worker", "python/thread-pool-executor", one_worker, Measure::Value("map_alone_ns")),
            arm("10 workers", "python/thread-pool-executor", ten_workers, Measure::Value("map_alone_ns")),
        ],
        holds: (1.1, FOREVER),
        ..BASE
    },
    Claim {
        id: "threads-are-cheaper",
        part: 10,
        statement: "A thread pool is far cheaper than a process pool",
        talk: "71.4012 / 0.307925 ms; \"about 100 times\"",
        talk_figure: Some(231.9),
        figure: "ProcessPoolExecutor.map / ThreadPoolExecutor.map, 10 workers",
        arms: &[
            arm("threads", "python/thread-pool-executor", ten_workers, Measure::Wall),
            arm("processes", "python/process-pool-executor", ten_from_fork, Measure::Wall),
        ],
        holds: (5.0, FOREVER),
        ..BASE
    },
    Claim {
        id: "gil",
        part: 11,
        statement: "With the GIL, threads do not run bytecode in parallel",
        figure: "one thread / two threads, the same work",
        scale: 0.01,
        arms: &[value("speed-up, %", "python/gil-threads", "speed_up_percent")],
        holds: (0.0, 1.2),
        ..BASE
    },
    Claim {
        id: "sleep",
        part: 12,
        statement: "The GIL does not block waits: one long sleep and ten short ones overlap",
        talk: "10 s of sleep in 5 s",
        talk_figure: Some(2.0),
        figure: "sleeps one after the other / together",
        arms: &[
            value("together", "python/sleep-threads", "slept_together_ns"),
            value("one after the other", "python/sleep-threads", "slept_one_after_the_other_ns"),
        ],
        holds: (1.8, 2.05),
        ..BASE
    },
    Claim {
        id: "c-code",
        part: 12,
        statement: "C code that releases the GIL runs in parallel: hashing",
        figure: "one thread / two threads, the same work",
        scale: 0.01,
        arms: &[value("speed-up, %", "python/hash-threads", "speed_up_percent")],
        holds: (1.4, FOREVER),
        ..BASE
    },
    Claim {
        id: "numpy",
        part: 12,
        statement: "C code that releases the GIL runs in parallel: numpy",
        figure: "one thread / two threads, the same work",
        scale: 0.01,
        arms: &[value("speed-up, %", "python/numpy-threads", "speed_up_percent")],
        holds: (1.4, FOREVER),
        ..BASE
    },
    Claim {
        id: "aiofiles",
        part: 12,
        statement: "aiofiles reads files in executor threads, which costs more than reading them directly",
        talk: "through run_in_executor",
        figure: "one file with aiofiles / directly",
        arms: &[
            value("directly", "python/aiofiles", "one_file_directly_ns"),
            value("aiofiles", "python/aiofiles", "one_file_with_aiofiles_ns"),
        ],
        holds: (1.0, FOREVER),
        ..BASE
    },
    Claim {
        id: "no-gil",
        part: 13,
        statement: "Without the GIL (PEP 703), threads run bytecode in parallel",
        figure: "one thread / two threads, the same work",
        scale: 0.01,
        arms: &[value("speed-up, %", "python/no-gil-threads", "speed_up_percent")],
        holds: (1.5, FOREVER),
        ..BASE
    },
    Claim {
        id: "django-gil",
        part: 13,
        statement: "A CPU-bound Django view gains nothing from threads under the GIL",
        talk: "one thread and several threads",
        figure: "requests per second, 2 threads / 1 thread",
        scale: 0.01,
        arms: &[Arm { gil: Some(true), ..value("gain, %", "python/django", "gain_percent") }],
        holds: (0.0, 1.25),
        ..BASE
    },
    Claim {
        id: "django-no-gil",
        part: 13,
        statement: "Without the GIL, a CPU-bound Django view gains from threads",
        talk: "one thread and several threads",
        figure: "requests per second, 2 threads / 1 thread",
        scale: 0.01,
        arms: &[Arm { gil: Some(false), ..value("gain, %", "python/django", "gain_percent") }],
        holds: (1.4, FOREVER),
        ..BASE
    },
    Claim {
        id: "interpreters",
        part: 14,
        statement: "Sub-interpreters (PEP 684) run bytecode in parallel within one process: 2,000 digits of pi",
        figure: "one thread / two interpreters, creation included",
        arms: &[
            arm("two interpreters", "python/interpreters", two_digits_2000, Measure::Wall),
            arm("one thread", "python/sequential", digits_2000, Measure::Wall),
        ],
        holds: (1.3, FOREVER),
        ..BASE
    },
    Claim {
        id: "interpreters-tiny",
        part: 14,
        statement: "For 200 digits of pi, an interpreter costs more than it gains",
        figure: "one thread / two interpreters, creation included",
        arms: &[
            arm("two interpreters", "python/interpreters", two_digits_200, Measure::Wall),
            arm("one thread", "python/sequential", digits_200, Measure::Wall),
        ],
        holds: (0.0, 1.0),
        ..BASE
    },
    Claim {
        id: "interpreter-creation",
        part: 14,
        statement: "Creating an interpreter costs far more than creating a thread",
        figure: "creation of an interpreter / of a thread",
        arms: &[
            arm("thread", "python/thread", as_it_is, Measure::Creation),
            value("interpreter", "python/interpreters", "interpreter_create_ns"),
        ],
        holds: (20.0, FOREVER),
        ..BASE
    },
    Claim {
        id: "asyncio",
        part: 15,
        statement: "An event loop overlaps waits in one thread",
        figure: "ten sleeps one after the other / as async tasks",
        arms: &[
            arm("async tasks", "python/asyncio", ten_sleepers, Measure::Wall),
            arm("one after the other", "python/sequential", ten_short_sleeps, Measure::Wall),
        ],
        holds: (5.0, FOREVER),
        ..BASE
    },
    Claim {
        id: "aiohttp",
        part: 16,
        statement: "A raw socket and aiohttp get the same responses; the library costs CPU",
        talk: "same answer, different cost",
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
        holds: (10.0, FOREVER),
        ..BASE
    },
    Claim {
        id: "task-creation",
        part: 19,
        statement: "An async task is far cheaper to create than a thread",
        talk: "cites superfastpython",
        figure: "creation of a thread / of an async task, 1,000 of each",
        arms: &[
            value("async task", "python/async-vs-threads", "asyncio_1000_create_ns_each"),
            value("thread", "python/async-vs-threads", "threads_1000_create_ns_each"),
        ],
        holds: (5.0, FOREVER),
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
        id: "gevent",
        part: 20,
        statement: "A thousand monkey-patched \"threads\" are one thread for the kernel",
        figure: "kernel threads",
        unit: "",
        arms: &[arm("threads", "python/gevent", a_thousand, Measure::Value("kernel_threads"))],
        holds: (1.0, 1.0),
        ..BASE
    },
    Claim {
        id: "uvloop",
        part: 21,
        statement: "uvloop runs the same code with less CPU",
        talk: "a faster loop",
        figure: "CPU of the echo server per request, asyncio / uvloop",
        arms: &[
            value("uvloop", "python/uvloop-echo", "server_cpu_ns_per_request"),
            value("asyncio", "python/asyncio-echo", "server_cpu_ns_per_request"),
        ],
        holds: (1.3, FOREVER),
        ..BASE
    },
    Claim {
        id: "anyio",
        part: 22,
        statement: "AnyIO runs the same code on asyncio and on trio",
        figure: "wall on trio / on asyncio",
        arms: &[
            arm("asyncio", "python/anyio-asyncio", as_it_is, Measure::Wall),
            arm("trio", "python/anyio-trio", as_it_is, Measure::Wall),
        ],
        holds: (0.5, 2.0),
        ..BASE
    },
];
