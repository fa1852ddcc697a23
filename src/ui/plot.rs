//! Draws curves with characters: lines of dots, and the letter of the curve at each measured point, so that colour is not needed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::widgets::Widget as _;
use ratatui::widgets::canvas::{Canvas, Line};

use crate::lab::report::Plot;
use crate::text;

use super::pen::Pen;

/// How it is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Titles and letters.
    pub strong: Style,
    /// Labels and axes.
    pub dim: Style,
    /// Colours of the curves, in turn.
    pub colors: [Color; 6],
    /// Whether there is more than ASCII.
    pub unicode: bool,
}

/// The letter of a curve.
fn letter(at: usize) -> String {
    char::from(b'A' + u8::try_from(at % 26).unwrap_or(0)).to_string()
}

/// Cells between two names of the legend.
const GAP: u16 = 3;

/// The curves by line of the legend: as many beside each other as `width` has room for.
fn legend(plot: &Plot, width: u16) -> Vec<Vec<usize>> {
    let mut lines: Vec<Vec<usize>> = Vec::new();
    let mut left = 0;
    for (at, (name, _)) in plot.series.iter().enumerate() {
        let needs = 2 + text::width(name) + usize::from(GAP);
        match lines.last_mut().filter(|_| needs <= left) {
            Some(line) => line.push(at),
            None => {
                left = usize::from(width) + usize::from(GAP);
                lines.push(vec![at]);
            }
        }
        left = left.saturating_sub(needs);
    }
    lines
}

/// Cells on the left that the labels of the vertical axis need.
fn left_of(plot: &Plot) -> u16 {
    u16::try_from(plot.y_labels.iter().map(|l| text::width(l)).max().unwrap_or(0)).unwrap_or(8) + 2
}

/// Lines of the legend in that width.
#[must_use]
pub fn legend_lines(plot: &Plot, width: u16) -> u16 {
    u16::try_from(legend(plot, width.saturating_sub(left_of(plot))).len()).unwrap_or(u16::MAX)
}

/// Draws a plot with title, labels and legend; needs some 7 lines to say anything.
pub fn draw(plot: &Plot, look: &Look, area: Rect, buffer: &mut Buffer) {
    let legend_lines = legend_lines(plot, area.width);
    let legend_rows = legend(plot, area.width.saturating_sub(left_of(plot)));
    if area.height < legend_lines.saturating_add(6) || area.width < 30 {
        return;
    }
    let left = left_of(plot);
    let body = Rect { x: area.x + left, y: area.y + 1, width: area.width - left - 1, height: area.height - legend_lines - 3 };
    Pen::new(buffer, area, 0).put(&plot.title, look.strong).put("  over ", look.dim).put(&plot.x_title, look.dim);
    let canvas = Canvas::default()
        .x_bounds([0.0, 1.0])
        .y_bounds([0.0, 1.0])
        .marker(if look.unicode { Marker::Braille } else { Marker::Dot })
        .paint(|canvas| {
            for (at, (_, points)) in plot.series.iter().enumerate() {
                let color = look.colors[at % look.colors.len()];
                for pair in points.windows(2) {
                    canvas.draw(&Line { x1: pair[0].0, y1: pair[0].1, x2: pair[1].0, y2: pair[1].1, color });
                }
            }
            canvas.layer();
            for (at, (_, points)) in plot.series.iter().enumerate() {
                let style = look.strong.fg(look.colors[at % look.colors.len()]);
                for (x, y) in points {
                    canvas.print(*x, *y, ratatui::text::Span::styled(letter(at), style));
                }
            }
        });
    canvas.render(body, buffer);
    if !look.unicode {
        plain(body, buffer);
    }
    axes(plot, look, area, body, buffer);
    for (line, names) in (area.height - legend_lines..).zip(legend_rows) {
        let mut pen = Pen::new(buffer, area, line);
        pen.skip(left);
        for at in names {
            let style = look.strong.fg(look.colors[at % look.colors.len()]);
            pen.put(&letter(at), style).put(" ", look.dim).put(&plot.series[at].0, look.strong).skip(GAP);
        }
    }
}

