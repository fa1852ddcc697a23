//! `/proc/PID/pagemap` (Documentation/admin-guide/mm/pagemap.rst): one 64-bit word for each virtual page, in the machine's byte order.

/// Bytes of one entry.
pub const ENTRY_BYTES: usize = 8;

const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const FILE_OR_SHARED: u64 = 1 << 61;
const EXCLUSIVE: u64 = 1 << 56;
const FRAME: u64 = (1 << 55) - 1;

/// One page as the process maps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Page(pub u64);

impl Page {
    /// The entries of a piece of the file; bytes that make no whole entry are left out.
    pub fn all(bytes: &[u8]) -> impl Iterator<Item = Self> + use<'_> {
        bytes.as_chunks::<ENTRY_BYTES>().0.iter().map(|entry| Self(u64::from_ne_bytes(*entry)))
    }

    /// It is in memory (bit 63).
    #[must_use]
    pub fn present(self) -> bool {
        self.0 & PRESENT != 0
    }

    /// It is in swap (bit 62).
    #[must_use]
    pub fn swapped(self) -> bool {
        self.0 & SWAPPED != 0
    }

    /// It belongs to a file or to shared memory (bit 61), so that it is no one's copy.
    #[must_use]
    pub fn file_or_shared(self) -> bool {
        self.0 & FILE_OR_SHARED != 0
    }

    /// No other process maps it (bit 56, since Linux 4.2).
    #[must_use]
    pub fn exclusive(self) -> bool {
        self.0 & EXCLUSIVE != 0
    }

    /// The frame of memory behind a page that is present; `None` to readers without `CAP_SYS_ADMIN`: they read 0.
    #[must_use]
    pub fn frame(self) -> Option<u64> {
        Some(self.0 & FRAME).filter(|frame| self.present() && *frame != 0)
    }
}
