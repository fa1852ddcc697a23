//! What a sleeping task waits for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One task's wait, as read while it slept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TaskWait {
    /// The task.
    pub tid: i32,
    /// The system call it is in; `None` if it is in none, or may not be looked at.
    pub syscall: Option<Syscall>,
    /// Kernel function it sleeps in (`/proc/PID/task/TID/wchan`), if readable and not `0`.
    pub wchan: Option<Box<str>>,
    /// What that means; `None` if unknown.
    pub reason: Option<WaitReason>,
    /// The lock it waits at, where it is known which.
    pub lock: Option<Lock>,
    /// Tasks that wait at the same lock, this one included, of those that were looked at; 0 if it waits at none.
    pub same_futex: u32,
    /// The pipe it waits at.
    pub pipe: Option<PipeEnd>,
    /// The holders of that pipe's other end; `None` if that was not found out.
    pub peer: Option<PipePeer>,
    /// Whether the kernel refused to tell.
    pub denied: bool,
}

/// A lock by what distinguishes it from all others on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Lock {
    /// In memory of one process.
    Private {
        /// Whose.
        pid: i32,
        /// Where in its address space.
        address: u64,
    },
    /// In memory that processes share.
    Shared {
        /// Device of the file or of shared memory: major and minor number.
        device: (u32, u32),
        /// Number of the file.
        inode: u64,
        /// Where in the file.
        offset: u64,
    },
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private { pid, address } => write!(f, "{pid}:{address:x}"),
            Self::Shared { device: (major, minor), inode, offset } => write!(f, "shared {major}:{minor}:{inode}+{offset:x}"),
        }
    }
}

/// A pipe, and which end of it a task waits at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipeEnd {
    /// The pipe's number.
    pub inode: u64,
    /// What the task does with it.
    pub direction: Direction,
}

/// The holders of the other end of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PipePeer {
    /// Another process.
    Process {
        /// The one with the lowest pid.
        pid: i32,
        /// How many more hold it.
        more: u32,
    },
    /// Only the process that waits.
    Itself,
}

/// A system call by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Syscall {
    /// The architecture's number.
    pub number: u64,
    /// Its name, if it is one that waits.
    #[serde(deserialize_with = "super::word::optional")]
    pub name: Option<super::Word>,
}

/// What a task waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaitReason {
    /// A lock, condition or join: futex(2). The address, where the system call shows it.
    Futex {
        /// In the process's own address space.
        address: Option<u64>,
    },
    /// epoll_wait(2).
    Epoll {
        /// Descriptors it listens to, if they could be counted.
        fds: Option<u32>,
    },
    /// poll(2) and its kin.
    Poll {
        /// Descriptors it listens to, where the system call shows it.
        fds: Option<u32>,
    },
    /// select(2) and its kin.
    Select,
    /// A sleep of a set length.
    Nanosleep,
    /// The end of a child: wait4(2), waitid(2).
    Child {
        /// Which, if a certain one.
        pid: Option<i32>,
    },
    /// Bytes from or room in a descriptor.
    Io {
        /// Reading or writing.
        direction: Direction,
        /// What the descriptor is.
        what: Endpoint,
        /// Its number, where the system call shows it.
        fd: Option<i32>,
    },
    /// A new connection: accept(2).
    Accept,
    /// The other side: connect(2).
    Connect,
    /// A signal: sigwait(3), sigsuspend(2), pause(2).
    Signal,
    /// A message queue of System V or POSIX.
    Queue,
    /// io_uring_enter(2), io_getevents(2).
    AsyncIo,
    /// A lock on a file: flock(2), fcntl(2).
    FileLock {
        /// The one process that holds what it waits for, if known.
        holder: Option<i32>,
    },
    /// Storage.
    Storage,
    /// A SIGCONT from another process.
    Stopped,
    /// Its tracer.
    Traced,
    /// Its parent, to be reaped.
    Reaper,
    /// In a system call that is named, or a kernel function.
    Other(Box<str>),
    /// A System V semaphore: semop(2).
    Semaphore {
        /// The id of its set, where the system call shows it.
        set: Option<i32>,
    },
    /// The other end of a FIFO: open(2), see fifo(7).
    Fifo,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// It waits for bytes.
    Read,
    /// It waits for room.
    Write,
}

