//! Draws the command palette: the input line and the matching entries.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::App;
use crate::app::palette::{Entry, Palette};
use crate::text::{Charset, truncate};

use super::geometry::{centered, frame, inside, scroll_of};
use super::pen::Pen;
use super::theme::Theme;
use super::typed;

/// Entries that are seen at once, where there is room.
const ENTRIES: u16 = 18;
const KEYS: u16 = 15;
const TITLE: u16 = 24;

/// The whole dialog. Its height does not depend on what fits, so that nothing jumps while the user types.
pub fn area(area: Rect) -> Rect {
    centered(area, 112, (ENTRIES + 5).min(area.height.saturating_sub(2)))
}

/// The entries' part of it.
pub fn list(area: Rect) -> Rect {
    let body = inside(self::area(area));
    Rect { y: body.y + 2.min(body.height), height: body.height.saturating_sub(3), ..body }
}

/// Draws the palette.
pub fn draw(app: &App, palette: &Palette, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
    let charset = Charset::from_unicode(app.options.unicode);
    let body = frame(app, "Do", theme, area(screen), buffer);
    let mut pen = Pen::new(buffer, body, 0);
    pen.put(" :", theme.accent);
    let room = pen.left().saturating_sub(1);
    typed::draw(&mut pen, &palette.line, None, room, charset, theme);
    let list = list(screen);
    let scroll = scroll_of(palette.cursor, list.height);
    for (line, (index, entry)) in (0..list.height).zip(palette.entries.iter().enumerate().skip(scroll)) {
        draw_entry(entry, index == palette.cursor, theme, charset, Pen::new(buffer, list, line));
    }
    if palette.entries.is_empty() {
        Pen::new(buffer, list, 0).put("  no match", theme.warn);
    }
    let foot = Rect { y: body.bottom().saturating_sub(1), height: 1, ..body };
    let mut pen = Pen::new(buffer, foot, 0);
    match &palette.error {
        Some(why) => pen.put(" ", theme.bad).put(&truncate(why, usize::from(body.width) - 2, charset), theme.bad),
        None => pen
            .put(" Enter", theme.key)
            .put(" run   ", theme.dim)
            .put("Tab", theme.key)
            .put(" complete   ", theme.dim)
            .put("Esc", theme.key)
            .put(" leave", theme.dim),
    };
}

fn draw_entry(entry: &Entry, chosen: bool, theme: &Theme, charset: Charset, mut pen: Pen<'_>) {
    let over = |style: Style| if chosen { theme.selected } else { style };
    let (name, rest) = if entry.off.is_some() { (theme.dim, theme.dim) } else { (theme.strong, theme.text) };
    let start = pen.x();
    pen.put(if chosen { ">" } else { " " }, over(theme.accent));
    for (at, c) in (0u32..).zip(entry.title.chars()) {
        let style = if entry.marks.contains(&at) && entry.off.is_none() { theme.accent } else { name };
        pen.put(c.encode_utf8(&mut [0; 4]), over(style));
    }
    blanks(&mut pen, start + 1 + TITLE, over(rest));
    pen.put(" ", over(rest)).put(&truncate(&entry.keys, usize::from(KEYS), charset), over(theme.key));
    blanks(&mut pen, start + 2 + TITLE + KEYS, over(rest));
    let help = entry.off.as_deref().unwrap_or(&entry.help);
    let room = usize::from(pen.left()).saturating_sub(2);
    pen.put(" ", over(rest)).put(&truncate(help, room, charset), over(rest));
    if chosen {
        pen.fill(" ", theme.selected);
    }
}

/// Blanks up to a column, so that a chosen line is one bar.
fn blanks(pen: &mut Pen<'_>, to: u16, style: Style) {
    while pen.x() < to && pen.left() > 0 {
        pen.put(" ", style);
    }
}
