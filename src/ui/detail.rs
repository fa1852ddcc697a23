//! Draws the details of a process: below the table, or on the whole screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::widgets::{Clear, Widget};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::app::App;
use crate::app::detail::overview::LABEL;
use crate::app::detail::{DetailPane, Tab};
use crate::app::layer::Layer;
use crate::app::past::Point;
use crate::columns::in_bytes;
use crate::text::{Charset, sanitize, truncate, width};

use super::layout::Layout;
use super::pen::Pen;
use super::theme::Theme;
use super::words::{laid, more_lines};

/// From this width on the graphs stand beside the overview; else in a line above it.
const BESIDE: u16 = 120;
/// Most lines of one fact of the overview.
const FACT_LINES: usize = 3;

/// Draws the details on the whole screen, below the header.
pub fn draw(app: &App, pane: &DetailPane, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let top = Layout::new(app, area).header.bottom();
    let area = Rect { y: top, height: area.bottom().saturating_sub(top), ..area };
    Clear.render(area, buffer);
    title(app, pane, theme, &mut Pen::new(buffer, area, 0));
    tabs(pane, theme, &mut Pen::new(buffer, area, 1), true);
    let below = page(app, pane, theme, body(area), buffer);
    let foot = Rect { y: area.bottom().saturating_sub(1), height: area.height.min(1), ..area };
    let back = if pane.split { " back to the lower half" } else { " back to the table" };
    let keys = [("Tab", " next page  "), ("arrows", " scroll  "), ("y", " copy  "), ("m", " mappings  "), ("Esc", back)];
    let mut keys: Vec<_> = keys.into_iter().filter(|(key, _)| *key != "m" || pane.tab == Tab::Memory).collect();
    let cells: usize = 1 + keys.iter().map(|(key, words)| key.len() + words.len()).sum::<usize>();
    // Where the number of lines below would not fit beside it, the way back is shorter.
    if cells + more_lines(below).len() + 2 > usize::from(foot.width) {
        keys.pop();
        keys.push(("Esc", " back"));
    }
    let mut pen = Pen::new(buffer, foot, 0);
    pen.put(" ", theme.text);
    keys.iter().for_each(|(key, words)| {
        pen.put(key, theme.key).put(words, theme.dim);
    });
    more(below, foot, theme, buffer);
}

/// Draws the details below the table.
pub fn draw_split(app: &App, pane: &DetailPane, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    tabs(pane, theme, &mut Pen::new(buffer, area, 1), false);
    let below = page(app, pane, theme, split_body(area), buffer);
    let head = Rect { height: area.height.min(1), ..area };
    buffer.set_style(head, theme.head);
    let mut pen = Pen::new(buffer, head, 0);
    let ended = pane.ended.is_some();
    let name = sanitize(pane.last.leader.comm.as_bytes(), Charset::from_unicode(app.options.unicode));
    let strong = theme.head.add_modifier(Modifier::BOLD);
    pen.put(&format!(" PID {} {name}", pane.key.pid), strong)
        .put(&format!("  {}", pane.standing()), if ended { strong } else { theme.head });
    let whole = if below > 0 { format!(" all ({})  ", more_lines(below)) } else { " full screen  ".to_owned() };
    let keys = [("Tab", " page  "), ("Enter", &*whole), ("Esc", " close ")];
    let cells: usize = keys.iter().map(|(key, words)| key.len() + words.len()).sum();
    let start = head.right().saturating_sub(u16::try_from(cells).unwrap_or(0));
    if pen.x() + 2 < start {
        pen.to(start);
        keys.iter().for_each(|(key, words)| {
            pen.put(key, theme.head.add_modifier(Modifier::BOLD)).put(words, theme.head);
        });
    }
}

fn split_body(area: Rect) -> Rect {
    Rect { y: area.y.saturating_add(2), height: area.height.saturating_sub(2), ..area }
}

/// Says at the right end of a line how many lines are out of sight.
fn more(below: usize, line: Rect, theme: &Theme, buffer: &mut Buffer) {
    if below > 0 {
        let more = format!(" {} ", more_lines(below));
        let at = line.right().saturating_sub(u16::try_from(more.len()).unwrap_or(0));
        Pen::new(buffer, line, 0).to(at).put(&more, theme.accent);
    }
}

fn title(app: &App, pane: &DetailPane, theme: &Theme, pen: &mut Pen<'_>) {
    let name = sanitize(pane.last.leader.comm.as_bytes(), Charset::from_unicode(app.options.unicode));
    let style = if pane.ended.is_some() { theme.warn } else { theme.text };
    pen.put(&format!(" PID {} ", pane.key.pid), theme.accent)
        .put(&name, theme.strong)
        .put("  ", theme.text)
        .put(&pane.standing(), style);
}

/// The names of the pages. On the whole screen their digits are keys; beside the table those choose a screen.
fn tabs(pane: &DetailPane, theme: &Theme, pen: &mut Pen<'_>, digits: bool) {
    for tab in Tab::ALL {
        let style = if tab == pane.tab { theme.selected } else { theme.dim };
        pen.put(&tab_key(tab, digits), theme.key).put(tab.title(), style);
    }
}

