//! Value functions of the registry's entries that take more than one line.

use std::borrow::Cow;

use crate::derive::StartMethod;
use crate::snapshot::{Exact, ExitStatus, State, Syscall, TaskSample, TaskWait, WaitReason};

use super::{Row, Unknown, Value};

/// A rate: unknown on the first sample.
pub(super) fn rated<'a>(row: &Row<'a>, value: Option<f32>, make: fn(f32) -> Value<'a>) -> Value<'a> {
    match value {
        Some(v) => make(v),
        None if row.ghost.is_some() => Value::Unknown(Unknown::NotApplicable),
        None if !row.rates.known_before => Value::Unknown(Unknown::FirstSample),
        None => Value::Unknown(Unknown::NotRead),
    }
}

/// A value of the process: tasks share it, so their rows leave it out.
pub(super) fn shared<'a, T>(row: &Row<'a>, value: Option<T>, make: fn(T) -> Value<'a>) -> Value<'a> {
    if row.is_task() || (value.is_none() && row.process.kernel_thread) {
        Value::Unknown(Unknown::NotApplicable)
    } else if value.is_none() && is_silent(row) {
        Value::Unknown(Unknown::Unanswered)
    } else {
        Value::read(value, make)
    }
}

/// Whether the newest reading of the process's expensive values has not returned in time.
fn is_silent(row: &Row<'_>) -> bool {
    row.ghost.is_none() && row.process.exact.as_ref().is_some_and(|exact| exact.unanswered)
}

/// A figure of `smaps_rollup`, with the reason if it was left out on purpose.
pub(super) fn smaps<'a>(row: &Row<'a>, get: fn(&Exact) -> Option<u64>) -> Value<'a> {
    let exact = row.process.exact.as_deref();
    match exact {
        Some(exact) if exact.too_large_for_smaps && !row.is_task() => Value::Unknown(Unknown::TooLarge),
        _ => refusable(row, exact.and_then(get), exact.is_some_and(|e| e.denied.smaps), Value::Bytes),
    }
}

/// Private memory: as read from the process, or as the lab has read it of one of its own.
pub(super) fn uss<'a>(row: &Row<'a>) -> Value<'a> {
    match (smaps(row, |exact| exact.uss_bytes), row.note.and_then(|note| note.uss_bytes)) {
        (Value::Unknown(Unknown::NotRead | Unknown::FirstSample), Some(bytes)) if !row.is_task() => Value::Bytes(bytes),
        (value, _) => value,
    }
}

/// A value of the process that the kernel may have refused to tell.
pub(super) fn refusable<'a, T>(row: &Row<'a>, value: Option<T>, denied: bool, make: fn(T) -> Value<'a>) -> Value<'a> {
    if denied && value.is_none() && !row.is_task() && !row.process.kernel_thread && row.ghost.is_none() {
        return Value::Unknown(Unknown::Denied);
    }
    shared(row, value, make)
}

/// Bytes per second from or to storage: the kernel gives them per process, and not to every reader.
pub(super) fn storage<'a>(row: &Row<'a>, rate: Option<f32>) -> Value<'a> {
    let denied = row.process.exact.as_deref().is_some_and(|e| e.denied.io);
    match rate {
        _ if row.is_task() => Value::Unknown(Unknown::NotApplicable),
        None if denied && row.ghost.is_none() => Value::Unknown(Unknown::Denied),
        None if is_silent(row) => Value::Unknown(Unknown::Unanswered),
        rate => rated(row, rate, Value::BytesPerSecond),
    }
}

/// Terminal by its device number: bits as in the kernel's include/linux/kdev_t.h, names as in its list of devices.
pub(super) fn tty<'a>(row: &Row<'a>) -> Value<'a> {
    let device = row.process.tty_nr.cast_unsigned();
    let (major, minor) = (device >> 8 & 0xfff, (device & 0xff) | (device >> 12 & 0xfff00));
    if device == 0 || row.is_task() {
        return Value::Unknown(Unknown::NotApplicable);
    }
    let name = match (major, minor) {
        (136..=143, _) => format!("pts/{}", (major - 136) * 256 + minor),
        (4, 0..=63) => format!("tty{minor}"),
        (4, _) => format!("ttyS{}", minor - 64),
        (5, 1) => "console".to_owned(),
        (204, 64..) => format!("ttyAMA{}", minor - 64),
        (229, _) => format!("hvc{minor}"),
        _ => format!("{major}:{minor}"),
    };
    Value::Text(Cow::Owned(name.into_bytes()))
}

/// A total: the task's own, or the group's.
pub(super) fn total<'a>(row: &Row<'a>, task: Option<u64>, process: Option<u64>, make: fn(u64) -> Value<'a>) -> Value<'a> {
    Value::read(if row.is_task() { task } else { process }, make)
}

pub(super) fn priority<'a>(row: &Row<'a>) -> Value<'a> {
    let p = row.face().priority;
    // The kernel shows real-time priorities as -1-rt_priority; -100 is the deadline and migration class.
    if p <= -100 { Value::Word("RT") } else { Value::Int(i64::from(p)) }
}

