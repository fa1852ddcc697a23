//! Combines the values of a subtree into the value of a folded row.

use super::{Column, Row, Unknown, Value};

/// How the values of a subtree become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// They do not: the row shows its own. Resident sizes are of this kind: their sum would count shared pages again and again.
    Own,
    /// They add up.
    Sum,
}

impl Column {
    /// The value of `rows` together, the first of them being the one they are folded into.
    ///
    /// A sum is known if every part is, with two exceptions: what does not apply (memory of a zombie) adds nothing, and who was born
    /// since the last sample has no rate yet and joins with the next.
    #[must_use]
    pub fn folded<'a>(&self, rows: impl IntoIterator<Item = Row<'a>>) -> Value<'a> {
        let mut rows = rows.into_iter();
        let Some(first) = rows.next() else { return Value::Unknown(Unknown::NotApplicable) };
        let own = (self.get)(&first);
        if self.fold == Fold::Own {
            return own;
        }
        rows.fold(own, |sum, row| add(sum, (self.get)(&row)))
    }
}

fn add<'a>(a: Value<'a>, b: Value<'a>) -> Value<'a> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Value::Int(a.saturating_add(b)),
        (Value::Count(a), Value::Count(b)) => Value::Count(a.saturating_add(b)),
        (Value::Bytes(a), Value::Bytes(b)) => Value::Bytes(a.saturating_add(b)),
        (Value::Duration(a), Value::Duration(b)) => Value::Duration(a.saturating_add(b)),
        (Value::BytesPerSecond(a), Value::BytesPerSecond(b)) => Value::BytesPerSecond(a + b),
        (Value::Percent(a), Value::Percent(b)) => Value::Percent(a + b),
        (Value::Rate(a), Value::Rate(b)) => Value::Rate(a + b),
        (Value::RunWait { run, wait }, Value::RunWait { run: r, wait: w }) => Value::RunWait { run: run + r, wait: wait + w },
        (Value::Unknown(Unknown::NotApplicable | Unknown::FirstSample), known)
        | (known, Value::Unknown(Unknown::NotApplicable | Unknown::FirstSample)) => known,
        (Value::Unknown(why), _) | (_, Value::Unknown(why)) => Value::Unknown(why),
        (own, _) => own,
    }
}
