//! Translates events of the terminal library into messages of the application.

use std::time::{Duration, Instant};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind};
use ratatui::layout::Rect;

use crate::app::App;
use crate::app::key::{Code, Key};
use crate::app::layer::Layer;
use crate::app::msg::{Msg, Pointed};
use crate::app::options::Screen;

use super::bar;
use super::cards;
use super::detail;
use super::header;
use super::layers;
use super::layout::Layout;
use super::setup;

/// What an event means; `None` if it means nothing here.
#[must_use]
pub fn message(event: &Event, app: &App, area: Rect) -> Option<Msg> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => self::key(key).map(Msg::Key),
        Event::Paste(text) => Some(Msg::Paste(text.clone())),
        Event::Resize(width, height) => Some(Msg::Resized { width: *width, height: *height }),
        Event::Mouse(mouse) => match mouse.kind {
            MouseEventKind::ScrollUp => Some(Msg::Pointed(Pointed::Wheel(-1))),
            MouseEventKind::ScrollDown => Some(Msg::Pointed(Pointed::Wheel(1))),
            MouseEventKind::Down(MouseButton::Left) => click(app, area, mouse.column, mouse.row),
            _ => None,
        },
        _ => None,
    }
}

/// The longest time between the two clicks of a double click.
const DOUBLE: Duration = Duration::from_millis(400);

/// Detects double clicks: the second on the same cell, soon after the first.
#[derive(Debug, Default)]
pub struct Clicks(Option<(u16, u16, Instant)>);

impl Clicks {
    /// The key that a double click stands for: Enter, on a row or an entry of a screen. `said` is what the click meant by itself.
    pub fn key(&mut self, event: &Event, said: &Msg, app: &App, now: Instant) -> Option<Key> {
        let Event::Mouse(mouse) = event else { return None };
        if mouse.kind != MouseEventKind::Down(MouseButton::Left) {
            return None;
        }
        let before = self.0.replace((mouse.column, mouse.row, now));
        let again = before.is_some_and(|(x, y, at)| (x, y) == (mouse.column, mouse.row) && now.duration_since(at) <= DOUBLE);
        // In a dialog one click chooses and Enter acts: two clicks must not send a signal by mistake.
        let on_entry = matches!(said, Msg::Pointed(Pointed::Row(_) | Pointed::ListLine(_) | Pointed::Moment { .. }));
        if !again || !on_entry || app.layer.is_some() {
            return None;
        }
        self.0 = None;
        Some(Key::plain(Code::Enter))
    }
}

fn click(app: &App, area: Rect, x: u16, y: u16) -> Option<Msg> {
    let layout = Layout::new(app, area);
    if let Some(Layer::Setup(open)) = &app.layer {
        let (list, first) = setup::list(app, open, area);
        let line = (y.checked_sub(list.y)?).saturating_add(u16::try_from(first).ok()?);
        return list.contains((x, y).into()).then_some(Msg::Pointed(Pointed::ListLine(line)));
    }
    if matches!(app.layer, Some(Layer::Ledger(_))) {
        // As large as the screen, too; it is worked by keys.
        return None;
    }
    if layout.bar.contains((x, y).into()) && bar::popup::keys(app.layer.as_ref()).is_some() {
        return bar::popup::key_at(app.layer.as_ref(), layout.bar, x).map(Msg::Key);
    }
    let dialog = layers::list_area(app, area);
    if dialog.is_none() && layout.header.height > 0 && y == layout.header.y {
        let screen = header::screen_at(app, layout.header, x)?;
        return char::from_digit(u32::try_from(screen.digit()).ok()?, 10).map(|digit| Msg::Key(Key::char(digit)));
    }
    if dialog.is_none() && layout.bar.contains((x, y).into()) {
        let hit = bar::buttons(app, layout.bar).into_iter().find(|(b, _)| x >= b.x && x < b.x + b.width)?;
        // As a key, so that --readonly holds for clicks too.
        return app.options.keys.keys(hit.1).first().map(|key| Msg::Key(*key));
    }
    if app.layer.is_none() && app.screen == Screen::Processes {
        match cards::hit(app, layout.cards, x, y) {
            Some(cards::Hit::Key(key)) => return Some(Msg::Key(Key::char(key))),
            Some(cards::Hit::Card(nth)) => return Some(Msg::Pointed(Pointed::Card(nth))),
            None => {}
        }
        if layout.split.contains((x, y).into()) {
            return detail::tab_at(app, area, x, y).map(|page| Msg::Pointed(Pointed::Tab(page)));
        }
    }
    if matches!(app.layer, Some(Layer::Detail(_))) {
        // It is as large as the screen: there is no outside, and only its tabs take clicks.
        return detail::tab_at(app, area, x, y).map(|page| Msg::Pointed(Pointed::Tab(page)));
    }
    layout.point(app, x, y, dialog).map(Msg::Pointed)
}

