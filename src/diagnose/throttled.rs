//! A control group that its CPU quota stops.

use std::collections::BTreeMap;

use super::busy::percent;
use super::{Check, Diagnosis, Level, Scene, Suspicion, counted};
use crate::snapshot::Needs;
use crate::snapshot::ProcKey;

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "throttled",
    title: "Throttled by a CPU quota",
    level: Level::Warning,
    badge: "throttled",
    description: "The control group used up its quota and did not run until the next period (cpu.stat).",
    needs: Needs::empty(),
    after_ns: 0,
    check: Check::Of(check),
};

/// Share of the periods in which the group was stopped, percent.
const LEAST_PERCENT: f32 = 10.0;
/// Periods that the judgement needs.
const LEAST_PERIODS: u64 = 5;

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let Some(facts) = scene.facts else { return Vec::new() };
    let mut members: BTreeMap<&str, Vec<(f32, ProcKey)>> = BTreeMap::new();
    for one in &scene.busy {
        if let Some(group) = one.facts.and_then(|facts| facts.cpu_group.as_deref()) {
            members.entry(group).or_default().push((one.run + one.wait, one.process.key));
        }
    }
    let mut found = Vec::new();
    for (name, group) in &facts.groups {
        let (Some(quota), true) = (group.quota_cpus, group.periods >= LEAST_PERIODS) else { continue };
        let share = percent(group.throttled, group.periods);
        let Some(of) = members.get(&**name).filter(|_| share >= LEAST_PERCENT) else { continue };
        let Some((_, about)) = of.iter().max_by(|a, b| a.0.total_cmp(&b.0)) else { continue };
        let wanted: f32 = of.iter().map(|(wanted, _)| wanted / 100.0).sum();
        let evidence = format!(
            "group {name}, {}: quota {quota:.2} CPUs; throttled in {share:.0}% of its periods, {:.1} s (sum of its CPUs) in the last {:.1} s; its processes need {wanted:.1} CPUs",
            counted(of.len(), "busy process", "busy processes"),
            group.throttled_ns as f64 / 1e9,
            facts.span_ns as f64 / 1e9,
        );
        let advice = "raise the quota (cpu.max, --cpus), or run no more busy workers than its CPUs".to_owned();
        let others = of.iter().map(|(_, key)| *key).filter(|key| key != about).collect();
        found.push(Suspicion::of(*about, evidence, advice).with(others));
    }
    found
}
