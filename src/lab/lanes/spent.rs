//! Where the time of a lane went.

use super::Lane;

/// The time of a task, and the units of work that it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// From the first look that found the task to the last; 0 for a worker without a task of its own, and where nothing was sampled.
    pub seen_ns: u64,
    /// On a CPU.
    pub ran_ns: u64,
    /// Ready, but without a CPU.
    pub waited_ns: u64,
    /// Units of work that have ended.
    pub units: usize,
    /// How long one of them took: the median, nanoseconds; `None` without one.
    pub unit_ns: Option<u64>,
}

impl Spent {
    /// Neither on a CPU nor ready: asleep, stopped, or ended and not reaped.
    #[must_use]
    pub fn asleep_ns(&self) -> u64 {
        self.seen_ns.saturating_sub(self.ran_ns.saturating_add(self.waited_ns))
    }
}

/// It, over the whole life of the lane's task as far as that was sampled.
#[must_use]
pub fn spent(lane: &Lane<'_>) -> Spent {
    let slices = lane.task.map_or(&[][..], |task| &task.slices);
    let mut units: Vec<u64> =
        lane.worker.iter().flat_map(|w| &w.spans).filter_map(|s| Some(s.end_ns?.saturating_sub(s.start_ns))).collect();
    units.sort_unstable();
    Spent {
        seen_ns: slices.iter().map(crate::lab::trace::Slice::length_ns).sum(),
        ran_ns: slices.iter().map(|slice| slice.run_ns).sum(),
        waited_ns: slices.iter().map(|slice| slice.wait_ns).sum(),
        units: units.len(),
        unit_ns: units.get(units.len() / 2).copied(),
    }
}
