//! One row per kind of run.

use std::collections::HashMap;

use serde::Serialize;

use crate::lab::catalog::{RunSpec, System, TaskKind, find};
use crate::lab::measure::{Advice, Batch, Better, MEASURES, Measure, Point, Sample, Spread, advise, counted, measure};

/// How a figure stands among the others of its measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// The best median.
    Best,
    /// As good as the best: the middle halves of their points overlap.
    AsGood,
    /// Behind, alone, or nothing to compare.
    None,
}

/// What one measure says of one kind of run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// [`Measure::id`].
    pub measure: &'static str,
    /// Where its points lie; `None` is unknown.
    pub spread: Option<Spread>,
    /// The median of each repetition, in their order. The document has the points themselves.
    #[serde(skip)]
    pub repetitions: Vec<f64>,
    /// Why it is unknown.
    pub unknown: Option<&'static str>,
    /// How it stands among the others.
    pub mark: Mark,
}

/// One kind of run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Index in the plan.
    pub cell: usize,
    /// System, and all else that distinguishes it from the other rows.
    pub label: String,
    /// What ran.
    pub spec: RunSpec,
    /// What it is written in, as it says itself.
    pub lang: Option<String>,
    /// Whether it was asked for, or added as the baseline.
    pub asked: bool,
    /// Runs that count.
    pub runs: usize,
    /// One per measure, in the order of [`MEASURES`].
    pub figures: Vec<Figure>,
    /// What a reader should know before trusting it.
    pub advice: Vec<Advice>,
}

impl Row {
    /// What a measure says of it.
    #[must_use]
    pub fn figure(&self, measure: &Measure) -> Option<&Figure> {
        self.figures.iter().find(|f| f.measure == measure.id)
    }

    /// The spread of a measure; `None` is unknown.
    #[must_use]
    pub fn spread(&self, measure: &Measure) -> Option<&Spread> {
        self.figure(measure)?.spread.as_ref()
    }

    /// The median of a measure.
    #[must_use]
    pub fn median(&self, measure: &Measure) -> Option<f64> {
        self.spread(measure).map(|s| s.median)
    }
}

/// A batch as rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// What they have in common: task, workers, repetitions, seed.
    pub title: String,
    /// The rows, best first by the measure that they are sorted by.
    pub rows: Vec<Row>,
    /// [`Measure::id`] of that measure.
    pub sorted_by: &'static str,
    /// What the data says in one sentence, if it says anything.
    pub finding: Option<String>,
}

/// Rows of what has run so far, sorted by `sort`, best first, unknown last, with the finding.
#[must_use]
pub fn compare(batch: &Batch, sort: &'static Measure) -> Comparison {
    Comparison { finding: super::finding(batch), ..compare_silently(batch, sort) }
}

/// The same without a finding, which is derived from this.
pub(super) fn compare_silently(batch: &Batch, sort: &'static Measure) -> Comparison {
    let mut rows: Vec<Row> = (0..batch.plan.cells.len()).map(|cell| row(batch, cell)).collect();
    for (at, measure) in MEASURES.iter().enumerate() {
        mark(&mut rows, at, measure);
    }
    rows.sort_by(|a, b| match (a.median(sort), b.median(sort)) {
        (Some(a), Some(b)) if sort.better == Better::Higher => b.total_cmp(&a),
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    });
    Comparison { title: title(batch), rows, sorted_by: sort.id, finding: None }
}

fn row(batch: &Batch, cell: usize) -> Row {
    let spec = &batch.plan.cells[cell].spec;
    let points: Vec<&Point> = batch.of(cell).collect();
    let alone = batch.plan.cells[cell].baseline.map_or_else(HashMap::new, |b| batch.of(b).map(|p| (p.repetition, p)).collect());
    let figures = MEASURES.iter().map(|measure| {
        let (mut values, mut repetitions) = (Vec::new(), Vec::new());
        for point in &points {
            let before = values.len();
            (measure.get)(Sample { point, spec, baseline: alone.get(&point.repetition).copied() }, &mut values);
            repetitions.extend(Spread::of(&values[before..]).map(|spread| spread.median));
        }
        let spread = Spread::of(&values);
        Figure {
            measure: measure.id,
            unknown: spread.is_none().then(|| measure.why_unknown(spec, points.first().copied())),
            spread,
            repetitions,
            mark: Mark::None,
        }
    });
    Row {
        cell,
        label: label(batch, spec),
        spec: spec.clone(),
        lang: points.iter().find_map(|p| p.lang.clone()),
        asked: batch.plan.cells[cell].asked,
        runs: points.len(),
        figures: figures.collect(),
        advice: advise(batch, cell),
    }
}

