//! Workers whose creator has ended.

use std::collections::{BTreeMap, HashMap};

use super::{Check, Diagnosis, FORK_SERVER, Level, Scene, Suspicion, name};
use crate::derive::{Birth, StartMethod};
use crate::snapshot::{Needs, ProcKey, ProcessSample, State, contains};

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
const WORKERS: [&[u8]; 4] = [b"--multiprocessing-fork", FORK_SERVER, b"loky.backend.popen_loky", b"loky.process_executor"];
/// Bytes of a command line that are searched: a worker's begins with the interpreter, its options and the program.
const COMMAND_SEARCHED: usize = 1024;
/// Programs to which the kernel leaves orphans (PR_SET_CHILD_SUBREAPER, PID 1).
const HEIRS: [&[u8]; 9] =
    [b"systemd", b"init", b"tini", b"dumb-init", b"docker-init", b"catatonit", b"s6-svscan", b"containerd-shim", b"conmon"];

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    // Births are fewer than processes where most of these were there before concmon: their processes are looked up, not the other way round.
    let births = scene.model.lifecycle.seen_births().filter(|(_, birth)| is_parentless_copy(scene, birth));
    let outlived: HashMap<i32, i32> = births
        .filter_map(|(pid, birth)| {
            let process = scene.model.process(pid).filter(|process| process.key.start_ticks == birth.start_ticks)?;
            Some((pid, outlived(scene, process, birth)?))
        })
        .collect();
    // One line for all that one creator has left to one process, however many they are.
    let mut left: BTreeMap<(Option<i32>, i32), Vec<&ProcessSample>> = BTreeMap::new();
    for (index, process) in scene.processes().iter().enumerate().filter(|(_, p)| p.leader.state != State::ZOMBIE) {
        let seen = outlived.get(&process.key.pid).copied();
        if seen.is_some() || is_left_worker(scene, index, process) {
            left.entry((seen, heir(scene, index))).or_default().push(process);
        }
    }
    left.into_iter().filter_map(|((creator, heir), workers)| suspicion(scene, creator, heir, &workers)).collect()
}

/// Whether it is a worker that was left.
pub(super) fn is_left(scene: &Scene<'_>, key: ProcKey) -> bool {
    let Some(index) = scene.model.index_of(key.pid) else { return false };
    let process = &scene.processes()[index];
    process.key == key && (creator(scene, process).is_some() || is_left_worker(scene, index, process))
}

/// The creator that a worker has outlived, if its birth was seen.
fn creator(scene: &Scene<'_>, process: &ProcessSample) -> Option<i32> {
    let birth = scene.model.lifecycle.birth(process.key).filter(|birth| birth.seen && is_parentless_copy(scene, birth))?;
    outlived(scene, process, birth)
}

/// Whether it began as a copy of a process that has ended since.
fn is_parentless_copy(scene: &Scene<'_>, birth: &Birth) -> bool {
    matches!(birth.method, StartMethod::Fork | StartMethod::ForkServer) && scene.model.process(birth.parent_pid).is_none()
}

/// The creator of a copy whose creator has ended, unless the copy left it before. A process that replaced its program or leads a session went
/// its own way. So did one whose creator made the session for it and then ended in order: a daemon.
fn outlived(scene: &Scene<'_>, process: &ProcessSample, birth: &Birth) -> Option<i32> {
    let creator = birth.parent_pid;
    let went = process.session == process.key.pid || process.session == creator && !scene.killed.ended_by_signal(creator);
    (!went && process.ppid != creator).then_some(creator)
}

/// Whether it is a worker by its functions or its command line, and it or its fork server was left to another process.
fn is_left_worker(scene: &Scene<'_>, index: usize, process: &ProcessSample) -> bool {
    // A fork server goes on as long as one of its workers does.
    let left = || was_left(scene, index) || left_server(scene, index).is_some();
    let by_command = || WORKERS.iter().any(|part| contains(command(process), part));
    !process.kernel_thread && left() && (is_worker(scene, process) || by_command())
}

