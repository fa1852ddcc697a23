//! Draws an input line: scrolled to its cursor, with the invalid part marked.

use ratatui::style::Modifier;
use unicode_segmentation::UnicodeSegmentation as _;

use crate::app::editor::LineEditor;
use crate::text::{Charset, sanitize_str, width};

use super::pen::Pen;
use super::theme::Theme;

/// Draws the line at the pen, within `room` cells. What stands from character `wrong_from` on is drawn as wrong; returns the column
/// where that begins, or else the cursor's.
pub fn draw(pen: &mut Pen<'_>, line: &LineEditor, wrong_from: Option<usize>, room: u16, charset: Charset, theme: &Theme) -> u16 {
    let shown: Vec<(String, usize)> = line
        .text()
        .graphemes(true)
        .map(|grapheme| (sanitize_str(grapheme, charset).into_owned(), grapheme.chars().count()))
        .collect();
    let cursor = line.before().graphemes(true).count();
    let cells = |g: &(String, usize)| width(&g.0);
    // The cursor's own character is seen whole; behind the last one it takes a cell.
    let mut needed: usize = shown.iter().take(cursor).map(cells).sum::<usize>() + shown.get(cursor).map_or(1, cells);
    let mut first = 0;
    while needed > usize::from(room) && first < cursor {
        needed -= cells(&shown[first]);
        first += 1;
    }
    let end = pen.x().saturating_add(room);
    let mut chars: usize = shown[..first].iter().map(|g| g.1).sum();
    let mut place = None;
    for (at, (text, count)) in shown.iter().enumerate().skip(first) {
        if usize::from(end.saturating_sub(pen.x())) < width(text) {
            break;
        }
        let wrong = wrong_from.is_some_and(|from| chars + count > from);
        if wrong || (wrong_from.is_none() && at == cursor) {
            place.get_or_insert(pen.x());
        }
        let style = if wrong { theme.bad } else { theme.strong };
        pen.put(text, if at == cursor { style.add_modifier(Modifier::REVERSED) } else { style });
        chars += count;
    }
    let place = place.unwrap_or(pen.x());
    if cursor == shown.len() {
        pen.put("_", theme.accent);
    }
    place
}

#[cfg(test)]
mod tests {
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;

    use super::*;
    use crate::app::key::{Code, Key};
    use crate::config::ColorDepth;

    fn drawn(line: &LineEditor, wrong_from: Option<usize>, room: u16) -> (String, Option<u16>, u16) {
        let area = Rect::new(0, 0, 20, 1);
        let mut buffer = Buffer::empty(area);
        let theme = Theme::named("default", ColorDepth::True).unwrap();
        let place = draw(&mut Pen::new(&mut buffer, area, 0), line, wrong_from, room, Charset::Unicode, &theme);
        let text: String = (0..20).map(|x| buffer[(x, 0)].symbol().to_owned()).collect();
        let cursor = (0..20).find(|x| buffer[(*x, 0)].modifier.contains(Modifier::REVERSED));
        (text.trim_end().to_owned(), cursor, place)
    }

    #[test]
    fn the_cursor_is_always_seen_and_the_mistake_is_found() {
        let mut line = LineEditor::new("abcdefghij");
        assert_eq!(drawn(&line, None, 12), ("abcdefghij_".to_owned(), None, 10));
        assert_eq!(drawn(&line, Some(3), 12), ("abcdefghij_".to_owned(), None, 3));
        assert_eq!(drawn(&line, None, 5), ("ghij_".to_owned(), None, 4));
        assert_eq!(drawn(&line, Some(2), 5).2, 0, "left of what is seen: at its edge");
        for _ in 0..4 {
            line.key(Key::plain(Code::Left));
        }
        assert_eq!(drawn(&line, None, 5), ("cdefg".to_owned(), Some(4), 4));
        line.key(Key::plain(Code::Home));
        assert_eq!(drawn(&line, None, 5), ("abcde".to_owned(), Some(0), 0));
        let wide = LineEditor::new("漢字漢字");
        assert_eq!(drawn(&wide, None, 4).0.replace(' ', ""), "字_", "no half characters");
        let hostile = LineEditor::new("a\u{202e}b");
        assert!(drawn(&hostile, None, 20).0.contains("202e"));
    }
}
