//! The sanitiser for bytes of other processes, and text widths in terminal cells. It uses no other module.
//!
//! Other users choose names, command lines, environments and paths. Drawn unchanged, they could move the cursor, change the title, reverse a
//! line or hide part of a name. This module makes every such character visible.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr as _};

/// Of all things the one whose name is most like a mistyped word, if one is more like it than `least` (0 to 1, Jaro-Winkler).
pub fn nearest<T>(word: &str, all: impl IntoIterator<Item = T>, name: impl Fn(&T) -> &str, least: f64) -> Option<T> {
    let scored = all.into_iter().map(|one| (strsim::jaro_winkler(word, name(&one)), one)).filter(|(score, _)| *score > least);
    scored.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, one)| one)
}

/// What may be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Charset {
    /// Everything printable; controls as their pictures (`␛`).
    #[default]
    Unicode,
    /// ASCII only; everything else as an escape (`\x1b`, `\u{e9}`).
    Ascii,
}

impl Charset {
    /// The charset for the config's `unicode` key.
    #[must_use]
    pub fn from_unicode(unicode: bool) -> Self {
        if unicode { Self::Unicode } else { Self::Ascii }
    }

    /// Stands for what was cut off; one cell.
    #[must_use]
    pub fn ellipsis(self) -> char {
        match self {
            Self::Unicode => '…',
            Self::Ascii => '~',
        }
    }
}

/// Marks that may pile up on one character; accents of real words have two at most (Vietnamese), a tower of marks would climb into
/// the lines above.
const MOST_MARKS: usize = 2;

/// The bytes as text that is safe to draw: one line, no controls, nothing invisible, no change of direction.
///
/// Printable ASCII, which nearly everything is, is returned as it is.
#[must_use]
pub fn sanitize(bytes: &[u8], charset: Charset) -> Cow<'_, str> {
    if let Some(text) = printable_ascii(bytes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len() + 8);
    let mut marks = MOST_MARKS;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            marks = push(&mut out, c, charset, marks);
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
            marks = 0;
        }
    }
    Cow::Owned(out)
}

/// Text of other processes that has already been decoded: see [`sanitize`].
#[must_use]
pub fn sanitize_str(text: &str, charset: Charset) -> Cow<'_, str> {
    sanitize(text.as_bytes(), charset)
}

/// [`sanitize`] and [`truncate`] in one, in time that depends on the cells and not on the length of the bytes.
#[must_use]
pub fn fit(bytes: &[u8], cells: usize, charset: Charset) -> Cow<'_, str> {
    // One cell takes at most a character and its marks: 4 bytes each. What a cut through a character leaves lies beyond the cells.
    let enough = cells.saturating_add(2).saturating_mul(4 * (1 + MOST_MARKS));
    match sanitize(&bytes[..bytes.len().min(enough)], charset) {
        Cow::Borrowed(text) => truncate(text, cells, charset),
        Cow::Owned(text) => Cow::Owned(truncate(&text, cells, charset).into_owned()),
    }
}

/// [`fit`], but what is cut stands before the last word that begins with a digit, so that a PID at the end stays whole:
/// `reads pipe from PID 4194304` becomes `reads pip…PID 4194304`.
#[must_use]
pub fn fit_with_number(bytes: &[u8], cells: usize, charset: Charset) -> Cow<'_, str> {
    let text = sanitize(bytes, charset);
    if width(&text) <= cells {
        return text;
    }
    let words: Vec<usize> = text.match_indices(' ').map(|(at, _)| at + 1).collect();
    let Some(number) = words.iter().position(|at| text[*at..].starts_with(|c: char| c.is_ascii_digit())) else {
        return Cow::Owned(truncate(&text, cells, charset).into_owned());
    };
    // With the word before it where there is room, alone otherwise.
    let tails = number.checked_sub(1).into_iter().chain([number]).map(|word| &text[words[word]..]);
    match tails.into_iter().find(|tail| width(tail) + 2 <= cells) {
        Some(tail) => {
            let head = truncate(&text, cells - width(tail), charset);
            Cow::Owned(format!("{head}{tail}"))
        }
        None => Cow::Owned(truncate(&text, cells, charset).into_owned()),
    }
}

/// Cuts to at most `cells` cells between graphemes, with an ellipsis in the last cell if anything was cut.
#[must_use]
pub fn truncate(text: &str, cells: usize, charset: Charset) -> Cow<'_, str> {
    if printable_ascii(text.as_bytes()).is_some() {
        if text.len() <= cells {
            return Cow::Borrowed(text);
        }
        return cells.checked_sub(1).map_or(Cow::Borrowed(""), |keep| with_ellipsis(&text[..keep], charset));
    }
    if width(text) <= cells {
        return Cow::Borrowed(text);
    }
    let Some(room) = cells.checked_sub(1) else { return Cow::Borrowed("") };
    let mut end = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        let next = at + grapheme.len();
        // Measured as a whole: what follows can change the width of what stands before.
        if width(&text[..next]) > room {
            break;
        }
        end = next;
    }
    with_ellipsis(&text[..end], charset)
}

