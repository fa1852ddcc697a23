//! Looks at the same Python many times a second: what does not change between two looks is found out once.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::memory::Reader;
use super::objects::{Known, Objects};
use super::offsets::Offsets;
use super::walk::{Listed, ListedThread, Walk};
use super::{Trouble, asyncio, in_words, names, native, runtime, tasks};
use crate::clock::{Clock as _, SystemClock};
use crate::kernel::DetailReader;
use crate::kernel::error::ReadError;
use crate::kernel::memory::ProcessMemory;
use crate::snapshot::{Gil, ProcKey, PythonFrame, PythonLook, PythonThreadLook, WaitReason};

/// The shortest time between two readings of the names of threads.
const NAMES_EVERY: Duration = Duration::from_secs(1);

/// The Python of one process.
#[derive(Debug)]
pub(super) struct Probe {
    key: ProcKey,
    memory: ProcessMemory,
    address: u64,
    offsets: Offsets,
    leader: Option<u64>,
    known: Known,
    /// TIDs by what Python calls them.
    numbers: HashMap<u64, i32>,
    names: Names,
    /// How the tasks of asyncio are found.
    pub(super) tasks: Option<asyncio::Found>,
}

/// Why a process has no probe.
#[derive(Debug)]
pub(super) enum Missed {
    /// It is no Python. An exec may make it one.
    NotPython,
    /// Its runtime is starting or ending, or changed while it was read: the next attempt may succeed.
    NotNow,
    /// It is a Python that cannot be read: why, in a sentence.
    Unreadable(String),
}

/// A thread at one look.
#[derive(Debug)]
pub struct ThreadStack {
    /// The kernel's number, as it is seen from here.
    pub tid: i32,
    /// Its name in `threading`; `None` where that is the kernel's name (3.14 and later), and if it was not read.
    pub name: Option<Arc<str>>,
    /// The address of its state.
    pub(super) address: u64,
    /// Whether it held its interpreter's GIL.
    pub holds_gil: bool,
    /// A thread that sleeps at a futex in there waits for the GIL.
    pub gil_futexes: Range<u64>,
    /// What it executes.
    pub stack: Stack,
}

/// Who has a GIL at one look.
#[derive(Debug)]
pub(super) struct GilLook {
    /// Whether there is one.
    pub is_there: bool,
    /// TIDs of the threads that hold one: each interpreter may have its own.
    pub holders: Vec<i32>,
    /// TIDs of the threads that wait for one; `None` if there are too many threads to ask.
    pub waiters: Option<Vec<i32>>,
}

/// What was read of a thread's frames.
#[derive(Debug)]
pub enum Stack {
    /// Not asked for.
    Skipped,
    /// Different at each of two readings.
    Torn,
    /// Innermost first.
    Frames(Vec<PythonFrame>),
}

/// The names of threads, kept from look to look.
#[derive(Debug, Default)]
struct Names {
    by_tid: HashMap<i32, Arc<str>>,
    read_next: Option<Instant>,
}

impl Names {
    /// Gives the threads their names. They are read again where one has none, at most once a second and for a hundredth of the time.
    fn give(
        &mut self,
        walk: &mut Walk<'_, ProcessMemory>,
        listed: &[Listed],
        threads: &mut [ThreadStack],
    ) -> Result<(), Trouble> {
        let has_new = threads.iter().any(|thread| !self.by_tid.contains_key(&thread.tid));
        let began = Instant::now();
        if has_new && self.read_next.is_none_or(|at| began >= at) {
            let main = listed.iter().find(|one| one.id == 0).map(|main| names::read(&mut walk.objects, main.address));
            let found = main.transpose()?.unwrap_or_default();
            let pthreads: HashMap<u64, u64> =
                listed.iter().flat_map(|one| &one.threads).map(|thread| (thread.address, thread.pthread)).collect();
            let name = |thread: &ThreadStack| Some((thread.tid, Arc::clone(found.get(pthreads.get(&thread.address)?)?)));
            self.by_tid = threads.iter().filter_map(name).collect();
            self.read_next = Some(Instant::now() + NAMES_EVERY.max(began.elapsed() * 100));
        }
        for thread in threads {
            thread.name = self.by_tid.get(&thread.tid).cloned();
        }
        Ok(())
    }
}

