//! The content of a frame: a snapshot as its differences from the previous one, or complete (a key frame).
//!
//! Processes and tasks are encoded in the order of their ids as operations on the previous rows: N unchanged, N removed, one changed, one
//! new. Other values (identity, exact values, the machine) are written completely when they change.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::number;
use super::row::{self, PROCESS, ProcessRow, TASK, TaskRow};
use crate::snapshot::{
    Exact, HostSample, Identity, LifecycleEvent, ProcessSample, Snapshot, SourceReport, SystemInfo, TaskSample, TaskStates,
    give_back,
};

/// The most processes and the most tasks of a snapshot: more than Linux has had anywhere, little enough for their memory.
const MOST: [usize; 2] = [1 << 17, 1 << 19];

/// What a frame has of the machine.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    taken_ns: u64,
    /// If it is not that of the frame before.
    system: Option<SystemInfo>,
    host: HostSample,
    task_states: Option<TaskStates>,
    events: Vec<LifecycleEvent>,
    report: SourceReport,
}

/// One process as read back from frame to frame.
#[derive(Debug, Clone)]
struct Kept {
    row: ProcessRow,
    identity: Arc<Identity>,
    exact: Option<Arc<Exact>>,
    tasks: Vec<TaskRow>,
    read_after_ns: u64,
}

impl Kept {
    fn nothing() -> Self {
        Self { row: [0; PROCESS], identity: Arc::default(), exact: None, tasks: Vec::new(), read_after_ns: 0 }
    }
}

/// One process of a snapshot that is written, with its threads.
#[derive(Clone, Copy)]
struct Sampled<'a> {
    process: &'a ProcessSample,
    tasks: &'a [TaskSample],
}

impl<'a> Sampled<'a> {
    fn of(process: &'a ProcessSample, tasks: &'a [TaskSample]) -> Self {
        let range = process.tasks.start as usize..process.tasks.end as usize;
        Self { process, tasks: tasks.get(range).unwrap_or_default() }
    }

    fn same_exact(self, other: Self) -> bool {
        match (&self.process.exact, &other.process.exact) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a == b,
            (a, b) => a.is_none() && b.is_none(),
        }
    }

    fn same_identity(self, other: Self) -> bool {
        let (a, b) = (&self.process.identity, &other.process.identity);
        Arc::ptr_eq(a, b) || a == b
    }
}

/// What is done with rows before.
const SAME: u64 = 0;
const GONE: u64 = 1;
const CHANGED: u64 = 2;
const NEW: u64 = 3;

/// What beside its row has changed of a process.
const IDENTITY: u64 = 1;
const EXACT: u64 = 2;
const NO_EXACT: u64 = 4;
const TASKS: u64 = 8;

/// Writes operations, alike ones in a row as one.
struct Operations<'a> {
    out: &'a mut Vec<u8>,
    run: (u64, u64),
}

impl<'a> Operations<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, run: (SAME, 0) }
    }

    fn add(&mut self, what: u64) {
        if self.run.0 != what {
            self.flush();
            self.run.0 = what;
        }
        self.run.1 += 1;
    }

    fn flush(&mut self) {
        if self.run.1 > 0 {
            number::put(self.out, self.run.1 << 2 | self.run.0);
        }
        self.run.1 = 0;
    }

    /// One that is followed by what has changed.
    fn begin(&mut self, what: u64) -> &mut Vec<u8> {
        self.flush();
        number::put(self.out, what);
        self.out
    }

    /// What is left of the rows before is gone.
    fn end(mut self) {
        self.flush();
        number::put(self.out, GONE);
    }
}

fn serialized<T: Serialize>(out: &mut Vec<u8>, value: &T) -> Result<(), postcard::Error> {
    *out = postcard::to_extend(value, std::mem::take(out))?;
    Ok(())
}

