//! The results of the looks at this machine.

use crate::causes::{Problem, Scene};
use crate::diagnose::Finding;
use crate::why::Pythons;

/// The results of the newest look.
pub(super) struct Found {
    pub(super) scene: Scene,
    pub(super) problems: Vec<Problem>,
    pub(super) pythons: Pythons,
    /// Limits, leaks, signals and every other problem that is no chain of waits.
    pub(super) findings: Vec<Finding>,
    pub(super) taken_ns: u64,
    /// Whether there was a look before it.
    pub(super) again: bool,
    /// True if a chain of waits was found in the process group of each wanted process.
    pub(super) is_whole: bool,
    /// Whether none of the processes that were asked about is there.
    pub(super) matched_none: bool,
}
