//! Reads `[[lab.system]]`: programs of the user's own that the lab runs like its built-in systems.

use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::value::{Fault, FileValue, text, whole, wrong};
use crate::lab::catalog::{self, MOST_OWN, OwnSystem, PLACEHOLDERS, WorkersAre};
use crate::text::nearest;

/// Keys of an entry.
const NAMES: [&str; 10] =
    ["id", "command", "title", "description", "env", "directory", "workers", "workers_are", "tasks", "size"];
/// Longest id and title: the list has no room for more.
const MOST_CELLS: usize = 32;
/// A word this near to a placeholder is meant to be one.
const NEAR: f64 = 0.85;

type Table<'i> = DeTable<'i>;
type Value<'i> = Spanned<DeValue<'i>>;

/// The systems of the file.
///
/// # Errors
/// The first mistake, with its place.
pub(super) fn systems(value: &FileValue<'_>) -> Result<Vec<OwnSystem>, Fault> {
    let items = value.as_array().ok_or_else(|| wrong(value, "a list of tables: write [[lab.system]] before each system"))?;
    if items.len() > MOST_OWN {
        return Err(format!("{} systems exceed the maximum of {MOST_OWN}", items.len()).into());
    }
    let mut found: Vec<OwnSystem> = Vec::new();
    for item in items {
        let table = item.get_ref().as_table();
        let table = table.ok_or_else(|| Fault::at(item.span(), wrong(item.get_ref(), "a table with id and command")))?;
        let system = system(table, item.span())?;
        if found.iter().any(|other| other.id == system.id) {
            let place = table.get("id").map_or(item.span(), Value::span);
            return Err(Fault::at(place, format!("there are two systems with the id \"{}\"; change one", system.id)));
        }
        found.push(system);
    }
    Ok(found)
}

/// Keys of the entries that this version does not know, each with its place.
pub(super) fn unknown(value: &FileValue<'_>) -> Vec<(usize, String)> {
    let tables = value.as_array().into_iter().flatten().filter_map(|item| item.get_ref().as_table());
    let names = tables.flat_map(|table| table.iter().map(|(name, _)| name));
    let unknown = names.filter(|name| !NAMES.contains(&&**name.get_ref()));
    unknown
        .map(|name| {
            let near = nearest(name.get_ref(), NAMES, |name| name, 0.75);
            let hint =
                near.map_or_else(|| format!("its keys are {}", NAMES.join(", ")), |near| format!("did you mean \"{near}\"?"));
            (name.span().start, format!("unknown key \"lab.system.{}\": {hint}", name.get_ref()))
        })
        .collect()
}

/// The value of a key, read by `read`; an error names the key and has the place of the value.
fn get<T>(table: &Table<'_>, name: &str, read: impl Fn(&FileValue<'_>) -> Result<T, String>) -> Result<Option<T>, Fault> {
    let Some(value) = table.get(name) else { return Ok(None) };
    read(value.get_ref()).map(Some).map_err(|why| Fault::at(value.span(), format!("{name}: {why}")))
}

fn system(table: &Table<'_>, span: Range<usize>) -> Result<OwnSystem, Fault> {
    let lacks = |what: &str, example: &str| Fault::at(span.clone(), format!("the system has no {what}; add {example}"));
    let number = |v: &FileValue<'_>| whole(v, 1, 100_000);
    let system = OwnSystem {
        id: get(table, "id", id)?.ok_or_else(|| lacks("id", "id = \"NAME\""))?,
        title: get(table, "title", title)?.unwrap_or_default(),
        description: get(table, "description", |v| Ok(one_line(text(v)?)))?.unwrap_or_default(),
        command: get(table, "command", command)?.ok_or_else(|| lacks("command", "command = [\"PROGRAM\", \"ARGUMENT\"]"))?,
        env: get(table, "env", variables)?.unwrap_or_default(),
        directory: get(table, "directory", directory)?,
        workers: get(table, "workers", number)?.unwrap_or(0),
        workers_are: get(table, "workers_are", workers_are)?,
        tasks: get(table, "tasks", number)?,
        size: get(table, "size", |v| whole(v, 1, u32::MAX))?,
    };
    let place = |name: &str| table.get(name).map_or(span.clone(), Value::span);
    let numbers = [("workers", (system.workers > 0).then_some(system.workers)), ("tasks", system.tasks), ("size", system.size)];
    for (name, default) in numbers {
        if system.takes(name) && default.is_none() {
            let why = format!("{{{name}}} needs a default; add {name} = NUMBER to the system");
            return Err(Fault::at(place("command"), why));
        }
        if name != "workers" && default.is_some() && !system.takes(name) {
            let why = format!("{name}: neither command nor env contains {{{name}}}; add it there or remove the key");
            return Err(Fault::at(place(name), why));
        }
    }
    if system.workers_are.is_some() && system.workers == 0 {
        return Err(Fault::at(place("workers_are"), "workers_are: it needs the number of workers; add workers = NUMBER".into()));
    }
    for word in system.texts().flat_map(|text| braced(text)) {
        if let Some(near) = nearest(word, PLACEHOLDERS, |name| name, NEAR).filter(|near| *near != word) {
            let why = format!("there is no placeholder {{{word}}}: did you mean {{{near}}}?");
            return Err(Fault::at(place("command"), why));
        }
    }
    Ok(system)
}

