//! Walks every registry: ids are unique and well formed, everything is described, and the README's tables are what the registries say.
//!
//! `UPDATE_README=1 cargo test --test registries` writes the tables anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the README has failed")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use concmon::columns::{self, COLUMNS};
use concmon::config::KEYS;

/// Fails on the first value that comes twice.
fn assert_unique<T: Ord + std::fmt::Debug + Copy>(what: &str, values: impl IntoIterator<Item = T>) {
    let mut seen = BTreeSet::new();
    for value in values {
        assert!(seen.insert(value), "{what} {value:?} comes twice");
    }
}

fn is_snake_case(id: &str) -> bool {
    id.starts_with(|c: char| c.is_ascii_lowercase()) && id.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// A sentence begins with a capital letter (or a name in code) and ends with a full stop.
fn assert_sentence(of: &str, text: &str) {
    assert!(text.ends_with('.'), "{of}: {text:?} ends with a full stop");
    assert!(!text.contains("  ") && text.trim() == text, "{of}: {text:?} has stray blanks");
    assert!(text.len() > 10, "{of}: {text:?} says something");
}

#[test]
fn columns_are_sound() {
    assert_unique("column id", COLUMNS.iter().map(|c| c.id));
    let keys: Vec<String> = COLUMNS.iter().map(columns::Column::json_key).collect();
    assert_unique("JSON key", keys.iter().map(String::as_str));
    for column in COLUMNS {
        assert!(is_snake_case(column.id), "{} is not snake case", column.id);
        assert_sentence(column.id, column.description);
        assert!(!column.title.is_empty() && !column.source.is_empty(), "{} has a title and a source", column.id);
        let title = concmon::text::width(column.title);
        assert!(
            column.width == 0 || title <= usize::from(column.width).max(7),
            "{}: the title is wider than the cells",
            column.id
        );
        assert_eq!(columns::find(column.id), Some(column));
        assert_eq!(columns::nearest(column.id), Some(column.id), "a right id is its own nearest");
    }
}

#[test]
fn default_columns_exist_and_fit_the_program() {
    assert_unique("default column", columns::DEFAULT.iter().copied());
    for id in columns::DEFAULT {
        assert!(columns::find(id).is_some(), "the default column {id} does not exist");
    }
    let last = columns::find(columns::DEFAULT.last().unwrap()).unwrap();
    assert_eq!(last.width, 0, "the last default column takes the rest of the line");
    assert_eq!(concmon::config::Config::default().sort.column.id, "cpu");
    // What stays at 80 cells: the ranks below 10, with a blank between, and 20 cells for the command.
    let narrow: usize = columns::DEFAULT
        .iter()
        .filter_map(|id| columns::find(id))
        .filter(|c| c.rank < 10)
        .map(|c| usize::from(c.width).max(concmon::text::width(c.title)) + 1)
        .sum();
    assert!(narrow <= 60, "the columns that always stay take {narrow} cells");
}

#[test]
fn config_keys_are_sound() {
    let paths: Vec<String> = KEYS.iter().map(concmon::config::Key::path).collect();
    assert_unique("config key", paths.iter().map(String::as_str));
    for key in KEYS {
        assert!(is_snake_case(key.name), "{} is not snake case", key.name);
        assert_sentence(key.name, key.help);
    }
}

/// The README's generated sections: name and content.
fn generated() -> Vec<(&'static str, String)> {
    vec![("columns", columns_table()), ("config", config_table())]
}

/// Text as a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn columns_table() -> String {
    let mut out = String::from("| id | title | unit | meaning | source |\n|---|---|---|---|---|\n");
    for c in COLUMNS {
        let unit = c.unit.replace('_', " ");
        writeln!(out, "| `{}` | {} | {unit} | {} | {} |", c.id, cell(c.title), cell(c.description), cell(c.source)).unwrap();
    }
    out
}

fn config_table() -> String {
    let mut out = String::from("| key | default or example | meaning |\n|---|---|---|\n");
    for key in KEYS {
        let example = if key.name == "columns" { "as in config.example.toml".to_owned() } else { format!("`{}`", key.example) };
        writeln!(out, "| `{}` | {example} | {} |", key.path(), cell(key.help)).unwrap();
    }
    out
}

/// The README with a section's content replaced; `None` if it has no such section.
fn with_section(readme: &str, name: &str, content: &str) -> Option<String> {
    let (open, close) = (format!("<!-- generated:{name} -->\n"), format!("<!-- /generated:{name} -->"));
    let start = readme.find(&open)? + open.len();
    let end = start + readme[start..].find(&close)?;
    Some(format!("{}{content}{}", &readme[..start], &readme[end..]))
}

#[test]
fn the_readme_says_what_the_registries_say() {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let mut wanted = readme.clone();
    for (name, content) in generated() {
        wanted = with_section(&wanted, name, &content).unwrap_or_else(|| panic!("README.md has no section generated:{name}"));
    }
    let named: Vec<&str> = readme.lines().filter_map(|l| l.strip_prefix("<!-- generated:")?.strip_suffix(" -->")).collect();
    for name in &named {
        assert!(generated().iter().any(|(known, _)| known == name), "README.md's section generated:{name} is made by nobody");
    }
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(&path, wanted).unwrap();
    } else if readme != wanted {
        let line = readme.lines().zip(wanted.lines()).position(|(a, b)| a != b).unwrap_or(0) + 1;
        panic!("README.md:{line} is not what the registries say; run: UPDATE_README=1 cargo test --test registries");
    }
}
