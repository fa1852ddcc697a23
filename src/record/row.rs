//! Processes and tasks as rows of plain numbers, so that small changes between samples are small differences.
//!
//! To record a new number of a process or task: a place at the end of the row, and a new [`super::layout::VERSION`], since rows of another length
//! are another format.

use crate::snapshot::{Comm, ProcKey, ProcessSample, ProcessValues, Seen, State, TaskSample};

/// Numbers of a task.
pub const TASK: usize = 22;
/// Numbers of a process: its own, then its leader's.
pub const PROCESS: usize = 30 + TASK;

/// The place of a process's time off the CPU, the only number that goes on while it rests.
pub const OFF_NS: usize = 14;

/// A process's numbers; the first is its pid.
pub type ProcessRow = [u64; PROCESS];
/// A task's numbers; the first is its tid.
pub type TaskRow = [u64; TASK];

/// Fills a row from its front.
struct Filler<'a>(std::slice::IterMut<'a, u64>);

impl Filler<'_> {
    fn put(&mut self, value: u64) {
        if let Some(place) = self.0.next() {
            *place = value;
        }
    }

    fn signed(&mut self, value: i32) {
        self.put(i64::from(value).cast_unsigned());
    }

    /// One number that says which are known, then each, 0 for the unknown.
    fn options<const N: usize>(&mut self, values: [Option<u64>; N]) {
        self.put(values.iter().enumerate().map(|(bit, value)| u64::from(value.is_some()) << bit).sum());
        values.iter().for_each(|value| self.put(value.unwrap_or(0)));
    }

    fn task(&mut self, task: &TaskSample) {
        self.signed(task.tid);
        self.signed(task.tgid);
        self.put(task.start_ticks);
        self.put(u64::from(u8::from(task.state)));
        let (name, mut bytes) = (task.comm.as_bytes(), [0u8; 32]);
        bytes[..name.len()].copy_from_slice(name);
        // No name is longer than 31 bytes.
        bytes[31] = u8::try_from(name.len()).unwrap_or(31);
        for word in bytes.as_chunks::<8>().0 {
            self.put(u64::from_le_bytes(*word));
        }
        self.signed(task.priority);
        self.signed(task.nice);
        self.options([
            task.utime_ns,
            task.stime_ns,
            task.run_ns,
            task.run_delay_ns,
            task.voluntary_switches,
            task.involuntary_switches,
            task.minor_faults,
            task.major_faults,
            task.policy.map(u64::from),
            task.rt_priority.map(u64::from),
            task.last_cpu.map(u64::from),
        ]);
    }
}

/// The row of a task.
#[must_use]
pub fn of_task(task: &TaskSample) -> TaskRow {
    let mut row = [0; TASK];
    Filler(row.iter_mut()).task(task);
    row
}

/// The row of a process, without what is kept beside it: identity, exact values, tasks, and when it was read.
#[must_use]
pub fn of_process(process: &ProcessSample) -> ProcessRow {
    let seen = process.seen();
    let mut row = [0; PROCESS];
    let mut to = Filler(row.iter_mut());
    to.signed(process.key.pid);
    to.put(process.key.start_ticks);
    to.signed(process.ppid);
    to.signed(process.pgrp);
    to.signed(process.session);
    to.signed(process.tty_nr);
    to.put(u64::from(process.kernel_thread));
    to.options([
        process.nlwp.map(u64::from),
        process.utime_ns,
        process.stime_ns,
        process.run_ns,
        seen.map(|seen| seen.run_ns),
        seen.and_then(|seen| seen.delay_ns),
        seen.map(|seen| seen.off_ns),
        seen.and_then(|seen| seen.switches).map(|(voluntary, _)| voluntary),
        seen.and_then(|seen| seen.switches).map(|(_, involuntary)| involuntary),
        seen.map(|seen| seen.ended),
        process.voluntary_switches,
        process.involuntary_switches,
        process.minor_faults,
        process.major_faults,
        process.virt_bytes,
        process.rss_bytes,
        process.rss_anon_bytes,
        process.rss_file_bytes,
        process.rss_shmem_bytes,
        process.shared_bytes,
        process.swap_bytes,
    ]);
    to.task(&process.leader);
    row
}

