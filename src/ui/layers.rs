//! Draws the dialogs over the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::app::lab_view::output_lines;
use crate::app::layer::{Layer, Menu, MenuKind, SignalDialog};
use crate::app::target::FrozenTarget;
use crate::snapshot::SigTerm;
use crate::text::{self, Charset};

use super::demos;
use super::geometry::{ListArea, centered, frame, inside, scroll_of};
use super::pen::Pen;
use super::theme::Theme;
use super::typed;
use super::words::{laid, more_lines, wrap};

/// Draws the open dialog; the list in it that takes clicks, if it has one.
pub fn draw(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    match &app.layer {
        Some(Layer::Detail(pane)) => super::detail::draw(app, pane, theme, area, buffer),
        Some(Layer::Setup(setup)) => super::setup::draw(app, setup, theme, area, buffer),
        Some(Layer::Ledger(pane)) => super::ledger::draw(app, pane, theme, area, buffer),
        Some(Layer::Signal(dialog)) => signal(app, dialog, theme, area, buffer),
        Some(Layer::Menu(menu)) => draw_menu(app, menu, theme, area, buffer),
        Some(Layer::QuickLaunch { race }) => demos::draw(app, *race, theme, area, buffer),
        Some(Layer::Palette(palette)) => super::palette::draw(app, palette, theme, area, buffer),
        _ => {
            if let Some(text) = Text::of(app, area) {
                texts(app, &text, theme, buffer);
            }
        }
    }
}

/// How many lines the open text has, and how many of them are seen at once; `None` if what is open is no text.
#[must_use]
pub fn text_size(app: &App, area: Rect) -> Option<(usize, usize)> {
    if let Some(Layer::Detail(pane)) = &app.layer {
        return Some(super::detail::text_size(app, pane, area));
    }
    Text::of(app, area).map(|text| (text.lines.len(), text.page()))
}

/// A text that lies over the screen, laid out for its size.
struct Text {
    title: String,
    lines: Vec<String>,
    scroll: usize,
    place: Rect,
    /// Columns of lines beside one another.
    columns: u16,
}

/// From this width on help has two columns.
const TWO_COLUMNS: u16 = 130;

impl Text {
    /// Lines that are seen at once.
    fn page(&self) -> usize {
        usize::from(inside(self.place).height) * usize::from(self.columns)
    }

    /// The open one.
    fn of(app: &App, area: Rect) -> Option<Self> {
        let (title, lines, scroll) = match app.layer.as_ref()? {
            Layer::Help { scroll, find } => {
                let typed = text::sanitize_str(find.text(), Charset::from_unicode(app.options.unicode)).into_owned();
                let title = if typed.is_empty() { "Help: type to search".to_owned() } else { format!("Help: {typed}_") };
                (title, super::help::open(app, find.text()), *scroll)
            }
            Layer::Explain { title, lines, scroll } => (title.clone(), lines.clone(), *scroll),
            Layer::Output { scroll } => {
                let (title, lines) = output(app);
                (title, lines, *scroll)
            }
            _ => return None,
        };
        let help = matches!(app.layer, Some(Layer::Help { .. }));
        let columns = if help && area.width >= TWO_COLUMNS { 2 } else { 1 };
        let width = area.width.saturating_sub(4).min(if columns == 2 { 200 } else { 110 });
        let cells = usize::from((width.saturating_sub(2) / columns).saturating_sub(2));
        let lines: Vec<String> = lines.iter().flat_map(|line| laid(line, cells)).collect();
        let needed = lines.len().div_ceil(usize::from(columns)) + 2;
        // Help keeps its height, so that nothing jumps while one types.
        let needed = if help { usize::from(u16::MAX) } else { needed };
        let height = u16::try_from(needed).unwrap_or(u16::MAX).min(area.height.saturating_sub(2)).max(3);
        Some(Self { title, lines, scroll, place: centered(area, width, height), columns })
    }
}

/// The list of the open dialog; `None` if no dialog is open.
#[must_use]
pub fn list_area(app: &App, area: Rect) -> Option<ListArea> {
    let of = |lines: Rect, cursor| ListArea { lines, first: scroll_of(cursor, lines.height) };
    match app.layer.as_ref()? {
        Layer::Signal(dialog) => Some(of(signal_list(dialog, area), dialog.cursor)),
        Layer::Menu(menu) => Some(of(inside(menu_area(menu, area)), menu.cursor)),
        Layer::Palette(palette) => Some(of(super::palette::list(area), palette.cursor)),
        Layer::Input(_) => None,
        _ => Some(of(Rect { width: 0, height: 0, ..area }, 0)),
    }
}

