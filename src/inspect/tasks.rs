//! Matches Python's threads with the kernel's tasks, and finds those that wait for the GIL.

use std::collections::HashMap;

use crate::kernel::DetailReader;
use crate::kernel::error::ReadError;
use crate::kernel::parse::pid_numbers::namespace_pids;
use crate::kernel::parse::syscall::{Machine, SyscallLine, futex};
use crate::kernel::proc_fs::{ProcFs, RelPath};
use crate::snapshot::{ProcKey, PythonRuntime, PythonTask, PythonThread, WaitReason};

/// The most threads of a process in another PID namespace whose numbers are translated: each takes reading a file.
const MOST_TRANSLATED: usize = 8192;

/// The most of `status` that is read: 65,536 groups and what follows them.
const STATUS_BYTES: usize = 1 << 20;

/// Fills in each thread's task; how many threads have none. A task is looked at after the runtime was: one that has ended since is none.
pub(super) fn attach(reader: &DetailReader, key: ProcKey, runtime: &mut PythonRuntime) -> Result<usize, ReadError> {
    let numbers = native_ids(reader.files(), key.pid)?;
    let all = || runtime.interpreters.iter().flat_map(|one| &one.threads);
    let mut tids: Vec<i32> = all().filter_map(|thread| numbers.get(&thread.native_id).copied()).collect();
    tids.sort_unstable();
    tids.dedup();
    let tasks = reader.threads_among(key.pid, &tids);
    let mut strangers = 0;
    for interpreter in &mut runtime.interpreters {
        let futexes = interpreter.gil_futexes.clone();
        for thread in &mut interpreter.threads {
            let at = numbers.get(&thread.native_id).and_then(|tid| tasks.binary_search_by_key(tid, |task| task.tid).ok());
            let task = at.and_then(|at| tasks.get(at));
            strangers += usize::from(task.is_none());
            thread.task =
                task.map(|task| PythonTask { tid: task.tid, comm: task.comm, state: task.state, wait: task.wait.clone() });
            thread.waits_for_gil = !thread.holds_gil && (thread.waits_for_gil || sleeps_within(thread, &futexes));
        }
    }
    if strangers > 0 {
        runtime.notes.push(format!(
            "{strangers} of its Python threads {} not a task of the process: ended, or left over from a fork.",
            if strangers == 1 { "is" } else { "are" }
        ));
    }
    Ok(strangers)
}

/// The address of the futex that a thread sleeps at.
pub fn sleeps_at(fs: &ProcFs, pid: i32, tid: i32) -> Option<u64> {
    let mut buffer = [0u8; 256];
    let line = fs.read_once(&RelPath::task(pid, tid, "syscall"), &mut buffer).ok()?;
    match (SyscallLine::parse(line)?, Machine::HERE?) {
        (SyscallLine::Inside { number, args, narrow: false }, machine) => Some(futex(machine, number, &args)?.address),
        _ => None,
    }
}

fn sleeps_within(thread: &PythonThread, futexes: &std::ops::Range<u64>) -> bool {
    let wait = thread.task.as_ref().and_then(|task| task.wait.as_ref());
    match wait.and_then(|wait| wait.reason.as_ref()) {
        Some(WaitReason::Futex { address: Some(address) }) => futexes.contains(address),
        _ => false,
    }
}

/// The TID here of each TID as the process's own PID namespace numbers it.
pub(super) fn native_ids(fs: &ProcFs, pid: i32) -> Result<HashMap<u64, i32>, ReadError> {
    let mut tids = Vec::new();
    fs.list_tids(pid, &mut tids)?;
    // One number: the process is of the namespace that is shown. Equal numbers would not say so.
    let same = numbers(fs, &RelPath::process(pid, "status")).is_none_or(|numbers| numbers.len() == 1);
    if !same {
        tids.truncate(MOST_TRANSLATED);
    }
    let number = |tid: i32| match same {
        true => u64::try_from(tid).ok(),
        false => inner_id(fs, &RelPath::task(pid, tid, "status")),
    };
    Ok(tids.into_iter().filter_map(|tid| Some((number(tid)?, tid))).collect())
}

/// The TID of the process's first task, as its own PID namespace numbers it.
pub(super) fn leader(fs: &ProcFs, pid: i32) -> Option<u64> {
    inner_id(fs, &RelPath::process(pid, "status"))
}

/// The last number of `NSpid`: in the innermost namespace.
fn inner_id(fs: &ProcFs, path: &RelPath) -> Option<u64> {
    u64::try_from(*numbers(fs, path)?.last()?).ok()
}

fn numbers(fs: &ProcFs, path: &RelPath) -> Option<Vec<i32>> {
    let mut bytes = Vec::new();
    fs.read_all(path, STATUS_BYTES, &mut bytes).ok()?;
    namespace_pids(&bytes)
}
