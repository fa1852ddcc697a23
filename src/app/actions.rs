//! The one table of actions: keys, help and the README's key table come from it; `update` has an arm per [`Command`].

use super::compare::CompareKey;
use super::copy::Copied;
use super::detail::Tab;
use super::key::{Code, Key};
use super::msg::Command;
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
    /// On the lab's screen.
    Lab,
    /// On the timeline's screen.
    Timeline,
    /// On the Compare screen.
    Compare,
    /// On the events' screen.
    Events,
    /// While a recording is shown: before what the screens mean by the keys.
    Recording,
}

impl Context {
    /// Heading in help.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Everywhere => "Everywhere",
            Self::Table => "Processes",
            Self::Lab => "Lab",
            Self::Timeline => "Timeline",
            Self::Events => "Events",
            Self::Compare => "Compare",
            Self::Recording => "Recording (--replay)",
        }
    }
}

/// One action.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Action {
    /// Unique name.
    pub id: &'static str,
    /// Keys that mean it, as htop has them: [`super::presets::Preset::keys`] knows those of other hands.
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

use Context::{Compare, Events, Everywhere, Lab, Recording, Table, Timeline};

const fn c(ch: char) -> Key {
    Key::char(ch)
}
const fn k(code: Code) -> Key {
    Key::plain(code)
}

const fn time(key: TimelineKey) -> Command {
    Command::Time(key)
}

const fn replay(key: ReplayKey) -> Command {
    Command::Replay(key)
}

