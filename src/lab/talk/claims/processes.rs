//! Parts 1 to 9: processes, start methods, copy-on-write, process pools.

use super::*;

fn one_from_fork(spec: &mut RunSpec) {
    from_fork(spec);
    (spec.workers, spec.tasks) = (1, 10);
}

pub(super) fn ten_from_fork(spec: &mut RunSpec) {
    from_fork(spec);
    (spec.workers, spec.tasks) = (10, 10);
}

fn small_parent(spec: &mut RunSpec) {
    (spec.task, spec.workers, spec.tasks) = (TaskKind::None, 8, 0);
}

fn parent_of_1000_mb(spec: &mut RunSpec) {
    small_parent(spec);
    spec.parent_mb = 1_000;
}

pub(super) const CLAIMS: &[Claim] = &[
    Claim {
        id: "states",
        part: 1,
        statement: "A process runs, sleeps, is stopped or is a zombie, and the process list shows it",
        arms: &[shape("native/states")],
        ..SHAPE
    },
    Claim {
        id: "terminated",
        part: 1,
        statement: "The last state of a process is terminated: its end is the last event of it",
        figure: "every end was seen, with its status, after all else (1) or not (0)",
        arms: &[arm("ends", "native/states", long_enough_to_see, Measure::EndsLast)],
        ..SHAPE
    },
    Claim {
        id: "sigterm",
        part: 1,
        statement: "A program can handle SIGTERM and go on",
        figure: "SIGTERM handled (1) or not (0)",
        arms: &[value("SIGTERM", "python/loop-jobs", "sigterm_handled")],
        ..SHAPE
    },
    Claim {
        id: "sigkill",
        part: 1,
        statement: "No program can handle SIGKILL: the process ends by it",
        figure: "signal that ended the process",
        unit: "",
        arms: &[value("SIGKILL", "python/loop-jobs", "killed_by_signal")],
        holds: (9.0, 9.0),
        wrong: 0.0,
        ..BASE
    },
    Claim {
        id: "fork",
        part: 2,
        statement: "fork creates a process with the memory of its parent",
        arms: &[shape("native/fork")],
        ..SHAPE
    },
    Claim {
        id: "fork-memory",
        part: 2,
        statement: "A forked child that does nothing has almost no memory of its own",
        talk: "memory is copied lazily",
        figure: "memory that became the child's own / memory of the parent",
        arms: &[
            value("parent", "python/copy-on-write", "parent_private_bytes"),
            value("untouched", "python/copy-on-write", "untouched_private_growth_bytes"),
        ],
        holds: (0.0, 0.05),
        wrong: 1.0,
        ..BASE
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
        holds: (0.15, 1.1),
        wrong: 0.01,
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
        holds: (5.0, FOREVER),
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
        holds: (0.5, 2.0),
        wrong: 20.0,
        ..BASE
    },
    Claim {
        id: "spawn-costs-most",
        part: 4,
        statement: "spawn starts a fresh interpreter: the most expensive way to create a small process",
        figure: "creation by spawn / by the dearer of fork and forkserver, small parent",
        arms: &[
            arm("fork", "python/process-fork", as_it_is, Measure::Creation),
            arm("forkserver", "python/process-forkserver", as_it_is, Measure::Creation),
            arm("spawn", "python/process-spawn", as_it_is, Measure::Creation),
        ],
        holds: (1.2, FOREVER),
        ..BASE
    },
    Claim {
        id: "fork-with-threads",
        part: 4,
        statement: "Of a process with threads, fork copies only the thread that calls it",
        figure: "threads in the child, of 5 in the parent",
        unit: "",
        arms: &[value("threads", "python/fork-with-threads", "threads_in_the_child")],
        holds: (1.0, 1.0),
        wrong: 5.0,
        ..BASE
    },
    Claim {
        id: "fork-keeps-locks",
        part: 4,
        statement: "A lock that another thread held at the fork stays locked in the child",
        figure: "locks that stayed locked, of 1",
        unit: "",
        arms: &[value("locks", "python/fork-with-threads", "locks_that_stayed_locked")],
        holds: (1.0, 1.0),
        wrong: 0.0,
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
        wrong: 24.0,
        ..BASE
    },
    Claim {
        id: "submit",
        part: 7,
        statement: "One future of a process pool costs about as much as a Process with a Queue",
        figure: "ProcessPoolExecutor.submit / Process and Queue, from fork, one factorial each",
        arms: &[
            arm("Process and Queue", "python/process-queue", from_fork, Measure::Wall),
            arm("submit", "python/process-pool-submit", from_fork, Measure::Wall),
        ],
        holds: (0.5, 2.5),
        wrong: 10.0,
        ..BASE
    },
    Claim {
        id: "generator",
        part: 8,
        statement: "map() does nothing until its results are asked for",
        figure: "ten factorials: map() consumed / only made",
        arms: &[
            value("made, not consumed", "python/sequential", "map_made_but_not_consumed_ns"),
            value("consumed", "python/sequential", "map_consumed_ns"),
        ],
        holds: (2.0, FOREVER),
        ..BASE
    },
    Claim {
        id: "single-thread",
        part: 8,
        statement: "Ten factorials in a single thread take 0.76 us",
        talk: "0.00076 ms; that is the time of a map() that was only made",
        talk_figure: Some(0.76),
        figure: "ten factorials by map(), consumed",
        unit: "us",
        scale: 1e-3,
        arms: &[value("consumed", "python/sequential", "map_consumed_ns")],
        holds: (0.38, 1.52),
        wrong: 4.0,
        ..BASE
    },
    Claim {
        id: "pool-for-tiny-tasks",
        part: 8,
        statement: "Ten tiny tasks finish long before a process pool has started",
        talk: "42.3365 / 0.00076 ms",
        talk_figure: Some(55_706.0),
        figure: "ProcessPoolExecutor.map with 1 worker / the same work without a pool",
        arms: &[
            value("single thread", "python/sequential", "map_consumed_ns"),
            arm("1 worker", "python/process-pool-executor", one_from_fork, Measure::Wall),
        ],
        holds: (500.0, FOREVER),
        wrong: 10.0,
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
        holds: (1.2, 6.0),
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
        holds: (1.1, FOREVER),
        wrong: 0.5,
        ..BASE
    },
];
