//! The cards above the table, one per shown run: how far it is, what it cost, what happened to its workers.

use std::collections::HashMap;

use crate::columns;
use crate::derive::Model;
use crate::lab::catalog;
use crate::lab::launcher::LabState;
use crate::lab::lessons::After;
use crate::lab::measure;
use crate::lab::run::{FamilyMember, Outcome, Run, RunId, RunPhase, Worker};
use crate::snapshot::{ExitStatus, ProcKey};

use super::App;
use crate::columns::in_bytes;

/// How long the card and the rows of a run stay after its end, nanoseconds.
const AFTER_END_NS: u64 = 8_000_000_000;
/// Ends of processes this close together are one event in a story.
const TOGETHER_NS: u64 = 2_000_000_000;
/// A run that ends reports its end within this time after its workers, nanoseconds.
const SURE_NS: u64 = 1_500_000_000;
/// Workers whose own memory differs by less than this have the same, bytes.
const FEW_BYTES: u64 = 128 << 10;

/// The end of one process of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Death {
    worker: Option<u32>,
    pid: i32,
    at_ns: u64,
    status: ExitStatus,
}

/// What is remembered of a run while it is shown.
#[derive(Debug, Default)]
struct Story {
    ended_ns: Option<u64>,
    deaths: Vec<Death>,
    /// True once a sample contained the root process of the run.
    sampled: bool,
}

/// What happened in the runs that are shown.
#[derive(Debug, Default)]
pub(super) struct Stories {
    runs: HashMap<RunId, Story>,
    now_ns: u64,
}

impl Stories {
    /// Takes the state of the runs in.
    pub(super) fn take(&mut self, lab: &LabState, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        for run in lab.runs.iter().filter(|run| !run.id.is_compared()) {
            let story = self.runs.entry(run.id).or_default();
            if run.ended() && story.ended_ns.is_none() {
                story.ended_ns = Some(self.now_ns);
            }
        }
        self.runs.retain(|id, _| lab.runs.iter().any(|run| run.id == *id));
    }

    /// Counts the runs whose root process a sample has had. The sampler reads the threads of a run from then on.
    pub(super) fn sampled(&self) -> usize {
        self.runs.values().filter(|story| story.sampled).count()
    }

    /// Notes which runs are in the sample, and which of their processes have ended.
    pub(super) fn look(&mut self, model: &Model, lab: &LabState) {
        self.now_ns = model.now.taken_ns;
        for run in &lab.runs {
            let Some(story) =
                self.runs.get_mut(&run.id).filter(|story| story.ended_ns.is_none_or(|at| at + AFTER_END_NS > self.now_ns))
            else {
                continue;
            };
            story.sampled |= run.root_pid.is_some_and(|pid| model.process(pid).is_some());
            for ghost in &model.lifecycle.ghosts {
                let pid = ghost.last.key.pid;
                let worker = run.workers.iter().rev().find(|w| w.pid == Some(pid) && w.how.is_some_and(|how| how.is_process()));
                let member = worker.is_some() || run.root_pid == Some(pid) || run.family.iter().any(|f| f.pid == pid);
                if member && !story.deaths.iter().any(|death| death.pid == pid) {
                    let worker = worker.map(|w| w.index);
                    story.deaths.push(Death { worker, pid, at_ns: ghost.ended_ns, status: ghost.status });
                }
            }
            story.deaths.sort_by_key(|death| death.at_ns);
        }
    }

    /// Whether a run has rows and a card: while it lives, and for some seconds after.
    pub(super) fn shows(&self, run: &Run) -> bool {
        let ended_ns = || self.runs.get(&run.id).and_then(|story| story.ended_ns);
        !run.id.is_compared()
            && run.root_pid.is_some()
            && (!run.ended() || ended_ns().is_some_and(|at| at.saturating_add(AFTER_END_NS) > self.now_ns))
    }

