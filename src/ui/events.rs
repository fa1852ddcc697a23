//! The events screen, newest first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::app::events_log::{kind, more, task};
use crate::snapshot::{EventKind, EventTier, ExitStatus};
use crate::text::{self, Charset};

use super::pen::Pen;
use super::theme::Theme;
use super::words::wrap;

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
const HEADS: [(&str, u16, bool); 5] =
    [("AGE", 12, true), ("EVENT", 7, false), ("TID", 8, true), ("NAME", 16, false), ("BY, OR HOW IT ENDED", 0, false)];

fn heads(theme: &Theme, line: Rect, buffer: &mut Buffer) {
    buffer.set_style(line, theme.head);
    let mut pen = Pen::new(buffer, line, 0);
    pen.skip(1);
    for (title, cells, right) in HEADS {
        let next = pen.x() + cells + 1;
        if right {
            pen.put_right(title, cells, theme.head);
        } else {
            pen.put(title, theme.head);
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
    heads(theme, Rect { y: area.y + first, height: 1, ..area }.intersection(area), buffer);
    first += 1;
    if app.events.newest_first().next().is_none() {
        let why = if app.events.is_empty() { " no events yet" } else { " no event contains this" };
        Pen::new(buffer, area, first + 1).put(why, theme.dim);
    }
    let at = app.events.at();
    let top = app.events.top(at, app.events.page);
    let charset = Charset::from_unicode(app.options.unicode);
    for ((line, index), entry) in (first..area.height).zip(top..).zip(app.events.newest_first().skip(top)) {
        let mut pen = Pen::new(buffer, area, line);
        let age = model.now.taken_ns.saturating_sub(entry.event.at_ns) as f64 / 1e9;
        let style = match entry.event.kind {
            EventKind::Fork { .. } => theme.good,
            EventKind::Exec { .. } => theme.cool,
            EventKind::Exit { status: ExitStatus::Code(0), .. } | EventKind::Comm { .. } => theme.dim,
            EventKind::Exit { .. } => theme.bad,
        };
        let [(_, ages, _), (_, events, _), (_, tids, _), (_, names, _), _] = HEADS;
        pen.skip(1).put_right(&format!("{age:.3} s"), ages, theme.dim).skip(1);
        let next = pen.x() + events + 1;
        pen.put(kind(entry), style).to(next).put_right(&task(entry).to_string(), tids, theme.text).skip(1);
        let next = pen.x() + names + 1;
        pen.put(&text::fit(entry.name.as_bytes(), usize::from(names), charset), theme.strong).to(next);
        let room = usize::from(pen.left());
        pen.put(&text::truncate(&more(entry, charset), room, charset), style);
        if index == at {
            Pen::new(buffer, area, line).put(">", theme.accent);
            theme.mark_selected(Rect { y: area.y + line, height: 1, ..area }, buffer);
        }
    }
}
