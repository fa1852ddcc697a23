#![expect(unsafe_code, reason = "ioprio_set(2) and ioprio_get(2) have no safe wrappers")]
//! CPU affinity and I/O priority of a process.
//!
//! The kernel keeps both per task; they are set for every task of the process. No call takes a pidfd, as for nice values: each task is
//! looked up below its process, and the pidfd is checked last.

use std::fmt;
use std::str::FromStr;

use rustix::thread::{CpuSet, sched_setaffinity};

use super::control::{ControlError, Target};

/// What a process can be given: CPUs, or a priority of its storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allotment {
    /// CPUs.
    Cpus(CpuList),
    /// When storage is served.
    Io(IoPriority),
}

/// CPUs in the kernel's own notation: `0-3,8` (cpuset(7), "List format"); ascending, each once, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuList(Vec<u32>);

/// The most that one call of the kernel's takes here.
const CPUS_MOST: u32 = CpuSet::MAX_CPU as u32;

impl FromStr for CpuList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let wrong = || format!("{:?} is not a CPU: write numbers and ranges, like 0-3,8", text.trim());
            let cpu: u32 = text.trim().parse().map_err(|_| wrong())?;
            if cpu < CPUS_MOST { Ok(cpu) } else { Err(format!("CPU {cpu} exceeds the maximum ({CPUS_MOST})")) }
        };
        let mut cpus = Vec::new();
        for part in text.split(',') {
            match part.split_once('-') {
                Some((first, last)) => {
                    let (first, last) = (number(first)?, number(last)?);
                    if first > last {
                        return Err(format!("{:?} is reversed: write the lower CPU first", part.trim()));
                    }
                    cpus.extend(first..=last);
                }
                None => cpus.push(number(part)?),
            }
        }
        cpus.sort_unstable();
        cpus.dedup();
        Ok(Self(cpus))
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_slice();
        let mut comma = "";
        while let Some(first) = rest.first().copied() {
            let run = (0u32..).zip(rest).take_while(|(at, cpu)| first + at == **cpu).count();
            let last = rest[run - 1];
            rest = &rest[run..];
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
            comma = ",";
        }
        Ok(())
    }
}

/// When the storage of a task is served (ioprio_set(2)); 0 is first of the eight levels of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoPriority {
    /// Before all others; needs CAP_SYS_ADMIN or CAP_SYS_NICE.
    RealTime(u8),
    /// As its level says; what tasks have from the start, 4 for a nice value of 0.
    BestEffort(u8),
    /// When no other task wants it.
    Idle,
}

impl IoPriority {
    /// Class and level as the kernel takes them (`IOPRIO_PRIO_VALUE`, include/uapi/linux/ioprio.h).
    fn value(self) -> libc::c_int {
        let (class, level) = match self {
            Self::RealTime(level) => (1, level),
            Self::BestEffort(level) => (2, level),
            Self::Idle => (3, 0),
        };
        class << 13 | libc::c_int::from(level)
    }
}

impl FromStr for IoPriority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let level = |text: &str| text.parse().ok().filter(|level| *level < 8);
        let priority = match words.as_slice() {
            ["idle"] => Some(Self::Idle),
            ["be", text] => level(text).map(Self::BestEffort),
            ["rt", text] => level(text).map(Self::RealTime),
            _ => None,
        };
        priority.ok_or_else(|| format!("{:?}: write be 0 to be 7, rt 0 to rt 7 (0 is highest), or idle", text.trim()))
    }
}

impl fmt::Display for IoPriority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RealTime(level) => write!(f, "rt {level}"),
            Self::BestEffort(level) => write!(f, "be {level}"),
            Self::Idle => f.write_str("idle"),
        }
    }
}

/// `IOPRIO_WHO_PROCESS` (include/uapi/linux/ioprio.h): the number is that of a task.
const WHO_PROCESS: libc::c_int = 1;

/// The CPUs that the main thread of a process may use.
///
/// # Errors
/// The reason, in words.
pub fn cpus_of(pid: i32) -> Result<CpuList, String> {
    let set = rustix::thread::sched_getaffinity(rustix::process::Pid::from_raw(pid)).map_err(|errno| errno.to_string())?;
    Ok(CpuList((0..CPUS_MOST).filter(|cpu| set.is_set(*cpu as usize)).collect()))
}

