//! `config.example.toml` documents every key, and is a valid config as shipped and with everything uncommented.

use std::path::Path;

use concmon::config::{Config, KEYS};

const EXAMPLE: &str = include_str!("../../config.example.toml");

fn parse(text: &str) -> Config {
    let mut config = Config::default();
    config.apply_file(Path::new("config.example.toml"), text).unwrap();
    config
}

/// The example with every `# key = value` and `# [table]` taken seriously.
fn uncommented() -> String {
    EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with('[') || rest.contains(" = ") => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn as_shipped_it_changes_nothing() {
    assert_eq!(parse(EXAMPLE), Config::default());
}

#[test]
fn uncommented_it_says_the_defaults() {
    let config = parse(&uncommented());
    let default = Config::default();
    // These are absent by default; the example shows what they look like.
    let expected = Config {
        filter: config.filter.clone(),
        user: config.user.clone(),
        saved_filters: config.saved_filters.clone(),
        lab: concmon::config::LabLimits {
            max_parent_mb: config.lab.max_parent_mb,
            pythons: config.lab.pythons.clone(),
            systems: config.lab.systems.clone(),
            ..default.lab.clone()
        },
        ..default
    };
    assert_eq!(config, expected);
    assert!(config.saved_filters.get("big").is_some());
    assert!(config.filter.is_some() && config.user.is_some() && config.lab.max_parent_mb.is_some());
    assert_eq!(config.lab.systems.len(), 1);
}

#[test]
fn it_has_every_key_once_with_its_description_and_example() {
    let mut section = "";
    let mut found = Vec::new();
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        if let Some(name) = line.strip_prefix("# [") {
            section = name.trim_end_matches(']');
        } else if let Some((name, value)) = line.strip_prefix("# ").and_then(|rest| rest.split_once(" = ")) {
            let key = KEYS.iter().find(|k| k.section == section && k.name == name);
            let key = key.unwrap_or_else(|| panic!("line {}: {section}.{name} is no key", number + 1));
            assert_eq!(value, key.example, "example of {name}");
            assert_eq!(lines[number - 1], format!("## {}", key.help), "description of {name}");
            found.push(key.path());
        }
    }
    let all: Vec<String> = KEYS.iter().map(concmon::config::Key::path).collect();
    assert_eq!(found, all);
}
