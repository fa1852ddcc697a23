//! Descriptors, threads and memory that only grow.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Check, Diagnosis, Level, Scene, Surveyed, Suspicion, name};
use crate::columns;
use crate::derive::Model;
use crate::snapshot::{Facts, Needs, ProcKey, ProcessFacts, ProcessSample, Snapshot, give_back_map};

pub(super) const DESCRIPTORS: Diagnosis = Diagnosis {
    id: "descriptors_grow",
    title: "Descriptors run out",
    level: Level::Warning,
    badge: "fds grow",
    description: "The number of open descriptors only grows, and will reach its limit.",
    needs: Needs::empty(),
    after_ns: 0,
    check: Check::Of(descriptors),
};

pub(super) const THREADS: Diagnosis = Diagnosis {
    id: "threads_rise",
    title: "More threads all the time",
    level: Level::Information,
    badge: "threads rise",
    description: "The number of threads has only grown while concmon looked. A pool that fills up does so too.",
    needs: Needs::empty(),
    after_ns: 0,
    check: Check::Of(|scene| threads(scene, false)),
};

pub(super) const MANY_THREADS: Diagnosis = Diagnosis {
    id: "threads_grow",
    title: "Threads only grow",
    level: Level::Warning,
    badge: "threads grow",
    description: "The number of threads has only grown: for a minute, by over 64, or by 10 a second.",
    needs: Needs::empty(),
    after_ns: 0,
    check: Check::Of(|scene| threads(scene, true)),
};

pub(super) const MEMORY: Diagnosis = Diagnosis {
    id: "memory_grows",
    title: "Memory only grows",
    level: Level::Information,
    badge: "mem grows",
    description: "Resident memory has only grown while concmon looked. A program that loads data does so too.",
    needs: Needs::empty(),
    after_ns: 0,
    check: Check::Of(memory),
};

/// The shortest time over which growth is judged, nanoseconds.
const LEAST_NS: u64 = 5_000_000_000;
/// A pool of threads that fills up hardly does so for so long (nanoseconds), by so many, or by so many a second.
const LONG_NS: u64 = 60_000_000_000;
const MANY: u64 = 64;
const FAST: f64 = 10.0;
/// Rises that are no single event.
const LEAST_RISES: u32 = 3;

/// One value since it last fell.
#[derive(Debug, Clone, Copy, Default)]
struct Series {
    first_ns: u64,
    first: u64,
    last_ns: u64,
    last: u64,
    rises: u32,
}

impl Series {
    fn add(&mut self, now_ns: u64, value: u64) {
        if self.first_ns == 0 || value < self.last {
            *self = Self { first_ns: now_ns, first: value, last_ns: now_ns, last: value, rises: 0 };
        } else if value > self.last {
            // What stood still for half a minute grows no more: this is a new beginning.
            if now_ns.saturating_sub(self.last_ns) > 6 * LEAST_NS {
                *self = Self { first_ns: self.last_ns, first: self.last, rises: 0, ..*self };
            }
            (self.last_ns, self.last, self.rises) = (now_ns, value, self.rises + 1);
        }
    }

    /// Growth a second, if it is one that goes on.
    fn slope(&self, now_ns: u64) -> Option<f64> {
        let for_ns = self.last_ns.saturating_sub(self.first_ns);
        let goes_on = now_ns.saturating_sub(self.last_ns) < for_ns.max(1) / 2 && self.rises >= LEAST_RISES;
        (for_ns >= LEAST_NS && goes_on).then(|| (self.last - self.first) as f64 * 1e9 / for_ns as f64)
    }
}

/// What grows, by process. Only processes whose memory or threads have changed, or whose descriptors were counted, are kept.
#[derive(Debug, Default)]
pub(super) struct Growth {
    of: HashMap<ProcKey, [Series; 3]>,
    previous: Option<Arc<Snapshot>>,
    /// When the descriptors were last counted.
    counted_ns: u64,
}

impl Growth {
    pub(super) fn add(&mut self, model: &Model, facts: Option<&Facts>, surveyed: &[Surveyed<'_>]) {
        if self.of.len() > model.now.processes.len() * 2 {
            self.of.retain(|key, _| model.process(key.pid).is_some_and(|p| p.key == *key));
            give_back_map(&mut self.of);
        }
        let previous = self.previous.replace(Arc::clone(&model.now));
        let mut older = previous.iter().flat_map(|snapshot| &snapshot.processes).peekable();
        for process in &model.now.processes {
            // Most have not changed, and stand where they stood: nothing of them is compared.
            if older.next_if(|old| process.rested_since(old)).is_some() || process.kernel_thread {
                continue;
            }
            while older.next_if(|old| old.key.pid < process.key.pid).is_some() {}
            let Some(old) = older.next_if(|old| old.key == process.key) else { continue };
            if old.rss_bytes != process.rss_bytes || old.nlwp != process.nlwp {
                self.changed(model, old, process);
            }
        }
        let Some(taken_ns) = facts.map(|facts| facts.taken_ns).filter(|taken_ns| *taken_ns != self.counted_ns) else { return };
        self.counted_ns = taken_ns;
        for (process, of) in surveyed.iter().filter(|(process, _)| !process.kernel_thread) {
            if let Some((open, _)) = of.descriptors {
                self.of.entry(process.key).or_default()[0].add(taken_ns, open);
            }
        }
    }

    fn changed(&mut self, model: &Model, old: &ProcessSample, new: &ProcessSample) {
        let now_ns = model.now.taken_ns;
        // Until now it had the value that it had when it was first seen.
        let since_ns = model.lifecycle.first_seen_ns(new.key).unwrap_or(now_ns);
        let [_, threads, memory] = self.of.entry(new.key).or_default();
        let values = [(threads, old.nlwp.map(u64::from), new.nlwp.map(u64::from)), (memory, old.rss_bytes, new.rss_bytes)];
        for (series, old, new) in values {
            if let Some(old) = old.filter(|_| series.first_ns == 0) {
                series.add(since_ns, old);
            }
            if let Some(new) = new {
                series.add(now_ns, new);
            }
        }
    }

    /// The processes of which this value rose several times.
    fn rising<'a>(&self, model: &'a Model, nth: usize) -> impl Iterator<Item = (&'a ProcessSample, Series)> {
        let rises = self.of.iter().map(move |(key, of)| (key, of[nth])).filter(|(_, series)| series.rises >= LEAST_RISES);
        rises.filter_map(|(key, series)| Some((model.process(key.pid).filter(|p| p.key == *key)?, series)))
    }
}

