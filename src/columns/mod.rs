//! The registry of columns: everything that can be shown, sorted, filtered or exported of a row is one entry.
//!
//! To add a column: one entry in a room of `registry/`. A new kernel value touches more: see ARCHITECTURE.md.

mod fold;
mod get;
mod get_place;
mod registry;
mod row;
mod value;

pub use crate::units::{
    self as format, bytes, count, cpus, duration, held_wanted, in_bytes, latency, latency_text, percent, rate,
};
pub use fold::Fold;
pub use get_place::wall_clock;
pub use registry::{COLUMNS, DEFAULT};
pub use row::{Row, RowRef, RunNote};
pub use value::{Unknown, Value};

use crate::snapshot::Needs;

/// Which rows a column has values for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Processes and threads.
    Both,
    /// Processes only: the value belongs to the whole group (memory, cmdline).
    Process,
}

/// Horizontal alignment: numbers right, words left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// The direction a first press on the header sorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// What the colour of a column's values says: how much it is, or of what kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hue {
    /// Nothing.
    Plain,
    /// Share of the time on a CPU.
    Ran,
    /// Share of the time waiting for a CPU.
    Waited,
    /// Memory that the process holds.
    Held,
    /// What a task waits for.
    Reason,
    /// How a process or thread was created, and how long that took.
    Created,
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Name in config, filter and export: lower case, `_` between words, with the unit for JSON in [`Column::json_key`].
    pub id: &'static str,
    /// Head of the column.
    pub title: &'static str,
    /// What it means, one sentence.
    pub description: &'static str,
    /// Unit of the exported number; empty for words and plain counts.
    pub unit: &'static str,
    /// Where the kernel reports it.
    pub source: &'static str,
    /// How far it is to be trusted: begins with `measured`, `computed` or `estimated`.
    pub basis: &'static str,
    /// What a source must read for it beyond the basics.
    pub needs: Needs,
    /// Rows it has values for.
    pub scope: Scope,
    /// Alignment.
    pub align: Align,
    /// Cells; 0 takes what is left (the command).
    pub width: u16,
    /// Whether its words are cut before the number in them, such as a PID, and not after.
    pub keep_numbers: bool,
    /// First sort direction.
    pub order: Order,
    /// How important it is where there is little room: 0 always stays, larger steps back earlier.
    pub rank: u8,
    /// How a folded subtree's values become one.
    pub fold: Fold,
    /// What it is to a collector of metrics.
    pub metric: Metric,
    /// What its colour says on the screen.
    pub hue: Hue,
    /// The value of a row.
    pub get: for<'a> fn(&Row<'a>) -> Value<'a>,
}

/// What a column is in OpenMetrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// A number that goes up and down; words are no metric.
    Gauge,
    /// A number that only grows while its task lives.
    Counter,
    /// It says of which task a number is.
    Label,
    /// A number that names something: nothing to add up or to draw.
    Name,
}

/// Ids are unique, so they are the identity.
impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Column {}

impl Column {
    /// Key in JSON and CSV: the id with its unit.
    #[must_use]
    pub fn json_key(&self) -> String {
        if self.unit.is_empty() || self.id.ends_with(self.unit) {
            self.id.to_owned()
        } else {
            format!("{}_{}", self.id, self.unit)
        }
    }
}

/// The column with this id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Column> {
    COLUMNS.iter().find(|c| c.id == id)
}

/// The id nearest to a mistyped one.
#[must_use]
pub fn nearest(id: &str) -> Option<&'static str> {
    crate::text::nearest(id, COLUMNS, |c| c.id, 0.7).map(|c| c.id)
}

/// Everything the given columns need, together.
#[must_use]
pub fn needs<'a>(columns: impl IntoIterator<Item = &'a Column>) -> Needs {
    columns.into_iter().fold(Needs::empty(), |all, c| all | c.needs)
}

#[cfg(test)]
mod tests;
