//! `concmon run --repeat`: a program of the user's own runs several times, with variables and arguments swept, and is compared with itself
//! as `lab compare` compares systems.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::compare::{conduct, kept_before, resume, sort_and_files};
use super::refuse;
use super::stop::stop_by_signal;
use crate::cli::{OutputArgs, ResultArgs, RunArgs, SweptArg};
use crate::lab::batch::{Executor, Halt, Real, Stop, host};
use crate::lab::catalog::{self, OWN_PROGRAM, OwnSystem, PLACEHOLDERS, RunSpec, Setting, TaskKind};
use crate::lab::launcher::{LaunchError, Launcher, Limits};
use crate::lab::measure::{Batch, Plan, Point};
use crate::lab::run::{Outcome, RunPhase};
use crate::snapshot::ExitStatus;

/// Repetitions if the command line says nothing of them.
const REPETITIONS: u32 = 5;
/// What shells add to the number of a signal that has killed a program.
const BY_SIGNAL: u8 = 128;

/// How the first run ended that failed.
struct Failed {
    /// What was set in it.
    settings: String,
    /// Why it failed, one sentence.
    why: String,
    /// The exit code that says so.
    code: u8,
}

/// Runs and compares; the exit code is that of the first run that failed. An error is one of writing.
pub fn repeat(args: &RunArgs, out: &mut dyn Write) -> io::Result<u8> {
    let output = OutputArgs {
        out: args.out.clone(),
        html: args.html.clone(),
        printed: ResultArgs { json: args.json, ..ResultArgs::default() },
    };
    let timeout_ms = u64::try_from(args.timeout.as_millis()).unwrap_or(u64::MAX).max(1);
    let limits = Limits { max_timeout_ms: u64::MAX, ..Limits::default() };
    let begun = sort_and_files(&args.sort, &output)
        .and_then(|sort| Ok((sort, begin(args, timeout_ms, &output)?)))
        .and_then(|(sort, batch)| Ok((sort, batch, Launcher::start_with(Path::new("/proc/self/exe"), limits)?)));
    let (sort, batch, launcher) = match begun {
        Ok(begun) => begun,
        Err(error) => return Ok(refuse(&error)?.code()),
    };
    let stop = stop_by_signal();
    let mut executor = Noting { real: Real { launcher: &launcher, apart: false }, launcher: &launcher, failed: None };
    let ended = conduct(batch, &mut executor, &stop, sort, &output, out)?;
    let Some(failed) = executor.failed else { return Ok(ended.code()) };
    let of = if failed.settings.is_empty() { String::new() } else { format!(" with {}", failed.settings) };
    let text = format!("concmon: a run{of} failed: {}; the exit code is {}\n", failed.why, failed.code);
    // An error of standard error cannot be reported.
    let _ = io::stderr().write_all(crate::text::sanitize_str(text.trim_end(), crate::text::Charset::Unicode).as_bytes());
    let _ = io::stderr().write_all(b"\n");
    Ok(failed.code)
}

/// Executes runs, and keeps how the first that failed ended.
struct Noting<'a> {
    real: Real<'a>,
    launcher: &'a Launcher,
    failed: Option<Failed>,
}

impl Executor for Noting<'_> {
    fn execute(&mut self, spec: &RunSpec, stop: &Stop) -> Result<Point, Halt> {
        let point = self.real.execute(spec, stop)?;
        if let (Some(why), None) = (&point.failed, &self.failed) {
            let watch = self.launcher.watch();
            let run = watch.borrow().runs.last().cloned();
            let timed_out = run.as_ref().is_some_and(|run| run.phase == RunPhase::Ended(Outcome::TimedOut));
            let code = match run.and_then(|run| run.root_status()) {
                Some(ExitStatus::Code(code)) if code != 0 && !timed_out => code,
                Some(ExitStatus::Signal { signal, .. }) if !timed_out => BY_SIGNAL.saturating_add(signal),
                _ => 1,
            };
            let settings: Vec<String> = spec.settings.iter().map(ToString::to_string).collect();
            self.failed = Some(Failed { settings: settings.join(" "), why: why.clone(), code });
        }
        Ok(point)
    }
}

/// The batch to run: every combination of what is swept.
fn begin(args: &RunArgs, timeout_ms: u64, output: &OutputArgs) -> Result<Batch, LaunchError> {
    let bad = LaunchError::BadOption;
    let own = described(args).map_err(bad)?;
    let swept = args.sweep.iter().map(|s| (s, true)).chain(args.arg.iter().map(|s| (s, false)));
    let base = RunSpec { system: own.id.clone(), task: TaskKind::Own, seed: args.seed, timeout_ms, ..RunSpec::own() };
    let specs = swept.fold(vec![base], |specs, (swept, variable)| combined(&specs, swept, variable));
    let mut plan = Plan::new(specs, args.repeat.unwrap_or(REPETITIONS), args.seed);
    plan.warm_up = args.warmup;
    plan.command = Some(own.command.join(" "));
    if args.baseline {
        plan.cells.iter_mut().for_each(|cell| cell.baseline = Some(0));
    }
    plan.check().map_err(bad)?;
    catalog::register(&[own]);
    resume(kept_before(output)?, Batch::new(plan, host()), output)
}

/// The specs with each value.
fn combined(specs: &[RunSpec], swept: &SweptArg, variable: bool) -> Vec<RunSpec> {
    let with = |spec: &RunSpec, value: &String| {
        let setting = Setting { name: swept.name.clone(), value: value.clone(), variable };
        RunSpec { settings: spec.settings.iter().cloned().chain([setting]).collect(), ..spec.clone() }
    };
    specs.iter().flat_map(|spec| swept.values.iter().map(move |value| with(spec, value))).collect()
}

/// The command as a system of the user's own.
fn described(args: &RunArgs) -> Result<OwnSystem, String> {
    let mut command = Vec::new();
    for word in &args.command {
        let word = word
            .to_str()
            .ok_or_else(|| format!("{} is not UTF-8; a program that is repeated needs such arguments", word.display()))?;
        command.push(word.to_owned());
    }
    let name = args.command.first().and_then(|word| Path::new(word).file_name()).unwrap_or_default();
    let plain = name.as_bytes().iter().all(|b| b.is_ascii_graphic()) && name.len() <= 32 && !name.is_empty();
    let id = if plain { name.to_string_lossy().into_owned() } else { OWN_PROGRAM.to_owned() };
    let own = OwnSystem { id, command, ..OwnSystem::default() };
    let names: Vec<&String> = args.sweep.iter().chain(&args.arg).map(|swept| &swept.name).collect();
    if let Some((_, twice)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return Err(format!("{twice} is swept twice; give all its values to one option"));
    }
    for swept in &args.arg {
        if PLACEHOLDERS.contains(&swept.name.as_str()) {
            return Err(format!("--arg {}: this name has a meaning in the lab; use another", swept.name));
        }
        if !own.takes(&swept.name) {
            return Err(format!("--arg {0}: the command does not contain {{{0}}}; put it where the values belong", swept.name));
        }
    }
    Ok(own)
}
