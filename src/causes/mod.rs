//! Explains why tasks do not go on: the task that each waits for, cycles of waits, and waits that no task can end.
//!
//! An [`Edge`] says "A cannot go on before B does something". A task is **stuck** if each task that could end its wait is stuck too, or if
//! there is none ([`search::stuck`]). [`read`] fills a [`scene::Scene`] from two looks at `/proc`; everything else here is pure.
//!
//! A wait with a timeout, a wait for the network, a terminal or a clock is never stuck. Neither is one of epoll, unless it waits for a
//! child. A wait that could not be read is not stuck either: it is reported as unknown.

mod by_tid;
mod desk;
mod glibc;
mod look;
pub mod read;
pub mod scene;
pub mod search;
#[cfg(test)]
mod tests;
mod words;

/// Says which users may read waits whose reading was refused.
pub const UNREADABLE: &str = "Only their user and root (CAP_SYS_PTRACE) may read them, unless a security module forbids it.";
/// Waits that are not followed.
pub const NOT_FOLLOWED: &str = "Not followed: waits with a timeout, for terminals and for signals, and most waits of epoll.";

pub use by_tid::ByTid;
pub use desk::handles_signals;
pub use look::{asleep, sleeps_on};
pub use read::{Patience, Ran, Reader};
pub use scene::{Process, Scene, Task, TaskId, Wait};
pub use search::{Problem, Step, chain, problems};

/// What one task waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The task that waits.
    pub from: TaskId,
    /// The task or process that must act.
    pub to: Target,
    /// What kind of wait it is.
    pub kind: Kind,
    /// What was read, in words.
    pub evidence: String,
    /// How certain the target is.
    pub certainty: Certainty,
    /// How long the task has slept in this wait, milliseconds; `None` if the kernel does not report it.
    pub for_ms: Option<u64>,
}

/// The task or process that must act before a wait ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// This task.
    Task(TaskId),
    /// Any task of this process.
    Process(i32),
    /// No task is left that could.
    Nobody,
}

/// Kinds of waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A mutex with a recorded owner.
    Mutex,
    /// A read-write lock with a recorded writer.
    RwLock,
    /// pthread_join(3).
    Join,
    /// A lock within one process whose owner is not recorded.
    Lock,
    /// A lock or semaphore in memory that processes share.
    SharedLock,
    /// The end of a child: wait4(2), waitid(2).
    Child,
    /// Data in a pipe.
    PipeRead,
    /// Room in a pipe.
    PipeWrite,
    /// flock(2), fcntl(2).
    FileLock,
    /// Data or room in a connected socket.
    Socket,
    /// ptrace(2).
    Ptrace,
    /// The GIL of CPython.
    Gil,
    /// A lock of Python's `threading` or `multiprocessing`, whose holder is known by its `with` block or recorded by the lock.
    PythonLock,
    /// The import of a Python module, by the thread that its lock records.
    Import,
}

impl Kind {
    /// The name in JSON.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Mutex => "mutex",
            Self::RwLock => "rwlock",
            Self::Join => "join",
            Self::Lock => "lock",
            Self::SharedLock => "shared_lock",
            Self::Child => "child",
            Self::PipeRead => "pipe_read",
            Self::PipeWrite => "pipe_write",
            Self::FileLock => "file_lock",
            Self::Socket => "socket",
            Self::Ptrace => "ptrace",
            Self::Gil => "gil",
            Self::PythonLock => "python_lock",
            Self::Import => "import",
        }
    }
}

/// How certain the target of a wait is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// The lock or the kernel names the task or process.
    Recorded,
    /// Every process that could act was found by the descriptors and memory that it has, among those that concmon may read.
    Found,
}

impl Certainty {
    /// The name in JSON.
    #[must_use]
    pub fn id(self) -> &'static str {
        if self == Self::Recorded { "recorded" } else { "found" }
    }
}
