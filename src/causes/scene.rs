//! Plain data about tasks, what they wait for and the holders of locks and pipes; and the edges that follow from it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::snapshot::{Comm, Lock, ProcKey};

use super::{ByTid, Certainty, Edge, Kind, Target};

/// Generations that are followed upwards.
const LONGEST_LINE: usize = 64;

/// One task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    /// Its process.
    pub pid: i32,
    /// Its own number.
    pub tid: i32,
}

/// Everything that was read.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// By pid.
    pub processes: BTreeMap<i32, Process>,
    /// Holders of the pipes that tasks wait at, by inode.
    pub pipes: HashMap<u64, Ends>,
    /// The other ends of the sockets that tasks wait at, by inode.
    pub sockets: HashMap<u64, SocketEnd>,
    /// Processes that map the shared memory in which tasks wait, by device and inode.
    pub sharers: HashMap<((u32, u32), u64), Vec<i32>>,
    /// Processes whose waits could not be read: by pid their session. They may hold the other end of a pipe.
    pub unreadable: BTreeMap<i32, i32>,
    /// Where the holder of a Python lock stands, by the task that waits: `store() at tasks.py:88`.
    pub places: HashMap<TaskId, String>,
    /// Processes that did not answer within the time limit.
    pub silent: usize,
    /// Python processes whose functions have not been read: there was no time for them yet.
    pub unread_pythons: usize,
    /// Time between the two looks, milliseconds.
    pub apart_ms: u64,
}

/// The processes at both ends of a pipe, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends {
    /// Those that have it open for reading.
    pub readers: Vec<i32>,
    /// Those that have it open for writing.
    pub writers: Vec<i32>,
}

/// One process.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its identity.
    pub key: ProcKey,
    /// Its parent.
    pub ppid: i32,
    /// Its session.
    pub session: i32,
    /// Its name.
    pub comm: Comm,
    /// Whether it was forked by this parent and has not executed a program since: both have the same stack address.
    pub forked_from: Option<i32>,
    /// Whether it has executed no program since it was forked: it may share memory with the process that forked it.
    pub is_copy: bool,
    /// Whether it has handlers for signals that could end a wait for a lock.
    pub handles_signals: bool,
    /// Whether it has one for a signal that does not mean its end, such as SIGALRM or SIGUSR1: it may write or release something.
    pub handles_messages: bool,
    /// Milliseconds since it began; `None` if unknown.
    pub age_ms: Option<u64>,
    /// By tid.
    pub tasks: Arc<ByTid<Task>>,
}

/// One task of a process.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its name.
    pub comm: Comm,
    /// What it waits for.
    pub wait: Wait,
    /// How long it has slept, milliseconds.
    pub for_ms: Option<u64>,
}

/// What a task waits for. Only waits without a timeout that two looks found unchanged are more than [`Wait::Open`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// It runs, or can go on without another task that is known here: what it does, in words.
    Open(String),
    /// It could not be read: why.
    Unknown(String),
    /// A futex.
    Futex {
        /// Which lock.
        lock: Lock,
        /// Its owner.
        holder: Holder,
    },
    /// The end of this child, or of any.
    Child(Option<i32>),
    /// Data in this pipe.
    PipeRead(u64),
    /// Room in this pipe.
    PipeWrite(u64),
    /// A file lock, and the processes that have it: the one that the kernel records, or those that share its open file.
    FileLock(Vec<i32>),
    /// Data from this connected socket.
    SocketRead(u64),
    /// Room in this connected socket.
    SocketWrite(u64),
    /// open(2) of a FIFO, until a process opens its other end: which any program may do, so this alone makes nothing stuck.
    Fifo {
        /// Its name as the task gave it. Hostile bytes are made printable.
        name: String,
        /// Whether it is opened for reading, else for writing.
        reads: bool,
    },
    /// vfork(2): until a child executes a program or ends.
    Vfork,
    /// Stopped by its tracer (ptrace(2)). The tracer may want it so: this alone makes nothing stuck.
    Traced(i32),
    /// epoll_wait(2) that listens only to these, of a process that waits for a child: an event loop.
    Events {
        /// Ends of children (pidfd_open(2)).
        children: Vec<i32>,
        /// Sockets and pipes, by inode.
        sockets: Vec<u64>,
        /// See `sockets`.
        pipes: Vec<u64>,
    },
    /// The GIL of its Python interpreter, which this task holds. It changes hands: this alone makes nothing stuck.
    Gil(TaskId),
}

