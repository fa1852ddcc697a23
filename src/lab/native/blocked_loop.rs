//! An event loop whose tasks make a blocking call each, and a clock on the same loop that should tick every 10 ms; the cured one moves
//! the calls to threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::error::{RootError, failed};
use super::event_loop::{Tasks, Way};
use super::on_loop::{self, Tokio};
use super::root::Root;

/// How often the clock should tick.
const TICK: Duration = Duration::from_millis(10);

/// How the clock has gone.
#[derive(Default)]
struct Clock {
    ticks: AtomicU64,
    largest_lateness_ns: AtomicU64,
}

impl Clock {
    /// Ticks until its task is aborted.
    async fn run(self: Arc<Self>) {
        loop {
            let due = Instant::now() + TICK;
            sleep_until(due).await;
            let late = u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.largest_lateness_ns.fetch_max(late, Ordering::Relaxed);
            self.ticks.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Forgets what has been.
    fn reset(&self) {
        self.ticks.store(0, Ordering::Relaxed);
        self.largest_lateness_ns.store(0, Ordering::Relaxed);
    }
}

/// The tasks block the loop.
pub fn run_blocked(root: &mut Root) -> Result<(), RootError> {
    run(root, Way::Blocking)
}

/// The tasks hand their calls over.
pub fn run_cured(root: &mut Root) -> Result<(), RootError> {
    run(root, Way::Handed)
}

fn run(root: &mut Root, way: Way) -> Result<(), RootError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(root.spec.workers.max(1) as usize)
        .thread_name("tokio-blocking")
        .build()
        .map_err(failed("building the event loop"))?;
    root.launch();
    let mut tasks = runtime.block_on(Tasks::create(root, way, &Tokio))?;
    let clock = Arc::new(Clock::default());
    runtime.block_on(async {
        let ticking = tokio::spawn(Arc::clone(&clock).run());
        // It is on time before there is work.
        sleep(TICK * 3).await;
        root.phase("steady");
        root.release();
        clock.reset();
        tasks.work::<Tokio>(root).await;
        // One more tick, so that the lateness of the last blocking call is seen.
        sleep(TICK * 2).await;
        ticking.abort();
        root.value_ns("largest_lateness_of_a_10_ms_tick_ns", clock.largest_lateness_ns.load(Ordering::Relaxed));
        root.value("ticks", clock.ticks.load(Ordering::Relaxed));
        // The threads that were handed the calls exist from the first call on.
        on_loop::hold_still::<Tokio>(root).await;
        on_loop::linger::<Tokio>(root).await;
    });
    root.dismiss(|| runtime.block_on(tasks.leave()))
}
