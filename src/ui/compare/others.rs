//! The other measures as bars, below the sentence, where there is room.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::labels::Labels;
use super::{COLUMNS, VALUE, bar_of, best_of};
use crate::app::App;
use crate::lab::measure::{Measure, measure};
use crate::lab::report::{Comparison, show};
use crate::text::Charset;
use crate::ui::lab::bars::{Scale, times};
use crate::ui::pen::Pen;
use crate::ui::theme::Theme;

/// A block is at least so wide.
const BLOCK: u16 = 66;
/// The most rows that are drawn again.
const ROWS: usize = 12;

/// Draws a block for each measure that is known, side by side and then below, as long as whole ones have room.
pub fn draw(app: &App, table: &Comparison, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    if table.rows.len() > ROWS || area.height == 0 {
        return;
    }
    let known = |m: &&Measure| table.rows.iter().filter(|row| row.median(m).is_some()).count() > 1;
    let shown = COLUMNS.iter().filter_map(|id| measure(id)).filter(|m| m.id != app.compare.sort.id).filter(known);
    let across = (area.width / BLOCK).max(1);
    let (width, height) = (area.width / across, u16::try_from(table.rows.len()).unwrap_or(u16::MAX).saturating_add(1));
    for (at, measure) in (0u16..).zip(shown) {
        let (line, column) = (at / across, at % across);
        let y = area.y + line * (height + 1);
        if y + height > area.bottom() {
            return;
        }
        block(app, table, measure, theme, Rect { x: area.x + column * width, y, width: width - 2, height }, buffer);
    }
}

fn block(app: &App, table: &Comparison, measure: &Measure, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let labels = Labels::of(&table.rows, usize::from(area.width));
    let label = u16::try_from(labels.cells).unwrap_or(u16::MAX).saturating_add(2);
    let cells = area.width.saturating_sub(label + VALUE);
    let figures = table.rows.iter().filter_map(|row| row.figure(measure));
    let scale = Scale::of(figures.flat_map(|f| f.repetitions.iter().copied().chain(f.spread.map(|s| s.median))));
    let logarithmic = if scale.is_logarithmic() { " (logarithmic)" } else { "" };
    Pen::new(buffer, area, 0).skip(label).put(measure.title, theme.accent).put(logarithmic, theme.dim);
    let best = best_of(table, measure);
    for (line, (at, row)) in (1..area.height).zip(table.rows.iter().enumerate()) {
        let mut pen = Pen::new(buffer, area, line);
        let charset = Charset::from_unicode(app.options.unicode);
        pen.put(" ", theme.text).put(&labels.get(at, charset), theme.dim).to(area.x + label);
        let Some(median) = row.median(measure) else {
            pen.to(area.x + label + cells).put_right("-", VALUE - 8, theme.dim);
            continue;
        };
        bar_of(app, (row, measure), scale, cells, theme, &mut pen);
        pen.to(area.x + label + cells).put_right(&show(median, measure.unit), VALUE - 8, theme.text);
        pen.put_right(&best.map(|best| times(median, best)).unwrap_or_default(), 7, theme.dim);
    }
}
