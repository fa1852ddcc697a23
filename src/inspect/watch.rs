//! Looks at the Pythons of rows on screen, in turn, on a thread of its own: [`WithPythons`] is a source that adds what was seen to the
//! samples of another one.
//!
//! Every 50 ms it reads which threads hold and want each GIL, and twice a second the frames and event loops are read, those first whose
//! last look is the oldest. All of this takes at most one fortieth of a CPU; where there is much to look at, looks are rarer. Nothing is
//! read while no column asks for it.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Trouble;
use super::probe::{GilLook, Probe};
use crate::kernel::DetailReader;
use crate::kernel::error::ReadError;
use crate::kernel::let_go_of_loading;
use crate::kernel::proc_fs::ProcFs;
use crate::kernel::readers::{Order, Patience, Readers};
use crate::kernel::source::{Needs, Request, Source};
use crate::snapshot::{Exact, GilLooks, ProcKey, PythonLook, PythonSeen, Snapshot};

/// The shortest and the longest time between two rounds.
const ROUND: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
/// The part of a CPU that looking may take: one in so many.
const SHARE: u32 = 40;
/// Time for frames and event loops in one round; one process is read even if it takes longer.
const BUDGET: Duration = Duration::from_millis(3);
/// The shortest time between two readings of a process's frames and event loops: samples are not taken more often.
const WHOLE: Duration = Duration::from_millis(400);
/// Fewer looks at a GIL are no share.
const LEAST_LOOKS: u32 = 8;
/// The most threads whose frames are read, and that are asked whether they want the GIL.
const MOST_THREADS: usize = 128;
/// What is no Python may become one by exec: it is asked again after this time, and ever more rarely.
const AGAIN: Duration = Duration::from_secs(2);
const AGAIN_MOST: Duration = Duration::from_secs(60);
/// A module of asyncio that is imported later is found after this time.
const FIND_AGAIN: Duration = Duration::from_secs(10);
/// Processes that have left the screen are remembered for so long.
const KEPT: Duration = Duration::from_secs(16);
/// A budget from this on is that of a command, which waits for all values.
const COMMAND: Duration = Duration::from_secs(1);

/// A source with what Pythons do in `Exact::python` of the visible rows.
#[derive(Debug)]
pub struct WithPythons<S> {
    source: S,
    looks: Option<Looks>,
}

impl<S: Source> WithPythons<S> {
    /// Adds to the samples of `source`.
    pub fn new(source: S) -> Self {
        Self { source, looks: None }
    }
}

impl<S: Source> Source for WithPythons<S> {
    fn sample(&mut self, request: &Request<'_>) -> Result<Snapshot, ReadError> {
        let mut snapshot = self.source.sample(request)?;
        if !(request.all | request.visible_needs).contains(Needs::PYTHON) {
            self.looks = None;
            return Ok(snapshot);
        }
        if self.looks.is_none() {
            self.looks = Looks::start();
        }
        if let Some(looks) = &self.looks {
            looks.fill(request, &mut snapshot);
        }
        Ok(snapshot)
    }
}

/// The thread's handle; the thread ends when it is dropped.
#[derive(Debug)]
struct Looks(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    wanted: Vec<ProcKey>,
    seen: HashMap<ProcKey, Seen>,
    closed: bool,
    /// A caller waits until all that is wanted was looked at.
    hurry: bool,
}

/// The newest look at one process, and the looks at its GIL.
#[derive(Debug)]
struct Seen {
    look: PythonSeen,
    /// Since its last sample, and TIDs of the threads that held or wanted a GIL, with how often.
    gil: GilLooks,
    threads: HashMap<i32, (u32, u32)>,
    has_gil: bool,
    /// What the last sample was given: it stays until there are enough looks again.
    given: Option<Arc<PythonSeen>>,
    wanted_at: Instant,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Looks {
    fn drop(&mut self) {
        lock(&self.0.0).closed = true;
        self.0.1.notify_all();
    }
}

impl Looks {
    fn start() -> Option<Self> {
        let shared = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("pythons".into()).spawn(move || {
            // Started by the sampler, whose capabilities are for loading the task iterator only.
            let_go_of_loading(|| true);
            if let Ok(fs) = ProcFs::open("/proc") {
                Looker { fs, pythons: HashMap::new(), readers: Readers::new("python", work) }.run(&theirs);
            }
        });
        thread.ok().map(|_| Self(shared))
    }

