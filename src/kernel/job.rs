//! Job control: stops concmon on Ctrl-Z, which raw mode disables.

#![expect(unsafe_code, reason = "changing a signal's disposition")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{SigHandler, Signal, kill, raise, signal};
use nix::unistd::Pid;

/// Held while a child is being started on another thread. A child that is stopped before its exec holds the thread that waits for that
/// exec in the kernel, and so keeps the whole program from stopping.
static BIRTHS: Mutex<()> = Mutex::new(());

/// To be held from before a child is started until it has executed its program.
pub fn births() -> MutexGuard<'static, ()> {
    BIRTHS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stops the whole foreground job; returns after it has been continued (`fg`), or at once where nobody could continue it (an orphaned
/// process group: the kernel then drops the signal).
///
/// The others of the group (a script that runs concmon, a pipeline) get theirs first, while concmon ignores the signal. Its own is
/// directed at the calling thread, so that the stop has happened when this returns: a signal to the process may be taken by another
/// thread a moment later, when the caller already draws again.
///
/// # Errors
/// If the kernel refuses, with nothing changed.
pub fn stop_job() -> nix::Result<()> {
    let _no_births = births();
    // SAFETY: no handler of ours is installed or replaced, only the two constant dispositions; concmon registers none for SIGTSTP.
    unsafe { signal(Signal::SIGTSTP, SigHandler::SigIgn) }?;
    let others = kill(Pid::from_raw(0), Signal::SIGTSTP);
    // SAFETY: as above.
    unsafe { signal(Signal::SIGTSTP, SigHandler::SigDfl) }?;
    others?;
    raise(Signal::SIGTSTP)
}
