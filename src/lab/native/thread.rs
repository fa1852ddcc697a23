//! Each worker is a thread of the root.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::root::{Root, RootError, failed};
use super::worker::Worker;
use crate::clock::monotonic_ns;

pub fn run(root: &mut Root) -> Result<(), RootError> {
    root.hold_memory()?;
    root.phase("launch");
    let mut threads = Vec::new();
    for w in 0..root.spec.workers {
        threads.push(create(root, w, |worker| worker.work_share())?);
    }
    root.run_workers(|_| Ok(()))?;
    join(threads)
}

/// Starts thread `w` and waits until it runs; `work` is what it does between go and the end.
pub fn create(root: &mut Root, w: u32, work: impl FnOnce(&Worker<'_>) + Send + 'static) -> Result<JoinHandle<()>, RootError> {
    let (arena, spec, ballast) = (Arc::clone(&root.arena), Arc::clone(&root.spec), root.ballast.clone());
    root.requested(w);
    let thread = std::thread::Builder::new()
        .spawn(move || {
            let ready_ns = monotonic_ns();
            let worker = Worker { arena: &arena, spec: &spec, ballast: ballast.as_deref(), index: w };
            worker.ready(ready_ns);
            worker.await_go();
            work(&worker);
            worker.finish();
            worker.left();
        })
        .map_err(failed(format!("starting thread {w} of {}", root.spec.workers)))?;
    root.await_ready(w)?;
    Ok(thread)
}

/// Joins them all.
pub fn join(threads: Vec<JoinHandle<()>>) -> Result<(), RootError> {
    for thread in threads {
        thread.join().map_err(|_| RootError::Worker("a worker thread panicked; the output tells why".into()))?;
    }
    Ok(())
}
