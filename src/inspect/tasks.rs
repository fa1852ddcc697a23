//! Matches Python's threads with the kernel's tasks, and finds those that wait for the GIL.

use std::collections::HashMap;

use super::offsets::Offsets;
use crate::kernel::DetailReader;
use crate::kernel::error::ReadError;
use crate::kernel::parse::pid_numbers::namespace_pids;
use crate::kernel::proc_fs::{ProcFs, RelPath};
use crate::snapshot::{
    Detail, DetailContent, DetailPart, ProcKey, PythonRuntime, PythonTask, PythonThread, ThreadDetail, WaitReason,
};

/// Bytes of a GIL behind its field `locked`: that, the number of switches, two conditions and two mutexes of the C library (48 and 40
/// bytes on x86-64; pycore_gil.h). A futex there is the GIL's own. Only glibc sleeps there: with musl a wait for the GIL is not told
/// from any other.
const GIL_BEHIND_LOCKED: u64 = 16 + 2 * (48 + 40);

/// The most of `status` that is read: 65,536 groups and what follows them.
const STATUS_BYTES: usize = 1 << 20;

/// Fills in each thread's task. It is looked at after the runtime was: one that has ended since has none.
pub(super) fn attach(
    reader: &DetailReader,
    key: ProcKey,
    runtime: &mut PythonRuntime,
    offsets: &Offsets,
) -> Result<(), ReadError> {
    let Detail { content: Ok(DetailContent::Threads(tasks)), .. } = reader.read(key, DetailPart::Threads)? else { return Ok(()) };
    let numbers = native_ids(reader.files(), key.pid, &tasks);
    let mut strangers = 0;
    for interpreter in &mut runtime.interpreters {
        let futexes = interpreter.gil_address.saturating_add(offsets.gil_locked);
        let futexes = futexes..futexes.saturating_add(GIL_BEHIND_LOCKED);
        for thread in &mut interpreter.threads {
            let task = numbers.get(&thread.native_id).and_then(|at| tasks.get(*at));
            strangers += usize::from(task.is_none());
            thread.task =
                task.map(|task| PythonTask { tid: task.tid, comm: task.comm, state: task.state, wait: task.wait.clone() });
            thread.waits_for_gil = !thread.holds_gil && sleeps_within(thread, &futexes);
        }
    }
    if strangers > 0 {
        runtime.notes.push(format!(
            "{strangers} of its Python threads {} not a task of the process: ended, or left over from a fork.",
            if strangers == 1 { "is" } else { "are" }
        ));
    }
    Ok(())
}

fn sleeps_within(thread: &PythonThread, futexes: &std::ops::Range<u64>) -> bool {
    let wait = thread.task.as_ref().and_then(|task| task.wait.as_ref());
    match wait.and_then(|wait| wait.reason.as_ref()) {
        Some(WaitReason::Futex { address: Some(address) }) => futexes.contains(address),
        _ => false,
    }
}

/// The task of each native id: a process in a PID namespace of its own has other numbers for its tasks than those seen from here.
fn native_ids(fs: &ProcFs, pid: i32, tasks: &[ThreadDetail]) -> HashMap<u64, usize> {
    let numbers = |path: &RelPath| {
        let mut bytes = Vec::new();
        fs.read_all(path, STATUS_BYTES, &mut bytes).ok()?;
        namespace_pids(&bytes)
    };
    // One number: the process is of the namespace that is shown. Equal numbers would not say so.
    let same = numbers(&RelPath::process(pid, "status")).is_none_or(|numbers| numbers.len() == 1);
    let number = |task: &ThreadDetail| match same {
        true => Some(task.tid),
        false => numbers(&RelPath::task(pid, task.tid, "status"))?.last().copied(),
    };
    let known = |(at, task)| Some((u64::try_from(number(task)?).ok()?, at));
    tasks.iter().enumerate().filter_map(known).collect()
}
