//! A `multiprocessing.Pool` whose workers end with an error, each new one too: its initializer raises, or what it executes exits.

use std::collections::{HashMap, VecDeque};

use super::{Check, Diagnosis, Level, Scene, Surveyed, Suspicion, name};
use crate::derive::Model;
use crate::snapshot::{EventKind, ExitStatus, Needs, PoolRole, ProcKey};

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "workers_fail",
    title: "Pool broken: its workers end with an error",
    level: Level::Warning,
    badge: "pool broken",
    description: "A process waits for its multiprocessing.Pool, but all workers, also new ones, end with an error.",
    needs: Needs::empty(),
    after_ns: 0,
    check: Check::Of(check),
};

/// Ends of workers count for this time, nanoseconds.
const KEPT_NS: u64 = 20_000_000_000;
/// Fewer ends may be chance.
const LEAST: usize = 3;
/// The most ends that are remembered of all pools.
const MOST: usize = 1024;

/// A worker that ended with an error.
#[derive(Debug, Clone, Copy)]
struct End {
    pid: i32,
    parent: ProcKey,
    at_ns: u64,
    code: u8,
}

/// Workers that ended with an error while their parent waited for its pool, oldest first.
#[derive(Debug, Default)]
pub(super) struct Failed(VecDeque<End>);

impl Failed {
    pub(super) fn add(&mut self, model: &Model, surveyed: &[Surveyed<'_>]) {
        let waiting: HashMap<i32, ProcKey> = surveyed
            .iter()
            .filter(|(_, facts)| facts.pool(PoolRole::Waits).next().is_some())
            .map(|(p, _)| (p.key.pid, p.key))
            .collect();
        self.0.retain(|end| {
            model.now.taken_ns.saturating_sub(end.at_ns) < KEPT_NS && waiting.get(&end.parent.pid) == Some(&end.parent)
        });
        if waiting.is_empty() {
            return;
        }
        // The workers of a fork server are its children.
        let pool = |parent: i32| waiting.get(&parent).or_else(|| waiting.get(&model.process(parent)?.ppid)).copied();
        let events = &model.now.events;
        let born: HashMap<i32, i32> = events
            .iter()
            .filter_map(|event| match event.kind {
                EventKind::Fork { parent_tgid, child_tid, child_tgid, .. } if child_tid == child_tgid => {
                    Some((child_tgid, parent_tgid))
                }
                _ => None,
            })
            .collect();
        let sampled = |pid: i32| {
            let ghost = model.lifecycle.ghosts.iter().rev().find(|ghost| ghost.last.key.pid == pid);
            ghost.map(|ghost| ghost.last.ppid).or_else(|| model.process(pid).map(|process| process.ppid))
        };
        for event in events {
            let EventKind::Exit { tid, tgid, status: ExitStatus::Code(code @ 1..) } = event.kind else { continue };
            if tid == tgid
                && let Some(parent) = born.get(&tgid).copied().or_else(|| sampled(tgid)).and_then(pool)
            {
                self.0.push_back(End { pid: tgid, parent, at_ns: event.at_ns, code });
            }
        }
        // Without the kernel's events only those are known that were seen as zombies.
        for ghost in &model.lifecycle.ghosts {
            let (ExitStatus::Code(code @ 1..), Some(parent)) = (ghost.status, pool(ghost.last.ppid)) else { continue };
            let (pid, at_ns) = (ghost.last.key.pid, ghost.ended_ns);
            if model.now.taken_ns.saturating_sub(at_ns) < KEPT_NS && !self.0.iter().any(|end| end.pid == pid) {
                self.0.push_back(End { pid, parent, at_ns, code });
            }
        }
        self.0.drain(..self.0.len().saturating_sub(MOST));
    }
}

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let mut found = Vec::new();
    for (parent, facts) in scene.surveyed() {
        if facts.pool(PoolRole::Waits).next().is_none() {
            continue;
        }
        let ends: Vec<&End> = scene.failed.0.iter().filter(|end| end.parent == parent.key).collect();
        let ([oldest, .., newest], LEAST..) = (ends.as_slice(), ends.len()) else { continue };
        let evidence = format!(
            "{} ({}) waits for a result of its pool; {}{} of its workers ended with an error in the last {} s, {} with exit status {}",
            name(parent),
            parent.key.pid,
            if ends.len() < MOST { "" } else { "at least " },
            ends.len(),
            KEPT_NS / 1_000_000_000,
            newest.pid,
            newest.code
        );
        let advice = "read what the workers print: an initializer that raises, or a task that exits, ends its worker; the pool starts new \
                      ones for ever, and the result never comes";
        found.push(Suspicion { since_ns: Some(oldest.at_ns), ..Suspicion::of(parent.key, evidence, advice.to_owned()) });
    }
    found
}
