//! Reads what the control groups of a process say of themselves: its own groups, and those above them. With version 1, or both versions at
//! once, each controller may have its own tree; groups with the same path are one here.

use std::path::Path;
use std::sync::Arc;

use super::super::parse::machine::pressure;
use super::super::treatment::count;
use super::{Hierarchies, Line, cpu_limit, is_frozen, limit, number, text, value};
use crate::snapshot::{GroupDetail, GroupEvent, Pressure, Throttled, Weight};

/// The most devices whose limits are read.
const MOST_DEVICES: usize = 16;

/// Fills in what the directory of one controller says.
type Fill = fn(&Path, bool, &mut GroupDetail);

/// The controllers that are asked.
const CONTROLLERS: [(&str, Fill); 6] =
    [("cpu", cpu), ("cpuacct", cpu_time), ("cpuset", cpuset), ("memory", memory), ("pids", tasks), ("io", storage)];

/// Events of version 2: file, key, words.
const EVENTS: [(&str, &str, &str, &str); 6] = [
    ("memory.events", "high", "slowed down at memory.high", "memory.events high"),
    ("memory.events", "max", "memory limit reached", "memory.events max"),
    ("memory.events", "oom", "out of memory", "memory.events oom"),
    ("memory.events", "oom_kill", "processes killed for memory", "memory.events oom_kill"),
    ("memory.swap.events", "max", "swap limit reached", "memory.swap.events max"),
    ("pids.events", "max", "fork refused at pids.max", "pids.events max"),
];

/// The groups of a process with this `/proc/PID/cgroup`, deepest first. Those above the deepest ones are left out if they limit nothing.
///
/// # Errors
/// Why none of them could be looked at.
pub fn groups(mounts: &Hierarchies, cgroup: &[u8]) -> Result<Vec<GroupDetail>, String> {
    let mut found: Vec<GroupDetail> = Vec::new();
    let mut leaves: Vec<Arc<str>> = Vec::new();
    let freezers = mounts.freezers(cgroup).into_iter().map(|line| (line, freezer as Fill));
    let controllers = CONTROLLERS.iter().filter_map(|(controller, fill)| Some((mounts.line(cgroup, controller)?, *fill)));
    for (Line { name, levels, unified }, fill) in controllers.chain(freezers) {
        leaves.push(name);
        for (path, directory) in levels {
            let at = found.iter().position(|group| group.path == path).unwrap_or_else(|| {
                found.push(GroupDetail { path, ..GroupDetail::default() });
                found.len() - 1
            });
            fill(&directory, unified, &mut found[at]);
        }
    }
    if leaves.is_empty() {
        return Err("its control groups are outside of what is mounted here, so their limits cannot be read".to_owned());
    }
    found.retain(|group| group.limits_something() || leaves.contains(&group.path));
    let depth = |group: &GroupDetail| group.path.split('/').filter(|part| !part.is_empty()).count();
    // Stable: groups of one depth stay in the order of the controllers.
    found.sort_by_key(|group| std::cmp::Reverse(depth(group)));
    Ok(found)
}

fn freezer(directory: &Path, unified: bool, group: &mut GroupDetail) {
    group.frozen |= is_frozen(directory, unified) == Some(true);
}

fn cpu(directory: &Path, unified: bool, group: &mut GroupDetail) {
    if let Some(limit) = cpu_limit(directory, unified) {
        group.quota_cpus = Some(limit.quota_cpus);
        group.throttled = Some(Throttled { periods: limit.periods, stopped: limit.throttled, stopped_ns: limit.throttled_ns });
    }
    let (file, usual) = if unified { ("cpu.weight", 100) } else { ("cpu.shares", 1024) };
    group.weight = number(directory, file).map(|value| Weight { value, usual });
    if unified {
        group.pressure.cpu = stall(directory, "cpu.pressure");
    }
}

fn cpu_time(directory: &Path, unified: bool, group: &mut GroupDetail) {
    group.cpu_ns = used_ns(directory, unified);
}

/// CPU time that the processes of a directory used since it was made, nanoseconds.
#[must_use]
pub fn used_ns(directory: &Path, unified: bool) -> Option<u64> {
    if unified {
        value(&text(&directory.join("cpu.stat"))?, "usage_usec")?.checked_mul(1000)
    } else {
        number(directory, "cpuacct.usage")
    }
}

fn cpuset(directory: &Path, unified: bool, group: &mut GroupDetail) {
    group.cpuset = cpu_list(directory, unified);
}

