//! A batch of runs: its plan and its points, in the document that is saved, resumed and reported from.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::point::Point;
use crate::lab::catalog::{self, Backend, RunSpec};

/// Schema of [`Batch`] as JSON; a change that readers of the old one would misread gets the next number.
pub const SCHEMA: &str = "concmon.lab.batch/1";

/// Most kinds of runs of a batch: more than a user reads, and few enough that each can be compared with every other.
pub const MOST_CELLS: usize = 1_000;
/// Most rounds of a batch, measured or to warm up.
pub const MOST_ROUNDS: u32 = 1_000;
/// Most runs of a batch in all.
pub const MOST_RUNS: usize = 100_000;

/// One kind of run of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// What runs.
    pub spec: RunSpec,
    /// The cell that does the same work in one thread, which speed-up is measured against; `None` if there is none.
    pub baseline: Option<usize>,
    /// Whether it was asked for, rather than added as a baseline.
    pub asked: bool,
}

/// What a batch is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Kinds of runs.
    pub cells: Vec<Cell>,
    /// How often each is measured.
    pub repetitions: u32,
    /// How often each runs before anything is measured.
    pub warm_up: u32,
    /// Seed of the order.
    pub seed: u64,
    /// Which sizes of the task were found for lengths that were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lengths: Vec<Length>,
    /// The command that runs, with its placeholders; `None` for systems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// A size of the task that takes one thread about as long as was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Length {
    /// The size.
    pub task_size: u32,
    /// What was asked for, microseconds.
    pub asked_us: u64,
}

impl Length {
    /// The size that was found for so many milliseconds.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "lengths are milliseconds to minutes")]
    pub fn new(task_size: u32, ms: f64) -> Self {
        Self { task_size, asked_us: (ms * 1e3).round().max(0.0) as u64 }
    }
}

impl Plan {
    /// How long a unit of work of `spec` was asked to take, milliseconds; `None` where its size was asked for.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "lengths are milliseconds to minutes")]
    pub fn asked_ms(&self, spec: &RunSpec) -> Option<f64> {
        let length = self.lengths.iter().find(|l| Some(l.task_size) == spec.task_size)?;
        Some(length.asked_us as f64 / 1e3)
    }

    /// The runs asked for, each once, with the sequential runs that they are compared with.
    #[must_use]
    pub fn new(specs: Vec<RunSpec>, repetitions: u32, seed: u64) -> Self {
        let mut cells: Vec<Cell> = Vec::new();
        for spec in specs {
            if !cells.iter().any(|c| c.spec == spec) {
                cells.push(Cell { spec, baseline: None, asked: true });
            }
        }
        for at in 0..cells.len() {
            let Some(wanted) = baseline_of(&cells[at].spec) else { continue };
            let same = |c: &Cell| c.spec.system == wanted.system && RunSpec { parent_mb: 0, ..c.spec.clone() } == wanted;
            let found = cells.iter().position(same);
            cells[at].baseline = Some(found.unwrap_or(cells.len()));
            if found.is_none() {
                cells.push(Cell { spec: wanted, baseline: Some(cells.len()), asked: false });
            }
        }
        Self { cells, repetitions, warm_up: 1, seed, lengths: Vec::new(), command: None }
    }

    /// Whether it is one that can be worked with.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if self.cells.len() > MOST_CELLS {
            return Err(format!("{} different runs exceed the maximum of {MOST_CELLS}", self.cells.len()));
        }
        if self.lengths.len() > MOST_CELLS {
            return Err(format!("{} lengths exceed the maximum of {MOST_CELLS}", self.lengths.len()));
        }
        if self.repetitions > MOST_ROUNDS || self.warm_up > MOST_ROUNDS {
            return Err(format!("there are more than {MOST_ROUNDS} rounds"));
        }
        if self.runs() > MOST_RUNS {
            return Err(format!("{} runs exceed the maximum of {MOST_RUNS}", self.runs()));
        }
        if self.cells.iter().filter_map(|c| c.baseline).any(|b| b >= self.cells.len()) {
            return Err("a baseline is not among the runs".into());
        }
        Ok(())
    }

    /// How many runs that are in all.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.cells.len().saturating_mul(self.repetitions as usize + self.warm_up as usize)
    }

    /// Every run in the order in which it takes place: cell, repetition, warm-up or not. Each round runs every cell once, in a new random
    /// order, so that a machine that becomes busy, hot or fragmented disturbs all alike.
    #[must_use]
    pub fn order(&self) -> Vec<(usize, u32, bool)> {
        let rounds = (0..self.warm_up).map(|r| (r, true)).chain((0..self.repetitions).map(|r| (r, false)));
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut order = Vec::new();
        for (repetition, warm_up) in rounds {
            let mut cells: Vec<usize> = (0..self.cells.len()).collect();
            random.shuffle(&mut cells);
            order.extend(cells.into_iter().map(|cell| (cell, repetition, warm_up)));
        }
        order
    }
}

