//! The sampling thread: waits for its tick or a wake-up, samples, derives, publishes. A new model replaces an unread one.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::derive::{Deriver, Model};
use crate::kernel::source::{Request, Source};
use crate::kernel::trim_heap;
use crate::snapshot::{Facts, Needs, ProcKey};

/// What the screen wants of the next sweeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wants {
    /// Of every process.
    pub all: Needs,
    /// Of the visible rows.
    pub visible_needs: Needs,
    /// The visible rows.
    pub visible: Vec<ProcKey>,
    /// The selected family, whose sums are shown.
    pub family: Vec<ProcKey>,
    /// What the newest survey found: models carry it to the columns.
    pub facts: NewestFacts,
}

/// Two are equal if they are of the same survey.
#[derive(Debug, Clone, Default)]
pub struct NewestFacts(pub Option<Arc<Facts>>);

impl PartialEq for NewestFacts {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl Eq for NewestFacts {}

#[derive(Debug, Default)]
struct Orders {
    wants: Wants,
    interval: Duration,
    nudge: bool,
    stop: bool,
}

/// A published sample, or why there is none.
pub type Sampled = Result<Arc<Model>, String>;

/// The running thread; ends when dropped.
#[derive(Debug)]
pub struct Sampler {
    orders: Arc<(Mutex<Orders>, Condvar)>,
    /// Disconnected once the thread has ended.
    ended: Receiver<()>,
    models: watch::Receiver<Option<Sampled>>,
}

/// Time that expensive reads of visible rows may take in one sweep.
const BUDGET: Duration = Duration::from_millis(25);
/// The second sample comes sooner than the others: rates need two.
const SECOND: Duration = Duration::from_millis(250);
/// After so many sweeps lists and maps have the size that they keep: what growing took is looked for then.
const SETTLED: u32 = 20;
/// How long the thread may take to end: one that is stuck in a reading ends with the program.
const LAST_SWEEP: Duration = Duration::from_millis(120);

impl Sampler {
    /// Starts sweeping at once, then every `interval`.
    pub fn start<S: Source + 'static>(
        make: impl FnOnce() -> Result<S, String> + Send + 'static,
        interval: Duration,
        ghost_ns: u64,
        wants: Wants,
    ) -> std::io::Result<Self> {
        let (sender, models) = watch::channel(None);
        let orders = Arc::new((Mutex::new(Orders { wants, interval, ..Orders::default() }), Condvar::new()));
        let shared = Arc::clone(&orders);
        let (end, ended) = sync_channel(0);
        std::thread::Builder::new().name("sampler".into()).spawn(move || {
            let _end = end;
            match make() {
                Ok(source) => sweep_until_told(source, &shared, &sender, ghost_ns),
                Err(why) => {
                    let _ = sender.send(Some(Err(why)));
                }
            }
        })?;
        Ok(Self { orders, ended, models })
    }

    /// The samples; an unread one is replaced by the next.
    #[must_use]
    pub fn models(&self) -> watch::Receiver<Option<Sampled>> {
        self.models.clone()
    }

    /// Sweeps so often from the next sweep on.
    pub fn set_interval(&self, interval: Duration) {
        self.orders.0.lock().unwrap_or_else(PoisonError::into_inner).interval = interval;
    }

