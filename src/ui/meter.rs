//! Draws one meter of the header in its style.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style as Look;

use crate::app::App;
use crate::columns;
use crate::meters::{Bar, Meter, Reading, Shown, Style, Tint};
use crate::text::{Charset, sanitize_str, width};

use super::pen::{Pen, faint, height as height_of};
use super::theme::Theme;

/// Cells of a meter's title.
const TITLE: u16 = 7;
/// Cells beside a graph, for its title, its figure and its scale.
const BESIDE: u16 = 11;
/// Cells of a figure at the end of a bar.
const FIGURE: u16 = 12;
/// Samples that a graph has room for at least, one after the other as there are more: with few, each is wider.
const HORIZONS: [usize; 3] = [32, 64, 128];
/// The least cells for one CPU's bar with its number and figure, and for its percentage alone.
const CPU: u16 = 18;
const CPU_TEXT: u16 = 4;

/// Lines that a meter wants in so many cells, where there are at most `most`.
pub fn height(app: &App, shown: Shown, width: u16, most: u16) -> u16 {
    match shown.style {
        Style::Graph if shown.meter.id != "cpus" => most.min(if most > 6 { 3 } else { 2 }),
        _ if shown.meter.id == "cpus" => {
            let count = app.model.as_deref().map_or(1, |m| m.host.cpus.len());
            cpu_lines(shown.style, count, width, most).0
        }
        _ => 1,
    }
}

/// Lines for so many CPUs, and how many are on a line; 0 where each is one character.
fn cpu_lines(style: Style, count: usize, width: u16, most: u16) -> (u16, u16) {
    let lines = |each: u16| u16::try_from(count.div_ceil(usize::from(each.max(1)))).unwrap_or(u16::MAX).max(1);
    let each = match style {
        // As wide as there is room for.
        Style::Bar => (width / CPU).min(u16::try_from(count).unwrap_or(u16::MAX)),
        Style::Text => width.saturating_sub(TITLE) / CPU_TEXT,
        Style::Graph => 0,
    };
    if each > 0 && lines(each) <= (most / 2).max(1) {
        return (lines(each), each);
    }
    (lines(width.saturating_sub(TITLE)).min(most.max(1)), 0)
}

/// Draws it.
pub fn draw(app: &App, shown: Shown, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let Some(model) = app.model.as_deref() else { return };
    let meter = shown.meter;
    match (meter.read)(model) {
        Reading::Unknown(why) => {
            title(meter, theme, area, buffer).put(why, theme.dim);
        }
        Reading::Each(all) => each(app, shown, &all, theme, area, buffer),
        Reading::Known { bar, text, level } => match shown.style {
            Style::Bar => {
                let cells = area.width.saturating_sub(TITLE + FIGURE + 1);
                let past = if meter.unit == "%" { cells / 3 } else { 0 };
                let cells = cells - if past > 0 { past + 1 } else { 0 };
                let mut pen = title(meter, theme, area, buffer);
                if past > 0 {
                    history(app, meter, past, theme, &mut pen);
                    pen.put(" ", theme.text);
                }
                pen.bar(cells, &parts(&bar, theme), app.options.unicode, theme.dim).put(" ", theme.text);
                pen.put(&clean(app, &bar.figure), theme.strong);
            }
            Style::Text => {
                let text = clean(app, &text);
                let room = usize::from(area.width.saturating_sub(TITLE + 1));
                title(meter, theme, area, buffer).put(whole_facts(&text, room), theme.text);
            }
            Style::Graph => graph(app, meter, level, theme, area, buffer),
        },
    }
}

/// The last levels in percent as heights, newest at the right; next to nothing is a dot.
fn history(app: &App, meter: &Meter, cells: u16, theme: &Theme, pen: &mut Pen<'_>) {
    let unicode = app.options.unicode;
    let mut levels: Vec<f32> = app.history.newest_first(meter).take(usize::from(cells)).collect();
    levels.reverse();
    pen.skip(cells.saturating_sub(u16::try_from(levels.len()).unwrap_or(cells)));
    for level in levels {
        match level < 1.0 {
            true => pen.put(faint(unicode), theme.dim),
            false => pen.put(height_of(level / 100.0, unicode), heat(level, theme)),
        };
    }
}

fn clean(app: &App, text: &str) -> String {
    sanitize_str(text, Charset::from_unicode(app.options.unicode)).into_owned()
}

fn title<'b>(meter: &Meter, theme: &Theme, area: Rect, buffer: &'b mut Buffer) -> Pen<'b> {
    let mut pen = Pen::new(buffer, area, 0);
    pen.put(&format!(" {:5} ", meter.title), theme.dim);
    pen
}

