//! Charts as SVG, drawn by plotters; twice, as a page is read on light and on dark ground.

use std::ops::Range;

use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;

use super::{Bars, Lines};

/// Width of a chart, in units of its drawing: it grows and shrinks with the page, and its letters with it, so that they can be read on a
/// page of 400 pixels and are not huge on one of 1,280.
const WIDTH: u32 = 640;
/// Height of the letters of axes and names.
const LETTER: u32 = 15;
/// Height of the letters of a title.
const TITLE: u32 = 17;
/// Height of a bar with the gap after it.
const BAR: u32 = 28;
/// What the axes and the title take.
const FRAME: u32 = 90;
/// Larger numbers, and smaller ones that are not 0, are nothing that a machine has measured: no scale is made for them.
const DRAWN: Range<f64> = 1e-9..1e15;
/// A scale is logarithmic when its largest value is so many times the smallest.
const WIDE: f64 = 50.0;

/// Colours on one ground.
#[derive(Debug, Clone, Copy)]
struct Palette {
    ground: RGBColor,
    text: RGBColor,
    grid: RGBColor,
    /// Told apart by those who do not see red from green too (after Okabe and Ito).
    series: [RGBColor; 6],
}

const LIGHT: Palette = Palette {
    ground: RGBColor(255, 255, 255),
    text: RGBColor(51, 51, 51),
    grid: RGBColor(221, 221, 221),
    series: [
        RGBColor(0, 114, 178),
        RGBColor(213, 94, 0),
        RGBColor(0, 158, 115),
        RGBColor(204, 121, 167),
        RGBColor(128, 100, 0),
        RGBColor(90, 90, 90),
    ],
};

const DARK: Palette = Palette {
    ground: RGBColor(22, 24, 28),
    text: RGBColor(221, 221, 221),
    grid: RGBColor(68, 68, 68),
    series: [
        RGBColor(86, 180, 233),
        RGBColor(230, 159, 0),
        RGBColor(0, 200, 150),
        RGBColor(224, 150, 190),
        RGBColor(240, 228, 66),
        RGBColor(170, 170, 170),
    ],
};

/// A chart for light and one for dark ground; `None` if there is nothing that can be drawn.
pub fn bars(chart: &Bars) -> Option<[String; 2]> {
    let base = chart.base.filter(|_| !chart.bars.is_empty());
    let values = chart.bars.iter().flat_map(|b| {
        let (low, high) = b.spread.unwrap_or((b.value, b.value));
        [Some(b.value), Some(low), Some(high), b.reference]
    });
    let scale = Scale::over(values.flatten().chain(base))?;
    let draw = |palette: &Palette| {
        let mut svg = String::new();
        draw_bars(&mut svg, chart, &scale, palette).ok()?;
        Some(svg)
    };
    Some([draw(&LIGHT)?, draw(&DARK)?])
}

/// The same for curves.
pub fn lines(chart: &Lines) -> Option<[String; 2]> {
    let points = || chart.series.iter().flat_map(|(_, points)| points.iter());
    let (x, y) = (Scale::over(points().map(|p| p.0))?, Scale::over(points().map(|p| p.1))?);
    let draw = |palette: &Palette| {
        let mut svg = String::new();
        draw_lines(&mut svg, chart, (&x, &y), palette).ok()?;
        Some(svg)
    };
    Some([draw(&LIGHT)?, draw(&DARK)?])
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
        if least > 0.0 && most / least > WIDE {
            return Some(Self { range: least / 2.0..most * 1.5, logarithmic: true });
        }
        let most = if most > 0.0 { most * 1.08 } else { 1.0 };
        Some(Self { range: least.min(0.0)..most, logarithmic: false })
    }
}

/// Room for the names of the bars: for the longest, but no more than half of the chart.
fn names_width(chart: &Bars) -> u32 {
    let longest = chart.bars.iter().map(|bar| crate::text::width(&bar.label)).max().unwrap_or(0);
    // A letter of a sans-serif face is a bit more than half as wide as it is high.
    let wanted = u32::try_from(longest).unwrap_or(u32::MAX).saturating_mul(LETTER * 11 / 20).saturating_add(16);
    wanted.clamp(60, WIDTH / 2)
}

type Failed = Box<dyn std::error::Error>;

fn draw_bars(svg: &mut String, chart: &Bars, scale: &Scale, palette: &Palette) -> Result<(), Failed> {
    let height = u32::try_from(chart.bars.len()).unwrap_or(u32::MAX / BAR).saturating_mul(BAR).saturating_add(FRAME);
    let root = SVGBackend::with_string(svg, (WIDTH, height)).into_drawing_area();
    let rows = chart.bars.len();
    let mut builder = ChartBuilder::on(&root);
    builder.margin(8).x_label_area_size(30).y_label_area_size(names_width(chart)).caption(&chart.title, text(palette, TITLE));
    if scale.logarithmic {
        let mut context = builder.build_cartesian_2d(scale.range.clone().log_scale(), (0..rows).into_segmented())?;
        bars_on(&mut context, chart, chart.base.unwrap_or(scale.range.start), palette)?;
    } else {
        let mut context = builder.build_cartesian_2d(scale.range.clone(), (0..rows).into_segmented())?;
        bars_on(&mut context, chart, 0.0, palette)?;
    }
    root.present()?;
    Ok(())
}

