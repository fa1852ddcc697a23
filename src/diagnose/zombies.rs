//! Ended children that their parent does not reap.

use std::collections::BTreeMap;

use super::{Diagnosis, Scene, Suspicion, counted, name};
use crate::kernel::source::Needs;
use crate::snapshot::{ProcessSample, State};

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "zombies",
    title: "Zombies that are not reaped",
    badge: "not reaped",
    description: "A parent does not wait for its ended children; each keeps a PID until it does.",
    needs: Needs::empty(),
    after_ns: 2_000_000_000,
    check,
};

/// A leader that has ended while its other threads go on shows as a zombie and is none.
pub(super) fn is_zombie(process: &ProcessSample) -> bool {
    process.leader.state == State::ZOMBIE && process.nlwp.is_none_or(|n| n <= 1)
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
        let pids: Vec<String> = zombies.iter().take(5).map(|z| z.key.pid.to_string()).collect();
        let more = if zombies.len() > 5 { ", ..." } else { "" };
        let children = counted(zombies.len(), "ended child", "ended children");
        let pid = parent.key.pid;
        let advice = if pid == 1 {
            "PID 1 must reap orphans: start the container with an init (docker run --init, tini)".to_owned()
        } else {
            format!("PID {pid} must call wait or handle SIGCHLD; try kill -CHLD {pid}; ending it frees them")
        };
        Some(Suspicion {
            about: parent.key,
            since_ns: zombies.iter().filter_map(|z| since(z)).min(),
            others: zombies.iter().map(|z| z.key).collect(),
            evidence: format!("{} ({pid}) has {children} it does not reap: {}{more}", name(parent), pids.join(", ")),
            advice,
        })
    };
    by_parent.into_iter().filter_map(guilty).collect()
}