    /// How a run went on after these of its processes were sent a signal; `before` is its family before that.
    pub(super) fn after(&self, run: &Run, sent: &[i32], before: &[FamilyMember]) -> After {
        let gone = |letter: char| {
            let was = sent.iter().find(|pid| before.iter().any(|m| m.pid == **pid && m.state == letter));
            let now = was.and_then(|pid| run.family.iter().find(|m| m.pid == *pid)).map(|m| m.state);
            was.is_some() && now.is_none_or(|state| state == 'Z' && letter != 'Z')
        };
        let deaths = self.runs.get(&run.id).map_or(&[][..], |story| &story.deaths);
        let others = || deaths.iter().filter(|death| death.worker.is_some() && !sent.contains(&death.pid));
        let first_ns = deaths.iter().find(|death| sent.contains(&death.pid)).map_or(0, |death| death.at_ns);
        After {
            ended: [gone('T'), gone('D'), gone('Z')],
            others_ended: others().count(),
            later_ns: others().map(|death| death.at_ns.saturating_sub(first_ns)).max().unwrap_or(0),
            replaced: run.workers.iter().filter(|w| w.pid.is_some()).count().saturating_sub(run.spec.workers as usize),
        }
    }

    /// The ends of a run's processes, in order. What the kernel does not say without privileges, the run's own reports say.
    fn deaths(&self, run: &Run) -> Vec<Death> {
        let Some(story) = self.runs.get(&run.id) else { return Vec::new() };
        let reported = |death: &Death| {
            let worker = run.workers.iter().find(|w| Some(w.index) == death.worker && w.pid == Some(death.pid));
            worker.and_then(|w| w.status).unwrap_or(ExitStatus::Unknown)
        };
        let known = |death: &Death| match death.status {
            ExitStatus::Unknown => Death { status: reported(death), ..*death },
            _ => *death,
        };
        story.deaths.iter().map(known).collect()
    }

    /// What happened to the run's processes, in order; empty if all went as it should.
    fn words(&self, run: &Run) -> String {
        let deaths = self.deaths(run);
        // A worker that ends while the others go on is reported even if it is unknown how it ended.
        let works = matches!(run.phase, RunPhase::Running);
        let bad = |death: &Death| match death.status {
            ExitStatus::Code(0) => false,
            ExitStatus::Unknown => works && death.worker.is_some() && self.now_ns.saturating_sub(death.at_ns) > SURE_NS,
            _ => true,
        };
        let Some(first) = deaths.iter().position(bad) else { return failure(run) };
        // concmon itself ends what is left of a run that was stopped or took too long.
        if matches!(run.phase, RunPhase::Ended(Outcome::Stopped | Outcome::TimedOut))
            && deaths.iter().filter(|d| bad(d)).count() > 1
        {
            return failure(run);
        }
        let began = deaths[first];
        let mut text = format!("{} {}", who(run, &began), how(began.status));
        let replaced = run.workers.iter().filter(|w| w.requested_ns.is_some()).count() > run.spec.workers as usize;
        // A helper that ends in order has no part in it.
        let in_order = |d: &Death| d.worker.is_none() && run.root_pid != Some(d.pid) && d.status == ExitStatus::Code(0);
        let followed: Vec<Death> = deaths[first + 1..].iter().copied().filter(|d| !in_order(d)).collect();
        // The user sent the workers no signal: the lab leaves none without the process that created them.
        let of_root = run.root_pid == Some(began.pid);
        for (status, group) in groups(&followed) {
            let time = columns::latency_text(group[0].at_ns.saturating_sub(began.at_ns));
            let name = match group {
                [one] => who(run, one),
                many => format!("{} workers", many.len()),
            };
            let with_it = of_root && matches!(status, ExitStatus::Signal { signal: 9, .. });
            let how = if with_it { "ended by the lab".to_owned() } else { how(status) };
            text += &format!(", {name} {how} {time} later");
        }
        if replaced {
            text += ", a new worker took its place";
        }
        // Why the run failed, unless that is said already.
        let end = failure(run);
        if !end.is_empty() && !of_root {
            text += ": ";
            text += &end;
        }
        text
    }
}

