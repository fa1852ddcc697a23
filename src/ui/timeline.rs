//! The timeline screen: a lane per task, curves of concurrency and parallelism, and the state at the cursor.

mod processes;
mod spent;

use std::mem::discriminant;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::app::App;
use crate::app::family_time::FamilyTime;
use crate::app::msg::Pointed;
use crate::lab::lanes::{self, Lane, Mark, Moment, Picture, Role, Window};
use crate::lab::roles;
use crate::lab::run::Run;
use crate::text::{Charset, sanitize_str, width};

use super::pen::{Pen, dot};
use super::theme::Theme;
use super::words::{phase, wrap};

/// Cells before the lanes: narrow, and where there is room.
const LABEL: [u16; 2] = [27, 40];
/// From this width on there is room.
const WIDE: u16 = 110;
/// Lines below the lanes, beside the finding's: a gap, the two curves, the cursor, and the legend.
const FOOT: u16 = 5;
/// From this height on the curves have more than one line each.
const TALL: u16 = 30;
/// Lines of a curve then, at least.
const CURVE: u16 = 3;
/// And at most, where there are few lanes.
const CURVE_MOST: u16 = 4;
/// Lines of the sums of lanes, at least and at most, with a gap above them.
const SPENT: (u16, u16) = (4, 14);
/// Lines that a curve gains at most where nothing else needs them.
const CURVE_GROWS: u16 = 4;
/// Cells between two times on the axis.
const TICK: usize = 12;
const BLOCKS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Where the parts of the screen are.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Labels of lanes and curves.
    pub labels: Rect,
    /// The times.
    pub axis: Rect,
    /// The lanes.
    pub lanes: Rect,
    /// What is below them.
    pub foot: Rect,
    /// Lanes that would fit.
    pub room: u16,
    /// Lines of each curve.
    curve: u16,
    /// Lines of the finding.
    finding: u16,
    /// The process table as of the cursor; without lines where there is no room.
    table: Rect,
    /// Where the time of each lane went; without lines where there is no room.
    spent: Rect,
}

impl Place {
    /// In that part of the screen, for what the application shows now.
    #[must_use]
    pub fn of(app: &App, body: Rect) -> Self {
        let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        let lanes = app.timed_run().map_or(0, |run| count(lanes::lanes(run).len()));
        let processes = app.timed_run().and_then(|run| run.trace.as_deref()).map_or(0, |trace| count(trace.processes()));
        Self::new(body, lanes, (processes, app.timeline.processes))
    }

