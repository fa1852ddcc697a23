//! Finds tasks that can never go on, the cycles and dead ends that hold them, and the chain of waits of one process.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::snapshot::Lock;

use super::scene::{Holder, Scene, TaskId, Wait};
use super::{Edge, Kind, Target};

/// The most links of a chain that are followed.
const MOST_STEPS: usize = 64;

/// What is wrong. Declared worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Threads wait for locks of each other.
    LockCycle,
    /// A thread waits for a lock that it holds itself.
    SelfLock,
    /// Processes wait for each other.
    ProcessCycle,
    /// File locks crosswise.
    FileLockCycle,
    /// A forked process waits for a lock that no thread of it can release.
    StuckAfterFork,
    /// The owner of the lock is gone.
    HolderGone,
    /// A shared semaphore that no process can release.
    SemaphoreAbandoned,
    /// A pipe whose other end only the stuck process itself holds.
    PipeWithoutPeer,
    /// A socket whose other end only the stuck process itself holds.
    SelfRequest,
    /// All threads of a process wait for locks of this process.
    NoThreadCanGoOn,
    /// The only thread of a process waits for a lock within it. This may be a program at rest until a signal ends it.
    OnlyThreadWaits,
}

impl Cause {
    /// All, worst first.
    pub const ALL: &[Self] = &[
        Self::LockCycle,
        Self::SelfLock,
        Self::ProcessCycle,
        Self::FileLockCycle,
        Self::StuckAfterFork,
        Self::HolderGone,
        Self::SemaphoreAbandoned,
        Self::PipeWithoutPeer,
        Self::SelfRequest,
        Self::NoThreadCanGoOn,
        Self::OnlyThreadWaits,
    ];

