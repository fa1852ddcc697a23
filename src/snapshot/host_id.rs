//! Ids of processes and threads of several hosts in one list: the number of the host stands above the bits of a PID.
//!
//! An id of host 0 is its PID, so that views of one machine need no conversion.

/// Bits of a PID: Linux allows at most 4,194,304 (`PID_MAX_LIMIT`, include/linux/threads.h; proc_sys_kernel(5)).
const PID_BITS: u32 = 22;

/// The most hosts that fit above a PID.
pub const MOST_HOSTS: usize = 1 << (31 - PID_BITS);

/// Whether this can be a PID on Linux.
#[must_use]
pub fn is_pid(pid: i32) -> bool {
    (0..1 << PID_BITS).contains(&pid)
}

/// The id of a host's PID among several hosts; numbers that are no PID (0: none) stay.
#[must_use]
pub fn id_on_host(host: usize, pid: i32) -> i32 {
    let host = i32::try_from(host.min(MOST_HOSTS - 1)).unwrap_or(0);
    if pid > 0 && is_pid(pid) { host << PID_BITS | pid } else { pid }
}

/// The number of the host of an id.
#[must_use]
pub fn host_of(id: i32) -> usize {
    usize::try_from(id >> PID_BITS).unwrap_or(0)
}

/// The PID on its own host.
#[must_use]
pub fn pid_on_host(id: i32) -> i32 {
    if id < 0 { id } else { id & ((1 << PID_BITS) - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_pid_of_two_hosts_is_two_ids_and_each_leads_back() {
        let most = (1 << PID_BITS) - 1;
        let mut ids = Vec::new();
        for host in [0, 1, 2, MOST_HOSTS - 1] {
            for pid in [1, 2, 4711, most] {
                let id = id_on_host(host, pid);
                assert_eq!((host_of(id), pid_on_host(id)), (host, pid));
                ids.push(id);
            }
            assert_eq!(id_on_host(host, 0), 0, "no parent is none on every host");
        }
        assert!(ids.is_sorted_by(|a, b| a < b), "hosts one after the other: {ids:?}");
        assert_eq!(id_on_host(0, 4711), 4711);
        assert!(!is_pid(most + 1) && !is_pid(-1));
    }
}
