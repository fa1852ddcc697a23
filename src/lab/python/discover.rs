//! Finds interpreters: PATH, pyenv's versions, uv's and conda's directories, and paths from the user.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::probe::{Interpreter, Origin, Rejected, probe};

/// How many are asked at a time.
const AT_ONCE: usize = 4;
/// Most that are asked at all: a machine with more is a farm of environments, and asking all would take long.
const MOST: usize = 64;

/// Every interpreter of the machine, as far as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Discovery {
    /// Those that can be used, in the order in which they are preferred.
    pub interpreters: Vec<Interpreter>,
    /// Those that cannot.
    pub rejected: Vec<Rejected>,
    /// Why none was started to ask it what it can do; `None`: all were.
    pub unasked: Option<String>,
}

/// The places to look in.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Executables from the configuration.
    pub configured: Vec<PathBuf>,
    /// Directories of PATH.
    pub path: Vec<PathBuf>,
    /// Directories below which there is one environment each, with its executables in `bin`.
    pub homes: Vec<(Origin, PathBuf)>,
}

impl Places {
    /// As the environment says.
    pub fn of_environment(configured: &[PathBuf]) -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = variable("HOME");
        let under = |tail: &str| home.as_ref().map(|h| h.join(tail));
        let mut homes = Vec::new();
        homes.extend(super::environment_home().map(|dir| (Origin::Managed, dir)));
        homes.extend(variable("PYENV_ROOT").or_else(|| under(".pyenv")).map(|d| (Origin::Pyenv, d.join("versions"))));
        let uv = variable("UV_PYTHON_INSTALL_DIR")
            .or_else(|| variable("XDG_DATA_HOME").map(|d| d.join("uv/python")))
            .or_else(|| under(".local/share/uv/python"));
        homes.extend(uv.map(|d| (Origin::Uv, d)));
        for name in ["miniconda3", "anaconda3", "miniforge3", "mambaforge"] {
            for dir in [under(name), Some(Path::new("/opt").join(name))].into_iter().flatten() {
                homes.push((Origin::Conda, dir.join("envs")));
                // The installation itself is an environment of its parent directory, recognised by its name below.
                homes.push((Origin::Conda, dir));
            }
        }
        let path = std::env::var_os("PATH").map(|p| std::env::split_paths(&p).collect()).unwrap_or_default();
        Self { configured: configured.to_vec(), path, homes }
    }

    /// Every executable that may be an interpreter, without duplicates: links to one file count once, except where they make it another
    /// environment.
    fn candidates(&self) -> Vec<(Origin, PathBuf)> {
        let mut found: Vec<(Origin, PathBuf)> = self.configured.iter().map(|p| (Origin::Config, p.clone())).collect();
        let (managed, homes): (Vec<_>, Vec<_>) = self.homes.iter().partition(|(origin, _)| *origin == Origin::Managed);
        for (origin, home) in managed {
            found.extend(environments(home).into_iter().flat_map(|bin| executables(&bin)).map(|p| (*origin, p)));
        }
        // pyenv's shims exist for versions that are not selected, and fail.
        let path = self.path.iter().filter(|dir| dir.is_absolute() && !dir.ends_with("shims"));
        found.extend(path.flat_map(|dir| executables(dir)).map(|p| (Origin::Path, p)));
        for (origin, home) in homes {
            found.extend(environments(home).into_iter().flat_map(|bin| executables(&bin)).map(|p| (*origin, p)));
        }
        let mut seen = HashSet::new();
        found.retain(|(origin, path)| *origin == Origin::Config || seen.insert(identity(path)));
        found.truncate(MOST);
        found
    }
}

/// What makes two paths one interpreter: the file, and the environment that the directory makes of it.
fn identity(path: &Path) -> (PathBuf, Option<PathBuf>) {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let environment = path.parent().and_then(Path::parent).filter(|dir| dir.join("pyvenv.cfg").is_file());
    (real, environment.map(Path::to_owned))
}

/// The `bin` directories below a home of environments; the home itself may be one.
fn environments(home: &Path) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = std::fs::read_dir(home)
        .map(|entries| {
            // Hidden ones are being made, or are no environments.
            let shown = entries.flatten().filter(|e| !e.file_name().as_encoded_bytes().starts_with(b"."));
            shown.map(|e| e.path().join("bin")).filter(|p| p.is_dir()).collect()
        })
        .unwrap_or_default();
    dirs.sort();
    if home.join("conda-meta").is_dir() {
        dirs.insert(0, home.join("bin"));
    }
    dirs
}

/// Executables of a directory whose names are those of Python interpreters, `python3` first, then the newest.
fn executables(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut found: Vec<(u32, bool, PathBuf)> = entries
        .flatten()
        .filter_map(|e| {
            let name = e.file_name();
            let (minor, threaded) = parse_name(name.to_str()?)?;
            e.path().is_file().then(|| (minor, threaded, e.path()))
        })
        .collect();
    found.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    found.into_iter().map(|(_, _, path)| path).collect()
}

