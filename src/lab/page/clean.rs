//! Sanitises every text of a page: a name, path or error of another process may hold line ends, escape sequences and changes of direction.
//! The data is JSON, whose writer escapes.

use super::{Bar, Bars, Block, Cell, Lines, Page, Table};
use crate::text::{Charset, sanitize_str};

/// A text as it may be shown.
pub(super) fn text(text: &str) -> String {
    sanitize_str(text, Charset::Unicode).into_owned()
}

/// The page as it may be shown. The data, which is not shown, is left out.
pub(super) fn page(page: &Page) -> Page {
    Page {
        title: text(&page.title),
        lead: page.lead.iter().map(|t| text(t)).collect(),
        facts: page.facts.iter().map(|(name, value)| (text(name), text(value))).collect(),
        blocks: page.blocks.iter().map(block).collect(),
        data: serde_json::Value::Null,
    }
}

fn block(block: &Block) -> Block {
    match block {
        Block::Heading(heading) => Block::Heading(text(heading)),
        Block::Text(paragraph) => Block::Text(text(paragraph)),
        Block::Table(table) => Block::Table(self::table(table)),
        Block::Bars(bars) => Block::Bars(self::bars(bars)),
        Block::Lines(lines) => Block::Lines(self::lines(lines)),
    }
}

fn table(table: &Table) -> Table {
    let row = |row: &Vec<Cell>| row.iter().map(|c| Cell { text: text(&c.text), mark: c.mark }).collect();
    Table {
        head: table.head.iter().map(|(title, number)| (text(title), *number)).collect(),
        rows: table.rows.iter().map(row).collect(),
    }
}

fn bars(bars: &Bars) -> Bars {
    Bars {
        title: text(&bars.title),
        axis: text(&bars.axis),
        bars: bars.bars.iter().map(|b| Bar { label: text(&b.label), text: text(&b.text), ..b.clone() }).collect(),
        base: bars.base,
        reference: text(&bars.reference),
    }
}

fn lines(lines: &Lines) -> Lines {
    Lines {
        title: text(&lines.title),
        axes: (text(&lines.axes.0), text(&lines.axes.1)),
        series: lines.series.iter().map(|(name, points)| (text(name), points.clone())).collect(),
    }
}
