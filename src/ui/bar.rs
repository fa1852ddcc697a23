//! The last lines of the screen: a notice or an input line, and the function keys.

pub mod popup;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::app::actions::{ACTIONS, Action, Context};
use crate::app::layer::{Input, InputKind, Layer};
use crate::app::msg::{Command, Level};
use crate::app::options::Screen;
use crate::app::timeline::TimelineKey;
use crate::text::{Charset, sanitize_str, width};

use super::layout::input_label;
use super::pen::Pen;
use super::theme::Theme;
use super::typed;

/// Actions that lose their place in the bar where not all fit, the first ones first. The lab and a launch stay: users do not look for them.
const STEP_BACK: [&str; 5] = ["copy-on-write", "screen-timeline", "explain", "nice-up", "nice-down"];

/// A labelled key of the bar and its cells.
pub struct Button {
    /// First cell.
    pub x: u16,
    /// Cells.
    pub width: u16,
}

/// Actions with a label, in the order of the bar.
fn labelled(app: &App) -> impl Iterator<Item = &'static Action> {
    let here = app.context();
    let first = move |a: &Action| goes_first(app, a);
    ACTIONS.iter().filter(move |a| !a.bar.is_empty() && (a.context == here || a.context == Context::Everywhere || first(a)))
}

/// While several hosts, or a recording, are shown, their keys go before the screen's own.
fn goes_first(app: &App, action: &Action) -> bool {
    match action.context {
        Context::Hosts => app.host_parts().is_some(),
        Context::Recording => app.replay.is_some(),
        _ => false,
    }
}

fn label(app: &App, action: &Action, wide: bool) -> (String, String) {
    let key = app.options.keys.keys(action).first().map(ToString::to_string).unwrap_or_default();
    let label = action.bar;
    (key, if wide { format!("{label} ") } else { label.to_owned() })
}

/// Whether the key changes anything now: the way to where one is does not, nor does what has nothing to show yet.
#[must_use]
pub fn has_use(app: &App, action: &Action) -> bool {
    match action.command {
        _ if app.replay.is_some() && app.is_off(action) => false,
        Command::Lesson(key) => app.lessons.has_use(key),
        Command::Timeline => app.screen != Screen::Timeline,
        Command::Time(TimelineKey::Run(_)) => app.timeline.family.is_none() && app.lab.state.runs.len() > 1,
        Command::Time(_) => app.timed_run().is_some(),
        Command::EventProcess => !app.events.is_empty(),
        _ => action.command != Command::Go(app.screen),
    }
}

/// Function keys first, then the letters; those that fit.
#[must_use]
pub fn buttons(app: &App, area: Rect) -> Vec<(Button, &'static Action)> {
    let wide = area.width >= 110;
    let cells = |action: &Action| {
        let (key, text) = label(app, action, wide);
        u16::try_from(key.len() + text.len() + 1).unwrap_or(10)
    };
    // Left out are actions whose key has another meaning on this screen, and those without a use.
    let context = app.context();
    let works = |a: &&Action| {
        let key = app.options.keys.keys(a).first().copied();
        let first = goes_first(app, a);
        has_use(app, a) && key.is_none_or(|key| first || app.options.keys.find(key, context).is_none_or(|found| found.id == a.id))
    };
    let mut actions: Vec<&Action> = labelled(app).filter(works).collect();
    // This screen's own keys first, then what every screen has; on the table htop's function keys keep their order.
    actions.sort_by_key(|a| match (a.context, a.keys.first().map(|k| k.code)) {
        (Context::Recording, _) => 0,
        (Context::Everywhere, _) if app.screen != Screen::Processes => 200,
        (_, Some(crate::app::key::Code::F(n))) => n,
        _ => 99,
    });
    for id in STEP_BACK {
        if actions.iter().map(|a| cells(a)).sum::<u16>() <= area.width {
            break;
        }
        actions.retain(|a| a.id != id);
    }
    let mut x = area.x;
    let mut out = Vec::new();
    for action in actions {
        let width = cells(action);
        if x + width > area.right() {
            break;
        }
        out.push((Button { x, width }, action));
        x += width;
    }
    out
}

