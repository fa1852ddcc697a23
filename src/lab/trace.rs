//! The trace of a run's tasks, sampled densely: what each task did between two samples.
//!
//! Times on a CPU and waiting for one are differences of the kernel's counters (`schedstat`, proc_pid_schedstat of
//! Documentation/scheduler/sched-stats.rst), so their sums are exact up to the last sample. Their position between two samples is unknown
//! and taken as spread evenly.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Most slices kept of one run. Beyond it neighbours are joined: the sums stay, the picture gets coarser.
const SLICES_MOST: usize = 40_000;
/// Most changes of memory and threads kept of one process. Beyond it every second one is dropped.
const HOLDINGS_MOST: usize = 512;
/// A task that was on a CPU for this share of a slice never left it, as far as the counters' own steps can tell.
const WHOLE: f64 = 0.98;

/// What a task did between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// From, monotonic nanoseconds.
    pub from_ns: u64,
    /// To.
    pub to_ns: u64,
    /// Of that on a CPU.
    pub run_ns: u64,
    /// Of that ready to run, but waiting for a CPU.
    pub wait_ns: u64,
    /// The kernel's state letter at its end.
    pub state: char,
    /// The CPU it last ran on, as seen at its end.
    pub cpu: Option<u32>,
}

impl Slice {
    /// How long it is.
    #[must_use]
    pub fn length_ns(&self) -> u64 {
        self.to_ns.saturating_sub(self.from_ns)
    }

    /// Of that neither on a CPU nor ready to run.
    #[must_use]
    pub fn slack_ns(&self) -> u64 {
        self.length_ns().saturating_sub(self.run_ns.saturating_add(self.wait_ns))
    }

    /// Whether the task did the same all along here as in the slice before it.
    fn goes_on(&self, before: &Self) -> bool {
        let whole = |s: &Self| s.run_ns as f64 >= WHOLE * s.length_ns() as f64;
        let still = |s: &Self| s.run_ns == 0 && s.wait_ns == 0 && s.state != 'R';
        self.from_ns == before.to_ns
            && self.state == before.state
            && ((still(self) && still(before)) || (whole(self) && whole(before) && self.cpu == before.cpu))
    }
}

/// What a process held from an instant on, until the next change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// From, monotonic nanoseconds.
    pub from_ns: u64,
    /// Resident memory (proc_pid_stat(5), field 24).
    pub rss_bytes: u64,
    /// Threads (field 20).
    pub threads: u32,
}

/// One look at one task: its counters since its birth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// When, monotonic nanoseconds.
    pub at_ns: u64,
    /// On a CPU since its birth.
    pub run_ns: u64,
    /// Waiting for one since its birth.
    pub wait_ns: u64,
    /// The kernel's state letter.
    pub state: char,
    /// The CPU it last ran on.
    pub cpu: Option<u32>,
    /// Its process's parent (proc_pid_stat(5), field 4).
    pub parent: i32,
    /// Its process's resident memory.
    pub rss_bytes: u64,
    /// Its process's threads.
    pub threads: u32,
}

/// One task (process or thread) of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskTrace {
    /// Its process.
    pub pid: i32,
    /// Itself.
    pub tid: i32,
    /// Its name, as the kernel has it; not yet fit for a terminal.
    pub comm: String,
    /// When it was found to be gone, monotonic nanoseconds.
    pub gone_ns: Option<u64>,
    /// On a CPU since its birth, nanoseconds, as of the last look.
    pub run_ns: u64,
    /// Waiting for one since its birth, nanoseconds, as of the last look.
    pub wait_ns: u64,
    /// The parent of its process, as of the last look.
    pub parent: i32,
    /// In order of time, without gaps.
    pub slices: Vec<Slice>,
    /// What its process held, in order of time; kept with the first thread of a process.
    pub holdings: Vec<Holding>,
}

impl TaskTrace {
    fn new(pid: i32, tid: i32, comm: &str) -> Self {
        Self { pid, tid, comm: comm.to_owned(), ..Self::default() }
    }

    /// When the first slice begins: it was not there before, as far as was seen.
    #[must_use]
    pub fn first_ns(&self) -> Option<u64> {
        self.slices.first().map(|s| s.from_ns)
    }

    /// The slice that holds this instant.
    #[must_use]
    pub fn at(&self, ns: u64) -> Option<&Slice> {
        let next = self.slices.partition_point(|s| s.from_ns <= ns);
        self.slices.get(next.checked_sub(1)?).filter(|s| ns < s.to_ns)
    }

