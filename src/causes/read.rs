//! Reads a [`Scene`]: a look at all tasks, then what they wait for and its holders, then a second look. Between the looks a task that did
//! not run (third field of `schedstat`) cannot have released anything, so what was read of a set of such tasks holds for one moment.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::{Clock as _, SystemClock};
use crate::kernel::error::ReadError;
use crate::kernel::file_locks;
use crate::kernel::locks::{SharedFile, has_public_name, shared_files};
use crate::kernel::parse::file_locks::Entry as LockEntry;
use crate::kernel::parse::stat::Stat;
use crate::kernel::pipes::{OpenEnds, ends_of};
use crate::kernel::proc_fs::ProcFs;
use crate::kernel::readers::within;
use crate::kernel::slept::{Clocks, Slept};
use crate::kernel::sockets::{Peer, peers};
use crate::snapshot::{Comm, Lock, ProcKey, ProcessSample, Snapshot, State};

use super::by_tid::ByTid;
use super::desk::{Desk, Handlers, at_once};
use super::look::{self, Look, Seen, look_again};
use super::scene::{Ends, Holder, Process, Scene, SocketEnd, Task, TaskId, Wait};

/// How long one process may take to answer.
const PATIENCE_OF_ONE: Duration = Duration::from_millis(500);
/// Processes that are asked at once: handing each to a helper thread takes longer than reading it.
const TOGETHER: usize = 64;
/// Kernel clock ticks per second in `stat` (USER_HZ): the same on all architectures that concmon runs on.
const TICK_MS: u64 = 10;

/// How long to look.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Time between the two looks.
    pub apart: Duration,
}

/// Time that a thread used between two readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ran {
    /// Its name.
    pub comm: Comm,
    /// Its state at the newer one.
    pub state: State,
    /// On a CPU, nanoseconds.
    pub run_ns: u64,
    /// Runnable without a CPU, nanoseconds.
    pub delay_ns: u64,
    /// How often it was given a CPU.
    pub turns: u64,
}

/// What was read of a process in depth. It holds as long as no task of the process has run.
#[derive(Debug, Clone)]
struct Depth {
    waits: BTreeMap<i32, Wait>,
    handlers: Handlers,
}

/// Reads scenes one after the other. What rests since the scene before is not read again.
#[derive(Debug)]
pub struct Reader {
    fs: Arc<ProcFs>,
    looks: BTreeMap<i32, Arc<Look>>,
    /// Of the scene before the newest.
    before: BTreeMap<i32, Arc<Look>>,
    depths: HashMap<i32, Depth>,
    ends: HashMap<i32, OpenEnds>,
    shared: HashMap<i32, Vec<SharedFile>>,
    /// When each task went to sleep, by TID and how often it had run.
    asleep: HashMap<(i32, u64), Option<Slept>>,
    clocks: Clocks,
    /// Only these processes, if there are any here.
    only: Vec<i32>,
    began: Option<Instant>,
    span: Option<Duration>,
    /// The newest sample that was taken before the reading before.
    sample: Option<Arc<Snapshot>>,
    /// PIDs of processes that did not run between that sample and the newest one, ascending. They are not read again.
    rested: Vec<i32>,
    /// Processes that ran, began or ended between the last two readings, ascending.
    changed: Vec<i32>,
}

/// What came of asking a process: its look and whether it is a new one, `None` if there is nothing to look at, an error if it did not
/// answer.
type Answer = Result<Option<(Arc<Look>, bool)>, ()>;

impl Reader {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(fs: Arc<ProcFs>) -> Self {
        Self {
            fs,
            looks: BTreeMap::new(),
            before: BTreeMap::new(),
            depths: HashMap::new(),
            ends: HashMap::new(),
            shared: HashMap::new(),
            asleep: HashMap::new(),
            clocks: Clocks::default(),
            only: Vec::new(),
            began: None,
            span: None,
            sample: None,
            rested: Vec::new(),
            changed: Vec::new(),
        }
    }

    /// Hands over the monitor's newest sample, before a reading. Processes that did not run since the sample of the last reading are not read
    /// again.
    pub fn tell(&mut self, newest: Option<Arc<Snapshot>>) {
        self.rested = self.sample.as_ref().zip(newest.as_ref()).map(|(then, now)| rested(then, now)).unwrap_or_default();
        self.sample = newest;
    }

    /// Reads these processes only. What others hold is then not known.
    #[must_use]
    pub fn only(self, pids: Vec<i32>) -> Self {
        Self { only: pids, ..self }
    }

