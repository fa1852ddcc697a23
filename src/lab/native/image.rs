//! Fresh images of this binary inside a run: started by exec or spawn, they find the run's arena by a descriptor they inherit.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::process::ExitCode;

use nix::errno::Errno;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::unistd::{Pid, getppid};

use super::arena::Arena;
use super::worker::{self, Worker};
use super::{birth, forkserver, http_server, spec_from_env};
use crate::lab::entry;

const SELF: &std::ffi::CStr = c"/proc/self/exe";

/// Arguments of a worker's image.
pub fn worker_arguments(arena: RawFd, w: u32) -> Vec<CString> {
    arguments(&["worker".into(), arena.to_string(), w.to_string()])
}

/// Arguments of a fork server's image.
pub fn server_arguments(arena: RawFd, socket: RawFd) -> Vec<CString> {
    arguments(&["server".into(), arena.to_string(), socket.to_string()])
}

/// Arguments of the image of the server on loopback.
pub fn http_arguments(listener: RawFd) -> Vec<CString> {
    arguments(&["http".into(), listener.to_string()])
}

fn arguments(rest: &[String]) -> Vec<CString> {
    ["concmon", entry::IMAGE].into_iter().chain(rest.iter().map(String::as_str)).filter_map(|a| CString::new(a).ok()).collect()
}

/// The environment as exec wants it.
fn environment() -> Vec<CString> {
    use std::os::unix::ffi::OsStringExt;
    let joined = std::env::vars_os().map(|(name, value)| {
        let mut pair = name.into_vec();
        pair.push(b'=');
        pair.extend(value.into_vec());
        pair
    });
    joined.filter_map(|pair| CString::new(pair).ok()).collect()
}

/// Starts a fresh image by posix_spawn(3).
pub fn spawn(args: &[CString]) -> Result<Pid, Errno> {
    posix_spawn(SELF, &PosixSpawnFileActions::init()?, &PosixSpawnAttr::init()?, args, &environment())
}

/// Replaces the program of this process; comes back only if that failed.
pub fn replace(args: &[CString]) {
    let _: Result<Infallible, Errno> = nix::unistd::execve(SELF, args, &environment());
}

/// A fresh image.
pub fn image_main(args: &[OsString]) -> ExitCode {
    let creator = getppid();
    worker::die_with(creator);
    if args.first().is_some_and(|role| role == "born") {
        return tell_birth();
    }
    let number = |i: usize| args.get(i)?.to_str()?.parse::<i32>().ok().filter(|n| *n >= 0);
    if let (Some(listener), true) = (number(1), args.first().is_some_and(|role| role == "http")) {
        entry::name_task("http server");
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
/// spawned worker is held against.
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
