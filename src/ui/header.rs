//! The top lines: title, screens, and the meters of the machine.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::App;
use crate::app::options::Screen;
use crate::app::replay::Playback;
use crate::columns::{cpus as cpus_text, wall_clock};
use crate::config::ColorDepth;
use crate::derive::{HostPart, Model};
use crate::meters::{self, Shown};
use crate::snapshot::EventTier;
use crate::text::{Charset, sanitize_str, width};

use super::hosts;
use super::meter;
use super::pen::{Pen, dot};
use super::theme::Theme;

/// Narrower screens have one column of meters.
const TWO_COLUMNS: u16 = 64;

/// Draws as many of its lines as `area` has.
pub fn draw(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    title(app, theme, area, buffer);
    if let Some(parts) = all_hosts(app) {
        let lines = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        hosts::draw(app, parts, theme, lines, buffer);
        return;
    }
    for (shown, place) in places(app, area) {
        meter::draw(app, shown, theme, place, buffer);
    }
}

/// The hosts, if all of them are shown together.
fn all_hosts(app: &App) -> Option<&[HostPart]> {
    app.host_parts().filter(|_| app.chosen_host().is_none())
}

/// Lines of the header on a screen of that size: the title, and the meters that fit into what they may have.
#[must_use]
pub fn height(app: &App, screen: Rect) -> u16 {
    if let Some(parts) = all_hosts(app).filter(|_| screen.height > 7) {
        return 1 + hosts::height(parts.len(), screen.height);
    }
    let most = match screen.height {
        0..=7 => return 0,
        8..=11 => 0,
        12..=15 => 1,
        16..=29 => 3,
        30..=49 => 4,
        rows => rows / 6,
    };
    let area = Rect { height: 1 + most, ..screen };
    places(app, area).iter().map(|(_, place)| place.bottom() - screen.y).max().unwrap_or(1)
}

/// Which meters are drawn where: two columns, or one where the screen is narrow; from the top, as far as there are lines.
fn places(app: &App, area: Rect) -> Vec<(Shown, Rect)> {
    let meters = &app.options.meters;
    let lines = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if area.width < TWO_COLUMNS {
        let (mut left, mut right) = (meters.left.iter(), meters.right.iter());
        let mut mixed = Vec::new();
        while let (l, r) = (left.next(), right.next())
            && (l.is_some() || r.is_some())
        {
            mixed.extend(l.into_iter().chain(r));
        }
        return column(app, &mixed, lines);
    }
    let half = area.width / 2;
    let (left, right) = (meters.left.iter().collect::<Vec<_>>(), meters.right.iter().collect::<Vec<_>>());
    let mut all = column(app, &left, Rect { width: half, ..lines });
    all.extend(column(app, &right, Rect { x: lines.x + half, width: area.width - half, ..lines }));
    all
}

fn column(app: &App, shown: &[&Shown], area: Rect) -> Vec<(Shown, Rect)> {
    let mut rest = area;
    let mut placed = Vec::new();
    for shown in shown {
        let wanted = meter::height(app, **shown, area.width, area.height);
        let least = if shown.style == meters::Style::Graph { wanted.min(2) } else { wanted };
        if rest.height < least.max(1) {
            break;
        }
        let height = wanted.min(rest.height);
        placed.push((**shown, Rect { height, ..rest }));
        rest = Rect { y: rest.y + height, height: rest.height - height, ..rest };
    }
    placed
}

fn title(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let mut pen = Pen::new(buffer, area, 0);
    if let Some(playback) = &app.replay {
        recorded(app, playback, theme, area, &mut pen);
        return;
    }
    if let Some(parts) = app.host_parts() {
        of_hosts(app, parts, theme, area, &mut pen);
        return;
    }
    pen.put(" concmon", theme.accent);
    let gap = if is_narrow(area) { "" } else { "   " };
    if let Some(age) = app.stale_s() {
        let why = if area.width >= 120 { ": the last reading has not returned" } else { "" };
        pen.put(&format!("  figures are {age} s old{why}"), theme.warn);
    } else if let Some(model) = app.model.as_deref() {
        // What the user must know of the program goes before what is known anyway.
        let behind = model.late_ticks > 0 || model.now.report.events_lost > 0;
        let marked = is_narrow(area) && (app.options.readonly || app.paused || app.recording || behind);
        // The screens go before what is known of the machine.
        let screens = app.screens().iter().map(|screen| width(&screen_text(app, *screen, area))).sum::<usize>();
        let mut room = usize::from(area.right().saturating_sub(pen.x())).saturating_sub(gap.len() + screens);
        let known = if marked { Vec::new() } else { machine(app, model, area, theme) };
        for (text, style) in known {
            room = match room.checked_sub(width(&text)) {
                Some(room) => room,
                None => break,
            };
            pen.put(&text, style);
        }
    }
    pen.put(gap, theme.text);
    for screen in app.screens() {
        screen_name(app, *screen, theme, area, &mut pen);
    }
    own_cost(app, theme, area, &mut pen);
}

