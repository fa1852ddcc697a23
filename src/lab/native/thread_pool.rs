//! Threads created once that take tasks from one queue behind a lock.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::error::RootError;
use super::root::Root;
use super::thread;
use super::worker::Worker;

#[derive(Default)]
struct Queue {
    waiting: Mutex<(VecDeque<usize>, bool)>,
    changed: Condvar,
}

impl Queue {
    fn put(&self, k: usize) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).0.push_back(k);
        self.changed.notify_one();
    }

    fn close(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.changed.notify_all();
    }

    /// The next unit; `None` once the queue is empty and closed.
    fn take(&self) -> Option<usize> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(k) = waiting.0.pop_front() {
                return Some(k);
            }
            if waiting.1 {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

pub fn run(root: &mut Root) -> Result<(), RootError> {
    root.hold_memory()?;
    root.launch();
    let queue = Arc::new(Queue::default());
    let mut threads = Vec::new();
    for w in 0..root.spec.workers {
        let queue = Arc::clone(&queue);
        let work = move |worker: &Worker<'_>| {
            while let Some(k) = queue.take() {
                worker.work(k);
            }
        };
        threads.push(thread::create(root, w, Box::new(work))?);
    }
    root.run_workers(|root| {
        for k in 0..root.arena.spans().len() {
            queue.put(k);
        }
        queue.close();
        Ok(())
    })?;
    thread::join(threads);
    Ok(())
}