/// The same work in one thread of the same language; `None` for systems whose work is their own.
#[must_use]
pub fn baseline_of(spec: &RunSpec) -> Option<RunSpec> {
    let system = catalog::find(&spec.system)?;
    let name = match system.backend {
        Backend::Native => "native/sequential",
        Backend::Python => "python/sequential",
        Backend::Own => return None,
    };
    let sequential = catalog::find(name)?;
    let does_the_same = system.params.tasks.is_some() && spec.tasks > 0 && sequential.tasks.contains(&spec.task);
    does_the_same.then(|| RunSpec {
        task: spec.task,
        task_size: spec.task_size,
        tasks: spec.tasks,
        seed: spec.seed,
        timeout_ms: spec.timeout_ms,
        python: spec.python.clone(),
        ..sequential.defaults()
    })
}

/// The machine that a batch ran on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Host {
    /// Kernel release.
    pub kernel: Option<String>,
    /// Machine architecture.
    pub architecture: Option<String>,
    /// Model of its CPUs (`/proc/cpuinfo`).
    pub cpu_model: Option<String>,
    /// CPUs that this process may use (sched_getaffinity(2) and the control group's quota).
    pub cpus: Option<usize>,
    /// Memory of the machine, bytes.
    pub memory_bytes: Option<u64>,
}

/// A batch: what was to be done, and every point so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// [`SCHEMA`].
    pub schema: String,
    /// Version of concmon.
    pub concmon: String,
    /// Where it ran.
    pub host: Host,
    /// What was to be done.
    pub plan: Plan,
    /// One per run, in the order in which they ran; warm-ups and failures included.
    pub points: Vec<Point>,
}

impl Batch {
    /// One in which nothing has run yet.
    #[must_use]
    pub fn new(plan: Plan, host: Host) -> Self {
        Self { schema: SCHEMA.into(), concmon: env!("CARGO_PKG_VERSION").into(), host, plan, points: Vec::new() }
    }

    /// The runs that are still to take place.
    #[must_use]
    pub fn left(&self) -> Vec<(usize, u32, bool)> {
        let ran: HashSet<_> = self.points.iter().map(|p| (p.cell, p.repetition, p.warm_up)).collect();
        self.plan.order().into_iter().filter(|run| !ran.contains(run)).collect()
    }

