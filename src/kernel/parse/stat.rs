//! `/proc/PID/stat` and `/proc/PID/task/TID/stat` (proc_pid_stat(5)).

use super::{Fields, ParseError};
use crate::snapshot::{Comm, State};

/// `PF_KTHREAD` of `include/linux/sched.h`: the task is a kernel thread.
const PF_KTHREAD: u64 = 0x0020_0000;
/// `PF_FORKNOEXEC`: the process has executed no program since it was forked.
const PF_FORKNOEXEC: u64 = 0x40;

/// What concmon uses of `stat`, in the kernel's units: clock ticks, pages, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Field 1: tgid in a process's file, tid in a task's.
    pub pid: i32,
    /// Field 2.
    pub comm: Comm,
    /// Field 3.
    pub state: State,
    /// Field 4: parent's tgid.
    pub ppid: i32,
    /// Field 5.
    pub pgrp: i32,
    /// Field 6.
    pub session: i32,
    /// Field 7: device number of the controlling terminal, 0 for none.
    pub tty_nr: i32,
    /// Field 9, bit `PF_KTHREAD`.
    pub kernel_thread: bool,
    /// Field 9, bit `PF_FORKNOEXEC`: it is a copy of the process that forked it, and has executed no program since.
    pub is_copy: bool,
    /// Field 10: of the whole group in a process's file.
    pub minor_faults: u64,
    /// Field 12.
    pub major_faults: u64,
    /// Field 14, ticks.
    pub utime_ticks: u64,
    /// Field 15, ticks.
    pub stime_ticks: u64,
    /// Field 18.
    pub priority: i32,
    /// Field 19.
    pub nice: i32,
    /// Field 20: tasks in the group.
    pub nlwp: u32,
    /// Field 22: start after boot, ticks.
    pub start_ticks: u64,
    /// Field 23, bytes.
    pub virt_bytes: u64,
    /// Field 24, pages.
    pub rss_pages: u64,
    /// Field 26: where the program's code begins; 1 or 0 where the reader may not know (ptrace access is needed).
    pub start_code: u64,
    /// Field 28: where the main stack begins; 0 where the reader may not know. Together with `start_code` it changes at exec.
    pub start_stack: u64,
    /// Field 39: CPU it last ran on.
    pub last_cpu: Option<u32>,
    /// Field 40.
    pub rt_priority: Option<u32>,
    /// Field 41 (sched(7)).
    pub policy: Option<u32>,
}

impl Stat {
    /// Where the main stack and the program's code begin: the same in a copy of a process, other addresses after exec.
    #[must_use]
    pub fn image(&self) -> (u64, u64) {
        (self.start_stack, self.start_code)
    }

    /// Parses the one line of the file. The name may hold anything, `) R 1 (` and newlines too, so it ends at the last `)`.
    ///
    /// # Errors
    /// Says which part is missing or not a number.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let open = bytes.iter().position(|byte| *byte == b'(').ok_or(ParseError("no '(' before the name"))?;
        let close = bytes.iter().rposition(|byte| *byte == b')').ok_or(ParseError("no ')' after the name"))?;
        let name = bytes.get(open + 1..close).ok_or(ParseError("the parentheses of the name are reversed"))?;
        let pid = Fields::new(&bytes[..open]).int().ok_or(ParseError("field 1 (pid) is not a number"))?;
        let mut fields = Fields::new(&bytes[close + 1..]);
        let state = fields
            .next()
            .and_then(|field| State::from_letter(*field.first()?))
            .ok_or(ParseError("field 3 (state) is not a letter"))?;
        Self::numbers(pid, Comm::new(name), state, &mut fields)
            .ok_or(ParseError("a field after the state is missing or not a number"))
    }

    /// Fields 4 to 41.
    fn numbers(pid: i32, comm: Comm, state: State, fields: &mut Fields<'_>) -> Option<Self> {
        let (ppid, pgrp, session, tty_nr) = (fields.int()?, fields.int()?, fields.int()?, fields.int()?);
        fields.skip_fields(1);
        let flags = fields.unsigned()?;
        let minor_faults = fields.unsigned()?;
        fields.skip_fields(1);
        let major_faults = fields.unsigned()?;
        fields.skip_fields(1);
        let (utime_ticks, stime_ticks) = (fields.unsigned()?, fields.unsigned()?);
        fields.skip_fields(2);
        let (priority, nice) = (fields.int()?, fields.int()?);
        let nlwp = u32::try_from(fields.signed()?).ok()?;
        fields.skip_fields(1);
        let (start_ticks, virt_bytes) = (fields.unsigned()?, fields.unsigned()?);
        // Printed signed: batched per-CPU counters may add up to a negative number for a moment.
        let rss_pages = u64::try_from(fields.signed()?).unwrap_or(0);
        fields.skip_fields(1);
        let start_code = fields.unsigned()?;
        fields.skip_fields(1);
        let start_stack = fields.unsigned()?;
        fields.skip_fields(10);
        let mut optional = || fields.unsigned().and_then(|value| u32::try_from(value).ok());
        let (last_cpu, rt_priority, policy) = (optional(), optional(), optional());
        Some(Self {
            pid,
            comm,
            state,
            ppid,
            pgrp,
            session,
            tty_nr,
            kernel_thread: flags & PF_KTHREAD != 0,
            is_copy: flags & PF_FORKNOEXEC != 0,
            minor_faults,
            major_faults,
            utime_ticks,
            stime_ticks,
            priority,
            nice,
            nlwp,
            start_ticks,
            virt_bytes,
            rss_pages,
            start_code,
            start_stack,
            last_cpu,
            rt_priority,
            policy,
        })
    }

    /// Whether the process has ended: it has no memory and no program any more. A main thread may end before the others: the
    /// process then goes on, and its files in `/proc/PID` say little of it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state.is_over() && self.nlwp <= 1
    }

    /// Whether the main thread has ended and others are there.
    #[must_use]
    pub fn has_lost_main(&self) -> bool {
        self.state.is_over() && self.nlwp > 1
    }
}
