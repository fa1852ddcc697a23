//! What a process or thread is in a run: worker, fork server, resource tracker, and so on. Pure.

use super::catalog::{OWN_PROGRAM, TaskKind};
use super::run::{Run, Worker};
use crate::snapshot::contains;

/// What is known of a task of a run.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Its process.
    pub pid: i32,
    /// The task itself.
    pub tid: i32,
    /// Whether the row is of a thread and not of the whole process.
    pub thread: bool,
    /// Its name.
    pub comm: &'a [u8],
    /// Its process's arguments, each ended by NUL.
    pub cmdline: &'a [u8],
}

/// Part of a command line, and what a process with it is.
const PROCESSES: &[(&str, &str)] = &[
    ("loky.backend.resource_tracker", "resource tracker of loky"),
    ("multiprocessing.resource_tracker", "resource tracker"),
    ("multiprocessing.forkserver", "fork server"),
    ("__lab-image\0server", "fork server"),
    ("__lab-image\0http", "HTTP server of the lab"),
    ("lab_server.py", "HTTP server of the lab"),
    ("lab_http_client.py", "HTTP client of the lab"),
    ("lab_echo_client.py", "echo client of the lab"),
    ("-m\0gunicorn", "gunicorn master"),
    ("-m\0uvicorn", "uvicorn supervisor"),
    ("-m\0granian", "granian main process"),
    ("-m\0celery", "celery main process"),
];

/// How the name of a thread begins, and what such a thread is. Kernel names have at most 15 bytes (prctl(2), PR_SET_NAME).
const THREADS: &[(&str, &str)] = &[
    ("ExecutorManager", "pool manager thread"),
    ("QueueManagerThr", "pool manager thread"),
    ("QueueFeederThre", "queue feeder thread"),
    ("_handle_workers", "pool thread that replaces workers"),
    ("_handle_tasks", "pool thread that hands out tasks"),
    ("_handle_results", "pool thread that takes results"),
    ("asyncio_", "thread of the loop's executor"),
    ("ThreadPoolExecu", "pool thread"),
    ("IO loop", "dask thread of the event loop"),
    ("AsyncProcess Da", "dask thread that watches a worker"),
    ("Dask-Offload", "dask thread for large messages"),
    ("Profile", "dask thread that profiles"),
    ("Trio thread", "trio worker thread"),
    ("AnyIO worker th", "AnyIO worker thread"),
    ("tokio-runtime-w", "tokio runtime thread"),
    ("tokio-rt-worker", "tokio runtime thread"),
    ("async-io", "reactor thread of smol"),
    ("lab-helper", "helper thread"),
];

/// Systems whose workers each do something else, and what each does.
const WORKERS: &[(&str, &[&str])] = &[
    (
        "native/states",
        &[
            "runs all the time",
            "sleeps",
            "waits in the kernel",
            "stopped by SIGSTOP",
            "stopped by a tracer",
            "ended, not waited for",
            "ends",
        ],
    ),
    ("native/copy-on-write", &["leaves the memory alone", "reads all of it", "writes a quarter", "writes all of it"]),
    ("python/copy-on-write", &["leaves the objects alone", "reads all objects", "collects garbage", "freezes, then collects"]),
];

/// The worker that a row is of. A process row stands for the worker that its main thread is, or that it is as a whole.
#[must_use]
pub fn worker<'r>(run: &'r Run, seen: &Seen<'_>) -> Option<&'r Worker> {
    let own = |w: &&Worker| match (seen.thread, w.tid) {
        (true, tid) => tid == Some(seen.tid),
        (false, Some(tid)) => tid == seen.pid || w.how.is_some_and(super::protocol::Creation::is_process),
        (false, None) => true,
    };
    let visible = |w: &&Worker| w.how.is_none_or(|how| how.is_process() || how == super::protocol::Creation::Thread);
    run.workers.iter().rev().filter(|w| w.pid == Some(seen.pid)).filter(own).find(visible)
}

/// Its role and what it does: `worker 2  pi(2000), task 3`. `title` names the system.
#[must_use]
pub fn words(run: &Run, seen: &Seen<'_>, title: &str) -> String {
    if let Some(worker) = worker(run, seen) {
        let own = WORKERS.iter().find(|(system, _)| *system == run.spec.system);
        return match own.and_then(|(_, does)| does.get(usize::try_from(worker.index).ok()?)) {
            Some(does) => format!("worker {}  {does}", worker.index),
            None => format!("worker {}{}", worker.index, activity(run, worker)),
        };
    }
    if run.root_pid == Some(seen.pid) && !seen.thread {
        let inline = run.workers.iter().find(|w| w.how == Some(super::protocol::Creation::Inline));
        return format!("{title}: main process{}", inline.map(|w| activity(run, w)).unwrap_or_default());
    }
    if seen.thread {
        if let Some(carried) = run.workers.iter().find(|w| w.tid == Some(seen.tid) && w.pid == Some(seen.pid)) {
            return format!("thread of worker {}", carried.index);
        }
        return thread(seen.comm).unwrap_or(if unknown(run) { "thread of the program" } else { "helper thread" }).to_owned();
    }
    process(run, seen.cmdline).to_owned()
}

