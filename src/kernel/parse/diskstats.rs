//! `/proc/diskstats` (Documentation/admin-guide/iostats.rst): a line for each block device.

use super::{Fields, whole_lines};

/// One block device: a disk, a part of one, or one that is made of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskLine<'a> {
    /// Name, with `/` where sysfs writes `!`.
    pub name: &'a [u8],
    /// Sectors of 512 bytes read.
    pub sectors_read: u64,
    /// Sectors of 512 bytes written.
    pub sectors_written: u64,
    /// Time with at least one request in flight, milliseconds.
    pub busy_ms: u64,
}

/// The lines that are whole and hold these figures, in the order of the file. Kernels before 2.6.25 write four figures for a partition,
/// and later ones add figures at the end.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = DiskLine<'_>> {
    whole_lines(bytes).filter_map(|line| {
        let mut fields = Fields::new(line);
        fields.skip_fields(2);
        let name = fields.next()?;
        fields.skip_fields(2);
        let sectors_read = fields.unsigned()?;
        fields.skip_fields(3);
        let sectors_written = fields.unsigned()?;
        fields.skip_fields(2);
        Some(DiskLine { name, sectors_read, sectors_written, busy_ms: fields.unsigned()? })
    })
}
