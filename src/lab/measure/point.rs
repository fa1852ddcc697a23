//! One run as a row of numbers.

use serde::{Deserialize, Serialize};

use crate::lab::control::Usage;
use crate::lab::protocol::Creation;
use crate::lab::run::{Memory, Outcome, Run, RunPhase, Worker};

/// What the machine did while a run was on, from `/proc/stat` (proc_stat(5)), which counts in steps of 10 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Load {
    /// CPU time that all CPUs together had, nanoseconds.
    pub capacity_ns: u64,
    /// CPU time that was used on the machine, by the run itself too, nanoseconds.
    pub busy_ns: u64,
}

/// Values by which a service reports its rate under load.
const SERVED: [&str; 2] = ["requests_per_second", "calls_per_second"];

/// Everything that was read off one run. Times are nanoseconds, memory is bytes; `None` is unknown, never 0.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Point {
    /// Index of its cell in [`super::Plan::cells`].
    pub cell: usize,
    /// Which repetition, from 0; warm-ups count for themselves.
    pub repetition: u32,
    /// Whether it only warmed the machine up: kept, and left out of every figure but the advice about cold starts.
    pub warm_up: bool,
    /// Why it failed; `None` if it did what it should. A failed run's figures are left out.
    pub failed: Option<String>,
    /// What its root is written in: `native`, or the interpreter, `python 3.14.0`.
    pub lang: Option<String>,
    /// Creation latency of each worker that was created, in order of their index.
    pub creation_ns: Vec<u64>,
    /// From the first request for a worker to the beginning of the first unit of work.
    pub first_task_ns: Option<u64>,
    /// From the first act of creation to the end of the last worker, see [`crate::lab::run::Costs::wall_ns`].
    pub wall_ns: Option<u64>,
    /// From the end of the work to the end of the last process.
    pub teardown_ns: Option<u64>,
    /// Units of work that were done.
    pub tasks_done: u32,
    /// Requests or calls per second, as the clients of a service have seen them; `None` for what is no service.
    #[serde(default)]
    pub served_per_s: Option<u64>,
    /// User CPU of the root and all that it waited for (wait4(2)) within the wall time.
    pub user_ns: Option<u64>,
    /// System CPU of the same.
    pub sys_ns: Option<u64>,
    /// CPU that the root has used besides: before the first act of creation, in pauses, and after the end of the last worker.
    #[serde(default)]
    pub apart_ns: Option<u64>,
    /// From the beginning of the wall time to the first own instruction of the last worker.
    #[serde(default)]
    pub all_ready_ns: Option<u64>,
    /// Wall time of the start of the root's interpreter or program.
    #[serde(default)]
    pub root_start_ns: Option<u64>,
    /// Wall time of its end.
    #[serde(default)]
    pub root_end_ns: Option<u64>,
    /// Time that tasks of the run were ready but waited for a CPU.
    pub run_delay_ns: Option<u64>,
    /// Voluntary context switches.
    pub voluntary_switches: Option<u64>,
    /// Involuntary context switches.
    pub involuntary_switches: Option<u64>,
    /// Minor page faults.
    pub minor_faults: Option<u64>,
    /// Major page faults.
    pub major_faults: Option<u64>,
    /// Largest sums over the family among the looks at it.
    pub family: Memory,
    /// Largest values of each worker that is a process.
    pub workers: Vec<Memory>,
    /// `memory.peak` of the run's control group.
    pub cgroup_peak_bytes: Option<u64>,
    /// Bytes that root and worker processes have sent to each other.
    pub sent_bytes: Option<u64>,
    /// CPU time the workers spent on reporting all this.
    pub protocol_ns: Option<u64>,
    /// Processes of the family that was last seen, the root among them.
    pub processes: Option<u32>,
    /// What the machine did meanwhile.
    pub load: Option<Load>,
    /// Warnings of the run itself, in plain words.
    pub warnings: Vec<String>,
}

impl Point {
    /// Reads a run that has ended.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let costs = &run.costs;
        let created = run.workers.iter().filter(|w| w.how != Some(Creation::Inline));
        let done = run.workers.iter().flat_map(|w| &w.spans).filter(|s| s.end_ns.is_some()).count();
        let separate = run.workers.iter().filter(|w| w.how.is_some_and(Creation::is_process));
        Self {
            failed: failure(run),
            lang: run.lang.clone(),
            creation_ns: created.filter_map(Worker::creation_ns).collect(),
            first_task_ns: costs.first_task_ns,
            wall_ns: costs.wall_ns,
            teardown_ns: costs.teardown_ns,
            tasks_done: u32::try_from(done).unwrap_or(u32::MAX),
            served_per_s: run.values.iter().find(|v| SERVED.contains(&v.name.as_str())).and_then(|v| v.number),
            user_ns: costs.user_ns,
            sys_ns: costs.sys_ns,
            apart_ns: costs.apart.map(Usage::cpu_ns),
            all_ready_ns: costs.all_ready_ns,
            root_start_ns: costs.root_start_ns,
            root_end_ns: costs.root_end_ns,
            run_delay_ns: costs.run_delay_ns,
            voluntary_switches: costs.voluntary_switches,
            involuntary_switches: costs.involuntary_switches,
            minor_faults: costs.minor_faults,
            major_faults: costs.major_faults,
            family: Memory { rss_bytes: costs.peak_rss_bytes, pss_bytes: costs.peak_pss_bytes, uss_bytes: costs.peak_uss_bytes },
            workers: separate.map(|w| w.memory).collect(),
            cgroup_peak_bytes: costs.cgroup_peak_bytes,
            sent_bytes: costs.sent_bytes,
            protocol_ns: costs.protocol_ns,
            processes: if run.spec.is_own() {
                run.most_processes()
            } else {
                u32::try_from(run.family.len()).ok().filter(|n| *n > 0)
            },
            warnings: run.warnings.clone(),
            ..Self::default()
        }
    }

    /// Whether it is to be counted.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.failed.is_none() && !self.warm_up
    }

    /// User and system CPU together, nanoseconds.
    #[must_use]
    pub fn cpu_ns(&self) -> Option<u64> {
        Some(self.user_ns?.saturating_add(self.sys_ns?))
    }

    /// All CPU time that the kernel charged to it, nanoseconds.
    #[must_use]
    pub fn charged_ns(&self) -> Option<u64> {
        Some(self.cpu_ns()?.saturating_add(self.apart_ns.unwrap_or(0)))
    }
}

/// Why a run did not do what it should, one sentence.
fn failure(run: &Run) -> Option<String> {
    match &run.phase {
        RunPhase::Ended(Outcome::Done) => None,
        RunPhase::Ended(Outcome::Failed(why)) => Some(why.clone()),
        RunPhase::Ended(Outcome::TimedOut) => Some(format!("the run timed out after {:.1} s", ms(run.spec.timeout_ms) / 1e3)),
        RunPhase::Ended(Outcome::Stopped) => Some("the run was stopped".into()),
        RunPhase::Starting | RunPhase::Running | RunPhase::Ending => Some("the run has not ended".into()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn ms(n: u64) -> f64 {
    n as f64
}
