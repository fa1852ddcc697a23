//! The Compare screen: selection and progress, bars with spread, figures, curves of a sweep, and the finding.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use crate::app::App;
use crate::app::msg::Pointed;
use crate::lab::measure::{Better, MEASURES, Measure, counted, measure};
use crate::lab::report::{Comparison, Mark, Row, advice_lines, differences, show, with_spread};
use crate::text::{self, Charset, sanitize_str};

use super::lab::bars::{Scale, times};
use super::pen::{Pen, dot};
use super::plot;
use super::theme::Theme;
use super::words::wrap;

mod labels;
mod others;
use labels::Labels;

/// Columns beside the bars, the most wanted first.
const COLUMNS: [&str; 7] = ["wall", "creation", "cpu", "speed_up", "worker_pss", "first_task", "voluntary_switches"];
/// Width of such a column.
const COLUMN: u16 = 11;
/// Cells of the value beside a bar.
const VALUE: u16 = 20;
/// Cells of the ratio to the best, after the value.
const RATIO: u16 = 7;
/// Lines of a plot where there is room.
const PLOT_LINES: u16 = 14;
/// Lines without which a plot says nothing.
const PLOT_LEAST: u16 = 7;
/// Lines of the table that a plot leaves: the heads and some rows.
const TABLE_LEAST: u16 = 5;
/// Most pieces of advice; each takes the lines it needs, as far as there are some.
const ADVICE: usize = 3;
/// Most lines of what was chosen, where there is a table too.
const CHOSEN_LINES: u16 = 8;
/// From this height on parts are divided by empty lines.
const TALL: u16 = 22;

/// Where the parts of the screen are. What does not fit is scrolled (rows) or steps back (advice first, then the plot).
#[derive(Debug, Clone, Copy)]
pub struct Place {
    head: Rect,
    /// The chosen systems; empty once there are figures.
    chosen: Rect,
    /// The heads and the rows.
    table: Rect,
    finding: Rect,
    advice: Rect,
    plot: Rect,
    /// Bars of the other measures; without lines where there is a plot, or no room.
    others: Rect,
}

impl Place {
    /// In that part of the screen, for what the application shows now.
    #[must_use]
    pub fn of(app: &App, body: Rect) -> Self {
        let view = &app.compare;
        let gap = u16::from(body.height >= TALL);
        let mut y = body.y;
        let mut take = |height: u16, gap: u16| {
            let rect = Rect { y, height: height.min(body.bottom() - y), ..body };
            y = rect.bottom().saturating_add(gap).min(body.bottom());
            rect
        };
        let head = take(3, gap);
        let Some(table) = view.table() else {
            let [chosen, none] = [take(body.height, 0), take(0, 0)];
            return Self { head, chosen, table: none, finding: none, advice: none, plot: none, others: none };
        };
        let systems = u16::try_from(view.chosen.len()).unwrap_or(u16::MAX);
        let least = if view.running || !view.measured() { systems.clamp(2, CHOSEN_LINES) } else { 0 };
        let chosen = take(least, gap.min(least));
        let room = body.bottom() - chosen.bottom().max(head.bottom()) - gap;
        let wanted = u16::try_from(table.rows.len() + 1).unwrap_or(u16::MAX);
        let finding = u16::try_from(finding_lines(app, table, body.width).len()).unwrap_or(0);
        let words = finding + 2 * gap.min(finding);
        let free = room.saturating_sub(words);
        let plot = view.plot().map_or(0, |found| {
            let legend = plot::legend_lines(found, body.width);
            let (least, most) = (legend + PLOT_LEAST, legend + PLOT_LINES);
            match free.saturating_sub(wanted) {
                spare if spare >= least => spare.min(most),
                _ if free >= least + TABLE_LEAST.min(wanted) => least,
                _ => 0,
            }
        });
        let table_lines = wanted.min(free - plot.min(free));
        let advice = u16::try_from(advice(app, table, body.width).len()).unwrap_or(0);
        let advice = advice.min(free.saturating_sub(table_lines + plot));
        let table = take(table_lines, gap);
        let finding = take(finding, gap.min(finding));
        let advice = take(advice, if plot == 0 { gap.min(advice) } else { 0 });
        let plot = take(plot, 0);
        let others = take(if plot.height == 0 { body.height } else { 0 }, 0);
        Self { head, chosen, table, finding, advice, plot, others }
    }

