//! One host: its bytes become frames, its frames a model; clocks, losses and attempts. Pure: the caller says what time it is.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::derive::{Deriver, HostPart, Link, LinkState, Model};
use crate::record::{Decoder, Parser, Part, unpack};
use crate::snapshot::{Snapshot, is_pid};

use super::destination::Destination;

const S: u64 = 1_000_000_000;
/// The most bytes of one frame unpacked: some 40,000 new processes.
const MOST_RAW_BYTES: u32 = 8 << 20;
/// Frames over which the shortest way is looked for.
const WAYS: usize = 32;
/// First and longest time between two attempts.
const FIRST_WAIT_NS: u64 = S;
const LONGEST_WAIT_NS: u64 = 60 * S;
/// Without a first frame after this long a connection is given up.
const PATIENCE_NS: u64 = 30 * S;

/// Why a stream cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no recording of this version; words that follow the stream's name.
    Stream(String),
    /// A frame is wrong.
    Frame(String),
}

/// The moment of an arrival on the viewer's clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub(super) boot_ns: u64,
    /// Since 1970, nanoseconds.
    pub(super) unix_ns: i128,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) destination: Destination,
    every_ns: u64,
    ghost_ns: u64,
    parser: Parser,
    decoder: Decoder,
    deriver: Deriver,
    model: Option<Arc<Model>>,
    link: Link,
    /// When the newest frame was taken, host's clock.
    taken_ns: Option<u64>,
    /// Arrival minus taking of the last frames, nanoseconds.
    ways: VecDeque<i128>,
    begun_ns: u64,
    wait_ns: u64,
    /// Bytes of this attempt.
    received: u64,
}

impl Host {
    pub(super) fn new(destination: Destination, every_ns: u64, ghost_ns: u64) -> Self {
        let link = Link {
            state: LinkState::Connecting,
            arrived_ns: None,
            offset_ns: 0,
            date_ahead_ns: None,
            frames: 0,
            lost: 0,
            late: 0,
            bytes: 0,
        };
        Self {
            destination,
            every_ns,
            ghost_ns,
            parser: Parser::limited(MOST_RAW_BYTES),
            decoder: Decoder::default(),
            deriver: Deriver::new(ghost_ns),
            model: None,
            link,
            taken_ns: None,
            ways: VecDeque::new(),
            begun_ns: 0,
            wait_ns: FIRST_WAIT_NS,
            received: 0,
        }
    }

    /// An attempt begins.
    pub(super) fn begin(&mut self, now_ns: u64) {
        self.parser = Parser::limited(MOST_RAW_BYTES);
        self.decoder = Decoder::default();
        (self.begun_ns, self.received) = (now_ns, 0);
        self.ways.clear();
        // The reason of the last failure stays on screen until a frame comes.
        if self.link.frames == 0 && !matches!(self.link.state, LinkState::Down { .. }) {
            self.link.state = LinkState::Connecting;
        }
    }

    /// Takes in bytes of the stream.
    ///
    /// # Errors
    /// Why nothing more of this stream can be used.
    pub(super) fn receive(&mut self, bytes: &[u8], now: Moment) -> Result<(), Refusal> {
        self.link.bytes += bytes.len() as u64;
        self.received += bytes.len() as u64;
        self.parser.push(bytes);
        while let Some(part) = self.parser.part().map_err(Refusal::Stream)? {
            let Part::Frame(head, content) = part else { continue };
            let snapshot = unpack(&head, &content).and_then(|raw| self.decoder.decode(&raw));
            let valid = snapshot.filter(sound);
            let snapshot = valid.ok_or_else(|| Refusal::Frame(format!("frame {} is damaged", self.link.frames + 1)))?;
            self.frame(snapshot, now);
        }
        Ok(())
    }

    fn frame(&mut self, snapshot: Snapshot, now: Moment) {
        let taken_ns = snapshot.taken_ns;
        match self.taken_ns.map(|last| taken_ns.checked_sub(last)) {
            // The machine was started again: nothing before is comparable.
            Some(None) => self.deriver = Deriver::new(self.ghost_ns),
            // The time without a stream is no loss: the state of the link shows it.
            Some(Some(gap)) if self.link.state == LinkState::Live || self.link.state == LinkState::Late => {
                self.link.lost += (gap + self.every_ns / 2).checked_div(self.every_ns).unwrap_or(1).saturating_sub(1);
            }
            _ => {}
        }
        self.taken_ns = Some(taken_ns);
        let way = i128::from(now.boot_ns) - i128::from(taken_ns);
        if self.ways.len() == WAYS {
            self.ways.pop_front();
        }
        self.ways.push_back(way);
        self.link.offset_ns = self.ways.iter().copied().min().unwrap_or(way);
        self.link.late += u64::from(way - self.link.offset_ns > i128::from(self.every_ns));
        let booted = snapshot.system.booted_unix_ns;
        self.link.date_ahead_ns = booted.map(|booted| i128::from(booted) + i128::from(taken_ns) - now.unix_ns);
        self.link.arrived_ns = Some(now.boot_ns);
        self.link.frames += 1;
        self.link.state = LinkState::Live;
        self.wait_ns = FIRST_WAIT_NS;
        let mut model = self.deriver.step(snapshot);
        model.name = Some(Arc::clone(&self.destination.name));
        self.model = Some(Arc::new(model));
    }

    /// Whether nothing has come for so long that the stream is given up.
    pub(super) fn is_stuck(&mut self, now_ns: u64) -> bool {
        let silent = |since: u64| now_ns.saturating_sub(since);
        match (&self.link.state, self.link.arrived_ns) {
            (LinkState::Live | LinkState::Late, Some(arrived)) => {
                let silent = silent(arrived.max(self.begun_ns));
                if silent > 2 * self.every_ns + S {
                    self.link.state = LinkState::Late;
                }
                silent > 4 * self.every_ns + 4 * S
            }
            _ => silent(self.begun_ns) > PATIENCE_NS + self.every_ns,
        }
    }

    /// Whether frames come.
    pub(super) fn is_live(&self) -> bool {
        self.link.state == LinkState::Live
    }

    /// Bytes of this attempt.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// An attempt has ended. Rows of a host without a stream are not shown: they would be old.
    pub(super) fn end(&mut self, why: String, now_ns: u64) {
        let since_ns = match &self.link.state {
            LinkState::Down { since_ns, .. } => *since_ns,
            _ => now_ns,
        };
        let again_ns = now_ns + self.wait_ns;
        self.wait_ns = (self.wait_ns * 2).min(LONGEST_WAIT_NS);
        self.link.state = LinkState::Down { why, since_ns, again_ns };
        self.model = None;
    }

    /// Whether the time of the next attempt has come.
    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        match self.link.state {
            LinkState::Down { again_ns, .. } => again_ns <= now_ns,
            _ => true,
        }
    }

    /// What is shown of it.
    pub(super) fn part(&self) -> HostPart {
        HostPart { name: Arc::clone(&self.destination.name), model: self.model.clone(), link: self.link.clone() }
    }
}

/// Whether ids are such as Linux gives: others would be taken for another host's.
fn sound(snapshot: &Snapshot) -> bool {
    let processes = snapshot.processes.iter().all(|p| is_pid(p.key.pid) && is_pid(p.leader.tid) && is_pid(p.leader.tgid));
    processes && snapshot.tasks.iter().all(|task| is_pid(task.tid))
}

#[cfg(test)]
mod tests;
