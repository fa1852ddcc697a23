//! Selects the interpreter of a system, or gives the reason why the system cannot run here.

use std::cmp::Reverse;
use std::ops::RangeInclusive;
use std::path::Path;

use super::discover::Discovery;
use super::probe::{Interpreter, Origin, probe};
use crate::lab::catalog::{self, Gil, PythonProgram, PythonStart, RunSpec, StartMethod, System, python_program};
use crate::lab::native;

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
    best(&[program], found, default_gil(&[program])).ok_or_else(|| unavailable(system, program, found))
}

/// One interpreter for runs of all these systems, which are compared with each other: figures of two versions say nothing about two
/// systems. With the GIL or without it where `gil` says so.
///
/// # Errors
/// Why there is none, in one sentence.
pub fn choose_common(systems: &[&System], gil: Option<bool>, found: &Discovery) -> Result<Interpreter, String> {
    let programs: Vec<&PythonProgram> = systems.iter().filter_map(|s| python_program(s.id)).collect();
    if let Some(interpreter) = best(&programs, found, gil.or(default_gil(&programs))) {
        return Ok(interpreter);
    }
    if let (Some(system), Some(program), None) = (systems.first(), programs.first(), gil)
        && systems.len() == 1
    {
        return Err(unavailable(system, program, found));
    }
    for (system, program) in systems.iter().zip(&programs) {
        if !found.interpreters.iter().any(|i| lacks(program, i).is_none()) {
            return Err(unavailable(system, program, found));
        }
    }
    let names: Vec<&str> = systems.iter().map(|s| s.id).collect();
    let kind = match gil {
        Some(true) => "a CPython with the GIL",
        Some(false) => "a free-threaded CPython",
        None => "one interpreter",
    };
    let mut packages: Vec<&str> = programs.iter().flat_map(|p| p.packages).copied().collect();
    packages.dedup();
    let packages = if packages.is_empty() { String::new() } else { format!(" that has {}", packages.join(" and ")) };
    Err(format!(
        "{} need{} {kind}{packages}, and none was found; `concmon lab doctor` lists the interpreters",
        names.join(" and "),
        if names.len() == 1 { "s" } else { "" }
    ))
}

/// The same as [`choose_common`], of this version (major, minor) if there is one.
///
/// # Errors
/// As [`choose_common`].
pub fn choose_twin(
    systems: &[&System],
    gil: Option<bool>,
    version: Option<(u8, u8)>,
    found: &Discovery,
) -> Result<Interpreter, String> {
    let Some(version) = version else { return choose_common(systems, gil, found) };
    let of_version = |i: &&Interpreter| (i.version.0, i.version.1) == version;
    let same = Discovery { interpreters: found.interpreters.iter().filter(of_version).cloned().collect(), ..found.clone() };
    choose_common(systems, gil, &same).or_else(|_| choose_common(systems, gil, found))
}

/// Settles the interpreter of every run of a comparison that names none: one for all, and one for those that need an interpreter without
/// the GIL.
///
/// # Errors
/// As [`choose_common`].
pub fn settle<'a>(specs: impl IntoIterator<Item = &'a mut RunSpec>, found: &Discovery) -> Result<(), String> {
    let open: Vec<&mut RunSpec> =
        specs.into_iter().filter(|s| s.python.is_none() && python_program(&s.system).is_some()).collect();
    let absent = |spec: &RunSpec| python_program(&spec.system).is_some_and(|p| p.gil == Gil::Absent);
    let (without, with): (Vec<_>, Vec<_>) = open.into_iter().partition(|spec| absent(spec));
    for group in [with, without].into_iter().filter(|group| !group.is_empty()) {
        let systems: Vec<&System> = group.iter().filter_map(|spec| catalog::find(&spec.system)).collect();
        let chosen = choose_common(&systems, None, found)?;
        for spec in group {
            spec.python = Some(chosen.path.clone());
        }
    }
    Ok(())
}

