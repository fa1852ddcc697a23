//! Tasks in made-up memory: valid, in circles, and changed at random.

use proptest::prelude::*;

use super::layout::{Links, Published, TaskLayout};
use super::{Found, read};
use crate::inspect::tests::{BASE, Small, small};
use crate::inspect::{Trouble, walk};
use crate::snapshot::{AsyncState, PythonRuntime};

/// A task of 96 bytes. A thread's state has the list of its tasks behind its native id, and no running loop.
const PUBLISHED: Published = Published {
    task: TaskLayout {
        size: 96,
        event_loop: 16,
        state: 24,
        waiter: 40,
        coroutine: 48,
        name: 56,
        links: Some(Links { awaited_by: 32, is_task: 28, is_set: 29, node: 64 }),
    },
    interpreter_tasks: 96,
    thread_loop: 0,
    thread_task: 0,
    thread_tasks: 48,
};

struct Tasks {
    small: Small,
    task_type: u64,
    coroutine_type: u64,
    list: u64,
}

impl Tasks {
    fn new() -> Self {
        let mut small = small(false);
        let [task_type, coroutine_type] = [&b"_asyncio.Task\0"[..], b"coroutine\0"].map(|name| small.image.type_of_name(name));
        let list = small.thread + 48;
        let head = list.to_ne_bytes();
        small.image.bytes_at(list, &head);
        let own = small.interpreter + 96;
        small.image.put(own, own);
        Self { small, task_type, coroutine_type, list }
    }

    /// A coroutine in `function`, which waits for the object at `awaits`.
    fn coroutine(&mut self, function: &str, awaits: u64) -> u64 {
        let image = &mut self.small.image;
        let code = image.code(function, 30);
        let at = image.take(128);
        image.put(at + 8, self.coroutine_type);
        image.bytes_at(at + 24, &[0xff]);
        for (offset, word) in [(32, code), (48, code + 64), (56, at + 112), (104, awaits)] {
            image.put(at + offset, word);
        }
        at
    }

    fn task(&mut self, name: &str, coroutine: u64, awaited_by: u64) -> u64 {
        let image = &mut self.small.image;
        let name = image.string(name);
        let at = image.take(96);
        image.bytes_at(at + 28, &[1]);
        let next = image.word(self.list);
        for (offset, word) in [(8, self.task_type), (16, 7), (32, awaited_by), (48, coroutine), (56, name), (64, next)] {
            image.put(at + offset, word);
        }
        image.put(self.list, at + 64);
        at
    }

    fn read(&self) -> Result<PythonRuntime, Trouble> {
        let (mut runtime, offsets) = walk::runtime(&self.small.image, BASE, walk::Origin::Itself, None)?;
        read(&self.small.image, (BASE, None), &offsets, Found::Published(PUBLISHED), &mut runtime)?;
        Ok(runtime)
    }
}

#[test]
fn tasks_and_their_coroutines_are_read_and_circles_are_cut() {
    let mut tasks = Tasks::new();
    let inner = tasks.coroutine("fetch", 0);
    let outer = tasks.coroutine("handle", inner);
    let above = tasks.task("above", inner, 0);
    tasks.task("below", outer, above);
    let runtime = tasks.read().unwrap();
    let asyncio = runtime.asyncio.unwrap();
    let names: Vec<_> = asyncio.tasks.iter().map(|task| (&*task.name, task.state, task.awaited_by.clone())).collect();
    assert_eq!(names, [("below", AsyncState::Ready, vec![above]), ("above", AsyncState::Ready, vec![])]);
    let functions: Vec<_> = asyncio.tasks[0].frames.iter().map(|frame| (&*frame.function, frame.line)).collect();
    assert_eq!(functions, [("fetch", Some(30)), ("handle", Some(30))]);
    // A coroutine that waits for itself has no coroutines that could be shown.
    tasks.small.image.put(inner + 104, outer);
    let asyncio = tasks.read().unwrap().asyncio.unwrap();
    assert!(asyncio.tasks.iter().all(|task| task.moved && task.frames.is_empty()), "{asyncio:?}");
    // A list that leads back into itself is refused, in words.
    tasks.small.image.put(above + 64, above + 64);
    let runtime = tasks.read().unwrap();
    assert_eq!(runtime.asyncio, None);
    assert!(runtime.notes.iter().any(|note| note.contains("is a cycle")), "{:?}", runtime.notes);
}

proptest! {
    #[test]
    fn no_memory_of_tasks_makes_it_panic_or_go_on_for_ever(changes in proptest::collection::vec((any::<usize>(), any::<u64>(), any::<bool>()), 0..12)) {
        let mut tasks = Tasks::new();
        let begin = tasks.small.image.bytes.len();
        let inner = tasks.coroutine("fetch", 0);
        let outer = tasks.coroutine("handle", inner);
        let above = tasks.task("above", inner, 0);
        tasks.task("below", outer, above);
        let all = tasks.small.image.bytes.len();
        for (at, value, pointer) in changes {
            let value = if pointer { BASE + value % all as u64 } else { value };
            tasks.small.image.put(BASE + (begin + at % (all - begin) / 8 * 8) as u64, value);
        }
        let _ = tasks.read();
    }
}