/// Runs of ends with the same status, close together.
fn groups(deaths: &[Death]) -> Vec<(ExitStatus, &[Death])> {
    deaths
        .chunk_by(|a, b| a.status == b.status && b.at_ns.saturating_sub(a.at_ns) < TOGETHER_NS)
        .map(|group| (group[0].status, group))
        .collect()
}

fn who(run: &Run, death: &Death) -> String {
    match death.worker {
        Some(index) => format!("worker {index}"),
        None if run.root_pid == Some(death.pid) => "the main process".to_owned(),
        None => format!("helper process {}", death.pid),
    }
}

fn how(status: ExitStatus) -> String {
    match status {
        ExitStatus::Code(code) => format!("exited with {code}"),
        ExitStatus::Signal { signal, .. } => {
            let name = nix::sys::signal::Signal::try_from(i32::from(signal)).map_or("a signal", |s| s.as_str());
            format!("killed by {name}")
        }
        ExitStatus::Unknown => "ended, its exit status cannot be read".to_owned(),
    }
}

/// CPU time of a run as it was charged, or when its work was done.
fn cpu_ns(run: &Run) -> Option<u64> {
    let charged = run.costs.user_ns.zip(run.costs.sys_ns).map(|(user, sys)| user + sys);
    charged.or(run.costs.so_far_cpu_ns)
}

/// How a run that did not do its work ended.
fn failure(run: &Run) -> String {
    match &run.phase {
        RunPhase::Ended(Outcome::Failed(why)) => format!("the run failed: {}", why.lines().next().unwrap_or("no reason given")),
        RunPhase::Ended(Outcome::TimedOut) => "the run took too long and was ended".to_owned(),
        RunPhase::Ended(Outcome::Stopped) => "the run was stopped".to_owned(),
        _ => String::new(),
    }
}

/// One bar of the costs.
#[derive(Debug, Clone, PartialEq)]
pub struct CostBar {
    /// What was created.
    pub name: String,
    /// Median time to create one worker, nanoseconds.
    pub ns: f64,
    /// Whether it is of the card's own run.
    pub own: bool,
    /// Its place where not all have room: the own run's is 0, then the newest.
    pub rank: usize,
}

/// A fact of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// In words.
    pub text: String,
    /// In fewer words, for where there is little room, and the rank that these have.
    pub brief: Option<(u8, String)>,
    /// How soon it is left out where there is no room: the highest first.
    pub rank: u8,
}

impl Fact {
    /// A fact in words.
    #[must_use]
    pub fn new(rank: u8, text: impl Into<String>) -> Self {
        Self { text: text.into(), brief: None, rank }
    }
}

/// What a card shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// The run.
    pub id: RunId,
    /// Facts, in the order in which they are read.
    pub facts: Vec<Fact>,
    /// How long it goes on, or how it ended.
    pub left: String,
    /// What happened to its workers; empty if nothing did.
    pub story: String,
    /// Which of two racing demos is faster; empty without a race.
    pub verdict: String,
    /// Time to create one worker here and in other systems, cheapest first.
    pub bars: Vec<CostBar>,
    /// Whether others will be measured once nothing works.
    pub more_bars: bool,
}

impl App {
    /// The cards of the shown runs, newest first. They speak of now, so there are none while the past is shown.
    #[must_use]
    pub fn cards(&self) -> Vec<Card> {
        if self.looks_back() {
            return Vec::new();
        }
        let shown = self.lab.state.runs.iter().rev().filter(|run| self.stories.shows(run));
        let mut cards: Vec<Card> = shown.map(|run| self.card(run)).collect();
        if let (Some(newest), Some(verdict)) = (cards.first_mut(), self.race_verdict()) {
            newest.verdict = verdict;
        }
        cards
    }

