//! The finding of a comparison in one sentence, if the data is clear.
//!
//! "Clear" means at least three repetitions, and interquartile ranges that do not overlap.

use std::fmt;

use crate::lab::catalog;
use crate::lab::measure::{Advice, Batch, MEASURES, Spread, Unit, measure};

use super::clear::{below, list};
use super::curves::{Axis, Curves, Place, Series, axis, curves, curves_at};
use super::knee::{Swept, knee};
use super::rows::{Comparison, Row, compare_silently};
use super::show;

/// Fewer repetitions support no sentence.
const REPETITIONS: usize = 3;
/// A ratio that may as well be so many times another is given as what lies between.
const WIDE: f64 = 1.3;
/// What may have grown by less than this is not said to grow.
const GROWS: f64 = 1.2;
/// What changes by less than this over an axis is said to stay.
const STAYS: f64 = 2.0;

/// The sentence, if there is one.
#[must_use]
pub fn finding(batch: &Batch) -> Option<String> {
    let rows = compare_silently(batch, MEASURES.first()?);
    if rows.rows.iter().any(|r| r.runs < REPETITIONS) {
        return None;
    }
    // How much parallel work gains depends on the CPUs that others leave.
    let of_others = rows.rows.iter().flat_map(|r| &r.advice).filter_map(|a| match a {
        Advice::NoisyMachine { others } => Some(*others),
        _ => None,
    });
    let others = of_others.fold(0.0, f64::max);
    match axis(batch) {
        Some(Axis::TaskMs | Axis::Workers | Axis::Setting(_)) | None if others > 0.0 => Some(format!(
            "Not decided: other processes used up to {:.0}% of the CPUs during these runs. Repeat them on an idle machine.",
            others * 100.0
        )),
        // What the work really took counts, not what was asked for.
        Some(axis @ Axis::TaskMs) => pays_from(&curves_at(batch, &rows, axis.measure()?, Place::Measured)?, &rows),
        Some(axis @ Axis::ParentMb) => grows(&curves(batch, &rows, axis.measure()?)?),
        Some(axis @ (Axis::Workers | Axis::Setting(_))) if rows.rows.iter().any(|r| r.spec.is_own()) => {
            let (wall, cpu) = (curves(batch, &rows, axis.measure()?)?, curves(batch, &rows, measure("cpu")?));
            let spent = |of: &Series| cpu.iter().flat_map(|c| &c.series).find(|s| s.spec == of.spec).map(|s| s.points.as_slice());
            let swept = wall.series.iter().map(|s| Swept { label: &s.label, wall: &s.points, cpu: spent(s) });
            knee(&wall.along, &swept.collect::<Vec<_>>())
        }
        Some(Axis::Size | Axis::Setting(_)) => None,
        Some(Axis::Workers) => gains(&curves(batch, &rows, measure("speed_up")?)?),
        None => fastest(&rows),
    }
}

fn is_sequential(system: &str) -> bool {
    system.ends_with("/sequential")
}

/// The twin of a series that works in one thread.
fn baseline<'a>(of: &Series, all: &'a [Series]) -> Option<&'a Series> {
    let backend = |id: &str| id.split('/').next().map(str::to_owned);
    all.iter().find(|s| is_sequential(&s.spec.system) && backend(&s.spec.system) == backend(&of.spec.system))
}

/// From which length of a task on each system beats one thread.
fn pays_from(curves: &Curves, rows: &Comparison) -> Option<String> {
    let tasks = rows.rows.first()?.spec.tasks;
    let (mut pays, mut never) = (Vec::new(), Vec::new());
    for series in curves.series.iter().filter(|s| !is_sequential(&s.spec.system)) {
        let Some(alone) = baseline(series, &curves.series) else { continue };
        match crossing(series, alone) {
            Some(Crossing::At(x)) => pays.push((x, format!("{} pays from about {}", series.label, show(x * 1e6, Unit::Ns)))),
            Some(Crossing::Never(x)) => never.push(format!("{} does not pay up to {}", series.label, show(x * 1e6, Unit::Ns))),
            None => {}
        }
    }
    pays.sort_by(|a, b| a.0.total_cmp(&b.0));
    let said: Vec<String> = pays.into_iter().map(|p| p.1).chain(never).collect();
    (!said.is_empty()).then(|| format!("With {tasks} tasks: {} of work each; one thread is faster below that.", list(&said)))
}

enum Crossing {
    /// From here on, milliseconds.
    At(f64),
    /// It is clearly slower everywhere, up to here.
    Never(f64),
}

/// Where a series goes from clearly slower to clearly faster than one thread, once.
fn crossing(series: &Series, alone: &Series) -> Option<Crossing> {
    let paired: Vec<_> = series
        .points
        .iter()
        .filter_map(|(x, spread)| Some((*x, spread, alone.points.iter().find(|p| p.0 == *x).map(|p| &p.1)?)))
        .collect();
    if paired.len() < 2 {
        return None;
    }
    if paired.iter().all(|(_, own, alone)| below(alone, own)) {
        return paired.last().map(|p| Crossing::Never(p.0));
    }
    let first_faster = paired.iter().position(|(_, own, alone)| below(own, alone))?;
    let last_slower = paired.iter().rposition(|(_, own, alone)| below(alone, own))?;
    if last_slower > first_faster {
        return None;
    }
    // Between the two the logarithm of the ratio is taken as a straight line over the logarithm of the length.
    let log_ratio = |at: usize| (paired[at].1.median / paired[at].2.median).ln();
    let (a, b) = (log_ratio(last_slower), log_ratio(first_faster));
    let (x, y) = (paired[last_slower].0.ln(), paired[first_faster].0.ln());
    let at = (x + (y - x) * a / (a - b)).exp();
    at.is_finite().then_some(Crossing::At(at))
}

