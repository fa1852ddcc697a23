//! Samples the tasks of a run some hundred times a second while it runs, for [`Trace`].
//!
//! The tasks are found from the run's root along `task/TID/children`, and from the helper's family samples. A sample reads two open
//! files; the rate follows its cost and the activity.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch::Receiver;

use super::LabState;
use super::link::Shared;
use crate::clock::monotonic_ns;
use crate::kernel::parse::schedstat::Schedstat;
use crate::kernel::parse::stat::Stat;
use crate::lab::run::RunId;
use crate::lab::trace::{Look, Trace};

/// Between two rounds of looks, at least.
const STEP: Duration = Duration::from_millis(2);
/// Between two rounds when nothing has happened for a while.
const STEP_AT_REST: Duration = Duration::from_millis(40);
/// Rounds take at most one part in this many of one CPU.
const SHARE: u32 = 25;
/// Every so many rounds new children are looked for, where the tasks are more than [`FEW`].
const CHILDREN_EVERY: u64 = 4;
/// So many tasks are asked for children in each round.
const FEW: usize = 32;
/// Between two pictures for the screen.
const SHOW_EVERY: Duration = Duration::from_millis(120);
/// Most tasks watched at once.
const TASKS_MOST: usize = 1_100;

/// Watches a run until it has ended, on a thread of its own. Without such a thread the run goes unwatched, which its lanes say.
pub(in crate::lab) fn start(id: RunId, shared: Arc<Shared>, state: Receiver<Arc<LabState>>) {
    let Some(trace) = shared.traced(id) else { return };
    let work = move || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() {
            runtime.block_on(Watch::new(trace).follow(id, &shared, state));
        }
    };
    drop(std::thread::Builder::new().name("lab-lanes".into()).spawn(work));
}

/// The files of one task.
struct Open {
    schedstat: File,
    stat: File,
    children: Option<File>,
    /// Threads of its process when they were last listed; of a leader only.
    listed: u32,
    /// Time on a CPU and waiting for one at the last look.
    ran: (u64, u64),
}

struct Watch {
    trace: Arc<Mutex<Trace>>,
    tasks: HashMap<(i32, i32), Open>,
    rounds: u64,
    last_ns: u64,
    step: Duration,
    page_bytes: u64,
    /// Whether anything has happened since the last round.
    stirred: bool,
    /// Resident memory of the processes looked at in this round, together.
    rss_bytes: u64,
}

impl Watch {
    fn new(trace: Arc<Mutex<Trace>>) -> Self {
        let page_bytes = rustix::param::page_size() as u64;
        Self {
            trace,
            tasks: HashMap::new(),
            rounds: 0,
            last_ns: monotonic_ns(),
            step: STEP,
            page_bytes,
            stirred: false,
            rss_bytes: 0,
        }
    }

