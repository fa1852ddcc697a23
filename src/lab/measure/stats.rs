//! Summaries and warnings of one run. Raw points stay with the workers.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};
use statrs::statistics::{Data, Max, Min, OrderStatistics};

use crate::lab::protocol::Creation;
use crate::lab::run::{Run, Summary, Worker};

/// A latency below this does not matter, however far from the median: the first async task of a loop, say.
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
pub fn creation(workers: &[Worker]) -> Option<Summary> {
    summary(&creations(workers))
}

/// The points of that.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a latency of 2^53 ns is 104 days")]
pub fn creations(workers: &[Worker]) -> Vec<f64> {
    // The root that works itself has not been created by a process of the run.
    let created = workers.iter().filter(|w| w.how != Some(Creation::Inline));
    created.filter_map(Worker::creation_ns).map(|ns| ns as f64).collect()
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
            "creating the slowest worker took {:.0} times the median; the machine may be busy: repeat the run",
            c.max / c.median.max(1.0)
        ));
    }
    for check in run.shape.iter().filter(|c| !c.met) {
        advice.push(format!("unexpected shape: {}: expected {}, seen {}", check.what, check.expected, check.seen));
    }
    advice
}

/// Where the points of a measure lie. The points themselves are kept by who made it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// How many points.
    pub count: usize,
    /// Smallest.
    pub min: f64,
    /// A quarter are below.
    pub q1: f64,
    /// Half are below.
    pub median: f64,
    /// Three quarters are below.
    pub q3: f64,
    /// Nine tenths are below.
    pub p90: f64,
    /// Largest.
    pub max: f64,
    /// Where the true median lies with at least 95% probability, for every distribution (order statistics, binomial): `None` with fewer
    /// than 6 points, which cannot say so much.
    pub median_between: Option<(f64, f64)>,
}

impl Spread {
    /// The spread of `points`; `None` if there are none. Quantiles are interpolated (statrs: R's type 8).
    #[must_use]
    pub fn of(points: &[f64]) -> Option<Self> {
        if points.is_empty() {
            return None;
        }
        let mut data = Data::new(points.to_vec());
        let (min, max, median) = (data.min(), data.max(), data.median());
        let (q1, q3, p90) = (data.lower_quartile(), data.upper_quartile(), data.quantile(0.9));
        Some(Self { count: points.len(), min, q1, median, q3, p90, max, median_between: median_between(points) })
    }

    /// What stands after the median's plus-minus: half the distance of the quartiles.
    #[must_use]
    pub fn plus_minus(&self) -> f64 {
        (self.q3 - self.q1) / 2.0
    }
}

/// The narrowest pair of order statistics, equally far from both ends, that holds the median with 95%: the number of points below the
/// median is binomial with one half.
fn median_between(points: &[f64]) -> Option<(f64, f64)> {
    let n = points.len();
    let below = Binomial::new(0.5, n as u64).ok()?;
    // With `k` points cut off at each end it misses when at most `k` points lie on one side: the largest `k` for which that is rare is
    // sought by halves, since a thousand workers in a thousand rounds are a million points.
    let (mut few, mut many) = (0, n / 2);
    while few < many {
        let middle = few + (many - few) / 2;
        if below.cdf(middle as u64) <= 0.025 { few = middle + 1 } else { many = middle }
    }
    let cut = few.checked_sub(1)?;
    let mut sorted = points.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some((sorted[cut], sorted[n - 1 - cut]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{ContinuousCDF, Exp};

    /// The points that cut the distribution into equal parts: what a perfect sample of it would be.
    fn perfect(n: usize, distribution: &impl ContinuousCDF<f64, f64>) -> Vec<f64> {
        (0..n).map(|i| distribution.inverse_cdf((i as f64 + 0.5) / n as f64)).collect()
    }

    #[test]
    fn quantiles_are_those_of_a_known_distribution() {
        // Skewed, as latencies are: the quantiles of an exponential distribution are -ln(1-p)/rate.
        let mut points = perfect(10_001, &Exp::new(0.5).unwrap());
        fastrand::Rng::with_seed(1).shuffle(&mut points);
        let spread = Spread::of(&points).unwrap();
        let wanted = |p: f64| -(1.0 - p).ln() / 0.5;
        for (seen, p) in [(spread.q1, 0.25), (spread.median, 0.5), (spread.q3, 0.75), (spread.p90, 0.9)] {
            assert!((seen / wanted(p) - 1.0).abs() < 0.002, "{p}: {seen}, wanted {}", wanted(p));
        }
        assert_eq!(spread.count, 10_001);
    }

    #[test]
    fn the_interval_holds_the_true_median_as_often_as_it_says() {
        let distribution = Exp::new(1.0).unwrap();
        let truth = std::f64::consts::LN_2;
        let mut random = fastrand::Rng::with_seed(42);
        for n in [6, 9, 15, 40] {
            let mut held = 0;
            for _ in 0..4_000 {
                let points: Vec<f64> = (0..n).map(|_| distribution.inverse_cdf(random.f64())).collect();
                let (low, high) = Spread::of(&points).unwrap().median_between.unwrap();
                held += usize::from(low <= truth && truth <= high);
            }
            let part = held as f64 / 4_000.0;
            // At least 95% by construction; 0.94 leaves room for three standard deviations of 4,000 trials.
            assert!((0.94..0.995).contains(&part), "{n} points: {part}");
        }
        assert_eq!(Spread::of(&[1.0; 5]).unwrap().median_between, None, "five points cannot tell");
    }
}
