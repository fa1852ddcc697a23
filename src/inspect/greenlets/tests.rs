//! Greenlets in made-up memory: valid, of other layouts, in circles, and changed at random.

use proptest::prelude::*;

use super::read;
use crate::inspect::tests::{BASE, Small, small};
use crate::inspect::{Trouble, walk};
use crate::snapshot::{GreenletState, PythonRuntime};

/// The lists of the collector begin so many bytes behind an interpreter.
const LISTS: u64 = 112;

struct Stage {
    small: Small,
    greenlet_type: u64,
    frame_type: u64,
}

impl Stage {
    fn new() -> Self {
        let mut small = small(false);
        let [greenlet_type, frame_type] = [&b"greenlet.greenlet\0"[..], b"frame\0"].map(|name| small.image.type_of_name(name));
        for list in 0..4 {
            let head = small.interpreter + LISTS + list * 16;
            small.image.put(head, head);
            small.image.put(head + 8, head);
        }
        Self { small, greenlet_type, frame_type }
    }

    /// An object that is the newest of a list of the collector.
    fn object(&mut self, list: u64, of: u64, size: usize) -> u64 {
        let head = self.small.interpreter + LISTS + list * 16;
        let image = &mut self.small.image;
        let last = image.word(head + 8);
        let entry = image.take(16 + size);
        // Low bits are flags.
        for (at, word) in [(entry, head), (entry + 8, last | 2), (last, entry), (head + 8, entry), (entry + 24, of)] {
            image.put(at, word);
        }
        entry + 16
    }

    /// A greenlet with a C stack, and its C++ object.
    fn greenlet(&mut self, list: u64, start: u64, end: u64) -> (u64, u64) {
        let greenlet = self.object(list, self.greenlet_type, 40);
        let image = &mut self.small.image;
        let inner = image.take(208);
        image.put(greenlet + 32, inner);
        for (at, word) in [(8, greenlet), (16, self.small.thread + 56), (56, start), (64, end)] {
            image.put(inner + at, word);
        }
        (greenlet, inner)
    }

    /// Lets it wait in `inner`, called by `outer`.
    fn waits(&mut self, inner: u64) {
        let image = &mut self.small.image;
        let (outer_code, inner_code) = (image.code("outer", 30), image.code("inner", 40));
        let outer = image.frame(outer_code, 0, 0);
        let frame = image.frame(inner_code, outer, 0);
        let object = image.take(40);
        for (at, word) in [(object + 8, self.frame_type), (object + 24, frame), (inner + 104, object)] {
            image.put(at, word);
        }
    }

    /// A main greenlet, which waits; one that runs; one that waits; one that has not begun; one that has ended.
    fn five() -> (Self, [u64; 5]) {
        let mut stage = Self::new();
        let (main, main_inner) = stage.greenlet(2, 1, u64::MAX);
        stage.small.image.put(main_inner + 120, main);
        stage.small.image.put(main_inner + 128, 7);
        stage.waits(main_inner);
        let (runs, runs_inner) = stage.greenlet(2, 0x7000, 0x7100);
        stage.small.image.put(runs_inner + 136, main);
        let (waits, waits_inner) = stage.greenlet(0, 0x7000, 0x7100);
        stage.small.image.put(waits_inner + 136, main);
        stage.waits(waits_inner);
        let (new, _) = stage.greenlet(0, 0, 0);
        let (ended, _) = stage.greenlet(0, 0, 0x7100);
        // The collector's state is read beyond its lists.
        stage.small.image.take(1024);
        (stage, [main, runs, waits, new, ended])
    }

    fn read(&self) -> Result<PythonRuntime, Trouble> {
        let (mut runtime, offsets) = walk::runtime(&self.small.image, BASE, walk::Origin::Itself, None)?;
        read(&self.small.image, (BASE, None), &offsets, &mut runtime)?;
        Ok(runtime)
    }
}

#[test]
fn greenlets_that_have_begun_and_not_ended_are_read_with_frames_and_thread() {
    let (mut stage, [main, runs, waits, ..]) = Stage::five();
    let runtime = stage.read().unwrap();
    let greenlets = runtime.greenlets.unwrap();
    let shown: Vec<_> =
        greenlets.greenlets.iter().map(|one| (one.id, one.is_main, one.state, one.native_id, one.frames.len())).collect();
    let (running, waiting, thread) = (GreenletState::Running, GreenletState::Waiting, Some(71));
    let expected = [(runs, false, running, thread, 0), (main, true, waiting, thread, 2), (waits, false, waiting, thread, 2)];
    assert_eq!(shown, expected, "{:?}", runtime.notes);
    assert_eq!((greenlets.count, &*greenlets.greenlets[2].kind), (3, "greenlet"));
    let functions: Vec<_> = greenlets.greenlets[2].frames.iter().map(|frame| (&*frame.function, frame.line)).collect();
    assert_eq!(functions, [("inner", Some(41)), ("outer", Some(31))]);
    // Before greenlet 3.1 the pointer back is behind the rest.
    let inner = stage.small.image.word(waits + 32);
    for at in 1..14 {
        let word = stage.small.image.word(inner + (at + 1) * 8);
        stage.small.image.put(inner + at * 8, word);
    }
    stage.small.image.put(inner + 128, waits);
    assert_eq!(stage.read().unwrap().greenlets.unwrap(), greenlets);
}

#[test]
fn what_does_not_hold_together_is_refused_in_a_note() {
    for (at, word) in [(8, 7), (104, BASE), (56, 0x7200)] {
        let (mut stage, [_, _, waits, ..]) = Stage::five();
        let inner = stage.small.image.word(waits + 32);
        stage.small.image.put(inner + at, word);
        let runtime = stage.read().unwrap();
        assert_eq!(runtime.greenlets.unwrap().count, 2, "{at}");
        let note = "1 greenlet was not read: this version of the module has another layout; known are greenlet 2.0 and later.";
        assert!(runtime.notes.iter().any(|said| said == note), "{at}: {:?}", runtime.notes);
    }
    // A frame on the C stack, which another greenlet uses meanwhile.
    let (mut stage, [_, _, waits, ..]) = Stage::five();
    let inner = stage.small.image.word(waits + 32);
    let frame = stage.small.image.word(stage.small.image.word(inner + 104) + 24);
    stage.small.image.put(frame + 32, 3);
    let runtime = stage.read().unwrap();
    assert_eq!(runtime.greenlets.unwrap().count, 2);
    assert!(runtime.notes.iter().any(|note| note.contains("through the C stack")), "{:?}", runtime.notes);
}

#[test]
fn a_list_without_an_end_is_left_in_a_note() {
    let (mut stage, [main, ..]) = Stage::five();
    stage.small.image.put(main - 16, main - 16);
    let runtime = stage.read().unwrap();
    assert!(runtime.notes.iter().any(|note| note.contains("some greenlets may be missing")), "{:?}", runtime.notes);
    assert_eq!(runtime.greenlets.map(|greenlets| greenlets.count), Some(2));
}

proptest! {
    #[test]
    fn no_memory_of_greenlets_makes_it_panic_or_go_on_for_ever(changes in proptest::collection::vec((any::<usize>(), any::<u64>(), any::<bool>()), 0..12)) {
        let (mut stage, _) = Stage::five();
        let begin = (stage.greenlet_type - BASE) as usize;
        let all = stage.small.image.bytes.len();
        for (at, value, pointer) in changes {
            let value = if pointer { BASE + value % all as u64 } else { value };
            stage.small.image.put(BASE + (begin + at % (all - begin) / 8 * 8) as u64, value);
        }
        let _ = stage.read();
    }
}
