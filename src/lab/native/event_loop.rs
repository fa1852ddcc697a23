//! Each worker is an async task on one thread's event loop (tokio, `current_thread`): the kernel sees none of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::arena::{Arena, Ballast};
use super::http;
use super::root::{Root, RootError, failed};
use super::worker::Worker;
use crate::clock::monotonic_ns;
use crate::lab::catalog::{RunSpec, TaskKind};

/// How often what has been noted is told while the tasks run.
const TELL_EVERY: Duration = Duration::from_millis(50);

/// What an async task takes with it.
struct Life {
    arena: Arc<Arena>,
    spec: Arc<RunSpec>,
    ballast: Option<Arc<Ballast>>,
    index: u32,
    go: watch::Receiver<bool>,
    leave: watch::Receiver<bool>,
    finished: mpsc::UnboundedSender<()>,
}

impl Life {
    async fn live(mut self) {
        let ready_ns = monotonic_ns();
        let worker = Worker { arena: &self.arena, spec: &self.spec, ballast: self.ballast.as_deref(), index: self.index };
        worker.ready(ready_ns);
        // The senders outlive the tasks; if they did not, going on would be right too.
        let _ = self.go.wait_for(|go| *go).await;
        for k in worker.share() {
            work(&worker, k).await;
        }
        worker.mark_finished();
        let _ = self.finished.send(());
        let _ = self.leave.wait_for(|leave| *leave).await;
        worker.left();
    }
}

/// One unit: a sleep or a GET lets the loop go on with the others, a computation holds all of them up.
async fn work(worker: &Worker<'_>, k: usize) {
    match worker.spec.task {
        TaskKind::Sleep => sleep(worker, k).await,
        TaskKind::Http => {
            worker.begin(k);
            worker.conclude(k, http::fetch_async(worker.port(), worker.spec.size()).await);
        }
        _ => {
            worker.work(k);
            // Between two units the others get their turn, as with an await in real code.
            tokio::task::yield_now().await;
        }
    }
}

async fn sleep(worker: &Worker<'_>, k: usize) {
    let wanted = Duration::from_millis(u64::from(worker.spec.size()));
    worker.begin(k);
    let began = Instant::now();
    tokio::time::sleep(wanted).await;
    let late = began.elapsed().saturating_sub(wanted);
    worker.end(k, u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
}

pub fn run(root: &mut Root) -> Result<(), RootError> {
    root.hold_memory()?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed("building the event loop"))?;
    let (go, may_go) = watch::channel(false);
    let (leave, may_leave) = watch::channel(false);
    let (finished, mut finishes) = mpsc::unbounded_channel();
    root.launch();
    let workers = root.spec.workers;
    let tasks = runtime.block_on(async {
        let mut tasks = Vec::new();
        for w in 0..workers {
            let life = Life {
                arena: Arc::clone(&root.arena),
                spec: Arc::clone(&root.spec),
                ballast: root.ballast.clone(),
                index: w,
                go: may_go.clone(),
                leave: may_leave.clone(),
                finished: finished.clone(),
            };
            root.requested(w);
            tasks.push(tokio::spawn(life.live()));
            // The loop runs what is queued, and comes back.
            tokio::task::yield_now().await;
            root.await_ready(w)?;
        }
        Ok::<_, RootError>(tasks)
    })?;
    root.begin();
    runtime.block_on(async {
        go.send_replace(true);
        let mut left = workers;
        while left > 0 {
            if let Ok(Some(())) = tokio::time::timeout(TELL_EVERY, finishes.recv()).await {
                left -= 1;
            }
            root.tell_sometimes();
        }
    });
    root.await_finished();
    root.linger();
    root.dismiss(|| {
        leave.send_replace(true);
        runtime.block_on(async {
            for task in tasks {
                // A task that panicked has not left, which the root will say.
                let _ = task.await;
            }
        });
    })
}
