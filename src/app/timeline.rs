//! State of the timeline screen: run, time window, lane, cursor.

use std::sync::Arc;

use crate::lab::lanes::{self, Lane, Window};
use crate::lab::run::{Run, RunId};

use super::App;
use super::family_time::FamilyTime;
use super::msg::{Effect, Notice};
use super::options::Screen;
use crate::lanes::Lanes;
use crate::snapshot::ProcKey;

/// The shortest window, nanoseconds: the counters are not finer.
const SHORTEST_NS: u64 = 20_000;

/// What a key of the timeline does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimelineKey {
    /// Moves the cursor by cells.
    Move(i32),
    /// Moves the cursor to the next (previous) change on the lane.
    Change(i32),
    /// Zooms in, or out.
    Zoom(i32),
    /// Shows all in which something happens.
    Fit,
    /// Shows the whole run.
    Whole,
    /// Another run.
    Run(i32),
    /// Goes to the lane's process in the table.
    Process,
    /// Gives the processes as of the cursor up to half of the screen, or what is left over.
    Processes,
}

/// State of the timeline's screen.
#[derive(Debug)]
pub struct TimelineView {
    /// The run; `None`: the newest.
    pub run: Option<RunId>,
    /// A family whose live lanes are shown in place of a run.
    pub family: Option<FamilyTime>,
    /// The newest run that there was.
    newest: Option<RunId>,
    /// The chosen lane.
    pub lane: usize,
    /// First lane on screen.
    pub scroll: usize,
    /// Where the cursor is, monotonic nanoseconds; `None`: at the end of what is shown.
    pub cursor_ns: Option<u64>,
    /// Cells of the time axis; set by the layout.
    pub cells: usize,
    /// Lanes that fit; set by the layout.
    pub page: usize,
    /// Whether the processes as of the cursor were asked for; else they are shown where there is room.
    pub processes: bool,
    window: Option<Window>,
    whole: bool,
}

impl Default for TimelineView {
    fn default() -> Self {
        Self {
            run: None,
            family: None,
            newest: None,
            lane: 0,
            scroll: 0,
            cursor_ns: None,
            cells: 60,
            page: 10,
            processes: false,
            window: None,
            whole: false,
        }
    }
}

impl TimelineView {
    /// What of a run's time is shown.
    #[must_use]
    pub fn window(&self, run: &Run, now_ns: u64) -> Window {
        self.window.unwrap_or_else(|| match &self.family {
            _ if self.whole => lanes::whole(run, now_ns),
            Some(family) => family.newest(),
            None => lanes::interesting(run, now_ns),
        })
    }

    /// Where the cursor is, within the window.
    #[must_use]
    pub fn cursor(&self, window: Window) -> u64 {
        self.cursor_ns.unwrap_or(u64::MAX).clamp(window.from_ns, window.to_ns - 1)
    }

    /// The first lane on a screen that holds `lines` of `count`: the chosen one is among them.
    #[must_use]
    pub fn first(&self, count: usize, lines: usize) -> usize {
        let lane = self.lane.min(count.saturating_sub(1));
        self.scroll.min(lane).max((lane + 1).saturating_sub(lines.max(1)))
    }

    /// Shows this run, or this family, with nothing zoomed or scrolled.
    fn show(&mut self, run: Option<RunId>, family: Option<FamilyTime>) {
        let Self { newest, cells, page, processes, .. } = *self;
        *self = Self { run, family, newest, cells, page, processes, ..Self::default() };
    }

    /// Leaves the family, if one is shown: nothing of it is read any more.
    pub(super) fn end_family(&mut self) {
        if self.family.is_some() {
            self.show(None, None);
        }
    }

    fn zoom(&mut self, run: &Run, now_ns: u64, closer: bool) {
        let all = lanes::whole(run, now_ns);
        let now = self.window(run, now_ns);
        let cursor = self.cursor(now);
        let length = if closer { now.length_ns() / 2 } else { now.length_ns().saturating_mul(2) };
        let length = length.max(SHORTEST_NS).min(all.length_ns());
        // The cursor stays where it is on the screen.
        let share = (cursor - now.from_ns) as f64 / now.length_ns() as f64;
        let from = cursor.saturating_sub((length as f64 * share) as u64);
        self.window = Some(within(from, length, all));
        self.cursor_ns = Some(cursor);
    }

    fn put_cursor(&mut self, run: &Run, now_ns: u64, at_ns: u64) {
        let all = lanes::whole(run, now_ns);
        let window = self.window(run, now_ns);
        let at_ns = at_ns.clamp(all.from_ns, all.to_ns - 1);
        self.cursor_ns = Some(at_ns);
        if at_ns < window.from_ns || at_ns >= window.to_ns {
            let length = window.length_ns();
            self.window = Some(within(at_ns.saturating_sub(length / 2), length, all));
        }
    }
}