/// What a descriptor leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Endpoint {
    /// A pipe or FIFO.
    Pipe,
    /// A socket.
    Socket,
    /// A terminal.
    Terminal,
    /// eventfd(2).
    EventFd,
    /// timerfd(2).
    TimerFd,
    /// signalfd(2).
    SignalFd,
    /// inotify(7) or fanotify(7).
    Notify,
    /// Anything else with a name.
    File,
    /// Not known: the descriptor may not be looked at.
    Unknown,
}

impl Endpoint {
    /// One or two words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Pipe => "pipe",
            Self::Socket => "socket",
            Self::Terminal => "terminal",
            Self::EventFd => "eventfd",
            Self::TimerFd => "timerfd",
            Self::SignalFd => "signalfd",
            Self::Notify => "inotify",
            Self::File => "file",
            Self::Unknown => "descriptor",
        }
    }
}

/// The end of an address: enough to tell locks of one process apart, short enough for a column.
struct Short(u64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "..{:05x}", self.0 & 0xf_ffff)
    }
}

impl fmt::Display for TaskWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(WaitReason::Futex { address: Some(address) }) if self.same_futex > 1 => {
                write!(f, "futex wait {} ({})", Short(*address), self.same_futex)
            }
            Some(WaitReason::Io { direction, what: Endpoint::Pipe, .. }) if self.peer.is_some() => {
                let (verb, word) = if *direction == Direction::Read { ("reads", "from") } else { ("writes", "to") };
                write!(f, "{verb} pipe {word} ")?;
                match self.peer {
                    Some(PipePeer::Process { pid, more: 0 }) => write!(f, "PID {pid}"),
                    Some(PipePeer::Process { pid, more }) => write!(f, "PID {pid} +{more}"),
                    Some(PipePeer::Itself) | None => f.write_str("itself"),
                }
            }
            Some(reason) => write!(f, "{reason}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |f: &mut fmt::Formatter<'_>, word: &str, fds: &Option<u32>| match fds {
            Some(1) => write!(f, "{word}, 1 fd"),
            Some(n) => write!(f, "{word}, {n} fds"),
            None => f.write_str(word),
        };
        match self {
            Self::Futex { address: Some(address) } => write!(f, "futex wait {}", Short(*address)),
            Self::Futex { address: None } => f.write_str("futex wait"),
            Self::Epoll { fds } => counted(f, "epoll", fds),
            Self::Poll { fds } => counted(f, "poll", fds),
            Self::Select => f.write_str("select"),
            Self::Nanosleep => f.write_str("nanosleep"),
            Self::Child { pid: Some(pid) } => write!(f, "waits for child {pid}"),
            Self::Child { pid: None } => f.write_str("waits for child"),
            Self::Io { direction, what, fd } => {
                f.write_str(if *direction == Direction::Read { "reads " } else { "writes " })?;
                f.write_str(what.words())?;
                fd.map_or(Ok(()), |fd| write!(f, ", fd {fd}"))
            }
            Self::Accept => f.write_str("accepts connections"),
            Self::Connect => f.write_str("connects"),
            Self::Signal => f.write_str("waits for signal"),
            Self::Queue => f.write_str("message queue"),
            Self::Semaphore { set: Some(set) } => write!(f, "semaphore of set {set}"),
            Self::Semaphore { set: None } => f.write_str("semaphore"),
            Self::Fifo => f.write_str("opens fifo"),
            Self::AsyncIo => f.write_str("asynchronous io"),
            Self::FileLock { holder: Some(pid) } => write!(f, "file lock of PID {pid}"),
            Self::FileLock { holder: None } => f.write_str("file lock"),
            Self::Storage => f.write_str("storage"),
            Self::Stopped => f.write_str("stopped by a signal"),
            Self::Traced => f.write_str("stopped by a tracer"),
            Self::Reaper => f.write_str("zombie, not reaped"),
            Self::Other(name) => f.write_str(name),
        }
    }
}