/// Takes a row apart from its front; `None` for numbers that no kernel gives.
struct Taker<'a>(std::slice::Iter<'a, u64>);

impl Taker<'_> {
    fn take(&mut self) -> Option<u64> {
        self.0.next().copied()
    }

    fn signed(&mut self) -> Option<i32> {
        i32::try_from(self.take()?.cast_signed()).ok()
    }

    fn options<const N: usize>(&mut self) -> Option<[Option<u64>; N]> {
        let known = self.take().filter(|known| known >> N == 0)?;
        let mut values = [None; N];
        for (bit, value) in values.iter_mut().enumerate() {
            let number = self.take()?;
            *value = (known >> bit & 1 == 1).then_some(number);
        }
        Some(values)
    }

    fn task(&mut self) -> Option<TaskSample> {
        let (tid, tgid, start_ticks) = (self.signed()?, self.signed()?, self.take()?);
        let state = u8::try_from(self.take()?).ok().and_then(State::from_letter)?;
        let mut bytes = [0u8; 32];
        for word in bytes.as_chunks_mut::<8>().0 {
            *word = self.take()?.to_le_bytes();
        }
        let comm = Comm::new(bytes.get(..usize::from(bytes[31])).filter(|name| name.len() < 32)?);
        let (priority, nice) = (self.signed()?, self.signed()?);
        let [utime_ns, stime_ns, run_ns, run_delay_ns, voluntary_switches, involuntary_switches, minor, major, policy, rt, cpu] =
            self.options()?;
        let small = |value: Option<u64>| value.map(u32::try_from).transpose().ok();
        Some(TaskSample {
            tid,
            tgid,
            start_ticks,
            state,
            comm,
            utime_ns,
            stime_ns,
            run_ns,
            run_delay_ns,
            voluntary_switches,
            involuntary_switches,
            minor_faults: minor,
            major_faults: major,
            priority,
            nice,
            policy: small(policy)?,
            rt_priority: small(rt)?,
            last_cpu: small(cpu)?,
        })
    }
}

/// The task of a row.
#[must_use]
pub fn to_task(row: &TaskRow) -> Option<TaskSample> {
    Taker(row.iter()).task()
}

/// The process of a row; what is kept beside it is the caller's to fill in.
#[must_use]
pub fn to_process(row: &ProcessRow) -> Option<ProcessSample> {
    let mut from = Taker(row.iter());
    let key = ProcKey { pid: from.signed()?, start_ticks: from.take()? };
    let (ppid, pgrp, session, tty_nr) = (from.signed()?, from.signed()?, from.signed()?, from.signed()?);
    let kernel_thread = from.take().filter(|flag| *flag <= 1)? == 1;
    let [
        nlwp,
        utime_ns,
        stime_ns,
        run_ns,
        seen_run_ns,
        seen_delay_ns,
        seen_off_ns,
        seen_voluntary,
        seen_involuntary,
        seen_ended,
        voluntary,
        involuntary,
        minor,
        major,
        virt,
        rss,
        anon,
        file,
        shmem,
        shared,
        swap,
    ] = from.options()?;
    let nlwp = nlwp.map(u32::try_from).transpose().ok()?;
    let seen = seen_run_ns.zip(seen_off_ns).zip(seen_ended).map(|((run_ns, off_ns), ended)| Seen {
        run_ns,
        delay_ns: seen_delay_ns,
        off_ns,
        switches: seen_voluntary.zip(seen_involuntary),
        ended,
    });
    Some(ProcessSample::from(ProcessValues {
        key,
        ppid,
        pgrp,
        session,
        tty_nr,
        kernel_thread,
        identity: std::sync::Arc::default(),
        leader: from.task()?,
        nlwp,
        utime_ns,
        stime_ns,
        run_ns,
        seen,
        voluntary_switches: voluntary,
        involuntary_switches: involuntary,
        minor_faults: minor,
        major_faults: major,
        virt_bytes: virt,
        rss_bytes: rss,
        rss_anon_bytes: anon,
        rss_file_bytes: file,
        rss_shmem_bytes: shmem,
        shared_bytes: shared,
        swap_bytes: swap,
    }))
}
