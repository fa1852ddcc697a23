use super::*;

type Named = &'static [(&'static str, f64)];

/// For each answer of a lesson figures that prove it, as far as one can think of a machine that gives them.
const PROOFS: &[(&str, &[Named])] = &[
    (
        "states",
        &[
            &[("T ended", 0.0), ("D ended", 1.0), ("Z ended", 1.0)],
            &[("T ended", 1.0), ("D ended", 0.0), ("Z ended", 1.0)],
            &[("T ended", 1.0), ("D ended", 1.0), ("Z ended", 0.0)],
        ],
    ),
    (
        "fork-exec",
        &[
            &[("forked worker", 2e8), ("forked worker after exec", 2e6), ("processes, fork", 1.0), ("processes, exec", 1.0)],
            &[("forked worker", 2e8), ("forked worker after exec", 2e8), ("processes, fork", 1.0), ("processes, exec", 1.0)],
            &[("forked worker", 2e8), ("forked worker after exec", 2e6), ("processes, fork", 1.0), ("processes, exec", 2.0)],
        ],
    ),
    (
        "parents",
        &[
            &[
                ("fork: children of the root", 0.0),
                ("spawn: children of the root", 1.0),
                ("forkserver: children of the root", 1.0),
                ("fork: helpers", 1.0),
                ("spawn: helpers", 1.0),
                ("forkserver: helpers", 0.0),
            ],
            &[
                ("fork: children of the root", 1.0),
                ("spawn: children of the root", 0.0),
                ("forkserver: children of the root", 1.0),
                ("fork: helpers", 0.0),
                ("spawn: helpers", 2.0),
                ("forkserver: helpers", 0.0),
            ],
            &[
                ("fork: children of the root", 1.0),
                ("spawn: children of the root", 1.0),
                ("forkserver: children of the root", 0.0),
                ("fork: helpers", 0.0),
                ("spawn: helpers", 1.0),
                ("forkserver: helpers", 2.0),
            ],
        ],
    ),
    (
        "big-parent",
        &[
            &[
                ("fork, 0 MiB", 2e5),
                ("fork, 250 MiB", 3e5),
                ("fork, 1,000 MiB", 5e5),
                ("spawn, 0 MiB", 9e5),
                ("spawn, 1,000 MiB", 9e5),
                ("fork server, 0 MiB", 6e5),
                ("fork server, 1,000 MiB", 6e5),
            ],
            &[
                ("fork, 0 MiB", 2e5),
                ("fork, 250 MiB", 5e6),
                ("fork, 1,000 MiB", 2e7),
                ("spawn, 0 MiB", 9e5),
                ("spawn, 1,000 MiB", 9e5),
                ("fork server, 0 MiB", 1e6),
                ("fork server, 1,000 MiB", 1e6),
            ],
            &[
                ("fork, 0 MiB", 2e5),
                ("fork, 250 MiB", 5e6),
                ("fork, 1,000 MiB", 2e7),
                ("spawn, 0 MiB", 9e5),
                ("spawn, 1,000 MiB", 9e5),
                ("fork server, 0 MiB", 3e5),
                ("fork server, 1,000 MiB", 3e5),
            ],
        ],
    ),
    (
        "copy-on-write",
        &[
            &[("parent", 1e8), ("idle child", 1e4), ("reads all objects", 0.0), ("writes all of it", 1e8)],
            &[
                ("parent", 1e8),
                ("idle child", 1e4),
                ("reads all objects", 5e7),
                ("gc.collect()", 3e6),
                ("gc.freeze() first", 2e5),
            ],
            &[("parent", 1e8), ("idle child", 1e8), ("reads all objects", 0.0)],
        ],
    ),
    (
        "tiny-tasks",
        &[
            &[("loop", 1e4), ("10 threads", 5e5), ("1 process", 3e7), ("10 processes", 7e7)],
            &[("loop", 1e6), ("10 threads", 5e5), ("1 process", 3e7), ("10 processes", 7e7)],
            &[("loop", 1e9), ("10 threads", 1e9), ("1 process", 3e7), ("10 processes", 7e7)],
        ],
    ),
    (
        "killed-worker",
        &[
            &[("others ended", 0.0), ("later", 0.0), ("replaced", 0.0), ("workers", 4.0)],
            &[("others ended", 0.0), ("later", 0.0), ("replaced", 1.0), ("workers", 4.0)],
            &[("others ended", 3.0), ("later", 1.2e7), ("replaced", 0.0), ("workers", 4.0)],
        ],
    ),
    (
        "gil",
        &[
            &[("bytecode", 1.9), ("hashing in C", 1.9)],
            &[("bytecode", 0.95), ("hashing in C", 1.9), ("bytecode, no GIL", 1.8)],
            &[("bytecode", 0.95), ("hashing in C", 1.0), ("wanting, hashing", 0.0)],
        ],
    ),
    (
        "sleep",
        &[
            &[("together", 5e9), ("one after the other", 1e10)],
            &[("together", 7.5e9), ("one after the other", 1e10)],
            &[("together", 1e10), ("one after the other", 1e10)],
        ],
    ),
    (
        "interpreters",
        &[
            &[("thread", 1e5), ("interpreter", 2e5), ("process, spawn", 7e7)],
            &[
                ("thread", 1e5),
                ("interpreter", 9e6),
                ("process, spawn", 7e7),
                ("pi with 2 interpreters", 1e8),
                ("pi with 1 thread", 1.7e8),
            ],
            &[("thread", 1e5), ("interpreter", 9e7), ("process, spawn", 7e7)],
        ],
    ),
    (
        "thousand-waits",
        &[
            &[("memory of a task", 1e5), ("memory of a thread", 1e4)],
            &[("memory of a task", 1e3), ("memory of a thread", 1e4), ("creating a task", 3e3), ("creating a thread", 5e4)],
            &[("memory of a task", 1e4), ("memory of a thread", 1e4)],
        ],
    ),
    (
        "blocked-loop",
        &[
            &[("tick, calls block", 1e6), ("call", 1e8)],
            &[("tick, calls block", 1e8), ("call", 1e8)],
            &[("tick, calls block", 4e8), ("call", 1e8), ("tick, calls in threads", 2e6)],
        ],
    ),
    (
        "sockets",
        &[
            &[
                ("time, blocking", 2e7),
                ("time, non-blocking", 2e7),
                ("time, selector", 2e7),
                ("CPU, blocking", 1e5),
                ("CPU, non-blocking", 2e7),
                ("CPU, selector", 1e6),
            ],
            &[
                ("time, blocking", 2e8),
                ("time, non-blocking", 2e7),
                ("time, selector", 9e7),
                ("CPU, blocking", 1e6),
                ("CPU, non-blocking", 2e7),
                ("CPU, selector", 1e6),
            ],
            &[
                ("time, blocking", 2e8),
                ("time, non-blocking", 2e7),
                ("time, selector", 2e7),
                ("CPU, blocking", 1e6),
                ("CPU, non-blocking", 2e7),
                ("CPU, selector", 1e6),
            ],
        ],
    ),
    (
        "other-loop",
        &[
            &[("CPU per request, asyncio", 1e4), ("CPU per request, uvloop", 1e4)],
            &[("CPU per request, asyncio", 3e4), ("CPU per request, uvloop", 1e4)],
            &[("CPU per request, asyncio", 1e4), ("CPU per request, uvloop", 3e4)],
        ],
    ),
    (
        "your-work",
        &[
            &[("loop", 1e4), ("threads", 5e5), ("event loop", 5e6), ("processes", 5e7)],
            &[("loop", 1e9), ("threads", 1e8), ("event loop", 1.1e8), ("processes", 2e8)],
            &[("loop", 1e9), ("threads", 1e9), ("event loop", 1e9), ("processes", 5e8)],
        ],
    ),
];

