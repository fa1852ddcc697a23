//! The sheet of demos that `n` opens.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::lab::catalog::{CONCEPT_CELLS, DEMOS, Demo, WATCH_CELLS};

use super::geometry::{centered, frame};
use super::pen::Pen;
use super::theme::Theme;

/// Cells of the key, with what marks the first of a race before it, and of the cost.
const KEY: usize = 4;
const COST: usize = 8;
/// Cells of one demo with everything that is known of it.
const WHOLE: usize = KEY + CONCEPT_CELLS + COST + 2 + WATCH_CELLS;
/// What stands before the concept of a Python demo where all are in one column.
const PYTHON: &str = "Python ";

/// The demos: native at the left, Python at the right, one line per concept; on a narrow screen all in one column. Where there is room for
/// neither with whole texts, what to watch steps back.
pub fn draw(app: &App, race: Option<char>, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let concepts = demo_lines();
    let lines = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    let cells = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    let two = area.width >= cells(2 * WHOLE + 2);
    let one = !two && area.height >= lines(DEMOS.len() + 3) && area.width >= cells(WHOLE + PYTHON.len() + 2);
    let title = match race {
        None => "Launch a demo",
        Some(' ') => "Race two demos: the first",
        Some(_) => "Race two demos: the second",
    };
    let (width, height) = match (two, one) {
        (true, _) => (2 * WHOLE + 2, concepts.len() + 5),
        (_, true) => (WHOLE + PYTHON.len() + 2, DEMOS.len() + 3),
        _ => (2 * (KEY + CONCEPT_CELLS + COST) + 4, concepts.len() + 4),
    };
    let body = frame(app, title, theme, centered(area, cells(width), lines(height)), buffer);
    let cell = |demo: &Demo, rect: Rect, line: u16, name: &str, buffer: &mut Buffer| {
        demo_cell(app, demo, (name, two || one, race == Some(demo.key)), theme, Pen::new(buffer, rect, line));
    };
    if one {
        for (line, demo) in (0..).zip(DEMOS) {
            let name = if demo.is_python() { format!("{PYTHON}{}", demo.concept) } else { demo.concept.to_owned() };
            let name = format!("{name:width$}", width = CONCEPT_CELLS + PYTHON.len());
            cell(demo, body, line, &name, buffer);
        }
    } else {
        let half = body.width / 2;
        Pen::new(buffer, body, 0).put("   native", theme.dim).to(body.x + half).put("   Python", theme.dim);
        for (line, pair) in (1u16..).zip(&concepts) {
            for (at, demo) in pair.iter().enumerate().filter_map(|(at, demo)| demo.map(|demo| (at, demo))) {
                let rect = Rect { x: body.x + if at == 0 { 0 } else { half }, width: half, ..body };
                cell(demo, rect, line, &format!("{:CONCEPT_CELLS$}", demo.concept), buffer);
            }
        }
    }
    let mut foot = Pen::new(buffer, body, body.height.saturating_sub(1));
    let last = app.last_demo().map_or_else(|| "the last again".to_owned(), |demo| format!("{} again", demo.key));
    for (key, what) in [("n", last.as_str()), ("r", "race two"), ("L", "all systems"), ("Esc", "cancel")] {
        foot.put("  ", theme.text).put(key, theme.key).put(" ", theme.text).put(what, theme.dim);
    }
}

/// Demos by concept, in their order: the native one and the Python one.
fn demo_lines() -> Vec<[Option<&'static Demo>; 2]> {
    let mut lines: Vec<(&str, [Option<&'static Demo>; 2])> = Vec::new();
    for demo in DEMOS {
        let side = usize::from(demo.is_python());
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

/// Key, concept, what to watch, and what a worker cost when it was last created.
fn demo_cell(app: &App, demo: &Demo, (name, watch, chosen): (&str, bool, bool), theme: &Theme, mut pen: Pen<'_>) {
    let cost = app.last_creation(demo.system).unwrap_or_default();
    pen.put(if chosen { " *" } else { "  " }, theme.accent).put(&demo.key.to_string(), theme.key).put(" ", theme.text);
    pen.put(name, theme.text);
    if watch {
        pen.put(&format!(" {:WATCH_CELLS$}", demo.watch), theme.dim);
    }
    pen.put_right(&cost, COST as u16, theme.cool);
}
