//! `:`: finds every action by name and shows its keys; also runs `sort`, `filter` and `columns`.

use std::path::PathBuf;

use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use crate::columns::{self, COLUMNS, Column};
use crate::lab::catalog::{DEMOS, Demo};

use super::App;
use super::actions::{ACTIONS, Action, Context};
use super::editor::{Edited, LineEditor};
use super::key::{Code, Key};
use super::layer::Layer;
use super::layer_update::moved;
use super::msg::{Command, Effect};
use super::options::Screen;

/// What an entry does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Choice {
    /// An action.
    Action(&'static Action),
    /// Continues with a word that takes others.
    Word(&'static str),
    /// Sorts by a column.
    Sort(&'static Column),
    /// Narrows the table to what is typed.
    Filter,
    /// Shows the column, or hides it.
    Column(&'static Column, bool),
    /// Does what is typed to the columns.
    Columns,
    /// Launches a demo.
    Demo(&'static Demo),
    /// Changes the theme.
    Theme(&'static str),
    /// Writes the last minutes into the file that is typed.
    Save,
}

/// Everyday words for actions, columns and themes that have other names here.
const SYNONYMS: &[(&str, &str)] = &[
    ("signal", "kill terminate stop end"),
    ("setup", "settings options preferences colours theme configure"),
    ("sort-memory", "memory ram"),
    ("sort-cpu", "cpu busy"),
    ("threads", "tasks tid"),
    ("quick-launch", "demo start new workload"),
    ("stop-runs", "kill lab"),
    ("nice-up", "priority slower"),
    ("nice-down", "priority faster"),
    ("cpus", "affinity pin cores"),
    ("screen-problems", "zombies orphans leaks wrong deadlock stuck"),
    ("waits", "blocked futex lock"),
    ("profile", "hot functions flame sampling perf py-spy"),
    ("timeline", "lanes gantt trace live"),
    ("runtime", "python gil stack"),
    ("environment", "env variables"),
    ("files", "lsof sockets descriptors fd"),
    ("copy-on-write", "cow pages fork shared"),
    ("quit", "exit leave bye"),
    ("help", "keys manual"),
    ("pause", "freeze hold"),
    ("screen-events", "births deaths exec log"),
    ("only", "focus family subtree"),
    ("default", "dark black"),
    ("light", "white bright"),
    ("colour-blind", "colorblind color"),
];

/// Everyday words for an action, column or theme; empty if there are none.
#[must_use]
pub fn synonyms(id: &str) -> &'static str {
    SYNONYMS.iter().find(|(of, _)| *of == id).map_or("", |(_, words)| words)
}

/// A line of the palette.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What it does.
    pub choice: Choice,
    /// Its name.
    pub title: String,
    /// Other words for it.
    pub also: &'static str,
    /// Characters of the name that were typed, ascending.
    pub marks: Vec<u32>,
    /// Its keys; empty if it has none.
    pub keys: String,
    /// What it does in words.
    pub help: String,
    /// Why it does nothing here, and where it would; `None` if it does.
    pub off: Option<String>,
}

/// The open palette.
#[derive(Debug, Clone, Default)]
pub struct Palette {
    /// What is typed.
    pub line: LineEditor,
    /// What fits, best first.
    pub entries: Vec<Entry>,
    /// The chosen entry.
    pub cursor: usize,
    /// What is wrong with what was typed, or with what was chosen.
    pub error: Option<String>,
}

/// Words that take others, with what they take and do.
const WORDS: [(&str, &str, &str); 4] = [
    ("sort ", "sort COLUMN", "sort by a column, shown or not"),
    ("filter ", "filter EXPRESSION", "show only matching rows, e.g. filter cpu>5 and user=www"),
    ("columns ", "columns +NAME -NAME", "show and hide columns for this session"),
    ("save ", "save FILE", "write the last minutes of this session into a recording"),
];

impl App {
    pub(super) fn open_palette(&mut self) {
        let mut palette = Palette::default();
        self.refresh(&mut palette);
        self.layer = Some(Layer::Palette(palette));
    }

    pub(super) fn palette_key(&mut self, mut palette: Palette, key: Key) -> Vec<Effect> {
        match key.code {
            Code::Esc => return Vec::new(),
            // As from an empty command line.
            Code::Backspace if palette.line.text().is_empty() => return Vec::new(),
            Code::Enter => return self.choose_entry(palette),
            Code::Tab => {
                let text = palette.entries.get(palette.cursor).map(|e| palette.completed(e));
                if let Some(text) = text {
                    palette.line.set(text);
                    self.refresh(&mut palette);
                }
            }
            code if code.moves_in_list() => palette.cursor = moved(code, palette.cursor, palette.entries.len()),
            _ => {
                if palette.line.key(key) == Edited::Changed {
                    self.refresh(&mut palette);
                }
            }
        }
        self.layer = Some(Layer::Palette(palette));
        Vec::new()
    }

    fn choose_entry(&mut self, mut palette: Palette) -> Vec<Effect> {
        let Some(entry) = palette.entries.get(palette.cursor).cloned() else {
            self.layer = Some(Layer::Palette(palette));
            return Vec::new();
        };
        let done = match (entry.off.clone(), entry.choice) {
            (Some(why), _) => Err(why),
            (None, Choice::Action(action)) => Ok(self.run(action.command)),
            (None, Choice::Word(word)) => {
                palette.line.set(word);
                self.refresh(&mut palette);
                self.layer = Some(Layer::Palette(palette));
                return Vec::new();
            }
            (None, Choice::Sort(column)) if column.id == self.options.sort.id => Ok(Vec::new()),
            (None, Choice::Sort(column)) => Ok(self.run(Command::SortBy(column.id))),
            (None, Choice::Filter) => self.narrow(palette.argument()).map_err(|e| e.message),
            (None, Choice::Save) => Ok(vec![Effect::SaveLast(self.save_path(palette.argument()))]),
            (None, Choice::Demo(demo)) => Ok(self.launch_demo(demo)),
            (None, Choice::Theme(name)) => {
                self.options.theme = name.to_owned();
                Ok(vec![Effect::Look])
            }
            (None, Choice::Column(column, show)) if !palette.line.text().starts_with("columns ") => {
                self.change_columns(&format!("{}{}", if show { '+' } else { '-' }, column.id))
            }
            (None, Choice::Column(..) | Choice::Columns) => {
                let text = palette.completed(&entry);
                self.change_columns(text.split_once(' ').map_or("", |(_, words)| words))
            }
        };
        done.unwrap_or_else(|why| {
            palette.error = Some(why);
            self.layer = Some(Layer::Palette(palette));
            Vec::new()
        })
    }

    /// Lists again what fits what is typed.
    pub(super) fn refresh(&self, palette: &mut Palette) {
        let mut error = None;
        let text = palette.line.text();
        let rest = palette.argument();
        palette.entries = match WORDS.iter().position(|(word, ..)| text.starts_with(word)) {
            Some(0) => self.sort_entries(rest),
            Some(1) => {
                error = self.parse_filter(rest).err().map(|e| e.message).filter(|_| !rest.trim().is_empty());
                let help = if rest.trim().is_empty() { "show everything again" } else { "show only matching rows" };
                vec![Entry::plain(Choice::Filter, "filter".to_owned(), help.to_owned())]
            }
            Some(2) => self.column_entries(rest),
            Some(_) => vec![Entry::plain(Choice::Save, "save".to_owned(), self.save_help(rest))],
            None => self.action_entries(text),
        };
        (palette.cursor, palette.error) = (0, error);
    }

    fn action_entries(&self, text: &str) -> Vec<Entry> {
        let of = |action: &'static Action| Entry {
            keys: self.options.keys.words(action),
            off: self.why_off(action),
            also: synonyms(action.id),
            ..Entry::plain(Choice::Action(action), action.id.replace('-', " "), action.help.to_owned())
        };
        let words = WORDS.iter().map(|(word, title, help)| {
            let away = (self.context() != Context::Table && *word != "save ").then(|| elsewhere(Context::Table));
            Entry { off: away, ..Entry::plain(Choice::Word(word), (*title).to_owned(), (*help).to_owned()) }
        });
        let mut all: Vec<Entry> = ACTIONS.iter().filter(|a| a.command != Command::Palette).map(of).chain(words).collect();
        if !text.is_empty() {
            all.extend(self.more_entries());
        }
        ranked(all, text)
    }

    /// What is found by typing only: demos, columns, themes.
    fn more_entries(&self) -> Vec<Entry> {
        let off = (self.options.readonly || !self.is_of_this_machine()).then(|| "off: nothing is launched here".to_owned());
        let demo = |demo: &'static Demo| Entry {
            keys: format!("n {}", demo.key),
            off: off.clone(),
            ..Entry::plain(Choice::Demo(demo), format!("launch {}", demo.system), demo.watch.to_owned())
        };
        let column = |c: &'static Column| {
            let shown = self.options.columns.iter().any(|s| s.id == c.id);
            let title = format!("{} column {}", if shown { "hide" } else { "show" }, c.id);
            Entry { keys: c.title.to_owned(), ..Entry::plain(Choice::Column(c, !shown), title, c.description.to_owned()) }
        };
        let theme = |name: &'static str| Entry {
            also: synonyms(name),
            ..Entry::plain(Choice::Theme(name), format!("theme {name}"), "change the colours for this session".to_owned())
        };
        let demos = DEMOS.iter().map(demo);
        demos.chain(COLUMNS.iter().map(column)).chain(self.options.themes.iter().copied().map(theme)).collect()
    }

    /// Why an action does nothing now.
    fn why_off(&self, action: &Action) -> Option<String> {
        if action.context == Context::Hosts {
            return self.hosts.is_none().then(|| elsewhere(action.context));
        }
        if action.context == Context::Recording {
            return (self.replay.is_none() && !action.leads_back()).then(|| elsewhere(action.context));
        }
        if action.context != Context::Everywhere && action.context != self.context() {
            return Some(elsewhere(action.context));
        }
        self.off(action).map(|why| why.trim_start_matches("is ").to_owned())
    }

    fn save_help(&self, typed: &str) -> String {
        format!("write the last minutes of this session into {}", self.save_path(typed).display())
    }

    /// The file that is typed, or one named by the time in the current directory.
    fn save_path(&self, typed: &str) -> PathBuf {
        if !typed.trim().is_empty() {
            return PathBuf::from(typed.trim());
        }
        let model = self.model.as_deref();
        let time = model.and_then(|model| columns::wall_clock(&model.now.system, model.now.taken_ns)).unwrap_or_default();
        PathBuf::from(format!("concmon-{}.recording", time.replace(' ', "-").replace(':', "")))
    }

    fn sort_entries(&self, rest: &str) -> Vec<Entry> {
        let of = |c: &'static Column| Entry {
            keys: c.title.to_owned(),
            ..Entry::plain(Choice::Sort(c), c.id.to_owned(), c.description.to_owned())
        };
        ranked(COLUMNS.iter().map(of).collect(), rest.trim())
    }

    /// Columns for the word at the end, which is still typed; what is typed as a whole once it ends with a blank.
    fn column_entries(&self, rest: &str) -> Vec<Entry> {
        let last = rest.rsplit(' ').next().unwrap_or_default();
        if last.is_empty() && !rest.trim().is_empty() {
            return vec![Entry::plain(Choice::Columns, rest.trim().to_owned(), "as typed".to_owned())];
        }
        let hide = last.starts_with('-');
        let shown = |c: &Column| self.options.columns.iter().any(|s| s.id == c.id);
        let of = |c: &'static Column| Entry {
            keys: c.title.to_owned(),
            ..Entry::plain(
                Choice::Column(c, !hide),
                format!("{}{}", if hide { '-' } else { '+' }, c.id),
                format!("{}: {}", if hide { "hide" } else { "show" }, c.description),
            )
        };
        ranked(COLUMNS.iter().filter(|c| shown(c) == hide).map(of).collect(), last.trim_start_matches(['+', '-']))
    }

    /// `+pss -virt`: all of it, or nothing if a word of it is wrong.
    fn change_columns(&mut self, words: &str) -> Result<Vec<Effect>, String> {
        let mut wanted = self.options.columns.clone();
        for word in words.split_whitespace() {
            let id = word.trim_start_matches(['+', '-']);
            let column = columns::find(id).ok_or_else(|| match columns::nearest(id) {
                Some(near) => format!("there is no column \"{id}\": did you mean \"{near}\"?"),
                None => format!("there is no column \"{id}\""),
            })?;
            let at = wanted.iter().position(|c| c.id == column.id);
            match (word.starts_with('-'), at) {
                (true, Some(at)) => {
                    wanted.remove(at);
                }
                (false, None) => {
                    // Before the command, which takes what is left of a line.
                    let end = wanted.iter().position(|c| c.width == 0).unwrap_or(wanted.len());
                    wanted.insert(end, column);
                }
                _ => {}
            }
        }
        if wanted.is_empty() {
            return Err("at least one column must stay".to_owned());
        }
        self.options.columns = wanted;
        Ok(vec![Effect::Resample])
    }
}

