//! Births, execs and exits: from the kernel's process connector if it answers, else by comparing process lists.

mod polling;
mod stream;

use std::collections::HashSet;

pub use polling::Polling;
pub use stream::{Connection, EventStream, Pace};

use crate::snapshot::{EventKind, EventTier, LifecycleEvent, ProcessSample};

/// The best way that works, chosen when the kernel has answered.
#[derive(Debug)]
pub struct Lifecycle {
    stream: Option<EventStream>,
    listening: bool,
    why_polling: String,
    polling: Polling,
}

impl Lifecycle {
    /// Asks the kernel's process connector; until it answers, and if it never does, process lists are compared.
    #[must_use]
    pub fn start() -> Self {
        let why_polling = "the kernel's process connector has not answered yet".to_owned();
        Self { stream: Some(EventStream::start()), listening: false, why_polling, polling: Polling::default() }
    }

    /// Compares process lists, for the reason given.
    #[must_use]
    pub fn polling(why: &str) -> Self {
        Self { stream: None, listening: false, why_polling: why.to_owned(), polling: Polling::default() }
    }

    /// What happened since the previous call, oldest first; `processes` is the list just read, ascending by pid.
    pub fn collect(&mut self, processes: &[ProcessSample], at_ns: u64) -> Vec<LifecycleEvent> {
        let mut events = Vec::new();
        match self.stream.as_ref().map(EventStream::connection) {
            Some(Connection::Listening) => {
                if let Some(stream) = &self.stream {
                    stream.drain(&mut events);
                }
                if !self.listening {
                    self.listening = true;
                    self.complete_first(processes, at_ns, &mut events);
                }
            }
            Some(Connection::Silent(why)) => {
                self.why_polling = why;
                self.stream = None;
                self.listening = false;
                self.polling.compare(processes, at_ns, &mut events);
            }
            Some(Connection::Pending) | None => self.polling.compare(processes, at_ns, &mut events),
        }
        events
    }

    /// The first sweep after the connection: comparing finds what happened before it; of an event from both, the kernel's is kept.
    fn complete_first(&mut self, processes: &[ProcessSample], at_ns: u64, events: &mut Vec<LifecycleEvent>) {
        let mut compared = Vec::new();
        self.polling.compare(processes, at_ns, &mut compared);
        let told: HashSet<_> = events.iter().map(|event| subject(event.kind)).collect();
        compared.retain(|event| !told.contains(&subject(event.kind)));
        compared.append(events);
        // Comparing gives what it finds the time of the sweep, which is after the times of the kernel's own events.
        compared.sort_by_key(|event| event.at_ns);
        *events = compared;
        self.polling = Polling::default();
    }

    /// How events are learnt now.
    #[must_use]
    pub fn tier(&self) -> EventTier {
        if self.listening { EventTier::Connector } else { EventTier::Polling(self.why_polling.clone()) }
    }

    /// Events lost since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.stream.as_ref().map_or(0, EventStream::lost)
    }
}

/// Kind and task of an event, to recognise the same one reported twice.
fn subject(kind: EventKind) -> (u8, i32) {
    match kind {
        EventKind::Fork { child_tid, .. } => (0, child_tid),
        EventKind::Exec { tgid } => (1, tgid),
        EventKind::Comm { tid, .. } => (2, tid),
        EventKind::Exit { tid, .. } => (3, tid),
    }
}
