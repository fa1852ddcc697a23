//! `concmon lab compare`: several systems side by side, with sweeps, as a table with bars, curves and a finding.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::{CompareArgs, OutputArgs};
use crate::command::output;
use crate::config::{cannot_write, write_whole};
use crate::lab::batch::{self, Executor, Halt, Real, Stop};
use crate::lab::catalog::{self, Backend, PythonStart, RunSpec, System, TaskKind, python_program};
use crate::lab::kept::Kept;
use crate::lab::launcher::{LaunchError, Launcher, Limits, Machine, validate};
use crate::lab::measure::{Batch, Length, MEASURES, Measure, Plan, measure};
use crate::lab::page::html;
use crate::lab::python;
use crate::lab::report;
use crate::text::{Charset, sanitize_str};

use super::compare_table;
use super::progress::Progress;
use super::stop::stop_by_signal;
use super::{Ended, milliseconds, refuse, setup};

/// Measures the systems and prints how they compare. An error is one of writing.
pub fn compare(
    args: &CompareArgs,
    limits: &Limits,
    timeout_ms: u64,
    pythons: &[PathBuf],
    out: &mut dyn Write,
) -> io::Result<Ended> {
    let sort = match sort_and_files(&args.sort, &args.output) {
        Ok(sort) => sort,
        Err(error) => return refuse(&error),
    };
    let launcher = match Launcher::start_with(Path::new("/proc/self/exe"), limits.clone()) {
        Ok(launcher) => launcher.with_pythons(pythons.to_vec()),
        Err(error) => return refuse(&error),
    };
    let stop = stop_by_signal();
    match begin(args, timeout_ms, &launcher, &stop) {
        Ok(batch) => conduct(batch, &mut Real { launcher: &launcher, apart: false }, &stop, sort, &args.output, out),
        Err(error) => refuse(&error),
    }
}

/// The measure to sort by, if the files that are to be written can be.
pub(super) fn sort_and_files(sort: &str, output: &OutputArgs) -> Result<&'static Measure, LaunchError> {
    let Some(sort) = measure(sort) else {
        let ids: Vec<&str> = MEASURES.iter().map(|m| m.id).collect();
        let known = ids.join(", ");
        return Err(LaunchError::BadOption(format!("--sort: there is no measure {sort:?}; the measures are {known}")));
    };
    match output.html.iter().chain(&output.out).find_map(|path| cannot_write(path)) {
        Some(why) => Err(LaunchError::BadOption(why)),
        None => Ok(sort),
    }
}

/// Runs what is left of a batch, prints how its runs compare, and writes the page that was asked for.
pub(super) fn conduct(
    mut batch: Batch,
    executor: &mut impl Executor,
    stop: &Stop,
    sort: &'static Measure,
    output: &OutputArgs,
    out: &mut dyn Write,
) -> io::Result<Ended> {
    let mut runs = names(&batch).into_iter();
    let mut progress = Progress::new(runs.len());
    let mut step = || {
        if let Some(run) = runs.next() {
            progress.step(&run);
        }
    };
    step();
    let result = batch::run(&mut batch, executor, stop, |batch| {
        step();
        keep(output, sort, batch)
    });
    progress.end();
    let halted = match result {
        Ok(()) => None,
        Err(Halt::Launch(error)) => return refuse(&error),
        Err(halt) => Some(halt.to_string()),
    };
    let (runs, planned) = (batch.points.len(), batch.plan.runs());
    let failed = batch.points.iter().any(|p| p.failed.is_some());
    let kept = Kept::Comparison { batch, sort };
    show(output, &kept, out)?;
    if let Some(path) = &output.html {
        write_whole(path, html(&kept.page()).as_bytes()).map_err(|e| named(path, &e))?;
    }
    out.flush()?;
    if let Some(why) = halted {
        let kept = if output.out.is_some() { "; the same command continues from there" } else { "" };
        writeln!(io::stderr(), "concmon: {why} after {runs} of {planned} runs{kept}")?;
        return Ok(Ended::Failed);
    }
    Ok(if failed { Ended::Failed } else { Ended::Done })
}

/// What the progress calls the runs that are still to take place.
fn names(batch: &Batch) -> Vec<String> {
    let name = |(cell, repetition, warm_up): (usize, u32, bool)| {
        let spec = &batch.plan.cells[cell].spec;
        let settings: String = spec.settings.iter().map(|setting| format!(" {setting}")).collect();
        let round = format!("round {} of {}", repetition + 1, batch.plan.repetitions);
        format!("{}{settings}, {}", spec.system, if warm_up { "warm-up" } else { &round })
    };
    batch.left().into_iter().map(name).collect()
}

