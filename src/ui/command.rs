//! Fits a command line into a cell: the directories are shortened first, so that the program's name stays visible.

use std::borrow::Cow;

use crate::text::{self, Charset};

/// The longest first word that is looked into for the name.
const PATH_CELLS: usize = 512;

/// A command line as it is drawn, in three styles.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Where the program is; empty if that is not shown.
    pub place: String,
    /// What it is called.
    pub name: String,
    /// Its arguments.
    pub rest: String,
}

impl Command {
    /// Of that line in so many cells, with the program's directories or without.
    pub fn of(line: &[u8], cells: usize, path: bool, charset: Charset) -> Self {
        let shown = text::fit(line, cells, charset);
        let whole = !shown.ends_with(charset.ellipsis());
        if whole && path {
            return Self::split(&shown);
        }
        let line = text::fit(line, cells + PATH_CELLS, charset);
        let mut found = Self::split(&line);
        if found.name.is_empty() {
            return Self { name: shown.into_owned(), ..Self::default() };
        }
        let others = text::width(&found.name) + text::width(&found.rest);
        let room = cells.saturating_sub(others).max(cells / 3);
        found.place = if path { shorter(&found.place, room, charset).into_owned() } else { String::new() };
        if text::width(&found.place) + text::width(&found.name) > cells {
            // Rather more of the name than that it has a place.
            found.place.clear();
        }
        let left = cells.saturating_sub(text::width(&found.place));
        found.name = text::truncate(&found.name, left, charset).into_owned();
        let left = left.saturating_sub(text::width(&found.name));
        found.rest = text::truncate(&found.rest, left, charset).into_owned();
        found
    }

    /// Divided before and behind the name: what follows the last `/` of the first word.
    fn split(line: &str) -> Self {
        let end = line.find(' ').unwrap_or(line.len());
        let word = &line[..end];
        // "sshd: user@pts/0" and "(sd-pam)" are titles, not paths.
        let path = word.starts_with(['/', '.', '~']) || !word.contains([':', '(', '[', '=', '@']);
        let start = word.rfind('/').filter(|_| path).map_or(0, |at| at + 1);
        Self { place: word[..start].to_owned(), name: word[start..].to_owned(), rest: line[end..].to_owned() }
    }
}

/// Directories in at most so many cells: the first and the last tell most, then the last one, then that there are some.
fn shorter(place: &str, cells: usize, charset: Charset) -> Cow<'_, str> {
    if text::width(place) <= cells {
        return Cow::Borrowed(place);
    }
    let cut = charset.ellipsis();
    let parts: Vec<&str> = place.split_inclusive('/').collect();
    // Of an absolute path the first part is the root itself.
    let first = if place.starts_with('/') { 2 } else { 1 };
    let ends = (parts.len() > first + 1).then(|| format!("{}{cut}/{}", parts[..first].concat(), parts[parts.len() - 1]));
    let last = parts.last().map(|last| format!("{cut}/{last}"));
    let fits = [ends, last].into_iter().flatten().find(|p| text::width(p) <= cells);
    Cow::Owned(fits.unwrap_or_else(|| format!("{cut}/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUSTC: &[u8] = b"/root/.rustup/toolchains/stable-x86_64-unknown-linux-gnu/bin/rustc --crate-name concmon src/lib.rs";

    fn drawn(line: &[u8], cells: usize, path: bool) -> String {
        let c = Command::of(line, cells, path, Charset::Unicode);
        let all = format!("{}{}{}", c.place, c.name, c.rest);
        assert!(text::width(&all) <= cells, "{all:?} in {cells}");
        all
    }

    #[test]
    fn the_name_is_seen_however_long_its_path_is() {
        assert_eq!(drawn(RUSTC, 50, true), "/root/…/bin/rustc --crate-name concmon src/lib.rs");
        assert_eq!(drawn(RUSTC, 30, true), "…/bin/rustc --crate-name conc…");
        assert_eq!(drawn(RUSTC, 16, true), "…/rustc --crate…");
        assert_eq!(drawn(RUSTC, 4, true), "rus…");
        assert_eq!(drawn(b"/tmp/tree/target/debug/concmon", 27, true), "/tmp/…/debug/concmon", "no arguments want room");
        assert_eq!(drawn(RUSTC, 120, true).as_bytes(), RUSTC, "what fits is whole");
        assert_eq!(drawn(b"/usr/bin/postgres -D /var/lib/postgres/data", 30, true), "/usr/bin/postgres -D /var/lib…");
        assert_eq!(Command::of(RUSTC, 50, true, Charset::Ascii).place, "/root/~/bin/");
    }

    #[test]
    fn without_its_path_a_program_keeps_its_arguments() {
        assert_eq!(drawn(RUSTC, 60, false), "rustc --crate-name concmon src/lib.rs");
        assert_eq!(drawn(b"./job --forever", 30, false), "job --forever");
        assert_eq!(drawn(b"target/debug/concmon -t", 30, false), "concmon -t");
        assert_eq!(drawn(b"sshd: maria@pts/0", 30, false), "sshd: maria@pts/0");
        assert_eq!(drawn(b"/bin/", 30, false), "/bin/", "a path without a name");
        assert_eq!(drawn(b"", 30, false), "");
    }

    #[test]
    fn a_title_is_no_path() {
        let of = |line: &[u8]| Command::of(line, 40, true, Charset::Unicode);
        assert_eq!((of(b"user@pts/0: x").place.as_str(), of(b"nginx: worker process").name.as_str()), ("", "nginx:"));
        assert_eq!((of(b"/usr/sbin/nginx -g").place.as_str(), of(b"/usr/sbin/nginx -g").name.as_str()), ("/usr/sbin/", "nginx"));
    }
}
