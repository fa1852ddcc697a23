//! What kind of program a process executes.

use super::main_ended;
use super::proc_fs::{ProcFs, RelPath};
use crate::snapshot::contains;

/// Programs that interpret others, by the name of their file (`/proc/PID/exe`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpreter {
    /// Python, or a program that embeds it.
    Python,
    /// A shell.
    Shell,
}

/// What interpreter the process executes, if any.
#[must_use]
pub fn interpreter(fs: &ProcFs, pid: i32) -> Option<Interpreter> {
    let program = fs.read_link(&RelPath::process(main_ended::face(fs, pid), "exe")).unwrap_or_default();
    let name = program.rsplit(|b| *b == b'/').next().unwrap_or_default();
    if [&b"python"[..], b"uwsgi", b"pypy"].iter().any(|part| contains(name, part)) {
        return Some(Interpreter::Python);
    }
    [&b"sh"[..], b"dash", b"bash", b"zsh", b"ksh", b"mksh"].contains(&name).then_some(Interpreter::Shell)
}

/// Whether it is Python.
#[must_use]
pub fn is_python(fs: &ProcFs, pid: i32) -> bool {
    interpreter(fs, pid) == Some(Interpreter::Python)
}