    async fn follow(mut self, id: RunId, shared: &Shared, mut state: Receiver<Arc<LabState>>) {
        let mut shown = Instant::now();
        loop {
            // The state is dropped before anything is waited for.
            let family = state.borrow_and_update().run(id).filter(|run| !run.ended()).map(|run| {
                let members = run.family.iter().map(|m| m.pid);
                run.root_pid.into_iter().chain(members).collect::<Vec<i32>>()
            });
            let Some(family) = family else { return };
            for pid in family {
                self.add_process(pid);
            }
            if self.tasks.is_empty() {
                if state.changed().await.is_err() {
                    return;
                }
                self.last_ns = monotonic_ns();
                continue;
            }
            let pause = self.round();
            if shown.elapsed() >= SHOW_EVERY {
                shared.show_trace(id);
                shown = Instant::now();
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Looks at all tasks once; how long to wait for the next time.
    fn round(&mut self) -> Duration {
        let begun = Instant::now();
        (self.stirred, self.rss_bytes) = (false, 0);
        let trace = Arc::clone(&self.trace);
        let mut trace = trace.lock().unwrap_or_else(PoisonError::into_inner);
        let known: Vec<(i32, i32)> = self.tasks.keys().copied().collect();
        let mut grown = Vec::new();
        for key in known {
            if !self.look(key, &mut trace, &mut grown) {
                self.tasks.remove(&key);
                trace.gone(key.0, key.1, monotonic_ns());
                self.stirred = true;
            }
        }
        for pid in grown {
            self.add_threads(pid, &mut trace);
        }
        if self.tasks.len() <= FEW || self.rounds.is_multiple_of(CHILDREN_EVERY) {
            self.add_children(&mut trace);
        }
        self.rounds += 1;
        let now = monotonic_ns();
        trace.round(now.saturating_sub(self.last_ns), self.rss_bytes);
        self.last_ns = now;
        self.step = if self.stirred { STEP } else { (self.step * 5 / 4).min(STEP_AT_REST) };
        self.step.max(begun.elapsed() * SHARE)
    }

    /// Looks at one task; false if it has gone. A process with more or fewer threads than before goes into `grown`.
    fn look(&mut self, key: (i32, i32), trace: &mut Trace, grown: &mut Vec<i32>) -> bool {
        let Some(open) = self.tasks.get_mut(&key) else { return false };
        let mut bytes = [0; 1024];
        let Some((look, comm)) = take_look(open, &mut bytes, self.page_bytes) else { return false };
        if key.0 == key.1 {
            self.rss_bytes = self.rss_bytes.saturating_add(look.rss_bytes);
            if look.threads != open.listed {
                open.listed = look.threads;
                grown.push(key.0);
            }
        }
        let ran = (look.run_ns, look.wait_ns);
        self.stirred |= ran != open.ran || look.state == 'R';
        open.ran = ran;
        trace.saw(key.0, key.1, &comm, self.last_ns, look);
        true
    }

    fn add_process(&mut self, pid: i32) {
        if !self.tasks.contains_key(&(pid, pid)) && self.tasks.len() < TASKS_MOST {
            self.add(pid, pid);
        }
    }

    fn add_threads(&mut self, pid: i32, trace: &mut Trace) {
        let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return };
        for tid in entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok()) {
            if self.tasks.contains_key(&(pid, tid)) {
                continue;
            }
            if self.tasks.len() >= TASKS_MOST || !self.add(pid, tid) {
                trace.unwatched += u64::from(std::fs::exists(format!("/proc/{pid}/task/{tid}")).unwrap_or(false));
                continue;
            }
            self.look((pid, tid), trace, &mut Vec::new());
        }
    }

    fn add_children(&mut self, trace: &mut Trace) {
        let mut bytes = [0; 8192];
        let mut found = Vec::new();
        for open in self.tasks.values() {
            let text = open.children.as_ref().and_then(|file| read(file, &mut bytes)).and_then(|b| str::from_utf8(b).ok());
            found.extend(text.unwrap_or("").split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
        for pid in found {
            if self.tasks.contains_key(&(pid, pid)) {
                continue;
            }
            self.add_process(pid);
            self.look((pid, pid), trace, &mut Vec::new());
        }
    }

    /// Opens the files of a task; false if it has gone or there are no descriptors left.
    fn add(&mut self, pid: i32, tid: i32) -> bool {
        let Some(open) = Open::new(pid, tid) else { return false };
        self.stirred = true;
        self.tasks.insert((pid, tid), open);
        true
    }
}

impl Open {
    fn new(pid: i32, tid: i32) -> Option<Self> {
        let open = |name: &str| File::open(format!("/proc/{pid}/task/{tid}/{name}")).ok();
        let (schedstat, stat) = (open("schedstat")?, open("stat")?);
        // Without CONFIG_PROC_CHILDREN there is none: then children come with the helper's looks.
        Some(Self { schedstat, stat, children: open("children"), listed: 0, ran: (0, 0) })
    }
}

/// What the kernel says of a task now, and its name; `None` once it has gone.
fn take_look(open: &Open, bytes: &mut [u8], page_bytes: u64) -> Option<(Look, String)> {
    let sched = read(&open.schedstat, bytes).and_then(|b| Schedstat::parse(b).ok())?;
    let stat = read(&open.stat, bytes).and_then(|b| Stat::parse(b).ok())?;
    let look = Look {
        at_ns: monotonic_ns(),
        run_ns: sched.run_ns,
        wait_ns: sched.run_delay_ns,
        state: stat.state.letter(),
        cpu: stat.last_cpu,
        parent: stat.ppid,
        rss_bytes: stat.rss_pages.saturating_mul(page_bytes),
        threads: stat.nlwp,
    };
    Some((look, String::from_utf8_lossy(stat.comm.as_bytes()).into_owned()))
}

/// Looks at the first thread of a process that has ended and has not been waited for: its counters do not change any more.
pub(in crate::lab) fn last_look(pid: i32, trace: &mut Trace) {
    let mut bytes = [0; 1024];
    if let Some((look, comm)) = Open::new(pid, pid).and_then(|open| take_look(&open, &mut bytes, 0)) {
        trace.saw_end(pid, &comm, look);
    }
}

/// What the file holds now; `None` once its task has gone.
fn read<'b>(file: &File, bytes: &'b mut [u8]) -> Option<&'b [u8]> {
    let n = file.read_at(bytes, 0).ok().filter(|n| *n > 0)?;
    bytes.get(..n)
}
