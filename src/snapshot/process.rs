//! Sampled processes and tasks.

use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Comm, Namespace, PythonSeen, State, TaskWait};

/// A process's identity for as long as the machine is up: pids are reused, a pid with its start time is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcKey {
    /// The tgid, what users call PID.
    pub pid: i32,
    /// Start time in clock ticks after boot (field 22 of `/proc/PID/stat`).
    pub start_ticks: u64,
}

/// A task's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskKey {
    /// The tid.
    pub tid: i32,
    /// Start time in clock ticks after boot.
    pub start_ticks: u64,
}

/// Arguments, program, owner and control group: they change seldom, and are shared by the snapshots that follow.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identity {
    /// Arguments as `/proc/PID/cmdline` gives them: NUL-separated; empty for kernel threads and zombies; `None` if unreadable.
    pub cmdline: Option<Arc<[u8]>>,
    /// Target of `/proc/PID/exe`, if it may be read (own processes, or privileged).
    pub exe: Option<Box<[u8]>>,
    /// Whether the kernel refused to tell `exe`.
    pub exe_denied: bool,
    /// Effective user id (owner of `/proc/PID`).
    pub uid: Option<u32>,
    /// User name for `uid`, or its number in digits.
    pub user: Option<Arc<str>>,
    /// Path in the hierarchy of `/proc/PID/cgroup` that says most: one that names a container, else the unified one.
    pub cgroup: Option<Box<str>>,
    /// Whether the newest read of `cmdline` has not returned in time: what is known is older. Recordings do not have it.
    #[serde(skip)]
    pub unanswered: bool,
}

/// One kernel task. In this order, as [`ProcessValues`] is.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct TaskSample {
    /// The task's id.
    pub tid: i32,
    /// The process it belongs to.
    pub tgid: i32,
    /// Start time in clock ticks after boot.
    pub start_ticks: u64,
    /// Kernel state letter.
    pub state: State,
    /// Name of the task.
    pub comm: Comm,
    /// User-mode CPU time of this task alone.
    pub utime_ns: Option<u64>,
    /// Kernel-mode CPU time of this task alone.
    pub stime_ns: Option<u64>,
    /// Time on a CPU (`schedstat` field 1), nanosecond-exact.
    pub run_ns: Option<u64>,
    /// Time runnable but waiting for a CPU (`schedstat` field 2).
    pub run_delay_ns: Option<u64>,
    /// Voluntary context switches (it blocked).
    pub voluntary_switches: Option<u64>,
    /// Involuntary context switches (it was preempted).
    pub involuntary_switches: Option<u64>,
    /// Minor faults of this task.
    pub minor_faults: Option<u64>,
    /// Major faults of this task.
    pub major_faults: Option<u64>,
    /// Kernel priority as `/proc/PID/stat` field 18 shows it.
    pub priority: i32,
    /// Nice value.
    pub nice: i32,
    /// Scheduling policy number (sched(7)).
    pub policy: Option<u32>,
    /// Real-time priority, 0 for normal tasks.
    pub rt_priority: Option<u32>,
    /// CPU it last ran on.
    pub last_cpu: Option<u32>,
}

impl TaskSample {
    /// CPU time, user and kernel.
    #[must_use]
    pub fn cpu_ns(&self) -> Option<u64> {
        self.run_ns.or_else(|| Some(self.utime_ns?.saturating_add(self.stime_ns?)))
    }

    /// Its identity.
    #[must_use]
    pub fn key(&self) -> TaskKey {
        TaskKey { tid: self.tid, start_ticks: self.start_ticks }
    }
}