fn bars_on<'a, X>(
    context: &mut ChartContext<
        'a,
        SVGBackend<'a>,
        Cartesian2d<X, plotters::coord::ranged1d::SegmentedCoord<plotters::coord::types::RangedCoordusize>>,
    >,
    chart: &Bars,
    base: f64,
    palette: &Palette,
) -> Result<(), Failed>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let rows = chart.bars.len();
    // The first bar is drawn at the top, where reading begins.
    let label = |at: &SegmentValue<usize>| match at {
        SegmentValue::CenterOf(row) if *row < rows => chart.bars[rows - 1 - row].label.clone(),
        _ => String::new(),
    };
    context
        .configure_mesh()
        .disable_y_mesh()
        .set_tick_mark_size(LabelAreaPosition::Left, 0)
        .y_labels(rows)
        .y_label_formatter(&label)
        .x_label_formatter(&|x| number(*x))
        .axis_style(palette.grid)
        .light_line_style(TRANSPARENT)
        .bold_line_style(palette.grid)
        .label_style(text(palette, LETTER))
        .draw()?;
    for (i, bar) in chart.bars.iter().enumerate() {
        let row = rows - 1 - i;
        if !bar.value.is_finite() {
            continue;
        }
        let mut body = Rectangle::new(
            [(base, SegmentValue::Exact(row)), (bar.value, SegmentValue::Exact(row + 1))],
            palette.series[0].filled(),
        );
        body.set_margin(5, 5, 0, 0);
        context.draw_series([body])?;
        if let Some((low, high)) = bar.spread {
            let ends = [(low, SegmentValue::CenterOf(row)), (high, SegmentValue::CenterOf(row))];
            context.draw_series([PathElement::new(ends, palette.text.stroke_width(1))])?;
        }
        if let Some(reference) = bar.reference.filter(|r| r.is_finite()) {
            let at = (reference, SegmentValue::CenterOf(row));
            context.draw_series([Cross::new(at.clone(), 6, palette.ground.stroke_width(5))])?;
            context.draw_series([Cross::new(at, 5, palette.series[1].stroke_width(2))])?;
        }
    }
    Ok(())
}

fn draw_lines(svg: &mut String, chart: &Lines, (x, y): (&Scale, &Scale), palette: &Palette) -> Result<(), Failed> {
    let root = SVGBackend::with_string(svg, (WIDTH, 420)).into_drawing_area();
    let mut builder = ChartBuilder::on(&root);
    builder.margin(10).x_label_area_size(44).y_label_area_size(70).caption(&chart.title, text(palette, TITLE));
    if y.logarithmic {
        let mut context = builder.build_cartesian_2d(x.range.clone(), y.range.clone().log_scale())?;
        lines_on(&mut context, chart, palette)?;
    } else {
        let mut context = builder.build_cartesian_2d(x.range.clone(), y.range.clone())?;
        lines_on(&mut context, chart, palette)?;
    }
    root.present()?;
    Ok(())
}

fn lines_on<'a, X, Y>(
    context: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    chart: &Lines,
    palette: &Palette,
) -> Result<(), Failed>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    context
        .configure_mesh()
        .x_desc(&chart.axes.0)
        .y_desc(&chart.axes.1)
        .x_label_formatter(&|x| number(*x))
        .y_label_formatter(&|y| number(*y))
        .axis_style(palette.grid)
        .light_line_style(TRANSPARENT)
        .bold_line_style(palette.grid)
        .label_style(text(palette, LETTER))
        .draw()?;
    for (i, (name, points)) in chart.series.iter().enumerate() {
        let colour = palette.series[i % palette.series.len()];
        context
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    context.configure_series_labels().position(SeriesLabelPosition::UpperLeft).label_font(text(palette, LETTER)).draw()?;
    Ok(())
}

fn text(palette: &Palette, size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&palette.text)
}

/// A number of an axis, as short as it can be said.
fn number(value: f64) -> String {
    let text = match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
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
        assert_eq!(scale(&[0.1, 10.0]), Some(Scale { range: 0.05..15.0, logarithmic: true }));
        assert!(!scale(&[0.0, 1e9]).unwrap().logarithmic, "nothing is so far below that it has no logarithm");
    }

    #[test]
    fn axis_numbers_are_short() {
        assert_eq!([1234.5, 20.0, 1.25, 0.05, 0.0].map(number), ["1234", "20", "1.2", "0.05", "0"]);
    }
}
