//! The rooms of the crate and their allowed dependencies: an inverted dependency, an oversized file or stray `unsafe` fails the build.

mod circles;

use std::path::{Path, PathBuf};

use crate::support::generated;
use crate::support::rust_source::{code_only, crate_paths};

/// A room and the other rooms it may use. The most specific room that holds a file is the one that counts.
const ROOMS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("text", &[]),
    ("units", &[]),
    ("csv", &["text"]),
    ("snapshot", &[]),
    ("kernel", &["snapshot", "clock"]),
    ("derive", &["snapshot"]),
    ("columns", &["derive", "snapshot", "text", "units"]),
    ("meters", &["columns", "derive", "snapshot"]),
    ("query", &["columns", "derive", "snapshot", "text"]),
    ("diagnose", &["query", "columns", "derive", "snapshot", "causes"]),
    ("export", &["query", "columns", "csv", "derive", "snapshot", "text"]),
    ("record", &["snapshot", "kernel::source", "kernel::error", "clock"]),
    ("hosts", &["snapshot", "derive", "record", "clock"]),
    ("inspect", &["kernel", "snapshot", "clock", "text", "units"]),
    ("lanes", &["inspect", "kernel", "snapshot", "clock"]),
    ("profile", &["inspect", "kernel", "snapshot", "clock", "text"]),
    ("causes", &["kernel", "snapshot", "clock", "text"]),
    ("why", &["causes", "clock", "inspect", "kernel", "snapshot", "text", "units"]),
    ("lab", &["csv", "snapshot", "clock", "text", "units", "kernel"]),
    ("lab::catalog", &["lab::protocol"]),
    ("lab::protocol", &[]),
    ("lab::trace", &[]),
    ("lab::run", &["snapshot", "lab::catalog", "lab::protocol", "lab::trace"]),
    ("lab::lanes", &["units", "lab::catalog", "lab::protocol", "lab::run", "lab::trace"]),
    ("lab::measure", &["snapshot", "clock", "kernel", "lab::catalog", "lab::protocol", "lab::run"]),
    (
        "lab::report",
        &["csv", "snapshot", "text", "units", "lab::page", "lab::catalog", "lab::protocol", "lab::run", "lab::measure"],
    ),
    ("cli", &["export", "kernel::SourceChoice", "lab::catalog", "lab::kept"]),
    (
        "config",
        &[
            "cli",
            "columns",
            "meters",
            "query",
            "kernel::SourceChoice",
            "kernel::user_id",
            "lab::launcher::Limits",
            "lab::catalog",
            "text",
        ],
    ),
    (
        "app",
        &[
            "clock", "text", "snapshot", "kernel", "derive", "columns", "meters", "query", "diagnose", "export", "record",
            "inspect", "lab", "lanes", "config",
        ],
    ),
    (
        "ui",
        &[
            "app", "meters", "clock", "text", "units", "snapshot", "kernel", "derive", "columns", "query", "diagnose", "inspect",
            "lab", "config",
        ],
    ),
    // The terminal guard must work in every state of the program.
    ("ui::terminal", &["kernel::stop_job"]),
    (
        "engine",
        &[
            "app", "clock", "text", "snapshot", "kernel", "derive", "columns", "query", "diagnose", "export", "record", "hosts",
            "inspect", "lab", "lanes", "profile", "config", "ui", "why",
        ],
    ),
    (
        "command",
        &[
            "cli", "config", "ui", "app", "engine", "clock", "text", "units", "snapshot", "kernel", "derive", "columns", "query",
            "diagnose", "export", "record", "hosts", "inspect", "lab", "causes", "why", "profile", "lanes",
        ],
    ),
    ("lib", &[]),
    ("main", &[]),
    // The lab's small program.
    ("bin", &["lab::entry"]),
];

/// Files that are one long table.
const TABLES: &[&str] = &[];

const MOST_LINES: usize = 600;
const MOST_LINES_OF_MAIN: usize = 60;