/// Whether its parent is one that only inherits children, or one of another session: a session is that of the creator, unless the process
/// began its own (setsid(2)).
fn was_left(scene: &Scene<'_>, index: usize) -> bool {
    let process = &scene.processes()[index];
    let Some(at) = scene.tree.parent[index].map(|parent| parent as usize) else { return true };
    let parent = &scene.processes()[at];
    let has_session = process.session != process.key.pid && process.session != 0;
    // A copy of its parent was made by it.
    let is_copy = || parent.identity.cmdline == process.identity.cmdline;
    is_heir(scene, at) || has_session && parent.session != process.session && !is_copy()
}

/// True if the process is an init or a subreaper by its name. The scene keeps the last answer, for neighbours often have the same parent.
fn is_heir(scene: &Scene<'_>, index: usize) -> bool {
    if let Some((_, known)) = scene.heir.get().filter(|(of, _)| *of == index) {
        return known;
    }
    let is = HEIRS.contains(&scene.processes()[index].leader.comm.as_bytes());
    scene.heir.set(Some((index, is)));
    is
}

/// The fork server that started it, if that was left.
fn left_server(scene: &Scene<'_>, index: usize) -> Option<usize> {
    let python = scene.processes()[index].leader.comm.as_bytes().starts_with(b"python");
    let parent = scene.tree.parent[index].filter(|_| python)? as usize;
    is_left_server(scene, parent).then_some(parent)
}

/// True if the process is a fork server whose parent has ended. The scene keeps the last answer: searching a command line takes long.
fn is_left_server(scene: &Scene<'_>, index: usize) -> bool {
    if let Some((_, known)) = scene.server.get().filter(|(of, _)| *of == index) {
        return known;
    }
    let is = contains(command(&scene.processes()[index]), FORK_SERVER) && was_left(scene, index);
    scene.server.set(Some((index, is)));
    is
}

/// To which process it was left, or its fork server was.
fn heir(scene: &Scene<'_>, index: usize) -> i32 {
    scene.processes()[left_server(scene, index).unwrap_or(index)].ppid
}

/// The beginning of its command line.
fn command(process: &ProcessSample) -> &[u8] {
    let command = process.identity.cmdline.as_deref().unwrap_or_default();
    command.get(..COMMAND_SEARCHED).unwrap_or(command)
}

fn is_worker(scene: &Scene<'_>, process: &ProcessSample) -> bool {
    scene.facts_of(process.key).is_some_and(|facts| facts.worker)
}

fn suspicion(scene: &Scene<'_>, creator: Option<i32>, heir: i32, workers: &[&ProcessSample]) -> Option<Suspicion> {
    let (first, others) = workers.split_first()?;
    let now = scene.model.process(heir).map_or_else(String::new, |p| format!(" ({})", name(p)));
    let pid = first.key.pid;
    // A fork server has other functions than its workers.
    let by_functions = workers.iter().any(|worker| is_worker(scene, worker));
    let (these, their, them) = match workers.len() {
        1 => ("this worker".to_owned(), "its", "it"),
        n => (format!("these {n} workers"), "their", "them"),
    };
    let ended = match creator {
        Some(creator) => format!("PID {creator}, which forked {these}, has ended"),
        None => {
            let by = if by_functions { "functions" } else { "command line" };
            format!("the parent of {these} of multiprocessing (known by {their} {by}) has ended")
        }
    };
    let evidence = format!("{} ({pid}): {ended}; left to PID {heir}{now}", name(first));
    let advice = format!("end {them} if {their} work is not needed; PR_SET_PDEATHSIG or a pipe to the parent prevents orphans");
    let suspicion = Suspicion::of(first.key, evidence, advice).with(others.iter().map(|p| p.key).collect());
    Some(Suspicion { proven: by_functions, ..suspicion })
}
