//! Handles keys while a search or filter is typed.

use crate::query::{Completion, Filter, FilterError, TextMatch, complete};

use super::App;
use super::editor::{Edited, LineEditor, Recall, Remembered};
use super::key::{Code, Key};
use super::layer::{Input, InputKind, Layer};
use super::msg::{Effect, Notice};
use super::parameter;

/// What was typed into each kind of line.
#[derive(Debug, Clone, Default)]
pub(super) struct Typed {
    searches: Remembered,
    systems: Remembered,
    filters: Remembered,
    event_filters: Remembered,
    cpus: Remembered,
    io_priorities: Remembered,
    parameters: Remembered,
}

impl Typed {
    pub(super) fn of(&mut self, kind: InputKind) -> &mut Remembered {
        match kind {
            InputKind::Search => &mut self.searches,
            InputKind::System => &mut self.systems,
            InputKind::Filter => &mut self.filters,
            InputKind::EventFilter => &mut self.event_filters,
            InputKind::Cpus => &mut self.cpus,
            InputKind::IoPriority => &mut self.io_priorities,
            InputKind::Parameter(_) => &mut self.parameters,
        }
    }
}

impl App {
    pub(super) fn open_input(&mut self, kind: InputKind, text: String) {
        let (line, recall) = (LineEditor::new(text), Recall::default());
        let (completion, whom) = (Completion::default(), Vec::new());
        self.layer = Some(Layer::Input(Input {
            kind,
            line,
            recall,
            error: None,
            completion,
            whom,
            hint: None,
            before: self.options.filter.clone().map(Box::new),
        }));
    }

    pub(super) fn input_key(&mut self, mut input: Input, key: Key) -> Vec<Effect> {
        match key.code {
            Code::Esc => {
                match input.kind {
                    InputKind::Search => self.options.search = None,
                    InputKind::Filter => {
                        self.options.filter = input.before.map(|filter| *filter);
                        self.rebuild();
                    }
                    _ => {}
                }
                return Vec::new();
            }
            Code::Enter | Code::F(3) if input.kind.is_search() => {
                self.typed.of(input.kind).add(input.line.text());
                if key.code == Code::F(3) || input.line.text().is_empty() {
                    self.search_on(&input);
                    self.layer = Some(Layer::Input(input));
                }
                return Vec::new();
            }
            Code::Enter => return self.accept(input),
            Code::Tab if input.kind == InputKind::Filter => {
                if let Some(text) = input.completion.apply(input.line.before()) {
                    input.line.set_before(&text);
                    self.edited(&mut input);
                }
            }
            Code::Up | Code::Down => {
                let older = key.code == Code::Up;
                if let Some(text) = input.recall.step(self.typed.of(input.kind), input.line.text(), older).map(str::to_owned) {
                    input.line.set(text);
                    self.edited(&mut input);
                } else if input.kind.is_search() && !older {
                    self.search_on(&input);
                }
            }
            _ => {
                match input.line.key(key) {
                    Edited::Changed => self.edited(&mut input),
                    // Another word is at the cursor now.
                    Edited::Kept => self.complete(&mut input),
                    Edited::NotMine => {}
                }
            }
        }
        self.layer = Some(Layer::Input(input));
        Vec::new()
    }

    /// Inserts a pasted text into the open line; where no line is open the text does nothing.
    pub(super) fn paste(&mut self, text: &str) {
        match self.layer.take() {
            Some(Layer::Input(mut input)) => {
                input.line.insert(text);
                self.edited(&mut input);
                self.layer = Some(Layer::Input(input));
            }
            Some(Layer::Help { mut find, .. }) => {
                find.insert(text);
                self.layer = Some(Layer::Help { scroll: 0, find });
            }
            Some(Layer::Palette(mut palette)) => {
                palette.line.insert(text);
                self.refresh(&mut palette);
                self.layer = Some(Layer::Palette(palette));
            }
            Some(Layer::Signal(mut dialog)) => {
                dialog.query.insert(text.trim());
                dialog.cursor = 0;
                self.layer = Some(Layer::Signal(dialog));
            }
            other => {
                self.layer = other;
                self.tell(Notice::info("there is no text field to paste into; F4 and : open one"));
            }
        }
    }

    fn search_on(&mut self, input: &Input) {
        if let Some(what) = TextMatch::new(input.line.text()) {
            match input.kind {
                InputKind::System => self.lab.find(&what, self.lab.system + 1),
                _ => self.find(&what, self.cursor + 1),
            };
        }
    }

