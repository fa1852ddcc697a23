//! The protocol of workers: one JSON object per line, the same for native and Python workers.
//!
//! Every line has `t` (`CLOCK_MONOTONIC` nanoseconds of the event), `pid`, `tid`, `n` (a counter per connection: a gap means that
//! lines were dropped because the reader was slow) and `m`, the kind of message. `hello` comes first on every connection.

use serde::{Deserialize, Serialize};

use super::usage::Usage;

/// Version of the protocol; a `hello` with another one ends the connection with a clear error.
pub const VERSION: u32 = 1;

/// The longest line that is read; a longer one ends the connection (a worker cannot make concmon grow).
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When it happened, `CLOCK_MONOTONIC` nanoseconds.
    pub t: u64,
    /// Sender's pid, checked against SO_PEERCRED where it comes over a socket of its own.
    pub pid: i32,
    /// Sender's tid.
    pub tid: i32,
    /// Counter per connection, from 0.
    #[serde(default)]
    pub n: u64,
    /// What happened.
    #[serde(flatten)]
    pub message: Message,
}

/// How a worker came to be, as its creator did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Creation {
    /// fork(2).
    Fork,
    /// fork(2), then execve(2).
    ForkExec,
    /// posix_spawn(3) (vfork and exec).
    Spawn,
    /// fork(2) by a fork server.
    ForkServer,
    /// clone(2) with CLONE_THREAD.
    Thread,
    /// A sub-interpreter inside a thread.
    Interpreter,
    /// An async task of an event loop: the kernel cannot see it.
    AsyncTask,
    /// A greenlet: the kernel cannot see it.
    Greenlet,
    /// The run root itself does the work.
    Inline,
}

impl Creation {
    /// Whether what it creates is a process, with a PID and memory of its own.
    #[must_use]
    pub fn is_process(self) -> bool {
        matches!(self, Self::Fork | Self::ForkExec | Self::Spawn | Self::ForkServer)
    }

    /// Short words for a badge.
    #[must_use]
    pub fn badge(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::ForkExec => "fork+exec",
            Self::Spawn => "spawn",
            Self::ForkServer => "forksrv",
            Self::Thread => "thread",
            Self::Interpreter => "interp",
            Self::AsyncTask => "async",
            Self::Greenlet => "greenlet",
            Self::Inline => "inline",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "m", rename_all = "snake_case")]
pub enum Message {
    /// First line of a connection.
    Hello {
        /// Protocol version.
        v: u32,
        /// `root`, `worker` or `helper` (a process the system needs beside its workers: a fork server, a resource tracker).
        role: String,
        /// `native`, or the interpreter and its GIL: `python 3.14.10, GIL`, `python 3.13.5, no GIL`.
        #[serde(default)]
        lang: String,
        /// When the interpreter was started, monotonic nanoseconds, if that was not the first thing the process did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started: Option<u64>,
    },
    /// The creator is about to create worker `w`.
    Requested {
        /// Worker's index, from 0.
        w: u32,
    },
    /// Worker `w` runs its first own instruction; sent by the worker (`t` is taken first thing).
    Ready {
        /// Worker's index.
        w: u32,
        /// How it was created.
        how: Creation,
    },
    /// In a measured run, whose workers are not looked at while they are timed: the sender can be looked at as worker `w` in the
    /// `inspect` that follows.
    Shown {
        /// Worker's index.
        w: u32,
        /// How it was created.
        how: Creation,
    },
    /// The measured part begins at `t`: the next thing the root did was its first act of creation. Where it is not said, the first
    /// [`Message::Requested`] begins it.
    Begins,
    /// The root's last word: what comes after `t` is the end of its program or interpreter.
    Leaves,
    /// Worker `w` begins task `k`.
    TaskStart {
        /// Worker's index.
        w: u32,
        /// Task's index, from 0.
        k: u32,
    },
    /// Worker `w` has finished task `k`.
    TaskEnd {
        /// Worker's index.
        w: u32,
        /// Task's index.
        k: u32,
    },
    /// Worker `w` has ended (said by its creator after wait or join).
    Exited {
        /// Worker's index.
        w: u32,
        /// Raw wait status, if it was a process.
        #[serde(default)]
        status: Option<u32>,
    },
    /// A result worth showing (`pi`, an interleaving, requests per second).
    Value {
        /// What it is.
        name: String,
        /// As text.
        text: String,
        /// As a number with its unit in `name` (`wall_ns`), if it is one.
        #[serde(default)]
        number: Option<u64>,
    },
    /// The run goes into another part: `launch`, `steady`, `teardown`. In `inspect` it holds still to be looked at, in `hold` for a
    /// person, in `note` it reads what [`Message::Costs`] says: time that is not counted as its own.
    Phase {
        /// Name of the part.
        name: String,
    },
    /// Something the reader should know that is not a failure.
    Warn {
        /// One sentence.
        text: String,
    },
    /// The worker failed; the run's verdict will say so.
    Error {
        /// One sentence, or a whole traceback.
        text: String,
    },
    /// CPU time that reporting has taken of the run: of one process, said by it at its end, or of all, said by the root of a measured run.
    Overhead {
        /// Lines.
        events: u64,
        /// CPU time spent in noting, making and sending them.
        ns: u64,
    },
    /// What one process has counted so far, said by it when its work is done; again, if more has come to it.
    Costs {
        /// Tid, and the nanoseconds it was ready but waited for a CPU (2nd field of `schedstat`), of each of its tasks that were seen; none
        /// if some come and go unseen.
        #[serde(default)]
        waits: Option<Vec<(i32, u64)>>,
        /// Bytes it has written into pipes and sockets to other processes of the run, the protocol's left out, if it counts them.
        #[serde(default)]
        sent_bytes: Option<u64>,
    },
    /// What the root has used for what is no part of the run (getrusage(2)): its start and filling its memory before the first act of
    /// creation, and holding still to be looked at. What is said adds up. What it uses after [`Message::Done`] need not be said.
    Apart(Usage),
    /// The last worker has ended at `t`; what the root and the children it has waited for had used by then (getrusage SELF and CHILDREN).
    Done {
        /// User CPU of root and waited-for children.
        user_ns: u64,
        /// System CPU of root and waited-for children.
        sys_ns: u64,
        /// Minor faults.
        minor_faults: u64,
        /// Major faults.
        major_faults: u64,
        /// Voluntary switches.
        voluntary_switches: u64,
        /// Involuntary switches.
        involuntary_switches: u64,
        /// Time that root and workers were ready but waited for a CPU, nanoseconds, where they know it (2nd field of `schedstat`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run_delay_ns: Option<u64>,
        /// Bytes that root and worker processes have sent to each other, if they count them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent_bytes: Option<u64>,
    },
}

/// Why a line was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LineError {
    /// Longer than [`MAX_LINE_BYTES`].
    #[error("a line of more than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// Not the JSON the protocol wants.
    #[error("not a protocol line: {0}")]
    Malformed(String),
    /// Another version of the protocol.
    #[error("protocol version {found}; this concmon uses version {VERSION}")]
    Version {
        /// What the worker said.
        found: u32,
    },
}

/// Parses one line (without its newline).
pub fn parse_line(bytes: &[u8]) -> Result<Line, LineError> {
    if bytes.len() > MAX_LINE_BYTES {
        return Err(LineError::TooLong);
    }
    let line: Line = serde_json::from_slice(bytes).map_err(|e| LineError::Malformed(e.to_string()))?;
    match &line.message {
        Message::Hello { v, .. } if *v != VERSION => Err(LineError::Version { found: *v }),
        _ => Ok(line),
    }
}
