//! Births and exits, with creators and exit statuses, remembered across snapshots.

use std::collections::HashMap;
use std::sync::Arc;

use crate::snapshot::{
    EventKind, ExitStatus, LifecycleEvent, ProcKey, ProcessSample, Snapshot, State, contains, give_back, give_back_map,
};

/// How a process began, as the event stream reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartMethod {
    /// Forked and never replaced its program since: shares its parent's memory by copy-on-write.
    Fork,
    /// Forked, then replaced its program (fork+exec and posix_spawn look the same from outside).
    ForkExec,
    /// Forked by a process that was itself only started to fork (its cmdline is a fork server's).
    ForkServer,
    /// Born before concmon looked, or between two samples without an event stream.
    Unseen,
}

impl StartMethod {
    /// Short words for the column.
    #[must_use]
    pub fn badge(self) -> Option<&'static str> {
        match self {
            Self::Fork => Some("fork"),
            Self::ForkExec => Some("fork+exec"),
            Self::ForkServer => Some("forksrv"),
            Self::Unseen => None,
        }
    }
}

/// Longest line of dead ancestors that is followed.
const LINE_MOST: usize = 64;

/// How one process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Birth {
    /// Start time of the process this is about: a reused pid gets a new entry.
    pub start_ticks: u64,
    /// The process that created it, kept after reparenting.
    pub parent_pid: i32,
    /// Its nearest ancestor by creation that was alive when this was last looked at: the creator, or that one's creator, and so on.
    lineage_pid: i32,
    /// How.
    pub method: StartMethod,
    /// Whether the creation itself was seen (an event), not just the process.
    pub seen: bool,
    /// When it was first seen, snapshot time.
    pub first_seen_ns: u64,
}

/// A process that has ended.
#[derive(Debug, Clone)]
pub struct Ghost {
    /// As last sampled.
    pub last: ProcessSample,
    /// When its end was reported or noticed.
    pub ended_ns: u64,
    /// How it ended.
    pub status: ExitStatus,
}

/// What is remembered across snapshots.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    /// Ended processes, oldest first, for the configured time.
    pub ghosts: Vec<Arc<Ghost>>,
    births: Arc<HashMap<i32, Birth>>,
    /// Creators of children that were reported after the processes of their sample had been read, and whether the child has replaced
    /// its program since: the child itself comes with the next sample.
    early: HashMap<i32, (i32, bool)>,
    /// Ends of processes that are still in the table: not reaped yet, or read just before they ended.
    unreaped: HashMap<ProcKey, (u64, ExitStatus)>,
}

impl Lifecycle {
    /// How the process began.
    #[must_use]
    pub fn birth(&self, key: ProcKey) -> Option<&Birth> {
        self.births.get(&key.pid).filter(|b| b.start_ticks == key.start_ticks)
    }

    /// The births that were seen, by PID: of processes, and of those that ended a short time ago.
    pub fn seen_births(&self) -> impl Iterator<Item = (i32, &Birth)> {
        self.births.iter().filter(|(_, birth)| birth.seen).map(|(pid, birth)| (*pid, birth))
    }

    /// Time a process is known to be new: its first snapshot.
    #[must_use]
    pub fn first_seen_ns(&self, key: ProcKey) -> Option<u64> {
        self.birth(key).map(|b| b.first_seen_ns)
    }

    /// The nearest ancestor by creation that is still there, however often the kernel has given the process another parent; `None` if its
    /// creation was not seen, or no ancestor is left. `alive` gives the start time of the process with a pid, if there is one.
    #[must_use]
    pub fn spawner(&self, key: ProcKey, alive: impl Fn(i32) -> Option<u64>) -> Option<i32> {
        let birth = self.birth(key).filter(|b| b.seen)?;
        let mut pid = birth.lineage_pid;
        // Bounded: events of reused pids could chase each other's tails.
        for _ in 0..LINE_MOST {
            // A process that started later than the child only reuses the creator's pid.
            if alive(pid).is_some_and(|start| start <= key.start_ticks) {
                return Some(pid);
            }
            let next = self.births.get(&pid).filter(|b| b.seen && b.start_ticks <= key.start_ticks)?;
            if next.lineage_pid == pid {
                return None;
            }
            pid = next.lineage_pid;
        }
        None
    }

