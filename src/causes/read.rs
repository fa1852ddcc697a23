//! Reads a [`Scene`]: a look at all tasks, then what they wait for and its holders, then a second look. Between the looks a task that did
//! not run (third field of `schedstat`) cannot have released anything, so what was read of a set of such tasks holds for one moment.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::{Clock as _, SystemClock};
use crate::kernel::error::ReadError;
use crate::kernel::locks::{lock_of, shared_files};
use crate::kernel::main_ended;
use crate::kernel::memory::ProcessMemory;
use crate::kernel::parse::file_locks;
use crate::kernel::parse::schedstat::Schedstat;
use crate::kernel::parse::stat::Stat;
use crate::kernel::parse::syscall::{Futex, Machine, SyscallLine, reason_of_call};
use crate::kernel::pipes;
use crate::kernel::proc_fs::{ProcFs, RelPath};
use crate::kernel::readers::within;
use crate::snapshot::{Comm, Direction, Lock, ProcKey, State, WaitReason};

use super::glibc::{self, Call, Record};
use super::scene::{Holder, Process, Scene, Task, TaskId, Wait};

/// How long one process may take to answer.
const PATIENCE_OF_ONE: Duration = Duration::from_millis(500);
/// Processes that are asked at once: handing each to a helper thread takes longer than reading it.
const TOGETHER: usize = 64;
/// The most threads of one process that are looked at. A process with more is not explained.
const MOST_TASKS: usize = 8192;
/// The most of `status` that is read.
const STATUS_BYTES: usize = 64 * 1024;
/// Kernel clock ticks per second in `stat` (USER_HZ): the same on all architectures that concmon runs on.
const TICK_MS: u64 = 10;
/// Signals whose handlers end no wait for a lock: faults, SIGPIPE, SIGCHLD, and the two that glibc uses itself.
const HARMLESS: u64 = bit(4) | bit(5) | bit(6) | bit(7) | bit(8) | bit(11) | bit(13) | bit(17) | bit(31) | bit(32) | bit(33);
/// CPython handles SIGINT in every program.
const SIGINT: u64 = bit(2);

const fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

/// How long to look.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Time between the two looks.
    pub apart: Duration,
}

/// One task as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    comm: Comm,
    state: State,
    turns: Option<u64>,
    line: Option<SyscallLine>,
    denied: bool,
}

/// One process as it was seen.
#[derive(Debug)]
struct Look {
    stat: Stat,
    tasks: BTreeMap<i32, Seen>,
}

/// Reads the scene.
///
/// # Errors
/// If the processes cannot be listed.
pub fn read(fs: &Arc<ProcFs>, patience: Patience) -> Result<Scene, ReadError> {
    let mut scene = Scene::default();
    let mut pids = Vec::new();
    fs.list_pids(&mut pids)?;
    let mut first: BTreeMap<i32, Look> = BTreeMap::new();
    for some in pids.chunks(TOGETHER) {
        let pids = some.to_vec();
        // The key of a group is no process's own: those of a group that does not answer are asked one by one.
        let together = asked(fs, -some[0], move |fs| pids.iter().map(|pid| look(fs, *pid)).collect::<Vec<_>>());
        let looks: Vec<Result<Option<Look>, ()>> = match together {
            Ok(looks) => looks.into_iter().map(Ok).collect(),
            Err(()) => some.iter().copied().map(|pid| asked(fs, pid, move |fs| look(fs, pid))).collect(),
        };
        for (pid, look) in some.iter().zip(looks) {
            match look {
                Ok(Some(one)) => drop(first.insert(*pid, one)),
                Ok(None) => {}
                Err(()) => scene.silent += 1,
            }
        }
    }
    let begun = Instant::now();
    // The process of every task.
    let owners = first.iter().flat_map(|(pid, look)| look.tasks.keys().map(|tid| (*tid, *pid)));
    let owners: Arc<HashMap<i32, i32>> = Arc::new(owners.collect());
    let now_ms = SystemClock.boot_ns() / 1_000_000;
    for (pid, one) in &first {
        let (waits, process) = in_depth(fs, *pid, one, &first, &owners, now_ms);
        let waits = waits.unwrap_or_else(|| {
            scene.silent += 1;
            one.tasks.keys().map(|tid| (*tid, Wait::Unknown("the process did not answer".into()))).collect()
        });
        if one.tasks.values().any(|task| task.denied) {
            scene.unreadable.insert(*pid, one.stat.session);
        }
        let tasks = one.tasks.iter().map(|(tid, seen)| {
            let wait = waits.get(tid).cloned().unwrap_or_else(|| Wait::Unknown("it was not read".into()));
            (*tid, Task { comm: seen.comm, wait, for_ms: None })
        });
        let tasks = tasks.collect();
        scene.processes.insert(*pid, Process { tasks, ..process });
    }
    holders(fs, &mut scene);
    std::thread::sleep(patience.apart.saturating_sub(begun.elapsed()));
    again(fs, &mut scene, &first);
    scene.apart_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(scene)
}

