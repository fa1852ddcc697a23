//! The last lines: a notice or what is being typed, and the function keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::app::actions::{ACTIONS, Action, Context};
use crate::app::layer::{Input, Layer};
use crate::app::msg::Level;
use crate::text::{Charset, sanitize_str};

use super::layout::input_label;
use super::pen::Pen;
use super::theme::Theme;

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

fn label(action: &Action, wide: bool) -> (String, String) {
    let key = action.keys.first().map(ToString::to_string).unwrap_or_default();
    let label = action.bar;
    (key, if wide { format!("{label} ") } else { label.to_owned() })
}

/// Function keys first, then the letters; those that fit.
#[must_use]
pub fn buttons(app: &App, area: Rect) -> Vec<(Button, &'static Action)> {
    let mut actions: Vec<&Action> = labelled(app).collect();
    actions.sort_by_key(|a| match a.keys.first().map(|k| k.code) {
        Some(crate::app::key::Code::F(n)) => n,
        _ => 99,
    });
    let wide = area.width >= 110;
    let mut x = area.x;
    let mut out = Vec::new();
    for action in actions {
        let (key, text) = label(action, wide);
        let width = u16::try_from(key.len() + text.len() + 1).unwrap_or(10);
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
            _ => {}
        }
    }
    if bar.height == 0 {
        return;
    }
    buffer.set_style(bar, theme.head);
    let wide = bar.width >= 110;
    let mut pen = Pen::new(buffer, bar, 0);
    for (button, action) in buttons(app, bar) {
        let (key, text) = label(action, wide);
        let off = action.changes && app.options.readonly;
        pen.to(button.x)
            .put(&key, theme.head.patch(theme.key))
            .put(&text, if off { theme.head.patch(theme.ghost) } else { theme.head });
    }
}

fn draw_input(app: &App, input: &Input, theme: &Theme, line: Rect, buffer: &mut Buffer) {
    let charset = Charset::from_unicode(app.options.unicode);
    let mut pen = Pen::new(buffer, line, 0);
    pen.put(" ", theme.text).put(input_label(input.kind), theme.accent).put(": ", theme.accent);
    match &input.error {
        // The place of the mistake stands out in the text itself.
        Some((column, message)) if *column > 0 || input.kind == crate::app::layer::InputKind::Filter => {
            let before: String = input.text.chars().take(*column).collect();
            let rest: String = input.text.chars().skip(*column).collect();
            pen.put(&sanitize_str(&before, charset), theme.strong);
            pen.put(if app.options.unicode { "▸" } else { "^" }, theme.bad).put(&sanitize_str(&rest, charset), theme.bad);
            pen.put("_  ", theme.accent).put(message, theme.bad);
        }
        error => {
            pen.put(&sanitize_str(&input.text, charset), theme.strong).put("_", theme.accent);
            if let Some((_, message)) = error {
                pen.put("  ", theme.text).put(message, theme.bad);
            }
        }
    }
}