fn figures(named: Named) -> Figures {
    Figures { values: named.to_vec(), cpus: 2, twins: false }
}

fn lesson(id: &str) -> &'static Lesson {
    LESSONS.iter().find(|lesson| lesson.id == id).unwrap_or_else(|| panic!("no lesson {id}"))
}

#[test]
fn each_answer_of_each_lesson_is_proven_by_some_figures() {
    assert_eq!(PROOFS.len(), LESSONS.len());
    for ((id, proofs), lesson) in PROOFS.iter().zip(LESSONS) {
        assert_eq!((*id, proofs.len()), (lesson.id, lesson.answers.len()));
        for (answer, named) in proofs.iter().enumerate() {
            for (name, _) in *named {
                assert!(lesson.readings().any(|(_, reading)| reading.name == *name), "{id} does not read {name}");
            }
            let verdict = (lesson.verdict)(&figures(named)).unwrap_or_else(|| panic!("{id}: figures are missing"));
            assert_eq!(verdict.answer, Some(answer), "{id}: {}", verdict.sentence);
            assert!(verdict.sentence.ends_with('.') && verdict.sentence.len() > 20, "{id}: {}", verdict.sentence);
        }
        assert_eq!((lesson.verdict)(&Figures::default()), None, "{id}: nothing was measured");
    }
}

