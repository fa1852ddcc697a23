//! Reads the expensive values ([`Exact`]) of visible rows within a time budget, oldest first, so that a short budget rotates over them.
//!
//! A value needed of *every* process (sorted or filtered by) is read when the process ran since the last reading, regardless of the budget,
//! except `smaps_rollup`, which is never read for all: the kernel walks the page tables for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::error::ReadError;
use super::parse::io::Io;
use super::parse::smaps::SmapsRollup;
use super::parse::statm::Statm;
use super::parse::status::{Status, cpus_allowed};
use super::parse::unsigned;
use super::proc_fs::{ProcFs, RelPath};
use super::readers::{Order, Patience, Readers, silent_since};
use super::source::{Needs, Request};
use super::{locks, pipes, place, waits};
use crate::clock::{Clock, SystemClock};
use crate::snapshot::{Exact, ProcKey, ProcessSample, State, TaskSample, TaskWait, give_back_map};

/// Resident size above which `smaps_rollup` is not read unasked: at some 50 ns a page this is about 25 ms with the process's memory
/// map locked.
const SMAPS_LIMIT_BYTES: u64 = 2 << 30;
/// One or two small files each.
const CHEAP: Needs = Needs::WAITS.union(Needs::AFFINITY).union(Needs::OOM).union(Needs::NAMESPACES);
/// What is read here.
const EXACT: Needs =
    Needs::IO.union(Needs::SMAPS).union(Needs::WCHAN).union(Needs::FDS).union(Needs::STATUS).union(Needs::STATM).union(CHEAP);
/// What may be wanted of every process. The sources themselves read `status` and `statm` for all.
const FOR_ALL: Needs = Needs::IO.union(Needs::WCHAN).union(Needs::FDS).union(CHEAP);

/// Files with the memory of a process; it changes little while the process rests.
const MEMORY: Needs = Needs::STATM.union(Needs::STATUS);

/// Files whose reading waits for a lock that the process may hold: on its memory map, or the one of exec.
const LOCKING: Needs = Needs::SMAPS.union(Needs::IO).union(Needs::WAITS);

/// The memory of a process that does not run is read again after so long, nanoseconds: others can only take some of it away.
const RESTING_NS: u64 = 5_000_000_000;

#[derive(Debug)]
struct Kept {
    exact: Arc<Exact>,
    needs: Needs,
    sweep: u64,
    /// The task at which the next reading of waits begins.
    next_tid: i32,
    memory: Memory,
    /// The last sweep in which that was its memory: it was read, or had not run.
    current: u64,
}

impl Kept {
    /// Whether what is wanted is known well enough, if the process has not run since the sweep before this one.
    fn is_fresh(&self, needs: Needs, sweep: u64, now_ns: u64) -> bool {
        let is_recent = now_ns.saturating_sub(self.exact.taken_ns) < RESTING_NS;
        MEMORY.contains(needs) && is_recent && self.current + 1 == sweep && !self.exact.unanswered
    }
}

/// The memory of a process from `statm` and `status`, bytes: resident, shared, then what of the resident is anonymous, of files and of
/// shared memory, and swapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Memory([Option<u64>; 6]);

impl Memory {
    fn of(process: &ProcessSample) -> Self {
        let p = process;
        Self([p.rss_bytes, p.shared_bytes, p.rss_anon_bytes, p.rss_file_bytes, p.rss_shmem_bytes, p.swap_bytes])
    }

    fn put(self, process: &mut ProcessSample) {
        // What is the same stays shared with the sample before.
        if Self::of(process) != self {
            let p = &mut **process;
            [p.rss_bytes, p.shared_bytes, p.rss_anon_bytes, p.rss_file_bytes, p.rss_shmem_bytes, p.swap_bytes] = self.0;
        }
    }
}

/// An order to read a process's values.
#[derive(Debug)]
struct Reading {
    process: ProcessSample,
    /// Its own, if what is read goes by task.
    tasks: Vec<TaskSample>,
    needs: Needs,
    /// What takes a lock is left out: an earlier read has not returned.
    partial: bool,
    /// What was known before, and the task at which reading waits begins.
    previous: Option<(Arc<Exact>, i32)>,
    own_namespaces: Option<place::Own>,
    page_bytes: u64,
    /// The time at which the budget is spent.
    deadline: Option<Instant>,
    /// Whether it is read even after the deadline.
    first: bool,
}

impl Order for Reading {
    fn key(&self) -> ProcKey {
        self.process.key
    }

