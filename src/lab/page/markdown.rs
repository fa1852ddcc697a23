//! Writes a page as Markdown: tables and sentences; charts become tables of their values.

use std::fmt::Write as _;

use super::{Bars, Block, Cell, Lines, Mark, Page, Table, clean};

/// The page as GitHub-flavoured Markdown.
#[must_use]
pub fn markdown(page: &Page) -> String {
    let page = &clean::page(page);
    let mut out = format!("# {}\n", escape(&page.title));
    for paragraph in &page.lead {
        let _ = write!(out, "\n{}\n", escape(paragraph));
    }
    if !page.facts.is_empty() {
        out.push('\n');
    }
    for (name, value) in &page.facts {
        let _ = writeln!(out, "- {}: {}", escape(name), escape(value));
    }
    for block in &page.blocks {
        out.push('\n');
        match block {
            Block::Heading(text) => drop(writeln!(out, "## {}", escape(text))),
            Block::Text(text) => drop(writeln!(out, "{}", escape(text))),
            Block::Table(table) => self::table(&mut out, table),
            Block::Bars(bars) => self::bars(&mut out, bars),
            Block::Lines(lines) => self::lines(&mut out, lines),
        }
    }
    out
}

fn table(out: &mut String, table: &Table) {
    let titles: Vec<String> = table.head.iter().map(|(title, _)| escape(title)).collect();
    let rules: Vec<&str> = table.head.iter().map(|(_, number)| if *number { "---:" } else { "---" }).collect();
    let _ = writeln!(out, "| {} |\n| {} |", titles.join(" | "), rules.join(" | "));
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(cell).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
}

/// What is as hoped, or the best, stands out as it does on a page.
fn cell(cell: &Cell) -> String {
    let text = escape(&cell.text);
    if cell.mark == Mark::Good && !text.is_empty() { format!("**{text}**") } else { text }
}

fn bars(out: &mut String, bars: &Bars) {
    let mut head =
        vec![(bars.title.clone(), false), ("median".into(), true), ("smallest".into(), true), ("largest".into(), true)];
    if !bars.reference.is_empty() {
        head.push((bars.reference.clone(), true));
    }
    let width = head.len();
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
    let row = |b: &super::Bar| {
        let (low, high) = b.spread.unzip();
        let cells = [b.label.clone(), number(Some(b.value)), number(low), number(high), number(b.reference)];
        cells.into_iter().take(width).map(Into::into).collect()
    };
    table(out, &Table { head, rows: bars.bars.iter().map(row).collect() });
}

fn lines(out: &mut String, lines: &Lines) {
    let head = vec![(lines.title.clone(), false), (lines.axes.0.clone(), true), (lines.axes.1.clone(), true)];
    let rows = lines.series.iter().flat_map(|(name, points)| {
        points.iter().map(move |(x, y)| vec![name.as_str().into(), format!("{x}").into(), format!("{y:.3}").into()])
    });
    table(out, &Table { head, rows: rows.collect() });
}

/// Text that means nothing to Markdown; it is on one line already.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '~' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}
