//! Reads what the tasks of one process wait for: two small files per sleeping task, and the descriptor if it waits for one.
//!
//! `syscall` is readable for users who may trace the task (with Yama's default: its ancestors and root), `wchan` for users who may read its
//! memory figures (its owner). If neither is readable, the wait is unknown.

use std::collections::HashMap;
use std::time::Instant;

use super::error::ReadError;
use super::file_locks;
use super::locks;
use super::parse::namespace;
use super::parse::syscall::{
    Machine, SyscallLine, descriptor, endpoint, epoll_targets, futex, reason_of_call, reason_of_function,
};
use super::proc_fs::{ProcFs, RelPath};
use crate::snapshot::{PipeEnd, ProcessSample, State, Syscall, TaskSample, TaskWait, WaitReason};

/// The most of `fdinfo` that is read to count what an epoll instance listens to: some thousand descriptors.
const FDINFO_BYTES: usize = 256 * 1024;

/// Reads the waits of `process`'s tasks, ascending tid: of its leader alone if `tasks` is empty.
///
/// Past `deadline`, what is left keeps its `previous` wait; the next reading begins there, so that each gets its turn. One is always
/// read.
pub(super) fn read(
    fs: &ProcFs,
    process: &ProcessSample,
    tasks: &[TaskSample],
    previous: &[TaskWait],
    start_tid: i32,
    deadline: Option<Instant>,
) -> (Box<[TaskWait]>, i32) {
    let all = if tasks.is_empty() { std::slice::from_ref(&process.leader) } else { tasks };
    let first = all.partition_point(|task| task.tid < start_tid) % all.len().max(1);
    let mut waits = Vec::with_capacity(all.len());
    let mut epolls = HashMap::new();
    let mut next_tid = 0;
    for (count, task) in all[first..].iter().chain(&all[..first]).enumerate() {
        let late = count > 0 && deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if late && next_tid == 0 {
            next_tid = task.tid;
        }
        if !late {
            waits.extend(read_one(fs, (process.key.pid, process.leader.tid), task.tid, task.state, &mut epolls));
        } else if let Ok(known) = previous.binary_search_by_key(&task.tid, |wait| wait.tid)
            && task.state != State::RUNNING
        {
            waits.push(previous[known].clone());
        }
    }
    waits.sort_unstable_by_key(|wait| wait.tid);
    count_same_futex(&mut waits);
    (waits.into_boxed_slice(), next_tid)
}

/// `None` for a task that runs or is gone. `face` is the thread whose files describe the process `pid`.
pub(super) fn read_one(
    fs: &ProcFs,
    (pid, face): (i32, i32),
    tid: i32,
    state: State,
    epolls: &mut HashMap<i32, Option<u32>>,
) -> Option<TaskWait> {
    let mut wait = TaskWait { tid, ..TaskWait::default() };
    wait.reason = match state {
        State::RUNNING => return None,
        // A main thread that has ended while others live is for no parent to reap yet.
        State::ZOMBIE if tid != face => return None,
        State::ZOMBIE => Some(WaitReason::Reaper),
        State::STOPPED => Some(WaitReason::Stopped),
        State::TRACED => Some(WaitReason::Traced),
        _ => None,
    };
    if wait.reason.is_some() {
        return Some(wait);
    }
    let mut buffer = [0u8; 512];
    let line = match fs.read_once(&RelPath::task(pid, tid, "syscall"), &mut buffer) {
        Ok(bytes) => SyscallLine::parse(bytes),
        Err(ReadError::Denied { .. }) => {
            wait.denied = true;
            None
        }
        Err(_) => None,
    };
    if line == Some(SyscallLine::Running) {
        return None;
    }
    wait.wchan = function(fs.read_once(&RelPath::task(pid, tid, "wchan"), &mut buffer));
    let mut reason = None;
    if let (Some(SyscallLine::Inside { number, args, narrow: false }), Some(here)) = (line, Machine::HERE) {
        wait.syscall = Some(Syscall { number, name: here.name(number) });
        reason = reason_of_call(here, number, &args);
        wait.lock = futex(here, number, &args).and_then(|futex| locks::lock_of(fs, (pid, face), futex));
        if let Some(fd) = descriptor(here, number, &args) {
            wait.pipe = look_at(fs, face, fd, &mut reason, epolls);
        }
    }
    let by_function = wait.wchan.as_deref().and_then(reason_of_function);
    wait.reason = reason.or(by_function).or_else(|| match (&wait.wchan, wait.syscall.and_then(|s| s.name)) {
        (Some(function), _) => Some(WaitReason::Other(function.clone())),
        (None, Some(name)) => Some(WaitReason::Other(name.into())),
        (None, None) => None,
    });
    if let Some(WaitReason::FileLock { holder }) = &mut wait.reason {
        *holder = file_locks::holder(fs, pid);
    }
    wait.denied &= wait.reason.is_none();
    Some(wait)
}

/// Says what the descriptor is. A thread pool often waits at one epoll instance together: each is counted once.
/// Of a pipe its number is the answer.
fn look_at(
    fs: &ProcFs,
    pid: i32,
    fd: i32,
    reason: &mut Option<WaitReason>,
    epolls: &mut HashMap<i32, Option<u32>>,
) -> Option<PipeEnd> {
    match reason {
        Some(WaitReason::Io { what, direction, .. }) => {
            let target = fs.read_link(&RelPath::descriptor(pid, fd)).ok()?;
            *what = endpoint(&target);
            return namespace::inode(&target, "pipe").map(|inode| PipeEnd { inode, direction: *direction });
        }
        Some(WaitReason::Epoll { fds }) => {
            *fds = *epolls.entry(fd).or_insert_with(|| {
                let mut info = Vec::new();
                fs.read_all(&RelPath::descriptor_info(pid, fd), FDINFO_BYTES, &mut info).ok()?;
                (info.len() < FDINFO_BYTES).then(|| u32::try_from(epoll_targets(&info).count()).unwrap_or(u32::MAX))
            });
        }
        _ => {}
    }
    None
}

/// Writes into each how many of these wait at its futex: the crowd at one lock.
pub(super) fn count_same_futex(waits: &mut [TaskWait]) {
    // An address is one lock within a process, in any kind of memory.
    let address = |wait: &TaskWait| match wait.reason {
        Some(WaitReason::Futex { address }) => address,
        _ => None,
    };
    let mut crowd: HashMap<u64, u32> = HashMap::new();
    for at in waits.iter().filter_map(address) {
        *crowd.entry(at).or_default() += 1;
    }
    for wait in waits {
        wait.same_futex = address(wait).and_then(|at| crowd.get(&at).copied()).unwrap_or(0);
    }
}

/// The function's name; a task that runs, or may not be looked at, shows `0`.
pub(super) fn function(bytes: Result<&[u8], ReadError>) -> Option<Box<str>> {
    let name = std::str::from_utf8(bytes.ok()?).ok()?.trim_ascii();
    (!name.is_empty() && name != "0").then(|| name.into())
}