/// Draws both lines.
pub fn draw(app: &App, theme: &Theme, line: Rect, bar: Rect, buffer: &mut Buffer) {
    if line.height > 0 {
        match (&app.layer, &app.notice) {
            (Some(Layer::Input(input)), _) => draw_input(app, input, theme, line, buffer),
            (_, Some((notice, _))) => {
                let style = match notice.level {
                    Level::Good => theme.good,
                    Level::Info => theme.strong,
                    Level::Bad => theme.bad,
                };
                let text = sanitize_str(&notice.text, Charset::from_unicode(app.options.unicode));
                Pen::new(buffer, line, 0).put(" ", style).put(&text, style);
            }
            _ if app.pending_key().is_some() => {
                let (key, help) = app.pending_key().unwrap_or_default();
                Pen::new(buffer, line, 0)
                    .put(&format!(" {key}"), theme.key)
                    .put(&format!(" {help}   any other key: cancel"), theme.dim);
            }
            _ => {
                if let Some(family) = app.family_words(usize::from(line.width).saturating_sub(2)) {
                    Pen::new(buffer, line, 0).put(" ", theme.dim).put(&family, theme.dim);
                }
            }
        }
    }
    if bar.height == 0 {
        return;
    }
    let wide = bar.width >= 110;
    let mut pen = Pen::new(buffer, bar, 0);
    if let Some(keys) = popup::keys(app.layer.as_ref()) {
        for (x, _, named) in popup::places(keys, bar) {
            pen.to(x).put(named.keys, theme.key).put(named.what, theme.head);
        }
        return;
    }
    for (button, action) in buttons(app, bar) {
        let (key, text) = label(app, action, wide);
        let off = app.is_off(action);
        pen.to(button.x).put(&key, theme.key).put(&text, if off { theme.ghost } else { theme.head });
    }
}

/// What is typed; for a filter a line below it with a caret under the mistake, or with how it may go on.
fn draw_input(app: &App, input: &Input, theme: &Theme, line: Rect, buffer: &mut Buffer) {
    let charset = Charset::from_unicode(app.options.unicode);
    let mut pen = Pen::new(buffer, line, 0);
    pen.put(" ", theme.text).put(input_label(input.kind), theme.accent).put(": ", theme.accent);
    let start = pen.x();
    let room = pen.left().saturating_sub(2).max(1);
    let wrong_from = input.error.as_ref().map(|(column, _)| *column);
    let caret = typed::draw(&mut pen, &input.line, wrong_from, room, charset, theme);
    if input.kind == InputKind::Filter {
        let rows = app.lines.len();
        let count = format!(" {rows} row{} ", if rows == 1 { "" } else { "s" });
        pen.to(line.right().saturating_sub(u16::try_from(width(&count)).unwrap_or(0))).put(&count, theme.strong);
    }
    if line.height < 2 {
        if let Some((_, message)) = &input.error {
            pen.put("  ", theme.text).put(&sanitize_str(message, charset), theme.bad);
        }
        return;
    }
    let mut below = Pen::new(buffer, line, 1);
    match &input.error {
        Some((_, message)) => pointed(&mut below, caret, &sanitize_str(message, charset), line, theme),
        None if input.completion.candidates.is_empty() => {
            below.put(" ", theme.text).put(hint(input), theme.dim);
        }
        None => {
            below.to(start).put("Tab", theme.key);
            for candidate in &input.completion.candidates {
                if usize::from(below.left()) < candidate.len() + 2 {
                    break;
                }
                below.put("  ", theme.dim).put(candidate, theme.cool);
            }
        }
    }
}

