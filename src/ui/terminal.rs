//! Sets up the terminal (raw mode, alternate screen, mouse) and restores it when its guard is dropped.
//!
//! All paths use the same restore function. It may run twice and in a panic hook, and it ignores a terminal that is gone.

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::Command;
use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use crossterm::style::ResetColor;
use crossterm::terminal::{EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

/// How the terminal is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalOptions {
    /// Report clicks and the wheel.
    pub mouse: bool,
}

/// Why there is no terminal to draw on.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// Standard output is a pipe or a file.
    #[error("standard output is not a terminal; for scripts and pipes use `concmon ps`")]
    NotATerminal,
    /// `TERM` is unset or says that the terminal can do nothing.
    #[error("{0}: set TERM (xterm-256color suits most terminals), or use `concmon ps`")]
    NoCapabilities(&'static str),
    /// It reports a size that no screen has.
    #[error(
        "the terminal reports {columns} x {rows} cells; {MOST_CELLS} cells are the most that are drawn: set its size with stty(1)"
    )]
    TooLarge {
        /// Its width, cells.
        columns: u16,
        /// Its height, cells.
        rows: u16,
    },
    /// The terminal refused.
    #[error("cannot set up the terminal ({0}); for scripts and pipes use `concmon ps`")]
    Io(#[from] io::Error),
}

/// Whether the terminal is ours now: what makes every way back run once.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, ours until this is dropped.
#[derive(Debug)]
pub struct TerminalGuard {
    options: TerminalOptions,
}

impl TerminalGuard {
    /// Checks that there is a terminal, takes it, and sees to it that a panic gives it back before its message is printed.
    ///
    /// # Errors
    /// [`TerminalError`], with the terminal as it was.
    pub fn enter(options: TerminalOptions) -> Result<Self, TerminalError> {
        present()?;
        give_back_on_panic();
        let guard = Self { options };
        guard.take()?;
        Ok(guard)
    }

    /// Gives the terminal back; nothing happens if it has been given back already.
    pub fn leave(&mut self) {
        give_back();
    }

    /// Takes it again after [`TerminalGuard::leave`]. The caller must draw everything again.
    ///
    /// # Errors
    /// If the terminal refuses.
    pub fn reenter(&mut self) -> io::Result<()> {
        self.take()
    }

    /// Whether the terminal is ours. It is not after a panic in another thread: drawing would then spoil the message.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        TAKEN.load(Ordering::SeqCst)
    }

    fn take(&self) -> io::Result<()> {
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        let entered = write_all(io::stdout().as_fd(), entry_sequence(self.options).as_bytes());
        if entered.is_err() {
            give_back();
        }
        entered
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back if it is ours.
pub fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // What is left in the buffer must not come after the way out. A panicking thread may hold the buffer: it is left alone then.
    if !std::thread::panicking() {
        let _ = io::stdout().flush();
    }
    // A terminal that is gone (EIO) cannot be restored and needs no restoring.
    let _ = write_all(io::stdout().as_fd(), exit_sequence().as_bytes());
    let _ = disable_raw_mode();
}

/// Gives the terminal back as far as it takes bytes now, even if another write to it blocks: for a program that is to end at once.
pub fn give_back_without_waiting() {
    // A descriptor of its own: the flag would otherwise be the shell's too.
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    if TAKEN.swap(false, Ordering::SeqCst)
        && let Ok(terminal) = open("/dev/tty", flags, Mode::empty())
    {
        let _ = write_all(terminal.as_fd(), exit_sequence().as_bytes());
    }
    // Modes are set without a byte being written; they are left alone if they were never changed.
    let _ = disable_raw_mode();
}

fn give_back_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let next = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            next(panic);
        }));
    });
}

/// Whether there is a terminal that a monitor can be drawn on.
///
/// # Errors
/// [`TerminalError`] if there is none.
pub fn present() -> Result<(), TerminalError> {
    check(io::stdout().is_terminal(), std::env::var_os("TERM").as_deref())?;
    can_be_drawn()
}

/// The most cells that are drawn: each takes some 80 bytes.
const MOST_CELLS: u64 = 4_000_000;