/// Does what may be held up by the process, within the time limit.
fn asked<T: Send + 'static>(fs: &Arc<ProcFs>, pid: i32, work: impl FnOnce(&ProcFs) -> T + Send + 'static) -> Result<T, ()> {
    let fs = Arc::clone(fs);
    within(ProcKey { pid, start_ticks: 0 }, PATIENCE_OF_ONE, move || work(&fs)).map_err(|_| ())
}

/// `None` for kernel threads and for what is gone.
fn look(fs: &ProcFs, pid: i32) -> Option<Look> {
    let mut buffer = [0u8; 1024];
    let stat = Stat::parse(fs.read_once(&RelPath::process(pid, "stat"), &mut buffer).ok()?).ok()?;
    if stat.kernel_thread || stat.state == State::ZOMBIE && stat.nlwp <= 1 {
        return None;
    }
    let mut tids = Vec::new();
    fs.list_tids(pid, &mut tids).ok()?;
    let tasks = tids.iter().take(MOST_TASKS).filter_map(|tid| Some((*tid, seen(fs, pid, *tid)?)));
    let mut tasks: BTreeMap<i32, Seen> = tasks.collect();
    // A main thread that has ended does nothing more.
    tasks.retain(|_, task| !task.state.is_over());
    Some(Look { stat, tasks })
}

fn seen(fs: &ProcFs, pid: i32, tid: i32) -> Option<Seen> {
    let mut buffer = [0u8; 1024];
    let stat = Stat::parse(fs.read_once(&RelPath::task(pid, tid, "stat"), &mut buffer).ok()?).ok()?;
    let schedstat = fs.read_once(&RelPath::task(pid, tid, "schedstat"), &mut buffer);
    let turns = schedstat.ok().and_then(|b| Schedstat::parse(b).ok()).filter(Schedstat::is_kept).map(|s| s.turns);
    let (line, denied) = match fs.read_once(&RelPath::task(pid, tid, "syscall"), &mut buffer) {
        Ok(bytes) => (SyscallLine::parse(bytes), false),
        Err(error) => (None, error.is_denied()),
    };
    Some(Seen { comm: stat.comm, state: stat.state, turns, line, denied })
}

