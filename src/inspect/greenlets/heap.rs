//! Finds objects of chosen types among all that the garbage collector knows.
//!
//! The collector keeps its objects in circular lists (`PyGC_Head` of Include/internal/pycore_gc.h), whose heads are in the interpreter's
//! state. Which lists there are differs between versions: a head is what its neighbours lead back to.

use std::collections::{HashMap, HashSet};

use super::super::memory::Memory;
use super::super::objects::Objects;
use super::super::walk::TRIES;
use super::super::{Trouble, soft};

/// How much of the collector's state is looked at: it has some 300 bytes.
const STATE_BYTES: usize = 512;
/// Bytes of an entry of a list before the object that it belongs to: the next entry, and the one before.
const HEAD: u64 = 16;
/// Low bits of these pointers are flags.
const FLAGS: u64 = 3;
/// Three generations, and the objects that are never collected.
const LEAST_HEADS: usize = 4;
/// The most entries that are looked at.
const MOST_ENTRIES: usize = 4 << 20;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Addresses of objects, those that have lived longest first.
    pub objects: Vec<u64>,
    /// Why some may be missing.
    pub cut: Option<String>,
}

/// The objects for whose types `wanted` holds, from the collector's state at `address`.
///
/// # Errors
/// If nothing of the process can be read any more.
pub(super) fn find<M: Memory>(
    objects: &mut Objects<'_, M>,
    address: u64,
    mut wanted: impl FnMut(&mut Objects<'_, M>, u64) -> Result<bool, Trouble>,
) -> Result<Found, Trouble> {
    let mut search = Search { seen: HashSet::new(), found: Found::default(), types: HashMap::new(), left: MOST_ENTRIES };
    for _ in 0..TRIES {
        objects.reader.keep_pages();
        let walked = search.once(objects, address, &mut wanted);
        match walked {
            Ok(()) => {
                search.found.cut = None;
                break;
            }
            Err(Trouble::Torn(_)) => {
                let why =
                    format!("The list of its objects changed during {TRIES} readings in a row: some greenlets may be missing.");
                search.found.cut = Some(why);
            }
            Err(Trouble::TooMuch) => {
                search.found.cut = Some("It has more objects than are searched for greenlets: some may be missing.".to_owned());
                break;
            }
            Err(other) => return Err(other),
        }
    }
    objects.reader.keep_none();
    Ok(search.found)
}

struct Search {
    seen: HashSet<u64>,
    found: Found,
    /// Whether objects of a type are wanted.
    types: HashMap<u64, bool>,
    left: usize,
}

impl Search {
    fn once<M: Memory>(
        &mut self,
        objects: &mut Objects<'_, M>,
        address: u64,
        wanted: &mut impl FnMut(&mut Objects<'_, M>, u64) -> Result<bool, Trouble>,
    ) -> Result<(), Trouble> {
        let heads = heads(objects, address)?;
        let mut whole = if heads.len() < LEAST_HEADS { Err(Trouble::Torn("its collector has too few lists")) } else { Ok(()) };
        // The oldest generation is the last one and mostly the largest: a search that is cut has had the others.
        for (_, first) in &heads {
            let younger = std::mem::take(&mut self.found.objects);
            let walked = self.list(objects, &heads, *first, wanted);
            self.found.objects.extend(younger);
            match walked {
                Err(error @ Trouble::Torn(_)) => whole = Err(error),
                walked => walked?,
            }
        }
        whole
    }

    /// The entries from the one at `entry` on to a head: an object may move to another list meanwhile.
    fn list<M: Memory>(
        &mut self,
        objects: &mut Objects<'_, M>,
        heads: &[(u64, u64)],
        mut entry: u64,
        wanted: &mut impl FnMut(&mut Objects<'_, M>, u64) -> Result<bool, Trouble>,
    ) -> Result<(), Trouble> {
        let type_at = HEAD as usize + objects.offsets.object_type as usize;
        // A circle without a head is found when it comes back to an entry that is noted ever more rarely.
        let (mut noted, mut steps, mut next_note) = (entry, 0usize, 64usize);
        while !heads.iter().any(|(head, _)| *head == entry) {
            self.left = self.left.checked_sub(1).ok_or(Trouble::TooMuch)?;
            let mut bytes = [0; 64];
            let bytes = bytes.get_mut(..type_at + 8).ok_or(Trouble::Nonsense("an object has its type too far behind"))?;
            objects.reader.fill(entry, bytes)?;
            let word = |at: usize| bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map_or(0, u64::from_ne_bytes);
            if self.is_wanted(objects, word(type_at), wanted)? && self.seen.insert(entry + HEAD) {
                self.found.objects.push(entry + HEAD);
            }
            entry = word(0) & !FLAGS;
            steps += 1;
            if entry == 0 || entry == noted {
                return Err(Trouble::Torn("a list of its collector leads nowhere"));
            }
            if steps == next_note {
                (noted, next_note) = (entry, next_note.saturating_mul(2));
            }
        }
        Ok(())
    }

    fn is_wanted<M: Memory>(
        &mut self,
        objects: &mut Objects<'_, M>,
        of: u64,
        wanted: &mut impl FnMut(&mut Objects<'_, M>, u64) -> Result<bool, Trouble>,
    ) -> Result<bool, Trouble> {
        if let Some(known) = self.types.get(&of) {
            return Ok(*known);
        }
        let is_it = soft(wanted(objects, of))?.unwrap_or(false);
        self.types.insert(of, is_it);
        Ok(is_it)
    }
}

/// The heads of lists, each with its first entry, which is the head itself if the list is empty.
fn heads<M: Memory>(objects: &mut Objects<'_, M>, address: u64) -> Result<Vec<(u64, u64)>, Trouble> {
    let bytes = objects.reader.bytes(address, STATE_BYTES)?;
    let (words, _) = bytes.as_chunks::<8>();
    let mut heads = Vec::new();
    for (index, pair) in words.windows(2).enumerate() {
        let at = address.wrapping_add(index as u64 * 8);
        let [first, last] = [0, 1].map(|of| pair.get(of).map_or(0, |word| u64::from_ne_bytes(*word) & !FLAGS));
        if first == 0 || last == 0 {
            continue;
        }
        let back = soft(objects.reader.word(first.wrapping_add(8)))?.map(|word| word & !FLAGS);
        let forth = soft(objects.reader.word(last))?.map(|word| word & !FLAGS);
        if back == Some(at) && forth == Some(at) {
            heads.push((at, first));
        }
    }
    Ok(heads)
}