/// Versions whose inside the runtime page can read: what runs on them can be looked into.
const READABLE: RangeInclusive<(u8, u8)> = (3, 9)..=(3, 15);

/// What these systems want of the GIL, unless the user says otherwise.
fn default_gil(programs: &[&PythonProgram]) -> Option<bool> {
    programs.iter().any(|p| matches!(p.gil, Gil::Preferred | Gil::Needed)).then_some(true)
}

/// The best of those that have all that is needed. What needs packages runs best with those of the lock; what needs none runs on an
/// interpreter of the user's own. Where there is a choice it has the GIL, the runtime page can read it, and it is the newest of those.
fn best(programs: &[&PythonProgram], found: &Discovery, gil: Option<bool>) -> Option<Interpreter> {
    let managed_first = programs.iter().any(|p| !p.packages.is_empty());
    let fits = |i: &&Interpreter| gil.is_none_or(|gil| i.gil == gil) && programs.iter().all(|p| lacks(p, i).is_none());
    let rank = |i: &&Interpreter| {
        let readable = READABLE.contains(&(i.version.0, i.version.1));
        (i.origin != Origin::Config, (i.origin == Origin::Managed) != managed_first, !i.gil, !readable, Reverse(i.version))
    };
    found.interpreters.iter().filter(fits).min_by_key(rank).cloned()
}

/// Of several interpreters with the version that a user names, the one that is best for these systems.
#[must_use]
pub fn best_of_version(version: &str, systems: &[&System], found: &Discovery) -> Option<Interpreter> {
    let programs: Vec<&PythonProgram> = systems.iter().filter_map(|s| python_program(s.id)).collect();
    let interpreters = found.interpreters.iter().filter(|i| i.short() == version).cloned().collect();
    let same = Discovery { interpreters, rejected: Vec::new(), unasked: found.unasked.clone() };
    let user = || same.interpreters.iter().find(|i| i.origin != Origin::Managed).cloned();
    best(&programs, &same, None).or_else(user)
}

/// Why `system` cannot run here, if so.
#[must_use]
pub fn availability(system: &System, found: &Discovery) -> Option<String> {
    let Some(program) = python_program(system.id) else { return native::missing(system.id) };
    let available = found.interpreters.iter().any(|i| lacks(program, i).is_none());
    (!available).then(|| unavailable(system, program, found))
}

