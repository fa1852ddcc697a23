//! A profile as lines: how it was made, the functions, and the waits.

use super::{Place, Profile, percent};

/// The most rows of a table.
const ROWS: usize = 25;

/// Its lines; names in them are the processes' own and must be made safe before they are shown.
#[must_use]
pub fn lines(profile: &Profile) -> Vec<String> {
    let mut lines = account(profile);
    let all = profile.total_ns();
    let functions = profile.functions();
    if !functions.is_empty() {
        lines.push(String::new());
        lines.push("  SELF%  TOTAL%  FUNCTION, AND ITS LINE WITH THE MOST TIME".to_owned());
        for time in functions.iter().take(ROWS) {
            let line = time.line.map_or(String::new(), |line| format!(":{line}"));
            let (own, total) = (percent(time.self_ns, all), percent(time.total_ns, all));
            lines.push(format!("  {own:5.1}  {total:6.1}  {}  {}{line}", time.function, time.file));
        }
        if functions.len() > ROWS {
            lines.push(format!("  and {} more functions", functions.len() - ROWS));
        }
    }
    let waits = profile.waits();
    if waits.iter().any(|wait| wait.reason.is_some()) {
        lines.push(String::new());
        lines.push("  TIME%  WAIT, AND WHERE".to_owned());
        for wait in waits.iter().take(ROWS) {
            let reason = wait.reason.as_deref().unwrap_or("on a CPU, or ready for one");
            let place = wait.place.as_ref().map_or(String::new(), |place| format!("  in {}", place.label()));
            lines.push(format!("  {:5.1}  {reason}{place}", percent(wait.ns, all)));
        }
    }
    if functions.is_empty() {
        let mut programs = programs(profile);
        programs.truncate(ROWS);
        lines.push(String::new());
        lines.push("  TIME%  PROGRAM OR THREAD".to_owned());
        lines.extend(programs.into_iter().map(|(name, ns)| format!("  {:5.1}  {name}", percent(ns, all))));
    }
    lines
}

/// How it was made.
fn account(profile: &Profile) -> Vec<String> {
    let a = &profile.account;
    let seconds = a.wall_ns as f64 / 1e9;
    let count = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    let processes = count(a.processes, "process", "processes");
    let mut lines = vec![
        format!(
            "{processes} ({} Python), {}, {seconds:.1} s at {} Hz, by {}",
            a.pythons,
            count(a.tasks, "task", "tasks"),
            a.rate_hz,
            profile.mode.words()
        ),
        format!(
            "{} samples in {} looks; {} looks missed, {} samples torn ({:.1} %), {} unknown; sampling took {:.1} % of a CPU",
            a.samples,
            a.looks,
            a.missed,
            a.torn,
            percent(a.torn, a.samples),
            a.unknown,
            percent(a.cost_ns, a.wall_ns)
        ),
    ];
    lines.extend(a.notes.iter().cloned());
    lines
}

/// Programs that are no Python, by their names.
fn programs(profile: &Profile) -> Vec<(String, u64)> {
    let mut times: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
    for (at, node) in profile.nodes.iter().enumerate().filter(|(_, node)| node.self_ns > 0) {
        if let Some(Place::Program(name)) = profile.stack(at).into_iter().find(|place| matches!(place, Place::Program(_))) {
            *times.entry(name.to_string()).or_default() += node.self_ns;
        }
    }
    let mut times: Vec<(String, u64)> = times.into_iter().collect();
    times.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
    times
}
