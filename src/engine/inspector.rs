//! The thread that reads details of one process while its pane is open: keys never wait for it, and it sleeps while none is.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::sync::watch;

use crate::kernel::DetailReader;
use crate::snapshot::{Detail, DetailPart, ProcKey};

type Wanted = Option<(ProcKey, DetailPart)>;

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
            let Ok(reader) = DetailReader::open("/proc") else { return };
            let mut wanted: Wanted = None;
            loop {
                let order = match wanted {
                    None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                    Some(_) => inbox.recv_timeout(interval),
                };
                match order {
                    // Only the newest counts: the others' pages have been left again.
                    Ok(order) => wanted = inbox.try_iter().last().unwrap_or(order),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                let Some((key, part)) = wanted else { continue };
                // One that has vanished keeps its last reading; the samples tell how it ended.
                if let Ok(detail) = reader.read(key, part)
                    && publish.send(Some(detail)).is_err()
                {
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
