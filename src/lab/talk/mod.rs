//! The claims of the talk, measured: each is one entry in [`CLAIMS`], judged from real runs.
//!
//! Most claims compare measures of runs as a ratio, because machines differ in speed and agree in ratios. Rounds are interleaved: every
//! round runs all sides of the claim once, so that a busy machine disturbs all sides alike. The interval of the figure's median decides,
//! see [`judge`]. To add a claim: one entry in `claims/`, and its name in [`TOPICS`].

mod claims;
mod judge;
mod paper;
#[cfg(test)]
mod tests;
mod topics;

pub use claims::CLAIMS;
pub use judge::{ArmPoints, BUSY, Finding, Interval, Verdict, after_two, judge};
pub use paper::{csv, page, said, summary_line};
pub use topics::{TOPICS, Topic};

use serde::{Deserialize, Serialize};

use super::catalog::{self, RunSpec};
use super::run::{Outcome, Run, RunPhase, Worker};

/// Schema of [`Talk`] as JSON.
pub const SCHEMA: &str = "concmon.lab.talk/1";

/// What is read off a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// From the first request to the end of the work, nanoseconds.
    Wall,
    /// Median creation latency of its workers, nanoseconds.
    Creation,
    /// CPU time of the root and all its descendants from their start on, user and system, nanoseconds.
    Cpu,
    /// A number that the system reports, by its name.
    Value(&'static str),
    /// 1 if the kernel showed the run as the catalogue expects it, else 0.
    Shape,
    /// 1 if the end of every worker was seen and nothing of a worker came after it, else 0.
    EndsLast,
}

/// One side of a claim.
#[derive(Debug, Clone, Copy)]
pub struct Arm {
    /// What it is called in tables.
    pub label: &'static str,
    /// The system that runs.
    pub system: &'static str,
    /// What is asked of it beside its defaults.
    pub with: fn(&mut RunSpec),
    /// What is read off it.
    pub measure: Measure,
    /// Whether the interpreter must have the GIL or must not; `None` takes the one that the system runs on by default.
    pub gil: Option<bool>,
}

impl Arm {
    /// The run that it needs; `None` if the catalogue has no such system.
    #[must_use]
    pub fn side(&self) -> Option<Side> {
        let mut spec = catalog::find(self.system)?.defaults();
        (self.with)(&mut spec);
        Some(Side { spec, gil: self.gil })
    }
}

/// One run of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// What runs.
    pub spec: RunSpec,
    /// [`Arm::gil`].
    pub gil: Option<bool>,
}

/// One claim of the talk.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// Unique name.
    pub id: &'static str,
    /// Its place in the talk, from 1.
    pub part: u8,
    /// What is claimed, one sentence.
    pub statement: &'static str,
    /// What the talk says, with its numbers; empty where it gives none.
    pub talk: &'static str,
    /// The talk's own figure, comparable with the one made here.
    pub talk_figure: Option<f64>,
    /// How the figure is made, in words.
    pub figure: &'static str,
    /// Unit of the figure; "x" for a ratio.
    pub unit: &'static str,
    /// What the measure is multiplied with to be in [`Claim::unit`].
    pub scale: f64,
    /// One arm: its measure is the figure. More: the last one's through the largest of the others.
    pub arms: &'static [Arm],
    /// The figure at which the claim holds, at least and at most: near the talk's number, or what its words say.
    pub holds: (f64, f64),
    /// A figure that a machine would give on which the claim is wrong. It lies outside of `holds`.
    pub wrong: f64,
    /// Whether the figure is a gain from several CPUs: where other programs use them there is no gain, even if the claim is true.
    pub speed_up: bool,
}

impl Claim {
    /// Whether it is about how something appears, so that its figure is a yes or no.
    #[must_use]
    pub fn is_about_looks(&self) -> bool {
        matches!(self.arms, [arm] if arm.measure == Measure::Shape)
    }

    /// Whether it holds at `figure`.
    #[must_use]
    pub fn holds_at(&self, figure: f64) -> bool {
        figure >= self.holds.0 && figure <= self.holds.1
    }

    /// The runs of one round: what several arms have in common runs once.
    #[must_use]
    pub fn sides(&self) -> Vec<Side> {
        let mut sides: Vec<Side> = Vec::new();
        for side in self.arms.iter().filter_map(Arm::side) {
            if !sides.contains(&side) {
                sides.push(side);
            }
        }
        sides
    }