    fn takes_lock(&self) -> bool {
        self.needs.intersects(LOCKING)
    }
}

/// What was read; `process` has the figures of memory that are exact now.
#[derive(Debug)]
struct Answer {
    exact: Exact,
    process: ProcessSample,
    needs: Needs,
    next_tid: i32,
    /// What takes a lock was left out.
    partial: bool,
}

/// Reads and remembers exact values.
#[derive(Debug)]
pub struct ExactReader {
    kept: HashMap<ProcKey, Kept>,
    sweep: u64,
    readers: Readers<Reading, Option<Answer>>,
    pipes: pipes::Pipes,
    /// Read when it is first needed.
    own_namespaces: Option<place::Own>,
}

impl Default for ExactReader {
    fn default() -> Self {
        Self {
            kept: HashMap::new(),
            sweep: 0,
            readers: Readers::new("exact", read),
            pipes: pipes::Pipes::default(),
            own_namespaces: None,
        }
    }
}

impl ExactReader {
    /// Completes `processes` (ascending pid) as far as the request wants and its budget goes. `moved` returns whether the process at an
    /// index ran since the previous sweep.
    pub fn fill(
        &mut self,
        fs: &ProcFs,
        request: &Request<'_>,
        processes: &mut [ProcessSample],
        tasks: &[TaskSample],
        moved: impl Fn(usize) -> bool,
    ) {
        self.sweep += 1;
        let for_all = request.all & FOR_ALL;
        if !for_all.is_empty() {
            self.fill_all(fs, for_all, request, processes, tasks, &moved);
        }
        let for_visible = (request.all | request.visible_needs) & (EXACT | Needs::SMAPS_ANY_SIZE);
        if for_visible.intersects(EXACT) || !request.family.is_empty() {
            self.fill_visible(fs, for_visible, request, processes, tasks, &moved);
        }
        if for_visible.contains(Needs::WAITS) {
            self.name_crowds(processes);
            self.name_peers(fs, request, processes);
        }
        let sweep = self.sweep;
        // Rows scrolled away are remembered for a while, for they often come back.
        self.kept.retain(|_, kept| sweep - kept.sweep < 16);
        give_back_map(&mut self.kept);
    }

    /// CPU time that reading took since this was asked last, nanoseconds.
    pub fn cpu_ns(&mut self) -> u64 {
        self.readers.cpu_ns()
    }

    fn fill_all(
        &mut self,
        fs: &ProcFs,
        needs: Needs,
        request: &Request<'_>,
        processes: &mut [ProcessSample],
        tasks: &[TaskSample],
        moved: impl Fn(usize) -> bool,
    ) {
        let mut orders = Vec::new();
        for (index, process) in processes.iter().enumerate() {
            let known = self.kept.get(&process.key).filter(|kept| kept.needs.contains(needs));
            if known.is_none_or(|kept| kept.exact.unanswered) || moved(index) {
                orders.push(self.order(fs, process, tasks, needs, None));
            }
        }
        self.carry_out(fs, orders, request, processes);
        processes.iter_mut().for_each(|process| self.attach(process));
    }

    fn fill_visible(
        &mut self,
        fs: &ProcFs,
        needs: Needs,
        request: &Request<'_>,
        processes: &mut [ProcessSample],
        tasks: &[TaskSample],
        moved: impl Fn(usize) -> bool,
    ) {
        let (began, now_ns) = (Instant::now(), SystemClock.boot_ns());
        let mut rows: Vec<(u64, usize, Needs)> = Vec::with_capacity(request.visible.len() + request.family.len());
        let of_family = request.family.iter().filter(|key| !request.visible.contains(key)).map(|key| (key, Needs::SMAPS));
        let on_screen = request.visible.iter().map(|key| {
            let more = if request.family.contains(key) { Needs::SMAPS } else { Needs::empty() };
            (key, needs | more)
        });
        for (key, needs) in on_screen.chain(of_family).filter(|(_, needs)| needs.intersects(EXACT)) {
            if let Ok(index) = processes.binary_search_by_key(&key.pid, |process| process.key.pid) {
                let complete = self.kept.get_mut(key).filter(|kept| kept.needs.contains(needs));
                let taken_ns = complete.as_ref().map_or(0, |kept| kept.exact.taken_ns);
                match complete {
                    Some(kept) if kept.is_fresh(needs & EXACT, self.sweep, now_ns) && !moved(index) => {
                        (kept.sweep, kept.current) = (self.sweep, self.sweep);
                        kept.memory.put(&mut processes[index]);
                        processes[index].exact = Some(Arc::clone(&kept.exact));
                    }
                    _ => rows.push((taken_ns, index, needs)),
                }
            }
        }
        rows.sort_unstable_by_key(|(taken_ns, index, _)| (*taken_ns, *index));
        let mut orders = Vec::with_capacity(rows.len());
        for (_, index, needs) in &rows {
            // The first one is always read: otherwise a budget of nothing would mean never.
            let first = orders.is_empty();
            orders.push(Reading { first, ..self.order(fs, &processes[*index], tasks, *needs, Some(began + request.budget)) });
        }
        self.carry_out(fs, orders, request, processes);
        rows.into_iter().for_each(|(_, index, _)| self.attach(&mut processes[index]));
    }

