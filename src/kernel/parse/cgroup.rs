//! `/proc/PID/cgroup` (cgroups(7)).

use crate::snapshot::container_of;

/// The path that says most about where the process belongs. With both versions mounted (hybrid), a container engine may use version 1 only:
/// then `0::` is `/`, or the engine's own service. In this order: a path that names a container, the unified one, the deepest of version 1
/// (the first of the deepest). The root comes last. `None` if no line has the file's form and is UTF-8.
#[must_use]
pub fn path(bytes: &[u8]) -> Option<&str> {
    let depth = |path: &str| path.split('/').filter(|name| !name.is_empty()).count();
    let worth = |(unified, path): &(bool, &str)| (container_of(path).is_some(), *unified && depth(path) > 0, depth(path));
    let mut best: Option<(bool, &str)> = None;
    for entry in bytes.split(|byte| *byte == b'\n').filter_map(entry) {
        if best.is_none_or(|best| worth(&entry) > worth(&best)) {
            best = Some(entry);
        }
    }
    best.map(|(_, path)| if path.is_empty() { "/" } else { path })
}

/// Whether a line `hierarchy:controllers:path` is of the unified hierarchy, and its path, which may itself hold colons.
fn entry(line: &[u8]) -> Option<(bool, &str)> {
    let mut parts = line.splitn(3, |byte| *byte == b':');
    let (hierarchy, _, path) = (parts.next()?, parts.next()?, parts.next()?);
    std::str::from_utf8(path).ok().map(|path| (hierarchy == b"0", path.trim_end_matches('\r')))
}
