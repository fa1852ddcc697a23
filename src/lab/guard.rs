//! A guard around one command: ends it and its process group once concmon is gone, in any way.
//!
//! concmon holds the write end of a pipe whose read end is the guard's standard input: the kernel closes it with the process.
//! A parent-death signal would reach only the child, not its descendants.

use std::ffi::OsString;
use std::io::{PipeWriter, pipe};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use nix::sys::signal::{Signal, killpg, raise};
use nix::unistd::getpgrp;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::hidden;

/// The same command behind a guard, in a process group of its own and with nothing to read; it lives as long as the pipe is held.
///
/// # Errors
/// If no pipe can be made.
pub fn guarded(command: &Command) -> std::io::Result<(Command, PipeWriter)> {
    let (theirs, ours) = pipe()?;
    let mut guard = Command::new("/proc/self/exe");
    guard.arg0("concmon").arg(hidden::GUARD).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => guard.env(name, value),
            None => guard.env_remove(name),
        };
    }
    guard.stdin(Stdio::from(theirs)).process_group(0);
    Ok((guard, ours))
}

/// Entry of the guard: its arguments are the command.
pub fn main(args: &[OsString]) -> ExitCode {
    hidden::name_task("lab guard");
    let Some((program, args)) = args.split_first() else { return ExitCode::from(2) };
    match guard(Path::new(program), args) {
        Ok(status) => passed_on(status),
        Err(error) => {
            // In the manner of the programs it guards, whose first "ERROR:" is shown.
            eprintln!("ERROR: cannot execute {}: {error}", program.to_string_lossy());
            ExitCode::from(127)
        }
    }
}

fn guard(program: &Path, args: &[OsString]) -> std::io::Result<ExitStatus> {
    let mut child = Command::new(program).args(args).stdin(Stdio::null()).spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    let alive = std::io::stdin();
    loop {
        let mut fds = [PollFd::new(&ended, PollFlags::IN), PollFd::new(&alive, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if fds[0].revents().contains(PollFlags::IN) {
            return child.wait();
        }
        if !fds[1].revents().is_empty() {
            // No data is ever written: concmon has closed its end. This process is of the group too.
            let _ = killpg(getpgrp(), Signal::SIGKILL);
        }
    }
}

/// Ends as the command has ended.
fn passed_on(status: ExitStatus) -> ExitCode {
    if let Some(signal) = status.signal().and_then(|number| Signal::try_from(number).ok()) {
        let _ = raise(signal);
    }
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
