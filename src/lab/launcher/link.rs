//! The connection to one helper process: starts it, writes orders, and reads notices on a separate thread.

use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{LabState, LaunchError, RUNS_KEPT};
use crate::lab::control::{Notice, Order, to_line};
use crate::lab::entry;
use crate::lab::run::{Run, RunId};
use crate::lab::trace::Trace;

/// Shortest time between two publications that are not a change of phase.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);
/// Longest a writer waits for a helper that does not read (it was stopped by someone).
const ORDER_TIMEOUT: Duration = Duration::from_millis(200);
/// Longest that dropping the launcher waits for the last process of the last run to be gone.
const FAREWELL: Duration = Duration::from_secs(3);

/// The runs, and where they are published.
#[derive(Debug)]
pub(in crate::lab) struct Shared {
    runs: Mutex<Vec<Entry>>,
    publish: watch::Sender<Arc<LabState>>,
}

#[derive(Debug)]
struct Entry {
    run: Run,
    trace: Option<Arc<Mutex<Trace>>>,
    published: Option<Arc<Run>>,
}

impl Entry {
    /// The run as others see it; what has not changed is not copied.
    fn shown(&mut self) -> Arc<Run> {
        let (run, trace) = (&mut self.run, &self.trace);
        let make = || {
            run.trace = trace.as_ref().map(|t| Arc::new(t.lock().unwrap_or_else(PoisonError::into_inner).clone()));
            Arc::new(run.clone())
        };
        Arc::clone(self.published.get_or_insert_with(make))
    }
}

impl Shared {
    pub(in crate::lab) fn new() -> (Self, watch::Receiver<Arc<LabState>>) {
        let (publish, receiver) = watch::channel(Arc::new(LabState::default()));
        (Self { runs: Mutex::new(Vec::new()), publish }, receiver)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::lab) fn add(&self, run: Run) {
        let mut runs = self.lock();
        runs.push(Entry { run, trace: None, published: None });
        let extra = runs.len().saturating_sub(RUNS_KEPT);
        let mut dropped = 0;
        runs.retain(|e| {
            let drop = dropped < extra && e.run.ended();
            dropped += usize::from(drop);
            !drop
        });
        self.send(&mut runs);
    }

    pub(in crate::lab) fn forget(&self, id: RunId) {
        let mut runs = self.lock();
        runs.retain(|e| e.run.id != id);
        self.send(&mut runs);
    }

    /// Numbers of the runs that have not ended.
    pub(in crate::lab) fn active(&self) -> Vec<RunId> {
        self.lock().iter().filter(|e| !e.run.ended()).map(|e| e.run.id).collect()
    }

    /// Applies a notice; true if the run went into another phase.
    pub(in crate::lab) fn apply(&self, notice: &Notice) -> bool {
        let mut runs = self.lock();
        let id = RunId(notice.run());
        let Some(entry) = runs.iter_mut().rev().find(|e| e.run.id == id) else { return false };
        let before = entry.run.phase.clone();
        entry.run.apply(notice);
        entry.published = None;
        entry.run.phase != before
    }

    /// The helper has gone: its guard has killed every run that had not ended.
    fn abandon(&self) {
        let mut runs = self.lock();
        for entry in runs.iter_mut().filter(|e| !e.run.ended()) {
            entry.run.abandon("the lab helper ended before the run; all processes of the run were killed");
            entry.published = None;
        }
        self.send(&mut runs);
    }

    pub(in crate::lab) fn publish(&self) {
        self.send(&mut self.lock());
    }

    /// Where the watch over a run's tasks writes what it sees.
    pub(in crate::lab) fn traced(&self, id: RunId) -> Option<Arc<Mutex<Trace>>> {
        let mut runs = self.lock();
        let entry = runs.iter_mut().find(|e| e.run.id == id)?;
        Some(Arc::clone(entry.trace.get_or_insert_default()))
    }

