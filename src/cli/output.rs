//! Options for the format of what is printed. The formats are registries: [`export::FORMATS`] for tables, [`kept::FORMATS`] for results of
//! the lab. Each has an id for `--format`; the flags of the common ones are short for it.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::export;
use crate::lab::kept;

use std::path::PathBuf;

/// The format of a table of processes.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[group(multiple = false)]
pub struct TableArgs {
    /// Print in this format
    #[arg(long, value_name = "FORMAT", value_parser = table_formats())]
    pub format: Option<String>,
    /// Print one JSON object (--format json)
    #[arg(long)]
    pub json: bool,
    /// Print comma-separated values with a header line (--format csv)
    #[arg(long)]
    pub csv: bool,
    /// Print OpenMetrics text: a metric in base units per numeric column (--format openmetrics)
    #[arg(long)]
    pub openmetrics: bool,
}

impl TableArgs {
    /// The id of the format in [`export::FORMATS`].
    #[must_use]
    pub fn id(&self) -> &str {
        let flags = [(self.json, "json"), (self.csv, "csv"), (self.openmetrics, "openmetrics")];
        self.format.as_deref().unwrap_or_else(|| flagged(&flags).unwrap_or("text"))
    }
}

/// The format of a result of the lab.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[group(multiple = false)]
pub struct ResultArgs {
    /// Print in this format
    #[arg(long, value_name = "FORMAT", value_parser = result_formats())]
    pub format: Option<String>,
    /// Print one JSON object (--format json)
    #[arg(long)]
    pub json: bool,
    /// Print comma-separated values with a header line (--format csv)
    #[arg(long)]
    pub csv: bool,
    /// Print Markdown (--format markdown)
    #[arg(long)]
    pub md: bool,
}

impl ResultArgs {
    /// The format, if it is not the text for a terminal.
    #[must_use]
    pub fn format(&self) -> Option<&'static kept::Format> {
        let flags = [(self.json, "json"), (self.csv, "csv"), (self.md, "markdown")];
        kept::format(self.format.as_deref().or_else(|| flagged(&flags))?)
    }
}

/// Where results of the lab go: printed, saved to continue later, and written as a page.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct OutputArgs {
    /// Save the results to FILE after each step; an existing file is continued
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Also write an HTML page to FILE
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// What is printed.
    #[command(flatten)]
    pub printed: ResultArgs,
}

fn flagged(flags: &[(bool, &'static str)]) -> Option<&'static str> {
    flags.iter().find(|(given, _)| *given).map(|(_, id)| *id)
}

fn table_formats() -> PossibleValuesParser {
    PossibleValuesParser::new(export::FORMATS.iter().map(|format| PossibleValue::new(format.id).help(format.help)))
}

/// Ids of [`kept::FORMATS`].
pub(super) fn result_formats() -> PossibleValuesParser {
    PossibleValuesParser::new(kept::FORMATS.iter().map(|format| PossibleValue::new(format.id).help(format.help)))
}
