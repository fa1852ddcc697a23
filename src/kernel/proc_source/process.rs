//! One process in one sweep: decides what to read again, and reads it.

use super::entry::{Entry, Pages};
use super::reader::{Motion, Reader, is_settled};
use super::tasks;
use crate::clock::{Clock as _, SystemClock};
use crate::kernel::error::ReadError;
use crate::kernel::identity::IdentityReader;
use crate::kernel::main_ended;
use crate::kernel::parse::stat::Stat;
use crate::kernel::parse::statm::Statm;
use crate::kernel::parse::status::Status;
use crate::kernel::proc_fs::RelPath;
use crate::snapshot::Needs;

/// What a sweep wants of one process.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Values.
    pub needs: Needs,
    /// Whether what others can change while it sleeps (nice, policy, reclaimed memory) is to be read again now: it is on screen or
    /// its turn has come.
    pub turn: bool,
    /// Of many threads, those whose turn it is: all, or those whose TID leaves this remainder.
    pub threads: Option<u64>,
    /// Whether its arguments are to be read again if it ran since they were.
    pub title: bool,
}

/// The source's scratch space, reused over all processes.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Reads identities.
    pub identities: IdentityReader,
    /// A list of tids.
    pub tids: Vec<i32>,
}

/// Brings one process up to date.
///
/// # Errors
/// [`ReadError::Vanished`] if it is gone, [`ReadError::Denied`] if it may not be read; the entry is then to be dropped.
pub fn refresh(entry: &mut Entry, wanted: Wanted, reader: &mut Reader, scratch: &mut Scratch) -> Result<(), ReadError> {
    match refresh_known(entry, wanted, reader, scratch) {
        // The kept descriptor stays with the dead process while its pid may live again, which is then a new process.
        Err(ReadError::Vanished | ReadError::Malformed { .. }) if entry.stat.is_some() => {
            reader.budget.used -= entry.kept_files();
            *entry = Entry::new(entry.pid, scratch.identities.unknown());
            refresh_known(entry, wanted, reader, scratch)
        }
        result => result,
    }
}

fn refresh_known(entry: &mut Entry, wanted: Wanted, reader: &mut Reader, scratch: &mut Scratch) -> Result<(), ReadError> {
    entry.fresh = false;
    entry.tasks_fresh = false;
    let must_read = if entry.is_threaded() {
        let changed = if wanted.needs.intersects(tasks::PER_TASK) {
            let few = entry.tasks.len() <= tasks::FEW;
            let is_its = |tid: i32, remainder| u64::from(tid.unsigned_abs()) % tasks::TURNS == remainder;
            let turn_of = |tid| wanted.turn && (few || wanted.threads.is_none_or(|remainder| is_its(tid, remainder)));
            tasks::refresh(entry, wanted.needs, turn_of, reader, &mut scratch.tids)?
        } else {
            true
        };
        entry.moved = changed;
        changed || wanted.turn
    } else {
        let motion = match reader.gate(&mut entry.gate, &RelPath::process(entry.pid, "schedstat")) {
            Ok(motion) => motion,
            // No kept descriptor: gone, or a kernel without the file; `stat` decides.
            Err(ReadError::Vanished) if entry.gate.file.is_none() => Motion::Unknown,
            Err(error) => return Err(error),
        };
        let settled = entry.stat.is_some_and(|stat| is_settled(stat.state));
        entry.moved = motion != Motion::Still || !settled;
        entry.moved || wanted.turn
    };
    entry.read_ns = SystemClock.boot_ns();
    entry.title_stale |= entry.moved;
    if must_read {
        read_stat(entry, wanted, reader, scratch)?;
    } else if wanted.title && entry.title_stale {
        entry.title_stale = false;
        let subject = entry.subject();
        scratch.identities.refresh(&mut entry.known, subject, &reader.fs);
    }
    if entry.moved || wanted.turn {
        entry.stale = Needs::all();
    }
    extras(entry, wanted.needs, reader);
    let subject = entry.subject();
    scratch.identities.complete(&mut entry.known, wanted.needs, wanted.turn, subject, &reader.fs);
    Ok(())
}

