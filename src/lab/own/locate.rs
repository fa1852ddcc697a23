//! Finds the file of a program by its name, as a shell does.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Why there is no file to execute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoProgram {
    /// The path names a file that may not be executed.
    #[error("{0} is not an executable program")]
    NotExecutable(String),
    /// The path names nothing.
    #[error("there is no {0}")]
    Missing(String),
    /// No directory of `PATH` has it.
    #[error("there is no program {0} on PATH; use its path")]
    NotOnPath(String),
}

/// The file that a shell would execute for this name in `directory`, or in the working directory.
///
/// # Errors
/// Why there is none.
pub fn locate(name: &OsStr, directory: Option<&Path>) -> Result<PathBuf, NoProgram> {
    let executable = |p: &Path| p.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    let shown = || name.to_string_lossy().into_owned();
    if name.as_bytes().contains(&b'/') {
        let path = directory.map_or_else(|| PathBuf::from(name), |directory| directory.join(name));
        return match path.exists() {
            true if executable(&path) => Ok(path),
            true => Err(NoProgram::NotExecutable(shown())),
            false => Err(NoProgram::Missing(shown())),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    // An empty part of PATH is the working directory (execvp(3)).
    let at = |dir: PathBuf| if dir.as_os_str().is_empty() { Path::new(".").join(name) } else { dir.join(name) };
    let mut found = std::env::split_paths(&path).map(at).filter(|p| executable(p));
    found.next().ok_or_else(|| NoProgram::NotOnPath(shown()))
}
