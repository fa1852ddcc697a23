//! Launches runs from tests: waits for what the launcher publishes, with a bound that only a failure reaches.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use concmon::lab::catalog::{self, RunSpec, TaskKind};
use concmon::lab::launcher::{LabState, Launcher, Limits};
use concmon::lab::run::{Run, RunId};

/// No wait of a test is longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A launcher with the concmon that this build made.
pub fn launcher() -> Launcher {
    launcher_with(Limits::default())
}

/// The same with other limits.
pub fn launcher_with(limits: Limits) -> Launcher {
    // As the program does at its start: lanes take three descriptors a task.
    concmon::kernel::raise_descriptor_limit();
    Launcher::start_with(Path::new(env!("CARGO_BIN_EXE_concmon")), limits).unwrap()
}

/// The defaults of a system, with this task.
pub fn spec(system: &str, task: TaskKind) -> RunSpec {
    let system = catalog::find(system).unwrap();
    RunSpec { task, timeout_ms: 30_000, ..system.defaults() }
}

/// A variable that the root of the run was started with.
pub fn variable(run: &Run, name: &str) -> String {
    let environ = std::fs::read_to_string(format!("/proc/{}/environ", run.root_pid.unwrap())).unwrap();
    environ.split('\0').find_map(|entry| entry.strip_prefix(name)?.strip_prefix('=')).unwrap().to_owned()
}

/// Waits until the published state meets `wanted`.
pub fn await_state(launcher: &Launcher, what: &str, wanted: impl FnMut(&Arc<LabState>) -> bool) -> Arc<LabState> {
    let mut watch = launcher.watch();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let state = runtime.block_on(async { tokio::time::timeout(PATIENCE, watch.wait_for(wanted)).await });
    let state = state.unwrap_or_else(|_| panic!("waited in vain for: {what}; state: {:#?}", launcher.watch().borrow().runs));
    Arc::clone(&state.unwrap())
}

/// Waits until the run meets `wanted`.
pub fn await_run(launcher: &Launcher, id: RunId, what: &str, mut wanted: impl FnMut(&Run) -> bool) -> Arc<Run> {
    let state = await_state(launcher, what, |state| state.run(id).is_some_and(|run| wanted(run)));
    Arc::clone(state.run(id).unwrap())
}

/// Waits until every worker has said that it is there.
pub fn await_workers(launcher: &Launcher, id: RunId, count: u32) -> Arc<Run> {
    await_run(launcher, id, "all workers are there", |run| {
        run.workers.iter().filter(|w| w.ready_ns.is_some()).count() == count as usize || run.ended()
    })
}

/// Waits until it is over.
pub fn await_end(launcher: &Launcher, id: RunId) -> Arc<Run> {
    await_run(launcher, id, "the run has ended", Run::ended)
}

/// Launches it and waits for its end.
pub fn run_on(launcher: &Launcher, spec: &RunSpec) -> Arc<Run> {
    let id = launcher.launch(spec.clone()).unwrap_or_else(|e| panic!("{}: {e}", spec.system));
    await_end(launcher, id)
}

/// The same with a launcher of its own.
pub fn run_it(spec: &RunSpec) -> Arc<Run> {
    run_on(&launcher(), spec)
}

/// The number that a run reports under this name.
pub fn number(run: &Run, name: &str) -> u64 {
    let found = run.values.iter().find(|v| v.name == name);
    found.and_then(|v| v.number).unwrap_or_else(|| panic!("{} has no value {name}: {:?}", run.spec.system, run.values))
}

/// The text that it reports under this name; empty without one.
pub fn text<'r>(run: &'r Run, name: &str) -> &'r str {
    run.values.iter().find(|v| v.name == name).map_or("", |v| &v.text)
}
