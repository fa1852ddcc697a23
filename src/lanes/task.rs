//! A task of a traced family between two looks.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::Lane;
use crate::kernel::parse::schedstat::Schedstat;

/// A task that is looked at.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) lane: Lane,
    pub(super) file: Option<OwnedFd>,
    pub(super) last: Schedstat,
    pub(super) at_ns: u64,
    /// Looks without any change.
    pub(super) still: u32,
    pub(super) reason: Option<Arc<str>>,
    /// What it was seen to wait for at the last look at its GIL: waiters wake every few milliseconds to ask for it.
    pub(super) seen_waiting: Option<Arc<str>>,
    /// The function of Python that it was last seen in, and its counters at that time.
    pub(super) function: Option<Arc<str>>,
    pub(super) read_at: Option<Schedstat>,
}

impl Task {
    /// Whether it was on a CPU since its functions were read.
    pub(super) fn has_moved(&self) -> bool {
        self.read_at.is_none_or(|read| read != self.last)
    }
}