/// An error that says which file it is about.
fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The batch to run: a new one, or the rest of the one that is kept.
fn begin(args: &CompareArgs, timeout_ms: u64, launcher: &Launcher, stop: &Stop) -> Result<Batch, LaunchError> {
    let bad = LaunchError::BadOption;
    let host = batch::host();
    let old = kept_before(&args.output)?;
    let mut specs = Vec::new();
    let systems = systems(&args.systems)?;
    let task = common_task(args, &systems)?;
    for system in systems.iter().copied() {
        if system.on_python() && args.python.is_none() && !args.no_setup {
            // What could not be made is said by the launcher's refusal.
            let _ = setup::for_first_use(system, &launcher.interpreters());
        }
        specs.extend(variants(args, system, &systems, task, timeout_ms, launcher)?);
    }
    python::settle(&mut specs, &launcher.interpreters()).map_err(LaunchError::Unavailable)?;
    let mut lengths = Vec::new();
    let sizes = if args.task_ms.is_empty() {
        args.task_size.clone()
    } else if let Some(old) = &old {
        // What took so long then is asked for again: another calibration would find other sizes.
        let known: std::collections::BTreeSet<u32> = old.plan.cells.iter().filter_map(|c| c.spec.task_size).collect();
        lengths.clone_from(&old.plan.lengths);
        known.into_iter().collect()
    } else {
        let sizes = sizes_for(&args.task_ms, &specs[0], launcher, stop)?;
        if task == TaskKind::Pi {
            lengths.extend(sizes.iter().zip(&args.task_ms).map(|(size, ms)| Length::new(*size, *ms)));
        }
        sizes
    };
    if !sizes.is_empty() {
        let takes_size = |spec: &RunSpec| catalog::find(&spec.system).is_none_or(System::takes_size);
        let (sizeless, sized_specs): (Vec<_>, Vec<_>) = specs.into_iter().partition(|spec| !takes_size(spec));
        let sized = |spec: &RunSpec| sizes.iter().map(|s| RunSpec { task_size: Some(*s), ..spec.clone() }).collect::<Vec<_>>();
        specs = sized_specs.iter().flat_map(sized).chain(sizeless).collect();
    }
    let new = Batch::new(Plan { lengths, ..Plan::new(specs, args.repeat, args.seed) }, host);
    // What is written must be read again.
    new.plan.check().map_err(bad)?;
    let machine = Machine::read();
    for cell in &new.plan.cells {
        if let Some(system) = catalog::find(&cell.spec.system) {
            validate(system, &cell.spec, launcher.limits(), &machine)?;
        }
    }
    resume(old, new, &args.output)
}

/// The batch of the file that is to be continued, if it is there.
pub(super) fn kept_before(output: &OutputArgs) -> Result<Option<Batch>, LaunchError> {
    let path = output.out.as_ref().filter(|p| p.exists());
    path.map(|path| read(path)).transpose().map_err(LaunchError::BadOption)
}

/// The rest of the batch that was kept, if it is one of the same runs; otherwise the new one.
pub(super) fn resume(old: Option<Batch>, new: Batch, output: &OutputArgs) -> Result<Batch, LaunchError> {
    match (old, &output.out) {
        (Some(old), Some(path)) if (&old.plan, &old.host, &old.concmon) != (&new.plan, &new.host, &new.concmon) => {
            Err(LaunchError::BadOption(format!(
                "{}: the file was made with other options, by another version or on another machine; use another file or remove it",
                path.display()
            )))
        }
        (Some(old), _) => Ok(old),
        (None, _) => Ok(new),
    }
}

/// The batch of a file that was kept.
fn read(path: &Path) -> Result<Batch, String> {
    match Kept::read(path) {
        Ok(Kept::Comparison { batch, .. }) => Ok(batch),
        Ok(Kept::Talk(_)) => Err(format!("{}: the file has no comparison to continue; use another file", path.display())),
        Err(why) => Err(format!("{why}; the file has no comparison to continue: use another file")),
    }
}

fn systems(ids: &[String]) -> Result<Vec<&'static System>, LaunchError> {
    let find = |id: &String| {
        catalog::find(id).ok_or_else(|| LaunchError::UnknownSystem { id: id.clone(), nearest: catalog::nearest(id) })
    };
    ids.iter().map(find).collect()
}

/// The task that was asked for, or the first that all systems can do.
fn common_task(args: &CompareArgs, systems: &[&System]) -> Result<TaskKind, LaunchError> {
    let task = match args.task {
        Some(task) => task.kind,
        None => *systems
            .iter()
            .find(|s| s.backend != Backend::Own)
            .unwrap_or(&systems[0])
            .tasks
            .iter()
            .find(|t| systems.iter().filter(|s| s.backend != Backend::Own).all(|s| s.tasks.contains(t)))
            .ok_or_else(|| LaunchError::BadOption("no task works with all of these systems; compare fewer systems".into()))?,
    };
    if task.size().is_none() && !(args.task_size.is_empty() && args.task_ms.is_empty()) {
        return Err(LaunchError::BadOption(format!(
            "the task {} has no size to sweep; all others but none and factorial have one",
            task.name()
        )));
    }
    Ok(task)
}

