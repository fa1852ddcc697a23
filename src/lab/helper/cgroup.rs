//! A control group per run, where the user may create one (cgroups(7), version 2): it holds every process of the run regardless of sessions
//! and parents, limits their number, and kills them all in one write.
//!
//! Where there is none, the run's processes are found by walking the process table.

use std::path::{Path, PathBuf};

use crate::lab::catalog::Demand;

/// Pids a run may use beyond what its system is known to need.
const SPARE_PIDS: u64 = 256;

/// Memory a run may use beyond that, MiB: the page cache of what it reads counts too.
const SPARE_MB: u64 = 1024;
/// What a run is known to need is what its workers need to be there; libraries and allocators may take so many times as much.
const MARGIN: u64 = 4;

/// Where a run that has gone out of hand is stopped, bytes.
fn memory_max(most: &Demand) -> u64 {
    (most.total_mb() * MARGIN + SPARE_MB) << 20
}

/// The group of one run; removed when dropped, if it is empty by then.
pub struct Group {
    dir: PathBuf,
}

impl Group {
    /// Makes one below the helper's own group, for a run that may take so much, or anything; `None` where that is not allowed or version
    /// 2 is not mounted.
    pub fn create(run: u32, most: Option<&Demand>) -> Option<Self> {
        // `cgroup.kill` came with Linux 5.14; without it a group would only be in the way.
        let own = own_group()?;
        let dir = own.join(format!("concmon-lab-{}-{run}", std::process::id()));
        std::fs::create_dir(&dir).ok()?;
        let group = Self { dir };
        if !group.dir.join("cgroup.kill").exists() {
            return None;
        }
        // Only there if the group above hands the controller down; a bound more, not a condition.
        if let Some(most) = most {
            let _ = std::fs::write(group.dir.join("pids.max"), (most.tasks + SPARE_PIDS).to_string());
            let _ = std::fs::write(group.dir.join("memory.max"), memory_max(most).to_string());
        }
        Some(group)
    }

    /// The file to which a process writes `0` to move itself in.
    pub fn procs(&self) -> PathBuf {
        self.dir.join("cgroup.procs")
    }

    /// Kills everything inside (SIGKILL).
    pub fn kill(&self) {
        // If it fails the walk over the process table does the same.
        let _ = std::fs::write(self.dir.join("cgroup.kill"), "1");
    }

    /// Most memory the group has ever held, page cache included; `None` without the memory controller (or before Linux 5.19).
    pub fn memory_peak_bytes(&self) -> Option<u64> {
        std::fs::read_to_string(self.dir.join("memory.peak")).ok()?.trim().parse().ok()
    }

    /// Pids of the members, zombies not among them.
    pub fn members(&self) -> Vec<i32> {
        let text = std::fs::read_to_string(self.procs()).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.dir);
    }
}

/// Removes the groups that helpers have left which were killed: a group with a process in it cannot be removed, so those in use stay.
pub fn sweep() {
    let Some(entries) = own_group().and_then(|own| std::fs::read_dir(own).ok()) else { return };
    for entry in entries.flatten().filter(|e| e.file_name().as_encoded_bytes().starts_with(b"concmon-lab-")) {
        let _ = std::fs::remove_dir(entry.path());
    }
}

/// Where the version 2 hierarchy has this process: mounted alone, or beside version 1 under `unified`.
fn own_group() -> Option<PathBuf> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .into_iter()
        .map(|mount| Path::new(mount).join(path))
        .find(|dir| dir.join("cgroup.procs").exists())
}
