//! `concmon lab list` and `concmon lab run`: launch, wait, print. The arguments are parsed elsewhere.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::{LabRunArgs, exit};
use crate::lab::batch::{Halt, Stop};
use crate::lab::catalog::{self, PythonStart, RunSpec, StartMethod, System, TaskKind, python_program, systems};
use crate::lab::launcher::{LaunchError, Launcher, Limits};
use crate::lab::measure::counted;
use crate::lab::python::{self, Discovery};
use crate::lab::run::{Outcome, Run, RunId, RunPhase};
use crate::text::{Charset, sanitize_str};

mod compare;
mod compare_table;
mod doctor;
mod document;
mod progress;
mod repeat;
mod setup;
mod stop;
mod table;
mod talk;

pub use compare::compare;
pub use doctor::doctor;
pub use document::run_document;
use progress::Progress;
pub use repeat::repeat;
pub use setup::setup;
pub(super) use stop::stop_by_signal;
pub(super) use table::own_program;
pub use talk::{report, talk};

/// Options of `concmon lab run`; what is `None` is the system's default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabRunOptions {
    /// Id of the system.
    pub system: String,
    /// Name of the task.
    pub task: Option<String>,
    /// Size of one unit of work.
    pub task_size: Option<u32>,
    /// Numbers of workers, one group of runs each. Empty: the default.
    pub workers: Vec<u32>,
    /// Units of work.
    pub tasks: Option<u32>,
    /// Memory of the parent, MiB.
    pub parent_mb: Option<u32>,
    /// Runs per number of workers, at least 1.
    pub repeat: u32,
    /// Milliseconds before a run is killed.
    pub timeout_ms: Option<u64>,
    /// Milliseconds that workers stay after their work.
    pub hold_ms: Option<u32>,
    /// Seed of everything random.
    pub seed: Option<u64>,
    /// Interpreter of Python systems.
    pub python: Option<std::path::PathBuf>,
    /// Start method of multiprocessing.
    pub start_method: Option<StartMethod>,
    /// Scheduler of the user's cluster.
    pub cluster: Option<String>,
    /// Directory for recordings of the cluster's hosts.
    pub recordings: Option<PathBuf>,
    /// Interpreters that the config names.
    pub pythons: Vec<PathBuf>,
    /// Whether an environment that is missing is made first.
    pub set_up: bool,
    /// One JSON object instead of a table.
    pub json: bool,
}

/// How a command ended, as its exit code says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// 0: done.
    Done,
    /// 1: a run failed.
    Failed,
    /// 2: bad usage.
    BadUsage,
    /// 3: not available here.
    Unavailable,
}

impl Ended {
    /// The exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => exit::OK,
            Self::Failed => exit::FAILED,
            Self::BadUsage => exit::USAGE,
            Self::Unavailable => exit::UNAVAILABLE,
        }
    }
}

impl From<&LabRunArgs> for LabRunOptions {
    fn from(args: &LabRunArgs) -> Self {
        Self {
            system: args.system.clone(),
            task: args.task.map(|task| task.kind.name().to_owned()),
            task_size: args.task.and_then(|task| task.size),
            workers: args.workers.clone(),
            tasks: args.tasks,
            parent_mb: args.parent_mb,
            repeat: args.repeat,
            timeout_ms: args.timeout.map(milliseconds),
            hold_ms: args.hold_ms,
            seed: args.seed,
            pythons: Vec::new(),
            set_up: !args.no_setup,
            python: args.python.clone(),
            start_method: args.start_method,
            cluster: args.cluster.clone(),
            recordings: args.recordings.clone(),
            json: args.json,
        }
    }
}

