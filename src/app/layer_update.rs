//! Keys and clicks while a dialog or an input line is open.

use crate::columns;
use crate::query::{Filter, FilterError, TextMatch, complete};
use crate::text::Charset;

use super::App;
use super::detail::{DetailPane, Tab};
use super::key::{Code, Key};
use super::lab_view::output_lines;
use super::layer::{Input, InputKind, Layer, Menu, MenuKind, SignalDialog};
use super::ledger::LedgerPane;
use super::msg::{Effect, Notice, Pointed};

impl App {
    pub(super) fn layer_key(&mut self, key: Key) -> Vec<Effect> {
        match self.layer.take() {
            Some(Layer::Help { scroll }) => self.layer = scrolled(key, scroll).map(|scroll| Layer::Help { scroll }),
            Some(Layer::Diagnoses { scroll }) => {
                self.layer = scrolled(key, scroll).map(|scroll| Layer::Diagnoses { scroll });
            }
            Some(Layer::Explain { title, lines, scroll }) => {
                self.layer = scrolled(key, scroll).map(|scroll| Layer::Explain {
                    title,
                    scroll: scroll.min(lines.len().saturating_sub(1)),
                    lines,
                });
            }
            Some(Layer::Output { scroll }) => {
                let most = self.lab.shown().map_or(0, |run| output_lines(run).len().saturating_sub(1));
                self.layer = scrolled(key, scroll).map(|scroll| Layer::Output { scroll: scroll.min(most) });
            }
            Some(Layer::QuickLaunch) => {
                if let Code::Char(letter) = key.code {
                    return self.quick_launch(letter);
                }
            }
            Some(Layer::Detail(pane)) => self.detail_key(pane, key),
            Some(Layer::Ledger(pane)) => self.ledger_key(pane, key),
            Some(Layer::Signal(dialog)) => return self.signal_key(dialog, key),
            Some(Layer::Menu(menu)) => return self.menu_key(menu, key),
            Some(Layer::Input(input)) => return self.input_key(input, key),
            None => {}
        }
        Vec::new()
    }

