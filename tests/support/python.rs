//! Shared parts of the tests of Python systems. Unsupported ones are skipped loudly.

use std::path::PathBuf;

use concmon::lab::catalog::{find, python_program};
use concmon::lab::python::{Interpreter, Origin};
use concmon::lab::run::{Outcome, Run, RunPhase};

pub fn assert_done(run: &Run) {
    let with = run.spec.python.as_ref().unwrap().display();
    assert_eq!(run.phase, RunPhase::Ended(Outcome::Done), "{} with {with}: {:?}\n{}", run.spec.system, run.warnings, run.output);
    assert!(run.shape.len() >= 2, "{} with {with}: it was looked at while it held still", run.spec.system);
    let unmet: Vec<_> = run.shape.iter().filter(|c| !c.met).collect();
    assert!(unmet.is_empty(), "{} with {with}: {unmet:?}\n{:?}", run.spec.system, run.family);
    assert_eq!(run.lines_lost, 0, "{} with {with}: {:?}", run.spec.system, run.warnings);
}

/// Interpreters that only the tests know of: paths in `CONCMON_TEST_PYTHONS`, separated by colons.
pub fn named() -> Vec<PathBuf> {
    std::env::var_os("CONCMON_TEST_PYTHONS").map(|v| std::env::split_paths(&v).collect()).unwrap_or_default()
}

/// The newest interpreter of each kind, so that a machine with many is not asked for all of them. The lab's own environment has the
/// interpreter that it was made from.
pub fn interpreters() -> Vec<Interpreter> {
    let mut all = concmon::lab::python::interpreters(&named()).interpreters.clone();
    all.sort_by_key(|i| std::cmp::Reverse(i.version));
    let mut seen = std::collections::HashSet::new();
    all.retain(|i| i.origin != Origin::Managed && seen.insert((i.short(), i.packages.len())));
    all
}

/// Whether there is no interpreter at all; says so.
pub fn no_python() -> bool {
    let none = concmon::lab::python::interpreters(&named()).interpreters.is_empty();
    if none {
        loudly!("SKIPPED: there is no CPython of at least 3.9 here, and this test needs one");
    }
    none
}

/// Whether an interpreter here can run the system; says so if not. What works on a cluster has tests that start one.
pub fn available(id: &str) -> bool {
    if python_program(id).is_some_and(|program| program.cluster) {
        return false;
    }
    can_run(id)
}

/// The same, whether or not it needs a cluster.
pub fn can_run(id: &str) -> bool {
    let why = concmon::lab::python::availability(find(id).unwrap(), &concmon::lab::python::interpreters(&named()));
    if let Some(why) = &why {
        loudly!("SKIPPED {id}: {why}");
    }
    why.is_none()
}
