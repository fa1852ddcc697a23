//! The source's state per process and task between sweeps, and its conversion to samples.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::kernel::identity::{Holder, Known, Subject};
use crate::kernel::parse::schedstat::Schedstat;
use crate::kernel::parse::stat::Stat;
use crate::kernel::parse::status::Status;
use crate::kernel::source::Needs;
use crate::snapshot::{ProcKey, ProcessSample, SystemInfo, TaskSample};

/// Units of the machine's files, worked out once.
#[derive(Debug, Clone, Copy)]
pub struct Units {
    /// Nanoseconds per clock tick.
    pub tick_ns: u64,
    /// Bytes per page.
    pub page_bytes: u64,
}

impl Units {
    /// Those of `system`.
    #[must_use]
    pub fn of(system: &SystemInfo) -> Self {
        Self { tick_ns: system.tick_ns(), page_bytes: system.page_bytes }
    }
}

/// One task's scheduling figures and the descriptor kept to read them again.
#[derive(Debug, Default)]
pub struct Gate {
    /// Kept descriptor of `schedstat`, if the budget allowed one.
    pub file: Option<OwnedFd>,
    /// Last reading; `None` if it was never read, is not there, or is not kept by the kernel.
    pub last: Option<Schedstat>,
}

/// A task of a multi-threaded process.
#[derive(Debug)]
pub struct TaskEntry {
    /// Its tid.
    pub tid: i32,
    /// Scheduling figures.
    pub gate: Gate,
    /// `task/TID/stat` as last read; `None` until tasks are asked for.
    pub stat: Option<Stat>,
    /// Voluntary and involuntary switches as last read.
    pub switches: Option<(u64, u64)>,
}

impl TaskEntry {
    /// A task about which nothing is known yet.
    #[must_use]
    pub fn new(tid: i32) -> Self {
        Self { tid, gate: Gate::default(), stat: None, switches: None }
    }

    /// Its sample; `None` if its `stat` was not read.
    #[must_use]
    pub fn sample(&self, tgid: i32, units: Units) -> Option<TaskSample> {
        let stat = self.stat.as_ref()?;
        Some(TaskSample {
            run_ns: self.gate.last.map(|sched| sched.run_ns),
            run_delay_ns: self.gate.last.map(|sched| sched.run_delay_ns),
            voluntary_switches: self.switches.map(|(voluntary, _)| voluntary),
            involuntary_switches: self.switches.map(|(_, involuntary)| involuntary),
            ..task_sample(stat, tgid, units)
        })
    }
}

/// Resident and shared pages as `statm` gives them, exact at the time of reading.
#[derive(Debug, Clone, Copy)]
pub struct Pages {
    /// Resident.
    pub resident: u64,
    /// Of them file-backed or shared.
    pub shared: u64,
}

/// One process.
#[derive(Debug)]
pub struct Entry {
    /// Its pid.
    pub pid: i32,
    /// `PID/stat` as last read; `None` until the first reading.
    pub stat: Option<Stat>,
    /// The leader's scheduling figures, used while the process is single-threaded.
    pub gate: Gate,
    /// Kept descriptor of `stat`, for processes whose `stat` is read in every sweep.
    pub stat_file: Option<OwnedFd>,
    /// What only changes at exec.
    pub known: Known,
    /// When its counters were read in this sweep, `CLOCK_BOOTTIME` nanoseconds.
    pub read_ns: u64,
    /// Whether `stat` was read in this sweep.
    pub fresh: bool,
    /// Whether the process ran since the previous sweep, or nobody can tell.
    pub moved: bool,
    /// Whether anything but `stat` has to be read again because the process ran since it was read ([`Needs`] still to do).
    pub stale: Needs,
    /// `status`, if it was asked for.
    pub status: Option<Box<Status>>,
    /// `statm`, if it was asked for.
    pub pages: Option<Pages>,
    /// Tasks of a multi-threaded process, ascending tid; empty otherwise.
    pub tasks: Vec<TaskEntry>,
}

