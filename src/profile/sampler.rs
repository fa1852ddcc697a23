//! Reads stacks and waits of a family of processes many times a second.
//!
//! A task that was given no CPU since the look before (`schedstat`) has neither moved nor changed what it waits for: only the others are
//! read again. CPU time is the kernel's exact figure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Mode, Place, Profile};
use crate::clock::thread_cpu_ns;
use crate::inspect::{Attached, Looked, Stack};
use crate::kernel::DetailReader;
use crate::kernel::error::ReadError;
use crate::kernel::parse::schedstat::Schedstat;
use crate::kernel::proc_fs::RelPath;
use crate::snapshot::{Comm, DetailContent, DetailPart, Endpoint, ProcKey, State, TaskWait, ThreadDetail, WaitReason};

/// How often births in the family are looked for.
const FAMILY_EVERY: Duration = Duration::from_millis(500);
/// The most processes, and tasks of each.
const MOST_PROCESSES: usize = 512;
const MOST_TASKS: usize = 4096;
/// The most sockets whose two ends are looked up: each takes reading tables.
const MOST_SOCKETS: usize = 64;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which time is counted.
    pub mode: Mode,
    /// How long.
    pub duration: Duration,
    /// Looks per second.
    pub rate_hz: f64,
    /// Whether each thread has a branch of its own.
    pub threads: bool,
}

/// A task between two looks.
struct Task {
    schedstat: Schedstat,
    detail: Option<ThreadDetail>,
    /// Outermost first; `None` for one that has no Python frames.
    frames: Option<Arc<[Place]>>,
    wait: Option<Arc<str>>,
    torn: bool,
}

struct Process {
    name: Arc<str>,
    python: Attached,
    is_python: bool,
    tasks: HashMap<i32, Task>,
    gone: bool,
}

/// Lists the processes that belong to the family now.
type Family<'f> = Box<dyn FnMut(&DetailReader) -> Vec<i32> + 'f>;

/// The sampler of one family.
pub struct Sampler<'f> {
    reader: DetailReader,
    options: Options,
    family: Family<'f>,
    processes: HashMap<i32, Process>,
    sockets: HashMap<(i32, i32), Arc<str>>,
    profile: Profile,
    seen: HashSet<(i32, i32)>,
}

impl<'f> Sampler<'f> {
    /// `family` lists the processes that belong to it now.
    #[must_use]
    pub fn new(reader: DetailReader, options: Options, family: impl FnMut(&DetailReader) -> Vec<i32> + 'f) -> Self {
        let mut profile = Profile::new(options.mode);
        profile.account.rate_hz = options.rate_hz;
        Self {
            reader,
            options,
            family: Box::new(family),
            processes: HashMap::new(),
            sockets: HashMap::new(),
            profile,
            seen: HashSet::new(),
        }
    }

    /// Samples for the whole time, or until the last process has ended.
    #[must_use]
    pub fn run(self) -> Profile {
        self.run_while(|_| true)
    }

