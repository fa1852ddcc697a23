//! One run as a value: a state machine fed with protocol lines and the helper's notices, read by the UI, the CLI and the tests.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::snapshot::ExitStatus;

use super::catalog::RunSpec;
use super::protocol::Creation;
use super::trace::Trace;
use super::usage::Usage;

/// Number of a run within one concmon, from 1. Runs of a comparison have numbers of their own: what one starts oneself is counted
/// without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunId(pub u32);

impl RunId {
    /// No run, but a family of processes whose lanes are drawn as those of a run.
    pub const FAMILY: Self = Self(0);
    /// Where the numbers of compared runs begin.
    const COMPARED: u32 = 1 << 30;

    /// The number of the n-th run of comparisons.
    #[must_use]
    pub fn compared(number: u32) -> Self {
        Self(Self::COMPARED.saturating_add(number))
    }

    /// Whether a comparison started it.
    #[must_use]
    pub fn is_compared(self) -> bool {
        self.0 > Self::COMPARED
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_compared() { write!(f, "#c{}", self.0 - Self::COMPARED) } else { write!(f, "#{}", self.0) }
    }
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunPhase {
    /// Asked for, root not up yet.
    Starting,
    /// Creating workers or working.
    Running,
    /// The root has finished or is being killed; descendants are being reaped.
    Ending,
    /// Over.
    Ended(Outcome),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it should.
    Done,
    /// Something failed; one sentence (a traceback is in the output).
    Failed(String),
    /// The user stopped it.
    Stopped,
    /// It took longer than its timeout.
    TimedOut,
}

/// One unit of work on a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskSpan {
    /// Index of the unit of work.
    pub index: u32,
    /// Began, monotonic nanoseconds.
    pub start_ns: u64,
    /// Ended.
    pub end_ns: Option<u64>,
}

/// One worker of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Its index.
    pub index: u32,
    /// Its pid once it has said so.
    pub pid: Option<i32>,
    /// Pid of the process that is looked at in its place, see [`super::protocol::Message::Shown`].
    pub shown_pid: Option<i32>,
    /// Its tid once it has said so.
    pub tid: Option<i32>,
    /// How it was created.
    pub how: Option<Creation>,
    /// Its creator was about to create it, monotonic nanoseconds.
    pub requested_ns: Option<u64>,
    /// It ran its first own instruction.
    pub ready_ns: Option<u64>,
    /// Its creator has seen it end.
    pub exited_ns: Option<u64>,
    /// How it ended, if it was a process.
    pub status: Option<ExitStatus>,
    /// What it worked on.
    pub spans: Vec<TaskSpan>,
    /// The most memory it was seen to hold; only for workers that are processes.
    pub memory: Memory,
}

/// Memory of one process or of a family, bytes: the largest values among the helper's looks, so lower bounds of the true peaks. `None`
/// where there was no look, or the kernel did not let us read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Resident (`VmRSS`).
    pub rss_bytes: Option<u64>,
    /// Proportional: each shared page divided by its sharers (`Pss` of `smaps_rollup`, proc_pid_smaps(5)).
    pub pss_bytes: Option<u64>,
    /// Unique: pages that no other process maps (`Private_Clean` + `Private_Dirty`).
    pub uss_bytes: Option<u64>,
}

impl Memory {
    /// Keeps the larger of each.
    pub fn raise(&mut self, seen: Self) {
        self.rss_bytes = self.rss_bytes.max(seen.rss_bytes);
        self.pss_bytes = self.pss_bytes.max(seen.pss_bytes);
        self.uss_bytes = self.uss_bytes.max(seen.uss_bytes);
    }
}

impl Worker {
    /// Creation latency: from the request to its first own instruction.
    #[must_use]
    pub fn creation_ns(&self) -> Option<u64> {
        Some(self.ready_ns?.saturating_sub(self.requested_ns?))
    }
}