/// Makes frames of snapshots, one after the other.
#[derive(Debug, Default)]
pub struct Encoder {
    system: Option<Arc<SystemInfo>>,
    /// Those of the frame before: their values are shared with the snapshots of that moment.
    processes: Vec<ProcessSample>,
    tasks: Vec<TaskSample>,
}

impl Encoder {
    /// The next frame must stand alone.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Appends the frame of a snapshot to `out`.
    ///
    /// # Errors
    /// What cannot be written: more processes or tasks than a recording holds.
    pub fn encode(&mut self, snapshot: &Snapshot, out: &mut Vec<u8>) -> Result<(), String> {
        self.encode_with(snapshot, snapshot.events.clone(), out)
    }

    /// Bytes of what the next snapshot is compared with, but for values that snapshots share.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.processes.capacity() * size_of::<ProcessSample>() + self.tasks.capacity() * size_of::<TaskSample>()
    }

    /// The same with other events in place of the snapshot's.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn encode_with(&mut self, snapshot: &Snapshot, events: Vec<LifecycleEvent>, out: &mut Vec<u8>) -> Result<(), String> {
        let sizes = [snapshot.processes.len(), snapshot.tasks.len()];
        if sizes[0] > MOST[0] || sizes[1] > MOST[1] {
            let [processes, tasks] = MOST;
            return Err(format!("a recording holds at most {processes} processes and {tasks} threads"));
        }
        let head = Head {
            taken_ns: snapshot.taken_ns,
            system: (self.system.as_ref() != Some(&snapshot.system)).then(|| SystemInfo::clone(&snapshot.system)),
            host: snapshot.host.clone(),
            task_states: snapshot.task_states,
            events,
            report: snapshot.report.clone(),
        };
        self.write(&head, snapshot, out).map_err(|error| format!("cannot write a snapshot: {error}"))?;
        self.system = Some(Arc::clone(&snapshot.system));
        self.processes.clone_from(&snapshot.processes);
        self.tasks.clone_from(&snapshot.tasks);
        give_back(&mut self.processes, 0);
        give_back(&mut self.tasks, 0);
        Ok(())
    }

    fn write(&self, head: &Head, snapshot: &Snapshot, out: &mut Vec<u8>) -> Result<(), postcard::Error> {
        serialized(out, head)?;
        let mut before = self.processes.iter().peekable();
        let mut operations = Operations::new(out);
        for process in &snapshot.processes {
            let pid = process.key.pid;
            while before.next_if(|old| old.key.pid < pid).is_some() {
                operations.add(GONE);
            }
            let now = Sampled::of(process, &snapshot.tasks);
            match before.next_if(|old| old.key.pid == pid) {
                Some(old) => put_change(&mut operations, Sampled::of(old, &self.tasks), now)?,
                None => put_new(operations.begin(NEW), now)?,
            }
        }
        operations.end();
        let mut last = 0;
        for process in &snapshot.processes {
            number::put(out, number::difference(last, process.read_after_ns));
            last = process.read_after_ns;
        }
        Ok(())
    }
}

/// A process that was there before.
fn put_change(operations: &mut Operations<'_>, from: Sampled<'_>, to: Sampled<'_>) -> Result<(), postcard::Error> {
    let exact = match (from.same_exact(to), &to.process.exact) {
        (true, _) => 0,
        (false, Some(_)) => EXACT,
        (false, None) => NO_EXACT,
    };
    let tasks = if from.tasks == to.tasks { 0 } else { TASKS };
    if to.process.rested_since(from.process) && exact | tasks == 0 {
        put_rest(operations, from.process, to.process);
        return Ok(());
    }
    let identity = if from.same_identity(to) { 0 } else { IDENTITY };
    let (before, now) = (row::of_process(from.process), row::of_process(to.process));
    if exact | identity | tasks == 0 && before == now {
        operations.add(SAME);
        return Ok(());
    }
    put_process(operations.begin(CHANGED), exact | identity | tasks, [&before, &now], from.tasks, to)
}

