//! State of the lab screen: the selected system, its parameters and the displayed run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::lab::catalog::{Backend, PythonStart, RunSpec, StartMethod, System, TaskKind, python_program, systems};
use crate::lab::launcher::LabState;
use crate::lab::python::{self, Discovery, Interpreter};
use crate::lab::report::reported;
use crate::lab::run::{Outcome, Run, RunId, RunPhase};
use crate::query::TextMatch;

/// A parameter of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// What each unit of work does.
    Task,
    /// Its size.
    Size,
    /// Number of workers.
    Workers,
    /// Number of units of work.
    Tasks,
    /// Memory of the parent.
    ParentMb,
    /// Which interpreter runs it.
    Python,
    /// How multiprocessing makes processes.
    StartMethod,
    /// How long workers stay to be looked at.
    Hold,
}

impl Field {
    /// Label in the form.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Size => "size",
            Self::Workers => "workers",
            Self::Tasks => "tasks",
            Self::ParentMb => "parent MiB",
            Self::Python => "python",
            Self::StartMethod => "start method",
            Self::Hold => "stay",
        }
    }
}

/// State of the lab's screen.
#[derive(Debug)]
pub struct LabView {
    /// Index into [`systems`].
    pub system: usize,
    /// Index into [`LabView::fields`].
    pub field: usize,
    /// Parameters of all systems.
    wanted: Wanted,
    watched: Watched,
    /// The interpreters of this machine; `None` until they have been looked for.
    pub interpreters: Option<Arc<Discovery>>,
    /// The runs as published.
    pub state: Arc<LabState>,
    /// The newest that was started here; it may be gone from the list by now.
    newest: RunId,
    /// Where the time axis of a run that is still on ends, monotonic nanoseconds; set by `Msg::RunClock`.
    pub now_ns: u64,
}

/// The parameters of the lab. They belong to the lab, not to a system: they stay when another system is selected. `None` is the system's
/// own default.
#[derive(Debug, Clone, Default)]
struct Wanted {
    task: Option<TaskKind>,
    /// Size of a unit of work, and the task that it is a size of.
    task_size: Option<(TaskKind, u32)>,
    workers: Option<u32>,
    tasks: Option<u32>,
    parent_mb: u32,
    python: Option<PathBuf>,
    start_method: Option<StartMethod>,
    hold_ms: Option<u32>,
}

/// What every run started from the screen begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    /// How long workers stay after their work, so that a person can look at them and signal them; milliseconds.
    pub hold_ms: u32,
    /// After how long a run is killed, not counting `hold_ms`; milliseconds.
    pub timeout_ms: u64,
}

impl Default for Watched {
    fn default() -> Self {
        Self { hold_ms: 20_000, timeout_ms: 60_000 }
    }
}

impl Watched {
    /// The same run, staying to be looked at.
    #[must_use]
    pub fn over(self, spec: RunSpec) -> RunSpec {
        RunSpec { hold_ms: self.hold_ms, timeout_ms: self.timeout_ms.saturating_add(u64::from(self.hold_ms)), ..spec }
    }
}

impl LabView {
    /// The first system chosen, no runs.
    #[must_use]
    pub fn new(watched: Watched) -> Self {
        let wanted = Wanted::default();
        Self { system: 0, field: 0, watched, wanted, interpreters: None, state: Arc::default(), newest: RunId(0), now_ns: 0 }
    }

    /// Takes the runs in as they are now.
    pub fn take(&mut self, state: Arc<LabState>) {
        self.newest =
            state.runs.iter().map(|r| r.id).filter(|id| !id.is_compared()).max().unwrap_or(self.newest).max(self.newest);
        self.state = state;
    }

    /// Runs all of whose workers have begun.
    pub(super) fn whole_runs(&self) -> usize {
        let runs = self.state.runs.iter().filter(|run| !run.id.is_compared());
        runs.filter(|run| run.workers.iter().filter(|w| w.ready_ns.is_some()).count() >= run.spec.workers as usize).count()
    }

    /// The number that the next run will have.
    #[must_use]
    pub fn next_id(&self) -> RunId {
        RunId(self.newest.0 + 1)
    }

    /// Chooses a system.
    pub fn choose(&mut self, system: usize) {
        self.system = system.min(systems().len() - 1);
        self.field = 0;
    }

