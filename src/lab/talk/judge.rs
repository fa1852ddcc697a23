//! Verdicts: what the rounds of a claim say, and when they say nothing.

use serde::{Deserialize, Serialize};

use super::{CLAIMS, Claim};
use crate::lab::catalog::RunSpec;
use crate::lab::measure::{self, Spread};
use crate::lab::run::{Run, Summary};

/// How the trial of a claim ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "why", rename_all = "snake_case")]
pub enum Verdict {
    /// The whole interval of the figure is where the claim holds.
    Reproduces,
    /// The whole interval is where it does not.
    DoesNot,
    /// Some of the interval is on either side, or other programs used the CPUs; which, in one sentence.
    #[serde(alias = "machine_busy")]
    Undecided(String),
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
            Self::Undecided(_) => "undecided",
            Self::NotAvailable(_) => "not available",
            Self::Failed(_) => "failed",
        }
    }

    /// Its reason; `None` where the figure is the reason.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Reproduces | Self::DoesNot => None,
            Self::Undecided(why) | Self::NotAvailable(why) | Self::Failed(why) => Some(why),
        }
    }
}

/// Where the median of a figure lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// At least.
    pub low: f64,
    /// At most.
    pub high: f64,
    /// Probability that the interval holds the median, 0 to 1. From 6 rounds on it is at least 0.95.
    pub confidence: f64,
}

impl Interval {
    /// Of these figures: the narrowest pair of order statistics with at least 95%, or all of them where they are too few for that. The
    /// median is outside of all only if all lie on one side of it: twice one half to the power of their number.
    #[must_use]
    pub fn of(figures: &[f64]) -> Option<Self> {
        let spread = Spread::of(figures)?;
        let rounds = i32::try_from(figures.len()).unwrap_or(i32::MAX);
        Some(match spread.median_between {
            Some((low, high)) => Self { low, high, confidence: 0.95 },
            None => Self { low: spread.min, high: spread.max, confidence: 1.0 - 0.5_f64.powi(rounds - 1) },
        })
    }
}

/// What one arm gave, round by round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmPoints {
    /// [`super::Arm::label`].
    pub label: String,
    /// [`super::Arm::system`].
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
    /// Where their median lies, which decides; `None` in documents of versions that judged by the median.
    #[serde(default)]
    pub interval: Option<Interval>,
    /// The raw points behind them.
    pub arms: Vec<ArmPoints>,
    /// Share of all CPU time that other programs used meanwhile, 0 to 1; `None` if it took too short to tell.
    #[serde(default)]
    pub others: Option<f64>,
}

/// Above this share of the CPUs others may have decided the result.
pub const BUSY: f64 = 0.15;

impl Finding {
    /// A claim that could not be tried.
    #[must_use]
    pub fn without(claim: &Claim, verdict: Verdict) -> Self {
        Self {
            claim: claim.id.to_owned(),
            verdict,
            figures: Vec::new(),
            summary: None,
            interval: None,
            arms: Vec::new(),
            others: None,
        }
    }

    /// Whether more rounds may decide it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.verdict, Verdict::Undecided(_))
    }

    /// Whether others used more than [`BUSY`] of the CPUs and may have decided the result: it contradicts the claim, or is a gain from
    /// several CPUs.
    #[must_use]
    pub fn may_be_the_machine(&self) -> bool {
        let judged = match self.verdict {
            Verdict::DoesNot => true,
            Verdict::Reproduces => self.entry().is_some_and(|claim| claim.speed_up),
            _ => false,
        };
        judged && self.others.is_some_and(|share| share > BUSY)
    }

    /// The entry of [`CLAIMS`] that it belongs to; `None` if it was written by a version with other claims.
    #[must_use]
    pub fn entry(&self) -> Option<&'static Claim> {
        CLAIMS.iter().find(|c| c.id == self.claim)
    }
}

/// The result of a claim that was measured `again` because the machine may have decided the `first` time. The second time counts; if
/// others had the machine then too, it is undecided.
#[must_use]
pub fn after_two(first: &Finding, again: Finding) -> Finding {
    if !again.may_be_the_machine() {
        return again;
    }
    let percent = |finding: &Finding| finding.others.unwrap_or_default() * 100.0;
    let why = format!("other processes used {:.0}% of the CPUs, and {:.0}% during the repeat", percent(first), percent(&again));
    Finding { verdict: Verdict::Undecided(why), ..again }
}

/// Judges a claim by its rounds: the runs of each, in the order of [`Claim::sides`]. The interval of the median decides: all of it on one
/// side of the bounds, or it is undecided.
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
    let (summary, interval) = (measure::summary(&figures), Interval::of(&figures));
    let verdict =
        interval.map_or_else(|| Verdict::Failed("no ratio: the first value was 0".into()), |i| verdict(claim, i, figures.len()));
    Finding { claim: claim.id.to_owned(), verdict, figures, summary, interval, arms, others: None }
}

fn verdict(claim: &Claim, interval: Interval, rounds: usize) -> Verdict {
    let (low, high) = claim.holds;
    if interval.low >= low && interval.high <= high {
        Verdict::Reproduces
    } else if interval.high < low || interval.low > high {
        Verdict::DoesNot
    } else {
        Verdict::Undecided(format!("{rounds} rounds gave figures on both sides of the bound"))
    }
}
