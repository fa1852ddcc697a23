//! Which thread of a Python program must act before another gets its lock.
//!
//! `threading.Lock` records no owner: a thread has it that is within `with lock:` ([`super::blocks`]). `threading.RLock` records its owner.
//! A waiter sleeps at the lock's own semaphore until 3.12 or 3.13; later it sleeps at a semaphore on its stack, behind which its `wait_entry`
//! has the lock's address (Python/parking_lot.c). `Thread.join()` waits for the thread itself. The lock of a module that is being imported
//! records its owner (Lib/importlib/_bootstrap.py).

use std::collections::{BTreeMap, HashMap, HashSet};

use super::asyncio::layout::Coroutines;
use super::memory::{Fields, Memory, Reader};
use super::objects::{Executed, Kind, Objects};
use super::stack::Raw;
use super::walk::{ListedThread, Walk};
use super::{Trouble, in_words, names, native, runtime, soft, tasks};
use crate::kernel::DetailReader;
use crate::kernel::error::ReadError;
use crate::kernel::memory::ProcessMemory;
use crate::snapshot::{ProcKey, PythonFrame};

/// The most threads whose frames are read, and the most frames of one.
const MOST_THREADS: usize = 512;
const MOST_FRAMES: usize = 256;
/// How many of a waiter's innermost frames may have its lock in hand.
const IN_HAND: usize = 2;
/// Bytes from `addr` of a `wait_entry` to its semaphore (3.13 and later).
const PARKED_BEFORE: u64 = 8;
/// Bytes from `ident` and `os_handle` of a `ThreadHandle` to the word with the event that is set when the thread ends
/// (Modules/_threadmodule.c).
const IDENT_BEFORE: u64 = 24;
const HANDLE_BEFORE: u64 = 16;

/// The thread that must act before another one goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its TID.
    pub tid: i32,
    /// The evidence for it.
    pub how: How,
    /// Where the function with the lock's `with` block stands now, if that is known.
    pub at: Option<PythonFrame>,
}

/// The evidence for a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It is within the `with` block of the lock.
    Block,
    /// The lock records it: `threading.RLock`.
    Recorded,
    /// It is the thread that `Thread.join()` waits for.
    Join,
    /// It imports the module that the waiter imports too.
    Import,
}

/// A semaphore of `multiprocessing` that a thread has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Semaphore {
    /// The thread.
    pub tid: i32,
    /// Where it is in the process's memory.
    pub address: u64,
    /// Where the function with its `with` block stands now, if that is known.
    pub at: Option<PythonFrame>,
}

/// Locks that the threads of a process hold and wait for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locks {
    /// By the TID of the thread that waits.
    pub holders: BTreeMap<i32, Holder>,
    /// Semaphores that are shared with other processes.
    pub semaphores: Vec<Semaphore>,
}

/// A lock in hand.
struct Held {
    tid: i32,
    /// The address by which its waiters know it.
    word: u64,
    how: How,
    at: Option<PythonFrame>,
}

/// Reads the locks of a process. `waiting` has the futexes at which its threads sleep, by TID.
///
/// # Errors
/// Why nothing was read, in a sentence.
pub fn locks(reader: &DetailReader, key: ProcKey, waiting: &BTreeMap<i32, u64>) -> Result<Locks, String> {
    let face = reader.face(key.pid);
    let said = |trouble: &Trouble| in_words(face, trouble);
    let gone = |error: ReadError| said(&Trouble::Read(error));
    reader.identify(key).map_err(gone)?;
    let found = runtime(reader, key, face).map_err(|trouble| said(&trouble))?;
    let Some(layout) = found.offsets.coroutines else { return Ok(Locks::default()) };
    let objects = Objects::new(Reader::new(&found.memory), found.offsets.clone());
    let mut walk = Walk::new(objects, found.address);
    let numbers = tasks::native_ids(reader.files(), key.pid).map_err(gone)?;
    let read = |walk: &mut Walk<'_, ProcessMemory>| -> Result<Locks, Trouble> {
        let all: Vec<ListedThread> = walk.list()?.iter().flat_map(|one| &one.threads).copied().take(MOST_THREADS).collect();
        let native = native::ids(&mut walk.objects, &all, found.leader)?;
        let threads: Vec<(i32, ListedThread)> =
            all.iter().filter_map(|thread| Some((*numbers.get(&native.of(thread))?, *thread))).collect();
        let mut asking =
            Asking { objects: &mut walk.objects, layout, threads: &threads, held: Vec::new(), semaphores: Vec::new() };
        asking.locks(waiting, &numbers)
    };
    let locks = read(&mut walk).map_err(|trouble| said(&trouble))?;
    reader.identify(key).map_err(gone)?;
    Ok(locks)
}

