//! Files of a room that need each other, directly or through others: they can only be read together.

use std::collections::{BTreeMap, BTreeSet};

use super::{module_of, read, rust_files};
use crate::support::rust_source::{Use, code_only, crate_paths, use_trees};

/// Rooms with circles, and how many of their files are in one. A number may only fall; a room that is not here has none.
const CIRCLES: &[(&str, usize)] = &[("app", 20), ("causes", 2), ("command", 2), ("inspect", 8), ("lab", 8), ("ui", 7)];

/// A module path below the crate.
type Path = Vec<String>;

/// The modules of some files, what they re-export, and what their code names.
struct Sources {
    /// Module to file.
    files: BTreeMap<Path, String>,
    /// A re-exported name with its module, and what it stands for.
    reexports: BTreeMap<Path, Path>,
    /// File to the paths that it names.
    named: BTreeMap<String, Vec<Path>>,
}

impl Sources {
    fn new(sources: &[(String, String)]) -> Self {
        let module = |file: &str| -> Path { module_of(file).iter().map(|part| (*part).to_owned()).collect() };
        let files: BTreeMap<Path, String> = sources.iter().map(|(file, _)| (module(file), file.clone())).collect();
        let (mut reexports, mut named) = (BTreeMap::new(), BTreeMap::new());
        for (file, source) in sources {
            let here = module(file);
            // Tests stand at the end of a file and may use everything.
            let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let code = code_only(source);
            let borrowed: Vec<&str> = here.iter().map(String::as_str).collect();
            let mut paths: Vec<Path> = crate_paths(&code, &borrowed).into_iter().map(|path| path.segments).collect();
            for Use { public, absolute, segments } in use_trees(&code, &borrowed) {
                let full = if absolute { segments } else { [&here[..], &segments[..]].concat() };
                match full.last() {
                    // A module may hand on what its children have: that is no need of theirs.
                    Some(name) if public => drop(reexports.insert([&here[..], std::slice::from_ref(name)].concat(), full)),
                    _ => paths.push(full),
                }
            }
            named.insert(file.clone(), paths);
        }
        Self { files, reexports, named }
    }

    /// The file that has what a path names.
    fn file_of(&self, path: &[String], depth: usize) -> Option<&String> {
        for length in (1..=path.len()).rev() {
            let (head, rest) = path.split_at(length);
            if let Some(stands_for) = self.reexports.get(head).filter(|to| depth < 6 && *to != head) {
                return self.file_of(&[&stands_for[..], rest].concat(), depth + 1);
            }
            if let Some(file) = self.files.get(head) {
                return Some(file);
            }
        }
        None
    }

    /// The files that a file names, in its own room.
    fn needs(&self, file: &str) -> BTreeSet<&str> {
        let of = |file: &str| module_of(file).first().map(|room| (*room).to_owned());
        let named = self.named.get(file).into_iter().flatten().filter_map(|path| self.file_of(path, 0));
        named.map(String::as_str).filter(|other| *other != file && of(other) == of(file)).collect()
    }

    /// The files from which a way leads back to themselves, by room.
    fn circles(&self) -> BTreeMap<String, Vec<&str>> {
        let needs: BTreeMap<&str, BTreeSet<&str>> = self.named.keys().map(|file| (file.as_str(), self.needs(file))).collect();
        let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for file in needs.keys() {
            let (mut open, mut seen) = (vec![*file], BTreeSet::new());
            while let Some(at) = open.pop() {
                open.extend(needs[at].iter().filter(|next| needs.contains_key(*next) && seen.insert(**next)));
            }
            if seen.contains(file) {
                found.entry(module_of(file)[0].to_owned()).or_default().push(file);
            }
        }
        found
    }
}

#[test]
fn files_of_a_room_do_not_need_each_other_in_a_circle() {
    let sources = rust_files("src").into_iter().filter(|file| !file.ends_with("tests.rs"));
    let sources: Vec<(String, String)> = sources.map(|file| (file.clone(), read(&file))).collect();
    let sources = Sources::new(&sources);
    let circles = sources.circles();
    let mut wrong = Vec::new();
    for (room, files) in &circles {
        let most = CIRCLES.iter().find(|(name, _)| name == room).map_or(0, |(_, most)| *most);
        if files.len() > most {
            wrong.push(format!("{room}: {} files in circles, at most {most}: {}", files.len(), files.join(" ")));
        }
    }
    for (room, most) in CIRCLES {
        let now = circles.get(*room).map_or(0, Vec::len);
        if now < *most {
            wrong.push(format!("{room} has only {now} files in circles by now: say so in CIRCLES"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn circles_are_found_through_reexports_and_groups() {
    let of = |files: &[(&str, &str)]| {
        let files: Vec<(String, String)> = files.iter().map(|(file, source)| ((*file).into(), (*source).into())).collect();
        Sources::new(&files).circles().values().flatten().map(|file| (*file).to_owned()).collect::<Vec<_>>()
    };
    let root = ("src/a/mod.rs", "mod b;\nmod c;\npub use b::{B, One as Two};\npub use c::C;");
    assert_eq!(of(&[root, ("src/a/b.rs", "use super::C;"), ("src/a/c.rs", "")]), [""; 0], "handing on is no need");
    assert_eq!(
        of(&[root, ("src/a/b.rs", "use super::{C, X};"), ("src/a/c.rs", "fn f() { crate::a::B::new() }")]),
        ["src/a/b.rs", "src/a/c.rs"]
    );
    assert_eq!(of(&[("src/a/mod.rs", "mod b;\nuse b::B;"), ("src/a/b.rs", "use super::A;")]), ["src/a/b.rs", "src/a/mod.rs"]);
    assert_eq!(
        of(&[root, ("src/a/b.rs", "use super::C;\n#[cfg(test)]\nmod tests { use super::super::B; }"), ("src/a/c.rs", "")]),
        [""; 0]
    );
}
