//! Samples which function each thread of a Python executes, and which thread holds the GIL.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::gil::{self, GilLane, Held};
use super::task::Task;
use super::{Lane, SHARE};
use crate::clock::{Clock as _, SystemClock, thread_cpu_ns};
use crate::inspect::{Attached, Looked, Stack, ThreadStack, sleeps_at};
use crate::kernel::DetailReader;
use crate::snapshot::{ProcKey, PythonFrame};

/// The shortest time between two rounds through all Pythons, and the time after which a part of a round is left for later.
const ROUND: Duration = Duration::from_millis(10);
const PART: Duration = Duration::from_millis(4);
/// Looks take a quarter of the share that all looking may take, but for this CPU time: finding a runtime takes longest.
const CREDIT: Duration = Duration::from_millis(30);
/// What was seen is no longer so after this time without a look.
const STALE_NS: u64 = 2_000_000_000;
/// The most processes whose functions cannot be read that are named.
const MOST_NOTES: usize = 3;
/// The most names that are remembered.
const MOST_NAMES: usize = 8192;
/// The most threads of a process that are asked whether they wait for the GIL.
const MOST_WAITERS: usize = 128;

/// One process.
#[derive(Debug)]
struct Python {
    attached: Attached,
    seen_ns: Option<u64>,
    gils: Vec<Gil>,
}

/// What the last look saw of one GIL.
#[derive(Debug)]
struct Gil {
    lane: GilLane,
    futexes: Range<u64>,
    holder: Option<i32>,
    waiters: u32,
}

/// The Pythons of a family.
#[derive(Debug, Default)]
pub(super) struct Pythons {
    known: HashMap<i32, Python>,
    /// The GILs of processes that have ended.
    ended: Vec<GilLane>,
    /// The processes that are still to be looked at in this round.
    left: Vec<i32>,
    next: Option<Instant>,
    /// When the first look was, and CPU time that all of them took.
    first: Option<Instant>,
    spent: Duration,
    /// Processes whose functions cannot be read.
    unread: usize,
    /// Names of functions, each once.
    names: HashMap<(Arc<str>, Arc<str>), Arc<str>>,
}

impl Pythons {
    /// True if a process of this PID was met: this one, or an earlier one.
    pub(super) fn has_met(&self, pid: i32) -> bool {
        self.known.contains_key(&pid)
    }

    /// The processes that the family has now, and the keys of those that may be new; any may be a Python.
    pub(super) fn meet(&mut self, pids: &[i32], keys: &[ProcKey]) {
        let there: HashSet<i32> = pids.iter().copied().collect();
        let new: HashMap<i32, ProcKey> = keys.iter().map(|key| (key.pid, *key)).collect();
        let is_gone = |pid: &i32, python: &mut Python| {
            !there.contains(pid) || new.get(pid).is_some_and(|key| *key != python.attached.key())
        };
        let gone = self.known.extract_if(is_gone);
        self.ended.extend(gone.flat_map(|(_, python)| python.gils).map(|gil| gil.lane));
        for key in keys {
            self.known.entry(key.pid).or_insert_with(|| Python::new(*key));
        }
    }

    /// Looks at those that are due. Sentences on what cannot be read.
    pub(super) fn look(&mut self, reader: &DetailReader, tasks: &mut HashMap<(i32, i32), Task>) -> Vec<String> {
        let (began, cpu) = (Instant::now(), thread_cpu_ns());
        let first = *self.first.get_or_insert(began);
        if self.known.is_empty() || self.next.is_some_and(|at| began < at) {
            return Vec::new();
        }
        if self.left.is_empty() {
            self.left = self.known.keys().copied().collect();
        }
        let mut notes = Vec::new();
        while let Some(pid) = self.left.pop() {
            let Some(python) = self.known.get_mut(&pid) else { continue };
            let unread = python.look(reader, tasks, &mut self.names);
            notes.extend(unread.and_then(|why| note(pid, &why, &mut self.unread)));
            if began.elapsed() >= PART {
                break;
            }
        }
        self.spent += Duration::from_nanos(thread_cpu_ns().saturating_sub(cpu));
        let paid_at = first + self.spent.saturating_sub(CREDIT) * (SHARE * 4);
        let pause = if self.left.is_empty() { ROUND } else { Duration::ZERO };
        self.next = Some((Instant::now() + pause).max(paid_at));
        notes
    }

    /// Whether a thread of this process that sleeps at this address waits for a GIL.
    pub(super) fn is_gil(&self, pid: i32, address: u64) -> bool {
        self.known.get(&pid).is_some_and(|python| python.gils.iter().any(|gil| gil.futexes.contains(&address)))
    }

    /// The GILs that were seen to be held, up to `to_ns`: the last look counts until now.
    pub(super) fn gils(&self, to_ns: u64) -> Vec<GilLane> {
        let mut gils = self.ended.clone();
        for python in self.known.values() {
            for gil in &python.gils {
                let mut lane = gil.lane.clone();
                if let Some(span) = python.span(to_ns) {
                    lane.add(gil.held(span));
                }
                gils.push(lane);
            }
        }
        gils
    }

    /// The lane of a task, with the function that it was seen in last.
    pub(super) fn lane(&self, task: &Task, to_ns: u64) -> Lane {
        let mut lane = task.lane.clone();
        let span = self.known.get(&lane.pid).and_then(|python| python.span(to_ns));
        if let (Some(function), Some(span)) = (&task.function, span) {
            lane.call(span, function);
        }
        lane
    }

    /// Forgets what ended before `from_ns`.
    pub(super) fn forget(&mut self, from_ns: u64) {
        let known = self.known.values_mut().flat_map(|python| &mut python.gils).map(|gil| &mut gil.lane);
        known.chain(&mut self.ended).for_each(|gil| gil.forget(from_ns));
        self.ended.retain(|gil| !gil.slices.is_empty());
    }
}

