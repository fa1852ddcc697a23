//! Reads a CPython runtime from outside: interpreters, threads, GIL and functions, without stopping or changing the process.
//!
//! CPython 3.13 and later publish the offsets of their structures in `_PyRuntime`, for debuggers. `_PyRuntime` is the section `.PyRuntime` of
//! the executable or of `libpython3.*.so`; `kernel::mapped` finds it in the process's memory, `kernel::memory` reads there. Everything else
//! here is pure, over [`memory::Memory`].
//!
//! The data belongs to the process and changes during the reading: every length, list and budget is bounded, every object is checked by its
//! type, and changes are reported. A new version of CPython: `offsets`.

mod finding;
mod lines;
mod memory;
mod objects;
mod offsets;
mod tasks;
#[cfg(test)]
mod tests;
mod walk;

use std::path::Path;

use crate::clock::{Clock as _, SystemClock};
use crate::kernel::error::ReadError;
use crate::kernel::mapped::{MappedFile, mapped_files, section_addresses};
use crate::kernel::memory::{ProcessMemory, ptrace_scope};
use crate::kernel::{DetailReader, reason};
use crate::snapshot::{Detail, DetailContent, DetailPart, ProcKey, PythonRuntime, PythonVersion};

pub use memory::Memory;

/// The section that holds `_PyRuntime`.
const SECTION: &str = ".PyRuntime";
/// The most mapped files that are looked into.
const MOST_FILES: usize = 8;

/// Why a runtime was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The operating system's reason.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It does not begin as it does since 3.13.
    #[error("it does not publish the offsets of its structures")]
    NoCookie,
    /// Another version than those that are known.
    #[error("CPython {0} is not supported; supported are 3.13 and 3.14, from their first release candidates")]
    UnknownVersion(PythonVersion),
    /// A task of the kernel's, or a zombie.
    #[error("the process is a kernel thread or has ended")]
    Nothing,
    /// It has none yet, or none any more.
    #[error("its runtime has no interpreter: it is starting or ending")]
    NoInterpreter,
    /// It cannot be what it says it is.
    #[error("its Python runtime is invalid: {0}")]
    Nonsense(&'static str),
    /// It did not hold together, as things do that are changed while they are read.
    #[error("it changed during several readings in a row, or is damaged: {0}; the next reading may succeed")]
    Torn(&'static str),
    /// More than any reading may take.
    #[error("reading stopped after 16 MiB: its lists do not end, so it is damaged or not Python")]
    TooMuch,
}

/// Reads the runtime of a process, as [`DetailReader::read`] reads everything else.
///
/// # Errors
/// [`ReadError::Vanished`] if it is gone or its pid belongs to another, before or after the reading.
pub fn read(reader: &DetailReader, key: ProcKey) -> Result<Detail, ReadError> {
    reader.identify(key)?;
    let taken_ns = SystemClock.boot_ns();
    let content = runtime(reader, key);
    reader.identify(key)?;
    if matches!(content, Err(Trouble::Read(ReadError::Vanished))) {
        return Err(ReadError::Vanished);
    }
    let content = content.map(|runtime| DetailContent::Runtime(Box::new(runtime))).map_err(|trouble| in_words(key.pid, &trouble));
    let took_ns = SystemClock.boot_ns().saturating_sub(taken_ns);
    Ok(Detail { took_ns, ..Detail::new(key, DetailPart::Runtime, taken_ns, content) })
}

fn runtime(reader: &DetailReader, key: ProcKey) -> Result<PythonRuntime, Trouble> {
    let fs = reader.files();
    let files = mapped_files(fs, key.pid, is_python)?;
    if files.is_empty() {
        return Err(Trouble::Nothing);
    }
    let memory = ProcessMemory::open(fs, key.pid)?;
    let mut why = None;
    for file in files.iter().take(MOST_FILES) {
        let addresses = match section_addresses(fs, key.pid, file, SECTION, (offsets::WORDS * 8) as u64) {
            Ok(addresses) => addresses,
            Err(error) => {
                why = why.or(Some(error.into()));
                continue;
            }
        };
        for address in addresses {
            match walk::runtime(&memory, address) {
                Ok((mut runtime, offsets)) => {
                    runtime.file = file.name.clone();
                    tasks::attach(reader, key, &mut runtime, &offsets)?;
                    runtime.finding = finding::of(&runtime);
                    return Ok(runtime);
                }
                // The section is older than what it begins with, and its bytes may be mapped twice.
                Err(Trouble::NoCookie) => why = Some(Trouble::NoCookie),
                Err(other) => return Err(other),
            }
        }
    }
    Err(match why {
        Some(Trouble::NoCookie) => too_old(&files),
        Some(other) => other,
        None => none(&files),
    })
}

/// Whether a mapped file may have a Python runtime in it, by its name.
fn is_python(name: &[u8]) -> bool {
    [&b"libpython"[..], b"python", b"libpypy", b"pypy"].iter().any(|begin| name.starts_with(begin))
}

fn first_name(files: &[MappedFile]) -> String {
    let python = files.iter().find(|file| is_python(file.file_name())).or(files.first());
    python.map_or_else(|| "it".to_owned(), |file| String::from_utf8_lossy(file.file_name()).into_owned())
}

fn too_old(files: &[MappedFile]) -> Trouble {
    Trouble::Read(ReadError::Unavailable {
        what: "looking inside this Python",
        why: format!(
            "{} is CPython before 3.13, which does not publish the offsets of its structures; 3.13 and later do",
            first_name(files)
        ),
    })
}

fn none(files: &[MappedFile]) -> Trouble {
    let name = first_name(files);
    let why = if name.contains("pypy") {
        format!("{name} is PyPy, which does not publish the offsets of its structures; CPython 3.13 and later does")
    } else {
        format!("{name} is not CPython, or is stripped: neither the program nor a mapped libpython has the section {SECTION}")
    };
    Trouble::Read(ReadError::Unavailable { what: "looking inside", why })
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
