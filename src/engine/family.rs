//! Reads the lanes of a family of processes on a thread of its own, only while their timeline is open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::for_open::ForOpen;
use crate::clock::{Clock as _, SystemClock, monotonic_ns, thread_cpu_ns};
use crate::kernel::DetailReader;
use crate::lanes::sampler::Tracer;
use crate::lanes::{Lanes, SHARE};
use crate::profile::sampler::family;
use crate::snapshot::ProcKey;

/// Time that is kept, and how often what was read is shown.
const KEPT: Duration = Duration::from_secs(60);
const SHOWN: Duration = Duration::from_millis(250);
/// The most slices that are kept, the newest of them.
const MOST_SLICES: usize = 60_000;

/// The lanes of a family: its first process, its lanes, and CLOCK_BOOTTIME minus CLOCK_MONOTONIC in nanoseconds.
pub(super) type Traced = Option<(ProcKey, Arc<Lanes>, u64)>;

/// The thread of the family that is wanted.
pub(super) struct FamilyTraces {
    thread: ForOpen<ProcKey>,
    publish: Arc<watch::Sender<Traced>>,
}

impl FamilyTraces {
    pub(super) fn new() -> Self {
        Self { thread: ForOpen::new("family-lanes"), publish: Arc::new(watch::channel(None).0) }
    }

    /// A receiver of the lanes that are read.
    pub(super) fn found(&self) -> watch::Receiver<Traced> {
        self.publish.subscribe()
    }

    /// The lanes of this family are wanted from now on, or none.
    pub(super) fn want(&mut self, key: Option<ProcKey>) {
        let publish = Arc::clone(&self.publish);
        // Without a thread the screen stays without lanes, and the next call tries again.
        let _ = self.thread.want(key, move |key, stop| follow(*key, stop, &publish));
    }
}

fn follow(key: ProcKey, stop: &AtomicBool, publish: &watch::Sender<Traced>) {
    let Ok(reader) = DetailReader::open("/proc") else { return };
    let mut tracer = Tracer::default();
    let (began, cpu) = (Instant::now(), thread_cpu_ns());
    let mut shown_at = began;
    while !stop.load(Ordering::Relaxed) {
        let pause = tracer.step(&reader, &mut |reader| family(reader, key));
        if shown_at.elapsed() >= SHOWN || tracer.is_over() {
            shown_at = Instant::now();
            let now_ns = SystemClock.boot_ns();
            tracer.keep(now_ns.saturating_sub(KEPT.as_nanos() as u64), MOST_SLICES);
            let lanes = Arc::new(tracer.lanes());
            if publish.send(Some((key, lanes, now_ns.saturating_sub(monotonic_ns())))).is_err() {
                return;
            }
        }
        if tracer.is_over() {
            // The last picture stays until the screen is left.
            return;
        }
        // Looking, searching and copying together.
        let used = Duration::from_nanos(thread_cpu_ns().saturating_sub(cpu));
        std::thread::sleep(pause.max((used * SHARE).saturating_sub(began.elapsed()).min(SHOWN)));
    }
}
