//! What a survey of the machine found beyond samples: waits that no task can end, threads that ran, limits of control groups, and what
//! Python threads did. A survey is made only while something asks for problems.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Comm, ProcKey, State};

/// What a survey is to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// All that there is in [`Facts`].
    #[default]
    Everything,
    /// Waits that do not end: of each process only what its Python does.
    Waits,
}

/// What one survey found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// What was looked for.
    pub scope: Scope,
    /// CPU time that the survey took, nanoseconds.
    pub cost_ns: u64,
    /// When it began, `CLOCK_BOOTTIME` nanoseconds.
    pub taken_ns: u64,
    /// Nanoseconds since the survey before; 0 for the first.
    pub span_ns: u64,
    /// What was looked at.
    pub looked: Looked,
    /// Waits that no task can end.
    pub stuck: Vec<Stuck>,
    /// Processes of which something is known, by pid.
    pub processes: BTreeMap<i32, ProcessFacts>,
    /// Control groups with limits or events, by directory.
    pub groups: BTreeMap<Arc<str>, GroupFacts>,
    /// The title of the worst finding, by pid, where findings were made of these facts.
    pub problems: BTreeMap<i32, &'static str>,
    /// Objects in `/dev/shm` that no process maps or has open; `None` if that could not be found out.
    pub objects: Option<Vec<SharedObject>>,
}

/// What a survey looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Looked {
    /// Processes.
    pub processes: usize,
    /// Their threads.
    pub tasks: usize,
    /// Processes whose waits may not be read.
    pub unreadable: usize,
    /// Processes that did not answer in time.
    pub silent: usize,
    /// Python processes whose functions have not been read yet.
    pub unread_pythons: usize,
    /// Milliseconds between the two looks.
    pub apart_ms: u64,
}

/// Tasks that cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// Name of the cause, as a diagnosis.
    pub cause: &'static str,
    /// The process to look at.
    pub about: ProcKey,
    /// The task that the chain begins with.
    pub tid: i32,
    /// Other processes concerned.
    pub others: Vec<ProcKey>,
    /// One line.
    pub evidence: String,
    /// What to do.
    pub advice: String,
    /// Of these, processes that wait for the others and hold up none.
    pub behind: Vec<ProcKey>,
    /// A line for each task.
    pub lines: Vec<String>,
    /// How long the longest has waited, milliseconds.
    pub for_ms: Option<u64>,
}

/// What is known of one process.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProcessFacts {
    /// Its threads that ran in the span, ascending tid.
    pub ran: Vec<ThreadRan>,
    /// How it treats SIGTERM, if not by default and not by a handler.
    pub sigterm: Option<SigTerm>,
    /// Names of the signals that it ignores: `SIGINT SIGPIPE`.
    pub ignored: Option<Arc<str>>,
    /// Nanoseconds since its main thread last ran, if it sleeps.
    pub blocked_ns: Option<u64>,
    /// Open descriptors and the soft limit of them.
    pub descriptors: Option<(u64, Option<u64>)>,
    /// CPUs that its main thread may run on (sched_getaffinity(2)).
    pub cpus: Option<usize>,
    /// Directory of its control group that limits CPU time most.
    pub cpu_group: Option<Arc<str>>,
    /// Directory of its control group that limits memory most.
    pub memory_group: Option<Arc<str>>,
    /// Whether its control group is frozen, and which.
    pub frozen: Option<Arc<str>>,
    /// Variables that set the number of threads of BLAS and OpenMP libraries, as it was started.
    pub thread_variables: Vec<(String, String)>,
    /// The BLAS or OpenMP library that it maps.
    pub blas: Option<&'static str>,
    /// The futex at which most of its threads were found, and in how many of a hundred looks.
    pub busiest_futex: Option<(u64, u32)>,
    /// What its Python threads do.
    pub python: Option<Arc<PythonFacts>>,
    /// Whether `multiprocessing` started it, by its functions, and its main thread slept at both looks.
    pub worker: bool,
    /// Whether one of its threads waits for the end of a certain child.
    pub waits_for_child: bool,
    /// Whether it is the init of a PID namespace, where that was looked up.
    pub init: Option<bool>,
}

/// How SIGTERM is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigTerm {
    /// Ignored.
    Ignored,
    /// Blocked by every thread.
    Blocked,
    /// Blocked by every thread, and sent: it waits.
    Pending,
}

/// A thread that ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadRan {
    /// Its TID.
    pub tid: i32,
    /// Its name.
    pub comm: Comm,
    /// Its state.
    pub state: State,
    /// Nanoseconds on a CPU in the span.
    pub run_ns: u64,
    /// Nanoseconds runnable without a CPU.
    pub delay_ns: u64,
    /// How often it was given a CPU.
    pub turns: u64,
}

