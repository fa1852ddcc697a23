//! The program's parent: waits for what ends, passes on signals, has the tasks watched, and knows when nothing is left.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::front::{RESUMED, RUNS, Word, words};
use super::offer::Offer;
use super::origin::Origin;
use super::process::{self, Change, Reaped};
use super::{Program, StartError, child, sys};
use crate::clock::monotonic_ns;
use crate::lab::catalog::RunSpec;
use crate::lab::control::{KillReason, Notice};
use crate::lab::helper::birth::Birth;
use crate::lab::helper::family::Proc;
use crate::lab::helper::run::{Active, Leftovers};
use crate::lab::helper::start::Started;
use crate::lab::launcher::{Shared, last_look, watch_tasks};
use crate::lab::run::{Run, RunId};
use crate::lab::trace::Trace;

/// How long after the front has received a signal the watcher may receive the same one, if it was for the whole group.
const TOGETHER: Duration = Duration::from_millis(5);
/// How long a signal to the watcher counts as the same as one to the front.
const SAME: Duration = Duration::from_millis(50);
/// Between two attempts to continue the front.
const CONTINUE_EVERY: Duration = Duration::from_millis(5);

/// Starts the program and stays until nothing is left of it.
pub fn watch(program: &Program, origin: &Origin, front: Pid, link: UnixStream) -> Result<Arc<Run>, StartError> {
    let own = |what| move |e| StartError::Own(what, e);
    let id = RunId(1);
    let spec = RunSpec::own();
    let offer = program.lab.then(|| Offer::new(id.0, &spec)).transpose().map_err(own("cannot offer concmon_lab"))?;
    let variables = offer.as_ref().map_or(&[][..], |offer| &offer.variables);
    let birth = Birth::new().map(Arc::new);
    let (root, forked_ns) = match child::start(program, origin, front, variables, birth.as_deref()) {
        Ok(started) => started,
        Err(error) => {
            let _ = offer.as_ref().and_then(|offer| offer.dir.parent()).map(std::fs::remove_dir_all);
            return Err(error);
        }
    };
    crate::lab::hidden::name_task("run watcher");
    let signals = super::signals().map_err(|errno| StartError::Own("cannot read signals", errno.into()))?;
    let mut keep = vec![link.as_raw_fd(), signals.as_fd().as_raw_fd()];
    keep.extend(offer.iter().flat_map(|offer| [offer.lock.as_raw_fd(), offer.listener.as_raw_fd()]));
    sys::close_others(&keep);
    sys::drop_streams(if program.output_to_stderr { &[0] } else { &[0, 1] });
    process::limit_files(process::FileLimit::Most);
    let _ = link.set_nonblocking(true);
    let (shared, state) = Shared::new();
    let shared = Arc::new(shared);
    shared.add(Run::new(id, spec.clone(), forked_ns));
    shared.apply(&Notice::Started { run: id.0, root_pid: root.as_raw(), t: forked_ns });
    shared.publish();
    let trace = shared.traced(id);
    watch_tasks(id, Arc::clone(&shared), state.clone());
    let (listener, lock, dir) = match offer {
        Some(Offer { dir, lock, listener, .. }) => (Some(listener), Some(lock), Some(dir)),
        None => (None, None, None),
    };
    let started = Started { root: root.as_raw(), dir: dir.clone(), listener, output: None, group: None, forked_ns, birth };
    let leftovers = if program.detach { Leftovers::Leave } else { Leftovers::EndAll };
    let watcher = Watcher {
        root,
        front,
        link,
        link_open: true,
        signals,
        active: Active::new(id.0, spec, started, leftovers),
        shared: Arc::clone(&shared),
        trace,
        stopped: false,
        stop: 0,
        front_stopped: false,
        resumed_at: None,
        continue_at: None,
        heard: HashMap::new(),
        asked: Vec::new(),
    };
    watcher.serve(program.detach).map_err(own("cannot wait for the program"))?;
    remove(dir.as_deref(), lock);
    shared.publish();
    let run = state.borrow().run(id).cloned();
    run.ok_or_else(|| StartError::Own("the run's result is missing", io::ErrorKind::NotFound.into()))
}

