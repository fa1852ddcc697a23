//! The copy-on-write ledger: the pages that forked children share with their parent, from the page tables of both.
//!
//! After fork(2) the child maps every private page of the parent. The first of the two that writes to a page gets its own copy. Both copies
//! are then mapped by one process only, which `pagemap` shows without privileges (bit 56). With `CAP_SYS_ADMIN`, page frames are compared
//! instead. Without it, a page that two siblings share after the parent has written to its own is recognised because the parent's page is
//! exclusive.
//!
//! Memory that was read before any process wrote to it is mapped to one page of zeros that belongs to the kernel (`KPF_ZERO_PAGE` of
//! `/proc/kpageflags`, or the frame that such memory of this process has). Without frames it is inferred: the parent has no page there.
//! What page tables cannot tell: whether a page that each side has for itself was copied, or allocated by both since the fork.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use super::error::ReadError;
use super::error::reason;
use super::main_ended;
use super::parse::maps::Mapping;
use super::parse::pagemap::{ENTRY_BYTES, Page};
use super::parse::smaps::SmapsRollup;
use super::parse::stat::Stat;
use super::parse::unsigned;
use super::proc_fs::{ProcFs, RelPath};
use crate::snapshot::{Comm, Ledger, LedgerChild, LedgerMapping, LedgerReading, PageCounts, ProcKey};

/// The longest that one reading of a family may take; a page of both sides takes about 0.1 us.
const PATIENCE: Duration = Duration::from_millis(400);
/// The most children that are looked at.
const MOST_CHILDREN: usize = 256;
/// Entries read at a time: half a megabyte of either side.
const CHUNK: usize = 65_536;
/// The most of `maps` that is read.
const MOST_BYTES: usize = 4 << 20;

/// Reads the ledger of all children of `parent`.
///
/// # Errors
/// If the parent's page table may not be read, or the kernel does not list children.
pub fn read(fs: &ProcFs, parent: i32) -> Result<Ledger, ReadError> {
    let end = Instant::now() + PATIENCE;
    let mut pids = children(fs, parent)?;
    let more = pids.len().saturating_sub(MOST_CHILDREN);
    pids.truncate(MOST_CHILDREN);
    let table = fs.open_file(&RelPath::process(main_ended::face(fs, parent), "pagemap"))?;
    let page_bytes = rustix::param::page_size() as u64;
    let mut comparison = Comparison {
        fs,
        parent: table.as_fd(),
        page_bytes,
        deadline: end,
        ours: Vec::new(),
        theirs: Vec::new(),
        zeros: Zeros::new(fs, page_bytes),
    };
    let mut children = Vec::with_capacity(pids.len());
    for (left, pid) in (1u32..=u32::try_from(pids.len()).unwrap_or(u32::MAX)).rev().zip(pids) {
        // An equal share of what is left: a child with much memory does not take the others' time.
        let now = Instant::now();
        comparison.deadline = now + end.saturating_duration_since(now) / left;
        children.extend(comparison.child(pid));
    }
    Ok(Ledger { page_bytes, children, more })
}

/// The children of all its tasks, ascending (`/proc/PID/task/TID/children`, `CONFIG_PROC_CHILDREN`).
fn children(fs: &ProcFs, parent: i32) -> Result<Vec<i32>, ReadError> {
    let mut tids = Vec::new();
    fs.list_tids(parent, &mut tids)?;
    let mut pids = Vec::new();
    let mut bytes = Vec::new();
    let mut readable = false;
    for tid in tids {
        match fs.read_all(&RelPath::task(parent, tid, "children"), MOST_BYTES, &mut bytes) {
            Ok(()) => readable = true,
            // A task that ended meanwhile has none, and a kernel without the file has it for no task.
            Err(ReadError::Vanished) => continue,
            Err(other) => return Err(other),
        }
        let numbers = bytes.split(|b| b.is_ascii_whitespace()).filter_map(unsigned);
        pids.extend(numbers.filter_map(|number| i32::try_from(number).ok()));
    }
    if !readable {
        return Err(ReadError::Unsupported { what: "the list of children (/proc/PID/task/TID/children)" });
    }
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

/// Both page tables side by side.
struct Comparison<'a> {
    fs: &'a ProcFs,
    parent: BorrowedFd<'a>,
    page_bytes: u64,
    deadline: Instant,
    ours: Vec<u8>,
    theirs: Vec<u8>,
    zeros: Zeros,
}

