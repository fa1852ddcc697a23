//! More runnable threads or workers than CPUs that they may use.

use std::collections::BTreeMap;

use super::busy::{Busy, allowed};
use super::{Check, Diagnosis, Level, Scene, Suspicion, name};
use crate::snapshot::Needs;
use crate::snapshot::ProcKey;

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "oversubscribed",
    title: "Pool wider than its CPUs",
    level: Level::Warning,
    badge: "waits for cpu",
    description: "More threads or worker processes are ready to run than there are CPUs that they may use.",
    needs: Needs::SCHEDSTAT,
    after_ns: 3_000_000_000,
    check: Check::Of(check),
};

/// Time waited for a CPU by all of a pool together, percent of one CPU: as much as half a worker that never runs.
const WAIT_PERCENT: f32 = 50.0;
/// Of the CPUs that it may use, a pool itself uses so much, percent of one CPU for each: more than half, which is also more than a Python
/// process with a GIL can use of two. One that uses less waits for other programs rather than for itself.
const OWN_PERCENT: f64 = 55.0;

/// Workers of one parent by name.
#[derive(Default)]
struct Pool {
    workers: Vec<ProcKey>,
    wait: f32,
    run: f32,
    cpus: f64,
    why: Option<String>,
}

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let mut found = Vec::new();
    let mut pools: BTreeMap<(i32, &[u8]), Pool> = BTreeMap::new();
    for Busy { process, run, wait, facts, threads: of } in &scene.busy {
        let Some((cpus, why)) = allowed(scene, *facts) else { continue };
        let threads = process.nlwp.map_or(0, |n| n as usize);
        let own = is_its_own(*run, *wait, cpus);
        // Of a survey it is known which threads want a CPU; of a sample only how many there are.
        let eager = facts.map_or(threads, |_| of.iter().filter(|t| t.run + t.wait >= 25.0).count());
        if eager as f64 > cpus.ceil() && *wait >= WAIT_PERCENT && own {
            let own = Pool { workers: Vec::new(), wait: *wait, run: *run, cpus, why };
            found.push(suspicion(process.key, own, &name(process), &format!("{eager} threads")));
        } else if run + wait >= 5.0 {
            let pool = pools.entry((process.ppid, process.leader.comm.as_bytes())).or_default();
            pool.workers.push(process.key);
            pool.wait += wait;
            pool.run += run;
            if pool.workers.len() == 1 || cpus < pool.cpus {
                (pool.cpus, pool.why) = (cpus, why);
            }
        }
    }
    for ((parent, comm), pool) in pools {
        if pool.workers.len() as f64 > pool.cpus.ceil()
            && pool.wait >= WAIT_PERCENT
            && is_its_own(pool.run, pool.wait, pool.cpus)
            && let Some(parent) = scene.model.process(parent)
        {
            let workers = match pool.workers.len() {
                1 => "1 busy child".to_owned(),
                n => format!("{n} busy children"),
            };
            found.push(suspicion(parent.key, pool, &String::from_utf8_lossy(comm), &workers));
        }
    }
    found
}

/// True if a pool waits for CPUs because it is wider than the CPUs that it may use, in percent of one CPU. On a busy machine a narrow pool waits
/// too: for CPUs that other programs use.
fn is_its_own(run: f32, wait: f32, cpus: f64) -> bool {
    f64::from(run) >= cpus * OWN_PERCENT && f64::from(run + wait) > cpus * 100.0
}

fn suspicion(about: ProcKey, pool: Pool, name: &str, who: &str) -> Suspicion {
    let Pool { workers, wait, run, cpus, why } = pool;
    let lost = wait * 100.0 / (run + wait).max(1.0);
    let cpus = if cpus.fract() == 0.0 { format!("{cpus}") } else { format!("{cpus:.2}") };
    let limit = why.map(|why| format!("; {why}")).unwrap_or_default();
    let evidence =
        format!("{name} ({}): {who} on {cpus} CPUs, {lost:.0}% of their runnable time spent waiting for one{limit}", about.pid);
    let advice = format!("for CPU-bound work, {cpus} workers finish as fast; more only add switches and cache misses");
    Suspicion::of(about, evidence, advice).with(workers)
}
