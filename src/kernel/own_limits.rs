//! What concmon's own control group and affinity leave it, and so what programs started beside it may use: in a container, what the
//! container may use.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::groups::detail::{cpuset_cpus, used_ns};
use super::groups::{Hierarchies, cpu_limit, memory_limit};
use super::proc_fs::{ProcFs, RelPath};
use super::treatment::treatment_at;
use crate::clock::{Clock as _, SystemClock};
use crate::snapshot::OwnLimits;

/// How often they are read.
const EVERY: Duration = Duration::from_secs(5);
const TEXT_BYTES: usize = 64 * 1024;

/// Reads them now and then; the CPU time that is used of them each time.
#[derive(Debug, Default)]
pub(super) struct LimitsReader {
    read: Option<(Instant, Limits)>,
}

/// The limits, and the directory of the group that has them.
#[derive(Debug, Default)]
struct Limits {
    limits: OwnLimits,
    /// Whether its files are those of version 2, and where CPU time is counted.
    counted: Option<(bool, PathBuf)>,
}

impl LimitsReader {
    /// As of the last seconds.
    pub(super) fn read(&mut self, root: &Path) -> OwnLimits {
        let read = match self.read.take() {
            Some((at, limits)) if at.elapsed() < EVERY => (at, limits),
            _ => (Instant::now(), ProcFs::open_tree(root).map(|fs| limits(&fs)).unwrap_or_default()),
        };
        let (_, Limits { limits, counted }) = self.read.insert(read);
        let used = counted.as_ref().and_then(|(unified, directory)| used_ns(directory, *unified));
        OwnLimits { cpu_used: used.map(|ns| (ns, SystemClock.boot_ns())), ..*limits }
    }
}

fn limits(fs: &ProcFs) -> Limits {
    let mounts = Hierarchies::read(fs);
    let mut text = Vec::new();
    if fs.read_all(&RelPath::top("self/cgroup"), TEXT_BYTES, &mut text).is_err() {
        return Limits::default();
    }
    let quota = mounts.line(&text, "cpu").and_then(|line| {
        let quotas =
            line.levels.iter().filter_map(|(path, directory)| Some((cpu_limit(directory, line.unified)?.quota_cpus, path)));
        let (cpus, path) = quotas.min_by(|a, b| a.0.total_cmp(&b.0))?;
        Some((cpus, Arc::clone(path)))
    });
    let affinity = treatment_at(fs, &RelPath::top("self/status")).cpus;
    // Only a cpuset confines all of the group's processes; taskset(1) may have confined concmon alone.
    let cpuset = mounts.line(&text, "cpuset").filter(|line| {
        let cpus = line.levels.first().and_then(|(_, directory)| cpuset_cpus(directory, line.unified));
        cpus.is_some() && cpus == affinity
    });
    let (affinity, cpuset) = (affinity.map(|cpus| cpus as f64), cpuset.map(|line| line.name));
    let (cpus, group) = match (quota, affinity) {
        (Some((quota, path)), affinity) if affinity.is_none_or(|affinity| quota <= affinity) => (Some(quota), Some(path)),
        (_, affinity) => (affinity, cpuset),
    };
    let counted = mounts.line(&text, "cpuacct").and_then(|line| {
        let (_, directory) = line.levels.into_iter().find(|(path, _)| Some(path) == group.as_ref())?;
        Some((line.unified, directory))
    });
    let memory = mounts.line(&text, "memory").and_then(|line| {
        let limits = line.levels.iter().filter_map(|(_, path)| memory_limit(path, line.unified));
        limits.min_by_key(|limit| limit.max)
    });
    let memory = memory.and_then(|limit| Some((limit.now?, limit.max)));
    Limits { limits: OwnLimits { cpus, cpu_used: None, memory }, counted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_used_is_that_of_the_group_whose_quota_or_cpuset_limits_most() {
        let dir = tempfile::tempdir().unwrap();
        let put = |file: &str, text: &str| {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("self/mountinfo", &format!("30 23 0:26 / {} rw - cgroup2 cgroup2 rw\n", dir.path().join("v2").display()));
        put("self/cgroup", "0::/pod/box\n");
        put("self/status", "Name:\tx\nCpus_allowed_list:\t0-3\n");
        put("v2/pod/cpu.max", "150000 100000\n");
        put("v2/pod/cpu.stat", "usage_usec 70\nnr_periods 1\nnr_throttled 0\nthrottled_usec 0\n");
        put("v2/pod/box/cpu.max", "max 100000\n");
        put("v2/pod/box/cpu.stat", "usage_usec 20\n");
        put("v2/pod/box/memory.max", "4096\n");
        put("v2/pod/box/memory.current", "1024\n");
        let read = || LimitsReader::default().read(dir.path());
        let limits = read();
        assert_eq!((limits.cpus, limits.memory), (Some(1.5), Some((1024, 4096))));
        assert_eq!(limits.cpu_used.map(|(ns, _)| ns), Some(70_000));
        // The affinity of concmon alone says nothing of the group.
        put("self/status", "Name:\tx\nCpus_allowed_list:\t0\n");
        assert_eq!((read().cpus, read().cpu_used), (Some(1.0), None));
        put("v2/pod/box/cpuset.cpus.effective", "0\n");
        assert_eq!((read().cpus, read().cpu_used.map(|(ns, _)| ns)), (Some(1.0), Some(20_000)));
    }
}
