//! Handles messages and returns effects.

use crate::columns::{self, Column};
use crate::lab::catalog::systems;
use crate::lab::lessons::LESSONS;
use crate::snapshot::pid_on_host;

use super::App;
use super::actions::Context;
use super::detail::Tab;
use super::editor::LineEditor;
use super::key::{Code, Key};
use super::layer::{InputKind, Layer};
use super::ledger::LedgerPane;
use super::msg::{Command, Effect, Fit, Level, Msg, Notice, Pointed};
use super::options::Screen;
use super::presets::Preset;
use super::replay::ReplayKey;
use super::setup::Setup;

/// How long a notice stays, nanoseconds.
const NOTICE_NS: u64 = 6_000_000_000;

impl App {
    /// Handles one message; the effects are for the engine.
    pub fn update(&mut self, msg: Msg) -> Vec<Effect> {
        let effects = self.handle(msg);
        if self.screen != Screen::Timeline {
            self.timeline.end_family();
        }
        self.follow_selected();
        effects
    }

    fn handle(&mut self, msg: Msg) -> Vec<Effect> {
        match msg {
            Msg::Sample(model) => {
                if self.hosts.is_some() {
                    self.take_hosts(model);
                    return Vec::new();
                }
                let Some(model) = self.keep_aside(model) else { return Vec::new() };
                let sampled = self.stories.sampled();
                self.sample(model);
                let mut effects = self.step_lesson();
                effects.extend(self.resample_for_rows(self.stories.sampled() > sampled));
                effects.extend(self.ask_stacks());
                return effects;
            }
            Msg::Replayed(shown) => self.replayed(shown),
            Msg::RecordingStopped(why) => {
                self.recording = false;
                self.tell(Notice { lasting: true, ..Notice::bad(why) });
            }
            Msg::SampleFailed(why) => self.tell(Notice::bad(why)),
            // Asked for before the past was shown.
            Msg::Detail(_) if self.looks_back() => {}
            Msg::Detail(detail) => match &mut self.layer {
                Some(Layer::Ledger(pane)) => pane.take(detail),
                _ => {
                    let mut panes = self.panes();
                    if let Some(pane) = panes.find(|pane| pane.key == detail.key) {
                        pane.take(detail);
                    }
                }
            },
            Msg::Lab(state) => {
                let whole = self.lab.whole_runs();
                self.lab.take(state);
                self.stories.take(&self.lab.state, self.now_ns);
                self.follow_runs();
                let mut effects = self.step_lesson();
                effects.extend(self.next_baseline());
                effects.extend(self.resample_for_rows(self.lab.whole_runs() > whole));
                return effects;
            }
            Msg::Explained { title, lines: found } => {
                if let Some(Layer::Explain { title: open, lines, .. }) = &mut self.layer
                    && *open == title
                {
                    *lines = found;
                }
            }
            Msg::Allotted { pid, cpus, io } => self.present_allotment(pid, &cpus, &io),
            Msg::Surveyed(facts) => return self.surveyed(facts),
            Msg::Stacks { problem, taken_ns, lines } => self.problems.take_stacks(problem, taken_ns, lines),
            Msg::Traced { key, lanes, offset_ns } => self.traced(key, lanes, offset_ns),
            Msg::Compared(news) => self.compare.take(news),
            Msg::NotCompared(why) => {
                self.compare.running = false;
                self.tell(Notice::bad(why));
            }
            Msg::Interpreters(found) => {
                self.lab.interpreters = Some(found);
                // The notice that they are looked for is out of date.
                self.drop_info();
                return self.step_lesson();
            }
            Msg::NotLaunched { spec, why } => {
                self.lesson_not_launched(&spec, &why);
                self.tell(Notice::bad(why));
            }
            Msg::Key(key) => return self.key(key),
            Msg::Paste(text) => self.paste(&text),
            Msg::Fitted(fit) => self.fitted(fit),
            Msg::RunClock(now_ns) => self.lab.now_ns = now_ns,
            Msg::Resized { height, .. } => {
                self.screen_lines = height;
                self.clamp();
            }
            Msg::Pointed(at) => return self.pointed(at),
            Msg::Do(command) => return self.run(command),
            Msg::Frozen { token, targets } => {
                if let Some(Layer::Signal(dialog)) = &mut self.layer
                    && dialog.token == token
                {
                    dialog.targets = Some(targets);
                } else {
                    return self.lesson_frozen(token);
                }
            }
            Msg::Tell(notice) => self.tell(notice),
            Msg::Clock(now_ns) => {
                if self.replay.is_none() {
                    self.now_ns = now_ns;
                } else if let Some((_, until @ 0)) = &mut self.notice {
                    *until = now_ns + NOTICE_NS;
                }
                if self.notice.as_ref().is_some_and(|(_, until)| *until <= now_ns) {
                    self.notice = None;
                }
            }
        }
        Vec::new()
    }

