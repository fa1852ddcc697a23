//! Several hosts in one [`Model`]. Each host has a model of its own, derived from its own frames by its own clock; what is shown of all
//! together is their processes and threads one after the other, with ids that differ ([`id_on_host`]).
//!
//! Times of a process (start, last reading) stay in its own host's clock: [`Model::home`] is the model to compare them with.

use std::sync::Arc;

use crate::snapshot::{
    EventTier, HostSample, ProcKey, ProcessSample, Snapshot, SourceReport, SystemInfo, TaskSample, Tier, host_of, id_on_host,
};

use super::{Counts, Ghost, HostRates, Lifecycle, Model};

/// How a host's stream is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// No frame has come yet.
    Connecting,
    /// Frames come in time.
    Live,
    /// The next frame is overdue.
    Late,
    /// There is no stream: why, since when, and when the next attempt is made (viewer's clock, boot nanoseconds).
    Down {
        /// One sentence; may hold bytes of the host: sanitise before drawing.
        why: String,
        /// Since when.
        since_ns: u64,
        /// When the next attempt is made.
        again_ns: u64,
    },
}

/// One host's stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// How it is doing.
    pub state: LinkState,
    /// When the newest frame arrived, viewer's clock, boot nanoseconds.
    pub arrived_ns: Option<u64>,
    /// What is added to the host's boot clock for the viewer's, nanoseconds: the least seen of the last frames, so that it holds the
    /// shortest way and not the waiting.
    pub offset_ns: i128,
    /// What the host's date is ahead of the viewer's, nanoseconds, the way of a frame included; `None` if it has no date.
    pub date_ahead_ns: Option<i128>,
    /// Frames since the start.
    pub frames: u64,
    /// Frames that should have come by the host's own clock and did not.
    pub lost: u64,
    /// Frames that came more than an interval later than the quickest.
    pub late: u64,
    /// Bytes since the start.
    pub bytes: u64,
}

/// One of several hosts.
#[derive(Debug, Clone)]
pub struct HostPart {
    /// As it was named on the command line, without user.
    pub name: Arc<str>,
    /// What its newest frames say; `None` while there is no stream.
    pub model: Option<Arc<Model>>,
    /// Its stream.
    pub link: Link,
}

impl Link {
    /// Why there is no stream; may hold bytes of the host.
    #[must_use]
    pub fn why_down(&self) -> Option<&str> {
        if let LinkState::Down { why, .. } = &self.state { Some(why) } else { None }
    }
}

impl Model {
    /// All hosts in one; `now_ns` is the viewer's clock.
    #[must_use]
    pub fn of_hosts(hosts: Vec<HostPart>, now_ns: u64) -> Self {
        let mut all = Merged { counts: Counts { tasks: Some(0), ..Counts::default() }, ..Merged::default() };
        for (number, host) in hosts.iter().enumerate() {
            if let Some(model) = &host.model {
                all.add(number, model);
            }
        }
        let system = SystemInfo {
            page_bytes: 4096,
            ticks_per_second: 100,
            hostname: format!("{} hosts", hosts.len()),
            kernel_release: String::new(),
            pid_max: None,
            booted_unix_ns: None,
            utc_offsets: Vec::new(),
        };
        let report = SourceReport {
            tier: Tier::Replay,
            why: String::new(),
            better: None,
            sample_cpu_ns: 0,
            sample_wall_ns: 0,
            events: EventTier::Polling("several hosts are shown".to_owned()),
            events_lost: 0,
            denied: 0,
        };
        let now = Snapshot {
            taken_ns: now_ns,
            system: Arc::new(system),
            host: HostSample::default(),
            processes: all.processes,
            tasks: all.tasks,
            task_states: None,
            events: Vec::new(),
            report,
        };
        let mut lifecycle = Lifecycle::default();
        lifecycle.ghosts = all.ghosts;
        Self {
            dt_ns: None,
            process_rates: Arc::new(all.process_rates),
            task_rates: Arc::new(all.task_rates),
            process_recent: Arc::new(all.process_recent),
            task_recent: Arc::new(all.task_recent),
            host: HostRates::default(),
            counts: all.counts,
            lifecycle,
            late_ticks: 0,
            facts: None,
            name: None,
            hosts: Arc::new(hosts),
            now: Arc::new(now),
        }
    }

    /// The model of the host that an id is of, and what it is called here; this model itself if it is of one machine.
    #[must_use]
    pub fn home(&self, id: i32) -> (&Self, Option<&str>) {
        match self.hosts.get(host_of(id)) {
            Some(host) => (host.model.as_deref().unwrap_or(self), Some(&host.name)),
            None => (self, self.name.as_deref()),
        }
    }
}

/// A process as it is among several hosts.
#[must_use]
pub fn key_on_host(host: usize, key: ProcKey) -> ProcKey {
    ProcKey { pid: id_on_host(host, key.pid), ..key }
}

#[derive(Default)]
struct Merged {
    processes: Vec<ProcessSample>,
    tasks: Vec<TaskSample>,
    process_rates: Vec<Arc<super::Rates>>,
    task_rates: Vec<Arc<super::Rates>>,
    process_recent: Vec<super::Recent>,
    task_recent: Vec<super::Recent>,
    ghosts: Vec<Arc<Ghost>>,
    counts: Counts,
}

