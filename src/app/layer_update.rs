//! Handles keys and clicks while a dialog or an input line is open.

use crate::columns;

use super::App;
use super::detail::Tab;
use super::editor::{Edited, LineEditor};
use super::key::{Code, Key};
use super::layer::{Layer, Menu, MenuKind, SignalDialog, TextSize};
use super::ledger::LedgerPane;
use super::msg::{Effect, Notice, Pointed};
use super::setup::{Page, Setup};

/// The most characters that a text is scrolled to the left.
pub(super) const MOST_SIDEWAYS: usize = 4096;

impl App {
    pub(super) fn layer_key(&mut self, key: Key) -> Vec<Effect> {
        let size = self.text;
        match self.layer.take() {
            Some(Layer::Help { scroll, find }) => self.layer = help_key(key, scroll, find, size),
            Some(Layer::Explain { title, lines, scroll }) => {
                self.layer = scrolled(key, scroll, size).map(|scroll| Layer::Explain { title, lines, scroll });
            }
            Some(Layer::Output { scroll }) => {
                self.layer = scrolled(key, scroll, size).map(|scroll| Layer::Output { scroll });
            }
            Some(Layer::QuickLaunch { race }) => {
                if let Code::Char(letter) = key.code {
                    return self.launch_key(letter, race);
                }
            }
            Some(Layer::Detail(pane)) => return self.detail_key(pane, key),
            Some(Layer::Ledger(pane)) => self.ledger_key(pane, key),
            Some(Layer::Setup(setup)) => return self.setup_key(setup, key),
            Some(Layer::Signal(dialog)) => return self.signal_key(dialog, key),
            Some(Layer::Menu(menu)) => return self.menu_key(menu, key),
            Some(Layer::Palette(palette)) => return self.palette_key(palette, key),
            Some(Layer::Input(input)) => return self.input_key(input, key),
            None => {}
        }
        Vec::new()
    }

    pub(super) fn layer_pointed(&mut self, at: Pointed) -> Vec<Effect> {
        match (at, &mut self.layer) {
            (Pointed::Outside, Some(Layer::Input(_)) | None) => Vec::new(),
            (Pointed::Outside, Some(_)) => self.layer_key(Key::plain(Code::Esc)),
            (Pointed::Tab(page), Some(Layer::Detail(pane))) if page < Tab::ALL.len() => {
                pane.turn_to(Tab::ALL[page]);
                Vec::new()
            }
            (Pointed::Wheel(by), _) => {
                let code = if by < 0 { Code::Up } else { Code::Down };
                self.layer_key(Key::plain(code))
            }
            (Pointed::ListLine(line), Some(Layer::Menu(menu))) if usize::from(line) < menu.entries.len() => {
                menu.cursor = usize::from(line);
                self.layer_key(Key::plain(Code::Enter))
            }
            (Pointed::ListLine(line), Some(Layer::Setup(setup))) => {
                setup.go(usize::from(line));
                self.layer_key(Key::char(' '))
            }
            (Pointed::ListLine(line), Some(Layer::Palette(palette))) if usize::from(line) < palette.entries.len() => {
                palette.cursor = usize::from(line);
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

    fn setup_key(&mut self, mut setup: Box<Setup>, key: Key) -> Vec<Effect> {
        let mut effects = Vec::new();
        let (on_columns, at) = (setup.page == Page::Columns, setup.cursor);
        match key.code {
            Code::Up => setup.go(at.saturating_sub(1)),
            Code::Down => setup.go(at + 1),
            Code::PageUp => setup.go(at.saturating_sub(10)),
            Code::PageDown => setup.go(at + 10),
            Code::Home => setup.go(0),
            Code::End => setup.go(usize::MAX),
            Code::Char('1') => setup.turn(Page::Columns),
            Code::Char('2') => setup.turn(Page::Meters),
            Code::Char('3') => setup.turn(Page::Display),
            Code::Tab => setup.next_page(1),
            Code::BackTab => setup.next_page(Page::ALL.len() - 1),
            Code::Char(']') | Code::F(8) => setup.carry(&mut self.options, true),
            Code::Char('[') | Code::F(7) => setup.carry(&mut self.options, false),
            Code::Char(' ') | Code::Enter | Code::Right => setup.change(&mut self.options, true),
            Code::Left if !on_columns => setup.change(&mut self.options, false),
            Code::Char('s') | Code::F(2) => {
                let settings = setup.settings(&self.options);
                if settings.is_empty() {
                    self.tell(Notice::info("nothing to save: no setting was changed"));
                } else {
                    effects.push(Effect::Save(settings));
                    setup.changed.clear();
                }
            }
            Code::Esc | Code::Char('q') | Code::F(10) => {
                if !setup.changed.is_empty() {
                    self.tell(Notice::info("changed for this session; s in the set-up (F2) saves it"));
                }
                self.rebuild();
                return effects;
            }
            _ => {}
        }
        self.layer = Some(Layer::Setup(setup));
        self.rebuild();
        effects.push(Effect::Look);
        effects
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
                    Some((signal, name)) if ready => {
                        let targets = dialog.targets.iter().flatten().filter(|target| target.problem.is_none());
                        self.signalled.extend(targets.map(|target| (target.key, (name.clone(), self.now_ns))));
                        return vec![Effect::Signal { token: dialog.token, signal, name }];
                    }
                    Some(_) => {}
                    None => self.tell(Notice::bad(format!("there is no signal {:?}", dialog.query.text()))),
                }
            }
            code if code.moves_in_list() => dialog.cursor = moved(code, dialog.cursor, count),
            // Names of signals have no blanks: one that slips in would find nothing.
            Code::Char(' ') => {}
            _ => {
                if dialog.query.key(key) == Edited::Changed {
                    dialog.cursor = 0;
                }
            }
        }
        self.layer = Some(Layer::Signal(dialog));
        Vec::new()
    }

