//! Surveys the machine for problems: the waits of all tasks, the threads that ran, limits of control groups, and what Python threads do.
//! What has not run since the survey before is not read again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::causes::{self, Kind, Patience, Problem, Ran, Reader, Scene, TaskId, Wait};
use crate::clock::{Clock as _, SystemClock, thread_cpu_ns};
use crate::kernel::control::signals;
use crate::kernel::error::ReadError;
use crate::kernel::groups::Hierarchies;
use crate::kernel::proc_fs::{ProcFs, RelPath};
use crate::kernel::program::is_python;
use crate::kernel::readers::{within, within_cpu_ns};
use crate::kernel::slept::Slept;
use crate::kernel::treatment::{Treatment, descriptor_limit_of, treatment};
use crate::snapshot::{
    AsyncCause, AsyncStuck, Facts, Looked, PoolRole, ProcKey, ProcessFacts, PythonFacts, PythonThreadFacts, Scope, SharedObject,
    Snapshot, Stuck, ThreadRan,
};

use super::files::{busiest_futex, library, maps, variables};
use super::groups::{Groups, Member};
use super::pythons::{self, Pythons, advice, in_python, may_rest};
use super::{APART, BETWEEN, asleep, async_tasks, name, pace, python_locks, shared_memory, trio_tasks};

/// How long the small files of one process may take.
const PATIENCE: Duration = Duration::from_millis(500);
/// Readings of a Python process in one survey.
const READINGS: usize = 8;
/// The most Python processes that are read so often in one survey, and the most that are read once.
const MOST_BUSY: usize = 8;
const MOST_OTHERS: usize = 32;
/// When a survey has used so much CPU time for Python processes, nanoseconds, none that has rested for long is read in it any more, and none
/// that is not busy. At least one is read.
const EXPENSIVE_NS: u64 = 20_000_000;
const TOO_EXPENSIVE_NS: u64 = 80_000_000;
/// So many times as much for a command that is to find all: see [`Surveyor::thorough`].
const THOROUGH: u64 = 25;
/// Readings of a Python process that failed before it counts as read: it runs no CPython that can be read, or it changes all the time.
const MOST_FAILED: u8 = 3;
/// Surveys after which is looked again for what may come later: an event loop, a library.
const RARELY: u64 = 10;
/// The most threads of one process whose sleep is looked at in each reading.
const MOST_THREADS: usize = 64;
/// How often objects in shared memory are looked for.
const OBJECTS_EVERY: Duration = Duration::from_secs(4);
/// The most threads of it that are looked at.
const MOST_AT_FUTEX: usize = 16;
/// Names of the tasks of one problem.
const MOST_LINES: usize = 8;

/// The threads that ran, by process and TID.
type AllRan = BTreeMap<i32, BTreeMap<i32, Ran>>;

