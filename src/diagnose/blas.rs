//! Workers that each start the threads of a BLAS or OpenMP library.

use std::collections::BTreeMap;

use super::busy::{Busy, allowed};
use super::{Check, Diagnosis, Level, Scene, Suspicion, name};
use crate::snapshot::Needs;

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "library_threads",
    title: "Too many threads of a math library",
    level: Level::Warning,
    badge: "blas threads",
    description: "Each worker runs the threads of a BLAS or OpenMP library; together they are more than the CPUs.",
    needs: Needs::empty(),
    after_ns: 2_000_000_000,
    check: Check::Of(check),
};

/// The variable that limits a library's threads.
fn variable(library: &str) -> &'static str {
    match library {
        "OpenBLAS" => "OPENBLAS_NUM_THREADS",
        "MKL" => "MKL_NUM_THREADS",
        "BLIS" => "BLIS_NUM_THREADS",
        "NumExpr" => "NUMEXPR_NUM_THREADS",
        _ => "OMP_NUM_THREADS",
    }
}

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let mut pools: BTreeMap<(i32, &[u8]), Vec<&Busy<'_>>> = BTreeMap::new();
    for one in &scene.busy {
        if one.facts.is_some_and(|facts| facts.blas.is_some()) && one.threads.len() > 1 {
            pools.entry((one.process.ppid, one.process.leader.comm.as_bytes())).or_default().push(one);
        }
    }
    let mut found = Vec::new();
    for pool in pools.values().filter(|pool| pool.len() > 1) {
        let [first, others @ ..] = &pool[..] else { continue };
        let Some((cpus, why)) = allowed(scene, first.facts) else { continue };
        let threads: usize = pool.iter().map(|one| one.threads.iter().filter(|t| t.run + t.wait >= 20.0).count()).sum();
        let wait: f32 = pool.iter().map(|one| one.wait).sum();
        let (Some(library), true) = (first.facts.and_then(|f| f.blas), threads as f64 > cpus && wait >= 50.0) else { continue };
        let variable = variable(library);
        let set = first
            .facts
            .and_then(|facts| facts.thread_variables.iter().find(|(name, _)| name == variable || name == "OMP_NUM_THREADS"));
        let set = set.map_or_else(|| format!("{variable} is not set"), |(name, value)| format!("{name} is {value}"));
        let limit = why.map(|why| format!("; {why}")).unwrap_or_default();
        let evidence = format!(
            "{} ({}): {} workers run {threads} busy threads of {library} on {cpus} CPUs; {set}{limit}",
            name(first.process),
            first.process.key.pid,
            pool.len()
        );
        let advice = format!("start the workers with {variable}=1, or use threadpoolctl; or use fewer workers");
        found.push(Suspicion::of(first.process.key, evidence, advice).with(others.iter().map(|one| one.process.key).collect()));
    }
    found
}
