#![expect(unsafe_code, reason = "pidfd_send_signal with any signal number has no safe wrapper")]
//! A descriptor that keeps hold of one process and takes signals for it: a pidfd, or where PIDs of `/proc` are another namespace's the
//! process's directory there, which pidfd_send_signal(2) takes too.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::control_error::ControlError;
use super::error::ReadError;
use super::parse::pid_numbers::PidfdProcess;
use super::parse::stat::Stat;
use super::proc_fs::{ProcFs, RelPath};

/// What holds the process: a pidfd or a directory.
#[derive(Debug)]
pub(super) enum Hold {
    /// A pidfd.
    Pidfd(OwnedFd),
    /// The directory of the process in a `/proc` of another PID namespace, and why it is that.
    Directory(OwnedFd, &'static str),
}

impl Hold {
    /// A pidfd of the process that `fs`, a `/proc` of concmon's own namespace, shows as `pid`.
    ///
    /// # Errors
    /// [`ControlError::Vanished`] if there is none, or the pidfd is of another.
    pub fn pidfd(fs: &ProcFs, pid: i32) -> Result<Self, ControlError> {
        let vanished = || ControlError::Vanished { pid };
        let pidfd = match Pid::from_raw(pid).ok_or(Errno::SRCH).and_then(|pid| pidfd_open(pid, PidfdFlags::empty())) {
            Ok(pidfd) => pidfd,
            // EINVAL: the number is a thread's, not a process's, so the process that had it is gone.
            Err(Errno::SRCH | Errno::INVAL) => return Err(vanished()),
            Err(Errno::NOSYS) => return Err(ControlError::Unsupported),
            Err(errno) => return Err(ControlError::Os { pid, source: errno.into() }),
        };
        let mut buffer = [0; 1024];
        match fs.read_once(&RelPath::top(&format!("self/fdinfo/{}", pidfd.as_raw_fd())), &mut buffer) {
            Ok(info) if PidfdProcess::parse(info) == Some(PidfdProcess::Pid(pid)) => Ok(Self::Pidfd(pidfd)),
            Ok(_) => Err(vanished()),
            // Before Linux 5.14 a program with capabilities of its own may not read it. That the numbers are of one namespace is known.
            Err(ReadError::Denied { .. }) => Ok(Self::Pidfd(pidfd)),
            Err(error) => Err(ControlError::Os { pid, source: std::io::Error::other(error) }),
        }
    }

    /// The directory of the process that `fs` shows as `pid`; `why` it is that and not a pidfd.
    ///
    /// # Errors
    /// [`ControlError::Vanished`] if there is none, [`ControlError::OtherNamespace`] if it is not within concmon's own namespace: then the
    /// kernel sends it no signal.
    pub fn directory(fs: &ProcFs, pid: i32, why: &'static str) -> Result<Self, ControlError> {
        let held = fs.hold(pid).map_err(|error| match error {
            ReadError::Vanished => ControlError::Vanished { pid },
            other => ControlError::Os { pid, source: std::io::Error::other(other) },
        })?;
        let hold = Self::Directory(held, why);
        // Signal 0 is not delivered: the kernel only says whether it would be.
        match hold.send(0).map_err(|error| (error.raw_os_error(), error)) {
            Err((Some(libc::EINVAL), _)) => Err(ControlError::OtherNamespace { pid, why }),
            Err((Some(libc::ESRCH), _)) => Err(ControlError::Vanished { pid }),
            Err((Some(libc::ENOSYS), _)) => Err(ControlError::Unsupported),
            // Another user's: that is said when a signal is sent.
            Ok(()) | Err((Some(libc::EPERM), _)) => Ok(hold),
            Err((_, source)) => Err(ControlError::Os { pid, source }),
        }
    }

    /// Why PIDs of `/proc` must not be given to system calls; `None` if they may.
    pub fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Pidfd(_) => None,
            Self::Directory(_, why) => Some(why),
        }
    }

    /// Whether the process has not ended (a zombie has).
    pub fn alive(&self) -> bool {
        match self {
            Self::Pidfd(pidfd) => {
                let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
                // A pidfd becomes readable when the process ends (pidfd_open(2)).
                poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready == 0)
            }
            Self::Directory(directory, _) => {
                let mut buffer = [0; 4096];
                let file = rustix::fs::openat(directory, "stat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
                let length = file.and_then(|file| rustix::io::read(file.as_fd(), &mut buffer));
                let stat = length.ok().and_then(|length| Stat::parse(&buffer[..length]).ok());
                stat.is_some_and(|stat| !stat.is_over())
            }
        }
    }

    /// Sends a signal to the process that is held, and to no other.
    pub fn send(&self, signal: i32) -> std::io::Result<()> {
        let (Self::Pidfd(fd) | Self::Directory(fd, _)) = self;
        // SAFETY: the descriptor is open as long as `self` is; the kernel reads no memory of ours, as the siginfo pointer is null.
        let result =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0) };
        if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    }
}
