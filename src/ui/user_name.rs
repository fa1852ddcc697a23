//! User names in a narrow column, so that different users look different.

use std::collections::HashSet;

use crate::derive::Model;
use crate::text::{self, Charset};

/// The names that do not fit in so many cells, each once.
pub fn long_names(model: &Model, cells: usize) -> HashSet<&str> {
    let names = model.now.processes.iter().filter_map(|process| process.identity.user.as_deref());
    names.filter(|name| name.len() > cells && text::width(name) > cells).collect()
}

/// A name in so many cells. Names of a directory often begin alike, so the middle of a long one is left out; if another of `long` is then
/// the same, the number of the user stands instead of the name.
pub fn fit(name: &str, uid: Option<u32>, cells: usize, long: &HashSet<&str>, charset: Charset) -> String {
    if text::width(name) <= cells || !long.contains(name) {
        return text::fit(name.as_bytes(), cells, charset).into_owned();
    }
    let cut = middle_out(name, cells, charset);
    let alike = long.iter().any(|other| *other != name && middle_out(other, cells, charset) == cut);
    match uid.filter(|_| alike).map(|uid| uid.to_string()) {
        None => cut,
        Some(digits) if digits.len() <= cells => digits,
        // The last digits tell users of one directory apart.
        Some(digits) => format!("{}{}", charset.ellipsis(), &digits[digits.len() - cells.saturating_sub(1)..]),
    }
}

/// Beginning and end of a text, with an ellipsis between them.
fn middle_out(name: &str, cells: usize, charset: Charset) -> String {
    let shown = text::sanitize_str(name, charset);
    let keep = cells.saturating_sub(1);
    let mut end = String::new();
    for c in shown.chars().rev() {
        end.insert(0, c);
        if text::width(&end) > keep / 2 {
            end.remove(0);
            break;
        }
    }
    let mut begin = String::new();
    for c in shown.chars() {
        begin.push(c);
        if text::width(&begin) > keep - text::width(&end) {
            begin.pop();
            break;
        }
    }
    if cells == 0 { String::new() } else { format!("{begin}{}{end}", charset.ellipsis()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(names: &[(&str, u32)], cells: usize) -> Vec<String> {
        let long: HashSet<&str> = names.iter().map(|(name, _)| *name).filter(|name| text::width(name) > cells).collect();
        names.iter().map(|(name, uid)| fit(name, Some(*uid), cells, &long, Charset::Unicode)).collect()
    }

    #[test]
    fn names_that_begin_alike_look_different() {
        assert_eq!(
            drawn(&[("root", 0), ("nine-byte", 1), ("ldapuser0001", 2), ("ldapuser0002", 3)], 9),
            ["root", "nine-byte", "ldap…0001", "ldap…0002"]
        );
        assert_eq!(drawn(&[("ldapuser-a-0001", 70_001), ("ldapuser-b-0001", 70_002)], 9), ["70001", "70002"]);
        assert_eq!(drawn(&[("ldap-a-user", 3_000_070_001), ("ldap-b-user", 3_000_070_002)], 9), ["…00070001", "…00070002"]);
        assert_eq!(drawn(&[("grüße-von-überall", 5)], 9), ["grüß…rall"]);
        assert_eq!(drawn(&[("用户名字很长很长", 5)], 9), ["用户…很长"]);
        assert_eq!(drawn(&[("long-name", 5)], 1), ["…"]);
        assert_eq!(drawn(&[("long-name", 5)], 0), [""]);
    }
}
