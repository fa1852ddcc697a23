//! Turns two snapshots into one [`Model`]: rates, lifecycle, counts, tree. Pure: no clock, no I/O; the measured `dt` is in the snapshots.
//!
//! Every rate is an `Option`: unknown on a process's first sample, after a counter went backwards, or if a side was not read.

mod host;
mod hosts;
mod lifecycle;
mod rates;
mod recent;
mod tree;

use std::sync::Arc;

use crate::snapshot::{Facts, ProcessSample, Snapshot, TaskStates, count_state};

pub use host::{CpuShare, Flow, HostRates};
pub use hosts::{HostPart, Link, LinkState, key_on_host};
pub use lifecycle::{Birth, Ghost, Lifecycle, StartMethod};
pub use rates::{RateList, Rates};
pub use recent::{RECENT, Recent, Spell};
pub use tree::Tree;

/// Number of processes and tasks, and how many are in which state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Processes, kernel threads not included.
    pub processes: usize,
    /// Tasks of those processes; `None` if some could not be counted.
    pub tasks: Option<u64>,
    /// Kernel threads.
    pub kernel_threads: usize,
    /// Tasks by state, kernel threads among them; `None` where not all of them were looked at.
    pub by_state: Option<TaskStates>,
    /// Leaders by state.
    pub leaders_by_state: TaskStates,
}

/// What the views draw from: the newest snapshot with everything that takes two of them to know.
#[derive(Debug, Clone)]
pub struct Model {
    /// The newest snapshot.
    pub now: Arc<Snapshot>,
    /// Measured time since the previous one, nanoseconds; `None` for the first.
    pub dt_ns: Option<u64>,
    /// Parallel to `now.processes`.
    pub process_rates: RateList,
    /// Parallel to `now.tasks`.
    pub task_rates: RateList,
    /// CPU use over the last samples, parallel to `now.processes`.
    pub process_recent: Arc<Vec<Recent>>,
    /// The same, parallel to `now.tasks`.
    pub task_recent: Arc<Vec<Recent>>,
    /// CPU shares.
    pub host: HostRates,
    /// Header's counts.
    pub counts: Counts,
    /// Who came, who went, how each began.
    pub lifecycle: Lifecycle,
    /// Samples since the start that came more than half an interval late; set by who drives the sampling.
    pub late_ticks: u64,
    /// What the newest survey found, if something needs one; set by who drives the sampling.
    pub facts: Option<Arc<Facts>>,
    /// What the host is called, if it is one of several.
    pub name: Option<Arc<str>>,
    /// The hosts that it is of, if it is of several; empty for one machine.
    pub hosts: Arc<Vec<HostPart>>,
}

impl Model {
    /// Index of a pid in `now.processes`.
    #[must_use]
    pub fn index_of(&self, pid: i32) -> Option<usize> {
        self.now.processes.binary_search_by_key(&pid, |p| p.key.pid).ok()
    }

    /// The tree of the kernel's parents, or of creators: there a process is below the nearest that created it or its creator and is still
    /// there, and below its kernel's parent where that was not seen.
    #[must_use]
    pub fn tree(&self, by_spawner: bool) -> Tree {
        let processes = &self.now.processes;
        if !by_spawner {
            return Tree::build(processes);
        }
        let start = |pid: i32| self.process(pid).map(|p| p.key.start_ticks);
        let parents = processes.iter().map(|p| {
            let parent = self.lifecycle.spawner(p.key, start).unwrap_or(p.ppid);
            let index = self.index_of(parent).filter(|_| parent != p.key.pid)?;
            u32::try_from(index).ok()
        });
        Tree::from_parents(parents.collect())
    }

    /// The process with this pid.
    #[must_use]
    pub fn process(&self, pid: i32) -> Option<&ProcessSample> {
        self.index_of(pid).map(|i| &self.now.processes[i])
    }
}

/// Rates over less time are not worked out: the kernel brings the counters of a task that runs up to date some hundred times a second
/// only, and a key may ask for a sample just after another one. Then the rates of the one before stand.
const LEAST_NS: u64 = 80_000_000;

/// Keeps what must be remembered between snapshots.
#[derive(Debug, Default)]
pub struct Deriver {
    previous: Option<Arc<Snapshot>>,
    /// What the next rates are over.
    base: Option<Arc<Snapshot>>,
    /// Parallel to `previous`.
    process_rates: RateList,
    task_rates: RateList,
    host: HostRates,
    /// Of `previous`.
    graphs: recent::Graphs,
    lifecycle: Lifecycle,
    ghost_ns: u64,
}

impl Deriver {
    /// Ended processes stay as ghosts for `ghost_ns`.
    #[must_use]
    pub fn new(ghost_ns: u64) -> Self {
        Self { ghost_ns, ..Self::default() }
    }

    /// The next snapshot's model.
    pub fn step(&mut self, snapshot: Snapshot) -> Model {
        let now = Arc::new(snapshot);
        let previous = self.previous.take();
        let dt_ns = previous.as_ref().map(|p| now.taken_ns.saturating_sub(p.taken_ns)).filter(|dt| *dt > 0);
        self.rate(previous.as_deref(), &now);
        self.lifecycle.step(previous.as_deref(), &now, self.ghost_ns);
        let counts = count(&now);
        self.previous = Some(Arc::clone(&now));
        let (process_rates, task_rates, host) = (self.process_rates.clone(), self.task_rates.clone(), self.host.clone());
        let recent::Graphs { processes: process_recent, tasks: task_recent } = self.graphs.clone();
        let lifecycle = self.lifecycle.clone();
        Model {
            dt_ns,
            process_rates,
            task_rates,
            process_recent,
            task_recent,
            host,
            counts,
            lifecycle,
            late_ticks: 0,
            facts: None,
            name: None,
            hosts: Arc::default(),
            now,
        }
    }
}

impl Deriver {
    fn rate(&mut self, previous: Option<&Snapshot>, now: &Arc<Snapshot>) {
        // Of a clock that has gone back nothing is known: what comes is over the time from now on.
        let dt_ns = self.base.as_ref().and_then(|base| now.taken_ns.checked_sub(base.taken_ns));
        match previous.filter(|_| dt_ns.is_some_and(|dt| dt < LEAST_NS)) {
            Some(previous) => {
                (self.process_rates, self.task_rates) = rates::carried(previous, (&self.process_rates, &self.task_rates), now);
                self.graphs = self.graphs.next(Some(previous), now, None);
            }
            None => {
                let base = self.base.replace(Arc::clone(now));
                (self.process_rates, self.task_rates) = rates::all(base.as_deref(), now, dt_ns);
                self.host = host::rates(base.as_ref().map(|base| &base.host), &now.host, dt_ns);
                self.graphs = self.graphs.next(previous, now, Some((&self.process_rates, &self.task_rates)));
            }
        }
    }
}

fn count(now: &Snapshot) -> Counts {
    let mut counts = Counts { tasks: Some(0), by_state: now.task_states, ..Counts::default() };
    for p in &now.processes {
        count_state(&mut counts.leaders_by_state, p.leader.state);
        if p.kernel_thread {
            counts.kernel_threads += 1;
        } else {
            counts.processes += 1;
            counts.tasks = counts.tasks.zip(p.nlwp).map(|(sum, n)| sum + u64::from(n));
        }
    }
    counts
}

#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
pub(crate) use tests::{changed as test_changed, process as test_process, snapshot as test_snapshot};