    fn order(
        &mut self,
        fs: &ProcFs,
        process: &ProcessSample,
        tasks: &[TaskSample],
        needs: Needs,
        deadline: Option<Instant>,
    ) -> Reading {
        let by_task = needs.intersects(Needs::WAITS | Needs::AFFINITY);
        let own = tasks.get(process.tasks.start as usize..process.tasks.end as usize).filter(|_| by_task);
        let partial = needs.intersects(LOCKING) && silent_since(process.key).is_some();
        let needs = if partial { needs.difference(LOCKING) } else { needs };
        let own_namespaces = needs.contains(Needs::NAMESPACES);
        Reading {
            process: process.clone(),
            tasks: own.unwrap_or_default().to_vec(),
            needs,
            partial,
            previous: self.kept.get(&process.key).map(|kept| (Arc::clone(&kept.exact), kept.next_tid)),
            own_namespaces: own_namespaces.then(|| *self.own_namespaces.get_or_insert_with(|| place::own(fs))),
            page_bytes: rustix::param::page_size() as u64,
            deadline,
            first: true,
        }
    }

    /// Has the values read. Of a process that does not answer, what was known stays, and is marked.
    fn carry_out(&mut self, fs: &ProcFs, orders: Vec<Reading>, request: &Request<'_>, processes: &mut [ProcessSample]) {
        let Self { readers, kept, sweep, .. } = self;
        let mut take = |key: ProcKey, answer| match answer {
            Some(Some(Answer { exact, process, needs, next_tid, partial })) => {
                let found = processes.binary_search_by_key(&key.pid, |process| process.key.pid);
                if let Some(place) = found.ok().map(|at| &mut processes[at]).filter(|place| place.key == key) {
                    let memory = Memory::of(&process);
                    memory.put(place);
                    // What was left out is wanted again.
                    let needs = if partial { Needs::empty() } else { needs };
                    kept.insert(key, Kept { exact: Arc::new(exact), needs, sweep: *sweep, next_tid, memory, current: *sweep });
                }
            }
            // The budget was spent.
            Some(None) => {}
            None => {
                let unread = || {
                    let exact = Arc::new(Exact { taken_ns: SystemClock.boot_ns(), ..Exact::default() });
                    Kept { exact, needs: Needs::empty(), sweep: *sweep, next_tid: 0, memory: Memory([None; 6]), current: 0 }
                };
                let known = kept.entry(key).or_insert_with(unread);
                if !known.exact.unanswered {
                    Arc::make_mut(&mut known.exact).unanswered = true;
                }
            }
        };
        // `statm` waits for nothing: a helper thread would cost more than reading it.
        let (at_once, orders): (Vec<_>, Vec<_>) =
            orders.into_iter().partition(|order| Needs::STATM.contains(order.needs & EXACT));
        at_once.into_iter().for_each(|order| take(order.process.key, Some(read(fs, &order))));
        readers.ask(fs, orders, Patience::within(request.budget), take);
    }

    /// Counts together the tasks of several processes that wait at one lock.
    fn name_crowds(&mut self, processes: &mut [ProcessSample]) {
        let crowds = locks::shared_crowds(processes.iter().filter_map(|p| p.exact.as_ref()?.waits.as_deref()).flatten());
        if crowds.is_empty() {
            return;
        }
        let crowd = |wait: &TaskWait| wait.lock.and_then(|lock| crowds.get(&lock).copied());
        for process in processes {
            self.amend(process, |wait| match crowd(wait) {
                Some(count) if count != wait.same_futex => Some(TaskWait { same_futex: count, ..wait.clone() }),
                _ => None,
            });
        }
    }

