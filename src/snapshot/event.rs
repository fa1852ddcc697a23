//! Births, execs and exits between two snapshots.

use serde::{Deserialize, Serialize};

/// How a task ended: the raw wait status, decoded (wait(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// `exit(code)`.
    Code(u8),
    /// Killed by a signal; `core` if it dumped.
    Signal {
        /// Signal number.
        signal: u8,
        /// Whether a core was dumped.
        core: bool,
    },
    /// It is gone, but how was not reported (polling).
    Unknown,
}

impl ExitStatus {
    /// Decodes the kernel's `exit_code`.
    #[must_use]
    pub fn from_raw(status: u32) -> Self {
        let signal = (status & 0x7f) as u8;
        if signal == 0 { Self::Code(((status >> 8) & 0xff) as u8) } else { Self::Signal { signal, core: status & 0x80 != 0 } }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// `child` was created; a new thread if `child_tgid` equals the creator's tgid.
    Fork {
        /// Creating task. 0 if not known (polling).
        parent_tid: i32,
        /// Creating process.
        parent_tgid: i32,
        /// New task.
        child_tid: i32,
        /// Its process.
        child_tgid: i32,
    },
    /// `tgid` replaced its program.
    Exec {
        /// The process.
        tgid: i32,
    },
    /// A task changed its name.
    Comm {
        /// The task.
        tid: i32,
        /// Its process.
        tgid: i32,
        /// New name.
        comm: super::Comm,
    },
    /// A task ended; the process is over when `tid == tgid` and no task is left.
    Exit {
        /// The task.
        tid: i32,
        /// Its process.
        tgid: i32,
        /// How it ended.
        status: ExitStatus,
    },
}

/// One event with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleEvent {
    /// `CLOCK_BOOTTIME` nanoseconds if the kernel or the reader stamped it; for polling, when the change was noticed.
    pub at_ns: u64,
    /// What happened.
    pub kind: EventKind,
}