    /// With so many lanes; what they leave, the curves get, and then the processes. `processes` is how many of those there are, and
    /// whether they are asked for: then they get up to half, and on a small screen the curves step back.
    #[must_use]
    fn new(body: Rect, lanes: u16, (all_processes, asked_for): (u16, bool)) -> Self {
        let processes = asked_for.then_some(all_processes);
        let label = if body.width >= WIDE { LABEL[1] } else { LABEL[0].min(body.width / 2) };
        let small = body.height < TALL;
        let all = if body.width >= WIDE { (2, 1) } else { (2, 2) };
        let whole = |count: u16| 2 + FOOT + all.1 + lanes.saturating_add(count).saturating_add(1);
        let tight = small && processes.is_some_and(|count| whole(count) > body.height);
        let (curves, finding) = if tight { (0, 0) } else { all };
        let fixed = FOOT - 2 + curves + finding;
        let asked = processes.map_or(0, |count| (count + 1).min(body.height.saturating_sub(2 + fixed) / 2));
        let spare = body.height.saturating_sub(2 + fixed + asked).saturating_sub(lanes) / 2 + 1;
        let curve = spare.clamp(if small { 1 } else { CURVE }, CURVE_MOST) * curves.min(1);
        // What lanes and processes leave, the sums of the lanes get, and then the curves, which become higher.
        let used = 2 + lanes.saturating_add(fixed + 2 * curve + 2).saturating_add(all_processes.max(1));
        let unused = if small { 0 } else { body.height.saturating_sub(used) };
        let sums = if body.width >= WIDE && unused >= SPENT.0 { lanes.saturating_add(2).min(unused).min(SPENT.1) } else { 0 };
        let curve = curve + ((unused - sums) / 2).min(CURVE_GROWS) * curves.min(1);
        let foot_height = (fixed + (curves * curve).saturating_sub(curves)).min(body.height.saturating_sub(3));
        let room = body.height.saturating_sub(2 + foot_height + asked);
        let cut = |y: u16, height: u16| {
            let y = y.min(body.bottom());
            Rect { x: body.x + label, y, width: body.width - label, height: height.min(body.bottom() - y) }
        };
        let lanes = cut(body.y + 2, room.min(lanes.max(1)));
        let across = |y: u16, height: u16| Rect { x: body.x, width: body.width, ..cut(y, height) };
        let foot = across(lanes.bottom(), foot_height);
        let sums = sums.saturating_sub(1);
        let top = foot.bottom() + u16::from(processes.is_none());
        let end = body.bottom().saturating_sub(sums + u16::from(sums > 0));
        let most = if sums > 0 { all_processes.max(1).saturating_add(1) } else { body.height };
        let table = across(top, end.saturating_sub(top).min(most));
        let spent = across(table.bottom() + 1, sums);
        let labels = Rect { x: body.x, width: label, ..lanes };
        Self { labels, axis: cut(body.y + 1, 1), lanes, foot, room, curve, finding, table, spent }
    }

    /// What the mouse means at a cell.
    #[must_use]
    pub fn point(&self, x: u16, y: u16) -> Option<Pointed> {
        let inside = y >= self.lanes.y && y < self.lanes.bottom() && x >= self.lanes.x;
        inside.then(|| Pointed::Moment { line: y - self.lanes.y, cell: x - self.lanes.x })
    }
}

/// Draws it.
pub fn draw(app: &App, theme: &Theme, body: Rect, buffer: &mut Buffer) {
    let Some(run) = app.timed_run() else {
        nothing(theme, body, buffer);
        return;
    };
    let place = Place::of(app, body);
    let cells = usize::from(place.axis.width);
    let lanes = lanes::lanes(run);
    let window = app.timeline.window(run, app.lab.now_ns);
    let cursor = match app.timeline.cursor_ns {
        // Without a cursor of its own, it stays within what was seen.
        None => app.timeline.cursor(window).min(lanes::last_look_ns(run).unwrap_or(u64::MAX)).max(window.from_ns),
        Some(_) => app.timeline.cursor(window),
    };
    let first = app.timeline.first(lanes.len(), usize::from(place.lanes.height));
    let shown = first..lanes.len().min(first + usize::from(place.lanes.height));
    let picture = lanes::picture(run, &lanes, shown.clone(), window, cells);
    let view = View { app, theme, run, window, cursor, place };
    view.head(&lanes, body, buffer);
    view.axis(buffer);
    for (line, (at, marks)) in shown.clone().zip(&picture.marks).enumerate() {
        let line = u16::try_from(line).unwrap_or(u16::MAX);
        view.lane(&lanes[at], at == app.timeline.lane, line, marks, buffer);
    }
    if shown.end < lanes.len() && place.lanes.height > 0 {
        let more = match lanes.len() - shown.end {
            1 => " 1 more lane below ".to_owned(),
            more => format!(" {more} more lanes below "),
        };
        Pen::new(buffer, place.foot, 0).put(&more, theme.dim);
    }
    view.foot(&lanes, &picture, buffer);
    view.processes(&lanes, place.table, buffer);
    view.spent(&lanes, first, place.spent, buffer);
    view.cursor_line(buffer);
}

