//! The control groups of processes over time: what each did between two surveys.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use crate::kernel::groups::{CpuLimit, Hierarchies, MemoryLimit, cpu_limit, is_frozen, memory_limit};
use crate::snapshot::GroupFacts;

/// The groups that limit a process.
#[derive(Debug, Clone, Default)]
pub(super) struct Member {
    pub cpu: Option<Arc<str>>,
    pub memory: Option<Arc<str>>,
    pub frozen: Option<Arc<str>>,
}

/// What is known of groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    mounts: Hierarchies,
    cpu_before: HashMap<PathBuf, CpuLimit>,
    oom_first: HashMap<PathBuf, u64>,
    cpu: HashMap<PathBuf, Option<CpuLimit>>,
    memory: HashMap<PathBuf, Option<MemoryLimit>>,
    frozen: HashMap<PathBuf, bool>,
    /// By the text of `/proc/PID/cgroup`.
    members: HashMap<Vec<u8>, Member>,
    facts: BTreeMap<Arc<str>, GroupFacts>,
}

impl Groups {
    pub(super) fn new(mounts: Hierarchies) -> Self {
        Self { mounts, ..Self::default() }
    }

    /// A new survey begins.
    pub(super) fn begin(&mut self) {
        let known = self.cpu.drain().filter_map(|(path, limit)| Some((path, limit?)));
        self.cpu_before = known.collect();
        self.memory.clear();
        self.frozen.clear();
        self.members.clear();
        self.facts.clear();
    }

    /// The groups of a process with this `/proc/PID/cgroup`.
    pub(super) fn of(&mut self, text: &[u8]) -> Member {
        if let Some(member) = self.members.get(text) {
            return member.clone();
        }
        let member = Member { cpu: self.cpu(text), memory: self.memory(text), frozen: self.frozen(text) };
        self.members.insert(text.to_vec(), member.clone());
        member
    }

    /// What the groups did; the survey is over.
    pub(super) fn facts(&mut self) -> BTreeMap<Arc<str>, GroupFacts> {
        std::mem::take(&mut self.facts)
    }

    fn cpu(&mut self, text: &[u8]) -> Option<Arc<str>> {
        let line = self.mounts.line(text, "cpu")?;
        let mut least: Option<(CpuLimit, &Arc<str>, &PathBuf)> = None;
        for (name, path) in &line.levels {
            let limit = *self.cpu.entry(path.clone()).or_insert_with(|| cpu_limit(path, line.unified));
            if let Some(limit) = limit.filter(|limit| least.is_none_or(|(least, ..)| limit.quota_cpus < least.quota_cpus)) {
                least = Some((limit, name, path));
            }
        }
        let (limit, name, path) = least?;
        let before = self.cpu_before.get(path).copied().unwrap_or(limit);
        let facts = self.facts.entry(Arc::clone(name)).or_default();
        facts.quota_cpus = Some(limit.quota_cpus);
        facts.periods = limit.periods.saturating_sub(before.periods);
        facts.throttled = limit.throttled.saturating_sub(before.throttled);
        facts.throttled_ns = limit.throttled_ns.saturating_sub(before.throttled_ns);
        Some(Arc::clone(name))
    }

    fn memory(&mut self, text: &[u8]) -> Option<Arc<str>> {
        let line = self.mounts.line(text, "memory")?;
        let mut least: Option<(MemoryLimit, &Arc<str>, &PathBuf)> = None;
        for (name, path) in &line.levels {
            let limit = *self.memory.entry(path.clone()).or_insert_with(|| memory_limit(path, line.unified));
            if let Some(limit) = limit.filter(|limit| least.is_none_or(|(least, ..)| limit.max < least.max)) {
                least = Some((limit, name, path));
            }
        }
        let (limit, name, path) = least?;
        let facts = self.facts.entry(Arc::clone(name)).or_default();
        (facts.memory_max, facts.memory_now, facts.oom_kills) = (Some(limit.max), limit.now, limit.oom_kills);
        if let Some(kills) = limit.oom_kills {
            let first = *self.oom_first.entry(path.clone()).or_insert(kills);
            facts.oom_kills_seen = kills.saturating_sub(first);
        }
        Some(Arc::clone(name))
    }

    fn frozen(&mut self, text: &[u8]) -> Option<Arc<str>> {
        let lines = self.mounts.freezers(text);
        let leaves = lines.iter().filter_map(|line| Some((line.levels.first()?, line.unified)));
        let mut frozen = leaves.filter(|((_, path), unified)| {
            *self.frozen.entry(path.clone()).or_insert_with(|| is_frozen(path, *unified).unwrap_or(false))
        });
        frozen.next().map(|((name, _), _)| Arc::clone(name))
    }
}
