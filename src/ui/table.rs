//! Draws the table: column titles and visible rows. Only visible rows are formatted.

use std::collections::HashSet;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::app::App;
use crate::app::logical;
use crate::app::rows::{Line, RowKey};
use crate::columns::{self, Align, Hue, Row, Unknown, Value};
use crate::diagnose::Level;
use crate::snapshot::ExitStatus;
use crate::text::{self, Charset};

use super::command::Command;
use super::hue;
use super::layout::{GUTTER, Layout, Slot};
use super::pen::{self, Pen, dot};
use super::theme::Theme;
use super::user_name;

/// Draws heads and rows.
pub fn draw(app: &App, theme: &Theme, layout: &Layout, buffer: &mut Buffer) {
    banner(app, theme, layout.banner, buffer);
    heads(app, theme, layout, buffer);
    let Some(model) = app.model.as_deref() else {
        Pen::new(buffer, layout.body, 0).put("  reading the process table...", theme.dim);
        return;
    };
    if app.lines.is_empty() {
        let text =
            if app.banner().is_some() { "  no match: Esc removes the filter, F4 changes it" } else { "  no process is visible" };
        Pen::new(buffer, layout.body, 0).put(text, theme.warn);
    }
    let family = family(app);
    let user_cells = layout.slots.iter().find(|slot| slot.column.id == "user").map(|slot| usize::from(slot.width));
    let long_users = user_cells.map(|cells| user_name::long_names(model, cells)).unwrap_or_default();
    let mut scratch = String::new();
    for line in 0..layout.body.height {
        let index = app.scroll + usize::from(line);
        let Some((entry, row)) = app.lines.get(index).and_then(|l| app.row_of(l).map(|r| (l, r))) else { break };
        let area = Rect { y: layout.body.y + line, height: 1, ..layout.body };
        let mut painter = RowPainter {
            app,
            theme,
            entry,
            row,
            base: theme.text,
            selected: index == app.cursor,
            scratch: &mut scratch,
            long_users: &long_users,
        };
        painter.base = painter.style();
        if family.contains(&index) && index != app.cursor {
            buffer.set_style(area, theme.family);
        }
        painter.draw(layout, area, buffer);
        if index == app.cursor {
            theme.mark_selected(area, buffer);
        }
    }
}

/// Lines below the selected one that belong to its subtree, in the tree.
fn family(app: &App) -> std::ops::Range<usize> {
    match app.lines.get(app.cursor) {
        Some(top) if app.options.tree && app.cursor > 0 => {
            let end = app.lines[app.cursor + 1..]
                .iter()
                .position(|l| l.depth <= top.depth)
                .map_or(app.lines.len(), |n| app.cursor + 1 + n);
            app.cursor..end
        }
        _ => 0..0,
    }
}

fn banner(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let mut pen = Pen::new(buffer, area, 0);
    let charset = Charset::from_unicode(app.options.unicode);
    if let Some(text) = app.banner() {
        pen.put(" FILTER ", theme.head_sorted)
            .put(" ", theme.text)
            .put(&text::sanitize_str(&text, charset), theme.strong)
            .put(" ", theme.text);
    }
    let folded: u32 = app.lines.iter().filter_map(|line| line.folded).map(|folded| folded.hidden).sum();
    let rows = if app.lines.len() == 1 { "1 row".to_owned() } else { format!("{} rows", app.lines.len()) };
    let rows = if folded > 0 { format!("{rows}, {folded} folded") } else { rows };
    let tail = match app.tagged.len() {
        0 => format!(" {rows} "),
        n => format!(" {n} tagged {} {rows} ", dot(app.options.unicode)),
    };
    let start = area.right().saturating_sub(u16::try_from(text::width(&tail)).unwrap_or(0));
    while pen.x() < start {
        pen.put(if app.options.unicode { "─" } else { "-" }, theme.dim);
    }
    pen.put(&tail, if app.tagged.is_empty() { theme.dim } else { theme.tagged });
}

fn heads(app: &App, theme: &Theme, layout: &Layout, buffer: &mut Buffer) {
    if layout.head.height == 0 {
        return;
    }
    buffer.set_style(layout.head, theme.head);
    let mut pen = Pen::new(buffer, layout.head, 0);
    if app.skipped > 1 {
        // Columns are out of sight to the left.
        pen.put(if app.options.unicode { "◂" } else { "<" }, theme.head_sorted);
    }
    let (sort, descending) = app.options.sorted_by();
    for slot in &layout.slots {
        let sorted = slot.column.id == sort;
        let style = if sorted { theme.head_sorted } else { theme.head };
        pen.to(slot.x);
        let mut title = slot.column.title.to_owned();
        if sorted && (slot.width == 0 || title.len() < usize::from(slot.width)) {
            title.push(match (descending, app.options.unicode) {
                (true, true) => '▼',
                (false, true) => '▲',
                (true, false) => 'v',
                (false, false) => '^',
            });
        }
        match slot.column.align {
            Align::Right => pen.put_right(&title, slot.width, style),
            Align::Left => pen.put(&text::truncate(&title, usize::from(slot.width), Charset::Unicode), style),
        };
    }
}