/// One process in one sweep. Values that have not changed are shared with the sweep before: memory and most of the work follow what
/// changes, not the number of processes.
#[derive(Debug, Clone)]
pub struct ProcessSample {
    /// How long after [`super::Snapshot::taken_ns`] its counters were read, nanoseconds: a sweep that has to wait for a CPU in between
    /// reads some much later than others, and rates are over each one's own time.
    pub read_after_ns: u64,
    /// [`Seen::off_ns`] of its threads: it grows while they rest.
    off_ns: u64,
    /// Its tasks in [`super::Snapshot::tasks`]; empty if single-threaded or threads were not asked for.
    pub tasks: Range<u32>,
    /// Expensive values, read for visible rows only.
    pub exact: Option<Arc<Exact>>,
    values: Arc<ProcessValues>,
}

/// What only changes when a process does something: the thread group's totals and its leader.
///
/// The totals are counters that never fall: threads that ended stay in them. In this order: what is looked at of every process in every sweep
/// (ids, parent, session, state, name) shares its first cache lines.
#[derive(Debug, Clone, PartialEq)]
#[repr(C)]
pub struct ProcessValues {
    /// Identity.
    pub key: ProcKey,
    /// Parent's tgid; 0 for pid 1 and kthreadd.
    pub ppid: i32,
    /// Process group.
    pub pgrp: i32,
    /// Session.
    pub session: i32,
    /// Controlling terminal's device number, 0 for none.
    pub tty_nr: i32,
    /// Whether it is a kernel thread (`PF_KTHREAD`).
    pub kernel_thread: bool,
    /// What is fixed between execs.
    pub identity: Arc<Identity>,
    /// The own values (not the group's) of the thread that speaks for the process: the main thread or, where that has ended and others
    /// live, the first of those, with name and start of the main thread.
    pub leader: TaskSample,
    /// Number of tasks in the group.
    pub nlwp: Option<u32>,
    /// User CPU time of the whole group, exited threads included.
    pub utime_ns: Option<u64>,
    /// Kernel CPU time of the whole group, exited threads included.
    pub stime_ns: Option<u64>,
    /// CPU time of the group, exited threads included, finer than clock ticks where the threads' `schedstat` was read.
    pub run_ns: Option<u64>,
    /// What was seen of its threads, but for the time off a CPU: [`ProcessSample::seen`] has it all. `None` if not all living ones were
    /// read.
    pub seen: Option<Seen>,
    /// Voluntary switches of the group, exited threads included; `None` if unknown (`/proc` does not count those of exited threads).
    pub voluntary_switches: Option<u64>,
    /// Involuntary switches of the group, exited threads included; `None` if unknown.
    pub involuntary_switches: Option<u64>,
    /// Minor faults of the group, exited threads included.
    pub minor_faults: Option<u64>,
    /// Major faults of the group, exited threads included.
    pub major_faults: Option<u64>,
    /// Size of the address space; `None` for kernel threads and zombies.
    pub virt_bytes: Option<u64>,
    /// Resident memory. The kernel batches these counters per CPU: may be off by some dozen pages (proc_pid_stat(5)).
    pub rss_bytes: Option<u64>,
    /// Resident anonymous memory.
    pub rss_anon_bytes: Option<u64>,
    /// Resident file mappings.
    pub rss_file_bytes: Option<u64>,
    /// Resident shared memory.
    pub rss_shmem_bytes: Option<u64>,
    /// Resident pages that are file-backed or shared memory (`statm` field 3, htop's SHR): file + shmem.
    pub shared_bytes: Option<u64>,
    /// Swapped-out anonymous memory.
    pub swap_bytes: Option<u64>,
}

/// What was seen of a process's threads: of living ones until now, of ended ones until they were read for the last time. The kernel
/// keeps no run delay of ended threads, so the rest of theirs can only be bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Time on a CPU, nanoseconds.
    pub run_ns: u64,
    /// Time runnable but waiting for a CPU; `None` where the kernel does not count it.
    pub delay_ns: Option<u64>,
    /// Time not on a CPU: waiting for one, or asleep.
    pub off_ns: u64,
    /// Voluntary and involuntary switches, where they are read per thread.
    pub switches: Option<(u64, u64)>,
    /// How often threads were found to have ended.
    pub ended: u64,
}

