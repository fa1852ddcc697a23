//! Reads one process in depth for the detail pane: on its own thread, one part at a time, and only while the pane is open.

use std::collections::HashMap;
use std::path::PathBuf;

use super::error::{ReadError, reason};
use super::file_locks;
use super::groups::{Hierarchies, detail as group_detail};
use super::ledger;
use super::main_ended;
use super::overview;
use super::parse::schedstat::Schedstat;
use super::parse::stat::Stat;
use super::parse::{key_values, kibibytes};
use super::proc_fs::{ProcFs, RelPath};
use super::sockets::{Sockets, socket_inode};
use super::waits;
use crate::clock::{Clock as _, SystemClock};
use crate::snapshot::{Detail, DetailContent, DetailPart, FileDetail, Overview, ProcKey, RawBytes, StackDetail, ThreadDetail};

/// The most of any file that is read.
const MOST_BYTES: usize = 1 << 20;
/// The most tasks and descriptors that are looked at in one reading.
const MOST_ENTRIES: usize = 4096;
/// The most tasks whose stacks are looked at: each takes the kernel a walk through frames.
const MOST_STACKS: usize = 256;
/// The most tasks whose waits the overview sums up.
const MOST_WAITS: usize = 128;
/// The kernel shows 64 frames at most.
const STACK_BYTES: usize = 16 * 1024;
const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// Reads details below one `/proc`.
#[derive(Debug)]
pub struct DetailReader {
    fs: ProcFs,
    sockets: Sockets,
}

impl DetailReader {
    /// Opens a mounted process file system.
    ///
    /// # Errors
    /// As [`ProcFs::open`].
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, ReadError> {
        Ok(Self { fs: ProcFs::open(root)?, sockets: Sockets::default() })
    }

    /// For tests: opens a tree of files that looks like `/proc`.
    ///
    /// # Errors
    /// As [`ProcFs::open_tree`].
    pub fn open_tree(root: impl Into<PathBuf>) -> Result<Self, ReadError> {
        Ok(Self { fs: ProcFs::open_tree(root)?, sockets: Sockets::default() })
    }

    /// Reads one part of a process.
    ///
    /// # Errors
    /// [`ReadError::Vanished`] if it is gone or its pid belongs to another, before or after the reading.
    pub fn read(&self, key: ProcKey, part: DetailPart) -> Result<Detail, ReadError> {
        self.identify(key)?;
        let taken_ns = SystemClock.boot_ns();
        let mut cut = None;
        let face = self.face(key.pid);
        let content = match part {
            DetailPart::Overview => self.overview(key.pid, face).map(|found| DetailContent::Overview(Box::new(found))),
            DetailPart::Threads => self.threads(key.pid, &mut cut).map(DetailContent::Threads),
            DetailPart::Memory { maps } => Ok(self.memory(face, maps, &mut cut)),
            DetailPart::Files => self.descriptors(key.pid, face, &mut cut).map(DetailContent::Files),
            DetailPart::Environment => self.pieces(face, "environ", 0, &mut cut).map(DetailContent::Lines),
            DetailPart::Limits => self.pieces(face, "limits", b'\n', &mut cut).map(DetailContent::Lines),
            DetailPart::Groups => Ok(self.groups(face, &mut cut)),
            DetailPart::Stacks => self.stacks(key.pid, &mut cut).map(DetailContent::Stacks),
            DetailPart::CopyOnWrite => ledger::read(&self.fs, key.pid).map(|ledger| DetailContent::Ledger(Box::new(ledger))),
            // `inspect` reads it: what the bytes mean is no matter of the kernel's.
            DetailPart::Runtime | DetailPart::Samples => Ok(DetailContent::Nothing),
        };
        // What was read between two looks at the same process is that process's own.
        self.identify(key)?;
        let took_ns = SystemClock.boot_ns().saturating_sub(taken_ns);
        Ok(Detail { key, part, taken_ns, content: content.map_err(|error| reason(&error)), cut, took_ns, gone: false })
    }

    /// The answer instead of a reading that failed as a whole.
    #[must_use]
    pub fn failed(key: ProcKey, part: DetailPart, error: &ReadError) -> Detail {
        let gone = matches!(error, ReadError::Vanished);
        let content = Err(if gone { "the process ended before this was read".to_owned() } else { reason(error) });
        Detail { key, part, taken_ns: SystemClock.boot_ns(), content, cut: None, took_ns: 0, gone }
    }

    /// The answer instead of a reading that has not returned.
    #[must_use]
    pub fn unanswered(key: ProcKey, part: DetailPart, why: &str) -> Detail {
        Detail::new(key, part, SystemClock.boot_ns(), Err(why.to_owned()))
    }

    /// Where it reads.
    #[must_use]
    pub fn files(&self) -> &ProcFs {
        &self.fs
    }

    /// The thread whose files in `/proc` describe the process: the main thread, or a living one after its end.
    #[must_use]
    pub fn face(&self, pid: i32) -> i32 {
        main_ended::face(&self.fs, pid)
    }

