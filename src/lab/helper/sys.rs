//! System calls of the helper that nix does not wrap: pidfds, wait4 with its rusage, and the code between fork and exec.
#![expect(unsafe_code, reason = "pidfd_open, pidfd_send_signal, wait4, fork, close_range")]

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::{ForkResult, Pid};

use rustix::thread::{CapabilitySet, CapabilitySets};

use super::birth::Birth;
use super::family::Proc;
use crate::lab::control::Usage;

/// Kills one process. False if it has gone.
pub fn kill(target: &Proc) -> bool {
    signal(target, libc::SIGKILL)
}

/// Stops one process, as nothing can refuse. False if it has gone.
pub fn stop(target: &Proc) -> bool {
    signal(target, libc::SIGSTOP)
}

/// Signals one process by pidfd, after making sure that it is still the one that was seen. False if it has gone.
fn signal(target: &Proc, number: libc::c_int) -> bool {
    // SAFETY: takes two numbers, returns a descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, target.pid, 0) };
    let Ok(fd) = RawFd::try_from(fd) else { return false };
    if fd < 0 {
        return false;
    }
    // SAFETY: the kernel has just given us this descriptor.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // The descriptor holds the process that has the pid now; if the start time is the one seen, that is the one meant.
    if Proc::read(target.pid).is_none_or(|now| now.start != target.start) {
        return false;
    }
    // SAFETY: no pointer but a null siginfo is passed.
    let sent =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), number, std::ptr::null::<libc::siginfo_t>(), 0) };
    sent == 0
}

/// A child that has ended and been waited for.
pub struct Reaped {
    pub pid: i32,
    /// Raw wait status.
    pub status: u32,
    /// What it and all that it waited for have cost.
    pub usage: Usage,
    /// Most memory that it, or one of those that it waited for, has ever had resident (`ru_maxrss`, getrusage(2)).
    pub max_rss_bytes: u64,
}

/// What wait4(2) says of a child.
pub enum Change {
    Ended(Reaped),
    /// Which, and the signal that has stopped it.
    Stopped(i32, i32),
    Continued(i32),
}

/// One child that has ended: `None` if none has.
pub fn reap_one() -> Option<Reaped> {
    match wait4(libc::WNOHANG)? {
        Change::Ended(reaped) => Some(reaped),
        Change::Stopped(..) | Change::Continued(_) => None,
    }
}

/// One child that has ended, stopped, or been continued: `None` if none has.
pub fn wait_any() -> Option<Change> {
    wait4(libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED)
}

fn wait4(flags: libc::c_int) -> Option<Change> {
    let mut status = 0;
    // SAFETY: an all-zero rusage is valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the call.
    let pid = unsafe { libc::wait4(-1, &raw mut status, flags, &raw mut usage) };
    match () {
        () if pid <= 0 => None,
        () if libc::WIFSTOPPED(status) => Some(Change::Stopped(pid, libc::WSTOPSIG(status))),
        () if libc::WIFCONTINUED(status) => Some(Change::Continued(pid)),
        () => {
            let max_rss_bytes = positive(usage.ru_maxrss).saturating_mul(1024);
            Some(Change::Ended(Reaped { pid, status: status.cast_unsigned(), usage: Usage::from(&usage), max_rss_bytes }))
        }
    }
}

/// Sends a signal, real-time ones too, to a child that has not been waited for.
pub fn signal_child(pid: i32, number: i32) {
    // SAFETY: takes two numbers. A child that has just ended takes no signal, which is no failure.
    unsafe { libc::kill(pid, number) };
}

/// Whether this process has no children at all, dead ones included.
pub fn childless() -> bool {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT) == Err(Errno::ECHILD)
}

impl From<&libc::rusage> for Usage {
    fn from(u: &libc::rusage) -> Self {
        let ns = |t: libc::timeval| positive(t.tv_sec) * 1_000_000_000 + positive(t.tv_usec) * 1_000;
        Self {
            user_ns: ns(u.ru_utime),
            sys_ns: ns(u.ru_stime),
            minor_faults: positive(u.ru_minflt),
            major_faults: positive(u.ru_majflt),
            voluntary_switches: positive(u.ru_nvcsw),
            involuntary_switches: positive(u.ru_nivcsw),
        }
    }
}

