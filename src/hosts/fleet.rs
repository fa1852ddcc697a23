//! All hosts on one thread: starts OpenSSH for each, takes in what comes, and publishes a model in every interval. Nothing is queued: of a
//! host that sends faster than it is read, the newest frame counts; what the viewer does not take is replaced.

use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clock::{Clock as _, SystemClock};
use crate::derive::Model;

use super::destination::Destination;
use super::host::{Host, Moment};
use super::ssh::{self, Expected, Ssh};

/// How long a round waits at most, so that retries, ends and the stop come in time.
const ROUND: Duration = Duration::from_millis(100);
/// Bytes read of a host in a round.
const READ_BYTES: usize = 256 << 10;
/// Connections begun in a round: each is a process.
const BEGUN: usize = 8;
/// A change of a connection is shown after this long, nanoseconds, or with the next interval.
const SOON_NS: u64 = 200_000_000;
/// An OpenSSH that has closed its output is waited for this long, nanoseconds.
const CLOSING_NS: u64 = 2_000_000_000;
/// An answer is waited for this long, nanoseconds.
const ANSWER_NS: u64 = 15_000_000_000;
/// How long the thread may take to end its children.
const LAST_ROUND: Duration = Duration::from_millis(500);

/// The running thread; it and its children end when this is dropped.
#[derive(Debug)]
pub struct Fleet {
    stop: Arc<AtomicBool>,
    ended: Receiver<()>,
}

impl Fleet {
    /// Starts; `publish` gets a model in every interval and when a connection changes, until it returns that no more are wanted.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        destinations: Vec<Destination>,
        every: Duration,
        ghost_ns: u64,
        mut publish: impl FnMut(Arc<Model>) -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (end, ended) = sync_channel(0);
        let stopped = Arc::clone(&stop);
        let every_ns = u64::try_from(every.as_nanos()).unwrap_or(u64::MAX);
        let lines = destinations.into_iter().map(|to| Line::new(Host::new(to, every_ns, ghost_ns))).collect();
        let mut round = Round { lines, every, bytes: vec![0; READ_BYTES], changed: true };
        std::thread::Builder::new().name("hosts".into()).spawn(move || {
            let _end = end;
            let mut shown_ns = 0;
            while !stopped.load(Ordering::Relaxed) {
                round.take();
                let now_ns = SystemClock.boot_ns();
                let since = now_ns.saturating_sub(shown_ns);
                if since >= every_ns || (round.changed && since >= SOON_NS) {
                    shown_ns = now_ns;
                    round.changed = false;
                    let parts = round.lines.iter().map(|line| line.host.part()).collect();
                    if !publish(Arc::new(Model::of_hosts(parts, now_ns))) {
                        return;
                    }
                }
            }
        })?;
        Ok(Self { stop, ended })
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.ended.recv_timeout(LAST_ROUND);
    }
}

/// A host and its connection.
struct Line {
    host: Host,
    ssh: Option<Ssh>,
    begun_ns: u64,
    /// When its output was closed.
    closed_ns: Option<u64>,
    /// How the stream ended, while the host is asked for its system.
    not_found: Option<(ExitStatus, String)>,
}

struct Round {
    lines: Vec<Line>,
    every: Duration,
    bytes: Vec<u8>,
    /// Whether a connection began or ended since the last model.
    changed: bool,
}

impl Round {
    /// Begins the attempts whose time has come, waits for something to read, and takes it in.
    fn take(&mut self) {
        let now_ns = SystemClock.boot_ns();
        let due = self.lines.iter_mut().filter(|line| line.ssh.is_none() && line.host.is_due(now_ns));
        due.take(BEGUN).for_each(|line| self.changed |= line.begin(now_ns, self.every));
        self.wait();
        let now_ns = SystemClock.boot_ns();
        let unix_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let now = Moment { boot_ns: now_ns, unix_ns: i128::try_from(unix_ns).unwrap_or(0) };
        for line in &mut self.lines {
            self.changed |= line.take(now, &mut self.bytes);
        }
    }

    fn wait(&self) {
        ssh::wait(self.lines.iter().filter_map(|line| line.ssh.as_ref()), self.every.min(ROUND));
    }
}

impl Line {
    fn new(host: Host) -> Self {
        Self { host, ssh: None, begun_ns: 0, closed_ns: None, not_found: None }
    }

    /// Begins a stream; whether that is to be shown at once.
    fn begin(&mut self, now_ns: u64, every: Duration) -> bool {
        self.host.begin(now_ns);
        self.start(&format!("concmon stream --every {}", every.as_secs_f64()), now_ns);
        self.ssh.is_none()
    }

    fn start(&mut self, command: &str, now_ns: u64) {
        (self.begun_ns, self.closed_ns) = (now_ns, None);
        match Ssh::start(&self.host.destination.ssh, command, true) {
            Ok(ssh) => self.ssh = Some(ssh),
            Err(why) => self.host.end(why, now_ns),
        }
    }

    /// Takes in what has come; whether the connection has changed.
    fn take(&mut self, now: Moment, bytes: &mut [u8]) -> bool {
        let Some(ssh) = &mut self.ssh else { return false };
        // Asked first: what it wrote before its end can be read now. Another process may hold the output open longer, as the master of a
        // shared connection does.
        let status = ssh.ended();
        ssh.read_errors(bytes);
        let now_ns = now.boot_ns;
        let in_time = now_ns.saturating_sub(self.begun_ns) <= ANSWER_NS;
        match ssh.read(bytes) {
            Some(0) => self.closed_ns = self.closed_ns.or(Some(now_ns)),
            Some(read) if self.not_found.is_none() => {
                let first = !self.host.is_live();
                if let Err(refusal) = self.host.receive(&bytes[..read], now) {
                    let why = ssh::refused(&refusal, &ssh.begin);
                    return self.end(why, now_ns);
                }
                if first && self.host.is_live() {
                    return true;
                }
                // However many bytes come, only frames count.
                if !self.host.is_stuck(now_ns) {
                    return false;
                }
            }
            // All of an answer is wanted.
            Some(_) if in_time => return false,
            _ => {}
        }
        let silent = if self.not_found.is_none() { self.host.is_stuck(now_ns) } else { !in_time };
        let closing = self.closed_ns.is_some_and(|since| now_ns.saturating_sub(since) > CLOSING_NS);
        if status.is_none() && !silent && !closing {
            return false;
        }
        self.ended(status, now_ns)
    }

    /// OpenSSH has ended, or is given up (`None`).
    fn ended(&mut self, status: Option<ExitStatus>, now_ns: u64) -> bool {
        let Some(ssh) = self.ssh.take() else { return false };
        if let Some((status, last)) = self.not_found.take() {
            let why = ssh::reason(Expected::Stream, Some(status), &last, 0, Some(&ssh.first_line()));
            return self.end(why, now_ns);
        }
        let last = ssh.last_line();
        if let Some(status) = status.filter(|status| ssh::is_not_found(*status) && self.host.received() == 0) {
            self.not_found = Some((status, last));
            self.start(ssh::SYSTEM, now_ns);
            return self.ssh.is_none();
        }
        self.end(ssh::reason(Expected::Stream, status, &last, self.host.received(), None), now_ns)
    }

    fn end(&mut self, why: String, now_ns: u64) -> bool {
        self.ssh = None;
        self.host.end(why, now_ns);
        true
    }
}
