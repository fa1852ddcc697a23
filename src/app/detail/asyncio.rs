//! The event loops and tasks of asyncio as lines: a line per loop, and below it its tasks as a tree.

use std::fmt::Write as _;

use crate::snapshot::{AsyncState, AsyncTask, Asyncio, EventLoop, LoopTurn, PythonFrame, TreeRow};
use crate::text::{Charset, sanitize_str, width};

/// The most rows of a tree that are shown, and coroutines of a task.
const MOST_ROWS: usize = 4096;
const MOST_FRAMES: usize = 12;
/// Cells of the column of names.
const NAME_CELLS: std::ops::RangeInclusive<usize> = 8..=40;

/// Its lines, safe to draw; each loop's end with an empty one.
pub(super) fn lines(asyncio: &Asyncio, charset: Charset) -> Vec<String> {
    let mut lines = Vec::new();
    for one in &asyncio.loops {
        let tree = asyncio.tree(one.id);
        let count = tree.iter().filter(|row| !row.again).count();
        lines.push(heading(one, count, charset));
        let shown = tree.get(..MOST_ROWS).unwrap_or(&tree);
        let name = |row: &TreeRow| asyncio.tasks.get(row.task).map_or(0, |task| row.depth * 2 + width(&task.name));
        let cells = shown.iter().map(name).max().unwrap_or(0).clamp(*NAME_CELLS.start(), *NAME_CELLS.end());
        if !shown.is_empty() {
            lines.push(format!("    {:cells$} STATE    COROUTINES, OUTERMOST FIRST", "TASK"));
        }
        lines.extend(shown.iter().filter_map(|row| Some(task_line(asyncio.tasks.get(row.task)?, *row, cells, charset))));
        if tree.len() > shown.len() {
            lines.push(format!("    and {} more", tree.len() - shown.len()));
        }
        lines.push(String::new());
    }
    lines
}

fn heading(one: &EventLoop, count: usize, charset: Charset) -> String {
    let thread = match (one.tid, one.native_id) {
        (Some(tid), _) => format!(" in thread {tid}"),
        (None, Some(native_id)) => format!(" in thread {native_id}"),
        (None, None) => String::new(),
    };
    let kind = sanitize_str(&one.kind, charset);
    let tasks = if count == 1 { "1 task".to_owned() } else { format!("{count} tasks") };
    format!("EVENT LOOP {kind}{thread}, {tasks}: {}", turn_in_words(&one.turn, charset))
}

/// Says in words whether the loop waits or runs, and for how long.
pub(super) fn turn_in_words(turn: &LoopTurn, charset: Charset) -> String {
    match turn {
        LoopTurn::Waits => "waits for events".to_owned(),
        LoopTurn::Runs { lag_ns, at, own } => {
            let at = at.as_ref().map_or(String::new(), |frame| format!(", in {}", place(frame, charset)));
            let own = own.as_ref().map_or(String::new(), |frame| format!(", called from {}", place(frame, charset)));
            format!("has run for {:.1} ms without a wait{at}{own}", *lag_ns as f64 / 1e6)
        }
        LoopTurn::Unknown(why) => format!("lag unknown: {why}"),
    }
}

fn task_line(task: &AsyncTask, row: TreeRow, cells: usize, charset: Charset) -> String {
    let name = format!("{:indent$}{}", "", sanitize_str(&task.name, charset), indent = row.depth * 2);
    let pad = cells.saturating_sub(width(&name));
    if row.again {
        return format!("    {name}{:pad$} shown above", "");
    }
    // How trio waits says nothing: all of its waits end there.
    let waits = task.frames.iter().take_while(|frame| frame.file.ends_with("trio/_core/_traps.py")).count();
    let mut chain = chain_in_words(task.frames.get(waits..).unwrap_or_default(), charset);
    if let Some(items) = task.queue.and_then(|queue| queue.unfinished).filter(|items| *items > 0) {
        let _ = write!(chain, " ({items} items of the queue not done)");
    }
    if task.moved {
        chain = "it ran during each reading".to_owned();
    } else if chain.is_empty() && task.state != AsyncState::Done {
        chain = "its coroutine is not Python code".to_owned();
    }
    format!("    {name}{:pad$} {:8} {chain}", "", task.state.word())
}

/// Frames that are given innermost first, as one line that begins with the outermost.
pub(super) fn chain_in_words(frames: &[PythonFrame], charset: Charset) -> String {
    let places: Vec<String> = frames.iter().rev().map(|frame| place(frame, charset)).collect();
    match places.len() {
        n if n > MOST_FRAMES => {
            let (first, last) = (&places[..MOST_FRAMES / 2], &places[n - MOST_FRAMES / 2..]);
            format!("{} > ... {} more > {}", first.join(" > "), n - MOST_FRAMES, last.join(" > "))
        }
        _ => places.join(" > "),
    }
}

/// `function file:line`, the file without its directories.
fn place(frame: &PythonFrame, charset: Charset) -> String {
    let line = frame.line.map_or(String::new(), |line| format!(":{line}"));
    let times = if frame.times > 1 { format!(" {} times", frame.times) } else { String::new() };
    format!("{} {}{line}{times}", sanitize_str(&frame.function, charset), sanitize_str(frame.file_name(), charset))
}
