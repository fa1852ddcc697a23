//! Text search after F3. Lower-case text matches any case; text with a capital must match exactly.

use crate::columns::{self, Row, Value};

/// Something to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextMatch {
    needle: Vec<u8>,
    exact_case: bool,
}

impl TextMatch {
    /// What was typed.
    #[must_use]
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.needle)
    }

    /// `None` for empty text, which matches nothing and everything.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let exact_case = text.chars().any(char::is_uppercase);
        (!text.is_empty()).then(|| Self { needle: text.as_bytes().to_vec(), exact_case })
    }

    /// Whether `bytes` contain it.
    #[must_use]
    pub fn found_in(&self, bytes: &[u8]) -> bool {
        bytes
            .windows(self.needle.len())
            .any(|w| if self.exact_case { w == self.needle } else { w.eq_ignore_ascii_case(&self.needle) })
    }

    /// Whether the row's command, name, user or id contains it.
    #[must_use]
    pub fn matches(&self, row: &Row<'_>) -> bool {
        let id = if row.is_task() { row.face().tid } else { row.process.key.pid };
        self.found_in(row.face().comm.as_bytes())
            || columns::find("command").is_some_and(|c| matches!((c.get)(row), Value::Text(t) if self.found_in(&t)))
            || row.process.identity.user.as_deref().is_some_and(|u| self.found_in(u.as_bytes()))
            || id.to_string().as_bytes() == self.needle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_letters_match_any_case_capitals_only_themselves() {
        let any = TextMatch::new("nginx").unwrap();
        assert!(any.found_in(b"/usr/sbin/NGINX -g"));
        let exact = TextMatch::new("Nginx").unwrap();
        assert!(!exact.found_in(b"nginx"));
        assert!(exact.found_in(b"xNginx"));
        assert!(TextMatch::new("").is_none());
        assert!(!any.found_in(b"ngi"), "shorter than the needle");
    }
}
