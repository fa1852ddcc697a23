//! Surveys the machine for problems on a thread of its own, only while the Problems screen is open.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::sampler::Sampled;
use crate::clock::{Clock as _, SystemClock};
use crate::kernel::reason;
use crate::snapshot::{Facts, Snapshot};
use crate::why::Surveyor;

/// A survey that was not possible is tried again after this time.
const RETRY: Duration = Duration::from_secs(2);
/// A sample older than this does not tell a survey who has rested, nanoseconds.
const RECENT_NS: u64 = 4_000_000_000;

/// What a survey found, or why there is none.
pub(super) type Surveyed = Option<Result<Arc<Facts>, String>>;

/// The thread.
pub(super) struct Surveys {
    open: Sender<bool>,
    is_open: bool,
    found: watch::Receiver<Surveyed>,
}

impl Surveys {
    /// Starts the thread, which waits. `models` are those of the monitor's sampler.
    pub(super) fn start(models: watch::Receiver<Option<Sampled>>) -> std::io::Result<Self> {
        let (open, orders) = channel();
        let (publish, found) = watch::channel(None);
        std::thread::Builder::new().name("survey".into()).spawn(move || {
            let mut surveyor = None;
            let mut is_open = false;
            let mut due = Instant::now();
            loop {
                let order = match is_open {
                    false => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                    true => orders.recv_timeout(due.saturating_duration_since(Instant::now())),
                };
                match order {
                    Ok(order) => {
                        is_open = order;
                        due = Instant::now();
                        // What was kept would be of another time.
                        surveyor = None;
                    }
                    Err(RecvTimeoutError::Timeout) => {
                        let newest = models.borrow().as_ref().and_then(|sampled| Some(Arc::clone(&sampled.as_ref().ok()?.now)));
                        let found = survey(&mut surveyor, newest.filter(is_recent));
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
        Ok(Self { open, is_open: false, found })
    }

    /// Surveys are wanted from now on, or no more.
    pub(super) fn want(&mut self, open: bool) {
        if self.is_open != open {
            self.is_open = open;
            // Without the thread there is nothing to tell.
            let _ = self.open.send(open);
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

fn survey(surveyor: &mut Option<Surveyor>, newest: Option<Arc<Snapshot>>) -> Result<Arc<Facts>, String> {
    if surveyor.is_none() {
        *surveyor = Some(Surveyor::new().map_err(|error| reason(&error))?);
    }
    let Some(surveyor) = surveyor else { return Err("no survey was made".to_owned()) };
    surveyor.tell(newest);
    surveyor.survey().map(|survey| Arc::new(survey.facts)).map_err(|error| reason(&error))
}