/// What is kept of a process from one survey to the next.
#[derive(Debug)]
struct Kept {
    key: ProcKey,
    /// See [`Reader::image`]: nothing below is of a program that the process executed before.
    image: Option<(u64, u64)>,
    treatment: Treatment,
    cgroup: Vec<u8>,
    descriptors: Option<(u64, Option<u64>)>,
    ignored: Arc<str>,
    /// When the main thread went to sleep, if it slept.
    slept: Option<Slept>,
    is_python: bool,
    /// The survey in which this was read: before it the process was new, or had run.
    rests_from: u64,
    /// While no task of it runs.
    python: Option<Arc<PythonFacts>>,
    /// The survey in which its Python was last read; 0 before the first time.
    read_at: u64,
    /// How many readings since then have failed.
    failed: u8,
    /// Whether it had an event loop of asyncio or trio then.
    has_loop: bool,
    /// Tasks that waited for locks of each other when its Python was last read: that stays so while others run.
    cycle: Option<AsyncStuck>,
    /// In which survey it was looked for, and what was found.
    library: Option<(u64, Option<&'static str>)>,
    /// Whether gevent is loaded.
    gevent: Option<bool>,
    variables: Vec<(String, String)>,
}

/// One survey.
#[derive(Debug)]
pub struct Survey {
    /// What was found, as plain data.
    pub facts: Facts,
    /// The waits of all tasks.
    pub scene: Scene,
    /// Waits that no task can end, worst first.
    pub problems: Vec<Problem>,
    /// Python functions of the tasks of the problems.
    pub pythons: Pythons,
}

/// Makes one survey after the other.
#[derive(Debug)]
pub struct Surveyor {
    scope: Scope,
    thorough: bool,
    fs: Arc<ProcFs>,
    reader: Reader,
    groups: Groups,
    /// Surveys so far.
    surveys: u64,
    /// See [`Surveyor::prefer`].
    preferred: HashSet<i32>,
    /// CPU time of the newest survey, nanoseconds: of all that comes again in the next one, and of readings of Python processes that run.
    cost_ns: u64,
    running_ns: u64,
    kept: HashMap<i32, Kept>,
    python_locks: python_locks::Known,
    objects: Option<(Instant, Option<Vec<SharedObject>>)>,
    opened: shared_memory::Opened,
}

impl Surveyor {
    /// Of this machine.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn new() -> Result<Self, ReadError> {
        let fs = Arc::new(ProcFs::open("/proc")?);
        let groups = Groups::new(Hierarchies::read(&fs));
        let reader = Reader::new(Arc::clone(&fs));
        let (kept, opened, python_locks) = (HashMap::new(), HashMap::new(), python_locks::Known::new());
        Ok(Self {
            scope: Scope::Everything,
            thorough: false,
            reader,
            fs,
            groups,
            surveys: 0,
            preferred: HashSet::new(),
            cost_ns: 0,
            running_ns: 0,
            kept,
            python_locks,
            objects: None,
            opened,
        })
    }

    /// Of this machine, and of waits only.
    ///
    /// # Errors
    /// See [`Surveyor::new`].
    pub fn of_waits() -> Result<Self, ReadError> {
        Ok(Self { scope: Scope::Waits, ..Self::new()? })
    }

    /// With time for every Python process in each survey: for a command whose user waits for it.
    #[must_use]
    pub fn thorough(self) -> Self {
        Self { thorough: true, ..self }
    }

    /// How long a monitor waits before the next survey, so that surveys take little of a CPU. What is read once only does not count.
    #[must_use]
    pub fn pause(&self) -> Duration {
        let pause = pace::pause(self.cost_ns, self.running_ns, self.kept.len());
        // From then on it is only looked whether what was found is still there.
        if self.scope == Scope::Waits && self.surveys > 1 { pause.max(pace::LOOK_AGAIN) } else { pause }
    }

    /// Python processes of which these are read first: not all are in one survey.
    pub fn prefer(&mut self, pids: HashSet<i32>) {
        self.preferred = pids;
    }

    /// See [`Reader::tell`].
    pub fn tell(&mut self, newest: Option<Arc<Snapshot>>) {
        self.reader.tell(newest);
    }

