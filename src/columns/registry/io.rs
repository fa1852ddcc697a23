//! What it moves and keeps open.

use crate::kernel::source::Needs;

use crate::columns::get::{rated, shared};
use crate::columns::{Column, Fold, Scope, Unknown, Value};

use super::BASE;

pub(super) const COLUMNS: &[Column] = &[
    Column {
        id: "io_read",
        title: "READ/s",
        description: "Bytes per second fetched from storage.",
        unit: "bytes_per_s",
        source: "/proc/PID/io read_bytes",
        basis: "computed: difference of two samples by the time between",
        needs: Needs::IO,
        scope: Scope::Process,
        width: 6,
        fold: Fold::Sum,
        get: |r| {
            if r.is_task() {
                Value::Unknown(Unknown::NotApplicable)
            } else {
                rated(r, r.rates.read_bytes_per_s, Value::BytesPerSecond)
            }
        },
        ..BASE
    },
    Column {
        id: "io_write",
        title: "WRITE/s",
        description: "Bytes per second sent to storage.",
        unit: "bytes_per_s",
        source: "/proc/PID/io write_bytes",
        basis: "computed: difference of two samples by the time between",
        needs: Needs::IO,
        scope: Scope::Process,
        fold: Fold::Sum,
        get: |r| {
            if r.is_task() {
                Value::Unknown(Unknown::NotApplicable)
            } else {
                rated(r, r.rates.write_bytes_per_s, Value::BytesPerSecond)
            }
        },
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
        get: |r| shared(r, r.process.exact.as_ref().and_then(|e| e.fds).map(u64::from), Value::Count),
        ..BASE
    },
];
