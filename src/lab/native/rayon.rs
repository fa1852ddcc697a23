//! A thread pool of the crate rayon: a parallel loop is split among the threads, and a thread without work steals from another.

use std::sync::Arc;

use rayon::ThreadPoolBuilder;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::error::{RootError, failed};
use super::root::Root;
use super::thread;
use super::worker::Worker;

pub fn run(root: &mut Root) -> Result<(), RootError> {
    root.hold_memory()?;
    root.launch();
    let mut threads = Vec::new();
    let workers = root.spec.workers;
    let builder = ThreadPoolBuilder::new().num_threads(workers as usize).spawn_handler(|of_pool| {
        let w = u32::try_from(of_pool.index()).unwrap_or(u32::MAX);
        // The thread serves the pool until the pool is dropped.
        let thread = thread::create(root, w, Box::new(|_: &Worker<'_>| of_pool.run())).map_err(std::io::Error::other)?;
        threads.push(thread);
        Ok(())
    });
    let pool = builder.build().map_err(|e| failed("making the thread pool")(std::io::Error::other(e)))?;
    root.run_workers(|root| {
        let (arena, spec, ballast) = (Arc::clone(&root.arena), Arc::clone(&root.spec), root.ballast.clone());
        pool.install(|| {
            (0..arena.spans().len()).into_par_iter().for_each(|k| {
                let index = rayon::current_thread_index().and_then(|w| u32::try_from(w).ok()).unwrap_or_default();
                Worker { arena: &arena, spec: &spec, ballast: ballast.as_deref(), index }.work(k);
            });
        });
        drop(pool);
        Ok(())
    })?;
    thread::join(threads);
    Ok(())
}
