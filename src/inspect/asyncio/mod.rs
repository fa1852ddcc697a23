//! The tasks and event loops of asyncio, read from outside.
//!
//! From 3.14 on each thread's state heads a list of its tasks, and `_asyncio` publishes the layout of a task ([`lists`]). For 3.9 to 3.13
//! tasks are found by the sets that `asyncio.tasks` keeps, and what awaits them by what their coroutines have in hand ([`sets`]).
//!
//! Tasks change while they are read: every task and coroutine is read twice, and one whose two readings disagree each time is given
//! without its coroutines. Counts and depths are bounded, circles are cut.

pub mod coroutines;
pub mod layout;
mod lists;
pub(super) mod loops;
mod sets;
#[cfg(test)]
mod tests;
pub(super) mod trio;
#[cfg(test)]
mod trio_tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::memory::{Fields, Memory, Reader};
use super::objects::Objects;
use super::offsets::Offsets;
use super::walk::{self, ListedThread, TRIES};
use super::{Trouble, soft};
use super::{names, native};
use crate::snapshot::{AsyncState, AsyncTask, Asyncio, AtQueue, PythonFrame, PythonRuntime, QueueWait, circles};

use coroutines::{Reading, Sort, Step};
use layout::{Published, TaskLayout};

/// The most tasks that are listed, and of which coroutines are read.
const MOST_TASKS: usize = 65_536;
const MOST_TOLD: usize = 8192;

/// The module that keeps the tasks before 3.14.
const MODULE: &str = "asyncio.tasks";
/// `tp_basicsize` (Include/cpython/object.h).
const TYPE_BASICSIZE: u64 = 32;

/// A task as it was in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RawTask {
    address: u64,
    event_loop: u64,
    state: i32,
    waiter: u64,
    coroutine: u64,
    name: u64,
    awaited_by: u64,
    is_set: bool,
}

/// All tasks at one time.
#[derive(Clone)]
struct Look {
    listed: Listed,
    tasks: HashMap<u64, (RawTask, Vec<Step>)>,
}

/// Where the tasks of a runtime are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found {
    /// The layout that `_asyncio` publishes.
    Published(Published),
    /// The sets of `asyncio.tasks`.
    Sets,
}

/// Tasks with the state of the thread that they belong to, 0 for none.
type Listed = Vec<(u64, u64)>;

/// Puts the tasks and loops into the runtime that was read at `address`, or the reason why they could not be read into its notes. `leader`
/// is the TID of the process's first task, as its own PID namespace numbers it.
///
/// # Errors
/// If nothing of the process can be read any more.
pub(super) fn read<M: Memory>(
    memory: &M,
    (address, leader): (u64, Option<u64>),
    offsets: &Offsets,
    found: Found,
    runtime: &mut PythonRuntime,
) -> Result<(), Trouble> {
    let mut objects = Objects::new(Reader::new(memory), offsets.clone());
    let interpreters = walk::listed(memory, address, offsets)?;
    let Some(layout) = offsets.coroutines else {
        let module = |one: &walk::Listed| matches!(names::variables(&mut objects, one.address, MODULE), Ok(Some(_)));
        if interpreters.iter().any(module) {
            runtime.notes.push("It uses asyncio, whose tasks cannot be read in this version of CPython.".to_owned());
        }
        return Ok(());
    };
    let mut asking = Asking::new(Reading::new(&mut objects, layout), offsets, found, &interpreters);
    let native = native::ids(asking.reading.objects, &asking.threads, leader)?;
    asking.threads.iter_mut().for_each(|thread| thread.native_id = native.of(thread));
    let read = asking.all(found, runtime);
    let notes = std::mem::take(&mut asking.notes);
    match read {
        Ok(asyncio) => {
            runtime.notes.extend(notes);
            runtime.asyncio = asyncio;
            Ok(())
        }
        Err(error @ Trouble::Read(_)) => Err(error),
        Err(error) => {
            runtime.notes.push(format!("The tasks of asyncio were not read: {error}."));
            Ok(())
        }
    }
}

