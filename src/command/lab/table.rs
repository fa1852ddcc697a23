//! Text output of the lab: the list of systems, and the results of runs.

use std::io::{self, Write};
use std::sync::Arc;

use crate::lab::catalog::systems;
use crate::lab::lanes::{self, Lane, Role};
use crate::lab::measure::{Unit, counted};
use crate::lab::python::{self, Discovery};
use crate::lab::report::{creation, reported, show};
use crate::lab::run::Run;

use super::document::outcome;
use crate::command::output::{hanging, terminal_width};
use crate::text::{self, Charset, sanitize_str};

/// Below so much CPU time the split into user and system time may be of a single tick, nanoseconds.
const FEW_TICKS_NS: u64 = 100_000_000;

/// Systems under their headings, with the first sentence of their lesson, or why they do not run here.
pub(super) fn list(found: &Discovery, out: &mut dyn Write) -> io::Result<()> {
    let width = systems().iter().map(|s| s.id.len()).max().unwrap_or(0);
    let mut section = None;
    for system in systems() {
        if section != Some(system.section) {
            let gap = if section.is_some() { "\n" } else { "" };
            writeln!(out, "{gap}{}", system.section.title())?;
            section = Some(system.section);
        }
        let first = system.lesson.split(". ").next().unwrap_or_default().trim_end_matches('.');
        let words = python::availability(system, found).map_or_else(|| first.to_owned(), |why| format!("not available: {why}"));
        writeln!(out, "{}", hanging(&format!("  {:<width$}  ", system.id), &words, terminal_width()))?;
    }
    Ok(())
}

/// What came of each run, and of all repetitions together.
pub(super) fn runs(runs: &[Arc<Run>], out: &mut dyn Write) -> io::Result<()> {
    for (i, run) in runs.iter().enumerate() {
        if i > 0 {
            writeln!(out)?;
        }
        one(run, out)?;
    }
    Ok(())
}

/// What a program of the user's own has cost.
pub(in crate::command) fn own_program(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let (word, why) = outcome(run);
    writeln!(out, "concmon run  [{}]", why.map_or_else(|| word.to_owned(), |why| format!("{word}: {}", clean(why))))?;
    costs(run, out)?;
    let workers = run.workers.iter().filter(|w| w.ready_ns.is_some()).count();
    if workers > 0 {
        let units: usize = run.workers.iter().map(|w| w.spans.len()).sum();
        line(out, "reported", &format!("{}, {} of work", counted(workers, "worker"), counted(units, "unit")))?;
    }
    values(run, out)?;
    for warning in &run.warnings {
        line(out, "warning", warning)?;
    }
    lanes_of(run, out)
}

/// Lanes that are shown; a program with more is better looked at in the timeline's screen, or as JSON.
const LANES_SHOWN: usize = 16;
/// Names of reported values longer than this do not move the others.
const NAME_CELLS: usize = 40;
/// Cells of a lane.
const LANE_CELLS: usize = 56;

/// What each of its tasks did over time.
fn lanes_of(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let all = lanes::lanes(run);
    if run.trace.as_deref().is_none_or(|t| t.tasks.is_empty()) {
        return Ok(());
    }
    let window = lanes::whole(run, 0);
    let all = busiest(all);
    let shown = all.len().min(LANES_SHOWN);
    let picture = lanes::picture(run, &all, 0..shown, window, LANE_CELLS);
    for (lane, marks) in all.iter().zip(&picture.marks) {
        let number = lane.tid.map_or_else(|| "-".to_owned(), |tid| tid.to_string());
        let name: String = clean(lane.comm).chars().take(11).collect();
        let cells: String = marks.iter().map(|m| m.glyph(true)).collect();
        writeln!(out, "{number:>8} {name:<11} {}", cells.trim_end())?;
    }
    if shown < all.len() {
        let cpu: u64 = all.iter().skip(shown).filter_map(lanes::Lane::totals_ns).map(|(ran, _)| ran).sum();
        writeln!(out, "         and {} more, together {} on a CPU", all.len() - shown, lanes::duration(cpu))?;
    }
    let axis = lanes::duration(window.length_ns());
    writeln!(out, "{:20} axis 0-{axis}, the wall time; █ on a CPU  ░ ready  · blocked", "")?;
    writeln!(out, "{:20} {}", "", coverage(run, window))
}

/// The lanes to show first: the root, and those that have used the most CPU time, in the order in which they appeared.
fn busiest(mut all: Vec<Lane<'_>>) -> Vec<Lane<'_>> {
    if all.len() <= LANES_SHOWN {
        return all;
    }
    let ran = |lane: &Lane<'_>| lane.totals_ns().map_or(0, |(ran, _)| ran);
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse((all[*i].role == Role::Root, ran(&all[*i]))));
    let mut first = vec![false; all.len()];
    order.iter().take(LANES_SHOWN).for_each(|i| first[*i] = true);
    let mut flags = first.into_iter();
    let (mut shown, rest): (Vec<_>, Vec<_>) = all.drain(..).partition(|_| flags.next() == Some(true));
    shown.extend(rest);
    shown
}

/// What part of the run the lanes show: what ended between two looks is in no lane.
fn coverage(run: &Run, window: lanes::Window) -> String {
    let mut parts = Vec::new();
    if let Some(trace) = run.trace.as_deref() {
        parts.push(format!("{} seen", counted(trace.tasks.len(), "task")));
        if trace.unwatched > 0 {
            parts.push(format!("{} not watched (too many at once)", trace.unwatched));
        }
        parts.push(format!("sampled for {:.0}% of the wall time", lanes::looked_at(run, window) * 100.0));
        if let Some(charged) = run.costs.charged_cpu_ns().filter(|ns| *ns > 0) {
            let share = trace.run_ns() as f64 / charged as f64 * 100.0;
            parts.push(format!("the lanes show {:.0}% of the CPU time used", share.min(100.0)));
        }
    }
    parts.join("; ")
}

