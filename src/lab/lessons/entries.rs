//! The lessons, in the talk's order.

use super::read::{self, Seen};
use super::{Act, Deed, Lesson, Reading, verdicts};
use crate::lab::catalog::{RunSpec, StartMethod, TaskKind};
use crate::lab::measure::Unit;
use crate::lab::run::Run;

const fn act(label: &'static str, system: &'static str, with: fn(&mut RunSpec), reads: &'static [Reading]) -> Act {
    Act { label, system, twin: None, with, own_work: false, reads, rounds: 1, hold_ms: 0, optional: false, deed: None }
}

impl Act {
    const fn twin(self, twin: &'static str) -> Self {
        Self { twin: Some(twin), ..self }
    }

    const fn held(self, hold_ms: u32) -> Self {
        Self { hold_ms, ..self }
    }

    const fn rounds(self, rounds: u32) -> Self {
        Self { rounds, ..self }
    }

    const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    const fn deed(self, deed: Deed) -> Self {
        Self { deed: Some(deed), ..self }
    }
}

const fn ns(name: &'static str, of: fn(&Seen<'_>) -> Option<f64>) -> Reading {
    Reading { name, unit: Unit::Ns, of, drawn: true, kind: "" }
}

const fn bytes(name: &'static str, of: fn(&Seen<'_>) -> Option<f64>) -> Reading {
    Reading { name, unit: Unit::Bytes, of, drawn: true, kind: "" }
}

/// A figure that the verdict needs and no bar shows.
const fn hidden(name: &'static str, of: fn(&Seen<'_>) -> Option<f64>) -> Reading {
    Reading { name, unit: Unit::Count, of, drawn: false, kind: "" }
}

const fn count(name: &'static str, of: fn(&Seen<'_>) -> Option<f64>) -> Reading {
    Reading { drawn: true, ..hidden(name, of) }
}

const fn ratio(name: &'static str, of: fn(&Seen<'_>) -> Option<f64>) -> Reading {
    Reading { unit: Unit::Ratio, ..count(name, of) }
}

fn as_it_is(_: &mut RunSpec) {}

fn three_workers(spec: &mut RunSpec) {
    (spec.workers, spec.tasks) = (3, 3);
}

fn holding_200_mb(spec: &mut RunSpec) {
    three_workers(spec);
    spec.parent_mb = 200;
}

fn creating(spec: &mut RunSpec, parent_mb: u32) {
    (spec.task, spec.workers, spec.tasks, spec.parent_mb) = (TaskKind::None, 3, 0, parent_mb);
}

fn parent_of_0_mb(spec: &mut RunSpec) {
    creating(spec, 0);
}

fn parent_of_250_mb(spec: &mut RunSpec) {
    creating(spec, 250);
}

fn parent_of_1000_mb(spec: &mut RunSpec) {
    creating(spec, 1_000);
}

fn loaded_100_mb(spec: &mut RunSpec) {
    spec.parent_mb = 100;
}

fn ten_tiny(spec: &mut RunSpec) {
    (spec.workers, spec.tasks) = (10, 10);
    from_fork(spec);
}

fn one_worker(spec: &mut RunSpec) {
    (spec.workers, spec.tasks) = (1, 10);
    from_fork(spec);
}

/// The cheapest start method: the default depends on the interpreter.
fn from_fork(spec: &mut RunSpec) {
    spec.start_method = spec.system.contains("pool-executor").then_some(StartMethod::Fork);
    spec.start_method = spec.start_method.filter(|_| spec.system.contains("process"));
}

/// Work that lasts longer than a run is watched.
fn long_work(spec: &mut RunSpec) {
    let digits = if spec.system.starts_with("native/") { 6_000 } else { 2_500 };
    (spec.task, spec.task_size, spec.workers, spec.tasks) = (TaskKind::Pi, Some(digits), 4, 400);
    from_fork(spec);
}

fn sleeping_500_ms(spec: &mut RunSpec) {
    spec.task_size = Some(500);
}

fn digits_of_pi(spec: &mut RunSpec) {
    (spec.task, spec.task_size, spec.workers, spec.tasks) = (TaskKind::Pi, Some(2_000), spec.workers.min(2), 8);
}

