//! Where CPython keeps what is read of it: `_Py_DebugOffsets`, which begins `_PyRuntime` since 3.13 (PEP 768), or before that a
//! [`Layout`] that was made from the headers.
//!
//! `_Py_DebugOffsets` is a structure of 64-bit words whose order is fixed for each minor version from its first release candidate on:
//! `Include/internal/pycore_runtime.h` of 3.13, `Include/internal/pycore_debug_offsets.h` since 3.14. To add a version: its [`Order`]. A
//! version that is newer than all of them is read in the order of the newest, if the sizes in it are right there.

use super::Trouble;
use super::asyncio::layout::Coroutines;
use super::layouts::Layout;
use super::memory::{Memory, Reader};
use crate::snapshot::PythonVersion;

/// How `_Py_DebugOffsets` begins.
pub const COOKIE: &[u8; 8] = b"xdebugpy";

/// The most words that are read of it: 3.15 has 111.
pub const WORDS: usize = 128;

/// No structure that is read is larger than an interpreter's state, 226 KiB in 3.15.
const LARGEST: u64 = 4 << 20;
/// Fields of small structures (a frame, a thread's state, an object) lie below this offset.
const LARGEST_SMALL: u64 = 16 * 1024;
/// Bytes of a GIL behind its field `locked`: that, the number of switches, two conditions and two mutexes of the C library (48 and 40
/// bytes on x86-64; pycore_gil.h). A futex there is the GIL's own. Only glibc sleeps there: with musl a wait for the GIL looks like
/// any other.
const GIL_BEHIND_LOCKED: u64 = 16 + 2 * (48 + 40);

/// At which word of `_Py_DebugOffsets` a field's offset is, in one minor version.
struct Order {
    threads_head: usize,
    /// The word before is that of the garbage collector's state.
    modules: usize,
    /// Also the first of the GIL's: its place in the interpreter, then `enabled`, `locked`, `last_holder`.
    ceval_gil: usize,
    /// The first of `thread_state`: from there on the order is the same until `current_frame`.
    thread: usize,
    thread_id: usize,
    holds_gil: Option<usize>,
    /// The first of `interpreter_frame`, likewise until `owner`.
    frame: usize,
    tlbc_index: Option<usize>,
    /// The first of `code_object`, likewise until `co_code_adaptive`.
    code: usize,
    tlbc: Option<usize>,
    /// The first of `pyobject`, and of `type_object` behind it.
    object: usize,
    dict: usize,
    /// The first of `bytes_object`, and of `unicode_object` behind it.
    bytes: usize,
}

/// 3.13: words 0 to 2 are cookie, version, free_threaded; 3 to 5 `runtime_state`; 6 to 18 `interpreter_state`.
const ORDER_3_13: Order = Order {
    threads_head: 9,
    modules: 11,
    ceval_gil: 14,
    thread: 19,
    thread_id: 24,
    holds_gil: None,
    frame: 28,
    tlbc_index: None,
    code: 34,
    tlbc: None,
    object: 44,
    dict: 56,
    bytes: 64,
};

/// 3.14: `threads_main` is new, and counters behind the GIL; frames and code know of a copy of the bytecode for each thread; sets.
const ORDER_3_14: Order = Order {
    threads_head: 9,
    modules: 12,
    ceval_gil: 15,
    thread: 22,
    thread_id: 27,
    holds_gil: None,
    frame: 31,
    tlbc_index: Some(38),
    code: 39,
    tlbc: Some(49),
    object: 50,
    dict: 66,
    bytes: 74,
};

/// 3.15: a thread's outermost frame, whether it holds or wants the GIL, its exception; types have three fields more.
const ORDER_3_15: Order = Order {
    threads_head: 9,
    modules: 12,
    ceval_gil: 15,
    thread: 22,
    thread_id: 30,
    holds_gil: Some(34),
    frame: 39,
    tlbc_index: Some(46),
    code: 47,
    tlbc: Some(57),
    object: 58,
    dict: 78,
    bytes: 86,
};

/// Where an interpreter's GIL is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GilPlace {
    /// A pointer to it is in the interpreter.
    Interpreter(u64),
    /// It is in the runtime, and all interpreters share it (until 3.11).
    Runtime(u64),
}

