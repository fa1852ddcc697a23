//! Columns of a survey: limits of control groups, signals, and how long a process has slept.

use crate::columns::{Align, Column, Order, Row, Unknown, Value};
use crate::snapshot::Needs;
use crate::snapshot::{GroupFacts, ProcessFacts};

use super::{BASE, Scope};

const NEEDS: Needs = Needs::SURVEY;

/// What the survey found of a process.
fn facts<'a>(row: &Row<'a>) -> Option<&'a ProcessFacts> {
    row.model.facts.as_deref()?.processes.get(&row.key().pid).filter(|_| row.ghost.is_none())
}

fn group<'a>(row: &Row<'a>, name: impl Fn(&ProcessFacts) -> Option<&str>) -> Option<&'a GroupFacts> {
    let groups = &row.model.facts.as_deref()?.groups;
    groups.get(name(facts(row)?)?)
}

fn cpu_group<'a>(row: &Row<'a>) -> Option<&'a GroupFacts> {
    group(row, |facts| facts.cpu_group.as_deref())
}

/// The least of the machine's CPUs, its affinity with its cpuset, and its quota.
fn effective_cpus(row: &Row<'_>) -> Option<f64> {
    let all = row.model.now.host.cpus.len();
    let affinity = facts(row)?.cpus?.min(all) as f64;
    Some(cpu_group(row).and_then(|g| g.quota_cpus).map_or(affinity, |quota| quota.min(affinity)))
}

/// Known once a survey was made; without such a thing it does not apply.
fn surveyed<'a, T>(row: &Row<'a>, value: Option<T>, make: impl FnOnce(T) -> Value<'a>) -> Value<'a> {
    match value {
        _ if row.is_task() || row.process.kernel_thread => Value::Unknown(Unknown::NotApplicable),
        Some(value) => make(value),
        None if facts(row).is_some() => Value::Unknown(Unknown::NotApplicable),
        None => Value::Unknown(Unknown::NotRead),
    }
}

pub(super) const COLUMNS: &[Column] = &[
    Column {
        id: "blocked_for",
        title: "BLOCKED",
        description: "Time since the main thread last ran, if it sleeps.",
        unit: "ns",
        source: "/proc/PID/sched (se.exec_start)",
        basis: "measured by the scheduler's clock, where the kernel reports it",
        needs: NEEDS,
        scope: Scope::Process,
        width: 9,
        get: |r| surveyed(r, facts(r).and_then(|f| f.blocked_ns), Value::Duration),
        ..BASE
    },
    Column {
        id: "quota",
        title: "QUOTA",
        description: "Lowest CPU quota of its control groups, in percent of one CPU.",
        unit: "percent",
        source: "cpu.max, cpu.cfs_quota_us",
        needs: NEEDS,
        scope: Scope::Process,
        width: 6,
        get: |r| surveyed(r, cpu_group(r).and_then(|g| g.quota_cpus), |cpus| Value::Percent((cpus * 100.0) as f32)),
        ..BASE
    },
    Column {
        id: "throttled",
        title: "THROTL",
        description: "Share of the last periods in which its control group was throttled by its quota.",
        unit: "percent",
        source: "cpu.stat (nr_throttled, nr_periods)",
        needs: NEEDS,
        scope: Scope::Process,
        width: 6,
        get: |r| {
            let of = |g: &GroupFacts| (g.periods > 0).then(|| (g.throttled as f64 * 100.0 / g.periods as f64) as f32);
            surveyed(r, cpu_group(r).and_then(of), Value::Percent)
        },
        ..BASE
    },
    Column {
        id: "effective_cpus",
        title: "ECPUS",
        description: "CPUs that it may use, in percent of one: the least of machine, affinity with cpuset, and quota.",
        unit: "percent",
        source: "/proc/PID/status, cpu.max",
        needs: NEEDS,
        scope: Scope::Process,
        width: 6,
        get: |r| surveyed(r, effective_cpus(r), |cpus| Value::Percent((cpus * 100.0) as f32)),
        ..BASE
    },
    Column {
        id: "effective_use",
        title: "ECPU%",
        description: "CPU use in percent of the CPUs that it may use (effective_cpus).",
        unit: "percent",
        source: "/proc/PID/stat, /proc/PID/status, cpu.max",
        basis: "computed: CPU use by CPUs that it may use",
        needs: NEEDS,
        scope: Scope::Process,
        width: 6,
        get: |r| {
            let cpus = effective_cpus(r).filter(|cpus| *cpus > 0.0);
            surveyed(r, cpus, |cpus| {
                let used = r.rates.cpu_percent.map(|used| (f64::from(used) / cpus) as f32);
                crate::columns::get::rated(r, used, Value::Percent)
            })
        },
        ..BASE
    },
    Column {
        id: "oom_kills",
        title: "OOMK",
        description: "Processes killed at its control group's memory limit since the group was created.",
        source: "memory.events, memory.oom_control",
        needs: NEEDS,
        scope: Scope::Process,
        width: 5,
        get: |r| surveyed(r, group(r, |f| f.memory_group.as_deref()).and_then(|g| g.oom_kills), Value::Count),
        ..BASE
    },
    Column {
        id: "growth",
        title: "GROWTH",
        description: "Growth of resident memory per second; 0 if it shrank.",
        unit: "bytes_per_s",
        source: "/proc/PID/stat",
        basis: "computed: difference of two samples",
        needs: Needs::empty(),
        scope: Scope::Process,
        width: 9,
        get: |r| crate::columns::get::rated(r, r.rates.rss_per_s.map(|rate| rate.max(0.0)), Value::BytesPerSecond),
        ..BASE
    },
    Column {
        id: "signals_ignored",
        title: "IGNORED",
        description: "Signals that the process ignores.",
        source: "/proc/PID/status (SigIgn)",
        needs: NEEDS,
        scope: Scope::Process,
        align: Align::Left,
        width: 16,
        order: Order::Ascending,
        get: |r| surveyed(r, facts(r).and_then(|f| f.ignored.as_deref()), |names| Value::Text(names.as_bytes().into())),
        ..BASE
    },
    Column {
        id: "problem",
        title: "PROBLEM",
        description: "The worst problem that concerns the process.",
        source: "see docs/problems.md",
        basis: "computed: by the diagnoses",
        needs: NEEDS,
        scope: Scope::Process,
        align: Align::Left,
        width: 20,
        order: Order::Ascending,
        get: |r| {
            let title = r.model.facts.as_deref().and_then(|facts| facts.problems.get(&r.key().pid));
            surveyed(r, title.filter(|_| r.ghost.is_none()), |title| Value::Word(title))
        },
        ..BASE
    },
];