/// CPU time. The kernel splits it by what ran at its ticks: of a short run it may have seen only one side, and then only the sum is true.
fn cpu(user_ns: Option<u64>, sys_ns: Option<u64>) -> String {
    match (user_ns, sys_ns) {
        (Some(user), Some(system)) if (user == 0) != (system == 0) && user + system < FEW_TICKS_NS => {
            format!("{}, too short to split into user and system", time(Some(user + system)))
        }
        _ => format!("user {}, system {}", time(user_ns), time(sys_ns)),
    }
}

fn costs(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let c = &run.costs;
    let cpu = cpu(c.user_ns, c.sys_ns);
    line(out, "wall", &format!("{}   cpu {cpu}   teardown {}", time(c.wall_ns), time(c.teardown_ns)))?;
    if let (Some(start), Some(end)) = (c.root_start_ns, c.root_end_ns) {
        let what = if run.lang.as_deref().is_some_and(|l| l.starts_with("python")) { "interpreter" } else { "program" };
        line(out, "root", &format!("{what} start {}, end {} (not counted above)", time(Some(start)), time(Some(end))))?;
    }
    let memory = match (c.peak_rss_bytes, c.peak_pss_bytes) {
        (None, None) => "unknown: the run ended before it was sampled".to_owned(),
        (rss, None) => format!("peak rss {} or more", bytes(rss)),
        (rss, pss) => {
            format!("peak rss {}, pss at least {} (family; the peak may lie between two looks)", bytes(rss), bytes(pss))
        }
    };
    line(out, "memory", &memory)?;
    let faults = format!("{} minor, {} major", count(c.minor_faults), count(c.major_faults));
    let switches = format!("{} voluntary, {} involuntary", count(c.voluntary_switches), count(c.involuntary_switches));
    line(out, "faults", &format!("{faults}   switches {switches}"))?;
    if c.run_delay_ns.is_some() || c.sent_bytes.is_some() {
        let sent = c.sent_bytes.map_or_else(String::new, |n| format!("   sent between processes {}", bytes(Some(n))));
        line(out, "waited", &format!("{} for a CPU (root and workers){sent}", time(c.run_delay_ns)))?;
    }
    if let Some(own) = c.protocol_ns {
        line(out, "protocol", &format!("{} of CPU went into reporting (counted above)", time(Some(own))))?;
    }
    Ok(())
}

fn one(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let spec = &run.spec;
    let (word, why) = outcome(run);
    let mut title = format!("{}  {}, {}", spec.system, counted(spec.workers as usize, "worker"), spec.work());
    if spec.parent_mb > 0 {
        title += &format!(", parent {} MiB", spec.parent_mb);
    }
    writeln!(out, "{title}  [{}]", why.map_or_else(|| word.to_owned(), |why| format!("{word}: {}", clean(why))))?;
    let c = &run.costs;
    if let (Some(lang), Some(path)) = (&run.lang, &spec.python) {
        line(out, "on", &format!("{lang} ({})", path.display()))?;
    }
    line(out, "create", &c.creation_ns.map_or_else(|| "-".into(), |s| creation(&s, ", ")))?;
    costs(run, out)?;
    let shape: Vec<String> = run
        .shape
        .iter()
        .map(|s| {
            if s.met {
                format!("{} ok ({})", s.what, s.seen)
            } else {
                format!("{} NOT MET (expected {}, seen {})", s.what, s.expected, s.seen)
            }
        })
        .collect();
    line(out, "shape", &if shape.is_empty() { "not seen".to_owned() } else { shape.join("   ") })?;
    values(run, out)?;
    for warning in &run.warnings {
        line(out, "warning", warning)?;
    }
    if !run.output.is_empty() {
        writeln!(out, "  output:")?;
        for text in run.output.lines() {
            writeln!(out, "    {}", clean(text))?;
        }
    }
    Ok(())
}

/// What it reported, numbers below each other.
fn values(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let shown: Vec<(String, String)> = run.values.iter().map(reported).map(|(name, text)| (clean(&name), clean(&text))).collect();
    let width = shown.iter().map(|(name, _)| text::width(name)).max().unwrap_or(0).min(NAME_CELLS);
    for (name, value) in shown {
        let gap = " ".repeat(width.saturating_sub(text::width(&name)));
        writeln!(out, "  {name}{gap}  {value}")?;
    }
    Ok(())
}

fn line(out: &mut dyn Write, name: &str, text: &str) -> io::Result<()> {
    writeln!(out, "  {:<8} {}", clean(name), clean(text))
}

/// What a run says may hold anything; a terminal must not obey it.
fn clean(text: &str) -> String {
    sanitize_str(text, Charset::Unicode).into_owned()
}

/// A figure with its unit; `-` for unknown.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn figure(value: Option<u64>, unit: Unit) -> String {
    value.map_or_else(|| "-".into(), |n| show(n as f64, unit))
}

fn time(ns: Option<u64>) -> String {
    figure(ns, Unit::Ns)
}

fn bytes(bytes: Option<u64>) -> String {
    figure(bytes, Unit::Bytes)
}

fn count(n: Option<u64>) -> String {
    n.map_or_else(|| "-".into(), |n| n.to_string())
}
