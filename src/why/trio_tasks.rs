//! Tasks of trio that nothing can wake.

use crate::causes::Scene;
use crate::kernel::proc_fs::ProcFs;
use crate::snapshot::{AsyncCause, AsyncState, AsyncStuck, AsyncTask, LoopTurn, PythonFrame, PythonRuntime};

use super::async_tasks::{NOTHING_WAKES, idles, told};

/// trio never waits for longer than a day (`_MAX_TIMEOUT`); a wait of nearly that length has no timer.
const NO_TIMER_MS: u32 = 86_000_000;
/// The sockets by which threads and signals wake its loop.
const OWN_FILES: usize = 2;
/// Tasks that every run has.
const SYSTEM_TASKS: [&str; 2] = ["<init>", "<TrioToken.run_sync_soon task>"];

/// The tasks of a process that cannot go on.
pub(super) fn stuck(fs: &ProcFs, scene: &Scene, pid: i32, runtime: &PythonRuntime) -> Option<AsyncStuck> {
    let trio = runtime.trio.as_ref()?;
    if trio.tasks.len() < trio.task_count {
        return None;
    }
    trio.loops.iter().filter(|one| one.turn == LoopTurn::Waits).find_map(|one| {
        let tid = one.tid?;
        let is_own = |task: &&AsyncTask| task.loop_id == one.id && !SYSTEM_TASKS.contains(&&*task.name);
        let tasks: Vec<&AsyncTask> = trio.tasks.iter().filter(is_own).collect();
        let rests = idles(fs, scene, (pid, tid), NO_TIMER_MS)? <= OWN_FILES;
        if !rests || !never_wake(&tasks) {
            return None;
        }
        let shown: Vec<AsyncTask> = tasks.iter().map(|task| without_core(task)).collect();
        Some(told(AsyncCause::Unwakeable, &shown.iter().collect::<Vec<_>>(), NOTHING_WAKES.to_owned(), Some(tid)))
    })
}

/// A task without the frames that every wait of trio has.
fn without_core(task: &AsyncTask) -> AsyncTask {
    let is_core = |frame: &&PythonFrame| frame.file.contains("trio/_core/");
    let count = task.frames.iter().take_while(is_core).count();
    AsyncTask { frames: task.frames[count..].to_vec(), ..task.clone() }
}

/// Whether each of them waits for another, or for a lock, condition, event or channel that only another could release. A program may rest
/// until a signal ends it: in an event or a sleep of its main task.
fn never_wake(tasks: &[&AsyncTask]) -> bool {
    let all_wait = tasks.iter().all(|task| task.state == AsyncState::Waiting && !task.moved);
    let has_children = |task: &AsyncTask| tasks.iter().any(|other| other.awaited_by.contains(&task.id));
    let mut innermost = tasks.iter().filter(|task| !has_children(task)).peekable();
    all_wait && innermost.peek().is_some() && innermost.all(|task| waits_for_another(task, tasks))
}

fn waits_for_another(task: &AsyncTask, tasks: &[&AsyncTask]) -> bool {
    let within = |frame: &&PythonFrame| frame.file.ends_with("trio/_sync.py") || frame.file.ends_with("trio/_channel.py");
    let is_main = || !tasks.iter().any(|other| task.awaited_by.contains(&other.id));
    task.frames.iter().find(within).is_some_and(|frame| !(&*frame.function == "Event.wait" && is_main()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task that waits in this function of trio, and in the nursery of that task.
    fn task(id: u64, parent: u64, function: &str, file: &str) -> AsyncTask {
        let frame =
            |function: &str, file: &str| PythonFrame { function: function.into(), file: file.into(), line: Some(3), times: 1 };
        AsyncTask {
            id,
            name: "t".into(),
            loop_id: 1,
            state: AsyncState::Waiting,
            frames: vec![frame("park", "/lib/trio/_core/_parking_lot.py"), frame(function, file), frame("work", "/srv/a.py")],
            awaited_by: vec![parent],
            moved: false,
            lock: None,
            queue: None,
            holds: Vec::new(),
            timed: false,
        }
    }

    fn found(tasks: &[AsyncTask]) -> bool {
        never_wake(&tasks.iter().collect::<Vec<_>>())
    }

    #[test]
    fn tasks_at_locks_never_wake_but_a_main_task_at_an_event_may_rest() {
        let (sync, channel) = ("/lib/trio/_sync.py", "/lib/trio/_channel.py");
        let main = || task(1, 100, "Nursery._nested_child_finished", "/lib/trio/_core/_run.py");
        let lock = |id| task(id, 1, "_LockImpl.acquire", sync);
        assert!(found(&[main(), lock(2), lock(3)]));
        assert!(found(&[task(1, 100, "MemoryReceiveChannel.receive", channel)]), "no task is left that could send");
        assert!(found(&[main(), task(2, 1, "Event.wait", sync)]), "no task is left that could set it");
        assert!(!found(&[task(1, 100, "Event.wait", sync)]), "until a signal ends it");
        assert!(!found(&[main(), lock(2), task(3, 1, "sleep_forever", "/lib/trio/_timeouts.py")]));
        assert!(!found(&[main(), lock(2), AsyncTask { state: AsyncState::Ready, ..lock(3) }]), "one is about to go on");
        assert!(!found(&[]));
    }
}
