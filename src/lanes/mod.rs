//! The timeline of any family of processes: when each task was on a CPU, waited for one, or was blocked, and by what.
//!
//! [`sampler`] reads the kernel's counters (`schedstat`), [`Lanes`] keeps what each task did between two looks, [`chrome`] and
//! [`perfetto`] write files. Sums are the kernel's own figures; where within the time between two looks a part lies is not known, and
//! taken to be in the order: waits for a CPU, runs, is blocked.

pub mod chrome;
pub mod perfetto;
pub mod sampler;

use std::collections::HashMap;
use std::sync::Arc;

/// What a task does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    /// It is on a CPU.
    Runs,
    /// It is ready, but waits for a CPU.
    WaitsForCpu,
    /// It waits for something else: what, if it was seen in that wait.
    Blocked(Option<Arc<str>>),
}

impl Doing {
    /// The name of a slice.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Runs => "runs",
            Self::WaitsForCpu => "waits for a CPU",
            Self::Blocked(Some(reason)) => reason,
            Self::Blocked(None) => "blocked",
        }
    }

    /// The kind of a slice.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Runs => "run",
            Self::WaitsForCpu => "ready",
            Self::Blocked(_) => "blocked",
        }
    }
}

/// A stretch of a task's time. It ends where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub from_ns: u64,
    /// Until then.
    pub to_ns: u64,
    /// What the task did.
    pub doing: Doing,
}

/// The time of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// Its process.
    pub pid: i32,
    /// Its own number.
    pub tid: i32,
    /// Its name.
    pub name: Arc<str>,
    /// Whether it began while it was traced.
    pub born: bool,
    /// Whether it ended while it was traced.
    pub ended: bool,
    /// In order, without gaps.
    pub slices: Vec<Slice>,
}

/// What a task did in all, nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// On a CPU.
    pub run_ns: u64,
    /// Waiting for one.
    pub ready_ns: u64,
    /// Anything else.
    pub blocked_ns: u64,
}

impl Lane {
    /// Adds what it did in `from_ns..to_ns`: so long on a CPU, so long waiting for one, the rest blocked.
    pub fn add(&mut self, (from_ns, to_ns): (u64, u64), run_ns: u64, ready_ns: u64, reason: Option<&Arc<str>>) {
        // The kernel counts a wait for a CPU when it ends, and time on a CPU at its next tick: what is more than fits was just before.
        let over = run_ns.saturating_add(ready_ns).saturating_sub(to_ns.saturating_sub(from_ns));
        let from_ns = from_ns - self.take_back(from_ns, over);
        let length = to_ns.saturating_sub(from_ns);
        // The counters and the clock are not read at the same instant: what still does not fit is cut.
        let run_ns = run_ns.min(length);
        let ready_ns = ready_ns.min(length - run_ns);
        let (ready_end, run_end) = (from_ns + ready_ns, from_ns + ready_ns + run_ns);
        self.push(from_ns, ready_end, Doing::WaitsForCpu);
        self.push(ready_end, run_end, Doing::Runs);
        self.push(run_end, to_ns, Doing::Blocked(reason.cloned()));
    }

    /// Takes back up to so much of the blocked time that ends there; how much it was.
    fn take_back(&mut self, end_ns: u64, most_ns: u64) -> u64 {
        let mut taken = 0;
        while let Some(last) = self.slices.last_mut().filter(|last| last.to_ns == end_ns - taken && taken < most_ns) {
            if !matches!(last.doing, Doing::Blocked(_)) {
                break;
            }
            let part = (most_ns - taken).min(last.to_ns - last.from_ns);
            taken += part;
            last.to_ns -= part;
            if last.to_ns == last.from_ns {
                self.slices.pop();
            }
        }
        taken
    }

    fn push(&mut self, from_ns: u64, to_ns: u64, doing: Doing) {
        if from_ns >= to_ns {
            return;
        }
        if let Some(last) = self.slices.last_mut().filter(|last| last.to_ns == from_ns) {
            match (&mut last.doing, &doing) {
                (Doing::Blocked(known), Doing::Blocked(reason)) if known.is_none() || reason.is_none() || known == reason => {
                    *known = known.take().or_else(|| reason.clone());
                    last.to_ns = to_ns;
                    return;
                }
                (known, doing) if *known == *doing => {
                    last.to_ns = to_ns;
                    return;
                }
                _ => {}
            }
        }
        self.slices.push(Slice { from_ns, to_ns, doing });
    }

