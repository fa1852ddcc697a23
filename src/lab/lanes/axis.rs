//! The time axis: windows, cells, and tick labels.

/// A stretch of the time axis, monotonic nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Where it begins.
    pub from_ns: u64,
    /// Where it ends; after `from_ns`.
    pub to_ns: u64,
}

impl Window {
    /// From here to there, one nanosecond at least.
    #[must_use]
    pub fn new(from_ns: u64, to_ns: u64) -> Self {
        Self { from_ns, to_ns: to_ns.max(from_ns.saturating_add(1)) }
    }

    /// How long it is.
    #[must_use]
    pub fn length_ns(self) -> u64 {
        self.to_ns - self.from_ns
    }

    /// The window of cell `cell` of `cells`.
    #[must_use]
    pub fn cell(self, cell: usize, cells: usize) -> Self {
        let at = |n: usize| self.from_ns + (self.length_ns() as f64 * n as f64 / cells.max(1) as f64) as u64;
        Self::new(at(cell), at(cell + 1))
    }

    /// The cell that an instant is in, of `cells`; the nearest for one outside.
    #[must_use]
    pub fn cell_at(self, ns: u64, cells: usize) -> usize {
        let share = ns.saturating_sub(self.from_ns) as f64 / self.length_ns() as f64;
        ((share * cells as f64) as usize).min(cells.saturating_sub(1))
    }

    /// Nanoseconds that both have.
    #[must_use]
    pub(super) fn overlap_ns(self, from_ns: u64, to_ns: u64) -> u64 {
        self.to_ns.min(to_ns).saturating_sub(self.from_ns.max(from_ns))
    }
}

/// A time written along the axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// The cell it is at.
    pub cell: usize,
    /// The time since `zero_ns`, with its unit.
    pub label: String,
}

/// Round times along a window of so many cells, `apart` cells apart at least, counted from `zero_ns`.
#[must_use]
pub fn ticks(window: Window, zero_ns: u64, cells: usize, apart: usize) -> Vec<Tick> {
    let least = window.length_ns() as f64 * apart.max(1) as f64 / cells.max(1) as f64;
    let decade = 10f64.powf(least.max(1.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * decade).into_iter().find(|s| *s >= least).unwrap_or(decade * 10.0);
    let at = |ns: u64| ns as f64 - zero_ns as f64;
    let first = (at(window.from_ns) / step).ceil();
    let many = cells / apart.max(1) + 1;
    (0..many)
        .map(|n| (first + n as f64) * step)
        .take_while(|t| *t < at(window.to_ns))
        .map(|t| {
            let cell = window.cell_at((zero_ns as f64 + t).max(0.0) as u64, cells);
            Tick { cell, label: label(t, step) }
        })
        .collect()
}

/// A time on the axis, in the unit of its step, with no more digits than the step has.
fn label(ns: f64, step: f64) -> String {
    let (unit, per) = match step {
        s if s >= 1e9 => ("s", 1e9),
        s if s >= 1e6 => ("ms", 1e6),
        s if s >= 1e3 => ("us", 1e3),
        _ => ("ns", 1.0),
    };
    // A negative zero is zero.
    format!("{} {unit}", (ns / per).round() + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_along_the_axis_are_round_and_far_enough_apart() {
        let window = Window::new(1_000_000_000, 1_104_000_000);
        let found = ticks(window, 1_002_000_000, 100, 12);
        let labels: Vec<&str> = found.iter().map(|t| t.label.as_str()).collect();
        assert_eq!(labels, ["0 ms", "20 ms", "40 ms", "60 ms", "80 ms", "100 ms"]);
        assert!(found.windows(2).all(|w| w[1].cell - w[0].cell >= 12), "{found:?}");
        for (length, cells) in [(1, 10), (1_000, 37), (7_777_777_777, 190), (u64::MAX / 4, 3)] {
            let found = ticks(Window::new(5, 5 + length), 0, cells, 10);
            assert!(found.iter().all(|t| t.cell < cells), "{length} {cells} {found:?}");
        }
    }

    #[test]
    fn cells_cover_a_window_without_gaps() {
        let window = Window::new(1_000, 8_777);
        let parts: Vec<Window> = (0..100).map(|c| window.cell(c, 100)).collect();
        assert_eq!((parts[0].from_ns, parts[99].to_ns), (1_000, 8_777));
        assert!(parts.windows(2).all(|w| w[0].to_ns == w[1].from_ns));
        assert!((1_000..8_777).all(|ns| {
            let at = window.cell(window.cell_at(ns, 100), 100);
            at.from_ns <= ns + 1 && ns <= at.to_ns
        }));
    }

    #[test]
    fn durations_have_three_digits() {
        let all = [0, 999, 1_500, 150_000, 1_234_567, 99_999_999, 250_000_000, 1_500_000_000];
        let shown = all.map(crate::units::period);
        assert_eq!(shown, ["0 ns", "999 ns", "1.5 us", "150 us", "1.23 ms", "100.00 ms", "250 ms", "1.50 s"]);
    }
}
