//! The life of a native worker: reports its start, waits for the signal to work, works, waits for the end.

use std::io::Write;
use std::sync::atomic::Ordering;

use nix::unistd::{Pid, getpid, getppid, gettid};

use super::arena::{Arena, Ballast, EXITED, FINISHED, READY, futex_wait, futex_wake};
use super::error::RootError;
use super::tasks;
use crate::clock::monotonic_ns;
use crate::lab::catalog::RunSpec;
use crate::lab::hidden::name_task;

/// So many failures of a run are printed: the others mostly say the same.
const FAILURES_SHOWN: u32 = 5;

/// One worker's view of the run.
pub struct Worker<'a> {
    /// Shared notes.
    pub arena: &'a Arena,
    /// What to do.
    pub spec: &'a RunSpec,
    /// Memory of the parent, where this worker can see it.
    pub ballast: Option<&'a Ballast>,
    /// Its index.
    pub index: u32,
}

impl Worker<'_> {
    /// Notes that the worker is there, since `ready_ns`, and wakes its creator.
    pub fn ready(&self, ready_ns: u64) {
        let Some(slot) = self.arena.slots().get(self.index as usize) else { return };
        // After the time was taken, before the creator is woken: a worker that is ready already shows its name.
        name_task(&format!("worker {}", self.index));
        slot.ready_ns.store(ready_ns, Ordering::Relaxed);
        slot.pid.store(getpid().as_raw(), Ordering::Relaxed);
        slot.tid.store(gettid().as_raw(), Ordering::Relaxed);
        slot.state.store(READY, Ordering::Release);
        futex_wake(&slot.state, 1);
    }

    /// Waits until the root lets the workers begin.
    pub fn await_go(&self) {
        wait_for(&self.arena.header().go);
    }

    /// The units that fall to this worker when they are dealt out in turn.
    pub fn share(&self) -> impl Iterator<Item = usize> + use<> {
        let (tasks, workers) = (self.arena.spans().len(), self.arena.slots().len().max(1));
        (self.index as usize..tasks).step_by(workers)
    }

    /// Does its share.
    pub fn work_share(&self) {
        for k in self.share() {
            self.work(k);
        }
    }

    /// Does unit `k`.
    pub fn work(&self, k: usize) {
        self.begin(k);
        self.conclude(k, tasks::perform(self.spec, u32::try_from(k).unwrap_or(u32::MAX), self.ballast, self.port()));
    }

    /// Where the run's server listens; only with task http.
    pub fn port(&self) -> u16 {
        u16::try_from(self.arena.header().port.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Notes how unit `k` has ended. What went wrong first is printed, and so ends up in the run's output; the root fails the run for it.
    pub fn conclude(&self, k: usize, result: Result<u64, RootError>) {
        let result = result.unwrap_or_else(|error| {
            if self.arena.header().failures.fetch_add(1, Ordering::Relaxed) < FAILURES_SHOWN {
                // One write for the whole line, or those of other workers come between.
                let line = format!("unit {k} of worker {}: {error}\n", self.index);
                let _ = std::io::stderr().write_all(line.as_bytes());
            }
            tasks::FAILED
        });
        self.end(k, result);
    }

    /// Notes that unit `k` begins here.
    pub fn begin(&self, k: usize) {
        if let Some(span) = self.arena.spans().get(k) {
            span.worker.store(self.index, Ordering::Relaxed);
            span.start_ns.store(monotonic_ns(), Ordering::Release);
        }
    }

    /// Notes that unit `k` has ended with `result`.
    pub fn end(&self, k: usize, result: u64) {
        if let Some(span) = self.arena.spans().get(k) {
            span.result.store(result, Ordering::Relaxed);
            span.end_ns.store(monotonic_ns(), Ordering::Release);
        }
    }

    /// Says that its share is done and waits until all may leave.
    pub fn finish(&self) {
        self.mark_finished();
        self.await_leave();
    }

    /// Says that its share is done.
    pub fn mark_finished(&self) {
        if let Some(slot) = self.arena.slots().get(self.index as usize) {
            self.note_delay();
            slot.state.store(FINISHED, Ordering::Release);
        }
        self.arena.nudge();
    }

    /// Notes how long this worker has waited for CPUs. Its share is done, so reading that is no part of it.
    fn note_delay(&self) {
        if let (Some(slot), Some(ns)) = (self.arena.slots().get(self.index as usize), own_delay_ns()) {
            slot.delay_tid.store(gettid().as_raw(), Ordering::Relaxed);
            slot.delay_plus_one_ns.store(ns + 1, Ordering::Relaxed);
        }
    }

    /// Whether the workers may leave.
    pub fn may_leave(&self) -> bool {
        self.arena.header().leave.load(Ordering::Relaxed) != 0
    }

    /// Waits until the workers may leave.
    pub fn await_leave(&self) {
        wait_for(&self.arena.header().leave);
    }

    /// The last thing a worker thread does: there is no exit status that its creator could read.
    pub fn left(&self) {
        if let Some(slot) = self.arena.slots().get(self.index as usize) {
            slot.exited_ns.store(monotonic_ns(), Ordering::Relaxed);
            slot.state.store(EXITED, Ordering::Release);
        }
        self.arena.nudge();
    }
}

/// Nanoseconds that the calling task has been ready but waited for a CPU (proc_pid_schedstat, second field). A task that reads this has
/// run at least once: where the third field says otherwise, the kernel does not keep these figures (`CONFIG_SCHED_INFO`).
pub fn own_delay_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let mut fields = text.split_whitespace().skip(1).map(str::parse::<u64>);
    let (delay, turns) = (fields.next()?.ok()?, fields.next()?.ok()?);
    (turns > 0).then_some(delay)
}

fn wait_for(word: &std::sync::atomic::AtomicU32) {
    while word.load(Ordering::Acquire) == 0 {
        futex_wait(word, 0, None);
    }
}

/// Has the kernel kill this process when its creator ends (`PR_SET_PDEATHSIG`, prctl(2)). The setting is not inherited by children, so
/// each process asks for itself; if its parent is not `creator` it was too late.
pub fn die_with(creator: Pid) {
    let refused = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).is_err();
    if refused || getppid() != creator {
        exit_now(1);
    }
}

/// Ends this process without running what belongs to the process it was forked from (atexit functions, destructors, buffers).
#[expect(unsafe_code, reason = "_exit(2) has no wrapper")]
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit is async-signal-safe and does not return.
    unsafe { nix::libc::_exit(code) }
}

/// The life of a worker process: `ready_ns` was taken first thing.
pub fn live(worker: &Worker<'_>, creator: Pid, ready_ns: u64) -> ! {
    // Before `ready` wakes the creator: the creator goes on to its next worker then, and this one should be asleep.
    die_with(creator);
    worker.ready(ready_ns);
    worker.await_go();
    worker.work_share();
    worker.finish();
    exit_now(0)
}
