//! The numbers that one process has in several PID namespaces: `NSpid` of `/proc/PID/status` (proc_pid_status(5)), `Pid` of a pidfd's
//! `fdinfo` (`pidfd_show_fdinfo` in the kernel).

use super::{Fields, key_values, signed};

/// The numbers of `NSpid`, from the namespace of the `/proc` that is read down to the process's own; `None` if the line is missing
/// (kernels without PID namespaces) or damaged. It follows the list of groups, so the whole file is needed.
#[must_use]
pub fn namespace_pids(status: &[u8]) -> Option<Vec<i32>> {
    let (_, line) = key_values(status).find(|(key, _)| *key == b"NSpid")?;
    let numbers: Option<Vec<i32>> = Fields::new(line).map(positive).collect();
    numbers.filter(|numbers| !numbers.is_empty())
}

/// Which process a pidfd leads to, as the `/proc` sees it in which its `fdinfo` is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PidfdProcess {
    /// The one with this number there.
    Pid(i32),
    /// One that has been reaped (the kernel writes -1).
    Reaped,
    /// One that has no number in the namespace of that `/proc` (the kernel writes 0).
    NotThere,
}

impl PidfdProcess {
    /// From the descriptor's `fdinfo`; `None` if that is no pidfd's.
    #[must_use]
    pub fn parse(fdinfo: &[u8]) -> Option<Self> {
        let (_, value) = key_values(fdinfo).find(|(key, _)| *key == b"Pid")?;
        match signed(value)? {
            -1 => Some(Self::Reaped),
            0 => Some(Self::NotThere),
            pid => i32::try_from(pid).ok().filter(|pid| *pid > 0).map(Self::Pid),
        }
    }
}

fn positive(digits: &[u8]) -> Option<i32> {
    signed(digits).and_then(|number| i32::try_from(number).ok()).filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_process_go_from_the_outermost_namespace_inwards() {
        let of = |line: &str| namespace_pids(format!("Name:\tx\nGroups:\t1 2\n{line}\nThreads:\t1\n").as_bytes());
        assert_eq!(of("NSpid:\t4711"), Some(vec![4711]));
        assert_eq!(of("NSpid:\t4711\t12\t1"), Some(vec![4711, 12, 1]));
        assert_eq!(of("NSpid:\t4711\t12\t1 "), Some(vec![4711, 12, 1]));
        for bad in ["", "NSpid:", "NSpid:\t", "NSpid:\t0", "NSpid:\t-3", "NSpid:\t1\tx", "NSpid:\t99999999999", "NStgid:\t5"] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
        assert_eq!(namespace_pids(b"Name:\tNSpid:\t7\nPid:\t1\n"), None, "a name is no line");
        assert_eq!(namespace_pids(&[0xff; 64]), None);
    }

    #[test]
    fn a_pidfd_tells_whom_it_leads_to() {
        let of = |line: &str| PidfdProcess::parse(format!("pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t9\n{line}").as_bytes());
        assert_eq!(of("Pid:\t4711\nNSpid:\t4711\t3\n"), Some(PidfdProcess::Pid(4711)));
        assert_eq!(of("Pid:\t-1\nNSpid:\t-1\n"), Some(PidfdProcess::Reaped));
        assert_eq!(of("Pid:\t0\nNSpid:\t0\n"), Some(PidfdProcess::NotThere));
        for bad in ["", "Pid:", "Pid:\tx\n", "Pid:\t-2\n", "Pid:\t4294967297\n", "Pid:\t99999999999999999999\n", "pid:\t5\n"] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }
}
