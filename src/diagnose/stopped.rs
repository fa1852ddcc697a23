//! Stopped by a signal and not continued.

use super::{Check, Diagnosis, Level, Scene, Suspicion, name};
use crate::columns;
use crate::snapshot::Needs;
use crate::snapshot::State;

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "stopped",
    title: "Stopped by a signal",
    level: Level::Warning,
    badge: "stopped",
    description: "The process does not run, but keeps its memory, locks and connections until SIGCONT.",
    needs: Needs::empty(),
    after_ns: 3_000_000_000,
    check: Check::Of(check),
};

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let stopped = scene.processes().iter().filter(|p| p.leader.state == State::STOPPED);
    stopped
        .map(|p| {
            let pid = p.key.pid;
            let kept = p.rss_bytes.map(|rss| format!(" and keeps {}", columns::in_bytes(rss))).unwrap_or_default();
            let evidence = format!("{} ({pid}) was stopped by a signal{kept}", name(p));
            Suspicion::of(
                p.key,
                evidence,
                format!("SIGCONT continues it (F9, or kill -CONT {pid}); fg continues a job of a shell"),
            )
        })
        .collect()
}
