//! The records that `assets/bpf/task_iter.bpf.c` writes: fixed layouts in the machine's byte order, each beginning with its length.

use crate::kernel::parse::ParseError;
use crate::snapshot::{Comm, State};

/// Version of the layout, `LAYOUT` in the C source.
const LAYOUT: u32 = 2;
const HAS_CPU: u32 = 1;
const HAS_RUN_DELAY: u32 = 2;
const HAS_SUMS: u32 = 8;
const PF_KTHREAD: u32 = 0x0020_0000;
const PF_WQ_WORKER: u32 = 0x20;

/// Bytes of a record of a task that leads no group.
pub const TASK_BYTES: usize = 160;
/// Bytes of a leader's record.
pub const GROUP_BYTES: usize = TASK_BYTES + 208;

/// One task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskRecord {
    /// Global task id.
    pub tid: i32,
    /// Global process id.
    pub tgid: i32,
    /// As `/proc` would show it.
    pub state: State,
    /// `PF_KTHREAD`.
    pub kernel_thread: bool,
    /// `PF_WQ_WORKER`: its name in `/proc` says what it last worked for.
    pub works_queue: bool,
    /// As field 18 of `/proc/PID/stat`.
    pub priority: i32,
    /// Nice value.
    pub nice: i32,
    /// Real-time priority.
    pub rt_priority: u32,
    /// Scheduling policy.
    pub policy: u32,
    /// CPU it last ran on, if this kernel's layout is known.
    pub cpu: Option<u32>,
    /// Tasks in its group.
    pub nr_threads: u32,
    /// Start, nanoseconds after boot.
    pub start_ns: u64,
    /// Raw CPU times and the exact sum they are scaled to.
    pub times: CpuRecord,
    /// Time runnable but waiting.
    pub run_delay_ns: Option<u64>,
    /// Its switches and faults.
    pub counts: Counts,
    /// Whether the group's counters were summed at one moment; a leader's only.
    has_sums: bool,
    /// Name.
    pub comm: Comm,
}

/// Context switches and page faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Voluntary switches.
    pub nvcsw: u64,
    /// Involuntary switches.
    pub nivcsw: u64,
    /// Minor faults.
    pub min_flt: u64,
    /// Major faults.
    pub maj_flt: u64,
}

impl Counts {
    fn each(self, other: Self, of: fn(u64, u64) -> u64) -> Self {
        Self {
            nvcsw: of(self.nvcsw, other.nvcsw),
            nivcsw: of(self.nivcsw, other.nivcsw),
            min_flt: of(self.min_flt, other.min_flt),
            maj_flt: of(self.maj_flt, other.maj_flt),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.each(other, u64::saturating_add)
    }

    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.each(other, u64::max)
    }
}

/// Times, switches and faults of several threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// CPU times by ticks, and exact.
    pub times: CpuRecord,
    /// Switches and faults.
    pub counts: Counts,
}

impl Sums {
    /// With another thread's.
    #[must_use]
    pub fn with(self, task: &TaskRecord) -> Self {
        let times = CpuRecord {
            utime_ns: self.times.utime_ns.saturating_add(task.times.utime_ns),
            stime_ns: self.times.stime_ns.saturating_add(task.times.stime_ns),
            run_ns: self.times.run_ns.saturating_add(task.times.run_ns),
            ..self.times
        };
        Self { times, counts: self.counts.plus(task.counts) }
    }
}

/// CPU times as the kernel counts them: by ticks for the modes, exact for the sum, and the last that it reported to any reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuRecord {
    /// User time by ticks.
    pub utime_ns: u64,
    /// System time by ticks.
    pub stime_ns: u64,
    /// Exact sum.
    pub run_ns: u64,
    /// User time last reported.
    pub told_utime_ns: u64,
    /// System time last reported.
    pub told_stime_ns: u64,
}

