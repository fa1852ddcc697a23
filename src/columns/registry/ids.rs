//! Who it is: ids, owner, state, and the groups it is in.

use std::borrow::Cow;

use crate::kernel::source::Needs;

use crate::columns::get::{shared, tty};
use crate::columns::get_place::{container, foreign_namespaces, namespace};
use crate::columns::{Align, Column, Metric, Order, Scope, Value};

use super::BASE;

pub(super) const COLUMNS: &[Column] = &[
    Column {
        id: "pid",
        title: "PID",
        description: "Process id: the tgid shared by all threads of the process.",
        source: "/proc/PID (directory name)",
        order: Order::Ascending,
        rank: 0,
        metric: Metric::Label,
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
        metric: Metric::Label,
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
        metric: Metric::Name,
        get: |r| Value::Int(i64::from(r.process.ppid)),
        ..BASE
    },
    Column {
        id: "pgrp",
        title: "PGRP",
        description: "Process group: what a terminal's Ctrl-C signals together.",
        source: "/proc/PID/stat field 5",
        order: Order::Ascending,
        metric: Metric::Name,
        get: |r| shared(r, Some(i64::from(r.process.pgrp)), Value::Int),
        ..BASE
    },
    Column {
        id: "session",
        title: "SESSION",
        description: "Session id: the pid of its leader.",
        source: "/proc/PID/stat field 6",
        order: Order::Ascending,
        metric: Metric::Name,
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
        metric: Metric::Name,
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
        metric: Metric::Label,
        get: |r| Value::read(r.process.identity.user.as_deref(), |u| Value::Text(Cow::Borrowed(u.as_bytes()))),
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
        id: "container",
        title: "CONTAINER",
        description: "Engine and id of the container, by its control group's path; who is inside one without the host's paths cannot tell.",
        source: "/proc/PID/cgroup",
        basis: "computed: from engines' names for control groups",
        needs: Needs::CGROUP,
        scope: Scope::Process,
        align: Align::Left,
        width: 24,
        order: Order::Ascending,
        get: |r| container(r),
        ..BASE
    },
    Column {
        id: "namespaces",
        title: "NS",
        description: "Kinds of namespaces that differ from concmon's own; same if none does (own processes, or privileged).",
        source: "/proc/PID/ns",
        basis: "computed: its namespaces' numbers against concmon's",
        needs: Needs::NAMESPACES,
        scope: Scope::Process,
        align: Align::Left,
        width: 16,
        order: Order::Ascending,
        get: |r| foreign_namespaces(r),
        ..BASE
    },
    Column {
        id: "pid_namespace",
        title: "PIDNS",
        description: "Number of its pid namespace: which processes it can see.",
        source: "/proc/PID/ns/pid",
        needs: Needs::NAMESPACES,
        scope: Scope::Process,
        width: 10,
        order: Order::Ascending,
        metric: Metric::Name,
        get: |r| namespace(r, "pid"),
        ..BASE
    },
    Column {
        id: "mnt_namespace",
        title: "MNTNS",
        description: "Number of its mnt namespace: its mounts.",
        source: "/proc/PID/ns/mnt",
        needs: Needs::NAMESPACES,
        scope: Scope::Process,
        width: 10,
        order: Order::Ascending,
        metric: Metric::Name,
        get: |r| namespace(r, "mnt"),
        ..BASE
    },
    Column {
        id: "net_namespace",
        title: "NETNS",
        description: "Number of its net namespace: its network.",
        source: "/proc/PID/ns/net",
        needs: Needs::NAMESPACES,
        scope: Scope::Process,
        width: 10,
        order: Order::Ascending,
        metric: Metric::Name,
        get: |r| namespace(r, "net"),
        ..BASE
    },
    Column {
        id: "user_namespace",
        title: "USERNS",
        description: "Number of its user namespace: whose users its user ids are.",
        source: "/proc/PID/ns/user",
        needs: Needs::NAMESPACES,
        scope: Scope::Process,
        width: 10,
        order: Order::Ascending,
        metric: Metric::Name,
        get: |r| namespace(r, "user"),
        ..BASE
    },
];
