//! Changes single keys of the config file; the rest, with comments and layout, stays unchanged.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use toml_edit::{Array, DocumentMut, Item, Value, value};

use super::{Config, file};

/// What a key is set to.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// A word.
    Text(String),
    /// A list of words.
    Texts(Vec<String>),
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(f64),
}

/// Why the file was not changed; it is then as it was.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// There is no place for it.
    #[error("no path for the config file: neither XDG_CONFIG_HOME nor HOME is set; use --config FILE")]
    NoPlace,
    /// It cannot be read or written.
    #[error("{path} was not changed: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file has an error for concmon, so that it is unknown what else a change would break.
    #[error("{path} was not changed because it has an error: {why}")]
    Mistake {
        /// Which file.
        path: PathBuf,
        /// Which mistake.
        why: String,
    },
}

/// Sets keys of the first table of the file at `path`, which is made, with its directory, if it is not there. The file is read again for
/// it: what another program has changed in it meanwhile stays.
///
/// # Errors
/// Why nothing was changed.
pub fn save(path: Option<&Path>, settings: &[(&str, Setting)]) -> Result<PathBuf, SaveError> {
    let path = path.ok_or(SaveError::NoPlace)?;
    let mistake = |why: String| SaveError::Mistake { path: path.to_owned(), why };
    let io = |source| SaveError::Io { path: path.to_owned(), source };
    let old = file::read(None, Some(path)).map_err(|e| mistake(e.to_string()))?.map_or_else(String::new, |file| file.text);
    let new = edited(&old, settings).map_err(mistake)?;
    // What would not be read again at the next start is not written.
    Config::default().apply_file(path, &new).map_err(|e| mistake(e.to_string()))?;
    if let Some(directory) = path.parent() {
        // As the XDG base directory specification wants it.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io)?;
    }
    write_whole(path, new.as_bytes()).map_err(io)?;
    Ok(path.to_owned())
}

/// The text with the settings in it.
fn edited(old: &str, settings: &[(&str, Setting)]) -> Result<String, String> {
    let mut document: DocumentMut = old.parse().map_err(|e: toml_edit::TomlError| e.message().to_owned())?;
    for (key, setting) in settings {
        let mut new = setting.to_value();
        match document.get_mut(key).and_then(Item::as_value_mut) {
            Some(old) => {
                // A comment behind the value belongs to the line, not to the value.
                *new.decor_mut() = old.decor().clone();
                *old = new;
            }
            None => drop(document.insert(key, value(new))),
        }
    }
    Ok(document.to_string())
}

impl Setting {
    fn to_value(&self) -> Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Texts(texts) => Value::Array(texts.iter().map(String::as_str).collect::<Array>()),
            Self::Flag(flag) => (*flag).into(),
            Self::Number(number) => (*number).into(),
        }
    }
}

/// Why [`write_whole`] would fail for this path as things are, one sentence; `None` if nothing speaks against it. Asked before anything is
/// done whose result is to be written there.
#[must_use]
pub fn cannot_write(path: &Path) -> Option<String> {
    use nix::unistd::{AccessFlags, access};
    let shown = path.display();
    match path.canonicalize() {
        Ok(there) if there.is_dir() => return Some(format!("{shown} is a directory; name a file")),
        Ok(there) if !there.is_file() => {
            return access(&there, AccessFlags::W_OK).err().map(|e| format!("cannot write to {shown}: {}", e.desc()));
        }
        Ok(_) | Err(_) => {}
    }
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let directory = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !directory.is_dir() {
        return Some(format!("cannot write {shown}: there is no directory {}", directory.display()));
    }
    let refused = access(directory, AccessFlags::W_OK | AccessFlags::X_OK).err()?;
    Some(format!("cannot write {shown}: {}: {}", directory.display(), refused.desc()))
}