    fn fitted(&mut self, fit: Fit) {
        self.page = fit.page;
        (self.timeline.cells, self.timeline.page) = (fit.lane_cells, fit.lanes);
        self.compare.fit(fit.compare_rows);
        self.events.page = fit.event_lines;
        self.problems.page = fit.problem_lines;
        self.text = fit.text;
        self.visible_columns = fit.columns;
        self.clamp();
    }

    pub(super) fn tell(&mut self, notice: Notice) {
        // In a recording `now_ns` is recorded time: the next tick of this machine's clock replaces the 0.
        let until = match (notice.lasting, self.replay.is_some()) {
            (true, _) => u64::MAX,
            (false, true) => 0,
            (false, false) => self.now_ns + NOTICE_NS,
        };
        self.notice = Some((notice, until));
    }

    /// Removes a notice that only informs, unless it lasts.
    fn drop_info(&mut self) {
        if self.notice.as_ref().is_some_and(|(notice, _)| notice.level == Level::Info && !notice.lasting) {
            self.notice = None;
        }
    }

    fn key(&mut self, key: Key) -> Vec<Effect> {
        // A key press decides where the cursor is, and ends a notice that only informs.
        self.expected = None;
        self.drop_info();
        if key == Key::ctrl('c') {
            return vec![Effect::Quit];
        }
        let Some(key) = self.whole(key) else { return Vec::new() };
        if let Some(effects) = self.moves_in_recording(key) {
            return effects;
        }
        if self.layer.is_some() {
            return self.layer_key(self.in_lists(key));
        }
        if key.code == Code::Esc {
            if let Some(effects) = self.return_to_now() {
                return effects;
            }
            if self.screen == Screen::Processes && self.split.is_none() && self.leave_chosen_host() {
                return Vec::new();
            }
            self.escape();
            return Vec::new();
        }
        if self.split_key(key) {
            return Vec::new();
        }
        match self.action(key).map(|action| (action, self.off(action))) {
            Some((action, Some(why))) => {
                let what = if action.bar.is_empty() { format!("\"{}\"", action.help) } else { action.bar.to_owned() };
                let goes_on = why.starts_with("is ");
                self.tell(Notice::bad(if goes_on { format!("{what} {why}") } else { why.into_owned() }));
                Vec::new()
            }
            Some((action, None)) => self.run(action.command),
            None => {
                if let Some(c) = key.typed() {
                    let elsewhere = self.options.keys.elsewhere(c).filter(|_| self.screen == Screen::Processes);
                    self.tell(Notice::info(match elsewhere {
                        Some(what) => format!("{c} does nothing here: {what}"),
                        None => format!("{c} does nothing on this screen: F1 lists the keys"),
                    }));
                }
                Vec::new()
            }
        }
    }