    /// Rows of the table that have room.
    #[must_use]
    pub fn rows(&self) -> usize {
        usize::from(self.table.height.saturating_sub(1))
    }

    /// What the mouse means at a cell.
    #[must_use]
    pub fn point(&self, app: &App, x: u16, y: u16) -> Option<Pointed> {
        let inside = |r: Rect| r.contains((x, y).into());
        if inside(self.chosen) {
            return (usize::from(y - self.chosen.y) < app.compare.chosen.len()).then(|| Pointed::ListLine(y - self.chosen.y));
        }
        let table = app.compare.table().filter(|_| inside(self.table))?;
        if y > self.table.y {
            let line = y - self.table.y - 1;
            return (app.compare.top + usize::from(line) < table.rows.len()).then_some(Pointed::Row(line));
        }
        let measure = Grid::of(app, table, self.table).measure_at(app, x)?;
        MEASURES.iter().position(|m| m.id == measure.id).map(Pointed::Head)
    }
}

/// Where the columns of the table are.
struct Grid<'a> {
    /// What rows are called.
    labels: Labels<'a>,
    /// Where bars begin.
    bars: u16,
    /// Cells of a bar.
    cells: u16,
    /// Where the other measures begin.
    right: u16,
    /// Those measures.
    shown: Vec<&'static Measure>,
}

impl<'a> Grid<'a> {
    fn of(app: &App, table: &'a Comparison, area: Rect) -> Self {
        let labels = Labels::of(&table.rows, usize::from(area.width));
        let label = u16::try_from(labels.cells).unwrap_or(u16::MAX).saturating_add(2);
        let free = area.width.saturating_sub(label + VALUE + RATIO);
        let shown = columns(app, free.saturating_sub(12));
        let cells = free.saturating_sub(COLUMN * u16::try_from(shown.len()).unwrap_or(0)).min(60);
        let bars = area.x + label;
        Self { labels, bars, cells, right: bars + cells + VALUE + RATIO, shown }
    }

    /// The measure whose column a cell is in.
    fn measure_at(&self, app: &App, x: u16) -> Option<&'static Measure> {
        match x.checked_sub(self.right) {
            Some(over) => self.shown.get(usize::from(over / COLUMN)).copied(),
            None => (x >= self.bars).then_some(app.compare.sort),
        }
    }
}

/// Draws it.
pub fn draw(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let place = Place::of(app, area);
    head(app, theme, place.head, buffer);
    if place.chosen.height > 0 {
        chosen(app, theme, place.chosen, buffer);
    }
    let Some(table) = app.compare.table() else { return };
    rows(app, table, theme, place.table, buffer);
    for (line, part) in (0..place.finding.height).zip(finding_lines(app, table, area.width)) {
        Pen::new(buffer, place.finding, line).skip(1).put(&part, theme.accent);
    }
    for (line, text) in (0..place.advice.height).zip(advice(app, table, area.width)) {
        Pen::new(buffer, place.advice, line).skip(1).put(&text, theme.warn);
    }
    others::draw(app, table, theme, place.others, buffer);
    if let Some(found) = app.compare.plot() {
        plot::draw(found, &look(app, theme), place.plot, buffer);
    }
}

fn finding_lines(app: &App, table: &Comparison, width: u16) -> Vec<String> {
    let finding = table.finding.as_ref();
    finding.map_or_else(Vec::new, |finding| wrap(&clean(app, finding), usize::from(width.saturating_sub(2))))
}

/// What a reader should know, in whole sentences; lines that go on are indented.
fn advice(app: &App, table: &Comparison, width: u16) -> Vec<String> {
    let room = usize::from(width.saturating_sub(4));
    let indented = |(line, part): (usize, String)| if line == 0 { part } else { format!("  {part}") };
    let said = advice_lines(table).into_iter().take(ADVICE);
    said.flat_map(|text| wrap(&clean(app, &text), room).into_iter().enumerate().map(indented)).collect()
}

