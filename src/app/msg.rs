//! Inputs of the application ([`Msg`]) and its requests to the engine ([`Effect`]).

use std::path::PathBuf;
use std::sync::Arc;

use crate::columns::Column;
use crate::config::Setting;
use crate::derive::Model;
use crate::diagnose::FindingName;
use crate::kernel::allot::Allotment;
use crate::lab::catalog::RunSpec;
use crate::lab::launcher::LabState;
use crate::lab::measure::Plan;
use crate::lab::python::Discovery;
use crate::lab::run::RunId;
use crate::lanes::Lanes;
use crate::snapshot::{Detail, Facts, ProcKey};

use super::compare::{CompareKey, Progressed};
use super::copy::Copied;
use super::detail::Tab;
use super::key::{Code, Key};
use super::layer::TextSize;
use super::lessons::LessonKey;
use super::options::Screen;
use super::replay::{ReplayKey, Shown};
use super::target::FrozenTarget;
use super::timeline::TimelineKey;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Msg {
    /// A new sample.
    Sample(Arc<Model>),
    /// A recording is at another frame, or goes on or stops.
    Replayed(Shown),
    /// Nothing is recorded any more; why, in one sentence.
    RecordingStopped(String),
    /// The sampler failed; one sentence.
    SampleFailed(String),
    /// A part of the process in the detail pane has been read.
    Detail(Detail),
    /// The lab's runs changed.
    Lab(Arc<LabState>),
    /// What a process waits for has been read.
    Explained {
        /// Title of the text to fill, if it is still open.
        title: String,
        /// Its lines.
        lines: Vec<String>,
    },
    /// The stacks of the processes of a problem.
    Stacks {
        /// The problem's name.
        problem: FindingName,
        /// When they were read, `CLOCK_BOOTTIME` nanoseconds.
        taken_ns: u64,
        /// Its lines; none if no process of it is a Python that can be read.
        lines: Vec<String>,
    },
    /// The CPUs and the I/O priority that a process has, or why they could not be read.
    Allotted {
        /// Its PID.
        pid: i32,
        /// Like `0-3`.
        cpus: Result<String, String>,
        /// Like `be 4`.
        io: Result<String, String>,
    },
    /// A survey for problems was made, or why it was not.
    Surveyed(Result<Arc<Facts>, String>),
    /// Lanes of the family whose timeline is open.
    Traced {
        /// Its first process.
        key: ProcKey,
        /// Its lanes.
        lanes: Arc<Lanes>,
        /// CLOCK_BOOTTIME minus CLOCK_MONOTONIC, nanoseconds.
        offset_ns: u64,
    },
    /// A batch of the Compare screen went on.
    Compared(Progressed),
    /// A batch could not be started; why, in one sentence.
    NotCompared(String),
    /// The Python interpreters of the machine have been looked for.
    Interpreters(Arc<Discovery>),
    /// A run could not be launched.
    NotLaunched {
        /// What was asked for.
        spec: RunSpec,
        /// Why, one sentence.
        why: String,
    },
    /// A key.
    Key(Key),
    /// A text from the clipboard.
    Paste(String),
    /// The terminal has this many columns and rows, of which the table shows `table_rows`.
    Resized {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// What fits on the screen has been measured.
    Fitted(Fit),
    /// Time went on for the runs of the lab: nanoseconds of CLOCK_MONOTONIC.
    RunClock(u64),
    /// A click or wheel, already looked up in the layout.
    Pointed(Pointed),
    /// An action of the table, by a key, a click or the palette.
    Do(Command),
    /// Targets have been frozen for a signal.
    Frozen {
        /// Names them to the engine.
        token: u64,
        /// What is known of each.
        targets: Vec<FrozenTarget>,
    },
    /// Something to tell the user.
    Tell(Notice),
    /// Time went on (notices fade).
    Clock(u64),
}

/// What of the application fits on the screen, as the layout has it: where a page ends, and which columns are seen.
#[derive(Debug, Clone)]
pub struct Fit {
    /// Lines of the table.
    pub page: usize,
    /// Cells of the timeline's axis.
    pub lane_cells: usize,
    /// Lanes of the timeline.
    pub lanes: usize,
    /// Rows of the comparison.
    pub compare_rows: usize,
    /// Lines of the log of events.
    pub event_lines: usize,
    /// Findings of the Problems screen.
    pub problem_lines: usize,
    /// Size of the open text, or of that below the problems.
    pub text: TextSize,
    /// Columns of the table.
    pub columns: Vec<&'static Column>,
}

/// Where the mouse acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pointed {
    /// A line of the table body, counted from its top.
    Row(u16),
    /// The same, on the fold mark.
    Fold(u16),
    /// A column's head, by index into the visible columns; on the Compare screen, into the measures.
    Head(usize),
    /// An entry of the open list (dialog or lab list).
    ListLine(u16),
    /// A page of the detail pane, by index.
    Tab(usize),
    /// A lane of the timeline, counted from the top one, and a cell of its time.
    Moment {
        /// The lane's line.
        line: u16,
        /// The cell.
        cell: u16,
    },
    /// The wheel: lines down (negative: up).
    Wheel(i32),
    /// A card above the table, by index from the newest.
    Card(usize),
    /// Outside the open dialog.
    Outside,
}

