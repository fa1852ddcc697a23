//! The Problems screen: one line for each finding, worst first; below them the chosen one in full, and what was looked at.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::App;
use crate::columns::wall_clock;
use crate::diagnose::{DIAGNOSES, Finding, Level, MACHINE, NOT_FOLLOWED, UNREADABLE};
use crate::lab::measure::counted;
use crate::snapshot::{EventTier, Facts, Scope};
use crate::text::{Charset, fit, fit_with_number, sanitize_str};
use crate::units::age;

use super::pen::Pen;
use super::theme::Theme;
use super::words::wrap;

/// Lines below the list: at least this many where there is room.
const LEAST_BELOW: u16 = 9;
const SINCE: usize = 12;

/// Cells of what and of who; the evidence has the rest.
fn columns(width: u16) -> (usize, usize) {
    match width {
        ..100 => (24, 19),
        100..160 => (33, 24),
        _ => (40, 32),
    }
}

/// Findings that have room.
#[must_use]
pub fn room(app: &App, area: Rect) -> usize {
    let most = area.height.saturating_sub(1 + LEAST_BELOW).max(area.height / 3).max(1);
    app.findings.len().min(usize::from(most)).max(1)
}

/// The finding at a line of the screen.
#[must_use]
pub fn line_at(app: &App, area: Rect, line: u16) -> Option<usize> {
    let at = usize::from(line.checked_sub(1)?);
    (at < room(app, area) && app.problems.scroll + at < app.findings.len()).then_some(at)
}

/// Draws it.
pub fn draw(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let (what, who) = columns(area.width);
    let mut head = Pen::new(buffer, area, 0);
    head.put(&format!("   {:SINCE$}{:what$}{:who$}EVIDENCE", "SINCE", "WHAT", "PROCESS"), theme.head).fill(" ", theme.head);
    let rows = room(app, area);
    let at = app.problem_at();
    for (line, (index, finding)) in (1..area.height).zip(app.findings.iter().enumerate().skip(app.problems.scroll).take(rows)) {
        row(app, finding, theme, area, line, buffer);
        if index == at {
            Pen::new(buffer, area, line).put(">", theme.accent);
            buffer.set_style(Rect { y: area.y + line, height: 1, ..area }, theme.selected);
        }
    }
    let below = below(app, area);
    let lines = details(app, text_width(area));
    let room = usize::from(below.height);
    let first = app.problems.below.min(lines.len().saturating_sub(room));
    let left = lines.len().saturating_sub(first + room);
    for (line, (text, ink)) in (0..below.height).zip(lines.into_iter().skip(first)) {
        Pen::new(buffer, below, line).put("  ", theme.text).put(&text, ink(theme));
    }
    let mut mark = |line: u16, text: &str| {
        Pen::new(buffer, below, line).put("  ", theme.text).put(text, theme.dim).fill(" ", theme.text);
    };
    if first > 0 {
        mark(0, &format!("PgUp: {} above", counted(first + 1, "line")));
    }
    if left > 0 && room > 1 {
        mark(below.height - 1, &format!("PgDn: {} below", counted(left + 1, "line")));
    }
}

/// Where the text of the chosen finding is.
fn below(app: &App, area: Rect) -> Rect {
    let used = u16::try_from(app.findings.len().min(room(app, area))).unwrap_or(0) + 1;
    Rect { y: area.y + used, height: area.height.saturating_sub(used), ..area }
}

fn text_width(area: Rect) -> usize {
    usize::from(area.width.saturating_sub(4))
}

/// The number of lines of that text, and of those that are seen at once.
#[must_use]
pub fn text_size(app: &App, area: Rect) -> (usize, usize) {
    (details(app, text_width(area)).len(), usize::from(below(app, area).height))
}