fn look(app: &App, theme: &Theme) -> plot::Look {
    let color = |style: Style| style.fg.unwrap_or(Color::Reset);
    let colors = [theme.accent, theme.good, theme.warn, theme.cool, theme.bad, theme.strong].map(color);
    plot::Look { strong: theme.text, dim: theme.dim, colors, unicode: app.options.unicode }
}

fn clean(app: &App, text: &str) -> String {
    sanitize_str(text, Charset::from_unicode(app.options.unicode)).into_owned()
}

/// What is compared, how it is sorted, and what the keys do.
fn head(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let view = &app.compare;
    let mut pen = Pen::new(buffer, area, 0);
    pen.put(" Compare ", theme.accent);
    match view.table() {
        Some(table) if !table.title.is_empty() => pen.put(&clean(app, &table.title), theme.text),
        _ => pen.put("costs of systems, side by side", theme.text),
    };
    let mut pen = Pen::new(buffer, area, 1);
    let swept = view.axis.map_or("off", |a| a.title());
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
    let mut pen = Pen::new(buffer, area, 2);
    if view.stale() {
        pen.put(" The selection has changed: Enter runs it", theme.warn);
    } else {
        pen.put(" Enter run", theme.dim);
    }
    pen.put(&format!(" {d} s sweep {d} > < sort {d} d remove {d} X stop {d} c on the lab screen adds"), theme.dim);
}

/// The systems that were chosen.
fn chosen(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let view = &app.compare;
    if view.chosen.is_empty() {
        Pen::new(buffer, area, 0)
            .put(" The comparison is empty. ", theme.text)
            .put("c on the lab screen (2, then Tab) adds a system.", theme.dim);
        Pen::new(buffer, area, 1).put(" Enter compares fork, spawn and the fork server; s s Enter varies the memory.", theme.dim);
        return;
    }
    let first = (view.line + 1).saturating_sub(usize::from(area.height));
    for (at, (index, spec)) in (0..area.height).zip(view.chosen.iter().enumerate().skip(first)) {
        let style = if index == view.line && !view.measured() { theme.selected } else { theme.text };
        let words = format!("{}, {}, parent {} MiB", counted(spec.workers as usize, "worker"), spec.work(), spec.parent_mb);
        Pen::new(buffer, area, at).put(&format!(" {:<34}", spec.system), style).put(&words, theme.dim);
    }
    let Some(differ) = differences(view.chosen.iter()).filter(|_| view.table().is_none()) else { return };
    let last = u16::try_from(view.chosen.len()).unwrap_or(u16::MAX);
    for (at, part) in (last..area.height).zip(wrap(&differ, usize::from(area.width.saturating_sub(2)))) {
        Pen::new(buffer, area, at).put(" ", theme.text).put(&part, theme.warn);
    }
}

fn columns(app: &App, width: u16) -> Vec<&'static Measure> {
    let room = usize::from(width / COLUMN);
    COLUMNS.iter().filter_map(|c| measure(c)).filter(|m| m.id != app.compare.sort.id).take(room).collect()
}

