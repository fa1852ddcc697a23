//! The Compare screen: what is compared and how far that is, bars with spread, figures, a curve of what was swept, and the finding.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use crate::app::App;
use crate::lab::measure::{Measure, measure};
use crate::lab::report::{Comparison, Mark, Row, advice_lines, bar, show, with_spread};
use crate::text::{self, Charset, sanitize_str};

use super::lab::wrap;
use super::pen::{Pen, dot};
use super::plot;
use super::theme::Theme;

/// Columns beside the bars, the most wanted first.
const COLUMNS: [&str; 7] = ["wall", "creation", "cpu", "speed_up", "worker_pss", "first_task", "voluntary_switches"];
/// Width of such a column.
const COLUMN: u16 = 11;
/// Lines of a plot.
const PLOT_LINES: u16 = 14;
/// Most lines of advice.
const ADVICE_LINES: usize = 3;

/// Draws it.
pub fn draw(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let mut line = head(app, theme, area, buffer);
    let rest = |line: u16| Rect { y: area.y + line.min(area.height), height: area.height.saturating_sub(line), ..area };
    let Some(table) = app.compare.table() else {
        chosen(app, theme, rest(line), buffer);
        return;
    };
    if app.compare.running || table.rows.iter().all(|r| r.runs == 0) {
        line += chosen(app, theme, rest(line), buffer).min(8);
    }
    line += rows(app, table, theme, rest(line), buffer) + 1;
    if let Some(finding) = &table.finding {
        for part in wrap(&clean(app, finding), usize::from(area.width.saturating_sub(2))) {
            Pen::new(buffer, rest(line), 0).skip(1).put(&part, theme.accent);
            line += 1;
        }
        line += 1;
    }
    for text in advice_lines(table).iter().take(ADVICE_LINES) {
        Pen::new(buffer, rest(line), 0).skip(1).put(&clean(app, text), theme.warn);
        line += 1;
    }
    if let Some(found) = app.compare.plot() {
        let place = rest(line + 1);
        let legend = u16::try_from(found.series.len()).unwrap_or(0);
        let height = place.height.min(PLOT_LINES + legend);
        plot::draw(found, &look(app, theme), Rect { height, ..place }, buffer);
    }
}

fn look(app: &App, theme: &Theme) -> plot::Look {
    let color = |style: Style| style.fg.unwrap_or(Color::Reset);
    let colors = [theme.accent, theme.good, theme.warn, theme.cool, theme.bad, theme.strong].map(color);
    plot::Look { strong: theme.text, dim: theme.dim, colors, unicode: app.options.unicode }
}

fn clean(app: &App, text: &str) -> String {
    sanitize_str(text, Charset::from_unicode(app.options.unicode)).into_owned()
}

/// What is compared, how it is sorted, and what the keys do; returns the lines used.
fn head(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let view = &app.compare;
    let mut pen = Pen::new(buffer, area, 0);
    pen.put(" Compare ", theme.accent);
    match view.table() {
        Some(table) if !table.title.is_empty() => pen.put(&clean(app, &table.title), theme.text),
        _ => pen.put("what systems cost, side by side", theme.text),
    };
    let mut pen = Pen::new(buffer, area, 1);
    let swept = view.axis.map_or("nothing", |a| a.title());
    pen.put(" sweep ", theme.dim).put(swept, theme.strong).put("   sorted by ", theme.dim).put(view.sort.title, theme.strong);
    match (view.done(), &view.halted) {
        (Some((done, all)), _) if view.running => {
            pen.put(&format!("   running: {done} of {all} runs"), theme.good);
        }
        (Some((done, all)), Some(why)) => {
            pen.put(&format!("   ended after {done} of {all} runs: {}", clean(app, why)), theme.warn);
        }
        (Some((_, all)), None) => {
            pen.put(&format!("   {all} runs"), theme.dim);
        }
        (None, _) if view.running => {
            pen.put("   starting", theme.good);
        }
        (None, _) => {}
    }
    let d = dot(app.options.unicode);
    let keys = format!(" Enter run {d} s sweep {d} > < sort {d} d remove {d} X stop {d} c on the lab's screen adds");
    Pen::new(buffer, area, 2).put(&keys, theme.dim);
    4
}