/// Words that say "not finished", at any place.
const UNFINISHED: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `directory`, as paths relative to the package.
fn rust_files(directory: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root().join(directory)];
    while let Some(directory) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for path in entries.map(|e| e.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

/// `src/lab/native/fork.rs` is the module `lab::native::fork`.
fn module_of(file: &str) -> Vec<&str> {
    let inner = file.strip_prefix("src/").unwrap_or(file).trim_end_matches(".rs");
    inner.split('/').filter(|part| *part != "mod").collect()
}

fn is_within(path: &[String], room: &str) -> bool {
    let room: Vec<&str> = room.split("::").collect();
    path.len() >= room.len() && path.iter().zip(&room).all(|(a, b)| a == b)
}

fn room_of(path: &[String]) -> Option<&'static (&'static str, &'static [&'static str])> {
    ROOMS.iter().filter(|(room, _)| is_within(path, room)).max_by_key(|(room, _)| room.len())
}

/// The dependencies of a file that its room may not have.
fn inversions(file: &str, source: &str) -> Vec<String> {
    let module = module_of(file);
    let here: Vec<String> = module.iter().map(|s| (*s).to_owned()).collect();
    let Some((room, allowed)) = room_of(&here) else {
        return vec![format!("{file}: this room is not in the table of tests/pure/architecture.rs; say there what it may use")];
    };
    let inline_root = if module == ["lib"] { &[][..] } else { &module[..] };
    let paths = crate_paths(&code_only(source), inline_root);
    let known =
        |path: &[String]| path.first().is_some_and(|top| ROOMS.iter().any(|(room, _)| room.split("::").next() == Some(top)));
    paths
        .iter()
        .filter(|p| known(&p.segments) && !is_within(&p.segments, room))
        // A parent's own items (`super::Thing`) are its children's too: only other rooms count.
        .filter(|p| room_of(&p.segments).is_some_and(|(target, _)| !room.starts_with(&format!("{target}::"))))
        .filter(|p| !allowed.iter().any(|a| is_within(&p.segments, a)))
        .map(|p| format!("{file}:{}: `{room}` may not use `{}`", p.line, p.segments.join("::")))
        .collect()
}