/// `python3` (which sorts before all), `python3.13`, `python3.13t`: its minor version and whether it is marked as free-threaded.
fn parse_name(name: &str) -> Option<(u32, bool)> {
    let rest = name.strip_prefix("python3")?;
    if rest.is_empty() {
        return Some((u32::MAX, false));
    }
    let minor = rest.strip_prefix('.')?;
    let (minor, threaded) = minor.strip_suffix('t').map_or((minor, false), |m| (m, true));
    Some((minor.parse().ok()?, threaded))
}

/// Looks into every place and starts nothing: what is found is rejected with `why`, since what it can do is only known by asking it.
#[must_use]
pub fn list(places: &Places, why: &str) -> Discovery {
    let rejected = places.candidates().into_iter().map(|(_, path)| Rejected { path, why: why.to_owned() }).collect();
    Discovery { interpreters: Vec::new(), rejected, unasked: Some(why.to_owned()) }
}

/// Looks into every place and asks what it finds there, some at a time.
#[must_use]
pub fn discover(places: &Places) -> Discovery {
    let candidates = places.candidates();
    let mut answers: Vec<Option<Result<Interpreter, Rejected>>> = Vec::new();
    answers.resize_with(candidates.len(), || None);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let slots = std::sync::Mutex::new(&mut answers);
    let ask = || {
        loop {
            let i = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some((origin, path)) = candidates.get(i) else { return };
            let answer = probe(path, *origin);
            let mut slots = slots.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            slots[i] = Some(answer);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..AT_ONCE.min(candidates.len()) {
            // Without more threads this one asks all.
            let _ = std::thread::Builder::new().spawn_scoped(scope, ask);
        }
        ask();
    });
    let mut found = Discovery::default();
    // Where there are several versions side by side, the newest first; PATH has an order of its own.
    let rank =
        |i: &Interpreter| (i.origin, (i.origin > Origin::Path).then_some(std::cmp::Reverse((i.version, !i.free_threaded))));
    for answer in answers.into_iter().flatten() {
        match answer {
            Ok(interpreter) => found.interpreters.push(interpreter),
            Err(rejected) => found.rejected.push(rejected),
        }
    }
    found.interpreters.sort_by_key(rank);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_interpreters_are_taken() {
        assert_eq!(parse_name("python3"), Some((u32::MAX, false)));
        assert_eq!(parse_name("python3.14"), Some((14, false)));
        assert_eq!(parse_name("python3.13t"), Some((13, true)));
        for name in ["python", "python2.7", "python3-config", "python3.11-config", "python3.", "python3.x", "ipython3"] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }

    #[test]
    fn links_to_one_file_count_once_but_an_environment_is_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let at = |p: &str| dir.path().join(p);
        for d in ["a", "shims", "venvs/one/bin", "pyenv/versions/3.12.1/bin"] {
            std::fs::create_dir_all(at(d)).unwrap();
        }
        std::fs::write(at("a/python3.12"), "").unwrap();
        std::fs::write(at("shims/python3.9"), "").unwrap();
        std::fs::write(at("venvs/one/pyvenv.cfg"), "").unwrap();
        std::fs::write(at("pyenv/versions/3.12.1/bin/python3.12"), "").unwrap();
        std::os::unix::fs::symlink(at("a/python3.12"), at("a/python3")).unwrap();
        std::os::unix::fs::symlink(at("a/python3.12"), at("venvs/one/bin/python3")).unwrap();
        let places = Places {
            configured: Vec::new(),
            path: vec![at("a"), at("shims"), at("venvs/one/bin"), PathBuf::from("relative")],
            homes: vec![(Origin::Pyenv, at("pyenv/versions"))],
        };
        let found: Vec<PathBuf> = places.candidates().into_iter().map(|(_, p)| p).collect();
        assert_eq!(found, [at("a/python3"), at("venvs/one/bin/python3"), at("pyenv/versions/3.12.1/bin/python3.12")]);
    }

    #[test]
    fn a_list_is_made_without_starting_anything() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (python, ran) = (dir.path().join("python3.15"), dir.path().join("ran"));
        std::fs::write(&python, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
        std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
        let places = Places { configured: Vec::new(), path: vec![dir.path().to_owned()], homes: Vec::new() };
        let listed = list(&places, "not started");
        assert_eq!(listed.rejected, [Rejected { path: python, why: "not started".into() }]);
        assert!(listed.interpreters.is_empty() && !ran.exists());
        let asked = discover(&places);
        assert!(asked.unasked.is_none() && ran.exists(), "the same place, asked: {asked:?}");
    }

    #[test]
    fn a_place_that_is_not_there_is_no_error() {
        let places = Places { configured: Vec::new(), path: vec![PathBuf::from("/nowhere")], homes: Vec::new() };
        assert_eq!(discover(&places), Discovery::default());
    }
}
