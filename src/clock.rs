//! Time as a value: the sampler and the lab take a [`Clock`]; tests use a [`ManualClock`].

use std::sync::atomic::{AtomicU64, Ordering};

/// Nanoseconds of `CLOCK_BOOTTIME`: monotonic, goes on during suspend, same base as a process's start time.
pub trait Clock: Send {
    /// Now, in nanoseconds since boot.
    fn boot_ns(&self) -> u64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn boot_ns(&self) -> u64 {
        read_clock(nix::time::ClockId::CLOCK_BOOTTIME)
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`, the clock of the lab protocol (Python: `time.monotonic_ns()`).
#[must_use]
pub fn monotonic_ns() -> u64 {
    read_clock(nix::time::ClockId::CLOCK_MONOTONIC)
}

/// CPU nanoseconds this thread has used (`CLOCK_THREAD_CPUTIME_ID`).
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    read_clock(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU nanoseconds that a process has used, ended threads included (clock_getcpuclockid(3)); also of a zombie, and of processes of other
/// users. `pid` is as system calls have it. `None` if it has gone.
#[must_use]
pub fn process_cpu_ns(pid: i32) -> Option<u64> {
    let clock = nix::time::clock_getcpuclockid(nix::unistd::Pid::from_raw(pid)).ok()?;
    nanoseconds(clock.now().ok()?)
}

fn nanoseconds(time: nix::sys::time::TimeSpec) -> Option<u64> {
    Some(u64::try_from(time.tv_sec()).ok()? * 1_000_000_000 + u64::try_from(time.tv_nsec()).ok()?)
}

fn read_clock(id: nix::time::ClockId) -> u64 {
    // These clocks exist on every kernel concmon runs on; 0 would only follow a seccomp filter that forbids them.
    id.now().ok().and_then(nanoseconds).unwrap_or(0)
}

/// A clock that moves only when it is set.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// Starts at `ns`.
    #[must_use]
    pub fn at(ns: u64) -> Self {
        Self(AtomicU64::new(ns))
    }
    /// Moves on by `ns`.
    pub fn advance(&self, ns: u64) {
        self.0.fetch_add(ns, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn boot_ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clock for std::sync::Arc<ManualClock> {
    fn boot_ns(&self) -> u64 {
        self.as_ref().boot_ns()
    }
}
