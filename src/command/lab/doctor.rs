//! `concmon lab doctor`: the interpreters of this machine, and the systems that each can run.

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::command::output::{hanging, terminal_width};
use crate::lab::catalog::{Backend, SYSTEMS, System};
use crate::lab::python::environment::{self, LOCKS, Lock, State};
use crate::lab::python::{self, Discovery, Interpreter};
use crate::text::{Charset, sanitize_str};

/// Prints what the lab's Python side finds here. An error is one of writing.
pub fn doctor(json: bool, found: &Discovery, out: &mut dyn Write) -> io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, &document(found))?;
        return writeln!(out);
    }
    interpreters(found, out)?;
    environments(found, out)?;
    systems(found, out)
}

fn python_systems() -> impl Iterator<Item = &'static System> {
    SYSTEMS.iter().filter(|s| s.backend == Backend::Python)
}

fn document(found: &Discovery) -> Value {
    let system = |s: &System| {
        let runs_on = python::choose(s, None, found).ok().map(|i| i.path);
        json!({ "id": s.id, "available": runs_on.is_some(), "why_not": python::availability(s, found), "runs_on": runs_on })
    };
    json!({
        "schema": "concmon.lab.doctor/1",
        "interpreters": found.interpreters,
        "rejected": found.rejected,
        "environments": known_environments(found).into_iter().map(|(lock, dir, state)| json!({
            "version": lock.version,
            "path": dir,
            "state": match state {
                State::Ready => "ready",
                State::Outdated => "outdated",
                State::Missing => "missing",
            },
        })).collect::<Vec<_>>(),
        "systems": python_systems().map(system).collect::<Vec<_>>(),
    })
}

fn interpreters(found: &Discovery, out: &mut dyn Write) -> io::Result<()> {
    if let Some(why) = &found.unasked {
        writeln!(out, "Python interpreters found: {}, {why}.", found.rejected.len())?;
    } else if found.interpreters.is_empty() {
        writeln!(out, "No suitable Python interpreter was found on PATH or in pyenv, uv or conda.")?;
    }
    let rows: Vec<[String; 7]> = found.interpreters.iter().map(row).collect();
    let head = ["PYTHON", "GIL", "DEFAULT START", "SUB-INTERPRETERS", "PACKAGES", "FOUND", "PATH"].map(str::to_owned);
    let mut widths = [0; 7];
    for line in rows.iter().chain([&head]) {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(crate::text::width(cell));
        }
    }
    let all: usize = widths.iter().sum::<usize>() + 2 * (widths.len() - 1);
    if terminal_width().is_some_and(|cells| cells < all) {
        narrow(&head, &rows, out)?;
    } else if !rows.is_empty() {
        for line in [&head].into_iter().chain(&rows) {
            let cells: Vec<String> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(out, "{}", cells.join("  ").trim_end())?;
        }
    }
    if !found.rejected.is_empty() {
        writeln!(out, "\nNot usable")?;
    }
    for rejected in &found.rejected {
        let words = format!("{}: {}", clean(&rejected.path.to_string_lossy()), clean(&rejected.why));
        writeln!(out, "{}", hanging("  ", &words, terminal_width()))?;
    }
    Ok(())
}

/// A block for each interpreter, where a table would be wider than the terminal.
fn narrow(head: &[String; 7], rows: &[[String; 7]], out: &mut dyn Write) -> io::Result<()> {
    for row in rows {
        writeln!(out, "{}", hanging(&format!("{:<10}", row[0]), &row[6], terminal_width()))?;
        for (title, cell) in head.iter().zip(row).skip(1).take(5) {
            writeln!(out, "{}", hanging(&format!("  {:<18}", title.to_lowercase()), cell, terminal_width()))?;
        }
    }
    Ok(())
}

/// The environments that could be there, each for the interpreters of its version.
fn known_environments(found: &Discovery) -> Vec<(&'static Lock, PathBuf, State)> {
    let Some(home) = python::environment_home() else { return Vec::new() };
    let here = |lock: &&Lock| found.interpreters.iter().any(|i| i.short() == lock.version);
    LOCKS
        .iter()
        .filter(here)
        .map(|lock| (lock, environment::state(&home, lock)))
        .map(|(l, (dir, state))| (l, dir, state))
        .collect()
}

fn environments(found: &Discovery, out: &mut dyn Write) -> io::Result<()> {
    let known = known_environments(found);
    if known.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nEnvironments for systems that need packages")?;
    for (lock, dir, state) in known {
        let version = lock.version;
        let dir = clean(&dir.to_string_lossy());
        let words = match state {
            State::Ready => format!("ready, {dir}"),
            State::Outdated => format!("outdated, {dir}: `concmon lab setup --python {version}` makes it again"),
            State::Missing => format!("missing: `concmon lab setup --python {version}` makes it"),
        };
        writeln!(out, "{}", hanging(&format!("  {version:<6} "), &words, terminal_width()))?;
    }
    Ok(())
}

fn row(i: &Interpreter) -> [String; 7] {
    // Their versions are in the JSON: a line each would be longer than any terminal.
    let packages: Vec<&str> = i.packages.keys().map(String::as_str).collect();
    [
        i.release.clone(),
        i.gil_words().to_owned(),
        i.start_method.name().to_owned(),
        i.interpreters.clone().unwrap_or_else(|| "-".into()),
        match packages.len() {
            0 => "-".into(),
            n if n == python::PACKAGES.len() => format!("all {n}"),
            _ => packages.join(", "),
        },
        i.origin.name().to_owned(),
        i.path.to_string_lossy().into_owned(),
    ]
    .map(|cell| clean(&cell))
}

fn systems(found: &Discovery, out: &mut dyn Write) -> io::Result<()> {
    let all = python_systems().count();
    let missing: Vec<(&str, String)> = python_systems().filter_map(|s| Some((s.id, python::availability(s, found)?))).collect();
    writeln!(out, "\n{} of {all} Python systems run here.", all - missing.len())?;
    for (_, why) in missing {
        writeln!(out, "{}", hanging("  ", &clean(&why), terminal_width()))?;
    }
    Ok(())
}

fn clean(text: &str) -> String {
    sanitize_str(text, Charset::Unicode).into_owned()
}