/// The waits of one process by tid, `None` if it did not answer, and everything else about it.
fn in_depth(
    fs: &Arc<ProcFs>,
    pid: i32,
    one: &Look,
    all: &BTreeMap<i32, Look>,
    owners: &Arc<HashMap<i32, i32>>,
    now_ms: u64,
) -> (Option<BTreeMap<i32, Wait>>, Process) {
    let stat = &one.stat;
    let parent = all.get(&stat.ppid).map(|parent| &parent.stat);
    // Addresses are random for each program that is executed.
    let is_copy =
        |parent: &&Stat| stat.start_stack > 1 && (parent.start_stack, parent.start_code) == (stat.start_stack, stat.start_code);
    let forked_from = parent.filter(is_copy).map(|parent| parent.pid);
    let mut process = Process {
        key: ProcKey { pid, start_ticks: stat.start_ticks },
        ppid: stat.ppid,
        session: stat.session,
        comm: stat.comm,
        forked_from,
        handles_signals: true,
        age_ms: now_ms.checked_sub(stat.start_ticks.saturating_mul(TICK_MS)),
        tasks: BTreeMap::new(),
    };
    let simple: Option<BTreeMap<i32, Wait>> = one.tasks.iter().map(|(tid, seen)| Some((*tid, at_once(seen)?))).collect();
    if simple.is_some() {
        return (simple, process);
    }
    let calls: Vec<(i32, Seen)> = one.tasks.iter().map(|(tid, seen)| (*tid, seen.clone())).collect();
    let in_parent = forked_from.and_then(|pid| Some((pid, all.get(&pid)?.tasks.keys().copied().collect::<HashSet<i32>>())));
    let owners = Arc::clone(owners);
    let work = move |fs: &ProcFs| {
        let mut desk = Desk::new(fs, pid, &calls);
        (desk.waits(&calls, &owners, in_parent.as_ref()), desk.handles_signals)
    };
    match asked(fs, pid, work) {
        Ok((waits, handles_signals)) => {
            process.handles_signals = handles_signals;
            (Some(waits), process)
        }
        Err(()) => (None, process),
    }
}

/// What is read of one process once.
struct Desk<'f> {
    fs: &'f ProcFs,
    pid: i32,
    face: i32,
    memory: Option<ProcessMemory>,
    handles_signals: bool,
    /// Numbers of its tasks in its own PID namespace, where that is not concmon's.
    inner: HashMap<i32, i32>,
    foreign: bool,
}

