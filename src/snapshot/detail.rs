//! Details of one process, read only while they are shown.

use super::{Comm, GroupDetail, Ledger, OrWhy, ProcKey, PythonRuntime, RawBytes, State, TaskWait};

/// Which part of the detail is looked at, and so read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DetailPart {
    /// Program, directory, waits and limits in a few lines.
    Overview,
    /// Its tasks and what they wait for.
    #[default]
    Threads,
    /// `smaps_rollup`; every mapping too, if asked for.
    Memory {
        /// Whether `maps` is wanted.
        maps: bool,
    },
    /// Descriptors, where they lead, sockets with their peers.
    Files,
    /// Its initial environment.
    Environment,
    /// Resource limits.
    Limits,
    /// Control group and namespaces.
    Groups,
    /// The kernel functions that its sleeping tasks are in.
    Stacks,
    /// Interpreters, threads and functions of the Python that it runs.
    Runtime,
    /// What its children still share with it, page by page.
    CopyOnWrite,
    /// Nothing that the samples do not tell.
    Samples,
}

/// One reading of one part of one process. A part that could not be read says why in one sentence.
#[derive(Debug, Clone)]
pub struct Detail {
    /// Whose.
    pub key: ProcKey,
    /// Which part.
    pub part: DetailPart,
    /// When, `CLOCK_BOOTTIME` nanoseconds.
    pub taken_ns: u64,
    /// What was read; bytes are the process's own and are sanitised where they are drawn.
    pub content: Result<DetailContent, String>,
    /// What of it was left out because there is too much, in words; `None` if it is whole.
    pub cut: Option<Box<str>>,
    /// How long the reading took, nanoseconds.
    pub took_ns: u64,
    /// Whether it could not be read because the process is gone: an earlier reading stays then.
    pub gone: bool,
}

impl Detail {
    /// A reading that is whole and took no time to speak of.
    #[must_use]
    pub fn new(key: ProcKey, part: DetailPart, taken_ns: u64, content: Result<DetailContent, String>) -> Self {
        Self { key, part, taken_ns, content, cut: None, took_ns: 0, gone: false }
    }
}

/// The part's content.
#[derive(Debug, Clone)]
pub enum DetailContent {
    /// Program, directory, waits and limits.
    Overview(Box<Overview>),
    /// Ascending tid.
    Threads(Vec<ThreadDetail>),
    /// Lines of `smaps_rollup` (label, bytes), and lines of `maps` if they were asked for.
    Memory {
        /// As the kernel orders them.
        sums: OrWhy<Vec<(RawBytes, u64)>>,
        /// `None` if not asked for.
        maps: Option<OrWhy<Vec<RawBytes>>>,
    },
    /// Ascending descriptor.
    Files(Vec<FileDetail>),
    /// Text as the kernel gives it, cut into entries.
    Lines(Vec<Box<[u8]>>),
    /// Its control groups and namespaces.
    Groups {
        /// Its groups and those above them, deepest first.
        groups: OrWhy<Vec<GroupDetail>>,
        /// Lines of `/proc/PID/cgroup`.
        cgroups: OrWhy<Vec<RawBytes>>,
        /// Name and target, e.g. `pid` and `pid:[4026531836]`.
        namespaces: Vec<(&'static str, OrWhy<RawBytes>)>,
    },
    /// Ascending tid.
    Stacks(Vec<StackDetail>),
    /// The Python within.
    Runtime(Box<PythonRuntime>),
    /// Its children, page by page.
    Ledger(Box<Ledger>),
    /// Nothing was to be read.
    Nothing,
}

/// What the first page of the details says beside the sample's values.
#[derive(Debug, Clone)]
pub struct Overview {
    /// Target of `/proc/PID/exe`.
    pub program: OrWhy<RawBytes>,
    /// Target of `/proc/PID/cwd`.
    pub directory: OrWhy<RawBytes>,
    /// The first tasks by tid, with their waits.
    pub threads: Vec<ThreadDetail>,
    /// Limits that are set and whose use is known.
    pub limits: Vec<LimitUse>,
}

/// How much of a limit is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitUse {
    /// What is limited, in words.
    pub what: &'static str,
    /// In use now.
    pub used: u64,
    /// The limit.
    pub most: u64,
    /// Whether both are bytes; else counts.
    pub bytes: bool,
}

