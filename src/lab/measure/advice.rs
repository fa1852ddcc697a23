//! Warnings about the reliability of a measurement, in plain words.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::batch::Batch;
use super::point::Point;
use super::stats::Spread;

/// Other programs may use this part of the machine without advice.
const OTHERS_MOST: f64 = 0.15;
/// Waiting for CPUs that is this part of the CPU time used, where there are CPUs enough, is contention with others.
const WAIT_MOST: f64 = 0.10;
/// Shorter medians are as long as what the machine does beside; of runs whose reporting is not measured.
const SHORT_NS: f64 = 1e6;
/// A warm-up that took so many times the median was cold.
const COLD: f64 = 2.0;
/// Half of the points may be spread over this part of the median.
const STEADY: f64 = 0.25;
/// Reporting may be this part of the CPU time; of runs that are short, of the wall time too.
const TELLING_MOST: f64 = 0.05;
/// With fewer repetitions a spread says little.
const FEW: usize = 5;
/// Differences below this do not matter.
const NOTICEABLE_NS: f64 = 5e6;

/// What a reader should know before trusting a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Advice {
    /// Some runs failed.
    Failed {
        /// How many.
        runs: usize,
        /// Why the first did, one sentence.
        why: String,
    },
    /// Others used much of the machine.
    NoisyMachine {
        /// Part of all CPU time that others used while it ran.
        others: f64,
    },
    /// Its tasks waited for CPUs although there were enough.
    Contended {
        /// Waiting as part of the CPU time used.
        waited: f64,
    },
    /// The run is too short to trust.
    TooShort {
        /// Median wall time, nanoseconds.
        wall_ns: f64,
    },
    /// Some repetitions are far from the others.
    Outliers {
        /// How many.
        runs: usize,
        /// How many times the median the worst took.
        worst: f64,
    },
    /// Half of the repetitions differ by much.
    Unsteady {
        /// Distance of the quartiles as part of the median.
        spread: f64,
    },
    /// The warm-up took much longer than all that came after it, on a machine that was quiet. The reason was not seen: on a cold machine
    /// the first run often costs more.
    FirstRunCold {
        /// How many times the median.
        times: f64,
    },
    /// Too few repetitions.
    Few {
        /// How many.
        repetitions: usize,
    },
    /// Reporting what happens is a part of what was measured.
    Telling {
        /// Part of the CPU time.
        part: f64,
    },
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { runs, why } => write!(f, "{} failed and excluded: {why}", counted(*runs, "run")),
            Self::NoisyMachine { others } => {
                write!(
                    f,
                    "busy machine: other processes used {:.0}% of the CPUs during the run; repeat it on an idle machine",
                    others * 100.0
                )
            }
            Self::Contended { waited } => write!(
                f,
                "its tasks waited for a CPU for {:.0}% of their running time, although there were enough CPUs: other processes used them",
                waited * 100.0
            ),
            Self::TooShort { wall_ns } => {
                write!(
                    f,
                    "too short to trust: {:.3} ms of wall time varies by chance and by reporting; use more or longer tasks",
                    wall_ns / 1e6
                )
            }
            Self::Outliers { runs, worst } => {
                write!(f, "{} far from the others, the worst at {worst:.1} times the median", counted(*runs, "repetition"))
            }
            Self::Unsteady { spread } => {
                write!(f, "unsteady: the interquartile range is {:.0}% of the median", spread * 100.0)
            }
            Self::FirstRunCold { times } => {
                write!(f, "the first run (excluded) took {times:.1} times the median, as is common with cold caches")
            }
            Self::Few { repetitions } => {
                write!(f, "{} only: the spread is a rough estimate", counted(*repetitions, "repetition"))
            }
            Self::Telling { part } => {
                write!(f, "{:.0}% of its CPU time was spent on reporting, which the figures include", part * 100.0)
            }
        }
    }
}

