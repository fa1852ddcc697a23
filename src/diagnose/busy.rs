//! What threads used and wanted of the CPUs: from the survey where there is one, else from the rates of the sample.

use super::{Scene, Surveyed};
use crate::derive::{Model, Rates};
use crate::snapshot::{Facts, ProcessFacts, ProcessSample, TaskSample, ThreadRan};

/// The shortest span between two surveys that is judged.
const LEAST_SPAN_NS: u64 = 500_000_000;

/// One thread, in percent of a CPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Thread {
    pub tid: i32,
    pub run: f32,
    /// Runnable without a CPU.
    pub wait: f32,
    /// Whether it hardly ever waits, as far as that is known. Of a survey its time alone is known.
    pub restless: bool,
}

/// One process, in percent of a CPU.
#[derive(Debug, Clone)]
pub(super) struct Busy<'a> {
    pub process: &'a ProcessSample,
    pub run: f32,
    pub wait: f32,
    /// Those that ran, if threads are known.
    pub threads: Vec<Thread>,
    pub facts: Option<&'a ProcessFacts>,
}

/// Every process that ran and of which time on a CPU and time spent waiting for one are known.
pub(super) fn busy<'a>(model: &'a Model, facts: Option<&Facts>, surveyed: &[Surveyed<'a>]) -> Vec<Busy<'a>> {
    match facts.filter(|facts| facts.span_ns >= LEAST_SPAN_NS) {
        Some(all) => {
            let ran = surveyed.iter().filter(|(_, of)| !of.ran.is_empty());
            ran.map(|(process, of)| in_survey(process, of, all.span_ns)).collect()
        }
        None => sampled(model),
    }
}

/// Percent of a span.
pub(super) fn percent(ns: u64, span_ns: u64) -> f32 {
    (ns as f64 * 100.0 / span_ns.max(1) as f64) as f32
}

fn in_survey<'a>(process: &'a ProcessSample, facts: &'a ProcessFacts, span_ns: u64) -> Busy<'a> {
    let thread = |ran: &ThreadRan| {
        // On a busy machine the two readings of one thread may be further apart than those of the survey.
        let span_ns = span_ns.max(ran.run_ns.saturating_add(ran.delay_ns));
        let (run, wait) = (percent(ran.run_ns, span_ns), percent(ran.delay_ns, span_ns));
        Thread { tid: ran.tid, run, wait, restless: true }
    };
    let threads: Vec<Thread> = facts.ran.iter().map(thread).collect();
    let (run, wait) = threads.iter().fold((0.0, 0.0), |(run, wait), t| (run + t.run, wait + t.wait));
    Busy { process, run, wait, threads, facts: Some(facts) }
}

fn sampled<'a>(model: &'a Model) -> Vec<Busy<'a>> {
    let of = |(process, rates): (&'a ProcessSample, &'a Rates)| {
        let (run, wait) = (rates.cpu_percent?, rates.wait_percent?);
        if run + wait == 0.0 {
            return None;
        }
        // Less often than once in two seconds.
        let restless = |rates: &Rates| rates.voluntary_per_s.is_some_and(|voluntary| voluntary < 0.5);
        let range = process.tasks.start as usize..process.tasks.end as usize;
        let tasks = model.now.tasks.get(range.clone()).unwrap_or_default();
        let thread = |task: &TaskSample, rates: &Rates| {
            Some(Thread {
                tid: task.tid,
                run: rates.cpu_percent?,
                wait: rates.wait_percent.unwrap_or(0.0),
                restless: restless(rates),
            })
        };
        let threads = if tasks.is_empty() && process.nlwp == Some(1) {
            vec![Thread { tid: process.leader.tid, run, wait, restless: restless(rates) }]
        } else {
            let rates = model.task_rates.get(range).unwrap_or_default();
            tasks.iter().zip(rates).filter_map(|(task, rates)| thread(task, rates)).collect()
        };
        Some(Busy { process, run, wait, threads, facts: None })
    };
    let all = model.now.processes.iter().zip(model.process_rates.iter().map(|rates| &**rates)).filter(|(p, _)| !p.kernel_thread);
    all.filter_map(of).collect()
}

/// CPUs that a process may use, and what leaves it fewer than the machine has.
pub(super) fn allowed(scene: &Scene<'_>, facts: Option<&ProcessFacts>) -> Option<(f64, Option<String>)> {
    let all = scene.cpus()? as f64;
    let group = facts.and_then(|facts| scene.facts?.groups.get(facts.cpu_group.as_deref()?).zip(facts.cpu_group.as_deref()));
    let limits = [
        facts.and_then(|facts| facts.cpus).map(|n| (n as f64, format!("its affinity leaves it {n} of {all} CPUs"))),
        group.and_then(|(group, name)| {
            group.cpuset_cpus.map(|n| (n as f64, format!("the cpuset of {name} has {n} of {all} CPUs")))
        }),
        group.and_then(|(group, name)| {
            group.quota_cpus.map(|n| (n, format!("the quota of {name} is {n:.2} CPUs; the machine has {all}")))
        }),
    ];
    let least = limits.into_iter().flatten().filter(|(n, _)| *n < all).min_by(|a, b| a.0.total_cmp(&b.0));
    Some(least.map_or((all, None), |(n, why)| (n, Some(why))))
}
