//! The registry of systems: list, help, docs/reference/systems.md, parameters and live shape checks derive from its entries.
//!
//! To add a system: one entry in `catalog/native.rs` and one file in `lab/native/`, or one in a file of `catalog/python/`, a program
//! in `assets/python/` and its name in `lab/python/program.rs`.

mod demand;
mod demo;
mod native;
mod own;
mod python;

pub use demand::{COPY_ON_WRITE_MB, Demand};
pub use demo::{CONCEPT_CELLS, DEMOS, Demo, WATCH_CELLS, demo_for, demo_of};
pub use native::TOKIO_THREADS;
pub use own::{MOST as MOST_OWN, OwnSystem, PLACEHOLDERS, WorkersAre, own_program, register, systems};
pub use python::{Gil, OLDEST as OLDEST_PYTHON, Program as PythonProgram, Start as PythonStart};

use serde::{Deserialize, Serialize};

/// Headings of the lab's list, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// One thread doing everything: what the others are compared with.
    Baseline,
    /// Workers with their own memory.
    Processes,
    /// Workers that share memory.
    Threads,
    /// Interpreters inside one process.
    Interpreters,
    /// Event loops, tasks, greenlets.
    Async,
    /// Sockets and selectors.
    Sockets,
    /// States, signals, copy-on-write: exhibits rather than contests.
    Exhibits,
    /// Programs that the config file describes.
    Own,
}

impl Section {
    /// As the list shows it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Baseline => "Baseline",
            Self::Processes => "Processes",
            Self::Threads => "Threads",
            Self::Interpreters => "Interpreters",
            Self::Async => "Async",
            Self::Sockets => "Sockets",
            Self::Exhibits => "Exhibits",
            Self::Own => "Your own",
        }
    }
}

/// What runs a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// This binary.
    Native,
    /// A CPython interpreter of the machine.
    Python,
    /// A program of the user's.
    Own,
}

/// A unit of lab work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Nothing: creation cost alone.
    None,
    /// Factorials of numbers 1..10, recursive, seeded.
    Factorial,
    /// Digits of pi: pure CPU (size: digits).
    Pi,
    /// Sleep (size: milliseconds).
    Sleep,
    /// Write to memory inherited from the parent: copy-on-write (size: MiB).
    Touch,
    /// Write and read a file (size: KiB).
    File,
    /// GET from a server on loopback (size: milliseconds the server takes).
    Http,
    /// Multiply matrices in C (size: rows).
    Matmul,
    /// What a program of the user's own does; it alone knows what its size counts.
    Own,
}

impl TaskKind {
    /// All of them.
    pub const ALL: [Self; 9] =
        [Self::None, Self::Factorial, Self::Pi, Self::Sleep, Self::Touch, Self::File, Self::Http, Self::Matmul, Self::Own];

    /// As written on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Factorial => "factorial",
            Self::Pi => "pi",
            Self::Sleep => "sleep",
            Self::Touch => "touch",
            Self::File => "file",
            Self::Http => "http",
            Self::Matmul => "matmul",
            Self::Own => "own",
        }
    }

    /// The kind for a name of the command line.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.name() == name)
    }

    /// What `size` counts, and what it is if not given; `None` for tasks without a size.
    #[must_use]
    pub fn size(self) -> Option<(&'static str, u32)> {
        match self {
            Self::None | Self::Factorial => None,
            Self::Pi => Some(("digits", 1_000)),
            Self::Sleep => Some(("ms", 100)),
            Self::Touch => Some(("MiB", 16)),
            Self::File => Some(("KiB", 256)),
            Self::Http => Some(("ms", 20)),
            Self::Matmul => Some(("rows", 256)),
            Self::Own => Some(("units", 1)),
        }
    }
}

/// How CPython's multiprocessing makes a process (`multiprocessing.set_start_method`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartMethod {
    /// fork(2) of the parent.
    Fork,
    /// A fresh interpreter.
    Spawn,
    /// fork(2) of a small server.
    Forkserver,
}

impl StartMethod {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fork, Self::Spawn, Self::Forkserver];

    /// As Python calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Spawn => "spawn",
            Self::Forkserver => "forkserver",
        }
    }

    /// The method for a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.name() == name)
    }
}

/// Everything that describes one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// Id of the system, e.g. `native/fork`.
    pub system: String,
    /// What each unit of work does.
    pub task: TaskKind,
    /// Its size, in the unit of [`TaskKind::size`].
    pub task_size: Option<u32>,
    /// How many workers.
    pub workers: u32,
    /// How many units of work, shared among the workers.
    pub tasks: u32,
    /// Memory the parent holds (touched) before it creates workers, MiB.
    pub parent_mb: u32,
    /// Seed of everything random.
    pub seed: u64,
    /// Milliseconds each worker stays alive after its work, so that a person can look at it. 0 for measurements.
    pub hold_ms: u32,
    /// Milliseconds after which the run is killed.
    pub timeout_ms: u64,
    /// Absolute path of the interpreter, for Python systems.
    #[serde(default)]
    pub python: Option<std::path::PathBuf>,
    /// Start method, for Python systems that leave it to the user; `None` is the interpreter's default.
    #[serde(default)]
    pub start_method: Option<StartMethod>,
    /// Milliseconds between two creations, so that a person can watch; outside of every figure. 0 for measurements.
    #[serde(default)]
    pub pace_ms: u32,
    /// What else is set in this run, in the order of the command line: of a program of the user's own, or the cluster of a system that works
    /// on one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Setting>,
}

