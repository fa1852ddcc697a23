//! The top lines: where we are, CPUs, memory, states, and what concmon itself costs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::App;
use crate::app::options::Screen;
use crate::columns;
use crate::derive::{CpuShare, Model};
use crate::snapshot::{EventTier, State};
use crate::text::{Charset, sanitize_str};

use super::pen::{Pen, dot};
use super::theme::Theme;

/// Draws as many of its lines as `area` has.
pub fn draw(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    title(app, theme, area, buffer);
    if let Some(model) = app.model.as_deref() {
        totals(app, model, theme, area, buffer);
        cpus(app, model, theme, area, buffer);
    }
}

fn title(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let mut pen = Pen::new(buffer, area, 0);
    pen.put(" concmon", theme.accent);
    if let Some(model) = app.model.as_deref() {
        let host = sanitize_str(&model.now.system.hostname, Charset::from_unicode(app.options.unicode)).into_owned();
        if area.width >= 60 {
            pen.put("  ", theme.text).put(&host, theme.strong);
        }
        if area.width >= 100 {
            pen.put(&format!(" {} {} cpus", dot(app.options.unicode), model.host.cpus.len()), theme.dim);
        }
        if let Some(up) = model.now.host.uptime_ns {
            pen.put(&format!("  up {}", uptime(up / 1_000_000_000)), theme.dim);
        }
    }
    pen.put("   ", theme.text);
    for (i, screen) in Screen::ALL.iter().enumerate() {
        let here = *screen == app.screen;
        let text = if here { format!("[{} {}]", i + 1, screen.title()) } else { format!(" {} {} ", i + 1, screen.title()) };
        pen.put(&text, if here { theme.accent } else { theme.dim });
    }
    own_cost(app, theme, area, &mut pen);
}

/// Source, cost of a sweep, share of a CPU; on the right, if there is room.
fn own_cost(app: &App, theme: &Theme, area: Rect, pen: &mut Pen<'_>) {
    let Some(model) = app.model.as_deref() else { return };
    let report = &model.now.report;
    let mut parts = Vec::new();
    if app.options.readonly {
        parts.push(("readonly ".to_owned(), theme.warn));
    }
    if app.paused {
        parts.push(("paused ".to_owned(), theme.warn));
    }
    if model.late_ticks > 0 && area.width >= 100 {
        parts.push((format!("{} late ", model.late_ticks), theme.warn));
    }
    if report.events_lost > 0 && area.width >= 100 {
        parts.push((format!("{} events lost ", report.events_lost), theme.warn));
    }
    parts.push((format!("{} {:.1}ms", report.tier.name(), report.sample_cpu_ns as f64 / 1e6), theme.dim));
    if let Some(own) = i32::try_from(std::process::id()).ok().and_then(|pid| model.index_of(pid)) {
        let cost = model.process_rates[own].cpu_percent.map_or(String::new(), |c| format!(" {c:.1}%"));
        parts.push((cost, theme.dim));
    }
    let mark = if app.options.unicode { " ● " } else { " * " };
    parts.push((mark.to_owned(), if matches!(report.events, EventTier::Connector) { theme.good } else { theme.warn }));
    let width: usize = parts.iter().map(|(t, _)| crate::text::width(t)).sum();
    let start = area.right().saturating_sub(u16::try_from(width).unwrap_or(u16::MAX));
    if start > pen.x() {
        pen.to(start);
        for (text, style) in parts {
            pen.put(&text, style);
        }
    }
}

fn uptime(seconds: u64) -> String {
    let (d, h, m) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    if d > 0 { format!("{d}d {h}:{m:02}") } else { format!("{h}:{m:02}") }
}

fn cpu_parts(share: Option<&CpuShare>, theme: &Theme) -> Vec<(f32, Style)> {
    share.map_or_else(Vec::new, |s| {
        vec![
            (s.nice / 100.0, theme.cool),
            (s.user / 100.0, theme.good),
            ((s.system + s.irq) / 100.0, theme.bad),
            (s.steal / 100.0, theme.warn),
        ]
    })
}

fn percent_text(share: Option<&CpuShare>) -> String {
    share.map_or_else(|| "   -".to_owned(), |s| format!("{:3.0}%", s.busy()))
}

