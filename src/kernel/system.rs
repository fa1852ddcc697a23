#![expect(unsafe_code, reason = "localtime_r, tzset, malloc_trim and mallopt have no safe wrappers")]
//! Facts of the machine, and the limits of this process that sampling depends on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::clock::{Clock as _, SystemClock};
use crate::snapshot::SystemInfo;

/// Facts of the machine: page size, clock ticks, names, `pid_max`, and its clock and time zone as they are now (see [`WallClock`]).
#[must_use]
pub fn system_info() -> SystemInfo {
    let name = nix::sys::utsname::uname().ok();
    let text = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned()).unwrap_or_default();
    let booted_unix_ns = booted_unix_ns();
    SystemInfo {
        page_bytes: rustix::param::page_size() as u64,
        ticks_per_second: rustix::param::clock_ticks_per_second(),
        hostname: text(name.as_ref().map(|name| name.nodename())),
        kernel_release: text(name.as_ref().map(|name| name.release())),
        pid_max: std::fs::read_to_string("/proc/sys/kernel/pid_max").ok().and_then(|text| text.trim().parse().ok()),
        booted_unix_ns,
        utc_offsets: offsets_since(booted_unix_ns),
    }
}

fn booted_unix_ns() -> Option<u64> {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since_1970.as_nanos()).ok()?.checked_sub(SystemClock.boot_ns())
}

/// Keeps what a [`SystemInfo`] says of the clock true: an administrator or NTP sets the clock, summer time begins, the time zone changes.
#[derive(Debug)]
pub struct WallClock {
    looked: Instant,
}

impl Default for WallClock {
    fn default() -> Self {
        Self { looked: Instant::now() }
    }
}

impl WallClock {
    /// How often the rules of the time zone are asked again.
    const EVERY: Duration = Duration::from_secs(60);

    /// Brings `system` up to date: `booted_unix_s` is the `btime` of `/proc/stat`, from which ps(1) too works out when a process started.
    pub fn keep(&mut self, system: &mut Arc<SystemInfo>, booted_unix_s: Option<u64>) {
        let booted = booted_unix_s.and_then(|seconds| seconds.checked_mul(1_000_000_000));
        let was_set = booted.is_some() && booted != system.booted_unix_ns;
        if !was_set && self.looked.elapsed() < Self::EVERY {
            return;
        }
        self.looked = Instant::now();
        let booted = booted.or(system.booted_unix_ns);
        let offsets = offsets_since(booted);
        if booted != system.booted_unix_ns || offsets != system.utc_offsets {
            let system = Arc::make_mut(system);
            (system.booted_unix_ns, system.utc_offsets) = (booted, offsets);
        }
    }
}

/// The time zone's offsets from a day before the boot (a process restored from a checkpoint may be older) until a day from now.
fn offsets_since(booted_unix_ns: Option<u64>) -> Vec<(i64, i32)> {
    const DAY: i64 = 86_400;
    let now = nix::time::ClockId::CLOCK_REALTIME.now().map_or(0, |now| now.tv_sec());
    let booted = booted_unix_ns.and_then(|ns| i64::try_from(ns / 1_000_000_000).ok()).unwrap_or(now);
    tzset();
    offsets(booted.min(now) - DAY, now.max(booted) + DAY, utc_offset_s)
}

unsafe extern "C" {
    /// tzset(3), which the libc crate leaves out for Linux. Safe: it reads TZ and the zone's file under a lock of its own, and nothing in
    /// this program changes the environment.
    safe fn tzset();
}

/// The steps of `offset_at` between two seconds since 1970. Steps less than a week apart may be missed; at most 64, the latest.
fn offsets(from: i64, until: i64, offset_at: impl Fn(i64) -> i32) -> Vec<(i64, i32)> {
    const STEP: i64 = 7 * 86_400;
    const MOST: i64 = 64;
    let from = from.max(until.saturating_sub(STEP * 26 * MOST));
    let mut found = vec![(from, offset_at(from))];
    let mut before = from;
    while before < until {
        let after = (before + STEP).min(until);
        let offset = offset_at(after);
        if offset != offset_at(before) {
            // The first second with another offset than before.
            let (mut low, mut high) = (before, after);
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                if offset_at(middle) == offset_at(before) { low = middle } else { high = middle }
            }
            found.push((high, offset));
        }
        before = after;
    }
    found
}

/// By the time zone's rules (TZ, /etc/localtime) for a second since 1970; 0, which is UTC, if there are none.
fn utc_offset_s(unix_s: i64) -> i32 {
    let now: libc::time_t = unix_s;
    // SAFETY: a `tm` of zeros is valid: its numbers are plain, its pointer may be null.
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of this function, and localtime_r(3) keeps neither.
    let done = unsafe { libc::localtime_r(&raw const now, &raw mut local) };
    if done.is_null() { 0 } else { i32::try_from(local.tm_gmtoff).unwrap_or(0) }
}

/// Raises the soft limit of open descriptors to the hard one, which every user may do, and returns the limit now in force.
/// Kept descriptors are what makes sampling cheap; a process started from here must have the old limit put back if it uses select(2).
pub fn raise_descriptor_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft }
}

/// The soft limit of open descriptors.
#[must_use]
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft)
}

/// Gives free memory inside the heap back to the system, where the C library can (glibc).
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) is thread-safe, takes a number and only returns free pages.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Makes threads started from now on share the main heap (glibc). A thread's own heap never gives back what lies above its last used
/// block, and loading the BPF program uses tens of megabytes once.
pub fn share_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) sets one number of the allocator under its lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
