//! Reads the files of one process or task, with open descriptors where the budget allows.

use std::os::fd::{AsFd, OwnedFd};

use super::entry::Gate;
use crate::kernel::error::ReadError;
use crate::kernel::parse::schedstat::Schedstat;
use crate::kernel::parse::stat::Stat;
use crate::kernel::proc_fs::{ProcFs, RelPath};
use crate::snapshot::State;

/// How many descriptors may be kept, and how many are.
#[derive(Debug, Clone, Copy, Default)]
pub struct DescriptorBudget {
    /// At most this many.
    pub limit: usize,
    /// Kept now.
    pub used: usize,
    /// Reads in this sweep that would have kept a descriptor but might not.
    pub refused: usize,
    /// What the rest of the program was found to hold, if that is more than [`DescriptorBudget::RESERVE`].
    others: usize,
    /// Of the process.
    total: usize,
}

impl DescriptorBudget {
    /// Left alone for the rest of the program: terminal, runtime, sockets, pidfds, and the opens of a moment.
    const RESERVE: usize = 64;

    /// Sets the limit from that of the process.
    pub fn set_limit(&mut self, descriptor_limit: u64) {
        self.total = usize::try_from(descriptor_limit).unwrap_or(usize::MAX);
        self.limit = self.total.saturating_sub(self.others.max(Self::RESERVE));
        self.refused = 0;
    }

    /// There was no descriptor left although the limit was not reached: the rest of the program holds more than was left for it.
    pub fn step_back(&mut self) {
        self.limit = self.limit.min(self.used.saturating_sub(Self::RESERVE));
        self.others = self.total.saturating_sub(self.limit);
    }

    fn keep(&mut self, file: OwnedFd) -> Option<OwnedFd> {
        if self.used < self.limit {
            self.used += 1;
            Some(file)
        } else {
            self.refused += 1;
            None
        }
    }
}

/// What a task's gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Motion {
    /// It has not been given a CPU since the last reading.
    Still,
    /// It has run, or this is the first reading.
    Moved,
    /// The kernel does not tell: the file is absent or all zero.
    Unknown,
}

/// The file reader of one sweep.
#[derive(Debug)]
pub struct Reader {
    /// The tree.
    pub fs: ProcFs,
    /// Descriptors that may be kept.
    pub budget: DescriptorBudget,
    buffer: Box<[u8; 4096]>,
    long: Vec<u8>,
}

impl Reader {
    /// Reads below `fs`.
    #[must_use]
    pub fn new(fs: ProcFs) -> Self {
        Self { fs, budget: DescriptorBudget::default(), buffer: Box::new([0; 4096]), long: Vec::new() }
    }

    /// Reads a `schedstat` through its gate.
    ///
    /// # Errors
    /// [`ReadError::Vanished`] if the task is gone, also when its number was given to another one.
    pub fn gate(&mut self, gate: &mut Gate, path: &RelPath) -> Result<Motion, ReadError> {
        let bytes = match &gate.file {
            Some(file) => self.fs.reread(file.as_fd(), path, &mut self.buffer[..])?,
            None => {
                let file = self.fs.open_file(path)?;
                let bytes = self.fs.reread(file.as_fd(), path, &mut self.buffer[..])?;
                gate.file = self.budget.keep(file);
                bytes
            }
        };
        let now = Schedstat::parse(bytes).map_err(|what| self.fs.malformed(path, what))?;
        let before = gate.last.replace(now);
        if !now.is_kept() {
            gate.last = None;
            return Ok(Motion::Unknown);
        }
        Ok(if before == Some(now) { Motion::Still } else { Motion::Moved })
    }

    /// Reads a `stat`; `kept` is used and filled if `keep`.
    ///
    /// # Errors
    /// [`ReadError::Vanished`] if the task is gone; malformed content; the operating system's errors.
    pub fn stat(&mut self, kept: &mut Option<OwnedFd>, keep: bool, path: &RelPath) -> Result<Stat, ReadError> {
        let bytes = match kept {
            Some(file) => self.fs.reread(file.as_fd(), path, &mut self.buffer[..])?,
            None => {
                let file = self.fs.open_file(path)?;
                let bytes = self.fs.reread(file.as_fd(), path, &mut self.buffer[..])?;
                if keep {
                    *kept = self.budget.keep(file);
                }
                bytes
            }
        };
        Stat::parse(bytes).map_err(|what| self.fs.malformed(path, what))
    }

    /// Reads a file that the kernel bounds.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn small(&mut self, path: &RelPath) -> Result<&[u8], ReadError> {
        self.fs.read_once(path, &mut self.buffer[..])
    }

    /// Reads a file whole, of any length.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn whole(&mut self, path: &RelPath) -> Result<&[u8], ReadError> {
        self.fs.read_whole(path, &mut self.long)
    }
}

/// Whether a task in `state` stays in it until it is given a CPU again. A runnable one changes CPU times at any moment.
#[must_use]
pub fn is_settled(state: State) -> bool {
    state != State::RUNNING
}
