//! A `multiprocessing.Pool` that waits for a result that no worker computes, and one whose callback waits for it.

use super::{Check, Diagnosis, Level, Scene, Suspicion, counted, employer, is_fork_server, is_resource_tracker, name};
use crate::snapshot::{Needs, PoolRole, ProcKey, ProcessFacts, ProcessSample, PythonThreadFacts};

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "task_lost",
    title: "Result missing: a pool waits for a result that no worker computes",
    level: Level::Warning,
    badge: "result missing",
    description: "The parent of a multiprocessing.Pool waits for a result, but its workers have no task.",
    needs: Needs::empty(),
    after_ns: 3_000_000_000,
    check: Check::Python(|scene| pools_at_rest(scene).filter_map(|pool| lost(scene, &pool)).collect()),
};

pub(super) const CALLBACK: Diagnosis = Diagnosis {
    id: "callback_waits",
    title: "Deadlock: a callback of a pool waits for a result of the pool",
    level: Level::Warning,
    badge: "deadlock",
    description: "The thread that hands on the results of a multiprocessing.Pool waits for such a result, in a callback.",
    needs: Needs::empty(),
    after_ns: 3_000_000_000,
    check: Check::Python(|scene| pools_at_rest(scene).filter_map(|pool| in_callback(scene, &pool)).collect()),
};

/// A process whose pools have no task, and do not get one.
struct AtRest<'a> {
    parent: &'a ProcessSample,
    facts: &'a ProcessFacts,
    /// Its workers.
    idle: Vec<ProcKey>,
}

impl<'a> AtRest<'a> {
    /// A thread of the parent in this part that sleeps.
    fn asleep(&self, role: PoolRole) -> Option<&'a PythonThreadFacts> {
        self.facts.pool(role).find(|thread| thread.asleep)
    }
}

fn pools_at_rest<'a>(scene: &'a Scene<'_>) -> impl Iterator<Item = AtRest<'a>> {
    let waits =
        |facts: &ProcessFacts| [PoolRole::Waits, PoolRole::CallbackWaits].iter().any(|role| facts.pool(*role).next().is_some());
    // An iterable that delivers slowly, and a callback, may still bring the result.
    let busy = |facts: &ProcessFacts| facts.pool(PoolRole::Busy).next().is_some();
    scene.surveyed().filter(move |(_, facts)| waits(facts) && !busy(facts)).filter_map(|(parent, facts)| {
        // Every child that runs Python is a worker without a task; of one that was not read nothing is known.
        let works = |child: &ProcessSample| employer(scene.model, child).is_some_and(|of| of.key == parent.key);
        let children: Vec<_> = scene.surveyed().filter(|(child, _)| works(child)).collect();
        let idle: Vec<ProcKey> = children
            .iter()
            .filter(|(_, facts)| facts.pool(PoolRole::Idle).any(|thread| thread.asleep))
            .map(|(child, _)| child.key)
            .collect();
        let serves = |child: &ProcessSample| is_resource_tracker(child) || is_fork_server(scene.model, child);
        let others = children.iter().filter(|(child, _)| !serves(child)).count();
        (!idle.is_empty() && idle.len() >= others).then_some(AtRest { parent, facts, idle })
    })
}

fn lost(scene: &Scene<'_>, pool: &AtRest<'_>) -> Option<Suspicion> {
    // Then the result may be there already.
    if pool.facts.pool(PoolRole::CallbackWaits).next().is_some() {
        return None;
    }
    let waits = pool.asleep(PoolRole::Waits)?;
    let killed = scene.killed.last_of(pool.parent.key);
    let evidence = format!(
        "{} ({}) waits for a result of its pool, and its {} for a task: {}",
        name(pool.parent),
        pool.parent.key.pid,
        counted(pool.idle.len(), "worker waits", "workers wait"),
        killed.unwrap_or_else(|| "no task is left".to_owned())
    );
    let advice = "end the program: the result never comes. A worker ended with its task (concurrent.futures reports this), or a \
                  callback raised an exception: read the program's output";
    Some(Suspicion::of(pool.parent.key, evidence, advice.to_owned()).with(pool.idle.clone()).asleep(waits.for_ms, scene))
}

fn in_callback(scene: &Scene<'_>, pool: &AtRest<'_>) -> Option<Suspicion> {
    let waits = pool.asleep(PoolRole::CallbackWaits)?;
    let evidence = format!(
        "{} ({}): {} is called in a callback of a pool and waits for a result of a pool, and {} for a task; no result is handed on \
         until the callback returns",
        name(pool.parent),
        pool.parent.key.pid,
        waits.place.as_deref().unwrap_or("a function"),
        counted(pool.idle.len(), "worker waits", "workers wait"),
    );
    let advice = "do not wait for the pool in its callback: no apply(), map() or get() there; let the callback put the result into a \
                  queue, and submit the next task elsewhere";
    Some(Suspicion::of(pool.parent.key, evidence, advice.to_owned()).with(pool.idle.clone()).asleep(waits.for_ms, scene))
}
