//! The last lines of the screen: a notice or an input line, and the function keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::app::actions::{ACTIONS, Action, Context};
use crate::app::layer::{Input, InputKind, Layer};
use crate::app::msg::Level;
use crate::app::options::Screen;
use crate::text::{Charset, sanitize_str, width};

use super::layout::input_label;
use super::pen::Pen;
use super::theme::Theme;
use super::typed;

/// Actions that lose their place in the bar where not all fit, the first ones first. The lab and a launch stay: nobody would look for them.
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
    ACTIONS.iter().filter(move |a| !a.bar.is_empty() && (a.context == here || a.context == Context::Everywhere))
}

fn label(app: &App, action: &Action, wide: bool) -> (String, String) {
    let key = app.options.keys.keys(action).first().map(ToString::to_string).unwrap_or_default();
    let label = action.bar;
    (key, if wide { format!("{label} ") } else { label.to_owned() })
}

/// Function keys first, then the letters; those that fit.
#[must_use]
pub fn buttons(app: &App, area: Rect) -> Vec<(Button, &'static Action)> {
    let wide = area.width >= 110;
    let cells = |action: &Action| {
        let (key, text) = label(app, action, wide);
        u16::try_from(key.len() + text.len() + 1).unwrap_or(10)
    };
    let mut actions: Vec<&Action> = labelled(app).collect();
    // This screen's own keys first, then what every screen has; on the table htop's function keys keep their order.
    actions.sort_by_key(|a| match (a.context, a.keys.first().map(|k| k.code)) {
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
            below.to(start).put("Enter apply   Esc leave   cpu>5 and user=www   under(nginx) and thread", theme.dim);
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

/// A caret at `caret` with the message beside it, to the right if it fits there.
fn pointed(pen: &mut Pen<'_>, caret: u16, message: &str, line: Rect, theme: &Theme) {
    let cells = u16::try_from(width(message)).unwrap_or(u16::MAX);
    if caret.saturating_add(cells).saturating_add(2) <= line.right() || caret < line.x + cells + 2 {
        pen.to(caret).put("^ ", theme.bad).put(message, theme.bad);
    } else {
        pen.to(caret - cells - 1).put(message, theme.bad).put(" ^", theme.bad);
    }
}
