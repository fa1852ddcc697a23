//! Bars of figures that may span decades, with the ratio to one of them in words.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::pen::Pen;
use super::super::theme::Theme;
use crate::lab::measure::Unit;
use crate::lab::report::show;
use crate::text::width;

/// Values further apart than this are drawn on a logarithmic scale.
const DECADES: f64 = 10.0;
/// Cells of the longest bar, at most.
const LONGEST: u16 = 40;
/// Cells of a value.
const VALUE: u16 = 10;

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct BarLine {
    /// What it is of.
    pub label: String,
    /// Its value; `None`: not known yet.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: Unit,
    /// What it measures: figures of one unit and kind share a scale.
    pub kind: &'static str,
    /// Whether it is emphasised.
    pub own: bool,
}

/// The scale that figures of one unit share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    /// Of these values; zero has no place on a logarithmic scale.
    #[must_use]
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = values.filter(|v| *v > 0.0).fold((f64::MAX, 0.0_f64), |(a, b), v| (a.min(v), b.max(v)));
        Self { least: least.min(most), most }
    }

    /// Whether it is logarithmic.
    #[must_use]
    pub fn is_logarithmic(&self) -> bool {
        self.least > 0.0 && self.most / self.least >= DECADES
    }

    /// Cells of a value's bar: at least one for what is more than nothing.
    #[must_use]
    pub fn cells(&self, value: f64, cells: u16) -> u16 {
        if value <= 0.0 || self.most <= 0.0 || cells == 0 {
            return 0;
        }
        let share = if self.is_logarithmic() {
            // The smallest has a tenth of the bar, so that it is seen as something.
            0.1 + 0.9 * (value / self.least).ln().max(0.0) / (self.most / self.least).ln()
        } else {
            value / self.most
        };
        ((share * f64::from(cells)).round() as u16).clamp(1, cells)
    }
}

/// How many times another a value is, in words: `12x`, `1.4x`; empty where both are alike.
#[must_use]
pub fn times(value: f64, base: f64) -> String {
    match value / base.max(f64::MIN_POSITIVE) {
        r if !r.is_finite() || base <= 0.0 || value <= 0.0 => String::new(),
        r if (0.95..1.05).contains(&r) => String::new(),
        r if r >= 9.95 => format!("{r:.0}x"),
        r if r >= 0.1 => format!("{r:.1}x"),
        r => format!("1/{:.0}", 1.0 / r),
    }
}

/// Draws one line per figure; the ratio is to the figure named `base`, else to the smallest of its unit. Returns the lines used.
pub fn draw(lines: &[BarLine], base: Option<&str>, theme: &Theme, unicode: bool, area: Rect, buffer: &mut Buffer) -> u16 {
    let label = lines.iter().map(|line| width(&line.label)).max().unwrap_or(0);
    let label = u16::try_from(label).unwrap_or(u16::MAX).min(area.width / 3);
    for (row, line) in (0..area.height).zip(lines) {
        let same = || lines.iter().filter(|other| other.unit == line.unit && other.kind == line.kind);
        let scale = Scale::of(same().filter_map(|other| other.value));
        let least = || {
            same()
                .filter(|other| other.value.is_some_and(|v| v > 0.0))
                .min_by(|a, b| a.value.partial_cmp(&b.value).unwrap_or(std::cmp::Ordering::Equal))
        };
        let against = base.and_then(|name| same().find(|other| other.label == name && other.value.is_some())).or_else(least);
        let words = against.filter(|a| a.label != line.label && line.unit != Unit::Ratio).and_then(|against| {
            let ratio = times(line.value?, against.value?);
            (!ratio.is_empty()).then(|| {
                if base.is_some() { format!("{ratio} a {}", against.label) } else { format!("{ratio} {}", against.label) }
            })
        });
        let words_cells = if area.width >= 70 { 26 } else { 15 };
        let most = area.width.saturating_sub(label + VALUE + words_cells).clamp(6, LONGEST);
        let mut pen = Pen::new(buffer, area, row);
        let start = pen.x();
        let name = crate::text::truncate(&line.label, usize::from(label), crate::text::Charset::from_unicode(unicode));
        pen.put(&name, if line.own { theme.strong } else { theme.text }).to(start + label + 1);
        let Some(value) = line.value else {
            pen.put(if unicode { "…" } else { "..." }, theme.dim);
            continue;
        };
        let cells = scale.cells(value, most);
        pen.put(&(if unicode { "▇" } else { "=" }).repeat(usize::from(cells)), if line.own { theme.accent } else { theme.cool });
        pen.to(start + label + 1 + most).put_right(
            &show(value, line.unit),
            VALUE,
            if line.own { theme.strong } else { theme.text },
        );
        if let Some(words) = words.filter(|words| usize::from(pen.left()) > width(words) + 2) {
            pen.put("  ", theme.text).put(&words, theme.dim);
        }
    }
    u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_spans_decades_is_logarithmic_and_what_does_not_begins_at_zero() {
        let near = Scale::of([2.0, 4.0].into_iter());
        assert!(!near.is_logarithmic());
        assert_eq!((near.cells(2.0, 40), near.cells(4.0, 40)), (20, 40));
        let far = Scale::of([0.0, 1.0, 10.0, 1000.0].into_iter());
        assert!(far.is_logarithmic());
        let cells = [0.0, 1.0, 10.0, 100.0, 1000.0].map(|v| far.cells(v, 40));
        assert_eq!(cells, [0, 4, 16, 28, 40], "equal ratios are equal steps");
    }

    #[test]
    fn a_ratio_is_said_in_words() {
        assert_eq!(
            [times(12.0, 1.0), times(3.0, 2.0), times(1.0, 1.02), times(1.0, 50.0), times(1.0, 0.0), times(0.0, 1.0)],
            ["12x", "1.5x", "", "1/50", "", ""]
        );
    }
}
