//! Kernel state letters and task names.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A task's state, as the kernel's own letter (`fs/proc/array.c`, `task_state_array`; proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub struct State(u8);

impl From<State> for u8 {
    fn from(state: State) -> Self {
        state.0
    }
}

impl TryFrom<u8> for State {
    type Error = &'static str;

    fn try_from(letter: u8) -> Result<Self, Self::Error> {
        Self::from_letter(letter).ok_or("a state is a letter")
    }
}

impl State {
    /// `R` running or runnable.
    pub const RUNNING: Self = Self(b'R');
    /// `S` interruptible sleep.
    pub const SLEEPING: Self = Self(b'S');
    /// `D` uninterruptible sleep.
    pub const DISK_SLEEP: Self = Self(b'D');
    /// `T` stopped by a signal.
    pub const STOPPED: Self = Self(b'T');
    /// `t` stopped by a tracer.
    pub const TRACED: Self = Self(b't');
    /// `X` dead.
    pub const DEAD: Self = Self(b'X');
    /// `Z` zombie: exited, not yet reaped by its parent.
    pub const ZOMBIE: Self = Self(b'Z');
    /// `P` parked (a per-CPU kernel thread).
    pub const PARKED: Self = Self(b'P');
    /// `I` idle kernel thread.
    pub const IDLE: Self = Self(b'I');

    /// Every state in the order the header counts them.
    pub const ALL: [Self; 9] = [
        Self::RUNNING,
        Self::SLEEPING,
        Self::DISK_SLEEP,
        Self::STOPPED,
        Self::TRACED,
        Self::ZOMBIE,
        Self::IDLE,
        Self::PARKED,
        Self::DEAD,
    ];

    /// The state for a letter of `/proc/PID/stat`; `None` if it is not an ASCII letter. Letters of other kernels are kept as they are.
    #[must_use]
    pub fn from_letter(letter: u8) -> Option<Self> {
        letter.is_ascii_alphabetic().then_some(Self(letter))
    }

    /// The kernel's letter.
    #[must_use]
    pub fn letter(self) -> char {
        char::from(self.0)
    }

    /// Whether the task has ended: it is a zombie, or already dead.
    #[must_use]
    pub fn is_over(self) -> bool {
        self == Self::ZOMBIE || self == Self::DEAD
    }

    /// The state in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self.0 {
            b'R' => "running or runnable",
            b'S' => "sleeping",
            b'D' => "uninterruptible sleep",
            b'T' => "stopped by a signal",
            b't' => "stopped by a tracer",
            b'Z' => "zombie",
            b'I' => "idle kernel thread",
            b'P' => "parked",
            b'X' | b'x' => "dead",
            _ => "unknown to concmon",
        }
    }
}

/// A task's name: at most 15 bytes, any bytes but NUL (`TASK_COMM_LEN`, prctl(2) `PR_SET_NAME`). Hostile: sanitise before drawing.
/// Kernel threads show longer names in `/proc` (`kworker/u8:2-events`); those are cut here at 31 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Comm {
    bytes: [u8; 31],
    len: u8,
}

impl Comm {
    /// Keeps the first 31 bytes.
    #[must_use]
    pub fn new(name: &[u8]) -> Self {
        let len = name.len().min(31);
        let mut bytes = [0; 31];
        bytes[..len].copy_from_slice(&name[..len]);
        Self { bytes, len: u8::try_from(len).unwrap_or(31) }
    }

    /// The bytes of the name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl Serialize for Comm {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.as_bytes())
    }
}

impl<'de> Deserialize<'de> for Comm {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(from).map(Self::new)
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Comm({})", self.as_bytes().escape_ascii())
    }
}