    pub(super) fn step(&mut self, previous: Option<&Snapshot>, now: &Snapshot, ghost_ns: u64) {
        let horizon = now.taken_ns.saturating_sub(ghost_ns);
        self.ghosts.retain(|g| g.ended_ns >= horizon);
        give_back(&mut self.ghosts, 0);
        let early = std::mem::replace(&mut self.early, early(now));
        self.note_births(previous, now, &early);
        self.note_late_forks(now);
        self.note_execs(&now.events);
        if let Some(previous) = previous {
            self.note_deaths(previous, now, ghost_ns > 0);
            self.forget(now);
        }
    }

    /// Adds every process that has no entry.
    fn note_births(&mut self, previous: Option<&Snapshot>, now: &Snapshot, early: &HashMap<i32, (i32, bool)>) {
        // What was there before has its entry.
        let mut older = previous.iter().flat_map(|previous| &previous.processes).peekable();
        let mut is_new = |key: ProcKey| {
            while older.next_if(|old| old.key.pid < key.pid).is_some() {}
            older.next_if(|old| old.key == key).is_none()
        };
        let fresh: Vec<&ProcessSample> = now.processes.iter().filter(|p| is_new(p.key) && self.birth(p.key).is_none()).collect();
        if fresh.is_empty() {
            return;
        }
        let mut forks: HashMap<i32, i32> = early.iter().map(|(child, (creator, _))| (*child, *creator)).collect();
        forks.extend(now.events.iter().filter_map(forked));
        let births = Arc::make_mut(&mut self.births);
        // Creators that lived between two samples only: known by what they did.
        for p in &fresh {
            let mut pid = forks.get(&p.key.pid).copied();
            while let Some(creator) = pid
                && !births.contains_key(&creator)
                && now.processes.binary_search_by_key(&creator, |q| q.key.pid).is_err()
            {
                let Some(theirs) = forks.get(&creator).copied() else { break };
                let first_seen_ns = now.taken_ns;
                let (method, seen) = (StartMethod::Fork, true);
                births.insert(
                    creator,
                    Birth { start_ticks: 0, parent_pid: theirs, lineage_pid: theirs, method, seen, first_seen_ns },
                );
                pid = Some(theirs);
            }
        }
        for p in fresh {
            let creator = forks.get(&p.key.pid).copied().filter(|pid| *pid != 0);
            let method = if creator.is_none() || previous.is_none() {
                StartMethod::Unseen
            } else if early.get(&p.key.pid).is_some_and(|(_, execed)| *execed) {
                StartMethod::ForkExec
            } else if is_fork_server(now, creator) {
                StartMethod::ForkServer
            } else {
                StartMethod::Fork
            };
            births.insert(
                p.key.pid,
                Birth {
                    start_ticks: p.key.start_ticks,
                    parent_pid: creator.unwrap_or(p.ppid),
                    lineage_pid: creator.unwrap_or(p.ppid),
                    method,
                    seen: creator.is_some(),
                    first_seen_ns: now.taken_ns,
                },
            );
        }
    }

    /// A process can be in the list of one sample and its fork event in the next: the entry made without the event is completed.
    fn note_late_forks(&mut self, now: &Snapshot) {
        for (child, creator) in now.events.iter().filter_map(forked).filter(|(_, creator)| *creator != 0) {
            let unseen = |p: &ProcessSample| self.birth(p.key).is_some_and(|birth| !birth.seen);
            let at = now.processes.binary_search_by_key(&child, |p| p.key.pid);
            if !at.is_ok_and(|at| unseen(&now.processes[at])) {
                continue;
            }
            let method = if is_fork_server(now, Some(creator)) { StartMethod::ForkServer } else { StartMethod::Fork };
            if let Some(birth) = Arc::make_mut(&mut self.births).get_mut(&child) {
                *birth = Birth { parent_pid: creator, lineage_pid: creator, method, seen: true, ..*birth };
            }
        }
    }

    fn note_execs(&mut self, events: &[LifecycleEvent]) {
        let execs = events.iter().filter_map(|e| match e.kind {
            EventKind::Exec { tgid } => Some(tgid),
            _ => None,
        });
        for tgid in execs {
            // Asked first: make_mut copies a map that the last model still holds.
            if self.births.get(&tgid).is_some_and(|b| b.method == StartMethod::Fork || b.method == StartMethod::ForkServer)
                && let Some(birth) = Arc::make_mut(&mut self.births).get_mut(&tgid)
            {
                birth.method = StartMethod::ForkExec;
            }
        }
    }