    /// The key with the one before it, where two make one; `None` for the first of two.
    fn whole(&mut self, key: Key) -> Option<Key> {
        let typing = matches!(
            self.layer,
            Some(Layer::Help { .. } | Layer::Input(_) | Layer::Palette(_) | Layer::Signal(_) | Layer::QuickLaunch { .. })
        );
        let twice = key.typed().filter(|_| !typing).map(|c| Key::plain(Code::Double(c)));
        let twice = twice.filter(|twice| self.options.keys.find(*twice, self.context()).is_some());
        match (self.pending.take(), twice) {
            (Some(first), Some(twice)) if first == key => Some(twice),
            (_, Some(_)) => {
                self.pending = Some(key);
                None
            }
            _ => Some(key),
        }
    }

    /// What moves in the table moves in texts and menus over it too, with the same keys.
    fn in_lists(&self, key: Key) -> Key {
        let moves = match self.layer {
            // What is typed there is looked for.
            Some(Layer::Help { .. }) => key.typed().is_none(),
            Some(Layer::Explain { .. } | Layer::Output { .. } | Layer::Detail(_) | Layer::Ledger(_)) => true,
            // There letters of htop's hands go to the entry that begins with them.
            Some(Layer::Menu(_)) => self.options.keys == Preset::Vim,
            _ => false,
        };
        let action = self.options.keys.find(key, Context::Table).filter(|_| moves);
        action.and_then(|a| a.command.as_movement()).map_or(key, Key::plain)
    }

    /// Esc goes one step back: to the table, then closes the details, then removes chosen subtrees, tags, filter and user.
    fn escape(&mut self) {
        if self.screen == Screen::Events && self.events.filter.take().is_some() {
            return;
        }
        if self.screen != Screen::Processes {
            self.screen = Screen::Processes;
        } else if self.split.is_some() {
            self.split = None;
        } else if !self.options.only.is_empty() {
            self.options.only.clear();
            self.rebuild();
        } else if !self.tagged.is_empty() {
            self.tagged.clear();
        } else if self.options.filter.take().is_some() || self.options.user.take().is_some() {
            self.rebuild();
        }
    }

    fn pointed(&mut self, at: Pointed) -> Vec<Effect> {
        if self.layer.is_some() {
            return self.layer_pointed(at);
        }
        match (at, self.screen) {
            (Pointed::Row(line), Screen::Processes) => {
                let target = self.scroll + usize::from(line);
                if target < self.lines.len() {
                    self.cursor = target;
                    self.hold();
                }
            }
            (Pointed::Fold(line), Screen::Processes) => {
                self.pointed(Pointed::Row(line));
                self.fold(None);
            }
            (Pointed::Tab(page), Screen::Processes) => {
                if let (Some(pane), Some(tab)) = (&mut self.split, Tab::ALL.get(page)) {
                    pane.turn_to(*tab);
                }
            }
            (Pointed::Row(line), Screen::Events) => {
                let to = self.events.top(self.events.at(), self.events.page) + usize::from(line);
                let by = i64::try_from(to).unwrap_or(0) - i64::try_from(self.events.at()).unwrap_or(0);
                self.events.step(by, self.events.page);
            }
            (Pointed::Card(nth), Screen::Processes) => self.select_run(nth),
            (Pointed::Head(index), Screen::Processes) => {
                if let Some(column) = self.visible_columns.get(index).copied() {
                    return self.sort_by(column);
                }
            }
            (Pointed::Moment { line, cell }, Screen::Timeline) => self.time_point(usize::from(line), usize::from(cell)),
            (Pointed::Row(_) | Pointed::ListLine(_) | Pointed::Head(_), Screen::Compare) => self.compare_point(at),
            (Pointed::Row(line), Screen::Problems) => self.problem_choose(self.problems.scroll + usize::from(line)),
            (Pointed::Wheel(by), Screen::Processes | Screen::Events) => return self.run(Command::Move(by * 3)),
            (Pointed::Wheel(by), _) => return self.run(Command::Move(by.signum())),
            (Pointed::ListLine(line), Screen::Lab) if self.lessons.open => return self.choose_lesson(usize::from(line)),
            (Pointed::ListLine(line), Screen::Lab) if usize::from(line) < systems().len() => {
                self.lab.system = usize::from(line);
                self.lab.field = 0;
            }
            _ => {}
        }
        Vec::new()
    }

