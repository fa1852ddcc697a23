//! The events' screen: the newest first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::app::events_log::describe;
use crate::snapshot::{EventKind, EventTier, ExitStatus};
use crate::text::{self, Charset};

use super::pen::Pen;
use super::theme::Theme;

/// Draws it.
pub fn draw(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let Some(model) = app.model.as_deref() else { return };
    let mut pen = Pen::new(buffer, area, 0);
    match &model.now.report.events {
        EventTier::Connector => pen.put(" every birth, exec and death, as the kernel tells them, newest first", theme.dim),
        EventTier::Polling(why) => {
            let why = text::sanitize_str(why, Charset::from_unicode(app.options.unicode)).into_owned();
            pen.put(" by comparing samples: what lives between two is missed: ", theme.warn).put(&why, theme.dim)
        }
    };
    pen.put(&format!("   {} kept, {} lost", app.events.len(), model.now.report.events_lost), theme.dim);
    if app.events.is_empty() {
        Pen::new(buffer, area, 2).put(" nothing has happened yet", theme.dim);
    }
    let at = app.events.at();
    let top = app.events.top(at, usize::from(area.height.saturating_sub(1)));
    for ((line, index), entry) in (1..area.height).zip(top..).zip(app.events.newest_first().skip(top)) {
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
