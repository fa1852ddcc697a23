//! The table's part of `update`: lines, selection, tags, folds.

use std::sync::Arc;

use crate::columns::{Column, Row, RowRef};
use crate::derive::Model;
use crate::lab::run::Run;
use crate::query::TextMatch;
use crate::snapshot::{ProcKey, ProcessSample};
use crate::text::{Charset, sanitize};

use super::App;
use super::ghosts;
use super::layer_update::MOST_SIDEWAYS;
use super::logical;
use super::msg::Notice;
use super::options::{Options, Screen};
use super::rows::{self, Line, RowKey};
use super::run_rows::{self, RunRows};

/// How long the row of a signalled process says so, nanoseconds.
const SIGNALLED_NS: u64 = 5_000_000_000;

impl App {
    /// Takes a sample in.
    pub(super) fn sample(&mut self, model: Arc<Model>) {
        if self.hosts.is_none() {
            // A host's frames go by its own clock.
            self.now_ns = model.now.taken_ns;
        }
        self.history.add(&model);
        self.past.add(&model);
        self.events.add(&model);
        if self.paused {
            return;
        }
        self.keep_survey();
        self.problems.since_ns.get_or_insert(model.now.taken_ns);
        let found = self.found_on_hosts();
        self.findings = found.unwrap_or_else(|| self.watch.step_with(&model, self.problems.facts.as_deref()));
        self.search_deadlocks(&model);
        self.signalled.retain(|key, (_, at_ns)| {
            at_ns.saturating_add(SIGNALLED_NS) > model.now.taken_ns && model.process(key.pid).is_some_and(|p| p.key == *key)
        });
        self.tagged.retain(|key| model.index_of(key.pid).is_some_and(|i| model.now.processes[i].key == *key));
        self.model = Some(model);
        self.announce_deadlocks();
        if let Some(model) = self.model.clone() {
            self.sample_panes(&model);
            self.stories.look(&model, &self.lab.state);
        }
        self.rebuild();
        self.meet_expected();
    }

    /// Puts the cursor on the first row of the run that was just launched, with its family below it on screen.
    fn meet_expected(&mut self) {
        let Some(run) = self.expected.and_then(|id| self.lab.state.run(id)) else { return };
        let root = run.root_pid;
        let of = |pid: i32| self.lines.iter().position(|l| matches!(l.key, RowKey::Process(key) if key.pid == pid));
        let at = root.and_then(of);
        // Its workers come one by one, below it: it is moved up until all of them are there.
        let there = run.workers.iter().filter_map(|w| w.pid).filter(|pid| of(*pid).is_some()).count();
        let settled = there >= usize::try_from(run.spec.workers).unwrap_or(usize::MAX);
        if run.ended() || (at.is_some() && settled) {
            self.expected = None;
        }
        if let Some(at) = at {
            self.cursor = at;
            if at >= self.scroll + self.page / 2 {
                self.scroll = at.saturating_sub(self.page / 3);
            }
            self.clamp();
            self.hold();
        }
    }

    /// Puts the cursor on a process's row; false if it has none.
    pub(super) fn select_pid(&mut self, pid: i32) -> bool {
        let at = self.lines.iter().position(|l| matches!(l.key, RowKey::Process(key) if key.pid == pid));
        if let Some(at) = at {
            self.move_to(at);
        }
        at.is_some()
    }

    /// Goes to the process that the chosen event is about.
    pub(super) fn show_event_in_table(&mut self) {
        let Some((entry, model)) = self.events.chosen().zip(self.model.as_deref()) else { return };
        let (pid, at_ns) = (entry.pid(), entry.event.at_ns);
        let name = sanitize(entry.name.as_bytes(), Charset::from_unicode(self.options.unicode)).into_owned();
        // The process that has this PID now may have begun after the event. Start times are in ticks.
        let tick_ns = model.now.system.tick_ns();
        let begun = |p: &&ProcessSample| p.key.start_ticks.saturating_mul(tick_ns) <= at_ns.saturating_add(tick_ns);
        let lives = !entry.is_end() && model.process(pid).filter(begun).is_some();
        if lives && self.select_pid(pid) {
            self.screen = Screen::Processes;
            return;
        }
        self.tell(Notice::info(match lives {
            true => format!("PID {pid} ({name}) is hidden by the current filter or view"),
            false => format!("PID {pid} ({name}) has ended"),
        }));
    }

