//! The language of everything that a person reads: plain words, short descriptions, links that work.
//!
//! `just sentences 7` prints 20 random sentences that users see; 7 is the seed.

use std::path::Path;

use clap::CommandFactory as _;
use concmon::app::actions::ACTIONS;
use concmon::cli::LowArgs;
use concmon::columns::COLUMNS;
use concmon::config::KEYS;
use concmon::diagnose::DIAGNOSES;
use concmon::lab::catalog::SYSTEMS;
use concmon::lab::measure::MEASURES;
use concmon::meters::METERS;

use crate::support::literals;
use crate::support::markdown;

/// Words and phrases to avoid, and what to write instead. Whole words, in any case.
const BANNED: &[(&str, &str)] = &[
    // Persons for processes.
    ("whom", "name the process"),
    ("whoever", "name it"),
    ("nobody", "no process, no user"),
    ("somebody", "another process, a user"),
    ("everybody", "every process, every user"),
    ("anybody", "any process, any user"),
    ("who holds", "which thread holds, the holder"),
    ("who waits", "the waiter, which thread waits"),
    ("told", "reported, sent"),
    ("tells", "reports, shows, prints"),
    ("telling", "reporting"),
    ("of everybody", "of every process"),
    ("of everyone", "of every process"),
    ("wants a cpu", "waits for a CPU"),
    ("wanted a cpu", "waited for a CPU"),
    // Riddles.
    ("so-manieth", "n-th"),
    ("what comes of", "the result of"),
    ("what became of", "the result of, how it ended"),
    ("is called so", "no match"),
    ("called so", "has this name"),
    ("further off", "zoom out"),
    ("as always", "as usual"),
    ("in any case", "always"),
    ("let go of", "drop, release"),
    ("lets go of", "drops, releases"),
    ("take it from", "take from"),
    ("taken from somebody", "in use"),
    ("to be had", "available"),
    ("can be had", "is available"),
    ("cannot be had", "is not available"),
    ("stands beside", "is next to"),
    ("goes on with", "continues with"),
    ("have gone on", "have continued"),
    ("for want of", "because there is no"),
    ("in its way", "drop it"),
    ("in this way", "so"),
    ("held against", "compared with"),
    ("hold against", "compare with"),
    ("anew", "again"),
    ("of late", "recently"),
    ("at hand", "name it"),
    ("of its own making", "own"),
    ("of others' making", "of unknown origin"),
    ("beside itself", "other than itself"),
    ("none but", "only"),
    ("nothing but", "only"),
    ("no more than that", "drop it"),
    ("gives way", "is shortened, steps back"),
    ("makes out", "detects"),
    ("as it were", "drop it"),
    ("is due", "happens"),
    ("by hand", "by the user"),
    ("other hands", "other programs"),
    ("leaves it away", "turns it off"),
    ("gravest", "worst"),
    ("lest", "so that ... not"),
    ("thereby", "so"),
    ("wherever", "where"),
    ("whichever", "which"),
    ("whatever", "any, every"),
    ("all the same", "anyway"),
    ("it is said", "is reported"),
    ("more or less", "about"),
];

/// Phrases of the list that are the right words in a place: a file and the phrase.
const ALLOWED: &[(&str, &str)] = &[
    // The list itself is quoted, and the rule against persons for processes.
    ("CONTRIBUTING.md", "whom"),
];

/// Most words of a description.
const MOST_WORDS: usize = 20;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

