//! Turns a batch into a [`Comparison`]: one row per kind of run, curves of a sweep, and a sentence if the data supports one.
//!
//! The command, the Compare screen and the page read the same [`Comparison`]; this module neither writes nor draws.

mod clear;
mod curves;
mod document;
mod finding;
mod knee;
mod page;
mod rows;
mod value;

pub use curves::{Axis, Curves, Plot, Series, axis, curves, swept};
pub use document::{SCHEMA, csv, document};
pub use finding::finding;
pub use page::page;
pub use rows::{Comparison, Figure, Mark, Row, advice_lines, columns, compare, differences};
pub use value::reported;

use crate::units;

use super::measure::{Spread, Unit, counted};
use super::run::Summary;

/// A value with three digits and its unit.
#[must_use]
pub fn show(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Ns => units::time(value),
        Unit::Bytes => units::memory(value),
        Unit::Count => units::number(value),
        Unit::PerSecond => format!("{}/s", units::number(value)),
        Unit::Ratio if value.abs() < 0.095 => format!("{value:.3}x"),
        Unit::Ratio => format!("{value:.2}x"),
    }
}

/// A median with half the distance of the quartiles around it, after `sign`; without that if there is one point only.
#[must_use]
pub fn with_spread(spread: &Spread, unit: Unit, sign: &str) -> String {
    let median = show(spread.median, unit);
    if spread.count < 2 {
        return median;
    }
    let around = if unit == Unit::Ratio { format!("{:.2}", spread.plus_minus()) } else { show(spread.plus_minus(), unit) };
    format!("{median} {sign}{around}")
}

/// Fewer points than this have no nine tenths.
const TENTHS: usize = 10;

/// How long the workers took to create, in parts with `between` them.
#[must_use]
pub fn creation(of: &Summary, between: &str) -> String {
    let ns = |value| show(value, Unit::Ns);
    let among = counted(of.count, "worker");
    if of.count == 1 {
        return [ns(of.median), among].join(between);
    }
    let most = if of.count < TENTHS { String::new() } else { format!("p90 {}{between}", ns(of.p90)) };
    format!("median {}{between}{most}min {}{between}max {}{between}{among}", ns(of.median), ns(of.min), ns(of.max))
}

/// A bar of `cells` for a spread where `full` is as long as they go: whole up to the lower quartile, shaded to the upper one.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "cells of a terminal")]
pub fn bar(spread: &Spread, full: f64, cells: usize, unicode: bool) -> String {
    let eighths = |value: f64| (value / full.max(f64::MIN_POSITIVE) * cells as f64 * 8.0).round().max(0.0) as usize;
    let (solid, shaded) = (eighths(spread.q1).min(cells * 8), eighths(spread.q3).min(cells * 8).div_ceil(8));
    if !unicode {
        let solid = (solid / 8).max(1);
        return "#".repeat(solid) + &"=".repeat(shaded.saturating_sub(solid));
    }
    let mut bar = "█".repeat(solid / 8);
    match solid % 8 {
        0 if solid > 0 => {}
        part => bar.extend([' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'].get(part.max(1))),
    }
    let drawn = bar.chars().count();
    bar + &"▒".repeat(shaded.saturating_sub(drawn))
}

#[cfg(test)]
mod tests;