    /// Makes the lines again and keeps the selection on its row.
    pub(super) fn rebuild(&mut self) {
        let line_on_screen = self.cursor.saturating_sub(self.scroll);
        let runs = self.model.as_deref().map(|model| {
            let shown = |run: &Run| self.stories.shows(run);
            run_rows::build(model, &self.lab.state, shown, self.options.own_pid, self.options.kernel_threads)
        });
        let RunRows { lines: mut of_runs, notes, placed } = runs.unwrap_or_default();
        self.options.run_view = !of_runs.is_empty();
        self.notes = notes;
        let before = std::mem::take(&mut self.lines);
        let built = self.model.as_deref().map(|m| rows::build(m, &self.options, &placed)).unwrap_or_default();
        (self.lines, self.families, self.tree) = (built.lines, built.families, built.tree);
        if let (Some(model), true) = (self.model.as_deref(), self.options.tree) {
            logical::insert(&mut self.lines, model, &self.lab.state, &self.options.folded);
        }
        if !of_runs.is_empty() {
            of_runs.append(&mut self.lines);
            self.lines = of_runs;
        }
        if let (Some(model), false) = (self.model.as_deref(), self.options.tree) {
            let sort = self.options.sort;
            let unsorted = |line: &Line| {
                let ended = matches!(line.at, RowRef::Ghost(_)) && line.run.is_none();
                ended && Row::new(model, line.at).is_some_and(|row| !(sort.get)(&row).is_known())
            };
            ghosts::in_place(&mut self.lines, &before, unsorted);
        }
        if let Some(anchor) = self.anchor {
            match self.lines.iter().position(|l| l.key == anchor) {
                Some(at) => {
                    self.cursor = at;
                    if self.follow {
                        self.scroll = at.saturating_sub(line_on_screen);
                    }
                }
                // It has ended or is filtered out: stay at the line, hold on to what is there now.
                None => self.follow = false,
            }
        } else {
            self.cursor = 0;
            self.scroll = 0;
        }
        self.clamp();
        if self.anchor.is_some() {
            self.hold();
        }
    }

    pub(super) fn clamp(&mut self) {
        self.cursor = self.cursor.min(self.lines.len().saturating_sub(1));
        let page = self.page.max(1);
        self.scroll = self.scroll.min(self.lines.len().saturating_sub(page)).min(self.cursor);
        if self.cursor >= self.scroll + page {
            self.scroll = self.cursor + 1 - page;
        }
    }

    /// To the right first through the columns that had no room, one at a time, then through the command.
    pub(super) fn scroll_sideways(&mut self, by: i32) {
        let by = isize::try_from(by).unwrap_or(0);
        let more = |app: &Self| {
            let shown = app.options.shown_columns();
            let seen = |c: &&'static Column| app.visible_columns.iter().any(|v| v.id == c.id);
            // Once scrolled, columns are left out at the right only; before, those that matter least.
            let last = shown.iter().rev().find(|c| !Options::stays(c));
            if app.skipped > 0 { last.is_some_and(|c| !seen(c)) } else { !shown.iter().all(seen) }
        };
        match (by > 0, self.sideways) {
            (true, 0) if more(self) => self.skipped += 1,
            (false, 0) => self.skipped = self.skipped.saturating_sub(1),
            _ => self.sideways = self.sideways.saturating_add_signed(by).min(MOST_SIDEWAYS),
        }
    }

    /// Keeps the selection on the row that the cursor is on.
    pub(super) fn hold(&mut self) {
        self.anchor = self.lines.get(self.cursor).map(|l| l.key);
    }

