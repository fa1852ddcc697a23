//! The pages that forked processes still share with their parent.

use super::{Comm, OrWhy, ProcKey, RawBytes};

/// Pages of private memory, counted by what has become of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageCounts {
    /// The same page as the parent's at this address.
    pub shared: u64,
    /// Shared with relatives, no longer with the parent: it has written to its own since.
    pub elsewhere: u64,
    /// The child's own where the parent has a page, too: one of the two has written since the fork, or both have allocated memory at the
    /// same address since, which page tables do not tell apart. An upper bound of what was copied.
    pub copied: u64,
    /// The child's, where the parent has none.
    pub new: u64,
    /// In swap: the page tables do not show whose they are.
    pub swapped: u64,
    /// The kernel's page of zeros, mapped where memory was read before it was written to: it takes no memory.
    pub zero: u64,
}

impl LedgerMapping {
    /// Pages that may well have been allocated by both sides since the fork rather than copied: nothing of this anonymous mapping is shared
    /// any more.
    #[must_use]
    pub fn doubtful(&self) -> u64 {
        if self.name.is_empty() && self.counts.shared + self.counts.elsewhere == 0 { self.counts.copied } else { 0 }
    }
}

impl PageCounts {
    /// Adds another count.
    pub fn add(&mut self, other: &Self) {
        self.shared += other.shared;
        self.elsewhere += other.elsewhere;
        self.copied += other.copied;
        self.new += other.new;
        self.swapped += other.swapped;
        self.zero += other.zero;
    }

    /// Pages that the child had from its parent and that are in memory.
    #[must_use]
    pub fn inherited(&self) -> u64 {
        self.shared + self.elsewhere + self.copied
    }
}

/// One mapping of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerMapping {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// What is mapped; empty for anonymous memory.
    pub name: RawBytes,
    /// Its pages.
    pub counts: PageCounts,
    /// From its first page to its last, in pieces of equal size: pages inherited, and how many of them are no longer the parent's.
    pub strip: Vec<(u32, u32)>,
}

/// What was read of one child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerReading {
    /// All its private memory.
    pub counts: PageCounts,
    /// Mappings that hold something inherited, the most copied first; at most [`LedgerReading::MAPPINGS`] of them.
    pub mappings: Vec<LedgerMapping>,
    /// Sum of [`LedgerMapping::doubtful`] over all mappings.
    pub doubtful: u64,
    /// Whether page frames were visible, so that "the same page" was seen and not inferred from both sides being shared.
    pub exact: bool,
    /// Whether time ran out before all pages were looked at: counts are lower bounds.
    pub cut: bool,
    /// `smaps_rollup`: its share of all pages it maps.
    pub pss_bytes: Option<u64>,
    /// `smaps_rollup`: what would be freed if it alone ended.
    pub uss_bytes: Option<u64>,
}

impl LedgerReading {
    /// The most mappings that are kept.
    pub const MAPPINGS: usize = 64;
    /// The most pieces of a strip.
    pub const PIECES: u64 = 64;
}

/// One child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerChild {
    /// Which.
    pub key: ProcKey,
    /// Its name.
    pub comm: Comm,
    /// What was read, or why nothing was.
    pub reading: OrWhy<LedgerReading>,
}

/// All children of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// Bytes of a page.
    pub page_bytes: u64,
    /// Its children, in ascending order of pid.
    pub children: Vec<LedgerChild>,
    /// Children beyond those that fit.
    pub more: usize,
}
