//! Helper threads for reads that can be held up by another process.
//!
//! `cmdline`, `environ`, `maps`, `smaps*`, `pagemap` and process_vm_readv(2) wait for the lock on the process's memory map, and `io`,
//! `syscall` and `stack` for the one that exec takes. A process that unmaps a file of a hung file system holds that lock until the file
//! system answers, which may be never; only SIGKILL ends such a wait (`mmap_read_lock_killable`). So these reads run on a helper thread
//! that works through a list while the sampler waits. If one read does not return in time, its thread is left behind, another thread
//! takes over the rest of the list, and the process is not asked again until the first thread returns.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SendError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::parse::stat::Stat;
use super::privilege::let_go_of_loading;
use super::proc_fs::ProcFs;
use crate::clock::thread_cpu_ns;
use crate::snapshot::{ProcKey, State};

/// The most threads that are left behind at a time. Beyond it nothing of this kind is read any more.
const MOST_STUCK: usize = 64;
/// Reads through buffers of some kilobytes.
const STACK_BYTES: usize = 512 * 1024;
/// The shortest time that a read is given, however many others have not answered before it.
const LEAST: Duration = Duration::from_millis(40);
/// A thread that is ready and gets no CPU is looked at again after this time.
const SLICE: Duration = Duration::from_millis(20);
/// A piece of work of [`within`] that runs may take so many times the time given.
const RUNNING: u32 = 8;

/// Reads that were left behind, and since when: of all helper threads of the program.
static STUCK: Mutex<Vec<(ProcKey, Instant)>> = Mutex::new(Vec::new());

fn stuck() -> MutexGuard<'static, Vec<(ProcKey, Instant)>> {
    STUCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Since when a read of this process has not returned; `None` if all have.
#[must_use]
pub fn silent_since(key: ProcKey) -> Option<Instant> {
    stuck().iter().find(|(silent, _)| *silent == key).map(|(_, since)| *since)
}

/// How many processes hold up reads now, and whether these are so many that no others are read.
#[must_use]
pub fn silent_count() -> (usize, bool) {
    let count = stuck().len();
    (count, count >= MOST_STUCK)
}

fn forget(key: ProcKey) {
    let mut stuck = stuck();
    if let Some(at) = stuck.iter().position(|(silent, _)| *silent == key) {
        stuck.swap_remove(at);
    }
}

/// What a helper thread is to read.
pub(crate) trait Order: Send + 'static {
    /// Of which process.
    fn key(&self) -> ProcKey;
    /// Whether it waits for a lock that the process may hold: such reads are not tried while an earlier one has not returned.
    fn takes_lock(&self) -> bool {
        true
    }
}

/// How long a list of reads is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For one read that sleeps. Halved with each that does not return.
    pub each: Duration,
    /// For one read that runs, or waits for a CPU.
    pub running: Duration,
    /// For the whole list.
    pub all: Duration,
}

impl Patience {
    /// Within a sweep that has so much time for its expensive reads: seconds if nothing else waits for it.
    pub(crate) fn within(budget: Duration) -> Self {
        let each = if budget >= Duration::from_secs(1) { Duration::from_millis(400) } else { Duration::from_millis(100) };
        Self { each, running: budget.max(Duration::from_millis(500)), all: (2 * budget).max(Duration::from_millis(500)) }
    }
}

/// One helper thread's list and answers.
struct Desk<O, A> {
    state: Mutex<DeskState<O, A>>,
    /// There is something to do.
    bell: Condvar,
    /// All is done.
    done: Condvar,
}

struct DeskState<O, A> {
    orders: VecDeque<O>,
    answers: Vec<(ProcKey, A)>,
    /// The process that is being read.
    at: Option<ProcKey>,
    /// Since when, or when the list was handed over.
    begun: Instant,
    tid: i32,
    cpu_ns: u64,
    /// The thread was left behind: it ends once it returns.
    left: bool,
    closed: bool,
}

