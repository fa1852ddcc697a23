//! Prints a comparison on a terminal: bars with spread, figures, curves, finding and warnings.

use crate::lab::measure::{Batch, Measure};
use crate::lab::report::{self, Comparison, Mark, Row, advice_lines, bar, curves, show, swept};
use crate::text;
use crate::ui::plot;

/// Columns beside the one with bars.
const COLUMNS: [&str; 5] = ["creation", "wall", "cpu", "speed_up", "worker_pss"];
/// Height of a plot without its legend.
const PLOT_LINES: u16 = 16;

/// The table, and everything else there is to say.
pub(super) fn text(batch: &Batch, comparison: &Comparison, sort: &'static Measure, width: usize) -> String {
    let mut lines = vec![comparison.title.clone(), String::new()];
    lines.extend(table(comparison, sort, width));
    let best = comparison.rows.iter().flat_map(|r| &r.figures).any(|f| f.mark == Mark::AsGood);
    let as_good = if best { ", ~ no significant difference" } else { "" };
    lines.push(String::new());
    lines.push(format!("Medians; ± is half the interquartile range, shaded in the bar. * best{as_good}."));
    for of in swept(batch) {
        if let Some(plot) = curves(batch, comparison, of).and_then(|c| c.plot()) {
            lines.push(String::new());
            let width = u16::try_from(width.min(110)).unwrap_or(110);
            lines.extend(plot::lines(&plot, width, PLOT_LINES));
        }
    }
    let advice = advice_lines(comparison);
    if !advice.is_empty() {
        lines.push(String::new());
    }
    lines.extend(advice.iter().map(|line| format!("! {line}")));
    if let Some(finding) = &comparison.finding {
        lines.push(String::new());
        lines.push(finding.clone());
    }
    lines.join("\n")
}

fn marked(text: &str, mark: Mark) -> String {
    match mark {
        Mark::Best => format!("{text}*"),
        Mark::AsGood => format!("{text}~"),
        Mark::None => format!("{text} "),
    }
}

fn cell(row: &Row, of: &Measure) -> String {
    row.figure(of).and_then(|f| Some(marked(&show(f.spread?.median, of.unit), f.mark))).unwrap_or_else(|| "- ".into())
}

fn pad(text: &str, cells: usize) -> String {
    format!("{}{text}", " ".repeat(cells.saturating_sub(text::width(text))))
}

fn table(comparison: &Comparison, sort: &'static Measure, width: usize) -> Vec<String> {
    let columns: Vec<&Measure> = report::columns(comparison, &COLUMNS).into_iter().filter(|m| m.id != sort.id).collect();
    let figures: Vec<Vec<String>> = comparison.rows.iter().map(|r| columns.iter().map(|c| cell(r, c)).collect()).collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, c)| figures.iter().map(|f| text::width(&f[i])).chain([c.title.len() + 1]).max().unwrap_or(0) + 1)
        .collect();
    let label = comparison.rows.iter().map(|r| text::width(&r.label)).max().unwrap_or(0) + 1;
    let spread = |row: &Row| {
        let figure = row.figure(sort)?;
        let s = figure.spread?;
        Some(marked(&report::with_spread(&s, sort.unit, "±"), figure.mark))
    };
    let said: Vec<String> = comparison.rows.iter().map(|r| spread(r).unwrap_or_else(|| "unknown ".into())).collect();
    let value = said.iter().map(|s| text::width(s)).max().unwrap_or(0);
    let taken = label + value + 2 + widths.iter().sum::<usize>();
    let cells = width.saturating_sub(taken).clamp(8, 60);
    let full = comparison.rows.iter().filter_map(|r| r.spread(sort)).map(|s| s.q3).fold(0.0, f64::max);
    let titles: String = columns.iter().zip(&widths).map(|(c, w)| pad(&format!("{} ", c.title), *w)).collect();
    let mut lines = vec![format!("{:label$}{:<cells$} {}{titles}", "", sort.title, " ".repeat(value + 1))];
    for ((row, said), figures) in comparison.rows.iter().zip(&said).zip(&figures) {
        let drawn = row.spread(sort).map_or(String::new(), |s| bar(s, full, cells, true));
        let gap = " ".repeat(cells.saturating_sub(text::width(&drawn)));
        let figures: String = figures.iter().zip(&widths).map(|(f, w)| pad(f, *w)).collect();
        lines.push(format!("{:<label$}{drawn}{gap} {} {figures}", row.label, pad(said, value)));
    }
    lines.iter().map(|l| l.trim_end().to_owned()).collect()
}