    /// The name in JSON and in docs.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::LockCycle => "lock_cycle",
            Self::SelfLock => "self_lock",
            Self::ProcessCycle => "process_cycle",
            Self::FileLockCycle => "file_lock_cycle",
            Self::StuckAfterFork => "stuck_after_fork",
            Self::HolderGone => "holder_gone",
            Self::SemaphoreAbandoned => "semaphore_abandoned",
            Self::PipeWithoutPeer => "pipe_without_peer",
            Self::SelfRequest => "self_request",
            Self::NoThreadCanGoOn => "no_thread_can_go_on",
            Self::OnlyThreadWaits => "only_thread_waits",
        }
    }

    /// A few words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::LockCycle => "Deadlock: threads wait for each other",
            Self::SelfLock => "Deadlock: a thread waits for a lock that it holds",
            Self::ProcessCycle => "Deadlock: processes wait for each other",
            Self::FileLockCycle => "Deadlock: file locks taken crosswise",
            Self::StuckAfterFork => "Stuck after fork: no thread of this process can release the lock",
            Self::HolderGone => "The owner of the lock is gone",
            Self::SemaphoreAbandoned => "Deadlock: no process is left that could release a semaphore",
            Self::PipeWithoutPeer => "Pipe with an unclosed end",
            Self::SelfRequest => "Deadlock: a process waits for its own answer",
            Self::NoThreadCanGoOn => "Deadlock: no thread of the process can go on",
            Self::OnlyThreadWaits => "The only thread waits for a lock within its process",
        }
    }

    /// Two words for the row of a process.
    #[must_use]
    pub const fn badge(self) -> &'static str {
        match self {
            Self::LockCycle
            | Self::SelfLock
            | Self::ProcessCycle
            | Self::FileLockCycle
            | Self::SelfRequest
            | Self::NoThreadCanGoOn => "deadlock",
            Self::StuckAfterFork => "stuck at fork",
            Self::HolderGone | Self::SemaphoreAbandoned => "lock abandoned",
            Self::PipeWithoutPeer => "unclosed pipe",
            Self::OnlyThreadWaits => "stuck",
        }
    }

    /// What it means, one sentence.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::LockCycle => "Each thread of a cycle waits for a lock of the next thread, or for that thread's end.",
            Self::SelfLock => "A thread waits for a lock of which it is the recorded owner.",
            Self::ProcessCycle => "Each process of a cycle waits for another: for its end, its data, or room in a pipe.",
            Self::FileLockCycle => "Processes wait for file locks of each other.",
            Self::StuckAfterFork => {
                "The lock was held by another thread when the process was forked; the child has no such thread."
            }
            Self::HolderGone => "The recorded owner of the lock has ended without releasing it.",
            Self::SemaphoreAbandoned => {
                "All processes that map the semaphore wait: the one that took it has ended, or waits too."
            }
            Self::PipeWithoutPeer => "Only processes that wait at the pipe still hold its other end.",
            Self::SelfRequest => "All threads of a process wait, one at a socket whose other end only this process holds.",
            Self::NoThreadCanGoOn => "All threads of the process wait for locks of this process, without a timeout.",
            Self::OnlyThreadWaits => "The process has one thread, and it waits for a lock that only itself could release.",
        }
    }

    /// What to do.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::LockCycle => {
                "Take the locks in the same order everywhere, and join no thread while holding a lock that it needs; end the process to get out."
            }
            Self::SelfLock => "Do not take the lock again while holding it, or use a recursive lock.",
            Self::ProcessCycle => {
                "Read the pipe or queue before waiting for the process that fills it (communicate(), get() before join())."
            }
            Self::FileLockCycle => "Take file locks in the same order everywhere; end one process to get out.",
            Self::StuckAfterFork => {
                "Do not fork while other threads run: use spawn or forkserver, or fork before starting threads."
            }
            Self::HolderGone => "End the process. Use a robust mutex, or release the lock on every way out.",
            Self::SemaphoreAbandoned => {
                "End the processes that wait. Release the semaphore, or set the event, before waiting for the processes that need it; a process that may be killed must not hold it."
            }
            Self::PipeWithoutPeer => "Close the unused end of the pipe in this process, so that it gets end-of-file or EPIPE.",
            Self::SelfRequest => {
                "Do not send requests to your own server from the thread that answers. Use another thread, an async client, or a direct call."
            }
            Self::NoThreadCanGoOn => {
                "A lock was not released, or notify ran before wait. See the stacks (concmon inspect PID for Python, else gdb -p PID). Then end the process."
            }
            Self::OnlyThreadWaits => "End the process, unless it rests on purpose.",
        }
    }
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub cause: Cause,
    /// The tasks that hold each other up, ascending.
    pub tasks: Vec<TaskId>,
    /// Their waits, one per task.
    pub edges: Vec<Edge>,
    /// Tasks outside that wait for these and cannot go on either.
    pub behind: Vec<TaskId>,
    /// Waiters that a semaphore counts and that are gone: they were killed while they waited.
    pub lost_waiters: u32,
    /// Whether all tasks wait to write to a full pipe or socket.
    pub all_write: bool,
}

impl Problem {
    /// What to do: by its waits, else by its cause.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        let count = |kind| self.edges.iter().filter(|edge| edge.kind == kind).count();
        let some = |kind| count(kind) > 0;
        let one_lock = if self.cause == Cause::FileLockCycle { count(Kind::FileLock) == 1 } else { some(Kind::PythonLock) };
        match self.cause {
            // The child was not sent an end marker.
            Cause::ProcessCycle if some(Kind::Child) && some(Kind::PipeRead) && !some(Kind::PipeWrite) => {
                "The child still reads: send it an end marker (a sentinel in the queue), or close the pipe's write end, before waiting for \
                 it. The process that writes may have ended early."
            }
            Cause::ProcessCycle | Cause::FileLockCycle
                if some(Kind::Child) && one_lock && !some(Kind::PipeRead) && !some(Kind::PipeWrite) =>
            {
                "Release the lock before waiting for the process that needs it."
            }
            Cause::ProcessCycle if self.edges.iter().all(|edge| edge.kind == Kind::PipeRead) => {
                "Each reads what another is to write: close the write end of the input before reading the output (communicate()), or let one \
                 side write first."
            }
            Cause::ProcessCycle if self.all_write => {
                "All processes write and none reads: read while writing (select, a thread for each direction, communicate()), or let one side read first."
            }
            Cause::ProcessCycle if self.edges.iter().all(|edge| edge.kind == Kind::Socket) => {
                "Set a timeout for requests, and serve a request while another waits (in a thread or task of its own), or do not ask back."
            }
            cause => cause.advice(),
        }
    }
}