    /// To the next row that matches the search (`by` negative: the one before), wrapping round.
    pub(super) fn search_again(&mut self, by: i32) {
        let Some(what) = self.options.search.clone() else {
            self.tell(Notice::info("no search yet"));
            return;
        };
        let found = if by < 0 { self.find_back(&what, self.cursor) } else { self.find(&what, self.cursor + 1) };
        if !found {
            self.tell(Notice::info("no row matches the search any more"));
        }
    }

    /// After each change: the search jumps, the filter says what is wrong so far.
    pub(super) fn edited(&mut self, input: &mut Input) {
        input.error = None;
        let text = input.line.text();
        match input.kind {
            InputKind::Search => {
                self.options.search = TextMatch::new(text);
                if let Some(what) = self.options.search.clone()
                    && !self.find(&what, self.cursor)
                {
                    input.error = Some((0, "no match".into()));
                }
            }
            InputKind::System => {
                if TextMatch::new(text).is_some_and(|what| !self.lab.find(&what, self.lab.system)) {
                    input.error = Some((0, "no lab system matches".into()));
                }
            }
            InputKind::Filter => {
                self.complete(input);
                let text = input.line.text();
                match self.parse_filter(text) {
                    _ if text.trim().is_empty() => self.filter_by(None),
                    Ok(filter) => self.filter_by(Some(filter)),
                    Err(e) if e.column < text.chars().count() => {
                        input.error = Some((e.column, e.message));
                        self.filter_by(input.before.as_deref().cloned());
                    }
                    // It is not finished: the rows of what was valid before stay.
                    Err(_) => {}
                }
            }
            InputKind::EventFilter => self.events.filter = TextMatch::new(text),
            InputKind::Cpus | InputKind::IoPriority => {}
            InputKind::Parameter(field) => input.error = parameter::number(field, text).err().map(|why| (0, why)),
        }
    }

    /// Shows only what matches, while it is typed.
    fn filter_by(&mut self, filter: Option<Filter>) {
        self.options.filter = filter;
        self.rebuild();
    }

    fn complete(&self, input: &mut Input) {
        if input.kind == InputKind::Filter {
            input.completion = complete(input.line.before(), &self.options.saved_filters);
        }
    }

    pub(super) fn parse_filter(&self, text: &str) -> Result<Filter, FilterError> {
        Filter::parse_with(text, &self.options.saved_filters)
    }

    fn accept(&mut self, mut input: Input) -> Vec<Effect> {
        match input.kind {
            InputKind::EventFilter => {
                self.typed.of(input.kind).add(input.line.text());
                return Vec::new();
            }
            InputKind::Cpus | InputKind::IoPriority => return self.allot(input),
            InputKind::Parameter(field) => {
                self.typed.of(input.kind).add(input.line.text());
                if let Err(why) = self.lab.set(field, input.line.text()) {
                    input.error = Some((0, why));
                    self.layer = Some(Layer::Input(input));
                }
                return Vec::new();
            }
            InputKind::Search | InputKind::System | InputKind::Filter => {}
        }
        match self.narrow(input.line.text()) {
            Ok(effects) => effects,
            Err(e) => {
                input.error = Some((e.column, e.message));
                self.layer = Some(Layer::Input(input));
                Vec::new()
            }
        }
    }

