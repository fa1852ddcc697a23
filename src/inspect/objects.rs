//! Python objects in another process's memory: strings, bytes, code. An object is accepted only if its type has the expected name and its
//! length is within bounds.

use std::collections::HashMap;
use std::sync::Arc;

use super::Trouble;
use super::lines::{line_in_ranges, line_in_steps, line_of};
use super::memory::{Fields, Memory, Reader};
use super::offsets::{Lines, Offsets};

/// The most characters of a name that are read, and the most bytes of a table of lines.
const MOST_CHARACTERS: u64 = 512;
const MOST_TABLE: u64 = 64 * 1024;

/// Code objects that were read before, by their addresses, each with the words that say that it is still the same one.
pub type Known = HashMap<u64, ([u64; 4], Arc<Code>)>;

/// The most code objects that are remembered.
const MOST_KNOWN: usize = 64 * 1024;

/// A code object: what a frame executes.
#[derive(Debug)]
pub struct Code {
    pub function: Arc<str>,
    pub file: Arc<str>,
    first_line: i32,
    /// `None` if it is too long to be read.
    table: Option<Vec<u8>>,
    /// Where its instructions begin.
    instructions: u64,
    /// The copies of its instructions that threads have of their own.
    copies: u64,
}

/// The code object of a frame, and the function's name.
#[derive(Debug)]
pub struct Executed {
    pub code: Arc<Code>,
    /// The qualified name of the function, as far as it is known.
    pub function: Arc<str>,
}

/// The kinds of objects that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Code,
    Str,
    Bytes,
    Dict,
    Module,
    Int,
    Method,
    Builtin,
    Function,
    Lock,
    RLock,
    SemLock,
    Frame,
    Greenlet,
}

impl Kind {
    /// `tp_name` with the byte that ends it.
    fn name(self) -> &'static [u8] {
        match self {
            Self::Code => b"code\0",
            Self::Str => b"str\0",
            Self::Bytes => b"bytes\0",
            Self::Dict => b"dict\0",
            Self::Module => b"module\0",
            Self::Int => b"int\0",
            Self::Method => b"method\0",
            Self::Builtin => b"builtin_function_or_method\0",
            Self::Function => b"function\0",
            Self::Lock => b"_thread.lock\0",
            Self::RLock => b"_thread.RLock\0",
            Self::SemLock => b"_multiprocessing.SemLock\0",
            Self::Frame => b"frame\0",
            Self::Greenlet => b"greenlet.greenlet\0",
        }
    }
}

/// Reads objects, each kind's type and each code object once.
#[derive(Debug)]
pub struct Objects<'m, M> {
    pub reader: Reader<'m, M>,
    pub offsets: Offsets,
    types: HashMap<Kind, u64>,
    codes: HashMap<u64, Arc<Code>>,
    /// The qualified names of functions by their code objects, where these have none.
    pub methods: HashMap<u64, Arc<str>>,
    /// Those of readings before this one.
    pub known: Known,
    /// The number of code objects that were read because they were not known.
    pub codes_read: u64,
}

impl<'m, M: Memory> Objects<'m, M> {
    /// Nothing is known yet.
    pub fn new(reader: Reader<'m, M>, offsets: Offsets) -> Self {
        Self {
            reader,
            offsets,
            types: HashMap::new(),
            codes: HashMap::new(),
            methods: HashMap::new(),
            known: Known::new(),
            codes_read: 0,
        }
    }

    /// Code objects are read again from here on.
    pub fn forget_codes(&mut self) {
        self.codes.clear();
        self.methods.clear();
    }

    /// Whether `ob_type` leads to the type of that kind.
    pub fn is(&mut self, kind: Kind, ob_type: u64) -> Result<bool, Trouble> {
        if let Some(known) = self.types.get(&kind) {
            return Ok(*known == ob_type);
        }
        let name = self.reader.word(ob_type.wrapping_add(self.offsets.type_name))?;
        let found = self.reader.bytes(name, kind.name().len())? == kind.name();
        if found {
            self.types.insert(kind, ob_type);
        }
        Ok(found)
    }

