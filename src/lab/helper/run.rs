//! One run in the helper: its root, connections and processes, and how it is ended.

use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, PipeReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::birth::Birth;
use super::cgroup::Group;
use super::family::{self, Proc, Step};
use super::objects;
use super::start::Started;
use super::sys;
use crate::clock::{monotonic_ns, process_cpu_ns};
use crate::lab::catalog::RunSpec;
use crate::lab::control::{KEPT, KillReason, Member, Notice, Usage};
use crate::lab::protocol::{LineError, MAX_LINE_BYTES, Message, parse_line};

/// What descendants of a root that has ended by itself are given to end too.
const GRACE: Duration = Duration::from_millis(200);
/// Connections beyond those that a run's workers need: helpers, and the workers of a program of the user's own.
const CONNECTIONS_SPARE: usize = 512;
/// Refused lines after which a connection is closed.
const REFUSALS: u64 = 50;
/// Longest that reading the family's PSS may take in one look.
const PSS_BUDGET: Duration = Duration::from_millis(300);
/// What a family that holds still gets to come to rest, and how often that is looked at.
const REST_PATIENCE: Duration = Duration::from_millis(40);
const REST_STEP: Duration = Duration::from_millis(2);
/// Largest time between two looks at a family.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// As good as no deadline.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// What the copy of its parent that becomes the program may still be charged with before it is the program, bytes: some 3 MiB were seen
/// (Linux 6.18). A smaller program has the figure that was sampled.
const COPY_GROWTH: u64 = 8 << 20;
/// How long a run is not looked at once it begins to create its workers.
const LAUNCH_ALONE: Duration = Duration::from_millis(150);

/// A connection of the root or of one worker.
pub struct Conn {
    pub stream: UnixStream,
    peer: i32,
    buffer: Vec<u8>,
    next: u64,
    root: bool,
    refused: u64,
    closed: bool,
}

/// How far the end of the run is.
struct Ending {
    since: Instant,
    /// Every process but a tracker is killed from here on.
    kill_at: Instant,
    order: family::Order,
    reason: Option<KillReason>,
}

/// What is done about processes that outlive the root.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Leftovers {
    /// Those known to be of the run are killed: this process has other children too.
    EndMarked,
    /// Every descendant of this process is of the run, and is killed.
    EndAll,
    /// They go on.
    Leave,
}

/// A run.
pub struct Active {
    pub id: u32,
    pub listener: Option<UnixListener>,
    pub output: Option<PipeReader>,
    pub conns: Vec<Conn>,
    pub root: i32,
    spec: RunSpec,
    root_gone: bool,
    birth: Option<Arc<Birth>>,
    group: Option<Group>,
    dir: Option<PathBuf>,
    leftovers: Leftovers,
    /// Most memory that one of its processes has ever had resident, where that is known to be of the program itself.
    max_rss_bytes: Option<u64>,
    known: HashSet<(i32, u64)>,
    deadline: Instant,
    ending: Option<Ending>,
    next_look: Instant,
    /// Since when the root holds still to be looked at.
    held_since: Option<Instant>,
    /// Whether the work is done and the root stays to be looked at by a person.
    stays: bool,
    ready: u32,
    usage: Usage,
    orphans: HashSet<i32>,
    ended: bool,
}

impl Active {
    pub fn new(id: u32, spec: RunSpec, started: Started, leftovers: Leftovers) -> Self {
        let now = Instant::now();
        Self {
            id,
            listener: started.listener,
            output: started.output,
            conns: Vec::new(),
            root: started.root,
            deadline: now + Duration::from_millis(spec.timeout_ms),
            spec,
            root_gone: false,
            birth: started.birth,
            group: started.group,
            dir: started.dir,
            leftovers,
            max_rss_bytes: None,
            known: HashSet::new(),
            ending: None,
            next_look: now + Duration::from_millis(50),
            held_since: None,
            stays: false,
            ready: 0,
            usage: Usage::default(),
            orphans: HashSet::new(),
            ended: false,
        }
    }

    /// Whether nothing is left of it.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The latest time of the next [`Active::tick`].
    pub fn wake_at(&self) -> Instant {
        if self.ending.is_some() { self.next_look } else { self.next_look.min(self.deadline) }
    }

    /// Takes in those who knock.
    pub fn accept(&mut self, out: &mut Vec<Notice>) {
        let most = self.spec.workers as usize * 4 + CONNECTIONS_SPARE;
        while let Some(Ok((stream, _))) = self.listener.as_ref().map(UnixListener::accept) {
            let peer = getsockopt(&stream, PeerCredentials).map(|c| c.pid());
            match (peer, stream.set_nonblocking(true)) {
                (Ok(peer), Ok(())) if self.conns.len() < most => self.conns.push(Conn {
                    stream,
                    peer,
                    buffer: Vec::new(),
                    next: 0,
                    root: peer == self.root,
                    refused: 0,
                    closed: false,
                }),
                _ => out.push(self.lost(1, format!("a connection was refused: the run already has {most}"))),
            }
        }
    }

