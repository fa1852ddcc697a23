//! `/proc/PID/smaps_rollup` (Documentation/filesystems/proc.rst): a process's share of each page it maps.

use super::{key_values, kibibytes};

/// Sums over all mappings, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SmapsRollup {
    /// Proportional set size: each page divided by the number of its mappers, and the process's own huge pages. Huge pages that several
    /// processes map (`Shared_Hugetlb`) are left out: the kernel does not say how many map them, and a guess would count them many times in
    /// the sum of a family.
    pub pss_bytes: Option<u64>,
    /// Clean pages no other process maps.
    pub private_clean_bytes: Option<u64>,
    /// Written pages no other process maps.
    pub private_dirty_bytes: Option<u64>,
    /// Huge pages (hugetlbfs, `MAP_HUGETLB`) no other process maps: the kernel has them in no other line.
    pub private_hugetlb_bytes: Option<u64>,
}

impl SmapsRollup {
    /// Parses the file.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut rollup = Self::default();
        for (key, value) in key_values(bytes) {
            match key {
                b"Pss" => rollup.pss_bytes = kibibytes(value),
                b"Private_Clean" => rollup.private_clean_bytes = kibibytes(value),
                b"Private_Dirty" => rollup.private_dirty_bytes = kibibytes(value),
                b"Private_Hugetlb" => rollup.private_hugetlb_bytes = kibibytes(value),
                _ => {}
            }
        }
        let huge = rollup.private_hugetlb_bytes.unwrap_or(0);
        rollup.pss_bytes = rollup.pss_bytes.and_then(|pss| pss.checked_add(huge));
        rollup
    }

    /// Unique set size: what would be freed if this process alone ended, its own huge pages included.
    #[must_use]
    pub fn uss_bytes(&self) -> Option<u64> {
        self.private_clean_bytes?.checked_add(self.private_dirty_bytes?)?.checked_add(self.private_hugetlb_bytes.unwrap_or(0))
    }
}
