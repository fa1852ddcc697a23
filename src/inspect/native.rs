//! Which task of the kernel a Python thread is. Since 3.11 CPython notes the TID; before that it notes only the `pthread_t`, which for
//! glibc and musl is the address of a structure that has the TID in it.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::memory::{Memory, Reader};
use super::objects::Objects;
use super::walk::ListedThread;
use super::{Trouble, soft};

/// How much of a thread's structure in the C library is searched for its TID.
const SEARCHED: usize = 1024;
/// Where it is in glibc 2.36 on x86-64 and on aarch64, and in musl: for a process whose main thread is not Python's.
const USUAL: [u64; 3] = [720, 208, 48];
/// How many other threads must agree on the place.
const WITNESSES: usize = 16;
/// `PID_MAX_LIMIT` (proc_sys_kernel(5)).
const MOST_PID: u32 = 1 << 22;

/// The TIDs of threads, by the addresses of their states.
#[derive(Debug, Default)]
pub(super) struct Ids(HashMap<u64, u64>);

impl Ids {
    /// The thread's TID as its own PID namespace numbers it; 0 if it is not known.
    pub(super) fn of(&self, thread: &ListedThread) -> u64 {
        self.0.get(&thread.address).copied().unwrap_or(thread.native_id)
    }
}

/// The TIDs of all threads; `leader` is that of the process's first task.
pub(super) fn ids<M: Memory>(
    objects: &mut Objects<'_, M>,
    threads: &[ListedThread],
    leader: Option<u64>,
) -> Result<Ids, Trouble> {
    if objects.offsets.native_thread_id.is_some() {
        return Ok(Ids::default());
    }
    let reader = &mut objects.reader;
    let mut known = HashMap::new();
    if let Some(place) = place(reader, threads, leader)? {
        for thread in threads {
            known.insert(thread.address, number(reader, thread.pthread, place)?.map_or(0, u64::from));
        }
    }
    Ok(Ids(known))
}

/// At which byte of a thread's structure its TID is: where that of the main thread has the leader's, and those of others numbers that
/// differ from it and from each other.
fn place<M: Memory>(reader: &mut Reader<'_, M>, threads: &[ListedThread], leader: Option<u64>) -> Result<Option<u64>, Trouble> {
    let Some(leader) = leader.and_then(|leader| u32::try_from(leader).ok()) else { return Ok(None) };
    let mut best = None;
    // Lists begin with the newest thread: the main thread is at the end, unless another thread has forked.
    for main in threads.iter().rev().take(WITNESSES) {
        let bytes = match reader.bytes(main.pthread, SEARCHED) {
            Ok(bytes) => bytes,
            Err(Trouble::Torn(_)) => continue,
            Err(other) => return Err(other),
        };
        let places = bytes.as_chunks::<4>().0.iter().enumerate().filter(|(_, four)| u32::from_ne_bytes(**four) == leader);
        for (at, _) in places {
            let at = at as u64 * 4;
            let agreeing = agreeing(reader, threads, main.pthread, leader, at)?;
            best = best.max(agreeing.map(|agreeing| (agreeing, Reverse(at))));
        }
    }
    if best.is_none_or(|(agreeing, _)| agreeing == 0) {
        for at in USUAL {
            if agreeing(reader, threads, 0, leader, at)?.is_some_and(|agreeing| agreeing > 0) {
                return Ok(Some(at));
            }
        }
    }
    Ok(best.map(|(_, Reverse(at))| at))
}

/// How many threads other than `main` have a number of their own at that byte; `None` if two have the same, one has the leader's, or a number
/// is no TID. A thread is in several interpreters with the same structure; that of one that has ended has 0 or is gone.
fn agreeing<M: Memory>(
    reader: &mut Reader<'_, M>,
    threads: &[ListedThread],
    main: u64,
    leader: u32,
    at: u64,
) -> Result<Option<usize>, Trouble> {
    let mut met = HashSet::from([main]);
    let mut seen = HashSet::from([leader]);
    for other in threads.iter().filter(|other| met.insert(other.pthread)).take(WITNESSES) {
        match number(reader, other.pthread, at)? {
            None | Some(0) => {}
            Some(tid) if tid <= MOST_PID && seen.insert(tid) => {}
            Some(_) => return Ok(None),
        }
    }
    Ok(Some(seen.len() - 1))
}

/// The number at that byte of a thread's structure; `None` if it is not there any more.
fn number<M: Memory>(reader: &mut Reader<'_, M>, pthread: u64, at: u64) -> Result<Option<u32>, Trouble> {
    let mut four = [0; 4];
    Ok(soft(reader.fill(pthread.wrapping_add(at), &mut four))?.map(|()| u32::from_ne_bytes(four)))
}
