//! What it waits for.

use crate::kernel::source::Needs;

use crate::columns::get::{lock, lock_waiters, syscall, wait, wchan};
use crate::columns::{Align, Column, Order};

use super::BASE;

pub(super) const COLUMNS: &[Column] = &[
    Column {
        id: "wait",
        title: "WAIT",
        description: "What it waits for, in words. Of a futex: the end of its address, and in brackets how many of its threads wait there. Of a pipe: who holds the other end, where that may be seen. A process shows its leader's.",
        source: "/proc/PID/task/TID/syscall, else wchan",
        basis: "measured: what the system call or kernel function says",
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
        id: "lock",
        title: "LOCK",
        description: "Lock (futex) it waits at: process and address, or file and offset if it is in memory that processes share. Equal means the same lock.",
        source: "/proc/PID/task/TID/syscall, for shared memory /proc/PID/maps",
        basis: "measured: as the kernel itself tells futexes apart",
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
        description: "How many tasks wait at the same lock, this one included.",
        source: "/proc/PID/task/TID/syscall",
        basis: "computed: over the tasks read, some off screen may be missing",
        needs: Needs::WAITS,
        width: 5,
        get: |r| lock_waiters(r),
        ..BASE
    },
];
