//! The set-up screen: settings that take effect at once and can be saved to the config file.

use std::collections::BTreeSet;

use crate::columns::{COLUMNS, Column};
use crate::config::Setting;
use crate::meters::{METERS, Meters, Shown};

use super::options::Options;
use super::presets::Preset;

/// Delays that are offered, seconds.
const DELAYS: [f64; 6] = [0.25, 0.5, 1.0, 2.0, 5.0, 10.0];

/// The pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// Which columns, in which order.
    Columns,
    /// Which meters, on which side, in which order.
    Meters,
    /// Everything else.
    Display,
}

impl Page {
    /// All.
    pub const ALL: [Self; 3] = [Self::Columns, Self::Meters, Self::Display];

    /// One word.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Columns => "Columns",
            Self::Meters => "Meters",
            Self::Display => "Display",
        }
    }
}

/// One entry of the page "Display". To add one: an entry here.
#[derive(Debug)]
pub struct Choice {
    /// Key of the config file.
    pub key: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// What it means, one sentence.
    pub help: &'static str,
    /// What it is now.
    pub value: fn(&Options) -> Setting,
    /// Goes on to its next value, or back.
    pub step: fn(&mut Options, bool),
}

/// Every entry.
pub const CHOICES: &[Choice] = &[
    Choice {
        key: "theme",
        title: "theme",
        help: "Colours for a dark or light background, high contrast, colour-blind users, or none.",
        value: |o| Setting::Text(o.theme.clone()),
        step: |o, forth| {
            let at = o.themes.iter().position(|t| *t == o.theme).unwrap_or(0);
            let count = o.themes.len().max(1);
            if let Some(name) = o.themes.get((at + if forth { 1 } else { count - 1 }) % count) {
                o.theme = (*name).to_owned();
            }
        },
    },
    Choice {
        key: "delay",
        title: "delay, s",
        help: "Seconds between two samples; a longer delay costs less CPU.",
        value: |o| Setting::Number(o.delay_s),
        step: |o, forth| {
            let next = DELAYS.into_iter().find(|d| *d > o.delay_s).unwrap_or(DELAYS[0]);
            let previous = DELAYS.into_iter().rev().find(|d| *d < o.delay_s).unwrap_or(DELAYS[DELAYS.len() - 1]);
            o.delay_s = if forth { next } else { previous };
        },
    },
    Choice {
        key: "tree",
        title: "tree",
        help: "Show a tree of parents and children.",
        value: |o| Setting::Flag(o.tree),
        step: |o, _| o.tree = !o.tree,
    },
    Choice {
        key: "threads",
        title: "threads",
        help: "Show a row for every thread.",
        value: |o| Setting::Flag(o.threads),
        step: |o, _| o.threads = !o.threads,
    },
    Choice {
        key: "kernel_threads",
        title: "kernel threads",
        help: "Show the kernel's own threads.",
        value: |o| Setting::Flag(o.kernel_threads),
        step: |o, _| o.kernel_threads = !o.kernel_threads,
    },
    Choice {
        key: "show_path",
        title: "program path",
        help: "Show program paths in commands; p in the table does the same.",
        value: |o| Setting::Flag(o.show_path),
        step: |o, _| o.show_path = !o.show_path,
    },
    Choice {
        key: "unicode",
        title: "unicode",
        help: "Use Unicode instead of ASCII.",
        value: |o| Setting::Flag(o.unicode),
        step: |o, _| o.unicode = !o.unicode,
    },
    Choice {
        key: "keys",
        title: "keys",
        help: "htop's keys, or vim's for movement; actions on those letters move to Alt.",
        value: |o| Setting::Text(o.keys.name().to_owned()),
        step: |o, _| {
            let at = Preset::ALL.iter().position(|p| *p == o.keys).unwrap_or(0);
            o.keys = Preset::ALL[(at + 1) % Preset::ALL.len()];
        },
    },
    Choice {
        key: "sort",
        title: "sort",
        help: "Sort column; F6 or a click on a title changes it.",
        value: |o| Setting::Text(format!("{}:{}", o.sort.id, if o.descending { "desc" } else { "asc" })),
        step: |o, _| o.descending = !o.descending,
    },
];

/// Where a meter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// On the left.
    Left,
    /// On the right.
    Right,
    /// Nowhere.
    Off,
}

impl Side {
    const RING: [Self; 3] = [Self::Left, Self::Right, Self::Off];

