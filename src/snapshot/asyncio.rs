//! The event loops and tasks of asyncio in a Python process, read from outside.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::PythonFrame;

/// What asyncio does in one process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asyncio {
    /// The loops that run or that have tasks, those that run first.
    pub loops: Vec<EventLoop>,
    /// In the order in which asyncio lists them: the newest first from 3.14 on, without order before.
    pub tasks: Vec<AsyncTask>,
    /// How many tasks there are. Of very many, not all are in `tasks`.
    pub task_count: usize,
}

/// An event loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLoop {
    /// The address of the loop object; it identifies the loop while it lives.
    pub id: u64,
    /// The name of its type.
    pub kind: Arc<str>,
    /// The native id of the thread that runs it; `None` if none is known to.
    pub native_id: Option<u64>,
    /// The kernel's number of that thread, as it is seen from here.
    pub tid: Option<i32>,
    /// Whether it waits.
    pub turn: LoopTurn,
}

/// A loop that has run for longer without a wait is slow for its clients, nanoseconds.
pub const LONG_LAG_NS: u64 = 50_000_000;

/// What an event loop does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoopTurn {
    /// It waits in its selector, or is about to.
    Waits,
    /// It has run callbacks for so long without a wait.
    Runs {
        /// Nanoseconds since it last came back from its selector.
        lag_ns: u64,
        /// The innermost frame of its thread.
        at: Option<PythonFrame>,
        /// The innermost frame of the user's own code, if that is another one.
        own: Option<PythonFrame>,
    },
    /// Not known, with the reason.
    Unknown(&'static str),
}

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsyncState {
    /// Its loop executes it.
    Running,
    /// It waits for a future or another task.
    Waiting,
    /// It goes on in the next round of its loop.
    Ready,
    /// It has a result, or was cancelled.
    Done,
}

impl AsyncState {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Done => "done",
        }
    }
}

/// At which method of an `asyncio.Queue` a task waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueWait {
    /// `join()`: until `task_done()` was called for every item.
    Join,
    /// `get()`: until there is an item.
    Get,
    /// `put()`: until there is room.
    Put,
}

/// A wait at an `asyncio.Queue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtQueue {
    /// The address of the queue.
    pub queue: u64,
    /// At which method.
    pub wait: QueueWait,
    /// Items that were put and for which `task_done()` was not called; `None` if that could not be read.
    pub unfinished: Option<u64>,
}

/// A task of asyncio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsyncTask {
    /// The address of the task object, as `python -m asyncio ps` shows it.
    pub id: u64,
    /// What `get_name()` returns.
    pub name: Arc<str>,
    /// The loop's `id`.
    pub loop_id: u64,
    /// What it does.
    pub state: AsyncState,
    /// Its coroutines, innermost first. Of a running one all frames of its thread down to its own coroutine.
    pub frames: Vec<PythonFrame>,
    /// The `id`s of the tasks that await it.
    pub awaited_by: Vec<u64>,
    /// Whether it ran during each of several readings, so that its coroutines are not given.
    pub moved: bool,
    /// The address of the `asyncio.Lock` that it waits for.
    pub lock: Option<u64>,
    /// The `asyncio.Queue` that it waits at.
    pub queue: Option<AtQueue>,
    /// The addresses of the locks whose `async with` blocks it is in. Read only if a task waits for a lock.
    pub holds: Vec<u64>,
    /// Whether a timeout of its own may end its wait. Read with `holds`.
    pub timed: bool,
}

/// A task in the tree of those that await each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeRow {
    /// Its index in the list of tasks.
    pub task: usize,
    /// How many tasks above it await it, directly or not.
    pub depth: usize,
    /// Whether it and what it awaits are shown further up: several tasks await it, or it awaits itself.
    pub again: bool,
}

/// The deepest level of a tree of tasks.
const MOST_DEPTH: usize = 64;
/// The most rows of a tree.
const MOST_ROWS: usize = 65_536;

impl Asyncio {
    /// The tasks of one loop as a tree: below each task those that it awaits. Every task is there once in full.
    #[must_use]
    pub fn tree(&self, loop_id: u64) -> Vec<TreeRow> {
        let here: Vec<usize> = (0..self.tasks.len()).filter(|at| self.tasks[*at].loop_id == loop_id).collect();
        let by_id: HashMap<u64, usize> = here.iter().map(|at| (self.tasks[*at].id, *at)).collect();
        let mut awaits: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut roots = Vec::new();
        for at in &here {
            let above: Vec<usize> = self.tasks[*at].awaited_by.iter().filter_map(|id| by_id.get(id).copied()).collect();
            if above.is_empty() {
                roots.push(*at);
            }
            above.into_iter().for_each(|above| awaits.entry(above).or_default().push(*at));
        }
        let mut tree = Tree { awaits, shown: HashSet::new(), rows: Vec::new() };
        // What is left after the roots are tasks that await each other in a circle.
        for root in roots.into_iter().chain(here) {
            tree.add_unless_shown(root);
        }
        tree.rows
    }
}