    /// Whether it is consistent, as one that another program has written may not be: each point is a run of the plan, once, and the plan is
    /// no larger than a batch may be, so that working with it takes time and memory in proportion to its file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if self.schema != SCHEMA {
            return Err(format!("its batch has schema {:?}, not {SCHEMA}", self.schema));
        }
        self.plan.check()?;
        let mut ran = HashSet::new();
        for point in &self.points {
            let rounds = if point.warm_up { self.plan.warm_up } else { self.plan.repetitions };
            if point.cell >= self.plan.cells.len() || point.repetition >= rounds {
                return Err("one of its points belongs to no run of its plan".into());
            }
            if !ran.insert((point.cell, point.repetition, point.warm_up)) {
                return Err("two of its points belong to the same run".into());
            }
        }
        Ok(())
    }

    /// The points of a cell that count.
    pub fn of(&self, cell: usize) -> impl Iterator<Item = &Point> {
        self.points.iter().filter(move |p| p.cell == cell && p.counts())
    }

    /// Whether every run has taken place.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.left().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(system: &str) -> RunSpec {
        catalog::find(system).unwrap().defaults()
    }

    #[test]
    fn every_round_runs_every_cell_once_in_an_order_that_the_seed_decides() {
        let systems = ["native/fork", "native/spawn", "native/forkserver", "native/thread", "native/exec"];
        let plan = |seed| Plan::new(systems.map(spec).to_vec(), 20, seed);
        let order = plan(7).order();
        assert_eq!(order, plan(7).order(), "the same seed, the same order");
        assert_ne!(order, plan(8).order());
        let cells = plan(7).cells.len();
        let mut firsts = std::collections::HashSet::new();
        for round in order.chunks(cells) {
            let mut seen: Vec<usize> = round.iter().map(|r| r.0).collect();
            firsts.insert(seen[0]);
            assert!(round.iter().all(|r| (r.1, r.2) == (round[0].1, round[0].2)), "rounds do not mix: {round:?}");
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..cells));
        }
        assert_eq!(firsts.len(), cells, "in 21 rounds everybody is first once");
        assert_eq!(order.iter().filter(|r| r.2).count(), cells, "one round warms up");
    }

    #[test]
    fn the_baseline_does_the_same_work_and_is_there_once() {
        let big = RunSpec { parent_mb: 200, workers: 2, ..spec("native/fork") };
        let plan = Plan::new(vec![spec("native/fork"), big, spec("native/fork"), spec("native/states")], 1, 1);
        let added: Vec<&Cell> = plan.cells.iter().filter(|c| !c.asked).collect();
        assert_eq!((plan.cells.len(), added.len()), (4, 1), "{:?}", plan.cells);
        assert_eq!((added[0].spec.system.as_str(), added[0].spec.tasks), ("native/sequential", 10));
        assert_eq!(plan.cells.iter().map(|c| c.baseline).collect::<Vec<_>>(), [Some(3), Some(3), None, Some(3)]);
        let own = Plan::new(vec![spec("native/fork"), spec("native/sequential")], 1, 1);
        assert!(own.cells.iter().all(|c| c.asked && c.baseline == Some(1)));
    }

    #[test]
    fn a_batch_that_does_not_hang_together_is_told_from_one_that_does() {
        let mut good = Batch::new(Plan::new(vec![spec("native/fork"), spec("native/spawn")], 2, 3), Host::default());
        good.points = good
            .plan
            .order()
            .into_iter()
            .map(|(cell, repetition, warm_up)| Point { cell, repetition, warm_up, ..Point::default() })
            .collect();
        assert_eq!(good.check(), Ok(()));
        let broken = |change: fn(&mut Batch)| {
            let mut batch = good.clone();
            change(&mut batch);
            batch.check().unwrap_err()
        };
        assert!(broken(|b| b.schema = "theirs".into()).contains("theirs"));
        assert!(broken(|b| b.plan.repetitions = u32::MAX).contains("more than 1000 rounds"));
        assert!(broken(|b| b.plan.cells = vec![b.plan.cells[0].clone(); 1_001]).contains("1001 different runs"));
        assert!(
            broken(|b| (b.plan.repetitions, b.plan.cells) = (1_000, vec![b.plan.cells[0].clone(); 500])).contains("500500 runs")
        );
        assert!(broken(|b| b.plan.cells[1].baseline = Some(3)).contains("baseline"));
        assert!(broken(|b| b.points[4].cell = 3).contains("no run of its plan"));
        assert!(broken(|b| b.points[8].repetition = 2).contains("no run of its plan"));
        assert!(broken(|b| b.points[8] = b.points[7].clone()).contains("same run"));
    }

    #[test]
    fn what_has_run_does_not_run_again() {
        let plan = Plan::new(vec![spec("native/fork"), spec("native/spawn")], 2, 3);
        let mut batch = Batch::new(plan, Host::default());
        let all = batch.plan.order();
        for (cell, repetition, warm_up) in &all[..4] {
            batch.points.push(Point { cell: *cell, repetition: *repetition, warm_up: *warm_up, ..Point::default() });
        }
        let text = serde_json::to_string(&batch).unwrap();
        let again: Batch = serde_json::from_str(&text).unwrap();
        assert_eq!(again, batch);
        assert_eq!(again.left(), all[4..]);
    }
}
