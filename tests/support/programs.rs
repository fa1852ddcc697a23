//! Programs that tests start from files of their own.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// Copies a program. Another process does it: while this one has a program open for writing, a child that another test forks has it open
/// too, and executing it fails with ETXTBSY (execve(2)).
pub fn copy(from: impl AsRef<OsStr>, to: impl AsRef<Path>) {
    let status = Command::new("cp").arg("-T").arg("--").arg(from).arg(to.as_ref()).status();
    assert!(status.expect("cp of coreutils").success(), "a copy at {}", to.as_ref().display());
}

/// Writes an executable script, through another process for the same reason.
pub fn script(to: impl AsRef<Path>, text: &str) {
    use std::io::Write as _;
    let mut tee = Command::new("sh")
        .args(["-c", "cat >\"$0\" && chmod 755 \"$0\""])
        .arg(to.as_ref())
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh starts");
    tee.stdin.take().expect("its input").write_all(text.as_bytes()).expect("sh reads");
    assert!(tee.wait().expect("sh ends").success(), "a script at {}", to.as_ref().display());
}
