//! All columns, in rooms by topic. The order of rooms and entries is the order of help and of docs/reference/columns.md.

mod cpu;
mod ids;
mod io;
mod lineage;
mod memory;
mod python;
mod survey;
mod waits;

use crate::snapshot::Needs;

use super::{Align, Column, Fold, Hue, Metric, Order, Scope, Unknown, Value};

/// The columns shown if the config names none, in display order.
pub const DEFAULT: &[&str] = &[
    "pid", "tid", "ppid", "user", "priority", "nice", "virt", "rss", "shared", "state", "cpu", "recent", "mem", "time", "nlwp",
    "start", "command",
];

const BASE: Column = Column {
    id: "",
    title: "",
    description: "",
    unit: "",
    source: "",
    basis: "measured: as reported by the kernel",
    needs: Needs::empty(),
    scope: Scope::Both,
    align: Align::Right,
    width: 7,
    keep_numbers: false,
    order: Order::Descending,
    rank: 50,
    fold: Fold::Own,
    metric: Metric::Gauge,
    hue: Hue::Plain,
    get: |_| Value::Unknown(Unknown::NotApplicable),
};

const STAT: &str = "/proc/PID/stat";
const TASK_STAT: &str = "/proc/PID/task/TID/stat";
const SCHEDSTAT: &str = "/proc/PID/task/TID/schedstat";

const ROOMS: [&[Column]; 8] = [
    ids::COLUMNS,
    cpu::COLUMNS,
    memory::COLUMNS,
    io::COLUMNS,
    waits::COLUMNS,
    python::COLUMNS,
    survey::COLUMNS,
    lineage::COLUMNS,
];

/// How many there are in all rooms.
const COUNT: usize = {
    let (mut count, mut room) = (0, 0);
    while room < ROOMS.len() {
        count += ROOMS[room].len();
        room += 1;
    }
    count
};

/// The rooms' entries one after the other, put together when the program is built.
static ALL: [Column; COUNT] = {
    let mut all = [BASE; COUNT];
    let (mut room, mut at) = (0, 0);
    while room < ROOMS.len() {
        let mut entry = 0;
        while entry < ROOMS[room].len() {
            all[at] = ROOMS[room][entry];
            at += 1;
            entry += 1;
        }
        room += 1;
    }
    all
};

/// Every column.
pub static COLUMNS: &[Column] = &ALL;
