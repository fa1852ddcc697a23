//! What a task that sleeps waits for, in words, from the number of the system call it is in (`/proc/PID/task/TID/syscall`,
//! proc_pid_syscall(5)): the same on every kernel, unlike the names of kernel functions in `wchan`.

use nix::libc;

/// The word for system call `number`; `None` for one that has no word here.
#[must_use]
pub fn word(number: i64) -> Option<&'static str> {
    Some(match number {
        libc::SYS_futex => "futex",
        libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => "epoll",
        libc::SYS_read | libc::SYS_readv => "read",
        libc::SYS_recvfrom | libc::SYS_recvmsg => "receive",
        libc::SYS_accept | libc::SYS_accept4 => "accept",
        libc::SYS_clock_nanosleep | libc::SYS_nanosleep => "sleep",
        libc::SYS_wait4 | libc::SYS_waitid => "child",
        libc::SYS_ppoll | libc::SYS_pselect6 => "poll",
        libc::SYS_rt_sigsuspend | libc::SYS_rt_sigtimedwait => "signal",
        other => return older(other),
    })
}

/// Calls that newer architectures do without.
#[cfg(target_arch = "x86_64")]
fn older(number: i64) -> Option<&'static str> {
    Some(match number {
        libc::SYS_epoll_wait => "epoll",
        libc::SYS_poll | libc::SYS_select => "poll",
        libc::SYS_pause => "signal",
        _ => return None,
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn older(_: i64) -> Option<&'static str> {
    None
}

/// The word for the contents of a `syscall` file: `running`, or a number and six arguments.
#[must_use]
pub fn parse(text: &str) -> Option<&'static str> {
    word(text.split_ascii_whitespace().next()?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_has_its_word() {
        assert_eq!(parse(&format!("{} 0x7f 0x80 0x0 0x0 0x0 0x0 0x7ffe 0x7f1", libc::SYS_futex)), Some("futex"));
        assert_eq!(parse("running"), None);
        assert_eq!(parse("-1 0x7ffe 0x7f1"), None, "blocked, but not in a system call");
        assert_eq!(parse(""), None);
    }
}