impl Seen {
    /// Of no thread: what others are added to.
    pub const NOTHING: Self = Self { run_ns: 0, delay_ns: Some(0), off_ns: 0, switches: Some((0, 0)), ended: 0 };

    /// Of one thread that was started, or first seen, `life_ns` ago.
    #[must_use]
    pub fn thread(life_ns: u64, run_ns: u64, delay_ns: Option<u64>) -> Self {
        Self { run_ns, delay_ns, off_ns: life_ns.saturating_sub(run_ns), switches: None, ended: 0 }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let sum = u64::saturating_add;
        Self {
            run_ns: sum(self.run_ns, other.run_ns),
            delay_ns: self.delay_ns.zip(other.delay_ns).map(|(a, b)| sum(a, b)),
            off_ns: sum(self.off_ns, other.off_ns),
            switches: self.switches.zip(other.switches).map(|(a, b)| (sum(a.0, b.0), sum(a.1, b.1))),
            ended: sum(self.ended, other.ended),
        }
    }

    /// The same of a thread that has ended since.
    #[must_use]
    pub fn ended(self) -> Self {
        Self { ended: self.ended.saturating_add(1), ..self }
    }
}

impl From<ProcessValues> for ProcessSample {
    fn from(values: ProcessValues) -> Self {
        Self::sharing(values, &mut None)
    }
}

impl Deref for ProcessSample {
    type Target = ProcessValues;

    fn deref(&self) -> &ProcessValues {
        &self.values
    }
}

/// Values that are shared with another sweep are copied first.
impl DerefMut for ProcessSample {
    fn deref_mut(&mut self) -> &mut ProcessValues {
        Arc::make_mut(&mut self.values)
    }
}

impl ProcessSample {
    /// One that shares the values of the sweep before, `last`, if they are equal. The new ones are `last` of the next sweep.
    #[must_use]
    pub fn sharing(mut values: ProcessValues, last: &mut Option<Arc<ProcessValues>>) -> Self {
        let off_ns = values.seen.as_mut().map_or(0, |seen| std::mem::take(&mut seen.off_ns));
        let values = match last {
            Some(last) if **last == values => Arc::clone(last),
            _ => Arc::clone(last.insert(Arc::new(values))),
        };
        Self { read_after_ns: 0, off_ns, tasks: 0..0, exact: None, values }
    }

    /// Whether only the time has changed since the other sweep, as far as that is known without comparing.
    #[must_use]
    pub fn rested_since(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.values, &other.values)
    }

    /// What was seen of its threads; `None` if not all living ones were read.
    #[must_use]
    pub fn seen(&self) -> Option<Seen> {
        self.values.seen.map(|seen| Seen { off_ns: self.off_ns, ..seen })
    }

    /// Sets it.
    pub fn set_seen(&mut self, seen: Option<Seen>) {
        self.off_ns = seen.map_or(0, |seen| seen.off_ns);
        self.seen = seen.map(|seen| Seen { off_ns: 0, ..seen });
    }
}

impl ProcessValues {
    /// CPU time, user and kernel, exited threads included.
    #[must_use]
    pub fn cpu_ns(&self) -> Option<u64> {
        self.run_ns.or_else(|| Some(self.utime_ns?.saturating_add(self.stime_ns?)))
    }
}

