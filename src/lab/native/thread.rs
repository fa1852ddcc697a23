//! Each worker is a thread of the root.
#![expect(unsafe_code, reason = "pthread_create(3)")]

use std::sync::Arc;

use super::arena::{Arena, Ballast};
use super::error::{RootError, failed};
use super::root::Root;
use super::worker::Worker;
use crate::clock::monotonic_ns;
use crate::lab::catalog::RunSpec;

pub fn run(root: &mut Root) -> Result<(), RootError> {
    root.hold_memory()?;
    root.launch();
    let mut threads = Vec::new();
    for w in 0..root.spec.workers {
        threads.push(create(root, w, Box::new(|worker| worker.work_share()))?);
    }
    root.run_workers(|_| Ok(()))?;
    join(threads);
    Ok(())
}

type Work = Box<dyn FnOnce(&Worker<'_>) + Send>;

/// Everything a thread takes with it.
struct Life {
    arena: Arc<Arena>,
    spec: Arc<RunSpec>,
    ballast: Option<Arc<Ballast>>,
    index: u32,
    work: Work,
}

impl Life {
    fn live(self, ready_ns: u64) {
        let worker = Worker { arena: &self.arena, spec: &self.spec, ballast: self.ballast.as_deref(), index: self.index };
        worker.ready(ready_ns);
        worker.await_go();
        (self.work)(&worker);
        worker.finish();
        worker.left();
    }
}

/// A thread that must be joined.
pub struct Thread(nix::libc::pthread_t);

/// What a thread does, given the time of its first instruction. Boxed twice, as a pointer of one word is what a thread can be given.
pub type Start = Box<Box<dyn FnOnce(u64) + Send>>;

extern "C" fn begin(start: *mut nix::libc::c_void) -> *mut nix::libc::c_void {
    let ready_ns = monotonic_ns();
    // SAFETY: `start` gave the pointer, which `Box::into_raw` made of a box of this type, only to this thread.
    let start: Start = unsafe { Box::from_raw(start.cast()) };
    start(ready_ns);
    std::ptr::null_mut()
}

/// Starts a thread. It is pthread_create(3) itself, because the standard library's threads first give themselves a signal stack, which
/// would count as creation.
pub fn start(start: Start) -> std::io::Result<Thread> {
    let start = Box::into_raw(start);
    let mut thread = std::mem::MaybeUninit::uninit();
    // SAFETY: `thread` is a place to write to, no attributes are given, and `begin` takes the box over.
    let error = unsafe { nix::libc::pthread_create(thread.as_mut_ptr(), std::ptr::null(), begin, start.cast()) };
    if error != 0 {
        // SAFETY: there is no thread, so the box is still ours.
        drop(unsafe { Box::from_raw(start) });
        return Err(std::io::Error::from_raw_os_error(error));
    }
    // SAFETY: pthread_create has succeeded and so has written it.
    Ok(Thread(unsafe { thread.assume_init() }))
}

/// Starts thread `w` and waits until it runs; `work` is what it does between go and the end.
pub fn create(root: &mut Root, w: u32, work: Work) -> Result<Thread, RootError> {
    let life =
        Life { arena: Arc::clone(&root.arena), spec: Arc::clone(&root.spec), ballast: root.ballast.clone(), index: w, work };
    let life: Start = Box::new(Box::new(move |ready_ns| life.live(ready_ns)));
    root.requested(w);
    let thread = start(life).map_err(failed(format!("starting thread {w} of {}", root.spec.workers)))?;
    root.await_ready(w)?;
    Ok(thread)
}

/// Joins them all.
pub fn join(threads: Vec<Thread>) {
    for thread in threads {
        // SAFETY: it was created joinable, and is joined once: here it is consumed. It cannot fail for such a thread.
        unsafe { nix::libc::pthread_join(thread.0, std::ptr::null_mut()) };
    }
}
