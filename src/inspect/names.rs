//! The names of threads as `threading` knows them: its dict `_active` maps each `pthread_t` to a `Thread` with an attribute `_name`.
//!
//! From 3.14 on Python gives a thread's name to the kernel. The layouts of dicts and instances are those of 3.9 to 3.13
//! (`Include/internal/pycore_dict.h`, `pycore_object.h`, `Objects/dictnotes.txt`). A name that cannot be read is no name.

use std::collections::HashMap;
use std::sync::Arc;

use super::Trouble;
use super::memory::{Fields, Memory};
use super::objects::{Kind, Objects};
use super::offsets::{Attributes, Naming};

/// The most entries of a dict that are looked at, and attributes of an instance.
const MOST_ENTRIES: u64 = 16 * 1024;
const MOST_ATTRIBUTES: u64 = 64;
/// `tp_flags` of a type whose instances have their values behind their header (3.13), or a managed dict (since 3.11).
const INLINE_VALUES: u64 = 1 << 2;
const MANAGED_DICT: u64 = 1 << 4;
/// Where a type has `tp_dictoffset` (Include/cpython/object.h).
const TYPE_DICTOFFSET: u64 = 288;

/// By `pthread_t`.
pub(super) type Names = HashMap<u64, Arc<str>>;

/// A key of a dict, and where its value is.
type Entry = (u64, u64);

/// The names of the threads of the main interpreter; none if `threading` was never imported.
///
/// # Errors
/// Only those that end the whole reading.
pub(super) fn read<M: Memory>(objects: &mut Objects<'_, M>, interpreter: u64) -> Result<Names, Trouble> {
    let mut names = Names::new();
    let Some(naming) = objects.offsets.naming else { return Ok(names) };
    match (Reading { objects, naming }).threads(interpreter, &mut names) {
        Ok(_) | Err(Trouble::Torn(_)) => Ok(names),
        Err(other) => Err(other),
    }
}

/// The variables of the module of that name, a dict; `None` if it was never imported.
pub(super) fn variables<M: Memory>(objects: &mut Objects<'_, M>, interpreter: u64, module: &str) -> Result<Option<u64>, Trouble> {
    let Some(naming) = objects.offsets.naming else { return Ok(None) };
    (Reading { objects, naming }).variables(interpreter, module)
}

/// The value of that key in the dict.
pub(super) fn find<M: Memory>(objects: &mut Objects<'_, M>, dict: u64, name: &str) -> Result<Option<u64>, Trouble> {
    let Some(naming) = objects.offsets.naming else { return Ok(None) };
    (Reading { objects, naming }).find(dict, name)
}

/// Keys and values of the dict.
pub(super) fn entries<M: Memory>(objects: &mut Objects<'_, M>, dict: u64) -> Result<Vec<(u64, u64)>, Trouble> {
    let Some(naming) = objects.offsets.naming else { return Ok(Vec::new()) };
    let entries = (Reading { objects, naming }).entries(dict)?;
    Ok(entries)
}

/// The attribute of that name which the instance itself has.
pub(super) fn attribute<M: Memory>(objects: &mut Objects<'_, M>, object: u64, name: &str) -> Result<Option<u64>, Trouble> {
    let Some(naming) = objects.offsets.naming else { return Ok(None) };
    (Reading { objects, naming }).attribute(object, name)
}

struct Reading<'o, 'm, M> {
    objects: &'o mut Objects<'m, M>,
    naming: Naming,
}

