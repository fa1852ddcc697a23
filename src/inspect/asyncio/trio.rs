//! The tasks of trio, each below the task in whose nursery it is.
//!
//! trio is written in Python: the frame of `trio.run()` has the `Runner` in its variable `runner`, whose set `tasks` has all tasks. Attributes of
//! both are slots; for each of them the class has a descriptor that leads to its place (`PyMemberDescrObject` of Include/cpython/descrobject.h).

use std::collections::{HashMap, HashSet};

use super::coroutines::{Reading, Step};
use super::loops::{in_epoll, tid};
use super::{Asking, Found, MOST_TOLD};
use crate::inspect::memory::{Memory, Reader};
use crate::inspect::objects::{Executed, Objects};
use crate::inspect::offsets::Offsets;
use crate::inspect::walk::{self, ListedThread, TRIES};
use crate::inspect::{Trouble, names, native, soft};
use crate::snapshot::{AsyncState, AsyncTask, Asyncio, EventLoop, LoopTurn, PythonRuntime, PythonThread};

/// The most base classes that are looked at, and the largest instance.
const MOST_BASES: usize = 16;
const LARGEST: u64 = 4096;
/// `tp_dict` of a type, so many bytes behind `tp_base` (Include/cpython/object.h).
const DICT_BEHIND_BASE: u64 = 8;
/// Behind a descriptor's header, type, name and qualified name: its `PyMemberDef`, which has the place behind name and type.
const MEMBER: u64 = 24;
const PLACE: u64 = 16;

const NO_TIME: &str = "trio does not note when it waited";

/// Whether that is the frame of `trio.run()`.
fn is_run(function: &str, file: &str) -> bool {
    function == "run" && file.ends_with("trio/_core/_run.py")
}

/// Puts the runs and tasks of trio into the runtime that was read at `address`, or the reason why they could not be read into its notes.
///
/// # Errors
/// If nothing of the process can be read any more.
pub(in crate::inspect) fn read<M: Memory>(
    memory: &M,
    (address, leader): (u64, Option<u64>),
    offsets: &Offsets,
    runtime: &mut PythonRuntime,
) -> Result<(), Trouble> {
    let threads = || runtime.interpreters.iter().flat_map(|one| &one.threads);
    let runs = |thread: &PythonThread| thread.frames.iter().any(|frame| is_run(&frame.function, &frame.file));
    let Some(layout) = offsets.coroutines.filter(|_| threads().any(runs)) else { return Ok(()) };
    let read = || {
        let mut objects = Objects::new(Reader::new(memory), offsets.clone());
        let interpreters = walk::listed(memory, address, offsets)?;
        let mut asking = Asking::new(Reading::new(&mut objects, layout), offsets, Found::Sets, &interpreters);
        let native = native::ids(asking.reading.objects, &asking.threads, leader)?;
        asking.threads.iter_mut().for_each(|thread| thread.native_id = native.of(thread));
        let known: HashMap<u64, &PythonThread> =
            threads().filter(|thread| runs(thread)).map(|thread| (thread.native_id, thread)).collect();
        Runs { asking: &mut asking, slots: HashMap::new() }.all(&known)
    };
    match read() {
        Ok(trio) => {
            if trio.task_count > trio.tasks.len() {
                runtime.notes.push(format!("{} of its {} tasks of trio are read.", trio.tasks.len(), trio.task_count));
            }
            runtime.trio = (!trio.loops.is_empty()).then_some(trio);
            Ok(())
        }
        Err(error @ Trouble::Read(_)) => Err(error),
        Err(error) => {
            runtime.notes.push(format!("The tasks of trio were not read: {error}."));
            Ok(())
        }
    }
}

/// A task as it was in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RawTask {
    coroutine: u64,
    name: u64,
    nursery: u64,
    /// What would end its wait early; None of one that does not wait.
    abort: u64,
}

type Look = (RawTask, Vec<Step>);

/// What all tasks of a run have in common.
struct Within {
    /// The state of its thread.
    thread: u64,
    frames: HashSet<u64>,
    /// The task that has opened a nursery.
    parents: HashMap<u64, Option<u64>>,
}

struct Runs<'a, 'o, 'm, M> {
    asking: &'a mut Asking<'o, 'm, M>,
    /// Where instances of a type have an attribute; `None` if that is no slot.
    slots: HashMap<(u64, &'static str), Option<u64>>,
}

