//! What `status` says of a process beside its memory (proc_pid_status(5)): how it treats SIGTERM, its CPUs, its numbers.

use super::parse::{Fields, key_values, status};
use super::proc_fs::{ProcFs, RelPath};
use crate::snapshot::SigTerm;

/// The most of `status` that is read.
const STATUS_BYTES: usize = 64 * 1024;
const SIGTERM: u64 = 1 << 14;
/// Threads whose masks are looked at.
const MOST_THREADS: usize = 512;
/// Descriptors that are looked at.
const MOST_DESCRIPTORS: usize = 1024;

/// How a process treats signals, its CPUs, and whether it is an init.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Treatment {
    /// How SIGTERM is treated; `None`: by default or by a handler.
    pub sigterm: Option<SigTerm>,
    /// Signals that are ignored, bit N - 1 for signal N.
    pub ignored: u64,
    /// CPUs that the main thread may run on.
    pub cpus: Option<usize>,
    /// Whether it is PID 1 of its PID namespace.
    pub init: Option<bool>,
}

/// Reads it; nothing of a process that is gone.
#[must_use]
pub fn treatment(fs: &ProcFs, pid: i32) -> Treatment {
    let text = |path: &RelPath| {
        let mut bytes = Vec::new();
        fs.read_all(path, STATUS_BYTES, &mut bytes).ok().map(|()| bytes)
    };
    let Some(status) = text(&RelPath::process(pid, "status")) else { return Treatment::default() };
    let mut found = parse(&status);
    if found.sigterm.is_some_and(|how| how != SigTerm::Ignored) {
        // A signal to the process goes to any thread that does not block it.
        let mut tids = Vec::new();
        let listed = fs.list_tids(pid, &mut tids).is_ok() && tids.len() <= MOST_THREADS;
        let blocks = |tid: &i32| text(&RelPath::task(pid, *tid, "status")).is_none_or(|t| mask(&t, b"SigBlk") & SIGTERM != 0);
        let is_read = || found.sigterm == Some(SigTerm::Blocked) && reads_sigterm(fs, pid);
        if !listed || !tids.iter().all(blocks) || is_read() {
            found.sigterm = None;
        }
    }
    found
}

/// Whether a descriptor of the process takes SIGTERM although it is blocked (signalfd(2), `sigmask` of its `fdinfo`), or may: where the
/// descriptors cannot be read, that is not known.
fn reads_sigterm(fs: &ProcFs, pid: i32) -> bool {
    let (mut numbers, mut bytes) = (Vec::new(), Vec::new());
    if fs.list_fds(pid, &mut numbers).is_err() || numbers.len() > MOST_DESCRIPTORS {
        return true;
    }
    numbers.into_iter().any(|fd| {
        let is_signalfd = fs.read_link(&RelPath::descriptor(pid, fd)).is_ok_and(|target| *target == *b"anon_inode:[signalfd]");
        is_signalfd && {
            let read = fs.read_all(&RelPath::descriptor_info(pid, fd), STATUS_BYTES, &mut bytes);
            read.is_err() || mask(&bytes, b"sigmask") & SIGTERM != 0
        }
    })
}

/// What a file of this form says, of its one thread alone.
pub(super) fn treatment_at(fs: &ProcFs, path: &RelPath) -> Treatment {
    let mut bytes = Vec::new();
    fs.read_all(path, STATUS_BYTES, &mut bytes).map(|()| parse(&bytes)).unwrap_or_default()
}

/// The soft limit of open descriptors (proc_pid_limits(5)); `None` if there is none or it cannot be read.
#[must_use]
pub fn descriptor_limit_of(fs: &ProcFs, pid: i32) -> Option<u64> {
    let mut bytes = Vec::new();
    fs.read_all(&RelPath::process(pid, "limits"), STATUS_BYTES, &mut bytes).ok()?;
    let line = bytes.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"Max open files"))?;
    Fields::new(line).unsigned()
}

fn parse(status: &[u8]) -> Treatment {
    let sigterm = if mask(status, b"SigIgn") & SIGTERM != 0 {
        Some(SigTerm::Ignored)
    } else if mask(status, b"SigBlk") & SIGTERM != 0 {
        Some(if mask(status, b"ShdPnd") & SIGTERM != 0 { SigTerm::Pending } else { SigTerm::Blocked })
    } else {
        None
    };
    let numbers = key_values(status).find(|(key, _)| *key == b"NSpid").map(|(_, value)| value);
    let inner = numbers.and_then(|value| value.rsplit(|b| b.is_ascii_whitespace()).next());
    Treatment {
        sigterm,
        ignored: mask(status, b"SigIgn"),
        cpus: status::cpus_allowed(status).and_then(count),
        init: inner.map(|number| number == b"1"),
    }
}

fn mask(status: &[u8], name: &[u8]) -> u64 {
    let value = key_values(status).find(|(key, _)| *key == name).map(|(_, value)| value);
    value.and_then(|hex| u64::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()).unwrap_or(0)
}

/// CPUs in a list such as `0-3,8`.
pub(super) fn count(list: &str) -> Option<usize> {
    list.split(',').try_fold(0usize, |sum, part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
        Some(sum + to.checked_sub(from)? + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_cpus_and_numbers_are_read() {
        let status = |blocked: &str, ignored: &str, pending: &str| {
            format!(
                "Name:\tx\nNSpid:\t77\t1\nShdPnd:\t{pending}\nSigBlk:\t{blocked}\nSigIgn:\t{ignored}\nCpus_allowed_list:\t0-3,8\n"
            )
        };
        let (none, term) = ("0000000000000000", "0000000000004000");
        let of = |b, i, p| parse(status(b, i, p).as_bytes());
        assert_eq!(of(none, none, none), Treatment { sigterm: None, ignored: 0, cpus: Some(5), init: Some(true) });
        assert_eq!(of(none, term, none).sigterm, Some(SigTerm::Ignored));
        assert_eq!(of(term, none, none).sigterm, Some(SigTerm::Blocked));
        assert_eq!(of(term, none, term).sigterm, Some(SigTerm::Pending));
        assert_eq!(parse(b"").sigterm, None);
    }
}
