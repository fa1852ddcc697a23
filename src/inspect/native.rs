//! Which task of the kernel a Python thread is. Since 3.11 CPython notes the TID; before that it notes only the `pthread_t`, which for
//! glibc and musl is the address of a structure that has the TID in it.

use std::collections::HashMap;

use super::Trouble;
use super::memory::{Memory, Reader};
use super::objects::Objects;
use super::walk::ListedThread;

/// How much of a thread's structure in the C library is searched for its TID: glibc 2.36 has it at 720 on x86-64 and 208 on aarch64, musl
/// at 48.
const SEARCHED: usize = 1024;
/// How many other threads must agree on the place.
const WITNESSES: usize = 16;

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
            let mut seen = std::collections::HashSet::from([leader]);
            let mut agree = true;
            for other in threads.iter().filter(|other| other.pthread != main.pthread).take(WITNESSES) {
                agree &= number(reader, other.pthread, at)?.is_some_and(|tid| tid != 0 && tid < 1 << 22 && seen.insert(tid));
            }
            if agree {
                return Ok(Some(at));
            }
        }
    }
    Ok(None)
}

/// The number at that byte of a thread's structure; `None` if it is not there any more.
fn number<M: Memory>(reader: &mut Reader<'_, M>, pthread: u64, at: u64) -> Result<Option<u32>, Trouble> {
    let mut four = [0; 4];
    match reader.fill(pthread.wrapping_add(at), &mut four) {
        Ok(()) => Ok(Some(u32::from_ne_bytes(four))),
        Err(Trouble::Torn(_)) => Ok(None),
        Err(other) => Err(other),
    }
}
