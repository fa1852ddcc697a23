//! The hidden entries of the binary: re-executed as the lab's helper, a run root or a worker.

use std::ffi::OsString;
use std::process::ExitCode;

use super::{guard, helper, native};

pub use super::hidden::{GUARD, HELPER, IMAGE, ROOT, name_task};

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
