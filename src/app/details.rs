//! Opens, turns and closes the details of a process: in the lower half of the table, or as a screen of their own.

use crate::derive::Model;

use super::App;
use super::detail::{DetailPane, Tab};
use super::key::{Code, Key};
use super::layer::Layer;
use super::layer_update::{MOST_SIDEWAYS, scrolled};
use super::msg::Effect;
use super::options::Screen;

/// Lines of a terminal from which on the table and the details share it.
const SPLIT_FROM: u16 = 16;

impl App {
    /// The details that are shown and not covered, full-screen or in the lower half: what they need is read.
    #[must_use]
    pub fn shown_detail(&self) -> Option<&DetailPane> {
        match &self.layer {
            Some(Layer::Detail(pane)) => Some(pane),
            Some(Layer::Ledger(_)) => None,
            _ => self.split.as_deref().filter(|_| self.screen == Screen::Processes),
        }
    }

    pub(super) fn panes(&mut self) -> impl Iterator<Item = &mut DetailPane> {
        let full = match &mut self.layer {
            Some(Layer::Detail(pane)) => Some(&mut **pane),
            _ => None,
        };
        full.into_iter().chain(self.split.as_deref_mut())
    }

    /// Takes a sample in.
    pub(super) fn sample_panes(&mut self, model: &Model) {
        if let Some(Layer::Ledger(pane)) = &mut self.layer {
            pane.sample(model);
        }
        let past = std::mem::take(&mut self.past);
        for pane in self.panes() {
            pane.sample(model);
            if pane.ended.is_none() {
                pane.points = past.with_newest(pane.key, model);
            }
        }
        self.past = past;
    }

    fn pane_of_selected(&self, page: Tab) -> Option<Box<DetailPane>> {
        let row = self.selected()?;
        let mut pane = DetailPane::new(row.process);
        pane.recorded = !self.is_of_this_machine();
        pane.sample(row.model);
        pane.points = self.past.with_newest(pane.key, row.model);
        pane.turn_to(page);
        Some(Box::new(pane))
    }

    /// Enter opens the lower half, and once more the whole screen; other keys open their page on the whole screen.
    pub(super) fn open_detail(&mut self, page: Tab) {
        let shares = page == Tab::Overview && self.screen_lines >= SPLIT_FROM;
        if shares && let Some(mut pane) = self.split.take() {
            pane.split = true;
            self.layer = Some(Layer::Detail(pane));
        } else if shares {
            self.split = self.pane_of_selected(page);
            // The cursor stays on this process: without an anchor the first row is selected, even if that row changes.
            self.hold();
        } else if let Some(pane) = self.pane_of_selected(page) {
            self.layer = Some(Layer::Detail(pane));
        }
    }

    /// Has the lower half show the process that the cursor is on.
    pub(super) fn follow_selected(&mut self) {
        let Some(tab) = self.split.as_ref().map(|pane| pane.tab) else { return };
        let selected = self.selected().map(|row| row.key());
        if selected.is_some() && selected != self.split.as_ref().map(|pane| pane.key) {
            self.split = self.pane_of_selected(tab);
        }
    }

    /// Tab turns the page of the lower half; returns whether the key was used.
    pub(super) fn split_key(&mut self, key: Key) -> bool {
        let by = match key.code {
            Code::Tab => 1,
            Code::BackTab => Tab::ALL.len() - 1,
            _ => return false,
        };
        let Some(pane) = self.split.as_deref_mut().filter(|_| self.screen == Screen::Processes) else { return false };
        pane.turn_to(pane.tab.next(by));
        true
    }

