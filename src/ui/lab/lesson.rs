//! The lessons: their list, the question with its answers, the figures while it runs, and the verdict.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::super::pen::Pen;
use super::super::theme::Theme;
use super::bars::{self, BarLine};
use super::{below, lanes, seen, wrap};
use crate::app::App;
use crate::app::lessons::{Doing, Learned, Progress, Stage};
use crate::lab::catalog;
use crate::lab::lessons::{Figures, LESSONS, Lesson};
use crate::text::{self, Charset, sanitize_str};

/// Width of the list of lessons.
const LIST: u16 = 34;
/// From this width on there is a list beside the lesson.
const WIDE: u16 = 110;
/// From this height on parts are divided by empty lines.
const ROOMY: u16 = 28;
/// Cells of labels before a text.
const LABEL: usize = 10;

/// Where the list of lessons is; empty where there is no room for it.
#[must_use]
pub fn list_area(body: Rect) -> Rect {
    Rect { width: if body.width >= WIDE { LIST } else { 0 }, ..body }
}

/// The lesson in a line of the list.
#[must_use]
pub fn lesson_at(line: u16) -> Option<u16> {
    let at = lines().get(usize::from(line)).copied().flatten()?;
    u16::try_from(at).ok()
}

/// Chapters (`None`) and lessons, by index.
fn lines() -> Vec<Option<usize>> {
    let mut out = Vec::new();
    for (at, lesson) in LESSONS.iter().enumerate() {
        if at == 0 || LESSONS[at - 1].chapter != lesson.chapter {
            out.push(None);
        }
        out.push(Some(at));
    }
    out
}

/// Draws the view.
pub fn draw(app: &App, theme: &Theme, body: Rect, buffer: &mut Buffer) {
    let list = list_area(body);
    let mut area = body;
    if list.width > 0 {
        draw_list(app, theme, list, buffer);
        super::rule(app, theme, Rect { x: body.x + list.width, ..body }, buffer);
        area = Rect { x: body.x + list.width + 1, width: body.width - list.width - 1, ..body };
    }
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let mut page = Page { app, theme, area, used: 0, roomy: area.height >= ROOMY };
    page.head(buffer);
    match app.lessons.stage() {
        Stage::Asking => page.ask(list.width == 0, buffer),
        Stage::Running(progress) => page.running(&progress, buffer),
        Stage::Failed(why) => page.failed(why, buffer),
        Stage::Done(learned) => page.done(learned, buffer),
    }
}

/// What came of a lesson, in one character.
fn mark(app: &App, lesson: usize, theme: &Theme) -> (&'static str, Style) {
    let unicode = app.options.unicode;
    match app.lessons.learned(lesson).map(Learned::right) {
        Some(Some(true)) => (if unicode { "✓" } else { "+" }, theme.good),
        Some(Some(false)) => (if unicode { "✗" } else { "x" }, theme.warn),
        Some(None) => (if unicode { "•" } else { "*" }, theme.text),
        None => (" ", theme.dim),
    }
}

fn draw_list(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    for (row, line) in (0..area.height).zip(lines()) {
        let mut pen = Pen::new(buffer, area, row);
        let Some(at) = line else {
            let next = lines().into_iter().skip(usize::from(row)).flatten().next();
            pen.put(&format!(" {}", next.map_or("", |at| LESSONS[at].chapter)), theme.accent);
            continue;
        };
        list_entry(app, at, theme, pen);
    }
    let last = u16::try_from(lines().len()).unwrap_or(u16::MAX).saturating_add(1);
    let words = ["Up Down   another lesson", "Tab       all systems", "X         end the runs"];
    for (row, words) in (last..area.height).zip(words) {
        Pen::new(buffer, area, row).put(" ", theme.dim).put(words, theme.dim);
    }
}

fn list_entry(app: &App, at: usize, theme: &Theme, mut pen: Pen<'_>) {
    let style = if at == app.lessons.at { theme.selected } else { theme.text };
    let (sign, color) = mark(app, at, theme);
    pen.put(&format!(" {:>2} ", at + 1), style).put(LESSONS[at].title, style);
    if at == app.lessons.at {
        let left = pen.left().saturating_sub(2);
        pen.put(&" ".repeat(usize::from(left)), style);
    } else {
        let end = pen.x() + pen.left().saturating_sub(2);
        pen.to(end);
    }
    pen.put(sign, color);
}

