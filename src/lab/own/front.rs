//! The process that the caller has started and waits for: it mirrors what the watcher says of the program.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::{process, sys};
use crate::lab::helper;

/// What front and watcher write to each other: two bytes.
///
/// From the front: a signal that it has received and 0, or [`RESUMED`] and the number of the stop that is over. From the watcher: the
/// signal that has stopped the program and the number of the stop, or [`RUNS`] and the number of the stop that is over.
pub type Word = [u8; 2];
/// The front has been continued.
pub const RESUMED: u8 = 0;
/// The program runs again.
pub const RUNS: u8 = 0;

/// The words in what was read: each was written at once, so none is cut.
pub fn words(bytes: &[u8]) -> impl Iterator<Item = Word> + '_ {
    bytes.as_chunks().0.iter().copied()
}

/// Waits until the watcher has ended, and ends like it.
pub fn stand(watcher: Pid, mut link: UnixStream, detach: bool) -> ! {
    let signals = super::signals();
    let mut keep = vec![link.as_raw_fd()];
    keep.extend(signals.as_ref().map(|fd| fd.as_fd().as_raw_fd()).ok());
    sys::close_others(&keep);
    sys::drop_streams(&[0, 1, 2]);
    let _ = link.set_nonblocking(true);
    // False once the watcher has nothing more to say; its end is still to come.
    let mut open = true;
    loop {
        if let Ok(signals) = &signals {
            let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
            if open {
                fds.push(PollFd::new(link.as_fd(), PollFlags::POLLIN));
            }
            let _ = poll(&mut fds, PollTimeout::NONE);
            pass_on(signals, &mut link, false);
        }
        if let Some((stopped, number)) = read_stop(&mut link, &mut open) {
            sys::stop_by(stopped);
            if let Ok(signals) = &signals {
                pass_on(signals, &mut link, true);
            }
            let _ = link.write_all(&[RESUMED, number]);
        }
        // Without a descriptor for signals nothing can be passed on, but the end is still seen.
        let flags = if signals.is_ok() { WaitPidFlag::WNOHANG } else { WaitPidFlag::empty() };
        match waitpid(watcher, Some(flags)) {
            Ok(WaitStatus::Exited(_, code)) => {
                clear(detach);
                process::exit_now(code);
            }
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                clear(detach);
                sys::end_by(signal as u8);
            }
            Err(Errno::ECHILD) => process::exit_now(1),
            Ok(_) | Err(_) => {}
        }
    }
}

/// Sends the watcher the signals that have come. After a stop SIGCONT is what ended it, and no news.
fn pass_on(signals: &SignalFd, link: &mut UnixStream, after_stop: bool) {
    while let Ok(Some(info)) = signals.read_signal() {
        let number = i32::try_from(info.ssi_signo).unwrap_or(0);
        let own = number == Signal::SIGCHLD as i32 || (after_stop && number == Signal::SIGCONT as i32);
        if let (false, Ok(byte)) = (own, u8::try_from(number)) {
            // A watcher that does not read is about to end.
            let _ = link.write_all(&[byte, 0]);
        }
    }
}

/// The signal that has stopped the program and the number of the stop, if the last news is that it is stopped.
fn read_stop(link: &mut UnixStream, open: &mut bool) -> Option<(Signal, u8)> {
    let mut bytes = [0; 64];
    let mut last = None;
    while *open {
        match link.read(&mut bytes) {
            Ok(0) => *open = false,
            Ok(n) => last = words(&bytes[..n]).last(),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let [signal, number] = last.filter(|word| word[0] != RUNS)?;
    Some((Signal::try_from(i32::from(signal)).ok()?, number))
}

/// Kills what a killed watcher has left behind.
fn clear(detach: bool) {
    if !detach && !process::childless() {
        helper::end_descendants();
    }
}