impl Merged {
    fn add(&mut self, host: usize, model: &Model) {
        // Ranges of tasks are of 32 bits; a frame has at most 2^19 tasks, so that only very many full ones do not fit.
        let Ok(first) = u32::try_from(self.tasks.len() + model.now.tasks.len()) else { return };
        let first = first - u32::try_from(model.now.tasks.len()).unwrap_or(0);
        self.processes.extend(model.now.processes.iter().map(|process| {
            let mut moved = on_host(host, process);
            moved.tasks = process.tasks.start + first..process.tasks.end + first;
            moved
        }));
        self.tasks.extend(model.now.tasks.iter().map(|task| task_on_host(host, task)));
        self.process_rates.extend(model.process_rates.iter().cloned());
        self.task_rates.extend(model.task_rates.iter().cloned());
        self.process_recent.extend(model.process_recent.iter().copied());
        self.task_recent.extend(model.task_recent.iter().copied());
        let ghosts = model.lifecycle.ghosts.iter();
        self.ghosts.extend(ghosts.map(|ghost| Arc::new(Ghost { last: on_host(host, &ghost.last), ..Ghost::clone(ghost) })));
        self.count(&model.counts);
    }

    fn count(&mut self, more: &Counts) {
        let counts = &mut self.counts;
        counts.tasks = counts.tasks.zip(more.tasks).map(|(a, b)| a + b);
        counts.processes += more.processes;
        counts.kernel_threads += more.kernel_threads;
        counts.leaders_by_state.iter_mut().zip(more.leaders_by_state).for_each(|(sum, more)| *sum += more);
    }
}

fn task_on_host(host: usize, task: &TaskSample) -> TaskSample {
    TaskSample { tid: id_on_host(host, task.tid), tgid: id_on_host(host, task.tgid), ..*task }
}

fn on_host(host: usize, process: &ProcessSample) -> ProcessSample {
    let mut moved = process.clone();
    if host > 0 {
        // One copy for all of them.
        let values: &mut crate::snapshot::ProcessValues = &mut moved;
        values.key = key_on_host(host, values.key);
        for id in [&mut values.ppid, &mut values.pgrp, &mut values.session] {
            *id = id_on_host(host, *id);
        }
        values.leader = task_on_host(host, &values.leader);
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::{Deriver, test_process, test_snapshot};
    use crate::snapshot::pid_on_host;

    fn part(name: &str, model: Option<Model>) -> HostPart {
        let link = Link {
            state: LinkState::Live,
            arrived_ns: None,
            offset_ns: 0,
            date_ahead_ns: None,
            frames: 1,
            lost: 0,
            late: 0,
            bytes: 0,
        };
        HostPart { name: name.into(), model: model.map(Arc::new), link }
    }

    #[test]
    fn the_same_pids_of_several_hosts_stay_apart_each_below_its_own_parent() {
        let one = |ns| {
            Deriver::new(0).step(test_snapshot(ns, vec![test_process(1, 0, 1), test_process(7, 1, 5), test_process(9, 7, 6)]))
        };
        let hosts = vec![part("a", Some(one(1))), part("gone", None), part("c", Some(one(2)))];
        let model = Model::of_hosts(hosts, 99);
        let names: Vec<_> = model.now.processes.iter().map(|p| model.home(p.key.pid).1.unwrap()).collect();
        assert_eq!(names, ["a", "a", "a", "c", "c", "c"]);
        let pids: Vec<_> = model.now.processes.iter().map(|p| pid_on_host(p.key.pid)).collect();
        assert_eq!(pids, [1, 7, 9, 1, 7, 9]);
        assert!(model.now.processes.is_sorted_by(|a, b| a.key.pid < b.key.pid));
        let tree = model.tree(false);
        assert_eq!(tree.roots(), [0, 3]);
        assert_eq!((tree.children(0), tree.children(3), tree.children(4)), (&[1][..], &[4][..], &[5][..]));
        assert_eq!(model.home(model.now.processes[3].key.pid).0.now.taken_ns, 2, "its own clock");
        assert_eq!(model.counts.processes, 6);
    }

    #[test]
    fn tasks_are_those_of_all_hosts_also_if_a_process_of_the_first_has_ended() {
        let mut deriver = Deriver::new(u64::MAX);
        deriver.step(test_snapshot(1, vec![test_process(7, 0, 5), test_process(9, 7, 6)]));
        let first = deriver.step(test_snapshot(2, vec![test_process(7, 0, 5)]));
        assert_eq!(first.lifecycle.ghosts.len(), 1);
        let second = Deriver::new(0).step(test_snapshot(1, vec![test_process(1, 0, 1)]));
        let sum = first.counts.tasks.zip(second.counts.tasks).map(|(a, b)| a + b);
        assert!(sum.is_some());
        assert_eq!(Model::of_hosts(vec![part("a", Some(first)), part("b", Some(second))], 9).counts.tasks, sum);
    }
}
