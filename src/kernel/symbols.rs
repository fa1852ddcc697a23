//! Where the symbols of a mapped file (elf(5), "String and symbol tables") lie in the address space of a process.
//!
//! The file's contents are the process's own choice: every count is bounded, and an address is only a number until something is read there.

use std::fs::File;

use object::NativeEndian;
use object::elf::{self, ProgramHeader64, Sym64};
use object::pod::slice_from_all_bytes;

use super::error::ReadError;
use super::mapped::{MappedFile, Section, exactly, header_of, open, sections_of};
use super::proc_fs::ProcFs;

/// The most bytes of a symbol table and of its names that are read: 340,000 symbols. `libpython` exports some 2,000.
const MOST_BYTES: u64 = 8 << 20;
/// The most program headers that are looked at. An executable has some 13.
const MOST_SEGMENTS: usize = 256;

/// The address of each wanted symbol, in the order given; `None` for one that the file does not define.
///
/// # Errors
/// If the file cannot be opened, is not the one that is mapped any more, or is no ELF file of this machine's kind.
pub fn symbol_addresses(fs: &ProcFs, pid: i32, file: &MappedFile, wanted: &[&str]) -> Result<Vec<Option<u64>>, ReadError> {
    let opened = open(fs, pid, file)?;
    let broken =
        |what: &str| ReadError::Malformed { path: String::from_utf8_lossy(&file.name).into_owned().into(), what: what.into() };
    let values = symbol_values(&opened, wanted).map_err(broken)?;
    let bias = load_bias(&opened, file).map_err(broken)?;
    Ok(values.into_iter().map(|value| Some(bias?.wrapping_add(value?))).collect())
}

/// What the file's addresses are shifted by in memory; `None` if none of its segments is mapped as its headers say.
fn load_bias(file: &File, mapped: &MappedFile) -> Result<Option<u64>, &'static str> {
    let e = NativeEndian;
    let header = header_of(file)?;
    if header.e_type.get(e) == elf::ET_EXEC {
        return Ok(Some(0));
    }
    let count = usize::from(header.e_phnum.get(e)).min(MOST_SEGMENTS);
    let table = exactly(file, header.e_phoff.get(e), (count * size_of::<ProgramHeader64<NativeEndian>>()) as u64)?;
    let segments: &[ProgramHeader64<NativeEndian>] =
        slice_from_all_bytes(&table).map_err(|()| "cannot read its program headers")?;
    let mut loaded = segments.iter().filter(|segment| segment.p_type.get(e) == elf::PT_LOAD);
    Ok(loaded.find_map(|segment| {
        let address = mapped.first_address(segment.p_offset.get(e))?;
        Some(address.wrapping_sub(segment.p_vaddr.get(e)))
    }))
}

/// The values of the wanted symbols, from the dynamic symbol table first: it stays when a file is stripped.
fn symbol_values(file: &File, wanted: &[&str]) -> Result<Vec<Option<u64>>, &'static str> {
    let e = NativeEndian;
    let header = header_of(file)?;
    let sections = sections_of(file, &header)?;
    let sections: &[Section] = slice_from_all_bytes(&sections).map_err(|()| "cannot read its section table")?;
    let mut found = vec![None; wanted.len()];
    for kind in [elf::SHT_DYNSYM, elf::SHT_SYMTAB] {
        for table in sections.iter().filter(|section| section.sh_type.get(e) == kind).take(1) {
            let Some(names) = sections.get(table.sh_link.get(e) as usize) else { continue };
            look_up(file, table, names, wanted, &mut found)?;
        }
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    Ok(found)
}

fn look_up(
    file: &File,
    table: &Section,
    names: &Section,
    wanted: &[&str],
    found: &mut [Option<u64>],
) -> Result<(), &'static str> {
    let e = NativeEndian;
    let entry = size_of::<Sym64<NativeEndian>>() as u64;
    let size = table.sh_size.get(e).min(MOST_BYTES) / entry * entry;
    let symbols = exactly(file, table.sh_offset.get(e), size)?;
    let symbols: &[Sym64<NativeEndian>] = slice_from_all_bytes(&symbols).map_err(|()| "cannot read its symbols")?;
    let names = exactly(file, names.sh_offset.get(e), names.sh_size.get(e).min(MOST_BYTES))?;
    for symbol in symbols.iter().filter(|symbol| symbol.st_shndx.get(e) != elf::SHN_UNDEF) {
        let Some(name) = usize::try_from(symbol.st_name.get(e)).ok().and_then(|at| names.get(at..)) else { continue };
        let is_it = |wanted: &str| name.strip_prefix(wanted.as_bytes()).is_some_and(|rest| rest.first() == Some(&0));
        if let Some(at) = wanted.iter().position(|wanted| is_it(wanted)) {
            found[at] = found[at].or(Some(symbol.st_value.get(e)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::mapped::mapped_files;

    #[test]
    fn symbols_of_the_c_library_are_where_the_linker_put_them() {
        let fs = ProcFs::open("/proc").unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let files = mapped_files(&fs, pid, |name| name.starts_with(b"libc.so") || name.starts_with(b"libc-")).unwrap();
        let Some(libc) = files.iter().find(|file| !file.program) else { return };
        let addresses = symbol_addresses(&fs, pid, libc, &["getpid", "no_such_symbol", "environ"]).unwrap();
        let getpid = libc::getpid as *const () as usize as u64;
        assert_eq!(addresses[..2], [Some(getpid), None]);
        assert!(addresses[2].is_some(), "a symbol of data");
    }

    #[test]
    fn a_file_that_lies_about_its_symbols_is_refused_within_bounds() {
        use std::io::Write as _;
        let mut header = vec![0u8; 64];
        header[..6].copy_from_slice(b"\x7fELF\x02\x01");
        let mut section = vec![0u8; 64];
        section[4..8].copy_from_slice(&elf::SHT_DYNSYM.to_le_bytes());
        section[24..32].copy_from_slice(&(u64::MAX - 3).to_le_bytes());
        section[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        header[58..60].copy_from_slice(&64u16.to_le_bytes());
        header[60..62].copy_from_slice(&1u16.to_le_bytes());
        header[40..48].copy_from_slice(&64u64.to_le_bytes());
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&header).unwrap();
        file.write_all(&section).unwrap();
        assert!(symbol_values(&file, &["_PyRuntime"]).is_err());
    }
}
