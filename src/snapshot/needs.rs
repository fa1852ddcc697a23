//! What a view wants to know of the machine: shared by the columns, meters and filters that ask and the sources that read.

use bitflags::bitflags;

bitflags! {
    /// What a view wants to know beyond the basics (ids, state, times, faults, virt, rss, nlwp, comm, identity).
    /// Columns, views and diagnoses OR theirs together; a source reads only what was asked for.
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
        /// How early the kernel would kill it when memory runs out.
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
        /// A survey: control groups, signals, what tasks sleep in. Not read by sources, but on a thread of its own.
        const SURVEY = 1 << 20;
        /// What Pythons do: their functions, GIL and event loops. Not read by the kernel's sources, but by looking into their memory.
        const PYTHON = 1 << 21;
    }
}

impl Needs {
    /// Values that a source reads only for the rows on screen, because each costs a file or more per process.
    pub const VISIBLE_ONLY: Self = Self::SMAPS
        .union(Self::IO)
        .union(Self::FDS)
        .union(Self::WCHAN)
        .union(Self::STATUS)
        .union(Self::WAITS)
        .union(Self::AFFINITY)
        .union(Self::OOM)
        .union(Self::NAMESPACES)
        .union(Self::PYTHON);
}
