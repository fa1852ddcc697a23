//! Walks from `_PyRuntime` to interpreters, threads and frames. The process keeps running: every list is walked within bounds, checked
//! again at the end, and read again if it has changed.

use std::collections::HashSet;

use super::Trouble;
use super::layouts::Layout;
use super::memory::{Fields, Memory, Reader};
use super::objects::Objects;
use super::offsets::{GilPlace, Offsets};
use super::{names, native};
use crate::snapshot::{Gil, PythonInterpreter, PythonRuntime, PythonThread};

/// The most interpreters and threads that are listed.
const MOST_INTERPRETERS: usize = 128;
const MOST_THREADS: usize = 64 * 1024;
/// The most threads whose frames are read.
pub(super) const MOST_TOLD: usize = 2048;
/// How often what changes while it is read is read again.
pub(super) const TRIES: usize = 4;

/// An interpreter as the lists had it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub address: u64,
    pub id: i64,
    pub gil: u64,
    pub threads: Vec<ListedThread>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListedThread {
    pub address: u64,
    /// 0 until it is known.
    pub native_id: u64,
    /// Its `pthread_t`.
    pub pthread: u64,
    pub holds_gil: bool,
}

/// Where the offsets of a runtime are from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin<'l> {
    /// Its own `_Py_DebugOffsets`.
    Itself,
    /// A layout made from the headers.
    Layout(&'l Layout),
}

/// Reads the runtime at `address`. Its threads' tasks and its finding are left to be filled in. `leader` is the TID of the process's
/// first task, as its own PID namespace numbers it.
///
/// # Errors
/// Why it could not be read.
pub(super) fn runtime<M: Memory>(
    memory: &M,
    address: u64,
    origin: Origin<'_>,
    leader: Option<u64>,
) -> Result<(PythonRuntime, Offsets), Trouble> {
    let mut reader = Reader::new(memory);
    let offsets = match origin {
        Origin::Itself => Offsets::read(&mut reader, address)?,
        Origin::Layout(layout) => Offsets::of_layout(layout),
    };
    let mut walk = Walk { objects: Objects::new(reader, offsets.clone()), address, leader, cut: false };
    let mut last = Err(Trouble::Torn("its lists changed"));
    for _ in 0..TRIES {
        match walk.once() {
            Ok((interpreters, true)) => return Ok((walk.told(interpreters, None), offsets)),
            Ok((interpreters, false)) => last = Ok(interpreters),
            // Half a list is better than none, but only a whole one of before.
            Err(Trouble::Torn(what)) if last.is_err() => last = Err(Trouble::Torn(what)),
            Err(Trouble::TooMuch) if last.is_ok() => break,
            Err(Trouble::Torn(_)) => {}
            Err(other) => return Err(other),
        }
    }
    let note = format!("Threads started and ended during {TRIES} readings in a row: some may be missing.");
    last.map(|interpreters| (walk.told(interpreters, Some(note)), offsets))
}

/// The interpreters and threads of the runtime at `address`, as its lists have them now.
///
/// # Errors
/// If the lists cannot be read.
pub(super) fn listed<M: Memory>(memory: &M, address: u64, offsets: &Offsets) -> Result<Vec<Listed>, Trouble> {
    Walk::new(Objects::new(Reader::new(memory), offsets.clone()), address).list()
}

pub(super) struct Walk<'m, M> {
    pub objects: Objects<'m, M>,
    address: u64,
    leader: Option<u64>,
    cut: bool,
}

impl<'m, M: Memory> Walk<'m, M> {
    pub(super) fn new(objects: Objects<'m, M>, address: u64) -> Self {
        Self { objects, address, leader: None, cut: false }
    }

    fn told(&self, interpreters: Vec<PythonInterpreter>, note: Option<String>) -> PythonRuntime {
        let o = &self.objects.offsets;
        let cut = format!("Only {MOST_INTERPRETERS} interpreters and {MOST_THREADS} threads are counted; there are more.");
        let all: usize = interpreters.iter().map(|one| one.thread_count).sum();
        let read: usize = interpreters.iter().map(|one| one.threads.len()).sum();
        let part =
            format!("The frames of {read} of its {all} threads are read: the main thread's, the GIL holder's, the oldest.");
        let notes = note.into_iter().chain(self.cut.then_some(cut)).chain((all > read).then_some(part));
        PythonRuntime {
            version: o.version,
            free_threaded: o.free_threaded,
            file: Box::default(),
            finding: String::new(),
            notes: notes.collect(),
            interpreters,
            asyncio: None,
            trio: None,
            greenlets: None,
        }
    }

