//! Explains on request what a process waits for: reads the waits, follows them to their end, and puts each link in words.

mod async_tasks;
mod ends;
mod files;
mod groups;
mod pace;
mod python_locks;
mod pythons;
mod runnable;
mod shared_memory;
mod survey;
mod trio_tasks;

use std::sync::Arc;
use std::time::Duration;

use crate::causes::search::stuck;
use crate::causes::{self, Kind, Patience, Problem, Scene, Step, Target, TaskId, Wait, chain, problems};
use crate::kernel::error::ReadError;
use crate::kernel::proc_fs::ProcFs;
use crate::snapshot::{AsyncStuck, State};
use crate::text::{Charset, sanitize};
use crate::units::age;

use pythons::in_python;
pub use pythons::{Pythons, advice, in_words, may_rest, runtime};
pub use survey::{Survey, Surveyor};

/// Time between the two looks. A thread that only passes through a lock has run on by then.
const APART: Duration = Duration::from_millis(300);
/// Time between two readings of one Python process.
const BETWEEN: Duration = Duration::from_millis(23);

/// Reads the waits of this machine.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn scene() -> Result<Scene, ReadError> {
    let fs = Arc::new(ProcFs::open("/proc")?);
    let mut reader = causes::Reader::new(Arc::clone(&fs));
    let mut scene = reader.read(Patience { apart: APART })?;
    python_locks::note(&fs, &reader, &mut scene, &mut python_locks::Known::new());
    let stuck = stuck(&scene);
    reader.confirm(&mut scene, stuck.into_keys());
    Ok(scene)
}

/// Why nothing was explained.
#[derive(Debug, thiserror::Error)]
pub enum WhyError {
    /// Nothing has this number.
    #[error("there is no process or thread {0}, or it is a kernel thread or a zombie")]
    Missing(i32),
    /// Its waits could not be read.
    #[error("process {0}: {1}")]
    Unreadable(i32, String),
}

/// The chain of waits of a process, to its end.
#[derive(Debug)]
pub struct Explanation {
    /// The task that the chain begins with.
    pub begin: TaskId,
    /// `stuck`, `can_go_on` or `unknown`.
    pub verdict: &'static str,
    /// What the end of the chain means.
    pub end: String,
    /// The links.
    pub steps: Vec<Step>,
    /// The Python functions of its tasks.
    pub pythons: Pythons,
}

/// Follows the waits of a process or thread.
///
/// # Errors
/// See [`WhyError`].
pub fn explain(scene: &Scene, number: i32) -> Result<Explanation, WhyError> {
    let begin = begin(scene, number).ok_or(WhyError::Missing(number))?;
    if let Some(Wait::Unknown(why)) = scene.task(begin).map(|task| &task.wait)
        && scene.unreadable.contains_key(&begin.pid)
    {
        return Err(WhyError::Unreadable(begin.pid, why.to_string()));
    }
    let mut scene = scene.clone();
    let scene = &mut scene;
    wait_for_gil(scene, begin);
    let steps = chain(scene, begin);
    let pythons = Pythons::read(scene, steps.iter().map(|step| step.task));
    let (mut verdict, mut end) = end(scene, &steps);
    let held = |problem: &&Problem| problem.tasks.contains(&begin) || problem.behind.contains(&begin);
    if verdict == "stuck" && problems(scene).iter().find(held).is_some_and(|problem| may_rest(scene, problem, &pythons)) {
        verdict = "unknown";
        end =
            "No thread of this process can go on by itself. It may be a program at rest until a signal ends it, or a deadlock: \
               this kind of lock does not record its owner."
                .to_owned();
    }
    if verdict == "can_go_on"
        && let Some(tasks) = tasks_of_loop(scene, &steps)
    {
        let name = name(scene, steps.last().map_or(begin, |step| step.task));
        verdict = "stuck";
        end = format!("{name}: the async tasks of its loop cannot go on: {}. {}.", tasks.evidence, tasks.lines.join("; "));
    } else if verdict == "can_go_on"
        && let Some(last) = steps.last()
    {
        let more = ProcFs::open("/proc").ok().and_then(|fs| ends::words(&fs, scene, last.task));
        end = [Some(end), more, pythons::at_the_end(&pythons, last.task)].into_iter().flatten().collect::<Vec<_>>().join(" ");
    }
    Ok(Explanation { begin, verdict, end, steps, pythons })
}

