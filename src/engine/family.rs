//! Reads the lanes of a family of processes on a thread of its own, only while their timeline is open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock::{Clock as _, SystemClock, monotonic_ns, thread_cpu_ns};
use crate::kernel::DetailReader;
use crate::lanes::Lanes;
use crate::lanes::sampler::{SHARE, Tracer};
use crate::profile::sampler::descendants;
use crate::snapshot::ProcKey;

/// Time that is kept, and how often what was read is shown.
const KEPT: Duration = Duration::from_secs(60);
const SHOWN: Duration = Duration::from_millis(250);
/// The most slices that are kept, the newest of them.
const MOST_SLICES: usize = 60_000;

/// What was read of a family: its first process, its lanes, and CLOCK_BOOTTIME minus CLOCK_MONOTONIC in nanoseconds.
pub(super) type Traced = Option<(ProcKey, Arc<Lanes>, u64)>;

/// The thread of the family that is wanted.
pub(super) struct FamilyTraces {
    wanted: Option<(ProcKey, Arc<AtomicBool>)>,
    publish: Arc<watch::Sender<Traced>>,
}

impl Drop for FamilyTraces {
    fn drop(&mut self) {
        self.want(None);
    }
}

impl FamilyTraces {
    pub(super) fn new() -> Self {
        Self { wanted: None, publish: Arc::new(watch::channel(None).0) }
    }

    /// What is read.
    pub(super) fn found(&self) -> watch::Receiver<Traced> {
        self.publish.subscribe()
    }

    /// The lanes of this family are wanted from now on, or none.
    pub(super) fn want(&mut self, key: Option<ProcKey>) {
        if self.wanted.as_ref().map(|(key, _)| *key) == key {
            return;
        }
        if let Some((_, stop)) = self.wanted.take() {
            stop.store(true, Ordering::Relaxed);
        }
        let Some(key) = key else { return };
        let stop = Arc::new(AtomicBool::new(false));
        let (theirs, publish) = (Arc::clone(&stop), Arc::clone(&self.publish));
        // One that a read holds up is left behind: it ends once the read returns.
        let thread = std::thread::Builder::new().name("family-lanes".into()).spawn(move || follow(key, &theirs, &publish));
        if thread.is_ok() {
            self.wanted = Some((key, stop));
        }
    }
}

fn follow(key: ProcKey, stop: &AtomicBool, publish: &watch::Sender<Traced>) {
    let Ok(reader) = DetailReader::open("/proc") else { return };
    let mut tracer = Tracer::default();
    let (began, cpu) = (Instant::now(), thread_cpu_ns());
    let mut shown_at = began;
    while !stop.load(Ordering::Relaxed) {
        let lasts = reader.identify(key).is_ok();
        let pause = tracer.step(&reader, &mut |reader| if lasts { descendants(reader, key.pid) } else { Vec::new() });
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