/// Words in braces.
fn braced(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(word, _)| word);
    words.filter(|word| word.bytes().all(|b| b.is_ascii_lowercase()))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn id(value: &FileValue<'_>) -> Result<String, String> {
    let id = text(value)?;
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/');
    if id.is_empty() || id.len() > MOST_CELLS || !id.bytes().all(good) || !id.as_bytes()[0].is_ascii_alphanumeric() {
        return Err(format!("\"{id}\" is not a name of 1 to {MOST_CELLS} letters, digits, dashes, dots and slashes"));
    }
    if catalog::RESERVED.iter().any(|reserved| id == *reserved || id.starts_with(&format!("{reserved}/"))) {
        return Err(format!(
            "\"{id}\" is a name of concmon's own; use another, e.g. \"my/{}\"",
            id.rsplit('/').next().unwrap_or(id)
        ));
    }
    Ok(id.to_owned())
}

fn title(value: &FileValue<'_>) -> Result<String, String> {
    let title = one_line(text(value)?);
    let cells = crate::text::width(&title);
    if cells > MOST_CELLS { Err(format!("a title has at most {MOST_CELLS} characters, this one has {cells}")) } else { Ok(title) }
}

fn command(value: &FileValue<'_>) -> Result<Vec<String>, String> {
    let wanted =
        "a list of words: no shell reads it, so each argument is a word of its own, e.g. [\"make\", \"-j\", \"{workers}\"]";
    let items = value.as_array().ok_or_else(|| wrong(value, wanted))?;
    let words = items.iter().map(|item| plain(item.get_ref())).collect::<Result<Vec<_>, _>>()?;
    match words.first() {
        Some(program) if !program.is_empty() => Ok(words),
        _ => Err("the list begins with the program; it cannot be empty".to_owned()),
    }
}

/// A text that can be an argument or a variable.
fn plain(value: &FileValue<'_>) -> Result<String, String> {
    let text = text(value)?;
    if text.contains('\0') { Err("arguments and variables cannot contain NUL".to_owned()) } else { Ok(text.to_owned()) }
}

fn variables(value: &FileValue<'_>) -> Result<Vec<(String, String)>, String> {
    let table = value.as_table().ok_or_else(|| wrong(value, "a table of variables, e.g. { THREADS = \"{workers}\" }"))?;
    let variable = |(name, value): (&Spanned<std::borrow::Cow<'_, str>>, &Value<'_>)| {
        let name = name.get_ref().to_string();
        if name.is_empty() || name.contains(['=', '\0']) || name.starts_with("CONCMON_") {
            return Err(format!("\"{name}\" cannot be set"));
        }
        let text = plain(value.get_ref()).map_err(|why| format!("{name}: {why}"))?;
        Ok((name, text))
    };
    table.iter().map(variable).collect()
}

fn directory(value: &FileValue<'_>) -> Result<PathBuf, String> {
    let path = PathBuf::from(plain(value)?);
    if path.is_absolute() { Ok(path) } else { Err(format!("{} is not an absolute path", path.display())) }
}

