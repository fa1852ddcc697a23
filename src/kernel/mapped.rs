//! The files that a process has mapped, and the address of a section of one of them (elf(5)).
//!
//! The process controls names and contents: a path may lead to another file, a header may be invalid. A file counts only if it is the mapped
//! one, and every length is bounded before it is read.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;

use object::elf::{FileHeader64, SectionHeader64};
use object::pod::{Pod, from_bytes, slice_from_all_bytes};
use object::{NativeEndian, elf};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

use super::error::ReadError;
use super::parse::maps::Mapping;
use super::pid_space::PidSpace;
use super::proc_fs::{ProcFs, RelPath};
use crate::snapshot::RawBytes;

/// The most of `maps` that is read: some eighty thousand mappings.
const MOST_BYTES: usize = 8 << 20;
/// The most section headers, and bytes of their names, that are looked at. An executable has some forty.
const MOST_SECTIONS: usize = 4096;
const MOST_NAME_BYTES: u64 = 256 * 1024;

type Header = FileHeader64<NativeEndian>;
pub(super) type Section = SectionHeader64<NativeEndian>;

/// A part of a file in the address space of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    start: u64,
    end: u64,
    offset: u64,
    writable: bool,
}

/// A file that a process has mapped.
#[derive(Debug, Clone)]
pub struct MappedFile {
    /// Its name as in `maps`.
    pub name: RawBytes,
    /// Whether it is the program that the process executes.
    pub program: bool,
    inode: u64,
    parts: Vec<Part>,
}

impl MappedFile {
    /// The name without its directories, and without what `maps` adds to one that was deleted.
    #[must_use]
    pub fn file_name(&self) -> &[u8] {
        let name = self.name.strip_suffix(b" (deleted)").unwrap_or(&self.name);
        name.rsplit(|b| *b == b'/').next().unwrap_or(name)
    }

    /// Where the byte at `offset` of the file is mapped first.
    pub(super) fn first_address(&self, offset: u64) -> Option<u64> {
        let part = self.parts.iter().find(|part| part.holds(offset, 1))?;
        Some(part.start + (offset - part.offset))
    }

    /// Where a place of the file is mapped; where it may be written to comes first, since that is where data are.
    fn addresses(&self, offset: u64, size: u64) -> Vec<u64> {
        let mut found: Vec<&Part> = self.parts.iter().filter(|part| part.holds(offset, size)).collect();
        found.sort_by_key(|part| !part.writable);
        found.iter().map(|part| part.start + (offset - part.offset)).collect()
    }
}

impl Part {
    fn holds(&self, offset: u64, size: u64) -> bool {
        let behind = offset.checked_add(size);
        offset >= self.offset && behind.is_some_and(|behind| behind - self.offset <= self.end - self.start)
    }
}

/// The files that `pid` has mapped and that are chosen, in the order of their addresses; the program first, chosen or not.
///
/// # Errors
/// If the list of its mappings cannot be read.
pub fn mapped_files(fs: &ProcFs, pid: i32, chosen: impl Fn(&[u8]) -> bool) -> Result<Vec<MappedFile>, ReadError> {
    let mut bytes = Vec::new();
    fs.read_lines(&RelPath::process(pid, "maps"), MOST_BYTES, &mut bytes)?;
    let program = fs.read_link(&RelPath::process(pid, "exe")).unwrap_or_default();
    let mut files: Vec<MappedFile> = Vec::new();
    let mut ids = Vec::new();
    for mapping in bytes.split(|b| *b == b'\n').filter_map(Mapping::parse).filter(|m| m.inode != 0) {
        let id = (mapping.device, mapping.inode);
        let Mapping { start, end, offset, writable, .. } = mapping;
        let part = Part { start, end, offset, writable };
        match ids.iter().position(|known| *known == id) {
            Some(at) => files[at].parts.push(part),
            None => {
                let file = MappedFile {
                    name: mapping.name.into(),
                    program: *mapping.name == *program,
                    inode: mapping.inode,
                    parts: vec![part],
                };
                if file.program || chosen(file.file_name()) {
                    ids.push(id);
                    files.push(file);
                }
            }
        }
    }
    files.sort_by_key(|file| !file.program);
    Ok(files)
}