    /// Surveys the machine.
    ///
    /// # Errors
    /// If the processes cannot be listed.
    pub fn survey(&mut self) -> Result<Survey, ReadError> {
        let (taken_ns, begun_ns) = (SystemClock.boot_ns(), cpu_ns());
        self.surveys += 1;
        let mut scene = self.reader.read(Patience { apart: APART })?;
        python_locks::note(&self.fs, &self.reader, &mut scene, &mut self.python_locks);
        let mut problems = causes::problems(&scene);
        // All that is stuck is part of a problem, or behind one.
        let held: Vec<TaskId> = problems.iter().flat_map(|one| one.tasks.iter().chain(&one.behind).copied()).collect();
        if self.reader.confirm(&mut scene, held) {
            problems = causes::problems(&scene);
        }
        let pythons = Pythons::read(&scene, problems.iter().flat_map(|problem| problem.tasks.iter().copied()));
        problems.retain(|problem| !may_rest(&scene, problem, &pythons));
        let span = self.reader.span().unwrap_or_default();
        let span_ns = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let ran = self.reader.ran();
        self.groups.begin();
        for pid in self.reader.changed() {
            self.opened.remove(pid);
            if self.kept.get(pid).is_some_and(|kept| scene.processes.get(pid).is_none_or(|process| process.key != kept.key)) {
                self.kept.remove(pid);
            }
        }
        let mut facts = Facts { scope: self.scope, taken_ns, span_ns, ..Facts::default() };
        for (pid, process) in &scene.processes {
            let mut one = self.process(process.key, ran.get(pid), span_ns);
            one.waits_for_child = process.tasks.values().any(|task| matches!(task.wait, Wait::Child(Some(_))));
            facts.processes.insert(*pid, one);
        }
        let before_ns = cpu_ns();
        let once_ns = self.python(&scene, &ran, span_ns, &mut facts);
        scene.unread_pythons = self.unread(&scene);
        facts.looked = looked(&scene);
        self.running_ns = cpu_ns().saturating_sub(before_ns + once_ns);
        for (pid, one) in &mut facts.processes {
            let worker =
                one.python.as_ref().is_some_and(|python| python.worker) || pythons.is_worker(TaskId { pid: *pid, tid: *pid });
            one.worker = worker && self.reader.rests(*pid, *pid);
        }
        if self.scope == Scope::Waits {
            facts.processes.retain(|_, one| one.python.is_some());
        } else {
            facts.groups = self.groups.facts();
            facts.objects = self.objects(&scene);
        }
        self.cost_ns = cpu_ns().saturating_sub(begun_ns + once_ns + self.running_ns);
        facts.stuck = problems.iter().filter_map(|problem| stuck(&scene, problem, &pythons)).collect();
        facts.cost_ns = cpu_ns().saturating_sub(begun_ns);
        Ok(Survey { facts, scene, problems, pythons })
    }

    /// What is known of one process.
    fn process(&mut self, key: ProcKey, ran: Option<&BTreeMap<i32, Ran>>, span_ns: u64) -> ProcessFacts {
        let pid = key.pid;
        if self.reader.moved(pid) || !self.kept.contains_key(&pid) {
            let before = self.kept.remove(&pid);
            if let Some(kept) = self.read(key, before) {
                self.kept.insert(pid, kept);
            }
        }
        if self.scope == Scope::Waits {
            return ProcessFacts::default();
        }
        let mut facts = ProcessFacts { ran: ran.map(threads).unwrap_or_default(), ..ProcessFacts::default() };
        let Some(kept) = self.kept.get_mut(&pid) else { return facts };
        let Member { cpu, memory, frozen } = self.groups.of(&kept.cgroup);
        (facts.cpu_group, facts.memory_group, facts.frozen) = (cpu, memory, frozen);
        (facts.sigterm, facts.cpus, facts.init) = (kept.treatment.sigterm, kept.treatment.cpus, kept.treatment.init);
        facts.descriptors = kept.descriptors;
        facts.ignored = Some(Arc::clone(&kept.ignored));
        facts.blocked_ns = kept.slept.and_then(|slept| self.reader.ago_ms(slept)).map(|ms| ms.saturating_mul(1_000_000));
        let eager = facts.ran.iter().filter(|t| t.run_ns + t.delay_ns >= span_ns / 5).count();
        if eager > 1 && span_ns > 0 {
            let reader = &self.reader;
            let now = self.surveys;
            // It may be loaded later.
            if kept.library.is_none_or(|(at, found)| found.is_none() && now >= at + RARELY) {
                kept.library = Some((now, reader.asked(pid, move |fs| library(fs, pid)).flatten()));
            }
            facts.blas = kept.library.and_then(|(_, found)| found);
            if facts.blas.is_some() && kept.variables.is_empty() {
                kept.variables = reader.asked(pid, move |fs| variables(fs, pid)).unwrap_or_default();
            }
            facts.thread_variables.clone_from(&kept.variables);
        }
        if span_ns > 0 && facts.turns().saturating_mul(1_000_000_000) / span_ns >= 8_000 {
            let tids: Vec<i32> = facts.ran.iter().take(MOST_AT_FUTEX).map(|thread| thread.tid).collect();
            facts.busiest_futex = self.reader.asked(pid, move |fs| busiest_futex(fs, pid, &tids)).flatten();
        }
        facts
    }

