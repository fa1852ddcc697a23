//! `y`: copies the selection to the terminal's clipboard. The text is sanitised and bounded here; the engine only writes it.

use crate::columns::Value;
use crate::export;
use crate::text::{Charset, sanitize};

use super::App;
use super::detail::DetailPane;
use super::msg::{Effect, Notice};

/// The most bytes that are copied: in base64 they are 100,000, beyond which terminals drop the whole sequence.
pub const MOST_BYTES: usize = 74_994;
/// The most characters of it that the status line repeats.
const REPEATED: usize = 40;

/// A part of the selected row that can be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// The cell of the column sorted by, as the table writes it.
    Cell,
    /// The whole command line.
    CommandLine,
    /// The cells of all columns on screen, divided by tabs.
    Row,
}

impl App {
    pub(super) fn copy(&mut self, what: Copied) -> Vec<Effect> {
        match self.to_copy(what) {
            Ok((text, of)) => self.copy_text(text, &of),
            Err(why) => {
                self.tell(Notice::info(format!("nothing to copy: {why}")));
                Vec::new()
            }
        }
    }

    /// The text, and what it is in words.
    fn to_copy(&self, what: Copied) -> Result<(String, String), String> {
        let (line, row) = self.lines.get(self.cursor).zip(self.selected()).ok_or("no row is selected")?;
        let pid = row.key().pid;
        match what {
            Copied::Cell => {
                let column = self.options.sort;
                match self.value(line, &row, column) {
                    Value::Unknown(why) => Err(format!("{} of PID {pid} is {}", column.title, why.words())),
                    value => Ok((export::cell(&value, Charset::Unicode), format!("{} of PID {pid}", column.title))),
                }
            }
            Copied::CommandLine => {
                let words = row.process.identity.cmdline.as_deref().unwrap_or_default();
                if words.is_empty() {
                    return Err(format!("PID {pid} has no command line"));
                }
                // One that goes on beyond what is copied need not be made printable to its end.
                let words = &words[..words.len().min(MOST_BYTES + 1)];
                let spaced: Vec<u8> = words.iter().map(|b| if *b == 0 { b' ' } else { *b }).collect();
                let text = sanitize(spaced.trim_ascii_end(), Charset::Unicode).into_owned();
                Ok((text, format!("the command line of PID {pid}")))
            }
            Copied::Row => {
                let cells = self.visible_columns.iter().map(|c| export::cell(&self.value(line, &row, c), Charset::Unicode));
                Ok((cells.collect::<Vec<_>>().join("\t"), format!("the row of PID {pid}")))
            }
        }
    }

    /// The page of the detail pane that is open.
    pub(super) fn copy_page(&mut self, pane: &DetailPane) -> Vec<Effect> {
        let text = pane.lines(self.model.as_deref(), Charset::Unicode).join("\n").replace('\t', "");
        self.copy_text(text, &format!("{} of PID {}", pane.tab.title(), pane.key.pid))
    }

    pub(super) fn copy_text(&mut self, mut text: String, of: &str) -> Vec<Effect> {
        if !self.options.clipboard {
            self.tell(Notice::bad("copying is off: clipboard = false in the config file"));
            return Vec::new();
        }
        let whole = text.len();
        text.truncate(text.floor_char_boundary(MOST_BYTES));
        let cut = if text.len() < whole { format!(", only its first {} bytes", text.len()) } else { String::new() };
        // Lines and tabs are all that a sanitised text has of blanks that move; here they are single blanks.
        let start = &text[..text.floor_char_boundary(8 * REPEATED)];
        let words = start.split_whitespace().collect::<Vec<_>>().join(" ");
        let repeated: String = words.chars().take(REPEATED).collect();
        let more = if words.chars().nth(REPEATED).is_some() || start.len() < text.len() { "..." } else { "" };
        vec![Effect::Copy { said: format!("copied {of}{cut}: {repeated}{more}"), text }]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::key::Key;
    use crate::app::msg::Msg;
    use crate::app::options::Options;
    use crate::columns;
    use crate::derive::{Deriver, test_process, test_snapshot};
    use crate::snapshot::Identity;

    fn app(cmdline: &[u8]) -> App {
        let mut process = test_process(7, 1, 5);
        process.identity = Arc::new(Identity { cmdline: Some(cmdline.into()), ..Identity::default() });
        process.rss_bytes = Some(3 << 20);
        let mut app = App::new(Options::default());
        app.update(Msg::Sample(Arc::new(Deriver::new(0).step(test_snapshot(1, vec![process])))));
        app
    }

    fn copied(app: &mut App, key: Key) -> (String, String) {
        match app.update(Msg::Key(key)).as_slice() {
            [Effect::Copy { text, said }] => (text.clone(), said.clone()),
            other => panic!("{other:?}; {:?}", app.notice),
        }
    }

    #[test]
    fn cell_command_and_row_are_copied_as_they_are_seen() {
        let mut app = app(b"./a\0--flag\0two words\0");
        app.options.sort = columns::find("rss").unwrap();
        assert_eq!(copied(&mut app, Key::char('y')).0, "3.0M");
        let (text, said) = copied(&mut app, Key::ctrl('y'));
        assert_eq!(
            (text.as_str(), said.as_str()),
            ("./a --flag two words", "copied the command line of PID 7: ./a --flag two words")
        );
        let (row, _) = copied(&mut app, Key::alt('y'));
        let cells: Vec<&str> = row.split('\t').collect();
        assert_eq!(cells.len(), app.visible_columns.len());
        assert!(cells.contains(&"7") && cells.contains(&"3.0M"), "{cells:?}");
    }

    #[test]
    fn hostile_bytes_are_made_visible_and_what_is_too_long_is_cut_and_said() {
        let mut app = app(b"evil\x1b]52;c;AAAA\x07\nrm -rf ~\n\xe2\x80\xae");
        let (text, said) = copied(&mut app, Key::ctrl('y'));
        assert!(
            text.contains("rm -rf") && !text.chars().chain(said.chars()).any(|c| c.is_control() || c == '\u{202e}'),
            "{text:?}"
        );
        let mut app = self::app("ä".repeat(MOST_BYTES).as_bytes());
        let (text, said) = copied(&mut app, Key::ctrl('y'));
        assert!(text.len() <= MOST_BYTES && text.chars().all(|c| c == 'ä'));
        assert!(said.contains(&format!("only its first {} bytes", text.len())), "{said}");
    }

    #[test]
    fn nothing_is_copied_where_nothing_is_known_or_copying_is_off() {
        let mut app = app(b"x");
        app.options.sort = columns::find("pss").unwrap();
        assert_eq!(app.update(Msg::Key(Key::char('y'))), []);
        assert!(app.notice.as_ref().unwrap().0.text.contains("unknown"), "{:?}", app.notice);
        app.options.clipboard = false;
        assert_eq!(app.update(Msg::Key(Key::ctrl('y'))), []);
        assert!(app.notice.as_ref().unwrap().0.text.contains("clipboard = false"), "{:?}", app.notice);
    }
}
