//! The keys of the open dialog or input line: while it is open, no key of the screen behind it works.

use ratatui::layout::Rect;

use crate::app::key::{Code, Key};
use crate::app::layer::Layer;

/// A key of a dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// As it is written on the keyboard; with its opposite where there is one.
    pub keys: &'static str,
    /// What it does, in a word or two.
    pub what: &'static str,
    /// The key, the first of them.
    pub key: Key,
}

const fn named(keys: &'static str, what: &'static str, key: Key) -> Named {
    Named { keys, what, key }
}

const fn enter(what: &'static str) -> Named {
    named("Enter", what, Key::plain(Code::Enter))
}

const fn esc(what: &'static str) -> Named {
    named("Esc", what, Key::plain(Code::Esc))
}

const MOVE: Named = named("Down Up", "Move", Key::plain(Code::Down));
const COMPLETE: Named = named("Tab", "Complete", Key::plain(Code::Tab));

const TEXT: &[Named] = &[esc("Close")];
const HELP: &[Named] = &[named("PgDn PgUp", "Scroll", Key::plain(Code::PageDown)), esc("Close")];
const SIGNAL: &[Named] = &[enter("Send"), MOVE, esc("Cancel")];
const MENU: &[Named] = &[enter("Choose"), MOVE, esc("Cancel")];
const PALETTE: &[Named] = &[enter("Run"), COMPLETE, MOVE, esc("Cancel")];
const DEMOS: &[Named] = &[named("r", "Race two", Key::char('r')), named("L", "All systems", Key::char('L')), esc("Cancel")];
const RACE: &[Named] = &[esc("Cancel")];
const INPUT: &[Named] = &[enter("Accept"), esc("Cancel")];
/// What is wrong cannot be accepted.
const WRONG: &[Named] = &[esc("Cancel")];
const FILTER: &[Named] = &[enter("Accept"), COMPLETE, esc("Cancel")];

/// What is open has these keys; `None` where nothing is open, or where it fills the screen and lists its keys itself.
#[must_use]
pub fn keys(layer: Option<&Layer>) -> Option<&'static [Named]> {
    match layer? {
        Layer::Help { .. } => Some(HELP),
        Layer::Explain { .. } | Layer::Output { .. } => Some(TEXT),
        Layer::Signal(_) => Some(SIGNAL),
        Layer::Menu(_) => Some(MENU),
        Layer::Palette(_) => Some(PALETTE),
        Layer::QuickLaunch { race: None } => Some(DEMOS),
        Layer::QuickLaunch { race: Some(_) } => Some(RACE),
        Layer::Input(input) if input.error.is_some() => Some(WRONG),
        Layer::Input(input) if !input.completion.candidates.is_empty() => Some(FILTER),
        Layer::Input(_) => Some(INPUT),
        Layer::Detail(_) | Layer::Ledger(_) | Layer::Setup(_) => None,
    }
}

/// Where each key stands in the bar: its first cell, and how many it has.
pub fn places(keys: &'static [Named], bar: Rect) -> impl Iterator<Item = (u16, u16, &'static Named)> {
    let gap = if bar.width >= 110 { 2 } else { 1 };
    keys.iter().scan(bar.x, move |x, named| {
        let cells = u16::try_from(named.keys.len() + named.what.len()).unwrap_or(u16::MAX);
        let place = (*x, cells, named);
        *x = x.saturating_add(cells + gap);
        Some(place)
    })
}

/// The key that stands at a cell of the bar.
#[must_use]
pub fn key_at(layer: Option<&Layer>, bar: Rect, x: u16) -> Option<Key> {
    places(keys(layer)?, bar).find(|(from, cells, _)| (*from..from + cells).contains(&x)).map(|(_, _, named)| named.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_on_a_key_of_a_dialog_is_that_key() {
        let layer = Layer::QuickLaunch { race: None };
        let bar = Rect::new(0, 23, 80, 1);
        let found: Vec<Option<Key>> = (0..80).map(|x| key_at(Some(&layer), bar, x)).collect();
        let mut named: Vec<Key> = found.iter().flatten().copied().collect();
        named.dedup();
        assert_eq!(named, [Key::char('r'), Key::char('L'), Key::plain(Code::Esc)]);
        assert_eq!((found[9], found[79]), (None, None), "between two, and behind the last");
        assert_eq!(key_at(None, bar, 3), None);
    }
}
