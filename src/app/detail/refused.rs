//! Reports a refusal once per reason, for any number of files.

/// The reason behind the file's name: `/proc/1/fd/3: permission denied: ...` from the first colon on.
fn behind_the_name(why: &str) -> &str {
    why.split_once(": ").map_or(why, |(_, reason)| reason)
}

/// How many of the first are refused for the same reason as the very first, and what that one said; `None` if the first was read.
fn alike<'a>(results: impl Iterator<Item = Option<&'a str>>) -> Option<(usize, &'a str)> {
    let mut results = results.peekable();
    let first = (*results.peek()?)?;
    let reason = behind_the_name(first);
    Some((results.take_while(|why| why.is_some_and(|why| behind_the_name(why) == reason)).count(), first))
}

/// So many at the beginning of a list have the first one's reason: that, and how many others there are.
fn in_words(count: usize, first: &str, what: &str) -> String {
    // How many comes first: what stands at the end may be cut.
    if count < 2 {
        first.to_owned()
    } else {
        format!("and {} more {what}{}: {}", count - 1, if count == 2 { "" } else { "s" }, behind_the_name(first))
    }
}

/// Lines of a list with some unreadable entries: `why` gives the reason, `read` and `refused` make the lines of an entry.
pub fn said_once<T>(
    mut items: &[T],
    what: &str,
    why: impl Fn(&T) -> Option<&str>,
    read: impl Fn(&T) -> Vec<String>,
    refused: impl Fn(&T, &str) -> Vec<String>,
) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(first) = items.first() {
        let count = match alike(items.iter().map(&why)) {
            Some((count, reason)) => {
                lines.extend(refused(first, &in_words(count, reason, what)));
                count
            }
            None => {
                lines.extend(read(first));
                1
            }
        };
        items = items.get(count..).unwrap_or_default();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reason_is_said_once() {
        let all = ["/proc/1/fd/0: permission denied: x", "/proc/1/fd/1: permission denied: x", "/proc/1/fd/2: it has ended"];
        let found = alike(all.iter().map(|w| Some(*w)));
        assert_eq!(found, Some((2, all[0])));
        assert_eq!(in_words(28, all[0], "file"), "and 27 more files: permission denied: x");
        assert_eq!(alike([None, Some(all[0])].into_iter()), None);
        assert_eq!(alike(std::iter::empty()), None);
    }
}