impl Gil {
    /// What the last look saw, as long as it counts.
    fn held(&self, (from_ns, to_ns): (u64, u64)) -> Held {
        Held { from_ns, to_ns, holder: self.holder, waiters: self.waiters }
    }
}

impl Python {
    fn new(key: ProcKey) -> Self {
        Self { attached: Attached::new(key), seen_ns: None, gils: Vec::new() }
    }

    /// From the last look until `to_ns`, if what it saw still counts.
    fn span(&self, to_ns: u64) -> Option<(u64, u64)> {
        self.seen_ns.filter(|seen| to_ns.saturating_sub(*seen) < STALE_NS).map(|seen| (seen, to_ns))
    }

    /// One look; why it cannot be read.
    fn look(
        &mut self,
        reader: &DetailReader,
        tasks: &mut HashMap<(i32, i32), Task>,
        names: &mut HashMap<(Arc<str>, Arc<str>), Arc<str>>,
    ) -> Option<String> {
        let pid = self.attached.key().pid;
        let looked = self.attached.look(reader, |tid| tasks.get(&(pid, tid)).is_some_and(Task::has_moved));
        let threads = match looked {
            Looked::Threads(threads) => threads,
            Looked::Failed => return None,
            Looked::NotPython | Looked::Unreadable(_) => {
                self.seen_ns = None;
                return if let Looked::Unreadable(why) = looked { Some(why) } else { None };
            }
        };
        let now_ns = SystemClock.boot_ns();
        let span = self.span(now_ns);
        self.seen_ns = Some(now_ns);
        if let Some(span) = span {
            self.end_span(span, tasks);
        }
        self.note_gils(reader, &threads, tasks, span.map(|(from_ns, _)| from_ns));
        for thread in threads {
            let Some(task) = tasks.get_mut(&(pid, thread.tid)) else { continue };
            // The main thread keeps the program's name.
            if let Some(name) = thread.name.filter(|_| thread.tid != pid) {
                task.lane.name = name;
            }
            match thread.stack {
                Stack::Skipped => {}
                Stack::Torn => task.function = None,
                Stack::Frames(frames) => task.function = label(&frames, names),
            }
            task.read_at = Some(task.last);
        }
        None
    }

    /// What the look before saw counts until now.
    fn end_span(&mut self, span: (u64, u64), tasks: &mut HashMap<(i32, i32), Task>) {
        let pid = self.attached.key().pid;
        for task in tasks.values_mut().filter(|task| task.lane.pid == pid) {
            if let Some(function) = &task.function {
                task.lane.call(span, function);
            }
        }
        for gil in &mut self.gils {
            let held = gil.held(span);
            gil.lane.add(held);
        }
    }

    /// Notes which threads hold and want each GIL now.
    fn note_gils(
        &mut self,
        reader: &DetailReader,
        threads: &[ThreadStack],
        tasks: &mut HashMap<(i32, i32), Task>,
        seen_ns: Option<u64>,
    ) {
        let pid = self.attached.key().pid;
        tasks.values_mut().filter(|task| task.lane.pid == pid).for_each(|task| task.seen_waiting = None);
        for gil in &mut self.gils {
            (gil.holder, gil.waiters) = (None, 0);
        }
        for thread in threads.iter().filter(|thread| thread.holds_gil) {
            let futexes = thread.gil_futexes.clone();
            match self.gils.iter_mut().find(|gil| gil.futexes == futexes) {
                Some(gil) => gil.holder = Some(thread.tid),
                None => {
                    let lane = GilLane { pid, address: futexes.start, slices: Vec::new() };
                    self.gils.push(Gil { lane, futexes, holder: Some(thread.tid), waiters: 0 });
                }
            }
        }
        let mut left = MOST_WAITERS;
        for thread in threads.iter().filter(|thread| !thread.holds_gil) {
            let held = |gil: &&mut Gil| gil.holder.is_some() && gil.futexes == thread.gil_futexes;
            let Some(gil) = self.gils.iter_mut().find(held).filter(|_| left > 0) else { continue };
            left -= 1;
            if sleeps_at(reader.files(), pid, thread.tid).is_some_and(|at| gil.futexes.contains(&at)) {
                gil.waiters += 1;
                if let Some(task) = tasks.get_mut(&(pid, thread.tid)) {
                    let wait: Arc<str> = gil::WAIT.into();
                    // A waiter wakes every few milliseconds to ask for the GIL: its waits since the look before were for it, too.
                    task.lane.name_waits(seen_ns.unwrap_or(u64::MAX), &wait);
                    (task.reason, task.seen_waiting) = (Some(Arc::clone(&wait)), Some(wait));
                }
            }
        }
    }
}

/// A sentence on a process whose functions cannot be read, as long as there are few of them.
fn note(pid: i32, why: &str, unread: &mut usize) -> Option<String> {
    *unread += 1;
    match *unread {
        ..=MOST_NOTES => Some(format!("process {pid}: {why}")),
        n if n == MOST_NOTES + 1 => Some("The functions of more processes cannot be read.".to_owned()),
        _ => None,
    }
}

/// What a stack is called on a lane: its innermost function of the user's own code and its file, without the line.
fn label(frames: &[PythonFrame], names: &mut HashMap<(Arc<str>, Arc<str>), Arc<str>>) -> Option<Arc<str>> {
    let frame = PythonFrame::innermost(frames)?;
    if names.len() >= MOST_NAMES {
        names.clear();
    }
    let key = (Arc::clone(&frame.function), Arc::clone(&frame.file));
    let name = names.entry(key).or_insert_with(|| format!("{} {}", frame.function, frame.file_name()).into());
    Some(Arc::clone(name))
}
