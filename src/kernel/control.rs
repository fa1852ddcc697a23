#![expect(unsafe_code, reason = "setpriority on a task has no safe wrapper")]
//! Changes other processes: signals through pidfds, nice values. No function acts on a bare PID, which may be reused or another process's in
//! another PID namespace: a [`Target`] is opened first, and its identity is checked after it is held.

pub use super::control_error::ControlError;
pub use super::signals::{Signal, signals};

use super::error::ReadError;
use super::hold::Hold;
use super::parse::stat::Stat;
use super::pid_space::{PidSpace, STATUS_BYTES};
use super::proc_fs::{ProcFs, RelPath};
use crate::snapshot::{Comm, ProcKey};

/// A process held fast: even if its pid is used again, this is the process or it has ended.
#[derive(Debug)]
pub struct Target {
    /// Identity.
    pub key: ProcKey,
    /// Name at the moment it was frozen. Hostile bytes: sanitise before drawing.
    pub comm: Comm,
    hold: Hold,
}

/// Where processes are looked up.
const PROC: &str = "/proc";

/// Opens a pidfd for `key` and makes sure that it is that process: not one that got its pid later, and not one that has the same pid in
/// another PID namespace than that of `/proc`. A process of another namespace is held by its directory in `/proc`.
///
/// # Errors
/// [`ControlError::Vanished`] if it is gone, [`ControlError::Zombie`] if its parent has not taken note of that,
/// [`ControlError::OtherNamespace`] if it is outside of concmon's namespace; a clear refusal for init, concmon itself and kernel threads.
pub fn freeze(key: ProcKey) -> Result<Target, ControlError> {
    let pid = key.pid;
    let (fs, space) = open_proc(pid)?;
    if pid == 1 {
        return Err(ControlError::Init);
    }
    if space.myself() == Some(pid) {
        return Err(ControlError::Myself { pid });
    }
    let vanished = ControlError::Vanished { pid };
    if pid <= 0 {
        return Err(vanished);
    }
    let hold = match space.refusal() {
        None => Hold::pidfd(&fs, pid)?,
        Some(why) => Hold::directory(&fs, pid, why)?,
    };
    // Only after it is held: from here on the pid cannot be given away without that showing.
    let stat = read_stat(&fs, &RelPath::process(pid, "stat"), pid)?;
    if stat.start_ticks != key.start_ticks {
        return Err(vanished);
    }
    if stat.kernel_thread {
        return Err(ControlError::KernelThread { pid, name: printable(&stat.comm) });
    }
    let mut status = Vec::new();
    let known = fs.read_all(&RelPath::process(pid, "status"), STATUS_BYTES, &mut status);
    if known.is_ok() && space.is_own_init(&status) {
        return Err(ControlError::Init);
    }
    let target = Target { key, comm: stat.comm, hold };
    if target.alive() { Ok(target) } else { Err(target.ended(&fs)) }
}

/// The mounted `/proc`, and how its PIDs relate to concmon's own.
fn open_proc(pid: i32) -> Result<(ProcFs, PidSpace), ControlError> {
    let fs = ProcFs::open(PROC).map_err(|error| in_control(error, pid))?;
    let space = PidSpace::of(&fs).map_err(|error| in_control(error, pid))?;
    Ok((fs, space))
}

fn in_control(error: ReadError, pid: i32) -> ControlError {
    match error {
        ReadError::Vanished => ControlError::Vanished { pid },
        ReadError::Denied { .. } => ControlError::Denied { pid, name: "name hidden".to_owned() },
        other => ControlError::Os { pid, source: std::io::Error::other(other) },
    }
}

fn read_stat(fs: &ProcFs, path: &RelPath, pid: i32) -> Result<Stat, ControlError> {
    let mut buffer = [0; 4096];
    let bytes = fs.read_once(path, &mut buffer).map_err(|error| in_control(error, pid))?;
    Stat::parse(bytes).map_err(|what| ControlError::Os { pid, source: std::io::Error::other(what) })
}

/// A name for an error message.
fn printable(comm: &Comm) -> String {
    comm.as_bytes().escape_ascii().to_string()
}

impl Target {
    /// Whether it has not ended (a zombie has).
    #[must_use]
    pub fn alive(&self) -> bool {
        self.hold.alive()
    }

    /// Why nothing can be done with it any more: it is gone, or its parent has not taken note of its end.
    fn ended(&self, fs: &ProcFs) -> ControlError {
        let pid = self.key.pid;
        let stat = |pid| read_stat(fs, &RelPath::process(pid, "stat"), pid);
        match stat(pid) {
            Ok(own) if own.start_ticks == self.key.start_ticks && own.is_over() => {
                let name = stat(own.ppid).map_or_else(|_| "name hidden".to_owned(), |parent| printable(&parent.comm));
                ControlError::Zombie { pid, parent: own.ppid, name }
            }
            _ => ControlError::Vanished { pid },
        }
    }

