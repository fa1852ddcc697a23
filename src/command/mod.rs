//! From the command line to an exit code: one file per subcommand.

mod about;
mod completions;
mod events;
mod hosts;
mod inspect;
mod inspect_family;
pub mod lab;
mod metrics;
mod output;
mod problems;
mod profile;
mod ps;
mod run;
mod stream;
mod trace;
mod waits;
mod why;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::cli::{Command, LabCommand, LabRunArgs, LowArgs, exit};
use crate::config::{Config, ConfigError, Environment};
use crate::engine::Feed;
use crate::kernel::error::ReadError;
use crate::kernel::proc_fs::ProcFs;
use crate::kernel::survive_file_limit;
use crate::lab::catalog;
use crate::lab::python::{self, Discovery};
use crate::query::Filter;
use crate::record::{Replay, Writer};
use crate::text::{Charset, sanitize_str};
use crate::ui::terminal::{self, TerminalError};
use crate::ui::theme::{THEMES, Theme};

/// Why a command did not do what it should; each kind has its exit code.
#[derive(Debug)]
pub enum Failure {
    /// Bad usage: 2.
    Usage(anyhow::Error),
    /// Not available on this machine: 3.
    Unavailable(anyhow::Error),
    /// Anything else: 1.
    Failed(anyhow::Error),
    /// Already said, in a report of its own; the exit code alone is left.
    Reported(u8),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.into())
    }
}

impl From<TerminalError> for Failure {
    fn from(error: TerminalError) -> Self {
        Self::Usage(error.into())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Runs what argv asks for and says on standard error what went wrong.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    survive_file_limit();
    match completions::answer(&args) {
        Ok(false) => {}
        Ok(true) => return ExitCode::from(exit::OK),
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(exit::FAILED);
        }
    }
    let low = match LowArgs::parse_by(about::definition(), args) {
        Ok(low) => low,
        Err(error) => {
            // Help and version come this way too. A closed pipe is no failure of theirs.
            if let Some(text) = plain(&error) {
                output::to_stderr(&text);
            } else {
                let _ = error.print();
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit::USAGE));
        }
    };
    match run(&low) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(failure) => ExitCode::from(report(&failure)),
    }
}