    /// The code object at `address`; `None` if there is another object.
    pub fn code(&mut self, address: u64) -> Result<Option<Arc<Code>>, Trouble> {
        if let Some(known) = self.codes.get(&address) {
            return Ok(Some(known.clone()));
        }
        let o = self.offsets.clone();
        let wanted = [o.object_type, o.filename, o.qualname, o.linetable, o.first_line, o.tlbc.unwrap_or(0)];
        let fields = Fields::read(&mut self.reader, address, &wanted)?;
        if !self.is(Kind::Code, fields.word(o.object_type))? {
            return Ok(None);
        }
        let identity_then = self.identity(&fields);
        if let Some((_, code)) = self.known.get(&address).filter(|(known, _)| *known == identity_then) {
            let code = code.clone();
            self.codes.insert(address, code.clone());
            return Ok(Some(code));
        }
        self.codes_read += 1;
        let code = Arc::new(Code {
            function: self.string(fields.word(o.qualname))?.into(),
            file: self.string(fields.word(o.filename))?.into(),
            first_line: fields.int(o.first_line),
            table: self.table(fields.word(o.linetable))?,
            instructions: address.wrapping_add(o.code_adaptive),
            copies: o.tlbc.map_or(0, |at| fields.word(at)),
        });
        // A function may have been freed meanwhile, and another be in its place, with a name of the one and lines of the other. Pages that
        // were kept would only repeat what they said.
        let kept = self.reader.set_pages(None);
        let is_same = self.is_still(address, &wanted, &code, identity_then);
        self.reader.set_pages(kept);
        if !is_same? {
            return Err(Trouble::Torn("a function was replaced while it was read"));
        }
        self.codes.insert(address, code.clone());
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        self.known.insert(address, (identity_then, code.clone()));
        Ok(Some(code))
    }

    /// The words of a code object that another one in its place would not have.
    fn identity(&self, of: &Fields) -> [u64; 4] {
        let o = &self.offsets;
        [of.word(o.filename), of.word(o.qualname), of.word(o.linetable), of.int(o.first_line) as u64]
    }

    /// True if this code object is still at the address.
    fn is_still(&mut self, address: u64, wanted: &[u64], code: &Code, identity: [u64; 4]) -> Result<bool, Trouble> {
        let now = Fields::read(&mut self.reader, address, wanted)?;
        Ok(self.identity(&now) == identity
            && *self.string(now.word(self.offsets.qualname))? == *code.function
            && self.table(now.word(self.offsets.linetable))? == code.table)
    }

    /// The line of the instruction at `at`; `copy` is which thread's copy of the bytecode it is in, where there are such.
    pub fn line(&mut self, code: &Code, at: u64, copy: Option<i32>) -> Option<u32> {
        if self.offsets.lines != Lines::Locations {
            let table = code.table.as_deref()?;
            // `f_lasti`: bytes in 3.9, instructions of two bytes in 3.10; -1 before the first.
            let instruction = u64::from(u32::try_from(at as u32 as i32).unwrap_or(0));
            return match self.offsets.lines {
                Lines::Steps => line_in_steps(table, code.first_line, instruction),
                _ => line_in_ranges(table, code.first_line, instruction * 2),
            };
        }
        let unit = self.unit(code, at, copy)?;
        line_of(code.table.as_deref()?, code.first_line, unit)
    }

    /// Which instruction that is, from 3.11 on.
    pub(super) fn unit(&mut self, code: &Code, at: u64, copy: Option<i32>) -> Option<u64> {
        let mut begin = code.instructions;
        if let Some(copy) = copy.and_then(|copy| u64::try_from(copy).ok()).filter(|copy| *copy > 0 && code.copies != 0) {
            // `_PyCodeArray`: how many there are, then a pointer to each.
            let count = self.reader.word(code.copies).ok()?;
            begin = if copy < count { self.reader.word(code.copies.wrapping_add(8 + copy * 8)).ok()? } else { return None };
        }
        // A frame of 3.11 and 3.12 that has not begun points at the instruction before its first.
        if at.checked_add(2) == Some(begin) { Some(0) } else { Some(at.checked_sub(begin)? / 2) }
    }

