//! Threads that wake each other at one lock, thousands of times a second.

use super::{Check, Diagnosis, Level, Scene, Suspicion, name};
use crate::snapshot::Needs;

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "lock_storm",
    title: "Lock storm",
    level: Level::Warning,
    badge: "lock storm",
    description: "Threads of the process switch thousands of times a second at one lock or condition.",
    needs: Needs::empty(),
    after_ns: 0,
    check: Check::Of(check),
};

/// Switches a second of one process.
const LEAST_PER_S: f64 = 10_000.0;
/// Share of the looks at its threads in which they were at the same futex, percent.
const LEAST_PERCENT: u32 = 30;

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let span_s = scene.facts.map_or(0.0, |facts| facts.span_ns as f64 / 1e9);
    let mut found = Vec::new();
    for (process, facts) in scene.surveyed().filter(|_| span_s >= 0.5) {
        let per_s = facts.turns() as f64 / span_s;
        let Some((address, share)) = facts.busiest_futex.filter(|(_, share)| *share >= LEAST_PERCENT && per_s >= LEAST_PER_S)
        else {
            continue;
        };
        let pid = process.key.pid;
        let evidence = format!(
            "{} ({pid}): {} threads switch {} times a second; in {share}% of the looks they were at the lock {address:#x}",
            name(process),
            facts.ran.len(),
            thousands(per_s)
        );
        let advice =
            "hand over work in larger pieces, or give each thread its own queue; notify() one waiter, not all".to_owned();
        found.push(Suspicion::of(process.key, evidence, advice));
    }
    found
}

/// `106,000`.
fn thousands(value: f64) -> String {
    let value = (value / 1000.0).round() as u64;
    format!("{value},000")
}
