//! Curves over the swept parameter: workers, memory of the parent, or length of a task.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::lab::catalog::{self, RunSpec};
use crate::lab::measure::{Batch, Measure, Spread, Unit, counted, measure};

use super::rows::{Comparison, Row};
use super::show;

/// What was swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Number of workers.
    Workers,
    /// Memory of the parent, MiB.
    ParentMb,
    /// Length of one unit of work, milliseconds as the sequential run needs them.
    TaskMs,
    /// Size of the work of programs of the user's own.
    Size,
    /// A number that is set for such programs: its place in [`RunSpec::settings`].
    #[serde(serialize_with = "unit_setting", untagged)]
    Setting(usize),
}

/// Which setting it is stands in the title of the axis.
fn unit_setting<S: serde::Serializer>(_: &usize, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str("setting")
}

impl Axis {
    /// Title of the axis, with its unit.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Workers => "workers",
            Self::ParentMb => "parent memory, MiB",
            Self::TaskMs => "work per task, ms (measured with one thread)",
            Self::Size => "size",
            Self::Setting(_) => "setting",
        }
    }

    /// The measure that this axis is swept for.
    #[must_use]
    pub fn measure(self) -> Option<&'static Measure> {
        measure(match self {
            Self::ParentMb => "creation",
            Self::Workers | Self::TaskMs | Self::Size | Self::Setting(_) => "wall",
        })
    }

    /// The runs of a sweep over this axis: `spec` at each of some usual settings, no more workers than `most_workers`. Empty if the axis
    /// means nothing to its system.
    #[must_use]
    pub fn sweep(self, spec: &RunSpec, most_workers: u32) -> Vec<RunSpec> {
        let Some(system) = catalog::find(&spec.system) else { return Vec::new() };
        match self {
            Self::Workers if system.params.workers.is_some() => {
                let numbers = [1, 2, 4, 8, 16].into_iter().filter(|n| *n <= most_workers);
                numbers.map(|workers| RunSpec { workers, ..spec.clone() }).collect()
            }
            Self::ParentMb if system.params.parent_mb => {
                [0, 64, 256, 512, 1024].into_iter().map(|parent_mb| RunSpec { parent_mb, ..spec.clone() }).collect()
            }
            Self::TaskMs if spec.task.size().is_some() && system.takes_size() => {
                // Work grows faster than its size for some tasks; each step is an eighth to eight times what the form says.
                let sizes =
                    [8, 4, 2].into_iter().map(|part| spec.size() / part).chain([1, 2, 4].map(|times| spec.size() * times));
                let sizes: BTreeSet<u32> = sizes.filter(|s| *s > 0).collect();
                sizes.into_iter().map(|size| RunSpec { task_size: Some(size), ..spec.clone() }).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Where a run lies; `None` where what is set is no number.
    fn setting(self, spec: &RunSpec) -> Option<f64> {
        match self {
            Self::Workers => Some(spec.workers.into()),
            Self::ParentMb => Some(spec.parent_mb.into()),
            Self::TaskMs | Self::Size => Some(spec.size().into()),
            Self::Setting(at) => spec.settings.get(at)?.value.parse().ok().filter(|n: &f64| n.is_finite()),
        }
    }

    fn erase(self, spec: &RunSpec) -> RunSpec {
        let mut rest = spec.clone();
        match self {
            Self::Workers => rest.workers = 0,
            Self::ParentMb => rest.parent_mb = 0,
            Self::TaskMs | Self::Size => rest.task_size = None,
            Self::Setting(at) => {
                if let Some(setting) = rest.settings.get_mut(at) {
                    setting.value.clear();
                }
            }
        }
        rest
    }
}

/// One curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// Its system, with what distinguishes it from others of the same.
    pub label: String,
    /// What it ran, the swept parameter taken out.
    #[serde(skip)]
    pub spec: RunSpec,
    /// Where on the axis, and what was measured there; ascending.
    pub points: Vec<(f64, Spread)>,
}

/// Curves of one measure over one axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curves {
    /// What was swept.
    pub axis: Axis,
    /// [`Measure::id`].
    pub measure: &'static str,
    /// The curves.
    pub series: Vec<Series>,
    /// Title of the axis, with its unit, and where it is the length of a task, with what makes it so long.
    #[serde(skip)]
    pub along: String,
}

