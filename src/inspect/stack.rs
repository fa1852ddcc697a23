//! The frames of one thread: which functions it executes, at which lines.

use std::collections::HashSet;
use std::sync::Arc;

use super::Trouble;
use super::memory::{Fields, Memory};
use super::objects::{Code, Executed, Objects};
use super::walk::TRIES;
use crate::snapshot::{LeftOut, PythonFrame, PythonThread};

/// The most frames that are read of a thread.
const MOST_FRAMES: usize = 20_000;
/// The same while little is left of the budget.
const FEWER_FRAMES: usize = 128;
/// How many of the innermost frames are read twice.
const CHECKED: usize = 128;
/// Lines that are kept of a deep stack, after frames at the same line were folded into one.
const INNERMOST: usize = 96;
const OUTERMOST: usize = 32;

/// Frames of other owners are the interpreter's own, between C and Python (`enum _frameowner`): 3 and, since 3.14, 4.
const LAST_OWNER_WITH_CODE: u8 = 2;
/// Low bits of a reference that are no part of the address (`_PyStackRef`, 3.14).
const TAG: u64 = 7;

/// A frame as it was in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Raw {
    pub address: u64,
    pub executable: u64,
    previous: u64,
    /// An address, or before 3.11 `f_lasti`.
    pub instruction: u64,
    owner: u8,
    pub copy: Option<i32>,
}

/// The result of one reading of a thread's frames.
#[derive(Debug, Default)]
struct Reading {
    frames: Vec<PythonFrame>,
    /// More frames follow.
    deeper: bool,
    /// The thread stayed in these functions meanwhile.
    stands: bool,
}

impl Raw {
    /// Whether it executes a code object.
    pub(super) fn has_code(&self) -> bool {
        self.owner <= LAST_OWNER_WITH_CODE
    }
}

