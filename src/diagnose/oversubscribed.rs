//! More runnable threads or workers than CPUs.

use std::collections::BTreeMap;

use super::{Diagnosis, Level, Scene, Suspicion, name};
use crate::snapshot::Needs;
use crate::snapshot::ProcKey;

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "oversubscribed",
    title: "Pool wider than the machine",
    level: Level::Warning,
    badge: "waits for cpu",
    description: "More threads or worker processes are ready to run than there are CPUs.",
    needs: Needs::SCHEDSTAT,
    after_ns: 3_000_000_000,
    check,
};

/// Time waited for a CPU by all of a pool together, percent of one CPU: as much as half a worker that never runs.
const WAIT_PERCENT: f32 = 50.0;

/// Workers of one parent by name.
#[derive(Default)]
struct Pool {
    workers: Vec<ProcKey>,
    wait: f32,
    run: f32,
}

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let Some(cpus) = scene.cpus() else { return Vec::new() };
    let model = scene.model;
    let mut found = Vec::new();
    let mut pools: BTreeMap<(i32, &[u8]), Pool> = BTreeMap::new();
    for (process, rates) in model.now.processes.iter().zip(&model.process_rates).filter(|(p, _)| !p.kernel_thread) {
        let (Some(run), Some(wait)) = (rates.cpu_percent, rates.wait_percent) else { continue };
        let threads = process.nlwp.map_or(0, |n| n as usize);
        if threads > cpus && wait >= WAIT_PERCENT {
            found.push(suspicion(process.key, Vec::new(), &name(process), &format!("{threads} threads"), cpus, run, wait));
        } else if run + wait >= 5.0 {
            let pool = pools.entry((process.ppid, process.leader.comm.as_bytes())).or_default();
            pool.workers.push(process.key);
            pool.wait += wait;
            pool.run += run;
        }
    }
    for ((parent, comm), pool) in pools {
        if pool.workers.len() > cpus
            && pool.wait >= WAIT_PERCENT
            && let Some(parent) = model.process(parent)
        {
            let workers = format!("{} busy children", pool.workers.len());
            let comm = String::from_utf8_lossy(comm).into_owned();
            found.push(suspicion(parent.key, pool.workers, &comm, &workers, cpus, pool.run, pool.wait));
        }
    }
    found
}

fn suspicion(about: ProcKey, others: Vec<ProcKey>, name: &str, who: &str, cpus: usize, run: f32, wait: f32) -> Suspicion {
    let lost = wait * 100.0 / (run + wait).max(1.0);
    Suspicion {
        about,
        since_ns: None,
        others,
        evidence: format!(
            "{name} ({}): {who} on {cpus} CPUs, {lost:.0}% of their runnable time spent waiting for one",
            about.pid
        ),
        advice: format!("for CPU-bound work, {cpus} workers finish as fast; more only add switches and cache misses"),
    }
}
