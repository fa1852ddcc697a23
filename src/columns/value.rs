//! The value of a cell before it is drawn or exported.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::derive::Recent;
use crate::snapshot::State;

/// Why a cell has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// A rate needs two samples and there is only one.
    FirstSample,
    /// It was not read: the kernel denied it, or nothing asked for it yet.
    NotRead,
    /// The kernel shows it only to other users: the owner, a user that may trace the process, or root.
    Denied,
    /// The process is so large that reading it would hold it up.
    TooLarge,
    /// Threads ended unseen between the samples, and the kernel does not keep this of them.
    ThreadsEnded,
    /// A read of it has not returned in time, and nothing older is known.
    Unanswered,
    /// There is no such thing for this row (memory of a thread, cmdline of a kernel thread).
    NotApplicable,
}

impl Unknown {
    /// What would let it be known; `None` where nothing would, or only time.
    #[must_use]
    pub fn remedy(self) -> Option<&'static str> {
        (self == Self::Denied).then_some("run concmon as root, or as the owner of the process")
    }

    /// In a cell of so many characters at most: a refusal looks different from a value that is only unknown.
    #[must_use]
    pub fn mark(self, cells: usize) -> &'static str {
        match self {
            Self::Denied if cells >= 6 => "denied",
            Self::Denied if cells >= 4 => "deny",
            Self::Unanswered if cells >= 6 => "silent",
            Self::Unanswered if cells >= 4 => "late",
            _ => "-",
        }
    }

    /// In words, for `E` and exports.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::FirstSample => "unknown: a rate needs two samples",
            Self::NotRead => "unknown: not readable, or not read yet",
            Self::Denied => "unknown: only root and users who may trace the process can read this",
            Self::TooLarge => "unknown: the process is so large that reading this would delay it",
            Self::ThreadsEnded => "unknown: threads have exited, and the kernel does not keep this of them",
            Self::Unanswered => "unknown: the process did not answer in time; its memory map may be locked",
            Self::NotApplicable => "does not apply to this row",
        }
    }
}

/// A cell's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// No value, and why.
    Unknown(Unknown),
    /// An id or a small signed number.
    Int(i64),
    /// A count.
    Count(u64),
    /// Memory or storage.
    Bytes(u64),
    /// Bytes per second.
    BytesPerSecond(f32),
    /// Percent.
    Percent(f32),
    /// Something per second.
    Rate(f32),
    /// CPU time or elapsed time, nanoseconds.
    Duration(u64),
    /// A kernel state.
    State(State),
    /// Percent of the time on a CPU and waiting for one (a bar of two colours).
    RunWait {
        /// On a CPU.
        run: f32,
        /// Runnable without one.
        wait: f32,
    },
    /// Percent of looks at which a lock was held, and at which threads waited for it (`None`: not known).
    HeldWanted {
        /// Held.
        held: f32,
        /// Waited for.
        wanted: Option<f32>,
    },
    /// CPU use over the last samples (a small graph).
    Recent(Recent),
    /// Bytes from another process: hostile, to be sanitised where drawn.
    Text(Cow<'a, [u8]>),
    /// Words of concmon's own.
    Word(&'static str),
}

impl<'a> Value<'a> {
    /// From an optional reading.
    pub fn read<T>(value: Option<T>, make: impl FnOnce(T) -> Value<'a>) -> Self {
        value.map_or(Value::Unknown(Unknown::NotRead), make)
    }

    /// Whether there is a value.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !matches!(self, Value::Unknown(_))
    }

    /// The value as a number in its column's unit, if it is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Int(i) => Some(*i as f64),
            Value::Count(n) | Value::Bytes(n) => Some(*n as f64),
            Value::Duration(ns) => Some(*ns as f64),
            Value::BytesPerSecond(r) | Value::Percent(r) | Value::Rate(r) => Some(f64::from(*r)),
            Value::RunWait { run, wait } => Some(f64::from(run + wait)),
            Value::HeldWanted { held, .. } => Some(f64::from(*held)),
            Value::Recent(recent) => recent.spells().last().map(|s| f64::from(s.ran + s.waited)),
            Value::Unknown(_) | Value::State(_) | Value::Text(_) | Value::Word(_) => None,
        }
    }

    /// Order of known values, smallest first. Unknown ones come after all others in either direction: see [`Value::compare`].
    fn compare_known(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Count(a), Value::Count(b))
            | (Value::Bytes(a), Value::Bytes(b))
            | (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
            (Value::State(a), Value::State(b)) => state_rank(*a).cmp(&state_rank(*b)),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Word(a), Value::Word(b)) => a.cmp(b),
            (a, b) => match (a.number(), b.number()) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                _ => Ordering::Equal,
            },
        }
    }

    /// Order for sorting in a direction; unknown values are last in both directions.
    #[must_use]
    pub fn compare(&self, other: &Self, descending: bool) -> Ordering {
        match (self.is_known(), other.is_known()) {
            (true, true) if descending => other.compare_known(self),
            (true, true) => self.compare_known(other),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => Ordering::Equal,
        }
    }
}

/// Liveliest first: what one looks for when sorting by state.
fn state_rank(state: State) -> usize {
    State::ALL.iter().position(|s| *s == state).unwrap_or(State::ALL.len())
}
