//! Where coroutines, sets and the tasks of asyncio have their fields.
//!
//! From 3.14 on `_asyncio` publishes the layout of its tasks in the section `.AsyncioDebug` (`Py_AsyncioModuleDebugOffsets` of
//! Modules/_asynciomodule.c): thirteen words. Those of coroutines and sets are in `_Py_DebugOffsets` since then. For 3.9 to 3.13 they
//! are those of `struct TaskObj`, `_PyGenObject_HEAD`, `PySetObject` and, before 3.11, `struct _frame` in the headers of these versions, which
//! `tests/inspect/versions` compares with real interpreters.

/// The section, and its bytes.
pub const SECTION: &str = ".AsyncioDebug";
pub const SECTION_BYTES: usize = 13 * 8;

/// Fields of threads, frames and objects lie below this offset.
const LARGEST_SMALL: u64 = 16 * 1024;
/// No task is larger: it has 168 bytes in 3.14.
const LARGEST_TASK: u64 = 1024;

/// Where the top of a frame's stack is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Top {
    /// The frame has a pointer to the end of its stack; the object is that many bytes before it.
    Pointer { at: u64, back: u64 },
    /// The frame has an `int` that counts the entries of locals and stack.
    Count { at: u64 },
    /// The frame has an `int` that counts the entries of its stack.
    Depth { at: u64 },
}

/// Where a frame is an object of its own, to which the coroutine points (before 3.11): fields of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Apart {
    /// A pointer to the first entry of its stack.
    pub stack: u64,
    /// An `int`: the number of its blocks (`f_iblock`).
    pub block_count: u64,
    /// The blocks: three `int`s each, the last of which is the depth of the stack (`PyTryBlock`).
    pub blocks: u64,
}

impl Apart {
    /// Bytes of a block, and where in it the depth is.
    pub const BLOCK: u64 = 12;
    pub const DEPTH: u64 = 8;
}

/// Layout of coroutines and of what leads to them, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coroutines {
    /// Bytes of an object's header.
    pub header: u64,
    /// The frame within a coroutine or generator, or the pointer to it.
    pub frame: u64,
    pub apart: Option<Apart>,
    /// One byte, `PyFrameState`; within the coroutine, or the frame if that is apart.
    pub frame_state: u64,
    /// The states in which a coroutine waits for the object on its stack.
    pub waiting: [i8; 2],
    pub top: Top,
    /// Within a frame.
    pub locals: u64,
    /// Within a code object: a tuple of the names of locals.
    pub local_names: u64,
    pub tuple_size: u64,
    pub tuple_items: u64,
    pub set_used: u64,
    pub set_mask: u64,
    pub set_table: u64,
    /// Within a type (`tp_base`, Include/cpython/object.h).
    pub type_base: u64,
}

impl Coroutines {
    /// Those of a version that has `_Py_DebugOffsets`, whose n-th word is `word(n)`; `None` if one is no offset.
    pub fn of_words(minor: (u8, u8), free_threaded: bool, word: &impl Fn(usize) -> u64) -> Option<Self> {
        let before = Self::before_3_14(13, if free_threaded { 32 } else { 16 });
        // The first words of `code_object`, `interpreter_frame`, `tuple_object`, `set_object` and `gen_object`.
        let (code, frame, tuple, set, generator) = match minor {
            (3, 13) => return Some(before),
            (3, 14) => (39, 31, 56, 62, 83),
            _ => (47, 39, 68, 74, 99),
        };
        let small = |at: usize| Some(word(at)).filter(|offset| *offset < LARGEST_SMALL);
        Some(Self {
            frame: small(generator + 2)?,
            frame_state: small(generator + 3)?,
            // SUSPENDED_YIELD_FROM, and since 3.15 that one locked.
            waiting: if minor == (3, 14) { [-1, -1] } else { [2, 3] },
            // Since 3.15 an index is on the stack above the object that is iterated.
            top: Top::Pointer { at: small(frame + 6)?, back: if minor == (3, 14) { 8 } else { 16 } },
            locals: small(frame + 4)?,
            local_names: small(code + 7)?,
            tuple_items: small(tuple + 1)?,
            tuple_size: small(tuple + 2)?,
            set_used: small(set + 1)?,
            set_table: small(set + 2)?,
            set_mask: small(set + 3)?,
            ..before
        })
    }

    /// Those of a version without.
    pub fn of_minor(minor: u8) -> Self {
        if minor < 11 { Self::before_3_11(minor) } else { Self::before_3_14(minor, 16) }
    }

    fn before_3_11(minor: u8) -> Self {
        // 3.9 has no state: a frame whose last instruction (`f_lasti`) is not negative has begun, and one that waits has a top of its stack.
        let (block_count, frame_state, waiting, top) = match minor {
            9 => (112, 107, [0, 0], Top::Pointer { at: 72, back: 8 }),
            _ => (104, 108, [-1, -1], Top::Depth { at: 80 }),
        };
        let blocks = block_count + 8;
        Self {
            frame: 16,
            apart: Some(Apart { stack: 64, block_count, blocks }),
            frame_state,
            waiting,
            top,
            // Behind 20 blocks.
            locals: blocks + 20 * Apart::BLOCK,
            local_names: 72,
            ..Self::before_3_14(11, 16)
        }
    }

