//! Each worker is a fresh image started by posix_spawn(3).

use super::error::{RootError, failed};
use super::image::{self, Images};
use super::root::Root;

pub fn run(root: &mut Root) -> Result<(), RootError> {
    let images = Images::for_workers();
    root.hold_memory()?;
    root.launch();
    for w in 0..root.spec.workers {
        let args = image::worker_arguments(root.arena.raw_fd(), w);
        root.requested(w);
        let pid = images.spawn(&args).map_err(failed(format!("spawning worker {w} of {}", root.spec.workers)))?;
        root.adopt(w, pid);
    }
    root.await_all_ready()?;
    root.run_workers(|_| Ok(()))
}
