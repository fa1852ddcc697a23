//! The processes and workers of a run, one line each: PID, state, memory, creation, and tasks over time. Lines that do not fit are
//! counted.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::pen::Pen;
use super::super::theme::Theme;
use super::time;
use crate::app::App;
use crate::lab::lanes::interesting;
use crate::lab::measure::Unit;
use crate::lab::report::show;
use crate::lab::roles;
use crate::lab::run::{FamilyMember, Run, Worker};

/// Cells below which the lanes' heads give way to the lanes.
const NARROW: u16 = 70;

/// Lines that all of them take, with their heads.
pub fn wanted(run: &Run) -> usize {
    1 + helpers(run).count() + run.workers.len()
}

/// How many helpers and how many workers are shown on so many lines below the heads. Workers are what the screen is for: helpers get what
/// they leave, but the root stays.
fn shown(helpers: usize, workers: usize, room: usize) -> (usize, usize) {
    if helpers + workers <= room {
        return (helpers, workers);
    }
    // The last line says how many are left out.
    let room = room.saturating_sub(1);
    let first = helpers.min(room.saturating_sub(workers).max(1)).min(room);
    (first, workers.min(room - first))
}

/// What is left out, in words.
fn left_out(helpers: usize, workers: usize) -> String {
    let of = |n: usize, what: &str| (n > 0).then(|| format!("{n} more {what}{}", if n == 1 { "" } else { "s" }));
    let parts: Vec<String> = [of(workers, "worker"), of(helpers, "helper")].into_iter().flatten().collect();
    format!("    ... and {}", parts.join(", "))
}

/// Draws them; returns the lines used.
pub fn draw(app: &App, run: &Run, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    // Workers that only stay to be looked at would press all that they did into one cell.
    let window = interesting(run, app.lab.now_ns);
    let (start, end) = (window.from_ns, window.to_ns.max(window.from_ns + 1));
    let mut line = 0;
    if area.height == 0 {
        return 0;
    }
    let narrow = area.width < NARROW;
    let head = if narrow { "   TASK  S      RES  worker" } else { "    PID     TID  S      RES  START     worker" };
    Pen::new(buffer, area, 0).put(head, theme.dim).put(&format!("   axis {}", time((end - start) as f64)), theme.dim);
    line += 1;
    let (members, workers) = (helpers(run).count(), run.workers.len());
    let (shown_members, shown_workers) = shown(members, workers, usize::from(area.height.saturating_sub(line)));
    for member in helpers(run).take(shown_members) {
        let role = if Some(member.pid) == run.root_pid { "main process" } else { helper_role(app, run, member.pid) };
        let mut pen = Pen::new(buffer, area, line);
        identity(app, run, (Some(member.pid), Some(member.pid)), narrow, theme, &mut pen);
        pen.skip(if narrow { 0 } else { 10 }).put(role, theme.dim);
        line += 1;
    }
    for worker in run.workers.iter().take(shown_workers) {
        let mut pen = Pen::new(buffer, area, line);
        identity(app, run, (worker.pid, worker.tid), narrow, theme, &mut pen);
        if !narrow {
            pen.put(&format!("{:9} ", worker.how.map_or("", crate::lab::protocol::Creation::badge)), theme.cool);
        }
        pen.put(&format!("#{:<5}", worker.index), theme.cool);
        spans(worker, start, end, app.options.unicode, theme, &mut pen);
        line += 1;
    }
    if shown_members + shown_workers < members + workers && line < area.height {
        Pen::new(buffer, area, line).put(&left_out(members - shown_members, workers - shown_workers), theme.dim);
        line += 1;
    }
    line
}

/// What a process beside root and workers is.
fn helper_role(app: &App, run: &Run, pid: i32) -> &'static str {
    let process = app.model.as_deref().and_then(|model| model.process(pid));
    roles::process(run, process.and_then(|p| p.identity.cmdline.as_deref()).unwrap_or_default())
}

/// Members of the family that are not workers: the root, fork servers.
fn helpers(run: &Run) -> impl Iterator<Item = &FamilyMember> {
    run.family.iter().filter(|m| !run.workers.iter().any(|w| w.pid == Some(m.pid) && w.tid.is_none_or(|t| t == m.pid)))
}

/// Pid and tid, of which the tid alone stays where there is little room; state, memory.
fn identity(app: &App, run: &Run, (pid, tid): (Option<i32>, Option<i32>), narrow: bool, theme: &Theme, pen: &mut Pen<'_>) {
    let number = |n: Option<i32>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    if narrow {
        pen.put_right(&number(tid.or(pid)), 7, theme.text);
    } else {
        pen.put_right(&number(pid), 7, theme.text).put_right(&number(tid), 8, theme.dim);
    }
    let seen = pid.and_then(|pid| run.family.iter().find(|m| m.pid == pid)).filter(|_| !run.ended());
    let live = pid.and_then(|pid| app.model.as_deref()?.process(pid)).filter(|_| !run.ended());
    let state = live.map(|p| p.leader.state.letter()).or(seen.map(|m| m.state));
    let state = state.unwrap_or('-');
    pen.put("  ", theme.text).put(&state.to_string(), theme.state(state));
    let mut memory = String::new();
    match live.and_then(|p| p.rss_bytes).or(seen.and_then(|m| m.rss_bytes)) {
        Some(rss) => memory.push_str(&show(rss as f64, Unit::Bytes)),
        None => memory.push('-'),
    }
    pen.put_right(&memory, 9, theme.text).put("  ", theme.text);
}

/// The worker's time: being created, working, idle, gone.
fn spans(worker: &Worker, start: u64, end: u64, unicode: bool, theme: &Theme, pen: &mut Pen<'_>) {
    let cells = usize::from(pen.left());
    let scale = (end - start) as f64 / cells.max(1) as f64;
    for cell in 0..cells {
        let from = start + (cell as f64 * scale) as u64;
        let to = start + ((cell + 1) as f64 * scale) as u64;
        let overlaps = |a: Option<u64>, b: Option<u64>| a.is_some_and(|a| a < to.max(from + 1)) && b.unwrap_or(u64::MAX) > from;
        let working = worker.spans.iter().any(|s| overlaps(Some(s.start_ns), s.end_ns));
        let creating = overlaps(worker.requested_ns, worker.ready_ns);
        let alive = overlaps(worker.ready_ns, worker.exited_ns);
        let (mark, style) = match (working, creating, alive, unicode) {
            (true, _, _, true) => ("▇", theme.good),
            (true, _, _, false) => ("#", theme.good),
            (_, true, _, true) => ("░", theme.warn),
            (_, true, _, false) => (":", theme.warn),
            (_, _, true, true) => ("▁", theme.dim),
            (_, _, true, false) => ("_", theme.dim),
            _ => (" ", theme.dim),
        };
        pen.put(mark, style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_come_first_and_what_is_left_out_is_counted() {
        assert_eq!(shown(2, 4, 6), (2, 4));
        assert_eq!(shown(3, 4, 6), (1, 4), "helpers step back");
        assert_eq!(shown(1, 10, 6), (1, 4));
        assert_eq!(shown(1, 10, 1), (0, 0));
        assert_eq!(shown(1, 10, 0), (0, 0));
        assert_eq!(left_out(2, 0), "    ... and 2 more helpers");
        assert_eq!(left_out(2, 1), "    ... and 1 more worker, 2 more helpers");
    }
}