/// Where the section `name` of the file is in the address space of `pid`: no place if it has none, several if its bytes are mapped more
/// than once.
///
/// # Errors
/// If the file cannot be opened, is not the one that is mapped any more, or is no ELF file of this machine's kind.
pub fn section_addresses(fs: &ProcFs, pid: i32, file: &MappedFile, name: &str, size: u64) -> Result<Vec<u64>, ReadError> {
    let opened = open(fs, pid, file)?;
    let broken =
        |what: &str| ReadError::Malformed { path: String::from_utf8_lossy(&file.name).into_owned().into(), what: what.into() };
    let offsets = section_offsets(&opened, name.as_bytes()).map_err(broken)?;
    Ok(offsets.into_iter().flat_map(|offset| file.addresses(offset, size)).collect())
}

/// Opens the file that is mapped, by the kernel's own link to it if that may be followed, else by its name as the process sees it.
pub(super) fn open(fs: &ProcFs, pid: i32, file: &MappedFile) -> Result<File, ReadError> {
    let part = file.parts[0];
    let mut link = RelPath::mapped_file(pid, part.start, part.end);
    let mut place = fs.open_place(&link);
    if place.is_err() && file.program {
        link = RelPath::process(pid, "exe");
        place = fs.open_place(&link);
    }
    match place {
        Ok(place) => reopen(&place, file).or_else(|error| match error {
            ReadError::Vanished => follow_again(fs, &link, &place, file),
            error => Err(error),
        }),
        Err(_) => reopen(&open_by_name(fs, pid, file)?, file).map_err(|error| match (error, PidSpace::Foreign.refusal()) {
            (ReadError::Vanished, Some(why)) => ReadError::Unavailable { what: "opening its files", why: why.to_owned() },
            (error, _) => error,
        }),
    }
}

/// The same place by the kernel's own link once more: where `/proc` is of a PID namespace that concmon is not seen in, no link leads to
/// its own descriptors.
fn follow_again(fs: &ProcFs, link: &RelPath, place: &OwnedFd, file: &MappedFile) -> Result<File, ReadError> {
    let opened = fs.open_quietly(link)?;
    let id = |fd: &OwnedFd| rustix::fs::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino)).ok();
    if id(&opened).is_some() && id(&opened) == id(place) {
        return Ok(File::from(opened));
    }
    let path = String::from_utf8_lossy(&file.name).into_owned().into();
    Err(ReadError::Malformed { path, what: "another file is there than the one that is mapped".into() })
}

fn open_by_name(fs: &ProcFs, pid: i32, file: &MappedFile) -> Result<OwnedFd, ReadError> {
    let root = fs.open_place(&RelPath::process(pid, "root"))?;
    let name = file.name.strip_prefix(b"/").unwrap_or(&file.name);
    // The links of its directories may lead anywhere: nothing outside of what the process itself sees.
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(&root, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
        .map_err(|errno| ReadError::Io { path: String::from_utf8_lossy(&file.name).into_owned().into(), source: errno.into() })
}

/// The same place opened for reading, if it is a regular file and the one that is mapped: through concmon's own link to it, or
/// [`ReadError::Vanished`] where there is no such link.
fn reopen(place: &OwnedFd, file: &MappedFile) -> Result<File, ReadError> {
    let path = || String::from_utf8_lossy(&file.name).into_owned().into();
    let stat = rustix::fs::fstat(place).map_err(|errno| ReadError::Io { path: path(), source: errno.into() })?;
    // Its device is no help: layered file systems (overlayfs, btrfs) tell another one here than in `maps`.
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_ino != file.inode {
        return Err(ReadError::Malformed { path: path(), what: "the file differs from the mapped one".into() });
    }
    let itself = format!("/proc/self/fd/{}", place.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::open(itself, flags, Mode::empty()).map(File::from).map_err(|errno| match errno {
        rustix::io::Errno::NOENT => ReadError::Vanished,
        errno => ReadError::Io { path: path(), source: errno.into() },
    })
}

/// The ELF header, if it is one of this machine's kind.
pub(super) fn header_of(file: &File) -> Result<Header, &'static str> {
    let bytes = exactly(file, 0, size_of::<Header>() as u64)?;
    let header: &Header = as_one(&bytes)?;
    let ident = &header.e_ident;
    let native = if cfg!(target_endian = "little") { elf::ELFDATA2LSB } else { elf::ELFDATA2MSB };
    if ident.magic != elf::ELFMAG {
        return Err("it is not an ELF file");
    }
    if ident.class != elf::ELFCLASS64 || ident.data != native {
        return Err("it is an ELF file for another machine type: only 64 bits and this byte order are supported");
    }
    Ok(*header)
}

/// The bytes of its section headers; empty if it has none.
pub(super) fn sections_of(file: &File, header: &Header) -> Result<Vec<u8>, &'static str> {
    let e = NativeEndian;
    let count = usize::from(header.e_shnum.get(e));
    if count == 0 || usize::from(header.e_shentsize.get(e)) != size_of::<Section>() {
        return Ok(Vec::new());
    }
    exactly(file, header.e_shoff.get(e), (count.min(MOST_SECTIONS) * size_of::<Section>()) as u64)
}