fn row(app: &App, finding: &Finding, theme: &Theme, area: Rect, line: u16, buffer: &mut Buffer) {
    let charset = Charset::from_unicode(app.options.unicode);
    let warns = finding.diagnosis.level == Level::Warning;
    let style = if warns { theme.bad } else { theme.cool };
    let padded = |text: &str, cells: usize| {
        let text = fit(text.as_bytes(), cells - 1, charset).into_owned();
        let gap = cells.saturating_sub(crate::text::width(&text));
        format!("{text}{}", " ".repeat(gap))
    };
    let mut pen = Pen::new(buffer, area, line);
    pen.skip(1).put(if app.options.unicode { "● " } else { "* " }, style);
    pen.put(&padded(&since(app, finding), SINCE), theme.text);
    let (what, cells) = columns(area.width);
    pen.put(&padded(finding.diagnosis.short(), what), if warns { theme.strong } else { theme.text });
    let mut about = who(app, finding);
    if crate::text::width(&about) >= cells {
        // The number is worth more than the end of a name.
        about = fit_with_number(app.name_of(finding).as_bytes(), cells - 1, charset).into_owned();
    }
    pen.put(&padded(&about, cells), theme.text);
    let left = usize::from(pen.left());
    pen.put(&fit(without_name(app, finding).as_bytes(), left, charset), theme.dim);
}

/// How long it has been so; with `>` where it may have been so before it was first seen.
fn since(app: &App, finding: &Finding) -> String {
    let now_ns = app.model.as_ref().map_or(0, |model| model.now.taken_ns);
    match now_ns.saturating_sub(finding.since_ns) / 1_000_000 {
        0..1000 => "now".to_owned(),
        ms => format!("{}{}", if finding.since_known { "" } else { ">" }, age(ms)),
    }
}

/// The process and how many others, printable once fitted.
fn who(app: &App, finding: &Finding) -> String {
    if finding.about == MACHINE {
        return "the machine".to_owned();
    }
    let others = match finding.others.len() {
        0 => String::new(),
        1 => " and 1 other".to_owned(),
        n => format!(" and {n} others"),
    };
    format!("{}{others}", app.name_of(finding))
}

/// The evidence without the process that has its own column.
fn without_name<'f>(app: &App, finding: &'f Finding) -> &'f str {
    let process = app.model.as_deref().and_then(|model| model.process(finding.about.pid));
    let Some(process) = process else { return &finding.evidence };
    let head = format!("{} ({})", String::from_utf8_lossy(process.leader.comm.as_bytes()), finding.about.pid);
    finding.evidence.strip_prefix(&head).map_or(&finding.evidence, |rest| rest.trim_start_matches([':', ' ']))
}

/// Chooses the style of a line from the theme.
type Ink = fn(&Theme) -> Style;

/// The chosen finding in full, and what was looked at.
fn details(app: &App, width: usize) -> Vec<(String, Ink)> {
    let charset = Charset::from_unicode(app.options.unicode);
    let mut lines: Vec<(String, Ink)> = vec![(String::new(), |theme| theme.text)];
    let mut put = |text: &str, ink: Ink, indent: &str| {
        for part in wrap(&sanitize_str(text, charset), width.saturating_sub(indent.len())) {
            lines.push((format!("{indent}{part}"), ink));
        }
    };
    match app.problem() {
        Some(finding) => {
            put(&format!("{}: {}", finding.diagnosis.title, finding.diagnosis.description), |theme| theme.accent, "");
            put(&format!("{}: {}", who(app, finding), without_name(app, finding)), |theme| theme.strong, "");
            put(&format!("What to do: {}", finding.advice), |theme| theme.good, "");
            if !finding.lines.is_empty() {
                put("", |theme| theme.text, "");
            }
            for line in &finding.lines {
                put(line, |theme| theme.text, "  ");
            }
            if let Some((stacks, model)) = app.problems.stacks(finding).zip(app.model.as_deref()) {
                let at = wall_clock(&model.now.system, stacks.taken_ns).map_or_else(String::new, |at| format!(" at {at}"));
                put("", |theme| theme.text, "");
                put(&format!("Python stacks when it was found{at}, outermost function first:"), |theme| theme.dim, "");
                for line in &stacks.lines {
                    put(line, |theme| theme.text, "  ");
                }
            }
        }
        None => {
            put(
                if surveyed(app).is_some() { "No problem was found in what was looked at." } else { "" },
                |theme| theme.strong,
                "",
            );
        }
    }
    put("", |theme| theme.text, "");
    for line in looked(app) {
        put(&line, |theme| theme.dim, "");
    }
    lines
}