/// A variable or a placeholder of a command, with its value in one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether it is a variable of the environment, rather than a placeholder in the command.
    pub variable: bool,
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// Which options make sense for a system, with the defaults of an interactive launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// Default number of workers; `None`: fixed by the system, see [`Params::fixed_workers`].
    pub workers: Option<u32>,
    /// Number of workers where it cannot be chosen, else 0.
    pub fixed_workers: u32,
    /// Default number of tasks; `None`: fixed by the system.
    pub tasks: Option<u32>,
    /// Whether parent MiB has an effect.
    pub parent_mb: bool,
}

/// What the kernel should show while the run is steady, checked live against the process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Shape {
    /// Processes beside the root: each a pid of its own.
    pub processes: u32,
    /// Threads beside the leaders, over the whole family.
    pub threads: u32,
    /// Parent of the worker processes: the run root, or a helper process between them (fork server).
    pub parent: ShapeParent,
    /// State letters of which each must be seen in a process other than the root. Empty: not checked.
    pub states: &'static str,
    /// How many processes more than [`Shape::processes`] are right too: what the system creates on demand.
    pub processes_more: u32,
    /// The same for threads.
    pub threads_more: u32,
    /// Words of which each must be in the command line of a process other than the root.
    pub commands: &'static [&'static str],
    /// Waits, in the words of [`super::waits`], in which some task of the family must be seen. Empty: not checked.
    pub waits: &'static [&'static str],
}

/// Whose children worker processes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShapeParent {
    /// No worker processes.
    #[default]
    None,
    /// The run root.
    Root,
    /// A helper process that is itself a child of the root.
    Server,
}

/// One system of the lab.
#[derive(Debug, Clone, Copy)]
pub struct System {
    /// `native/NAME` or `python/NAME`.
    pub id: &'static str,
    /// Title in the list (the same for native and Python twins: the list joins them).
    pub title: &'static str,
    /// Two sentences: what it is, and what to watch.
    pub lesson: &'static str,
    /// Heading.
    pub section: Section,
    /// What runs it.
    pub backend: Backend,
    /// Tasks it can do; the first is the default.
    pub tasks: &'static [TaskKind],
    /// Options and defaults.
    pub params: Params,
    /// Expected shape for a run.
    pub shape: fn(&RunSpec) -> Shape,
}

impl System {
    /// Whether an interpreter of the machine runs it, or a program of the user's own that takes one.
    #[must_use]
    pub fn on_python(&self) -> bool {
        python_program(self.id).is_some()
    }

    /// Whether the size of its tasks can be chosen, if they have one.
    #[must_use]
    pub fn takes_size(&self) -> bool {
        own_program(self.id).is_none_or(|own| own.takes("size"))
    }

    /// What an interactive launch of it asks for.
    #[must_use]
    pub fn defaults(&self) -> RunSpec {
        RunSpec {
            system: self.id.to_owned(),
            task: self.tasks.first().copied().unwrap_or(TaskKind::None),
            task_size: own_program(self.id).and_then(|own| own.size),
            workers: self.params.workers.unwrap_or(self.params.fixed_workers),
            tasks: self.params.tasks.unwrap_or(0),
            parent_mb: 0,
            seed: 1,
            hold_ms: 0,
            timeout_ms: 60_000,
            python: None,
            start_method: None,
            pace_ms: 0,
            settings: Vec::new(),
        }
    }
}

/// Ten years: a program of the user's own is not killed for taking its time.
const OWN_TIMEOUT_MS: u64 = 10 * 366 * 86_400_000;

/// First parts of ids that no system of the user's own can have.
pub const RESERVED: [&str; 3] = ["native", "python", OWN_PROGRAM];

/// What [`RunSpec::system`] says of a program of the user's own, which is no system of the lab.
pub const OWN_PROGRAM: &str = "run";

/// The setting that names the scheduler of the user's cluster.
const CLUSTER: &str = "cluster";
/// The setting that names the directory for recordings of the cluster's hosts.
const RECORDINGS: &str = "recordings";

impl RunSpec {
    /// The same, on the cluster with this scheduler.
    #[must_use]
    pub fn on_cluster(self, address: &str) -> Self {
        self.with_setting(CLUSTER, address)
    }

    /// The same, with a recording of each host of the cluster written to this directory.
    #[must_use]
    pub fn recording_hosts_to(self, directory: &str) -> Self {
        self.with_setting(RECORDINGS, directory)
    }

