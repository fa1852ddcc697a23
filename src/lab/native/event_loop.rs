//! Each worker is an async task on one thread's event loop (tokio, `current_thread`), invisible to the kernel. Other systems with event
//! loops use the same tasks.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::arena::{Arena, Ballast};
use super::error::{RootError, failed};
use super::on_loop::{Loop, Tokio};
use super::root::{Root, TELL_EVERY};
use super::worker::Worker;
use super::{http, on_loop};
use crate::clock::monotonic_ns;
use crate::lab::catalog::{RunSpec, TaskKind};

/// How a task does a unit of work.
#[derive(Clone, Copy)]
pub enum Way {
    /// Where the unit waits, the loop continues with the others.
    Waiting,
    /// The same on another runtime than tokio.
    By(for<'a> fn(&'a Worker<'a>, usize) -> Unit<'a>),
    /// By a call that knows nothing of the loop, and blocks it.
    Blocking,
    /// By the same call, handed to a thread.
    Handed,
}

/// One unit of work, for a runtime to run.
pub type Unit<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What an async task takes with it.
struct Life {
    arena: Arc<Arena>,
    spec: Arc<RunSpec>,
    ballast: Option<Arc<Ballast>>,
    index: u32,
    way: Way,
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
            match self.way {
                Way::Waiting => work(&worker, k).await,
                Way::By(unit) => unit(&worker, k).await,
                Way::Blocking => block(&worker, k).await,
                Way::Handed => self.hand_over(k).await,
            }
        }
        worker.mark_finished();
        let _ = self.finished.send(());
        let _ = self.leave.wait_for(|leave| *leave).await;
        worker.left();
    }

    /// Unit `k` on a thread of the runtime's blocking pool; the task waits for it without blocking.
    async fn hand_over(&self, k: usize) {
        let (arena, spec, ballast, index) = (Arc::clone(&self.arena), Arc::clone(&self.spec), self.ballast.clone(), self.index);
        let call = move || Worker { arena: &arena, spec: &spec, ballast: ballast.as_deref(), index }.work(k);
        // A call that panicked leaves its unit without an end, which will be seen.
        let _ = tokio::task::spawn_blocking(call).await;
    }
}

/// One unit: a sleep or a GET lets the loop go on with the others, a computation holds all of them up.
async fn work(worker: &Worker<'_>, k: usize) {
    match worker.spec.task {
        TaskKind::Sleep => sleep::<Tokio>(worker, k).await,
        TaskKind::Http => {
            worker.begin(k);
            worker.conclude(k, http::fetch_async(worker.port(), worker.spec.size()).await);
        }
        _ => block(worker, k).await,
    }
}

/// One unit by a call that blocks the thread. Between two units the others get their turn, as with an await in real code.
pub async fn block(worker: &Worker<'_>, k: usize) {
    worker.work(k);
    tokio::task::yield_now().await;
}

/// One unit of sleep, in the loop.
pub async fn sleep<L: Loop>(worker: &Worker<'_>, k: usize) {
    let wanted = Duration::from_millis(u64::from(worker.spec.size()));
    worker.begin(k);
    let began = Instant::now();
    L::sleep(wanted).await;
    let late = began.elapsed().saturating_sub(wanted);
    worker.end(k, u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
}

/// A runtime that makes tasks of futures, as they are: a box for each would be a part of what its creation costs.
pub trait Spawn {
    /// Its handle of a task.
    type Handle: Future;
    /// Makes a task.
    fn spawn(&self, life: impl Future<Output = ()> + Send + 'static) -> Self::Handle;
}

impl Spawn for Tokio {
    type Handle = JoinHandle<()>;

    fn spawn(&self, life: impl Future<Output = ()> + Send + 'static) -> Self::Handle {
        tokio::spawn(life)
    }
}

/// The workers of a run as async tasks of a runtime, with its handles of tasks.
pub struct Tasks<H = JoinHandle<()>> {
    handles: Vec<H>,
    go: watch::Sender<bool>,
    leave: watch::Sender<bool>,
    finishes: mpsc::UnboundedReceiver<()>,
}

impl<H: Future> Tasks<H> {
    /// Creates them one at a time, as workers of every kind are. It runs on the loop that they will run on.
    pub async fn create(root: &mut Root, way: Way, runtime: &impl Spawn<Handle = H>) -> Result<Self, RootError> {
        let (go, may_go) = watch::channel(false);
        let (leave, may_leave) = watch::channel(false);
        let (finished, finishes) = mpsc::unbounded_channel();
        let mut handles = Vec::new();
        for w in 0..root.spec.workers {
            let life = Life {
                arena: Arc::clone(&root.arena),
                spec: Arc::clone(&root.spec),
                ballast: root.ballast.clone(),
                index: w,
                way,
                go: may_go.clone(),
                leave: may_leave.clone(),
                finished: finished.clone(),
            };
            root.requested(w);
            handles.push(runtime.spawn(life.live()));
            // The loop runs what is queued, and comes back.
            tokio::task::yield_now().await;
            root.await_ready(w)?;
        }
        Ok(Self { handles, go, leave, finishes })
    }

    /// Lets them work, until each has done its share.
    pub async fn work<L: Loop>(&mut self, root: &mut Root) {
        self.go.send_replace(true);
        let mut left = self.handles.len();
        while left > 0 {
            if let Either::Left((Some(()), _)) = select(pin!(self.finishes.recv()), pin!(L::sleep(TELL_EVERY))).await {
                left -= 1;
            }
            root.tell_sometimes();
        }
    }

    /// Lets them leave.
    pub async fn leave(self) {
        self.leave.send_replace(true);
        for handle in self.handles {
            // A task that panicked has not left, which the root will say.
            let _ = handle.await;
        }
    }
}

pub fn run(root: &mut Root) -> Result<(), RootError> {
    root.hold_memory()?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed("building the event loop"))?;
    run_on(root, &runtime)
}

/// The whole run on this runtime.
pub fn run_on(root: &mut Root, runtime: &Runtime) -> Result<(), RootError> {
    root.launch();
    let mut tasks = runtime.block_on(Tasks::create(root, Way::Waiting, &Tokio))?;
    runtime.block_on(async {
        on_loop::begin::<Tokio>(root).await;
        tasks.work::<Tokio>(root).await;
    });
    root.await_finished();
    runtime.block_on(on_loop::linger::<Tokio>(root));
    root.dismiss(|| runtime.block_on(tasks.leave()))
}
