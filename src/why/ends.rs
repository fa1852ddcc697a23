//! What the last task of a chain does, read on request: what an epoll instance listens to, the kernel function of an uninterruptible sleep,
//! and why a runnable task gets no CPU ([`super::runnable`]).

use super::runnable;
use crate::causes::{Process, Scene, TaskId};
use crate::kernel::parse::stat::Stat;
use crate::kernel::parse::syscall::{Machine, SyscallLine, epoll_targets};
use crate::kernel::proc_fs::{ProcFs, RelPath};
use crate::snapshot::State;
use crate::text::{Charset, sanitize};

/// Descriptors that are named.
const NAMED: usize = 6;
/// The most of `fdinfo` that is read.
const INFO_BYTES: usize = 256 * 1024;

/// A sentence about the task; `None` if nothing more is known than its wait.
pub(super) fn words(fs: &ProcFs, scene: &Scene, id: TaskId) -> Option<String> {
    let mut buffer = [0u8; 1024];
    let stat = Stat::parse(fs.read_once(&RelPath::task(id.pid, id.tid, "stat"), &mut buffer).ok()?).ok()?;
    match stat.state {
        State::RUNNING => runnable::words(fs, id, &stat),
        State::DISK_SLEEP => {
            let function = fs.read_once(&RelPath::task(id.pid, id.tid, "wchan"), &mut buffer).ok()?;
            let function = sanitize(function, Charset::Ascii).into_owned();
            let known = !function.is_empty() && function != "0";
            let at = if known { format!(" in the kernel function {function}") } else { String::new() };
            Some(format!("It sleeps{at} and takes no signal until the device, file system or lock answers."))
        }
        State::SLEEPING => match call(fs, id)? {
            (name, args) if name.starts_with("epoll") => epoll(fs, id, i32::try_from(args[0]).ok()?),
            ("rt_sigsuspend" | "rt_sigtimedwait" | "pause", _) => children(scene, id.pid),
            _ => None,
        },
        _ => None,
    }
}

/// The system call that the task sleeps in.
fn call(fs: &ProcFs, id: TaskId) -> Option<(&'static str, [u64; 6])> {
    let mut buffer = [0u8; 512];
    let line = SyscallLine::parse(fs.read_once(&RelPath::task(id.pid, id.tid, "syscall"), &mut buffer).ok()?)?;
    let SyscallLine::Inside { number, args, narrow: false } = line else { return None };
    Some((Machine::HERE?.name(number)?, args))
}

/// The children of a process that waits for a signal: often the signal reports their end (`timeout`, `sudo`).
fn children(scene: &Scene, pid: i32) -> Option<String> {
    let task = |process: &Process| TaskId { pid: process.key.pid, tid: process.key.pid };
    let names: Vec<String> = scene.children(pid).map(|process| super::name(scene, task(process))).collect();
    let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => None,
        1 => Some(format!("Its child is {shown}.")),
        all if all > NAMED => Some(format!("Its children are {shown} and {} more.", all - NAMED)),
        _ => Some(format!("Its children are {shown}.")),
    }
}

/// What an epoll instance listens to.
fn epoll(fs: &ProcFs, id: TaskId, fd: i32) -> Option<String> {
    let mut info = Vec::new();
    fs.read_all(&RelPath::descriptor_info(id.pid, fd), INFO_BYTES, &mut info).ok()?;
    let registered: Vec<i32> = epoll_targets(&info).flatten().collect();
    let target = |fd: &i32| {
        let link = fs.read_link(&RelPath::descriptor(id.pid, *fd)).ok()?;
        Some(format!("{fd} {}", sanitize(&link, Charset::Unicode)))
    };
    let named: Vec<String> = registered.iter().take(NAMED).filter_map(target).collect();
    let more =
        if registered.len() > named.len() { format!(" and {} more", registered.len() - named.len()) } else { String::new() };
    let plural = if registered.len() == 1 { "" } else { "s" };
    Some(format!("It waits for events of {} descriptor{plural}: {}{more}.", registered.len(), named.join(", ")))
}
