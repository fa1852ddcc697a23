//! Columns about waits.

use crate::snapshot::Needs;

use crate::columns::get::{lock, lock_waiters, syscall, wait, wchan};
use crate::columns::{Align, Column, Hue, Order};

use super::BASE;

pub(super) const COLUMNS: &[Column] = &[
    Column {
        id: "wait",
        title: "WAIT",
        description: "What the task waits for, with the futex's address and waiters, or the pipe's other end; for processes, the leader's.",
        source: "/proc/PID/task/TID/syscall, else wchan",
        basis: "measured: from the system call or the kernel function",
        needs: Needs::WAITS,
        align: Align::Left,
        width: 22,
        keep_numbers: true,
        order: Order::Ascending,
        rank: 10,
        get: |r| wait(r),
        hue: Hue::Reason,
        ..BASE
    },
    Column {
        id: "syscall",
        title: "SYSCALL",
        description: "System call in which the task sleeps: name if concmon knows it, else number.",
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
        description: "Kernel function in which the task sleeps.",
        source: "/proc/PID/task/TID/wchan",
        needs: Needs::WAITS,
        align: Align::Left,
        width: 16,
        order: Order::Ascending,
        get: |r| wchan(r),
        ..BASE
    },
    Column {
        id: "lock",
        title: "LOCK",
        description: "Futex that the task waits for: process and address, or file and offset in shared memory. Equal means same lock.",
        source: "/proc/PID/task/TID/syscall, for shared memory /proc/PID/maps",
        basis: "measured: the key by which the kernel identifies a futex",
        needs: Needs::WAITS,
        align: Align::Left,
        width: 20,
        order: Order::Ascending,
        get: |r| lock(r),
        ..BASE
    },
    Column {
        id: "lock_waiters",
        title: "LOCKW",
        description: "Number of tasks that wait for the same lock, including this one.",
        source: "/proc/PID/task/TID/syscall",
        basis: "computed: over tasks read; tasks off screen may be missing",
        needs: Needs::WAITS,
        width: 5,
        get: |r| lock_waiters(r),
        ..BASE
    },
];
