//! Turns records into samples: group totals, monotonic times, identities.

use std::sync::Arc;

use super::record::{CpuRecord, GroupRecord, Record, TaskRecord};
use crate::kernel::identity::{Holder, IdentityReader, Known, Subject};
use crate::kernel::proc_fs::{ProcFs, RelPath};
use crate::kernel::source::{Needs, Request};
use crate::snapshot::{Comm, ProcKey, ProcessSample, State, SystemInfo, TaskSample, TaskStates, count_state, give_back};

/// In so many sweeps the arguments of every process that ran are looked at again, for programs that rename themselves.
const TURNS: u64 = 16;

/// What is kept of a process between sweeps.
#[derive(Debug)]
pub struct Kept {
    key: ProcKey,
    known: Known,
    exec_id: u64,
    euid: u32,
    comm: Comm,
    /// A kernel thread's name where it is longer than a task's.
    long_comm: Option<Comm>,
    /// Group times as last shown.
    shown: (u64, u64),
    run_ns: u64,
    moved: bool,
}

impl Kept {
    /// Whether any task of it ran since the previous sweep.
    #[must_use]
    pub fn moved(&self) -> bool {
        self.moved
    }
}

impl Holder for Kept {
    fn key(&self) -> Option<ProcKey> {
        Some(self.key)
    }

    fn known(&mut self) -> &mut Known {
        &mut self.known
    }
}

/// A task's times as last shown.
#[derive(Debug, Clone, Copy)]
struct Shown {
    id: (i32, i32),
    start_ticks: u64,
    times: (u64, u64),
}

/// Collects one sweep's records and makes samples of them.
#[derive(Debug, Default)]
pub struct Assembler {
    tick_ns: u64,
    page_bytes: u64,
    sweep: u64,
    with_tasks: bool,
    groups: Vec<GroupRecord>,
    tasks: Vec<TaskRecord>,
    kept: Vec<Kept>,
    spare: Vec<Kept>,
    adopted: Vec<(ProcKey, Known)>,
    shown: Vec<Shown>,
    shown_spare: Vec<Shown>,
}

impl Assembler {
    /// For a machine with these constants.
    #[must_use]
    pub fn new(system: &SystemInfo) -> Self {
        Self { tick_ns: system.tick_ns().max(1), page_bytes: system.page_bytes, ..Self::default() }
    }

    /// What another source knows of identities; ascending pid.
    pub fn adopt(&mut self, identities: Vec<(ProcKey, Known)>) {
        self.adopted = identities;
    }

    /// What is kept of the processes of the last sweep, in their order.
    #[must_use]
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// A new sweep.
    pub fn begin(&mut self, request: &Request<'_>) {
        self.sweep += 1;
        self.with_tasks = (request.all | request.visible_needs).contains(Needs::THREADS);
        self.groups.clear();
        self.tasks.clear();
    }

    /// One record of it, read so long after the sweep began.
    pub fn take(&mut self, record: Record, read_after_ns: u64) {
        match record {
            Record::Group(group) => self.groups.push(GroupRecord { read_after_ns, ..group }),
            Record::Task(task) => self.tasks.push(task),
        }
    }

    /// States of all tasks of the sweep that was finished last.
    #[must_use]
    pub fn states(&self) -> TaskStates {
        let mut states = TaskStates::default();
        let leaders = self.groups.iter().map(|group| &group.task);
        leaders.chain(&self.tasks).for_each(|task| count_state(&mut states, task.state));
        states
    }