/// What `interpreter` lacks for `program`.
fn lacks(program: &PythonProgram, interpreter: &Interpreter) -> Option<String> {
    let (major, minor) = program.since;
    if (interpreter.version.0, interpreter.version.1) < program.since {
        return Some(format!("it needs Python {major}.{minor} or later"));
    }
    match program.gil {
        Gil::Absent if !interpreter.free_threaded => return Some("it needs a free-threaded build".into()),
        Gil::Needed if !interpreter.gil => return Some("it shows what the GIL does, and this build runs without it".into()),
        _ => {}
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
    if program.gil == Gil::Absent {
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
        assert_eq!(choose_common(&[system], Some(false), &here).map(|i| i.short()), Ok("3.13t".into()));
        assert_eq!(choose_common(&[system], Some(true), &here).map(|i| i.short()), Ok("3.13".into()));
        let why = choose_common(&[find("python/django").unwrap()], Some(false), &here).unwrap_err();
        assert!(why.contains("run `concmon lab setup`"), "{why}");
        let mut with_django = interpreter(13, false);
        with_django.packages = [("django", "5"), ("cheroot", "10")].map(|(n, v)| (n.into(), v.into())).into();
        let here = found(&[with_django, interpreter(13, true)]);
        let why = choose_common(&[find("python/django").unwrap()], Some(false), &here).unwrap_err();
        assert!(why.contains("free-threaded CPython that has django and cheroot"), "{why}");
    }

    #[test]
    fn builds_that_are_compared_are_of_one_version() {
        let here = found(&[interpreter(14, false), interpreter(13, false), interpreter(13, true), interpreter(11, false)]);
        let systems = [find("python/sequential").unwrap()];
        let version = |gil, of| choose_twin(&systems, gil, of, &here).map(|i| i.short());
        assert_eq!(version(Some(false), None), Ok("3.13t".into()));
        assert_eq!(version(Some(true), Some((3, 13))), Ok("3.13".into()));
        assert_eq!(version(Some(true), Some((3, 12))), Ok("3.14".into()), "of another where there is none");
    }

    #[test]
    fn a_free_threaded_build_that_comes_first_does_not_run_what_speaks_of_the_gil() {
        let here = found(&[interpreter(13, true), interpreter(11, false)]);
        let version = |id: &str| choose(find(id).unwrap(), None, &here).map(|i| i.short());
        for id in ["python/gil-threads", "python/hash-threads", "python/sleep-threads", "python/fork"] {
            assert_eq!(version(id), Ok("3.11".into()), "{id}");
        }
        assert_eq!(version("python/no-gil-threads"), Ok("3.13t".into()));
        let threaded = Path::new("/usr/bin/python3.13");
        let why = choose(find("python/gil-threads").unwrap(), Some(threaded), &found(&[interpreter(13, true)])).unwrap_err();
        assert!(why.contains("without it"), "{why}");
        assert!(choose(find("python/hash-threads").unwrap(), Some(threaded), &here).is_ok(), "one that is named may try");
    }

    #[test]
    fn what_is_compared_runs_on_one_interpreter() {
        let mut managed = interpreter(11, false);
        (managed.path, managed.origin) = ("/managed/bin/python3".into(), Origin::Managed);
        managed.packages = [("uvloop".to_owned(), "0.22".to_owned())].into();
        let here = found(&[interpreter(14, false), managed.clone(), interpreter(11, false), interpreter(13, true)]);
        let settled = |ids: &[&str]| {
            let mut specs: Vec<RunSpec> = ids.iter().map(|id| find(id).unwrap().defaults()).collect();
            settle(&mut specs, &here).map(|()| specs.into_iter().map(|s| s.python).collect::<Vec<_>>())
        };
        let path = |p: &str| Some(std::path::PathBuf::from(p));
        assert_eq!(settled(&["python/asyncio-echo", "python/uvloop-echo"]), Ok(vec![path("/managed/bin/python3"); 2]));
        assert_eq!(settled(&["python/asyncio-echo", "native/fork"]), Ok(vec![path("/usr/bin/python3.14"), None]));
        let both = settled(&["python/gil-threads", "python/no-gil-threads"]).unwrap();
        assert_eq!(both, [path("/usr/bin/python3.14"), path("/usr/bin/python3.13")], "without the GIL it takes another build");
        let why = settled(&["python/interpreter-pool-executor", "python/uvloop-echo"]).unwrap_err();
        assert!(why.contains("one interpreter that has uvloop"), "{why}");
        let named = best_of_version("3.11", &[find("python/uvloop-echo").unwrap()], &here).unwrap();
        assert_eq!(named.path, managed.path, "a version that is named is the one with the packages");
        let plain = best_of_version("3.11", &[find("python/fork").unwrap()], &here).unwrap();
        assert_eq!(plain.path, Path::new("/usr/bin/python3.11"));
    }

    #[test]
    fn the_newest_that_has_what_is_needed_and_can_be_read_runs_it() {
        let here = found(&[interpreter(11, false), interpreter(13, true), interpreter(13, false)]);
        let version = |id: &str| choose(find(id).unwrap(), None, &here).map(|i| i.short());
        assert_eq!(version("python/fork"), Ok("3.13".into()));
        let future = found(&[interpreter(16, false), interpreter(14, false), interpreter(13, false)]);
        assert_eq!(choose(find("python/fork").unwrap(), None, &future).map(|i| i.short()), Ok("3.14".into()));
        assert_eq!(version("python/no-gil-threads"), Ok("3.13t".into()));
        assert_eq!(version("python/interpreters"), Ok("3.13".into()));
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
