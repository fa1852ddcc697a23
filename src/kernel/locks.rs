//! Identifies the lock a task waits for: the futex (futex(2)) by the kernel's own key, so that waiters of one lock are found across
//! threads, and across processes that share its memory.

use std::collections::HashMap;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::parse::maps::Mapping;
use super::parse::syscall::Futex;
use super::proc_fs::{ProcFs, RelPath};
use crate::snapshot::{Lock, TaskWait};

/// The most of `maps` that is read for a futex in memory that may be shared.
const MAPS_BYTES: usize = 1 << 20;

/// The lock behind a futex. A private futex is identified by process and address alone; for any other the mapping is looked up, and
/// if that cannot be done it is not known whether others wait there too.
#[must_use]
pub fn lock_of(fs: &ProcFs, (pid, face): (i32, i32), futex: Futex) -> Option<Lock> {
    let private = Lock::Private { pid, address: futex.address };
    if futex.private {
        return Some(private);
    }
    let maps = maps(fs, face)?;
    let holds = |mapping: &Mapping<'_>| (mapping.start..mapping.end).contains(&futex.address);
    let mapping = maps.split(|b| *b == b'\n').filter_map(Mapping::parse).find(holds)?;
    if mapping.private {
        return Some(private);
    }
    let offset = mapping.offset.checked_add(futex.address - mapping.start)?;
    Some(Lock::Shared { device: mapping.device, inode: mapping.inode, offset })
}

/// The mappings of a process, from the files of this thread of it.
fn maps(fs: &ProcFs, face: i32) -> Option<Vec<u8>> {
    let mut maps = Vec::new();
    fs.read_lines(&RelPath::process(face, "maps"), MAPS_BYTES, &mut maps).ok()?;
    Some(maps)
}

/// A file by device and inode.
pub type SharedFile = ((u32, u32), u64);