/// A process for which only time has passed: what [`put_change`] writes of it, without making its rows.
fn put_rest(operations: &mut Operations<'_>, from: &ProcessSample, to: &ProcessSample) {
    let off_ns = |process: &ProcessSample| process.seen().map_or(0, |seen| seen.off_ns);
    let by = number::difference(off_ns(from), off_ns(to));
    if by == 0 {
        return operations.add(SAME);
    }
    let out = operations.begin(CHANGED);
    [0, 1 << row::OFF_NS, by].into_iter().for_each(|part| number::put(out, part));
}

/// A process that was not there before: everything but what is empty.
fn put_new(out: &mut Vec<u8>, to: Sampled<'_>) -> Result<(), postcard::Error> {
    let exact = if to.process.exact.is_some() { EXACT } else { 0 };
    let identity = if *to.process.identity == Identity::default() { 0 } else { IDENTITY };
    let tasks = if to.tasks.is_empty() { 0 } else { TASKS };
    put_process(out, exact | identity | tasks, [&[0; PROCESS], &row::of_process(to.process)], &[], to)
}

fn put_process(
    out: &mut Vec<u8>,
    changed: u64,
    [before, now]: [&ProcessRow; 2],
    tasks_before: &[TaskSample],
    to: Sampled<'_>,
) -> Result<(), postcard::Error> {
    number::put(out, changed);
    number::put_row(out, before, now);
    if changed & IDENTITY != 0 {
        serialized(out, &*bounded(&to.process.identity))?;
    }
    if let (true, Some(values)) = (changed & EXACT != 0, &to.process.exact) {
        serialized(out, &**values)?;
    }
    if changed & TASKS != 0 {
        put_tasks(out, tasks_before, to.tasks);
    }
    Ok(())
}

/// The most of a command line that a recording holds, bytes: a frame of all processes must stay below [`super::layout::MOST_RAW_BYTES`].
const COMMAND_BYTES: usize = 32 * 1024;
/// The last argument of a command line that was cut for the recording.
const CUT: &[u8] = b"\0[recording: cut at 32 KiB]\0";

/// The identity with a command line that fits.
fn bounded(identity: &Identity) -> std::borrow::Cow<'_, Identity> {
    match identity.cmdline.as_deref() {
        Some(line) if line.len() > COMMAND_BYTES => {
            std::borrow::Cow::Owned(Identity { cmdline: Some([&line[..COMMAND_BYTES], CUT].concat().into()), ..identity.clone() })
        }
        _ => std::borrow::Cow::Borrowed(identity),
    }
}

fn put_tasks(out: &mut Vec<u8>, from: &[TaskSample], to: &[TaskSample]) {
    let mut before = from.iter().peekable();
    let mut operations = Operations::new(out);
    for task in to {
        while before.next_if(|old| old.tid < task.tid).is_some() {
            operations.add(GONE);
        }
        match before.next_if(|old| old.tid == task.tid) {
            Some(old) if old == task => operations.add(SAME),
            Some(old) => number::put_row(operations.begin(CHANGED), &row::of_task(old), &row::of_task(task)),
            None => number::put_row(operations.begin(NEW), &[0; TASK], &row::of_task(task)),
        }
    }
    operations.end();
}

/// Makes snapshots of frames, one after the other. Knows nothing after a frame that is damaged: the next must be a key frame.
#[derive(Debug, Default)]
pub struct Decoder {
    system: Option<Arc<SystemInfo>>,
    before: Vec<Kept>,
}