struct RowPainter<'a> {
    app: &'a App,
    theme: &'a Theme,
    entry: &'a Line,
    row: Row<'a>,
    base: Style,
    selected: bool,
    scratch: &'a mut String,
    /// Names of users that their column cuts.
    long_users: &'a HashSet<&'a str>,
}

impl RowPainter<'_> {
    fn charset(&self) -> Charset {
        Charset::from_unicode(self.app.options.unicode)
    }

    fn tagged(&self) -> bool {
        matches!(self.entry.key, RowKey::Process(key) if self.app.tagged.contains(&key))
    }

    /// What the row as a whole says: dead, tagged, context of a filter, newly born.
    fn style(&self) -> Style {
        let t = self.theme;
        let newborn = !self.row.rates.known_before && self.row.model.dt_ns.is_some();
        match () {
            () if self.row.ghost.is_some() => t.ghost,
            () if self.tagged() => t.tagged,
            () if self.entry.context => t.dim,
            () if newborn => t.fresh,
            () => t.text,
        }
    }

    fn draw(&mut self, layout: &Layout, area: Rect, buffer: &mut Buffer) {
        let mut pen = Pen::new(buffer, area, 0);
        let unicode = self.app.options.unicode;
        let first = self.entry.run.filter(|mark| mark.first);
        match (self.tagged(), first, self.selected) {
            (true, _, _) => pen.put(if unicode { "●" } else { "*" }, self.theme.tagged),
            (_, Some(mark), _) => pen.put(&(mark.run.0 % 10).to_string(), self.theme.run(mark.run.0)),
            (_, _, true) => pen.put(">", self.theme.accent),
            _ => pen.skip(1),
        };
        if let Some(mark) = self.entry.run {
            pen.put(bracket(mark.first, mark.last, unicode), self.theme.run(mark.run.0));
        }
        pen.to(area.x + GUTTER);
        if let Some((badge, words)) = logical::describe(&self.app.lab.state, self.entry.key) {
            self.logical(layout, &badge, &words, &mut pen);
            return;
        }
        for slot in &layout.slots {
            pen.to(slot.x);
            self.cell(slot, &mut pen);
        }
    }

    /// A unit that the kernel cannot see has no values of its own: how it began, and what it does, from the lab's protocol.
    fn logical(&self, layout: &Layout, badge: &str, words: &str, pen: &mut Pen<'_>) {
        for slot in &layout.slots {
            pen.to(slot.x);
            match slot.column.id {
                "start" => {
                    pen.put(badge.split(' ').next().unwrap_or_default(), self.theme.cool);
                }
                "created" => {
                    pen.put(badge, self.theme.cool);
                }
                "command" => {
                    self.guides(pen, self.app.options.unicode);
                    pen.put(if self.app.options.unicode { "◇ " } else { "o " }, self.theme.accent);
                    let words = text::truncate(words, usize::from(pen.left()), self.charset());
                    pen.put(&words, self.theme.cool);
                }
                _ => {}
            }
        }
    }

    fn cell(&mut self, slot: &Slot, pen: &mut Pen<'_>) {
        let value = self.app.value(self.entry, &self.row, slot.column);
        let width = slot.width;
        let charset = self.charset();
        if slot.column.id == "command" {
            self.command(&value, width, pen);
            return;
        }
        let style = self.value_style(slot, &value);
        if let Some(nothing) = self.nothing(&value) {
            match slot.column.align {
                Align::Right => pen.put_right(nothing, width, self.theme.dim),
                Align::Left => pen.put(nothing, self.theme.dim),
            };
            return;
        }
        self.scratch.clear();
        match &value {
            Value::Text(bytes) if slot.column.hue == Hue::Created && bytes.len() <= usize::from(width) => {
                self.created(bytes, style, pen);
                return;
            }
            Value::Text(bytes) => {
                let cut = match std::str::from_utf8(bytes) {
                    Ok(name) if slot.column.id == "user" => {
                        let uid = self.row.process.identity.uid;
                        user_name::fit(name, uid, usize::from(width), self.long_users, charset).into()
                    }
                    _ if slot.column.keep_numbers => text::fit_with_number(bytes, usize::from(width), charset),
                    _ => text::fit(bytes, usize::from(width), charset),
                };
                if slot.column.align == Align::Right {
                    pen.put_right(&cut, width, style)
                } else {
                    pen.put(&cut, style)
                };
                return;
            }
            Value::RunWait { run, wait } => {
                let shade = if self.app.options.unicode { self.theme.warn } else { self.theme.dim };
                pen.bar(
                    width,
                    &[(run / 100.0, self.theme.good), (wait / 100.0, shade)],
                    self.app.options.unicode,
                    self.theme.dim,
                );
                return;
            }
            Value::Recent(recent) => {
                let unicode = self.app.options.unicode;
                pen.recent(width, recent.spells(), unicode, (self.theme.good, self.theme.warn, self.theme.dim));
                return;
            }
            Value::Unknown(why) => self.scratch.push_str(why.mark(usize::from(width))),
            other => format_into(self.scratch, other),
        }
        match slot.column.align {
            Align::Right => pen.put_right(self.scratch, width, style),
            Align::Left => pen.put(&text::truncate(self.scratch, usize::from(width), charset), style),
        };
    }

    /// What stands for zero, and for what such a row does not have: what happens is to stand out.
    fn nothing(&self, value: &Value<'_>) -> Option<&'static str> {
        let zero = match value {
            Value::Unknown(Unknown::NotApplicable) => return Some(""),
            Value::Percent(p) => *p < 0.05,
            Value::Rate(r) => *r <= 0.0,
            Value::BytesPerSecond(r) => *r < 1.0,
            Value::Bytes(n) | Value::Count(n) => *n == 0,
            _ => false,
        };
        zero.then(|| pen::zero(self.app.options.unicode))
    }

    /// How it was created, then how long that took.
    fn created(&self, words: &[u8], style: Style, pen: &mut Pen<'_>) {
        let words = text::sanitize(words, self.charset());
        let time = self.row.note.and_then(|note| note.creation_ns).filter(|_| style == self.theme.text);
        let Some((ns, at)) = time.zip(words.find(' ')) else {
            pen.put(&words, style);
            return;
        };
        let (how, took) = words.split_at(at);
        pen.put(how, self.theme.cool).put(took, hue::of_creation(ns, style, self.theme));
    }

    fn value_style(&self, slot: &Slot, value: &Value<'_>) -> Style {
        let t = self.theme;
        if self.row.ghost.is_some() {
            return t.ghost;
        }
        match value {
            Value::Unknown(_) => t.dim,
            Value::State(s) => t.state(s.letter()),
            Value::Text(_) if slot.column.id == "user" && self.base == t.text => t.dim,
            Value::Word(_) if self.base == t.text => t.cool,
            _ if self.base == t.text => hue::style(slot.column.hue, value, self.base, t),
            _ => self.base,
        }
    }

    /// What is wrong with the row's process in a few words, for the end of the command; empty if nothing is known to be.
    fn badge(&self, width: u16) -> String {
        if let Some(name) = self.app.signalled(self.row.key()).filter(|_| !self.row.is_task() && self.row.ghost.is_none()) {
            return format!(" {} {name}", if self.app.options.unicode { "→" } else { "->" });
        }
        // What a demo shows on purpose is no trouble.
        let finding = self
            .app
            .finding(self.row.key())
            .filter(|_| self.row.note.is_none())
            .filter(|_| !self.row.is_task() && self.row.ghost.is_none());
        let Some(finding) = finding else { return String::new() };
        let mark = match finding.diagnosis.level {
            Level::Warning if self.app.options.unicode => "⚠",
            Level::Warning => "!",
            Level::Information => "i",
        };
        let text = format!(" {mark} {}", finding.diagnosis.badge);
        // Where there is little room, the mark alone: the screen of all diagnoses shows the rest.
        if text::width(&text) + 12 > usize::from(width) { format!(" {mark}") } else { text }
    }

    /// Guides of the tree, fold mark, then the words, scrolled sideways.
    fn command(&mut self, value: &Value<'_>, width: u16, pen: &mut Pen<'_>) {
        let end = pen.x().saturating_add(width);
        let badge = self.badge(width);
        let end = end.saturating_sub(u16::try_from(text::width(&badge)).unwrap_or(0));
        let unicode = self.app.options.unicode;
        if self.app.options.tree || self.entry.run.is_some() {
            self.guides(pen, unicode);
        }
        let room = usize::from(end.saturating_sub(pen.x()));
        let style = if self.row.is_task() && self.base == self.theme.text { self.theme.cool } else { self.base };
        if let Value::Text(bytes) = value {
            let mut shown = self.shown(bytes, room);
            if let Some(ghost) = self.row.ghost
                && let Some((end, rest)) = shown.rest.split_once("  ")
            {
                let killed = matches!(ghost.status, ExitStatus::Signal { .. });
                pen.put(end, if killed { self.theme.bad.add_modifier(Modifier::BOLD) } else { style }).put("  ", style);
                shown.rest = rest.to_owned();
            }
            pen.put(&shown.place, if self.base == self.theme.text { self.theme.dim } else { style });
            pen.put(&shown.name, style.add_modifier(Modifier::BOLD));
            // A role goes before what it does now.
            let role = self.row.note.is_some() && self.base == self.theme.text;
            pen.put(&shown.rest, if role { self.theme.dim } else { style });
        }
        if let Some(folded) = self.entry.folded {
            pen.put(
                &format!("  (+{}, {})", folded.hidden, if folded.family.is_some() { "sums" } else { "folded" }),
                self.theme.accent,
            );
        }
        if !badge.is_empty() {
            let level = self.app.finding(self.row.key()).map(|finding| finding.diagnosis.level);
            pen.to(end).put(&badge, if level == Some(Level::Information) { self.theme.dim } else { self.theme.warn });
        }
    }

    /// The words in the room there is. Names of threads and of what has ended are not of a program; what is scrolled is read in full.
    fn shown(&self, bytes: &[u8], room: usize) -> Command {
        let (skip, charset) = (self.app.sideways, self.charset());
        let program =
            self.row.note.is_none() && !self.row.is_task() && self.row.ghost.is_none() && !self.row.process.kernel_thread;
        match (program, skip) {
            (true, 0) => Command::of(bytes, room, self.app.options.show_path, charset),
            (false, 0) if self.row.note.is_some() && self.row.ghost.is_none() => {
                let words = text::fit(bytes, room, charset);
                let end = words.find("  ").unwrap_or(words.len());
                Command { name: words[..end].to_owned(), rest: words[end..].to_owned(), ..Command::default() }
            }
            (false, 0) => Command { rest: text::fit(bytes, room, charset).into_owned(), ..Command::default() },
            _ => {
                // A command line may have megabytes: only what comes up to the right edge is looked at.
                let line = text::fit(bytes, room.saturating_add(skip), charset);
                let rest: String = line.chars().skip(skip).collect();
                Command { rest: text::truncate(&rest, room, charset).into_owned(), ..Command::default() }
            }
        }
    }

    fn guides(&self, pen: &mut Pen<'_>, unicode: bool) {
        let style = self.theme.dim;
        let depth = self.entry.depth;
        for d in 1..depth {
            let on = self.entry.guides & (1 << d) != 0;
            pen.put(
                if !on {
                    "  "
                } else if unicode {
                    "│ "
                } else {
                    "| "
                },
                style,
            );
        }
        if depth > 0 {
            pen.put(
                if self.entry.last {
                    if unicode { "└" } else { "`" }
                } else if unicode {
                    "├"
                } else {
                    "|"
                },
                style,
            );
        }
        let mark = match (self.entry.parent, self.entry.folded.is_some(), unicode) {
            (false, ..) => {
                if unicode {
                    "─ "
                } else {
                    "- "
                }
            }
            (true, true, true) => "▸ ",
            (true, false, true) => "▾ ",
            (true, true, false) => "+ ",
            (true, false, false) => "v ",
        };
        if depth > 0 || self.entry.parent {
            pen.put(mark, if self.entry.parent { self.theme.accent } else { style });
        }
    }
}

