//! A CPython runtime read from outside: interpreters, GILs, threads and their functions.
//!
//! The process runs during the reading, so each thread's stack is from its own moment. Names come from the process; sanitise them before
//! drawing.

use std::sync::Arc;

use super::{Asyncio, Comm, Greenlets, LeftOut, PythonFrame, RawBytes, State, TaskWait};

/// The runtime of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonRuntime {
    /// `PY_VERSION_HEX`.
    pub version: PythonVersion,
    /// Whether it was built to run without the GIL (PEP 703).
    pub free_threaded: bool,
    /// The mapped file that it is in.
    pub file: RawBytes,
    /// What all of it comes to, in one sentence.
    pub finding: String,
    /// Ascending id; the first is the main one.
    pub interpreters: Vec<PythonInterpreter>,
    /// What is not certain or not whole, in sentences.
    pub notes: Vec<String>,
    /// The event loops and tasks of asyncio; `None` if there are none or they cannot be read, which `notes` say.
    pub asyncio: Option<Asyncio>,
    /// Runs and tasks of trio in the form of asyncio's: a task is awaited by the one in whose nursery it is. `None` as for asyncio.
    pub trio: Option<Asyncio>,
    /// The greenlets; `None` if there are none or they cannot be read, which `notes` say.
    pub greenlets: Option<Greenlets>,
}

/// A version as in `PY_VERSION_HEX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PythonVersion(pub u32);

impl PythonVersion {
    /// Whether the micro version is known: only the minor one decides on a layout, and is all that is known before 3.11.
    #[must_use]
    pub fn minor_only(self) -> bool {
        self.0 & 0xffff == 0x00f0 && self.minor() < (3, 13)
    }

    /// Major and minor number.
    #[must_use]
    pub fn minor(self) -> (u8, u8) {
        let [major, minor, ..] = self.0.to_be_bytes();
        (major, minor)
    }

    /// Whether it is a release, or a candidate for one: layouts stay as they are from there on.
    #[must_use]
    pub fn is_settled(self) -> bool {
        self.0 >> 4 & 0xf >= 0xc
    }
}

impl std::fmt::Display for PythonVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [major, minor, micro, level] = self.0.to_be_bytes();
        if self.minor_only() {
            return write!(f, "{major}.{minor}");
        }
        write!(f, "{major}.{minor}.{micro}")?;
        let serial = level & 0xf;
        match level >> 4 {
            0xa => write!(f, "a{serial}"),
            0xb => write!(f, "b{serial}"),
            0xc => write!(f, "rc{serial}"),
            _ => Ok(()),
        }
    }
}

/// One interpreter (PEP 734).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonInterpreter {
    /// Its id; 0 is the main one's.
    pub id: i64,
    /// Which lock is its GIL: interpreters with the same number share it.
    pub gil_address: u64,
    /// The addresses at which a thread sleeps that waits for that lock, with glibc.
    pub gil_futexes: std::ops::Range<u64>,
    /// What that lock is doing.
    pub gil: Gil,
    /// How many threads it has. Of very many, not all are in `threads`.
    pub thread_count: usize,
    /// The threads that were read, ascending native id.
    pub threads: Vec<PythonThread>,
}

/// What a GIL is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gil {
    /// There is none to hold: this build runs without it, and it is not switched on.
    Off,
    /// No thread holds it.
    Free,
    /// Held by the thread with this native id.
    Held(u64),
    /// Held by a thread that was not among those that were read.
    Elsewhere,
}

/// One thread of an interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonThread {
    /// What `threading.get_native_id()` says in it: its TID as its own PID namespace numbers it.
    pub native_id: u64,
    /// The kernel's task; `None` if none of the process has this id now.
    pub task: Option<PythonTask>,
    /// Whether it held its interpreter's GIL.
    pub holds_gil: bool,
    /// Whether it slept within its interpreter's GIL, as the address of its futex says.
    pub waits_for_gil: bool,
    /// Its name in `threading`. `None` from 3.14 on, where Python gives it to the kernel as `comm`, and if it could not be read.
    pub name: Option<Arc<str>>,
    /// Innermost first.
    pub frames: Vec<PythonFrame>,
    /// Frames that were counted but not kept.
    pub left_out: Option<LeftOut>,
    /// Whether there are outer frames that were not read at all.
    pub deeper: bool,
    /// Whether it ran on while its frames were read, so that the innermost may be of different moments.
    pub moved: bool,
}

/// The kernel's side of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonTask {
    /// Its id here.
    pub tid: i32,
    /// Its name.
    pub comm: Comm,
    /// Its state.
    pub state: State,
    /// What it waits for; `None` for one that runs.
    pub wait: Option<TaskWait>,
}