    fn before_3_14(minor: u8, header: u64) -> Self {
        // 3.11 has the code object in front.
        let frame = header + if minor == 11 { 64 } else { 56 };
        Self {
            header,
            frame,
            apart: None,
            frame_state: frame - 5,
            waiting: [-1, -1],
            top: Top::Count { at: 64 },
            locals: 72,
            local_names: if header == 32 { 112 } else { 96 },
            tuple_size: header,
            tuple_items: header + 8,
            set_used: header + 8,
            set_mask: header + 16,
            set_table: header + 24,
            type_base: 240 + header,
        }
    }
}

/// Layout of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskLayout {
    /// How much of it is read.
    pub size: u64,
    pub event_loop: u64,
    /// An `int`: 0 while it has no result (`fut_state`).
    pub state: u64,
    /// The future that it waits for.
    pub waiter: u64,
    pub coroutine: u64,
    pub name: u64,
    /// From 3.14 on.
    pub links: Option<Links>,
}

/// The fields that 3.14 added, so that debuggers find tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Links {
    /// A task, or a set of tasks.
    pub awaited_by: u64,
    /// One byte each.
    pub is_task: u64,
    pub is_set: u64,
    /// The entry in the list of tasks: a pointer to the next entry, then to the one before.
    pub node: u64,
}

impl TaskLayout {
    /// That of 3.9 and 3.10 if tasks have so many bytes: 3.10.6 inserted a pointer.
    pub fn before_3_11(size: u64) -> Option<Self> {
        let coroutine = matches!(size, 184 | 192).then(|| size - 32)?;
        let (waiter, name) = (coroutine - 8, coroutine + 8);
        Some(Self { size: coroutine + 16, event_loop: 16, state: coroutine - 72, waiter, coroutine, name, links: None })
    }

    /// That of 3.11 to 3.13.
    pub fn before_3_14(minor: u8, header: u64) -> Self {
        let coroutine = header + if minor == 13 { 104 } else { 120 };
        Self {
            size: coroutine + 16,
            event_loop: header,
            // Behind eight pointers, and in 3.13 another one.
            state: header + if minor == 13 { 80 } else { 72 },
            waiter: coroutine - 8,
            coroutine,
            name: coroutine + 8,
            links: None,
        }
    }
}

/// What `.AsyncioDebug` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    pub task: TaskLayout,
    /// Within an interpreter's state: the tasks of threads that have ended.
    pub interpreter_tasks: u64,
    /// Within a thread's state.
    pub thread_loop: u64,
    pub thread_task: u64,
    pub thread_tasks: u64,
}

impl Published {
    /// The section's bytes; `None` if they do not fit. `interpreter` is the size of an interpreter's state by `_Py_DebugOffsets`: both must
    /// agree.
    pub fn parse(bytes: &[u8], header: u64, interpreter: Option<u64>) -> Option<Self> {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |at: usize| words.get(at).map_or(u64::MAX, |word| u64::from_ne_bytes(*word));
        let (task, owner, thread) = (word(0), word(7), word(9));
        let within = |at: usize, size: u64, bytes: u64| word(at).checked_add(bytes).is_some_and(|end| end <= size);
        let fits = task <= LARGEST_TASK
            && [1, 2, 5, 6].into_iter().all(|at| within(at, task, 8) && word(at) >= header + 8)
            && [3, 4].into_iter().all(|at| within(at, task, 1) && word(at) >= header + 8)
            && interpreter == Some(owner)
            && within(8, owner, 16)
            && thread <= LARGEST_SMALL
            && (10..=12).all(|at| within(at, thread, 8));
        fits.then(|| Self {
            task: TaskLayout {
                size: task,
                event_loop: header,
                // `fut_state` stands before `is_task`, the future before the coroutine (FutureObj_HEAD, TaskObj).
                state: word(3) - 4,
                waiter: word(5) - 8,
                coroutine: word(5),
                name: word(1),
                links: Some(Links { awaited_by: word(2), is_task: word(3), is_set: word(4), node: word(6) }),
            },
            interpreter_tasks: word(8),
            thread_loop: word(10),
            thread_task: word(11),
            thread_tasks: word(12),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn the_section_of_3_14_is_understood_and_one_that_does_not_fit_is_refused() {
        let words = [168, 136, 96, 108, 109, 128, 152, 225_864, 10_880, 936, 864, 872, 880];
        let found = Published::parse(&bytes(&words), 16, Some(225_864)).unwrap();
        let TaskLayout { state, waiter, coroutine, name, event_loop, .. } = found.task;
        assert_eq!((state, waiter, coroutine, name, event_loop), (104, 120, 128, 136, 16));
        assert_eq!((found.thread_loop, found.thread_task, found.thread_tasks), (864, 872, 880));
        assert!(Published::parse(&bytes(&words), 16, Some(226_240)).is_none(), "of another build");
        assert!(Published::parse(&bytes(&words[..5]), 16, Some(225_864)).is_none(), "truncated");
        for at in 0..words.len() {
            let mut wrong = words;
            wrong[at] = u64::MAX - 3;
            assert!(Published::parse(&bytes(&wrong), 16, Some(225_864)).is_none(), "{at}");
        }
    }
}