impl Probe {
    /// Finds the runtime of a process.
    ///
    /// # Errors
    /// Why there is none, or it cannot be read.
    pub(super) fn attach(reader: &DetailReader, key: ProcKey) -> Result<Self, Missed> {
        let face = reader.face(key.pid);
        Self::find(reader, key).map_err(|trouble| match trouble {
            Trouble::Nothing | Trouble::NotPython(_) | Trouble::Read(ReadError::Vanished) => Missed::NotPython,
            Trouble::NoInterpreter | Trouble::Torn(_) => Missed::NotNow,
            other => Missed::Unreadable(in_words(face, &other)),
        })
    }

    /// The same; the kinds of the error can be distinguished.
    pub(super) fn find(reader: &DetailReader, key: ProcKey) -> Result<Self, Trouble> {
        reader.identify(key)?;
        let found = runtime(reader, key, reader.face(key.pid))?;
        reader.identify(key)?;
        let super::Found { memory, address, offsets, leader, tasks, .. } = found;
        Ok(Self {
            key,
            memory,
            address,
            offsets,
            leader,
            known: Known::new(),
            numbers: HashMap::new(),
            names: Names::default(),
            tasks,
        })
    }

    /// One look: the frames of the threads that `wanted` chooses by their TIDs.
    ///
    /// # Errors
    /// Why nothing was read, in a sentence. The next look may succeed.
    pub(super) fn look(
        &mut self,
        reader: &DetailReader,
        mut wanted: impl FnMut(i32) -> bool,
    ) -> Result<Vec<ThreadStack>, String> {
        let (leader, key) = (self.leader, self.key);
        let mut names = std::mem::take(&mut self.names);
        let looked = self.walked(|walk, numbers| {
            let listed = walk.list()?;
            let mut threads = look(walk, &listed, leader, (reader, key), numbers, &mut wanted)?;
            names.give(walk, &listed, &mut threads)?;
            Ok(threads)
        });
        self.names = names;
        looked.map_err(|trouble| in_words(key.pid, &trouble))
    }

    /// What the columns show, without the looks at its GIL. Frames are read of so many threads at most.
    pub(super) fn brief(&mut self, reader: &DetailReader, most: usize) -> Result<PythonLook, Trouble> {
        let taken_ns = SystemClock.boot_ns();
        let (leader, key, found) = (self.leader, self.key, self.tasks);
        self.walked(|walk, numbers| {
            let listed = walk.list()?;
            let mut left = most;
            let mut wanted = |tid: i32| {
                let is_wanted = left > 0 || tid == key.pid;
                left = left.saturating_sub(1);
                is_wanted
            };
            let threads = look(walk, &listed, leader, (reader, key), numbers, &mut wanted)?;
            let mut in_loops = Vec::new();
            let mut brief: Vec<PythonThreadLook> = Vec::with_capacity(threads.len().min(most));
            let mut face = None;
            for thread in &threads {
                let Stack::Frames(frames) = &thread.stack else { continue };
                let in_round = frames.iter().any(|frame| asyncio::loops::is_round(&frame.function, &frame.file));
                in_loops.push(asyncio::LoopThread { address: thread.address, in_round });
                let shown = PythonFrame::innermost(frames);
                brief.push(PythonThreadLook {
                    tid: thread.tid,
                    place: shown.map(|frame| frame.place().into()),
                    held: 0,
                    wanted: 0,
                });
                face = face.or((thread.holds_gil && !frames.is_empty()).then_some(thread.tid));
            }
            brief.sort_unstable_by_key(|thread| thread.tid);
            let main = brief.iter().find(|thread| thread.tid == key.pid).or(brief.first()).map(|thread| thread.tid);
            let in_epoll = |address: u64| {
                let tid = threads.iter().find(|thread| thread.address == address).map(|thread| thread.tid);
                let found = tid.map(|tid| reader.threads_among(key.pid, &[tid])).unwrap_or_default();
                let wait = found.first().and_then(|thread| thread.wait.as_ref()?.reason.as_ref());
                matches!(wait, Some(WaitReason::Epoll { .. }))
            };
            let loops = match found {
                Some(found) => match asyncio::brief(&mut walk.objects, found, &listed, &in_loops, in_epoll) {
                    Err(Trouble::Torn(_) | Trouble::TooMuch) => None,
                    loops => loops?,
                },
                None => None,
            };
            Ok(PythonLook {
                taken_ns,
                face: face.or(main).unwrap_or(key.pid),
                threads: brief.into(),
                has_gil: false,
                gil: None,
                loop_lag_ns: loops.and_then(|loops| loops.lag_ns),
                async_tasks: loops.map(|loops| loops.tasks),
            })
        })
    }

