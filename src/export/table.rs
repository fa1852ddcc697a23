//! Text output: a header line, aligned columns, the tree drawn before the command.

use std::io::{self, Write};

use crate::columns::{self, Align, Row, Value};
use crate::text::{Charset, sanitize, truncate, width};

use super::{Line, Table};

/// How a table is drawn.
#[derive(Debug, Clone, Copy)]
pub struct TableOptions {
    /// What may be drawn.
    pub charset: Charset,
    /// Cells of a line; `None`: lines are as long as they are (a pipe, a file).
    pub width: Option<usize>,
}

/// Levels of the tree that are drawn; deeper ones stand at the last of them.
const MOST_LEVELS: u16 = 64;

/// Writes the table.
///
/// # Errors
/// The writer's.
pub fn write_table(out: &mut dyn Write, table: &Table<'_>, options: &TableOptions) -> io::Result<()> {
    let cells: Vec<Vec<String>> = table.rows().map(|(line, row)| cells_of(table, line, &row, options.charset)).collect();
    let widths: Vec<usize> = table
        .columns
        .iter()
        .enumerate()
        .map(|(i, column)| cells.iter().map(|row| width(&row[i])).max().unwrap_or(0).max(width(column.title)))
        .collect();
    let head: Vec<String> = table.columns.iter().map(|column| column.title.to_owned()).collect();
    for row in std::iter::once(&head).chain(&cells) {
        let mut text = String::new();
        for ((cell, column), cells) in row.iter().zip(table.columns).zip(&widths) {
            if !text.is_empty() {
                text.push(' ');
            }
            let gap = cells - width(cell);
            if column.align == Align::Right {
                text.extend(std::iter::repeat_n(' ', gap));
                text.push_str(cell);
            } else {
                text.push_str(cell);
                text.extend(std::iter::repeat_n(' ', gap));
            }
        }
        let text = text.trim_end();
        match options.width {
            Some(cells) => writeln!(out, "{}", truncate(text, cells, options.charset))?,
            None => writeln!(out, "{text}")?,
        }
    }
    Ok(())
}

fn cells_of(table: &Table<'_>, line: &Line, row: &Row<'_>, charset: Charset) -> Vec<String> {
    // The column that takes what is left carries the tree.
    let tree = table.columns.iter().position(|column| column.width == 0);
    let mut cells: Vec<String> = table.columns.iter().map(|column| cell(&(column.get)(row), charset)).collect();
    if let Some(at) = tree.filter(|_| line.depth > 0) {
        cells[at].insert_str(0, &branch(line, charset));
    }
    cells
}

/// The branch before a row of the tree: `│  ├─ `.
fn branch(line: &Line, charset: Charset) -> String {
    let (trunk, fork, corner) = match charset {
        Charset::Unicode => ("│  ", "├─ ", "└─ "),
        Charset::Ascii => ("|  ", "|- ", "`- "),
    };
    let levels = line.depth.min(MOST_LEVELS);
    let mut out: String = (1..levels).map(|level| if line.trunk >> level & 1 == 1 { trunk } else { "   " }).collect();
    out.push_str(if line.last { corner } else { fork });
    out
}

/// A value for people.
#[must_use]
pub fn cell(value: &Value<'_>, charset: Charset) -> String {
    let mut out = String::new();
    match value {
        Value::Unknown(_) => out.push('-'),
        Value::Int(n) => out.push_str(&n.to_string()),
        Value::Count(n) => columns::count(&mut out, *n),
        Value::Bytes(n) => columns::bytes(&mut out, *n),
        // Rates of bytes are far from the limits of either type.
        Value::BytesPerSecond(x) => columns::bytes(&mut out, x.max(0.0) as u64),
        Value::Percent(x) => columns::percent(&mut out, *x),
        Value::Rate(x) => columns::rate(&mut out, *x),
        Value::Duration(ns) => columns::duration(&mut out, *ns),
        Value::Recent(recent) => out.push_str(&recent.text()),
        Value::State(state) => out.push(state.letter()),
        Value::RunWait { run, wait } => {
            columns::percent(&mut out, *run);
            out.push('|');
            columns::percent(&mut out, *wait);
        }
        Value::HeldWanted { held, wanted } => columns::held_wanted(&mut out, *held, *wanted),
        Value::Text(bytes) => out.push_str(&sanitize(bytes, charset)),
        Value::Word(word) => out.push_str(word),
    }
    out
}
