//! Recent CPU use, memory and switches of every process: graphs begin before the details of a process are opened.
//!
//! Cost: [`POINT_BYTES`] for each process and sample, [`KEPT`] samples, and an entry of 32 bytes per process: 752 bytes per process.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::derive::Model;
use crate::snapshot::ProcKey;

/// The most samples kept.
pub const KEPT: usize = 120;
/// The most processes that are remembered; more have no graph.
const MOST: u32 = 16_384;
/// Bytes of one process's part of one sample.
pub const POINT_BYTES: usize = std::mem::size_of::<Packed>();
/// Vectors keep this many points of spare room.
const SPARE: usize = 1_024;

/// One moment of one process; what was not known is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Point {
    /// Percent of one CPU.
    pub cpu: Option<f32>,
    /// Resident bytes.
    pub rss: Option<f32>,
    /// Voluntary and involuntary switches per second.
    pub switches: Option<f32>,
}

impl Point {
    /// Of a process of the model, by its index.
    fn now(model: &Model, index: usize) -> Self {
        let rates = model.process_rates.get(index).copied().unwrap_or_default();
        let switches = rates.voluntary_per_s.zip(rates.involuntary_per_s).map(|(a, b)| a + b);
        let rss = model.now.processes.get(index).and_then(|process| process.rss_bytes).map(|bytes| bytes as f32);
        Self { cpu: rates.cpu_percent, rss, switches }
    }
}

/// The upper half of an `f32`: exact to 0.4 %, enough for a graph. Not a number: unknown.
#[derive(Debug, Clone, Copy)]
struct Half(u16);

impl Half {
    fn of(value: Option<f32>) -> Self {
        Self((value.unwrap_or(f32::NAN).to_bits() >> 16) as u16)
    }

    fn get(self) -> Option<f32> {
        Some(f32::from_bits(u32::from(self.0) << 16)).filter(|value| !value.is_nan())
    }
}

#[derive(Debug, Clone, Copy)]
struct Packed([Half; 3]);

impl Packed {
    const UNKNOWN: Self = Self([Half(0x7fc0); 3]);
}

/// Where the points of a process are: the same place in every sample since `since`.
#[derive(Debug, Clone, Copy)]
struct Entry {
    key: ProcKey,
    slot: u32,
    since: u64,
}

/// The last samples of all processes.
#[derive(Debug, Default)]
pub struct Past {
    /// Oldest first; each has a point for every slot.
    samples: VecDeque<Vec<Packed>>,
    /// Samples taken so far.
    taken: u64,
    /// Ascending PID.
    entries: Vec<Entry>,
    /// Slots that are free, the lowest first; those from `slots` on have never been used.
    free: BinaryHeap<Reverse<u32>>,
    slots: u32,
}

impl Past {
    /// Adds a sample.
    pub fn add(&mut self, model: &Model) {
        self.meet(model);
        let mut points = match self.samples.len() {
            KEPT => self.samples.pop_front().unwrap_or_default(),
            _ => Vec::new(),
        };
        points.clear();
        let wanted = self.entries.iter().map(|entry| entry.slot as usize + 1).max().unwrap_or(0);
        points.reserve_exact(wanted);
        points.resize(wanted, Packed::UNKNOWN);
        let mut entries = self.entries.iter().peekable();
        for (index, process) in model.now.processes.iter().enumerate() {
            let Some(entry) = entries.next_if(|entry| entry.key == process.key) else { continue };
            let Point { cpu, rss, switches } = Point::now(model, index);
            points[entry.slot as usize] = Packed([cpu, rss, switches].map(Half::of));
        }
        self.samples.push_back(points);
        self.taken += 1;
        // Points behind those of the living are of a crowd that has ended.
        for points in self.samples.iter_mut().filter(|points| points.capacity() > 2 * wanted + SPARE) {
            points.truncate(wanted);
            points.shrink_to_fit();
        }
    }

    /// Gives new processes a slot, and takes those of ended ones back.
    fn meet(&mut self, model: &Model) {
        let living = |key: &ProcKey| model.index_of(key.pid).is_some_and(|i| model.now.processes[i].key == *key);
        let free = &mut self.free;
        self.entries.retain(|entry| {
            let stays = living(&entry.key);
            if !stays {
                free.push(Reverse(entry.slot));
            }
            stays
        });
        let mut known = self.entries.iter().copied().peekable();
        let mut next = Vec::with_capacity(model.now.processes.len());
        for process in &model.now.processes {
            if let Some(entry) = known.next_if(|entry| entry.key == process.key) {
                next.push(entry);
                continue;
            }
            let slot = match self.free.pop() {
                Some(Reverse(slot)) => slot,
                None if self.slots < MOST => {
                    self.slots += 1;
                    self.slots - 1
                }
                None => continue,
            };
            next.push(Entry { key: process.key, slot, since: self.taken });
        }
        self.entries = next;
    }