    fn sort_by(&mut self, column: &'static Column) -> Vec<Effect> {
        self.options.sort_by(column);
        self.rebuild();
        // What is sorted by must be known of all rows, not of the visible ones only.
        vec![Effect::Resample]
    }

    pub(super) fn run(&mut self, command: Command) -> Vec<Effect> {
        match command {
            Command::Move(by) => return self.scroll_by(i64::from(by)),
            Command::Page(by) => {
                if self.screen == Screen::Problems && self.scroll_problem(by) {
                    return Vec::new();
                }
                return self.scroll_by(i64::from(by) * i64::try_from(self.shown_lines().max(2) - 1).unwrap_or(1));
            }
            Command::HalfPage(by) => {
                return self.scroll_by(i64::from(by) * i64::try_from(self.shown_lines() / 2).unwrap_or(1).max(1));
            }
            Command::First => return self.scroll_by(i64::MIN / 2),
            Command::Last => return self.scroll_by(i64::MAX / 2),
            Command::Sideways(by) => self.scroll_sideways(by),
            Command::Go(screen) => return self.go(screen),
            Command::Timeline => return self.open_family_timeline(),
            Command::NextScreen => return self.next_screen(1),
            Command::PreviousScreen => return self.next_screen(self.screens().len() - 1),
            Command::Host(by) => return self.go_to_host(by),
            Command::Replay(key) => return self.replay_key(key),
            Command::Pause if self.replay.is_some() => return self.replay_key(ReplayKey::Play),
            Command::Compare(key) => return self.compare_key(key),
            Command::Time(key) => return self.time_key(key),
            Command::Problem(key) => return self.problem_key(key),
            Command::Output => self.layer = Some(Layer::Output { scroll: 0 }),
            Command::Quit => return vec![Effect::Quit],
            Command::Suspend => return vec![Effect::Suspend],
            Command::Redraw => return vec![Effect::Redraw],
            // Details are of one host.
            Command::Detail(_) if self.hosts.is_some() && self.chosen_host().is_none() => return self.go_to_host(0),
            Command::Detail(page) => self.open_detail(page),
            Command::Ledger => self.open_ledger(),
            Command::Setup => self.layer = Some(Layer::Setup(Box::new(Setup::new(&self.options)))),
            Command::Tag => self.tag(),
            Command::TagSubtree => self.tag_subtree(),
            Command::UntagAll => self.tagged.clear(),
            Command::ToggleFold | Command::Fold | Command::Unfold | Command::FoldAll => self.fold_command(command),
            Command::SortBy(id) => return columns::find(id).map(|c| self.sort_by(c)).unwrap_or_default(),
            Command::Tree | Command::SpawnTree | Command::Invert | Command::Threads | Command::KernelThreads => {
                return self.toggle(command);
            }
            Command::Waits => return self.toggle_column("wait"),
            Command::Path => self.toggle_path(),
            Command::EventProcess => self.show_event_in_table(),
            Command::Follow => self.toggle_follow(),
            Command::Pause => return self.toggle_pause(),
            Command::Renice(delta) => return self.renice(delta),
            Command::Cpus => return self.open_allotment(InputKind::Cpus),
            Command::IoPriority => return self.open_allotment(InputKind::IoPriority),
            Command::KeepRun => return self.keep_run(),
            Command::StopRuns => return self.stop_runs(),
            Command::Lesson(key) => return self.lesson_key(key),
            Command::Parameter(_) | Command::TypeParameter | Command::NextField(_) => self.change_parameter(command),
            Command::Enter => return vec![Effect::Launch(self.lab.spec())],
            Command::Help => self.layer = Some(Layer::Help { scroll: 0, find: LineEditor::default() }),
            Command::QuickLaunch => return self.open_demos(),
            Command::Explain => self.layer = Some(self.explain()),
            Command::Profile => self.open_profile(),
            Command::Why => return self.ask_why(),
            Command::SignalMenu => return self.open_signals(),
            Command::Only => return self.toggle_only(),
            Command::Copy(what) => return self.copy(what),
            Command::Palette => self.open_palette(),
            Command::SearchNext(by) => self.search_again(by),
            Command::Search if self.screen == Screen::Lab => self.open_input(InputKind::System, String::new()),
            Command::Search => self.open_input(InputKind::Search, String::new()),
            Command::Filter if self.screen == Screen::Events => self.open_input(InputKind::EventFilter, String::new()),
            Command::Filter => {
                let text = self.options.filter.as_ref().map(|f| f.text().to_owned()).unwrap_or_default();
                self.open_input(InputKind::Filter, text);
            }
            Command::SortMenu => self.layer = Some(self.sort_menu()),
            Command::UserMenu => self.layer = Some(self.user_menu()),
        }
        Vec::new()
    }