fn texts(app: &App, open: &Text, theme: &Theme, buffer: &mut Buffer) {
    let body = frame(app, &open.title, theme, open.place, buffer);
    let scroll = open.scroll.min(open.lines.len().saturating_sub(open.page()));
    let each = body.width / open.columns;
    let mut lines = open.lines.iter().skip(scroll);
    for column in 0..open.columns {
        let part = Rect { x: body.x + column * each, width: each, ..body };
        for (line, text) in (0..part.height).zip(&mut lines) {
            let style = if text.starts_with(' ') || text.is_empty() { theme.text } else { theme.accent };
            Pen::new(buffer, part, line).put(" ", style).put(text, style);
        }
    }
    let more = open.lines.len().saturating_sub(scroll + open.page());
    let foot = match (more, &app.layer) {
        (0, Some(Layer::Help { find, .. })) if !find.text().is_empty() => " Esc clears what was typed ".to_owned(),
        (0, _) => " Up Down scroll, Esc closes ".to_owned(),
        (more, _) => format!(" {}: Down PgDn End, Esc closes ", more_lines(more)),
    };
    let corner = Rect { y: body.bottom(), height: 1, ..body };
    Pen::new(buffer, corner, 0)
        .to(corner.right().saturating_sub(u16::try_from(foot.len()).unwrap_or(0) + 1))
        .put(&foot, theme.dim);
}

/// Title and lines of what a run has said.
fn output(app: &App) -> (String, Vec<String>) {
    let charset = Charset::from_unicode(app.options.unicode);
    let (title, lines) = match app.output_run() {
        Some(run) => (format!("Run {} of {}", run.id, run.spec.system), output_lines(run)),
        None => (app.lab.chosen().id.to_owned(), vec![format!("It has not run yet. {}", super::lab::to_run(app))]),
    };
    (title, lines.iter().map(|l| text::sanitize_str(l, charset).into_owned()).collect())
}

const SIGNAL_WIDTH: u16 = 78;
/// Most targets named one by one.
const NAMED: usize = 6;

fn target_lines(dialog: &SignalDialog, area: Rect) -> u16 {
    let Some(targets) = &dialog.targets else { return 1 };
    let of = |t: &FrozenTarget| 1 + below(t, area.width.min(SIGNAL_WIDTH) - area.width.min(2)).len();
    let named: usize = targets.iter().take(NAMED).map(of).sum();
    u16::try_from(named + usize::from(targets.len() > NAMED)).unwrap_or(6)
}

/// Cells before the reasons that stand below a name.
const BELOW: u16 = 12;

/// Why it is left alone, in lines below its name where it does not fit behind it.
fn below(target: &FrozenTarget, width: u16) -> Vec<String> {
    let Some(why) = &target.problem else { return Vec::new() };
    let fits = usize::from(width) >= 13 + text::width(&target.name).min(30) + text::width(why);
    if fits { Vec::new() } else { wrap(why, usize::from(width.saturating_sub(BELOW + 1))) }
}

fn signal_area(dialog: &SignalDialog, area: Rect) -> Rect {
    centered(area, SIGNAL_WIDTH, (target_lines(dialog, area) + 16).min(area.height))
}

fn signal_list(dialog: &SignalDialog, area: Rect) -> Rect {
    let body = inside(signal_area(dialog, area));
    let above = target_lines(dialog, area) + 3;
    Rect { y: body.y + above.min(body.height), height: body.height.saturating_sub(above + 1), ..body }
}

/// One target; returns the lines used.
fn target(t: &FrozenTarget, charset: Charset, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let mut pen = Pen::new(buffer, area, 0);
    pen.put_right(&t.key.pid.to_string(), 8, theme.strong).put("  ", theme.text);
    let name = text::truncate(&t.name, 30, charset).into_owned();
    let Some(why) = &t.problem else {
        let rest = usize::from(area.width).saturating_sub(12 + text::width(&name).max(16));
        let command = text::truncate(&t.command, rest, charset);
        let gap = " ".repeat(16usize.saturating_sub(text::width(&name)) + 1);
        pen.put(&name, theme.text).put(&gap, theme.text).put(&command, theme.dim);
        return 1;
    };
    pen.put(&name, theme.dim).put("  ", theme.text);
    let below = below(t, area.width);
    if below.is_empty() {
        pen.put(why, theme.bad);
    }
    let mut line = 1;
    for part in below {
        Pen::new(buffer, area, line).skip(BELOW).put(&part, theme.bad);
        line += 1;
    }
    line
}

const SIGTERM: i32 = 15;

