//! The greenlets of each thread as lines.

use std::collections::HashMap;

use super::asyncio::chain_in_words;
use crate::snapshot::{Greenlet, GreenletState, Greenlets};
use crate::text::{Charset, sanitize_str, width};

/// The most lines of a thread that are shown.
const MOST_ROWS: usize = 4096;
/// Cells of the column of types.
const TYPE_CELLS: std::ops::RangeInclusive<usize> = 8..=40;

/// Its lines, safe to draw; each thread's end with an empty one. Greenlets that are alike are one line.
pub(super) fn lines(greenlets: &Greenlets, charset: Charset) -> Vec<String> {
    let mut lines = Vec::new();
    for group in greenlets.by_thread() {
        let thread = match group.first().map(|one| (one.tid, one.native_id)) {
            Some((Some(tid), _)) => format!("in thread {tid}"),
            Some((None, Some(native_id))) => format!("in thread {native_id}"),
            _ => "of unknown or ended threads".to_owned(),
        };
        lines.push(format!("GREENLETS {thread}, {}", group.len()));
        let rows = rows(group, charset);
        let shown = rows.get(..MOST_ROWS).unwrap_or(&rows);
        let kinds = shown.iter().map(|(row, _)| width(&row.kind)).max().unwrap_or(0);
        let cells = kinds.clamp(*TYPE_CELLS.start(), *TYPE_CELLS.end());
        lines.push(format!("    {:cells$}  STATE     COUNT  FRAMES, OUTERMOST FIRST", "TYPE"));
        lines.extend(shown.iter().map(|(row, count)| {
            let pad = cells.saturating_sub(width(&row.kind));
            format!("    {}{:pad$}  {:8} {count:>6}  {}", row.kind, "", row.state.word(), row.frames)
        }));
        if rows.len() > shown.len() {
            lines.push(format!("    and {} lines more", rows.len() - shown.len()));
        }
        lines.push(String::new());
    }
    lines
}

/// What greenlets have in common that are one line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Row {
    kind: String,
    state: GreenletState,
    frames: String,
}

/// Each line once, in the order of the first greenlet of each, with how many there are.
fn rows(greenlets: &[Greenlet], charset: Charset) -> Vec<(Row, usize)> {
    let mut rows: Vec<(Row, usize)> = Vec::new();
    let mut known: HashMap<Row, usize> = HashMap::new();
    for one in greenlets {
        let main = if one.is_main { " (main)" } else { "" };
        let row = Row {
            kind: format!("{}{main}", sanitize_str(&one.kind, charset)),
            state: one.state,
            frames: frames_in_words(one, charset),
        };
        match known.get(&row).and_then(|at| rows.get_mut(*at)) {
            Some((_, count)) => *count += 1,
            None => {
                known.insert(row.clone(), rows.len());
                rows.push((row, 1));
            }
        }
    }
    rows
}

fn frames_in_words(one: &Greenlet, charset: Charset) -> String {
    match one.state {
        GreenletState::Running => "those of its thread".to_owned(),
        GreenletState::Waiting if one.moved => "it ran during each reading".to_owned(),
        GreenletState::Waiting if one.frames.is_empty() => "no Python code".to_owned(),
        GreenletState::Waiting => chain_in_words(&one.frames, charset),
    }
}