pub(super) fn policy<'a>(row: &Row<'a>) -> Value<'a> {
    Value::read(row.face().policy, |p| {
        Value::Word(match p {
            0 => "OTHER",
            1 => "FIFO",
            2 => "RR",
            3 => "BATCH",
            5 => "IDLE",
            6 => "DEADLN",
            7 => "EXT",
            _ => "?",
        })
    })
}

pub(super) fn memory_percent<'a>(row: &Row<'a>) -> Value<'a> {
    let total = row.home().now.host.memory.map(|m| m.total_bytes).filter(|t| *t > 0);
    let share = total.zip(row.process.rss_bytes).map(|(t, rss)| (rss as f64 * 100.0 / t as f64) as f32);
    shared(row, share, Value::Percent)
}

pub(super) fn cpu_time<'a>(row: &Row<'a>) -> Value<'a> {
    Value::read(row.task.map_or_else(|| row.process.cpu_ns(), TaskSample::cpu_ns), Value::Duration)
}

/// Context switches so far; from `/proc` those of a process are unknown once one of its threads has ended.
pub(super) fn switches<'a>(row: &Row<'a>, of_task: fn(&TaskSample) -> Option<u64>, of_process: Option<u64>) -> Value<'a> {
    match (row.task, of_process) {
        (Some(task), _) => Value::read(of_task(task), Value::Count),
        (None, None) if row.process.seen.is_some_and(|seen| seen.switches.is_some()) => Value::Unknown(Unknown::ThreadsEnded),
        (None, count) => Value::read(count, Value::Count),
    }
}

pub(super) fn elapsed<'a>(row: &Row<'a>) -> Value<'a> {
    let started = row.face().start_ticks.saturating_mul(row.home().now.system.tick_ns());
    let until = row.ghost.map_or(row.home().now.taken_ns, |g| g.ended_ns);
    Value::Duration(until.saturating_sub(started))
}

/// CPU use averaged over its whole life, percent of one CPU.
pub(super) fn cpu_since_start<'a>(row: &Row<'a>) -> Value<'a> {
    match (cpu_time(row), elapsed(row)) {
        (Value::Duration(cpu), Value::Duration(life)) if life > 0 => Value::Percent((cpu as f64 * 100.0 / life as f64) as f32),
        _ => Value::Unknown(Unknown::NotRead),
    }
}

pub(super) fn run_wait<'a>(row: &Row<'a>) -> Value<'a> {
    match (row.rates.cpu_percent, row.rates.wait_percent) {
        (Some(run), Some(wait)) => Value::RunWait { run, wait },
        _ => waited(row, None),
    }
}

/// A share of time that takes how long threads waited to be known.
pub(super) fn waited<'a>(row: &Row<'a>, percent: Option<f32>) -> Value<'a> {
    if row.rates.lost_waits { Value::Unknown(Unknown::ThreadsEnded) } else { rated(row, percent, Value::Percent) }
}

/// What was read of the row's task while it slept; else why there is nothing.
fn task_wait<'a>(row: &Row<'a>) -> Result<&'a TaskWait, Unknown> {
    let face = row.face();
    if row.ghost.is_some() || face.state == State::RUNNING {
        return Err(Unknown::NotApplicable);
    }
    let waits = row.process.exact.as_deref().ok_or(Unknown::NotRead)?;
    let unknown = if waits.unanswered { Unknown::Unanswered } else { Unknown::NotRead };
    waits.wait_of(face.tid).ok_or(unknown)
}

fn of_wait<'a>(row: &Row<'a>, get: impl FnOnce(&'a TaskWait) -> Option<Cow<'a, [u8]>>) -> Value<'a> {
    match task_wait(row) {
        Err(why) => Value::Unknown(why),
        Ok(wait) => match get(wait) {
            Some(text) => Value::Text(text),
            None if wait.denied => Value::Unknown(Unknown::Denied),
            None => Value::Unknown(Unknown::NotRead),
        },
    }
}

pub(super) fn wait<'a>(row: &Row<'a>) -> Value<'a> {
    if row.ghost.is_none() && row.face().state == State::RUNNING {
        // Above this share it is short of a CPU rather than preempted now and then.
        let short = row.rates.wait_percent.filter(|wait| *wait >= 10.0);
        return short.map_or(Value::Unknown(Unknown::NotApplicable), |wait| {
            // Of a process it is the sum, which may be more than one thread can wait.
            let threads = row.process.nlwp.filter(|threads| row.task.is_none() && *threads > 1);
            let of = threads.map_or(String::new(), |threads| format!(" ({threads} threads)"));
            Value::Text(Cow::Owned(format!("waits for a CPU, {wait:.0} %{of}").into_bytes()))
        });
    }
    of_wait(row, |wait| wait.reason.as_ref().map(|_| Cow::Owned(wait.to_string().into_bytes())))
}

pub(super) fn syscall<'a>(row: &Row<'a>) -> Value<'a> {
    let text = |s: Syscall| s.name.map_or_else(|| s.number.to_string().into_bytes().into(), |n| Cow::Borrowed(n.as_bytes()));
    of_wait(row, |wait| wait.syscall.map(text))
}

