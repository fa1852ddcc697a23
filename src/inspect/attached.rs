//! Looks at a process that may be a Python, become one by exec, or cease to be one.

use std::time::{Duration, Instant};

use super::probe::{Missed, Probe, ThreadStack};
use crate::kernel::DetailReader;
use crate::snapshot::ProcKey;

/// The pause before the next search for a runtime, at first and at most; each one is twice as long as the one before.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(8));
/// After so many failed looks in a row the runtime is searched for again: the process may be another program by now.
const MOST_FAILURES: u32 = 4;

/// The result of a look.
#[derive(Debug)]
pub enum Looked {
    /// The threads of its Python.
    Threads(Vec<ThreadStack>),
    /// It is a Python, but nothing was read this time.
    Failed,
    /// It is no Python, or its runtime is starting or ending.
    NotPython,
    /// It is a Python that cannot be read: why, in a sentence, once.
    Unreadable(String),
}

/// A process, and its runtime once that was found.
#[derive(Debug)]
pub struct Attached {
    key: ProcKey,
    probe: Option<Probe>,
    search_at: Instant,
    pause: Duration,
    failures: u32,
    reported: bool,
}

impl Attached {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(key: ProcKey) -> Self {
        Self { key, probe: None, search_at: Instant::now(), pause: PAUSE.0, failures: 0, reported: false }
    }

    /// The process.
    #[must_use]
    pub fn key(&self) -> ProcKey {
        self.key
    }

    /// Reads the frames of the threads that `wanted` chooses by their TIDs. Searches for the runtime first where it is not known.
    pub fn look(&mut self, reader: &DetailReader, mut wanted: impl FnMut(i32) -> bool) -> Looked {
        let is_first = self.probe.is_none();
        if is_first {
            if Instant::now() < self.search_at {
                return Looked::NotPython;
            }
            match Probe::attach(reader, self.key) {
                Ok(probe) => self.probe = Some(probe),
                Err(missed) => return self.missed(missed),
            }
        }
        let Some(probe) = &mut self.probe else { return Looked::NotPython };
        match probe.look(reader, |tid| is_first || wanted(tid)) {
            Ok(threads) => {
                self.failures = 0;
                Looked::Threads(threads)
            }
            Err(_) => {
                self.failures += 1;
                if self.failures >= MOST_FAILURES {
                    *self = Self { reported: self.reported, ..Self::new(self.key) };
                }
                Looked::Failed
            }
        }
    }

    fn missed(&mut self, missed: Missed) -> Looked {
        self.search_at = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(PAUSE.1);
        match missed {
            Missed::Unreadable(why) if !std::mem::replace(&mut self.reported, true) => Looked::Unreadable(why),
            Missed::NotPython | Missed::NotNow | Missed::Unreadable(_) => Looked::NotPython,
        }
    }
}