impl CpuRecord {
    /// User and system time as `/proc` shows them: the exact sum, split in the ratio of the ticks, neither ever going back
    /// (`cputime_adjust` in `kernel/sched/cputime.c`). `before` is what was shown last.
    #[must_use]
    pub fn adjusted(&self, before: (u64, u64)) -> (u64, u64) {
        let kernel = (self.told_utime_ns, self.told_stime_ns);
        let sum = |pair: (u64, u64)| pair.0.saturating_add(pair.1);
        let told = if sum(kernel) >= sum(before) { kernel } else { before };
        if sum(told) >= self.run_ns {
            return told;
        }
        let ticks = u128::from(self.utime_ns) + u128::from(self.stime_ns);
        let stime = if self.stime_ns == 0 {
            0
        } else if self.utime_ns == 0 {
            self.run_ns
        } else {
            u64::try_from(u128::from(self.stime_ns) * u128::from(self.run_ns) / ticks).unwrap_or(self.run_ns)
        };
        // The order of the kernel's two corrections: system time first, then user time.
        let stime = stime.max(told.1);
        let utime = self.run_ns.saturating_sub(stime);
        if utime < told.0 { (told.0, self.run_ns.saturating_sub(told.0)) } else { (utime, stime) }
    }
}

/// A leader with its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupRecord {
    /// The leader's own values.
    pub task: TaskRecord,
    /// Parent's tgid.
    pub ppid: i32,
    /// Process group.
    pub pgrp: i32,
    /// Session.
    pub session: i32,
    /// Controlling terminal, encoded as in `/proc/PID/stat`.
    pub tty_nr: i32,
    /// Effective user.
    pub euid: u32,
    /// Of the whole group at one moment or, without `is_whole`, of the threads that ended. The times hold what the kernel last reported
    /// of the group.
    pub sums: Sums,
    /// Whether `sums` is of all: not for a single thread, for more threads than the program sums, and where one ended while it summed.
    pub is_whole: bool,
    /// Memory; `None` without an address space.
    pub memory: Option<MemoryRecord>,
    /// Rises at every exec.
    pub exec_id: u64,
    /// How long after the sweep began it was read, nanoseconds.
    pub read_after_ns: u64,
}

/// The memory counters of an address space, pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryRecord {
    /// Address space.
    pub total_vm: u64,
    /// Resident file pages.
    pub file: u64,
    /// Resident anonymous pages.
    pub anon: u64,
    /// Swapped-out pages.
    pub swap: u64,
    /// Resident shared memory.
    pub shmem: u64,
}

/// One record.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Without the length.
    bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// Splits the first record off `bytes`; `None` if it is not whole yet.
    ///
    /// # Errors
    /// If no record is that long.
    pub fn split(bytes: &'a [u8]) -> Result<Option<(Self, &'a [u8])>, ParseError> {
        let Some(length) = bytes.first_chunk::<4>().map(|length| u32::from_ne_bytes(*length) as usize) else { return Ok(None) };
        if length != TASK_BYTES && length != GROUP_BYTES {
            return Err(ParseError("a task record has an invalid length"));
        }
        Ok(bytes.split_at_checked(length).map(|(record, rest)| (Self { bytes: &record[4..] }, rest)))
    }

    /// Whether it is of a leader, with its group.
    #[must_use]
    pub fn is_group(&self) -> bool {
        self.bytes.len() == GROUP_BYTES - 4
    }

    /// A leader with its group, read so many nanoseconds after the sweep began.
    ///
    /// # Errors
    /// If the layout is another program's.
    #[inline]
    pub fn group(&self, read_after_ns: u64) -> Result<GroupRecord, ParseError> {
        let mut cursor = Cursor { rest: self.bytes };
        cursor.task().and_then(|task| cursor.group(task, read_after_ns)).ok_or(OTHER_LAYOUT)
    }

    /// A task by itself.
    ///
    /// # Errors
    /// If the layout is another program's.
    #[inline]
    pub fn task(&self) -> Result<TaskRecord, ParseError> {
        Cursor { rest: self.bytes }.task().ok_or(OTHER_LAYOUT)
    }
}

