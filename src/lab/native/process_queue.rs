//! One child computes a factorial and sends the result to its parent through a pipe.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};

use super::error::{RootError, failed};
use super::root::Root;
use super::worker::{self, Worker};
use super::{fork, tasks};
use crate::clock::monotonic_ns;

/// Whose factorial.
const NUMBER: u64 = 5;

pub fn run(root: &mut Root) -> Result<(), RootError> {
    root.hold_memory()?;
    root.launch();
    let creator = nix::unistd::getpid();
    let (take, give) = pipe().map_err(failed("making the pipe for the result"))?;
    fork::create(root, 0, |root, ready_ns| {
        let worker = root.worker(0);
        worker.ready(ready_ns);
        worker::die_with(creator);
        worker.await_go();
        compute(&worker, &give);
        worker.finish();
    })?;
    // The child has the only other end now: if it dies, the read below ends.
    drop(give);
    root.run_workers(|root| {
        receive(root, take);
        Ok(())
    })
}

/// The child's side: the result and when it was sent.
fn compute(worker: &Worker<'_>, mut give: &PipeWriter) {
    worker.begin(0);
    let result = tasks::factorial(NUMBER);
    let mut message = [0; 16];
    message[..8].copy_from_slice(&result.to_ne_bytes());
    message[8..].copy_from_slice(&monotonic_ns().to_ne_bytes());
    // It fails if the parent has gone, which takes this process with it.
    if give.write_all(&message).is_ok() {
        worker.arena.note_sent(message.len());
    }
    worker.end(0, result);
}

/// The parent's side. If nothing comes the child has ended: that is what the run will be judged by.
fn receive(root: &mut Root, mut take: PipeReader) {
    let mut message = [0; 16];
    if take.read_exact(&mut message).is_err() {
        return;
    }
    let received_ns = monotonic_ns();
    let (result, sent_ns) = message.split_at(8);
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
    root.value(&format!("factorial_of_{NUMBER}"), number(result));
    root.value_ns("through_the_pipe_ns", received_ns.saturating_sub(number(sent_ns)));
}
