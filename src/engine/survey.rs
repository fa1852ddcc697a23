//! Surveys the machine for problems on a thread of its own: while something on screen asks for it, and now and then for deadlocks.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::sampler::Sampled;
use crate::clock::{Clock as _, SystemClock};
use crate::kernel::readers::let_helper_go;
use crate::kernel::{reason, trim_heap};
use crate::snapshot::{Facts, Scope, Snapshot};
use crate::why::Surveyor;

/// A survey that was not possible is tried again after this time.
const RETRY: Duration = Duration::from_secs(2);
/// A sample older than this is not used to find the processes that have rested, nanoseconds.
const RECENT_NS: u64 = 4_000_000_000;

/// What a survey found, or why there is none.
pub(super) type Surveyed = Option<Result<Arc<Facts>, String>>;

/// The thread.
pub(super) struct Surveys {
    orders: Sender<Option<Scope>>,
    wanted: Option<Scope>,
    found: watch::Receiver<Surveyed>,
}

impl Surveys {
    /// Starts the thread, which waits. `models` are those of the monitor's sampler.
    pub(super) fn start(models: watch::Receiver<Option<Sampled>>) -> std::io::Result<Self> {
        let (give, orders) = channel();
        let (publish, found) = watch::channel(None);
        std::thread::Builder::new().name("survey".into()).spawn(move || {
            let mut surveyor = None;
            let mut wanted = None;
            let mut due = Instant::now();
            loop {
                let order = match wanted {
                    None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                    Some(_) => orders.recv_timeout(due.saturating_duration_since(Instant::now())),
                };
                match order {
                    Ok(order) => {
                        wanted = order;
                        due = Instant::now();
                        // What was kept would be of another time.
                        surveyor = None;
                        if wanted.is_none() {
                            let_helper_go();
                            trim_heap();
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {
                        let newest = models.borrow().as_ref().and_then(|sampled| Some(Arc::clone(&sampled.as_ref().ok()?.now)));
                        let found = survey(&mut surveyor, wanted.unwrap_or_default(), newest.filter(is_recent));
                        let pause = surveyor.as_ref().map_or(RETRY, Surveyor::pause);
                        due = Instant::now() + pause;
                        if publish.send(Some(found)).is_err() {
                            return;
                        }
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(Self { orders: give, wanted: None, found })
    }

    /// Surveys are wanted from now on, or no more.
    pub(super) fn want(&mut self, wanted: Option<Scope>) {
        if self.wanted != wanted {
            self.wanted = wanted;
            // Without the thread there is nothing to tell.
            let _ = self.orders.send(wanted);
        }
    }

    /// What is found.
    pub(super) fn found(&self) -> watch::Receiver<Surveyed> {
        self.found.clone()
    }
}

fn is_recent(sample: &Arc<Snapshot>) -> bool {
    SystemClock.boot_ns().saturating_sub(sample.taken_ns) < RECENT_NS
}

fn survey(surveyor: &mut Option<Surveyor>, scope: Scope, newest: Option<Arc<Snapshot>>) -> Result<Arc<Facts>, String> {
    if surveyor.is_none() {
        let new = if scope == Scope::Waits { Surveyor::of_waits() } else { Surveyor::new() };
        *surveyor = Some(new.map_err(|error| reason(&error))?);
    }
    let Some(surveyor) = surveyor else { return Err("no survey was made".to_owned()) };
    surveyor.tell(newest);
    surveyor.survey().map(|survey| Arc::new(survey.facts)).map_err(|error| reason(&error))
}
