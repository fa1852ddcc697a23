//! Reads Rust source for the architecture test: code without comments and literals, and its crate paths.

/// The source with comments, strings and character literals blanked out; lines keep their numbers.
pub fn code_only(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match &bytes[at..] {
            [b'/', b'/', ..] => source[at..].find('\n').map_or(bytes.len(), |n| at + n),
            [b'/', b'*', ..] => block_comment_end(bytes, at),
            [b'"', ..] => string_end(bytes, at + 1),
            [b'r', b'"' | b'#', ..] if !follows_word(bytes, at) => raw_string_end(source, at).unwrap_or(at),
            [b'\'', ..] => char_end(source, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            let c = source[at..].chars().next().unwrap();
            out.push(c);
            at += c.len_utf8();
        } else {
            out.extend(source[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

fn follows_word(bytes: &[u8], at: usize) -> bool {
    // `br"` is a literal too; its `b` alone is harmless as a word.
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_') && bytes[at - 1] != b'b'
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0usize, start);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    break;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn raw_string_end(source: &str, start: usize) -> Option<usize> {
    let rest = &source[start + 1..];
    let hashes = rest.bytes().take_while(|b| *b == b'#').count();
    let body = rest[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    body.find(&close).map(|n| start + 1 + hashes + 1 + n + close.len())
}

/// End of a character literal; `None` for a lifetime.
fn char_end(source: &str, start: usize) -> Option<usize> {
    let mut chars = source[start + 1..].char_indices();
    let (_, first) = chars.next()?;
    let close = if first == '\\' {
        chars.next()?;
        chars.find(|(_, c)| *c == '\'')?.0
    } else {
        chars.next().filter(|(_, c)| *c == '\'')?.0
    };
    Some(start + 1 + close + 1)
}

/// A path into the crate, without `crate`, and its line.
#[derive(Debug, PartialEq, Eq)]
pub struct CratePath {
    pub line: usize,
    pub segments: Vec<String>,
}

/// Every `crate::...` and `super::...` path of code that lives in `module` (segments below the crate root), groups expanded.
pub fn crate_paths(code: &str, module: &[&str]) -> Vec<CratePath> {
    let mut found = Vec::new();
    let mut scopes: Vec<(usize, &str)> = Vec::new();
    let (mut depth, mut at, mut previous) = (0usize, 0, "");
    while at < code.len() {
        let rest = &code[at..];
        let Some(word) = word_at(rest) else {
            match rest.as_bytes()[0] {
                b'{' => {
                    depth += 1;
                    if let Some(name) = previous.strip_prefix("mod ") {
                        scopes.push((depth, name));
                    }
                }
                b'}' => {
                    scopes.retain(|(d, _)| *d != depth);
                    depth = depth.saturating_sub(1);
                }
                _ => {}
            }
            if !rest.as_bytes()[0].is_ascii_whitespace() {
                previous = "";
            }
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        if (word == "crate" || word == "super") && rest[word.len()..].starts_with("::") {
            let here: Vec<&str> = module.iter().copied().chain(scopes.iter().map(|(_, name)| *name)).collect();
            let base = if word == "crate" { Vec::new() } else { here[..here.len().saturating_sub(1)].to_vec() };
            let line = code[..at].matches('\n').count() + 1;
            let base = base.into_iter().map(str::to_owned).collect();
            tree(&rest[word.len() + 2..], base, line, &mut found);
        }
        let after_mod = (previous == "mod").then(|| code[..at + word.len()].rfind("mod ").map(|n| &code[n..at + word.len()]));
        previous = after_mod.flatten().unwrap_or(word);
        at += word.len();
    }
    found
}

/// One leaf of a `use`.
pub struct Use {
    pub public: bool,
    /// Whether the path begins at the crate; else it begins with a name that is known in the module.
    pub absolute: bool,
    pub segments: Vec<String>,
}

/// Every `use` of code in `module`, groups expanded.
pub fn use_trees(code: &str, module: &[&str]) -> Vec<Use> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let before = code[..at].trim_end();
        let line = before.rsplit('\n').next().unwrap_or_default().trim_start();
        let public = before.ends_with("pub") || (before.ends_with(')') && line.starts_with("pub("));
        if !(public || before.is_empty() || before.ends_with([';', '}', '{', ']'])) {
            continue;
        }
        let text = &code[at + 4..];
        let first = word_at(text.trim_start()).unwrap_or_default();
        let absolute = first == "crate" || first == "super";
        let trees = if absolute {
            crate_paths(&text[..text.find(';').unwrap_or(text.len())], module)
        } else {
            let mut trees = Vec::new();
            tree(text, Vec::new(), 0, &mut trees);
            trees
        };
        found.extend(trees.into_iter().map(|path| Use { public, absolute, segments: path.segments }));
    }
    found
}

fn word_at(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    (end > 0).then(|| &text[..end])
}

/// One use tree; returns how many bytes it took.
fn tree(text: &str, mut path: Vec<String>, line: usize, found: &mut Vec<CratePath>) -> usize {
    let mut at = text.len() - text.trim_start().len();
    if text[at..].starts_with('{') {
        at += 1;
        loop {
            at += text[at..].len() - text[at..].trim_start_matches(|c: char| c.is_whitespace() || c == ',').len();
            if at >= text.len() || text[at..].starts_with('}') {
                return at + 1;
            }
            let took = tree(&text[at..], path.clone(), line, found);
            at += took.max(1);
        }
    }
    let Some(word) = word_at(&text[at..]) else {
        found.push(CratePath { line, segments: path });
        return at;
    };
    at += word.len();
    match word {
        "self" => {}
        "super" => {
            path.pop();
        }
        _ => path.push(word.to_owned()),
    }
    if text[at..].starts_with("::") {
        return at + 2 + tree(&text[at + 2..], path, line, found);
    }
    found.push(CratePath { line, segments: path });
    // `as name` belongs to this leaf.
    let renamed = text[at..].trim_start().strip_prefix("as ").and_then(word_at);
    renamed.map_or(at, |name| text.len() - text[at..].split_once(name).map_or(0, |(_, rest)| rest.len()))
}
