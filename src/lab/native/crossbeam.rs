//! Threads created once that take tasks from a channel of the crate crossbeam-channel, from which any number of threads can receive.

use super::error::RootError;
use super::root::Root;
use super::thread;
use super::worker::Worker;

pub fn run(root: &mut Root) -> Result<(), RootError> {
    root.hold_memory()?;
    root.launch();
    let (send, receive) = crossbeam_channel::unbounded::<usize>();
    let mut threads = Vec::new();
    for w in 0..root.spec.workers {
        let receive = receive.clone();
        let work = move |worker: &Worker<'_>| receive.iter().for_each(|k| worker.work(k));
        threads.push(thread::create(root, w, Box::new(work))?);
    }
    root.run_workers(|root| {
        for k in 0..root.arena.spans().len() {
            // Each receiver lives as long as its thread, which waits for the end of the channel.
            let _ = send.send(k);
        }
        // Without a sender the channel ends when it is empty.
        drop(send);
        Ok(())
    })?;
    thread::join(threads);
    Ok(())
}
