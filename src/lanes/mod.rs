//! The timeline of any family of processes: when each task was on a CPU, waited for one, or was blocked, and by what.
//!
//! [`sampler`] reads the kernel's counters (`schedstat`), [`Lanes`] keeps what each task did between two looks, [`chrome`] and
//! [`perfetto`] write files. Sums are the kernel's own figures; the order between two looks is not known, and
//! taken to be: waits for a CPU, runs, is blocked. Functions and GILs of Pythons are sampled ([`gil`], `pythons`).

pub mod chrome;
pub mod gil;
pub mod perfetto;
mod pythons;
pub mod sampler;
mod task;

use std::collections::HashMap;
use std::sync::Arc;

/// The part of a CPU that looking may take: one in so many.
pub const SHARE: u32 = 25;

/// How many slices back blocked time is taken from for what the kernel counted late.
const REACH: usize = 16;

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

/// A stretch in which a thread of Python was seen in the same function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// From the look that saw it, `CLOCK_BOOTTIME` nanoseconds.
    pub from_ns: u64,
    /// Until the look that saw another one.
    pub to_ns: u64,
    /// The innermost function of the user's own code, and its file; without one, the innermost function.
    pub function: Arc<str>,
}

/// The resident memory of a process from an instant on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// The process.
    pub pid: i32,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub at_ns: u64,
    /// RSS (proc_pid_statm(5)), bytes.
    pub rss_bytes: u64,
}

/// The time of one task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// The functions of a Python, in order; with gaps where none was read.
    pub calls: Vec<Call>,
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

    /// Takes back up to so much of the blocked time that was last before `end_ns`; how much it was. What the task did since then was earlier by
    /// as much: a wait that ended in the middle of an interval was taken to end with it.
    fn take_back(&mut self, end_ns: u64, most_ns: u64) -> u64 {
        let mut taken = 0;
        let mut begin_ns = end_ns;
        for at in (0..self.slices.len()).rev().take(REACH) {
            let slice = &mut self.slices[at];
            if taken >= most_ns || slice.to_ns != begin_ns {
                break;
            }
            begin_ns = slice.from_ns;
            if !matches!(slice.doing, Doing::Blocked(_)) {
                continue;
            }
            let part = (most_ns - taken).min(slice.to_ns - slice.from_ns);
            taken += part;
            slice.to_ns -= part;
            let is_gone = slice.to_ns == slice.from_ns;
            for later in &mut self.slices[at + 1..] {
                later.from_ns -= part;
                later.to_ns -= part;
            }
            if is_gone {
                self.slices.remove(at);
            }
        }
        taken
    }

    /// The waits without a known reason that begin after `from_ns` have this one.
    fn name_waits(&mut self, from_ns: u64, reason: &Arc<str>) {
        for slice in self.slices.iter_mut().rev().take_while(|slice| slice.from_ns >= from_ns) {
            if slice.doing == Doing::Blocked(None) {
                slice.doing = Doing::Blocked(Some(Arc::clone(reason)));
            }
        }
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

    /// How long it was blocked by this, nanoseconds.
    #[must_use]
    pub fn blocked_ns(&self, by: &str) -> u64 {
        let is_it = |slice: &&Slice| matches!(&slice.doing, Doing::Blocked(Some(reason)) if **reason == *by);
        self.slices.iter().filter(is_it).map(|slice| slice.to_ns - slice.from_ns).sum()
    }

    /// What it was blocked by for the longest, and for how long.
    #[must_use]
    pub fn main_reason(&self) -> Option<(Arc<str>, u64)> {
        longest(self.slices.iter().filter_map(|slice| match &slice.doing {
            Doing::Blocked(Some(reason)) => Some((reason, slice.to_ns - slice.from_ns)),
            _ => None,
        }))
    }

    /// The function that it was seen in for the longest, and for how long.
    #[must_use]
    pub fn main_function(&self) -> Option<(Arc<str>, u64)> {
        longest(self.calls.iter().map(|call| (&call.function, call.to_ns - call.from_ns)))
    }

    /// The function that it was seen in at an instant.
    #[must_use]
    pub fn function(&self, at_ns: u64) -> Option<&Arc<str>> {
        let next = self.calls.partition_point(|call| call.from_ns <= at_ns);
        self.calls.get(next.checked_sub(1)?).filter(|call| at_ns < call.to_ns).map(|call| &call.function)
    }

    /// It was seen in this function at a look, which counts until the next one, at `to_ns`.
    fn call(&mut self, (from_ns, to_ns): (u64, u64), function: &Arc<str>) {
        if let Some(last) = self.calls.last_mut().filter(|last| last.to_ns == from_ns && last.function == *function) {
            last.to_ns = to_ns;
        } else if from_ns < to_ns {
            self.calls.push(Call { from_ns, to_ns, function: Arc::clone(function) });
        }
    }

    /// Forgets what ended before `from_ns`.
    fn forget(&mut self, from_ns: u64) {
        let gone = self.slices.partition_point(|slice| slice.to_ns < from_ns);
        self.slices.drain(..gone);
        let gone = self.calls.partition_point(|call| call.to_ns < from_ns);
        self.calls.drain(..gone);
    }
}