/// Whether the title has no room for more than names.
fn is_narrow(area: Rect) -> bool {
    area.width < 100
}

/// The machine's name, its CPUs and how long it is up: each is shown if there is room for it and for those before it.
fn machine(app: &App, model: &Model, area: Rect, theme: &Theme) -> Vec<(String, Style)> {
    let host = sanitize_str(&model.now.system.hostname, Charset::from_unicode(app.options.unicode)).into_owned();
    let mut parts = vec![(format!("  {host}"), theme.strong)];
    if !is_narrow(area) {
        let cpus = match model.host.cpus.len() {
            0 => "? cpus".to_owned(),
            count => match model.now.host.own_limits.cpus.filter(|cpus| *cpus < count as f64) {
                Some(cpus) => format!("{} of {count} cpus may be used", cpus_text(cpus)),
                None => format!("{count} cpus"),
            },
        };
        parts.push((format!(" {} {cpus}", dot(app.options.unicode)), theme.dim));
    }
    let up = model.now.host.uptime_ns.map(|up| (format!("  up {}", uptime(up / 1_000_000_000)), theme.dim));
    parts.extend(up);
    parts
}

/// How many hosts there are and how they do; of one that is shown alone its name.
fn of_hosts(app: &App, parts: &[HostPart], theme: &Theme, area: Rect, pen: &mut Pen<'_>) {
    let charset = Charset::from_unicode(app.options.unicode);
    pen.put(" concmon  ", theme.accent);
    match app.chosen_host() {
        Some(host) => {
            pen.put(&sanitize_str(&host.name, charset), theme.strong);
            pen.put("  Esc all hosts", theme.dim);
        }
        None => {
            let down = parts.iter().filter(|host| host.link.why_down().is_some()).count();
            pen.put(&format!("{} host{}", parts.len(), if parts.len() == 1 { "" } else { "s" }), theme.strong);
            if down > 0 {
                pen.put(&format!(", {down} down"), theme.bad);
            }
        }
    }
    if app.paused {
        pen.put("  paused", theme.warn);
    }
    pen.put("   ", theme.text);
    for screen in app.screens() {
        screen_name(app, *screen, theme, area, pen);
    }
    if let Some(host) = app.chosen_host().filter(|_| area.width >= 60) {
        hosts::losses(app, host, theme, pen);
    }
}

/// The screen whose name stands at a cell of the title.
#[must_use]
pub fn screen_at(app: &App, area: Rect, x: u16) -> Option<Screen> {
    let line = Rect { height: 1, ..area };
    let mut buffer = Buffer::empty(line);
    title(app, &Theme::named("mono", ColorDepth::Mono)?, line, &mut buffer);
    let cells: Vec<char> = buffer.content().iter().map(|cell| cell.symbol().chars().next().unwrap_or(' ')).collect();
    app.screens().iter().copied().find(|screen| {
        let name: Vec<char> = format!("{} {}", screen.digit(), screen.title()).chars().collect();
        let start = cells.windows(name.len()).position(|window| window == name);
        start.is_some_and(|start| (start..start + name.len()).contains(&usize::from(x - area.x)))
    })
}

/// A screen's name with its digit, and how many problems are known.
fn screen_text(app: &App, screen: Screen, area: Rect) -> String {
    let (digit, title, found) = (screen.digit(), screen.title(), app.warnings());
    let count = if screen == Screen::Problems && found > 0 { format!(" {found}") } else { String::new() };
    match (screen == app.screen, is_narrow(area)) {
        (true, true) => format!(" [{digit} {title}{count}]"),
        (true, false) => format!("[{digit} {title}{count}]"),
        (false, true) => format!(" {digit} {title}{count}"),
        (false, false) => format!(" {digit} {title}{count} "),
    }
}

/// A screen with its digit.
fn screen_name(app: &App, screen: Screen, theme: &Theme, area: Rect, pen: &mut Pen<'_>) {
    let text = screen_text(app, screen, area);
    let here = screen == app.screen;
    let warns = screen == Screen::Problems && app.warnings() > 0;
    pen.put(
        &text,
        if here {
            theme.accent
        } else if warns {
            theme.warn
        } else {
            theme.dim
        },
    );
}

