//! Schedules the background search for deadlocks: some seconds after a program began, at intervals, and as long as one is found. The survey
//! thread reads what is searched.

use std::ops::RangeInclusive;

use crate::derive::Model;
use crate::snapshot::{ProcessSample, State};

const SECOND_NS: u64 = 1_000_000_000;
/// A program has so long to start before it is worth a search.
const START_NS: u64 = 3 * SECOND_NS;
/// The least time, and the fewest surveys, of a search: what passes by itself is gone by then.
const LEAST_NS: u64 = 5 * SECOND_NS;
const LEAST_SURVEYS: u32 = 2;
/// Time between two searches: the shorter one if a program has begun.
const BETWEEN_NS: RangeInclusive<u64> = 10 * SECOND_NS..=120 * SECOND_NS;
/// The time between two searches is at least so many times the CPU time of the first, and so many if no program has begun.
const OF_COST: (u64, u64) = (500, 1_000);

/// The search in the background.
#[derive(Debug, Default)]
pub struct Search {
    /// Surveys of the search that runs; `None`: none runs.
    surveys: Option<u32>,
    /// CPU time of the first ones, nanoseconds.
    cost_ns: u64,
    /// When the newest search began and ended, boot-time nanoseconds; 0 before the first sample.
    began_ns: u64,
    ended_ns: u64,
}

impl Search {
    /// Whether a search runs.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.surveys.is_some()
    }

    /// Begins a search.
    pub(super) fn begin(&mut self, now_ns: u64) {
        (self.surveys, self.cost_ns, self.began_ns) = (Some(0), 0, now_ns);
    }

    /// Ends the search: all is found, or a larger survey is asked for.
    pub(super) fn end(&mut self, now_ns: u64) {
        (self.surveys, self.ended_ns) = (None, now_ns);
    }

    /// A survey came that took so much CPU time.
    pub(super) fn surveyed(&mut self, cost_ns: u64) {
        // Those that only look whether what was found is still there do not count.
        if self.surveys.is_some_and(|surveys| surveys < LEAST_SURVEYS) {
            self.cost_ns = self.cost_ns.saturating_add(cost_ns);
        }
        self.surveys = self.surveys.map(|surveys| surveys.saturating_add(1));
    }

    /// A sample came, in which a deadlock was found or not. True if the search has ended with it.
    pub(super) fn sampled(&mut self, model: &Model, found: bool) -> bool {
        let now_ns = model.now.taken_ns;
        match self.surveys {
            Some(LEAST_SURVEYS..) if !found && now_ns.saturating_sub(self.began_ns) >= LEAST_NS => {
                self.end(now_ns);
                return true;
            }
            Some(_) => {}
            None if self.ended_ns == 0 => (self.began_ns, self.ended_ns) = (0, now_ns),
            None => {
                if self.is_due(model) {
                    self.begin(now_ns);
                }
            }
        }
        false
    }

    fn is_due(&self, model: &Model) -> bool {
        let now_ns = model.now.taken_ns;
        let rested_ns = now_ns.saturating_sub(self.ended_ns);
        if self.began_ns == 0 {
            return rested_ns >= START_NS;
        }
        let (soon_ns, late_ns) = (*BETWEEN_NS.start(), *BETWEEN_NS.end());
        let (soon_ns, late_ns) =
            (soon_ns.max(self.cost_ns.saturating_mul(OF_COST.0)), late_ns.max(self.cost_ns.saturating_mul(OF_COST.1)));
        let tick_ns = model.now.system.tick_ns();
        // It began after the search, or too shortly before it, and is neither starting nor at work now.
        let is_new = |process: &ProcessSample| {
            let began_ns = process.key.start_ticks.saturating_mul(tick_ns);
            let born = began_ns.saturating_add(START_NS);
            born > self.began_ns && born <= now_ns && process.leader.state == State::SLEEPING && !process.kernel_thread
        };
        rested_ns >= late_ns || rested_ns >= soon_ns && model.now.processes.iter().any(is_new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::{Deriver, test_process, test_snapshot};
    use crate::snapshot::ProcessSample;

    fn at(second: u64, processes: Vec<ProcessSample>) -> Model {
        Deriver::new(0).step(test_snapshot(second * SECOND_NS, processes))
    }

    /// Plays seconds, with a survey in each of a search, of so much CPU time; the seconds in which a search ran.
    fn played(
        search: &mut Search,
        seconds: RangeInclusive<u64>,
        cost_ns: u64,
        process: impl Fn(u64) -> ProcessSample,
    ) -> Vec<u64> {
        seconds
            .filter(|second| {
                search.sampled(&at(*second, vec![process(*second)]), false);
                if search.is_on() {
                    search.surveyed(cost_ns);
                }
                search.is_on()
            })
            .collect()
    }

    #[test]
    fn a_search_comes_soon_after_the_start_and_then_when_a_program_has_begun() {
        let mut search = Search::default();
        let old = |_| test_process(7, 1, 100);
        assert_eq!(played(&mut search, 1000..=1100, 1_000_000, old), [1003, 1004, 1005, 1006, 1007]);
        // Ten seconds after the search, and three after its own start.
        let new = |_| test_process(8, 1, 110_300);
        assert_eq!(played(&mut search, 1101..=1200, 1_000_000, new), [1106, 1107, 1108, 1109, 1110]);
        // With nothing new, two minutes later.
        assert_eq!(played(&mut search, 1201..=1300, 1_000_000, new), [1231, 1232, 1233, 1234, 1235]);
    }

    #[test]
    fn a_program_that_begins_again_and_again_costs_no_more_than_two_thousandths_of_a_cpu() {
        let mut search = Search::default();
        let new = |second: u64| test_process(8, 1, second * 100 - 300);
        let searched = played(&mut search, 1000..=2000, 20_000_000, new);
        // Two surveys of five count.
        let cost_ns = searched.len() as u64 * 8_000_000;
        assert!((500_000_000..=2_000_000_000).contains(&cost_ns), "{cost_ns} ns in 1000 s");
        let mut kernel = test_process(8, 1, 0);
        kernel.kernel_thread = true;
        let mut search = Search::default();
        let kernels = |second: u64| {
            let mut process = kernel.clone();
            process.key.start_ticks = second * 100 - 300;
            process
        };
        assert_eq!(played(&mut search, 1000..=1100, 1_000_000, kernels).len(), 5, "the kernel's own are no programs");
    }

    #[test]
    fn a_search_goes_on_as_long_as_something_is_found() {
        let mut search = Search::default();
        let model = at(1000, vec![test_process(7, 1, 100)]);
        search.begin(1_000 * SECOND_NS);
        search.surveyed(1);
        search.surveyed(1);
        let later = at(1_500, vec![test_process(7, 1, 100)]);
        assert!(!search.sampled(&model, true) && !search.sampled(&later, true) && search.is_on());
        assert!(search.sampled(&later, false) && !search.is_on());
    }
}