    /// Chooses the next system, from `from` on and round, whose name contains this, or else one whose title or lesson does; whether there
    /// is one.
    pub(super) fn find(&mut self, what: &TextMatch, from: usize) -> bool {
        let round = || (0..systems().len()).map(|i| (from + i) % systems().len());
        let named = round().find(|i| what.found_in(systems()[*i].id.as_bytes()));
        let about = |s: &System| [s.title, s.lesson].iter().any(|text| what.found_in(text.as_bytes()));
        let Some(found) = named.or_else(|| round().find(|i| about(&systems()[*i]))) else { return false };
        if found != self.system {
            (self.system, self.field) = (found, 0);
        }
        true
    }

    /// The chosen system.
    #[must_use]
    pub fn chosen(&self) -> &'static System {
        &systems()[self.system.min(systems().len() - 1)]
    }

    /// Its run as the form has it.
    #[must_use]
    pub fn spec(&self) -> RunSpec {
        self.spec_of(self.chosen())
    }

    /// The run of a system with the parameters of the lab, as far as it has them: a task that it cannot do is its default task.
    #[must_use]
    pub fn spec_of(&self, system: &System) -> RunSpec {
        let (wanted, params) = (&self.wanted, system.params);
        let mut spec = self.watched.over(system.defaults());
        if let Some(task) = wanted.task.filter(|task| system.tasks.contains(task)) {
            spec.task = task;
        }
        let size = wanted.task_size.filter(|(of, _)| *of == spec.task && system.takes_size());
        spec.task_size = size.map(|(_, size)| size).or(spec.task_size);
        if params.workers.is_some() {
            spec.workers = wanted.workers.unwrap_or(spec.workers);
        }
        if params.tasks.is_some() {
            spec.tasks = wanted.tasks.unwrap_or(spec.tasks);
        }
        if params.parent_mb {
            spec.parent_mb = wanted.parent_mb;
        }
        let program = python_program(system.id);
        if program.is_some() {
            // An interpreter that cannot run this system is chosen for the others only.
            spec.python = wanted.python.clone().filter(|path| self.can_run(system, path));
        }
        if program.is_some_and(|p| p.start == PythonStart::Chosen) {
            spec.start_method = wanted.start_method;
        }
        if let Some(hold_ms) = wanted.hold_ms {
            spec.hold_ms = hold_ms;
        }
        if system.backend == Backend::Own {
            // It ends when its work is done.
            spec.hold_ms = 0;
        }
        spec
    }

    fn can_run(&self, system: &System, python: &Path) -> bool {
        self.interpreters.as_deref().is_some_and(|found| python::choose(system, Some(python), found).is_ok())
    }

    /// Sets a parameter of the lab to a number.
    pub(super) fn want(&mut self, field: Field, number: u32) {
        let task = self.spec().task;
        let wanted = &mut self.wanted;
        match field {
            Field::Size => wanted.task_size = Some((task, number)),
            Field::Workers => wanted.workers = Some(number),
            Field::Tasks => wanted.tasks = Some(number),
            Field::ParentMb => wanted.parent_mb = number,
            Field::Hold => wanted.hold_ms = Some(number),
            Field::Task | Field::Python | Field::StartMethod => {}
        }
    }

    /// Parameters that have an effect on the chosen system.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        let params = self.chosen().params;
        let mut fields = Vec::new();
        let spec = self.spec();
        if self.chosen().tasks.len() > 1 {
            fields.push(Field::Task);
        }
        if spec.task.size().is_some() && self.chosen().takes_size() {
            fields.push(Field::Size);
        }
        if params.workers.is_some() {
            fields.push(Field::Workers);
        }
        if params.tasks.is_some() {
            fields.push(Field::Tasks);
        }
        if params.parent_mb {
            fields.push(Field::ParentMb);
        }
        if self.chosen().on_python() && self.interpreters.is_some() {
            fields.push(Field::Python);
        }
        if python_program(self.chosen().id).is_some_and(|p| p.start == PythonStart::Chosen) {
            fields.push(Field::StartMethod);
        }
        if self.chosen().backend != Backend::Own {
            fields.push(Field::Hold);
        }
        fields
    }

    /// The interpreters that can run the chosen system.
    fn able(&self) -> Vec<&Interpreter> {
        let system = self.chosen();
        self.interpreters
            .as_deref()
            .map_or_else(Vec::new, |found| found.interpreters.iter().filter(|i| self.can_run(system, &i.path)).collect())
    }

    /// The interpreter that would run the chosen system.
    #[must_use]
    pub fn interpreter(&self) -> Option<Interpreter> {
        let found = self.interpreters.as_deref()?;
        python::choose(self.chosen(), self.spec().python.as_deref(), found).ok()
    }

    /// Whether a system that cannot run here could, once an environment with its packages has been made.
    #[must_use]
    pub fn can_be_set_up(&self, system: &System) -> bool {
        self.interpreters.as_deref().is_some_and(|found| python::environment::remedy(system, found).is_some())
    }

    /// Why a system cannot run here; `None` if it can, or if interpreters have not been looked for yet.
    #[must_use]
    pub fn unavailable(&self, system: &System) -> Option<String> {
        python::availability(system, self.interpreters.as_deref()?)
    }

    /// Value of a parameter as text.
    #[must_use]
    pub fn value(&self, field: Field) -> String {
        let spec = self.spec();
        match field {
            Field::Task => spec.task.name().to_owned(),
            Field::Size => format!("{} {}", spec.size(), spec.task.size().map_or("", |(unit, _)| unit)),
            Field::Workers => spec.workers.to_string(),
            Field::Tasks => spec.tasks.to_string(),
            Field::ParentMb => spec.parent_mb.to_string(),
            Field::Python => match (self.interpreter(), spec.python.as_ref()) {
                (Some(found), None) => format!("{}, automatic", found.short()),
                (Some(found), Some(_)) => format!("{} from {}", found.short(), found.origin.name()),
                (None, _) => "none available".to_owned(),
            },
            Field::StartMethod => match (spec.start_method, self.interpreter()) {
                (Some(method), _) => method.name().to_owned(),
                (None, Some(found)) => format!("{}, its default", found.start_method.name()),
                (None, None) => "its default".to_owned(),
            },
            Field::Hold => format!("{:.1} s", f64::from(spec.hold_ms) / 1e3),
        }
    }

    /// Goes to another parameter.
    pub fn next_field(&mut self, by: i32) {
        let n = i32::try_from(self.fields().len()).unwrap_or(1).max(1);
        let at = i32::try_from(self.field).unwrap_or(0);
        self.field = usize::try_from((at + by).rem_euclid(n)).unwrap_or(0);
    }

    /// Changes the chosen parameter by a step that suits it.
    pub fn change(&mut self, by: i32) {
        let Some(field) = self.fields().get(self.field).copied() else { return };
        let (tasks, spec) = (self.chosen().tasks, self.spec());
        let able: Vec<PathBuf> = self.able().into_iter().map(|i| i.path.clone()).collect();
        match field {
            Field::Task => {
                let at = tasks.iter().position(|t| *t == spec.task).unwrap_or(0);
                let n = i32::try_from(tasks.len()).unwrap_or(1);
                let next = (i32::try_from(at).unwrap_or(0) + by).rem_euclid(n);
                self.wanted.task = usize::try_from(next).ok().and_then(|at| tasks.get(at)).copied();
            }
            Field::Size => self.want(field, step(spec.size(), by, 1, 1_000_000)),
            Field::Workers => self.want(field, step(spec.workers, by, 1, 4_096)),
            Field::Tasks => self.want(field, step(spec.tasks, by, 0, 100_000)),
            Field::ParentMb => {
                let by = by * if spec.parent_mb == 0 { 10 } else { 1 };
                self.want(field, step(spec.parent_mb, by, 0, 1 << 20));
            }
            Field::Python => self.wanted.python = cycle(&able, spec.python.as_ref(), by),
            Field::StartMethod => self.wanted.start_method = cycle(&StartMethod::ALL, spec.start_method.as_ref(), by),
            Field::Hold => {
                let ms = (i64::from(spec.hold_ms) + i64::from(by) * 500).clamp(0, 600_000);
                self.want(field, u32::try_from(ms).unwrap_or(0));
            }
        }
    }

    /// The newest run of the chosen system, else the newest of all.
    #[must_use]
    pub fn shown(&self) -> Option<&Arc<Run>> {
        let id = self.chosen().id;
        self.state.runs.iter().rev().find(|r| r.spec.system == id)
    }

    /// Number of runs that have not ended.
    #[must_use]
    pub fn active(&self) -> usize {
        self.state.runs.iter().filter(|r| !r.ended()).count()
    }

    /// The run a pid belongs to, and its worker's index if it is one.
    #[must_use]
    pub fn member(&self, pid: i32) -> Option<(RunId, Option<u32>)> {
        self.state.runs.iter().rev().filter(|r| !r.ended()).find_map(|r| {
            let worker = r.workers.iter().find(|w| w.pid == Some(pid)).map(|w| w.index);
            let known = worker.is_some() || r.root_pid == Some(pid) || r.family.iter().any(|f| f.pid == pid);
            known.then_some((r.id, worker))
        })
    }
}

