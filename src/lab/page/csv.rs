//! CSV records (RFC 4180) of the reports.

use crate::text::{Charset, sanitize_str};

/// A record with its line end.
#[must_use]
pub fn csv_record(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
    cells.join(",") + "\r\n"
}

/// A cell on one line. What a spreadsheet would take for a formula is kept text; a number is none, though it begins with a sign.
fn quoted(text: &str) -> String {
    let text = sanitize_str(text, Charset::Unicode);
    // The wide forms too: spreadsheets of some languages take them for the narrow ones.
    let formula = text.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) && text.parse::<f64>().is_err();
    let guard = if formula { "'" } else { "" };
    if formula || text.contains([',', '"', ';', '\'']) || text.starts_with(' ') || text.ends_with(' ') {
        return format!("\"{guard}{}\"", text.replace('"', "\"\""));
    }
    text.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula_and_a_record_one_line() {
        let cells = ["=cmd(\"x\"),y", "-1.5", "a\nb", "plain", ""].map(str::to_owned);
        assert_eq!(csv_record(&cells), "\"'=cmd(\"\"x\"\"),y\",-1.5,a␊b,plain,\r\n");
    }
}