/// The tasks of asyncio or trio that cannot go on, if the chain ends at their loop.
fn tasks_of_loop(scene: &Scene, steps: &[Step]) -> Option<AsyncStuck> {
    let last = steps.last()?.task;
    let process = scene.processes.get(&last.pid)?;
    let polls = |wait: &Wait| match wait {
        Wait::Open(what) => what.contains("epoll"),
        wait => matches!(wait, Wait::Events { .. }),
    };
    if !process.tasks.get(last.tid).is_some_and(|task| polls(&task.wait)) {
        return None;
    }
    let fs = ProcFs::open("/proc").ok()?;
    let runtime = pythons::runtime(process.key)?;
    async_tasks::stuck(&fs, scene, last.pid, &runtime)
        .filter(|stuck| !stuck.cause.is_cycle() || async_tasks::is_cycle(&fs, process.key, stuck.tid, &runtime))
        .or_else(|| trio_tasks::stuck(&fs, scene, last.pid, &runtime))
}

/// A thread that sleeps within the GIL waits for the thread that holds it: the futex alone does not tell, for it has a timeout.
fn wait_for_gil(scene: &mut Scene, begin: TaskId) {
    let Some(process) = scene.processes.get_mut(&begin.pid) else { return };
    if !process.tasks.get(begin.tid).is_some_and(|task| matches!(task.wait, Wait::Open(_))) {
        return;
    }
    let Some(runtime) = pythons::runtime(process.key) else { return };
    for interpreter in &runtime.interpreters {
        let tid = |holds: bool| {
            let of = interpreter.threads.iter().filter(move |t| if holds { t.holds_gil } else { t.waits_for_gil });
            of.filter_map(|thread| thread.task.as_ref()).map(|task| task.tid)
        };
        let Some(holder) = tid(true).next() else { continue };
        for waiting in tid(false).filter(|tid| *tid != holder) {
            if let Some(task) = Arc::make_mut(&mut process.tasks).get_mut(waiting) {
                task.wait = Wait::Gil(TaskId { pid: begin.pid, tid: holder });
            }
        }
    }
}

impl Explanation {
    /// One line for each link, indented by its depth, and one for the end.
    #[must_use]
    pub fn lines(&self, scene: &Scene) -> Vec<String> {
        let mut lines = Vec::new();
        for (depth, step) in self.steps.iter().enumerate() {
            let Some(edge) = &step.edge else { continue };
            let (name, since, python) = (name(scene, step.task), asleep(edge.for_ms), in_python(&self.pythons, step.task));
            let others = match step.alternatives {
                0 => String::new(),
                1 => "; 1 other process could end it too".to_owned(),
                n => format!("; {n} other processes could end it too"),
            };
            let indent = depth.min(20) * 2;
            lines.push(format!("{:indent$}{name}: {}{since}{others}{python}", "", edge.evidence));
        }
        lines.push(self.end.clone());
        lines
    }
}

/// `4140 python3`, `4141 worker (thread of 4140)`.
fn name(scene: &Scene, id: TaskId) -> String {
    let comm = |bytes: &[u8]| sanitize(bytes, Charset::Unicode).into_owned();
    let task = scene.task(id).map(|task| comm(task.comm.as_bytes())).unwrap_or_default();
    named(id, &task)
}

/// The same of a task with this name.
pub fn named(id: TaskId, comm: &str) -> String {
    if id.tid == id.pid { format!("{} {comm}", id.pid) } else { format!("{} {comm} (thread of {})", id.tid, id.pid) }
}

/// `, asleep for 12 s`; nothing if unknown. Of milliseconds.
pub fn asleep(ms: Option<u64>) -> String {
    ms.map(|ms| format!(", asleep for {}", age(ms))).unwrap_or_default()
}

/// The task that was asked for. Of a process, a thread that cannot go on comes before a main thread that can.
fn begin(scene: &Scene, number: i32) -> Option<TaskId> {
    if let Some(process) = scene.processes.get(&number) {
        let stuck = stuck(scene);
        let ids = || process.tasks.tids().map(|tid| TaskId { pid: number, tid });
        return ids()
            .find(|id| id.tid == number && stuck.contains_key(id))
            .or_else(|| ids().find(|id| stuck.contains_key(id)))
            .or_else(|| ids().next());
    }
    let (pid, _) = scene.processes.iter().find(|(_, process)| process.tasks.get(number).is_some())?;
    Some(TaskId { pid: *pid, tid: number })
}