/// The tasks that cannot go on: each that could end their wait cannot go on either.
#[must_use]
pub fn stuck(scene: &Scene) -> BTreeMap<TaskId, Vec<Edge>> {
    let tasks = scene.processes.iter().flat_map(|(pid, p)| p.tasks.iter().map(|(tid, task)| (TaskId { pid: *pid, tid }, task)));
    let mut left: BTreeMap<TaskId, Vec<Edge>> =
        tasks.filter(|(_, task)| task.wait.is_hard()).filter_map(|(id, _)| Some((id, scene.edges(id)?))).collect();
    loop {
        let mut waiting: HashMap<i32, usize> = HashMap::new();
        for id in left.keys() {
            *waiting.entry(id.pid).or_default() += 1;
        }
        let whole = |pid: &i32| scene.processes.get(pid).is_some_and(|p| waiting.get(pid) == Some(&p.tasks.len()));
        let can_act = |edge: &Edge| match &edge.to {
            Target::Task(id) => !left.contains_key(id),
            Target::Process(pid) => !whole(pid),
            Target::Nobody => false,
        };
        let free: Vec<TaskId> = left.iter().filter(|(_, edges)| edges.iter().any(can_act)).map(|(id, _)| *id).collect();
        if free.is_empty() {
            return left;
        }
        for id in free {
            left.remove(&id);
        }
    }
}

/// All problems, worst first, then by pid.
#[must_use]
pub fn problems(scene: &Scene) -> Vec<Problem> {
    let stuck = stuck(scene);
    let graph = Graph::new(scene, &stuck);
    let groups = graph.groups();
    let mut group_of = vec![0; graph.nodes.len()];
    for (number, group) in groups.iter().enumerate() {
        for node in group {
            group_of[*node] = number;
        }
    }
    let mut found = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        // The end of a chain: these wait for each other only.
        let is_end = group.iter().all(|node| graph.next[*node].iter().all(|to| group_of[*to] == number));
        let tasks: BTreeSet<TaskId> = group.iter().filter_map(|node| graph.task(*node)).collect();
        if is_end && !tasks.is_empty() {
            let behind = graph.reaching(group).into_iter().filter_map(|node| graph.task(node));
            let behind: BTreeSet<TaskId> = behind.filter(|id| !tasks.contains(id)).collect();
            found.push(problem(scene, &stuck, tasks.into_iter().collect(), behind.into_iter().collect()));
        }
    }
    found.sort_by_key(|p| (p.cause, p.tasks.first().copied()));
    found
}

fn problem(scene: &Scene, stuck: &BTreeMap<TaskId, Vec<Edge>>, tasks: Vec<TaskId>, behind: Vec<TaskId>) -> Problem {
    let edges: Vec<Edge> = tasks.iter().filter_map(|id| stuck.get(id)?.first().cloned()).collect();
    let lost = tasks.iter().filter_map(|id| match scene.task(*id)?.wait {
        Wait::Futex { lock: lock @ Lock::Shared { .. }, holder: Holder::Semaphore { waiters, .. } } => {
            Some(scene.lost_waiters(lock, waiters))
        }
        _ => None,
    });
    let lost_waiters = lost.max().unwrap_or(0);
    let writes = |id: &TaskId| matches!(scene.task(*id).map(|t| &t.wait), Some(Wait::PipeWrite(_) | Wait::SocketWrite(_)));
    let all_write = tasks.iter().all(writes);
    Problem { cause: cause(scene, &tasks, &edges), tasks, edges, behind, lost_waiters, all_write }
}

