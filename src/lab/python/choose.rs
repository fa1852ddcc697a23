//! Selects the interpreter of a system, or gives the reason why the system cannot run here.

use std::path::Path;

use super::discover::Discovery;
use super::probe::{Interpreter, Origin, probe};
use crate::lab::catalog::{PythonProgram, PythonStart, StartMethod, System, python_program};

/// The interpreter for a run of `system`: the one that was named, or the first that has all it needs.
///
/// # Errors
/// Why there is none, and what would make one available, in one sentence.
pub fn choose(system: &System, named: Option<&Path>, found: &Discovery) -> Result<Interpreter, String> {
    let Some(program) = python_program(system.id) else { return Err(format!("{} is not a Python system", system.id)) };
    if let Some(path) = named {
        let interpreter = match found.interpreters.iter().find(|i| i.path == path) {
            Some(known) => known.clone(),
            None => probe(path, Origin::Named).map_err(|r| format!("{} cannot run the lab: {}", r.path.display(), r.why))?,
        };
        return match lacks(program, &interpreter) {
            None => Ok(interpreter),
            Some(lack) => {
                Err(format!("{} cannot run with {} (Python {}): {lack}", system.id, path.display(), interpreter.release))
            }
        };
    }
    best(program, found, |_| true).ok_or_else(|| unavailable(system, program, found))
}

/// The interpreter for a run of `system` that must have the GIL, or must not.
///
/// # Errors
/// Why there is none, in one sentence.
pub fn choose_gil(system: &System, gil: bool, found: &Discovery) -> Result<Interpreter, String> {
    let Some(program) = python_program(system.id) else { return Err(format!("{} is not a Python system", system.id)) };
    best(program, found, |i| i.gil == gil).ok_or_else(|| {
        let kind = if gil { "a CPython with the GIL" } else { "a free-threaded CPython" };
        let packages =
            if program.packages.is_empty() { String::new() } else { format!(" that has {}", program.packages.join(" and ")) };
        format!("{} needs {kind}{packages}, and none was found; `concmon lab doctor` lists the interpreters", system.id)
    })
}

/// The first that has all that is needed. What needs packages runs best with those of the lock; what needs none runs on the user's own
/// interpreter.
fn best(program: &PythonProgram, found: &Discovery, fits: impl Fn(&Interpreter) -> bool) -> Option<Interpreter> {
    let managed_first = !program.packages.is_empty();
    let mut able: Vec<&Interpreter> = found.interpreters.iter().filter(|i| fits(i) && lacks(program, i).is_none()).collect();
    able.sort_by_key(|i| (i.origin != Origin::Config, (i.origin == Origin::Managed) != managed_first));
    able.first().copied().cloned()
}

/// Why `system` cannot run here, if so.
#[must_use]
pub fn availability(system: &System, found: &Discovery) -> Option<String> {
    let program = python_program(system.id)?;
    let available = found.interpreters.iter().any(|i| lacks(program, i).is_none());
    (!available).then(|| unavailable(system, program, found))
}

/// What `interpreter` lacks for `program`.
fn lacks(program: &PythonProgram, interpreter: &Interpreter) -> Option<String> {
    let (major, minor) = program.since;
    if (interpreter.version.0, interpreter.version.1) < program.since {
        return Some(format!("it needs Python {major}.{minor} or later"));
    }
    if program.free_threaded && !interpreter.free_threaded {
        return Some("it needs a free-threaded build".into());
    }
    let missing: Vec<&str> = program.packages.iter().copied().filter(|p| !interpreter.packages.contains_key(*p)).collect();
    if !missing.is_empty() {
        return Some(format!("it needs {}", missing.join(", ")));
    }
    match program.start {
        PythonStart::Fixed(method) if !interpreter.start_methods.contains(&method) => {
            Some(format!("it has no start method {}", StartMethod::name(method)))
        }
        _ => None,
    }
}