    fn change_parameter(&mut self, command: Command) {
        let change = |app: &mut Self| match command {
            Command::Parameter(by) => app.lab.change(by),
            Command::NextField(by) => app.lab.next_field(by),
            _ => app.type_parameter(),
        };
        if self.lessons.open { self.lesson_parameter(change) } else { change(self) }
    }

    /// Lines of the list that scrolls on this screen.
    fn shown_lines(&self) -> usize {
        match self.screen {
            Screen::Compare => self.compare.page,
            Screen::Events => self.events.page,
            Screen::Problems => self.problems.page,
            _ => self.page,
        }
    }

    fn scroll_by(&mut self, by: i64) -> Vec<Effect> {
        match self.screen {
            Screen::Processes => self.move_by(by),
            Screen::Lab if self.lessons.open => {
                let last = LESSONS.len() - 1;
                let at = i64::try_from(self.lessons.at).unwrap_or(0).saturating_add(by);
                return self.choose_lesson(usize::try_from(at.max(0)).unwrap_or(0).min(last));
            }
            Screen::Lab => {
                let at = i64::try_from(self.lab.system)
                    .unwrap_or(0)
                    .saturating_add(by)
                    .clamp(0, i64::try_from(systems().len()).unwrap_or(1) - 1);
                self.lab.system = usize::try_from(at).unwrap_or(0);
                self.lab.field = self.lab.field.min(self.lab.fields().len().saturating_sub(1));
            }
            Screen::Compare => self.compare_move(by),
            Screen::Timeline => self.time_lanes(by),
            Screen::Events => self.events.step(by, self.events.page),
            Screen::Problems => self.problem_move(by),
        }
        Vec::new()
    }

    fn next_screen(&mut self, by: usize) -> Vec<Effect> {
        let back = by > 1;
        if self.screen == Screen::Lab && back != self.lessons.open {
            // The lab has two views, one after the other.
            self.lessons.open = back;
            return Vec::new();
        }
        let screens = self.screens();
        let at = screens.iter().position(|s| *s == self.screen).unwrap_or(0);
        self.go(screens[(at + by) % screens.len()])
    }

    pub(super) fn go(&mut self, screen: Screen) -> Vec<Effect> {
        if screen == Screen::Timeline {
            self.open_timeline();
        }
        if screen == Screen::Lab && self.screen == screen {
            // Its key again turns from the lessons to all systems, and back.
            self.lessons.open = !self.lessons.open;
        }
        self.screen = screen;
        // Looking costs some tenths of a second of CPU: only those who open the lab pay.
        if screen == Screen::Lab && self.lab.interpreters.is_none() { vec![Effect::Discover] } else { Vec::new() }
    }

