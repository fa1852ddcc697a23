//! What `concmon problems` and `concmon why` share: the waits of this machine, and tasks in JSON.

use serde::Serialize as _;
use serde_json::{Value, json};

use crate::causes::{Edge, Scene, Target, TaskId};
use crate::export::SafeFormatter;
use crate::kernel::reason;
use crate::why::Pythons;

use super::Failure;

/// Reads the waits of this machine.
pub(super) fn scene() -> Result<Scene, Failure> {
    crate::why::scene()
        .map_err(|error| Failure::Unavailable(anyhow::anyhow!("the processes cannot be examined: {}", reason(&error))))
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
