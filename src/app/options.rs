//! The user's display options.

use std::collections::HashSet;

use crate::columns::{self, Column, Order};
use crate::kernel::PidSpace;
use crate::meters::Meters;
use crate::query::{Filter, SavedFilters, TextMatch};
use crate::snapshot::ProcKey;

use super::lab_view::Watched;
use super::presets::Preset;

/// A whole screen of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Screen {
    /// The table.
    Processes,
    /// The lab.
    Lab,
    /// What a run of the lab did over time, lane by lane.
    Timeline,
    /// What systems of the lab cost, side by side.
    Compare,
    /// Births and deaths.
    Events,
    /// What is wrong, worst first.
    Problems,
}

impl Screen {
    /// All, in the order of their digits.
    pub const ALL: [Self; 6] = [Self::Processes, Self::Lab, Self::Timeline, Self::Compare, Self::Events, Self::Problems];

    /// Screens that show samples.
    pub const OF_SAMPLES: [Self; 3] = [Self::Processes, Self::Events, Self::Problems];

    /// Whether it shows samples, and so a recording too.
    #[must_use]
    pub fn is_of_samples(self) -> bool {
        Self::OF_SAMPLES.contains(&self)
    }

    /// Its key.
    #[must_use]
    pub fn digit(self) -> usize {
        Self::ALL.iter().position(|s| *s == self).map_or(0, |at| at + 1)
    }

    /// Name in the top line.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Processes => "Processes",
            Self::Lab => "Lab",
            Self::Timeline => "Timeline",
            Self::Events => "Events",
            Self::Compare => "Compare",
            Self::Problems => "Problems",
        }
    }
}

/// What the table shows and in which order.
#[derive(Debug, Clone)]
pub struct Options {
    /// Columns in display order, before those that do not fit step back.
    pub columns: Vec<&'static Column>,
    /// Column sorted by.
    pub sort: &'static Column,
    /// Largest first.
    pub descending: bool,
    /// Tree or list.
    pub tree: bool,
    /// In the tree: whether siblings are sorted by `sort` (else by pid).
    pub sort_in_tree: bool,
    /// Whether a process's parent in the tree is its creator, as far as that was seen, instead of the one that the kernel gives orphans.
    pub by_spawner: bool,
    /// Threads as rows.
    pub threads: bool,
    /// Kernel threads as rows.
    pub kernel_threads: bool,
    /// Whether commands begin with the directories of their programs.
    pub show_path: bool,
    /// Meters of the header.
    pub meters: Meters,
    /// Only this user's.
    pub user: Option<String>,
    /// Only these pids.
    pub pids: Option<HashSet<i32>>,
    /// Only these processes with all that descends from them; empty: all.
    pub only: Vec<ProcKey>,
    /// Only what matches.
    pub filter: Option<Filter>,
    /// Filters that `@name` stands for.
    pub saved_filters: SavedFilters,
    /// What the search looks for.
    pub search: Option<TextMatch>,
    /// Folded processes of the tree.
    pub folded: HashSet<ProcKey>,
    /// The set of keys.
    pub keys: Preset,
    /// Whether copying is on.
    pub clipboard: bool,
    /// Search for deadlocks in the background.
    pub find_deadlocks: bool,
    /// Nothing that changes another process.
    pub readonly: bool,
    /// Whose PIDs the mounted `/proc` shows.
    pub pid_space: PidSpace,
    /// Unicode or ASCII drawing.
    pub unicode: bool,
    /// Name of the theme.
    pub theme: String,
    /// Names of all themes.
    pub themes: &'static [&'static str],
    /// Seconds between two samples.
    pub delay_s: f64,
    /// How long runs of the lab stay to be looked at.
    pub watched: Watched,
    /// Whether runs of the lab are shown, with the columns that fit them.
    pub run_view: bool,
    /// concmon's own PID, of which helper processes are left out; 0 if unknown.
    pub own_pid: i32,
}

