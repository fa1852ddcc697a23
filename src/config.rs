//! Merges the config file and the command line into one [`Config`]; the only place with defaults.
//!
//! Order: the defaults of [`Config::default`], then the file, then the environment (`NO_COLOR`), then the arguments.
//! To add an option: a field of [`Config`], its default, an entry in [`KEYS`]; and, if it has a flag, a line in [`Config::resolve`].

mod depth;
mod edit;
mod file;
mod keys;
mod systems;
mod value;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use depth::ColorDepth;
pub use edit::{SaveError, Setting, cannot_write, save, write_whole, write_whole_with};
pub use file::MAX_FILE_BYTES;
pub use keys::{KEYS, Key};
pub use value::Fault;

use crate::cli::{Command, LabRunArgs, LowArgs, SelectArgs};
use crate::columns::{self, Column, Order};
use crate::kernel::SourceChoice;
use crate::lab::catalog::OwnSystem;
use crate::lab::launcher::Limits;
use crate::meters::Meters;
use crate::query::SavedFilters;

/// Sorted by which column, which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// The column.
    pub column: &'static Column,
    /// Largest first.
    pub descending: bool,
}

/// Whose processes are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFilter {
    /// As the user wrote it.
    pub name: String,
    /// The user's id.
    pub uid: u32,
}

/// What the lab may use of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabLimits {
    /// The most workers one run may have.
    pub max_workers: u32,
    /// The most memory a run's parent may hold, MiB; `None`: what is free decides.
    pub max_parent_mb: Option<u32>,
    /// A run is killed after this.
    pub timeout: Duration,
    /// How long workers of an interactive run stay after their work, so that a person can look at them.
    pub hold: Duration,
    /// Interpreters for Python systems, beside those that are found.
    pub pythons: Vec<PathBuf>,
    /// Systems of the user's own.
    pub systems: Vec<OwnSystem>,
}

/// Whose keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Preset {
    /// htop's.
    #[default]
    Htop,
    /// vim's movements and searches, htop's otherwise.
    Vim,
}

impl Preset {
    /// All.
    pub const ALL: [Self; 2] = [Self::Htop, Self::Vim];

    /// Its name in the config file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Htop => "htop",
            Self::Vim => "vim",
        }
    }
}