/// The name with the most time, and that time.
fn longest<'n>(times: impl Iterator<Item = (&'n Arc<str>, u64)>) -> Option<(Arc<str>, u64)> {
    let mut sums: HashMap<&Arc<str>, u64> = HashMap::new();
    for (name, ns) in times {
        *sums.entry(name).or_default() += ns;
    }
    sums.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(a.0))).map(|(name, ns)| (Arc::clone(name), ns))
}

/// The time of a family.
#[derive(Debug, Clone, Default)]
pub struct Lanes {
    /// By process, then by number.
    pub lanes: Vec<Lane>,
    /// The names of the processes.
    pub processes: HashMap<i32, Arc<str>>,
    /// Their parents, as of the first look.
    pub parents: HashMap<i32, i32>,
    /// The GILs of those that are Pythons.
    pub gils: Vec<gil::GilLane>,
    /// Their resident memory, by time.
    pub resident: Vec<Resident>,
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

impl Lanes {
    /// True if functions of at least one Python were read.
    #[must_use]
    pub fn has_functions(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.calls.is_empty())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn lane(tid: i32) -> Lane {
        Lane { pid: 7, tid, name: "worker".into(), ..Lane::default() }
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
        lane.add((400, 500), 10, 0, None);
        lane.add((500, 600), 10, 0, None);
        let gil: Arc<str> = gil::WAIT.into();
        lane.name_waits(450, &gil);
        assert_eq!((lane.blocked_ns(gil::WAIT), lane.blocked_ns("epoll")), (90, 190), "the wait before that is not named");
    }

    #[test]
    fn a_function_counts_until_the_look_that_sees_another() {
        let mut lane = lane(8);
        let (load, store): (Arc<str>, Arc<str>) = ("load app.py".into(), "store app.py".into());
        for (span, function) in [((0, 10), &load), ((10, 20), &load), ((20, 30), &store), ((50, 60), &load)] {
            lane.call(span, function);
        }
        let brief: Vec<_> = lane.calls.iter().map(|call| (&*call.function, call.from_ns, call.to_ns)).collect();
        assert_eq!(brief, [("load app.py", 0, 20), ("store app.py", 20, 30), ("load app.py", 50, 60)]);
        assert_eq!((lane.function(19), lane.function(20), lane.function(40)), (Some(&load), Some(&store), None));
        assert_eq!(lane.main_function(), Some((load, 30)));
        lane.forget(25);
        assert_eq!(lane.calls.len(), 2);
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
        assert_eq!(lane.sums(), Sums { run_ns: 30, ready_ns: 80, blocked_ns: 0 });
    }

    #[test]
    fn what_is_counted_late_moves_what_came_before_and_is_not_lost() {
        let mut lane = lane(8);
        lane.add((0, 10), 10, 0, None);
        lane.add((10, 20), 0, 0, None);
        lane.add((20, 30), 0, 0, None);
        // It was ready from 10 to 35 and has run since; the time on the CPU is counted at the next tick.
        lane.add((30, 40), 0, 25, None);
        lane.add((40, 50), 15, 0, None);
        let brief: Vec<_> = lane.slices.iter().map(|s| (s.doing.category(), s.from_ns, s.to_ns)).collect();
        assert_eq!(brief, [("run", 0, 10), ("ready", 10, 35), ("run", 35, 50)]);
    }
}