    /// Makes sure that the pid is still this process's.
    ///
    /// # Errors
    /// [`ReadError::Vanished`] if it is not.
    pub fn identify(&self, key: ProcKey) -> Result<(), ReadError> {
        let stat = self.stat(&RelPath::process(key.pid, "stat"))?;
        if stat.start_ticks == key.start_ticks { Ok(()) } else { Err(ReadError::Vanished) }
    }

    /// The identity of the process that has this pid now.
    ///
    /// # Errors
    /// [`ReadError::Vanished`] if there is none.
    pub fn key_of(&self, pid: i32) -> Result<ProcKey, ReadError> {
        let stat = self.stat(&RelPath::process(pid, "stat"))?;
        Ok(ProcKey { pid, start_ticks: stat.start_ticks })
    }

    fn stat(&self, path: &RelPath) -> Result<Stat, ReadError> {
        let mut buffer = [0u8; 4096];
        let bytes = self.fs.read_once(path, &mut buffer)?;
        Stat::parse(bytes).map_err(|what| self.fs.malformed(path, what))
    }

    fn overview(&self, pid: i32, face: i32) -> Result<Overview, ReadError> {
        let mut tids = Vec::new();
        self.fs.list_tids(pid, &mut tids)?;
        tids.truncate(MOST_WAITS);
        Ok(overview::read(&self.fs, face, self.threads_among(pid, &tids)))
    }

    fn threads(&self, pid: i32, cut: &mut Cut) -> Result<Vec<ThreadDetail>, ReadError> {
        let mut tids = Vec::new();
        self.fs.list_tids(pid, &mut tids)?;
        shorten(&mut tids, MOST_ENTRIES, "threads", cut);
        Ok(self.threads_among(pid, &tids))
    }

    /// The details of the tasks of `pid` whose TIDs are given in ascending order; without those that have ended.
    #[must_use]
    pub fn threads_among(&self, pid: i32, tids: &[i32]) -> Vec<ThreadDetail> {
        let face = self.face(pid);
        let mut epolls = HashMap::new();
        let mut threads: Vec<ThreadDetail> = Vec::with_capacity(tids.len());
        let mut found = Vec::new();
        for &tid in tids {
            // One that ended since the listing is no thread any more.
            let Ok(stat) = self.stat(&RelPath::task(pid, tid, "stat")) else { continue };
            let mut buffer = [0u8; 128];
            let schedstat = self.fs.read_once(&RelPath::task(pid, tid, "schedstat"), &mut buffer);
            let run_ns = schedstat.ok().and_then(|b| Schedstat::parse(b).ok()).filter(Schedstat::is_kept).map(|s| s.run_ns);
            found.extend(waits::read_one(&self.fs, (pid, face), tid, stat.state, &mut epolls));
            let (start_ticks, comm, state) = (stat.start_ticks, stat.comm, stat.state);
            threads.push(ThreadDetail { tid, start_ticks, comm, state, run_ns, wait: None });
        }
        waits::count_same_futex(&mut found);
        for wait in found {
            if let Ok(at) = threads.binary_search_by_key(&wait.tid, |thread| thread.tid) {
                threads[at].wait = Some(wait);
            }
        }
        threads
    }

    fn memory(&self, pid: i32, maps: bool, cut: &mut Cut) -> DetailContent {
        let mut bytes = Vec::new();
        let sums = self.fs.read_all(&RelPath::process(pid, "smaps_rollup"), MOST_BYTES, &mut bytes);
        let sums = sums
            .map(|()| key_values(&bytes).filter_map(|(key, value)| Some((Box::from(key), kibibytes(value)?))).collect())
            .map_err(|error| reason(&error));
        let maps = maps.then(|| self.pieces(pid, "maps", b'\n', cut).map_err(|error| reason(&error)));
        DetailContent::Memory { sums, maps }
    }

    fn descriptors(&self, pid: i32, face: i32, cut: &mut Cut) -> Result<Vec<FileDetail>, ReadError> {
        let mut numbers = Vec::new();
        self.fs.list_fds(face, &mut numbers)?;
        shorten(&mut numbers, MOST_ENTRIES, "descriptors", cut);
        let mut files = Vec::with_capacity(numbers.len());
        for fd in numbers {
            let target = match self.fs.read_link(&RelPath::descriptor(face, fd)) {
                // Closed since the listing.
                Err(ReadError::Vanished) => continue,
                other => other.map_err(|error| reason(&error)),
            };
            files.push(FileDetail { fd, target, socket: None, locks: Box::default() });
        }
        let inode = |file: &FileDetail| file.target.as_deref().ok().and_then(socket_inode);
        let inodes: Vec<u64> = files.iter().filter_map(inode).collect();
        if !inodes.is_empty() {
            let mut words = self.sockets.describe(&self.fs, face, &inodes);
            for file in &mut files {
                file.socket = inode(file).and_then(|inode| words.remove(&inode));
            }
        }
        file_locks::note(&self.fs, pid, &mut files);
        Ok(files)
    }

