//! The timeline of a run: one lane per task, its state in each cell of the time axis, and the concurrency.
//!
//! Concurrency is the number of tasks in progress in the same period, parallelism the number on a CPU at the same instant.
//! Pure: a [`Run`] and a time window in, a [`Picture`] out.

mod axis;
mod processes;
mod spent;

use std::collections::HashMap;
use std::sync::Arc;

use super::protocol::Creation;
use super::run::{Run, RunId, TaskSpan, Worker};
use super::trace::{Slice, TaskTrace};

pub use crate::units::period as duration;
pub use axis::{Tick, Window, ticks};
pub use processes::{ProcessAt, processes};
pub use spent::{Spent, spent};

/// A share of a cell below this is not worth a mark.
const WORTH_A_MARK: f64 = 0.06;
/// In place of the kernel's state letter: the task was seen to wait for its interpreter's GIL.
pub const WAITS_FOR_GIL: char = 'g';
/// A pause longer than this, in which a run stays to be looked at, is left out of what a picture shows at first.
const LONG_PAUSE_NS: u64 = 50_000_000;

/// Whose lane it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The run's root.
    Root,
    /// The worker with this index.
    Worker(u32),
    /// A worker that has no task of its own: an async task, a greenlet, an interpreter, on the thread of the lane above.
    Inner(u32),
    /// Another process or thread of the run: a server, a manager's thread.
    Other,
    /// The GIL of the lane's process.
    Gil,
}

/// One lane.
#[derive(Debug, Clone)]
pub struct Lane<'r> {
    /// Whose it is.
    pub role: Role,
    /// Its process, once known.
    pub pid: Option<i32>,
    /// Its task, once known.
    pub tid: Option<i32>,
    /// Its task's name, not yet fit for a terminal.
    pub comm: &'r str,
    /// How it was created.
    pub how: Option<Creation>,
    worker: Option<&'r Worker>,
    task: Option<&'r TaskTrace>,
}

/// What fills a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Not there (yet, or any more).
    Absent,
    /// Asked for, but not yet at its first own instruction.
    Creating,
    /// Being created, and on a CPU for so many eighths of the cell.
    Starting(u8),
    /// On a CPU, for so many eighths of the cell.
    Running(u8),
    /// On a CPU for so many eighths of the cell, and ready without one for longer.
    Sharing(u8),
    /// Ready to run, but another had the CPU.
    Wanting,
    /// Asleep: it waits for something other than a CPU.
    Blocked,
    /// Asleep: it waits for the GIL.
    WaitsForGil,
    /// On a CPU for so many eighths of the cell, and waiting for the GIL for longer.
    SharingGil(u8),
    /// A GIL that was held, for so many eighths of the cell.
    Held(u8),
    /// Stopped by a signal.
    Stopped,
    /// Over, but its parent has not taken note.
    Zombie,
    /// A unit of work is open; whether it runs or waits within is not seen from outside its thread.
    Open,
    /// There, but not seen.
    Unknown,
}

impl Mark {
    /// One character for it. What is on a CPU shows its share as a height, so that the heights of a column are its parallelism.
    #[must_use]
    pub fn glyph(self, unicode: bool) -> &'static str {
        const BLOCKS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
        match (self, unicode) {
            (Self::Absent, _) => " ",
            (Self::Creating, true) => "╌",
            (Self::Creating, false) => "~",
            (
                Self::Running(eighths)
                | Self::Sharing(eighths)
                | Self::SharingGil(eighths)
                | Self::Starting(eighths)
                | Self::Held(eighths),
                true,
            ) => BLOCKS[usize::from(eighths.clamp(1, 8)) - 1],
            (Self::Running(5..) | Self::Held(5..), false) => "#",
            (Self::Running(_) | Self::Held(_), false) => "+",
            (Self::Starting(_), false) => "~",
            (Self::Sharing(_), false) => "W",
            (Self::SharingGil(_), false) => "G",
            (Self::Wanting, true) => "░",
            (Self::Wanting, false) => "w",
            (Self::Blocked, true) => "·",
            (Self::Blocked, false) => ".",
            (Self::WaitsForGil, true) => "▒",
            (Self::WaitsForGil, false) => "g",
            (Self::Stopped, _) => "T",
            (Self::Zombie, _) => "z",
            (Self::Open, true) => "━",
            (Self::Open, false) => "=",
            (Self::Unknown, _) => "?",
        }
    }
}

