//! CSV records (RFC 4180) that spreadsheets read as data: one line each, unknown values empty, and no cell that becomes a formula.
//!
//! The csv crate's engine quotes; which cells it must quote beyond the RFC is decided here, cell by cell.

use std::io::{self, Write};

use csv_core::{QuoteStyle, WriteResult, Writer, WriterBuilder};

use crate::text::{Charset, sanitize};

/// What ends a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// As the tools of a Unix shell expect it.
    Newline,
    /// As the RFC has it, for files that travel.
    CrLf,
}

/// Writes records to `out`.
#[derive(Debug)]
pub struct Csv<W> {
    out: W,
    end: LineEnd,
    /// Whether the next cell begins a record.
    first: bool,
}

impl<W: Write> Csv<W> {
    /// An empty file.
    pub fn new(out: W, end: LineEnd) -> Self {
        Self { out, end, first: true }
    }

    /// Adds a cell of any origin; control characters are shown as symbols.
    ///
    /// # Errors
    /// The writer's.
    pub fn cell(&mut self, text: &[u8]) -> io::Result<()> {
        let text = sanitize(text, Charset::Unicode);
        // The wide forms too: spreadsheets of some languages take them for the narrow ones. A number is no formula, though it has a sign.
        let formula = text.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) && text.parse::<f64>().is_err();
        // Some readers divide at semicolons, take apostrophes for quotes, or drop blanks at an end.
        let quoted = formula || text.contains([';', '\'']) || text.starts_with(' ') || text.ends_with(' ');
        if !std::mem::take(&mut self.first) {
            self.out.write_all(b",")?;
        }
        // The engine would quote it; an unknown value is nothing at all.
        if text.is_empty() {
            return Ok(());
        }
        let style = if quoted { QuoteStyle::Always } else { QuoteStyle::Necessary };
        let mut writer = WriterBuilder::new().quote_style(style).build();
        if formula {
            self.field(&mut writer, b"'")?;
        }
        self.field(&mut writer, text.as_bytes())?;
        let mut buffer = [0; 4];
        let (_, written) = writer.finish(&mut buffer);
        self.out.write_all(&buffer[..written])
    }

    /// Ends the record.
    ///
    /// # Errors
    /// The writer's.
    pub fn end(&mut self) -> io::Result<()> {
        self.first = true;
        self.out.write_all(if self.end == LineEnd::CrLf { b"\r\n" } else { b"\n" })
    }

    fn field(&mut self, writer: &mut Writer, mut input: &[u8]) -> io::Result<()> {
        let mut buffer = [0; 256];
        loop {
            let (result, read, written) = writer.field(input, &mut buffer);
            self.out.write_all(&buffer[..written])?;
            input = &input[read..];
            if result == WriteResult::InputEmpty {
                return Ok(());
            }
        }
    }
}

/// Whole records as a text with the RFC's line ends.
#[must_use]
pub fn text<R: AsRef<[String]>>(records: impl IntoIterator<Item = R>) -> String {
    let mut csv = Csv::new(Vec::new(), LineEnd::CrLf);
    for record in records {
        // Memory takes everything.
        let _ = record.as_ref().iter().try_for_each(|cell| csv.cell(cell.as_bytes())).and_then(|()| csv.end());
    }
    String::from_utf8_lossy(&csv.out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula_and_a_record_one_line() {
        let cells = ["=cmd(\"x\"),y", "-1.5", "a\nb", "plain", ""].map(str::to_owned);
        assert_eq!(text([cells]), "\"'=cmd(\"\"x\"\"),y\",-1.5,a␊b,plain,\r\n");
    }

    #[test]
    fn cells_that_readers_would_change_are_quoted_and_long_ones_are_whole() {
        let long = "\"".repeat(1_000);
        let cells = [" a", "b ", "c;=d", "it's", "-x", "＝1", &long].map(str::to_owned);
        let quotes = "\"".repeat(2_000);
        assert_eq!(text([cells]), format!("\" a\",\"b \",\"c;=d\",\"it's\",\"'-x\",\"'＝1\",\"{quotes}\"\r\n"));
        assert_eq!(text([[String::new()], [String::new()]]), "\r\n\r\n", "an unknown value is empty, alone too");
    }
}
