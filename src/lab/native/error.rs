//! Why the root of a native run cannot go on.

use std::io;

/// Why a native run failed; said as the protocol's `error`.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// A system call of the run failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The error.
        source: io::Error,
    },
    /// A worker did not do what it should.
    #[error("{0}")]
    Worker(String),
}

/// Adds what was tried to an error of the system.
pub fn failed<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> RootError {
    let what = what.into();
    move |e| RootError::Io { what, source: e.into() }
}
