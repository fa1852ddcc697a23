//! Parses the command line into [`LowArgs`]. Defaults and the config file are applied in `config`.
//!
//! To add a flag: a field here, and the line in `config` that applies it over the value of the file.

mod inside;
mod lab;
mod run;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches as _, Parser, Subcommand, ValueEnum};

mod output;

pub use output::{OutputArgs, ResultArgs, TableArgs};

use crate::kernel::SourceChoice;
pub use inside::{InspectArgs, ProfileArgs, ProfileFormat, TraceArgs};
pub use lab::{CompareArgs, LabCommand, LabRunArgs, ReportArgs, TalkArgs, TaskArg};
pub use run::{RunArgs, SweptArg};

/// Exit codes, the same for every subcommand.
pub mod exit {
    /// Done.
    pub const OK: u8 = 0;
    /// The run failed, or something broke on the way.
    pub const FAILED: u8 = 1;
    /// Bad usage: arguments, config file, or no terminal where one is needed.
    pub const USAGE: u8 = 2;
    /// Not available on this machine; the message says why.
    pub const UNAVAILABLE: u8 = 3;
}

const AFTER_HELP: &str = "\
Exit codes, unless a command says otherwise: 0 done, 1 failed, 2 bad usage, 3 not available here.
Config file: $XDG_CONFIG_HOME/concmon/config.toml (or ~/.config/concmon/config.toml).
Keys: F1 shows help, L opens the lab, q or F10 quits.";

/// Everything that was typed.
#[derive(Debug, Parser)]
#[command(
    name = "concmon",
    version,
    about = "Monitor processes and threads, and run concurrent workloads in a lab",
    after_help = AFTER_HELP,
    disable_help_subcommand = true,
    infer_long_args = false,
    max_term_width = 110
)]
pub struct LowArgs {
    /// Options of the monitor itself.
    #[command(flatten)]
    pub view: ViewArgs,
    /// Read this config file instead of the default one
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Disable colours (like NO_COLOR=1 in the environment)
    #[arg(long, global = true)]
    pub no_color: bool,
    /// What to do instead of opening the monitor.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What a sweep looks at: shared by the monitor and `ps`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct SelectArgs {
    /// Seconds between two samples, 0.1 to 60
    #[arg(short, long, value_name = "SECS", value_parser = number_of_seconds, allow_negative_numbers = true)]
    pub delay: Option<f64>,
    /// Show only these processes
    #[arg(short, long = "pid", value_name = "PID,..", value_delimiter = ',', value_parser = process_id, allow_negative_numbers = true)]
    pub pids: Vec<i32>,
    /// Show only processes of this user (name or number)
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// Set where tasks are read from
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<SourceArg>,
    /// Also write every sample to FILE (mode 0600: it holds all command lines); `-`: to standard output, without a screen
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    pub record: Option<PathBuf>,
    /// Show a recording instead of this machine; a pipe, or `-` for standard input, is shown while it grows
    #[arg(long, value_name = "FILE", conflicts_with = "source")]
    pub replay: Option<PathBuf>,
    /// Show other machines instead of this one, read-only: runs `ssh HOST concmon stream` for each
    #[arg(
        long = "host",
        value_name = "[USER@]HOST,..",
        value_delimiter = ',',
        conflicts_with_all = ["replay", "record", "source", "user"]
    )]
    pub hosts: Vec<String>,
}

/// Options of the monitor.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct ViewArgs {
    /// What to look at.
    #[command(flatten)]
    pub select: SelectArgs,
    /// Show only rows that match this filter, e.g. 'cpu>5 and user=www'
    #[arg(short = 'F', long, value_name = "EXPR")]
    pub filter: Option<String>,
    /// Start with the tree of parents and children
    #[arg(short, long)]
    pub tree: bool,
    /// Start with a row for every thread
    #[arg(short = 'H', long)]
    pub threads: bool,
    /// Sort by this column; append :asc or :desc for the direction
    #[arg(short, long, value_name = "COL")]
    pub sort: Option<String>,
    /// Send no signals, change no priorities, start no lab runs
    #[arg(long)]
    pub readonly: bool,
}

