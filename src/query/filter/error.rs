//! Why a filter does not parse, and where.

use crate::text::{Charset, sanitize_str, width};

/// Why a filter does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (column {})", column + 1)]
pub struct FilterError {
    /// Where, in characters from 0.
    pub column: usize,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl FilterError {
    /// The message with the filter's text and a caret below the place, for a terminal: three lines.
    #[must_use]
    pub fn pointed(&self, filter: &str) -> String {
        let safe = sanitize_str(filter, Charset::Unicode);
        let before: String = filter.chars().take(self.column).collect();
        let indent = width(&sanitize_str(&before, Charset::Unicode));
        format!("{}\n  {safe}\n  {:indent$}^", self.message, "")
    }
}
