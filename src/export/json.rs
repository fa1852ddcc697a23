//! JSON output: one object with `schema`, time, source, and a list `rows` with units in the key names. Unknown is null.

use std::io::{self, Write};

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::ser::{CompactFormatter, Formatter};

use crate::columns::{Column, Row, Value};
use crate::snapshot::{EventTier, SourceReport};
use crate::text::is_invisible;

use super::{Line, Table};

/// Name and version of the document; a field may be added without a new version, never change its meaning.
pub const SCHEMA: &str = "concmon.ps/1";

/// Writes the table, with a newline at the end.
///
/// # Errors
/// The writer's.
pub fn write_json(out: &mut dyn Write, table: &Table<'_>) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, SafeFormatter::default());
    Document(table).serialize(&mut serializer).map_err(io::Error::from)?;
    out.write_all(b"\n")
}

struct Document<'a>(&'a Table<'a>);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let table = self.0;
        let now = &table.model.now;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", SCHEMA)?;
        map.serialize_entry("taken_boot_ns", &now.taken_ns)?;
        map.serialize_entry("interval_ns", &table.model.dt_ns)?;
        map.serialize_entry("hostname", &now.system.hostname)?;
        map.serialize_entry("kernel_release", &now.system.kernel_release)?;
        map.serialize_entry("source", &Source(&now.report))?;
        map.serialize_entry("rows", &Rows(table))?;
        map.end()
    }
}

struct Source<'a>(&'a SourceReport);

impl Serialize for Source<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let report = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("tier", report.tier.name())?;
        map.serialize_entry("why", &report.why)?;
        map.serialize_entry("sample_cpu_ns", &report.sample_cpu_ns)?;
        map.serialize_entry("sample_wall_ns", &report.sample_wall_ns)?;
        map.serialize_entry("events", if report.events == EventTier::Connector { "connector" } else { "polling" })?;
        map.serialize_entry("events_lost", &report.events_lost)?;
        map.serialize_entry("denied_processes", &report.denied)?;
        map.end()
    }
}

struct Rows<'a>(&'a Table<'a>);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let keys: Vec<Vec<String>> = self.0.columns.iter().map(|column| keys_of(column)).collect();
        let mut seq = serializer.serialize_seq(None)?;
        for (line, row) in self.0.rows() {
            seq.serialize_element(&Record { line, row, columns: self.0.columns, keys: &keys })?;
        }
        seq.end()
    }
}

/// A column's key; two of them for a value of two numbers.
fn keys_of(column: &Column) -> Vec<String> {
    let key = column.json_key();
    match key.strip_suffix("run_wait_percent") {
        Some(before) => vec![format!("{before}run_percent"), format!("{before}run_delay_percent")],
        None if key == "gil_percent" => vec!["gil_held_percent".to_owned(), "gil_wanted_percent".to_owned()],
        None => vec![key],
    }
}

struct Record<'a> {
    line: &'a Line,
    row: Row<'a>,
    columns: &'a [&'static Column],
    keys: &'a [Vec<String>],
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.line.depth > 0 {
            map.serialize_entry("depth", &self.line.depth)?;
        }
        for (column, keys) in self.columns.iter().zip(self.keys) {
            match (keys.as_slice(), (column.get)(&self.row)) {
                ([run_key, wait_key], Value::RunWait { run, wait }) => {
                    map.serialize_entry(run_key, &run)?;
                    map.serialize_entry(wait_key, &wait)?;
                }
                ([held_key, wanted_key], Value::HeldWanted { held, wanted }) => {
                    map.serialize_entry(held_key, &held)?;
                    map.serialize_entry(wanted_key, &wanted)?;
                }
                (keys, value) => {
                    for key in keys {
                        map.serialize_entry(key, &Cell(&value))?;
                    }
                }
            }
        }
        map.end()
    }
}

struct Cell<'a>(&'a Value<'a>);

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Unknown(_) => serializer.serialize_none(),
            Value::Int(n) => serializer.serialize_i64(*n),
            Value::Count(n) | Value::Bytes(n) | Value::Duration(n) => serializer.serialize_u64(*n),
            Value::BytesPerSecond(x) | Value::Percent(x) | Value::Rate(x) => serializer.serialize_f32(*x),
            Value::RunWait { run, wait } => [run, wait].serialize(serializer),
            Value::HeldWanted { held, wanted } => (held, wanted).serialize(serializer),
            Value::Recent(recent) => serializer.serialize_str(&recent.text()),
            Value::State(state) => serializer.serialize_char(state.letter()),
            Value::Text(bytes) => serializer.serialize_str(&String::from_utf8_lossy(bytes)),
            Value::Word(word) => serializer.serialize_str(word),
        }
    }
}

/// Compact JSON in which everything a terminal could act on is an escape, with nothing lost: serde_json escapes C0 controls only.
#[derive(Debug, Clone, Copy, Default)]
pub struct SafeFormatter(());

impl Formatter for SafeFormatter {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c: char| c.is_control() || is_invisible(c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let mut chars = rest[at..].chars();
            if let Some(c) = chars.next() {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            rest = chars.as_str();
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}