    /// Asks for the visible processes, and adds what is known of them.
    fn fill(&self, request: &Request<'_>, snapshot: &mut Snapshot) {
        let (state, bell) = &*self.0;
        let processes = &snapshot.processes;
        let at = |key: &ProcKey| {
            let at = processes.binary_search_by_key(&key.pid, |process| process.key.pid).ok()?;
            (processes[at].key == *key && !processes[at].kernel_thread).then_some(at)
        };
        let places: Vec<usize> = request.visible.iter().filter_map(at).collect();
        let mut state = lock(state);
        state.wanted = places.iter().map(|at| processes[*at].key).collect();
        bell.notify_all();
        if request.budget >= COMMAND {
            let until = Instant::now() + request.budget;
            let is_open = |state: &State| state.wanted.iter().any(|key| !state.seen.contains_key(key));
            state.hurry = is_open(&state);
            while is_open(&state) && Instant::now() < until {
                state = bell.wait_timeout(state, ROUND).unwrap_or_else(PoisonError::into_inner).0;
            }
            if std::mem::take(&mut state.hurry) {
                // Looks without pauses between them are no fair sample of a GIL.
                state.seen.values_mut().for_each(Seen::forget_gil);
            }
        }
        for at in places {
            let process = &mut snapshot.processes[at];
            let Some(seen) = state.seen.get_mut(&process.key).map(Seen::give) else { continue };
            let taken_ns = snapshot.taken_ns;
            let exact = process.exact.get_or_insert_with(|| Arc::new(Exact { taken_ns, ..Exact::default() }));
            Arc::make_mut(exact).python = Some(seen);
        }
    }
}

impl Seen {
    fn new() -> Self {
        Self {
            look: PythonSeen::Unread,
            gil: GilLooks::default(),
            threads: HashMap::new(),
            has_gil: false,
            given: None,
            wanted_at: Instant::now(),
        }
    }

    /// For a sample. The looks at the GIL start again if there were enough of them.
    fn give(&mut self) -> Arc<PythonSeen> {
        let PythonSeen::Look(look) = &self.look else { return Arc::new(self.look.clone()) };
        let mut look = PythonLook { has_gil: self.has_gil, ..look.clone() };
        if self.gil.looks >= LEAST_LOOKS {
            look.gil = Some(std::mem::take(&mut self.gil));
            for thread in &mut look.threads {
                (thread.held, thread.wanted) = self.threads.get(&thread.tid).copied().unwrap_or_default();
            }
            self.threads.clear();
        } else if let Some(PythonSeen::Look(before)) = self.given.as_deref() {
            look.gil = before.gil;
            for thread in &mut look.threads {
                (thread.held, thread.wanted) = before.thread(thread.tid).map_or((0, 0), |known| (known.held, known.wanted));
            }
        }
        let given = Arc::new(PythonSeen::Look(look));
        self.given = Some(Arc::clone(&given));
        given
    }

    fn forget_gil(&mut self) {
        self.gil = GilLooks::default();
        self.threads.clear();
    }