/// Why SIGTERM will not end a target; `None` if nothing speaks against it.
fn sigterm_warning(dialog: &SignalDialog) -> Option<String> {
    let how = dialog.willing().find_map(|target| target.sigterm)?;
    let count = dialog.willing().filter(|target| target.sigterm.is_some()).count();
    let does = match how {
        SigTerm::Ignored => "is ignored by",
        SigTerm::Blocked => "is blocked by",
        SigTerm::Pending => "was sent before and is blocked by",
    };
    let whom = match (dialog.willing().count(), count) {
        (1, _) => "this process".to_owned(),
        (all, some) if all == some => "these processes".to_owned(),
        (all, some) => format!("{some} of these {all} processes"),
    };
    Some(format!("{does} {whom}: use SIGKILL"))
}

fn signal(app: &App, dialog: &SignalDialog, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let body = frame(app, "Send a signal", theme, signal_area(dialog, area), buffer);
    let charset = Charset::from_unicode(app.options.unicode);
    let Some(targets) = &dialog.targets else {
        Pen::new(buffer, body, 0).put(" opening the targets...", theme.dim);
        return;
    };
    let at = target_lines(dialog, area);
    let mut line = 0;
    for t in targets.iter().take(NAMED) {
        line += target(t, charset, theme, Rect { y: body.y + line, height: body.height.saturating_sub(line), ..body }, buffer);
    }
    if targets.len() > NAMED {
        Pen::new(buffer, body, line).put(&format!("          and {} more", targets.len() - NAMED), theme.dim);
    }
    let willing = dialog.willing().count();
    if willing > 0 {
        let mut pen = Pen::new(buffer, body, at);
        match dialog.thread {
            Some(tid) => pen.put(&format!(" to the whole process: a signal to thread {tid} reaches all its threads"), theme.warn),
            None => pen.put(&format!(" to {willing} of {} targets", targets.len()), theme.dim),
        };
    } else {
        Pen::new(buffer, body, at).put(" no target can be signalled: Esc", theme.warn);
    }
    let mut pen = Pen::new(buffer, body, at + 1);
    pen.put(" find: ", theme.dim);
    let room = pen.left().saturating_sub(1);
    typed::draw(&mut pen, &dialog.query, None, room, charset, theme);
    let list = signal_list(dialog, area);
    let matches = dialog.matches();
    if matches.is_empty() {
        Pen::new(buffer, list, 0).put(" no such signal", theme.warn);
    }
    let scroll = scroll_of(dialog.cursor, list.height);
    for (line, s) in (0..list.height).zip(matches.iter().skip(scroll)) {
        let chosen = scroll + usize::from(line) == dialog.cursor;
        let style = if chosen { theme.selected } else { theme.text };
        let mut pen = Pen::new(buffer, list, line);
        pen.put_right(&s.number().to_string(), 5, style).put("  ", style).put(&s.name(), style);
        if s.number() == SIGTERM
            && let Some(why) = sigterm_warning(dialog)
        {
            pen.put("   ", style).put(&why, if chosen { style } else { theme.warn });
        }
        if chosen {
            pen.fill(" ", style);
        }
    }
    let foot = Rect { y: body.bottom().saturating_sub(1), height: 1, ..body };
    Pen::new(buffer, foot, 0).put(" Enter", theme.key).put(" send   ", theme.dim).put("Esc", theme.key).put(" cancel", theme.dim);
}

fn menu_area(menu: &Menu, area: Rect) -> Rect {
    let widest = menu.entries.iter().map(|(_, l)| text::width(l)).max().unwrap_or(0);
    let width = u16::try_from(widest + 6).unwrap_or(u16::MAX).clamp(24, 100);
    let width = width.max(u16::try_from(MENU_FOOT.len() + 4).unwrap_or(width));
    centered(area, width, u16::try_from(menu.entries.len() + 2).unwrap_or(u16::MAX).min(area.height.saturating_sub(2)))
}

/// The keys of a menu, in its lower edge.
const MENU_FOOT: &str = " Enter choose  letter jumps  Esc cancel ";

fn draw_menu(app: &App, menu: &Menu, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let title = match menu.kind {
        MenuKind::Sort => "Sort by",
        MenuKind::User => "Show processes of",
    };
    let body = frame(app, title, theme, menu_area(menu, area), buffer);
    let edge = Rect { y: body.bottom(), height: 1, ..body };
    Pen::new(buffer, edge, 0).skip(1).put(MENU_FOOT, theme.dim);
    let scroll = scroll_of(menu.cursor, body.height);
    let (charset, cells) = (Charset::from_unicode(app.options.unicode), usize::from(body.width.saturating_sub(2)));
    for (line, (i, (_, label))) in (0..body.height).zip(menu.entries.iter().enumerate().skip(scroll)) {
        let style = if i == menu.cursor { theme.selected } else { theme.text };
        let mut pen = Pen::new(buffer, body, line);
        pen.put(" ", style).put(&text::truncate(label, cells, charset), style);
        if i == menu.cursor {
            pen.fill(" ", style);
        }
    }
}
