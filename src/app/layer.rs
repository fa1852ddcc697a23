//! Dialogs and input lines that lie over the screen and receive the keys.

use crate::kernel::control::{Signal, signals};

use crate::query::{Completion, Filter};
use crate::snapshot::ProcKey;

use super::editor::{LineEditor, Recall};
use super::lab_view::Field;
use super::palette::Palette;
use super::target::FrozenTarget;

/// The open dialog or input line.
#[derive(Debug, Clone)]
pub enum Layer {
    /// Help, narrowed to what is typed.
    Help {
        /// First line shown.
        scroll: usize,
        /// What is looked for.
        find: LineEditor,
    },
    /// One process in depth.
    Detail(Box<super::detail::DetailPane>),
    /// What forked children still share with their parent.
    Ledger(Box<super::ledger::LedgerPane>),
    /// Columns and display, and saving them.
    Setup(Box<super::setup::Setup>),
    /// A signal, and the processes it is for.
    Signal(SignalDialog),
    /// A choice from a list.
    Menu(Menu),
    /// Search over the actions.
    Palette(Palette),
    /// The input line of search or filter.
    Input(Input),
    /// All output lines of the shown run, scrolled; more may follow while it is open.
    Output {
        /// First line shown.
        scroll: usize,
    },
    /// Waiting for the letter of a quick launch.
    QuickLaunch {
        /// While two are chosen that run side by side: a blank before the first, then the first one's key.
        race: Option<char>,
    },
    /// An explanation, scrolled.
    Explain {
        /// Title.
        title: String,
        /// Lines.
        lines: Vec<String>,
        /// First line shown.
        scroll: usize,
    },
}

/// Length of the open text; set by the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextSize {
    /// Its lines.
    pub lines: usize,
    /// Those seen at once.
    pub page: usize,
}

impl Default for TextSize {
    /// The size is not known yet: a text without end.
    fn default() -> Self {
        Self { lines: usize::MAX, page: 10 }
    }
}

impl TextSize {
    /// The last line that a page may begin with: it is full, however far one scrolls.
    #[must_use]
    pub fn last(self) -> usize {
        self.lines.saturating_sub(self.page)
    }
}

/// What a menu's choice means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MenuKind {
    /// Column to sort by.
    Sort,
    /// User to show.
    User,
}

/// A list to choose from.
#[derive(Debug, Clone)]
pub struct Menu {
    /// What for.
    pub kind: MenuKind,
    /// Id and label of each entry.
    pub entries: Vec<(String, String)>,
    /// The chosen one.
    pub cursor: usize,
}

/// What the input line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// Search.
    Search,
    /// Search in the lab's list.
    System,
    /// Filter.
    Filter,
    /// Text that events must contain.
    EventFilter,
    /// CPUs that processes may run on.
    Cpus,
    /// When the storage of processes is served.
    IoPriority,
    /// A number for this parameter of the lab's form.
    Parameter(Field),
}

impl InputKind {
    /// Whether what is typed is looked for as it is typed.
    pub(super) fn is_search(self) -> bool {
        matches!(self, Self::Search | Self::System)
    }
}

/// One line being typed.
#[derive(Debug, Clone)]
pub struct Input {
    /// What for.
    pub kind: InputKind,
    /// So far.
    pub line: LineEditor,
    /// Where among the earlier lines of its kind.
    pub recall: Recall,
    /// What is wrong with it, and at which character.
    pub error: Option<(usize, String)>,
    /// Ways to complete the word before the cursor (filter only).
    pub completion: Completion,
    /// The processes that it is about, as they were chosen when it was asked for; empty for what is about the screen.
    pub whom: Vec<ProcKey>,
    /// The present value and the values that may be typed, below the line.
    pub hint: Option<String>,
    /// The filter before this one was typed.
    pub before: Option<Box<Filter>>,
}

/// The signal dialog: its targets are frozen, the table moves on behind it.
#[derive(Debug, Clone)]
pub struct SignalDialog {
    /// Names the frozen set to the engine.
    pub token: u64,
    /// The target processes; `None` until the engine has frozen them.
    pub targets: Option<Vec<FrozenTarget>>,
    /// The thread whose row was selected: a signal is for its whole process.
    pub thread: Option<i32>,
    /// What was typed to find a signal.
    pub query: LineEditor,
    /// All signals.
    pub signals: Vec<Signal>,
    /// Index into [`SignalDialog::matches`].
    pub cursor: usize,
}

impl SignalDialog {
    /// SIGTERM first.
    #[must_use]
    pub fn new(token: u64, thread: Option<i32>) -> Self {
        Self { token, targets: None, thread, query: LineEditor::default(), signals: signals(), cursor: 0 }
    }

    /// Signals that fit what was typed: a number, or a part of the name.
    #[must_use]
    pub fn matches(&self) -> Vec<&Signal> {
        let query = self.query.text().to_ascii_uppercase();
        self.signals.iter().filter(|s| s.name().contains(&query) || s.number().to_string() == query).collect()
    }

    /// The targets that will get the signal.
    pub fn willing(&self) -> impl Iterator<Item = &FrozenTarget> {
        self.targets.iter().flatten().filter(|t| t.problem.is_none())
    }
}