    fn card(&self, run: &Run) -> Card {
        Card {
            id: run.id,
            facts: self.facts(run),
            left: self.left(run),
            story: self.stories.words(run),
            verdict: String::new(),
            bars: self.cost_bars(run),
            more_bars: self.measures_more(),
        }
    }

    fn facts(&self, run: &Run) -> Vec<Fact> {
        let title = catalog::find(&run.spec.system).map_or(run.spec.system.as_str(), |system| system.title);
        let python = run.lang.as_deref().and_then(|lang| lang.strip_prefix("python ")).map(|version| {
            let minor: Vec<&str> = version.splitn(3, '.').take(2).collect();
            format!(", Python {}", minor.join("."))
        });
        let starts_python = python.is_some();
        let noun = if run.spec.workers == 1 { "worker" } else { "workers" };
        let brief = format!("{} {noun}", run.spec.workers);
        let mut facts = vec![
            Fact::new(0, format!("run {}", run.id.0)),
            Fact { brief: Some((5, title.to_owned())), ..Fact::new(6, format!("{title}{}", python.unwrap_or_default())) },
            Fact { brief: Some((1, brief)).filter(|_| is_ready(run)), ..Fact::new(7, ready(run)) },
        ];
        if let Some(creation) = run.costs.creation_ns.or_else(|| creation_so_far(run)) {
            facts.push(Fact::new(2, format!("{} each", latency(creation.median))));
        }
        let (own, family) = self.memory(run);
        facts.extend(own.map(|own| Fact::new(3, own)));
        let seconds = |ns: u64| format!("{:.2} s CPU", ns as f64 / 1e9);
        // What the interpreter's start took is known apart only when the work is done.
        let with = if starts_python { " with the start of Python" } else { "" };
        let cpu = cpu_ns(run).map(seconds).or_else(|| Some(seconds(self.members_cpu_ns(run)?) + with));
        facts.extend(cpu.map(|cpu| Fact::new(8, cpu)));
        facts.extend(family.map(|family| Fact::new(9, family)));
        facts.retain(|fact| !fact.text.is_empty());
        facts
    }

    /// Own memory of a worker (USS: the median, or the range where they differ much), and what the family holds together (sum of PSS).
    fn memory(&self, run: &Run) -> (Option<String>, Option<String>) {
        let Some(model) = self.model.as_deref() else { return (None, None) };
        let exact = |pid: i32| model.process(pid)?.exact.as_deref();
        let mut own: Vec<u64> = run
            .workers
            .iter()
            .filter(|w| w.how.is_some_and(|how| how.is_process()))
            .filter_map(|w| w.pid.and_then(exact).and_then(|e| e.uss_bytes).or(w.memory.uss_bytes))
            .collect();
        own.sort_unstable();
        let members = self.members(run);
        let pss: Option<u64> = members.iter().map(|key| exact(key.pid).and_then(|e| e.pss_bytes)).sum();
        let all = pss.filter(|_| !members.is_empty()).or(run.costs.peak_pss_bytes).map(in_bytes);
        let own = match (own.first(), own.last()) {
            (Some(least), Some(most)) if *most > least.saturating_mul(2).saturating_add(FEW_BYTES) => {
                Some(format!("own memory {} to {}", in_bytes(*least), in_bytes(*most)))
            }
            _ => own.get(own.len() / 2).map(|one| format!("own memory {} each", in_bytes(*one))),
        };
        (own, all.map(|all| format!("PSS of all {all}")))
    }

    /// CPU time that the living processes of a run have used in all.
    fn members_cpu_ns(&self, run: &Run) -> Option<u64> {
        let model = self.model.as_deref()?;
        let members = self.members(run);
        let of = |key: &ProcKey| model.process(key.pid).and_then(|p| Some(p.utime_ns?.saturating_add(p.stime_ns?)));
        (!members.is_empty()).then(|| members.iter().filter_map(of).sum())
    }

