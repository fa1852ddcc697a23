//! Reads a CPython runtime from outside: interpreters, threads, GIL and functions, without stopping or changing the process.
//!
//! CPython 3.13 and later say in `_PyRuntime` where their structures have their fields, for debuggers (PEP 768). For 3.9 to 3.12 there are
//! tables, made from the headers and verified against what must hold. [`place`] finds `_PyRuntime` in the program or in
//! `libpython3.*.so`, `kernel::memory` reads the process's memory. Everything else here is pure, over [`memory::Memory`].
//!
//! The process changes its memory while it is read: every length, list and budget is bounded, every object is used only if its type is
//! right, and a stack that changed during the reading is marked. A new version of CPython: [`offsets`].

mod asyncio;
mod attached;
mod blocks;
pub mod family;
mod finding;
mod greenlets;
mod layouts;
mod lines;
pub mod locks;
mod memory;
mod methods;
mod names;
mod native;
mod objects;
mod offsets;
mod place;
mod probe;
mod stack;
mod tasks;
#[cfg(test)]
mod tests;
mod walk;
pub mod watch;

use std::cell::OnceCell;
use std::path::Path;

use crate::clock::{Clock as _, SystemClock};
use crate::kernel::error::ReadError;
use crate::kernel::mapped::{MappedFile, mapped_files, section_addresses};
use crate::kernel::memory::{ProcessMemory, ptrace_scope};
use crate::kernel::proc_fs::{ProcFs, RelPath};
use crate::kernel::{DetailReader, reason};
use crate::snapshot::{Detail, DetailContent, DetailPart, ProcKey, PythonRuntime, PythonVersion};

pub use attached::{Attached, Looked};
use layouts::{LAYOUTS, Layout};
pub use memory::Memory;
use offsets::Offsets;
use place::Place;
pub use probe::{Stack, ThreadStack};
pub use tasks::sleeps_at;
use walk::Origin;

/// The most mapped files that are looked into.
const MOST_FILES: usize = 8;

