//! The few signal and wait calls of a run root that nix does not wrap as needed here.
#![expect(unsafe_code, reason = "installs a signal handler; waitpid(2) with the raw status; fork(2) and clone(2)")]

use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::WaitPidFlag;
use nix::unistd::Pid;

use super::error::{RootError, failed};

extern "C" fn nothing(_: nix::libc::c_int) {}

/// Makes the end of a child interrupt system calls that wait (no `SA_RESTART`), so that no wait for a worker outlives it.
pub fn interrupt_on_child() -> Result<(), RootError> {
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing, so it is async-signal-safe.
    unsafe { sigaction(Signal::SIGCHLD, &action) }.map_err(failed("installing a handler for SIGCHLD"))?;
    Ok(())
}

/// waitpid(2) that gives the raw status: `None` if `pid` has not ended (only with `WNOHANG`).
pub fn wait_raw(pid: Pid, flags: WaitPidFlag) -> Result<Option<u32>, Errno> {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the call to write to.
    let result = unsafe { nix::libc::waitpid(pid.as_raw(), &raw mut status, flags.bits()) };
    match Errno::result(result)? {
        0 => Ok(None),
        // A traced child that stops is reported whether one asks for it or not; it has not ended.
        _ if status & 0xff == 0x7f => Ok(None),
        _ => Ok(Some(status.cast_unsigned())),
    }
}

/// Forks. Only called while the process has one thread, so the child may do anything.
pub fn fork() -> Result<nix::unistd::ForkResult, Errno> {
    // SAFETY: run roots and fork servers create no threads before they fork; see `entry::dispatch`.
    unsafe { nix::unistd::fork() }
}

extern "C" fn wait_to_leave(word: *mut nix::libc::c_void) -> nix::libc::c_int {
    // SAFETY: the argument is the address of the `leave` word that `wait_for_vfork` was given; the caller is suspended meanwhile.
    let word = unsafe { AtomicU32::from_ptr(word.cast()) };
    while word.load(Ordering::Acquire) == 0 {
        super::arena::futex_wait(word, 0, None);
    }
    0
}

/// Creates a child as vfork(2) does and is suspended by the kernel, uninterruptibly (state D), until that child ends, which it does when
/// `leave` is set. The child has a stack of its own, so nothing of this process's frames is touched.
pub fn wait_for_vfork(leave: &AtomicU32) {
    let mut stack = vec![0_u128; 4096];
    let flags = nix::libc::CLONE_VM | nix::libc::CLONE_VFORK | nix::libc::SIGCHLD;
    // SAFETY: the stack is 64 KiB, aligned, and outlives the child because CLONE_VFORK suspends this thread until it has ended; the child
    // only loads an atomic and waits.
    let child = unsafe {
        let top = stack.as_mut_ptr().add(stack.len());
        nix::libc::clone(wait_to_leave, top.cast(), flags, leave.as_ptr().cast())
    };
    if child > 0 {
        // It has ended; a failure to reap it leaves a zombie until this process ends, at once.
        let _ = wait_raw(Pid::from_raw(child), WaitPidFlag::empty());
    }
}
