//! Limits and events of control groups, version 1, version 2 or both at once (cgroups(7), Documentation/admin-guide/cgroup-v2.rst and
//! cgroup-v1/). Every user may read the files. A group that this mount does not show is unknown.

pub(super) mod detail;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::parse::{unsigned, whole_lines};
use super::proc_fs::{ProcFs, RelPath};

/// The most of `mountinfo` that is read.
const MOUNTS_BYTES: usize = 1 << 20;
/// Limits of version 1 from here on mean that there is none.
const NO_LIMIT: u64 = 1 << 62;
/// Levels that are followed upwards.
const MOST_LEVELS: usize = 32;

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mounted {
    /// The group that the mount point shows.
    root: String,
    point: PathBuf,
}

/// The mounted hierarchies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hierarchies {
    unified: Option<Mounted>,
    /// By controller.
    old: HashMap<String, Mounted>,
}

/// The directories of a process's groups, leaf first, and the path of the leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Path of the group, as `/proc/PID/cgroup` has it.
    pub name: Arc<str>,
    /// Directories from the group up to the mount point, each with the path of its group.
    pub levels: Vec<(Arc<str>, PathBuf)>,
    /// Whether the files are those of version 2.
    pub unified: bool,
}

impl Hierarchies {
    /// Reads `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
    #[must_use]
    pub fn read(fs: &ProcFs) -> Self {
        let mut bytes = Vec::new();
        let read = fs.read_lines(&RelPath::top("self/mountinfo"), MOUNTS_BYTES, &mut bytes);
        read.map(|()| Self::parse(&bytes)).unwrap_or_default()
    }

