#![expect(unsafe_code, reason = "localtime_r, malloc_trim and mallopt have no safe wrappers")]
//! Facts of the machine, and the limits of this process that sampling depends on.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::clock::{Clock as _, SystemClock};
use crate::snapshot::SystemInfo;

/// Facts of the machine that do not change while concmon runs: page size, clock ticks, names, `pid_max`.
#[must_use]
pub fn system_info() -> SystemInfo {
    let name = nix::sys::utsname::uname().ok();
    let text = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned()).unwrap_or_default();
    SystemInfo {
        page_bytes: rustix::param::page_size() as u64,
        ticks_per_second: rustix::param::clock_ticks_per_second(),
        hostname: text(name.as_ref().map(|name| name.nodename())),
        kernel_release: text(name.as_ref().map(|name| name.release())),
        pid_max: std::fs::read_to_string("/proc/sys/kernel/pid_max").ok().and_then(|text| text.trim().parse().ok()),
        booted_unix_ns: booted_unix_ns(),
        utc_offset_s: utc_offset_s(),
    }
}

fn booted_unix_ns() -> Option<u64> {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since_1970.as_nanos()).ok()?.checked_sub(SystemClock.boot_ns())
}

/// By the time zone's rules (TZ, /etc/localtime) as they are today; 0, which is UTC, if there are none.
fn utc_offset_s() -> i32 {
    let now = nix::time::ClockId::CLOCK_REALTIME.now().map_or(0, |now| now.tv_sec());
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