    /// Reads a scene.
    ///
    /// # Errors
    /// If the processes cannot be listed.
    pub fn read(&mut self, patience: Patience) -> Result<Scene, ReadError> {
        let mut scene = Scene::default();
        let begun = Instant::now();
        self.look(&mut scene)?;
        let looked = Instant::now();
        self.span = self.began.replace(begun).map(|before| begun.duration_since(before));
        for pid in &self.changed {
            self.depths.remove(pid);
            self.ends.remove(pid);
            self.shared.remove(pid);
        }
        // The process of every task, where something needs it.
        let mut owners: Option<Arc<HashMap<i32, i32>>> = None;
        // Those whose waits have to be read.
        let mut deep = Vec::new();
        let now_ms = SystemClock.boot_ns() / 1_000_000;
        let parents: HashSet<i32> = self.looks.values().map(|look| look.stat.ppid).collect();
        let looks: Vec<(i32, Arc<Look>)> = self.looks.iter().map(|(pid, look)| (*pid, Arc::clone(look))).collect();
        for (pid, one) in looks {
            let mut process = self.process(&one, now_ms);
            if one.tasks.values().any(|task| task.denied) {
                scene.unreadable.insert(pid, one.stat.session);
            }
            if let Some(tasks) = one.at_once.get_or_init(|| all_at_once(&one.tasks, parents.contains(&pid))) {
                process.tasks = Arc::clone(tasks);
                scene.processes.insert(pid, process);
                continue;
            }
            deep.push(pid);
            let owners = owners.get_or_insert_with(|| {
                let owners = self.looks.iter().flat_map(|(pid, look)| look.tasks.tids().map(|tid| (tid, *pid)));
                Arc::new(owners.collect())
            });
            let depth = self.in_depth(pid, &one, process.forked_from, owners);
            if depth.is_none() {
                scene.silent += 1;
            }
            let handlers = depth.as_ref().map(|depth| depth.handlers);
            // The handler for the end of a child does something only if there is one.
            process.handles_signals = handlers.is_none_or(|h| h.any || h.child && parents.contains(&pid));
            process.handles_messages = handlers.is_none_or(|h| h.messages);
            let wait = |tid: i32| match &depth {
                None => Wait::Unknown("the process did not answer".into()),
                Some(depth) => depth.waits.get(&tid).cloned().unwrap_or_else(|| Wait::Unknown("it was not read".into())),
            };
            let task = |(tid, seen): (i32, &Seen)| (tid, Task { comm: seen.comm, wait: wait(tid), for_ms: None });
            process.tasks = Arc::new(one.tasks.iter().map(task).collect());
            scene.processes.insert(pid, process);
        }
        self.holders(&mut scene, &deep);
        std::thread::sleep(patience.apart.saturating_sub(looked.elapsed()));
        self.again(&mut scene, &deep);
        scene.apart_ms = u64::try_from(looked.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(scene)
    }

    /// Looks once more at tasks that seem unable to go on. One that was woken meanwhile, and waits for a CPU, can. True if there was one.
    pub fn confirm(&self, scene: &mut Scene, stuck: impl IntoIterator<Item = TaskId>) -> bool {
        let mut woken = false;
        for id in stuck {
            let seen = self.looks.get(&id.pid).and_then(|look| look.tasks.get(id.tid));
            if seen.is_some_and(|seen| !look::still_sleeps(&self.fs, id, seen.state))
                && let Some(task) = scene.task_mut(id)
            {
                task.wait = Wait::Open("was woken, or its control group is frozen".into());
                woken = true;
            }
        }
        woken
    }

    /// The time between the beginnings of the last two readings; `None` after the first.
    #[must_use]
    pub fn span(&self) -> Option<Duration> {
        self.span
    }

    /// Of each process the threads that ran between the last two readings. Threads that began in between are left out.
    #[must_use]
    pub fn ran(&self) -> BTreeMap<i32, BTreeMap<i32, Ran>> {
        let of = |pid: &i32| {
            let now = self.looks.get(pid)?;
            let before = self.before.get(pid).filter(|before| before.stat.start_ticks == now.stat.start_ticks)?;
            let ran = |(tid, seen): (i32, &Seen)| {
                let (then, now) = (before.tasks.get(tid)?.schedstat?, seen.schedstat?);
                let turns = now.turns.checked_sub(then.turns)?;
                let run_ns = now.run_ns.checked_sub(then.run_ns)?;
                let delay_ns = now.run_delay_ns.checked_sub(then.run_delay_ns)?;
                let moved = turns > 0 || run_ns > 0 || delay_ns > 0;
                moved.then_some((tid, Ran { comm: seen.comm, state: seen.state, run_ns, delay_ns, turns }))
            };
            let ran: BTreeMap<i32, Ran> = now.tasks.iter().filter_map(ran).collect();
            (!ran.is_empty()).then_some((*pid, ran))
        };
        self.changed.iter().filter_map(of).collect()
    }

    /// How long a task has slept, milliseconds; `None` if the kernel does not report it.
    #[must_use]
    pub fn asleep_ms(&mut self, pid: i32, tid: i32) -> Option<u64> {
        let slept = Slept::of(&self.fs, pid, tid)?;
        self.ago_ms(slept)
    }

    /// How long ago that was, milliseconds.
    pub fn ago_ms(&mut self, slept: Slept) -> Option<u64> {
        self.clocks.ago_ms(&self.fs, slept)
    }

    /// [`Stat::image`] of a process, which exec changes.
    #[must_use]
    pub fn image(&self, pid: i32) -> Option<(u64, u64)> {
        self.looks.get(&pid).map(|look| look.stat.image())
    }

    /// Whether a task has slept since it was looked at.
    #[must_use]
    pub fn rests(&self, pid: i32, tid: i32) -> bool {
        self.looks.get(&pid).and_then(|look| look.tasks.get(tid)).is_some_and(|seen| look::rests(&self.fs, pid, tid, seen))
    }

    /// The files that a process maps shared, ascending; `None` if it did not answer in time.
    pub fn shared_files(&mut self, pid: i32) -> Option<&[SharedFile]> {
        match self.shared.entry(pid) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(new) => Some(new.insert(asked(&self.fs, pid, move |fs| shared_files(fs, pid)).ok()?)),
        }
    }

