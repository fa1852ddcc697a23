//! A signal target as shown in the dialog; the engine holds the pidfd.

use crate::snapshot::{ProcKey, SigTerm};

/// One process chosen for a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenTarget {
    /// The process.
    pub key: ProcKey,
    /// Its name when it was frozen; hostile bytes already made printable.
    pub name: String,
    /// Its command line when it was last read, as far as a dialog shows it; empty if unknown; hostile bytes already made printable.
    pub command: String,
    /// Why it will not be signalled, in one sentence; `None` if it will.
    pub problem: Option<String>,
    /// How it treats SIGTERM, if neither by default nor by a handler.
    pub sigterm: Option<SigTerm>,
}
