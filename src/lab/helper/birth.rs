//! Records when a user's program was executed and what its process had used until then: moving it to a control group may take longer
//! than the program. The child writes both to memory shared with the helper, just before exec.
#![expect(unsafe_code, reason = "memory that is shared with a child of fork(2)")]

use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::resource::{UsageWho, getrusage};

use crate::clock::monotonic_ns;
use crate::kernel::parse::status::Status;
use crate::lab::control::{Began, Usage};

const WORDS: usize = 8;
const BYTES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(WORDS * size_of::<AtomicU64>() - 1);

/// The shared words: first the time, 0 as long as nothing has been noted, then what had been used.
pub struct Birth(NonNull<[AtomicU64; WORDS]>);

impl Birth {
    /// A new one; `None` where the kernel gives no memory, and then the time of the fork has to do.
    pub fn new() -> Option<Self> {
        let (may, shared) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that exists.
        let page = unsafe { mmap_anonymous(None, BYTES, may, shared) }.ok()?;
        Some(Self(page.cast()))
    }

    fn words(&self) -> &[AtomicU64; WORDS] {
        // SAFETY: the mapping is a page, zero-initialised and aligned, lives as long as this, and is only read through atomics.
        unsafe { self.0.as_ref() }
    }

    /// In the child, just before execve(2).
    pub fn note(&self) {
        let peak = peak_rss_bytes();
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
        let used = usage.map_or_else(Usage::default, |usage| usage.as_ref().into());
        let max_rss = usage.and_then(|usage| u64::try_from(usage.max_rss()).ok()).unwrap_or(0).saturating_mul(1024);
        // getrusage(2) reads counters that Linux since 6.2 keeps per CPU, and may be a megabyte short.
        let max_rss = max_rss.max(peak.unwrap_or(0));
        let [time, words @ ..] = self.words();
        let values = [
            used.user_ns,
            used.sys_ns,
            used.minor_faults,
            used.major_faults,
            used.voluntary_switches,
            used.involuntary_switches,
            max_rss,
        ];
        for (word, value) in words.iter().zip(values) {
            word.store(value, Ordering::Relaxed);
        }
        time.store(monotonic_ns(), Ordering::Release);
    }

    /// What the child has noted, if it got so far.
    pub fn noted(&self) -> Option<Began> {
        let [time, words @ ..] = self.words();
        let t = Some(time.load(Ordering::Acquire)).filter(|t| *t > 0)?;
        let [user_ns, sys_ns, minor_faults, major_faults, voluntary_switches, involuntary_switches, max_rss_bytes] =
            words.each_ref().map(|word| word.load(Ordering::Relaxed));
        let used = Usage { user_ns, sys_ns, minor_faults, major_faults, voluntary_switches, involuntary_switches };
        Some(Began { t, used, max_rss_bytes })
    }
}

/// The most memory that this process has had resident (`VmHWM` of `/proc/self/status`, proc_pid_status(5)).
fn peak_rss_bytes() -> Option<u64> {
    Status::parse(&std::fs::read("/proc/self/status").ok()?).peak_rss_bytes
}

impl Drop for Birth {
    fn drop(&mut self) {
        // SAFETY: maps exactly this; no reference into it outlives `self`. A failure would leave the mapping, which is harmless.
        let _ = unsafe { munmap(self.0.cast(), BYTES.get()) };
    }
}
