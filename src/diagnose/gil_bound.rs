//! A Python process whose threads want the GIL more than it can be held.

use super::{Check, Diagnosis, Level, Scene, Suspicion, name};
use crate::snapshot::Needs;

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "gil_bound",
    title: "Bound by the GIL",
    level: Level::Warning,
    badge: "gil-bound",
    description: "Several Python threads want to run, but only the one that holds the GIL can.",
    needs: Needs::empty(),
    after_ns: 2_000_000_000,
    check: Check::Of(check),
};

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let mut found = Vec::new();
    for one in &scene.busy {
        let Some(python) = one.facts.and_then(|facts| facts.python.as_ref()).filter(|p| p.gil && p.readings >= 5) else {
            continue;
        };
        let readings = python.readings as f32;
        let waited: u32 = python.threads.iter().map(|thread| thread.waited).sum();
        // A thread that never gets it would wait in all readings; reading takes time, in which the threads change places. It is hardly ever free.
        if (waited as f32) < readings * 0.3 || (python.held as f32) < readings * 0.8 || one.run + one.wait < 70.0 {
            continue;
        }
        // If the holder mostly waits for a CPU, it is CPUs that are missing.
        if one.wait > one.run * 2.0 {
            continue;
        }
        let wanting: Vec<_> = python.threads.iter().filter(|t| t.waited > 0 || t.held > 0).collect();
        let busy = wanting.iter().filter(|t| (t.waited + t.held) as f32 >= readings * 0.5).count();
        if busy < 2 {
            continue;
        }
        let pid = one.process.key.pid;
        let evidence = format!(
            "{} ({pid}): {busy} threads want to run Python; the GIL was held in {:.0}% of {} readings, and {:.1} threads waited for it; {:.0}% of a CPU",
            name(one.process),
            python.held as f32 * 100.0 / readings,
            python.readings,
            waited as f32 / readings,
            one.run
        );
        let line = |t: &&crate::snapshot::PythonThreadFacts| {
            let place = t.place.as_deref().unwrap_or("not in a Python function");
            format!("thread {}: held it in {} readings, waited in {}: {place}", t.tid, t.held, t.waited)
        };
        let lines = wanting.iter().take(8).map(line).collect();
        let advice =
            "threads do not make Python code faster: use processes, a free-threaded build, or code that releases the GIL";
        found.push(Suspicion { lines, ..Suspicion::of(one.process.key, evidence, advice.to_owned()) });
    }
    found
}
