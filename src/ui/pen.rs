//! Draws text left to right into one line of a buffer, clipped. All panels use it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::derive::Spell;
use crate::text;

const BLOCKS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII: [&str; 8] = ["_", ".", ":", "-", "=", "+", "*", "#"];

/// A character as high as a share of 0 to 1.
#[must_use]
pub fn height(share: f32, unicode: bool) -> &'static str {
    let level = ((share * 7.99).clamp(0.0, 7.0)) as usize;
    if unicode { BLOCKS[level] } else { ASCII[level] }
}

/// What divides two facts on a line.
#[must_use]
pub fn dot(unicode: bool) -> &'static str {
    if unicode { "·" } else { "-" }
}

/// Stands for zero in a list of figures, in which `-` is what is unknown.
pub fn zero(unicode: bool) -> &'static str {
    if unicode { "·" } else { "." }
}

/// Stands for next to nothing in a history.
pub fn faint(unicode: bool) -> &'static str {
    if unicode { "·" } else { " " }
}

/// Writes along one line.
pub struct Pen<'a> {
    buffer: &'a mut Buffer,
    x: u16,
    y: u16,
    right: u16,
}

impl<'a> Pen<'a> {
    /// At the left end of line `line` of `area`; a line outside draws nothing.
    pub fn new(buffer: &'a mut Buffer, area: Rect, line: u16) -> Self {
        let area = area.intersection(buffer.area);
        let y = area.y.saturating_add(line);
        let right = if line < area.height { area.right() } else { area.x };
        Self { buffer, x: area.x, y, right }
    }

    /// Cells left.
    #[must_use]
    pub fn left(&self) -> u16 {
        self.right.saturating_sub(self.x)
    }

    /// Column of the next cell.
    #[must_use]
    pub fn x(&self) -> u16 {
        self.x
    }

    /// Writes printable text.
    pub fn put(&mut self, text: &str, style: Style) -> &mut Self {
        if self.x < self.right {
            let (x, _) = self.buffer.set_stringn(self.x, self.y, text, usize::from(self.left()), style);
            self.x = x;
        }
        self
    }

    /// Writes text right-aligned in `cells`.
    pub fn put_right(&mut self, text: &str, cells: u16, style: Style) -> &mut Self {
        let width = u16::try_from(text::width(text)).unwrap_or(u16::MAX);
        self.skip(cells.saturating_sub(width)).put(text, style)
    }

    /// Leaves cells as they are.
    pub fn skip(&mut self, cells: u16) -> &mut Self {
        self.x = self.x.saturating_add(cells).min(self.right.max(self.x));
        self
    }

    /// Goes to a column counted from the buffer's left end, never back.
    pub fn to(&mut self, x: u16) -> &mut Self {
        self.x = self.x.max(x).min(self.right.max(self.x));
        self
    }

    /// A bar of `cells` cells: shares of 0..=1 one after the other, each in its style.
    pub fn bar(&mut self, cells: u16, parts: &[(f32, Style)], unicode: bool, empty: Style) -> &mut Self {
        let mut done = 0.0f32;
        let mut filled = 0u16;
        for (share, style) in parts {
            done += share.clamp(0.0, 1.0);
            let end = (done.min(1.0) * f32::from(cells)).round() as u16;
            for _ in filled..end.max(filled) {
                self.put(if unicode { "█" } else { "|" }, *style);
            }
            filled = end.max(filled);
        }
        // What is left of the last cell, in eighths: a small load is seen as small, not as nothing.
        let rest = done.min(1.0) * f32::from(cells) - f32::from(filled);
        if unicode && filled < cells && rest > 0.06 {
            const EIGHTHS: [&str; 8] = ["▏", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
            let style = parts.last().map_or(empty, |(_, s)| *s);
            self.put(EIGHTHS[((rest * 8.0) as usize).min(7)], style);
            filled += 1;
        }
        for _ in filled..cells {
            self.put(if unicode { " " } else { "." }, empty);
        }
        self
    }

    /// A graph of recent CPU use, newest at the right: height is the time on a CPU, or runnable without one where that is more, each in its
    /// style. A cell in which next to nothing was used is a dot.
    pub fn recent(
        &mut self,
        cells: u16,
        spells: impl ExactSizeIterator<Item = Spell>,
        unicode: bool,
        (ran, waited, none): (Style, Style, Style),
    ) -> &mut Self {
        let known = u16::try_from(spells.len()).unwrap_or(cells);
        let skipped = usize::from(known.saturating_sub(cells));
        self.skip(cells.saturating_sub(known));
        for spell in spells.skip(skipped) {
            let (share, style) = if spell.waited > spell.ran { (spell.ran + spell.waited, waited) } else { (spell.ran, ran) };
            if share < 0.01 {
                self.put(faint(unicode), none);
            } else {
                self.put(height(share, unicode), style);
            }
        }
        self
    }

    /// A graph of the last values of 0..=100, newest at the right.
    pub fn graph<'v>(
        &mut self,
        cells: u16,
        newest_first: impl Iterator<Item = &'v f32>,
        unicode: bool,
        style: Style,
    ) -> &mut Self {
        let start = self.x;
        let cells = cells.min(self.left());
        for (i, value) in (0u16..cells).zip(newest_first) {
            let mark = height(value / 100.0, unicode);
            self.buffer.set_stringn(start + cells - 1 - i, self.y, mark, 1, style);
        }
        self.x = start + cells;
        self
    }

    /// Fills the rest of the line with a character.
    pub fn fill(&mut self, text: &str, style: Style) -> &mut Self {
        while self.left() > 0 {
            self.put(text, style);
        }
        self
    }
}