/// A window of that length which begins there, moved into `all`.
fn within(from_ns: u64, length_ns: u64, all: Window) -> Window {
    let length_ns = length_ns.min(all.length_ns());
    let from_ns = from_ns.clamp(all.from_ns, all.to_ns - length_ns);
    Window::new(from_ns, from_ns + length_ns)
}

impl App {
    /// Opens the timeline: of the selected process and its descendants, or of a lab run where one is selected or none is on the table.
    pub(super) fn open_family_timeline(&mut self) -> Vec<Effect> {
        // A run that has a card and no rows yet was launched this moment.
        let launched = self.newest_run().filter(|run| self.stories.shows(run));
        let has_row = |run: &Arc<Run>| self.lines.iter().any(|line| line.run.is_some_and(|mark| mark.run == run.id));
        let without_rows = launched.is_some_and(|run| !has_row(run));
        let is_of_run = without_rows || self.lines.get(self.cursor).is_some_and(|line| line.run.is_some());
        let selected = self.selected().filter(|row| row.ghost.is_none() && self.screen == Screen::Processes && !is_of_run);
        let Some((key, kernel, comm)) = selected.map(|row| (row.key(), row.process.kernel_thread, row.process.leader.comm))
        else {
            return self.go(Screen::Timeline);
        };
        if kernel {
            self.tell(Notice::info("a kernel thread has no family to follow"));
            return Vec::new();
        }
        let family = FamilyTime::new(key, self.plain(comm), crate::clock::monotonic_ns());
        self.timeline.show(None, Some(family));
        self.go(Screen::Timeline)
    }

    /// The family whose lanes are wanted.
    #[must_use]
    pub fn traced_family(&self) -> Option<ProcKey> {
        self.timeline.family.as_ref().map(|family| family.key)
    }

    /// Takes in lanes, if they are of the family that is shown.
    pub(super) fn traced(&mut self, key: ProcKey, lanes: Arc<Lanes>, offset_ns: u64) {
        if let Some(family) = self.timeline.family.as_mut().filter(|family| family.key == key) {
            family.take(lanes, offset_ns);
        }
    }

    /// The run that the timeline shows.
    #[must_use]
    pub fn timed_run(&self) -> Option<&Arc<Run>> {
        if let Some(family) = &self.timeline.family {
            return Some(&family.run);
        }
        self.timeline.run.and_then(|id| self.lab.state.run(id)).or_else(|| self.newest_run())
    }

    /// The newest run that the user has launched; without one, the newest of those that measure or compare.
    fn newest_run(&self) -> Option<&Arc<Run>> {
        let runs = &self.lab.state.runs;
        runs.iter().rev().find(|run| !run.id.is_compared()).or_else(|| runs.last())
    }

    /// Shows a new run, from its beginning, instead of the one before it; but not while the user has moved to a place in the run
    /// that is shown.
    pub(super) fn follow_runs(&mut self) {
        let newest = self.newest_run().map(|run| run.id);
        let before = std::mem::replace(&mut self.timeline.newest, newest);
        let Some(id) = newest.filter(|_| newest != before && self.timeline.family.is_none()) else { return };
        let view = &self.timeline;
        let looked_into = view.cursor_ns.is_some() || view.window.is_some() || view.lane > 0;
        match before {
            Some(before) if self.screen == Screen::Timeline && looked_into => {
                self.timeline.run.get_or_insert(before);
                self.tell(Notice::info(format!("run {id} has started: ] shows it")));
            }
            _ => {
                self.timeline.show(Some(id), None);
                self.timeline.run = None;
            }
        }
    }

    /// From the lab, with the run that is shown there.
    pub(super) fn open_timeline(&mut self) {
        let shown = (self.screen == Screen::Lab).then(|| self.output_run().map(|r| r.id)).flatten();
        if let Some(id) = shown.filter(|id| self.timed_run().map(|r| r.id) != Some(*id)) {
            self.timeline.show(Some(id), None);
        }
    }

    /// Moves the chosen lane.
    pub(super) fn time_lanes(&mut self, by: i64) {
        let Some(count) = self.timed_run().map(|run| lanes::lanes(run).len()) else { return };
        let view = &mut self.timeline;
        let last = i64::try_from(count.saturating_sub(1)).unwrap_or(0);
        let at = i64::try_from(view.lane).unwrap_or(0).saturating_add(by).clamp(0, last);
        view.lane = usize::try_from(at).unwrap_or(0);
        view.scroll = view.first(count, view.page);
    }

    /// The mouse at a lane and a cell.
    pub(super) fn time_point(&mut self, line: usize, cell: usize) {
        let now = self.lab.now_ns;
        let Some(run) = self.timed_run().cloned() else { return };
        let view = &mut self.timeline;
        let window = view.window(&run, now).cell(cell, view.cells);
        view.cursor_ns = Some(window.from_ns + window.length_ns() / 2);
        let count = lanes::lanes(&run).len();
        view.scroll = view.first(count, view.page);
        view.lane = (view.scroll + line).min(count.saturating_sub(1));
    }

