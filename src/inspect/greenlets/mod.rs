//! The greenlets of the module `greenlet` (2.0 and later), as gevent uses them, read from outside.
//!
//! They are found among the objects of the garbage collector ([`heap`]). A greenlet that waits has its innermost frame in the C++ object
//! that belongs to it ([`layout`]). One is shown only if that object leads back to it and its frames execute code objects.

mod heap;
mod layout;
#[cfg(test)]
mod tests;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::asyncio::coroutines::Reading;
use super::memory::{Memory, Reader};
use super::native;
use super::objects::{Kind, Objects};
use super::offsets::Offsets;
use super::stack::{Raw, shorten};
use super::walk::{self, ListedThread, TRIES};
use super::{Trouble, soft};
use crate::snapshot::{Greenlet, GreenletState, Greenlets, PythonRuntime};

use layout::{Layout, Place};

/// The most greenlets that are read, and frames of one.
const MOST_GREENLETS: usize = 8192;
const MOST_FRAMES: usize = 1000;
/// The most base classes that are looked at, and generators within each other.
const MOST_BASES: usize = 16;
const MOST_NESTED: usize = 64;
/// A thread's state has its own exception within so many bytes.
const THREAD_BYTES: u64 = 1024;

/// A greenlet and its frames at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    place: Place,
    frames: Vec<Raw>,
    deeper: bool,
}

