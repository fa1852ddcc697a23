//! A comparison as a report page.

use crate::lab::measure::{Batch, Better, Measure, Unit, measure};
use crate::lab::page::{self, Bar, Bars, Block, Cell, Lines, Page, Table};

use super::curves::{curves, swept};
use super::rows::{Comparison, Mark, columns};
use super::{document, show, with_spread};

/// Measures of the page's table.
const COLUMNS: [&str; 8] =
    ["creation", "first_task", "wall", "cpu", "speed_up", "worker_pss", "voluntary_switches", "minor_faults"];

/// The page of a comparison.
#[must_use]
pub fn page(batch: &Batch, comparison: &Comparison) -> Page {
    let mut blocks = Vec::new();
    if let Some(sort) = measure(comparison.sorted_by) {
        blocks.push(Block::Bars(bars(comparison, sort)));
    }
    for of in swept(batch) {
        let Some(found) = curves(batch, comparison, of) else { continue };
        let most = found.series.iter().flat_map(|s| &s.points).map(|p| p.1.median).fold(0.0, f64::max);
        let (scale, unit) = drawn_in(of.unit, most);
        let series = found.series.iter().map(|s| (s.label.clone(), s.points.iter().map(|p| (p.0, p.1.median * scale)).collect()));
        blocks.push(Block::Lines(Lines {
            title: format!("{} over {}", of.title, found.along),
            axes: (found.along.clone(), format!("{}{unit}", of.title)),
            series: series.collect(),
        }));
    }
    blocks.push(Block::Heading("Figures".into()));
    blocks.push(Block::Text("Medians, ± half the interquartile range. The best of each column is marked, and all without a significant difference from it.".into()));
    blocks.push(Block::Table(table(comparison)));
    let advice = super::advice_lines(comparison);
    if !advice.is_empty() {
        blocks.push(Block::Heading("Reliability".into()));
    }
    blocks.extend(advice.into_iter().map(|line| Block::Text(format!("{line}."))));
    let host = &batch.host;
    let langs: std::collections::BTreeSet<&str> = comparison.rows.iter().filter_map(|r| r.lang.as_deref()).collect();
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".into());
    Page {
        title: format!("Costs of {}", systems(batch)),
        lead: comparison.finding.iter().cloned().chain([format!("{}.", comparison.title)]).collect(),
        facts: vec![
            ("machine".into(), format!("{} ({})", known(&host.cpu_model), known(&host.architecture))),
            ("CPUs".into(), host.cpus.map_or_else(|| "unknown".into(), |n| n.to_string())),
            ("kernel".into(), known(&host.kernel)),
            ("ran on".into(), langs.into_iter().collect::<Vec<_>>().join(", ")),
            ("repetitions".into(), format!("{}, after {} for warm-up", batch.plan.repetitions, batch.plan.warm_up)),
            ("seed".into(), batch.plan.seed.to_string()),
            ("concmon".into(), batch.concmon.clone()),
        ],
        blocks,
        data: document(batch, comparison),
    }
}

/// The systems that were asked for, as many as a title can hold.
fn systems(batch: &Batch) -> String {
    const MOST: usize = 4;
    let mut names: Vec<&str> = Vec::new();
    for cell in batch.plan.cells.iter().filter(|c| c.asked) {
        if !names.contains(&cell.spec.system.as_str()) {
            names.push(&cell.spec.system);
        }
    }
    match names.len() {
        0 => "nothing".into(),
        n if n > MOST => format!("{} and {} more", names[..MOST - 1].join(", "), n - (MOST - 1)),
        _ => names.join(", "),
    }
}

/// What the rows are sorted by, as bars; each system has a colour.
fn bars(comparison: &Comparison, sort: &Measure) -> Bars {
    let most = comparison.rows.iter().filter_map(|row| row.median(sort)).fold(0.0, f64::max);
    let (scale, unit) = drawn_in(sort.unit, most);
    let mut systems: Vec<&str> = Vec::new();
    let mut bars = Vec::new();
    for row in &comparison.rows {
        let system = row.spec.system.as_str();
        let known = systems.iter().position(|known| *known == system);
        let group = known.unwrap_or(systems.len());
        if known.is_none() {
            systems.push(system);
        }
        bars.extend(row.spread(sort).map(|s| Bar {
            label: row.label.clone(),
            value: s.median * scale,
            text: show(s.median, sort.unit),
            spread: Some((s.min * scale, s.max * scale)),
            reference: None,
            group,
        }));
    }
    let better = if sort.better == Better::Lower { "lower is better" } else { "higher is better" };
    Bars { title: format!("{} ({better})", sort.title), axis: format!("{}{unit}", sort.title), bars, ..Bars::default() }
}

/// What values up to `most` are multiplied with to be drawn, and the unit that makes of it, as it stands behind a title.
fn drawn_in(unit: Unit, most: f64) -> (f64, &'static str) {
    match unit {
        Unit::Ns if most >= 2e9 => (1e-9, ", s"),
        Unit::Ns if most >= 2e6 => (1e-6, ", ms"),
        Unit::Ns if most >= 2e3 => (1e-3, ", us"),
        Unit::Ns => (1.0, ", ns"),
        Unit::Bytes if most >= 2e9 => (1.0 / 1_073_741_824.0, ", GiB"),
        Unit::Bytes if most >= 2e6 => (1.0 / 1_048_576.0, ", MiB"),
        Unit::Bytes => (1.0 / 1024.0, ", KiB"),
        Unit::PerSecond => (1.0, " (per second)"),
        Unit::Count | Unit::Ratio => (1.0, ""),
    }
}

fn table(comparison: &Comparison) -> Table {
    let columns = columns(comparison, &COLUMNS);
    let head = [("".to_owned(), false)].into_iter().chain(columns.iter().map(|c| (c.title.to_owned(), true)));
    let row = |row: &super::Row| {
        let cells = columns.iter().map(|c| match row.figure(c) {
            Some(figure) => match &figure.spread {
                Some(s) => {
                    let mark = if figure.mark == Mark::None { page::Mark::None } else { page::Mark::Good };
                    Cell::marked(with_spread(s, c.unit, "±"), mark)
                }
                None => Cell::marked("-", page::Mark::Dim),
            },
            None => Cell::default(),
        });
        [Cell::from(row.label.clone())].into_iter().chain(cells).collect()
    };
    Table { head: head.collect(), rows: comparison.rows.iter().map(row).collect() }
}
