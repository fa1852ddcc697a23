//! The child that runs OpenSSH for one host: its output, the last line of its errors, and why it ended, in a sentence.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::host::Refusal;

/// The most bytes of an error's line, and of an answer, that are kept.
const MOST_LINE: usize = 300;

/// Prints which system the host has: asked after `concmon` was not found there.
pub(super) const SYSTEM: &str = "uname -s";

/// What is expected of concmon there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// Frames without end.
    Stream,
    /// One document.
    Answer,
}

/// A running OpenSSH. It is ended when dropped.
#[derive(Debug)]
pub(super) struct Ssh {
    child: Child,
    pub(super) out: Option<ChildStdout>,
    pub(super) errors: Option<ChildStderr>,
    last: LastLine,
    /// The beginning of the output.
    pub(super) begin: Vec<u8>,
}

/// The last line that is not empty, as far as it is kept.
#[derive(Debug, Default)]
struct LastLine {
    line: Vec<u8>,
    ended: bool,
}

impl LastLine {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => self.ended = !self.line.is_empty(),
                _ if std::mem::take(&mut self.ended) => self.line = vec![*byte],
                _ if self.line.len() < MOST_LINE => self.line.push(*byte),
                _ => {}
            }
        }
    }
}

impl Ssh {
    /// Starts it with a command for the shell of the host. It asks nothing: standard input is empty and BatchMode set; the user's ssh config
    /// and agent are used. `apart`: in a process group of its own, which keys that end or stop the viewer's job do not reach.
    pub(super) fn start(destination: &str, command: &str, apart: bool) -> Result<Self, String> {
        let mut ssh = Command::new("ssh");
        ssh.args(["-T", "-o", "BatchMode=yes", "--", destination, command]);
        ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if apart {
            ssh.process_group(0);
        }
        let mut child = ssh.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "ssh was not found on PATH: install an OpenSSH client".to_owned(),
            _ => format!("ssh cannot be started: {error}"),
        })?;
        let (out, errors) = (child.stdout.take(), child.stderr.take());
        let ssh = Self { child, out, errors, last: LastLine::default(), begin: Vec::new() };
        let nonblocking = |fd: BorrowedFd<'_>| {
            rustix::fs::fcntl_getfl(fd).and_then(|flags| rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK))
        };
        let fds = [ssh.out.as_ref().map(AsFd::as_fd), ssh.errors.as_ref().map(AsFd::as_fd)];
        let set = fds.into_iter().flatten().try_for_each(nonblocking);
        set.map_err(|error| format!("the output of ssh cannot be read: {error}"))?;
        Ok(ssh)
    }

    /// Reads some of its output; `None` if there is nothing now, 0 at the end.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> Option<usize> {
        let read = read(self.out.as_mut()?, bytes);
        if read == Some(0) {
            self.out = None;
        }
        let room = MOST_LINE.saturating_sub(self.begin.len());
        self.begin.extend_from_slice(&bytes[..read.unwrap_or(0).min(room)]);
        read
    }

    /// Reads what it says of errors.
    pub(super) fn read_errors(&mut self, bytes: &mut [u8]) {
        let Some(errors) = &mut self.errors else { return };
        match read(errors, bytes) {
            Some(0) => self.errors = None,
            Some(read) => self.last.add(&bytes[..read]),
            None => {}
        }
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Its last line of errors.
    pub(super) fn last_line(&self) -> String {
        String::from_utf8_lossy(&self.last.line).trim().to_owned()
    }

    /// The first line of its output.
    pub(super) fn first_line(&self) -> String {
        String::from_utf8_lossy(&self.begin).lines().next().unwrap_or_default().trim().to_owned()
    }
}

