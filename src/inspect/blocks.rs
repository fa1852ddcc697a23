//! The objects whose `with` blocks a frame is in.
//!
//! While a `with` block runs, its object's `__exit__` is on the frame's stack: bound to the object, or since 3.14 followed by it. The
//! exception table of the code gives the least depth of the stack at an instruction (Objects/exception_handling_notes.txt): what lies above
//! may be left over from before. Before 3.11 the frame itself has a list of its blocks, each with that depth.

use super::asyncio::layout::{Apart, Coroutines};
use super::memory::{Fields, Memory};
use super::objects::{Kind, Objects};
use super::stack::Raw;
use super::{Trouble, soft};

/// The most entries of a stack that are looked at, and local variables that lie before them.
const MOST_DEPTH: u64 = 64;
const MOST_LOCALS: u64 = 4096;
/// The blocks that a frame has room for before 3.11 (`CO_MAXBLOCKS`).
const MOST_BLOCKS: u64 = 20;
/// Bytes from the first field of a code object behind its size to its table of exceptions: `co_consts`, `co_names`.
const EXCEPTIONS_BEHIND: u64 = 16;
/// Entries behind the local variables of a frame whose depth is not known.
const NEAR: u64 = 12;

impl<M: Memory> Objects<'_, M> {
    /// The objects whose `with` blocks, or `for` loops, the frame is in; outermost first.
    pub(super) fn blocks(&mut self, layout: &Coroutines, frame: &Raw) -> Result<Vec<u64>, Trouble> {
        if let Some(apart) = &layout.apart {
            return self.blocks_of_frame(layout, apart, frame.address);
        }
        let Some(code) = self.code(frame.executable)? else { return Ok(Vec::new()) };
        let Some(unit) = self.unit(&code, frame.instruction, frame.copy) else { return Ok(Vec::new()) };
        let at = layout.header + 8 + EXCEPTIONS_BEHIND;
        let table = self.reader.word(frame.executable.wrapping_add(at))?;
        let Some(table) = self.table(table)? else { return Ok(Vec::new()) };
        let depth = depth_at(&table, unit).unwrap_or(0).min(MOST_DEPTH);
        let first = self.count_of_locals(layout, frame.executable)?;
        self.entries(layout, frame.address.wrapping_add(layout.locals + first * 8), depth)
    }

    fn blocks_of_frame(&mut self, layout: &Coroutines, apart: &Apart, frame: u64) -> Result<Vec<u64>, Trouble> {
        let fields = Fields::read(&mut self.reader, frame, &[apart.stack, apart.block_count])?;
        let count = match fields.int(apart.block_count) {
            0 => return Ok(Vec::new()),
            count => u64::try_from(count).unwrap_or(u64::MAX),
        };
        if count > MOST_BLOCKS {
            return Err(Trouble::Torn("a frame has no sensible number of blocks"));
        }
        let last = apart.blocks + (count - 1) * Apart::BLOCK + Apart::DEPTH;
        let depth = Fields::read(&mut self.reader, frame, &[last])?.int(last);
        let depth = u64::try_from(depth).unwrap_or(0).min(MOST_DEPTH);
        self.entries(layout, fields.word(apart.stack), depth)
    }

    /// The objects in the local variables of a frame and a little behind them. Some may be left over.
    pub(super) fn near(&mut self, layout: &Coroutines, frame: &Raw) -> Result<Vec<u64>, Trouble> {
        let count = self.count_of_locals(layout, frame.executable)?;
        self.entries(layout, frame.address.wrapping_add(layout.locals), count + NEAR)
    }

    fn count_of_locals(&mut self, layout: &Coroutines, code: u64) -> Result<u64, Trouble> {
        let names = self.reader.word(code.wrapping_add(layout.local_names))?;
        match self.reader.word(names.wrapping_add(layout.tuple_size))? {
            count if count <= MOST_LOCALS => Ok(count),
            _ => Err(Trouble::Torn("a function has no sensible number of local variables")),
        }
    }

    fn entries(&mut self, layout: &Coroutines, begin: u64, count: u64) -> Result<Vec<u64>, Trouble> {
        let bytes = self.reader.bytes(begin, count as usize * 8)?;
        let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word) & !7);
        let mut found = Vec::new();
        for object in words.filter(|word| *word != 0).collect::<Vec<_>>() {
            found.extend(soft(self.bound_to(layout, object))?);
        }
        Ok(found)
    }

    /// The object that a method is bound to: `im_self`, `m_self`. Another object is itself.
    fn bound_to(&mut self, layout: &Coroutines, object: u64) -> Result<u64, Trouble> {
        let behind = layout.header + 8;
        let fields = Fields::read(&mut self.reader, object, &[self.offsets.object_type, behind])?;
        let of = fields.word(self.offsets.object_type);
        let is_bound = self.is(Kind::Method, of)? || self.is(Kind::Builtin, of)?;
        Ok(if is_bound { fields.word(behind) } else { object })
    }
}

/// How many entries the stack surely has at that instruction; `None` if no handler covers it. Each entry of the table has four numbers in
/// digits of six bits: begin, length, target, and twice the depth and a flag.
fn depth_at(table: &[u8], unit: u64) -> Option<u64> {
    let mut bytes = table.iter().copied();
    let mut number = || {
        let mut byte = bytes.next()?;
        let mut value = u64::from(byte & 63);
        while byte & 64 != 0 {
            byte = bytes.next()?;
            value = value.checked_mul(64)? | u64::from(byte & 63);
        }
        Some(value)
    };
    loop {
        let (begin, length, _, depth) = (number()?, number()?, number()?, number()?);
        if unit >= begin && unit - begin < length {
            return Some(depth >> 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_is_that_of_the_handler_around_an_instruction() {
        // `with a: with b: pass` as CPython 3.13 compiles it: begin, length, target, depth and flag.
        let table = [0x80 | 5, 2, 20, 2 << 1 | 1, 0x80 | 9, 0x41, 0x02, 30, 1 << 1 | 1];
        assert_eq!(depth_at(&table, 4), None);
        assert_eq!(depth_at(&table, 6), Some(2));
        assert_eq!(depth_at(&table, 7), None, "the first instruction behind it");
        assert_eq!(depth_at(&table, 9 + 65), Some(1), "a length of two digits");
        assert_eq!(depth_at(&table[..6], 10), None, "a table that is cut");
    }
}
