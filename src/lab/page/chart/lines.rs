//! Curves over a common axis.

use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;

use super::{Drawn, Failed, GRID, Layout, SERIES, Scale, drawn, number};
use crate::lab::page::Lines;

/// A chart; `None` if there is nothing that can be drawn.
pub fn lines(chart: &Lines) -> Option<Drawn> {
    let points = || chart.series.iter().flat_map(|(_, points)| points.iter());
    let (x, y) = (Scale::over(points().map(|p| p.0))?, Scale::over(points().map(|p| p.1))?);
    drawn(y.logarithmic, |svg, layout| draw(svg, chart, (&x, &y), layout))
}

fn draw(svg: &mut String, chart: &Lines, (x, y): (&Scale, &Scale), layout: Layout) -> Result<(), Failed> {
    let height = if layout.beside { 360 } else { 280 };
    let root = SVGBackend::with_string(svg, (layout.width, height)).into_drawing_area();
    let mut builder = ChartBuilder::on(&root);
    builder.margin_top(8).margin_right(16).margin_left(6).x_label_area_size(44).y_label_area_size(if layout.beside {
        66
    } else {
        56
    });
    let (along, up) = (x.range.clone(), y.range.clone());
    match (x.logarithmic, y.logarithmic) {
        (false, false) => on(&mut builder.build_cartesian_2d(along, up)?, chart, (x, y), layout)?,
        (false, true) => on(&mut builder.build_cartesian_2d(along, up.log_scale())?, chart, (x, y), layout)?,
        (true, false) => on(&mut builder.build_cartesian_2d(along.log_scale(), up)?, chart, (x, y), layout)?,
        (true, true) => on(&mut builder.build_cartesian_2d(along.log_scale(), up.log_scale())?, chart, (x, y), layout)?,
    }
    root.present()?;
    Ok(())
}

fn on<'a, X, Y>(
    context: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    chart: &Lines,
    (x, y): (&Scale, &Scale),
    layout: Layout,
) -> Result<(), Failed>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let whole = chart.series.iter().flat_map(|(_, points)| points).all(|p| p.0.fract() == 0.0);
    context
        .configure_mesh()
        .x_desc(&chart.axes.0)
        .y_desc(&chart.axes.1)
        .x_labels(x.labels(if layout.beside { 8 } else { 5 }, whole))
        .y_labels(y.labels(6, false))
        .x_label_formatter(&|x| number(*x))
        .y_label_formatter(&|y| number(*y))
        .axis_style(GRID)
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .label_style(layout.text())
        .draw()?;
    for (i, (_, points)) in chart.series.iter().enumerate() {
        let colour = SERIES[i % SERIES.len()];
        let (points, style) = (points.iter().copied(), colour.stroke_width(2));
        if i < SERIES.len() {
            context.draw_series(LineSeries::new(points.clone(), style))?;
        } else {
            context.draw_series(DashedLineSeries::new(points.clone(), 6, 5, style))?;
        }
        context.draw_series(points.map(|point| Circle::new(point, 4, colour.filled())))?;
    }
    Ok(())
}
