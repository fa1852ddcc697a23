//! The application as a value: [`App::update`] handles messages and returns [`Effect`]s for the engine.

pub mod actions;
mod allot;
pub mod compare;
pub mod copy;
pub mod detail;
mod details;
pub mod editor;
pub mod event_sums;
pub mod events_log;
mod explain;
mod family;
pub mod family_time;
mod ghosts;
mod history;
pub mod host_view;
mod hosts;
mod input_update;
mod keep;
pub mod key;
pub mod lab_view;
mod launch;
pub mod layer;
mod layer_update;
pub mod ledger;
pub mod lessons;
pub mod logical;
mod look_back;
mod menus;
pub mod msg;
mod now;
mod on_targets;
pub mod options;
pub mod palette;
mod parameter;
pub mod past;
pub mod presets;
pub mod problems;
pub mod profile_page;
pub mod replay;
pub mod rows;
mod run_cards;
pub mod run_rows;
mod search;
pub mod setup;
mod table;
pub mod target;
pub mod timeline;
mod update;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::columns::{Column, Row, RowRef, RunNote, Value};
use crate::derive::Model;
use crate::diagnose::{Finding, Watch};
use crate::lab::catalog::Demo;
use crate::lab::run::RunId;
use crate::snapshot::Needs;
use crate::snapshot::{ProcKey, pid_on_host};

use actions::Context;
use compare::CompareView;
use detail::DetailPane;
use events_log::EventsLog;
use history::History;
use host_view::HostsView;
use input_update::Typed;
use key::Key;
use lab_view::LabView;
use layer::{Layer, TextSize};
use lessons::LessonsView;
use msg::Notice;
use options::{Options, Screen};
use past::Past;
use replay::Playback;
use rows::{Line, RowKey};
use run_cards::Stories;
pub use run_cards::{Card, CostBar, Fact};
use timeline::TimelineView;

/// Everything the views draw from.
#[derive(Debug)]
pub struct App {
    /// Newest sample; `None` until the first.
    pub model: Option<Arc<Model>>,
    /// What is shown and how.
    pub options: Options,
    /// Lines of the table.
    pub lines: Vec<Line>,
    /// Of every folded line the processes of its subtree, by [`rows::Folded::family`].
    families: Vec<Vec<u32>>,
    /// What the lab knows of lines of its runs, by [`run_rows::RunMark::note`].
    notes: Vec<RunNote>,
    /// What happened in the runs that are shown.
    stories: Stories,
    tree: Option<crate::derive::Tree>,
    /// Index of the selected line.
    pub cursor: usize,
    /// First visible line.
    pub scroll: usize,
    /// Visible lines of the table; set by the layout.
    pub page: usize,
    /// Steps that columns are scrolled by: 0, those that matter least step back where there is no room; 1, all from the first on as far
    /// as there is room; each further one leaves out one more at the left, of those that do not always stay.
    pub skipped: usize,
    /// Characters the command is scrolled by, once no column is left to scroll to.
    pub sideways: usize,
    /// Tagged processes.
    pub tagged: HashSet<ProcKey>,
    /// Which screen.
    pub screen: Screen,
    /// Details of the selected process in the lower half of the table.
    pub split: Option<Box<DetailPane>>,
    /// What is open over the screen.
    pub layer: Option<Layer>,
    /// Size of the open layer, if it is a text; set by the layout.
    pub text: TextSize,
    /// The line at the bottom, and when it fades (boot nanoseconds).
    pub notice: Option<(Notice, u64)>,
    /// The lab's screen.
    pub lab: LabView,
    /// The timeline's screen.
    pub timeline: TimelineView,
    /// The events' screen.
    pub events: EventsLog,
    /// The Compare screen.
    pub compare: CompareView,
    /// The Problems screen.
    pub problems: problems::ProblemsView,
    /// The lessons, on the lab's screen.
    pub lessons: LessonsView,
    /// Small graphs.
    pub history: History,
    /// Recent values of every process.
    past: Past,
    /// Lines of the terminal.
    screen_lines: u16,
    /// What is wrong as of the newest sample, worst first.
    pub findings: Vec<Finding>,
    /// Where in a recording the screens are; `None`: they show this machine.
    pub replay: Option<Playback>,
    /// The hosts that are shown; `None`: one machine.
    pub hosts: Option<HostsView>,
    /// The page of a profile that was opened last.
    profile: Option<profile_page::ProfilePage>,
    /// The live state, while a live session shows its last minutes.
    now: Option<Box<now::Now>>,
    /// Whether what is seen is recorded.
    pub recording: bool,
    /// Whether the picture is frozen.
    pub paused: bool,
    /// Whether the selected row keeps its line while others move.
    pub follow: bool,
    /// Columns that fit, as the layout last said.
    pub visible_columns: Vec<&'static Column>,
    /// The row that the user selected; `None`: the top.
    anchor: Option<RowKey>,
    /// Follows what may be wrong.
    watch: Watch,
    /// A run launched from the table, whose root the cursor goes to when it appears.
    expected: Option<RunId>,
    /// Processes that were sent a signal: its name, and when (boot nanoseconds).
    signalled: HashMap<ProcKey, (String, u64)>,
    /// Runs of the lab that stay until they are ended.
    kept: HashSet<RunId>,
    /// Systems that have been measured in the background.
    measured: HashSet<&'static str>,
    /// Systems of the two demos that race.
    race: Option<[&'static str; 2]>,
    /// The demo that was launched last.
    last_demo: Option<&'static Demo>,
    /// What was typed before.
    typed: Typed,
    /// A key that means something if it is pressed again.
    pending: Option<Key>,
    token: u64,
    now_ns: u64,
}

/// What is shown of this machine is called old when it is older than so many ticks.
const STALE_TICKS: f64 = 2.0;

impl App {
    /// Whether what is shown of this machine is older than two ticks although it is not paused.
    #[must_use]
    pub fn is_stale(&self, now_ns: u64) -> bool {
        let age_s = self.model.as_ref().map_or(0, |model| now_ns.saturating_sub(model.now.taken_ns)) as f64 / 1e9;
        self.is_of_this_machine() && !self.paused && age_s > STALE_TICKS * self.options.delay_s.max(0.5)
    }

