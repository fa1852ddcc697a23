//! Recent CPU use, memory and switches of every process: graphs begin before the details of a process are opened.
//!
//! Only changes are kept: a process that rests costs one [`Entry`], one that changes in every sample [`STEP_BYTES`] more for each of the
//! [`KEPT`] samples.

use std::collections::VecDeque;

use crate::derive::Model;
use crate::snapshot::ProcKey;

/// The most samples kept.
pub const KEPT: usize = 120;
/// The most processes that are remembered; more have no graph.
const MOST: usize = 16_384;
/// Bytes of one change.
const STEP_BYTES: usize = std::mem::size_of::<Step>();

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
        let rates = model.process_rates.get(index).map(|rates| **rates).unwrap_or_default();
        let switches = rates.voluntary_per_s.zip(rates.involuntary_per_s).map(|(a, b)| a + b);
        let rss = model.now.processes.get(index).and_then(|process| process.rss_bytes).map(|bytes| bytes as f32);
        Self { cpu: rates.cpu_percent, rss, switches }
    }
}

/// The upper half of an `f32`: exact to 0.4 %, enough for a graph. Not a number: unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Half(u16);

impl Half {
    fn of(value: Option<f32>) -> Self {
        Self((value.unwrap_or(f32::NAN).to_bits() >> 16) as u16)
    }

