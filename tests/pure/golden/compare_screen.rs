//! States of the Compare screen for frames and for tests of its keys and mouse.

use concmon::lab::measure::{Batch, Host, Load, Plan, Point};
use crossterm::event::{Event, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::*;

/// A batch that has run: fork's creation grows with the parent, the others' does not.
pub fn measured(plan: &Plan) -> Batch {
    let mut batch = Batch::new(plan.clone(), Host { cpus: Some(2), ..Host::default() });
    for (cell, repetition, warm_up) in plan.order() {
        let spec = &plan.cells[cell].spec;
        let grows = if spec.system.ends_with("fork") { u64::from(spec.parent_mb) * 60_000 } else { 0 };
        let ns = (400_000 + 700_000 * cell as u64 + grows) * (98 + u64::from(repetition)) / 100;
        let memory = Memory { rss_bytes: Some(3 << 20), pss_bytes: Some(900 << 10), uss_bytes: Some(300 << 10) };
        batch.points.push(Point {
            cell,
            repetition,
            warm_up,
            creation_ns: vec![ns; 2],
            wall_ns: Some(ns * 5),
            user_ns: Some(ns),
            sys_ns: Some(ns / 2),
            workers: vec![memory; 2],
            tasks_done: 10,
            // Others disturb the pools.
            load: spec.system.starts_with("python/process").then_some(Load { capacity_ns: 100_000_000, busy_ns: 90_000_000 }),
            ..Point::default()
        });
    }
    batch
}

/// The screen of a sweep that has run, at 80x24.
fn swept() -> (App, Rect) {
    let area = Rect::new(0, 0, 80, 24);
    let mut app = app(Options::default());
    for key in stages::COMPARE_SWEEP {
        fit(&mut app, area);
        for effect in app.update(Msg::Key(*key)) {
            answer(&mut app, &effect);
        }
    }
    fit(&mut app, area);
    (app, area)
}

/// The lines that are drawn.
fn drawn(app: &App, area: Rect) -> Vec<String> {
    let mut terminal = ratatui::Terminal::new(ratatui::backend::TestBackend::new(area.width, area.height)).unwrap();
    let theme = Theme::named("default", ColorDepth::TwoFiftySix).unwrap();
    terminal.draw(|frame| ui::view(app, &theme, frame)).unwrap();
    text(terminal.backend().buffer()).lines().map(str::to_owned).collect()
}

fn mouse(app: &mut App, area: Rect, kind: MouseEventKind, at: (u16, u16)) {
    let event = Event::Mouse(MouseEvent { kind, column: at.0, row: at.1, modifiers: KeyModifiers::NONE });
    if let Some(msg) = ui::keymap::message(&event, app, area) {
        app.update(msg);
    }
    fit(app, area);
}

fn place_of(lines: &[String], word: &str) -> (u16, u16) {
    let y = lines.iter().position(|l| l.contains(word)).unwrap_or_else(|| panic!("no {word}: {lines:#?}"));
    let before = &lines[y][..lines[y].find(word).unwrap()];
    (u16::try_from(before.chars().count()).unwrap(), u16::try_from(y).unwrap())
}

#[test]
fn more_rows_than_lines_are_scrolled_and_heads_sort() {
    let (mut app, area) = swept();
    let first = drawn(&app, area);
    assert!(first.iter().any(|l| l.contains("1-4 of 11")) && first.iter().any(|l| l.contains("logarithmic")), "{first:#?}");
    assert!(!first.iter().any(|l| l.contains("native/fork 1024 MiB")));
    for _ in 0..5 {
        mouse(&mut app, area, MouseEventKind::ScrollDown, (5, 9));
    }
    assert_eq!((app.compare.row, app.compare.top), (5, 2), "the wheel moves the row, and the table with it");
    app.update(Msg::Key(Key::plain(Code::End)));
    fit(&mut app, area);
    let last = drawn(&app, area);
    assert!(
        last.iter().any(|l| l.contains("native/fork 1024 MiB")) && last.iter().any(|l| l.contains("8-11 of 11")),
        "{last:#?}"
    );
    // The row that is looked at stays the chosen one when another measure sorts.
    mouse(&mut app, area, MouseEventKind::Down(MouseButton::Left), place_of(&last, " cpu"));
    assert_ne!(app.compare.sort.id, "cpu_ns", "a click beside the table's heads is none");
    let heads = place_of(&last, "wall");
    mouse(&mut app, area, MouseEventKind::Down(MouseButton::Left), heads);
    assert_eq!(app.compare.sort.id, "wall_ns");
    let row = &app.compare.table().unwrap().rows[app.compare.row];
    assert_eq!(row.label, "native/fork 1024 MiB");
    // A click takes a row; d leaves its system out, and the screen says that it shows something else by now.
    let now = drawn(&app, area);
    mouse(&mut app, area, MouseEventKind::Down(MouseButton::Left), place_of(&now, "native/fork 512 MiB"));
    assert_eq!(app.compare.table().unwrap().rows[app.compare.row].label, "native/fork 512 MiB");
    assert!(!app.compare.stale());
    app.update(Msg::Key(Key::char('d')));
    assert_eq!(app.compare.chosen.iter().map(|c| c.system.as_str()).collect::<Vec<_>>(), ["native/exec"]);
    assert!(app.compare.stale() && drawn(&app, area).iter().any(|l| l.contains("has changed")));
}
