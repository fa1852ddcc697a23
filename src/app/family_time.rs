//! The live timeline of a family of processes: the lanes that `concmon trace` reads, on the Timeline screen.
//!
//! The engine reads them while the screen is open, and this turns them into what that screen draws of a lab run.

use std::sync::Arc;

use crate::lab::catalog::RunSpec;
use crate::lab::lanes::Window;
use crate::lab::run::{Run, RunId, RunPhase};
use crate::lab::trace::{Slice, TaskTrace, Trace};
use crate::lanes::{Doing, Lane, Lanes};
use crate::snapshot::ProcKey;

/// So much of the newest time is shown at first, nanoseconds.
const SHOWN_NS: u64 = 10_000_000_000;
/// The most tasks whose lanes are drawn; the busiest of more.
const MOST_LANES: usize = 512;

/// A family of processes and the lanes of its tasks.
#[derive(Debug, Clone)]
pub struct FamilyTime {
    /// Its first process.
    pub key: ProcKey,
    /// The name of that process, fit for a terminal.
    pub name: String,
    /// Its lanes in the form of a run.
    pub run: Arc<Run>,
    /// The lanes as they were read; empty before the first reading.
    pub lanes: Arc<Lanes>,
    /// CLOCK_BOOTTIME minus CLOCK_MONOTONIC, nanoseconds.
    offset_ns: u64,
    /// Where the axis begins to count, monotonic nanoseconds.
    pub zero_ns: u64,
}

impl FamilyTime {
    /// Before its first lanes; `now_ns` is of CLOCK_MONOTONIC.
    #[must_use]
    pub fn new(key: ProcKey, name: String, now_ns: u64) -> Self {
        let run = Arc::new(Run::new(RunId::FAMILY, RunSpec::own(), now_ns));
        Self { key, name, run, lanes: Arc::default(), offset_ns: 0, zero_ns: now_ns }
    }

    /// Takes in the newest lanes.
    pub fn take(&mut self, lanes: Arc<Lanes>, offset_ns: u64) {
        if self.lanes.looks == 0 {
            self.zero_ns = lanes.from_ns.saturating_sub(offset_ns);
        }
        self.run = Arc::new(as_run(self.key.pid, &lanes, offset_ns));
        (self.lanes, self.offset_ns) = (lanes, offset_ns);
    }

    /// The newest time that is known.
    #[must_use]
    pub fn newest(&self) -> Window {
        // Up to the last look at every task that is there: tasks are looked at one after the other.
        let living = self.lanes.lanes.iter().filter(|lane| !lane.ended).filter_map(|lane| Some(lane.slices.last()?.to_ns));
        let to_ns = living.min().unwrap_or(self.lanes.to_ns).saturating_sub(self.offset_ns).max(self.run.started_ns + 1);
        Window::new(to_ns.saturating_sub(SHOWN_NS).max(self.zero_ns), to_ns)
    }

    /// The reason why a task was blocked at an instant of CLOCK_MONOTONIC; `None` if it was not seen in that wait.
    #[must_use]
    pub fn reason(&self, tid: i32, at_ns: u64) -> Option<&str> {
        let at_ns = at_ns + self.offset_ns;
        let slices = self.lanes.lanes.iter().filter(|lane| lane.tid == tid).flat_map(|lane| &lane.slices);
        let mut there = slices.filter(|slice| slice.from_ns <= at_ns && at_ns < slice.to_ns);
        there.find_map(|slice| match &slice.doing {
            Doing::Blocked(Some(reason)) => Some(&**reason),
            _ => None,
        })
    }

    /// One sentence: what the family did in all time that is kept.
    #[must_use]
    pub fn sums(&self, cpus: usize) -> String {
        let wall_ns = self.lanes.to_ns.saturating_sub(self.lanes.from_ns);
        if wall_ns == 0 {
            return "reading the first lanes".to_owned();
        }
        let (mut run, mut ready) = (0, 0);
        for sums in self.lanes.lanes.iter().map(Lane::sums) {
            run += sums.run_ns;
            ready += sums.ready_ns;
        }
        let mean = |ns: u64| ns as f64 / wall_ns as f64;
        let busiest = self.lanes.lanes.iter().filter_map(Lane::main_reason).max_by_key(|(_, ns)| *ns);
        let blocked = busiest.map_or_else(String::new, |(reason, _)| format!("; longest blocked by {reason}"));
        format!("on average {:.2} of {cpus} CPUs used, {:.2} tasks waiting for a CPU{blocked}", mean(run), mean(ready))
    }
}

