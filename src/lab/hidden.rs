//! What the hidden entries of the binary share: the arguments that select them, and the names of their tasks.

/// First argument of the helper process.
pub const HELPER: &str = "__lab-helper";
/// First argument of the root of a native run.
pub const ROOT: &str = "__lab-worker";
/// First argument of a fresh image made by exec or spawn within a native run.
pub const IMAGE: &str = "__lab-image";
/// First argument of the guard around a command that concmon has others execute.
pub const GUARD: &str = "__lab-guard";

/// Names the calling task as the kernel shows it (`comm`, of which prctl(2) `PR_SET_NAME` keeps 15 bytes). What runs from `/proc/self/exe`
/// would be called "exe" otherwise. A name only helps the reader, so a refusal changes nothing.
pub fn name_task(name: &str) {
    if let Ok(name) = std::ffi::CString::new(name) {
        let _ = nix::sys::prctl::set_name(&name);
    }
}
