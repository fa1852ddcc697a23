//! The kernel's process connector: a netlink multicast of every fork, exec, rename and exit, read by a separate thread.

use std::collections::{HashMap, VecDeque};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{self, MsgFlags, NetlinkAddr, sockopt};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with};

use crate::clock::{Clock, SystemClock, monotonic_ns};
use crate::kernel::let_go_of_loading;
use crate::kernel::parse::connector::{self, CN_IDX_PROC, Mark, Message};
use crate::snapshot::{LifecycleEvent, give_back_queue};

/// How many events wait for the reader at most; more are counted as lost. A burst of 2,000 short commands makes some 10,000.
const CAPACITY: usize = 1 << 17;
/// What the socket asks the kernel to hold. Only privileged users get more than `net.core.rmem_max`.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// How long the kernel may take to answer. It does so at once or, in containers, never.
const ACK_TIMEOUT: Duration = Duration::from_millis(500);

/// After it has read what was there, the thread leaves the socket alone for so long: a turn on a CPU for each event costs more than all
/// else about it, and their times are the kernel's own. What the kernel holds meanwhile must not be full by then, however busy the machine.
const PAUSE: Duration = Duration::from_millis(25);
/// The same where the kernel holds less than [`AMPLE_BYTES`], which is some hundred events.
const SHORT_PAUSE: Duration = Duration::from_millis(4);
/// From so many bytes on it holds thousands (an event takes about 1 KiB of them).
const AMPLE_BYTES: usize = 4 << 20;

/// When events are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Some milliseconds after the first of them has come, together.
    Batches,
    /// At once, which costs a turn on a CPU for each, for those who must look at a process before it ends.
    AtOnce,
}

/// How far the connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// Not answered yet.
    Pending,
    /// Every event is reported.
    Listening,
    /// It does not work here, and why.
    Silent(String),
}

#[derive(Debug)]
struct Shared {
    state: Mutex<Inbox>,
    arrived: Condvar,
}

#[derive(Debug)]
struct Inbox {
    connection: Connection,
    /// The number of our request to listen. Where the kernel ignores it (namespaces) the answers to others still come by, and their
    /// events with pids that mean nothing here.
    request: u32,
    events: VecDeque<LifecycleEvent>,
    losses: Losses,
}

/// What was lost: gaps in the kernel's numbers, and events that found the inbox full.
#[derive(Debug, Default)]
struct Losses {
    last: HashMap<u32, u32>,
    missing: u64,
    overruns: u64,
    overflowed: u64,
}

impl Losses {
    fn note(&mut self, mark: Mark) {
        if let Some(last) = self.last.insert(mark.cpu, mark.sequence) {
            self.missing += u64::from(mark.sequence.wrapping_sub(last).wrapping_sub(1));
        }
    }

    /// At least so many. An overrun whose gap is not visible yet stands for one event.
    fn total(&self) -> u64 {
        self.missing.max(self.overruns) + self.overflowed
    }
}

/// A running connection. Dropping it ends its thread.
#[derive(Debug)]
pub struct EventStream {
    shared: Arc<Shared>,
    stop: Option<(OwnedFd, JoinHandle<()>)>,
}

