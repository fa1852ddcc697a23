//! Reads what the first page of the details says of a process: program, directory, waits, and how full its limits are.

use std::path::{Path, PathBuf};

use super::error::reason;
use super::proc_fs::{ProcFs, RelPath};
use crate::snapshot::{LimitUse, Overview, ThreadDetail};

/// The mount point of control groups (cgroups(7), version 2).
const CGROUPS: &str = "/sys/fs/cgroup";
/// Largest file read here: `limits` has less than 2 KiB.
const MOST_BYTES: usize = 16 * 1024;
/// The most levels of control groups that are looked at.
const MOST_LEVELS: usize = 32;

/// Reads it; `threads` are the tasks that were looked at, `face` the thread whose files describe the process.
pub(super) fn read(fs: &ProcFs, face: i32, threads: Vec<ThreadDetail>) -> Overview {
    let link = |leaf: &str| fs.read_link(&RelPath::process(face, leaf)).map_err(|error| reason(&error));
    let mut limits = own_limits(fs, face);
    if fs.root() == Path::new("/proc") {
        limits.extend(group_limits(fs, face, Path::new(CGROUPS)));
    }
    Overview { program: link("exe"), directory: link("cwd"), threads, limits }
}

/// The use of the process's own limits (getrlimit(2)) that have a counter: descriptors and address space.
fn own_limits(fs: &ProcFs, face: i32) -> Vec<LimitUse> {
    let mut bytes = Vec::new();
    if fs.read_all(&RelPath::process(face, "limits"), MOST_BYTES, &mut bytes).is_err() {
        return Vec::new();
    }
    let mut found = Vec::new();
    if let (Some(most), Ok(used)) = (soft(&bytes, "Max open files"), fs.count_fds(face)) {
        found.push(LimitUse { what: "open files", used: u64::from(used), most, bytes: false });
    }
    let mut statm = [0u8; 256];
    let pages = fs.read_once(&RelPath::process(face, "statm"), &mut statm).ok().and_then(number);
    if let (Some(most), Some(pages)) = (soft(&bytes, "Max address space"), pages) {
        let used = pages.saturating_mul(rustix::param::page_size() as u64);
        found.push(LimitUse { what: "address space", used, most, bytes: true });
    }
    found
}

/// The soft limit in a line of `/proc/PID/limits`; `None` if it is unlimited.
fn soft(limits: &[u8], name: &str) -> Option<u64> {
    let text = std::str::from_utf8(limits).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn number(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.split_whitespace().next()?.parse().ok()
}

/// The limits of the control group and of the groups above it: for memory and tasks the one that is fullest.
fn group_limits(fs: &ProcFs, face: i32, mounted: &Path) -> Vec<LimitUse> {
    let mut bytes = Vec::new();
    if fs.read_all(&RelPath::process(face, "cgroup"), MOST_BYTES, &mut bytes).is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let Some(path) = text.lines().find_map(|line| line.strip_prefix("0::/")) else { return Vec::new() };
    // Groups outside of the own cgroup namespace begin with "..": they are not below the mount point.
    if path.split('/').any(|part| part == "..") {
        return Vec::new();
    }
    let mut levels: Vec<PathBuf> = Vec::new();
    let mut at = mounted.join(path);
    while at.starts_with(mounted) && levels.len() < MOST_LEVELS {
        levels.push(at.clone());
        if !at.pop() {
            break;
        }
    }
    let pairs = [
        ("memory of its control group", "memory.current", "memory.max", true),
        ("tasks of its control group", "pids.current", "pids.max", false),
    ];
    let read = |level: &Path, leaf: &str| number(&std::fs::read(level.join(leaf)).ok()?);
    pairs
        .into_iter()
        .filter_map(|(what, now, most, bytes)| {
            let uses = levels
                .iter()
                .filter_map(|level| Some(LimitUse { what, used: read(level, now)?, most: read(level, most)?, bytes }));
            uses.max_by(|a, b| a.share().total_cmp(&b.share()))
        })
        .chain(throttled(&levels))
        .collect()
}

/// Scheduling periods in which the group had used up its CPU quota, of all periods (`cpu.stat`).
fn throttled(levels: &[PathBuf]) -> Option<LimitUse> {
    levels.iter().find_map(|level| {
        let stat = std::fs::read_to_string(level.join("cpu.stat")).ok()?;
        let value = |name: &str| stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        let (used, most) = (value("nr_throttled ")?, value("nr_periods ")?);
        (used > 0).then_some(LimitUse { what: LimitUse::THROTTLED, used, most, bytes: false })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_group_on_the_way_up_counts() {
        let dir = tempfile::tempdir().unwrap();
        let leaf = dir.path().join("app.slice/job.service");
        std::fs::create_dir_all(&leaf).unwrap();
        let write = |level: &Path, leaf: &str, text: &str| std::fs::write(level.join(leaf), text).unwrap();
        write(&leaf, "memory.current", "10\n");
        write(&leaf, "memory.max", "max\n");
        write(leaf.parent().unwrap(), "memory.current", "90\n");
        write(leaf.parent().unwrap(), "memory.max", "100\n");
        write(&leaf, "pids.current", "5\n");
        write(&leaf, "pids.max", "50\n");
        write(&leaf, "cpu.stat", "usage_usec 1\nnr_periods 40\nnr_throttled 30\n");
        let proc = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(proc.path().join("7")).unwrap();
        let fs = ProcFs::open_tree(proc.path()).unwrap();
        let found = |line: &str| {
            std::fs::write(proc.path().join("7/cgroup"), line).unwrap();
            group_limits(&fs, 7, dir.path()).iter().map(|l| (l.what, l.used, l.most)).collect::<Vec<_>>()
        };
        let expected =
            [("memory of its control group", 90, 100), ("tasks of its control group", 5, 50), (LimitUse::THROTTLED, 30, 40)];
        assert_eq!(found("0::/app.slice/job.service\n"), expected);
        assert_eq!(found("0::/../elsewhere\n"), []);
        assert_eq!(found("4:memory:/x\n"), [], "version 1 has none of these files");
    }

    #[test]
    fn a_soft_limit_is_read_and_unlimited_is_none() {
        let limits = b"Limit   Soft Limit  Hard Limit Units\nMax open files            1024                 524288               files     \n\
            Max address space         unlimited            unlimited            bytes     \n";
        assert_eq!((soft(limits, "Max open files"), soft(limits, "Max address space")), (Some(1024), None));
    }
}
