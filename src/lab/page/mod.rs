//! A report page: headings, sentences, tables and charts as plain data, written as one HTML file or as Markdown.
//!
//! `concmon lab talk` and `concmon lab compare` provide the content; the layout is decided here. Any text may be hostile: it passes the
//! sanitiser first (`clean`), then each writer escapes for its own format.

mod chart;
mod clean;
mod html;
mod markdown;
#[cfg(test)]
mod tests;

pub use html::html;
pub use markdown::markdown;

use serde_json::Value;

/// One page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Title, also of the window.
    pub title: String,
    /// What it says in short, a paragraph each.
    pub lead: Vec<String>,
    /// What a reader must know to judge it: machine, kernel, versions, parameters, seed.
    pub facts: Vec<(String, String)>,
    /// What it shows.
    pub blocks: Vec<Block>,
    /// The raw data behind it, embedded in HTML so that the file can be computed with.
    pub data: Value,
}

/// A part of a page.
#[derive(Debug, Clone)]
pub enum Block {
    /// A heading.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// A table.
    Table(Table),
    /// A bar for each thing.
    Bars(Bars),
    /// Curves over a common axis.
    Lines(Lines),
}

/// A table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Titles of the columns, and whether they hold numbers (which stand on the right).
    pub head: Vec<(String, bool)>,
    /// The rows, as long as the head.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// What it means; said by colour beside the words, never instead of them.
    pub mark: Mark,
}

impl Cell {
    /// A cell that is marked.
    #[must_use]
    pub fn marked(text: impl Into<String>, mark: Mark) -> Self {
        Self { text: text.into(), mark }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), mark: Mark::None }
    }
}

/// What a cell means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mark {
    /// Nothing more than it says.
    #[default]
    None,
    /// As hoped, or the best of its kind.
    Good,
    /// Not as claimed.
    Bad,
    /// Unknown, not available.
    Dim,
}

/// A bar for each thing.
#[derive(Debug, Clone, Default)]
pub struct Bars {
    /// What is drawn.
    pub title: String,
    /// What the numbers are, with their unit.
    pub axis: String,
    /// The bars, from top to bottom.
    pub bars: Vec<Bar>,
    /// Where bars begin on a logarithmic scale, which has no 0: at 1 for ratios, so that less than 1 goes the other way.
    pub base: Option<f64>,
    /// What [`Bar::reference`] is; empty if no bar has one.
    pub reference: String,
}

/// A bar.
#[derive(Debug, Clone, Default)]
pub struct Bar {
    /// Of what.
    pub label: String,
    /// How long: the median.
    pub value: f64,
    /// The same in words.
    pub text: String,
    /// Smallest and largest point.
    pub spread: Option<(f64, f64)>,
    /// Where it is compared with something else.
    pub reference: Option<f64>,
    /// Bars of one group have one colour: number of the group.
    pub group: usize,
}

/// Curves over a common axis.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// What is drawn.
    pub title: String,
    /// The axes, with their units.
    pub axes: (String, String),
    /// Name and points of each curve, in ascending order of the first number.
    pub series: Vec<(String, Vec<(f64, f64)>)>,
}