    /// Says what the screen wants; with `now`, the next sweep starts at once.
    pub fn want(&self, wants: Wants, now: bool) {
        let (lock, bell) = &*self.orders;
        let mut orders = lock.lock().unwrap_or_else(PoisonError::into_inner);
        orders.wants = wants;
        if now {
            orders.nudge = true;
            bell.notify_one();
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        let (lock, bell) = &*self.orders;
        lock.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        bell.notify_one();
        // A recording is closed by the thread.
        let _ = self.ended.recv_timeout(LAST_SWEEP);
    }
}

fn sweep_until_told(
    mut source: impl Source,
    orders: &(Mutex<Orders>, Condvar),
    sender: &watch::Sender<Option<Sampled>>,
    ghost_ns: u64,
) {
    let mut deriver = Deriver::new(ghost_ns);
    let mut late_ticks = 0;
    let mut due = Instant::now();
    let mut first = true;
    let mut crowd = Crowd::default();
    let mut sweeps = 0u32;
    while let Some((wants, interval, nudged)) = wait(orders, due) {
        let begun = Instant::now();
        if !nudged && !first && begun > due + interval / 2 {
            late_ticks += 1;
        }
        let request = Request {
            all: wants.all,
            visible_needs: wants.visible_needs,
            visible: &wants.visible,
            family: &wants.family,
            budget: BUDGET,
        };
        let sampled = match source.sample(&request) {
            Ok(snapshot) => {
                let mut model = deriver.step(snapshot);
                model.late_ticks = late_ticks;
                model.facts = wants.facts.0.clone();
                if crowd.has_left(&model) || sweeps == SETTLED {
                    trim_heap();
                }
                sweeps = sweeps.saturating_add(1);
                Ok(Arc::new(model))
            }
            Err(error) => Err(format!("cannot read the process table: {error}")),
        };
        if sender.send(Some(sampled)).is_err() {
            return;
        }
        // From when it was due, so that ticks do not drift; but never a burst to catch up.
        let step = if std::mem::take(&mut first) { SECOND.min(interval) } else { interval };
        due = if nudged { begun + step } else { (due + step).max(begun + step / 2) };
    }
}

/// Watches for the end of a crowd: what it took is then free, but in the heap's holes.
#[derive(Debug, Default)]
struct Crowd {
    most: usize,
    sweeps: u32,
}

impl Crowd {
    /// Fewer than these leave nothing worth looking for.
    const LEAST: usize = 1000;
    /// So many sweeps after its end free pages are looked for. By the first, the screen and the next rates have dropped their models; where
    /// the CPUs are busy that takes longer.
    const SWEEPS: [u32; 3] = [3, 12, 40];

    /// Whether there are less than half as many processes and threads as at the most, for so many sweeps now.
    fn has_left(&mut self, model: &Model) -> bool {
        // Threads that no view shows are counted too: the sources keep something of each.
        let threads = model.counts.tasks.and_then(|tasks| usize::try_from(tasks).ok()).unwrap_or(model.now.tasks.len());
        let now = model.now.processes.len() + threads + model.lifecycle.ghosts.len();
        if self.most < Self::LEAST || now * 2 > self.most {
            self.most = self.most.max(now);
            self.sweeps = 0;
            return false;
        }
        self.sweeps += 1;
        let look = Self::SWEEPS.contains(&self.sweeps);
        if Some(&self.sweeps) == Self::SWEEPS.last() {
            (self.most, self.sweeps) = (now, 0);
        }
        look
    }
}

/// Waits for the tick or a nudge; `None` at the end.
fn wait(orders: &(Mutex<Orders>, Condvar), due: Instant) -> Option<(Wants, Duration, bool)> {
    let (lock, bell) = orders;
    let mut guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if guard.stop {
            return None;
        }
        let left = due.saturating_duration_since(Instant::now());
        let nudged = std::mem::take(&mut guard.nudge);
        if nudged || left.is_zero() {
            return Some((guard.wants.clone(), guard.interval, nudged));
        }
        guard = bell.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::error::ReadError;
    use crate::snapshot::Snapshot;

    /// A reading that never returns.
    struct Stuck;

    impl Source for Stuck {
        fn sample(&mut self, _: &Request<'_>) -> Result<Snapshot, ReadError> {
            loop {
                std::thread::park();
            }
        }
    }

    #[test]
    fn the_end_does_not_wait_for_a_reading_that_never_returns() {
        let sampler = Sampler::start(|| Ok(Stuck), Duration::from_secs(1), 0, Wants::default()).unwrap();
        let begun = Instant::now();
        drop(sampler);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}
