//! One look at the tasks of a process: state, system call and scheduling figures. A task whose figures (`schedstat`) are those of the look
//! before has not run in between: nothing else of it can have changed, and nothing else of it is read again.

use std::sync::{Arc, OnceLock};

use super::by_tid::ByTid;
use super::scene::{Task, TaskId};
use crate::kernel::parse::schedstat::Schedstat;
use crate::kernel::parse::stat::Stat;
use crate::kernel::parse::syscall::SyscallLine;
use crate::kernel::proc_fs::{ProcFs, RelPath};
use crate::snapshot::{Comm, State};

/// Kernel functions in which every task of a frozen control group sleeps.
const FROZEN: [&[u8]; 2] = [b"do_freezer_trap", b"__refrigerator"];
/// The most threads of one process that are looked at. A process with more is not explained.
const MOST_TASKS: usize = 8192;

/// One task as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub comm: Comm,
    pub state: State,
    /// `None` where the kernel does not keep it.
    pub schedstat: Option<Schedstat>,
    pub line: Option<SyscallLine>,
    pub denied: bool,
}

/// One process as it was seen.
#[derive(Debug)]
pub(super) struct Look {
    pub stat: Stat,
    pub tasks: ByTid<Seen>,
    /// Its tasks, if this look alone shows what all of them wait for.
    pub at_once: OnceLock<Option<Arc<ByTid<Task>>>>,
}

impl Seen {
    /// The scheduling figures of a task that slept: it sleeps on as long as they are the same. `None` if it ran, or if they are not known.
    fn asleep(&self) -> Option<Schedstat> {
        self.schedstat.filter(|_| self.state != State::RUNNING)
    }
}

impl Look {
    /// True if every task slept: such a look stays valid until a task runs.
    pub fn may_rest(&self) -> bool {
        !self.tasks.is_empty() && self.tasks.values().all(|seen| seen.asleep().is_some())
    }
}

/// `None` for kernel threads and for what is gone.
fn look(fs: &ProcFs, pid: i32, before: Option<&Look>) -> Option<Look> {
    let mut buffer = [0u8; 1024];
    let stat = Stat::parse(fs.read_once(&RelPath::process(pid, "stat"), &mut buffer).ok()?).ok()?;
    if stat.kernel_thread || stat.state == State::ZOMBIE && stat.nlwp <= 1 {
        return None;
    }
    let mut tids = Vec::new();
    fs.list_tids(pid, &mut tids).ok()?;
    let known = |tid: i32| before?.tasks.get(tid).filter(|seen| rests(fs, pid, tid, seen)).cloned();
    let tasks = tids.iter().take(MOST_TASKS).filter_map(|tid| Some((*tid, known(*tid).or_else(|| seen(fs, pid, *tid))?)));
    // A main thread that has ended does nothing more.
    let mut tasks: ByTid<Seen> = tasks.filter(|(_, task)| !task.state.is_over()).collect();
    // What is not looked at may do anything.
    if let Some(tid) = tids.get(MOST_TASKS) {
        tasks.insert_new(*tid, Seen { comm: stat.comm, state: State::RUNNING, schedstat: None, line: None, denied: false });
    }
    Some(Look { stat, tasks, at_once: OnceLock::new() })
}

fn seen(fs: &ProcFs, pid: i32, tid: i32) -> Option<Seen> {
    let mut buffer = [0u8; 1024];
    let stat = Stat::parse(fs.read_once(&RelPath::task(pid, tid, "stat"), &mut buffer).ok()?).ok()?;
    let schedstat = fs.read_once(&RelPath::task(pid, tid, "schedstat"), &mut buffer);
    let schedstat = schedstat.ok().and_then(|b| Schedstat::parse(b).ok()).filter(Schedstat::is_kept);
    let (line, denied) = match fs.read_once(&RelPath::task(pid, tid, "syscall"), &mut buffer) {
        Ok(bytes) => (SyscallLine::parse(bytes), false),
        Err(error) => (None, error.is_denied()),
    };
    Some(Seen { comm: stat.comm, state: stat.state, schedstat, line, denied })
}

/// A look at a process that was looked at before: the same one, and true, if no task of it has run since.
pub(super) fn look_again(fs: &ProcFs, pid: i32, before: Option<&Arc<Look>>) -> Option<(Arc<Look>, bool)> {
    if let Some(before) = before
        && !before.tasks.is_empty()
        && before.tasks.iter().all(|(tid, seen)| rests(fs, pid, tid, seen))
    {
        return Some((Arc::clone(before), true));
    }
    look(fs, pid, before.map(AsRef::as_ref)).map(|look| (Arc::new(look), false))
}

/// Whether a task that slept is in the same sleep.
pub(super) fn rests(fs: &ProcFs, pid: i32, tid: i32, seen: &Seen) -> bool {
    seen.asleep().is_some_and(|figures| sleeps_on(fs, TaskId { pid, tid }, figures))
}

/// Whether a task that was seen asleep is so now, by its state: one that was woken and has not got a CPU yet has the same scheduling figures,
/// and one whose control group is frozen cannot take what has come.
pub(super) fn still_sleeps(fs: &ProcFs, id: TaskId, before: State) -> bool {
    let mut buffer = [0u8; 1024];
    let stat = fs.read_once(&RelPath::task(id.pid, id.tid, "stat"), &mut buffer);
    if stat.ok().and_then(|bytes| Stat::parse(bytes).ok()).is_none_or(|stat| stat.state != before) {
        return false;
    }
    let function = fs.read_once(&RelPath::task(id.pid, id.tid, "wchan"), &mut buffer);
    !function.is_ok_and(|name| FROZEN.iter().any(|frozen| name.starts_with(frozen)))
}

/// The scheduling figures of a task that sleeps now, for [`sleeps_on`].
#[must_use]
pub fn asleep(fs: &ProcFs, id: TaskId) -> Option<Schedstat> {
    seen(fs, id.pid, id.tid)?.asleep()
}

/// True if a task that slept with these scheduling figures has not run since.
#[must_use]
pub fn sleeps_on(fs: &ProcFs, id: TaskId, figures: Schedstat) -> bool {
    let TaskId { pid, tid } = id;
    let mut buffer = [0u8; 128];
    // The shorter path costs the kernel less.
    let path = if tid == pid { RelPath::process(pid, "schedstat") } else { RelPath::task(pid, tid, "schedstat") };
    let now = fs.read_once(&path, &mut buffer);
    now.ok().and_then(|bytes| Schedstat::parse(bytes).ok()) == Some(figures)
}