    /// Everything once; whether the lists were the same before and after.
    fn once(&mut self) -> Result<(Vec<PythonInterpreter>, bool), Trouble> {
        // An address may hold another function by now than it did in the attempt before.
        self.objects.forget_codes();
        let listed = self.list()?;
        let all: Vec<ListedThread> = listed.iter().flat_map(|interpreter| &interpreter.threads).copied().collect();
        let native = native::ids(&mut self.objects, &all, self.leader)?;
        let names = listed.iter().find(|one| one.id == 0).map(|main| names::read(&mut self.objects, main.address));
        let names = names.transpose()?.unwrap_or_default();
        let chosen = chosen(&listed);
        let mut told: Vec<Vec<(u64, PythonThread)>> = Vec::with_capacity(listed.len());
        for interpreter in &listed {
            let mut threads = Vec::new();
            for thread in interpreter.threads.iter().filter(|thread| chosen.contains(&thread.address)) {
                threads.push((thread.address, self.thread(thread, &native, &names)?));
            }
            told.push(threads);
        }
        let mut interpreters = Vec::with_capacity(listed.len());
        for (one, mut told) in listed.iter().zip(told) {
            let (state, holder) = self.gil(one.gil, &all, &native)?;
            if let Some(holder) = one.threads.iter().find(|thread| Some(thread.address) == holder)
                && !chosen.contains(&holder.address)
            {
                told.push((holder.address, self.thread(holder, &native, &names)?));
            }
            for (address, thread) in &mut told {
                thread.holds_gil = holder == Some(*address);
            }
            let mut threads: Vec<PythonThread> = told.into_iter().map(|(_, thread)| thread).collect();
            // 0 is a thread that is still being made: it has no task and executes nothing.
            threads.retain(|thread| thread.native_id != 0);
            threads.sort_by_key(|thread| thread.native_id);
            let made = one.threads.iter().filter(|thread| native.of(thread) != 0).count();
            interpreters.push(PythonInterpreter {
                id: one.id,
                gil_address: one.gil,
                gil_futexes: self.objects.offsets.gil_futexes(one.gil),
                gil: state,
                thread_count: made.max(threads.len()),
                threads,
            });
        }
        interpreters.sort_by_key(|interpreter| interpreter.id);
        let now = self.list()?;
        Ok((interpreters, same(&now, &listed)))
    }

    fn thread(&mut self, thread: &ListedThread, native: &native::Ids, names: &names::Names) -> Result<PythonThread, Trouble> {
        let mut told = self.objects.stack(thread.address)?;
        told.native_id = native.of(thread);
        told.name = names.get(&thread.pthread).cloned();
        told.waits_for_gil = self.requests_gil(thread.address);
        Ok(told)
    }

    /// Whether the thread with this state asks for its GIL; false where that is not noted (before 3.15).
    pub(super) fn requests_gil(&mut self, thread: u64) -> bool {
        let Some(at) = self.objects.offsets.gil_requested else { return false };
        Fields::read(&mut self.objects.reader, thread, &[at]).is_ok_and(|fields| fields.int(at) == 1)
    }

    pub(super) fn list(&mut self) -> Result<Vec<Listed>, Trouble> {
        let o = self.objects.offsets.clone();
        let reader = &mut self.objects.reader;
        let mut next = reader.word(self.address.wrapping_add(o.interpreters_head))?;
        if next == 0 {
            return Err(Trouble::NoInterpreter);
        }
        let mut listed: Vec<Listed> = Vec::new();
        let mut left = MOST_THREADS;
        while next != 0 && listed.len() < MOST_INTERPRETERS {
            let address = next;
            if listed.iter().any(|known| known.address == address) {
                return Err(Trouble::Torn("its list of interpreters is a cycle"));
            }
            let reader = &mut self.objects.reader;
            let id = i64::from_ne_bytes(reader.word(address.wrapping_add(o.interpreter_id))?.to_ne_bytes());
            let gil = match o.gil {
                GilPlace::Interpreter(at) => reader.word(address.wrapping_add(at))?,
                GilPlace::Runtime(at) => self.address.wrapping_add(at),
            };
            next = reader.word(address.wrapping_add(o.interpreter_next))?;
            let threads = self.threads(address, &mut left)?;
            if id < 0 || listed.iter().any(|known| known.id == id) {
                return Err(Trouble::Torn("its interpreters have invalid ids"));
            }
            listed.push(Listed { address, id, gil, threads });
        }
        self.cut |= next != 0;
        Ok(listed)
    }

