//! The program of a run of a system of the user's own.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::LaunchError;
use crate::lab::catalog::{OwnSystem, RunSpec};
use crate::lab::control::{Program, RUN_DIRECTORY};
use crate::lab::own::locate;
use crate::lab::python::WORKER_MODULE;

/// What to execute. The module of the protocol lies beside the run, where `import concmon_lab` finds it.
///
/// # Errors
/// If the program or its directory is not there.
pub(super) fn program(own: &OwnSystem, spec: &RunSpec) -> Result<Program, LaunchError> {
    let unavailable = |why: String| LaunchError::Unavailable(format!("{}: {why}", own.id));
    let directory = match &own.directory {
        Some(directory) => directory.clone(),
        None => std::env::current_dir().map_err(|e| unavailable(format!("the working directory cannot be read: {e}")))?,
    };
    if !directory.is_dir() {
        return Err(unavailable(format!("there is no directory {}", directory.display())));
    }
    let (args, variables) = own.filled(spec);
    let name = args.first().map(OsStr::new).unwrap_or_default();
    let path = locate(name, Some(&directory)).map_err(|e| unavailable(e.to_string()))?;
    let path = if path.is_absolute() { path } else { directory.join(path) };
    let mut env = vec![("PYTHONPATH".to_owned(), python_path(&variables))];
    env.extend(variables.into_iter().filter(|(name, _)| name != "PYTHONPATH"));
    let module = (WORKER_MODULE.0.to_owned(), WORKER_MODULE.1.to_owned());
    Ok(Program { path, args, env, env_remove: Vec::new(), files: vec![module], directory: Some(directory) })
}

/// The run's directory, then the directories that the program searches.
fn python_path(variables: &[(String, String)]) -> String {
    let own = variables.iter().find(|(name, _)| name == "PYTHONPATH").map(|(_, value)| PathBuf::from(value));
    let search = own.or_else(|| std::env::var_os("PYTHONPATH").map(PathBuf::from)).filter(|p| !p.as_os_str().is_empty());
    // A search path that is not text cannot be passed on with the orders of the helper.
    let search = search.filter(|p| std::str::from_utf8(p.as_os_str().as_bytes()).is_ok());
    search.map_or_else(|| RUN_DIRECTORY.to_owned(), |search| format!("{RUN_DIRECTORY}:{}", search.display()))
}