/// Where in the file its sections of that name begin.
fn section_offsets(file: &File, name: &[u8]) -> Result<HashSet<u64>, &'static str> {
    let e = NativeEndian;
    let header = header_of(file)?;
    let table = sections_of(file, &header)?;
    let sections: &[Section] = slice_from_all_bytes(&table).map_err(|()| "cannot read its section table")?;
    let Some(names) = sections.get(usize::from(header.e_shstrndx.get(e))) else { return Ok(HashSet::new()) };
    let names = exactly(file, names.sh_offset.get(e), names.sh_size.get(e).min(MOST_NAME_BYTES))?;
    let is_it = |section: &&Section| {
        let rest = usize::try_from(section.sh_name.get(e)).ok().and_then(|at| names.get(at..));
        rest.and_then(|rest| rest.strip_prefix(name)).is_some_and(|behind| behind.first() == Some(&0))
    };
    let has_bytes = |section: &&Section| section.sh_type.get(e) == elf::SHT_PROGBITS;
    Ok(sections.iter().filter(is_it).filter(has_bytes).take(4).map(|section| section.sh_offset.get(e)).collect())
}

fn as_one<T: Pod>(bytes: &[u8]) -> Result<&T, &'static str> {
    from_bytes(bytes).map(|(one, _)| one).map_err(|()| "cannot read its header")
}

/// A part of the file, which must be there whole. The callers bound its length.
pub(super) fn exactly(file: &File, offset: u64, size: u64) -> Result<Vec<u8>, &'static str> {
    let size = usize::try_from(size).map_err(|_| "a length in it is too large")?;
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, offset).map_err(|_| "it is truncated or unreadable")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn sections_of_the_own_program_are_found_where_they_are_mapped() {
        let fs = ProcFs::open("/proc").unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let files = mapped_files(&fs, pid, |_| false).unwrap();
        assert!(files.len() == 1 && files[0].program, "{files:?}");
        // What is found there is what is in memory: the test harness's own text, and the address of a function within it.
        let text = section_addresses(&fs, pid, &files[0], ".text", 1).unwrap();
        let here = sections_of_the_own_program_are_found_where_they_are_mapped as fn() as usize as u64;
        assert!(text.iter().any(|at| *at <= here && here - at < 1 << 28), "{text:x?} {here:x}");
        assert!(section_addresses(&fs, pid, &files[0], ".nothing", 1).unwrap().is_empty());
    }

    #[test]
    fn files_that_lie_about_themselves_are_refused_within_bounds() {
        let try_it = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            section_offsets(&file, b".PyRuntime")
        };
        assert_eq!(try_it(b"#!/bin/sh\n"), Err("it is truncated or unreadable"));
        assert_eq!(try_it(&[b'x'; 200]), Err("it is not an ELF file"));
        let mut header = vec![0u8; 64];
        header[..6].copy_from_slice(b"\x7fELF\x02\x01");
        assert_eq!(try_it(&header), Ok(HashSet::new()), "no sections");
        header[58..60].copy_from_slice(&64u16.to_le_bytes());
        header[60..62].copy_from_slice(&u16::MAX.to_le_bytes());
        header[40..48].copy_from_slice(&(u64::MAX - 5).to_le_bytes());
        assert!(try_it(&header).is_err(), "a table beyond the end");
        header[4] = 1;
        assert!(try_it(&header).unwrap_err().contains("another machine type"));
    }

    #[test]
    fn a_place_of_a_file_is_where_it_may_be_written_first() {
        let part = |start, offset, writable| Part { start, end: start + 0x1000, offset, writable };
        let parts = vec![part(0x1000, 0, false), part(0x9000, 0, true), part(0xf000, 0x1000, true)];
        let file = MappedFile { name: b"/a/b (deleted)"[..].into(), program: false, inode: 1, parts };
        assert_eq!(file.addresses(0x10, 8), [0x9010, 0x1010]);
        assert!(file.addresses(0xffc, 8).is_empty(), "half of it is not there");
        assert!(file.addresses(u64::MAX, 8).is_empty());
        assert_eq!(file.file_name(), b"b");
    }
}
