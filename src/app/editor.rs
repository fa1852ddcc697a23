//! The input line used for all text: cursor, readline keys, and history.

use std::collections::VecDeque;

use unicode_segmentation::UnicodeSegmentation as _;

use super::key::{Code, Key};

/// The most bytes a line takes: what is pasted by mistake must not make every later key slow.
const MOST_BYTES: usize = 4096;
/// The most lines that are remembered.
const REMEMBERED: usize = 100;

/// What a key did to the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edited {
    /// The text is another.
    Changed,
    /// The text is the same; the cursor may have moved.
    Kept,
    /// The line does not handle the key.
    NotMine,
}

/// Text with a cursor between two of its grapheme clusters (the characters that a person sees).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineEditor {
    text: String,
    /// Byte offset, always at the edge of a grapheme.
    cursor: usize,
    /// What was last cut, for Ctrl-Y.
    cut: String,
}

impl LineEditor {
    /// With the cursor at the end.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let mut line = Self::default();
        line.set(text);
        line
    }

    /// What is typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stands before the cursor.
    #[must_use]
    pub fn before(&self) -> &str {
        &self.text[..self.cursor]
    }

    /// What stands at the cursor and after it.
    #[must_use]
    pub fn after(&self) -> &str {
        &self.text[self.cursor..]
    }

    /// Replaces the text; the cursor is at its end.
    pub fn set(&mut self, text: impl Into<String>) {
        self.text = text.into();
        self.cursor = self.text.len();
    }

    /// Replaces the text before the cursor.
    pub fn set_before(&mut self, text: &str) {
        self.splice(0, self.cursor, text);
    }

    /// Inserts a text: of several lines only the first, without invisible characters.
    pub fn insert(&mut self, text: &str) {
        let line = text.split(['\n', '\r']).next().unwrap_or_default();
        let mut typed: String = line.chars().filter(|c| !c.is_control()).collect();
        let room = MOST_BYTES.saturating_sub(self.text.len());
        typed.truncate(typed.floor_char_boundary(room));
        self.splice(self.cursor, self.cursor, &typed);
    }

    /// What a key does to the line.
    pub fn key(&mut self, key: Key) -> Edited {
        if let Some(c) = key.typed() {
            self.insert(c.encode_utf8(&mut [0; 4]));
            return Edited::Changed;
        }
        let length = self.text.len();
        let command = (key.code, key.ctrl, key.alt);
        match command {
            (Code::Left, false, false) | (Code::Char('b'), true, false) => self.go(self.grapheme_before()),
            (Code::Right, false, false) | (Code::Char('f'), true, false) => self.go(self.grapheme_after()),
            (Code::Home, ..) | (Code::Char('a'), true, false) => self.go(0),
            (Code::End, ..) | (Code::Char('e'), true, false) => self.go(length),
            (Code::Left, ..) | (Code::Char('b'), false, true) => self.go(self.word_before()),
            (Code::Right, ..) | (Code::Char('f'), false, true) => self.go(self.word_after()),
            (Code::Backspace, false, false) | (Code::Char('h'), true, false) => self.erase(self.grapheme_before(), self.cursor),
            (Code::Delete, false, false) | (Code::Char('d'), true, false) => self.erase(self.cursor, self.grapheme_after()),
            (Code::Backspace, ..) | (Code::Char('w'), true, false) => self.take_out(self.word_before(), self.cursor),
            (Code::Delete, ..) | (Code::Char('d'), false, true) => self.take_out(self.cursor, self.word_after()),
            (Code::Char('u'), true, false) => self.take_out(0, self.cursor),
            (Code::Char('k'), true, false) => self.take_out(self.cursor, length),
            (Code::Char('y'), true, false) => {
                let cut = std::mem::take(&mut self.cut);
                self.insert(&cut);
                self.cut = cut;
                Edited::Changed
            }
            _ => Edited::NotMine,
        }
    }

    fn go(&mut self, to: usize) -> Edited {
        self.cursor = to;
        Edited::Kept
    }

    fn erase(&mut self, from: usize, to: usize) -> Edited {
        if from == to {
            return Edited::Kept;
        }
        self.splice(from, to, "");
        Edited::Changed
    }

    fn take_out(&mut self, from: usize, to: usize) -> Edited {
        if from != to {
            self.text[from..to].clone_into(&mut self.cut);
        }
        self.erase(from, to)
    }

    /// Puts `new` in the place of a range, with the cursor behind it. What comes together there may be one grapheme now.
    fn splice(&mut self, from: usize, to: usize, new: &str) {
        self.text.replace_range(from..to, new);
        self.cursor = self.edge_from(from + new.len());
    }

    /// The first edge of a grapheme from `at` on.
    fn edge_from(&self, at: usize) -> usize {
        self.text.grapheme_indices(true).map(|(start, _)| start).find(|start| *start >= at).unwrap_or(self.text.len())
    }

    fn grapheme_before(&self) -> usize {
        self.before().grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    fn grapheme_after(&self) -> usize {
        self.after().graphemes(true).next().map_or(self.cursor, |g| self.cursor + g.len())
    }

    /// Where the word before the cursor begins.
    fn word_before(&self) -> usize {
        let at = self.before().unicode_word_indices().next_back().map_or(0, |(at, _)| at);
        // Some scripts have words that begin within a grapheme.
        self.before().grapheme_indices(true).map(|(start, _)| start).take_while(|start| *start <= at).last().unwrap_or(0)
    }

    /// Where the word at or after the cursor ends.
    fn word_after(&self) -> usize {
        let end = self.after().unicode_word_indices().next().map_or(self.text.len(), |(at, word)| self.cursor + at + word.len());
        self.edge_from(end)
    }
}

