//! Why a process was not changed: each reason as one sentence.

/// Why a process was left alone.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// It ended before it could be reached; its pid may be another process's by now.
    #[error("process {pid} has ended")]
    Vanished {
        /// The pid it had.
        pid: i32,
    },
    /// It has ended and waits to be reaped. The kernel accepts signals for it, but they have no effect.
    #[error("PID {pid} is a zombie: only its parent {parent} ({name}) can reap it")]
    Zombie {
        /// Its pid.
        pid: i32,
        /// The process that must wait for it.
        parent: i32,
        /// The parent's name, escaped.
        name: String,
    },
    /// The system refused.
    #[error("process {pid} ({name}) belongs to another user: permission denied; run concmon as that user or as root")]
    Denied {
        /// Its pid.
        pid: i32,
        /// Its name, escaped.
        name: String,
    },
    /// A lower nice value needs a privilege.
    #[error("lowering the nice value of process {pid} below {limit} needs CAP_SYS_NICE or a higher RLIMIT_NICE")]
    NiceDenied {
        /// Its pid.
        pid: i32,
        /// The lowest value allowed to this user.
        limit: i32,
    },
    /// The first process of the namespace that is shown, or of concmon's own.
    #[error("concmon does not signal init: everything in its PID namespace depends on it")]
    Init,
    /// concmon.
    #[error("process {pid} is concmon itself: quit with q")]
    Myself {
        /// Our pid.
        pid: i32,
    },
    /// A kernel thread.
    #[error("{name} ({pid}) is a kernel thread: it ignores signals, and the kernel sets its priority")]
    KernelThread {
        /// Its pid.
        pid: i32,
        /// Its name, escaped.
        name: String,
    },
    /// It may run on none of these CPUs.
    #[error("process {pid} cannot run on CPU {cpus}: not online, or not in its control group (cpuset(7))")]
    NoSuchCpu {
        /// Its pid.
        pid: i32,
        /// The CPUs.
        cpus: String,
    },
    /// The real-time class of storage needs a privilege.
    #[error("real-time I/O priority for process {pid} needs root (CAP_SYS_ADMIN or CAP_SYS_NICE)")]
    IoDenied {
        /// Its pid.
        pid: i32,
    },
    /// PIDs of the mounted `/proc` are those of another namespace, and it is not in concmon's own.
    #[error("process {pid} is out of reach: {why}")]
    OtherNamespace {
        /// Its pid, as `/proc` shows it.
        pid: i32,
        /// Why, and what to do ([`super::PidSpace::refusal`]).
        why: &'static str,
    },
    /// The task does not belong to the target.
    #[error("task {tid} is no longer a thread of process {pid}")]
    NoSuchTask {
        /// The process.
        pid: i32,
        /// The task.
        tid: i32,
    },
    /// This kernel has no pidfds (before 5.3).
    #[error("this kernel has no pidfd_open (Linux 5.3), without which signals could hit the wrong process")]
    Unsupported,
    /// Anything else.
    #[error("process {pid}: {source}")]
    Os {
        /// Its pid.
        pid: i32,
        /// The system's error.
        source: std::io::Error,
    },
}
