//! The registry of config keys. Reading, error messages, `config.example.toml` and docs/reference/config.md derive from it.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::ColorDepth;
use crate::kernel::SourceChoice;
use crate::meters::Shown;
use crate::query::SavedFilters;

use super::systems::systems;
use super::value::{Fault, FileValue, integer, text, whole, wrong};
use super::{Config, Preset, column, seconds, sort, user};

/// A range of seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) min: f64,
    pub(super) max: f64,
}

pub(super) const DELAY: Range = Range { min: 0.1, max: 60.0 };
pub(super) const TIMEOUT: Range = Range { min: 0.1, max: 86_400.0 };
const GHOST: Range = Range { min: 0.0, max: 3_600.0 };

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Table it is in; empty for the top level.
    pub section: &'static str,
    /// Name.
    pub name: &'static str,
    /// A valid value as TOML; the default, where there is one that a file can say.
    pub example: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Checks the value and lays it over the config.
    pub set: fn(&mut Config, &FileValue<'_>) -> Result<(), Fault>,
}

impl Key {
    /// `lab.max_workers`, `delay`.
    #[must_use]
    pub fn path(&self) -> String {
        if self.section.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.section, self.name) }
    }
}

/// Every key, in the order of the example file.
pub const KEYS: &[Key] = &[
    Key {
        section: "",
        name: "delay",
        example: "1.0",
        help: "Seconds between two samples, 0.1 to 60.",
        set: |c, v| put(&mut c.delay, duration(v, DELAY)),
    },
    Key {
        section: "",
        name: "source",
        example: "\"auto\"",
        help: "Where concmon reads tasks: \"auto\" (the best that works), \"bpf\" or \"proc\".",
        set: |c, v| put(&mut c.source, source(v)),
    },
    Key {
        section: "",
        name: "columns",
        example: r#"["pid", "tid", "ppid", "user", "priority", "nice", "virt", "rss", "shared", "state", "cpu", "recent", "mem", "time", "nlwp", "start", "command"]"#,
        help: "Columns in display order; docs/reference/columns.md lists all.",
        set: |c, v| put(&mut c.columns, columns(v)),
    },
    Key {
        section: "",
        name: "meters_left",
        example: r#"["cpu:bar", "cpus:bar", "load:text", "disks:text", "cpu:graph", "pressure:graph", "disks:graph"]"#,
        help: "Meters on the left of the header, top first, as NAME:STYLE; meters that do not fit are hidden.",
        set: |c, v| put(&mut c.meters.left, meters(v)),
    },
    Key {
        section: "",
        name: "meters_right",
        example: r#"["memory:bar", "tasks:text", "swap:bar", "network:text", "memory:graph", "network:graph", "temperature:text"]"#,
        help: "Meters on the right of the header; docs/reference/meters.md lists all.",
        set: |c, v| put(&mut c.meters.right, meters(v)),
    },
    Key {
        section: "",
        name: "sort",
        example: "\"cpu:desc\"",
        help: "Sort column; append \":asc\" or \":desc\" for the direction.",
        set: |c, v| put(&mut c.sort, text(v).and_then(sort)),
    },
    Key {
        section: "",
        name: "tree",
        example: "false",
        help: "Start with the tree of parents and children.",
        set: |c, v| put(&mut c.tree, flag(v)),
    },
    Key {
        section: "",
        name: "threads",
        example: "false",
        help: "Start with a row for every thread.",
        set: |c, v| put(&mut c.threads, flag(v)),
    },
    Key {
        section: "",
        name: "kernel_threads",
        example: "false",
        help: "Show the kernel's own threads.",
        set: |c, v| put(&mut c.kernel_threads, flag(v)),
    },
    Key {
        section: "",
        name: "show_path",
        example: "true",
        help: "Show the path of a program in its command; p switches it.",
        set: |c, v| put(&mut c.show_path, flag(v)),
    },
    Key {
        section: "",
        name: "filter",
        example: "\"cpu>0\"",
        help: "Filter at the start; without the key there is none.",
        set: |c, v| put(&mut c.filter, text(v).map(|t| Some(t.to_owned()))),
    },
    Key {
        section: "",
        name: "filters",
        example: r#"{ big = "rss>1G", waiting = "thread and wait_cpu>10%" }"#,
        help: "Named filters: @big in a filter stands for its expression.",
        set: |c, v| put(&mut c.saved_filters, saved_filters(v)),
    },
    Key {
        section: "",
        name: "user",
        example: "\"root\"",
        help: "Show only this user's processes (name or number); without the key, every user's.",
        set: |c, v| put(&mut c.user, text(v).and_then(user).map(Some)),
    },
    Key {
        section: "",
        name: "readonly",
        example: "false",
        help: "Send no signals, change no priorities, start no lab runs.",
        set: |c, v| put(&mut c.readonly, flag(v)),
    },
    Key {
        section: "",
        name: "color",
        example: "true",
        help: "Use colours; NO_COLOR in the environment and --no-color override this.",
        set: |c, v| put(&mut c.color, flag(v)),
    },
    Key {
        section: "",
        name: "color_depth",
        example: "\"auto\"",
        help: "Colours of the terminal: \"16\", \"256\", \"true\" (24 bits), or \"auto\" (from TERM and COLORTERM).",
        set: |c, v| match text(v)? {
            "auto" => Ok(()),
            word => put(
                &mut c.color_depth,
                ColorDepth::from_word(word).ok_or_else(|| wrong(v, "\"auto\", \"16\", \"256\" or \"true\"")),
            ),
        },
    },
    Key {
        section: "",
        name: "unicode",
        example: "true",
        help: "Use Unicode characters; without the key, the locale decides.",
        set: |c, v| put(&mut c.unicode, flag(v)),
    },
    Key {
        section: "",
        name: "theme",
        example: "\"default\"",
        help: "Colour theme: default (for a dark background), light, high-contrast, colour-blind or mono.",
        set: |c, v| put(&mut c.theme, text(v).map(str::to_owned)),
    },
    Key {
        section: "",
        name: "mouse",
        example: "true",
        help: "Use the mouse; to select text in the terminal, hold Shift.",
        set: |c, v| put(&mut c.mouse, flag(v)),
    },
    Key {
        section: "",
        name: "go_first",
        example: "true",
        help: "Answer keys on a busy machine: run the interface at real-time priority (root), or with short time slices.",
        set: |c, v| put(&mut c.go_first, flag(v)),
    },
    Key {
        section: "",
        name: "keys",
        example: "\"htop\"",
        help: "Key set: \"htop\" or \"vim\" (h j k l, gg G, n N; actions on those letters move to Alt).",
        set: |c, v| put(&mut c.keys, preset(v)),
    },
    Key {
        section: "",
        name: "clipboard",
        example: "true",
        help: "Allow y to copy to the terminal's clipboard (OSC 52).",
        set: |c, v| put(&mut c.clipboard, flag(v)),
    },
    Key {
        section: "",
        name: "ghost_seconds",
        example: "3.0",
        help: "Seconds that an ended process stays visible, 0 to 3600.",
        set: |c, v| put(&mut c.ghost, duration(v, GHOST)),
    },
    Key {
        section: "",
        name: "last_minutes",
        example: "10",
        help: "Minutes that { goes back in a live session, in at most 16 MiB, 0 (off) to 120.",
        set: |c, v| put(&mut c.last_minutes, whole(v, 0, 120)),
    },
    Key {
        section: "",
        name: "find_deadlocks",
        example: "true",
        help: "Search for deadlocks in the background; if false, only the Problems screen (6) and its columns do.",
        set: |c, v| put(&mut c.find_deadlocks, flag(v)),
    },
    Key {
        section: "lab",
        name: "max_workers",
        example: "256",
        help: "Maximum number of workers in a run, 1 to 100000.",
        set: |c, v| put(&mut c.lab.max_workers, whole(v, 1, 100_000)),
    },
    Key {
        section: "lab",
        name: "max_parent_mb",
        example: "4096",
        help: "Maximum memory of a run's parent in MiB; without the key, the free memory decides.",
        set: |c, v| put(&mut c.lab.max_parent_mb, whole(v, 0, u32::MAX).map(Some)),
    },
    Key {
        section: "lab",
        name: "timeout_secs",
        example: "60.0",
        help: "Seconds after which a run is killed, 0.1 to 86400.",
        set: |c, v| put(&mut c.lab.timeout, duration(v, TIMEOUT)),
    },
    Key {
        section: "lab",
        name: "hold_ms",
        example: "20000",
        help: "Milliseconds that workers of a run stay for inspection after their work, 0 to 3600000.",
        set: |c, v| put(&mut c.lab.hold, whole(v, 0, 3_600_000).map(|ms| Duration::from_millis(u64::from(ms)))),
    },
    Key {
        section: "lab",
        name: "python",
        example: "[\"/usr/bin/python3\"]",
        help: "Interpreters for Python systems, tried before those that concmon finds; absolute paths.",
        set: |c, v| put(&mut c.lab.pythons, paths(v)),
    },
    Key {
        section: "lab",
        name: "system",
        example: r#"[{ id = "render", command = ["make", "-j", "{workers}"], workers = 2 }]"#,
        help: "Your own programs as systems of the lab, each also a table [[lab.system]]; docs/lab.md lists the keys.",
        set: |c, v| put(&mut c.lab.systems, systems(v)),
    },
];

