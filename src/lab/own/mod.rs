//! `concmon run`: a program of the user's own, watched from its birth to its end.
//!
//! Three processes take part, all in the process group that concmon was started in:
//!
//! * the *front* is the process that the caller started. It closes what it inherited, stops when the program stops, and ends as the
//!   program ended. If the watcher is killed, the front inherits what is left of the run (it is a subreaper) and kills it.
//! * the *watcher* is the front's child: it starts the program, waits for it (`wait4(2)`), reads what its tasks do, and writes the report.
//!   If the front is killed, the watcher reads the end of the socket between them and kills the run.
//! * the *program* is the watcher's child. It gets everything that concmon was given: descriptors, signal dispositions and mask, limits,
//!   environment, working directory, terminal.
//!
//! A signal for the whole process group (Ctrl-C, `timeout`) has reached the program already. One that reaches the front alone
//! (`kill PID`) is passed on. Front and watcher tell the two apart by whether both have got it.

mod child;
mod front;
mod locate;
mod offer;
mod origin;
mod sys;
mod watcher;

use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::ForkResult;

pub use locate::{NoProgram, locate};

use super::helper::sys as process;
use super::run::Run;

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Program {
    /// The file to execute, as a shell would name it to execve(2).
    pub path: PathBuf,
    /// Its arguments, the name it sees itself under first.
    pub args: Vec<OsString>,
    /// Whether its standard output goes to standard error, because concmon's own output is a document.
    pub output_to_stderr: bool,
    /// Whether processes that outlive the program go on.
    pub detach: bool,
    /// Whether `import concmon_lab` works in it: its environment then differs by five variables.
    pub lab: bool,
}

/// Why the program did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The kernel refuses to execute the file.
    #[error("cannot be executed: {0}")]
    Exec(nix::errno::Errno),
    /// Something that concmon needs is not available.
    #[error("{0}: {1}")]
    Own(&'static str, io::Error),
}

/// Runs the program, hands the result to `report`, and ends this process as the program ended: with its exit code, or by its signal.
///
/// Must be called while the process has one thread.
///
/// # Errors
/// If the program could not be started; then nothing of it is left.
pub fn run(program: &Program, report: impl FnOnce(&Arc<Run>)) -> Result<std::convert::Infallible, StartError> {
    let refused = |what| move |errno: nix::errno::Errno| StartError::Own(what, errno.into());
    let mut mask = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut mask)).map_err(refused("cannot block signals"))?;
    let origin = origin::Origin::new(mask);
    // A process that ignores SIGCHLD gets no status of its children.
    sys::default_disposition(Signal::SIGCHLD);
    let (ours, theirs) = UnixStream::pair().map_err(|e| StartError::Own("cannot create a socket pair", e))?;
    if !program.detach {
        nix::sys::prctl::set_child_subreaper(true).map_err(refused("cannot become a subreaper"))?;
    }
    match process::fork().map_err(refused("cannot fork"))? {
        ForkResult::Parent { child } => {
            drop(theirs);
            front::stand(child, ours, program.detach)
        }
        ForkResult::Child => {
            drop(ours);
            let front = nix::unistd::getppid();
            // Wakes a stopped watcher, which then reads the end of the socket.
            let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGCONT);
            if !program.detach {
                nix::sys::prctl::set_child_subreaper(true).map_err(refused("cannot become a subreaper"))?;
            }
            let run = watcher::watch(program, &origin, front, theirs)?;
            report(&run);
            sys::end_as(run.root_status())
        }
    }
}

/// All signals that can be blocked, as a descriptor.
fn signals() -> nix::Result<SignalFd> {
    SignalFd::with_flags(&SigSet::all(), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}
