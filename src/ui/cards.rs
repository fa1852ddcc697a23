//! The cards of the lab's runs, above the table: what appeared and what it cost.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{App, Card, CostBar, Fact};
use crate::text::{Charset, sanitize_str, truncate, width};

use super::pen::{Pen, dot};
use super::theme::Theme;

/// Most runs that have a line; the newest has more than one.
const RUNS_MOST: usize = 3;
/// Cells of the longest bar, on a narrow screen and where there is room.
const BARS: [u16; 2] = [5, 14];
/// From this width on there is room.
const WIDE: u16 = 110;
/// What is next to the first bar until there are others.
const MORE: &str = "   others are measured when the work is done";

/// Lines of the cards on a screen of that size.
pub fn height(app: &App, area: Rect) -> u16 {
    let cards = app.cards();
    let Some(newest) = cards.first() else { return 0 };
    let others = u16::try_from(cards.len().min(RUNS_MOST) - 1).unwrap_or(0);
    match area.height {
        0..=9 => 0,
        10..=15 => 1,
        _ => others + 2 + u16::from(!newest.story.is_empty()) + u16::from(!newest.verdict.is_empty()),
    }
}

/// Draws as many of their lines as `area` has.
pub fn draw(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let cards = app.cards();
    let mut line = 0;
    for (nth, card) in cards.iter().take(RUNS_MOST).enumerate() {
        facts(app, card, theme, area, line, buffer);
        line += 1;
        if nth > 0 {
            continue;
        }
        if !card.verdict.is_empty() {
            edge(app, card, theme, area, line, buffer).put(&card.verdict, theme.good);
            line += 1;
        }
        if !card.story.is_empty() {
            let charset = Charset::from_unicode(app.options.unicode);
            let story = sanitize_str(&card.story, charset).into_owned();
            let mut pen = edge(app, card, theme, area, line, buffer);
            let room = usize::from(pen.left());
            pen.put(&truncate(&story, room, charset), theme.bad);
            line += 1;
        }
        costs(app, card, theme, area, line, buffer);
        line += 1;
    }
}

/// The keys of the newest card, at the right end of its last line.
const KEYS: [(&str, &str); 3] = [("R", "keep"), ("V", "timeline"), ("X", "end")];

/// What a click on the cards means: one of their keys, or the card.
#[must_use]
pub fn hit(app: &App, area: Rect, x: u16, y: u16) -> Option<Hit> {
    if !area.contains((x, y).into()) {
        return None;
    }
    let cards = app.cards();
    let newest = cards.first()?;
    let own = 2 + u16::from(!newest.story.is_empty()) + u16::from(!newest.verdict.is_empty());
    let line = y - area.y;
    if line + 1 == own.min(area.height) && own > 1 {
        let mut left = area.right().saturating_sub(keys_cells());
        for (key, what) in KEYS {
            let cells = key_cells(key, what);
            if (left..left + cells).contains(&x) {
                return key.chars().next().map(Hit::Key);
            }
            left += cells;
        }
    }
    // The newest has its first line above those of the others.
    let nth = if line < own { 0 } else { usize::from(line - own) + 1 };
    (nth < cards.len()).then_some(Hit::Card(nth))
}

/// See [`hit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    /// A key that is named there.
    Key(char),
    /// The card, by index from the newest.
    Card(usize),
}

fn key_cells(key: &str, what: &str) -> u16 {
    u16::try_from(key.len() + what.len() + 3).unwrap_or(0)
}

fn keys_cells() -> u16 {
    KEYS.iter().map(|(key, what)| key_cells(key, what)).sum()
}

/// Begins a line of a card.
fn edge<'b>(app: &App, card: &Card, theme: &Theme, area: Rect, line: u16, buffer: &'b mut Buffer) -> Pen<'b> {
    let mut pen = Pen::new(buffer, area, line);
    pen.put(if app.options.unicode { "▌" } else { "|" }, theme.run(card.id.0)).put(" ", theme.text);
    pen
}