/// What was so at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// What its lane shows there.
    pub mark: Mark,
    /// The kernel's state letter at the end of that slice.
    pub state: Option<char>,
    /// The CPU it was on last.
    pub cpu: Option<u32>,
    /// The unit of work that was open.
    pub unit: Option<u32>,
}

/// Everything a screen shows of a run over time.
#[derive(Debug, Clone)]
pub struct Picture {
    /// What each asked-for lane shows, cell by cell.
    pub marks: Vec<Vec<Mark>>,
    /// Units of work open, average over each cell, over all lanes.
    pub concurrency: Vec<f64>,
    /// Tasks on a CPU, average over each cell, over all lanes; `None` where there was no look.
    pub parallelism: Vec<Option<f64>>,
}

/// The lanes of a run: its root, its workers in their order, each thread's inner ones below it, then all the others.
#[must_use]
pub fn lanes(run: &Run) -> Vec<Lane<'_>> {
    let tasks: &[Arc<TaskTrace>] = run.trace.as_deref().map_or(&[], |t| &t.tasks);
    let mut by_tid: HashMap<(i32, i32), &TaskTrace> = HashMap::new();
    for task in tasks {
        // A number that was used again within one run: the later task is the worker that has reported.
        by_tid.insert((task.pid, task.tid), task);
    }
    let mut sharers: HashMap<(i32, i32), u32> = HashMap::new();
    let key = |w: &Worker| w.pid.map(|pid| (pid, w.tid.unwrap_or(pid)));
    for key in run.workers.iter().filter_map(key) {
        *sharers.entry(key).or_default() += 1;
    }
    let root = run.root_pid.map(|pid| (pid, pid));
    let mut shown: std::collections::HashSet<(i32, i32)> = root.into_iter().collect();
    let mut lanes = vec![Lane {
        role: Role::Root,
        pid: run.root_pid,
        tid: run.root_pid,
        comm: root.and_then(|k| by_tid.get(&k)).map_or("", |t| &t.comm),
        how: None,
        worker: None,
        task: root.and_then(|k| by_tid.get(&k).copied()),
    }];
    for worker in &run.workers {
        let id = key(worker);
        // The root's own thread may be the one that they all run on.
        let inner = id.is_some_and(|id| sharers.get(&id).is_some_and(|n| *n > 1) || Some(id) == root);
        let task = id.and_then(|id| by_tid.get(&id).copied());
        if let (true, Some(id)) = (inner, id)
            && shown.insert(id)
        {
            lanes.push(Lane { role: Role::Other, ..lane_of(task, id) });
        }
        shown.extend(id);
        lanes.push(Lane {
            role: if inner { Role::Inner(worker.index) } else { Role::Worker(worker.index) },
            pid: worker.pid,
            tid: worker.tid,
            comm: task.map_or("", |t| &t.comm),
            how: worker.how,
            worker: Some(worker),
            task: task.filter(|_| !inner),
        });
    }
    let others = tasks.iter().filter(|t| !shown.contains(&(t.pid, t.tid)));
    lanes.extend(others.map(|t| lane_of(Some(t), (t.pid, t.tid))));
    for gil in run.trace.as_deref().map_or(&[][..], |t| &t.gils) {
        // Below the first thread of its process.
        let at = lanes.iter().position(|lane| lane.pid == Some(gil.pid)).map_or(lanes.len(), |first| first + 1);
        lanes.insert(at, Lane { role: Role::Gil, tid: None, ..lane_of(Some(gil), (gil.pid, gil.tid)) });
    }
    lanes
}

fn lane_of(task: Option<&TaskTrace>, id: (i32, i32)) -> Lane<'_> {
    let comm = task.map_or("", |t| t.comm.as_str());
    Lane { role: Role::Other, pid: Some(id.0), tid: Some(id.1), comm, how: None, worker: None, task }
}