impl<M: Memory> Reading<'_, '_, M> {
    /// Fills in the names; `None` if something on the way to them is not there.
    fn threads(&mut self, interpreter: u64, names: &mut Names) -> Result<Option<()>, Trouble> {
        let Some(variables) = self.variables(interpreter, "threading")? else { return Ok(None) };
        let Some(active) = self.find(variables, "_active")? else { return Ok(None) };
        for (key, thread) in self.entries(active)? {
            let found = self.objects.number(key).and_then(|pthread| Ok(pthread.zip(self.attribute(thread, "_name")?)));
            match found.and_then(|found| found.map(|(pthread, name)| Ok((pthread, self.objects.string(name)?))).transpose()) {
                Ok(Some((pthread, name))) => drop(names.insert(pthread, name.into())),
                // One that ends meanwhile costs the others nothing.
                Ok(None) | Err(Trouble::Torn(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(Some(()))
    }

    fn variables(&mut self, interpreter: u64, name: &str) -> Result<Option<u64>, Trouble> {
        let modules = self.objects.reader.word(interpreter.wrapping_add(self.naming.modules))?;
        let Some(module) = self.find(modules, name)? else { return Ok(None) };
        if !self.is(module, Kind::Module)? {
            return Ok(None);
        }
        // `md_dict` follows the object's header.
        self.objects.reader.word(module.wrapping_add(self.objects.offsets.object_size)).map(Some)
    }

    fn is(&mut self, object: u64, kind: Kind) -> Result<bool, Trouble> {
        let of = self.objects.reader.word(object.wrapping_add(self.objects.offsets.object_type))?;
        self.objects.is(kind, of)
    }

    fn find(&mut self, dict: u64, name: &str) -> Result<Option<u64>, Trouble> {
        for (key, value) in self.entries(dict)? {
            if self.objects.is_string(key, name)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    fn entries(&mut self, dict: u64) -> Result<Vec<Entry>, Trouble> {
        if !self.is(dict, Kind::Dict)? {
            return Err(Trouble::Torn("an object is no dict"));
        }
        let (o_keys, o_values) = (self.naming.dict_keys, self.naming.dict_values);
        let fields = Fields::read(&mut self.objects.reader, dict, &[o_keys, o_values])?;
        let mut entries = self.keys(fields.word(o_keys))?;
        let values = fields.word(o_values);
        if values != 0 {
            self.put_values(&mut entries, self.first_value(values))?;
        }
        entries.retain(|(key, value)| *key != 0 && *value != 0);
        Ok(entries)
    }

    /// The entries of a `PyDictKeysObject`.
    fn keys(&mut self, keys: u64) -> Result<Vec<Entry>, Trouble> {
        let header = self.objects.reader.bytes(keys, 40)?;
        let word = |at: usize| header[at..at + 8].try_into().map_or(0, u64::from_ne_bytes);
        let old = self.naming.attributes == Attributes::Dict;
        let (count, begin, size) = if old {
            // `dk_size` indices, each as wide as their number needs.
            let indices = word(8);
            let width: u64 = match indices {
                0..=0xff => 1,
                0x100..=0xffff => 2,
                _ => 4,
            };
            (word(32), 40u64.checked_add(indices.saturating_mul(width)), 24)
        } else {
            // Behind `dk_log2_index_bytes`, the kind: 0 has a hash in each entry.
            (
                word(24),
                1u64.checked_shl(header[9].into()).and_then(|bytes| bytes.checked_add(32)),
                if header[10] == 0 { 24 } else { 16 },
            )
        };
        let (Some(begin), true) = (begin, count <= MOST_ENTRIES) else {
            return Err(Trouble::Torn("a dict has no sensible size"));
        };
        let bytes = self.objects.reader.bytes(keys.wrapping_add(begin), (count * size) as usize)?;
        let pair = |entry: &[u8]| {
            let from = entry.len() - 16;
            let word = |at: usize| entry[at..at + 8].try_into().map_or(0, u64::from_ne_bytes);
            (word(from), word(from + 8))
        };
        Ok(bytes.chunks_exact(size as usize).map(pair).collect())
    }

    /// Where the first value is in values that are kept apart from their keys.
    fn first_value(&self, values: u64) -> u64 {
        match self.naming.attributes {
            Attributes::Inline(..) => values.wrapping_add(8),
            _ => values,
        }
    }

    fn put_values(&mut self, entries: &mut [Entry], first: u64) -> Result<(), Trouble> {
        let bytes = self.objects.reader.bytes(first, entries.len() * 8)?;
        for (entry, value) in entries.iter_mut().zip(bytes.as_chunks::<8>().0) {
            entry.1 = u64::from_ne_bytes(*value);
        }
        Ok(())
    }

    /// An attribute that the instance itself has.
    fn attribute(&mut self, object: u64, name: &str) -> Result<Option<u64>, Trouble> {
        let of = self.objects.reader.word(object.wrapping_add(self.objects.offsets.object_type))?;
        let flags = self.objects.reader.word(of.wrapping_add(self.naming.type_flags))?;
        let before = |bytes: u64| object.wrapping_sub(bytes);
        let reader = &mut self.objects.reader;
        let (values, dict) = match self.naming.attributes {
            Attributes::Dict => {
                let at = reader.word(of.wrapping_add(self.naming.type_dictoffset))?;
                if at == 0 || at > 4096 {
                    return Ok(None);
                }
                (0, reader.word(object.wrapping_add(at))?)
            }
            // A class below one in C that has a dict of its own, as a future of 3.11.
            _ if flags & MANAGED_DICT == 0 => {
                let at = reader.word(of.wrapping_add(self.naming.type_dictoffset.max(TYPE_DICTOFFSET)))?;
                if at == 0 || at > 4096 {
                    return Ok(None);
                }
                (0, reader.word(object.wrapping_add(at))?)
            }
            Attributes::Pointers => (reader.word(before(32))?, reader.word(before(24))?),
            Attributes::Tagged => match reader.word(before(24))? {
                tagged if tagged & 1 == 1 => (tagged + 1, 0),
                dict => (0, dict),
            },
            Attributes::Inline(header, back) => {
                let values = object.wrapping_add(header);
                // `valid` of `PyDictValues`: cleared once the dict has values of its own.
                let valid = flags & INLINE_VALUES != 0 && reader.bytes(values, 4)?[3] == 1;
                (if valid { values } else { 0 }, reader.word(before(back))?)
            }
        };
        if values == 0 {
            return if dict == 0 { Ok(None) } else { self.find(dict, name) };
        }
        let keys = self.objects.reader.word(of.wrapping_add(self.naming.cached_keys))?;
        let mut entries = self.keys(keys)?;
        entries.truncate(MOST_ATTRIBUTES as usize);
        self.put_values(&mut entries, self.first_value(values))?;
        for (key, value) in entries.into_iter().filter(|(key, value)| *key != 0 && *value != 0) {
            if self.objects.is_string(key, name)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}
