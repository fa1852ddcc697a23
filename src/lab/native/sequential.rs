//! No worker at all: the root does every unit itself. The baseline.

use super::root::{Root, RootError};
use crate::clock::monotonic_ns;

pub fn run(root: &mut Root) -> Result<(), RootError> {
    root.hold_memory()?;
    root.worker(0).ready(monotonic_ns());
    root.run_workers(|root| {
        root.worker(0).work_share();
        // It is the root that leaves: there is nobody to wait for.
        root.note_exit(0, 0);
        Ok(())
    })
}
