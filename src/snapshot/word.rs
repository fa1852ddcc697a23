//! Kernel words kept as `&'static str`, read back from a recording: each is stored once for the life of the program, up to a limit.

use std::sync::{Mutex, PoisonError};

use serde::de::{Deserialize as _, Deserializer, Error};

/// The most different words; Linux has some 50 system calls that wait and 10 kinds of namespaces.
const MOST: usize = 256;
/// The longest word, bytes.
const LONGEST: usize = 32;

/// A word that is kept. Named, since serde takes a field that is written as a reference for one into the recording's bytes.
pub type Word = &'static str;

static KEPT: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

/// A word.
pub(super) fn known<'de, D: Deserializer<'de>>(from: D) -> Result<&'static str, D::Error> {
    keep(<&str>::deserialize(from)?).ok_or_else(|| D::Error::custom("this is no word of the kernel's"))
}

/// A word, or none.
pub(super) fn optional<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'static str>, D::Error> {
    let word = Option::<&str>::deserialize(from)?;
    word.map(|word| keep(word).ok_or_else(|| D::Error::custom("this is no word of the kernel's"))).transpose()
}

/// `None` for what no kernel calls anything, and once there are too many.
fn keep(word: &str) -> Option<&'static str> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if word.is_empty() || word.len() > LONGEST || !word.bytes().all(plain) {
        return None;
    }
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = kept.iter().find(|known| **known == word) {
        return Some(known);
    }
    if kept.len() == MOST {
        return None;
    }
    let word: &'static str = Box::leak(word.into());
    kept.push(word);
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_kept_once_and_what_is_none_not_at_all() {
        let (first, again) = (keep("epoll_pwait2").unwrap(), keep("epoll_pwait2").unwrap());
        assert!(std::ptr::eq(first, again));
        for wrong in ["", "a b", "A", "\u{1b}[0m", &"x".repeat(33)] {
            assert_eq!(keep(wrong), None, "{wrong:?}");
        }
    }
}
