//! All columns. One entry each; order here is the order of help and the README's table.

use std::borrow::Cow;

use crate::kernel::source::Needs;

use super::get::{
    command, cpu_since_start, cpu_time, elapsed, memory_percent, policy, priority, rated, refusable, run_wait, shared,
    sleep_percent, smaps, spawned_by, start_method, storage, syscall, total, tty, wait, wchan,
};
use super::{Align, Column, Fold, Order, Scope, Unknown, Value};

/// The columns shown if the config names none, in display order.
pub const DEFAULT: &[&str] = &[
    "pid", "tid", "ppid", "user", "priority", "nice", "virt", "rss", "shared", "state", "cpu", "run_wait", "mem", "time", "nlwp",
    "start", "command",
];

const BASE: Column = Column {
    id: "",
    title: "",
    description: "",
    unit: "",
    source: "",
    needs: Needs::empty(),
    scope: Scope::Both,
    align: Align::Right,
    width: 7,
    order: Order::Descending,
    rank: 50,
    fold: Fold::Own,
    get: |_| Value::Unknown(Unknown::NotApplicable),
};

const STAT: &str = "/proc/PID/stat";
const TASK_STAT: &str = "/proc/PID/task/TID/stat";
const SCHEDSTAT: &str = "/proc/PID/task/TID/schedstat";

