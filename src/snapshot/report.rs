//! A source's report about itself, shown in the header and explained by `E`.

use serde::{Deserialize, Serialize};

/// Which way the tasks were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tier {
    /// One BPF task-iterator read.
    Bpf,
    /// `/proc` files.
    Proc,
    /// A recording.
    Replay,
}

impl Tier {
    /// Short name for the header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bpf => "bpf",
            Self::Proc => "proc",
            Self::Replay => "replay",
        }
    }
}

/// How births and deaths are learnt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventTier {
    /// The kernel's proc connector: nothing short-lived is missed.
    Connector,
    /// Comparing snapshots: what lives between two of them is missed. Says why.
    Polling(String),
}

/// What a source says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// The tier in use.
    pub tier: Tier,
    /// Why this tier and not a better one; empty if it is the best.
    pub why: String,
    /// What would enable the better tier, as a command or setting.
    pub better: Option<String>,
    /// CPU time of this sweep.
    pub sample_cpu_ns: u64,
    /// Wall time of this sweep.
    pub sample_wall_ns: u64,
    /// How events are learnt.
    pub events: EventTier,
    /// Events the kernel dropped since start.
    pub events_lost: u64,
    /// Processes seen that could not be read because permission was refused.
    pub denied: u32,
}