/// Everything that can be set, resolved and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Time between two samples.
    pub delay: Duration,
    /// Only these processes; empty: all.
    pub pids: Vec<i32>,
    /// Only this user's processes.
    pub user: Option<UserFilter>,
    /// Filter expression, not yet parsed.
    pub filter: Option<String>,
    /// Filters with names, checked.
    pub saved_filters: SavedFilters,
    /// Rows as a tree.
    pub tree: bool,
    /// A row for every thread.
    pub threads: bool,
    /// Show kernel threads.
    pub kernel_threads: bool,
    /// Whether commands begin with the directories of their programs.
    pub show_path: bool,
    /// Sorted by.
    pub sort: Sort,
    /// Columns in display order, each once.
    pub columns: Vec<&'static Column>,
    /// Meters of the header.
    pub meters: Meters,
    /// Where tasks are read from.
    pub source: SourceChoice,
    /// Where every sample is written to.
    pub record: Option<PathBuf>,
    /// The recording that is shown instead of this machine.
    pub replay: Option<PathBuf>,
    /// The hosts that are shown instead of this machine.
    pub hosts: Vec<String>,
    /// Whether everything that changes other processes is off.
    pub readonly: bool,
    /// Whether colours are used.
    pub color: bool,
    /// How many colours the terminal shows, as the config says or as was found out.
    pub color_depth: ColorDepth,
    /// Whether characters outside ASCII are drawn.
    pub unicode: bool,
    /// Name of the theme; who draws knows which there are.
    pub theme: String,
    /// Whether the mouse is captured.
    pub mouse: bool,
    /// Whether keys are answered before others have the CPUs, as far as the kernel lets this user.
    pub go_first: bool,
    /// Whose keys.
    pub keys: Preset,
    /// Whether what is copied goes to the terminal's clipboard.
    pub clipboard: bool,
    /// How long an ended process stays as a ghost.
    pub ghost: Duration,
    /// How many minutes of a live session are kept in memory.
    pub last_minutes: u32,
    /// Whether deadlocks are looked for in the background.
    pub find_deadlocks: bool,
    /// The lab's limits.
    pub lab: LabLimits,
    /// What in the file this version does not know, one sentence each with its place.
    pub warnings: Vec<String>,
    /// The file that was read, if there was one.
    pub path: Option<PathBuf>,
    /// The file that settings are saved to; `None` if there is no place for one.
    pub save_path: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(1),
            pids: Vec::new(),
            user: None,
            filter: None,
            saved_filters: SavedFilters::default(),
            tree: false,
            threads: false,
            kernel_threads: false,
            show_path: true,
            sort: Sort { column: default_column("cpu"), descending: true },
            meters: Meters::default(),
            columns: columns::DEFAULT.iter().map(|id| default_column(id)).collect(),
            source: SourceChoice::Auto,
            record: None,
            replay: None,
            hosts: Vec::new(),
            readonly: false,
            color: true,
            color_depth: ColorDepth::default(),
            unicode: true,
            theme: "default".to_owned(),
            mouse: true,
            go_first: true,
            keys: Preset::default(),
            clipboard: true,
            ghost: Duration::from_secs(3),
            last_minutes: 10,
            find_deadlocks: true,
            lab: LabLimits {
                max_workers: 256,
                max_parent_mb: None,
                timeout: Duration::from_secs(60),
                hold: Duration::from_secs(20),
                pythons: Vec::new(),
                systems: Vec::new(),
            },
            warnings: Vec::new(),
            path: None,
            save_path: None,
        }
    }
}

/// A column that a default names. `tests/pure/registries.rs` proves that all of them exist; the first column stands in if one did not.
fn default_column(id: &str) -> &'static Column {
    columns::find(id).unwrap_or(&columns::COLUMNS[0])
}

/// Why there is no config: bad usage, exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the config file {path}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a small text file.
    #[error("{path}: {why}")]
    NotConfig {
        /// Which.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// Something in the file is wrong.
    #[error("{path}:{line}:{column}: {why}")]
    InFile {
        /// Which.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1, in characters.
        column: usize,
        /// What, with the nearest valid word where there is one.
        why: String,
    },
    /// An argument is wrong.
    #[error("{flag}: {why}")]
    Argument {
        /// The flag as typed.
        flag: &'static str,
        /// What is wrong with its value.
        why: String,
    },
}

/// What the environment says; read once at the edge, so that tests can say something else.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `NO_COLOR` is set and not empty (no-color.org).
    pub no_color: bool,
    /// What the terminal says it shows.
    pub color_depth: ColorDepth,
    /// The locale's character set is UTF-8; `None`: no locale is set.
    pub utf8: Option<bool>,
    /// `$XDG_CONFIG_HOME` if it is absolute, else `$HOME/.config`.
    pub config_home: Option<PathBuf>,
}

