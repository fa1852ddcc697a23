//! Finds problems of processes: each [`Diagnosis`] examines a model and the facts of a survey, and returns findings, with one line of
//! evidence and one of advice. Pure; a diagnosis reports nothing if the values it needs were not read.
//!
//! To add one: a file with a `pub(super) const DIAGNOSIS`, and its line in [`DIAGNOSES`]. The causes of [`crate::causes`] are diagnoses too.

mod blas;
mod busy;
mod fork_threads;
mod frozen;
mod gil_bound;
mod gil_held;
mod growth;
mod lock_storm;
mod loop_blocked;
mod never_blocks;
mod oom_kill;
mod orphans;
mod overcount;
mod oversubscribed;
mod shared_objects;
mod sigterm;
mod stopped;
mod stuck;
mod task_lost;
mod tasks_stuck;
mod throttled;
mod worker_killed;
mod workers_fail;
mod zombies;

use std::cell::Cell;
use std::collections::HashMap;

use crate::causes::search::Cause;
pub use crate::causes::{NOT_FOLLOWED, UNREADABLE};
use crate::derive::{Model, StartMethod, Tree};
use crate::snapshot::{
    EventKind, EventTier, Facts, LifecycleEvent, Needs, ProcKey, ProcessFacts, ProcessSample, State, contains,
};

/// How much a finding is to be minded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something is likely to be wrong.
    Warning,
    /// It helps to read the figures; healthy programs have it too.
    Information,
}

/// One kind of finding.
#[derive(Debug)]
pub struct Diagnosis {
    /// Unique name.
    pub id: &'static str,
    /// A few words.
    pub title: &'static str,
    /// How much it is to be minded.
    pub level: Level,
    /// Two or three words for the row's badge.
    pub badge: &'static str,
    /// What it means, one sentence.
    pub description: &'static str,
    /// What must have been read for it.
    pub needs: Needs,
    /// How long it must hold before it is reported: what passes by itself is no trouble. Nanoseconds.
    pub after_ns: u64,
    /// Finds them.
    check: Check,
}

