//! The list of systems by section; each line shows whether the system runs, has a quick key, or is not available.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::layout::{lab_lines, lab_scroll};
use super::super::pen::Pen;
use super::super::theme::Theme;
use crate::app::App;
use crate::lab::catalog::{Section, System, demo_for, systems};

/// Draws it.
pub fn draw(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let lines = lab_lines();
    let scroll = lab_scroll(app, area.height);
    for (row, line) in (0..area.height).zip(lines.iter().skip(scroll)) {
        match line {
            None => {
                let section = lines[scroll + usize::from(row)..].iter().flatten().next().map(|i| systems()[*i].section);
                Pen::new(buffer, area, row).put(&format!(" {}", section.map_or("", Section::title)), theme.accent);
            }
            Some(i) => {
                entry(app, &systems()[*i], *i == app.lab.system, theme, Rect { y: area.y + row, height: 1, ..area }, buffer);
            }
        }
    }
    let (up, down) = if app.options.unicode { ("▲", "▼") } else { ("^", "v") };
    let mut more = |row: u16, mark: &str| {
        Pen::new(buffer, area, row).to(area.right().saturating_sub(1)).put(mark, theme.accent);
    };
    if scroll > 0 {
        more(0, up);
    }
    if area.height > 0 && lines.len() > scroll + usize::from(area.height) {
        more(area.height - 1, down);
    }
}

/// One system. That it runs is said before its name, where there is always room.
fn entry(app: &App, system: &System, chosen: bool, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let unavailable = app.lab.unavailable(system).is_some();
    let running = app.lab.state.runs.iter().any(|r| !r.ended() && r.spec.system == system.id);
    let style = match (chosen, unavailable) {
        (true, _) => theme.selected,
        (false, true) => theme.dim,
        (false, false) => theme.text,
    };
    if chosen {
        buffer.set_style(area, theme.selected);
    }
    let mut pen = Pen::new(buffer, area, 0);
    match running {
        true => pen.put(if app.options.unicode { "●" } else { "*" }, theme.good),
        false => pen.put(" ", style),
    };
    pen.put(if chosen { "> " } else { "  " }, style).put(system.id, style);
    let (mark, style) = if running {
        ("running ".to_owned(), theme.good)
    } else if unavailable {
        (if app.lab.can_be_set_up(system) { "needs download " } else { "not available " }.to_owned(), theme.dim)
    } else {
        (demo_for(system.id).map_or(String::new(), |demo| format!("n {} ", demo.key)), theme.dim)
    };
    let cells = u16::try_from(mark.len()).unwrap_or(u16::MAX);
    if pen.left() > cells {
        pen.to(area.right().saturating_sub(cells)).put(&mark, style);
    }
}
