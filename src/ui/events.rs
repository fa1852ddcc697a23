//! The events screen, newest first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::app::events_log::describe;
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

/// Events that have room.
#[must_use]
pub fn room(app: &App, area: Rect) -> usize {
    usize::from(area.height).saturating_sub(head(app, area.width).0.len())
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
    if app.events.is_empty() {
        Pen::new(buffer, area, first + 1).put(" no events yet", theme.dim);
    }
    let at = app.events.at();
    let top = app.events.top(at, app.events.page);
    for ((line, index), entry) in (first..area.height).zip(top..).zip(app.events.newest_first().skip(top)) {
        let mut pen = Pen::new(buffer, area, line);
        let age = model.now.taken_ns.saturating_sub(entry.event.at_ns) as f64 / 1e9;
        pen.put_right(&format!("{age:.3} s ago"), 16, theme.dim).put("  ", theme.text);
        let style = match entry.event.kind {
            EventKind::Fork { .. } => theme.good,
            EventKind::Exec { .. } => theme.cool,
            EventKind::Exit { status: ExitStatus::Code(0), .. } | EventKind::Comm { .. } => theme.dim,
            EventKind::Exit { .. } => theme.bad,
        };
        let words = describe(entry);
        pen.put(&words, style);
        let name =
            text::fit(entry.name.as_bytes(), usize::from(pen.left()), Charset::from_unicode(app.options.unicode)).into_owned();
        let column = pen.x().max(area.x + 60);
        pen.to(column).put("  ", theme.text).put(&name, theme.strong);
        if index == at {
            Pen::new(buffer, area, line).put(">", theme.accent);
            buffer.set_style(Rect { y: area.y + line, height: 1, ..area }, theme.selected);
        }
    }
}
