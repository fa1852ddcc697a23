//! `/proc/PID/task/TID/syscall` and `wchan` (proc_pid_syscall(5), proc_pid_wchan(5)): what a sleeping task waits for.
//!
//! The system call number is preferred: it is a stable interface, and its arguments name the descriptor or address. Names of kernel functions
//! change between releases; they are used where the system call is not readable.

use super::{Fields, signed};
use crate::snapshot::{Direction, Endpoint, WaitReason};

/// The line of `syscall`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyscallLine {
    /// It runs.
    Running,
    /// It sleeps outside a system call: in a fault, or it is a kernel thread.
    Outside,
    /// It sleeps in one.
    Inside {
        /// Number.
        number: u64,
        /// Arguments as in the registers.
        args: [u64; 6],
        /// Whether stack and program counter lie below 4 GiB, as those of a 32-bit program do: its numbers are another table's.
        narrow: bool,
    },
}

impl SyscallLine {
    /// Parses the line; `None` if it is none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        match fields.next()? {
            b"running" => Some(Self::Running),
            b"-1" => Some(Self::Outside),
            number => {
                let number = super::unsigned(number)?;
                let mut args = [0; 6];
                for arg in &mut args {
                    *arg = hexadecimal(fields.next()?)?;
                }
                let (stack, counter) = (hexadecimal(fields.next()?)?, hexadecimal(fields.next()?)?);
                let narrow = u32::try_from(stack).is_ok() && u32::try_from(counter).is_ok();
                Some(Self::Inside { number, args, narrow })
            }
        }
    }
}

fn hexadecimal(field: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(field.strip_prefix(b"0x")?).ok()?;
    // The digits alone: a sign would pass otherwise.
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// How a system call waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Futex,
    Read,
    Write,
    Epoll,
    Poll,
    Select,
    Nanosleep,
    Wait4,
    WaitId,
    Accept,
    Connect,
    Signal,
    Queue,
    Semaphore,
    AsyncIo,
    FileLock,
    Fcntl,
    /// Opening a file: waits at a FIFO, a device or a file system; the kernel function shows which.
    Open,
    Storage,
    /// Creating a process: waits only for a child that borrows its memory (vfork(2), posix_spawn(3)).
    Clone,
    /// A wait that continues after a signal stopped it (restart_syscall(2)): the kernel function shows which.
    Restart,
}

/// A system call that waits, with its numbers on x86_64 and on aarch64 (`None`: it does not exist there).
struct Call {
    name: &'static str,
    x86_64: Option<u64>,
    aarch64: Option<u64>,
    kind: Kind,
}

const fn call(name: &'static str, x86_64: Option<u64>, aarch64: Option<u64>, kind: Kind) -> Call {
    Call { name, x86_64, aarch64, kind }
}

/// Numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of the kernel.
const CALLS: &[Call] = &[
    call("read", Some(0), Some(63), Kind::Read),
    call("write", Some(1), Some(64), Kind::Write),
    call("open", Some(2), None, Kind::Open),
    call("poll", Some(7), None, Kind::Poll),
    call("pread64", Some(17), Some(67), Kind::Read),
    call("pwrite64", Some(18), Some(68), Kind::Write),
    call("readv", Some(19), Some(65), Kind::Read),
    call("writev", Some(20), Some(66), Kind::Write),
    call("select", Some(23), None, Kind::Select),
    call("pause", Some(34), None, Kind::Signal),
    call("nanosleep", Some(35), Some(101), Kind::Nanosleep),
    call("connect", Some(42), Some(203), Kind::Connect),
    call("accept", Some(43), Some(202), Kind::Accept),
    call("sendto", Some(44), Some(206), Kind::Write),
    call("recvfrom", Some(45), Some(207), Kind::Read),
    call("sendmsg", Some(46), Some(211), Kind::Write),
    call("recvmsg", Some(47), Some(212), Kind::Read),
    call("clone", Some(56), Some(220), Kind::Clone),
    call("vfork", Some(58), None, Kind::Clone),
    call("wait4", Some(61), Some(260), Kind::Wait4),
    call("semop", Some(65), Some(193), Kind::Semaphore),
    call("msgsnd", Some(69), Some(189), Kind::Queue),
    call("msgrcv", Some(70), Some(188), Kind::Queue),
    call("fcntl", Some(72), Some(25), Kind::Fcntl),
    call("flock", Some(73), Some(32), Kind::FileLock),
    call("fsync", Some(74), Some(82), Kind::Storage),
    call("fdatasync", Some(75), Some(83), Kind::Storage),
    call("rt_sigtimedwait", Some(128), Some(137), Kind::Signal),
    call("rt_sigsuspend", Some(130), Some(133), Kind::Signal),
    call("sync", Some(162), Some(81), Kind::Storage),
    call("futex", Some(202), Some(98), Kind::Futex),
    call("io_getevents", Some(208), Some(4), Kind::AsyncIo),
    call("restart_syscall", Some(219), Some(128), Kind::Restart),
    call("semtimedop", Some(220), Some(192), Kind::Semaphore),
    call("clock_nanosleep", Some(230), Some(115), Kind::Nanosleep),
    call("epoll_wait", Some(232), None, Kind::Epoll),
    call("mq_timedsend", Some(242), Some(182), Kind::Queue),
    call("mq_timedreceive", Some(243), Some(183), Kind::Queue),
    call("waitid", Some(247), Some(95), Kind::WaitId),
    call("openat", Some(257), Some(56), Kind::Open),
    call("pselect6", Some(270), Some(72), Kind::Select),
    call("ppoll", Some(271), Some(73), Kind::Poll),
    call("epoll_pwait", Some(281), Some(22), Kind::Epoll),
    call("accept4", Some(288), Some(242), Kind::Accept),
    call("preadv", Some(295), Some(69), Kind::Read),
    call("pwritev", Some(296), Some(70), Kind::Write),
    call("recvmmsg", Some(299), Some(243), Kind::Read),
    call("syncfs", Some(306), Some(267), Kind::Storage),
    call("sendmmsg", Some(307), Some(269), Kind::Write),
    call("io_pgetevents", Some(333), Some(292), Kind::AsyncIo),
    call("io_uring_enter", Some(426), Some(426), Kind::AsyncIo),
    call("clone3", Some(435), Some(435), Kind::Clone),
    call("epoll_pwait2", Some(441), Some(441), Kind::Epoll),
    call("futex_waitv", Some(449), Some(449), Kind::Futex),
    call("futex_wait", Some(455), Some(455), Kind::Futex),
];

/// Whose table of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// 64-bit x86.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

impl Machine {
    /// This one, if its table is known.
    pub const HERE: Option<Self> = if cfg!(target_arch = "x86_64") {
        Some(Self::X86_64)
    } else if cfg!(target_arch = "aarch64") {
        Some(Self::Aarch64)
    } else {
        None
    };

    fn find(self, number: u64) -> Option<&'static Call> {
        CALLS.iter().find(|c| (if self == Self::X86_64 { c.x86_64 } else { c.aarch64 }) == Some(number))
    }

    /// Name of a system call that waits.
    #[must_use]
    pub fn name(self, number: u64) -> Option<&'static str> {
        self.find(number).map(|c| c.name)
    }
}

/// What the system call waits for; `None` if it is not one of those known to wait, or does not tell by itself.
#[must_use]
pub fn reason_of_call(machine: Machine, number: u64, args: &[u64; 6]) -> Option<WaitReason> {
    let call = machine.find(number)?;
    let small = |arg: u64| u32::try_from(arg).ok();
    // A descriptor or pid is the register's lower half, as the kernel takes it.
    let int = |arg: u64| (arg & 0xffff_ffff) as u32 as i32;
    let io = |direction| WaitReason::Io { direction, what: Endpoint::Unknown, fd: Some(int(args[0])) };
    Some(match call.kind {
        Kind::Futex if call.name == "futex_waitv" => WaitReason::Futex { address: None },
        Kind::Futex => WaitReason::Futex { address: Some(args[0]) },
        Kind::Read => io(Direction::Read),
        Kind::Write => io(Direction::Write),
        Kind::Epoll => WaitReason::Epoll { fds: None },
        Kind::Poll => WaitReason::Poll { fds: small(args[1]) },
        Kind::Select => WaitReason::Select,
        Kind::Nanosleep => WaitReason::Nanosleep,
        Kind::Wait4 => WaitReason::Child { pid: Some(int(args[0])).filter(|pid| *pid > 0) },
        // P_PID is 1: waitid(2).
        Kind::WaitId => WaitReason::Child { pid: (int(args[0]) == 1).then(|| int(args[1])).filter(|pid| *pid > 0) },
        Kind::Accept => WaitReason::Accept,
        Kind::Connect => WaitReason::Connect,
        Kind::Signal => WaitReason::Signal,
        Kind::Queue => WaitReason::Queue,
        Kind::Semaphore => WaitReason::Semaphore { set: Some(int(args[0])) },
        Kind::AsyncIo => WaitReason::AsyncIo,
        Kind::FileLock => WaitReason::FileLock { holder: None },
        // F_SETLKW and F_OFD_SETLKW; the other commands do not wait.
        Kind::Fcntl if matches!(args[1], 7 | 38) => WaitReason::FileLock { holder: None },
        Kind::Storage => WaitReason::Storage,
        // CLONE_VFORK of clone(2); clone3(2) has its flags in memory, and there the kernel function shows it.
        Kind::Clone if call.name == "vfork" || (call.name == "clone" && args[0] & 0x4000 != 0) => WaitReason::Child { pid: None },
        Kind::Fcntl | Kind::Clone | Kind::Open | Kind::Restart => return None,
    })
}

