//! Parts 10 to 14: thread pools, the GIL and its absence, sub-interpreters.

use super::processes::ten_from_fork;
use super::*;

fn one_worker(spec: &mut RunSpec) {
    (spec.workers, spec.tasks) = (1, 10);
}

fn ten_workers(spec: &mut RunSpec) {
    (spec.workers, spec.tasks) = (10, 10);
}

fn by_two(spec: &mut RunSpec, size: u32) {
    digits(spec, size);
    spec.workers = 2;
}

fn two_digits_2000(spec: &mut RunSpec) {
    by_two(spec, 2_000);
}

fn two_digits_200(spec: &mut RunSpec) {
    by_two(spec, 200);
}

fn digits_200(spec: &mut RunSpec) {
    digits(spec, 200);
}

/// Some 5 ms for each product, so that starting and joining threads is no part of what is seen.
fn large_matrices(spec: &mut RunSpec) {
    spec.task_size = Some(512);
}

/// The work of one thread through that of two workers.
const fn pi(id: &'static str, statement: &'static str, arms: &'static [Arm]) -> Claim {
    Claim { id, part: 14, statement, figure: "one thread / two at once, creation included", arms, speed_up: true, ..BASE }
}

const GIL_VIEW: Arm = on(true, value("with the GIL", "python/django", "requests_per_second_1_thread"));
const NO_GIL_VIEW: Arm = on(false, value("without the GIL", "python/django", "requests_per_second_1_thread"));