impl<'f> Desk<'f> {
    fn new(fs: &'f ProcFs, pid: i32, calls: &[(i32, Seen)]) -> Self {
        let face = main_ended::face(fs, pid);
        let status = |path: &RelPath| {
            let mut bytes = Vec::new();
            fs.read_all(path, STATUS_BYTES, &mut bytes).ok().map(|()| bytes)
        };
        let text = status(&RelPath::process(face, "status")).unwrap_or_default();
        let caught = value(&text, b"SigCgt:").and_then(|hex| u64::from_str_radix(hex, 16).ok());
        let program = fs.read_link(&RelPath::process(face, "exe")).unwrap_or_default();
        let name = program.rsplit(|b| *b == b'/').next().unwrap_or(&program);
        let own = if name.windows(6).any(|part| part == b"python") { HARMLESS | SIGINT } else { HARMLESS };
        let numbers =
            |text: &[u8]| value(text, b"NSpid:").map(|v| v.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let foreign = numbers(&text).is_some_and(|n| n.len() > 1);
        let mut inner = HashMap::new();
        for (tid, _) in calls.iter().filter(|_| foreign) {
            let text = status(&RelPath::task(pid, *tid, "status")).unwrap_or_default();
            if let Some(last) = numbers(&text).and_then(|n| n.last()?.parse().ok()) {
                inner.insert(last, *tid);
            }
        }
        Self {
            fs,
            pid,
            face,
            memory: ProcessMemory::open(fs, face).ok(),
            handles_signals: caught.is_none_or(|caught| caught & !own != 0),
            inner,
            foreign,
        }
    }

    fn waits(
        &mut self,
        calls: &[(i32, Seen)],
        owners: &HashMap<i32, i32>,
        in_parent: Option<&(i32, HashSet<i32>)>,
    ) -> BTreeMap<i32, Wait> {
        let own: HashSet<i32> = calls.iter().map(|(tid, _)| *tid).collect();
        calls.iter().map(|(tid, seen)| (*tid, self.wait(seen, &own, owners, in_parent))).collect()
    }

    fn wait(&self, seen: &Seen, own: &HashSet<i32>, owners: &HashMap<i32, i32>, in_parent: Option<&(i32, HashSet<i32>)>) -> Wait {
        let (number, args, here) = match inside(seen) {
            Ok(call) => call,
            Err(wait) => return wait,
        };
        let name = here.name(number).unwrap_or("another call");
        if let Some(call) = Call::parse(name, &args) {
            return self.futex(&call, own, owners, in_parent);
        }
        match reason_of_call(here, number, &args) {
            // The number of a child is that of the waiter's PID namespace.
            Some(WaitReason::Child { pid }) if name != "vfork" && name != "clone" => Wait::Child(pid.filter(|_| !self.foreign)),
            Some(WaitReason::Io { direction, fd: Some(fd), .. }) => match pipes::pipe_inode(self.fs, self.face, fd) {
                Some(inode) if direction == Direction::Read => Wait::PipeRead(inode),
                Some(inode) => Wait::PipeWrite(inode),
                None => Wait::Open(reads(direction).into()),
            },
            Some(WaitReason::FileLock { .. }) => Wait::FileLock(None),
            Some(reason) => Wait::Open(reason.to_string()),
            None => Wait::Open(format!("sleeps in {name}")),
        }
    }

    fn futex(
        &self,
        call: &Call,
        own: &HashSet<i32>,
        owners: &HashMap<i32, i32>,
        in_parent: Option<&(i32, HashSet<i32>)>,
    ) -> Wait {
        if !call.for_ever {
            return Wait::Open("waits for a lock or a condition with a timeout".into());
        }
        let lock = lock_of(self.fs, (self.pid, self.face), Futex { address: call.address, private: call.private });
        let Some(lock) = lock else { return Wait::Unknown("the memory of its lock could not be looked up".into()) };
        let shared = matches!(lock, Lock::Shared { .. });
        let outer = |tid: i32| if self.foreign { self.inner.get(&tid).copied() } else { Some(tid) };
        let is_own = |tid: i32| outer(tid).is_some_and(|tid| own.contains(&tid));
        let is_task = |tid: i32| is_own(tid) || shared && !self.foreign && owners.contains_key(&tid);
        let mut bytes = [0; glibc::BEFORE + glibc::BEHIND];
        let record = if self.fill(call.address, &mut bytes) { glibc::record(call, &bytes, is_task) } else { Record::Nothing };
        let holder = match record {
            Record::Nothing => Holder::NotRecorded,
            Record::Semaphore { value, waiters } => Holder::Semaphore { value, waiters },
            Record::Owner { kind, tid, .. } if is_own(tid) => {
                Holder::Task(kind, TaskId { pid: self.pid, tid: outer(tid).unwrap_or(tid) })
            }
            Record::Owner { kind, tid, .. } if is_task(tid) => {
                let pid = owners.get(&tid).copied();
                pid.map_or(Holder::NotRecorded, |pid| Holder::Task(kind, TaskId { pid, tid }))
            }
            // Of a copy with threads the forking one may hold the lock under its old number.
            Record::Owner { tid, surely_a_lock: true, .. } if !self.foreign && (own.len() == 1 || in_parent.is_none()) => {
                let in_parent = in_parent.filter(|(_, tids)| tids.contains(&tid)).map(|(pid, _)| *pid);
                // The same number may be that of a thread of another process by now: then this is no proof of anything.
                let elsewhere = in_parent.is_none() && owners.contains_key(&tid);
                if elsewhere { Holder::NotRecorded } else { Holder::Gone { tid, in_parent } }
            }
            Record::Owner { .. } => Holder::NotRecorded,
        };
        Wait::Futex { lock, holder }
    }

    /// The bytes around a futex; false if its own eight cannot be read. The rest stays 0 where no memory is mapped.
    fn fill(&self, address: u64, bytes: &mut [u8; glibc::BEFORE + glibc::BEHIND]) -> bool {
        let Some(memory) = &self.memory else { return false };
        let (before, behind) = bytes.split_at_mut(glibc::BEFORE);
        let whole = |address: u64, part: &mut [u8]| memory.read(address, part).unwrap_or(false);
        let from = address.checked_sub(glibc::BEFORE as u64);
        if !from.is_some_and(|from| whole(from, before)) {
            before.fill(0);
        }
        whole(address, behind) || {
            behind.fill(0);
            whole(address, &mut behind[..8])
        }
    }
}

/// The call that a task sleeps in, or what is known without it.
fn inside(seen: &Seen) -> Result<(u64, [u64; 6], Machine), Wait> {
    if seen.denied {
        return Err(Wait::Unknown("concmon may not read what it waits for (only its owner and root may)".into()));
    }
    if seen.state != State::SLEEPING {
        return Err(Wait::Open(seen.state.words().to_owned()));
    }
    match (seen.line, Machine::HERE) {
        (Some(SyscallLine::Inside { number, args, narrow: false }), Some(here)) => Ok((number, args, here)),
        (Some(SyscallLine::Running), _) => Err(Wait::Open("running".into())),
        _ => Err(Wait::Unknown("the kernel does not say in which call it sleeps".into())),
    }
}

/// A wait that needs no file of the process beyond those of the look; `None` if it does.
fn at_once(seen: &Seen) -> Option<Wait> {
    let (number, args, here) = match inside(seen) {
        Ok(call) => call,
        Err(wait) => return Some(wait),
    };
    match reason_of_call(here, number, &args) {
        Some(WaitReason::Futex { .. } | WaitReason::Child { .. } | WaitReason::Io { .. } | WaitReason::FileLock { .. }) => None,
        Some(reason) => Some(Wait::Open(reason.to_string())),
        None => Some(Wait::Open(format!("sleeps in {}", here.name(number).unwrap_or("another call")))),
    }
}

fn reads(direction: Direction) -> &'static str {
    if direction == Direction::Read { "reads from a file, socket or terminal" } else { "writes to a file, socket or terminal" }
}