    pub(super) fn detail_key(&mut self, mut pane: Box<DetailPane>, key: Key) -> Vec<Effect> {
        let page = match key.code {
            Code::Tab => Some(pane.tab.next(1)),
            Code::BackTab => Some(pane.tab.next(Tab::ALL.len() - 1)),
            Code::Char(digit @ '0'..='9') => Tab::ALL.into_iter().find(|tab| tab.digit() == digit),
            Code::Char('G') => Some(Tab::Runtime),
            _ => None,
        };
        if let Some(page) = page {
            pane.turn_to(page);
        } else if key.code == Code::Char('m') {
            pane.maps = !pane.maps;
        } else if key.code == Code::Left {
            pane.sideways = pane.sideways.saturating_sub(8);
        } else if key.code == Code::Right {
            pane.sideways = (pane.sideways + 8).min(MOST_SIDEWAYS);
        } else if key.code == Code::Char('y') {
            let effects = self.copy_page(&pane);
            self.layer = Some(Layer::Detail(pane));
            return effects;
        } else {
            match scrolled(key, pane.scroll, self.text) {
                Some(scroll) => pane.scroll = scroll,
                None if matches!(key.code, Code::Esc | Code::Enter | Code::Char('q') | Code::F(10)) => {
                    self.split = Some(pane).filter(|pane| pane.split);
                    return Vec::new();
                }
                None => {}
            }
        }
        self.layer = Some(Layer::Detail(pane));
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::msg::Msg;
    use crate::app::options::Options;
    use crate::derive::{Deriver, test_changed, test_process, test_snapshot};

    fn app(samples: u64) -> App {
        let mut app = App::new(Options::default());
        let mut deriver = Deriver::new(60_000_000_000);
        for second in 1..=samples {
            let of = |pid| test_changed(test_process(pid, 1, 5), |process| process.rss_bytes = Some(second << 20));
            app.update(Msg::Sample(Arc::new(deriver.step(test_snapshot(second * 1_000_000_000, (7..12).map(of).collect())))));
        }
        app
    }

    fn press(app: &mut App, code: Code) {
        app.update(Msg::Key(Key::plain(code)));
    }

    #[test]
    fn the_lower_half_follows_the_cursor_and_its_graphs_begin_before_it_was_opened() {
        let mut app = app(30);
        press(&mut app, Code::Enter);
        let of = |app: &App| app.split.as_ref().map(|pane| (pane.key.pid, pane.tab, pane.points.len()));
        assert_eq!(of(&app), Some((7, Tab::Overview, 30)));
        assert!(app.shown_detail().is_some_and(|pane| pane.wanted().is_some()));
        press(&mut app, Code::Tab);
        press(&mut app, Code::Down);
        press(&mut app, Code::Down);
        assert_eq!(of(&app), Some((9, Tab::Threads, 30)), "the same page of the next ones");
        assert_eq!(app.split.as_ref().unwrap().points[0].rss, Some(1_048_576.0));
        press(&mut app, Code::Esc);
        assert!(app.split.is_none() && app.shown_detail().is_none());
    }

    #[test]
    fn enter_again_fills_the_screen_and_goes_back_to_the_half() {
        let mut app = app(2);
        press(&mut app, Code::Enter);
        press(&mut app, Code::Enter);
        assert!(app.split.is_none() && matches!(&app.layer, Some(Layer::Detail(pane)) if pane.tab == Tab::Overview));
        press(&mut app, Code::Enter);
        assert!(app.split.is_some() && app.layer.is_none());
        // Another screen covers it, and nothing is read for it there.
        app.update(Msg::Key(Key::char('5')));
        assert!(app.shown_detail().is_none());
        app.update(Msg::Key(Key::char('1')));
        assert!(app.shown_detail().is_some());
    }

    #[test]
    fn where_there_is_no_room_for_both_enter_fills_the_screen() {
        let mut app = app(1);
        app.update(Msg::Resized { width: 80, height: 12 });
        press(&mut app, Code::Enter);
        assert!(app.split.is_none() && matches!(app.layer, Some(Layer::Detail(_))));
        press(&mut app, Code::Esc);
        assert!(app.split.is_none() && app.layer.is_none());
    }
}
