//! GETs over raw sockets by the root itself: blocking calls in sequence, polled non-blocking ones, and epoll, which reports ready sockets.

use std::collections::HashMap;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};

use super::error::{RootError, failed};
use super::http::{self, Answer};
use super::root::{Root, TELL_EVERY};
use super::worker::Worker;
use crate::clock::monotonic_ns;
use crate::lab::control::Usage;

/// Most GETs under way at one time, where the process may open that many descriptors.
const OPEN_MOST: u64 = 500;

/// How many GETs may be under way at one time: half of the descriptors that this process may open at most.
pub fn open_most() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(OPEN_MOST, |(soft, _)| soft / 2);
    usize::try_from(limit.clamp(1, OPEN_MOST)).unwrap_or(1)
}

/// What the fetching took.
#[derive(Debug, Default)]
pub struct Counts {
    recv_calls: u64,
    /// Calls that found nothing (`EAGAIN`).
    in_vain: Option<u64>,
    select_calls: Option<u64>,
    /// Receives that the kernel did without a call for each.
    pub recv_operations: Option<u64>,
    pub enter_calls: Option<u64>,
}

/// What one recv brought.
enum Got {
    Nothing,
    Part,
    Whole(u64),
}

/// One GET under way.
pub struct Fetch {
    pub k: usize,
    pub stream: TcpStream,
    pub answer: Answer,
}

impl Fetch {
    /// Begins unit `k`; `None` if that failed, which has been noted.
    pub fn start(worker: &Worker<'_>, k: usize, blocking: bool) -> Option<Self> {
        worker.begin(k);
        let asked = http::ask(worker.port(), worker.spec.size()).and_then(|stream| {
            stream.set_nonblocking(!blocking).map_err(failed("setting the mode of a socket"))?;
            Ok(stream)
        });
        match asked {
            Ok(stream) => Some(Self { k, stream, answer: Answer::default() }),
            Err(error) => {
                worker.conclude(k, Err(error));
                None
            }
        }
    }

    /// One recv.
    fn take(&mut self, counts: &mut Counts) -> Result<Got, RootError> {
        let mut buffer = [0; 4096];
        counts.recv_calls += 1;
        match self.stream.read(&mut buffer) {
            Ok(n) => Ok(self.answer.take(&buffer[..n])?.map_or(Got::Part, Got::Whole)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(Got::Nothing),
            Err(e) if e.kind() == ErrorKind::Interrupted => Ok(Got::Part),
            Err(e) => Err(failed("reading the answer to a GET")(e)),
        }
    }

    /// One recv; whether there is more to come. The end is noted.
    fn advance(&mut self, worker: &Worker<'_>, counts: &mut Counts) -> bool {
        match self.take(counts) {
            Ok(Got::Part) => return true,
            Ok(Got::Nothing) => {
                *counts.in_vain.get_or_insert(0) += 1;
                return true;
            }
            Ok(Got::Whole(length)) => worker.conclude(self.k, Ok(length)),
            Err(error) => worker.conclude(self.k, Err(error)),
        }
        false
    }
}

/// Each waits for its answer before the next is asked.
pub fn run_blocking(root: &mut Root) -> Result<(), RootError> {
    run(root, |root, worker, counts| {
        for k in worker.share() {
            if let Some(mut fetch) = Fetch::start(worker, k, true) {
                tell_before_wait(root);
                while fetch.advance(worker, counts) {}
            }
            root.tell_sometimes();
        }
        Ok(())
    })
}

/// All at once, and each socket is asked again and again whether it has something.
pub fn run_nonblocking(root: &mut Root) -> Result<(), RootError> {
    run(root, |root, worker, counts| {
        counts.in_vain = Some(0);
        let (mut units, mut open, most) = (worker.share(), Vec::new(), open_most());
        loop {
            while open.len() < most {
                let Some(k) = units.next() else { break };
                open.extend(Fetch::start(worker, k, false));
            }
            if open.is_empty() {
                return Ok(());
            }
            open.retain_mut(|fetch| fetch.advance(worker, counts));
            root.tell_sometimes();
        }
    })
}

/// All at once, and the kernel says who is ready.
pub fn run_epoll(root: &mut Root) -> Result<(), RootError> {
    run(root, |root, worker, counts| {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(failed("making an epoll set"))?;
        let (mut units, mut open, most) = (worker.share(), HashMap::new(), open_most());
        let mut events = [EpollEvent::empty(); 64];
        counts.select_calls = Some(0);
        loop {
            while open.len() < most {
                let Some(k) = units.next() else { break };
                let Some(fetch) = Fetch::start(worker, k, false) else { continue };
                let wanted = EpollEvent::new(EpollFlags::EPOLLIN, k as u64);
                epoll.add(&fetch.stream, wanted).map_err(failed("watching a socket"))?;
                open.insert(k as u64, fetch);
            }
            if open.is_empty() {
                return Ok(());
            }
            tell_before_wait(root);
            *counts.select_calls.get_or_insert(0) += 1;
            let ready = match epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(n) => n,
                Err(Errno::EINTR) => 0,
                Err(e) => return Err(failed("waiting for sockets")(e)),
            };
            for token in events.iter().take(ready).map(EpollEvent::data) {
                // Dropping the last descriptor of a socket takes it out of the set.
                if open.get_mut(&token).is_some_and(|fetch| !fetch.advance(worker, counts)) {
                    open.remove(&token);
                }
            }
            root.tell_sometimes();
        }
    })
}

/// Says what has begun, if the wait for it will be so long that saying so is nothing beside it.
pub fn tell_before_wait(root: &mut Root) {
    if Duration::from_millis(u64::from(root.spec.size())) > TELL_EVERY {
        root.tell();
    }
}

/// The whole run; `way` makes all GETs.
pub fn run(
    root: &mut Root,
    way: impl FnOnce(&mut Root, &Worker<'_>, &mut Counts) -> Result<(), RootError>,
) -> Result<(), RootError> {
    root.work_alone();
    root.run_workers(|root| {
        let (arena, spec) = (Arc::clone(&root.arena), Arc::clone(&root.spec));
        let worker = Worker { arena: &arena, spec: &spec, ballast: None, index: 0 };
        let mut counts = Counts::default();
        let (before, began) = (own_usage()?, monotonic_ns());
        way(root, &worker, &mut counts)?;
        let (wall, after) = (monotonic_ns() - began, own_usage()?);
        let cpu = (after.user_ns + after.sys_ns).saturating_sub(before.user_ns + before.sys_ns);
        root.value_ns("fetch_wall_ns", wall);
        root.value_ns("client_cpu_ns", cpu);
        root.value("client_voluntary_switches", after.voluntary_switches.saturating_sub(before.voluntary_switches));
        root.value("recv_calls", counts.recv_calls);
        let others = [
            ("recv_calls_in_vain", counts.in_vain),
            ("select_calls", counts.select_calls),
            ("recv_operations", counts.recv_operations),
            ("io_uring_enter_calls", counts.enter_calls),
        ];
        for (name, count) in others {
            if let Some(count) = count {
                root.value(name, count);
            }
        }
        // It is the root that leaves: there is no worker to wait for.
        root.note_exit(0, 0);
        Ok(())
    })
}

/// What this process has used so far, its children not counted.
fn own_usage() -> Result<Usage, RootError> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).map_err(failed("reading what the root has used"))?;
    Ok(usage.as_ref().into())
}
