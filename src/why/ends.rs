//! What the last task of a chain does, read on request: what an epoll instance listens to, the kernel function of an uninterruptible sleep,
//! and why a runnable task gets no CPU.

use std::time::Duration;

use crate::causes::TaskId;
use crate::kernel::groups::{Hierarchies, cpu_limit};
use crate::kernel::parse::schedstat::Schedstat;
use crate::kernel::parse::stat::Stat;
use crate::kernel::parse::syscall::{Machine, SyscallLine};
use crate::kernel::proc_fs::{ProcFs, RelPath};
use crate::kernel::treatment::treatment;
use crate::snapshot::State;
use crate::text::{Charset, sanitize};

/// How long a runnable task is watched.
const WATCHED: Duration = Duration::from_millis(200);
/// Descriptors that are named.
const NAMED: usize = 6;
/// The most of `fdinfo` that is read.
const INFO_BYTES: usize = 256 * 1024;

/// A sentence about the task; `None` if nothing more is known than its wait.
pub(super) fn words(fs: &ProcFs, id: TaskId) -> Option<String> {
    let mut buffer = [0u8; 1024];
    let stat = Stat::parse(fs.read_once(&RelPath::task(id.pid, id.tid, "stat"), &mut buffer).ok()?).ok()?;
    match stat.state {
        State::RUNNING => runnable(fs, id),
        State::DISK_SLEEP => {
            let function = fs.read_once(&RelPath::task(id.pid, id.tid, "wchan"), &mut buffer).ok()?;
            let function = sanitize(function, Charset::Ascii).into_owned();
            let known = !function.is_empty() && function != "0";
            let at = if known { format!(" in the kernel function {function}") } else { String::new() };
            Some(format!("It sleeps{at} and takes no signal until the device, file system or lock answers."))
        }
        State::STOPPED => Some("It is stopped by a signal (SIGSTOP, SIGTSTP, SIGTTIN). SIGCONT continues it.".to_owned()),
        State::SLEEPING => epoll(fs, id),
        _ => None,
    }
}

/// What an epoll instance listens to.
fn epoll(fs: &ProcFs, id: TaskId) -> Option<String> {
    let mut buffer = [0u8; 512];
    let line = SyscallLine::parse(fs.read_once(&RelPath::task(id.pid, id.tid, "syscall"), &mut buffer).ok()?)?;
    let SyscallLine::Inside { number, args, narrow: false } = line else { return None };
    let name = Machine::HERE?.name(number)?;
    if !name.starts_with("epoll") {
        return None;
    }
    let fd = i32::try_from(args[0]).ok()?;
    let mut info = Vec::new();
    fs.read_all(&RelPath::descriptor_info(id.pid, fd), INFO_BYTES, &mut info).ok()?;
    let entries = info.split(|b| *b == b'\n').filter_map(|line| std::str::from_utf8(line.strip_prefix(b"tfd:")?).ok());
    let registered: Vec<i32> = entries.filter_map(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).collect();
    let target = |fd: &i32| {
        let link = fs.read_link(&RelPath::descriptor(id.pid, *fd)).ok()?;
        Some(format!("{fd} {}", sanitize(&link, Charset::Unicode)))
    };
    let named: Vec<String> = registered.iter().take(NAMED).filter_map(target).collect();
    let more =
        if registered.len() > named.len() { format!(" and {} more", registered.len() - named.len()) } else { String::new() };
    Some(format!("It waits for events of {} descriptors: {}{more}.", registered.len(), named.join(", ")))
}

/// Why a runnable task gets the CPU that it gets.
fn runnable(fs: &ProcFs, id: TaskId) -> Option<String> {
    let read = || {
        let mut buffer = [0u8; 128];
        Schedstat::parse(fs.read_once(&RelPath::task(id.pid, id.tid, "schedstat"), &mut buffer).ok()?).ok()
    };
    let mut cgroup = Vec::new();
    // Without its group only the quota stays unknown.
    let _ = fs.read_all(&RelPath::process(id.pid, "cgroup"), INFO_BYTES, &mut cgroup);
    let line = Hierarchies::read(fs).line(&cgroup, "cpu");
    let limit = || {
        let line = line.as_ref()?;
        let limits = line.levels.iter().filter_map(|(name, path)| Some((name, cpu_limit(path, line.unified)?)));
        limits.min_by(|a, b| a.1.quota_cpus.total_cmp(&b.1.quota_cpus))
    };
    let (before, quota_before) = (read()?, limit());
    std::thread::sleep(WATCHED);
    let (after, quota) = (read()?, limit());
    let ms = |ns: u64| ns / 1_000_000;
    let ran = ms(after.run_ns.saturating_sub(before.run_ns));
    let waited = ms(after.run_delay_ns.saturating_sub(before.run_delay_ns));
    let mut words = format!("In {} ms it ran for {ran} ms and waited for a CPU for {waited} ms.", WATCHED.as_millis());
    if let (Some((_, before)), Some((name, now))) = (quota_before, quota) {
        let (stopped, periods) = (now.throttled.saturating_sub(before.throttled), now.periods.saturating_sub(before.periods));
        words +=
            &format!(" Its group {name} may use {:.2} CPUs and was stopped in {stopped} of {periods} periods.", now.quota_cpus);
    }
    if let Some(cpus) = treatment(fs, id.pid).cpus {
        words += &format!(" It may run on {cpus} CPUs.");
    }
    Some(words)
}
