//! Which CPython a mapped file is, and where its `_PyRuntime` may be: by its section, or before 3.10 and where sections have other names
//! by its exported symbol.

use super::Trouble;
use super::memory::{Memory, Reader};
use crate::kernel::error::ReadError;
use crate::kernel::mapped::{MappedFile, mapped_files, section_addresses};
use crate::kernel::proc_fs::ProcFs;
use crate::kernel::symbols::symbol_addresses;
use crate::snapshot::PythonVersion;

/// The section that holds `_PyRuntime` since 3.10.
pub(super) const SECTION: &str = ".PyRuntime";
/// What every CPython exports: an embedder calls it.
const INITIALIZE: &str = "Py_InitializeEx";
/// What CPython exports since these versions. `Py_Version` of 3.11 is the next.
const SINCE_3_9: &str = "PyObject_CallNoArgs";
const SINCE_3_10: &str = "Py_NewRef";

/// The most libraries of other names that are looked into. Each takes reading its table of sections, some 20 µs.
const MOST_LIBRARIES: usize = 256;

/// What is known of a mapped file.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Where `_PyRuntime` may be, the likeliest first.
    pub addresses: Vec<u64>,
    /// Whether it has the section, so that it is at least 3.10.
    pub has_section: bool,
    /// Whether it is a CPython at all, as its symbols or its section say.
    pub is_cpython: bool,
    /// Major and minor number.
    pub minor: Option<(u8, u8)>,
    /// The whole version, which CPython exports since 3.11.
    pub version: Option<PythonVersion>,
}

/// Looks for a runtime in the file. `size` is how many bytes must be mapped where it begins.
///
/// # Errors
/// If the file cannot be read, or is no ELF file of this machine's kind.
pub(super) fn of<M: Memory>(fs: &ProcFs, memory: &M, pid: i32, file: &MappedFile, size: u64) -> Result<Place, Trouble> {
    let mut place = Place { addresses: section_addresses(fs, pid, file, SECTION, size)?, ..Place::default() };
    place.has_section = !place.addresses.is_empty();
    let symbols = symbol_addresses(fs, pid, file, &["_PyRuntime", "Py_Version", INITIALIZE, SINCE_3_9, SINCE_3_10])?;
    let [runtime, version, initialize, since_3_9, since_3_10] = symbols[..] else { return Ok(place) };
    place.is_cpython = place.has_section || initialize.is_some();
    place.addresses.extend(runtime.filter(|address| !place.addresses.contains(address)));
    if let Some(at) = version {
        // An `unsigned long`, and the file's own: whether it says sense is seen from its major number.
        let hex = Reader::new(memory).word(at).ok().and_then(|word| u32::try_from(word).ok()).map(PythonVersion);
        place.version = hex.filter(|version| version.minor().0 == 3);
    }
    let exported = match (version, since_3_9, since_3_10) {
        (None, _, Some(_)) => Some((3, 10)),
        (None, Some(_), None) => Some((3, 9)),
        _ => None,
    };
    place.minor = place.version.map(PythonVersion::minor).or(exported).or_else(|| named(file.file_name()));
    Ok(place)
}

/// Libraries whose names do not say it and that have the section: a program may have CPython linked into a library or module of its own.
/// Their exported symbols are not read, which would take long: of 3.9, which has no section, such a library is not found.
pub(super) fn elsewhere(fs: &ProcFs, pid: i32, is_known: impl Fn(&[u8]) -> bool) -> Vec<MappedFile> {
    let is_library = |name: &[u8]| !is_known(name) && name.windows(3).any(|part| part == b".so");
    let files = mapped_files(fs, pid, is_library).unwrap_or_default();
    let has_it = |file: &MappedFile| section_addresses(fs, pid, file, SECTION, 1).is_ok_and(|found| !found.is_empty());
    files.into_iter().filter(|file| !file.program).take(MOST_LIBRARIES).filter(has_it).collect()
}

/// The version in the name of a program or library: `python3.9`, `libpython3.7m.so.1.0`, `python2.7`.
fn named(name: &[u8]) -> Option<(u8, u8)> {
    let name = std::str::from_utf8(name).ok()?;
    let rest = name.strip_prefix("lib").unwrap_or(name).strip_prefix("python")?;
    let (major, rest) = rest.split_once('.')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (minor, behind) = rest.split_at(end);
    // Letters behind it are of builds: malloc, debug, unicode, free-threaded.
    let behind = behind.trim_start_matches(['m', 'd', 'u', 't']);
    (behind.is_empty() || behind.starts_with(['.', '-'])).then_some(())?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Why nothing was read of a file that is CPython or whose name says that it is, or that is something else.
pub(super) fn refusal(name: &str, place: &Place, tried: Option<&Trouble>) -> Trouble {
    let why = match (place.is_cpython, place.minor, tried) {
        (true, Some((major, minor)), _) if (major, minor) < (3, 9) => {
            format!("{name} is CPython {major}.{minor}: frames can be read from 3.9 on")
        }
        (true, Some((major, minor)), Some(why)) => {
            format!("{name} is CPython {major}.{minor}, but its memory is not laid out as in the released {major}.{minor}: {why}")
        }
        (true, None, Some(why)) => {
            format!("{name} is a CPython of unknown version, and its memory is laid out as in none of 3.9 to 3.12: {why}")
        }
        (true, Some((major, minor)), None) => {
            format!("{name} is CPython {major}.{minor}, but has neither the section {SECTION} nor the symbol _PyRuntime")
        }
        (true, None, None) => {
            format!("{name} is a CPython of unknown version without the symbol _PyRuntime: frames can be read from 3.9 on")
        }
        (false, ..) if name.contains("pypy") => format!("{name} is PyPy: only CPython's frames can be read"),
        (false, ..) => format!(
            "{name} is not CPython: neither the program nor a mapped libpython has the section {SECTION} or the symbol {INITIALIZE}"
        ),
    };
    let error = ReadError::Unavailable { what: "reading Python frames", why };
    if place.is_cpython || name.contains("pypy") { Trouble::Read(error) } else { Trouble::NotPython(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_names_of_pythons_alone() {
        let tried = [
            (&b"python3.9"[..], Some((3, 9))),
            (&b"libpython3.7m.so.1.0"[..], Some((3, 7))),
            (&b"libpython3.13t.so.1.0"[..], Some((3, 13))),
            (&b"python2.7-dbg"[..], Some((2, 7))),
            (&b"python3"[..], None),
            (&b"python3.eleven"[..], None),
            (&b"pythonista3.9x"[..], None),
            (&b"python3.9x"[..], None),
            (&b"python3.999"[..], None),
            (&b"\xffpython3.9"[..], None),
        ];
        for (name, version) in tried {
            assert_eq!(named(name), version, "{}", String::from_utf8_lossy(name));
        }
    }
}