fn processes(count: usize) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}

/// What a survey of everything found; one of the background looked for less.
fn surveyed(app: &App) -> Option<&Facts> {
    app.problems.facts.as_deref().filter(|facts| facts.scope == Scope::Everything)
}

/// What was looked at, since when, what could not be seen, and what would help.
#[must_use]
pub fn looked(app: &App) -> Vec<String> {
    let mut lines = Vec::new();
    let Some(model) = app.model.as_deref() else { return lines };
    if app.host_parts().is_some() {
        lines.push(
            "Samples of other hosts hold no waits, control groups and Python threads; `concmon problems --host HOST,.. --for 10` has the hosts look for these problems."
                .into(),
        );
        return lines;
    }
    if app.replay.is_some() {
        lines.push(
            "A recording holds samples only: waits, control groups and Python threads were not recorded, and are not checked."
                .into(),
        );
        return lines;
    }
    let (warn, inform): (Vec<&str>, Vec<&str>) = {
        let of = |level: Level| DIAGNOSES.iter().filter(move |d| d.level == level).map(|d| d.short());
        let of = |level| {
            of(level).fold(Vec::new(), |mut all, title| {
                if !all.contains(&title) {
                    all.push(title);
                }
                all
            })
        };
        (of(Level::Warning), of(Level::Information))
    };
    match (surveyed(app), &app.problems.failed) {
        (_, Some(why)) => lines.push(format!("The waits were not looked at: {why}")),
        (None, None) => lines.push("Looking at the waits of all processes. The first results take a second or more.".into()),
        (Some(facts), None) => {
            let (looked, age) = (facts.looked, model.now.taken_ns.saturating_sub(facts.taken_ns) / 1_000_000_000);
            lines.push(format!(
                "Looked at {age} s ago: {} threads of {} processes, twice, {} ms apart: waits, owners of locks, pipes, signals, descriptors, control groups, Python threads.",
                looked.tasks, looked.processes, looked.apart_ms
            ));
            if facts.span_ns == 0 {
                lines.push("CPU time of threads, quotas and growth need a second survey, in a few seconds.".into());
            }
            if looked.unreadable > 0 {
                lines.push(format!("Not examined: the waits of {}. {UNREADABLE}", processes(looked.unreadable)));
            }
            if looked.unread_pythons > 0 {
                lines.push(format!("Not examined yet: the Python functions of {}.", processes(looked.unread_pythons)));
            }
            if looked.silent > 0 {
                lines.push(format!("Not examined: the waits of {}: no answer within 500 ms.", processes(looked.silent)));
            }
        }
    }
    let since = app.problems.since_ns.and_then(|ns| wall_clock(&model.now.system, ns));
    let since = since.map_or_else(|| "concmon was started".to_owned(), |clock| clock.get(11..16).unwrap_or(&clock).to_owned());
    lines.push(match &model.now.report.events {
        EventTier::Connector => format!("Births and ends are seen since {since}; of processes that are older, the creator is not known."),
        EventTier::Polling(why) => format!(
            "Births and ends are seen since {since} by comparing samples, so short-lived processes, creators and causes of death are not known: {why}"
        ),
    });
    lines.push(NOT_FOLLOWED.into());
    lines.push(format!("Checked for: {}. For information: {}.", warn.join(", "), inform.join(", ")));
    lines
}