    fn note_deaths(&mut self, previous: &Snapshot, now: &Snapshot, keep: bool) {
        // The last end of each pid; a search through all events for each of the dead would take seconds when a crowd ends.
        let ends: HashMap<i32, (u64, ExitStatus)> = now.events.iter().filter_map(ended).collect();
        let mut alive = now.processes.iter().peekable();
        for old in &previous.processes {
            while alive.next_if(|p| p.key.pid < old.key.pid).is_some() {}
            if alive.peek().is_some_and(|p| p.key == old.key) {
                continue;
            }
            if keep {
                let end = ends.get(&old.key.pid).map(|(at_ns, status)| ((*at_ns).max(previous.taken_ns), *status));
                let end = end.or_else(|| self.unreaped.get(&old.key).copied());
                let (ended_ns, status) = end.unwrap_or((now.taken_ns, ExitStatus::Unknown));
                let mut last = old.clone();
                last.tasks = 0..0;
                self.ghosts.push(Arc::new(Ghost { last, ended_ns, status }));
            }
        }
        self.keep_ends(&ends, now);
    }

    /// Keeps the ends of processes that are still in the table. A main thread that has ended alone is not its process's end.
    fn keep_ends(&mut self, ends: &HashMap<i32, (u64, ExitStatus)>, now: &Snapshot) {
        if ends.is_empty() && self.unreaped.is_empty() {
            return;
        }
        let before = std::mem::take(&mut self.unreaped);
        let alone = |p: &&ProcessSample| p.leader.state != State::ZOMBIE || p.nlwp.is_none_or(|threads| threads <= 1);
        for process in now.processes.iter().filter(alone) {
            if let Some(end) = ends.get(&process.key.pid).or_else(|| before.get(&process.key)) {
                self.unreaped.insert(process.key, *end);
            }
        }
    }

    fn forget(&mut self, now: &Snapshot) {
        // Dead entries cost memory only; sweep when they outnumber the living.
        if self.births.len() > now.processes.len() * 2 + 64 {
            let start =
                |pid: i32| now.processes.binary_search_by_key(&pid, |p| p.key.pid).ok().map(|i| now.processes[i].key.start_ticks);
            // Before the dead are forgotten, each living process gets its nearest living ancestor.
            let lines: Vec<(i32, i32)> =
                now.processes.iter().filter_map(|p| Some((p.key.pid, self.spawner(p.key, start)?))).collect();
            let births = Arc::make_mut(&mut self.births);
            for (pid, spawner) in lines {
                if let Some(birth) = births.get_mut(&pid) {
                    birth.lineage_pid = spawner;
                }
            }
            births.retain(|pid, _| start(*pid).is_some());
            give_back_map(births);
        }
    }
}

/// Children that events tell of and the table does not have yet, unless they have ended already.
fn early(now: &Snapshot) -> HashMap<i32, (i32, bool)> {
    let absent = |pid: i32| now.processes.binary_search_by_key(&pid, |p| p.key.pid).is_err();
    let mut early: HashMap<i32, (i32, bool)> = HashMap::new();
    for event in &now.events {
        if let Some((child, creator)) = forked(event).filter(|(child, _)| absent(*child)) {
            early.insert(child, (creator, false));
        }
        match event.kind {
            EventKind::Exec { tgid } => drop(early.get_mut(&tgid).map(|(_, execed)| *execed = true)),
            EventKind::Exit { tid, tgid, .. } if tid == tgid => drop(early.remove(&tgid)),
            _ => {}
        }
    }
    early
}

fn forked(event: &LifecycleEvent) -> Option<(i32, i32)> {
    match event.kind {
        EventKind::Fork { parent_tgid, child_tid, child_tgid, .. } if child_tid == child_tgid => Some((child_tgid, parent_tgid)),
        _ => None,
    }
}

/// Pid, time and status of a process's end.
fn ended(event: &LifecycleEvent) -> Option<(i32, (u64, ExitStatus))> {
    match event.kind {
        EventKind::Exit { tid, tgid, status } if tid == tgid => Some((tgid, (event.at_ns, status))),
        _ => None,
    }
}

/// A fork server says so in its arguments: CPython's `multiprocessing.forkserver`, and the lab's own.
fn is_fork_server(now: &Snapshot, pid: Option<i32>) -> bool {
    let Some(pid) = pid else { return false };
    let Ok(index) = now.processes.binary_search_by_key(&pid, |p| p.key.pid) else { return false };
    const MARKS: [&[u8]; 2] = [b"multiprocessing.forkserver", b"__lab-image\0server"];
    now.processes[index].identity.cmdline.as_deref().is_some_and(|args| MARKS.iter().any(|mark| contains(args, mark)))
}