/// Which page frames are the kernel's pages of zeros; of use only to readers that see frames.
struct Zeros {
    /// The small one.
    small: Option<u64>,
    /// `/proc/kpageflags`: 64 bits for each frame (Documentation/admin-guide/mm/pagemap.rst).
    flags: Option<OwnedFd>,
    /// Blocks of 512 frames, and whether each is the huge one.
    blocks: HashMap<u64, bool>,
}

impl Zeros {
    const KPF_ZERO_PAGE: u64 = 1 << 24;
    /// Frames of a huge page of 2 MiB.
    const BLOCK: u64 = 512;

    fn new(fs: &ProcFs, page_bytes: u64) -> Self {
        // Memory that is never written, less than a huge page: the kernel maps its page of zeros where it is read. An allocator might give
        // memory that was in use before.
        static NEVER_WRITTEN: [AtomicU8; 1 << 16] = [const { AtomicU8::new(0) }; 1 << 16];
        let middle = &raw const NEVER_WRITTEN[1 << 15];
        std::hint::black_box(NEVER_WRITTEN[1 << 15].load(Ordering::Relaxed));
        let mut entry = Vec::new();
        let table = fs.open_file(&RelPath::top("self/pagemap")).ok();
        let read = table.and_then(|table| entries(table.as_fd(), middle as u64 / page_bytes, 1, &mut entry).ok());
        let page = read.and_then(|_| Page::all(&entry).next()).filter(|page| !page.exclusive());
        Self { small: page.and_then(Page::frame), flags: fs.open_file(&RelPath::top("kpageflags")).ok(), blocks: HashMap::new() }
    }

    fn has(&mut self, page: Page) -> bool {
        let Some(frame) = page.frame().filter(|_| !page.exclusive() && !page.file_or_shared()) else { return false };
        if Some(frame) == self.small {
            return true;
        }
        let Some(flags) = &self.flags else { return false };
        let block = frame / Self::BLOCK;
        *self.blocks.entry(block).or_insert_with(|| {
            let mut word = [0; 8];
            let read = rustix::io::pread(flags, &mut word, block * Self::BLOCK * 8);
            read == Ok(8) && u64::from_ne_bytes(word) & Self::KPF_ZERO_PAGE != 0
        })
    }
}

