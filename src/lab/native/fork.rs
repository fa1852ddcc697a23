//! Each worker is a fork of the root.

use nix::unistd::{ForkResult, Pid};

use super::error::{RootError, failed};
use super::root::Root;
use super::{signals, worker};
use crate::clock::monotonic_ns;

pub fn run(root: &mut Root) -> Result<(), RootError> {
    root.hold_memory()?;
    root.launch();
    let creator = nix::unistd::getpid();
    for w in 0..root.spec.workers {
        start(root, w, |root, ready_ns| worker::live(&root.worker(w), creator, ready_ns))?;
    }
    root.await_all_ready()?;
    root.run_workers(|_| Ok(()))
}

/// Forks worker `w` and waits until it runs, as [`start`] does without waiting.
pub fn create(root: &mut Root, w: u32, child: impl FnOnce(&Root, u64)) -> Result<Pid, RootError> {
    let pid = start(root, w, child)?;
    root.await_ready(w)?;
    Ok(pid)
}

/// Forks worker `w`; `child` is what it does, given the time of its first instruction; it exits after that.
pub fn start(root: &mut Root, w: u32, child: impl FnOnce(&Root, u64)) -> Result<Pid, RootError> {
    root.requested(w);
    match signals::fork() {
        Ok(ForkResult::Child) => {
            let ready_ns = monotonic_ns();
            child(root, ready_ns);
            worker::exit_now(0)
        }
        Ok(ForkResult::Parent { child }) => {
            root.adopt(w, child);
            Ok(child)
        }
        Err(e) => Err(failed(format!("forking worker {w} of {}", root.spec.workers))(e)),
    }
}