/// The margin's bracket around the lines of a run.
fn bracket(first: bool, last: bool, unicode: bool) -> &'static str {
    match (first, last, unicode) {
        (true, true, true) => "╶",
        (true, false, true) => "┌",
        (false, true, true) => "└",
        (false, false, true) => "│",
        (true, true, false) => "-",
        (true, false, false) => "/",
        (false, true, false) => "\\",
        (false, false, false) => "|",
    }
}

/// The value as the table shows it.
fn format_into(out: &mut String, value: &Value<'_>) {
    use std::fmt::Write as _;
    match value {
        Value::Int(i) => {
            let _ = write!(out, "{i}");
        }
        Value::Count(n) => columns::count(out, *n),
        Value::Bytes(n) => columns::bytes(out, *n),
        Value::BytesPerSecond(r) => columns::bytes(out, r.max(0.0) as u64),
        Value::Percent(p) => columns::percent(out, *p),
        Value::Rate(r) => columns::rate(out, *r),
        Value::Duration(ns) => columns::duration(out, *ns),
        Value::State(s) => out.push(s.letter()),
        Value::Word(w) => out.push_str(w),
        Value::HeldWanted { held, wanted } => columns::held_wanted(out, *held, *wanted),
        Value::Unknown(_) | Value::Text(_) | Value::RunWait { .. } | Value::Recent(_) => {}
    }
}
