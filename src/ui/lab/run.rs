//! The run's pane of the lab: lanes, costs, what was expected and seen, results, and what was printed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::pen::{Pen, height};
use super::super::theme::Theme;
use super::bars::{self, BarLine};
use super::share::Share;
use super::{below, lanes, phase, seen, time, wrap};
use crate::app::App;
use crate::lab::lanes::{interesting, lanes as all_lanes, picture};
use crate::lab::measure::{Unit, counted};
use crate::lab::report::{creation, reported, show};
use crate::lab::run::Run;
use crate::text::{self, Charset, sanitize_str};

/// Most warnings that are shown.
const WARNINGS: usize = 3;
/// Lines above which a stacked pane can afford empty ones.
const ROOMY: u16 = 24;
/// Most bars of costs.
const BARS: usize = 9;
/// Width from which costs stand beside the lanes.
const TWO_COLUMNS: u16 = 84;
/// Most lines of lanes, unless the costs beside them take more.
const LANES_MOST: u16 = 24;
/// Lines of the curve, at least and at most.
const CURVE_LEAST: u16 = 3;
const CURVE_MOST: u16 = 12;
/// Cells of a label of the costs.
const LABEL: usize = 9;

/// One part below the other, for a small screen; returns the lines used.
pub fn stacked(app: &App, run: &Run, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let rest = |line: u16| below(area, line);
    let charset = Charset::from_unicode(app.options.unicode);
    Pen::new(buffer, area, 0).fill(if app.options.unicode { "─" } else { "-" }, theme.dim);
    // On a small screen it stands on the rule.
    let mut line = phase_line(run, theme, rest(0), buffer);
    for check in run.shape.iter().filter(|c| !c.met && run.ended()) {
        Pen::new(buffer, area, line)
            .put(&format!("  {}: expected {}, seen {}", check.what, check.expected, check.seen), theme.warn);
        line += 1;
    }
    let costs = cost_lines(run);
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
    line += results(app, run, share.results, theme, rest(line), buffer);
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

/// Everything, where there is room: lanes with costs beside them, then the rest below.
pub fn full(app: &App, run: &Run, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let charset = Charset::from_unicode(app.options.unicode);
    Pen::new(buffer, area, 0).fill(if app.options.unicode { "─" } else { "-" }, theme.dim);
    let mut line = 1 + phase_line(run, theme, below(area, 1), buffer);
    let warnings = run.warnings.iter().take(WARNINGS).map(|w| sanitize_str(w, charset).into_owned());
    for part in warnings.flat_map(|w| wrap(&w, usize::from(area.width))) {
        Pen::new(buffer, area, line).put(&part, theme.warn);
        line += 1;
    }
    line += 1;
    line += if area.width >= TWO_COLUMNS {
        beside(app, run, theme, below(area, line), buffer)
    } else {
        under(app, run, theme, below(area, line), buffer)
    };
    line += 1;
    line += results(app, run, usize::MAX, theme, below(area, line), buffer);
    line += seen::expected(run, theme, below(area, line), buffer);
    line += 1;
    line += seen::printed(app, run, theme, below(area, line), buffer);
    curve(app, run, theme, below(area, line + 1), buffer);
}

/// How much went on at once over time, in the lines that nothing else needs.
fn curve(app: &App, run: &Run, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let lines = area.height.saturating_sub(2).min(CURVE_MOST);
    let cells = usize::from(area.width);
    if lines < CURVE_LEAST || run.workers.is_empty() {
        return;
    }
    let window = interesting(run, app.lab.now_ns);
    let picture = picture(run, &all_lanes(run), 0..0, window, cells);
    let sampled = picture.parallelism.iter().any(Option::is_some);
    let (title, values): (&str, Vec<f64>) = match sampled {
        true => ("tasks on a CPU", picture.parallelism.iter().map(|p| p.unwrap_or(0.0)).collect()),
        false => ("tasks in progress", picture.concurrency),
    };
    let most = values.iter().copied().fold(0.0, f64::max);
    Pen::new(buffer, area, 0).put(&format!("{title} over {}, at most {most:.1}", time(window.length_ns() as f64)), theme.dim);
    for row in 0..lines {
        let mut pen = Pen::new(buffer, area, 1 + row);
        let under = f64::from(lines - 1 - row);
        for value in &values {
            let share = (value / most.max(1.0) * f64::from(lines) - under).clamp(0.0, 1.0);
            let glyph = if share < 0.06 { " " } else { height(share as f32, app.options.unicode) };
            pen.put(glyph, if sampled { theme.good } else { theme.cool });
        }
    }
}

/// Lanes at the left, costs at the right; returns the lines used.
fn beside(app: &App, run: &Run, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let right = (area.width * 9 / 20).clamp(42, 90);
    let left = Rect { width: area.width - right - 2, ..area };
    let right = Rect { x: left.x + left.width + 2, width: right, ..area };
    let costs = costs(app, run, theme, right, buffer);
    let room = costs.max(area.height.saturating_sub(12)).min(LANES_MOST.max(costs)).min(area.height);
    let lanes = lanes::draw(app, run, theme, Rect { height: room, ..left }, buffer);
    lanes.max(costs)
}

/// Lanes, and costs below them; returns the lines used.
fn under(app: &App, run: &Run, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let room = (area.height / 2).max(6).min(area.height);
    let lanes = lanes::draw(app, run, theme, Rect { height: room, ..area }, buffer);
    let rest = below(area, lanes + 1);
    lanes + 1 + costs(app, run, theme, rest, buffer)
}

/// What one worker costs beside others, as bars, and what the run cost; returns the lines used.
fn costs(app: &App, run: &Run, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let all = app.cost_bars(run);
    let base = all.iter().find(|bar| bar.name == "thread" && !bar.own).map(|bar| bar.name.clone());
    let mut lines: Vec<BarLine> = all
        .into_iter()
        .map(|bar| BarLine { label: bar.name, value: Some(bar.ns), unit: Unit::Ns, kind: "", own: bar.own })
        .collect();
    // The cheapest and this run's own stay.
    while let Some(at) = (lines.len() > BARS).then(|| lines.iter().rposition(|line| !line.own)).flatten() {
        lines.remove(at);
    }
    let mut line = 0;
    if !lines.is_empty() {
        let scale = bars::Scale::of(lines.iter().filter_map(|line| line.value));
        let words = if scale.is_logarithmic() { "creating one worker (logarithmic)" } else { "creating one worker" };
        Pen::new(buffer, area, 0).put(words, theme.dim);
        line = 1 + bars::draw(&lines, base.as_deref(), theme, app.options.unicode, below(area, 1), buffer);
    }
    for (label, text) in cost_lines(run) {
        for (at, part) in flowed(&text, usize::from(area.width).saturating_sub(LABEL)).into_iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            Pen::new(buffer, area, line).put(&format!("{label:LABEL$}"), theme.dim).put(&part, theme.strong);
            line += 1;
        }
    }
    line.min(area.height)
}

