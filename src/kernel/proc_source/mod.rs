//! The source that needs no privileges: `/proc`, read so that cost follows activity and not the number of processes.
//!
//! The kernel needs about 12 us for open, read and close of `/proc/PID/stat`, and 2 us to read an open `schedstat` again. A
//! single-threaded process whose `schedstat` has not changed was not on a CPU, so its CPU time, state, threads and program are unchanged:
//! its `stat` is not read again. Values that other processes can change (nice, policy, reclaimed memory) are read in every sweep for
//! visible rows, and every [`TURNS`] sweeps for the rest. A new parent is read at once after the old one has exited. A runnable task is
//! always read.
//!
//! One limit is inherent: a woken task that still waits for its first time slice is shown as sleeping until it runs.
//!
//! To read another value of a process: a parser in `kernel::parse`, a field in [`entry::Entry`], a read in [`process`].

pub mod entry;
mod process;
pub mod reader;
mod tasks;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock, process_cpu_ns, thread_cpu_ns};
use crate::snapshot::{
    EventTier, ProcKey, ProcessSample, Snapshot, SourceReport, SystemInfo, TaskSample, Tier, give_back, task_states,
};

use self::entry::{Entry, Units};
use self::process::{Scratch, Wanted};
use self::reader::Reader;
use super::error::ReadError;
use super::events::Lifecycle;
use super::exact::ExactReader;
use super::host::HostReader;
use super::identity::{Known, title_is_due};
use super::pid_space::PidSpace;
use super::proc_fs::{ProcFs, out_of_descriptors};
use super::source::{Needs, Request, Source};
use super::system;

/// In so many sweeps every process has had its turn to be read regardless of the gate.
pub const TURNS: u64 = 16;
/// Where descriptors have run out, a sweep is tried again after each of these: other threads, such as the one that loads BPF, hold theirs for a
/// moment only.
const PAUSES: [Duration; 4] = [Duration::ZERO, Duration::from_millis(10), Duration::from_millis(20), Duration::from_millis(40)];

/// The unprivileged source.
#[derive(Debug)]
pub struct ProcSource {
    system: Arc<SystemInfo>,
    clock: system::WallClock,
    units: Units,
    host: HostReader,
    reader: Reader,
    scratch: Scratch,
    entries: Vec<Entry>,
    pids: Vec<i32>,
    gone: Vec<i32>,
    sweep: u64,
    denied: u32,
    /// Why a process could not be read in this sweep though it is there.
    failure: Option<ReadError>,
    forks_when_listed: Option<u64>,
    /// True if system calls use the PIDs that this `/proc` shows.
    own_pids: bool,
    tasks_hint: usize,
    exact: ExactReader,
    lifecycle: Lifecycle,
}

impl ProcSource {
    /// A source below `root`, where a process file system must be mounted.
    ///
    /// # Errors
    /// If `root` cannot be opened, or is not a process file system.
    pub fn new(root: impl Into<PathBuf>) -> Result<Self, ReadError> {
        let fs = ProcFs::open(root)?;
        let own_pids = PidSpace::of(&fs).is_ok_and(|space| space == PidSpace::Own);
        Ok(Self::over(fs, system::system_info(), own_pids))
    }

    /// For tests: a source below a tree of files that looks like `/proc`, with the constants of its machine.
    ///
    /// # Errors
    /// If `root` cannot be opened.
    pub fn with_system(root: impl Into<PathBuf>, system: SystemInfo) -> Result<Self, ReadError> {
        Ok(Self::over(ProcFs::open_tree(root)?, system, false))
    }

    fn over(fs: ProcFs, system: SystemInfo, own_pids: bool) -> Self {
        let host = HostReader::new(fs.root());
        Self {
            units: Units::of(&system),
            system: Arc::new(system),
            clock: system::WallClock::default(),
            host,
            reader: Reader::new(fs),
            scratch: Scratch::default(),
            entries: Vec::new(),
            pids: Vec::new(),
            gone: Vec::new(),
            sweep: 0,
            denied: 0,
            failure: None,
            forks_when_listed: None,
            own_pids,
            tasks_hint: 0,
            exact: ExactReader::default(),
            lifecycle: Lifecycle::polling("only the monitor reads the kernel's event stream"),
        }
    }