    /// Reads the small files of a process that is new or has run; `None` if it did not answer.
    fn read(&self, key: ProcKey, before: Option<Kept>) -> Option<Kept> {
        let (fs, pid) = (Arc::clone(&self.fs), key.pid);
        let (image, rests_from) = (self.reader.image(pid), self.surveys);
        let before = before.filter(|kept| kept.image == image);
        let (read_at, has_loop) = before.as_ref().map_or((0, false), |kept| (kept.read_at, kept.has_loop));
        let everything = self.scope == Scope::Everything;
        let (known, cycle) =
            before.map_or((None, None), |kept| (Some((kept.is_python, kept.library, kept.variables)), kept.cycle));
        let read = move || {
            let mut cgroup = Vec::new();
            if everything {
                // A process that is gone has none.
                let _ = fs.read_all(&RelPath::process(pid, "cgroup"), 64 * 1024, &mut cgroup);
            }
            let open = everything.then(|| fs.count_fds(pid).ok().map(u64::from)).flatten();
            let limit = || descriptor_limit_of(&fs, pid);
            let (is_python, library, variables) = known.unwrap_or_else(|| (is_python(&fs, pid), None, Vec::new()));
            let treatment = if everything { treatment(&fs, pid) } else { Treatment::default() };
            Kept {
                key,
                image,
                treatment,
                ignored: names(treatment.ignored),
                slept: everything.then(|| Slept::of(&fs, pid, pid)).flatten(),
                cgroup,
                // The limit matters to those that have many.
                descriptors: open.map(|open| (open, if open >= 24 { limit() } else { None })),
                is_python,
                rests_from,
                python: None,
                read_at,
                failed: 0,
                has_loop,
                cycle,
                library,
                gevent: None,
                variables,
            }
        };
        within(key, PATIENCE, read).ok()
    }

    /// How many Python processes have not been read yet.
    fn unread(&self, scene: &Scene) -> usize {
        let is_unread = |kept: &&Kept| kept.is_python && kept.read_at == 0 && !scene.unreadable.contains_key(&kept.key.pid);
        self.kept.values().filter(is_unread).count()
    }

