//! Columns about CPUs: scheduling, usage, run-queue delay, context switches.

use crate::snapshot::Needs;

use crate::columns::get::{cpu_since_start, cpu_time, policy, priority, rated, recent, run_wait, shared, switches, waited};
use crate::columns::get_place::affinity;
use crate::columns::{Align, Column, Fold, Hue, Metric, Order, Scope, Value};

use super::{BASE, SCHEDSTAT};

/// How waiting for a CPU and sleeping come about.
const WAITED: &str = "computed: unknown where exited threads may count";
/// How switches come about.
const SWITCHES: &str = "measured: from /proc unknown once a thread has exited";

pub(super) const COLUMNS: &[Column] = &[
    Column {
        id: "priority",
        title: "PRI",
        description: "Kernel priority: 20 + nice for ordinary tasks, negative for real-time ones.",
        source: "/proc/PID/task/TID/stat field 18",
        width: 3,
        order: Order::Ascending,
        rank: 70,
        get: |r| priority(r),
        ..BASE
    },
    Column {
        id: "nice",
        title: "NI",
        description: "Nice value, -20 (greedy) to 19 (polite).",
        source: "/proc/PID/task/TID/stat field 19",
        width: 3,
        order: Order::Ascending,
        rank: 65,
        get: |r| Value::Int(i64::from(r.face().nice)),
        ..BASE
    },
    Column {
        id: "policy",
        title: "POLICY",
        description: "Scheduling policy (sched(7)).",
        source: "/proc/PID/task/TID/stat field 41",
        align: Align::Left,
        width: 6,
        get: |r| policy(r),
        ..BASE
    },
    Column {
        id: "rt_priority",
        title: "RTPR",
        description: "Real-time priority 1..99; 0 for ordinary tasks.",
        source: "/proc/PID/task/TID/stat field 40",
        width: 4,
        get: |r| Value::read(r.face().rt_priority, |p| Value::Int(i64::from(p))),
        ..BASE
    },
    Column {
        id: "affinity",
        title: "CPUS",
        description: "CPUs that the task may run on; a process shows its leader's.",
        source: "/proc/PID/task/TID/status Cpus_allowed_list",
        needs: Needs::AFFINITY,
        align: Align::Left,
        width: 8,
        order: Order::Ascending,
        get: |r| affinity(r),
        ..BASE
    },
    Column {
        id: "last_cpu",
        title: "CPU",
        description: "CPU that the task last ran on.",
        source: "/proc/PID/task/TID/stat field 39",
        width: 3,
        order: Order::Ascending,
        metric: Metric::Name,
        get: |r| Value::read(r.face().last_cpu, |c| Value::Int(i64::from(c))),
        ..BASE
    },
    Column {
        id: "cpu",
        title: "CPU%",
        description: "CPU use since the last sample; 100 % is one CPU.",
        unit: "percent",
        source: SCHEDSTAT,
        basis: "computed: two samples by their time, with ended threads",
        width: 5,
        rank: 0,
        fold: Fold::Sum,
        get: |r| rated(r, r.rates.cpu_percent, Value::Percent),
        hue: Hue::Ran,
        ..BASE
    },
    Column {
        id: "recent",
        title: "RECENT",
        description: "CPU use over the last 8 samples, newest at the right. Another colour marks time runnable without a CPU.",
        source: SCHEDSTAT,
        basis: "computed: differences of samples by the time between",
        needs: Needs::SCHEDSTAT,
        width: 8,
        rank: 45,
        metric: Metric::Name,
        get: |r| recent(r),
        ..BASE
    },
    Column {
        id: "run_wait",
        title: "run|wait",
        description: "Time on a CPU (solid) and waiting for a CPU (shaded), as a share of one CPU.",
        unit: "percent",
        source: SCHEDSTAT,
        basis: "computed: difference of two samples, divided by their time",
        needs: Needs::SCHEDSTAT,
        width: 8,
        rank: 45,
        fold: Fold::Sum,
        get: |r| run_wait(r),
        ..BASE
    },
    Column {
        id: "wait_cpu",
        title: "WAIT%",
        description: "Time waiting for a CPU while runnable; above 0, tasks compete for CPUs.",
        unit: "percent",
        source: SCHEDSTAT,
        basis: WAITED,
        needs: Needs::SCHEDSTAT,
        width: 5,
        fold: Fold::Sum,
        get: |r| waited(r, r.rates.wait_percent),
        hue: Hue::Waited,
        ..BASE
    },
    Column {
        id: "sleep",
        title: "SLEEP%",
        description: "Time asleep, neither running nor waiting for a CPU, averaged over the threads.",
        unit: "percent",
        source: SCHEDSTAT,
        basis: WAITED,
        needs: Needs::SCHEDSTAT,
        width: 6,
        get: |r| waited(r, r.rates.sleep_percent),
        ..BASE
    },
    Column {
        id: "cpu_user",
        title: "USR%",
        description: "CPU use in user mode, from clock ticks.",
        unit: "percent",
        source: "/proc/PID/stat field 14",
        basis: "estimated: sampled by the kernel at each clock tick",
        width: 5,
        fold: Fold::Sum,
        get: |r| rated(r, r.rates.user_percent, Value::Percent),
        hue: Hue::Ran,
        ..BASE
    },
    Column {
        id: "cpu_system",
        title: "SYS%",
        description: "CPU use in kernel mode, from clock ticks.",
        unit: "percent",
        source: "/proc/PID/stat field 15",
        basis: "estimated: sampled by the kernel at each clock tick",
        width: 5,
        fold: Fold::Sum,
        get: |r| rated(r, r.rates.system_percent, Value::Percent),
        hue: Hue::Ran,
        ..BASE
    },
    Column {
        id: "cpu_life",
        title: "LIFE%",
        description: "CPU use averaged since the start of the process or thread.",
        unit: "percent",
        source: "/proc/PID/stat fields 14, 15, 22",
        basis: "computed: CPU time divided by the time since the start",
        width: 5,
        get: |r| cpu_since_start(r),
        hue: Hue::Ran,
        ..BASE
    },
    Column {
        id: "time",
        title: "TIME+",
        description: "CPU time used in user and kernel mode, including exited threads.",
        unit: "ns",
        source: "/proc/PID/stat fields 14, 15",
        basis: "measured: in ns; from /proc in ticks once threads have exited",
        width: 8,
        rank: 35,
        fold: Fold::Sum,
        metric: Metric::Counter,
        get: |r| cpu_time(r),
        ..BASE
    },
    Column {
        id: "nlwp",
        title: "THR",
        description: "Number of kernel tasks (threads) of the process.",
        source: "/proc/PID/stat field 20",
        scope: Scope::Process,
        width: 4,
        rank: 40,
        fold: Fold::Sum,
        get: |r| shared(r, r.process.nlwp.map(u64::from), Value::Count),
        ..BASE
    },
    Column {
        id: "voluntary_switches",
        title: "VCSW/s",
        description: "Voluntary context switches per second: the task blocked.",
        unit: "per_s",
        source: "/proc/PID/task/TID/status voluntary_ctxt_switches",
        basis: "computed: difference of two samples, divided by their time",
        needs: Needs::SWITCHES,
        width: 6,
        fold: Fold::Sum,
        get: |r| rated(r, r.rates.voluntary_per_s, Value::Rate),
        ..BASE
    },
    Column {
        id: "involuntary_switches",
        title: "ICSW/s",
        description: "Involuntary context switches per second: the task was preempted.",
        unit: "per_s",
        source: "/proc/PID/task/TID/status nonvoluntary_ctxt_switches",
        basis: "computed: difference of two samples, divided by their time",
        needs: Needs::SWITCHES,
        width: 6,
        fold: Fold::Sum,
        get: |r| rated(r, r.rates.involuntary_per_s, Value::Rate),
        ..BASE
    },
    Column {
        id: "voluntary_switches_total",
        title: "VCSW",
        description: "Voluntary context switches since the start, exited threads included.",
        basis: SWITCHES,
        source: "/proc/PID/task/TID/status voluntary_ctxt_switches",
        needs: Needs::SWITCHES,
        fold: Fold::Sum,
        metric: Metric::Counter,
        get: |r| switches(r, |t| t.voluntary_switches, r.process.voluntary_switches),
        ..BASE
    },
    Column {
        id: "involuntary_switches_total",
        title: "ICSW",
        description: "Involuntary context switches since the start, exited threads included.",
        basis: SWITCHES,
        source: "/proc/PID/task/TID/status nonvoluntary_ctxt_switches",
        needs: Needs::SWITCHES,
        fold: Fold::Sum,
        metric: Metric::Counter,
        get: |r| switches(r, |t| t.involuntary_switches, r.process.involuntary_switches),
        ..BASE
    },
];