    /// Sends `signal` to exactly this process.
    ///
    /// # Errors
    /// [`ControlError::Vanished`] or [`ControlError::Zombie`] if it has ended, [`ControlError::Denied`] if it is another user's.
    pub fn signal(&self, signal: Signal) -> Result<(), ControlError> {
        if !self.alive() {
            let (fs, _) = open_proc(self.key.pid)?;
            return Err(self.ended(&fs));
        }
        self.hold.send(signal.number()).map_err(|error| self.os_error(error))
    }

    /// Sets the nice value of one task, or of every task of the process if `tid` is `None` (the kernel keeps it per task).
    /// Values beyond -20..=19 are brought into that range.
    ///
    /// # Errors
    /// [`ControlError::NiceDenied`] if the user may not go that low, [`ControlError::NoSuchTask`], [`ControlError::Vanished`],
    /// [`ControlError::OtherNamespace`].
    pub fn set_nice(&self, tid: Option<i32>, nice: i32) -> Result<(), ControlError> {
        match tid {
            Some(tid) => {
                self.is_task(&self.own_proc()?, tid)?;
                self.renice(tid, nice)
            }
            None => self.for_each_task(|tid| self.renice(tid, nice)),
        }
    }

    /// The mounted `/proc`, if the numbers of tasks in it are those that system calls take.
    fn own_proc(&self) -> Result<ProcFs, ControlError> {
        let pid = self.key.pid;
        let (fs, space) = open_proc(pid)?;
        match space.refusal().or(self.hold.refusal()) {
            Some(why) => Err(ControlError::OtherNamespace { pid, why }),
            None => Ok(fs),
        }
    }

    /// Acts on every task of the process, each of which is made sure of just before.
    ///
    /// # Errors
    /// The first one; a thread that ended meanwhile is no failure of the whole.
    pub(super) fn for_each_task(&self, act: impl Fn(i32) -> Result<(), ControlError>) -> Result<(), ControlError> {
        let pid = self.key.pid;
        let fs = self.own_proc()?;
        let mut tids = Vec::new();
        fs.list_tids(pid, &mut tids).map_err(|_| ControlError::Vanished { pid })?;
        let results = tids.iter().map(|tid| match self.is_task(&fs, *tid).and_then(|()| act(*tid)) {
            // Of a task that was there a moment ago: it is the thread that has ended, unless the process has.
            Err(ControlError::Vanished { .. }) if self.alive() => Err(ControlError::NoSuchTask { pid, tid: *tid }),
            result => result,
        });
        results.filter(|result| !matches!(result, Err(ControlError::NoSuchTask { .. }))).collect()
    }

    /// Whether this task belongs to the process, which is still there. There are no calls that take pidfds for what follows: the task is
    /// looked up below its process and the pidfd asked last, so that only a pid reused within these microseconds could be hit.
    fn is_task(&self, fs: &ProcFs, tid: i32) -> Result<(), ControlError> {
        let pid = self.key.pid;
        match read_stat(fs, &RelPath::task(pid, tid, "stat"), pid) {
            Ok(_) if self.alive() => Ok(()),
            Ok(_) => Err(self.ended(fs)),
            Err(ControlError::Vanished { .. }) if self.alive() => Err(ControlError::NoSuchTask { pid, tid }),
            Err(error) => Err(error),
        }
    }

    fn renice(&self, tid: i32, nice: i32) -> Result<(), ControlError> {
        let pid = self.key.pid;
        let who = libc::id_t::try_from(tid).map_err(|_| ControlError::NoSuchTask { pid, tid })?;
        // SAFETY: takes three integers and touches no memory of ours.
        let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, who, nice.clamp(-20, 19)) };
        if result == 0 {
            return Ok(());
        }
        match std::io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EACCES) => Err(ControlError::NiceDenied { pid, limit: nice_floor() }),
            error if error.raw_os_error() == Some(libc::ESRCH) => Err(ControlError::NoSuchTask { pid, tid }),
            error => Err(self.os_error(error)),
        }
    }

    /// The system's refusal in the words of this module.
    pub(super) fn os_error(&self, error: std::io::Error) -> ControlError {
        let pid = self.key.pid;
        match error.raw_os_error() {
            Some(libc::ESRCH) => ControlError::Vanished { pid },
            Some(libc::EPERM | libc::EACCES) => ControlError::Denied { pid, name: printable(&self.comm) },
            Some(libc::ENOSYS) => ControlError::Unsupported,
            _ => ControlError::Os { pid, source: error },
        }
    }
}

/// The lowest nice value an unprivileged user may set (`RLIMIT_NICE` n stands for 20 - n, setrlimit(2)).
fn nice_floor() -> i32 {
    let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NICE).map_or(0, |(soft, _)| soft.min(40));
    (20 - i32::try_from(limit).unwrap_or(0)).min(19)
}