/// `--source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SourceArg {
    /// Use the best source that works
    Auto,
    /// Use the kernel's BPF task iterator (needs CAP_BPF and CAP_PERFMON)
    Bpf,
    /// Use the files of /proc (needs no privileges)
    Proc,
}

impl From<SourceArg> for SourceChoice {
    fn from(arg: SourceArg) -> Self {
        match arg {
            SourceArg::Auto => Self::Auto,
            SourceArg::Bpf => Self::Bpf,
            SourceArg::Proc => Self::Proc,
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the process table once
    Ps(PsArgs),
    /// Write samples to standard output, one frame at a time, for --replay and --host of another concmon
    Stream(StreamArgs),
    /// Print births, execs and exits as they happen
    Events(EventsArgs),
    /// Show the Python threads and tasks of processes: functions, GIL holder and waiters
    Inspect(InspectArgs),
    /// Show where the time of processes goes: functions of Python, and waits
    Profile(ProfileArgs),
    /// Record when tasks ran, waited for a CPU or the GIL, or were blocked
    Trace(TraceArgs),
    /// Find deadlocks, lost locks, limits, leaks and more; exit code 1 if any is found
    Problems(ProblemsArgs),
    /// Explain why a process does not go on: what it waits for, to the end of the chain
    Why(WhyArgs),
    /// Run a program and report what it and its descendants cost
    Run(RunArgs),
    /// Print the man pages or the completions of a shell
    Generate {
        /// What to print.
        #[command(subcommand)]
        what: GenerateCommand,
    },
    /// Launch concurrent workloads and measure their cost
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Lab {
        /// Which part of the lab.
        #[command(subcommand)]
        command: LabCommand,
    },
}

/// `concmon generate ...`.
#[derive(Debug, Subcommand)]
pub enum GenerateCommand {
    /// Print the man page, or write those of all commands
    Man {
        /// Write concmon.1 and a page for each command to this directory
        #[arg(value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// Print the completions of a shell; bash: source <(concmon generate completions bash)
    Completions {
        /// Shell that reads them
        #[arg(value_name = "SHELL", value_parser = PossibleValuesParser::new(SHELLS))]
        shell: String,
    },
}

/// Shells with completions.
pub const SHELLS: [&str; 4] = ["bash", "elvish", "fish", "zsh"];

/// `concmon ps`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct PsArgs {
    /// Print only rows that match this filter, e.g. 'nlwp>100'
    #[arg(value_name = "EXPR")]
    pub filter: Option<String>,
    /// What to look at.
    #[command(flatten)]
    pub select: SelectArgs,
    /// Print these columns, in this order; `help` lists all columns
    #[arg(long, value_name = "COL,..", value_delimiter = ',')]
    pub columns: Option<Vec<String>>,
    /// Sort by this column; append :asc or :desc for the direction
    #[arg(short, long, value_name = "COL")]
    pub sort: Option<String>,
    /// Print children below their parents
    #[arg(short, long)]
    pub tree: bool,
    /// Print a row for every thread
    #[arg(short = 'H', long)]
    pub threads: bool,
    /// Take N samples and print the last; rates (CPU%) need two
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub samples: u32,
    /// With --replay: print this frame, counted from 1 (default: the last)
    #[arg(long, value_name = "FRAME", requires = "replay", value_parser = clap::value_parser!(u32).range(1..))]
    pub at: Option<u32>,
    /// Write totals per program, control group and user as OpenMetrics to FILE, which is replaced as a whole
    #[arg(long, value_name = "FILE", conflicts_with_all = ["replay", "hosts", "at", "record", "columns", "sort", "tree", "threads"])]
    pub out: Option<PathBuf>,
    /// Rewrite FILE at this interval, e.g. 15s, until Ctrl-C; counters then include ended processes
    #[arg(long, value_name = "TIME", requires = "out", value_parser = interval)]
    pub every: Option<Duration>,
    /// Write series per process too; their number grows with that of the processes
    #[arg(long, value_name = "WHAT", requires = "out", value_parser = ["process"])]
    pub per: Option<String>,
    /// What the table is printed as.
    #[command(flatten)]
    pub output: TableArgs,
}

/// `concmon stream`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(
    after_help = "The output has the format of `--record`. It holds all command lines of this machine.\nExample: ssh BOX concmon stream | concmon --replay -"
)]
pub struct StreamArgs {
    /// Seconds between two frames, 0.1 to 60 (default: the `delay` of the config file, or 1)
    #[arg(long, value_name = "SECS", value_parser = number_of_seconds, allow_negative_numbers = true)]
    pub every: Option<f64>,
    /// Set where tasks are read from
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<SourceArg>,
}

