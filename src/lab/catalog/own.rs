//! Systems of the user's own: programs that the config file describes (`[[lab.system]]`), or that `concmon run --repeat` is given.
//!
//! They join the built-in systems once, when concmon starts. Their texts are leaked then, at most [`MOST`] times: everything that reads
//! the registry expects entries that live as long as the process.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::{Backend, Gil, Params, PythonProgram, PythonStart, RunSpec, SYSTEMS, Section, Shape, System, TaskKind};

/// Most systems of the user's own.
pub const MOST: usize = 100;

/// Names in braces that are replaced in the command and in the values of its variables.
pub const PLACEHOLDERS: [&str; 5] = ["workers", "tasks", "size", "seed", "python"];

/// What the workers of a program are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkersAre {
    /// Processes beside the first.
    Processes,
    /// Threads beside the first of each process.
    Threads,
}

/// One system as the user describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnSystem {
    /// Its name, which `lab run` takes.
    pub id: String,
    /// Title; empty: a general one.
    pub title: String,
    /// What it is; empty: its command.
    pub description: String,
    /// Program and arguments, with placeholders.
    pub command: Vec<String>,
    /// Variables to set, with placeholders.
    pub env: Vec<(String, String)>,
    /// Where it runs; `None`: where concmon was started.
    pub directory: Option<PathBuf>,
    /// How many workers to expect, and the default of `{workers}`; 0: nothing is known of them.
    pub workers: u32,
    /// What they are; `None`: not checked.
    pub workers_are: Option<WorkersAre>,
    /// Default of `{tasks}`.
    pub tasks: Option<u32>,
    /// Default of `{size}`.
    pub size: Option<u32>,
}

impl OwnSystem {
    /// Whether the command or a variable has this placeholder.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        let braced = format!("{{{name}}}");
        self.texts().any(|text| text.contains(&braced))
    }

    /// Every text in which placeholders are replaced.
    pub fn texts(&self) -> impl Iterator<Item = &String> {
        self.command.iter().chain(self.env.iter().map(|(_, value)| value))
    }

    /// Command and variables of a run, placeholders replaced; a variable that the run itself sets replaces that of the system.
    #[must_use]
    pub fn filled(&self, spec: &RunSpec) -> (Vec<String>, Vec<(String, String)>) {
        let command = self.command.iter().map(|text| fill(text, spec)).collect();
        let set = spec.settings.iter().filter(|setting| setting.variable);
        let kept = self.env.iter().filter(|(name, _)| !spec.settings.iter().any(|s| s.variable && s.name == *name));
        let env = kept.map(|(name, value)| (name.clone(), fill(value, spec)));
        (command, env.chain(set.map(|s| (s.name.clone(), s.value.clone()))).collect())
    }

    /// The entry of the registry; its texts are leaked.
    fn entry(&self) -> System {
        let leaked = |text: &str| -> &'static str { text.to_owned().leak() };
        let described =
            if self.description.is_empty() { format!("Runs {}", self.command.join(" ")) } else { self.description.clone() };
        System {
            id: leaked(&self.id),
            title: leaked(if self.title.is_empty() { "a program of your own" } else { &self.title }),
            lesson: leaked(&described),
            section: Section::Own,
            backend: Backend::Own,
            tasks: &[TaskKind::Own],
            params: Params {
                workers: self.takes("workers").then_some(self.workers),
                fixed_workers: self.workers,
                tasks: self.tasks.filter(|_| self.takes("tasks")),
                parent_mb: false,
            },
            shape,
        }
    }
}