/// The columns that say most of a run, in display order, each with its rank there: the larger, the earlier it steps back.
const RUN_COLUMNS: [(&str, u8); 10] = [
    ("pid", 0),
    ("tid", 60),
    ("state", 0),
    ("cpu", 0),
    ("recent", 20),
    ("rss", 50),
    ("uss", 4),
    ("created", 2),
    ("wait", 30),
    ("command", 0),
];
/// Columns that are left out while a run is shown, to give room to those.
const NOT_OF_RUNS: [&str; 12] =
    ["ppid", "user", "priority", "nice", "virt", "shared", "run_wait", "mem", "time", "nlwp", "start", "created"];

impl Options {
    /// The column whose order the rows have, and whether the largest comes first: in the tree siblings are in the order of their PIDs
    /// unless a column was chosen for it.
    #[must_use]
    pub fn sorted_by(&self) -> (&'static str, bool) {
        if self.tree && !self.sort_in_tree { ("pid", false) } else { (self.sort.id, self.descending) }
    }

    /// Whether threads are rows: asked for, or the filter speaks of them.
    #[must_use]
    pub fn shows_threads(&self) -> bool {
        self.threads || self.filter.as_ref().is_some_and(Filter::wants_threads)
    }

    /// Whether kernel threads are rows: asked for, or the filter speaks of them.
    #[must_use]
    pub fn shows_kernel_threads(&self) -> bool {
        self.kernel_threads || self.filter.as_ref().is_some_and(Filter::wants_kernel_threads)
    }

    /// Columns that a scroll to the side leaves in their place: pid, tid, and the command.
    #[must_use]
    pub fn stays(column: &Column) -> bool {
        column.width == 0 || matches!(column.id, "pid" | "tid")
    }

    /// Columns in display order as far as they apply: without threads the column `tid` is left out.
    #[must_use]
    pub fn shown_columns(&self) -> Vec<&'static Column> {
        if self.run_view {
            let of_runs = RUN_COLUMNS.iter().filter_map(|(id, _)| columns::find(id));
            let mut shown: Vec<&'static Column> = of_runs.collect();
            let wanted = |c: &&&'static Column| !shown.contains(*c) && !NOT_OF_RUNS.contains(&c.id);
            let more: Vec<&'static Column> = self.columns.iter().filter(wanted).copied().collect();
            let end = shown.len() - 1;
            shown.splice(end..end, more);
            return shown;
        }
        let threads = self.shows_threads();
        self.columns.iter().copied().filter(|c| threads || c.id != "tid").collect()
    }

    /// How early a column steps back where there is little room; 0 stays.
    #[must_use]
    pub fn rank(&self, column: &Column) -> u8 {
        let of_runs = RUN_COLUMNS.iter().find(|(id, _)| *id == column.id).filter(|_| self.run_view);
        of_runs.map_or(column.rank, |(_, rank)| *rank)
    }

    /// Sorts by a column; a second call with the same column reverses the direction.
    pub fn sort_by(&mut self, column: &'static Column) {
        if self.sorted_by().0 == column.id && self.sort.id == column.id {
            self.descending = !self.descending;
        } else {
            self.sort = column;
            self.descending = column.order == Order::Descending;
        }
        self.sort_in_tree = self.tree;
    }
}

impl Default for Options {
    fn default() -> Self {
        let columns: Vec<_> = columns::DEFAULT.iter().filter_map(|id| columns::find(id)).collect();
        let sort = columns::find("cpu").unwrap_or(&columns::COLUMNS[0]);
        Self {
            columns,
            sort,
            descending: true,
            tree: false,
            sort_in_tree: false,
            by_spawner: false,
            threads: false,
            kernel_threads: false,
            show_path: true,
            meters: Meters::default(),
            user: None,
            pids: None,
            only: Vec::new(),
            filter: None,
            saved_filters: SavedFilters::default(),
            search: None,
            folded: HashSet::new(),
            keys: Preset::default(),
            clipboard: true,
            readonly: false,
            find_deadlocks: true,
            pid_space: PidSpace::Own,
            unicode: true,
            theme: "default".to_owned(),
            themes: &["default"],
            delay_s: 1.0,
            watched: Watched::default(),
            run_view: false,
            own_pid: 0,
        }
    }
}