/// Removes the directory of a run and the lock that says it is in use.
fn remove(dir: Option<&std::path::Path>, lock: Option<File>) {
    if let Some(base) = dir.and_then(std::path::Path::parent) {
        // A later concmon removes it otherwise.
        let _ = std::fs::remove_dir_all(base);
    }
    drop(lock);
}

struct Watcher {
    root: Pid,
    front: Pid,
    link: UnixStream,
    /// False once the front has gone.
    link_open: bool,
    signals: SignalFd,
    active: Active,
    shared: Arc<Shared>,
    trace: Option<Arc<Mutex<Trace>>>,
    /// Whether the program is stopped.
    stopped: bool,
    /// The number of its last stop.
    stop: u8,
    /// Whether the front has been sent that stop, and has not said since that it was continued.
    front_stopped: bool,
    /// When to see whether the program was continued with the front.
    resumed_at: Option<Instant>,
    /// When to continue the front again, because the program runs.
    continue_at: Option<Instant>,
    /// When this process received each signal.
    heard: HashMap<i32, Instant>,
    /// Signals that the front has received, and until when this process may receive them too.
    asked: Vec<(i32, Instant)>,
}

impl Watcher {
    fn serve(mut self, detach: bool) -> io::Result<()> {
        while !self.active.ended() {
            let ready = self.wait()?;
            let mut notices = Vec::new();
            self.read_signals();
            self.read_link(detach);
            self.reap(&mut notices);
            for conn in ready {
                match conn {
                    Some(i) => self.active.read_conn(i, &mut notices),
                    None => self.active.accept(&mut notices),
                }
            }
            self.active.sweep();
            self.active.tick(&mut notices);
            self.act();
            let news = !notices.is_empty();
            for mut notice in notices {
                self.complete(&mut notice, detach);
                self.shared.apply(&notice);
            }
            if news {
                self.shared.publish();
            }
        }
        Ok(())
    }

    /// Adds what the watch over the tasks knows: their memory, and who goes on.
    fn complete(&self, notice: &mut Notice, detach: bool) {
        let (Notice::Ended { max_rss_bytes, left_running, .. }, Some(trace)) = (notice, &self.trace) else { return };
        let trace = trace.lock().unwrap_or_else(PoisonError::into_inner);
        *max_rss_bytes = (*max_rss_bytes).max(Some(trace.peak_rss_bytes).filter(|seen| *seen > 0));
        if detach {
            // Orphans have another parent by now: only who was seen before can be known.
            let seen = trace.tasks.iter().filter(|task| task.pid == task.tid && task.gone_ns.is_none());
            let alive = seen.filter(|task| Proc::read(task.pid).is_some_and(|process| !process.is_dead())).count();
            *left_running = (*left_running).max(u32::try_from(alive).unwrap_or(u32::MAX));
        }
    }

    /// Waits for anything; the connections that can be read, `None` for the listener.
    fn wait(&self) -> io::Result<Vec<Option<usize>>> {
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if self.link_open {
            fds.push(PollFd::new(self.link.as_fd(), PollFlags::POLLIN));
        }
        let first = fds.len();
        let mut owners = Vec::new();
        if let Some(listener) = &self.active.listener {
            fds.push(PollFd::new(listener.as_fd(), PollFlags::POLLIN));
            owners.push(None);
        }
        for (i, conn) in self.active.conns.iter().enumerate() {
            fds.push(PollFd::new(conn.stream.as_fd(), PollFlags::POLLIN));
            owners.push(Some(i));
        }
        let due = self.asked.iter().map(|(_, due)| *due).chain(self.resumed_at).chain(self.continue_at);
        let at = due.chain([self.active.wake_at()]).min();
        let timeout = at.map_or(PollTimeout::NONE, |at| {
            // Rounded up, or the loop would spin through the last millisecond.
            let ms = at.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
            PollTimeout::try_from(ms).unwrap_or(PollTimeout::from(1000_u16))
        });
        match poll(&mut fds, timeout) {
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => return Ok(Vec::new()),
            Err(e) => return Err(e.into()),
        }
        let ready = fds.iter().skip(first).zip(owners);
        Ok(ready.filter(|(fd, _)| fd.any().unwrap_or(true)).map(|(_, owner)| owner).collect())
    }