#[test]
fn dependencies_go_one_way() {
    let wrong: Vec<String> = rust_files("src").iter().flat_map(|file| inversions(file, &read(file))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_document_has_the_table() {
    let mut out = String::from("| room | may use |\n|---|---|\n");
    for (room, uses) in ROOMS {
        let uses: Vec<String> = uses.iter().map(|u| format!("`{u}`")).collect();
        out += &format!("| `{room}` | {} |\n", if uses.is_empty() { "-".to_owned() } else { uses.join(", ") });
    }
    generated::section("ARCHITECTURE.md", "rooms", &out);
}

#[test]
fn the_table_itself_has_no_cycle_among_rooms_below_app() {
    // Kahn's algorithm: take away rooms all of whose dependencies are gone, until nothing is left.
    let mut left: Vec<_> = ROOMS.iter().filter(|(room, _)| !room.contains("::")).collect();
    while let Some(at) = left.iter().position(|(room, uses)| {
        !left.iter().any(|(other, _)| other != room && uses.iter().any(|u| u.split("::").next() == Some(other)))
    }) {
        left.remove(at);
    }
    assert!(left.is_empty(), "rooms that need each other: {:?}", left.iter().map(|(room, _)| room).collect::<Vec<_>>());
}

#[test]
fn the_checker_catches_inversions() {
    for (file, source, want) in [
        ("src/snapshot/process.rs", "use crate::derive::Model;", 1),
        ("src/derive/mod.rs", "use crate::{snapshot::{Snapshot, State}, columns::{self, Row}};", 2),
        ("src/kernel/host.rs", "fn f() { crate::ui::draw() }", 1),
        ("src/lab/report/html.rs", "use super::super::launcher::Launcher;", 0),
        ("src/lab/report/html.rs", "use crate::app::App;", 1),
        ("src/lab/catalog.rs", "use super::run::Run;", 1),
        ("src/lab/catalog.rs", "use super::protocol::Creation;", 0),
        ("src/columns/get.rs", "use crate::snapshot::Needs;\nuse crate::kernel::control;", 1),
        ("src/derive/tree.rs", "// use crate::ui::x;\nconst A: &str = \"crate::ui::x\";\n/* crate::app::y */", 0),
        ("src/derive/tree.rs", "const A: &str = r#\"a\" crate::ui::x\"#; const B: char = '\"'; fn f() { crate::ui::x() }", 1),
        ("src/derive/tree.rs", "mod tests { use super::super::rates; use crate::query::Expr; }", 1),
        ("src/attic/x.rs", "", 1),
        ("src/app/update.rs", "use crate::engine::Engine as E; use crate::columns as c;", 1),
    ] {
        assert_eq!(inversions(file, source).len(), want, "{file}: {source}: {:?}", inversions(file, source));
    }
}

#[test]
fn files_stay_readable() {
    let mut wrong = Vec::new();
    for file in ["src", "tests", "benches"].into_iter().flat_map(rust_files) {
        let lines = read(&file).lines().count();
        let most = if file == "src/main.rs" { MOST_LINES_OF_MAIN } else { MOST_LINES };
        if lines > most && !TABLES.contains(&file.as_str()) {
            wrong.push(format!("{file}: {lines} lines, more than {most}: move a group of functions into a file of its own"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for table in TABLES {
        assert!(root().join(table).is_file(), "{table} is in TABLES and does not exist");
    }
}

#[test]
fn unsafe_code_is_where_it_may_be() {
    let stray: Vec<String> = rust_files("src")
        .into_iter()
        .filter(|file| !file.starts_with("src/kernel/") && !file.starts_with("src/lab/"))
        .filter(|file| has_word(&code_only(&read(file)), "unsafe"))
        .collect();
    assert!(stray.is_empty(), "unsafe outside kernel and lab: {stray:?}");
}

/// docs/assurance.md gives the number of `unsafe` in each file and its purpose; an added `unsafe` needs its row there.
#[test]
fn unsafe_code_is_counted_and_reasoned() {
    let table = read("docs/assurance.md");
    let rows: Vec<(String, usize)> = table
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `src/")?.split('|').map(str::trim);
            let file = format!("src/{}", cells.next()?.trim_end_matches('`'));
            let count = cells.next()?.parse().ok()?;
            cells.next().filter(|why| why.len() > 10)?;
            Some((file, count))
        })
        .collect();
    let words = |file: &str| {
        code_only(&read(file)).split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| *w == "unsafe").count()
    };
    let counted: Vec<(String, usize)> =
        rust_files("src").into_iter().map(|file| (file.clone(), words(&file))).filter(|(_, count)| *count > 0).collect();
    assert_eq!(rows, counted, "left: the table of docs/assurance.md, right: the sources");
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !is_part(text[..at].chars().next_back()) && !is_part(text[at + word.len()..].chars().next())
    })
}

#[test]
fn nothing_is_left_unfinished() {
    let mut wrong = Vec::new();
    let texts = ["README.md", "SECURITY.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/assurance.md", "config.example.toml"]
        .map(str::to_owned);
    for file in ["src", "benches"].into_iter().flat_map(rust_files).chain(texts) {
        for (number, line) in read(&file).lines().enumerate() {
            wrong.extend(
                UNFINISHED.iter().filter(|word| has_word(line, word)).map(|word| format!("{file}:{}: {word}", number + 1)),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    let silent: Vec<PathBuf> = rust_files("src")
        .into_iter()
        .filter(|file| !file.ends_with("tests.rs") && !read(file).lines().take(10).any(|l| l.starts_with("//!")))
        .map(PathBuf::from)
        .collect();
    assert!(silent.is_empty(), "without module documentation: {silent:?}");
}