/// How many terminal cells the text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

fn with_ellipsis(kept: &str, charset: Charset) -> Cow<'static, str> {
    let mut out = String::with_capacity(kept.len() + 3);
    out.push_str(kept);
    out.push(charset.ellipsis());
    Cow::Owned(out)
}

fn printable_ascii(bytes: &[u8]) -> Option<&str> {
    if bytes.iter().all(|b| (b' '..=b'~').contains(b)) { std::str::from_utf8(bytes).ok() } else { None }
}

/// Adds one character; returns how many marks may follow it.
fn push(out: &mut String, c: char, charset: Charset, marks: usize) -> usize {
    if (' '..='~').contains(&c) {
        out.push(c);
        return MOST_MARKS;
    }
    let hidden = c.is_control() || is_invisible(c) || is_emoji_modifier(c);
    match (charset, c.width()) {
        (Charset::Unicode, Some(1..)) if !hidden => {
            out.push(c);
            MOST_MARKS
        }
        // A mark on a character; the first of a line has nothing to stand on.
        (Charset::Unicode, Some(0)) if !hidden && marks > 0 && !out.is_empty() => {
            out.push(c);
            marks - 1
        }
        _ => {
            escape(out, c, charset);
            0
        }
    }
}

fn escape(out: &mut String, c: char, charset: Charset) {
    let code = u32::from(c);
    let picture = match code {
        0..=0x1f => char::from_u32(0x2400 + code),
        0x7f => Some('␡'),
        _ => None,
    };
    let _ = match (charset, picture) {
        (Charset::Unicode, Some(picture)) => write!(out, "{picture}"),
        (Charset::Ascii, _) if c == '\n' => write!(out, "\\n"),
        (Charset::Ascii, _) if c == '\t' => write!(out, "\\t"),
        _ if code < 0x80 => write!(out, "\\x{code:02x}"),
        _ => write!(out, "\\u{{{code:x}}}"),
    };
}

/// Characters that draw nothing, change the direction, end a line or join their neighbours: Unicode's default-ignorable code points
/// (DerivedCoreProperties.txt), the line and paragraph separators, and the interlinear annotation marks.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(u32::from(c),
        0xad | 0x34f | 0x61c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f | 0x2028..=0x202e
        | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb | 0x1bca0..=0x1bca3
        | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff)
}

/// Skin tones: some terminals colour the character before with them, others give them two cells of their own, and all that follows
/// would stand beside its column.
fn is_emoji_modifier(c: char) -> bool {
    matches!(c, '\u{1f3fb}'..='\u{1f3ff}')
}

