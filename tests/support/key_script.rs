//! Translates key names to the bytes that a terminal sends (xterm's, which crossterm reads).

/// The bytes of a script: names and single characters divided by blanks, text in single quotes, `C-z` for Ctrl.
///
/// `bytes("/ 'marker' Enter F9")` searches for "marker" and presses F9.
pub fn bytes(script: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = script.trim_start();
    while !rest.is_empty() {
        let end = match rest.strip_prefix('\'') {
            Some(text) => {
                let close = text.find('\'').expect("a closing quote");
                out.extend_from_slice(&text.as_bytes()[..close]);
                close + 2
            }
            None => {
                let end = rest.find(' ').unwrap_or(rest.len());
                out.extend_from_slice(&key(&rest[..end]));
                end
            }
        };
        rest = rest[end..].trim_start();
    }
    out
}

fn key(name: &str) -> Vec<u8> {
    let fixed: &[u8] = match name {
        "Enter" => b"\r",
        // As CSI u, which is whole in itself: a lone ESC right before the next key is Alt with that key, on any terminal.
        "Esc" => b"\x1b[27u",
        "Tab" => b"\t",
        "S-Tab" => b"\x1b[Z",
        "Space" => b" ",
        "Backspace" => b"\x7f",
        "Up" => b"\x1b[A",
        "Down" => b"\x1b[B",
        "Right" => b"\x1b[C",
        "Left" => b"\x1b[D",
        "Home" => b"\x1b[H",
        "End" => b"\x1b[F",
        "PgUp" => b"\x1b[5~",
        "PgDn" => b"\x1b[6~",
        "F1" => b"\x1bOP",
        "F2" => b"\x1bOQ",
        "F3" => b"\x1bOR",
        "F4" => b"\x1bOS",
        "F5" => b"\x1b[15~",
        "F6" => b"\x1b[17~",
        "F7" => b"\x1b[18~",
        "F8" => b"\x1b[19~",
        "F9" => b"\x1b[20~",
        "F10" => b"\x1b[21~",
        _ => &[],
    };
    if !fixed.is_empty() {
        return fixed.to_vec();
    }
    match name.strip_prefix("C-").map(str::as_bytes) {
        Some([letter @ b'a'..=b'z']) => vec![letter - b'a' + 1],
        _ => {
            assert_eq!(name.chars().count(), 1, "there is no key {name:?}");
            name.as_bytes().to_vec()
        }
    }
}

/// A press and release of the left button on a cell (from 0), as SGR mouse reports.
pub fn click(row: u16, column: u16) -> Vec<u8> {
    let (x, y) = (column + 1, row + 1);
    format!("\x1b[<0;{x};{y}M\x1b[<0;{x};{y}m").into_bytes()
}

/// One step of the wheel on a cell (from 0).
pub fn wheel(row: u16, column: u16, down: bool) -> Vec<u8> {
    format!("\x1b[<{};{};{}M", if down { 65 } else { 64 }, column + 1, row + 1).into_bytes()
}