impl Environment {
    /// This process's environment.
    #[must_use]
    pub fn of_process() -> Self {
        let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        let xdg = var("XDG_CONFIG_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(var);
        Self {
            no_color: var("NO_COLOR").is_some(),
            color_depth: {
                let text = |name: &str| var(name).map(|v| v.to_string_lossy().into_owned());
                ColorDepth::detect(text("TERM").as_deref(), text("COLORTERM").as_deref())
            },
            utf8: locale.map(|l| {
                let l = l.to_string_lossy().to_ascii_lowercase();
                l.contains("utf-8") || l.contains("utf8")
            }),
            config_home: xdg.or_else(|| var("HOME").map(|home| Path::new(&home).join(".config"))),
        }
    }
}

impl Config {
    /// The file, the environment and the arguments, checked.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place and how to mend it.
    pub fn load(low: &LowArgs, environment: &Environment) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        // No locale at all is the "C" locale; terminals there show UTF-8 nearly always, but old consoles and serial lines do not.
        config.color_depth = environment.color_depth;
        config.unicode = environment.utf8.unwrap_or(config.unicode);
        let default_path = environment.config_home.as_ref().map(|home| home.join("concmon").join("config.toml"));
        config.save_path = low.config.clone().or_else(|| default_path.clone());
        if let Some(text) = file::read(low.config.as_deref(), default_path.as_deref())? {
            config.apply_file(&text.path, &text.text)?;
            config.path = Some(text.path);
        }
        if environment.no_color {
            config.color = false;
        }
        config.resolve(low)
    }

    /// How many colours are drawn with.
    #[must_use]
    pub fn depth(&self) -> ColorDepth {
        if self.color { self.color_depth } else { ColorDepth::Mono }
    }

    /// Lays the arguments over the config.
    fn resolve(mut self, low: &LowArgs) -> Result<Self, ConfigError> {
        self.color &= !low.no_color;
        match &low.command {
            None => {
                let view = &low.view;
                self.select(&view.select)?;
                self.filter = view.filter.clone().or(self.filter);
                self.tree |= view.tree;
                self.threads |= view.threads;
                self.readonly |= view.readonly;
                self.set_sort(view.sort.as_deref())?;
            }
            Some(Command::Ps(ps)) => {
                self.select(&ps.select)?;
                self.filter = ps.filter.clone();
                self.tree = ps.tree;
                self.threads = ps.threads;
                self.set_sort(ps.sort.as_deref())?;
                if let Some(ids) = &ps.columns {
                    self.columns = ids.iter().map(|id| column(id)).collect::<Result<_, _>>().map_err(argument("--columns"))?;
                }
            }
            Some(Command::Stream(stream)) => {
                if let Some(secs) = stream.every {
                    self.delay = seconds(secs, keys::DELAY).map_err(argument("--every"))?;
                }
                if let Some(source) = stream.source {
                    self.source = source.into();
                }
            }
            Some(Command::Events(events)) => {
                if let Some(source) = events.source {
                    self.source = source.into();
                }
            }
            Some(
                Command::Lab { .. }
                | Command::Generate { .. }
                | Command::Run(_)
                | Command::Inspect(_)
                | Command::Profile(_)
                | Command::Trace(_)
                | Command::Problems(_)
                | Command::Why(_),
            ) => {}
        }
        Ok(self)
    }

    fn select(&mut self, args: &SelectArgs) -> Result<(), ConfigError> {
        if let Some(secs) = args.delay {
            self.delay = seconds(secs, keys::DELAY).map_err(argument("--delay"))?;
        }
        if !args.pids.is_empty() {
            self.pids.clone_from(&args.pids);
        }
        if let Some(name) = &args.user {
            self.user = Some(user(name).map_err(argument("--user"))?);
        }
        if let Some(source) = args.source {
            self.source = source.into();
        }
        self.record.clone_from(&args.record);
        self.replay.clone_from(&args.replay);
        self.hosts.clone_from(&args.hosts);
        if !self.hosts.is_empty() && !self.columns.iter().any(|column| column.id == "host") {
            self.columns.insert(0, default_column("host"));
        }
        Ok(())
    }

    fn set_sort(&mut self, arg: Option<&str>) -> Result<(), ConfigError> {
        if let Some(text) = arg {
            self.sort = sort(text).map_err(argument("--sort"))?;
        }
        Ok(())
    }
}

