//! Colours by meaning: one accent, and state colours for states only. To add a theme: a [`Palette`] in [`PALETTES`].

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use crate::config::ColorDepth;

/// Names of the themes, the default first.
pub const THEMES: &[&str] = &["default", "light", "high-contrast", "colour-blind", "mono"];

/// A colour: 24 bits, and the one of the terminal's own 16 that stands for it where there are no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Paint(u32, Color);

impl Paint {
    fn rgb(self) -> (u8, u8, u8) {
        let [_, r, g, b] = self.0.to_be_bytes();
        (r, g, b)
    }

    fn at(self, depth: ColorDepth) -> Color {
        let (r, g, b) = self.rgb();
        match depth {
            ColorDepth::Mono => Color::Reset,
            ColorDepth::Sixteen => self.1,
            ColorDepth::TwoFiftySix => Color::Indexed(anstyle_lossy::rgb_to_xterm(anstyle::RgbColor(r, g, b)).index()),
            ColorDepth::True => Color::Rgb(r, g, b),
        }
    }
}

/// The colours of a theme. Text has the terminal's own, so that a theme fits every ground of its kind.
#[derive(Debug, Clone, Copy)]
struct Palette {
    name: &'static str,
    dim: Paint,
    accent: Paint,
    /// On the accent.
    on_accent: Paint,
    selected: (Paint, Paint),
    /// Behind the family; nothing where there are 16 colours only, of which none is faint enough.
    family: Paint,
    head: (Paint, Paint),
    good: Paint,
    bad: Paint,
    warn: Paint,
    cool: Paint,
    tagged: Paint,
    fresh: Paint,
    ghost: Paint,
}

const BLACK: Paint = Paint(0x00_0000, Color::Black);
const WHITE: Paint = Paint(0xff_ffff, Color::White);

const PALETTES: &[Palette] = &[
    Palette {
        name: "default",
        dim: Paint(0x94_9494, Color::DarkGray),
        accent: Paint(0x5f_d7d7, Color::Cyan),
        on_accent: BLACK,
        selected: (WHITE, Paint(0x0a_2a5a, Color::Blue)),
        family: Paint(0x26_2626, Color::Reset),
        head: (Paint(0xd0_d0d0, Color::Black), Paint(0x3a_3a3a, Color::Gray)),
        good: Paint(0x87_d787, Color::Green),
        bad: Paint(0xff_5f5f, Color::LightRed),
        warn: Paint(0xff_af5f, Color::Yellow),
        cool: Paint(0x5f_afff, Color::LightBlue),
        tagged: Paint(0xff_d75f, Color::LightYellow),
        fresh: Paint(0xaf_ffaf, Color::LightGreen),
        ghost: Paint(0x9e_9e9e, Color::DarkGray),
    },
    Palette {
        name: "light",
        dim: Paint(0x6c_6c6c, Color::DarkGray),
        accent: Paint(0x00_5faf, Color::Blue),
        on_accent: WHITE,
        selected: (BLACK, Paint(0xaf_d7ff, Color::Cyan)),
        family: Paint(0xee_eeee, Color::Reset),
        head: (Paint(0x30_3030, Color::Black), Paint(0xd0_d0d0, Color::Gray)),
        good: Paint(0x00_6d00, Color::Green),
        bad: Paint(0xd7_0000, Color::Red),
        warn: Paint(0x87_5f00, Color::Magenta),
        cool: Paint(0x00_5fd7, Color::Blue),
        tagged: Paint(0x87_00d7, Color::Magenta),
        fresh: Paint(0x00_5f00, Color::Green),
        ghost: Paint(0x62_6262, Color::DarkGray),
    },
    Palette {
        name: "high-contrast",
        dim: Paint(0xd0_d0d0, Color::Gray),
        accent: Paint(0xff_ff00, Color::LightYellow),
        on_accent: BLACK,
        selected: (BLACK, Paint(0xff_ff00, Color::Yellow)),
        family: Paint(0x30_3030, Color::Reset),
        head: (BLACK, Paint(0xff_ffff, Color::Gray)),
        good: Paint(0x00_ff00, Color::LightGreen),
        bad: Paint(0xff_afaf, Color::LightRed),
        warn: Paint(0xff_d700, Color::LightYellow),
        cool: Paint(0x5f_d7ff, Color::LightCyan),
        tagged: Paint(0xff_afff, Color::LightMagenta),
        fresh: Paint(0xaf_ffaf, Color::LightGreen),
        ghost: Paint(0xb2_b2b2, Color::Gray),
    },
    // Blue, orange and yellow, which those who do not tell red from green tell apart, and which differ in lightness besides.
    Palette {
        name: "colour-blind",
        dim: Paint(0x94_9494, Color::DarkGray),
        accent: Paint(0xff_ffff, Color::White),
        on_accent: BLACK,
        selected: (WHITE, Paint(0x0a_2a5a, Color::Blue)),
        family: Paint(0x26_2626, Color::Reset),
        head: (Paint(0xd0_d0d0, Color::Black), Paint(0x3a_3a3a, Color::Gray)),
        good: Paint(0x87_d7ff, Color::LightCyan),
        bad: Paint(0xff_8700, Color::LightRed),
        warn: Paint(0xff_ffaf, Color::LightYellow),
        cool: Paint(0xaf_87d7, Color::LightMagenta),
        tagged: Paint(0xff_ff5f, Color::LightYellow),
        fresh: Paint(0xd7_ffff, Color::LightCyan),
        ghost: Paint(0x9e_9e9e, Color::DarkGray),
    },
];