const OTHER_LAYOUT: ParseError = ParseError("a task record has a different layout than this program");

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_ne_bytes)
    }
    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_ne_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_ne_bytes)
    }
    /// A counter that the kernel keeps per CPU and whose sum may be negative for a moment.
    fn pages(&mut self) -> Option<u64> {
        self.take().map(i64::from_ne_bytes).map(|pages| u64::try_from(pages).unwrap_or(0))
    }

    #[inline]
    fn task(&mut self) -> Option<TaskRecord> {
        if self.u32()? != LAYOUT {
            return None;
        }
        let (tid, tgid) = (self.i32()?, self.i32()?);
        let state = state(self.u32()?, self.u32()?)?;
        let flags = self.u32()?;
        let (prio, static_prio) = (self.i32()?, self.i32()?);
        let (rt_priority, policy) = (self.u32()?, self.u32()?);
        let (cpu, has) = (self.u32()?, self.u32()?);
        let nr_threads = u32::try_from(self.i32()?).unwrap_or(0);
        let start_ns = self.u64()?;
        let (utime_ns, stime_ns, told_utime_ns, told_stime_ns) = (self.u64()?, self.u64()?, self.u64()?, self.u64()?);
        let (run_ns, run_delay_ns) = (self.u64()?, self.u64()?);
        let counts = self.counts()?;
        let comm: [u8; 16] = self.take()?;
        Some(TaskRecord {
            tid,
            tgid,
            state,
            kernel_thread: flags & PF_KTHREAD != 0,
            works_queue: flags & PF_WQ_WORKER != 0,
            // MAX_RT_PRIO and DEFAULT_PRIO of include/linux/sched/prio.h.
            priority: prio.saturating_sub(100),
            nice: static_prio.saturating_sub(120),
            rt_priority,
            policy,
            cpu: (has & HAS_CPU != 0).then_some(cpu),
            nr_threads,
            start_ns,
            times: CpuRecord { utime_ns, stime_ns, run_ns, told_utime_ns, told_stime_ns },
            run_delay_ns: (has & HAS_RUN_DELAY != 0).then_some(run_delay_ns),
            counts,
            has_sums: has & HAS_SUMS != 0,
            comm: Comm::new(comm.split(|byte| *byte == 0).next().unwrap_or_default()),
        })
    }

    fn counts(&mut self) -> Option<Counts> {
        Some(Counts { nvcsw: self.u64()?, nivcsw: self.u64()?, min_flt: self.u64()?, maj_flt: self.u64()? })
    }

    fn sums(&mut self, told_utime_ns: u64, told_stime_ns: u64) -> Option<Sums> {
        let (utime_ns, stime_ns, run_ns) = (self.u64()?, self.u64()?, self.u64()?);
        let times = CpuRecord { utime_ns, stime_ns, run_ns, told_utime_ns, told_stime_ns };
        Some(Sums { times, counts: self.counts()? })
    }

    #[inline]
    fn group(&mut self, task: TaskRecord, read_after_ns: u64) -> Option<GroupRecord> {
        let (ppid, pgrp, session) = (self.i32()?, self.i32()?, self.i32()?);
        let (major, minor) = (self.u32()?, self.u32()?);
        let euid = self.u32()?;
        let (told_utime_ns, told_stime_ns) = (self.u64()?, self.u64()?);
        let (exited, all) = (self.sums(told_utime_ns, told_stime_ns)?, self.sums(told_utime_ns, told_stime_ns)?);
        let total_vm = self.u64()?;
        let (file, anon, swap, shmem) = (self.pages()?, self.pages()?, self.pages()?, self.pages()?);
        // The address of the stack is not needed beside the exec id; it is there for kernels whose id wraps.
        let start_stack = self.u64()?;
        let exec_id = self.u64()? ^ start_stack.rotate_left(32);
        Some(GroupRecord {
            task,
            ppid,
            pgrp,
            session,
            tty_nr: tty_number(major, minor),
            euid,
            sums: if task.has_sums { all } else { exited },
            is_whole: task.has_sums,
            memory: (total_vm > 0).then_some(MemoryRecord { total_vm, file, anon, swap, shmem }),
            exec_id,
            read_after_ns,
        })
    }
}

