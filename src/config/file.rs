//! Reads the config file: finds, limits and parses it, and reports every error with line and column. A key that this version does not know
//! is a warning: the file may be shared with a later version.

use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, Key};
use super::systems;
use super::value::Fault;
use super::{Config, ConfigError};

/// A config file larger than this is not one.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// A file's text.
#[derive(Debug)]
pub(super) struct FileText {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// The file the user named, which must exist, or the usual one, which need not.
pub(super) fn read(named: Option<&Path>, usual: Option<&Path>) -> Result<Option<FileText>, ConfigError> {
    let Some(path) = named.or(usual) else { return Ok(None) };
    // Below another user's home, as after `su` without `-`, the usual file is not this user's: then not even stat(2) is permitted.
    let denied = |path: &Path| std::fs::metadata(path).is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied);
    if named.is_none() && denied(path) {
        return Ok(None);
    }
    match read_bounded(path) {
        Err(ConfigError::Unreadable { source, .. })
            if named.is_none() && matches!(source.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        other => other.map(Some),
    }
}

fn read_bounded(path: &Path) -> Result<FileText, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let not_config = |why| ConfigError::NotConfig { path: path.to_owned(), why };
    // Asked before it is opened: opening a FIFO would wait for a writer.
    if std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Err(not_config("this is a directory, not a config file"));
    }
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(not_config("this is not a regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(unreadable)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(not_config("the file is larger than 1 MiB"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(FileText { path: path.to_owned(), text }),
        Err(e) => {
            let valid = String::from_utf8_lossy(&e.as_bytes()[..e.utf8_error().valid_up_to()]).into_owned();
            Err(at(path, &valid, valid.len(), "invalid UTF-8 from here on".to_owned()))
        }
    }
}

impl Config {
    /// Lays a file's text over the config. Unknown keys become [`Config::warnings`].
    ///
    /// # Errors
    /// The first mistake in the file, in its order of lines.
    pub fn apply_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        // The parser's error already says what it expected; the place is said in our way, once for all errors.
        let document = DeTable::parse(text).map_err(|e| {
            let start = e.span().map_or(0, |span| span.start);
            at(path, text, start, e.message().replace('\n', ", "))
        })?;
        let mut found = Vec::new();
        for (name, value) in document.get_ref() {
            collect("", name, value, &mut found);
        }
        found.sort_by_key(|f| f.name_span.start);
        for entry in &found {
            let Some(key) = KEYS.iter().find(|k| k.section == entry.section && k.name == entry.name) else {
                self.warnings.push(at(path, text, entry.name_span.start, entry.unknown()).to_string());
                continue;
            };
            if key.path() == "lab.system" {
                let unknown = systems::unknown(entry.value.get_ref()).into_iter();
                self.warnings.extend(unknown.map(|(place, why)| at(path, text, place, why).to_string()));
            }
            let wrong = |fault: Fault| {
                let place = fault.at.unwrap_or(entry.value.span().start);
                at(path, text, place, format!("{}: {}", key.path(), fault.why))
            };
            (key.set)(self, entry.value.get_ref()).map_err(wrong)?;
        }
        Ok(())
    }
}

/// A key of the file with its value, or a name that is none.
struct Entry<'a, 'i> {
    section: &'a str,
    name: &'a str,
    name_span: Range<usize>,
    value: &'a Spanned<DeValue<'i>>,
}

/// One level of tables: those are the sections.
fn collect<'a, 'i>(
    section: &'a str,
    name: &'a Spanned<std::borrow::Cow<'i, str>>,
    value: &'a Spanned<DeValue<'i>>,
    out: &mut Vec<Entry<'a, 'i>>,
) {
    let table = value.get_ref().as_table().filter(|_| section.is_empty() && KEYS.iter().any(|k| k.section == name.get_ref()));
    match table {
        Some(table) => {
            for (inner, value) in table {
                collect(name.get_ref(), inner, value, out);
            }
        }
        None => out.push(Entry { section, name: name.get_ref(), name_span: name.span(), value }),
    }
}

impl Entry<'_, '_> {
    fn unknown(&self) -> String {
        let path = if self.section.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.section, self.name) };
        // A known name in the wrong table is the likeliest slip of all.
        if let Some(key) = KEYS.iter().find(|k| k.name == self.name) {
            return format!("unknown key \"{path}\": \"{}\" belongs {}", key.name, home(key));
        }
        match crate::text::nearest(self.name, KEYS, |k| k.name, 0.75) {
            Some(key) => format!("unknown key \"{path}\": did you mean \"{}\"?", key.path()),
            None => format!("unknown key \"{path}\" (config.example.toml lists those of this version)"),
        }
    }
}

fn home(key: &Key) -> String {
    if key.section.is_empty() { "before the first [table]".to_owned() } else { format!("under [{}]", key.section) }
}

fn at(path: &Path, text: &str, offset: usize, why: String) -> ConfigError {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    ConfigError::InFile { path: path.to_owned(), line, column, why }
}
