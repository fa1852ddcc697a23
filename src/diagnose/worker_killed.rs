//! A worker of a pool that was killed while its parent lives on: the task that it had is lost.

use std::collections::VecDeque;

use super::{Check, Diagnosis, Level, Scene, Surveyed, Suspicion, counted, employer, name};
use crate::derive::{Model, StartMethod};
use crate::snapshot::{EventKind, ExitStatus, Needs, ProcKey, contains};

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "worker_killed",
    title: "Worker of a pool killed",
    level: Level::Warning,
    badge: "lost a worker",
    description: "A signal killed one of several workers; their parent still runs.",
    needs: Needs::empty(),
    after_ns: 0,
    check: Check::Of(check),
};

/// How long it is reported, nanoseconds.
const KEPT_NS: u64 = 600_000_000_000;
/// The most that are remembered.
const MOST: usize = 256;
/// Workers beside each other for so long are taken for a pool, nanoseconds. A program that kills its own processes if they take too long
/// rarely has such.
const SETTLED_NS: u64 = 10_000_000_000;
/// SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV, SIGILL, SIGSYS: no orderly end of a worker uses these.
const VIOLENT: [(u8, &str); 7] =
    [(4, "SIGILL"), (6, "SIGABRT"), (7, "SIGBUS"), (8, "SIGFPE"), (9, "SIGKILL"), (11, "SIGSEGV"), (31, "SIGSYS")];

/// A worker that was killed.
#[derive(Debug, Clone)]
struct Death {
    pid: i32,
    parent: ProcKey,
    at_ns: u64,
    signal: &'static str,
    name: String,
    siblings: usize,
    /// True if the parent has a pool, or if this worker and another one had both lived for [`SETTLED_NS`].
    pool: bool,
}

/// Workers that were killed since concmon began to look.
#[derive(Debug, Default)]
pub(super) struct Killed {
    deaths: VecDeque<Death>,
    /// Processes that ended by a signal, newest last: a parent among them left its workers without meaning to.
    by_signal: VecDeque<i32>,
}

impl Killed {
    pub(super) fn add(&mut self, model: &Model, surveyed: &[Surveyed<'_>]) {
        let has_pool = |key: ProcKey| {
            let of = surveyed.iter().find(|(process, _)| process.key == key);
            of.and_then(|(_, facts)| facts.python.as_ref()).is_some_and(|python| python.pool)
        };
        for event in &model.now.events {
            let EventKind::Exit { tid, tgid, status: ExitStatus::Signal { signal, .. } } = event.kind else { continue };
            if tid != tgid {
                continue;
            }
            if self.by_signal.len() >= MOST {
                self.by_signal.pop_front();
            }
            self.by_signal.push_back(tgid);
            let Some((_, signal)) = VIOLENT.iter().find(|(number, _)| *number == signal) else { continue };
            let ghost = model.lifecycle.ghosts.iter().rev().find(|ghost| ghost.last.key.pid == tgid);
            let Some(last) = ghost.map(|ghost| &ghost.last).or_else(|| model.process(tgid)) else { continue };
            let (Some(parent), Some(of)) = (model.process(last.ppid), employer(model, last)) else { continue };
            let like = |p: &&crate::snapshot::ProcessSample| p.ppid == parent.key.pid && p.leader.comm == last.leader.comm;
            let alike = || model.now.processes.iter().filter(like).filter(|p| p.key != last.key);
            let siblings = alike().count();
            let tick_ns = model.now.system.tick_ns();
            let settled = |p: &crate::snapshot::ProcessSample| p.key.start_ticks * tick_ns + SETTLED_NS <= event.at_ns;
            let pool = settled(last) && alike().any(settled);
            let birth = model.lifecycle.birth(last.key);
            // Its creator has ended before it: the pool is gone, and the process that adopted it has lost nothing.
            if birth.is_some_and(|birth| birth.parent_pid != last.ppid) {
                continue;
            }
            // A copy of its parent, or of the parent's fork server: other children are programs that the user started.
            let command = last.identity.cmdline.as_deref().unwrap_or_default();
            let spawned = contains(command, b"--multiprocessing-fork");
            let forked = birth.is_some_and(|birth| matches!(birth.method, StartMethod::Fork | StartMethod::ForkServer))
                // The exec may have been missed: a copy keeps its parent's name, up to what it says of its work ("gunicorn: worker").
                && first_word(last.leader.comm.as_bytes()) == first_word(parent.leader.comm.as_bytes())
                || last.identity.cmdline == parent.identity.cmdline;
            if siblings == 0 || !(spawned || forked) {
                continue;
            }
            if self.deaths.len() >= MOST {
                self.deaths.pop_front();
            }
            let name = name(last);
            self.deaths.push_back(Death { pid: tgid, parent: of.key, at_ns: event.at_ns, signal, name, siblings, pool });
        }
        // The pool may be read after the death of its worker; one that breaks is gone then.
        self.deaths.iter_mut().filter(|death| !death.pool).for_each(|death| death.pool = has_pool(death.parent));
        let now_ns = model.now.taken_ns;
        self.deaths.retain(|death| {
            now_ns.saturating_sub(death.at_ns) < KEPT_NS && model.process(death.parent.pid).is_some_and(|p| p.key == death.parent)
        });
    }

    /// In words, the worker of this parent that was killed last.
    pub(super) fn last_of(&self, parent: ProcKey) -> Option<String> {
        let death = self.deaths.iter().rev().find(|death| death.pool && death.parent == parent)?;
        Some(format!("its worker {} ({}) was killed by {}: the task that it had is lost", death.name, death.pid, death.signal))
    }

    /// Whether this process ended by a signal, as far as that was seen.
    pub(super) fn ended_by_signal(&self, pid: i32) -> bool {
        self.by_signal.contains(&pid)
    }
}

/// A name up to the first blank or colon.
fn first_word(name: &[u8]) -> &[u8] {
    name.split(|byte| matches!(byte, b' ' | b':')).next().unwrap_or(name)
}

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let mut parents: Vec<ProcKey> = scene.killed.deaths.iter().filter(|death| death.pool).map(|death| death.parent).collect();
    parents.sort_unstable();
    parents.dedup();
    let of = |key: ProcKey| {
        let parent = scene.model.process(key.pid)?;
        let deaths: Vec<&Death> = scene.killed.deaths.iter().filter(|death| death.pool && death.parent == key).collect();
        let last = deaths.last()?;
        let ago = scene.model.now.taken_ns.saturating_sub(last.at_ns) / 1_000_000_000;
        let group = scene.facts_of(key).and_then(|facts| facts.memory_group.as_deref());
        let oom = group.zip(scene.facts).and_then(|(group, facts)| facts.groups.get(group)).is_some_and(|g| g.oom_kills_seen > 0);
        let why = if oom && last.signal == "SIGKILL" { ", at the memory limit of its group (memory.events)" } else { "" };
        let evidence = format!(
            "{} ({}): its worker {} ({}) was killed by {}{why} {ago} s ago, beside {}{}",
            name(parent),
            key.pid,
            last.name,
            last.pid,
            last.signal,
            counted(last.siblings, "other worker", "other workers"),
            if deaths.len() > 1 { format!("; {} workers so far", deaths.len()) } else { String::new() }
        );
        let advice = "if the worker had a task, the task is lost: multiprocessing.Pool waits for ever, an executor raises BrokenProcessPool";
        Some(Suspicion { since_ns: Some(last.at_ns), since_known: true, ..Suspicion::of(key, evidence, advice.to_owned()) })
    };
    parents.into_iter().filter_map(of).collect()
}
