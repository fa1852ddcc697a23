//! The live timeline of a family of processes: the lanes that `concmon trace` reads, on the Timeline screen.
//!
//! The engine reads them while the screen is open, and this turns them into what that screen draws of a lab run.

use std::sync::Arc;

use crate::lab::catalog::RunSpec;
use crate::lab::lanes::{WAITS_FOR_GIL, Window};
use crate::lab::run::{Run, RunId, RunPhase};
use crate::lab::trace::{Holding, Slice, TaskTrace, Trace};
use crate::lanes::gil::{self, GilLane, Held};
use crate::lanes::{Doing, Lane, Lanes};
use crate::snapshot::ProcKey;

/// So much of the newest time is shown at first, nanoseconds.
const SHOWN_NS: u64 = 10_000_000_000;
/// A GIL that so many threads waited for, on average, is worth a sentence.
const CONTENDED: f64 = 0.5;
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

    /// The function that a thread of Python was seen in at an instant of CLOCK_MONOTONIC.
    #[must_use]
    pub fn function(&self, tid: i32, at_ns: u64) -> Option<&str> {
        let at_ns = at_ns + self.offset_ns;
        self.lanes.lanes.iter().filter(|lane| lane.tid == tid).find_map(|lane| lane.function(at_ns)).map(|function| &**function)
    }

    /// A Python thread's time waiting for the GIL, nanoseconds, and the function in which it was seen longest.
    #[must_use]
    pub fn of_python(&self, tid: i32) -> Option<(u64, Arc<str>)> {
        let lane = self.lane(tid)?;
        let (function, _) = lane.main_function()?;
        Some((lane.blocked_ns(gil::WAIT), function))
    }

    /// Holder and waiters of a process's GIL at an instant of CLOCK_MONOTONIC.
    #[must_use]
    pub fn gil(&self, pid: i32, at_ns: u64) -> Option<Held> {
        let at_ns = at_ns + self.offset_ns;
        self.lanes.gils.iter().filter(|gil| gil.pid == pid).find_map(|gil| gil.at(at_ns)).copied()
    }

    /// The name of a thread, not yet fit for a terminal.
    #[must_use]
    pub fn thread_name(&self, tid: i32) -> Option<&str> {
        self.lane(tid).map(|lane| &*lane.name)
    }

    fn lane(&self, tid: i32) -> Option<&Lane> {
        self.lanes.lanes.iter().find(|lane| lane.tid == tid)
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
        let cpu = format!("{:.2} of {cpus} CPUs used, {:.2} tasks waiting for a CPU", mean(run), mean(ready));
        match self.contended() {
            Some(gil) => format!("on average {gil}; {cpu}"),
            None => format!("on average {cpu}{blocked}"),
        }
    }

    /// The GIL that threads waited for most, in words; `None` if no GIL was waited for much.
    fn contended(&self) -> Option<String> {
        let sums = self.lanes.gils.iter().map(GilLane::sums);
        let gil = sums.filter(|gil| gil.waiters >= CONTENDED).max_by(|a, b| a.waiters.total_cmp(&b.waiters))?;
        let (holder, _) = gil.main_holder?;
        let lane = self.lane(holder)?;
        let place = lane.main_function().map_or_else(String::new, |(function, _)| format!(" ({function})"));
        Some(format!("{:.1} threads waiting for the GIL, held longest by {}{place}", gil.waiters, lane.name))
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
    trace.tasks = shown.into_iter().map(|lane| Arc::new(task(lane, lanes, monotonic))).collect();
    trace.gils = lanes.gils.iter().map(|gil| held(gil, monotonic)).collect();
    run.trace = Some(Arc::new(trace));
    run
}

/// A GIL as a task that runs while it is held.
fn held(gil: &GilLane, monotonic: impl Fn(u64) -> u64) -> TaskTrace {
    let slice = |held: &Held| Slice {
        from_ns: monotonic(held.from_ns),
        to_ns: monotonic(held.to_ns),
        run_ns: if held.holder.is_some() { held.to_ns - held.from_ns } else { 0 },
        wait_ns: 0,
        state: '-',
        cpu: None,
    };
    let slices = gil.slices.iter().map(slice).collect();
    TaskTrace { pid: gil.pid, comm: "GIL".to_owned(), slices, ..TaskTrace::default() }
}

