//! The Processes screen says what each helper process of a run is for.

use concmon::lab::catalog::find;
use concmon::lab::python;

use super::demos::{lines, quit};
use crate::support::exclusive::alone;
use crate::support::key_script::bytes;
use crate::support::pty::{Program, Pty, row_of};

/// Roles that must be seen with the workers.
const HELPERS: &[(&str, &[&str])] = &[
    ("python/joblib", &["resource tracker of loky", "resource tracker", "pool manager thread"]),
    ("python/dask-local", &["resource tracker", "dask thread of the event loop", "dask thread that watches a worker"]),
    ("python/gunicorn-sync", &["gunicorn master"]),
    ("python/uvicorn", &["uvicorn supervisor", "resource tracker"]),
    ("python/granian", &["granian main process"]),
];

/// Whether this machine can run it.
fn runs_here(id: &str) -> bool {
    let why = python::choose(find(id).unwrap(), None, &python::interpreters(&[])).err();
    if let Some(why) = &why {
        loudly!("SKIPPED {id}: {why}");
    }
    why.is_none()
}

#[test]
fn helper_processes_of_a_run_have_their_roles_on_the_processes_screen() {
    let _alone = alone();
    // Where this process finds the packages, so does its concmon.
    let home = python::environment_home().unwrap();
    let data = home.ancestors().nth(2).and_then(|data| data.to_str()).unwrap();
    let concmon = Program {
        program: env!("CARGO_BIN_EXE_concmon"),
        args: &["-d", "0.3"],
        rows: 70,
        columns: 160,
        env: &[("XDG_DATA_HOME", data)],
    };
    for (id, helpers) in HELPERS.iter().filter(|(id, _)| runs_here(id)) {
        let mut pty = Pty::spawn(&concmon);
        pty.wait_until("the process table", |screen| screen.alternate_screen() && row_of(screen, "COMMAND").is_some());
        pty.send(&bytes("L Tab"));
        pty.wait_until("the list of systems", |screen| lines(screen).iter().any(|line| line.contains("python/sequential")));
        pty.send(&bytes(&format!("/ '{id}' Enter Enter 1")));
        let workers = ["worker 0", "worker 1", "worker 2", "worker 3"];
        pty.wait_until(&format!("the roles of {id}"), |screen| {
            let lines = lines(screen);
            workers.iter().chain(*helpers).all(|role| lines.iter().any(|line| line.trim_end().contains(role)))
        });
        quit(pty);
    }
}