    /// What it did in all.
    #[must_use]
    pub fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for slice in &self.slices {
            let length = slice.to_ns - slice.from_ns;
            match slice.doing {
                Doing::Runs => sums.run_ns += length,
                Doing::WaitsForCpu => sums.ready_ns += length,
                Doing::Blocked(_) => sums.blocked_ns += length,
            }
        }
        sums
    }

    /// What it was blocked by for the longest, and for how long.
    #[must_use]
    pub fn main_reason(&self) -> Option<(Arc<str>, u64)> {
        let mut times: HashMap<&Arc<str>, u64> = HashMap::new();
        for slice in &self.slices {
            if let Doing::Blocked(Some(reason)) = &slice.doing {
                *times.entry(reason).or_default() += slice.to_ns - slice.from_ns;
            }
        }
        times.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(a.0))).map(|(reason, ns)| (Arc::clone(reason), ns))
    }
}

/// The time of a family.
#[derive(Debug, Clone, Default)]
pub struct Lanes {
    /// By process, then by number.
    pub lanes: Vec<Lane>,
    /// The names of the processes.
    pub processes: HashMap<i32, Arc<str>>,
    /// From, `CLOCK_BOOTTIME` nanoseconds.
    pub from_ns: u64,
    /// To.
    pub to_ns: u64,
    /// Looks at all tasks.
    pub looks: u64,
    /// The longest time between two looks, nanoseconds.
    pub widest_ns: u64,
    /// CPU time that the looking took, nanoseconds.
    pub cost_ns: u64,
    /// CPU time of the family's tasks that was spent before their first look or after their last, as far as it is known.
    pub unseen_run_ns: u64,
    /// What was missed, in sentences.
    pub notes: Vec<String>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn lane(tid: i32) -> Lane {
        Lane { pid: 7, tid, name: "worker".into(), born: false, ended: false, slices: Vec::new() }
    }

    #[test]
    fn parts_have_the_counters_sums_and_equal_neighbours_are_joined() {
        let mut lane = lane(8);
        let epoll: Arc<str> = "epoll".into();
        lane.add((0, 100), 60, 10, None);
        lane.add((100, 200), 0, 0, Some(&epoll));
        lane.add((200, 300), 0, 0, None);
        lane.add((300, 400), 80, 60, None);
        let brief: Vec<_> = lane.slices.iter().map(|s| (s.doing.name(), s.from_ns, s.to_ns)).collect();
        assert_eq!(
            brief,
            [("waits for a CPU", 0, 10), ("runs", 10, 70), ("epoll", 70, 260), ("waits for a CPU", 260, 320), ("runs", 320, 400)]
        );
        assert_eq!(lane.sums(), Sums { run_ns: 140, ready_ns: 70, blocked_ns: 190 });
        assert_eq!(lane.main_reason(), Some((epoll, 190)));
    }

    #[test]
    fn a_wait_that_the_kernel_counts_when_it_ends_is_where_it_was() {
        let mut lane = lane(8);
        lane.add((0, 10), 10, 0, None);
        for at in 1..9 {
            lane.add((at * 10, at * 10 + 10), 0, 0, None);
        }
        // It was ready since 15, and got a CPU at 95.
        lane.add((90, 100), 5, 80, None);
        let brief: Vec<_> = lane.slices.iter().map(|s| (s.doing.category(), s.from_ns, s.to_ns)).collect();
        assert_eq!(brief, [("run", 0, 10), ("blocked", 10, 15), ("ready", 15, 95), ("run", 95, 100)]);
        // More than there is room for is cut, and never more than the time.
        lane.add((100, 110), 500, 500, None);
        assert_eq!(lane.sums(), Sums { run_ns: 25, ready_ns: 80, blocked_ns: 5 });
    }
}