pub(super) fn wchan<'a>(row: &Row<'a>) -> Value<'a> {
    of_wait(row, |wait| wait.wchan.as_deref().map(|w| Cow::Borrowed(w.as_bytes())))
}

/// The lock a task waits at, by what is the same for all who wait there.
pub(super) fn lock<'a>(row: &Row<'a>) -> Value<'a> {
    match task_wait(row) {
        Err(why) => Value::Unknown(why),
        Ok(TaskWait { lock: Some(lock), .. }) => Value::Text(Cow::Owned(lock.to_string().into_bytes())),
        Ok(wait) => Value::Unknown(no_lock(wait)),
    }
}

pub(super) fn lock_waiters<'a>(row: &Row<'a>) -> Value<'a> {
    match task_wait(row) {
        Err(why) => Value::Unknown(why),
        Ok(wait) if wait.same_futex > 0 => Value::Count(u64::from(wait.same_futex)),
        Ok(wait) => Value::Unknown(no_lock(wait)),
    }
}

/// A task that waits for something else has no lock; of one at a futex, or one whose wait was not readable, the lock is unknown.
fn no_lock(wait: &TaskWait) -> Unknown {
    match wait.reason {
        Some(WaitReason::Futex { .. }) => Unknown::Denied,
        None if wait.denied => Unknown::Denied,
        None => Unknown::NotRead,
        Some(_) => Unknown::NotApplicable,
    }
}

pub(super) fn start_method<'a>(row: &Row<'a>) -> Value<'a> {
    if row.is_task() {
        let leader = row.face().tid == row.process.key.pid;
        return if leader { Value::Unknown(Unknown::NotApplicable) } else { Value::Word("thread") };
    }
    if row.process.kernel_thread {
        return Value::Unknown(Unknown::NotApplicable);
    }
    let method = row.birth().map_or(StartMethod::Unseen, |b| b.method);
    Value::read(method.badge(), Value::Word)
}

/// How it was created, with the time that took where the lab measured it.
pub(super) fn created<'a>(row: &Row<'a>) -> Value<'a> {
    let Some((how, ns)) = row.note.and_then(|note| Some((note.how?, note.creation_ns?))) else { return start_method(row) };
    let mut text = format!("{how:8} ");
    let start = text.len();
    super::latency(&mut text, ns);
    let time = text.split_off(start);
    Value::Text(Cow::Owned(format!("{text}{time:>7}").into_bytes()))
}

pub(super) fn recent<'a>(row: &Row<'a>) -> Value<'a> {
    if row.recent.spells().len() == 0 { rated(row, None, Value::Percent) } else { Value::Recent(row.recent) }
}

pub(super) fn spawned_by<'a>(row: &Row<'a>) -> Value<'a> {
    let birth = row.birth().filter(|b| b.seen);
    shared(row, birth.map(|b| i64::from(b.parent_pid)), Value::Int)
}

/// Arguments joined by spaces, whole, as search, filters and exports want them; a kernel thread's, a zombie's or a thread's name.
pub(super) fn command<'a>(row: &Row<'a>) -> Value<'a> {
    if let Some(ghost) = row.ghost {
        return Value::Text(Cow::Owned(ghost_command(row, ghost.status)));
    }
    if let Some(note) = row.note {
        return Value::Text(Cow::Borrowed(note.role.as_bytes()));
    }
    match row.process.identity.cmdline.as_deref() {
        Some(args) if !args.is_empty() && !row.is_task() => Value::Text(joined(args)),
        None if row.process.identity.unanswered && !row.is_task() => {
            Value::Text(Cow::Owned([row.face().comm.as_bytes(), SILENT].concat()))
        }
        _ => Value::Text(Cow::Borrowed(row.face().comm.as_bytes())),
    }
}

/// Follows the name of a process whose arguments could not be read in time.
const SILENT: &[u8] = b" (did not answer: its memory map is locked)";

fn joined(args: &[u8]) -> Cow<'_, [u8]> {
    let end = args.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
    let args = &args[..end];
    if args.contains(&0) {
        Cow::Owned(args.iter().map(|b| if *b == 0 { b' ' } else { *b }).collect())
    } else {
        Cow::Borrowed(args)
    }
}

fn ghost_command(row: &Row<'_>, status: ExitStatus) -> Vec<u8> {
    let how = match status {
        ExitStatus::Code(code) => format!("exit {code}  "),
        ExitStatus::Signal { signal, core } => {
            let name = nix::sys::signal::Signal::try_from(i32::from(signal)).map_or("a signal", |s| s.as_str());
            format!("{name}{}  ", if core { " (core dumped)" } else { "" })
        }
        ExitStatus::Unknown => "ended  ".to_owned(),
    };
    let args = row.process.identity.cmdline.as_deref().filter(|a| !a.is_empty());
    let name = match row.note {
        Some(note) => Cow::Borrowed(note.role.as_bytes()),
        None => args.map_or(Cow::Borrowed(row.process.leader.comm.as_bytes()), joined),
    };
    [how.as_bytes(), &name].concat()
}
