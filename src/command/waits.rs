//! What `concmon problems` and `concmon why` share: the scene, the Python function of a task, and tasks in words and JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize as _;
use serde_json::{Value, json};

use crate::causes::search::Cause;
use crate::causes::{self, Edge, Patience, Problem, Scene, Target, TaskId};
use crate::export::SafeFormatter;
use crate::kernel::proc_fs::ProcFs;
use crate::kernel::readers::within;
use crate::kernel::{DetailReader, reason};
use crate::snapshot::{DetailContent, PythonFrame};
use crate::text::{Charset, sanitize};

use super::Failure;

/// Time between the two looks. A thread that only passes through a lock has run on by then.
const APART: Duration = Duration::from_millis(300);
/// How long one process may take to have its Python stacks read.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most processes whose Python stacks are read.
const MOST_PYTHONS: usize = 64;

/// Reads the scene of this machine.
pub(super) fn scene() -> Result<Scene, Failure> {
    let failed = |error| Failure::Unavailable(anyhow::anyhow!("the processes cannot be examined: {}", reason(&error)));
    let fs = Arc::new(ProcFs::open("/proc").map_err(failed)?);
    causes::read(&fs, Patience { apart: APART }).map_err(failed)
}

/// The innermost Python frames of tasks.
#[derive(Debug, Default)]
pub(super) struct Pythons(BTreeMap<TaskId, Vec<PythonFrame>>);

impl Pythons {
    /// Of the processes of these tasks; those that run no Python have none.
    pub(super) fn read(scene: &Scene, tasks: impl IntoIterator<Item = TaskId>) -> Self {
        let pids: BTreeSet<i32> = tasks.into_iter().map(|id| id.pid).collect();
        let mut found = BTreeMap::new();
        for process in pids.iter().take(MOST_PYTHONS).filter_map(|pid| scene.processes.get(pid)) {
            let key = process.key;
            let Ok(reader) = DetailReader::open("/proc") else { continue };
            let read = within(key, PATIENCE, move || crate::inspect::read(&reader, key));
            let Ok(Ok(DetailContent::Runtime(runtime))) = read.map(|read| read.map_or_else(|e| Err(reason(&e)), |d| d.content))
            else {
                continue;
            };
            for thread in runtime.interpreters.into_iter().flat_map(|one| one.threads) {
                let Some(task) = thread.task.filter(|_| !thread.moved) else { continue };
                found.insert(TaskId { pid: key.pid, tid: task.tid }, thread.frames);
            }
        }
        Self(found)
    }

    /// The innermost frame of a task.
    pub(super) fn frame(&self, id: TaskId) -> Option<&PythonFrame> {
        self.0.get(&id)?.first()
    }

    /// The innermost frame that is not of the `threading` module: where the program is.
    pub(super) fn place(&self, id: TaskId) -> Option<&PythonFrame> {
        let frames = self.0.get(&id)?;
        frames.iter().find(|frame| !is_threading(frame)).or(frames.first())
    }

    /// Whether the task waits for an event or a condition, as programs do that rest until a signal ends them.
    pub(super) fn rests(&self, id: TaskId) -> bool {
        self.frame(id).is_some_and(|frame| is_threading(frame) && frame.function.rsplit('.').next() == Some("wait"))
    }
}

/// Whether it may be a program that rests until a signal ends it: its threads wait for locks without a recorded owner, and the main
/// thread for an event. Of a single thread it must be known that it does not.
pub(super) fn may_rest(problem: &Problem, pythons: &Pythons) -> bool {
    let main = problem.tasks.iter().find(|id| id.pid == id.tid).copied();
    match problem.cause {
        Cause::OnlyThreadWaits => main.is_none_or(|main| pythons.frame(main).is_none() || pythons.rests(main)),
        Cause::NoThreadCanGoOn => main.is_some_and(|main| pythons.rests(main)),
        _ => false,
    }
}

fn is_threading(frame: &PythonFrame) -> bool {
    frame.file.rsplit('/').next() == Some("threading.py")
}

/// `4140 python3`, `thread 4141 worker of 4140`.
pub(super) fn name(scene: &Scene, id: TaskId) -> String {
    let comm = |bytes: &[u8]| sanitize(bytes, Charset::Unicode).into_owned();
    let task = scene.task(id).map(|task| comm(task.comm.as_bytes())).unwrap_or_default();
    if id.tid == id.pid { format!("{} {task}", id.pid) } else { format!("{} {task} (thread of {})", id.tid, id.pid) }
}

/// ` for 12 s`; nothing if unknown.
pub(super) fn since(edge: &Edge) -> String {
    edge.for_ms.map(|ms| format!(", asleep for {}", span(ms))).unwrap_or_default()
}

fn span(ms: u64) -> String {
    match ms / 1000 {
        0 => format!("{ms} ms"),
        s @ 1..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// ` in store() at tasks.py:88`; nothing for a task without Python.
pub(super) fn in_python(pythons: &Pythons, id: TaskId) -> String {
    let Some(frame) = pythons.place(id) else { return String::new() };
    let safe = |text: &str| sanitize(text.as_bytes(), Charset::Unicode).into_owned();
    let file = frame.file.rsplit('/').next().unwrap_or(&frame.file);
    let line = frame.line.map(|line| format!(":{line}")).unwrap_or_default();
    format!("  [{}() at {}{line}]", safe(&frame.function), safe(file))
}

/// A task with its wait.
pub(super) fn task_json(scene: &Scene, pythons: &Pythons, id: TaskId, edge: Option<&Edge>) -> Value {
    let comm = scene.task(id).map(|task| String::from_utf8_lossy(task.comm.as_bytes()).into_owned());
    let python = pythons.place(id).map(|f| json!({ "function": &*f.function, "file": &*f.file, "line": f.line }));
    json!({ "pid": id.pid, "tid": id.tid, "comm": comm, "wait": edge.map(edge_json), "python": python })
}

fn edge_json(edge: &Edge) -> Value {
    let (pid, tid) = match edge.to {
        Target::Task(id) => (Some(id.pid), Some(id.tid)),
        Target::Process(pid) => (Some(pid), None),
        Target::Nobody => (None, None),
    };
    json!({
        "kind": edge.kind.id(),
        "evidence": edge.evidence,
        "for_pid": pid,
        "for_tid": tid,
        "certainty": edge.certainty.id(),
        "asleep_ms": edge.for_ms,
    })
}

/// What was looked at.
pub(super) fn looked_json(scene: &Scene) -> Value {
    json!({
        "processes": scene.processes.len(),
        "tasks": scene.processes.values().map(|p| p.tasks.len()).sum::<usize>(),
        "unreadable_processes": scene.unreadable.len(),
        "silent_processes": scene.silent,
        "apart_ms": scene.apart_ms,
    })
}

/// Writes one JSON document and a newline; no byte of it can change a terminal.
pub(super) fn write_json(out: &mut impl std::io::Write, value: &Value) -> std::io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, SafeFormatter::default());
    value.serialize(&mut serializer).map_err(std::io::Error::from)?;
    out.write_all(b"\n")
}