/// A system with each combination of what is swept and has a meaning to it.
fn variants(
    args: &CompareArgs,
    system: &System,
    systems: &[&System],
    task: TaskKind,
    timeout_ms: u64,
    launcher: &Launcher,
) -> Result<Vec<RunSpec>, LaunchError> {
    let mut spec = RunSpec { seed: args.seed, ..system.defaults() };
    // A program of the user's own does its own work; what the other systems do does not matter.
    spec.task = if system.backend == Backend::Own && args.task.is_none() { spec.task } else { task };
    spec.task_size = args.task.and_then(|t| t.size).or(spec.task_size);
    spec.timeout_ms = args.timeout.map_or(timeout_ms, milliseconds);
    if system.params.tasks.is_some() {
        spec.tasks = args.tasks.unwrap_or(spec.tasks);
    }
    if let Some(named) = args.python.as_ref().filter(|_| system.on_python()) {
        spec.python = Some(python::resolve(named, systems, &launcher.interpreters()).map_err(LaunchError::BadOption)?);
    }
    if python_program(system.id).is_some_and(|p| p.start == PythonStart::Chosen) {
        spec.start_method = args.start_method;
    }
    if let Some(address) = args.cluster.as_ref().filter(|_| python_program(system.id).is_some_and(|p| p.cluster)) {
        spec = spec.on_cluster(address);
    }
    let workers =
        if args.workers.is_empty() || system.params.workers.is_none() { vec![spec.workers] } else { args.workers.clone() };
    let parents = if args.parent_mb.is_empty() || !system.params.parent_mb { vec![0] } else { args.parent_mb.clone() };
    let all = workers.iter().flat_map(|w| parents.iter().map(|mb| RunSpec { workers: *w, parent_mb: *mb, ..spec.clone() }));
    Ok(all.collect())
}

/// Sizes of a task that take one thread about so many milliseconds. CPU work is measured first, on the first system's side (native or
/// Python).
fn sizes_for(ms: &[f64], spec: &RunSpec, launcher: &Launcher, stop: &Stop) -> Result<Vec<u32>, LaunchError> {
    let bad = |why: String| LaunchError::BadOption(why);
    if let Some(wrong) = ms.iter().find(|ms| !(0.01..=60_000.0).contains(*ms)) {
        return Err(bad(format!("--task-ms: {wrong} is not between 0.01 and 60000")));
    }
    match spec.task {
        TaskKind::Sleep | TaskKind::Http => Ok(ms.iter().map(|ms| whole(*ms)).collect()),
        TaskKind::Pi => {
            let plan = Plan::new(vec![RunSpec { tasks: 1, ..spec.clone() }], 1, 1);
            let alone = plan.cells[0].baseline.map(|b| plan.cells[b].spec.clone());
            let alone =
                alone.ok_or_else(|| bad(format!("--task-ms: {} has no sequential system to calibrate with", spec.system)))?;
            ms.iter().map(|ms| size_of_pi(*ms, &alone, launcher, stop)).collect()
        }
        other => Err(bad(format!("--task-ms needs the task pi, sleep or http, not {}; use --task-size", other.name()))),
    }
}

/// Digits of pi that take about `ms`: the work grows with their square, so each measured run gives the next, better guess.
fn size_of_pi(ms: f64, alone: &RunSpec, launcher: &Launcher, stop: &Stop) -> Result<u32, LaunchError> {
    let mut size = 500_u32;
    for _ in 0..3 {
        let spec = RunSpec { task_size: Some(size), ..alone.clone() };
        let point = Real { launcher, apart: false }.execute(&spec, stop).map_err(|halt| match halt {
            Halt::Launch(error) => error,
            other => LaunchError::Helper(format!("while calibrating the length of a task: {other}")),
        })?;
        let Some(wall_ns) = point.wall_ns.filter(|ns| *ns > 0) else { break };
        let factor = (ms * 1e6 / (Duration::from_nanos(wall_ns).as_secs_f64() * 1e9)).sqrt();
        size = whole((f64::from(size) * factor).clamp(1.0, 200_000.0));
    }
    Ok(size)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be between 1 and 200,000")]
fn whole(n: f64) -> u32 {
    n.round().max(1.0) as u32
}

fn keep(output: &OutputArgs, sort: &'static Measure, batch: &Batch) -> io::Result<()> {
    let Some(path) = &output.out else { return Ok(()) };
    let kept = Kept::Comparison { batch: batch.clone(), sort };
    write_whole(path, kept.json()?.as_bytes()).map_err(|e| named(path, &e))
}

fn show(wanted: &OutputArgs, kept: &Kept, out: &mut dyn Write) -> io::Result<()> {
    if let Some(format) = wanted.printed.format() {
        return out.write_all((format.text)(kept)?.as_bytes());
    }
    let Kept::Comparison { batch, sort } = kept else { return Ok(()) };
    let width = output::terminal_width().unwrap_or(120);
    let text = compare_table::text(batch, &report::compare(batch, sort), sort, width);
    let lines: Vec<_> = text.lines().map(|line| sanitize_str(line, Charset::Unicode)).collect();
    writeln!(out, "{}", lines.join("\n"))
}
