//! The seam between the kernel and everything else: a [`Source`] turns a [`Request`] into a [`Snapshot`].

use std::time::Duration;

pub use crate::snapshot::Needs;
use crate::snapshot::{ProcKey, Snapshot};

use super::error::ReadError;

/// What one sweep is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Wanted of every process (what is sorted or filtered by, or summed).
    pub all: Needs,
    /// Wanted of the visible rows only (columns on screen).
    pub visible_needs: Needs,
    /// The rows on screen.
    pub visible: &'a [ProcKey],
    /// Processes whose share of memory ([`Needs::SMAPS`]) is wanted whether or not they are on screen: the selected family.
    pub family: &'a [ProcKey],
    /// Time the expensive reads of visible rows may take in this sweep; what is left over comes in the next.
    pub budget: Duration,
}

impl Request<'_> {
    /// The basics of everything.
    #[must_use]
    pub fn basic(all: Needs) -> Request<'static> {
        Request { all, visible_needs: Needs::empty(), visible: &[], family: &[], budget: Duration::from_millis(20) }
    }
}

/// A source of samples: reads what runs on the machine.
pub trait Source: Send {
    /// One sweep. An error is for the sweep as a whole (no `/proc`); processes that vanish or deny are not errors.
    fn sample(&mut self, request: &Request<'_>) -> Result<Snapshot, ReadError>;
}
