//! What looks at this machine found.

use crate::causes::{Problem, Scene};
use crate::diagnose::Finding;
use crate::why::Pythons;

/// What the looks found.
pub(super) struct Found {
    pub(super) scene: Scene,
    pub(super) problems: Vec<Problem>,
    pub(super) pythons: Pythons,
    /// What is no wait.
    pub(super) findings: Vec<Finding>,
    pub(super) taken_ns: u64,
    /// Whether it was looked at more than once.
    pub(super) again: bool,
}