impl<O, A> Desk<O, A> {
    fn new() -> Self {
        let state = DeskState {
            orders: VecDeque::new(),
            answers: Vec::new(),
            at: None,
            begun: Instant::now(),
            tid: 0,
            cpu_ns: 0,
            left: false,
            closed: false,
        };
        Self { state: Mutex::new(state), bell: Condvar::new(), done: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, DeskState<O, A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O: Order, A> Desk<O, A> {
    /// The helper thread.
    fn serve(&self, fs: &ProcFs, work: fn(&ProcFs, &O) -> A) {
        // Started by the sampler, whose capabilities are for loading the task iterator only.
        let_go_of_loading(|| true);
        let mut counted_ns = thread_cpu_ns();
        let mut state = self.lock();
        state.tid = nix::unistd::gettid().as_raw();
        loop {
            let Some(order) = state.orders.pop_front() else {
                let cpu_ns = thread_cpu_ns();
                state.cpu_ns += cpu_ns.saturating_sub(std::mem::replace(&mut counted_ns, cpu_ns));
                self.done.notify_one();
                if state.closed {
                    return;
                }
                state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let key = order.key();
            (state.at, state.begun) = (Some(key), Instant::now());
            drop(state);
            let answer = work(fs, &order);
            state = self.lock();
            state.at = None;
            state.answers.push((key, answer));
            if state.left {
                forget(key);
                return;
            }
        }
    }
}

/// Reads one kind of thing of processes on a helper thread.
pub(crate) struct Readers<O, A> {
    name: &'static str,
    work: fn(&ProcFs, &O) -> A,
    desk: Option<Arc<Desk<O, A>>>,
    /// The lists of threads that have not returned.
    left_behind: Vec<Arc<Desk<O, A>>>,
    cpu_ns: u64,
}

impl<O, A> std::fmt::Debug for Readers<O, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readers").field("name", &self.name).field("left_behind", &self.left_behind.len()).finish_non_exhaustive()
    }
}

impl<O: Order, A: Send + 'static> Readers<O, A> {
    /// Reads with `work` on threads of this name (15 bytes at most). No thread is started before the first order.
    pub(crate) fn new(name: &'static str, work: fn(&ProcFs, &O) -> A) -> Self {
        Self { name, work, desk: None, left_behind: Vec::new(), cpu_ns: 0 }
    }

    /// CPU time that the threads took since this was asked last, nanoseconds.
    pub(crate) fn cpu_ns(&mut self) -> u64 {
        std::mem::take(&mut self.cpu_ns)
    }

    /// Carries out `orders` and waits for that as long as `patience` allows. `take` gets each answer, and `None` for each order that was
    /// not carried out in time. Answers that are late come with the next call, which may be one without orders.
    pub(crate) fn ask(&mut self, fs: &ProcFs, orders: Vec<O>, mut patience: Patience, mut take: impl FnMut(ProcKey, Option<A>)) {
        self.left_behind.retain(|desk| {
            let mut state = desk.lock();
            let answers = std::mem::take(&mut state.answers);
            let returned = state.at.is_none();
            drop(state);
            answers.into_iter().for_each(|(key, answer)| take(key, Some(answer)));
            !returned
        });
        let until = Instant::now() + patience.all;
        let mut queue: VecDeque<O> = orders.into();
        while !queue.is_empty() {
            let (_, off) = silent_count();
            let late = Instant::now() >= until;
            queue.retain(|order| {
                let refused = off || late || (order.takes_lock() && silent_since(order.key()).is_some());
                if refused {
                    take(order.key(), None);
                }
                !refused
            });
            let desk = match queue.is_empty() {
                true => return,
                false => self.desk(fs),
            };
            let Some(desk) = desk else {
                queue.iter().for_each(|order| take(order.key(), None));
                return;
            };
            let (answers, left) = wait(&desk, &mut queue, patience, until);
            self.cpu_ns += std::mem::take(&mut desk.lock().cpu_ns);
            answers.into_iter().for_each(|(key, answer)| take(key, Some(answer)));
            if let Some(culprit) = left {
                self.desk = None;
                self.left_behind.push(desk);
                take(culprit, None);
                patience.each = (patience.each / 2).max(LEAST);
            }
        }
    }

    fn desk(&mut self, fs: &ProcFs) -> Option<Arc<Desk<O, A>>> {
        if let Some(desk) = &self.desk {
            return Some(Arc::clone(desk));
        }
        let fs = fs.again().ok()?;
        let desk = Arc::new(Desk::new());
        let (theirs, work) = (Arc::clone(&desk), self.work);
        let thread = std::thread::Builder::new().name(self.name.to_owned()).stack_size(STACK_BYTES);
        thread.spawn(move || theirs.serve(&fs, work)).ok()?;
        self.desk = Some(Arc::clone(&desk));
        Some(desk)
    }
}

impl<O, A> Drop for Readers<O, A> {
    fn drop(&mut self) {
        for desk in self.desk.iter().chain(&self.left_behind) {
            desk.lock().closed = true;
            desk.bell.notify_one();
        }
    }
}

/// Hands the list over and waits. The answers, and the process whose read did not return; what was not begun is in `queue` again.
fn wait<O: Order, A>(
    desk: &Desk<O, A>,
    queue: &mut VecDeque<O>,
    patience: Patience,
    until: Instant,
) -> (Vec<(ProcKey, A)>, Option<ProcKey>) {
    let mut state = desk.lock();
    state.orders = std::mem::take(queue);
    state.begun = Instant::now();
    desk.bell.notify_one();
    let mut left = None;
    while state.at.is_some() || !state.orders.is_empty() {
        let (now, taken) = (Instant::now(), state.begun.elapsed());
        let is_late = now >= until;
        let has_time = taken < patience.each || (taken < patience.running && is_runnable(state.tid));
        if is_late || (!has_time && state.at.is_some()) {
            *queue = std::mem::take(&mut state.orders);
            left = state.at;
            break;
        }
        let pause = patience.each.saturating_sub(taken).max(SLICE).min(until - now);
        state = desk.done.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
    }
    if let Some(culprit) = left {
        state.left = true;
        stuck().push((culprit, state.begun));
    }
    (std::mem::take(&mut state.answers), left)
}

/// Whether a thread of this program runs or waits for a CPU.
fn is_runnable(tid: i32) -> bool {
    let stat = std::fs::read(format!("/proc/self/task/{tid}/stat")).ok();
    stat.and_then(|bytes| Stat::parse(&bytes).ok()).is_some_and(|stat| stat.state == State::RUNNING)
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// An earlier read has not returned.
    #[error("it has not answered for {0} s: something holds its memory map locked")]
    Silent(u64),
    /// This one did not return in time.
    #[error("it did not answer within {0} ms: something may hold its memory map locked")]
    Late(u64),
    /// Too many reads have not returned.
    #[error("not read: {MOST_STUCK} processes have not answered")]
    Off,
    /// No thread could be started.
    #[error("not read: no thread could be started")]
    NoThread,
}

/// CPU time of the work of [`within`] that has been done, nanoseconds.
static WITHIN_NS: AtomicU64 = AtomicU64::new(0);

/// CPU time that [`within`] has taken on its threads so far, nanoseconds, for all callers.
#[must_use]
pub fn within_cpu_ns() -> u64 {
    WITHIN_NS.load(Ordering::Relaxed)
}

type Work = Box<dyn FnOnce() + Send>;

thread_local! {
    /// The helper of this thread, kept for its next piece of work: starting a thread takes longer than most reads. It ends with this
    /// thread.
    static HELPER: RefCell<Option<SyncSender<Work>>> = const { RefCell::new(None) };
}

/// Ends the helper of this thread, which is at rest.
pub fn let_helper_go() {
    HELPER.take();
}

/// Hands a piece of work to the helper of this thread; false if none could be started.
fn hand_over(mut work: Work) -> bool {
    HELPER.with_borrow_mut(|helper| {
        if let Some(kept) = helper {
            match kept.send(work) {
                Ok(()) => return true,
                // Its thread has ended.
                Err(SendError(back)) => work = back,
            }
        }
        let (orders, list) = sync_channel::<Work>(1);
        let thread = std::thread::Builder::new().name("read".into()).stack_size(8 * STACK_BYTES);
        let started = thread.spawn(move || list.into_iter().for_each(|work| work())).is_ok() && orders.send(work).is_ok();
        *helper = started.then_some(orders);
        started
    })
}

/// Does one piece of work that may wait for `key`, for so long at most; for up to [`RUNNING`] times that while it runs or waits for a CPU.
///
/// # Errors
/// [`Unanswered`]; the thread is then left behind, and what it returns is dropped.
pub fn within<T: Send + 'static>(
    key: ProcKey,
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unanswered> {
    if let Some(since) = silent_since(key) {
        return Err(Unanswered::Silent(since.elapsed().as_secs()));
    }
    if silent_count().1 {
        return Err(Unanswered::Off);
    }
    let begun = Instant::now();
    let (sender, receiver) = sync_channel(1);
    // The second of the two, the thread that returns and the one that stops waiting, removes the entry.
    let left = Arc::new(Mutex::new((false, false)));
    let theirs = Arc::clone(&left);
    // 0 before it has begun.
    let tid = Arc::new(AtomicI32::new(0));
    let its = Arc::clone(&tid);
    let handed_over = hand_over(Box::new(move || {
        its.store(nix::unistd::gettid().as_raw(), Ordering::Relaxed);
        let begun_ns = thread_cpu_ns();
        let answer = work();
        WITHIN_NS.fetch_add(thread_cpu_ns().saturating_sub(begun_ns), Ordering::Relaxed);
        // The receiver is gone if the answer comes too late.
        let _ = sender.send(answer);
        let mut state = theirs.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 = true;
        if state.0 {
            forget(key);
        }
    }));
    if !handed_over {
        return Err(Unanswered::NoThread);
    }
    let runs = || match tid.load(Ordering::Relaxed) {
        0 => true,
        tid => is_runnable(tid),
    };
    let mut answer = receiver.recv_timeout(patience);
    while matches!(answer, Err(RecvTimeoutError::Timeout)) && begun.elapsed() < RUNNING * patience && runs() {
        answer = receiver.recv_timeout(SLICE);
    }
    match answer {
        Ok(answer) => Ok(answer),
        Err(RecvTimeoutError::Disconnected) => {
            // The work has panicked, and its thread is ending: it may still accept what it will never do.
            let_helper_go();
            Err(Unanswered::NoThread)
        }
        Err(RecvTimeoutError::Timeout) => {
            // It ends once it returns.
            let_helper_go();
            let mut state = left.lock().unwrap_or_else(PoisonError::into_inner);
            if !state.1 {
                state.0 = true;
                stuck().push((key, begun));
            }
            Err(Unanswered::Late(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct Read(i32);

    impl Order for Read {
        fn key(&self) -> ProcKey {
            // A start time that no process has: the list of silent ones is the whole program's.
            ProcKey { pid: self.0, start_ticks: u64::MAX }
        }
    }

    /// Closed until the test opens it: what the reads of negative pids wait for.
    static GATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    static READS: AtomicU64 = AtomicU64::new(0);

    fn work(_: &ProcFs, order: &Read) -> i32 {
        if order.0 < 0 {
            let mut open = GATE.0.lock().unwrap();
            while !*open {
                open = GATE.1.wait(open).unwrap();
            }
        }
        READS.fetch_add(1, Ordering::SeqCst);
        order.0 * 2
    }

    #[test]
    fn a_read_that_does_not_return_holds_up_no_other_and_is_taken_when_it_does() {
        let fs = ProcFs::open("/proc").unwrap();
        let mut readers = Readers::new("test", work);
        let patience =
            Patience { each: Duration::from_millis(60), running: Duration::from_secs(20), all: Duration::from_secs(20) };
        let mut ask = |pids: &[i32]| {
            let mut answers = Vec::new();
            let orders = pids.iter().map(|pid| Read(*pid)).collect();
            readers.ask(&fs, orders, patience, |key, answer| answers.push((key.pid, answer)));
            answers.sort_unstable();
            answers
        };
        assert_eq!(ask(&[1, 2]), [(1, Some(2)), (2, Some(4))]);
        assert_eq!(ask(&[3, -4, 5, -6, 7]), [(-6, None), (-4, None), (3, Some(6)), (5, Some(10)), (7, Some(14))]);
        assert!(silent_since(Read(-4).key()).is_some() && silent_since(Read(3).key()).is_none());
        let begun = READS.load(Ordering::SeqCst);
        assert_eq!(ask(&[-4, 8]), [(-4, None), (8, Some(16))], "it is not asked again");
        assert_eq!(READS.load(Ordering::SeqCst), begun + 1);
        assert_eq!(within(Read(-4).key(), Duration::from_secs(20), || 1), Err(Unanswered::Silent(0)), "by nobody");
        *GATE.0.lock().unwrap() = true;
        GATE.1.notify_all();
        let until = Instant::now() + Duration::from_secs(20);
        let mut late = Vec::new();
        while late.len() < 2 && Instant::now() < until {
            late.extend(ask(&[]));
        }
        late.sort_unstable();
        assert_eq!(late, [(-6, Some(-12)), (-4, Some(-8))]);
        assert_eq!(ask(&[-4]), [(-4, Some(-8))], "it is asked again");
    }

    #[test]
    fn one_piece_of_work_is_left_behind_too() {
        let key = ProcKey { pid: 1, start_ticks: u64::MAX - 1 };
        assert_eq!(within(key, Duration::from_secs(20), || 7), Ok(7));
        let (open, gate) = sync_channel::<()>(0);
        let late = within(key, Duration::from_millis(50), move || gate.recv().is_ok());
        assert_eq!(late, Err(Unanswered::Late(50)));
        assert!(silent_since(key).is_some());
        open.send(()).unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while silent_since(key).is_some() && Instant::now() < until {
            std::thread::yield_now();
        }
        assert_eq!(within(key, Duration::from_secs(20), || 8), Ok(8));
    }

    #[test]
    fn a_helper_is_kept_for_the_next_piece_of_work_and_replaced_after_a_panic() {
        let key = ProcKey { pid: 2, start_ticks: u64::MAX - 1 };
        let tid = || within(key, Duration::from_secs(20), || nix::unistd::gettid().as_raw());
        assert_eq!(tid().unwrap(), tid().unwrap());
        for _ in 0..100 {
            let before = tid().unwrap();
            let panics = within(key, Duration::from_secs(20), || panic!("made for the test"));
            assert_eq!(panics, Err::<(), _>(Unanswered::NoThread));
            assert_ne!(tid().unwrap(), before, "another helper has taken over");
        }
        // What runs is given more time than what sleeps.
        let before_ns = within_cpu_ns();
        let works = || {
            let until_ns = thread_cpu_ns() + 120_000_000;
            while thread_cpu_ns() < until_ns {}
        };
        assert_eq!(within(key, Duration::from_millis(100), works), Ok(()));
        assert!(within_cpu_ns() >= before_ns + 120_000_000);
    }
}
