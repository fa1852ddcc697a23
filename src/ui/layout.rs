//! Computes the rectangles of all parts of the screen, for drawing and for the mouse.

use ratatui::layout::Rect;

use crate::app::App;
use crate::app::layer::{InputKind, Layer};
use crate::app::msg::Pointed;
use crate::app::options::{Options, Screen};
use crate::columns::Column;
use crate::lab::catalog::systems;

use super::geometry::ListArea;

/// Cells before the first column: tag and lab marks.
pub const GUTTER: u16 = 2;
/// The least the command column is left with before other columns step back.
const MIN_COMMAND: u16 = 26;
/// The table and the details share so many lines at least.
const LEAST_SPLIT: u16 = 8;
/// The most lines of the details below the table.
const MOST_SPLIT: u16 = 22;
/// Width of the lab's list of systems.
const LAB_LIST: u16 = 44;

/// Where a column is.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// Which.
    pub column: &'static Column,
    /// First cell.
    pub x: u16,
    /// Cells.
    pub width: u16,
}

/// The screen's parts.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Meters.
    pub header: Rect,
    /// Cards of the lab's runs; empty without one.
    pub cards: Rect,
    /// What narrows the table; empty if nothing does.
    pub banner: Rect,
    /// Column heads.
    pub head: Rect,
    /// The main part.
    pub body: Rect,
    /// Details of the selected process, below the table; empty if they are not shown there.
    pub split: Rect,
    /// Notice or input line (two for a filter); empty if there is neither.
    pub line: Rect,
    /// Function keys.
    pub bar: Rect,
    /// Visible columns.
    pub slots: Vec<Slot>,
    /// List of systems on the lab's screen.
    pub lab_list: Rect,
    /// The rest of the lab's screen.
    pub lab_detail: Rect,
}

impl Layout {
    /// For a screen of that size.
    #[must_use]
    pub fn new(app: &App, area: Rect) -> Self {
        let header_rows = super::header::height(app, area);
        let table = app.screen == Screen::Processes;
        // Below what is typed: how it may go on, what may be typed, or a caret and what is wrong there.
        let line_rows = match &app.layer {
            Some(Layer::Input(_)) if area.height > 9 => 2,
            Some(Layer::Input(_)) => 1,
            // In the tree the selected family's sums stand there: the line is kept free, so that nothing jumps with the selection.
            _ => u16::from(app.notice.is_some() || app.pending_key().is_some() || app.options.tree && table && area.height >= 20),
        };
        let line_rows = if area.height > 6 { line_rows } else { 0 };
        let has_banner = table && area.height > 8 && (app.banner().is_some() || !app.tagged.is_empty());
        let mut y = area.y;
        let mut take = |rows: u16| {
            let rows = rows.min(area.bottom().saturating_sub(y));
            let rect = Rect { x: area.x, y, width: area.width, height: rows };
            y += rows;
            rect
        };
        let header = take(header_rows);
        let cards = take(if table { super::cards::height(app, area) } else { 0 });
        let banner = take(u16::from(has_banner));
        let head = take(u16::from(table));
        let below = 1 + line_rows;
        let rest = area.height.saturating_sub(header.height + cards.height + banner.height + head.height + below);
        let split_rows = if table && app.split.is_some() { split_rows(rest) } else { 0 };
        let body = take(rest - split_rows);
        let split = take(split_rows);
        let line = take(line_rows);
        let bar = take(1);
        let list = LAB_LIST.min(area.width * 2 / 5);
        let lab_list = Rect { width: list, ..body };
        let lab_detail = Rect { x: body.x + list, width: body.width - list, ..body };
        Self { header, cards, banner, head, body, split, line, bar, slots: slots(app, area.width), lab_list, lab_detail }
    }

    /// What the mouse means at a cell; `dialog` is the list of the open dialog.
    #[must_use]
    pub fn point(&self, app: &App, x: u16, y: u16, dialog: Option<ListArea>) -> Option<Pointed> {
        let inside = |r: Rect| r.contains((x, y).into());
        if let Some(list) = dialog {
            let at = || u16::try_from(list.first).unwrap_or(u16::MAX).saturating_add(y - list.lines.y);
            return Some(if inside(list.lines) { Pointed::ListLine(at()) } else { Pointed::Outside });
        }
        if inside(self.head) && app.screen == Screen::Processes {
            let at = self.slots.iter().position(|s| x >= s.x && x < s.x + s.width.max(1) + 1)?;
            return Some(Pointed::Head(at));
        }
        match app.screen {
            Screen::Processes if inside(self.body) => {
                let line = y - self.body.y;
                let on_mark = app.options.tree && self.fold_mark(app, line).is_some_and(|m| x == m || x == m + 1);
                Some(if on_mark { Pointed::Fold(line) } else { Pointed::Row(line) })
            }
            Screen::Events if inside(self.body) => {
                let above = self.body.height.saturating_sub(u16::try_from(super::events::room(app, self.body)).unwrap_or(0));
                (y - self.body.y).checked_sub(above).map(Pointed::Row)
            }
            Screen::Timeline => super::timeline::Place::of(app, self.body).point(x, y),
            Screen::Compare => super::compare::Place::of(app, self.body).point(app, x, y),
            Screen::Problems if inside(self.body) => {
                let at = super::problems::line_at(app, self.body, y - self.body.y)?;
                u16::try_from(at).ok().map(Pointed::Row)
            }
            Screen::Lab if app.lessons.open => {
                let list = super::lab::lesson::list_area(self.body);
                inside(list).then(|| super::lab::lesson::lesson_at(y - list.y)).flatten().map(Pointed::ListLine)
            }
            Screen::Lab if inside(self.lab_list) => {
                lab_line(y - self.lab_list.y, app, self.lab_list.height).map(Pointed::ListLine)
            }
            _ => None,
        }
    }