/// Writes a file whole or not at all: beside the old one first, then in its place. What is no regular file (a terminal, a pipe) is written
/// to as it is; a symbolic link stays one.
///
/// # Errors
/// As the operating system says; the old file is then as it was.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_whole_with(path, |file| file.write_all(bytes))
}

/// The same for what is written in parts.
///
/// # Errors
/// As [`write_whole`], and those of `write`.
pub fn write_whole_with(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let target = match path.canonicalize() {
        Ok(there) if !there.is_file() => return write(&mut File::create(there)?),
        Ok(there) => there,
        // Not there yet.
        Err(_) => path.to_owned(),
    };
    let directory = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As permissive as the user's umask lets any new file be.
    let mut file =
        tempfile::Builder::new().prefix(".concmon-").permissions(Permissions::from_mode(0o666)).tempfile_in(directory)?;
    write(file.as_file_mut())?;
    file.as_file().sync_all()?;
    if let Ok(old) = target.metadata() {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.persist(&target).map_err(|e| e.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(old: &str, settings: &[(&str, Setting)]) -> String {
        edited(old, settings).unwrap()
    }

    #[test]
    fn comments_and_layout_stay() {
        let old = "# mine\ntheme   = \"light\"  # for the beamer\n\n# later\n[lab]\nhold_ms = 5 # short\n";
        let new = set(old, &[("theme", Setting::Text("mono".into())), ("tree", Setting::Flag(true))]);
        assert_eq!(new, "# mine\ntheme   = \"mono\"  # for the beamer\ntree = true\n\n# later\n[lab]\nhold_ms = 5 # short\n");
        let columns = Setting::Texts(vec!["pid".into(), "command".into()]);
        assert_eq!(
            set("", &[("columns", columns), ("delay", Setting::Number(0.5))]),
            "columns = [\"pid\", \"command\"]\ndelay = 0.5\n"
        );
    }

    #[test]
    fn a_file_with_a_mistake_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        for text in ["theme = ", "theme = 3\n"] {
            std::fs::write(&path, text).unwrap();
            let error = save(Some(&path), &[("tree", Setting::Flag(true))]).unwrap_err();
            assert!(error.to_string().contains("was not changed"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing half-done stays");
        assert!(matches!(save(None, &[]), Err(SaveError::NoPlace)));
    }

    #[test]
    fn keys_of_a_later_version_stay() {
        let old = "later = \"light\"\n\n[next]\nyear = 1\n";
        assert_eq!(set(old, &[("tree", Setting::Flag(true))]), "later = \"light\"\ntree = true\n\n[next]\nyear = 1\n");
    }

    #[test]
    fn the_first_save_makes_file_and_directory_for_the_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/concmon/config.toml");
        save(Some(&path), &[("tree", Setting::Flag(true))]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "tree = true\n");
        assert_eq!(path.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode_and_link() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        write_whole(&file, b"one").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_whole(&link, b"two").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        assert!(link.is_symlink());
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing half-done stays");
    }

    #[test]
    fn what_is_no_file_is_written_to_and_not_replaced() {
        write_whole(Path::new("/dev/null"), b"gone").unwrap();
        assert!(!Path::new("/dev/null").is_file());
        assert!(write_whole(Path::new("/nowhere/at/all"), b"").is_err());
    }

    #[test]
    fn what_cannot_be_written_is_known_before() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        write_whole(&file, b"one").unwrap();
        assert_eq!(cannot_write(&file), None);
        assert_eq!(cannot_write(&file.with_extension("new")), None);
        assert_eq!(cannot_write(Path::new("new-in-the-working-directory")), None);
        assert_eq!(cannot_write(Path::new("/dev/null")), None);
        let why = cannot_write(Path::new("/nowhere/at/all")).unwrap();
        assert_eq!(why, "cannot write /nowhere/at/all: there is no directory /nowhere/at");
        assert!(cannot_write(file.parent().unwrap()).unwrap().contains("is a directory"));
    }
}