    /// Reads the Python processes that may be in trouble. The CPU time for those that rest, which are read once, nanoseconds.
    fn python(&mut self, scene: &Scene, ran: &AllRan, span_ns: u64, facts: &mut Facts) -> u64 {
        let begun_ns = cpu_ns();
        let times = if self.thorough { THOROUGH } else { 1 };
        let most_others = if self.thorough { usize::MAX } else { MOST_OTHERS };
        let mut wanted = Vec::new();
        for (pid, kept) in &self.kept {
            let threads = ran.get(pid);
            // What was read of one that rests holds.
            if !kept.is_python || kept.python.is_some() && threads.is_none() {
                continue;
            }
            let Some(process) = scene.processes.get(pid) else { continue };
            let busy =
                threads.is_some_and(|t| t.values().map(|r| r.run_ns + r.delay_ns).sum::<u64>() >= span_ns / 2) && span_ns > 0;
            let sleeps = |tid: i32| !threads.is_some_and(|ran| ran.contains_key(&tid));
            // Those that wait for the GIL wake each 5 ms.
            let wakes = |ran: &Ran| ran.turns.saturating_mul(1_000_000_000) >= span_ns.saturating_mul(50);
            let waits = threads.is_some_and(|t| t.values().any(wakes)) && process.tasks.tids().any(sleeps) && span_ns > 0;
            let open = |task: &crate::causes::Task| matches!(&task.wait, Wait::Open(what) if what.contains("epoll") || what.contains("poll"));
            let blocked = process.tasks.get(*pid).is_some_and(|main| !open(main)) && sleeps(*pid);
            // What rests entirely is read once. What has run since is read again and again, and must not take all turns.
            let order = match (busy || waits, sleeps(*pid), threads.is_none()) {
                (true, ..) => 0,
                (_, true, true) => 1,
                (_, true, false) if blocked => 2,
                // Some tasks of a loop may be stuck while others run.
                _ if kept.has_loop || kept.read_at == 0 || self.surveys >= kept.read_at + RARELY => 3,
                _ => continue,
            };
            // Of those that rest, who stopped last is the likeliest to be in trouble.
            let rests_from = if order == 1 { kept.rests_from } else { 0 };
            // In this order they are read.
            wanted.push((!self.preferred.contains(pid), order, Reverse(rests_from), kept.read_at, Reverse(*pid), busy || waits));
        }
        wanted.sort_unstable();
        let (mut several, mut others, mut once_ns) = (Vec::new(), 0, 0);
        for (_, _, Reverse(rests_from), _, Reverse(pid), again) in wanted {
            let used_ns = cpu_ns();
            let has_long_rested = rests_from > 0 && rests_from + 1 < self.surveys;
            let most_ns = times * if has_long_rested { EXPENSIVE_NS } else { TOO_EXPENSIVE_NS };
            let python = if again {
                if several.len() >= MOST_BUSY {
                    continue;
                }
                several.push(pid);
                None
            } else {
                if others >= most_others || others > 0 && used_ns.saturating_sub(begun_ns) > most_ns {
                    continue;
                }
                others += 1;
                self.readings(scene, ran, &[pid], 1).remove(&pid)
            };
            once_ns += if rests_from > 0 { cpu_ns().saturating_sub(used_ns) } else { 0 };
            if let Some(kept) = self.kept.get_mut(&pid) {
                kept.read_at = self.surveys;
                kept.failed = if python.is_none() && !again { kept.failed.saturating_add(1) } else { 0 };
                let given_up = (kept.failed >= MOST_FAILED).then(PythonFacts::default);
                kept.python = python.or(given_up).map(Arc::new).or(kept.python.take());
            }
        }
        let mut read = self.readings(scene, ran, &several, READINGS);
        for (pid, one) in &mut facts.processes {
            let kept = self.kept.get(pid);
            let python = read.remove(pid).map(Arc::new).or_else(|| kept?.python.clone()).filter(|python| python.readings > 0);
            // Not its turn: a cycle of locks is still there.
            let cycle = || Some(PythonFacts { stuck_tasks: Some(kept?.cycle.clone()?), ..PythonFacts::default() }.into());
            let threads = ran.get(pid);
            one.python = python.or_else(cycle).map(|mut kept| {
                let waits = |thread: &PythonThreadFacts| {
                    thread.callback.is_some() || thread.role.is_some_and(PoolRole::waits) || thread.held > 0
                };
                let same = span_ns > 0 && threads.is_none() && kept.stuck_tasks.is_none() && !kept.threads.iter().any(waits);
                if same {
                    return kept;
                }
                let python = Arc::make_mut(&mut kept);
                for thread in &mut python.threads {
                    thread.asleep &= span_ns > 0 && !threads.is_some_and(|ran| ran.contains_key(&thread.tid));
                    // Before 3.12 the futex does not tell that it is the GIL's; the waking does.
                    let turns = threads.and_then(|ran| ran.get(&thread.tid)).map_or(0, |ran| ran.turns);
                    if thread.waited == 0 && turns.saturating_mul(1_000_000_000) >= span_ns.saturating_mul(40) {
                        thread.waited = thread.dozed;
                    }
                    if thread.asleep && waits(thread) {
                        thread.for_ms = self.reader.asleep_ms(*pid, thread.tid);
                    }
                }
                if let Some(stuck) = &mut python.stuck_tasks {
                    stuck.for_ms = stuck.tid.and_then(|tid| self.reader.asleep_ms(*pid, tid));
                }
                kept
            });
        }
        once_ns
    }

