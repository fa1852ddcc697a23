//! A thread that uses a whole CPU. It computes or spins; nothing that the kernel counts can tell the two apart.

use super::busy::Thread;
use super::{Check, Diagnosis, Level, Scene, Suspicion, name};
use crate::snapshot::Needs;
use crate::snapshot::ProcessFacts;

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "never_blocks",
    title: "Thread that never rests",
    level: Level::Information,
    badge: "spins?",
    description: "The thread uses a whole CPU and hardly waits: it computes or spins.",
    needs: Needs::THREADS.union(Needs::SCHEDSTAT).union(Needs::SWITCHES),
    after_ns: 5_000_000_000,
    check: Check::Of(check),
};

/// Share of a CPU it used or waited for, percent. A hypervisor may take some of it, which no file of the thread shows.
const BUSY_PERCENT: f32 = 90.0;

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let mut found = Vec::new();
    for one in &scene.busy {
        let busy: Vec<&Thread> = one.threads.iter().filter(|t| t.restless && t.run + t.wait >= BUSY_PERCENT).collect();
        let Some(first) = busy.first() else { continue };
        let process = one.process;
        let pid = process.key.pid;
        let who = if busy.len() == 1 {
            format!("thread {} never rests", first.tid)
        } else {
            format!("{} threads never rest", busy.len())
        };
        let rates = scene.model.index_of(pid).and_then(|at| scene.model.process_rates.get(at));
        let kernel =
            rates.and_then(|rates| rates.system_percent.zip(rates.cpu_percent)).is_some_and(|(system, cpu)| system > cpu / 2.0);
        let place = one.facts.and_then(|facts| place(facts, first.tid));
        let place = place.map_or_else(String::new, |place| format!(", in {place}"));
        let evidence = format!(
            "{} ({pid}): {who} ({:.0}% on a CPU, {:.0}% waiting for one), mostly in {}{place}",
            name(process),
            first.run,
            first.wait,
            if kernel { "the kernel" } else { "its own code" }
        );
        let advice = match (kernel, place.is_empty()) {
            (true, _) => format!("if it does no work, it loops on calls that return at once: strace -c -p {pid} counts them"),
            (false, true) => format!("if it does no work, find the busy loop with perf top -p {pid}"),
            (false, false) => "if it does no work, find the busy loop in this function".to_owned(),
        };
        let lines =
            busy.iter().skip(1).take(8).filter_map(|t| Some(format!("thread {}: {}", t.tid, place_of(one.facts?, t.tid)?)));
        // The span of a survey lies behind it: what it measured was so from its begin.
        let since_ns = one.facts.and(scene.facts).map(|facts| facts.taken_ns.saturating_sub(facts.span_ns));
        found.push(Suspicion { lines: lines.collect(), since_ns, ..Suspicion::of(process.key, evidence, advice) });
    }
    found
}

fn place(facts: &ProcessFacts, tid: i32) -> Option<&str> {
    facts.python.as_ref()?.threads.iter().find(|thread| thread.tid == tid)?.place.as_deref()
}

fn place_of(facts: &ProcessFacts, tid: i32) -> Option<String> {
    place(facts, tid).map(str::to_owned)
}