    /// The samples: processes ascending by pid and the tasks of multi-threaded ones.
    pub fn finish(
        &mut self,
        request: &Request<'_>,
        identities: &mut IdentityReader,
        fs: &ProcFs,
    ) -> (Vec<ProcessSample>, Vec<TaskSample>) {
        // The kernel walks ascending tids: leaders come sorted, threads sorted by tid but mixed over processes.
        self.groups.sort_by_key(|group| group.task.tid);
        self.groups.dedup_by_key(|group| group.task.tid);
        self.tasks.sort_unstable_by_key(|task| (task.tgid, task.tid));
        let groups = std::mem::take(&mut self.groups);
        self.merge(&groups, identities);
        let mut processes = Vec::with_capacity(groups.len());
        let mut tasks = Vec::with_capacity(if self.with_tasks { self.tasks.len() + 64 } else { 0 });
        self.shown_spare.clear();
        let mut next_task = 0;
        let turn = self.sweep % TURNS;
        let visible = visible_pids(request);
        for (index, group) in groups.iter().enumerate() {
            let threads = self.threads_of(group.task.tid, &mut next_task);
            self.refresh_kept(index, group, &threads);
            let on_screen = visible.binary_search(&group.task.tid).is_ok();
            let needs = if on_screen { request.all | request.visible_needs } else { request.all };
            self.refresh_identity(index, group, needs, (turn, on_screen), identities, fs);
        }
        identities.catch_up(&mut self.kept, fs, request.budget);
        next_task = 0;
        for (index, group) in groups.iter().enumerate() {
            let threads = self.threads_of(group.task.tid, &mut next_task);
            processes.push(self.sample(index, group, threads, &mut tasks));
        }
        // After the tids have wrapped around, a thread's may be lower than its leader's.
        if !self.shown_spare.is_sorted_by_key(|shown| shown.id) {
            self.shown_spare.sort_unstable_by_key(|shown| shown.id);
        }
        std::mem::swap(&mut self.shown, &mut self.shown_spare);
        self.groups = groups;
        self.give_back();
        (processes, tasks)
    }

    /// What a crowd took and the tasks of now do not need.
    fn give_back(&mut self) {
        let (groups, tasks) = (self.groups.len(), self.tasks.len());
        give_back(&mut self.groups, groups);
        give_back(&mut self.tasks, tasks);
        give_back(&mut self.kept, groups);
        give_back(&mut self.spare, groups);
        let shown = self.shown.len();
        give_back(&mut self.shown, shown);
        give_back(&mut self.shown_spare, shown);
    }

    /// Makes what is kept match the groups, both ascending by pid; a pid with another start time is a new process.
    fn merge(&mut self, groups: &[GroupRecord], identities: &IdentityReader) {
        let mut old = std::mem::take(&mut self.kept);
        let mut new = std::mem::take(&mut self.spare);
        let mut known = old.drain(..).peekable();
        let adopted = std::mem::take(&mut self.adopted);
        for group in groups {
            let key = self.key(&group.task);
            while known.next_if(|kept| kept.key.pid < key.pid).is_some() {}
            let same = known.next_if(|kept| kept.key.pid == key.pid).filter(|kept| kept.key == key);
            new.push(same.unwrap_or_else(|| {
                let adopted = adopted.binary_search_by_key(&key, |(key, _)| *key).ok().and_then(|index| adopted.get(index));
                Kept {
                    key,
                    known: adopted.map_or_else(|| identities.unknown(), |(_, known)| known.clone()),
                    exec_id: group.exec_id,
                    euid: group.euid,
                    comm: group.task.comm,
                    long_comm: None,
                    shown: (0, 0),
                    run_ns: 0,
                    moved: true,
                }
            }));
        }
        drop(known);
        self.kept = new;
        self.spare = old;
    }

    fn key(&self, task: &TaskRecord) -> ProcKey {
        ProcKey { pid: task.tid, start_ticks: task.start_ns / self.tick_ns }
    }

    /// The range of `self.tasks` that belongs to `tgid`; `next` moves on, as groups ascend.
    fn threads_of(&self, tgid: i32, next: &mut usize) -> std::ops::Range<usize> {
        while self.tasks.get(*next).is_some_and(|task| task.tgid < tgid) {
            *next += 1;
        }
        let first = *next;
        while self.tasks.get(*next).is_some_and(|task| task.tgid == tgid) {
            *next += 1;
        }
        first..*next
    }

    fn refresh_kept(&mut self, index: usize, group: &GroupRecord, threads: &std::ops::Range<usize>) {
        let threads = self.tasks.get(threads.clone()).unwrap_or_default();
        let Some(kept) = self.kept.get_mut(index) else { return };
        let times = sum_times(group, threads);
        kept.shown = times.adjusted(kept.shown);
        // Running tasks are charged when they leave the CPU or at the tick, whichever comes first.
        let running = group.task.state == State::RUNNING || threads.iter().any(|task| task.state == State::RUNNING);
        kept.moved = running || kept.run_ns != times.run_ns;
        kept.run_ns = times.run_ns;
    }

