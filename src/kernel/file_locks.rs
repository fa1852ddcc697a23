//! The file locks that a process holds or waits for, by descriptor, with the other side.

use super::parse::file_locks::{Entry, of_descriptor};
use super::proc_fs::{ProcFs, RelPath};
use crate::snapshot::{FileDetail, FileLock};

/// The most of `/proc/locks` that is read: some ten thousand locks.
const LOCKS_BYTES: usize = 1 << 20;
/// Descriptors of one process that are asked.
const MOST_DESCRIPTORS: usize = 4096;
/// The most of a `fdinfo` that is read.
const INFO_BYTES: usize = 1 << 16;

/// Notes the locks on each file. If there is no lock on the machine no descriptor is asked; what cannot be read has none.
pub(super) fn note(fs: &ProcFs, pid: i32, files: &mut [FileDetail]) {
    let bytes = table(fs);
    let all = entries(&bytes);
    if all.is_empty() {
        return;
    }
    let mut info = Vec::new();
    for file in files {
        let is_file = file.target.as_deref().is_ok_and(|target| target.starts_with(b"/"));
        if is_file && fs.read_lines(&RelPath::descriptor_info(pid, file.fd), INFO_BYTES, &mut info).is_ok() {
            file.locks = at(pid, &info, &all);
        }
    }
}

/// Whether a descriptor of the process belongs to an open file through which a lock of this kind is held on this file.
#[must_use]
pub fn has_lock(fs: &ProcFs, pid: i32, kind: &str, file: (&str, u64)) -> bool {
    let (mut fds, mut info) = (Vec::new(), Vec::new());
    if fs.list_fds(pid, &mut fds).is_err() {
        return false;
    }
    fds.iter().take(MOST_DESCRIPTORS).any(|fd| {
        let is_read = fs.read_lines(&RelPath::descriptor_info(pid, *fd), INFO_BYTES, &mut info).is_ok();
        is_read && of_descriptor(&info).1.any(|lock| lock.kind == kind && lock.file == file)
    })
}

/// The process that holds what tasks of `pid` wait for; `None` if it is no process, several, or unknown.
pub(super) fn holder(fs: &ProcFs, pid: i32) -> Option<i32> {
    let bytes = table(fs);
    let all = entries(&bytes);
    let mut holders = wanted_by(pid, &all).flat_map(|own| holders_of(own, &all));
    let first = holders.next()?.pid;
    // /proc/locks does not tell which of its tasks waits where.
    holders.all(|other| other.pid == first).then_some(first).flatten()
}

/// The locks of all, as text; nothing if they cannot be read.
#[must_use]
pub fn table(fs: &ProcFs) -> Vec<u8> {
    let mut bytes = Vec::new();
    match fs.read_lines(&RelPath::top("locks"), LOCKS_BYTES, &mut bytes) {
        Ok(()) => bytes,
        Err(_) => Vec::new(),
    }
}

/// The lines of the table.
#[must_use]
pub fn entries(table: &[u8]) -> Vec<Entry<'_>> {
    table.split(|b| *b == b'\n').filter_map(Entry::parse).collect()
}

/// What the process waits for.
pub fn wanted_by<'a>(pid: i32, all: &'a [Entry<'a>]) -> impl Iterator<Item = &'a Entry<'a>> {
    all.iter().filter(move |entry| entry.waits && entry.pid == Some(pid))
}

/// The locks that a waiting one waits for.
pub fn holders_of<'a>(waiting: &'a Entry<'a>, all: &'a [Entry<'a>]) -> impl Iterator<Item = &'a Entry<'a>> {
    all.iter().filter(move |other| !other.waits && other.id == waiting.id)
}

/// The locks at one descriptor.
fn at(pid: i32, info: &[u8], all: &[Entry<'_>]) -> Box<[FileLock]> {
    let (inode, held) = of_descriptor(info);
    let held = held.map(|own| {
        // By its own number in the table of all, those that wait for it are found.
        let number = all.iter().find(|other| !other.waits && other.is(&own)).map(|other| other.id);
        let waiting = all.iter().filter(|other| other.waits && Some(other.id) == number);
        lock(&own, true, waiting.filter_map(|other| other.pid).collect())
    });
    let wanted = wanted_by(pid, all).filter(|entry| inode == Some(entry.file.1));
    let wanted = wanted.map(|own| lock(own, false, holders_of(own, all).filter_map(|other| other.pid).collect()));
    held.chain(wanted).collect()
}

fn lock(entry: &Entry<'_>, held: bool, others: Vec<i32>) -> FileLock {
    FileLock { kind: entry.kind.into(), access: entry.access.into(), range: entry.range, held, others }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_a_lock_are_told() {
        let all = b"1: FLOCK  ADVISORY  WRITE 10 fe:00:5 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 11 fe:00:5 0 EOF\n\
            1: -> FLOCK  ADVISORY  READ 12 fe:00:5 0 EOF\n2: OFDLCK ADVISORY  READ -1 fe:00:6 0 9\n";
        let all: Vec<Entry<'_>> = all.split(|b| *b == b'\n').filter_map(Entry::parse).collect();
        let holder = at(10, b"ino:\t5\nlock:\t1: FLOCK  ADVISORY  WRITE 10 fe:00:5 0 EOF\n", &all);
        assert_eq!(holder.len(), 1);
        assert!(holder[0].held);
        assert_eq!(holder[0].others, [11, 12]);
        let waiter = at(12, b"ino:\t5\n", &all);
        assert!(!waiter[0].held);
        assert_eq!((&*waiter[0].access, &waiter[0].others[..]), ("READ", &[10][..]));
        let shared = at(99, b"ino:\t6\nlock:\t7: OFDLCK ADVISORY  READ -1 fe:00:6 0 9\n", &all);
        assert_eq!((&*shared[0].kind, shared[0].range), ("OFDLCK", (0, Some(9))));
        assert!(at(12, b"ino:\t7\n", &all).is_empty(), "another file");
        assert!(at(12, b"pos:\t0\n", &all).is_empty(), "a kernel that does not tell the inode");
    }
}