fn positive(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// Forks the helper. Only called while the process has one thread.
pub fn fork() -> Result<ForkResult, Errno> {
    // SAFETY: the helper and its guard never create a thread, so the child may do anything.
    unsafe { nix::unistd::fork() }
}

/// What the child becomes.
pub struct Exec {
    /// File of a control group to move to first.
    pub group: Option<PathBuf>,
    pub path: CString,
    pub args: Vec<CString>,
    pub env: Vec<CString>,
    pub dir: CString,
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

impl Exec {
    /// In the child of a fork: a session of its own, everything of the helper's reset, and the program. Comes back only with an error.
    pub fn become_it(&self, helper: Pid, birth: Option<&Birth>) -> Result<Infallible, Errno> {
        nix::unistd::setsid()?;
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        if nix::unistd::getppid() != helper {
            return Err(Errno::ESRCH);
        }
        reset_signals()?;
        if let Some(group) = &self.group {
            // Where it is refused the run is held by its session and parents alone.
            let _ = std::fs::write(group, "0");
        }
        // The run, not the person's editor. Not allowed in some sandboxes, and then left alone.
        let _ = std::fs::write("/proc/self/oom_score_adj", "600");
        nix::unistd::dup2_stdin(&self.stdin)?;
        nix::unistd::dup2_stdout(&self.stdout)?;
        nix::unistd::dup2_stderr(&self.stderr)?;
        close_on_exec_from(3);
        limit_files(FileLimit::Own);
        give_up_privileges()?;
        nix::unistd::chdir(self.dir.as_c_str())?;
        if let Some(birth) = birth {
            birth.note();
        }
        nix::unistd::execve(&self.path, &self.args, &self.env)
    }
}

/// What a run keeps of root's capabilities: reading files, without which `sudo concmon` could not run an interpreter in a home directory.
const KEPT: CapabilitySet = CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::DAC_READ_SEARCH);

/// Leaves this process and all that it will execute without capabilities, also where the binary has some of its own (setcap(8)) and is
/// executed again: with `no_new_privs` an exec can only keep what there is (capabilities(7)).
fn give_up_privileges() -> Result<(), Errno> {
    let os = |errno: rustix::io::Errno| Errno::from_raw(errno.raw_os_error());
    let now = rustix::thread::capabilities(None).map_err(os)?;
    // Not known to kernels before 4.3, which have no such set.
    let _ = rustix::thread::clear_ambient_capability_set();
    let (effective, permitted) = (now.effective.intersection(KEPT), now.permitted.intersection(KEPT));
    let sets = CapabilitySets { effective, permitted, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).map_err(os)?;
    rustix::thread::set_no_new_privs(true).map_err(os)
}

fn reset_signals() -> Result<(), Errno> {
    // All zero is SIG_DFL with no flags and an empty mask in every architecture's `struct sigaction` of the kernel, which is no longer.
    let default = [0_u64; 8];
    for number in 1..=64 {
        // SAFETY: the kernel reads the struct, and is given nowhere to write. The system call itself, because the C library refuses its
        // own two signals, which may have been inherited as ignored. SIGKILL and SIGSTOP refuse, and need no reset.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), std::ptr::null_mut::<u64>(), 8) };
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

fn close_on_exec_from(first: libc::c_uint) {
    // SAFETY: takes numbers; marks descriptors only. Kernels before 5.11 refuse: there CLOEXEC at creation is what protects.
    unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// How many descriptors a process may have open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FileLimit {
    /// As many as allowed: the helper has a connection for each worker.
    Most,
    /// As it was when concmon started the helper: what a run is to see.
    Own,
}

static OWN_FILES: std::sync::OnceLock<u64> = std::sync::OnceLock::new();

/// Sets `RLIMIT_NOFILE`. A refusal leaves it as it is, which only bounds how many workers can report.
pub fn limit_files(limit: FileLimit) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let own = *OWN_FILES.get_or_init(|| soft);
    let _ = setrlimit(Resource::RLIMIT_NOFILE, if limit == FileLimit::Most { hard } else { own }, hard);
}

/// Takes over a standard descriptor that holds the control socket, leaving `/dev/null` in its place.
pub fn take_stdin() -> Result<OwnedFd, Errno> {
    let copy = nix::fcntl::fcntl(std::io::stdin(), nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(3))?;
    let null =
        nix::fcntl::open(c"/dev/null", nix::fcntl::OFlag::O_RDWR | nix::fcntl::OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())?;
    nix::unistd::dup2_stdin(&null)?;
    // SAFETY: F_DUPFD_CLOEXEC has just made this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Ends this process at once.
pub fn exit_now(code: i32) -> ! {
    crate::lab::native::exit_now(code)
}