impl Comparison<'_> {
    /// One child; `None` if it is no longer there.
    fn child(&mut self, pid: i32) -> Option<LedgerChild> {
        let (start_ticks, comm) = self.identity(pid)?;
        let reading = match self.reading(pid) {
            Err(ReadError::Vanished) => return None,
            other => other.map_err(|error| reason(&error)),
        };
        // What was read between two looks at the same process is that process's own.
        let key = ProcKey { pid, start_ticks };
        self.identity(pid).filter(|(again, _)| *again == start_ticks).map(|_| LedgerChild { key, comm, reading })
    }

    fn identity(&self, pid: i32) -> Option<(u64, Comm)> {
        let mut buffer = [0u8; 4096];
        let stat = Stat::parse(self.fs.read_once(&RelPath::process(pid, "stat"), &mut buffer).ok()?).ok()?;
        Some((stat.start_ticks, stat.comm))
    }

    fn reading(&mut self, pid: i32) -> Result<LedgerReading, ReadError> {
        let mut text = Vec::new();
        let pid = main_ended::face(self.fs, pid);
        self.fs.read_lines(&RelPath::process(pid, "maps"), MOST_BYTES, &mut text)?;
        let table = self.fs.open_file(&RelPath::process(pid, "pagemap"))?;
        let mut reading = LedgerReading {
            counts: PageCounts::default(),
            mappings: Vec::new(),
            doubtful: 0,
            exact: true,
            cut: false,
            pss_bytes: None,
            uss_bytes: None,
        };
        for mapping in text.split(|b| *b == b'\n').filter_map(Mapping::parse) {
            // What is shared by design has no copies, and what the kernel lends ([vdso], [vvar]) belongs to no process.
            if !mapping.private || mapping.name.starts_with(b"[v") {
                continue;
            }
            let (counts, strip) = self.mapping(table.as_fd(), &mapping, &mut reading)?;
            reading.counts.add(&counts);
            if counts.inherited() > 0 {
                let (start, end, name) = (mapping.start, mapping.end, mapping.name.into());
                let mapping = LedgerMapping { start, end, name, counts, strip };
                reading.doubtful += mapping.doubtful();
                reading.mappings.push(mapping);
            }
        }
        reading.mappings.sort_by_key(|m| std::cmp::Reverse((m.counts.copied + m.counts.elsewhere, m.counts.shared)));
        reading.mappings.truncate(LedgerReading::MAPPINGS);
        let mut sums = Vec::new();
        if let Ok(bytes) = self.fs.read_whole(&RelPath::process(pid, "smaps_rollup"), &mut sums) {
            let sums = SmapsRollup::parse(bytes);
            (reading.pss_bytes, reading.uss_bytes) = (sums.pss_bytes, sums.uss_bytes());
        }
        Ok(reading)
    }

    /// The pages of one mapping; says in `reading` if time runs out, or if frames cannot be seen.
    fn mapping(
        &mut self,
        table: BorrowedFd<'_>,
        mapping: &Mapping<'_>,
        reading: &mut LedgerReading,
    ) -> Result<(PageCounts, Vec<(u32, u32)>), ReadError> {
        let (first, end) = (mapping.start / self.page_bytes, mapping.end / self.page_bytes);
        let piece = (end - first).div_ceil(LedgerReading::PIECES).max(1);
        let mut strip = vec![(0u32, 0u32); usize::try_from((end - first).div_ceil(piece)).unwrap_or(0)];
        let mut counts = PageCounts::default();
        let mut at = first;
        while at < end {
            if Instant::now() >= self.deadline {
                reading.cut = true;
                break;
            }
            let wanted = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            let got = entries(table, at, wanted, &mut self.theirs)?;
            if got == 0 {
                break;
            }
            // Where the parent maps nothing its table holds zeros, or ends.
            let known = entries(self.parent, at, got, &mut self.ours)?;
            self.ours.resize(got * ENTRY_BYTES, 0);
            self.ours[known * ENTRY_BYTES..].fill(0);
            for (page, (child, parent)) in (at..).zip(Page::all(&self.theirs[..got * ENTRY_BYTES]).zip(Page::all(&self.ours))) {
                reading.exact &= !child.present() || child.frame().is_some();
                let before = counts;
                if self.zeros.has(child) {
                    counts.zero += 1;
                } else {
                    tally(child, parent, &mut counts);
                }
                if let Some(cell) = strip.get_mut(usize::try_from((page - first) / piece).unwrap_or(usize::MAX)) {
                    cell.0 += u32::from(counts.inherited() != before.inherited());
                    cell.1 += u32::from(counts.copied + counts.elsewhere != before.copied + before.elsewhere);
                }
            }
            at += got as u64;
        }
        Ok((counts, strip))
    }
}

/// Counts one page of the child by what the parent has at the same address.
fn tally(child: Page, parent: Page, counts: &mut PageCounts) {
    let parents = parent.present() || parent.swapped();
    match child {
        child if child.swapped() => counts.swapped += 1,
        // Absent, or a page of a file that no process has written to.
        child if !child.present() || child.file_or_shared() => {}
        child if child.frame().is_some() && child.frame() == parent.frame() => counts.shared += 1,
        child if child.exclusive() && parents => counts.copied += 1,
        child if child.exclusive() => counts.new += 1,
        // Not the child's alone, and the parent has nothing there: shared with children of its own, where frames tell that it is no
        // page of zeros; otherwise most likely that.
        child if !parents && child.frame().is_some() => counts.new += 1,
        _ if !parents => counts.zero += 1,
        child if child.frame().is_some() || parent.exclusive() || parent.file_or_shared() => counts.elsewhere += 1,
        _ => counts.shared += 1,
    }
}