/// All of a run's time: from its start to its end, or to `now_ns` while it goes on. Of a program of the user's own that has ended it is the
/// wall time.
#[must_use]
pub fn whole(run: &Run, now_ns: u64) -> Window {
    if let Some((from, to)) = run.lifetime_ns() {
        return Window::new(from, to);
    }
    let told = run
        .workers
        .iter()
        .flat_map(|w| [w.requested_ns, w.ready_ns, w.exited_ns].into_iter().chain(w.spans.iter().map(|s| s.end_ns)).flatten());
    let tasks = run.trace.as_deref().map_or(&[][..], |t| &t.tasks);
    let seen = tasks.iter().filter_map(|t| t.gone_ns.or(t.slices.last().map(|s| s.to_ns)));
    let last = told.chain(seen).max().unwrap_or(run.started_ns);
    Window::new(run.started_ns, if run.ended() { last } else { last.max(now_ns) })
}

/// The part of it in which something happens: from the first request for a worker, up to the pause in which the workers stay to be
/// looked at.
#[must_use]
pub fn interesting(run: &Run, now_ns: u64) -> Window {
    let all = whole(run, now_ns);
    let from = run.workers.iter().filter_map(|w| w.requested_ns).min().unwrap_or(all.from_ns);
    let long = |&(from, to): &(u64, Option<u64>)| to.unwrap_or(all.to_ns).saturating_sub(from) > LONG_PAUSE_NS;
    // A demo pauses between creations, too: the pause to look comes after the last request, and after all work. A unit that was not
    // ended by its worker is over when that has gone.
    let ends = run.workers.iter().flat_map(|w| w.spans.iter().map(|s| s.end_ns.or(w.exited_ns).unwrap_or(u64::MAX)));
    let last = ends.chain(run.workers.iter().filter_map(|w| w.requested_ns)).max();
    let to = run.pauses().filter(long).map(|(from, _)| from).find(|pause| last.is_none_or(|last| *pause >= last));
    let window = Window::new(from, to.unwrap_or(all.to_ns));
    let margin = window.length_ns() / 40;
    Window::new(window.from_ns.saturating_sub(margin).max(all.from_ns), (window.to_ns + margin).min(all.to_ns))
}

