//! Finds the holder of the other end of a pipe: descriptors with the same number (`pipe:[N]`), read in small steps, only while a visible
//! row waits for a pipe. Processes that concmon may not read are not found.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::main_ended;
use super::parse::namespace;
use super::proc_fs::{ProcFs, RelPath};
use super::sockets::socket_inode;
use crate::snapshot::{Direction, PipeEnd, PipePeer};

/// The part of the time for expensive values that gathering may take of a sweep: one twentieth.
const SHARE: u32 = 20;
/// For so long no new pass is begun after a whole one.
const RENEW: Duration = Duration::from_secs(5);
/// The most descriptors of one process that are looked at.
const MOST_FDS: usize = 1024;
/// The most ends that are remembered.
const MOST_ENDS: usize = 64 * 1024;

#[derive(Debug, Clone, Copy)]
struct End {
    pid: i32,
    /// The thread whose descriptors are the process's.
    face: i32,
    fd: i32,
    reads: bool,
    writes: bool,
}

/// Which processes hold which pipe, as far as known.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    /// Of the last whole pass.
    ends: HashMap<u64, Vec<End>>,
    /// Of the pass under way.
    next: HashMap<u64, Vec<End>>,
    gathered: usize,
    /// Pids yet to be looked at, the next one last.
    pids: Vec<i32>,
    numbers: Vec<i32>,
    complete: Option<Instant>,
}

impl Pipes {
    /// The holder of the other end of `pipe`, at which a task of `pid` waits. It is checked that the named process holds it now.
    pub(super) fn peer(&self, fs: &ProcFs, pid: i32, pipe: PipeEnd) -> Option<PipePeer> {
        let is_other_end = |end: &&End| if pipe.direction == Direction::Read { end.writes } else { end.reads };
        let ends = self.ends.get(&pipe.inode).or_else(|| self.next.get(&pipe.inode))?;
        let mut pids: Vec<i32> =
            ends.iter().filter(is_other_end).filter(|end| holds(fs, **end, pipe.inode)).map(|end| end.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        let others: Vec<i32> = pids.iter().copied().filter(|holder| *holder != pid).collect();
        match others.first() {
            Some(first) => Some(PipePeer::Process { pid: *first, more: u32::try_from(others.len() - 1).unwrap_or(u32::MAX) }),
            // Only once all were looked at is it certain that no other process holds it.
            None if pids == [pid] && self.ends.contains_key(&pipe.inode) => Some(PipePeer::Itself),
            None => None,
        }
    }

    /// Goes on gathering: what is left of a pass, or a new one if the last is old. Whether anything was looked at.
    pub(super) fn gather(&mut self, fs: &ProcFs, budget: Duration) -> bool {
        if self.pids.is_empty() {
            if self.complete.is_some_and(|complete| complete.elapsed() < RENEW) || fs.list_pids(&mut self.pids).is_err() {
                return false;
            }
            self.pids.reverse();
            self.next.clear();
            self.gathered = 0;
        }
        let deadline = Instant::now() + budget / SHARE;
        while let Some(pid) = self.pids.pop() {
            self.look_at(fs, pid);
            if Instant::now() >= deadline {
                break;
            }
        }
        if self.pids.is_empty() {
            self.ends = std::mem::take(&mut self.next);
            self.complete = Some(Instant::now());
        }
        true
    }

    fn look_at(&mut self, fs: &ProcFs, pid: i32) {
        if fs.list_fds(pid, &mut self.numbers).is_err() {
            return;
        }
        let face = if self.numbers.is_empty() { main_ended::face(fs, pid) } else { pid };
        if face != pid && fs.list_fds(face, &mut self.numbers).is_err() {
            return;
        }
        for fd in self.numbers.iter().copied().take(MOST_FDS) {
            let Some(inode) = pipe_inode(fs, face, fd) else { continue };
            if self.gathered >= MOST_ENDS {
                return;
            }
            if let Ok((reads, writes)) = fs.descriptor_mode(face, fd) {
                self.next.entry(inode).or_default().push(End { pid, face, fd, reads, writes });
                self.gathered += 1;
            }
        }
    }
}

/// The pipes and sockets that a process has open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenEnds {
    /// Inode, whether it reads, whether it writes.
    pub pipes: Vec<(u64, bool, bool)>,
    /// Inodes.
    pub sockets: Vec<u64>,
}

/// The pipes and sockets that a process has open; none if its descriptors may not be read.
#[must_use]
pub fn ends_of(fs: &ProcFs, pid: i32) -> OpenEnds {
    let face = main_ended::face(fs, pid);
    let mut numbers = Vec::new();
    if fs.list_fds(face, &mut numbers).is_err() {
        return OpenEnds::default();
    }
    let mut ends = OpenEnds::default();
    for fd in numbers {
        let Ok(target) = fs.read_link(&RelPath::descriptor(face, fd)) else { continue };
        if let Some(inode) = socket_inode(&target) {
            ends.sockets.push(inode);
        } else if let Some(inode) = namespace::inode(&target, "pipe") {
            // A descriptor that has just been closed is no end any more.
            ends.pipes.extend(fs.descriptor_mode(face, fd).ok().map(|(reads, writes)| (inode, reads, writes)));
        }
    }
    ends
}

/// The number of the pipe that a descriptor leads to.
#[must_use]
pub fn pipe_inode(fs: &ProcFs, pid: i32, fd: i32) -> Option<u64> {
    namespace::inode(&fs.read_link(&RelPath::descriptor(pid, fd)).ok()?, "pipe")
}

fn holds(fs: &ProcFs, end: End, inode: u64) -> bool {
    pipe_inode(fs, end.face, end.fd) == Some(inode)
}
