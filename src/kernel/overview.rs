//! Reads what the first page of the details says of a process: program, directory, waits, and how full its limits are.

use super::error::reason;
use super::groups::{Hierarchies, detail::groups};
use super::proc_fs::{ProcFs, RelPath};
use crate::snapshot::{GroupDetail, LimitUse, Overview, ThreadDetail};

/// Largest file read here: `limits` has less than 2 KiB.
const MOST_BYTES: usize = 16 * 1024;

/// Reads it; `threads` are the tasks that were looked at, `face` the thread whose files describe the process.
pub(super) fn read(fs: &ProcFs, face: i32, threads: Vec<ThreadDetail>) -> Overview {
    let link = |leaf: &str| fs.read_link(&RelPath::process(face, leaf)).map_err(|error| reason(&error));
    let mut limits = own_limits(fs, face);
    limits.extend(group_limits(fs, face, &Hierarchies::read(fs)));
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

/// The limits of the control groups and of the groups above them: for memory and tasks the one that is fullest.
fn group_limits(fs: &ProcFs, face: i32, mounts: &Hierarchies) -> Vec<LimitUse> {
    let mut bytes = Vec::new();
    if fs.read_all(&RelPath::process(face, "cgroup"), MOST_BYTES, &mut bytes).is_err() {
        return Vec::new();
    }
    let groups = groups(mounts, &bytes).unwrap_or_default();
    let fullest = |what, bytes, of: fn(&GroupDetail) -> Option<(u64, u64)>| {
        let uses = groups.iter().filter_map(of).map(|(used, most)| LimitUse { what, used, most, bytes });
        uses.max_by(|a, b| a.share().total_cmp(&b.share()))
    };
    let memory = fullest("memory of its control group", true, |group| Some((group.memory?, group.memory_max?)));
    let tasks = fullest("tasks of its control group", false, |group| Some((group.tasks?, group.tasks_max?)));
    let stopped = groups.iter().filter_map(|group| group.throttled).find(|throttled| throttled.stopped > 0);
    let quota = stopped.map(|t| LimitUse { what: LimitUse::THROTTLED, used: t.stopped, most: t.periods, bytes: false });
    [memory, tasks, quota].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
        write(&leaf, "cpu.max", "20000 100000\n");
        let proc = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(proc.path().join("7")).unwrap();
        let fs = ProcFs::open_tree(proc.path()).unwrap();
        let mounts = format!("30 23 0:26 / {} rw - cgroup2 cgroup2 rw\n", dir.path().display());
        let mounts = Hierarchies::parse(mounts.as_bytes());
        let found = |line: &str| {
            std::fs::write(proc.path().join("7/cgroup"), line).unwrap();
            group_limits(&fs, 7, &mounts).iter().map(|l| (l.what, l.used, l.most)).collect::<Vec<_>>()
        };
        let expected =
            [("memory of its control group", 90, 100), ("tasks of its control group", 5, 50), (LimitUse::THROTTLED, 30, 40)];
        assert_eq!(found("0::/app.slice/job.service\n"), expected);
        assert_eq!(found("0::/../elsewhere\n"), []);
        assert_eq!(found("4:memory:/x\n"), [], "no such hierarchy is mounted");
    }

    #[test]
    fn a_soft_limit_is_read_and_unlimited_is_none() {
        let limits = b"Limit   Soft Limit  Hard Limit Units\nMax open files            1024                 524288               files     \n\
            Max address space         unlimited            unlimited            bytes     \n";
        assert_eq!((soft(limits, "Max open files"), soft(limits, "Max address space")), (Some(1024), None));
    }
}