/// `concmon problems`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(
    after_help = "Exit codes: 0 no problem was found, 1 problems were found, 2 bad usage, 3 the processes could not be examined.\n\
                  With --host, 3 if a host could not be examined, whether or not problems were found on others."
)]
pub struct ProblemsArgs {
    /// Report only problems of processes that match this filter, e.g. 'name~celery'
    #[arg(value_name = "EXPR")]
    pub filter: Option<String>,
    /// Examine for SECS seconds; with EXPR, less if a problem is found (default: once; limits and leaks need 10)
    #[arg(long = "for", value_name = "SECS", value_parser = positive_seconds)]
    pub duration: Option<Duration>,
    /// Look at other machines instead of this one: runs `ssh HOST concmon problems` for each; one list, worst first
    #[arg(long = "host", value_name = "[USER@]HOST,..", value_delimiter = ',')]
    pub hosts: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `concmon why`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct WhyArgs {
    /// Process or thread to explain
    #[arg(value_name = "PID", value_parser = process_id, allow_negative_numbers = true)]
    pub pid: i32,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `concmon events`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct EventsArgs {
    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,
    /// Stop after SECS seconds (default: run until Ctrl-C)
    #[arg(long = "for", value_name = "SECS", value_parser = positive_seconds)]
    pub duration: Option<Duration>,
    /// Set where tasks are read from
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<SourceArg>,
}

/// Seconds as a number; which are too few or too many is the config's to say.
fn number_of_seconds(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| "this must be a number of seconds, e.g. 1.5".to_owned())
}

/// A time between two writings: a number with `s`, `m` or `h`.
fn interval(text: &str) -> Result<Duration, String> {
    let wrong = || "this must be a time of 1s to 24h, e.g. 15s or 1m".to_owned();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = match &text[end..] {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(wrong()),
    };
    let secs: f64 = text[..end].parse().map_err(|_| wrong())?;
    Some(secs * unit).filter(|s| (1.0..=86_400.0).contains(s)).map(Duration::from_secs_f64).ok_or_else(wrong)
}

fn process_id(text: &str) -> Result<i32, String> {
    text.parse().ok().filter(|pid| *pid > 0).ok_or_else(|| "this must be the number of a process, e.g. 4121".to_owned())
}

fn positive_seconds(text: &str) -> Result<Duration, String> {
    let secs: f64 = text.parse().map_err(|_| "this must be a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(secs)
        .ok()
        .filter(|d| !d.is_zero() && *d <= Duration::from_secs(86_400 * 365))
        .ok_or_else(|| "this must be above 0 and at most a year".to_owned())
}

impl LowArgs {
    /// Parses argv.
    ///
    /// # Errors
    /// clap's error, which is also how `--help` and `--version` come out; `Error::exit_code` is 0 for those and 2 for bad usage.
    pub fn parse_from_args<I, T>(args: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<std::ffi::OsString> + Clone,
    {
        Self::parse_by(Self::command(), args)
    }

    /// Parses argv by a definition that is [`LowArgs`]'s with more to say, such as a longer version.
    ///
    /// # Errors
    /// As [`LowArgs::parse_from_args`].
    pub fn parse_by<I, T>(definition: clap::Command, args: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<std::ffi::OsString> + Clone,
    {
        let low = Self::from_arg_matches(&definition.try_get_matches_from(args)?)?;
        low.no_view_options_beside_a_command()?;
        low.no_tree_of_metrics()?;
        low.files_hold_metrics()?;
        Ok(low)
    }

    /// `concmon -t ps` would silently do nothing with the `-t`: refused.
    fn no_view_options_beside_a_command(&self) -> Result<(), clap::Error> {
        if self.command.is_some() && self.view != ViewArgs::default() {
            let why = "options of the monitor cannot precede a command; put the options of a command after it";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, why));
        }
        Ok(())
    }
}

impl LowArgs {
    /// Refuses `--out` with another format than OpenMetrics: Prometheus reads the file.
    fn files_hold_metrics(&self) -> Result<(), clap::Error> {
        match &self.command {
            Some(Command::Ps(args)) if args.out.is_some() && args.output.id() != "openmetrics" => {
                let why = "the argument '--out' needs '--format openmetrics'";
                Err(Self::command().error(ErrorKind::MissingRequiredArgument, why))
            }
            _ => Ok(()),
        }
    }

    /// Metrics have no order that a tree could be.
    fn no_tree_of_metrics(&self) -> Result<(), clap::Error> {
        match &self.command {
            Some(Command::Ps(args)) if args.tree && args.output.id() == "openmetrics" => {
                Err(Self::command()
                    .error(ErrorKind::ArgumentConflict, "the argument '--openmetrics' cannot be used with '--tree'"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::catalog::TaskKind;

    fn parse(line: &str) -> Result<LowArgs, clap::Error> {
        LowArgs::parse_from_args(line.split(' '))
    }

    #[test]
    fn the_definition_is_consistent() {
        LowArgs::command().debug_assert();
    }

    #[test]
    fn htop_hands_find_their_flags() {
        let low = parse("concmon -d 0.5 -p 1,2 -p 3 -u www -F cpu>5 -t -H -s rss --source proc --readonly --no-color").unwrap();
        assert_eq!(low.view.select.pids, [1, 2, 3]);
        assert_eq!(low.view.select.delay, Some(0.5));
        assert_eq!(low.view.sort.as_deref(), Some("rss"));
        assert!(low.view.tree && low.view.threads && low.view.readonly && low.no_color);
    }

    #[test]
    fn unknown_flags_are_named_with_the_nearest() {
        let error = parse("concmon --readonl").unwrap_err();
        assert_eq!(error.exit_code(), i32::from(exit::USAGE));
        assert!(error.to_string().contains("'--readonly'"), "{error}");
    }

    #[test]
    fn a_task_takes_a_size_if_it_has_one() {
        let run = |task: &str| match parse(&format!("concmon lab run native/fork --task {task}"))?.command {
            Some(Command::Lab { command: LabCommand::Run(run) }) => Ok::<_, clap::Error>(run.task),
            other => panic!("{other:?}"),
        };
        assert_eq!(run("pi:2000").unwrap(), Some(TaskArg { kind: TaskKind::Pi, size: Some(2000) }));
        assert_eq!(run("none").unwrap(), Some(TaskArg { kind: TaskKind::None, size: None }));
        assert!(run("factorial:3").unwrap_err().to_string().contains("no size"));
        assert!(run("pi:0").unwrap_err().to_string().contains("digits"));
        assert!(run("factoral").unwrap_err().to_string().contains("factorial"));
    }

    #[test]
    fn monitor_options_before_a_command_are_refused() {
        assert_eq!(parse("concmon -t ps").unwrap_err().kind(), ErrorKind::ArgumentConflict);
        assert!(parse("concmon --no-color ps -t").unwrap().no_color);
    }
}
