//! `/proc/meminfo` (proc_meminfo(5)), and the size of the ZFS cache, which the kernel counts as used.
//!
//! Each line is read for itself: kernels, containers and emulations leave lines out, add others, and write some wrongly.

use super::{Fields, unsigned, whole_lines};
use crate::snapshot::MemorySample;

/// The lines concmon uses, bytes.
#[derive(Debug, Default)]
struct Lines {
    total: Option<u64>,
    free: Option<u64>,
    available: Option<u64>,
    buffers: Option<u64>,
    cached: Option<u64>,
    reclaimable: Option<u64>,
    shmem: Option<u64>,
    swap_total: Option<u64>,
    swap_free: Option<u64>,
}

/// The ZFS cache (`/proc/spl/kstat/zfs/arcstats`), bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZfsCache {
    /// What it takes now.
    pub size: u64,
    /// What it does not shrink below.
    pub least: u64,
}

impl ZfsCache {
    /// The lines `size` and `c_min`: name, type, value. `None` if one of them is missing.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let value = |name: &[u8]| {
            whole_lines(bytes).find_map(|line| {
                let mut fields = Fields::new(line);
                (fields.next() == Some(name)).then(|| fields.nth(1).and_then(unsigned))?
            })
        };
        Some(Self { size: value(b"size")?, least: value(b"c_min")? })
    }
}

/// The machine's memory; `None` without the total, since nothing is known of memory whose size is not. A figure above its total (a free
/// swap beyond the swap, as WSL writes) is unknown.
#[must_use]
pub fn parse(bytes: &[u8], zfs: Option<ZfsCache>) -> Option<MemorySample> {
    let lines = Lines::of(bytes);
    let total = lines.total.filter(|total| *total > 0)?;
    let within = |value: Option<u64>| value.filter(|value| *value <= total);
    let (free, buffers, page_cache) = (within(lines.free), within(lines.buffers), within(lines.cached));
    // Not what a container's limit would allow, but what the kernel can take back: as htop counts the cache.
    let cached = page_cache.map(|cached| {
        cached.saturating_add(within(lines.reclaimable).unwrap_or(0)).saturating_sub(within(lines.shmem).unwrap_or(0))
    });
    let mut memory = MemorySample {
        total_bytes: total,
        available_bytes: lines.available.map(|available| available.min(total)),
        free_bytes: free,
        buffers_bytes: buffers,
        cached_bytes: cached,
        shmem_bytes: within(lines.shmem),
        swap_total_bytes: lines.swap_total,
        swap_free_bytes: lines.swap_free.filter(|free| lines.swap_total.is_some_and(|total| *free <= total)),
    };
    let known = free.unwrap_or(0).saturating_add(buffers.unwrap_or(0)).saturating_add(page_cache.unwrap_or(0));
    // In a container meminfo may be the container's while the cache is the whole machine's: it must fit what is otherwise unexplained.
    if let Some(zfs) = zfs.filter(|zfs| free.is_some() && zfs.size <= total.saturating_sub(known)) {
        let shrinkable = zfs.size.saturating_sub(zfs.least);
        let more = |bytes: u64| bytes.saturating_add(shrinkable).min(total);
        memory.available_bytes = memory.available_bytes.map(more);
        memory.cached_bytes = Some(more(memory.cached_bytes.unwrap_or(0)));
    }
    Some(memory)
}

impl Lines {
    fn of(bytes: &[u8]) -> Self {
        let mut lines = Self::default();
        let mut old = Self::default();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            lines.take(line, &mut old);
        }
        // Kernels up to 2.4 and their descendants begin with a table in bytes.
        lines.total = lines.total.or(old.total);
        lines.free = lines.free.or(old.free);
        lines.swap_total = lines.swap_total.or(old.swap_total);
        lines.swap_free = lines.swap_free.or(old.swap_free);
        lines
    }

    fn take(&mut self, line: &[u8], old: &mut Self) {
        let whole = line.ends_with(b"\n");
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (key, value) = (line[..colon].trim_ascii(), &line[colon + 1..]);
        let is = |name: &str| key.eq_ignore_ascii_case(name.as_bytes());
        if is("Mem") || is("Swap") {
            let mut columns = Fields::new(value);
            let (total, _, free) = (columns.unsigned(), columns.next(), columns.unsigned().filter(|_| whole));
            if is("Mem") {
                (old.total, old.free) = (total, free);
            } else {
                (old.swap_total, old.swap_free) = (total, free);
            }
            return;
        }
        let place = match () {
            () if is("MemTotal") => &mut self.total,
            () if is("MemFree") => &mut self.free,
            () if is("MemAvailable") => &mut self.available,
            () if is("Buffers") => &mut self.buffers,
            () if is("Cached") => &mut self.cached,
            () if is("SReclaimable") => &mut self.reclaimable,
            () if is("Shmem") => &mut self.shmem,
            () if is("SwapTotal") => &mut self.swap_total,
            () if is("SwapFree") => &mut self.swap_free,
            () => return,
        };
        // A line that comes twice counts as other readers count it: the last one that is a number.
        *place = size(value, whole).or(*place);
    }
}

/// `1234 kB` in bytes. The unit is always kB, in upper or lower case, and some leave it out; without unit or newline it may be cut.
fn size(value: &[u8], whole: bool) -> Option<u64> {
    let mut fields = Fields::new(value);
    let number = fields.unsigned()?;
    match fields.next() {
        Some(unit) if unit.eq_ignore_ascii_case(b"kB") => number.checked_mul(1024),
        None if whole => number.checked_mul(1024),
        _ => None,
    }
}
