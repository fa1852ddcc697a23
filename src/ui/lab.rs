//! The lab's screen: systems by section, the chosen one's lesson and parameters, its newest run live, and what it cost.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::App;
use crate::lab::catalog::SYSTEMS;
use crate::lab::lanes::interesting;
use crate::lab::measure::Unit;
use crate::lab::report::{creation, reported, show};
use crate::lab::run::{Outcome, Run, RunPhase, Worker};
use crate::text::{self, Charset, sanitize_str};

use super::layout::{Layout, lab_lines, lab_scroll};
use super::pen::Pen;
use super::theme::Theme;

/// Lanes that are shown before results get more than their least.
const LANES_WANTED: usize = 10;
/// Cells below which the lanes' heads give way to the lanes.
const NARROW: u16 = 70;
/// Lines of results that are shown in any case.
const RESULTS_LEAST: usize = 3;

/// Keys named below the form; whole ones go to the next line where they do not fit.
const KEYS: [(&str, &str); 8] = [
    ("Enter", "run"),
    ("P", "guess first"),
    ("] [", "parameter"),
    ("Left Right", "change"),
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
    list(app, theme, layout.lab_list, buffer);
    let area = layout.lab_detail;
    for y in area.y..area.bottom() {
        let line = Rect { y, height: 1, width: 2, ..area };
        Pen::new(buffer, line, 0).put(if app.options.unicode { "│" } else { "|" }, theme.dim);
    }
    let inner = Rect { x: area.x + 2, width: area.width.saturating_sub(2), ..area };
    let used = form(app, theme, inner, buffer);
    let rest = Rect { y: inner.y + used, height: inner.height.saturating_sub(used), ..inner };
    match app.lab.shown() {
        Some(run) => show_run(app, run, theme, rest, buffer),
        None => {
            let hint = format!("{} Its processes and threads appear here, and on screen 1.", to_run(app));
            for (line, part) in (1..rest.height).zip(wrap(&hint, usize::from(rest.width))) {
                Pen::new(buffer, rest, line).put(&part, theme.dim);
            }
        }
    }
}

fn list(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let lines = lab_lines();
    let scroll = lab_scroll(app, area.height);
    for (row, line) in (0..area.height).zip(lines.iter().skip(scroll)) {
        let mut pen = Pen::new(buffer, area, row);
        match line {
            None => {
                let section = lines[scroll + usize::from(row)..].iter().flatten().next().map(|i| SYSTEMS[*i].section);
                pen.put(&format!(" {}", section.map_or("", crate::lab::catalog::Section::title)), theme.accent);
            }
            Some(i) => {
                let system = &SYSTEMS[*i];
                let chosen = *i == app.lab.system;
                let unavailable = app.lab.unavailable(system).is_some();
                let style = match (chosen, unavailable) {
                    (true, _) => theme.selected,
                    (false, true) => theme.dim,
                    (false, false) => theme.text,
                };
                if chosen {
                    buffer.set_style(Rect { y: area.y + row, height: 1, ..area }, theme.selected);
                }
                let mut pen = Pen::new(buffer, area, row);
                pen.put(if chosen { " > " } else { "   " }, style).put(system.id, style);
                if app.lab.state.runs.iter().any(|r| !r.ended() && r.spec.system == system.id) {
                    pen.put(" running", theme.good);
                } else if unavailable {
                    let mark = if app.lab.can_be_set_up(system) { "to fetch " } else { "not here " };
                    if pen.left() > 9 {
                        pen.to(area.right().saturating_sub(9)).put(mark, theme.dim);
                    }
                } else if let Some(key) = system.quick_key {
                    let hint = format!("n {key} ");
                    if usize::from(pen.left()) > hint.len() {
                        pen.to(area.right().saturating_sub(u16::try_from(hint.len()).unwrap_or(4))).put(&hint, theme.dim);
                    }
                }
            }
        }
    }
}