/// Where it works instead.
fn elsewhere(context: Context) -> String {
    if context == Context::Recording {
        return "works in a replay (concmon --replay FILE) and in the last minutes ({ goes there)".to_owned();
    }
    if context == Context::Hosts {
        return "works with several hosts (concmon --host BOX,..)".to_owned();
    }
    if context == Context::Lessons {
        return "works on the lessons of the Lab screen (2)".to_owned();
    }
    let digit = Screen::ALL.iter().position(|s| s.title() == context.title()).map_or(0, |at| at + 1);
    format!("works on the {} screen ({digit})", context.title())
}

impl Palette {
    /// The text after the first word.
    fn argument(&self) -> &str {
        self.line.text().split_once(' ').map_or("", |(_, rest)| rest)
    }

    /// What is typed with an entry chosen for the word at the end.
    fn completed(&self, entry: &Entry) -> String {
        let typed = self.line.text();
        let before = &typed[..typed.rfind(' ').map_or(0, |at| at + 1)];
        match entry.choice {
            Choice::Action(_) | Choice::Demo(_) | Choice::Theme(_) => entry.title.clone(),
            Choice::Word(word) => word.to_owned(),
            Choice::Sort(column) => format!("sort {}", column.id),
            Choice::Filter | Choice::Columns | Choice::Save => typed.to_owned(),
            Choice::Column(..) => format!("{before}{} ", entry.title),
        }
    }
}

