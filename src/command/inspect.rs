//! `concmon inspect`: prints the Python threads of a process once. The schema of its JSON is `assets/report/inspect.schema.json`.

use std::io::Write as _;

use serde::Serialize as _;
use serde_json::{Value, json};

use crate::app::detail::runtime::lines;
use crate::cli::InspectArgs;
use crate::config::Config;
use crate::export::SafeFormatter;
use crate::kernel::error::ReadError;
use crate::kernel::readers::within;
use crate::kernel::{DetailReader, reason};
use crate::snapshot::{
    AsyncTask, Asyncio, DetailContent, EventLoop, Gil, Greenlet, Greenlets, LeftOut, LoopTurn, ProcKey, PythonFrame,
    PythonInterpreter, PythonRuntime, PythonThread,
};
use crate::text::Charset;

use super::Failure;
use super::output::with_stdout;

/// How long the process may take to answer.
pub(super) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Names and versions the document.
const SCHEMA: &str = "concmon.inspect/1";

/// One process: all that is known of it.
pub(super) fn one(config: &Config, args: &InspectArgs, number: i32) -> Result<(), Failure> {
    let failed = |error: ReadError| Failure::Failed(anyhow::anyhow!("process {number}: {}", reason(&error)));
    let reader = DetailReader::open("/proc").map_err(failed)?;
    // The number of a thread is that of its process's Python, too.
    let process = crate::inspect::process_of(reader.files(), number);
    let pid = process.unwrap_or(number);
    let key = reader.key_of(pid).map_err(|error| match error {
        ReadError::Vanished => Failure::Failed(anyhow::anyhow!("there is no process {pid}")),
        other => failed(other),
    })?;
    let read = within(key, PATIENCE, move || crate::inspect::read_whole(&reader, key));
    let read = read.map_err(|why| Failure::Failed(anyhow::anyhow!("process {number}: {why}")))?;
    let detail = read.map_err(failed)?;
    let thread = process.map(|pid| format!("{number} is a thread of process {pid}"));
    let runtime = match detail.content {
        Ok(DetailContent::Runtime(mut runtime)) => {
            runtime.notes.splice(0..0, thread.map(|thread| format!("{thread}, which is shown.")));
            runtime
        }
        Ok(_) => return Ok(()),
        Err(why) => {
            let of = thread.map_or_else(|| format!("process {pid}"), |thread| format!("process {pid} ({thread})"));
            return Err(Failure::Unavailable(anyhow::anyhow!("{of}: {why}")));
        }
    };
    with_stdout(|out| {
        if args.json {
            let mut serializer = serde_json::Serializer::with_formatter(&mut *out, SafeFormatter::default());
            document(key, detail.taken_ns, detail.took_ns, &runtime).serialize(&mut serializer).map_err(std::io::Error::from)?;
            return out.write_all(b"\n");
        }
        let charset = Charset::from_unicode(config.unicode);
        lines(&runtime, detail.took_ns, charset).iter().try_for_each(|line| writeln!(out, "{line}"))
    })?;
    Ok(())
}

fn document(key: ProcKey, taken_ns: u64, took_ns: u64, runtime: &PythonRuntime) -> Value {
    let interpreters: Vec<Value> = runtime.interpreters.iter().map(|one| interpreter(one, runtime)).collect();
    json!({
        "schema": SCHEMA,
        "pid": key.pid,
        "start_ticks": key.start_ticks,
        "taken_boot_ns": taken_ns,
        "took_ns": took_ns,
        "finding": runtime.finding,
        "notes": runtime.notes,
        "python": runtime.version.to_string(),
        "free_threaded": runtime.free_threaded,
        "file": String::from_utf8_lossy(&runtime.file),
        "interpreters": interpreters,
        "asyncio": runtime.asyncio.as_ref().map(asyncio),
        "trio": runtime.trio.as_ref().map(asyncio),
        "greenlets": runtime.greenlets.as_ref().map(greenlets),
    })
}

fn asyncio(asyncio: &Asyncio) -> Value {
    json!({
        "task_count": asyncio.task_count,
        "loops": asyncio.loops.iter().map(event_loop).collect::<Vec<_>>(),
        "tasks": asyncio.tasks.iter().map(task).collect::<Vec<_>>(),
    })
}

