//! An event loop whose callback sleeps.

use super::{Check, Diagnosis, Level, Scene, Suspicion, name};
use crate::snapshot::Needs;

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "loop_blocked",
    title: "Event loop blocked",
    level: Level::Warning,
    badge: "loop blocked",
    description: "A function called by an event loop sleeps, so none of the loop's tasks can run.",
    needs: Needs::empty(),
    after_ns: 0,
    check: Check::Python(check),
};

/// Milliseconds in one sleep.
const LEAST_MS: u64 = 1_000;

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let mut found = Vec::new();
    for (process, facts) in scene.surveyed() {
        for thread in facts.python.iter().flat_map(|python| &python.threads).filter(|thread| thread.asleep) {
            let (Some(callback), Some(ms @ LEAST_MS..)) = (&thread.callback, thread.for_ms) else { continue };
            let pid = process.key.pid;
            let inner = thread.place.as_deref().filter(|place| place != callback);
            let inner = inner.map_or_else(String::new, |place| format!(", now in {place}"));
            let evidence = format!("{} ({pid}): {callback} has blocked the loop for {ms} ms{inner}", name(process));
            let advice =
                "use an async call, or asyncio.to_thread() or loop.run_in_executor(); with gevent, call monkey.patch_all() first";
            let one = Suspicion { chain: Some(thread.tid), ..Suspicion::of(process.key, evidence, advice.to_owned()) };
            found.push(one.asleep(Some(ms), scene));
        }
    }
    found
}
