//! Waits for the end of processes that are not children of the test.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Waits until this process has ended, reaped or not; panics if it has not by then.
pub fn await_gone(pid: i32, patience: Duration) {
    assert!(gone_by(pid, Instant::now() + patience), "process {pid} is still there after {patience:?}");
}

/// Whether this process has ended by then.
pub fn gone_by(pid: i32, until: Instant) -> bool {
    let pid = Pid::from_raw(pid).expect("a positive pid");
    match pidfd_open(pid, PidfdFlags::empty()) {
        // It becomes readable at the end of the process (pidfd_open(2)).
        Ok(pidfd) => readable_by(&pidfd, until),
        Err(Errno::SRCH) => true,
        Err(error) => panic!("process {pid} cannot be watched: {error}"),
    }
}

/// Whether there is something to read from this by then.
pub fn readable_by(fd: impl AsFd, until: Instant) -> bool {
    loop {
        let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).expect("a bounded wait");
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return ready > 0,
            Err(Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}
