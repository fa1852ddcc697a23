//! Detects how many colours the terminal supports.

/// From none to all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ColorDepth {
    /// None: bold, dim and reversed only.
    Mono,
    /// The 16 that the terminal's user has chosen.
    Sixteen,
    /// xterm's 256.
    #[default]
    TwoFiftySix,
    /// 24 bits.
    True,
}

/// Parts of `TERM` of terminals that show 24 bits and may not say so in `COLORTERM`, which does not survive sudo and ssh.
const TRUE_COLOUR: &[&str] = &["direct", "truecolor", "kitty", "alacritty", "ghostty", "wezterm", "foot"];

impl ColorDepth {
    /// What `TERM` and `COLORTERM` say. Without a word of either it is a terminal of unknown kind: the 16 that nearly all have.
    #[must_use]
    pub fn detect(term: Option<&str>, colorterm: Option<&str>) -> Self {
        let term = term.unwrap_or_default();
        if term == "dumb" || term.ends_with("-mono") || term.starts_with("vt") {
            return Self::Mono;
        }
        if colorterm.is_some_and(|c| c.eq_ignore_ascii_case("truecolor") || c.eq_ignore_ascii_case("24bit"))
            || TRUE_COLOUR.iter().any(|part| term.contains(part))
        {
            return Self::True;
        }
        if term.contains("256color") { Self::TwoFiftySix } else { Self::Sixteen }
    }

    /// The depth for a word of the config; `None` for "auto" and for words that are none.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "16" => Some(Self::Sixteen),
            "256" => Some(Self::TwoFiftySix),
            "true" => Some(Self::True),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_known_by_what_they_say() {
        let of = |term, colorterm| ColorDepth::detect(Some(term), colorterm);
        assert_eq!(of("xterm-256color", Some("truecolor")), ColorDepth::True);
        assert_eq!(of("xterm-kitty", None), ColorDepth::True);
        assert_eq!(of("tmux-256color", None), ColorDepth::TwoFiftySix);
        assert_eq!(of("screen", Some("")), ColorDepth::Sixteen);
        assert_eq!(of("linux", None), ColorDepth::Sixteen);
        assert_eq!(of("dumb", Some("truecolor")), ColorDepth::Mono);
        assert_eq!(of("vt100", None), ColorDepth::Mono);
        assert_eq!(ColorDepth::detect(None, None), ColorDepth::Sixteen);
    }
}
