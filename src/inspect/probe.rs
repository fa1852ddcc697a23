//! Looks at the same Python many times a second: what does not change between two looks is found out once.

use std::collections::HashMap;
use std::ops::Range;

use super::memory::Reader;
use super::objects::{Known, Objects};
use super::offsets::Offsets;
use super::walk::{ListedThread, Walk};
use super::{Trouble, in_words, native, runtime, tasks};
use crate::kernel::DetailReader;
use crate::kernel::error::ReadError;
use crate::kernel::memory::ProcessMemory;
use crate::snapshot::{ProcKey, PythonFrame, PythonVersion};

/// The Python of one process.
#[derive(Debug)]
pub struct Probe {
    key: ProcKey,
    memory: ProcessMemory,
    address: u64,
    offsets: Offsets,
    leader: Option<u64>,
    known: Known,
    /// TIDs by what Python calls them.
    numbers: HashMap<u64, i32>,
}

/// A thread at one look.
#[derive(Debug)]
pub struct ThreadStack {
    /// The kernel's number, as it is seen from here.
    pub tid: i32,
    /// Whether it held its interpreter's GIL.
    pub holds_gil: bool,
    /// A thread that sleeps at a futex in there waits for the GIL.
    pub gil_futexes: Range<u64>,
    /// What it executes.
    pub stack: Stack,
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

impl Probe {
    /// Finds the runtime of a process.
    ///
    /// # Errors
    /// Why it cannot be read, in a sentence.
    pub fn attach(reader: &DetailReader, key: ProcKey) -> Result<Self, String> {
        let face = reader.face(key.pid);
        let gone = |error: ReadError| in_words(face, &Trouble::Read(error));
        reader.identify(key).map_err(gone)?;
        let found = runtime(reader, key, face).map_err(|trouble| in_words(face, &trouble))?;
        reader.identify(key).map_err(gone)?;
        let super::Found { memory, address, offsets, leader, .. } = found;
        Ok(Self { key, memory, address, offsets, leader, known: Known::new(), numbers: HashMap::new() })
    }

    /// The version of its Python.
    #[must_use]
    pub fn version(&self) -> PythonVersion {
        self.offsets.version
    }

    /// One look: the frames of the threads that `wanted` chooses by their TIDs.
    ///
    /// # Errors
    /// Why nothing was read, in a sentence. The next look may succeed.
    pub fn look(&mut self, reader: &DetailReader, mut wanted: impl FnMut(i32) -> bool) -> Result<Vec<ThreadStack>, String> {
        let mut objects = Objects::new(Reader::new(&self.memory), self.offsets.clone());
        objects.known = std::mem::take(&mut self.known);
        let mut walk = Walk::new(objects, self.address);
        let mut numbers = std::mem::take(&mut self.numbers);
        let looked = look(&mut walk, self.leader, (reader, self.key), &mut numbers, &mut wanted);
        self.numbers = numbers;
        self.known = std::mem::take(&mut walk.objects.known);
        looked.map_err(|trouble| in_words(self.key.pid, &trouble))
    }
}

fn look(
    walk: &mut Walk<'_, ProcessMemory>,
    leader: Option<u64>,
    (reader, key): (&DetailReader, ProcKey),
    numbers: &mut HashMap<u64, i32>,
    wanted: &mut impl FnMut(i32) -> bool,
) -> Result<Vec<ThreadStack>, Trouble> {
    let listed = walk.list()?;
    let all: Vec<ListedThread> = listed.iter().flat_map(|one| &one.threads).copied().collect();
    let native = native::ids(&mut walk.objects, &all, leader)?;
    if all.iter().any(|thread| !numbers.contains_key(&native.of(thread))) {
        *numbers = tasks::native_ids(reader.files(), key.pid)?;
    }
    let mut threads = Vec::with_capacity(all.len());
    for one in &listed {
        let (_, holder) = walk.gil(one.gil, &all, &native)?;
        let gil_futexes = tasks::gil_futexes(one.gil, &walk.objects.offsets);
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
            threads.push(ThreadStack { tid, holds_gil: holder == Some(thread.address), gil_futexes: gil_futexes.clone(), stack });
        }
    }
    Ok(threads)
}