/// Styles by meaning.
#[derive(Debug, Clone)]
pub struct Theme {
    /// Ordinary text.
    pub text: Style,
    /// Secondary text: labels, zeros, unknown.
    pub dim: Style,
    /// Strong text: names, totals.
    pub strong: Style,
    /// The accent: titles, the sorted column, keys.
    pub accent: Style,
    /// The selected row.
    pub selected: Style,
    /// Background of the selected row's family in the tree.
    pub family: Style,
    /// Head of the table and key bar labels.
    pub head: Style,
    /// Head of the column sorted by.
    pub head_sorted: Style,
    /// Key in the bar.
    pub key: Style,
    /// Good news, running, user time.
    pub good: Style,
    /// Bad news, zombies, errors.
    pub bad: Style,
    /// Attention: waiting, kernel time, stopped.
    pub warn: Style,
    /// Third part of bars: nice time, cache.
    pub cool: Style,
    /// Tagged rows.
    pub tagged: Style,
    /// Newly born rows.
    pub fresh: Style,
    /// Ghosts.
    pub ghost: Style,
    /// Frame of dialogs.
    pub frame: Style,
    /// Colours that can be read on the selected row's ground.
    kept: Vec<Color>,
}

/// The least contrast of text to its ground (WCAG 2.2, success criterion 1.4.3).
const LEAST_CONTRAST: f64 = 4.5;

