//! Threads that sleep: one ten times as long as the others. Each prints a line when it wakes.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::error::RootError;
use super::root::Root;
use super::worker::Worker;
use super::{tasks, thread};

/// How many times as long the first thread sleeps.
const LONGER: u32 = 10;

pub fn run(root: &mut Root) -> Result<(), RootError> {
    root.launch();
    let began = Arc::new(OnceLock::new());
    let mut threads = Vec::new();
    for w in 0..root.spec.workers {
        let began = Arc::clone(&began);
        threads.push(thread::create(root, w, Box::new(move |worker| sleep(worker, &began)))?);
    }
    root.run_workers(|root| {
        root.await_finished();
        report(root);
        Ok(())
    })?;
    thread::join(threads);
    Ok(())
}

/// What thread `w` sleeps, in units of the run's size.
fn share(w: u32) -> u32 {
    if w == 0 { LONGER } else { 1 }
}

/// `began` is when the first of all began.
fn sleep(worker: &Worker<'_>, began: &OnceLock<Instant>) {
    let began = began.get_or_init(Instant::now);
    let wanted = Duration::from_millis(u64::from(worker.spec.size())) * share(worker.index);
    worker.begin(worker.index as usize);
    let late = tasks::oversleep(wanted);
    worker.end(worker.index as usize, late);
    let (index, slept, after) = (worker.index, wanted.as_secs_f64(), began.elapsed().as_secs_f64());
    // An error of standard output cannot be reported.
    let _ = writeln!(std::io::stdout().lock(), "thread {index} slept {slept:.3} s, awake after {after:.3} s");
}

fn report(root: &mut Root) {
    let arena = Arc::clone(&root.arena);
    let first = arena.spans().iter().map(|s| s.start_ns.load(Ordering::Acquire)).min();
    let last = arena.spans().iter().map(|s| s.end_ns.load(Ordering::Acquire)).max();
    if let (Some(first), Some(last)) = (first, last) {
        root.value_ns("slept_together_ns", last.saturating_sub(first));
    }
    let units: u64 = (0..root.spec.workers).map(|w| u64::from(share(w))).sum();
    root.value_ns("slept_one_after_the_other_ns", units * u64::from(root.spec.size()) * 1_000_000);
}