/// What may be typed, and the keys.
fn hint(input: &Input) -> &str {
    match (&input.hint, input.kind) {
        (Some(hint), _) => hint,
        (None, InputKind::Search | InputKind::System) => "Enter keep   F3 or Down next match   Up earlier text   Esc leave",
        (None, InputKind::Filter) => "Enter apply   Esc leave   cpu>5 and user=www   under(nginx) and thread",
        (None, InputKind::EventFilter) => "Enter apply   Up earlier text   Esc leave",
        (None, _) => "Enter set   Esc leave",
    }
}

/// A caret at `caret` with the message beside it, to the right if it fits there.
fn pointed(pen: &mut Pen<'_>, caret: u16, message: &str, line: Rect, theme: &Theme) {
    let cells = u16::try_from(width(message)).unwrap_or(u16::MAX);
    if caret.saturating_add(cells).saturating_add(2) <= line.right() || caret < line.x + cells + 2 {
        pen.to(caret).put("^ ", theme.bad).put(message, theme.bad);
    } else {
        pen.to(caret - cells - 1).put(message, theme.bad).put(" ^", theme.bad);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::msg::Msg;
    use crate::app::options::Options;
    use crate::app::presets::Preset;
    use crate::derive::{Deriver, test_process, test_snapshot};

    fn app(screen: Screen, keys: Preset) -> App {
        let mut app = App::new(Options { keys, ..Options::default() });
        let processes = (7..20).map(|pid| test_process(pid, 1, 5)).collect();
        app.update(Msg::Sample(Arc::new(Deriver::new(0).step(test_snapshot(1_000_000_000, processes)))));
        app.update(Msg::Do(Command::Go(screen)));
        app
    }

    #[test]
    fn every_key_that_the_bar_names_does_what_it_says() {
        for preset in [Preset::Htop, Preset::Vim] {
            for screen in Screen::ALL {
                for width in [80, 140, 400] {
                    let named = app(screen, preset);
                    for (_, action) in buttons(&named, Rect::new(0, 0, width, 1)) {
                        let key = named.options.keys.keys(action)[0];
                        let found = named.options.keys.find(key, named.context()).map(|found| found.id);
                        assert_eq!(found, Some(action.id), "{screen:?} {key}");
                        let mut pressed = app(screen, preset);
                        let effects = pressed.update(Msg::Key(key));
                        let told = pressed.notice.as_ref().map_or("", |(notice, _)| notice.text.as_str());
                        assert!(!told.contains("does nothing"), "{screen:?} {key}: {told}");
                        let changed = pressed.layer.is_some()
                            || pressed.split.is_some()
                            || pressed.lessons.at != named.lessons.at
                            || pressed.screen != named.screen
                            || pressed.options.tree != named.options.tree
                            || !told.is_empty();
                        // Keys of a lesson that was not started, and of an empty timeline or comparison, have nothing to change.
                        let empty = [Screen::Lab, Screen::Timeline, Screen::Compare, Screen::Events].contains(&screen)
                            && action.context == named.context();
                        assert!(changed || !effects.is_empty() || empty, "{screen:?} {key} ({}) changes nothing", action.id);
                    }
                }
            }
        }
    }

    #[test]
    fn the_keys_of_a_screen_are_in_its_bar_before_those_of_all_screens() {
        for screen in [Screen::Lab, Screen::Timeline, Screen::Compare, Screen::Events] {
            let app = app(screen, Preset::Htop);
            let shown: Vec<&str> = buttons(&app, Rect::new(0, 0, 140, 1)).iter().map(|(_, action)| action.id).collect();
            let first_common = buttons(&app, Rect::new(0, 0, 140, 1)).iter().position(|(_, a)| a.context == Context::Everywhere);
            let last_own = buttons(&app, Rect::new(0, 0, 140, 1)).iter().rposition(|(_, a)| a.context == app.context());
            assert!(last_own < first_common, "{screen:?}: {shown:?}");
        }
    }
}