/// Lays a checked value over its place.
fn put<T, E: Into<Fault>>(place: &mut T, value: Result<T, E>) -> Result<(), Fault> {
    value.map(|v| *place = v).map_err(Into::into)
}

fn flag(value: &FileValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| wrong(value, "true or false"))
}

fn duration(value: &FileValue<'_>, range: Range) -> Result<Duration, String> {
    let float = value.as_float().and_then(|f| f.as_str().parse().ok());
    let secs = float.or_else(|| integer(value).map(|n| n as f64)).ok_or_else(|| wrong(value, "a number of seconds"))?;
    seconds(secs, range)
}

fn source(value: &FileValue<'_>) -> Result<SourceChoice, String> {
    match text(value)? {
        "auto" => Ok(SourceChoice::Auto),
        "bpf" => Ok(SourceChoice::Bpf),
        "proc" => Ok(SourceChoice::Proc),
        other => Err(format!("there is no source \"{other}\": use \"auto\", \"bpf\" or \"proc\"")),
    }
}

fn preset(value: &FileValue<'_>) -> Result<Preset, String> {
    let name = text(value)?;
    let found = Preset::ALL.into_iter().find(|preset| preset.name() == name);
    found.ok_or_else(|| format!("there is no key set \"{name}\": use \"htop\" or \"vim\""))
}

