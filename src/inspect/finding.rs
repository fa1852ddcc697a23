//! Summarises a runtime in one sentence, or gives the reason why it cannot be read.

use std::collections::HashSet;

use crate::snapshot::{Gil, PythonInterpreter, PythonRuntime, PythonThread, State};

/// The sentence. Names in it are the process's own.
pub(super) fn of(runtime: &PythonRuntime) -> String {
    let threads: HashSet<u64> = runtime.interpreters.iter().flat_map(|i| &i.threads).map(|thread| thread.native_id).collect();
    let count = match threads.len() {
        1 => "1 thread".to_owned(),
        n => format!("{n} threads"),
    };
    let mut seen = HashSet::new();
    let gils: Vec<&PythonInterpreter> = runtime.interpreters.iter().filter(|i| seen.insert(i.gil_address)).collect();
    let mut said = if gils.iter().all(|one| one.gil == Gil::Off) {
        format!("this build runs without the GIL: {count} may run Python at once{}", running(runtime))
    } else if let [one] = gils[..] {
        format!("{}{}", of_one("GIL", one, runtime), waiting(runtime, one.gil_address, threads.len()))
    } else {
        let each = gils.iter().map(|one| of_one(&format!("that of interpreter {}", one.id), one, runtime));
        format!("{} interpreters with {} GILs: {}", runtime.interpreters.len(), gils.len(), each.collect::<Vec<_>>().join(", "))
    };
    if runtime.free_threaded && gils.iter().any(|one| one.gil != Gil::Off) {
        said.push_str("; the build could run without it");
    }
    let stopped = runtime.interpreters.iter().flat_map(|i| &i.threads).filter_map(|t| t.task.as_ref());
    if stopped.into_iter().any(|task| task.state == State::STOPPED || task.state == State::TRACED) {
        said.push_str("; the process is stopped");
    }
    said
}

fn of_one(name: &str, one: &PythonInterpreter, runtime: &PythonRuntime) -> String {
    match one.gil {
        Gil::Off => format!("{name} disabled"),
        Gil::Free => format!("{name} free"),
        Gil::Elsewhere => format!("{name} held by an unlisted thread"),
        Gil::Held(native_id) => {
            let sharing = runtime.interpreters.iter().filter(|other| other.gil_address == one.gil_address);
            let holder = sharing.flat_map(|i| &i.threads).find(|thread| thread.holds_gil);
            format!("{name} held by {}{}", thread_in_words(native_id, holder), holder.map_or(String::new(), place))
        }
    }
}

fn thread_in_words(native_id: u64, thread: Option<&PythonThread>) -> String {
    match thread.and_then(|thread| thread.task.as_ref()) {
        Some(task) => format!("thread {} ({})", task.tid, String::from_utf8_lossy(task.comm.as_bytes())),
        None => format!("thread {native_id}"),
    }
}

/// Where the thread is.
fn place(thread: &PythonThread) -> String {
    match thread.frames.first() {
        // Of one that runs through functions quickly, the innermost says little.
        Some(frame) => format!(" in {}()", frame.function),
        None => String::new(),
    }
}

fn waiting(runtime: &PythonRuntime, gil: u64, of: usize) -> String {
    let sharing = runtime.interpreters.iter().filter(|one| one.gil_address == gil);
    let waiting = sharing.flat_map(|one| &one.threads).filter(|thread| thread.waits_for_gil).count();
    match (waiting, of) {
        (_, 0 | 1) => format!("; it has {of} thread{}", if of == 1 { "" } else { "s" }),
        (0, of) => format!("; none of {of} threads waits for it"),
        (1, of) => format!("; 1 of {of} threads waits for it"),
        (n, of) => format!("; {n} of {of} threads wait for it"),
    }
}

fn running(runtime: &PythonRuntime) -> String {
    let runs = |thread: &&PythonThread| thread.task.as_ref().is_some_and(|task| task.state == State::RUNNING);
    match runtime.interpreters.iter().flat_map(|one| &one.threads).filter(runs).count() {
        0 => ", none did".to_owned(),
        n => format!(", {n} did"),
    }
}
