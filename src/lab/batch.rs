//! Runs a batch: one run after the other in the order of its plan; each point is saved at once.
//!
//! A trait executes the runs, so that order, stops and failures are tested without real runs.

use std::sync::Arc;

use tokio::sync::watch;

use super::catalog::RunSpec;
use super::launcher::{LaunchError, Launcher};
use super::measure::{Batch, Host, Load, Point};
use super::run::Run;

/// Why a batch came to an end before it was complete.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// The user or the caller stopped it.
    #[error("the run was stopped")]
    Stopped,
    /// A run could not be launched.
    #[error("{0}")]
    Launch(#[from] LaunchError),
    /// A point could not be kept.
    #[error("cannot write the results: {0}")]
    Keep(#[from] std::io::Error),
}

/// Stops a batch. Clones stop the same batch.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Stop {
    /// Ends the batch and kills its run.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// The result of `work`; `None` if the batch is stopped first: then `work` is dropped.
    ///
    /// # Errors
    /// If this thread cannot wait.
    pub fn unless<T>(&self, work: impl Future<Output = T>) -> std::io::Result<Option<T>> {
        let mut stopped = self.0.subscribe();
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(runtime.block_on(async {
            tokio::select! {
                done = work => Some(done),
                _ = stopped.wait_for(|stopped| *stopped) => None,
            }
        }))
    }

    /// Whether it has been stopped.
    #[must_use]
    pub fn stopped(&self) -> bool {
        *self.0.borrow()
    }
}

/// What executes one run and waits for its end.
pub trait Executor {
    /// The run, once it has ended.
    ///
    /// # Errors
    /// If it cannot be launched, or `stop` came first: then the run has been killed.
    fn execute(&mut self, spec: &RunSpec, stop: &Stop) -> Result<Point, Halt>;
}

/// Continues with a batch until it is complete. After every run `keep` gets the batch, the new point at its end.
///
/// # Errors
/// Why it halted; what was measured until then is in `batch`.
pub fn run(
    batch: &mut Batch,
    executor: &mut impl Executor,
    stop: &Stop,
    mut keep: impl FnMut(&Batch) -> std::io::Result<()>,
) -> Result<(), Halt> {
    for (cell, repetition, warm_up) in batch.left() {
        if stop.stopped() {
            return Err(Halt::Stopped);
        }
        let point = executor.execute(&batch.plan.cells[cell].spec, stop)?;
        batch.points.push(Point { cell, repetition, warm_up, ..point });
        keep(batch)?;
    }
    Ok(())
}

/// Executes runs for real.
#[derive(Debug)]
pub struct Real<'a> {
    /// What launches them.
    pub launcher: &'a Launcher,
    /// Whether they are runs among those that a person starts, to be counted apart from these.
    pub apart: bool,
}

impl Executor for Real<'_> {
    fn execute(&mut self, spec: &RunSpec, stop: &Stop) -> Result<Point, Halt> {
        let before = CpuTimes::read();
        let id = if self.apart { self.launcher.launch_compared(spec.clone()) } else { self.launcher.launch(spec.clone()) }?;
        let mut runs = self.launcher.watch();
        let ended: Option<Option<Arc<Run>>> = stop.unless(async {
            let ended = runs.wait_for(|state| state.run(id).is_none_or(|run| run.ended())).await;
            ended.ok()?.run(id).cloned()
        })?;
        if stop.stopped() {
            self.launcher.stop(id);
            return Err(Halt::Stopped);
        }
        let run = ended
            .flatten()
            .ok_or_else(|| LaunchError::Helper("the helper ended without reporting the result of the run".into()))?;
        Ok(Point { load: CpuTimes::since(before), ..Point::of(&run) })
    }
}

/// The machine's CPU time so far, in ticks of `sysconf(_SC_CLK_TCK)` (first line of `/proc/stat`, proc_stat(5)).
#[derive(Debug, Clone, Copy)]
struct CpuTimes {
    all: u64,
    idle: u64,
}

impl CpuTimes {
    fn read() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<u64> =
            text.lines().next()?.strip_prefix("cpu ")?.split_whitespace().map_while(|n| n.parse().ok()).collect();
        // Guest time, from the ninth field on, is part of user time.
        let all = fields.iter().take(8).sum();
        Some(Self { all, idle: fields.get(3)? + fields.get(4)? })
    }

    fn since(before: Option<Self>) -> Option<Load> {
        let (before, now) = (before?, Self::read()?);
        let hertz = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten()?;
        let tick_ns = 1_000_000_000 / u64::try_from(hertz).ok().filter(|h| *h > 0)?;
        let (all, idle) = (now.all.checked_sub(before.all)?, now.idle.saturating_sub(before.idle));
        Some(Load { capacity_ns: all * tick_ns, busy_ns: all.saturating_sub(idle) * tick_ns })
    }
}

