//! The helper: a single-threaded process between concmon and its runs. It launches, watches and ends them.
//!
//! It is two processes. The *guard* waits for the *supervisor* and kills all remaining processes if the supervisor ends:
//!
//! * concmon ends in any way: the supervisor reads the end of the control socket and kills every run;
//! * the supervisor is killed: the guard adopts the orphans (it is a subreaper) and kills them;
//! * the guard is killed: the supervisor gets SIGTERM (parent-death signal) and kills every run;
//! * both at once: run roots get SIGKILL (parent-death signal), and so do native workers when their creator ends.

pub(super) mod birth;
mod cgroup;
pub(super) mod family;
pub(super) mod objects;
pub(super) mod run;
pub(super) mod start;
mod supervisor;
pub(super) mod sys;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::unistd::{ForkResult, Pid, getpid};

use family::Step;

use crate::kernel::PidSpace;
use crate::lab::hidden::name_task;

/// Name of the lock in a helper's directory.
const LOCK: &str = "lock";
/// Longest the guard goes on killing.
const GUARD_PATIENCE: Duration = Duration::from_secs(10);

/// Entry of the helper process: its standard input is the control socket.
pub fn main() -> ExitCode {
    match prepare() {
        Ok(code) => code,
        // This is for a user who has started the entry in a shell; concmon sees the socket close.
        Err(error) => {
            eprintln!("the lab helper cannot start: {error}");
            ExitCode::from(3)
        }
    }
}

fn prepare() -> std::io::Result<ExitCode> {
    // It finds the processes to kill in /proc, by PIDs that must be its own namespace's. The launcher has asked the same before.
    let space = PidSpace::mounted().map_err(std::io::Error::other)?;
    if let Some(why) = space.refusal() {
        return Err(std::io::Error::other(why));
    }
    let control = sys::take_stdin()?;
    // Away from the terminal's process group: Ctrl-C is for concmon. It fails only for a group leader, which concmon never makes us.
    let _ = nix::unistd::setsid();
    nix::sys::prctl::set_child_subreaper(true)?;
    sweep_stale();
    cgroup::sweep();
    let (dir, _lock) = private_dir()?;
    let guard = getpid();
    match sys::fork()? {
        ForkResult::Parent { child } => {
            drop(control);
            name_task("lab guard");
            Ok(stand_guard(child, &dir))
        }
        ForkResult::Child => {
            name_task("lab helper");
            nix::sys::prctl::set_child_subreaper(true)?;
            let result = supervisor::run(control, &dir, guard);
            sys::exit_now(i32::from(result.is_err()))
        }
    }
}

/// Where private directories are made: the user's runtime directory, or the one for temporary files.
fn bases() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|p| p.is_absolute() && p.is_dir());
    runtime.into_iter().chain([std::env::temp_dir()]).collect()
}

/// A directory that only this user can enter (mkdtemp(3) makes it with mode 0700), for sockets and temporary files of runs, and the lock
/// that says that it is in use: guard and supervisor hold it until both have ended.
pub(super) fn private_dir() -> std::io::Result<(PathBuf, File)> {
    let mut result = Err(nix::errno::Errno::ENOENT);
    for base in bases() {
        result = nix::unistd::mkdtemp(&base.join("concmon-lab-XXXXXX"));
        if result.is_ok() {
            break;
        }
    }
    let dir = result?;
    let lock = File::create(dir.join(LOCK))?;
    lock.lock()?;
    Ok((dir, lock))
}

/// Removes what helpers have left behind that were killed together with their guards: directories whose lock no process holds any more.
pub(super) fn sweep_stale() {
    use std::os::unix::fs::MetadataExt;
    let me = nix::unistd::geteuid().as_raw();
    for entry in bases().iter().filter_map(|base| std::fs::read_dir(base).ok()).flatten().flatten() {
        let path = entry.path();
        let named = entry.file_name().as_encoded_bytes().starts_with(b"concmon-lab-");
        // Not through a link, and not of others.
        if named && std::fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir() && m.uid() == me) {
            let free = File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
            if free {
                objects::remove_of_helper(&path);
                let _ = std::fs::remove_dir_all(&path);
            }
        }
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
    end_descendants();
    cgroup::sweep();
    objects::remove_of_helper(dir);
    // Nothing is lost if it is gone already: the supervisor removes it when it ends as it should.
    let _ = std::fs::remove_dir_all(dir);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Kills everything below this process, which must be a subreaper, and waits until it has gone; ten seconds at most.
pub(super) fn end_descendants() {
    let until = Instant::now() + GUARD_PATIENCE;
    let mut order = family::Order::default();
    while Instant::now() < until {
        let left = family::descendants(&family::scan(), getpid().as_raw());
        if left.is_empty() {
            break;
        }
        match order.next(&left, Instant::now()) {
            Step::Stop(targets) => targets.iter().for_each(|target| _ = sys::stop(target)),
            Step::Kill(targets) => targets.iter().for_each(|target| _ = sys::kill(target)),
        }
        while sys::reap_one().is_some() {}
        std::thread::sleep(Duration::from_millis(1));
    }
}
