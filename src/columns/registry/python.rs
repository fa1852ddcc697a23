//! Columns about Pythons: read from their memory, for rows on screen only.

use std::borrow::Cow;

use crate::columns::{Align, Column, Fold, Order, Row, Unknown, Value};
use crate::snapshot::{Needs, PythonLook, PythonSeen};

use super::{BASE, Scope};

/// The newest look at the row's Python, or why there is none.
fn look<'a>(row: &Row<'a>) -> Result<&'a PythonLook, Unknown> {
    if row.ghost.is_some() || row.process.kernel_thread {
        return Err(Unknown::NotApplicable);
    }
    match row.process.exact.as_deref().and_then(|exact| exact.python.as_deref()) {
        Some(PythonSeen::Look(look)) => Ok(look),
        Some(PythonSeen::Not) => Err(Unknown::NotApplicable),
        Some(PythonSeen::Denied) => Err(Unknown::Denied),
        Some(PythonSeen::Unread) | None => Err(Unknown::NotRead),
    }
}

/// The thread of the row, or of a process the one that shows what it does.
fn tid(row: &Row<'_>, look: &PythonLook) -> i32 {
    row.task.map_or(look.face, |task| task.tid)
}

fn place<'a>(row: &Row<'a>) -> Value<'a> {
    let look = match look(row) {
        Ok(look) => look,
        Err(why) => return Value::Unknown(why),
    };
    match look.thread(tid(row, look)) {
        Some(thread) => Value::read(thread.place.as_deref(), |place| Value::Text(Cow::Borrowed(place.as_bytes()))),
        None => Value::Unknown(Unknown::NotApplicable),
    }
}

fn gil<'a>(row: &Row<'a>) -> Value<'a> {
    let look = match look(row) {
        Ok(look) if !look.has_gil => return Value::Unknown(Unknown::NotApplicable),
        Ok(look) => look,
        Err(why) => return Value::Unknown(why),
    };
    let Some(gil) = look.gil else { return Value::Unknown(Unknown::FirstSample) };
    let share = |count: u32| count as f32 * 100.0 / gil.looks.max(1) as f32;
    match row.task {
        None => Value::HeldWanted { held: share(gil.held), wanted: gil.wanted.map(share) },
        Some(task) => match look.thread(task.tid) {
            Some(thread) => Value::HeldWanted { held: share(thread.held), wanted: gil.wanted.map(|_| share(thread.wanted)) },
            None => Value::Unknown(Unknown::NotApplicable),
        },
    }
}

/// A value of the process; without an event loop it does not apply.
fn of_loops<'a>(row: &Row<'a>, get: impl Fn(&PythonLook) -> Option<u64>, make: fn(u64) -> Value<'a>) -> Value<'a> {
    match look(row) {
        _ if row.is_task() => Value::Unknown(Unknown::NotApplicable),
        Ok(look) => get(look).map_or(Value::Unknown(Unknown::NotApplicable), make),
        Err(why) => Value::Unknown(why),
    }
}

pub(super) const COLUMNS: &[Column] = &[
    Column {
        id: "python",
        title: "PYTHON",
        description: "Innermost function of the user's own code in a Python; for a process, of its GIL's holder or main thread.",
        source: "the memory of the process (/proc/PID/mem)",
        basis: "measured: from outside, for rows on screen",
        needs: Needs::PYTHON,
        align: Align::Left,
        width: 28,
        keep_numbers: true,
        order: Order::Ascending,
        rank: 15,
        get: |r| place(r),
        ..BASE
    },
    Column {
        id: "gil",
        title: "GIL%",
        description: "Share of looks since the last sample in which the GIL was held, and in which threads waited for it.",
        unit: "percent",
        source: "the memory of the process (/proc/PID/mem), /proc/PID/task/TID/syscall",
        basis: "estimated: sampled, at most 20 looks/s, for rows on screen",
        needs: Needs::PYTHON,
        width: 8,
        rank: 15,
        get: |r| gil(r),
        ..BASE
    },
    Column {
        id: "loop_lag",
        title: "LOOPLAG",
        description: "Time since an event loop of asyncio came back from its selector; 0 while it waits there.",
        unit: "ns",
        source: "the memory of the process (/proc/PID/mem)",
        basis: "measured: at the last look, for rows on screen, CPython 3.9+",
        needs: Needs::PYTHON,
        scope: Scope::Process,
        width: 9,
        rank: 15,
        get: |r| of_loops(r, |look| look.loop_lag_ns, Value::Duration),
        ..BASE
    },
    Column {
        id: "async_tasks",
        title: "ATASKS",
        description: "Tasks of asyncio that are not done, of all event loops of the process.",
        source: "the memory of the process (/proc/PID/mem)",
        basis: "measured: at the last look, for rows on screen, CPython 3.9+",
        needs: Needs::PYTHON,
        scope: Scope::Process,
        width: 6,
        rank: 15,
        fold: Fold::Sum,
        get: |r| of_loops(r, |look| look.async_tasks, Value::Count),
        ..BASE
    },
];