fn run(low: &LowArgs) -> Result<(), Failure> {
    if let Some(Command::Generate { what }) = &low.command {
        return about::generate(what);
    }
    if let Some(Command::Ps(args)) = &low.command
        && ps::asks_for_columns(args)
    {
        return ps::list_columns(args);
    }
    if let Some(Command::Run(args)) = &low.command {
        // Needs no config, and the program is not to wait for its reading.
        return run::run(args);
    }
    let config = Config::load(low, &Environment::of_process())?;
    catalog::register(&config.lab.systems);
    for warning in &config.warnings {
        // Before the monitor takes the screen: it stands there again when the monitor has ended.
        output::to_stderr(&format!("concmon: warning: {}\n", sanitize_str(warning, Charset::Unicode)));
    }
    if looks_at_processes(low.command.as_ref(), &config) {
        there_is_proc()?;
    }
    match &low.command {
        Some(Command::Ps(args)) => match &args.out {
            Some(path) => metrics::run(&config, args, path),
            None => ps::run(&config, args),
        },
        Some(Command::Events(args)) => events::run(&config, args),
        Some(Command::Stream(_)) => stream::run(&config),
        Some(Command::Lab { command: LabCommand::List { json } }) => {
            Ok(output::with_stdout(|out| lab::list(*json, &pythons(&config), out))?)
        }
        Some(Command::Run(args)) => run::run(args),
        Some(Command::Generate { what }) => about::generate(what),
        Some(Command::Inspect(args)) => inspect_family::run(&config, args),
        Some(Command::Profile(args)) => profile::run(&config, args),
        Some(Command::Trace(args)) => trace::run(&config, args),
        Some(Command::Problems(args)) => problems::run(&config, args),
        Some(Command::Why(args)) => why::run(args),
        Some(Command::Lab { command: LabCommand::Doctor { json } }) => {
            Ok(output::with_stdout(|out| lab::doctor(*json, &pythons(&config), out))?)
        }
        Some(Command::Lab { command: LabCommand::Setup { python, all } }) => {
            match lab::setup(python.as_deref(), *all, &config.lab.pythons) {
                lab::Ended::Done => Ok(()),
                ended => Err(Failure::Reported(ended.code())),
            }
        }
        Some(Command::Lab { command: LabCommand::Run(args) }) => lab_run(&config, args),
        Some(Command::Lab { command: LabCommand::Talk(args) }) => {
            ending(|out| lab::talk(args, &config.lab.to_launcher_limits(), &config.lab.pythons, out))
        }
        Some(Command::Lab { command: LabCommand::Compare(args) }) => {
            let timeout_ms = u64::try_from(config.lab.timeout.as_millis()).unwrap_or(u64::MAX);
            ending(|out| lab::compare(args, &config.lab.to_launcher_limits(), timeout_ms, &config.lab.pythons, out))
        }
        Some(Command::Lab { command: LabCommand::Report(args) }) => ending(|out| lab::report(args, out)),
        None => {
            known_theme(&config)?;
            filter(&config)?;
            if config.record.as_deref().is_some_and(stream::is_standard_output) {
                // The screen would stand among the frames.
                return stream::run(&config);
            }
            // Before a file is made: without a terminal nothing would be recorded.
            terminal::present()?;
            let feed = match (&config.replay, &config.record) {
                _ if !config.hosts.is_empty() => Feed::Hosts(hosts::asked_for(&config.hosts)?),
                (Some(recording), _) => Feed::Recording(Box::new(open_recording(recording)?)),
                (None, file) => Feed::Machine(file.as_deref().map(begin_recording).transpose()?),
            };
            crate::engine::run(&config, feed).map_err(monitor_failure)
        }
    }
}

/// An error about a number in words for people: the standard library's are for programmers.
fn plain(error: &clap::Error) -> Option<String> {
    const WORDS: [(&str, &str); 3] = [
        ("invalid digit found in string", "it is not a whole number"),
        ("cannot parse integer from empty string", "there is no number"),
        ("invalid float literal", "it is not a number"),
    ];
    let text = error.to_string();
    let (theirs, ours) = WORDS.iter().find(|(theirs, _)| text.contains(theirs))?;
    Some(sanitized(&text.replacen(theirs, ours, 1)) + "\n")
}

/// A text of several lines, each made harmless.
fn sanitized(text: &str) -> String {
    text.lines().map(|line| sanitize_str(line, Charset::Unicode)).collect::<Vec<_>>().join("\n")
}

/// The interpreters of this machine; a readonly concmon starts none of them to ask what it can do.
fn pythons(config: &Config) -> Arc<Discovery> {
    if config.readonly { python::listed(&config.lab.pythons) } else { python::interpreters(&config.lab.pythons) }
}

/// Whether the command reads this machine's processes.
fn looks_at_processes(command: Option<&Command>, config: &Config) -> bool {
    match command {
        None | Some(Command::Ps(_)) => config.replay.is_none() && config.hosts.is_empty(),
        Some(
            Command::Events(_)
            | Command::Stream(_)
            | Command::Run(_)
            | Command::Inspect(_)
            | Command::Profile(_)
            | Command::Trace(_)
            | Command::Why(_),
        ) => true,
        Some(Command::Problems(args)) => args.hosts.is_empty(),
        Some(Command::Generate { .. }) => false,
        Some(Command::Lab { command }) => {
            matches!(command, LabCommand::Run(_) | LabCommand::Talk(_) | LabCommand::Compare(_))
        }
    }
}

/// Without `/proc` nothing can be shown. Other reasons why it cannot be read are reported where it is read.
fn there_is_proc() -> Result<(), Failure> {
    match ProcFs::open("/proc") {
        Err(error) if error.is_no_proc() => Err(Failure::Unavailable(error.into())),
        _ => Ok(()),
    }
}