    /// The run of a round that `arm` reads: the runs are in the order of [`Claim::sides`].
    fn run_of<'a>(&self, arm: &Arm, runs: &[&'a Run]) -> Option<&'a Run> {
        let side = arm.side()?;
        let at = self.sides().iter().position(|s| *s == side)?;
        runs.get(at).copied()
    }

    /// What a round's runs, in the order of [`Claim::sides`], give for each arm.
    ///
    /// # Errors
    /// Why one of them gives nothing, in one sentence.
    pub fn points(&self, runs: &[&Run]) -> Result<Vec<f64>, String> {
        let of = |arm: &Arm| {
            let run = self.run_of(arm, runs).ok_or_else(|| format!("{} did not run", arm.system))?;
            arm.measure.of(run)
        };
        self.arms.iter().map(of).collect()
    }

    /// The figure of a round.
    #[must_use]
    fn figure_of(&self, points: &[f64]) -> Option<f64> {
        let figure = match points {
            [one] => *one,
            [others @ .., last] => {
                let base = others.iter().copied().fold(0.0, f64::max);
                (base > 0.0).then_some(last / base)?
            }
            [] => return None,
        };
        Some(figure * self.scale)
    }
}

impl Measure {
    /// Its value in a run.
    ///
    /// # Errors
    /// Why the run has none, in one sentence.
    #[expect(clippy::cast_precision_loss, reason = "2^53 ns are 104 days, 2^53 bytes 8 PB")]
    pub fn of(self, run: &Run) -> Result<f64, String> {
        let system = &run.spec.system;
        match &run.phase {
            RunPhase::Ended(Outcome::Done) => {}
            RunPhase::Ended(Outcome::Failed(why)) => return Err(format!("{system} failed: {why}")),
            RunPhase::Ended(Outcome::TimedOut) => return Err(format!("{system} timed out")),
            _ => return Err(format!("{system} was stopped")),
        }
        match self {
            Self::Wall => run.costs.wall_ns.map(|ns| ns as f64).ok_or_else(|| format!("{system} reported no duration")),
            // Importing a library is a part of what it costs.
            Self::Cpu => run.costs.charged_cpu_ns().map(|ns| ns as f64).ok_or_else(|| format!("{system} has no CPU time")),
            Self::Creation => run.costs.creation_ns.map(|c| c.median).ok_or_else(|| format!("{system} created nothing")),
            Self::Value(name) => run
                .values
                .iter()
                .find(|v| v.name == name)
                .and_then(|v| v.number)
                .map(|n| n as f64)
                .ok_or_else(|| format!("{system} did not report {name}")),
            Self::Shape if run.shape.is_empty() => Err(format!("{system} ended before its processes could be sampled")),
            Self::Shape => Ok(f64::from(u8::from(run.shape.iter().all(|check| check.met)))),
            Self::EndsLast if run.workers.is_empty() => Err(format!("{system} created nothing")),
            Self::EndsLast => Ok(f64::from(u8::from(run.workers.iter().all(ends_last)))),
        }
    }
}

/// Whether the end of a worker was seen, with its status, and is the last that was seen of it.
fn ends_last(worker: &Worker) -> bool {
    let work = worker.spans.iter().flat_map(|span| [Some(span.start_ns), span.end_ns]).flatten();
    let last = work.chain(worker.ready_ns).max();
    worker.status.is_some() && worker.exited_ns.is_some() && worker.exited_ns >= last
}

/// Everything that one `concmon lab talk` has measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Talk {
    /// [`SCHEMA`].
    pub schema: String,
    /// Version of concmon.
    pub concmon: String,
    /// Kernel, architecture, CPUs, memory.
    pub machine: serde_json::Value,
    /// Rounds of each claim, at least.
    pub repeat: u32,
    /// What was found, in the talk's order.
    pub findings: Vec<Finding>,
}

impl Talk {
    /// The finding of a claim, if it has been tried.
    #[must_use]
    pub fn finding(&self, claim: &str) -> Option<&Finding> {
        self.findings.iter().find(|f| f.claim == claim)
    }

    /// Whether it is consistent, as one that another program has written may not be: each claim is there once.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let mut seen = std::collections::HashSet::new();
        match self.findings.iter().find(|f| !seen.insert(&f.claim)) {
            Some(twice) => Err(format!("the claim {:?} occurs twice", twice.claim)),
            None => Ok(()),
        }
    }

    /// Adds a finding at its place in the talk.
    pub fn add(&mut self, finding: Finding) {
        self.findings.retain(|f| f.claim != finding.claim);
        self.findings.push(finding);
        self.findings.sort_by_key(|f| CLAIMS.iter().position(|c| c.id == f.claim));
    }
}