    /// The same as long as `goes_on` says so, which is given the profile so far after each look.
    #[must_use]
    pub fn run_while(mut self, mut goes_on: impl FnMut(&Profile) -> bool) -> Profile {
        let began = Instant::now();
        let cpu = thread_cpu_ns();
        let period = Duration::from_secs_f64(1.0 / self.options.rate_hz);
        let mut family_at: Option<Instant> = None;
        let mut due = began;
        let mut last = began;
        while began.elapsed() < self.options.duration {
            if family_at.is_none_or(|at| at.elapsed() >= FAMILY_EVERY) {
                self.meet_family();
                family_at = Some(Instant::now());
            }
            let now = Instant::now();
            self.look(now.duration_since(last).as_nanos() as u64);
            last = now;
            self.profile.account.looks += 1;
            self.processes.retain(|_, process| !process.gone);
            let account = &mut self.profile.account;
            account.wall_ns = began.elapsed().as_nanos() as u64;
            account.cost_ns = thread_cpu_ns().saturating_sub(cpu);
            account.tasks = self.seen.len();
            if !goes_on(&self.profile) || self.processes.is_empty() {
                break;
            }
            due += period;
            let now = Instant::now();
            if due <= now {
                let late = (now.duration_since(due).as_secs_f64() / period.as_secs_f64()) as u32;
                self.profile.account.missed += u64::from(late);
                due += period * late;
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let account = &mut self.profile.account;
        account.wall_ns = began.elapsed().as_nanos() as u64;
        account.cost_ns = thread_cpu_ns().saturating_sub(cpu);
        self.profile
    }

    /// Takes in the processes that are new.
    fn meet_family(&mut self) {
        let pids = (self.family)(&self.reader);
        if pids.len() > MOST_PROCESSES {
            let note = format!("Only {MOST_PROCESSES} of {} processes are sampled.", pids.len());
            if !self.profile.account.notes.contains(&note) {
                self.profile.account.notes.push(note);
            }
        }
        for pid in pids.into_iter().take(MOST_PROCESSES) {
            let Ok(key) = self.reader.key_of(pid) else { continue };
            if self.processes.get(&pid).is_some_and(|known| known.python.key() == key) {
                continue;
            }
            let comm = self.reader.threads_among(pid, &[self.reader.face(pid)]).first().map(|task| text_of(&task.comm));
            let name = comm.unwrap_or_else(|| "?".into());
            self.profile.account.processes += 1;
            let (python, tasks) = (Attached::new(key), HashMap::new());
            self.processes.insert(pid, Process { name, python, is_python: false, tasks, gone: false });
        }
    }

    fn look(&mut self, elapsed_ns: u64) {
        let pids: Vec<i32> = self.processes.keys().copied().collect();
        for pid in pids {
            let Some(mut process) = self.processes.remove(&pid) else { continue };
            match self.look_at(&mut process, elapsed_ns) {
                Ok(()) => {}
                Err(ReadError::Vanished) => process.gone = true,
                Err(_) => self.profile.account.unknown += 1,
            }
            self.processes.insert(pid, process);
        }
    }

    fn look_at(&mut self, process: &mut Process, elapsed_ns: u64) -> Result<(), ReadError> {
        let pid = process.python.key().pid;
        let mut tids = Vec::new();
        self.reader.files().list_tids(pid, &mut tids)?;
        tids.truncate(MOST_TASKS);
        process.tasks.retain(|tid, _| tids.binary_search(tid).is_ok());
        // Those that ran since the look before, and how long.
        let mut ran: HashMap<i32, u64> = HashMap::new();
        let mut fresh: Vec<i32> = Vec::new();
        for tid in &tids {
            let mut buffer = [0u8; 128];
            let bytes = self.reader.files().read_once(&RelPath::task(pid, *tid, "schedstat"), &mut buffer);
            let Some(now) = bytes.ok().and_then(|bytes| Schedstat::parse(bytes).ok()) else { continue };
            let before = process.tasks.get(tid);
            if before.is_none_or(|task| task.schedstat != now || task.torn || runs(task)) {
                fresh.push(*tid);
            }
            ran.insert(*tid, before.map_or(0, |task| now.run_ns.saturating_sub(task.schedstat.run_ns)));
            let task =
                process.tasks.entry(*tid).or_insert(Task { schedstat: now, detail: None, frames: None, wait: None, torn: false });
            task.schedstat = now;
        }
        let holders = self.read_again(process, &fresh);
        for tid in &tids {
            self.count(process, *tid, ran.get(tid).copied().unwrap_or(0), elapsed_ns, &holders);
        }
        Ok(())
    }

    /// Reads the stacks and waits of these tasks; which tasks hold a GIL.
    fn read_again(&mut self, process: &mut Process, fresh: &[i32]) -> HashSet<i32> {
        let pid = process.python.key().pid;
        let mut holders = HashSet::new();
        let mut gils = HashMap::new();
        match process.python.look(&self.reader, |tid| fresh.binary_search(&tid).is_ok()) {
            Looked::Threads(threads) => {
                self.profile.account.pythons += usize::from(!std::mem::replace(&mut process.is_python, true));
                for thread in threads {
                    if thread.holds_gil {
                        holders.insert(thread.tid);
                    }
                    gils.insert(thread.tid, thread.gil_futexes);
                    let Some(task) = process.tasks.get_mut(&thread.tid) else { continue };
                    match thread.stack {
                        Stack::Skipped => {}
                        Stack::Torn => task.torn = true,
                        Stack::Frames(frames) => {
                            task.torn = false;
                            task.frames = (!frames.is_empty()).then(|| places(frames));
                        }
                    }
                }
            }
            // What was to be read again is not known now.
            Looked::Failed => fresh.iter().for_each(|tid| {
                if let Some(task) = process.tasks.get_mut(tid) {
                    task.torn = true;
                }
            }),
            Looked::Unreadable(why) => self.profile.account.notes.push(format!("process {pid}: {why}")),
            // After an exec there are no functions of the program before.
            Looked::NotPython => process.tasks.values_mut().for_each(|task| (task.torn, task.frames) = (false, None)),
        }
        for detail in self.reader.threads_among(pid, fresh) {
            let within_gil = |address: u64| gils.get(&detail.tid).is_some_and(|gil| gil.contains(&address));
            let wait = detail.wait.as_ref().and_then(|wait| match &wait.reason {
                Some(WaitReason::Futex { address: Some(address) }) if within_gil(*address) => Some("waits for the GIL".into()),
                _ => self.in_words(process.python.key(), wait),
            });
            let waits_in_kernel = !matches!(detail.state, State::RUNNING);
            if let Some(task) = process.tasks.get_mut(&detail.tid) {
                let unknown = || if waits_in_kernel { Some("waits, reason unknown".into()) } else { None };
                task.wait = wait.or_else(unknown);
                task.detail = Some(detail);
            }
        }
        holders
    }

    /// What a task waits for, the other end of a socket included.
    fn in_words(&mut self, key: ProcKey, wait: &TaskWait) -> Option<Arc<str>> {
        match wait.reason.as_ref()? {
            WaitReason::Io { what: Endpoint::Socket, fd: Some(fd), direction } => {
                if let Some(known) = self.sockets.get(&(key.pid, *fd)) {
                    return Some(Arc::clone(known));
                }
                let plain = wait.reason.as_ref()?.to_string();
                if self.sockets.len() >= MOST_SOCKETS {
                    return Some(plain.into());
                }
                let files = self.reader.read(key, DetailPart::Files).ok()?.content.ok()?;
                let DetailContent::Files(files) = files else { return Some(plain.into()) };
                let end = files.iter().find(|file| file.fd == *fd).and_then(|file| file.socket.clone());
                let verb = if *direction == crate::snapshot::Direction::Read { "reads" } else { "writes" };
                let words: Arc<str> = end.map_or(plain, |end| format!("{verb} {end}")).into();
                self.sockets.insert((key.pid, *fd), Arc::clone(&words));
                Some(words)
            }
            // Addresses differ from run to run and split what is the same.
            WaitReason::Futex { .. } => Some("futex wait".into()),
            reason => Some(reason.to_string().into()),
        }
    }

    /// Adds a task's time since the look before.
    fn count(&mut self, process: &Process, tid: i32, ran_ns: u64, elapsed_ns: u64, holders: &HashSet<i32>) {
        let Some(task) = process.tasks.get(&tid) else { return };
        self.seen.insert((process.python.key().pid, tid));
        self.profile.account.samples += 1;
        if task.torn {
            self.profile.account.torn += 1;
            return;
        }
        let ns = match self.options.mode {
            Mode::Wall => elapsed_ns,
            Mode::Cpu => ran_ns,
            Mode::Gil if holders.contains(&tid) => elapsed_ns,
            Mode::Gil => 0,
        };
        if ns == 0 {
            return;
        }
        let mut stack = Vec::new();
        if self.options.threads {
            stack.push(Place::Task(format!("process {} {}", process.python.key().pid, process.name).into()));
            let comm = task.detail.as_ref().map_or_else(|| "?".into(), |detail| text_of(&detail.comm));
            stack.push(Place::Task(format!("thread {tid} {comm}").into()));
        }
        match &task.frames {
            Some(frames) => stack.extend(frames.iter().cloned()),
            None => {
                let comm = task.detail.as_ref().map_or_else(|| Arc::clone(&process.name), |detail| text_of(&detail.comm));
                stack.push(Place::Program(comm));
                let wait = task.detail.as_ref().and_then(|detail| detail.wait.as_ref());
                if let Some(function) = wait.and_then(|wait| wait.wchan.as_deref()).filter(|_| self.options.mode == Mode::Wall) {
                    stack.push(Place::Program(format!("kernel: {function}").into()));
                }
            }
        }
        if self.options.mode == Mode::Wall
            && let Some(wait) = &task.wait
        {
            stack.push(Place::Wait(Arc::clone(wait)));
        }
        self.profile.add(&stack, ns);
    }
}

/// Whether it was on a CPU or ready for one: its figures in `schedstat` may stand still for a tick of the scheduler.
fn runs(task: &Task) -> bool {
    task.detail.as_ref().is_none_or(|detail| detail.state == State::RUNNING)
}

fn places(frames: Vec<crate::snapshot::PythonFrame>) -> Arc<[Place]> {
    let place = |frame: crate::snapshot::PythonFrame| {
        let own = frame.is_own();
        Place::Function { function: frame.function, file: frame.file, line: frame.line, own }
    };
    frames.into_iter().rev().map(place).collect()
}

fn text_of(comm: &Comm) -> Arc<str> {
    String::from_utf8_lossy(comm.as_bytes()).into()
}

/// The process of this key and all that descend from it; none once it has ended.
#[must_use]
pub fn family(reader: &DetailReader, key: ProcKey) -> Vec<i32> {
    if reader.identify(key).is_ok() { descendants(reader, key.pid) } else { Vec::new() }
}

/// A process and all that descend from it (`/proc/PID/task/TID/children`, proc_pid_task_tid_children(5)).
#[must_use]
pub fn descendants(reader: &DetailReader, pid: i32) -> Vec<i32> {
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(pid) = found.get(at).copied().filter(|_| found.len() <= MOST_PROCESSES) {
        at += 1;
        let mut tids = Vec::new();
        if reader.files().list_tids(pid, &mut tids).is_err() {
            continue;
        }
        for tid in tids {
            let mut bytes = Vec::new();
            if reader.files().read_all(&RelPath::task(pid, tid, "children"), 1 << 20, &mut bytes).is_err() {
                continue;
            }
            let words = bytes.split(|byte| *byte == b' ').filter_map(|word| std::str::from_utf8(word).ok()?.trim().parse().ok());
            found.extend(words.filter(|child: &i32| *child > 0));
        }
    }
    found.dedup();
    found
}
