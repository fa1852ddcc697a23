//! The source line of an instruction: `co_linetable` (`Objects/locations.md`, the same since 3.11).

/// The line of the code unit `unit` (two bytes each), where the function begins at `first`. `None` if the table has none.
#[must_use]
pub fn line_of(table: &[u8], first: i32, unit: u64) -> Option<u32> {
    let mut rest = table;
    let mut line = i64::from(first);
    let mut begin = 0u64;
    loop {
        let (&head, behind) = rest.split_first()?;
        // Entries begin with a byte whose highest bit is set, and no other byte of them has it.
        let length = behind.iter().position(|byte| byte & 0x80 != 0).unwrap_or(behind.len());
        let (entry, next) = behind.split_at(length);
        let kind = head >> 3 & 15;
        let known = match kind {
            10..=12 => {
                line += i64::from(kind) - 10;
                true
            }
            13 | 14 => {
                line += signed(entry)?;
                true
            }
            15 => false,
            _ => true,
        };
        let end = begin + u64::from(head & 7) + 1;
        if head & 0x80 == 0 {
            return None;
        }
        if unit < end {
            return known.then(|| u32::try_from(line).ok()).flatten();
        }
        (begin, rest) = (end, next);
    }
}

/// The line of the instruction at byte `at` in a `co_lnotab` (`Objects/lnotab_notes.txt` of 3.9): pairs of a step of bytes and a step of
/// lines, which has a sign.
#[must_use]
pub fn line_in_steps(table: &[u8], first: i32, at: u64) -> Option<u32> {
    let mut line = i64::from(first);
    let mut begin = 0u64;
    for [bytes, lines] in table.as_chunks::<2>().0 {
        begin += u64::from(*bytes);
        if begin > at {
            break;
        }
        line += i64::from(i8::from_ne_bytes([*lines]));
    }
    u32::try_from(line).ok()
}

/// The line of the instruction at byte `at` in the `co_linetable` of 3.10 (PEP 626): pairs of a length in bytes and a step of lines, where
/// -128 says that the range has no line.
#[must_use]
pub fn line_in_ranges(table: &[u8], first: i32, at: u64) -> Option<u32> {
    let mut line = i64::from(first);
    let mut end = 0u64;
    for [bytes, lines] in table.as_chunks::<2>().0 {
        let step = i8::from_ne_bytes([*lines]);
        line += i64::from(if step == i8::MIN { 0 } else { step });
        end += u64::from(*bytes);
        if at < end {
            return if step == i8::MIN { None } else { u32::try_from(line).ok() };
        }
    }
    None
}

/// A number in pieces of six bits, lowest first; bit 6 says that more follow. Its lowest bit is its sign.
fn signed(bytes: &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().enumerate().take(8) {
        value |= u64::from(byte & 63) << (at * 6);
        if byte & 64 == 0 {
            let magnitude = i64::try_from(value >> 1).ok()?;
            return Some(if value & 1 == 0 { magnitude } else { -magnitude });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_of_every_kind_move_the_line_as_the_description_says() {
        // Two units without columns, three lines down; one on the same line; one a line further; one long, two lines up; one nowhere.
        let table = [0xe9, 0x06, 0x80, 0x12, 0xd8, 0x00, 0x05, 0xf0, 0x05, 0x00, 0x01, 0x01, 0xf8];
        let lines: Vec<_> = (0..7).map(|unit| line_of(&table, 10, unit)).collect();
        assert_eq!(lines, [Some(13), Some(13), Some(13), Some(14), Some(12), None, None]);
        // 200 in two pieces, as the description has it: 100 lines down.
        assert_eq!(line_of(&[0xe8, 0x48, 0x03], 1, 0), Some(101));
    }

    #[test]
    fn tables_of_3_9_and_3_10_tell_the_lines_that_their_descriptions_say() {
        // Six bytes on the first line, then two lines down, then (after 44 bytes) a line up.
        let steps = [6, 2, 44, 255];
        assert_eq!([0, 5, 6, 49, 50].map(|at| line_in_steps(&steps, 10, at)), [10, 10, 12, 12, 11].map(Some));
        // Four bytes on the first line, two nowhere, two on the next line.
        let ranges = [4, 0, 2, 128, 2, 1];
        assert_eq!([0, 2, 4, 6, 8].map(|at| line_in_ranges(&ranges, 10, at)), [Some(10), Some(10), None, Some(11), None]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(table: Vec<u8>, first: i32, unit: u64) {
            let _ = (line_of(&table, first, unit), line_in_steps(&table, first, unit), line_in_ranges(&table, first, unit));
        }
    }
}