    /// Makes the entries match the pids present, both ascending.
    fn merge(&mut self) {
        if self.entries.len() == self.pids.len() && self.entries.iter().zip(&self.pids).all(|(entry, pid)| entry.pid == *pid) {
            return;
        }
        let mut known = std::mem::take(&mut self.entries).into_iter().peekable();
        let mut new = Vec::with_capacity(self.pids.len());
        for pid in &self.pids {
            while let Some(gone) = known.next_if(|entry| entry.pid < *pid) {
                self.reader.budget.used -= gone.kept_files();
                self.gone.push(gone.pid);
            }
            new.push(
                known.next_if(|entry| entry.pid == *pid).unwrap_or_else(|| Entry::new(*pid, self.scratch.identities.unknown())),
            );
        }
        for gone in known {
            self.reader.budget.used -= gone.kept_files();
            self.gone.push(gone.pid);
        }
        self.entries = new;
        self.give_back();
    }

    /// What a crowd took and the processes of now do not need.
    fn give_back(&mut self) {
        let now = self.entries.len();
        give_back(&mut self.entries, now);
        give_back(&mut self.pids, now);
        give_back(&mut self.gone, now);
        give_back(&mut self.scratch.tids, 0);
    }

    /// Brings every process up to date; those that vanished or may not be read are dropped.
    fn refresh_all(&mut self, request: &Request<'_>) {
        let mut visible: Vec<i32> = request.visible.iter().map(|key| key.pid).collect();
        visible.sort_unstable();
        let (sweep, units) = (self.sweep, self.units);
        let turn = sweep % TURNS;
        let Self { entries, reader, scratch, gone, denied, failure, own_pids, .. } = self;
        entries.retain_mut(|entry| {
            let is_new = entry.stat.is_none();
            let on_screen = visible.binary_search(&entry.pid).is_ok();
            let wanted = Wanted {
                needs: if on_screen { request.all | request.visible_needs } else { request.all },
                turn: on_screen || u64::from(entry.pid.unsigned_abs()) % TURNS == turn,
                threads: on_screen.then_some(sweep % tasks::TURNS),
                title: title_is_due(entry.pid, sweep, request.all, on_screen),
            };
            let was_over = entry.stat.is_none_or(|stat| stat.is_over());
            match process::refresh(entry, wanted, reader, scratch) {
                Ok(()) => {
                    let exact_ns = (is_new && *own_pids).then(|| process_cpu_ns(entry.pid)).flatten();
                    entry.account(units, exact_ns);
                    if !was_over && entry.stat.is_some_and(|stat| stat.is_over()) {
                        gone.push(entry.pid);
                    }
                    true
                }
                Err(error) => {
                    if out_of_descriptors(&error) {
                        failure.get_or_insert(error);
                        reader.budget.used -= entry.kept_files();
                        return false;
                    }
                    *denied += u32::from(matches!(error, ReadError::Denied { .. }));
                    reader.budget.used -= entry.kept_files();
                    gone.push(entry.pid);
                    false
                }
            }
        });
    }

    /// Children of processes that ended got a new parent without running themselves: their `stat` is read regardless of the gate.
    fn reread_orphans(&mut self, needs: Needs) {
        if self.gone.is_empty() {
            return;
        }
        self.gone.sort_unstable();
        let Self { entries, reader, scratch, gone, .. } = self;
        entries.retain_mut(|entry| {
            let orphaned = !entry.fresh && entry.stat.is_some_and(|stat| gone.binary_search(&stat.ppid).is_ok());
            if orphaned
                && process::read_stat(entry, Wanted { needs, turn: false, threads: None, title: false }, reader, scratch).is_err()
            {
                reader.budget.used -= entry.kept_files();
                return false;
            }
            true
        });
    }

    fn report(&self, cpu_ns: u64, wall_ns: u64) -> SourceReport {
        let refused = self.reader.budget.refused;
        let why = if refused > 0 {
            format!(
                "{refused} files are reopened in every sweep: the limit of open descriptors allows {} open files",
                self.reader.budget.limit
            )
        } else {
            String::new()
        };
        SourceReport {
            tier: Tier::Proc,
            why,
            better: (refused > 0).then(|| "ulimit -Hn 65536".to_owned()),
            sample_cpu_ns: cpu_ns,
            sample_wall_ns: wall_ns,
            events: EventTier::Polling(String::new()),
            events_lost: 0,
            denied: self.denied,
        }
    }
}

impl ProcSource {
    /// One sweep without events: a source that joins several others gets those elsewhere.
    ///
    /// # Errors
    /// If the root directory cannot be listed, or descriptors have run out.
    pub fn sweep(&mut self, request: &Request<'_>) -> Result<Snapshot, ReadError> {
        let mut swept = self.sweep_once(request);
        for pause in PAUSES {
            match &swept {
                Err(error) if out_of_descriptors(error) => {}
                _ => break,
            }
            self.close_files_above_the_limit();
            std::thread::sleep(pause);
            swept = self.sweep_once(request);
        }
        swept
    }

