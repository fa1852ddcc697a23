//! Targets of `/proc/PID/ns/KIND` (proc_pid_ns(5)) and of descriptors that are numbered alike.

/// The number in `kind:[number]`; `None` if the target is of another kind.
#[must_use]
pub fn inode(target: &[u8], kind: &str) -> Option<u64> {
    let number = target.strip_prefix(kind.as_bytes())?.strip_prefix(b":[")?.strip_suffix(b"]")?;
    super::unsigned(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_from_targets_of_the_right_kind_only() {
        assert_eq!(inode(b"pid:[4026531836]", "pid"), Some(4_026_531_836));
        assert_eq!(inode(b"pipe:[77]", "pipe"), Some(77));
        for bad in [&b""[..], b"pid:[]", b"pid:[x]", b"pid:[1", b"mnt:[1]", b"pid:1", b"pid:[99999999999999999999]", b"\xff:[1]"]
        {
            assert_eq!(inode(bad, "pid"), None);
        }
    }
}
