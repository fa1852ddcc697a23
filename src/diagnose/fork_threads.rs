//! Forked from a process with several threads, and still the same program.

use super::{Diagnosis, Scene, Suspicion, name};
use crate::kernel::source::Needs;

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "fork_threads",
    title: "Forked with threads running",
    badge: "fork+threads",
    description: "Only the forking thread exists in the child; a lock another one held stays locked there for ever (fork(2)).",
    needs: Needs::empty(),
    after_ns: 1_000_000_000,
    check,
};

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let suspicion = |(child, fork): (&_, &super::ThreadedFork)| {
        let child = scene.model.process(*child).filter(|p| scene.threaded_forks.contains_key(&p.key))?;
        let parent = scene.model.process(fork.parent_pid);
        Some(Suspicion {
            about: child.key,
            others: Vec::new(),
            evidence: format!(
                "{} ({}) was forked by {} ({}), which had {} threads or more, and has not replaced its program",
                name(child),
                child.key.pid,
                parent.map_or_else(|| "a process".to_owned(), name),
                fork.parent_pid,
                fork.threads
            ),
            advice: "fork before starting threads, or use spawn or forkserver; a child at a futex for ever is the sign"
                .to_owned(),
        })
    };
    scene.threaded_forks.iter().filter_map(|(key, fork)| suspicion((&key.pid, fork))).collect()
}