impl Entry {
    /// A process about which nothing is known yet.
    #[must_use]
    pub fn new(pid: i32, known: Known) -> Self {
        Self {
            pid,
            stat: None,
            gate: Gate::default(),
            stat_file: None,
            known,
            read_ns: 0,
            fresh: false,
            moved: true,
            stale: Needs::all(),
            status: None,
            pages: None,
            tasks: Vec::new(),
        }
    }

    /// Whose identity `known` is.
    #[must_use]
    pub fn subject(&self) -> Subject {
        let (kernel_thread, over) = self.stat.map_or((false, false), |stat| (stat.kernel_thread, stat.is_over()));
        Subject { pid: self.pid, kernel_thread, over }
    }

    /// Its identity, once `stat` was read.
    #[must_use]
    pub fn key(&self) -> Option<ProcKey> {
        self.stat.map(|stat| ProcKey { pid: self.pid, start_ticks: stat.start_ticks })
    }

    /// Whether it has more than one task.
    #[must_use]
    pub fn is_threaded(&self) -> bool {
        self.stat.is_some_and(|stat| stat.nlwp > 1)
    }

    /// How many descriptors it keeps open.
    #[must_use]
    pub fn kept_files(&self) -> usize {
        usize::from(self.gate.file.is_some())
            + usize::from(self.stat_file.is_some())
            + self.tasks.iter().filter(|task| task.gate.file.is_some()).count()
    }

    /// The process's sample of a sweep that began at `begun_ns`; its tasks are appended to `tasks` if `with_tasks`. `None` if its `stat` was never read.
    #[must_use]
    pub fn sample(&self, units: Units, begun_ns: u64, with_tasks: bool, tasks: &mut Vec<TaskSample>) -> Option<ProcessSample> {
        let stat = self.stat.as_ref()?;
        let first = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        if with_tasks {
            tasks.extend(self.tasks.iter().filter_map(|task| task.sample(self.pid, units)));
        }
        let range = first..u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        let has_memory = !stat.kernel_thread && !stat.is_over();
        let memory = |bytes: u64| has_memory.then_some(bytes);
        let status = self.status.as_deref().filter(|_| has_memory);
        let pages = self.pages.filter(|_| has_memory);
        let totals = self.totals(stat);
        Some(ProcessSample {
            key: ProcKey { pid: self.pid, start_ticks: stat.start_ticks },
            read_after_ns: self.read_ns.saturating_sub(begun_ns),
            ppid: stat.ppid,
            pgrp: stat.pgrp,
            session: stat.session,
            tty_nr: stat.tty_nr,
            kernel_thread: stat.kernel_thread,
            identity: Arc::clone(&self.known.identity),
            leader: self.leader(stat, units, tasks.get(range.start as usize..).unwrap_or_default()),
            nlwp: (stat.nlwp > 0).then_some(stat.nlwp),
            utime_ns: Some(stat.utime_ticks.saturating_mul(units.tick_ns)),
            stime_ns: Some(stat.stime_ticks.saturating_mul(units.tick_ns)),
            run_ns: totals.run.map(|(run, _)| run),
            run_delay_ns: totals.run.map(|(_, delay)| delay),
            voluntary_switches: totals.switches.map(|(voluntary, _)| voluntary),
            involuntary_switches: totals.switches.map(|(_, involuntary)| involuntary),
            minor_faults: Some(stat.minor_faults),
            major_faults: Some(stat.major_faults),
            virt_bytes: memory(stat.virt_bytes),
            rss_bytes: memory(pages.map_or(stat.rss_pages, |pages| pages.resident).saturating_mul(units.page_bytes)),
            rss_anon_bytes: status.and_then(|status| status.rss_anon_bytes),
            rss_file_bytes: status.and_then(|status| status.rss_file_bytes),
            rss_shmem_bytes: status.and_then(|status| status.rss_shmem_bytes),
            shared_bytes: pages.map(|pages| pages.shared.saturating_mul(units.page_bytes)),
            swap_bytes: status.and_then(|status| status.swap_bytes),
            tasks: range,
            exact: None,
        })
    }

