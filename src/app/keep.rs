//! Keeps a run until it is ended, finds its rows, and measures what a worker costs elsewhere.

use crate::lab::catalog;
use crate::lab::run::{Run, RunId};

use super::App;
use super::msg::{Effect, Notice};

/// Systems that are measured once, in the background, so that the first card has something to compare with; workers of each.
const BASELINE: [&str; 3] = ["native/thread", "native/fork", "native/spawn"];
const BASELINE_WORKERS: u32 = 3;
/// The same of Python, once a Python system was launched: before that no interpreter is started unasked.
const PYTHON_BASELINE: [&str; 3] = ["python/thread", "python/process-fork", "python/process-spawn"];

impl App {
    /// The run of the selected row, else the newest one that lives.
    fn chosen_run(&self) -> Option<&Run> {
        let selected = self.lines.get(self.cursor).and_then(|line| line.run).and_then(|mark| self.lab.state.run(mark.run));
        let living = |run: &&Run| !run.ended() && !run.id.is_compared();
        let newest = || self.lab.state.runs.iter().rev().map(AsRef::as_ref).find(living);
        selected.map(AsRef::as_ref).filter(living).or_else(newest)
    }

    pub(super) fn keep_run(&mut self) -> Vec<Effect> {
        let Some(run) = self.chosen_run() else {
            self.tell(Notice::info("no lab run is active: n launches one"));
            return Vec::new();
        };
        let (id, stays) = (run.id, run.spec.hold_ms > 0);
        if !stays {
            self.tell(Notice::info(format!("run {} ends with its work: only a run with a hold time can be kept", id.0)));
            return Vec::new();
        }
        self.kept.insert(id);
        self.tell(Notice::good(format!("run {} is kept until X ends it", id.0)));
        vec![Effect::Keep(id)]
    }

    /// Whether the run stays until it is ended.
    pub(super) fn is_kept(&self, id: RunId) -> bool {
        self.kept.contains(&id)
    }

    /// Puts the cursor on the first row of a run, by the index of its card.
    pub(super) fn select_run(&mut self, nth: usize) {
        let shown = self.lab.state.runs.iter().rev().filter(|run| self.stories.shows(run)).nth(nth).map(|run| run.id);
        let first = shown.and_then(|id| self.lines.iter().position(|line| line.run.is_some_and(|mark| mark.run == id)));
        if let Some(at) = first {
            self.move_to(at);
        }
    }

    /// The next system to be measured in the background: after the first launch, while no run creates or works, each once, and never
    /// with --readonly.
    pub(super) fn next_baseline(&mut self) -> Option<Effect> {
        let runs = &self.lab.state.runs;
        let at_rest = runs.iter().all(|run| run.ended() || (run.hold_began_ns().is_some() && !run.id.is_compared()));
        if !at_rest || self.compare.running {
            return None;
        }
        let system = self.to_measure().next()?;
        let python = self.python_launched();
        self.measured.insert(system);
        let spec = catalog::RunSpec {
            workers: BASELINE_WORKERS,
            tasks: BASELINE_WORKERS,
            hold_ms: 0,
            python: python.filter(|_| PYTHON_BASELINE.contains(&system)),
            ..catalog::find(system)?.defaults()
        };
        Some(Effect::Baseline(spec))
    }