/// Line 2: all CPUs, memory, tasks by state.
fn totals(app: &App, model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let unicode = app.options.unicode;
    let wide = area.width >= 110;
    let cells = if wide { 14 } else { 10 };
    let mut pen = Pen::new(buffer, area, 1);
    let total = model.host.total.as_ref();
    pen.put(" cpu ", theme.dim).bar(cells, &cpu_parts(total, theme), unicode, theme.dim);
    pen.put(&percent_text(total), theme.strong);
    if wide {
        pen.put(" ", theme.text).graph(area.width / 12, app.history.cpu.iter().rev(), unicode, theme.good);
    }
    memory(app, model, theme, cells, &mut pen);
    if wide {
        pen.put(" ", theme.text).graph(area.width / 12, app.history.memory.iter().rev(), unicode, theme.cool);
    }
    let c = &model.counts;
    pen.put("  ", theme.text);
    let tasks = c.tasks.map_or_else(|| "?".to_owned(), |t| t.to_string());
    let (label_tasks, label_procs) = if area.width >= 90 { (" tasks in ", " processes ") } else { ("/", " ") };
    pen.put(&tasks, theme.strong)
        .put(label_tasks, theme.dim)
        .put(&c.processes.to_string(), theme.strong)
        .put(label_procs, theme.dim);
    for (state, n) in State::ALL.iter().zip(c.by_state) {
        if n > 0 {
            pen.put(&format!(" {}", state.letter()), theme.state(state.letter())).put(&n.to_string(), theme.text);
        }
    }
}

fn memory(app: &App, model: &Model, theme: &Theme, cells: u16, pen: &mut Pen<'_>) {
    pen.put("  mem ", theme.dim);
    let Some(m) = model.now.host.memory.filter(|m| m.total_bytes > 0) else {
        pen.put("unknown", theme.dim);
        return;
    };
    let total = m.total_bytes as f32;
    let available = m.available_bytes.unwrap_or(m.free_bytes);
    let used = m.total_bytes.saturating_sub(available);
    let cache = (m.cached_bytes + m.buffers_bytes).min(available);
    let parts = [(used as f32 / total, theme.good), (cache as f32 / total * 0.999, theme.cool)];
    pen.bar(cells, &parts, app.options.unicode, theme.dim);
    pen.put(" ", theme.text).put(&short(used), theme.strong).put("/", theme.dim).put(&short(m.total_bytes), theme.dim);
}

fn short(bytes: u64) -> String {
    let mut s = String::new();
    columns::bytes(&mut s, bytes);
    s
}

/// Line 3 and, with room, more: each CPU; swap, load and pressure at the end of the third.
fn cpus(app: &App, model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let lines = area.height.saturating_sub(2);
    if lines == 0 {
        return;
    }
    let tail = tail(model, area.width);
    let tail_width: u16 = tail.iter().map(|(k, v)| u16::try_from(k.len() + v.len() + 2).unwrap_or(20)).sum();
    let slot = 22u16;
    let mut next = model.host.cpus.iter();
    for line in 0..lines {
        let mut pen = Pen::new(buffer, area, 2 + line);
        let room = if line == 0 { area.width.saturating_sub(tail_width) } else { area.width };
        let fit = (room / slot).max(1);
        for _ in 0..fit {
            let Some((id, share)) = next.next() else { break };
            pen.put(&format!(" {id:>3} "), theme.dim).bar(
                slot - 10,
                &cpu_parts(share.as_ref(), theme),
                app.options.unicode,
                theme.dim,
            );
            pen.put(&percent_text(share.as_ref()), theme.text).put(" ", theme.text);
        }
        if line == 0 {
            for (key, value) in &tail {
                pen.put("  ", theme.text).put(key, theme.dim).put(value, theme.text);
            }
        }
    }
    let hidden = next.count();
    if hidden > 0 {
        let line = area.height - 1;
        let text = format!(" +{hidden} more");
        Pen::new(buffer, area, line)
            .to(area.right().saturating_sub(u16::try_from(text.len()).unwrap_or(0)))
            .put(&text, theme.dim);
    }
}

fn tail(model: &Model, width: u16) -> Vec<(&'static str, String)> {
    let host = &model.now.host;
    let mut tail = Vec::new();
    if let Some(m) = host.memory {
        let text = if m.swap_total_bytes == 0 {
            "none".to_owned()
        } else {
            format!("{}/{}", short(m.swap_total_bytes.saturating_sub(m.swap_free_bytes)), short(m.swap_total_bytes))
        };
        tail.push(("swap ", text));
    }
    if let Some([a, b, c]) = host.load {
        tail.push(("load ", if width >= 90 { format!("{a:.2} {b:.2} {c:.2}") } else { format!("{a:.2}") }));
    }
    if width >= 110 {
        let p = &host.pressure;
        let parts: Vec<String> = [("cpu", p.cpu), ("io", p.io), ("mem", p.memory)]
            .into_iter()
            .filter_map(|(name, p)| p.map(|p| format!("{name} {:.0}%", p.some_avg10)))
            .collect();
        if !parts.is_empty() {
            tail.push(("psi ", parts.join(" ")));
        }
    }
    tail
}