/// Draws the page; returns how many lines of it are out of sight below.
fn page(app: &App, pane: &DetailPane, theme: &Theme, body: Rect, buffer: &mut Buffer) -> usize {
    let charset = Charset::from_unicode(app.options.unicode);
    let text = if pane.tab == Tab::Overview {
        let (text, graphs) = overview_parts(body);
        if graphs.width < body.width {
            plots(app, pane, theme, graphs, buffer);
        } else {
            graph_line(app, pane, theme, graphs, buffer);
        }
        text
    } else {
        body
    };
    let lines = page_lines(app, pane, text.width);
    let scroll = pane.scroll.min(lines.len().saturating_sub(usize::from(text.height)));
    for (line, words) in (0..text.height).zip(lines.iter().skip(scroll)) {
        let mut pen = Pen::new(buffer, text, line);
        pen.put(" ", theme.text);
        if pane.tab == Tab::Overview {
            let (label, words) = words.split_at_checked(LABEL).unwrap_or(("", words));
            pen.put(label, theme.accent).put(words, theme.text);
            continue;
        }
        let moved: String = words.graphemes(true).skip(pane.sideways).collect();
        pen.put(&truncate(&moved, usize::from(text.width.saturating_sub(1)), charset), theme.text);
    }
    lines.len().saturating_sub(scroll + usize::from(text.height))
}

/// The lines of the page; those of the overview are wrapped.
fn page_lines(app: &App, pane: &DetailPane, width: u16) -> Vec<String> {
    let charset = Charset::from_unicode(app.options.unicode);
    let lines = pane.lines(app.model.as_deref(), charset);
    if pane.tab != Tab::Overview {
        return lines;
    }
    let width = usize::from(width.saturating_sub(2)).max(LABEL + 10);
    lines.iter().flat_map(|line| laid(line, width).into_iter().take(FACT_LINES)).collect()
}

/// Where the overview's words and its graphs are.
fn overview_parts(body: Rect) -> (Rect, Rect) {
    if body.width >= BESIDE {
        let width = body.width * 3 / 5;
        let graphs = Rect { x: body.x + width, width: body.width - width, ..body };
        (Rect { width, ..body }, graphs)
    } else {
        let graphs = Rect { height: body.height.min(1), ..body };
        (Rect { y: body.y + graphs.height, height: body.height - graphs.height, ..body }, graphs)
    }
}

/// Where its page is, in all that is below the header.
fn body(area: Rect) -> Rect {
    Rect { y: area.y.saturating_add(3), height: area.height.saturating_sub(4), ..area }
}

/// How many lines its page has, and how many of them are seen at once.
pub fn text_size(app: &App, pane: &DetailPane, area: Rect) -> (usize, usize) {
    let top = Layout::new(app, area).header.bottom();
    let body = body(Rect { y: top, height: area.bottom().saturating_sub(top), ..area });
    let text = if pane.tab == Tab::Overview { overview_parts(body).0 } else { body };
    (page_lines(app, pane, text.width).len(), usize::from(text.height))
}

fn tab_key(tab: Tab, digits: bool) -> String {
    if digits { format!(" {}", tab.digit()) } else { " ".to_owned() }
}

/// The page whose tab is at a cell.
#[must_use]
pub fn tab_at(app: &App, area: Rect, x: u16, y: u16) -> Option<usize> {
    let mut right = area.x;
    let layout = Layout::new(app, area);
    let whole = matches!(app.layer, Some(Layer::Detail(_)));
    let top = if whole { layout.header.bottom() } else { layout.split.y };
    let line = top + 1;
    Tab::ALL.into_iter().enumerate().filter(|_| y == line).find_map(|(index, tab)| {
        let left = right;
        right += u16::try_from(width(&tab_key(tab, whole)) + width(tab.title())).unwrap_or(0);
        (left..right).contains(&x).then_some(index)
    })
}

/// One graph: its title, the newest value in words, the highest one, and shares of the highest of 0..=100, newest first.
struct Curve {
    title: &'static str,
    now: String,
    highest: String,
    shares: Vec<f32>,
}

/// CPU use, memory and switches.
fn curves(pane: &DetailPane) -> [Curve; 3] {
    let curve = |title, get: fn(&Point) -> Option<f32>, words: fn(f32) -> String| {
        let values: Vec<Option<f32>> = pane.points.iter().map(get).collect();
        let most = values.iter().flatten().copied().reduce(f32::max);
        let in_words = |value: Option<f32>| value.map_or_else(|| "-".to_owned(), words);
        let share = |value: f32| if most > Some(0.0) { value * 100.0 / most.unwrap_or(1.0) } else { 0.0 };
        Curve {
            title,
            now: in_words(values.last().copied().flatten()),
            highest: in_words(most),
            shares: values.iter().rev().map(|value| value.map_or(0.0, share)).collect(),
        }
    };
    let number = |value: f32| format!("{value:.1}");
    [
        curve("CPU%", |p| p.cpu, number),
        curve("RES", |p| p.rss, |bytes| in_bytes(bytes as u64)),
        curve("switches/s", |p| p.switches, number),
    ]
}

