//! What a fresh image inside a run does first: its arguments say which part it has.

use std::ffi::OsString;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::process::ExitCode;

use nix::unistd::getppid;

use super::arena::Arena;
use super::spec::spec_from_env;
use super::worker::{self, Worker};
use super::{birth, forkserver, http_server};
use crate::lab::hidden;

/// A fresh image.
pub fn image_main(args: &[OsString]) -> ExitCode {
    let creator = getppid();
    worker::die_with(creator);
    if args.first().is_some_and(|role| role == "born") {
        return tell_birth();
    }
    let number = |i: usize| args.get(i)?.to_str()?.parse::<i32>().ok().filter(|n| *n >= 0);
    if let (Some(listener), true) = (number(1), args.first().is_some_and(|role| role == "http")) {
        hidden::name_task("http server");
        return http_server::serve(inherited(listener).into());
    }
    let (Some(role), Some(fd), Some(last), Some(spec)) = (args.first(), number(1), number(2), spec_from_env()) else {
        eprintln!("this is an internal entry of concmon; use `concmon lab run`");
        return ExitCode::from(2);
    };
    let arena = match Arena::inherit(inherited(fd)) {
        Ok(arena) => arena,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if role == "server" {
        return forkserver::serve(&arena, &spec, &inherited(last));
    }
    let index = last.cast_unsigned();
    worker::live(&Worker { arena: &arena, spec: &spec, ballast: None, index }, creator, birth::born_ns())
}

/// Says when this image ran its first own instruction, nanoseconds, and stays while its standard input is open: what the creation of a
/// spawned worker is compared with.
fn tell_birth() -> ExitCode {
    println!("{}", birth::born_ns());
    match std::io::copy(&mut std::io::stdin(), &mut std::io::sink()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// A descriptor that the creator of this image left open for it.
#[expect(unsafe_code, reason = "takes a descriptor by its number")]
fn inherited(fd: RawFd) -> OwnedFd {
    // SAFETY: the number comes from our own root, which opened it for this image; nothing else in this process knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
