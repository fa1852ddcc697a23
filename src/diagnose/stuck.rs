//! Waits that no task can end, as the survey found them: one diagnosis for each [`Cause`].

use super::{Check, Diagnosis, Level, Scene, Suspicion, orphans};
use crate::causes::search::Cause;
use crate::snapshot::Needs;

pub(super) const fn diagnosis(cause: Cause) -> Diagnosis {
    Diagnosis {
        id: cause.id(),
        title: cause.title(),
        level: Level::Warning,
        badge: cause.badge(),
        description: cause.description(),
        needs: Needs::empty(),
        after_ns: 0,
        check: Check::Stuck(cause),
    }
}

pub(super) fn of(scene: &Scene<'_>, cause: Cause) -> Vec<Suspicion> {
    let Some(facts) = scene.facts else { return Vec::new() };
    let alive = |pid: i32, start: u64| scene.model.process(pid).is_some_and(|p| p.key.start_ticks == start);
    let found = facts.stuck.iter().filter(|stuck| stuck.cause == cause.id());
    found
        .filter(|stuck| alive(stuck.about.pid, stuck.about.start_ticks))
        // Workers that were left wait for each other, because no process is left that gives them work.
        .filter(|stuck| {
            let mut within = stuck.others.iter().filter(|key| !stuck.behind.contains(key)).chain([&stuck.about]);
            !within.all(|key| orphans::is_left(scene, *key))
        })
        .map(|stuck| {
            let found = Suspicion::of(stuck.about, stuck.evidence.clone(), stuck.advice.clone()).with(stuck.others.clone());
            let found = Suspicion { lines: stuck.lines.clone(), chain: Some(stuck.tid), proven: true, ..found };
            found.asleep(stuck.for_ms, scene)
        })
        .collect()
}