/// The choice after this one, in a ring that begins with no choice.
fn cycle<T: Clone + PartialEq>(all: &[T], now: Option<&T>, by: i32) -> Option<T> {
    let at = now.and_then(|now| all.iter().position(|x| x == now)).map_or(0, |i| i + 1);
    let n = i32::try_from(all.len() + 1).unwrap_or(1);
    let next = (i32::try_from(at).unwrap_or(0) + by).rem_euclid(n);
    usize::try_from(next).ok()?.checked_sub(1).and_then(|i| all.get(i).cloned())
}

/// One step: by one below ten, then along 10, 20, 50, 100, 200, ...; a value between two of them goes to the next.
fn step(value: u32, by: i32, min: u32, max: u32) -> u32 {
    const LEADING: [u32; 3] = [1, 2, 5];
    let decades = (1..=8).flat_map(|ten| LEADING.map(|lead| lead * 10u32.pow(ten)));
    let marks: Vec<u32> = (0..10).chain(decades).filter(|v| (min..=max).contains(v)).chain([max]).collect();
    let mut now = value;
    for _ in 0..by.unsigned_abs() {
        let next = if by > 0 { marks.iter().find(|v| **v > now) } else { marks.iter().rev().find(|v| **v < now) };
        now = next.copied().unwrap_or(now);
    }
    now.clamp(min, max)
}

