//! One function that a Python thread or task executes. Names come from the process; sanitise them before drawing.

use std::sync::Arc;

/// One function that is being executed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PythonFrame {
    /// Its qualified name.
    pub function: Arc<str>,
    /// The file it is from.
    pub file: Arc<str>,
    /// The line, if its table has one.
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

    /// Of frames that are given innermost first, the innermost one of the user's own code; without one, the innermost.
    #[must_use]
    pub fn innermost(frames: &[Self]) -> Option<&Self> {
        frames.iter().find(|frame| frame.is_own()).or(frames.first())
    }

    /// The file without its directories.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or(&self.file)
    }

    /// `function file.py:88`.
    #[must_use]
    pub fn place(&self) -> String {
        let line = self.line.map_or_else(String::new, |line| format!(":{line}"));
        format!("{} {}{line}", self.function, self.file_name())
    }
}
