//! A family whose resident sizes count shared pages several times.

use super::{Check, Diagnosis, Level, Scene, Suspicion, name};
use crate::columns;
use crate::snapshot::Needs;

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "overcount",
    title: "Memory counted more than once",
    level: Level::Information,
    badge: "shares memory",
    description: "RES of a family adds up to far more than its memory, because pages are shared. This is normal.",
    needs: Needs::SMAPS,
    after_ns: 0,
    check: Check::Of(check),
};

const LEAST_PROCESSES: usize = 3;
const LEAST_BYTES: u64 = 64 << 20;

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let processes = scene.processes();
    let mut found: Vec<Suspicion> = Vec::new();
    for (index, top) in (0u32..).zip(processes).filter(|(_, top)| top.exact.is_some()) {
        // The top of a family: its own parent has another name.
        let inner = scene.tree.parent[index as usize].is_some_and(|p| processes[p as usize].leader.comm == top.leader.comm);
        if inner || scene.tree.children(index).len() + 1 < LEAST_PROCESSES {
            continue;
        }
        let family = scene.tree.subtree(index);
        let sum = |get: &dyn Fn(u32) -> Option<u64>| family.iter().try_fold(0u64, |sum, i| Some(sum.saturating_add(get(*i)?)));
        let exact = |i: u32| processes[i as usize].exact.as_deref();
        // Known of all or not at all: a sum that leaves some out would be another number.
        let (Some(rss), Some(pss), Some(uss)) =
            (sum(&|i| processes[i as usize].rss_bytes), sum(&|i| exact(i)?.pss_bytes), sum(&|i| exact(i)?.uss_bytes))
        else {
            continue;
        };
        if rss < LEAST_BYTES || rss < pss.saturating_mul(2) || pss == 0 {
            continue;
        }
        let evidence = format!(
            "{} ({}) and {} below it: RES adds up to {}, PSS to {}, {:.1}x less",
            name(top),
            top.key.pid,
            family.len() - 1,
            columns::in_bytes(rss),
            columns::in_bytes(pss),
            rss as f64 / pss as f64
        );
        let advice = format!("plan with PSS; ending all of them frees at least {} (USS)", columns::in_bytes(uss));
        found.push(Suspicion::of(top.key, evidence, advice));
    }
    found
}