/// All that a run has said, as lines: its verdict, results, warnings, and what it printed. Not yet fit for a terminal.
#[must_use]
pub fn output_lines(run: &Run) -> Vec<String> {
    let mut lines = Vec::new();
    if let RunPhase::Ended(Outcome::Failed(why)) = &run.phase {
        lines.push("Failed".to_owned());
        lines.extend(why.lines().map(|l| format!("  {l}")));
    }
    if !run.values.is_empty() {
        lines.push("Reported".to_owned());
        lines.extend(run.values.iter().map(reported).map(|(name, text)| format!("  {name}  {text}")));
    }
    if !run.warnings.is_empty() {
        lines.push("Warnings".to_owned());
        lines.extend(run.warnings.iter().map(|w| format!("  {w}")));
    }
    lines.push(if run.output.is_empty() { "The run has printed nothing." } else { "Printed" }.to_owned());
    lines.extend(run.output.lines().map(|l| format!("  {l}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_with_the_value_and_come_back() {
        assert_eq!(
            [step(1, 1, 1, 256), step(9, 1, 1, 256), step(10, 1, 1, 256), step(90, 1, 1, 256), step(100, 1, 1, 256)],
            [2, 10, 20, 100, 200]
        );
        assert_eq!([step(1, -1, 1, 256), step(10, -1, 1, 256), step(100, -1, 1, 256), step(200, 1, 1, 256)], [1, 9, 50, 256]);
        assert_eq!([step(7, 1, 0, 1 << 20), step(20, 1, 0, 1 << 20), step(1 << 20, -1, 0, 1 << 20)], [8, 50, 1_000_000]);
    }

    #[test]
    fn parameters_belong_to_the_lab_and_stay_when_another_system_is_selected() {
        let mut view = LabView::new(Watched::default());
        let at = |id: &str| systems().iter().position(|s| s.id == id).unwrap();
        view.choose(at("native/fork"));
        for (field, number) in [(Field::Workers, 7), (Field::Tasks, 30), (Field::ParentMb, 64), (Field::Hold, 0)] {
            view.want(field, number);
        }
        view.wanted.task = Some(TaskKind::Pi);
        view.want(Field::Size, 2_000);
        view.choose(at("native/process-pool"));
        let spec = view.spec();
        assert_eq!((spec.task, spec.size(), spec.workers, spec.tasks, spec.hold_ms), (TaskKind::Pi, 2_000, 7, 30, 0));
        // A system that cannot compute pi has its own task, and its own size of it.
        view.choose(at("native/sleep-threads"));
        let spec = view.spec();
        assert_eq!((spec.task, spec.size(), spec.parent_mb), (TaskKind::Sleep, 100, 0));
        view.choose(at("native/spawn"));
        assert_eq!((view.spec().task, view.spec().size()), (TaskKind::Pi, 2_000), "and pi is not forgotten");
    }

    #[test]
    fn every_system_has_a_form_whose_fields_can_be_changed_and_read() {
        let mut view = LabView::new(Watched::default());
        for i in 0..systems().len() {
            view.system = i;
            for f in 0..view.fields().len() {
                view.field = f;
                view.change(1);
                assert!(view.fields().iter().all(|f| !view.value(*f).is_empty()));
            }
        }
    }
}