fn key(event: &KeyEvent) -> Option<Key> {
    let code = match event.code {
        KeyCode::Char(c) => Code::Char(c),
        KeyCode::Up => Code::Up,
        KeyCode::Down => Code::Down,
        KeyCode::Left => Code::Left,
        KeyCode::Right => Code::Right,
        KeyCode::PageUp => Code::PageUp,
        KeyCode::PageDown => Code::PageDown,
        KeyCode::Home => Code::Home,
        KeyCode::End => Code::End,
        KeyCode::Enter => Code::Enter,
        KeyCode::Esc => Code::Esc,
        KeyCode::Tab => Code::Tab,
        KeyCode::BackTab => Code::BackTab,
        KeyCode::Backspace => Code::Backspace,
        KeyCode::Delete => Code::Delete,
        KeyCode::F(n) => Code::F(n),
        _ => return None,
    };
    let held = |modifier| event.modifiers.contains(modifier);
    Some(Key { code, ctrl: held(KeyModifiers::CONTROL), alt: held(KeyModifiers::ALT) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::options::Options;

    #[test]
    fn two_clicks_on_a_row_are_enter_and_two_in_a_dialog_are_not() {
        use crossterm::event::{KeyModifiers, MouseEvent};
        let click = |column, row| {
            let kind = MouseEventKind::Down(MouseButton::Left);
            Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })
        };
        let mut app = App::new(Options::default());
        let (row, start) = (Msg::Pointed(Pointed::Row(3)), Instant::now());
        let mut clicks = Clicks::default();
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(clicks.key(&click(5, 9), &row, &app, start), None);
        assert_eq!(clicks.key(&click(5, 9), &row, &app, after(200)), Some(Key::plain(Code::Enter)));
        assert_eq!(clicks.key(&click(5, 9), &row, &app, after(300)), None, "the third is a first one again");
        assert_eq!(clicks.key(&click(5, 9), &row, &app, after(1300)), None, "too late");
        assert_eq!(clicks.key(&click(6, 9), &row, &app, after(1400)), None, "elsewhere");
        assert_eq!(clicks.key(&click(6, 9), &Msg::Pointed(Pointed::Head(1)), &app, after(1450)), None, "a head sorts");
        app.update(Msg::Key(Key::f(1)));
        clicks.key(&click(5, 9), &row, &app, after(2000));
        assert_eq!(clicks.key(&click(5, 9), &row, &app, after(2100)), None);
    }

    #[test]
    fn a_click_on_the_name_of_a_screen_goes_there() {
        let mut app = App::new(Options::default());
        for width in [80, 140] {
            let area = Rect::new(0, 0, width, 24);
            let found: Vec<char> = (0..width)
                .filter_map(|x| match click(&app, area, x, 0) {
                    Some(Msg::Key(Key { code: Code::Char(digit), .. })) => Some(digit),
                    _ => None,
                })
                .collect();
            let mut digits = found.clone();
            digits.dedup();
            let all: Vec<char> = (1..).zip(Screen::ALL).filter_map(|(n, _)| char::from_digit(n, 10)).collect();
            assert_eq!(digits, all, "the names of all screens fit {width} cells: {found:?}");
        }
        app.update(Msg::Key(Key::char('5')));
        assert_eq!(app.screen, Screen::Events);
    }
}
