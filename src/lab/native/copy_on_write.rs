//! Four children inherit the same memory; each measures its private memory, does one thing, and measures again, which shows what makes
//! pages private.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};

use super::error::{RootError, failed};
use super::memory::private_bytes;
use super::root::Root;
use super::worker::{self, Worker};
use super::{arena::Ballast, fork};
use crate::lab::catalog::COPY_ON_WRITE_MB;

/// What stands for a figure that could not be read.
const UNKNOWN: u64 = u64::MAX;

/// What a child does with the memory of `mb` MiB it has inherited.
type Act = fn(&Ballast, mb: u32);

const ACTS: [(&str, Act); 4] = [
    ("untouched", |_, _| ()),
    ("read", |memory, mb| {
        std::hint::black_box(memory.read(mb));
    }),
    ("quarter_written", |memory, mb| memory.touch(mb / 4)),
    ("written", |memory, mb| memory.touch(mb)),
];

pub fn run(root: &mut Root) -> Result<(), RootError> {
    let mb = if root.spec.parent_mb == 0 { COPY_ON_WRITE_MB } else { root.spec.parent_mb };
    root.hold(mb)?;
    report(root, "parent_private_bytes", private_bytes());
    root.launch();
    let creator = nix::unistd::getpid();
    let mut pipes = Vec::new();
    for (w, (_, act)) in (0..).zip(ACTS) {
        let (take, give) = pipe().map_err(failed("making a pipe to a child"))?;
        fork::create(root, w, |root, ready_ns| {
            let worker = root.worker(w);
            worker.ready(ready_ns);
            worker::die_with(creator);
            worker.await_go();
            tell(&worker, act, mb, &give);
            worker.finish();
        })?;
        pipes.push(take);
    }
    root.run_workers(|root| {
        for ((name, _), pipe) in ACTS.iter().zip(pipes) {
            receive(root, name, pipe);
        }
        // What has been copied is there now, and nowhere else: the memory of the family is looked at again.
        root.hold_still();
        root.phase("steady");
        Ok(())
    })
}

/// The child's side: private memory before and after.
fn tell(worker: &Worker<'_>, act: Act, mb: u32, mut give: &PipeWriter) {
    let before = private_bytes();
    worker.begin(worker.index as usize);
    if let Some(memory) = worker.ballast {
        act(memory, mb);
    }
    worker.end(worker.index as usize, 0);
    let after = private_bytes();
    let mut message = [0; 16];
    message[..8].copy_from_slice(&before.unwrap_or(UNKNOWN).to_ne_bytes());
    message[8..].copy_from_slice(&after.unwrap_or(UNKNOWN).to_ne_bytes());
    // It fails if the parent has gone, which takes this process with it.
    if give.write_all(&message).is_ok() {
        worker.arena.note_sent(message.len());
    }
}

/// The parent's side. If nothing comes the child has ended: that is what the run will be judged by.
fn receive(root: &mut Root, name: &str, mut pipe: PipeReader) {
    let mut message = [0; 16];
    if pipe.read_exact(&mut message).is_err() {
        return;
    }
    let (before, after) = message.split_at(8);
    let number = |bytes: &[u8]| bytes.try_into().map(u64::from_ne_bytes).ok().filter(|n| *n != UNKNOWN);
    let (before, after) = (number(before), number(after));
    report(root, &format!("{name}_private_before_bytes"), before);
    report(root, &format!("{name}_private_after_bytes"), after);
    let growth = before.zip(after).map(|(before, after)| after.saturating_sub(before));
    report(root, &format!("{name}_private_growth_bytes"), growth);
}

fn report(root: &mut Root, name: &str, bytes: Option<u64>) {
    match bytes {
        Some(bytes) => root.value_bytes(name, bytes),
        None => root.value_unknown(name, "cannot read /proc/self/smaps_rollup"),
    }
}