    /// So many readings of these processes, in turn.
    fn readings(&mut self, scene: &Scene, ran: &AllRan, pids: &[i32], count: usize) -> BTreeMap<i32, PythonFacts> {
        let mut found: BTreeMap<i32, PythonFacts> = BTreeMap::new();
        let mut newest = BTreeMap::new();
        for number in 0..count {
            if number > 0 && !pids.is_empty() {
                std::thread::sleep(BETWEEN);
            }
            for kept in pids.iter().filter_map(|pid| self.kept.get(pid)) {
                let threads = ran.get(&kept.key.pid).into_iter().flat_map(BTreeMap::keys).take(MOST_THREADS);
                if let Some(reading) = pythons::reading(kept.key, threads.copied().collect()) {
                    pythons::add(found.entry(kept.key.pid).or_default(), &reading);
                    newest.insert(kept.key.pid, reading.runtime);
                }
            }
        }
        for (pid, facts) in &mut found {
            self.greenlets(*pid, facts);
            let Some(runtime) = newest.get(pid) else { continue };
            facts.stuck_tasks =
                async_tasks::stuck(&self.fs, scene, *pid, runtime).or_else(|| trio_tasks::stuck(&self.fs, scene, *pid, runtime));
            let Some(kept) = self.kept.get_mut(pid) else { continue };
            kept.has_loop = runtime.asyncio.iter().chain(&runtime.trio).any(|tasks| !tasks.loops.is_empty());
            if let Some(stuck) = &mut facts.stuck_tasks {
                stuck.twice = match stuck.cause {
                    AsyncCause::Locks | AsyncCause::Awaits => async_tasks::is_cycle(&self.fs, kept.key, stuck.tid, runtime),
                    // Nothing changes while the loop's thread sleeps.
                    AsyncCause::Queue | AsyncCause::Unwakeable => stuck.tid.is_some_and(|tid| self.reader.rests(*pid, tid)),
                };
            }
            facts.stuck_tasks.take_if(|stuck| stuck.cause.is_cycle() && !stuck.twice);
            kept.cycle = facts.stuck_tasks.clone().filter(|stuck| stuck.cause.is_cycle());
        }
        found
    }

    /// A greenlet of gevent that sleeps keeps the loop of its thread from running: it is what the loop has called.
    fn greenlets(&mut self, pid: i32, facts: &mut PythonFacts) {
        let Some(kept) = self.kept.get_mut(&pid) else { return };
        for thread in facts.threads.iter_mut().filter(|thread| thread.asleep && thread.callback.is_none()) {
            let reader = &self.reader;
            let mut has_gevent = || reader.asked(pid, move |fs| maps(fs, pid, &[b"/gevent/"])).flatten().is_some();
            if thread.outermost.is_some() && *kept.gevent.get_or_insert_with(&mut has_gevent) {
                thread.callback = thread.outermost.take();
            }
        }
    }

    fn objects(&mut self, scene: &Scene) -> Option<Vec<SharedObject>> {
        if self.objects.as_ref().is_none_or(|(at, _)| at.elapsed() >= OBJECTS_EVERY) {
            let pids: Vec<i32> = scene.processes.keys().copied().collect();
            let readable = scene.unreadable.is_empty();
            let found = shared_memory::unused(&mut self.reader, &mut self.opened, Path::new("/dev/shm"), &pids, readable);
            self.objects = Some((Instant::now(), found));
        }
        self.objects.as_ref()?.1.clone()
    }
}

