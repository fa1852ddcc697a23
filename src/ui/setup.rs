//! Draws the set-up screen over the table, below the header, which shows each change at once.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};

use crate::app::App;
use crate::app::setup::{CHOICES, Page, Setup};
use crate::config::Setting;
use crate::text::{Charset, truncate};

use super::layout::Layout;
use super::pen::Pen;
use super::theme::Theme;

fn body(app: &App, area: Rect) -> Rect {
    let top = Layout::new(app, area).header.bottom();
    Rect { y: top, height: area.bottom().saturating_sub(top), ..area }
}

/// The lines of the page, for the mouse as well: where they are, and the first that is shown.
#[must_use]
pub fn list(app: &App, setup: &Setup, area: Rect) -> (Rect, usize) {
    let body = body(app, area);
    let list = Rect { y: body.y + 2.min(body.height), height: body.height.saturating_sub(6), ..body };
    (list, (setup.cursor + 1).saturating_sub(usize::from(list.height)))
}

/// Draws the open screen.
pub fn draw(app: &App, setup: &Setup, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let body = body(app, area);
    Clear.render(body, buffer);
    let mut pen = Pen::new(buffer, body, 0);
    pen.put(" Set-up ", theme.accent);
    for (page, digit) in Page::ALL.into_iter().zip(1..) {
        let style = if page == setup.page { theme.selected } else { theme.dim };
        pen.put(&format!(" {digit}"), theme.key).put(page.title(), style);
    }
    if !setup.changed.is_empty() {
        pen.put("   changed, not saved", theme.warn);
    }
    let (list, first) = list(app, setup, area);
    for (line, at) in (0..list.height).zip(first..setup.len()) {
        entry(app, setup, at, theme, list, line, buffer);
    }
    help(app, setup, theme, body, buffer);
    let foot = Rect { y: body.bottom().saturating_sub(1), height: body.height.min(1), ..body };
    let mut pen = Pen::new(buffer, foot, 0);
    let keys: &[(&str, &str)] = match setup.page {
        Page::Columns => &[("Space", "show or hide"), ("] [", "move it down, up"), ("Tab", "meters")],
        Page::Meters => &[("Space", "left, right, off"), ("] [", "move it down, up"), ("Tab", "display")],
        Page::Display => &[("Right Left", "change"), ("Tab", "columns")],
    };
    for (key, what) in keys.iter().chain(&[("s", "save"), ("Esc", "back")]) {
        pen.put(" ", theme.dim).put(key, theme.key).put(&format!(" {what} "), theme.dim);
    }
}

fn entry(app: &App, setup: &Setup, at: usize, theme: &Theme, list: Rect, line: u16, buffer: &mut Buffer) {
    let chosen = at == setup.cursor;
    let style = if chosen { theme.selected } else { theme.text };
    let mut pen = Pen::new(buffer, list, line);
    match setup.page {
        Page::Columns => {
            let Some((column, shown)) = setup.columns.get(at) else { return };
            let tick = match (shown, app.options.unicode) {
                (true, true) => " ✔ ",
                (true, false) => " x ",
                (false, _) => "   ",
            };
            let quiet = if chosen { style } else { theme.dim };
            pen.put(tick, if chosen { style } else { theme.good }).put(&format!("{:20} ", column.id), style);
            pen.put(&format!("{:10}", column.title), quiet);
            let left = usize::from(pen.left().saturating_sub(1));
            pen.put(&truncate(column.description, left, Charset::from_unicode(app.options.unicode)), quiet);
        }
        Page::Meters => {
            let Some((shown, side)) = setup.meters.get(at) else { return };
            let quiet = if chosen { style } else { theme.dim };
            pen.put(&format!("   {:6} ", side.title()), if chosen { style } else { theme.good });
            pen.put(&format!("{:20} ", shown.word()), style);
            let left = usize::from(pen.left().saturating_sub(1));
            pen.put(&truncate(shown.meter.help, left, Charset::from_unicode(app.options.unicode)), quiet);
        }
        Page::Display => {
            let Some(choice) = CHOICES.get(at) else { return };
            pen.put(&format!("   {:20} ", choice.title), style)
                .put(&said(&(choice.value)(&app.options)), if chosen { style } else { theme.strong });
        }
    }
    if chosen {
        pen.fill(" ", style);
    }
}

/// A value as a person reads it.
fn said(setting: &Setting) -> String {
    match setting {
        Setting::Text(text) => text.clone(),
        Setting::Texts(texts) => texts.join(", "),
        Setting::Flag(true) => "yes".into(),
        Setting::Flag(false) => "no".into(),
        Setting::Number(number) => number.to_string(),
    }
}

/// What the entry under the cursor means, on the two lines above the keys.
fn help(app: &App, setup: &Setup, theme: &Theme, body: Rect, buffer: &mut Buffer) {
    let text = match setup.page {
        Page::Columns => setup.columns.get(setup.cursor).map(|(column, _)| {
            let unit = if column.unit.is_empty() { String::new() } else { format!(" Unit: {}.", column.unit) };
            format!("{}{unit} From {}.", column.description, column.source)
        }),
        Page::Meters => {
            setup.meters.get(setup.cursor).map(|(shown, _)| format!("{} From {}.", shown.meter.help, shown.meter.source))
        }
        Page::Display => CHOICES.get(setup.cursor).map(|choice| format!("{} Config key: {}.", choice.help, choice.key)),
    };
    let lines = super::words::wrap(&text.unwrap_or_default(), usize::from(body.width.saturating_sub(2)));
    let at = Rect { y: body.bottom().saturating_sub(4), height: 2.min(body.height), ..body };
    for (line, text) in (0..2).zip(&lines) {
        Pen::new(buffer, at, line).put(" ", theme.dim).put(text, theme.dim);
    }
    if let Some((notice, _)) = &app.notice {
        let at = Rect { y: body.bottom().saturating_sub(2), height: 1.min(body.height), ..body };
        let text = crate::text::sanitize_str(&notice.text, Charset::from_unicode(app.options.unicode));
        Pen::new(buffer, at, 0).put(" ", theme.strong).put(&text, theme.strong);
    }
}
