//! Looks at the counters of all tasks of a family every few milliseconds, at most a twenty-fifth of a CPU.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Lane, Lanes};
use crate::clock::{Clock as _, SystemClock, thread_cpu_ns};
use crate::kernel::DetailReader;
use crate::kernel::parse::schedstat::Schedstat;
use crate::kernel::proc_fs::RelPath;
use crate::snapshot::{State, WaitReason};

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(2);
/// The part of a CPU that looking may take: one in so many.
pub const SHARE: u32 = 25;
/// The shortest time between two searches for new tasks.
const SEARCH: Duration = Duration::from_millis(20);
/// The most tasks, and slices of all together.
const MOST_TASKS: usize = 4096;
const MOST_SLICES: usize = 2_000_000;
/// The most files that are kept open.
const MOST_OPEN: usize = 512;
/// After so long in the same wait its reason is read.
const SETTLED: u32 = 2;

/// A task that is looked at.
#[derive(Debug)]
struct Task {
    lane: Lane,
    file: Option<OwnedFd>,
    last: Schedstat,
    at_ns: u64,
    /// Looks without any change.
    still: u32,
    reason: Option<Arc<str>>,
}

/// Traces a family until `is_over` says so, or the last task has ended. `family` lists its processes.
pub fn trace(
    reader: &DetailReader,
    mut family: impl FnMut(&DetailReader) -> Vec<i32>,
    mut is_over: impl FnMut() -> bool,
) -> Lanes {
    let mut tracer = Tracer::default();
    loop {
        let pause = tracer.step(reader, &mut family);
        if tracer.slices >= MOST_SLICES {
            tracer.account.notes.push(format!("Stopped early: {MOST_SLICES} slices are the most that are kept."));
            break;
        }
        if tracer.is_over() || is_over() {
            break;
        }
        std::thread::sleep(pause);
    }
    tracer.into_lanes()
}

/// The lanes of a family of processes, which grow with each look.
#[derive(Debug, Default)]
pub struct Tracer {
    tasks: HashMap<(i32, i32), Task>,
    done: Vec<Lane>,
    slices: usize,
    /// Everything but the lanes.
    account: Lanes,
    /// When new tasks are looked for next; `None` before the first time.
    search_at: Option<Instant>,
    last_look: Option<u64>,
}

impl Tracer {
    /// Looks at every task once; how long to wait before the next look, so that looking and searching stay within their share.
    pub fn step(&mut self, reader: &DetailReader, family: &mut impl FnMut(&DetailReader) -> Vec<i32>) -> Duration {
        let cpu = thread_cpu_ns();
        let (began, first) = (Instant::now(), self.search_at.is_none());
        if first {
            self.account.from_ns = SystemClock.boot_ns();
        }
        if self.search_at.is_none_or(|at| began >= at) {
            self.search(reader, family, first);
            let took = began.elapsed();
            // A search may take half of the share.
            self.search_at = Some(Instant::now() + SEARCH.max(took * SHARE * 2));
        }
        let now = SystemClock.boot_ns();
        self.account.widest_ns = self.account.widest_ns.max(self.last_look.map_or(0, |last| now.saturating_sub(last)));
        self.last_look = Some(now);
        self.look(reader);
        self.account.looks += 1;
        self.account.to_ns = SystemClock.boot_ns();
        self.account.cost_ns += thread_cpu_ns().saturating_sub(cpu);
        // The search is paid by its own pause.
        let took = Duration::from_nanos(self.account.to_ns.saturating_sub(now));
        SHORTEST.max(took * (SHARE * 2)).saturating_sub(took)
    }

    /// Whether no task is left.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Forgets what ended before `from_ns`, and the oldest time of all if there are more than `most` slices.
    pub fn keep(&mut self, mut from_ns: u64, most: usize) {
        let to_ns = self.account.to_ns;
        loop {
            let mut slices = 0;
            for lane in self.tasks.values_mut().map(|task| &mut task.lane).chain(&mut self.done) {
                let gone = lane.slices.partition_point(|slice| slice.to_ns < from_ns);
                lane.slices.drain(..gone);
                slices += lane.slices.len();
            }
            self.done.retain(|lane| !lane.slices.is_empty());
            self.slices = slices;
            self.account.from_ns = self.account.from_ns.max(from_ns);
            if slices <= most.max(self.tasks.len()) || from_ns >= to_ns {
                return;
            }
            from_ns = from_ns.max(self.account.from_ns).midpoint(to_ns);
        }
    }

