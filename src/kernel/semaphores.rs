#![expect(unsafe_code, reason = "semctl(2) has no safe wrapper")]
//! What the kernel says of System V semaphores (semctl(2)).

use super::parse::namespace;
use super::proc_fs::{ProcFs, RelPath};

/// A semaphore of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Semaphore {
    /// Its value.
    pub value: i32,
    /// How many tasks wait for it to increase.
    pub waiting: i32,
    /// The process of the last operation; 0 before the first.
    pub last_pid: i32,
}

/// A semaphore of concmon's own IPC namespace; `None` if there is none, or it may not be read.
#[must_use]
pub fn semaphore(set: i32, number: u16) -> Option<Semaphore> {
    let ask = |command| {
        // SAFETY: these commands take no fourth argument, and write to no memory.
        let answer = unsafe { libc::semctl(set, i32::from(number), command) };
        (answer >= 0).then_some(answer)
    };
    Some(Semaphore { value: ask(libc::GETVAL)?, waiting: ask(libc::GETNCNT)?, last_pid: ask(libc::GETPID)? })
}

/// Whether the process numbers its semaphores as concmon does.
#[must_use]
pub fn same_ipc_namespace(fs: &ProcFs, pid: i32) -> bool {
    let number = |path: RelPath| namespace::inode(&fs.read_link(&path).ok()?, "ipc");
    let theirs = number(RelPath::process(pid, "ns/ipc"));
    theirs.is_some() && theirs == number(RelPath::top("self/ns/ipc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_semaphore_is_that_which_its_maker_gave_it() {
        // SAFETY: creates a set of one semaphore, and removes it below.
        let set = unsafe { libc::semget(libc::IPC_PRIVATE, 1, 0o600) };
        assert!(set >= 0);
        let new = semaphore(set, 0);
        let mut add = libc::sembuf { sem_num: 0, sem_op: 3, sem_flg: 0 };
        // SAFETY: one operation, which is there.
        assert_eq!(unsafe { libc::semop(set, &raw mut add, 1) }, 0);
        let added = semaphore(set, 0);
        // SAFETY: removes the set.
        unsafe { libc::semctl(set, 0, libc::IPC_RMID) };
        assert_eq!(new, Some(Semaphore { value: 0, waiting: 0, last_pid: 0 }));
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(added, Some(Semaphore { value: 3, waiting: 0, last_pid: own }));
        assert_eq!(semaphore(set, 0), None, "it is gone");
        let fs = ProcFs::open("/proc").unwrap();
        assert!(same_ipc_namespace(&fs, own) && !same_ipc_namespace(&fs, i32::MAX));
    }
}
