//! Turns an order into a run root: directory, listener, pipes, fork, exec.

use std::ffi::{CString, OsString};
use std::io::{PipeReader, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::{ForkResult, getpid};

use super::birth::Birth;
use super::cgroup::Group;
use super::objects;
use super::sys::{self, Exec};
use crate::clock::monotonic_ns;
use crate::lab::catalog::{self, RunSpec};
use crate::lab::control::{Program, RUN_DIRECTORY, SOCKET_VARIABLE};

/// What is left in the helper's hands after a start.
pub struct Started {
    pub root: i32,
    /// Its own directory; a program of the user's own has one only if it may speak to concmon.
    pub dir: Option<PathBuf>,
    pub listener: Option<UnixListener>,
    pub output: Option<PipeReader>,
    pub group: Option<Group>,
    /// Just before its root was forked, monotonic nanoseconds.
    pub forked_ns: u64,
    /// Where the child notes its beginning; only of a program of the user's own.
    pub birth: Option<Arc<Birth>>,
}

/// Starts the root of run `run`, which prints into a pipe; the error is one sentence.
pub fn start(base: &Path, run: u32, spec: &RunSpec, program: &Program) -> Result<Started, String> {
    let dir = base.join(run.to_string());
    std::fs::DirBuilder::new().mode(0o700).create(&dir).map_err(|e| format!("cannot create {}: {e}", dir.display()))?;
    let result = start_in(&dir, run, spec, program);
    if result.is_err() {
        // The first error says more than one of the clean-up.
        let _ = std::fs::remove_dir_all(&dir);
    }
    result
}

fn start_in(dir: &Path, run: u32, spec: &RunSpec, program: &Program) -> Result<Started, String> {
    let socket = dir.join("sock");
    let listener = UnixListener::bind(&socket).map_err(|e| format!("cannot bind {}: {e}", socket.display()))?;
    for (name, text) in &program.files {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    listener.set_nonblocking(true).map_err(|e| format!("the listener: {e}"))?;
    let (output, theirs) = pipe().map_err(|e| format!("cannot create a pipe for the run's output: {e}"))?;
    let null = std::fs::File::open("/dev/null").map_err(|e| format!("/dev/null: {e}"))?;
    let also = theirs.try_clone().map_err(|e| format!("the pipe for the run's output: {e}"))?;
    let most = catalog::find(&spec.system).map(|system| system.demand(spec));
    let group = Group::create(run, most.as_ref());
    let [stdin, stdout, stderr] = [OwnedFd::from(null), OwnedFd::from(theirs), OwnedFd::from(also)];
    let exec = Exec {
        group: group.as_ref().map(Group::procs),
        path: c_string(program.path.as_os_str().as_bytes())?,
        args: program.args.iter().map(|a| c_string(a.as_bytes())).collect::<Result<_, _>>()?,
        env: environment(program, dir, &socket, run, spec)?,
        dir: c_string(program.directory.as_deref().unwrap_or(dir).as_os_str().as_bytes())?,
        stdin,
        stdout,
        stderr,
    };
    let helper = getpid();
    let birth = if spec.is_own() { Birth::new().map(Arc::new) } else { None };
    // Before the fork: on few CPUs the child may have ended by the time that this process runs again.
    let forked_ns = monotonic_ns();
    match sys::fork().map_err(|e| format!("cannot fork the run root: {e}"))? {
        ForkResult::Parent { child } => {
            set_nonblocking(&output)?;
            let (dir, listener, output) = (Some(dir.to_owned()), Some(listener), Some(output));
            Ok(Started { root: child.as_raw(), dir, listener, output, group, forked_ns, birth })
        }
        ForkResult::Child => {
            let Err(e) = exec.become_it(helper, birth.as_deref());
            // Goes to the run's output pipe, or nowhere if that is what failed.
            eprintln!("cannot execute {}: {e}", program.path.display());
            sys::exit_now(127)
        }
    }
}

fn set_nonblocking(fd: &PipeReader) -> Result<(), String> {
    let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK);
    nix::fcntl::fcntl(fd, flags).map(|_| ()).map_err(|e| format!("the pipe for the run's output: {e}"))
}

fn c_string(bytes: &[u8]) -> Result<CString, String> {
    CString::new(bytes).map_err(|_| "a NUL byte in an argument or variable of the run".to_owned())
}

fn environment(program: &Program, dir: &Path, socket: &Path, run: u32, spec: &RunSpec) -> Result<Vec<CString>, String> {
    let spec = serde_json::to_string(spec).map_err(|e| format!("the run's spec: {e}"))?;
    let mut vars: Vec<(OsString, OsString)> = std::env::vars_os().filter(|(name, _)| !removed(program, name)).collect();
    let own: [(&str, OsString); 5] = [
        (SOCKET_VARIABLE, socket.into()),
        ("CONCMON_LAB_SPEC", spec.into()),
        ("CONCMON_LAB_RUN", run.to_string().into()),
        ("CONCMON_LAB_OBJECTS", objects::of_run(dir).unwrap_or_default().into()),
        // What a run leaves in its temporary directory goes with it.
        ("TMPDIR", dir.into()),
    ];
    let in_dir = |value: &String| {
        let mut path = OsString::new();
        for (i, part) in value.split(RUN_DIRECTORY).enumerate() {
            if i > 0 {
                path.push(dir);
            }
            path.push(part);
        }
        path
    };
    let given = program.env.iter().map(|(n, v)| (OsString::from(n), in_dir(v)));
    for (name, value) in own.into_iter().map(|(n, v)| (OsString::from(n), v)).chain(given) {
        vars.retain(|(n, _)| *n != name);
        vars.push((name, value));
    }
    let pairs = vars.into_iter().map(|(name, value)| {
        let mut pair = name.into_vec();
        pair.push(b'=');
        pair.extend(value.into_vec());
        c_string(&pair)
    });
    pairs.collect()
}

fn removed(program: &Program, name: &std::ffi::OsStr) -> bool {
    let name = name.as_bytes();
    program.env_remove.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix.as_bytes()),
        None => name == pattern.as_bytes(),
    })
}