    /// Does what may be held up by the process; `None` if it did not answer in time.
    pub fn asked<T: Send + 'static>(&self, pid: i32, work: impl FnOnce(&ProcFs) -> T + Send + 'static) -> Option<T> {
        asked(&self.fs, pid, work).ok()
    }

    /// Whether a task of the process has run since the reading before, or the process was not there then.
    #[must_use]
    pub fn moved(&self, pid: i32) -> bool {
        self.changed.binary_search(&pid).is_ok() || !self.looks.contains_key(&pid)
    }

    /// The processes that ran, began or ended between the last two readings, ascending.
    #[must_use]
    pub fn changed(&self) -> &[i32] {
        &self.changed
    }

    /// Looks at all processes. A look at one of which no task has run since the last time is kept.
    fn look(&mut self, scene: &mut Scene) -> Result<(), ReadError> {
        let mut pids = Vec::new();
        self.fs.list_pids(&mut pids)?;
        // A process whose parent has ended gets another parent without having run.
        let has_parent = |look: &Look| look.stat.ppid == 0 || pids.binary_search(&look.stat.ppid).is_ok();
        let is_asked_about = |pid: &&i32| self.only.is_empty() || self.only.contains(pid);
        let before = std::mem::take(&mut self.looks);
        self.changed.clear();
        let rested = std::mem::take(&mut self.rested);
        let known = |pid: &i32| {
            rested.binary_search(pid).ok()?;
            before.get(pid).filter(|look| look.may_rest() && has_parent(look)).cloned()
        };
        let mut asked_for = Vec::new();
        for pid in pids.iter().filter(is_asked_about) {
            match known(pid) {
                Some(look) => drop(self.looks.insert(*pid, look)),
                None => asked_for.push((*pid, before.get(pid).filter(|look| has_parent(look)).cloned())),
            }
        }
        for some in asked_for.chunks(TOGETHER) {
            // The key of a group is no process's own: those of a group that does not answer are asked one by one.
            let all = some.to_vec();
            let together = asked(&self.fs, -some[0].0, move |fs| {
                all.iter().map(|(pid, known)| look_again(fs, *pid, known.as_ref())).collect::<Vec<_>>()
            });
            let one = |(pid, known): &(i32, Option<Arc<Look>>)| {
                let (pid, known) = (*pid, known.clone());
                asked(&self.fs, pid, move |fs| look_again(fs, pid, known.as_ref()))
            };
            let looks: Vec<Answer> = match together {
                Ok(looks) => looks.into_iter().map(Ok).collect(),
                Err(()) => some.iter().map(one).collect(),
            };
            for ((pid, _), look) in some.iter().zip(looks) {
                match look {
                    Ok(Some((look, rests))) => {
                        self.looks.insert(*pid, look);
                        self.changed.extend(Some(*pid).filter(|_| !rests));
                    }
                    Ok(None) => {}
                    Err(()) => scene.silent += 1,
                }
            }
        }
        self.before = before;
        self.changed.extend(self.before.keys().filter(|pid| !self.looks.contains_key(pid)));
        self.changed.sort_unstable();
        Ok(())
    }

    /// What the look shows of a process.
    fn process(&self, one: &Look, now_ms: u64) -> Process {
        let stat = &one.stat;
        let parent = self.looks.get(&stat.ppid).map(|parent| &parent.stat);
        // Addresses are random for each program that is executed.
        let is_copy = |parent: &&Stat| stat.start_stack > 1 && parent.image() == stat.image();
        Process {
            key: ProcKey { pid: stat.pid, start_ticks: stat.start_ticks },
            ppid: stat.ppid,
            session: stat.session,
            comm: stat.comm,
            forked_from: parent.filter(is_copy).map(|parent| parent.pid),
            is_copy: stat.is_copy,
            handles_signals: true,
            // Where no wait of its tasks is read, it can go on by itself.
            handles_messages: false,
            age_ms: now_ms.checked_sub(stat.start_ticks.saturating_mul(TICK_MS)),
            tasks: Arc::default(),
        }
    }

    /// The waits of one process by tid; `None` if it did not answer.
    fn in_depth(&mut self, pid: i32, one: &Look, forked_from: Option<i32>, owners: &Arc<HashMap<i32, i32>>) -> Option<Depth> {
        if let Some(depth) = self.depths.get(&pid) {
            return Some(depth.clone());
        }
        let calls: Vec<(i32, Seen)> = one.tasks.iter().map(|(tid, seen)| (tid, seen.clone())).collect();
        let in_parent = forked_from.and_then(|pid| Some((pid, self.looks.get(&pid)?.tasks.tids().collect::<HashSet<i32>>())));
        let owners = Arc::clone(owners);
        let work = move |fs: &ProcFs| {
            let mut desk = Desk::new(fs, pid, &calls);
            Depth { waits: desk.waits(&calls, &owners, in_parent.as_ref()), handlers: desk.handlers }
        };
        let depth = asked(&self.fs, pid, work).ok()?;
        // Shared memory changes without this process, and a number that is gone may be another's later.
        let lasting = |wait: &Wait| match wait {
            Wait::Futex { lock, holder } => matches!(lock, Lock::Private { .. }) && !matches!(holder, Holder::Gone { .. }),
            Wait::Unknown(_) => false,
            _ => true,
        };
        if depth.waits.values().all(lasting) {
            self.depths.insert(pid, depth.clone());
        }
        Some(depth)
    }

    /// Finds the holders of the pipes, the shared memory and the file locks that tasks wait for.
    fn holders(&mut self, scene: &mut Scene, deep: &[i32]) {
        let (mut pipes_wanted, mut memory_wanted, mut locks_wanted) = (HashSet::new(), HashSet::new(), false);
        let mut sockets_wanted: BTreeMap<i32, Vec<u64>> = BTreeMap::new();
        let processes = deep.iter().filter_map(|pid| Some((pid, scene.processes.get(pid)?)));
        for (pid, task) in processes.flat_map(|(pid, process)| process.tasks.values().map(move |task| (pid, task))) {
            match &task.wait {
                Wait::SocketRead(inode) | Wait::SocketWrite(inode) => sockets_wanted.entry(*pid).or_default().push(*inode),
                Wait::PipeRead(inode) | Wait::PipeWrite(inode) => drop(pipes_wanted.insert(*inode)),
                Wait::Events { sockets, pipes, .. } => {
                    sockets_wanted.entry(*pid).or_default().extend(sockets);
                    pipes_wanted.extend(pipes);
                }
                Wait::Futex { lock: Lock::Shared { device, inode, .. }, .. } => drop(memory_wanted.insert((*device, *inode))),
                Wait::FileLock(_) => locks_wanted = true,
                _ => {}
            }
        }
        let fs = Arc::clone(&self.fs);
        let pids: Vec<i32> = scene.processes.keys().copied().collect();
        let others = other_ends(&fs, &sockets_wanted);
        // Which sockets are at the other end of this one.
        let mut behind: HashMap<u64, Vec<u64>> = HashMap::new();
        for (inode, peer) in &others {
            match peer {
                Peer::Socket(other) => behind.entry(*other).or_default().push(*inode),
                Peer::Address(address) => {
                    let end = SocketEnd { holders: Vec::new(), address: Some(address.to_string()) };
                    scene.sockets.insert(*inode, end);
                }
            }
        }
        scene.pipes = pipes_wanted.iter().map(|inode| (*inode, Ends::default())).collect();
        for pid in pids.iter().copied().filter(|_| !pipes_wanted.is_empty() || !behind.is_empty()) {
            let read = || asked(&fs, pid, move |fs| ends_of(fs, pid)).unwrap_or_default();
            let open = self.ends.entry(pid).or_insert_with(read);
            for (inode, reads, writes) in &open.pipes {
                let Some(ends) = scene.pipes.get_mut(inode) else { continue };
                ends.readers.extend(Some(pid).filter(|_| *reads && ends.readers.last() != Some(&pid)));
                ends.writers.extend(Some(pid).filter(|_| *writes && ends.writers.last() != Some(&pid)));
            }
            for waited in open.sockets.iter().filter_map(|inode| behind.get(inode)).flatten() {
                let holders = &mut scene.sockets.entry(*waited).or_default().holders;
                holders.extend(Some(pid).filter(|_| holders.last() != Some(&pid)));
            }
        }
        if !memory_wanted.is_empty() {
            for pid in pids {
                let files = self.shared_files(pid).unwrap_or_default();
                for file in files.iter().filter(|file| memory_wanted.contains(*file)) {
                    scene.sharers.entry(*file).or_default().push(pid);
                }
            }
            // What any program may still open can be released by one that is not there yet.
            scene.sharers.retain(|file, pids| {
                let Some(pid) = pids.first().copied() else { return false };
                let file = *file;
                !self.asked(pid, move |fs| has_public_name(fs, pid, file)).unwrap_or(true)
            });
        }
        if locks_wanted {
            name_lock_holders(&fs, scene);
        }
    }

    /// The second look: a task that ran in between, or that waits elsewhere now, can go on. New tasks can, too.
    fn again(&mut self, scene: &mut Scene, deep: &[i32]) {
        let mut asleep = HashMap::new();
        for pid in deep.iter().copied() {
            let Some(process) = scene.processes.get_mut(&pid) else { continue };
            let closed = |task: &Task| !matches!(task.wait, Wait::Open(_) | Wait::Unknown(_));
            if !process.tasks.values().any(closed) {
                continue;
            }
            let Some(before) = self.looks.get(&pid).cloned() else { continue };
            let known = Arc::clone(&before);
            let second = asked(&self.fs, pid, move |fs| look_again(fs, pid, Some(&known))).ok().flatten();
            let same = second.as_ref().is_some_and(|(look, _)| look.stat.start_ticks == process.key.start_ticks);
            let tasks = Arc::make_mut(&mut process.tasks);
            for (tid, task) in tasks.iter_mut().filter(|(_, task)| closed(task)) {
                let (then, later) = (before.tasks.get(tid), second.as_ref().and_then(|(look, _)| look.tasks.get(tid)));
                let Some(turns) = then.and_then(|seen| seen.schedstat).map(|s| s.turns) else {
                    task.wait = Wait::Unknown("this kernel does not count how often a task ran (schedstat)".into());
                    continue;
                };
                if !same || then != later {
                    task.wait = Wait::Open("ran between two looks".into());
                    continue;
                }
                let slept = self.asleep.get(&(tid, turns)).copied().unwrap_or_else(|| Slept::of(&self.fs, pid, tid));
                asleep.insert((tid, turns), slept);
                task.for_ms = slept.and_then(|slept| self.clocks.ago_ms(&self.fs, slept));
            }
            for (tid, seen) in second.iter().flat_map(|(look, _)| look.tasks.iter()) {
                let new = Task { comm: seen.comm, wait: Wait::Open("has just begun".into()), for_ms: None };
                tasks.insert_new(tid, new);
            }
        }
        self.asleep = asleep;
        // A number that is no child's is one of another PID namespace.
        for pid in deep {
            let is_child = |child: &i32| scene.processes.get(child).is_some_and(|process| process.ppid == *pid);
            let others = |task: &Task| matches!(&task.wait, Wait::Child(Some(child)) if !is_child(child));
            let Some(process) = scene.processes.get(pid) else { continue };
            let wrong: Vec<i32> = process.tasks.iter().filter(|(_, task)| others(task)).map(|(tid, _)| tid).collect();
            for tid in wrong {
                if let Some(task) = scene.task_mut(TaskId { pid: *pid, tid }) {
                    task.wait = Wait::Child(None);
                }
            }
        }
    }
}

