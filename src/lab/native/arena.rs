//! Memory shared by a run root and its workers: each worker writes its times to its own slot, which costs a store and no system call.
//! The root turns them into protocol lines while nothing is measured.
//!
//! It is a memfd mapped `MAP_SHARED`: forks and threads have the mapping, fresh images map the inherited descriptor.
#![expect(unsafe_code, reason = "maps memory shared between processes; futex(2) has no wrapper in nix")]

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::mman::{MapFlags, ProtFlags};

/// No worker is there yet.
pub const EMPTY: u32 = 0;
/// Runs its own code.
pub const READY: u32 = 1;
/// Has done its share and waits to leave.
pub const FINISHED: u32 = 2;
/// Gone: its creator has seen it end.
pub const EXITED: u32 = 3;

/// Which build's idea of an arena this is: the images of a run may come from a program file of their own.
const LAYOUT: u32 = {
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    // FNV-1a over the version, and the sizes.
    let mut hash = 0x811c_9dc5_u32 ^ (size_of::<Header>() * 31 + size_of::<Slot>() * 7 + size_of::<Span>()) as u32;
    let mut at = 0;
    while at < version.len() {
        hash = (hash ^ version[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    hash
};

/// What concerns the whole run.
#[repr(C, align(128))]
pub struct Header {
    /// [`LAYOUT`] of the program that made it.
    layout: AtomicU32,
    workers: AtomicU32,
    tasks: AtomicU32,
    /// Set to 1 when the workers may begin to work.
    pub go: AtomicU32,
    /// Set to 1 when the workers may leave.
    pub leave: AtomicU32,
    /// Counted up whenever the root should look: a worker finished or ended.
    pub progress: AtomicU32,
    /// Where the run's server listens on 127.0.0.1; 0 if it has none.
    pub port: AtomicU32,
    /// How many units of work have failed.
    pub failures: AtomicU32,
    /// Bytes that root and workers have written into pipes and sockets to each other.
    sent_bytes: AtomicU64,
}

/// One worker.
#[repr(C, align(128))]
pub struct Slot {
    /// [`EMPTY`], [`READY`], [`FINISHED`] or [`EXITED`].
    pub state: AtomicU32,
    /// Its pid.
    pub pid: AtomicI32,
    /// Its tid.
    pub tid: AtomicI32,
    /// Raw wait status once it is [`EXITED`].
    pub status: AtomicU32,
    /// Its creator was about to create it.
    pub requested_ns: AtomicU64,
    /// It ran its first own instruction.
    pub ready_ns: AtomicU64,
    /// Its creator saw it end.
    pub exited_ns: AtomicU64,
    /// Time it waited for a CPU while it was ready to run, plus 1; 0 not said.
    pub delay_plus_one_ns: AtomicU64,
    /// Tid of the thread that this is of: an async task may end on another than it began on.
    pub delay_tid: AtomicI32,
}

/// One unit of work.
#[repr(C, align(64))]
pub struct Span {
    /// Worker that did it.
    pub worker: AtomicU32,
    /// When it began; 0 not yet.
    pub start_ns: AtomicU64,
    /// When it ended; 0 not yet.
    pub end_ns: AtomicU64,
    /// Its result, see `tasks`.
    pub result: AtomicU64,
}

/// The mapping.
pub struct Arena {
    base: NonNull<u8>,
    fd: OwnedFd,
    workers: usize,
    tasks: usize,
}

// SAFETY: everything reachable through the pointer is atomic, and the mapping lives as long as the arena.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

const fn bytes_for(workers: usize, tasks: usize) -> usize {
    size_of::<Header>() + workers * size_of::<Slot>() + tasks * size_of::<Span>()
}

fn map(fd: &OwnedFd, bytes: usize) -> io::Result<NonNull<u8>> {
    let length = NonZeroUsize::new(bytes).ok_or_else(|| io::Error::other("an empty arena"))?;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory that exists.
    let base = unsafe {
        nix::sys::mman::mmap(
            None,
            length,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE,
            fd.as_fd(),
            0,
        )
    }?;
    Ok(base.cast())
}

impl Arena {
    /// A new one, all zero, mapped and faulted in. Its descriptor is inherited by images that the root executes.
    pub fn new(workers: u32, tasks: u32) -> io::Result<Self> {
        let fd = nix::sys::memfd::memfd_create(c"concmon-lab", nix::sys::memfd::MFdFlags::empty())?;
        let (workers, tasks) = (workers as usize, tasks as usize);
        let bytes = bytes_for(workers, tasks);
        nix::unistd::ftruncate(&fd, i64::try_from(bytes).map_err(io::Error::other)?)?;
        let arena = Self { base: map(&fd, bytes)?, fd, workers, tasks };
        arena.header().layout.store(LAYOUT, Ordering::Relaxed);
        arena.header().workers.store(u32::try_from(workers).unwrap_or(0), Ordering::Relaxed);
        arena.header().tasks.store(u32::try_from(tasks).unwrap_or(0), Ordering::Release);
        Ok(arena)
    }

    /// Maps the one behind an inherited descriptor.
    pub fn inherit(fd: OwnedFd) -> io::Result<Self> {
        let size = usize::try_from(nix::sys::stat::fstat(&fd)?.st_size).map_err(io::Error::other)?;
        if size < size_of::<Header>() {
            return Err(io::Error::other("the inherited descriptor is not an arena"));
        }
        let mut arena = Self { base: map(&fd, size)?, fd, workers: 0, tasks: 0 };
        let workers = arena.header().workers.load(Ordering::Acquire) as usize;
        let tasks = arena.header().tasks.load(Ordering::Acquire) as usize;
        if arena.header().layout.load(Ordering::Relaxed) != LAYOUT || bytes_for(workers, tasks) != size {
            return Err(io::Error::other("concmon and concmon-worker have different versions: install both together"));
        }
        (arena.workers, arena.tasks) = (workers, tasks);
        Ok(arena)
    }

    /// Notes that a process of the run has sent so many bytes to another.
    pub fn note_sent(&self, bytes: usize) {
        self.header().sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What has been noted so.
    pub fn sent_bytes(&self) -> u64 {
        self.header().sent_bytes.load(Ordering::Relaxed)
    }

    /// Number of its descriptor, for the argument list of an image.
    pub fn raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// The header.
    pub fn header(&self) -> &Header {
        // SAFETY: the mapping is at least a header long, page-aligned, zero-initialised, and all its fields are atomic.
        unsafe { self.base.cast::<Header>().as_ref() }
    }

    /// The workers' slots.
    pub fn slots(&self) -> &[Slot] {
        // SAFETY: the layout is header, slots, spans; sizes are multiples of the alignments; all-zero atomics are valid.
        unsafe { std::slice::from_raw_parts(self.base.add(size_of::<Header>()).cast().as_ptr(), self.workers) }
    }

    /// The units of work.
    pub fn spans(&self) -> &[Span] {
        let offset = size_of::<Header>() + self.workers * size_of::<Slot>();
        // SAFETY: as for `slots`.
        unsafe { std::slice::from_raw_parts(self.base.add(offset).cast().as_ptr(), self.tasks) }
    }

    /// Wakes the root, so that it looks.
    pub fn nudge(&self) {
        self.header().progress.fetch_add(1, Ordering::Release);
        futex_wake(&self.header().progress, 1);
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: maps exactly this; no reference into it outlives `self`. A failure would leave the mapping, which is harmless.
        let _ = unsafe { nix::sys::mman::munmap(self.base.cast(), bytes_for(self.workers, self.tasks)) };
    }
}

/// Why a futex wait came back.
#[derive(Debug, PartialEq, Eq)]
pub enum Woken {
    /// The word changed, or another thread woke it.
    Changed,
    /// A signal arrived (a child ended).
    Signal,
    /// Time is up.
    Timeout,
}

/// Waits while `word` is `value`, across processes (futex(2), `FUTEX_WAIT`).
pub fn futex_wait(word: &AtomicU32, value: u32, timeout: Option<Duration>) -> Woken {
    let timeout = timeout.map(|d| nix::libc::timespec {
        tv_sec: i64::try_from(d.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(d.subsec_nanos()),
    });
    let pointer = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the word and the timeout live for the call; the kernel only reads them.
    let result = unsafe { nix::libc::syscall(nix::libc::SYS_futex, word.as_ptr(), nix::libc::FUTEX_WAIT, value, pointer) };
    match (result, nix::errno::Errno::last()) {
        (-1, nix::errno::Errno::EINTR) => Woken::Signal,
        (-1, nix::errno::Errno::ETIMEDOUT) => Woken::Timeout,
        _ => Woken::Changed,
    }
}

/// Wakes up to `count` waiters of `word`.
pub fn futex_wake(word: &AtomicU32, count: i32) {
    // SAFETY: the word lives for the call; the kernel uses its address only.
    unsafe { nix::libc::syscall(nix::libc::SYS_futex, word.as_ptr(), nix::libc::FUTEX_WAKE, count) };
}

/// Private anonymous memory that really is there: every page has been written to.
pub struct Ballast {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: it is only written through atomic stores.
unsafe impl Send for Ballast {}
// SAFETY: as above.
unsafe impl Sync for Ballast {}

impl Drop for Ballast {
    fn drop(&mut self) {
        if self.bytes > 0 {
            // SAFETY: maps exactly this; no reference into it outlives `self`. A failure would leave the mapping, which is harmless.
            let _ = unsafe { nix::sys::mman::munmap(self.base.cast(), self.bytes) };
        }
    }
}

impl Ballast {
    /// `mb` MiB, each byte written.
    pub fn new(mb: u32) -> io::Result<Self> {
        let bytes = (mb as usize) << 20;
        let Some(length) = NonZeroUsize::new(bytes) else { return Ok(Self { base: NonNull::dangling(), bytes: 0 }) };
        // SAFETY: a new private mapping at an address of the kernel's choice.
        let base = unsafe {
            nix::sys::mman::mmap_anonymous(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE)
        }?;
        // SAFETY: the mapping is `bytes` long, writable, and no other code knows of it yet.
        unsafe { base.cast::<u8>().write_bytes(1, bytes) };
        Ok(Self { base: base.cast(), bytes })
    }

    /// Reads one byte of every page of the first `mb` MiB; their sum.
    pub fn read(&self, mb: u32) -> u64 {
        let end = ((mb as usize) << 20).min(self.bytes);
        // SAFETY: as in `touch`.
        let byte = |offset| unsafe { AtomicU8::from_ptr(self.base.add(offset).as_ptr()) }.load(Ordering::Relaxed);
        (0..end).step_by(4096).map(|offset| u64::from(byte(offset))).sum()
    }

    /// Writes one byte to every page of the first `mb` MiB: a page shared with another process is copied by that.
    pub fn touch(&self, mb: u32) {
        let end = ((mb as usize) << 20).min(self.bytes);
        for offset in (0..end).step_by(4096) {
            // SAFETY: the offset is inside the mapping, which lives as long as `self`; all writes to it are atomic.
            unsafe { AtomicU8::from_ptr(self.base.add(offset).as_ptr()) }.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arena_of_another_version_is_refused() {
        let arena = Arena::new(2, 3).unwrap();
        let again = |arena: &Arena| Arena::inherit(arena.fd.try_clone().unwrap());
        let same = again(&arena).unwrap();
        assert_eq!((same.slots().len(), same.spans().len()), (2, 3));
        arena.header().layout.store(LAYOUT ^ 1, Ordering::Relaxed);
        assert!(again(&arena).err().unwrap().to_string().contains("different versions"));
    }
}