    fn count(&mut self, gil: &GilLook) {
        self.has_gil = gil.is_there;
        let first = self.gil.looks == 0;
        self.gil.looks += 1;
        self.gil.held += u32::from(!gil.holders.is_empty());
        let waited = gil.waiters.as_ref().map(|waiters| u32::from(!waiters.is_empty()));
        self.gil.wanted = if first { waited } else { self.gil.wanted.zip(waited).map(|(before, now)| before + now) };
        for tid in &gil.holders {
            self.threads.entry(*tid).or_default().0 += 1;
        }
        for tid in gil.waiters.iter().flatten() {
            self.threads.entry(*tid).or_default().1 += 1;
        }
    }
}

/// State of the looking thread for one process.
#[derive(Debug)]
struct Python {
    probe: Option<Probe>,
    found_at: Instant,
    looked_at: Option<Instant>,
    /// When it is asked again whether it is a Python, and the pause before that.
    again: Option<(Instant, Duration)>,
}

struct Looker {
    fs: ProcFs,
    pythons: HashMap<ProcKey, Python>,
    readers: Readers<Look, Looked>,
}

/// An order to look.
struct Look {
    key: ProcKey,
    probe: Cell<Option<Probe>>,
    /// Until when a runtime is looked for, and frames and event loops are read.
    until: Instant,
}

impl Order for Look {
    fn key(&self) -> ProcKey {
        self.key
    }
}

/// The result of an order.
struct Looked {
    probe: Option<Probe>,
    gil: Option<GilLook>,
    look: Option<PythonSeen>,
}

thread_local! {
    /// The helper thread's own.
    static READER: OnceCell<DetailReader> = const { OnceCell::new() };
}

/// Carries an order out, on a helper thread.
fn work(_: &ProcFs, order: &Look) -> Looked {
    let nothing = |look| Looked { probe: None, gil: None, look };
    READER.with(|cell| {
        if cell.get().is_none()
            && let Ok(reader) = DetailReader::open("/proc")
        {
            let _ = cell.set(reader);
        }
        cell.get().map_or_else(|| nothing(Some(PythonSeen::Unread)), |reader| look(reader, order))
    })
}

fn look(reader: &DetailReader, order: &Look) -> Looked {
    let nothing = |look| Looked { probe: None, gil: None, look };
    let known = order.probe.take();
    // Finding a runtime takes longest: past the budget it waits for the next round.
    if known.is_none() && Instant::now() >= order.until {
        return nothing(None);
    }
    let mut probe = match known.map_or_else(|| Probe::find(reader, order.key), Ok) {
        Ok(probe) => probe,
        Err(Trouble::Read(ReadError::Denied { .. })) => return nothing(Some(PythonSeen::Denied)),
        Err(Trouble::Torn(_) | Trouble::NoInterpreter) => return nothing(Some(PythonSeen::Unread)),
        Err(_) => return nothing(Some(PythonSeen::Not)),
    };
    let gil = probe.gil(reader, MOST_THREADS);
    let is_lost = |trouble: &Trouble| !matches!(trouble, Trouble::Torn(_) | Trouble::TooMuch);
    let mut lost = gil.as_ref().is_err_and(is_lost);
    let mut look = None;
    if Instant::now() < order.until && !lost {
        match probe.brief(reader, MOST_THREADS) {
            Ok(found) => look = Some(PythonSeen::Look(found)),
            Err(trouble) => lost = is_lost(&trouble),
        }
    }
    // After an exec the memory is another program's: the runtime is looked for again.
    Looked { probe: (!lost).then_some(probe), gil: gil.ok(), look }
}

impl Looker {
    fn run(mut self, shared: &(Mutex<State>, Condvar)) {
        let (state, bell) = shared;
        let mut guard = lock(state);
        loop {
            if guard.closed {
                return;
            }
            if guard.wanted.is_empty() {
                guard = bell.wait(guard).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let wanted = guard.wanted.clone();
            drop(guard);
            let began = Instant::now();
            let answers = self.round(&wanted);
            let spent = Duration::from_nanos(self.readers.cpu_ns());
            guard = lock(state);
            self.take(&mut guard, &wanted, answers);
            bell.notify_all();
            let pause = ROUND.max((spent * SHARE).min(LONGEST));
            while !guard.closed && !guard.hurry && began.elapsed() < pause {
                let left = pause.saturating_sub(began.elapsed());
                guard = bell.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    /// Looks at each process that is a Python or may be one, the one whose last look is oldest first.
    fn round(&mut self, wanted: &[ProcKey]) -> Vec<(ProcKey, Option<Looked>)> {
        let now = Instant::now();
        let mut keys: Vec<ProcKey> = wanted.to_vec();
        keys.retain(|key| self.pythons.get(key).is_none_or(|known| known.again.is_none_or(|(at, _)| at <= now)));
        keys.sort_by_key(|key| self.pythons.get(key).and_then(|known| known.looked_at));
        let until = now + BUDGET;
        let mut orders = Vec::with_capacity(keys.len());
        for (nth, key) in keys.into_iter().enumerate() {
            let known = self.pythons.get_mut(&key);
            let probe = known.and_then(|known| {
                let probe = known.probe.take();
                if known.found_at.elapsed() > FIND_AGAIN && probe.as_ref().is_some_and(|probe| probe.tasks.is_none()) {
                    known.found_at = now;
                    return None;
                }
                probe
            });
            let is_due = self.pythons.get(&key).and_then(|known| known.looked_at).is_none_or(|at| now - at >= WHOLE);
            let until = match (is_due, nth) {
                (false, _) => now,
                (true, 0) => now + LONGEST,
                (true, _) => until,
            };
            orders.push(Look { key, probe: Cell::new(probe), until });
        }
        let mut answers = Vec::new();
        self.readers.ask(&self.fs, orders, Patience::within(BUDGET), |key, answer| answers.push((key, answer)));
        answers
    }

    fn take(&mut self, state: &mut State, wanted: &[ProcKey], answers: Vec<(ProcKey, Option<Looked>)>) {
        let now = Instant::now();
        for (key, answer) in answers {
            // Of one that did not answer, what was known stays.
            let Some(looked) = answer else {
                state.seen.entry(key).or_insert_with(Seen::new);
                continue;
            };
            let known = self.pythons.entry(key).or_insert(Python { probe: None, found_at: now, looked_at: None, again: None });
            known.again = match looked.look {
                Some(PythonSeen::Not | PythonSeen::Denied) => {
                    let pause = known.again.map_or(AGAIN, |(_, pause)| (pause * 2).min(AGAIN_MOST));
                    Some((now + pause, pause))
                }
                Some(PythonSeen::Unread) => Some((now + LONGEST, LONGEST)),
                _ => None,
            };
            known.probe = looked.probe;
            if let Some(look) = looked.look {
                known.looked_at = Some(now);
                state.seen.entry(key).or_insert_with(Seen::new).look = look;
            }
            if let (Some(gil), Some(seen)) = (&looked.gil, state.seen.get_mut(&key)) {
                seen.count(gil);
            }
        }
        for key in wanted {
            if let Some(seen) = state.seen.get_mut(key) {
                seen.wanted_at = now;
            }
        }
        state.seen.retain(|_, seen| seen.wanted_at.elapsed() < KEPT);
        self.pythons.retain(|key, _| state.seen.contains_key(key));
    }
}
