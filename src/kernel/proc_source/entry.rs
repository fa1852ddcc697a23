//! The source's state per process and task between sweeps, and its conversion to samples.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::kernel::identity::{Holder, Known, Subject};
use crate::kernel::parse::schedstat::Schedstat;
use crate::kernel::parse::stat::Stat;
use crate::kernel::parse::status::Status;
use crate::snapshot::Needs;
use crate::snapshot::{ProcKey, ProcessSample, ProcessValues, Seen, SystemInfo, TaskSample};

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
    /// What was seen of it.
    pub seen: Option<Seen>,
    /// When its life began as far as it was seen, `CLOCK_BOOTTIME` nanoseconds.
    since_ns: Option<u64>,
}

impl TaskEntry {
    /// A task about which nothing is known yet.
    #[must_use]
    pub fn new(tid: i32) -> Self {
        Self { tid, gate: Gate::default(), stat: None, switches: None, seen: None, since_ns: None }
    }

    /// Notes its figures as read at `now_ns`. `kept`: the kernel keeps such figures, so where it shows none the task has not run yet.
    pub fn note(&mut self, now_ns: u64, kept: bool) {
        let figures = self.gate.last.or(kept.then(Schedstat::default));
        self.seen = figures.map(|sched| {
            let least_life = sched.run_ns.saturating_add(sched.run_delay_ns);
            let since = *self.since_ns.get_or_insert(now_ns.saturating_sub(least_life));
            let seen = Seen::thread(now_ns.saturating_sub(since), sched.run_ns, Some(sched.run_delay_ns));
            Seen { switches: self.switches, ..seen }
        });
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
    /// Whether the process ran since the previous sweep, or that is unknown.
    pub moved: bool,
    /// Whether anything but `stat` has to be read again because the process ran since it was read ([`Needs`] still to do).
    pub stale: Needs,
    /// `status`, if it was asked for.
    pub status: Option<Box<Status>>,
    /// `statm`, if it was asked for.
    pub pages: Option<Pages>,
    /// Tasks of a multi-threaded process, ascending tid; empty otherwise.
    pub tasks: Vec<TaskEntry>,
    /// Whether the tasks were read in this sweep.
    pub tasks_fresh: bool,
    /// What was seen of threads that have ended; `None` if none were seen to.
    gone: Option<Box<Seen>>,
    /// Whether threads are known to have ended, also before they could be seen.
    pub threads_ended: bool,
    /// What was seen of all threads, if all living ones were read in this sweep.
    seen: Option<Seen>,
    /// CPU time of the whole group; never falls.
    run_ns: u64,
    /// CPU time of threads that ended, as far as it was not seen.
    unseen_ns: u64,
    /// `stat` of the thread that speaks for a process whose main thread has ended.
    pub face: Option<Box<Stat>>,
    /// Whether it ran since its arguments were read: it may have given itself another title.
    pub title_stale: bool,
    /// The values of the last sample.
    last: Option<Arc<ProcessValues>>,
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
            tasks_fresh: false,
            gone: None,
            threads_ended: false,
            seen: None,
            run_ns: 0,
            unseen_ns: 0,
            face: None,
            title_stale: true,
            last: None,
        }
    }

    fn gone(&self) -> Seen {
        self.gone.as_deref().copied().unwrap_or(Seen::NOTHING)
    }

    /// Whose identity `known` is.
    #[must_use]
    pub fn subject(&self) -> Subject {
        let (kernel_thread, over) = self.stat.map_or((false, false), |stat| (stat.kernel_thread, stat.is_over()));
        Subject { pid: self.pid, tid: self.face_tid(), kernel_thread, over }
    }

    /// The thread whose files tell of the process: the main thread, or one that outlived it.
    #[must_use]
    pub fn face_tid(&self) -> i32 {
        self.face.as_ref().map_or(self.pid, |face| face.pid)
    }

    /// Keeps what was seen of tasks that have ended.
    pub fn bury(&mut self, ended: impl IntoIterator<Item = TaskEntry>) {
        for task in ended {
            let seen = task.seen.unwrap_or(Seen { switches: None, ..Seen::NOTHING });
            self.gone = Some(Box::new(self.gone().plus(seen.ended())));
            self.threads_ended = true;
        }
    }

    /// Works out the counters that `/proc` does not give as such, after everything else was read.
    ///
    /// `stat` gives the CPU time of the whole group, ended threads included, with user and system time each cut to clock ticks: the exact
    /// sum is at least that, and less than two ticks more. Within these bounds the sum follows the living threads' `schedstat`. `exact_ns`
    /// is the exact sum, where it was read: at the first reading nothing else shows how much of it is that of threads that have ended.
    pub fn account(&mut self, units: Units, exact_ns: Option<u64>) {
        let Some(stat) = self.stat else { return };
        let living = if self.is_threaded() { self.seen_of_tasks() } else { self.seen_of_single(&stat, units) };
        self.seen = living.map(|living| living.plus(self.gone()));
        let least = stat.utime_ticks.saturating_add(stat.stime_ticks).saturating_mul(units.tick_ns);
        let most = least.saturating_add((2 * units.tick_ns).saturating_sub(1));
        let seen_ns = self.seen.map_or(0, |seen| seen.run_ns);
        let expected = if self.seen.is_some() { seen_ns.saturating_add(self.unseen_ns) } else { self.run_ns };
        let total = exact_ns.unwrap_or(expected).clamp(least, most);
        if self.seen.is_some() {
            // Two ticks are what reading one file after the other may be off.
            self.threads_ended |= least > expected.saturating_add(2 * units.tick_ns);
            self.unseen_ns = total.saturating_sub(seen_ns);
        }
        self.run_ns = self.run_ns.max(total);
    }

    fn seen_of_single(&self, stat: &Stat, units: Units) -> Option<Seen> {
        let sched = self.gate.last?;
        let life_ns = self.read_ns.saturating_sub(stat.start_ticks.saturating_mul(units.tick_ns));
        let status = self.status.as_deref().filter(|_| !self.stale.contains(Needs::STATUS));
        let switches = status.and_then(|status| status.voluntary_switches.zip(status.involuntary_switches));
        Some(Seen { switches, ..Seen::thread(life_ns, sched.run_ns, Some(sched.run_delay_ns)) })
    }

    fn seen_of_tasks(&self) -> Option<Seen> {
        let tasks = self.tasks_fresh.then_some(&self.tasks).filter(|tasks| !tasks.is_empty())?;
        tasks.iter().try_fold(Seen::NOTHING, |sum, task| Some(sum.plus(task.seen?)))
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

    /// Closes the files that are kept; how many they were.
    pub fn close_files(&mut self) -> usize {
        let kept = self.kept_files();
        self.gate.file = None;
        self.stat_file = None;
        self.tasks.iter_mut().for_each(|task| task.gate.file = None);
        kept
    }

    /// The process's sample of a sweep that began at `begun_ns`; its tasks are appended to `tasks` if `with_tasks`. `None` if its `stat` was never read.
    #[must_use]
    pub fn sample(
        &mut self,
        units: Units,
        begun_ns: u64,
        with_tasks: bool,
        tasks: &mut Vec<TaskSample>,
    ) -> Option<ProcessSample> {
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
        let of_memory = self.face.as_deref().unwrap_or(stat);
        let total = self.seen.and_then(|seen| seen.switches).filter(|_| !self.threads_ended);
        let values = ProcessValues {
            key: ProcKey { pid: self.pid, start_ticks: stat.start_ticks },
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
            run_ns: Some(self.run_ns),
            seen: self.seen,
            voluntary_switches: total.map(|(voluntary, _)| voluntary),
            involuntary_switches: total.map(|(_, involuntary)| involuntary),
            minor_faults: Some(stat.minor_faults),
            major_faults: Some(stat.major_faults),
            virt_bytes: memory(of_memory.virt_bytes),
            rss_bytes: memory(pages.map_or(of_memory.rss_pages, |pages| pages.resident).saturating_mul(units.page_bytes)),
            rss_anon_bytes: status.and_then(|status| status.rss_anon_bytes),
            rss_file_bytes: status.and_then(|status| status.rss_file_bytes),
            rss_shmem_bytes: status.and_then(|status| status.rss_shmem_bytes),
            shared_bytes: pages.map(|pages| pages.shared.saturating_mul(units.page_bytes)),
            swap_bytes: status.and_then(|status| status.swap_bytes),
        };
        let read_after_ns = self.read_ns.saturating_sub(begun_ns);
        let mut sample = ProcessSample::sharing(values, &mut self.last);
        (sample.read_after_ns, sample.tasks) = (read_after_ns, range);
        Some(sample)
    }

    /// The leader's own values: from its own file where that was read; of a single-threaded process the group's are its own.
    fn leader(&self, stat: &Stat, units: Units, own_tasks: &[TaskSample]) -> TaskSample {
        if let Some(face) = &self.face {
            let read = own_tasks.iter().find(|task| task.tid == face.pid);
            let living = read.copied().unwrap_or_else(|| task_sample(face, self.pid, units));
            return TaskSample { comm: stat.comm, start_ticks: stat.start_ticks, ..living };
        }
        if let Some(leader) = own_tasks.iter().find(|task| task.tid == self.pid) {
            return *leader;
        }
        let mut base = task_sample(stat, self.pid, units);
        // The file's times and faults are the group's. Those of other threads are among them if such live (they were not
        // asked for), or if such have ended: then the group has used more than the leader did.
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
}

impl Holder for Entry {
    fn key(&self) -> Option<ProcKey> {
        Entry::key(self)
    }

    fn known(&mut self) -> &mut Known {
        &mut self.known
    }
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
