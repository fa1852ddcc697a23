//! Where a greenlet has its fields: `PyGreenlet` of greenlet.h, and the C++ class `Greenlet` with `UserGreenlet` and `MainGreenlet` (TGreenlet.hpp).
//!
//! They are the same from greenlet 2.0 to 3.5, but for the pointer from the C++ object back to the greenlet: from 3.1 on it is in front, before that
//! behind the rest. It says which of both holds.

use std::collections::HashSet;

use crate::inspect::asyncio::layout::Coroutines;
use crate::inspect::memory::{Fields, Memory, Reader};
use crate::inspect::offsets::Offsets;
use crate::inspect::{Trouble, soft};

/// What is said of an object that is not as it should be.
pub(super) const UNKNOWN: &str = "this version of the module has another layout; known are greenlet 2.0 and later";

/// Behind the list of virtual functions: the greenlet that the C++ object belongs to, from 3.1 on.
const OWNER: u64 = 8;
/// Words behind the innermost frame among which the main greenlet and the owner are: there are at most twelve before them.
const WORDS_BEHIND: u64 = 20;
/// The end of the stack of a main greenlet.
const NO_END: u64 = u64::MAX;

/// Bytes, by the version of CPython.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub coroutines: Coroutines,
    pub type_base: u64,
    /// Within the object: a pointer to the C++ object.
    inner: u64,
    /// Within the C++ object from 3.1 on, behind the owner: the exceptions that it handles, the first and last byte of its C stack, its innermost
    /// frame, an object.
    exceptions: u64,
    stack: u64,
    top: u64,
    /// Within an entry of the list of exceptions (`_PyErr_StackItem`).
    pub previous_exception: u64,
    /// Within a frame object: a pointer to the frame, if that is no object itself.
    pub frame_in_object: Option<u64>,
    /// Whether frames of the interpreter are on the C stack (since 3.12).
    pub hides_entries: bool,
}

/// A greenlet as it was in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub address: u64,
    /// What follows its innermost frame in the C++ object.
    rest: u64,
    start: u64,
    end: u64,
    /// Its innermost frame while it waits.
    pub top: u64,
    pub exceptions: u64,
}

impl Place {
    /// Whether it has started and not finished.
    pub fn is_alive(&self) -> bool {
        self.start != 0 && self.end != 0
    }

    /// Whether it is the first one of its thread.
    pub fn is_main(&self) -> bool {
        self.end == NO_END
    }

    /// Whether that is an address of its C stack, as far as the stack's end is known.
    pub fn has_on_stack(&self, address: u64) -> bool {
        !self.is_main() && (self.start..self.end).contains(&address)
    }
}

impl Layout {
    /// `None` of versions whose structures are not known.
    pub fn of(offsets: &Offsets) -> Option<Self> {
        let coroutines = offsets.coroutines.filter(|_| !offsets.free_threaded)?;
        let (header, minor) = (coroutines.header, offsets.version.minor());
        // Before 3.11 an exception is three objects.
        let (exception, frame_in_object) = if minor < (3, 11) { (24, None) } else { (8, Some(header + 8)) };
        let exceptions = OWNER + 8;
        let stack = exceptions + 8 + exception + 8 + 16;
        Some(Self {
            coroutines,
            type_base: coroutines.type_base,
            // Behind a list of weak references and a dict.
            inner: header + 16,
            exceptions,
            stack,
            // Behind the stack, which has five words, and the context.
            top: stack + 48,
            previous_exception: exception,
            frame_in_object,
            hides_entries: minor >= (3, 12),
        })
    }

    /// What is read of the greenlet at `address`.
    ///
    /// # Errors
    /// [`Trouble::Unfit`] if its C++ object is not as it should be.
    pub fn place<M: Memory>(&self, reader: &mut Reader<'_, M>, address: u64) -> Result<Place, Trouble> {
        let inner = reader.word(address.wrapping_add(self.inner))?;
        let fields = match Fields::read(reader, inner, &[self.top]) {
            Err(Trouble::Torn(_)) => return Err(Trouble::Unfit(UNKNOWN)),
            fields => fields?,
        };
        let missing = if fields.word(OWNER) == address { 0 } else { 8 };
        let word = |at: u64| fields.word(at - missing);
        let rest = inner.wrapping_add(self.top - missing + 8);
        let place = Place {
            address,
            rest,
            start: word(self.stack),
            end: word(self.stack + 8),
            top: word(self.top),
            exceptions: word(self.exceptions),
        };
        let is_owner = missing == 0 || behind(reader, rest, |word| word == address)?.is_some();
        if !is_owner || (place.is_alive() && place.start >= place.end) {
            return Err(Trouble::Unfit(UNKNOWN));
        }
        Ok(place)
    }

    /// The main greenlet of the same thread; `None` if it is not among those that are known, or the thread has ended.
    pub fn main<M: Memory>(
        &self,
        reader: &mut Reader<'_, M>,
        place: &Place,
        mains: &HashSet<u64>,
    ) -> Result<Option<u64>, Trouble> {
        let is_it = |word: u64| if place.is_main() { word == place.address } else { mains.contains(&word) };
        let Some((at, main)) = behind(reader, place.rest, is_it)? else { return Ok(None) };
        // The state of its thread follows the main greenlet's own address.
        let is_alive = !place.is_main() || reader.word(at.wrapping_add(8))? != 0;
        Ok(is_alive.then_some(main))
    }
}

/// The first of the words from `at` on that is wanted, and where it is; what is not there ends the search.
fn behind<M: Memory>(
    reader: &mut Reader<'_, M>,
    at: u64,
    is_wanted: impl Fn(u64) -> bool,
) -> Result<Option<(u64, u64)>, Trouble> {
    for index in 0..WORDS_BEHIND {
        let at = at.wrapping_add(index * 8);
        match soft(reader.word(at))? {
            Some(word) if is_wanted(word) => return Ok(Some((at, word))),
            Some(_) => {}
            None => break,
        }
    }
    Ok(None)
}
