//! CSV output (RFC 4180, with plain newlines): a header of JSON keys, then a record per row. Unknown is empty.

use std::io::{self, Write};

use crate::columns::Value;
use crate::text::{Charset, sanitize};

use super::Table;

/// Writes the table.
///
/// # Errors
/// The writer's.
pub fn write_csv(out: &mut impl Write, table: &Table<'_>) -> io::Result<()> {
    let mut line = String::new();
    for column in table.columns {
        separate(&mut line);
        line.push_str(&column.json_key());
    }
    end(out, &mut line)?;
    for (_, row) in table.rows() {
        let mut first = true;
        for column in table.columns {
            if !first {
                line.push(',');
            }
            first = false;
            push(&mut line, &(column.get)(&row));
        }
        end(out, &mut line)?;
    }
    Ok(())
}

fn separate(line: &mut String) {
    if !line.is_empty() {
        line.push(',');
    }
}

fn end(out: &mut impl Write, line: &mut String) -> io::Result<()> {
    line.push('\n');
    out.write_all(line.as_bytes())?;
    line.clear();
    Ok(())
}

fn push(line: &mut String, value: &Value<'_>) {
    use std::fmt::Write as _;
    // Writing to a String does not fail.
    let _ = match value {
        Value::Unknown(_) => Ok(()),
        Value::Int(n) => write!(line, "{n}"),
        Value::Count(n) | Value::Bytes(n) | Value::Duration(n) => write!(line, "{n}"),
        Value::BytesPerSecond(x) | Value::Percent(x) | Value::Rate(x) => write!(line, "{x}"),
        Value::RunWait { run, wait } => write!(line, "{run}|{wait}"),
        Value::Recent(recent) => line.write_str(&recent.text()),
        Value::State(state) => write!(line, "{}", state.letter()),
        Value::Word(word) => line.write_str(word),
        Value::Text(bytes) => {
            push_text(line, &sanitize(bytes, Charset::Unicode));
            Ok(())
        }
    };
}

/// Text of another process: quoted where CSV wants it, and never the beginning of a spreadsheet's formula.
fn push_text(line: &mut String, text: &str) {
    // The wide forms too: spreadsheets of some languages take them for the narrow ones.
    let formula = text.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    // A blank at an end would be taken away by some readers.
    let quoted = text.contains(['"', ',', ';', '\'']) || text.starts_with(' ') || text.ends_with(' ');
    if !formula && !quoted {
        line.push_str(text);
        return;
    }
    line.push('"');
    if formula {
        line.push('\'');
    }
    for c in text.chars() {
        if c == '"' {
            line.push('"');
        }
        line.push(c);
    }
    line.push('"');
}
