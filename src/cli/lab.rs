//! Arguments of `concmon lab`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, Subcommand};

use super::output::{self, OutputArgs};
use crate::lab::catalog::{StartMethod, TaskKind};

/// `concmon lab ...`.
#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// List the lab systems and whether each can run here
    List {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Run one system and print its cost
    Run(LabRunArgs),
    /// Run several systems repeatedly and compare them
    Compare(CompareArgs),
    /// Measure the claims of a talk on concurrent execution in Python
    Talk(TalkArgs),
    /// Convert a result of `lab talk` or `lab compare` to Markdown, HTML or CSV
    Report(ReportArgs),
    /// Install the packages that some Python systems need, in a separate environment
    Setup {
        /// Make the environment for this interpreter (default: the one that Python systems run on)
        #[arg(long, value_name = "PATH")]
        python: Option<PathBuf>,
        /// Make an environment for the newest interpreter of every supported version
        #[arg(long, conflicts_with = "python")]
        all: bool,
    },
    /// List the Python interpreters and the systems that each can run
    Doctor {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// A task with its size, as `--task pi:2000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskArg {
    /// What each unit of work does.
    pub kind: TaskKind,
    /// Its size, in the unit of [`TaskKind::size`].
    pub size: Option<u32>,
}

/// `concmon lab run`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct LabRunArgs {
    /// System to run, e.g. native/fork (see: concmon lab list)
    #[arg(value_name = "SYSTEM")]
    pub system: String,
    /// Work of each task, with its size after a colon, e.g. pi:2000
    #[arg(long, value_name = "TASK[:SIZE]", value_parser = TaskParser)]
    pub task: Option<TaskArg>,
    /// Number of workers; several numbers make several runs
    #[arg(long, value_name = "N[,N]", value_delimiter = ',')]
    pub workers: Vec<u32>,
    /// Number of tasks
    #[arg(long, value_name = "N")]
    pub tasks: Option<u32>,
    /// Memory of the parent before it creates workers, in MiB
    #[arg(long, value_name = "M")]
    pub parent_mb: Option<u32>,
    /// Number of runs
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// Kill a run after SECS seconds
    #[arg(long, value_name = "SECS")]
    pub timeout: Option<f64>,
    /// Keep the workers for MS milliseconds after their work, for inspection
    #[arg(long, value_name = "MS")]
    pub hold_ms: Option<u32>,
    /// Seed of the random numbers
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
    /// Interpreter for a Python system: a path, or a name on PATH (default: automatic)
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
    /// Do not install missing packages; report them instead
    #[arg(long)]
    pub no_setup: bool,
    /// Start method of multiprocessing (default: the interpreter's default)
    #[arg(long, value_name = "METHOD", value_parser = start_methods())]
    pub start_method: Option<StartMethod>,
    /// Scheduler of your own dask cluster, for python/dask-cluster
    #[arg(long, value_name = "tcp://HOST:PORT")]
    pub cluster: Option<String>,
    /// Record each host of the cluster while the tasks run, with the concmon installed there, to a file in DIR
    #[arg(long, value_name = "DIR", requires = "cluster")]
    pub recordings: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `concmon lab compare`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct CompareArgs {
    /// Systems to compare, e.g. native/fork native/spawn (see: concmon lab list)
    #[arg(value_name = "SYSTEM", required = true)]
    pub systems: Vec<String>,
    /// Work of each task, with its size after a colon (default: the first that all systems support)
    #[arg(long, value_name = "TASK[:SIZE]", value_parser = TaskParser)]
    pub task: Option<TaskArg>,
    /// Sizes of a task, one run each: a sweep
    #[arg(long, value_name = "N[,N]", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    pub task_size: Vec<u32>,
    /// Lengths of a task in milliseconds; for CPU work, concmon first finds the matching sizes
    #[arg(long, value_name = "MS[,MS]", value_delimiter = ',', conflicts_with = "task_size")]
    pub task_ms: Vec<f64>,
    /// Number of workers; several numbers are a sweep
    #[arg(long, value_name = "N[,N]", value_delimiter = ',')]
    pub workers: Vec<u32>,
    /// Number of tasks
    #[arg(long, value_name = "N")]
    pub tasks: Option<u32>,
    /// Memory of the parent before it creates workers, in MiB; several numbers are a sweep
    #[arg(long, value_name = "M[,M]", value_delimiter = ',')]
    pub parent_mb: Vec<u32>,
    /// Number of measured runs of each, after one warm-up run
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// Seed of the order of runs and of the random numbers in them
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub seed: u64,
    /// Kill a run after SECS seconds
    #[arg(long, value_name = "SECS")]
    pub timeout: Option<f64>,
    /// Interpreter for Python systems: a path, or a name on PATH
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
    /// Start method of multiprocessing, for systems that do not fix it
    #[arg(long, value_name = "METHOD", value_parser = start_methods())]
    pub start_method: Option<StartMethod>,
    /// Scheduler of your own dask cluster, for python/dask-cluster
    #[arg(long, value_name = "tcp://HOST:PORT")]
    pub cluster: Option<String>,
    /// Do not install missing packages; report them instead
    #[arg(long)]
    pub no_setup: bool,
    /// Sort by this measure, best first
    #[arg(long, value_name = "MEASURE", default_value = "wall")]
    pub sort: String,
    /// Where the results go.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `concmon lab talk`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct TalkArgs {
    /// Measure only these claims
    #[arg(long, value_name = "CLAIM,..", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Least number of rounds per claim; more follow while a claim is undecided
    #[arg(long, value_name = "K", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub repeat: u32,
    /// Interpreter for all claims: a path, a version that was found, or a name on PATH
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
    /// Where the results go.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Do not install missing packages; report them instead
    #[arg(long)]
    pub no_setup: bool,
}

/// `concmon lab report`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ReportArgs {
    /// Result file, written with `--json` or `--out`
    #[arg(value_name = "FILE.json")]
    pub file: PathBuf,
    /// Write one HTML file instead of Markdown, to FILE or standard output
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub html: Option<Option<PathBuf>>,
    /// Print in this format (default: markdown)
    #[arg(long, value_name = "FORMAT", value_parser = output::result_formats(), conflicts_with_all = ["html", "csv"])]
    pub format: Option<String>,
    /// Print comma-separated values with a header line (--format csv)
    #[arg(long, conflicts_with = "html")]
    pub csv: bool,
}

