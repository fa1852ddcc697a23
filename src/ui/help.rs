//! Help: the symbols, the keys of this screen, then all others; narrowed to what is typed.

use crate::app::App;
use crate::app::actions::{ACTIONS, Action, Context};
use crate::app::palette::synonyms;
use crate::app::presets::Preset;
use crate::columns::COLUMNS;
use crate::diagnose::DIAGNOSES;
use crate::lab::catalog::DEMOS;

/// A symbol of the screens, in Unicode and in ASCII, and what it means.
#[derive(Debug)]
pub struct Symbol {
    /// As it is drawn; every character stands for itself.
    pub unicode: &'static str,
    /// What is drawn in its place with `--ascii`.
    pub ascii: &'static str,
    /// One line.
    pub meaning: &'static str,
}

const fn symbol(unicode: &'static str, ascii: &'static str, meaning: &'static str) -> Symbol {
    Symbol { unicode, ascii, meaning }
}

/// Every symbol that is drawn. A test compares it with the sources.
pub const LEGEND: &[Symbol] = &[
    symbol("▁▂▃▄▅▆▇█", "_.:-=+*#", "history, newest at the right. RECENT: first colour ran, second waited for a CPU"),
    symbol("·", ".-", "zero or nearly zero; also separates values"),
    symbol("▏▎▍▌▋▊▉", "|", "end of a bar. cpu: nice, user, kernel, stolen; mem: used, cache. ▌ a run's card"),
    symbol("⣿", "#.", "history as dots, newest at the right"),
    symbol("●", "*", "tagged row (Space); in the lab: a run is active; on Problems: a finding"),
    symbol("┌│└╶", "+|+-", "rows of one lab run, with its number and in its colour"),
    symbol("├─", "|-", "tree: created by, or child of, the row it hangs from"),
    symbol("▾▸", "v+", "subtree unfolded, folded: sums of the subtree in the row"),
    symbol("◇", "o", "async task or greenlet: a part of a thread that the kernel does not see"),
    symbol("⚠", "!", "a problem: ! lists all, w says what the process waits for"),
    symbol("→", "->", "this signal was sent just now"),
    symbol("▼▲", "v^", "sorted by this column, largest or smallest first; more entries below, above"),
    symbol("◂", "<", "columns are out of sight at the left"),
    symbol("←", "<", "called by (Python functions)"),
    symbol("‹›", "<>", "Left and Right change this value"),
    symbol("░▒▓", ".-=", "lanes: light: ready, medium: waits for the GIL; copy-on-write: darker is more copied"),
    symbol("╌", "~", "lanes: being created"),
    symbol("✔", "x", "shown (set-up)"),
    symbol("±╵━", "+-|=", "spread of repeated runs; mark of an axis; lanes: work in progress; Compare: a bar"),
    symbol("✓✗•", "+x*", "lessons: guessed right, guessed wrong, watched without a guess"),
    symbol("…", "~", "text was cut"),
    symbol("␛␊␡", "\\x1b", "a control character in a name, made visible"),
];

/// Letters and words that need a line too.
const WORDS: &[(&str, &str)] = &[
    (">", "selected row"),
    ("i", "at the end of a command: information, not a problem; ! explains it"),
    ("w g W G", "lanes without Unicode: ready, waits for the GIL, shares a CPU, shares the GIL"),
    ("- deny late", "value unknown; may not be read; the process did not answer"),
    ("R S D T Z I", "runs or could run, sleeps, waits for a device, stopped, zombie, idle kernel thread"),
];

/// A heading and its lines: what is explained, and how.
struct Section {
    title: String,
    lines: Vec<Entry>,
}

/// What is explained, how, and other words by which it is found.
struct Entry {
    what: String,
    how: String,
    also: &'static str,
}

impl Section {
    fn new(title: impl Into<String>, lines: impl IntoIterator<Item = (String, String)>) -> Self {
        let lines = lines.into_iter().map(|(what, how)| Entry { what, how, also: "" }).collect();
        Self { title: title.into(), lines }
    }
}

fn legend(unicode: bool) -> Section {
    let symbols = LEGEND.iter().map(|symbol| {
        let drawn = if unicode { symbol.unicode } else { symbol.ascii };
        let meaning = if unicode { symbol.meaning.to_owned() } else { symbol.meaning.replace('▌', "|") };
        (drawn.to_owned(), meaning)
    });
    let words = WORDS.iter().map(|(word, meaning)| ((*word).to_owned(), (*meaning).to_owned()));
    Section::new("Symbols", symbols.chain(words))
}