    /// Shows only what matches a filter, or everything again if it is blank.
    pub(super) fn narrow(&mut self, text: &str) -> Result<Vec<Effect>, FilterError> {
        let filter = if text.trim().is_empty() { None } else { Some(self.parse_filter(text)?) };
        self.typed.of(InputKind::Filter).add(text);
        let resample = filter.is_some();
        self.options.filter = filter;
        self.rebuild();
        Ok(if resample { vec![Effect::Resample] } else { Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::msg::Msg;
    use crate::app::presets::Preset;
    use crate::app::tests::{app, type_in};

    fn press(app: &mut App, keys: &[Key]) {
        for key in keys {
            app.update(Msg::Key(*key));
        }
    }

    fn typed(app: &App) -> (&str, &str) {
        match &app.layer {
            Some(Layer::Input(input)) => (input.line.before(), input.line.after()),
            other => panic!("no input but {other:?}"),
        }
    }

    #[test]
    fn a_filter_is_mended_in_its_middle_and_comes_back_from_the_history() {
        let mut app = app();
        let (up, down, enter) = (Key::plain(Code::Up), Key::plain(Code::Down), Key::plain(Code::Enter));
        press(&mut app, &[Key::f(4)]);
        type_in(&mut app, "com and pid>1");
        press(&mut app, &[Key::ctrl('a'), Key::alt('f'), Key::plain(Code::Tab)]);
        assert_eq!(typed(&app), ("comm", " and pid>1"), "the word at the cursor is completed");
        type_in(&mut app, "=b");
        press(&mut app, &[enter]);
        assert_eq!(app.banner().as_deref(), Some("comm=b and pid>1"));
        press(&mut app, &[Key::plain(Code::Esc), Key::f(4)]);
        type_in(&mut app, "draft");
        press(&mut app, &[up]);
        assert_eq!(typed(&app).0, "comm=b and pid>1");
        press(&mut app, &[down]);
        assert_eq!(typed(&app).0, "draft");
    }

    #[test]
    fn a_system_of_the_lab_is_found_by_typing() {
        let mut app = app();
        app.update(Msg::Key(Key::char('L')));
        app.lessons.open = false;
        let typed = |app: &mut App, text: &str| {
            type_in(app, text);
            app.lab.chosen().id
        };
        assert_eq!(typed(&mut app, "/forkserver"), "native/forkserver");
        app.update(Msg::Key(Key::f(3)));
        assert_eq!(app.lab.chosen().id, "python/process-forkserver");
        app.update(Msg::Key(Key::plain(Code::Down)));
        assert_eq!(app.lab.chosen().id, "native/forkserver", "round and round");
        assert!(app.update(Msg::Key(Key::plain(Code::Enter))).is_empty(), "the line is closed, nothing is run");
        assert!(app.layer.is_none());
        assert_eq!(typed(&mut app, "/page tables"), "native/fork", "by what it teaches");
        typed(&mut app, "zz");
        assert!(matches!(&app.layer, Some(Layer::Input(input)) if input.error.is_some()));
        assert_eq!(app.lab.chosen().id, "native/fork", "it stays where it was");
    }

    #[test]
    fn the_search_goes_on_both_ways_after_its_line_is_closed() {
        let mut app = app();
        press(&mut app, &[Key::char('/')]);
        type_in(&mut app, "b");
        press(&mut app, &[Key::plain(Code::Enter)]);
        let pid = |app: &App| app.selected().unwrap().key().pid;
        assert_eq!(pid(&app), 11);
        press(&mut app, &[Key::ctrl('n')]);
        assert_eq!(pid(&app), 12);
        press(&mut app, &[Key::ctrl('n')]);
        assert_eq!(pid(&app), 11, "round");
        press(&mut app, &[Key::ctrl('p')]);
        assert_eq!(pid(&app), 12);
    }

    #[test]
    fn a_pasted_text_is_typed_and_never_acts() {
        let mut app = app();
        assert_eq!(app.update(Msg::Paste("k\rq".to_owned())), []);
        assert!(app.layer.is_none() && app.notice.is_some());
        press(&mut app, &[Key::char(':')]);
        assert_eq!(app.update(Msg::Paste("sort pss\rq\r".to_owned())), []);
        assert!(matches!(&app.layer, Some(Layer::Palette(p)) if p.line.text() == "sort pss" && p.entries[0].title == "pss"));
    }

    #[test]
    fn vim_hands_move_and_never_kill_by_habit() {
        let mut app = app();
        app.options.keys = Preset::Vim;
        press(&mut app, &[Key::char('j'), Key::char('j'), Key::char('k')]);
        assert_eq!((app.cursor, app.layer.is_none()), (1, true));
        press(&mut app, &[Key::char('G')]);
        assert_eq!(app.cursor, app.lines.len() - 1);
        press(&mut app, &[Key::char('g')]);
        assert_eq!(app.cursor, app.lines.len() - 1, "one g is not enough");
        press(&mut app, &[Key::char('g')]);
        assert_eq!(app.cursor, 0);
        press(&mut app, &[Key::char('g'), Key::char('j')]);
        assert_eq!(app.cursor, 1, "another key forgets the g");
        press(&mut app, &[Key::char('d'), Key::char('d')]);
        assert!(app.layer.is_none());
        // In texts too; but what is typed is typed, in help as well.
        press(&mut app, &[Key::char('E'), Key::char('j')]);
        assert!(matches!(app.layer, Some(Layer::Explain { scroll: 1, .. })));
        press(&mut app, &[Key::plain(Code::Esc), Key::f(1), Key::char('g'), Key::char('g'), Key::plain(Code::Down)]);
        assert!(matches!(&app.layer, Some(Layer::Help { scroll: 1, find }) if find.text() == "gg"));
        press(&mut app, &[Key::plain(Code::Esc)]);
        assert!(matches!(&app.layer, Some(Layer::Help { scroll: 0, find }) if find.text().is_empty()));
        press(&mut app, &[Key::plain(Code::Esc), Key::f(4)]);
        type_in(&mut app, "ggk");
        assert_eq!(typed(&app).0, "ggk");
    }
}