/// All three beside one another in one line.
fn graph_line(app: &App, pane: &DetailPane, theme: &Theme, line: Rect, buffer: &mut Buffer) {
    let mut pen = Pen::new(buffer, line, 0);
    let each = line.width / 3;
    for (at, curve) in (0u16..).zip(curves(pane)) {
        let end = line.x + (at + 1) * each;
        pen.to(line.x + at * each)
            .put(&format!(" {} ", curve.title), theme.accent)
            .put(&curve.now, theme.strong)
            .put(" ", theme.text);
        let cells = end.saturating_sub(pen.x() + 1);
        pen.graph(cells, curve.shares.iter(), app.options.unicode, theme.text);
    }
}

/// All three over one another, as high as there is room for.
fn plots(app: &App, pane: &DetailPane, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let each = (area.height / 3).max(1);
    for (at, curve) in (0u16..).zip(curves(pane)) {
        if (at + 1) * each > area.height {
            break;
        }
        let line = Rect { y: area.y + at * each, height: 1, ..area };
        let mut pen = Pen::new(buffer, line, 0);
        pen.put(&format!(" {:11}", curve.title), theme.accent).put_right(&curve.now, 7, theme.strong).put(" ", theme.text);
        if each < 3 {
            let cells = pen.left().saturating_sub(1);
            pen.graph(cells, curve.shares.iter(), app.options.unicode, theme.text);
            continue;
        }
        let seconds = pane.points.len() as f64 * app.options.delay_s;
        pen.put(&format!(" highest {} in {seconds:.0} s", curve.highest), theme.dim);
        let plot = Rect { x: area.x + 1, y: line.y + 1, width: area.width.saturating_sub(2), height: (each - 1).min(MOST_PLOT) };
        bars(&curve.shares, app.options.unicode, theme, plot, buffer);
    }
}

/// Most lines of one plot.
const MOST_PLOT: u16 = 8;

/// A curve of shares of 0..=100, newest first, over several lines.
fn bars(newest_first: &[f32], unicode: bool, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    for line in 0..area.height {
        let below = f32::from(area.height - 1 - line) * 100.0;
        // What a line shows of a bar: a hundred for each line that is full.
        let parts: Vec<Option<f32>> =
            newest_first.iter().map(|s| Some(s * f32::from(area.height) - below).filter(|p| *p > 6.0)).collect();
        for (cell, part) in (0..area.width).zip(&parts) {
            if let Some(part) = part {
                let one = Rect { x: area.right() - 1 - cell, y: area.y + line, width: 1, height: 1 };
                Pen::new(buffer, one, 0).graph(1, std::iter::once(&part.min(100.0)), unicode, theme.text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::key::{Code, Key};
    use crate::app::msg::{Msg, Pointed};
    use crate::app::options::Options;
    use crate::config::ColorDepth;
    use crate::derive::{Deriver, test_process, test_snapshot};

    fn pane(app: &App) -> &DetailPane {
        match &app.layer {
            Some(Layer::Detail(pane)) => pane,
            other => panic!("no pane but {other:?}"),
        }
    }

    #[test]
    fn a_click_on_a_tab_turns_to_the_page_whose_name_is_there() {
        let area = Rect::new(0, 0, 80, 24);
        let mut app = App::new(Options::default());
        app.update(Msg::Sample(Arc::new(Deriver::new(0).step(test_snapshot(1, vec![test_process(7, 1, 5)])))));
        app.update(Msg::Key(Key::plain(Code::Enter)));
        assert!(app.split.is_some() && app.layer.is_none(), "below the table first");
        app.update(Msg::Key(Key::plain(Code::Enter)));
        let mut buffer = Buffer::empty(area);
        let theme = Theme::named("default", ColorDepth::True).unwrap();
        draw(&app, pane(&app), &theme, area, &mut buffer);
        let line_of = |y: u16| (0..80).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        let y = (0..24).find(|y| line_of(*y).contains("1Overview")).unwrap();
        for (index, tab) in Tab::ALL.into_iter().enumerate() {
            let x = u16::try_from(line_of(y).find(tab.title()).unwrap()).unwrap();
            assert_eq!(tab_at(&app, area, x, y), Some(index), "{}", tab.title());
        }
        assert_eq!((tab_at(&app, area, 79, y), tab_at(&app, area, 3, y + 1)), (None, None));
        app.update(Msg::Pointed(Pointed::Tab(6)));
        assert_eq!(pane(&app).tab, Tab::Groups);
        app.update(Msg::Key(Key::plain(Code::Right)));
        assert_eq!((pane(&app).sideways, pane(&app).tab), (8, Tab::Groups));
        // The wheel scrolls the page.
        app.update(Msg::Key(Key::char('8')));
        assert_eq!(pane(&app).sideways, 0);
        app.update(Msg::Pointed(Pointed::Wheel(1)));
        assert_eq!(pane(&app).scroll, 1);
    }
}