fn nothing(theme: &Theme, body: Rect, buffer: &mut Buffer) {
    Pen::new(buffer, body, 0)
        .put(" Timeline ", theme.accent)
        .put("when each process, thread and async task of a lab run ran", theme.text);
    Pen::new(buffer, body, 2).put(" No run yet. ", theme.text);
    for (line, (key, what)) in [
        ("n", "launches a demo: then f fork, p pool, t threads, a event loop"),
        ("2", "opens the lab: every system, with its parameters; V returns here"),
    ]
    .iter()
    .enumerate()
    {
        let line = u16::try_from(line).unwrap_or(0) + 3;
        Pen::new(buffer, body, line).put("   ", theme.text).put(key, theme.accent).put("  ", theme.text).put(what, theme.dim);
    }
}

/// A mean, and over how many nanoseconds it was taken.
type Mean = Option<(f64, u64)>;

struct View<'a> {
    app: &'a App,
    theme: &'a Theme,
    run: &'a Run,
    window: Window,
    cursor: u64,
    place: Place,
}

impl View<'_> {
    fn unicode(&self) -> bool {
        self.app.options.unicode
    }

    fn wide(&self) -> bool {
        self.place.labels.width >= LABEL[1]
    }

    fn zero_ns(&self) -> u64 {
        if let Some(family) = &self.app.timeline.family {
            return family.zero_ns;
        }
        self.run.workers.iter().filter_map(|w| w.requested_ns).min().unwrap_or(self.run.started_ns)
    }

    fn clean(&self, text: &str) -> String {
        sanitize_str(text, Charset::from_unicode(self.unicode())).into_owned()
    }

    /// Which family, and how closely it is looked at.
    fn family_head(&self, family: &FamilyTime, lanes: &[Lane<'_>], body: Rect, buffer: &mut Buffer) {
        let (theme, d, read) = (self.theme, dot(self.unicode()), &family.lanes);
        let mut pen = Pen::new(buffer, body, 0);
        pen.put(" live ", theme.good).put(&format!("PID {} {}", family.key.pid, family.name), theme.accent);
        pen.put(&format!(" and descendants {d} {} lanes", lanes.len()), theme.dim);
        if read.looks > 1 {
            let wall_ns = read.to_ns.saturating_sub(read.from_ns);
            let step = self.run.trace.as_deref().map_or(0, |trace| trace.step_ns) as f64 / 1e6;
            pen.put(&format!(" {d} read every {step:.0} ms"), theme.dim);
            if self.wide() {
                let cost = read.cost_ns as f64 * 100.0 / family.newest().to_ns.saturating_sub(family.zero_ns).max(1) as f64;
                pen.put(&format!(" {d} reading takes {cost:.1} % of a CPU {d} {} kept", lanes::duration(wall_ns)), theme.dim);
            }
        }
        let unwatched = self.run.trace.as_deref().map_or(0, |trace| trace.unwatched);
        if unwatched > 0 {
            pen.put(&format!(" {d} {unwatched} more tasks, less busy"), theme.warn);
        }
    }

    /// Which run, and how closely it was looked at.
    fn head(&self, lanes: &[Lane<'_>], body: Rect, buffer: &mut Buffer) {
        if let Some(family) = &self.app.timeline.family {
            return self.family_head(family, lanes, body, buffer);
        }
        let (theme, run, d) = (self.theme, self.run, dot(self.unicode()));
        let spec = &run.spec;
        let mut pen = Pen::new(buffer, body, 0);
        pen.put(&format!(" run {} ", run.id), theme.strong).put(&self.clean(&spec.system), theme.accent);
        let units = if self.wide() { format!("{} x {} {d} ", spec.tasks, spec.task.name()) } else { String::new() };
        let facts = format!(" {d} {} lanes {d} {units}", lanes.len());
        let (words, style) = phase(run, theme);
        pen.put(&facts, theme.dim).put(&words, style);
        let looked = match run.trace.as_deref() {
            Some(t) if t.step_ns > 0 => format!(" {d} sampled about every {:.0} ms", (t.step_ns as f64 / 1e6).max(1.0)),
            Some(_) => String::new(),
            None => format!(" {d} its tasks were not sampled: only its own reports are shown"),
        };
        pen.put(&looked, theme.dim);
        if let Some(missed) = run.trace.as_deref().map(|t| t.unwatched).filter(|n| *n > 0) {
            pen.put(&format!(" {d} {missed} more tasks were not sampled"), theme.warn);
        }
    }

    fn axis(&self, buffer: &mut Buffer) {
        let head = if self.wide() { "        PID     TID CPU S  lane" } else { "     TID CPU S  lane" };
        Pen::new(buffer, Rect { y: self.place.axis.y, height: 1, ..self.place.labels }, 0).put(head, self.theme.dim);
        let cells = usize::from(self.place.axis.width);
        for tick in lanes::ticks(self.window, self.zero_ns(), cells, TICK) {
            if tick.cell + tick.label.len() >= cells {
                continue;
            }
            let cell = u16::try_from(tick.cell).unwrap_or(u16::MAX);
            Pen::new(buffer, self.place.axis, 0)
                .skip(cell)
                .put(if self.unicode() { "╵" } else { "|" }, self.theme.dim)
                .put(&tick.label, self.theme.dim);
        }
    }

    fn lane(&self, lane: &Lane<'_>, chosen: bool, line: u16, marks: &[Mark], buffer: &mut Buffer) {
        let moment = lane.moment(self.cursor);
        self.label(lane, chosen, &moment, line, buffer);
        let mut pen = Pen::new(buffer, self.place.lanes, line);
        for mark in marks {
            let (text, style) = self.mark(*mark);
            pen.put(text, style);
        }
    }

    fn label(&self, lane: &Lane<'_>, chosen: bool, moment: &Moment, line: u16, buffer: &mut Buffer) {
        let theme = self.theme;
        let number = |n: Option<i32>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let mut pen = Pen::new(buffer, self.place.labels, line);
        let wide = self.wide();
        pen.put(if chosen { ">" } else { " " }, theme.accent);
        let inner = matches!(lane.role, Role::Inner(_));
        if wide {
            pen.put_right(&if inner { String::new() } else { number(lane.pid) }, 10, theme.text);
        }
        let tid = if inner || lane.role == Role::Gil { String::new() } else { number(lane.tid) };
        pen.put_right(&tid, if wide { 8 } else { 7 }, theme.text);
        let cpu = moment
            .cpu
            .filter(|_| matches!(moment.mark, Mark::Running(_) | Mark::Sharing(_) | Mark::SharingGil(_) | Mark::Starting(_)))
            .map_or(String::new(), |c| c.to_string());
        pen.put_right(&cpu, 4, theme.cool);
        let unread = if inner || lane.role == Role::Gil { ' ' } else { '-' };
        let state = moment.state.filter(|state| lane.role != Role::Gil && *state != lanes::WAITS_FOR_GIL).unwrap_or(unread);
        pen.put(" ", theme.text).put(&state.to_string(), theme.state(state)).put("  ", theme.text);
        let name = self.name(lane);
        let style = match lane.role {
            Role::Worker(_) | Role::Inner(_) => theme.strong,
            Role::Gil => theme.cool,
            Role::Root | Role::Other => theme.dim,
        };
        pen.put(&name, if chosen { theme.accent } else { style });
    }

    /// What a lane is called.
    fn name(&self, lane: &Lane<'_>) -> String {
        let how = || lane.how.map_or("", crate::lab::protocol::Creation::badge);
        match lane.role {
            Role::Root if self.app.timeline.family.is_some() => self.clean(lane.comm),
            Role::Root => if self.wide() { "main process" } else { "main" }.to_owned(),
            Role::Worker(w) => format!("#{w} {}", how()),
            Role::Inner(w) => format!("  #{w} {}", how()),
            Role::Gil => "GIL".to_owned(),
            Role::Other => self.other(lane),
        }
    }

    /// What a lane is that is neither the root nor a worker: its role, or its name.
    fn other(&self, lane: &Lane<'_>) -> String {
        roles::thread(lane.comm.as_bytes()).map_or_else(|| self.clean(lane.comm), str::to_owned)
    }

    fn mark(&self, mark: Mark) -> (&'static str, Style) {
        let theme = self.theme;
        let style = match mark {
            Mark::Absent => theme.text,
            Mark::Creating | Mark::Starting(_) => theme.accent,
            Mark::Running(_) => theme.good,
            Mark::Wanting | Mark::Sharing(_) => theme.warn,
            Mark::Blocked | Mark::Unknown => theme.dim,
            Mark::Stopped | Mark::Zombie => theme.bad,
            Mark::WaitsForGil | Mark::SharingGil(_) => theme.accent,
            Mark::Open | Mark::Held(_) => theme.cool,
        };
        (mark.glyph(self.unicode()), style)
    }

    fn foot(&self, lanes: &[Lane<'_>], picture: &Picture, buffer: &mut Buffer) {
        let mut line = 1;
        if self.place.curve > 0 {
            line = self.curves(picture, line, buffer);
        }
        self.at_cursor(lanes, line, buffer);
        self.legend(picture, line + 1, buffer);
    }

    /// How much went on at once, and what that says; the line after it.
    fn curves(&self, picture: &Picture, mut line: u16, buffer: &mut Buffer) -> u16 {
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let known: Vec<f64> = picture.parallelism.iter().map(|p| p.unwrap_or(0.0)).collect();
        // Both on one scale: the gap between them is what the picture is about.
        let full = most(&mut picture.concurrency.iter().copied()).max(most(&mut known.iter().copied())).max(1.0);
        let theme = self.theme;
        let degree = lanes::degree(self.run, self.app.lab.now_ns);
        let mean = degree.map(|d| (d.concurrency, d.over_ns));
        let family = self.app.timeline.family.as_ref();
        let name = if family.is_some() { ("runnable", "on a CPU or ready") } else { ("concurrency", "in progress") };
        self.curve((name.0, name.1, mean), &picture.concurrency, full, theme.cool, line, buffer);
        line += self.place.curve;
        let mean = degree.and_then(|d| Some((d.parallelism?, d.over_ns)));
        let words = if self.run.trace.is_some() { "on a CPU" } else { "not sampled" };
        self.curve(("parallelism", words, mean), &known, full, theme.good, line, buffer);
        line += self.place.curve;
        let cpus = self.app.model.as_deref().map_or(1, |m| u32::try_from(m.host.cpus.len()).unwrap_or(1));
        let found = match family {
            Some(family) => self.clean(&family.sums(cpus as usize)),
            None => lanes::finding(self.run, cpus, self.app.lab.now_ns),
        };
        let words = wrap(&found, usize::from(self.place.foot.width.saturating_sub(2)));
        for part in words.iter().take(usize::from(self.place.finding)) {
            Pen::new(buffer, self.place.foot, line).put(" ", theme.text).put(part, theme.accent);
            line += 1;
        }
        line
    }

    /// A curve: its name and its mean over the time of the work, and a bar for each cell.
    fn curve(&self, name: (&str, &str, Mean), values: &[f64], full: f64, style: Style, line: u16, buffer: &mut Buffer) {
        let (theme, lines) = (self.theme, self.place.curve);
        let area = Rect { width: self.place.labels.width, ..self.place.foot };
        let room = usize::from(area.width.saturating_sub(2));
        let label = if self.wide() { format!("{} ({})", name.0, name.1) } else { name.0.to_owned() };
        let mut pen = Pen::new(buffer, area, line + lines - 1);
        pen.put(" ", theme.text).put(&label, theme.text);
        if let Some((mean, over_ns)) = name.2 {
            // The whole window has pauses before and after the work, which would make every mean small.
            let says = [format!("  mean {mean:.1} at work"), format!("  {mean:.1} at work"), format!("  {mean:.1}")];
            if let Some(words) = says.iter().find(|w| width(&label) + width(w) <= room) {
                pen.put(words, theme.dim);
            }
            if lines > 1 {
                let over = format!("   over {} of work", lanes::duration(over_ns));
                Pen::new(buffer, area, line + lines - 2).put(if width(&over) <= room { &over } else { "" }, theme.dim);
            }
        }
        let plot = Rect { x: self.place.axis.x, width: self.place.axis.width, ..self.place.foot };
        for row in 0..lines {
            let mut pen = Pen::new(buffer, plot, line + row);
            let below = f64::from(lines - 1 - row);
            for value in values {
                let eighths = ((value / full * f64::from(lines) - below) * 8.0).round().clamp(0.0, 8.0) as usize;
                let text = match (eighths, self.unicode()) {
                    (0, _) => " ",
                    (n, true) => BLOCKS[n - 1],
                    (1..=4, false) => ".",
                    (_, false) => "#",
                };
                pen.put(text, style);
            }
        }
    }

    /// Where the cursor is, from the first request for a worker on.
    fn cursor_words(&self) -> String {
        let since = self.cursor as f64 - self.zero_ns() as f64;
        let sign = if since < 0.0 { "-" } else { "" };
        format!("{sign}{}", lanes::duration(since.abs() as u64))
    }

    /// What was so at the cursor, on the chosen lane.
    fn at_cursor(&self, lanes: &[Lane<'_>], line: u16, buffer: &mut Buffer) {
        let theme = self.theme;
        let mut pen = Pen::new(buffer, self.place.foot, line);
        pen.put(&format!(" at {}: ", self.cursor_words()), theme.strong);
        let Some(lane) = lanes.get(self.app.timeline.lane) else { return };
        if let (Role::Gil, Some(family)) = (lane.role, &self.app.timeline.family) {
            pen.put(&self.clean(&gil_at(family, lane, self.cursor)), theme.text);
            return;
        }
        let moment = lane.moment(self.cursor);
        let who = match lane.role {
            Role::Root if self.app.timeline.family.is_some() => self.clean(lane.comm),
            Role::Root => "the main process".to_owned(),
            Role::Worker(w) | Role::Inner(w) => format!("worker #{w}"),
            Role::Gil => "the GIL".to_owned(),
            Role::Other => self.other(lane),
        };
        let does = match moment.mark {
            Mark::Absent => "does not exist",
            Mark::Creating => "is being created",
            Mark::Starting(_) => "is being created, on a CPU",
            Mark::Sharing(_) => "waits for a CPU longer than it runs",
            Mark::Running(_) => "runs on a CPU",
            Mark::Wanting => "is ready, waits for a CPU",
            Mark::Blocked => "sleeps: waits for something other than a CPU",
            Mark::WaitsForGil => "waits for the GIL",
            Mark::SharingGil(_) => "waits for the GIL longer than it runs",
            Mark::Held(_) => "is held",
            Mark::Stopped => "is stopped by a signal",
            Mark::Zombie => "has ended and was not reaped",
            Mark::Open => "has a task in progress",
            Mark::Unknown => "exists, but was not sampled",
        };
        let family = self.app.timeline.family.as_ref().filter(|_| moment.mark == Mark::Blocked);
        let reason = family.and_then(|family| family.reason(lane.tid?, self.cursor));
        let does = reason.map_or_else(|| does.to_owned(), |reason| format!("waits: {}", self.clean(reason)));
        pen.put(&format!("{who} {does}"), theme.text);
        let function = self.app.timeline.family.as_ref().and_then(|family| family.function(lane.tid?, self.cursor));
        if let Some(function) = function {
            pen.put(" in ", theme.text).put(&self.clean(function), theme.cool);
        }
        if let Some(unit) = moment.unit {
            pen.put(&format!(", task {unit} in progress"), theme.cool);
        }
        if let Some((ran, waited)) = lane.totals_ns() {
            let (ran, waited) = (lanes::duration(ran), lanes::duration(waited));
            // Half a sentence would say something else.
            let words = [format!("   total {ran} on a CPU, {waited} waiting for a CPU"), format!("; {ran} on a CPU in total")];
            if let Some(words) = words.iter().find(|w| usize::from(pen.left()) > width(w)) {
                pen.put(words, theme.dim);
            }
        }
    }

    /// What the lanes on screen are drawn with.
    fn legend(&self, picture: &Picture, line: u16, buffer: &mut Buffer) {
        let mut pen = Pen::new(buffer, self.place.foot, line);
        pen.put(" ", self.theme.text);
        let all = [
            (Mark::Running(8), "on a CPU"),
            (Mark::Sharing(4), "shares a CPU"),
            (Mark::Wanting, "ready"),
            (Mark::SharingGil(4), "shares the GIL"),
            (Mark::WaitsForGil, "waits for GIL"),
            (Mark::Held(8), "GIL held"),
            (Mark::Blocked, "blocked"),
            (Mark::Creating, "being created"),
            (Mark::Starting(4), "starting on a CPU"),
            (Mark::Open, "in progress"),
            (Mark::Stopped, "stopped"),
            (Mark::Zombie, "zombie"),
            (Mark::Unknown, "not seen"),
        ];
        let seen = |mark: Mark| picture.marks.iter().flatten().any(|drawn| discriminant(drawn) == discriminant(&mark));
        for (mark, words) in all.into_iter().filter(|(mark, _)| seen(*mark)) {
            let (text, style) = self.mark(mark);
            if usize::from(pen.left()) > words.len() + 2 {
                pen.put(text, style).put(" ", style).put(words, self.theme.dim).put("  ", style);
            }
        }
        let of_runs = ["  < > next change", "  p processes", "  [ ] run", "  Enter process"];
        let of_families = ["  f newest", "  w all that is kept", "  Enter process", "  Esc ends it"];
        let words = if self.app.timeline.family.is_some() { of_families } else { of_runs };
        for words in words.iter().filter(|_| self.wide()) {
            if usize::from(pen.left()) >= words.len() {
                pen.put(words, self.theme.dim);
            }
        }
    }

    /// The cursor's column.
    fn cursor_line(&self, buffer: &mut Buffer) {
        let cells = usize::from(self.place.axis.width);
        let Ok(cell) = u16::try_from(self.window.cell_at(self.cursor, cells)) else { return };
        let x = self.place.axis.x + cell;
        let end = self.place.foot.y + 1 + 2 * self.place.curve;
        for y in self.place.axis.y..end.min(self.place.foot.bottom()) {
            if let Some(place) = buffer.cell_mut((x, y)) {
                place.modifier.insert(Modifier::REVERSED);
            }
        }
    }
}

/// Which thread held a GIL at the cursor, in which function, and how many waited for it.
fn gil_at(family: &FamilyTime, lane: &Lane<'_>, cursor_ns: u64) -> String {
    let Some(held) = lane.pid.and_then(|pid| family.gil(pid, cursor_ns)) else { return "the GIL was not read".to_owned() };
    let Some(tid) = held.holder else { return "no thread holds the GIL".to_owned() };
    let name = family.thread_name(tid).unwrap_or("");
    let place = family.function(tid, cursor_ns).map_or_else(String::new, |function| format!(" in {function}"));
    let waiters = match held.waiters {
        0 => "no thread waits for it".to_owned(),
        1 => "1 thread waits for it".to_owned(),
        n => format!("{n} threads wait for it"),
    };
    format!("thread {tid} {name} holds the GIL{place}; {waiters}")
}
