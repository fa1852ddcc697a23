//! The thread that reads details of one process while its pane is open; keys never wait for it.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::sync::watch;

use crate::inspect;
use crate::kernel::DetailReader;
use crate::kernel::error::ReadError;
use crate::snapshot::{Detail, DetailPart, ProcKey};

type Wanted = Option<(ProcKey, DetailPart)>;

/// The time until the next reading: one that takes long, as of a process with very many mappings, holds that process's memory map
/// locked, and is done the more rarely.
fn pause_after(interval: Duration, took: Duration) -> Duration {
    interval.max(took.saturating_mul(20)).min(MOST_PAUSE.max(interval))
}

/// What is looked at is never left to be older than this.
const MOST_PAUSE: Duration = Duration::from_secs(60);

/// Reads what the kernel tells of a process, or what is inside of it.
fn read(reader: &DetailReader, key: ProcKey, part: DetailPart) -> Result<Detail, ReadError> {
    match part {
        DetailPart::Runtime => inspect::read(reader, key),
        part => reader.read(key, part),
    }
}

/// The running thread; ends when dropped.
#[derive(Debug)]
pub struct Inspector {
    orders: Sender<Wanted>,
    wanted: Wanted,
    details: watch::Receiver<Option<Detail>>,
}

impl Inspector {
    /// Starts asleep; once told, reads at once and then every `interval`.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(interval: Duration) -> std::io::Result<Self> {
        let (orders, inbox) = channel::<Wanted>();
        let (publish, details) = watch::channel(None);
        std::thread::Builder::new().name("detail".into()).spawn(move || {
            let reader = DetailReader::open("/proc");
            let mut pause = interval;
            let mut wanted: Wanted = None;
            loop {
                let order = match wanted {
                    None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                    Some(_) => inbox.recv_timeout(pause),
                };
                match order {
                    // Only the newest counts: the others' pages have been left again.
                    Ok(order) => wanted = inbox.try_iter().last().unwrap_or(order),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                let Some((key, part)) = wanted else { continue };
                let opened = reader.as_ref().map_err(|error| DetailReader::failed(key, part, error));
                let detail = match opened {
                    Ok(reader) => read(reader, key, part).unwrap_or_else(|error| DetailReader::failed(key, part, &error)),
                    Err(failed) => failed,
                };
                pause = pause_after(interval, Duration::from_nanos(detail.took_ns));
                if publish.send(Some(detail)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { orders, wanted: None, details })
    }

    /// Says what is looked at; `None`: nothing.
    pub fn want(&mut self, wanted: Wanted) {
        if self.wanted != wanted {
            self.wanted = wanted;
            // Without its thread there is nothing to tell, and the pane goes on saying that it reads.
            let _ = self.orders.send(wanted);
        }
    }

    /// The newest reading; an unread one is replaced.
    #[must_use]
    pub fn details(&self) -> watch::Receiver<Option<Detail>> {
        self.details.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_that_takes_long_is_done_more_rarely() {
        let second = Duration::from_secs(1);
        assert_eq!(pause_after(second, Duration::from_millis(3)), second);
        assert_eq!(pause_after(second, Duration::from_millis(500)), 10 * second);
        assert_eq!(pause_after(second, 30 * second), MOST_PAUSE);
        assert_eq!(pause_after(90 * second, 30 * second), 90 * second);
    }

    #[test]
    fn a_process_that_is_gone_is_told_and_not_waited_for() {
        let mut inspector = Inspector::start(Duration::from_secs(60)).unwrap();
        let mut details = inspector.details();
        let key = ProcKey { pid: i32::MAX, start_ticks: 1 };
        inspector.want(Some((key, DetailPart::Limits)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let told = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), details.changed()).await });
        assert!(matches!(told, Ok(Ok(()))), "{told:?}");
        let detail = details.borrow().clone().unwrap();
        assert!(detail.gone && detail.content.unwrap_err().contains("ended before"));
    }
}