fn saved_filters(value: &FileValue<'_>) -> Result<SavedFilters, String> {
    let table = value.as_table().ok_or_else(|| wrong(value, "a table of names and filters"))?;
    let entry = |(name, text_of): (&toml::Spanned<std::borrow::Cow<'_, str>>, &toml::Spanned<DeValue<'_>>)| {
        let expression = text(text_of.get_ref()).map_err(|why| format!("{}: {why}", name.get_ref()))?;
        Ok::<_, String>((name.get_ref().to_string(), expression.to_owned()))
    };
    let filters = table.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    SavedFilters::new(filters).map_err(|(name, why)| format!("{name}: {why}"))
}

fn paths(value: &FileValue<'_>) -> Result<Vec<PathBuf>, String> {
    let items = value.as_array().ok_or_else(|| wrong(value, "a list of paths"))?;
    let path = |item: &FileValue<'_>| {
        let path = PathBuf::from(text(item)?);
        if path.is_absolute() { Ok(path) } else { Err(format!("{} is not an absolute path", path.display())) }
    };
    items.iter().map(|item| path(item.get_ref())).collect()
}

fn meters(value: &FileValue<'_>) -> Result<Vec<Shown>, String> {
    let items = value.as_array().ok_or_else(|| wrong(value, "a list of meters"))?;
    let mut found: Vec<Shown> = Vec::new();
    for item in items {
        let next = Shown::parse(text(item.get_ref())?)?;
        if found.contains(&next) {
            return Err(format!("the meter \"{}\" is named twice", next.word()));
        }
        found.push(next);
    }
    Ok(found)
}

fn columns(value: &FileValue<'_>) -> Result<Vec<&'static crate::columns::Column>, String> {
    let items = value.as_array().ok_or_else(|| wrong(value, "a list of column names"))?;
    if items.is_empty() {
        return Err("the list needs at least one column".to_owned());
    }
    let mut found: Vec<&'static crate::columns::Column> = Vec::new();
    for item in items {
        let next = column(text(item.get_ref())?)?;
        if found.iter().any(|c| c.id == next.id) {
            return Err(format!("the column \"{}\" is named twice", next.id));
        }
        found.push(next);
    }
    Ok(found)
}
