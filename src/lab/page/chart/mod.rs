//! Charts as SVG, drawn by plotters twice, for wide and narrow pages, so that the text size fits both. Titles, keys and notes are text of the
//! page. Colours suit a light background; the style of the page replaces them on a dark one.

mod bars;
mod lines;

pub use bars::bars;
pub use lines::lines;

use std::ops::Range;

use plotters::prelude::*;

/// Larger numbers, and smaller ones that are not 0, are nothing that a machine has measured: no scale is made for them.
const DRAWN: Range<f64> = 1e-9..1e15;
/// A scale is logarithmic when its largest value is so many times the smallest.
const FAR_APART: f64 = 50.0;

const TEXT: RGBColor = RGBColor(0x33, 0x33, 0x33);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
const GROUND: RGBColor = RGBColor(0xff, 0xff, 0xff);
/// Distinct also for readers who do not see red from green (after Okabe and Ito).
const SERIES: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x80, 0x64, 0x00),
    RGBColor(0x5a, 0x5a, 0x5a),
];

/// How many colours there are for curves: what comes after them has them again, dashed.
pub const COLOURS: usize = SERIES.len();

/// The page that a chart is drawn for.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// Width of the drawing; the style fits it to the page.
    width: u32,
    /// Height of the letters as plotters counts it: with what hangs below the line, 1.24 times the size of the face.
    letter: u32,
    /// Whether there is room for names beside the bars; else they stand above.
    beside: bool,
}

const WIDE: Layout = Layout { width: 1180, letter: 17, beside: true };
const NARROW: Layout = Layout { width: 360, letter: 16, beside: false };

impl Layout {
    /// How wide a text of a sans-serif face is at most: about half the height for each cell, and more for capitals and other wide letters.
    fn text_width(self, text: &str) -> u32 {
        let is_wide = |c: &char| c.is_uppercase() || "mw@%".contains(*c);
        let cells = u32::try_from(crate::text::width(text)).unwrap_or(u32::MAX);
        let wide = u32::try_from(text.chars().filter(is_wide).count()).unwrap_or(u32::MAX);
        cells.saturating_mul(self.letter / 2).saturating_add(wide.saturating_mul(self.letter / 8))
    }

    /// As much of a name as fits.
    fn fit(self, text: &str, width: u32) -> String {
        let cut = |cells| crate::text::truncate(text, cells, crate::text::Charset::Unicode).into_owned();
        let most = usize::try_from(width / (self.letter / 2)).unwrap_or_default();
        (1..=most).rev().map(cut).find(|cut| self.text_width(cut) <= width).unwrap_or_default()
    }

    fn text(self) -> TextStyle<'static> {
        ("sans-serif", self.letter).into_font().color(&TEXT)
    }
}

/// A chart.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// For a page with room.
    pub wide: String,
    /// For a narrow one.
    pub narrow: String,
    /// Whether the values' scale is logarithmic.
    pub logarithmic: bool,
}

type Failed = Box<dyn std::error::Error>;

/// Draws for both pages; `None` if it cannot be drawn.
fn drawn(logarithmic: bool, draw: impl Fn(&mut String, Layout) -> Result<(), Failed>) -> Option<Drawn> {
    let one = |layout| {
        let mut svg = String::new();
        draw(&mut svg, layout).ok()?;
        // Within HTML the namespace goes without saying, and the page is to name no host.
        Some(svg.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1))
    };
    Some(Drawn { wide: one(WIDE)?, narrow: one(NARROW)?, logarithmic })
}

/// The range of an axis.
#[derive(Debug, Clone, PartialEq)]
struct Scale {
    range: Range<f64>,
    logarithmic: bool,
}

impl Scale {
    /// From 0, or logarithmic if the values are far apart and all above 0; `None` if no value is a number, or one is beyond all measure.
    fn over(values: impl Iterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
        if values.iter().any(|v| *v != 0.0 && !DRAWN.contains(&v.abs())) {
            return None;
        }
        let least = values.iter().copied().reduce(f64::min)?;
        let most = values.iter().copied().reduce(f64::max)?;
        if least > 0.0 && most / least > FAR_APART {
            return Some(Self { range: least / 1.5..most * 1.5, logarithmic: true });
        }
        let most = if most > 0.0 { most * 1.08 } else { 1.0 };
        Some(Self { range: least.min(0.0)..most, logarithmic: false })
    }

    /// How many numbers stand along it: where things are counted, not more than there are whole ones.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 2 and `most`")]
    fn labels(&self, most: usize, counted: bool) -> usize {
        if counted && !self.logarithmic { (self.range.end.floor() + 1.0).clamp(2.0, most as f64) as usize } else { most }
    }
}

/// A number of an axis, as short as it can be said.
fn number(value: f64) -> String {
    let text = match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 1.0 => format!("{value:.1}"),
        v if v >= 0.001 || v == 0.0 => format!("{value:.3}"),
        _ => format!("{value:e}"),
    };
    if text.contains('.') && !text.contains('e') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_starts_at_zero_unless_its_values_are_far_apart() {
        let scale = |values: &[f64]| Scale::over(values.iter().copied());
        assert_eq!(scale(&[]), None);
        assert_eq!(scale(&[f64::NAN]), None);
        assert_eq!(scale(&[2.0, 10.0]), Some(Scale { range: 0.0..10.8, logarithmic: false }));
        assert_eq!(scale(&[0.15, 10.0]), Some(Scale { range: 0.15 / 1.5..15.0, logarithmic: true }));
        assert!(!scale(&[0.0, 1e9]).unwrap().logarithmic, "nothing is so far below that it has no logarithm");
        assert_eq!(scale(&[1.0, 1e300]), None, "no scale of a made-up document makes plotters count for ever");
        assert_eq!(scale(&[1.0, 1e-300]), None);
    }

    #[test]
    fn axis_numbers_are_short() {
        assert_eq!([1234.5, 20.0, 1.25, 0.05, 0.0, 1e-4].map(number), ["1234", "20", "1.2", "0.05", "0", "1e-4"]);
    }

    #[test]
    fn workers_are_not_counted_in_halves() {
        let labels = |most: f64| Scale::over([most].into_iter()).unwrap().labels(8, true);
        assert_eq!([2.0, 4.0, 16.0].map(labels), [3, 5, 8]);
    }

    #[test]
    fn the_style_has_each_colour_for_both_grounds() {
        let style = include_str!("../../../../assets/report/page.css");
        for RGBColor(r, g, b) in SERIES.into_iter().chain([TEXT, GRID, GROUND]) {
            for part in ["fill", "stroke"] {
                assert!(style.contains(&format!("svg [{part}=\"#{r:02X}{g:02X}{b:02X}\"]")), "{part} {r:02X}{g:02X}{b:02X}");
            }
        }
    }
}