    /// Writes into each wait at a pipe on screen which process holds the other end; a search for holders is made only for pipes
    /// without a known one.
    fn name_peers(&mut self, fs: &ProcFs, request: &Request<'_>, processes: &mut [ProcessSample]) {
        let mut pipes = std::mem::take(&mut self.pipes);
        let mut at_pipe: Vec<&mut ProcessSample> = processes.iter_mut().filter(|p| pipe_waits(p).next().is_some()).collect();
        let is_visible = |process: &ProcessSample| request.visible.contains(&process.key);
        for name_again in [true, false] {
            for process in &mut at_pipe {
                let (pid, is_visible) = (process.key.pid, is_visible(process));
                self.amend(process, |wait| {
                    // Off screen it is not checked again whether it is still true.
                    let peer = if is_visible { wait.pipe.and_then(|pipe| pipes.peer(fs, pid, pipe)) } else { None };
                    (peer != wait.peer).then(|| TaskWait { peer, ..wait.clone() })
                });
            }
            let is_open = |process: &&mut ProcessSample| is_visible(process) && pipe_waits(process).any(|w| w.peer.is_none());
            if !name_again || !at_pipe.iter().any(is_open) || !pipes.gather(fs, request.budget) {
                break;
            }
        }
        self.pipes = pipes;
    }

    /// Replaces the waits for which `better` returns one, in the process's values and in those remembered.
    fn amend(&mut self, process: &mut ProcessSample, better: impl Fn(&TaskWait) -> Option<TaskWait>) {
        let key = process.key;
        let Some(exact) = process.exact.as_mut() else { return };
        let waits = exact.waits.as_deref().unwrap_or_default();
        let changes: Vec<(usize, TaskWait)> =
            waits.iter().enumerate().filter_map(|(at, wait)| Some((at, better(wait)?))).collect();
        if changes.is_empty() {
            return;
        }
        if let Some(waits) = Arc::make_mut(exact).waits.as_deref_mut() {
            for (at, wait) in changes {
                waits[at] = wait;
            }
        }
        if let Some(kept) = self.kept.get_mut(&key) {
            kept.exact = Arc::clone(exact);
        }
    }

    fn attach(&mut self, process: &mut ProcessSample) {
        if let Some(kept) = self.kept.get_mut(&process.key) {
            kept.sweep = self.sweep;
            process.exact = Some(Arc::clone(&kept.exact));
        }
    }
}

/// Carries an order out, on a helper thread; `None` if its budget is spent.
fn read(fs: &ProcFs, order: &Reading) -> Option<Answer> {
    if !order.first && order.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        return None;
    }
    let (needs, face) = (order.needs, order.process.leader.tid);
    let mut process = order.process.clone();
    let mut exact = read_exact(fs, &mut process, needs, order.page_bytes);
    let mut next_tid = 0;
    if needs.contains(Needs::WAITS) {
        let previous = order.previous.as_ref().and_then(|(exact, _)| exact.waits.as_deref()).unwrap_or_default();
        let start_tid = order.previous.as_ref().map_or(0, |(_, tid)| *tid);
        let (waits, next) = waits::read(fs, &process, &order.tasks, previous, start_tid, order.deadline);
        (exact.waits, next_tid) = (Some(waits), next);
    }
    if needs.contains(Needs::AFFINITY) {
        exact.thread_cpus = place::thread_cpus(fs, face, &order.tasks, order.deadline);
    }
    if let Some(mine) = &order.own_namespaces {
        exact.namespaces = Some(place::namespaces(fs, face, mine));
    }
    if order.partial {
        exact = Exact { unanswered: true, ..exact.with_locked_of(order.previous.as_ref().map(|(exact, _)| &**exact)) };
    }
    Some(Answer { exact, process, needs, next_tid, partial: order.partial })
}

/// The waits at pipes among a process's.
fn pipe_waits(process: &ProcessSample) -> impl Iterator<Item = &TaskWait> {
    let waits = process.exact.as_ref().and_then(|exact| exact.waits.as_deref()).unwrap_or_default();
    waits.iter().filter(|wait| wait.pipe.is_some())
}