/// The word of memory that a futex call waits at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Futex {
    /// In the process's own address space.
    pub address: u64,
    /// Whether the program says that no other process waits there: `FUTEX_PRIVATE_FLAG`, as threads' locks have it.
    pub private: bool,
}

/// The futex of a call that waits at one.
#[must_use]
pub fn futex(machine: Machine, number: u64, args: &[u64; 6]) -> Option<Futex> {
    // FUTEX_PRIVATE_FLAG and FUTEX2_PRIVATE are the same bit, of the operation or of the flags.
    const PRIVATE: u64 = 128;
    let flags = match machine.name(number)? {
        "futex" => args[1],
        "futex_wait" => args[3],
        _ => return None,
    };
    Some(Futex { address: args[0], private: flags & PRIVATE != 0 })
}

/// The descriptor whose kind says more of the wait.
#[must_use]
pub fn descriptor(machine: Machine, number: u64, args: &[u64; 6]) -> Option<i32> {
    let kind = machine.find(number)?.kind;
    let fd = (args[0] & 0xffff_ffff) as u32 as i32;
    (matches!(kind, Kind::Read | Kind::Write | Kind::Epoll) && fd >= 0).then_some(fd)
}

/// Makes the reason that a kernel function stands for.
type Reason = fn() -> WaitReason;

/// Beginnings of kernel functions that tasks sleep in, of many releases; the first that fits counts.
const FUNCTIONS: &[(&str, Reason)] = &[
    ("futex_", || WaitReason::Futex { address: None }),
    ("rt_mutex_futex", || WaitReason::Futex { address: None }),
    ("ep_poll", || WaitReason::Epoll { fds: None }),
    ("do_epoll_wait", || WaitReason::Epoll { fds: None }),
    ("poll_schedule_timeout", || WaitReason::Poll { fds: None }),
    ("do_poll", || WaitReason::Poll { fds: None }),
    ("do_sys_poll", || WaitReason::Poll { fds: None }),
    ("do_select", || WaitReason::Select),
    ("hrtimer_nanosleep", || WaitReason::Nanosleep),
    ("do_nanosleep", || WaitReason::Nanosleep),
    ("do_wait", || WaitReason::Child { pid: None }),
    // Asleep in there, a task waits for the child of its vfork.
    ("kernel_clone", || WaitReason::Child { pid: None }),
    ("wait_for_vfork_done", || WaitReason::Child { pid: None }),
    ("_do_fork", || WaitReason::Child { pid: None }),
    ("kernel_wait4", || WaitReason::Child { pid: None }),
    ("pipe_read", || io(Direction::Read, Endpoint::Pipe)),
    ("anon_pipe_read", || io(Direction::Read, Endpoint::Pipe)),
    ("fifo_pipe_read", || io(Direction::Read, Endpoint::Pipe)),
    ("pipe_write", || io(Direction::Write, Endpoint::Pipe)),
    ("anon_pipe_write", || io(Direction::Write, Endpoint::Pipe)),
    ("fifo_pipe_write", || io(Direction::Write, Endpoint::Pipe)),
    ("wait_for_partner", || WaitReason::Fifo),
    ("pipe_wait", || io(Direction::Read, Endpoint::Pipe)),
    ("eventfd_read", || io(Direction::Read, Endpoint::EventFd)),
    ("timerfd_read", || io(Direction::Read, Endpoint::TimerFd)),
    ("signalfd_", || io(Direction::Read, Endpoint::SignalFd)),
    ("inotify_read", || io(Direction::Read, Endpoint::Notify)),
    ("n_tty_read", || io(Direction::Read, Endpoint::Terminal)),
    ("unix_stream_read", || io(Direction::Read, Endpoint::Socket)),
    ("unix_stream_data_wait", || io(Direction::Read, Endpoint::Socket)),
    ("__skb_wait_for_more_packets", || io(Direction::Read, Endpoint::Socket)),
    ("sk_wait_data", || io(Direction::Read, Endpoint::Socket)),
    ("sk_stream_wait_memory", || io(Direction::Write, Endpoint::Socket)),
    ("sock_alloc_send_pskb", || io(Direction::Write, Endpoint::Socket)),
    ("inet_csk_accept", || WaitReason::Accept),
    ("do_sigtimedwait", || WaitReason::Signal),
    ("sigsuspend", || WaitReason::Signal),
    ("do_signal_stop", || WaitReason::Stopped),
    ("ptrace_stop", || WaitReason::Traced),
    ("do_msgrcv", || WaitReason::Queue),
    ("do_msgsnd", || WaitReason::Queue),
    ("__do_semtimedop", || WaitReason::Semaphore { set: None }),
    ("do_semtimedop", || WaitReason::Semaphore { set: None }),
    ("wq_sleep", || WaitReason::Queue),
    ("io_cqring_wait", || WaitReason::AsyncIo),
    ("read_events", || WaitReason::AsyncIo),
    ("locks_lock_inode_wait", || WaitReason::FileLock { holder: None }),
    ("flock_lock_inode_wait", || WaitReason::FileLock { holder: None }),
    ("posix_lock_inode_wait", || WaitReason::FileLock { holder: None }),
    ("io_schedule", || WaitReason::Storage),
    ("folio_wait", || WaitReason::Storage),
    ("jbd2_log_wait", || WaitReason::Storage),
    ("bit_wait_io", || WaitReason::Storage),
];

