//! The walk through made-up memory: valid, hostile, and changing during the reading.

use std::cell::Cell;

use proptest::prelude::*;

use super::memory::Memory;
use super::{Trouble, offsets, walk};
use crate::kernel::error::ReadError;
use crate::snapshot::{Gil, PythonRuntime};

pub(super) const BASE: u64 = 0x1_0000;

/// A runtime of 3.14 with offsets of its own: interpreters of 128 bytes, threads of 64, frames of 48.
#[derive(Clone)]
pub(super) struct Image {
    pub bytes: Vec<u8>,
    types: [u64; 3],
}

impl Memory for Image {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<bool, ReadError> {
        let from = address.checked_sub(BASE).and_then(|at| usize::try_from(at).ok());
        let part = from.and_then(|at| self.bytes.get(at..at.checked_add(buffer.len())?));
        let Some(part) = part else { return Ok(false) };
        buffer.copy_from_slice(part);
        Ok(true)
    }
}

impl Image {
    pub(super) fn new(free_threaded: bool) -> Self {
        let mut image = Self { bytes: Vec::new(), types: [0; 3] };
        image.take(2048);
        image.put(BASE, u64::from_ne_bytes(*offsets::COOKIE));
        let words: &[(u64, u64)] = &[
            (1, 0x030e_0af0),
            (2, free_threaded.into()),
            (5, 1024),
            // id, next, threads_head, gc, ceval_gil, the GIL with enabled, locked, holder.
            (8, 8),
            (9, 16),
            (11, 112),
            (15, 24),
            (16, 32),
            (18, 40),
            (19, 48),
            // next, interp, current_frame, native_thread_id of a thread.
            (24, 8),
            (25, 16),
            (26, 24),
            (28, 40),
            // previous, instr_ptr, owner, tlbc_index of a frame.
            (32, 8),
            (34, 16),
            (35, 40),
            (36, 32),
            (37, 24),
            (38, 36),
            // filename, qualname, linetable, first line, instructions, copies of code.
            (40, 16),
            (42, 24),
            (43, 32),
            (44, 40),
            (46, 88),
            (48, 64),
            (49, 48),
            (51, 8),
            (53, 16),
            // size and data of bytes; state, length and size of a string.
            (75, 16),
            (76, 24),
            (78, 24),
            (79, 16),
            (80, 32),
            // items and size of a tuple; used, table and mask of a set; frame and state of a coroutine.
            (57, 24),
            (58, 16),
            (63, 24),
            (64, 40),
            (65, 32),
            (85, 32),
            (86, 24),
            // keys and values of a dict.
            (67, 16),
            (68, 24),
        ];
        words.iter().for_each(|(at, value)| image.put(BASE + at * 8, *value));
        image.types = [&b"code\0"[..], b"str\0", b"bytes\0"].map(|name| {
            let text = image.take(16);
            image.bytes_at(text, name);
            let of = image.take(24);
            image.put(of + 16, text);
            of
        });
        image
    }

    pub(super) fn take(&mut self, size: usize) -> u64 {
        let at = BASE + self.bytes.len() as u64;
        self.bytes.resize(self.bytes.len() + size.next_multiple_of(8), 0);
        at
    }

    pub(super) fn put(&mut self, at: u64, word: u64) {
        self.bytes_at(at, &word.to_ne_bytes());
    }