    /// The points of a process, oldest first; empty for one that has ended.
    #[must_use]
    pub fn of(&self, key: ProcKey) -> Vec<Point> {
        let Ok(at) = self.entries.binary_search_by_key(&key.pid, |entry| entry.key.pid) else { return Vec::new() };
        let entry = self.entries[at];
        if entry.key != key {
            return Vec::new();
        }
        let first = self.taken - self.samples.len() as u64;
        let skipped = usize::try_from(entry.since.saturating_sub(first)).unwrap_or(usize::MAX);
        let points = self.samples.iter().skip(skipped).filter_map(|sample| sample.get(entry.slot as usize));
        points.map(|Packed([cpu, rss, switches])| Point { cpu: cpu.get(), rss: rss.get(), switches: switches.get() }).collect()
    }

    /// The points of a process, the newest one as exact as the model has it.
    #[must_use]
    pub fn with_newest(&self, key: ProcKey, model: &Model) -> Vec<Point> {
        let mut points = self.of(key);
        let index = model.index_of(key.pid).filter(|index| model.now.processes[*index].key == key);
        if let (Some(newest), Some(index)) = (points.last_mut(), index) {
            *newest = Point::now(model, index);
        }
        points
    }

    /// Bytes that it occupies.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let points: usize = self.samples.iter().map(Vec::capacity).sum();
        points * POINT_BYTES
            + self.samples.capacity() * std::mem::size_of::<Vec<Packed>>()
            + self.entries.capacity() * std::mem::size_of::<Entry>()
            + self.free.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::{Deriver, test_process, test_snapshot};

    fn model(at: u64, pids: std::ops::Range<i32>, start: u64) -> Model {
        let processes =
            pids.map(|pid| crate::snapshot::ProcessSample { rss_bytes: Some(1000 * at), ..test_process(pid, 1, start) });
        Deriver::new(0).step(test_snapshot(at, processes.collect()))
    }

    #[test]
    fn five_thousand_processes_cost_less_than_800_bytes_each_and_it_ends_there() {
        let mut past = Past::default();
        let all = model(1, 1..5_001, 7);
        for _ in 0..KEPT {
            past.add(&all);
        }
        let full = past.bytes();
        assert!(full <= 5_000 * 800, "{full} bytes, {} each", full / 5_000);
        for _ in 0..KEPT {
            past.add(&all);
        }
        assert_eq!(past.bytes(), full, "no more with time");
        // All of them end and as many others begin, each time: slots are used again.
        for step in 0..2 * KEPT as u64 {
            past.add(&model(1, 1..201, 100 + step));
        }
        assert!(past.bytes() < full / 2, "{} bytes are given back", full - past.bytes());
        assert_eq!(past.slots, 5_000);
    }

    #[test]
    fn a_process_has_its_own_points_and_none_of_the_one_before_it() {
        let mut past = Past::default();
        past.add(&model(1, 5..8, 1));
        past.add(&model(2, 5..8, 1));
        let key = |pid, start_ticks| ProcKey { pid, start_ticks };
        let rss = |past: &Past, key| past.of(key).iter().map(|p| p.rss.map(|b| (b / 1000.0).round() as u32)).collect::<Vec<_>>();
        assert_eq!(rss(&past, key(6, 1)), [Some(1), Some(2)]);
        // The PID is used again.
        past.add(&model(3, 6..7, 9));
        assert_eq!(rss(&past, key(6, 9)), [Some(3)]);
        assert_eq!(rss(&past, key(6, 1)), []);
        assert_eq!(past.of(key(6, 9))[0].cpu, None, "not known is not zero");
    }

    #[test]
    fn more_processes_than_are_remembered_have_no_points() {
        let mut past = Past::default();
        let most = i32::try_from(MOST).unwrap();
        past.add(&model(1, 1..most + 10, 1));
        assert_eq!(past.of(ProcKey { pid: most + 5, start_ticks: 1 }), []);
        assert_eq!(past.of(ProcKey { pid: most, start_ticks: 1 }).len(), 1);
    }
}