    pub(super) fn time_key(&mut self, key: TimelineKey) -> Vec<Effect> {
        let now = self.lab.now_ns;
        let Some(run) = self.timed_run().cloned() else {
            self.tell(Notice::info("no run yet: start one in the lab (2), or launch a demo with n"));
            return Vec::new();
        };
        let view = &mut self.timeline;
        match key {
            TimelineKey::Zoom(by) => view.zoom(&run, now, by > 0),
            TimelineKey::Fit => (view.window, view.whole, view.cursor_ns) = (None, false, None),
            TimelineKey::Whole => (view.window, view.whole, view.cursor_ns) = (None, true, None),
            TimelineKey::Move(by) => {
                let window = view.window(&run, now);
                let cell = window.cell_at(view.cursor(window), view.cells);
                let step = window.length_ns() as f64 / view.cells.max(1) as f64;
                let at = window.from_ns as f64 + (cell as f64 + 0.5 + f64::from(by)) * step;
                view.put_cursor(&run, now, at.max(0.0) as u64);
            }
            TimelineKey::Change(by) => {
                let at = view.cursor(view.window(&run, now));
                let changes = lanes::lanes(&run).get(view.lane).map(Lane::changes_ns).unwrap_or_default();
                let next = if by > 0 { changes.iter().find(|c| **c > at) } else { changes.iter().rev().find(|c| **c < at) };
                match next.copied() {
                    Some(ns) => view.put_cursor(&run, now, ns),
                    None => self.tell(Notice::info("no further change on this lane")),
                }
            }
            TimelineKey::Run(_) if view.family.is_some() => {
                self.tell(Notice::info("this is the live timeline of a process: 2 goes to the lab, whose V shows runs"));
            }
            TimelineKey::Run(by) => {
                let runs = &self.lab.state.runs;
                let at = runs.iter().position(|r| r.id == run.id).and_then(|at| i32::try_from(at).ok()).unwrap_or(0);
                if let Some(other) = usize::try_from(at + by).ok().and_then(|at| runs.get(at)) {
                    let id = other.id;
                    self.timeline.show(Some(id), None);
                } else {
                    self.tell(Notice::info(if by > 0 {
                        "this is the newest run"
                    } else {
                        "this is the oldest run that is kept"
                    }));
                }
            }
            TimelineKey::Processes => view.processes = !view.processes,
            TimelineKey::Process => return self.show_lane_in_table(&run),
        }
        Vec::new()
    }

    fn show_lane_in_table(&mut self, run: &Run) -> Vec<Effect> {
        let pid = lanes::lanes(run).get(self.timeline.lane).and_then(|l| l.pid);
        // A number of a run that has ended may be another's by now.
        let alive = pid.filter(|_| !run.ended()).filter(|pid| self.select_pid(*pid));
        match (alive, pid) {
            (Some(_), _) => self.screen = Screen::Processes,
            (None, Some(pid)) => self.tell(Notice::info(format!("PID {pid} has ended"))),
            (None, None) => self.tell(Notice::info("this lane has no process yet")),
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::key::{Code, Key};
    use crate::app::msg::Msg;
    use crate::app::options::Options;
    use crate::lab::catalog;
    use crate::lab::launcher::LabState;

    fn runs(app: &mut App, ids: &[u32]) {
        let run = |id: &u32| {
            let started_ns = u64::from(*id) * 10_000_000_000;
            let mut run = Run::new(RunId(*id), catalog::RunSpec::own(), started_ns);
            run.root_pid = Some(100);
            Arc::new(run)
        };
        let last = ids.last().map_or(0, |id| u64::from(*id) * 10_000_000_000 + 500_000_000);
        app.update(Msg::Lab(Arc::new(LabState { runs: ids.iter().map(run).collect() })));
        app.lab.now_ns = last;
    }

    fn shown(app: &App) -> (u32, bool) {
        let run = app.timed_run().unwrap();
        let window = app.timeline.window(run, app.lab.now_ns);
        let inside = app.timeline.cursor(window) >= run.started_ns;
        (run.id.0, inside)
    }

    #[test]
    fn a_new_run_is_shown_from_its_beginning_but_not_under_the_eyes_of_who_looks_into_another() {
        let mut app = App::new(Options::default());
        runs(&mut app, &[1]);
        app.update(Msg::Key(Key::char('V')));
        app.update(Msg::Key(Key::plain(Code::Left)));
        app.update(Msg::Key(Key::char('+')));
        assert_eq!(shown(&app), (1, true));
        runs(&mut app, &[1, 2]);
        assert_eq!(shown(&app), (1, true), "somebody has gone to a place in the first");
        app.update(Msg::Key(Key::char(']')));
        assert_eq!(shown(&app), (2, true));
        app.update(Msg::Key(Key::plain(Code::Left)));
        app.update(Msg::Key(Key::char('1')));
        runs(&mut app, &[1, 2, 3]);
        app.update(Msg::Key(Key::char('V')));
        assert_eq!(shown(&app), (3, true), "the cursor of the second is not in the third");
    }
}
