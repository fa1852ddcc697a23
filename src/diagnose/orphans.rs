//! Workers whose creator has ended.

use std::collections::BTreeMap;

use super::{Diagnosis, Level, Scene, Suspicion, counted, name};
use crate::derive::StartMethod;
use crate::snapshot::Needs;
use crate::snapshot::{ProcessSample, State};

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "orphans",
    title: "Orphaned workers",
    level: Level::Warning,
    badge: "orphan",
    description: "A forked worker outlived the process that forked it; no process uses its result.",
    needs: Needs::empty(),
    after_ns: 1_000_000_000,
    check,
};

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    // One line for all that one creator has left to one process, however many they are.
    let mut left: BTreeMap<(i32, i32), Vec<&ProcessSample>> = BTreeMap::new();
    for process in scene.processes().iter().filter(|p| p.leader.state != State::ZOMBIE) {
        let Some(birth) = scene.model.lifecycle.birth(process.key).filter(|b| b.seen) else { continue };
        // Only copies of their creator: whoever replaced its program or leads a session of its own went its own way (a daemon).
        let worker = matches!(birth.method, StartMethod::Fork | StartMethod::ForkServer) && process.session != process.key.pid;
        if worker && process.ppid != birth.parent_pid && scene.model.process(birth.parent_pid).is_none() {
            left.entry((birth.parent_pid, process.ppid)).or_default().push(process);
        }
    }
    left.into_iter().filter_map(|((creator, heir), workers)| suspicion(scene, creator, heir, &workers)).collect()
}

fn suspicion(scene: &Scene<'_>, creator: i32, heir: i32, workers: &[&ProcessSample]) -> Option<Suspicion> {
    let (first, others) = workers.split_first()?;
    let now = scene.model.process(heir).map_or_else(String::new, |p| format!(" ({})", name(p)));
    let pid = first.key.pid;
    let who = match others.len() {
        0 => format!("{} ({pid}) was", name(first)),
        n => format!("{} ({pid}) and {} were", name(first), counted(n, "other worker", "other workers")),
    };
    let (it, them) = if others.is_empty() { ("it was", "its work is") } else { ("they were", "their work is") };
    Some(Suspicion {
        about: first.key,
        since_ns: None,
        others: others.iter().map(|p| p.key).collect(),
        evidence: format!("{who} forked by PID {creator}, which has ended; {it} left to PID {heir}{now}"),
        advice: format!("end the rest if {them} not needed; PR_SET_PDEATHSIG or a pipe to the parent prevents orphans"),
    })
}
