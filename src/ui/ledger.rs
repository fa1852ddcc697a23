//! Draws the copy-on-write ledger over the table, below the header.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Clear, Widget};

use crate::app::App;
use crate::app::ledger::{ChildLine, LedgerPane, MappingLine};
use crate::columns::in_bytes;
use crate::text::{Charset, truncate};

use super::layout::Layout;
use super::pen::Pen;
use super::theme::Theme;

/// Titles and widths of the figures.
const HEAD: [(&str, u16); 6] = [("SHARED", 8), ("COPIED", 8), ("/s", 7), ("NEW", 8), ("PSS", 7), ("USS", 7)];
const NAME: u16 = 16;
/// The narrowest picture that says anything; below, figures step back for it.
const PICTURE: u16 = 12;

/// Draws the open pane.
pub fn draw(app: &App, pane: &LedgerPane, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let top = Layout::new(app, area).header.bottom();
    let area = Rect { y: top, height: area.bottom().saturating_sub(top), ..area };
    Clear.render(area, buffer);
    let charset = Charset::from_unicode(app.options.unicode);
    title(pane, theme, area, buffer);
    let notes = pane.notes();
    let room = area.height.saturating_sub(4);
    // At least three children, then what cannot be known, then mappings with what is left.
    let note_lines: Vec<String> =
        notes.iter().flat_map(|n| super::words::wrap(n, usize::from(area.width.saturating_sub(2)))).collect();
    let noted = u16::try_from(note_lines.len()).unwrap_or(0).min(room.saturating_sub(4));
    let children = pane.children(charset);
    let listed = u16::try_from(children.len()).unwrap_or(u16::MAX).min((room.saturating_sub(noted) / 2).max(3));
    match pane.message(charset) {
        Some(message) => drop(Pen::new(buffer, area, 2).put(" ", theme.text).put(&message, theme.warn)),
        None => table(app, pane, &children, theme, Rect { y: area.y + 1, height: listed + 1, ..area }, buffer),
    }
    let at = area.y.saturating_add(listed + 3);
    let below = Rect { y: at, height: area.bottom().saturating_sub(at + noted + 1), ..area };
    mappings(app, &pane.mappings(charset), theme, below, buffer);
    let foot = Rect { y: area.bottom().saturating_sub(noted + 1), height: noted, ..area };
    for (line, text) in (0..noted).zip(&note_lines) {
        Pen::new(buffer, foot, line).put(" ", theme.dim).put(text, theme.dim);
    }
    let last = Rect { y: area.bottom().saturating_sub(1), height: area.height.min(1), ..area };
    let mut pen = Pen::new(buffer, last, 0);
    pen.put(" Up Down", theme.key).put(" child  ", theme.dim).put("Esc", theme.key).put(" back to the table   ", theme.dim);
    for ((glyph, style), word) in parts(app, theme).into_iter().zip(["shared", "copied", "new"]) {
        pen.put(glyph, style).put(&format!(" {word}  "), theme.dim);
    }
}