fn event_loop(one: &EventLoop) -> Value {
    let (state, lag_ns, at, own, why) = match &one.turn {
        LoopTurn::Waits => ("waits", Some(0), None, None, None),
        LoopTurn::Runs { lag_ns, at, own } => ("runs", Some(*lag_ns), at.as_ref(), own.as_ref(), None),
        LoopTurn::Unknown(why) => ("unknown", None, None, None, Some(*why)),
    };
    json!({
        "id": hex(one.id),
        "type": &*one.kind,
        "native_id": one.native_id,
        "tid": one.tid,
        "state": state,
        "lag_ns": lag_ns,
        "lag_unknown": why,
        "innermost": at.map(frame),
        "own_code": own.map(frame),
    })
}

fn task(task: &AsyncTask) -> Value {
    json!({
        "id": hex(task.id),
        "name": &*task.name,
        "loop": hex(task.loop_id),
        "state": task.state.word(),
        "awaited_by": task.awaited_by.iter().copied().map(hex).collect::<Vec<_>>(),
        "ran_on_while_read": task.moved,
        "frames": task.frames.iter().map(frame).collect::<Vec<_>>(),
    })
}

fn greenlets(greenlets: &Greenlets) -> Value {
    json!({
        "greenlet_count": greenlets.count,
        "greenlets": greenlets.greenlets.iter().map(greenlet).collect::<Vec<_>>(),
    })
}

fn greenlet(one: &Greenlet) -> Value {
    json!({
        "id": hex(one.id),
        "type": &*one.kind,
        "main": one.is_main,
        "state": one.state.word(),
        "native_id": one.native_id,
        "tid": one.tid,
        "ran_on_while_read": one.moved,
        "more_frames": one.deeper || one.left_out.is_some(),
        "left_out": one.left_out.map(left_out),
        "frames": one.frames.iter().map(frame).collect::<Vec<_>>(),
    })
}

fn left_out(left: LeftOut) -> Value {
    json!({ "behind": left.behind, "frames": left.count })
}

/// An address as Python prints it.
fn hex(address: u64) -> String {
    format!("{address:#x}")
}

pub(super) fn frame(frame: &PythonFrame) -> Value {
    json!({ "function": &*frame.function, "file": &*frame.file, "line": frame.line, "times": frame.times })
}

fn interpreter(one: &PythonInterpreter, runtime: &PythonRuntime) -> Value {
    let (state, holder) = match one.gil {
        Gil::Off => ("off", None),
        Gil::Free => ("free", None),
        Gil::Held(native_id) => ("held", Some(native_id)),
        Gil::Elsewhere => ("held", None),
    };
    // Locks have no names: the first interpreter with the same lock identifies it.
    let owner = runtime.interpreters.iter().find(|other| other.gil_address == one.gil_address).map(|other| other.id);
    json!({
        "id": one.id,
        "gil": { "state": state, "holder_native_id": holder, "of_interpreter": owner },
        "thread_count": one.thread_count,
        "threads": one.threads.iter().map(thread).collect::<Vec<_>>(),
    })
}

fn thread(thread: &PythonThread) -> Value {
    let task = thread.task.as_ref();
    let frames: Vec<Value> = thread.frames.iter().map(frame).collect();
    json!({
        "native_id": thread.native_id,
        "tid": task.map(|task| task.tid),
        "name": thread.name.as_deref(),
        "comm": task.map(|task| String::from_utf8_lossy(task.comm.as_bytes())),
        "state": task.map(|task| task.state.letter().to_string()),
        "wait": task.and_then(|task| task.wait.as_ref()).filter(|wait| wait.reason.is_some()).map(ToString::to_string),
        "holds_gil": thread.holds_gil,
        "waits_for_gil": thread.waits_for_gil,
        "ran_on_while_read": thread.moved,
        "more_frames": thread.deeper || thread.left_out.is_some(),
        "left_out": thread.left_out.map(left_out),
        "frames": frames,
    })
}
