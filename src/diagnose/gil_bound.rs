//! A Python process whose threads want the GIL more than it can be held.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::busy::{self, Busy};
use super::{Check, Diagnosis, Level, Scene, Suspicion, name};
use crate::snapshot::{Facts, Needs, ProcKey, PythonFacts};

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "gil_bound",
    title: "Bound by the GIL",
    level: Level::Warning,
    badge: "gil-bound",
    description: "Several Python threads want to run, but only the one that holds the GIL can.",
    needs: Needs::empty(),
    after_ns: 0,
    check: Check::Of(check),
};

/// Surveys that are judged together: the few readings of one survey are too few for a share.
const SURVEYS: usize = 4;
/// The fewest readings that are judged: those of three surveys.
const LEAST_READINGS: u32 = 20;
/// Surveys that are older are forgotten, nanoseconds: a little more than two of the longest times between surveys.
const OLDEST_NS: u64 = 36_000_000_000;
/// Percent of a CPU that its threads use or wait for at least.
const LEAST_PERCENT: f32 = 70.0;
/// Percent of the process's CPU time that its busiest thread uses at most. Above it the other threads have little to compute: an event loop
/// beside a thread that computes waits for the GIL, but the process would hardly get faster without one.
const MOST_OF_ONE_THREAD: f32 = 80.0;

/// What one survey saw of one process.
#[derive(Debug)]
struct Survey {
    taken_ns: u64,
    python: Arc<PythonFacts>,
    /// Those that ran.
    threads: Vec<busy::Thread>,
}

/// The newest surveys of each process whose GIL was looked at.
#[derive(Debug, Default)]
pub(super) struct Surveys {
    of: HashMap<ProcKey, VecDeque<Survey>>,
    /// When the newest survey was taken, `CLOCK_BOOTTIME` nanoseconds.
    newest_ns: u64,
}

impl Surveys {
    pub(super) fn add(&mut self, facts: Option<&Facts>, busy: &[Busy<'_>]) {
        let Some(taken_ns) = facts.map(|facts| facts.taken_ns).filter(|taken_ns| *taken_ns != self.newest_ns) else { return };
        self.newest_ns = taken_ns;
        for one in busy {
            let Some(python) = one.facts.and_then(|facts| facts.python.as_ref()) else { continue };
            if python.gil && python.readings >= 5 {
                let (python, threads) = (python.clone(), one.threads.clone());
                let surveys = self.of.entry(one.process.key).or_default();
                surveys.truncate(SURVEYS - 1);
                surveys.push_front(Survey { taken_ns, python, threads });
            }
        }
        // Of many busy processes not all are read in each survey; one that is no more busy is no more judged.
        let is_busy = |key: &ProcKey| {
            let at = busy.binary_search_by_key(key, |one| one.process.key);
            at.is_ok_and(|at| busy[at].run + busy[at].wait >= LEAST_PERCENT)
        };
        self.of.retain(|key, surveys| {
            surveys.retain(|survey| taken_ns.saturating_sub(survey.taken_ns) <= OLDEST_NS);
            is_busy(key) && !surveys.is_empty()
        });
    }
}

/// The readings of a thread.
#[derive(Debug, Default)]
struct Thread<'a> {
    held: u32,
    waited: u32,
    place: Option<&'a str>,
}

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    scene.gil.of.iter().filter_map(|(key, surveys)| judge(scene, *key, surveys)).collect()
}

/// Percent of what all threads ran that the busiest of them did.
fn busiest(surveys: &VecDeque<Survey>) -> f32 {
    let mut ran: HashMap<i32, f32> = HashMap::new();
    for thread in surveys.iter().flat_map(|survey| &survey.threads) {
        *ran.entry(thread.tid).or_default() += thread.run;
    }
    let all: f32 = ran.values().sum();
    ran.into_values().fold(0.0, f32::max) * 100.0 / all.max(f32::MIN_POSITIVE)
}

fn judge(scene: &Scene<'_>, key: ProcKey, surveys: &VecDeque<Survey>) -> Option<Suspicion> {
    let process = scene.model.process(key.pid).filter(|process| process.key == key)?;
    let sum = |of: fn(&PythonFacts) -> u32| surveys.iter().map(|survey| of(&survey.python)).sum::<u32>();
    let (readings, held) = (sum(|python| python.readings), sum(|python| python.held));
    let waited = sum(|python| python.threads.iter().map(|thread| thread.waited).sum());
    let all = || surveys.iter().flat_map(|survey| &survey.threads);
    let mean = |of: fn(&busy::Thread) -> f32| all().map(of).sum::<f32>() / surveys.len() as f32;
    let (run, wait) = (mean(|thread| thread.run), mean(|thread| thread.wait));
    let share = |count: u32| count as f32 / readings as f32;
    // One that never gets it waits in all readings; of several, each waits in part of them. It is hardly ever free.
    if readings < LEAST_READINGS || share(waited) < 0.3 || share(held) < 0.8 || run + wait < LEAST_PERCENT {
        return None;
    }
    // If the holder mostly waits for a CPU, it is CPUs that are missing.
    if wait > run * 2.0 {
        return None;
    }
    if busiest(surveys) > MOST_OF_ONE_THREAD {
        return None;
    }
    // The newest survey comes first: its place is that of the thread.
    let mut threads: Vec<(i32, Thread<'_>)> = Vec::new();
    for thread in surveys.iter().flat_map(|survey| &survey.python.threads).filter(|t| t.waited > 0 || t.held > 0) {
        let at = threads.iter().position(|(tid, _)| *tid == thread.tid).unwrap_or_else(|| {
            threads.push((thread.tid, Thread::default()));
            threads.len() - 1
        });
        let (_, known) = &mut threads[at];
        (known.held, known.waited) = (known.held + thread.held, known.waited + thread.waited);
        known.place = known.place.or(thread.place.as_deref());
    }
    let wanting = threads.iter().filter(|(_, thread)| share(thread.waited + thread.held) >= 0.5).count();
    if wanting < 2 {
        return None;
    }
    let evidence = format!(
        "{} ({}): {wanting} threads want to run Python; the GIL was held in {:.0}% of {readings} readings, and {:.1} threads waited for it; {run:.0}% of a CPU",
        name(process),
        key.pid,
        share(held) * 100.0,
        share(waited),
    );
    let line = |(tid, thread): &(i32, Thread<'_>)| {
        let place = thread.place.unwrap_or("not in a Python function");
        format!("thread {tid}: held it in {} readings, waited in {}: {place}", thread.held, thread.waited)
    };
    let lines = threads.iter().take(8).map(line).collect();
    let advice =
        "threads do not make Python code faster: use processes, a free-threaded build, or code that releases the GIL".to_owned();
    Some(Suspicion { lines, ..Suspicion::of(key, evidence, advice) })
}
