//! The value that a column is compared with: a number with its unit, a word, a regular expression.

use regex::bytes::{Regex, RegexBuilder};

use crate::columns::{Align, Column};

use super::syntax::Op;

/// The right side of a comparison.
#[derive(Debug, Clone)]
pub(super) struct Operand {
    pub(super) text: String,
    /// In the column's unit.
    pub(super) number: Option<f64>,
    /// For `~` and `!~`.
    pub(super) regex: Option<Regex>,
    /// Whether one word of the value is enough to be equal: `wait=futex` means every "futex wait 7f..".
    pub(super) any_word: bool,
}

impl Operand {
    /// # Errors
    /// One sentence, without place.
    pub(super) fn new(column: &Column, op: Op, text: &str) -> Result<Self, String> {
        if op.is_regex() {
            // As with search: small letters match any case.
            let built = RegexBuilder::new(text)
                .case_insensitive(!text.chars().any(char::is_uppercase))
                .size_limit(1 << 20)
                .build()
                .map_err(|_| format!("{text:?} is not a regular expression"))?;
            return Ok(Self { text: text.to_owned(), number: None, regex: Some(built), any_word: false });
        }
        let number = number(text, column.unit);
        if number.is_none() && column.align == Align::Right {
            return Err(format!("{} needs a number, e.g. {}>{}", column.id, column.id, example(column)));
        }
        Ok(Self {
            text: text.to_owned(),
            number,
            regex: None,
            any_word: matches!(column.id, "wait" | "lock" | "namespaces" | "container"),
        })
    }
}

fn example(column: &Column) -> &'static str {
    match column.unit {
        "bytes" | "bytes_per_s" => "200M",
        "ns" => "10s",
        _ => "5",
    }
}

/// A number with an optional unit fitting the column's: K M G T for bytes (powers of 1024) and counts (of 1000), ns us ms s m h d for times,
/// % for percent.
pub(super) fn number(text: &str, unit: &str) -> Option<f64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(text.len());
    let (digits, suffix) = text.split_at(split);
    let value: f64 = digits.parse().ok()?;
    let suffix = suffix.to_ascii_lowercase();
    let factor = match unit {
        "ns" => match suffix.as_str() {
            "ns" => 1.0,
            "us" => 1e3,
            "ms" => 1e6,
            "" | "s" => 1e9,
            "m" | "min" => 60e9,
            "h" => 3_600e9,
            "d" => 86_400e9,
            _ => return None,
        },
        "percent" => match suffix.as_str() {
            "" | "%" => 1.0,
            _ => return None,
        },
        _ => {
            let bytes = unit.starts_with("bytes");
            let suffix = if bytes { suffix.trim_end_matches("/s").trim_end_matches('b').trim_end_matches('i') } else { &suffix };
            let base: f64 = if bytes { 1024.0 } else { 1000.0 };
            match suffix {
                "" => 1.0,
                "k" => base,
                "m" => base.powi(2),
                "g" => base.powi(3),
                "t" => base.powi(4),
                _ => return None,
            }
        }
    };
    Some(value * factor)
}
