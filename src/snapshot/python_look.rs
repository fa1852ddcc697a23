//! What the columns show of the Python of one process: read for rows on screen only.

use serde::{Deserialize, Serialize};

/// Whether a process is a Python, and what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PythonSeen {
    /// It is no CPython, or none whose memory can be read.
    Not,
    /// It did not answer yet, or is starting.
    Unread,
    /// The kernel refused to read its memory.
    Denied,
    /// The last look.
    Look(PythonLook),
}

/// One look at a Python, and what looks at its GIL since the last sample found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonLook {
    /// When it was taken, `CLOCK_BOOTTIME` nanoseconds.
    pub taken_ns: u64,
    /// The thread that a row of the process shows: the one that held a GIL, else the main thread, else the first.
    pub face: i32,
    /// Its threads, ascending tid; of very many, not all.
    pub threads: Box<[PythonThreadLook]>,
    /// Whether it has a GIL; builds without one have none.
    pub has_gil: bool,
    /// Looks at the GIL; `None` until there were enough.
    pub gil: Option<GilLooks>,
    /// The longest time since an event loop of asyncio last came back from its selector, 0 if it waits there; `None` without such a loop.
    pub loop_lag_ns: Option<u64>,
    /// Tasks of asyncio that are not done; `None` if asyncio is not in use, or cannot be read.
    pub async_tasks: Option<u64>,
}

/// One thread of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonThreadLook {
    /// Its TID.
    pub tid: i32,
    /// The innermost frame of the user's own code, else the innermost frame: `function file.py:88`. `None` if it executes none, or
    /// changed during each reading.
    pub place: Option<Box<str>>,
    /// In how many looks it held the GIL, and in how many it waited for it.
    pub held: u32,
    /// See `held`.
    pub wanted: u32,
}

/// How often a GIL was held and waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GilLooks {
    /// Looks.
    pub looks: u32,
    /// Those in which a thread held it.
    pub held: u32,
    /// Those in which at least one thread waited for it; `None` if there are too many threads to ask.
    pub wanted: Option<u32>,
}

impl PythonLook {
    /// The thread with this TID.
    #[must_use]
    pub fn thread(&self, tid: i32) -> Option<&PythonThreadLook> {
        self.threads.binary_search_by_key(&tid, |thread| thread.tid).ok().map(|at| &self.threads[at])
    }
}