/// How suspicions are found.
#[derive(Debug, Clone, Copy)]
enum Check {
    /// From samples and facts.
    Of(fn(&Scene<'_>) -> Vec<Suspicion>),
    /// From what Python threads wait for.
    Python(fn(&Scene<'_>) -> Vec<Suspicion>),
    /// From the waits that no task can end, of one cause.
    Stuck(Cause),
}

impl PartialEq for Diagnosis {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Diagnosis {}

impl Diagnosis {
    /// Whether it is of waits that no task can end.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        matches!(self.check, Check::Stuck(_))
    }

    /// Whether it is of waits that do not end: what is looked for in the background.
    #[must_use]
    pub fn is_of_waits(&self) -> bool {
        !matches!(self.check, Check::Of(_))
    }

    /// Whether it is of what may go wrong later; the others are of what goes wrong now.
    #[must_use]
    pub fn is_risk(&self) -> bool {
        self.id == fork_threads::DIAGNOSIS.id
    }

    /// The title up to its colon, for a column.
    #[must_use]
    pub fn short(&self) -> &'static str {
        self.title.split(':').next().unwrap_or(self.title)
    }
}

/// Every diagnosis, worst first: all warnings before all information.
pub const DIAGNOSES: &[Diagnosis] = &[
    stuck::diagnosis(Cause::LockCycle),
    stuck::diagnosis(Cause::SelfLock),
    stuck::diagnosis(Cause::ProcessCycle),
    stuck::diagnosis(Cause::FileLockCycle),
    stuck::diagnosis(Cause::StuckAfterFork),
    stuck::diagnosis(Cause::HolderGone),
    stuck::diagnosis(Cause::SemaphoreAbandoned),
    stuck::diagnosis(Cause::PipeWithoutPeer),
    stuck::diagnosis(Cause::SelfRequest),
    stuck::diagnosis(Cause::NoThreadCanGoOn),
    stuck::diagnosis(Cause::OnlyThreadWaits),
    tasks_stuck::CYCLE,
    tasks_stuck::UNWAKEABLE,
    task_lost::CALLBACK,
    task_lost::DIAGNOSIS,
    workers_fail::DIAGNOSIS,
    gil_held::DIAGNOSIS,
    oom_kill::DIAGNOSIS,
    worker_killed::DIAGNOSIS,
    growth::DESCRIPTORS,
    growth::MANY_THREADS,
    loop_blocked::DIAGNOSIS,
    throttled::DIAGNOSIS,
    sigterm::PENDING,
    zombies::DIAGNOSIS,
    fork_threads::DIAGNOSIS,
    orphans::DIAGNOSIS,
    blas::DIAGNOSIS,
    oversubscribed::DIAGNOSIS,
    lock_storm::DIAGNOSIS,
    gil_bound::DIAGNOSIS,
    frozen::DIAGNOSIS,
    stopped::DIAGNOSIS,
    growth::THREADS,
    growth::MEMORY,
    never_blocks::DIAGNOSIS,
    sigterm::IGNORED,
    shared_objects::DIAGNOSIS,
    overcount::DIAGNOSIS,
];

/// Stands for the machine in a finding that is about no process.
pub const MACHINE: ProcKey = ProcKey { pid: 0, start_ticks: 0 };

/// What all diagnoses need together.
#[must_use]
pub fn needs() -> Needs {
    DIAGNOSES.iter().fold(Needs::empty(), |all, d| all | d.needs)
}

/// What a diagnosis sees in one model.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Suspicion {
    about: ProcKey,
    /// Since when, if the check knows better than the time of its first report; `CLOCK_BOOTTIME` nanoseconds.
    since_ns: Option<u64>,
    /// True if the problem began at `since_ns`, false if it may be older.
    since_known: bool,
    /// Others concerned, ascending pid.
    others: Vec<ProcKey>,
    evidence: String,
    advice: String,
    /// More evidence, line by line.
    lines: Vec<String>,
    /// The task whose chain of waits shows it.
    chain: Option<i32>,
    /// Whether the two looks of the survey have shown that it stays.
    proven: bool,
}

impl Suspicion {
    /// About one process.
    fn of(about: ProcKey, evidence: String, advice: String) -> Self {
        let (since_ns, others, lines) = (None, Vec::new(), Vec::new());
        Self { about, since_ns, since_known: false, others, evidence, advice, lines, chain: None, proven: false }
    }

    /// With others concerned.
    fn with(self, others: Vec<ProcKey>) -> Self {
        Self { others, ..self }
    }

    /// So long, in milliseconds, as a thread has slept; not changed if that is not known.
    fn asleep(self, for_ms: Option<u64>, scene: &Scene<'_>) -> Self {
        let since_ns = for_ms.zip(scene.facts).map(|(ms, facts)| facts.taken_ns.saturating_sub(ms.saturating_mul(1_000_000)));
        Self { since_ns: since_ns.or(self.since_ns), since_known: since_ns.is_some() || self.since_known, ..self }
    }
}

/// A suspicion that has held long enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub diagnosis: &'static Diagnosis,
    /// The process to look at: the guilty one if there is one; [`MACHINE`] if it is about none.
    pub about: ProcKey,
    /// Others concerned.
    pub others: Vec<ProcKey>,
    /// What was measured, one line. May hold names of processes as they are: sanitise before drawing.
    pub evidence: String,
    /// What to do, one line.
    pub advice: String,
    /// More evidence, line by line.
    pub lines: Vec<String>,
    /// The task whose chain of waits shows it; `None` if the main thread's is as good.
    pub chain: Option<i32>,
    /// Since when it has been so, `CLOCK_BOOTTIME` nanoseconds.
    pub since_ns: u64,
    /// True if the problem began at `since_ns`, false if it was first seen then and may be older.
    pub since_known: bool,
}

/// Names a finding: the id of its diagnosis, and the process that it is about.
pub type FindingName = (&'static str, ProcKey);

impl Finding {
    /// Its name: the same in each sample in which it is found.
    #[must_use]
    pub fn name(&self) -> FindingName {
        (self.diagnosis.id, self.about)
    }

    /// Whether the row of this process carries the badge.
    #[must_use]
    pub fn concerns(&self, key: ProcKey) -> bool {
        self.about == key || self.others.binary_search(&key).is_ok()
    }
}

/// What the checks look at.
struct Scene<'a> {
    model: &'a Model,
    tree: Tree,
    /// Children forked by a process of several threads that have not replaced their program since.
    threaded_forks: &'a HashMap<ProcKey, ThreadedFork>,
    /// Since when each zombie has been seen as one, nanoseconds.
    zombies: &'a HashMap<ProcKey, u64>,
    /// What the newest survey found.
    facts: Option<&'a Facts>,
    surveyed: Vec<Surveyed<'a>>,
    /// Every process that ran, with its threads.
    busy: Vec<busy::Busy<'a>>,
    growth: &'a growth::Growth,
    gil: &'a gil_bound::Surveys,
    killed: &'a worker_killed::Killed,
    failed: &'a workers_fail::Failed,
    /// The last answer of `orphans::is_left_server`: index of the process, and whether it is one.
    server: Cell<Option<(usize, bool)>>,
    /// That of `orphans::is_heir`.
    heir: Cell<Option<(usize, bool)>>,
}

/// A fork seen in the event stream.
#[derive(Debug, Clone, Copy)]
struct ThreadedFork {
    parent_pid: i32,
    threads: u32,
}

/// A process with what the newest survey found of it.
type Surveyed<'a> = (&'a ProcessSample, &'a ProcessFacts);

/// Those of which the survey found something, ascending pid.
fn surveyed<'a>(model: &'a Model, facts: Option<&'a Facts>) -> Vec<Surveyed<'a>> {
    let mut found = facts.into_iter().flat_map(|facts| &facts.processes).peekable();
    let processes = model.now.processes.iter().filter_map(|process| {
        while found.next_if(|(pid, _)| **pid < process.key.pid).is_some() {}
        found.next_if(|(pid, _)| **pid == process.key.pid).map(|(_, facts)| (process, facts))
    });
    processes.collect()
}

impl Scene<'_> {
    fn processes(&self) -> &[ProcessSample] {
        &self.model.now.processes
    }

