//! The spec of the run in the environment of its processes.

use crate::lab::catalog::{RunSpec, TaskKind};

/// How many units of work there are to note: as many as asked for, or one for each worker where the work is what the exhibit shows.
pub fn units(spec: &RunSpec) -> u32 {
    match spec.system.as_str() {
        "native/process-queue" | "native/sleep-threads" | "native/copy-on-write" => spec.workers,
        // Its thousands of sleeps are counted, not noted one by one.
        "native/async-vs-threads" => 0,
        _ if spec.task == TaskKind::None => 0,
        _ => spec.tasks,
    }
}

/// The run's spec, from the environment.
pub fn spec_from_env() -> Option<RunSpec> {
    serde_json::from_slice(std::env::var_os("CONCMON_LAB_SPEC")?.as_encoded_bytes()).ok()
}