/// The value of a line of `status`.
fn value<'t>(status: &'t [u8], name: &[u8]) -> Option<&'t str> {
    let line = status.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(name))?;
    std::str::from_utf8(line).ok().map(str::trim)
}

/// Finds the holders of the pipes, the shared memory and the file locks that tasks wait for.
fn holders(fs: &Arc<ProcFs>, scene: &mut Scene) {
    let (mut pipes_wanted, mut memory_wanted, mut locks_wanted) = (HashSet::new(), HashSet::new(), false);
    for task in scene.processes.values().flat_map(|p| p.tasks.values()) {
        match &task.wait {
            Wait::PipeRead(inode) | Wait::PipeWrite(inode) => drop(pipes_wanted.insert(*inode)),
            Wait::Futex { lock: Lock::Shared { device, inode, .. }, .. } => drop(memory_wanted.insert((*device, *inode))),
            Wait::FileLock(_) => locks_wanted = true,
            _ => {}
        }
    }
    let pids: Vec<i32> = scene.processes.keys().copied().collect();
    if !pipes_wanted.is_empty() {
        let wanted = Arc::new(pipes_wanted);
        scene.pipes = wanted.iter().map(|inode| (*inode, super::scene::Ends::default())).collect();
        for pid in &pids {
            let (pid, wanted) = (*pid, Arc::clone(&wanted));
            let ends = asked(fs, pid, move |fs| pipes::ends_of(fs, pid, &wanted)).unwrap_or_default();
            for (inode, reads, writes) in ends {
                let Some(ends) = scene.pipes.get_mut(&inode) else { continue };
                ends.readers.extend(Some(pid).filter(|_| reads && ends.readers.last() != Some(&pid)));
                ends.writers.extend(Some(pid).filter(|_| writes && ends.writers.last() != Some(&pid)));
            }
        }
    }
    if !memory_wanted.is_empty() {
        let wanted = Arc::new(memory_wanted);
        for pid in &pids {
            let (pid, wanted) = (*pid, Arc::clone(&wanted));
            for file in asked(fs, pid, move |fs| shared_files(fs, pid, &wanted)).unwrap_or_default() {
                scene.sharers.entry(file).or_default().push(pid);
            }
        }
    }
    if locks_wanted {
        name_lock_holders(fs, scene);
    }
}