/// The systems whose creation grows with the parent, those whose does not, and those for which neither is clear.
fn grows(curves: &Curves) -> Option<String> {
    let (mut up, mut flat, mut open) = (Vec::new(), Vec::new(), Vec::new());
    let (mut from, mut to) = (f64::MAX, 0.0_f64);
    for series in &curves.series {
        let ((x0, first), (x1, last)) = (series.points.first()?, series.points.last()?);
        (from, to) = (from.min(*x0), to.max(*x1));
        let growth = Ratio::of(last, first);
        let within = series.points.iter().map(|p| &p.1);
        let most = within.clone().max_by(|a, b| a.median.total_cmp(&b.median))?;
        let within = Ratio::of(most, within.min_by(|a, b| a.median.total_cmp(&b.median))?);
        if growth.low > GROWS && growth.median > STAYS && below(first, last) {
            let (first, last) = (show(first.median, Unit::Ns), show(last.median, Unit::Ns));
            up.push(format!("{} grows {growth} times ({first} to {last})", series.label));
        } else if within.high < STAYS {
            let times = if within.wide() { within.high } else { within.median };
            flat.push(format!("{} stays within a factor of {times:.1}", series.label));
        } else {
            open.push(series.label.clone());
        }
    }
    let range = format!("From {from:.0} to {to:.0} MiB of parent");
    let open = if open.is_empty() { String::new() } else { format!("; unclear for {}", list(&open)) };
    match (up.is_empty(), flat.is_empty()) {
        (true, true) => None,
        (false, true) => Some(format!("{range}, the creation of {}{open}.", list(&up))),
        (true, false) => Some(format!("{range}, the creation of {}{open}.", list(&flat))),
        (false, false) => Some(format!("{range}, the creation of {}; that of {}{open}.", list(&up), list(&flat))),
    }
}

/// How many times one median is another, and between which numbers that lies, as far as the medians are known.
struct Ratio {
    low: f64,
    median: f64,
    high: f64,
}

impl Ratio {
    fn of(over: &Spread, under: &Spread) -> Self {
        // With few points the middle half has to do.
        let known = |s: &Spread| s.median_between.unwrap_or((s.q1, s.q3));
        let ((low, high), (least, most)) = (known(over), known(under));
        Self { low: low / most.max(1.0), median: over.median / under.median.max(1.0), high: high / least.max(1.0) }
    }

    fn wide(&self) -> bool {
        self.high > WIDE * self.low
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |r: f64| if r < 9.95 { format!("{r:.1}") } else { format!("{r:.0}") };
        if self.wide() { write!(f, "{} to {}", one(self.low), one(self.high)) } else { write!(f, "{}", one(self.median)) }
    }
}

/// What more workers bring.
fn gains(curves: &Curves) -> Option<String> {
    let mut said = Vec::new();
    for series in curves.series.iter().filter(|s| !is_sequential(&s.spec.system)) {
        let (_, best) = series.points.iter().max_by(|a, b| a.1.median.total_cmp(&b.1.median))?;
        // The fewest workers that are as good as the best.
        let (x, best) = series.points.iter().find(|p| !below(&p.1, best))?;
        let (last, _) = series.points.last()?;
        let one = series.points.first().map(|p| &p.1)?;
        if series.points.iter().all(|p| p.1.q3 < 1.2) {
            said.push(format!("{} gains nothing from workers (at most {:.2}x)", series.label, best.median));
        } else if below(one, best) {
            let s = if *x < 1.5 { "" } else { "s" };
            let more = if x < last { ", more do not help" } else { "" };
            said.push(format!("{} gains most with {x:.0} worker{s}, {:.2}x one thread{more}", series.label, best.median));
        }
    }
    (!said.is_empty()).then(|| format!("Here {}.", list(&said)))
}

/// The fastest system, if one clearly is.
fn fastest(rows: &Comparison) -> Option<String> {
    let wall = measure("wall")?;
    let [best, next, ..] = rows.rows.as_slice() else { return None };
    if let Some(Advice::TooShort { wall_ns }) = best.advice.iter().find(|a| matches!(a, Advice::TooShort { .. })) {
        let took = show(*wall_ns, Unit::Ns);
        return Some(format!("Too short to tell: {} takes {took}. Give it more or longer tasks.", best.label));
    }
    let others = |row: &&Row| row.cell != best.cell;
    let clearly =
        rows.rows.iter().filter(others).all(|r| r.spread(wall).zip(best.spread(wall)).is_some_and(|(r, b)| below(b, r)));
    if !clearly {
        return Some(format!(
            "Not decided: {} and {} overlap; more repetitions or longer work may tell.",
            best.label, next.label
        ));
    }
    let (one, two) = (best.median(wall)?, next.median(wall)?);
    let concurrent = |id: &str| catalog::find(id).is_some_and(|s| s.section != catalog::Section::Baseline);
    if is_sequential(&best.spec.system) && concurrent(&next.spec.system) {
        return Some(format!(
            "Parallel work does not pay here: one thread takes {}; the next best, {}, takes {}.",
            show(one, Unit::Ns),
            next.label,
            show(two, Unit::Ns)
        ));
    }
    Some(format!(
        "{} is fastest: {}, compared with {} for the next, {}.",
        best.label,
        show(one, Unit::Ns),
        show(two, Unit::Ns),
        next.label
    ))
}
