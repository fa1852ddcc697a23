//! What the tasks of one process wait for, read in depth: the arguments of their system calls, and the memory of the locks.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::kernel::locks::lock_of;
use crate::kernel::main_ended;
use crate::kernel::memory::ProcessMemory;
use crate::kernel::parse::namespace;
use crate::kernel::parse::pid_numbers::PidfdProcess;
use crate::kernel::parse::syscall::{
    Futex, Machine, SyscallLine, endpoint, epoll_patience_ms, epoll_targets, reason_of_call, reason_of_function,
};
use crate::kernel::proc_fs::{ProcFs, RelPath};
use crate::kernel::program::{Interpreter, interpreter};
use crate::kernel::semaphores::{Semaphore, same_ipc_namespace, semaphore};
use crate::kernel::sockets::socket_inode;
use crate::snapshot::{Direction, Endpoint, Lock, State, WaitReason};
use crate::text::{Charset, sanitize};

use super::glibc::{self, Call, Record};
use super::look::Seen;
use super::scene::{Holder, TaskId, Wait};

/// The most of `status` that is read.
const STATUS_BYTES: usize = 64 * 1024;
/// The most of `fdinfo` that is read, and descriptors of an epoll instance that are looked at.
const INFO_BYTES: usize = 64 * 1024;
const MOST_TARGETS: usize = 16;
/// Signals whose handlers end no wait for a lock: faults, SIGPIPE, SIGCHLD, and the two that glibc uses itself.
const HARMLESS: u64 = bit(4) | bit(5) | bit(6) | bit(7) | bit(8) | bit(11) | bit(13) | bit(17) | bit(31) | bit(32) | bit(33);
/// CPython and shells handle SIGINT in every program.
const SIGINT: u64 = bit(2);
/// Signals that are messages in every program that handles them: SIGUSR1, SIGUSR2 and those of real time.
const USER: u64 = bit(10) | bit(12) | !0 << 33;
/// With these, signals whose handlers do work and return: SIGHUP, SIGALRM, SIGVTALRM, SIGPROF, SIGIO. Handlers of others end the program.
const MESSAGES: u64 = USER | bit(1) | bit(14) | bit(26) | bit(27) | bit(29);
/// A program that catches this one removes its files on every signal that would end it (`sort`, a shell with `trap ... EXIT`): only those of
/// [`USER`] are messages there.
const SIGXCPU: u64 = bit(24);
/// The end of a child.
const SIGCHLD: u64 = bit(17);

/// O_WRONLY of open(2). A FIFO that is opened for both does not wait.
const WRITES: u64 = 1;
/// See clone(2).
const CLONE_VFORK: u64 = 0x4000;
/// The longest path (PATH_MAX).
const PATH_BYTES: usize = 4096;

const fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

/// What is read of one process once.
pub(super) struct Desk<'f> {
    fs: &'f ProcFs,
    pid: i32,
    face: i32,
    memory: Option<ProcessMemory>,
    pub handlers: Handlers,
    /// Numbers of its tasks in its own PID namespace, where that is not concmon's.
    inner: HashMap<i32, i32>,
    foreign: bool,
    tracer: Option<i32>,
}