/// Facts from the left as far as there is room, the time left at the right.
fn facts(app: &App, card: &Card, theme: &Theme, area: Rect, line: u16, buffer: &mut Buffer) {
    let mut pen = edge(app, card, theme, area, line, buffer);
    let divider = format!(" {} ", dot(app.options.unicode));
    let left = u16::try_from(width(&card.left)).unwrap_or(0) + 1;
    let end = area.right().saturating_sub(left);
    for (nth, fact) in fitting(&card.facts, usize::from(end.saturating_sub(pen.x())), width(&divider)).iter().enumerate() {
        if nth > 0 {
            pen.put(&divider, theme.dim);
        }
        let fact = sanitize_str(fact, Charset::from_unicode(app.options.unicode));
        pen.put(&fact, if nth == 0 { theme.run(card.id.0) } else { theme.text });
    }
    pen.to(end).put(&card.left, theme.strong);
}

/// The facts that fit: where not all do, those with the highest rank are put in fewer words, or left out.
fn fitting(facts: &[Fact], room: usize, divider: usize) -> Vec<String> {
    let mut facts = facts.to_vec();
    while facts.iter().map(|fact| width(&fact.text) + divider).sum::<usize>() > room {
        let Some((at, _)) = facts.iter().enumerate().max_by_key(|(_, fact)| fact.rank) else { break };
        match facts[at].brief.take() {
            Some((rank, brief)) => facts[at] = Fact::new(rank, brief),
            None => drop(facts.remove(at)),
        }
    }
    facts.into_iter().map(|fact| fact.text).collect()
}

/// What one worker costs here and elsewhere, as bars on a logarithmic scale, and the keys of the card.
fn costs(app: &App, card: &Card, theme: &Theme, area: Rect, line: u16, buffer: &mut Buffer) {
    let mut pen = edge(app, card, theme, area, line, buffer);
    let end = area.right().saturating_sub(keys_cells());
    pen.put(if card.bars.is_empty() { "one worker costs: not known yet" } else { "one worker costs" }, theme.dim);
    let (least, most) = card.bars.iter().fold((f64::MAX, 0.0_f64), |(a, b), bar| (a.min(bar.ns), b.max(bar.ns)));
    let longest = BARS[usize::from(area.width >= WIDE)];
    let cells =
        |bar: &CostBar| usize::from(bar_cells(bar, least, most, longest)) + width(&bar.name) + width(&latency(bar.ns)) + 4;
    // Those with the lowest rank have a place; they are drawn by cost.
    let mut ranked: Vec<&CostBar> = card.bars.iter().collect();
    ranked.sort_by_key(|bar| bar.rank);
    let mut room = usize::from(end.saturating_sub(pen.x()));
    ranked.retain(|bar| {
        let fits = cells(bar) < room;
        room -= if fits { cells(bar) } else { 0 };
        fits
    });
    for bar in card.bars.iter().filter(|bar| ranked.iter().any(|shown| shown.rank == bar.rank)) {
        let style = if bar.own { theme.strong } else { theme.dim };
        let block = if app.options.unicode { "▇" } else { "=" };
        pen.put("  ", theme.text).put(&bar.name, style).put(" ", theme.text);
        pen.put(
            &block.repeat(usize::from(bar_cells(bar, least, most, longest))),
            if bar.own { theme.accent } else { theme.cool },
        );
        pen.put(" ", theme.text).put(&latency(bar.ns), style);
    }
    if card.more_bars && card.bars.len() == 1 && room > MORE.len() {
        pen.put(MORE, theme.dim);
    }
    pen.to(end);
    for (key, what) in KEYS {
        pen.put(" ", theme.text).put(key, theme.key).put(" ", theme.text).put(what, theme.dim).put(" ", theme.text);
    }
}

/// Length of a bar: one cell for the cheapest, more by the logarithm of the ratio.
fn bar_cells(bar: &CostBar, least: f64, most: f64, longest: u16) -> u16 {
    if most <= least || least <= 0.0 {
        return 1;
    }
    let share = (bar.ns / least).ln() / (most / least).ln();
    1 + (share * f64::from(longest - 1)).round() as u16
}

fn latency(ns: f64) -> String {
    crate::columns::latency_text(ns.max(0.0) as u64)
}
