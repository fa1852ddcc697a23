//! The lab screen: systems by section, lesson and parameters of the selected one, its newest run and the costs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::lab::measure::Unit;
use crate::lab::report::{creation, reported, show};
use crate::lab::run::Run;
use crate::text::{self, Charset, sanitize_str};

use super::layout::Layout;
use super::pen::Pen;
use super::theme::Theme;
use super::words::{phase, wrap};

mod lanes;
mod list;
mod share;

use share::Share;

/// Most warnings that are shown.
const WARNINGS: usize = 3;
/// Keys named below the form; whole ones go to the next line where they do not fit.
const KEYS: [(&str, &str); 9] = [
    ("Enter", "run"),
    ("P", "guess first"),
    ("] [", "parameter"),
    ("Left Right", "change"),
    ("e", "type it"),
    ("V", "timeline"),
    ("c", "compare"),
    ("o", "output"),
    ("X", "stop"),
];
/// Those of them that start or end a run: refused with `--readonly`.
const STARTING: [&str; 3] = ["Enter", "P", "X"];
/// Lines above which the screen can afford empty ones.
const ROOMY: u16 = 24;

/// Draws it.
pub fn draw(app: &App, theme: &Theme, layout: &Layout, buffer: &mut Buffer) {
    list::draw(app, theme, layout.lab_list, buffer);
    let area = layout.lab_detail;
    for y in area.y..area.bottom() {
        let line = Rect { y, height: 1, width: 2, ..area };
        Pen::new(buffer, line, 0).put(if app.options.unicode { "│" } else { "|" }, theme.dim);
    }
    let inner = Rect { x: area.x + 2, width: area.width.saturating_sub(2), ..area };
    let small = inner.height <= ROOMY && app.lab.shown().is_some();
    let below = |rect: Rect, used: u16| Rect { y: rect.y + used, height: rect.height.saturating_sub(used), ..rect };
    let rest = below(inner, form(app, small, theme, inner, buffer));
    match app.lab.shown() {
        // Where there is little room a run's workers need it more than what has been read before: words get what is left.
        Some(run) if small => {
            let least = Rect { height: rest.height.saturating_sub(1), ..rest };
            let rest = below(rest, show_run(app, run, true, theme, least, buffer));
            let rest = below(rest, keys(app, theme, rest, buffer));
            let lesson = app.lab.chosen().lesson;
            let watch = lesson.find("Watch ").map_or(lesson, |at| &lesson[at..]);
            for (line, part) in (0..rest.height).zip(wrap(watch, usize::from(rest.width))) {
                Pen::new(buffer, rest, line).put(&part, theme.text);
            }
        }
        Some(run) => {
            show_run(app, run, false, theme, rest, buffer);
        }
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
    line += parameters(app, small, theme, Rect { y: area.y + line, height: area.height.saturating_sub(line), ..area }, buffer);
    if small {
        return line;
    }
    line += keys(app, theme, Rect { y: area.y + line, height: area.height.saturating_sub(line), ..area }, buffer);
    // Where there is room for it, a line of air.
    line + u16::from(area.height > ROOMY)
}

/// What can be chosen of the system; returns the lines used.
fn parameters(app: &App, small: bool, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let mut line = 0;
    let mut pen = Pen::new(buffer, area, line);
    for (i, field) in app.lab.fields().iter().enumerate() {
        let value = app.lab.value(*field);
        // Why it is that one can be read where there is room.
        let value = if small { value.split(", ").next().unwrap_or_default() } else { &value };
        let needed = field.label().len() + text::width(value) + 3;
        if usize::from(pen.left()) < needed {
            line += 1;
            pen = Pen::new(buffer, area, line);
        }
        let chosen = i == app.lab.field;
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

/// Returns the lines used.
fn show_run(app: &App, run: &Run, small: bool, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let rest = |line: u16| Rect { y: area.y + line, height: area.height.saturating_sub(line), ..area };
    let charset = Charset::from_unicode(app.options.unicode);
    Pen::new(buffer, area, 0).fill(if app.options.unicode { "─" } else { "-" }, theme.dim);
    // On a small screen it stands on the rule.
    let above = u16::from(!small);
    let mut line = above + phase_line(run, small, theme, rest(above), buffer);
    line += guess_line(app, run, theme, rest(line), buffer);
    for check in run.shape.iter().filter(|c| !c.met && run.ended()) {
        Pen::new(buffer, area, line)
            .put(&format!("  {}: expected {}, seen {}", check.what, check.expected, check.seen), theme.warn);
        line += 1;
    }
    let costs = cost_lines(app, run);
    let warnings: Vec<String> = run.warnings.iter().take(WARNINGS).map(|w| sanitize_str(w, charset).into_owned()).collect();
    let warnings: Vec<String> = warnings.iter().flat_map(|w| wrap(w, usize::from(area.width))).collect();
    let roomy = rest(line).height > costs.len() as u16 + ROOMY / 2;
    let gap = u16::from(roomy);
    let wanted = Share { lanes: lanes::wanted(run), costs: costs.len(), results: run.values.len(), warnings: warnings.len() };
    let share = wanted.of(usize::from(rest(line + gap).height), wanted.lanes - run.workers.len(), roomy);
    let room = u16::try_from(share.lanes).unwrap_or(u16::MAX);
    line += lanes::draw(app, run, theme, Rect { height: room, ..rest(line) }, buffer) + gap;
    for (label, text) in costs.iter().take(share.costs) {
        cost_line(label, text, theme, Pen::new(buffer, area, line));
        line += 1;
    }
    for (i, value) in run.values.iter().take(share.results).enumerate() {
        let mut pen = Pen::new(buffer, area, line);
        pen.put(if i == 0 { "result   " } else { "         " }, theme.dim);
        let (name, text) = reported(value);
        pen.put(&sanitize_str(&name, charset), theme.text).put("  ", theme.text);
        let hidden = run.values.len() - share.results;
        let more = if i + 1 == share.results && hidden > 0 { format!("   and {hidden} more: o") } else { String::new() };
        // Half a number would be another one: what is cut says so, and `o` shows it whole.
        let room = usize::from(pen.left()).saturating_sub(text::width(&more));
        pen.put(&text::fit(text.as_bytes(), room, charset), theme.strong).put(&more, theme.dim);
        line += 1;
    }
    for warning in warnings.iter().take(share.warnings) {
        Pen::new(buffer, area, line).put(warning, theme.warn);
        line += 1;
    }
    line
}

fn cost_line(label: &str, text: &str, theme: &Theme, mut pen: Pen<'_>) {
    pen.put(&format!("{label:9}"), theme.dim);
    // What does not fit whole is left out: half a number would be another one.
    for (i, part) in text.split("   ").enumerate() {
        if usize::from(pen.left()) < text::width(part) + if i > 0 { 3 } else { 0 } {
            break;
        }
        pen.put(if i > 0 { "   " } else { "" }, theme.text).put(part, theme.strong);
    }
}

/// What was guessed of the run, and what was so; returns the lines used.
fn guess_line(app: &App, run: &Run, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let Some(guess) = app.predict.last.as_ref().filter(|g| g.run == run.id) else { return 0 };
    let mut pen = Pen::new(buffer, area, 0);
    pen.put("guess    ", theme.dim).put(&guess.guessed(), theme.strong);
    let Some(told) = guess.told() else {
        pen.put("   known after the run", theme.dim);
        return 1;
    };
    let (mark, style) = match guess.right() {
        Some(true) => ("right", theme.good),
        Some(false) => ("truth", theme.warn),
        None => ("open", theme.dim),
    };
    let mut line = 0;
    let told = format!("{told} ({} of {} right)", app.predict.right, app.predict.settled);
    if usize::from(pen.left()) >= 3 + text::width(mark) + 2 + text::width(&told) {
        pen.put("   ", theme.text).put(mark, style).put(": ", style).put(&told, theme.strong);
        return 1;
    }
    for part in wrap(&told, usize::from(area.width.saturating_sub(9))) {
        line += 1;
        let label = if line == 1 { mark } else { "" };
        Pen::new(buffer, area, line).put(&format!("{label:9}"), style).put(&part, theme.strong);
    }
    1 + line
}

/// How far it is, and what of its shape is as expected; returns the lines used.
fn phase_line(run: &Run, small: bool, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let (text, style) = phase(run, theme);
    let mut line = 0;
    let mut pen = Pen::new(buffer, area, 0);
    pen.put(&format!("run {}  ", run.id), theme.strong).put(&text, style);
    let of = |met: bool| run.shape.iter().filter(|c| c.met == met).map(|c| c.what.as_str()).collect::<Vec<_>>().join(", ");
    let parts = [("no ", theme.bad, of(false)), ("ok ", theme.good, of(true))];
    let parts: Vec<_> = parts.into_iter().filter(|(.., what)| !what.is_empty()).collect();
    let cells: usize = parts.iter().map(|(mark, _, what)| 2 + mark.len() + text::width(what)).sum();
    if parts.is_empty() {
        return 1;
    }
    if usize::from(pen.left()) >= 8 + cells {
        pen.put("   shape", theme.dim);
        for (mark, style, what) in parts {
            pen.put("  ", theme.text).put(mark, style).put(&what, theme.text);
        }
        return 1;
    }
    if small && run.shape.iter().all(|c| c.met) {
        let all = format!("all {} as expected", run.shape.len());
        pen.put("  shape ", theme.dim).put("ok ", theme.good).put(&all, theme.text).put(" ", theme.text);
        return 1;
    }
    for (mark, style, what) in parts {
        for (i, part) in wrap(&what, usize::from(area.width.saturating_sub(10))).into_iter().enumerate() {
            let label = if line == 0 { "shape  " } else { "" };
            line += 1;
            let mark = if i == 0 { mark } else { "" };
            Pen::new(buffer, area, line)
                .put(&format!("{label:7}"), theme.dim)
                .put(&format!("{mark:3}"), style)
                .put(&part, theme.text);
        }
    }
    line + 1
}

fn cost_lines(app: &App, run: &Run) -> Vec<(&'static str, String)> {
    let c = &run.costs;
    let mut lines = Vec::new();
    if let Some(s) = &c.creation_ns {
        lines.push(("create", creation(s, "   ")));
    }
    let ns = |v: Option<u64>| v.map_or_else(|| "-".to_owned(), |n| time(n as f64));
    let mb = |v: Option<u64>| v.map_or_else(|| "-".to_owned(), |n| show(n as f64, Unit::Bytes));
    if c.wall_ns.is_some() || c.user_ns.is_some() {
        let memory = format!("peak {} RSS, {} PSS", mb(c.peak_rss_bytes), mb(c.peak_pss_bytes));
        let n = |v: Option<u64>| v.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let (cpu, events) = if c.user_ns.is_some() || run.ended() {
            let events = format!(
                "   faults {} minor, {} major   switches {} voluntary, {} not",
                n(c.minor_faults),
                n(c.major_faults),
                n(c.voluntary_switches),
                n(c.involuntary_switches)
            );
            (format!("cpu {} user + {} system   teardown {}", ns(c.user_ns), ns(c.sys_ns), ns(c.teardown_ns)), events)
        } else {
            // The work is done, and it stays to be looked at: the rest is known when all of it has been waited for.
            (format!("cpu {}", ns(c.so_far_cpu_ns)), String::new())
        };
        lines.push(("wall", format!("{}   {cpu}", ns(c.wall_ns))));
        lines.push(("memory", memory + &events));
    }
    if c.run_delay_ns.is_some() || c.sent_bytes.is_some() {
        let sent = c.sent_bytes.map_or_else(String::new, |bytes| format!("   {} sent between processes", mb(Some(bytes))));
        lines.push(("waited", format!("{} for a CPU, all workers together{sent}", ns(c.run_delay_ns))));
    }
    let rivals: Vec<String> = app
        .lab
        .rivals()
        .iter()
        .take(4)
        .filter_map(|r| r.costs.creation_ns.as_ref().map(|s| format!("{} {}", r.spec.system, time(s.median))))
        .collect();
    if !rivals.is_empty() {
        lines.push(("against", rivals.join("   ")));
    }
    if !run.output.is_empty() {
        lines.push(("printed", format!("{} lines: o shows them", run.output.lines().count())));
    }
    lines
}

/// A time with three digits and its unit.
fn time(ns: f64) -> String {
    show(ns, Unit::Ns)
}