/// What the columns show of asyncio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Brief {
    /// Tasks that are not done.
    pub tasks: u64,
    /// The longest time since a loop last came back from its selector; `None` if no loop runs, or none notes it.
    pub lag_ns: Option<u64>,
}

/// A thread whose event loop is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoopThread {
    /// Its state.
    pub address: u64,
    /// Whether one of its frames does the rounds of a loop.
    pub in_round: bool,
}

/// The number of tasks and the lag of loops alone; `None` if asyncio is not in use, or of a version whose tasks cannot be read.
///
/// # Errors
/// Why nothing was read; of [`Trouble::Torn`], the next reading may succeed.
pub(super) fn brief<M: Memory>(
    objects: &mut Objects<'_, M>,
    found: Found,
    interpreters: &[walk::Listed],
    threads: &[LoopThread],
    mut in_epoll: impl FnMut(u64) -> bool,
) -> Result<Option<Brief>, Trouble> {
    let offsets = objects.offsets.clone();
    let Some(layout) = offsets.coroutines else { return Ok(None) };
    let mut asking = Asking::new(Reading::new(objects, layout), &offsets, found, interpreters);
    let counted = asking.pending(found);
    asking.reading.objects.reader.keep_none();
    let Some(tasks) = counted? else { return Ok(None) };
    let run = match found {
        Found::Published(published) => asking.loops_published(&published)?,
        Found::Sets => HashMap::new(),
    };
    let mut lags = Vec::new();
    for thread in threads {
        if thread.in_round {
            lags.extend(asking.lag(thread.address)?);
        } else if run.contains_key(&thread.address) && in_epoll(thread.address) {
            lags.push(0);
        }
    }
    let lag_ns = lags.into_iter().max();
    Ok((tasks > 0 || lag_ns.is_some()).then_some(Brief { tasks, lag_ns }))
}

struct Asking<'o, 'm, M> {
    reading: Reading<'o, 'm, M>,
    /// `None` until a task was seen, whose type has the size, before 3.11.
    task: Option<TaskLayout>,
    interpreters: Vec<u64>,
    threads: Vec<ListedThread>,
    notes: Vec<String>,
}

impl<'o, 'm, M: Memory> Asking<'o, 'm, M> {
    fn new(reading: Reading<'o, 'm, M>, offsets: &Offsets, found: Found, interpreters: &[walk::Listed]) -> Self {
        let task = match found {
            Found::Published(published) => Some(published.task),
            Found::Sets if offsets.version.minor() < (3, 11) => None,
            Found::Sets => Some(TaskLayout::before_3_14(offsets.version.minor().1, reading.layout.header)),
        };
        Self {
            reading,
            task,
            interpreters: interpreters.iter().map(|one| one.address).collect(),
            threads: interpreters.iter().flat_map(|one| &one.threads).copied().collect(),
            notes: Vec::new(),
        }
    }

    /// How many tasks are not done; `None` if asyncio is not in use.
    fn pending(&mut self, found: Found) -> Result<Option<u64>, Trouble> {
        for _ in 0..TRIES {
            self.reading.objects.reader.keep_pages();
            let listed = match self.list(found) {
                Err(Trouble::Torn(_)) => continue,
                Ok(None) => return Ok(None),
                listed => listed?.unwrap_or_default(),
            };
            let mut count = 0;
            for (task, _) in listed {
                match self.raw(task) {
                    Ok(raw) => count += u64::from(raw.state == 0),
                    // It ended since.
                    Err(Trouble::Torn(_)) => {}
                    Err(other) => return Err(other),
                }
            }
            return Ok(Some(count));
        }
        Err(Trouble::Torn("its list of tasks changed"))
    }

