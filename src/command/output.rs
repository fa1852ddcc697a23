//! Standard output of the commands: buffered, and as wide as its terminal if it is one.

use std::fs::Permissions;
use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Gives `write` a buffered standard output and sees to it that all of it has gone out.
pub(super) fn with_stdout(write: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    write(&mut out)?;
    out.flush()
}

/// Writes a file whole or not at all: beside the old one first, then in its place. What is no regular file (a terminal, a pipe) is written
/// to as it is; a symbolic link stays one.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = match path.canonicalize() {
        Ok(there) if !there.is_file() => return std::fs::write(there, bytes),
        Ok(there) => there,
        // Not there yet.
        Err(_) => path.to_owned(),
    };
    let directory = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As permissive as the user's umask lets any new file be.
    let mut file =
        tempfile::Builder::new().prefix(".concmon-").permissions(Permissions::from_mode(0o666)).tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    if let Ok(old) = target.metadata() {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.persist(&target).map_err(|e| e.error)?;
    Ok(())
}

/// Cells of a line, if standard output is a terminal.
pub(super) fn terminal_width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    crossterm::terminal::size().ok().map(|(columns, _)| usize::from(columns)).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