#[test]
fn a_lesson_names_what_there_is_and_does_not_give_the_answer_away() {
    for lesson in LESSONS {
        let id = lesson.id;
        assert!((2..=3).contains(&lesson.answers.len()), "{id}");
        assert!(LESSONS.iter().filter(|other| other.id == id || other.title == lesson.title).count() == 1, "{id}");
        for act in lesson.acts {
            for twins in [false, true] {
                let system = act.system(twins).unwrap_or_else(|| panic!("{id}: {} is no system", act.label));
                let spec = act.spec(system, system.defaults());
                assert!(system.tasks.contains(&spec.task), "{id}: {} cannot do {}", system.id, spec.task.name());
                assert!(spec.parent_mb == 0 || system.params.parent_mb, "{id}: {} has no parent memory", system.id);
                assert!(system.params.workers.is_some() || spec.workers == system.params.fixed_workers, "{id}: {}", system.id);
            }
            assert!(act.twin.is_none_or(|twin| twin.starts_with("native/")), "{id}");
            assert!(act.deed.is_none() || act.hold_ms > 10_000, "{id}: the user needs time");
        }
        if let Some((claim, _)) = lesson.claim {
            assert!(lesson.talk().is_some(), "{id}: the talk has no claim {claim}");
        }
        let names: Vec<&str> = lesson.readings().map(|(_, reading)| reading.name).collect();
        assert!(names.iter().all(|name| names.iter().filter(|other| other == &name).count() == 1), "{id}: {names:?}");
    }
}

#[test]
fn a_busy_machine_and_what_is_too_close_prove_nothing() {
    let gil = lesson("gil");
    let busy = figures(&[("bytecode", 0.9), ("hashing in C", 0.92), ("wanting, hashing", 0.9)]);
    let verdict = (gil.verdict)(&busy).unwrap();
    assert_eq!(verdict.answer, None);
    assert!(verdict.sentence.contains("other processes used the CPUs"), "{}", verdict.sentence);
    let close = figures(&[("loop", 1.0e9), ("threads", 1.05e9), ("event loop", 2e9), ("processes", 3e9)]);
    assert_eq!((lesson("your-work").verdict)(&close).unwrap().answer, None);
    let partly = figures(&[("others ended", 1.0), ("later", 1e6), ("replaced", 0.0), ("workers", 4.0)]);
    assert_eq!((lesson("killed-worker").verdict)(&partly).unwrap().answer, None);
}

#[test]
fn the_sentence_has_the_machines_figures_and_the_talk_stands_beside() {
    let big = lesson("big-parent");
    let measured = figures(PROOFS[3].1[2]);
    let verdict = (big.verdict)(&measured).unwrap();
    assert_eq!(
        verdict.sentence,
        "With 1,000 MiB, fork takes 20.0 ms, spawn 900 us, the fork server 300 us: from about 5 MiB on fork loses to the fork server, by 67x in the end."
    );
    let beside = big.beside(&measured).unwrap();
    assert_eq!((beside.here.as_deref(), beside.holds), (Some("100x"), Some(true)));
    assert!(beside.statement.contains("grows"), "{}", beside.statement);
    // Native twins measure another language than the talk speaks of.
    assert_eq!(big.beside(&Figures { twins: true, ..measured }).unwrap().holds, None);
    let pools = lesson("tiny-tasks");
    let beside = pools.beside(&figures(PROOFS[5].1[0])).unwrap();
    assert_eq!((beside.talk.as_deref(), beside.here.as_deref()), (Some("1.69x"), Some("2.3x")));
    let sentence = (pools.verdict)(&figures(PROOFS[5].1[0])).unwrap().sentence;
    assert_eq!(
        sentence,
        "The loop took 10.0 us; 10 threads 50x, 10 processes 7000x as long: on 2 CPUs a task must last about 14.0 ms before processes pay."
    );
}
