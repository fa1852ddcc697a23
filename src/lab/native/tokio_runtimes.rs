//! The two runtimes of tokio with the same async tasks: one thread for all, or several threads that steal tasks from each other.

use std::time::Instant;

use tokio::runtime::{Builder, Runtime};

use super::error::{RootError, failed};
use super::event_loop;
use super::root::Root;
use crate::lab::catalog::TOKIO_THREADS;

/// How many tasks are created in one go to learn what one costs.
const MANY: u32 = 1_000;

/// Everything on the root's own thread.
pub fn run_current(root: &mut Root) -> Result<(), RootError> {
    run(root, &mut Builder::new_current_thread())
}

/// On threads of the runtime's.
pub fn run_multi(root: &mut Root) -> Result<(), RootError> {
    run(root, Builder::new_multi_thread().worker_threads(TOKIO_THREADS as usize).thread_name("tokio-worker"))
}

fn run(root: &mut Root, builder: &mut Builder) -> Result<(), RootError> {
    root.hold_memory()?;
    let began = Instant::now();
    let runtime = builder.enable_all().build().map_err(failed("building the runtime"))?;
    root.value_ns("runtime_created_ns", nanoseconds(began));
    create_many(root, &runtime);
    event_loop::run_on(root, &runtime)
}

/// What a task costs that does nothing: to create, and to create and run to its end.
fn create_many(root: &mut Root, runtime: &Runtime) {
    let (created, finished) = runtime.block_on(async {
        let began = Instant::now();
        let tasks: Vec<_> = (0..MANY).map(|_| tokio::spawn(async {})).collect();
        let created = nanoseconds(began);
        for task in tasks {
            // It has nothing that could fail.
            let _ = task.await;
        }
        (created, nanoseconds(began))
    });
    root.value_ns("async_task_create_ns_each", created / u64::from(MANY));
    root.value_ns("async_task_create_and_finish_ns_each", finished / u64::from(MANY));
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