impl<M: Memory> Objects<'_, M> {
    /// What the thread executes; who it is is left to be filled in.
    pub(super) fn stack(&mut self, thread: u64) -> Result<PythonThread, Trouble> {
        let mut last = Reading::default();
        for _ in 0..TRIES {
            last = self.once(thread, true)?.unwrap_or(last);
            if last.stands {
                break;
            }
        }
        let Reading { mut frames, deeper, stands } = last;
        let left_out = shorten(&mut frames);
        Ok(PythonThread {
            native_id: 0,
            task: None,
            holds_gil: false,
            waits_for_gil: false,
            name: None,
            frames,
            left_out,
            deeper,
            moved: !stands,
        })
    }

    /// The functions and lines of a thread, innermost first, read with few calls; `None` if it ran on during each of two readings.
    pub(super) fn sampled(&mut self, thread: u64) -> Result<Option<Vec<PythonFrame>>, Trouble> {
        self.reader.keep_pages();
        for _ in 0..2 {
            if let Some(Reading { mut frames, stands: true, .. }) = self.once(thread, false)? {
                shorten(&mut frames);
                return Ok(Some(frames));
            }
        }
        Ok(None)
    }

    /// One reading of a thread's frames; `None` if they changed too much to be followed, or at all unless `moved` frames are wanted too.
    fn once(&mut self, thread: u64, moved: bool) -> Result<Option<Reading>, Trouble> {
        self.reader.forget_pages();
        let (raw, deeper) = match self.chain(thread) {
            Err(Trouble::Torn(_)) => return Ok(None),
            chain => chain?,
        };
        self.reader.forget_pages();
        let mut stands = self.stands(thread, &raw)?;
        if !stands && !moved {
            return Ok(None);
        }
        let (mut frames, known) = (Vec::new(), self.codes_read);
        stands &= self.fold(&raw, &mut frames)?;
        // A function that was not known may have come in the place of the one that the frame executed.
        if stands && self.codes_read != known {
            self.reader.forget_pages();
            stands = self.stands(thread, &raw)?;
        }
        Ok(Some(Reading { frames, deeper, stands }))
    }

    /// The frames' functions and lines, those at the same line in a row as one; whether all could be read.
    pub(super) fn fold(&mut self, raw: &[Raw], frames: &mut Vec<PythonFrame>) -> Result<bool, Trouble> {
        let mut whole = true;
        let mut last: Option<(u64, u64)> = None;
        for frame in raw.iter().filter(|frame| frame.owner <= LAST_OWNER_WITH_CODE) {
            if last == Some((frame.executable, frame.instruction))
                && let Some(same) = frames.last_mut()
            {
                same.times += 1;
                continue;
            }
            match self.executed(frame) {
                Ok(Some(Executed { code, .. })) if is_shim(&code) => {}
                Ok(Some(Executed { code, function })) => {
                    last = Some((frame.executable, frame.instruction));
                    let line = self.line(&code, frame.instruction, frame.copy);
                    let next = PythonFrame { function, file: Arc::clone(&code.file), line, times: 1 };
                    match frames.last_mut() {
                        Some(same) if (&same.function, &same.file, same.line) == (&next.function, &next.file, line) => {
                            same.times += 1;
                        }
                        _ => frames.push(next),
                    }
                }
                // What it executes was gone before it was looked at.
                Ok(None) | Err(Trouble::Torn(_)) => whole = false,
                Err(other) => return Err(other),
            }
        }
        Ok(whole)
    }

    /// The frames of a thread, innermost first, and whether more follow.
    pub(super) fn chain(&mut self, thread: u64) -> Result<(Vec<Raw>, bool), Trouble> {
        let next = self.innermost(thread)?;
        self.chain_from(next, MOST_FRAMES)
    }

    /// At most so many frames from the one at `next` on, and whether more follow.
    pub(super) fn chain_from(&mut self, mut next: u64, most: usize) -> Result<(Vec<Raw>, bool), Trouble> {
        let most = if self.reader.is_low() { most.min(FEWER_FRAMES) } else { most };
        let mut frames: Vec<Raw> = Vec::new();
        let mut seen = HashSet::new();
        while next != 0 && frames.len() < most {
            if !seen.insert(next) {
                return Err(Trouble::Torn("its frames form a cycle"));
            }
            let frame = self.frame(next)?;
            next = frame.previous;
            frames.push(frame);
        }
        Ok((frames, next != 0))
    }

    fn innermost(&mut self, thread: u64) -> Result<u64, Trouble> {
        let (current, cframe) = (self.offsets.current_frame, self.offsets.cframe);
        let at = self.reader.word(thread.wrapping_add(current))?;
        match cframe {
            Some(offset) if at != 0 => self.reader.word(at.wrapping_add(offset)),
            _ => Ok(at),
        }
    }

    pub(super) fn frame(&mut self, address: u64) -> Result<Raw, Trouble> {
        let o = &self.offsets;
        let (owner, copy) = (o.frame_owner.unwrap_or(0), o.tlbc_index.unwrap_or(0));
        let wanted = [o.frame_executable, o.frame_previous, o.instr_ptr, owner, copy];
        let fields = Fields::read(&mut self.reader, address, &wanted)?;
        Ok(self.frame_in(&fields, address, 0))
    }

    /// The frame that begins at byte `at` of the object at `address`, whose fields were read.
    pub(super) fn frame_in(&self, fields: &Fields, address: u64, at: u64) -> Raw {
        let o = &self.offsets;
        Raw {
            address: address.wrapping_add(at),
            executable: fields.word(at.wrapping_add(o.frame_executable)) & !TAG,
            previous: fields.word(at.wrapping_add(o.frame_previous)),
            instruction: fields.word(at.wrapping_add(o.instr_ptr)),
            owner: o.frame_owner.map_or(0, |owner| fields.byte(at.wrapping_add(owner))),
            copy: o.tlbc_index.map(|copy| fields.int(at.wrapping_add(copy))),
        }
    }

    /// Whether the thread is still within the same functions.
    fn stands(&mut self, thread: u64, frames: &[Raw]) -> Result<bool, Trouble> {
        match self.innermost(thread) {
            Ok(now) if now == frames.first().map_or(0, |frame| frame.address) => {}
            Ok(_) | Err(Trouble::Torn(_)) => return Ok(false),
            Err(other) => return Err(other),
        }
        for frame in frames.iter().take(CHECKED) {
            match self.frame(frame.address) {
                Ok(now) if (now.executable, now.previous) == (frame.executable, frame.previous) => {}
                Ok(_) | Err(Trouble::Torn(_)) => return Ok(false),
                Err(other) => return Err(other),
            }
        }
        Ok(true)
    }
}

/// Keeps the innermost and the outermost of very many lines; how many frames were between them.
pub(super) fn shorten(frames: &mut Vec<PythonFrame>) -> Option<LeftOut> {
    let last = frames.len().checked_sub(OUTERMOST).filter(|last| *last > INNERMOST)?;
    let count = frames.drain(INNERMOST..last).map(|frame| frame.times).sum();
    Some(LeftOut { behind: INNERMOST, count })
}

/// The frame that checks what `__init__` returns: part of CPython (`_Py_InitCleanup`), not of the program.
fn is_shim(code: &Code) -> bool {
    *code.function == *"__init__" && *code.file == *"__init__"
}
