//! The Python page of the detail pane: a summary, a line per thread, and the functions of each thread.

use crate::snapshot::{Gil, PythonFrame, PythonInterpreter, PythonRuntime, PythonTask, PythonThread, State};
use crate::text::{Charset, sanitize, sanitize_str, width};

/// Cells of the column of names, and of what a thread executes; what is longer moves the rest of its line to the right.
const NAME_CELLS: std::ops::RangeInclusive<usize> = 15..=24;
const FUNCTION_CELLS: usize = 32;

/// Its lines, safe to draw; `took_ns` is how long the reading took.
#[must_use]
pub fn lines(runtime: &PythonRuntime, took_ns: u64, charset: Charset) -> Vec<String> {
    let mut lines = vec![sanitize_str(&runtime.finding, charset).into_owned()];
    lines.extend(runtime.notes.iter().map(|note| sanitize_str(note, charset).into_owned()));
    let interpreters = match runtime.interpreters.len() {
        1 => String::new(),
        n => format!(", {n} interpreters"),
    };
    lines.push(String::new());
    lines.push(format!(
        "CPython {}{}{interpreters}, in {}; read in {:.1} ms",
        runtime.version,
        if runtime.free_threaded { ", free-threaded" } else { "" },
        sanitize(&runtime.file, charset),
        took_ns as f64 / 1e6,
    ));
    lines.push(String::new());
    let cells = name_cells(runtime, charset);
    for interpreter in &runtime.interpreters {
        if runtime.interpreters.len() > 1 {
            lines.push(format!("INTERPRETER {}: {}", interpreter.id, lock_in_words(interpreter, runtime)));
        }
        if interpreter.threads.is_empty() {
            lines.push("    no threads".to_owned());
        } else {
            lines.push(format!(
                "{:>8} S {:cells$} {:5}  {:FUNCTION_CELLS$} WAITS FOR",
                "TID", "NAME", "GIL", "INNERMOST FUNCTION"
            ));
        }
        lines.extend(interpreter.threads.iter().map(|thread| summary(thread, cells, charset)));
        lines.push(String::new());
    }
    for asyncio in runtime.asyncio.iter().chain(&runtime.trio) {
        lines.extend(super::asyncio::lines(asyncio, charset));
    }
    if let Some(greenlets) = &runtime.greenlets {
        lines.extend(super::greenlets::lines(greenlets, charset));
    }
    for interpreter in &runtime.interpreters {
        for thread in &interpreter.threads {
            lines.push(heading(thread, interpreter, runtime.interpreters.len() > 1, charset));
            lines.extend(stack(thread, charset));
            lines.push(String::new());
        }
    }
    lines.pop();
    lines
}

fn lock_in_words(interpreter: &PythonInterpreter, runtime: &PythonRuntime) -> String {
    let shares = |other: &&PythonInterpreter| other.id != interpreter.id && other.gil_address == interpreter.gil_address;
    let whose = match runtime.interpreters.iter().find(shares) {
        Some(other) => format!("the GIL shared with interpreter {}", other.id),
        None => "its own GIL".to_owned(),
    };
    match interpreter.gil {
        Gil::Off => "runs without the GIL".to_owned(),
        Gil::Free => format!("{whose}, which is free"),
        Gil::Held(native_id) => format!("{whose}, held by thread {}", known(native_id, runtime)),
        Gil::Elsewhere => format!("{whose}, held by a thread that just started or ended"),
    }
}

/// The thread's TID as it is seen from here, if it has one.
fn known(native_id: u64, runtime: &PythonRuntime) -> String {
    let mut threads = runtime.interpreters.iter().flat_map(|one| &one.threads);
    let task = threads.find(|thread| thread.native_id == native_id).and_then(|thread| thread.task.as_ref());
    task.map_or_else(|| native_id.to_string(), |task| task.tid.to_string())
}