    /// Whether it was there at this instant.
    #[must_use]
    pub fn is_there(&self, ns: u64) -> bool {
        self.first_ns().is_some_and(|first| first <= ns) && self.gone_ns.is_none_or(|gone| ns < gone)
    }

    /// What its process held at this instant; `None` before the first look, and for all but the first thread of a process.
    #[must_use]
    pub fn holding(&self, ns: u64) -> Option<Holding> {
        let next = self.holdings.partition_point(|h| h.from_ns <= ns);
        self.holdings.get(next.checked_sub(1)?).copied()
    }

    fn hold(&mut self, look: Look) {
        let (rss_bytes, threads) = (look.rss_bytes, look.threads);
        if self.holdings.last().is_some_and(|last| (last.rss_bytes, last.threads) == (rss_bytes, threads)) {
            return;
        }
        if self.holdings.len() >= HOLDINGS_MOST {
            let mut at = 0;
            self.holdings.retain(|_| {
                at += 1;
                at % 2 == 1
            });
        }
        self.holdings.push(Holding { from_ns: look.at_ns, rss_bytes, threads });
    }

    fn push(&mut self, since_ns: u64, look: Look) {
        self.parent = look.parent;
        if self.pid == self.tid {
            self.hold(look);
        }
        let mut run_ns = look.run_ns.saturating_sub(self.run_ns);
        let mut wait_ns = look.wait_ns.saturating_sub(self.wait_ns);
        (self.run_ns, self.wait_ns) = (look.run_ns.max(self.run_ns), look.wait_ns.max(self.wait_ns));
        let from_ns = match self.slices.last() {
            Some(last) => last.to_ns,
            None => since_ns.min(look.at_ns.saturating_sub(run_ns + wait_ns)),
        };
        let length = look.at_ns.saturating_sub(from_ns);
        // The kernel adds to its counters when a task leaves a CPU, gets one, or at a timer tick: what is more than fits between two
        // looks belongs to the looks before, in which the task was ready to run and nothing was added yet.
        let over = (run_ns + wait_ns).saturating_sub(length);
        if over > 0 {
            let run_over = over.saturating_sub(wait_ns.min(over)).min(run_ns);
            let (run_left, wait_left) = self.give_back(run_over, over - run_over);
            run_ns -= run_over - run_left;
            wait_ns -= (over - run_over) - wait_left;
        }
        let slice = Slice { from_ns, to_ns: look.at_ns, run_ns, wait_ns, state: look.state, cpu: look.cpu };
        match self.slices.last_mut() {
            Some(last) if slice.goes_on(last) => {
                last.to_ns = slice.to_ns;
                last.run_ns += slice.run_ns;
                last.wait_ns += slice.wait_ns;
            }
            _ if length > 0 || run_ns > 0 => self.slices.push(slice),
            _ => {}
        }
    }

    /// Puts time into the slices before as far as there is room in those at whose end the task was ready to run; what did not fit.
    fn give_back(&mut self, mut run_ns: u64, mut wait_ns: u64) -> (u64, u64) {
        for slice in self.slices.iter_mut().rev() {
            if slice.state != 'R' || run_ns + wait_ns == 0 {
                break;
            }
            let run = run_ns.min(slice.slack_ns());
            slice.run_ns += run;
            run_ns -= run;
            let wait = wait_ns.min(slice.slack_ns());
            slice.wait_ns += wait;
            wait_ns -= wait;
        }
        (run_ns, wait_ns)
    }

    /// Joins each two neighbours.
    fn coarsen(&mut self) {
        let joined = self.slices.chunks(2).map(|pair| match pair {
            [a, b] => Slice {
                from_ns: a.from_ns,
                run_ns: a.run_ns + b.run_ns,
                wait_ns: a.wait_ns + b.wait_ns,
                state: if a.length_ns() > b.length_ns() { a.state } else { b.state },
                ..*b
            },
            _ => pair[0],
        });
        self.slices = joined.collect();
    }
}