/// The systems that were chosen; returns the lines used.
fn chosen(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let view = &app.compare;
    if view.chosen.is_empty() {
        Pen::new(buffer, area, 0)
            .put(" Nothing is chosen yet. ", theme.text)
            .put("On the lab's screen (2), c adds the system that is chosen there, with its parameters.", theme.dim);
        return 2;
    }
    for (at, spec) in (0..area.height).zip(&view.chosen) {
        let style = if usize::from(at) == view.line { theme.selected } else { theme.text };
        let size = spec.task.size().map_or(String::new(), |(unit, _)| format!(" of {} {unit}", spec.size()));
        let words = format!(
            "{} worker{}, {} x {}{size}, parent {} MB",
            spec.workers,
            if spec.workers == 1 { "" } else { "s" },
            spec.tasks,
            spec.task.name(),
            spec.parent_mb
        );
        Pen::new(buffer, area, at).put(&format!(" {:<34}", spec.system), style).put(&words, theme.dim);
    }
    u16::try_from(view.chosen.len()).unwrap_or(u16::MAX).saturating_add(1)
}

fn columns(app: &App, width: u16) -> Vec<&'static Measure> {
    let room = usize::from(width / COLUMN);
    COLUMNS.iter().filter_map(|c| measure(c)).filter(|m| m.id != app.compare.sort.id).take(room).collect()
}

/// A bar and figures for each row; returns the lines used.
fn rows(app: &App, table: &Comparison, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let sort = app.compare.sort;
    let widest = table.rows.iter().map(|r| text::width(&r.label)).max().unwrap_or(0);
    let label = u16::try_from(widest).unwrap_or(0).min(area.width / 3) + 2;
    let value = 20;
    let free = area.width.saturating_sub(label + value);
    let shown = columns(app, free.saturating_sub(12));
    let cells = free.saturating_sub(COLUMN * u16::try_from(shown.len()).unwrap_or(0)).min(60);
    let full = table.rows.iter().filter_map(|r| r.spread(sort)).map(|s| s.q3).fold(0.0, f64::max);
    let mut pen = Pen::new(buffer, area, 0);
    pen.skip(label).put(sort.title, theme.head_sorted);
    let right = area.x + label + cells + value;
    pen.to(right);
    for column in &shown {
        pen.put_right(column.title, COLUMN, theme.dim);
    }
    let mut line = 1;
    for row in table.rows.iter().take(usize::from(area.height.saturating_sub(1))) {
        let mut pen = Pen::new(buffer, area, line);
        let style = if row.asked { theme.text } else { theme.dim };
        pen.put(" ", style).put(&clean(app, &row.label), style);
        let mut pen = Pen::new(buffer, area, line);
        pen.skip(label);
        bar_of(app, row, full, cells, theme, &mut pen);
        pen.to(area.x + label + cells);
        let figure = row.figure(sort);
        match figure.and_then(|f| f.spread) {
            Some(s) => {
                let sign = if app.options.unicode { "±" } else { "+-" };
                pen.put_right(&with_spread(&s, sort.unit, sign), value, style_of(figure.map_or(Mark::None, |f| f.mark), theme));
            }
            None => {
                pen.put_right("-", value, theme.dim);
            }
        }
        for column in &shown {
            let figure = row.figure(column);
            match figure.and_then(|f| f.spread) {
                Some(s) => {
                    pen.put_right(&show(s.median, column.unit), COLUMN, style_of(figure.map_or(Mark::None, |f| f.mark), theme))
                }
                None => pen.put_right("-", COLUMN, theme.dim),
            };
        }
        line += 1;
    }
    line
}

/// The best, and what cannot be told from it, are green.
fn style_of(mark: Mark, theme: &Theme) -> Style {
    match mark {
        Mark::Best | Mark::AsGood => theme.good,
        Mark::None => theme.strong,
    }
}

fn bar_of(app: &App, row: &Row, full: f64, cells: u16, theme: &Theme, pen: &mut Pen<'_>) {
    let Some((spread, figure)) = row.spread(app.compare.sort).zip(row.figure(app.compare.sort)) else { return };
    let style = if figure.mark == Mark::None { theme.cool } else { theme.good };
    pen.put(&bar(spread, full, usize::from(cells.saturating_sub(1)), app.options.unicode), style);
}