    fn get(self) -> Option<f32> {
        Some(f32::from_bits(u32::from(self.0) << 16)).filter(|value| !value.is_nan())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packed([Half; 3]);

impl Packed {
    fn of(Point { cpu, rss, switches }: Point) -> Self {
        Self([cpu, rss, switches].map(Half::of))
    }

    fn get(self) -> Point {
        let [cpu, rss, switches] = self.0.map(Half::get);
        Point { cpu, rss, switches }
    }
}

/// A value that held until the next one. `from` is the number of its first sample, modulo 65,536: those that the window has left are
/// dropped long before the number comes again.
#[derive(Debug, Clone, Copy)]
struct Step {
    from: u16,
    value: Packed,
}

/// In a block of its own, which a process whose values do not change does not have.
#[derive(Debug, Default)]
struct Steps(VecDeque<Step>);

/// What is kept of a process.
#[derive(Debug)]
struct Entry {
    key: ProcKey,
    /// Number of its first sample.
    since: u32,
    /// Number of the first sample of `last`.
    last_from: u32,
    last: Packed,
    /// The values before `last`, oldest first.
    earlier: Option<Box<Steps>>,
}

impl Entry {
    fn add(&mut self, sample: u32, value: Packed) {
        if self.since == sample {
            (self.last_from, self.last) = (sample, value);
        } else if value != self.last {
            let before = Step { from: self.last_from as u16, value: self.last };
            self.earlier.get_or_insert_default().0.push_back(before);
            (self.last_from, self.last) = (sample, value);
        }
        self.forget(sample);
    }

    /// Drops what no kept sample shows any more.
    fn forget(&mut self, newest: u32) {
        let Some(Steps(earlier)) = self.earlier.as_deref_mut() else { return };
        // A value ends where the next one begins.
        let age_of_end = |earlier: &VecDeque<Step>| match earlier.get(1) {
            Some(next) => u32::from((newest as u16).wrapping_sub(next.from)),
            None => newest - self.last_from,
        };
        while !earlier.is_empty() && age_of_end(earlier) as usize + 1 >= KEPT {
            earlier.pop_front();
        }
        if earlier.is_empty() {
            self.earlier = None;
        }
    }

    /// The values of the samples from `first` to `newest`.
    fn points(&self, first: u32, newest: u32) -> Vec<Point> {
        let age = |from: u16| u32::from((newest as u16).wrapping_sub(from));
        let earlier = self.earlier.iter().flat_map(|earlier| earlier.0.iter());
        let mut steps = earlier
            .map(|step| (newest.saturating_sub(age(step.from)), step.value))
            .chain([(self.last_from, self.last)])
            .peekable();
        // The oldest holds from the first sample on, however long ago it began.
        let mut value = steps.next().map(|(_, value)| value);
        let mut points = Vec::new();
        for sample in first.max(self.since)..=newest {
            while let Some((_, next)) = steps.next_if(|(from, _)| *from <= sample) {
                value = Some(next);
            }
            points.extend(value.map(Packed::get));
        }
        points
    }
}

/// The last samples of all processes.
#[derive(Debug, Default)]
pub struct Past {
    /// Samples taken so far.
    taken: u32,
    /// Ascending PID.
    entries: Vec<Entry>,
}

impl Past {
    /// Adds a sample.
    pub fn add(&mut self, model: &Model) {
        self.meet(model);
        let mut entries = self.entries.iter_mut().peekable();
        for (index, process) in model.now.processes.iter().enumerate() {
            let Some(entry) = entries.next_if(|entry| entry.key == process.key) else { continue };
            entry.add(self.taken, Packed::of(Point::now(model, index)));
        }
        self.taken += 1;
    }

    /// Drops ended processes, and takes new ones in as far as there is room.
    fn meet(&mut self, model: &Model) {
        let processes = &model.now.processes;
        if self.entries.len() == processes.len() && self.entries.iter().zip(processes).all(|(entry, p)| entry.key == p.key) {
            return;
        }
        let living = |key: &ProcKey| model.index_of(key.pid).is_some_and(|i| processes[i].key == *key);
        self.entries.retain(|entry| living(&entry.key));
        let mut room = MOST.saturating_sub(self.entries.len());
        let mut known = std::mem::take(&mut self.entries).into_iter().peekable();
        let mut next = Vec::with_capacity(processes.len().min(MOST));
        for process in processes {
            if let Some(entry) = known.next_if(|entry| entry.key == process.key) {
                next.push(entry);
            } else if room > 0 {
                room -= 1;
                let last = Packed::of(Point::default());
                next.push(Entry { key: process.key, since: self.taken, last_from: self.taken, last, earlier: None });
            }
        }
        self.entries = next;
    }

    /// The points of a process, oldest first; empty for one that has ended.
    #[must_use]
    pub fn of(&self, key: ProcKey) -> Vec<Point> {
        let at = self.entries.binary_search_by_key(&key.pid, |entry| entry.key.pid);
        let entry = at.ok().map(|at| &self.entries[at]).filter(|entry| entry.key == key);
        let newest = self.taken.saturating_sub(1);
        entry.map(|entry| entry.points((newest + 1).saturating_sub(KEPT as u32), newest)).unwrap_or_default()
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
        let steps = self.entries.iter().filter_map(|entry| entry.earlier.as_deref());
        let steps: usize = steps.map(|steps| std::mem::size_of_val(steps) + steps.0.capacity() * STEP_BYTES).sum();
        steps + self.entries.capacity() * std::mem::size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::{Deriver, test_changed, test_process, test_snapshot};

    fn model(at: u64, pids: std::ops::Range<i32>, start: u64) -> Model {
        let processes = pids.map(|pid| test_changed(test_process(pid, 1, start), |process| process.rss_bytes = Some(1000 * at)));
        Deriver::new(0).step(test_snapshot(at, processes.collect()))
    }

    #[test]
    fn memory_follows_what_changes_and_it_ends_there() {
        let mut past = Past::default();
        let resting = model(1, 1..5_001, 7);
        for _ in 0..2 * KEPT {
            past.add(&resting);
        }
        assert!(past.bytes() <= 5_000 * 48, "{} bytes of each that rests", past.bytes() / 5_000);
        // Their memory changes in every sample.
        for step in 0..2 * KEPT as u64 {
            past.add(&model(step % 50 + 1, 1..5_001, 7));
        }
        let full = past.bytes();
        assert!(full <= 5_000 * 1_200, "{} bytes of each that changes", full / 5_000);
        for step in 0..KEPT as u64 {
            past.add(&model(step % 50 + 1, 1..5_001, 7));
        }
        assert_eq!(past.bytes(), full, "no more with time");
        // They rest again.
        for _ in 0..KEPT {
            past.add(&resting);
        }
        assert!(past.bytes() <= 5_000 * 48, "{} bytes of each that rests again", past.bytes() / 5_000);
        // All of them end and others begin.
        past.add(&model(1, 1..201, 100));
        assert!(past.bytes() <= 200 * 48, "{} bytes", past.bytes());
    }

    #[test]
    fn a_value_that_held_for_long_ends_where_it_did() {
        let mut past = Past::default();
        let key = ProcKey { pid: 5, start_ticks: 1 };
        let rss = |past: &Past| -> Vec<u64> {
            past.of(key).iter().filter_map(|p| p.rss).map(|bytes| (bytes / 1000.0).round() as u64).collect()
        };
        let mut added = Vec::new();
        let mut add = |past: &mut Past, value: u64| {
            past.add(&model(value, 5..6, 1));
            added.push(value);
            assert_eq!(rss(past), added[added.len().saturating_sub(KEPT)..]);
        };
        for sample in 0..300 {
            add(&mut past, 1 + sample / 7 % 90);
        }
        for _ in 0..KEPT {
            add(&mut past, 91);
        }
        // So many samples later the numbers of the samples start at 0 again.
        past.taken += 65_536 - KEPT as u32 - 1;
        for sample in 0..300 {
            add(&mut past, 92 + sample / 50);
        }
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