    fn fold_mark(&self, app: &App, line: u16) -> Option<u16> {
        let row = app.lines.get(app.scroll + usize::from(line)).filter(|l| l.parent)?;
        let command = self.slots.iter().find(|s| s.column.id == "command")?;
        Some(command.x + row.depth.saturating_mul(2).saturating_sub(1))
    }
}

/// Lines of the details below a table, of all that both have; 0 where there is no room for both.
fn split_rows(both: u16) -> u16 {
    if both < LEAST_SPLIT { 0 } else { (both * 11 / 20).min(MOST_SPLIT) }
}

/// The columns that fit: the least important step back until the command has room.
fn slots(app: &App, width: u16) -> Vec<Slot> {
    let mut shown = app.options.shown_columns();
    if app.skipped > 0 {
        let moving = |c: &&Column| !Options::stays(c);
        let out: Vec<&str> = shown.iter().copied().filter(moving).take(app.skipped - 1).map(|c| c.id).collect();
        shown.retain(|c| !out.contains(&c.id));
    }
    let fixed = |shown: &[&Column]| shown.iter().filter(|c| c.width > 0).map(|c| c.width + 1).sum::<u16>() + GUTTER;
    let least = if shown.iter().any(|c| c.width == 0) { MIN_COMMAND.min(width / 3) } else { 0 };
    while fixed(&shown) + least > width {
        let worst = if app.skipped > 0 {
            // Scrolled: a window over the columns in their order.
            shown.iter().rposition(|c| !Options::stays(c))
        } else {
            let others = shown
                .iter()
                .enumerate()
                .filter(|(_, c)| app.options.rank(c) > 0 && (app.options.run_view || c.id != app.options.sort.id));
            others.max_by_key(|(_, c)| app.options.rank(c)).map(|(at, _)| at)
        };
        let Some(at) = worst else { break };
        shown.remove(at);
    }
    let rest = width.saturating_sub(fixed(&shown));
    let mut x = GUTTER;
    shown
        .into_iter()
        .map(|column| {
            let w = if column.width == 0 { rest } else { column.width };
            let slot = Slot { column, x, width: w.min(width.saturating_sub(x)) };
            x = x.saturating_add(w + 1);
            slot
        })
        .collect()
}

/// The lines of the lab's list: a heading before each section. `None` is a heading, `Some(i)` the system `i`.
#[must_use]
pub fn lab_lines() -> Vec<Option<usize>> {
    let mut lines = Vec::new();
    let mut section = None;
    for (i, s) in systems().iter().enumerate() {
        if section != Some(s.section) {
            section = Some(s.section);
            lines.push(None);
        }
        lines.push(Some(i));
    }
    lines
}

/// First line of the lab's list that is shown.
#[must_use]
pub fn lab_scroll(app: &App, height: u16) -> usize {
    let at = lab_lines().iter().position(|l| *l == Some(app.lab.system)).unwrap_or(0);
    (at + 2).saturating_sub(usize::from(height))
}

fn lab_line(line: u16, app: &App, height: u16) -> Option<u16> {
    let at = lab_scroll(app, height) + usize::from(line);
    lab_lines().get(at).copied().flatten().and_then(|i| u16::try_from(i).ok())
}

/// Whether the open layer wants the line at the bottom.
#[must_use]
pub fn input_label(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Search => "Search",
        InputKind::System => "Find a system",
        InputKind::Filter => "Filter",
        InputKind::EventFilter => "Only events that contain",
        InputKind::Cpus => "CPUs, like 0-3,8",
        InputKind::IoPriority => "I/O priority",
        InputKind::Parameter(field) => field.label(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::key::{Code, Key};
    use crate::app::msg::Msg;

    fn shown(app: &mut App, width: u16) -> Vec<&'static str> {
        let slots = Layout::new(app, Rect::new(0, 0, width, 24)).slots;
        assert!(slots.iter().all(|s| s.x + s.width <= width), "within the screen");
        app.visible_columns = slots.iter().map(|s| s.column).collect();
        slots.iter().map(|s| s.column.id).collect()
    }

    #[test]
    fn a_scroll_to_the_right_passes_every_column_and_then_the_command() {
        let mut app = App::new(Options::default());
        let first = shown(&mut app, 80);
        assert!(first.len() < app.options.shown_columns().len(), "some do not fit: {first:?}");
        let mut seen = first.clone();
        let mut presses = 0;
        while app.sideways == 0 {
            app.update(Msg::Key(Key::plain(Code::Right)));
            let now = shown(&mut app, 80);
            assert!(now.starts_with(&["pid"]) && now.ends_with(&["command"]), "who it is stays: {now:?}");
            seen.extend(now);
            presses += 1;
            assert!(presses < 40, "it comes to an end");
        }
        for column in app.options.shown_columns() {
            assert!(seen.contains(&column.id), "{} was never seen", column.id);
        }
        for _ in 0..presses {
            app.update(Msg::Key(Key::plain(Code::Left)));
            shown(&mut app, 80);
        }
        assert_eq!((shown(&mut app, 80), app.skipped, app.sideways), (first, 0, 0), "and back");
    }

    #[test]
    fn where_every_column_fits_only_the_command_moves() {
        let mut app = App::new(Options::default());
        shown(&mut app, 300);
        app.update(Msg::Key(Key::plain(Code::Right)));
        assert_eq!((app.skipped, app.sideways), (0, 8));
    }
}