/// The files that the process maps shared.
#[must_use]
pub fn shared_files(fs: &ProcFs, pid: i32) -> Vec<SharedFile> {
    let Some(maps) = maps(fs, super::main_ended::face(fs, pid)) else { return Vec::new() };
    let shared = maps.split(|b| *b == b'\n').filter_map(Mapping::parse).filter(|mapping| !mapping.private);
    let mut found: Vec<_> = shared.map(|m| (m.device, m.inode)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether a file that the process maps has a name by which any program can open it: a named semaphore (sem_overview(7)), a file. Those of
/// `multiprocessing` and loky have names that only their family knows.
#[must_use]
pub fn has_public_name(fs: &ProcFs, pid: i32, (device, inode): SharedFile) -> bool {
    let Some(maps) = maps(fs, super::main_ended::face(fs, pid)) else { return false };
    let mut mappings = maps.split(|b| *b == b'\n').filter_map(Mapping::parse);
    let Some(mapping) = mappings.find(|m| !m.private && (m.device, m.inode) == (device, inode)) else { return false };
    match mapping.name.strip_suffix(b" (deleted)") {
        // The C library makes a named semaphore under another name, which is gone.
        Some(name) if name.starts_with(SHARED_MEMORY.as_bytes()) => match name_of(fs, pid, device, inode) {
            Ok(name) => name.is_some_and(|name| is_public(&name)),
            // In a mount namespace that may not be read.
            Err(()) => true,
        },
        // Shared memory of System V with a key (IPC_PRIVATE is 0), as the kernel names it.
        Some(name) => name.strip_prefix(b"/SYSV").is_some_and(|key| key.iter().any(|digit| *digit != b'0')),
        None => mapping.name.starts_with(b"/") && is_public(mapping.name.rsplit(|b| *b == b'/').next().unwrap_or_default()),
    }
}

/// Where the C library keeps named semaphores and shared memory (shm_overview(7)).
const SHARED_MEMORY: &str = "/dev/shm/";
/// The most names there that are looked at.
const MOST_NAMES: usize = 16_384;

/// The name of a file there, as the process sees it; an error if that is not the device of the file.
fn name_of(fs: &ProcFs, pid: i32, device: (u32, u32), inode: u64) -> Result<Option<Vec<u8>>, ()> {
    let root = fs.root().join(format!("{pid}/root{SHARED_MEMORY}"));
    let is_it = |directory: &Path| {
        let of = std::fs::metadata(directory).map(|of| of.dev());
        of.is_ok_and(|of| (rustix::fs::major(of), rustix::fs::minor(of)) == device)
    };
    let directory = [PathBuf::from(SHARED_MEMORY), root].into_iter().find(|directory| is_it(directory)).ok_or(())?;
    let mut entries = std::fs::read_dir(directory).map_err(|_| ())?.take(MOST_NAMES).flatten();
    Ok(entries.find(|entry| entry.ino() == inode).map(|entry| entry.file_name().into_vec()))
}

fn is_public(name: &[u8]) -> bool {
    ![&b"sem.mp-"[..], b"sem.loky-", b"pym-"].iter().any(|begin| name.starts_with(begin))
}

/// How many of these wait at each lock in memory that processes share.
pub(super) fn shared_crowds<'a>(waits: impl IntoIterator<Item = &'a TaskWait>) -> HashMap<Lock, u32> {
    let mut crowds = HashMap::new();
    for lock in waits.into_iter().filter_map(|wait| wait.lock).filter(|lock| matches!(lock, Lock::Shared { .. })) {
        *crowds.entry(lock).or_default() += 1;
    }
    crowds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_in_shared_memory_are_the_same_wherever_they_are_mapped() {
        let root = tempfile::tempdir().unwrap();
        let maps = |pid: i32, text: &str| {
            std::fs::create_dir(root.path().join(pid.to_string())).unwrap();
            std::fs::write(root.path().join(pid.to_string()).join("maps"), text).unwrap();
        };
        maps(7, "1000-2000 rw-p 00000000 00:00 0\n7f0000-7f2000 rw-s 00001000 00:1a 55 /dev/shm/sem.a\n");
        maps(8, "aa0000-aa1000 rw-s 00002000 00:1a 55 /dev/shm/sem.a\n");
        let fs = ProcFs::open_tree(root.path()).unwrap();
        let of = |pid, address, private| lock_of(&fs, (pid, pid), Futex { address, private });
        let word = Lock::Shared { device: (0, 0x1a), inode: 55, offset: 0x2010 };
        let shared = Some(word);
        assert_eq!(of(7, 0x7f_1010, false), shared);
        assert_eq!(of(8, 0xaa_0010, false), shared, "another address, the same word");
        assert_eq!(of(7, 0x1010, false), Some(Lock::Private { pid: 7, address: 0x1010 }), "memory that nobody shares");
        assert_eq!(of(7, 0x7f_1010, true), Some(Lock::Private { pid: 7, address: 0x7f_1010 }), "as its program says");
        assert_eq!(of(7, 0x9000, false), None, "nowhere");
        assert_eq!(of(9, 0x7f_1010, false), None, "not to be read");
        let wait = |lock| TaskWait { lock, ..TaskWait::default() };
        let crowds = shared_crowds(&[wait(shared), wait(shared), wait(of(7, 0x1010, false)), wait(None)]);
        assert_eq!(crowds.into_iter().collect::<Vec<_>>(), [(word, 2)]);
    }

    #[test]
    fn only_a_name_that_others_know_is_public() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("7")).unwrap();
        let name = |inode: u64| match inode {
            1 => "/dev/shm/sem.jobs",
            2 => "/dev/shm/sem.mp-abc",
            3 => "/dev/shm/sem.jobs (deleted)",
            4 => "/memfd:jobs (deleted)",
            6 => "/SYSV000004d2 (deleted)",
            7 => "/SYSV00000000 (deleted)",
            _ => "",
        };
        let maps: String = (1..8).map(|n| format!("{n}000-{n}fff rw-s 00000000 00:1a {n} {}\n", name(n))).collect();
        std::fs::write(root.path().join("7/maps"), maps).unwrap();
        let fs = ProcFs::open_tree(root.path()).unwrap();
        let public: Vec<u64> = (1..8).filter(|n| has_public_name(&fs, 7, ((0, 0x1a), *n))).collect();
        assert_eq!(public, [1, 3, 6], "3 is of another file system than what is there to be looked at");
    }
}
