//! When a GIL was held and by which thread, as sampled.

use std::collections::HashMap;

use super::Lane;

/// What a thread waits for that sleeps in its interpreter's GIL.
pub const WAIT: &str = "waits for the GIL";

/// A stretch in which the same thread was seen to hold a GIL, and as many threads to wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// From the look that saw it, `CLOCK_BOOTTIME` nanoseconds.
    pub from_ns: u64,
    /// Until the look that saw something else.
    pub to_ns: u64,
    /// The TID of the holder; `None` while the GIL was free.
    pub holder: Option<i32>,
    /// Threads that waited for it.
    pub waiters: u32,
}

/// The time of one GIL. Interpreters may have one each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GilLane {
    /// Its process.
    pub pid: i32,
    /// Its address, which identifies it among the GILs of a process.
    pub address: u64,
    /// In order; with gaps where it was not read.
    pub slices: Vec<Held>,
}

/// The time of a GIL in all.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct GilSums {
    /// Time in which it was looked at, nanoseconds.
    pub seen_ns: u64,
    /// Of that held by any thread.
    pub held_ns: u64,
    /// Threads that waited for it, on average.
    pub waiters: f64,
    /// The TID of the thread that held it for the longest, and for how long.
    pub main_holder: Option<(i32, u64)>,
}

impl GilLane {
    /// Adds what was seen at a look, which counts until the next one.
    pub(super) fn add(&mut self, held: Held) {
        if held.from_ns >= held.to_ns {
            return;
        }
        match self.slices.last_mut() {
            Some(last) if last.to_ns == held.from_ns && (last.holder, last.waiters) == (held.holder, held.waiters) => {
                last.to_ns = held.to_ns;
            }
            _ => self.slices.push(held),
        }
    }

    /// Forgets what ended before `from_ns`.
    pub(super) fn forget(&mut self, from_ns: u64) {
        let gone = self.slices.partition_point(|slice| slice.to_ns < from_ns);
        self.slices.drain(..gone);
    }

    /// What was so at an instant.
    #[must_use]
    pub fn at(&self, ns: u64) -> Option<&Held> {
        let next = self.slices.partition_point(|slice| slice.from_ns <= ns);
        self.slices.get(next.checked_sub(1)?).filter(|slice| ns < slice.to_ns)
    }

    /// The stretches in which it was held, and by which thread.
    pub fn held_by<'l>(&'l self, lanes: &'l [Lane]) -> impl Iterator<Item = (&'l Held, String)> {
        let own = lanes.iter().filter(|lane| lane.pid == self.pid);
        let names: HashMap<i32, &str> = own.map(|lane| (lane.tid, &*lane.name)).collect();
        self.slices.iter().filter_map(move |held| {
            let tid = held.holder?;
            Some((held, names.get(&tid).map_or_else(|| tid.to_string(), |name| format!("{tid} {name}"))))
        })
    }

    /// Its sums.
    #[must_use]
    pub fn sums(&self) -> GilSums {
        let mut sums = GilSums::default();
        let mut holders = std::collections::BTreeMap::<i32, u64>::new();
        let mut waited = 0.0;
        for slice in &self.slices {
            let length = slice.to_ns - slice.from_ns;
            sums.seen_ns += length;
            waited += length as f64 * f64::from(slice.waiters);
            if let Some(holder) = slice.holder {
                sums.held_ns += length;
                *holders.entry(holder).or_default() += length;
            }
        }
        sums.waiters = waited / sums.seen_ns.max(1) as f64;
        sums.main_holder = holders.into_iter().max_by_key(|(tid, ns)| (*ns, std::cmp::Reverse(*tid)));
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_look_saw_counts_until_the_next_and_equal_looks_are_joined() {
        let mut gil = GilLane { pid: 7, address: 64, slices: Vec::new() };
        for (from_ns, to_ns, holder, waiters) in
            [(0, 10, Some(8), 1), (10, 20, Some(8), 1), (20, 30, Some(9), 1), (30, 40, None, 0), (60, 60, Some(8), 1)]
        {
            gil.add(Held { from_ns, to_ns, holder, waiters });
        }
        assert_eq!(gil.slices.len(), 3);
        assert_eq!((gil.at(19).and_then(|held| held.holder), gil.at(25).and_then(|held| held.holder)), (Some(8), Some(9)));
        assert_eq!((gil.at(35).map(|held| held.holder), gil.at(40)), (Some(None), None));
        let sums = GilSums { seen_ns: 40, held_ns: 30, waiters: 0.75, main_holder: Some((8, 20)) };
        assert_eq!(gil.sums(), sums);
    }
}
