//! GETs over raw sockets by io_uring(7): receives are queued in memory shared with the kernel, and one call starts and awaits many.

#![expect(unsafe_code, reason = "the kernel writes into buffers whose address is in the queue")]

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;

use io_uring::squeue::PushError;
use io_uring::{IoUring, opcode, types};

use super::error::{RootError, failed};
use super::root::Root;
use super::sockets::{self, Counts, Fetch, open_most, tell_before_wait};
use super::worker::Worker;

/// Operations that the queue holds: each GET under way has one.
const ENTRIES: u32 = 512;

/// A GET under way, with the memory that the kernel receives into. It is on the heap, so that it stays where it is.
struct Receiving {
    fetch: Fetch,
    buffer: Box<[u8; 4096]>,
}

impl Receiving {
    /// Queues one receive.
    fn queue(&mut self, ring: &mut IoUring) -> Result<(), PushError> {
        let length = u32::try_from(self.buffer.len()).unwrap_or(u32::MAX);
        let entry = opcode::Recv::new(types::Fd(self.fetch.stream.as_raw_fd()), self.buffer.as_mut_ptr(), length).build();
        // SAFETY: the buffer and the socket live until the operation has completed: `run` keeps both, and forgets them if it cannot wait.
        unsafe { ring.submission().push(&entry.user_data(self.fetch.k as u64)) }
    }

    /// Takes in what one receive brought; whether there is more to come. The end is noted.
    fn advance(&mut self, worker: &Worker<'_>, result: i32) -> bool {
        let taken = match usize::try_from(result) {
            Ok(n) => self.fetch.answer.take(self.buffer.get(..n).unwrap_or_default()),
            Err(_) => {
                let error = io::Error::from_raw_os_error(-result);
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) {
                    return true;
                }
                Err(failed("reading the answer to a GET")(error))
            }
        };
        match taken {
            Ok(None) => return true,
            Ok(Some(length)) => worker.conclude(self.fetch.k, Ok(length)),
            Err(error) => worker.conclude(self.fetch.k, Err(error)),
        }
        false
    }
}

/// Why there is no io_uring here, if so.
pub fn refused() -> Option<String> {
    let error = IoUring::new(1).err()?;
    let who = "a container's seccomp profile or the sysctl kernel.io_uring_disabled may forbid it";
    Some(format!("io_uring is refused here ({error}): {who}"))
}

/// All at once, and the kernel receives them.
pub fn run(root: &mut Root) -> Result<(), RootError> {
    let mut ring = IoUring::new(ENTRIES).map_err(failed("setting up io_uring"))?;
    sockets::run(root, |root, worker, counts| fetch_all(root, worker, counts, &mut ring))
}

fn fetch_all(root: &mut Root, worker: &Worker<'_>, counts: &mut Counts, ring: &mut IoUring) -> Result<(), RootError> {
    let mut open: HashMap<u64, Receiving> = HashMap::new();
    let most = open_most().min(ENTRIES as usize);
    let mut units = worker.share();
    let (mut operations, mut calls) = (0, 0);
    loop {
        while open.len() < most {
            let Some(k) = units.next() else { break };
            let Some(fetch) = Fetch::start(worker, k, true) else { continue };
            let mut receiving = Receiving { fetch, buffer: Box::new([0; 4096]) };
            // There is room for one operation of each that is open.
            if receiving.queue(ring).is_ok() {
                open.insert(k as u64, receiving);
            }
        }
        if open.is_empty() {
            (counts.recv_operations, counts.enter_calls) = (Some(operations), Some(calls));
            return Ok(());
        }
        tell_before_wait(root);
        calls += 1;
        match ring.submit_and_wait(1) {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => {
                // The kernel may still write into the buffers.
                std::mem::forget(open);
                return Err(failed("waiting for io_uring")(e));
            }
        }
        let done: Vec<(u64, i32)> = ring.completion().map(|entry| (entry.user_data(), entry.result())).collect();
        for (k, result) in done {
            operations += 1;
            let Some(receiving) = open.get_mut(&k) else { continue };
            if !(receiving.advance(worker, result) && receiving.queue(ring).is_ok()) {
                open.remove(&k);
            }
        }
        root.tell_sometimes();
    }
}