/// Reads a [`StartMethod`] by name.
fn start_methods() -> impl TypedValueParser<Value = StartMethod> {
    PossibleValuesParser::new(StartMethod::ALL.map(StartMethod::name))
        .try_map(|name| StartMethod::from_name(&name).ok_or("no start method has this name"))
}

/// Reads [`TaskArg`]; the names come from [`TaskKind::ALL`], so that help and suggestions know them.
#[derive(Debug, Clone, Copy)]
struct TaskParser;

impl TaskParser {
    fn names() -> PossibleValuesParser {
        PossibleValuesParser::new(TaskKind::ALL.map(TaskKind::name))
    }
}

impl TypedValueParser for TaskParser {
    type Value = TaskArg;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<TaskArg, clap::Error> {
        let text = value.to_string_lossy();
        let (name, size) = text.split_once(':').map_or((&*text, None), |(name, size)| (name, Some(size)));
        let name = Self::names().parse_ref(command, arg, name.as_ref())?;
        let refuse = |why: String| clap::Error::raw(ErrorKind::ValueValidation, why).with_cmd(command);
        let Some(kind) = TaskKind::from_name(&name) else {
            return Err(refuse(format!("there is no task \"{name}\"\n")));
        };
        let size = match (size, kind.size()) {
            (None, _) => None,
            (Some(_), None) => return Err(refuse(format!("the task \"{name}\" has no size\n"))),
            (Some(size), Some((unit, default))) => match size.parse::<u32>() {
                Ok(n) if n > 0 => Some(n),
                _ => return Err(refuse(format!("the size of \"{name}\" is a number of {unit} from 1, e.g. {name}:{default}\n"))),
            },
        };
        Ok(TaskArg { kind, size })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = clap::builder::PossibleValue> + '_>> {
        Some(Box::new(TaskKind::ALL.into_iter().map(|kind| clap::builder::PossibleValue::new(kind.name()))))
    }
}