/// Title, lesson, parameters; returns the lines used.
fn form(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let system = app.lab.chosen();
    Pen::new(buffer, area, 0).put(system.title, theme.accent).put("  ", theme.text).put(system.id, theme.dim);
    let mut line = 1;
    // Where there is little room a run's lanes need it more than what has been read before; what to watch stays.
    let short = area.height <= ROOMY && app.lab.shown().is_some();
    let watch = system.lesson.find("Watch ").filter(|_| short).map_or(system.lesson, |at| &system.lesson[at..]);
    for part in wrap(watch, usize::from(area.width)) {
        Pen::new(buffer, area, line).put(&part, theme.text);
        line += 1;
    }
    if let Some(mut why) = app.lab.unavailable(system) {
        if app.lab.can_be_set_up(system) {
            let packages = crate::lab::catalog::python_program(system.id).map_or(&[][..], |p| p.packages);
            why = format!("Needs {}: the first run fetches it into an environment of its own, once.", packages.join(" and "));
        }
        for part in wrap(&why, usize::from(area.width)) {
            Pen::new(buffer, area, line).put(&sanitize_str(&part, Charset::from_unicode(app.options.unicode)), theme.warn);
            line += 1;
        }
    }
    let mut pen = Pen::new(buffer, area, line);
    for (i, field) in app.lab.fields().iter().enumerate() {
        let value = app.lab.value(*field);
        let needed = field.label().len() + value.len() + 6;
        if usize::from(pen.left()) < needed {
            line += 1;
            pen = Pen::new(buffer, area, line);
        }
        let chosen = i == app.lab.field;
        let style = if chosen { theme.head_sorted } else { theme.strong };
        let (open, shut) = if app.options.unicode { ("‹", "›") } else { ("<", ">") };
        pen.put(field.label(), if chosen { theme.accent } else { theme.dim }).put(" ", theme.text);
        pen.put(open, theme.dim).put(&value, style).put(shut, theme.dim).put("  ", theme.text);
    }
    line += 1;
    let mut pen = Pen::new(buffer, area, line);
    let keys = KEYS.iter().filter(|(key, _)| !app.options.readonly || !STARTING.contains(key));
    for (key, does) in keys {
        if usize::from(pen.left()) < text::width(key) + 1 + text::width(does) {
            line += 1;
            pen = Pen::new(buffer, area, line);
        }
        pen.put(key, theme.text).put(" ", theme.text).put(does, theme.dim).put("  ", theme.text);
    }
    // Where there is room for it, a line of air.
    line + if area.height > ROOMY { 2 } else { 1 }
}

/// How a system is run, or why it is not here.
pub fn to_run(app: &App) -> &'static str {
    if app.options.readonly { "It would run without --readonly." } else { "Enter runs it." }
}

fn show_run(app: &App, run: &Run, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    Pen::new(buffer, area, 0).fill(if app.options.unicode { "─" } else { "-" }, theme.dim);
    phase_line(run, theme, Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area }, buffer);
    let mut line = 2 + guess_line(app, run, theme, Rect { y: area.y + 2, height: area.height.saturating_sub(2), ..area }, buffer);
    for check in run.shape.iter().filter(|c| !c.met && run.ended()) {
        Pen::new(buffer, area, line)
            .put(&format!("  {}: expected {}, seen {}", check.what, check.expected, check.seen), theme.warn);
        line += 1;
    }
    let costs = cost_lines(app, run);
    let fixed = u16::try_from(costs.len() + run.warnings.len().min(3)).unwrap_or(4) + 1;
    // Results get what the lanes leave, and three lines in any case; the rest is a key away.
    let left = usize::from(area.height.saturating_sub(line + fixed));
    let wanted = run.workers.len().min(LANES_WANTED) + helpers(run).count() + 2;
    let results = run.values.len().min(left.saturating_sub(wanted).max(RESULTS_LEAST));
    let room = u16::try_from(left.saturating_sub(results)).unwrap_or(0);
    line += lanes(app, run, theme, Rect { y: area.y + line, height: room, ..area }, buffer);
    line += 1;
    for (label, text) in costs {
        let mut pen = Pen::new(buffer, area, line);
        pen.put(&format!("{label:9}"), theme.dim);
        // What does not fit whole is left out: half a number would be another one.
        for (i, part) in text.split("   ").enumerate() {
            if usize::from(pen.left()) < text::width(part) + if i > 0 { 3 } else { 0 } {
                break;
            }
            pen.put(if i > 0 { "   " } else { "" }, theme.text).put(part, theme.strong);
        }
        line += 1;
    }
    let charset = Charset::from_unicode(app.options.unicode);
    for (i, value) in run.values.iter().take(results).enumerate() {
        let mut pen = Pen::new(buffer, area, line);
        pen.put(if i == 0 { "result   " } else { "         " }, theme.dim);
        let (name, text) = reported(value);
        pen.put(&sanitize_str(&name, charset), theme.text).put("  ", theme.text);
        let hidden = run.values.len() - results;
        let more = if i + 1 == results && hidden > 0 { format!("   and {hidden} more: o") } else { String::new() };
        // Half a number would be another one: what is cut says so, and `o` shows it whole.
        let room = usize::from(pen.left()).saturating_sub(text::width(&more));
        pen.put(&text::fit(text.as_bytes(), room, charset), theme.strong).put(&more, theme.dim);
        line += 1;
    }
    for warning in run.warnings.iter().take(3) {
        Pen::new(buffer, area, line).put(&sanitize_str(warning, Charset::from_unicode(app.options.unicode)), theme.warn);
        line += 1;
    }
}