/// Circles of tasks each of which waits for the next one, or for an `asyncio.Lock` that only the next one holds.
#[must_use]
pub fn circles(tasks: &[AsyncTask]) -> Vec<Vec<&AsyncTask>> {
    let by_id: HashMap<u64, usize> = tasks.iter().enumerate().map(|(at, task)| (task.id, at)).collect();
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); tasks.len()];
    let mut holders: HashMap<u64, Vec<usize>> = HashMap::new();
    for (at, task) in tasks.iter().enumerate() {
        let above = task.awaited_by.iter().filter_map(|id| by_id.get(id));
        above.for_each(|above| next[*above].push(at));
        task.holds.iter().for_each(|lock| holders.entry(*lock).or_default().push(at));
    }
    for (task, next) in tasks.iter().zip(&mut next) {
        // asyncio.wait() may need one of several, and have a timeout.
        let may_go_on = task.frames.iter().any(|frame| matches!(&*frame.function, "_wait" | "_wait_for_one"));
        if may_go_on || task.state != AsyncState::Waiting {
            next.clear();
        }
        if let Some([holder]) = task.lock.and_then(|lock| holders.get(&lock)).map(Vec::as_slice) {
            next.push(*holder);
        }
    }
    let mut found = Vec::new();
    let mut seen = vec![false; tasks.len()];
    for begin in 0..tasks.len() {
        // The way from `begin`, and how many of its last task's next ones were followed.
        let mut way = if std::mem::replace(&mut seen[begin], true) { Vec::new() } else { vec![(begin, 0)] };
        let mut at_place = HashMap::from([(begin, 0)]);
        while let Some((at, followed)) = way.last_mut() {
            let Some(to) = next[*at].get(*followed).copied() else {
                at_place.remove(at);
                way.pop();
                continue;
            };
            *followed += 1;
            if let Some(from) = at_place.get(&to) {
                found.push(way[*from..].iter().map(|(at, _)| &tasks[*at]).collect());
            } else if !std::mem::replace(&mut seen[to], true) {
                at_place.insert(to, way.len());
                way.push((to, 0));
            }
        }
    }
    found
}

struct Tree {
    awaits: HashMap<usize, Vec<usize>>,
    shown: HashSet<usize>,
    rows: Vec<TreeRow>,
}

impl Tree {
    fn add_unless_shown(&mut self, root: usize) {
        if self.shown.contains(&root) {
            return;
        }
        let mut open = vec![(root, 0)];
        while let Some((task, depth)) = open.pop() {
            if self.rows.len() >= MOST_ROWS {
                return;
            }
            let again = !self.shown.insert(task);
            self.rows.push(TreeRow { task, depth, again });
            if !again && depth < MOST_DEPTH {
                let below = self.awaits.get(&task).map_or(&[][..], Vec::as_slice);
                open.extend(below.iter().rev().map(|task| (*task, depth + 1)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: u64, awaited_by: &[u64]) -> AsyncTask {
        AsyncTask {
            id,
            name: "t".into(),
            loop_id: 1,
            state: AsyncState::Waiting,
            frames: Vec::new(),
            awaited_by: awaited_by.to_vec(),
            moved: false,
            lock: None,
            queue: None,
            holds: Vec::new(),
            timed: false,
        }
    }

    fn rows(tasks: Vec<AsyncTask>) -> Vec<(u64, usize, bool)> {
        let all = Asyncio { task_count: tasks.len(), tasks, loops: Vec::new() };
        all.tree(1).into_iter().map(|row| (all.tasks[row.task].id, row.depth, row.again)).collect()
    }

    #[test]
    fn every_task_is_in_the_tree_once_in_full_and_circles_end() {
        let tree = rows(vec![task(3, &[2]), task(2, &[1]), task(1, &[]), task(4, &[1, 2])]);
        assert_eq!(tree, [(1, 0, false), (2, 1, false), (3, 2, false), (4, 2, false), (4, 1, true)]);
        let circle = rows(vec![task(1, &[2]), task(2, &[1]), task(3, &[3])]);
        assert_eq!(circle, [(1, 0, false), (2, 1, false), (1, 2, true), (3, 0, false), (3, 1, true)]);
        // One that is awaited by a task that is not there is a root.
        assert_eq!(rows(vec![task(5, &[99])]), [(5, 0, false)]);
    }

    #[test]
    fn tasks_that_wait_for_each_other_are_a_circle() {
        let found = |tasks: &[AsyncTask]| -> Vec<Vec<u64>> {
            circles(tasks).iter().map(|circle| circle.iter().map(|task| task.id).collect()).collect()
        };
        // 1 awaits 2, 2 awaits 3 and 4, 3 awaits 1.
        let all = [task(1, &[3]), task(2, &[1]), task(3, &[2]), task(4, &[2])];
        assert_eq!(found(&all), [[1, 2, 3]]);
        assert_eq!(found(&all[1..]), [[0u64; 0]; 0]);
        let mut some = all.clone();
        some[1].frames = vec![PythonFrame { function: "_wait".into(), file: "/asyncio/tasks.py".into(), line: None, times: 1 }];
        assert_eq!(found(&some), [[0u64; 0]; 0], "the first that ends is enough");
        let mut ready = all;
        ready[0].state = AsyncState::Ready;
        assert_eq!(found(&ready), [[0u64; 0]; 0]);
        // 1 holds the lock that 2 waits for, and awaits 2.
        let mut mixed = [task(1, &[]), task(2, &[1])];
        (mixed[0].holds, mixed[1].lock) = (vec![9], Some(9));
        assert_eq!(found(&mixed), [[1, 2]]);
        mixed[0].holds = vec![];
        assert_eq!(found(&mixed), [[0u64; 0]; 0]);
        let two = [task(1, &[2]), task(2, &[1]), task(3, &[4]), task(4, &[3])];
        assert_eq!(found(&two), [[1, 2], [3, 4]]);
    }

    #[test]
    fn a_chain_of_any_length_is_shown_whole() {
        let chain = (1..=1000).map(|id| task(id, if id == 1 { &[] } else { &[0][..] })).enumerate();
        let chain = chain.map(|(at, mut task)| {
            task.awaited_by.iter_mut().for_each(|above| *above = at as u64);
            task
        });
        let rows = rows(chain.collect());
        let full = rows.iter().filter(|row| !row.2).count();
        assert_eq!(full, 1000);
    }
}
