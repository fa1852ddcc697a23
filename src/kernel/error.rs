//! Reasons why a read failed.

use std::path::{Path, PathBuf};

use rustix::thread::{CapabilitySet, capabilities};

/// Why something of the kernel could not be read. A process that ended mid-read is [`ReadError::Vanished`], which is not a fault.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It was there and is gone (ENOENT, ESRCH).
    #[error("it has ended")]
    Vanished,
    /// Not allowed (EACCES, EPERM).
    #[error("{path}: permission denied")]
    Denied {
        /// What was to be read.
        path: PathBuf,
    },
    /// There is no `/proc` to read from.
    #[error("{path} {why}; mount it with: mount -t proc proc {path}")]
    NoProc {
        /// Where it should be.
        path: PathBuf,
        /// What is there instead.
        why: &'static str,
    },
    /// This kernel does not have it.
    #[error("{what} is not available on this kernel")]
    Unsupported {
        /// What is missing.
        what: &'static str,
    },
    /// What was explicitly asked for does not work here.
    #[error("{what} does not work here: {why}")]
    Unavailable {
        /// What was asked for.
        what: &'static str,
        /// Why not, and what would mend it.
        why: String,
    },
    /// The bytes are not what the kernel documents.
    #[error("{path}: {what}")]
    Malformed {
        /// Where.
        path: PathBuf,
        /// What was wrong.
        what: String,
    },
    /// Any other error of the operating system.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// The error.
        source: std::io::Error,
    },
}

impl ReadError {
    /// Whether there is no `/proc`.
    #[must_use]
    pub fn is_no_proc(&self) -> bool {
        matches!(self, Self::NoProc { .. })
    }

    /// Whether the kernel refused, as opposed to having no such file or value.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }
}

/// The error as one sentence; after a refusal also what is needed to read it.
#[must_use]
pub fn reason(error: &ReadError) -> String {
    match error {
        ReadError::Denied { path } => format!("{error}: {}", remedy(path)),
        other => other.to_string(),
    }
}

/// What is needed to read it. Being root is not enough: its capabilities decide, and a container's root lacks some (capabilities(7)).
fn remedy(path: &Path) -> String {
    if !rustix::process::geteuid().is_root() {
        return "only its owner and root may read it".to_owned();
    }
    let (needed, name) = match path.file_name().and_then(|name| name.to_str()) {
        Some("stack") => (CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN"),
        _ => (CapabilitySet::SYS_PTRACE, "CAP_SYS_PTRACE"),
    };
    match capabilities(None) {
        Ok(now) if now.effective.contains(needed) => {
            format!("refused even with {name}: by a security module or another user namespace")
        }
        _ => format!("this root user lacks {name}"),
    }
}