    pub(super) fn move_by(&mut self, by: i64) {
        let at = i64::try_from(self.cursor).unwrap_or(i64::MAX).saturating_add(by).max(0);
        self.move_to(usize::try_from(at).unwrap_or(0));
    }

    pub(super) fn move_to(&mut self, line: usize) {
        self.cursor = line;
        self.clamp();
        self.hold();
        if line == 0 && self.split.is_none() {
            // Back at the top: from now on the selection is the first row, even if that row changes.
            self.anchor = None;
        }
    }

    pub(super) fn tag(&mut self) {
        if let Some(key) = self.selected().filter(|r| r.ghost.is_none()).map(|r| r.key()) {
            if !self.tagged.remove(&key) {
                self.tagged.insert(key);
            }
            self.move_by(1);
        }
    }

    pub(super) fn tag_subtree(&mut self) {
        let keys = self.subtree_of_selected();
        self.tagged.extend(keys);
    }

    fn subtree_of_selected(&self) -> Vec<ProcKey> {
        let (Some(model), Some(row)) = (self.model.as_deref(), self.selected()) else { return Vec::new() };
        let Some(index) = model.index_of(row.key().pid).and_then(|i| u32::try_from(i).ok()) else { return Vec::new() };
        let tree = model.tree(self.options.by_spawner);
        tree.subtree(index).into_iter().map(|i| model.now.processes[i as usize].key).collect()
    }

    /// Folds (`Some(true)`), unfolds or toggles the selected subtree; on a row without children, its parent's.
    pub(super) fn fold(&mut self, shut: Option<bool>) {
        if !self.options.tree {
            return;
        }
        let Some(line) = self.lines.get(self.cursor).copied() else { return };
        let at = if line.parent || shut == Some(false) {
            self.cursor
        } else {
            // The nearest line above that is one step out.
            (0..self.cursor).rev().find(|i| self.lines[*i].depth < line.depth).unwrap_or(self.cursor)
        };
        let Some(RowKey::Process(key)) = self.lines.get(at).map(|l| l.key) else { return };
        let shut = shut.unwrap_or(!self.options.folded.contains(&key));
        if shut {
            self.options.folded.insert(key);
        } else {
            self.options.folded.remove(&key);
        }
        self.cursor = at;
        self.hold();
        self.rebuild();
    }

    pub(super) fn fold_all(&mut self) {
        if self.options.folded.is_empty() {
            let parents: Vec<ProcKey> = self
                .lines
                .iter()
                .filter(|l| l.parent && l.depth > 0)
                .filter_map(|l| match l.key {
                    RowKey::Process(key) => Some(key),
                    RowKey::Task(_) | RowKey::Logical { .. } | RowKey::MoreLogical { .. } => None,
                })
                .collect();
            self.options.folded.extend(parents);
        } else {
            self.options.folded.clear();
        }
        self.rebuild();
    }

    /// Goes to the next line that matches the search, from `from` on, wrapping round; whether there is one.
    pub(super) fn find(&mut self, what: &TextMatch, from: usize) -> bool {
        let Some(model) = self.model.as_deref() else { return false };
        let n = self.lines.len();
        let hit = (0..n).map(|i| (from + i) % n).find(|i| Row::new(model, self.lines[*i].at).is_some_and(|r| what.matches(&r)));
        self.found(hit)
    }

    /// Goes to the nearest line before `from` that matches, wrapping round; whether there is one.
    pub(super) fn find_back(&mut self, what: &TextMatch, from: usize) -> bool {
        let Some(model) = self.model.as_deref() else { return false };
        let n = self.lines.len();
        let back = (1..=n).map(|i| (from + n - i) % n);
        let hit = back.into_iter().find(|i| Row::new(model, self.lines[*i].at).is_some_and(|r| what.matches(&r)));
        self.found(hit)
    }

    fn found(&mut self, hit: Option<usize>) -> bool {
        if let Some(at) = hit {
            self.cursor = at;
            self.clamp();
            self.hold();
        }
        hit.is_some()
    }
}