/// Files below a directory that end with `ending`, relative to the package.
fn files(directory: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root().join(directory)];
    while let Some(directory) = open.pop() {
        for path in std::fs::read_dir(&directory).unwrap().map(|e| e.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Every Markdown file of the repository.
fn documents() -> Vec<String> {
    let top = std::fs::read_dir(root()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut all: Vec<String> = top.filter(|name| name.ends_with(".md")).collect();
    all.extend(files("docs", ".md"));
    all.sort();
    all
}

/// Source files whose literals users may see.
fn sources() -> Vec<String> {
    files("src", ".rs").into_iter().filter(|file| !file.ends_with("tests.rs")).collect()
}

/// Whether `phrase` stands in `text` as whole words.
fn has_phrase(text: &str, phrase: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-');
    text.match_indices(phrase)
        .any(|(at, _)| !is_word(text[..at].chars().next_back()) && !is_word(text[at + phrase.len()..].chars().next()))
}

/// A format string without the names of its arguments.
fn without_names(text: &str) -> String {
    text.split('{').map(|part| part.split_once('}').map_or(part, |(_, rest)| rest)).collect::<Vec<_>>().join("{}")
}

/// Complaints about one text.
fn banned(file: &str, line: usize, text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    BANNED
        .iter()
        .filter(|(phrase, _)| has_phrase(&lower, phrase) && !ALLOWED.contains(&(file, phrase)))
        .map(|(phrase, better)| format!("{file}:{line}: \"{phrase}\" (better: {better}): {}", text.trim()))
        .collect()
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} places\n{}", wrong.len(), wrong.join("\n"));
}

/// Every described entry: where it is, and its description.
fn descriptions() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add = |kind: &str, id: &str, text: &str| all.push((format!("{kind} {id}"), text.to_owned()));
    for c in COLUMNS {
        add("column", c.id, c.description);
        add("basis of column", c.id, c.basis);
    }
    for m in METERS {
        add("meter", m.id, m.help);
    }
    for a in ACTIONS {
        add("action", a.id, a.help);
    }
    for k in KEYS {
        add("config key", &k.path(), k.help);
    }
    for m in MEASURES {
        add("measure", m.id, m.about);
    }
    for d in DIAGNOSES {
        add("diagnosis", d.id, d.description);
    }
    for s in SYSTEMS {
        for sentence in s.lesson.split_inclusive(". ") {
            add("lesson of", s.id, sentence);
        }
    }
    command_line(&LowArgs::command(), "concmon", &mut all);
    all
}

fn command_line(command: &clap::Command, path: &str, all: &mut Vec<(String, String)>) {
    if let Some(about) = command.get_about() {
        all.push((path.to_owned(), about.to_string()));
    }
    for argument in command.get_arguments() {
        if let Some(help) = argument.get_help() {
            all.push((format!("{path} {}", argument.get_id()), help.to_string()));
        }
    }
    for sub in command.get_subcommands() {
        command_line(sub, &format!("{path} {}", sub.get_name()), all);
    }
}

#[test]
fn descriptions_are_short_and_plain() {
    let mut wrong = Vec::new();
    for (place, text) in descriptions() {
        let words = text.split_whitespace().count();
        if words > MOST_WORDS {
            wrong.push(format!("{place}: {words} words, more than {MOST_WORDS}: {text}"));
        }
        wrong.extend(banned(&place, 0, &text));
    }
    assert_none(&wrong);
}

#[test]
fn messages_use_plain_words() {
    let mut wrong = Vec::new();
    for file in sources() {
        for (line, text) in literals::literals(&read(&file)) {
            wrong.extend(banned(&file, line, &without_names(&text)));
        }
    }
    assert_none(&wrong);
}

#[test]
fn documents_use_plain_words() {
    let mut wrong = Vec::new();
    for file in documents().iter().map(String::as_str).chain(["config.example.toml", "justfile"]) {
        for (number, line) in read(file).lines().enumerate() {
            wrong.extend(banned(file, number + 1, line));
        }
    }
    assert_none(&wrong);
}

#[test]
fn comments_use_plain_words() {
    let mut wrong = Vec::new();
    for file in ["src", "tests", "benches"].into_iter().flat_map(|d| files(d, ".rs")) {
        if file == "tests/pure/prose.rs" {
            continue;
        }
        for (number, line) in read(&file).lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("//")) {
            wrong.extend(banned(&file, number + 1, line));
        }
    }
    assert_none(&wrong);
}

#[test]
fn the_check_finds_banned_phrases_and_leaves_parts_of_words() {
    assert_eq!(banned("a.md", 3, "Somebody has it.").len(), 1);
    assert_eq!(banned("a.md", 3, "a boldly-told tale").len(), 0, "part of a compound");
    assert_eq!(banned("a.md", 3, "retold, foretells").len(), 0);
    assert_eq!(banned("CONTRIBUTING.md", 3, "no \"whom\"").len(), 0);
    let source =
        "fn a<'a>() { f(\"one \\\n   two\", '\"', r#\"three \"four\"\"#) } // \"five\"\n\n#[cfg(test)]\nmod tests { \"six\" }";
    let texts: Vec<String> = literals::literals(source).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["one two", "three \"four\""]);
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for file in documents() {
        let text = read(&file);
        for (line, target) in markdown::links(&text) {
            if target.contains("://") {
                continue;
            }
            let (path, anchor) = target.split_once('#').map_or((target.as_str(), None), |(path, anchor)| (path, Some(anchor)));
            let directory = Path::new(&file).parent().unwrap();
            let full = if path.is_empty() { root().join(&file) } else { root().join(directory).join(path) };
            if !full.exists() {
                wrong.push(format!("{file}:{line}: {target}: there is no such file"));
            } else if let Some(anchor) = anchor
                && !markdown::anchors(&std::fs::read_to_string(&full).unwrap()).iter().any(|a| a == anchor)
            {
                wrong.push(format!("{file}:{line}: {target}: there is no such heading"));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn the_readme_is_short_and_begins_with_a_picture() {
    let readme = read("README.md");
    assert!(readme.len() <= 10_000, "README.md has {} bytes", readme.len());
    assert!(readme.lines().take(10).any(|line| line.starts_with("![")), "a picture in the first ten lines");
}

/// Sentences that users see: descriptions, and literals of at least five words.
fn user_sentences() -> Vec<String> {
    let mut all: Vec<String> = descriptions().into_iter().map(|(place, text)| format!("{place}: {text}")).collect();
    for file in sources() {
        let texts = literals::literals(&read(&file)).into_iter();
        let long = texts.filter(|(_, text)| text.split_whitespace().filter(|w| w.chars().any(char::is_alphabetic)).count() >= 5);
        all.extend(long.map(|(line, text)| format!("{file}:{line}: {text}")));
    }
    all
}

#[test]
#[ignore = "prints 20 sentences: SENTENCES_SEED=7 cargo test --test pure sentences -- --ignored --nocapture"]
fn sentences() {
    let seed = std::env::var("SENTENCES_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut all = user_sentences();
    random.shuffle(&mut all);
    for sentence in all.iter().take(20) {
        println!("{sentence}");
    }
}
