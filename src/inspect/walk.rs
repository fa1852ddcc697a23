//! Walks from `_PyRuntime` to interpreters, threads and frames. The process keeps running: every list is walked within bounds, checked
//! again at the end, and read again if it has changed.

use std::sync::Arc;

use super::Trouble;
use super::memory::{Fields, Memory, Reader};
use super::objects::{Code, Objects};
use super::offsets::Offsets;
use crate::snapshot::{Gil, PythonFrame, PythonInterpreter, PythonRuntime, PythonThread};

/// The most of each that is read.
const MOST_INTERPRETERS: usize = 128;
const MOST_THREADS: usize = 1024;
const MOST_FRAMES: usize = 128;
/// How often what changes under the reading is read.
const TRIES: usize = 4;

/// Frames of other owners are the interpreter's own, between C and Python (`enum _frameowner`): 3 and, since 3.14, 4.
const LAST_OWNER_WITH_CODE: u8 = 2;
/// Low bits of a reference that are no part of the address (`_PyStackRef`, 3.14).
const TAG: u64 = 7;

/// An interpreter as the lists had it.
#[derive(Debug, PartialEq, Eq)]
struct Listed {
    address: u64,
    id: i64,
    gil: u64,
    threads: Vec<ListedThread>,
}

#[derive(Debug, PartialEq, Eq)]
struct ListedThread {
    address: u64,
    native_id: u64,
}

/// A frame as it was in memory.
#[derive(Debug, PartialEq, Eq)]
struct Raw {
    address: u64,
    executable: u64,
    previous: u64,
    instruction: u64,
    owner: u8,
    copy: Option<i32>,
}

/// Reads the runtime at `address`. Its threads' tasks and its finding are left to be filled in.
///
/// # Errors
/// What kept it from being read.
pub(super) fn runtime<M: Memory>(memory: &M, address: u64) -> Result<(PythonRuntime, Offsets), Trouble> {
    let mut reader = Reader::new(memory);
    let offsets = Offsets::read(&mut reader, address)?;
    let mut walk = Walk { objects: Objects::new(reader, offsets.clone()), address, cut: false };
    let mut last = Err(Trouble::Torn("its lists changed"));
    for _ in 0..TRIES {
        match walk.once() {
            Ok((interpreters, true)) => return Ok((walk.told(interpreters, None), offsets)),
            Ok((interpreters, false)) => last = Ok(interpreters),
            // Half a list is better than none, but only a whole one of before.
            Err(Trouble::Torn(what)) if last.is_err() => last = Err(Trouble::Torn(what)),
            Err(Trouble::Torn(_)) => {}
            Err(other) => return Err(other),
        }
    }
    let note = format!("Threads started and ended during {TRIES} readings in a row: some may be missing.");
    last.map(|interpreters| (walk.told(interpreters, Some(note)), offsets))
}

struct Walk<'m, M> {
    objects: Objects<'m, M>,
    address: u64,
    cut: bool,
}

