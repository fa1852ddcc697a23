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

/// The properties by which greenlets are grouped: equal ones are one line.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::PythonFrame;

    fn greenlet(id: u64, kind: &str, native_id: Option<u64>, function: &str) -> Greenlet {
        let frame = PythonFrame { function: function.into(), file: "/srv/app.py".into(), line: Some(12), times: 1 };
        Greenlet {
            id,
            kind: kind.into(),
            is_main: false,
            state: GreenletState::Waiting,
            native_id,
            tid: native_id.map(|_| 4121),
            frames: vec![frame],
            left_out: None,
            deeper: false,
            moved: false,
        }
    }

    #[test]
    fn greenlets_at_the_same_place_are_one_line_and_names_are_safe() {
        let hub = Greenlet { state: GreenletState::Running, frames: Vec::new(), ..greenlet(1, "Hub", Some(9), "") };
        let ran = Greenlet { moved: true, frames: Vec::new(), ..greenlet(4, "Greenlet", Some(9), "") };
        let main = Greenlet { is_main: true, ..greenlet(5, "greenlet", None, "\u{1b}[31mred") };
        let greenlets = vec![hub, greenlet(2, "Greenlet", Some(9), "work"), greenlet(3, "Greenlet", Some(9), "work"), ran, main];
        let lines = lines(&Greenlets { count: 5, greenlets }, Charset::Unicode);
        let expected = [
            "GREENLETS in thread 4121, 4",
            "    TYPE      STATE     COUNT  FRAMES, OUTERMOST FIRST",
            "    Hub       running       1  those of its thread",
            "    Greenlet  waiting       2  work app.py:12",
            "    Greenlet  waiting       1  it ran during each reading",
            "",
            "GREENLETS of unknown or ended threads, 1",
        ];
        assert_eq!(lines[..7], expected);
        assert!(lines[8].starts_with("    greenlet (main)  waiting       1  ") && !lines[8].contains('\u{1b}'), "{lines:?}");
    }
}
