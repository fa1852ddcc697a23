//! What kind of program a process executes.

use super::main_ended;
use super::proc_fs::{ProcFs, RelPath};
use crate::snapshot::contains;

/// Whether the program is a Python interpreter or embeds one, by the name of its file (`/proc/PID/exe`).
#[must_use]
pub fn is_python(fs: &ProcFs, pid: i32) -> bool {
    let name = file_name(fs, pid);
    [&b"python"[..], b"uwsgi", b"pypy"].iter().any(|part| contains(&name, part))
}

/// Whether the program is a shell, by the name of its file.
#[must_use]
pub fn is_shell(fs: &ProcFs, pid: i32) -> bool {
    [&b"sh"[..], b"dash", b"bash", b"zsh", b"ksh", b"mksh"].contains(&&*file_name(fs, pid))
}

/// The name of the file that the process executes; empty if it cannot be read.
fn file_name(fs: &ProcFs, pid: i32) -> Vec<u8> {
    let program = fs.read_link(&RelPath::process(main_ended::face(fs, pid), "exe")).unwrap_or_default();
    program.rsplit(|b| *b == b'/').next().unwrap_or_default().to_vec()
}