fn parts(bar: &Bar, theme: &Theme) -> Vec<(f32, Look)> {
    let look = |tint| match tint {
        Tint::Own => theme.good,
        Tint::Cheap => theme.cool,
        Tint::Kernel => theme.bad,
        Tint::Lost => theme.warn,
    };
    bar.parts.iter().map(|p| (p.share, look(p.tint))).collect()
}

/// How grave a level in percent is.
fn heat(percent: f32, theme: &Theme) -> Look {
    match percent {
        p if p >= 90.0 => theme.bad,
        p if p >= 60.0 => theme.warn,
        _ => theme.good,
    }
}

fn each(app: &App, shown: Shown, all: &[(String, Bar, Option<f32>)], theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let unicode = app.options.unicode;
    // The heights are laid out for the lines that were granted.
    let (_, on_line) = cpu_lines(shown.style, all.len(), area.width, area.height.saturating_mul(2));
    if on_line == 0 {
        return heights(all, unicode, shown.meter, theme, area, buffer);
    }
    let slot = area.width / on_line;
    for (line, cpus) in (0..area.height).zip(all.chunks(usize::from(on_line))) {
        let mut pen = Pen::new(buffer, area, line);
        if shown.style == Style::Text {
            pen.put(&if line == 0 { format!(" {:5} ", shown.meter.title) } else { " ".repeat(usize::from(TITLE)) }, theme.dim);
        }
        for (at, (name, bar, level)) in (0u16..).zip(cpus) {
            if shown.style == Style::Text {
                let figure = bar.figure.trim_end_matches('%');
                pen.put_right(figure, CPU_TEXT, level.map_or(theme.dim, |l| heat(l, theme)));
                continue;
            }
            pen.to(area.x + at * slot).put_right(name, 4, theme.dim).put(" ", theme.text);
            pen.bar(slot.saturating_sub(11), &parts(bar, theme), unicode, theme.dim);
            pen.put_right(&bar.figure, 5, theme.text);
        }
    }
}

/// One character for each.
fn heights(all: &[(String, Bar, Option<f32>)], unicode: bool, meter: &Meter, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let on_line = usize::from(area.width.saturating_sub(TITLE)).max(1);
    for (line, cpus) in (0..area.height).zip(all.chunks(on_line)) {
        let mut pen = Pen::new(buffer, area, line);
        pen.put(&if line == 0 { format!(" {:5} ", meter.title) } else { " ".repeat(usize::from(TITLE)) }, theme.dim);
        for (_, _, level) in cpus {
            match level {
                Some(level) => {
                    pen.put(height_of(level / 100.0, unicode), heat(*level, theme));
                }
                None => drop(pen.put("?", theme.dim)),
            }
        }
    }
}

/// As much of a text as has room, cut between two facts; a first fact that is too long is cut where it is.
fn whole_facts(text: &str, room: usize) -> &str {
    if width(text) <= room {
        return text;
    }
    let ends = ["  ", ", "].iter().flat_map(|divider| text.match_indices(divider)).map(|(at, _)| &text[..at]);
    ends.filter(|start| width(start) <= room).max_by_key(|start| start.len()).unwrap_or(text)
}

/// A level with its unit.
fn figure(meter: &Meter, level: f32) -> String {
    match meter.unit {
        "%" => format!("{level:.0}%"),
        "B/s" => format!("{}/s", columns::in_bytes(level as u64)),
        _ if level < 10.0 && level.fract() != 0.0 => format!("{level:.2}"),
        _ => format!("{level:.0}"),
    }
}

