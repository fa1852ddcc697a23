//! The tasks of multi-threaded processes, each with its own check for activity.

use super::entry::{Entry, TaskEntry};
use super::reader::{Motion, Reader, is_settled};
use crate::clock::{Clock as _, SystemClock};
use crate::kernel::error::ReadError;
use crate::kernel::parse::status::Status;
use crate::kernel::proc_fs::RelPath;
use crate::snapshot::Needs;

/// What asks for a look at every task.
pub const PER_TASK: Needs = Needs::THREADS.union(Needs::SCHEDSTAT).union(Needs::SWITCHES);

/// In so many sweeps every thread of a process on screen has had its turn to be read although it did not run; so many threads are read in
/// each.
pub const TURNS: u64 = 4;
pub const FEW: usize = 8;

/// Brings the task list up to date; a thread that did not run is read if `turn_of` its TID. Returns whether any task ran, appeared or
/// ended since the last sweep (or that is unknown), that is, whether the group's totals may have changed.
///
/// # Errors
/// [`ReadError::Vanished`] if the process is gone.
pub fn refresh(
    entry: &mut Entry,
    needs: Needs,
    turn_of: impl Fn(i32) -> bool,
    reader: &mut Reader,
    tids: &mut Vec<i32>,
) -> Result<bool, ReadError> {
    reader.fs.list_tids(entry.pid, tids)?;
    let mut changed = merge(entry, tids, reader);
    let pid = entry.pid;
    let mut ended = Vec::new();
    entry.tasks.retain_mut(|task| match refresh_one(pid, task, needs, turn_of(task.tid), reader) {
        Ok(moved) => {
            changed |= moved;
            true
        }
        Err(_) => {
            // Ended between listing and reading, or its tid lives again while the kept descriptor is the dead task's: one more look.
            changed = true;
            reader.budget.used -= usize::from(task.gate.file.is_some());
            ended.push(std::mem::replace(task, TaskEntry::new(task.tid)));
            refresh_one(pid, task, needs, turn_of(task.tid), reader).is_ok()
        }
    });
    entry.bury(ended);
    let (now_ns, kept) = (SystemClock.boot_ns(), entry.tasks.iter().any(|task| task.gate.last.is_some()));
    entry.tasks.iter_mut().for_each(|task| task.note(now_ns, kept));
    entry.tasks_fresh = true;
    look_for_ended(entry);
    Ok(changed)
}

/// Faults of the group that none of its living threads had are those of threads that ended. The group's were read before the threads',
/// so that more of them is proof.
fn look_for_ended(entry: &mut Entry) {
    let of_tasks = entry.tasks.iter().try_fold(0u64, |sum, task| Some(sum.saturating_add(task.stat?.minor_faults)));
    if let (Some(group), Some(of_tasks)) = (entry.stat, of_tasks) {
        entry.threads_ended |= group.minor_faults > of_tasks;
    }
}

/// Makes the entries match `tids`, both ascending; whether anything was added or removed.
fn merge(entry: &mut Entry, tids: &[i32], reader: &mut Reader) -> bool {
    if entry.tasks.len() == tids.len() && entry.tasks.iter().zip(tids).all(|(task, tid)| task.tid == *tid) {
        return false;
    }
    let mut old = std::mem::take(&mut entry.tasks).into_iter().peekable();
    entry.tasks.reserve(tids.len());
    let mut ended = Vec::new();
    for tid in tids {
        while let Some(gone) = old.next_if(|task| task.tid < *tid) {
            ended.push(gone);
        }
        entry.tasks.push(old.next_if(|task| task.tid == *tid).unwrap_or_else(|| TaskEntry::new(*tid)));
    }
    ended.extend(old);
    reader.budget.used -= ended.iter().filter(|task| task.gate.file.is_some()).count();
    entry.bury(ended);
    true
}

/// One task; whether it ran or that is unknown.
fn refresh_one(pid: i32, task: &mut TaskEntry, needs: Needs, turn: bool, reader: &mut Reader) -> Result<bool, ReadError> {
    let motion = match reader.gate(&mut task.gate, &RelPath::task(pid, task.tid, "schedstat")) {
        Ok(motion) => motion,
        // Without a kept descriptor this may also mean that the kernel has no such file; `stat` decides whether the task is there.
        Err(ReadError::Vanished) if task.gate.file.is_none() => Motion::Unknown,
        Err(error) => return Err(error),
    };
    let settled = task.stat.is_some_and(|stat| is_settled(stat.state));
    let moved = motion != Motion::Still || !settled;
    // A thread's own faults tell whether others, whose switches are lost, have ended.
    if needs.intersects(Needs::THREADS | Needs::SWITCHES) && (moved || turn || task.stat.is_none()) {
        task.stat = Some(reader.stat(&mut None, false, &RelPath::task(pid, task.tid, "stat"))?);
    }
    if needs.contains(Needs::SWITCHES) && (moved || task.switches.is_none()) {
        let status = Status::parse(reader.whole(&RelPath::task(pid, task.tid, "status"))?);
        task.switches = status.voluntary_switches.zip(status.involuntary_switches);
    } else if moved && !needs.contains(Needs::SWITCHES) {
        task.switches = None;
    }
    Ok(moved)
}