/// Relative luminance (WCAG 2.2).
fn luminance((r, g, b): (u8, u8, u8)) -> f64 {
    let linear = |c: u8| {
        let c = f64::from(c) / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
}

fn contrast(a: (u8, u8, u8), b: (u8, u8, u8)) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// A colour as 24 bits, after it went through xterm's palette; `None` for the terminal's own colours.
fn seen(color: Color) -> Option<(u8, u8, u8)> {
    match color {
        Color::Indexed(index) => {
            let rgb = anstyle_lossy::xterm_to_rgb(anstyle::Ansi256Color(index), anstyle_lossy::palette::DEFAULT);
            Some((rgb.r(), rgb.g(), rgb.b()))
        }
        Color::Rgb(r, g, b) => Some((r, g, b)),
        _ => None,
    }
}

impl Palette {
    /// All colours of text.
    fn texts(&self) -> [Paint; 9] {
        [self.dim, self.accent, self.good, self.bad, self.warn, self.cool, self.tagged, self.fresh, self.ghost]
    }
}

impl Theme {
    /// Gives a row the ground of the selected one. Its colours stay where they can be read on it.
    pub fn mark_selected(&self, row: Rect, buffer: &mut Buffer) {
        if self.kept.is_empty() {
            buffer.set_style(row, self.selected);
            return;
        }
        let row = row.intersection(buffer.area);
        for (x, y) in row.positions().map(|at| (at.x, at.y)) {
            let cell = &mut buffer[(x, y)];
            let front = if self.kept.contains(&cell.fg) { Style::new() } else { Style { bg: None, ..self.selected } };
            let ground = Style { fg: None, ..self.selected };
            cell.set_style(front.patch(ground));
        }
    }

    /// The theme of that name in as many colours as there are; without colours `mono` for every name. An unknown name is `None`.
    #[must_use]
    pub fn named(name: &str, depth: ColorDepth) -> Option<Self> {
        if !THEMES.contains(&name) {
            return None;
        }
        match PALETTES.iter().find(|p| p.name == name) {
            Some(palette) if depth > ColorDepth::Mono => Some(Self::painted(palette, depth)),
            _ => Some(Self::mono()),
        }
    }

    fn painted(palette: &Palette, depth: ColorDepth) -> Self {
        let fg = |paint: Paint| Style::new().fg(paint.at(depth));
        let on = |(front, ground): (Paint, Paint)| Style::new().fg(front.at(depth)).bg(ground.at(depth));
        let accent = fg(palette.accent);
        let ground = seen(palette.selected.1.at(depth));
        let readable =
            |color: &Color| seen(*color).zip(ground).is_some_and(|(front, ground)| contrast(front, ground) >= LEAST_CONTRAST);
        Self {
            kept: palette.texts().map(|paint| paint.at(depth)).into_iter().filter(readable).collect(),
            text: Style::new(),
            dim: fg(palette.dim),
            strong: Style::new().add_modifier(Modifier::BOLD),
            accent: accent.add_modifier(Modifier::BOLD),
            selected: on(palette.selected),
            family: match palette.family.at(depth) {
                Color::Reset => Style::new(),
                ground => Style::new().bg(ground),
            },
            head: on(palette.head),
            head_sorted: on((palette.on_accent, palette.accent)).add_modifier(Modifier::BOLD),
            key: accent.add_modifier(Modifier::BOLD),
            good: fg(palette.good),
            bad: fg(palette.bad),
            warn: fg(palette.warn),
            cool: fg(palette.cool),
            tagged: fg(palette.tagged),
            fresh: fg(palette.fresh),
            ghost: fg(palette.ghost),
            frame: accent,
        }
    }

    fn mono() -> Self {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let reversed = plain.add_modifier(Modifier::REVERSED);
        Self {
            text: plain,
            dim: plain.add_modifier(Modifier::DIM),
            strong: bold,
            accent: bold,
            selected: reversed,
            family: plain,
            head: reversed,
            head_sorted: bold.add_modifier(Modifier::UNDERLINED),
            key: bold,
            good: plain,
            bad: bold,
            warn: bold,
            cool: plain,
            tagged: bold,
            fresh: bold,
            ghost: plain.add_modifier(Modifier::DIM),
            frame: plain,
            kept: Vec::new(),
        }
    }

    /// Colour of a run of the lab, by its number.
    #[must_use]
    pub fn run(&self, number: u32) -> Style {
        [self.accent, self.tagged, self.good, self.cool, self.warn][number as usize % 5]
    }

    /// Style of a kernel state letter.
    #[must_use]
    pub fn state(&self, letter: char) -> Style {
        match letter {
            'R' => self.good.add_modifier(Modifier::BOLD),
            'D' => self.bad.add_modifier(Modifier::BOLD),
            'Z' | 'X' => self.bad,
            'T' | 't' => self.warn,
            _ => self.dim,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(paint: Paint, depth: ColorDepth) -> (u8, u8, u8) {
        super::seen(paint.at(depth)).unwrap()
    }

    /// The grounds of terminals that a theme is made for.
    fn grounds(palette: &Palette) -> [(u8, u8, u8); 2] {
        if palette.name == "light" { [(0xff, 0xff, 0xff), (0xfc, 0xfc, 0xfc)] } else { [(0, 0, 0), (0x1e, 0x1e, 0x1e)] }
    }

    #[test]
    fn every_text_can_be_read_on_its_ground() {
        for palette in PALETTES {
            let least = if palette.name == "high-contrast" { 7.0 } else { LEAST_CONTRAST };
            for depth in [ColorDepth::TwoFiftySix, ColorDepth::True] {
                for (paint, ground) in palette.texts().into_iter().flat_map(|p| grounds(palette).map(|g| (p, g))) {
                    let ratio = contrast(seen(paint, depth), ground);
                    assert!(ratio >= least, "{}: {:06x} on {ground:?} at {depth:?}: {ratio:.2}", palette.name, paint.0);
                }
                for (front, ground) in [palette.selected, palette.head, (palette.on_accent, palette.accent)] {
                    let ratio = contrast(seen(front, depth), seen(ground, depth));
                    assert!(ratio >= least, "{}: {:06x} on {:06x}: {ratio:.2}", palette.name, front.0, ground.0);
                }
                for paint in palette.texts() {
                    let ratio = contrast(seen(paint, depth), seen(palette.family, depth));
                    let what = format!("{}: {:06x} on the family at {depth:?}: {ratio:.2}", palette.name, paint.0);
                    assert!(ratio >= LEAST_CONTRAST, "{what}");
                }
            }
        }
    }

    #[test]
    fn the_selected_row_keeps_the_colours_that_can_be_read_there() {
        for palette in PALETTES {
            for depth in [ColorDepth::TwoFiftySix, ColorDepth::True] {
                let theme = Theme::named(palette.name, depth).unwrap();
                let row = Rect::new(0, 0, 1, 1);
                let mut kept = 0;
                for paint in palette.texts() {
                    let mut buffer = Buffer::empty(row);
                    buffer.set_string(0, 0, "x", Style::new().fg(paint.at(depth)));
                    theme.mark_selected(row, &mut buffer);
                    let cell = &buffer[(0, 0)];
                    let ratio = contrast(super::seen(cell.fg).unwrap(), super::seen(cell.bg).unwrap());
                    assert!(ratio >= LEAST_CONTRAST, "{}: {:06x} at {depth:?}: {ratio:.2}", palette.name, paint.0);
                    kept += usize::from(cell.fg == paint.at(depth));
                }
                let dark = ["default", "colour-blind"].contains(&palette.name);
                assert!(!dark || kept >= 8, "{} keeps {kept} of 9 at {depth:?}", palette.name);
            }
        }
    }

    /// Bars and curves are drawn in the colours of text, which reach more than the 3:1 that WCAG asks of graphics (1.4.11).
    #[test]
    fn graphics_are_told_from_every_ground() {
        for palette in PALETTES {
            for depth in [ColorDepth::TwoFiftySix, ColorDepth::True] {
                let theme = Theme::named(palette.name, depth).unwrap();
                for style in (0..5).map(|run| theme.run(run)).chain([
                    theme.good,
                    theme.warn,
                    theme.bad,
                    theme.cool,
                    theme.dim,
                    theme.frame,
                ]) {
                    let front = super::seen(style.fg.unwrap()).unwrap();
                    for ground in grounds(palette).into_iter().chain([seen(palette.family, depth)]) {
                        let ratio = contrast(front, ground);
                        assert!(ratio >= 3.0, "{}: {front:?} on {ground:?} at {depth:?}: {ratio:.2}", palette.name);
                    }
                }
            }
        }
    }

    #[test]
    fn states_differ_in_lightness_where_hue_may_not_be_seen() {
        let palette = PALETTES.iter().find(|p| p.name == "colour-blind").unwrap();
        for (a, b) in [(palette.good, palette.bad), (palette.bad, palette.warn), (palette.good, palette.warn)] {
            assert!(contrast(a.rgb(), b.rgb()) >= 1.4, "{:06x} and {:06x}", a.0, b.0);
        }
    }

    #[test]
    fn every_theme_is_there_at_every_depth() {
        for name in THEMES {
            for depth in [ColorDepth::Mono, ColorDepth::Sixteen, ColorDepth::TwoFiftySix, ColorDepth::True] {
                let theme = Theme::named(name, depth).unwrap();
                let colourless = theme.bad.fg.is_none();
                assert_eq!(colourless, *name == "mono" || depth == ColorDepth::Mono, "{name} at {depth:?}");
                if depth == ColorDepth::Sixteen {
                    let basic = |c: Option<Color>| !matches!(c, Some(Color::Indexed(_) | Color::Rgb(..)));
                    assert!(basic(theme.selected.bg) && basic(theme.bad.fg) && basic(theme.family.bg));
                }
            }
        }
        assert!(Theme::named("solarised", ColorDepth::True).is_none());
    }
}
