//! The state machine of a run: each notice of the helper advances a [`Run`]. Pure: times come with the notices.

use crate::snapshot::ExitStatus;

use super::catalog::{self, ShapeParent};
use super::control::{KillReason, Member, Notice, Usage};
use super::measure;
use super::protocol::{Creation, Line, Message};
use super::run::{FamilyMember, Memory, Outcome, ReportedValue, Run, RunPhase, ShapeCheck, TaskSpan, Worker};
use super::signal::signal_name;
use super::tally::Tally;

/// Most of a run's output that is kept, bytes.
pub const OUTPUT_KEPT: usize = 256 * 1024;
/// Most workers one run may claim to have: a worker cannot make concmon grow.
const WORKERS_KEPT: usize = 20_000;
/// Most spans kept per worker.
const SPANS_KEPT: usize = 20_000;
/// Most values and most warnings kept.
const NOTES_KEPT: usize = 100;

/// What the state machine remembers between notices.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    first_ns: Option<u64>,
    /// Whether the root has said when the measured part began, so that `first_ns` is not moved by requests.
    begins: bool,
    done_ns: Option<u64>,
    said_done: bool,
    /// What the root and the children it had waited for had used by then.
    done_used: Option<Usage>,
    leaves_ns: Option<u64>,
    error: Option<String>,
    root_status: Option<u32>,
    /// When a program of the user's own was executed.
    executed_ns: Option<u64>,
    pause_began_ns: Option<u64>,
    /// When the pause after the work began.
    hold_began_ns: Option<u64>,
    /// The pauses to be looked at, which are no part of the wall time.
    pauses: Vec<(u64, u64)>,
    /// What its processes have said one by one.
    tally: Tally,
    /// Whether the middle of the output has been cut.
    cut: bool,
    /// Most processes, and most threads beside the leaders, that were seen at one moment.
    most: (u32, u32),
}

impl Run {
    /// Takes in one notice about this run.
    pub fn apply(&mut self, notice: &Notice) {
        if self.ended() {
            return;
        }
        match notice {
            Notice::Started { root_pid, t, .. } => {
                self.root_pid = Some(*root_pid);
                self.started_ns = *t;
            }
            Notice::NotStarted { why, .. } => self.phase = RunPhase::Ended(Outcome::Failed(why.clone())),
            Notice::Line { line, .. } => self.apply_line(line),
            Notice::Lost { count, why, .. } => {
                self.lines_lost += count;
                if !why.is_empty() {
                    self.warn(why.clone());
                }
            }
            Notice::Output { text, .. } => self.append_output(text),
            Notice::Family { members, pss_bytes, held, cpu_ns, .. } => {
                self.apply_family(members, *pss_bytes, *held);
                // The first says what the work has cost; staying costs next to nothing, and is no part of it.
                let apart = self.costs.apart.map_or(0, Usage::cpu_ns);
                self.costs.so_far_cpu_ns = self.costs.so_far_cpu_ns.or(cpu_ns.map(|ns| ns.saturating_sub(apart)));
            }
            Notice::RootEnded { t, status, began, used, .. } => {
                self.progress.root_status = Some(*status);
                self.costs.root_end_ns = self.progress.leaves_ns.map(|ns| t.saturating_sub(ns));
                if let Some(done) = self.progress.done_used {
                    self.costs.set_apart(used.without(done));
                }
                if let Some(began) = began {
                    self.progress.executed_ns = Some(began.t);
                    self.costs.set_apart(began.used);
                }
                self.progress.done_ns.get_or_insert(*t);
                self.phase = RunPhase::Ending;
            }
            Notice::Ended { t, usage, memory_peak_bytes, max_rss_bytes, left_running, orphans, killed, .. } => {
                self.costs.peak_rss_bytes = self.costs.peak_rss_bytes.max(*max_rss_bytes);
                self.costs.cgroup_peak_bytes = *memory_peak_bytes;
                self.costs.charge(*usage);
                if *left_running > 0 {
                    let many = if *left_running == 1 { "" } else { "es" };
                    self.warn(format!("{left_running} process{many} left running, as --detach asks"));
                }
                self.end(*t, *killed, *orphans);
            }
        }
    }

    /// How the root has ended, as its parent saw it.
    #[must_use]
    pub fn root_status(&self) -> Option<ExitStatus> {
        self.progress.root_status.map(ExitStatus::from_raw)
    }

