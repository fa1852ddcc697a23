//! A thread that uses a whole CPU and never blocks.

use super::{Diagnosis, Level, Scene, Suspicion, name};
use crate::derive::Rates;
use crate::snapshot::Needs;
use crate::snapshot::TaskSample;

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "never_blocks",
    title: "Thread that never blocks",
    level: Level::Warning,
    badge: "spins?",
    description: "The thread uses a whole CPU and never waits: it computes or spins.",
    needs: Needs::THREADS.union(Needs::SCHEDSTAT).union(Needs::SWITCHES),
    after_ns: 10_000_000_000,
    check,
};

/// Share of a CPU it used or wanted, percent.
const BUSY_PERCENT: f32 = 95.0;
/// Waiting less often than once in two seconds.
const VOLUNTARY_PER_S: f32 = 0.5;

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let model = scene.model;
    let mut found = Vec::new();
    for (process, rates) in model.now.processes.iter().zip(&model.process_rates) {
        let range = process.tasks.start as usize..process.tasks.end as usize;
        let tasks = model.now.tasks.get(range.clone()).unwrap_or_default();
        let busy = if tasks.is_empty() && process.nlwp == Some(1) {
            vec![(&process.leader, rates)]
        } else {
            tasks.iter().zip(model.task_rates.get(range).unwrap_or_default()).collect()
        };
        let busy: Vec<(&TaskSample, &Rates)> = busy.into_iter().filter(|(_, r)| never_blocks(r)).collect();
        let Some((task, rates)) = busy.first() else { continue };
        let pid = process.key.pid;
        let who = if busy.len() == 1 { format!("thread {}", task.tid) } else { format!("{} threads", busy.len()) };
        let kernel = rates.system_percent.zip(rates.cpu_percent).is_some_and(|(system, cpu)| system > cpu / 2.0);
        found.push(Suspicion {
            about: process.key,
            since_ns: None,
            others: Vec::new(),
            evidence: format!(
                "{} ({pid}): {who} at {:.0}% of a CPU, mostly in {}, blocking less than once in 2 s",
                name(process),
                rates.cpu_percent.unwrap_or_default(),
                if kernel { "the kernel" } else { "its own code" }
            ),
            advice: if kernel {
                format!("system calls in a loop: strace -c -p {pid} lists them; poll before nonblocking calls")
            } else {
                format!("work, or a loop without a wait: press G for its functions if it is Python, else perf top -p {pid}")
            },
        });
    }
    found
}

fn never_blocks(rates: &Rates) -> bool {
    let wanted = rates.cpu_percent.map(|cpu| cpu + rates.wait_percent.unwrap_or(0.0));
    wanted.is_some_and(|w| w >= BUSY_PERCENT) && rates.voluntary_per_s.is_some_and(|v| v < VOLUNTARY_PER_S)
}