/// `full in 3 min`.
fn time_left(left: u64, slope: f64) -> (f64, String) {
    let seconds = left as f64 / slope.max(1e-9);
    let words = match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.0} h", s / 3600.0),
    };
    (seconds, words)
}

fn descriptors(scene: &Scene<'_>) -> Vec<Suspicion> {
    let now_ns = scene.facts.map_or(0, |facts| facts.taken_ns);
    let of = |(process, facts): (&ProcessSample, &ProcessFacts)| {
        let (open, limit) = facts.descriptors?;
        // Few processes have so many that their limit was read.
        let limit = limit?;
        let series = scene.growth.of.get(&process.key)?[0];
        let head = format!("{} ({}): {open} of {limit} descriptors open", name(process), process.key.pid);
        // At the limit nothing grows any more.
        let full = open.saturating_add(8) >= limit;
        let evidence = if full {
            format!("{head}: the limit is reached")
        } else {
            let slope = series.slope(now_ns)?;
            let (seconds, words) = time_left(limit - open, slope);
            if seconds > 86_400.0 || series.last - series.first < 16 {
                return None;
            }
            format!("{head}, {slope:+.1} a second: full in {words}")
        };
        let advice =
            format!("close what is no longer used (with ..., close()); press l on {} to see what they are", process.key.pid);
        Some(Suspicion { since_ns: (!full).then_some(series.first_ns), ..Suspicion::of(process.key, evidence, advice) })
    };
    scene.surveyed().filter_map(of).collect()
}

/// Those that have grown for so long, or by so much, that it is hardly a pool that fills up; or the others.
fn threads(scene: &Scene<'_>, hardly_a_pool: bool) -> Vec<Suspicion> {
    let now_ns = scene.model.now.taken_ns;
    let of = |(process, series): (&ProcessSample, Series)| {
        let slope = series.slope(now_ns).filter(|_| series.last - series.first >= 12)?;
        let lasts = series.last_ns.saturating_sub(series.first_ns) >= LONG_NS;
        if (lasts || series.last - series.first > MANY || slope >= FAST) != hardly_a_pool {
            return None;
        }
        let head = format!("{} ({}): {} threads, {slope:+.1} a second", name(process), process.key.pid, series.last);
        let (evidence, advice) = if hardly_a_pool {
            let limit = u64::from(scene.model.now.system.pid_max.unwrap_or(32_768));
            let (_, words) = time_left(limit.saturating_sub(series.last), slope);
            (
                format!("{head}; at this rate the machine is out of PIDs in {words}"),
                "end threads that have done their work, or use one pool for all",
            )
        } else {
            (head, "if this is not a growing pool: join threads that have done their work, and shut executors down")
        };
        Some(Suspicion { since_ns: Some(series.first_ns), ..Suspicion::of(process.key, evidence, advice.to_owned()) })
    };
    scene.growth.rising(scene.model, 1).filter_map(of).collect()
}

fn memory(scene: &Scene<'_>) -> Vec<Suspicion> {
    let now_ns = scene.model.now.taken_ns;
    let of = |(process, series): (&ProcessSample, Series)| {
        let slope = series.slope(now_ns).filter(|_| series.last - series.first >= 16 << 20)?;
        let group = scene.facts_of(process.key).and_then(|facts| scene.facts?.groups.get(facts.memory_group.as_deref()?));
        let in_group =
            group.and_then(|group| Some((group.memory_max?.saturating_sub(group.memory_now?), "memory.max of its group")));
        let (left, limit) =
            in_group.or_else(|| Some((scene.model.now.host.memory.as_ref()?.available()?, "the memory of the machine")))?;
        let evidence = format!(
            "{} ({}): {} resident, +{} a second: {limit} is full in {}",
            name(process),
            process.key.pid,
            columns::in_bytes(series.last),
            columns::in_bytes(slope as u64),
            time_left(left, slope).1
        );
        let advice = "if it loads nothing: find what is kept (tracemalloc, memray for Python; heaptrack)".to_owned();
        Some(Suspicion { since_ns: Some(series.first_ns), ..Suspicion::of(process.key, evidence, advice) })
    };
    scene.growth.rising(scene.model, 2).filter_map(of).collect()
}
