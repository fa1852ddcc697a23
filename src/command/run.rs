//! `concmon run -- CMD`: runs a user's program as it runs without concmon. The costs of the program and its descendants are printed at the
//! end. A Python program may `import concmon_lab` to report what its workers do.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use super::{Failure, lab, output};
use crate::cli::{RunArgs, exit};
use crate::lab::launcher::own_pids;
use crate::lab::own::{self, NoProgram, Program, StartError, locate};
use crate::lab::python::WORKER_MODULE;
use crate::lab::run::Run;
use crate::snapshot::contains;

/// What shells say of a program that is not there, and of one that cannot be executed.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;
/// Largest file that is searched for an import of the module, bytes.
const SCRIPT_MOST: u64 = 1 << 20;

/// Runs the program, and ends as it did.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    let [name, ..] = args.command.as_slice() else { return Ok(()) };
    own_pids().map_err(|error| Failure::Unavailable(error.into()))?;
    if args.repeated() && name.as_bytes().contains(&b'{') {
        return repeated(args);
    }
    let path = locate(name, None).map_err(|error| {
        let code = if matches!(error, NoProgram::NotExecutable(_)) { NOT_EXECUTABLE } else { NOT_FOUND };
        refuse(&clean(&error.to_string()), code)
    })?;
    if args.repeated() {
        return repeated(args);
    }
    let program = Program {
        path,
        args: args.command.clone(),
        output_to_stderr: args.json,
        detach: args.detach,
        lab: args.lab || args.command.iter().any(|arg| mentions_module(arg)),
    };
    let error = match own::run(&program, |run| report(run, args.json)) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    match error {
        StartError::Exec(errno) => {
            let code = if errno == nix::errno::Errno::ENOENT { NOT_FOUND } else { NOT_EXECUTABLE };
            Err(refuse(&format!("{} cannot be executed: {}", shown(name), errno.desc()), code))
        }
        error @ StartError::Own(..) => Err(Failure::Unavailable(error.into())),
    }
}

/// Runs the program several times; the exit code is that of the first run that failed.
fn repeated(args: &RunArgs) -> Result<(), Failure> {
    let mut code = exit::OK;
    output::with_stdout(|out| {
        code = lab::repeat(args, out)?;
        Ok(())
    })?;
    if code == exit::OK { Ok(()) } else { Err(Failure::Reported(code)) }
}

/// Reports what the program has cost, on standard error unless as JSON. A report that cannot be written is no failure: the program's status
/// counts.
fn report(run: &Arc<Run>, json: bool) {
    if json {
        let written = output::with_stdout(|out| {
            serde_json::to_writer_pretty(&mut *out, &lab::run_document(&[Arc::clone(run)]))?;
            writeln!(out)
        });
        if let Err(error) = written {
            output::to_stderr(&format!("concmon: the report cannot be written: {error}\n"));
        }
        return;
    }
    let mut text = Vec::new();
    let _ = lab::own_program(run, &mut text);
    output::to_stderr(&String::from_utf8_lossy(&text));
}

/// Whether an argument is, or names a small file that holds, Python that imports the module: only then are the variables set that it needs.
fn mentions_module(arg: &OsStr) -> bool {
    let name = WORKER_MODULE.0.trim_end_matches(".py").as_bytes();
    let mentions = |text: &[u8]| contains(text, name);
    let small = |path: &Path| path.metadata().is_ok_and(|m| m.is_file() && m.len() <= SCRIPT_MOST);
    mentions(arg.as_bytes())
        || (arg.as_bytes().ends_with(b".py") && small(Path::new(arg)) && std::fs::read(arg).is_ok_and(|text| mentions(&text)))
}

fn refuse(why: &str, code: u8) -> Failure {
    output::to_stderr(&format!("concmon: {why}\n"));
    Failure::Reported(code)
}

fn shown(name: &OsStr) -> String {
    clean(&name.to_string_lossy())
}

fn clean(text: &str) -> String {
    crate::text::sanitize_str(text, crate::text::Charset::Unicode).into_owned()
}
