//! Reads details of one process while its pane is open. One thread decides what is read when, so that keys never wait. Each reading has
//! its own thread, which is left behind if the process does not answer: the next reading does not wait for it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::inspect;
use crate::kernel::DetailReader;
use crate::kernel::error::ReadError;
use crate::kernel::readers::silent_since;
use crate::snapshot::{Detail, DetailPart, ProcKey};

type Order = (ProcKey, DetailPart);
type Wanted = Option<Order>;

/// The time until the next reading: one that takes long, as of a process with very many mappings, holds that process's memory map
/// locked, and is done the more rarely.
fn pause_after(interval: Duration, took: Duration) -> Duration {
    interval.max(took.saturating_mul(20)).min(MOST_PAUSE.max(interval))
}

/// The longest time until the next reading, unless the interval is longer.
const MOST_PAUSE: Duration = Duration::from_secs(60);
/// After this time without an answer the page says so.
const PATIENCE: Duration = Duration::from_secs(1);
/// The longest that a reading for a closed page delays the next one.
const HAND_OVER: Duration = Duration::from_millis(250);
/// The most readings that are left behind at a time.
const MOST_LEFT: usize = 16;

/// Reads what the kernel reports of a process, or what is inside of it.
fn read((key, part): Order) -> Detail {
    let read = || -> Result<Detail, ReadError> {
        let reader = DetailReader::open("/proc")?;
        match part {
            DetailPart::Runtime => inspect::read_whole(&reader, key),
            part => reader.read(key, part),
        }
    };
    read().unwrap_or_else(|error| DetailReader::failed(key, part, &error))
}

/// Whether reading it takes the lock on the process's memory map.
fn takes_map_lock(part: DetailPart) -> bool {
    use DetailPart::{CopyOnWrite, Environment, Memory, Runtime};
    matches!(part, Memory { .. } | Environment | Runtime | CopyOnWrite)
}

/// Messages to the deciding thread.
enum Heard {
    Wanted(Wanted),
    Read(u64, Detail),
    End,
}

/// A reading under way.
#[derive(Debug, Clone, Copy)]
struct Reading {
    id: u64,
    order: Order,
    since: Instant,
}

struct Desk<R> {
    back: Sender<Heard>,
    publish: watch::Sender<Option<Detail>>,
    interval: Duration,
    read: R,
    wanted: Wanted,
    /// When the next step is taken: a reading begins, or the page says that there is no answer.
    due: Instant,
    current: Option<Reading>,
    left: Vec<Reading>,
    ids: u64,
}

impl<R: Fn(Order) -> Detail + Clone + Send + 'static> Desk<R> {
    fn serve(mut self, inbox: &Receiver<Heard>) {
        loop {
            let heard = match self.wanted {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(_) => inbox.recv_timeout(self.due.saturating_duration_since(Instant::now())),
            };
            match heard {
                Ok(Heard::Wanted(wanted)) => (self.wanted, self.due) = (wanted, Instant::now()),
                Ok(Heard::Read(id, detail)) => self.take(id, detail),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Heard::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
            if let Some(order) = self.wanted
                && Instant::now() >= self.due
            {
                self.go_on(order);
            }
        }
    }

    fn take(&mut self, id: u64, detail: Detail) {
        self.left.retain(|left| left.id != id);
        if self.current.is_some_and(|current| current.id == id) {
            self.current = None;
        }
        if self.wanted == Some((detail.key, detail.part)) {
            self.due = Instant::now() + pause_after(self.interval, Duration::from_nanos(detail.took_ns));
            let _ = self.publish.send(Some(detail));
        }
    }

    fn go_on(&mut self, order: Order) {
        let now = Instant::now();
        if let Some(current) = self.current {
            let limit = if current.order == order { PATIENCE } else { HAND_OVER };
            if now < current.since + limit {
                self.due = current.since + limit;
                return;
            }
            self.current = None;
            self.left.push(current);
        }
        self.due = now + self.interval.max(PATIENCE);
        let silent = silent_since(order.0).filter(|_| takes_map_lock(order.1));
        match self.left.iter().find(|left| left.order == order).map(|left| left.since).or(silent) {
            Some(since) => self.say(order, &unanswered(since.elapsed())),
            None if self.left.len() >= MOST_LEFT => self.say(order, "not read: too many readings have not been answered"),
            None => self.start(order),
        }
    }

    fn start(&mut self, order: Order) {
        self.ids += 1;
        let (id, back, read) = (self.ids, self.back.clone(), self.read.clone());
        let thread = std::thread::Builder::new().name("detail-read".into()).spawn(move || {
            // The receiver is gone if the program is ending.
            let _ = back.send(Heard::Read(id, read(order)));
        });
        match thread {
            Ok(_) => {
                self.current = Some(Reading { id, order, since: Instant::now() });
                self.due = Instant::now() + PATIENCE;
            }
            Err(error) => self.say(order, &format!("no thread could be started to read it: {error}")),
        }
    }

    fn say(&self, (key, part): Order, why: &str) {
        let _ = self.publish.send(Some(DetailReader::unanswered(key, part, why)));
    }
}