    pub(super) fn table(&mut self, address: u64) -> Result<Option<Vec<u8>>, Trouble> {
        let (o_type, o_size, o_data) = (self.offsets.object_type, self.offsets.bytes_size, self.offsets.bytes_data);
        let fields = Fields::read(&mut self.reader, address, &[o_type, o_size])?;
        if !self.is(Kind::Bytes, fields.word(o_type))? {
            return Err(Trouble::Torn("a line table is not a bytes object"));
        }
        match fields.word(o_size) {
            size if size > i64::MAX as u64 => Err(Trouble::Torn("a line table has no length")),
            size if size > MOST_TABLE => Ok(None),
            size => self.reader.bytes(address.wrapping_add(o_data), size as usize).map(Some),
        }
    }

    /// Whether the string at `address` is this ASCII text.
    pub fn is_string(&mut self, address: u64, text: &str) -> Result<bool, Trouble> {
        let o = &self.offsets;
        let (o_type, o_length, data) = (o.object_type, o.unicode_length, address.wrapping_add(o.ascii_size));
        let fields = Fields::read(&mut self.reader, address, &[o_type, o_length])?;
        if fields.word(o_length) != text.len() as u64 || !self.is(Kind::Str, fields.word(o_type))? {
            return Ok(false);
        }
        Ok(self.reader.bytes(data, text.len())? == text.as_bytes())
    }

    /// The value of an `int` that is positive and below 2^64: digits of 30 bits, whose number is before 3.12 the object's size, since
    /// then behind three other bits.
    pub fn number(&mut self, object: u64) -> Result<Option<u64>, Trouble> {
        let of = self.reader.word(object.wrapping_add(self.offsets.object_type))?;
        if !self.is(Kind::Int, of)? {
            return Ok(None);
        }
        let at = self.offsets.object_size;
        let size = self.reader.word(object.wrapping_add(at))?;
        let digits = if self.offsets.version.minor() >= (3, 12) { size >> 3 } else { size };
        if digits == 0 || digits > 3 {
            return Ok(None);
        }
        let bytes = self.reader.bytes(object.wrapping_add(at + 8), digits as usize * 4)?;
        let digits = bytes.as_chunks::<4>().0.iter().rev();
        let value = digits.fold(0u128, |value, four| value << 30 | u128::from(u32::from_ne_bytes(*four)));
        Ok(u64::try_from(value).ok())
    }

    /// A string, cut with `...` behind [`MOST_CHARACTERS`].
    pub fn string(&mut self, address: u64) -> Result<String, Trouble> {
        let o = &self.offsets;
        let (o_type, o_state, o_length, kind_bit) = (o.object_type, o.unicode_state, o.unicode_length, o.kind_bit);
        let (ascii_size, compact_size) = (o.ascii_size, o.compact_size);
        let fields = Fields::read(&mut self.reader, address, &[o_type, o_state, o_length])?;
        if !self.is(Kind::Str, fields.word(o_type))? {
            return Err(Trouble::Torn("a name is not a string"));
        }
        // `interned`, then three bits for the bytes of a character, then whether it is compact, then whether it is ASCII
        // (Include/cpython/unicodeobject.h).
        let state = fields.int(o_state) as u32 >> kind_bit;
        let (width, compact, ascii) = (u64::from(state & 7), state >> 3 & 1 == 1, state >> 4 & 1 == 1);
        let length = fields.word(o_length);
        if !matches!(width, 1 | 2 | 4) || !compact || (ascii && width != 1) || length > i64::MAX as u64 {
            return Err(Trouble::Torn("a name is not a compact string"));
        }
        let data = address.wrapping_add(if ascii { ascii_size } else { compact_size });
        let bytes = self.reader.bytes(data, (length.min(MOST_CHARACTERS) * width) as usize)?;
        let character = |value: u32| char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
        let mut text: String = match width {
            1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
            2 => bytes.as_chunks::<2>().0.iter().map(|two| character(u16::from_ne_bytes(*two).into())).collect(),
            _ => bytes.as_chunks::<4>().0.iter().map(|four| character(u32::from_ne_bytes(*four))).collect(),
        };
        if length > MOST_CHARACTERS {
            text.push_str("...");
        }
        Ok(text)
    }
}
