//! Processes that the kernel killed because memory was full.

use super::{Check, Diagnosis, Level, MACHINE, Scene, Suspicion, counted};
use crate::snapshot::Needs;
use crate::snapshot::ProcKey;

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "oom_kill",
    title: "Killed at a memory limit",
    level: Level::Warning,
    badge: "oom kill",
    description: "The kernel killed processes of the control group because its memory limit was reached (memory.events).",
    needs: Needs::empty(),
    after_ns: 0,
    check: Check::Of(check),
};

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let Some(facts) = scene.facts else { return Vec::new() };
    let mut found = Vec::new();
    for (name, group) in &facts.groups {
        let Some(kills @ 1..) = group.oom_kills else { continue };
        let members = facts.processes.iter().filter(|(_, of)| of.memory_group.as_deref() == Some(&**name));
        let members: Vec<ProcKey> = members.filter_map(|(pid, _)| Some(scene.model.process(*pid)?.key)).collect();
        let seen = match group.oom_kills_seen {
            0 => "before concmon looked".to_owned(),
            n => format!("{n} since concmon looks"),
        };
        let limit = group.memory_max.map_or_else(String::new, |max| format!(" of {} MiB", max >> 20));
        let count = counted(usize::try_from(kills).unwrap_or(usize::MAX), "process was", "processes were");
        let evidence = format!("group {name}: {count} killed at its memory limit{limit}; {seen}");
        let advice =
            "raise memory.max, use fewer workers, or find what grows; a pool may have lost the task of the killed worker";
        let about = members.first().copied().unwrap_or(MACHINE);
        found.push(Suspicion::of(about, evidence, advice.to_owned()).with(members.into_iter().skip(1).collect()));
    }
    found
}