/// Values that cost too much to read for everyone; each read has its own time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Exact {
    /// When they were read, `CLOCK_BOOTTIME` nanoseconds.
    pub taken_ns: u64,
    /// Proportional set size (`smaps_rollup`).
    pub pss_bytes: Option<u64>,
    /// Whether PSS and its kin were left out because the process is so large that reading them would stall it.
    pub too_large_for_smaps: bool,
    /// Private clean + private dirty: freed if this process alone ends.
    pub uss_bytes: Option<u64>,
    /// Private dirty pages: what copy-on-write and the heap cost.
    pub private_dirty_bytes: Option<u64>,
    /// Peak resident size (`VmHWM`).
    pub peak_rss_bytes: Option<u64>,
    /// Bytes fetched from storage (`/proc/PID/io` read_bytes).
    pub read_bytes: Option<u64>,
    /// Bytes sent to storage (`/proc/PID/io` write_bytes).
    pub write_bytes: Option<u64>,
    /// Open descriptors.
    pub fds: Option<u32>,
    /// What of all this the kernel refused to tell.
    pub denied: Denied,
    /// Whether the newest reading has not returned in time: what is known is of `taken_ns`. Recordings do not have it.
    #[serde(skip)]
    pub unanswered: bool,
    /// Kernel function it sleeps in (`/proc/PID/wchan`), if readable and not `0`.
    pub wchan: Option<Box<str>>,
    /// CPUs its leader may run on, as the kernel lists them (`0-3,8`).
    pub cpus_allowed: Option<Box<str>>,
    /// The same of its other threads, ascending tid, as far as there was time to read them.
    pub thread_cpus: Box<[(i32, Box<str>)]>,
    /// Its namespaces; `None` if not asked for.
    pub namespaces: Option<Namespaces>,
    /// How early it would be killed when memory runs out, 0 to 2000 (`oom_score`; proc_pid_oom_score(5)).
    pub oom_score: Option<u32>,
    /// What its sleeping tasks wait for, ascending tid; a task that ran has none. `None` if not asked for.
    pub waits: Option<Box<[TaskWait]>>,
    /// What its Python does; `None` if not asked for, or not looked at yet.
    pub python: Option<Arc<PythonSeen>>,
}

/// What was found out about a process's namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Namespaces {
    /// All that could be read.
    Known(Box<[Namespace]>),
    /// The kernel refused to tell.
    Denied,
}

/// What the kernel shows only to root and to users that may trace the process (ptrace(2), `PTRACE_MODE_READ_FSCREDS`), and refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Denied {
    /// `smaps_rollup`: PSS, USS, private dirty pages.
    pub smaps: bool,
    /// `io`: bytes from and to storage.
    pub io: bool,
    /// `fd`: open descriptors.
    pub fds: bool,
}

impl Exact {
    /// The same with an earlier reading's values of what waits for a lock that the process may hold. Their age is the earlier one's.
    #[must_use]
    pub fn with_locked_of(self, earlier: Option<&Self>) -> Self {
        let Some(earlier) = earlier else { return self };
        Self {
            taken_ns: earlier.taken_ns,
            pss_bytes: earlier.pss_bytes,
            uss_bytes: earlier.uss_bytes,
            private_dirty_bytes: earlier.private_dirty_bytes,
            too_large_for_smaps: earlier.too_large_for_smaps,
            read_bytes: earlier.read_bytes,
            write_bytes: earlier.write_bytes,
            waits: earlier.waits.clone(),
            ..self
        }
    }

    /// The namespace of a kind.
    #[must_use]
    pub fn namespace(&self, kind: &str) -> Option<&Namespace> {
        match &self.namespaces {
            Some(Namespaces::Known(known)) => known.iter().find(|namespace| namespace.kind == kind),
            _ => None,
        }
    }

    /// CPUs a thread may run on.
    #[must_use]
    pub fn cpus_of(&self, tid: i32) -> Option<&str> {
        let at = self.thread_cpus.binary_search_by_key(&tid, |(tid, _)| *tid).ok()?;
        Some(&self.thread_cpus[at].1)
    }

    /// The wait of a task.
    #[must_use]
    pub fn wait_of(&self, tid: i32) -> Option<&TaskWait> {
        let waits = self.waits.as_deref()?;
        waits.binary_search_by_key(&tid, |wait| wait.tid).ok().map(|at| &waits[at])
    }
}