/// The tasks of a process, if no wait of theirs has to be read.
fn all_at_once(tasks: &ByTid<Seen>, has_children: bool) -> Option<Arc<ByTid<Task>>> {
    let task =
        |(tid, seen): (i32, &Seen)| Some((tid, Task { comm: seen.comm, wait: at_once(seen, has_children)?, for_ms: None }));
    tasks.iter().map(task).collect::<Option<_>>().map(Arc::new)
}

/// The processes that have not run between two samples, ascending. Where the time that each ran is not known exactly, they may have.
fn rested(then: &Snapshot, now: &Snapshot) -> Vec<i32> {
    let mut old = then.processes.iter().peekable();
    let has_rested = |process: &&ProcessSample| {
        while old.next_if(|old| old.key.pid < process.key.pid).is_some() {}
        process.seen().is_some() && old.peek().is_some_and(|old| process.rested_since(old))
    };
    now.processes.iter().filter(has_rested).map(|process| process.key.pid).collect()
}

/// Does what may be held up by the process, within the time limit.
fn asked<T: Send + 'static>(fs: &Arc<ProcFs>, pid: i32, work: impl FnOnce(&ProcFs) -> T + Send + 'static) -> Result<T, ()> {
    let fs = Arc::clone(fs);
    within(ProcKey { pid, start_ticks: 0 }, PATIENCE_OF_ONE, move || work(&fs)).map_err(|_| ())
}