    /// Age of what is shown, seconds; `None` if it need not be shown.
    #[must_use]
    pub fn stale_s(&self) -> Option<u64> {
        let age_ns = self.now_ns.saturating_sub(self.model.as_ref()?.now.taken_ns);
        self.is_stale(self.now_ns).then_some(age_ns / 1_000_000_000)
    }

    /// Before the first sample.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            model: None,
            visible_columns: options.columns.clone(),
            lines: Vec::new(),
            families: Vec::new(),
            notes: Vec::new(),
            stories: Stories::default(),
            tree: None,
            cursor: 0,
            scroll: 0,
            page: 20,
            skipped: 0,
            sideways: 0,
            tagged: HashSet::new(),
            screen: Screen::Processes,
            split: None,
            layer: None,
            text: TextSize::default(),
            notice: None,
            lab: LabView::new(options.watched),
            timeline: TimelineView::default(),
            problems: problems::ProblemsView::default(),
            lessons: LessonsView::default(),
            events: EventsLog::default(),
            compare: CompareView::default(),
            history: History::default(),
            past: Past::default(),
            screen_lines: 24,
            findings: Vec::new(),
            watch: Watch::default(),
            replay: None,
            hosts: None,
            profile: None,
            now: None,
            recording: false,
            paused: false,
            follow: false,
            anchor: None,
            expected: None,
            signalled: HashMap::new(),
            kept: HashSet::new(),
            measured: HashSet::new(),
            race: None,
            last_demo: None,
            typed: Typed::default(),
            pending: None,
            options,
            token: 0,
            now_ns: 0,
        }
    }

    /// Where keys are looked up.
    #[must_use]
    pub fn context(&self) -> Context {
        match self.screen {
            Screen::Processes => Context::Table,
            Screen::Lab if self.lessons.open => Context::Lessons,
            Screen::Lab => Context::Lab,
            Screen::Timeline => Context::Timeline,
            Screen::Events => Context::Events,
            Screen::Compare => Context::Compare,
            Screen::Problems => Context::Problems,
        }
    }

    /// The row of a line.
    #[must_use]
    pub fn row(&self, line: usize) -> Option<Row<'_>> {
        self.row_of(self.lines.get(line)?)
    }

    /// The row of a line, with what the lab knows of it.
    #[must_use]
    pub fn row_of(&self, line: &Line) -> Option<Row<'_>> {
        let note = line.run.and_then(|mark| self.notes.get(mark.note as usize));
        Row::new(self.model.as_deref()?, line.at).map(|row| row.noted(note))
    }

    /// A line's value in a column: its row's own, or of the whole subtree that is folded into it.
    #[must_use]
    pub fn value<'a>(&'a self, line: &Line, row: &Row<'a>, column: &Column) -> Value<'a> {
        match self.family_of(line) {
            Some(family) => column.folded(family.iter().filter_map(|i| Row::new(row.model, RowRef::Process(*i)))),
            None => (column.get)(row),
        }
    }

    /// The processes folded into a line, itself first, by index into the model's; `None` if it is not folded.
    fn family_of(&self, line: &Line) -> Option<&[u32]> {
        self.families.get(line.folded?.family? as usize).map(AsRef::as_ref)
    }

    /// The selected row.
    #[must_use]
    pub fn selected(&self) -> Option<Row<'_>> {
        self.row(self.cursor)
    }

    /// The processes that an action is for: the tagged if there are any, else the selected.
    #[must_use]
    pub fn targets(&self) -> Vec<ProcKey> {
        if self.tagged.is_empty() {
            self.selected().filter(|r| r.ghost.is_none()).map(|r| r.key()).into_iter().collect()
        } else {
            let mut keys: Vec<_> = self.tagged.iter().copied().collect();
            keys.sort_unstable();
            keys
        }
    }

    /// The thread on whose row the cursor is, if an action is for that row's process.
    #[must_use]
    pub fn target_thread(&self) -> Option<i32> {
        self.selected().filter(|_| self.tagged.is_empty()).and_then(|row| row.task).map(|task| task.tid)
    }

    /// What must be read of every process: what is sorted and filtered by, and threads if they are rows.
    #[must_use]
    pub fn needs_of_all(&self) -> Needs {
        let mut needs = self.options.sort.needs | self.options.meters.needs();
        if let Some(filter) = &self.options.filter {
            needs |= crate::columns::needs(filter.columns());
        }
        if self.options.shows_threads() || self.options.run_view {
            needs |= Needs::THREADS;
        }
        needs
    }

    /// What must be read of the visible rows: the columns on screen.
    #[must_use]
    pub fn needs_of_visible(&self) -> Needs {
        crate::columns::needs(self.visible_columns.iter().copied())
    }

    /// The processes on screen.
    #[must_use]
    pub fn visible_keys(&self) -> Vec<ProcKey> {
        let mut keys: Vec<ProcKey> = Vec::with_capacity(self.page);
        for line in self.lines.iter().skip(self.scroll).take(self.page) {
            if let Some(row) = self.model.as_deref().and_then(|m| Row::new(m, line.at)).filter(|r| r.ghost.is_none())
                && keys.last() != Some(&row.key())
            {
                keys.push(row.key());
                // What is folded into it counts in its sums.
                let family = line.folded.and_then(|f| self.families.get(f.family? as usize));
                let members = family.into_iter().flatten().skip(1);
                keys.extend(members.filter_map(|i| row.model.now.processes.get(*i as usize)).map(|p| p.key));
            }
        }
        keys
    }

    /// The key that waits for a second one: which, and what both do together.
    #[must_use]
    pub fn pending_key(&self) -> Option<(String, &'static str)> {
        let first = self.pending.and_then(Key::typed)?;
        let action = self.options.keys.find(Key::plain(key::Code::Double(first)), self.context())?;
        Some((format!("{first}{first}"), action.help))
    }

    /// The signal that a process was sent in the last seconds.
    #[must_use]
    pub fn signalled(&self, key: ProcKey) -> Option<&str> {
        self.signalled.get(&key).map(|(name, _)| name.as_str())
    }

    /// The worst finding about a process, for its row's badge.
    #[must_use]
    pub fn finding(&self, key: ProcKey) -> Option<&Finding> {
        self.findings.iter().find(|f| f.concerns(key))
    }

    /// What filter, user and pids narrow the table to, in words; `None` if they do not narrow it.
    #[must_use]
    pub fn banner(&self) -> Option<String> {
        let mut parts = Vec::new();
        if let Some(f) = &self.options.filter {
            parts.push(f.text().to_owned());
        }
        if let Some(u) = &self.options.user {
            parts.push(format!("user {u}"));
        }
        match self.options.only.as_slice() {
            [] => {}
            [one] => {
                let name = self.model.as_deref().and_then(|m| m.process(one.pid)).filter(|p| p.key == *one);
                let name = name.map(|p| String::from_utf8_lossy(p.leader.comm.as_bytes()).into_owned());
                let name = name.unwrap_or_else(|| "which has ended".to_owned());
                parts.push(format!("only the subtree of PID {} {name}", pid_on_host(one.pid)));
            }
            more => parts.push(format!("only the subtrees of {} selected processes", more.len())),
        }
        if let Some(p) = &self.options.pids {
            let mut pids: Vec<i32> = p.iter().copied().collect();
            pids.sort_unstable();
            parts.push(match pids.as_slice() {
                [one] => format!("PID {one}"),
                few if few.len() <= 4 => format!("PIDs {}", few.iter().map(i32::to_string).collect::<Vec<_>>().join(", ")),
                many => format!("{} selected PIDs", many.len()),
            });
        }
        (!parts.is_empty()).then(|| parts.join(if self.options.unicode { " · " } else { ", " }))
    }
}

#[cfg(test)]
mod tests;
