//! What kind of program a process executes.

use super::main_ended;
use super::proc_fs::{ProcFs, RelPath};
use crate::snapshot::contains;

/// Whether the program is a Python interpreter or embeds one, by the name of its file (`/proc/PID/exe`).
#[must_use]
pub fn is_python(fs: &ProcFs, pid: i32) -> bool {
    let program = fs.read_link(&RelPath::process(main_ended::face(fs, pid), "exe")).unwrap_or_default();
    let name = program.rsplit(|b| *b == b'/').next().unwrap_or(&program);
    [&b"python"[..], b"uwsgi", b"pypy"].iter().any(|part| contains(name, part))
}