    fn menu_key(&mut self, mut menu: Menu, key: Key) -> Vec<Effect> {
        match key.code {
            Code::Esc | Code::F(10) => return Vec::new(),
            Code::Enter => return self.choose(menu),
            Code::Char(c) if key.typed().is_some() => {
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
}

/// Help after a key: what can be typed is looked for, the rest scrolls; Esc first clears what was typed.
fn help_key(key: Key, scroll: usize, mut find: LineEditor, size: TextSize) -> Option<Layer> {
    if key.code == Code::Esc && !find.text().is_empty() {
        return Some(Layer::Help { scroll: 0, find: LineEditor::default() });
    }
    let scrolled = if key.typed().is_some() { None } else { scrolled(key, scroll, size) };
    if let Some(scroll) = scrolled {
        return Some(Layer::Help { scroll, find });
    }
    match find.key(key) {
        Edited::Changed => Some(Layer::Help { scroll: 0, find }),
        Edited::Kept => Some(Layer::Help { scroll, find }),
        Edited::NotMine => None,
    }
}

/// The cursor of a list of `count` entries after a key.
pub(super) fn moved(code: Code, cursor: usize, count: usize) -> usize {
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

/// First line of a text after a key; `None` closes it. A page is what is seen, but for a line that it has in common with the one before.
pub(super) fn scrolled(key: Key, scroll: usize, size: TextSize) -> Option<usize> {
    let scroll = scroll.min(size.last());
    let page = size.page.saturating_sub(1).max(1);
    let to = match key.code {
        Code::Up => scroll.saturating_sub(1),
        Code::Down => scroll + 1,
        Code::PageUp => scroll.saturating_sub(page),
        Code::PageDown | Code::Char(' ') => scroll + page,
        Code::Home => 0,
        Code::End => size.last(),
        _ => return None,
    };
    Some(to.min(size.last()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_paged_by_what_is_seen_and_ends_with_a_full_page() {
        let size = TextSize { lines: 100, page: 34 };
        let to = |code, from| scrolled(Key::plain(code), from, size);
        assert_eq!(to(Code::PageDown, 0), Some(33));
        assert_eq!(to(Code::PageDown, 60), Some(66));
        assert_eq!(to(Code::End, 0), Some(66));
        assert_eq!(to(Code::Up, 500), Some(65), "a longer text was there before");
        assert_eq!(to(Code::PageUp, 66), Some(33));
        assert_eq!(to(Code::Esc, 3), None);
        assert_eq!(scrolled(Key::plain(Code::End), 0, TextSize { lines: 3, page: 34 }), Some(0));
    }
}