/// The dots of lines as ASCII.
fn plain(body: Rect, buffer: &mut Buffer) {
    for y in body.y..body.bottom() {
        for x in body.x..body.right() {
            let cell = &mut buffer[(x, y)];
            if !cell.symbol().is_ascii() {
                cell.set_symbol(".");
            }
        }
    }
}

fn axes(plot: &Plot, look: &Look, area: Rect, body: Rect, buffer: &mut Buffer) {
    let (bar, corner, dash) = if look.unicode { ("│", "└", "─") } else { ("|", "+", "-") };
    let left = body.x - area.x;
    for y in body.y..body.bottom() {
        Pen::new(buffer, Rect { y, height: 1, ..area }, 0).skip(left - 1).put(bar, look.dim);
    }
    let under = Rect { y: body.bottom(), height: 2, ..area };
    Pen::new(buffer, under, 0).skip(left - 1).put(corner, look.dim).fill(dash, look.dim);
    let last = plot.y_labels.len().saturating_sub(1).max(1);
    for (i, label) in plot.y_labels.iter().enumerate() {
        let up = usize::from(body.height.saturating_sub(1)) * i / last;
        let y = body.bottom() - 1 - u16::try_from(up).unwrap_or(0);
        Pen::new(buffer, Rect { y, height: 1, ..area }, 0).put_right(label, left - 2, look.dim);
    }
    let last = plot.x_labels.len().saturating_sub(1).max(1);
    for (i, label) in plot.x_labels.iter().enumerate() {
        let at = u16::try_from(usize::from(body.width.saturating_sub(1)) * i / last).unwrap_or(0);
        let width = u16::try_from(text::width(label)).unwrap_or(0);
        // Centred under its place, and within the area.
        let x = (body.x + at).saturating_sub(width / 2).min(area.right().saturating_sub(width));
        Pen::new(buffer, under, 1).skip(x - area.x).put(label, look.dim);
    }
}

/// The same as lines of text.
#[must_use]
pub fn lines(plot: &Plot, width: u16, height: u16) -> Vec<String> {
    let area = Rect::new(0, 0, width, height.saturating_add(legend_lines(plot, width)));
    let mut buffer = Buffer::empty(area);
    let look = Look { strong: Style::default(), dim: Style::default(), colors: [Color::Reset; 6], unicode: true };
    draw(plot, &look, area, &mut buffer);
    let row = |y: u16| (0..area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..area.height).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_go_where_their_points_are() {
        let plot = Plot {
            title: "create".into(),
            x_title: "memory".into(),
            series: vec![
                ("grows".into(), vec![(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)]),
                ("stays".into(), vec![(0.0, 0.2), (1.0, 0.2)]),
            ],
            x_labels: ["0", "500", "1000"].map(str::to_owned).to_vec(),
            y_labels: ["0 ns", "5 ms", "10 ms"].map(str::to_owned).to_vec(),
        };
        let text = lines(&plot, 60, 14);
        let find = |c: char| -> Vec<(usize, usize)> {
            let body = &text[1..text.len() - 3];
            body.iter()
                .enumerate()
                .flat_map(|(y, l)| l.chars().enumerate().filter(move |(_, s)| *s == c).map(move |(x, _)| (x, y)))
                .collect()
        };
        let (a, b) = (find('A'), find('B'));
        assert_eq!((a.len(), b.len()), (3, 2), "{}", text.join("\n"));
        assert!(a[0].0 > a[1].0 && a[1].0 > a[2].0 && b[0].1 == b[1].1, "{}", text.join("\n"));
        assert!(text[0].contains("create  over memory") && text[text.len() - 1].contains("A grows   B stays"));
        assert!(text.iter().any(|l| l.contains("500") && l.contains("1000")));
    }
}