    /// Most processes that were seen at one moment, the root among them; `None` if it was not seen.
    #[must_use]
    pub fn most_processes(&self) -> Option<u32> {
        Some(self.progress.most.0).filter(|n| *n > 0)
    }

    /// The pauses in which the run held still to be looked at, monotonic nanoseconds; one that goes on has no end.
    pub fn pauses(&self) -> impl Iterator<Item = (u64, Option<u64>)> + '_ {
        let over = self.progress.pauses.iter().map(|(from, to)| (*from, Some(*to)));
        over.chain(self.progress.pause_began_ns.map(|from| (from, None)))
    }

    /// When the work was done and the pause began in which a person may look, monotonic nanoseconds.
    #[must_use]
    pub fn hold_began_ns(&self) -> Option<u64> {
        self.progress.hold_began_ns
    }

    /// From when a program of the user's own was executed until it ended, monotonic nanoseconds; `None` of any other run, and before that.
    #[must_use]
    pub fn lifetime_ns(&self) -> Option<(u64, u64)> {
        let ended = self.progress.done_ns.filter(|_| self.is_own())?;
        Some((self.progress.executed_ns.unwrap_or(self.started_ns), ended))
    }

    /// Whether it is a program of the user's own.
    fn is_own(&self) -> bool {
        self.spec.is_own()
    }

    /// Ends the run because no more can be known of it.
    pub fn abandon(&mut self, why: &str) {
        if !self.ended() {
            self.phase = RunPhase::Ended(Outcome::Failed(why.to_owned()));
        }
    }

    fn end(&mut self, t: u64, killed: Option<KillReason>, orphans: u32) {
        self.costs.first_task_ns = self.first_task_ns();
        self.costs.all_ready_ns = self.all_ready_ns();
        self.costs.run_delay_ns = self.costs.run_delay_ns.or_else(|| self.progress.tally.run_delay_ns(self));
        self.costs.sent_bytes = self.costs.sent_bytes.or_else(|| self.progress.tally.sent_bytes(self));
        if let Some(done) = self.progress.done_ns {
            self.costs.teardown_ns = Some(t.saturating_sub(self.progress.leaves_ns.unwrap_or(done)));
            if self.progress.said_done {
                self.costs.wall_ns = self.wall_ns(done).or(self.costs.wall_ns);
            } else if self.is_own() {
                self.costs.wall_ns = Some(done.saturating_sub(self.progress.executed_ns.unwrap_or(self.started_ns)));
            }
        }
        if orphans > 0 && killed.is_none() {
            let who = format!("{orphans} process{}", if orphans == 1 { "" } else { "es" });
            self.warn(if self.is_own() {
                format!("{who} outlived the program and had to be killed; with --detach they keep running")
            } else {
                format!("{who} of the run outlived its root and had to be killed")
            });
        }
        if self.lines_lost > 0 {
            self.warn(format!("{} protocol lines were lost or refused; lanes and latencies may have gaps", self.lines_lost));
        }
        let advice = measure::advice(self);
        for text in advice {
            self.warn(text);
        }
        self.phase = RunPhase::Ended(self.outcome(killed));
    }

    /// From the beginning of the measured part to `end`, pauses left out.
    fn wall_ns(&self, end: u64) -> Option<u64> {
        let begin = self.progress.first_ns?;
        let paused: u64 = self.progress.pauses.iter().map(|(a, b)| b.min(&end).saturating_sub(*a.max(&begin))).sum();
        Some(end.saturating_sub(begin).saturating_sub(paused))
    }

    fn first_task_ns(&self) -> Option<u64> {
        self.wall_ns(self.workers.iter().flat_map(|w| &w.spans).map(|s| s.start_ns).min()?)
    }

    /// `None` unless every worker was created and has said that it was there.
    fn all_ready_ns(&self) -> Option<u64> {
        let created = self.workers.iter().filter(|w| w.how != Some(Creation::Inline));
        let last = created.map(|w| w.ready_ns).try_fold(0, |last, ready| Some(ready?.max(last)))?;
        self.wall_ns(last).filter(|_| last > 0)
    }

    fn outcome(&self, killed: Option<KillReason>) -> Outcome {
        match killed {
            Some(KillReason::Stopped) => return Outcome::Stopped,
            Some(KillReason::TimedOut) => return Outcome::TimedOut,
            None => {}
        }
        let root = self.root_pid.unwrap_or(0);
        let who = if self.is_own() { "the program" } else { "the run root" };
        if let Some(error) = &self.progress.error {
            return Outcome::Failed(error.lines().next_back().unwrap_or("the run failed").to_owned());
        }
        match self.progress.root_status.map(ExitStatus::from_raw) {
            Some(ExitStatus::Code(0)) if self.progress.said_done || self.is_own() => Outcome::Done,
            Some(ExitStatus::Code(0)) => {
                Outcome::Failed(format!("{who} (PID {root}) ended without reporting that it was done; its output may say why"))
            }
            Some(ExitStatus::Code(code)) => {
                // A program that cannot even begin says why in what it prints.
                let words = self.output.lines().rev().map(str::trim).find(|l| !l.is_empty());
                let words = words.map_or(String::new(), |w| format!(": {w}"));
                Outcome::Failed(format!("{who} (PID {root}) ended with exit code {code}{words}"))
            }
            Some(ExitStatus::Signal { signal, .. }) => {
                Outcome::Failed(format!("{who} (PID {root}) was killed by {}", signal_name(signal)))
            }
            Some(ExitStatus::Unknown) | None => Outcome::Failed(format!("{who} (PID {root}) ended, exit status unknown")),
        }
    }

    fn apply_line(&mut self, line: &Line) {
        if matches!(self.phase, RunPhase::Starting) {
            self.phase = RunPhase::Running;
        }
        match &line.message {
            Message::Hello { role, lang, started, .. } => {
                if role == "root" {
                    self.lang.get_or_insert_with(|| lang.clone());
                    self.root_pid.get_or_insert(line.pid);
                    self.costs.root_start_ns = Some(line.t.saturating_sub(started.unwrap_or(self.started_ns)));
                }
            }
            Message::Begins => (self.progress.first_ns, self.progress.begins) = (Some(line.t), true),
            Message::Leaves => self.progress.leaves_ns = Some(line.t),
            Message::Shown { w, how } => {
                if let Some(worker) = self.worker(*w) {
                    worker.shown_pid = Some(line.pid);
                    worker.how.get_or_insert(*how);
                }
            }
            Message::Requested { w } => {
                let begins = self.progress.begins;
                let first = self.progress.first_ns.get_or_insert(line.t);
                *first = if begins { *first } else { (*first).min(line.t) };
                if let Some(worker) = self.worker(*w) {
                    worker.requested_ns = Some(line.t);
                    // The creator may tell later than the created.
                    if worker.ready_ns.is_some() {
                        self.costs.creation_ns = measure::creation(&self.workers);
                    }
                }
            }
            Message::Ready { w, how } => {
                self.progress.first_ns.get_or_insert(line.t);
                if let Some(worker) = self.worker(*w) {
                    (worker.pid, worker.tid) = (Some(line.pid), Some(line.tid));
                    (worker.how, worker.ready_ns) = (Some(*how), Some(line.t));
                    self.costs.creation_ns = measure::creation(&self.workers);
                }
            }
            Message::TaskStart { w, k } => {
                self.progress.first_ns.get_or_insert(line.t);
                if let Some(worker) = self.worker(*w).filter(|w| w.spans.len() < SPANS_KEPT) {
                    worker.spans.push(TaskSpan { index: *k, start_ns: line.t, end_ns: None });
                }
            }
            Message::TaskEnd { w, k } => {
                if let Some(span) =
                    self.worker(*w).and_then(|w| w.spans.iter_mut().rev().find(|s| s.index == *k && s.end_ns.is_none()))
                {
                    span.end_ns = Some(line.t);
                }
            }
            Message::Exited { w, status } => {
                if let Some(worker) = self.worker(*w) {
                    worker.exited_ns = Some(line.t);
                    worker.status = status.map(ExitStatus::from_raw);
                }
            }
            Message::Value { name, text, number } => {
                if self.values.len() < NOTES_KEPT {
                    self.values.push(ReportedValue { name: name.clone(), text: text.clone(), number: *number });
                }
            }
            Message::Phase { name } => self.turn(name, line.t),
            Message::Warn { text } => self.warn(text.clone()),
            Message::Error { text } => {
                self.append_output(text);
                self.append_output("\n");
                self.progress.error.get_or_insert_with(|| text.clone());
            }
            Message::Overhead { ns, .. } => {
                self.costs.protocol_ns = Some(self.costs.protocol_ns.unwrap_or(0).saturating_add(*ns));
            }
            Message::Apart(usage) if Some(line.pid) == self.root_pid => self.costs.set_apart(*usage),
            // No other process has anything that the run does not count.
            Message::Apart(_) => {}
            Message::Costs { waits, sent_bytes } => self.progress.tally.note(line.pid, waits.as_deref(), *sent_bytes),
            Message::Done {
                run_delay_ns,
                sent_bytes,
                user_ns,
                sys_ns,
                minor_faults,
                major_faults,
                voluntary_switches,
                involuntary_switches,
            } => {
                (self.costs.run_delay_ns, self.costs.sent_bytes) = (*run_delay_ns, *sent_bytes);
                self.progress.done_used = Some(Usage {
                    user_ns: *user_ns,
                    sys_ns: *sys_ns,
                    minor_faults: *minor_faults,
                    major_faults: *major_faults,
                    voluntary_switches: *voluntary_switches,
                    involuntary_switches: *involuntary_switches,
                });
                self.turn("", line.t);
                self.progress.said_done = true;
                self.progress.done_ns = Some(line.t);
                self.phase = RunPhase::Ending;
            }
        }
    }

    /// A part of the run begins; `inspect` is a pause in which it is looked at by concmon, `hold` one in which a person may, `note`
    /// one in which it reads what it has cost, `pace` one between two creations of a demo.
    fn turn(&mut self, name: &str, t: u64) {
        if let Some(began) = self.progress.pause_began_ns.take() {
            self.progress.pauses.push((began, t));
        }
        if name == "hold" {
            // The work is done: a reader need not wait for the end to know, and a run that is stopped now has still done it.
            self.costs.wall_ns = self.wall_ns(t);
            self.progress.hold_began_ns = Some(t);
        }
        if matches!(name, "inspect" | "hold" | "note" | "pace") {
            self.progress.pause_began_ns = Some(t);
        }
    }

    fn worker(&mut self, w: u32) -> Option<&mut Worker> {
        let index = usize::try_from(w).ok().filter(|i| *i < WORKERS_KEPT)?;
        while self.workers.len() <= index {
            self.workers.push(Worker {
                index: u32::try_from(self.workers.len()).ok()?,
                pid: None,
                shown_pid: None,
                tid: None,
                how: None,
                requested_ns: None,
                ready_ns: None,
                exited_ns: None,
                status: None,
                spans: Vec::new(),
                memory: Memory::default(),
            });
        }
        self.workers.get_mut(index)
    }

    fn warn(&mut self, text: String) {
        if self.warnings.len() < NOTES_KEPT && !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }

    /// Keeps the beginning and the end of what was printed.
    fn append_output(&mut self, text: &str) {
        self.output.push_str(text);
        if self.output.len() <= OUTPUT_KEPT {
            return;
        }
        const MARK: &str = "\n[... output cut here ...]\n";
        let half = OUTPUT_KEPT / 2 - MARK.len();
        let head = floor_boundary(&self.output, if self.progress.cut { half + MARK.len() } else { half });
        let tail = ceil_boundary(&self.output, self.output.len() - half);
        let mark = if self.progress.cut { "" } else { MARK };
        self.output = format!("{}{mark}{}", &self.output[..head], &self.output[tail..]);
        self.progress.cut = true;
    }

    fn apply_family(&mut self, members: &[Member], pss_bytes: Option<u64>, held: bool) {
        if members.is_empty() {
            return;
        }
        self.family = members
            .iter()
            .map(|m| FamilyMember { pid: m.pid, ppid: m.ppid, state: m.state, nlwp: m.nlwp, rss_bytes: m.rss_bytes })
            .collect();
        let rss: u64 = members.iter().filter_map(|m| m.rss_bytes).sum();
        // Read a moment later from memory that grows, PSS may be above the RSS before it; the RSS of that moment was no smaller.
        let rss = rss.max(pss_bytes.unwrap_or(0));
        self.costs.peak_rss_bytes = self.costs.peak_rss_bytes.max(Some(rss));
        self.costs.peak_pss_bytes = self.costs.peak_pss_bytes.max(pss_bytes);
        // A sum without one of them would be too small: then there is none.
        let alive = members.iter().filter(|m| m.rss_bytes.is_some());
        self.costs.peak_uss_bytes = self.costs.peak_uss_bytes.max(alive.map(|m| m.uss_bytes).sum());
        for member in members {
            // Threads share the memory of their process: only a worker that is a process has memory of its own.
            let own = |w: &&mut Worker| w.shown_pid.or(w.pid) == Some(member.pid) && w.how.is_some_and(Creation::is_process);
            if let Some(worker) = self.workers.iter_mut().find(own) {
                let Member { rss_bytes, pss_bytes, uss_bytes, .. } = *member;
                worker.memory.raise(Memory { rss_bytes, pss_bytes, uss_bytes });
            }
        }
        // A run is held still when its workers are known to be there: only that look counts.
        let seen = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let threads = members.iter().fold(0_u32, |sum, m| sum.saturating_add(m.nlwp.saturating_sub(1)));
        let before = self.progress.most;
        self.progress.most = (before.0.max(seen), before.1.max(threads));
        // A program of the user's own does not hold still: the most that it is seen to have counts.
        if held || (self.is_own() && self.progress.most != before) {
            self.check_shape(members);
        }
    }

    fn check_shape(&mut self, members: &[Member]) {
        let (Some(system), Some(root)) = (catalog::find(&self.spec.system), self.root_pid) else { return };
        let shape = (system.shape)(&self.spec);
        let others: Vec<&Member> = members.iter().filter(|m| m.pid != root).collect();
        let threads: u32 = members.iter().map(|m| m.nlwp.saturating_sub(1)).sum();
        let mut checks = Vec::new();
        for (what, wanted, more, seen) in [
            ("pids", shape.processes, shape.processes_more, u32::try_from(others.len()).unwrap_or(u32::MAX)),
            ("tids", shape.threads, shape.threads_more, threads),
        ] {
            // Any number is as expected of a program of which nothing is known.
            if (wanted, more) != (0, u32::MAX) {
                checks.push(count(what, wanted, more, seen));
            }
        }
        if shape.parent != ShapeParent::None {
            checks.push(self.check_parents(shape.parent, root, &others));
        }
        if !shape.states.is_empty() {
            let mut seen: Vec<char> = others.iter().map(|m| m.state).collect();
            seen.sort_unstable();
            let met = shape.states.chars().all(|letter| seen.contains(&letter));
            seen.dedup();
            checks.push(check("states", met, &shape.states, &seen.iter().collect::<String>()));
        }
        for word in shape.commands {
            let seen = others.iter().filter(|m| m.command.contains(word)).count();
            checks.push(check(
                &format!("command {word}"),
                seen > 0,
                &"a process with this in its command line",
                &format!("{seen} of them"),
            ));
        }
        for wait in shape.waits {
            let seen = members.iter().flat_map(|m| &m.waits).filter(|w| w == wait).count();
            checks.push(check(&format!("wait {wait}"), seen > 0, &"a task with this wait", &format!("{seen} of them")));
        }
        for new in checks {
            match self.shape.iter_mut().find(|c| c.what == new.what) {
                Some(old) if old.met => {}
                Some(old) => *old = new,
                None => self.shape.push(new),
            }
        }
    }

    fn check_parents(&self, parent: ShapeParent, root: i32, others: &[&Member]) -> ShapeCheck {
        let worker_pids: Vec<i32> = self.workers.iter().filter_map(|w| w.shown_pid.or(w.pid)).collect();
        let workers: Vec<&&Member> = others.iter().filter(|m| worker_pids.contains(&m.pid)).collect();
        let is_server = |pid: i32| !worker_pids.contains(&pid) && others.iter().any(|m| m.pid == pid && m.ppid == root);
        let right =
            workers.iter().filter(|m| if parent == ShapeParent::Server { is_server(m.ppid) } else { m.ppid == root }).count();
        let expected = match parent {
            ShapeParent::Server => "every worker's parent is the server, a child of the root",
            ShapeParent::Root | ShapeParent::None => "every worker's parent is the root",
        };
        let seen = format!("{right} of {} workers", workers.len());
        check("parents", right == workers.len() && right > 0, &expected, &seen)
    }
}

/// A number that must be `wanted`, or up to `more` above it; `u32::MAX` is without a bound.
fn count(what: &str, wanted: u32, more: u32, seen: u32) -> ShapeCheck {
    let most = wanted.saturating_add(more);
    let expected = match more {
        0 => wanted.to_string(),
        u32::MAX => format!("{wanted} or more"),
        _ => format!("{wanted} to {most}"),
    };
    check(what, (wanted..=most).contains(&seen), &expected, &seen)
}

fn check(what: &str, met: bool, expected: &dyn std::fmt::Display, seen: &dyn std::fmt::Display) -> ShapeCheck {
    ShapeCheck { what: what.to_owned(), met, expected: expected.to_string(), seen: seen.to_string() }
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests;