    fn refresh_identity(
        &mut self,
        index: usize,
        group: &GroupRecord,
        needs: Needs,
        (turn, on_screen): (u64, bool),
        identities: &mut IdentityReader,
        fs: &ProcFs,
    ) {
        let Some(kept) = self.kept.get_mut(index) else { return };
        let pid = kept.key.pid;
        let over = matches!(group.task.state, State::ZOMBIE | State::DEAD);
        let subject = Subject { pid, kernel_thread: group.task.kernel_thread, over };
        let is_new = kept.known.identity.uid.is_none();
        let execed = !over && (kept.exec_id != group.exec_id || kept.comm != group.task.comm);
        let its_turn = u64::from(pid.unsigned_abs()) % TURNS == turn;
        let has_turn = its_turn && kept.moved;
        if execed {
            kept.known.forget_lazy();
        }
        // A change that could not be read is looked at again in the next sweep.
        let mut owner_read = true;
        if is_new || execed || has_turn {
            owner_read = identities.refresh(&mut kept.known, subject, fs);
            // Only kernel threads have names beyond 15 bytes, and those of workers change with every piece of work.
            if subject.kernel_thread && group.task.comm.as_bytes().len() == 15 {
                let mut buffer = [0; 64];
                let name = fs.read_once(&RelPath::process(pid, "comm"), &mut buffer).ok();
                kept.long_comm = name
                    .map(|name| Comm::new(name.trim_ascii_end()))
                    .filter(|name| name.as_bytes().starts_with(group.task.comm.as_bytes()));
            }
        } else if kept.euid != group.euid {
            owner_read = identities.refresh_owner(&mut kept.known, pid, fs);
        }
        identities.complete(&mut kept.known, needs, its_turn || on_screen, subject, fs);
        (kept.exec_id, kept.comm) = (group.exec_id, group.task.comm);
        if owner_read {
            kept.euid = group.euid;
        }
    }

    fn sample(
        &mut self,
        index: usize,
        group: &GroupRecord,
        threads: std::ops::Range<usize>,
        tasks: &mut Vec<TaskSample>,
    ) -> ProcessSample {
        let kept = &self.kept[index];
        // The only task there ever was: the group's times are its own. The kernel splits both the same way but remembers them apart, and
        // two splits of one sum would look like an error.
        let alone = group.task.nr_threads <= 1 && group.exited.run_ns == 0;
        let leader_times = if alone { kept.shown } else { self.shown_times(&group.task) };
        let kept = &self.kept[index];
        let mut leader = self.task_sample(&group.task, leader_times);
        if let Some(long) = kept.long_comm {
            leader.comm = long;
        }
        let first = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        if self.with_tasks && group.task.nr_threads > 1 {
            self.push_tasks(leader, threads.clone(), tasks);
        }
        let range = first..u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        let kept = &self.kept[index];
        let threads = self.tasks.get(threads).unwrap_or_default();
        let own = &group.task;
        let sum = |of: fn(&TaskRecord) -> u64| threads.iter().map(of).fold(of(own), u64::saturating_add);
        let memory = group.memory.filter(|_| !own.kernel_thread && !matches!(own.state, State::ZOMBIE | State::DEAD));
        let bytes = |pages: u64| pages.saturating_mul(self.page_bytes);
        let delays = std::iter::once(own)
            .chain(threads)
            .map(|task| task.run_delay_ns)
            .try_fold(0u64, |sum, delay| sum.checked_add(delay?));
        ProcessSample {
            key: kept.key,
            read_after_ns: group.read_after_ns,
            ppid: group.ppid,
            pgrp: group.pgrp,
            session: group.session,
            tty_nr: group.tty_nr,
            kernel_thread: own.kernel_thread,
            identity: Arc::clone(&kept.known.identity),
            leader,
            nlwp: (own.nr_threads > 0).then_some(own.nr_threads),
            utime_ns: Some(kept.shown.0),
            stime_ns: Some(kept.shown.1),
            run_ns: Some(sum(|task| task.times.run_ns)),
            run_delay_ns: delays,
            voluntary_switches: Some(sum(|task| task.nvcsw)),
            involuntary_switches: Some(sum(|task| task.nivcsw)),
            minor_faults: Some(sum(|task| task.min_flt).saturating_add(group.exited_min_flt)),
            major_faults: Some(sum(|task| task.maj_flt).saturating_add(group.exited_maj_flt)),
            virt_bytes: memory.map(|memory| bytes(memory.total_vm)),
            rss_bytes: memory.map(|memory| bytes(memory.file.saturating_add(memory.anon).saturating_add(memory.shmem))),
            rss_anon_bytes: memory.map(|memory| bytes(memory.anon)),
            rss_file_bytes: memory.map(|memory| bytes(memory.file)),
            rss_shmem_bytes: memory.map(|memory| bytes(memory.shmem)),
            shared_bytes: memory.map(|memory| bytes(memory.file.saturating_add(memory.shmem))),
            swap_bytes: memory.map(|memory| bytes(memory.swap)),
            tasks: range,
            exact: None,
        }
    }