    /// The ledger of the selected process's children, or of its parent's if it has none.
    fn open_ledger(&mut self) {
        let Some(row) = self.selected() else { return };
        let (model, selected) = (row.model, row.process);
        let has_children = model.now.processes.iter().any(|p| p.ppid == selected.key.pid);
        let parent = if has_children { Some(selected) } else { model.process(selected.ppid).filter(|p| p.key.pid > 1) };
        let Some(parent) = parent else {
            let pid = selected.key.pid;
            self.tell(Notice::info(format!("PID {pid} has no children and no parent that may share its pages")));
            return;
        };
        let mut pane = LedgerPane::new(parent.key, self.plain(parent.leader.comm), (!has_children).then_some(selected.key));
        pane.sample(model);
        self.layer = Some(Layer::Ledger(Box::new(pane)));
    }

    fn fold_command(&mut self, command: Command) {
        match command {
            Command::Fold => self.fold(Some(true)),
            Command::Unfold => self.fold(Some(false)),
            Command::FoldAll => self.fold_all(),
            _ => self.fold(None),
        }
    }

    fn toggle(&mut self, command: Command) -> Vec<Effect> {
        let o = &mut self.options;
        match command {
            Command::Tree => {
                o.tree = !o.tree;
                o.sort_in_tree = false;
            }
            Command::SpawnTree => {
                o.by_spawner = !(o.tree && o.by_spawner);
                o.tree = true;
                o.sort_in_tree = false;
                let words = if o.by_spawner {
                    "tree by creator: orphans stay below the nearest creator that is alive, if known"
                } else {
                    "tree by parent"
                };
                self.tell(Notice::info(words));
            }
            Command::Invert => o.descending = !o.descending,
            Command::Threads => o.threads = !o.threads,
            _ => o.kernel_threads = !o.kernel_threads,
        }
        self.rebuild();
        vec![Effect::Resample]
    }

    /// Shows a column before the last one (the command, which takes what is left), or hides it.
    fn toggle_column(&mut self, id: &str) -> Vec<Effect> {
        let shown = &mut self.options.columns;
        if let Some(at) = shown.iter().position(|c| c.id == id) {
            shown.remove(at);
        } else if let Some(column) = columns::find(id) {
            let at = shown.iter().position(|c| c.width == 0).unwrap_or(shown.len());
            shown.insert(at, column);
        }
        vec![Effect::Resample]
    }

    /// Narrows the table to the subtrees of the tagged, or the selected; or shows all again.
    fn toggle_only(&mut self) -> Vec<Effect> {
        let narrowed = std::mem::take(&mut self.options.only);
        if narrowed.is_empty() {
            self.options.only = self.targets();
            if self.options.only.is_empty() {
                self.tell(self.no_target());
                return Vec::new();
            }
        }
        self.rebuild();
        vec![Effect::Resample]
    }

    fn toggle_path(&mut self) {
        let shown = !self.options.show_path;
        self.options.show_path = shown;
        self.tell(Notice::info(if shown { "program paths shown" } else { "program paths hidden; p shows them" }));
    }

    fn toggle_follow(&mut self) {
        self.follow = !self.follow;
        self.hold();
        let name = self.selected().map(|r| pid_on_host(r.key().pid));
        match (self.follow, name) {
            (true, Some(pid)) => self.tell(Notice::info(format!("following PID {pid}; F stops"))),
            (false, _) => self.tell(Notice::info("following stopped")),
            _ => self.follow = false,
        }
    }

    fn toggle_pause(&mut self) -> Vec<Effect> {
        self.paused = !self.paused;
        // The header says so too, where it has the room.
        if self.paused {
            self.tell(Notice::lasting("paused; Z resumes"));
            Vec::new()
        } else {
            self.tell(Notice::info("resumed"));
            vec![Effect::Resample]
        }
    }

    fn stop_runs(&mut self) -> Vec<Effect> {
        let active = self.lab.active();
        if active == 0 && !self.compare.running {
            // The engine may be making an environment, which it stops too.
            self.tell(Notice::info("no lab run is active"));
            return vec![Effect::StopAll];
        }
        self.tell(Notice::good(format!("stopping {active} lab run{}", if active == 1 { "" } else { "s" })));
        vec![Effect::StopAll]
    }
}
