//! Reduces what the kernel copies when a process of the lab forks.
//!
//! Data that the loader relocates and then makes read-only (`PT_GNU_RELRO`, ld(1) `-z relro`) is modified private memory: fork(2)
//! copies the table entry of each of its pages, near a hundred in a program of this size. It is not written again, so a shared mapping of the
//! same bytes replaces it, which fork does not copy: children fault it in when they read it.
#![expect(unsafe_code, reason = "dl_iterate_phdr(3); mmap(2) over the process's own read-only data")]

use std::io::Write;
use std::os::fd::AsFd;
use std::os::raw::{c_int, c_void};

use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags};

/// Addresses, whole pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: usize,
    bytes: usize,
}

/// The part of a segment that the loader has made read-only: it protects whole pages only, so the page that the end lies in stays writable.
fn whole_pages(start: usize, bytes: usize, page: usize) -> Option<Span> {
    let (first, end) = (start - start % page, (start + bytes) - (start + bytes) % page);
    (end > first).then_some(Span { start: first, bytes: end - first })
}

extern "C" fn collect(info: *mut libc::dl_phdr_info, _size: libc::size_t, spans: *mut c_void) -> c_int {
    let page = usize::try_from(nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(0)).unwrap_or(0);
    if page == 0 {
        return 1;
    }
    // SAFETY: dl_iterate_phdr gives a description that is valid for this call, and passes on the pointer to the vector of `relro_spans`.
    let (headers, base, spans) = unsafe {
        let info = &*info;
        (
            std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)),
            info.dlpi_addr as usize,
            &mut *spans.cast::<Vec<Span>>(),
        )
    };
    let relro = headers.iter().filter(|header| header.p_type == libc::PT_GNU_RELRO);
    spans.extend(relro.filter_map(|h| whole_pages(base + h.p_vaddr as usize, h.p_memsz as usize, page)));
    0
}

/// Where this process's relocated read-only data lies, of the program and of each library.
fn relro_spans() -> Vec<Span> {
    let mut spans = Vec::new();
    // SAFETY: the callback is given the vector that outlives the call, and no other code uses it meanwhile.
    unsafe { libc::dl_iterate_phdr(Some(collect), std::ptr::from_mut(&mut spans).cast()) };
    spans
}

/// Backs the relocated read-only data of this process by shared memory. Only called while the process has one thread. What cannot be
/// replaced stays as it was: everything works anyway, and a fork costs a few microseconds more.
pub fn share_relocated() {
    let spans = relro_spans();
    let Ok(fd) = nix::sys::memfd::memfd_create(c"concmon-relro", nix::sys::memfd::MFdFlags::MFD_CLOEXEC) else { return };
    let mut file = std::fs::File::from(fd);
    let mut offset: libc::off_t = 0;
    for span in spans {
        // SAFETY: the loader has made these pages readable, they stay mapped until the process ends, and no code writes to them.
        let bytes = unsafe { std::slice::from_raw_parts(span.start as *const u8, span.bytes) };
        if file.write_all(bytes).is_err() {
            return;
        }
        let (Some(address), Some(length)) = (std::num::NonZeroUsize::new(span.start), std::num::NonZeroUsize::new(span.bytes))
        else {
            return;
        };
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED | MapFlags::MAP_POPULATE;
        // SAFETY: a mapping of the same bytes with the same protection takes the pages' place in one step, and no other thread exists.
        if unsafe { nix::sys::mman::mmap(Some(address), length, ProtFlags::PROT_READ, flags, file.as_fd(), offset) }.is_err() {
            return;
        }
        let Ok(bytes) = libc::off_t::try_from(span.bytes) else { return };
        offset += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_what_the_loader_protects_of_it() {
        assert_eq!(whole_pages(0x1948, 0x58000 - 0x948, 0x1000), Some(Span { start: 0x1000, bytes: 0x58000 }));
        assert_eq!(
            whole_pages(0x1000, 0x1800, 0x1000),
            Some(Span { start: 0x1000, bytes: 0x1000 }),
            "its last page stays writable"
        );
        assert_eq!(whole_pages(0x1000, 0x800, 0x1000), None);
        assert_eq!(whole_pages(0x1000, 0, 0x1000), None);
    }

    #[test]
    fn the_program_and_its_libraries_have_relocated_data_and_it_is_read_only() {
        let spans = relro_spans();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let protection = |address: usize| {
            let line = maps.lines().find(|line| {
                let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
                (usize::from_str_radix(start, 16).unwrap()..usize::from_str_radix(end, 16).unwrap()).contains(&address)
            });
            line.unwrap().split(' ').nth(1).unwrap()
        };
        assert!(spans.len() >= 2, "the program and the C library: {spans:?}");
        for span in spans {
            assert_eq!(protection(span.start), "r--p", "{span:x?}");
            assert_eq!(protection(span.start + span.bytes - 1), "r--p", "{span:x?}");
        }
    }
}