impl EventStream {
    /// Begins to connect and returns at once; [`EventStream::connection`] gives the result.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Pace::Batches)
    }

    fn start_with(pace: Pace) -> Self {
        let request = std::process::id() ^ (monotonic_ns() as u32);
        let inbox = Inbox { connection: Connection::Pending, request, events: VecDeque::new(), losses: Losses::default() };
        let shared = Arc::new(Shared { state: Mutex::new(inbox), arrived: Condvar::new() });
        let stop = match spawn(Arc::clone(&shared), pace) {
            Ok(stop) => Some(stop),
            Err(why) => {
                shared.silent(why);
                None
            }
        };
        Self { shared, stop }
    }

    /// Connects and waits for the kernel's answer, half a second at most.
    ///
    /// # Errors
    /// Why there are no events here, in one sentence.
    pub fn connect() -> Result<Self, String> {
        Self::connect_with(Pace::Batches)
    }

    /// The same, at another pace.
    ///
    /// # Errors
    /// Why there are no events here, in one sentence.
    pub fn connect_with(pace: Pace) -> Result<Self, String> {
        let stream = Self::start_with(pace);
        let inbox = stream.shared.lock();
        let waited =
            stream.shared.arrived.wait_timeout_while(inbox, ACK_TIMEOUT * 2, |inbox| inbox.connection == Connection::Pending);
        let (inbox, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let connection = inbox.connection.clone();
        drop(inbox);
        match connection {
            Connection::Listening => Ok(stream),
            Connection::Silent(why) => Err(why),
            Connection::Pending => Err("the kernel's process connector did not answer".to_owned()),
        }
    }

    /// How far the connection is.
    #[must_use]
    pub fn connection(&self) -> Connection {
        self.shared.lock().connection.clone()
    }

    /// Moves what has arrived to the end of `events`, oldest first.
    pub fn drain(&self, events: &mut Vec<LifecycleEvent>) {
        let mut inbox = self.shared.lock();
        events.extend(inbox.events.drain(..));
        give_back_queue(&mut inbox.events);
    }

    /// Waits until something arrives, at most `timeout`, and moves it to the end of `events`. Whether anything did.
    pub fn wait(&self, timeout: Duration, events: &mut Vec<LifecycleEvent>) -> bool {
        let waited = self.shared.arrived.wait_timeout_while(self.shared.lock(), timeout, |inbox| inbox.events.is_empty());
        let (mut inbox, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let before = events.len();
        events.extend(inbox.events.drain(..));
        events.len() > before
    }

    /// Events lost since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lock().losses.total()
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.stop.take() {
            // Cannot fail short of 2^64 - 1 stops; then the thread would simply not be waited for.
            if rustix::io::write(&stop, &1u64.to_ne_bytes()).is_ok() {
                let _ = thread.join();
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        // A poisoned inbox is still a list of events.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn silent(&self, why: String) {
        self.lock().connection = Connection::Silent(why);
        self.arrived.notify_all();
    }
}

fn spawn(shared: Arc<Shared>, pace: Pace) -> Result<(OwnedFd, JoinHandle<()>), String> {
    let request = shared.lock().request;
    let socket = open_socket(request)?;
    let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(|error| format!("cannot create an eventfd: {error}"))?;
    let stopped = stop.try_clone().map_err(|error| format!("no free file descriptor: {error}"))?;
    let thread = std::thread::Builder::new()
        .name("events".to_owned())
        .stack_size(128 * 1024)
        .spawn(move || {
            // It is started before the task iterator is loaded, and has no part in that.
            let_go_of_loading(|| true);
            if let Err(why) = run(&socket, &stopped, &shared, pace) {
                shared.silent(why);
            }
            let _ = send_control(&socket, false, request.wrapping_add(1));
        })
        .map_err(|error| format!("cannot start a thread for the event stream: {error}"))?;
    Ok((stop, thread))
}

fn open_socket(request: u32) -> Result<OwnedFd, String> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::CONNECTOR))
        .map_err(|errno| format!("cannot open a netlink connector socket: {errno}"))?;
    if socket::setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err() {
        // As much as an ordinary user gets; a burst beyond it is counted as lost.
        let _ = socket::setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER_BYTES);
    }
    socket::bind(socket.as_raw_fd(), &NetlinkAddr::new(0, CN_IDX_PROC)).map_err(|errno| match errno {
        Errno::EPERM | Errno::EACCES => "the process connector needs root (CAP_NET_ADMIN) on this kernel".to_owned(),
        errno => format!("cannot join the process connector: {}", errno.desc()),
    })?;
    send_control(&socket, true, request).map_err(|errno| match errno {
        Errno::ECONNREFUSED => "there is no process connector in this network namespace or kernel".to_owned(),
        Errno::EPERM | Errno::EACCES => "the process connector needs root (CAP_NET_ADMIN) on this kernel".to_owned(),
        errno => format!("the process connector rejects requests: {}", errno.desc()),
    })?;
    Ok(socket)
}

fn send_control(socket: &OwnedFd, listen: bool, request: u32) -> Result<(), Errno> {
    let message = connector::control_message(listen, request);
    let kernel = NetlinkAddr::new(0, 0);
    socket::sendmsg(socket.as_raw_fd(), &[IoSlice::new(&message)], &[], MsgFlags::empty(), Some(&kernel)).map(|_| ())
}

