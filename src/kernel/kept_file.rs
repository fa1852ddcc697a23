//! A file of `/proc` that stays open between readings.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::system::descriptor_limit;

/// One kept file: opened at the first reading, read again from its beginning after that. Where descriptors are few it is opened for each
/// reading instead: the processes cannot be read without.
#[derive(Debug)]
pub(super) struct KeptFile {
    path: PathBuf,
    file: Option<File>,
}

impl KeptFile {
    /// So many must be left beyond the one that is kept.
    const LEFT: u64 = 16;

    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// The whole content in `buffer`; `None` if it is absent or unreadable (and tried again next time).
    pub(super) fn read<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        if let Some(file) = &self.file {
            let length = whole(file, buffer);
            if length.is_none() {
                self.file = None;
            }
            return Some(&buffer[..length?]);
        }
        let file = File::open(&self.path).ok()?;
        let length = whole(&file, buffer)?;
        // The kernel gives the lowest free number, so all below it are taken.
        let taken = u64::try_from(file.as_raw_fd()).unwrap_or(u64::MAX);
        self.file = (taken.saturating_add(Self::LEFT) < descriptor_limit()).then_some(file);
        Some(&buffer[..length])
    }
}

/// What the files usually need, bytes.
pub(super) const USUAL_BYTES: usize = 16 * 1024;

/// How many bytes of `buffer` the whole file now is.
fn whole(file: &File, buffer: &mut Vec<u8>) -> Option<usize> {
    // What one long file has taken (a machine of a thousand CPUs has a megabyte of interrupts) is given back when it is short again.
    buffer.resize(USUAL_BYTES, 0);
    buffer.shrink_to(4 * USUAL_BYTES);
    let mut length = 0;
    loop {
        match file.read_at(&mut buffer[length..], length as u64).ok()? {
            0 => return Some(length),
            more => length += more,
        }
        if length == buffer.len() {
            buffer.resize(length * 2, 0);
        }
    }
}