/// How a code object's table encodes lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// `co_lnotab`: 3.9.
    Steps,
    /// Ranges of PEP 626: 3.10.
    Ranges,
    /// `Objects/locations.md`: since 3.11.
    Locations,
}

/// What an instance's attributes are in, as far as it is known how to read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attributes {
    /// A dict at `tp_dictoffset` (until 3.10).
    Dict,
    /// Values and a dict before the object, each with a pointer (3.11).
    Pointers,
    /// A pointer before the object, whose lowest bit says that it is one to values (3.12).
    Tagged,
    /// Values behind the object's header, whose length is this, and a pointer to a dict at that many bytes before it (3.13).
    Inline(u64, u64),
}

/// What is needed for the names of threads, which `threading` keeps.
#[derive(Debug, Clone, Copy)]
pub struct Naming {
    pub attributes: Attributes,
    pub modules: u64,
    pub dict_keys: u64,
    pub dict_values: u64,
    pub type_flags: u64,
    pub type_dictoffset: u64,
    pub cached_keys: u64,
}

/// Offsets of the fields that are read, bytes. All are below what a structure may take.
#[derive(Debug, Clone)]
pub struct Offsets {
    pub version: PythonVersion,
    pub free_threaded: bool,
    pub interpreters_head: u64,
    pub interpreter_id: u64,
    pub interpreter_next: u64,
    /// The garbage collector's state; `None` without the GIL, where it keeps no lists.
    pub interpreter_gc: Option<u64>,
    pub threads_head: u64,
    pub gil: GilPlace,
    /// These are from the beginning of the GIL, not of the interpreter that has it.
    pub gil_enabled: Option<u64>,
    pub gil_locked: u64,
    pub gil_holder: u64,
    pub thread_next: u64,
    pub thread_interpreter: u64,
    pub current_frame: u64,
    /// Where the frame is in what `current_frame` points to, if that is no frame (`_PyCFrame`, 3.11 and 3.12).
    pub cframe: Option<u64>,
    /// A `pthread_t`.
    pub thread_id: u64,
    /// `None` before 3.11, which does not note it.
    pub native_thread_id: Option<u64>,
    pub holds_gil: Option<u64>,
    pub gil_requested: Option<u64>,
    pub frame_previous: u64,
    pub frame_executable: u64,
    pub instr_ptr: u64,
    pub frame_owner: Option<u64>,
    pub tlbc_index: Option<u64>,
    pub filename: u64,
    pub qualname: u64,
    pub linetable: u64,
    pub first_line: u64,
    pub lines: Lines,
    pub code_adaptive: u64,
    pub tlbc: Option<u64>,
    pub object_type: u64,
    pub object_size: u64,
    pub type_name: u64,
    pub bytes_size: u64,
    pub bytes_data: u64,
    pub unicode_state: u64,
    pub unicode_length: u64,
    /// Bytes of a `PyASCIIObject`: its characters follow it.
    pub ascii_size: u64,
    /// Bytes of a `PyCompactUnicodeObject`: other characters follow it.
    pub compact_size: u64,
    /// At which bit of a string's state its kind is.
    pub kind_bit: u32,
    pub naming: Option<Naming>,
    /// Bytes of an interpreter's state.
    pub interpreter_size: Option<u64>,
    /// What is needed for coroutines; `None` if a published word is no offset.
    pub coroutines: Option<Coroutines>,
}

impl Offsets {
    /// The addresses at which a thread sleeps that waits for the GIL at `gil`.
    pub fn gil_futexes(&self, gil: u64) -> std::ops::Range<u64> {
        let first = gil.saturating_add(self.gil_locked);
        first..first.saturating_add(GIL_BEHIND_LOCKED)
    }

    /// Reads and checks the structure at `address`.
    pub fn read<M: Memory>(reader: &mut Reader<'_, M>, address: u64) -> Result<Self, Trouble> {
        let bytes = reader.bytes(address, WORDS * 8)?;
        Self::parse(&bytes)
    }