impl Entry {
    fn plain(choice: Choice, title: String, help: String) -> Self {
        Self { choice, title, also: "", marks: Vec::new(), keys: String::new(), help, off: None }
    }
}

/// Those that fit what is typed: by name before by what they do, and among each what works here first. A name that is typed out is never
/// behind another action that only speaks of it: Enter would do that one.
fn ranked(entries: Vec<Entry>, typed: &str) -> Vec<Entry> {
    let mut matcher = Matcher::new(Config::DEFAULT);
    let pattern = |kind| Pattern::new(typed, CaseMatching::Ignore, Normalization::Smart, kind);
    let (name, words) = (pattern(AtomKind::Fuzzy), pattern(AtomKind::Substring));
    let mut buffer = Vec::new();
    let mut scored: Vec<(u8, u32, Entry)> = Vec::new();
    for mut entry in entries {
        let mut marks = Vec::new();
        let everyday = typed.len() > 1 && entry.also.split(' ').any(|word| word.starts_with(typed));
        if everyday {
            scored.push((u8::from(entry.off.is_some()), u32::MAX, entry));
        } else if let Some(score) = name.indices(Utf32Str::new(&entry.title, &mut buffer), &mut matcher, &mut marks) {
            marks.sort_unstable();
            marks.dedup();
            entry.marks = marks;
            // A name that was typed in full is first even where it is off: Enter then says why, and does nothing else.
            let is_whole = entry.title == typed;
            scored.push((u8::from(entry.off.is_some() && !is_whole), if is_whole { u32::MAX } else { score }, entry));
        } else if let Some(score) = words.score(Utf32Str::new(&entry.help, &mut buffer), &mut matcher) {
            scored.push((2 + u8::from(entry.off.is_some()), score, entry));
        }
    }
    scored.sort_by_key(|(tier, score, _)| (*tier, std::cmp::Reverse(*score)));
    scored.into_iter().map(|(.., entry)| entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::msg::{Msg, Pointed};
    use crate::app::options::Screen;
    use crate::app::tests::{app, type_in};

    fn titles(app: &App) -> Vec<&str> {
        match &app.layer {
            Some(Layer::Palette(palette)) => palette.entries.iter().map(|e| e.title.as_str()).collect(),
            other => panic!("no palette but {other:?}"),
        }
    }

    fn enter(app: &mut App) -> Vec<Effect> {
        app.update(Msg::Key(Key::plain(Code::Enter)))
    }

    #[test]
    fn some_letters_of_a_name_find_and_run_an_action() {
        let mut app = app();
        type_in(&mut app, ":");
        assert_eq!(titles(&app).len(), ACTIONS.len() - 1 + WORDS.len(), "everything but itself");
        type_in(&mut app, "fall");
        assert_eq!(titles(&app)[0], "fold all");
        let Some(Layer::Palette(palette)) = &app.layer else { panic!() };
        assert_eq!((palette.entries[0].keys.as_str(), &palette.entries[0].marks[..]), ("*", &[0, 5, 6, 7][..]));
        enter(&mut app);
        assert!(app.layer.is_none() && !app.options.folded.is_empty(), "it has been done");
        // By what it does, where the name says nothing.
        type_in(&mut app, ":zombies");
        assert_eq!(titles(&app)[0], "screen problems");
    }

    #[test]
    fn everyday_words_lead_to_actions_columns_demos_and_themes() {
        for (typed, first) in [
            ("kill", "signal"),
            ("pss", "show column pss"),
            ("dark", "theme default"),
            ("memory", "sort memory"),
            ("native/fork", "launch native/fork"),
            ("problems", "screen problems"),
            ("deadlock", "screen problems"),
        ] {
            let mut app = app();
            type_in(&mut app, &format!(":{typed}"));
            assert_eq!(titles(&app).first(), Some(&first), "{typed}: {:?}", titles(&app));
        }
        for (id, _) in SYNONYMS {
            assert!(ACTIONS.iter().any(|a| a.id == *id) || ["default", "light", "colour-blind"].contains(id), "{id}");
        }
    }

    #[test]
    fn a_click_runs_what_it_hits() {
        let mut app = app();
        type_in(&mut app, ":threads");
        let at = titles(&app).iter().position(|t| *t == "kernel threads").unwrap();
        app.update(Msg::Pointed(Pointed::ListLine(u16::try_from(at).unwrap())));
        assert!(app.options.kernel_threads && !app.options.threads && app.layer.is_none());
    }

    #[test]
    fn what_works_elsewhere_says_where_and_what_is_off_says_why() {
        let mut app = app();
        type_in(&mut app, ":lab run");
        assert_eq!(enter(&mut app), []);
        let Some(Layer::Palette(palette)) = &app.layer else { panic!() };
        assert_eq!(palette.error.as_deref(), Some("works on the Lab screen (2)"));
        app.layer = None;
        (app.screen, app.lessons.open) = (Screen::Lab, false);
        type_in(&mut app, ":lab run");
        assert!(matches!(enter(&mut app)[..], [Effect::Launch(_)]));
        app.screen = Screen::Processes;
        app.options.readonly = true;
        type_in(&mut app, ":signal");
        assert_eq!(enter(&mut app), [], "--readonly holds here too");
        assert!(matches!(&app.layer, Some(Layer::Palette(p)) if p.error.as_ref().is_some_and(|e| e.contains("--readonly"))));
    }

    #[test]
    fn sort_filter_and_columns_take_words() {
        let mut app = app();
        type_in(&mut app, ":sort ps");
        assert_eq!(titles(&app)[0], "pss");
        assert_eq!(enter(&mut app), [Effect::Resample]);
        assert_eq!(app.options.sort.id, "pss");
        type_in(&mut app, ":filter comm=b and cpuu>1");
        enter(&mut app);
        assert!(matches!(&app.layer, Some(Layer::Palette(p)) if p.error.as_ref().is_some_and(|e| e.contains("cpuu"))));
        assert!(app.options.filter.is_none());
        app.layer = None;
        type_in(&mut app, ":filter comm=b");
        enter(&mut app);
        assert_eq!(app.banner().as_deref(), Some("comm=b"));
        let before = app.options.columns.len();
        type_in(&mut app, ":columns +pss -virt -prio");
        assert_eq!(titles(&app)[0], "-priority");
        app.update(Msg::Key(Key::plain(Code::Tab)));
        enter(&mut app);
        let ids: Vec<&str> = app.options.columns.iter().map(|c| c.id).collect();
        assert!(app.layer.is_none() && ids.contains(&"pss") && !ids.contains(&"virt") && !ids.contains(&"priority"), "{ids:?}");
        assert_eq!((ids.len(), ids[ids.len() - 1]), (before - 1, "command"));
        type_in(&mut app, ":columns +uss +nonsuch ");
        enter(&mut app);
        assert_eq!(app.options.columns.len(), before - 1, "nothing is half done");
    }
}
