//! Which lock a task waits at: the futex (futex(2)) by what the kernel itself tells locks apart by, so that the crowd at one lock is found
//! across threads, and across processes that share the memory it lies in.

use std::collections::HashMap;

use super::parse::maps::Mapping;
use super::parse::syscall::Futex;
use super::proc_fs::{ProcFs, RelPath};
use crate::snapshot::{Lock, TaskWait};

/// The most of `maps` that is read for a futex in memory that may be shared.
const MAPS_BYTES: usize = 1 << 20;

/// The lock behind a futex. One that its program calls private is told by process and address alone; for another the mapping is looked
/// up, and if that cannot be done it is not known whether others wait there too.
pub(super) fn lock_of(fs: &ProcFs, pid: i32, futex: Futex) -> Option<Lock> {
    let private = Lock::Private { pid, address: futex.address };
    if futex.private {
        return Some(private);
    }
    let mut maps = Vec::new();
    fs.read_all(&RelPath::process(pid, "maps"), MAPS_BYTES, &mut maps).ok()?;
    let holds = |mapping: &Mapping<'_>| (mapping.start..mapping.end).contains(&futex.address);
    let mapping = maps.split(|b| *b == b'\n').filter_map(Mapping::parse).find(holds)?;
    if mapping.private {
        return Some(private);
    }
    let offset = mapping.offset.checked_add(futex.address - mapping.start)?;
    Some(Lock::Shared { device: mapping.device, inode: mapping.inode, offset })
}

/// How many of these wait at each lock in memory that processes share.
pub(super) fn shared_crowds<'a>(waits: impl IntoIterator<Item = &'a TaskWait>) -> HashMap<Lock, u32> {
    let mut crowds = HashMap::new();
    for lock in waits.into_iter().filter_map(|wait| wait.lock).filter(|lock| matches!(lock, Lock::Shared { .. })) {
        *crowds.entry(lock).or_default() += 1;
    }
    crowds
}