fn keys(preset: Preset, context: Context) -> Section {
    let actions = ACTIONS.iter().filter(|action| action.context == context);
    let entry = |action: &Action| Entry { what: preset.words(action), how: action.help.to_owned(), also: synonyms(action.id) };
    Section { title: context.title().to_owned(), lines: actions.map(entry).collect() }
}

/// The keys of this screen, the symbols, then everything else.
fn sections(preset: Preset, here: Context, unicode: bool) -> Vec<Section> {
    let others = [
        Context::Table,
        Context::Lessons,
        Context::Lab,
        Context::Timeline,
        Context::Compare,
        Context::Events,
        Context::Problems,
        Context::Recording,
        Context::Hosts,
    ];
    let mut all = vec![legend(unicode), keys(preset, here), keys(preset, Context::Everywhere)];
    all.extend(others.into_iter().filter(|other| *other != here).map(|other| keys(preset, other)));
    let demos = DEMOS.iter().map(|demo| (format!("n {}", demo.key), format!("{}: {}", demo.system, demo.watch)));
    all.push(Section::new("Demos (capitals and g h i: Python; others: native)", demos));
    let examples = "cpu>5 and user=www    rss>200M    not state=S    command~worker    under(gunicorn) and thread";
    all.push(Section::new("Filter (F4)", [("examples".to_owned(), examples.to_owned())]));
    let columns = COLUMNS.iter().map(|c| (format!("{} {}", c.title, c.id), c.description.to_owned()));
    all.push(Section::new("Columns", columns));
    let marks = DIAGNOSES.iter().map(|one| (one.badge.to_owned(), one.description.to_owned()));
    all.push(Section::new("Problems, in the words at the end of a row", marks));
    all.retain(|section| !section.lines.is_empty());
    all
}

/// Its lines: with a `find`, only those that contain every word of it. Before a tab stands what is explained, behind it the explanation.
#[must_use]
pub fn lines(preset: Preset, here: Context, unicode: bool, find: &str) -> Vec<String> {
    let words: Vec<String> = find.split_whitespace().map(str::to_lowercase).collect();
    let mut lines = Vec::new();
    for section in sections(preset, here, unicode) {
        let title = section.title.to_lowercase();
        let fits = |entry: &&Entry| {
            let text = format!("{} {} {}", entry.what, entry.how, entry.also).to_lowercase();
            words.iter().all(|word| text.contains(word) || title.contains(word)) || entry.what.contains(find.trim())
        };
        let found: Vec<_> = section.lines.iter().filter(fits).collect();
        if found.is_empty() {
            continue;
        }
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(section.title.clone());
        let cells = if section.title == "Columns" { 26 } else { 13 };
        lines.extend(found.iter().map(|Entry { what, how, .. }| format!("  {what:cells$} \t{how}")));
    }
    if lines.is_empty() {
        lines.push("  no key, symbol or column fits what was typed".to_owned());
    }
    lines
}

/// Its lines for what is open now.
pub(super) fn open(app: &App, find: &str) -> Vec<String> {
    lines(app.options.keys, app.context(), app.options.unicode, find)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(find: &str) -> String {
        lines(Preset::Htop, Context::Table, true, find).join("\n")
    }

    #[test]
    fn symbols_and_this_screens_keys_come_first() {
        for (here, title) in [(Context::Table, "Processes"), (Context::Compare, "Compare")] {
            let lines = lines(Preset::Htop, here, true, "");
            assert_eq!(lines[0], "Symbols");
            let headings: Vec<&String> = lines.iter().filter(|line| !line.starts_with(' ') && !line.is_empty()).collect();
            assert_eq!(headings[1], title);
        }
    }

    #[test]
    fn what_is_typed_finds_keys_symbols_and_columns() {
        assert!(found("signal").contains("F9 k") && found("kill").contains("F9 k"), "by everyday words too");
        assert!(found("▾").contains("folded") && !found("▾").contains("F9"));
        assert!(found("uss").contains("USS"));
        assert!(found("zoom").contains("zoom in at the cursor"), "keys of other screens too");
        assert_eq!(found("xyzzy").trim(), "no key, symbol or column fits what was typed");
    }
}
