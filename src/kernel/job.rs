//! Job control: stops concmon on Ctrl-Z, which raw mode disables. And what a file that may not grow does to it.

#![expect(unsafe_code, reason = "changing a signal's disposition")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, raise, sigaction, signal};
use nix::unistd::Pid;

/// Held while a child is being started on another thread. A child that is stopped before its exec holds the thread that waits for that
/// exec in the kernel, and so keeps the whole program from stopping.
static BIRTHS: Mutex<()> = Mutex::new(());

/// To be held from before a child is started until it has executed its program.
pub fn births() -> MutexGuard<'static, ()> {
    BIRTHS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stops the whole foreground job; returns after it has been continued (`fg`), or at once where no process could continue it (an
/// orphaned process group: the kernel then drops the signal).
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

/// Makes a write beyond the limit of a file's size (`ulimit -f`, setrlimit(2)) fail with EFBIG, where it would end the program. This sets a
/// handler: what concmon executes starts with the default again. A signal that is ignored stays ignored.
pub fn survive_file_limit() {
    extern "C" fn nothing(_: libc::c_int) {}
    let own = SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing, which is safe at any moment; what is put back is what was there.
    unsafe {
        if let Ok(before) = sigaction(Signal::SIGXFSZ, &own)
            && matches!(before.handler(), SigHandler::SigIgn)
        {
            let _ = sigaction(Signal::SIGXFSZ, &before);
        }
    }
}