    /// The process's tasks, leader included, ascending tid.
    fn push_tasks(&mut self, leader: TaskSample, threads: std::ops::Range<usize>, tasks: &mut Vec<TaskSample>) {
        let first = tasks.len();
        tasks.push(leader);
        for index in threads {
            let task = self.tasks[index];
            let times = self.shown_times(&task);
            tasks.push(self.task_sample(&task, times));
        }
        // After the tids have wrapped around, a thread's may be lower than its leader's.
        if let Some(own) = tasks.get_mut(first..) {
            own.sort_unstable_by_key(|task| task.tid);
        }
    }

    /// The task's times, not lower than those shown in the previous sweep.
    fn shown_times(&mut self, task: &TaskRecord) -> (u64, u64) {
        let (id, start_ticks) = ((task.tgid, task.tid), task.start_ns / self.tick_ns);
        let before = self.shown.binary_search_by_key(&id, |shown| shown.id).ok().and_then(|index| self.shown.get(index));
        let before = before.filter(|shown| shown.start_ticks == start_ticks).map_or((0, 0), |shown| shown.times);
        let times = task.times.adjusted(before);
        self.shown_spare.push(Shown { id, start_ticks, times });
        times
    }

    fn task_sample(&self, task: &TaskRecord, (utime_ns, stime_ns): (u64, u64)) -> TaskSample {
        TaskSample {
            tid: task.tid,
            tgid: task.tgid,
            start_ticks: task.start_ns / self.tick_ns,
            state: task.state,
            comm: task.comm,
            utime_ns: Some(utime_ns),
            stime_ns: Some(stime_ns),
            run_ns: Some(task.times.run_ns),
            run_delay_ns: task.run_delay_ns,
            voluntary_switches: Some(task.nvcsw),
            involuntary_switches: Some(task.nivcsw),
            minor_faults: Some(task.min_flt),
            major_faults: Some(task.maj_flt),
            priority: task.priority,
            nice: task.nice,
            policy: Some(task.policy),
            rt_priority: Some(task.rt_priority),
            last_cpu: task.cpu,
        }
    }
}

/// The group's times: those of threads that ended and of all that live, to be adjusted as one.
fn sum_times(group: &GroupRecord, threads: &[TaskRecord]) -> CpuRecord {
    let mut sum = group.exited;
    for task in std::iter::once(&group.task).chain(threads) {
        sum.utime_ns = sum.utime_ns.saturating_add(task.times.utime_ns);
        sum.stime_ns = sum.stime_ns.saturating_add(task.times.stime_ns);
        sum.run_ns = sum.run_ns.saturating_add(task.times.run_ns);
    }
    sum
}

fn visible_pids(request: &Request<'_>) -> Vec<i32> {
    let mut pids: Vec<i32> = request.visible.iter().map(|key| key.pid).collect();
    pids.sort_unstable();
    pids
}
