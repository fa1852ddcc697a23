//! Each worker is a fork that replaces its program by execve(2).

use nix::unistd::ForkResult;

use super::error::{RootError, failed};
use super::image::{self, Images};
use super::root::Root;
use super::{signals, worker};

pub fn run(root: &mut Root) -> Result<(), RootError> {
    let images = Images::for_workers();
    root.hold_memory()?;
    root.launch();
    for w in 0..root.spec.workers {
        let args = image::worker_arguments(root.arena.raw_fd(), w);
        root.requested(w);
        match signals::fork() {
            Ok(ForkResult::Child) => {
                images.replace(&args);
                worker::exit_now(127)
            }
            Ok(ForkResult::Parent { child }) => root.adopt(w, child),
            Err(e) => return Err(failed(format!("forking worker {w} of {}", root.spec.workers))(e)),
        }
    }
    root.await_all_ready()?;
    root.run_workers(|_| Ok(()))
}
