//! Each worker is a fork that replaces its program by execve(2).

use nix::unistd::ForkResult;

use super::root::{Root, RootError, failed};
use super::{image, signals, worker};

pub fn run(root: &mut Root) -> Result<(), RootError> {
    root.hold_memory()?;
    root.launch();
    for w in 0..root.spec.workers {
        let args = image::worker_arguments(root.arena.raw_fd(), w);
        root.requested(w);
        match signals::fork() {
            Ok(ForkResult::Child) => {
                image::replace(&args);
                worker::exit_now(127)
            }
            Ok(ForkResult::Parent { child }) => root.adopt(w, child),
            Err(e) => return Err(failed(format!("forking worker {w} of {}", root.spec.workers))(e)),
        }
        root.await_ready(w)?;
    }
    root.run_workers(|_| Ok(()))
}