/// Reads until stopped. An error is why the kernel stays silent.
fn run(socket: &OwnedFd, stop: &OwnedFd, shared: &Shared, pace: Pace) -> Result<(), String> {
    let mut buffer = vec![0u8; 16 * 1024];
    let mut batch = Vec::new();
    let ample = socket::getsockopt(socket, sockopt::RcvBuf).is_ok_and(|bytes| bytes >= AMPLE_BYTES);
    let pause = Timespec::try_from(if ample { PAUSE } else { SHORT_PAUSE }).ok();
    let deadline = Instant::now() + ACK_TIMEOUT;
    loop {
        let listening = shared.lock().connection == Connection::Listening;
        let patience = (!listening).then(|| deadline.saturating_duration_since(Instant::now()));
        if patience.is_some_and(|patience| patience.is_zero()) {
            return Err(
                "the kernel's process connector does not answer (it works in the initial PID and user namespace only)".to_owned()
            );
        }
        let timeout = patience.and_then(|patience| Timespec::try_from(patience).ok());
        let mut fds = [PollFd::new(socket, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("cannot wait for the process connector: {error}")),
        }
        if !fds[1].revents().is_empty() {
            return Ok(());
        }
        receive(socket, &mut buffer, &mut batch, shared)?;
        if listening && pace == Pace::Batches {
            // A stop within the pause is found by the next poll.
            let _ = poll(&mut [PollFd::new(stop, PollFlags::IN)], pause.as_ref());
        }
    }
}

/// Reads all datagrams that are there and hands their events over in batches.
fn receive(socket: &OwnedFd, buffer: &mut [u8], batch: &mut Vec<Message>, shared: &Shared) -> Result<(), String> {
    let mut overruns = 0;
    loop {
        match socket::recvfrom::<NetlinkAddr>(socket.as_fd().as_raw_fd(), buffer) {
            // Only the kernel (port 0) is believed: any process may send to this socket.
            Ok((length, Some(sender))) if sender.pid() == 0 => {
                batch.extend(connector::messages(buffer.get(..length).unwrap_or_default()));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::ENOBUFS) => overruns += 1,
            Err(Errno::EAGAIN) => return deliver(batch, overruns, shared),
            Err(errno) => return Err(format!("the process connector failed: {}", errno.desc())),
        }
        if batch.len() >= 512 {
            deliver(batch, overruns, shared)?;
            overruns = 0;
        }
    }
}

fn deliver(batch: &mut Vec<Message>, overruns: u64, shared: &Shared) -> Result<(), String> {
    // The stamps are CLOCK_MONOTONIC, which stands still in suspend; the distance of the two clocks is constant between suspends.
    let offset = SystemClock.boot_ns().saturating_sub(monotonic_ns());
    let mut refused = None;
    let mut inbox = shared.lock();
    inbox.losses.overruns += overruns;
    for message in batch.drain(..) {
        match message {
            Message::Ack { mark, answer_to, errno }
                if answer_to == inbox.request.wrapping_add(1) && inbox.connection == Connection::Pending =>
            {
                inbox.losses.note(mark);
                if errno == 0 {
                    inbox.connection = Connection::Listening;
                } else {
                    refused = Some(errno);
                }
            }
            // Before our answer nothing is known to be ours; it comes before any event of ours.
            _ if inbox.connection != Connection::Listening => {}
            Message::Ack { mark, .. } => inbox.losses.note(mark),
            Message::Other(mark) => inbox.losses.note(mark),
            Message::Event(event) => {
                inbox.losses.note(event.mark);
                if inbox.events.len() < CAPACITY {
                    inbox.events.push_back(LifecycleEvent { at_ns: event.monotonic_ns.saturating_add(offset), kind: event.kind });
                } else {
                    inbox.losses.overflowed += 1;
                }
            }
        }
    }
    drop(inbox);
    shared.arrived.notify_all();
    match refused {
        None => Ok(()),
        Some(errno) => {
            let errno = Errno::from_raw(errno.cast_signed());
            Err(format!("the process connector refused: {}; it needs root (CAP_NET_ADMIN) on this kernel", errno.desc()))
        }
    }
}