/// Stuck tasks and the processes that they wait for. A process leads to each of its tasks, so that a thousand threads that wait for a
/// thousand others take two thousand links.
struct Graph {
    nodes: Vec<Node>,
    next: Vec<Vec<usize>>,
    before: Vec<Vec<usize>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Node {
    Task(TaskId),
    Process(i32),
}

impl Graph {
    fn new(scene: &Scene, stuck: &BTreeMap<TaskId, Vec<Edge>>) -> Self {
        let mut nodes: Vec<Node> = stuck.keys().map(|id| Node::Task(*id)).collect();
        let pids = stuck.values().flatten().filter_map(|edge| if let Target::Process(pid) = edge.to { Some(pid) } else { None });
        nodes.extend(pids.collect::<BTreeSet<i32>>().into_iter().map(Node::Process));
        let number: HashMap<Node, usize> = nodes.iter().enumerate().map(|(n, node)| (*node, n)).collect();
        let to = |node: &Node| -> Vec<usize> {
            let targets: Vec<Node> = match node {
                Node::Task(id) => stuck
                    .get(id)
                    .into_iter()
                    .flatten()
                    .filter_map(|edge| match edge.to {
                        Target::Task(to) => Some(Node::Task(to)),
                        Target::Process(pid) => Some(Node::Process(pid)),
                        Target::Nobody => None,
                    })
                    .collect(),
                Node::Process(pid) => {
                    let tasks = scene.processes.get(pid).into_iter().flat_map(|p| p.tasks.tids());
                    tasks.map(|tid| Node::Task(TaskId { pid: *pid, tid })).collect()
                }
            };
            targets.iter().filter_map(|target| number.get(target).copied()).collect()
        };
        let next: Vec<Vec<usize>> = nodes.iter().map(to).collect();
        let mut before = vec![Vec::new(); nodes.len()];
        for (from, targets) in next.iter().enumerate() {
            for target in targets {
                before[*target].push(from);
            }
        }
        Self { nodes, next, before }
    }

    fn task(&self, node: usize) -> Option<TaskId> {
        if let Node::Task(id) = self.nodes[node] { Some(id) } else { None }
    }

    /// The strongly connected components (Kosaraju's algorithm).
    fn groups(&self) -> Vec<Vec<usize>> {
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut seen = vec![false; self.nodes.len()];
        for start in 0..self.nodes.len() {
            let mut open = if std::mem::replace(&mut seen[start], true) { Vec::new() } else { vec![(start, 0)] };
            while let Some((node, at)) = open.pop() {
                match self.next[node].get(at) {
                    Some(to) => {
                        open.push((node, at + 1));
                        if !std::mem::replace(&mut seen[*to], true) {
                            open.push((*to, 0));
                        }
                    }
                    None => order.push(node),
                }
            }
        }
        let mut seen = vec![false; self.nodes.len()];
        order.iter().rev().map(|start| self.against(&[*start], &mut seen)).filter(|group| !group.is_empty()).collect()
    }

    /// Every node that waits for these at any distance, these included.
    fn reaching(&self, group: &[usize]) -> Vec<usize> {
        self.against(group, &mut vec![false; self.nodes.len()])
    }

