//! The time between two surveys of a monitor.

use std::time::Duration;

/// The shortest and the longest time between two surveys of a monitor. The longest is for a crowd: a machine with few processes waits no longer
/// than [`SMALL_PAUSE`], plus [`PAUSE_OF_ONE`] for each process, so that a problem is found within ten seconds.
const LEAST_PAUSE: Duration = Duration::from_secs(2);
const MOST_PAUSE: Duration = Duration::from_secs(15);
const SMALL_PAUSE: Duration = Duration::from_secs(4);
const PAUSE_OF_ONE: Duration = Duration::from_millis(3);
/// Time between two looks at waits that were found to be stuck.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// A survey that takes no more CPU time, nanoseconds, is made as often as that.
const CHEAP_NS: u64 = 12_000_000;
/// CPU time above it counts so many times into the pause; that of readings of Python processes that run, so many times.
const PAUSE_FOR_COST: u64 = 500;
const PAUSE_FOR_RUNNING: u64 = 25;

/// The time until the next survey after one that took so much CPU time, beside so many processes.
pub(super) fn pause(cost_ns: u64, running_ns: u64, processes: usize) -> Duration {
    let for_cost_ns = cost_ns.saturating_sub(CHEAP_NS).saturating_mul(PAUSE_FOR_COST);
    let for_running_ns = running_ns.saturating_mul(PAUSE_FOR_RUNNING);
    let for_crowd = PAUSE_OF_ONE.saturating_mul(u32::try_from(processes).unwrap_or(u32::MAX));
    let most = MOST_PAUSE.min(SMALL_PAUSE.saturating_add(for_crowd));
    most.min(LEAST_PAUSE + Duration::from_nanos(for_cost_ns.saturating_add(for_running_ns)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_follows_the_cost_of_a_survey_and_its_bound_the_number_of_processes() {
        let ms = |n: u64| n * 1_000_000;
        assert_eq!(pause(ms(12), 0, 100), LEAST_PAUSE, "cheap");
        assert_eq!(pause(ms(14), 0, 5_000), Duration::from_secs(3), "2 ms above it, 500 times");
        assert_eq!(pause(ms(10), ms(40), 5_000), Duration::from_secs(3), "40 ms for Pythons that run, 25 times");
        assert_eq!(pause(ms(500), ms(500), 100), Duration::from_millis(4_300), "two surveys within ten seconds");
        assert_eq!(pause(ms(500), 0, 5_000), MOST_PAUSE);
        assert_eq!(pause(u64::MAX, u64::MAX, usize::MAX), MOST_PAUSE);
    }
}
