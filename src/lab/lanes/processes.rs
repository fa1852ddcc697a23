//! The process table of a run at one instant: processes, parents, states and memory.

use std::collections::{HashMap, HashSet};

use super::{Lane, Role, Window};
use crate::lab::trace::{Holding, TaskTrace};

/// Shares of a CPU are taken over this long around the instant: less than two looks say nothing.
const AROUND_NS: u64 = 10_000_000;

/// One process at that instant.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessAt<'r> {
    /// Its pid.
    pub pid: i32,
    /// Its parent's, as of the last look before.
    pub ppid: i32,
    /// How far below the run's root it stands.
    pub depth: usize,
    /// Its name, not yet fit for a terminal.
    pub comm: &'r str,
    /// The kernel's state letter of its first thread.
    pub state: Option<char>,
    /// CPUs that its threads used around that instant, 1 for each; `None` if there was no look then.
    pub cpu: Option<f64>,
    /// Threads that were ready but had none, in the same way.
    pub waited: Option<f64>,
    /// Units of work that were open in it.
    pub units: usize,
    /// What it held.
    pub holding: Option<Holding>,
}

/// The processes of a run at an instant, children below their parents, in order of pids; `lanes` are all of the run's.
#[must_use]
pub fn processes<'r>(lanes: &[Lane<'r>], at_ns: u64) -> Vec<ProcessAt<'r>> {
    let mut found: HashMap<i32, ProcessAt<'r>> = HashMap::new();
    for (pid, task) in lanes.iter().filter_map(|lane| Some((lane.pid?, lane.task?))) {
        if task.tid == pid && task.is_there(at_ns) {
            let state = task.at(at_ns).map(|slice| slice.state);
            let (ppid, comm, holding) = (task.parent, task.comm.as_str(), task.holding(at_ns));
            found.insert(pid, ProcessAt { pid, ppid, depth: 0, comm, state, cpu: None, waited: None, units: 0, holding });
        }
    }
    let mut counted: HashSet<i32> = HashSet::new();
    for lane in lanes {
        let Some(process) = lane.pid.and_then(|pid| found.get_mut(&pid)) else { continue };
        process.units += usize::from(lane.moment(at_ns).unit.is_some());
        let shares =
            lane.task.filter(|task| lane.role != Role::Gil && counted.insert(task.tid)).and_then(|task| around(task, at_ns));
        if let Some((ran, waited)) = shares {
            *process.cpu.get_or_insert(0.0) += ran;
            *process.waited.get_or_insert(0.0) += waited;
        }
    }
    in_order(found)
}

/// What part of the time around an instant a task was on a CPU, and waited for one.
fn around(task: &TaskTrace, at_ns: u64) -> Option<(f64, f64)> {
    let part = Window::new(at_ns.saturating_sub(AROUND_NS / 2), at_ns.saturating_add(AROUND_NS / 2));
    let (mut ran, mut waited, mut seen) = (0.0, 0.0, 0.0);
    for slice in super::slices_in(task, part) {
        let share = part.overlap_ns(slice.from_ns, slice.to_ns) as f64 / slice.length_ns().max(1) as f64;
        ran += share * slice.run_ns as f64;
        waited += share * slice.wait_ns as f64;
        seen += share * slice.length_ns() as f64;
    }
    (seen > 0.0).then(|| ((ran / seen).min(1.0), (waited / seen).min(1.0)))
}

fn in_order(mut found: HashMap<i32, ProcessAt<'_>>) -> Vec<ProcessAt<'_>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let mut tops = Vec::new();
    for process in found.values() {
        // A process is not its own descendant, even if the values that were read say so.
        if process.ppid != process.pid && found.contains_key(&process.ppid) {
            children.entry(process.ppid).or_default().push(process.pid);
        } else {
            tops.push(process.pid);
        }
    }
    tops.sort_unstable_by(|a, b| b.cmp(a));
    for below in children.values_mut() {
        below.sort_unstable_by(|a, b| b.cmp(a));
    }
    let mut open: Vec<(i32, usize)> = tops.into_iter().map(|pid| (pid, 0)).collect();
    let mut ordered = Vec::new();
    // Parents were read at different times: should they make a circle, one of it is taken for the first.
    while let Some((pid, depth)) = open.pop().or_else(|| found.keys().min().map(|pid| (*pid, 0))) {
        let Some(process) = found.remove(&pid) else { continue };
        open.extend(children.remove(&pid).unwrap_or_default().into_iter().map(|child| (child, depth + 1)));
        ordered.push(ProcessAt { depth, ..process });
    }
    ordered
}
