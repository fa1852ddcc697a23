//! Walks every registry: ids are unique and well formed, everything is described, and the tables in docs/ match the registries.
//!
//! `UPDATE_DOCS=1 cargo test --test pure registries` writes the tables and `config.example.toml`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::CommandFactory as _;

use concmon::app::actions::{ACTIONS, Action, Context};
use concmon::app::key::{Code, Key};
use concmon::app::presets::Preset;
use concmon::cli::LowArgs;
use concmon::columns::{self, COLUMNS};
use concmon::config::KEYS;
use concmon::diagnose::DIAGNOSES;
use concmon::lab::catalog::{self, Backend, DEMOS, SYSTEMS, TaskKind, demo_for};
use concmon::lab::measure::{Better, MEASURES};
use concmon::meters::{METERS, Shown};

use crate::support::generated;

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
fn actions_are_sound() {
    assert_unique("action id", ACTIONS.iter().map(|a| a.id));
    for action in ACTIONS {
        assert!(action.help.len() > 5 && action.help.trim() == action.help, "{}: help says something", action.id);
        assert!(!action.keys.is_empty(), "{} has a key", action.id);
    }
}

/// Keys that mean something else in a context than everywhere: answers are digits, and the lab has two views.
const OVERLAID: [(Context, &str); 6] = [
    (Context::Lessons, "1"),
    (Context::Lessons, "2"),
    (Context::Lessons, "3"),
    (Context::Lessons, "n"),
    (Context::Lessons, "Tab"),
    (Context::Lab, "Shift-Tab"),
];

#[test]
fn no_key_means_two_things() {
    for preset in Preset::ALL {
        for context in ACTIONS.iter().map(|a| a.context) {
            let there = |a: &&Action| a.context == context || a.context == Context::Everywhere;
            let own = |a: &Action| a.context == context && context != Context::Everywhere;
            let overlaid = |a: &Action, key: &str| !own(a) && OVERLAID.contains(&(context, key));
            let keys = |a: &'static Action| {
                preset.keys(a).into_iter().map(|key| key.to_string()).filter(move |key| !overlaid(a, key)).collect::<Vec<_>>()
            };
            let names: Vec<String> = ACTIONS.iter().filter(there).flat_map(keys).collect();
            assert_unique(&format!("{} key of {}", preset.name(), context.title()), names.iter().map(String::as_str));
        }
        for action in ACTIONS {
            for key in preset.keys(action) {
                let meant = preset.find(key, action.context).map(|a| a.id);
                assert_eq!(meant, Some(action.id), "{key} in {} of {}", action.context.title(), preset.name());
            }
        }
    }
}

