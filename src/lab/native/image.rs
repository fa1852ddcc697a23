//! Fresh images inside a run, started by exec or spawn: they find the run's arena through an inherited descriptor.

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::unistd::Pid;

use crate::lab::hidden;

/// This binary, even if its file is gone or replaced: what images are started from where there is no small program beside it.
const SELF: &CStr = c"/proc/self/exe";
/// The small program that is installed beside this one.
const WORKER: &str = "concmon-worker";

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
    ["concmon", hidden::IMAGE].into_iter().chain(rest.iter().map(String::as_str)).filter_map(|a| CString::new(a).ok()).collect()
}

/// What a run's fresh images are started from, made ready before anything is timed.
pub struct Images {
    program: CString,
    environment: Vec<CString>,
}

impl Images {
    /// For a system whose creations are measured: if all of concmon has to be loaded each time, the run's output says so.
    pub fn for_workers() -> Self {
        let images = Self::find();
        if images.program.as_c_str() == SELF {
            eprintln!(
                "there is no {WORKER} beside concmon (cargo build makes it, cargo run does not); fresh programs load some 0.3 ms slower"
            );
        }
        images
    }

    /// From `concmon-worker` beside this binary, else from this binary itself.
    pub fn find() -> Self {
        let small = std::env::current_exe().ok().and_then(|own| beside(&own));
        let program = small.and_then(|path| CString::new(path.into_os_string().into_vec()).ok());
        let environment = std::env::vars_os().map(|(name, value)| {
            let mut pair = name.into_vec();
            pair.push(b'=');
            pair.extend(value.into_vec());
            pair
        });
        Self {
            program: program.unwrap_or_else(|| SELF.to_owned()),
            environment: environment.filter_map(|pair| CString::new(pair).ok()).collect(),
        }
    }

    /// Starts a fresh image by posix_spawn(3).
    pub fn spawn(&self, args: &[CString]) -> Result<Pid, Errno> {
        posix_spawn(self.program.as_c_str(), &PosixSpawnFileActions::init()?, &PosixSpawnAttr::init()?, args, &self.environment)
    }

    /// Replaces the program of this process; comes back only if that failed.
    pub fn replace(&self, args: &[CString]) {
        let _: Result<Infallible, Errno> = nix::unistd::execve(&self.program, args, &self.environment);
    }
}

/// The small program beside `own`, if only a user that could have replaced `own` could have put it there: in a directory such as /tmp
/// every user may add a file, but not one of the owner of `own` to which no other user may write.
fn beside(own: &Path) -> Option<PathBuf> {
    const OTHERS_WRITE: u32 = 0o022;
    let path = own.with_file_name(WORKER);
    let (ours, found) = (std::fs::metadata(own).ok()?, std::fs::symlink_metadata(&path).ok()?);
    let trusted = found.is_file() && found.uid() == ours.uid() && found.mode() & OTHERS_WRITE & !ours.mode() == 0;
    trusted.then_some(path)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_a_small_program_of_the_same_owner_is_started() {
        let directory = tempfile::tempdir().unwrap();
        let (own, small) = (directory.path().join("concmon"), directory.path().join(WORKER));
        let put = |path: &Path, mode| {
            write(path, b"a program").unwrap();
            set_permissions(path, Permissions::from_mode(mode)).unwrap();
        };
        put(&own, 0o755);
        assert_eq!(beside(&own), None, "there is none");
        put(&small, 0o755);
        assert_eq!(beside(&own), Some(small.clone()));
        put(&small, 0o757);
        assert_eq!(beside(&own), None, "anybody may write to it");
        put(&own, 0o757);
        assert_eq!(beside(&own), Some(small.clone()), "as to concmon itself");
        put(&own, 0o755);
        put(&small, 0o755);
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&small, Some(65_534), None).unwrap();
            assert_eq!(beside(&own), None, "another user put it there");
        }
        std::fs::remove_file(&small).unwrap();
        std::os::unix::fs::symlink("/bin/true", &small).unwrap();
        assert_eq!(beside(&own), None, "a link leads elsewhere");
        assert_eq!(beside(Path::new("/nowhere/concmon (deleted)")), None, "its own file is gone");
    }
}
