//! The helper: a single-threaded process between concmon and its runs. It launches them, listens to them, watches over them, and sees to
//! it that nothing outlives them.
//!
//! It is two processes. The *guard* does nothing but wait for the *supervisor*, and kills whatever is left if that one ends. So:
//!
//! * concmon ends, however: the supervisor reads the end of the control socket and kills every run;
//! * the supervisor is killed: the guard adopts the orphans (it is a subreaper) and kills them;
//! * the guard is killed: the supervisor gets SIGTERM (parent-death signal) and kills every run;
//! * both at once: run roots get SIGKILL (parent-death signal), and so do native workers when their creator ends.

mod family;
mod run;
mod start;
mod supervisor;
mod sys;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::unistd::{ForkResult, Pid, getpid};

/// Longest the guard goes on killing.
const GUARD_PATIENCE: Duration = Duration::from_secs(10);

/// Entry of the helper process: its standard input is the control socket.
pub fn main() -> ExitCode {
    match prepare() {
        Ok(code) => code,
        // Nobody reads this but a person who has called the entry by hand; concmon sees the socket close.
        Err(error) => {
            eprintln!("the lab's helper could not start: {error}");
            ExitCode::from(3)
        }
    }
}

fn prepare() -> std::io::Result<ExitCode> {
    let control = sys::take_stdin()?;
    // Away from the terminal's process group: Ctrl-C is for concmon. It fails only for a group leader, which concmon never makes us.
    let _ = nix::unistd::setsid();
    nix::sys::prctl::set_child_subreaper(true)?;
    let dir = private_dir()?;
    let guard = getpid();
    match sys::fork()? {
        ForkResult::Parent { child } => {
            drop(control);
            Ok(stand_guard(child, &dir))
        }
        ForkResult::Child => {
            nix::sys::prctl::set_child_subreaper(true)?;
            let result = supervisor::run(control, &dir, guard);
            sys::exit_now(i32::from(result.is_err()))
        }
    }
}

/// A directory that only this user can enter, for sockets and temporary files of runs.
fn private_dir() -> std::io::Result<PathBuf> {
    let base = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|p| p.is_absolute() && p.is_dir());
    let made = base.and_then(|base| nix::unistd::mkdtemp(&base.join("concmon-lab-XXXXXX")).ok());
    match made {
        Some(dir) => Ok(dir),
        // mkdtemp(3) makes it with mode 0700.
        None => Ok(nix::unistd::mkdtemp(&std::env::temp_dir().join("concmon-lab-XXXXXX"))?),
    }
}

/// Waits for the supervisor, then leaves nothing behind.
fn stand_guard(supervisor: Pid, dir: &Path) -> ExitCode {
    let mut code = 1;
    loop {
        match nix::sys::wait::wait() {
            Ok(nix::sys::wait::WaitStatus::Exited(pid, status)) if pid == supervisor => {
                code = status;
                break;
            }
            Ok(status) if status.pid() == Some(supervisor) => break,
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => break,
        }
    }
    let until = Instant::now() + GUARD_PATIENCE;
    while Instant::now() < until {
        let left = family::descendants(&family::scan(), getpid().as_raw());
        if left.is_empty() {
            break;
        }
        for process in left.iter().filter(|p| !p.is_dead()) {
            sys::kill(process);
        }
        while sys::reap_one().is_some() {}
        std::thread::sleep(Duration::from_millis(1));
    }
    // Nothing is lost if it is gone already: the supervisor removes it when it ends as it should.
    let _ = std::fs::remove_dir_all(dir);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