/// The last values, newest at the right; below the title the newest as a figure, and what the full height is.
fn graph(app: &App, meter: &Meter, level: Option<f32>, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let unicode = app.options.unicode;
    let plot = Rect { x: area.x + BESIDE.min(area.width), width: area.width.saturating_sub(BESIDE + 1), ..area };
    let points = usize::from(plot.width) * if unicode { 2 } else { 1 };
    let values: Vec<f32> = app.history.newest_first(meter).take(points).collect();
    let horizon = HORIZONS.into_iter().find(|room| *room >= values.len() && *room < points).unwrap_or(points).max(1);
    let highest = values.iter().copied().fold(0.0, f32::max);
    let full = if meter.unit == "%" { 100.0 } else { highest.max(1.0) };
    let beside = Rect { width: plot.x - area.x, ..area };
    let newest = level.map_or_else(|| "-".to_owned(), |level| figure(meter, level));
    let seconds = format!("{:.0} s", horizon as f64 * app.options.delay_s);
    let scale = match meter.unit {
        "%" => "of 100%".to_owned(),
        // Nothing has happened that could be drawn.
        _ if highest <= 0.0 => String::new(),
        _ => format!("of {}", figure(meter, full)),
    };
    if newest.len() <= 4 {
        // Title and figure in one line.
        title(meter, theme, beside, buffer).put(&newest, theme.strong);
        Pen::new(buffer, beside, 1).put(" ", theme.text).put(&scale, theme.dim);
        Pen::new(buffer, beside, 2).put(" ", theme.text).put(&seconds, theme.dim);
    } else {
        title(meter, theme, beside, buffer);
        Pen::new(buffer, beside, 1).put(" ", theme.text).put(&newest, theme.strong);
        Pen::new(buffer, beside, 2).put(" ", theme.text).put(&scale, theme.dim);
    }
    // Where nothing was measured yet, a line of dots: the time that the curve will fill.
    let known = values.len() * usize::from(plot.width) / horizon;
    let unknown = plot.width.saturating_sub(u16::try_from(known).unwrap_or(u16::MAX));
    let mut floor = Pen::new(buffer, plot, plot.height.saturating_sub(1));
    for _ in 0..unknown {
        floor.put(if unicode { "·" } else { "." }, theme.dim);
    }
    let look = if meter.unit == "%" { heat(level.unwrap_or(0.0), theme) } else { theme.cool };
    let share = |at: usize| values.get(at * horizon / points.max(1)).map_or(0.0, |v| (v / full).clamp(0.0, 1.0));
    for line in 0..plot.height {
        for cell in 0..plot.width {
            let back = usize::from(plot.width - 1 - cell);
            let above = plot.height - 1 - line;
            let symbol = if unicode {
                braille([share(back * 2 + 1), share(back * 2)], above, plot.height)
            } else {
                plain(share(back), above, plot.height)
            };
            if symbol != ' ' {
                buffer[(plot.x + cell, plot.y + line)].set_char(symbol).set_style(look);
            }
        }
    }
}

/// Two values side by side as dots from the bottom; the line is so many above the lowest of `lines`.
fn braille(values: [f32; 2], above: u16, lines: u16) -> char {
    const DOTS: [[u32; 4]; 2] = [[0x40, 0x04, 0x02, 0x01], [0x80, 0x20, 0x10, 0x08]];
    let mut bits = 0;
    for (dots, value) in DOTS.iter().zip(values) {
        let filled = (value * f32::from(lines * 4)).ceil() as u16;
        for (at, dot) in (0..4).zip(dots) {
            if above * 4 + at < filled {
                bits |= dot;
            }
        }
    }
    if bits == 0 { ' ' } else { char::from_u32(0x2800 + bits).unwrap_or(' ') }
}

fn plain(value: f32, above: u16, lines: u16) -> char {
    match (value * f32::from(lines * 2)).ceil() as u16 {
        filled if filled > above * 2 + 1 => '#',
        filled if filled > above * 2 => '.',
        _ => ' ',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_its_facts() {
        let text = "188: R12 S138 I38  67 procs, 60 kernel";
        assert_eq!(whole_facts(text, 40), text);
        assert_eq!(whole_facts(text, 33), "188: R12 S138 I38  67 procs");
        assert_eq!(whole_facts(text, 20), "188: R12 S138 I38");
        assert_eq!(whole_facts(text, 5), text, "nothing fits: the line cuts it");
    }

    #[test]
    fn dots_fill_from_the_bottom() {
        assert_eq!([braille([0.0, 0.0], 0, 2), braille([1.0, 1.0], 0, 2), braille([1.0, 1.0], 1, 2)], [' ', '⣿', '⣿']);
        assert_eq!([braille([0.5, 0.5], 0, 2), braille([0.5, 0.5], 1, 2)], ['⣿', ' ']);
        assert_eq!([braille([0.01, 0.0], 0, 1), braille([0.0, 0.5], 0, 1)], ['⡀', '⢠'], "a little is seen as a little");
        assert_eq!([plain(0.01, 0, 1), plain(1.0, 0, 1), plain(0.5, 1, 2)], ['.', '#', ' ']);
    }

    #[test]
    fn hundreds_of_cpus_are_characters_and_a_few_are_bars() {
        assert_eq!(cpu_lines(Style::Bar, 2, 40, 3), (1, 2));
        assert_eq!(cpu_lines(Style::Bar, 8, 70, 8), (3, 3));
        assert_eq!(cpu_lines(Style::Bar, 256, 70, 8), (5, 0), "5 lines of 63");
        assert_eq!(cpu_lines(Style::Text, 16, 70, 4), (2, 15));
        assert_eq!(cpu_lines(Style::Graph, 16, 70, 4), (1, 0));
    }
}