fn cpu_list(directory: &Path, unified: bool) -> Option<Box<str>> {
    let files: &[&str] = if unified { &["cpuset.cpus.effective"] } else { &["cpuset.effective_cpus", "cpuset.cpus"] };
    let list = files.iter().find_map(|file| text(&directory.join(file)))?;
    Some(list.trim()).filter(|list| !list.is_empty()).map(Box::from)
}

/// How many CPUs the cpuset of a directory has; `None` if it has none or cannot be read.
#[must_use]
pub fn cpuset_cpus(directory: &Path, unified: bool) -> Option<usize> {
    count(&cpu_list(directory, unified)?)
}

fn memory(directory: &Path, unified: bool, group: &mut GroupDetail) {
    if unified {
        group.memory = number(directory, "memory.current");
        group.memory_max = limit(directory, "memory.max");
        group.memory_high = limit(directory, "memory.high");
        group.swap = number(directory, "memory.swap.current");
        group.swap_max = limit(directory, "memory.swap.max");
        group.pressure.memory = stall(directory, "memory.pressure");
        events(directory, "memory.events", group);
        events(directory, "memory.swap.events", group);
        return;
    }
    group.memory = number(directory, "memory.usage_in_bytes");
    group.memory_max = limit(directory, "memory.limit_in_bytes");
    let happened = |what, source, count: Option<u64>| Some(GroupEvent { what, source, count: count.filter(|count| *count > 0)? });
    let kills = text(&directory.join("memory.oom_control")).and_then(|text| value(&text, "oom_kill"));
    group.events.extend(happened("memory limit reached", "memory.failcnt", number(directory, "memory.failcnt")));
    group.events.extend(happened("processes killed for memory", "memory.oom_control oom_kill", kills));
}

fn tasks(directory: &Path, _unified: bool, group: &mut GroupDetail) {
    (group.tasks, group.tasks_max) = (number(directory, "pids.current"), limit(directory, "pids.max"));
    events(directory, "pids.events", group);
}

fn storage(directory: &Path, unified: bool, group: &mut GroupDetail) {
    if unified {
        group.pressure.io = stall(directory, "io.pressure");
        let lines = text(&directory.join("io.max")).unwrap_or_default();
        group.io_max = lines.lines().take(MOST_DEVICES).map(Box::from).collect();
    }
}

fn stall(directory: &Path, file: &str) -> Option<Pressure> {
    pressure(text(&directory.join(file))?.as_bytes())
}