/// CPU time of this thread and of the threads it reads on, nanoseconds.
fn cpu_ns() -> u64 {
    thread_cpu_ns() + within_cpu_ns()
}

fn looked(scene: &Scene) -> Looked {
    Looked {
        processes: scene.processes.len(),
        tasks: scene.processes.values().map(|process| process.tasks.len()).sum(),
        unreadable: scene.unreadable.len(),
        silent: scene.silent,
        unread_pythons: scene.unread_pythons,
        apart_ms: scene.apart_ms,
    }
}

fn threads(ran: &BTreeMap<i32, Ran>) -> Vec<ThreadRan> {
    let one = |(tid, ran): (&i32, &Ran)| {
        let Ran { comm, state, run_ns, delay_ns, turns } = *ran;
        ThreadRan { tid: *tid, comm, state, run_ns, delay_ns, turns }
    };
    ran.iter().map(one).collect()
}

/// A problem as plain data.
fn stuck(scene: &Scene, problem: &Problem, pythons: &Pythons) -> Option<Stuck> {
    let first = problem.tasks.first()?;
    let key = |id: &TaskId| scene.processes.get(&id.pid).map(|process| process.key);
    let about = key(first)?;
    let mut others: Vec<ProcKey> =
        problem.tasks.iter().chain(&problem.behind).filter_map(key).filter(|key| *key != about).collect();
    others.sort_unstable();
    others.dedup();
    let within = |key: &ProcKey| problem.tasks.iter().any(|id| id.pid == key.pid);
    let behind = others.iter().copied().filter(|key| !within(key)).collect();
    let line = |edge: &crate::causes::Edge| {
        format!("{}: {}{}{}", name(scene, edge.from), edge.evidence, asleep(edge.for_ms), in_python(pythons, edge.from))
    };
    let mut lines: Vec<String> = problem.edges.iter().take(MOST_LINES).map(line).collect();
    if problem.edges.len() > MOST_LINES {
        lines.push(format!("and {} more", problem.edges.len() - MOST_LINES));
    }
    if problem.lost_waiters > 0 {
        lines.push(format!("{} waiters that the semaphore counts are gone: killed while they waited", problem.lost_waiters));
    }
    if !problem.behind.is_empty() {
        let names: Vec<String> = problem.behind.iter().take(MOST_LINES).map(|id| name(scene, *id)).collect();
        lines.push(format!("also waiting because of them: {}", names.join(", ")));
    }
    // A wait for a child says less than what the child waits for.
    let telling = problem.edges.iter().find(|edge| edge.kind != Kind::Child).or(problem.edges.first());
    let evidence = telling.map(|edge| {
        let more = problem.edges.len() - 1;
        let more = if more > 0 { format!("; {more} more in this chain") } else { String::new() };
        // Said of the first process, unless it is another's.
        let who = if edge.from.pid == first.pid { String::new() } else { format!("{} ", name(scene, edge.from)) };
        format!("{who}{}{}{more}", edge.evidence, in_python(pythons, edge.from))
    });
    Some(Stuck {
        cause: problem.cause.id(),
        about,
        tid: first.tid,
        others,
        behind,
        evidence: evidence.unwrap_or_default(),
        advice: advice(problem, pythons),
        lines,
        for_ms: problem.edges.iter().filter_map(|edge| edge.for_ms).max(),
    })
}

/// `SIGINT SIGPIPE`: of the first 31 signals.
fn names(mask: u64) -> Arc<str> {
    let ignored = signals().into_iter().filter(|s| s.number() <= 31 && mask & (1 << (s.number() - 1)) != 0);
    let mut numbers: Vec<_> = ignored.collect();
    numbers.sort_by_key(|signal| signal.number());
    numbers.iter().map(|signal| signal.name()).collect::<Vec<_>>().join(" ").into()
}