/// Spread of a set of points; the points themselves are kept by who made it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many points.
    pub count: usize,
    /// Smallest.
    pub min: f64,
    /// Half are below.
    pub median: f64,
    /// Nine tenths are below.
    pub p90: f64,
    /// Largest.
    pub max: f64,
}

/// What a run cost; `None` is unknown (not yet, or not readable).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Costs {
    /// Creation latency over the workers, nanoseconds.
    pub creation_ns: Option<Summary>,
    /// From just before the first act of creation (the first request for a worker, or the constructor of a pool) to the end of the last
    /// worker (its join, or the return of the pool's shutdown); pauses to be looked at are left out. Known as soon as the work is done
    /// where the run stays to be looked at: then without the end of the workers. Of a program of the user's own: from just before it was
    /// executed until the helper's wait for its end came back.
    pub wall_ns: Option<u64>,
    /// From the same beginning to the first own instruction of the last worker that was created ("all ready").
    #[serde(default)]
    pub all_ready_ns: Option<u64>,
    /// Wall time from just before the root was forked to the first instruction of its own code: the start of its program or interpreter.
    #[serde(default)]
    pub root_start_ns: Option<u64>,
    /// Wall time from the root's last own instruction to its end: the finalisation of its interpreter.
    #[serde(default)]
    pub root_end_ns: Option<u64>,
    /// User CPU of the root and all its waited-for descendants within the same span as the wall time: [`Costs::apart`] is left out.
    pub user_ns: Option<u64>,
    /// System CPU of the same.
    pub sys_ns: Option<u64>,
    /// User and system CPU of the same when the work was done; only of a run that stays to be looked at, and only until it has ended.
    #[serde(default)]
    pub so_far_cpu_ns: Option<u64>,
    /// What the root has used for what is no part of the run: its start and filling its memory, before the first act of creation; holding
    /// still to be looked at; everything after the end of the last worker, the end of its interpreter among it; of a program of the user's
    /// own, what came before it was executed. Left out of the CPU times, faults and switches here, as it is of the wall time.
    #[serde(default)]
    pub apart: Option<Usage>,
    /// Largest sum of RSS over the family, sampled (a lower bound).
    pub peak_rss_bytes: Option<u64>,
    /// Largest sum of PSS over the family, sampled (a lower bound).
    pub peak_pss_bytes: Option<u64>,
    /// Largest sum of USS over the family, sampled (a lower bound).
    #[serde(default)]
    pub peak_uss_bytes: Option<u64>,
    /// `memory.peak` of the run's control group, page cache included (cgroups(7)); exact, but only where the group has the controller.
    #[serde(default)]
    pub cgroup_peak_bytes: Option<u64>,
    /// From the first request for a worker to the beginning of the first unit of work, pauses to be looked at not counted.
    #[serde(default)]
    pub first_task_ns: Option<u64>,
    /// Time root and workers were ready to run but waited for a CPU, as they read it themselves when their work was done (2nd field of
    /// `schedstat`).
    #[serde(default)]
    pub run_delay_ns: Option<u64>,
    /// Bytes that root and worker processes have written into pipes and sockets to each other, the protocol's left out.
    #[serde(default)]
    pub sent_bytes: Option<u64>,
    /// Minor faults.
    pub minor_faults: Option<u64>,
    /// Major faults.
    pub major_faults: Option<u64>,
    /// Voluntary switches.
    pub voluntary_switches: Option<u64>,
    /// Involuntary switches.
    pub involuntary_switches: Option<u64>,
    /// CPU time within the run that went into reporting: measured by the processes themselves, or, where marks are kept in memory, from
    /// what a mark and the write of a process's marks cost on this machine; Python systems only.
    #[serde(default)]
    pub protocol_ns: Option<u64>,
    /// From the root's last own instruction (or the end of the work, or the kill) to the last descendant gone.
    pub teardown_ns: Option<u64>,
}

