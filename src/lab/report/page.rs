//! A comparison as a page to send to a colleague.

use crate::lab::measure::{Batch, Better, MEASURES, measure};
use crate::lab::page::{self, Bar, Bars, Block, Cell, Lines, Page, Table};

use super::curves::{curves, swept};
use super::rows::{Comparison, Mark};
use super::{document, with_spread};

/// Measures of the page's table.
const COLUMNS: [&str; 8] =
    ["creation", "first_task", "wall", "cpu", "speed_up", "worker_pss", "voluntary_switches", "minor_faults"];

/// The page of a comparison.
#[must_use]
pub fn page(batch: &Batch, comparison: &Comparison) -> Page {
    let mut blocks = Vec::new();
    if let Some(sort) = measure(comparison.sorted_by) {
        let to_ms = if sort.id.ends_with("_ns") { 1e-6 } else { 1.0 };
        let bars = comparison.rows.iter().filter_map(|row| {
            let s = row.spread(sort)?;
            Some(Bar {
                label: row.label.clone(),
                value: s.median * to_ms,
                spread: Some((s.min * to_ms, s.max * to_ms)),
                reference: None,
            })
        });
        let unit = if to_ms < 1.0 { ", ms" } else { "" };
        let better = if sort.better == Better::Lower { "less is better" } else { "more is better" };
        blocks.push(Block::Bars(Bars {
            title: format!("{}{unit} ({better})", sort.title),
            bars: bars.collect(),
            ..Bars::default()
        }));
    }
    for of in swept(batch) {
        let Some(found) = curves(batch, comparison, of) else { continue };
        let to_ms = if of.id.ends_with("_ns") { 1e-6 } else { 1.0 };
        let series = found.series.iter().map(|s| (s.label.clone(), s.points.iter().map(|p| (p.0, p.1.median * to_ms)).collect()));
        let unit = if to_ms < 1.0 { format!("{}, ms", of.title) } else { of.title.to_owned() };
        blocks.push(Block::Lines(Lines {
            title: format!("{} over {}", of.title, found.axis.title()),
            axes: (found.axis.title().to_owned(), unit),
            series: series.collect(),
        }));
    }
    blocks.push(Block::Heading("Figures".into()));
    blocks.push(Block::Text("The median, and after the sign half the distance of the quartiles. Green is the best of its column, and what cannot be told from it.".into()));
    blocks.push(Block::Table(table(comparison)));
    blocks.extend(super::advice_lines(comparison).into_iter().map(|line| Block::Text(format!("{line}."))));
    let host = &batch.host;
    let langs: std::collections::BTreeSet<&str> = comparison.rows.iter().filter_map(|r| r.lang.as_deref()).collect();
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".into());
    Page {
        title: "What it costs".into(),
        lead: comparison.finding.iter().cloned().chain([format!("{}.", comparison.title)]).collect(),
        facts: vec![
            ("machine".into(), format!("{} ({})", known(&host.cpu_model), known(&host.architecture))),
            ("CPUs".into(), host.cpus.map_or_else(|| "unknown".into(), |n| n.to_string())),
            ("kernel".into(), known(&host.kernel)),
            ("ran on".into(), langs.into_iter().collect::<Vec<_>>().join(", ")),
            ("repetitions".into(), format!("{}, after {} to warm up", batch.plan.repetitions, batch.plan.warm_up)),
            ("seed".into(), batch.plan.seed.to_string()),
            ("concmon".into(), batch.concmon.clone()),
        ],
        blocks,
        data: document(batch, comparison),
    }
}

fn table(comparison: &Comparison) -> Table {
    let columns: Vec<_> = COLUMNS.iter().filter_map(|name| measure(name)).collect();
    debug_assert!(columns.len() == COLUMNS.len() && columns.iter().all(|c| MEASURES.iter().any(|m| m.id == c.id)));
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
