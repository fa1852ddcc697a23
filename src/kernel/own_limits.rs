//! What concmon's own control group and affinity leave it, and so what programs started beside it may use: in a container, what the
//! container may use.

use std::path::Path;
use std::time::{Duration, Instant};

use super::groups::{Hierarchies, cpu_limit, memory_limit};
use super::proc_fs::{ProcFs, RelPath};
use super::treatment::treatment_at;
use crate::snapshot::OwnLimits;

/// How often they are read.
const EVERY: Duration = Duration::from_secs(5);
const TEXT_BYTES: usize = 64 * 1024;

/// Reads them now and then.
#[derive(Debug, Default)]
pub(super) struct LimitsReader {
    read: Option<(Instant, OwnLimits)>,
}

impl LimitsReader {
    /// As of the last seconds.
    pub(super) fn read(&mut self, root: &Path) -> OwnLimits {
        match self.read {
            Some((at, limits)) if at.elapsed() < EVERY => limits,
            _ => {
                let limits = ProcFs::open_tree(root).map(|fs| limits(&fs)).unwrap_or_default();
                self.read = Some((Instant::now(), limits));
                limits
            }
        }
    }
}

fn limits(fs: &ProcFs) -> OwnLimits {
    let mounts = Hierarchies::read(fs);
    let mut text = Vec::new();
    if fs.read_all(&RelPath::top("self/cgroup"), TEXT_BYTES, &mut text).is_err() {
        return OwnLimits::default();
    }
    let cpu = mounts.line(&text, "cpu").and_then(|line| {
        let quotas = line.levels.iter().filter_map(|(_, path)| Some(cpu_limit(path, line.unified)?.quota_cpus));
        quotas.min_by(f64::total_cmp)
    });
    let affinity = treatment_at(fs, &RelPath::top("self/status")).cpus.map(|cpus| cpus as f64);
    let memory = mounts.line(&text, "memory").and_then(|line| {
        let limits = line.levels.iter().filter_map(|(_, path)| memory_limit(path, line.unified));
        limits.min_by_key(|limit| limit.max)
    });
    OwnLimits {
        cpus: [cpu, affinity].into_iter().flatten().min_by(f64::total_cmp),
        memory: memory.and_then(|limit| Some((limit.now?, limit.max))),
    }
}