impl Costs {
    /// All CPU time that the kernel charged to the run, what is apart too (wait4(2)), nanoseconds.
    #[must_use]
    pub fn charged_cpu_ns(&self) -> Option<u64> {
        Some(self.user_ns?.saturating_add(self.sys_ns?).saturating_add(self.apart.map_or(0, Usage::cpu_ns)))
    }

    /// Something more is no part of the run.
    pub(super) fn set_apart(&mut self, usage: Usage) {
        let mut apart = self.apart.unwrap_or_default();
        apart += usage;
        self.apart = Some(apart);
    }

    /// What the processes of the run have used, by the kernel's account when all had been waited for.
    pub(super) fn charge(&mut self, total: Usage) {
        let own = total.without(self.apart.unwrap_or_default());
        self.so_far_cpu_ns = None;
        (self.user_ns, self.sys_ns) = (Some(own.user_ns), Some(own.sys_ns));
        (self.minor_faults, self.major_faults) = (Some(own.minor_faults), Some(own.major_faults));
        self.voluntary_switches = Some(own.voluntary_switches);
        self.involuntary_switches = Some(own.involuntary_switches);
    }
}

/// A result a system reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedValue {
    /// What it is, unit in the name.
    pub name: String,
    /// As text.
    pub text: String,
    /// As a number.
    pub number: Option<u64>,
}

/// One process of the run's family as the helper's guard last saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilyMember {
    /// Its pid.
    pub pid: i32,
    /// Its parent.
    pub ppid: i32,
    /// State letter.
    pub state: char,
    /// Number of tasks.
    pub nlwp: u32,
    /// Resident memory.
    pub rss_bytes: Option<u64>,
}

/// The live check of the expected shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShapeCheck {
    /// What is checked: `pids`, `tids`, `parents`, `states`.
    pub what: String,
    /// Whether it was met at any time while the run was steady.
    pub met: bool,
    /// What was expected, in words.
    pub expected: String,
    /// What was seen, in words.
    pub seen: String,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// What was asked for.
    pub spec: RunSpec,
    /// How far it is.
    pub phase: RunPhase,
    /// What its root is written in, as it says itself: `native`, or `python 3.14.0`.
    pub lang: Option<String>,
    /// Pid of the run root, once known.
    pub root_pid: Option<i32>,
    /// Start of the time axis, monotonic nanoseconds.
    pub started_ns: u64,
    /// Workers by index.
    pub workers: Vec<Worker>,
    /// The family as last seen alive.
    pub family: Vec<FamilyMember>,
    /// What it cost so far.
    pub costs: Costs,
    /// Results the system reported.
    pub values: Vec<ReportedValue>,
    /// Live shape checks.
    pub shape: Vec<ShapeCheck>,
    /// Warnings in plain words.
    pub warnings: Vec<String>,
    /// What the run printed, at most 256 KiB of it (the middle is cut, and says so).
    pub output: String,
    /// What each of its tasks did over time; `None` if they are not watched.
    pub trace: Option<Arc<Trace>>,
    /// Protocol lines that were dropped or refused.
    pub lines_lost: u64,
    /// What the state machine remembers between notices.
    pub(super) progress: super::machine::Progress,
}

impl Run {
    /// A run that has just been asked for.
    #[must_use]
    pub fn new(id: RunId, spec: RunSpec, started_ns: u64) -> Self {
        Self {
            id,
            spec,
            phase: RunPhase::Starting,
            lang: None,
            root_pid: None,
            started_ns,
            workers: Vec::new(),
            family: Vec::new(),
            costs: Costs::default(),
            values: Vec::new(),
            shape: Vec::new(),
            warnings: Vec::new(),
            output: String::new(),
            trace: None,
            lines_lost: 0,
            progress: super::machine::Progress::default(),
        }
    }

    /// Whether it is over.
    #[must_use]
    pub fn ended(&self) -> bool {
        matches!(self.phase, RunPhase::Ended(_))
    }
}