fn task(lane: &Lane, all: &Lanes, monotonic: impl Fn(u64) -> u64) -> TaskTrace {
    let slice = |slice: &crate::lanes::Slice| {
        let length = slice.to_ns - slice.from_ns;
        // The kernel's letter is not read: a blocked task may be in S, D or T.
        let (run_ns, wait_ns, state) = match &slice.doing {
            Doing::Runs => (length, 0, 'R'),
            Doing::WaitsForCpu => (0, length, 'R'),
            Doing::Blocked(Some(reason)) if **reason == *gil::WAIT => (0, 0, WAITS_FOR_GIL),
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
        parent: all.parents.get(&lane.pid).copied().unwrap_or(0),
        slices: lane.slices.iter().map(slice).collect(),
        holdings: if lane.tid == lane.pid { holdings(lane.pid, all, monotonic) } else { Vec::new() },
    }
}

/// The resident memory of a process, and how many of its threads there were.
fn holdings(pid: i32, all: &Lanes, monotonic: impl Fn(u64) -> u64) -> Vec<Holding> {
    let lives = |lane: &&Lane| lane.pid == pid && !lane.slices.is_empty();
    let span = |lane: &Lane| Some((lane.slices.first()?.from_ns, lane.slices.last()?.to_ns, lane.ended));
    let spans: Vec<(u64, u64, bool)> = all.lanes.iter().filter(lives).filter_map(span).collect();
    let own = all.resident.iter().filter(|resident| resident.pid == pid);
    own.map(|resident| {
        let is_there = |(from, to, ended): &&(u64, u64, bool)| *from <= resident.at_ns && (resident.at_ns < *to || !ended);
        let threads = u32::try_from(spans.iter().filter(is_there).count()).unwrap_or(u32::MAX);
        Holding { from_ns: monotonic(resident.at_ns), rss_bytes: resident.rss_bytes, threads: threads.max(1) }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::lanes::{self, Mark, Role};

    fn lane(pid: i32, tid: i32, parts: &[(u64, u64, Doing)]) -> Lane {
        let slices = parts.iter().map(|(from_ns, to_ns, doing)| crate::lanes::Slice {
            from_ns: *from_ns,
            to_ns: *to_ns,
            doing: doing.clone(),
        });
        Lane { pid, tid, name: "worker".into(), ended: tid == 9, slices: slices.collect(), ..Lane::default() }
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

    #[test]
    fn the_gil_has_a_lane_and_threads_that_wait_for_it_are_marked_and_counted() {
        const MS: u64 = 1_000_000;
        let waits = Doing::Blocked(Some(gil::WAIT.into()));
        let call = |from: u64, to: u64| crate::lanes::Call { from_ns: from * MS, to_ns: to * MS, function: "spin a.py".into() };
        let holder = Lane { calls: vec![call(0, 100)], ..lane(7, 7, &[(0, 100 * MS, Doing::Runs)]) };
        let parts = [(0, 70 * MS, waits.clone()), (70 * MS, 80 * MS, Doing::Runs), (80 * MS, 100 * MS, waits)];
        let waiter = Lane { calls: vec![call(0, 100)], ..lane(7, 8, &parts) };
        let held = |from: u64, to: u64, holder| Held { from_ns: from * MS, to_ns: to * MS, holder, waiters: 1 };
        let gil = GilLane { pid: 7, address: 1, slices: vec![held(0, 50, Some(7)), held(50, 75, None), held(75, 100, Some(8))] };
        let read = Lanes { lanes: vec![holder, waiter], gils: vec![gil], to_ns: 100 * MS, looks: 11, ..Lanes::default() };
        let mut family = FamilyTime::new(ProcKey { pid: 7, start_ticks: 1 }, "worker".into(), 0);
        family.take(Arc::new(read), 0);
        let drawn = lanes::lanes(&family.run);
        assert_eq!(drawn.iter().map(|lane| lane.role).collect::<Vec<_>>(), [Role::Root, Role::Gil, Role::Other]);
        let picture = lanes::picture(&family.run, &drawn, 0..3, Window::new(0, 100 * MS), 4);
        assert_eq!(picture.marks[1], [Mark::Held(8), Mark::Held(8), Mark::Absent, Mark::Held(8)]);
        assert_eq!(picture.marks[2], [Mark::WaitsForGil, Mark::WaitsForGil, Mark::SharingGil(2), Mark::SharingGil(2)]);
        // The GIL is not a task: one CPU is used, and a tenth.
        assert!(picture.parallelism.iter().flatten().sum::<f64>() < 4.5, "{:?}", picture.parallelism);
        assert_eq!(lanes::processes(&drawn, 20 * MS)[0].cpu, Some(1.0));
        assert_eq!((family.function(8, 10 * MS), family.of_python(8)), (Some("spin a.py"), Some((90 * MS, "spin a.py".into()))));
        assert_eq!(family.gil(7, 80 * MS).and_then(|held| held.holder), Some(8));
        assert!(
            family
                .sums(2)
                .starts_with("on average 1.0 threads waiting for the GIL, held longest by worker (spin a.py); 1.10 of 2"),
            "{}",
            family.sums(2)
        );
    }
}
