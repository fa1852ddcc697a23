//! State of the Compare screen: what is to be compared, how far it is, how it is sorted, and what came of it.

use std::sync::Arc;

use crate::lab::catalog::RunSpec;
use crate::lab::measure::{Batch, MEASURES, Measure, Plan, measure};
use crate::lab::report::{self, Axis, Comparison, Plot};

use super::App;
use super::msg::{Effect, Notice};
use super::options::Screen;

/// Measured runs of each; enough for an interval that holds the median with 95%.
const REPETITIONS: u32 = 7;
/// A sweep has many cells: fewer runs of each.
const REPETITIONS_OF_SWEEP: u32 = 5;
/// Most workers that a sweep goes to.
const MOST_WORKERS: u32 = 8;

/// How far a batch is, as the engine tells.
#[derive(Debug, Clone)]
pub struct Progressed {
    /// Everything measured so far.
    pub batch: Arc<Batch>,
    /// Whether more is to come.
    pub running: bool,
    /// Why it ended early, one sentence.
    pub halted: Option<String>,
}

/// State of the Compare screen.
#[derive(Debug)]
pub struct CompareView {
    /// What is to be compared.
    pub chosen: Vec<RunSpec>,
    /// The chosen line.
    pub line: usize,
    /// What is swept.
    pub axis: Option<Axis>,
    /// The measure that rows are sorted by and bars are drawn of.
    pub sort: &'static Measure,
    /// Why the last batch ended early.
    pub halted: Option<String>,
    /// Whether a batch is on.
    pub running: bool,
    batch: Option<Arc<Batch>>,
    table: Option<Comparison>,
    plot: Option<Plot>,
}

impl Default for CompareView {
    fn default() -> Self {
        let (chosen, sort) = (Vec::new(), &MEASURES[0]);
        Self { chosen, line: 0, axis: None, sort, halted: None, running: false, batch: None, table: None, plot: None }
    }
}

impl CompareView {
    /// The rows to show.
    #[must_use]
    pub fn table(&self) -> Option<&Comparison> {
        self.table.as_ref()
    }

    /// The curves to show.
    #[must_use]
    pub fn plot(&self) -> Option<&Plot> {
        self.plot.as_ref()
    }

    /// Runs done, and runs in all.
    #[must_use]
    pub fn done(&self) -> Option<(usize, usize)> {
        let batch = self.batch.as_deref()?;
        let all = batch.plan.cells.len() * (batch.plan.repetitions + batch.plan.warm_up) as usize;
        Some((batch.points.len(), all))
    }

    /// The batch that the screen asks for; `None` if there is nothing to run.
    #[must_use]
    pub fn plan(&self) -> Option<Plan> {
        let specs: Vec<RunSpec> = match self.axis {
            None => self.chosen.clone(),
            Some(axis) => self.chosen.iter().flat_map(|spec| axis.sweep(spec, MOST_WORKERS)).collect(),
        };
        let repetitions = if self.axis.is_some() { REPETITIONS_OF_SWEEP } else { REPETITIONS };
        (!specs.is_empty()).then(|| Plan::new(specs, repetitions, 1))
    }

    /// Takes in how far the batch is.
    pub fn take(&mut self, news: Progressed) {
        self.batch = Some(news.batch);
        (self.running, self.halted) = (news.running, news.halted);
        self.derive();
    }

    fn derive(&mut self) {
        let Some(batch) = self.batch.as_deref() else { return };
        let table = report::compare(batch, self.sort);
        let of = report::axis(batch).and_then(Axis::measure);
        self.plot = of.and_then(|of| report::curves(batch, &table, of)?.plot());
        self.table = Some(table);
    }

    fn sort_next(&mut self, by: i32) {
        let n = i32::try_from(MEASURES.len()).unwrap_or(1);
        let at = MEASURES.iter().position(|m| m.id == self.sort.id).and_then(|i| i32::try_from(i).ok()).unwrap_or(0);
        self.sort = usize::try_from((at + by).rem_euclid(n)).ok().and_then(|i| MEASURES.get(i)).unwrap_or(self.sort);
        self.derive();
    }

    fn next_axis(&mut self) {
        let ring = [None, Some(Axis::Workers), Some(Axis::ParentMb), Some(Axis::TaskMs)];
        let at = ring.iter().position(|a| *a == self.axis).unwrap_or(0);
        self.axis = ring[(at + 1) % ring.len()];
        if let Some(of) = self.axis.and_then(Axis::measure).or_else(|| measure("wall")) {
            self.sort = of;
        }
        self.derive();
    }
}

/// What a key of the Compare screen does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareKey {
    /// Compare what the lab's form says with the others.
    Add,
    /// Take the chosen line away.
    Remove,
    /// Run.
    Run,
    /// Sweep the next parameter, or none.
    Sweep,
    /// Sort by the next measure (or an earlier one).
    Sort(i32),
}

impl App {
    pub(super) fn compare_key(&mut self, key: CompareKey) -> Vec<Effect> {
        let view = &mut self.compare;
        match key {
            CompareKey::Add => {
                // Staying to be looked at would be measured too.
                let spec = RunSpec { hold_ms: 0, ..self.lab.spec().clone() };
                let (words, n) = if view.chosen.contains(&spec) {
                    ("is compared already", view.chosen.len())
                } else {
                    view.chosen.push(spec.clone());
                    ("will be compared", view.chosen.len())
                };
                self.tell(Notice::good(format!("{} {words}: {n} chosen, 4 shows them", spec.system)));
            }
            CompareKey::Remove => {
                if view.line < view.chosen.len() && !view.running {
                    view.chosen.remove(view.line);
                    view.line = view.line.min(view.chosen.len().saturating_sub(1));
                }
            }
            CompareKey::Run if view.running => self.tell(Notice::info("it is running; X stops it")),
            CompareKey::Run => match view.plan() {
                Some(plan) => {
                    (view.running, view.halted) = (true, None);
                    return vec![Effect::Compare(plan)];
                }
                None if view.chosen.is_empty() => {
                    self.tell(Notice::info("choose systems first: on the lab's screen, c adds the one that is chosen there"));
                }
                None => self.tell(Notice::info("none of these systems has that parameter; s chooses another")),
            },
            CompareKey::Sweep if !view.running => view.next_axis(),
            CompareKey::Sweep => {}
            CompareKey::Sort(by) => view.sort_next(by),
        }
        Vec::new()
    }

    /// Moves the chosen line.
    pub(super) fn compare_move(&mut self, by: i64) {
        debug_assert!(self.screen == Screen::Compare);
        let at = i64::try_from(self.compare.line).unwrap_or(0).saturating_add(by);
        let last = i64::try_from(self.compare.chosen.len()).unwrap_or(1) - 1;
        self.compare.line = usize::try_from(at.min(last).max(0)).unwrap_or(0);
    }
}
