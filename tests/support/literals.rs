//! String literals of Rust source outside of tests, with their lines: what a person may read.

/// Line number and text of each literal; line continuations are joined, escapes stay as written.
pub fn literals(source: &str) -> Vec<(usize, String)> {
    let end = source.find("\n#[cfg(test)]\nmod tests {").unwrap_or(source.len());
    let source = &source[..end];
    let mut out = Vec::new();
    let mut at = 0;
    while at < source.len() {
        let rest = &source[at..];
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if let Some(length) = character(rest) {
            at += length;
        } else if let Some((open, close)) = opening(source, at) {
            let from = at + open;
            let length = if close == "\"" { plain_end(&source[from..]) } else { source[from..].find(&close).unwrap_or(0) };
            let line = source[..at].bytes().filter(|b| *b == b'\n').count() + 1;
            out.push((line, joined(&source[from..from + length])));
            at = from + length + close.len();
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    out
}

/// Length of a character literal at the start; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    if let Some(escaped) = inner.strip_prefix('\\') {
        return escaped.char_indices().skip(1).find(|(_, c)| *c == '\'').map(|(at, _)| at + 3);
    }
    let first = inner.chars().next()?;
    inner[first.len_utf8()..].starts_with('\'').then(|| first.len_utf8() + 2)
}

/// Length of what opens a literal at `at`, and what closes it.
fn opening(source: &str, at: usize) -> Option<(usize, String)> {
    let rest = &source[at..];
    if rest.starts_with('"') {
        return Some((1, "\"".to_owned()));
    }
    let raw = rest.strip_prefix('r')?;
    let hashes = raw.bytes().take_while(|b| *b == b'#').count();
    let in_word = source[..at].ends_with(|c: char| c == '_' || c.is_ascii_alphanumeric());
    (raw[hashes..].starts_with('"') && !in_word).then(|| (hashes + 2, format!("\"{}", "#".repeat(hashes))))
}

fn plain_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at
}

/// A backslash at the end of a line swallows the blanks that follow.
fn joined(text: &str) -> String {
    let mut parts = text.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.trim_start())
}