/// What lanes show in a window of so many cells. Concurrency and parallelism are those of all lanes, also of those not shown.
#[must_use]
pub fn picture(run: &Run, lanes: &[Lane<'_>], shown: std::ops::Range<usize>, window: Window, cells: usize) -> Picture {
    let mut picture = Picture { marks: Vec::new(), concurrency: vec![0.0; cells], parallelism: vec![None; cells] };
    let spans_told = run.workers.iter().any(|w| !w.spans.is_empty());
    for lane in lanes {
        if let Some(worker) = lane.worker {
            let open: Vec<(u64, u64)> = if spans_told {
                worker.spans.iter().map(|s| (s.start_ns, s.end_ns.unwrap_or(u64::MAX))).collect()
            } else {
                worker.ready_ns.map(|from| (from, worker.exited_ns.unwrap_or(u64::MAX))).into_iter().collect()
            };
            for (from, to) in open {
                spread(window, cells, from, to, |cell, share, _| picture.concurrency[cell] += share);
            }
        }
        for slice in lane.task.filter(|_| lane.role != Role::Gil).map_or(&[][..], |t| &t.slices) {
            let run_share = slice.run_ns as f64 / slice.length_ns().max(1) as f64;
            let ready_share = slice.wait_ns as f64 / slice.length_ns().max(1) as f64;
            spread(window, cells, slice.from_ns, slice.to_ns, |cell, share, _| {
                if run.id == RunId::FAMILY {
                    picture.concurrency[cell] += share * (run_share + ready_share);
                }
                *picture.parallelism[cell].get_or_insert(0.0) += share * run_share;
            });
        }
    }
    let part = lanes.get(shown).unwrap_or(&[]);
    picture.marks = part.iter().map(|lane| (0..cells).map(|cell| mark(lane, window.cell(cell, cells))).collect()).collect();
    picture
}

/// Calls `each` for every cell that a stretch of time touches, with the share of the cell that it fills and that share in nanoseconds.
fn spread(window: Window, cells: usize, from_ns: u64, to_ns: u64, mut each: impl FnMut(usize, f64, u64)) {
    if to_ns <= window.from_ns || from_ns >= window.to_ns || cells == 0 {
        return;
    }
    for cell in window.cell_at(from_ns, cells)..=window.cell_at(to_ns, cells) {
        let part = window.cell(cell, cells);
        let common = part.overlap_ns(from_ns, to_ns);
        if common > 0 {
            each(cell, common as f64 / part.length_ns() as f64, common);
        }
    }
}

/// What a lane shows for a stretch of time: what took most of it, but any running at all before sleep.
fn mark(lane: &Lane<'_>, part: Window) -> Mark {
    let over = |from: Option<u64>, to: Option<u64>| part.overlap_ns(from.unwrap_or(u64::MAX), to.unwrap_or(u64::MAX)) > 0;
    if let Some(worker) = lane.worker {
        let created = over(worker.requested_ns, Some(worker.ready_ns.unwrap_or(u64::MAX)));
        if matches!(lane.role, Role::Inner(_)) {
            return match () {
                () if worker.spans.iter().any(|s| over(Some(s.start_ns), s.end_ns)) => Mark::Open,
                () if created => Mark::Creating,
                () if over(worker.ready_ns, worker.exited_ns) => Mark::Blocked,
                () => Mark::Absent,
            };
        }
        if created && worker.ready_ns.is_none_or(|ready| ready >= part.to_ns) {
            // A worker that is being created is on a CPU too: an interpreter that starts, above all.
            return match lane.task.map(|task| of_slices(slices_in(task, part), part)) {
                Some(Mark::Running(eighths) | Mark::Sharing(eighths) | Mark::SharingGil(eighths)) => Mark::Starting(eighths),
                _ => Mark::Creating,
            };
        }
        // Its first slice begins at the look before the one that found it.
        if worker.requested_ns.is_some_and(|asked| asked >= part.to_ns) {
            return Mark::Absent;
        }
    }
    let Some(task) = lane.task else {
        let alive = lane.worker.is_some_and(|w| over(w.ready_ns, w.exited_ns));
        return if alive { Mark::Unknown } else { Mark::Absent };
    };
    match of_slices(slices_in(task, part), part) {
        Mark::Running(eighths) if lane.role == Role::Gil => Mark::Held(eighths),
        _ if lane.role == Role::Gil => Mark::Absent,
        mark => mark,
    }
}

fn slices_in(task: &TaskTrace, part: Window) -> &[Slice] {
    let first = task.slices.partition_point(|s| s.to_ns <= part.from_ns);
    let end = task.slices.partition_point(|s| s.from_ns < part.to_ns);
    task.slices.get(first..end).unwrap_or(&[])
}

fn of_slices(slices: &[Slice], part: Window) -> Mark {
    let (mut ran, mut wanted, mut for_gil, mut seen) = (0.0, 0.0, 0.0, 0.0);
    for slice in slices {
        let share = part.overlap_ns(slice.from_ns, slice.to_ns) as f64 / slice.length_ns().max(1) as f64;
        ran += share * slice.run_ns as f64;
        wanted += share * slice.wait_ns as f64;
        seen += share * slice.length_ns() as f64;
        if slice.state == WAITS_FOR_GIL {
            for_gil += share * slice.slack_ns() as f64;
        }
    }
    if seen <= 0.0 {
        return Mark::Absent;
    }
    let (ran, wanted, for_gil) = (ran / seen, wanted / seen, for_gil / seen);
    match slices.last().map(|s| s.state) {
        _ if ran >= WORTH_A_MARK && ran >= wanted.max(for_gil) => Mark::Running(eighths(ran)),
        _ if ran >= WORTH_A_MARK && for_gil > wanted => Mark::SharingGil(eighths(ran)),
        _ if ran >= WORTH_A_MARK => Mark::Sharing(eighths(ran)),
        _ if for_gil >= WORTH_A_MARK && for_gil > wanted => Mark::WaitsForGil,
        _ if wanted >= WORTH_A_MARK => Mark::Wanting,
        Some('T' | 't') => Mark::Stopped,
        Some('Z' | 'X') => Mark::Zombie,
        _ => Mark::Blocked,
    }
}

fn eighths(share: f64) -> u8 {
    ((share * 8.0).ceil() as u8).clamp(1, 8)
}

impl Lane<'_> {
    /// What was so at an instant.
    #[must_use]
    pub fn moment(&self, at_ns: u64) -> Moment {
        let slice = self.task.and_then(|t| t.at(at_ns));
        let open = |s: &&TaskSpan| s.start_ns <= at_ns && s.end_ns.is_none_or(|end| at_ns < end);
        Moment {
            mark: mark(self, Window::new(at_ns, at_ns)),
            state: slice.map(|s| s.state),
            cpu: slice.and_then(|s| s.cpu),
            unit: self.worker.and_then(|w| w.spans.iter().find(open)).map(|s| s.index),
        }
    }

    /// Time on a CPU and time waiting for one over its life, nanoseconds, as the kernel counted them; `None` if there was no look.
    #[must_use]
    pub fn totals_ns(&self) -> Option<(u64, u64)> {
        self.task.map(|t| (t.run_ns, t.wait_ns))
    }

    /// Where something changes on this lane, in order, each once: a worker is asked for, ready, begins and ends a unit, is gone; another task
    /// begins, goes on to do something else, is gone.
    #[must_use]
    pub fn changes_ns(&self) -> Vec<u64> {
        let mut all: Vec<u64> = Vec::new();
        if let Some(worker) = self.worker {
            all.extend([worker.requested_ns, worker.ready_ns, worker.exited_ns].into_iter().flatten());
            all.extend(worker.spans.iter().flat_map(|s| [Some(s.start_ns), s.end_ns]).flatten());
        } else if let Some(task) = self.task {
            all.extend(task.first_ns().into_iter().chain(task.gone_ns));
            let does = |slice: &Slice| match of_slices(std::slice::from_ref(slice), Window::new(slice.from_ns, slice.to_ns)) {
                Mark::Running(_) | Mark::Sharing(_) | Mark::SharingGil(_) => Mark::Running(0),
                other => other,
            };
            all.extend(task.slices.windows(2).filter(|pair| does(&pair[0]) != does(&pair[1])).map(|pair| pair[1].from_ns));
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// When all living tasks of a run were last looked at, while it runs.
#[must_use]
pub fn last_look_ns(run: &Run) -> Option<u64> {
    let tasks = run.trace.as_deref().filter(|_| !run.ended()).map_or(&[][..], |t| &t.tasks);
    let living = tasks.iter().filter(|task| task.gone_ns.is_none());
    // Tasks are looked at one after the other, and a look ends its slice: an instant before the earliest is within all.
    living.filter_map(|task| task.slices.last()).map(|slice| slice.to_ns.saturating_sub(1)).min()
}

/// The share of a window in which at least one task was looked at, 0 to 1.
#[must_use]
pub fn looked_at(run: &Run, window: Window) -> f64 {
    let tasks = run.trace.as_deref().map_or(&[][..], |t| &t.tasks);
    let slices = tasks.iter().flat_map(|t| &t.slices).filter(|s| window.overlap_ns(s.from_ns, s.to_ns) > 0);
    let mut parts: Vec<(u64, u64)> = slices.map(|s| (s.from_ns.max(window.from_ns), s.to_ns.min(window.to_ns))).collect();
    parts.sort_unstable();
    let (mut covered, mut end) = (0, window.from_ns);
    for (from, to) in parts {
        covered += to.saturating_sub(from.max(end));
        end = end.max(to);
    }
    covered as f64 / window.length_ns() as f64
}

/// How much went on at once while units of work were open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Degree {
    /// Units of work open, on average.
    pub concurrency: f64,
    /// Tasks of the workers on a CPU, on average; `None` if there was no look.
    pub parallelism: Option<f64>,
    /// Tasks ready to run that had to wait for a CPU, on average.
    pub wanting: Option<f64>,
    /// Over how long these are taken, nanoseconds.
    pub over_ns: u64,
}

/// It, over the time from the first unit's beginning to the last one's end; `None` before the first.
#[must_use]
pub fn degree(run: &Run, now_ns: u64) -> Option<Degree> {
    let spans = || run.workers.iter().flat_map(|w| &w.spans);
    let from = spans().map(|s| s.start_ns).min()?;
    let to = spans().map(|s| s.end_ns.unwrap_or(now_ns)).max()?;
    let window = Window::new(from, to);
    let length = window.length_ns() as f64;
    let open: u64 = spans().map(|s| window.overlap_ns(s.start_ns, s.end_ns.unwrap_or(now_ns))).sum();
    let tasks = run.trace.as_deref().map(|t| &t.tasks);
    let share = |of: fn(&Slice) -> u64| {
        let part = |s: &Slice| window.overlap_ns(s.from_ns, s.to_ns) as f64 / s.length_ns().max(1) as f64 * of(s) as f64;
        tasks.map(|tasks| tasks.iter().flat_map(|t| &t.slices).map(part).sum::<f64>() / length)
    };
    let (parallelism, wanting) = (share(|s| s.run_ns), share(|s| s.wait_ns));
    Some(Degree { concurrency: open as f64 / length, parallelism, wanting, over_ns: window.length_ns() })
}

/// Work that lasts for fewer looks than this shows nothing of how it ran.
const LOOKS_LEAST: u64 = 5;
/// CPUs that a run wanted and that others had, from which on that is said.
const TAKEN: f64 = 0.25;

/// The sentence that says what the picture shows; empty before there is anything to say.
#[must_use]
pub fn finding(run: &Run, cpus: u32, now_ns: u64) -> String {
    let Some(degree) = degree(run, now_ns) else { return String::new() };
    if run.workers.iter().map(|w| w.spans.len()).sum::<usize>() == 1 {
        return one_unit(run, &degree);
    }
    let open = format!("{:.1} tasks in progress", degree.concurrency);
    let (Some(parallel), Some(wanting)) = (degree.parallelism, degree.wanting) else { return open };
    if let Some(short) = too_short(run, &degree) {
        return short;
    }
    let facts = format!("{open}, {parallel:.1} on a CPU");
    let python = run.lang.as_deref().is_some_and(|l| l.starts_with("python"));
    let threads = run.workers.iter().all(|w| w.how.is_some_and(|h| !h.is_process()));
    // A task that is ready runs as soon as a CPU is free: what the run wanted and did not get, others had.
    let wanted = parallel + wanting;
    let taken = (wanted.min(f64::from(cpus)) - parallel).max(0.0);
    match () {
        () if degree.concurrency < 0.5 => format!("{facts}: mostly idle"),
        () if taken >= TAKEN => {
            let lanes =
                if python && threads && parallel <= 1.15 { "; whether the lanes can run in parallel is not seen" } else { "" };
            format!("{facts}, {wanting:.1} waiting for one: other processes or a CPU limit took {taken:.1} of {cpus} CPUs{lanes}")
        }
        () if degree.concurrency < 1.2 => format!("{facts}: one after the other"),
        () if parallel < 0.25 => format!("{facts}: waiting at the same time, almost no CPU"),
        () if wanting >= 0.5 => format!("{facts}, {wanting:.1} waiting for a CPU: more ready tasks than the {cpus} CPUs"),
        () if parallel <= 1.15 && python && threads => {
            format!("{facts}, never much above 1: the lanes alternate (GIL, or one thread)")
        }
        () if parallel <= 1.15 => format!("{facts}: overlapping, but not parallel"),
        () => format!("{facts}: parallel"),
    }
}

/// Why nothing can be said of work that lasted for few looks only; `None` if it lasted long enough.
fn too_short(run: &Run, degree: &Degree) -> Option<String> {
    let step_ns = run.trace.as_deref().map_or(0, |trace| trace.step_ns);
    let short = degree.over_ns < step_ns.saturating_mul(LOOKS_LEAST);
    short.then(|| format!("{} of work, sampled about every {}: too short to tell", duration(degree.over_ns), duration(step_ns)))
}

/// A single unit has nothing to be at once with.
fn one_unit(run: &Run, degree: &Degree) -> String {
    let took = format!("one task of {}", duration(degree.over_ns));
    let step_ns = run.trace.as_deref().map_or(0, |t| t.step_ns);
    match degree.parallelism {
        // Where in a look the work was is unknown.
        Some(_) if degree.over_ns < step_ns.saturating_mul(LOOKS_LEAST) => {
            format!("{took}, sampled about every {}: too short to tell", duration(step_ns))
        }
        Some(parallel) => format!("{took}, on a CPU for {:.0}% of it", (parallel * 100.0).min(100.0)),
        None => took,
    }
}

#[cfg(test)]
mod tests;