fn name_lock_holders(fs: &ProcFs, scene: &mut Scene) {
    let mut table = Vec::new();
    if fs.read_lines(&RelPath::top("locks"), 1 << 20, &mut table).is_err() {
        return;
    }
    let entries: Vec<_> = table.split(|b| *b == b'\n').filter_map(file_locks::Entry::parse).collect();
    for (pid, process) in &mut scene.processes {
        // /proc/locks does not name the task that waits: with several, none is known.
        let wanted: Vec<_> = entries.iter().filter(|e| e.waits && e.pid == Some(*pid)).collect();
        let waiting = process.tasks.values_mut().filter(|task| matches!(task.wait, Wait::FileLock(_)));
        let mut waiting: Vec<_> = waiting.collect();
        if let ([wanted], [task]) = (&wanted[..], &mut waiting[..]) {
            let holders: HashSet<Option<i32>> = entries.iter().filter(|e| !e.waits && e.id == wanted.id).map(|e| e.pid).collect();
            let only = if holders.len() == 1 { holders.into_iter().next().flatten() } else { None };
            task.wait = Wait::FileLock(only);
        }
    }
}

/// The second look: a task that ran in between, or that waits elsewhere now, can go on. New tasks can, too.
fn again(fs: &Arc<ProcFs>, scene: &mut Scene, first: &BTreeMap<i32, Look>) {
    let now = own_clock_ms(fs);
    for (pid, process) in &mut scene.processes {
        let pid = *pid;
        let waits = process.tasks.values().any(|t| !matches!(t.wait, Wait::Open(_) | Wait::Unknown(_)));
        if !waits {
            continue;
        }
        let second = asked(fs, pid, move |fs| look(fs, pid)).ok().flatten();
        let before = first.get(&pid);
        let same_process = second.as_ref().is_some_and(|s| s.stat.start_ticks == process.key.start_ticks);
        for (tid, task) in &mut process.tasks {
            let seen = |look: Option<&Look>| look.and_then(|look| look.tasks.get(tid)).cloned();
            let (then, now_seen) = (seen(before), seen(second.as_ref()));
            let kept = then.as_ref().is_some_and(|seen| seen.turns.is_some());
            if !matches!(task.wait, Wait::Open(_) | Wait::Unknown(_)) {
                if !kept {
                    task.wait = Wait::Unknown("this kernel does not count how often a task ran (schedstat)".into());
                } else if !same_process || then != now_seen {
                    task.wait = Wait::Open("ran between two looks".into());
                } else {
                    task.for_ms = now
                        .zip(slept_since_ms(fs, &RelPath::task(pid, *tid, "sched")))
                        .map(|(now, since)| now.saturating_sub(since));
                }
            }
        }
        for (tid, seen) in second.into_iter().flat_map(|look| look.tasks) {
            let new = Task { comm: seen.comm, wait: Wait::Open("has just begun".into()), for_ms: None };
            process.tasks.entry(tid).or_insert(new);
        }
    }
    // A number that is no child's is one of another PID namespace.
    let parents: HashMap<i32, i32> = scene.processes.iter().map(|(pid, p)| (*pid, p.ppid)).collect();
    for (pid, process) in &mut scene.processes {
        for task in process.tasks.values_mut() {
            if matches!(task.wait, Wait::Child(Some(child)) if parents.get(&child) != Some(pid)) {
                task.wait = Wait::Child(None);
            }
        }
    }
}

/// When the task last ran, milliseconds of the scheduler's clock: `se.exec_start` of `/proc/PID/sched`, which kernels with
/// CONFIG_SCHED_DEBUG have.
fn slept_since_ms(fs: &ProcFs, path: &RelPath) -> Option<u64> {
    let mut bytes = Vec::new();
    fs.read_all(path, 8192, &mut bytes).ok()?;
    let line = bytes.split(|b| *b == b'\n').find(|line| line.starts_with(b"se.exec_start"))?;
    let text = std::str::from_utf8(line).ok()?.rsplit(':').next()?.trim();
    text.split('.').next()?.parse().ok()
}

fn own_clock_ms(fs: &ProcFs) -> Option<u64> {
    slept_since_ms(fs, &RelPath::top("thread-self/sched"))
}
