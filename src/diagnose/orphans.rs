//! Workers whose creator has ended.

use std::collections::BTreeMap;

use super::{Check, Diagnosis, Level, Scene, Suspicion, counted, name};
use crate::derive::StartMethod;
use crate::snapshot::{Needs, ProcessSample, State, contains};

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "orphans",
    title: "Orphaned workers",
    level: Level::Warning,
    badge: "orphan",
    description: "A worker outlived the process that started it; no process uses its result.",
    needs: Needs::empty(),
    after_ns: 1_000_000_000,
    check: Check::Of(check),
};

/// Parts of the command lines of workers and helpers of `multiprocessing` and loky. They are children of a Python program.
const WORKERS: [&[u8]; 4] =
    [b"--multiprocessing-fork", b"multiprocessing.forkserver import main", b"loky.backend.popen_loky", b"loky.process_executor"];
/// Bytes of a command line that are searched: a worker's begins with the interpreter, its options and the program.
const COMMAND_SEARCHED: usize = 1024;
/// Programs to which the kernel leaves orphans (PR_SET_CHILD_SUBREAPER, PID 1).
const HEIRS: [&[u8]; 9] =
    [b"systemd", b"init", b"tini", b"dumb-init", b"docker-init", b"catatonit", b"s6-svscan", b"containerd-shim", b"conmon"];

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    // One line for all that one creator has left to one process, however many they are.
    let mut left: BTreeMap<(Option<i32>, i32), Vec<&ProcessSample>> = BTreeMap::new();
    for (index, process) in scene.processes().iter().enumerate().filter(|(_, p)| p.leader.state != State::ZOMBIE) {
        let seen = creator(scene, process);
        if seen.is_some() || is_left_worker(scene, index, process) {
            left.entry((seen, process.ppid)).or_default().push(process);
        }
    }
    left.into_iter().filter_map(|((creator, heir), workers)| suspicion(scene, creator, heir, &workers)).collect()
}

/// The creator that a worker has outlived, if its birth was seen.
fn creator(scene: &Scene<'_>, process: &ProcessSample) -> Option<i32> {
    let birth = scene.model.lifecycle.birth(process.key).filter(|b| b.seen)?;
    let creator = birth.parent_pid;
    // Only copies of their creator: a process that replaced its program or leads a session went its own way. So did one whose creator made
    // the session for it and then ended in order: a daemon.
    let went = process.session == process.key.pid || process.session == creator && !scene.killed.ended_by_signal(creator);
    let worker = matches!(birth.method, StartMethod::Fork | StartMethod::ForkServer) && !went;
    (worker && process.ppid != creator && scene.model.process(creator).is_none()).then_some(creator)
}

/// Whether it is a worker by its command line, and its parent is one that only inherits children.
fn is_left_worker(scene: &Scene<'_>, index: usize, process: &ProcessSample) -> bool {
    let heir = scene.tree.parent[index].map(|parent| scene.processes()[parent as usize].leader.comm);
    if process.kernel_thread || heir.is_some_and(|comm| !HEIRS.contains(&comm.as_bytes())) {
        return false;
    }
    let command = process.identity.cmdline.as_deref().unwrap_or_default();
    let command = command.get(..COMMAND_SEARCHED).unwrap_or(command);
    WORKERS.iter().any(|part| contains(command, part))
}

fn suspicion(scene: &Scene<'_>, creator: Option<i32>, heir: i32, workers: &[&ProcessSample]) -> Option<Suspicion> {
    let (first, others) = workers.split_first()?;
    let now = scene.model.process(heir).map_or_else(String::new, |p| format!(" ({})", name(p)));
    let pid = first.key.pid;
    let who = match others.len() {
        0 => format!("{} ({pid}) was", name(first)),
        n => format!("{} ({pid}) and {} were", name(first), counted(n, "other worker", "other workers")),
    };
    let (it, them) = if others.is_empty() { ("it was", "its work is") } else { ("they were", "their work is") };
    let evidence = match creator {
        Some(creator) => format!("{who} forked by PID {creator}, which has ended; {it} left to PID {heir}{now}"),
        None => format!("{who} started as workers of a pool (command line); the parent has ended, {it} left to PID {heir}{now}"),
    };
    Some(Suspicion {
        about: first.key,
        since_ns: None,
        lines: Vec::new(),
        chain: None,
        others: others.iter().map(|p| p.key).collect(),
        evidence,
        advice: format!("end the rest if {them} not needed; PR_SET_PDEATHSIG or a pipe to the parent prevents orphans"),
    })
}
