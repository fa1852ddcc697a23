//! Dispositions, stops and ends of the calling process, and its descriptors.
#![expect(unsafe_code, reason = "changing a signal's disposition")]

use std::os::fd::RawFd;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, raise, signal};

use super::process;
use crate::snapshot::ExitStatus;

/// Gives a signal the kernel's default effect.
pub fn default_disposition(number: Signal) {
    // SAFETY: no handler of ours is replaced: concmon has none while it runs a program. SIGKILL and SIGSTOP refuse, and need none.
    let _ = unsafe { signal(number, SigHandler::SigDfl) };
}

/// Ignores a signal, or gives it its default effect.
pub fn set_ignored(number: Signal, ignored: bool) {
    let handler = if ignored { SigHandler::SigIgn } else { SigHandler::SigDfl };
    // SAFETY: as above.
    let _ = unsafe { signal(number, handler) };
}

/// Lets a signal that is blocked act on this process once, by its default effect.
fn suffer(number: Signal) {
    default_disposition(number);
    let set = SigSet::from(number);
    // Directed at this thread, so it has acted when it is unblocked.
    let _ = raise(number);
    let _ = set.thread_unblock();
    let _ = set.thread_block();
}

/// Stops this process by the signal that has stopped the program, so that a shell says the same of both. Returns when it is continued, or
/// at once in an orphaned process group, whose stops from the terminal the kernel drops.
pub fn stop_by(number: Signal) {
    suffer(number);
}

/// Ends this process as another one has ended.
pub fn end_as(status: Option<ExitStatus>) -> ! {
    match status {
        Some(ExitStatus::Code(code)) => process::exit_now(i32::from(code)),
        Some(ExitStatus::Signal { signal, .. }) => end_by(signal),
        Some(ExitStatus::Unknown) | None => process::exit_now(1),
    }
}

/// Ends this process by a signal.
pub fn end_by(number: u8) -> ! {
    // The program's core is of interest, concmon's is not.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_CORE) {
        let _ = setrlimit(Resource::RLIMIT_CORE, 0, hard);
    }
    let _ = nix::sys::prctl::set_dumpable(false);
    if let Ok(number) = Signal::try_from(i32::from(number)) {
        suffer(number);
    }
    // Real-time signals have no name here; a shell says 128 and the number of both.
    process::exit_now(128 + i32::from(number))
}

/// Closes all descriptors from 3 on but these.
pub fn close_others(keep: &[RawFd]) {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<RawFd> = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| *fd > 2 && !keep.contains(fd)) {
        // The descriptor of the directory itself is among them, and closed already.
        let _ = nix::unistd::close(fd);
    }
}

/// Closes standard streams: a pipe that the program closes must end for its other side.
pub fn drop_streams(which: &[RawFd]) {
    let Ok(null) = std::fs::File::options().read(true).write(true).open("/dev/null") else { return };
    for fd in which {
        let _ = match fd {
            0 => nix::unistd::dup2_stdin(&null),
            1 => nix::unistd::dup2_stdout(&null),
            _ => nix::unistd::dup2_stderr(&null),
        };
    }
}
