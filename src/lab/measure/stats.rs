//! Summaries and warnings of one run. Raw points stay with the workers; nothing here throws any away.

use statrs::statistics::{Data, Max, Min, OrderStatistics};

use crate::lab::protocol::Creation;
use crate::lab::run::{Run, Summary, Worker};

/// A latency below this is nobody's concern, however far from the median: the first async task of a loop, say.
const NOTICEABLE_NS: f64 = 20e6;

/// Order statistics of `points`; `None` if there are none.
#[must_use]
pub fn summary(points: &[f64]) -> Option<Summary> {
    if points.is_empty() {
        return None;
    }
    let mut data = Data::new(points.to_vec());
    Some(Summary { count: points.len(), min: data.min(), median: data.median(), p90: data.quantile(0.9), max: data.max() })
}

/// Creation latency over the workers that have one, nanoseconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a latency of 2^53 ns is 104 days")]
pub fn creation(workers: &[Worker]) -> Option<Summary> {
    // The root that works itself has not been created by anybody in the run.
    let created = workers.iter().filter(|w| w.how != Some(Creation::Inline));
    let points: Vec<f64> = created.filter_map(Worker::creation_ns).map(|ns| ns as f64).collect();
    summary(&points)
}

/// What a reader should know before trusting a run's figures.
#[must_use]
pub fn advice(run: &Run) -> Vec<String> {
    let mut advice = Vec::new();
    if let Some(c) = run.costs.creation_ns
        && c.count >= 5
        && c.max > 10.0 * c.median
        && c.max > NOTICEABLE_NS
    {
        advice.push(format!(
            "the slowest worker took {:.0} times the median to create: the machine may be busy; repeat the run",
            c.max / c.median.max(1.0)
        ));
    }
    for check in run.shape.iter().filter(|c| !c.met) {
        advice.push(format!("shape not met: {}: expected {}, seen {}", check.what, check.expected, check.seen));
    }
    advice
}
