//! Colours by meaning. One accent; state colours are used for state only.

use ratatui::style::{Color, Modifier, Style};

/// Names of the themes, the default first.
pub const THEMES: &[&str] = &["default", "light", "mono"];

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
}

impl Theme {
    /// The theme of that name; without colour, `mono` whatever the name. An unknown name is `None`.
    #[must_use]
    pub fn named(name: &str, color: bool) -> Option<Self> {
        match name {
            _ if !THEMES.contains(&name) => None,
            "mono" => Some(Self::mono()),
            _ if !color => Some(Self::mono()),
            "light" => Some(Self::light()),
            _ => Some(Self::dark()),
        }
    }

    fn dark() -> Self {
        let fg = |c| Style::new().fg(c);
        let accent = Color::Indexed(80);
        Self {
            text: Style::new(),
            dim: fg(Color::Indexed(244)),
            strong: Style::new().add_modifier(Modifier::BOLD),
            accent: fg(accent).add_modifier(Modifier::BOLD),
            selected: Style::new().bg(Color::Indexed(24)).fg(Color::Indexed(231)),
            family: Style::new().bg(Color::Indexed(235)),
            head: Style::new().bg(Color::Indexed(237)).fg(Color::Indexed(252)),
            head_sorted: Style::new().bg(accent).fg(Color::Indexed(16)).add_modifier(Modifier::BOLD),
            key: fg(accent).add_modifier(Modifier::BOLD),
            good: fg(Color::Indexed(114)),
            bad: fg(Color::Indexed(203)),
            warn: fg(Color::Indexed(215)),
            cool: fg(Color::Indexed(75)),
            tagged: fg(Color::Indexed(221)),
            fresh: fg(Color::Indexed(157)),
            ghost: fg(Color::Indexed(242)).add_modifier(Modifier::CROSSED_OUT),
            frame: fg(accent),
        }
    }

    fn light() -> Self {
        let fg = |c| Style::new().fg(c);
        let accent = Color::Indexed(25);
        Self {
            dim: fg(Color::Indexed(243)),
            accent: fg(accent).add_modifier(Modifier::BOLD),
            selected: Style::new().bg(Color::Indexed(153)).fg(Color::Indexed(16)),
            family: Style::new().bg(Color::Indexed(255)),
            head: Style::new().bg(Color::Indexed(252)).fg(Color::Indexed(236)),
            head_sorted: Style::new().bg(accent).fg(Color::Indexed(231)).add_modifier(Modifier::BOLD),
            key: fg(accent).add_modifier(Modifier::BOLD),
            good: fg(Color::Indexed(28)),
            bad: fg(Color::Indexed(160)),
            warn: fg(Color::Indexed(130)),
            cool: fg(Color::Indexed(26)),
            tagged: fg(Color::Indexed(129)),
            fresh: fg(Color::Indexed(22)),
            ghost: fg(Color::Indexed(247)).add_modifier(Modifier::CROSSED_OUT),
            frame: fg(accent),
            ..Self::dark()
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
            ghost: plain.add_modifier(Modifier::DIM | Modifier::CROSSED_OUT),
            frame: plain,
        }
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