impl<M: Memory> Walk<'_, M> {
    fn told(&self, interpreters: Vec<PythonInterpreter>, note: Option<String>) -> PythonRuntime {
        let o = &self.objects.offsets;
        let cut = format!("Only {MOST_INTERPRETERS} interpreters and {MOST_THREADS} threads are read; there are more.");
        PythonRuntime {
            version: o.version,
            free_threaded: o.free_threaded,
            file: Box::default(),
            finding: String::new(),
            interpreters,
            notes: note.into_iter().chain(self.cut.then_some(cut)).collect(),
        }
    }

    /// Everything once; whether the lists were the same before and after.
    fn once(&mut self) -> Result<(Vec<PythonInterpreter>, bool), Trouble> {
        // An address may hold another function by now than it did in the attempt before.
        self.objects.forget_codes();
        let listed = self.list()?;
        let mut stacks = Vec::new();
        for thread in listed.iter().flat_map(|interpreter| &interpreter.threads) {
            stacks.push(self.stack(thread.address)?);
        }
        let mut stacks = stacks.into_iter();
        let mut interpreters = Vec::with_capacity(listed.len());
        for Listed { id, gil, threads, .. } in &listed {
            let (state, holder) = self.gil(*gil, &listed)?;
            let mut told: Vec<PythonThread> = threads
                .iter()
                .zip(stacks.by_ref())
                .map(|(thread, stack)| PythonThread {
                    native_id: thread.native_id,
                    task: None,
                    holds_gil: holder == Some(thread.address),
                    waits_for_gil: false,
                    ..stack
                })
                .collect();
            // 0 is a thread that is still being made: it has no task and executes nothing.
            told.retain(|thread| thread.native_id != 0);
            told.sort_by_key(|thread| thread.native_id);
            interpreters.push(PythonInterpreter { id: *id, gil_address: *gil, gil: state, threads: told });
        }
        interpreters.sort_by_key(|interpreter| interpreter.id);
        let same = self.list()? == listed;
        Ok((interpreters, same))
    }

    fn list(&mut self) -> Result<Vec<Listed>, Trouble> {
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
            let gil = reader.word(address.wrapping_add(o.ceval_gil))?;
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
        let mut seen = std::collections::HashSet::new();
        while next != 0 && *left > 0 {
            let address = next;
            if !seen.insert(address) {
                return Err(Trouble::Torn("its list of threads is a cycle"));
            }
            let fields = Fields::read(reader, address, &[o.thread_next, o.thread_interpreter, o.native_thread_id])?;
            if fields.word(o.thread_interpreter) != interpreter {
                return Err(Trouble::Torn("a listed thread belongs to no interpreter, or to another"));
            }
            threads.push(ListedThread { address, native_id: fields.word(o.native_thread_id) });
            next = fields.word(o.thread_next);
            *left -= 1;
        }
        self.cut |= next != 0;
        Ok(threads)
    }

    /// What the GIL at `address` does, and which thread's state is noted as its holder.
    fn gil(&mut self, address: u64, listed: &[Listed]) -> Result<(Gil, Option<u64>), Trouble> {
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
        // -1 is a lock that has not been made; the last holder is noted also while nobody holds it.
        let holder = fields.word(last_holder);
        if fields.int(locked) != 1 || holder == 0 {
            return Ok((Gil::Free, None));
        }
        let all = listed.iter().flat_map(|interpreter| &interpreter.threads);
        let known = all.into_iter().find(|thread| thread.address == holder && thread.native_id != 0);
        Ok((known.map_or(Gil::Elsewhere, |thread| Gil::Held(thread.native_id)), known.map(|thread| thread.address)))
    }

    /// What the thread executes.
    fn stack(&mut self, thread: u64) -> Result<PythonThread, Trouble> {
        let mut raw = Err(Trouble::Torn("its frames changed"));
        let mut moved = true;
        for _ in 0..TRIES {
            raw = self.chain(thread).or_else(|error| match (error, raw) {
                (Trouble::Torn(_), Ok(before)) => Ok(before),
                (error, _) => Err(error),
            });
            if let Ok((frames, _)) = &raw
                && self.stands(thread, frames)?
            {
                moved = false;
                break;
            }
        }
        let (raw, deeper) = match raw {
            Ok(raw) => raw,
            Err(Trouble::Torn(_)) => (Vec::new(), false),
            Err(other) => return Err(other),
        };
        let mut frames = Vec::with_capacity(raw.len());
        for frame in raw.iter().filter(|frame| frame.owner <= LAST_OWNER_WITH_CODE) {
            match self.objects.code(frame.executable) {
                Ok(Some(code)) if is_shim(&code) => {}
                Ok(Some(code)) => {
                    let line = self.objects.line(&code, frame.instruction, frame.copy);
                    frames.push(PythonFrame { function: Arc::clone(&code.function), file: Arc::clone(&code.file), line });
                }
                // What it executes was gone before it was looked at.
                Ok(None) | Err(Trouble::Torn(_)) => moved = true,
                Err(other) => return Err(other),
            }
        }
        Ok(PythonThread { native_id: 0, task: None, holds_gil: false, waits_for_gil: false, frames, deeper, moved })
    }

    /// The frames of a thread, innermost first, and whether more follow.
    fn chain(&mut self, thread: u64) -> Result<(Vec<Raw>, bool), Trouble> {
        let current = self.objects.offsets.current_frame;
        let mut next = self.objects.reader.word(thread.wrapping_add(current))?;
        let mut frames: Vec<Raw> = Vec::new();
        while next != 0 && frames.len() < MOST_FRAMES {
            if frames.iter().any(|frame| frame.address == next) {
                return Err(Trouble::Torn("its frames form a cycle"));
            }
            let frame = self.frame(next)?;
            next = frame.previous;
            frames.push(frame);
        }
        Ok((frames, next != 0))
    }

    fn frame(&mut self, address: u64) -> Result<Raw, Trouble> {
        let o = &self.objects.offsets;
        let (executable, previous, instruction) = (o.frame_executable, o.frame_previous, o.instr_ptr);
        let (owner, tlbc) = (o.frame_owner, o.tlbc_index);
        let wanted = [executable, previous, instruction, owner, tlbc.unwrap_or(0)];
        let fields = Fields::read(&mut self.objects.reader, address, &wanted)?;
        Ok(Raw {
            address,
            executable: fields.word(executable) & !TAG,
            previous: fields.word(previous),
            instruction: fields.word(instruction),
            owner: fields.byte(owner),
            copy: tlbc.map(|at| fields.int(at)),
        })
    }

    /// Whether the thread is still within the same functions.
    fn stands(&mut self, thread: u64, frames: &[Raw]) -> Result<bool, Trouble> {
        let current = self.objects.offsets.current_frame;
        if self.objects.reader.word(thread.wrapping_add(current))? != frames.first().map_or(0, |frame| frame.address) {
            return Ok(false);
        }
        for frame in frames {
            match self.frame(frame.address) {
                Ok(now) if (now.executable, now.previous) == (frame.executable, frame.previous) => {}
                Ok(_) | Err(Trouble::Torn(_)) => return Ok(false),
                Err(other) => return Err(other),
            }
        }
        Ok(true)
    }
}

/// The frame that checks what `__init__` returns: of nobody's writing (`_Py_InitCleanup`).
fn is_shim(code: &Code) -> bool {
    *code.function == *"__init__" && *code.file == *"__init__"
}
