//! The same sleeps as async tasks and as threads: creation cost, total time, and memory of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::arena::{futex_wait, futex_wake};
use super::error::{RootError, failed};
use super::memory::private_bytes;
use super::root::Root;
use super::thread;
use crate::lab::protocol::Message;

const COUNTS: [u32; 3] = [100, 1_000, 10_000];

/// Longest that a wait for the threads sleeps at a time: it may have begun while the last one was on its way.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What one contestant took.
struct Figures {
    /// Until the last was created.
    created: Duration,
    /// Until the last had finished.
    finished: Duration,
    /// What private memory grew by while all were there.
    memory: Option<u64>,
}

pub fn run(root: &mut Root) -> Result<(), RootError> {
    root.work_alone();
    root.forgo_waits();
    root.run_workers(|root| {
        let nap = Duration::from_millis(u64::from(root.spec.size()));
        for count in COUNTS {
            root.phase(&format!("async {count}"));
            let figures = async_tasks(count, nap)?;
            report(root, "async", count, &figures);
        }
        for count in COUNTS {
            let most = root.spec.tasks;
            if count > most {
                let text = format!("{count} threads were not tried: more than the {most} requested tasks");
                root.say(Message::Warn { text });
                continue;
            }
            root.phase(&format!("threads {count}"));
            match threads(count, nap) {
                Ok(figures) => report(root, "threads", count, &figures),
                Err(error) => root.say(Message::Warn { text: format!("cannot create {count} threads: {error}") }),
            }
        }
        root.note_exit(0, 0);
        Ok(())
    })
}

fn report(root: &mut Root, what: &str, count: u32, figures: &Figures) {
    let nanoseconds = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
    root.value_ns(&format!("{what}_{count}_create_ns_each"), nanoseconds(figures.created) / u64::from(count));
    root.value_ns(&format!("{what}_{count}_wall_ns"), nanoseconds(figures.finished));
    let name = format!("{what}_{count}_private_bytes_each");
    match figures.memory {
        Some(bytes) => root.value_bytes(&name, bytes / u64::from(count)),
        None => root.value_unknown(&name, "cannot read /proc/self/smaps_rollup"),
    }
}

fn growth(before: Option<u64>) -> Option<u64> {
    Some(private_bytes()?.saturating_sub(before?))
}

fn async_tasks(count: u32, nap: Duration) -> Result<Figures, RootError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed("building the event loop"))?;
    Ok(runtime.block_on(async {
        let (before, there) = (private_bytes(), Arc::new(AtomicU32::new(0)));
        let began = Instant::now();
        let mut tasks = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let there = Arc::clone(&there);
            tasks.push(tokio::spawn(async move {
                there.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(nap).await;
            }));
        }
        let created = began.elapsed();
        while there.load(Ordering::Relaxed) < count {
            tokio::task::yield_now().await;
        }
        let memory = growth(before);
        for task in tasks {
            // A sleep has nothing that could fail.
            let _ = task.await;
        }
        Figures { created, finished: began.elapsed(), memory }
    }))
}

/// What the threads and their creator share.
#[derive(Default)]
struct Gate {
    /// How many run.
    there: AtomicU32,
    /// Set to 1 when they may end: the memory of all is measured while all are there.
    open: AtomicU32,
}

impl Gate {
    /// The life of one of `count` threads.
    fn pass(&self, count: u32, nap: Duration) {
        if self.there.fetch_add(1, Ordering::AcqRel) + 1 == count {
            futex_wake(&self.there, 1);
        }
        std::thread::sleep(nap);
        while self.open.load(Ordering::Acquire) == 0 {
            futex_wait(&self.open, 0, None);
        }
    }

    /// Waits until all run.
    fn await_all(&self, count: u32) {
        loop {
            match self.there.load(Ordering::Acquire) {
                all if all >= count => return,
                // Only the last one wakes: those between change the word, which is as good.
                some => _ = futex_wait(&self.there, some, Some(LOOK_AGAIN)),
            }
        }
    }

    fn open(&self) {
        self.open.store(1, Ordering::Release);
        futex_wake(&self.open, i32::MAX);
    }
}

fn threads(count: u32, nap: Duration) -> Result<Figures, RootError> {
    let (before, gate) = (private_bytes(), Arc::new(Gate::default()));
    let began = Instant::now();
    let mut threads = Vec::with_capacity(count as usize);
    let mut refused = None;
    for i in 0..count {
        let gate = Arc::clone(&gate);
        match thread::start(Box::new(Box::new(move |_| gate.pass(count, nap)))) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                refused = Some(failed(format!("starting thread {i} of {count}"))(error));
                break;
            }
        }
    }
    let created = began.elapsed();
    if refused.is_none() {
        gate.await_all(count);
    }
    let memory = growth(before);
    gate.open();
    thread::join(threads);
    match refused {
        Some(error) => Err(error),
        None => Ok(Figures { created, finished: began.elapsed(), memory }),
    }
}
