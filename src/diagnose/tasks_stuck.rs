//! Tasks of asyncio that cannot go on.

use super::{Check, Diagnosis, Level, Scene, Suspicion, counted, name};
use crate::snapshot::Needs;

pub(super) const CYCLE: Diagnosis = Diagnosis {
    id: "task_cycle",
    title: "Deadlock: asyncio tasks wait for each other",
    level: Level::Warning,
    badge: "deadlock",
    description: "Each asyncio task of a cycle waits for an asyncio.Lock that the next one holds.",
    needs: Needs::empty(),
    after_ns: 1_000_000_000,
    check: Check::Of(|scene| check(scene, true)),
};

pub(super) const UNWAKEABLE: Diagnosis = Diagnosis {
    id: "tasks_never_wake",
    title: "Stuck: nothing can wake the asyncio tasks",
    level: Level::Warning,
    badge: "tasks stuck",
    description: "All asyncio tasks wait, and their event loop has no timer, file, socket or other thread that could wake one.",
    needs: Needs::empty(),
    after_ns: 1_000_000_000,
    check: Check::Of(|scene| check(scene, false)),
};

fn check(scene: &Scene<'_>, cycle: bool) -> Vec<Suspicion> {
    let mut found = Vec::new();
    for (process, facts) in scene.surveyed() {
        let Some(stuck) = facts.python.as_ref().and_then(|python| python.stuck_tasks.as_ref()) else { continue };
        if stuck.cycle != cycle {
            continue;
        }
        let tasks = counted(stuck.tasks, "task waits", "tasks wait");
        let evidence = format!("{} ({}): {tasks}; {}", name(process), process.key.pid, stuck.evidence);
        let advice = if cycle {
            "take the locks in the same order in all tasks, or wait for them with asyncio.timeout()"
        } else {
            "find who was to set the future or event, or to empty the queue: a task that ended with an exception does it no more"
        };
        found.push(Suspicion { lines: stuck.lines.clone(), ..Suspicion::of(process.key, evidence, advice.to_owned()) });
    }
    found
}
