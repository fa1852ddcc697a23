//! What concmon was given when it was started, where the language's start-up or concmon itself has changed it since: the program gets it
//! back as it was.
#![expect(unsafe_code, reason = "a constructor needs a link section; reading descriptors and dispositions by number")]

use std::sync::atomic::{AtomicU32, Ordering};

use nix::libc;
use nix::sys::signal::{SigSet, Signal};

/// Bits 0 to 2: the standard streams that were closed. Bit `8 + n`: signal `n` was ignored, for those in [`CHANGED`].
static NOTED: AtomicU32 = AtomicU32::new(0);

/// Signals whose disposition changes before the program starts: SIGPIPE by the language's start-up, SIGCHLD by concmon.
const CHANGED: [Signal; 2] = [Signal::SIGPIPE, Signal::SIGCHLD];

extern "C" fn note() {
    let mut noted = 0;
    for fd in 0..3 {
        // SAFETY: takes numbers, changes nothing.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
            noted |= 1 << fd;
        }
    }
    for signal in CHANGED {
        // SAFETY: an all-zero sigaction is valid.
        let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: no new disposition is given; the old one is written to a valid place.
        let asked = unsafe { libc::sigaction(signal as libc::c_int, std::ptr::null(), &raw mut old) };
        if asked == 0 && old.sa_sigaction == libc::SIG_IGN {
            noted |= 1 << (8 + signal as u32);
        }
    }
    NOTED.store(noted, Ordering::Relaxed);
}

// SAFETY: the loader calls the functions of this section once, in one thread, before `main` and before the language's start-up opens
// closed standard streams and ignores SIGPIPE; this one asks the kernel and stores to an atomic.
#[unsafe(link_section = ".init_array")]
#[used]
static CONSTRUCTOR: extern "C" fn() = note;

/// What the program is to find as concmon found it.
pub struct Origin {
    /// Signals that were blocked.
    pub mask: SigSet,
    /// Descriptors among 0, 1 and 2 that were closed.
    pub closed: Vec<i32>,
    /// Signals that concmon handles otherwise, and whether each was ignored.
    pub ignored: [(Signal, bool); CHANGED.len()],
}

impl Origin {
    pub fn new(mask: SigSet) -> Self {
        let noted = NOTED.load(Ordering::Relaxed);
        let closed = (0..3).filter(|fd| noted & (1 << fd) != 0).collect();
        Self { mask, closed, ignored: CHANGED.map(|signal| (signal, noted & (1 << (8 + signal as u32)) != 0)) }
    }
}