const fn to_three_states() -> Deed {
    Deed { words: "send SIGKILL to T, D and Z", signal: (9, "SIGKILL"), to: three_states, watched_ns: 2_500_000_000 }
}

/// The processes of `native/states` that are stopped, uninterruptible, and zombies, in this order.
fn three_states(run: &Run) -> Vec<i32> {
    let of = |letter: char| run.family.iter().find(|member| member.state == letter).map(|member| member.pid);
    ['T', 'D', 'Z'].into_iter().map(of).collect::<Option<Vec<i32>>>().unwrap_or_default()
}

fn first_worker(run: &Run) -> Vec<i32> {
    let working = run.workers.iter().filter(|w| w.pid.is_some()).count() >= 2;
    run.workers.iter().filter(|_| working).find_map(|w| w.pid).into_iter().collect()
}

/// Every lesson.
pub static LESSONS: &[Lesson] = &[
    Lesson {
        id: "states",
        chapter: "Processes",
        title: "States and signals",
        question: "SIGKILL is sent to a stopped process, one in uninterruptible sleep, and a zombie. Which one stays?",
        background: "T is stopped by a signal, D waits inside the kernel, Z has ended and was not yet waited for by its parent.",
        answers: &["the stopped one (T)", "the one in uninterruptible sleep (D)", "the zombie (Z)"],
        acts: &[act(
            "processes in six states",
            "native/states",
            as_it_is,
            &[
                hidden("T ended", |seen| Some(f64::from(u8::from(seen.after.ended[0])))),
                hidden("D ended", |seen| Some(f64::from(u8::from(seen.after.ended[1])))),
                hidden("Z ended", |seen| Some(f64::from(u8::from(seen.after.ended[2])))),
                hidden("as expected", read::as_expected),
            ],
        )
        .held(60_000)
        .deed(to_three_states())],
        watch: "Six state letters at once: R S D T t Z.",
        verdict: verdicts::states,
        claim: Some(("states", |figures| figures.get("as expected"))),
    },
    Lesson {
        id: "fork-exec",
        chapter: "fork and exec",
        title: "What exec keeps",
        question: "A process of 200 MiB forks a worker, and the worker calls exec. What does it keep?",
        background: "fork copies a process; exec loads a new program into a process.",
        answers: &["its PID", "its memory", "neither"],
        acts: &[
            act(
                "fork",
                "native/fork",
                holding_200_mb,
                &[bytes("forked worker", read::worker_rss), hidden("processes, fork", read::processes_per_worker)],
            )
            .held(2_000),
            act(
                "fork + exec",
                "native/exec",
                holding_200_mb,
                &[
                    bytes("forked worker after exec", read::worker_rss),
                    hidden("processes, exec", read::processes_per_worker),
                    hidden("as expected", read::as_expected),
                ],
            )
            .held(2_000),
        ],
        watch: "RES of the workers: like their parent's after fork, small after exec.",
        verdict: verdicts::fork_exec,
        claim: Some(("exec", |figures| figures.get("as expected"))),
    },
    Lesson {
        id: "parents",
        chapter: "Start methods",
        title: "Whose child?",
        question: "Three start methods make three workers each. With which one are the workers not your program's children?",
        background: "Some start methods need helper processes beside the workers.",
        answers: &["fork", "spawn", "forkserver"],
        acts: &[
            act(
                "fork",
                "python/process-fork",
                three_workers,
                &[hidden("fork: children of the root", read::children_of_root), count("fork: helpers", read::helpers)],
            )
            .twin("native/fork")
            .held(2_000),
            act(
                "spawn",
                "python/process-spawn",
                three_workers,
                &[hidden("spawn: children of the root", read::children_of_root), count("spawn: helpers", read::helpers)],
            )
            .twin("native/spawn")
            .held(2_000),
            act(
                "forkserver",
                "python/process-forkserver",
                three_workers,
                &[
                    hidden("forkserver: children of the root", read::children_of_root),
                    count("forkserver: helpers", read::helpers),
                ],
            )
            .twin("native/forkserver")
            .held(2_000),
        ],
        watch: "Three trees on the Processes screen (1): which process is between the workers and the root?",
        verdict: verdicts::parents,
        claim: Some(("parents", |figures| figures.get("fork: children of the root"))),
    },
    Lesson {
        id: "big-parent",
        chapter: "Start methods",
        title: "A big parent",
        question: "Your program holds 1,000 MiB. Which start method creates a worker fastest?",
        background: "fork copies the parent, spawn starts a fresh program, and a fork server was forked while the program was small.",
        answers: &["fork", "spawn", "fork server"],
        acts: &[
            act("fork, parent 0 MiB", "native/fork", parent_of_0_mb, &[ns("fork, 0 MiB", read::creation)]).held(700),
            act("fork, parent 250 MiB", "native/fork", parent_of_250_mb, &[ns("fork, 250 MiB", read::creation)]).held(700),
            act("fork, parent 1,000 MiB", "native/fork", parent_of_1000_mb, &[ns("fork, 1,000 MiB", read::creation)]).held(700),
            act("spawn, parent 0 MiB", "native/spawn", parent_of_0_mb, &[ns("spawn, 0 MiB", read::creation)]).held(700),
            act("spawn, parent 1,000 MiB", "native/spawn", parent_of_1000_mb, &[ns("spawn, 1,000 MiB", read::creation)])
                .held(700),
            act("fork server, parent 0 MiB", "native/forkserver", parent_of_0_mb, &[ns("fork server, 0 MiB", read::creation)])
                .held(700),
            act(
                "fork server, parent 1,000 MiB",
                "native/forkserver",
                parent_of_1000_mb,
                &[ns("fork server, 1,000 MiB", read::creation)],
            )
            .held(700),
        ],
        watch: "The time to create a worker while the parent grows. 4 s s Enter sweeps more sizes.",
        verdict: verdicts::big_parent,
        claim: Some(("fork-grows", |figures| Some(figures.get("fork, 1,000 MiB")? / figures.get("fork, 0 MiB")?.max(1.0)))),
    },
    Lesson {
        id: "copy-on-write",
        chapter: "Copy-on-write",
        title: "When is a page copied?",
        question: "You load 100 MiB of objects and fork. The child only reads them. How much memory is copied?",
        background: "After a fork both processes share all pages. The kernel copies a page when one of them writes to it.",
        answers: &["next to nothing", "a large part", "all of it, at the fork"],
        acts: &[act(
            "four children: idle, reading, collecting, collecting after gc.freeze()",
            "python/copy-on-write",
            loaded_100_mb,
            &[
                bytes("parent", |seen| read::value(seen, &["parent_private_bytes"])),
                bytes("idle child", |seen| read::value(seen, &["untouched_private_growth_bytes"])),
                bytes("reads all objects", |seen| read::value(seen, &["read_private_growth_bytes"])),
                bytes("gc.collect()", |seen| read::value(seen, &["collected_private_growth_bytes"])),
                bytes("gc.freeze() first", |seen| read::value(seen, &["frozen_then_collected_private_growth_bytes"])),
                bytes("writes all of it", |seen| read::value(seen, &["written_private_growth_bytes"])),
            ],
        )
        .twin("native/copy-on-write")
        .held(4_000)],
        watch: "D on the parent's row (1) shows the shared and the copied pages.",
        verdict: verdicts::copy_on_write,
        claim: Some(("copied-by-reading", |figures| Some(figures.get("reads all objects")? / figures.get("parent")?.max(1.0)))),
    },
    Lesson {
        id: "tiny-tasks",
        chapter: "Pools",
        title: "Ten tiny tasks",
        question: "Ten factorials of small numbers: what computes them fastest?",
        background: "A pool has to be created before it can work, and its tasks and results are sent back and forth.",
        answers: &["a plain loop", "a pool of 10 threads", "a pool of 10 processes"],
        acts: &[
            act(
                "a plain loop",
                "python/sequential",
                as_it_is,
                &[ns("loop", |seen| read::value(seen, &["map_consumed_ns"]).or_else(|| read::wall(seen)))],
            )
            .twin("native/sequential")
            .rounds(3),
            act(
                "10 threads",
                "python/thread-pool-executor",
                ten_tiny,
                &[ns("10 threads", |seen| read::value(seen, &["map_alone_ns"]).or_else(|| read::wall(seen)))],
            )
            .twin("native/thread-pool")
            .rounds(3),
            act("1 process", "python/process-pool-executor", one_worker, &[ns("1 process", read::wall)])
                .twin("native/process-pool")
                .rounds(3),
            act("10 processes", "python/process-pool-executor", ten_tiny, &[ns("10 processes", read::wall)])
                .twin("native/process-pool")
                .rounds(3),
        ],
        watch: "Processes are still being created when the loop has long finished.",
        verdict: verdicts::tiny_tasks,
        claim: Some(("pool-10-to-1", |figures| Some(figures.get("10 processes")? / figures.get("1 process")?.max(1.0)))),
    },
    Lesson {
        id: "killed-worker",
        chapter: "Pools",
        title: "A worker is killed",
        question: "SIGKILL ends one worker of a process pool. What happens to the other three?",
        background: "The pool has tasks left, and the one that the worker was computing is lost.",
        answers: &["they go on without it", "they go on, and a new worker replaces it", "they are ended too: the pool is broken"],
        acts: &[act(
            "a process pool at work",
            "python/process-pool-executor",
            long_work,
            &[
                hidden("others ended", |seen| Some(seen.after.others_ended as f64)),
                hidden("later", |seen| Some(seen.after.later_ns as f64)),
                hidden("replaced", |seen| Some(seen.after.replaced as f64)),
                hidden("workers", |seen| Some(f64::from(seen.run.spec.workers))),
            ],
        )
        .twin("native/process-pool")
        .held(60_000)
        .deed(Deed {
            words: "kill worker 0 with SIGKILL",
            signal: (9, "SIGKILL"),
            to: first_worker,
            watched_ns: 3_000_000_000,
        })],
        watch: "The rows of the workers after the kill, and what the run prints (o).",
        verdict: verdicts::killed_worker,
        claim: None,
    },
    Lesson {
        id: "gil",
        chapter: "The GIL",
        title: "Two threads, one GIL",
        question: "Two threads run Python code, two others hash with C code. Which pair uses two CPUs?",
        background: "A thread must hold the global interpreter lock to run bytecode. C code can release it.",
        answers: &["both pairs", "only the pair that hashes", "neither"],
        acts: &[
            act(
                "two threads that compute",
                "python/gil-threads",
                as_it_is,
                &[
                    ratio("bytecode", |seen| read::value(seen, &["speed_up_percent"]).map(|p| p / 100.0)),
                    hidden("wanting, bytecode", read::wanting),
                ],
            )
            .rounds(2),
            act(
                "two threads that hash",
                "python/hash-threads",
                as_it_is,
                &[
                    ratio("hashing in C", |seen| read::value(seen, &["speed_up_percent"]).map(|p| p / 100.0)),
                    hidden("wanting, hashing", read::wanting),
                ],
            )
            .rounds(3),
            act(
                "two threads that compute, without a GIL",
                "python/no-gil-threads",
                as_it_is,
                &[ratio("bytecode, no GIL", |seen| read::value(seen, &["speed_up_percent"]).map(|p| p / 100.0))],
            )
            .rounds(2)
            .optional(),
        ],
        watch: "The lanes (V): two that alternate, or two that overlap.",
        verdict: verdicts::gil,
        claim: Some(("gil", |figures| figures.get("bytecode"))),
    },
    Lesson {
        id: "sleep",
        chapter: "The GIL",
        title: "Sleeping threads",
        question: "One thread sleeps 5 s, ten sleeps of 0.5 s happen beside it. How long does it all take?",
        background: "Only one thread at a time can hold the GIL.",
        answers: &["about 5 s", "about 7.5 s", "about 10 s"],
        acts: &[act(
            "sleeping threads",
            "python/sleep-threads",
            sleeping_500_ms,
            &[
                ns("together", |seen| read::value(seen, &["slept_together_ns"])),
                ns("one after the other", |seen| read::value(seen, &["slept_one_after_the_other_ns"])),
            ],
        )
        .twin("native/sleep-threads")],
        watch: "All lanes blocked at the same time, and no CPU used.",
        verdict: verdicts::sleep,
        claim: Some(("sleep", |figures| Some(figures.get("one after the other")? / figures.get("together")?.max(1.0)))),
    },
    Lesson {
        id: "interpreters",
        chapter: "Sub-interpreters",
        title: "An interpreter each",
        question: "Sub-interpreters have a GIL each, in one process. What does one cost to create?",
        background: "It imports its own modules, but it is neither a new process nor a new program.",
        answers: &["about as much as a thread", "more than a thread, less than a fresh process", "more than a fresh process"],
        acts: &[
            act("threads", "python/thread", as_it_is, &[ns("thread", read::creation)]).held(500),
            act(
                "interpreters: 2,000 digits of pi",
                "python/interpreters",
                digits_of_pi,
                &[
                    ns("interpreter", |seen| read::value(seen, &["interpreter_create_ns"])),
                    ns("pi with 2 interpreters", read::wall).of_kind("pi"),
                ],
            )
            .rounds(2),
            act("processes by spawn", "python/process-spawn", three_workers, &[ns("process, spawn", read::creation)]).held(500),
            act(
                "one thread: 2,000 digits of pi",
                "python/sequential",
                digits_of_pi,
                &[ns("pi with 1 thread", read::wall).of_kind("pi")],
            )
            .rounds(2),
        ],
        watch: "One PID, and lanes that run at the same time.",
        verdict: verdicts::interpreters,
        claim: Some(("interpreter-creation", |figures| Some(figures.get("interpreter")? / figures.get("thread")?.max(1.0)))),
    },
    Lesson {
        id: "thousand-waits",
        chapter: "Event loop",
        title: "A thousand waits",
        question: "A thousand things wait 100 ms each. Which holds less memory meanwhile?",
        background: "Each wait can have a thread of its own, or be a task of one event loop.",
        answers: &["a thousand threads", "a thousand async tasks", "no difference: both only wait"],
        acts: &[act(
            "1,000 async tasks, then 1,000 threads",
            "python/async-vs-threads",
            as_it_is,
            &[
                bytes("memory of a task", |seen| {
                    read::value(seen, &["asyncio_1000_private_bytes_each", "async_1000_private_bytes_each"])
                }),
                bytes("memory of a thread", |seen| read::value(seen, &["threads_1000_private_bytes_each"])),
                ns("creating a task", |seen| read::value(seen, &["asyncio_1000_create_ns_each", "async_1000_create_ns_each"])),
                ns("creating a thread", |seen| read::value(seen, &["threads_1000_create_ns_each"])),
            ],
        )
        .twin("native/async-vs-threads")],
        watch: "One TID for all tasks, then a thousand for the threads.",
        verdict: verdicts::thousand_waits,
        claim: Some(("task-memory", |figures| {
            Some(figures.get("memory of a thread")? / figures.get("memory of a task")?.max(1.0))
        })),
    },
    Lesson {
        id: "blocked-loop",
        chapter: "Event loop",
        title: "One blocking call",
        question: "Four tasks of a loop call sleep(0.1), which blocks. A fifth ticks every 10 ms. How late is it?",
        background: "A loop runs one task at a time, and the next when that one awaits.",
        answers: &["on time: it is another task", "late by one call: about 0.1 s", "late by all four: about 0.4 s"],
        acts: &[
            act(
                "four blocking calls",
                "python/blocked-loop",
                as_it_is,
                &[
                    ns("tick, calls block", |seen| read::value(seen, &["largest_lateness_of_a_10_ms_tick_ns"])),
                    hidden("call", |seen| Some(f64::from(seen.run.spec.size()) * 1e6)),
                ],
            )
            .twin("native/blocked-loop")
            .rounds(2),
            act(
                "the same calls in threads",
                "python/blocked-loop-cured",
                as_it_is,
                &[ns("tick, calls in threads", |seen| read::value(seen, &["largest_lateness_of_a_10_ms_tick_ns"]))],
            )
            .twin("native/blocked-loop-cured")
            .rounds(2),
        ],
        watch: "The lanes of the tasks (V): one works, the others wait.",
        verdict: verdicts::blocked_loop,
        claim: Some(("blocked-loop", |figures| {
            Some(figures.get("tick, calls block")? / figures.get("tick, calls in threads")?.max(1.0))
        })),
    },
    Lesson {
        id: "sockets",
        chapter: "Sockets",
        title: "Waiting for sockets",
        question: "One thread fetches ten slow pages. Which way is fast and leaves the CPU to others?",
        background: "The server takes 20 ms for each page and can work on all at once.",
        answers: &["blocking sockets, one after another", "non-blocking sockets, asked again and again", "a selector"],
        acts: &[
            act("blocking sockets", "python/socket-blocking", as_it_is, SOCKETS_BLOCKING)
                .twin("native/socket-blocking")
                .rounds(2),
            act("non-blocking sockets", "python/socket-nonblocking", as_it_is, SOCKETS_NONBLOCKING)
                .twin("native/socket-nonblocking")
                .rounds(2),
            act("a selector", "python/selectors", as_it_is, SOCKETS_SELECTOR).twin("native/socket-epoll").rounds(2),
        ],
        watch: "The root's state and CPU: S with nothing to do, or R all the time.",
        verdict: verdicts::sockets,
        claim: Some(("selector", |figures| Some(figures.get("CPU, non-blocking")? / figures.get("CPU, selector")?.max(1.0)))),
    },
    Lesson {
        id: "other-loop",
        chapter: "Beyond the library",
        title: "Another loop",
        question: "The same echo server runs on uvloop in place of asyncio's own loop. What changes?",
        background: "uvloop is a loop in C over libuv. The code of the server stays as it is.",
        answers: &["nothing: the server is the same", "it needs less CPU per request", "it needs more CPU per request"],
        acts: &[
            act(
                "asyncio",
                "python/asyncio-echo",
                as_it_is,
                &[ns("CPU per request, asyncio", |seen| read::value(seen, &["server_cpu_ns_per_request"]))],
            )
            .rounds(2),
            act(
                "uvloop",
                "python/uvloop-echo",
                as_it_is,
                &[ns("CPU per request, uvloop", |seen| read::value(seen, &["server_cpu_ns_per_request"]))],
            )
            .rounds(2),
        ],
        watch: "The same shape: one thread in epoll for all connections.",
        verdict: verdicts::other_loop,
        claim: Some(("uvloop", |figures| {
            Some(figures.get("CPU per request, asyncio")? / figures.get("CPU per request, uvloop")?.max(1.0))
        })),
    },
    Lesson {
        id: "your-work",
        chapter: "Your work",
        title: "What fits your work?",
        question: "Choose your work: [ and ] select a parameter, Left and Right change it. What does it fastest?",
        background: "The same tasks run in a plain loop, in threads, in an event loop, and in processes.",
        answers: &["a plain loop", "threads or an event loop", "processes"],
        acts: &[
            Act { own_work: true, ..act("a plain loop", "python/sequential", as_it_is, &[ns("loop", read::wall)]) }
                .twin("native/sequential")
                .rounds(2),
            Act { own_work: true, ..act("threads", "python/thread-pool-executor", as_it_is, &[ns("threads", read::wall)]) }
                .twin("native/thread-pool")
                .rounds(2),
            Act { own_work: true, ..act("event loop", "python/asyncio", as_it_is, &[ns("event loop", read::wall)]) }
                .twin("native/event-loop")
                .rounds(2)
                .optional(),
            Act { own_work: true, ..act("processes", "python/process-pool-executor", as_it_is, &[ns("processes", read::wall)]) }
                .twin("native/process-pool")
                .rounds(2),
        ],
        watch: "Whether the lanes overlap, and what is spent before the first task.",
        verdict: verdicts::your_work,
        claim: None,
    },
];

const SOCKETS_BLOCKING: &[Reading] = &[
    ns("time, blocking", |seen| read::value(seen, &["fetch_wall_ns"])).of_kind("time"),
    ns("CPU, blocking", |seen| read::value(seen, &["client_cpu_ns"])).of_kind("CPU"),
];

const SOCKETS_NONBLOCKING: &[Reading] = &[
    ns("time, non-blocking", |seen| read::value(seen, &["fetch_wall_ns"])).of_kind("time"),
    ns("CPU, non-blocking", |seen| read::value(seen, &["client_cpu_ns"])).of_kind("CPU"),
];

const SOCKETS_SELECTOR: &[Reading] = &[
    ns("time, selector", |seen| read::value(seen, &["fetch_wall_ns"])).of_kind("time"),
    ns("CPU, selector", |seen| read::value(seen, &["client_cpu_ns"])).of_kind("CPU"),
];
