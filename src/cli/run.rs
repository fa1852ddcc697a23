//! Arguments of `concmon run`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};

use super::positive_seconds;

/// `concmon run`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(
    group = ArgGroup::new("repeated").args(["repeat", "sweep", "arg"]).multiple(true),
    after_help = "With --repeat, --sweep or --arg the program runs several times, in an order that is shuffled in each round, as a run of \
                  the lab: without standard input, in a session of its own, its output kept. Concmon then prints a comparison.\n\n\
                  Exit code: that of the program; of several runs, that of the first that failed."
)]
pub struct RunArgs {
    /// Print one JSON object on standard output; the output of a single run goes to standard error
    #[arg(long)]
    pub json: bool,
    /// Let processes that outlive the program keep running, such as daemons (default: they are killed, and the report says so)
    #[arg(long, conflicts_with = "repeated")]
    pub detach: bool,
    /// Always set the variables that `import concmon_lab` needs (default: only if an argument or its .py file imports it)
    #[arg(long)]
    pub lab: bool,
    /// Run each combination K times and compare (default with --sweep or --arg: 5)
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: Option<u32>,
    /// Number of runs of each combination before the measured ones
    #[arg(long, value_name = "W", default_value_t = 1, requires = "repeated", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub warmup: u32,
    /// Set this variable of the environment to each of the values; several options are combined
    #[arg(long, value_name = "VAR=V,..", value_parser = swept)]
    pub sweep: Vec<SweptArg>,
    /// Put each of the values in place of {NAME} in the command; several options are combined
    #[arg(long, value_name = "NAME=V,..", value_parser = swept)]
    pub arg: Vec<SweptArg>,
    /// Compare every combination with the first: adds the speed-up
    #[arg(long, requires = "repeated")]
    pub baseline: bool,
    /// Kill a run after SECS seconds
    #[arg(long, value_name = "SECS", default_value = "600", requires = "repeated", value_parser = positive_seconds)]
    pub timeout: Duration,
    /// Sort by this measure, best first
    #[arg(long, value_name = "MEASURE", default_value = "wall", requires = "repeated")]
    pub sort: String,
    /// Seed of the order of runs
    #[arg(long, value_name = "SEED", default_value_t = 1, requires = "repeated")]
    pub seed: u64,
    /// Save the results to FILE after each run; an existing file is continued
    #[arg(long, value_name = "FILE", requires = "repeated")]
    pub out: Option<PathBuf>,
    /// Also write an HTML page to FILE
    #[arg(long, value_name = "FILE", requires = "repeated")]
    pub html: Option<PathBuf>,
    /// Program to run, with its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

impl RunArgs {
    /// Whether the program runs several times.
    #[must_use]
    pub fn repeated(&self) -> bool {
        self.repeat.is_some() || !self.sweep.is_empty() || !self.arg.is_empty()
    }
}

/// A name with the values that it takes one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweptArg {
    /// A variable or a placeholder.
    pub name: String,
    /// Each once.
    pub values: Vec<String>,
}

fn swept(text: &str) -> Result<SweptArg, String> {
    let example = "this must be a name and values, e.g. THREADS=1,2,4";
    let (name, values) = text.split_once('=').ok_or(example)?;
    if name.is_empty() || name.contains(['{', '}', '\0']) {
        return Err(example.to_owned());
    }
    let values: Vec<String> = values.split(',').map(str::to_owned).collect();
    match values.iter().enumerate().find(|(at, value)| values[..*at].contains(value)) {
        Some((_, twice)) => Err(format!("the value \"{twice}\" is given twice")),
        None => Ok(SweptArg { name: name.to_owned(), values }),
    }
}