/// A bar and figures for each row.
fn rows(app: &App, table: &Comparison, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let view = &app.compare;
    let grid = Grid::of(app, table, area);
    let figures_of = table.rows.iter().filter_map(|r| r.figure(view.sort));
    let scale = Scale::of(figures_of.flat_map(|f| f.repetitions.iter().copied().chain(f.spread.map(|s| s.median))));
    let best = best_of(table, view.sort);
    let room = usize::from(area.height.saturating_sub(1));
    let charset = Charset::from_unicode(app.options.unicode);
    let mut pen = Pen::new(buffer, area, 0);
    if table.rows.len() > room {
        let last = (view.top + room).min(table.rows.len());
        pen.put(&format!(" {}-{last} of {}", view.top + 1, table.rows.len()), theme.dim);
    } else if !grid.labels.front.is_empty() || !grid.labels.back.is_empty() {
        // What the labels below leave out is said once.
        let shared = format!("{}{}{}", grid.labels.front, charset.ellipsis(), grid.labels.back);
        pen.put(" ", theme.dim).put(&text::truncate(&shared, grid.labels.cells, charset), theme.dim);
    }
    let logarithmic = if scale.is_logarithmic() { " (logarithmic)" } else { "" };
    pen.to(grid.bars).put(view.sort.title, theme.head_sorted).put(logarithmic, theme.dim).to(grid.right - RATIO);
    pen.put_right("ratio", RATIO, theme.dim).to(grid.right);
    for column in &grid.shown {
        pen.put_right(column.title, COLUMN, theme.dim);
    }
    for (line, (at, row)) in (1..area.height).zip(table.rows.iter().enumerate().skip(view.top)) {
        let style = match row.asked {
            _ if at == view.row && view.measured() => theme.selected,
            true => theme.text,
            false => theme.dim,
        };
        Pen::new(buffer, area, line).put(" ", theme.text).put(&grid.labels.get(at, charset), style);
        figures(app, row, (scale, best), &grid, theme, Pen::new(buffer, area, line));
    }
}

/// The bar and the figures of one row.
fn figures(app: &App, row: &Row, (scale, best): (Scale, Option<f64>), grid: &Grid<'_>, theme: &Theme, mut pen: Pen<'_>) {
    let sort = app.compare.sort;
    pen.to(grid.bars);
    bar_of(app, (row, sort), scale, grid.cells, theme, &mut pen);
    pen.to(grid.bars + grid.cells);
    let sign = if app.options.unicode { "±" } else { "+-" };
    let figure = row.figure(sort);
    let words = figure.and_then(|f| f.spread).map_or_else(|| "-".to_owned(), |s| with_spread(&s, sort.unit, sign));
    pen.put_right(&words, VALUE, figure.map_or(theme.dim, |f| style_of(f.mark, theme)));
    let ratio = row.median(sort).zip(best).map(|(own, best)| times(own, best)).unwrap_or_default();
    pen.put_right(&ratio, RATIO, theme.dim);
    let mut put = |measure: &Measure, cells: u16| {
        let figure = row.figure(measure);
        let words = figure.and_then(|f| f.spread).map_or_else(|| "-".to_owned(), |s| show(s.median, measure.unit));
        pen.put_right(&words, cells, figure.map_or(theme.dim, |f| style_of(f.mark, theme)));
    };
    for column in &grid.shown {
        put(column, COLUMN);
    }
}

/// The best, and those as good as it, are green.
fn style_of(mark: Mark, theme: &Theme) -> Style {
    match mark {
        Mark::Best | Mark::AsGood => theme.good,
        Mark::None => theme.strong,
    }
}

/// The best median of a measure.
fn best_of(table: &Comparison, measure: &Measure) -> Option<f64> {
    let medians = table.rows.iter().filter_map(|row| row.median(measure));
    match measure.better {
        Better::Lower => medians.min_by(f64::total_cmp),
        Better::Higher => medians.max_by(f64::total_cmp),
    }
}

/// A bar up to the median, and a dot for each repetition.
fn bar_of(app: &App, (row, of): (&Row, &Measure), scale: Scale, cells: u16, theme: &Theme, pen: &mut Pen<'_>) {
    let Some(figure) = row.figure(of) else { return };
    let Some(spread) = figure.spread else { return };
    let style = if figure.mark == Mark::None { theme.cool } else { theme.good };
    let unicode = app.options.unicode;
    let cells = cells.saturating_sub(1);
    let filled = scale.cells(spread.median, cells);
    let dots: Vec<u16> = figure.repetitions.iter().map(|v| scale.cells(*v, cells).saturating_sub(1)).collect();
    for cell in 0..cells {
        match (dots.contains(&cell), cell < filled) {
            (true, _) => pen.put(if unicode { "●" } else { "o" }, style),
            (false, true) => pen.put(if unicode { "━" } else { "=" }, style),
            (false, false) => pen.put(" ", theme.text),
        };
    }
}
