//! Whose PIDs a `/proc` shows. System calls take PIDs of concmon's own PID namespace; a mounted `/proc` shows those of the namespace that
//! it was mounted for (pid_namespaces(7)). The two differ after `nsenter --mount` into a container, or after `unshare --pid` without
//! `--mount-proc`: then one number means two processes.

use super::error::ReadError;
use super::parse::namespace;
use super::parse::pid_numbers::namespace_pids;
use super::proc_fs::{ProcFs, RelPath};

/// The most of `status` that is read: 65,536 groups and what follows them.
pub(super) const STATUS_BYTES: usize = 1 << 20;
/// The number of the namespace that the system starts in (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
const INITIAL: u64 = 0xEFFF_FFFC;

/// How the PIDs of one `/proc` relate to those of concmon's own namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PidSpace {
    /// They are the same.
    #[default]
    Own,
    /// They are those of a namespace around concmon's own: concmon is seen there under another number.
    Outer {
        /// concmon's PID there.
        me: i32,
        /// How many namespaces lie between, concmon's own included.
        depth: usize,
    },
    /// They are those of a namespace that concmon is not seen in.
    Foreign,
}

impl PidSpace {
    /// How the PIDs of the `/proc` that is mounted here relate to concmon's own.
    ///
    /// # Errors
    /// As [`ProcFs::open`] and [`PidSpace::of`].
    pub fn mounted() -> Result<Self, ReadError> {
        Self::of(&ProcFs::open("/proc")?)
    }

    /// Compares them, by what this `/proc` says of concmon itself.
    ///
    /// # Errors
    /// If concmon is there but its `status` cannot be read.
    pub fn of(fs: &ProcFs) -> Result<Self, ReadError> {
        let me = match fs.read_link(&RelPath::top("self")) {
            Ok(link) => super::parse::unsigned(&link).and_then(|pid| i32::try_from(pid).ok()),
            Err(ReadError::Vanished) => return Ok(Self::Foreign),
            Err(error) => return Err(error),
        };
        let Some(me) = me else { return Ok(Self::Foreign) };
        let mut status = Vec::new();
        fs.read_all(&RelPath::process(me, "status"), STATUS_BYTES, &mut status)?;
        Ok(Self::from(me, namespace_pids(&status).as_deref(), std::process::id()))
    }

    /// `me` is what `/proc/self` leads to, `numbers` concmon's `NSpid`, `own` its PID as the system calls have it. Two equal numbers alone
    /// prove nothing: those of two namespaces may be equal by chance.
    fn from(me: i32, numbers: Option<&[i32]>, own: u32) -> Self {
        let same = u32::try_from(me) == Ok(own);
        match numbers {
            // Without PID namespaces there is one numbering.
            None | Some([_]) if same => Self::Own,
            None | Some([] | [_]) => Self::Foreign,
            Some([.., _]) => Self::Outer { me, depth: numbers.map_or(0, <[i32]>::len) - 1 },
        }
    }

    /// concmon's own PID in that `/proc`; `None` if it is not seen there.
    #[must_use]
    pub fn myself(self) -> Option<i32> {
        match self {
            Self::Own => i32::try_from(std::process::id()).ok(),
            Self::Outer { me, .. } => Some(me),
            Self::Foreign => None,
        }
    }

    /// Why PIDs of that `/proc` must not be given to system calls, and what to do; `None` if they may. Fits a line of 80 cells.
    #[must_use]
    pub fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Own => None,
            Self::Outer { .. } => Some("this /proc is of an outer PID namespace; run: unshare --mount-proc concmon"),
            Self::Foreign => Some("this /proc is of another PID namespace; run: nsenter -t PID -m -p concmon"),
        }
    }

    /// Whether the numbers of `status` (a process of that `/proc`) make it the init of concmon's own namespace, given that it is in there.
    pub(super) fn is_own_init(self, status: &[u8]) -> bool {
        let depth = match self {
            Self::Own => 0,
            Self::Outer { depth, .. } => depth,
            Self::Foreign => return false,
        };
        namespace_pids(status).is_some_and(|numbers| numbers.get(depth) == Some(&1))
    }
}

/// Whether concmon runs in the namespace that the system starts in: BPF reports that namespace's PIDs.
pub(super) fn is_initial(fs: &ProcFs) -> bool {
    let target = fs.read_link(&RelPath::top("self/ns/pid"));
    target.is_ok_and(|target| namespace::inode(&target, "pid") == Some(INITIAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_of_two_namespaces_are_not_taken_for_one() {
        assert_eq!(PidSpace::from(77, Some(&[77]), 77), PidSpace::Own);
        assert_eq!(PidSpace::from(77, None, 77), PidSpace::Own);
        assert_eq!(PidSpace::from(77, Some(&[77, 5]), 5), PidSpace::Outer { me: 77, depth: 1 });
        assert_eq!(PidSpace::from(77, Some(&[77, 3, 77]), 77), PidSpace::Outer { me: 77, depth: 2 }, "equal by chance");
        assert_eq!(PidSpace::from(77, None, 5), PidSpace::Foreign);
        assert_eq!(PidSpace::from(77, Some(&[77]), 5), PidSpace::Foreign, "these are not the numbers of this process");
    }

    #[test]
    fn the_own_proc_is_found_to_be_so() {
        let fs = ProcFs::open("/proc").unwrap();
        let space = PidSpace::of(&fs).unwrap();
        assert_eq!(space, PidSpace::Own);
        assert_eq!(space.myself(), i32::try_from(std::process::id()).ok());
        assert_eq!(space.refusal(), None);
    }

    #[test]
    fn the_init_of_the_own_namespace_is_known_under_its_outer_number() {
        let space = PidSpace::Outer { me: 77, depth: 1 };
        assert!(space.is_own_init(b"NSpid:\t70\t1\n") && space.is_own_init(b"NSpid:\t70\t1\t9\n"));
        assert!(!space.is_own_init(b"NSpid:\t70\t2\t1\n") && !space.is_own_init(b"NSpid:\t1\n"));
        assert!(PidSpace::Own.is_own_init(b"NSpid:\t1\n") && !PidSpace::Foreign.is_own_init(b"NSpid:\t1\n"));
        for space in [space, PidSpace::Foreign] {
            let why = space.refusal().unwrap();
            assert!(why.len() <= 74 && why.contains("PID namespace; run: "), "{why}");
        }
    }
}
