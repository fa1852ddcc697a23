//! Tasks of asyncio and trio that cannot go on.

use super::{Check, Diagnosis, Level, Scene, Suspicion, counted, name};
use crate::snapshot::{AsyncCause, Needs};

pub(super) const CYCLE: Diagnosis = Diagnosis {
    id: "task_cycle",
    title: "Deadlock: asyncio tasks wait for each other",
    level: Level::Warning,
    badge: "deadlock",
    description: "Each asyncio task of a cycle awaits the next one, or waits for an asyncio.Lock that it holds.",
    needs: Needs::empty(),
    after_ns: 1_000_000_000,
    check: Check::Python(|scene| check(scene, AsyncCause::is_cycle)),
};

pub(super) const UNWAKEABLE: Diagnosis = Diagnosis {
    id: "tasks_never_wake",
    title: "Stuck: nothing can wake the async tasks",
    level: Level::Warning,
    badge: "tasks stuck",
    description: "All async tasks wait; no timer, file, socket, thread or other task is left that could wake one.",
    needs: Needs::empty(),
    after_ns: 1_000_000_000,
    check: Check::Python(|scene| check(scene, |cause| !cause.is_cycle())),
};

fn check(scene: &Scene<'_>, wanted: fn(AsyncCause) -> bool) -> Vec<Suspicion> {
    let mut found = Vec::new();
    for (process, facts) in scene.surveyed() {
        let Some(stuck) = facts.python.as_ref().and_then(|python| python.stuck_tasks.as_ref()) else { continue };
        if !wanted(stuck.cause) {
            continue;
        }
        let tasks = counted(stuck.tasks, "task waits", "tasks wait");
        let evidence = format!("{} ({}): {tasks}; {}", name(process), process.key.pid, stuck.evidence);
        let advice = match stuck.cause {
            AsyncCause::Awaits => {
                "let only one of them await the other: put what both need into a third task, which awaits neither"
            }
            AsyncCause::Locks => "take the locks in the same order in all tasks, or wait for them with asyncio.timeout()",
            AsyncCause::Queue => {
                "call task_done() for each item that get() returned, in a finally block: a worker that ended with an exception takes no \
                 more items"
            }
            AsyncCause::Unwakeable => {
                "find the code that should set the future or event, release the lock or semaphore, or empty the queue: its task may have failed; \
                 a job of an executor must not wait for another job of that executor"
            }
        };
        let (lines, proven) = (stuck.lines.clone(), stuck.twice);
        let one = Suspicion { lines, proven, ..Suspicion::of(process.key, evidence, advice.to_owned()) };
        // While other tasks of the loop run, its sleep says nothing of these.
        found.push(one.asleep(stuck.for_ms, scene));
    }
    found
}
