//! Summarises a runtime in one sentence, or gives the reason why it cannot be read.

use std::collections::HashSet;

use crate::snapshot::{Gil, LONG_LAG_NS, LoopTurn, PythonInterpreter, PythonRuntime, PythonThread, State};
use crate::units::age;

/// The sentence. Names in it are the process's own.
pub(super) fn of(runtime: &PythonRuntime) -> String {
    let all = count(runtime);
    let count = match all {
        1 => "1 thread".to_owned(),
        n => format!("{n} threads"),
    };
    let mut seen = HashSet::new();
    let gils: Vec<&PythonInterpreter> = runtime.interpreters.iter().filter(|i| seen.insert(i.gil_address)).collect();
    let mut said = if gils.iter().all(|one| one.gil == Gil::Off) {
        format!("this build runs without the GIL: {count} may run Python at once{}", running(runtime))
    } else if let [one] = gils[..] {
        format!("{}{}", of_one("GIL", one, runtime), waiting(runtime, one.gil_address, all))
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
    // What blocks others comes first: a narrow line shows no more.
    let loops = runtime.asyncio.iter().flat_map(|asyncio| &asyncio.loops);
    loops.filter_map(|one| late(&one.turn)).chain([said]).collect::<Vec<_>>().join("; ")
}

/// What is said of an event loop that has run for long.
fn late(turn: &LoopTurn) -> Option<String> {
    let LoopTurn::Runs { lag_ns, at, own } = turn else { return None };
    let place = own.as_ref().or(at.as_ref()).map_or(String::new(), |frame| {
        let file = frame.file_name();
        format!(", in {}() {file}:{}", frame.function, frame.line.map_or_else(|| "?".to_owned(), |line| line.to_string()))
    });
    (*lag_ns >= LONG_LAG_NS).then(|| format!("its event loop has run for {} without a wait{place}", age(lag_ns / 1_000_000)))
}

/// How many threads there are. One may be in several interpreters; those that are only counted are taken for different ones.
fn count(runtime: &PythonRuntime) -> usize {
    let read: HashSet<u64> = runtime.interpreters.iter().flat_map(|i| &i.threads).map(|thread| thread.native_id).collect();
    let unread = runtime.interpreters.iter().map(|one| one.thread_count.saturating_sub(one.threads.len())).sum::<usize>();
    read.len() + unread
}

fn of_one(name: &str, one: &PythonInterpreter, runtime: &PythonRuntime) -> String {
    match one.gil {
        Gil::Off => format!("{name} disabled"),
        Gil::Free => format!("{name} free"),
        Gil::Elsewhere => format!("{name} held by a thread that just started or ended"),
        Gil::Held(native_id) => {
            let sharing = runtime.interpreters.iter().filter(|other| other.gil_address == one.gil_address);
            let holder = sharing.flat_map(|i| &i.threads).find(|thread| thread.holds_gil);
            format!("{name} held by {}{}", thread_in_words(native_id, holder), holder.map_or(String::new(), place))
        }
    }
}

fn thread_in_words(native_id: u64, thread: Option<&PythonThread>) -> String {
    match thread.and_then(|thread| thread.task.as_ref()) {
        Some(task) => {
            let comm = String::from_utf8_lossy(task.comm.as_bytes());
            format!("thread {} ({})", task.tid, thread.and_then(|thread| thread.name.as_deref()).unwrap_or(&comm))
        }
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
    let threads = || sharing.clone().flat_map(|one| &one.threads);
    let waiting = threads().filter(|thread| thread.waits_for_gil).count();
    let read = threads().map(|thread| thread.native_id).collect::<HashSet<_>>().len();
    // Whether a thread waits is known only of those that were read.
    let among = if read < of { format!("{read} of {of} threads that were read") } else { format!("{of} threads") };
    match (waiting, of) {
        (_, 0 | 1) => format!("; it has {of} thread{}", if of == 1 { "" } else { "s" }),
        (0, _) => format!("; none of {among} waits for it"),
        (1, _) => format!("; 1 of {among} waits for it"),
        (n, _) => format!("; {n} of {among} wait for it"),
    }
}

fn running(runtime: &PythonRuntime) -> String {
    let runs = |thread: &&PythonThread| thread.task.as_ref().is_some_and(|task| task.state == State::RUNNING);
    match runtime.interpreters.iter().flat_map(|one| &one.threads).filter(runs).count() {
        0 => ", none did".to_owned(),
        n => format!(", {n} did"),
    }
}
