//! `/proc/PID/status` (proc_pid_status(5)): only the values that no other file has.

use super::{key_values, kibibytes, unsigned};

/// The lines concmon uses. `None` where the line is absent: kernel threads and zombies have no memory lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// `VmHWM`: peak resident size, bytes.
    pub peak_rss_bytes: Option<u64>,
    /// `RssAnon`, bytes.
    pub rss_anon_bytes: Option<u64>,
    /// `RssFile`, bytes.
    pub rss_file_bytes: Option<u64>,
    /// `RssShmem`, bytes.
    pub rss_shmem_bytes: Option<u64>,
    /// `VmSwap`, bytes.
    pub swap_bytes: Option<u64>,
    /// `voluntary_ctxt_switches` of this task alone.
    pub voluntary_switches: Option<u64>,
    /// `nonvoluntary_ctxt_switches` of this task alone.
    pub involuntary_switches: Option<u64>,
}

impl Status {
    /// Parses the file; lines it does not know are passed over. The kernel escapes newlines in the name, so no line can be forged.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut status = Self::default();
        for (key, value) in key_values(bytes) {
            match key {
                b"VmHWM" => status.peak_rss_bytes = kibibytes(value),
                b"RssAnon" => status.rss_anon_bytes = kibibytes(value),
                b"RssFile" => status.rss_file_bytes = kibibytes(value),
                b"RssShmem" => status.rss_shmem_bytes = kibibytes(value),
                b"VmSwap" => status.swap_bytes = kibibytes(value),
                b"voluntary_ctxt_switches" => status.voluntary_switches = unsigned(value),
                b"nonvoluntary_ctxt_switches" => status.involuntary_switches = unsigned(value),
                _ => {}
            }
        }
        status
    }
}

/// The CPUs the task may run on, as `Cpus_allowed_list` writes them: `0-3,8`.
#[must_use]
pub fn cpus_allowed(bytes: &[u8]) -> Option<&str> {
    let (_, list) = key_values(bytes).find(|(key, _)| *key == b"Cpus_allowed_list")?;
    let plain = !list.is_empty() && list.iter().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b','));
    std::str::from_utf8(list).ok().filter(|_| plain)
}
