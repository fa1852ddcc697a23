//! The offsets that CPython publishes: `_Py_DebugOffsets`, which begins `_PyRuntime` since 3.13.
//!
//! A structure of 64-bit words whose order is fixed for each minor version from its first release candidate:
//! `Include/internal/pycore_runtime.h` of 3.13, `Include/internal/pycore_debug_offsets.h` of 3.14. To add a version: its [`Order`].

use super::Trouble;
use super::memory::{Memory, Reader};
use crate::snapshot::PythonVersion;

/// How it begins.
pub const COOKIE: &[u8; 8] = b"xdebugpy";

/// The most that is read of it: 3.14's has 95 words.
pub const WORDS: usize = 128;

/// No structure that is looked into is larger than an interpreter's state, 226 KiB in 3.14.
const LARGEST: u64 = 4 << 20;
/// Where in a small structure (a frame, a thread's state, an object) a field may be.
const LARGEST_SMALL: u64 = 16 * 1024;

/// At which word of `_Py_DebugOffsets` a field's offset is, in one minor version.
struct Order {
    interpreter_id: usize,
    interpreter_next: usize,
    threads_head: usize,
    ceval_gil: usize,
    gil: usize,
    gil_enabled: usize,
    gil_locked: usize,
    gil_holder: usize,
    /// The first of `thread_state`: from there on the order is the same until `native_thread_id`.
    thread: usize,
    /// The first of `interpreter_frame`, likewise until `owner`.
    frame: usize,
    tlbc_index: Option<usize>,
    /// The first of `code_object`, likewise until `co_code_adaptive`.
    code: usize,
    tlbc: Option<usize>,
    object_type: usize,
    type_name: usize,
    /// The first of `bytes_object`, and of `unicode_object` behind it.
    bytes: usize,
}

/// 3.13: words 0 to 2 are cookie, version, free_threaded; 3 to 5 `runtime_state`; 6 to 18 `interpreter_state`.
const ORDER_3_13: Order = Order {
    interpreter_id: 7,
    interpreter_next: 8,
    threads_head: 9,
    ceval_gil: 14,
    gil: 15,
    gil_enabled: 16,
    gil_locked: 17,
    gil_holder: 18,
    thread: 19,
    frame: 28,
    tlbc_index: None,
    code: 34,
    tlbc: None,
    object_type: 45,
    type_name: 47,
    bytes: 64,
};

/// 3.14: `threads_main` is new, and counters behind the GIL; frames and code know of a copy of the bytecode for each thread; sets.
const ORDER_3_14: Order = Order {
    interpreter_id: 7,
    interpreter_next: 8,
    threads_head: 9,
    ceval_gil: 15,
    gil: 16,
    gil_enabled: 17,
    gil_locked: 18,
    gil_holder: 19,
    thread: 22,
    frame: 31,
    tlbc_index: Some(38),
    code: 39,
    tlbc: Some(49),
    object_type: 51,
    type_name: 53,
    bytes: 74,
};

/// Offsets of the fields that are looked at, bytes. All have been checked to lie within what a structure may take.
#[derive(Debug, Clone)]
pub struct Offsets {
    pub version: PythonVersion,
    pub free_threaded: bool,
    pub interpreters_head: u64,
    pub interpreter_id: u64,
    pub interpreter_next: u64,
    pub threads_head: u64,
    pub ceval_gil: u64,
    /// These are from the beginning of the GIL, not of the interpreter that has it.
    pub gil_enabled: Option<u64>,
    pub gil_locked: u64,
    pub gil_holder: u64,
    pub thread_next: u64,
    pub thread_interpreter: u64,
    pub current_frame: u64,
    pub native_thread_id: u64,
    pub frame_previous: u64,
    pub frame_executable: u64,
    pub instr_ptr: u64,
    pub frame_owner: u64,
    pub tlbc_index: Option<u64>,
    pub filename: u64,
    pub qualname: u64,
    pub linetable: u64,
    pub first_line: u64,
    pub code_adaptive: u64,
    pub tlbc: Option<u64>,
    pub object_type: u64,
    pub type_name: u64,
    pub bytes_size: u64,
    pub bytes_data: u64,
    pub unicode_state: u64,
    pub unicode_length: u64,
    /// Bytes of a `PyASCIIObject`: its characters follow it.
    pub ascii_size: u64,
    /// At which bit of a string's state its kind is.
    pub kind_bit: u32,
}

impl Offsets {
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
            _ => return Err(Trouble::UnknownVersion(version)),
        };
        let large = |at: usize| bounded(word(at), LARGEST);
        let small = |at: usize| bounded(word(at), LARGEST_SMALL);
        let optional = |at: Option<usize>| at.map(small).transpose();
        let free_threaded = word(2) == 1;
        let gil = large(order.gil)?;
        let in_gil = |at: usize| bounded(word(at).wrapping_sub(gil), LARGEST_SMALL);
        let (thread, frame, code, bytes) = (order.thread, order.frame, order.code, order.bytes);
        Ok(Self {
            version,
            free_threaded,
            interpreters_head: large(5)?,
            interpreter_id: large(order.interpreter_id)?,
            interpreter_next: large(order.interpreter_next)?,
            threads_head: large(order.threads_head)?,
            ceval_gil: large(order.ceval_gil)?,
            gil_enabled: free_threaded.then(|| small(order.gil_enabled)).transpose()?,
            gil_locked: in_gil(order.gil_locked)?,
            gil_holder: in_gil(order.gil_holder)?,
            thread_next: small(thread + 2)?,
            thread_interpreter: small(thread + 3)?,
            current_frame: small(thread + 4)?,
            native_thread_id: small(thread + 6)?,
            frame_previous: small(frame + 1)?,
            frame_executable: small(frame + 2)?,
            instr_ptr: small(frame + 3)?,
            frame_owner: small(frame + 5)?,
            tlbc_index: optional(order.tlbc_index.filter(|_| free_threaded))?,
            filename: small(code + 1)?,
            qualname: small(code + 3)?,
            linetable: small(code + 4)?,
            first_line: small(code + 5)?,
            code_adaptive: small(code + 9)?,
            tlbc: optional(order.tlbc.filter(|_| free_threaded))?,
            object_type: small(order.object_type)?,
            type_name: small(order.type_name)?,
            bytes_size: small(bytes + 1)?,
            bytes_data: small(bytes + 2)?,
            unicode_state: small(bytes + 4)?,
            unicode_length: small(bytes + 5)?,
            ascii_size: small(bytes + 6)?,
            // 3.14 without the GIL gives `interned` a byte of its own, to be changed atomically; otherwise it has two bits.
            kind_bit: if free_threaded && version.minor() >= (3, 14) { 8 } else { 2 },
        })
    }
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
        let old = Offsets::parse(&words(0x030d_05f0)).unwrap();
        assert_eq!((old.thread_next, old.native_thread_id, old.code_adaptive, old.ascii_size), (21 * 8, 25 * 8, 43 * 8, 70 * 8));
        let new = Offsets::parse(&words(0x030e_0af0)).unwrap();
        assert_eq!((new.thread_next, new.native_thread_id, new.code_adaptive, new.ascii_size), (24 * 8, 28 * 8, 48 * 8, 80 * 8));
        for (version, name) in
            [(0x030f_00a1, "3.15.0a1"), (0x030e_00b2, "3.14.0b2"), (0x030c_01f0, "3.12.1"), (u64::MAX, "0.0.0")]
        {
            let Err(Trouble::UnknownVersion(told)) = Offsets::parse(&words(version)) else { panic!("{version:x}") };
            assert_eq!(told.to_string(), name);
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
