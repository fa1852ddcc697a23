//! What it waits for.

use crate::kernel::source::Needs;

use crate::columns::get::{syscall, wait, wchan};
use crate::columns::{Align, Column, Order};

use super::BASE;

pub(super) const COLUMNS: &[Column] = &[
    Column {
        id: "wait",
        title: "WAIT",
        description: "What it waits for, in words. Of a futex: the end of its address, and in brackets how many of its threads wait there. A process shows its leader's.",
        source: "/proc/PID/task/TID/syscall, else wchan",
        basis: "measured: what the system call and its arguments say, else concluded from the kernel function",
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
];