/// Whether the last link leads to a process because the lock does not record which of its threads holds it.
fn after_unrecorded(steps: &[Step]) -> bool {
    let before = steps.len().checked_sub(2).and_then(|at| steps[at].edge.as_ref());
    before.is_some_and(|edge| edge.kind == Kind::Lock && matches!(edge.to, Target::Process(_)))
}

/// What the end of the chain means: a word for JSON and a sentence.
fn end(scene: &Scene, steps: &[Step]) -> (&'static str, String) {
    let Some(last) = steps.last() else { return ("unknown", "Nothing was read.".into()) };
    let name = name(scene, last.task);
    if last.again && !steps.first().is_some_and(|first| stuck(scene).contains_key(&first.task)) {
        return ("unknown", format!("The chain returns to {name}, but another task may end one of these waits."));
    }
    if last.again {
        if after_unrecorded(steps) {
            let end = format!("No thread of process {} can go on, so that none can end these waits: a deadlock.", last.task.pid);
            return ("stuck", end);
        }
        let cycle = if steps.len() == 2 { format!("{name} waits for itself") } else { format!("The chain returns to {name}") };
        return ("stuck", format!("{cycle}: a deadlock. No task in this chain runs."));
    }
    if let Some(edge) = &last.edge {
        return match edge.to {
            Target::Nobody => {
                ("stuck", format!("No task is left that could end the wait of {name}. No task in this chain runs."))
            }
            _ => ("unknown", format!("The task that {name} waits for has ended or is not known.")),
        };
    }
    match scene.task(last.task).map(|task| &task.wait) {
        Some(Wait::Open(what)) if *what == State::STOPPED.words() => {
            ("unknown", format!("{name} is stopped by a signal (SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU). SIGCONT continues it."))
        }
        Some(Wait::Open(what)) if after_unrecorded(steps) => (
            "unknown",
            format!(
                "This kind of lock does not record which thread holds it. {name}, a thread of the same process, can go on: {what}."
            ),
        ),
        Some(Wait::Open(what)) if steps.len() == 1 => ("can_go_on", format!("{name} waits for no other task: {what}.")),
        Some(Wait::Open(what)) => ("can_go_on", format!("{name} can go on: {what}.")),
        Some(Wait::Unknown(why)) => ("unknown", format!("What {name} waits for is not known: {why}.")),
        Some(Wait::Futex { .. }) => (
            "unknown",
            format!(
                "{name} waits for a lock without a timeout. Which thread or process can release it is not known: this kind of lock does not record its owner, or a signal handler may release it."
            ),
        ),
        Some(Wait::PipeRead(_) | Wait::SocketRead(_)) if scene.waits_for_handler(last.task) => (
            "unknown",
            format!(
                "{name} waits for data. A signal handler may write it: this process, or one that is idle until a signal, holds the other end."
            ),
        ),
        Some(Wait::PipeRead(_) | Wait::PipeWrite(_)) => {
            ("unknown", format!("{name} waits at a pipe. Some holders of its other end could not be seen."))
        }
        Some(Wait::SocketRead(inode) | Wait::SocketWrite(inode)) => {
            match scene.sockets.get(inode).and_then(|end| end.address.as_ref()) {
                Some(address) => (
                    "can_go_on",
                    format!("{name} waits at a socket. Its other end is {address}, not on this machine or not listed."),
                ),
                None => ("unknown", format!("{name} waits at a socket. The holders of its other end could not be seen.")),
            }
        }
        Some(Wait::Events { .. }) => (
            "can_go_on",
            format!("{name} waits in its event loop for a child and for other events; a signal or another process may wake it."),
        ),
        Some(Wait::Fifo { name: fifo, reads }) => {
            let (this, other) = if *reads { ("reading", "writing") } else { ("writing", "reading") };
            (
                "can_go_on",
                format!("{name} opens the FIFO {fifo} for {this}. It waits until another process opens it for {other}."),
            )
        }
        Some(Wait::Vfork) => ("unknown", format!("{name} waits for a child of vfork that is not listed.")),
        Some(Wait::Traced(tracer)) => ("unknown", format!("{name} is stopped by its tracer {tracer}, which is not listed.")),
        Some(Wait::Gil(_)) => ("unknown", format!("{name} waits for the GIL. Its holder has changed.")),
        Some(Wait::FileLock(_)) => {
            ("unknown", format!("{name} waits for a file lock. The kernel names no single holder that is alive."))
        }
        Some(Wait::Child(_)) => ("unknown", format!("{name} waits for a child that is not listed.")),
        None => ("unknown", format!("{name} has ended.")),
    }
}