/// Whether the terminal is of a size that can be drawn.
///
/// # Errors
/// If it says that it is larger than any screen.
pub fn can_be_drawn() -> Result<(), TerminalError> {
    match crossterm::terminal::size() {
        Ok((columns, rows)) if u64::from(columns) * u64::from(rows) > MOST_CELLS => {
            Err(TerminalError::TooLarge { columns, rows })
        }
        _ => Ok(()),
    }
}

/// Whether the terminal is that of this program's job. Another job that sets it up is stopped by the kernel (SIGTTOU).
#[must_use]
pub fn is_in_foreground() -> bool {
    rustix::termios::tcgetpgrp(io::stdout()).map_or(true, |group| group == rustix::process::getpgrp())
}

fn check(stdout_is_terminal: bool, term: Option<&OsStr>) -> Result<(), TerminalError> {
    if !stdout_is_terminal {
        return Err(TerminalError::NotATerminal);
    }
    match term.map(OsStr::as_encoded_bytes) {
        None | Some(b"") => Err(TerminalError::NoCapabilities("TERM is not set")),
        Some(b"dumb") => Err(TerminalError::NoCapabilities("TERM is \"dumb\": the terminal cannot move its cursor")),
        Some(_) => Ok(()),
    }
}

fn entry_sequence(options: TerminalOptions) -> String {
    let mut out = String::new();
    add(&mut out, EnterAlternateScreen);
    add(&mut out, Hide);
    // What is pasted must come as a text, not as keys: a line with a "k" and its end could send a signal.
    add(&mut out, EnableBracketedPaste);
    if options.mouse {
        add(&mut out, EnableMouseCapture);
    }
    out
}

/// Undoes everything concmon ever turns on, whether or not it is on.
fn exit_sequence() -> String {
    let mut out = String::new();
    add(&mut out, EndSynchronizedUpdate);
    add(&mut out, ResetColor);
    add(&mut out, DisableMouseCapture);
    add(&mut out, DisableBracketedPaste);
    add(&mut out, LeaveAlternateScreen);
    add(&mut out, Show);
    out
}

fn add(out: &mut String, command: impl Command) {
    // Writing to a String does not fail.
    let _ = command.write_ansi(out);
}

/// Past the standard library's buffer and its lock, which another thread or the panicking one may hold.
pub(super) fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(fd, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_terminal_is_refused_with_the_way_out() {
        for (stdout, term, want) in [
            (false, Some("xterm"), "standard output is not a terminal"),
            (true, None, "TERM is not set"),
            (true, Some(""), "TERM is not set"),
            (true, Some("dumb"), "TERM is \"dumb\""),
        ] {
            let error = check(stdout, term.map(OsStr::new)).unwrap_err().to_string();
            assert!(error.starts_with(want) && error.ends_with("`concmon ps`"), "{error}");
        }
        assert!(check(true, Some(OsStr::new("xterm-256color"))).is_ok());
    }

    #[test]
    fn the_way_out_undoes_the_way_in() {
        let mut screen = vt100::Parser::new(5, 20, 0);
        screen.process(b"before");
        screen.process(entry_sequence(TerminalOptions { mouse: true }).as_bytes());
        assert!(screen.screen().alternate_screen() && screen.screen().hide_cursor());
        assert!(screen.screen().bracketed_paste());
        assert_ne!(screen.screen().mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        screen.process(b"\x1b[31mframe");
        for _ in 0..2 {
            screen.process(exit_sequence().as_bytes());
            let now = screen.screen();
            assert!(!now.alternate_screen() && !now.hide_cursor() && !now.bracketed_paste());
            assert_eq!(now.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
            assert_eq!(now.contents(), "before");
            assert_eq!(now.fgcolor(), vt100::Color::Default);
        }
    }

    #[test]
    fn giving_back_what_was_not_taken_does_nothing() {
        assert!(!TAKEN.load(Ordering::SeqCst));
        give_back();
        assert!(!TAKEN.load(Ordering::SeqCst));
    }

    #[test]
    fn a_terminal_that_is_gone_is_an_error_and_not_a_loop() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        drop(reader);
        // SIGPIPE is ignored in Rust programs.
        assert_eq!(write_all(writer.as_fd(), b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
