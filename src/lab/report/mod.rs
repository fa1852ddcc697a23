//! From a batch to what is shown: one row per kind of run, curves over what was swept, and a sentence if the data supports one.
//!
//! The command, the Compare screen and the page read the same [`Comparison`]; nothing here writes or draws.

mod curves;
mod document;
mod finding;
mod page;
mod rows;

pub use curves::{Axis, Curves, Plot, Series, axis, curves};
pub use document::{SCHEMA, csv, document};
pub use finding::finding;
pub use page::page;
pub use rows::{Comparison, Figure, Mark, Row, compare};

use super::measure::Unit;

/// A value with three digits and its unit.
#[must_use]
pub fn show(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Ns => scaled(value, 1000.0, &["ns", "us", "ms", "s"]),
        Unit::Bytes => scaled(value, 1024.0, &["B", "K", "M", "G"]),
        Unit::Count => short(value),
        Unit::PerSecond => format!("{}/s", short(value)),
        Unit::Ratio => format!("{value:.2}x"),
    }
}

/// A number without a unit, three digits, thousands as k.
fn short(value: f64) -> String {
    scaled(value, 1000.0, &["", "k", "M", "G"]).replace(' ', "")
}

fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while value.abs() >= 999.5 && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let digits = match value.abs() {
        v if unit == 0 && v.fract() == 0.0 => 0,
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {}", units[unit])
}

#[cfg(test)]
mod tests;
