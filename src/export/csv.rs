//! The table as CSV: a header of JSON keys, then a record per row. Unknown is empty.

use std::borrow::Cow;
use std::io::{self, Write};

use crate::columns::Value;
use crate::csv::{Csv, LineEnd};

use super::Table;

/// Writes the table.
///
/// # Errors
/// The writer's.
pub fn write_csv(out: &mut dyn Write, table: &Table<'_>) -> io::Result<()> {
    let mut csv = Csv::new(out, LineEnd::Newline);
    for column in table.columns {
        csv.cell(column.json_key().as_bytes())?;
    }
    csv.end()?;
    for (_, row) in table.rows() {
        for column in table.columns {
            csv.cell(&cell(&(column.get)(&row)))?;
        }
        csv.end()?;
    }
    Ok(())
}

fn cell<'a>(value: &'a Value<'_>) -> Cow<'a, [u8]> {
    let text = match value {
        Value::Text(bytes) => return Cow::Borrowed(bytes),
        Value::Unknown(_) => String::new(),
        Value::Int(n) => n.to_string(),
        Value::Count(n) | Value::Bytes(n) | Value::Duration(n) => n.to_string(),
        Value::BytesPerSecond(x) | Value::Percent(x) | Value::Rate(x) => x.to_string(),
        Value::RunWait { run, wait } => format!("{run}|{wait}"),
        Value::HeldWanted { held, wanted } => format!("{held}|{}", wanted.map_or_else(String::new, |wanted| wanted.to_string())),
        Value::Recent(recent) => recent.text(),
        Value::State(state) => state.letter().to_string(),
        Value::Word(word) => (*word).to_string(),
    };
    Cow::Owned(text.into_bytes())
}
