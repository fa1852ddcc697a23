//! Ended children that their parent does not reap.

use std::collections::BTreeMap;

use super::{Check, Diagnosis, Level, Scene, Suspicion, counted, name};
use crate::snapshot::Needs;
use crate::snapshot::container_of;
use crate::snapshot::{ProcessSample, State};

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "zombies",
    title: "Zombies that are not reaped",
    level: Level::Warning,
    badge: "not reaped",
    description: "A parent does not reap ended children; each keeps a PID. Listed if two or more; below an init, one.",
    needs: Needs::empty(),
    after_ns: 2_000_000_000,
    check: Check::Of(check),
};

/// A leader that has ended while its other threads go on shows as a zombie and is none.
pub(super) fn is_zombie(process: &ProcessSample) -> bool {
    process.leader.state == State::ZOMBIE && process.nlwp.is_none_or(|n| n <= 1)
}

/// Whether orphans are left to this process: it is PID 1 of its PID namespace (`NSpid`). Where that was not read, the first process of a
/// container counts as such.
fn is_init(scene: &Scene<'_>, process: &ProcessSample) -> bool {
    if let Some(init) = scene.facts_of(process.key).and_then(|facts| facts.init) {
        return init;
    }
    let container = |p: &ProcessSample| p.identity.cgroup.as_deref().and_then(container_of).map(|c| c.words());
    let own = container(process);
    let parent = scene.model.process(process.ppid);
    process.key.pid == 1 || (own.is_some() && own != parent.and_then(container))
}

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    // Each must have stayed by itself: a busy parent always has some child that has just ended, and reaps it.
    let now_ns = scene.model.now.taken_ns;
    let since = |p: &ProcessSample| scene.zombies.get(&p.key).copied();
    let stays = |p: &&ProcessSample| since(p).is_some_and(|ns| now_ns.saturating_sub(ns) >= DIAGNOSIS.after_ns);
    let mut by_parent: BTreeMap<i32, Vec<&ProcessSample>> = BTreeMap::new();
    for zombie in scene.processes().iter().filter(stays) {
        by_parent.entry(zombie.ppid).or_default().push(zombie);
    }
    let guilty = |(parent, zombies): (i32, Vec<&ProcessSample>)| {
        let parent = scene.model.process(parent)?;
        // It waits for one child after the other: the others are reaped when their turn comes.
        if scene.facts_of(parent.key).is_some_and(|facts| facts.waits_for_child) {
            return None;
        }
        // A shell at a long command, and Python's subprocess, leave one until they start or wait for the next.
        if zombies.len() < 2 && !is_init(scene, parent) {
            return None;
        }
        let pids: Vec<String> = zombies.iter().take(5).map(|z| z.key.pid.to_string()).collect();
        let more = if zombies.len() > 5 { ", ..." } else { "" };
        let children = counted(zombies.len(), "ended child", "ended children");
        let pid = parent.key.pid;
        let advice = if is_init(scene, parent) {
            format!("PID {pid} is an init and must reap orphans: start the container with a real init (docker run --init, tini)")
        } else {
            format!("PID {pid} must call wait or handle SIGCHLD; try SIGCHLD (F9, or kill -CHLD {pid}); ending it frees them")
        };
        let evidence = format!("{} ({pid}) has {children} it does not reap: {}{more}", name(parent), pids.join(", "));
        let since_ns = zombies.iter().filter_map(|z| since(z)).min();
        let suspicion = Suspicion::of(parent.key, evidence, advice).with(zombies.iter().map(|z| z.key).collect());
        Some(Suspicion { since_ns, ..suspicion })
    };
    by_parent.into_iter().filter_map(guilty).collect()
}
