//! Completions: the shell asks concmon itself, so that columns, systems and processes are those of this version and moment.

use std::ffi::OsString;
use std::io;

use clap::CommandFactory as _;
use clap::builder::StyledStr;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};

use crate::cli::LowArgs;
use crate::columns::COLUMNS;
use crate::config::{Config, Environment};
use crate::kernel::proc_fs::{ProcFs, RelPath};
use crate::lab::catalog;
use crate::lab::measure::MEASURES;
use crate::lab::talk::CLAIMS;
use crate::text::{Charset, sanitize};

/// The variable with which a shell asks.
const VARIABLE: &str = "CONCMON_COMPLETE";

/// Lists the candidates for an argument.
type Values = fn() -> Vec<CompletionCandidate>;

/// Candidates for an argument, by the name of its value in the help.
const VALUES: &[(&str, Values)] = &[
    ("PID", processes),
    ("PID,..", processes),
    ("PID|EXPR", processes),
    ("COL", columns),
    ("COL,..", columns),
    ("SYSTEM", systems),
    ("CLAIM,..", claims),
    ("MEASURE", measures),
];

/// Answers a shell that asks what may follow; `false` if none does.
pub(super) fn answer(args: &[OsString]) -> Result<bool, clap::Error> {
    if std::env::var_os(VARIABLE).is_none() {
        return Ok(false);
    }
    let here = std::env::current_dir().ok();
    CompleteEnv::with_factory(definition).var(VARIABLE).try_complete(args.iter().cloned(), here.as_deref())
}

/// Writes the script that makes a shell ask.
pub(super) fn register(shell: &str, out: &mut dyn io::Write) -> io::Result<()> {
    match Shells::builtins().completer(shell) {
        Some(completer) => completer.write_registration(VARIABLE, "concmon", "concmon", "concmon", out),
        None => Err(io::Error::other(format!("there are no completions for {shell}"))),
    }
}

/// The arguments, each with what completes it.
fn definition() -> clap::Command {
    with_values(LowArgs::command())
}

fn with_values(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| match values_of(&arg) {
        Some(values) => arg.add(ArgValueCandidates::new(values)),
        None => arg,
    });
    command.mut_subcommands(with_values)
}

fn values_of(arg: &clap::Arg) -> Option<Values> {
    let name = arg.get_value_names()?.first()?;
    VALUES.iter().find(|(known, _)| *known == name.as_str()).map(|(_, values)| *values)
}

fn candidate(value: impl Into<OsString>, help: impl Into<StyledStr>) -> CompletionCandidate {
    CompletionCandidate::new(value).help(Some(help.into()))
}

fn columns() -> Vec<CompletionCandidate> {
    COLUMNS.iter().map(|column| candidate(column.id, column.description)).collect()
}

fn systems() -> Vec<CompletionCandidate> {
    // A config with a mistake hides the user's own systems only.
    let low = LowArgs::parse_from_args(["concmon"]).ok();
    if let Some(config) = low.and_then(|low| Config::load(&low, &Environment::of_process()).ok()) {
        catalog::register(&config.lab.systems);
    }
    catalog::systems().iter().map(|system| candidate(system.id, system.title)).collect()
}

fn claims() -> Vec<CompletionCandidate> {
    CLAIMS.iter().map(|claim| candidate(claim.id, claim.statement)).collect()
}

fn measures() -> Vec<CompletionCandidate> {
    MEASURES.iter().map(|measure| candidate(measure.id, measure.about)).collect()
}

/// The processes of this machine; none if they cannot be listed.
fn processes() -> Vec<CompletionCandidate> {
    let mut pids = Vec::new();
    let Ok(proc) = ProcFs::open("/proc") else { return Vec::new() };
    if proc.list_pids(&mut pids).is_err() {
        return Vec::new();
    }
    pids.sort_unstable();
    let mut buffer = [0; 64];
    let named = pids.iter().filter_map(|pid| {
        let name = proc.read_once(&RelPath::process(*pid, "comm"), &mut buffer).ok()?;
        Some(candidate(pid.to_string(), sanitize(name.trim_ascii_end(), Charset::Unicode).into_owned()))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_args(command: &clap::Command, found: &mut Vec<String>) {
        found.extend(command.get_arguments().filter_map(|arg| Some(arg.get_value_names()?.first()?.to_string())));
        command.get_subcommands().for_each(|child| all_args(child, found));
    }

    #[test]
    fn every_kind_of_value_is_that_of_an_argument_and_has_candidates() {
        let mut found = Vec::new();
        all_args(&LowArgs::command(), &mut found);
        for (name, values) in VALUES {
            assert!(found.iter().any(|one| one == name), "no argument takes {name}");
            assert!(!values().is_empty(), "{name}");
        }
    }

    #[test]
    fn this_process_is_among_the_processes() {
        let own = std::process::id().to_string();
        assert!(processes().iter().any(|one| one.get_value() == own.as_str()));
    }
}
