//! The talk's contents in our own words: what each part shows, the systems that show it live, and the claims that measure it. Tests hold
//! this list against the systems of the catalogue and the rows of `concmon lab talk`.

/// One subject of the talk.
#[derive(Debug, Clone, Copy)]
pub struct Topic {
    /// Its part of the talk, from 1.
    pub part: u8,
    /// The subject.
    pub title: &'static str,
    /// Systems of the catalogue that show it.
    pub systems: &'static [&'static str],
    /// Claims that measure it, by [`super::Claim::id`].
    pub claims: &'static [&'static str],
}

const fn topic(part: u8, title: &'static str, systems: &'static [&'static str], claims: &'static [&'static str]) -> Topic {
    Topic { part, title, systems, claims }
}

/// Every subject, in the talk's order.
pub const TOPICS: &[Topic] = &[
    topic(1, "process states, to the last", &["native/states"], &["states", "terminated"]),
    topic(1, "SIGTERM and SIGKILL", &["native/states", "python/loop-jobs"], &["sigterm", "sigkill"]),
    topic(2, "fork", &["native/fork", "python/fork", "python/copy-on-write"], &["fork", "fork-memory"]),
    topic(2, "exec", &["native/exec", "python/exec"], &["exec"]),
    topic(
        3,
        "copy-on-write and the collector",
        &["native/copy-on-write", "python/copy-on-write"],
        &["copied-by-reading", "gc-freeze"],
    ),
    topic(
        4,
        "start methods",
        &[
            "native/fork",
            "native/spawn",
            "native/forkserver",
            "python/process-fork",
            "python/process-spawn",
            "python/process-forkserver",
        ],
        &["fork-grows", "forkserver-does-not", "spawn-costs-most"],
    ),
    topic(4, "fork with threads running", &["python/fork-with-threads"], &["fork-with-threads", "fork-keeps-locks"]),
    topic(5, "Process: child and parent", &["python/process-fork"], &["parents"]),
    topic(6, "Process and Queue", &["native/process-queue", "python/process-queue"], &["queue"]),
    topic(7, "ProcessPoolExecutor.submit", &["python/process-pool-submit"], &["submit"]),
    topic(
        8,
        "ProcessPoolExecutor.map with 1 and 10 workers",
        &["native/process-pool", "python/process-pool-executor"],
        &["pool-for-tiny-tasks", "pool-10-to-1"],
    ),
    topic(8, "single thread", &["native/sequential", "python/sequential"], &["generator", "single-thread"]),
    topic(9, "mpire", &["python/mpire"], &["mpire"]),
    topic(
        10,
        "ThreadPoolExecutor.map with 1 and 10 workers",
        &["native/thread-pool", "python/thread-pool-executor", "python/thread"],
        &["threads-10-to-1", "threads-are-cheaper", "thread-creation"],
    ),
    topic(11, "the GIL", &["python/gil-threads"], &["gil"]),
    topic(11, "parallelism needs CPUs", &["python/one-cpu"], &["one-cpu", "all-cpus"]),
    topic(12, "files through the executor", &["python/aiofiles", "python/asyncio-files"], &["aiofiles-threads", "aiofiles"]),
    topic(
        12,
        "C code: hashing, numpy, pandas",
        &["python/hash-threads", "python/numpy-threads", "python/pandas-threads"],
        &["c-code", "numpy", "pandas"],
    ),
    topic(12, "sleeps", &["python/sleep-pair", "python/sleep-threads", "native/sleep-threads"], &["sleep"]),
    topic(13, "no GIL", &["python/no-gil-threads", "python/sequential"], &["no-gil", "no-gil-price"]),
    topic(
        13,
        "Django, one and several threads",
        &["python/django"],
        &["django-gil", "django-no-gil", "django-one-thread", "django-threads"],
    ),
    topic(
        14,
        "pi, 2,000 and 200 digits",
        &[
            "python/interpreters",
            "python/interpreter-pool-executor",
            "python/thread",
            "python/process-fork",
            "python/process-spawn",
        ],
        &["interpreters", "pi-2000-processes", "pi-2000-threads", "interpreters-tiny", "pi-200-processes", "pi-200-threads"],
    ),
    topic(
        14,
        "creation of interpreters, threads and processes",
        &["python/interpreters", "python/thread", "python/process-spawn"],
        &["interpreter-creation", "interpreter-to-process"],
    ),
    topic(15, "coroutines and tasks", &["python/asyncio", "native/event-loop", "native/tokio-current"], &["asyncio"]),
    topic(15, "jobs of an event loop", &["python/loop-jobs"], &["loop-jobs", "loop-thread"]),
    topic(
        16,
        "raw socket and aiohttp",
        &["native/socket-blocking", "python/socket-blocking", "python/aiohttp"],
        &["same-answer", "aiohttp"],
    ),
    topic(
        17,
        "non-blocking sockets and a selector",
        &["native/socket-nonblocking", "native/socket-epoll", "python/socket-nonblocking", "python/selectors"],
        &["selector"],
    ),
    topic(
        18,
        "blocked event loop",
        &["native/blocked-loop", "native/blocked-loop-cured", "python/blocked-loop", "python/blocked-loop-cured"],
        &["blocked-loop"],
    ),
    topic(
        19,
        "async against threads: creation, operation, memory",
        &["native/async-vs-threads", "python/async-vs-threads"],
        &["task-creation", "task-operation", "task-memory", "task-kib", "thread-kib"],
    ),
    topic(20, "gevent", &["python/gevent"], &["gevent"]),
    topic(21, "uvloop", &["python/uvloop-echo", "python/asyncio-echo"], &["uvloop"]),
    topic(21, "event loops by one interface", &["python/loop-interface"], &["loop-interface", "loop-results"]),
    topic(22, "AnyIO on two backends", &["python/anyio-asyncio", "python/anyio-trio"], &["anyio", "anyio-cost"]),
    topic(22, "AnyIO files", &["python/anyio-asyncio", "python/anyio-trio"], &["anyio-files"]),
    topic(22, "choice of the backend in tests", &["python/anyio-tests"], &["anyio-tests"]),
];