/// Reads what is known of this machine.
#[must_use]
pub fn host() -> Host {
    let uname = nix::sys::utsname::uname().ok();
    let text =
        |f: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| uname.as_ref().map(|u| f(u).to_string_lossy().into_owned());
    let field = |path: &str, name: &str| -> Option<String> {
        let text = std::fs::read_to_string(path).ok()?;
        let line = text.lines().find(|l| l.split(':').next().is_some_and(|key| key.trim() == name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let total = field("/proc/meminfo", "MemTotal");
    Host {
        kernel: text(nix::sys::utsname::UtsName::release),
        architecture: text(nix::sys::utsname::UtsName::machine),
        cpu_model: field("/proc/cpuinfo", "model name"),
        cpus: std::thread::available_parallelism().ok().map(std::num::NonZero::get),
        memory_bytes: total.and_then(|t| t.split_whitespace().next()?.parse::<u64>().ok()).map(|kb| kb * 1024),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::catalog;
    use crate::lab::measure::Plan;

    /// Notes what it is asked for, and stops or fails where the test says so.
    #[derive(Default)]
    struct Scripted {
        asked: Vec<String>,
        stop_at: Option<usize>,
        fail_at: Option<usize>,
    }

    impl Executor for Scripted {
        fn execute(&mut self, spec: &RunSpec, stop: &Stop) -> Result<Point, Halt> {
            self.asked.push(spec.system.clone());
            if self.stop_at == Some(self.asked.len()) {
                stop.stop();
                return Err(Halt::Stopped);
            }
            if self.fail_at == Some(self.asked.len()) {
                return Err(LaunchError::TooLarge("no room".into()).into());
            }
            Ok(Point { wall_ns: Some(self.asked.len() as u64), ..Point::default() })
        }
    }

    fn batch() -> Batch {
        let specs = ["native/fork", "native/spawn"].map(|id| catalog::find(id).unwrap().defaults());
        Batch::new(Plan::new(specs.to_vec(), 3, 5), Host::default())
    }

    #[test]
    fn every_point_is_kept_as_soon_as_it_is_there() {
        let (mut batch, mut kept) = (batch(), Vec::new());
        run(&mut batch, &mut Scripted::default(), &Stop::default(), |b| {
            kept.push(b.points.len());
            Ok(())
        })
        .unwrap();
        assert!(batch.complete());
        assert_eq!(kept, (1..=batch.points.len()).collect::<Vec<_>>());
        let order: Vec<_> = batch.points.iter().map(|p| (p.cell, p.repetition, p.warm_up)).collect();
        assert_eq!(order, batch.plan.order());
    }

    #[test]
    fn a_batch_that_was_stopped_goes_on_where_it_was() {
        let mut batch = batch();
        let stop = Stop::default();
        let halted = run(&mut batch, &mut Scripted { stop_at: Some(5), ..Scripted::default() }, &stop, |_| Ok(()));
        assert!(matches!(halted, Err(Halt::Stopped)));
        assert_eq!(batch.points.len(), 4, "the run that was stopped is not measured");
        assert!(matches!(run(&mut batch, &mut Scripted::default(), &stop, |_| Ok(())), Err(Halt::Stopped)));
        let mut rest = Scripted::default();
        run(&mut batch, &mut rest, &Stop::default(), |_| Ok(())).unwrap();
        assert_eq!(rest.asked.len(), batch.plan.order().len() - 4);
        assert!(batch.complete());
    }

    #[test]
    fn what_cannot_be_launched_or_kept_ends_it_and_says_why() {
        let refused = run(&mut batch(), &mut Scripted { fail_at: Some(1), ..Scripted::default() }, &Stop::default(), |_| Ok(()));
        assert_eq!(refused.unwrap_err().to_string(), "no room");
        let full = run(&mut batch(), &mut Scripted::default(), &Stop::default(), |_| Err(std::io::Error::other("disk full")));
        assert!(full.unwrap_err().to_string().contains("disk full"));
    }

    #[test]
    fn the_machines_cpu_time_is_read_from_its_first_line() {
        let times = CpuTimes::parse("cpu  10 1 5 80 4 0 2 1 7 7\ncpu0 1 1 1 1\n").unwrap();
        assert_eq!((times.all, times.idle), (103, 84));
        assert!(CpuTimes::parse("nothing").is_none());
    }
}
