//! concmon's side of the lab: checks a [`RunSpec`], passes it to the helper process, and turns the notices into [`Run`]s.
//!
//! The helper starts with the first run. A reading thread applies its notices and publishes the state; no call blocks longer than the write
//! of one line to a socket. Dropping the [`Launcher`] ends the helper and every run.

mod link;
mod own;
mod validate;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch as channel;

use super::catalog::{self, PythonStart, RunSpec};
use super::control::{Order, Program};
use super::python::{self, Discovery};
use super::run::{Run, RunId};
use crate::kernel::PidSpace;
use link::Link;
pub(super) use link::Shared;
pub use validate::{Machine, validate};
pub(super) use watch::{last_look, start as watch_tasks};

/// How many runs are kept.
pub const RUNS_KEPT: usize = 50;

/// What a run may ask for at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most workers of one run.
    pub max_workers: u32,
    /// Most units of work of one run.
    pub max_tasks: u32,
    /// Most memory a parent may hold, MiB.
    pub max_parent_mb: u32,
    /// Longest timeout, milliseconds.
    pub max_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_workers: 256, max_tasks: 10_000, max_parent_mb: 64 * 1024, max_timeout_ms: 3_600_000 }
    }
}

/// Why a run was not launched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// No system has this id.
    #[error("there is no lab system {id:?}{}", nearest.as_ref().map_or_else(|| "; `concmon lab list` lists them".to_owned(), |n| format!("; did you mean {n}?")))]
    UnknownSystem {
        /// What was asked for.
        id: String,
        /// Those with the most similar id.
        nearest: Option<String>,
    },
    /// An option is out of range or does not fit the system; one sentence with the figures.
    #[error("{0}")]
    BadOption(String),
    /// The machine has not enough memory or pids for it; one sentence with the figures.
    #[error("{0}")]
    TooLarge(String),
    /// The system cannot run on this machine; says why and what would enable it.
    #[error("{0}")]
    Unavailable(String),
    /// The processes of a run could not be distinguished from others: there is no `/proc`, or one with PIDs of another namespace.
    #[error("lab runs are off: {0}")]
    NoPids(String),
    /// The helper could not be started or has gone.
    #[error("the lab helper is not available: {0}")]
    Helper(String),
}

/// All runs, as published.
#[derive(Debug, Clone, Default)]
pub struct LabState {
    /// Newest last, at most [`RUNS_KEPT`].
    pub runs: Vec<Arc<Run>>,
}

impl LabState {
    /// The run with this number.
    #[must_use]
    pub fn run(&self, id: RunId) -> Option<&Arc<Run>> {
        self.runs.iter().rev().find(|r| r.id == id)
    }
}

/// Launches and stops runs.
#[derive(Debug)]
pub struct Launcher {
    exe: PathBuf,
    limits: Limits,
    pythons: Vec<PathBuf>,
    traced: bool,
    state: channel::Receiver<Arc<LabState>>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Runs so far, and those of comparisons.
    counts: [u32; 2],
    link: Option<Link>,
    shared: Arc<link::Shared>,
}

/// Makes sure that `/proc` shows the PIDs that the helper's system calls take.
pub fn own_pids() -> Result<(), LaunchError> {
    match PidSpace::mounted() {
        Ok(space) => space.refusal().map_or(Ok(()), |why| Err(LaunchError::NoPids(why.to_owned()))),
        Err(error) => Err(LaunchError::NoPids(error.to_string())),
    }
}

impl Launcher {
    /// A launcher that re-executes this binary as its helper when the first run is launched.
    pub fn start(limits: Limits) -> Result<Self, LaunchError> {
        Self::start_with(Path::new("/proc/self/exe"), limits)
    }

    /// The same for a program that is not concmon itself (a test, an embedding): `exe` is the concmon to run as the helper.
    pub fn start_with(exe: &Path, limits: Limits) -> Result<Self, LaunchError> {
        let (shared, state) = link::Shared::new();
        Ok(Self {
            exe: exe.to_owned(),
            limits,
            pythons: Vec::new(),
            traced: false,
            state,
            inner: Mutex::new(Inner { counts: [0; 2], link: None, shared: Arc::new(shared) }),
        })
    }

    /// Interpreters that the user names beside those that are found.
    #[must_use]
    pub fn with_pythons(mut self, pythons: Vec<PathBuf>) -> Self {
        self.pythons = pythons;
        self
    }

