//! `/proc/PID/cgroup` (cgroups(7)).

/// The path in the unified hierarchy (`0::/path`), else in the first one listed. `None` if there is none or it is not UTF-8.
#[must_use]
pub fn path(bytes: &[u8]) -> Option<&str> {
    let mut first = None;
    for line in bytes.split(|byte| *byte == b'\n') {
        // "hierarchy:controllers:path"; the path may itself hold colons.
        let mut parts = line.splitn(3, |byte| *byte == b':');
        let (Some(hierarchy), Some(_), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        if hierarchy == b"0" {
            return std::str::from_utf8(path).ok();
        }
        first = first.or(Some(path));
    }
    first.and_then(|path| std::str::from_utf8(path).ok())
}
