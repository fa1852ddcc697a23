//! Identity of a process: arguments, program, owner, control group. All can change without exec. Both sources read them from `/proc` and
//! share them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::error::ReadError;
use super::parse::cgroup;
use super::proc_fs::{ProcFs, RelPath};
use super::readers::{Order, Patience, Readers};
use super::source::Needs;
use super::users::UserNames;
use crate::snapshot::{Identity, ProcKey};

/// The most of a command line that is kept, bytes: what exec takes under the usual stack limit of 8 MiB (execve(2)). A longer one ends in
/// [`CUT`], so that no search, filter or export takes it for whole.
const CMDLINE_LIMIT: usize = 2 << 20;
/// The last argument of a command line that was cut.
const CUT: &[u8] = b"\0[concmon: cut at 2 MiB]\0";
/// Command lines above this size are shared between the processes that have the same.
const LONG: usize = 4096;
/// A scratch buffer above this size is not kept.
const SCRATCH: usize = 64 * 1024;

/// In so many sweeps the arguments of every process that ran are looked at again, wanted or not.
pub const TITLE_TURNS: u64 = 16;

/// Whether the arguments of a process that ran since they were read are to be read now: programs change their title without exec. At
/// once where every process is filtered or sorted by them, in every other sweep for a row on screen, in turns for the rest.
#[must_use]
pub fn title_is_due(pid: i32, sweep: u64, needs_of_all: Needs, on_screen: bool) -> bool {
    let turns = if on_screen { 2 } else { TITLE_TURNS };
    needs_of_all.contains(Needs::TITLES) || u64::from(pid.unsigned_abs()) % turns == sweep % turns
}

/// What reading identities needs, shared by all processes of a source.
#[derive(Debug)]
pub struct IdentityReader {
    users: UserNames,
    bytes: Vec<u8>,
    nobody: Arc<Identity>,
    arguments: Readers<Arguments, Option<Box<[u8]>>>,
    /// Some processes may have no user name yet, or their names were not asked for here.
    nameless: bool,
    /// Long command lines: a program that forks has the same one in every child.
    long: HashSet<Arc<[u8]>>,
}

/// An order to read a process's arguments, which takes the lock on its memory map.
#[derive(Debug)]
struct Arguments {
    key: ProcKey,
    /// A living thread, whose file has them.
    tid: i32,
}

impl Order for Arguments {
    fn key(&self) -> ProcKey {
        self.key
    }
}

fn read_arguments(fs: &ProcFs, order: &Arguments) -> Option<Box<[u8]>> {
    let mut bytes = Vec::new();
    let read = fs.read_all(&RelPath::process(order.tid, "cmdline"), CMDLINE_LIMIT, &mut bytes);
    if bytes.len() == CMDLINE_LIMIT {
        bytes.extend_from_slice(CUT);
    }
    read.is_ok().then(|| bytes.into_boxed_slice())
}

/// What a source keeps of a process.
pub(super) trait Holder {
    /// The process; `None` if it is not known yet.
    fn key(&self) -> Option<ProcKey>;
    /// Its identity.
    fn known(&mut self) -> &mut Known;
}

impl Default for IdentityReader {
    fn default() -> Self {
        Self {
            users: UserNames::default(),
            bytes: Vec::new(),
            nobody: Arc::default(),
            arguments: Readers::new("arguments", read_arguments),
            nameless: true,
            long: HashSet::new(),
        }
    }
}

/// The process whose identity is read.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// Its pid.
    pub pid: i32,
    /// A thread of it that lives: `/proc/PID` has neither arguments nor program once the main thread has ended.
    pub tid: i32,
    /// It has no arguments and no program.
    pub kernel_thread: bool,
    /// It had them, but has ended.
    pub over: bool,
}

/// What is known of one process's identity.
#[derive(Debug, Clone)]
pub struct Known {
    /// As far as it was read.
    pub identity: Arc<Identity>,
    /// The lazy parts that were tried since the last exec.
    tried: Needs,
    /// The arguments are to be read, from the files of this thread.
    due: Option<i32>,
    /// There is no name for its user yet.
    nameless: bool,
}

impl IdentityReader {
    /// A process nothing is known of; costs no allocation.
    #[must_use]
    pub fn unknown(&self) -> Known {
        Known { identity: Arc::clone(&self.nobody), tried: Needs::empty(), due: None, nameless: false }
    }

    /// Reads the owner again, and has the arguments read by the next [`IdentityReader::catch_up`]. What is over has arguments no more, so
    /// those of its life are kept. Whether the owner could be read.
    pub fn refresh(&mut self, known: &mut Known, subject: Subject, fs: &ProcFs) -> bool {
        let was_read = known.identity.uid.is_some();
        if subject.kernel_thread {
            known.take_arguments(Some(Box::default()), &mut self.long);
        } else if !(subject.over && was_read) {
            known.due = Some(subject.tid);
        }
        if self.bytes.capacity() > SCRATCH {
            self.bytes = Vec::new();
        }
        self.refresh_owner(known, subject.pid, fs)
    }