/// Lines that were accepted, newest last; each once.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    lines: VecDeque<String>,
}

impl Remembered {
    /// Remembers a line, if there is anything on it.
    pub fn add(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        self.lines.retain(|old| old != line);
        if self.lines.len() == REMEMBERED {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
    }
}

/// A walk through the remembered lines while a line is typed.
#[derive(Debug, Clone, Default)]
pub struct Recall {
    /// So many lines back; 0: what is being typed.
    back: usize,
    /// What was being typed before going back.
    draft: String,
}

impl Recall {
    /// The line one step further back (`older`) or forward; `None` if there is none.
    pub fn step<'a>(&'a mut self, of: &'a Remembered, typed: &str, older: bool) -> Option<&'a str> {
        if self.back == 0 {
            typed.clone_into(&mut self.draft);
        }
        let mut back = self.back;
        loop {
            back = if older { back + 1 } else { back.checked_sub(1)? };
            if back == 0 {
                self.back = 0;
                return Some(&self.draft);
            }
            let line = of.lines.get(of.lines.len().checked_sub(back)?)?;
            if line != typed {
                self.back = back;
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEFT: Key = Key::plain(Code::Left);

    fn press(line: &mut LineEditor, keys: &[Key]) {
        for key in keys {
            line.key(*key);
        }
    }

    #[test]
    fn keys_do_what_a_shell_does() {
        let mut line = LineEditor::new("cpu>5 and user=www");
        press(&mut line, &[Key::ctrl('w')]);
        assert_eq!((line.before(), line.after()), ("cpu>5 and user=", ""));
        press(&mut line, &[Key::ctrl('a'), Key::alt('f'), Key::char('X')]);
        assert_eq!((line.before(), line.after()), ("cpuX", ">5 and user="));
        press(&mut line, &[Key::plain(Code::Backspace), Key::plain(Code::Delete), Key::char('<')]);
        assert_eq!(line.text(), "cpu<5 and user=");
        press(&mut line, &[Key::ctrl('k')]);
        assert_eq!((line.before(), line.after()), ("cpu<", ""));
        press(&mut line, &[Key::ctrl('y'), Key::ctrl('e'), Key::alt('b'), Key::ctrl('u')]);
        assert_eq!((line.before(), line.after()), ("", "user="));
        press(&mut line, &[Key::ctrl('y'), Key::plain(Code::End)]);
        assert_eq!((line.before(), line.after()), ("cpu<5 and user=", ""));
        assert_eq!(line.key(Key::plain(Code::Up)), Edited::NotMine);
        assert_eq!(line.key(Key::alt('x')), Edited::NotMine, "what is held with Alt types nothing");
        assert_eq!(line.key(Key::plain(Code::Right)), Edited::Kept);
        let word = |code| Key { code, ctrl: true, alt: false };
        press(&mut line, &[word(Code::Left)]);
        assert_eq!(line.after(), "user=");
        press(&mut line, &[word(Code::Right)]);
        assert_eq!(line.after(), "=");
    }

    #[test]
    fn the_cursor_stays_between_what_a_person_sees_as_characters() {
        let family = "👩\u{200d}👩\u{200d}👧";
        let mut line = LineEditor::new(format!("e\u{301}{family}漢"));
        press(&mut line, &[LEFT, LEFT]);
        assert_eq!(line.after(), format!("{family}漢"));
        press(&mut line, &[Key::plain(Code::Delete)]);
        assert_eq!(line.text(), "e\u{301}漢");
        press(&mut line, &[Key::plain(Code::Backspace)]);
        assert_eq!(line.text(), "漢");
        // A mark that joins what stands before it takes the cursor along.
        let mut line = LineEditor::new("ex");
        press(&mut line, &[LEFT]);
        line.insert("\u{301}");
        assert_eq!((line.before(), line.after()), ("e\u{301}", "x"));
    }

    #[test]
    fn a_pasted_text_is_one_visible_line_of_bounded_length() {
        let mut line = LineEditor::new("ab");
        press(&mut line, &[LEFT]);
        line.insert("c\x1b[31m\td\nrm -rf");
        assert_eq!(line.text(), "ac[31mdb");
        line.insert(&"é".repeat(MOST_BYTES));
        assert!(line.text().len() <= MOST_BYTES && line.text().ends_with("éb"));
    }

    #[test]
    fn older_lines_come_back_and_what_was_typed_is_not_lost() {
        let mut old = Remembered::default();
        for text in ["one", "two", " ", "one"] {
            old.add(text);
        }
        let mut recall = Recall::default();
        assert_eq!(recall.step(&old, "dra", true), Some("one"));
        assert_eq!(recall.step(&old, "one", true), Some("two"));
        assert_eq!(recall.step(&old, "two", true), None);
        assert_eq!(recall.step(&old, "two", false), Some("one"));
        assert_eq!(recall.step(&old, "one", false), Some("dra"));
        assert_eq!(recall.step(&old, "dra", false), None);
        // One that stands there already is no step.
        assert_eq!(Recall::default().step(&old, "one", true), Some("two"));
        for n in 0..2 * REMEMBERED {
            old.add(&n.to_string());
        }
        assert_eq!(old.lines.len(), REMEMBERED);
    }

    proptest! {
        #[test]
        fn no_key_leaves_the_cursor_within_a_character(text in "\\PC{0,12}", keys in proptest::collection::vec(0usize..12, 0..40)) {
            let all = [
                LEFT, Key::plain(Code::Right), Key::ctrl('w'), Key::ctrl('k'), Key::ctrl('y'), Key::alt('b'), Key::alt('d'),
                Key::plain(Code::Backspace), Key::plain(Code::Delete), Key::char('\u{301}'), Key::char('🇩'), Key::plain(Code::Home),
            ];
            let mut line = LineEditor::new(text);
            for key in keys {
                line.key(all[key]);
                let edges: Vec<usize> = line.text.grapheme_indices(true).map(|(at, _)| at).chain([line.text.len()]).collect();
                prop_assert!(edges.contains(&line.cursor), "{:?} at {}", line.text, line.cursor);
            }
        }
    }
}