/// Measures that say something of programs of the user's own, in the order of columns.
const OF_OWN: [&str; 10] = [
    "creation",
    "first_task",
    "wall",
    "cpu",
    "speed_up",
    "run_delay",
    "voluntary_switches",
    "family_pss",
    "family_rss",
    "processes",
];

/// The columns of a table: `usual`, or for programs of the user's own what is known of at least one.
#[must_use]
pub fn columns(comparison: &Comparison, usual: &[&str]) -> Vec<&'static Measure> {
    if !comparison.rows.iter().all(|row| row.spec.is_own()) {
        return usual.iter().filter_map(|name| measure(name)).collect();
    }
    let known = |of: &&Measure| comparison.rows.iter().any(|row| row.spread(of).is_some());
    OF_OWN.iter().filter_map(|name| measure(name)).filter(known).collect()
}

/// Marks the best of a measure, and those as good as it. With fewer than two rows to compare there is no best.
fn mark(rows: &mut [Row], at: usize, measure: &Measure) {
    let known: Vec<(usize, Spread)> = rows.iter().enumerate().filter_map(|(i, r)| Some((i, r.figures[at].spread?))).collect();
    let better = |a: &Spread, b: &Spread| match measure.better {
        Better::Lower => a.median.total_cmp(&b.median),
        Better::Higher => b.median.total_cmp(&a.median),
    };
    let Some((_, best)) = known.iter().min_by(|a, b| better(&a.1, &b.1)).copied().filter(|_| known.len() > 1) else { return };
    for (i, spread) in known {
        let overlaps = spread.q1 <= best.q3 && best.q1 <= spread.q3;
        rows[i].figures[at].mark = match () {
            () if spread.median == best.median => Mark::Best,
            () if overlaps => Mark::AsGood,
            () => Mark::None,
        };
    }
}

/// Parameters that not all rows share.
fn label(batch: &Batch, spec: &RunSpec) -> String {
    let mut label = spec.system.clone();
    let varies = |same: &dyn Fn(&RunSpec) -> bool| batch.plan.cells.iter().filter(|c| c.asked).any(|c| !same(&c.spec));
    let fixed = crate::lab::catalog::find(&spec.system).is_some_and(|s| s.params.workers.is_none());
    if !fixed
        && varies(&|o| {
            o.workers == spec.workers || crate::lab::catalog::find(&o.system).is_some_and(|s| s.params.workers.is_none())
        })
    {
        label += &format!(" {}", counted(spec.workers as usize, "worker"));
    }
    let asked = batch.plan.cells.iter().any(|c| c.asked && c.spec == *spec);
    if asked && varies(&|o| o.parent_mb == spec.parent_mb) {
        label += &format!(" {} MiB", spec.parent_mb);
    }
    if varies(&|o| o.task == spec.task) {
        label += &format!(" {}", spec.task.name());
    }
    if let Some((unit, _)) = spec.task.size()
        && (spec.task != TaskKind::Own || spec.task_size.is_some())
        && varies(&|o| o.size() == spec.size())
    {
        label += &match batch.plan.asked_ms(spec) {
            Some(ms) => format!(" {ms} ms ({} {unit})", spec.size()),
            None => format!(" {} {unit}", spec.size()),
        };
    }
    if (spec.tasks > 0 || !spec.is_own()) && varies(&|o| o.tasks == spec.tasks) {
        label += &format!(" {}", counted(spec.tasks as usize, "task"));
    }
    if varies(&|o| o.start_method == spec.start_method)
        && let Some(method) = spec.start_method
    {
        label += &format!(" {}", method.name());
    }
    for setting in &spec.settings {
        if varies(&|o| o.settings.contains(setting)) {
            label += &format!(" {setting}");
        }
    }
    if varies(&|o| o.python == spec.python)
        && let Some(python) = &spec.python
    {
        label += &format!(" {}", python.file_name().unwrap_or(python.as_os_str()).to_string_lossy());
    }
    label
}

