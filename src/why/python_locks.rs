//! The holders of the Python locks that tasks wait for: read from the frames of the processes concerned and noted in the scene, so that the
//! search for cycles follows these links like those of recorded owners.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::causes::scene::Holder;
use crate::causes::{Kind, Reader, Scene, TaskId, Wait};
use crate::inspect::locks::{self, How, Locks};
use crate::kernel::locks::lock_of;
use crate::kernel::parse::syscall::Futex;
use crate::kernel::proc_fs::ProcFs;
use crate::kernel::program::is_python;
use crate::snapshot::{Lock, ProcKey};

use super::pythons::{in_time, words};

/// The most processes that are read at once.
const MOST: usize = 32;

/// Locks of processes that have not run since they were read.
pub(super) type Known = HashMap<i32, (ProcKey, Option<Locks>)>;

/// Notes the holders. A link is noted only if its waiter has slept from before the reading until after it.
pub(super) fn note(fs: &ProcFs, reader: &Reader, scene: &mut Scene, known: &mut Known) {
    known.retain(|pid, (key, _)| scene.processes.get(pid).is_some_and(|process| process.key == *key) && !reader.moved(*pid));
    let mut read = BTreeMap::new();
    let mut left = MOST;
    for pid in concerned(scene) {
        let Some(key) = scene.processes.get(&pid).map(|process| process.key) else { continue };
        if let Some((_, locks)) = known.get(&pid) {
            read.extend(locks.clone().map(|locks| (pid, locks)));
            continue;
        }
        if left == 0 || !is_python(fs, pid) {
            continue;
        }
        left -= 1;
        let locks = read_one(key, private_futexes(scene, pid));
        read.extend(locks.clone().map(|locks| (pid, locks)));
        known.insert(pid, (key, locks));
    }
    let shared = semaphores(fs, &read);
    let mut found: Vec<(TaskId, Holder, Option<String>)> = Vec::new();
    for (pid, process) in &scene.processes {
        for (tid, task) in process.tasks.iter() {
            let Wait::Futex { lock, holder: Holder::NotRecorded | Holder::Semaphore { .. } } = task.wait else { continue };
            let link = match lock {
                Lock::Private { .. } => read.get(pid).and_then(|locks| locks.holders.get(&tid)).map(|holder| {
                    let kind = match holder.how {
                        How::Join => Kind::Join,
                        How::Import => Kind::Import,
                        How::Block | How::Recorded => Kind::PythonLock,
                    };
                    (kind, TaskId { pid: *pid, tid: holder.tid }, holder.at.as_ref().map(words))
                }),
                Lock::Shared { .. } => shared.get(&lock).and_then(|holders| match &holders[..] {
                    [(owner, place)] => Some((Kind::PythonLock, *owner, place.clone())),
                    // Copies of a frame that was forked within the block: which of them has the lock is not known.
                    _ => None,
                }),
            };
            let Some((kind, owner, place)) = link else { continue };
            if scene.task(owner).is_some() && reader.rests(*pid, tid) {
                found.push((TaskId { pid: *pid, tid }, Holder::Task(kind, owner), place));
            }
        }
    }
    for (id, owner, place) in found {
        if let Some(task) = scene.task_mut(id)
            && let Wait::Futex { holder, .. } = &mut task.wait
        {
            *holder = owner;
            scene.places.extend(place.map(|place| (id, place)));
        }
    }
}

/// Processes with a task at a lock whose owner is not known, and those that share the memory of such a lock.
fn concerned(scene: &Scene) -> BTreeSet<i32> {
    let mut pids = BTreeSet::new();
    for (pid, process) in &scene.processes {
        for task in process.tasks.values() {
            match task.wait {
                Wait::Futex { lock: Lock::Private { .. }, holder: Holder::NotRecorded | Holder::Semaphore { .. } } => {
                    pids.insert(*pid);
                }
                Wait::Futex { lock: Lock::Shared { device, inode, .. }, .. } => {
                    pids.extend(scene.sharers.get(&(device, inode)).into_iter().flatten());
                }
                _ => {}
            }
        }
    }
    pids
}

/// Where the threads of a process sleep, by TID.
fn private_futexes(scene: &Scene, pid: i32) -> BTreeMap<i32, u64> {
    let tasks = scene.processes.get(&pid).into_iter().flat_map(|process| process.tasks.iter());
    let waits = tasks.filter_map(|(tid, task)| match task.wait {
        Wait::Futex { lock: Lock::Private { address, .. }, .. } => Some((tid, address)),
        _ => None,
    });
    waits.collect()
}

fn read_one(key: ProcKey, waiting: BTreeMap<i32, u64>) -> Option<Locks> {
    in_time(key, move |reader| locks::locks(reader, key, &waiting))?.ok()
}

/// The holders of semaphores in shared memory.
fn semaphores(fs: &ProcFs, read: &BTreeMap<i32, Locks>) -> HashMap<Lock, Vec<(TaskId, Option<String>)>> {
    let mut found: HashMap<Lock, Vec<(TaskId, Option<String>)>> = HashMap::new();
    for (pid, locks) in read {
        for semaphore in &locks.semaphores {
            let futex = Futex { address: semaphore.address, private: false };
            let Some(lock @ Lock::Shared { .. }) = lock_of(fs, (*pid, *pid), futex) else { continue };
            let owner = TaskId { pid: *pid, tid: semaphore.tid };
            let known = found.entry(lock).or_default();
            if !known.iter().any(|(id, _)| *id == owner) {
                known.push((owner, semaphore.at.as_ref().map(words)));
            }
        }
    }
    found
}
