//! Columns about identity: ids, owner, state, groups, namespaces.

use std::borrow::Cow;

use crate::snapshot::{Needs, pid_on_host};

use crate::columns::get::{shared, tty};
use crate::columns::get_place::{container, foreign_namespaces, host, namespace};
use crate::columns::{Align, Column, Metric, Order, Scope, Value};

use super::BASE;

pub(super) const COLUMNS: &[Column] = &[
    Column {
        id: "pid",
        title: "PID",
        description: "Process id (tgid), shared by all threads of the process.",
        source: "/proc/PID (directory name)",
        order: Order::Ascending,
        rank: 0,
        metric: Metric::Label,
        get: |r| Value::Int(i64::from(pid_on_host(r.process.key.pid))),
        ..BASE
    },
    Column {
        id: "tid",
        title: "TID",
        description: "Task id (thread id); the leader's equals the PID.",
        source: "/proc/PID/task/TID (directory name)",
        order: Order::Ascending,
        rank: 8,
        metric: Metric::Label,
        get: |r| Value::Int(i64::from(pid_on_host(r.face().tid))),
        ..BASE
    },
    Column {
        id: "ppid",
        title: "PPID",
        description: "PID of the current parent; after the creator has ended, the subreaper or 1.",
        source: "/proc/PID/stat field 4",
        order: Order::Ascending,
        rank: 75,
        metric: Metric::Name,
        get: |r| Value::Int(i64::from(pid_on_host(r.process.ppid))),
        ..BASE
    },
    Column {
        id: "pgrp",
        title: "PGRP",
        description: "Process group; Ctrl-C in a terminal signals a whole group.",
        source: "/proc/PID/stat field 5",
        order: Order::Ascending,
        metric: Metric::Name,
        get: |r| shared(r, Some(i64::from(pid_on_host(r.process.pgrp))), Value::Int),
        ..BASE
    },
    Column {
        id: "session",
        title: "SESSION",
        description: "Session id: the PID of the session leader.",
        source: "/proc/PID/stat field 6",
        order: Order::Ascending,
        metric: Metric::Name,
        get: |r| shared(r, Some(i64::from(pid_on_host(r.process.session))), Value::Int),
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
        description: "Name of the effective user, or its number if it has no name.",
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
        description: "State: R running, S sleeping, D uninterruptible, T stopped, t traced, Z zombie, X dead, I idle.",
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
        description: "Engine and id of the container, from the control group's path; unknown inside a container that hides the path.",
        source: "/proc/PID/cgroup",
        basis: "computed: from the names that engines give control groups",
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
        description: "Namespaces that differ from concmon's own, or 'same' (own processes, or privileged).",
        source: "/proc/PID/ns",
        basis: "computed: its namespaces compared with concmon's",
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
        description: "Number of the PID namespace, which limits the processes it can see.",
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
        description: "Number of the mount namespace.",
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
        description: "Number of the network namespace.",
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
        description: "Number of the user namespace, in which its user ids are valid.",
        source: "/proc/PID/ns/user",
        needs: Needs::NAMESPACES,
        scope: Scope::Process,
        width: 10,
        order: Order::Ascending,
        metric: Metric::Name,
        get: |r| namespace(r, "user"),
        ..BASE
    },
    Column {
        id: "host",
        title: "HOST",
        description: "Host, as named with --host; of one machine, its own name.",
        source: "--host, or uname(2)",
        basis: "measured: as named in --host, or as the kernel reports it",
        align: Align::Left,
        width: 10,
        order: Order::Ascending,
        rank: 1,
        metric: Metric::Label,
        get: |r| host(r),
        ..BASE
    },
];
