//! Bar charts. A logarithmic scale without a natural zero uses dots instead, because the length of a bar would have no meaning.

use plotters::coord::ranged1d::ValueFormatter;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Drawn, Failed, GRID, GROUND, Layout, SERIES, Scale, TEXT, drawn, number};
use crate::lab::page::{Bar, Bars};

/// What the axis takes.
const AXIS: u32 = 52;

/// A chart; `None` if there is nothing that can be drawn.
pub fn bars(chart: &Bars) -> Option<Drawn> {
    let base = chart.base.filter(|_| !chart.bars.is_empty());
    let values = chart.bars.iter().flat_map(|b| {
        let (low, high) = b.spread.unwrap_or((b.value, b.value));
        [Some(b.value), Some(low), Some(high), b.reference]
    });
    let scale = Scale::over(values.flatten().chain(base))?;
    drawn(scale.logarithmic, |svg, layout| draw(svg, chart, &scale, layout))
}

/// Where things are in a row, whose height is 1.
struct RowPlaces {
    /// Pixels of a row.
    height: u32,
    /// The bar, from and to, from the bottom.
    body: (f64, f64),
}

impl RowPlaces {
    fn of(layout: Layout) -> Self {
        if layout.beside { Self { height: 28, body: (0.2, 0.8) } } else { Self { height: 44, body: (0.1, 0.48) } }
    }

    fn middle(&self) -> f64 {
        f64::midpoint(self.body.0, self.body.1)
    }
}

fn draw(svg: &mut String, chart: &Bars, scale: &Scale, layout: Layout) -> Result<(), Failed> {
    let rows = u32::try_from(chart.bars.len()).unwrap_or(u32::MAX);
    let height = rows.saturating_mul(RowPlaces::of(layout).height).saturating_add(AXIS);
    let root = SVGBackend::with_string(svg, (layout.width, height)).into_drawing_area();
    let names = chart.bars.iter().map(|b| layout.text_width(&b.label)).max().unwrap_or(0);
    let left = if layout.beside { (names + 16).clamp(60, layout.width / 2) } else { 8 };
    let right = chart.bars.iter().map(|b| layout.text_width(&b.text)).max().unwrap_or(0).min(layout.width / 4) + 14;
    let mut builder = ChartBuilder::on(&root);
    builder.margin_top(4).margin_left(left).margin_right(right).x_label_area_size(AXIS - 8);
    let y = 0.0..f64::from(rows);
    if scale.logarithmic {
        let mut context = builder.build_cartesian_2d(scale.range.clone().log_scale(), y)?;
        on(&mut context, chart, chart.base, scale, (layout, left))?;
    } else {
        let mut context = builder.build_cartesian_2d(scale.range.clone(), y)?;
        on(&mut context, chart, Some(0.0), scale, (layout, left))?;
    }
    root.present()?;
    Ok(())
}

type Context<'a, X> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, RangedCoordf64>>;
type Area<'a, X> = DrawingArea<SVGBackend<'a>, Cartesian2d<X, RangedCoordf64>>;

fn on<'a, X>(
    context: &mut Context<'a, X>,
    chart: &Bars,
    base: Option<f64>,
    scale: &Scale,
    (layout, left): (Layout, u32),
) -> Result<(), Failed>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    context
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc(&chart.axis)
        .x_labels(if layout.beside { 6 } else { 4 })
        .x_label_formatter(&|x| number(*x))
        .axis_style(GRID)
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .label_style(layout.text())
        .draw()?;
    let area = context.plotting_area();
    for (i, bar) in chart.bars.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "rows of a chart")]
        let bottom = (chart.bars.len() - 1 - i) as f64;
        name(area, bar, bottom, scale.range.start, (layout, left))?;
        if bar.value.is_finite() {
            one(area, bar, bottom, base.unwrap_or(scale.range.start), base.is_none(), layout)?;
        }
    }
    Ok(())
}

fn name<X: Ranged<ValueType = f64>>(
    area: &Area<'_, X>,
    bar: &Bar,
    bottom: f64,
    x: f64,
    (layout, left): (Layout, u32),
) -> Result<(), Failed> {
    let places = RowPlaces::of(layout);
    let (y, offset, pos, room) = if layout.beside {
        (bottom + places.middle(), (-8, 0), Pos::new(HPos::Right, VPos::Center), left.saturating_sub(8))
    } else {
        (bottom + places.body.1, (0, -3), Pos::new(HPos::Left, VPos::Bottom), layout.width - 16)
    };
    let text = Text::new(layout.fit(&bar.label, room), offset, layout.text().pos(pos));
    area.draw(&(EmptyElement::at((x, y)) + text))?;
    Ok(())
}

fn one<X: Ranged<ValueType = f64>>(
    area: &Area<'_, X>,
    bar: &Bar,
    bottom: f64,
    base: f64,
    dot: bool,
    layout: Layout,
) -> Result<(), Failed> {
    let places = RowPlaces::of(layout);
    let y = bottom + places.middle();
    let colour = SERIES[bar.group % SERIES.len()];
    if dot {
        area.draw(&PathElement::new([(base, y), (bar.value, y)], GRID.stroke_width(1)))?;
    } else {
        let body = [(base, bottom + places.body.0), (bar.value, bottom + places.body.1)];
        area.draw(&Rectangle::new(body, colour.filled()))?;
    }
    let (low, high) = bar.spread.filter(|(low, high)| low.is_finite() && high.is_finite()).unwrap_or((bar.value, bar.value));
    if low < high {
        area.draw(&PathElement::new([(low, y), (high, y)], TEXT.stroke_width(1)))?;
    }
    if dot {
        area.draw(&Circle::new((bar.value, y), 5, colour.filled()))?;
    }
    let text = layout.fit(&bar.text, layout.width / 4);
    let mut right = [base, bar.value, high].into_iter().fold(f64::MIN, f64::max);
    if let Some(reference) = bar.reference.filter(|r| r.is_finite()) {
        area.draw(&Cross::new((reference, y), 6, GROUND.stroke_width(5)))?;
        area.draw(&Cross::new((reference, y), 5, SERIES[1].stroke_width(2)))?;
        // What the bar says stands at its end, behind a cross only if it would stand on it.
        let behind = area.map_coordinate(&(reference, y)).0 - area.map_coordinate(&(right, y)).0;
        if (-14..i32::try_from(layout.text_width(&text)).unwrap_or(i32::MAX).saturating_add(18)).contains(&behind) {
            right = reference;
        }
    }
    let style = layout.text().pos(Pos::new(HPos::Left, VPos::Center));
    area.draw(&(EmptyElement::at((right, y)) + Text::new(text, (9, 0), style)))?;
    Ok(())
}
