//! Plain data of one sample, as returned by a [`crate::kernel::source::Source`]. No I/O and no rates (`derive` computes those).
//!
//! `None` always means "not read or not readable", never zero. Times are nanoseconds, memory is bytes.

mod asyncio;
mod container;
mod detail;
mod event;
mod facts;
mod greenlets;
mod group;
mod host;
mod host_id;
mod ledger;
mod namespace;
mod needs;
mod process;
mod python_frame;
mod python_look;
mod raw;
mod report;
mod runtime;
mod script;
mod spare;
mod state;
mod wait;
mod word;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use asyncio::{AsyncState, AsyncTask, Asyncio, AtQueue, EventLoop, LONG_LAG_NS, LoopTurn, QueueWait, TreeRow, circles};
pub use container::{Container, container_of};
pub use detail::{Detail, DetailContent, DetailPart, FileDetail, FileLock, LimitUse, Overview, StackDetail, ThreadDetail};
pub use event::{EventKind, ExitStatus, LifecycleEvent};
pub use facts::{
    AsyncCause, AsyncStuck, Facts, GroupFacts, Looked, PoolRole, ProcessFacts, PythonFacts, PythonThreadFacts, Scope,
    SharedObject, SigTerm, Stuck, ThreadRan,
};
pub use greenlets::{Greenlet, GreenletState, Greenlets};
pub use group::{GroupDetail, GroupEvent, Throttled, Weight};
pub use host::{CpuTimes, DiskSample, HostSample, MemorySample, NetworkSample, OwnLimits, Pressure, PressureSample, Temperature};
pub use host_id::{MOST_HOSTS, host_of, id_on_host, is_pid, pid_on_host};
pub use ledger::{Ledger, LedgerChild, LedgerMapping, LedgerReading, PageCounts};
pub use namespace::Namespace;
pub use needs::Needs;
pub use process::{Denied, Exact, Identity, Namespaces, ProcKey, ProcessSample, ProcessValues, Seen, TaskKey, TaskSample};
pub use python_frame::{LeftOut, PythonFrame};
pub use python_look::{GilLooks, PythonLook, PythonSeen, PythonThreadLook};
pub use raw::{OrWhy, RawBytes, contains};
pub use report::{EventTier, SourceReport, Tier};
pub use runtime::{Gil, PythonInterpreter, PythonRuntime, PythonTask, PythonThread, PythonVersion};
pub use spare::{give_back, give_back_map, give_back_queue};
pub use state::{Comm, State};
pub use wait::{Direction, Endpoint, Lock, PipeEnd, PipePeer, Syscall, TaskWait, WaitReason};
pub use word::Word;

/// Facts of the machine that seldom change while concmon runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemInfo {
    /// Bytes per page (`sysconf(_SC_PAGESIZE)`).
    pub page_bytes: u64,
    /// Clock ticks per second (`sysconf(_SC_CLK_TCK)`), the unit of times in `/proc/PID/stat`.
    pub ticks_per_second: u64,
    /// Host name, sanitised where it is drawn.
    pub hostname: String,
    /// Kernel release, as `uname -r`.
    pub kernel_release: String,
    /// `/proc/sys/kernel/pid_max`.
    pub pid_max: Option<u32>,
    /// When it was booted, nanoseconds since 1970 (UTC), by the clock as it was set at the sample; `None` if there is no such clock.
    pub booted_unix_ns: Option<u64>,
    /// What this machine's time zone is ahead of UTC, seconds: from which second since 1970 on, and by how much, ascending. Before the first
    /// the first holds. Empty is UTC.
    pub utc_offsets: Vec<(i64, i32)>,
}

impl SystemInfo {
    /// What the time zone is ahead of UTC at a second since 1970, seconds: summer time by the date's own rule, not by today's.
    #[must_use]
    pub fn utc_offset_at(&self, unix_s: i64) -> i32 {
        let after = self.utc_offsets.partition_point(|(from, _)| *from <= unix_s);
        self.utc_offsets.get(after.saturating_sub(1)).map_or(0, |(_, offset)| *offset)
    }

    /// Nanoseconds of one clock tick.
    #[must_use]
    pub fn tick_ns(&self) -> u64 {
        1_000_000_000 / self.ticks_per_second.max(1)
    }
}

/// How many tasks are in which state, in the order of [`State::ALL`].
pub type TaskStates = [u64; State::ALL.len()];

/// Adds tasks in this state. States of other kernels are not counted.
pub fn count_state(states: &mut TaskStates, state: State) {
    if let Some(at) = State::ALL.iter().position(|known| *known == state) {
        states[at] += 1;
    }
}

/// Counts the tasks of these processes; `None` if some process has tasks that were not looked at.
#[must_use]
pub fn task_states(processes: &[ProcessSample], tasks: &[TaskSample]) -> Option<TaskStates> {
    let mut states = TaskStates::default();
    for process in processes {
        let own = tasks.get(process.tasks.start as usize..process.tasks.end as usize).unwrap_or_default();
        if own.is_empty() && process.nlwp.is_some_and(|count| count > 1) {
            return None;
        }
        if own.is_empty() {
            count_state(&mut states, process.leader.state);
        }
        own.iter().for_each(|task| count_state(&mut states, task.state));
    }
    Some(states)
}

/// Everything one sweep saw.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When the sweep began, `CLOCK_BOOTTIME` nanoseconds.
    pub taken_ns: u64,
    /// The machine's constants.
    pub system: Arc<SystemInfo>,
    /// CPUs, memory, load, pressure.
    pub host: HostSample,
    /// All processes, ascending pid, each pid once.
    pub processes: Vec<ProcessSample>,
    /// Tasks of multi-threaded processes (leader included), grouped by process in [`ProcessSample::tasks`]' ranges, ascending tid
    /// within a process. Empty where threads were not asked for. A single-threaded process has no entry: its leader is the task.
    pub tasks: Vec<TaskSample>,
    /// States of all tasks, kernel threads too; `None` where not all were looked at.
    pub task_states: Option<TaskStates>,
    /// What was born, execed and died since the previous snapshot, oldest first.
    pub events: Vec<LifecycleEvent>,
    /// Which source this is, why, and what it cost.
    pub report: SourceReport,
}
