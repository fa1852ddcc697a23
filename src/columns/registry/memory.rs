//! Columns about memory and page faults.

use crate::snapshot::Needs;

use crate::columns::get::{memory_percent, rated, shared, smaps, total, uss};
use crate::columns::{Column, Fold, Hue, Metric, Scope, Value};

use super::{BASE, STAT, TASK_STAT};

pub(super) const COLUMNS: &[Column] = &[
    Column {
        id: "virt",
        title: "VIRT",
        description: "Size of the address space; most of it is usually untouched.",
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
        description: "Resident memory; a shared page counts in full in each process that maps it.",
        unit: "bytes",
        source: "/proc/PID/stat field 24",
        basis: "estimated: counted in batches, some dozen pages off",
        scope: Scope::Process,
        width: 5,
        rank: 5,
        get: |r| shared(r, r.process.rss_bytes, Value::Bytes),
        hue: Hue::Held,
        ..BASE
    },
    Column {
        id: "shared",
        title: "SHR",
        description: "Resident file and shared-memory pages, without pages shared by copy-on-write.",
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
        description: "Resident anonymous memory: heap, stacks, and copy-on-write copies.",
        unit: "bytes",
        source: "/proc/PID/status RssAnon",
        basis: "estimated: counted in batches, some dozen pages off",
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
        basis: "estimated: counted in batches, some dozen pages off",
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
        basis: "estimated: counted in batches, some dozen pages off",
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
        basis: "estimated: counted in batches, some dozen pages off",
        needs: Needs::STATUS,
        scope: Scope::Process,
        width: 5,
        get: |r| shared(r, r.process.swap_bytes, Value::Bytes),
        ..BASE
    },
    Column {
        id: "pss",
        title: "PSS",
        description: "Proportional set size: each shared page is divided by its sharers, so sums count no page twice.",
        unit: "bytes",
        source: "/proc/PID/smaps_rollup Pss + Private_Hugetlb",
        basis: "measured: each page by its mappings; no shared huge pages",
        needs: Needs::SMAPS,
        scope: Scope::Process,
        width: 5,
        fold: Fold::Sum,
        get: |r| smaps(r, |e| e.pss_bytes),
        hue: Hue::Held,
        ..BASE
    },
    Column {
        id: "uss",
        title: "USS",
        description: "Unique set size: private pages, freed when the process ends.",
        unit: "bytes",
        source: "/proc/PID/smaps_rollup Private_Clean + Private_Dirty + Private_Hugetlb",
        basis: "computed: private clean, dirty and huge pages together",
        needs: Needs::SMAPS,
        scope: Scope::Process,
        width: 5,
        fold: Fold::Sum,
        get: |r| uss(r),
        hue: Hue::Held,
        ..BASE
    },
    Column {
        id: "private_dirty",
        title: "PRIVD",
        description: "Private dirty pages: in a forked child, the pages it has copied.",
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
        id: "peak",
        title: "PEAK",
        description: "Peak resident size.",
        unit: "bytes",
        source: "/proc/PID/status VmHWM",
        needs: Needs::STATUS,
        scope: Scope::Process,
        width: 5,
        get: |r| shared(r, r.process.exact.as_ref().and_then(|e| e.peak_rss_bytes), Value::Bytes),
        ..BASE
    },
    Column {
        id: "mem",
        title: "MEM%",
        description: "Resident memory as a share of the machine's memory.",
        unit: "percent",
        source: "/proc/PID/stat field 24, /proc/meminfo MemTotal",
        basis: "computed: resident size divided by the machine's memory",
        scope: Scope::Process,
        width: 4,
        rank: 30,
        get: |r| memory_percent(r),
        ..BASE
    },
    Column {
        id: "minor_faults",
        title: "MINF/s",
        description: "Minor page faults per second: first touches and copy-on-write copies.",
        unit: "per_s",
        source: "/proc/PID/stat field 10",
        basis: "computed: difference of two samples, divided by their time",
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
        basis: "computed: difference of two samples, divided by their time",
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
        metric: Metric::Counter,
        get: |r| total(r, r.face().minor_faults, r.process.minor_faults, Value::Count),
        ..BASE
    },
    Column {
        id: "major_faults_total",
        title: "MAJFLT",
        description: "Major page faults since the start.",
        source: TASK_STAT,
        fold: Fold::Sum,
        metric: Metric::Counter,
        get: |r| total(r, r.face().major_faults, r.process.major_faults, Value::Count),
        ..BASE
    },
    Column {
        id: "oom_score",
        title: "OOM",
        description: "Out-of-memory score: the kernel kills the highest first, from 0 to 2000.",
        source: "/proc/PID/oom_score",
        needs: Needs::OOM,
        scope: Scope::Process,
        width: 4,
        get: |r| shared(r, r.process.exact.as_ref().and_then(|e| e.oom_score).map(u64::from), Value::Count),
        ..BASE
    },
];
