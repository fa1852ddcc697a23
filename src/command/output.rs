//! Standard output of the commands: buffered, with the width of its terminal.

use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write as _};

use crate::text::wrap;

/// Gives `write` a buffered standard output and sees to it that all of it has gone out.
pub(super) fn with_stdout(write: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    write(&mut out)?;
    out.flush()
}

/// Writes to standard error. Without one the text is lost.
pub(super) fn to_stderr(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// A text after a label, in lines of at most `cells`; the further lines begin below the text. One line where the output is no terminal.
pub(super) fn hanging(label: &str, text: &str, cells: Option<usize>) -> String {
    let indent = crate::text::width(label);
    let Some(room) = cells.map(|cells| cells.saturating_sub(indent)).filter(|room| *room >= LEAST) else {
        return format!("{label}{text}");
    };
    wrap(text, room).iter().enumerate().fold(String::new(), |lines, (at, line)| match at {
        0 => format!("{label}{line}"),
        _ => format!("{lines}\n{:indent$}{line}", ""),
    })
}

/// Cells below which a text is not broken: the terminal does it.
const LEAST: usize = 20;

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
    fn a_text_is_broken_at_the_terminals_width_and_hangs_below_its_beginning() {
        let text = "one two three four five six seven eight nine ten eleven twelve";
        let lines = hanging("  name  ", text, Some(40));
        assert!(lines.lines().all(|line| line.len() <= 40), "{lines}");
        assert!(lines.lines().skip(1).all(|line| line.starts_with("        ") && !line.starts_with("         ")), "{lines}");
        assert_eq!(lines.split_whitespace().skip(1).collect::<Vec<_>>().join(" "), text, "no word is lost");
        assert_eq!(hanging("  name  ", text, None), format!("  name  {text}"), "a pipe gets whole lines");
    }
}