fn unavailable(system: &System, program: &PythonProgram, found: &Discovery) -> String {
    let id = system.id;
    if let Some(why) = &found.unasked {
        let there = match found.rejected.as_slice() {
            [] => "none was found".to_owned(),
            [one] => format!("{} was {why}", one.path.display()),
            [first, more @ ..] => format!("{} and {} more were {why}", first.path.display(), more.len()),
        };
        return format!("{id} needs CPython: {there}");
    }
    if found.interpreters.is_empty() {
        return format!(
            "{id} needs CPython, and none was found: install python3, or use --python PATH (see `concmon lab doctor`)"
        );
    }
    let (major, minor) = program.since;
    let newest = found.interpreters.iter().map(|i| (i.version.0, i.version.1)).max().unwrap_or((0, 0));
    if newest < program.since {
        return format!(
            "{id} needs CPython {major}.{minor} or later, and the newest here is {}.{}: install a newer one, e.g. `uv python install {major}.{minor}`, or use --python PATH",
            newest.0, newest.1
        );
    }
    if program.free_threaded {
        return format!(
            "{id} needs a free-threaded CPython, and none was found: install one, e.g. `uv python install 3.14t`, or use --python PATH"
        );
    }
    if !program.packages.is_empty() {
        return format!("{id} needs {}: run `concmon lab setup`", program.packages.join(" and "));
    }
    format!("no interpreter here has what {id} needs; see `concmon lab doctor`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::catalog::find;

    fn interpreter(minor: u8, free_threaded: bool) -> Interpreter {
        Interpreter {
            path: format!("/usr/bin/python3.{minor}").into(),
            origin: Origin::Path,
            version: (3, minor, 0),
            release: format!("3.{minor}.0"),
            free_threaded,
            gil: !free_threaded,
            start_methods: StartMethod::ALL.to_vec(),
            start_method: StartMethod::Fork,
            interpreters: None,
            packages: std::collections::BTreeMap::new(),
            prefix: "/usr".into(),
            virtual_environment: false,
        }
    }

    fn found(all: &[Interpreter]) -> Discovery {
        Discovery { interpreters: all.to_vec(), ..Discovery::default() }
    }

    #[test]
    fn the_gil_can_be_asked_for() {
        let system = find("python/thread").unwrap();
        let here = found(&[interpreter(13, false), interpreter(13, true)]);
        assert_eq!(choose_gil(system, false, &here).map(|i| i.short()), Ok("3.13t".into()));
        assert_eq!(choose_gil(system, true, &here).map(|i| i.short()), Ok("3.13".into()));
        let why = choose_gil(find("python/django").unwrap(), false, &here).unwrap_err();
        assert!(why.contains("free-threaded CPython that has django and cheroot"), "{why}");
    }

    #[test]
    fn the_first_that_has_what_is_needed_runs_it() {
        let here = found(&[interpreter(11, false), interpreter(13, true), interpreter(13, false)]);
        let version = |id: &str| choose(find(id).unwrap(), None, &here).map(|i| i.short());
        assert_eq!(version("python/fork"), Ok("3.11".into()));
        assert_eq!(version("python/no-gil-threads"), Ok("3.13t".into()));
        assert_eq!(version("python/interpreters"), Ok("3.13t".into()));
        let why = version("python/interpreter-pool-executor").unwrap_err();
        assert!(why.contains("3.14 or later") && why.contains("newest here is 3.13"), "{why}");
    }

    #[test]
    fn a_system_that_cannot_run_says_what_would_help() {
        let why = |id: &str, here: &Discovery| availability(find(id).unwrap(), here).unwrap();
        assert!(why("python/fork", &found(&[])).contains("install python3"));
        assert!(why("python/no-gil-threads", &found(&[interpreter(14, false)])).contains("free-threaded"));
        assert_eq!(availability(find("native/fork").unwrap(), &found(&[])), None);
    }

    #[test]
    fn a_named_interpreter_that_does_not_do_is_refused_by_name() {
        let here = found(&[interpreter(11, false)]);
        let why = choose(find("python/interpreters").unwrap(), Some(Path::new("/usr/bin/python3.11")), &here).unwrap_err();
        assert!(why.contains("/usr/bin/python3.11 (Python 3.11.0): it needs Python 3.13 or later"), "{why}");
    }
}