    /// The living processes of a run that have rows.
    fn members(&self, run: &Run) -> Vec<ProcKey> {
        let of_run = |line: &&super::rows::Line| line.run.is_some_and(|mark| mark.run == run.id);
        let processes = self.lines.iter().filter(of_run).filter_map(|line| match (line.key, line.at) {
            (super::rows::RowKey::Process(key), crate::columns::RowRef::Process(_)) => Some(key),
            _ => None,
        });
        processes.collect()
    }

    /// The living processes of all shown runs: their memory is read whether or not their rows are on screen.
    pub(super) fn run_keys(&self) -> Vec<ProcKey> {
        self.lab.state.runs.iter().filter(|run| self.stories.shows(run)).flat_map(|run| self.members(run)).collect()
    }

    fn left(&self, run: &Run) -> String {
        match &run.phase {
            RunPhase::Starting => "starting".to_owned(),
            RunPhase::Ending => "ending".to_owned(),
            RunPhase::Ended(Outcome::Done) => "ended".to_owned(),
            RunPhase::Ended(Outcome::Failed(_)) => "failed".to_owned(),
            RunPhase::Ended(Outcome::Stopped) => "stopped".to_owned(),
            RunPhase::Ended(Outcome::TimedOut) => "timed out".to_owned(),
            RunPhase::Running if self.is_kept(run.id) => "kept until X".to_owned(),
            RunPhase::Running => match run.pauses().last() {
                Some((_, None)) if run.hold_began_ns().is_some() => {
                    let from_ns = run.hold_began_ns().unwrap_or(0);
                    let end_ns = from_ns.saturating_add(u64::from(run.spec.hold_ms) * 1_000_000);
                    format!("ends in {} s", end_ns.saturating_sub(self.lab.now_ns).div_ceil(1_000_000_000))
                }
                _ => "working".to_owned(),
            },
        }
    }

    /// The time to create one worker: of this run, of the newest run of each other system, and of what was measured in the background.
    #[must_use]
    pub fn cost_bars(&self, run: &Run) -> Vec<CostBar> {
        let mut bars: Vec<CostBar> = Vec::new();
        for other in std::iter::once(run).chain(self.lab.state.runs.iter().rev().map(AsRef::as_ref)) {
            let name = short(&other.spec.system);
            let creation = other.costs.creation_ns.or_else(|| creation_so_far(other));
            if let Some(creation) = creation.filter(|_| !bars.iter().any(|bar| bar.name == name)) {
                let rank = bars.len();
                bars.push(CostBar { name, ns: creation.median, own: other.id == run.id, rank });
            }
        }
        bars.sort_by(|a, b| a.ns.total_cmp(&b.ns));
        bars
    }
}

fn is_ready(run: &Run) -> bool {
    run.workers.iter().filter(|w| w.ready_ns.is_some()).count() >= run.spec.workers as usize
}

fn ready(run: &Run) -> String {
    let wanted = run.spec.workers as usize;
    let ready: Vec<u64> = run.workers.iter().filter_map(|w| w.ready_ns).collect();
    let first = run.workers.iter().filter_map(|w| w.requested_ns).min();
    let noun = if wanted == 1 { "worker" } else { "workers" };
    if ready.len() < wanted {
        return format!("{} of {wanted} {noun} ready", ready.len());
    }
    // A demo pauses between creations; its workers are created one after the other.
    let together = run.workers.iter().filter_map(Worker::creation_ns).sum::<u64>();
    match (first, ready.iter().max()) {
        _ if run.spec.pace_ms > 0 => format!("{} {noun} created in {}", ready.len(), latency(together as f64)),
        (Some(first), Some(last)) => format!("{} {noun} ready after {}", ready.len(), latency(last.saturating_sub(first) as f64)),
        _ => String::new(),
    }
}

fn creation_so_far(run: &Run) -> Option<crate::lab::run::Summary> {
    measure::creation(&run.workers)
}

