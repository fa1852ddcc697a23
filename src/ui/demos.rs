//! The sheet of demos that `n` opens.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::lab::catalog::{DEMOS, Demo};
use crate::text::{self, Charset};

use super::geometry::{centered, frame};
use super::pen::Pen;
use super::theme::Theme;

/// The demos: native at the left, Python at the right, one line per concept.
pub fn draw(app: &App, race: Option<char>, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let concepts = demo_lines();
    let rect = centered(area, 132.min(area.width), u16::try_from(concepts.len() + 5).unwrap_or(10));
    let title = match race {
        None => "Launch a demo",
        Some(' ') => "Race two demos: the first",
        Some(_) => "Race two demos: the second",
    };
    let body = frame(app, title, theme, rect, buffer);
    let half = body.width / 2;
    Pen::new(buffer, body, 0).put("   native", theme.dim).to(body.x + half).put("   Python", theme.dim);
    for (line, pair) in (1u16..).zip(&concepts) {
        for (at, demo) in pair.iter().enumerate().filter_map(|(at, demo)| demo.map(|demo| (at, demo))) {
            let cell = Rect { x: body.x + if at == 0 { 0 } else { half }, width: half.saturating_sub(1), ..body };
            demo_cell(app, demo, race == Some(demo.key), theme, cell, line, buffer);
        }
    }
    let mut foot = Pen::new(buffer, body, body.height.saturating_sub(1));
    for (key, what) in [("n", "the last again"), ("r", "race two"), ("L", "all systems"), ("Esc", "cancel")] {
        foot.put("  ", theme.text).put(key, theme.key).put(" ", theme.text).put(what, theme.dim);
    }
}

/// Demos by concept, in their order: the native one and the Python one.
fn demo_lines() -> Vec<[Option<&'static Demo>; 2]> {
    let mut lines: Vec<(&str, [Option<&'static Demo>; 2])> = Vec::new();
    for demo in DEMOS {
        let side = usize::from(demo.system.starts_with("python/"));
        match lines.iter_mut().find(|(concept, pair)| *concept == demo.concept && pair[side].is_none()) {
            Some((_, pair)) => pair[side] = Some(demo),
            None => {
                let mut pair = [None, None];
                pair[side] = Some(demo);
                lines.push((demo.concept, pair));
            }
        }
    }
    // What has only a Python side goes beside what has only a native one.
    let mut joined: Vec<[Option<&'static Demo>; 2]> = Vec::new();
    for (_, pair) in lines {
        match joined.iter_mut().find(|open| open[0].is_some() && open[1].is_none() && pair[0].is_none()) {
            Some(open) => open[1] = pair[1],
            None => joined.push(pair),
        }
    }
    joined
}

/// Key, concept, what a worker cost when it was last created, and what to watch, as far as there is room.
fn demo_cell(app: &App, demo: &Demo, chosen: bool, theme: &Theme, cell: Rect, line: u16, buffer: &mut Buffer) {
    let mut pen = Pen::new(buffer, cell, line);
    let cost = app.last_creation(demo.system);
    pen.put(if chosen { " *" } else { "  " }, theme.accent).put(&demo.key.to_string(), theme.key).put(" ", theme.text);
    pen.put(&format!("{:19}", demo.concept), theme.text).put_right(&cost.unwrap_or_default(), 8, theme.cool);
    if usize::from(pen.left()) > 12 {
        let watch =
            text::truncate(demo.watch, usize::from(pen.left()).saturating_sub(3), Charset::from_unicode(app.options.unicode));
        pen.put("  ", theme.text).put(&watch, theme.dim);
    }
}