    /// Leaves descriptors to the rest of the program.
    fn close_files_above_the_limit(&mut self) {
        let Self { entries, reader, .. } = self;
        reader.budget.step_back();
        for entry in entries.iter_mut().rev() {
            if reader.budget.used <= reader.budget.limit {
                break;
            }
            reader.budget.used -= entry.close_files();
        }
    }

    fn sweep_once(&mut self, request: &Request<'_>) -> Result<Snapshot, ReadError> {
        let (cpu_before, taken_ns) = (thread_cpu_ns(), SystemClock.boot_ns());
        let host = self.host.read(request.all);
        self.clock.keep(&mut self.system, self.host.booted_unix_s());
        self.list()?;
        let (processes, tasks) = self.read_listed(request, taken_ns);
        if let Some(error) = self.failure.take() {
            // Processes that were not read have not ended: a table without them would be a lie. The next sweep lists them again.
            self.forks_when_listed = None;
            return Err(error);
        }
        let wall_ns = SystemClock.boot_ns().saturating_sub(taken_ns);
        let helpers_ns = self.scratch.identities.cpu_ns() + self.exact.cpu_ns();
        let report = self.report(thread_cpu_ns().saturating_sub(cpu_before) + helpers_ns, wall_ns);
        let (system, task_states) = (Arc::clone(&self.system), task_states(&processes, &tasks));
        Ok(Snapshot { taken_ns, system, host, processes, tasks, task_states, events: Vec::new(), report })
    }

    /// Brings the list of pids up to date. While the kernel has created no task since the list was made, no new process can be in it: what
    /// is left of it is used again. The count is read before the list, so that a birth between the two is seen the next time.
    fn list(&mut self) -> Result<(), ReadError> {
        let forks = self.host.forks();
        let nobody_new = forks.is_some() && forks == self.forks_when_listed && self.denied == 0;
        if nobody_new && !self.sweep.is_multiple_of(TURNS) {
            self.pids.clear();
            self.pids.extend(self.entries.iter().map(|entry| entry.pid));
            return Ok(());
        }
        self.forks_when_listed = forks;
        self.reader.fs.list_pids(&mut self.pids)
    }

    /// One sweep over given processes (ascending pids) instead of all: those that another source cannot see. `begun_ns` is when that one's
    /// began.
    pub fn sweep_of(&mut self, pids: &[i32], request: &Request<'_>, begun_ns: u64) -> (Vec<ProcessSample>, Vec<TaskSample>) {
        self.pids.clear();
        self.pids.extend_from_slice(pids);
        self.read_listed(request, begun_ns)
    }

    /// Reads the processes in `self.pids`.
    fn read_listed(&mut self, request: &Request<'_>, begun_ns: u64) -> (Vec<ProcessSample>, Vec<TaskSample>) {
        self.sweep += 1;
        self.denied = 0;
        self.gone.clear();
        self.reader.budget.set_limit(system::descriptor_limit());
        self.merge();
        self.refresh_all(request);
        self.reread_orphans(request.all);
        self.scratch.identities.catch_up(&mut self.entries, &self.reader.fs, request.budget);
        let with_tasks = (request.all | request.visible_needs).contains(Needs::THREADS);
        let mut processes = Vec::with_capacity(self.entries.len());
        let mut tasks = Vec::with_capacity(self.tasks_hint);
        processes.extend(self.entries.iter_mut().filter_map(|entry| entry.sample(self.units, begun_ns, with_tasks, &mut tasks)));
        self.tasks_hint = tasks.len();
        let moved = |index: usize| self.entries.get(index).is_none_or(|entry| entry.moved);
        self.exact.fill(&self.reader.fs, request, &mut processes, &tasks, moved);
        (processes, tasks)
    }

    /// The identities read so far, for a source that takes over.
    #[must_use]
    pub fn identities(&self) -> Vec<(ProcKey, Known)> {
        self.entries.iter().filter_map(|entry| Some((entry.key()?, entry.known.clone()))).collect()
    }
}

impl Source for ProcSource {
    fn sample(&mut self, request: &Request<'_>) -> Result<Snapshot, ReadError> {
        let mut snapshot = self.sweep(request)?;
        snapshot.events = self.lifecycle.collect(&snapshot.processes, snapshot.taken_ns);
        snapshot.report.events = self.lifecycle.tier();
        Ok(snapshot)
    }
}
