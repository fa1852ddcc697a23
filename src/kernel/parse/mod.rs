//! Pure parsers of `/proc` files: bytes in, plain values out, no I/O. No input makes them panic.
//!
//! Parsers in the sampling path (`stat`, `schedstat`, `statm`) allocate nothing. To read one more file add a module here with a
//! struct and `parse(&[u8]) -> Result<Self, ParseError>`, and a property test in `tests/live/sources.rs`.

pub mod cgroup;
pub mod connector;
pub mod diskstats;
pub mod file_locks;
pub mod io;
pub mod machine;
pub mod maps;
pub mod meminfo;
pub mod namespace;
pub mod net_dev;
pub mod pagemap;
pub mod pid_numbers;
pub mod schedstat;
pub mod smaps;
pub mod stat;
pub mod statm;
pub mod status;
pub mod syscall;

/// What was wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub &'static str);

/// An unsigned decimal number made of all of `bytes`; `None` if empty, not digits, or beyond 64 bits.
#[must_use]
pub fn unsigned(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0u64, |value, byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// A signed decimal number made of all of `bytes`.
#[must_use]
pub fn signed(bytes: &[u8]) -> Option<i64> {
    match bytes.strip_prefix(b"-") {
        Some(digits) => 0i64.checked_sub_unsigned(unsigned(digits)?),
        None => i64::try_from(unsigned(bytes)?).ok(),
    }
}

/// The blank-separated fields of a line, in order.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field as an unsigned number.
    pub fn unsigned(&mut self) -> Option<u64> {
        self.next().and_then(unsigned)
    }

    /// The next field as a signed number.
    pub fn signed(&mut self) -> Option<i64> {
        self.next().and_then(signed)
    }

    /// The next field as a 32-bit number.
    pub fn int(&mut self) -> Option<i32> {
        self.signed().and_then(|value| i32::try_from(value).ok())
    }

    /// Leaves out `count` fields.
    pub fn skip_fields(&mut self, count: usize) {
        for _ in 0..count {
            self.next();
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let rest = self.rest.get(start..)?;
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let (field, rest) = rest.split_at(end);
        self.rest = rest;
        Some(field)
    }
}

/// The lines that are whole, without their newlines. A last line without one may have been cut anywhere: half a number is a wrong number.
pub fn whole_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"))
}

/// The `Key: value` lines of a file such as `status`: pairs of key and what follows the colon, blanks trimmed. Only whole lines.
pub fn key_values(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    whole_lines(bytes).filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((line.get(..colon)?, line.get(colon + 1..)?.trim_ascii()))
    })
}

/// A value such as `1234 kB`, in bytes.
#[must_use]
pub fn kibibytes(value: &[u8]) -> Option<u64> {
    let mut fields = Fields::new(value);
    let number = fields.unsigned()?;
    (fields.next() == Some(b"kB")).then(|| number.checked_mul(1024)).flatten()
}