/// That this is a recording, which frame of how many, when that was taken where the machine was, and of which machine.
fn recorded(app: &App, playback: &Playback, theme: &Theme, area: Rect, pen: &mut Pen<'_>) {
    let at_end = playback.frame + 1 == playback.frames;
    let standing = match (playback.stream, playback.playing) {
        (Some(true), true) if at_end => "live",
        (Some(false), false) if at_end => "ended",
        (_, true) => "playing",
        (_, false) => "stopped",
    };
    if let Some(age_s) = app.past_age_s() {
        let age = if age_s < 60 { format!("{age_s} s") } else { format!("{} min {} s", age_s / 60, age_s % 60) };
        pen.put(&format!(" PAST: {age} AGO"), theme.bad).put("  Esc now", theme.strong);
    } else {
        pen.put(if playback.stream.is_some() { " STREAM" } else { " RECORDING" }, theme.warn);
    }
    pen.put(&format!("  {}/{} ", playback.frame + 1, playback.frames), theme.strong);
    pen.put(standing, if playback.playing { theme.good } else { theme.warn });
    let Some(model) = app.model.as_deref() else { return };
    let system = &model.now.system;
    let taken_unix_s = system.booted_unix_ns.map_or(0, |booted| booted.saturating_add(model.now.taken_ns) / 1_000_000_000);
    let offset_s = system.utc_offset_at(i64::try_from(taken_unix_s).unwrap_or(i64::MAX));
    let (sign, minutes) = (if offset_s < 0 { '-' } else { '+' }, offset_s.unsigned_abs() / 60);
    let taken = wall_clock(system, model.now.taken_ns).unwrap_or_else(|| "at an unknown time".to_owned());
    pen.put(&format!("  {taken} {sign}{:02}{:02}", minutes / 60, minutes % 60), theme.text);
    let host = sanitize_str(&system.hostname, Charset::from_unicode(app.options.unicode)).into_owned();
    pen.put("  ", theme.text).put(&host, theme.strong);
    if area.width >= 100 {
        pen.put("   ", theme.text);
        for screen in app.screens() {
            screen_name(app, *screen, theme, area, pen);
        }
    }
    if model.now.report.events_lost > 0 {
        pen.put(&format!("  {} events lost", model.now.report.events_lost), theme.warn);
    }
}

/// Warnings, what concmon uses, and the time of day; on the right, as far as there is room.
fn own_cost(app: &App, theme: &Theme, area: Rect, pen: &mut Pen<'_>) {
    let Some(model) = app.model.as_deref() else { return };
    let report = &model.now.report;
    let mut parts = Vec::new();
    if app.options.readonly {
        parts.push(("readonly ".to_owned(), theme.warn));
    }
    if app.recording {
        parts.push(("recording ".to_owned(), theme.warn));
    }
    if app.paused {
        parts.push(("paused ".to_owned(), theme.warn));
    }
    if model.late_ticks > 0 {
        parts.push((format!("{} samples late ", model.late_ticks), theme.warn));
    }
    if report.events_lost > 0 {
        parts.push((format!("{} events lost ", report.events_lost), theme.warn));
    }
    let wide = |parts: &[(String, Style)]| parts.iter().map(|(t, _)| width(t)).sum::<usize>();
    let room = usize::from(area.right().saturating_sub(pen.x() + 1));
    // The warnings first, then the clock, then the own cost where there is room for both, then where its figures come from.
    let (uses, source) = own_use(app, model);
    let known = uses.clone().map(|uses| format!("{uses}   {}", clock(model)));
    let all = format!("{} {source}   {}", uses.as_deref().unwrap_or("concmon"), clock(model));
    for more in [Some(all), known, Some(clock(model))].into_iter().flatten() {
        let more = (more, theme.dim);
        if wide(&parts) + width(&more.0) <= room {
            parts.push(more);
            break;
        }
    }
    let start = area.right().saturating_sub(u16::try_from(wide(&parts)).unwrap_or(u16::MAX));
    if start > pen.x() {
        pen.to(start);
        for (text, style) in parts {
            pen.put(&text, style);
        }
    }
}

/// What concmon itself uses, and where its figures come from.
fn own_use(app: &App, model: &Model) -> (Option<String>, String) {
    let report = &model.now.report;
    let own = app.options.pid_space.myself().and_then(|pid| model.index_of(pid));
    let percent = own.and_then(|own| model.process_rates[own].cpu_percent);
    let polled = if matches!(report.events, EventTier::Connector) { "" } else { ", events polled" };
    let uses = percent.map(|percent| format!("concmon uses {percent:.1} %"));
    (uses, format!("({}{polled})", report.tier.name()))
}

/// The time of day of the sample.
fn clock(model: &Model) -> String {
    let text = wall_clock(&model.now.system, model.now.taken_ns);
    text.and_then(|text| text.split_once(' ').map(|(_, time)| format!("{time} "))).unwrap_or_default()
}

fn uptime(seconds: u64) -> String {
    let (d, h, m) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    if d > 0 { format!("{d}d {h}:{m:02}") } else { format!("{h}:{m:02}") }
}