    fn read_signals(&mut self) {
        let now = Instant::now();
        while let Ok(Some(info)) = self.signals.read_signal() {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            if number != Signal::SIGCHLD as i32 {
                self.asked.retain(|(asked, _)| *asked != number);
                self.heard.insert(number, now);
            }
        }
    }

    fn read_link(&mut self, detach: bool) {
        let mut bytes = [0; 64];
        let now = Instant::now();
        while self.link_open {
            match self.link.read(&mut bytes) {
                Ok(0) => {
                    // The front has been killed: what it stood for goes with it.
                    self.link_open = false;
                    if detach {
                        process::exit_now(1);
                    }
                    self.active.kill(KillReason::Stopped);
                }
                Ok(n) => words(&bytes[..n]).for_each(|word| self.front_says(word, now)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    fn front_says(&mut self, [signal, stop]: Word, now: Instant) {
        if signal == RESUMED {
            // The end of an earlier stop says nothing about this one.
            if stop == self.stop {
                (self.front_stopped, self.continue_at) = (false, None);
                self.resumed_at = self.stopped.then_some(now + TOGETHER);
            }
            return;
        }
        let number = i32::from(signal);
        if self.heard.remove(&number).is_none_or(|at| now.duration_since(at) > SAME) {
            self.asked.push((number, now + TOGETHER));
        }
    }

    /// Does what the time has come for: signals that the front alone has received, and what was stopped or continued alone.
    fn act(&mut self) {
        let now = Instant::now();
        let due: Vec<i32> = self.asked.extract_if(.., |(_, due)| *due <= now).map(|(number, _)| number).collect();
        for number in due {
            self.active.signal(number);
        }
        if self.resumed_at.is_some_and(|at| at <= now) {
            self.resumed_at = None;
            // The group's SIGCONT has reached it too; one to the front alone has not.
            if self.stopped {
                self.active.signal(Signal::SIGCONT as i32);
            }
        }
        if self.continue_at.is_some_and(|at| at <= now) {
            self.continue_at = self.front_stopped.then(|| now + CONTINUE_EVERY);
            if self.front_stopped {
                let _ = kill(self.front, Signal::SIGCONT);
            }
        }
    }

    /// Takes note of what has ended, stopped or been continued.
    fn reap(&mut self, notices: &mut Vec<Notice>) {
        loop {
            // Still a zombie: the last that can be read of it.
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            let ended = waitid(Id::All, flags).ok().as_ref().and_then(WaitStatus::pid);
            let trace = self.trace.as_deref().map(|trace| trace.lock().unwrap_or_else(PoisonError::into_inner));
            if let (Some(pid), Some(mut trace)) = (ended, trace) {
                last_look(pid.as_raw(), &mut trace);
            }
            match process::wait_any() {
                Some(Change::Ended(Reaped { pid, status, usage, max_rss_bytes })) => {
                    let t = monotonic_ns();
                    if let Some(trace) = &self.trace {
                        trace.lock().unwrap_or_else(PoisonError::into_inner).gone(pid, pid, t);
                    }
                    let _ = self.active.child_ended(pid, status, usage, max_rss_bytes, t, notices);
                }
                Some(Change::Stopped(pid, signal)) if pid == self.root.as_raw() => {
                    self.stop = self.stop.wrapping_add(1);
                    (self.stopped, self.front_stopped) = (true, true);
                    (self.resumed_at, self.continue_at) = (None, None);
                    self.tell([u8::try_from(signal).unwrap_or(0), self.stop]);
                }
                Some(Change::Continued(pid)) if pid == self.root.as_raw() => {
                    self.stopped = false;
                    self.tell([RUNS, self.stop]);
                    self.continue_at = self.front_stopped.then(Instant::now);
                }
                Some(_) => {}
                None => return,
            }
        }
    }

    fn tell(&mut self, word: Word) {
        // A front that does not read has gone.
        let _ = self.link.write_all(&word);
    }
}
