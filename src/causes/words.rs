//! Evidence in words.

use crate::snapshot::Lock;

use super::Kind;
use super::scene::{Holder, TaskId};

/// A lock whose owner is known. `place`: where a Python program stands in the block that holds it.
pub(super) fn recorded(kind: Kind, lock: Lock, (from, owner): (TaskId, TaskId), place: Option<&str>) -> String {
    let TaskId { pid, tid } = owner;
    let who = match (from == owner, from.pid == pid) {
        (true, _) => "this thread itself".to_owned(),
        (_, true) => format!("thread {tid}"),
        _ if pid == tid => format!("process {pid}"),
        _ => format!("thread {tid} of process {pid}"),
    };
    let held = place.map(|place| format!(" (held in {place})")).unwrap_or_default();
    let lock = self::place(lock);
    match kind {
        Kind::Join => format!("waits for the end of {who} (join)"),
        Kind::Import => format!("waits for a module that {who} imports"),
        Kind::RwLock => format!("waits for the read-write lock {lock}, held for writing by {who}"),
        Kind::PythonLock => format!("waits for the Python lock {lock}, held by {who}{held}"),
        _ => format!("waits for the mutex {lock}, held by {who}"),
    }
}

/// A lock whose recorded owner is gone.
pub(super) fn gone(lock: Lock, tid: i32, in_parent: Option<i32>) -> String {
    let place = place(lock);
    match in_parent {
        Some(pid) => format!(
            "waits for the mutex {place}; thread {tid} of process {pid} held it when this process was forked, and a fork copies no other thread"
        ),
        None => format!("waits for the mutex {place}; its recorded owner, thread {tid}, is no thread of this process"),
    }
}

/// A lock in memory of one process that keeps no owner.
pub(super) fn unrecorded(lock: Lock, tasks: usize) -> String {
    let place = place(lock);
    let begin = format!("waits for the lock or condition {place}, without a timeout");
    match tasks {
        1 => format!("{begin}; only this process can end the wait, and this is its only thread"),
        n => {
            format!("{begin}; only one of the {n} threads of this process can end the wait (this kind of lock records no owner)")
        }
    }
}

/// A lock in shared memory.
pub(super) fn shared(lock: Lock, holder: Holder, sharers: usize) -> String {
    let place = place(lock);
    let state = match holder {
        Holder::Semaphore { value, waiters } => format!(" (value {value}, its waiter count is {waiters})"),
        _ => String::new(),
    };
    let processes = if sharers == 1 { "1 process maps it".to_owned() } else { format!("{sharers} processes map it") };
    format!(
        "waits for the shared semaphore or lock {place}{state}, without a timeout; {processes} (this kind of lock records no owner)"
    )
}

fn place(lock: Lock) -> String {
    match lock {
        Lock::Private { address, .. } => format!("{address:#x}"),
        Lock::Shared { inode, offset, .. } => format!("{inode}+{offset:#x}"),
    }
}