/// Reads `stat` and all that follows from it.
///
/// # Errors
/// As [`refresh`].
pub fn read_stat(entry: &mut Entry, wanted: Wanted, reader: &mut Reader, scratch: &mut Scratch) -> Result<(), ReadError> {
    let keep = entry.is_threaded();
    let path = RelPath::process(entry.pid, "stat");
    let now = reader.stat(&mut entry.stat_file, keep, &path)?;
    if entry.stat.is_some_and(|before| before.start_ticks != now.start_ticks) {
        return Err(ReadError::Vanished);
    }
    let before = entry.stat.replace(now);
    entry.fresh = true;
    entry.face = if now.has_lost_main() { main_ended::first_living(&reader.fs, entry.pid).map(Box::new) } else { None };
    let execed = before.is_none_or(|before| may_have_execed(&before, &now, entry.moved));
    let subject = entry.subject();
    if execed {
        entry.known.forget_lazy();
    }
    if execed || (wanted.title && entry.title_stale) {
        entry.title_stale = false;
        scratch.identities.refresh(&mut entry.known, subject, &reader.fs);
    } else {
        scratch.identities.refresh_owner(&mut entry.known, entry.pid, &reader.fs);
    }
    match (now.nlwp > 1, before.is_some_and(|before| before.nlwp > 1)) {
        (true, false) => became_threaded(entry, wanted, reader, scratch)?,
        (false, true) => became_single(entry, reader),
        _ => {}
    }
    Ok(())
}

/// Whether the process replaced its program between two readings: new name or new memory layout. Where the layout's addresses
/// are hidden from the reader, any run may have been an exec and the arguments have to be compared.
fn may_have_execed(before: &Stat, now: &Stat, moved: bool) -> bool {
    let addresses_hidden = now.start_stack == 0;
    before.comm != now.comm
        || before.start_stack != now.start_stack
        || before.start_code != now.start_code
        || before.virt_bytes != now.virt_bytes
        || (addresses_hidden && moved)
}

fn became_threaded(entry: &mut Entry, wanted: Wanted, reader: &mut Reader, scratch: &mut Scratch) -> Result<(), ReadError> {
    reader.budget.used -= usize::from(entry.gate.file.take().is_some());
    entry.gate.last = None;
    if wanted.needs.intersects(tasks::PER_TASK) {
        tasks::refresh(entry, wanted.needs, |_| true, reader, &mut scratch.tids)?;
    }
    Ok(())
}

fn became_single(entry: &mut Entry, reader: &mut Reader) {
    reader.budget.used -= entry.kept_files();
    let pid = entry.pid;
    let ended: Vec<_> = std::mem::take(&mut entry.tasks).into_iter().filter(|task| task.tid != pid).collect();
    entry.bury(ended);
    entry.threads_ended = true;
    entry.stat_file = None;
    entry.gate = super::entry::Gate::default();
    // Read at once: the sums of a single task are its own.
    let _ = reader.gate(&mut entry.gate, &RelPath::process(entry.pid, "schedstat"));
}

/// `status` and `statm`, where asked for and out of date. What cannot be read is `None`.
fn extras(entry: &mut Entry, needs: Needs, reader: &mut Reader) {
    let switches_of_single = needs.contains(Needs::SWITCHES) && !entry.is_threaded();
    if (needs.contains(Needs::STATUS) || switches_of_single) && entry.stale.contains(Needs::STATUS) {
        entry.stale -= Needs::STATUS;
        let status = reader.whole(&RelPath::process(entry.face_tid(), "status")).map(Status::parse).ok();
        if switches_of_single && !entry.threads_ended {
            // As in `tasks`: faults of the group that are not the main thread's own are those of threads that ended.
            let own = reader.stat(&mut None, false, &RelPath::task(entry.pid, entry.pid, "stat"));
            entry.threads_ended = own.is_ok_and(|own| entry.stat.is_some_and(|group| group.minor_faults > own.minor_faults));
        }
        match (&mut entry.status, status) {
            (Some(kept), Some(status)) => **kept = status,
            (kept, status) => *kept = status.map(Box::new),
        }
    }
    if needs.contains(Needs::STATM) && entry.stale.contains(Needs::STATM) {
        entry.stale -= Needs::STATM;
        let statm = reader.small(&RelPath::process(entry.face_tid(), "statm")).ok().and_then(|bytes| Statm::parse(bytes).ok());
        entry.pages = statm.map(|statm| Pages { resident: statm.resident_pages, shared: statm.shared_pages });
    }
}
