//! Rows of processes that are signalled, or that have ended.

use super::*;

/// The line of a screen that has this PID as its first number.
fn row_of(app: &App, pid: &str) -> Option<(usize, String)> {
    let area = Rect::new(0, 0, 140, 40);
    let mut buffer = Buffer::empty(area);
    ui::draw(app, &Theme::named("default", ColorDepth::TwoFiftySix).unwrap(), area, &mut buffer);
    let lines: Vec<String> = text(&buffer).lines().map(str::to_owned).collect();
    let at = lines.iter().position(|line| line.trim_start_matches('>').split_whitespace().next() == Some(pid))?;
    Some((at, lines[at].clone()))
}

#[test]
fn a_row_is_marked_in_the_frame_after_its_signal_was_sent() {
    let mut app = app(Options::default());
    fit(&mut app, Rect::new(0, 0, 140, 40));
    for key in [Key::f(9), Key::plain(Code::Enter)] {
        for effect in app.update(Msg::Key(key)) {
            answer(&mut app, &effect);
        }
    }
    let (_, row) = row_of(&app, "302").unwrap();
    assert!(row.ends_with("→ SIGTERM"), "{row}");
}

#[test]
fn a_dead_row_stays_on_its_line_and_says_how_it_ended() {
    let [first, second] = samples();
    let mut deriver = Deriver::new(60_000_000_000);
    let mut app = App::new(Options::default());
    let mut take = |app: &mut App, snapshot: &Snapshot, after_s: u64| {
        let taken_ns = NOW_NS + after_s * 1_000_000_000;
        let events = if after_s == 2 { events() } else { Vec::new() };
        app.update(Msg::Sample(Arc::new(deriver.step(Snapshot { taken_ns, events, ..snapshot.clone() }))));
        fit(app, Rect::new(0, 0, 140, 40));
    };
    take(&mut app, first, 0);
    take(&mut app, first, 1);
    let (before, _) = row_of(&app, "299").unwrap();
    take(&mut app, second, 2);
    let (after, row) = row_of(&app, "299").unwrap();
    assert_eq!(before, after, "{row}");
    assert!(row.contains("SIGTERM  nginx"), "{row}");
}