/// Where on the axis of lengths a row lies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Where it was asked to, if it was.
    Asked,
    /// Where the sequential run was seen.
    Measured,
}

/// What the batch sweeps: of the parameters with several values for the same system, the one with most.
#[must_use]
pub fn axis(batch: &Batch) -> Option<Axis> {
    let asked: Vec<&RunSpec> = batch.plan.cells.iter().filter(|c| c.asked).map(|c| &c.spec).collect();
    let values = |axis: Axis| {
        let rest: Vec<RunSpec> = asked.iter().map(|one| axis.erase(one)).collect();
        let of = |one: &RunSpec| {
            let same = asked.iter().zip(&rest).filter(|(_, other)| *other == one);
            let places: Option<BTreeSet<u64>> = same.map(|(s, _)| axis.setting(s).map(f64::to_bits)).collect();
            places.map_or(0, |places| places.len())
        };
        rest.iter().map(of).max().unwrap_or(0)
    };
    let size = if asked.iter().all(|spec| spec.is_own()) { Axis::Size } else { Axis::TaskMs };
    let settings = asked.first().map_or(0, |spec| spec.settings.len());
    let (most, axis) = [Axis::Workers, Axis::ParentMb, size]
        .into_iter()
        .chain((0..settings).map(Axis::Setting))
        .map(|axis| (values(axis), axis))
        // The first of equals.
        .reduce(|a, b| if b.0 > a.0 { b } else { a })?;
    (most > 1).then_some(axis)
}

/// The measures whose curves answer what the batch has swept.
#[must_use]
pub fn swept(batch: &Batch) -> Vec<&'static Measure> {
    let axis = axis(batch);
    let own = batch.plan.cells.iter().filter(|c| c.asked).all(|c| c.spec.is_own());
    let more = match axis {
        Some(_) if own => measure("cpu"),
        Some(Axis::Workers) => measure("speed_up"),
        _ => None,
    };
    axis.and_then(Axis::measure).into_iter().chain(more).collect()
}

/// The curves of a measure over what was swept; `None` if nothing was, or nothing is known yet.
#[must_use]
pub fn curves(batch: &Batch, comparison: &Comparison, of: &Measure) -> Option<Curves> {
    curves_at(batch, comparison, of, Place::Asked)
}

/// The title of the axis; lengths that were asked for with the sizes that were found for them.
fn along(axis: Axis, batch: &Batch) -> String {
    let lengths = &batch.plan.lengths;
    let unit = batch.plan.cells.first().and_then(|c| c.spec.task.size()).map_or("", |(unit, _)| unit);
    if let Axis::Setting(at) = axis {
        let setting = batch.plan.cells.first().and_then(|c| c.spec.settings.get(at));
        return setting.map_or_else(|| axis.title().to_owned(), |setting| setting.name.clone());
    }
    if axis != Axis::TaskMs || lengths.is_empty() {
        return axis.title().to_owned();
    }
    let sizes: Vec<String> = lengths.iter().map(|l| l.task_size.to_string()).collect();
    format!("work per task, ms, requested: {} {unit}", sizes.join(", "))
}

/// The same with the rows where they are wanted.
pub(super) fn curves_at(batch: &Batch, comparison: &Comparison, of: &Measure, place: Place) -> Option<Curves> {
    let axis = axis(batch)?;
    let mut series: Vec<Series> = Vec::new();
    let mut rows: Vec<&Row> = comparison.rows.iter().collect();
    rows.sort_by_key(|r| r.cell);
    for row in rows {
        // A baseline does not depend on workers or on the parent; over the length of tasks it is what the others are compared with.
        if !row.asked && axis != Axis::TaskMs {
            continue;
        }
        let (Some(spread), Some(x)) = (row.spread(of), position(axis, row, comparison, batch, place)) else { continue };
        let rest = axis.erase(&row.spec);
        match series.iter_mut().find(|s| s.spec == rest) {
            Some(known) => known.points.push((x, *spread)),
            None => series.push(Series { label: String::new(), spec: rest, points: vec![(x, *spread)] }),
        }
    }
    for at in 0..series.len() {
        series[at].points.sort_by(|a, b| a.0.total_cmp(&b.0));
        series[at].label = label(&series[at].spec, &series);
    }
    series.retain(|s| s.points.len() > 1);
    (!series.is_empty()).then(|| Curves { axis, measure: of.id, series, along: along(axis, batch) })
}