    /// What the survey found of a process.
    fn facts_of(&self, key: ProcKey) -> Option<&ProcessFacts> {
        self.facts?.processes.get(&key.pid).filter(|_| self.model.process(key.pid).is_some_and(|p| p.key == key))
    }

    /// The processes of which the survey found something, with what it found.
    fn surveyed(&self) -> impl Iterator<Item = Surveyed<'_>> {
        self.surveyed.iter().copied()
    }

    /// Number of CPUs of the machine, if known.
    fn cpus(&self) -> Option<usize> {
        Some(self.model.now.host.cpus.len()).filter(|n| *n > 0)
    }
}

/// Follows suspicions across models until they are findings.
#[derive(Debug, Default)]
pub struct Watch {
    since: HashMap<(&'static str, ProcKey), u64>,
    threaded_forks: HashMap<ProcKey, ThreadedFork>,
    /// Forks that were reported after the processes of their sample had been read: the children come with the next sample.
    early: Vec<(i32, ThreadedFork)>,
    zombies: HashMap<ProcKey, u64>,
    growth: growth::Growth,
    gil: gil_bound::Surveys,
    killed: worker_killed::Killed,
    failed: workers_fail::Failed,
}

impl Watch {
    /// What is found as of this model, worst first, then by pid.
    pub fn step(&mut self, model: &Model) -> Vec<Finding> {
        self.step_with(model, None)
    }

    /// The same with the facts of the newest survey.
    pub fn step_with(&mut self, model: &Model, facts: Option<&Facts>) -> Vec<Finding> {
        self.remember_forks(model);
        let surveyed = surveyed(model, facts);
        let busy = busy::busy(model, facts, &surveyed);
        self.growth.add(model, facts, &surveyed);
        self.gil.add(facts, &busy);
        self.killed.add(model, &surveyed);
        self.failed.add(model, &surveyed);
        let now_ns = model.now.taken_ns;
        let zombies = model.now.processes.iter().filter(|p| zombies::is_zombie(p)).map(|p| p.key);
        self.zombies = zombies.map(|key| (key, *self.zombies.get(&key).unwrap_or(&now_ns))).collect();
        let tree = Tree::build(&model.now.processes);
        let scene = Scene {
            model,
            tree,
            threaded_forks: &self.threaded_forks,
            zombies: &self.zombies,
            facts,
            surveyed,
            busy,
            growth: &self.growth,
            gil: &self.gil,
            killed: &self.killed,
            failed: &self.failed,
            server: Cell::new(None),
            heir: Cell::new(None),
        };
        let mut since = HashMap::new();
        let mut findings = Vec::new();
        for diagnosis in DIAGNOSES {
            let mut seen = match diagnosis.check {
                Check::Of(check) | Check::Python(check) => check(&scene),
                Check::Stuck(cause) => stuck::of(&scene, cause),
            };
            seen.sort_by_key(|s| s.about);
            for Suspicion { about, since_ns, since_known, mut others, evidence, advice, lines, chain, proven } in seen {
                let seen_ns = *self.since.get(&(diagnosis.id, about)).unwrap_or(&now_ns);
                let first = since_ns.map_or(seen_ns, |since_ns| since_ns.min(seen_ns));
                since.insert((diagnosis.id, about), first);
                if proven || now_ns.saturating_sub(first) >= diagnosis.after_ns {
                    others.sort_unstable();
                    // The clock of a sleep leaves out time that a hypervisor took: it may lag behind the first look.
                    let lag_ns = since_ns.map_or(u64::MAX, |since_ns| since_ns - first);
                    let since_known = since_known && lag_ns <= now_ns.saturating_sub(first) / 5;
                    findings.push(Finding {
                        diagnosis,
                        about,
                        others,
                        evidence,
                        advice,
                        lines,
                        chain,
                        since_ns: first,
                        since_known,
                    });
                }
            }
        }
        self.since = since;
        findings
    }

