//! The colour of a cell of the table by how much it is: little is faint, much stands out.

use ratatui::style::{Modifier, Style};

use crate::columns::{Hue, Value};

use super::theme::Theme;

/// Percent of one CPU below which use is faint, from which on it has the colour of running, and from which on it is bold too.
const RAN: [f32; 3] = [2.0, 20.0, 80.0];
/// The same of waiting for a CPU.
const WAITED: [f32; 3] = [2.0, 10.0, 50.0];
/// Bytes below which memory is faint, from which on it is coloured, and from which on it is bold too.
const HELD: [u64; 3] = [1 << 20, 100 << 20, 1 << 30];
/// Nanoseconds below which creation is cheap, and from which on it is expensive.
const CREATED: [u64; 2] = [1_000_000, 10_000_000];
/// How a wait begins that takes a CPU to end.
const WAITS_FOR_CPU: &[u8] = b"waits for a CPU";

/// The style of a known value; `base` where its amount is nothing special.
pub fn style(hue: Hue, value: &Value<'_>, base: Style, theme: &Theme) -> Style {
    let strong = |style: Style| style.add_modifier(Modifier::BOLD);
    let by = |share: f32, [faint, seen, much]: [f32; 3], colour: Style| match share {
        s if s < faint => theme.dim,
        s if s < seen => base,
        s if s < much => colour,
        _ => strong(colour),
    };
    match (hue, value) {
        (Hue::Ran, Value::Percent(share)) => by(*share, RAN, theme.good),
        (Hue::Waited, Value::Percent(share)) => by(*share, WAITED, theme.warn),
        (Hue::Held, Value::Bytes(bytes)) => match *bytes {
            b if b < HELD[0] => theme.dim,
            b if b < HELD[1] => base,
            b if b < HELD[2] => theme.cool,
            _ => strong(theme.cool),
        },
        (Hue::Reason, Value::Text(words)) if words.starts_with(WAITS_FOR_CPU) => theme.warn,
        (Hue::Reason, Value::Text(_)) => theme.dim,
        _ => base,
    }
}

/// The style of the time that the creation of a process or thread took.
pub fn of_creation(ns: u64, base: Style, theme: &Theme) -> Style {
    match ns {
        ns if ns < CREATED[0] => theme.good,
        ns if ns < CREATED[1] => base,
        _ => theme.warn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ColorDepth;

    #[test]
    fn little_is_faint_and_much_is_coloured() {
        let theme = Theme::named("default", ColorDepth::True).unwrap();
        let ran = |share| style(Hue::Ran, &Value::Percent(share), theme.text, &theme).fg;
        assert_eq!([ran(0.3), ran(9.0), ran(48.0), ran(99.0)], [theme.dim.fg, None, theme.good.fg, theme.good.fg]);
        let held = |bytes| style(Hue::Held, &Value::Bytes(bytes), theme.text, &theme).fg;
        assert_eq!([held(300 << 10), held(9 << 20), held(400 << 20)], [theme.dim.fg, None, theme.cool.fg]);
        let waits = |words: &'static str| style(Hue::Reason, &Value::Text(words.as_bytes().into()), theme.text, &theme).fg;
        assert_eq!([waits("waits for a CPU, 51 %"), waits("epoll, 3 fds")], [theme.warn.fg, theme.dim.fg]);
        let made = |ns| of_creation(ns, theme.text, &theme).fg;
        assert_eq!([made(200_000), made(2_000_000), made(73_000_000)], [theme.good.fg, None, theme.warn.fg]);
    }
}