    /// What is found against the links and has not been seen.
    fn against(&self, from: &[usize], seen: &mut [bool]) -> Vec<usize> {
        let mut open: Vec<usize> = from.iter().copied().filter(|node| !std::mem::replace(&mut seen[*node], true)).collect();
        let mut found = Vec::new();
        while let Some(node) = open.pop() {
            found.push(node);
            open.extend(self.before[node].iter().copied().filter(|node| !std::mem::replace(&mut seen[*node], true)));
        }
        found
    }
}

fn cause(scene: &Scene, tasks: &[TaskId], edges: &[Edge]) -> Cause {
    let any = |kind: Kind| edges.iter().any(|edge| edge.kind == kind);
    let first = tasks.first().and_then(|id| scene.processes.get(&id.pid));
    let forked = first.is_some_and(|p| p.forked_from.is_some() && p.tasks.len() == 1);
    let nobody = edges.iter().find(|edge| edge.to == Target::Nobody).map(|edge| edge.kind);
    match nobody {
        Some(_) if forked => return Cause::StuckAfterFork,
        Some(_) => return Cause::HolderGone,
        None => {}
    }
    let processes: HashSet<i32> = tasks.iter().map(|id| id.pid).collect();
    let owned = |edge: &Edge| matches!(edge.kind, Kind::Mutex | Kind::RwLock | Kind::PythonLock | Kind::Import | Kind::Join);
    if edges.iter().all(owned) && edges.len() == tasks.len() {
        return if tasks.len() == 1 { Cause::SelfLock } else { Cause::LockCycle };
    }
    if any(Kind::FileLock) {
        Cause::FileLockCycle
    } else if any(Kind::SharedLock) {
        Cause::SemaphoreAbandoned
    } else if processes.len() == 1 && (any(Kind::PipeRead) || any(Kind::PipeWrite)) {
        Cause::PipeWithoutPeer
    } else if processes.len() > 1 {
        Cause::ProcessCycle
    } else if any(Kind::Socket) {
        Cause::SelfRequest
    } else if !any(Kind::Lock) {
        if tasks.len() == 1 { Cause::SelfLock } else { Cause::LockCycle }
    } else if tasks.len() > 1 {
        Cause::NoThreadCanGoOn
    } else if forked {
        Cause::StuckAfterFork
    } else {
        Cause::OnlyThreadWaits
    }
}

/// One link of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The task.
    pub task: TaskId,
    /// Its wait; `None` at the end of the chain.
    pub edge: Option<Edge>,
    /// How many other processes could end the wait as well.
    pub alternatives: usize,
    /// Whether the chain has been here before: it is a cycle.
    pub again: bool,
}

/// The chain of waits from a task to its end. Where several could act, one that can go on is followed.
#[must_use]
pub fn chain(scene: &Scene, from: TaskId) -> Vec<Step> {
    let stuck = stuck(scene);
    let mut steps: Vec<Step> = Vec::new();
    let mut at = Some(from);
    while let Some(task) = at.take() {
        let again = steps.iter().any(|step| step.task == task);
        let edges = if again || steps.len() >= MOST_STEPS { Vec::new() } else { scene.edges(task).unwrap_or_default() };
        let next = |edge: &Edge| match edge.to {
            Target::Task(id) => Some(id),
            Target::Process(pid) => speaker(scene, &stuck, pid, task),
            Target::Nobody => None,
        };
        let best = edges.iter().find(|edge| next(edge).is_some_and(|id| !stuck.contains_key(&id))).or(edges.first());
        at = best.and_then(next);
        steps.push(Step { task, edge: best.cloned(), alternatives: edges.len().saturating_sub(1), again });
    }
    steps
}

/// The task of a process that a wait for the process is a wait for: one that can go on, else the main thread, else another.
fn speaker(scene: &Scene, stuck: &BTreeMap<TaskId, Vec<Edge>>, pid: i32, other_than: TaskId) -> Option<TaskId> {
    let process = scene.processes.get(&pid)?;
    let ids = || process.tasks.tids().map(|tid| TaskId { pid, tid });
    let free = |id: &TaskId| !stuck.contains_key(id);
    let follows = |id: &TaskId| *id != other_than;
    let main = TaskId { pid, tid: pid };
    let goes_on = |id: &TaskId| scene.task(*id).is_some_and(|task| !task.wait.is_hard());
    ids()
        .find(|id| goes_on(id) && id.tid == pid && follows(id))
        .or_else(|| ids().find(|id| goes_on(id) && follows(id)))
        .or_else(|| ids().find(|id| free(id) && follows(id)))
        .or_else(|| Some(main).filter(|id| follows(id) && process.tasks.get(pid).is_some()))
        .or_else(|| ids().find(follows))
        .or_else(|| ids().next())
}
