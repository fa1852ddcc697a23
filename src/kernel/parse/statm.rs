//! `/proc/PID/statm` (proc_pid_statm(5)).

use super::{Fields, ParseError};

/// Sizes in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statm {
    /// Address space.
    pub size_pages: u64,
    /// Resident.
    pub resident_pages: u64,
    /// Resident and backed by files or shared memory.
    pub shared_pages: u64,
}

impl Statm {
    /// Parses the file's one line.
    ///
    /// # Errors
    /// If the first three fields are not numbers.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let mut fields = Fields::new(bytes);
        match (fields.unsigned(), fields.unsigned(), fields.unsigned()) {
            (Some(size_pages), Some(resident_pages), Some(shared_pages)) => Ok(Self { size_pages, resident_pages, shared_pages }),
            _ => Err(ParseError("statm does not begin with three numbers")),
        }
    }
}