    /// Systems that are still to be measured in the background.
    fn to_measure(&self) -> impl Iterator<Item = &'static str> {
        let launched = self.lab.state.runs.iter().any(|run| !run.id.is_compared() && run.costs.creation_ns.is_some());
        let allowed = launched && !self.options.readonly && self.is_of_this_machine();
        let python = if self.python_launched().is_some() { &PYTHON_BASELINE[..] } else { &[] };
        let all = BASELINE.iter().chain(python).copied();
        all.filter(move |system| allowed && !self.measured.contains(system))
    }

    /// True if systems are left to be measured, with which the cards compare.
    pub(super) fn measures_more(&self) -> bool {
        self.to_measure().next().is_some()
    }

    /// The interpreter of the newest Python run that created a worker.
    fn python_launched(&self) -> Option<std::path::PathBuf> {
        let created = |run: &&std::sync::Arc<Run>| !run.id.is_compared() && run.costs.creation_ns.is_some();
        self.lab.state.runs.iter().rev().filter(created).find_map(|run| run.spec.python.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::key::Key;
    use crate::app::msg::Msg;
    use crate::app::options::Options;
    use crate::lab::launcher::LabState;
    use crate::lab::run::{RunPhase, Summary};

    fn run(id: RunId, system: &str, ns: f64) -> Run {
        let mut run = Run::new(id, catalog::RunSpec { hold_ms: 1000, ..catalog::find(system).unwrap().defaults() }, 0);
        run.root_pid = Some(10);
        run.phase = RunPhase::Running;
        run.costs.creation_ns = Some(Summary { count: 1, min: ns, median: ns, p90: ns, max: ns });
        run
    }

    fn with(app: &mut App, runs: Vec<Run>) -> Vec<Effect> {
        app.update(Msg::Lab(Arc::new(LabState { runs: runs.into_iter().map(Arc::new).collect() })))
    }

    fn ended(mut run: Run) -> Run {
        run.phase = RunPhase::Ended(crate::lab::run::Outcome::Done);
        run
    }

    #[test]
    fn a_run_is_kept_by_its_key_and_says_so() {
        let mut app = App::new(Options::default());
        assert_eq!(app.update(Msg::Key(Key::char('R'))), [], "there is none");
        with(&mut app, vec![run(RunId(1), "native/fork", 5e5)]);
        assert_eq!(app.update(Msg::Key(Key::char('R'))), [Effect::Keep(RunId(1))]);
        assert_eq!(app.cards()[0].left, "kept until X");
        app.set_now_aside();
        assert!(app.cards().is_empty(), "in the past there is no card of now");
    }

    #[test]
    fn the_machine_is_measured_once_after_the_first_launch_and_never_with_readonly() {
        let baseline = |effects: &[Effect]| match effects {
            [Effect::Baseline(spec)] => Some(spec.system.clone()),
            _ => None,
        };
        let first = || ended(run(RunId(1), "native/process-pool", 9e6));
        let mut readonly = App::new(Options { readonly: true, ..Options::default() });
        assert_eq!(with(&mut readonly, vec![first()]), []);
        let mut app = App::new(Options::default());
        assert_eq!(with(&mut app, Vec::new()), [], "nothing was launched");
        assert_eq!(with(&mut app, vec![run(RunId(1), "native/process-pool", 9e6)]), [], "it works");
        let mut runs = vec![first()];
        for (n, system) in (1..).zip(BASELINE) {
            assert_eq!(baseline(&with(&mut app, runs.clone())).as_deref(), Some(system));
            runs.push(run(RunId::compared(n), system, f64::from(n) * 1e5));
            assert_eq!(with(&mut app, runs.clone()), [], "one at a time");
            let last = runs.pop().unwrap();
            runs.push(ended(last));
        }
        assert_eq!(with(&mut app, runs.clone()), [], "once");
        runs.push(run(RunId(2), "native/process-pool", 9e6));
        with(&mut app, runs.clone());
        let card = app.cards().swap_remove(0);
        let names: Vec<&str> = card.bars.iter().map(|bar| bar.name.as_str()).collect();
        assert_eq!(names, ["thread", "fork", "spawn", "process-pool"], "cheapest first");
        assert!(!card.more_bars && card.bars[3].rank == 0, "its own bar is the last to step back");
        let mut python = ended(run(RunId(3), "python/process-pool-executor", 9e6));
        python.spec.python = Some("/usr/bin/python3".into());
        runs = vec![python];
        let mut measured = Vec::new();
        for n in 4..7 {
            let effects = with(&mut app, runs.clone());
            let [Effect::Baseline(spec)] = &effects[..] else { panic!("{effects:?}") };
            assert_eq!(spec.python.as_deref(), Some(std::path::Path::new("/usr/bin/python3")), "the interpreter of the run");
            measured.push(spec.system.clone());
            runs.push(ended(run(RunId::compared(n), &spec.system, 1e6)));
        }
        assert_eq!(measured, PYTHON_BASELINE);
        assert_eq!(with(&mut app, runs), [], "once");
    }
}
