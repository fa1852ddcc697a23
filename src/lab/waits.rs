//! Waits of sleeping tasks, in one word each, as used in the shapes of systems.

use crate::kernel::parse::syscall::{Machine, SyscallLine, reason_of_call};
use crate::snapshot::{Direction, WaitReason};

/// The word for the contents of a `/proc/PID/task/TID/syscall` file; `None` for a task that runs, or waits for what has no word here.
#[must_use]
pub fn parse(line: &[u8]) -> Option<&'static str> {
    let SyscallLine::Inside { number, args, narrow: false } = SyscallLine::parse(line)? else { return None };
    Some(match reason_of_call(Machine::HERE?, number, &args)? {
        WaitReason::Futex { .. } => "futex",
        WaitReason::Epoll { .. } => "epoll",
        WaitReason::Poll { .. } | WaitReason::Select => "poll",
        WaitReason::Nanosleep => "sleep",
        WaitReason::Child { .. } => "child",
        WaitReason::Io { direction: Direction::Read, .. } => "read",
        WaitReason::Io { direction: Direction::Write, .. } => "write",
        WaitReason::Accept => "accept",
        WaitReason::Signal => "signal",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::libc;

    #[test]
    fn a_wait_has_its_word() {
        let line = |number: i64| format!("{number} 0x7f 0x80 0x0 0x0 0x0 0x0 0x7ffe00000000 0x7f1000000000");
        assert_eq!(parse(line(libc::SYS_futex).as_bytes()), Some("futex"));
        assert_eq!(parse(line(libc::SYS_read).as_bytes()), Some("read"));
        assert_eq!(parse(line(libc::SYS_epoll_pwait).as_bytes()), Some("epoll"));
        assert_eq!(parse(b"running"), None);
        assert_eq!(parse(b"-1 0x7ffe 0x7f1"), None, "blocked, but not in a system call");
        assert_eq!(parse(b""), None);
    }
}