    pub(super) fn layer_pointed(&mut self, at: Pointed) -> Vec<Effect> {
        match (at, &mut self.layer) {
            (Pointed::Outside, Some(Layer::Input(_)) | None) => Vec::new(),
            (Pointed::Outside, Some(_)) => self.layer_key(Key::plain(Code::Esc)),
            (Pointed::Wheel(by), _) => {
                let code = if by < 0 { Code::Up } else { Code::Down };
                self.layer_key(Key::plain(code))
            }
            (Pointed::ListLine(line), Some(Layer::Menu(menu))) if usize::from(line) < menu.entries.len() => {
                menu.cursor = usize::from(line);
                self.layer_key(Key::plain(Code::Enter))
            }
            // A click chooses a signal; sending it takes Enter: one click never kills.
            (Pointed::ListLine(line), Some(Layer::Signal(dialog))) if usize::from(line) < dialog.matches().len() => {
                dialog.cursor = usize::from(line);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn detail_key(&mut self, mut pane: Box<DetailPane>, key: Key) {
        let count = Tab::ALL.len();
        let at = Tab::ALL.iter().position(|tab| *tab == pane.tab).unwrap_or(0);
        let page = match key.code {
            Code::Tab | Code::Right => Some((at + 1) % count),
            Code::BackTab | Code::Left => Some((at + count - 1) % count),
            Code::Char(digit @ '1'..='8') => Some(digit as usize - '1' as usize),
            _ => None,
        };
        if let Some(page) = page {
            (pane.tab, pane.scroll) = (Tab::ALL[page], 0);
        } else if key.code == Code::Char('m') {
            pane.maps = !pane.maps;
        } else {
            let charset = Charset::from_unicode(self.options.unicode);
            let most = pane.lines(self.model.as_deref(), charset).len().saturating_sub(1);
            match scrolled(key, pane.scroll) {
                Some(scroll) => pane.scroll = scroll.min(most),
                None if matches!(key.code, Code::Esc | Code::Enter | Code::Char('q') | Code::F(10)) => return,
                None => {}
            }
        }
        self.layer = Some(Layer::Detail(pane));
    }

    fn ledger_key(&mut self, mut pane: Box<LedgerPane>, key: Key) {
        match key.code {
            Code::Up => pane.step(-1),
            Code::Down => pane.step(1),
            Code::PageUp => pane.step(-10),
            Code::PageDown => pane.step(10),
            Code::Home => pane.step(isize::MIN + 1),
            Code::End => pane.step(isize::MAX),
            Code::Esc | Code::Enter | Code::Char('q' | 'D') | Code::F(10) => return,
            _ => {}
        }
        self.layer = Some(Layer::Ledger(pane));
    }

    fn signal_key(&mut self, mut dialog: SignalDialog, key: Key) -> Vec<Effect> {
        let count = dialog.matches().len();
        match key.code {
            Code::Esc | Code::F(10) => return vec![Effect::Thaw { token: dialog.token }],
            Code::Enter => {
                let chosen = dialog.matches().get(dialog.cursor).map(|s| (s.number(), s.name()));
                let ready = dialog.targets.is_some();
                match chosen {
                    Some((signal, name)) if ready => return vec![Effect::Signal { token: dialog.token, signal, name }],
                    Some(_) => {}
                    None => self.tell(Notice::bad(format!("no signal is called {:?}", dialog.query))),
                }
            }
            Code::Backspace => {
                dialog.query.pop();
                dialog.cursor = 0;
            }
            Code::Char(c) if !key.ctrl && !c.is_whitespace() => {
                dialog.query.push(c);
                dialog.cursor = 0;
            }
            code => dialog.cursor = moved(code, dialog.cursor, count),
        }
        self.layer = Some(Layer::Signal(dialog));
        Vec::new()
    }

    fn menu_key(&mut self, mut menu: Menu, key: Key) -> Vec<Effect> {
        match key.code {
            Code::Esc | Code::F(10) => return Vec::new(),
            Code::Enter => return self.choose(menu),
            Code::Char(c) if !key.ctrl => {
                // The next entry that begins with the letter.
                let n = menu.entries.len();
                let begins = |i: &usize| menu.entries[*i].1.to_lowercase().starts_with(c.to_ascii_lowercase());
                if let Some(at) = (1..=n).map(|i| (menu.cursor + i) % n).find(begins) {
                    menu.cursor = at;
                }
            }
            code => menu.cursor = moved(code, menu.cursor, menu.entries.len()),
        }
        self.layer = Some(Layer::Menu(menu));
        Vec::new()
    }

    fn choose(&mut self, mut menu: Menu) -> Vec<Effect> {
        if menu.cursor >= menu.entries.len() {
            return Vec::new();
        }
        let (id, _) = menu.entries.swap_remove(menu.cursor);
        match menu.kind {
            MenuKind::Sort => {
                if let Some(column) = columns::find(&id).filter(|c| c.id != self.options.sort.id) {
                    self.options.sort_by(column);
                } else {
                    self.options.sort_in_tree = self.options.tree;
                }
            }
            MenuKind::User => self.options.user = (!id.is_empty()).then_some(id),
        }
        self.rebuild();
        vec![Effect::Resample]
    }

    fn input_key(&mut self, mut input: Input, key: Key) -> Vec<Effect> {
        match key.code {
            Code::Esc => {
                if input.kind == InputKind::Search {
                    self.options.search = None;
                }
                return Vec::new();
            }
            Code::Enter | Code::F(3) if input.kind == InputKind::Search => {
                if key.code == Code::F(3) || input.text.is_empty() {
                    self.search_on(&input);
                    self.layer = Some(Layer::Input(input));
                }
                return Vec::new();
            }
            Code::Enter => return self.accept(input),
            Code::Tab if input.kind == InputKind::Filter => {
                if let Some(text) = input.completion.apply(&input.text) {
                    input.text = text;
                    self.typed(&mut input);
                }
            }
            Code::Down if input.kind == InputKind::Search => self.search_on(&input),
            Code::Backspace => {
                input.text.pop();
                self.typed(&mut input);
            }
            Code::Char('u') if key.ctrl => {
                input.text.clear();
                self.typed(&mut input);
            }
            Code::Char(c) if !key.ctrl => {
                input.text.push(c);
                self.typed(&mut input);
            }
            _ => {}
        }
        self.layer = Some(Layer::Input(input));
        Vec::new()
    }

    fn search_on(&mut self, input: &Input) {
        if let Some(what) = TextMatch::new(&input.text) {
            self.find(&what, self.cursor + 1);
        }
    }

    /// After each character: the search jumps, the filter says what is wrong so far.
    fn typed(&mut self, input: &mut Input) {
        input.error = None;
        match input.kind {
            InputKind::Search => {
                self.options.search = TextMatch::new(&input.text);
                if let Some(what) = self.options.search.clone()
                    && !self.find(&what, self.cursor)
                {
                    input.error = Some((0, "nothing here matches".into()));
                }
            }
            InputKind::Filter => {
                input.completion = complete(&input.text, &self.options.saved_filters);
                if let Err(e) = self.parse_filter(&input.text)
                    && !input.text.trim().is_empty()
                    && e.column < input.text.chars().count()
                {
                    input.error = Some((e.column, e.message));
                }
            }
            InputKind::EventFilter => self.events.filter = TextMatch::new(&input.text),
        }
    }

    fn parse_filter(&self, text: &str) -> Result<Filter, FilterError> {
        Filter::parse_with(text, &self.options.saved_filters)
    }

    fn accept(&mut self, mut input: Input) -> Vec<Effect> {
        if input.kind == InputKind::EventFilter {
            return Vec::new();
        }
        if input.text.trim().is_empty() {
            self.options.filter = None;
            self.rebuild();
            return Vec::new();
        }
        match self.parse_filter(&input.text) {
            Ok(filter) => {
                self.options.filter = Some(filter);
                self.rebuild();
                vec![Effect::Resample]
            }
            Err(e) => {
                input.error = Some((e.column, e.message));
                self.layer = Some(Layer::Input(input));
                Vec::new()
            }
        }
    }
}

/// The cursor of a list of `count` entries after a key.
fn moved(code: Code, cursor: usize, count: usize) -> usize {
    let last = count.saturating_sub(1);
    match code {
        Code::Up => cursor.saturating_sub(1),
        Code::Down => (cursor + 1).min(last),
        Code::PageUp => cursor.saturating_sub(10),
        Code::PageDown => (cursor + 10).min(last),
        Code::Home => 0,
        Code::End => last,
        _ => cursor.min(last),
    }
}

/// First line of a text after a key; `None` closes it.
fn scrolled(key: Key, scroll: usize) -> Option<usize> {
    match key.code {
        Code::Up => Some(scroll.saturating_sub(1)),
        Code::Down => Some(scroll + 1),
        Code::PageUp => Some(scroll.saturating_sub(10)),
        Code::PageDown | Code::Char(' ') => Some(scroll + 10),
        Code::Home => Some(0),
        _ => None,
    }
}