    /// From the bytes of `mountinfo`.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut found = Self::default();
        for line in whole_lines(bytes).filter_map(|line| std::str::from_utf8(line).ok()) {
            let Some((before, after)) = line.split_once(" - ") else { continue };
            let (mut before, mut after) = (before.split(' ').skip(3), after.split(' '));
            let (Some(root), Some(point)) = (before.next(), before.next()) else { continue };
            let mounted = Mounted { root: unescaped(root), point: PathBuf::from(unescaped(point)) };
            match (after.next(), after.nth(1)) {
                (Some("cgroup2"), _) if found.unified.is_none() => found.unified = Some(mounted),
                (Some("cgroup"), Some(options)) => {
                    for controller in options.split(',').filter(|word| !matches!(*word, "rw" | "ro")) {
                        found.old.entry(controller.to_owned()).or_insert_with(|| mounted.clone());
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Where a process with this `/proc/PID/cgroup` has its group for a controller; `None` if this mount does not show it.
    #[must_use]
    pub fn line(&self, text: &[u8], controller: &str) -> Option<Line> {
        match self.old.get(controller) {
            Some(mounted) => line_of(mounted, Some(controller), text),
            None => line_of(self.unified.as_ref()?, None, text),
        }
    }

    /// The groups that may freeze a process. Version 2 needs no controller for it, so that it freezes beside version 1, too.
    #[must_use]
    pub fn freezers(&self, text: &[u8]) -> Vec<Line> {
        let old = self.old.get("freezer").and_then(|mounted| line_of(mounted, Some("freezer"), text));
        let unified = self.unified.as_ref().and_then(|mounted| line_of(mounted, None, text));
        old.into_iter().chain(unified).collect()
    }
}

/// The line of `/proc/PID/cgroup` for a controller of version 1, or for version 2, as directories of this mount; `None` if it does not show
/// the group.
fn line_of(mounted: &Mounted, controller: Option<&str>, text: &[u8]) -> Option<Line> {
    let path = whole_lines(text).find_map(|line| {
        let line = std::str::from_utf8(line).ok()?;
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let own = controller.map_or(number == "0", |wanted| controllers.split(',').any(|name| name == wanted));
        own.then_some(path)
    })?;
    // `..` leads out of concmon's own cgroup namespace.
    let below = if mounted.root == "/" { path } else { path.strip_prefix(mounted.root.as_str())? };
    if below.split('/').any(|part| part == "..") || !(below.is_empty() || below.starts_with('/')) {
        return None;
    }
    let parts: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
    let level = |count: usize| {
        let inner = parts[..count].join("/");
        let directory = if inner.is_empty() { mounted.point.clone() } else { mounted.point.join(&inner) };
        let name = format!("{}/{inner}", mounted.root.trim_end_matches('/'));
        (Arc::from(name), directory)
    };
    let levels: Vec<(Arc<str>, PathBuf)> = (0..=parts.len()).rev().take(MOST_LEVELS).map(level).collect();
    Some(Line { name: Arc::clone(&levels.first()?.0), levels, unified: controller.is_none() })
}

/// Spaces, tabs, newlines and backslashes are written as octal numbers.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// What a group says of its CPU time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CpuLimit {
    /// CPUs that the quota is worth.
    pub quota_cpus: f64,
    /// Periods in which it ran.
    pub periods: u64,
    /// Of these, periods in which it was stopped.
    pub throttled: u64,
    /// Time in which it was stopped, nanoseconds.
    pub throttled_ns: u64,
}

/// What a group says of its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryLimit {
    /// Bytes.
    pub max: u64,
    /// Bytes in use, caches included.
    pub now: Option<u64>,
    /// Processes killed because there was no memory, since the group was made.
    pub oom_kills: Option<u64>,
}

/// The quota of one directory; `None` if it has none or cannot be read.
#[must_use]
pub fn cpu_limit(directory: &Path, unified: bool) -> Option<CpuLimit> {
    let quota_cpus = if unified {
        parse_cpu_max(&text(&directory.join("cpu.max"))?)?
    } else {
        let quota: i64 = text(&directory.join("cpu.cfs_quota_us"))?.trim().parse().ok()?;
        let period: u64 = text(&directory.join("cpu.cfs_period_us"))?.trim().parse().ok()?;
        let quota = u64::try_from(quota).ok().filter(|quota| *quota > 0 && period > 0)?;
        quota as f64 / period as f64
    };
    let stat = text(&directory.join("cpu.stat"))?;
    let of = |key: &str| value(&stat, key);
    let throttled_ns = of("throttled_usec").map(|us| us.saturating_mul(1000)).or_else(|| of("throttled_time"));
    Some(CpuLimit {
        quota_cpus,
        periods: of("nr_periods")?,
        throttled: of("nr_throttled")?,
        throttled_ns: throttled_ns.unwrap_or(0),
    })
}

/// `30000 100000` is 0.3; `max 100000` is none.
fn parse_cpu_max(text: &str) -> Option<f64> {
    let mut fields = text.split_ascii_whitespace();
    let (quota, period): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (period > 0).then(|| quota as f64 / period as f64)
}

/// The memory limit of one directory; `None` if it has none or cannot be read.
#[must_use]
pub fn memory_limit(directory: &Path, unified: bool) -> Option<MemoryLimit> {
    let (max, now, events) = if unified {
        ("memory.max", "memory.current", "memory.events")
    } else {
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control")
    };
    let max = limit(directory, max)?;
    let oom_kills = text(&directory.join(events)).and_then(|text| value(&text, "oom_kill"));
    Some(MemoryLimit { max, now: number(directory, now), oom_kills })
}

/// Whether the processes of a directory are frozen; `None` if it does not say.
#[must_use]
pub fn is_frozen(directory: &Path, unified: bool) -> Option<bool> {
    if unified {
        return value(&text(&directory.join("cgroup.events"))?, "frozen").map(|frozen| frozen == 1);
    }
    Some(text(&directory.join("freezer.state"))?.trim() == "FROZEN")
}

fn text(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The number that a file consists of.
fn number(directory: &Path, file: &str) -> Option<u64> {
    unsigned(text(&directory.join(file))?.trim().as_bytes())
}

/// The same, if it is a limit.
fn limit(directory: &Path, file: &str) -> Option<u64> {
    number(directory, file).filter(|limit| *limit < NO_LIMIT)
}

/// The number behind a key at the beginning of a line.
fn value(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| unsigned(line.strip_prefix(key)?.strip_prefix(' ')?.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &[u8] = b"31 23 0:26 / /sys/fs/cgroup/cpu\\040x rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
        32 23 0:27 /docker/ab /sys/fs/cgroup/memory rw,relatime shared:1 - cgroup cgroup rw,memory\n\
        33 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn each_controller_is_looked_for_in_its_hierarchy() {
        let mounts = Hierarchies::parse(HYBRID);
        let text = b"5:memory:/docker/ab/in\n4:cpuacct,cpu:/a/b\n0::/u\n";
        let cpu = mounts.line(text, "cpu").unwrap();
        let paths: Vec<&str> = cpu.levels.iter().map(|(_, path)| path.to_str().unwrap()).collect();
        assert_eq!(paths, ["/sys/fs/cgroup/cpu x/a/b", "/sys/fs/cgroup/cpu x/a", "/sys/fs/cgroup/cpu x"]);
        assert_eq!((&*cpu.name, cpu.unified), ("/a/b", false));
        let memory = mounts.line(text, "memory").unwrap();
        assert_eq!(memory.levels[0].1, Path::new("/sys/fs/cgroup/memory/in"));
        assert_eq!(&*memory.levels[0].0, "/docker/ab/in");
        let [freezer] = &mounts.freezers(text)[..] else { panic!("version 1 has no freezer here") };
        assert!(freezer.unified && freezer.levels[0].1 == Path::new("/sys/fs/cgroup/unified/u"));
        let beside = [HYBRID, b"34 23 0:29 / /f rw - cgroup cgroup rw,freezer\n"].concat();
        let both = Hierarchies::parse(&beside).freezers(b"6:freezer:/a\n0::/u\n");
        assert_eq!(both.iter().map(|line| (&*line.name, line.unified)).collect::<Vec<_>>(), [("/a", false), ("/u", true)]);
        assert_eq!(mounts.line(b"5:memory:/other\n", "memory"), None, "not below what this mount shows");
        assert_eq!(mounts.line(b"0::/../x\n", "freezer"), None, "outside of this cgroup namespace");
    }

    #[test]
    fn limits_of_both_versions_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        put("cpu.max", "max 100000\n");
        assert_eq!(cpu_limit(dir.path(), true), None);
        put("cpu.max", "30000 100000\n");
        put("cpu.stat", "usage_usec 1\nnr_periods 187\nnr_throttled 186\nthrottled_usec 5000\n");
        let v2 = CpuLimit { quota_cpus: 0.3, periods: 187, throttled: 186, throttled_ns: 5_000_000 };
        assert_eq!(cpu_limit(dir.path(), true), Some(v2));
        put("cpu.cfs_quota_us", "-1\n");
        put("cpu.cfs_period_us", "100000\n");
        assert_eq!(cpu_limit(dir.path(), false), None);
        put("cpu.cfs_quota_us", "50000\n");
        put("cpu.stat", "nr_periods 10\nnr_throttled 4\nthrottled_time 77\n");
        let v1 = CpuLimit { quota_cpus: 0.5, periods: 10, throttled: 4, throttled_ns: 77 };
        assert_eq!(cpu_limit(dir.path(), false), Some(v1));
        put("memory.max", "max\n");
        assert_eq!(memory_limit(dir.path(), true), None);
        put("memory.max", "1048576\n");
        put("memory.events", "low 0\noom 2\noom_kill 3\noom_group_kill 0\n");
        assert_eq!(memory_limit(dir.path(), true), Some(MemoryLimit { max: 1 << 20, now: None, oom_kills: Some(3) }));
        put("memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(memory_limit(dir.path(), false), None);
        put("cgroup.events", "populated 1\nfrozen 1\n");
        put("freezer.state", "THAWED\n");
        assert_eq!((is_frozen(dir.path(), true), is_frozen(dir.path(), false)), (Some(true), Some(false)));
    }
}
