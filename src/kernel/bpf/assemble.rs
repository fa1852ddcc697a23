//! Turns records into samples: group totals, monotonic times, identities.

use std::sync::Arc;

use super::record::{GroupRecord, Record, Sums, TaskRecord};
use super::sightings::{Sightings, seen};
use crate::kernel::identity::{Holder, IdentityReader, Known, Subject, TITLE_TURNS, title_is_due};
use crate::kernel::main_ended;
use crate::kernel::parse::ParseError;
use crate::kernel::proc_fs::{ProcFs, RelPath};
use crate::kernel::source::{Needs, Request};
use crate::snapshot::{
    Comm, ProcKey, ProcessSample, ProcessValues, Seen, State, SystemInfo, TaskSample, TaskStates, count_state, give_back,
};

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
    /// Counters as last shown.
    totals: Sums,
    /// What was seen of threads that ended.
    gone: Option<Box<Seen>>,
    /// The values of the last sample.
    last: Option<Arc<ProcessValues>>,
    moved: bool,
    /// Whether it ran since its arguments were read: it may have given itself another title.
    title_stale: bool,
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
    begun_ns: u64,
    with_tasks: bool,
    sightings: Sightings,
    groups: Vec<GroupRecord>,
    tasks: Vec<TaskRecord>,
    kept: Vec<Kept>,
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

    /// A new sweep, which begins at `begun_ns` (`CLOCK_BOOTTIME`).
    pub fn begin(&mut self, request: &Request<'_>, begun_ns: u64) {
        self.sweep += 1;
        self.begun_ns = begun_ns;
        self.sightings.begin();
        self.with_tasks = (request.all | request.visible_needs).contains(Needs::THREADS);
        self.groups.clear();
        self.tasks.clear();
    }

    /// One record of it, read so long after the sweep began.
    ///
    /// # Errors
    /// If its layout is another program's.
    pub fn take(&mut self, record: Record<'_>, read_after_ns: u64) -> Result<(), ParseError> {
        if record.is_group() {
            self.groups.push(record.group(read_after_ns)?);
        } else {
            self.tasks.push(record.task()?);
        }
        Ok(())
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
        let mut seen_of = Vec::with_capacity(groups.len());
        let mut next_task = 0;
        let visible = visible_pids(request);
        for (index, group) in groups.iter().enumerate() {
            let threads = self.threads_of(group.task.tid, &mut next_task);
            let seen = self.refresh_kept(index, group, &threads);
            let on_screen = visible.binary_search(&group.task.tid).is_ok();
            let needs = if on_screen { request.all | request.visible_needs } else { request.all };
            let face = self.face(group, &threads);
            let title_is_due = title_is_due(group.task.tid, self.sweep, request.all, on_screen);
            let again = on_screen || u64::from(group.task.tid.unsigned_abs()) % TITLE_TURNS == self.sweep % TITLE_TURNS;
            self.refresh_identity(index, group, &face, (needs, title_is_due, again), identities, fs);
            seen_of.push(seen);
        }
        identities.catch_up(&mut self.kept, fs, request.budget);
        next_task = 0;
        for ((index, group), seen) in groups.iter().enumerate().zip(seen_of) {
            let threads = self.threads_of(group.task.tid, &mut next_task);
            let face = self.face(group, &threads);
            let (mut values, range) = self.sample(index, group, threads, &mut tasks);
            values.seen = Some(seen);
            if face.tid != group.task.tid {
                self.set_face(&mut values, &face);
                main_ended::read_memory(fs, &mut values, self.page_bytes);
            }
            let mut process = ProcessSample::sharing(values, &mut self.kept[index].last);
            (process.read_after_ns, process.tasks) = (group.read_after_ns, range);
            processes.push(process);
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
        self.sightings.give_back();
        // Filled one by one, a list has room for up to twice as many.
        self.groups.shrink_to(groups + groups / 8);
        self.tasks.shrink_to(tasks + tasks / 8);
        give_back(&mut self.kept, groups);
        let shown = self.shown.len();
        give_back(&mut self.shown, shown);
        give_back(&mut self.shown_spare, shown);
    }

    /// Makes what is kept match the groups, both ascending by pid; a pid with another start time is a new process.
    fn merge(&mut self, groups: &[GroupRecord], identities: &IdentityReader) {
        if self.kept.len() == groups.len() && self.kept.iter().zip(groups).all(|(kept, group)| kept.key == self.key(&group.task))
        {
            return;
        }
        let mut known = std::mem::take(&mut self.kept).into_iter().peekable();
        let mut new = Vec::with_capacity(groups.len());
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
                    totals: Sums::default(),
                    gone: None,
                    last: None,
                    moved: true,
                    title_stale: true,
                }
            }));
        }
        self.kept = new;
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

    /// The thread that speaks for the process: the main thread or, where that has ended, the first that lives.
    fn face(&self, group: &GroupRecord, threads: &std::ops::Range<usize>) -> TaskRecord {
        let threads = self.tasks.get(threads.clone()).unwrap_or_default();
        let living = || threads.iter().find(|task| !task.state.is_over());
        if group.task.state.is_over() { *living().unwrap_or(&group.task) } else { group.task }
    }

    /// Makes a living thread speak for a process whose main thread has ended, under the main thread's name and start.
    fn set_face(&mut self, process: &mut ProcessValues, face: &TaskRecord) {
        let (comm, start_ticks) = (process.leader.comm, process.leader.start_ticks);
        process.leader = TaskSample { comm, start_ticks, ..self.task_sample(face, self.shown_before(face)) };
    }

    /// Brings up to date what is kept of a process; returns what was seen of its threads.
    fn refresh_kept(&mut self, index: usize, group: &GroupRecord, threads: &std::ops::Range<usize>) -> Seen {
        let threads = self.tasks.get(threads.clone()).unwrap_or_default();
        let now_ns = self.begun_ns.saturating_add(group.read_after_ns);
        let (living, gone) = self.sightings.note(group.task.tid, threads, now_ns);
        let living = living.plus(seen(&group.task, now_ns));
        let Some(kept) = self.kept.get_mut(index) else { return living };
        if gone != Seen::NOTHING {
            kept.gone = Some(Box::new(kept.gone.as_deref().copied().unwrap_or(Seen::NOTHING).plus(gone)));
        }
        let sums = if group.is_whole { group.sums } else { threads.iter().fold(group.sums.with(&group.task), Sums::with) };
        kept.shown = sums.times.adjusted(kept.shown);
        // Running tasks are charged when they leave the CPU or at the tick: the earlier of the two.
        let running = group.task.state == State::RUNNING || threads.iter().any(|task| task.state == State::RUNNING);
        kept.moved = running || kept.totals.times.run_ns != sums.times.run_ns;
        kept.title_stale |= kept.moved;
        // Where a thread ended between its group's record and its own, its part is missing until the next sweep.
        kept.totals.times.run_ns = kept.totals.times.run_ns.max(sums.times.run_ns);
        kept.totals.counts = kept.totals.counts.max(sums.counts);
        kept.gone.as_deref().map_or(living, |gone| living.plus(*gone))
    }

    fn refresh_identity(
        &mut self,
        index: usize,
        group: &GroupRecord,
        face: &TaskRecord,
        (needs, title_is_due, again): (Needs, bool, bool),
        identities: &mut IdentityReader,
        fs: &ProcFs,
    ) {
        let Some(kept) = self.kept.get_mut(index) else { return };
        let pid = kept.key.pid;
        let over = face.state.is_over();
        let subject = Subject { pid, tid: face.tid, kernel_thread: group.task.kernel_thread, over };
        let is_new = kept.known.identity.uid.is_none();
        // An ended main thread has no address space, whose stack is part of the id.
        let execed = face.tid == pid && !over && (kept.exec_id != group.exec_id || kept.comm != group.task.comm);
        if execed {
            kept.known.forget_lazy();
        }
        // A change that could not be read is looked at again in the next sweep.
        let mut owner_read = true;
        if is_new || execed || (kept.title_stale && title_is_due) {
            kept.title_stale = false;
            owner_read = identities.refresh(&mut kept.known, subject, fs);
            // Only kernel threads have names beyond 15 bytes, and those of workers change with every piece of work.
            if subject.kernel_thread && (group.task.works_queue || group.task.comm.as_bytes().len() == 15) {
                let mut buffer = [0; 64];
                let name = fs.read_once(&RelPath::process(pid, "comm"), &mut buffer).ok();
                kept.long_comm = name
                    .map(|name| Comm::new(name.trim_ascii_end()))
                    .filter(|name| name.as_bytes().starts_with(group.task.comm.as_bytes()));
            }
        } else if kept.euid != group.euid {
            owner_read = identities.refresh_owner(&mut kept.known, pid, fs);
        }
        identities.complete(&mut kept.known, needs, again, subject, fs);
        if face.tid == pid {
            kept.exec_id = group.exec_id;
        }
        kept.comm = group.task.comm;
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
    ) -> (ProcessValues, std::ops::Range<u32>) {
        let kept = &self.kept[index];
        // The only task there ever was: the group's times are its own. The kernel splits both the same way but remembers them apart, and
        // two splits of one sum would look like an error.
        let alone = group.task.nr_threads <= 1 && !group.is_whole && group.sums.times.run_ns == 0;
        let leader_times = if alone { kept.shown } else { self.shown_times(&group.task) };
        let kept = &self.kept[index];
        let mut leader = self.task_sample(&group.task, leader_times);
        if let Some(long) = kept.long_comm {
            leader.comm = long;
        }
        let first = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        if self.with_tasks && group.task.nr_threads > 1 {
            self.push_tasks(leader, threads, tasks);
        }
        let range = first..u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        let kept = &self.kept[index];
        let own = &group.task;
        let counts = kept.totals.counts;
        let memory = group.memory.filter(|_| !own.kernel_thread && !own.state.is_over());
        let bytes = |pages: u64| pages.saturating_mul(self.page_bytes);
        let values = ProcessValues {
            key: kept.key,
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
            run_ns: Some(kept.totals.times.run_ns),
            seen: None,
            voluntary_switches: Some(counts.nvcsw),
            involuntary_switches: Some(counts.nivcsw),
            minor_faults: Some(counts.min_flt),
            major_faults: Some(counts.maj_flt),
            virt_bytes: memory.map(|memory| bytes(memory.total_vm)),
            rss_bytes: memory.map(|memory| bytes(memory.file.saturating_add(memory.anon).saturating_add(memory.shmem))),
            rss_anon_bytes: memory.map(|memory| bytes(memory.anon)),
            rss_file_bytes: memory.map(|memory| bytes(memory.file)),
            rss_shmem_bytes: memory.map(|memory| bytes(memory.shmem)),
            shared_bytes: memory.map(|memory| bytes(memory.file.saturating_add(memory.shmem))),
            swap_bytes: memory.map(|memory| bytes(memory.swap)),
        };
        (values, range)
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

    /// The task's times, not lower than those shown in the previous sweep; remembered for the next.
    fn shown_times(&mut self, task: &TaskRecord) -> (u64, u64) {
        let times = self.shown_before(task);
        self.shown_spare.push(Shown { id: (task.tgid, task.tid), start_ticks: task.start_ns / self.tick_ns, times });
        times
    }

    fn shown_before(&self, task: &TaskRecord) -> (u64, u64) {
        let (id, start_ticks) = ((task.tgid, task.tid), task.start_ns / self.tick_ns);
        let before = self.shown.binary_search_by_key(&id, |shown| shown.id).ok().and_then(|index| self.shown.get(index));
        task.times.adjusted(before.filter(|shown| shown.start_ticks == start_ticks).map_or((0, 0), |shown| shown.times))
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
            voluntary_switches: Some(task.counts.nvcsw),
            involuntary_switches: Some(task.counts.nivcsw),
            minor_faults: Some(task.counts.min_flt),
            major_faults: Some(task.counts.maj_flt),
            priority: task.priority,
            nice: task.nice,
            policy: Some(task.policy),
            rt_priority: Some(task.rt_priority),
            last_cpu: task.cpu,
        }
    }
}

fn visible_pids(request: &Request<'_>) -> Vec<i32> {
    let mut pids: Vec<i32> = request.visible.iter().map(|key| key.pid).collect();
    pids.sort_unstable();
    pids
}
