//! Workers forked once that receive tasks over pipes; the next free worker gets the next task.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::error::{RootError, failed};
use super::root::Root;
use super::{fork, worker};

/// The number that means that there are no more units.
const STOP: u32 = u32::MAX;

pub fn run(root: &mut Root) -> Result<(), RootError> {
    root.hold_memory()?;
    root.launch();
    let creator = nix::unistd::getpid();
    let (mut done, said) = pipe().map_err(failed("making the pipe for results"))?;
    let mut feeds = Vec::new();
    for w in 0..root.spec.workers {
        let (take, give) = pipe().map_err(failed(format!("making the pipe to worker {w}")))?;
        fork::start(root, w, |root, ready_ns| {
            let worker = root.worker(w);
            worker.ready(ready_ns);
            worker::die_with(creator);
            worker.await_go();
            serve(&worker, &take, &said);
            worker.finish();
            worker::exit_now(0)
        })?;
        feeds.push(give);
    }
    drop(said);
    root.await_all_ready()?;
    root.run_workers(|root| {
        feed(root, &mut feeds, &mut done);
        Ok(())
    })
}

/// The worker's side: one unit after the other until it reads [`STOP`] or the root has gone.
fn serve(worker: &worker::Worker<'_>, mut take: &PipeReader, mut said: &PipeWriter) {
    let mut number = [0; 4];
    while take.read_exact(&mut number).is_ok() {
        match u32::from_ne_bytes(number) {
            STOP => return,
            k => worker.work(k as usize),
        }
        if said.write_all(&worker.index.to_ne_bytes()).is_err() {
            return;
        }
        worker.arena.note_sent(size_of::<u32>());
    }
}

/// Sends a number to a worker; false if it has ended.
fn give(root: &Root, pipe: &mut PipeWriter, number: u32) -> bool {
    let given = pipe.write_all(&number.to_ne_bytes()).is_ok();
    root.arena.note_sent(if given { size_of::<u32>() } else { 0 });
    given
}

/// The root's side. A worker that has ended is passed over: its end is what the run will be judged by.
fn feed(root: &mut Root, feeds: &mut [PipeWriter], done: &mut PipeReader) {
    let units = u32::try_from(root.arena.spans().len()).unwrap_or(u32::MAX);
    let mut units = 0..units;
    let mut busy = vec![false; feeds.len()];
    for (worker, pipe) in feeds.iter_mut().enumerate() {
        busy[worker] = units.next().is_some_and(|k| give(root, pipe, k));
    }
    while busy.contains(&true) {
        let mut ready = [PollFd::new(done.as_fd(), PollFlags::POLLIN)];
        let some = poll(&mut ready, PollTimeout::from(50_u8)).is_ok_and(|n| n > 0);
        let mut number = [0; 4];
        if some && done.read_exact(&mut number).is_ok() {
            let worker = u32::from_ne_bytes(number) as usize;
            if let (Some(state), Some(pipe)) = (busy.get_mut(worker), feeds.get_mut(worker)) {
                *state = units.next().is_some_and(|k| give(root, pipe, k));
            }
        } else {
            root.reap();
            for (worker, state) in busy.iter_mut().enumerate() {
                *state &= !root.has_exited(worker);
            }
        }
        root.tell_sometimes();
    }
    for pipe in feeds {
        // It fails for workers that have ended, which need no number.
        let _ = give(root, pipe, STOP);
    }
}