/// Every column.
pub const COLUMNS: &[Column] = &[
    Column {
        id: "pid",
        title: "PID",
        description: "Process id: the tgid shared by all threads of the process.",
        source: "/proc/PID (directory name)",
        order: Order::Ascending,
        rank: 0,
        get: |r| Value::Int(i64::from(r.process.key.pid)),
        ..BASE
    },
    Column {
        id: "tid",
        title: "TID",
        description: "Kernel task id; the leader's equals the PID.",
        source: "/proc/PID/task/TID (directory name)",
        order: Order::Ascending,
        rank: 8,
        get: |r| Value::Int(i64::from(r.face().tid)),
        ..BASE
    },
    Column {
        id: "ppid",
        title: "PPID",
        description: "Process id of the current parent: the subreaper or 1 once the creator has ended.",
        source: "/proc/PID/stat field 4",
        order: Order::Ascending,
        rank: 75,
        get: |r| Value::Int(i64::from(r.process.ppid)),
        ..BASE
    },
    Column {
        id: "pgrp",
        title: "PGRP",
        description: "Process group: what a terminal's Ctrl-C signals together.",
        source: "/proc/PID/stat field 5",
        order: Order::Ascending,
        get: |r| shared(r, Some(i64::from(r.process.pgrp)), Value::Int),
        ..BASE
    },
    Column {
        id: "session",
        title: "SESSION",
        description: "Session id: the pid of its leader.",
        source: "/proc/PID/stat field 6",
        order: Order::Ascending,
        get: |r| shared(r, Some(i64::from(r.process.session)), Value::Int),
        ..BASE
    },
    Column {
        id: "tty",
        title: "TTY",
        description: "Controlling terminal.",
        source: "/proc/PID/stat field 7",
        align: Align::Left,
        width: 7,
        order: Order::Ascending,
        scope: Scope::Process,
        get: |r| tty(r),
        ..BASE
    },
    Column {
        id: "user",
        title: "USER",
        description: "Name of the effective user, or the number if it has no name.",
        source: "owner of /proc/PID",
        align: Align::Left,
        width: 9,
        order: Order::Ascending,
        rank: 20,
        get: |r| Value::read(r.process.identity.user.as_deref(), |u| Value::Text(Cow::Borrowed(u.as_bytes()))),
        ..BASE
    },
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
        description: "CPUs the leader may run on.",
        source: "/proc/PID/status Cpus_allowed_list",
        needs: Needs::AFFINITY,
        scope: Scope::Process,
        align: Align::Left,
        width: 8,
        order: Order::Ascending,
        get: |r| {
            let cpus = r.process.exact.as_ref().and_then(|e| e.cpus_allowed.as_deref());
            shared(r, cpus, |c| Value::Text(Cow::Borrowed(c.as_bytes())))
        },
        ..BASE
    },
    Column {
        id: "oom_score",
        title: "OOM",
        description: "How early the kernel would kill it for want of memory: 0 last, 2000 first.",
        source: "/proc/PID/oom_score",
        needs: Needs::OOM,
        scope: Scope::Process,
        width: 4,
        get: |r| shared(r, r.process.exact.as_ref().and_then(|e| e.oom_score).map(u64::from), Value::Count),
        ..BASE
    },
    Column {
        id: "last_cpu",
        title: "CPU",
        description: "CPU the task last ran on.",
        source: "/proc/PID/task/TID/stat field 39",
        width: 3,
        order: Order::Ascending,
        get: |r| Value::read(r.face().last_cpu, |c| Value::Int(i64::from(c))),
        ..BASE
    },
    Column {
        id: "virt",
        title: "VIRT",
        description: "Size of the address space, most of it usually never touched.",
        unit: "bytes",
        source: "/proc/PID/stat field 23",
        scope: Scope::Process,
        width: 5,
        rank: 60,
        get: |r| shared(r, r.process.virt_bytes, Value::Bytes),
        ..BASE
    },
    Column {
        id: "rss",
        title: "RES",
        description: "Resident memory; pages shared with other processes count in full in each of them.",
        unit: "bytes",
        source: "/proc/PID/stat field 24",
        scope: Scope::Process,
        width: 5,
        rank: 5,
        get: |r| shared(r, r.process.rss_bytes, Value::Bytes),
        ..BASE
    },
    Column {
        id: "shared",
        title: "SHR",
        description: "Resident pages of files and shared memory; those of copy-on-write are not in it.",
        unit: "bytes",
        source: "/proc/PID/statm field 3",
        needs: Needs::STATM,
        scope: Scope::Process,
        width: 5,
        rank: 62,
        get: |r| shared(r, r.process.shared_bytes, Value::Bytes),
        ..BASE
    },
    Column {
        id: "anon",
        title: "ANON",
        description: "Resident anonymous memory: heap, stacks, copies made by copy-on-write.",
        unit: "bytes",
        source: "/proc/PID/status RssAnon",
        needs: Needs::STATUS,
        scope: Scope::Process,
        width: 5,
        get: |r| shared(r, r.process.rss_anon_bytes, Value::Bytes),
        ..BASE
    },
    Column {
        id: "file",
        title: "FILE",
        description: "Resident file mappings.",
        unit: "bytes",
        source: "/proc/PID/status RssFile",
        needs: Needs::STATUS,
        scope: Scope::Process,
        width: 5,
        get: |r| shared(r, r.process.rss_file_bytes, Value::Bytes),
        ..BASE
    },
    Column {
        id: "shmem",
        title: "SHMEM",
        description: "Resident shared memory: tmpfs, System V segments, shared anonymous mappings.",
        unit: "bytes",
        source: "/proc/PID/status RssShmem",
        needs: Needs::STATUS,
        scope: Scope::Process,
        width: 5,
        get: |r| shared(r, r.process.rss_shmem_bytes, Value::Bytes),
        ..BASE
    },
    Column {
        id: "swap",
        title: "SWAP",
        description: "Anonymous memory that is swapped out.",
        unit: "bytes",
        source: "/proc/PID/status VmSwap",
        needs: Needs::STATUS,
        scope: Scope::Process,
        width: 5,
        get: |r| shared(r, r.process.swap_bytes, Value::Bytes),
        ..BASE
    },
    Column {
        id: "pss",
        title: "PSS",
        description: "Proportional set size: each shared page divided by its sharers. Sums up without double counting.",
        unit: "bytes",
        source: "/proc/PID/smaps_rollup Pss",
        needs: Needs::SMAPS,
        scope: Scope::Process,
        width: 5,
        fold: Fold::Sum,
        get: |r| smaps(r, |e| e.pss_bytes),
        ..BASE
    },
    Column {
        id: "uss",
        title: "USS",
        description: "Unique set size: private pages, freed if this process alone ends.",
        unit: "bytes",
        source: "/proc/PID/smaps_rollup Private_Clean + Private_Dirty",
        needs: Needs::SMAPS,
        scope: Scope::Process,
        width: 5,
        fold: Fold::Sum,
        get: |r| smaps(r, |e| e.uss_bytes),
        ..BASE
    },
    Column {
        id: "state",
        title: "S",
        description: "State, the kernel's letter: R running, S sleeping, D uninterruptible, T stopped, t traced, Z zombie, X dead, I idle.",
        source: "/proc/PID/task/TID/stat field 3",
        align: Align::Left,
        width: 1,
        order: Order::Ascending,
        rank: 0,
        get: |r| if r.ghost.is_some() { Value::Word("X") } else { Value::State(r.face().state) },
        ..BASE
    },
    Column {
        id: "cpu",
        title: "CPU%",
        description: "CPU use since the last sample; 100 is one CPU.",
        unit: "percent",
        source: SCHEDSTAT,
        width: 5,
        rank: 0,
        fold: Fold::Sum,
        get: |r| rated(r, r.rates.cpu_percent, Value::Percent),
        ..BASE
    },
    Column {
        id: "run_wait",
        title: "run|wait",
        description: "Share of time on a CPU (solid) and runnable but without a CPU (shaded), of one CPU.",
        unit: "percent",
        source: SCHEDSTAT,
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
        description: "Time runnable but waiting for a CPU; above 0 there are more runnable tasks than CPUs.",
        unit: "percent",
        source: SCHEDSTAT,
        needs: Needs::SCHEDSTAT,
        width: 5,
        fold: Fold::Sum,
        get: |r| rated(r, r.rates.wait_percent, Value::Percent),
        ..BASE
    },
    Column {
        id: "sleep",
        title: "SLEEP%",
        description: "Time neither running nor waiting for a CPU, averaged over the threads.",
        unit: "percent",
        source: SCHEDSTAT,
        needs: Needs::SCHEDSTAT,
        width: 6,
        get: |r| sleep_percent(r),
        ..BASE
    },
    Column {
        id: "cpu_user",
        title: "USR%",
        description: "CPU use in user mode, from clock ticks.",
        unit: "percent",
        source: "/proc/PID/stat field 14",
        width: 5,
        fold: Fold::Sum,
        get: |r| rated(r, r.rates.user_percent, Value::Percent),
        ..BASE
    },
    Column {
        id: "cpu_system",
        title: "SYS%",
        description: "CPU use in kernel mode, from clock ticks.",
        unit: "percent",
        source: "/proc/PID/stat field 15",
        width: 5,
        fold: Fold::Sum,
        get: |r| rated(r, r.rates.system_percent, Value::Percent),
        ..BASE
    },
    Column {
        id: "cpu_life",
        title: "LIFE%",
        description: "CPU use averaged since the start of the process or thread.",
        unit: "percent",
        source: "/proc/PID/stat fields 14, 15, 22",
        width: 5,
        get: |r| cpu_since_start(r),
        ..BASE
    },
    Column {
        id: "mem",
        title: "MEM%",
        description: "Resident memory as a share of the machine's.",
        unit: "percent",
        source: "/proc/PID/stat field 24, /proc/meminfo MemTotal",
        scope: Scope::Process,
        width: 4,
        rank: 30,
        get: |r| memory_percent(r),
        ..BASE
    },
    Column {
        id: "time",
        title: "TIME+",
        description: "CPU time used, user and kernel, exited threads included.",
        unit: "ns",
        source: "/proc/PID/stat fields 14, 15",
        width: 8,
        rank: 35,
        fold: Fold::Sum,
        get: |r| cpu_time(r),
        ..BASE
    },
    Column {
        id: "elapsed",
        title: "ELAPSED",
        description: "Time since it was started.",
        unit: "ns",
        source: "/proc/PID/stat field 22",
        width: 8,
        get: |r| elapsed(r),
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
        description: "Voluntary context switches per second: it blocked.",
        unit: "per_s",
        source: "/proc/PID/task/TID/status voluntary_ctxt_switches",
        needs: Needs::SWITCHES,
        width: 6,
        fold: Fold::Sum,
        get: |r| rated(r, r.rates.voluntary_per_s, Value::Rate),
        ..BASE
    },
    Column {
        id: "involuntary_switches",
        title: "ICSW/s",
        description: "Involuntary context switches per second: it was preempted.",
        unit: "per_s",
        source: "/proc/PID/task/TID/status nonvoluntary_ctxt_switches",
        needs: Needs::SWITCHES,
        width: 6,
        fold: Fold::Sum,
        get: |r| rated(r, r.rates.involuntary_per_s, Value::Rate),
        ..BASE
    },
    Column {
        id: "voluntary_switches_total",
        title: "VCSW",
        description: "Voluntary context switches since the start.",
        source: "/proc/PID/task/TID/status voluntary_ctxt_switches",
        needs: Needs::SWITCHES,
        fold: Fold::Sum,
        get: |r| total(r, r.face().voluntary_switches, r.process.voluntary_switches, Value::Count),
        ..BASE
    },
    Column {
        id: "involuntary_switches_total",
        title: "ICSW",
        description: "Involuntary context switches since the start.",
        source: "/proc/PID/task/TID/status nonvoluntary_ctxt_switches",
        needs: Needs::SWITCHES,
        fold: Fold::Sum,
        get: |r| total(r, r.face().involuntary_switches, r.process.involuntary_switches, Value::Count),
        ..BASE
    },
    Column {
        id: "minor_faults",
        title: "MINF/s",
        description: "Minor page faults per second: first touches and copy-on-write copies.",
        unit: "per_s",
        source: "/proc/PID/stat field 10",
        width: 6,
        fold: Fold::Sum,
        get: |r| rated(r, r.rates.minor_per_s, Value::Rate),
        ..BASE
    },
    Column {
        id: "major_faults",
        title: "MAJF/s",
        description: "Major page faults per second: the page came from storage.",
        unit: "per_s",
        source: "/proc/PID/stat field 12",
        width: 6,
        fold: Fold::Sum,
        get: |r| rated(r, r.rates.major_per_s, Value::Rate),
        ..BASE
    },
    Column {
        id: "minor_faults_total",
        title: "MINFLT",
        description: "Minor page faults since the start.",
        source: STAT,
        fold: Fold::Sum,
        get: |r| total(r, r.face().minor_faults, r.process.minor_faults, Value::Count),
        ..BASE
    },
    Column {
        id: "major_faults_total",
        title: "MAJFLT",
        description: "Major page faults since the start.",
        source: TASK_STAT,
        fold: Fold::Sum,
        get: |r| total(r, r.face().major_faults, r.process.major_faults, Value::Count),
        ..BASE
    },
    Column {
        id: "peak",
        title: "PEAK",
        description: "Largest resident size so far.",
        unit: "bytes",
        source: "/proc/PID/status VmHWM",
        needs: Needs::STATUS,
        scope: Scope::Process,
        width: 5,
        get: |r| shared(r, r.process.exact.as_ref().and_then(|e| e.peak_rss_bytes), Value::Bytes),
        ..BASE
    },
    Column {
        id: "private_dirty",
        title: "PRIVD",
        description: "Private dirty pages: what a forked child has really copied.",
        unit: "bytes",
        source: "/proc/PID/smaps_rollup Private_Dirty",
        needs: Needs::SMAPS,
        scope: Scope::Process,
        width: 5,
        fold: Fold::Sum,
        get: |r| smaps(r, |e| e.private_dirty_bytes),
        ..BASE
    },
    Column {
        id: "io_read",
        title: "READ/s",
        description: "Bytes per second fetched from storage.",
        unit: "bytes_per_s",
        source: "/proc/PID/io read_bytes",
        needs: Needs::IO,
        scope: Scope::Process,
        width: 6,
        fold: Fold::Sum,
        get: |r| storage(r, r.rates.read_bytes_per_s),
        ..BASE
    },
    Column {
        id: "io_write",
        title: "WRITE/s",
        description: "Bytes per second sent to storage.",
        unit: "bytes_per_s",
        source: "/proc/PID/io write_bytes",
        needs: Needs::IO,
        scope: Scope::Process,
        fold: Fold::Sum,
        get: |r| storage(r, r.rates.write_bytes_per_s),
        ..BASE
    },
    Column {
        id: "fds",
        title: "FDS",
        description: "Number of open descriptors (own processes, or privileged).",
        source: "/proc/PID/fd",
        needs: Needs::FDS,
        scope: Scope::Process,
        width: 5,
        fold: Fold::Sum,
        get: |r| {
            let exact = r.process.exact.as_deref();
            refusable(r, exact.and_then(|e| e.fds).map(u64::from), exact.is_some_and(|e| e.denied.fds), Value::Count)
        },
        ..BASE
    },
    Column {
        id: "wait",
        title: "WAIT",
        description: "What it waits for, in words. Of a futex: the end of its address, and in brackets how many of its threads wait there. A process shows its leader's.",
        source: "/proc/PID/task/TID/syscall, else wchan",
        needs: Needs::WAITS,
        align: Align::Left,
        width: 22,
        order: Order::Ascending,
        rank: 10,
        get: |r| wait(r),
        ..BASE
    },
    Column {
        id: "syscall",
        title: "SYSCALL",
        description: "System call it sleeps in: its name if it is one that waits, else its number.",
        source: "/proc/PID/task/TID/syscall",
        needs: Needs::WAITS,
        align: Align::Left,
        width: 15,
        order: Order::Ascending,
        get: |r| syscall(r),
        ..BASE
    },
    Column {
        id: "wchan",
        title: "WCHAN",
        description: "Kernel function it sleeps in.",
        source: "/proc/PID/task/TID/wchan",
        needs: Needs::WAITS,
        align: Align::Left,
        width: 16,
        order: Order::Ascending,
        get: |r| wchan(r),
        ..BASE
    },
    Column {
        id: "cgroup",
        title: "CGROUP",
        description: "Control group.",
        source: "/proc/PID/cgroup",
        needs: Needs::CGROUP,
        scope: Scope::Process,
        align: Align::Left,
        width: 24,
        order: Order::Ascending,
        get: |r| shared(r, r.process.identity.cgroup.as_deref(), |c| Value::Text(Cow::Borrowed(c.as_bytes()))),
        ..BASE
    },
    Column {
        id: "exe",
        title: "EXE",
        description: "File that the program was started from (own processes, or privileged).",
        source: "/proc/PID/exe",
        needs: Needs::EXE,
        scope: Scope::Process,
        align: Align::Left,
        width: 24,
        order: Order::Ascending,
        get: |r| {
            let identity = &r.process.identity;
            refusable(r, identity.exe.as_deref(), identity.exe_denied, |e| Value::Text(Cow::Borrowed(e)))
        },
        ..BASE
    },
    Column {
        id: "start",
        title: "START",
        description: "How it began, as the event stream saw it: fork, fork+exec, fork server's child, thread. Unknown if it was there before.",
        source: "proc connector (fork, exec)",
        align: Align::Left,
        width: 9,
        order: Order::Ascending,
        rank: 55,
        get: |r| start_method(r),
        ..BASE
    },
    Column {
        id: "spawned_by",
        title: "SPAWNER",
        description: "Process that created it, kept after reparenting. Known if the creation was seen.",
        source: "proc connector (fork)",
        scope: Scope::Process,
        order: Order::Ascending,
        get: |r| spawned_by(r),
        ..BASE
    },
    Column {
        id: "comm",
        title: "COMM",
        description: "Name of the task, at most 15 bytes, set by itself.",
        source: "/proc/PID/task/TID/stat field 2",
        align: Align::Left,
        width: 15,
        order: Order::Ascending,
        get: |r| Value::Text(Cow::Borrowed(r.face().comm.as_bytes())),
        ..BASE
    },
    Column {
        id: "command",
        title: "COMMAND",
        description: "Command line; the task's name for threads, kernel threads and zombies.",
        source: "/proc/PID/cmdline",
        align: Align::Left,
        width: 0,
        order: Order::Ascending,
        rank: 0,
        get: |r| command(r),
        ..BASE
    },
];