/// Every action, in the order of help.
pub const ACTIONS: &[Action] = &[
    action("help", &[Key::f(1), c('?'), c('h')], Everywhere, "Help", "this help", Command::Help),
    action(
        "setup",
        &[Key::f(2), c('S')],
        Table,
        "Setup",
        "set-up: columns, theme, delay; saved to the config file",
        Command::Setup,
    ),
    action("search", &[Key::f(3), c('/')], Table, "Search", "search as you type; Enter or F3 for the next", Command::Search),
    action("search-next", &[Key::ctrl('n')], Table, "", "next row that the last search matches", Command::SearchNext(1)),
    action("search-previous", &[Key::ctrl('p')], Table, "", "previous row that the last search matches", Command::SearchNext(-1)),
    action("filter", &[Key::f(4), c('\\')], Table, "Filter", "show only what matches, e.g. cpu>5 and user=www", Command::Filter),
    action("tree", &[Key::f(5), c('t')], Table, "Tree", "tree of parents and children, or list", Command::Tree),
    action(
        "spawn-tree",
        &[c('Y')],
        Table,
        "",
        "tree of who created whom: orphans stay below the nearest creator that is left",
        Command::SpawnTree,
    ),
    action("sort", &[Key::f(6), c('>'), c('.')], Table, "Sort", "choose the column to sort by", Command::SortMenu),
    changing(action(
        "nice-down",
        &[Key::f(7), c(']')],
        Table,
        "Nice-",
        "greedier: nice value down by 1 (needs privilege)",
        Command::Renice(-1),
    )),
    changing(action("nice-up", &[Key::f(8), c('[')], Table, "Nice+", "politer: nice value up by 1", Command::Renice(1))),
    changing(action("cpus", &[c('a')], Table, "", "the CPUs that the tagged, or the selected, may run on", Command::Cpus)),
    changing(action(
        "io-priority",
        &[c('i')],
        Table,
        "",
        "when the storage of the tagged, or the selected, is served",
        Command::IoPriority,
    )),
    changing(action(
        "signal",
        &[Key::f(9), c('k')],
        Table,
        "Signal",
        "send a signal to the tagged, or the selected",
        Command::SignalMenu,
    )),
    action("quit", &[Key::f(10), c('q'), Key::ctrl('c')], Everywhere, "Quit", "leave; lab runs end with concmon", Command::Quit),
    action(
        "lab",
        &[c('L')],
        Everywhere,
        "Lab",
        "the lab: run a concurrent system and see what it costs",
        Command::Go(Screen::Lab),
    ),
    changing(action(
        "quick-launch",
        &[c('n')],
        Everywhere,
        "Launch",
        "launch a small demo: then f fork, s spawn, v forkserver, ...",
        Command::QuickLaunch,
    )),
    action("stop-runs", &[c('X')], Everywhere, "", "stop all lab runs", Command::StopRuns),
    action(
        "explain",
        &[c('E')],
        Everywhere,
        "Explain",
        "explain the selected row's sorted cell, and what sampling costs",
        Command::Explain,
    ),
    action("next-screen", &[k(Code::Tab)], Everywhere, "", "next screen", Command::NextScreen),
    action("previous-screen", &[k(Code::BackTab)], Everywhere, "", "previous screen", Command::PreviousScreen),
    action("screen-processes", &[c('1')], Everywhere, "", "the table of processes", Command::Go(Screen::Processes)),
    action("screen-lab", &[c('2')], Everywhere, "", "the lab: systems, parameters, runs", Command::Go(Screen::Lab)),
    action(
        "screen-timeline",
        &[c('3'), c('V')],
        Everywhere,
        "Timeline",
        "timeline: what each task of a lab run did when, and how much went on at once",
        Command::Go(Screen::Timeline),
    ),
    action(
        "screen-compare",
        &[c('4')],
        Everywhere,
        "",
        "compare: what systems of the lab cost, side by side",
        Command::Go(Screen::Compare),
    ),
    action("screen-events", &[c('5')], Everywhere, "", "events: every birth, exec and death", Command::Go(Screen::Events)),
    action("palette", &[c(':')], Everywhere, "", "every action by a part of its name; sort, filter, columns", Command::Palette),
    action("redraw", &[Key::ctrl('l')], Everywhere, "", "draw the screen anew", Command::Redraw),
    action("suspend", &[Key::ctrl('z')], Everywhere, "", "to the shell; fg comes back", Command::Suspend),
    action(
        "pause",
        &[c('Z')],
        Everywhere,
        "",
        "freeze the picture, and go on; a recording: stop it, and let it run",
        Command::Pause,
    ),
    action("up", &[k(Code::Up)], Everywhere, "", "line up", Command::Move(-1)),
    action("down", &[k(Code::Down)], Everywhere, "", "line down", Command::Move(1)),
    action("page-up", &[k(Code::PageUp), Key::ctrl('b')], Everywhere, "", "page up", Command::Page(-1)),
    action("page-down", &[k(Code::PageDown), Key::ctrl('f')], Everywhere, "", "page down", Command::Page(1)),
    action("half-page-up", &[Key::ctrl('u')], Everywhere, "", "half a page up", Command::HalfPage(-1)),
    action("half-page-down", &[Key::ctrl('d')], Everywhere, "", "half a page down", Command::HalfPage(1)),
    action("first", &[k(Code::Home), c('g')], Everywhere, "", "first line", Command::First),
    action("last", &[k(Code::End)], Everywhere, "", "last line", Command::Last),
    action("tag", &[c(' ')], Table, "", "tag the row", Command::Tag),
    action("tag-subtree", &[c('c')], Table, "", "tag the row and all its descendants", Command::TagSubtree),
    action("untag", &[c('U')], Table, "", "tag nothing", Command::UntagAll),
    action(
        "detail",
        &[k(Code::Enter)],
        Table,
        "",
        "the process in depth: threads, memory, files, environment, limits",
        Command::Detail(Tab::Threads),
    ),
    action("files", &[c('l')], Table, "", "the files and sockets that the process has open", Command::Detail(Tab::Files)),
    action(
        "file-locks",
        &[c('x')],
        Table,
        "",
        "the locks on files that the process holds or waits for, and who is on the other side",
        Command::Detail(Tab::Files),
    ),
    action(
        "environment",
        &[c('e')],
        Table,
        "",
        "the environment that the process was started with",
        Command::Detail(Tab::Environment),
    ),
    action(
        "runtime",
        &[c('G')],
        Table,
        "",
        "inside the Python that it runs: threads, functions, who holds the GIL",
        Command::Detail(Tab::Runtime),
    ),
    action("only", &[c('o')], Table, "", "show only the tagged, or the selected, with their subtrees; again: all", Command::Only),
    action(
        "copy-on-write",
        &[c('D')],
        Table,
        "CoW",
        "copy-on-write ledger: what forked children still share with their parent, page by page",
        Command::Ledger,
    ),
    action("fold", &[c('=')], Table, "", "fold or unfold the subtree", Command::ToggleFold),
    action("fold-shut", &[c('-'), k(Code::Backspace)], Table, "", "fold the subtree", Command::Fold),
    action("fold-open", &[c('+')], Table, "", "unfold the subtree", Command::Unfold),
    action("fold-all", &[c('*')], Table, "", "fold or unfold everything", Command::FoldAll),
    action("threads", &[c('H')], Table, "", "every thread as a row", Command::Threads),
    action("path", &[c('p')], Table, "", "the program's path, or its name alone with its arguments", Command::Path),
    action("kernel-threads", &[c('K')], Table, "", "kernel threads", Command::KernelThreads),
    action(
        "diagnoses",
        &[c('!')],
        Table,
        "",
        "what is wrong: zombies, orphans, pools too wide, ..., with what to do",
        Command::Diagnoses,
    ),
    action("waits", &[c('W')], Table, "", "what each row waits for: futex, pipe, epoll, child, ...", Command::Waits),
    action(
        "copy-cell",
        &[c('y')],
        Table,
        "",
        "copy the sorted column's cell to the clipboard (OSC 52)",
        Command::Copy(Copied::Cell),
    ),
    action("copy-command", &[Key::ctrl('y')], Table, "", "copy the whole command line", Command::Copy(Copied::CommandLine)),
    action("copy-row", &[Key::alt('y')], Table, "", "copy the row's visible cells, divided by tabs", Command::Copy(Copied::Row)),
    action("follow", &[c('F')], Table, "", "keep the selected process at its line while others move", Command::Follow),
    action("invert", &[c('I'), c('<'), c(',')], Table, "", "sort in the other direction", Command::Invert),
    action("sort-pid", &[c('N')], Table, "", "sort by PID", Command::SortBy("pid")),
    action("sort-cpu", &[c('P')], Table, "", "sort by CPU%", Command::SortBy("cpu")),
    action("sort-memory", &[c('M')], Table, "", "sort by resident memory", Command::SortBy("rss")),
    action("sort-time", &[c('T')], Table, "", "sort by CPU time", Command::SortBy("time")),
    action("user", &[c('u')], Table, "", "only one user's processes", Command::UserMenu),
    action("scroll-left", &[k(Code::Left)], Table, "", "scroll to the left: the command, then columns", Command::Sideways(-8)),
    action(
        "scroll-right",
        &[k(Code::Right)],
        Table,
        "",
        "scroll to the right: columns that do not fit, then the command",
        Command::Sideways(8),
    ),
    changing(action("lab-run", &[k(Code::Enter)], Lab, "", "run the chosen system", Command::Enter)),
    changing(action(
        "lab-guess",
        &[c('P')],
        Lab,
        "",
        "predict, then see: a guess first, then the run; the truth beside it, and a score",
        Command::Guess,
    )),
    action(
        "lab-search",
        &[Key::f(3), c('/')],
        Lab,
        "Search",
        "find a system as you type; F3 or Down for the next",
        Command::Search,
    ),
    action("lab-less", &[k(Code::Left), c('-')], Lab, "", "less of the chosen parameter", Command::Parameter(-1)),
    action("lab-more", &[k(Code::Right), c('+')], Lab, "", "more of the chosen parameter", Command::Parameter(1)),
    action("lab-type", &[c('e')], Lab, "", "type the chosen parameter: a number", Command::TypeParameter),
    action("lab-next-field", &[c(']'), c('p')], Lab, "", "next parameter", Command::NextField(1)),
    action("lab-previous-field", &[c('[')], Lab, "", "previous parameter", Command::NextField(-1)),
    action(
        "event-process",
        &[k(Code::Enter)],
        Events,
        "",
        "the event's process in the table, if it still lives",
        Command::EventProcess,
    ),
    action("event-filter", &[Key::f(4), c('\\')], Events, "Filter", "only events with a text in them", Command::Filter),
    action("lab-output", &[c('o')], Lab, "", "all that the run has printed and reported", Command::Output),
    action(
        "lab-compare",
        &[c('c')],
        Lab,
        "",
        "compare the chosen system, with its parameters: adds it to screen 4",
        Command::Compare(CompareKey::Add),
    ),
    action("time-later", &[k(Code::Right)], Timeline, "", "cursor to the right in time", time(TimelineKey::Move(1))),
    action("time-earlier", &[k(Code::Left)], Timeline, "", "cursor to the left in time", time(TimelineKey::Move(-1))),
    action(
        "time-next-change",
        &[c('>'), c('.')],
        Timeline,
        "",
        "cursor to where something next changes on the lane",
        time(TimelineKey::Change(1)),
    ),
    action(
        "time-previous-change",
        &[c('<'), c(',')],
        Timeline,
        "",
        "cursor to where something changed before",
        time(TimelineKey::Change(-1)),
    ),
    action("time-zoom-in", &[c('+'), c('=')], Timeline, "Zoom+", "closer, around the cursor", time(TimelineKey::Zoom(1))),
    action("time-zoom-out", &[c('-')], Timeline, "Zoom-", "further off", time(TimelineKey::Zoom(-1))),
    action("time-fit", &[c('0'), c('f')], Timeline, "Fit", "all in which something happens", time(TimelineKey::Fit)),
    action(
        "time-whole",
        &[c('w')],
        Timeline,
        "Whole",
        "the whole run, with the time it stays to be looked at",
        time(TimelineKey::Whole),
    ),
    action(
        "time-processes",
        &[c('p')],
        Timeline,
        "",
        "the processes as they were at the cursor: up to half of the screen",
        time(TimelineKey::Processes),
    ),
    action("time-next-run", &[c(']')], Timeline, "", "the run after this one", time(TimelineKey::Run(1))),
    action("time-previous-run", &[c('[')], Timeline, "", "the run before this one", time(TimelineKey::Run(-1))),
    action("time-process", &[k(Code::Enter)], Timeline, "", "the lane's process in the table", time(TimelineKey::Process)),
    changing(action(
        "compare-run",
        &[k(Code::Enter)],
        Compare,
        "",
        "run what is compared, interleaved and repeated",
        Command::Compare(CompareKey::Run),
    )),
    action(
        "compare-sweep",
        &[c('s')],
        Compare,
        "",
        "sweep workers, memory of the parent, length of a task, or nothing",
        Command::Compare(CompareKey::Sweep),
    ),
    action(
        "compare-sort",
        &[c('>'), c('.'), k(Code::Right)],
        Compare,
        "",
        "sort by the next measure, and draw its bars",
        Command::Compare(CompareKey::Sort(1)),
    ),
    action(
        "compare-sort-back",
        &[c('<'), c(','), k(Code::Left)],
        Compare,
        "",
        "sort by the measure before",
        Command::Compare(CompareKey::Sort(-1)),
    ),
    action(
        "compare-remove",
        &[c('d'), c('-')],
        Compare,
        "",
        "compare the chosen line no longer",
        Command::Compare(CompareKey::Remove),
    ),
    action("frame-back", &[c(',')], Recording, "", "the frame before, and stop there", replay(ReplayKey::Step(-1))),
    action("frame-on", &[c('.')], Recording, "", "the next frame, and stop there", replay(ReplayKey::Step(1))),
    action("frames-back", &[c('{')], Recording, "", "ten frames back", replay(ReplayKey::Step(-10))),
    action("frames-on", &[c('}')], Recording, "", "ten frames on", replay(ReplayKey::Step(10))),
    action("minute-back", &[c('(')], Recording, "", "a minute of its time back", replay(ReplayKey::Seconds(-60))),
    action("minute-on", &[c(')')], Recording, "", "a minute of its time on", replay(ReplayKey::Seconds(60))),
    action("first-frame", &[c('^')], Recording, "", "its first frame", replay(ReplayKey::First)),
    action("last-frame", &[c('$')], Recording, "", "its last frame", replay(ReplayKey::Last)),
];
