//! Divides the lines of the run pane: workers first, then costs, reported values, and text.

/// Workers that are shown before results get more than their least.
const WORKERS_WANTED: usize = 10;
/// Lines of results that are kept where there is room for air, and where there is not.
const RESULTS_LEAST: [usize; 2] = [3, 1];
/// Lines of costs that are kept on a small screen.
const COSTS_LEAST: usize = 2;

/// What there is to show, in lines; then what is shown of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Processes and workers, with their heads.
    pub lanes: usize,
    /// What it cost.
    pub costs: usize,
    /// What it reported.
    pub results: usize,
    /// What is to be known before the figures are believed.
    pub warnings: usize,
}

impl Share {
    /// Of so many lines; `besides` of the lanes are not workers.
    pub fn of(self, lines: usize, besides: usize, roomy: bool) -> Self {
        let [many, few] = RESULTS_LEAST;
        let (costs, results) = if roomy { (self.costs, many) } else { (self.costs.min(COSTS_LEAST), few) };
        let warnings = self.warnings.min(if roomy { usize::MAX } else { 1 });
        let reserved = costs + self.results.min(results) + warnings;
        let first = self.lanes.min(WORKERS_WANTED + besides).min(lines.saturating_sub(reserved));
        let warnings = warnings.min(lines - first);
        let costs = self.costs.min(lines - first - warnings);
        let results = self.results.min(lines - first - warnings - costs);
        let lanes = self.lanes.min(lines - warnings - costs - results);
        let warnings = self.warnings.min(lines - lanes - costs - results);
        Self { lanes, costs, results, warnings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(wanted: [usize; 4], lines: usize, roomy: bool) -> [usize; 4] {
        let [lanes, costs, results, warnings] = wanted;
        let s = Share { lanes, costs, results, warnings }.of(lines, 2, roomy);
        [s.lanes, s.costs, s.results, s.warnings]
    }

    #[test]
    fn workers_come_before_costs_and_costs_before_words() {
        assert_eq!(of([7, 4, 2, 0], 13, false), [7, 4, 2, 0], "all fits");
        assert_eq!(of([7, 4, 2, 0], 11, false), [7, 4, 0, 0]);
        assert_eq!(of([7, 4, 2, 1], 10, false), [6, 3, 0, 1]);
        assert_eq!(of([40, 4, 0, 0], 12, false), [10, 2, 0, 0], "many workers do not take all");
        assert_eq!(of([102, 4, 20, 0], 40, true), [16, 4, 20, 0], "nor do they where there is room");
        assert_eq!(of([5, 4, 2, 1], 0, false), [0; 4]);
    }
}