    fn all(&mut self, found: Found, runtime: &PythonRuntime) -> Result<Option<Asyncio>, Trouble> {
        let looked = self.look_twice(found);
        self.reading.objects.reader.keep_none();
        let Some((first, second)) = looked? else { return Ok(None) };
        if first.listed != second.listed {
            self.notes.push(format!("Tasks started and ended during {TRIES} readings in a row: some may be missing."));
        }
        let running = self.running(found)?;
        let mut asyncio = Asyncio { task_count: second.listed.len(), ..Asyncio::default() };
        let mut waiters = HashMap::new();
        self.reading.objects.reader.keep_pages();
        for (task, _) in second.listed.iter().take(MOST_TOLD) {
            let agreed = second.tasks.get(task).filter(|now| first.tasks.get(task) == Some(now));
            let told = match agreed {
                Some((raw, steps)) if !running.contains_key(task) => self.told(raw, Some(steps), None, &mut waiters),
                _ => {
                    self.reading.objects.reader.keep_none();
                    let told = self.tell(*task, &running, &mut waiters);
                    self.reading.objects.reader.keep_pages();
                    told
                }
            };
            match told {
                Ok(Some(told)) => asyncio.tasks.push(told),
                // It ended since.
                Ok(None) | Err(Trouble::Torn(_)) => asyncio.task_count -= 1,
                Err(Trouble::TooMuch) => break,
                Err(other) => return Err(other),
            }
        }
        self.reading.objects.reader.keep_none();
        if asyncio.task_count > asyncio.tasks.len() {
            self.notes.push(format!("{} of its {} tasks of asyncio are read.", asyncio.tasks.len(), asyncio.task_count));
        }
        sets::link(&mut asyncio.tasks, &waiters);
        if asyncio.tasks.iter().any(|task| task.lock.is_some()) || !circles(&asyncio.tasks).is_empty() {
            for task in &mut asyncio.tasks {
                let Some((_, steps)) = second.tasks.get(&task.id) else { continue };
                (task.holds, task.timed) = self.reading.holds(steps)?;
                task.timed |= task.frames.iter().any(|frame| &*frame.function == "wait_for");
            }
        }
        let owners: HashMap<u64, u64> = second.listed.iter().copied().filter(|(_, thread)| *thread != 0).collect();
        asyncio.loops = self.loops(found, &asyncio.tasks, &owners, runtime)?;
        let nothing = asyncio.tasks.is_empty() && asyncio.loops.is_empty();
        Ok((!nothing).then_some(asyncio))
    }

    /// All tasks twice, until both lists agree or often enough; `None` if asyncio is not in use. What is the same in both was so at the
    /// moment between them.
    fn look_twice(&mut self, found: Found) -> Result<Option<(Look, Look)>, Trouble> {
        let mut before: Option<Look> = None;
        let mut pair = Err(Trouble::Torn("its list of tasks changed"));
        for _ in 0..=TRIES {
            self.reading.objects.reader.keep_pages();
            match self.look(found) {
                Ok(None) => return Ok(None),
                Ok(Some(now)) => {
                    let Some(first) = before.replace(now.clone()) else { continue };
                    let same = first.listed == now.listed;
                    pair = Ok(Some((first, now)));
                    if same {
                        break;
                    }
                }
                Err(Trouble::Torn(what)) if pair.is_err() => pair = Err(Trouble::Torn(what)),
                Err(Trouble::Torn(_)) => {}
                Err(Trouble::TooMuch) if pair.is_ok() => break,
                Err(other) => return Err(other),
            }
        }
        pair
    }