    /// Which threads hold and want a GIL now.
    pub(super) fn gil(&mut self, reader: &DetailReader, most: usize) -> Result<GilLook, Trouble> {
        let (leader, key) = (self.leader, self.key);
        self.walked(|walk, numbers| {
            let listed = walk.list()?;
            let all: Vec<ListedThread> = listed.iter().flat_map(|one| &one.threads).copied().collect();
            let native = ids(walk, &all, leader, (reader, key), numbers)?;
            let mut found = GilLook { is_there: false, holders: Vec::new(), waiters: (all.len() <= most).then(Vec::new) };
            for one in &listed {
                let (state, holder) = walk.gil(one.gil, &all, &native)?;
                found.is_there |= state != Gil::Off;
                let futexes = walk.objects.offsets.gil_futexes(one.gil);
                for thread in &one.threads {
                    let Some(tid) = numbers.get(&native.of(thread)).copied() else { continue };
                    if holder == Some(thread.address) {
                        found.holders.push(tid);
                    } else if let Some(waiters) = &mut found.waiters
                        && (walk.requests_gil(thread.address)
                            || tasks::sleeps_at(reader.files(), key.pid, tid).is_some_and(|at| futexes.contains(&at)))
                    {
                        waiters.push(tid);
                    }
                }
            }
            Ok(found)
        })
    }

    /// Does something with what is known from the looks before.
    fn walked<T>(
        &mut self,
        work: impl FnOnce(&mut Walk<'_, ProcessMemory>, &mut HashMap<u64, i32>) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut objects = Objects::new(Reader::new(&self.memory), self.offsets.clone());
        objects.known = std::mem::take(&mut self.known);
        let mut walk = Walk::new(objects, self.address);
        let done = work(&mut walk, &mut self.numbers);
        self.known = std::mem::take(&mut walk.objects.known);
        done
    }
}

/// The TIDs of the threads as Python knows them; `numbers` has the kernel's.
fn ids(
    walk: &mut Walk<'_, ProcessMemory>,
    all: &[ListedThread],
    leader: Option<u64>,
    (reader, key): (&DetailReader, ProcKey),
    numbers: &mut HashMap<u64, i32>,
) -> Result<native::Ids, Trouble> {
    let native = native::ids(&mut walk.objects, all, leader)?;
    if all.iter().any(|thread| !numbers.contains_key(&native.of(thread))) {
        *numbers = tasks::native_ids(reader.files(), key.pid)?;
    }
    Ok(native)
}

fn look(
    walk: &mut Walk<'_, ProcessMemory>,
    listed: &[Listed],
    leader: Option<u64>,
    (reader, key): (&DetailReader, ProcKey),
    numbers: &mut HashMap<u64, i32>,
    wanted: &mut impl FnMut(i32) -> bool,
) -> Result<Vec<ThreadStack>, Trouble> {
    let all: Vec<ListedThread> = listed.iter().flat_map(|one| &one.threads).copied().collect();
    let native = ids(walk, &all, leader, (reader, key), numbers)?;
    let mut threads = Vec::with_capacity(all.len());
    for one in listed {
        let (_, holder) = walk.gil(one.gil, &all, &native)?;
        let gil_futexes = walk.objects.offsets.gil_futexes(one.gil);
        for thread in &one.threads {
            // Without a task it is just starting or ending, or left over from a fork.
            let Some(tid) = numbers.get(&native.of(thread)).copied() else { continue };
            let stack = if wanted(tid) {
                let frames = walk.objects.sampled(thread.address);
                walk.objects.reader.keep_none();
                frames?.map_or(Stack::Torn, Stack::Frames)
            } else {
                Stack::Skipped
            };
            let holds_gil = holder == Some(thread.address);
            threads.push(ThreadStack {
                tid,
                name: None,
                address: thread.address,
                holds_gil,
                gil_futexes: gil_futexes.clone(),
                stack,
            });
        }
    }
    Ok(threads)
}
