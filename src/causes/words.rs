//! Evidence in words.

use crate::snapshot::Lock;

use super::Kind;
use super::scene::Holder;

/// A lock with a recorded owner.
pub(super) fn recorded(kind: Kind, lock: Lock, tid: i32) -> String {
    let place = place(lock);
    match kind {
        Kind::Join => format!("joins thread {tid} (pthread_join)"),
        Kind::RwLock => format!("waits for the read-write lock {place}, held for writing by thread {tid}"),
        _ => format!("waits for the mutex {place}, held by thread {tid}"),
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
    match tasks {
        1 => format!("waits for ever at the lock {place}; only this process can release it, and this is its only thread"),
        n => format!(
            "waits for ever at the lock {place}; only one of the {n} threads of this process can release it (owner not recorded by this kind of lock)"
        ),
    }
}

/// A lock in shared memory.
pub(super) fn shared(lock: Lock, holder: Holder, sharers: usize) -> String {
    let place = place(lock);
    let state = match holder {
        Holder::Semaphore { value, waiters } => format!(" (value {value}, {waiters} waiting by its own count)"),
        _ => String::new(),
    };
    let processes = if sharers == 1 { "1 process maps it".to_owned() } else { format!("{sharers} processes map it") };
    format!(
        "waits for ever for the shared semaphore or lock {place}{state}; {processes} (owner not recorded by this kind of lock)"
    )
}

fn place(lock: Lock) -> String {
    match lock {
        Lock::Private { address, .. } => format!("{address:#x}"),
        Lock::Shared { inode, offset, .. } => format!("{inode}+{offset:#x}"),
    }
}
