//! Looks at the counters of all tasks of a family every few milliseconds, at most a twenty-fifth of a CPU.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pythons::Pythons;
use super::task::Task;
use super::{Lane, Lanes, Resident, SHARE, gil};
use crate::clock::{Clock as _, SystemClock, thread_cpu_ns};
use crate::kernel::DetailReader;
use crate::kernel::parse::schedstat::Schedstat;
use crate::kernel::parse::stat::Stat;
use crate::kernel::parse::statm::Statm;
use crate::kernel::proc_fs::RelPath;
use crate::snapshot::{State, WaitReason};

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(2);
/// The shortest time between two searches for new tasks.
const SEARCH: Duration = Duration::from_millis(20);
/// The time between two readings of resident memory.
const RESIDENT: Duration = Duration::from_millis(100);
/// The most tasks, and slices of all together.
const MOST_TASKS: usize = 4096;
const MOST_SLICES: usize = 2_000_000;
/// The most files that are kept open.
const MOST_OPEN: usize = 512;
/// After so long in the same wait its reason is read.
const SETTLED: u32 = 2;

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
    tracer.lanes()
}

/// The lanes of a family of processes, which grow with each look.
#[derive(Debug, Default)]
pub struct Tracer {
    tasks: HashMap<(i32, i32), Task>,
    done: Vec<Lane>,
    slices: usize,
    /// Everything but the lanes.
    account: Lanes,
    pythons: Pythons,
    /// When new tasks are looked for next; `None` before the first time.
    search_at: Option<Instant>,
    /// When resident memory is read next.
    resident_at: Option<Instant>,
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
            // A search may take a quarter of the share, functions another one.
            self.search_at = Some(Instant::now() + SEARCH.max(took * SHARE * 4));
        }
        self.account.notes.extend(self.pythons.look(reader, &mut self.tasks));
        let now = SystemClock.boot_ns();
        self.account.widest_ns = self.account.widest_ns.max(self.last_look.map_or(0, |last| now.saturating_sub(last)));
        self.last_look = Some(now);
        self.look(reader);
        self.account.looks += 1;
        self.account.to_ns = SystemClock.boot_ns();
        self.account.cost_ns += thread_cpu_ns().saturating_sub(cpu);
        // What else is read has its own pauses.
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
                lane.forget(from_ns);
                slices += lane.slices.len() + lane.calls.len();
            }
            self.done.retain(|lane| !lane.slices.is_empty());
            self.pythons.forget(from_ns);
            self.account.resident.retain(|resident| resident.at_ns >= from_ns);
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
        let to_ns = self.account.to_ns;
        let open = self.tasks.values().map(|task| self.pythons.lane(task, to_ns));
        let lanes = open.chain(self.done.iter().cloned()).collect();
        sorted(Lanes { lanes, gils: self.pythons.gils(to_ns), ..self.account.clone() })
    }

    /// Takes in tasks that are new.
    fn search(&mut self, reader: &DetailReader, family: &mut impl FnMut(&DetailReader) -> Vec<i32>, first: bool) {
        let lanes = &mut self.account;
        let now = Instant::now();
        let reads_memory = self.resident_at.is_none_or(|at| now >= at);
        if reads_memory {
            self.resident_at = Some(now + RESIDENT);
        }
        let (mut pids, mut keys) = (Vec::new(), Vec::new());
        for pid in family(reader) {
            let mut tids = Vec::new();
            if reader.files().list_tids(pid, &mut tids).is_err() {
                continue;
            }
            pids.push(pid);
            if reads_memory && let Some(rss_bytes) = resident_bytes(reader, pid) {
                lanes.resident.push(Resident { pid, at_ns: SystemClock.boot_ns(), rss_bytes });
            }
            tids.retain(|tid| !self.tasks.contains_key(&(pid, *tid)));
            // A PID that is used again has new tasks.
            if !tids.is_empty() || !self.pythons.has_met(pid) {
                keys.extend(reader.key_of(pid));
            }
            if self.tasks.len() >= MOST_TASKS && !tids.is_empty() {
                note_more_tasks(&mut lanes.notes);
                continue;
            }
            for detail in reader.threads_among(pid, &tids) {
                if self.tasks.len() >= MOST_TASKS {
                    note_more_tasks(&mut lanes.notes);
                    break;
                }
                let path = RelPath::task(pid, detail.tid, "schedstat");
                let mut buffer = [0u8; 128];
                let bytes = reader.files().read_once(&path, &mut buffer);
                let Some(last) = bytes.ok().and_then(|bytes| Schedstat::parse(bytes).ok()) else { continue };
                let name: Arc<str> = String::from_utf8_lossy(detail.comm.as_bytes()).into();
                if let Entry::Vacant(unknown) = lanes.processes.entry(pid) {
                    unknown.insert(Arc::clone(&name));
                    lanes.parents.extend(parent(reader, pid).map(|parent| (pid, parent)));
                }
                if !first {
                    lanes.unseen_run_ns += last.run_ns;
                }
                let file = (self.tasks.len() < MOST_OPEN).then(|| reader.files().open_file(&path).ok()).flatten();
                let lane = Lane { pid, tid: detail.tid, name, born: !first, ..Lane::default() };
                let at_ns = SystemClock.boot_ns();
                let task =
                    Task { lane, file, last, at_ns, still: 0, reason: None, seen_waiting: None, function: None, read_at: None };
                self.tasks.insert((pid, detail.tid), task);
            }
        }
        self.pythons.meet(&pids, &keys);
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
                task.reason = reason(reader, *key, &self.pythons);
            }
            let before = task.lane.slices.len();
            let (run, ready) =
                (now.run_ns.saturating_sub(task.last.run_ns), now.run_delay_ns.saturating_sub(task.last.run_delay_ns));
            let reason = task.reason.as_ref().or(task.seen_waiting.as_ref());
            task.lane.add((task.at_ns, now_ns), run, ready, reason);
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