/// A lesson drawn from the top down.
struct Page<'a> {
    app: &'a App,
    theme: &'a Theme,
    area: Rect,
    used: u16,
    roomy: bool,
}

impl Page<'_> {
    fn rest(&self) -> Rect {
        below(self.area, self.used)
    }

    fn pen<'b>(&self, buffer: &'b mut Buffer) -> Pen<'b> {
        Pen::new(buffer, self.area, self.used)
    }

    fn clean(&self, text: &str) -> String {
        sanitize_str(text, Charset::from_unicode(self.app.options.unicode)).into_owned()
    }

    fn gap(&mut self) {
        self.used += u16::from(self.roomy);
    }

    /// A text, wrapped.
    fn text(&mut self, text: &str, style: Style, buffer: &mut Buffer) {
        for part in wrap(&self.clean(text), usize::from(self.area.width)) {
            self.pen(buffer).put(&part, style);
            self.used += 1;
        }
    }

    /// A text after a label, wrapped beside it.
    fn labelled(&mut self, (label, color): (&str, Style), text: &str, style: Style, buffer: &mut Buffer) {
        let room = usize::from(self.area.width).saturating_sub(LABEL);
        for (at, part) in wrap(&self.clean(text), room).into_iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            self.pen(buffer).put(&format!("{label:LABEL$}"), color).put(&part, style);
            self.used += 1;
        }
    }

    fn head(&mut self, buffer: &mut Buffer) {
        let (app, theme, lesson) = (self.app, self.theme, self.app.lessons.chosen());
        let (right, all) = app.lessons.score();
        let score = match (all, app.lessons.done()) {
            (0, 0) => String::new(),
            (0, done) => format!("{done} done"),
            _ => format!("{right} of {all} guesses right"),
        };
        let mut pen = self.pen(buffer);
        pen.put(&format!("Lesson {} of {}", app.lessons.at + 1, LESSONS.len()), theme.accent).put("   ", theme.text);
        pen.put(lesson.chapter, theme.dim);
        let end = (pen.x() + pen.left()).saturating_sub(u16::try_from(text::width(&score)).unwrap_or(0));
        pen.to(end).put(&score, theme.dim);
        self.used += 1;
        self.text(lesson.question, theme.strong, buffer);
        self.text(lesson.background, theme.dim, buffer);
        self.gap();
    }

    fn ask(&mut self, with_list: bool, buffer: &mut Buffer) {
        let (app, theme, lesson) = (self.app, self.theme, self.app.lessons.chosen());
        for (number, answer) in (1..).zip(lesson.answers) {
            self.pen(buffer).put(&format!("  {number}"), theme.key).put("  ", theme.text).put(answer, theme.text);
            self.used += 1;
        }
        self.gap();
        if app.lessons.has_parameters() {
            self.parameters(buffer);
        }
        if let Some((words, style)) = hint(app, lesson, theme) {
            self.text(&words, style, buffer);
            self.gap();
        }
        self.labelled(("Watch", theme.accent), lesson.watch, theme.text, buffer);
        self.runs(lesson, buffer);
        if with_list {
            self.used += 1;
            let rest = self.rest();
            let (at, count) = (app.lessons.at, usize::from(rest.height));
            let first = (at + 1).saturating_sub(count.max(1));
            for (row, at) in (0..rest.height).zip(first..LESSONS.len()) {
                list_entry(app, at, theme, Pen::new(buffer, Rect { width: rest.width.min(LIST + 10), ..rest }, row));
            }
        }
    }

    /// What will run, so that one knows what one starts.
    fn runs(&mut self, lesson: &Lesson, buffer: &mut Buffer) {
        let theme = self.theme;
        if !self.roomy {
            return;
        }
        self.gap();
        let cells = lesson.acts.iter().map(|act| text::width(act.label)).max().unwrap_or(0);
        for (at, act) in lesson.acts.iter().enumerate() {
            let label = if at == 0 { "Runs" } else { "" };
            let times = if act.rounds > 1 { format!(", {} times", act.rounds) } else { String::new() };
            let twin = act.twin.map_or_else(String::new, |twin| format!(" (without Python: {twin})"));
            let words = format!("{:cells$}   {}{twin}{times}", act.label, act.system);
            self.labelled((label, theme.accent), &words, theme.dim, buffer);
        }
    }

    /// The parameters of the lab.
    fn parameters(&mut self, buffer: &mut Buffer) {
        let fields = self.app.lesson_fields();
        self.used += super::fields(self.app, &fields, false, self.theme, self.rest(), buffer);
        self.gap();
    }

    fn guess(&mut self, guess: Option<usize>, learned: Option<&Learned>, buffer: &mut Buffer) {
        let (theme, lesson) = (self.theme, self.app.lessons.chosen());
        let words = |at: Option<usize>| at.and_then(|at| lesson.answers.get(at)).copied();
        let guessed = words(guess).unwrap_or("none");
        let Some(learned) = learned else {
            self.labelled(("Guess", theme.dim), guessed, theme.text, buffer);
            return;
        };
        let (badge, style) = match learned.right() {
            Some(true) => ("right", theme.good),
            Some(false) => ("not so", theme.warn),
            None => ("", theme.dim),
        };
        let result = words(learned.verdict.answer).unwrap_or("not decided");
        let together = LABEL + text::width(guessed) + text::width(result) + badge.len() + 16;
        let mut pen = self.pen(buffer);
        pen.put(&format!("{:LABEL$}", "Guess"), theme.dim).put(guessed, theme.text).put("   ", theme.text).put(badge, style);
        if usize::from(self.area.width) > together {
            pen.put("   result   ", theme.dim).put(result, theme.strong);
        } else {
            self.used += 1;
            self.pen(buffer).put(&format!("{:LABEL$}", "Result"), theme.dim).put(result, theme.strong);
        }
        self.used += 1;
    }

    fn running(&mut self, progress: &Progress, buffer: &mut Buffer) {
        let (app, theme, lesson) = (self.app, self.theme, self.app.lessons.chosen());
        self.guess(progress.guess, None, buffer);
        self.gap();
        self.bars(lesson, &progress.figures, buffer);
        let (done, all) = progress.done;
        let doing = match progress.doing {
            Doing::Looking => "looking for Python interpreters",
            Doing::Act(at) => lesson.acts.get(at).map_or("", |act| act.label),
        };
        let label = format!("{:LABEL$}", "Now");
        let mut pen = self.pen(buffer);
        pen.put(&label, theme.accent).put(doing, theme.strong).put(&format!("   {} of {all}   ", (done + 1).min(all)), theme.dim);
        let cells = pen.left().min(40);
        pen.bar(cells, &[(done as f32 / all.max(1) as f32, theme.accent)], app.options.unicode, theme.dim);
        self.used += 1;
        match (progress.sent, progress.doing) {
            (Some(false), Doing::Act(at)) => {
                let words = lesson.acts.get(at).and_then(|act| act.deed).map_or("", |deed| deed.words);
                self.pen(buffer)
                    .put(&format!("{:LABEL$}", "Your turn"), theme.warn)
                    .put(" F9 ", theme.key)
                    .put(" ", theme.text)
                    .put(words, theme.strong);
                self.used += 1;
            }
            (Some(true), _) => self.labelled(("Sent", theme.accent), "watching what follows", theme.text, buffer),
            _ => self.labelled(("Watch", theme.accent), lesson.watch, theme.dim, buffer),
        }
        if progress.figures.twins {
            self.text("No Python here can run this lesson: its native systems run.", theme.warn, buffer);
        }
        self.gap();
        self.run(buffer);
    }

    fn failed(&mut self, why: &str, buffer: &mut Buffer) {
        let theme = self.theme;
        self.labelled(("Not run", theme.bad), why, theme.text, buffer);
        self.gap();
        self.text("r asks again, n goes to the next lesson.", theme.dim, buffer);
    }

    fn done(&mut self, learned: &Learned, buffer: &mut Buffer) {
        let (theme, lesson) = (self.theme, self.app.lessons.chosen());
        self.guess(learned.guess, Some(learned), buffer);
        self.gap();
        self.labelled(("Verdict", theme.accent), &learned.verdict.sentence, theme.strong, buffer);
        if let Some(beside) = lesson.beside(&learned.figures) {
            let talk = beside.talk.map_or_else(String::new, |figure| format!(" ({figure})"));
            let here = beside.here.map_or_else(String::new, |figure| format!(" {figure}:"));
            let (words, style) = match beside.holds {
                Some(true) => (format!("here{here} reproduced"), theme.good),
                Some(false) if beside.stronger => (format!("here{here} more than in the talk"), theme.good),
                Some(false) => (format!("here{here} not reproduced"), theme.warn),
                None => ("not measured by this run".to_owned(), theme.dim),
            };
            self.labelled(("The talk", theme.dim), &format!("{}{talk}", beside.statement), theme.text, buffer);
            self.pen(buffer).put(&" ".repeat(LABEL), theme.text).put(&words, style);
            self.used += 1;
        }
        if learned.figures.twins {
            self.text("No Python here can run this lesson: its native systems ran.", theme.warn, buffer);
        }
        let next = LESSONS.get(self.app.lessons.at + 1);
        let words = next.map_or_else(|| "this was the last lesson".to_owned(), |next| format!("next: {}", next.question));
        let room = usize::from(self.area.width).saturating_sub(LABEL);
        let words = text::truncate(&words, room, Charset::from_unicode(self.app.options.unicode)).into_owned();
        self.labelled(("Enter", theme.key), &words, theme.text, buffer);
        self.gap();
        self.bars(lesson, &learned.figures, buffer);
        self.run(buffer);
    }

    /// The figures as bars.
    fn bars(&mut self, lesson: &Lesson, figures: &Figures, buffer: &mut Buffer) {
        let drawn = lesson.readings().filter(|(act, reading)| {
            // Another language or an optional act may not have this figure.
            let known = figures.get(reading.name).is_some();
            reading.drawn && (known || (self.roomy && !act.optional && act.reads.len() == 1))
        });
        let mut lines: Vec<BarLine> = drawn
            .map(|(_, reading)| BarLine {
                label: reading.name.to_owned(),
                value: figures.get(reading.name),
                unit: reading.unit,
                kind: reading.kind,
                own: false,
            })
            .collect();
        // What is compared stands together.
        lines.sort_by_key(|line| lesson.readings().position(|(_, reading)| reading.kind == line.kind));
        if lines.is_empty() {
            return;
        }
        self.used += bars::draw(&lines, None, self.theme, self.app.options.unicode, self.rest(), buffer);
        self.gap();
    }

    /// The run: its lanes, what was expected and seen, what it printed.
    fn run(&mut self, buffer: &mut Buffer) {
        let (app, theme) = (self.app, self.theme);
        let Some(run) = app.lessons.run().and_then(|id| app.lab.state.run(id)) else { return };
        if self.rest().height < 3 {
            return;
        }
        let (words, style) = super::phase(run, theme);
        self.pen(buffer)
            .put(&format!("run {}  ", run.id), theme.strong)
            .put(&run.spec.system, theme.text)
            .put("  ", theme.text)
            .put(&words, style);
        self.used += 1;
        let most = if self.rest().height > 12 { self.rest().height - 6 } else { self.rest().height };
        self.used += lanes::draw(app, run, theme, Rect { height: most, ..self.rest() }, buffer);
        self.gap();
        self.used += seen::expected(run, theme, self.rest(), buffer);
        if !run.output.trim().is_empty() {
            self.used += seen::printed(app, run, theme, self.rest(), buffer);
        } else if let Some(system) = catalog::find(&run.spec.system).filter(|_| self.roomy && self.rest().height > 5) {
            self.gap();
            self.labelled(("System", theme.accent), system.lesson, theme.dim, buffer);
        }
    }
}

/// What stands in the way of the lesson, or which keys run it.
fn hint(app: &App, lesson: &Lesson, theme: &Theme) -> Option<(String, Style)> {
    if app.options.readonly {
        return Some(("--readonly prevents running it.".to_owned(), theme.warn));
    }
    let systems = || lesson.acts.iter().filter(|act| !act.optional).filter_map(|act| act.system(false));
    if let Some(system) = systems().find(|system| app.lab.can_be_set_up(system)) {
        let packages = crate::lab::catalog::python_program(system.id).map_or(&[][..], |p| p.packages);
        let words = format!("Needs {}: the first run installs it in a separate environment.", packages.join(" and "));
        return Some((words, theme.warn));
    }
    if let Some(why) = systems().find_map(|system| app.lab.unavailable(system)) {
        let words = if lesson.has_twins() { "No Python here can run it: its native systems run.".to_owned() } else { why };
        return Some((words, theme.warn));
    }
    Some(("Guess with 1, 2 or 3; the lesson then runs. Enter runs it without a guess, Esc leaves.".to_owned(), theme.dim))
}