    /// Forks of processes with several threads, as the events of this sample tell them; forgotten when the child ends or execs.
    fn remember_forks(&mut self, model: &Model) {
        // Without the kernel's own stream it is unknown which came first, the fork or the threads.
        let events = if model.now.report.events == EventTier::Connector { model.now.events.as_slice() } else { &[] };
        for (child, fork) in std::mem::take(&mut self.early) {
            if let Some(child) = model.process(child) {
                self.threaded_forks.insert(child.key, fork);
            }
        }
        for (at, event) in events.iter().enumerate() {
            let EventKind::Fork { parent_tgid, child_tid, child_tgid, .. } = event.kind else { continue };
            if child_tid != child_tgid {
                continue;
            }
            // Threads that were started after the fork were not there yet; those that ended since are not known: at least so many.
            let later = |e: &LifecycleEvent| matches!(e.kind, EventKind::Fork { child_tid, child_tgid, .. } if child_tgid == parent_tgid && child_tid != child_tgid);
            let started = u32::try_from(events[at + 1..].iter().filter(|e| later(e)).count()).unwrap_or(u32::MAX);
            let now = model.process(parent_tgid).and_then(|p| p.nlwp);
            let threads = now.map(|n| n.saturating_sub(started)).filter(|n| *n > 1);
            let Some(threads) = threads else { continue };
            let fork = ThreadedFork { parent_pid: parent_tgid, threads };
            match model.process(child_tgid) {
                Some(child) => drop(self.threaded_forks.insert(child.key, fork)),
                None => self.early.push((child_tgid, fork)),
            }
        }
        self.threaded_forks.retain(|child, _| {
            let alive = model.process(child.pid).is_some_and(|p| p.key == *child && p.leader.state != State::ZOMBIE);
            alive && model.lifecycle.birth(*child).is_some_and(|b| b.method == StartMethod::Fork)
        });
    }
}

/// The process's name, any bytes as they are.
fn name(process: &ProcessSample) -> String {
    String::from_utf8_lossy(process.leader.comm.as_bytes()).into_owned()
}

/// Whether it is the resource tracker of `multiprocessing` or loky, by its command line.
fn is_resource_tracker(process: &ProcessSample) -> bool {
    contains(process.identity.cmdline.as_deref().unwrap_or_default(), b"resource_tracker")
}

/// Part of the command line of a fork server of `multiprocessing`, and of its workers: they are copies of it.
const FORK_SERVER: &[u8] = b"multiprocessing.forkserver import main";

/// Whether it is a fork server of `multiprocessing`, and no copy of one.
fn is_fork_server(model: &Model, process: &ProcessSample) -> bool {
    let command = process.identity.cmdline.as_ref();
    let is_copy = |parent: &ProcessSample| parent.identity.cmdline.as_ref() == command;
    command.is_some_and(|command| contains(command, FORK_SERVER)) && !model.process(process.ppid).is_some_and(is_copy)
}

/// The process that it works for: its parent, and where that is a fork server, the server's.
fn employer<'a>(model: &'a Model, process: &ProcessSample) -> Option<&'a ProcessSample> {
    let parent = model.process(process.ppid)?;
    if is_fork_server(model, parent) { model.process(parent.ppid) } else { Some(parent) }
}

/// `1 child`, `3 children`.
fn counted(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

#[cfg(test)]
mod tests;
