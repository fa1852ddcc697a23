//! The seam between the kernel and everything else: a [`Source`] turns a [`Request`] into a [`Snapshot`].

use std::time::Duration;

use bitflags::bitflags;

use crate::snapshot::{ProcKey, Snapshot};

use super::error::ReadError;

bitflags! {
    /// What a view wants to know beyond the basics (ids, state, times, faults, virt, rss, nlwp, comm, identity).
    /// Columns, views and diagnoses OR theirs together; a source reads nothing that nobody asked for.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Needs: u32 {
        /// Every task of multi-threaded processes.
        const THREADS = 1 << 0;
        /// run_ns and run_delay_ns.
        const SCHEDSTAT = 1 << 1;
        /// Voluntary and involuntary switches.
        const SWITCHES = 1 << 2;
        /// shared_bytes.
        const STATM = 1 << 3;
        /// rss_anon/file/shmem, swap, peak.
        const STATUS = 1 << 4;
        /// Storage read and written.
        const IO = 1 << 5;
        /// PSS, USS, private dirty (expensive: walks page tables).
        const SMAPS = 1 << 6;
        /// Kernel function slept in.
        const WCHAN = 1 << 7;
        /// Number of open descriptors.
        const FDS = 1 << 8;
        /// Control group.
        const CGROUP = 1 << 9;
        /// Target of exe.
        const EXE = 1 << 10;
        /// With [`Needs::SMAPS`]: also of processes so large that reading it stalls them for a noticeable time. Only when the user
        /// asks for it.
        const SMAPS_ANY_SIZE = 1 << 11;
        /// What sleeping tasks wait for, in words.
        const WAITS = 1 << 12;
        /// CPUs it may run on.
        const AFFINITY = 1 << 13;
        /// How early the kernel would kill it for want of memory.
        const OOM = 1 << 14;
        /// Which namespaces it is in.
        const NAMESPACES = 1 << 15;
        /// Of the machine, not of its processes: what its disks have read and written.
        const DISKS = 1 << 16;
        /// Of the machine: what its network interfaces have received and sent.
        const NETWORKS = 1 << 17;
        /// Of the machine: temperatures.
        const TEMPERATURES = 1 << 18;
        /// The arguments of every process as they are now: programs change them without exec.
        const TITLES = 1 << 19;
    }
}

/// What one sweep is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Wanted of every process (what is sorted or filtered by, or summed).
    pub all: Needs,
    /// Wanted of the visible rows only (columns on screen).
    pub visible_needs: Needs,
    /// The rows on screen.
    pub visible: &'a [ProcKey],
    /// Processes whose share of memory ([`Needs::SMAPS`]) is wanted whether or not they are on screen: the selected family.
    pub family: &'a [ProcKey],
    /// Time the expensive reads of visible rows may take in this sweep; what is left over comes in the next.
    pub budget: Duration,
}

impl Request<'_> {
    /// The basics of everything.
    #[must_use]
    pub fn basic(all: Needs) -> Request<'static> {
        Request { all, visible_needs: Needs::empty(), visible: &[], family: &[], budget: Duration::from_millis(20) }
    }
}

/// Something that can tell what runs on the machine.
pub trait Source: Send {
    /// One sweep. An error is for the sweep as a whole (no `/proc`); processes that vanish or deny are not errors.
    fn sample(&mut self, request: &Request<'_>) -> Result<Snapshot, ReadError>;
}
