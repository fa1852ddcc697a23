//! Coroutines that wait: the chain from a task's own coroutine to the innermost one, and the kinds of objects on the way.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::layout::{Apart, Coroutines, Top};
use crate::inspect::memory::{Fields, Memory};
use crate::inspect::objects::Objects;
use crate::inspect::stack::Raw;
use crate::inspect::{Trouble, soft};
use crate::snapshot::PythonFrame;

/// The most coroutines of a chain, the most bases of a type, and the longest name of a type.
const MOST_CHAIN: usize = 256;
const MOST_BASES: usize = 16;
const MOST_NAME: usize = 64;
/// The most entries of a set's table.
const MOST_ENTRIES: u64 = 256 * 1024;
/// How much is read of a coroutine at once: its frame, locals and stack mostly fit.
const USUAL: u64 = 256;

/// What an object is, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Coroutine,
    Generator,
    /// An object whose first field is a generator: a step of an asynchronous one, or a coroutine's wrapper.
    Wrapper,
    Task,
    Gathering,
    List,
    Set,
    Float,
    Int,
    Other,
}

/// Reads objects of asyncio; each type is looked at once.
#[derive(Debug)]
pub struct Reading<'o, 'm, M> {
    pub objects: &'o mut Objects<'m, M>,
    pub layout: Coroutines,
    sorts: HashMap<u64, Sort>,
    /// The type of tasks, once one was seen.
    pub task_type: Option<u64>,
}

/// A coroutine as it was: what must be the same when it is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    address: u64,
    state: u8,
    frame: Raw,
    next: u64,
}

impl<'o, 'm, M: Memory> Reading<'o, 'm, M> {
    pub fn new(objects: &'o mut Objects<'m, M>, layout: Coroutines) -> Self {
        Self { objects, layout, sorts: HashMap::new(), task_type: None }
    }

    /// What the object at `address` is.
    pub fn sort_at(&mut self, address: u64) -> Result<Sort, Trouble> {
        let of = self.objects.reader.word(address.wrapping_add(self.objects.offsets.object_type))?;
        self.sort(of)
    }

    /// What the objects of the type at `address` are.
    pub fn sort(&mut self, address: u64) -> Result<Sort, Trouble> {
        if let Some(known) = self.sorts.get(&address) {
            return Ok(*known);
        }
        let mut sort = Sort::Other;
        let mut next = address;
        for _ in 0..MOST_BASES {
            if next == 0 {
                break;
            }
            sort = match self.type_name(next)?.as_str() {
                "coroutine" => Sort::Coroutine,
                "generator" | "async_generator" => Sort::Generator,
                "async_generator_asend" | "async_generator_athrow" | "coroutine_wrapper" => Sort::Wrapper,
                "_asyncio.Task" => Sort::Task,
                "_GatheringFuture" => Sort::Gathering,
                "list" => Sort::List,
                "set" => Sort::Set,
                "float" => Sort::Float,
                "int" => Sort::Int,
                "str" | "object" => break,
                _ => Sort::Other,
            };
            if sort != Sort::Other {
                self.task_type = self.task_type.or((sort == Sort::Task).then_some(next));
                break;
            }
            next = self.objects.reader.word(next.wrapping_add(self.layout.type_base))?;
        }
        self.sorts.insert(address, sort);
        Ok(sort)
    }

    /// The name of the type of the object at `address`, without its module.
    pub fn kind_of(&mut self, address: u64) -> Result<Arc<str>, Trouble> {
        let of = self.objects.reader.word(address.wrapping_add(self.objects.offsets.object_type))?;
        let name = self.type_name(of)?;
        Ok(name.rsplit('.').next().unwrap_or(&name).into())
    }

