//! Namespaces (namespaces(7)) of a process.

use serde::{Deserialize, Serialize};

/// One of a process's namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Its kind, as the file in `/proc/PID/ns` is called: `pid`, `mnt`, `net`, ...
    #[serde(deserialize_with = "super::word::known")]
    pub kind: super::Word,
    /// Its number, the same for all that are in it.
    pub inode: u64,
    /// Whether it is another than concmon's own; `None` if that could not be read.
    pub foreign: Option<bool>,
}