    pub(super) fn bytes_at(&mut self, at: u64, bytes: &[u8]) {
        let at = (at - BASE) as usize;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub(super) fn string(&mut self, text: &str) -> u64 {
        let at = self.take(64 + text.len());
        self.put(at + 8, self.types[1]);
        self.put(at + 16, text.len() as u64);
        let bit = if self.bytes[16] == 1 { 8 } else { 2 };
        self.put(at + 24, 0b11_001 << bit);
        self.bytes_at(at + 32, text.as_bytes());
        at
    }

    /// A type of that name.
    pub(super) fn type_of_name(&mut self, name: &[u8]) -> u64 {
        let text = self.take(64);
        self.bytes_at(text, name);
        let of = self.take(272);
        self.put(of + 16, text);
        of
    }

    pub(super) fn code(&mut self, function: &str, first_line: u64) -> u64 {
        self.code_in("/srv/app.py", function, first_line)
    }

    pub(super) fn code_in(&mut self, file: &str, function: &str, first_line: u64) -> u64 {
        let (file, name) = (self.string(file), self.string(function));
        let table = self.take(40);
        self.put(table + 8, self.types[2]);
        self.put(table + 16, 4);
        // Two code units on the first line, two on the next.
        self.bytes_at(table + 24, &[0x81, 0x00, 0xd9, 0x00]);
        let at = self.take(96);
        for (offset, word) in [(8, self.types[0]), (16, file), (24, name), (32, table), (40, first_line)] {
            self.put(at + offset, word);
        }
        at
    }

    pub(super) fn frame(&mut self, code: u64, previous: u64, owner: u64) -> u64 {
        let at = self.take(48);
        for (offset, word) in [(0, code), (8, previous), (16, code + 64 + 4), (32, owner)] {
            self.put(at + offset, word);
        }
        at
    }

    fn thread(&mut self, interpreter: u64, native_id: u64, frame: u64) -> u64 {
        let at = self.take(64);
        for (offset, word) in [(8, self.word(interpreter + 16)), (16, interpreter), (24, frame), (40, native_id)] {
            self.put(at + offset, word);
        }
        self.put(interpreter + 16, at);
        at
    }

    fn interpreter(&mut self, id: u64) -> u64 {
        let at = self.take(192);
        for (offset, word) in [(0, id), (8, self.word(BASE + 1024)), (24, at + 32)] {
            self.put(at + offset, word);
        }
        self.put(BASE + 1024, at);
        at
    }

    pub(super) fn word(&self, at: u64) -> u64 {
        let mut word = [0; 8];
        assert!(self.read(at, &mut word).unwrap());
        u64::from_ne_bytes(word)
    }
}

/// An interpreter with one thread in `leaf`, called by `root`, below a frame of the interpreter's own; and one that holds the GIL.
pub(super) struct Small {
    pub image: Image,
    pub interpreter: u64,
    outer: u64,
    leaf: u64,
    pub thread: u64,
}

pub(super) fn small(free_threaded: bool) -> Small {
    let mut image = Image::new(free_threaded);
    let interpreter = image.interpreter(0);
    let (root_code, leaf) = (image.code("root", 10), image.code("leaf", 20));
    let shim = image.frame(0, 0, 3);
    let outer = image.frame(root_code, shim, 0);
    // A reference whose lowest bit says that it is counted elsewhere.
    let inner = image.frame(leaf | 1, outer, 0);
    let thread = image.thread(interpreter, 71, inner);
    image.thread(interpreter, 72, outer);
    image.put(interpreter + 40, 1);
    image.put(interpreter + 48, thread);
    Small { image, interpreter, outer, leaf, thread }
}

fn read(memory: &impl Memory) -> Result<PythonRuntime, Trouble> {
    walk::runtime(memory, BASE, walk::Origin::Itself, None).map(|(runtime, _)| runtime)
}

fn functions(runtime: &PythonRuntime) -> Vec<Vec<String>> {
    let in_words = |frame: &crate::snapshot::PythonFrame| format!("{} {}:{:?}", frame.function, frame.file, frame.line);
    runtime.interpreters[0].threads.iter().map(|thread| thread.frames.iter().map(in_words).collect()).collect()
}

#[test]
fn threads_functions_lines_and_the_holder_are_read() {
    let small = small(false);
    let runtime = read(&small.image).unwrap();
    assert_eq!((runtime.version.to_string(), runtime.free_threaded, runtime.notes.len()), ("3.14.10".into(), false, 0));
    assert_eq!(
        functions(&runtime),
        [
            vec!["leaf /srv/app.py:Some(21)".to_owned(), "root /srv/app.py:Some(11)".to_owned()],
            vec!["root /srv/app.py:Some(11)".to_owned()],
        ]
    );
    let interpreter = &runtime.interpreters[0];
    assert_eq!((interpreter.id, interpreter.gil), (0, Gil::Held(71)));
    assert_eq!(
        interpreter.threads.iter().map(|t| (t.native_id, t.holds_gil, t.moved)).collect::<Vec<_>>(),
        [(71, true, false), (72, false, false)]
    );
}

#[test]
fn without_the_gil_nobody_holds_it_and_a_copy_of_the_bytecode_gives_the_same_line() {
    let mut small = small(true);
    // The leaf's thread executes its own copy of the instructions, the first behind the one they all began with.
    let copies = small.image.take(24);
    let copy = small.image.take(16);
    small.image.put(copies, 2);
    small.image.put(copies + 16, copy);
    small.image.put(small.leaf + 48, copies);
    let frame = small.image.word(small.thread + 24);
    small.image.put(frame + 16, copy + 4);
    small.image.put(frame + 32, 1 << 32);
    let runtime = read(&small.image).unwrap();
    assert_eq!(runtime.interpreters[0].gil, Gil::Off);
    assert_eq!(functions(&runtime)[0][0], "leaf /srv/app.py:Some(21)");
    // A number beyond all copies gives no line rather than another's.
    small.image.put(frame + 32, 7 << 32);
    assert_eq!(functions(&read(&small.image).unwrap())[0][0], "leaf /srv/app.py:None");
    // Switched on, it is held as any other.
    small.image.put(small.interpreter + 32, 1);
    assert_eq!(read(&small.image).unwrap().interpreters[0].gil, Gil::Held(71));
}

#[test]
fn circles_and_absurd_lengths_end_in_a_sentence() {
    let fails = |change: &dyn Fn(&mut Small)| {
        let mut small = small(false);
        change(&mut small);
        read(&small.image).unwrap_err().to_string()
    };
    assert!(fails(&|s| s.image.put(s.interpreter + 8, s.interpreter)).contains("list of interpreters is a cycle"));
    assert!(fails(&|s| s.image.put(s.thread + 8, s.thread)).contains("list of threads is a cycle"));
    assert!(fails(&|s| s.image.put(s.thread + 16, 4)).contains("belongs to no interpreter"));
    assert!(fails(&|s| s.image.put(s.interpreter, u64::MAX)).contains("invalid ids"));
    assert!(fails(&|s| s.image.put(BASE + 1024, u64::MAX - 3)).contains("leads to unmapped memory"));
    assert!(fails(&|s| s.image.put(BASE + 1024, 0)).contains("no interpreter"));
    assert!(fails(&|s| s.image.put(BASE, 0)).contains("does not publish the offsets"));
    assert!(fails(&|s| s.image.put(BASE + 24 * 8, 1 << 40)).contains("larger than any Python structure"));
    // What is wrong with a thread's frames is said of that thread, and the others are read.
    for change in [
        |s: &mut Small| s.image.put(s.outer + 8, s.outer),
        |s: &mut Small| s.image.put(s.leaf + 24, s.leaf),
        |s: &mut Small| s.image.put(s.leaf + 8, 8),
        |s: &mut Small| s.image.put(s.leaf + 32, u64::MAX),
    ] {
        let mut small = small(false);
        change(&mut small);
        let runtime = read(&small.image).unwrap();
        assert!(runtime.interpreters[0].threads[0].moved, "{:?}", functions(&runtime));
    }
    // A name of nearly 2^63 characters is cut; what is behind them is not there, so that the name cannot be read at all.
    let mut small = small(false);
    let name = small.image.word(small.leaf + 24);
    small.image.put(name + 16, i64::MAX as u64);
    let threads = read(&small.image).unwrap().interpreters.remove(0).threads;
    assert!(threads[0].frames.first().is_none_or(|frame| frame.function.len() <= 520));
}

#[test]
fn deep_recursion_is_folded_and_frames_that_are_left_out_are_counted() {
    let mut small = small(false);
    let mut frame = small.outer;
    for _ in 0..500 {
        frame = small.image.frame(small.leaf, frame, 0);
    }
    small.image.put(small.thread + 24, frame);
    let threads = read(&small.image).unwrap().interpreters.remove(0).threads;
    let [first, second] = &threads[..] else { panic!("{threads:?}") };
    assert_eq!(
        first.frames.iter().map(|frame| (&*frame.function, frame.times)).collect::<Vec<_>>(),
        [("leaf", 500), ("root", 1)]
    );
    assert_eq!((first.deeper, first.left_out, second.frames.len()), (false, None, 1));
    // Functions that call each other do not fold; the outermost frames are kept, and how many are left out is said.
    let other = small.image.code("other", 30);
    for at in 0..1000 {
        frame = small.image.frame(if at % 2 == 0 { other } else { small.leaf }, frame, 0);
    }
    small.image.put(small.thread + 24, frame);
    let threads = read(&small.image).unwrap().interpreters.remove(0).threads;
    assert_eq!(threads[0].frames.len(), 128);
    assert_eq!(&*threads[0].frames[127].function, "root");
    let left = threads[0].left_out.unwrap();
    let kept: usize = threads[0].frames.iter().map(|frame| frame.times).sum();
    assert_eq!((left.behind, left.count + kept), (96, 1501));
    // A stack that is deeper than anything that is read says that it is.
    for at in 0..20_000 {
        frame = small.image.frame(if at % 2 == 0 { other } else { small.leaf }, frame, 0);
    }
    small.image.put(small.thread + 24, frame);
    let threads = read(&small.image).unwrap().interpreters.remove(0).threads;
    assert!(threads[0].deeper && !threads[0].moved);
}

/// Another thread heads the list each time it is read.
struct Restless(Image, u64, Cell<u64>);

impl Memory for Restless {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<bool, ReadError> {
        let there = self.0.read(address, buffer)?;
        if address == self.1 {
            self.2.set(self.2.get() + 1);
            if self.2.get().is_multiple_of(2) {
                let second = self.0.word(self.0.word(self.1) + 8);
                buffer.copy_from_slice(&second.to_ne_bytes());
            }
        }
        Ok(there)
    }
}

#[test]
fn lists_that_never_hold_still_are_told_with_a_doubt() {
    let small = small(false);
    let restless = Restless(small.image, small.interpreter + 16, Cell::new(0));
    let runtime = read(&restless).unwrap();
    assert!(runtime.notes[0].contains("started and ended"), "{:?}", runtime.notes);
}

/// A name that becomes another one as soon as the table of lines, which is read behind it, has been read once.
struct Replaced {
    image: Image,
    table: u64,
    name: u64,
    is_done: Cell<bool>,
}

impl Memory for Replaced {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<bool, ReadError> {
        let there = self.image.read(address, buffer)?;
        let end = address + buffer.len() as u64;
        let covers = |at: u64| (address..end).contains(&at);
        if self.is_done.get() && covers(self.name) {
            buffer[(self.name - address) as usize] = b'h';
        }
        self.is_done.set(self.is_done.get() || covers(self.table));
        Ok(there)
    }
}

#[test]
fn a_function_that_is_replaced_while_it_is_read_is_never_a_mix_of_two() {
    for keeps_pages in [false, true] {
        let Small { mut image, leaf, .. } = small(false);
        // Whole pages are there.
        image.take(8192);
        let (name, table) = (image.word(leaf + 24) + 32, image.word(leaf + 32) + 24);
        let memory = Replaced { image, table, name, is_done: Cell::new(false) };
        let mut reader = super::memory::Reader::new(&memory);
        let offsets = offsets::Offsets::read(&mut reader, BASE).unwrap();
        let mut objects = super::objects::Objects::new(reader, offsets);
        if keeps_pages {
            objects.reader.keep_pages();
        }
        memory.is_done.set(false);
        let (first, second) = (objects.code(leaf), {
            objects.reader.forget_pages();
            objects.code(leaf)
        });
        assert!(matches!(first, Err(Trouble::Torn(_))), "{keeps_pages}: {first:?}");
        assert_eq!(&*second.unwrap().unwrap().function, "heaf");
    }
}

proptest! {
    #[test]
    fn no_memory_makes_it_panic_or_go_on_for_ever(changes in proptest::collection::vec((0usize..500, any::<u64>(), any::<bool>()), 0..12)) {
        let mut small = small(changes.len().is_multiple_of(2));
        let words = small.image.bytes.len() / 8;
        for (at, value, pointer) in changes {
            // Behind the offsets, half of what is put there leads somewhere.
            let value = if pointer { BASE + value % small.image.bytes.len() as u64 } else { value };
            small.image.put(BASE + (((at * 97) % words) * 8) as u64, value);
        }
        let _ = read(&small.image);
    }

    #[test]
    fn no_bytes_are_a_runtime_that_makes_it_panic(mut bytes: Vec<u8>) {
        bytes.splice(0..0, *offsets::COOKIE);
        let _ = read(&Image { bytes, types: [0; 3] });
    }
}