/// `concmon lab run`: within the config's limits.
fn lab_run(config: &Config, args: &LabRunArgs) -> Result<(), Failure> {
    config.lab.check(args)?;
    let mut options = lab::LabRunOptions::from(args);
    options.timeout_ms = options.timeout_ms.or(u64::try_from(config.lab.timeout.as_millis()).ok());
    options.pythons.clone_from(&config.lab.pythons);
    let limits = config.lab.to_launcher_limits();
    ending(|out| lab::run_with(Path::new("/proc/self/exe"), &limits, &options, out))
}

/// Runs a command of the lab with standard output; how it ended as what `main` makes of it.
fn ending(run: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<lab::Ended>) -> Result<(), Failure> {
    let mut ended = lab::Ended::Done;
    output::with_stdout(|out| {
        ended = run(out)?;
        Ok(())
    })?;
    match ended {
        lab::Ended::Done => Ok(()),
        ended => Err(Failure::Reported(ended.code())),
    }
}

/// The filter asked for; one that is not understood is bad usage, with the place of the mistake.
fn filter(config: &Config) -> Result<Option<Filter>, Failure> {
    let Some(text) = &config.filter else { return Ok(None) };
    match Filter::parse_with(text, &config.saved_filters) {
        Ok(filter) => Ok(Some(filter)),
        Err(error) => Err(Failure::Usage(anyhow::anyhow!("filter: {}", error.pointed(text)))),
    }
}

/// The recording asked for; none is bad usage.
fn open_recording(path: &Path) -> Result<Replay, Failure> {
    Replay::open(path).map_err(|error| Failure::Usage(error.into()))
}

/// The recording to be written; a place for none is bad usage.
fn begin_recording(path: &Path) -> Result<Writer, Failure> {
    Writer::create(path).map_err(|error| Failure::Usage(error.into()))
}

/// A theme that is not there is bad usage, like any other wrong value of the config file.
fn known_theme(config: &Config) -> Result<(), Failure> {
    if Theme::named(&config.theme, config.depth()).is_some() {
        return Ok(());
    }
    let file = config.path.as_ref().map_or_else(|| "the config file".to_owned(), |p| p.display().to_string());
    Err(Failure::Usage(anyhow::anyhow!(
        "theme in {file}: there is no theme {:?}; the themes are {}",
        config.theme,
        THEMES.join(", ")
    )))
}

/// Why the monitor ended before its user left: no terminal is bad usage, everything else a failure.
fn monitor_failure(error: anyhow::Error) -> Failure {
    match error.downcast::<TerminalError>() {
        Ok(terminal) => terminal.into(),
        Err(other) => Failure::Failed(other),
    }
}

/// Says what went wrong, in one sentence; the exit code.
fn report(failure: &Failure) -> u8 {
    let (error, code) = match failure {
        Failure::Usage(error) => (error, exit::USAGE),
        Failure::Unavailable(error) => (error, exit::UNAVAILABLE),
        Failure::Failed(error) if is_broken_pipe(error) => return exit::OK,
        // It was there when the command began.
        Failure::Failed(error) if error.downcast_ref::<ReadError>().is_some_and(ReadError::is_no_proc) => {
            (error, exit::UNAVAILABLE)
        }
        Failure::Failed(error) => (error, exit::FAILED),
        Failure::Reported(code) => return *code,
    };
    // Names in messages (files, keys of a config file) are other people's bytes too.
    output::to_stderr(&format!("concmon: {}\n", sanitized(&chain_text(error))));
    code
}

/// An error and what led to it, in a row; a cause whose text the one before has taken in already is not said twice.
fn chain_text(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// The reader of our output had enough (`concmon ps | head`): that is how pipes end, not a failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|e| e.io_error_kind() == Some(std::io::ErrorKind::BrokenPipe))
    })
}
