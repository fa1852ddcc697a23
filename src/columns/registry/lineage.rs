//! Columns about creation and command.

use std::borrow::Cow;

use crate::snapshot::Needs;

use crate::columns::get::{command, created, elapsed, refusable, spawned_by, start_method};
use crate::columns::get_place::started;
use crate::columns::{Align, Column, Hue, Metric, Order, Scope, Value};

use super::BASE;

pub(super) const COLUMNS: &[Column] = &[
    Column {
        id: "start",
        title: "START",
        description: "How it was created: fork, fork+exec, fork server, thread; unknown if it started before concmon.",
        source: "proc connector (fork, exec)",
        basis: "measured: from the creation event; unknown if older",
        align: Align::Left,
        width: 9,
        order: Order::Ascending,
        rank: 55,
        get: |r| start_method(r),
        ..BASE
    },
    Column {
        id: "created",
        title: "CREATED",
        description: "How it was created and, in runs of the lab, how long from the request to its first own instruction.",
        source: "proc connector; marks of the lab's workers",
        basis: "measured: by creator and worker themselves",
        align: Align::Left,
        width: 16,
        order: Order::Ascending,
        rank: 58,
        get: |r| created(r),
        hue: Hue::Created,
        ..BASE
    },
    Column {
        id: "spawned_by",
        title: "SPAWNER",
        description: "PID of the creator, kept after reparenting; unknown if it started before concmon.",
        source: "proc connector (fork)",
        basis: "measured: from the creation event; unknown if older",
        scope: Scope::Process,
        order: Order::Ascending,
        metric: Metric::Name,
        get: |r| spawned_by(r),
        ..BASE
    },
    Column {
        id: "elapsed",
        title: "ELAPSED",
        description: "Time since the start.",
        unit: "ns",
        source: "/proc/PID/stat field 22",
        basis: "measured: in clock ticks, mostly hundredths of a second",
        width: 8,
        get: |r| elapsed(r),
        ..BASE
    },
    Column {
        id: "started",
        title: "STARTED",
        description: "Date and time of the start, in this machine's time zone.",
        source: "/proc/PID/stat field 22",
        basis: "computed: ticks after boot, with today's clock and zone",
        align: Align::Left,
        width: 19,
        get: |r| started(r),
        ..BASE
    },
    Column {
        id: "comm",
        title: "COMM",
        description: "Name of the task (comm), at most 15 bytes; the task can set it.",
        source: "/proc/PID/task/TID/stat field 2",
        align: Align::Left,
        width: 15,
        order: Order::Ascending,
        metric: Metric::Label,
        get: |r| Value::Text(Cow::Borrowed(r.face().comm.as_bytes())),
        ..BASE
    },
    Column {
        id: "exe",
        title: "EXE",
        description: "Path of the executable file (own processes, or privileged).",
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
        id: "command",
        title: "COMMAND",
        description: "Command line; the task's name for threads, kernel threads and zombies.",
        source: "/proc/PID/cmdline",
        needs: Needs::TITLES,
        align: Align::Left,
        width: 0,
        order: Order::Ascending,
        rank: 0,
        get: |r| command(r),
        ..BASE
    },
];