/// Words in lines of at most `cells` cells; a longer word has a line of its own.
#[must_use]
pub fn wrap(words: &str, cells: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split_whitespace() {
        let line = lines.last_mut().map_or(0, |l| width(l));
        if line > 0 && line + 1 + width(word) > cells {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn printable_ascii_is_not_copied() {
        assert!(matches!(sanitize(b"python3 -m http.server", Charset::Unicode), Cow::Borrowed("python3 -m http.server")));
        assert!(matches!(fit(b"bash", 4, Charset::Ascii), Cow::Borrowed("bash")));
    }

    #[test]
    fn hostile_names_become_visible() {
        for (bytes, unicode, ascii) in [
            (&b"\x1b[2J\x1b]0;owned\x07"[..], "␛[2J␛]0;owned␇", "\\x1b[2J\\x1b]0;owned\\x07"),
            (b"a\nb\tc\r\0\x7f", "a␊b␉c␍␀␡", "a\\nb\\tc\\x0d\\x00\\x7f"),
            (b"\xff\xfe\xc3", "\\xff\\xfe\\xc3", "\\xff\\xfe\\xc3"),
            ("\u{9b}31m".as_bytes(), "\\u{9b}31m", "\\u{9b}31m"),
            ("safe\u{202e}exe.".as_bytes(), "safe\\u{202e}exe.", "safe\\u{202e}exe."),
            ("a\u{200b}\u{200d}\u{feff}b".as_bytes(), "a\\u{200b}\\u{200d}\\u{feff}b", "a\\u{200b}\\u{200d}\\u{feff}b"),
            ("caf\u{e9}, 進程".as_bytes(), "café, 進程", "caf\\u{e9}, \\u{9032}\\u{7a0b}"),
        ] {
            assert_eq!(sanitize(bytes, Charset::Unicode), unicode);
            assert_eq!(sanitize(bytes, Charset::Ascii), ascii);
        }
    }

    #[test]
    fn marks_do_not_pile_up() {
        let tower = format!("a{}b", "\u{301}".repeat(40));
        let shown = sanitize_str(&tower, Charset::Unicode);
        assert_eq!(shown.matches('\u{301}').count(), MOST_MARKS);
        assert!(sanitize_str("\u{301}a", Charset::Unicode).starts_with("\\u{301}"), "nothing to stand on");
    }

    #[test]
    fn a_pid_is_not_cut_off() {
        for (text, cells, shown) in [
            ("waits for child 4194304", 22, "waits fo…child 4194304"),
            ("reads pipe from PID 4194304 +12", 22, "reads …PID 4194304 +12"),
            ("file lock of PID 4194304", 22, "file lock…PID 4194304"),
            ("file lock of PID 4194304", 10, "f…4194304"),
            ("waits for child 4194304", 40, "waits for child 4194304"),
            ("asynchronous io of another", 22, "asynchronous io of an…"),
            ("poll, 123 fds", 4, "pol…"),
        ] {
            let fitted = fit_with_number(text.as_bytes(), cells, Charset::Unicode);
            assert!(width(&fitted) <= cells, "{fitted}");
            if shown.chars().count() == cells || text == shown {
                assert_eq!(fitted, shown);
            }
            let whole = cells < 9 || !text.contains("4194304") || fitted.contains("4194304");
            assert!(whole, "{text} in {cells}: {fitted}");
        }
    }

    #[test]
    fn cuts_are_between_graphemes_and_show() {
        assert_eq!(truncate("postgres", 8, Charset::Unicode), "postgres");
        assert_eq!(truncate("postgres", 5, Charset::Unicode), "post…");
        assert_eq!(truncate("postgres", 5, Charset::Ascii), "post~");
        assert_eq!(truncate("postgres", 0, Charset::Ascii), "");
        assert_eq!(truncate("進程管理", 6, Charset::Unicode), "進程…", "a wide character is not halved");
        assert_eq!(truncate("e\u{301}e\u{301}e\u{301}", 2, Charset::Unicode), "e\u{301}…");
    }

    #[test]
    fn a_long_command_line_costs_what_is_shown() {
        let long = "é".repeat(2_000_000);
        let begun = std::time::Instant::now();
        assert_eq!(width(&fit(long.as_bytes(), 80, Charset::Unicode)), 80);
        assert!(begun.elapsed() < std::time::Duration::from_millis(50), "{:?}", begun.elapsed());
    }

    /// Bytes that are mostly text, with what an attacker would mix in.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..6),
            any::<char>().prop_map(|c| c.to_string().into_bytes()),
            "[ -~]{0,8}".prop_map(String::into_bytes),
            prop_oneof![
                Just("\u{1b}["),
                Just("\u{202e}"),
                Just("\u{301}\u{302}\u{303}"),
                Just("\u{200d}👩"),
                Just("👧\u{1f3fd}"),
                Just("\u{1f1e9}\u{1f1ea}"),
                Just("\u{fe0f}"),
                Just("한")
            ]
            .prop_map(|s| s.as_bytes().to_vec()),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn output_is_always_harmless(bytes in hostile()) {
            let shown = sanitize(&bytes, Charset::Unicode);
            prop_assert!(!shown.chars().any(|c| c.is_control() || is_invisible(c)), "{shown:?}");
            let mut run = 0;
            for c in shown.chars() {
                run = if c.width() == Some(0) { run + 1 } else { 0 };
                prop_assert!(run <= MOST_MARKS, "{shown:?}");
            }
            prop_assert_eq!(sanitize_str(&shown, Charset::Unicode), shown.clone(), "twice is once");
            for grapheme in shown.graphemes(true) {
                let apart: usize = grapheme.chars().filter_map(UnicodeWidthChar::width).sum();
                prop_assert_eq!(width(grapheme), apart, "terminals that count by character and by cluster agree: {:?}", grapheme);
            }
            let ascii = sanitize(&bytes, Charset::Ascii);
            prop_assert!(ascii.bytes().all(|b| (b' '..=b'~').contains(&b)), "{ascii:?}");
            prop_assert_eq!(width(&ascii), ascii.len());
        }

        #[test]
        fn what_is_fitted_fits(bytes in hostile(), cells in 0usize..40) {
            for charset in [Charset::Unicode, Charset::Ascii] {
                let whole = sanitize(&bytes, charset);
                let shown = fit(&bytes, cells, charset);
                prop_assert!(width(&shown) <= cells, "{shown:?} in {cells}");
                if width(&whole) <= cells {
                    prop_assert_eq!(&shown, &whole, "nothing to cut");
                } else if cells > 0 {
                    let kept = shown.strip_suffix(charset.ellipsis());
                    prop_assert!(kept.is_some_and(|kept| whole.starts_with(kept)), "{shown:?} of {whole:?}");
                }
            }
        }
    }
}