/// What was guessed of the run, and what was so; returns the lines used.
fn guess_line(app: &App, run: &Run, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let Some(guess) = app.predict.last.as_ref().filter(|g| g.run == run.id) else { return 0 };
    let mut pen = Pen::new(buffer, area, 0);
    pen.put("guess    ", theme.dim).put(&guess.guessed(), theme.strong);
    let Some(told) = guess.told() else {
        pen.put("   the run will tell", theme.dim);
        return 1;
    };
    let (mark, style) = match guess.right() {
        Some(true) => ("   right: ", theme.good),
        Some(false) => ("   truth: ", theme.warn),
        None => ("   open: ", theme.dim),
    };
    pen.put(mark, style).put(&told, theme.strong);
    pen.put(&format!("   {} of {} right", app.predict.right, app.predict.settled), theme.dim);
    1
}

/// How far a run is, in words.
pub fn phase(run: &Run, theme: &Theme) -> (String, Style) {
    match &run.phase {
        RunPhase::Starting => ("starting".into(), theme.warn),
        // It only stays to be looked at.
        RunPhase::Running if run.costs.wall_ns.is_some() => ("work done".into(), theme.good),
        RunPhase::Running => ("running".into(), theme.good),
        RunPhase::Ending => ("ending".into(), theme.warn),
        RunPhase::Ended(Outcome::Done) => ("done".into(), theme.good),
        RunPhase::Ended(Outcome::Failed(why)) => (format!("failed: {}", sanitize_str(why, Charset::Unicode)), theme.bad),
        RunPhase::Ended(Outcome::Stopped) => ("stopped".into(), theme.warn),
        RunPhase::Ended(Outcome::TimedOut) => ("took longer than its timeout".into(), theme.bad),
    }
}

fn phase_line(run: &Run, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let mut pen = Pen::new(buffer, area, 0);
    pen.put(&format!("run #{}  ", run.id.0), theme.strong);
    let (text, style) = phase(run, theme);
    pen.put(&text, style);
    if !run.shape.is_empty() {
        pen.put("   shape", theme.dim);
        for check in &run.shape {
            let (mark, style) = if check.met { ("ok ", theme.good) } else { ("no ", theme.bad) };
            if usize::from(pen.left()) < 2 + mark.len() + text::width(&check.what) {
                break;
            }
            pen.put("  ", theme.text).put(mark, style).put(&check.what, theme.text);
        }
    }
}