    /// The lanes as they are now.
    #[must_use]
    pub fn lanes(&self) -> Lanes {
        let lanes = self.tasks.values().map(|task| &task.lane).chain(&self.done).cloned().collect();
        sorted(Lanes { lanes, ..self.account.clone() })
    }

    fn into_lanes(self) -> Lanes {
        let Self { tasks, mut done, account, .. } = self;
        done.extend(tasks.into_values().map(|task| task.lane));
        sorted(Lanes { lanes: done, ..account })
    }

    /// Takes in tasks that are new.
    fn search(&mut self, reader: &DetailReader, family: &mut impl FnMut(&DetailReader) -> Vec<i32>, first: bool) {
        let lanes = &mut self.account;
        for pid in family(reader) {
            let mut tids = Vec::new();
            if reader.files().list_tids(pid, &mut tids).is_err() {
                continue;
            }
            tids.retain(|tid| !self.tasks.contains_key(&(pid, *tid)));
            for detail in reader.threads_among(pid, &tids) {
                if self.tasks.len() >= MOST_TASKS {
                    let note = format!("Only {MOST_TASKS} tasks are traced at a time; there were more.");
                    if !lanes.notes.contains(&note) {
                        lanes.notes.push(note);
                    }
                    return;
                }
                let path = RelPath::task(pid, detail.tid, "schedstat");
                let mut buffer = [0u8; 128];
                let bytes = reader.files().read_once(&path, &mut buffer);
                let Some(last) = bytes.ok().and_then(|bytes| Schedstat::parse(bytes).ok()) else { continue };
                let name: Arc<str> = String::from_utf8_lossy(detail.comm.as_bytes()).into();
                lanes.processes.entry(pid).or_insert_with(|| Arc::clone(&name));
                if !first {
                    lanes.unseen_run_ns += last.run_ns;
                }
                let file = (self.tasks.len() < MOST_OPEN).then(|| reader.files().open_file(&path).ok()).flatten();
                let lane = Lane { pid, tid: detail.tid, name, born: !first, ended: false, slices: Vec::new() };
                let task = Task { lane, file, last, at_ns: SystemClock.boot_ns(), still: 0, reason: None };
                self.tasks.insert((pid, detail.tid), task);
            }
        }
    }

    fn look(&mut self, reader: &DetailReader) {
        let mut ended = Vec::new();
        for (key, task) in &mut self.tasks {
            let path = RelPath::task(key.0, key.1, "schedstat");
            let mut buffer = [0u8; 128];
            let files = reader.files();
            let bytes = match &task.file {
                Some(file) => files.reread(file.as_fd(), &path, &mut buffer),
                None => files.read_once(&path, &mut buffer),
            };
            let now_ns = SystemClock.boot_ns();
            let Some(now) = bytes.ok().and_then(|bytes| Schedstat::parse(bytes).ok()) else {
                ended.push(*key);
                continue;
            };
            let moved = now != task.last;
            task.still = if moved { 0 } else { task.still.saturating_add(1) };
            if moved {
                task.reason = None;
            } else if task.still == SETTLED {
                task.reason = reason(reader, *key);
            }
            let before = task.lane.slices.len();
            let (run, ready) =
                (now.run_ns.saturating_sub(task.last.run_ns), now.run_delay_ns.saturating_sub(task.last.run_delay_ns));
            task.lane.add((task.at_ns, now_ns), run, ready, task.reason.as_ref());
            // A wait that is counted when it ends replaces slices.
            self.slices = (self.slices + task.lane.slices.len()).saturating_sub(before);
            (task.last, task.at_ns) = (now, now_ns);
        }
        for key in ended {
            if let Some(mut task) = self.tasks.remove(&key) {
                task.lane.ended = true;
                self.done.push(task.lane);
            }
        }
    }
}

/// What the task waits for.
fn reason(reader: &DetailReader, (pid, tid): (i32, i32)) -> Option<Arc<str>> {
    let detail = reader.threads_among(pid, &[tid]).into_iter().next()?;
    match detail.wait.as_ref().and_then(|wait| wait.reason.as_ref()) {
        // Addresses differ from run to run and split what is the same.
        Some(WaitReason::Futex { .. }) => Some("futex wait".into()),
        Some(reason) => Some(reason.to_string().into()),
        None if detail.state == State::ZOMBIE => Some("ended".into()),
        None => None,
    }
}

fn sorted(mut lanes: Lanes) -> Lanes {
    lanes.lanes.sort_by_key(|lane| (lane.pid, lane.tid, lane.slices.first().map(|slice| slice.from_ns)));
    lanes
}