/// Where a row lies on the axis.
fn position(axis: Axis, row: &Row, comparison: &Comparison, batch: &Batch, place: Place) -> Option<f64> {
    if axis != Axis::TaskMs {
        return axis.setting(&row.spec);
    }
    if let Some(ms) = batch.plan.asked_ms(&row.spec).filter(|_| place == Place::Asked) {
        return Some(ms);
    }
    let baseline = batch.plan.cells[row.cell].baseline?;
    let sequential = comparison.rows.iter().find(|r| r.cell == baseline)?;
    let wall_ns = sequential.median(measure("wall")?)?;
    Some(wall_ns / f64::from(sequential.spec.tasks.max(1)) / 1e6)
}

fn label(spec: &RunSpec, all: &[Series]) -> String {
    let mut label = spec.system.clone();
    let twins = || all.iter().map(|s| &s.spec).filter(|o| o.system == spec.system && *o != spec);
    if twins().any(|o| o.workers != spec.workers) {
        label += &format!(" {}", counted(spec.workers as usize, "worker"));
    }
    if twins().any(|o| o.parent_mb != spec.parent_mb) {
        label += &format!(" {} MiB", spec.parent_mb);
    }
    if twins().any(|o| o.task_size != spec.task_size || o.task != spec.task) {
        label += &format!(" {} {}", spec.task.name(), spec.size());
    }
    for (at, setting) in spec.settings.iter().enumerate().filter(|(_, setting)| !setting.value.is_empty()) {
        if twins().any(|o| o.settings.get(at) != Some(setting)) {
            label += &format!(" {setting}");
        }
    }
    label
}

/// Curves ready to be drawn on a plane whose axes go from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// What is drawn.
    pub title: String,
    /// What the axis along is.
    pub x_title: String,
    /// Name and points of each curve.
    pub series: Vec<(String, Vec<(f64, f64)>)>,
    /// Labels along, evenly spaced from 0 to 1.
    pub x_labels: Vec<String>,
    /// Labels up, the same.
    pub y_labels: Vec<String>,
}

/// A place along an axis: whole from 100 on, three digits below.
fn placed(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { show(value, Unit::Count) }
}

/// Values that differ by more than this are drawn on a logarithmic scale.
const WIDE: f64 = 30.0;

/// One direction of a plot.
struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Scale {
    fn over(values: &[f64]) -> Option<Self> {
        let least = values.iter().copied().reduce(f64::min)?;
        let most = values.iter().copied().reduce(f64::max)?;
        let logarithmic = least > 0.0 && most / least > WIDE;
        let low = if logarithmic { least } else { least.min(0.0) };
        Some(Self { low, high: if most > low { most } else { low + 1.0 }, logarithmic })
    }

    fn place(&self, value: f64) -> f64 {
        if self.logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    fn at(&self, part: f64) -> f64 {
        if self.logarithmic { self.low * (self.high / self.low).powf(part) } else { self.low + (self.high - self.low) * part }
    }

    fn labels(&self, n: u32, text: impl Fn(f64) -> String) -> Vec<String> {
        (0..=n).map(|i| text(self.at(f64::from(i) / f64::from(n)))).collect()
    }
}

impl Curves {
    /// Medians placed on a plane; an axis over which values differ by much is logarithmic, and says so.
    #[must_use]
    pub fn plot(&self) -> Option<Plot> {
        let measure = measure(self.measure)?;
        let points = || self.series.iter().flat_map(|s| &s.points);
        let x = Scale::over(&points().map(|p| p.0).collect::<Vec<_>>())?;
        let y = Scale::over(&points().map(|p| p.1.median).collect::<Vec<_>>())?;
        let said = |scale: &Scale| if scale.logarithmic { ", logarithmic" } else { "" };
        let place = |s: &Series| (s.label.clone(), s.points.iter().map(|p| (x.place(p.0), y.place(p.1.median))).collect());
        Some(Plot {
            title: format!("{}{}", measure.title, said(&y)),
            x_title: format!("{}{}", self.along, said(&x)),
            series: self.series.iter().map(place).collect(),
            x_labels: x.labels(4, placed),
            y_labels: y.labels(2, |v| show(v, measure.unit)),
        })
    }
}
