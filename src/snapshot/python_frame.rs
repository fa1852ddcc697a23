//! One function that a Python thread or task executes. Names come from the process; sanitise them before drawing.

use std::sync::Arc;

/// One function that is being executed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PythonFrame {
    /// Its qualified name.
    pub function: Arc<str>,
    /// The file it is from.
    pub file: Arc<str>,
    /// The line, if its table tells one.
    pub line: Option<u32>,
    /// How many frames in a row are at this line, as in a recursion; at least 1.
    pub times: usize,
}

/// Frames in the middle of a deep stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// How many of the kept entries are further in.
    pub behind: usize,
    /// How many frames.
    pub count: usize,
}

/// Directories of code that comes with Python or was installed.
const OTHERS: [&str; 5] = ["/site-packages/", "/dist-packages/", "/lib/python3", "/lib64/python3", "/lib/pypy"];

impl PythonFrame {
    /// Whether it is the user's own code: not of the standard library, an installed package or the interpreter itself.
    #[must_use]
    pub fn is_own(&self) -> bool {
        !self.file.starts_with('<') && !OTHERS.iter().any(|part| self.file.contains(part)) || &*self.file == "<string>"
    }
}
