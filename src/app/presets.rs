//! Key sets: htop's as in the table of actions, or vim's laid over it. Help, palette, reference and the key bar use this.
//!
//! An action that loses its letter to vim (`k`, `n`, `g`, ...) and has no other key keeps it with Alt.

pub use crate::config::Preset;

use super::actions::{ACTIONS, Action, Context};
use super::key::{Code, Key};

/// Keys of htop that have no action here, and where to find what they do in htop.
const ELSEWHERE: [(char, &str); 1] =
    [('s', "concmon does not trace; Enter shows what each thread waits for, E the source of a value")];

impl Preset {
    /// Where to find what this key does in htop, if it has no action here.
    #[must_use]
    pub fn elsewhere(self, typed: char) -> Option<&'static str> {
        let free = self.find(Key::char(typed), Context::Table).is_none();
        ELSEWHERE.iter().find(|(c, _)| *c == typed && free).map(|(_, what)| *what)
    }

    /// The keys of an action; the first is the one to show.
    #[must_use]
    pub fn keys(self, action: &Action) -> Vec<Key> {
        if self == Self::Htop {
            return action.keys.to_vec();
        }
        let own = overlay(action.id).unwrap_or_default();
        let left: Vec<Key> = action.keys.iter().copied().filter(|key| !own.contains(key) && !taken(*key, action)).collect();
        if own.is_empty() && left.is_empty() {
            return action.keys.iter().filter_map(|key| key.typed()).map(Key::alt).collect();
        }
        own.iter().copied().chain(left).collect()
    }

    /// The action a key means in a context: that context's own first.
    #[must_use]
    pub fn find(self, key: Key, context: Context) -> Option<&'static Action> {
        let of = |c: Context| ACTIONS.iter().find(|a| a.context == c && self.keys(a).contains(&key));
        of(context).or_else(|| of(Context::Everywhere))
    }

    /// Keys as help shows them.
    #[must_use]
    pub fn words(self, action: &Action) -> String {
        self.keys(action).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }
}

const fn c(ch: char) -> Key {
    Key::char(ch)
}

/// Vim's keys, in front of htop's. None of them ends or changes a process: a habit from vim must not do that.
const VIM: &[(&str, &[Key])] = &[
    ("up", &[c('k')]),
    ("down", &[c('j')]),
    ("first", &[Key::plain(Code::Double('g'))]),
    ("last", &[c('G')]),
    ("scroll-left", &[c('h')]),
    ("scroll-right", &[c('l')]),
    ("lab-less", &[c('h')]),
    ("lab-more", &[c('l')]),
    ("search-next", &[c('n')]),
    ("search-previous", &[c('N')]),
];

fn overlay(id: &str) -> Option<&'static [Key]> {
    VIM.iter().find(|(of, _)| *of == id).map(|(_, keys)| *keys)
}

/// Whether vim means another action by the key, somewhere where both could be meant.
fn taken(key: Key, from: &Action) -> bool {
    let begins = |own: &Key| *own == key || matches!((own.code, key.typed()), (Code::Double(c), Some(typed)) if c == typed);
    VIM.iter().filter(|(id, keys)| *id != from.id && keys.iter().any(begins)).any(|(id, _)| {
        let meant = ACTIONS.iter().find(|a| a.id == *id).map(|a| a.context);
        meant.is_some_and(|c| c == from.context || c == Context::Everywhere || from.context == Context::Everywhere)
    }) || overlay(from.id).is_some_and(|own| own.iter().any(begins))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::msg::Command;

    #[test]
    fn vim_moves_and_takes_no_action_away() {
        let vim = |key, context| Preset::Vim.find(key, context).map(|a| a.id);
        assert_eq!(vim(c('k'), Context::Table), Some("up"));
        assert_eq!(vim(c('j'), Context::Lab), Some("down"));
        assert_eq!(vim(c('h'), Context::Table), Some("scroll-left"));
        assert_eq!(vim(c('h'), Context::Lab), Some("lab-less"));
        assert_eq!(vim(c('g'), Context::Table), None, "it waits for the second");
        assert_eq!(vim(Key::f(9), Context::Table), Some("signal"));
        assert_eq!(vim(Key::alt('n'), Context::Table), Some("quick-launch"), "a letter that was taken is there with Alt");
        for action in ACTIONS.iter().filter(|a| !a.keys.is_empty()) {
            assert!(!Preset::Vim.keys(action).is_empty(), "{} has no key", action.id);
        }
        for (id, _) in VIM {
            let action = ACTIONS.iter().find(|a| a.id == *id).unwrap_or_else(|| panic!("there is no action {id}"));
            assert!(!action.changes && !matches!(action.command, Command::Quit | Command::StopRuns), "{id} by habit");
        }
    }
}
