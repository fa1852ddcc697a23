//! Forked from a process with several threads, and no exec since.

use std::collections::BTreeMap;

use super::{Check, Diagnosis, Level, Scene, Suspicion, counted, name};
use crate::snapshot::Needs;
use crate::snapshot::ProcessSample;

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "fork_threads",
    title: "Fork while threads were running",
    level: Level::Warning,
    badge: "fork+threads",
    description: "The child has only the forking thread; locks held by other threads stay locked for ever (fork(2)).",
    needs: Needs::empty(),
    after_ns: 1_000_000_000,
    check: Check::Of(check),
};

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    // One line for all children of one parent, however many they are.
    let mut forks: BTreeMap<i32, (u32, Vec<&ProcessSample>)> = BTreeMap::new();
    for (key, fork) in scene.threaded_forks {
        let Some(child) = scene.model.process(key.pid).filter(|p| p.key == *key) else { continue };
        let (threads, children) = forks.entry(fork.parent_pid).or_default();
        *threads = (*threads).max(fork.threads);
        children.push(child);
    }
    forks.into_iter().filter_map(|(parent, (threads, children))| suspicion(scene, parent, threads, children)).collect()
}

fn suspicion(scene: &Scene<'_>, parent: i32, threads: u32, mut children: Vec<&ProcessSample>) -> Option<Suspicion> {
    children.sort_unstable_by_key(|p| p.key);
    let (first, others) = children.split_first()?;
    let by = scene.model.process(parent).map_or_else(|| "a process".to_owned(), name);
    let (who, has) = match others.len() {
        0 => (format!("{} ({}) was", name(first), first.key.pid), "has not called exec"),
        n => (format!("{} ({}) and {} were", name(first), first.key.pid, counted(n, "other", "others")), "have not called exec"),
    };
    let evidence = format!("{who} forked by {by} ({parent}), which had at least {threads} threads, and {has}");
    let advice = "fork before starting threads, or use spawn or forkserver; a child that hangs in a futex is the symptom";
    Some(Suspicion::of(first.key, evidence, advice.to_owned()).with(others.iter().map(|p| p.key).collect()))
}
