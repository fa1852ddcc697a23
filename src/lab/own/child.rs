//! Between fork and exec: the program gets what concmon was given.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{SigmaskHow, sigprocmask};
use nix::unistd::{ForkResult, Pid};

use super::origin::Origin;
use super::{Program, StartError, process, sys};
use crate::clock::monotonic_ns;
use crate::lab::helper::birth::Birth;

/// Variables that name the process they are for by its PID (sd_listen_fds(3), sd_watchdog_enabled(3), systemd.exec(5)). The program
/// that set them meant the process that it started, which is concmon; but it wanted the program that concmon starts.
const NAMING_PIDS: [&[u8]; 3] = [b"LISTEN_PID", b"WATCHDOG_PID", b"SYSTEMD_EXEC_PID"];

/// Starts the program; its PID, and when it was forked in monotonic nanoseconds.
///
/// Returns after the program has been executed.
pub fn start(
    program: &Program,
    origin: &Origin,
    front: Pid,
    more: &[(String, OsString)],
    birth: Option<&Birth>,
) -> Result<(Pid, u64), StartError> {
    let own = |what| move |e| StartError::Own(what, e);
    let words: Result<Vec<CString>, _> = program.args.iter().map(|arg| CString::new(arg.as_bytes())).collect();
    let path = CString::new(program.path.as_os_str().as_bytes());
    let (Ok(args), Ok(path)) = (words, path) else { return Err(StartError::Exec(Errno::EINVAL)) };
    let mut env = environment(&program.path, more);
    let (mut failed, mut tell) = std::io::pipe().map_err(own("cannot create a pipe"))?;
    let forked_ns = monotonic_ns();
    match process::fork().map_err(|errno| StartError::Own("cannot fork", errno.into()))? {
        ForkResult::Parent { child } => {
            drop(tell);
            let mut errno = [0; 4];
            // Closed by the exec.
            match failed.read_exact(&mut errno) {
                Ok(()) => {
                    let _ = nix::sys::wait::waitpid(child, None);
                    Err(StartError::Exec(Errno::from_raw(i32::from_ne_bytes(errno))))
                }
                Err(_) => Ok((child, forked_ns)),
            }
        }
        ForkResult::Child => {
            name_it(&mut env, front);
            let Err(errno) = become_it(program, origin, &path, &args, &env, birth);
            let _ = tell.write_all(&(errno as i32).to_ne_bytes());
            process::exit_now(127)
        }
    }
}

/// Replaces this process by the program. Comes back only with an error.
fn become_it(
    program: &Program,
    origin: &Origin,
    path: &CString,
    args: &[CString],
    env: &[CString],
    birth: Option<&Birth>,
) -> Result<Infallible, Errno> {
    for (signal, ignored) in origin.ignored {
        sys::set_ignored(signal, ignored);
    }
    if program.output_to_stderr {
        nix::unistd::dup2_stdout(std::io::stderr())?;
    }
    for fd in &origin.closed {
        let _ = nix::unistd::close(*fd);
    }
    if program.output_to_stderr && origin.closed.contains(&2) {
        let _ = nix::unistd::close(1);
    }
    if let Some(birth) = birth {
        birth.note();
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&origin.mask), None)?;
    let Err(errno) = nix::unistd::execve(path, args, env);
    if errno != Errno::ENOEXEC {
        return Err(errno);
    }
    // A script without a first line that names its interpreter: what execvp(3) does.
    let shell = c"/bin/sh".to_owned();
    let script = [shell.clone(), path.clone()].into_iter().chain(args.iter().skip(1).cloned()).collect::<Vec<_>>();
    nix::unistd::execve(&shell, &script, env)
}

/// The environment that concmon was started with, byte for byte, and `more`.
fn environment(path: &Path, more: &[(String, OsString)]) -> Vec<CString> {
    let mut pairs: Vec<Vec<u8>> = match std::fs::read("/proc/self/environ") {
        Ok(bytes) => bytes.split(|b| *b == 0).filter(|pair| !pair.is_empty()).map(<[u8]>::to_vec).collect(),
        Err(_) => std::env::vars_os().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()).collect(),
    };
    for pair in &mut pairs {
        // Shells put there the file that they execute (bash(1), `_`).
        if pair.strip_prefix(b"_=").is_some_and(is_concmon) {
            *pair = [b"_=", path.as_os_str().as_bytes()].concat();
        }
    }
    for (name, value) in more {
        pairs.retain(|pair| !pair.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"=")));
        pairs.push([name.as_bytes(), b"=", value.as_bytes()].concat());
    }
    pairs.into_iter().filter_map(|pair| CString::new(pair).ok()).collect()
}

/// Whether the path names this program.
fn is_concmon(path: &[u8]) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |path: &Path| path.metadata().ok().map(|m| (m.dev(), m.ino()));
    id(Path::new(&OsString::from_vec(path.to_vec()))).is_some_and(|this| Some(this) == id(Path::new("/proc/self/exe")))
}

/// Where a variable names the front by its PID, names this process instead.
fn name_it(env: &mut [CString], front: Pid) {
    let front = front.to_string();
    for pair in env {
        let bytes = pair.as_bytes();
        let named = NAMING_PIDS.iter().find(|name| {
            let value = bytes.strip_prefix(**name).and_then(|rest| rest.strip_prefix(b"="));
            value == Some(front.as_bytes())
        });
        if let Some(name) = named
            && let Ok(own) = CString::new([name, &b"="[..], nix::unistd::getpid().to_string().as_bytes()].concat())
        {
            *pair = own;
        }
    }
}
