//! Tasks of trio in made-up memory: valid, damaged, and changed at random.

use proptest::prelude::*;

use super::trio::read;
use crate::inspect::tests::{BASE, Image, Small, small};
use crate::inspect::{Trouble, walk};
use crate::snapshot::{AsyncState, PythonRuntime};

/// A thread in `trio.run()`, with a task in a coroutine and another one in its nursery.
struct Stage {
    small: Small,
    begin: u64,
    types: Types,
    tasks: [u64; 2],
}

struct Types {
    dict: u64,
    descriptor: u64,
}

impl Stage {
    fn new() -> Self {
        let mut small = small(false);
        let image = &mut small.image;
        let begin = image.take(8);
        let [dict, descriptor, none, set, coroutine] =
            [&b"dict\0"[..], b"member_descriptor\0", b"NoneType\0", b"set\0", b"coroutine\0"]
                .map(|name| image.type_of_name(name));
        let types = Types { dict, descriptor };
        let nursery_type = types.class(image, b"Nursery\0", &["_parent_task"]);
        let task_type = types.class(image, b"Task\0", &["coro", "name", "_parent_nursery", "_abort_func"]);
        let runner_type = types.class(image, b"Runner\0", &["tasks"]);
        let nothing = object(image, none, &[]);
        let nursery = object(image, nursery_type, &[0]);
        let tasks = [("above", nothing, nothing), ("below", nursery, nursery)].map(|(name, within, abort)| {
            let code = image.code(name, 30);
            let own = image.take(128);
            image.bytes_at(own + 24, &[0xff]);
            for (offset, word) in [(8, coroutine), (32, code), (48, code + 64), (56, own + 112), (104, nothing)] {
                image.put(own + offset, word);
            }
            let name = image.string(name);
            object(image, task_type, &[own, name, within, abort])
        });
        image.put(nursery + 16, tasks[0]);
        let table = image.take(64);
        image.put(table, tasks[0]);
        image.put(table + 16, tasks[1]);
        // Number of objects, mask, table.
        let all = object(image, set, &[0, 2, 3, table]);
        let runner = object(image, runner_type, &[all]);
        let code = image.code_in("/lib/trio/_core/_run.py", "run", 50);
        let name = image.string("runner");
        let names = object(image, set, &[1, name]);
        image.put(code + 88, names);
        let frame = image.frame(code, 0, 0);
        image.put(frame + 40, runner);
        image.put(small.thread + 24, frame);
        Self { small, begin, types, tasks }
    }

    fn read(&self) -> Result<PythonRuntime, Trouble> {
        let (mut runtime, offsets) = walk::runtime(&self.small.image, BASE, walk::Origin::Itself, None)?;
        read(&self.small.image, (BASE, None), &offsets, &mut runtime)?;
        Ok(runtime)
    }
}

impl Types {
    /// A class whose instances have these slots behind their header.
    fn class(&self, image: &mut Image, name: &[u8], slots: &[&str]) -> u64 {
        let class = image.type_of_name(name);
        let entries: Vec<[u64; 2]> = slots
            .iter()
            .zip((16..).step_by(8))
            .map(|(slot, place)| {
                let member = object(image, 0, &[place]);
                [image.string(slot), object(image, self.descriptor, &[class, 0, 0, member])]
            })
            .collect();
        let keys = image.take(40 + entries.len() * 16);
        // A table of eight bytes, keys without hashes, their number.
        image.bytes_at(keys + 9, &[3, 1]);
        image.put(keys + 24, entries.len() as u64);
        entries.iter().flatten().zip(0..).for_each(|(word, at)| image.put(keys + 40 + at * 8, *word));
        let dict = object(image, self.dict, &[keys, 0]);
        image.put(class + 264, dict);
        class
    }
}

/// An object of that type with these words behind its header.
fn object(image: &mut Image, of: u64, words: &[u64]) -> u64 {
    let at = image.take(16 + words.len() * 8);
    image.put(at + 8, of);
    words.iter().zip(0..).for_each(|(word, index)| image.put(at + 16 + index * 8, *word));
    at
}

#[test]
fn tasks_are_below_those_whose_nurseries_they_are_in() {
    let mut stage = Stage::new();
    let runtime = stage.read().unwrap();
    let trio = runtime.trio.unwrap_or_else(|| panic!("{:?}", runtime.notes));
    let [above, below] = stage.tasks;
    let told: Vec<_> = trio.tasks.iter().map(|task| (task.id, &*task.name, task.state, task.awaited_by.clone())).collect();
    let expected = [(above, "above", AsyncState::Ready, vec![]), (below, "below", AsyncState::Waiting, vec![above])];
    assert_eq!(told, expected);
    assert_eq!((trio.task_count, trio.loops.len(), trio.loops[0].native_id), (2, 1, Some(71)));
    let functions: Vec<_> = trio.tasks.iter().flat_map(|task| &task.frames).map(|frame| &*frame.function).collect();
    assert_eq!(functions, ["above", "below"]);
    // A class whose attributes are no slots that are known.
    let text = stage.small.image.word(stage.types.descriptor + 16);
    stage.small.image.bytes_at(text, b"property\0");
    let runtime = stage.read().unwrap();
    assert_eq!(runtime.trio, None);
    assert!(runtime.notes.iter().any(|note| note.contains("The tasks of trio were not read")), "{:?}", runtime.notes);
}

proptest! {
    #[test]
    fn no_memory_of_trio_makes_it_panic_or_go_on_for_ever(changes in proptest::collection::vec((any::<usize>(), any::<u64>(), any::<bool>()), 0..12)) {
        let mut stage = Stage::new();
        let begin = (stage.begin - BASE) as usize;
        let all = stage.small.image.bytes.len();
        for (at, value, pointer) in changes {
            let value = if pointer { BASE + value % all as u64 } else { value };
            stage.small.image.put(BASE + (begin + at % (all - begin) / 8 * 8) as u64, value);
        }
        let _ = stage.read();
    }
}