/// All tasks of a run, in the order in which they were first seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Trace {
    /// The tasks. Shared with earlier copies of the trace until they change.
    pub tasks: Vec<Arc<TaskTrace>>,
    /// Median time between two looks, nanoseconds; 0 before the second.
    pub step_ns: u64,
    /// Largest sum of resident memory over the processes of one round of looks, bytes.
    #[serde(default)]
    pub peak_rss_bytes: u64,
    /// Tasks that could not be watched: there were too many, or no descriptors were left.
    pub unwatched: u64,
    /// The GILs of a traced family, in the form of tasks that run while they are held.
    #[serde(skip)]
    pub gils: Vec<TaskTrace>,
    #[serde(skip)]
    index: HashMap<(i32, i32), usize>,
    #[serde(skip)]
    steps: Steps,
}

/// How long the times between looks are, in powers of two.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Steps([u32; 16]);

impl Steps {
    /// From half a millisecond on.
    const LEAST_NS: u64 = 500_000;

    fn add(&mut self, ns: u64) {
        let at = (ns / Self::LEAST_NS).checked_ilog2().unwrap_or(0).min(15);
        if let Some(count) = self.0.get_mut(at as usize) {
            *count = count.saturating_add(1);
        }
    }

    fn median_ns(&self) -> u64 {
        let all: u32 = self.0.iter().sum();
        let mut below = 0;
        let at = self.0.iter().position(|count| {
            below += count;
            below * 2 >= all
        });
        if all == 0 { 0 } else { Self::LEAST_NS << at.unwrap_or(0) }
    }
}

impl Trace {
    /// Takes in a look at one task. `since_ns` is when it was not there yet.
    pub fn saw(&mut self, pid: i32, tid: i32, comm: &str, since_ns: u64, look: Look) {
        let at = *self.index.entry((pid, tid)).or_insert_with(|| {
            self.tasks.push(Arc::new(TaskTrace::new(pid, tid, comm)));
            self.tasks.len() - 1
        });
        if let Some(task) = self.tasks.get_mut(at) {
            let task = Arc::make_mut(task);
            if task.comm != comm {
                comm.clone_into(&mut task.comm);
            }
            task.push(since_ns, look);
        }
    }

    /// Takes in the last look at a process that has ended: it holds nothing any more.
    pub fn saw_end(&mut self, pid: i32, comm: &str, look: Look) {
        let held = self.index.get(&(pid, pid)).and_then(|at| self.tasks.get(*at)).and_then(|task| task.holdings.last()).copied();
        let (rss_bytes, threads) = held.map_or((0, look.threads), |held| (held.rss_bytes, held.threads));
        self.saw(pid, pid, comm, look.at_ns, Look { rss_bytes, threads, ..look });
    }

    /// A task is no longer there.
    pub fn gone(&mut self, pid: i32, tid: i32, at_ns: u64) {
        if let Some(task) = self.index.remove(&(pid, tid)).and_then(|at| self.tasks.get_mut(at)) {
            Arc::make_mut(task).gone_ns = Some(at_ns);
        }
    }

    /// A round of looks has ended, this long after the one before it; it found so much memory resident.
    pub fn round(&mut self, step_ns: u64, rss_bytes: u64) {
        self.peak_rss_bytes = self.peak_rss_bytes.max(rss_bytes);
        self.steps.add(step_ns);
        self.step_ns = self.steps.median_ns();
        while self.tasks.iter().map(|t| t.slices.len()).sum::<usize>() > SLICES_MOST.max(4 * self.tasks.len()) {
            for task in &mut self.tasks {
                Arc::make_mut(task).coarsen();
            }
        }
    }

    /// How many processes there have been.
    #[must_use]
    pub fn processes(&self) -> usize {
        self.tasks.iter().filter(|task| task.pid == task.tid).count()
    }

    /// Time on a CPU over all tasks, nanoseconds.
    #[must_use]
    pub fn run_ns(&self) -> u64 {
        self.tasks.iter().map(|t| t.run_ns).sum()
    }