/// A parameter of a run in words; `None` where the system does not have it.
type Parameter = (&'static str, fn(&RunSpec, &System) -> Option<String>);

/// What runs must share to be comparable.
const SHARED: [Parameter; 4] = [
    ("work", |spec, _| Some(spec.work())),
    ("workers", |spec, system| system.params.workers.map(|_| spec.workers.to_string())),
    ("tasks", |spec, system| system.params.tasks.map(|_| spec.tasks.to_string())),
    ("parent memory", |spec, system| system.params.parent_mb.then(|| format!("{} MiB", spec.parent_mb))),
];

/// A sentence that names the parameters in which runs of different systems differ; `None` if they can be compared. A parameter in which
/// runs of one system differ was varied on purpose.
#[must_use]
pub fn differences<'a>(specs: impl Iterator<Item = &'a RunSpec>) -> Option<String> {
    let runs: Vec<(&RunSpec, &System)> = specs.filter_map(|spec| Some((spec, find(&spec.system)?))).collect();
    let mut said = Vec::new();
    for (name, of) in SHARED {
        let known: Vec<(&str, String)> = runs.iter().filter_map(|(spec, system)| Some((system.id, of(spec, system)?))).collect();
        let varied = known.iter().any(|a| known.iter().any(|b| a.0 == b.0 && a.1 != b.1));
        let mut values: Vec<&str> = Vec::new();
        for (_, value) in &known {
            if !values.contains(&value.as_str()) {
                values.push(value);
            }
        }
        // The number of tasks is a part of the work.
        let told = name == "tasks" && !said.is_empty();
        if values.len() > 1 && !varied && !told {
            said.push(format!("{name} ({})", values.join(", ")));
        }
    }
    (!said.is_empty()).then(|| format!("not the same for all: {}; their figures cannot be compared", said.join(" and ")))
}

/// What a reader should know, each kind of advice once: said of the first row it holds for, with how many others there are.
#[must_use]
pub fn advice_lines(comparison: &Comparison) -> Vec<String> {
    let all: Vec<(&Row, &Advice)> = comparison.rows.iter().flat_map(|r| r.advice.iter().map(move |a| (r, a))).collect();
    let kind = |a: &Advice| std::mem::discriminant(a);
    let mut lines: Vec<String> = differences(comparison.rows.iter().filter(|r| r.asked).map(|r| &r.spec)).into_iter().collect();
    for (at, (row, advice)) in all.iter().enumerate() {
        if all[..at].iter().any(|(_, earlier)| kind(earlier) == kind(advice)) {
            continue;
        }
        let others = all[at + 1..].iter().filter(|(_, later)| kind(later) == kind(advice)).count();
        let others = if others == 0 { String::new() } else { format!(" (and {others} more)") };
        lines.push(format!("{}{others}: {advice}", row.label));
    }
    lines
}

/// What all rows share, in words.
fn title(batch: &Batch) -> String {
    let asked: Vec<&RunSpec> = batch.plan.cells.iter().filter(|c| c.asked).map(|c| &c.spec).collect();
    let Some(first) = asked.first() else { return String::new() };
    let all = |same: fn(&RunSpec, &RunSpec) -> bool| asked.iter().all(|o| same(o, first));
    let mut parts: Vec<String> = batch.plan.command.iter().cloned().collect();
    if all(|a, b| a.task == b.task && a.tasks == b.tasks && a.size() == b.size()) && first.tasks > 0 {
        parts.push(first.work());
    }
    let with_workers: Vec<&&RunSpec> =
        asked.iter().filter(|s| crate::lab::catalog::find(&s.system).is_some_and(|s| s.params.workers.is_some())).collect();
    if let Some(one) = with_workers.first()
        && with_workers.iter().all(|s| s.workers == one.workers)
    {
        parts.push(counted(one.workers as usize, "worker"));
    }
    if all(|a, b| a.parent_mb == b.parent_mb) && first.parent_mb > 0 {
        parts.push(format!("{} MiB parent", first.parent_mb));
    }
    let plan = &batch.plan;
    parts.push(format!("{}, order shuffled (seed {})", counted(plan.repetitions as usize, "repetition"), plan.seed));
    parts.join(", ")
}