fn events(directory: &Path, file: &str, group: &mut GroupDetail) {
    let Some(counts) = text(&directory.join(file)) else { return };
    for (_, key, what, source) in EVENTS.into_iter().filter(|(of, ..)| *of == file) {
        let count = value(&counts, key).filter(|count| *count > 0);
        group.events.extend(count.map(|count| GroupEvent { what, source, count }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn put(&self, file: &str, text: &str) {
            let path = self.0.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn mounts(&self, lines: &[(&str, &str)]) -> Hierarchies {
            let point = |name: &str| self.0.path().join(name).display().to_string();
            let line = |(name, kind): &(&str, &str)| format!("30 23 0:26 / {} rw,relatime - {kind}\n", point(name));
            Hierarchies::parse(lines.iter().map(line).collect::<String>().as_bytes())
        }
    }

    #[test]
    fn groups_of_version_2_are_read_up_to_the_mount_point() {
        let tree = Tree::new();
        tree.put("v2/cpu.stat", "usage_usec 900\n");
        tree.put("v2/a/pids.max", "max\n");
        tree.put("v2/a/pids.current", "12\n");
        tree.put("v2/a/b/cpu.max", "30000 100000\n");
        tree.put("v2/a/b/cpu.stat", "usage_usec 700\nnr_periods 10\nnr_throttled 8\nthrottled_usec 50\n");
        tree.put("v2/a/b/cpu.weight", "50\n");
        tree.put("v2/a/b/cpu.pressure", "some avg10=12.50 avg60=0.00 avg300=0.00 total=1\n");
        tree.put("v2/a/b/cpuset.cpus.effective", "0-1\n");
        tree.put("v2/a/b/memory.current", "1000\n");
        tree.put("v2/a/b/memory.max", "4000\n");
        tree.put("v2/a/b/memory.high", "max\n");
        tree.put("v2/a/b/memory.swap.current", "7\n");
        tree.put("v2/a/b/memory.swap.max", "0\n");
        tree.put("v2/a/b/memory.events", "low 0\nhigh 0\nmax 4\noom 1\noom_kill 1\n");
        tree.put("v2/a/b/pids.events", "max 2\n");
        tree.put("v2/a/b/cgroup.events", "populated 1\nfrozen 1\n");
        tree.put("v2/a/b/io.max", "8:0 rbps=1048576 wbps=max riops=max wiops=max\n");
        let found = groups(&tree.mounts(&[("v2", "cgroup2 cgroup2 rw")]), b"0::/a/b\n").unwrap();
        assert_eq!(found.len(), 1, "those above limit nothing: {found:#?}");
        let leaf = &found[0];
        assert_eq!((&*leaf.path, leaf.cpu_ns, leaf.quota_cpus), ("/a/b", Some(700_000), Some(0.3)));
        assert_eq!(leaf.throttled, Some(Throttled { periods: 10, stopped: 8, stopped_ns: 50_000 }));
        assert_eq!(leaf.weight, Some(Weight { value: 50, usual: 100 }));
        assert_eq!(
            (leaf.cpuset.as_deref(), leaf.memory, leaf.memory_max, leaf.memory_high),
            (Some("0-1"), Some(1000), Some(4000), None)
        );
        assert_eq!((leaf.swap, leaf.swap_max, leaf.frozen, leaf.io_max.len()), (Some(7), Some(0), true, 1));
        assert_eq!(leaf.pressure.cpu.unwrap().some_avg10, 12.5);
        let events: Vec<(&str, u64)> = leaf.events.iter().map(|event| (event.source, event.count)).collect();
        assert_eq!(
            events,
            [("memory.events max", 4), ("memory.events oom", 1), ("memory.events oom_kill", 1), ("pids.events max", 2)]
        );
    }

    #[test]
    fn of_both_versions_each_controller_is_read_where_it_is_and_paths_join_them() {
        let tree = Tree::new();
        tree.put("cpu/docker/ab/cpu.cfs_quota_us", "50000\n");
        tree.put("cpu/docker/ab/cpu.cfs_period_us", "100000\n");
        tree.put("cpu/docker/ab/cpu.stat", "nr_periods 4\nnr_throttled 1\nthrottled_time 9\n");
        tree.put("cpu/docker/ab/cpuacct.usage", "123\n");
        tree.put("memory/docker/ab/memory.limit_in_bytes", "9223372036854771712\n");
        tree.put("memory/docker/ab/memory.usage_in_bytes", "5\n");
        tree.put("memory/docker/memory.limit_in_bytes", "4096\n");
        tree.put("memory/docker/memory.failcnt", "3\n");
        tree.put("memory/docker/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
        tree.put("unified/u/cgroup.events", "populated 1\nfrozen 0\n");
        tree.put("unified/u/io.pressure", "some avg10=1.00 avg60=0 avg300=0 total=1\nfull avg10=0.50 avg60=0 avg300=0 total=1\n");
        let mounts = tree.mounts(&[
            ("cpu", "cgroup cgroup rw,cpu,cpuacct"),
            ("memory", "cgroup cgroup rw,memory"),
            ("unified", "cgroup2 cgroup2 rw"),
        ]);
        let found = groups(&mounts, b"4:cpu,cpuacct:/docker/ab\n3:memory:/docker/ab\n0::/u\n").unwrap();
        let paths: Vec<&str> = found.iter().map(|group| &*group.path).collect();
        assert_eq!(paths, ["/docker/ab", "/docker", "/u"]);
        assert_eq!(
            (found[0].quota_cpus, found[0].cpu_ns, found[0].memory, found[0].memory_max),
            (Some(0.5), Some(123), Some(5), None)
        );
        assert_eq!((found[1].memory_max, found[1].events.len()), (Some(4096), 2));
        assert_eq!(found[2].pressure.io.unwrap().full_avg10, 0.5);
        assert!(groups(&mounts, b"0::/../x\n").unwrap_err().contains("outside"));
    }

    #[test]
    fn files_with_anything_in_them_are_no_limits() {
        let tree = Tree::new();
        for file in ["cpu.max", "cpu.stat", "cpu.weight", "memory.max", "memory.events", "pids.max", "io.max", "cpu.pressure"] {
            tree.put(&format!("v2/x/{file}"), "\u{1b}[31m -1 99999999999999999999999\n\n\t");
        }
        let found = groups(&tree.mounts(&[("v2", "cgroup2 cgroup2 rw")]), b"0::/x\n").unwrap();
        assert_eq!((found[0].quota_cpus, found[0].memory_max, found[0].tasks_max), (None, None, None));
    }
}
