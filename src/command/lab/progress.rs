//! Progress of a lab command: one line on standard error, overwritten by each run and erased at the end. Nothing is written if standard
//! error is not a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Cells of the bar.
const BAR_CELLS: usize = 24;
/// Runs that must be over before the time that is left is guessed.
const ENOUGH: u32 = 2;

/// The line. Erased when dropped.
pub(super) struct Progress {
    terminal: bool,
    begun: Instant,
    /// Runs that have begun, and those that were passed over.
    begun_runs: usize,
    skipped: usize,
    all: usize,
}

impl Progress {
    /// Nothing has run yet of so many.
    pub fn new(all: usize) -> Self {
        Self { terminal: io::stderr().is_terminal(), begun: Instant::now(), begun_runs: 0, skipped: 0, all }
    }

    /// The next run begins.
    pub fn step(&mut self, what: &str) {
        let done = self.begun_runs + self.skipped;
        let left = time_left(self.begun.elapsed(), self.begun_runs, self.all.saturating_sub(done));
        self.begun_runs += 1;
        if self.terminal {
            let width = crossterm::terminal::size().map_or(80, |(columns, _)| usize::from(columns));
            // An error of standard error cannot be reported.
            let _ = write!(io::stderr(), "\r\x1b[K{}", line(done, self.all, left, what, width));
        }
    }

    /// So many of the runs will not take place.
    pub fn skip(&mut self, runs: usize) {
        self.skipped += runs;
    }

    /// So many more than was thought will.
    pub fn add(&mut self, runs: usize) {
        self.all += runs;
    }

    /// Takes the line away.
    pub fn end(&mut self) {
        if self.terminal && self.begun_runs > 0 {
            self.terminal = false;
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

/// As long as the runs so far took on average, for those that are left; unknown until a few are over.
fn time_left(elapsed: Duration, over: usize, left: usize) -> Option<Duration> {
    let (over, left) = (u32::try_from(over).ok()?, u32::try_from(left).ok()?);
    (over >= ENOUGH).then(|| elapsed / over * left)
}

/// The whole line, no longer than fits: a line that wraps could not be written over.
fn line(done: usize, all: usize, left: Option<Duration>, what: &str, width: usize) -> String {
    let left = left.map_or_else(String::new, |left| match left.as_secs() + 1 {
        seconds @ ..=99 => format!("about {seconds} s left  "),
        seconds => format!("about {} min left  ", seconds.div_ceil(60)),
    });
    let text = format!("{} {}/{all}  {left}{what}", bar(done, all), done + 1);
    text.chars().take(width.saturating_sub(1)).collect()
}

fn bar(done: usize, all: usize) -> String {
    let full = (done * BAR_CELLS).checked_div(all).unwrap_or(BAR_CELLS).min(BAR_CELLS);
    format!("[{}{}]", "#".repeat(full), "-".repeat(BAR_CELLS - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_as_full_as_the_work_is_done() {
        assert_eq!(bar(0, 10), format!("[{}]", "-".repeat(24)));
        assert_eq!(bar(5, 10), format!("[{}{}]", "#".repeat(12), "-".repeat(12)));
        assert_eq!(bar(10, 10), format!("[{}]", "#".repeat(24)));
        assert_eq!(bar(0, 0), format!("[{}]", "#".repeat(24)), "nothing to do is done");
    }

    #[test]
    fn the_time_left_is_what_the_rest_takes_at_the_pace_so_far() {
        assert_eq!(time_left(Duration::from_secs(9), 1, 5), None, "one run says nothing of the others");
        assert_eq!(time_left(Duration::from_secs(10), 5, 20), Some(Duration::from_secs(40)));
        assert_eq!(time_left(Duration::from_secs(10), 5, 0), Some(Duration::ZERO));
    }

    #[test]
    fn the_line_says_how_far_and_what_and_never_wraps() {
        let text = line(3, 12, Some(Duration::from_secs(8)), "native/fork", 80);
        assert_eq!(text, "[######------------------] 4/12  about 9 s left  native/fork");
        assert!(line(3, 12, Some(Duration::from_secs(150)), "x", 80).contains("about 3 min left"));
        assert_eq!(line(0, 4, None, "native/fork", 80), "[------------------------] 1/4  native/fork");
        assert_eq!(line(3, 12, None, "native/fork", 20).chars().count(), 19);
    }
}
