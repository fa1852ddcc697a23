//! `--version` and the man pages.

use std::io;
use std::path::Path;
use std::sync::LazyLock;

use clap::CommandFactory as _;

use super::Failure;
use super::completions;
use super::output::with_stdout;
use crate::cli::{GenerateCommand, LowArgs};

/// Names and versions of all JSON documents that concmon prints.
const SCHEMAS: &[&str] = &[
    "concmon.columns/1",
    "concmon.event/1",
    "concmon.inspect-family/1",
    "concmon.inspect/1",
    "concmon.lab.batch/1",
    "concmon.lab.compare/1",
    "concmon.lab.doctor/1",
    "concmon.lab.list/1",
    "concmon.lab.run/1",
    "concmon.lab.talk/1",
    "concmon.problems-hosts/1",
    "concmon.problems/1",
    "concmon.profile/1",
    "concmon.ps/1",
    "concmon.why/1",
];

/// The arguments, with the long version.
pub(super) fn definition() -> clap::Command {
    LowArgs::command().long_version(VERSION.as_str())
}

/// The text that `--version` prints after the name.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} ({})\n\nReads tasks with: the kernel's BPF task iterator (needs CAP_BPF and CAP_PERFMON), or /proc\nLooks inside: CPython \
         3.9 to 3.15, and later versions whose debug offsets it can read\nPrints JSON: {}",
        env!("CARGO_PKG_VERSION"),
        option_env!("CONCMON_COMMIT").map_or("commit not recorded".to_owned(), |commit| format!("commit {commit}")),
        SCHEMAS.join(", ")
    )
});

/// `concmon generate`.
pub(super) fn generate(what: &GenerateCommand) -> Result<(), Failure> {
    match what {
        GenerateCommand::Man { directory: None } => with_stdout(|out| page(LowArgs::command(), "concmon", out))?,
        GenerateCommand::Man { directory: Some(directory) } => pages(directory).map_err(|error| {
            Failure::Failed(anyhow::anyhow!("the man pages cannot be written to {}: {error}", directory.display()))
        })?,
        GenerateCommand::Completions { shell } => with_stdout(|out| completions::register(shell, out))?,
    }
    Ok(())
}

/// One man page; `name` is that of the page, such as `concmon-lab-run`.
fn page(command: clap::Command, name: &str, out: &mut dyn io::Write) -> io::Result<()> {
    let man = clap_mangen::Man::new(command).title(name.to_uppercase()).manual("User commands");
    man.source(concat!("concmon ", env!("CARGO_PKG_VERSION"))).render(out)
}

/// Writes the pages of all commands.
fn pages(directory: &Path) -> io::Result<()> {
    let mut root = LowArgs::command();
    root.build();
    write_pages(&root, "concmon", directory)
}

fn write_pages(command: &clap::Command, name: &str, directory: &Path) -> io::Result<()> {
    let mut bytes = Vec::new();
    let shown = command.get_bin_name().unwrap_or(name).to_owned();
    page(command.clone().display_name(name.to_owned()).bin_name(shown), name, &mut bytes)?;
    std::fs::write(directory.join(format!("{name}.1")), bytes)?;
    let children = command.get_subcommands().filter(|child| !child.is_hide_set());
    for child in children {
        write_pages(child, &format!("{name}-{}", child.get_name()), directory)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of documents in the sources.
    fn documents(directory: &Path, found: &mut std::collections::BTreeSet<String>) {
        let name = regex::Regex::new(r#""concmon\.[a-z-]+(\.[a-z]+)*/[0-9]+""#).unwrap();
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                documents(&path, found);
            } else if !path.ends_with("tests.rs") && !path.ends_with("about.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.extend(name.find_iter(&text).map(|one| one.as_str().trim_matches('"').to_owned()));
            }
        }
    }

    #[test]
    fn the_version_names_every_document() {
        let mut found = std::collections::BTreeSet::new();
        documents(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert!(found.iter().map(String::as_str).eq(SCHEMAS.iter().copied()), "{found:?}");
    }

    #[test]
    fn every_command_has_a_page() {
        let directory = tempfile::tempdir().unwrap();
        pages(directory.path()).unwrap();
        for name in ["concmon", "concmon-ps", "concmon-lab", "concmon-lab-compare", "concmon-generate-man"] {
            let page = std::fs::read_to_string(directory.path().join(format!("{name}.1"))).unwrap();
            assert!(page.contains(".TH") && page.contains(".SH SYNOPSIS"), "{name}: {page}");
        }
    }
}