    /// The structure's bytes.
    fn parse(bytes: &[u8]) -> Result<Self, Trouble> {
        let (words, _) = bytes.as_chunks::<8>();
        if words.first() != Some(COOKIE) {
            return Err(Trouble::NoCookie);
        }
        let word = |at: usize| words.get(at).map_or(u64::MAX, |word| u64::from_ne_bytes(*word));
        let version = PythonVersion(u32::try_from(word(1)).unwrap_or(0));
        let order = match version.minor() {
            (3, 13) if version.is_settled() => ORDER_3_13,
            (3, 14) if version.is_settled() => ORDER_3_14,
            (3, 15) if version.is_settled() => ORDER_3_15,
            (3, 16..) if has_right_sizes(&ORDER_3_15, word) => ORDER_3_15,
            _ => return Err(Trouble::UnknownVersion(version)),
        };
        let large = |at: usize| bounded(word(at), LARGEST);
        let small = |at: usize| bounded(word(at), LARGEST_SMALL);
        let optional = |at: Option<usize>| at.map(small).transpose();
        let free_threaded = word(2) == 1;
        let gil = large(order.ceval_gil + 1)?;
        let in_gil = |at: usize| bounded(word(at).wrapping_sub(gil), LARGEST_SMALL);
        let Order { thread, thread_id, frame, code, object, bytes, .. } = order;
        Ok(Self {
            version,
            free_threaded,
            interpreters_head: large(5)?,
            interpreter_id: large(7)?,
            interpreter_next: large(8)?,
            interpreter_gc: (!free_threaded).then(|| large(order.modules - 1)).transpose()?,
            threads_head: large(order.threads_head)?,
            gil: GilPlace::Interpreter(large(order.ceval_gil)?),
            gil_enabled: free_threaded.then(|| small(order.ceval_gil + 2)).transpose()?,
            gil_locked: in_gil(order.ceval_gil + 3)?,
            gil_holder: in_gil(order.ceval_gil + 4)?,
            thread_next: small(thread + 2)?,
            thread_interpreter: small(thread + 3)?,
            current_frame: small(thread + 4)?,
            cframe: None,
            thread_id: small(thread_id)?,
            native_thread_id: Some(small(thread_id + 1)?),
            holds_gil: optional(order.holds_gil)?,
            gil_requested: optional(order.holds_gil.map(|at| at + 1))?,
            frame_previous: small(frame + 1)?,
            frame_executable: small(frame + 2)?,
            instr_ptr: small(frame + 3)?,
            frame_owner: Some(small(frame + 5)?),
            tlbc_index: optional(order.tlbc_index.filter(|_| free_threaded))?,
            filename: small(code + 1)?,
            qualname: small(code + 3)?,
            linetable: small(code + 4)?,
            first_line: small(code + 5)?,
            lines: Lines::Locations,
            code_adaptive: small(code + 9)?,
            tlbc: optional(order.tlbc.filter(|_| free_threaded))?,
            object_size: small(object)?,
            object_type: small(object + 1)?,
            type_name: small(object + 3)?,
            bytes_size: small(bytes + 1)?,
            bytes_data: small(bytes + 2)?,
            unicode_state: small(bytes + 4)?,
            unicode_length: small(bytes + 5)?,
            ascii_size: small(bytes + 6)?,
            compact_size: small(bytes + 6)? + 16,
            // 3.14 without the GIL gives `interned` a byte of its own, to be changed atomically; otherwise it has two bits.
            kind_bit: if free_threaded && version.minor() >= (3, 14) { 8 } else { 2 },
            naming: naming(version.minor(), free_threaded, &order, &word)?,
            interpreter_size: Some(word(6)),
            coroutines: Some(
                Coroutines::of_words(version.minor(), free_threaded, &word)
                    .ok_or(Trouble::Nonsense("an offset is larger than any Python structure"))?,
            ),
        })
    }