impl LabLimits {
    /// Refuses what `lab run` may not do under these limits, with the figures; the machine's own limits are the launcher's to check.
    ///
    /// # Errors
    /// The first argument beyond its limit.
    pub fn check(&self, args: &LabRunArgs) -> Result<(), ConfigError> {
        for &workers in &args.workers {
            self.check_workers(workers).map_err(argument("--workers"))?;
        }
        if let Some(mb) = args.parent_mb {
            self.check_parent_mb(mb).map_err(argument("--parent-mb"))?;
        }
        if let Some(secs) = args.timeout {
            seconds(secs, keys::TIMEOUT).map_err(argument("--timeout"))?;
        }
        if args.tasks == Some(0) {
            return Err(argument("--tasks")("a run needs at least 1 unit of work".to_owned()));
        }
        Ok(())
    }

    /// The launcher's view of these limits.
    #[must_use]
    pub fn to_launcher_limits(&self) -> Limits {
        let default = Limits::default();
        Limits { max_workers: self.max_workers, max_parent_mb: self.max_parent_mb.unwrap_or(default.max_parent_mb), ..default }
    }

    /// Refuses a number of workers.
    ///
    /// # Errors
    /// A sentence with the limit and the key that raises it.
    pub fn check_workers(&self, workers: u32) -> Result<(), String> {
        let max = self.max_workers;
        match workers {
            0 => Err(format!("a run needs at least 1 worker (and at most {max})")),
            n if n > max => {
                Err(format!("{n} workers exceed the limit of {max}; set lab.max_workers in the config file to change it"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a size of the parent.
    ///
    /// # Errors
    /// A sentence with the limit and the key that raises it.
    pub fn check_parent_mb(&self, mb: u32) -> Result<(), String> {
        match self.max_parent_mb {
            Some(max) if mb > max => Err(format!(
                "a parent of {mb} MiB exceeds the limit of {max} MiB; set lab.max_parent_mb in the config file to change it"
            )),
            _ => Ok(()),
        }
    }
}

fn argument(flag: &'static str) -> impl Fn(String) -> ConfigError {
    move |why| ConfigError::Argument { flag, why }
}

/// A column by its id.
pub(crate) fn column(id: &str) -> Result<&'static Column, String> {
    let id = id.trim();
    columns::find(id).ok_or_else(|| match columns::nearest(id) {
        Some(near) => format!("there is no column \"{id}\": did you mean \"{near}\"?"),
        None => format!("there is no column \"{id}\" (`concmon ps --columns help` lists them)"),
    })
}

/// `COL`, `COL:asc` or `COL:desc`.
fn sort(text: &str) -> Result<Sort, String> {
    let (id, direction) = text.split_once(':').map_or((text, None), |(id, direction)| (id, Some(direction)));
    let column = column(id)?;
    let descending = match direction {
        None => column.order == Order::Descending,
        Some("asc") => false,
        Some("desc") => true,
        Some(other) => return Err(format!("\"{other}\" is not a direction: write {id}:asc or {id}:desc")),
    };
    Ok(Sort { column, descending })
}

/// A duration within the key's range.
fn seconds(secs: f64, range: keys::Range) -> Result<Duration, String> {
    if secs >= range.min && secs <= range.max {
        Ok(Duration::from_secs_f64(secs))
    } else {
        Err(format!("{secs} is not between {} and {} seconds", range.min, range.max))
    }
}

/// How long a user's number is waited for: the user database may be a server that hangs.
const USER_PATIENCE: Duration = Duration::from_secs(5);

/// A user by name or number; a number needs no entry in the user database.
fn user(name: &str) -> Result<UserFilter, String> {
    let asked = crate::kernel::user_id(name, USER_PATIENCE);
    let uid = asked.ok().flatten().or_else(|| name.parse().ok());
    if uid.is_none() && asked.is_err() {
        return Err(format!(
            "the user database did not answer within {} s: give the number instead of \"{name}\"",
            USER_PATIENCE.as_secs()
        ));
    }
    uid.map(|uid| UserFilter { name: name.to_owned(), uid }).ok_or_else(|| format!("there is no user \"{name}\" on this machine"))
}

#[cfg(test)]
mod tests;
