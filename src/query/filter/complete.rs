//! Completion while a filter is typed: names of columns, words of the language, saved filters.

use crate::columns::COLUMNS;

use super::saved::SavedFilters;
use super::syntax::{KEYWORDS, Kind, lex};

/// What could stand at the end of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completion {
    /// Bytes of the text before the word that is being typed.
    pub keep: usize,
    /// Whole words that begin as what is typed, best first.
    pub candidates: Vec<String>,
}

impl Completion {
    /// The text with as much added as all candidates agree upon; `None` if that adds nothing.
    #[must_use]
    pub fn apply(&self, text: &str) -> Option<String> {
        let first = self.candidates.first()?;
        let common = self.candidates.iter().fold(first.as_str(), |common, c| {
            let same = common.char_indices().zip(c.chars()).find(|((_, a), b)| a != b).map(|((i, _), _)| i);
            &common[..same.unwrap_or(common.len().min(c.len()))]
        });
        let done = format!("{}{common}", text.get(..self.keep)?);
        (done.len() > text.len()).then_some(done)
    }
}

/// Completes the word at the end of `text`; nothing after a space, within quotes, or where a value stands.
#[must_use]
pub fn complete(text: &str, saved: &SavedFilters) -> Completion {
    let none = Completion::default();
    let Ok(tokens) = lex(text) else { return none };
    let Some(last) = tokens.last().filter(|t| t.kind == Kind::Word) else { return none };
    let before = tokens.len().checked_sub(2).and_then(|i| tokens.get(i));
    let is_value = before.is_some_and(|t| t.kind == Kind::Operator)
        || (before.is_some_and(|t| t.kind == Kind::Open)
            && tokens.len().checked_sub(3).is_some_and(|i| tokens[i].text.eq_ignore_ascii_case("under")));
    if is_value || !text.ends_with(last.text.as_str()) {
        return none;
    }
    let typed = last.text.to_ascii_lowercase();
    let keep = text.len() - last.text.len();
    let mut candidates: Vec<String> = match typed.strip_prefix('@') {
        Some(name) => saved.names().filter(|n| n.starts_with(name)).map(|n| format!("@{n}")).collect(),
        None => {
            let words = KEYWORDS.iter().map(|k| if *k == "under" { "under(" } else { k });
            COLUMNS.iter().map(|c| c.id).chain(words).filter(|w| w.starts_with(&typed)).map(str::to_owned).collect()
        }
    };
    candidates.sort_by_key(String::len);
    candidates.retain(|c| *c != typed);
    Completion { keep, candidates }
}
