//! Generated parts of files: `UPDATE_DOCS=1` writes them, else they are compared.

use std::path::Path;

/// Whether this run writes instead of comparing.
fn writes() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some()
}

/// A document with a section's content replaced; `None` if it has no such section.
fn with_section(document: &str, name: &str, content: &str) -> Option<String> {
    let (open, close) = (format!("<!-- generated:{name} -->\n"), format!("<!-- /generated:{name} -->"));
    let start = document.find(&open)? + open.len();
    let end = start + document[start..].find(&close)?;
    Some(format!("{}{content}{}", &document[..start], &document[end..]))
}

/// Fails, or writes the file, if `file` is not `wanted`.
pub fn whole(file: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let now = std::fs::read_to_string(&path).unwrap();
    if now == wanted {
        return;
    }
    if writes() {
        std::fs::write(&path, wanted).unwrap();
        return;
    }
    let line = now.lines().zip(wanted.lines()).position(|(a, b)| a != b).unwrap_or(0) + 1;
    panic!("{file}:{line} is out of date; run: UPDATE_DOCS=1 cargo test --test pure -- registries architecture");
}

/// The same for one section of a file.
pub fn section(file: &str, name: &str, content: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let now = std::fs::read_to_string(&path).unwrap();
    let wanted = with_section(&now, name, content).unwrap_or_else(|| panic!("{file} has no section generated:{name}"));
    whole(file, &wanted);
}