/// How serious a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// It worked.
    Good,
    /// Something to know.
    Info,
    /// It did not work.
    Bad,
}

/// One line for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How serious.
    pub level: Level,
    /// One sentence.
    pub text: String,
    /// Whether it stays until another takes its place, rather than fade.
    pub lasting: bool,
}

impl Notice {
    /// What is going on; stays until the next notice.
    pub fn lasting(text: impl Into<String>) -> Self {
        Self { lasting: true, ..Self::info(text) }
    }
    /// It worked.
    pub fn good(text: impl Into<String>) -> Self {
        Self { level: Level::Good, text: text.into(), lasting: false }
    }
    /// Something to know.
    pub fn info(text: impl Into<String>) -> Self {
        Self { level: Level::Info, text: text.into(), lasting: false }
    }
    /// It did not work.
    pub fn bad(text: impl Into<String>) -> Self {
        Self { level: Level::Bad, text: text.into(), lasting: false }
    }
}

/// A key of the Problems screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKey {
    /// Go to the process.
    Process,
    /// Draw the chain of waits.
    Why,
    /// Show only the processes concerned.
    Only,
    /// Copy the finding.
    Copy,
}

/// What an action of the table does; the arms are in `update`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Lines down (negative: up).
    Move(i32),
    /// Pages down (negative: up).
    Page(i32),
    /// Half pages down (negative: up).
    HalfPage(i32),
    /// To the first row.
    First,
    /// To the last row.
    Last,
    /// Scroll the command sideways.
    Sideways(i32),
    /// Help.
    Help,
    /// Incremental search.
    Search,
    /// To the next row that the search matches (negative: the one before).
    SearchNext(i32),
    /// Filter.
    Filter,
    /// Tree or list.
    Tree,
    /// The tree by creators, or by the kernel's parents.
    SpawnTree,
    /// The directories of programs, or their names alone.
    Path,
    /// Type the chosen parameter of the lab.
    TypeParameter,
    /// The chosen event's process in the table.
    EventProcess,
    /// Sort menu.
    SortMenu,
    /// Sort by this column.
    SortBy(&'static str),
    /// Other direction.
    Invert,
    /// Copy of the selected row to the clipboard.
    Copy(Copied),
    /// Search over the actions.
    Palette,
    /// Show only the tagged or selected with their subtrees, or everything again.
    Only,
    /// Nice up or down by this.
    Renice(i32),
    /// Ask for the CPUs that processes may run on.
    Cpus,
    /// Ask for when their storage is served.
    IoPriority,
    /// Signal dialog.
    SignalMenu,
    /// Leave.
    Quit,
    /// Leave to the shell for a while (Ctrl-Z).
    Suspend,
    /// Draw everything again.
    Redraw,
    /// The set-up screen.
    Setup,
    /// Tag the row and go on.
    Tag,
    /// Tag the row and its descendants.
    TagSubtree,
    /// Tag nothing.
    UntagAll,
    /// One process in depth, from this page.
    Detail(Tab),
    /// What forked children still share with their parent.
    Ledger,
    /// Fold or unfold.
    ToggleFold,
    /// Fold.
    Fold,
    /// Unfold.
    Unfold,
    /// Fold or unfold everything.
    FoldAll,
    /// Threads as rows.
    Threads,
    /// Kernel threads as rows.
    KernelThreads,
    /// Show or hide what each row waits for.
    Waits,
    /// Keep the selected row at its line.
    Follow,
    /// Freeze the picture.
    Pause,
    /// User menu.
    UserMenu,
    /// Go to a screen.
    Go(Screen),
    /// The live timeline of the selected process and its descendants, or of its lab run.
    Timeline,
    /// Next screen.
    NextScreen,
    /// Previous screen.
    PreviousScreen,
    /// Wait for the letter of a quick launch.
    QuickLaunch,
    /// Keep the run of the selected row, or the newest one, until it is ended.
    KeepRun,
    /// End all lab runs.
    StopRuns,
    /// Explain the selected cell.
    Explain,
    /// Show what the selected process waits for.
    Why,
    /// Hot functions and waits of the selected process and its descendants, live.
    Profile,
    /// Do what Enter does here.
    Enter,
    /// A key of the lessons.
    Lesson(LessonKey),
    /// Change a lab parameter.
    Parameter(i32),
    /// Next field of the lab form.
    NextField(i32),
    /// Everything the shown run has said.
    Output,
    /// A key of the Compare screen.
    Compare(CompareKey),
    /// A key of the Problems screen.
    Problem(ProblemKey),
    /// A key of the timeline.
    Time(TimelineKey),
    /// A key that moves in a recording.
    Replay(ReplayKey),
    /// To a host so many further on; 0: that of the selected row.
    Host(i32),
}

