//! What was expected of a run and what was seen, and what it printed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::pen::Pen;
use super::super::theme::Theme;
use super::{below, wrap};
use crate::app::App;
use crate::lab::run::Run;
use crate::text::{Charset, sanitize_str};

/// Most cells of what is checked, and the least of what was expected.
const COLUMNS: [usize; 2] = [22, 26];
/// Cells that what was seen needs.
const SEEN: usize = 18;

/// A line per check, under a heading; returns the lines used.
pub fn expected(run: &Run, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    if run.shape.is_empty() || area.height < 2 {
        return 0;
    }
    let [most, mut wanted] = COLUMNS;
    let what = run.shape.iter().map(|check| check.what.chars().count() + 2).max().unwrap_or(0).clamp(10, most);
    let longest = run.shape.iter().map(|check| check.expected.chars().count()).max().unwrap_or(0);
    let room = usize::from(area.width).saturating_sub(what + SEEN + 2);
    wanted = longest.clamp(wanted, wanted.max(room));
    let line = |what_is: &str, expected: &str| format!("{what_is:what$.what$} {expected:wanted$.wanted$} ");
    Pen::new(buffer, area, 0).put(&line("", "expected"), theme.dim).put("seen", theme.dim);
    let mut used = 1;
    for (row, check) in (1..area.height).zip(&run.shape) {
        let style = match (check.met, run.ended()) {
            (true, _) => theme.good,
            (false, true) => theme.warn,
            (false, false) => theme.dim,
        };
        Pen::new(buffer, area, row).put(&line(&check.what, &check.expected), theme.text).put(&check.seen, style);
        used = row + 1;
    }
    used
}

/// What the run printed, as far as there is room: the last lines; returns the lines used.
pub fn printed(app: &App, run: &Run, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    if area.height < 2 {
        return 0;
    }
    let charset = Charset::from_unicode(app.options.unicode);
    if run.output.trim().is_empty() {
        Pen::new(buffer, area, 0).put("It has printed nothing.", theme.dim);
        return 1;
    }
    let lines: Vec<&str> = run.output.lines().collect();
    let room = usize::from(area.height - 1);
    let hidden = lines.len().saturating_sub(room);
    let more = if hidden > 0 { format!(", the last {room} of {} lines; o shows all", lines.len()) } else { String::new() };
    Pen::new(buffer, area, 0).put("Printed", theme.dim).put(&more, theme.dim);
    let mut used = 1;
    let rest = below(area, 1);
    for (row, line) in (0..rest.height).zip(&lines[hidden..]) {
        let clean = sanitize_str(line, charset);
        let first = wrap(&clean, usize::from(rest.width).saturating_sub(2)).into_iter().next().unwrap_or_default();
        Pen::new(buffer, rest, row).put("  ", theme.text).put(&first, theme.text);
        used = row + 2;
    }
    used
}
