//! The header of several hosts: a line for each, or for the worst and the busiest of many.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::columns::in_bytes;
use crate::derive::{HostPart, LinkState};
use crate::text::{Charset, sanitize_str, width};

use super::pen::{Pen, dot};
use super::theme::Theme;

/// Cells of a host's name at most.
const NAME: usize = 20;

/// Lines for so many hosts on a screen of that many.
#[must_use]
pub(super) fn height(hosts: usize, screen: u16) -> u16 {
    let most = match screen {
        0..=11 => 0,
        12..=15 => 2,
        16..=29 => 5,
        rows => rows / 4,
    };
    u16::try_from(hosts).unwrap_or(u16::MAX).min(most)
}

/// Draws the lines.
pub(super) fn draw(app: &App, parts: &[HostPart], theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let room = usize::from(area.height);
    if room == 0 {
        return;
    }
    let mut order: Vec<&HostPart> = parts.iter().collect();
    let all = order.len() <= room;
    if !all {
        // What is wrong is seen first, then what works hardest.
        order.sort_by(|a, b| trouble(b).cmp(&trouble(a)).then(busy(b).total_cmp(&busy(a))));
    }
    let cells = parts.iter().map(|host| width(&host.name)).max().unwrap_or(0).min(NAME);
    let shown = if all { room } else { room - 1 };
    for (line, host) in (0u16..).zip(order.iter().take(shown)) {
        let mut pen = Pen::new(buffer, area, line);
        let charset = Charset::from_unicode(app.options.unicode);
        let name = crate::text::fit(host.name.as_bytes(), cells, charset).into_owned();
        pen.put(" ", theme.text).put(&name, theme.strong).to(area.x + 2 + u16::try_from(cells).unwrap_or(0));
        state(app, host, theme, area, &mut pen);
    }
    if !all {
        let down = parts.iter().filter(|host| host.link.why_down().is_some()).count();
        let text = format!(" {} more hosts of {}; {down} are down", parts.len() - shown, parts.len());
        Pen::new(buffer, area, area.height - 1).put(&text, theme.dim);
    }
}

fn trouble(host: &HostPart) -> u8 {
    match host.link.state {
        LinkState::Down { .. } => 3,
        LinkState::Late => 2,
        LinkState::Connecting => 1,
        LinkState::Live => 0,
    }
}

fn busy(host: &HostPart) -> f32 {
    host.model.as_ref().and_then(|model| model.host.total).map_or(0.0, |share| share.busy())
}

fn seconds(since_ns: u64, now_ns: u64) -> u64 {
    now_ns.saturating_sub(since_ns) / 1_000_000_000
}

fn state(app: &App, host: &HostPart, theme: &Theme, area: Rect, pen: &mut Pen<'_>) {
    let now_ns = app.model.as_ref().map_or(0, |model| model.now.taken_ns);
    let link = &host.link;
    match &link.state {
        LinkState::Connecting => {
            pen.put(" connecting", theme.dim);
            return;
        }
        LinkState::Down { why, since_ns, again_ns } => {
            let why = sanitize_str(why, Charset::from_unicode(app.options.unicode)).into_owned();
            let down = seconds(*since_ns, now_ns);
            let again = again_ns.saturating_sub(now_ns).div_ceil(1_000_000_000);
            pen.put(&format!(" down {down} s: "), theme.bad).put(&why, theme.text);
            pen.put(&format!("; again in {again} s"), theme.dim);
            return;
        }
        LinkState::Late => {
            let silent = link.arrived_ns.map_or(0, |arrived| seconds(arrived, now_ns));
            pen.put(&format!(" nothing for {silent} s "), theme.warn);
        }
        LinkState::Live => {}
    }
    let Some(model) = &host.model else { return };
    figures(model, theme, area, pen);
    losses(app, host, theme, pen);
}

fn figures(model: &crate::derive::Model, theme: &Theme, area: Rect, pen: &mut Pen<'_>) {
    let cpu = model.host.total.map_or_else(|| "   -".to_owned(), |share| format!("{:3.0}%", share.busy()));
    pen.put(&format!(" cpu {cpu} of {}", model.now.host.cpus.len()), theme.text);
    if let Some(memory) = &model.now.host.memory {
        let used = memory.available().map(|available| memory.total_bytes.saturating_sub(available));
        let used = used.map_or_else(|| "?".to_owned(), in_bytes);
        pen.put(&format!("  mem {used:>5}/{}", in_bytes(memory.total_bytes)), theme.text);
    }
    if let Some([one, ..]) = model.now.host.load {
        pen.put(&format!("  load {one:.2}"), theme.text);
    }
    let processes = model.counts.processes;
    pen.put(&format!("  {processes} processes"), theme.dim);
    if let Some(tasks) = model.counts.tasks.filter(|_| area.width >= 100) {
        pen.put(&format!(", {tasks} threads"), theme.dim);
    }
}

/// What is wrong with a stream that goes on.
pub(super) fn losses(app: &App, host: &HostPart, theme: &Theme, pen: &mut Pen<'_>) {
    let link = &host.link;
    let mut words = Vec::new();
    if link.lost > 0 {
        words.push(format!("{} of {} frames lost", link.lost, link.frames + link.lost));
    }
    if link.late > 0 {
        words.push(format!("{} late", link.late));
    }
    let ahead_s = link.date_ahead_ns.map_or(0.0, |ns| ns as f64 / 1e9);
    if ahead_s.abs() >= DATE_S {
        let way = if ahead_s > 0.0 { "ahead" } else { "behind" };
        words.push(format!("its date is {:.0} s {way}", ahead_s.abs()));
    }
    if !words.is_empty() {
        pen.put(&format!("  {}", words.join(&format!(" {} ", dot(app.options.unicode)))), theme.warn);
    }
}

/// A date that is off by less is not said: frames take some time on their way.
const DATE_S: f64 = 2.0;