fn io(direction: Direction, what: Endpoint) -> WaitReason {
    WaitReason::Io { direction, what, fd: None }
}

/// What a task waits for in this kernel function; `None` if the name is not known.
#[must_use]
pub fn reason_of_function(name: &str) -> Option<WaitReason> {
    FUNCTIONS.iter().find(|(begin, _)| name.starts_with(begin)).map(|(_, make)| make())
}

/// What the target of `/proc/PID/fd/N` is.
#[must_use]
pub fn endpoint(target: &[u8]) -> Endpoint {
    let is = |begin: &[u8]| target.starts_with(begin);
    match () {
        () if is(b"pipe:") => Endpoint::Pipe,
        () if is(b"socket:") => Endpoint::Socket,
        () if is(b"anon_inode:[eventfd") => Endpoint::EventFd,
        () if is(b"anon_inode:[timerfd") => Endpoint::TimerFd,
        () if is(b"anon_inode:[signalfd") => Endpoint::SignalFd,
        () if is(b"anon_inode:inotify") || is(b"anon_inode:[fanotify") => Endpoint::Notify,
        () if is(b"/dev/pts/") || is(b"/dev/tty") || is(b"/dev/console") => Endpoint::Terminal,
        () if is(b"/") => Endpoint::File,
        () => Endpoint::Unknown,
    }
}

/// How long epoll_wait(2) and its kin wait at most, milliseconds: `u32::MAX` without a timeout. `None` for other calls, and where the
/// timeout is in memory.
#[must_use]
pub fn epoll_patience_ms(name: &str, args: &[u64; 6]) -> Option<u32> {
    match name {
        // Of the argument the low 32 bits count, as a signed number: none below zero.
        "epoll_wait" | "epoll_pwait" => Some(u32::try_from(args[3] as u32 as i32).unwrap_or(u32::MAX)),
        "epoll_pwait2" if args[3] == 0 => Some(u32::MAX),
        _ => None,
    }
}

/// Descriptors that an epoll instance listens to: `tfd:` lines of `/proc/PID/fdinfo/N` (proc_pid_fdinfo(5)). `None` for a damaged line.
pub fn epoll_targets(fdinfo: &[u8]) -> impl Iterator<Item = Option<i32>> {
    let targets = fdinfo.split(|b| *b == b'\n').filter_map(|line| line.strip_prefix(b"tfd:"));
    targets.map(|rest| Fields::new(rest).next().and_then(signed).and_then(|fd| i32::try_from(fd).ok()))
}

#[cfg(test)]
#[path = "syscall_tests.rs"]
mod tests;