impl Command {
    /// The plain key that moves alike in a text or list; `None` for what is no movement.
    #[must_use]
    pub fn as_movement(self) -> Option<Code> {
        match self {
            Self::Move(-1) => Some(Code::Up),
            Self::Move(1) => Some(Code::Down),
            Self::Page(by) | Self::HalfPage(by) => Some(if by < 0 { Code::PageUp } else { Code::PageDown }),
            Self::First => Some(Code::Home),
            Self::Last => Some(Code::End),
            Self::Sideways(by) => Some(if by < 0 { Code::Left } else { Code::Right }),
            _ => None,
        }
    }
}

/// Something to be done outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Open a pidfd for each, check its identity, answer with [`Msg::Frozen`].
    Freeze {
        /// Names the set.
        token: u64,
        /// The processes.
        keys: Vec<ProcKey>,
    },
    /// Signal the frozen set; answer with a notice.
    Signal {
        /// The set.
        token: u64,
        /// Signal number.
        signal: i32,
        /// Its name for the notice.
        name: String,
    },
    /// The dialog was closed: drop the pidfds.
    Thaw {
        /// The set.
        token: u64,
    },
    /// Change the nice value by `delta`.
    Renice {
        /// The processes.
        keys: Vec<ProcKey>,
        /// By how much.
        delta: i32,
    },
    /// Allot CPUs or a priority of storage.
    Allot {
        /// The processes.
        keys: Vec<ProcKey>,
        /// What they are given.
        what: Allotment,
    },
    /// Read the CPUs and the I/O priority of a process; answered by [`Msg::Allotted`].
    ReadAllotment {
        /// Its PID.
        pid: i32,
    },
    /// Put a text, sanitised and bounded, into the terminal's clipboard; answer with a notice.
    Copy {
        /// The text.
        text: String,
        /// What the notice says once it is done.
        said: String,
    },
    /// Start a lab run.
    Launch(RunSpec),
    /// Run a batch; answered by [`Msg::Compared`], run by run.
    Compare(Plan),
    /// Look for Python interpreters; answered by [`Msg::Interpreters`].
    Discover,
    /// Let a lab run stay until it is ended.
    Keep(RunId),
    /// Create a few workers of this system, to compare others with.
    Baseline(RunSpec),
    /// End one lab run.
    Stop(RunId),
    /// End all lab runs.
    StopAll,
    /// Ask for a sample with changed needs now.
    Resample,
    /// Move in the recording.
    Replay(ReplayKey),
    /// Show the last minutes of this session, from where this key leads; answered by [`Msg::Replayed`].
    LookBack(ReplayKey),
    /// The last minutes are left: what is now is shown again.
    Now,
    /// Write the last minutes of this session into this file; answered by a notice.
    SaveLast(PathBuf),
    /// Leave.
    Quit,
    /// Stop as by Ctrl-Z.
    Suspend,
    /// Draw everything again.
    Redraw,
    /// Follow the waits of this process or thread; answered by [`Msg::Explained`].
    Why {
        /// Its PID or TID.
        number: i32,
        /// Title of the text that the answer fills.
        title: String,
    },
    /// Read the stacks of these processes of a problem; answered by [`Msg::Stacks`].
    ReadStacks {
        /// The problem's name.
        problem: FindingName,
        /// Its processes.
        keys: Vec<ProcKey>,
    },
    /// Take over what can be set while the program runs: theme and delay.
    Look,
    /// Write these keys to the config file; answered by a notice.
    Save(Vec<(&'static str, Setting)>),
}

impl Effect {
    /// Whether it changes other processes, or starts some. With `--readonly` no such effect is carried out.
    #[must_use]
    pub fn changes(&self) -> bool {
        match self {
            Self::Signal { .. }
            | Self::Renice { .. }
            | Self::Allot { .. }
            | Self::Launch(_)
            | Self::Baseline(_)
            | Self::Compare(_) => true,
            Self::Freeze { .. }
            | Self::Thaw { .. }
            | Self::ReadAllotment { .. }
            | Self::Discover
            | Self::Keep(_)
            | Self::Stop(_)
            | Self::StopAll
            | Self::Resample
            | Self::Replay(_)
            | Self::LookBack(_)
            | Self::Now
            | Self::SaveLast(_)
            | Self::Quit
            | Self::Suspend
            | Self::Redraw
            | Self::Copy { .. }
            | Self::Look
            | Self::Why { .. }
            | Self::ReadStacks { .. }
            | Self::Save(_) => false,
        }
    }

    /// Whether it is about processes or programs of this machine: no such effect is carried out while a recording is shown.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.changes()
            || matches!(
                self,
                Self::Freeze { .. }
                    | Self::ReadAllotment { .. }
                    | Self::Discover
                    | Self::Stop(_)
                    | Self::StopAll
                    | Self::Why { .. }
            )
    }
}