/// What shared, copied and new are drawn with: distinct without colour too.
fn parts(app: &App, theme: &Theme) -> [(&'static str, Style); 3] {
    let glyphs = if app.options.unicode { ["░", "█", "▒"] } else { [".", "#", "+"] };
    [(glyphs[0], theme.cool), (glyphs[1], theme.warn), (glyphs[2], theme.good)]
}

/// Shares of the child's memory, one after the other; what is there at all takes a cell if there is room.
fn picture(app: &App, shares: [f32; 3], cells: u16, theme: &Theme, pen: &mut Pen<'_>) {
    let mut done = 0.0f32;
    let mut filled = 0u16;
    for (share, (glyph, style)) in shares.into_iter().zip(parts(app, theme)) {
        done += share;
        let least = if share > 0.0 { filled + 1 } else { filled };
        let end = ((done * f32::from(cells)).round() as u16).max(least).min(cells);
        for _ in filled..end {
            pen.put(glyph, style);
        }
        filled = end;
    }
}

fn title(pane: &LedgerPane, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let mut pen = Pen::new(buffer, area, 0);
    pen.put(" Copy-on-write ", theme.accent)
        .put(&format!("children of {} ", pane.parent.pid), theme.text)
        .put(&pane.name, theme.strong);
    if let Some(rss) = pane.rss_bytes {
        pen.put(&format!("  its own RES {}", in_bytes(rss)), theme.dim);
    }
    if pane.ended {
        pen.put("  has ended; these are the last values", theme.warn);
    }
}

fn table(app: &App, pane: &LedgerPane, children: &[ChildLine], theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let fixed = 9 + NAME + 1;
    let fits = |count: &usize| fixed + HEAD[..*count].iter().map(|(_, w)| w).sum::<u16>() + 2 + PICTURE <= area.width;
    let shown = (2..=HEAD.len()).rev().find(fits).unwrap_or(2);
    let mut pen = Pen::new(buffer, area, 0);
    pen.put_right("PID", 9, theme.head).put(" ", theme.head).put(&format!("{:w$}", "NAME", w = usize::from(NAME)), theme.head);
    for (title, width) in &HEAD[..shown] {
        pen.put(&format!("{title:>w$}", w = usize::from(*width)), theme.head);
    }
    pen.fill(" ", theme.head);
    let chosen = children.iter().position(|child| Some(child.key) == pane.chosen).unwrap_or(0);
    let lines = area.height.saturating_sub(1);
    let first = (chosen + 1).saturating_sub(usize::from(lines));
    for (line, child) in (1..=lines).zip(children.iter().skip(first)) {
        let style = if Some(child.key) == pane.chosen { theme.selected } else { theme.text };
        let name = truncate(&child.name, usize::from(NAME), Charset::from_unicode(app.options.unicode)).into_owned();
        let mut pen = Pen::new(buffer, area, line);
        pen.put_right(&child.key.pid.to_string(), 9, style).put(" ", style).put(&name, style).to(area.x + fixed);
        match &child.figures {
            Err(why) => drop(pen.put(" ", theme.text).put(why, theme.warn)),
            Ok(f) => {
                let plus = if f.cut { "+" } else { "" };
                let cells = [&f.shared, &f.copied, &f.per_second, &f.new, &f.pss, &f.uss];
                for ((text, (title, width)), at) in cells.iter().zip(HEAD).zip(0..shown) {
                    let bound = if at < 2 || title == "NEW" { plus } else { "" };
                    let style = if **text == "-" || **text == "0" { theme.dim } else { theme.text };
                    pen.put_right(&format!("{text}{bound}"), width, style);
                }
                let cells = pen.left().saturating_sub(3);
                pen.put("  ", theme.text);
                picture(app, f.bar, cells, theme, &mut pen);
            }
        }
    }
}

fn mappings(app: &App, lines: &[MappingLine], theme: &Theme, area: Rect, buffer: &mut Buffer) {
    if lines.is_empty() || area.height < 2 {
        return;
    }
    Pen::new(buffer, area, 0).put(" Copied pages of the selected child, by position in each mapping", theme.accent);
    let charset = Charset::from_unicode(app.options.unicode);
    for (line, mapping) in (1..area.height).zip(lines) {
        let mut pen = Pen::new(buffer, area, line);
        pen.put_right(&mapping.counts, 22, theme.text).put("  ", theme.text);
        let room = area.width.saturating_sub(24 + 2 + 24).clamp(8, 64);
        strip(app, &mapping.strip, room, theme, &mut pen);
        let what = format!("  {}  {}", mapping.name, mapping.range);
        let left = usize::from(pen.left().saturating_sub(1));
        pen.put(&truncate(&what, left, charset), theme.dim);
    }
}

/// The pieces of a mapping: how dark says how much of it has been copied.
fn strip(app: &App, pieces: &[Option<f32>], room: u16, theme: &Theme, pen: &mut Pen<'_>) {
    let shades: [&str; 4] = if app.options.unicode { ["░", "▒", "▓", "█"] } else { [".", "-", "=", "#"] };
    let cells = pieces.len().min(usize::from(room));
    for cell in 0..cells {
        // Where there is less room than pieces, a cell stands for several of them: the most copied decides, so that none is lost.
        let (from, to) = (cell * pieces.len() / cells, (cell + 1) * pieces.len() / cells);
        let most = pieces[from..to.max(from + 1)].iter().flatten().copied().reduce(f32::max);
        match most {
            None => pen.put(" ", theme.text),
            Some(0.0) => pen.put(shades[0], theme.cool),
            Some(share) => pen.put(shades[1 + ((share * 3.0) as usize).min(2)], theme.warn),
        };
    }
    for _ in cells..usize::from(room) {
        pen.put(" ", theme.text);
    }
}