/// `1 run`, `2 runs`.
#[must_use]
pub fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// What is to be said about a cell of a batch; most serious first.
#[must_use]
pub fn advise(batch: &Batch, cell: usize) -> Vec<Advice> {
    let points: Vec<&Point> = batch.of(cell).collect();
    let walls: Vec<f64> = points.iter().filter_map(|p| p.wall_ns).map(float).collect();
    let spread = Spread::of(&walls);
    let mut out = Vec::new();
    let failures: Vec<&String> = batch.points.iter().filter(|p| p.cell == cell).filter_map(|p| p.failed.as_ref()).collect();
    if let Some(why) = failures.first() {
        out.push(Advice::Failed { runs: failures.len(), why: (*why).clone() });
    }
    // Waiting is what noise does: said once.
    let disturbed = noise(&points).or_else(|| contention(batch, cell, &points));
    let quiet = disturbed.is_none();
    out.extend(disturbed);
    if let Some(spread) = spread {
        let telling: Vec<f64> = points.iter().filter_map(|p| p.protocol_ns).map(float).collect();
        out.extend(steadiness(&spread, &walls, Spread::of(&telling)));
        out.extend(cold(batch, cell, &spread).filter(|_| quiet));
    }
    if points.len() < FEW && batch.plan.repetitions > 0 && !points.is_empty() {
        out.push(Advice::Few { repetitions: points.len() });
    }
    let telling = sum(points.iter().filter_map(|p| p.protocol_ns));
    let cpu = sum(points.iter().filter_map(|p| p.cpu_ns()));
    if cpu > 0 && float(telling) / float(cpu) > TELLING_MOST {
        out.push(Advice::Telling { part: float(telling) / float(cpu) });
    }
    out
}

/// What the first run of all says, if it says anything: with others on the machine, or among runs that took as long, it says nothing.
fn cold(batch: &Batch, cell: usize, others: &Spread) -> Option<Advice> {
    let first = batch.points.iter().find(|p| p.cell == cell && p.warm_up && p.failed.is_none())?;
    let wall = float(first.wall_ns?);
    let much = wall > COLD * others.median && wall - others.median > NOTICEABLE_NS;
    (much && wall > others.max && noise(&[first]).is_none())
        .then(|| Advice::FirstRunCold { times: wall / others.median.max(1.0) })
}

fn noise(points: &[&Point]) -> Option<Advice> {
    let loads: Vec<_> = points.iter().filter_map(|p| Some((p.load?, p.charged_ns()?))).collect();
    let capacity = sum(loads.iter().map(|(l, _)| l.capacity_ns));
    let busy = sum(loads.iter().map(|(l, _)| l.busy_ns));
    let own = sum(loads.iter().map(|(_, own)| *own));
    // The kernel counts in steps of 10 ms: below some of them there is nothing to say.
    if capacity < 200_000_000 {
        return None;
    }
    let others = float(busy.saturating_sub(own)) / float(capacity);
    (others > OTHERS_MOST).then_some(Advice::NoisyMachine { others })
}

fn contention(batch: &Batch, cell: usize, points: &[&Point]) -> Option<Advice> {
    let workers = batch.plan.cells.get(cell)?.spec.workers as usize;
    if workers > batch.host.cpus? {
        return None;
    }
    let known: Vec<_> = points.iter().filter_map(|p| Some((p.run_delay_ns?, p.cpu_ns()?))).collect();
    let (waited, used) = (sum(known.iter().map(|p| p.0)), sum(known.iter().map(|p| p.1)));
    let part = float(waited) / float(used.max(1));
    (part > WAIT_MOST && float(waited) > NOTICEABLE_NS).then_some(Advice::Contended { waited: part })
}

fn steadiness(spread: &Spread, walls: &[f64], telling: Option<Spread>) -> Vec<Advice> {
    let mut out = Vec::new();
    if telling.map_or(spread.median < SHORT_NS, |telling| telling.median > TELLING_MOST * spread.median) {
        out.push(Advice::TooShort { wall_ns: spread.median });
    }
    let far = spread.q3 + 3.0 * (spread.q3 - spread.q1);
    let outliers = walls.iter().filter(|w| **w > far && **w > 1.5 * spread.median && **w - spread.median > NOTICEABLE_NS).count();
    if outliers > 0 && walls.len() >= FEW {
        out.push(Advice::Outliers { runs: outliers, worst: spread.max / spread.median.max(1.0) });
    }
    let wide = (spread.q3 - spread.q1) / spread.median.max(1.0);
    if wide > STEADY && walls.len() >= FEW {
        out.push(Advice::Unsteady { spread: wide });
    }
    out
}

/// A sum that stays at the largest number: a kept document may say anything.
fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

#[expect(clippy::cast_precision_loss, reason = "2^53 ns are 104 days")]
fn float(n: u64) -> f64 {
    n as f64
}
