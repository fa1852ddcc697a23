//! The Python side of the lab: interpreters of the machine, and the program of a Python run.

mod choose;
mod discover;
pub mod environment;
mod probe;
mod program;

pub use crate::lab::control::RUN_DIRECTORY;
pub use choose::{availability, choose, choose_common, choose_twin, settle};
pub use discover::{Discovery, discover, list};
pub use probe::{Interpreter, Origin, Rejected, probe};
pub use program::{WORKER_MODULE, program};

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::lab::catalog::System;

/// Packages from outside the standard library that some system uses.
pub const PACKAGES: &[&str] = &[
    "aiofiles",
    "aiohttp",
    "anyio",
    "celery",
    "cheroot",
    "distributed",
    "django",
    "gevent",
    "granian",
    "gunicorn",
    "joblib",
    "loky",
    "mpire",
    "numpy",
    "pandas",
    "trio",
    "uvicorn",
    "uvicorn-worker",
    "uvloop",
];

/// Where `concmon lab setup` keeps its environments: below the user's data directory. `None` if there is neither a home nor
/// `XDG_DATA_HOME`.
#[must_use]
pub fn environment_home() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let data = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")))?;
    Some(data.join("concmon/python"))
}

/// The absolute path of an interpreter as a user writes it: a path, a version (`3.14`, `python3.14t`) that was found, or a name on PATH.
/// Of several with that version it is the one that is best for `systems`: with packages, the lab's own environment.
///
/// # Errors
/// One sentence, if there is no such file.
pub fn resolve(named: &std::path::Path, systems: &[&System], found: &Discovery) -> Result<PathBuf, String> {
    let path = if named.components().count() == 1 && !named.exists() {
        let name = named.to_string_lossy();
        let version = name.strip_prefix("python").unwrap_or(&name);
        choose::best_of_version(version, systems, found).map(|i| i.path).or_else(|| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|dir| dir.join(named)).find(|p| p.is_file())
        })
    } else {
        Some(named.to_owned())
    };
    // Not canonical: a link into a virtual environment is what makes it one.
    path.and_then(|p| std::path::absolute(p).ok())
        .filter(|p| p.is_file())
        .ok_or_else(|| format!("there is no interpreter {}; `concmon lab doctor` lists those found", named.display()))
}

/// What was found, by what was named beside it.
static FOUND: Mutex<BTreeMap<Vec<PathBuf>, Arc<Discovery>>> = Mutex::new(BTreeMap::new());

/// The interpreters of this machine and those of `also`, looked for once in the life of the program: the first call takes some tenths of
/// a second, and others that come meanwhile wait for it.
#[must_use]
pub fn interpreters(also: &[PathBuf]) -> Arc<Discovery> {
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = found.entry(also.to_vec());
    Arc::clone(entry.or_insert_with(|| Arc::new(discover(&discover::Places::of_environment(also)))))
}

/// Why nothing is known of the interpreters of a concmon that starts nothing.
const READONLY: &str = "not started to ask what it can do: concmon is readonly";

/// The interpreters of this machine and those of `also` by their paths alone: none is started.
#[must_use]
pub fn listed(also: &[PathBuf]) -> Arc<Discovery> {
    Arc::new(list(&discover::Places::of_environment(also), READONLY))
}

/// Forgets what was found: something has been installed.
pub fn look_again() {
    FOUND.lock().unwrap_or_else(PoisonError::into_inner).clear();
}