/// One line per process of the family and per worker: pid, state, memory, how created, and its tasks over time.
fn lanes(app: &App, run: &Run, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    // Workers that only stay to be looked at would press all that they did into one cell.
    let window = interesting(run, app.lab.now_ns);
    let (start, end) = (window.from_ns, window.to_ns.max(window.from_ns + 1));
    let mut line = 0;
    if area.height == 0 {
        return 0;
    }
    let narrow = area.width < NARROW;
    let head = if narrow { "   TASK  S      RES  worker" } else { "    PID     TID  S      RES  START     worker" };
    Pen::new(buffer, area, 0).put(head, theme.dim).put(&format!("   {} across", time((end - start) as f64)), theme.dim);
    line += 1;
    for member in helpers(run) {
        // A line is left for the workers, if only to say how many they are.
        if line + u16::from(!run.workers.is_empty()) >= area.height {
            break;
        }
        let role = if Some(member.pid) == run.root_pid { "run root" } else { "helper" };
        let mut pen = Pen::new(buffer, area, line);
        identity(app, run, (Some(member.pid), Some(member.pid)), narrow, theme, &mut pen);
        pen.skip(if narrow { 0 } else { 10 }).put(role, theme.dim);
        line += 1;
    }
    let room = usize::from(area.height.saturating_sub(line));
    let shown = if run.workers.len() > room { room.saturating_sub(1) } else { run.workers.len() };
    for worker in run.workers.iter().take(shown) {
        let mut pen = Pen::new(buffer, area, line);
        identity(app, run, (worker.pid, worker.tid), narrow, theme, &mut pen);
        if !narrow {
            pen.put(&format!("{:9} ", worker.how.map_or("", crate::lab::protocol::Creation::badge)), theme.cool);
        }
        pen.put(&format!("#{:<5}", worker.index), theme.cool);
        spans(worker, start, end, app.options.unicode, theme, &mut pen);
        line += 1;
    }
    if shown < run.workers.len() {
        Pen::new(buffer, area, line).put(&format!("    ... and {} more workers", run.workers.len() - shown), theme.dim);
        line += 1;
    }
    line.min(area.height)
}

/// Members of the family that are not workers: the root, fork servers.
fn helpers(run: &Run) -> impl Iterator<Item = &crate::lab::run::FamilyMember> {
    run.family.iter().filter(|m| !run.workers.iter().any(|w| w.pid == Some(m.pid) && w.tid.is_none_or(|t| t == m.pid)))
}

/// Pid and tid, of which the tid alone stays where there is little room; state, memory.
fn identity(app: &App, run: &Run, (pid, tid): (Option<i32>, Option<i32>), narrow: bool, theme: &Theme, pen: &mut Pen<'_>) {
    let number = |n: Option<i32>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    if narrow {
        pen.put_right(&number(tid.or(pid)), 7, theme.text);
    } else {
        pen.put_right(&number(pid), 7, theme.text).put_right(&number(tid), 8, theme.dim);
    }
    let seen = pid.and_then(|pid| run.family.iter().find(|m| m.pid == pid)).filter(|_| !run.ended());
    let live = pid.and_then(|pid| app.model.as_deref()?.process(pid)).filter(|_| !run.ended());
    let state = live.map(|p| p.leader.state.letter()).or(seen.map(|m| m.state));
    let state = state.unwrap_or('-');
    pen.put("  ", theme.text).put(&state.to_string(), theme.state(state));
    let mut memory = String::new();
    match live.and_then(|p| p.rss_bytes).or(seen.and_then(|m| m.rss_bytes)) {
        Some(rss) => memory.push_str(&show(rss as f64, Unit::Bytes)),
        None => memory.push('-'),
    }
    pen.put_right(&memory, 9, theme.text).put("  ", theme.text);
}

/// The worker's time: being created, working, idle, gone.
fn spans(worker: &Worker, start: u64, end: u64, unicode: bool, theme: &Theme, pen: &mut Pen<'_>) {
    let cells = usize::from(pen.left());
    let scale = (end - start) as f64 / cells.max(1) as f64;
    for cell in 0..cells {
        let from = start + (cell as f64 * scale) as u64;
        let to = start + ((cell + 1) as f64 * scale) as u64;
        let overlaps = |a: Option<u64>, b: Option<u64>| a.is_some_and(|a| a < to.max(from + 1)) && b.unwrap_or(u64::MAX) > from;
        let working = worker.spans.iter().any(|s| overlaps(Some(s.start_ns), s.end_ns));
        let creating = overlaps(worker.requested_ns, worker.ready_ns);
        let alive = overlaps(worker.ready_ns, worker.exited_ns);
        let (mark, style) = match (working, creating, alive, unicode) {
            (true, _, _, true) => ("▇", theme.good),
            (true, _, _, false) => ("#", theme.good),
            (_, true, _, true) => ("░", theme.warn),
            (_, true, _, false) => (":", theme.warn),
            (_, _, true, true) => ("▁", theme.dim),
            (_, _, true, false) => ("_", theme.dim),
            _ => (" ", theme.dim),
        };
        pen.put(mark, style);
    }
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

/// Words in lines of at most `width` cells.
pub fn wrap(words: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split_whitespace() {
        let line = lines.last_mut().map_or(0, |l| text::width(l));
        if line > 0 && line + 1 + text::width(word) > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
