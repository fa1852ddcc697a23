//! Which figures differ clearly, and how several are named.

use crate::lab::measure::Spread;

/// Whether the middle half of one lies below that of the other.
pub(super) fn below(a: &Spread, b: &Spread) -> bool {
    a.q3 < b.q1
}

/// `a, b and c`.
pub(super) fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
