//! Rectangles of dialogs and of the lists in them, and their frames.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Block, BorderType, Clear, Widget};

use crate::app::App;

use super::pen::Pen;
use super::theme::Theme;

/// The list of the open dialog, for the mouse.
#[derive(Debug, Clone, Copy)]
pub struct ListArea {
    /// Its lines.
    pub lines: Rect,
    /// Index of the entry on the first of them.
    pub first: usize,
}

/// First entry shown of a list of `height` lines: as far down as the cursor needs.
pub fn scroll_of(cursor: usize, height: u16) -> usize {
    (cursor + 1).saturating_sub(usize::from(height))
}

pub fn centered(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

pub fn inside(r: Rect) -> Rect {
    Rect { x: r.x + 1, y: r.y + 1, width: r.width.saturating_sub(2), height: r.height.saturating_sub(2) }
}

pub fn frame(app: &App, title: &str, theme: &Theme, area: Rect, buffer: &mut Buffer) -> Rect {
    Clear.render(area, buffer);
    if app.options.unicode {
        Block::bordered()
            .border_type(BorderType::Rounded)
            .border_style(theme.frame)
            .title(format!(" {title} "))
            .title_style(theme.accent)
            .render(area, buffer);
    } else {
        ascii_frame(title, theme, area, buffer);
    }
    inside(area)
}

fn ascii_frame(title: &str, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    for line in 0..area.height {
        let edge = line == 0 || line + 1 == area.height;
        let mut pen = Pen::new(buffer, area, line);
        pen.put(if edge { "+" } else { "|" }, theme.frame);
        if edge {
            while pen.left() > 1 {
                pen.put("-", theme.frame);
            }
        }
        pen.to(area.right().saturating_sub(1)).put(if edge { "+" } else { "|" }, theme.frame);
    }
    Pen::new(buffer, area, 0).skip(2).put(&format!(" {title} "), theme.accent);
}