/// Waits until one of them has something to read or has ended its output; so long at most.
pub(super) fn wait<'a>(all: impl Iterator<Item = &'a Ssh>, longest: Duration) {
    let fds = all.flat_map(|ssh| {
        let fds: [Option<BorrowedFd<'_>>; 2] = [ssh.out.as_ref().map(AsFd::as_fd), ssh.errors.as_ref().map(AsFd::as_fd)];
        fds.into_iter().flatten()
    });
    let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    let longest = Timespec::try_from(longest).ok();
    // Interrupted or not: the caller looks at everything.
    let _ = poll(&mut fds, longest.as_ref());
}

/// Anything but "not now" is the end.
fn read(from: &mut impl std::io::Read, bytes: &mut [u8]) -> Option<usize> {
    match from.read(bytes) {
        Ok(read) => Some(read),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => None,
        Err(_) => Some(0),
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the host has to be asked for its system to say why.
pub(super) fn is_not_found(status: ExitStatus) -> bool {
    matches!(status.code(), Some(126 | 127))
}

/// Why there is no stream or answer, in a sentence. `system` is the answer to [`SYSTEM`]; `status` is `None` if ssh was given up.
pub(super) fn reason(expected: Expected, status: Option<ExitStatus>, last: &str, received: u64, system: Option<&str>) -> String {
    let last = last.strip_prefix("concmon: ").unwrap_or(last);
    let said = if last.is_empty() { String::new() } else { format!(": {last}") };
    let Some(status) = status else {
        return match expected {
            Expected::Stream => format!("nothing came for too long{said}"),
            Expected::Answer => format!("no answer came in time{said}"),
        };
    };
    if let Some(signal) = status.signal() {
        return format!("ssh was ended by signal {signal}{said}");
    }
    match (status.code().unwrap_or(0), system) {
        (126 | 127, Some(system)) if !system.is_empty() && system != "Linux" => {
            format!("the host runs {system}; concmon runs on Linux only")
        }
        (127, _) => "concmon was not found there: install it where commands of ssh find it (PATH)".to_owned(),
        (126, _) => format!("concmon cannot be executed there{said}"),
        (255, _) if received == 0 => format!("ssh failed{said}"),
        (255, _) => format!("the connection was lost{said}"),
        (2, _) if received == 0 && (last.starts_with(CLAP_BEGIN) || last.starts_with(CLAP_END)) => {
            let command = if expected == Expected::Stream { "streams" } else { "this command" };
            format!("concmon there is of another version, without {command}")
        }
        (3, _) if received == 0 => format!("concmon cannot read that machine{said}"),
        (0, _) if expected == Expected::Answer => format!("concmon there gave no answer{said}"),
        (code, _) if expected == Expected::Answer => format!("concmon there ended with exit code {code}{said}"),
        (0, _) => format!("the stream has ended{said}"),
        (code, _) => format!("the stream has ended with exit code {code}{said}"),
    }
}

/// How the errors of a command line begin and end that concmon does not know.
const CLAP_BEGIN: &str = "error: ";
const CLAP_END: &str = "For more information";

/// Why bytes that came are of no use, in a sentence.
pub(super) fn refused(refusal: &Refusal, begin: &[u8]) -> String {
    match refusal {
        Refusal::Stream(why) if why.contains("recording format") => {
            format!("concmon there is of another version: its stream {why}")
        }
        Refusal::Stream(why) if why.starts_with("is not a recording") => text_instead("stream", begin),
        Refusal::Stream(why) => format!("the stream {why}"),
        Refusal::Frame(why) => why.clone(),
    }
}

/// Text came in place of what concmon prints: its beginning, in a sentence.
pub(super) fn text_instead(of: &str, begin: &[u8]) -> String {
    let line = begin.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned();
    format!("what came is no {of} of concmon, but {line:?}: shell start-up files there may print text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_errors_the_last_line_is_kept_and_not_more_than_a_line() {
        let mut last = LastLine::default();
        last.add(b"Warning: added\r\n\nPermission den");
        last.add(b"ied (publickey).\n\n");
        assert_eq!(last.line, b"Permission denied (publickey).");
        (0..1000).for_each(|_| last.add(&[b'x'; 1000]));
        assert_eq!(last.line.len(), MOST_LINE);
    }

    #[test]
    fn each_way_to_end_has_its_sentence() {
        let code = |code: i32| Some(ExitStatus::from_raw(code << 8));
        for (status, last, received, system, said) in [
            (code(255), "box: Permission denied (publickey).", 0, None, "ssh failed: box: Permission denied (publickey)."),
            (code(255), "Connection reset", 9, None, "the connection was lost: Connection reset"),
            (code(127), "sh: concmon: not found", 0, Some("Linux"), "concmon was not found there"),
            (code(127), "zsh: command not found", 0, Some("Darwin"), "the host runs Darwin; concmon runs on Linux only"),
            (code(2), "error: unrecognized subcommand 'stream'", 0, None, "of another version"),
            (code(0), "", 9, None, "the stream has ended"),
            (None, "", 9, None, "nothing came for too long"),
        ] {
            let reason = reason(Expected::Stream, status, last, received, system);
            assert!(reason.contains(said), "{reason}");
        }
        for (status, last, said) in [
            (code(2), "For more information, try '--help'.", "concmon there is of another version, without this command"),
            (code(2), "concmon: config.toml: wrong", "concmon there ended with exit code 2: config.toml: wrong"),
            (code(3), "concmon: no /proc", "concmon cannot read that machine: no /proc"),
            (code(0), "", "concmon there gave no answer"),
            (None, "", "no answer came in time"),
        ] {
            assert_eq!(reason(Expected::Answer, status, last, 0, None), said);
        }
        let wrong = Refusal::Stream("has recording format 9; this concmon reads format 3".to_owned());
        assert!(refused(&wrong, b"").starts_with("concmon there is of another version"));
        let text = Refusal::Stream("is not a recording; ...".to_owned());
        assert!(refused(&text, b"Welcome!\nmore").contains("\"Welcome!\""));
    }
}
