//! No workers: the root does every task. The baseline.

use super::error::RootError;
use super::root::Root;

pub fn run(root: &mut Root) -> Result<(), RootError> {
    root.hold_memory()?;
    root.work_alone();
    root.run_workers(|root| {
        root.worker(0).work_share();
        // It is the root that leaves: there is no worker to wait for.
        root.note_exit(0, 0);
        Ok(())
    })
}