/// Name of a system where there is little room: `fork`, `py fork`.
pub(super) fn short(id: &str) -> String {
    let brief = |name: &'_ str| {
        let method = name.strip_prefix("process-").filter(|rest| ["fork", "spawn", "forkserver"].contains(rest));
        method.or(name.strip_suffix("-executor")).unwrap_or(name).to_owned()
    };
    match id.split_once('/') {
        Some(("python", name)) => format!("py {}", brief(name)),
        Some((_, name)) => name.to_owned(),
        None => id.to_owned(),
    }
}

fn latency(ns: f64) -> String {
    crate::columns::latency_text(ns.max(0.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::protocol::Creation;
    use crate::lab::run::Memory;

    fn run_with(statuses: &[Option<ExitStatus>]) -> Run {
        let mut run = Run::new(RunId(1), catalog::find("native/process-pool").unwrap().defaults(), 0);
        run.phase = RunPhase::Running;
        run.root_pid = Some(10);
        run.workers = (0..)
            .zip(statuses)
            .map(|(index, status)| Worker {
                index,
                pid: i32::try_from(20 + index).ok(),
                shown_pid: None,
                tid: None,
                how: Some(Creation::Fork),
                requested_ns: Some(1),
                ready_ns: Some(2),
                exited_ns: None,
                status: *status,
                spans: Vec::new(),
                memory: Memory::default(),
            })
            .collect();
        run
    }

    fn told(run: &Run, deaths: &[(u32, u64, ExitStatus)], now_ns: u64) -> String {
        let death = |(worker, at_ns, status): &(u32, u64, ExitStatus)| Death {
            worker: Some(*worker),
            pid: i32::try_from(20 + worker).unwrap_or(0),
            at_ns: *at_ns,
            status: *status,
        };
        let story = Story { deaths: deaths.iter().map(death).collect(), ..Story::default() };
        Stories { runs: HashMap::from([(run.id, story)]), now_ns }.words(run)
    }

    #[test]
    fn an_end_whose_status_the_kernel_keeps_is_known_from_the_run() {
        const S: u64 = 1_000_000_000;
        let killed = ExitStatus::Signal { signal: 9, core: false };
        let run = run_with(&[Some(killed), None, Some(ExitStatus::Code(0))]);
        assert_eq!(told(&run, &[(0, S, ExitStatus::Unknown)], S), "worker 0 killed by SIGKILL");
        let both = [(0, S, ExitStatus::Unknown), (1, S + 12_000_000, ExitStatus::Signal { signal: 15, core: false })];
        assert_eq!(told(&run, &both, 2 * S), "worker 0 killed by SIGKILL, worker 1 killed by SIGTERM 12.0 ms later");
        let mut orphaned = run_with(&[Some(killed), Some(killed)]);
        orphaned.phase = RunPhase::Ended(Outcome::Failed("the run root (PID 10) was killed by SIGTERM".to_owned()));
        let root = Death { worker: None, pid: 10, at_ns: S, status: ExitStatus::Signal { signal: 15, core: false } };
        let worker = |index| Death { worker: Some(index), pid: 20, at_ns: S + 3_200_000, status: killed };
        let story = Story { deaths: vec![root, worker(0), worker(1)], ..Story::default() };
        let stories = Stories { runs: HashMap::from([(orphaned.id, story)]), now_ns: 2 * S };
        assert_eq!(stories.words(&orphaned), "the main process killed by SIGTERM, 2 workers ended by the lab 3.2 ms later");
        assert_eq!(told(&run, &[(2, S, ExitStatus::Unknown)], 9 * S), "", "it has ended as it should");
        assert_eq!(told(&run, &[(1, S, ExitStatus::Unknown)], S), "", "perhaps the run is ending");
        assert_eq!(told(&run, &[(1, S, ExitStatus::Unknown)], 9 * S), "worker 1 ended, its exit status cannot be read");
    }
}