    /// Time waiting for one over all tasks, nanoseconds.
    #[must_use]
    pub fn wait_ns(&self) -> u64 {
        self.tasks.iter().map(|t| t.wait_ns).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn look(at: u64, run: u64, wait: u64, state: char) -> Look {
        let (run_ns, wait_ns) = (run * MS, wait * MS);
        Look { at_ns: at * MS, run_ns, wait_ns, state, cpu: Some(0), parent: 1, rss_bytes: 4096, threads: 1 }
    }

    fn trace(looks: &[Look]) -> TaskTrace {
        let mut trace = Trace::default();
        for l in looks {
            trace.saw(7, 8, "x", 0, *l);
        }
        (*trace.tasks[0]).clone()
    }

    fn sums(task: &TaskTrace) -> (u64, u64) {
        let sum = |of: fn(&Slice) -> u64| task.slices.iter().map(of).sum::<u64>() / MS;
        (sum(|s| s.run_ns), sum(|s| s.wait_ns))
    }

    #[test]
    fn what_a_task_does_all_along_is_one_slice() {
        let looks: Vec<Look> = (1..100).map(|i| look(i * 5, 3, 0, 'S')).collect();
        let task = trace(&looks);
        assert_eq!(task.slices.len(), 2, "what it ran at first, and its sleep");
        let looks: Vec<Look> = (1..100).map(|i| look(i * 5, i * 5, 0, 'R')).collect();
        assert_eq!((trace(&looks).slices.len(), sums(&trace(&looks))), (1, (495, 0)));
    }

    #[test]
    fn a_wait_that_is_counted_when_it_ends_is_where_it_was() {
        // Ready at 5, gets a CPU at 22: the kernel counts the wait then.
        let task =
            trace(&[look(5, 1, 0, 'R'), look(10, 1, 0, 'R'), look(15, 1, 0, 'R'), look(20, 1, 0, 'R'), look(25, 4, 17, 'R')]);
        assert_eq!(sums(&task), (4, 17));
        let over = |s: &&Slice| s.run_ns + s.wait_ns > s.length_ns();
        assert_eq!(task.slices.iter().find(over), None, "{:?}", task.slices);
        assert_eq!(task.at(12 * MS).map(|s| s.wait_ns), Some(5 * MS));
    }

    #[test]
    fn a_task_that_was_asleep_did_not_wait_then() {
        let task = trace(&[look(5, 1, 0, 'S'), look(10, 4, 9, 'R')]);
        assert_eq!(task.slices[0].wait_ns, 0);
        assert_eq!(sums(&task), (4, 9), "a sum is never cut, however little it fits");
    }

    #[test]
    fn joining_keeps_the_sums() {
        let mut trace = Trace::default();
        for i in 1..=(SLICES_MOST as u64 * 3) {
            trace.saw(7, 8, "x", 0, look(i * 5, i * 2, i, if i % 2 == 0 { 'R' } else { 'S' }));
            trace.round(5 * MS, i);
        }
        let task = &trace.tasks[0];
        assert!(task.slices.len() <= SLICES_MOST);
        assert_eq!(sums(task), (task.run_ns / MS, task.wait_ns / MS));
        assert!(task.slices.windows(2).all(|w| w[0].to_ns == w[1].from_ns));
        assert_eq!(trace.step_ns, 4 * MS, "in powers of two");
    }

    #[test]
    fn what_a_process_holds_is_kept_from_change_to_change_and_never_without_bound() {
        let mut trace = Trace::default();
        for i in 1..=(HOLDINGS_MOST as u64 * 3) {
            let look = Look { rss_bytes: i / 2 * 4096, ..look(i, 1, 0, 'S') };
            trace.saw(7, 7, "x", 0, look);
            trace.saw(7, 9, "thread", 0, look);
        }
        let task = &trace.tasks[0];
        assert!(task.holdings.len() <= HOLDINGS_MOST && task.holdings.len() > HOLDINGS_MOST / 2);
        assert_eq!(task.holding(0), None, "nobody had looked");
        let last = HOLDINGS_MOST as u64 * 3;
        assert_eq!(task.holding(last * MS).map(|h| h.rss_bytes), Some(last / 2 * 4096));
        let half = task.holding(last / 2 * MS).unwrap().rss_bytes;
        assert!((half as f64 / (last / 4 * 4096) as f64 - 1.0).abs() < 0.05, "{half}");
        assert_eq!(trace.tasks[1].holdings, [], "a thread holds nothing of its own");
    }

    #[test]
    fn a_number_that_is_used_again_is_another_task() {
        let mut trace = Trace::default();
        trace.saw(7, 7, "a", 0, look(5, 1, 0, 'S'));
        trace.gone(7, 7, 9 * MS);
        trace.saw(7, 7, "b", 20 * MS, look(25, 1, 0, 'S'));
        assert_eq!((trace.tasks.len(), trace.run_ns()), (2, 2 * MS));
        assert_eq!(trace.tasks[1].first_ns(), Some(20 * MS));
    }
}
