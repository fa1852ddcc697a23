//! Filters with a name, from the config file: `@name` stands for the expression.

use std::collections::BTreeMap;

use super::{Filter, FilterError};

/// Names and expressions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedFilters(BTreeMap<String, String>);

impl SavedFilters {
    /// From names and expressions; each expression is checked, those it names in turn with it.
    ///
    /// # Errors
    /// The name at fault (the first in the alphabet) and one sentence.
    pub fn new(filters: impl IntoIterator<Item = (String, String)>) -> Result<Self, (String, String)> {
        let saved = Self(filters.into_iter().collect());
        for (name, text) in &saved.0 {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || !name.chars().all(plain) {
                return Err((name.clone(), "the name of a filter may have letters, digits, - and _".into()));
            }
            if let Err(FilterError { column, message }) = Filter::parse_with(text, &saved) {
                return Err((name.clone(), format!("{message} (character {} of {text:?})", column + 1)));
            }
        }
        Ok(saved)
    }

    /// The expression of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Names in the order of the alphabet.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Names with their expressions.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }
}
