//! The claims of the talk, measured: each is one entry in [`CLAIMS`], judged from real runs.
//!
//! A claim compares one or two measures of runs as a ratio, because machines differ in speed and agree in ratios. Its rounds are
//! interleaved: every round runs all sides of the claim once, so that a busy machine disturbs all sides alike. To add a
//! claim: one entry in `claims.rs`.

mod claims;
mod paper;
#[cfg(test)]
mod tests;

pub use claims::CLAIMS;
pub use paper::{csv, page, said, summary_line};

use serde::{Deserialize, Serialize};

use super::catalog::{self, RunSpec};
use super::measure;
use super::run::{Outcome, Run, RunPhase, Summary};

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
    pub fn spec(&self) -> Option<RunSpec> {
        let mut spec = catalog::find(self.system)?.defaults();
        (self.with)(&mut spec);
        Some(spec)
    }
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
    /// One arm: its measure is the figure. Two: the second's through the first's.
    pub arms: &'static [Arm],
    /// The figure at which the claim holds, at least and at most.
    pub holds: (f64, f64),
}

impl Claim {
    /// Whether it is about how something appears, so that its figure is a yes or no.
    #[must_use]
    pub fn is_about_looks(&self) -> bool {
        matches!(self.arms, [arm] if arm.measure == Measure::Shape)
    }

    /// The runs of one round: what two arms have in common runs once.
    #[must_use]
    pub fn specs(&self) -> Vec<RunSpec> {
        let mut specs: Vec<RunSpec> = Vec::new();
        for spec in self.arms.iter().filter_map(Arm::spec) {
            if !specs.contains(&spec) {
                specs.push(spec);
            }
        }
        specs
    }

    /// The run of a round that `arm` reads: the runs are in the order of [`Claim::specs`].
    fn run_of<'a>(&self, arm: &Arm, runs: &[&'a Run]) -> Option<&'a Run> {
        let spec = arm.spec()?;
        let at = self.specs().iter().position(|s| *s == spec)?;
        runs.get(at).copied()
    }

    /// What a round's runs, in the order of [`Claim::specs`], give for each arm.
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
            [base, other] if *base > 0.0 => other / base,
            _ => return None,
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
        }
    }
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "why", rename_all = "snake_case")]
pub enum Verdict {
    /// The figure made here is where the claim holds.
    Reproduces,
    /// It is not.
    DoesNot,
    /// It is not, and others had the machine each time it was measured: that may be why. What they used.
    MachineBusy(String),
    /// What it needs is not on this machine; why, and the remedy.
    NotAvailable(String),
    /// It could be tried and went wrong; why.
    Failed(String),
}

impl Verdict {
    /// As a table says it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Reproduces => "reproduces",
            Self::DoesNot => "does not",
            Self::MachineBusy(_) => "machine busy",
            Self::NotAvailable(_) => "not available",
            Self::Failed(_) => "failed",
        }
    }
}

/// What one arm gave, round by round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmPoints {
    /// [`Arm::label`].
    pub label: String,
    /// [`Arm::system`].
    pub system: String,
    /// The interpreter that ran it, for Python systems.
    pub python: Option<String>,
    /// What its root is written in, as it says itself: `native`, or the interpreter with its version.
    #[serde(default)]
    pub lang: Option<String>,
    /// What was asked for: every parameter, the seed among them. `None` in documents of versions that did not keep it.
    #[serde(default)]
    pub spec: Option<RunSpec>,
    /// Nanoseconds, bytes or a plain number, as the measure is.
    pub points: Vec<f64>,
}

/// A claim with what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// [`Claim::id`].
    pub claim: String,
    /// What came of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The figures of the rounds, in [`Claim::unit`].
    pub figures: Vec<f64>,
    /// Their spread.
    pub summary: Option<Summary>,
    /// The raw points behind them.
    pub arms: Vec<ArmPoints>,
    /// Share of all CPU time that other programs used meanwhile, 0 to 1; `None` if it took too short to tell.
    #[serde(default)]
    pub others: Option<f64>,
}

/// Above this share of the CPUs others may have decided what came out.
pub const BUSY: f64 = 0.15;

impl Finding {
    /// A claim that could not be tried.
    #[must_use]
    pub fn without(claim: &Claim, verdict: Verdict) -> Self {
        Self { claim: claim.id.to_owned(), verdict, figures: Vec::new(), summary: None, arms: Vec::new(), others: None }
    }

    /// Whether it contradicts its claim while others used more than [`BUSY`] of the CPUs, so that it is to be measured again.
    #[must_use]
    pub fn may_be_the_machine(&self) -> bool {
        self.verdict == Verdict::DoesNot && self.others.is_some_and(|share| share > BUSY)
    }

    /// The entry of [`CLAIMS`] that it belongs to; `None` if it was written by a version with other claims.
    #[must_use]
    pub fn entry(&self) -> Option<&'static Claim> {
        CLAIMS.iter().find(|c| c.id == self.claim)
    }
}

/// What stands of a claim that was measured `again` since the machine may have decided the `first` time. The second time counts; if it
/// contradicts the claim too, and others had the machine too, nobody knows.
#[must_use]
pub fn after_two(first: &Finding, again: Finding) -> Finding {
    if !again.may_be_the_machine() {
        return again;
    }
    let percent = |finding: &Finding| finding.others.unwrap_or_default() * 100.0;
    let why = format!("other processes used {:.0}% of the CPUs, and {:.0}% during the repeat", percent(first), percent(&again));
    Finding { verdict: Verdict::MachineBusy(why), ..again }
}

/// Judges a claim by its rounds: the runs of each, in the order of [`Claim::specs`].
#[must_use]
pub fn judge(claim: &Claim, rounds: &[Vec<&Run>]) -> Finding {
    let mut arms: Vec<ArmPoints> = claim
        .arms
        .iter()
        .map(|a| ArmPoints {
            label: a.label.into(),
            system: a.system.into(),
            python: None,
            lang: None,
            spec: None,
            points: Vec::new(),
        })
        .collect();
    let mut figures = Vec::new();
    for runs in rounds {
        let points = match claim.points(runs) {
            Ok(points) => points,
            Err(why) => return Finding { arms, ..Finding::without(claim, Verdict::Failed(why)) },
        };
        figures.extend(claim.figure_of(&points));
        for ((arm, measured), point) in claim.arms.iter().zip(&mut arms).zip(points) {
            measured.points.push(point);
            let Some(run) = claim.run_of(arm, runs) else { continue };
            measured.python = run.spec.python.as_ref().map(|p| p.display().to_string());
            measured.lang.clone_from(&run.lang);
            measured.spec = Some(run.spec.clone());
        }
    }
    let summary = measure::summary(&figures);
    let verdict = match summary {
        None => Verdict::Failed("no ratio: the first value was 0".into()),
        Some(s) if s.median >= claim.holds.0 && s.median <= claim.holds.1 => Verdict::Reproduces,
        Some(_) => Verdict::DoesNot,
    };
    Finding { claim: claim.id.to_owned(), verdict, figures, summary, arms, others: None }
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
    /// Rounds of each claim.
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

    /// Whether it hangs together, as one that somebody else has written may not: each claim is there once.
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