/// A text with the placeholders of this run replaced. Braces around anything else stay.
fn fill(text: &str, spec: &RunSpec) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let replaced = rest.find('}').and_then(|end| Some((value(&rest[1..end], spec)?, end)));
        match replaced {
            Some((value, end)) => {
                out.push_str(&value);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

fn value(name: &str, spec: &RunSpec) -> Option<String> {
    Some(match name {
        "workers" => spec.workers.to_string(),
        "tasks" => spec.tasks.to_string(),
        "size" => spec.size().to_string(),
        "seed" => spec.seed.to_string(),
        "python" => spec.python.as_ref()?.to_string_lossy().into_owned(),
        name => spec.settings.iter().find(|setting| !setting.variable && setting.name == name)?.value.clone(),
    })
}

/// What is to be seen of a program that creates what it likes: at least as many processes, or threads, as it should have workers.
fn shape(spec: &RunSpec) -> Shape {
    let any = Shape { processes_more: u32::MAX, threads_more: u32::MAX, ..Shape::default() };
    match own_program(&spec.system).and_then(|own| own.workers_are) {
        Some(WorkersAre::Processes) => Shape { processes: spec.workers, ..any },
        Some(WorkersAre::Threads) => Shape { threads: spec.workers, ..any },
        None => any,
    }
}

static OWN: OnceLock<Vec<OwnSystem>> = OnceLock::new();
static ALL: OnceLock<Vec<System>> = OnceLock::new();

/// Adds systems of the user's own behind the built-in ones. Only the first call with any has an effect, and only [`MOST`] of them.
pub fn register(systems: &[OwnSystem]) {
    if systems.is_empty() || OWN.set(systems.iter().take(MOST).cloned().collect()).is_err() {
        return;
    }
    let entries = systems.iter().take(MOST).map(OwnSystem::entry);
    // No other thread sets it: setting `OWN` has succeeded only once.
    let _ = ALL.set(SYSTEMS.iter().copied().chain(entries).collect());
}

/// Every system that can be run here: the built-in ones in the order of the list, then the user's own.
#[must_use]
pub fn systems() -> &'static [System] {
    ALL.get().map_or(SYSTEMS, Vec::as_slice)
}

/// What the user says of the system with this id; `None` for built-in ones.
#[must_use]
pub fn own_program(id: &str) -> Option<&'static OwnSystem> {
    OWN.get()?.iter().find(|own| own.id == id)
}

/// What an interpreter must have that stands in for `{python}`.
static ANY_PYTHON: PythonProgram = PythonProgram {
    file: "",
    since: super::OLDEST_PYTHON,
    gil: Gil::Any,
    packages: &[],
    start: PythonStart::None,
    cluster: false,
};

/// The same as an entry of the Python systems, if its command has the placeholder `{python}`.
pub(super) fn python(id: &str) -> Option<&'static PythonProgram> {
    own_program(id).filter(|own| own.takes("python")).map(|_| &ANY_PYTHON)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> OwnSystem {
        let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect();
        OwnSystem {
            id: "render".into(),
            command: words(&["render", "--jobs={workers}", "{size}{tasks}", "{other}", "{", "{\"a\": {seed}}"]),
            env: vec![("THREADS".into(), "{workers}".into())],
            workers: 4,
            size: Some(7),
            ..OwnSystem::default()
        }
    }

    #[test]
    fn only_what_the_command_takes_can_be_chosen() {
        let entry = own().entry();
        assert_eq!((entry.params.workers, entry.params.tasks, entry.tasks), (Some(4), None, &[TaskKind::Own][..]));
        let fixed = OwnSystem { command: vec!["render".into()], env: Vec::new(), ..own() }.entry();
        assert_eq!((fixed.params.workers, fixed.params.fixed_workers), (None, 4));
        assert_eq!((fixed.title, fixed.lesson), ("a program of your own", "Runs render"));
    }

    #[test]
    fn placeholders_are_replaced_and_other_braces_stay() {
        let spec = RunSpec { workers: 3, tasks: 5, seed: 9, task_size: Some(7), ..own().entry().defaults() };
        let (command, env) = own().filled(&spec);
        assert_eq!(command, ["render", "--jobs=3", "75", "{other}", "{", "{\"a\": 9}"]);
        assert_eq!(env, [("THREADS".to_owned(), "3".to_owned())]);
    }
}