    /// The leader's own values: from its own file where that was read; of a single-threaded process the group's are its own.
    fn leader(&self, stat: &Stat, units: Units, own_tasks: &[TaskSample]) -> TaskSample {
        if let Some(leader) = own_tasks.iter().find(|task| task.tid == self.pid) {
            return *leader;
        }
        let mut base = task_sample(stat, self.pid, units);
        // The file's times and faults are the group's: those of threads that live, which nobody asked for, or of threads that ended,
        // which shows in the group having used more than the leader did.
        let own_ns = self.gate.last.map(|sched| sched.run_ns.saturating_add(2 * units.tick_ns));
        let group_ns = stat.utime_ticks.saturating_add(stat.stime_ticks).saturating_mul(units.tick_ns);
        if stat.nlwp > 1 || own_ns.is_some_and(|own| group_ns > own) {
            base = TaskSample { utime_ns: None, stime_ns: None, minor_faults: None, major_faults: None, ..base };
        }
        if stat.nlwp > 1 {
            return base;
        }
        let switches = self.status.as_deref();
        TaskSample {
            run_ns: self.gate.last.map(|sched| sched.run_ns),
            run_delay_ns: self.gate.last.map(|sched| sched.run_delay_ns),
            voluntary_switches: switches.and_then(|status| status.voluntary_switches),
            involuntary_switches: switches.and_then(|status| status.involuntary_switches),
            ..base
        }
    }

    /// Sums over the live tasks; each `None` unless every task's value was read.
    fn totals(&self, stat: &Stat) -> Totals {
        if stat.nlwp <= 1 {
            let switches = self.status.as_deref();
            return Totals {
                run: self.gate.last.map(|sched| (sched.run_ns, sched.run_delay_ns)),
                switches: switches.and_then(|status| status.voluntary_switches.zip(status.involuntary_switches)),
            };
        }
        if self.tasks.is_empty() {
            return Totals::default();
        }
        let pair = |left: (u64, u64), right: (u64, u64)| (left.0.saturating_add(right.0), left.1.saturating_add(right.1));
        Totals {
            run: self
                .tasks
                .iter()
                .map(|task| task.gate.last.map(|s| (s.run_ns, s.run_delay_ns)))
                .try_fold((0, 0), |sum, v| Some(pair(sum, v?))),
            switches: self.tasks.iter().map(|task| task.switches).try_fold((0, 0), |sum, v| Some(pair(sum, v?))),
        }
    }
}

impl Holder for Entry {
    fn key(&self) -> Option<ProcKey> {
        Entry::key(self)
    }

    fn known(&mut self) -> &mut Known {
        &mut self.known
    }
}

#[derive(Debug, Default)]
struct Totals {
    run: Option<(u64, u64)>,
    switches: Option<(u64, u64)>,
}

/// A task's sample from its `stat`, without what other files tell.
fn task_sample(stat: &Stat, tgid: i32, units: Units) -> TaskSample {
    TaskSample {
        tid: stat.pid,
        tgid,
        start_ticks: stat.start_ticks,
        state: stat.state,
        comm: stat.comm,
        utime_ns: Some(stat.utime_ticks.saturating_mul(units.tick_ns)),
        stime_ns: Some(stat.stime_ticks.saturating_mul(units.tick_ns)),
        run_ns: None,
        run_delay_ns: None,
        voluntary_switches: None,
        involuntary_switches: None,
        minor_faults: Some(stat.minor_faults),
        major_faults: Some(stat.major_faults),
        priority: stat.priority,
        nice: stat.nice,
        policy: stat.policy,
        rt_priority: stat.rt_priority,
        last_cpu: stat.last_cpu,
    }
}