impl<M: Memory> Runs<'_, '_, '_, M> {
    fn all(&mut self, threads: &HashMap<u64, &PythonThread>) -> Result<Asyncio, Trouble> {
        let mut trio = Asyncio::default();
        for listed in self.asking.threads.clone() {
            let Some(thread) = threads.get(&listed.native_id).copied() else { continue };
            if let Some(runner) = self.runner(&listed)? {
                self.run(runner, &listed, &mut trio)?;
                let turn = if in_epoll(Some(thread)) { LoopTurn::Waits } else { LoopTurn::Unknown(NO_TIME) };
                let (native_id, tid) = (Some(listed.native_id), tid(Some(thread)));
                trio.loops.push(EventLoop { id: runner, kind: "trio".into(), native_id, tid, turn });
            }
        }
        Ok(trio)
    }

    /// The `Runner` of the thread; `None` if it is in no run any more.
    fn runner(&mut self, thread: &ListedThread) -> Result<Option<u64>, Trouble> {
        for _ in 0..TRIES {
            match self.runner_once(thread.address) {
                Ok(None) | Err(Trouble::Torn(_)) => {}
                found => return found,
            }
        }
        Ok(None)
    }

    fn runner_once(&mut self, thread: u64) -> Result<Option<u64>, Trouble> {
        let (frames, _) = self.asking.reading.objects.chain(thread)?;
        for frame in &frames {
            let Some(Executed { code, function }) = self.asking.reading.objects.executed(frame)? else { continue };
            if is_run(&function, &code.file)
                && let Some(index) = self.asking.index_of("runner", frame.executable)?
            {
                let runner = self.asking.reading.local(frame.address, index)?;
                return Ok((runner != 0 && self.is_a(runner, "Runner")?).then_some(runner));
            }
        }
        Ok(None)
    }

    fn is_a(&mut self, object: u64, kind: &str) -> Result<bool, Trouble> {
        Ok(&*self.asking.reading.kind_of(object)? == kind)
    }

    /// Adds the tasks of a run.
    fn run(&mut self, runner: u64, thread: &ListedThread, trio: &mut Asyncio) -> Result<(), Trouble> {
        let mut listed = self.tasks(runner)?;
        trio.task_count += listed.len();
        listed.truncate(MOST_TOLD.saturating_sub(trio.tasks.len()));
        let first = self.looks(&listed)?;
        let mut second = self.looks(&listed)?;
        // Coroutines of the task that runs now are among the frames of the thread.
        let frames = soft(self.asking.reading.objects.chain(thread.address))?.unwrap_or_default().0;
        let mut within = Within {
            thread: thread.address,
            frames: frames.iter().map(|frame| frame.address).collect(),
            parents: HashMap::new(),
        };
        for task in listed {
            let agreed = second.remove(&task).filter(|now| first.get(&task) == Some(now));
            let told = match agreed {
                Some(look) => Ok(Some(look)),
                None => self.settled(task),
            };
            match told.and_then(|look| self.told((task, runner), look, &mut within)) {
                Ok(task) => trio.tasks.push(task),
                // It ended since.
                Err(Trouble::Torn(_)) => trio.task_count -= 1,
                Err(Trouble::TooMuch) => break,
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// The tasks of a run, in ascending order of their addresses.
    fn tasks(&mut self, runner: u64) -> Result<Vec<u64>, Trouble> {
        let mut tasks = Err(Trouble::Torn("its set of tasks changed"));
        for _ in 0..TRIES {
            let set = self.attribute(runner, "tasks").and_then(|set| self.asking.reading.set(set));
            match set {
                Err(Trouble::Torn(what)) => tasks = Err(Trouble::Torn(what)),
                set => {
                    tasks = set;
                    break;
                }
            }
        }
        let mut tasks = tasks?;
        tasks.sort_unstable();
        Ok(tasks)
    }

    /// Tasks now, those that can be read at once.
    fn looks(&mut self, tasks: &[u64]) -> Result<HashMap<u64, Look>, Trouble> {
        self.asking.reading.objects.reader.keep_pages();
        let mut looks = HashMap::new();
        let mut read = Ok(());
        for task in tasks {
            match self.look(*task) {
                Ok(look) => drop(looks.insert(*task, look)),
                Err(Trouble::Torn(_)) => {}
                Err(Trouble::TooMuch) => break,
                Err(other) => {
                    read = Err(other);
                    break;
                }
            }
        }
        self.asking.reading.objects.reader.keep_none();
        read.map(|()| looks)
    }

    fn look(&mut self, task: u64) -> Result<Look, Trouble> {
        let raw = self.raw(task)?;
        Ok((raw, self.asking.reading.chain(raw.coroutine)?))
    }

    fn raw(&mut self, task: u64) -> Result<RawTask, Trouble> {
        if !self.is_a(task, "Task")? {
            return Err(Trouble::Torn("an object is no task"));
        }
        Ok(RawTask {
            coroutine: self.attribute(task, "coro")?,
            name: self.attribute(task, "name")?,
            nursery: self.attribute(task, "_parent_nursery")?,
            abort: self.attribute(task, "_abort_func")?,
        })
    }

    /// One task, read until two readings agree; `None` if none do.
    fn settled(&mut self, task: u64) -> Result<Option<Look>, Trouble> {
        let mut before = None;
        for _ in 0..=TRIES {
            let now = soft(self.look(task))?;
            if now.is_some() && now == before {
                return Ok(now);
            }
            before = now;
        }
        Ok(None)
    }

    fn told(&mut self, (id, loop_id): (u64, u64), look: Option<Look>, within: &mut Within) -> Result<AsyncTask, Trouble> {
        let (raw, steps) = match look {
            Some((raw, steps)) => (raw, Some(steps)),
            None => (self.raw(id)?, None),
        };
        let own = self.asking.reading.frame_of(raw.coroutine)?;
        let mut frames = Vec::new();
        let is_running = within.frames.contains(&own) && self.asking.frames_down_to(within.thread, own, &mut frames)?;
        let mut moved = false;
        if !is_running {
            frames.clear();
            moved = match &steps {
                Some(steps) => !self.asking.reading.frames(steps, &mut frames)?,
                None => true,
            };
        }
        if moved {
            frames.clear();
        }
        let state = match is_running {
            true => AsyncState::Running,
            false if self.is_a(raw.abort, "NoneType")? => AsyncState::Ready,
            false => AsyncState::Waiting,
        };
        let parent = match within.parents.get(&raw.nursery) {
            Some(known) => *known,
            None => {
                let parent = self.parent(raw.nursery)?;
                within.parents.insert(raw.nursery, parent);
                parent
            }
        };
        Ok(AsyncTask {
            id,
            name: self.asking.reading.objects.string(raw.name)?.into(),
            loop_id,
            state,
            frames,
            awaited_by: parent.into_iter().collect(),
            moved,
            lock: None,
            queue: None,
            holds: Vec::new(),
            timed: false,
        })
    }

    /// The task that has opened the nursery; the first task of a run is in none.
    fn parent(&mut self, nursery: u64) -> Result<Option<u64>, Trouble> {
        match self.is_a(nursery, "Nursery")? {
            true => self.attribute(nursery, "_parent_task").map(Some),
            false => Ok(None),
        }
    }

    fn attribute(&mut self, object: u64, name: &'static str) -> Result<u64, Trouble> {
        let objects = &mut *self.asking.reading.objects;
        let of = objects.reader.word(object.wrapping_add(objects.offsets.object_type))?;
        let slot = match self.slots.get(&(of, name)) {
            Some(known) => *known,
            None => {
                let slot = self.slot(of, name)?;
                self.slots.insert((of, name), slot);
                slot
            }
        };
        let objects = &mut *self.asking.reading.objects;
        let value = match slot {
            Some(at) => Some(objects.reader.word(object.wrapping_add(at))?).filter(|value| *value != 0),
            None => names::attribute(objects, object, name)?,
        };
        value.ok_or(Trouble::Torn("an object of trio lacks an attribute: its version is not known"))
    }

    /// Where instances of the class at `of` have the attribute, if it is a slot.
    fn slot(&mut self, of: u64, name: &str) -> Result<Option<u64>, Trouble> {
        let layout = self.asking.reading.layout;
        let mut class = of;
        for _ in 0..MOST_BASES {
            if class == 0 {
                break;
            }
            let objects = &mut *self.asking.reading.objects;
            let dict = objects.reader.word(class.wrapping_add(layout.type_base + DICT_BEHIND_BASE))?;
            let found = if dict == 0 { None } else { names::find(objects, dict, name)? };
            if let Some(descriptor) = found {
                if !self.is_a(descriptor, "member_descriptor")? {
                    return Ok(None);
                }
                let reader = &mut self.asking.reading.objects.reader;
                let member = reader.word(descriptor.wrapping_add(layout.header + MEMBER))?;
                let place = reader.word(member.wrapping_add(PLACE))?;
                return Ok(Some(place).filter(|place| (layout.header..LARGEST).contains(place)));
            }
            class = objects.reader.word(class.wrapping_add(layout.type_base))?;
        }
        Ok(None)
    }
}
