//! Processes in a frozen control group.

use std::collections::BTreeMap;

use super::{Check, Diagnosis, Level, Scene, Suspicion, counted, name};
use crate::snapshot::Needs;
use crate::snapshot::ProcessSample;

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "frozen",
    title: "Frozen control group",
    level: Level::Warning,
    badge: "frozen",
    description: "The processes of the group do not run until it is thawed (docker pause, cgroup.freeze).",
    needs: Needs::empty(),
    after_ns: 0,
    check: Check::Of(check),
};

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let mut groups: BTreeMap<&str, Vec<&ProcessSample>> = BTreeMap::new();
    for (process, facts) in scene.surveyed() {
        if let Some(group) = facts.frozen.as_deref() {
            groups.entry(group).or_default().push(process);
        }
    }
    let of = |(group, frozen): (&str, Vec<&ProcessSample>)| {
        let (first, others) = frozen.split_first()?;
        let evidence = format!(
            "{} ({}){} in the frozen group {group}",
            name(first),
            first.key.pid,
            if others.is_empty() { " is".to_owned() } else { format!(" and {} are", counted(others.len(), "other", "others")) }
        );
        let advice = format!("thaw it: docker unpause, or write 0 to cgroup.freeze (v1: THAWED to freezer.state) of {group}");
        Some(Suspicion::of(first.key, evidence, advice).with(others.iter().map(|p| p.key).collect()))
    };
    groups.into_iter().filter_map(of).collect()
}