struct Asking<'o, 'm, 't, M> {
    objects: &'o mut Objects<'m, M>,
    layout: Coroutines,
    threads: &'t [(i32, ListedThread)],
    held: Vec<Held>,
    semaphores: Vec<Semaphore>,
}

impl<M: Memory> Asking<'_, '_, '_, M> {
    fn locks(&mut self, waiting: &BTreeMap<i32, u64>, numbers: &HashMap<u64, i32>) -> Result<Locks, Trouble> {
        let mut joins = BTreeMap::new();
        for (tid, thread) in self.threads {
            let Some((frames, _)) = soft(self.objects.chain(thread.address))? else { continue };
            soft(self.of_thread(*tid, thread, &frames, waiting.contains_key(tid)))?;
            let Some(futex) = waiting.get(tid) else { continue };
            if let Some(joined) = soft(self.joined(*futex, &frames, numbers))?.flatten() {
                joins.insert(*tid, Holder { tid: joined, how: How::Join, at: None });
            } else if let Some(importer) = soft(self.importer(&frames))?.flatten() {
                joins.insert(*tid, Holder { tid: importer, how: How::Import, at: None });
            }
        }
        let mut holders = joins;
        for (tid, futex) in waiting {
            let parked = self.parked(*futex);
            let of: Vec<&Held> = self.held.iter().filter(|held| held.word == *futex || Some(held.word) == parked).collect();
            // A lock has one owner. Two at once were read at different moments.
            let mut tids: Vec<i32> = of.iter().map(|held| held.tid).collect();
            tids.dedup();
            if let ([only], Some(held)) = (&tids[..], of.iter().find(|held| held.at.is_some()).or(of.first())) {
                holders.insert(*tid, Holder { tid: *only, how: held.how, at: held.at.clone() });
            }
        }
        Ok(Locks { holders, semaphores: std::mem::take(&mut self.semaphores) })
    }

    /// The address that the thread of this futex is parked at; `None` before 3.13.
    fn parked(&mut self, futex: u64) -> Option<u64> {
        let parks = self.objects.offsets.version.minor() >= (3, 13);
        parks.then(|| self.objects.reader.word(futex.wrapping_sub(PARKED_BEFORE)).ok()).flatten()
    }

    /// Notes what a thread has in hand.
    fn of_thread(&mut self, tid: i32, thread: &ListedThread, frames: &[Raw], waits: bool) -> Result<(), Trouble> {
        // `Condition.wait()` gives the condition's lock away.
        let mut given = HashSet::new();
        for (depth, frame) in frames.iter().filter(|frame| frame.has_code()).take(MOST_FRAMES).enumerate() {
            let Some(Executed { code, function }) = self.objects.executed(frame)? else { return Ok(()) };
            if &*function == "Condition.wait" && code.file.ends_with("threading.py") {
                let condition = self.local(frame)?;
                match names::attribute(self.objects, condition, "_lock") {
                    Ok(Some(lock)) => drop(given.insert(lock)),
                    // The lock is unknown: it may be any.
                    _ => return Ok(()),
                }
            }
            let blocks = soft(self.objects.blocks(&self.layout, frame))?.unwrap_or_default();
            for object in blocks {
                let lock = soft(self.lock_in(object))?.flatten();
                if let Some((lock, kind)) = lock.filter(|(lock, _)| !given.contains(lock)) {
                    let at = self.frame(frame)?;
                    soft(self.note((tid, thread), (lock, kind), at))?;
                }
            }
            // The owner of a lock that is taken without `with` is known if the lock records it.
            if waits && depth < IN_HAND {
                for object in soft(self.objects.near(&self.layout, frame))?.unwrap_or_default() {
                    if let Some((lock, Kind::RLock)) = soft(self.lock_in(object))?.flatten() {
                        soft(self.note((tid, thread), (lock, Kind::RLock), None))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn frame(&mut self, frame: &Raw) -> Result<Option<PythonFrame>, Trouble> {
        let mut frames = Vec::new();
        self.objects.fold(std::slice::from_ref(frame), &mut frames)?;
        Ok(frames.into_iter().next())
    }

    /// The first local variable: `self` of a method.
    fn local(&mut self, frame: &Raw) -> Result<u64, Trouble> {
        Ok(self.objects.reader.word(frame.address.wrapping_add(self.layout.locals))? & !7)
    }

    /// The lock that an object is or, as a condition and the locks of `multiprocessing`, has.
    fn lock_in(&mut self, object: u64) -> Result<Option<(u64, Kind)>, Trouble> {
        if let Some(kind) = self.kind(object)? {
            return Ok(Some((object, kind)));
        }
        for name in ["_lock", "_semlock"] {
            if let Some(inner) = names::attribute(self.objects, object, name)?
                && let Some(kind) = self.kind(inner)?
            {
                return Ok(Some((inner, kind)));
            }
        }
        Ok(None)
    }

    fn kind(&mut self, object: u64) -> Result<Option<Kind>, Trouble> {
        let of = self.objects.reader.word(object.wrapping_add(self.objects.offsets.object_type))?;
        for kind in [Kind::Lock, Kind::RLock, Kind::SemLock] {
            if self.objects.is(kind, of)? {
                return Ok(Some(kind));
            }
        }
        Ok(None)
    }

    /// Notes a lock, if this thread, or the one that it records, has it.
    fn note(
        &mut self,
        (tid, thread): (i32, &ListedThread),
        (lock, kind): (u64, Kind),
        at: Option<PythonFrame>,
    ) -> Result<(), Trouble> {
        let first = self.layout.header;
        let fields = Fields::read(&mut self.objects.reader, lock, &[first, first + 8, first + 16])?;
        if kind == Kind::SemLock {
            // `handle`, `last_tid`, `count`, `maxvalue` (Modules/_multiprocessing/semaphore.c).
            let (count, most) = (fields.int(first + 16), fields.int(first + 20));
            if count > 0 && most == 1 && fields.word(first + 8) == thread.pthread {
                self.semaphores.push(Semaphore { tid, address: fields.word(first), at });
            }
            return Ok(());
        }
        // Until 3.13 a lock has a pointer to its semaphore, since then it is a byte.
        let inline = self.objects.offsets.version.minor() >= (3, 14);
        let word = if inline { lock.wrapping_add(first) } else { fields.word(first) };
        if kind == Kind::Lock {
            self.held.push(Held { tid, word, how: How::Block, at });
            return Ok(());
        }
        let owner = fields.word(first + 8);
        if let Some((tid, _)) = self.threads.iter().find(|(_, thread)| owner != 0 && thread.pthread == owner) {
            let at = at.filter(|_| owner == thread.pthread);
            self.held.push(Held { tid: *tid, word, how: How::Recorded, at });
        }
        Ok(())
    }

    /// The thread that imports the module which these frames wait for.
    fn importer(&mut self, frames: &[Raw]) -> Result<Option<i32>, Trouble> {
        for frame in frames.iter().filter(|frame| frame.has_code()).take(IN_HAND) {
            let Some(Executed { code, function }) = self.objects.executed(frame)? else { return Ok(None) };
            if &*function != "_ModuleLock.acquire" || !code.file.ends_with("importlib._bootstrap>") {
                continue;
            }
            let lock = self.local(frame)?;
            let Some(owner) = names::attribute(self.objects, lock, "owner")? else { return Ok(None) };
            let owner = self.objects.number(owner)?;
            return Ok(self.threads.iter().find(|(_, thread)| Some(thread.pthread) == owner).map(|(tid, _)| *tid));
        }
        Ok(None)
    }

    /// The thread that `Thread.join()` waits for.
    fn joined(&mut self, futex: u64, frames: &[Raw], numbers: &HashMap<u64, i32>) -> Result<Option<i32>, Trouble> {
        for frame in frames.iter().filter(|frame| frame.has_code()).take(IN_HAND) {
            let Some(Executed { code, function }) = self.objects.executed(frame)? else { return Ok(None) };
            let join = matches!(&*function, "Thread.join" | "Thread._wait_for_tstate_lock");
            if !join || !code.file.ends_with("threading.py") {
                continue;
            }
            if let Some(event) = self.parked(futex) {
                // The event is a byte in the word behind these.
                let at = event & !7;
                let ident = self.objects.reader.word(at.wrapping_sub(IDENT_BEFORE))?;
                let handle = self.objects.reader.word(at.wrapping_sub(HANDLE_BEFORE))?;
                let of = self.threads.iter().find(|(_, thread)| thread.pthread == ident && ident == handle);
                return Ok(of.map(|(tid, _)| *tid));
            }
            let thread = self.local(frame)?;
            let Some(number) = names::attribute(self.objects, thread, "_native_id")? else { return Ok(None) };
            let native = self.objects.number(number)?;
            return Ok(native.and_then(|native| numbers.get(&native).copied()));
        }
        Ok(None)
    }
}