/// Limits and events of one control group, and what they did in the span.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupFacts {
    /// CPUs that its quota is worth.
    pub quota_cpus: Option<f64>,
    /// Periods in the span in which it ran.
    pub periods: u64,
    /// Those in which it was stopped.
    pub throttled: u64,
    /// Nanoseconds in which it was stopped, in the span.
    pub throttled_ns: u64,
    /// CPUs of its cpuset.
    pub cpuset_cpus: Option<usize>,
    /// `memory.max`, bytes; `None` if there is none.
    pub memory_max: Option<u64>,
    /// `memory.current`, bytes.
    pub memory_now: Option<u64>,
    /// Processes that were killed because memory was full since the group was made.
    pub oom_kills: Option<u64>,
    /// Of these since the first survey.
    pub oom_kills_seen: u64,
}

/// An object in `/dev/shm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedObject {
    /// File name.
    pub name: String,
    /// Its size, bytes.
    pub bytes: u64,
    /// Seconds since it was last written to.
    pub age_s: u64,
}

/// What the threads of a Python process did in several readings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PythonFacts {
    /// Readings.
    pub readings: u32,
    /// Whether there is a GIL.
    pub gil: bool,
    /// Readings in which a thread held it.
    pub held: u32,
    /// Its threads.
    pub threads: Vec<PythonThreadFacts>,
    /// Whether it executes the functions in which `multiprocessing` starts a process.
    pub worker: bool,
    /// Whether it has worker processes of a `multiprocessing.Pool` or a `ProcessPoolExecutor`, by the functions of its threads.
    pub pool: bool,
    /// Tasks of asyncio that cannot go on.
    pub stuck_tasks: Option<AsyncStuck>,
}

/// Why tasks of asyncio cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsyncCause {
    /// They wait for each other, some for locks.
    Locks,
    /// They await each other.
    Awaits,
    /// One waits in `Queue.join()`, and no task is left that could call `task_done()`.
    Queue,
    /// Nothing is left that could wake their loop.
    Unwakeable,
}

impl AsyncCause {
    /// Whether tasks wait for each other: that stays so while others run.
    #[must_use]
    pub fn is_cycle(self) -> bool {
        matches!(self, Self::Locks | Self::Awaits)
    }
}

/// Tasks of asyncio that cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsyncStuck {
    /// What holds them.
    pub cause: AsyncCause,
    /// How many they are.
    pub tasks: usize,
    /// Why they cannot go on.
    pub evidence: String,
    /// A line for each, or for the first ones. Hostile bytes are made printable.
    pub lines: Vec<String>,
    /// The thread of their loop, if known.
    pub tid: Option<i32>,
    /// Milliseconds since that thread last ran, if it sleeps.
    pub for_ms: Option<u64>,
    /// Whether two readings found the same.
    pub twice: bool,
}

/// What one Python thread did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PythonThreadFacts {
    /// Its TID.
    pub tid: i32,
    /// Innermost function, in the newest reading: `busy() at r.py:7`. Hostile bytes are made printable.
    pub place: Option<String>,
    /// Readings in which it held the GIL.
    pub held: u32,
    /// Readings in which it waited for the GIL.
    pub waited: u32,
    /// Readings in which it slept at a futex. A thread that waits for the GIL does so, and wakes each 5 ms.
    pub dozed: u32,
    /// Whether it slept in every reading and did not run between them.
    pub asleep: bool,
    /// The function that an event loop of this thread has called and that has not returned.
    pub callback: Option<String>,
    /// Its outermost function, if that is neither a module nor the start of a thread: as a greenlet has it.
    pub outermost: Option<String>,
    /// Milliseconds since it last ran, if it sleeps.
    pub for_ms: Option<u64>,
    /// Its part in a `multiprocessing.Pool`, by its functions.
    pub role: Option<PoolRole>,
}

/// A part in a `multiprocessing.Pool`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolRole {
    /// Waits for a result.
    Waits,
    /// A worker that waits for a task.
    Idle,
    /// Executes a task, hands tasks on or reads what they are made of, or executes a callback: it may bring a result.
    Busy,
    /// Executes a callback, which waits for a result of a pool. Until the callback returns, its own pool hands on no result.
    CallbackWaits,
}

impl PoolRole {
    /// Whether the thread waits.
    #[must_use]
    pub fn waits(self) -> bool {
        self != Self::Busy
    }
}

impl ProcessFacts {
    /// Its Python threads in this part of a `multiprocessing.Pool`.
    pub fn pool(&self, role: PoolRole) -> impl Iterator<Item = &PythonThreadFacts> {
        let threads = self.python.iter().flat_map(|python| &python.threads);
        threads.filter(move |thread| thread.role == Some(role))
    }

    /// Nanoseconds on a CPU in the span, all threads.
    #[must_use]
    pub fn run_ns(&self) -> u64 {
        self.ran.iter().map(|thread| thread.run_ns).sum()
    }

    /// How often its threads were given a CPU in the span.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.ran.iter().map(|thread| thread.turns).sum()
    }
}
