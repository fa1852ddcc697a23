//! A thread that sleeps while it holds the GIL.

use super::{Check, Diagnosis, Level, Scene, Suspicion, name};
use crate::snapshot::Needs;

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "gil_held_asleep",
    title: "Asleep with the GIL",
    level: Level::Warning,
    badge: "holds gil",
    description: "A thread sleeps and keeps the GIL, so no other Python thread of the process can run.",
    needs: Needs::empty(),
    after_ns: 0,
    check: Check::Python(check),
};

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let mut found = Vec::new();
    for (process, facts) in scene.surveyed() {
        let Some(python) = facts.python.as_ref().filter(|p| p.gil && p.readings >= 5) else { continue };
        let holder = python.threads.iter().find(|t| t.held == python.readings && t.asleep);
        let waiting = python.threads.iter().filter(|t| t.waited > python.readings / 2).count();
        let (Some(holder), 1..) = (holder, waiting) else { continue };
        let place = holder.place.as_deref().map_or_else(String::new, |place| format!(" in {place}"));
        let pid = process.key.pid;
        let evidence = format!(
            "{} ({pid}): thread {} sleeps{place} and holds the GIL; {waiting} threads wait for it",
            name(process),
            holder.tid
        );
        let advice = "the C code that sleeps must release the GIL (Py_BEGIN_ALLOW_THREADS, or ctypes.CDLL, not PyDLL)";
        let one = Suspicion { chain: Some(holder.tid), ..Suspicion::of(process.key, evidence, advice.to_owned()) };
        found.push(one.asleep(holder.for_ms, scene));
    }
    found
}