    /// Reads the owner again, which a program changes without exec (`setuid`). Whether it could be read.
    pub fn refresh_owner(&mut self, known: &mut Known, pid: i32, fs: &ProcFs) -> bool {
        let Ok(uid) = fs.owner(pid) else { return false };
        if known.identity.uid != Some(uid) {
            let (name, found) = self.users.name(uid);
            let identity = Arc::make_mut(&mut known.identity);
            identity.uid = Some(uid);
            identity.user = Some(name);
            known.nameless = !found;
            self.nameless |= !found;
        }
        true
    }

    /// Reads the arguments that are due, and gives those a name whose name has come. `holders` ascend by pid; `budget` is the sweep's for
    /// expensive reads. A process that does not answer keeps what is known of it, is marked, and is tried again in the next sweep.
    pub fn catch_up<H: Holder>(&mut self, holders: &mut [H], fs: &ProcFs, budget: Duration) {
        let due = |holder: &mut H| holder.known().due.zip(holder.key()).map(|(tid, key)| Arguments { key, tid });
        let orders: Vec<Arguments> = holders.iter_mut().filter_map(due).collect();
        self.arguments.ask(fs, orders, Patience::within(budget), |key, answer| {
            let found = holders.binary_search_by_key(&key.pid, |holder| holder.key().map_or(0, |key| key.pid));
            let Some(holder) = found.ok().and_then(|at| holders.get_mut(at)).filter(|holder| holder.key() == Some(key)) else {
                return;
            };
            match answer {
                Some(arguments) => holder.known().take_arguments(arguments, &mut self.long),
                None => holder.known().mark(true),
            }
        });
        let patience = if budget >= Duration::from_secs(1) { Duration::from_millis(500) } else { Duration::from_millis(50) };
        // Those that another source has handed on without a name are asked for before they are waited for.
        if std::mem::take(&mut self.nameless) {
            self.name_again(holders);
        }
        if self.users.collect(patience) {
            self.name_again(holders);
        }
    }

    fn name_again<H: Holder>(&mut self, holders: &mut [H]) {
        for known in holders.iter_mut().map(Holder::known).filter(|known| known.nameless) {
            let Some(uid) = known.identity.uid else { continue };
            let (name, found) = self.users.name(uid);
            if found {
                known.nameless = false;
                Arc::make_mut(&mut known.identity).user = Some(name);
            }
        }
    }

    /// CPU time that reading on helper threads took since this was asked last, nanoseconds.
    pub fn cpu_ns(&mut self) -> u64 {
        self.arguments.cpu_ns()
    }

    /// Reads program and control group where they are asked for: what was not tried since the last exec, and with `again` all. Others move
    /// a process to another control group while it sleeps, and a package manager deletes the file of a running program.
    pub fn complete(&mut self, known: &mut Known, needs: Needs, again: bool, subject: Subject, fs: &ProcFs) {
        if again {
            known.forget_lazy();
        }
        let missing = needs.intersection(Needs::EXE | Needs::CGROUP).difference(known.tried);
        if missing.is_empty() {
            return;
        }
        known.tried |= missing;
        if missing.contains(Needs::EXE) && !subject.kernel_thread && !subject.over {
            let exe = fs.read_link(&RelPath::process(subject.tid, "exe"));
            let denied = exe.as_ref().is_err_and(ReadError::is_denied);
            let exe = exe.ok();
            if known.identity.exe != exe || known.identity.exe_denied != denied {
                let identity = Arc::make_mut(&mut known.identity);
                (identity.exe, identity.exe_denied) = (exe, denied);
            }
        }
        if missing.contains(Needs::CGROUP) {
            let read = fs.read_whole(&RelPath::process(subject.pid, "cgroup"), &mut self.bytes);
            let group = read.ok().and_then(cgroup::path);
            if known.identity.cgroup.as_deref() != group {
                Arc::make_mut(&mut known.identity).cgroup = group.map(Into::into);
            }
        }
    }
}

/// A command line to keep, shared with the processes that have the same long one.
fn shared(long: &mut HashSet<Arc<[u8]>>, line: &[u8]) -> Arc<[u8]> {
    if line.len() <= LONG {
        return Arc::from(line);
    }
    if let Some(same) = long.get(line) {
        return Arc::clone(same);
    }
    // Those that no process has any more are dropped.
    long.retain(|line| Arc::strong_count(line) > 1);
    let line: Arc<[u8]> = Arc::from(line);
    long.insert(Arc::clone(&line));
    line
}

impl Known {
    /// The program was replaced: the lazy parts are to be read again.
    pub fn forget_lazy(&mut self) {
        self.tried = Needs::empty();
    }

    /// Keeps the shared identity if nothing differs.
    fn take_arguments(&mut self, arguments: Option<Box<[u8]>>, long: &mut HashSet<Arc<[u8]>>) {
        self.due = None;
        self.mark(false);
        if self.identity.cmdline.as_deref() != arguments.as_deref() {
            let arguments = arguments.map(|line| shared(long, &line));
            let before = std::mem::replace(&mut Arc::make_mut(&mut self.identity).cmdline, arguments);
            // Other arguments may be another program's.
            if before.is_some() {
                self.tried = Needs::empty();
            }
        }
    }

    fn mark(&mut self, unanswered: bool) {
        if self.identity.unanswered != unanswered {
            Arc::make_mut(&mut self.identity).unanswered = unanswered;
        }
    }
}
