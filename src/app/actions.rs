//! The table of actions: keys, help and docs/reference/keys.md derive from it; `update` has an arm per [`Command`].

use super::compare::CompareKey;
use super::copy::Copied;
use super::detail::Tab;
use super::key::{Code, Key};
use super::lessons::LessonKey;
use super::msg::{Command, ProblemKey};
use super::options::Screen;
use super::replay::ReplayKey;
use super::timeline::TimelineKey;

/// Where an action's keys mean it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Context {
    /// On every screen.
    Everywhere,
    /// On the table of processes.
    Table,
    /// On the lab's screen, in the lessons.
    Lessons,
    /// On the lab's screen, in the list of all systems.
    Lab,
    /// On the timeline's screen.
    Timeline,
    /// On the Compare screen.
    Compare,
    /// On the events' screen.
    Events,
    /// On the Problems screen.
    Problems,
    /// While a recording or the last minutes are shown: before what the screens mean by the keys.
    Recording,
    /// While several hosts are shown: before what the screens mean by the keys.
    Hosts,
}

impl Context {
    /// Heading in help.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Everywhere => "Everywhere",
            Self::Table => "Processes",
            Self::Lessons => "Lab: lessons",
            Self::Lab => "Lab",
            Self::Timeline => "Timeline",
            Self::Events => "Events",
            Self::Compare => "Compare",
            Self::Problems => "Problems",
            Self::Recording => "Recording, and the last minutes",
            Self::Hosts => "Several hosts (--host)",
        }
    }
}

/// One action.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Action {
    /// Unique name.
    pub id: &'static str,
    /// Its keys in the htop preset. [`super::presets::Preset::keys`] has those of every preset.
    pub keys: &'static [Key],
    /// Where.
    pub context: Context,
    /// What it does, for help.
    pub help: &'static str,
    /// Label in the function-key bar; empty if it has no place there.
    pub bar: &'static str,
    /// Whether it (or what it leads to) changes other processes or starts some: off with `--readonly`.
    pub changes: bool,
    /// What it does.
    pub command: Command,
}

impl Action {
    /// True for keys that lead from the live view into the last minutes.
    #[must_use]
    pub fn leads_back(&self) -> bool {
        matches!(self.command, Command::Replay(key) if key.leads_back())
    }
}

const fn action(
    id: &'static str,
    keys: &'static [Key],
    context: Context,
    bar: &'static str,
    help: &'static str,
    command: Command,
) -> Action {
    Action { id, keys, context, help, bar, changes: false, command }
}

const fn changing(action: Action) -> Action {
    Action { changes: true, ..action }
}

use Context::{Compare, Events, Everywhere, Hosts, Lab, Lessons, Problems, Recording, Table, Timeline};

const fn c(ch: char) -> Key {
    Key::char(ch)
}
const fn k(code: Code) -> Key {
    Key::plain(code)
}

const fn lesson(id: &'static str, keys: &'static [Key], bar: &'static str, help: &'static str, key: LessonKey) -> Action {
    action(id, keys, Lessons, bar, help, Command::Lesson(key))
}

const fn time(key: TimelineKey) -> Command {
    Command::Time(key)
}

const fn replay(key: ReplayKey) -> Command {
    Command::Replay(key)
}