/// Why a runtime was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The operating system's reason.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No `_Py_DebugOffsets` begin there.
    #[error("it does not publish the offsets of its structures")]
    NoCookie,
    /// A version whose structures are not known.
    #[error("CPython {0} is not supported; supported are the releases 3.9 to 3.15, and later ones with the layout of 3.15")]
    UnknownVersion(PythonVersion),
    /// A kernel thread, or a zombie.
    #[error("the process is a kernel thread or has ended")]
    Nothing,
    /// No interpreter exists yet, or any more.
    #[error("its runtime has no interpreter: it is starting or ending")]
    NoInterpreter,
    /// The memory holds something else.
    #[error("its Python runtime is invalid: {0}")]
    Nonsense(&'static str),
    /// It changed while it was read.
    #[error("it changed during several readings in a row, or is damaged: {0}; the next reading may succeed")]
    Torn(&'static str),
    /// The budget of a reading is spent.
    #[error("reading stopped after 64 MiB or 400,000 calls: its lists do not end, so it is damaged or not Python")]
    TooMuch,
    /// A file that has a name like a Python's, but is none.
    #[error(transparent)]
    NotPython(ReadError),
    /// A layout does not fit.
    #[error("{0}")]
    Unfit(&'static str),
}

/// `None` of what changed while it was read: what cannot be followed says nothing.
pub(crate) fn soft<T>(read: Result<T, Trouble>) -> Result<Option<T>, Trouble> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(Trouble::Torn(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Reads the runtime of a process, as [`DetailReader::read`] reads everything else, without its greenlets.
///
/// # Errors
/// [`ReadError::Vanished`] if it is gone or its pid belongs to another, before or after the reading.
pub fn read(reader: &DetailReader, key: ProcKey) -> Result<Detail, ReadError> {
    reading(reader, key, trio)
}

fn trio(found: &mut Found) -> Result<(), Trouble> {
    asyncio::trio::read(&found.memory, (found.address, found.leader), &found.offsets, &mut found.runtime)
}

/// The same with the greenlets: all objects of the process are searched for them.
///
/// # Errors
/// Those of [`read`].
pub fn read_whole(reader: &DetailReader, key: ProcKey) -> Result<Detail, ReadError> {
    reading(reader, key, |found| {
        trio(found)?;
        if found.has_greenlets {
            greenlets::read(&found.memory, (found.address, found.leader), &found.offsets, &mut found.runtime)?;
        }
        Ok(())
    })
}

fn reading(
    reader: &DetailReader,
    key: ProcKey,
    more: impl FnOnce(&mut Found) -> Result<(), Trouble>,
) -> Result<Detail, ReadError> {
    reader.identify(key)?;
    let taken_ns = SystemClock.boot_ns();
    let face = reader.face(key.pid);
    let content = runtime(reader, key, face).and_then(|mut found| more(&mut found).map(|()| found.runtime));
    reader.identify(key)?;
    if matches!(content, Err(Trouble::Read(ReadError::Vanished))) {
        return Err(ReadError::Vanished);
    }
    let content = content.map(|runtime| DetailContent::Runtime(Box::new(runtime))).map_err(|trouble| in_words(face, &trouble));
    let took_ns = SystemClock.boot_ns().saturating_sub(taken_ns);
    Ok(Detail { took_ns, ..Detail::new(key, DetailPart::Runtime, taken_ns, content) })
}

/// A runtime, and how it was read.
struct Found {
    runtime: PythonRuntime,
    memory: ProcessMemory,
    address: u64,
    offsets: Offsets,
    leader: Option<u64>,
    /// How the tasks of asyncio are found.
    tasks: Option<asyncio::Found>,
    /// Whether the module of greenlets is mapped.
    has_greenlets: bool,
}

/// `face`: the thread whose files and memory are the process's.
fn runtime(reader: &DetailReader, key: ProcKey, face: i32) -> Result<Found, Trouble> {
    let fs = reader.files();
    let mut files = mapped_files(fs, face, |name| is_python(name) || is_asyncio(name) || is_greenlet(name))?;
    let file_count = files.len();
    files.retain(|file| file.program || !is_greenlet(file.file_name()));
    let has_greenlets = files.len() < file_count;
    let (modules, files): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| is_asyncio(file.file_name()) && !file.program);
    if files.is_empty() {
        return Err(Trouble::Nothing);
    }
    let memory = ProcessMemory::open(fs, face)?;
    let leader = tasks::leader(fs, key.pid);
    let mut unread = None;
    let mut failed = None;
    let mut refused: Option<(&MappedFile, Place, Option<Trouble>)> = None;
    let elsewhere = OnceCell::new();
    // Looked for only if no file of a known name is read.
    let others = std::iter::once_with(|| elsewhere.get_or_init(|| place::elsewhere(fs, face, is_python))).flatten();
    'files: for file in files.iter().take(MOST_FILES).chain(others) {
        let place = match place::of(fs, &memory, face, file, (offsets::WORDS * 8) as u64) {
            Ok(place) => place,
            Err(error) => {
                unread = unread.or(Some(error));
                continue;
            }
        };
        let mut why = None;
        for (address, origin) in candidates(&place) {
            let read = walk::runtime(&memory, address, origin, leader).and_then(|(mut runtime, offsets)| {
                let strangers = tasks::attach(reader, key, &mut runtime)?;
                if let Origin::Layout(_) = origin {
                    must_hold(&runtime, strangers)?;
                    runtime.version = place.version.unwrap_or(runtime.version);
                }
                let found = tasks_of(fs, face, &memory, modules.iter().chain([file]).chain(&files), &offsets);
                let tasks = match found {
                    Ok(found) => found,
                    Err(why) => {
                        runtime.notes.push(format!("The tasks of asyncio were not read: {why}."));
                        None
                    }
                };
                if let Some(found) = tasks {
                    asyncio::read(&memory, (address, leader), &offsets, found, &mut runtime)?;
                }
                Ok((runtime, offsets, tasks))
            });
            match (read, origin) {
                (Ok((mut runtime, offsets, tasks)), _) => {
                    runtime.file = file.name.clone();
                    runtime.finding = finding::of(&runtime);
                    return Ok(Found { runtime, memory, address, offsets, leader, tasks, has_greenlets });
                }
                // The section is older than what it begins with, and its bytes may be mapped twice.
                (Err(Trouble::NoCookie), _) => {}
                (Err(error @ Trouble::Read(_)), _) => return Err(error),
                // A file may be mapped that only looks like a runtime; the one that runs may be another.
                (Err(error), Origin::Itself) => {
                    failed = failed.or(Some(error));
                    continue 'files;
                }
                (Err(error), Origin::Layout(_)) => why = Some(error),
            }
        }
        // Of several files, the one that says most: a program may only link to its libpython.
        if refused.as_ref().is_none_or(|(_, known, _)| !known.is_cpython && place.is_cpython) {
            refused = Some((file, place, why));
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    Err(match (refused, unread) {
        (Some((file, place, why)), None) => place::refusal(&shown(file), &place, why.as_ref()),
        (Some((file, place, why)), Some(_)) if place.is_cpython => place::refusal(&shown(file), &place, why.as_ref()),
        (_, Some(unread)) => unread,
        (None, None) => Trouble::Nothing,
    })
}

/// How the tasks of asyncio are found; `None` if asyncio is not there, or not known how to be read.
fn tasks_of<'f>(
    fs: &ProcFs,
    pid: i32,
    memory: &ProcessMemory,
    files: impl Iterator<Item = &'f MappedFile>,
    offsets: &Offsets,
) -> Result<Option<asyncio::Found>, Trouble> {
    let Some(layout) = offsets.coroutines.filter(|_| offsets.version.minor() >= (3, 14)) else {
        return Ok(Some(asyncio::Found::Sets));
    };
    for file in files.take(MOST_FILES) {
        let places = section_addresses(fs, pid, file, asyncio::layout::SECTION, asyncio::layout::SECTION_BYTES as u64)?;
        if let Some(at) = places.first() {
            let bytes = memory::Reader::new(memory).bytes(*at, asyncio::layout::SECTION_BYTES)?;
            let published = asyncio::layout::Published::parse(&bytes, layout.header, offsets.interpreter_size)
                .ok_or(Trouble::Nonsense("the section .AsyncioDebug does not fit this version"))?;
            return Ok(Some(asyncio::Found::Published(published)));
        }
    }
    Ok(None)
}

/// Where a runtime may be, and by which offsets it may be read: its own, then the layout of its version, or of an unknown version each.
fn candidates(place: &Place) -> impl Iterator<Item = (u64, Origin<'static>)> {
    let itself = place.addresses.iter().map(|address| (*address, Origin::Itself));
    // The layouts of 3.9 and 3.10 are alike but for lines: of 3.10, which has the section, that of 3.9 is not tried.
    let fits = |layout: &&Layout| match place.minor {
        Some(minor) => minor == (3, layout.minor),
        None => layout.minor > 9 || !place.has_section,
    };
    let layouts = LAYOUTS.iter().rev().filter(fits);
    let layouts = layouts.flat_map(|layout| place.addresses.iter().map(move |address| (*address, Origin::Layout(layout))));
    itself.chain(layouts).collect::<Vec<_>>().into_iter()
}

/// What holds in any Python and is not checked while it is read: whether a layout is the right one.
fn must_hold(runtime: &PythonRuntime, strangers: usize) -> Result<(), Trouble> {
    let threads = || runtime.interpreters.iter().flat_map(|one| &one.threads);
    if !runtime.interpreters.iter().any(|one| one.id == 0) {
        return Err(Trouble::Unfit("it has no main interpreter"));
    }
    if threads().count() == strangers {
        return Err(Trouble::Unfit("none of its threads is a task of the process"));
    }
    if threads().all(|thread| thread.frames.is_empty()) && threads().any(|thread| thread.moved) {
        return Err(Trouble::Unfit("no frame of it executes a code object"));
    }
    Ok(())
}

/// Whether a mapped file may have a Python runtime in it, by its name.
fn is_python(name: &[u8]) -> bool {
    [&b"libpython"[..], b"python", b"libpypy", b"pypy"].iter().any(|begin| name.starts_with(begin))
}

/// Whether a mapped file is the module that has the tasks of asyncio, by its name.
fn is_asyncio(name: &[u8]) -> bool {
    name.starts_with(b"_asyncio.")
}

/// Whether a mapped file is the module that has greenlets, by its name.
fn is_greenlet(name: &[u8]) -> bool {
    name.starts_with(b"_greenlet.")
}

fn shown(file: &MappedFile) -> String {
    String::from_utf8_lossy(file.file_name()).into_owned()
}

/// The process that a TID belongs to, if it is that of another thread than its first.
#[must_use]
pub fn process_of(fs: &ProcFs, tid: i32) -> Option<i32> {
    let mut bytes = Vec::new();
    fs.read_all(&RelPath::process(tid, "status"), 16 * 1024, &mut bytes).ok()?;
    let line = bytes.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"Tgid:"))?;
    let pid = std::str::from_utf8(line).ok()?.trim().parse().ok()?;
    (pid != tid).then_some(pid)
}

/// One sentence, with what would help.
fn in_words(pid: i32, trouble: &Trouble) -> String {
    let Trouble::Read(error) = trouble else { return trouble.to_string() };
    let ReadError::Denied { path } = error else { return error.to_string() };
    if path == Path::new(&format!("the memory of process {pid}")) && !rustix::process::geteuid().is_root() {
        return match ptrace_scope() {
            Some(1..) => format!(
                "{error}: kernel.yama.ptrace_scope forbids reading other processes; run concmon as root, or give it CAP_SYS_PTRACE"
            ),
            _ => format!("{error}: the process belongs to another user or has more privileges; run concmon as root"),
        };
    }
    reason(error)
}
