//! What a lesson reads off one run.

use crate::lab::lanes;
use crate::lab::run::{FamilyMember, Run};

/// A run that is over, with what was seen of it while it lived.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The run.
    pub run: &'a Run,
    /// The largest family that it had.
    pub family: &'a [FamilyMember],
    /// How its processes went on after the user's signal.
    pub after: After,
}

/// How a run went on after a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct After {
    /// State letters that ended: of `T`, `D` and `Z`, in this order, 1 for one that was there before and not afterwards.
    pub ended: [bool; 3],
    /// Workers that ended without having been sent the signal.
    pub others_ended: usize,
    /// How long after the first the last of them ended, nanoseconds.
    pub later_ns: u64,
    /// Workers that took the place of one.
    pub replaced: usize,
}

fn float(n: u64) -> f64 {
    n as f64
}

pub(super) fn wall(seen: &Seen<'_>) -> Option<f64> {
    seen.run.costs.wall_ns.map(float)
}

pub(super) fn creation(seen: &Seen<'_>) -> Option<f64> {
    seen.run.costs.creation_ns.map(|summary| summary.median)
}

/// A number that the system reports under one of these names.
pub(super) fn value(seen: &Seen<'_>, names: &[&str]) -> Option<f64> {
    let known = seen.run.values.iter().find(|value| names.contains(&value.name.as_str()));
    known.and_then(|value| value.number).map(float)
}

/// Resident memory of the largest worker, bytes.
pub(super) fn worker_rss(seen: &Seen<'_>) -> Option<f64> {
    let of_family = |pid: i32| seen.family.iter().find(|member| member.pid == pid)?.rss_bytes;
    let known = seen.run.workers.iter().filter_map(|w| w.memory.rss_bytes.or_else(|| of_family(w.pid?)));
    known.max().map(float)
}

/// Processes besides the root for each worker.
pub(super) fn processes_per_worker(seen: &Seen<'_>) -> Option<f64> {
    let workers = seen.run.spec.workers;
    (workers > 0 && seen.family.len() > 1).then(|| (seen.family.len() - 1) as f64 / f64::from(workers))
}

/// Processes that are neither root nor workers.
pub(super) fn helpers(seen: &Seen<'_>) -> Option<f64> {
    let (root, workers) = (seen.run.root_pid?, &seen.run.workers);
    let helper = |member: &&FamilyMember| member.pid != root && !workers.iter().any(|w| w.pid == Some(member.pid));
    workers_seen(seen).then(|| seen.family.iter().filter(helper).count() as f64)
}

/// 1 if the workers are children of the root, 0 if another process is their parent.
pub(super) fn children_of_root(seen: &Seen<'_>) -> Option<f64> {
    let (root, workers) = (seen.run.root_pid?, &seen.run.workers);
    let mut theirs = seen.family.iter().filter(|member| workers.iter().any(|w| w.pid == Some(member.pid)));
    workers_seen(seen).then(|| if theirs.all(|member| member.ppid == root) { 1.0 } else { 0.0 })
}

fn workers_seen(seen: &Seen<'_>) -> bool {
    seen.run.workers.iter().any(|w| seen.family.iter().any(|member| w.pid == Some(member.pid)))
}

/// 1 if the kernel showed the run as the catalogue expects it.
pub(super) fn as_expected(seen: &Seen<'_>) -> Option<f64> {
    let shape = &seen.run.shape;
    (!shape.is_empty()).then(|| if shape.iter().all(|check| check.met) { 1.0 } else { 0.0 })
}

/// Tasks that were ready and had no CPU, on average while there was work.
pub(super) fn wanting(seen: &Seen<'_>) -> Option<f64> {
    lanes::degree(seen.run, u64::MAX)?.wanting
}