    /// Has the run published with what the watch has seen by now.
    pub(in crate::lab) fn show_trace(&self, id: RunId) {
        let mut runs = self.lock();
        if let Some(entry) = runs.iter_mut().find(|e| e.run.id == id) {
            entry.published = None;
        }
        self.send(&mut runs);
    }

    fn send(&self, runs: &mut [Entry]) {
        let runs = runs.iter_mut().map(Entry::shown).collect();
        self.publish.send_replace(Arc::new(LabState { runs }));
    }
}

/// One helper process and the socket to it.
#[derive(Debug)]
pub(super) struct Link {
    socket: UnixStream,
    alive: Arc<AtomicBool>,
    finished: mpsc::Receiver<()>,
}

impl Link {
    /// Starts `exe` as a helper. Its standard input is the control socket; the kernel closes our end of it however we end.
    pub(super) fn open(exe: &Path, shared: Arc<Shared>) -> Result<Self, LaunchError> {
        let failed = |what: &str, e: &io::Error| LaunchError::Helper(format!("{what}: {e}"));
        let (socket, theirs) = UnixStream::pair().map_err(|e| failed("cannot create a socket pair", &e))?;
        let child = Command::new(exe)
            .arg0("concmon")
            .arg(entry::HELPER)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| failed(&format!("cannot start {}", exe.display()), &e))?;
        let reading = socket.try_clone().map_err(|e| failed("the control socket", &e))?;
        // A socket option that cannot be set costs patience only.
        let _ = socket.set_write_timeout(Some(ORDER_TIMEOUT));
        let alive = Arc::new(AtomicBool::new(true));
        let (tell, finished) = mpsc::channel();
        let flag = Arc::clone(&alive);
        std::thread::Builder::new()
            .name("lab-notices".into())
            .spawn(move || {
                read_notices(reading, &shared);
                flag.store(false, Ordering::Release);
                reap(child);
                shared.abandon();
                // The receiver is gone once the launcher has been dropped and has given up waiting.
                let _ = tell.send(());
            })
            .map_err(|e| failed("cannot start the reading thread of the helper", &e))?;
        Ok(Self { socket, alive, finished })
    }

    pub(super) fn alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    pub(super) fn send(&self, order: &Order) -> io::Result<()> {
        (&self.socket).write_all(&to_line(order))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The helper reads the end of the stream, kills what runs and ends; the thread then reaps it. Writing side only: the last
        // notices are still to be read.
        let _ = self.socket.shutdown(Shutdown::Write);
        let _ = self.finished.recv_timeout(FAREWELL);
    }
}

fn reap(mut child: Child) {
    // The helper's guard ends within a second of the end of the stream; a failure to wait leaves a zombie until concmon ends, no more.
    let _ = child.wait();
}

/// Applies notices until the stream ends.
fn read_notices(socket: UnixStream, shared: &Shared) {
    let mut reader = BufReader::with_capacity(64 * 1024, socket);
    let mut line = Vec::new();
    let mut published = Instant::now();
    // With nothing to publish the thread sleeps until there is something to read: an idle lab costs nothing.
    let mut pending = false;
    let mut timeout = false;
    loop {
        if timeout != pending {
            timeout = pending;
            // It could only fail for a closed socket, which the next read finds.
            let _ = reader.get_ref().set_read_timeout(pending.then_some(PUBLISH_EVERY));
        }
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) if line.ends_with(b"\n") => {
                if let Ok(notice) = serde_json::from_slice::<Notice>(&line) {
                    let turned = shared.apply(&notice);
                    pending = true;
                    if turned {
                        shared.publish();
                        (pending, published) = (false, Instant::now());
                    }
                }
                line.clear();
            }
            // The stream ended within a line.
            Ok(_) => return,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {}
            Err(_) => return,
        }
        if pending && published.elapsed() >= PUBLISH_EVERY {
            shared.publish();
            (pending, published) = (false, Instant::now());
        }
    }
}
