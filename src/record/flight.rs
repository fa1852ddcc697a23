//! The last minutes of a live session, kept in memory in the format of a recording.
//!
//! Frames are kept in groups that begin with a frame that stands alone, so that the oldest group can be dropped. At most one sample a
//! second is kept; what happened between (births, execs, ends) goes with the next.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::frame::Encoder;
use super::{RecordError, Replay, Writer, layout};
use crate::kernel::error::ReadError;
use crate::kernel::source::{Request, Source};
use crate::snapshot::{LifecycleEvent, Snapshot, SystemInfo, give_back};

/// The most bytes that are kept: frames, and what the next frame is compared with.
pub const MOST_BYTES: usize = 16 << 20;
const MINUTE_NS: u64 = 60_000_000_000;
/// Samples that come sooner than this after one that was kept are left out, nanoseconds.
const LEAST_NS: u64 = 900_000_000;
/// A frame that stands alone comes after so many.
const KEY_EVERY: usize = 32;
/// The most events that wait for the next frame.
const MOST_EVENTS: usize = 16 * 1024;

/// The frames; clones are of the same ones.
#[derive(Debug, Clone)]
pub struct Flight(Arc<Mutex<Ring>>);

#[derive(Debug, Default)]
struct Ring {
    encoder: Encoder,
    raw: Vec<u8>,
    groups: VecDeque<Group>,
    system: Option<Arc<SystemInfo>>,
    events: Vec<LifecycleEvent>,
    last_ns: u64,
    /// How much time is kept; nothing is if it is 0.
    kept_ns: u64,
}

/// Frames from one that stands alone to the next.
#[derive(Debug)]
struct Group {
    from_ns: u64,
    frames: Vec<Box<[u8]>>,
    bytes: usize,
}

impl Flight {
    /// Keeps so many minutes, or nothing.
    #[must_use]
    pub fn new(minutes: u32) -> Self {
        Self(Arc::new(Mutex::new(Ring { kept_ns: u64::from(minutes) * MINUTE_NS, ..Ring::default() })))
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a sample.
    pub fn add(&self, snapshot: &Snapshot) {
        self.ring().add(snapshot);
    }

    /// How many bytes are kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ring().bytes()
    }

    /// How many samples are kept.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.ring().groups.iter().map(|group| group.frames.len()).sum()
    }

    /// A recording in memory of the samples that are kept now.
    ///
    /// # Errors
    /// One sentence, if nothing is kept yet or the system gives no memory.
    pub fn replay(&self) -> Result<Replay, RecordError> {
        let path = PathBuf::from("the last minutes");
        let io = |source| RecordError::Io { path: path.clone(), doing: "cannot be copied", source };
        let file = rustix::fs::memfd_create("concmon-last-minutes", rustix::fs::MemfdFlags::CLOEXEC);
        let mut file = File::from(file.map_err(|errno| io(errno.into()))?);
        file.write_all(&self.recording(&path)?).map_err(io)?;
        Replay::of(file, &path)
    }

    /// Writes what is kept now into a file, as `--record` would: for its owner alone, and never over what is no recording.
    ///
    /// # Errors
    /// One sentence, if nothing is kept yet or the file cannot be written; how many frames it has.
    pub fn save(&self, path: &Path) -> Result<usize, RecordError> {
        let bytes = self.recording(path)?;
        Writer::create(path)?.fill(&bytes)?;
        Ok(self.frames())
    }

    fn recording(&self, path: &Path) -> Result<Vec<u8>, RecordError> {
        let refused = |why: String| RecordError::Refused { path: path.to_owned(), why };
        let ring = self.ring();
        if ring.kept_ns == 0 {
            return Err(refused("is not kept: last_minutes is 0 in the config file".to_owned()));
        }
        let Some(system) = ring.system.as_deref().filter(|_| !ring.groups.is_empty()) else {
            return Err(refused("has no sample yet: wait a second".to_owned()));
        };
        let mut out = layout::write_head(system).map_err(refused)?;
        ring.groups.iter().flat_map(|group| &group.frames).for_each(|frame| out.extend_from_slice(frame));
        Ok(out)
    }
}

impl Ring {
    fn bytes(&self) -> usize {
        self.groups.iter().map(|group| group.bytes).sum::<usize>() + self.encoder.bytes()
    }

    fn add(&mut self, snapshot: &Snapshot) {
        if self.kept_ns == 0 {
            return;
        }
        let room = MOST_EVENTS.saturating_sub(self.events.len());
        self.events.extend(snapshot.events.iter().take(room).cloned());
        let since = snapshot.taken_ns.saturating_sub(self.last_ns);
        if !self.groups.is_empty() && since < LEAST_NS && snapshot.taken_ns >= self.last_ns {
            return;
        }
        // A frame is found by its time: after a step of the clock back all are dropped.
        if snapshot.taken_ns < self.last_ns {
            self.groups.clear();
        }
        // A large group is ended early, or dropping it would drop most of the time.
        let full = |group: &Group| group.frames.len() >= KEY_EVERY || group.bytes > MOST_BYTES / 8;
        let key = self.groups.back().is_none_or(full);
        if key {
            self.encoder.forget();
        }
        self.raw.clear();
        let events = std::mem::take(&mut self.events);
        let encoded = self.encoder.encode_with(snapshot, events, &mut self.raw);
        let frame = encoded.and_then(|()| layout::write_frame(&self.raw, key, snapshot.taken_ns));
        give_back(&mut self.raw, 0);
        let Ok(frame) = frame else {
            // Larger than a recording holds: all are dropped, and the next one is a key frame.
            self.encoder.forget();
            self.groups.clear();
            return;
        };
        if key {
            self.groups.push_back(Group { from_ns: snapshot.taken_ns, frames: Vec::with_capacity(KEY_EVERY), bytes: 0 });
        }
        if let Some(group) = self.groups.back_mut() {
            group.bytes += frame.len() + size_of::<Box<[u8]>>();
            group.frames.push(frame.into());
        }
        (self.system, self.last_ns) = (Some(Arc::clone(&snapshot.system)), snapshot.taken_ns);
        self.drop_old();
    }

    fn drop_old(&mut self) {
        let from_ns = self.last_ns.saturating_sub(self.kept_ns);
        // The oldest group goes once the next one has all that is to be kept.
        while self.groups.get(1).is_some_and(|next| next.from_ns <= from_ns) {
            self.groups.pop_front();
        }
        while self.bytes() > MOST_BYTES && self.groups.pop_front().is_some() {}
        if self.groups.is_empty() {
            self.encoder.forget();
        }
    }
}

/// A source whose samples are kept.
#[derive(Debug)]
pub struct FlightRecorder<S> {
    source: S,
    flight: Flight,
}

impl<S: Source> FlightRecorder<S> {
    /// Keeps what `source` reads.
    pub fn new(source: S, flight: Flight) -> Self {
        Self { source, flight }
    }
}

impl<S: Source> Source for FlightRecorder<S> {
    fn sample(&mut self, request: &Request<'_>) -> Result<Snapshot, ReadError> {
        let snapshot = self.source.sample(request)?;
        self.flight.add(&snapshot);
        Ok(snapshot)
    }
}