/// Every action, in the order of help.
pub const ACTIONS: &[Action] = &[
    action("help", &[Key::f(1), c('?'), c('h')], Everywhere, "Help", "show this help", Command::Help),
    action(
        "setup",
        &[Key::f(2), c('S')],
        Table,
        "Setup",
        "open the set-up: columns, meters, theme, delay; s saves to the config file",
        Command::Setup,
    ),
    action(
        "search",
        &[Key::f(3), c('/')],
        Table,
        "Search",
        "search as you type; Enter or F3 for the next match",
        Command::Search,
    ),
    action("search-next", &[Key::ctrl('n')], Table, "", "next match of the last search", Command::SearchNext(1)),
    action("search-previous", &[Key::ctrl('p')], Table, "", "previous match of the last search", Command::SearchNext(-1)),
    action("filter", &[Key::f(4), c('\\')], Table, "Filter", "show only matching rows, e.g. cpu>5 and user=www", Command::Filter),
    action("tree", &[Key::f(5), c('t')], Table, "Tree", "switch between tree and list", Command::Tree),
    action(
        "spawn-tree",
        &[c('Y')],
        Table,
        "",
        "tree by creator: orphans stay below the nearest creator that is alive",
        Command::SpawnTree,
    ),
    action("sort", &[Key::f(6), c('>'), c('.')], Table, "Sort", "choose the column to sort by", Command::SortMenu),
    changing(action(
        "nice-down",
        &[Key::f(7), c(']')],
        Table,
        "Nice-",
        "lower the nice value by 1: higher priority (needs privileges)",
        Command::Renice(-1),
    )),
    changing(action(
        "nice-up",
        &[Key::f(8), c('[')],
        Table,
        "Nice+",
        "raise the nice value by 1: lower priority",
        Command::Renice(1),
    )),
    changing(action("cpus", &[c('a')], Table, "", "set the CPUs that the tagged (or selected) processes may use", Command::Cpus)),
    changing(action(
        "io-priority",
        &[c('i')],
        Table,
        "",
        "set I/O priority of the tagged (or selected) processes",
        Command::IoPriority,
    )),
    changing(action(
        "signal",
        &[Key::f(9), c('k')],
        Table,
        "Signal",
        "send a signal to the tagged (or selected) processes",
        Command::SignalMenu,
    )),
    action("quit", &[Key::f(10), c('q'), Key::ctrl('c')], Everywhere, "Quit", "quit; this ends all lab runs", Command::Quit),
    action(
        "lab",
        &[c('L')],
        Everywhere,
        "Lab",
        "open the lab: run concurrent systems and measure their cost",
        Command::Go(Screen::Lab),
    ),
    changing(action(
        "quick-launch",
        &[c('n')],
        Everywhere,
        "Launch",
        "launch a small demo; a letter selects it: f fork, s spawn, v forkserver, ...",
        Command::QuickLaunch,
    )),
    action(
        "keep-run",
        &[c('R')],
        Table,
        "",
        "keep the run of the selected row (or the newest): it stays until X",
        Command::KeepRun,
    ),
    action("stop-runs", &[c('X')], Everywhere, "End runs", "stop all lab runs", Command::StopRuns),
    action(
        "explain",
        &[c('E')],
        Everywhere,
        "Explain",
        "explain the selected row's value in the sort column, and the cost of sampling",
        Command::Explain,
    ),
    action(
        "why",
        &[c('w')],
        Table,
        "Why",
        "show what the selected process waits for, link by link, with the Python function of each",
        Command::Why,
    ),
    action("next-screen", &[k(Code::Tab)], Everywhere, "", "go to the next screen", Command::NextScreen),
    action("previous-screen", &[k(Code::BackTab)], Everywhere, "", "go to the previous screen", Command::PreviousScreen),
    action("screen-processes", &[c('1')], Everywhere, "", "go to the process table", Command::Go(Screen::Processes)),
    action("screen-lab", &[c('2')], Everywhere, "", "go to the lab: systems, parameters, runs", Command::Go(Screen::Lab)),
    action(
        "screen-timeline",
        &[c('3')],
        Everywhere,
        "",
        "go to the timeline of a lab run: when each task ran, waited and worked",
        Command::Go(Screen::Timeline),
    ),
    action(
        "screen-compare",
        &[c('4')],
        Everywhere,
        "",
        "go to the comparison: costs of lab systems, side by side",
        Command::Go(Screen::Compare),
    ),
    action(
        "screen-events",
        &[c('5')],
        Everywhere,
        "",
        "go to the events: every birth, exec and exit",
        Command::Go(Screen::Events),
    ),
    action(
        "screen-problems",
        &[c('6'), c('!')],
        Everywhere,
        "Problems",
        "go to the problems: deadlocks, abandoned locks, limits, leaks, with evidence and advice",
        Command::Go(Screen::Problems),
    ),
    action("palette", &[c(':')], Everywhere, "Commands", "find an action by name; also sort, filter, columns", Command::Palette),
    action("redraw", &[Key::ctrl('l')], Everywhere, "", "redraw the screen", Command::Redraw),
    action("suspend", &[Key::ctrl('z')], Everywhere, "", "suspend concmon; fg in the shell resumes it", Command::Suspend),
    action("pause", &[c('Z')], Everywhere, "", "pause or resume the display, or the replay", Command::Pause),
    action("up", &[k(Code::Up)], Everywhere, "", "move one line up", Command::Move(-1)),
    action("down", &[k(Code::Down)], Everywhere, "", "move one line down", Command::Move(1)),
    action("page-up", &[k(Code::PageUp), Key::ctrl('b')], Everywhere, "", "move one page up", Command::Page(-1)),
    action("page-down", &[k(Code::PageDown), Key::ctrl('f')], Everywhere, "", "move one page down", Command::Page(1)),
    action("half-page-up", &[Key::ctrl('u')], Everywhere, "", "move half a page up", Command::HalfPage(-1)),
    action("half-page-down", &[Key::ctrl('d')], Everywhere, "", "move half a page down", Command::HalfPage(1)),
    action("first", &[k(Code::Home), c('g')], Everywhere, "", "go to the first line", Command::First),
    action("last", &[k(Code::End)], Everywhere, "", "go to the last line", Command::Last),
    action("tag", &[c(' ')], Table, "", "tag the row", Command::Tag),
    action("tag-subtree", &[c('c')], Table, "", "tag the row and all its descendants", Command::TagSubtree),
    action("untag", &[c('U')], Table, "", "remove all tags", Command::UntagAll),
    action(
        "detail",
        &[k(Code::Enter)],
        Table,
        "Details",
        "show details of the process below the table; again: on the whole screen",
        Command::Detail(Tab::Overview),
    ),
    action("files", &[c('l')], Table, "", "show the open files and sockets of the process", Command::Detail(Tab::Files)),
    action(
        "file-locks",
        &[c('x')],
        Table,
        "",
        "show file locks that the process holds or waits for, with waiters and holders",
        Command::Detail(Tab::Files),
    ),
    action(
        "environment",
        &[c('e')],
        Table,
        "",
        "show the environment of the process at its start",
        Command::Detail(Tab::Environment),
    ),
    action("runtime", &[c('G')], Table, "", "look inside Python: threads, functions, GIL holder", Command::Detail(Tab::Runtime)),
    action(
        "only",
        &[c('o')],
        Table,
        "",
        "show only the subtrees of the tagged (or selected) processes; again to show all",
        Command::Only,
    ),
    action(
        "copy-on-write",
        &[c('D')],
        Table,
        "CoW",
        "open the copy-on-write ledger: pages that forked children share with their parent",
        Command::Ledger,
    ),
    action(
        "timeline",
        &[c('V')],
        Everywhere,
        "Timeline",
        "show the live timeline of the selected process and its descendants, or of its lab run",
        Command::Timeline,
    ),
    action(
        "profile",
        &[c('f')],
        Table,
        "Profile",
        "sample hot functions and waits of the selected process and its descendants, live",
        Command::Profile,
    ),
    action("fold", &[c('=')], Table, "", "fold or unfold the subtree", Command::ToggleFold),
    action("fold-shut", &[c('-'), k(Code::Backspace)], Table, "", "fold the subtree", Command::Fold),
    action("fold-open", &[c('+')], Table, "", "unfold the subtree", Command::Unfold),
    action("fold-all", &[c('*')], Table, "", "fold or unfold everything", Command::FoldAll),
    action("threads", &[c('H')], Table, "", "show or hide threads", Command::Threads),
    action("path", &[c('p')], Table, "", "show or hide program paths", Command::Path),
    action("kernel-threads", &[c('K')], Table, "", "show or hide kernel threads", Command::KernelThreads),
    action("waits", &[c('W')], Table, "", "show or hide what each row waits for: futex, pipe, epoll, child, ...", Command::Waits),
    action(
        "copy-cell",
        &[c('y')],
        Table,
        "",
        "copy the cell of the sorted column to the clipboard (OSC 52)",
        Command::Copy(Copied::Cell),
    ),
    action("copy-command", &[Key::ctrl('y')], Table, "", "copy the command line", Command::Copy(Copied::CommandLine)),
    action(
        "copy-row",
        &[Key::alt('y')],
        Table,
        "",
        "copy the visible cells of the row, separated by tabs",
        Command::Copy(Copied::Row),
    ),
    action("follow", &[c('F')], Table, "", "follow the selected process: keep it at its line", Command::Follow),
    action("invert", &[c('I'), c('<'), c(',')], Table, "", "reverse the sort order", Command::Invert),
    action("sort-pid", &[c('N')], Table, "", "sort by PID", Command::SortBy("pid")),
    action("sort-cpu", &[c('P')], Table, "", "sort by CPU%", Command::SortBy("cpu")),
    action("sort-memory", &[c('M')], Table, "", "sort by resident memory", Command::SortBy("rss")),
    action("sort-time", &[c('T')], Table, "", "sort by CPU time", Command::SortBy("time")),
    action("user", &[c('u')], Table, "", "show the processes of one user", Command::UserMenu),
    action("scroll-left", &[k(Code::Left)], Table, "", "scroll left: the command first, then columns", Command::Sideways(-8)),
    action(
        "scroll-right",
        &[k(Code::Right)],
        Table,
        "",
        "scroll right: hidden columns first, then the command",
        Command::Sideways(8),
    ),
    lesson("lesson-answer-1", &[c('1')], "Guess", "guess the first answer and run the lesson", LessonKey::Answer(1)),
    lesson("lesson-answer-2", &[c('2')], "Guess", "guess the second answer and run the lesson", LessonKey::Answer(2)),
    lesson("lesson-answer-3", &[c('3')], "Guess", "guess the third answer and run the lesson", LessonKey::Answer(3)),
    lesson(
        "lesson-enter",
        &[k(Code::Enter)],
        "Run, next",
        "run the lesson without a guess; go to the next lesson once it is done",
        LessonKey::Enter,
    ),
    lesson("lesson-next", &[c('n')], "Skip", "go to the next lesson", LessonKey::Other(1)),
    lesson("lesson-previous", &[c('N')], "", "go to the previous lesson", LessonKey::Other(-1)),
    lesson("lesson-again", &[c('r')], "Again", "ask the lesson's question again", LessonKey::Again),
    changing(lesson("lesson-deed", &[Key::f(9), c('k')], "Signal", "send the signal of a lesson that has one", LessonKey::Deed)),
    lesson("lesson-systems", &[k(Code::Tab)], "All systems", "show all systems of the lab", LessonKey::Systems),
    action("lesson-output", &[c('o')], Lessons, "Output", "show the output and reports of the run", Command::Output),
    action("lesson-less", &[k(Code::Left), c('-')], Lessons, "", "decrease the selected parameter", Command::Parameter(-1)),
    action("lesson-more", &[k(Code::Right), c('+')], Lessons, "", "increase the selected parameter", Command::Parameter(1)),
    action("lesson-type", &[c('e')], Lessons, "", "type a number for the selected parameter", Command::TypeParameter),
    action("lesson-next-field", &[c(']'), c('p')], Lessons, "", "select the next parameter", Command::NextField(1)),
    action("lesson-previous-field", &[c('[')], Lessons, "", "select the previous parameter", Command::NextField(-1)),
    Action {
        context: Lab,
        ..lesson("lab-lessons", &[k(Code::BackTab)], "Lessons", "go back to the lessons", LessonKey::Lessons)
    },
    changing(action("lab-run", &[k(Code::Enter)], Lab, "Run", "run the selected system", Command::Enter)),
    action(
        "lab-search",
        &[Key::f(3), c('/')],
        Lab,
        "Search",
        "find a system as you type; F3 or Down for the next match",
        Command::Search,
    ),
    action("lab-less", &[k(Code::Left), c('-')], Lab, "", "decrease the selected parameter", Command::Parameter(-1)),
    action("lab-more", &[k(Code::Right), c('+')], Lab, "", "increase the selected parameter", Command::Parameter(1)),
    action("lab-type", &[c('e')], Lab, "Edit", "type a number for the selected parameter", Command::TypeParameter),
    action("lab-next-field", &[c(']'), c('p')], Lab, "", "select the next parameter", Command::NextField(1)),
    action("lab-previous-field", &[c('[')], Lab, "", "select the previous parameter", Command::NextField(-1)),
    action(
        "problem-process",
        &[k(Code::Enter)],
        Problems,
        "Go there",
        "go to the process",
        Command::Problem(ProblemKey::Process),
    ),
    action(
        "problem-why",
        &[c('w')],
        Problems,
        "Why",
        "draw the chain of waits to its end, with the Python function beside each link",
        Command::Problem(ProblemKey::Why),
    ),
    action(
        "problem-only",
        &[c('o')],
        Problems,
        "Only these",
        "show only the processes concerned in the table",
        Command::Problem(ProblemKey::Only),
    ),
    action("problem-copy", &[c('y')], Problems, "Copy", "copy the problem with its evidence", Command::Problem(ProblemKey::Copy)),
    action(
        "event-process",
        &[k(Code::Enter)],
        Events,
        "Go to",
        "show the event's process in the table, if it is alive",
        Command::EventProcess,
    ),
    action("event-filter", &[Key::f(4), c('\\')], Events, "Filter", "show only events that contain a text", Command::Filter),
    action("lab-output", &[c('o')], Lab, "Output", "show the output and reports of the run", Command::Output),
    action(
        "lab-compare",
        &[c('c')],
        Lab,
        "Compare",
        "add the selected system, with its parameters, to the comparison (4)",
        Command::Compare(CompareKey::Add),
    ),
    action("time-later", &[k(Code::Right)], Timeline, "", "move the cursor forward in time", time(TimelineKey::Move(1))),
    action("time-earlier", &[k(Code::Left)], Timeline, "", "move the cursor back in time", time(TimelineKey::Move(-1))),
    action(
        "time-next-change",
        &[c('>'), c('.')],
        Timeline,
        "",
        "move the cursor to the next change on the lane",
        time(TimelineKey::Change(1)),
    ),
    action(
        "time-previous-change",
        &[c('<'), c(',')],
        Timeline,
        "",
        "move the cursor to the previous change on the lane",
        time(TimelineKey::Change(-1)),
    ),
    action("time-zoom-in", &[c('+'), c('=')], Timeline, "Zoom+", "zoom in at the cursor", time(TimelineKey::Zoom(1))),
    action("time-zoom-out", &[c('-')], Timeline, "Zoom-", "zoom out", time(TimelineKey::Zoom(-1))),
    action("time-fit", &[c('0'), c('f')], Timeline, "Fit", "zoom to the work", time(TimelineKey::Fit)),
    action(
        "time-whole",
        &[c('w')],
        Timeline,
        "Whole",
        "zoom to the whole run, including the time kept for inspection",
        time(TimelineKey::Whole),
    ),
    action(
        "time-processes",
        &[c('p')],
        Timeline,
        "Processes",
        "show or hide the processes at the cursor's time",
        time(TimelineKey::Processes),
    ),
    action("time-next-run", &[c(']')], Timeline, "Next run", "go to the next run", time(TimelineKey::Run(1))),
    action("time-previous-run", &[c('[')], Timeline, "", "go to the previous run", time(TimelineKey::Run(-1))),
    action(
        "time-process",
        &[k(Code::Enter)],
        Timeline,
        "Go to",
        "show the lane's process in the table",
        time(TimelineKey::Process),
    ),
    changing(action(
        "compare-run",
        &[k(Code::Enter)],
        Compare,
        "Run",
        "run the comparison: interleaved, repeated runs",
        Command::Compare(CompareKey::Run),
    )),
    action(
        "compare-sweep",
        &[c('s')],
        Compare,
        "Sweep",
        "choose the sweep: workers, parent memory, task length, or off",
        Command::Compare(CompareKey::Sweep),
    ),
    action(
        "compare-sort",
        &[c('>'), c('.'), k(Code::Right)],
        Compare,
        "Sort",
        "sort by the next measure and draw its bars",
        Command::Compare(CompareKey::Sort(1)),
    ),
    action(
        "compare-sort-back",
        &[c('<'), c(','), k(Code::Left)],
        Compare,
        "",
        "sort by the previous measure",
        Command::Compare(CompareKey::Sort(-1)),
    ),
    action(
        "compare-remove",
        &[c('d'), c('-')],
        Compare,
        "Remove",
        "remove the selected line from the comparison",
        Command::Compare(CompareKey::Remove),
    ),
    action("frame-back", &[c(',')], Recording, "Back", "stop at the previous frame", replay(ReplayKey::Step(-1))),
    action("frame-on", &[c('.')], Recording, "Next", "stop at the next frame", replay(ReplayKey::Step(1))),
    action(
        "frames-back",
        &[c('{')],
        Recording,
        "",
        "go back ten frames; live, show the last minutes until Esc",
        replay(ReplayKey::Step(-10)),
    ),
    action("frames-on", &[c('}')], Recording, "+10", "go forward ten frames", replay(ReplayKey::Step(10))),
    action(
        "minute-back",
        &[c('(')],
        Recording,
        "",
        "go back one minute; live, show the last minutes until Esc",
        replay(ReplayKey::Seconds(-60)),
    ),
    action("minute-on", &[c(')')], Recording, "", "go forward one minute", replay(ReplayKey::Seconds(60))),
    action("first-frame", &[c('^')], Recording, "", "go to the first frame", replay(ReplayKey::First)),
    action(
        "host-next",
        &[c('.')],
        Hosts,
        "Next host",
        "show the next host alone, with its header; after the last, all hosts",
        Command::Host(1),
    ),
    action("host-previous", &[c(',')], Hosts, "", "show the previous host alone", Command::Host(-1)),
    action(
        "host-of-row",
        &[k(Code::Enter)],
        Hosts,
        "Host",
        "show the host of the row alone; Esc returns to all hosts",
        Command::Host(0),
    ),
    action("last-frame", &[c('$')], Recording, "", "go to the last frame", replay(ReplayKey::Last)),
];