    fn type_name(&mut self, address: u64) -> Result<String, Trouble> {
        let name = self.objects.reader.word(address.wrapping_add(self.objects.offsets.type_name))?;
        // A name may end where its page does.
        let page_left = (4096 - name % 4096) as usize;
        let bytes = self.objects.reader.bytes(name, MOST_NAME.min(page_left))?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    /// The coroutines from the one at `address` on, outermost first.
    pub fn chain(&mut self, address: u64) -> Result<Vec<Step>, Trouble> {
        let mut steps: Vec<Step> = Vec::new();
        let mut seen = HashSet::new();
        let mut next = address;
        while next != 0 && steps.len() < MOST_CHAIN {
            if !seen.insert(next) {
                return Err(Trouble::Torn("its coroutines form a cycle"));
            }
            let Some(step) = self.step(next)? else { break };
            next = step.next;
            steps.push(step);
        }
        Ok(steps)
    }

    /// The coroutine at `address`, or the one that the object there leads to; `None` if it is something else.
    fn step(&mut self, mut address: u64) -> Result<Option<Step>, Trouble> {
        let mut sort = self.sort_at(address)?;
        if sort == Sort::Wrapper {
            address = self.objects.reader.word(address.wrapping_add(self.layout.header))?;
            sort = self.sort_at(address)?;
        }
        if !matches!(sort, Sort::Coroutine | Sort::Generator) {
            return Ok(None);
        }
        let l = self.layout;
        // What is read, and where in it the frame is.
        let (read, at) = match l.apart {
            Some(_) => (self.frame_of(address)?, 0),
            None => (address, l.frame),
        };
        if read == 0 {
            return Ok(None);
        }
        let o = &self.objects.offsets;
        let in_frame = [o.frame_executable, o.instr_ptr, o.frame_owner.unwrap_or(0), o.tlbc_index.unwrap_or(0), l.locals];
        let least = in_frame.into_iter().max().unwrap_or(0).saturating_add(at);
        let fields = match Fields::read(&mut self.objects.reader, read, &[least.max(USUAL)]) {
            Err(Trouble::Torn(_)) => Fields::read(&mut self.objects.reader, read, &[least])?,
            fields => fields?,
        };
        let state = fields.byte(l.frame_state);
        let frame = self.objects.frame_in(&fields, read, at);
        // A generator may wait for nothing with another generator on its stack; only since 3.13 its state says which it is.
        let may_follow = sort == Sort::Coroutine || self.objects.offsets.version.minor() >= (3, 13);
        let waits = may_follow && l.waiting.contains(&state.cast_signed());
        let next = if waits { self.top(read, &fields, at)? } else { 0 };
        Ok(Some(Step { address, state, frame, next }))
    }

    /// Where the frame of the coroutine at `address` is; 0 if it has none.
    pub fn frame_of(&mut self, address: u64) -> Result<u64, Trouble> {
        let at = address.wrapping_add(self.layout.frame);
        if self.layout.apart.is_some() { self.objects.reader.word(at) } else { Ok(at) }
    }

    /// The object on top of a frame's stack. The fields were read at `address`; the frame begins `frame` bytes behind it.
    fn top(&mut self, address: u64, fields: &Fields, frame: u64) -> Result<u64, Trouble> {
        let l = self.layout;
        let count = |at: u64| u64::try_from(fields.int(frame.wrapping_add(at))).ok().filter(|count| (1..=65_536).contains(count));
        let at = match (l.top, l.apart) {
            (Top::Pointer { at, back }, _) => fields.word(frame.wrapping_add(at)).saturating_sub(back),
            (Top::Count { at }, _) => {
                let first = address.wrapping_add(frame + l.locals);
                count(at).map_or(0, |count| first.wrapping_add((count - 1) * 8))
            }
            (Top::Depth { at }, Some(Apart { stack, .. })) => {
                let first = fields.word(frame.wrapping_add(stack));
                count(at).map_or(0, |count| first.wrapping_add((count - 1) * 8))
            }
            (Top::Depth { .. }, None) => 0,
        };
        if at == 0 {
            return Ok(0);
        }
        let word = match at.checked_sub(address).and_then(|offset| fields.try_word(offset)) {
            Some(word) => word,
            None => self.objects.reader.word(at)?,
        };
        Ok(word & !7)
    }

    /// Whether the coroutines are as they were.
    pub fn stands(&mut self, steps: &[Step]) -> Result<bool, Trouble> {
        for step in steps {
            match self.step(step.address) {
                Ok(Some(now)) if now == *step => {}
                Ok(_) | Err(Trouble::Torn(_)) => return Ok(false),
                Err(other) => return Err(other),
            }
        }
        Ok(true)
    }

    /// The objects in the set at `address`.
    pub fn set(&mut self, address: u64) -> Result<Vec<u64>, Trouble> {
        let l = self.layout;
        if self.sort_at(address)? != Sort::Set {
            return Err(Trouble::Torn("an object is no set"));
        }
        let fields = Fields::read(&mut self.objects.reader, address, &[l.set_used, l.set_mask, l.set_table])?;
        let (used, mask) = (fields.word(l.set_used), fields.word(l.set_mask));
        if mask >= MOST_ENTRIES || used > mask.saturating_add(1) {
            return Err(Trouble::Torn("a set has no sensible size"));
        }
        let bytes = self.objects.reader.bytes(fields.word(l.set_table), (mask as usize + 1) * 16)?;
        let entries = bytes.as_chunks::<16>().0.iter().map(|entry| {
            let (object, hash) = entry.split_at(8);
            let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
            (word(object), word(hash))
        });
        // A removed entry has the hash -1, which no object has.
        let there = entries.filter(|(object, hash)| *object != 0 && *hash != u64::MAX);
        Ok(there.map(|(object, _)| object).take(used as usize).collect())
    }

    /// The local variable of that index in the frame at `address`; 0 if it has no value.
    pub fn local(&mut self, address: u64, index: u64) -> Result<u64, Trouble> {
        let word = self.objects.reader.word(address.wrapping_add(self.layout.locals).wrapping_add(index * 8))?;
        Ok(word & !7)
    }

    /// `self` of the method that the innermost coroutine executes.
    pub fn innermost_self(&mut self, steps: &[Step]) -> Result<Option<u64>, Trouble> {
        let Some(step) = steps.last() else { return Ok(None) };
        Ok(soft(self.local(step.frame.address, 0))?.filter(|object| *object != 0))
    }

    /// The locks whose `async with` blocks the coroutines are in, and whether they are in one of a timeout.
    pub fn holds(&mut self, steps: &[Step]) -> Result<(Vec<u64>, bool), Trouble> {
        let (mut locks, mut timed) = (Vec::new(), false);
        for step in steps {
            let layout = self.layout;
            let objects = match self.objects.blocks(&layout, &step.frame) {
                Ok(objects) => objects,
                Err(Trouble::Torn(_)) => continue,
                Err(other) => return Err(other),
            };
            for object in objects {
                match self.kind_of(object).as_deref() {
                    Ok("Lock") => locks.push(object),
                    // Of asyncio, of AnyIO, of aiohttp.
                    Ok("Timeout" | "CancelScope" | "TimerContext") => timed = true,
                    Ok(_) | Err(Trouble::Torn(_)) => {}
                    Err(_) => return Err(Trouble::TooMuch),
                }
            }
        }
        Ok((locks, timed))
    }

    /// The coroutines' functions and lines, innermost first.
    pub fn frames(&mut self, steps: &[Step], frames: &mut Vec<PythonFrame>) -> Result<bool, Trouble> {
        let raw: Vec<Raw> = steps.iter().rev().map(|step| step.frame).collect();
        self.objects.fold(&raw, frames)
    }

    /// The addresses of the frames of the coroutines, innermost first, with the code objects that they execute.
    pub fn frames_of(&self, steps: &[Step]) -> Vec<(u64, u64)> {
        steps.iter().rev().map(|step| (step.frame.address, step.frame.executable)).collect()
    }
}