impl Decoder {
    /// The snapshot of a frame's content; `None` if it is none, or does not go with the frame before.
    pub fn decode(&mut self, mut bytes: &[u8]) -> Option<Snapshot> {
        let Self { system, before } = std::mem::take(self);
        let head: Head = serialized_at(&mut bytes)?;
        let system = head.system.map(Arc::new).or(system)?;
        let mut tasks_left = MOST[1];
        let mut now = merged(&mut bytes, before, MOST[0], Kept::nothing, |bytes, old| take_process(bytes, old, &mut tasks_left))?;
        let mut last = 0;
        for process in &mut now {
            last = number::add(last, number::take(&mut bytes)?);
            process.read_after_ns = last;
        }
        let ascending = now.is_sorted_by(|a, b| a.row[0].cast_signed() < b.row[0].cast_signed());
        if !bytes.is_empty() || !ascending {
            return None;
        }
        let count = now.iter().map(|process| process.tasks.len()).sum::<usize>();
        let (mut processes, mut tasks) = (Vec::with_capacity(now.len()), Vec::with_capacity(count.min(MOST[1])));
        for kept in &now {
            processes.push(sample(kept, &mut tasks)?);
        }
        self.before = now;
        self.system = Some(Arc::clone(&system));
        let Head { taken_ns, host, task_states, events, report, .. } = head;
        Some(Snapshot { taken_ns, system, host, processes, tasks, task_states, events, report })
    }
}

fn sample(kept: &Kept, tasks: &mut Vec<crate::snapshot::TaskSample>) -> Option<ProcessSample> {
    let mut process = row::to_process(&kept.row)?;
    let first = u32::try_from(tasks.len()).ok()?;
    for task in &kept.tasks {
        tasks.push(row::to_task(task).filter(|task| task.tgid == process.key.pid)?);
    }
    if tasks.len() > MOST[1] {
        return None;
    }
    process.tasks = first..u32::try_from(tasks.len()).ok()?;
    process.identity = Arc::clone(&kept.identity);
    process.exact.clone_from(&kept.exact);
    process.read_after_ns = kept.read_after_ns;
    Some(process)
}

fn serialized_at<'a, T: Deserialize<'a>>(bytes: &mut &'a [u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(bytes).ok()?;
    *bytes = rest;
    Some(value)
}

/// Carries the operations out on the rows before; `None` for more than `most` rows, or operations on rows that are not there.
fn merged<'a, T>(
    bytes: &mut &'a [u8],
    before: Vec<T>,
    most: usize,
    nothing: impl Fn() -> T,
    mut changed: impl FnMut(&mut &'a [u8], T) -> Option<T>,
) -> Option<Vec<T>> {
    let mut before = before.into_iter();
    let mut now = Vec::with_capacity(before.len());
    loop {
        let operation = number::take(bytes)?;
        let count = usize::try_from(operation >> 2).ok()?;
        match operation & 3 {
            GONE if count == 0 => return Some(now),
            SAME | GONE if count > before.len() => return None,
            SAME => now.extend(before.by_ref().take(count)),
            GONE => drop(before.by_ref().take(count).last()),
            CHANGED => now.push(changed(bytes, before.next()?)?),
            _ => now.push(changed(bytes, nothing())?),
        }
        if now.len() > most {
            return None;
        }
    }
}

fn take_process(bytes: &mut &[u8], old: Kept, tasks_left: &mut usize) -> Option<Kept> {
    let what = number::take(bytes)?;
    let mut kept = Kept { row: number::take_row(bytes, &old.row)?, ..old };
    if what & IDENTITY != 0 {
        kept.identity = Arc::new(serialized_at(bytes)?);
    }
    if what & EXACT != 0 {
        let exact: Exact = serialized_at(bytes)?;
        kept.exact = Some(Arc::new(exact));
    } else if what & NO_EXACT != 0 {
        kept.exact = None;
    }
    if what & TASKS != 0 {
        let row = |bytes: &mut &[u8], old: TaskRow| number::take_row(bytes, &old);
        kept.tasks = merged(bytes, std::mem::take(&mut kept.tasks), *tasks_left, || [0; TASK], row)?;
        *tasks_left = tasks_left.checked_sub(kept.tasks.len())?;
    }
    Some(kept)
}