    fn look(&mut self, found: Found) -> Result<Option<Look>, Trouble> {
        let Some(listed) = self.list(found)? else { return Ok(None) };
        let mut tasks = HashMap::new();
        for (task, _) in listed.iter().take(MOST_TOLD) {
            match self.raw(*task).and_then(|raw| Ok((raw, self.reading.chain(raw.coroutine)?))) {
                Ok(read) => drop(tasks.insert(*task, read)),
                Err(Trouble::Torn(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(Some(Look { listed, tasks }))
    }

    /// The tasks now; `None` if asyncio is not in use.
    fn list(&mut self, found: Found) -> Result<Option<Listed>, Trouble> {
        match found {
            Found::Published(published) => self.list_published(&published).map(Some),
            Found::Sets => self.list_sets(),
        }
    }

    /// The tasks that a loop executes now, each with the state of its thread.
    fn running(&mut self, found: Found) -> Result<HashMap<u64, u64>, Trouble> {
        match found {
            Found::Published(published) => self.running_published(&published),
            Found::Sets => self.running_by_dict(),
        }
    }

    /// One task, read until two readings agree; `None` if there is no task any more.
    fn tell(
        &mut self,
        address: u64,
        running: &HashMap<u64, u64>,
        waiters: &mut HashMap<u64, Vec<u64>>,
    ) -> Result<Option<AsyncTask>, Trouble> {
        let mut raw = self.raw(address)?;
        let mut whole: Option<Vec<Step>> = None;
        for _ in 0..TRIES {
            let steps = match self.reading.chain(raw.coroutine) {
                Err(Trouble::Torn(_)) => None,
                steps => Some(steps?),
            };
            let now = self.raw(address)?;
            let same = now == raw;
            raw = now;
            if let Some(steps) = steps
                && same
                && self.reading.stands(&steps)?
            {
                whole = Some(steps);
                break;
            }
        }
        self.told(&raw, whole.as_deref(), running.get(&address).copied(), waiters)
    }

    /// What was read of a task: its coroutines if two readings agree, the state of the thread that runs it if one does.
    fn told(
        &mut self,
        raw: &RawTask,
        steps: Option<&[Step]>,
        thread: Option<u64>,
        waiters: &mut HashMap<u64, Vec<u64>>,
    ) -> Result<Option<AsyncTask>, Trouble> {
        let state = match raw.state {
            _ if thread.is_some() => AsyncState::Running,
            0 if self.waits(raw.waiter) => AsyncState::Waiting,
            0 => AsyncState::Ready,
            1 | 2 => AsyncState::Done,
            _ => return Err(Trouble::Torn("a task has no known state")),
        };
        // `asyncio.tasks` of 3.11 keeps those that have ended.
        if state == AsyncState::Done && !self.is_linked() {
            return Ok(None);
        }
        let mut moved = steps.is_none();
        let mut frames = Vec::new();
        match (thread.filter(|thread| *thread != 0), steps) {
            (Some(thread), _) => {
                let own = self.reading.frame_of(raw.coroutine)?;
                moved = !self.frames_down_to(thread, own, &mut frames)?;
            }
            (None, Some(steps)) => {
                if !self.is_linked() {
                    waiters.insert(raw.address, self.awaits(raw, steps)?);
                }
                moved |= !self.reading.frames(steps, &mut frames)?;
            }
            (None, None) => {}
        }
        if moved {
            frames.clear();
        }
        let awaited_by = self.awaited_by(raw)?;
        let name = self.name(raw.name)?;
        let lock = match (frames.first(), steps) {
            (Some(frame), Some(steps)) if &*frame.function == "Lock.acquire" && frame.file.ends_with("asyncio/locks.py") => {
                self.reading.innermost_self(steps)?
            }
            _ => None,
        };
        let queue = match steps {
            Some(steps) => self.queue(&frames, steps)?,
            None => None,
        };
        let (holds, timed) = (Vec::new(), false);
        let loop_id = raw.event_loop;
        Ok(Some(AsyncTask { id: raw.address, name, loop_id, state, frames, awaited_by, moved, lock, queue, holds, timed }))
    }

    /// The queue at whose method the coroutines wait.
    fn queue(&mut self, frames: &[PythonFrame], steps: &[Step]) -> Result<Option<AtQueue>, Trouble> {
        let is = |frame: &PythonFrame, function, file| &*frame.function == function && frame.file.ends_with(file);
        let at = |level: usize, function| frames.get(level).is_some_and(|frame| is(frame, function, "asyncio/queues.py"));
        let (level, wait) = match frames.first() {
            Some(inner) if is(inner, "Event.wait", "asyncio/locks.py") && at(1, "Queue.join") => (1, QueueWait::Join),
            _ if at(0, "Queue.get") => (0, QueueWait::Get),
            _ if at(0, "Queue.put") => (0, QueueWait::Put),
            _ => return Ok(None),
        };
        let steps = steps.get(..steps.len().saturating_sub(level)).unwrap_or_default();
        let Some(queue) = self.reading.innermost_self(steps)? else { return Ok(None) };
        let objects = &mut *self.reading.objects;
        let unfinished = match soft(names::attribute(objects, queue, "_unfinished_tasks"))?.flatten() {
            Some(number) => soft(objects.number(number))?.flatten(),
            None => None,
        };
        Ok(Some(AtQueue { queue, wait, unfinished }))
    }

    /// Whether that is a future: `None` stands there for a task that goes on at once.
    fn waits(&mut self, waiter: u64) -> bool {
        waiter != 0 && self.reading.sort_at(waiter).is_ok()
    }

    /// True if a task has a field for the tasks that await it (from 3.14 on).
    fn is_linked(&self) -> bool {
        self.task.is_some_and(|task| task.links.is_some())
    }

    fn task_layout(&mut self, address: u64) -> Result<TaskLayout, Trouble> {
        if let Some(known) = self.task {
            return Ok(known);
        }
        self.reading.sort_at(address)?;
        let Some(of) = self.reading.task_type else { return Err(Trouble::Torn("an object is no task")) };
        let size = self.reading.objects.reader.word(of.wrapping_add(TYPE_BASICSIZE))?;
        self.task = TaskLayout::before_3_11(size);
        self.task.ok_or(Trouble::Torn("its tasks have an unknown size"))
    }

    fn raw(&mut self, address: u64) -> Result<RawTask, Trouble> {
        let t = self.task_layout(address)?;
        let fields = Fields::read(&mut self.reading.objects.reader, address, &[t.size.saturating_sub(8)])?;
        let of = fields.word(self.reading.objects.offsets.object_type);
        if self.reading.sort(of)? != Sort::Task {
            return Err(Trouble::Torn("an object is no task"));
        }
        Ok(RawTask {
            address,
            event_loop: fields.word(t.event_loop),
            state: fields.int(t.state),
            waiter: fields.word(t.waiter),
            coroutine: fields.word(t.coroutine),
            name: fields.word(t.name),
            awaited_by: t.links.map_or(0, |links| fields.word(links.awaited_by)),
            is_set: t.links.is_some_and(|links| fields.byte(links.is_set) == 1),
        })
    }

    /// A string, or the number from which asyncio makes `Task-7` when it is asked.
    fn name(&mut self, address: u64) -> Result<Arc<str>, Trouble> {
        if self.reading.sort_at(address)? == Sort::Int {
            let number = self.reading.objects.number(address)?;
            return Ok(number.map_or_else(|| "Task".to_owned(), |number| format!("Task-{number}")).into());
        }
        self.reading.objects.string(address).map(Into::into)
    }

    /// The tasks that await it (from 3.14 on).
    fn awaited_by(&mut self, raw: &RawTask) -> Result<Vec<u64>, Trouble> {
        let Some(links) = self.task.and_then(|task| task.links) else { return Ok(Vec::new()) };
        let above = match raw {
            RawTask { awaited_by: 0, .. } => return Ok(Vec::new()),
            RawTask { is_set: true, awaited_by, .. } => self.reading.set(*awaited_by)?,
            RawTask { awaited_by, .. } => vec![*awaited_by],
        };
        let mut tasks = Vec::new();
        for task in above {
            if self.reading.objects.reader.bytes(task.wrapping_add(links.is_task), 1)? == [1] {
                tasks.push(task);
            }
        }
        tasks.sort_unstable();
        Ok(tasks)
    }

    /// All frames of a thread down to the frame at `last`; whether that is among them and all could be read.
    fn frames_down_to(&mut self, thread: u64, last: u64, frames: &mut Vec<PythonFrame>) -> Result<bool, Trouble> {
        let mut raw = Vec::new();
        let mut same = false;
        for _ in 0..TRIES {
            let now = match self.reading.objects.chain(thread) {
                Err(Trouble::Torn(_)) => continue,
                chain => chain?.0,
            };
            same = now == raw;
            raw = now;
            if same {
                break;
            }
        }
        if !same {
            return Ok(false);
        }
        let Some(at) = raw.iter().position(|frame| frame.address == last) else { return Ok(false) };
        raw.truncate(at + 1);
        self.reading.objects.fold(&raw, frames)
    }
}

/// The states of threads, each once.
fn addresses(threads: &[ListedThread]) -> HashSet<u64> {
    threads.iter().map(|thread| thread.address).collect()
}
