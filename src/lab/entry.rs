//! The hidden entries of the binary: re-executed as the lab's helper, a run root or a worker.

use std::ffi::OsString;
use std::process::ExitCode;

use super::{guard, helper, native};

/// First argument of the helper process.
pub const HELPER: &str = "__lab-helper";
/// First argument of the root of a native run.
pub const ROOT: &str = "__lab-worker";
/// First argument of a fresh image made by exec or spawn within a native run.
pub const IMAGE: &str = "__lab-image";
/// First argument of the guard around a command that concmon has others execute.
pub const GUARD: &str = "__lab-guard";

/// Runs a hidden entry if the arguments name one; `None` is the ordinary program.
///
/// Must be the first call of `main`: what follows forks, which is only sound while there is one thread.
pub fn dispatch() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let first = args.next()?;
    let rest: Vec<OsString> = match first.to_str()? {
        HELPER | ROOT | IMAGE | GUARD => args.collect(),
        _ => return None,
    };
    Some(match first.to_str()? {
        HELPER => helper::main(),
        GUARD => guard::main(&rest),
        ROOT => native::root_main(),
        _ => native::image_main(&rest),
    })
}

/// The whole of `concmon-worker`, the small program beside concmon: the entry of a fresh image and nothing else.
pub fn worker_main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let known = args.next().is_some_and(|first| first == IMAGE);
    native::image_main(&if known { args.collect::<Vec<_>>() } else { Vec::new() })
}

/// Names the calling task as the kernel shows it (`comm`, of which prctl(2) `PR_SET_NAME` keeps 15 bytes). What runs from `/proc/self/exe`
/// would be called "exe" otherwise. A name only helps the reader, so a refusal changes nothing.
pub fn name_task(name: &str) {
    if let Ok(name) = std::ffi::CString::new(name) {
        let _ = nix::sys::prctl::set_name(&name);
    }
}