/// Whole milliseconds of a number of seconds; 0, which no run accepts, for what is no duration.
fn milliseconds(seconds: f64) -> u64 {
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Prints the systems, and why some do not run here. An error is one of writing.
pub fn list(json: bool, found: &Discovery, out: &mut dyn Write) -> io::Result<()> {
    if json {
        let systems: Vec<Value> = systems().iter().map(|s| system_document(s, found)).collect();
        serde_json::to_writer_pretty(&mut *out, &json!({ "schema": "concmon.lab.list/1", "systems": systems }))?;
        return writeln!(out);
    }
    table::list(found, out)
}

fn system_document(system: &System, found: &Discovery) -> Value {
    let unavailable = python::availability(system, found);
    let program = python_program(system.id);
    json!({
        "id": system.id,
        "title": system.title,
        "section": system.section.title(),
        "backend": system.backend,
        "lesson": system.lesson,
        "tasks": system.tasks.iter().map(|t| t.name()).collect::<Vec<_>>(),
        "default_workers": system.params.workers,
        "fixed_workers": (system.params.workers.is_none()).then_some(system.params.fixed_workers),
        "default_tasks": system.params.tasks,
        "parent_mb": system.params.parent_mb,
        "start_methods": program.map(|p| match p.start {
            PythonStart::None => Vec::new(),
            PythonStart::Fixed(method) => vec![method],
            PythonStart::Chosen => StartMethod::ALL.to_vec(),
        }),
        "packages": program.map(|p| p.packages),
        "available": unavailable.is_none(),
        "why_not": unavailable,
    })
}

/// Runs a system as often as asked and prints what came of it. An error is one of writing.
pub fn run(options: &LabRunOptions, out: &mut dyn Write) -> io::Result<Ended> {
    run_with(Path::new("/proc/self/exe"), &Limits::default(), options, out)
}

/// The same with the concmon to use as the helper, and other limits.
pub fn run_with(exe: &Path, limits: &Limits, options: &LabRunOptions, out: &mut dyn Write) -> io::Result<Ended> {
    let specs = match specs(options) {
        Ok(specs) => specs,
        Err(error) => return refuse(&error),
    };
    let launcher = match Launcher::start_with(exe, limits.clone()) {
        Ok(launcher) => launcher.with_pythons(options.pythons.clone()),
        Err(error) => return refuse(&error),
    };
    if let Some(system) = catalog::find(&options.system).filter(|s| s.on_python())
        && options.python.is_none()
        && options.set_up
    {
        // What could not be made is said by the launcher's refusal, below.
        let _ = setup::for_first_use(system, &launcher.interpreters());
    }
    let (runs, halted) = match run_all(&launcher, &specs, options.repeat.max(1)) {
        Ok(ran) => ran,
        Err(error) => return refuse(&error),
    };
    if options.json {
        serde_json::to_writer_pretty(&mut *out, &run_document(&runs))?;
        writeln!(out)?;
    } else {
        table::runs(&runs, out)?;
    }
    out.flush()?;
    if halted {
        let all = specs.len() * options.repeat.max(1) as usize;
        writeln!(io::stderr(), "concmon: stopped after {} of {all} runs", runs.len())?;
        return Ok(Ended::Failed);
    }
    let done = runs.iter().all(|r| r.phase == RunPhase::Ended(Outcome::Done));
    Ok(if done { Ended::Done } else { Ended::Failed })
}

/// All rounds of the specs, or those until the user pressed Ctrl-C: then true. Rounds first, so that a change of the machine's load
/// falls on all numbers of workers alike.
fn run_all(launcher: &Launcher, specs: &[RunSpec], rounds: u32) -> Result<(Vec<Arc<Run>>, bool), LaunchError> {
    let stop = stop_by_signal();
    let mut progress = Progress::new(specs.len() * rounds as usize);
    let mut runs: Vec<Arc<Run>> = Vec::new();
    for round in 0..rounds {
        for spec in specs {
            let workers = counted(spec.workers as usize, "worker");
            progress.step(&format!("{}, {workers}, round {} of {rounds}", spec.system, round + 1));
            match await_end_unless(launcher, launcher.launch(spec.clone())?, &stop) {
                Ok(run) => runs.push(run),
                Err(Halt::Stopped) => return Ok((runs, true)),
                Err(Halt::Launch(error)) => return Err(error),
                Err(Halt::Keep(error)) => return Err(LaunchError::Helper(error.to_string())),
            }
        }
    }
    Ok((runs, false))
}

/// Waits until the run has ended; kills it if the user stops it.
fn await_end_unless(launcher: &Launcher, id: RunId, stop: &Stop) -> Result<Arc<Run>, Halt> {
    let mut watch = launcher.watch();
    // The launcher lives, so the channel stays open and every run ends.
    let ended = stop.unless(async {
        let ended = watch.wait_for(|state| state.run(id).is_none_or(|run| run.ended())).await.ok()?;
        ended.run(id).cloned()
    })?;
    if stop.stopped() {
        launcher.stop(id);
        return Err(Halt::Stopped);
    }
    Ok(ended.flatten().ok_or_else(|| LaunchError::Helper("the helper ended without reporting the result of the run".into()))?)
}

fn refuse(error: &LaunchError) -> io::Result<Ended> {
    // An id, a path or an interpreter's words may hold anything.
    writeln!(io::stderr(), "concmon: {}", sanitize_str(&error.to_string(), Charset::Unicode))?;
    Ok(match error {
        LaunchError::UnknownSystem { .. } | LaunchError::BadOption(_) | LaunchError::TooLarge(_) => Ended::BadUsage,
        LaunchError::Unavailable(_) | LaunchError::NoPids(_) | LaunchError::Helper(_) => Ended::Unavailable,
    })
}

/// One spec for each number of workers.
fn specs(options: &LabRunOptions) -> Result<Vec<RunSpec>, LaunchError> {
    let id = &options.system;
    let system = catalog::find(id).ok_or_else(|| LaunchError::UnknownSystem { id: id.clone(), nearest: catalog::nearest(id) })?;
    let mut spec = system.defaults();
    if let Some(name) = &options.task {
        spec.task = TaskKind::from_name(name).ok_or_else(|| {
            let names: Vec<&str> = system.tasks.iter().map(|t| t.name()).collect();
            LaunchError::BadOption(format!("there is no task {name:?}; {id} can run {}", names.join(", ")))
        })?;
    }
    spec.task_size = options.task_size.or(spec.task_size);
    spec.tasks = options.tasks.unwrap_or(spec.tasks);
    spec.parent_mb = options.parent_mb.unwrap_or(spec.parent_mb);
    spec.hold_ms = options.hold_ms.unwrap_or(0);
    spec.seed = options.seed.unwrap_or(spec.seed);
    spec.timeout_ms = options.timeout_ms.unwrap_or(spec.timeout_ms);
    if let Some(named) = &options.python {
        if !system.on_python() {
            return Err(LaunchError::BadOption(format!("{id} is not a Python system; remove --python")));
        }
        spec.python =
            Some(python::resolve(named, &[system], &python::interpreters(&options.pythons)).map_err(LaunchError::BadOption)?);
    }
    spec.start_method = options.start_method;
    if let Some(address) = &options.cluster {
        spec = spec.on_cluster(address);
    }
    if let Some(directory) = &options.recordings {
        let bad = |why: &str| LaunchError::BadOption(format!("--recordings {}: {why}", directory.display()));
        let directory = std::path::absolute(directory).map_err(|error| bad(&error.to_string()))?;
        spec = spec.recording_hosts_to(directory.to_str().ok_or_else(|| bad("the path is not UTF-8"))?);
    }
    if options.workers.is_empty() {
        return Ok(vec![spec]);
    }
    Ok(options.workers.iter().map(|workers| RunSpec { workers: *workers, ..spec.clone() }).collect())
}
