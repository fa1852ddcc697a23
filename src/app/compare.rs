//! State of the Compare screen: selection, progress, sort order and results.

use std::sync::Arc;

use crate::lab::catalog::{RunSpec, find};
use crate::lab::measure::{Batch, MEASURES, Measure, Plan, measure};
use crate::lab::report::{self, Axis, Comparison, Plot};

use super::App;
use super::msg::{Effect, Notice, Pointed};
use super::options::Screen;

/// Measured runs of each; enough for an interval that holds the median with 95%.
const REPETITIONS: u32 = 7;
/// A sweep has many cells: fewer runs of each.
const REPETITIONS_OF_SWEEP: u32 = 5;
/// Most workers that a sweep goes to.
const MOST_WORKERS: u32 = 8;

/// Progress of a batch, as the engine reports it.
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
    /// The line among them that keys act on, as long as nothing was measured.
    pub line: usize,
    /// The row of the table that keys act on, once something was.
    pub row: usize,
    /// First row of the table that is shown.
    pub top: usize,
    /// Rows of the table that have room; set by the layout.
    pub page: usize,
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
        Self {
            chosen: Vec::new(),
            line: 0,
            row: 0,
            top: 0,
            page: 8,
            axis: None,
            sort: &MEASURES[0],
            halted: None,
            running: false,
            batch: None,
            table: None,
            plot: None,
        }
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

    /// Whether something was measured, so that there are rows to look at.
    #[must_use]
    pub fn measured(&self) -> bool {
        self.table.as_ref().is_some_and(|t| t.rows.iter().any(|r| r.runs > 0))
    }

    /// True if the settings have changed since the batch that is shown.
    #[must_use]
    pub fn stale(&self) -> bool {
        let shown = self.batch.as_deref().filter(|_| !self.running).map(|b| &b.plan.cells);
        shown.is_some_and(|shown| self.plan().is_none_or(|plan| plan.cells != *shown))
    }

    /// Runs done, and runs in all.
    #[must_use]
    pub fn done(&self) -> Option<(usize, usize)> {
        let batch = self.batch.as_deref()?;
        let all = batch.plan.runs();
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
        // Sorting moves rows: the cursor stays on the same row.
        let held = self.table.as_ref().and_then(|t| t.rows.get(self.row)).map(|r| r.cell).filter(|_| self.row > 0);
        self.row = held.and_then(|cell| table.rows.iter().position(|r| r.cell == cell)).unwrap_or(0);
        self.table = Some(table);
        self.fit(self.page);
    }

    /// The table has room for so many rows: the chosen one is among them, and no room is left empty.
    pub fn fit(&mut self, page: usize) {
        self.page = page.max(1);
        let rows = self.table.as_ref().map_or(0, |t| t.rows.len());
        self.row = self.row.min(rows.saturating_sub(1));
        self.top = self.top.clamp((self.row + 1).saturating_sub(self.page), self.row).min(rows.saturating_sub(self.page));
    }

    fn sort_by(&mut self, at: usize) {
        if let Some(measure) = MEASURES.get(at) {
            self.sort = measure;
            self.derive();
        }
    }

    /// The chosen system that the row at the cursor is of; `None` for the baseline, which is not chosen.
    fn chosen_of_row(&self) -> Option<usize> {
        if !self.measured() {
            return (self.line < self.chosen.len()).then_some(self.line);
        }
        let spec = &self.table.as_ref()?.rows.get(self.row).filter(|r| r.asked)?.spec;
        let same = self.chosen.iter().position(|c| c == spec);
        same.or_else(|| self.chosen.iter().position(|c| c.system == spec.system))
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
    /// Remove the chosen line.
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
        if matches!(key, CompareKey::Run | CompareKey::Sweep) && self.compare.chosen.is_empty() {
            self.choose_start_methods();
        }
        let view = &mut self.compare;
        match key {
            CompareKey::Add => {
                // Staying to be looked at would be measured too.
                let spec = RunSpec { hold_ms: 0, ..self.lab.spec() };
                let (words, n) = if view.chosen.contains(&spec) {
                    ("is already in the comparison", view.chosen.len())
                } else {
                    view.chosen.push(spec.clone());
                    ("added to the comparison", view.chosen.len())
                };
                let differ = report::differences(view.chosen.iter());
                let notice = format!("{} {words}: {n} selected, see screen 4", spec.system);
                self.tell(match differ {
                    Some(differ) => Notice::bad(format!("{notice}; {differ}")),
                    None => Notice::good(notice),
                });
            }
            CompareKey::Remove => {
                if let Some(at) = view.chosen_of_row().filter(|_| !view.running) {
                    let gone = view.chosen.remove(at);
                    view.line = view.line.min(view.chosen.len().saturating_sub(1));
                    let left = view.chosen.len();
                    if view.measured() {
                        self.tell(Notice::info(format!("{} removed from the comparison: {left} selected", gone.system)));
                    }
                }
            }
            CompareKey::Run if view.running => self.tell(Notice::info("a comparison is running; X stops it")),
            CompareKey::Run => match view.plan() {
                Some(plan) => {
                    (view.running, view.halted) = (true, None);
                    return vec![Effect::Compare(plan)];
                }
                None => self.tell(Notice::info("none of these systems has that parameter; s selects another")),
            },
            CompareKey::Sweep if !view.running => view.next_axis(),
            CompareKey::Sweep => {}
            CompareKey::Sort(by) => view.sort_next(by),
        }
        Vec::new()
    }

    /// An empty comparison begins with the three start methods, with the lab's parameters.
    fn choose_start_methods(&mut self) {
        let systems = ["native/fork", "native/spawn", "native/forkserver"].into_iter().filter_map(find);
        self.compare.chosen = systems.map(|system| RunSpec { hold_ms: 0, ..self.lab.spec_of(system) }).collect();
        self.tell(Notice::info("nothing was selected: fork, spawn and the fork server are compared"));
    }

    /// Moves the chosen line.
    pub(super) fn compare_move(&mut self, by: i64) {
        debug_assert!(self.screen == Screen::Compare);
        let view = &mut self.compare;
        let rows = view.table.as_ref().filter(|_| view.measured()).map(|t| t.rows.len());
        let (line, count) = if let Some(rows) = rows { (&mut view.row, rows) } else { (&mut view.line, view.chosen.len()) };
        let at = i64::try_from(*line).unwrap_or(0).saturating_add(by);
        let last = i64::try_from(count).unwrap_or(1) - 1;
        *line = usize::try_from(at.min(last).max(0)).unwrap_or(0);
        view.fit(view.page);
    }

    /// What a click means: a row, a chosen system before anything was measured, or the head of a measure, which sorts.
    pub(super) fn compare_point(&mut self, at: Pointed) {
        let view = &mut self.compare;
        match at {
            Pointed::Row(line) => {
                view.row = view.top + usize::from(line);
                view.fit(view.page);
            }
            Pointed::ListLine(line) => view.line = usize::from(line).min(view.chosen.len().saturating_sub(1)),
            Pointed::Head(measure) => view.sort_by(measure),
            _ => {}
        }
    }
}