/// The I/O priority of the main thread of a process (ioprio_get(2)). One that was never set follows the nice value: best effort.
///
/// # Errors
/// The reason, in words.
pub fn io_priority_of(pid: i32) -> Result<IoPriority, String> {
    // SAFETY: takes two integers and touches no memory of ours.
    let value = unsafe { libc::syscall(libc::SYS_ioprio_get, WHO_PROCESS, pid) };
    if value < 0 {
        return Err(std::io::Error::last_os_error().to_string());
    }
    let level = (value & 7) as u8;
    Ok(match value >> 13 {
        1 => IoPriority::RealTime(level),
        3 => IoPriority::Idle,
        _ => IoPriority::BestEffort(level),
    })
}

impl Target {
    /// Gives the process what it is allotted.
    ///
    /// # Errors
    /// As [`Target::set_affinity`] and [`Target::set_io_priority`].
    pub fn allot(&self, what: &Allotment) -> Result<(), ControlError> {
        match what {
            Allotment::Cpus(cpus) => self.set_affinity(cpus),
            Allotment::Io(priority) => self.set_io_priority(*priority),
        }
    }

    /// Lets every task of the process run on these CPUs only.
    ///
    /// # Errors
    /// [`ControlError::NoSuchCpu`] if it may run on none of them, [`ControlError::Denied`], [`ControlError::Vanished`].
    pub fn set_affinity(&self, cpus: &CpuList) -> Result<(), ControlError> {
        let mut set = CpuSet::new();
        for cpu in &cpus.0 {
            set.set(*cpu as usize);
        }
        self.for_each_task(|tid| {
            let task = rustix::process::Pid::from_raw(tid);
            match sched_setaffinity(task, &set) {
                Err(rustix::io::Errno::INVAL) => Err(ControlError::NoSuchCpu { pid: self.key.pid, cpus: cpus.to_string() }),
                result => result.map_err(|errno| self.os_error(errno.into())),
            }
        })
    }

    /// Sets when the storage of every task of the process is served.
    ///
    /// # Errors
    /// [`ControlError::IoDenied`] if a class needs a privilege, [`ControlError::Denied`], [`ControlError::Vanished`].
    pub fn set_io_priority(&self, priority: IoPriority) -> Result<(), ControlError> {
        self.for_each_task(|tid| {
            // SAFETY: takes three integers and touches no memory of ours.
            let result = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, tid, priority.value()) };
            if result == 0 {
                return Ok(());
            }
            match std::io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::EPERM) && matches!(priority, IoPriority::RealTime(_)) => {
                    Err(ControlError::IoDenied { pid: self.key.pid })
                }
                error => Err(self.os_error(error)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_read_as_the_kernel_writes_them() {
        for (text, shown) in [("0", "0"), (" 3 , 0-1", "0-1,3"), ("2,1,0,2", "0-2"), ("0-3,8,10-11", "0-3,8,10-11")] {
            assert_eq!(text.parse::<CpuList>().unwrap().to_string(), shown);
        }
        for (text, why) in [
            ("", "not a CPU"),
            ("a", "not a CPU"),
            ("1-", "not a CPU"),
            ("3-1", "reversed"),
            ("0-99999999", "exceeds"),
            ("-1", "not a CPU"),
        ] {
            let error = text.parse::<CpuList>().unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn what_a_process_has_is_read() {
        let own = i32::try_from(std::process::id()).unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
        assert_eq!(cpus_of(own).unwrap().to_string(), allowed);
        assert!(io_priority_of(own).unwrap().to_string().parse::<IoPriority>().is_ok());
        assert!(cpus_of(i32::MAX).is_err() && io_priority_of(i32::MAX).is_err());
    }

    #[test]
    fn priorities_of_storage_are_a_class_and_a_level() {
        for text in ["be 0", "be 7", "rt 3", "idle"] {
            assert_eq!(text.parse::<IoPriority>().unwrap().to_string(), text);
        }
        for text in ["", "be", "be 8", "rt -1", "idle 3", "best 4", "be 4 x"] {
            assert!(text.parse::<IoPriority>().is_err(), "{text:?}");
        }
        assert_eq!(IoPriority::BestEffort(4).value(), 0x4004);
    }
}