/// Whether it is unknown what the processes of the run are for: a system of the user's own.
fn unknown(run: &Run) -> bool {
    run.spec.is_own() && run.spec.system != OWN_PROGRAM
}

/// What a process of a run that is neither its root nor a worker is, by its arguments.
#[must_use]
pub fn process(run: &Run, cmdline: &[u8]) -> &'static str {
    let other = if unknown(run) { "process of the program" } else { "helper process" };
    PROCESSES.iter().find(|(part, _)| contains(cmdline, part.as_bytes())).map_or(other, |(_, role)| role)
}

/// What a thread that is no worker is, by its name.
#[must_use]
pub fn thread(comm: &[u8]) -> Option<&'static str> {
    THREADS.iter().find(|(name, _)| comm.starts_with(name.as_bytes())).map(|(_, role)| *role)
}

/// What the worker does now, as far as it has said.
fn activity(run: &Run, worker: &Worker) -> String {
    let task = match run.spec.task.size() {
        _ if matches!(run.spec.task, TaskKind::Own | TaskKind::None) => "works".to_owned(),
        Some(_) => format!("{}({})", run.spec.task.name(), run.spec.size()),
        None => run.spec.task.name().to_owned(),
    };
    match (worker.spans.iter().rev().find(|span| span.end_ns.is_none()), worker.spans.len()) {
        (Some(open), _) => format!("  {task}, task {}", open.index + 1),
        (None, 0) => String::new(),
        (None, done) => format!("  idle, {done} done"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::catalog::find;
    use crate::lab::protocol::Creation;
    use crate::lab::run::{Memory, RunId, TaskSpan};

    fn worker_of(index: u32, pid: i32, tid: i32, how: Creation) -> Worker {
        Worker {
            index,
            pid: Some(pid),
            shown_pid: None,
            tid: Some(tid),
            how: Some(how),
            requested_ns: Some(1),
            ready_ns: Some(2),
            exited_ns: None,
            status: None,
            spans: Vec::new(),
            memory: Memory::default(),
        }
    }

    fn seen<'a>(pid: i32, tid: i32, comm: &'a str, cmdline: &'a str) -> Seen<'a> {
        Seen { pid, tid, thread: pid != tid, comm: comm.as_bytes(), cmdline: cmdline.as_bytes() }
    }

    #[test]
    fn every_member_of_a_pool_has_a_role() {
        let mut run = Run::new(RunId(1), find("python/process-pool-executor").unwrap().defaults(), 0);
        run.root_pid = Some(10);
        let mut first = worker_of(0, 20, 20, Creation::Fork);
        first.spans = vec![TaskSpan { index: 2, start_ns: 3, end_ns: None }];
        run.workers = vec![first, worker_of(1, 21, 21, Creation::Fork)];
        for (row, role) in [
            (seen(10, 10, "python3", "python3\0main.py\0"), "pool: main process"),
            (seen(10, 11, "ExecutorManager", "python3\0main.py\0"), "pool manager thread"),
            (seen(10, 12, "QueueFeederThre", "python3\0main.py\0"), "queue feeder thread"),
            (seen(10, 13, "python3", "python3\0main.py\0"), "helper thread"),
            (seen(10, 14, "_handle_workers", "python3\0main.py\0"), "pool thread that replaces workers"),
            (seen(20, 20, "python3", "python3\0main.py\0"), "worker 0  factorial, task 3"),
            (seen(21, 21, "python3", "python3\0main.py\0"), "worker 1"),
            (seen(30, 30, "python3", "python3\0-c\0from multiprocessing.resource_tracker import main\0"), "resource tracker"),
            (seen(31, 31, "python3", "python3\0-c\0from multiprocessing.forkserver import main\0"), "fork server"),
        ] {
            assert_eq!(words(&run, &row, "pool"), role, "{row:?}");
        }
    }

    #[test]
    fn workers_that_differ_are_told_apart_by_what_they_do() {
        for (system, does) in WORKERS {
            let spec = find(system).unwrap().defaults();
            assert_eq!(does.len(), spec.workers as usize, "{system}");
            let mut run = Run::new(RunId(1), spec, 0);
            run.workers = vec![worker_of(1, 20, 20, Creation::Fork)];
            assert_eq!(words(&run, &seen(20, 20, "w", ""), "t"), format!("worker 1  {}", does[1]));
        }
    }

    #[test]
    fn threads_of_one_process_are_told_apart_by_their_ids() {
        let mut run = Run::new(RunId(1), find("native/thread").unwrap().defaults(), 0);
        run.root_pid = Some(10);
        run.workers = vec![worker_of(0, 10, 11, Creation::Thread), worker_of(1, 10, 12, Creation::Thread)];
        assert_eq!(words(&run, &seen(10, 12, "worker", ""), "threads"), "worker 1");
        assert_eq!(words(&run, &seen(10, 10, "concmon", ""), "threads"), "threads: main process");
    }
}
