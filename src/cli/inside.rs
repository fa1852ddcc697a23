//! Arguments of the commands that look into running processes for some time.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::positive_seconds;

/// `concmon inspect`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct InspectArgs {
    /// Process to inspect, or a filter, e.g. 'name~celery', to fold the equal stacks of all that match
    #[arg(value_name = "PID|EXPR", value_parser = process_or_filter, allow_hyphen_values = true)]
    pub target: String,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A number must be that of a process; everything else is a filter, which is understood later.
fn process_or_filter(text: &str) -> Result<String, String> {
    match text.parse::<i64>() {
        Ok(number) if i32::try_from(number).is_ok_and(|pid| pid > 0) => Ok(text.to_owned()),
        Ok(_) => Err("this must be the number of a process, e.g. 4121".to_owned()),
        Err(_) if text.starts_with('-') => Err("this must be a process or a filter".to_owned()),
        Err(_) => Ok(text.to_owned()),
    }
}

/// `concmon profile`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(
    after_help = "The processes are never stopped. Exit codes: 0 done, 1 no such process, 2 bad usage, 3 nothing could be sampled."
)]
pub struct ProfileArgs {
    /// Process to profile with its descendants, or a filter, e.g. 'name~celery'
    #[arg(value_name = "PID|EXPR", value_parser = process_or_filter, allow_hyphen_values = true)]
    pub target: String,
    /// Sample for SECS seconds
    #[arg(long = "for", value_name = "SECS", value_parser = positive_seconds, default_value = "10")]
    pub duration: Duration,
    /// Sample HZ times a second
    #[arg(long, value_name = "HZ", value_parser = rate, default_value = "100")]
    pub rate: f64,
    /// Show processes and threads apart
    #[arg(long)]
    pub threads: bool,
    /// Count only time holding the GIL
    #[arg(long, conflicts_with_all = ["cpu", "wall"])]
    pub gil: bool,
    /// Count CPU time
    #[arg(long, conflicts_with = "wall")]
    pub cpu: bool,
    /// Count all time, waits included (default)
    #[arg(long)]
    pub wall: bool,
    /// Print one line per stack with its microseconds
    #[arg(long, conflicts_with_all = ["speedscope", "html", "json"])]
    pub folded: bool,
    /// Print a file for speedscope.app
    #[arg(long, conflicts_with_all = ["html", "json"])]
    pub speedscope: bool,
    /// Print a page with a flame graph
    #[arg(long, conflicts_with = "json")]
    pub html: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `concmon trace`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(
    after_help = "Looking takes at most 1/25 of a CPU. Exit codes: 0 done, 1 no such process, 2 bad usage, 3 nothing could be traced."
)]
pub struct TraceArgs {
    /// Process to trace with its descendants, or a filter, e.g. 'name~celery'
    #[arg(value_name = "PID|EXPR", value_parser = process_or_filter, allow_hyphen_values = true, required_unless_present = "command")]
    pub target: Option<String>,
    /// Trace for SECS seconds (default: 10; a command: until it ends)
    #[arg(long = "for", value_name = "SECS", value_parser = positive_seconds)]
    pub duration: Option<Duration>,
    /// Write a file for a trace viewer: .json (Chrome) or .pftrace (Perfetto)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Command to start and trace
    #[arg(value_name = "COMMAND", last = true, conflicts_with = "target")]
    pub command: Vec<OsString>,
}

/// What `concmon profile` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileFormat {
    /// Tables.
    Text,
    /// Folded stacks.
    Folded,
    /// A document for speedscope.
    Speedscope,
    /// A page.
    Html,
    /// concmon's own document.
    Json,
}

impl ProfileArgs {
    /// The one that was asked for.
    #[must_use]
    pub fn format(&self) -> ProfileFormat {
        match self {
            Self { folded: true, .. } => ProfileFormat::Folded,
            Self { speedscope: true, .. } => ProfileFormat::Speedscope,
            Self { html: true, .. } => ProfileFormat::Html,
            Self { json: true, .. } => ProfileFormat::Json,
            _ => ProfileFormat::Text,
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|hz| (0.1..=1000.0).contains(hz)).ok_or_else(|| "this must be from 0.1 to 1000".to_owned())
}
