//! Processes that SIGTERM does not end.

use super::{Check, Diagnosis, Level, Scene, Suspicion, is_resource_tracker, name};
use crate::snapshot::{Needs, SigTerm};

pub(super) const PENDING: Diagnosis = Diagnosis {
    id: "sigterm_pending",
    title: "SIGTERM was sent and is blocked",
    level: Level::Warning,
    badge: "SIGTERM waits",
    description: "SIGTERM was sent, but every thread of the process blocks it.",
    needs: Needs::empty(),
    after_ns: 2_000_000_000,
    check: Check::Of(|scene| check(scene, |how| how == SigTerm::Pending)),
};

pub(super) const IGNORED: Diagnosis = Diagnosis {
    id: "sigterm_ignored",
    title: "SIGTERM does not end it",
    level: Level::Information,
    badge: "no SIGTERM",
    description: "The process ignores SIGTERM, or all its threads block it. Shells and service managers do so too.",
    needs: Needs::empty(),
    after_ns: 0,
    check: Check::Of(|scene| check(scene, |how| how != SigTerm::Pending)),
};

fn check(scene: &Scene<'_>, wanted: fn(SigTerm) -> bool) -> Vec<Suspicion> {
    let mut found = Vec::new();
    for (process, facts) in scene.surveyed() {
        let Some(how) = facts.sigterm.filter(|how| wanted(*how)) else { continue };
        // By design: it ends when the last process closes its pipe.
        if is_resource_tracker(process) {
            continue;
        }
        let pid = process.key.pid;
        let words = match how {
            SigTerm::Ignored => "ignores SIGTERM",
            SigTerm::Blocked => "blocks SIGTERM in every thread",
            SigTerm::Pending => "blocks SIGTERM in every thread, and one has been sent",
        };
        let advice = "unblock SIGTERM and restore its default (SIG_DFL) in this process, or send SIGKILL".to_owned();
        found.push(Suspicion::of(process.key, format!("{} ({pid}) {words}", name(process)), advice));
    }
    found
}