    /// Those of a version without `_Py_DebugOffsets`. Its micro version is not known.
    pub fn of_layout(layout: &Layout) -> Self {
        Self {
            version: PythonVersion(0x0300_00f0 | u32::from(layout.minor) << 16),
            free_threaded: false,
            interpreters_head: layout.interpreters_head,
            interpreter_id: layout.interpreter_id,
            interpreter_next: layout.interpreter_next,
            interpreter_gc: Some(layout.interpreter_gc),
            threads_head: layout.threads_head,
            gil: match layout.interpreter_gil {
                Some(at) => GilPlace::Interpreter(at),
                None => GilPlace::Runtime(layout.runtime_gil.unwrap_or(0)),
            },
            gil_enabled: None,
            gil_locked: layout.gil_locked,
            gil_holder: layout.gil_holder,
            thread_next: layout.thread_next,
            thread_interpreter: layout.thread_interpreter,
            current_frame: layout.current_frame,
            cframe: layout.cframe,
            thread_id: layout.thread_id,
            native_thread_id: layout.native_thread_id,
            holds_gil: None,
            gil_requested: None,
            frame_previous: layout.frame_previous,
            frame_executable: layout.frame_executable,
            instr_ptr: layout.instruction,
            frame_owner: layout.frame_owner,
            tlbc_index: None,
            filename: layout.filename,
            qualname: layout.qualname,
            linetable: layout.linetable,
            first_line: layout.first_line,
            lines: match layout.minor {
                ..=9 => Lines::Steps,
                10 => Lines::Ranges,
                _ => Lines::Locations,
            },
            code_adaptive: layout.code_adaptive.unwrap_or(0),
            tlbc: None,
            object_type: layout.object_type,
            object_size: 16,
            type_name: layout.type_name,
            bytes_size: layout.bytes_size,
            bytes_data: layout.bytes_data,
            unicode_state: layout.unicode_state,
            unicode_length: layout.unicode_length,
            ascii_size: layout.ascii_size,
            compact_size: layout.compact_size,
            kind_bit: 2,
            naming: Some(Naming {
                attributes: match layout.minor {
                    ..=10 => Attributes::Dict,
                    11 => Attributes::Pointers,
                    _ => Attributes::Tagged,
                },
                modules: layout.modules,
                dict_keys: layout.dict_keys,
                dict_values: layout.dict_values,
                type_flags: layout.type_flags,
                type_dictoffset: layout.type_dictoffset,
                cached_keys: layout.cached_keys,
            }),
            interpreter_size: None,
            coroutines: Some(Coroutines::of_minor(layout.minor)),
        }
    }
}

/// Where attributes and the modules are; `None` of versions whose structures are not known. `ht_cached_keys` of a type and the dict before an
/// instance are not among the offsets that Python publishes (Include/cpython/object.h, Include/internal/pycore_object.h).
fn naming(minor: (u8, u8), free_threaded: bool, order: &Order, word: &impl Fn(usize) -> u64) -> Result<Option<Naming>, Trouble> {
    let small = |at: usize| bounded(word(at), LARGEST_SMALL);
    let cached_keys = match (minor, free_threaded) {
        ((3, 13), true) => 896,
        ((3, 13 | 14), false) => 880,
        ((3, 15), false) => 888,
        _ => return Ok(None),
    };
    Ok(Some(Naming {
        attributes: Attributes::Inline(small(order.object)?, if free_threaded { 8 } else { 24 }),
        modules: bounded(word(order.modules), LARGEST)?,
        dict_keys: small(order.dict + 1)?,
        dict_values: small(order.dict + 2)?,
        type_flags: small(order.object + 5)?,
        type_dictoffset: 0,
        cached_keys,
    }))
}

/// Whether the fields of an order lie within the sizes that the table itself gives for their structures, and structures that do not
/// change have their known sizes: so it is if nothing was inserted before them.
fn has_right_sizes(order: &Order, word: impl Fn(usize) -> u64) -> bool {
    let within = |first: usize, fields: std::ops::RangeInclusive<usize>| {
        let size = word(first);
        (8..LARGEST).contains(&size) && fields.into_iter().all(|at| word(first + at) < size)
    };
    let threads = order.holds_gil.unwrap_or(order.thread_id) + 1 - order.thread;
    let header = if word(2) == 1 { 32 } else { 16 };
    within(3, 1..=2)
        && within(6, 1..=3)
        && word(order.ceval_gil) < word(6)
        && within(order.thread, 1..=threads)
        && within(order.frame, 1..=5)
        && within(order.code, 1..=9)
        && within(order.object, 1..=1)
        && word(order.object) == header
        && within(order.object + 2, 1..=3)
        && within(order.dict, 1..=2)
        && within(order.bytes, 1..=2)
        && (word(order.bytes + 1), word(order.bytes + 2)) == (header, header + 16)
        && within(order.bytes + 3, 1..=2)
}