    fn threads(&mut self, interpreter: u64, left: &mut usize) -> Result<Vec<ListedThread>, Trouble> {
        let o = self.objects.offsets.clone();
        let reader = &mut self.objects.reader;
        let mut next = reader.word(interpreter.wrapping_add(o.threads_head))?;
        let mut threads: Vec<ListedThread> = Vec::new();
        let mut seen = HashSet::new();
        let native = o.native_thread_id.unwrap_or(0);
        while next != 0 && *left > 0 {
            let address = next;
            if !seen.insert(address) {
                return Err(Trouble::Torn("its list of threads is a cycle"));
            }
            let holds = o.holds_gil.unwrap_or(0);
            let fields = Fields::read(reader, address, &[o.thread_next, o.thread_interpreter, native, o.thread_id, holds])?;
            if fields.word(o.thread_interpreter) != interpreter {
                return Err(Trouble::Torn("a listed thread belongs to no interpreter, or to another"));
            }
            threads.push(ListedThread {
                address,
                native_id: o.native_thread_id.map_or(0, |at| fields.word(at)),
                pthread: fields.word(o.thread_id),
                holds_gil: o.holds_gil.is_some_and(|at| fields.int(at) == 1),
            });
            next = fields.word(o.thread_next);
            *left -= 1;
        }
        self.cut |= next != 0;
        Ok(threads)
    }

    /// What the GIL at `address` does, and the thread state that holds it.
    pub(super) fn gil(
        &mut self,
        address: u64,
        all: &[ListedThread],
        native: &native::Ids,
    ) -> Result<(Gil, Option<u64>), Trouble> {
        let o = &self.objects.offsets;
        let (enabled, locked, last_holder) = (o.gil_enabled, o.gil_locked, o.gil_holder);
        if address == 0 {
            return Err(Trouble::Torn("an interpreter has no GIL yet"));
        }
        let wanted = [enabled.unwrap_or(0), locked, last_holder];
        let fields = Fields::read(&mut self.objects.reader, address, &wanted)?;
        if enabled.is_some_and(|at| fields.int(at) == 0) {
            return Ok((Gil::Off, None));
        }
        // -1 is a lock that has not been made; the last holder is noted also while no thread holds it.
        let holder = fields.word(last_holder);
        if fields.int(locked) != 1 || holder == 0 {
            return Ok((Gil::Free, None));
        }
        let known = all.iter().find(|thread| thread.address == holder && native.of(thread) != 0);
        Ok((known.map_or(Gil::Elsewhere, |thread| Gil::Held(native.of(thread))), known.map(|thread| thread.address)))
    }
}

/// The threads whose frames are read: all, or of very many those that hold a GIL, and the oldest of each interpreter. Lists begin with
/// the newest thread; the last of the main interpreter is the main thread.
fn chosen(listed: &[Listed]) -> HashSet<u64> {
    let mut chosen: HashSet<u64> = listed.iter().flat_map(|one| one.threads.last()).map(|thread| thread.address).collect();
    let all = || listed.iter().flat_map(|one| one.threads.iter().rev());
    chosen.extend(all().filter(|thread| thread.holds_gil).map(|thread| thread.address).take(MOST_INTERPRETERS));
    for thread in all() {
        if chosen.len() >= MOST_TOLD {
            break;
        }
        chosen.insert(thread.address);
    }
    chosen
}

/// Whether two lists have the same threads.
fn same(one: &[Listed], other: &[Listed]) -> bool {
    let ids = |listed: &[Listed]| -> Vec<(u64, i64, u64, usize)> {
        listed.iter().map(|one| (one.address, one.id, one.gil, one.threads.len())).collect()
    };
    let threads = |listed: &[Listed]| -> Vec<(u64, u64)> {
        listed.iter().flat_map(|one| &one.threads).map(|thread| (thread.address, thread.native_id)).collect()
    };
    ids(one) == ids(other) && threads(one) == threads(other)
}
