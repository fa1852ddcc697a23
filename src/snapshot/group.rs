//! Limits, use, pressure and events of control groups (cgroups(7), Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/).

use std::sync::Arc;

use super::PressureSample;

/// One control group, with all that its files say. What a version does not have, or what could not be read, is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupDetail {
    /// Its path as `/proc/PID/cgroup` shows it; not yet fit for a terminal.
    pub path: Arc<str>,
    /// CPU time that its processes used since it was made, nanoseconds (`cpu.stat`, `cpuacct.usage`).
    pub cpu_ns: Option<u64>,
    /// CPUs that its quota is worth; `None` if it has none (`cpu.max`, `cpu.cfs_quota_us`).
    pub quota_cpus: Option<f64>,
    /// What the quota did; `None` without one.
    pub throttled: Option<Throttled>,
    /// Its share of busy CPUs: `cpu.weight` (100 is usual), or `cpu.shares` (1024 is usual).
    pub weight: Option<Weight>,
    /// CPUs that its processes may use, as a list (`cpuset.cpus.effective`, `cpuset.effective_cpus`).
    pub cpuset: Option<Box<str>>,
    /// Memory in use, caches included, bytes.
    pub memory: Option<u64>,
    /// The most memory, bytes; `None` if there is no limit.
    pub memory_max: Option<u64>,
    /// From here on its processes are slowed down and made to give memory back, bytes (`memory.high`).
    pub memory_high: Option<u64>,
    /// Swap in use, bytes.
    pub swap: Option<u64>,
    /// The most swap, bytes; `None` if there is no limit.
    pub swap_max: Option<u64>,
    /// Tasks in it and in the groups below it.
    pub tasks: Option<u64>,
    /// The most tasks; `None` if there is no limit.
    pub tasks_max: Option<u64>,
    /// Limits of storage, a line for each device (`io.max`).
    pub io_max: Vec<Box<str>>,
    /// Share of time in which its tasks waited; version 2 only.
    pub pressure: PressureSample,
    /// What has happened since it was made, without what never did.
    pub events: Vec<GroupEvent>,
    /// Whether its processes do not run until it is thawed.
    pub frozen: bool,
}

/// Scheduling periods of a quota since the group was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Throttled {
    /// In which its processes ran.
    pub periods: u64,
    /// In which they were stopped because the quota was used up.
    pub stopped: u64,
    /// Time in which they were stopped, nanoseconds, summed over CPUs.
    pub stopped_ns: u64,
}

/// A group's share of busy CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// As the group has it.
    pub value: u64,
    /// The value of a group that was not changed.
    pub usual: u64,
}

/// Something that happened in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupEvent {
    /// What, in words.
    pub what: &'static str,
    /// The file and key that count it.
    pub source: &'static str,
    /// How often since the group was made.
    pub count: u64,
}

impl GroupDetail {
    /// Whether there is something to say of it beside its use of CPUs.
    #[must_use]
    pub fn limits_something(&self) -> bool {
        let nothing = Self { path: Arc::clone(&self.path), cpu_ns: self.cpu_ns, ..Self::default() };
        let usual = |weight: Weight| weight.value == weight.usual;
        let without = Self {
            weight: self.weight.filter(|weight| !usual(*weight)),
            cpuset: None,
            memory: None,
            swap: None,
            tasks: None,
            pressure: PressureSample::default(),
            ..self.clone()
        };
        without != nothing
    }
}
