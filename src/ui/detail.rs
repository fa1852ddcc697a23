//! Draws the detail pane over the table, below the header.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::app::App;
use crate::app::detail::{DetailPane, Point, Tab, in_bytes};
use crate::text::{Charset, sanitize, truncate, width};

use super::layout::Layout;
use super::pen::Pen;
use super::theme::Theme;

/// Draws the open pane.
pub fn draw(app: &App, pane: &DetailPane, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let layout = Layout::new(app, area);
    let top = layout.header.bottom();
    let area = Rect { y: top, height: area.bottom().saturating_sub(top), ..area };
    Clear.render(area, buffer);
    let charset = Charset::from_unicode(app.options.unicode);
    let name = sanitize(pane.last.leader.comm.as_bytes(), charset);
    let style = if pane.ended.is_some() { theme.warn } else { theme.text };
    Pen::new(buffer, area, 0)
        .put(&format!(" PID {} ", pane.key.pid), theme.accent)
        .put(&name, theme.strong)
        .put("  ", theme.text)
        .put(&pane.standing(), style);
    let mut pen = Pen::new(buffer, area, 1);
    for tab in Tab::ALL {
        let style = if tab == pane.tab { theme.selected } else { theme.dim };
        pen.put(&tab_key(tab), theme.key).put(tab.title(), style);
    }
    let body = body(area);
    let mut below = 0;
    if pane.tab == Tab::Graphs {
        graphs(app, pane, theme, body, buffer);
    } else {
        let lines = pane.lines(app.model.as_deref(), charset);
        let scroll = pane.scroll.min(lines.len().saturating_sub(usize::from(body.height)));
        below = lines.len().saturating_sub(scroll + usize::from(body.height));
        for (line, text) in (0..body.height).zip(lines.iter().skip(scroll)) {
            let moved: String = text.graphemes(true).skip(pane.sideways).collect();
            let text = truncate(&moved, usize::from(body.width.saturating_sub(1)), charset);
            Pen::new(buffer, body, line).put(" ", theme.text).put(&text, theme.text);
        }
    }
    let foot = Rect { y: area.bottom().saturating_sub(1), height: area.height.min(1), ..area };
    Pen::new(buffer, foot, 0)
        .put(" Tab", theme.key)
        .put(" next page  ", theme.dim)
        .put("arrows", theme.key)
        .put(" scroll  ", theme.dim)
        .put("y", theme.key)
        .put(" copy  ", theme.dim)
        .put("m", theme.key)
        .put(" mappings  ", theme.dim)
        .put("Esc", theme.key)
        .put(" back to the table", theme.dim);
    if below > 0 {
        let more = format!(" {below} more lines ");
        let at = foot.right().saturating_sub(u16::try_from(more.len()).unwrap_or(0));
        Pen::new(buffer, foot, 0).to(at).put(&more, theme.accent);
    }
}

/// Where its page is, in all that is below the header.
fn body(area: Rect) -> Rect {
    Rect { y: area.y.saturating_add(3), height: area.height.saturating_sub(4), ..area }
}

/// How many lines its page has, and how many of them are seen at once.
pub fn text_size(app: &App, pane: &DetailPane, area: Rect) -> (usize, usize) {
    let top = Layout::new(app, area).header.bottom();
    let page = body(Rect { y: top, height: area.bottom().saturating_sub(top), ..area }).height;
    (pane.lines(app.model.as_deref(), Charset::from_unicode(app.options.unicode)).len(), usize::from(page))
}

fn tab_key(tab: Tab) -> String {
    format!(" {}", tab.digit())
}

/// The page whose tab is at a cell.
#[must_use]
pub fn tab_at(app: &App, area: Rect, x: u16, y: u16) -> Option<usize> {
    let mut right = area.x;
    let line = Layout::new(app, area).header.bottom() + 1;
    Tab::ALL.into_iter().enumerate().filter(|_| y == line).find_map(|(index, tab)| {
        let left = right;
        right += u16::try_from(width(&tab_key(tab)) + width(tab.title())).unwrap_or(0);
        (left..right).contains(&x).then_some(index)
    })
}

/// Three curves over one another, as high as there is room for.
fn graphs(app: &App, pane: &DetailPane, theme: &Theme, body: Rect, buffer: &mut Buffer) {
    let newest = pane.points.back().copied().unwrap_or_default();
    let number = |value: Option<f32>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.1}"));
    let bytes = |value: Option<f32>| value.map_or_else(|| "-".to_owned(), |v| in_bytes(v as u64));
    let rss = |p: &Point| p.rss.map(|b| b as f32);
    type Curve<'a> = (&'a str, &'a dyn Fn(Option<f32>) -> String, Option<f32>, Vec<Option<f32>>);
    let curves: [Curve<'_>; 3] = [
        ("CPU%", &number, newest.cpu, pane.points.iter().map(|p| p.cpu).collect()),
        ("RES", &bytes, rss(&newest), pane.points.iter().map(rss).collect()),
        ("switches/s", &number, newest.switches, pane.points.iter().map(|p| p.switches).collect()),
    ];
    let each = body.height.saturating_sub(1) / 3;
    for (at, (title, words, now, values)) in (0u16..).zip(curves) {
        let most = values.iter().flatten().copied().reduce(f32::max);
        let share = |value: &f32| if most > Some(0.0) { value * 100.0 / most.unwrap_or(1.0) } else { 0.0 };
        let shares: Vec<f32> = values.iter().rev().flatten().map(share).collect();
        let mut pen = Pen::new(buffer, body, at * each);
        pen.put(&format!(" {title:11}"), theme.accent).put_right(&words(now), 9, theme.strong);
        pen.put(&format!("  highest {:9}", words(most)), theme.dim);
        if each < 3 {
            // The line of the title has what room there is.
            let cells = pen.left().saturating_sub(1);
            pen.graph(cells, shares.iter(), app.options.unicode, theme.text);
            continue;
        }
        let plot = Rect { x: body.x + 1, y: body.y + at * each + 1, width: body.width.saturating_sub(2), height: each - 2 };
        bars(&shares, app.options.unicode, theme, plot, buffer);
    }
    let note = Rect { y: body.bottom().saturating_sub(1), height: body.height.min(1), ..body };
    Pen::new(buffer, note, 0).put(" Scaled to the highest value since this pane was opened; newest at the right.", theme.dim);
}

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
    use crate::app::layer::Layer;
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
        let mut buffer = Buffer::empty(area);
        let theme = Theme::named("default", ColorDepth::True).unwrap();
        draw(&app, pane(&app), &theme, area, &mut buffer);
        let line_of = |y: u16| (0..80).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        let y = (0..24).find(|y| line_of(*y).contains("1Threads")).unwrap();
        for (index, tab) in Tab::ALL.into_iter().enumerate() {
            let x = u16::try_from(line_of(y).find(tab.title()).unwrap()).unwrap();
            assert_eq!(tab_at(&app, area, x, y), Some(index), "{}", tab.title());
        }
        assert_eq!((tab_at(&app, area, 79, y), tab_at(&app, area, 3, y + 1)), (None, None));
        app.update(Msg::Pointed(Pointed::Tab(5)));
        assert_eq!(pane(&app).tab, Tab::Groups);
        app.update(Msg::Key(Key::plain(Code::Right)));
        assert_eq!((pane(&app).sideways, pane(&app).tab), (8, Tab::Groups));
        // The wheel scrolls the page.
        app.update(Msg::Key(Key::char('7')));
        assert_eq!(pane(&app).sideways, 0);
        app.update(Msg::Pointed(Pointed::Wheel(1)));
        assert_eq!(pane(&app).scroll, 1);
    }
}