    fn with_setting(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|setting| setting.name != name);
        self.settings.push(Setting { name: name.to_owned(), value: value.to_owned(), variable: false });
        self
    }

    /// The scheduler of the cluster that a built-in system is to work on.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        self.settings.iter().find(|setting| !self.is_own() && setting.name == CLUSTER).map(|setting| setting.value.as_str())
    }

    /// A program of the user's own: it does what it does, for as long as it likes.
    #[must_use]
    pub fn own() -> Self {
        Self {
            system: OWN_PROGRAM.to_owned(),
            task: TaskKind::None,
            task_size: None,
            workers: 0,
            tasks: 0,
            parent_mb: 0,
            seed: 0,
            hold_ms: 0,
            timeout_ms: OWN_TIMEOUT_MS,
            python: None,
            start_method: None,
            pace_ms: 0,
            settings: Vec::new(),
        }
    }

    /// Whether a program of the user's own runs, rather than a built-in system.
    #[must_use]
    pub fn is_own(&self) -> bool {
        !SYSTEMS.iter().any(|system| system.id == self.system)
    }

    /// What there is to do, in words: `10 x pi of 1000 digits`.
    #[must_use]
    pub fn work(&self) -> String {
        if self.task == TaskKind::Own {
            let size = self.task_size.map_or_else(String::new, |size| format!("size {size}"));
            return match self.tasks {
                0 if size.is_empty() => "its own work".into(),
                0 => format!("its own work, {size}"),
                tasks if size.is_empty() => format!("{tasks} tasks of its own"),
                tasks => format!("{tasks} tasks of its own, {size}"),
            };
        }
        let own = find(&self.system).is_some_and(|system| system.params.tasks.is_none());
        match self.task.size() {
            _ if own && self.tasks == 0 => "its own work".into(),
            _ if self.tasks == 0 || self.task == TaskKind::None => "no work".into(),
            Some((unit, _)) => format!("{} x {} of {} {unit}", self.tasks, self.task.name(), self.size()),
            None => format!("{} x {}", self.tasks, self.task.name()),
        }
    }

    /// Size of one unit of work in the unit of [`TaskKind::size`], the default filled in; 0 for tasks without a size.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.task.size().map_or(0, |(_, default)| self.task_size.unwrap_or(default))
    }
}

/// What the system with this id needs of an interpreter; `None` if it needs none.
#[must_use]
pub fn python_program(id: &str) -> Option<&'static PythonProgram> {
    python::program(id).or_else(|| own::python(id))
}

/// The system with this id.
#[must_use]
pub fn find(id: &str) -> Option<&'static System> {
    systems().iter().find(|s| s.id == id)
}

/// The ids most similar to `id`, for "did you mean": names after the slash are compared with each other, so that a backend written
/// right does not make any name near; one without a slash with the whole ids too. Twins with the same name are both named, unless the
/// backend decides. `None` if nothing comes near.
#[must_use]
pub fn nearest(id: &str) -> Option<String> {
    let wanted = id.to_lowercase();
    let name_of = |system: &'static System| system.id.rsplit('/').next().unwrap_or(system.id);
    let score = |system: &'static System| {
        let whole = strsim::jaro_winkler(&wanted, system.id);
        match wanted.rsplit_once('/') {
            Some((_, wanted)) => (strsim::jaro_winkler(wanted, name_of(system)), whole),
            None => (whole.max(strsim::jaro_winkler(&wanted, name_of(system))), whole),
        }
    };
    let near = systems().iter().map(|s| (score(s), s)).filter(|((near, _), _)| *near > 0.75);
    let (_, best) = near.max_by(|((a, a_whole), _), ((b, b_whole), _)| a.total_cmp(b).then(a_whole.total_cmp(b_whole)))?;
    let twin = systems().iter().find(|s| s.id != best.id && name_of(s) == name_of(best)).filter(|_| !wanted.contains('/'));
    let mut both: Vec<&str> = [Some(best), twin].into_iter().flatten().map(|s| s.id).collect();
    // The native one needs nothing else.
    both.sort_unstable();
    Some(both.join(" or "))
}

/// Every built-in system, in the order of the list: by section, within one in the order of the tables, native before Python.
pub static SYSTEMS: &[System] = &merged::<{ native::SYSTEMS.len() + python::SYSTEMS.len() }>(native::SYSTEMS, python::SYSTEMS);

/// Both tables as one, by section; stable.
const fn merged<const N: usize>(first: &[System], second: &[System]) -> [System; N] {
    let mut all = [first[0]; N];
    let mut filled = 0;
    while filled < N {
        let system = if filled < first.len() { first[filled] } else { second[filled - first.len()] };
        let mut at = filled;
        while at > 0 && all[at - 1].section as u8 > system.section as u8 {
            all[at] = all[at - 1];
            at -= 1;
        }
        all[at] = system;
        filled += 1;
    }
    all
}
