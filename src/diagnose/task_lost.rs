//! A `multiprocessing.Pool` that waits for a result that no worker computes.

use super::{Check, Diagnosis, Level, Scene, Suspicion, counted, is_resource_tracker, name};
use crate::snapshot::{Needs, PoolRole, ProcKey};

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "task_lost",
    title: "Task lost: a pool waits for a result that no worker computes",
    level: Level::Warning,
    badge: "task lost",
    description: "The parent of a multiprocessing.Pool waits for a result, and all of its workers wait for a task.",
    needs: Needs::empty(),
    after_ns: 3_000_000_000,
    check: Check::Of(check),
};

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let mut found = Vec::new();
    for (parent, facts) in scene.surveyed() {
        let Some(waits) = facts.pool(PoolRole::Waits).find(|thread| thread.asleep) else { continue };
        // Every child that runs Python is a worker without a task; of one that was not read nothing is known.
        let children: Vec<_> = scene.surveyed().filter(|(child, _)| child.ppid == parent.key.pid).collect();
        let idle: Vec<ProcKey> = children
            .iter()
            .filter(|(_, facts)| facts.pool(PoolRole::Idle).any(|thread| thread.asleep))
            .map(|(child, _)| child.key)
            .collect();
        let others = children.iter().filter(|(child, _)| !is_resource_tracker(child)).count();
        if idle.is_empty() || idle.len() < others {
            continue;
        }
        let pid = parent.key.pid;
        let evidence = format!(
            "{} ({pid}) waits for a result of its pool, and its {} for a task: the task was lost with a worker that was killed",
            name(parent),
            counted(idle.len(), "worker waits", "workers wait")
        );
        let advice = "end it: the result never comes. concurrent.futures notices a killed worker, multiprocessing.Pool does not";
        found.push(Suspicion::of(parent.key, evidence, advice.to_owned()).with(idle).asleep(waits.for_ms, scene));
    }
    found
}