/// Notes, once, that there are more tasks than are traced.
fn note_more_tasks(notes: &mut Vec<String>) {
    let note = format!("Only {MOST_TASKS} tasks are traced at a time; there were more.");
    if !notes.contains(&note) {
        notes.push(note);
    }
}

/// What the task waits for.
fn reason(reader: &DetailReader, (pid, tid): (i32, i32), pythons: &Pythons) -> Option<Arc<str>> {
    let detail = reader.threads_among(pid, &[tid]).into_iter().next()?;
    match detail.wait.as_ref().and_then(|wait| wait.reason.as_ref()) {
        Some(WaitReason::Futex { address: Some(address) }) if pythons.is_gil(pid, *address) => Some(gil::WAIT.into()),
        // Addresses differ from run to run and split what is the same.
        Some(WaitReason::Futex { .. }) => Some("futex wait".into()),
        Some(reason) => Some(reason.to_string().into()),
        None if detail.state == State::ZOMBIE => Some("ended".into()),
        None => None,
    }
}

/// The parent of a process (proc_pid_stat(5), field 4).
fn parent(reader: &DetailReader, pid: i32) -> Option<i32> {
    let mut bytes = Vec::new();
    reader.files().read_all(&RelPath::process(pid, "stat"), 4096, &mut bytes).ok()?;
    Some(Stat::parse(&bytes).ok()?.ppid)
}

/// Resident memory (proc_pid_statm(5), second field).
fn resident_bytes(reader: &DetailReader, pid: i32) -> Option<u64> {
    let mut buffer = [0u8; 128];
    let bytes = reader.files().read_once(&RelPath::process(pid, "statm"), &mut buffer).ok()?;
    Some(Statm::parse(bytes).ok()?.resident_pages.saturating_mul(rustix::param::page_size() as u64))
}

fn sorted(mut lanes: Lanes) -> Lanes {
    lanes.gils.sort_by_key(|gil| (gil.pid, gil.address));
    lanes.lanes.sort_by_key(|lane| (lane.pid, lane.tid, lane.slices.first().map(|slice| slice.from_ns)));
    lanes
}