/// Parts in lines of at most `width` cells; no part is broken.
fn flowed(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for part in text.split("   ") {
        let used = lines.last().map_or(0, |line| text::width(line));
        if used > 0 && used + 3 + text::width(part) > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            *line += if line.is_empty() { "" } else { "   " };
            *line += part;
        }
    }
    lines
}

/// What the run reported; returns the lines used.
fn results(app: &App, run: &Run, most: usize, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let charset = Charset::from_unicode(app.options.unicode);
    let room = most.min(usize::from(area.height));
    for (row, (i, value)) in (0..).zip(run.values.iter().enumerate().take(room)) {
        let mut pen = Pen::new(buffer, area, row);
        pen.put(&format!("{:LABEL$}", if i == 0 { "result" } else { "" }), theme.dim);
        let (name, text) = reported(value);
        pen.put(&sanitize_str(&name, charset), theme.text).put("  ", theme.text);
        let hidden = run.values.len() - room.min(run.values.len());
        let more = if i + 1 == room && hidden > 0 { format!("   and {hidden} more: o") } else { String::new() };
        // Half a number would be another one: what is cut says so, and `o` shows it whole.
        let room = usize::from(pen.left()).saturating_sub(text::width(&more));
        pen.put(&text::fit(text.as_bytes(), room, charset), theme.strong).put(&more, theme.dim);
    }
    u16::try_from(room.min(run.values.len())).unwrap_or(0)
}

/// How far it is, and what of its shape is as expected; returns the lines used.
fn phase_line(run: &Run, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let (text, style) = phase(run, theme);
    let mut line = 0;
    let mut pen = Pen::new(buffer, area, 0);
    pen.put(&format!("run {}  ", run.id), theme.strong).put(&text, style);
    let of = |met: bool| run.shape.iter().filter(|c| c.met == met).map(|c| c.what.as_str()).collect::<Vec<_>>().join(", ");
    let parts = [("no ", theme.bad, of(false)), ("ok ", theme.good, of(true))];
    let parts: Vec<_> = parts.into_iter().filter(|(.., what)| !what.is_empty()).collect();
    let cells: usize = parts.iter().map(|(mark, _, what)| 2 + mark.len() + text::width(what)).sum();
    // The parameters above are those of the next run.
    let asked = format!("   {}, {}", counted(run.spec.workers as usize, "worker"), run.spec.work());
    if parts.is_empty() {
        if usize::from(pen.left()) >= text::width(&asked) {
            pen.put(&asked, theme.dim);
        }
        return 1;
    }
    if usize::from(pen.left()) >= 8 + cells {
        pen.put("   shape", theme.dim);
        for (mark, style, what) in parts {
            pen.put("  ", theme.text).put(mark, style).put(&what, theme.text);
        }
        if usize::from(pen.left()) >= text::width(&asked) {
            pen.put(&asked, theme.dim);
        }
        return 1;
    }
    if run.shape.iter().all(|c| c.met) {
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

fn cost_lines(run: &Run) -> Vec<(&'static str, String)> {
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
    if !run.output.is_empty() {
        lines.push(("printed", format!("{} lines: o shows them", run.output.lines().count())));
    }
    lines
}
