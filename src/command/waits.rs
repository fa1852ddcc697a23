//! What `concmon problems` and `concmon why` share: the waits of this machine, and tasks in JSON.

use serde::{Deserialize, Serialize};

use crate::causes::{Edge, Scene, Target, TaskId};
use crate::export::SafeFormatter;
use crate::kernel::reason;
use crate::snapshot::PythonFrame;
use crate::why::{Pythons, in_words};

use super::Failure;

/// Reads the waits of this machine.
pub(super) fn scene() -> Result<Scene, Failure> {
    crate::why::scene()
        .map_err(|error| Failure::Unavailable(anyhow::anyhow!("the processes cannot be examined: {}", reason(&error))))
}

/// A task with its wait, as JSON has it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) pid: i32,
    pub(super) tid: i32,
    /// Its own name.
    pub(super) comm: Option<String>,
    /// The name of its process.
    pub(super) process: Option<String>,
    pub(super) wait: Option<Wait>,
    pub(super) python: Option<Place>,
}

/// A wait.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Wait {
    kind: String,
    pub(super) evidence: String,
    for_pid: Option<i32>,
    for_tid: Option<i32>,
    certainty: String,
    /// Milliseconds.
    pub(super) asleep_ms: Option<u64>,
}

/// A Python function.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Place {
    function: String,
    file: String,
    line: Option<u32>,
    /// The function of the program that called it, if it is of a library.
    called_by: Option<Box<Place>>,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Looked {
    pub(super) processes: usize,
    pub(super) tasks: usize,
    pub(super) unreadable_processes: usize,
    pub(super) silent_processes: usize,
    pub(super) unread_python_processes: usize,
    pub(super) apart_ms: u64,
}

/// The name of a process, as far as it was read.
pub(super) fn process_name(scene: &Scene, pid: i32) -> Option<String> {
    task_name(scene, TaskId { pid, tid: pid })
}

fn task_name(scene: &Scene, id: TaskId) -> Option<String> {
    Some(String::from_utf8_lossy(scene.task(id)?.comm.as_bytes()).into_owned())
}

impl Task {
    pub(super) fn new(scene: &Scene, pythons: &Pythons, id: TaskId, edge: Option<&Edge>) -> Self {
        let comm = task_name(scene, id);
        let called_by = pythons.caller(id).map(|frame| Box::new(Place::new(frame, None)));
        let python = pythons.place(id).map(|frame| Place::new(frame, called_by));
        let process = process_name(scene, id.pid);
        Self { pid: id.pid, tid: id.tid, comm, process, wait: edge.map(Wait::new), python }
    }
}

impl Wait {
    fn new(edge: &Edge) -> Self {
        let (for_pid, for_tid) = match edge.to {
            Target::Task(id) => (Some(id.pid), Some(id.tid)),
            Target::Process(pid) => (Some(pid), None),
            Target::Nobody => (None, None),
        };
        let (kind, certainty) = (edge.kind.id().to_owned(), edge.certainty.id().to_owned());
        Self { kind, evidence: edge.evidence.clone(), for_pid, for_tid, certainty, asleep_ms: edge.for_ms }
    }
}

impl Place {
    fn new(frame: &PythonFrame, called_by: Option<Box<Self>>) -> Self {
        Self { function: frame.function.to_string(), file: frame.file.to_string(), line: frame.line, called_by }
    }
}

impl std::fmt::Display for Place {
    /// `Queue.get() at queue.py:171, called by store() at tasks.py:88`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&in_words(&self.function, &self.file, self.line))?;
        let caller = self.called_by.as_deref();
        caller.map_or(Ok(()), |by| write!(f, ", called by {}", in_words(&by.function, &by.file, by.line)))
    }
}

impl Looked {
    pub(super) fn new(scene: &Scene) -> Self {
        Self {
            processes: scene.processes.len(),
            tasks: scene.processes.values().map(|p| p.tasks.len()).sum(),
            unreadable_processes: scene.unreadable.len(),
            silent_processes: scene.silent,
            unread_python_processes: scene.unread_pythons,
            apart_ms: scene.apart_ms,
        }
    }
}

/// Writes one JSON document and a newline; no byte of it can change a terminal.
pub(super) fn write_json(out: &mut impl std::io::Write, value: &impl Serialize) -> std::io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, SafeFormatter::default());
    value.serialize(&mut serializer).map_err(std::io::Error::from)?;
    out.write_all(b"\n")
}
