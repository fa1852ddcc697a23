//! The root of a native run, shared by all systems. A system creates workers between [`Root::requested`] and [`Root::await_ready`],
//! one at a time, so that a latency is the cost of one creation and not of a queue.

mod telling;

use std::io::{self, BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::wait::WaitPidFlag;
use nix::unistd::{Pid, getpid, gettid};

use super::arena::{Arena, Ballast, EMPTY, EXITED, FINISHED, Woken, futex_wait, futex_wake};
use super::error::{RootError, failed};
use super::http_server::Server;
use super::tasks;
use super::worker::Worker;
use crate::clock::monotonic_ns;
use crate::lab::catalog::{RunSpec, TaskKind};
use crate::lab::control::Usage;
use crate::lab::control::{KEPT, SOCKET_VARIABLE};
use crate::lab::protocol::{Creation, Message, VERSION};

/// How often what has been noted is reported while the run goes on, and how long a wait for an event may last before the root looks
/// by itself.
pub const TELL_EVERY: Duration = Duration::from_millis(50);
/// How often that is while workers are being created: a report wakes other processes, which then need the CPUs too.
const TELL_EVERY_LAUNCH: Duration = Duration::from_millis(200);
/// What those that were woken by the beginning of the run get to go back to sleep.
const QUIET: Duration = Duration::from_millis(5);
/// Longest that a run holds still to be looked at.
pub const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest that workers may take to leave once they may.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Lets the root and what comes from it open as many descriptors as the hard limit lets it (`RLIMIT_NOFILE`, getrlimit(2)), up to what a
/// run may use.
fn allow_descriptors() {
    const ENOUGH: u64 = 4096;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard.min(ENOUGH)
    {
        // With less the run may do too; if not, it will say so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(ENOUGH), hard);
    }
}

/// What this process has used so far, its children left out.
fn own_usage() -> Option<Usage> {
    getrusage(UsageWho::RUSAGE_SELF).ok().map(|usage| usage.as_ref().into())
}

/// What has been reported of one worker or one unit of work.
#[derive(Clone, Copy, Default)]
struct Told {
    begun: bool,
    ready: bool,
    ended: bool,
}

/// The root of a run.
pub struct Root {
    /// What to do.
    pub spec: Arc<RunSpec>,
    /// Shared notes.
    pub arena: Arc<Arena>,
    /// Memory that workers may inherit.
    pub ballast: Option<Arc<Ballast>>,
    how: Creation,
    socket: BufReader<UnixStream>,
    lines: u64,
    pid: i32,
    /// Direct children that are workers, in order of creation.
    children: Vec<(Pid, u32)>,
    workers_told: Vec<Told>,
    spans_told: Vec<Told>,
    told_at: Instant,
    failure: Option<String>,
    /// Beside the workers, for task http.
    server: Option<Server>,
    waits_forgone: bool,
    /// What this process had used before the work began, until that is reported, and how long it had waited for CPUs by then.
    before: Option<Usage>,
    waited_before_ns: u64,
}

/// Whether this run is to stay after the time for looking at it: the helper has put [`KEPT`] beside the run's socket.
pub fn is_kept() -> bool {
    std::env::var_os(SOCKET_VARIABLE).is_some_and(|socket| std::path::Path::new(&socket).with_file_name(KEPT).exists())
}

impl Root {
    /// Connects to the helper and says hello. `workers` is how many slots the system needs.
    pub fn new(spec: RunSpec, how: Creation, socket_path: &std::path::Path) -> Result<Self, RootError> {
        let socket = UnixStream::connect(socket_path).map_err(failed(format!("connecting to {}", socket_path.display())))?;
        let tasks = super::spec::units(&spec);
        let arena = Arena::new(spec.workers, tasks).map_err(failed("mapping memory to share with the workers"))?;
        let mut root = Self {
            workers_told: vec![Told::default(); spec.workers as usize],
            spans_told: vec![Told::default(); tasks as usize],
            spec: Arc::new(spec),
            arena: Arc::new(arena),
            ballast: None,
            how,
            socket: BufReader::new(socket),
            lines: 0,
            pid: getpid().as_raw(),
            children: Vec::new(),
            told_at: Instant::now(),
            failure: None,
            server: None,
            waits_forgone: false,
            before: None,
            waited_before_ns: 0,
        };
        super::signals::interrupt_on_child()?;
        root.say(Message::Hello { v: VERSION, role: "root".into(), lang: "native".into(), started: None });
        Ok(root)
    }

    /// Starts what the task needs beside the workers.
    pub fn start_server(&mut self) -> Result<(), RootError> {
        if self.spec.task == TaskKind::Http {
            allow_descriptors();
            let server = Server::start()?;
            self.arena.header().port.store(server.port.into(), Ordering::Release);
            self.server = Some(server);
        }
        Ok(())
    }

    /// Takes the parent's memory and writes to all of it.
    pub fn hold_memory(&mut self) -> Result<(), RootError> {
        self.hold(self.spec.parent_mb)
    }

    /// Takes `mb` MiB of memory and writes to all of it.
    pub fn hold(&mut self, mb: u32) -> Result<(), RootError> {
        if mb > 0 {
            self.ballast = Some(Arc::new(Ballast::new(mb).map_err(failed(format!("allocating {mb} MiB of memory")))?));
        }
        Ok(())
    }

    /// This worker's view of the run.
    pub fn worker(&self, index: u32) -> Worker<'_> {
        Worker { arena: &self.arena, spec: &self.spec, ballast: self.ballast.as_deref(), index }
    }

    /// Notes that worker `w` is about to be created: the next thing the caller does.
    pub fn requested(&mut self, w: u32) {
        if self.spec.pace_ms > 0 && w > 0 {
            self.phase("pace");
            std::thread::sleep(Duration::from_millis(u64::from(self.spec.pace_ms)));
            self.phase("launch");
            std::thread::sleep(QUIET);
        }
        if let Some(slot) = self.arena.slots().get(w as usize) {
            slot.requested_ns.store(monotonic_ns(), Ordering::Relaxed);
        }
    }

    /// Worker `w` is this process's child `pid`.
    pub fn adopt(&mut self, w: u32, pid: Pid) {
        self.children.push((pid, w));
    }

    /// Waits until worker `w` runs.
    pub fn await_ready(&mut self, w: u32) -> Result<(), RootError> {
        let arena = Arc::clone(&self.arena);
        let Some(slot) = arena.slots().get(w as usize) else { return Ok(()) };
        while slot.state.load(Ordering::Acquire) == EMPTY {
            if futex_wait(&slot.state, EMPTY, Some(TELL_EVERY)) != Woken::Changed {
                self.reap();
                if let Some(failure) = &self.failure {
                    return Err(RootError::Worker(failure.clone()));
                }
            }
        }
        if self.told_at.elapsed() >= TELL_EVERY_LAUNCH {
            self.tell();
            std::thread::sleep(QUIET);
        }
        Ok(())
    }

    /// Waits until every worker runs. A program starts all of its processes, then joins them: none is waited for before the next is
    /// started.
    pub fn await_all_ready(&mut self) -> Result<(), RootError> {
        (0..self.spec.workers).try_for_each(|w| self.await_ready(w))
    }

    /// The creation of workers begins. The helper and concmon, which this wakes, are let go back to sleep first: on few CPUs they would
    /// otherwise be measured too.
    pub fn launch(&mut self) {
        self.phase("launch");
        std::thread::sleep(QUIET);
        self.note_before();
    }

    /// The root itself is the only worker, from here on.
    pub fn work_alone(&mut self) {
        self.note_before();
        self.worker(0).ready(monotonic_ns());
    }

    /// Notes what has been used so far: the start of this process and the filling of its memory are no part of what is measured. It is
    /// reported later, as a report would wake those that have just gone back to sleep.
    fn note_before(&mut self) {
        self.waited_before_ns = super::worker::own_delay_ns().unwrap_or(0);
        self.before = own_usage();
    }

    /// From all workers being there to all having done their share and left. `feed` works, or hands out work, while the workers do.
    pub fn run_workers(&mut self, feed: impl FnOnce(&mut Self) -> Result<(), RootError>) -> Result<(), RootError> {
        self.begin();
        feed(self)?;
        self.await_finished();
        if self.spec.task == TaskKind::Touch {
            self.hold_still();
        }
        self.linger();
        self.dismiss(|| ())
    }

    /// Every worker is there: shows them, and lets them work.
    pub fn begin(&mut self) {
        self.hold_still();
        self.phase("steady");
        self.release();
    }

    /// Lets the workers leave, and waits for their ends; `wake` wakes those that do not wait at the futex.
    pub fn dismiss(&mut self, wake: impl FnOnce()) -> Result<(), RootError> {
        self.phase("teardown");
        self.arena.header().leave.store(1, Ordering::Release);
        futex_wake(&self.arena.header().leave, i32::MAX);
        wake();
        self.await_exits();
        self.report_results();
        match self.failure.take() {
            Some(failure) => Err(RootError::Worker(failure)),
            None => Ok(()),
        }
    }

    /// Lets the workers begin.
    pub fn release(&self) {
        self.arena.header().go.store(1, Ordering::Release);
        futex_wake(&self.arena.header().go, i32::MAX);
    }

    /// Announces a part of the run.
    pub fn phase(&mut self, name: &str) {
        self.tell();
        self.say(Message::Phase { name: name.into() });
    }

    /// Holds still until the helper has looked at the family. The pause is marked and does not count as wall time.
    pub fn hold_still(&mut self) {
        self.ask_to_be_seen();
        self.await_seen();
    }

    /// The first half of [`Root::hold_still`]: what comes next is the answer.
    pub fn ask_to_be_seen(&mut self) {
        self.phase("inspect");
    }

    /// Where the answer arrives.
    pub fn socket(&self) -> &UnixStream {
        self.socket.get_ref()
    }

    /// The second half of [`Root::hold_still`].
    pub fn await_seen(&mut self) {
        // Without the option or the answer the run goes on unseen, which its shape checks will say.
        let _ = self.socket.get_ref().set_read_timeout(Some(LOOK_TIMEOUT));
        let began = Instant::now();
        let mut answer = String::new();
        while began.elapsed() < LOOK_TIMEOUT {
            match self.socket.read_line(&mut answer) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => break,
            }
        }
    }

    /// Whether worker `w` has been seen to end.
    pub fn has_exited(&self, w: usize) -> bool {
        self.arena.slots().get(w).is_none_or(|s| s.state.load(Ordering::Acquire) == EXITED)
    }

    /// Whether worker `w` has ended, or has nothing left to do.
    fn is_idle(&self, w: usize) -> bool {
        self.arena.slots().get(w).is_none_or(|s| s.state.load(Ordering::Acquire) >= FINISHED)
    }

    /// Waits until every worker has done its share.
    pub fn await_finished(&mut self) {
        loop {
            let seen = self.arena.header().progress.load(Ordering::Acquire);
            self.reap();
            if (0..self.arena.slots().len()).all(|w| self.is_idle(w)) {
                return;
            }
            let arena = Arc::clone(&self.arena);
            futex_wait(&arena.header().progress, seen, Some(TELL_EVERY));
            self.tell_sometimes();
        }
    }

    /// Keeps the workers for the user to look at. Every wake-up would be charged to the run: it sleeps until a worker ends or the time
    /// is over.
    pub fn linger(&mut self) {
        let until = Instant::now() + Duration::from_millis(u64::from(self.spec.hold_ms));
        if self.spec.hold_ms > 0 {
            self.phase("hold");
        }
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|d| !d.is_zero()) {
            self.watch_workers(Some(left));
        }
        // A run that is kept stays until it is ended from outside.
        while self.spec.hold_ms > 0 && is_kept() {
            self.watch_workers(None);
        }
    }

    /// Waits until a worker ends, at most so long.
    fn watch_workers(&mut self, most: Option<Duration>) {
        let seen = self.arena.header().progress.load(Ordering::Acquire);
        if futex_wait(&self.arena.header().progress, seen, most) != Woken::Timeout {
            self.reap();
            self.tell();
        }
    }

    fn await_exits(&mut self) {
        let until = Instant::now() + LEAVE_TIMEOUT;
        loop {
            let seen = self.arena.header().progress.load(Ordering::Acquire);
            self.reap();
            let left = self.arena.slots().iter().filter(|s| s.state.load(Ordering::Acquire) != EXITED).count();
            if left == 0 {
                return;
            }
            if Instant::now() >= until {
                self.failure.get_or_insert(format!("{left} workers did not end within {} s", LEAVE_TIMEOUT.as_secs()));
                return;
            }
            let arena = Arc::clone(&self.arena);
            futex_wait(&arena.header().progress, seen, Some(TELL_EVERY));
        }
    }

    /// Notes the end of children that have ended, without waiting.
    pub fn reap(&mut self) {
        for (pid, w) in std::mem::take(&mut self.children) {
            match super::signals::wait_raw(pid, WaitPidFlag::WNOHANG) {
                Ok(Some(status)) => self.note_exit(w, status),
                Ok(None) | Err(Errno::EINTR) => self.children.push((pid, w)),
                Err(_) => self.note_exit(w, 0),
            }
        }
        self.check_exits();
    }

    /// Notes that worker `w` has ended with raw wait status `status`.
    pub fn note_exit(&self, w: u32, status: u32) {
        if let Some(slot) = self.arena.slots().get(w as usize) {
            slot.status.store(status, Ordering::Relaxed);
            slot.exited_ns.store(monotonic_ns(), Ordering::Relaxed);
            slot.state.store(EXITED, Ordering::Release);
        }
    }

    /// A worker that ended otherwise than by `exit(0)` fails the run (others are let finish).
    fn check_exits(&mut self) {
        if self.failure.is_some() {
            return;
        }
        for (w, slot) in self.arena.slots().iter().enumerate() {
            let status = slot.status.load(Ordering::Relaxed);
            if slot.state.load(Ordering::Acquire) == EXITED && status != 0 {
                let pid = slot.pid.load(Ordering::Relaxed);
                let how = match crate::snapshot::ExitStatus::from_raw(status) {
                    crate::snapshot::ExitStatus::Signal { signal, .. } => {
                        format!("was killed by {}", crate::lab::signal::signal_name(signal))
                    }
                    crate::snapshot::ExitStatus::Code(code) => format!("ended with exit code {code}"),
                    crate::snapshot::ExitStatus::Unknown => "ended, exit status unknown".to_owned(),
                };
                self.failure = Some(format!("worker {w} (pid {pid}) {how}"));
                return;
            }
        }
    }

    fn report_results(&mut self) {
        let done = self.arena.spans().iter().filter(|s| s.end_ns.load(Ordering::Acquire) != 0);
        let results: Vec<u64> = done.map(|s| s.result.load(Ordering::Relaxed)).collect();
        let bad = results.iter().filter(|r| **r == tasks::FAILED).count();
        if bad > 0 {
            self.failure.get_or_insert(format!("{bad} of {} tasks failed; see the output of the run", results.len()));
            return;
        }
        if let Some((name, text, number)) = tasks::describe(&self.spec, &results) {
            self.say(Message::Value { name, text, number });
        }
    }

    /// Threads of the run come and go without being looked at: how long it waited for CPUs will not be known.
    pub fn forgo_waits(&mut self) {
        self.waits_forgone = true;
    }

    /// What root and workers have waited for CPUs. The whole is known only if every task of the kernel has said its part; of workers that
    /// take turns on one thread, the last to tell knows all of its.
    fn run_delay_ns(&self) -> Option<u64> {
        let own = gettid().as_raw();
        let mut parts = std::collections::BTreeMap::from([(own, super::worker::own_delay_ns())]);
        for slot in self.arena.slots() {
            let part = slot.delay_plus_one_ns.load(Ordering::Relaxed).checked_sub(1);
            let who = if part.is_some() { &slot.delay_tid } else { &slot.tid };
            let known = parts.entry(who.load(Ordering::Relaxed)).or_default();
            *known = (*known).max(part);
        }
        let all = parts.into_values().sum::<Option<u64>>().filter(|_| !self.waits_forgone);
        all.map(|ns| ns.saturating_sub(self.waited_before_ns))
    }

    /// Says how it ended, with what it cost.
    pub fn close(mut self, result: &Result<(), RootError>) -> bool {
        self.tell();
        if let Err(error) = result {
            self.say(Message::Error { text: error.to_string() });
        }
        let mut total = Usage::default();
        for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
            if let Ok(usage) = getrusage(who) {
                total += usage.as_ref().into();
            }
        }
        let run_delay_ns = self.run_delay_ns();
        let sent_bytes = (self.how.is_process()).then(|| self.arena.sent_bytes());
        self.say(Message::Done {
            run_delay_ns,
            sent_bytes,
            user_ns: total.user_ns,
            sys_ns: total.sys_ns,
            minor_faults: total.minor_faults,
            major_faults: total.major_faults,
            voluntary_switches: total.voluntary_switches,
            involuntary_switches: total.involuntary_switches,
        });
        // After that: ending the server is no part of what was measured, nor is giving back what the parent held.
        if let Some(server) = self.server.take() {
            server.stop();
        }
        if let (Some(ballast), Some(before)) = (self.ballast.take(), own_usage()) {
            drop(ballast);
            if let Some(after) = own_usage() {
                self.say(Message::Apart(after.without(before)));
            }
        }
        result.is_ok()
    }
}