#[test]
fn a_doubled_key_is_no_key_alone() {
    let keys: Vec<_> = ACTIONS.iter().flat_map(|a| Preset::Vim.keys(a)).collect();
    for key in &keys {
        if let Code::Double(c) = key.code {
            assert!(!keys.contains(&Key::char(c)), "{c} would wait for itself");
        }
    }
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
        let basis = column.basis;
        let kind = ["measured", "computed", "estimated"].iter().any(|kind| basis.starts_with(kind));
        assert!(kind && (20..=62).contains(&basis.len()), "{}: {basis:?} says how far it is to be trusted", column.id);
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
fn meters_are_sound() {
    assert_unique("meter", METERS.iter().map(|m| m.id));
    for meter in METERS {
        assert!(is_snake_case(meter.id), "{}", meter.id);
        assert_sentence(meter.id, meter.help);
        let mut styles = meter.styles.to_vec();
        styles.dedup();
        assert_eq!(styles.len(), meter.styles.len(), "{}: a style twice", meter.id);
    }
    for side in concmon::meters::DEFAULT {
        assert_unique("default meter", side.iter().copied());
        assert!(side.iter().all(|word| Shown::parse(word).is_ok_and(|s| s.word() == *word)), "{side:?}");
    }
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

/// Sentences of a text.
fn sentences(text: &str) -> usize {
    text.split_inclusive(". ").count()
}

#[test]
fn lab_systems_are_sound() {
    assert_unique("system id", SYSTEMS.iter().map(|s| s.id));
    assert_unique("demo key", DEMOS.iter().map(|demo| demo.key));
    assert_unique("title of one backend", SYSTEMS.iter().map(|s| (s.title, s.backend == Backend::Native)));
    for system in SYSTEMS {
        let name = match system.backend {
            Backend::Native => system.id.strip_prefix("native/"),
            Backend::Python => system.id.strip_prefix("python/"),
            Backend::Own => panic!("{}: a system of the user", system.id),
        };
        let name = name.unwrap_or_else(|| panic!("{}: the id says what runs it", system.id));
        assert!(name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')), "{name} is lower case with dashes");
        assert!(
            !system.title.is_empty() && concmon::text::width(system.title) <= 32,
            "{}: a title that fits the list",
            system.id
        );
        assert_sentence(system.id, system.lesson);
        assert_eq!(sentences(system.lesson), 2, "{}: two sentences: what it is, and what to watch", system.id);
        assert!(!system.tasks.is_empty(), "{}: something to do", system.id);
        assert_eq!(catalog::find(system.id).map(|s| s.id), Some(system.id));
        assert_eq!(catalog::nearest(system.id).as_deref(), Some(system.id), "a right id is its own nearest");
        assert!(
            system.defaults().workers <= concmon::config::Config::default().lab.max_workers,
            "{}: within the limits",
            system.id
        );
    }
}

#[test]
fn lab_systems_are_listed_by_section() {
    // The list draws a heading where the section changes: each section must be one stretch.
    let mut sections: Vec<_> = SYSTEMS.iter().map(|s| s.section).collect();
    sections.dedup();
    assert_unique("stretch of section", sections.iter().copied());
}

#[test]
fn tasks_are_sound() {
    assert_unique("task", TaskKind::ALL.iter().map(|t| t.name()));
    for task in TaskKind::ALL {
        assert_eq!(TaskKind::from_name(task.name()), Some(task));
        assert!(
            task.size().is_none_or(|(unit, default)| !unit.is_empty() && default > 0),
            "{} has a size that works",
            task.name()
        );
    }
}

fn systems_table() -> String {
    let mut out = String::from("| id | what it is and what to watch | tasks | launched by |\n|---|---|---|---|\n");
    for system in SYSTEMS {
        let tasks: Vec<&str> = system.tasks.iter().map(|t| t.name()).collect();
        let key = demo_for(system.id).map(|demo| format!("`n` `{}`", demo.key)).unwrap_or_default();
        writeln!(out, "| `{}` | {} | {} | {key} |", system.id, cell(system.lesson), tasks.join(", ")).unwrap();
    }
    out
}

fn measures_table() -> String {
    let mut out = String::from("| measure | title | better | what it is |\n|---|---|---|---|\n");
    for m in MEASURES {
        let better = match m.better {
            Better::Lower => "less",
            Better::Higher => "more",
        };
        writeln!(out, "| `{}` | {} | {better} | {} |", m.id, cell(m.title), cell(m.about)).unwrap();
    }
    out
}

/// Text as a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn keys_table() -> String {
    let mut out = String::from("| keys | `keys = \"vim\"` | where | what they do |\n|---|---|---|---|\n");
    for a in ACTIONS {
        let of =
            |preset: Preset| preset.keys(a).iter().map(|k| format!("`{}`", cell(&k.to_string()))).collect::<Vec<_>>().join(" ");
        let (htop, vim) = (of(Preset::Htop), of(Preset::Vim));
        let vim = if vim == htop { "" } else { &vim };
        writeln!(out, "| {htop} | {vim} | {} | {} |", a.context.title(), cell(a.help)).unwrap();
    }
    out
}

fn columns_table() -> String {
    let mut out = String::from("| id | title | unit | meaning | source |\n|---|---|---|---|---|\n");
    for c in COLUMNS {
        let unit = c.unit.replace('_', " ");
        writeln!(out, "| `{}` | {} | {unit} | {} | {} |", c.id, cell(c.title), cell(c.description), cell(c.source)).unwrap();
    }
    out
}

fn meters_table() -> String {
    let mut out = String::from("| id | styles | unit | meaning | source |\n|---|---|---|---|---|\n");
    for m in METERS {
        let styles: Vec<&str> = m.styles.iter().map(|s| s.name()).collect();
        writeln!(out, "| `{}` | {} | {} | {} | {} |", m.id, styles.join(", "), m.unit, cell(m.help), m.source).unwrap();
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

fn causes_table() -> String {
    let mut out = String::from("| id | problem | what to do |\n|---|---|---|\n");
    for cause in concmon::causes::search::Cause::ALL {
        out += &format!("| `{}` | {} | {} |\n", cause.id(), cause.title(), cause.advice());
    }
    out
}

fn diagnoses_table() -> String {
    let mut out = String::from("| id | problem | badge | meaning | listed after |\n|---|---|---|---|---|\n");
    for d in DIAGNOSES {
        let after = d.after_ns / 1_000_000_000;
        let after = if after == 0 { "at once".to_owned() } else { format!("{after} s") };
        writeln!(out, "| `{}` | {} | {} | {} | {after} |", d.id, cell(d.title), cell(d.badge), cell(d.description)).unwrap();
    }
    out
}

/// The help of every command, as `--help` prints it in a terminal of 100 columns.
fn help_texts() -> String {
    fn append(out: &mut String, command: &clap::Command, path: &str) {
        let help = command.clone().bin_name(path).term_width(100).render_long_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        write!(out, "## `{path}`\n\n```\n{}\n```\n\n", lines.join("\n").trim_end()).unwrap();
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            append(out, sub, &format!("{path} {}", sub.get_name()));
        }
    }
    let mut out = String::new();
    append(&mut out, &LowArgs::command(), "concmon");
    out
}

fn example_file() -> String {
    let mut out = String::from(
        "# concmon: every key with its default, or an example where there is no default.\n\
         # Copy this file to ~/.config/concmon/config.toml and remove \"# \" from the lines that you change.\n",
    );
    let mut section = "";
    for key in KEYS {
        if key.section != section {
            section = key.section;
            write!(out, "\n# [{section}]\n").unwrap();
        }
        write!(out, "\n## {}\n# {} = {}\n", key.help, key.name, key.example).unwrap();
    }
    out
}

#[test]
fn the_documents_match_the_registries() {
    generated::section("docs/reference/systems.md", "systems", &systems_table());
    generated::section("docs/reference/measures.md", "measures", &measures_table());
    generated::section("docs/reference/keys.md", "keys", &keys_table());
    generated::section("docs/reference/columns.md", "columns", &columns_table());
    generated::section("docs/reference/meters.md", "meters", &meters_table());
    generated::section("docs/reference/config.md", "config", &config_table());
    generated::section("docs/reference/cli.md", "cli", &help_texts());
    generated::section("docs/problems.md", "diagnoses", &diagnoses_table());
    generated::section("docs/problems.md", "causes", &causes_table());
    generated::whole("config.example.toml", &example_file());
}

/// What the sources of the screens draw beside letters and digits, outside of comments and tests.
fn symbols_drawn() -> std::collections::BTreeSet<char> {
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut open = vec![sources.join("ui"), sources.join("app"), sources.join("columns")];
    let mut files = vec![sources.join("text.rs")];
    while let Some(directory) = open.pop() {
        for path in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => open.push(path),
                false if path.ends_with("tests.rs") => {}
                false => files.push(path),
            }
        }
    }
    let mut found = std::collections::BTreeSet::new();
    for file in files {
        let source = std::fs::read_to_string(&file).unwrap();
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
        found.extend(lines.flat_map(str::chars).filter(|c| !c.is_ascii() && !c.is_alphanumeric()));
    }
    found
}

#[test]
fn every_symbol_that_is_drawn_is_in_the_legend() {
    let legend: String = concmon::ui::help::LEGEND.iter().map(|symbol| symbol.unicode).collect::<Vec<_>>().join("")
        + &concmon::ui::help::LEGEND.iter().map(|symbol| symbol.meaning).collect::<Vec<_>>().join("");
    let drawn = symbols_drawn();
    assert!(drawn.len() > 30, "the sources were not read: {drawn:?}");
    let missing: String = drawn.iter().filter(|symbol| !legend.contains(**symbol)).collect();
    assert_eq!(missing, "", "these have no line in ui::help::LEGEND");
    let explained = concmon::ui::help::LEGEND.iter().all(|symbol| !symbol.meaning.is_empty() && symbol.ascii.is_ascii());
    assert!(explained);
}

#[test]
fn the_schemas_of_problems_know_every_cause() {
    let schemas = [
        include_str!("../../assets/report/problems.schema.json"),
        include_str!("../../assets/report/problems-hosts.schema.json"),
    ];
    for cause in concmon::causes::search::Cause::ALL {
        let id = format!("\"{}\"", cause.id());
        assert!(schemas.iter().all(|schema| schema.contains(&id)), "a schema in assets/report/ lacks {id}");
    }
}