/// The other ends of the sockets at which tasks of these processes wait.
fn other_ends(fs: &Arc<ProcFs>, wanted: &BTreeMap<i32, Vec<u64>>) -> HashMap<u64, Peer> {
    let mut found = HashMap::new();
    // The tables hold all sockets of a network namespace: those that one process's tables showed need no second reading.
    for (pid, inodes) in wanted {
        let (pid, inodes) = (*pid, inodes.iter().copied().filter(|inode| !found.contains_key(inode)).collect::<Vec<_>>());
        if !inodes.is_empty() {
            found.extend(asked(fs, pid, move |fs| peers(fs, pid, &inodes)).unwrap_or_default());
        }
    }
    found
}

fn name_lock_holders(fs: &Arc<ProcFs>, scene: &mut Scene) {
    let table = file_locks::table(fs);
    let entries = file_locks::entries(&table);
    let is_waiter = |process: &&Process| process.tasks.values().any(|task| matches!(task.wait, Wait::FileLock(_)));
    let waiters: Vec<i32> = scene.processes.values().filter(is_waiter).map(|process| process.key.pid).collect();
    for pid in waiters {
        // /proc/locks does not name the task that waits: with several, none is known.
        let wanted: Vec<_> = file_locks::wanted_by(pid, &entries).collect();
        let [wanted] = wanted[..] else { continue };
        let recorded: HashSet<Option<i32>> = file_locks::holders_of(wanted, &entries).map(|held| held.pid).collect();
        let only = if recorded.len() == 1 { recorded.into_iter().next().flatten() } else { None };
        let holders = match only {
            Some(holder) if scene.processes.contains_key(&holder) => vec![holder],
            // A lock of flock(2) is the open file's: it stays when the process that took it ends, as flock(1) does in a script.
            Some(_) if wanted.kind == "FLOCK" => sharers_of_lock(fs, scene, wanted),
            _ => Vec::new(),
        };
        let Some(process) = scene.processes.get_mut(&pid) else { continue };
        let mut waiting = Arc::make_mut(&mut process.tasks).values_mut().filter(|task| matches!(task.wait, Wait::FileLock(_)));
        if let (Some(task), None) = (waiting.next(), waiting.next()) {
            task.wait = Wait::FileLock(holders);
        }
    }
}

/// The processes that have the file open through which this lock is held, ascending.
fn sharers_of_lock(fs: &Arc<ProcFs>, scene: &Scene, wanted: &LockEntry<'_>) -> Vec<i32> {
    let has_it = |pid: i32| {
        let (device, inode) = (wanted.file.0.to_owned(), wanted.file.1);
        asked(fs, pid, move |fs| file_locks::has_lock(fs, pid, "FLOCK", (&device, inode))).unwrap_or(false)
    };
    scene.processes.keys().copied().filter(|pid| has_it(*pid)).collect()
}