    fn lost(&self, count: u64, why: String) -> Notice {
        Notice::Lost { run: self.id, count, why }
    }

    /// Reads what the run has printed.
    pub fn read_output(&mut self, out: &mut Vec<Notice>) {
        let Some(pipe) = &mut self.output else { return };
        let mut bytes = [0; 16 * 1024];
        // One buffer at a time: a run that prints without end must not keep the helper from the others.
        match pipe.read(&mut bytes) {
            Ok(0) => self.output = None,
            Ok(n) => out.push(Notice::Output { run: self.id, text: String::from_utf8_lossy(&bytes[..n]).into_owned() }),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.output = None,
        }
    }

    /// Reads what connection `i` has to say.
    pub fn read_conn(&mut self, i: usize, out: &mut Vec<Notice>) {
        let Some(conn) = self.conns.get_mut(i) else { return };
        let mut bytes = [0; 64 * 1024];
        match conn.stream.read(&mut bytes) {
            Ok(0) => conn.closed = true,
            Ok(n) => conn.buffer.extend_from_slice(&bytes[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            Err(_) => conn.closed = true,
        }
        let mut buffer = std::mem::take(&mut conn.buffer);
        let mut begin = 0;
        while let Some(length) = buffer[begin..].iter().position(|b| *b == b'\n') {
            self.take_line(i, &buffer[begin..begin + length], out);
            begin += length + 1;
        }
        buffer.drain(..begin);
        if buffer.len() > MAX_LINE_BYTES {
            self.refuse(i, &LineError::TooLong.to_string(), true, out);
            buffer.clear();
        }
        if let Some(conn) = self.conns.get_mut(i) {
            conn.buffer = buffer;
        }
    }

    /// Forgets connections that have ended.
    pub fn sweep(&mut self) {
        self.conns.retain(|c| !c.closed);
    }

    fn refuse(&mut self, i: usize, why: &str, close: bool, out: &mut Vec<Notice>) {
        let Some(conn) = self.conns.get_mut(i) else { return };
        conn.refused += 1;
        conn.closed |= close || conn.refused >= REFUSALS;
        let end = if conn.closed { "; its connection was closed" } else { "" };
        let why = format!("process {} sent an invalid line: {why}{end}", conn.peer);
        out.push(self.lost(1, why));
    }

    fn take_line(&mut self, i: usize, bytes: &[u8], out: &mut Vec<Notice>) {
        let Some(conn) = self.conns.get_mut(i).filter(|c| !c.closed) else { return };
        let line = match parse_line(bytes) {
            Ok(line) => line,
            Err(error) => {
                let close = matches!(error, LineError::Version { .. });
                return self.refuse(i, &error.to_string(), close, out);
            }
        };
        // The root speaks for the workers that it has created; every other process for itself.
        if line.pid != conn.peer && !conn.root {
            return self.refuse(i, &format!("the line claims to come from process {}", line.pid), false, out);
        }
        let gap = line.n.saturating_sub(conn.next);
        conn.next = line.n + 1;
        let phase = match &line.message {
            Message::Phase { name } if conn.root => Some(name.as_str()),
            _ => None,
        };
        let held = phase == Some("inspect");
        if phase == Some("launch") {
            // What is timed now takes microseconds on two CPUs: a look would be timed with it.
            self.next_look = self.next_look.max(Instant::now() + LAUNCH_ALONE);
        }
        let stays = phase.map(|name| name == "hold");
        let ready = matches!(line.message, Message::Ready { .. });
        if gap > 0 {
            out.push(self.lost(gap, String::new()));
        }
        out.push(Notice::Line { run: self.id, line });
        if let Some(stays) = stays {
            self.stays = stays;
            if stays {
                // What it has cost is wanted now, not when it has been looked at for long enough.
                self.next_look = Instant::now();
            }
        }
        if held {
            self.held_since = Some(Instant::now());
            self.next_look = Instant::now();
        } else if ready {
            self.ready += 1;
            if self.ready == self.spec.workers {
                // A run that does not hold still is looked at when all its workers are first known to be there.
                self.next_look = Instant::now();
            }
        }
    }

    /// A child of the helper has ended and was waited for at `t`. True if it was of this run.
    pub fn child_ended(
        &mut self,
        pid: i32,
        status: u32,
        usage: Usage,
        max_rss_bytes: u64,
        t: u64,
        out: &mut Vec<Notice>,
    ) -> bool {
        if let Some(began) = self.birth.as_deref().and_then(Birth::noted)
            && max_rss_bytes > began.max_rss_bytes + COPY_GROWTH
        {
            // A program starts as a copy of its parent: what is not above that may be the parent's.
            self.max_rss_bytes = self.max_rss_bytes.max(Some(max_rss_bytes));
        }
        if pid == self.root && !self.root_gone {
            self.root_gone = true;
            self.usage += usage;
            self.drain(out);
            out.push(Notice::RootEnded {
                run: self.id,
                t,
                status,
                used: usage,
                began: self.birth.as_deref().and_then(Birth::noted),
            });
            if self.leftovers == Leftovers::Leave {
                let left = self.family().iter().filter(|p| !p.is_dead()).count();
                self.finish(None, u32::try_from(left).unwrap_or(u32::MAX), out);
            } else {
                self.end(GRACE, None);
            }
            return true;
        }
        let mine = self.leftovers == Leftovers::EndAll || self.known.iter().any(|(known, _)| *known == pid);
        if mine {
            self.usage += usage;
        }
        mine
    }

    /// Signals the root. It is a child of this process and not yet waited for, so its number cannot be another's.
    pub fn signal(&self, number: i32) {
        if !self.root_gone {
            sys::signal_child(self.root, number);
        }
    }

    /// Lets the run stay when its time is over, until it is killed.
    pub fn keep(&mut self) {
        if let Some(dir) = &self.dir
            && std::fs::write(dir.join(KEPT), "").is_ok()
        {
            self.deadline = Instant::now() + FOREVER;
        }
    }

    /// Kills the run.
    pub fn kill(&mut self, reason: KillReason) {
        self.end(Duration::ZERO, Some(reason));
    }

    fn end(&mut self, grace: Duration, reason: Option<KillReason>) {
        let now = Instant::now();
        let ending = self.ending.get_or_insert_with(|| Ending {
            since: now,
            kill_at: now + grace,
            order: family::Order::default(),
            reason,
        });
        ending.kill_at = ending.kill_at.min(now + grace);
        self.next_look = now;
    }

    /// Everything that can still be read of it.
    fn drain(&mut self, out: &mut Vec<Notice>) {
        self.accept(out);
        for i in 0..self.conns.len() {
            let before = |c: &Self| c.conns.get(i).is_some_and(|c| !c.closed);
            // As long as there is something: a worker that writes for ever is killed a moment later.
            for _ in 0..64 {
                let notices = out.len();
                self.read_conn(i, out);
                if !before(self) || out.len() == notices {
                    break;
                }
            }
        }
        for _ in 0..64 {
            let notices = out.len();
            self.read_output(out);
            if out.len() == notices {
                break;
            }
        }
        self.sweep();
    }

    /// Takes the steps whose time has come: a look at the family, the deadline, the next step of the end.
    pub fn tick(&mut self, out: &mut Vec<Notice>) {
        let now = Instant::now();
        if self.ending.is_none() && now >= self.deadline {
            self.kill(KillReason::TimedOut);
        }
        if now < self.next_look {
            return;
        }
        if self.ending.is_some() {
            self.step_to_end(out);
        } else if let Some(since) = self.held_since {
            self.look_at_rest(since, out);
        } else {
            // A program that reports no workers has no better moment.
            self.look(false, self.ready >= self.spec.workers || self.spec.is_own(), out);
        }
    }

    /// The root has asked to be looked at. A worker that has just reported is still on its way to sleep: the look that counts is the first
    /// that finds every process asleep, or the last within a short time, as some never are.
    fn look_at_rest(&mut self, since: Instant, out: &mut Vec<Notice>) {
        // What the workers have said before the root asked belongs to the same picture.
        self.accept(out);
        for i in 0..self.conns.len() {
            self.read_conn(i, out);
        }
        let busy = self.family().iter().any(|p| p.state == 'R' || family::any_running(p));
        if busy && since.elapsed() < REST_PATIENCE {
            self.next_look = Instant::now() + REST_STEP;
            return;
        }
        self.held_since = None;
        self.look(true, true, out);
        for conn in self.conns.iter_mut().filter(|c| c.root) {
            // If it does not arrive the run goes on after its own patience.
            let _ = conn.stream.write_all(b"go\n");
        }
    }

    fn family(&mut self) -> Vec<Proc> {
        let all: HashMap<i32, Proc> = family::scan();
        let me = nix::unistd::getpid().as_raw();
        // A process in the run's control group is of the run, at any place in the tree.
        let inside = self.group.iter().flat_map(Group::members).filter_map(|pid| all.get(&pid));
        self.known.extend(inside.map(|p| (p.pid, p.start)));
        let mine = |p: &Proc| self.leftovers == Leftovers::EndAll || family::carries(p, self.id);
        let members = family::members(&all, me, self.root, mine, &self.known);
        self.known.extend(members.iter().map(|p| (p.pid, p.start)));
        members
    }

    fn look(&mut self, held: bool, exact: bool, out: &mut Vec<Notice>) {
        let began = Instant::now();
        let members = self.family();
        let exact = if exact { read_exact(&members) } else { HashMap::new() };
        // A sum without one of them would be too small: then there is none.
        let pss_bytes = members.iter().filter(|p| !p.is_dead()).map(|p| exact.get(&p.pid).map(|m| m.0)).sum();
        out.push(Notice::Family {
            run: self.id,
            t: monotonic_ns(),
            members: members.iter().map(|p| to_member(p, held, exact.get(&p.pid))).collect(),
            pss_bytes,
            held,
            cpu_ns: if self.stays {
                members.iter().map(|p| process_cpu_ns(p.pid).map(|own| own + p.waited_cpu_ns)).sum()
            } else {
                None
            },
        });
        // A look may cost a fiftieth of a CPU at most.
        self.next_look = Instant::now() + LOOK_EVERY.max(began.elapsed() * 50);
    }

    fn step_to_end(&mut self, out: &mut Vec<Notice>) {
        let began = Instant::now();
        // A subreaper without children has no descendants: no need to look at all processes.
        let none = self.leftovers == Leftovers::EndAll && sys::childless();
        let members = if none { Vec::new() } else { self.family() };
        let Some(ending) = &mut self.ending else { return };
        if members.is_empty() && self.root_gone {
            let reason = ending.reason;
            self.finish(reason, 0, out);
            return;
        }
        if began >= ending.kill_at {
            if ending.reason.is_some() && !members.iter().any(|p| family::is_tracker(p.pid)) {
                self.group.iter().for_each(Group::kill);
            }
            match ending.order.next(&members, began) {
                Step::Stop(targets) => targets.iter().for_each(|target| _ = sys::stop(target)),
                Step::Kill(targets) => {
                    for target in targets.iter().filter(|target| sys::kill(target)) {
                        if ending.reason.is_none() {
                            self.orphans.insert(target.pid);
                        }
                    }
                }
            }
        }
        // Soon, as most end at once; less often the longer it takes: a process in an uninterruptible sleep ends when its device answers.
        let pause = (began - ending.since) / 8;
        self.next_look = Instant::now() + pause.clamp(Duration::from_millis(2), Duration::from_millis(250)).max(began.elapsed());
    }

    fn finish(&mut self, killed: Option<KillReason>, left_running: u32, out: &mut Vec<Notice>) {
        self.drain(out);
        let memory_peak_bytes = self.group.as_ref().and_then(Group::memory_peak_bytes);
        self.group = None;
        if let Some(dir) = self.dir.as_deref().filter(|_| left_running == 0) {
            objects::remove_of_run(dir);
            // Nothing in it is worth a failure of the run.
            let _ = std::fs::remove_dir_all(dir);
        }
        let orphans = u32::try_from(self.orphans.len()).unwrap_or(u32::MAX);
        let (run, t, usage, max_rss_bytes) = (self.id, monotonic_ns(), self.usage, self.max_rss_bytes);
        out.push(Notice::Ended { run, t, usage, memory_peak_bytes, max_rss_bytes, left_running, orphans, killed });
        self.ended = true;
    }
}

fn to_member(p: &Proc, held: bool, exact: Option<&(u64, u64)>) -> Member {
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().and_then(|n| u64::try_from(n).ok());
    let rss_bytes = if p.is_dead() { None } else { page.map(|page| p.rss_pages * page) };
    let (command, waits) = if held && !p.is_dead() { (family::command(p.pid), family::waits(p.pid)) } else { Default::default() };
    let (pss_bytes, uss_bytes) = exact.copied().unzip();
    Member { pid: p.pid, ppid: p.ppid, state: p.state, nlwp: p.nlwp, rss_bytes, pss_bytes, uss_bytes, command, waits }
}

/// PSS and USS of the living members that can be read within the time for it, bytes.
fn read_exact(members: &[Proc]) -> HashMap<i32, (u64, u64)> {
    let began = Instant::now();
    let living = members.iter().filter(|p| !p.is_dead()).take_while(|_| began.elapsed() <= PSS_BUDGET);
    living.filter_map(|p| Some((p.pid, family::pss_uss_bytes(p.pid)?))).collect()
}