/// Puts the greenlets into the runtime that was read at `address`, or the reason why they could not be read into its notes. `leader` is the
/// TID of the process's first task, as its own PID namespace numbers it.
///
/// # Errors
/// If nothing of the process can be read any more.
pub(super) fn read<M: Memory>(
    memory: &M,
    (address, leader): (u64, Option<u64>),
    offsets: &Offsets,
    runtime: &mut PythonRuntime,
) -> Result<(), Trouble> {
    let (Some(gc), Some(layout)) = (offsets.interpreter_gc, Layout::of(offsets)) else {
        let build = if offsets.free_threaded { "this build without the GIL" } else { "this version of CPython" };
        runtime.notes.push(format!("It uses greenlets, which cannot be read in {build}."));
        return Ok(());
    };
    match told(memory, (address, gc, leader), offsets, layout, runtime) {
        Err(error @ Trouble::Read(_)) => Err(error),
        Err(error) => {
            runtime.notes.push(format!("The greenlets were not read: {error}."));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

fn told<M: Memory>(
    memory: &M,
    (address, gc, leader): (u64, u64, Option<u64>),
    offsets: &Offsets,
    layout: Layout,
    runtime: &mut PythonRuntime,
) -> Result<(), Trouble> {
    let interpreters = walk::listed(memory, address, offsets)?;
    let mut found = Vec::new();
    // The search has a budget of its own, so that frames are read even if not all objects could be searched.
    let mut objects = Objects::new(Reader::new(memory), offsets.clone());
    for interpreter in &interpreters {
        let part =
            heap::find(&mut objects, interpreter.address.wrapping_add(gc), |objects, of| is_greenlet(objects, layout, of))?;
        found.extend(part.objects);
        runtime.notes.extend(part.cut);
    }
    if found.is_empty() {
        return Ok(());
    }
    let mut objects = Objects::new(Reader::new(memory), offsets.clone());
    let mut threads: Vec<ListedThread> = interpreters.iter().flat_map(|one| &one.threads).copied().collect();
    let native = native::ids(&mut objects, &threads, leader)?;
    threads.iter_mut().for_each(|thread| thread.native_id = native.of(thread));
    let mut asking = Asking { memory, objects, layout, threads, unfit: None, misfits: 0 };
    let greenlets = asking.all(&found, runtime);
    asking.objects.reader.keep_none();
    let greenlets = greenlets?;
    if let Some(why) = asking.unfit {
        let count = if asking.misfits == 1 { "1 greenlet was".to_owned() } else { format!("{} greenlets were", asking.misfits) };
        runtime.notes.push(format!("{count} not read: {why}."));
    }
    if greenlets.count > greenlets.greenlets.len() {
        runtime.notes.push(format!("{} of its {} greenlets are read.", greenlets.greenlets.len(), greenlets.count));
    }
    runtime.greenlets = (greenlets.count > 0).then_some(greenlets);
    Ok(())
}

/// Whether objects of the type at `of` are greenlets: it or one of its base classes is that of the module.
fn is_greenlet<M: Memory>(objects: &mut Objects<'_, M>, layout: Layout, of: u64) -> Result<bool, Trouble> {
    let mut next = of;
    for _ in 0..MOST_BASES {
        if next == 0 {
            break;
        }
        if soft(objects.is(Kind::Greenlet, next))? == Some(true) {
            return Ok(true);
        }
        next = objects.reader.word(next.wrapping_add(layout.type_base))?;
    }
    Ok(false)
}

struct Asking<'m, M> {
    memory: &'m M,
    objects: Objects<'m, M>,
    layout: Layout,
    threads: Vec<ListedThread>,
    /// Why objects were refused, and how many.
    unfit: Option<&'static str>,
    misfits: usize,
}

impl<M: Memory> Asking<'_, M> {
    fn all(&mut self, found: &[u64], runtime: &PythonRuntime) -> Result<Greenlets, Trouble> {
        let found_count = found.len();
        let found = found.get(..MOST_GREENLETS).unwrap_or(found);
        let first = self.looks(found)?;
        let mut second = self.looks(found)?;
        self.refill();
        let mut alive = Vec::new();
        let mut all = Greenlets { count: found_count - found.len(), ..Greenlets::default() };
        for address in found {
            let agreed = second.remove(address).filter(|now| first.get(address) == Some(now));
            let look = match agreed.map_or_else(|| self.settled(*address), |look| Ok(Some(look))) {
                Err(Trouble::Unfit(why)) => {
                    self.unfit = Some(why);
                    self.misfits += 1;
                    continue;
                }
                Err(Trouble::TooMuch) => {
                    all.count += 1;
                    continue;
                }
                look => soft(look)?.flatten(),
            };
            let place = match look.as_ref().map_or_else(|| self.place(*address), |look| Ok(look.place)) {
                // It is gone.
                Err(Trouble::Torn(_) | Trouble::Unfit(_)) => continue,
                Err(Trouble::TooMuch) => {
                    all.count += 1;
                    continue;
                }
                place => place?,
            };
            if place.is_alive() {
                alive.push((place, look));
            }
        }
        all.count += alive.len();
        let places: Vec<Place> = alive.iter().map(|(place, _)| *place).collect();
        let threads = self.owners(&places)?;
        self.objects.reader.keep_pages();
        for (place, look) in alive {
            match self.told(place, look, threads.get(&place.address).copied(), runtime) {
                Ok(greenlet) => all.greenlets.push(greenlet),
                Err(Trouble::Torn(_)) => all.count -= 1,
                Err(Trouble::TooMuch) => {}
                Err(other) => return Err(other),
            }
        }
        all.greenlets.sort_by_key(|one| (one.native_id.is_none(), one.native_id, one.state, !one.is_main));
        Ok(all)
    }

    /// The whole budget for what is read from here on: each of three passes over all greenlets has one.
    fn refill(&mut self) {
        self.objects.reader = Reader::new(self.memory);
    }

    /// Greenlets now, those that can be read at once.
    fn looks(&mut self, found: &[u64]) -> Result<HashMap<u64, Look>, Trouble> {
        self.refill();
        self.objects.reader.keep_pages();
        let mut looks = HashMap::new();
        for address in found {
            match self.look(*address) {
                Ok(look) => drop(looks.insert(*address, look)),
                Err(Trouble::Torn(_) | Trouble::Unfit(_)) => {}
                Err(Trouble::TooMuch) => break,
                Err(other) => return Err(other),
            }
        }
        self.objects.reader.keep_none();
        Ok(looks)
    }

    fn look(&mut self, address: u64) -> Result<Look, Trouble> {
        let place = self.place(address)?;
        let (frames, deeper) = self.frames(&place)?;
        Ok(Look { place, frames, deeper })
    }

    fn place(&mut self, address: u64) -> Result<Place, Trouble> {
        let of = self.objects.reader.word(address.wrapping_add(self.objects.offsets.object_type))?;
        if !is_greenlet(&mut self.objects, self.layout, of)? {
            return Err(Trouble::Torn("an object is no greenlet"));
        }
        self.layout.place(&mut self.objects.reader, address)
    }

    /// One greenlet, read until two readings agree; `None` if none do.
    fn settled(&mut self, address: u64) -> Result<Option<Look>, Trouble> {
        let mut before: Option<Result<Look, &'static str>> = None;
        for _ in 0..=TRIES {
            let now = match self.look(address) {
                Ok(look) => Some(Ok(look)),
                Err(Trouble::Unfit(why)) => Some(Err(why)),
                Err(Trouble::Torn(_)) => None,
                Err(other) => return Err(other),
            };
            match now {
                Some(now) if before.as_ref() == Some(&now) => return now.map(Some).map_err(Trouble::Unfit),
                now => before = now,
            }
        }
        Ok(None)
    }

    /// The frames of one that waits.
    fn frames(&mut self, place: &Place) -> Result<(Vec<Raw>, bool), Trouble> {
        if !place.is_alive() || place.top == 0 {
            return Ok((Vec::new(), false));
        }
        let of = self.objects.reader.word(place.top.wrapping_add(self.objects.offsets.object_type))?;
        if !self.objects.is(Kind::Frame, of)? {
            return Err(Trouble::Unfit(layout::UNKNOWN));
        }
        let first = match self.layout.frame_in_object {
            Some(at) => self.objects.reader.word(place.top.wrapping_add(at))?,
            None => place.top,
        };
        let (frames, deeper) = self.objects.chain_from(first, MOST_FRAMES)?;
        // The frames of CPython 3.12 lead over the C stack, which another greenlet uses meanwhile, unless the module links them past it.
        if self.layout.hides_entries && frames.iter().any(|frame| !frame.has_code() || place.has_on_stack(frame.address)) {
            return Err(Trouble::Unfit("their frames are linked through the C stack, which another greenlet uses now"));
        }
        Ok((frames, deeper))
    }

    fn told(
        &mut self,
        place: Place,
        look: Option<Look>,
        native_id: Option<u64>,
        runtime: &PythonRuntime,
    ) -> Result<Greenlet, Trouble> {
        let state = if place.top == 0 { GreenletState::Running } else { GreenletState::Waiting };
        let (mut frames, mut moved, mut deeper) = (Vec::new(), look.is_none(), false);
        if let Some(look) = look {
            moved = !self.objects.fold(&look.frames, &mut frames)?;
            deeper = look.deeper;
        }
        if moved {
            frames.clear();
        }
        let coroutines = self.layout.coroutines;
        let kind = Reading::new(&mut self.objects, coroutines).kind_of(place.address)?;
        let mut threads = runtime.interpreters.iter().flat_map(|one| &one.threads);
        let thread = native_id.and_then(|id| threads.find(|thread| thread.native_id == id));
        Ok(Greenlet {
            id: place.address,
            kind,
            is_main: place.is_main(),
            state,
            native_id,
            tid: thread.and_then(|thread| Some(thread.task.as_ref()?.tid)),
            left_out: shorten(&mut frames),
            frames,
            deeper,
            moved,
        })
    }

    /// The native id of each greenlet's thread, as far as it is known: a greenlet that waits leads to the state of its thread, and all that have
    /// the same main greenlet are in one thread.
    fn owners(&mut self, places: &[Place]) -> Result<HashMap<u64, u64>, Trouble> {
        self.objects.reader.keep_pages();
        let mut owners = Owners::default();
        let done = owners.fill(&mut self.objects.reader, &self.layout, &self.threads, places);
        self.objects.reader.keep_none();
        match done {
            // What is not known of a thread costs nothing else.
            Ok(()) | Err(Trouble::Torn(_) | Trouble::TooMuch) => Ok(owners.by_greenlet()),
            Err(other) => Err(other),
        }
    }
}

/// Which greenlets are in one thread, and in which.
#[derive(Debug, Default)]
struct Owners {
    /// Greenlets, each with its main one.
    members: Vec<(u64, u64)>,
    /// The native id of the thread of a main greenlet.
    threads: HashMap<u64, u64>,
}

impl Owners {
    fn fill<M: Memory>(
        &mut self,
        reader: &mut Reader<'_, M>,
        layout: &Layout,
        threads: &[ListedThread],
        places: &[Place],
    ) -> Result<(), Trouble> {
        let mut mains = HashSet::new();
        for place in places.iter().filter(|one| one.is_main()) {
            mains.extend(layout.main(reader, place, &mains)?);
        }
        for place in places {
            let Some(main) = layout.main(reader, place, &mains)? else { continue };
            self.members.push((place.address, main));
            if let Entry::Vacant(of_main) = self.threads.entry(main)
                && let Some(thread) = thread_of(reader, layout, threads, place)?
            {
                of_main.insert(thread);
            }
        }
        Ok(())
    }

    fn by_greenlet(&self) -> HashMap<u64, u64> {
        self.members.iter().filter_map(|(greenlet, main)| Some((*greenlet, *self.threads.get(main)?))).collect()
    }
}

/// The native id of the thread in whose state the exceptions of a waiting greenlet end.
fn thread_of<M: Memory>(
    reader: &mut Reader<'_, M>,
    layout: &Layout,
    threads: &[ListedThread],
    place: &Place,
) -> Result<Option<u64>, Trouble> {
    let mut item = place.exceptions;
    for _ in 0..MOST_NESTED {
        if item == 0 {
            return Ok(None);
        }
        // Those of generators come before that of the thread, which leads to no other.
        match soft(reader.word(item.wrapping_add(layout.previous_exception)))? {
            Some(0) => break,
            Some(next) => item = next,
            None => return Ok(None),
        }
    }
    let within = |thread: &&ListedThread| item.checked_sub(thread.address).is_some_and(|behind| behind < THREAD_BYTES);
    let nearest = threads.iter().filter(within).max_by_key(|thread| thread.address);
    Ok(nearest.map(|thread| thread.native_id).filter(|id| *id != 0))
}