fn workers_are(value: &FileValue<'_>) -> Result<WorkersAre, String> {
    match text(value)? {
        "processes" => Ok(WorkersAre::Processes),
        "threads" => Ok(WorkersAre::Threads),
        other => Err(format!("workers are \"processes\" or \"threads\", not \"{other}\"")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Config;
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let mut config = Config::default();
        config.apply_file(Path::new("c.toml"), text).map(|()| config).map_err(|e| e.to_string())
    }

    #[test]
    fn three_lines_are_enough_and_all_keys_are_read() {
        let config = parse("[[lab.system]]\nid = \"a\"\ncommand = [\"./a\", \"{workers}\"]\nworkers = 2\n").unwrap();
        let [system] = config.lab.systems.as_slice() else { panic!("{:?}", config.lab.systems) };
        assert_eq!(
            (system.id.as_str(), system.command.as_slice(), system.workers),
            ("a", &["./a".to_owned(), "{workers}".into()][..], 2)
        );
        let all = "delay = 2\n[lab]\nmax_workers = 9\n[[lab.system]]\nid = \"b/c\"\ntitle = \"B\"\ndescription = \"What\\nit does.\"\n\
                   command = [\"b\", \"{size}\", \"{tasks}\"]\nenv = { N = \"{workers}\" }\ndirectory = \"/tmp\"\nworkers = 3\n\
                   workers_are = \"threads\"\ntasks = 5\nsize = 7\n[[lab.system]]\nid = \"d\"\ncommand = [\"d\"]\n";
        let config = parse(all).unwrap();
        let [system, other] = config.lab.systems.as_slice() else { panic!("{:?}", config.lab.systems) };
        assert_eq!((system.title.as_str(), system.description.as_str()), ("B", "What it does."));
        assert_eq!((system.workers_are, system.tasks, system.size), (Some(WorkersAre::Threads), Some(5), Some(7)));
        assert_eq!((system.env.len(), system.directory.as_deref(), other.workers), (1, Some(Path::new("/tmp")), 0));
        assert_eq!((config.delay.as_secs(), config.lab.max_workers, config.warnings.len()), (2, 9, 0));
    }

    #[test]
    fn each_mistake_is_told_with_its_line_and_how_to_mend_it() {
        let entry = |lines: &str| format!("[[lab.system]]\nid = \"a\"\ncommand = [\"a\"]\n[[lab.system]]\n{lines}\n");
        for (lines, line, says) in [
            ("command = [\"b\"]", 4, "no id; add id = "),
            ("id = \"b\"", 4, "no command; add command = "),
            ("id = \"a\"\ncommand = [\"b\"]", 5, "two systems with the id \"a\""),
            ("id = \"native/b\"\ncommand = [\"b\"]", 5, "a name of concmon's own; use another"),
            ("id = \"b c\"\ncommand = [\"b\"]", 5, "\"b c\" is not a name"),
            ("id = \"b\"\ncommand = \"b -x\"", 6, "no shell reads it"),
            ("id = \"b\"\ncommand = []", 6, "begins with the program"),
            ("id = \"b\"\ncommand = [\"b\", 1]", 6, "a word in quotes"),
            ("id = \"b\"\ncommand = [\"b\", \"{workers}\"]", 6, "{workers} needs a default; add workers = NUMBER"),
            ("id = \"b\"\ncommand = [\"b\", \"{worker}\"]\nworkers = 2", 6, "did you mean {workers}?"),
            ("id = \"b\"\ncommand = [\"b\"]\ntasks = 2", 7, "neither command nor env contains {tasks}"),
            ("id = \"b\"\ncommand = [\"b\"]\nworkers = 0", 7, "workers: 0 is not between 1"),
            ("id = \"b\"\ncommand = [\"b\"]\nworkers_are = \"fibres\"", 7, "\"processes\" or \"threads\""),
            ("id = \"b\"\ncommand = [\"b\"]\nworkers_are = \"threads\"", 7, "add workers = NUMBER"),
            ("id = \"b\"\ncommand = [\"b\"]\ndirectory = \"here\"", 7, "not an absolute path"),
            ("id = \"b\"\ncommand = [\"b\"]\nenv = { CONCMON_LAB_RUN = \"1\" }", 7, "cannot be set"),
        ] {
            let error = parse(&entry(lines)).unwrap_err();
            assert!(error.starts_with(&format!("c.toml:{line}:")) && error.contains(says), "{lines}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        let error = parse("[lab]\nsystem = 3\n").unwrap_err();
        assert!(error.contains("c.toml:2:10: lab.system: this must be a list of tables"), "{error}");
    }

    #[test]
    fn a_key_of_a_later_version_is_a_warning() {
        let config = parse("[[lab.system]]\nid = \"a\"\ncommand = [\"awk\", \"{print}\"]\nworker = 2\n").unwrap();
        assert_eq!(config.warnings, ["c.toml:4:1: unknown key \"lab.system.worker\": did you mean \"workers\"?"]);
        assert_eq!(config.lab.systems.len(), 1, "the rest counts");
    }
}
