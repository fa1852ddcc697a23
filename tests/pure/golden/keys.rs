//! The key bar of every scene: each key that it names changes what is seen, or has an effect outside.

use concmon::app::actions::{ACTIONS, Action};
use concmon::ui::bar::{buttons, has_use, popup};

use super::*;

/// Keys that change nothing until something else was done: that first.
const AFTER: [(&str, Key); 3] = [("time-fit", Key::char('+')), ("time-whole", Key::char('+')), ("time-zoom-out", Key::char('+'))];

/// Narrow, and wide enough for every key; the height makes no difference to a bar.
const BARS: [(u16, u16); 2] = [(80, 24), (220, 24)];

fn drawn(app: &App, area: Rect) -> Buffer {
    let theme = Theme::named("default", ColorDepth::TwoFiftySix).unwrap();
    let mut buffer = Buffer::empty(area);
    ui::draw(app, &theme, area, &mut buffer);
    buffer
}

/// Whether the key has an effect, or changes the picture otherwise than by a notice that it does nothing.
fn acts(app: &mut App, key: Key, area: Rect) -> bool {
    app.notice = None;
    let before = drawn(app, area);
    let effects = app.update(Msg::Key(key));
    for effect in &effects {
        answer(app, effect);
    }
    fit(app, area);
    let told = app.notice.as_ref().map_or("", |(notice, _)| notice.text.as_str());
    !told.contains("does nothing") && (!effects.is_empty() || drawn(app, area) != before)
}

fn wrong_of(scene: &Scene, action: &Action, size: (u16, u16)) -> Option<String> {
    let area = Rect::new(0, 0, size.0, size.1);
    let mut app = stage(scene, true, size);
    let key = app.options.keys.keys(action).first().copied()?;
    if let Some((_, first)) = AFTER.iter().find(|(id, _)| *id == action.id) {
        acts(&mut app, *first, area);
    }
    (!acts(&mut app, key, area)).then(|| format!("{} at {}x{}: {key} ({})", scene.name, size.0, size.1, action.id))
}

#[test]
fn every_key_that_a_bar_names_does_something() {
    let mut wrong = Vec::new();
    let mut pressed = 0;
    for scene in SCENES {
        for size in BARS {
            let app = stage(scene, true, size);
            let area = Rect::new(0, 0, size.0, size.1);
            if let Some(keys) = popup::keys(app.layer.as_ref()) {
                for named in keys {
                    pressed += 1;
                    let alone = acts(&mut stage(scene, true, size), named.key, area);
                    // At the end of a text, and where the entry is typed in full, it acts after a step.
                    let later = || {
                        [Code::Down, Code::PageUp].into_iter().any(|step| {
                            let mut app = stage(scene, true, size);
                            acts(&mut app, Key::plain(step), area) && acts(&mut app, named.key, area)
                        })
                    };
                    if !alone && !later() {
                        wrong.push(format!("{} at {}x{}: {} {}", scene.name, size.0, size.1, named.keys, named.what));
                    }
                }
                continue;
            }
            if app.layer.is_some() {
                continue;
            }
            let named = buttons(&app, Rect { y: size.1 - 1, height: 1, ..area });
            pressed += named.len();
            wrong.extend(named.iter().filter_map(|(_, action)| wrong_of(scene, action, size)));
        }
    }
    assert!(pressed > 400, "{pressed} keys");
    assert!(wrong.is_empty(), "{} of {pressed} keys change nothing:\n{}", wrong.len(), wrong.join("\n"));
}

/// Keys that step or move stand for themselves: arrows, brackets, signs, and the way back beside the way on.
#[test]
fn the_own_keys_of_a_screen_are_in_its_bar() {
    let steps = |key: &Key| {
        matches!(key.code, Code::Left | Code::Right | Code::Up | Code::Down)
            || key.typed().is_some_and(|c| "[]<>,.+-=".contains(c))
    };
    let mut seen = 0;
    for name in ["lab", "lesson", "lesson-run", "lesson-done", "timeline", "timeline-family", "compare", "events", "diagnoses"] {
        let scene = SCENES.iter().find(|scene| scene.name == name).unwrap();
        let app = stage(scene, true, SIZES[1]);
        let bar: Vec<&str> = buttons(&app, Rect::new(0, 39, 140, 1)).iter().map(|(_, action)| action.id).collect();
        let own = ACTIONS.iter().filter(|a| a.context == app.context() && !a.bar.is_empty() && has_use(&app, a));
        for action in own.filter(|a| !a.keys.iter().all(steps)) {
            seen += 1;
            assert!(bar.contains(&action.id), "{name}: {} is not in {bar:?}", action.id);
        }
    }
    assert!(seen > 25, "{seen} keys");
}

/// What is drawn in all scenes has a line in help.
#[test]
fn every_symbol_of_every_frame_is_in_the_legend() {
    let legend: String = ui::help::LEGEND.iter().flat_map(|symbol| [symbol.unicode, symbol.meaning]).collect();
    let mut missing = std::collections::BTreeMap::new();
    for scene in SCENES {
        let buffer = frame(scene, &Theme::named("default", ColorDepth::TwoFiftySix).unwrap(), true, SIZES[1]);
        for c in buffer.content().iter().flat_map(|cell| cell.symbol().chars()) {
            // Edges of dialogs, graphs of dots, and pictures of control characters, of which the legend has some.
            let kinds = matches!(c, '╭'..='╰' | '\u{2800}'..='\u{28ff}' | '\u{2400}'..='\u{243f}');
            if !c.is_ascii() && !c.is_alphanumeric() && !kinds && !legend.contains(c) {
                missing.entry(c).or_insert(scene.name);
            }
        }
    }
    assert!(missing.is_empty(), "not in ui::help::LEGEND: {missing:?}");
}
