//! The events screen, newest first.

mod sums;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::app::event_sums::Sums;
use crate::app::events_log::{Entry, kind, more, task};
use crate::columns::wall_clock;
use crate::derive::Model;
use crate::snapshot::{EventKind, EventTier, ExitStatus};
use crate::text::{self, Charset};

use super::pen::Pen;
use super::theme::Theme;
use super::words::wrap;

/// From this width on there is room for sums beside the list.
const WITH_SUMS: u16 = 136;
/// Cells of the list then, and of the sums at most.
const LIST: u16 = 92;
const SUMS: u16 = 100;
/// From this width of the list on it has the time of day too.
const WITH_TIME: u16 = 110;

/// The part of the screen that the list has, and that of the sums beside it; empty where there is no room.
fn parts(area: Rect) -> (Rect, Rect) {
    let sums = if area.width >= WITH_SUMS { (area.width - LIST).min(SUMS) } else { 0 };
    let list = Rect { width: area.width - sums, ..area };
    (list, Rect { x: list.right(), width: sums, ..area })
}

/// How events are learnt and how many there are, in as many lines as that takes; and whether that is the lesser way.
fn head(app: &App, width: u16) -> (Vec<String>, bool) {
    let Some(model) = app.model.as_deref() else { return (Vec::new(), false) };
    let report = &model.now.report;
    let (how, lesser) = match &report.events {
        EventTier::Connector => ("every birth, exec and exit, from the kernel".to_owned(), false),
        EventTier::Polling(why) => {
            let why = text::sanitize_str(why, Charset::from_unicode(app.options.unicode));
            (format!("by comparing samples; short-lived processes are missed: {why}"), true)
        }
    };
    let words = format!("{how}. {} kept, {} lost", app.events.len(), report.events_lost);
    (wrap(&words, usize::from(width.saturating_sub(2))), lesser)
}

/// Events that have room: not the lines above them, nor those of the filter and the column heads.
#[must_use]
pub fn room(app: &App, area: Rect) -> usize {
    let filter = usize::from(app.events.filter.is_some());
    usize::from(area.height).saturating_sub(head(app, area.width).0.len() + filter + 1)
}

/// Column heads, each with its cells and whether its values stand at the right.
const HEADS: [(&str, u16, bool); 6] = [
    ("AGE", 12, true),
    ("TIME", 8, false),
    ("EVENT", 7, false),
    ("TID", 8, true),
    ("NAME", 16, false),
    ("BY, OR HOW IT ENDED", 0, false),
];

/// The columns in so many cells: where there is little room, without the time of day.
fn columns(width: u16) -> impl Iterator<Item = (&'static str, u16, bool)> {
    HEADS.into_iter().filter(move |(title, ..)| *title != "TIME" || width >= WITH_TIME)
}

fn heads(theme: &Theme, line: Rect, buffer: &mut Buffer) {
    buffer.set_style(line, theme.head);
    let mut pen = Pen::new(buffer, line, 0);
    pen.skip(1);
    for (title, cells, right) in columns(line.width) {
        let next = pen.x() + cells + 1;
        if right {
            pen.put_right(title, cells, theme.head);
        } else {
            pen.put(title, theme.head);
        }
        pen.to(next);
    }
}

/// One event.
fn line(app: &App, entry: &Entry, model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let charset = Charset::from_unicode(app.options.unicode);
    let style = match entry.event.kind {
        EventKind::Fork { .. } => theme.good,
        EventKind::Exec { .. } => theme.cool,
        EventKind::Exit { status: ExitStatus::Code(0) | ExitStatus::Unknown, .. } | EventKind::Comm { .. } => theme.dim,
        EventKind::Exit { .. } => theme.bad,
    };
    let mut pen = Pen::new(buffer, area, 0);
    pen.skip(1);
    for (title, cells, right) in columns(area.width) {
        let next = pen.x() + cells + 1;
        let (words, style) = match title {
            "AGE" => {
                let age = model.now.taken_ns.saturating_sub(entry.event.at_ns) as f64 / 1e9;
                (format!("{age:.3} s"), theme.dim)
            }
            "TIME" => {
                let time = wall_clock(&model.now.system, entry.event.at_ns);
                (time.and_then(|time| Some(time.split_once(' ')?.1.to_owned())).unwrap_or_default(), theme.dim)
            }
            "EVENT" => (kind(entry).to_owned(), style),
            "TID" => (task(entry).to_string(), theme.text),
            "NAME" if entry.name.as_bytes().is_empty() => ("-".to_owned(), theme.dim),
            "NAME" => (text::fit(entry.name.as_bytes(), usize::from(cells), charset).into_owned(), theme.strong),
            _ => (text::truncate(&more(entry, charset), usize::from(pen.left()), charset).into_owned(), style),
        };
        if right {
            pen.put_right(&words, cells, style);
        } else {
            pen.put(&words, style);
        }
        pen.to(next);
    }
}

/// What narrows the events, and how many are left.
fn badge(app: &App, theme: &Theme, line: Rect, buffer: &mut Buffer) {
    let Some(filter) = &app.events.filter else { return };
    let text = text::sanitize_str(&filter.text(), Charset::from_unicode(app.options.unicode)).into_owned();
    let count = format!("  {} of {} events   Esc removes it", app.events.newest_first().count(), app.events.len());
    Pen::new(buffer, line, 0)
        .put(" FILTER ", theme.head_sorted)
        .put(" ", theme.text)
        .put(&text, theme.strong)
        .put(&count, theme.dim);
}

/// Draws it.
pub fn draw(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let Some(model) = app.model.as_deref() else { return };
    let (words, lesser) = head(app, area.width);
    let mut first = 0;
    for part in &words {
        Pen::new(buffer, area, first).skip(1).put(part, if lesser { theme.warn } else { theme.dim });
        first += 1;
    }
    if app.events.filter.is_some() {
        badge(app, theme, Rect { y: area.y + first, height: 1, ..area }.intersection(area), buffer);
        first += 1;
    }
    let (area, beside) = parts(area);
    let below = Rect { y: area.y + first, height: area.height.saturating_sub(first), ..area };
    if beside.width > 0 && !app.events.is_empty() {
        let place = Rect { x: beside.x + 2, width: beside.width.saturating_sub(3), y: below.y, height: below.height };
        sums::draw(app, &Sums::of(app.events.newest_first(), model.now.taken_ns), theme, place, buffer);
    }
    heads(theme, Rect { height: 1, ..below }.intersection(area), buffer);
    first += 1;
    if app.events.newest_first().next().is_none() {
        let why = if app.events.is_empty() { " no events yet" } else { " no event contains this" };
        Pen::new(buffer, area, first + 1).put(why, theme.dim);
    }
    let at = app.events.at();
    let top = app.events.top(at, app.events.page);
    for ((at_line, index), entry) in (first..area.height).zip(top..).zip(app.events.newest_first().skip(top)) {
        let place = Rect { y: area.y + at_line, height: 1, ..area };
        line(app, entry, model, theme, place, buffer);
        if index == at {
            Pen::new(buffer, place, 0).put(">", theme.accent);
            theme.mark_selected(place, buffer);
        }
    }
}
