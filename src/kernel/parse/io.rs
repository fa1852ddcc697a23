//! `/proc/PID/io` (proc_pid_io(5)).

use super::{key_values, unsigned};

/// Bytes that reached storage on behalf of a process, the page cache's share left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Io {
    /// `read_bytes`.
    pub read_bytes: Option<u64>,
    /// `write_bytes`.
    pub write_bytes: Option<u64>,
}

impl Io {
    /// Parses the file.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut io = Self::default();
        for (key, value) in key_values(bytes) {
            match key {
                b"read_bytes" => io.read_bytes = unsigned(value),
                b"write_bytes" => io.write_bytes = unsigned(value),
                _ => {}
            }
        }
        io
    }
}