    fn groups(&self, pid: i32, cut: &mut Cut) -> DetailContent {
        let cgroups = self.pieces(pid, "cgroup", b'\n', cut).map_err(|error| reason(&error));
        let of = |name: &'static str| {
            let target = self.fs.read_link(&RelPath::process(pid, &format!("ns/{name}")));
            (name, target.map_err(|error| reason(&error)))
        };
        let mounts = Hierarchies::read(&self.fs);
        let text = |lines: &Vec<RawBytes>| lines.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect::<Vec<u8>>();
        let groups = cgroups.as_ref().map_err(Clone::clone).and_then(|lines| group_detail::groups(&mounts, &text(lines)));
        DetailContent::Groups { groups, cgroups, namespaces: NAMESPACES.map(of).into() }
    }

    /// Kernel stacks of the sleeping tasks; the running ones have none to read.
    fn stacks(&self, pid: i32, cut: &mut Cut) -> Result<Vec<StackDetail>, ReadError> {
        let mut tids = Vec::new();
        self.fs.list_tids(pid, &mut tids)?;
        shorten(&mut tids, MOST_STACKS, "threads", cut);
        let mut stacks = Vec::with_capacity(tids.len());
        let mut bytes = Vec::new();
        for tid in tids {
            let Ok(stat) = self.stat(&RelPath::task(pid, tid, "stat")) else { continue };
            let frames = match self.fs.read_all(&RelPath::task(pid, tid, "stack"), STACK_BYTES, &mut bytes) {
                Ok(()) => Ok(bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(Box::from).collect()),
                Err(ReadError::Vanished) => Err(ReadError::Unsupported { what: "a task's kernel stack (CONFIG_STACKTRACE)" }),
                // The same holds for all of them: proc_pid_stack(5).
                Err(ReadError::Denied { .. }) => {
                    return Err(ReadError::Unavailable {
                        what: "the kernel stack",
                        why: "only root can read it (CAP_SYS_ADMIN): run concmon as root".to_owned(),
                    });
                }
                Err(other) => Err(other),
            };
            stacks.push(StackDetail { tid, comm: stat.comm, frames: frames.map_err(|error| reason(&error)) });
        }
        Ok(stacks)
    }

    fn pieces(&self, pid: i32, leaf: &str, divider: u8, cut: &mut Cut) -> Result<Vec<Box<[u8]>>, ReadError> {
        let mut bytes = Vec::new();
        self.fs.read_all(&RelPath::process(pid, leaf), MOST_BYTES, &mut bytes)?;
        if bytes.len() == MOST_BYTES {
            // The last one is not whole.
            bytes.truncate(bytes.iter().rposition(|b| *b == divider).unwrap_or(0));
            *cut = Some(format!("only the first {} KiB are read; there is more", MOST_BYTES / 1024).into());
        }
        Ok(bytes.split(|b| *b == divider).filter(|piece| !piece.is_empty()).map(Box::from).collect())
    }
}

/// What was left out.
type Cut = Option<Box<str>>;

/// Leaves out what is more than `most`, and says how many that are.
fn shorten(of: &mut Vec<i32>, most: usize, what: &str, cut: &mut Cut) {
    if of.len() > most {
        *cut = Some(format!("{} more {what} are not read", of.len() - most).into());
        of.truncate(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_process_is_read_part_by_part() {
        let reader = DetailReader::open("/proc").unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let start_ticks = reader.stat(&RelPath::process(pid, "stat")).unwrap().start_ticks;
        let key = ProcKey { pid, start_ticks };
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let content = |part| reader.read(key, part).unwrap().content.unwrap();
        let DetailContent::Files(files) = content(DetailPart::Files) else { panic!() };
        let ends = format!("tcp {} to {} established", client.local_addr().unwrap(), server.local_addr().unwrap());
        assert!(files.iter().any(|file| file.socket.as_deref() == Some(&*ends)), "{files:?}");
        let DetailContent::Threads(threads) = content(DetailPart::Threads) else { panic!() };
        assert!(threads.iter().any(|thread| thread.tid == pid));
        let DetailContent::Memory { sums, maps } = content(DetailPart::Memory { maps: true }) else { panic!() };
        assert!(sums.unwrap().iter().any(|(label, bytes)| **label == *b"Pss" && *bytes > 0));
        assert!(maps.unwrap().unwrap().len() > 5);
        let DetailContent::Lines(limits) = content(DetailPart::Limits) else { panic!() };
        assert!(limits.iter().any(|line| line.starts_with(b"Max open files")));
        let DetailContent::Groups { namespaces, .. } = content(DetailPart::Groups) else { panic!() };
        assert!(namespaces.iter().any(|(name, target)| *name == "pid" && target.as_ref().unwrap().starts_with(b"pid:[")));
        let other = ProcKey { start_ticks: start_ticks + 1, ..key };
        assert!(matches!(reader.read(other, DetailPart::Threads), Err(ReadError::Vanished)));
    }
}