/// Reads entries from page `first` on into `buffer`; how many there were.
fn entries(table: BorrowedFd<'_>, first: u64, wanted: usize, buffer: &mut Vec<u8>) -> Result<usize, ReadError> {
    buffer.resize(wanted * ENTRY_BYTES, 0);
    let mut have = 0;
    while have < buffer.len() {
        let offset = first * ENTRY_BYTES as u64 + have as u64;
        match rustix::io::pread(table, &mut buffer[have..], offset) {
            Ok(0) => break,
            Ok(length) => have += length,
            Err(rustix::io::Errno::INTR) => {}
            // Its memory is gone: it has ended or is becoming another program.
            Err(rustix::io::Errno::SRCH) => return Err(ReadError::Vanished),
            Err(errno) => return Err(ReadError::Io { path: "pagemap".into(), source: errno.into() }),
        }
    }
    Ok(have / ENTRY_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRESENT: u64 = 1 << 63;
    const FILE: u64 = 1 << 61;
    const EXCLUSIVE: u64 = 1 << 56;

    fn count(child: u64, parent: u64) -> PageCounts {
        let mut counts = PageCounts::default();
        tally(Page(child), Page(parent), &mut counts);
        counts
    }

    #[test]
    fn pages_are_told_apart_by_both_sides() {
        let none = PageCounts::default();
        assert_eq!(count(PRESENT, PRESENT), PageCounts { shared: 1, ..none });
        assert_eq!(count(PRESENT | EXCLUSIVE, PRESENT | EXCLUSIVE), PageCounts { copied: 1, ..none });
        assert_eq!(
            count(PRESENT, PRESENT | EXCLUSIVE),
            PageCounts { elsewhere: 1, ..none },
            "siblings share what the parent left"
        );
        assert_eq!(count(PRESENT | EXCLUSIVE, 0), PageCounts { new: 1, ..none });
        assert_eq!(count(1 << 62, PRESENT), PageCounts { swapped: 1, ..none });
        assert_eq!(count(PRESENT | FILE, PRESENT | FILE), none, "the page cache is nobody's copy");
        assert_eq!(count(PRESENT | EXCLUSIVE, PRESENT | FILE), PageCounts { copied: 1, ..none }, "a page of a file, written to");
        assert_eq!(count(0, PRESENT), none);
        assert_eq!(count(PRESENT, 0), PageCounts { zero: 1, ..none }, "read, never written, and the parent has nothing there");
    }

    #[test]
    fn frames_decide_where_they_can_be_seen() {
        let none = PageCounts::default();
        assert_eq!(count(PRESENT | 7, PRESENT | 7), PageCounts { shared: 1, ..none });
        assert_eq!(count(PRESENT | 7, PRESENT | 8), PageCounts { elsewhere: 1, ..none }, "both are shared, with others");
        assert_eq!(count(PRESENT | EXCLUSIVE | 7, PRESENT | 7), PageCounts { shared: 1, ..none }, "one frame is one page");
        assert_eq!(count(PRESENT | 7, 0), PageCounts { new: 1, ..none }, "shared with its own children");
    }

    #[test]
    fn the_page_of_zeros_is_known_whatever_the_heap_has_been_used_for() {
        let fs = ProcFs::open("/proc").unwrap();
        let page_bytes = rustix::param::page_size() as u64;
        let sees_frames = || {
            let (memory, mut entry) = (vec![1u8; 4096], Vec::new());
            let table = fs.open_file(&RelPath::top("self/pagemap")).ok()?;
            entries(table.as_fd(), memory.as_ptr() as u64 / page_bytes, 1, &mut entry).ok()?;
            Page::all(&entry).next()?.frame()
        };
        if sees_frames().is_none() {
            return;
        }
        // Freed large blocks make the allocator keep the next ones in its heap, and what was written there stays.
        drop(vec![0u8; 16 << 20]);
        drop(std::hint::black_box((0..8).map(|_| vec![1u8; 1 << 20]).collect::<Vec<_>>()));
        assert!(Zeros::new(&fs, page_bytes).small.is_some());
    }
}
