//! Types of readings that hold what another process chose.

/// Bytes as the kernel gave them: the process's own choice, to be sanitised before they are drawn.
pub type RawBytes = Box<[u8]>;
/// A value, or why it could not be read.
pub type OrWhy<T> = Result<T, String>;

/// Whether the bytes contain the part.
#[must_use]
pub fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}