impl Wait {
    /// Whether only the tasks that it leads to could end it, so that it may be part of a deadlock.
    #[must_use]
    pub fn is_hard(&self) -> bool {
        !matches!(self, Self::Open(_) | Self::Unknown(_) | Self::Traced(_) | Self::Gil(_) | Self::Fifo { .. })
    }
}

/// The other end of a socket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SocketEnd {
    /// The processes that hold it, ascending; none if it is not of this machine.
    pub holders: Vec<i32>,
    /// The address, of a TCP connection to elsewhere.
    pub address: Option<String>,
}

/// What the memory of a lock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// This kind of lock keeps no owner, or it could not be read.
    NotRecorded,
    /// This task, by the kind of lock.
    Task(Kind, TaskId),
    /// The recorded owner is no task of this process any more.
    Gone {
        /// Its number.
        tid: i32,
        /// The process that has a task with this number now, if it is the one that this process was forked from.
        in_parent: Option<i32>,
    },
    /// A semaphore: its value and the number of waiters that it counts.
    Semaphore {
        /// Units that are free.
        value: u32,
        /// Waiters that it counts.
        waiters: u32,
    },
}

impl Scene {
    /// A task, if it is there.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.processes.get(&id.pid)?.tasks.get(id.tid)
    }

    /// The same, to be changed.
    pub fn task_mut(&mut self, id: TaskId) -> Option<&mut Task> {
        Arc::make_mut(&mut self.processes.get_mut(&id.pid)?.tasks).get_mut(id.tid)
    }

    /// Every task or process that could end the task's wait. `None` if it can go on by itself or this is not known; one edge without a
    /// task if none can.
    #[must_use]
    pub fn edges(&self, from: TaskId) -> Option<Vec<Edge>> {
        let (process, task) = (self.processes.get(&from.pid)?, self.task(from)?);
        let edge = |to, kind, evidence: String, certainty| Edge { from, to, kind, evidence, certainty, for_ms: task.for_ms };
        let one = |to, kind, evidence: String, certainty| Some(vec![edge(to, kind, evidence, certainty)]);
        let of_processes = |pids: &[i32], kind, evidence: &str| {
            let all = pids.iter().filter(|pid| self.processes.contains_key(pid));
            all.map(|pid| edge(Target::Process(*pid), kind, evidence.to_owned(), Certainty::Found)).collect::<Vec<_>>()
        };
        // A blocked pipe has another end, and shared memory a process that maps it: an empty list is not the whole list.
        let seen = |pids: &[i32]| !pids.is_empty() && !self.may_have_hidden_holder(pids, Inherited::Descriptor);
        let mapped = |pids: &[i32]| !pids.is_empty() && !self.may_have_hidden_holder(pids, Inherited::Memory);
        match &task.wait {
            Wait::Open(_) | Wait::Unknown(_) | Wait::Fifo { .. } => None,
            Wait::Futex { holder: Holder::Task(kind, owner), lock } => {
                let place = self.places.get(&from).map(String::as_str);
                let words = super::words::recorded(*kind, *lock, (from, *owner), place);
                one(Target::Task(*owner), *kind, words, Certainty::Recorded)
            }
            Wait::Futex { holder: Holder::Gone { tid, in_parent }, lock } => {
                one(Target::Nobody, Kind::Mutex, super::words::gone(*lock, *tid, *in_parent), Certainty::Recorded)
            }
            Wait::Futex { lock: lock @ Lock::Private { .. }, .. } => {
                // A handler runs in a task that waits, and may release what it waits for.
                let words = super::words::unrecorded(*lock, process.tasks.len());
                (!process.handles_signals).then(|| vec![edge(Target::Process(from.pid), Kind::Lock, words, Certainty::Found)])
            }
            Wait::Futex { lock: lock @ Lock::Shared { device, inode, .. }, holder } => {
                let sharers =
                    self.sharers.get(&(*device, *inode)).filter(|pids| mapped(pids) && !self.has_supervisor(from, pids))?;
                Some(of_processes(sharers, Kind::SharedLock, &super::words::shared(*lock, *holder, sharers.len())))
            }
            Wait::Child(Some(pid)) => {
                self.processes.get(pid)?;
                one(Target::Process(*pid), Kind::Child, format!("waits for the end of its child {pid}"), Certainty::Recorded)
            }
            Wait::Child(None) => {
                let children: Vec<i32> = self.children(from.pid).map(|p| p.key.pid).collect();
                (!children.is_empty()).then(|| of_processes(&children, Kind::Child, "waits for the end of any child"))
            }
            Wait::PipeRead(inode) => {
                let writers = &self.pipes.get(inode)?.writers;
                (seen(writers) && !self.waits_for_handler(from))
                    .then(|| of_processes(writers, Kind::PipeRead, &format!("reads the empty pipe {inode}")))
            }
            Wait::PipeWrite(inode) => {
                let readers = &self.pipes.get(inode)?.readers;
                seen(readers).then(|| of_processes(readers, Kind::PipeWrite, &format!("writes to the full pipe {inode}")))
            }
            Wait::SocketRead(inode) | Wait::SocketWrite(inode) => {
                let reads = matches!(task.wait, Wait::SocketRead(_));
                let end = self.sockets.get(inode).filter(|end| seen(&end.holders) && !self.waits_for_handler(from))?;
                let what = if reads { "reads" } else { "writes to" };
                let words = format!(
                    "{what} the socket {inode}, whose other end {} (a timeout of the socket is not known)",
                    held(&end.holders)
                );
                Some(of_processes(&end.holders, Kind::Socket, &words))
            }
            Wait::Events { children, sockets, pipes } => {
                if process.handles_signals || children.iter().any(|pid| !self.processes.contains_key(pid)) {
                    return None;
                }
                let ends: Option<Vec<&[i32]>> =
                    sockets.iter().map(|inode| Some(self.sockets.get(inode)?.holders.as_slice())).collect();
                let mut holders = ends?;
                for inode in pipes {
                    let Ends { readers, writers } = self.pipes.get(inode)?;
                    holders.extend([readers.as_slice(), writers.as_slice()]);
                }
                if !holders.iter().all(|pids| seen(pids)) {
                    return None;
                }
                let child = |pid: &i32| {
                    of_processes(&[*pid], Kind::Child, &format!("its event loop waits for the end of its child {pid}"))
                };
                let mut edges: Vec<Edge> = children.iter().flat_map(child).collect();
                // The processes that may write to these, its own threads among them.
                let mut pids: Vec<i32> = holders.concat();
                pids.sort_unstable();
                pids.dedup();
                edges.extend(of_processes(&pids, Kind::Child, "its event loop waits for other threads, and for its child"));
                Some(edges)
            }
            Wait::Vfork => {
                let child = self.children(from.pid).max_by_key(|p| p.key.start_ticks)?.key.pid;
                let words = format!("vfork: waits until its child {child} executes a program or ends");
                one(Target::Process(child), Kind::Child, words, Certainty::Recorded)
            }
            Wait::Traced(tracer) => {
                self.processes.get(tracer)?;
                let words = format!("is stopped by its tracer {tracer} (ptrace)");
                one(Target::Process(*tracer), Kind::Ptrace, words, Certainty::Recorded)
            }
            Wait::Gil(holder) => {
                let words = format!("waits for the GIL, held by thread {}", holder.tid);
                one(Target::Task(*holder), Kind::Gil, words, Certainty::Recorded)
            }
            Wait::FileLock(holders) => match holders.as_slice() {
                [pid] if self.processes.contains_key(pid) => {
                    let words = format!("waits for a file lock of process {pid}");
                    one(Target::Process(*pid), Kind::FileLock, words, Certainty::Recorded)
                }
                several if several.len() > 1 && seen(several) => {
                    let words = format!("waits for a file lock of {} processes that share its open file", several.len());
                    Some(of_processes(several, Kind::FileLock, &words))
                }
                _ => None,
            },
        }
    }

    /// The children of a process.
    pub fn children(&self, pid: i32) -> impl Iterator<Item = &Process> {
        self.processes.values().filter(move |process| process.ppid == pid)
    }

    /// Whether another of these processes rests until a signal, whose handler may release or write what the task waits for: it waits for its
    /// children and has handlers, or has one that does not end it.
    fn has_supervisor(&self, from: TaskId, pids: &[i32]) -> bool {
        let waits = |task: &Task| matches!(task.wait, Wait::Child(_));
        let rests = |process: &Process| process.handles_messages || process.handles_signals && process.tasks.values().any(waits);
        self.others(from, pids).any(rests)
    }

    /// These processes but that of the task.
    fn others(&self, from: TaskId, pids: &[i32]) -> impl Iterator<Item = &Process> {
        pids.iter().filter(move |pid| **pid != from.pid).filter_map(|pid| self.processes.get(pid))
    }

    /// Whether a signal handler may write the data that the task waits for: one of its own process to its own pipe or socket, or one of
    /// another process that rests until a signal.
    #[must_use]
    pub fn waits_for_handler(&self, from: TaskId) -> bool {
        let Some(process) = self.processes.get(&from.pid) else { return false };
        let own = |pids: &[i32]| process.handles_signals && pids.contains(&from.pid);
        match self.task(from).map(|task| &task.wait) {
            Some(Wait::PipeRead(inode)) => {
                self.pipes.get(inode).is_some_and(|ends| own(&ends.writers) || self.has_supervisor(from, &ends.writers))
            }
            Some(Wait::SocketRead(inode)) => self
                .sockets
                .get(inode)
                .is_some_and(|end| own(&end.holders) || self.others(from, &end.holders).any(|other| other.handles_messages)),
            _ => false,
        }
    }

    /// Whether a process that could not be read may hold the same pipe or memory as these. Both are inherited by fork, so it would be
    /// the parent of the oldest of them, or descend from that parent. Where init has adopted the oldest, its session stands for them.
    /// Executing a program keeps descriptors and drops memory: then it can only descend from the oldest.
    fn may_have_hidden_holder(&self, holders: &[i32], what: Inherited) -> bool {
        holders.iter().filter_map(|pid| self.processes.get(pid)).any(|holder| {
            let mut oldest = holder;
            // Numbers can form no cycle in one look, but two looks can disagree.
            for _ in 0..LONGEST_LINE {
                match self.processes.get(&oldest.ppid) {
                    Some(parent) if holders.contains(&oldest.ppid) => oldest = parent,
                    _ => break,
                }
            }
            if what == Inherited::Memory && !oldest.is_copy {
                return self.unreadable.keys().any(|pid| self.descends(*pid, oldest.key.pid));
            }
            let parent = oldest.ppid;
            if parent <= 1 || !self.processes.contains_key(&parent) {
                return self.unreadable.values().any(|session| *session == oldest.session);
            }
            self.unreadable.keys().any(|pid| *pid == parent || self.descends(*pid, parent))
        })
    }

    fn descends(&self, pid: i32, from: i32) -> bool {
        let parent = |pid: &i32| self.processes.get(pid).map(|process| process.ppid);
        std::iter::successors(parent(&pid), parent).take(LONGEST_LINE).any(|pid| pid == from)
    }

    /// The word that a semaphore keeps of its waiters against the tasks that wait there: waiters that are gone, by lock.
    #[must_use]
    pub fn lost_waiters(&self, lock: Lock, waiters: u32) -> u32 {
        let here = |task: &&Task| matches!(&task.wait, Wait::Futex { lock: other, .. } if *other == lock);
        let asleep = self.processes.values().flat_map(|p| p.tasks.values()).filter(here).count();
        waiters.saturating_sub(u32::try_from(asleep).unwrap_or(u32::MAX))
    }
}

/// What a child gets from the process that forks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inherited {
    /// An open pipe or socket: kept when a program is executed.
    Descriptor,
    /// A shared mapping: dropped when a program is executed.
    Memory,
}

/// `process 812 holds`, `3 processes hold`.
fn held(holders: &[i32]) -> String {
    match holders {
        [one] => format!("process {one} holds"),
        many => format!("{} processes hold", many.len()),
    }
}