pub(super) const CLAIMS: &[Claim] = &[
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
        holds: (1.2, 4.0),
        ..BASE
    },
    Claim {
        id: "threads-are-cheaper",
        part: 10,
        statement: "A thread pool is about 100 times cheaper than a process pool",
        talk: "71.4012 / 0.307925 ms",
        talk_figure: Some(231.9),
        figure: "ProcessPoolExecutor.map from fork / ThreadPoolExecutor.map, 10 workers",
        arms: &[
            arm("threads", "python/thread-pool-executor", ten_workers, Measure::Value("map_alone_ns")),
            arm("processes", "python/process-pool-executor", ten_from_fork, Measure::Wall),
        ],
        holds: (50.0, 460.0),
        wrong: 5.0,
        ..BASE
    },
    Claim {
        id: "thread-creation",
        part: 10,
        statement: "Creating a thread costs far less than creating a process, however it is started",
        figure: "creation by fork / of a thread",
        arms: &[
            arm("thread", "python/thread", as_it_is, Measure::Creation),
            arm("fork", "python/process-fork", as_it_is, Measure::Creation),
        ],
        holds: (3.0, FOREVER),
        ..BASE
    },
    Claim {
        id: "gil",
        part: 11,
        statement: "With the GIL, threads do not run bytecode in parallel",
        arms: &[value("speed-up, %", "python/gil-threads", "speed_up_percent")],
        holds: (0.0, 1.2),
        wrong: 1.8,
        ..SPEED_UP
    },
    Claim {
        id: "one-cpu",
        part: 11,
        statement: "Limited to one CPU, processes take turns: concurrent, but not parallel",
        figure: "one process / two processes on one CPU, the same work",
        arms: &[value("speed-up, %", "python/one-cpu", "one_cpu_speed_up_percent")],
        holds: (0.0, 1.2),
        wrong: 1.8,
        ..SPEED_UP
    },
    Claim {
        id: "all-cpus",
        part: 11,
        statement: "On several CPUs, the same processes run in parallel",
        figure: "one process / two processes on all CPUs, the same work",
        arms: &[value("speed-up, %", "python/one-cpu", "speed_up_percent")],
        ..SPEED_UP
    },
    Claim {
        id: "sleep",
        part: 12,
        statement: "The GIL does not block waits: one long sleep and ten short ones overlap in two threads",
        talk: "10 s of sleep in 5 s",
        talk_figure: Some(2.0),
        figure: "the sleeps in one thread / in two",
        arms: &[
            value("two threads", "python/sleep-pair", "slept_together_ns"),
            value("one thread", "python/sleep-pair", "slept_one_after_the_other_ns"),
        ],
        holds: (1.8, 2.2),
        ..BASE
    },
    Claim {
        id: "c-code",
        part: 12,
        statement: "C code that releases the GIL runs in parallel: hashing",
        arms: &[value("speed-up, %", "python/hash-threads", "speed_up_percent")],
        ..SPEED_UP
    },
    Claim {
        id: "numpy",
        part: 12,
        statement: "C code that releases the GIL runs in parallel: numpy",
        arms: &[arm("speed-up, %", "python/numpy-threads", large_matrices, Measure::Value("speed_up_percent"))],
        ..SPEED_UP
    },
    Claim {
        id: "pandas",
        part: 12,
        statement: "C code that releases the GIL runs in parallel: pandas",
        arms: &[value("speed-up, %", "python/pandas-threads", "speed_up_percent")],
        ..SPEED_UP
    },
    Claim {
        id: "aiofiles-threads",
        part: 12,
        statement: "aiofiles performs file operations in threads of the loop's executor",
        talk: "through run_in_executor",
        figure: "executor threads",
        unit: "",
        arms: &[value("threads", "python/aiofiles", "executor_threads")],
        holds: (1.0, 32.0),
        wrong: 0.0,
        ..BASE
    },
    Claim {
        id: "aiofiles",
        part: 12,
        statement: "Reading one file with aiofiles costs many times more than plain open and read",
        figure: "open, read, close with aiofiles / directly",
        arms: &[
            value("directly", "python/aiofiles", "open_read_close_directly_ns"),
            value("aiofiles", "python/aiofiles", "open_read_close_with_aiofiles_ns"),
        ],
        holds: (5.0, FOREVER),
        ..BASE
    },
    Claim {
        id: "no-gil",
        part: 13,
        statement: "Without the GIL (PEP 703), threads run bytecode in parallel",
        arms: &[value("speed-up, %", "python/no-gil-threads", "speed_up_percent")],
        ..SPEED_UP
    },
    Claim {
        id: "no-gil-price",
        part: 13,
        statement: "One thread is slower on a build without the GIL",
        talk: "the price of a single thread",
        figure: "2,000 digits of pi in one thread, without the GIL / with it",
        arms: &[
            on(true, arm("with the GIL", "python/sequential", digits_2000, Measure::Wall)),
            on(false, arm("without the GIL", "python/sequential", digits_2000, Measure::Wall)),
        ],
        holds: (1.02, 2.0),
        wrong: 0.9,
        ..BASE
    },
    Claim {
        id: "django-gil",
        part: 13,
        statement: "A CPU-bound Django view gains nothing from threads under the GIL",
        talk: "one thread and several threads",
        figure: "requests per second, 2 threads / 1 thread",
        arms: &[on(true, value("gain, %", "python/django", "gain_percent"))],
        holds: (0.0, 1.2),
        wrong: 1.8,
        ..SPEED_UP
    },
    Claim {
        id: "django-no-gil",
        part: 13,
        statement: "Without the GIL, a CPU-bound Django view gains from threads",
        talk: "one thread and several threads",
        figure: "requests per second, 2 threads / 1 thread",
        arms: &[on(false, value("gain, %", "python/django", "gain_percent"))],
        ..SPEED_UP
    },
    Claim {
        id: "django-one-thread",
        part: 13,
        statement: "With one thread, Django serves about as many requests without the GIL as with it",
        talk: "requests per second, single-threaded",
        figure: "requests per second with 1 thread, without the GIL / with it",
        arms: &[GIL_VIEW, NO_GIL_VIEW],
        holds: (0.6, 1.25),
        wrong: 0.3,
        ..BASE
    },
    Claim {
        id: "django-threads",
        part: 13,
        statement: "With several threads, Django serves more requests without the GIL than with it",
        talk: "requests per second, multi-threaded",
        figure: "requests per second with 2 threads, without the GIL / with it",
        arms: &[
            on(true, value("with the GIL", "python/django", "requests_per_second_2_threads")),
            on(false, value("without the GIL", "python/django", "requests_per_second_2_threads")),
        ],
        holds: (1.2, FOREVER),
        speed_up: true,
        ..BASE
    },
    Claim {
        holds: (1.3, FOREVER),
        ..pi(
            "interpreters",
            "Sub-interpreters (PEP 684) run bytecode in parallel within one process: 2,000 digits of pi",
            &[
                arm("two interpreters", "python/interpreters", two_digits_2000, Measure::Wall),
                arm("one thread", "python/sequential", digits_2000, Measure::Wall),
            ],
        )
    },
    Claim {
        holds: (1.3, FOREVER),
        ..pi(
            "pi-2000-processes",
            "Processes compute 2,000 digits of pi in parallel",
            &[
                arm("two processes", "python/process-fork", two_digits_2000, Measure::Wall),
                arm("one thread", "python/sequential", digits_2000, Measure::Wall),
            ],
        )
    },
    Claim {
        holds: (0.0, 1.2),
        wrong: 1.8,
        ..pi(
            "pi-2000-threads",
            "With the GIL, threads gain nothing for 2,000 digits of pi",
            &[
                on(true, arm("two threads", "python/thread", two_digits_2000, Measure::Wall)),
                on(true, arm("one thread", "python/sequential", digits_2000, Measure::Wall)),
            ],
        )
    },
    Claim {
        holds: (0.0, 0.95),
        ..pi(
            "interpreters-tiny",
            "For 200 digits of pi, an interpreter costs more than it gains",
            &[
                arm("two interpreters", "python/interpreters", two_digits_200, Measure::Wall),
                arm("one thread", "python/sequential", digits_200, Measure::Wall),
            ],
        )
    },
    Claim {
        holds: (0.0, 0.95),
        ..pi(
            "pi-200-processes",
            "For 200 digits of pi, a process costs more than it gains",
            &[
                arm("two processes", "python/process-spawn", two_digits_200, Measure::Wall),
                arm("one thread", "python/sequential", digits_200, Measure::Wall),
            ],
        )
    },
    Claim {
        holds: (0.0, 1.05),
        wrong: 1.8,
        ..pi(
            "pi-200-threads",
            "With the GIL, threads gain nothing for 200 digits of pi",
            &[
                on(true, arm("two threads", "python/thread", two_digits_200, Measure::Wall)),
                on(true, arm("one thread", "python/sequential", digits_200, Measure::Wall)),
            ],
        )
    },
    Claim {
        id: "interpreter-creation",
        part: 14,
        statement: "Creating an interpreter costs far more than creating a thread",
        figure: "creation of an interpreter / of a thread",
        arms: &[
            arm("thread", "python/thread", as_it_is, Measure::Creation),
            arm("interpreter", "python/interpreters", as_it_is, Measure::Creation),
        ],
        holds: (10.0, FOREVER),
        ..BASE
    },
    Claim {
        id: "interpreter-to-process",
        part: 14,
        statement: "Creating an interpreter costs less than spawning a process",
        figure: "creation by spawn / of an interpreter",
        arms: &[
            arm("interpreter", "python/interpreters", as_it_is, Measure::Creation),
            arm("spawn", "python/process-spawn", as_it_is, Measure::Creation),
        ],
        holds: (1.2, FOREVER),
        ..BASE
    },
];
