//! Standard output of the commands: buffered, with the width of its terminal.

use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write as _};

/// Gives `write` a buffered standard output and sees to it that all of it has gone out.
pub(super) fn with_stdout(write: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    write(&mut out)?;
    out.flush()
}

/// Cells of a line, if standard output is a terminal.
pub(super) fn terminal_width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    crossterm::terminal::size().ok().map(|(columns, _)| usize::from(columns)).filter(|columns| *columns > 0)
}
