//! A lab process reads its own memory figures.

/// Memory of this process that is no one else's and has been written to (`Private_Dirty` of `smaps_rollup`, proc_pid_smaps(5)).
pub fn private_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("Private_Dirty:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kb| kb * 1024)
}