fn bounded(offset: u64, most: u64) -> Result<u64, Trouble> {
    if offset < most { Ok(offset) } else { Err(Trouble::Nonsense("an offset is larger than any Python structure")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(version: u64) -> Vec<u8> {
        let mut words: Vec<u64> = (0..WORDS as u64).map(|at| at * 8).collect();
        words[0] = u64::from_ne_bytes(*COOKIE);
        (words[1], words[2]) = (version, 0);
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn each_version_has_its_own_order_and_others_are_named() {
        for (version, at) in [(0x030d_05f0, [21, 25, 43, 70]), (0x030e_0af0, [24, 28, 48, 80]), (0x030f_02f0, [24, 31, 56, 92])] {
            let table = Offsets::parse(&words(version)).unwrap();
            let native = table.native_thread_id.unwrap();
            assert_eq!([table.thread_next, native, table.code_adaptive, table.ascii_size], at.map(|word: u64| word * 8));
        }
        for (version, name) in [
            (0x030f_00a1, "3.15.0a1"),
            (0x0310_00f0, "3.16.0"),
            (0x030e_00b2, "3.14.0b2"),
            (0x030c_01f0, "3.12.1"),
            (u64::MAX, "0.0.0"),
        ] {
            let Err(Trouble::UnknownVersion(told)) = Offsets::parse(&words(version)) else { panic!("{version:x}") };
            assert_eq!(told.to_string(), name);
        }
    }

    /// The table of CPython 3.15.2 as Debian builds it, words 3 to 110.
    const REAL_3_15: [u64; 108] = [
        346568, 912, 936, 226240, 7272, 7264, 7336, 7352, 7400, 7592, 7576, 7584, 16, 7736, 0, 7752, 7744, 7944, 0, 888, 0, 8,
        16, 72, 80, 88, 96, 176, 184, 256, 32, 36, 40, 136, 288, 0, 88, 8, 0, 56, 80, 74, 64, 0, 216, 112, 120, 128, 136, 68, 52,
        96, 104, 208, 0, 16, 8, 424, 24, 88, 168, 32, 288, 944, 888, 40, 32, 16, 40, 24, 16, 200, 24, 40, 32, 48, 32, 40, 24, 16,
        32, 16, 24, 40, 16, 32, 64, 32, 16, 40, 56, 176, 112, 120, 1120, 104, 160, 24, 72, 67, 0, 8, 24, 344, 8028, 0, 4, 512,
    ];

    #[test]
    fn a_later_version_is_read_if_its_sizes_are_those_of_the_newest_known_and_refused_if_they_are_not() {
        let table = |inserted: Option<usize>| {
            let mut table = vec![u64::from_ne_bytes(*COOKIE), 0x0310_00f0, 0];
            table.extend(REAL_3_15);
            if let Some(at) = inserted {
                table.insert(at, 24);
            }
            // Fields behind those that are known are ignored.
            table.resize(WORDS, 7);
            table.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>()
        };
        let offsets = Offsets::parse(&table(None)).unwrap();
        assert_eq!((offsets.holds_gil, offsets.thread_id, offsets.frame_owner), (Some(36), 176, Some(74)));
        for at in [10, 16, 23, 36, 40, 48, 58, 60, 80] {
            let refused = Offsets::parse(&table(Some(at)));
            assert!(matches!(refused, Err(Trouble::UnknownVersion(_))), "a word inserted at {at}");
        }
    }

    #[test]
    fn what_is_no_such_structure_is_refused() {
        assert!(matches!(Offsets::parse(&[]), Err(Trouble::NoCookie)));
        assert!(matches!(Offsets::parse(b"xdebugpy"), Err(Trouble::UnknownVersion(_))));
        assert!(matches!(Offsets::parse(&words(0x030e_0af0)[..200]), Err(Trouble::Nonsense(_))));
        let mut absurd = words(0x030e_0af0);
        absurd[24 * 8..25 * 8].copy_from_slice(&u64::MAX.to_ne_bytes());
        assert!(matches!(Offsets::parse(&absurd), Err(Trouble::Nonsense(_))));
    }
}