fn summary(thread: &PythonThread, cells: usize, charset: Charset) -> String {
    let gil = match thread {
        PythonThread { holds_gil: true, .. } => "holds",
        PythonThread { waits_for_gil: true, .. } => "waits",
        _ => "-",
    };
    let function = match thread.frames.first() {
        Some(frame) => in_words(frame, false, charset),
        None => "-".to_owned(),
    };
    let wait = match &thread.task {
        _ if thread.waits_for_gil => "the GIL".to_owned(),
        None => "not a task of the process now".to_owned(),
        Some(task) => match &task.wait {
            Some(wait) if wait.denied => "permission denied".to_owned(),
            Some(wait) if wait.reason.is_some() => sanitize_str(&wait.to_string(), charset).into_owned(),
            None if task.state == State::RUNNING => "runs".to_owned(),
            _ => "-".to_owned(),
        },
    };
    let function = padded(&function, FUNCTION_CELLS);
    format!("{} {gil:5}  {function} {wait}", named(thread, cells, charset))
}

/// The width of the column of names: that of the longest, within bounds.
fn name_cells(runtime: &PythonRuntime, charset: Charset) -> usize {
    let threads = runtime.interpreters.iter().flat_map(|one| &one.threads);
    let names = threads.filter_map(|thread| Some(width(&name_of(thread, thread.task.as_ref()?, charset))));
    names.max().unwrap_or(0).clamp(*NAME_CELLS.start(), *NAME_CELLS.end())
}

/// Its TID, state and name.
fn named(thread: &PythonThread, cells: usize, charset: Charset) -> String {
    match &thread.task {
        Some(task) => {
            let name = padded(&name_of(thread, task, charset), cells);
            format!("{:>8} {} {name}", task.tid, task.state.letter())
        }
        None => format!("{:>8} ? {:cells$}", thread.native_id, "?"),
    }
}

/// Its name in Python if that is known, else the kernel's.
fn name_of(thread: &PythonThread, task: &PythonTask, charset: Charset) -> String {
    match &thread.name {
        Some(name) => sanitize_str(name, charset).into_owned(),
        None => sanitize(task.comm.as_bytes(), charset).into_owned(),
    }
}

/// Padded by cells: a wide character takes two.
fn padded(text: &str, cells: usize) -> String {
    let pad = cells.saturating_sub(width(text));
    format!("{text}{:pad$}", "")
}

fn heading(thread: &PythonThread, interpreter: &PythonInterpreter, several: bool, charset: Charset) -> String {
    let mut text = match &thread.task {
        Some(task) => format!("THREAD {} {}", task.tid, name_of(thread, task, charset)),
        None => format!("THREAD {}, not a task of the process now", thread.native_id),
    };
    if several {
        text.push_str(&format!(", in interpreter {}", interpreter.id));
    }
    if thread.holds_gil {
        text.push_str(", holds the GIL");
    } else if thread.waits_for_gil {
        text.push_str(", waits for the GIL");
    }
    if thread.moved {
        text.push_str("; it ran during the reading: the innermost frames may be from different moments");
    }
    text
}

fn stack(thread: &PythonThread, charset: Charset) -> Vec<String> {
    let mut lines: Vec<String> = thread.frames.iter().map(|frame| format!("    {}", in_words(frame, true, charset))).collect();
    if lines.is_empty() {
        let why = if thread.moved { "its frames changed during the reading" } else { "not in a Python function" };
        lines.push(format!("    {why}"));
    }
    if thread.deeper {
        lines.push("    and more outer frames, which were not read".to_owned());
    }
    if let Some(left_out) = thread.left_out {
        let at = left_out.behind.min(lines.len());
        lines.insert(at, format!("    ... {} frames left out here", left_out.count));
    }
    lines
}

/// `function  file:line`, the file with its directories or without.
fn in_words(frame: &PythonFrame, whole: bool, charset: Charset) -> String {
    let file = if whole { &*frame.file } else { frame.file_name() };
    let line = frame.line.map_or(String::new(), |line| format!(":{line}"));
    let times = if frame.times > 1 { format!("  {} times", frame.times) } else { String::new() };
    format!("{}  {}{line}{times}", sanitize_str(&frame.function, charset), sanitize_str(file, charset))
}
