//! Writes a page as one HTML file: no network, no scripts, light or dark as the reader's system is set, charts inside.

use maud::{DOCTYPE, Markup, PreEscaped, html as markup};

use serde_json::Value;

use super::chart::{self, Drawn};
use super::{Bars, Block, Cell, Mark, Page, Table, clean};
use crate::text::is_invisible;

const STYLE: &str = include_str!("../../../assets/report/page.css");

/// Nothing is loaded and nothing runs, even if a command name has markup.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The page as an HTML document.
#[must_use]
pub fn html(page: &Page) -> String {
    let data = data(&page.data);
    let page = &clean::page(page);
    let document = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="generator" content={ "concmon " (env!("CARGO_PKG_VERSION")) };
                title { (page.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (page.title) }
                    @for paragraph in &page.lead { p class="lead" { (paragraph) } }
                    (facts(page))
                    @for block in &page.blocks { (self::block(block)) }
                }
                (data)
            }
        }
    };
    document.into_string()
}

fn facts(page: &Page) -> Markup {
    markup! {
        @if !page.facts.is_empty() {
            dl class="facts" {
                @for (name, value) in &page.facts { div { dt { (name) } dd { (value) } } }
            }
        }
    }
}

fn block(block: &Block) -> Markup {
    match block {
        Block::Heading(text) => markup! { h2 { (text) } },
        Block::Text(text) => markup! { p { (text) } },
        Block::Table(table) => self::table(table),
        Block::Bars(bars) => figure(&bars.title, chart::bars(bars), &[], |drawn| bars_note(bars, drawn)),
        Block::Lines(lines) => {
            let keys: Vec<&str> = lines.series.iter().map(|(name, _)| name.as_str()).collect();
            figure(&lines.title, chart::lines(lines), &keys, lines_note)
        }
    }
}

fn table(table: &Table) -> Markup {
    let numeric = |i: usize| table.head.get(i).is_some_and(|(_, numeric)| *numeric);
    markup! {
        div class="wide" {
            table {
                thead { tr { @for (title, number) in &table.head { th class=[number.then_some("number")] { (title) } } } }
                tbody {
                    @for row in &table.rows {
                        tr {
                            @for (i, cell) in row.iter().enumerate() {
                                (self::cell(cell, numeric(i), table.head.get(i).map_or("", |(title, _)| title)))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Its title is said again where the page is too narrow for a table.
fn cell(cell: &Cell, numeric: bool, title: &str) -> Markup {
    let mark = match cell.mark {
        Mark::None => "",
        Mark::Good => "good word",
        Mark::Bad => "bad word",
        Mark::Dim => "dim",
    };
    let class = [if numeric { "number" } else { "" }, mark].join(" ");
    let class = class.trim();
    markup! { td class=[(!class.is_empty()).then_some(class)] data-label=(title) { (cell.text) } }
}

/// The drawing for a page with room and for a narrow one, and what is to be known of it. Who cannot see it reads the table beside it, so it
/// is named only.
fn figure(title: &str, drawn: Option<Drawn>, keys: &[&str], note: impl Fn(&Drawn) -> String) -> Markup {
    markup! {
        @match drawn {
            Some(drawn) => {
                figure {
                    p class="title" { (title) }
                    @if keys.len() > 1 { (self::keys(keys)) }
                    div class="roomy" role="img" aria-label=(title) { (PreEscaped(&drawn.wide)) }
                    div class="tight" role="img" aria-label=(title) { (PreEscaped(&drawn.narrow)) }
                    @let note = note(&drawn);
                    @if !note.is_empty() { figcaption { (note) } }
                }
            }
            None => p class="dim" { (title) ": there is nothing to draw." }
        }
    }
}

/// Which curve is whose.
fn keys(names: &[&str]) -> Markup {
    markup! {
        p class="keys" {
            @for (i, name) in names.iter().enumerate() {
                @let dashed = if i < chart::COLOURS { "" } else { " dashed" };
                span class={ "key s" (i % chart::COLOURS) (dashed) } { (name) }
                " "
            }
        }
    }
}

const LOGARITHMIC: &str = "The scale is logarithmic.";

fn bars_note(bars: &Bars, drawn: &Drawn) -> String {
    let dots = drawn.logarithmic && bars.base.is_none();
    let mut said = vec![if dots { "Dots are medians" } else { "Bars are medians" }.to_owned()];
    if bars.bars.iter().any(|b| b.spread.is_some()) {
        said[0] += ", thin lines show the range from smallest to largest";
    }
    said[0].push('.');
    if bars.bars.iter().any(|b| b.reference.is_some()) {
        said.push(format!("Crosses: {}.", bars.reference));
    }
    if drawn.logarithmic {
        said.push(LOGARITHMIC.to_owned());
    }
    said.join(" ")
}

fn lines_note(drawn: &Drawn) -> String {
    let scale = if drawn.logarithmic { format!(" {LOGARITHMIC}") } else { String::new() };
    format!("Points are medians.{scale}")
}

/// The raw data, for programs. As JSON allows, these are escaped: `<`, so that no string in it can end the element, and all that a
/// viewer of the source would not see or suffer from.
fn data(data: &Value) -> Markup {
    let json = data.to_string();
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '<' || c.is_control() || is_invisible(c) {
            text.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            text.push(c);
        }
    }
    markup! { script type="application/json" id="data" { (PreEscaped(text)) } }
}
