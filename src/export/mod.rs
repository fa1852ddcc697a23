//! Writes a table of rows and columns in the output formats.
//!
//! Every writer uses the [`crate::columns`] registry and no column by name. To add a format: a file with a function, and an entry in
//! [`FORMATS`].

mod csv;
mod json;
mod openmetrics;
mod table;
mod totals;

pub use csv::write_csv;
pub use json::{SafeFormatter, write_json};
pub use openmetrics::write_openmetrics;
pub use table::{TableOptions, cell, write_table};
pub use totals::{FoundIn, Kind, Totals};

use std::io::{self, Write};

use crate::columns::{Column, Row, RowRef};
use crate::derive::Model;

/// A format in which a table is written.
#[derive(Debug)]
pub struct Format {
    /// What `--format` takes.
    pub id: &'static str,
    /// One line for `--help`.
    pub help: &'static str,
    /// Writes the table; only text uses the options.
    pub write: fn(&mut dyn Write, &Table<'_>, &TableOptions) -> io::Result<()>,
}

/// All formats.
pub const FORMATS: &[Format] = &[
    Format { id: "text", help: "Aligned columns for a terminal", write: write_table },
    Format { id: "json", help: "One JSON object", write: |out, table, _| write_json(out, table) },
    Format { id: "csv", help: "Comma-separated values with a header line", write: |out, table, _| write_csv(out, table) },
    Format {
        id: "openmetrics",
        help: "OpenMetrics text: a metric in base units per numeric column, a series per row",
        write: |out, table, _| write_openmetrics(out, table),
    },
];

/// One line of a table: a row and its place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The row.
    pub row: RowRef,
    /// Ancestors above it in this table.
    pub depth: u16,
    /// Whether no sibling follows it.
    pub last: bool,
    /// Bit `n` is set if the ancestor at depth `n` has a sibling below, so that its branch goes on; the first 64 levels are drawn.
    pub trunk: u64,
}

impl Line {
    /// A line outside any tree.
    #[must_use]
    pub fn flat(row: RowRef) -> Self {
        Self { row, depth: 0, last: true, trunk: 0 }
    }
}

/// What is written.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    /// Where the rows are.
    pub model: &'a Model,
    /// Columns in order.
    pub columns: &'a [&'static Column],
    /// Lines in order.
    pub lines: &'a [Line],
}

impl<'a> Table<'a> {
    /// The rows, in order; lines of another model are left out.
    fn rows(&self) -> impl Iterator<Item = (&'a Line, Row<'a>)> {
        let model = self.model;
        self.lines.iter().filter_map(move |line| Some((line, Row::new(model, line.row)?)))
    }
}

#[cfg(test)]
mod tests;