    /// Has what each task of a run does watched closely while it runs, see [`Run::trace`]. The watch costs some percent of one CPU, so
    /// runs that are measured go without.
    #[must_use]
    pub fn with_traces(mut self) -> Self {
        self.traced = true;
        self
    }

    /// The interpreters that Python systems may run on; the first call looks for them, which takes some tenths of a second.
    #[must_use]
    pub fn interpreters(&self) -> Arc<Discovery> {
        python::interpreters(&self.pythons)
    }

    /// Starts a run, or says at once, with the figures, why it would not be wise.
    pub fn launch(&self, spec: RunSpec) -> Result<RunId, LaunchError> {
        self.launch_as(spec, false)
    }

    /// The same for one of many that are compared: it is counted apart.
    pub fn launch_compared(&self, spec: RunSpec) -> Result<RunId, LaunchError> {
        self.launch_as(spec, true)
    }

    fn launch_as(&self, mut spec: RunSpec, compared: bool) -> Result<RunId, LaunchError> {
        own_pids()?;
        let system = catalog::find(&spec.system)
            .ok_or_else(|| LaunchError::UnknownSystem { id: spec.system.clone(), nearest: catalog::nearest(&spec.system) })?;
        validate(system, &spec, &self.limits, &Machine::read())?;
        let program = self.program_for(system, &mut spec)?;
        self.order(spec, program, compared)
    }

    fn order(&self, spec: RunSpec, program: Program, compared: bool) -> Result<RunId, LaunchError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if !inner.link.as_ref().is_some_and(Link::alive) {
            inner.link = None;
            inner.link = Some(Link::open(&self.exe, Arc::clone(&inner.shared))?);
        }
        let count = &mut inner.counts[usize::from(compared)];
        *count += 1;
        let id = if compared { RunId::compared(*count) } else { RunId(*count) };
        inner.shared.add(Run::new(id, spec.clone(), crate::clock::monotonic_ns()));
        let order = Order::Launch { run: id.0, spec: Box::new(spec), program: Box::new(program) };
        let sent = inner.link.as_ref().map(|link| link.send(&order));
        match sent {
            Some(Ok(())) => {
                if self.traced {
                    watch::start(id, Arc::clone(&inner.shared), self.state.clone());
                }
                Ok(id)
            }
            _ => {
                inner.shared.forget(id);
                Err(LaunchError::Helper("the helper does not respond; the next launch starts a new one".into()))
            }
        }
    }

    /// Kills a run and everything it created. Nothing happens if it has ended.
    pub fn stop(&self, id: RunId) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = &inner.link {
            // A helper that cannot be sent the order to stop a run has gone, and its guard has ended the run already.
            let _ = link.send(&Order::Stop { run: id.0 });
        }
    }

    /// Lets a run stay until it is stopped. Nothing happens if it has ended.
    pub fn keep(&self, id: RunId) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = &inner.link {
            // Without a helper there is no run left to keep.
            let _ = link.send(&Order::Keep { run: id.0 });
        }
    }

    /// Kills every run.
    pub fn stop_all(&self) {
        let active = self.inner.lock().unwrap_or_else(PoisonError::into_inner).shared.active();
        for id in active {
            self.stop(id);
        }
    }

    /// The runs as they change: published at most about 20 times a second and at each change of phase.
    #[must_use]
    pub fn watch(&self) -> channel::Receiver<Arc<LabState>> {
        self.state.clone()
    }

    /// What runs may ask for.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What to exec for a run of `system`; settles in `spec` what was left to the interpreter.
    fn program_for(&self, system: &catalog::System, spec: &mut RunSpec) -> Result<Program, LaunchError> {
        let Some(program) = catalog::python_program(system.id) else {
            return catalog::own_program(system.id).map_or_else(|| Ok(Program::native()), |own| own::program(own, spec));
        };
        let interpreter =
            python::choose(system, spec.python.as_deref(), &self.interpreters()).map_err(LaunchError::Unavailable)?;
        spec.start_method = match program.start {
            PythonStart::None => None,
            PythonStart::Fixed(method) => Some(method),
            PythonStart::Chosen => Some(spec.start_method.unwrap_or(interpreter.start_method)),
        };
        spec.python = Some(interpreter.path.clone());
        if let Some(own) = catalog::own_program(system.id) {
            return own::program(own, spec);
        }
        python::program(program, &interpreter)
            .ok_or_else(|| LaunchError::Unavailable(format!("this build has no program for {}", system.id)))
    }
}
