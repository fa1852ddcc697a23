//! Workers whose creator has ended.

use super::{Diagnosis, Scene, Suspicion, name};
use crate::derive::StartMethod;
use crate::kernel::source::Needs;
use crate::snapshot::State;

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "orphans",
    title: "Orphaned workers",
    badge: "orphan",
    description: "A forked worker outlived the process that forked it; nobody waits for what it does.",
    needs: Needs::empty(),
    after_ns: 1_000_000_000,
    check,
};

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let mut found = Vec::new();
    for process in scene.processes().iter().filter(|p| p.leader.state != State::ZOMBIE) {
        let Some(birth) = scene.model.lifecycle.birth(process.key).filter(|b| b.seen) else { continue };
        // Only copies of their creator: whoever replaced its program or leads a session of its own went its own way (a daemon).
        let worker = matches!(birth.method, StartMethod::Fork | StartMethod::ForkServer) && process.session != process.key.pid;
        if !worker || process.ppid == birth.parent_pid || scene.model.process(birth.parent_pid).is_some() {
            continue;
        }
        let pid = process.key.pid;
        let now = scene.model.process(process.ppid).map_or_else(String::new, |p| format!(" ({})", name(p)));
        found.push(Suspicion {
            about: process.key,
            others: Vec::new(),
            evidence: format!(
                "{} ({pid}) was forked by PID {}, which has ended; it was left to PID {}{now}",
                name(process),
                birth.parent_pid,
                process.ppid
            ),
            advice: format!(
                "kill {pid} if its work is not wanted; PR_SET_PDEATHSIG or a pipe to the parent ends workers in time"
            ),
        });
    }
    found
}