    fn step(self, forth: bool) -> Self {
        let at = Self::RING.iter().position(|s| *s == self).unwrap_or(0);
        Self::RING[(at + if forth { 1 } else { 2 }) % 3]
    }

    /// One word.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
            Self::Off => "",
        }
    }
}

/// The open screen.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Which page.
    pub page: Page,
    /// The line on it.
    pub cursor: usize,
    /// Every column, the shown ones first and in their order, and whether it is shown.
    pub columns: Vec<(&'static Column, bool)>,
    /// Every meter in each of its styles, those on the left first, then those on the right, and where it is.
    pub meters: Vec<(Shown, Side)>,
    /// Keys of what was changed and not yet saved.
    pub changed: BTreeSet<&'static str>,
}

impl Setup {
    /// Opens with the present options.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let shown = options.columns.iter().map(|c| (*c, true));
        let rest = COLUMNS.iter().filter(|c| !options.columns.iter().any(|s| s.id == c.id)).map(|c| (c, false));
        let columns = shown.chain(rest).collect();
        Self { page: Page::Columns, cursor: 0, columns, meters: all_meters(&options.meters), changed: BTreeSet::new() }
    }

    /// How many lines the page has.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.page {
            Page::Columns => self.columns.len(),
            Page::Meters => self.meters.len(),
            Page::Display => CHOICES.len(),
        }
    }

    /// Whether the page has no lines; it never is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Goes to a line, as far as there is one.
    pub fn go(&mut self, line: usize) {
        self.cursor = line.min(self.len().saturating_sub(1));
    }

    /// Goes to a page.
    pub fn turn(&mut self, page: Page) {
        if self.page != page {
            (self.page, self.cursor) = (page, 0);
        }
    }

    /// Goes so many pages on, in a ring.
    pub fn next_page(&mut self, by: usize) {
        let at = Page::ALL.iter().position(|p| *p == self.page).unwrap_or(0);
        self.turn(Page::ALL[(at + by) % Page::ALL.len()]);
    }

    /// Shows or hides the column, or changes the value, under the cursor.
    pub fn change(&mut self, options: &mut Options, forth: bool) {
        match self.page {
            Page::Columns => {
                let shown = self.columns.iter().filter(|(_, shown)| *shown).count();
                if let Some((_, on)) = self.columns.get_mut(self.cursor)
                    // A table without columns shows nothing.
                    && (!*on || shown > 1)
                {
                    *on = !*on;
                    self.apply(options);
                }
            }
            Page::Meters => {
                if let Some((_, side)) = self.meters.get_mut(self.cursor) {
                    *side = side.step(forth);
                    self.apply_meters(options);
                }
            }
            Page::Display => {
                if let Some(choice) = CHOICES.get(self.cursor) {
                    (choice.step)(options, forth);
                    self.changed.insert(choice.key);
                }
            }
        }
    }

    /// Moves the column under the cursor; the cursor goes with it.
    pub fn carry(&mut self, options: &mut Options, down: bool) {
        let to = if down { self.cursor + 1 } else { self.cursor.wrapping_sub(1) };
        if to >= self.len() {
            return;
        }
        match self.page {
            Page::Columns => {
                self.columns.swap(self.cursor, to);
                self.cursor = to;
                self.apply(options);
            }
            Page::Meters => {
                self.meters.swap(self.cursor, to);
                self.cursor = to;
                self.apply_meters(options);
            }
            Page::Display => {}
        }
    }

    fn apply_meters(&mut self, options: &mut Options) {
        let on = |wanted| self.meters.iter().filter(move |(_, side)| *side == wanted).map(|(shown, _)| *shown).collect();
        options.meters = Meters { left: on(Side::Left), right: on(Side::Right) };
        self.changed.extend(["meters_left", "meters_right"]);
    }

    fn apply(&mut self, options: &mut Options) {
        options.columns = self.columns.iter().filter(|(_, shown)| *shown).map(|(column, _)| *column).collect();
        self.changed.insert("columns");
    }

    /// What is to be written to the config file.
    #[must_use]
    pub fn settings(&self, options: &Options) -> Vec<(&'static str, Setting)> {
        let columns = || Setting::Texts(options.columns.iter().map(|c| c.id.to_owned()).collect());
        let words = |shown: &[Shown]| Setting::Texts(shown.iter().map(|s| s.word()).collect());
        let meters = [("meters_left", words(&options.meters.left)), ("meters_right", words(&options.meters.right))];
        let meters = meters.into_iter().filter(|(key, _)| self.changed.contains(key));
        let choices = CHOICES.iter().filter(|c| self.changed.contains(c.key)).map(|c| (c.key, (c.value)(options)));
        self.changed.contains("columns").then(|| ("columns", columns())).into_iter().chain(meters).chain(choices).collect()
    }
}