impl<'f> Desk<'f> {
    pub(super) fn new(fs: &'f ProcFs, pid: i32, calls: &[(i32, Seen)]) -> Self {
        let face = main_ended::face(fs, pid);
        let status = |path: &RelPath| {
            let mut bytes = Vec::new();
            fs.read_all(path, STATUS_BYTES, &mut bytes).ok().map(|()| bytes)
        };
        let text = status(&RelPath::process(face, "status")).unwrap_or_default();
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
            handlers: catches(fs, pid, &text),
            inner,
            foreign,
            tracer: value(&text, b"TracerPid:").and_then(|pid| pid.parse().ok()).filter(|pid| *pid > 0),
        }
    }

    pub(super) fn waits(
        &mut self,
        calls: &[(i32, Seen)],
        owners: &HashMap<i32, i32>,
        in_parent: Option<&(i32, HashSet<i32>)>,
    ) -> BTreeMap<i32, Wait> {
        let own: HashSet<i32> = calls.iter().map(|(tid, _)| *tid).collect();
        let mut waits: BTreeMap<i32, Wait> =
            calls.iter().map(|(tid, seen)| (*tid, self.wait(*tid, seen, &own, owners, in_parent))).collect();
        let for_child = |wait: &Wait| match wait {
            Wait::Child(_) => true,
            Wait::Events { children, .. } => !children.is_empty(),
            _ => false,
        };
        // Without a child that is waited for, it is a program at rest.
        if !waits.values().any(for_child) {
            waits.values_mut().filter(|wait| matches!(wait, Wait::Events { .. })).for_each(|wait| *wait = at_epoll());
        }
        waits
    }

    fn wait(
        &self,
        tid: i32,
        seen: &Seen,
        own: &HashSet<i32>,
        owners: &HashMap<i32, i32>,
        in_parent: Option<&(i32, HashSet<i32>)>,
    ) -> Wait {
        if let Some(tracer) = self.tracer.filter(|_| seen.state == State::TRACED) {
            return Wait::Traced(tracer);
        }
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
            Some(WaitReason::Io { direction, fd: Some(fd), .. }) => self.io(direction, fd),
            Some(WaitReason::FileLock { .. }) => Wait::FileLock(Vec::new()),
            Some(WaitReason::Epoll { .. }) => self.events(name, &args).unwrap_or_else(at_epoll),
            Some(WaitReason::Semaphore { set: Some(set) }) => Wait::Open(self.semaphore(set, (args[1], args[2]))),
            Some(reason) => Wait::Open(reason.to_string()),
            None if matches!(name, "open" | "openat") => self.opens(tid, name, &args),
            None => Wait::Open(format!("sleeps in {name}")),
        }
    }

    /// A task that sleeps in open(2): of a FIFO its name is in the memory of the process.
    fn opens(&self, tid: i32, call: &str, args: &[u64; 6]) -> Wait {
        let mut buffer = [0u8; 128];
        let function = self.fs.read_once(&RelPath::task(self.pid, tid, "wchan"), &mut buffer).ok();
        if function.and_then(|name| std::str::from_utf8(name).ok()).and_then(reason_of_function) != Some(WaitReason::Fifo) {
            return Wait::Open("opens a file".into());
        }
        let (at, flags) = if call == "open" { (args[0], args[1]) } else { (args[1], args[2]) };
        let name = self.memory.as_ref().and_then(|memory| memory.text(at, PATH_BYTES));
        let name = name.map_or("without a readable name".into(), |name| sanitize(&name, Charset::Unicode).into_owned());
        Wait::Fifo { name, reads: flags & WRITES == 0 }
    }

    /// The children, sockets and pipes that an epoll instance listens to; `None` if it has a timeout or listens to anything else.
    fn events(&self, name: &str, args: &[u64; 6]) -> Option<Wait> {
        let for_ever = epoll_patience_ms(name, args) == Some(u32::MAX);
        let info = |fd: i32| {
            let mut info = Vec::new();
            self.fs.read_all(&RelPath::descriptor_info(self.face, fd), INFO_BYTES, &mut info).ok().map(|()| info)
        };
        if !for_ever || self.foreign {
            return None;
        }
        let info_of_epoll = info(i32::try_from(args[0]).ok()?)?;
        let targets: Vec<i32> = epoll_targets(&info_of_epoll).collect::<Option<_>>()?;
        if targets.len() > MOST_TARGETS {
            return None;
        }
        let (mut children, mut sockets, mut pipes) = (Vec::new(), Vec::new(), Vec::new());
        for fd in targets {
            let target = self.fs.read_link(&RelPath::descriptor(self.face, fd)).ok()?;
            match (namespace::inode(&target, "pipe"), socket_inode(&target)) {
                (Some(inode), _) => pipes.push(inode),
                (_, Some(inode)) => sockets.push(inode),
                _ => match PidfdProcess::parse(&info(fd)?)? {
                    PidfdProcess::Pid(pid) => children.push(pid),
                    PidfdProcess::Reaped | PidfdProcess::NotThere => return None,
                },
            }
        }
        Some(Wait::Events { children, sockets, pipes })
    }

    /// The state of a System V semaphore, if the call waits for one: its operations are in the memory of the process.
    fn semaphore(&self, set: i32, (operations, count): (u64, u64)) -> String {
        let plain = format!("waits for a System V semaphore of set {set}");
        let mut number = [0; 2];
        let memory = ProcessMemory::open(self.fs, self.face).ok().filter(|_| count == 1);
        let is_read = memory.is_some_and(|memory| memory.read(operations, &mut number).unwrap_or(false));
        let number = u16::from_ne_bytes(number);
        let state = Some(number).filter(|_| is_read && same_ipc_namespace(self.fs, self.face));
        let Some(Semaphore { value, waiting, last_pid }) = state.and_then(|number| semaphore(set, number)) else { return plain };
        let last = match last_pid {
            0 => "no operation before".to_owned(),
            pid if self.fs.owner(pid).is_ok() => format!("last changed by process {pid}"),
            pid => format!("last changed by process {pid}, which has ended"),
        };
        format!("waits for System V semaphore {number} of set {set} (value {value}, {waiting} waiting, {last})")
    }

    fn io(&self, direction: Direction, fd: i32) -> Wait {
        let reads = direction == Direction::Read;
        let Ok(target) = self.fs.read_link(&RelPath::descriptor(self.face, fd)) else {
            return Wait::Open(format!("{} descriptor {fd}", verb(direction)));
        };
        match (namespace::inode(&target, "pipe"), socket_inode(&target)) {
            (Some(inode), _) if reads => Wait::PipeRead(inode),
            (Some(inode), _) => Wait::PipeWrite(inode),
            (_, Some(inode)) if reads => Wait::SocketRead(inode),
            (_, Some(inode)) => Wait::SocketWrite(inode),
            _ => Wait::Open(format!("{} {}", verb(direction), file(&target, fd))),
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
        // Only its own process joins a thread: a shared word with the number of a task is no such word.
        let call = &Call { private: call.private || shared, ..*call };
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
                // The same number may be that of a thread of another process by now, or of one that has just begun: then this is no proof.
                let elsewhere = in_parent.is_none() && (owners.contains_key(&tid) || self.fs.owner(tid).is_ok());
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

/// A wait of epoll that is not followed.
fn at_epoll() -> Wait {
    Wait::Open(WaitReason::Epoll { fds: None }.to_string())
}

/// Whether the process has handlers for signals that could end a wait within it; also if that cannot be read.
#[must_use]
pub fn handles_signals(fs: &ProcFs, pid: i32) -> bool {
    let mut status = Vec::new();
    // A process that cannot be read counts as one that handles signals.
    let _ = fs.read_all(&RelPath::process(main_ended::face(fs, pid), "status"), STATUS_BYTES, &mut status);
    catches(fs, pid, &status).any
}

/// What a process handles. All that cannot be read counts as handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handlers {
    /// A signal whose handler could end a wait within the process.
    pub any: bool,
    /// One whose handler does work and returns.
    pub messages: bool,
    /// The end of a child. Shells, which do nothing else then, do not count.
    pub child: bool,
}

fn catches(fs: &ProcFs, pid: i32, status: &[u8]) -> Handlers {
    let caught = value(status, b"SigCgt:").and_then(|hex| u64::from_str_radix(hex, 16).ok());
    let program = interpreter(fs, pid);
    let own = if program.is_some() { HARMLESS | SIGINT } else { HARMLESS };
    let any_of = |mask: u64| caught.is_none_or(|caught| caught & mask != 0);
    let cleans_up = caught.is_some_and(|caught| caught & SIGXCPU != 0);
    let messages = if cleans_up { USER } else { MESSAGES };
    Handlers { any: any_of(!own), messages: any_of(messages), child: program != Some(Interpreter::Shell) && any_of(SIGCHLD) }
}

/// The call that a task sleeps in, or what is known without it.
fn inside(seen: &Seen) -> Result<(u64, [u64; 6], Machine), Wait> {
    if seen.denied {
        return Err(Wait::Unknown("concmon may not read what it waits for (only its owner and root may)".into()));
    }
    if seen.state == State::DISK_SLEEP && is_vfork(seen) {
        return Err(Wait::Vfork);
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

/// A parent sleeps so in vfork(2), and in clone(2) with CLONE_VFORK, as posix_spawn(3) calls it. The flags of clone3(2) are in memory.
fn is_vfork(seen: &Seen) -> bool {
    let (Some(SyscallLine::Inside { number, args, narrow: false }), Some(here)) = (seen.line, Machine::HERE) else {
        return false;
    };
    match here.name(number) {
        Some("vfork" | "clone3") => true,
        Some("clone") => args[0] & CLONE_VFORK != 0,
        _ => false,
    }
}

/// A wait that needs no file of the process beyond those of the look; `None` if it does.
pub(super) fn at_once(seen: &Seen, has_children: bool) -> Option<Wait> {
    if seen.state == State::TRACED {
        return None;
    }
    let (number, args, here) = match inside(seen) {
        Ok(call) => call,
        Err(wait) => return Some(wait),
    };
    match reason_of_call(here, number, &args) {
        Some(
            WaitReason::Futex { .. }
            | WaitReason::Child { .. }
            | WaitReason::Io { .. }
            | WaitReason::FileLock { .. }
            | WaitReason::Semaphore { .. },
        ) => None,
        None if matches!(here.name(number), Some("open" | "openat")) => None,
        Some(WaitReason::Epoll { .. }) if has_children => None,
        Some(reason) => Some(Wait::Open(reason.to_string())),
        None => Some(Wait::Open(format!("sleeps in {}", here.name(number).unwrap_or("another call")))),
    }
}

fn verb(direction: Direction) -> &'static str {
    if direction == Direction::Read { "reads from" } else { "writes to" }
}

/// What the descriptor is, from its link.
fn file(link: &[u8], fd: i32) -> String {
    let path = || sanitize(link, Charset::Unicode).into_owned();
    match endpoint(link) {
        Endpoint::Terminal => format!("the terminal {}", path()),
        Endpoint::File => path(),
        Endpoint::Unknown => format!("descriptor {fd}, {}", path()),
        known => format!("{}, descriptor {fd}", known.words()),
    }
}

/// The value of a line of `status`.
fn value<'t>(status: &'t [u8], name: &[u8]) -> Option<&'t str> {
    let line = status.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(name))?;
    std::str::from_utf8(line).ok().map(str::trim)
}