fn unanswered(since: Duration) -> String {
    format!("no answer for {} s: the process's memory map may be locked; this is read once it is free", since.as_secs())
}

/// The running thread; ends when dropped.
#[derive(Debug)]
pub struct Inspector {
    orders: Sender<Heard>,
    wanted: Wanted,
    details: watch::Receiver<Option<Detail>>,
}

impl std::fmt::Debug for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Heard")
    }
}

impl Inspector {
    /// Starts asleep; after an order, reads at once and then every `interval`.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(interval: Duration) -> std::io::Result<Self> {
        Self::with(interval, read)
    }

    fn with(interval: Duration, read: impl Fn(Order) -> Detail + Clone + Send + 'static) -> std::io::Result<Self> {
        let (orders, inbox) = channel();
        let (publish, details) = watch::channel(None);
        let back = orders.clone();
        std::thread::Builder::new().name("detail".into()).spawn(move || {
            let due = Instant::now();
            Desk { back, publish, interval, read, wanted: None, due, current: None, left: Vec::new(), ids: 0 }.serve(&inbox);
        })?;
        Ok(Self { orders, wanted: None, details })
    }

    /// Sets what is looked at; `None`: nothing.
    pub fn want(&mut self, wanted: Wanted) {
        if self.wanted != wanted {
            self.wanted = wanted;
            // Without its thread there is nothing to tell, and the pane goes on saying that it reads.
            let _ = self.orders.send(Heard::Wanted(wanted));
        }
    }

    /// The newest reading; an unread one is replaced.
    #[must_use]
    pub fn details(&self) -> watch::Receiver<Option<Detail>> {
        self.details.clone()
    }
}

impl Drop for Inspector {
    fn drop(&mut self) {
        let _ = self.orders.send(Heard::End);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Condvar, Mutex};

    use super::*;
    use crate::snapshot::DetailContent;

    fn next(inspector: &Inspector, accept: impl Fn(&Detail) -> bool) -> Detail {
        let mut details = inspector.details();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let found = runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(20), details.wait_for(|d| d.as_ref().is_some_and(&accept))).await
        });
        found.unwrap().unwrap().clone().unwrap()
    }

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
        let key = ProcKey { pid: i32::MAX, start_ticks: 1 };
        inspector.want(Some((key, DetailPart::Limits)));
        let detail = next(&inspector, |_| true);
        assert!(detail.gone && detail.content.unwrap_err().contains("ended before"));
    }

    #[test]
    fn a_page_that_is_not_answered_holds_up_no_other_and_comes_when_it_is() {
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let theirs = Arc::clone(&gate);
        let read = move |(key, part): Order| {
            if part == DetailPart::Environment {
                let mut open = theirs.0.lock().unwrap();
                while !*open {
                    open = theirs.1.wait(open).unwrap();
                }
            }
            Detail::new(key, part, 1, Ok(DetailContent::Nothing))
        };
        let mut inspector = Inspector::with(Duration::from_millis(50), read).unwrap();
        let key = ProcKey { pid: 1, start_ticks: u64::MAX };
        inspector.want(Some((key, DetailPart::Environment)));
        let silent = next(&inspector, |detail| detail.content.is_err());
        assert!(silent.content.unwrap_err().starts_with("no answer for 1 s"));
        assert!(!silent.gone, "an earlier reading stays");
        inspector.want(Some((key, DetailPart::Limits)));
        assert!(next(&inspector, |detail| detail.part == DetailPart::Limits).content.is_ok());
        inspector.want(Some((key, DetailPart::Environment)));
        assert!(next(&inspector, |detail| detail.part == DetailPart::Environment).content.is_err(), "at once");
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        next(&inspector, |detail| detail.part == DetailPart::Environment && detail.content.is_ok());
    }
}
