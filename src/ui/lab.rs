//! The lab screen: systems by section, lesson and parameters of the selected one, its newest run and the costs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::app::lab_view::Field;
use crate::lab::measure::Unit;
use crate::lab::report::show;
use crate::text::{self, Charset, sanitize_str};

use super::layout::Layout;
use super::pen::Pen;
use super::theme::Theme;
use super::words::{phase, wrap};

pub mod bars;
mod lanes;
pub mod lesson;
mod list;
mod run;
mod seen;
mod share;

/// Keys named below the form; whole ones go to the next line where they do not fit.
const KEYS: [(&str, &str); 9] = [
    ("Enter", "run"),
    ("Shift-Tab", "lessons"),
    ("] [", "parameter"),
    ("Left Right", "change"),
    ("e", "type it"),
    ("V", "timeline"),
    ("c", "compare"),
    ("o", "output"),
    ("X", "stop"),
];
/// Those of them that start or end a run: refused with `--readonly`.
const STARTING: [&str; 2] = ["Enter", "X"];
/// Lines above which the screen can afford empty ones.
const ROOMY: u16 = 24;

/// Draws it.
pub fn draw(app: &App, theme: &Theme, layout: &Layout, buffer: &mut Buffer) {
    if app.lessons.open {
        lesson::draw(app, theme, layout.body, buffer);
    } else {
        systems(app, theme, layout, buffer);
    }
}

/// A line from top to bottom at the left of `area`.
fn rule(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    for line in 0..area.height {
        Pen::new(buffer, area, line).put(if app.options.unicode { "│" } else { "|" }, theme.dim);
    }
}

/// What is left of `rect` below so many lines.
fn below(rect: Rect, used: u16) -> Rect {
    Rect { y: rect.y.saturating_add(used), height: rect.height.saturating_sub(used), ..rect }
}

/// All systems, and the chosen one with its newest run.
fn systems(app: &App, theme: &Theme, layout: &Layout, buffer: &mut Buffer) {
    list::draw(app, theme, layout.lab_list, buffer);
    let area = layout.lab_detail;
    rule(app, theme, area, buffer);
    let inner = Rect { x: area.x + 2, width: area.width.saturating_sub(2), ..area };
    let small = inner.height <= ROOMY && app.lab.shown().is_some();
    let rest = below(inner, form(app, small, theme, inner, buffer));
    match app.lab.shown() {
        // Where there is little room a run's workers need it more than what has been read before: words get what is left.
        Some(run) if small => {
            let least = Rect { height: rest.height.saturating_sub(1), ..rest };
            let rest = below(rest, run::stacked(app, run, theme, least, buffer));
            let rest = below(rest, keys(app, theme, rest, buffer));
            let lesson = app.lab.chosen().lesson;
            let watch = lesson.find("Watch ").map_or(lesson, |at| &lesson[at..]);
            for (line, part) in (0..rest.height).zip(wrap(watch, usize::from(rest.width))) {
                Pen::new(buffer, rest, line).put(&part, theme.text);
            }
        }
        Some(run) => run::full(app, run, theme, rest, buffer),
        None => {
            let hint = format!("{} Its processes and threads appear here and on screen 1.", to_run(app));
            for (line, part) in (1..rest.height).zip(wrap(&hint, usize::from(rest.width))) {
                Pen::new(buffer, rest, line).put(&part, theme.dim);
            }
        }
    }
}

/// Title, lesson, parameters, keys; of these the title and the parameters on a small screen. Returns the lines used.
fn form(app: &App, small: bool, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let system = app.lab.chosen();
    let mut pen = Pen::new(buffer, area, 0);
    pen.put(system.title, theme.accent).put("  ", theme.text);
    // The list names it too.
    if usize::from(pen.left()) >= system.id.len() {
        pen.put(system.id, theme.dim);
    }
    let mut line = 1;
    let lesson = if small { Vec::new() } else { wrap(system.lesson, usize::from(area.width)) };
    for part in lesson {
        Pen::new(buffer, area, line).put(&part, theme.text);
        line += 1;
    }
    if let Some(mut why) = app.lab.unavailable(system) {
        if app.lab.can_be_set_up(system) {
            let packages = crate::lab::catalog::python_program(system.id).map_or(&[][..], |p| p.packages);
            why = format!("Needs {}: the first run installs it in a separate environment.", packages.join(" and "));
        }
        for part in wrap(&why, usize::from(area.width)) {
            Pen::new(buffer, area, line).put(&sanitize_str(&part, Charset::from_unicode(app.options.unicode)), theme.warn);
            line += 1;
        }
    }
    line += fields(
        app,
        &app.lab.fields(),
        small,
        theme,
        Rect { y: area.y + line, height: area.height.saturating_sub(line), ..area },
        buffer,
    );
    if small {
        return line;
    }
    line += keys(app, theme, Rect { y: area.y + line, height: area.height.saturating_sub(line), ..area }, buffer);
    // Where there is room for it, a line of air.
    line + u16::from(area.height > ROOMY)
}

/// Parameters with their values, the selected one marked; returns the lines used.
fn fields(app: &App, fields: &[Field], small: bool, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let mut line = 0;
    let mut pen = Pen::new(buffer, area, line);
    for field in fields {
        let value = app.lab.value(*field);
        // Why it is that one can be read where there is room.
        let value = if small { value.split(", ").next().unwrap_or_default() } else { &value };
        let needed = field.label().len() + text::width(value) + 3;
        if usize::from(pen.left()) < needed {
            line += 1;
            pen = Pen::new(buffer, area, line);
        }
        let chosen = app.lab.fields().get(app.lab.field) == Some(field);
        let style = if chosen { theme.head_sorted } else { theme.strong };
        let (open, shut) = if app.options.unicode { ("‹", "›") } else { ("<", ">") };
        pen.put(field.label(), if chosen { theme.accent } else { theme.dim }).put(" ", theme.text);
        pen.put(open, theme.dim).put(value, style).put(shut, theme.dim).put("  ", theme.text);
    }
    line + 1
}

/// What keys do here; returns the lines used.
fn keys(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let mut line = 0;
    let mut pen = Pen::new(buffer, area, line);
    let keys = KEYS.iter().filter(|(key, _)| !app.options.readonly || !STARTING.contains(key));
    for (key, does) in keys {
        if usize::from(pen.left()) < text::width(key) + 1 + text::width(does) {
            line += 1;
            pen = Pen::new(buffer, area, line);
        }
        pen.put(key, theme.text).put(" ", theme.text).put(does, theme.dim).put("  ", theme.text);
    }
    line + 1
}

/// How a system is run, or why it is not here.
pub fn to_run(app: &App) -> &'static str {
    if app.options.readonly { "--readonly prevents running it." } else { "Enter runs it." }
}

/// A time with three digits and its unit.
fn time(ns: f64) -> String {
    show(ns, Unit::Ns)
}