fn all_meters(now: &Meters) -> Vec<(Shown, Side)> {
    let every = METERS.iter().flat_map(|meter| meter.styles.iter().map(move |style| Shown { meter, style: *style }));
    let rest = every.filter(|shown| !now.all().any(|s| s == shown)).map(|shown| (shown, Side::Off));
    let left = now.left.iter().map(|shown| (*shown, Side::Left));
    left.chain(now.right.iter().map(|shown| (*shown, Side::Right))).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, KEYS};

    fn opened() -> (Setup, Options) {
        let options = Options { themes: &["default", "light"], ..Options::default() };
        (Setup::new(&options), options)
    }

    #[test]
    fn a_column_is_shown_hidden_and_moved() {
        let (mut setup, mut options) = opened();
        assert_eq!(setup.len(), COLUMNS.len(), "each column once");
        let (first, second) = (options.columns[0].id, options.columns[1].id);
        setup.carry(&mut options, true);
        assert_eq!((options.columns[0].id, options.columns[1].id, setup.cursor), (second, first, 1));
        setup.change(&mut options, true);
        assert!(!options.columns.iter().any(|c| c.id == first));
        for line in 0..setup.len() {
            setup.go(line);
            if setup.columns[line].1 {
                setup.change(&mut options, true);
            }
        }
        assert_eq!(options.columns.len(), 1, "the last one stays");
    }

    #[test]
    fn a_meter_is_put_on_either_side_moved_and_taken_away() {
        let (mut setup, mut options) = opened();
        setup.turn(Page::Meters);
        let every: usize = METERS.iter().map(|m| m.styles.len()).sum();
        assert_eq!(setup.len(), every, "each style of each meter once");
        let words = |side: &[Shown]| side.iter().map(|s| s.word()).collect::<Vec<_>>();
        setup.carry(&mut options, true);
        assert_eq!(words(&options.meters.left)[..2], ["cpus:bar", "cpu:bar"]);
        setup.change(&mut options, true);
        assert!(words(&options.meters.right).contains(&"cpu:bar".to_owned()));
        setup.change(&mut options, true);
        assert!(!options.meters.all().any(|s| s.word() == "cpu:bar"));
        setup.change(&mut options, false);
        setup.change(&mut options, false);
        assert_eq!(words(&options.meters.left)[..2], ["cpus:bar", "cpu:bar"]);
    }

    #[test]
    fn only_what_was_changed_is_saved_and_can_be_read_again() {
        let (mut setup, mut options) = opened();
        assert!(setup.settings(&options).is_empty());
        setup.change(&mut options, true);
        setup.turn(Page::Meters);
        setup.change(&mut options, true);
        setup.turn(Page::Display);
        for line in 0..setup.len() {
            setup.go(line);
            setup.change(&mut options, true);
        }
        let settings = setup.settings(&options);
        assert_eq!(settings.len(), CHOICES.len() + 3);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        crate::config::save(Some(&path), &settings).unwrap();
        let mut config = Config::default();
        config.apply_file(&path, &std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(config.theme, "light");
        assert!(config.tree && config.threads && config.kernel_threads && !config.show_path && !config.sort.descending);
        assert_eq!(config.delay.as_secs_f64(), 2.0);
        assert_eq!(config.columns, options.columns);
        assert_eq!(config.meters, options.meters);
        assert_eq!(config.meters.right[0].word(), "cpu:bar", "it went over to the right, where its place is the first");
    }

    #[test]
    fn every_choice_is_a_key_of_the_config_and_comes_back() {
        let (_, mut options) = opened();
        for choice in CHOICES {
            assert!(KEYS.iter().any(|k| k.section.is_empty() && k.name == choice.key), "{}", choice.key);
            let before = (choice.value)(&options);
            (choice.step)(&mut options, true);
            assert_ne!((choice.value)(&options), before, "{}", choice.key);
            (choice.step)(&mut options, false);
            assert_eq!((choice.value)(&options), before, "{}", choice.key);
        }
    }
}