/// The lanes as the trace of a run that has no workers.
fn as_run(root: i32, lanes: &Lanes, offset_ns: u64) -> Run {
    let monotonic = |boot_ns: u64| boot_ns.saturating_sub(offset_ns);
    let mut run = Run::new(RunId::FAMILY, RunSpec::own(), monotonic(lanes.from_ns));
    run.phase = RunPhase::Running;
    run.root_pid = Some(root);
    let mut shown: Vec<&Lane> = lanes.lanes.iter().collect();
    if shown.len() > MOST_LANES {
        shown.sort_by_cached_key(|lane| std::cmp::Reverse((lane.tid == root, lane.sums().run_ns)));
        shown.truncate(MOST_LANES);
        shown.sort_by_key(|lane| (lane.pid, lane.tid));
    }
    let mut trace = Trace::default();
    trace.unwatched = (lanes.lanes.len() - shown.len()) as u64;
    trace.step_ns = if lanes.looks > 1 { lanes.to_ns.saturating_sub(lanes.from_ns) / (lanes.looks - 1) } else { 0 };
    trace.tasks = shown.into_iter().map(|lane| Arc::new(task(lane, monotonic))).collect();
    run.trace = Some(Arc::new(trace));
    run
}

fn task(lane: &Lane, monotonic: impl Fn(u64) -> u64) -> TaskTrace {
    let slice = |slice: &crate::lanes::Slice| {
        let length = slice.to_ns - slice.from_ns;
        // The kernel's letter is not read: a blocked task may be in S, D or T.
        let (run_ns, wait_ns, state) = match slice.doing {
            Doing::Runs => (length, 0, 'R'),
            Doing::WaitsForCpu => (0, length, 'R'),
            Doing::Blocked(_) => (0, 0, '-'),
        };
        Slice { from_ns: monotonic(slice.from_ns), to_ns: monotonic(slice.to_ns), run_ns, wait_ns, state, cpu: None }
    };
    let sums = lane.sums();
    TaskTrace {
        pid: lane.pid,
        tid: lane.tid,
        comm: lane.name.to_string(),
        gone_ns: lane.slices.last().filter(|_| lane.ended).map(|last| monotonic(last.to_ns)),
        run_ns: sums.run_ns,
        wait_ns: sums.ready_ns,
        parent: 0,
        slices: lane.slices.iter().map(slice).collect(),
        holdings: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::lanes::{self, Mark};

    fn lane(pid: i32, tid: i32, parts: &[(u64, u64, Doing)]) -> Lane {
        let slices = parts.iter().map(|(from_ns, to_ns, doing)| crate::lanes::Slice {
            from_ns: *from_ns,
            to_ns: *to_ns,
            doing: doing.clone(),
        });
        Lane { pid, tid, name: "worker".into(), born: false, ended: tid == 9, slices: slices.collect() }
    }

    #[test]
    fn a_family_is_drawn_as_a_run_and_its_sums_are_those_of_its_lanes() {
        const MS: u64 = 1_000_000;
        let blocked = Doing::Blocked(Some("epoll".into()));
        let all = vec![
            lane(7, 7, &[(100 * MS, 150 * MS, Doing::Runs), (150 * MS, 200 * MS, blocked)]),
            lane(7, 9, &[(100 * MS, 120 * MS, Doing::WaitsForCpu), (120 * MS, 140 * MS, Doing::Runs)]),
        ];
        let key = ProcKey { pid: 7, start_ticks: 1 };
        let mut family = FamilyTime::new(key, "worker".into(), 0);
        let read = Lanes { lanes: all, from_ns: 100 * MS, to_ns: 200 * MS, looks: 51, ..Lanes::default() };
        family.take(Arc::new(read), 40 * MS);
        assert_eq!((family.zero_ns, family.newest().to_ns), (60 * MS, 160 * MS));
        let run = &family.run;
        let drawn = lanes::lanes(run);
        let tids: Vec<Option<i32>> = drawn.iter().map(|lane| lane.tid).collect();
        assert_eq!(tids, [Some(7), Some(9)]);
        assert_eq!(drawn[0].totals_ns(), Some((50 * MS, 0)));
        assert_eq!(drawn[1].totals_ns(), Some((20 * MS, 20 * MS)));
        let picture = lanes::picture(run, &drawn, 0..2, Window::new(60 * MS, 160 * MS), 10);
        let row = |at: usize| picture.marks[at].iter().map(|mark| mark.glyph(false)).collect::<String>();
        assert_eq!((row(0).as_str(), row(1).as_str()), ("#####.....", "ww##      "));
        assert_eq!(picture.marks[0][0], Mark::Running(8));
        assert_eq!((family.reason(7, 115 * MS), family.reason(7, 65 * MS)), (Some("epoll"), None));
        assert!(family.sums(2).starts_with("on average 0.70 of 2 CPUs used, 0.20 tasks waiting for a CPU"), "{}", family.sums(2));
    }
}
