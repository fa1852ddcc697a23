//! The protocol between concmon and its helper: one JSON object per line over a socket pair, [`Order`]s one way, [`Notice`]s the other.
//!
//! Both ends are the same binary, so there is no version. The end of the stream is a message too: the helper kills every run when
//! concmon's end closes, which the kernel does however concmon ended.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::catalog::RunSpec;
use super::protocol::Line;
pub use super::usage::Usage;

/// What to exec for a run. The helper adds the run's own variables (`CONCMON_LAB_SOCKET`,
/// `CONCMON_LAB_SPEC`, `CONCMON_LAB_RUN`, `CONCMON_LAB_OBJECTS`, `TMPDIR`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Absolute path of the executable.
    pub path: PathBuf,
    /// Arguments, the name the program sees itself under first.
    pub args: Vec<String>,
    /// Variables to set.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Variables not to hand on: exact names, or prefixes where they end in `*`.
    #[serde(default)]
    pub env_remove: Vec<String>,
    /// Files to write into the run's own directory: name and text.
    #[serde(default)]
    pub files: Vec<(String, String)>,
    /// Working directory; `None`: the run's own directory.
    #[serde(default)]
    pub directory: Option<PathBuf>,
}

/// Variable of a run that names the socket in the run's own directory.
pub const SOCKET_VARIABLE: &str = "CONCMON_LAB_SOCKET";
/// File beside that socket: the run is kept until it is stopped.
pub const KEPT: &str = "kept";

/// In the value of a variable of [`Program::env`]: the run's own directory, which only the helper knows.
pub const RUN_DIRECTORY: &str = "@RUN_DIRECTORY@";

impl Program {
    /// This binary as the root of a native run.
    #[must_use]
    pub fn native() -> Self {
        Self {
            path: PathBuf::from("/proc/self/exe"),
            args: vec!["concmon".into(), super::hidden::ROOT.into()],
            env: Vec::new(),
            env_remove: Vec::new(),
            files: Vec::new(),
            directory: None,
        }
    }
}

/// What concmon asks of the helper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// Start a run.
    Launch {
        /// Its number.
        run: u32,
        /// What it is to do.
        spec: Box<RunSpec>,
        /// What to exec.
        program: Box<Program>,
    },
    /// Let a run stay after the time for looking at it, until it is stopped.
    Keep {
        /// Its number.
        run: u32,
    },
    /// Kill a run and everything it has created.
    Stop {
        /// Its number.
        run: u32,
    },
}

/// How a program of the user's own began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    /// When the process was about to execute it, monotonic nanoseconds.
    pub t: u64,
    /// What the process had used by then.
    pub used: Usage,
    /// Most memory that it had had resident by then, as a copy of its parent.
    pub max_rss_bytes: u64,
}

/// One process of a run's family as the helper read it from `/proc/PID/stat`, and, when the run was held still, what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its pid.
    pub pid: i32,
    /// Its parent.
    pub ppid: i32,
    /// Kernel state letter.
    pub state: char,
    /// Number of tasks.
    pub nlwp: u32,
    /// Resident memory; `None` for zombies.
    pub rss_bytes: Option<u64>,
    /// Proportional set size; `None` where it was not looked at or could not be read.
    #[serde(default)]
    pub pss_bytes: Option<u64>,
    /// Unique set size, the same.
    #[serde(default)]
    pub uss_bytes: Option<u64>,
    /// Its command line, arguments joined by spaces and cut; empty where it was not looked at.
    #[serde(default)]
    pub command: String,
    /// What each of its tasks waits for, in the words of [`super::waits`]; tasks on a CPU, and those that could not be read, are left out.
    #[serde(default)]
    pub waits: Vec<String>,
}

/// Why a run was killed rather than left to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillReason {
    /// [`Order::Stop`].
    Stopped,
    /// Its timeout.
    TimedOut,
}

/// What the helper reports to concmon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// The run root has been forked.
    Started {
        /// Which run.
        run: u32,
        /// Pid of its root.
        root_pid: i32,
        /// Just before it was forked, monotonic nanoseconds.
        t: u64,
    },
    /// The run could not be started.
    NotStarted {
        /// Which run.
        run: u32,
        /// One sentence.
        why: String,
    },
    /// A protocol line of the run, checked.
    Line {
        /// Which run.
        run: u32,
        /// The line.
        line: Line,
    },
    /// Lines that were lost or refused.
    Lost {
        /// Which run.
        run: u32,
        /// How many.
        count: u64,
        /// Why, one sentence; empty for a gap in a worker's own counter.
        why: String,
    },
    /// Something the run printed.
    Output {
        /// Which run.
        run: u32,
        /// Text (invalid UTF-8 replaced).
        text: String,
    },
    /// The run's family at one moment.
    Family {
        /// Which run.
        run: u32,
        /// Monotonic nanoseconds.
        t: u64,
        /// Its processes.
        members: Vec<Member>,
        /// Sum of PSS, if it was read.
        pss_bytes: Option<u64>,
        /// Whether the run was held still for this look (every worker known to be alive).
        held: bool,
        /// CPU time that the members have used so far, and the children they waited for; only where the root has said that the work is
        /// done and it stays to be looked at.
        #[serde(default)]
        cpu_ns: Option<u64>,
    },
    /// The root has ended.
    RootEnded {
        /// Which run.
        run: u32,
        /// When the helper's wait4(2) for it came back, monotonic nanoseconds: its end, and what the helper took to be on a CPU again.
        t: u64,
        /// Raw wait status.
        status: u32,
        /// What it and the children it waited for have used (wait4(2)).
        #[serde(default)]
        used: Usage,
        /// How it began, if it is a program of the user's own.
        #[serde(default)]
        began: Option<Began>,
    },
    /// Nothing of the run is left.
    Ended {
        /// Which run.
        run: u32,
        /// Monotonic nanoseconds.
        t: u64,
        /// What the root and all it waited for, and the orphans, have cost.
        usage: Usage,
        /// `memory.peak` of its control group, if it had one with that controller.
        #[serde(default)]
        memory_peak_bytes: Option<u64>,
        /// Of a program of the user's own: the most memory that one of its processes has ever had resident, as wait4(2) says, or the
        /// largest sum over its processes that the watch over its tasks has seen: the larger of the two. `None` if neither is known.
        #[serde(default)]
        max_rss_bytes: Option<u64>,
        /// Processes that go on, as was asked.
        #[serde(default)]
        left_running: u32,
        /// Processes that had to be killed after the root had ended by itself.
        orphans: u32,
        /// Why it was killed, if it was.
        killed: Option<KillReason>,
    },
}

impl Notice {
    /// Number of the run it is about.
    #[must_use]
    pub fn run(&self) -> u32 {
        match self {
            Self::Started { run, .. }
            | Self::NotStarted { run, .. }
            | Self::Line { run, .. }
            | Self::Lost { run, .. }
            | Self::Output { run, .. }
            | Self::Family { run, .. }
            | Self::RootEnded { run, .. }
            | Self::Ended { run, .. } => *run,
        }
    }
}

/// One message as its line, newline included. An error is a fault of serialisation, which these types cannot cause.
pub fn to_line<T: Serialize>(message: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}