/// `new_encode_dev` of `include/linux/kdev_t.h`, as field 7 of `/proc/PID/stat`; 0 without a terminal.
fn tty_number(major: u32, minor: u32) -> i32 {
    ((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)).cast_signed()
}

/// The letter for `__state` and `exit_state`, as `task_state_index` of `include/linux/sched.h` finds it.
fn state(state: u32, exit_state: u32) -> Option<State> {
    const UNINTERRUPTIBLE: u32 = 0x02;
    const REPORTED: u32 = 0x7f;
    const IDLE: u32 = 0x402;
    const RTLOCK_WAIT: u32 = 0x1000;
    const FROZEN: u32 = 0x8000;
    let letter = if state == IDLE {
        b'I'
    } else {
        let mut bits = (state | exit_state) & REPORTED;
        // A frozen task, and one that waits for a lock of the real-time kernel, show as uninterruptible.
        if state & RTLOCK_WAIT != 0 || state & FROZEN != 0 {
            bits = UNINTERRUPTIBLE;
        }
        *b"RSDTtXZP".get((u32::BITS - bits.leading_zeros()) as usize)?
    };
    State::from_letter(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_the_kernels_letters() {
        let letter = |bits, exit| state(bits, exit).map(State::letter);
        for (bits, exit, wanted) in [
            (0, 0, 'R'),
            (1, 0, 'S'),
            (2, 0, 'D'),
            (4, 0, 'T'),
            (8, 0, 't'),
            (0x80, 0x10, 'X'),
            (0x80, 0x20, 'Z'),
            (0x40, 0, 'P'),
            (0x402, 0, 'I'),
            (0x2001, 0, 'S'),
            (0x8000, 0, 'D'),
        ] {
            assert_eq!(letter(bits, exit), Some(wanted), "{bits:#x} {exit:#x}");
        }
    }

    #[test]
    fn times_are_scaled_to_the_exact_sum_and_never_go_back() {
        let record = CpuRecord { utime_ns: 30, stime_ns: 10, run_ns: 1000, ..CpuRecord::default() };
        assert_eq!(record.adjusted((0, 0)), (750, 250));
        assert_eq!(record.adjusted((760, 100)), (760, 240), "user time was shown higher");
        assert_eq!(record.adjusted((100, 300)), (700, 300), "system time was shown higher");
        assert_eq!(record.adjusted((800, 300)), (800, 300), "more was shown than the sum is now");
        assert_eq!(CpuRecord { told_utime_ns: 900, told_stime_ns: 100, ..record }.adjusted((1, 1)), (900, 100));
        assert_eq!(CpuRecord { stime_ns: 0, ..record }.adjusted((0, 0)), (1000, 0));
        assert_eq!(CpuRecord { utime_ns: 0, ..record }.adjusted((0, 0)), (0, 1000));
    }

    #[test]
    fn bytes_that_are_no_record_are_refused_and_half_ones_waited_for() {
        fn record(bytes: &[u8]) -> (Record<'_>, &[u8]) {
            Record::split(bytes).unwrap().unwrap()
        }
        assert!(Record::split(&[]).unwrap().is_none());
        let mut bytes = vec![0u8; GROUP_BYTES];
        assert!(Record::split(&bytes).is_err(), "length 0");
        bytes[..4].copy_from_slice(&u32::try_from(GROUP_BYTES).unwrap().to_ne_bytes());
        assert!(record(&bytes).0.group(0).is_err(), "layout 0");
        bytes[4..8].copy_from_slice(&LAYOUT.to_ne_bytes());
        let (group, rest) = record(&bytes);
        assert!(group.is_group() && group.group(7).unwrap().read_after_ns == 7 && rest.is_empty());
        assert!(Record::split(&bytes[..GROUP_BYTES - 1]).unwrap().is_none());
    }
}
