//! How long a task has slept.
//!
//! `se.exec_start` of `/proc/PID/sched`, which kernels with CONFIG_SCHED_DEBUG have, is when the task last ran, by the clock of its CPU
//! (`rq_clock_task` of kernel/sched/core.c). This clock leaves out interrupts and time that a hypervisor took, so that the clocks of two
//! CPUs can be seconds apart. A task is therefore compared with the clock of its own CPU alone, which a thread of concmon reads there. Time
//! that was taken from that CPU while the task slept is missing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::parse::stat::Stat;
use super::proc_fs::{ProcFs, RelPath};
use crate::clock::{Clock as _, SystemClock};
use crate::snapshot::State;

/// A clock is read again after this time.
const KEPT: Duration = Duration::from_secs(5);

/// When a task last ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slept {
    cpu: u32,
    /// By the clock of that CPU, milliseconds.
    since_ms: u64,
    /// When the task was started, milliseconds since boot.
    started_ms: u64,
}

impl Slept {
    /// Of a thread that sleeps, or is stopped; `None` if it does not, or if the kernel does not report it.
    #[must_use]
    pub fn of(fs: &ProcFs, pid: i32, tid: i32) -> Option<Self> {
        let mut buffer = [0u8; 1024];
        let stat = Stat::parse(fs.read_once(&RelPath::task(pid, tid, "stat"), &mut buffer).ok()?).ok()?;
        let sleeps = matches!(stat.state, State::SLEEPING | State::DISK_SLEEP | State::STOPPED | State::TRACED);
        let cpu = stat.last_cpu.filter(|_| sleeps)?;
        // Ticks are rounded down: the task is not older than this.
        let started_ms = stat.start_ticks * 1000 / rustix::param::clock_ticks_per_second().max(1);
        Some(Self { cpu, since_ms: last_ran_ms(fs, &RelPath::task(pid, tid, "sched"))?, started_ms })
    }
}

/// The clocks of CPUs.
#[derive(Debug, Default)]
pub struct Clocks {
    /// When they were read, and what they said, milliseconds.
    read: HashMap<u32, (Instant, u64)>,
}

impl Clocks {
    /// How long ago it was, milliseconds; `None` if concmon may not run on that CPU, or if the task had not been started then.
    pub fn ago_ms(&mut self, fs: &ProcFs, slept: Slept) -> Option<u64> {
        let known = self.read.get(&slept.cpu).filter(|(at, _)| at.elapsed() < KEPT).copied();
        let (at, clock_ms) = match known {
            Some(known) => known,
            None => {
                let clock_ms = clock_ms(fs, slept.cpu)?;
                let read = (Instant::now(), clock_ms);
                self.read.insert(slept.cpu, read);
                read
            }
        };
        let now_ms = clock_ms + u64::try_from(at.elapsed().as_millis()).unwrap_or(0);
        let age_ms = (SystemClock.boot_ns() / 1_000_000).saturating_sub(slept.started_ms);
        within_age(now_ms.saturating_sub(slept.since_ms), age_ms)
    }
}

/// How much the time since boot may differ from the clock of a CPU over a sleep, milliseconds.
const TOLERANCE_MS: u64 = 1000;

/// A time asleep; `None` if it is longer than the task exists.
fn within_age(asleep_ms: u64, age_ms: u64) -> Option<u64> {
    (asleep_ms <= age_ms + TOLERANCE_MS).then_some(asleep_ms.min(age_ms))
}

/// The clock of a CPU now: this thread goes there and has just begun to run.
fn clock_ms(fs: &ProcFs, cpu: u32) -> Option<u64> {
    let cpu = usize::try_from(cpu).ok().filter(|cpu| *cpu < CpuSet::MAX_CPU)?;
    let home = sched_getaffinity(None).ok()?;
    let mut there = CpuSet::new();
    there.set(cpu);
    sched_setaffinity(None, &there).ok()?;
    let clock = last_ran_ms(fs, &RelPath::top("thread-self/sched"));
    // As it was: a CPU that has gone meanwhile takes nothing from the others.
    let _ = sched_setaffinity(None, &home);
    clock
}

fn last_ran_ms(fs: &ProcFs, path: &RelPath) -> Option<u64> {
    let mut bytes = Vec::new();
    fs.read_all(path, 8192, &mut bytes).ok()?;
    exec_start_ms(&bytes)
}

/// `se.exec_start`, milliseconds. 0 has been read of tasks that had run: then nothing is known.
fn exec_start_ms(bytes: &[u8]) -> Option<u64> {
    let line = bytes.split(|b| *b == b'\n').find(|line| line.starts_with(b"se.exec_start"))?;
    let text = std::str::from_utf8(line).ok()?.rsplit(':').next()?.trim();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let unset = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    whole.parse().ok().filter(|_| !unset && part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_sleep_without_a_beginning_and_one_that_is_longer_than_the_task_exists_are_unknown() {
        let of = |value: &str| exec_start_ms(format!("x (7, #threads: 1)\nse.exec_start   :   {value}\nse.y : 1.0\n").as_bytes());
        assert_eq!(of("82972439.903526"), Some(82_972_439));
        assert_eq!(of("0.000000"), None);
        assert_eq!(of("0.000001"), Some(0), "just after boot");
        assert_eq!(within_age(2000, 3000), Some(2000));
        assert_eq!(within_age(3004, 3000), Some(3000), "rounded");
        assert_eq!(within_age(81_840_000, 3000), None, "22 h 44 min in a process that is 3 s old");
    }

    /// Threads of this process that sleep on each CPU, compared with the clock on the wall.
    #[test]
    fn a_sleep_is_as_long_as_it_is_on_every_cpu() {
        let fs = ProcFs::open("/proc").unwrap();
        let home = sched_getaffinity(None).unwrap();
        let pid = std::process::id().cast_signed();
        if last_ran_ms(&fs, &RelPath::top("thread-self/sched")).is_none() {
            eprintln!("SKIPPED: this kernel does not report when a task last ran (CONFIG_SCHED_DEBUG)");
            return;
        }
        let mut clocks = Clocks::default();
        for cpu in (0..CpuSet::MAX_CPU).filter(|cpu| home.is_set(*cpu)).take(4) {
            let (tell, told) = channel();
            let (end, ended) = channel::<()>();
            let thread = std::thread::spawn(move || {
                let mut there = CpuSet::new();
                there.set(cpu);
                sched_setaffinity(None, &there).unwrap();
                tell.send((rustix::thread::gettid().as_raw_nonzero().get(), Instant::now())).unwrap();
                let _ = ended.recv();
            });
            let (tid, begun) = told.recv().unwrap();
            let slept = loop {
                match Slept::of(&fs, pid, tid) {
                    Some(slept) => break slept,
                    None => std::thread::yield_now(),
                }
            };
            let asleep = Instant::now();
            std::thread::sleep(Duration::from_millis(300));
            let least = asleep.elapsed().as_millis() / 2;
            let ago_ms = u128::from(clocks.ago_ms(&fs, slept).unwrap());
            let most = begun.elapsed().as_millis() + 10;
            drop(end);
            thread.join().unwrap();
            // Time that is taken from the CPU is missing.
            assert!((least..=most).contains(&ago_ms), "CPU {cpu}: {ago_ms} ms, {least} to {most}");
        }
        assert_eq!(sched_getaffinity(None).unwrap(), home, "this thread may run where it might before");
    }
}