fn read_exact(fs: &ProcFs, process: &mut ProcessSample, needs: Needs, page_bytes: u64) -> Exact {
    // Files of a main thread that has ended are empty; those of the thread that speaks for the process are not.
    let (pid, face) = (process.key.pid, process.leader.tid);
    let (mut buffer, mut long) = ([0u8; 4096], Vec::new());
    let mut exact = Exact { taken_ns: SystemClock.boot_ns(), ..Exact::default() };
    let has_memory = process.virt_bytes.is_some() && process.leader.state != State::ZOMBIE;
    if needs.contains(Needs::STATM) && has_memory {
        let statm = fs.read_once(&RelPath::process(face, "statm"), &mut buffer).ok().and_then(|bytes| Statm::parse(bytes).ok());
        if let Some(statm) = statm {
            process.rss_bytes = Some(statm.resident_pages.saturating_mul(page_bytes));
            process.shared_bytes = Some(statm.shared_pages.saturating_mul(page_bytes));
        }
    }
    if needs.contains(Needs::STATUS)
        && has_memory
        && let Ok(status) = fs.read_whole(&RelPath::process(face, "status"), &mut long).map(Status::parse)
    {
        exact.peak_rss_bytes = status.peak_rss_bytes;
        process.rss_anon_bytes = status.rss_anon_bytes.or(process.rss_anon_bytes);
        process.rss_file_bytes = status.rss_file_bytes.or(process.rss_file_bytes);
        process.rss_shmem_bytes = status.rss_shmem_bytes.or(process.rss_shmem_bytes);
        process.swap_bytes = status.swap_bytes.or(process.swap_bytes);
    }
    if needs.contains(Needs::IO) {
        let io = fs.read_once(&RelPath::process(pid, "io"), &mut buffer).map(Io::parse);
        exact.denied.io = io.as_ref().is_err_and(ReadError::is_denied);
        let io = io.unwrap_or_default();
        (exact.read_bytes, exact.write_bytes) = (io.read_bytes, io.write_bytes);
    }
    if needs.contains(Needs::WCHAN) {
        exact.wchan = waits::function(fs.read_once(&RelPath::process(face, "wchan"), &mut buffer));
    }
    if needs.contains(Needs::AFFINITY) {
        let status = fs.read_whole(&RelPath::process(face, "status"), &mut long);
        exact.cpus_allowed = status.ok().and_then(cpus_allowed).map(Into::into);
    }
    if needs.contains(Needs::OOM) && !process.kernel_thread {
        let score = fs.read_once(&RelPath::process(pid, "oom_score"), &mut buffer);
        exact.oom_score = score.ok().and_then(|bytes| unsigned(bytes.trim_ascii())).and_then(|score| u32::try_from(score).ok());
    }
    if needs.contains(Needs::FDS) {
        let fds = fs.count_fds(face);
        exact.denied.fds = fds.as_ref().is_err_and(ReadError::is_denied);
        exact.fds = fds.ok();
    }
    if needs.contains(Needs::SMAPS) && has_memory {
        exact.too_large_for_smaps =
            !needs.contains(Needs::SMAPS_ANY_SIZE) && process.rss_bytes.is_none_or(|rss| rss > SMAPS_LIMIT_BYTES);
        if !exact.too_large_for_smaps {
            let path = RelPath::process(face, "smaps_rollup");
            let rollup = fs.read_whole(&path, &mut long).map(SmapsRollup::parse);
            exact.denied.smaps = rollup.as_ref().is_err_and(ReadError::is_denied);
            let rollup = rollup.unwrap_or_default();
            exact.pss_bytes = rollup.pss_bytes;
            exact.uss_bytes = rollup.uss_bytes();
            exact.private_dirty_bytes = rollup.private_dirty_bytes;
        }
    }
    exact
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_taken_as_read_only_in_the_sweep_after_one_that_knew_it() {
        let kept = |current, exact| Kept {
            exact: Arc::new(exact),
            needs: Needs::STATM,
            sweep: current,
            next_tid: 0,
            memory: Memory([None; 6]),
            current,
        };
        let read = Exact { taken_ns: 7, ..Exact::default() };
        let fresh = |kept: &Kept, needs, now_ns| kept.is_fresh(needs, 10, now_ns);
        let known = kept(9, read.clone());
        assert!(fresh(&known, Needs::STATM, 8));
        assert!(!fresh(&known, Needs::STATM, 7 + RESTING_NS), "others take memory away");
        assert!(!fresh(&known, Needs::STATM | Needs::IO, 8), "its counters are wanted too");
        assert!(!fresh(&kept(8, read.clone()), Needs::STATM, 8), "what it did in the sweep before is not known");
        assert!(!fresh(&kept(9, Exact { unanswered: true, ..read }), Needs::STATM, 8));
    }
}
