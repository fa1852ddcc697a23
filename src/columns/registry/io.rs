//! Columns about I/O and descriptors.

use crate::snapshot::Needs;

use crate::columns::get::{refusable, storage};
use crate::columns::{Column, Fold, Scope, Value};

use super::BASE;

pub(super) const COLUMNS: &[Column] = &[
    Column {
        id: "io_read",
        title: "READ/s",
        description: "Bytes per second read from storage.",
        unit: "bytes_per_s",
        source: "/proc/PID/io read_bytes",
        basis: "computed: difference of two samples, divided by their time",
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
        description: "Bytes per second written to storage.",
        unit: "bytes_per_s",
        source: "/proc/PID/io write_bytes",
        basis: "computed: difference of two samples, divided by their time",
        needs: Needs::IO,
        scope: Scope::Process,
        fold: Fold::Sum,
        get: |r| storage(r, r.rates.write_bytes_per_s),
        ..BASE
    },
    Column {
        id: "fds",
        title: "FDS",
        description: "Number of open file descriptors (own processes, or privileged).",
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
];
