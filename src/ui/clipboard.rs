//! The terminal's clipboard (OSC 52): works over ssh and without a display server. The terminal does not report whether it allows it.

use crossterm::Command as _;
use crossterm::clipboard::CopyToClipboard;

/// The bytes that put a text into the terminal's clipboard.
///
/// tmux takes the plain sequence with `set-clipboard on`, and hands a wrapped one to the terminal around it with `allow-passthrough on`;
/// each is dropped without a trace where it is not allowed, so it gets both.
#[must_use]
pub fn sequence(text: &str, in_tmux: bool) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = CopyToClipboard::to_clipboard_from(text).write_ansi(&mut out);
    if in_tmux {
        let wrapped = out.replace('\x1b', "\x1b\x1b");
        out.push_str("\x1bPtmux;");
        out.push_str(&wrapped);
        out.push_str("\x1b\\");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sequence_itself_reaches_the_terminal() {
        assert_eq!(sequence("hello", false), "\x1b]52;c;aGVsbG8=\x1b\\");
        let hostile = sequence("\x1b[31m\x07\x1b\\ rm -rf", false);
        assert_eq!(hostile.matches('\x1b').count(), 2, "what is copied is base64: {hostile:?}");
        assert!(!hostile.contains('\x07'));
    }

    #[test]
    fn tmux_gets_it_for_itself_and_for_the_terminal_around_it() {
        let both = sequence("hello", true);
        assert_eq!(both, "\x1b]52;c;aGVsbG8=\x1b\\\x1bPtmux;\x1b\x1b]52;c;aGVsbG8=\x1b\x1b\\\x1b\\");
    }
}