impl LimitUse {
    /// [`LimitUse::what`] of CPU periods: `used` of `most` were throttled.
    pub const THROTTLED: &'static str = "CPU quota of its control group";

    /// Share of the limit that is used; 1 is all of it.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.most == 0 { 1.0 } else { self.used as f64 / self.most as f64 }
    }
}

/// One task.
#[derive(Debug, Clone)]
pub struct ThreadDetail {
    /// Its id.
    pub tid: i32,
    /// Start time in clock ticks after boot: with the tid its identity.
    pub start_ticks: u64,
    /// Its name.
    pub comm: Comm,
    /// Its state.
    pub state: State,
    /// Time on a CPU (`schedstat` field 1); `None` if it could not be read.
    pub run_ns: Option<u64>,
    /// What it waits for; `None` for one that runs.
    pub wait: Option<TaskWait>,
}

/// One task's kernel stack.
#[derive(Debug, Clone)]
pub struct StackDetail {
    /// Its id.
    pub tid: i32,
    /// Its name.
    pub comm: Comm,
    /// Lines of `/proc/PID/task/TID/stack`, innermost first; none for a task that runs in user space.
    pub frames: OrWhy<Vec<RawBytes>>,
}

/// One descriptor.
#[derive(Debug, Clone)]
pub struct FileDetail {
    /// Its number.
    pub fd: i32,
    /// Where it leads, or why that is not known.
    pub target: Result<Box<[u8]>, String>,
    /// Of a TCP, UDP or Unix socket: its two ends and its state, as far as they are known.
    pub socket: Option<Box<str>>,
    /// Locks on the file that the process holds or waits for here.
    pub locks: Box<[FileLock]>,
}

/// A lock on a file (proc_locks(5)).
#[derive(Debug, Clone)]
pub struct FileLock {
    /// `POSIX` (fcntl(2), owned by the process), `OFDLCK` (by the open file description), `FLOCK` (flock(2)), `LEASE` and others.
    pub kind: Box<str>,
    /// `READ`, `WRITE` or `UNLCK`.
    pub access: Box<str>,
    /// First byte and, unless it goes to the end of the file, last byte.
    pub range: (u64, Option<u64>),
    /// Whether the process holds it; else it waits for it.
    pub held: bool,
    /// The processes that wait for it, or that hold it, as far as they are seen from here.
    pub others: Vec<i32>,
}

impl FileLock {
    /// In words, e.g. `holds a write lock (flock), 17 cron waits for it`; `called` says what a process is called.
    #[must_use]
    pub fn words(&self, called: impl Fn(i32) -> String) -> String {
        let access = match &*self.access {
            "READ" => "a read lock",
            "WRITE" => "a write lock",
            _ => "a lock",
        };
        let kind = match &*self.kind {
            "POSIX" => "fcntl",
            "OFDLCK" => "fcntl, of the open file",
            "FLOCK" => "flock",
            other => other,
        };
        let range = match self.range {
            (0, None) => String::new(),
            (first, None) => format!(" from byte {first} on"),
            (first, Some(last)) => format!(" on bytes {first} to {last}"),
        };
        let pids = self.others.iter().map(|pid| called(*pid)).collect::<Vec<_>>().join(", ");
        let others = match (self.held, self.others.len()) {
            (_, 0) => String::new(),
            (true, 1) => format!(", {pids} waits for it"),
            (true, _) => format!(", {pids} wait for it"),
            (false, _) => format!(", {pids} holds one"),
        };
        format!("{} {access}{range} ({kind}){others}", if self.held { "holds" } else { "waits for" })
    }
}
