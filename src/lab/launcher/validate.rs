//! Refuses specs that exceed the limits, with the figures. Pure, except for [`Machine::read`].

use super::{LaunchError, Limits};
use crate::lab::catalog::{self, Demand, PythonStart, RunSpec, System, TaskKind};

/// Memory left to all other programs, MiB.
const SPARE_MB: u64 = 256;
/// More pids than any run may use.
const PLENTY: u64 = 4096;
/// Pids left to all other programs.
const SPARE_PIDS: u64 = 64;

/// What the machine has room for; `None` where it could not be read: then that guard does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Machine {
    /// `MemAvailable` of `/proc/meminfo`, MiB.
    pub available_mb: Option<u64>,
    /// Tasks that may still be created, the smallest of `pid_max`, `threads-max` and the pids control group.
    pub free_tasks: Option<u64>,
}

impl Machine {
    /// Reads them now.
    #[must_use]
    pub fn read() -> Self {
        Self { available_mb: read_available_mb(), free_tasks: read_free_tasks() }
    }
}

fn read_available_mb() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kb| kb / 1024)
}

fn read_number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn read_free_tasks() -> Option<u64> {
    // Fourth field of loadavg: runnable/existing scheduling entities.
    let load = std::fs::read_to_string("/proc/loadavg").ok()?;
    let tasks: u64 = load.split_whitespace().nth(3)?.split('/').nth(1)?.parse().ok()?;
    let most =
        [read_number("/proc/sys/kernel/pid_max"), read_number("/proc/sys/kernel/threads-max")].into_iter().flatten().min()?;
    let machine = most.saturating_sub(tasks);
    let group = read_pids_cgroup();
    let user = read_user_tasks_left(tasks);
    Some([Some(machine), group, user].into_iter().flatten().min().unwrap_or(machine))
}

/// Room in the pids controller of this process's control group, version 2 or 1.
fn read_pids_cgroup() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let dirs = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        match controllers {
            "" => Some(format!("/sys/fs/cgroup{path}")),
            "pids" => Some(format!("/sys/fs/cgroup/pids{path}")),
            _ => None,
        }
    });
    dirs.filter_map(|dir| {
        let max = read_number(&format!("{dir}/pids.max"))?;
        Some(max.saturating_sub(read_number(&format!("{dir}/pids.current"))?))
    })
    .min()
}

/// Room under `RLIMIT_NPROC`, which does not bind root; `all` is the number of tasks of the machine. Only if that leaves little room are
/// the user's own tasks counted, by the links of each owned `/proc/PID/task`: the walk would be felt on a busy machine.
fn read_user_tasks_left(all: u64) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    let uid = nix::unistd::Uid::effective();
    if uid.is_root() {
        return None;
    }
    let (soft, _) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NPROC).ok()?;
    if soft == nix::libc::RLIM_INFINITY {
        return None;
    }
    if soft.saturating_sub(all) > PLENTY {
        return Some(soft - all);
    }
    let mut tasks = 0;
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        if !entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit) {
            continue;
        }
        if entry.metadata().is_ok_and(|m| m.uid() == uid.as_raw()) {
            let dir = std::fs::metadata(entry.path().join("task"));
            // A directory has two links of its own and one for each task below it.
            tasks += dir.map_or(1, |m| m.nlink().saturating_sub(2));
        }
    }
    Some(soft.saturating_sub(tasks))
}

/// Whether `spec` may be run as it is.
pub fn validate(system: &System, spec: &RunSpec, limits: &Limits, machine: &Machine) -> Result<(), LaunchError> {
    check_options(system, spec, limits).map_err(LaunchError::BadOption)?;
    check_room(system, spec, machine).map_err(LaunchError::TooLarge)
}

fn check_options(system: &System, spec: &RunSpec, limits: &Limits) -> Result<(), String> {
    let id = system.id;
    if !system.tasks.contains(&spec.task) {
        let can: Vec<&str> = system.tasks.iter().map(|t| t.name()).collect();
        return Err(format!("{id} cannot run the task {}; it can run {}", spec.task.name(), can.join(", ")));
    }
    let own = catalog::own_program(id);
    let takes = |name: &str| own.is_none_or(|own| own.takes(name));
    match system.params.workers {
        None if spec.workers != system.params.fixed_workers && own.is_some() => {
            return Err(format!("{id} takes no number of workers; put {{workers}} into its command or env"));
        }
        None if spec.workers != system.params.fixed_workers => {
            let fixed = system.params.fixed_workers;
            return Err(format!("{id} always has {fixed} workers, not {}; remove --workers", spec.workers));
        }
        Some(_) if spec.workers == 0 => return Err(format!("{id} needs at least 1 worker; use --workers 1 or more")),
        Some(_) if spec.workers > limits.max_workers => {
            return Err(format!(
                "{} workers exceed the limit of {}; use fewer, or raise the limit in the config file",
                spec.workers, limits.max_workers
            ));
        }
        _ => {}
    }
    check_cluster(id, spec)?;
    if spec.tasks != system.params.tasks.unwrap_or(0) && own.is_some() && !takes("tasks") {
        return Err(format!("{id} takes no number of tasks; put {{tasks}} into its command or env"));
    }
    if spec.task_size.is_some() && !takes("size") {
        return Err(format!("{id} takes no size; put {{size}} into its command or env"));
    }
    if let Some(method) = spec.start_method {
        let fixed = catalog::python_program(id).map_or(PythonStart::None, |p| p.start);
        let said = method.name();
        match fixed {
            PythonStart::Chosen => {}
            PythonStart::Fixed(own) if own == method => {}
            PythonStart::Fixed(own) => return Err(format!("{id} always uses start method {}, not {said}", own.name())),
            PythonStart::None => {
                return Err(format!("{id} does not use multiprocessing; remove --start-method {said}"));
            }
        }
    }
    if spec.tasks > limits.max_tasks {
        return Err(format!(
            "{} tasks exceed the limit of {}; use --tasks {} or fewer",
            spec.tasks, limits.max_tasks, limits.max_tasks
        ));
    }
    if spec.parent_mb > limits.max_parent_mb {
        return Err(format!("a parent of {} MiB exceeds the limit of {} MiB", spec.parent_mb, limits.max_parent_mb));
    }
    if spec.timeout_ms == 0 || spec.timeout_ms > limits.max_timeout_ms {
        return Err(format!("a timeout of {} ms is not between 1 and {} ms", spec.timeout_ms, limits.max_timeout_ms));
    }
    check_size(spec)
}

fn check_cluster(id: &str, spec: &RunSpec) -> Result<(), String> {
    let takes = catalog::python_program(id).is_some_and(|program| program.cluster);
    match spec.cluster() {
        None if takes => {
            Err(format!("{id} needs the scheduler of a dask cluster that is running; use --cluster tcp://HOST:PORT"))
        }
        Some(_) if !takes => Err(format!("{id} works on this machine alone; remove --cluster")),
        Some(address) if !address.contains("://") => {
            Err(format!("{address:?} is no address of a scheduler, such as tcp://HOST:PORT"))
        }
        _ => Ok(()),
    }
}

fn check_size(spec: &RunSpec) -> Result<(), String> {
    let Some((unit, _)) = spec.task.size() else {
        return match spec.task_size {
            Some(_) => Err(format!("the task {} has no size; remove the size", spec.task.name())),
            None => Ok(()),
        };
    };
    let size = spec.size();
    let most = match spec.task {
        TaskKind::Pi => 20_000,
        TaskKind::Sleep | TaskKind::Http => 600_000,
        TaskKind::Matmul => 8_192,
        TaskKind::File => 1024 * 1024,
        TaskKind::Touch | TaskKind::None | TaskKind::Factorial | TaskKind::Own => u32::MAX,
    };
    if size == 0 || size > most {
        return Err(format!("the task {} takes a size of 1 to {most} {unit}, not {size}", spec.task.name()));
    }
    if spec.task == TaskKind::Touch && size > spec.parent_mb {
        return Err(format!(
            "the task touch writes {size} MiB of the parent's memory, but the parent has {} MiB; use --parent-mb {size} or more",
            spec.parent_mb
        ));
    }
    Ok(())
}

fn check_room(system: &System, spec: &RunSpec, machine: &Machine) -> Result<(), String> {
    let demand = system.demand(spec);
    let wanted = demand.total_mb();
    if let Some(available) = machine.available_mb.filter(|a| wanted + SPARE_MB > *a) {
        let Demand { parent_mb, copied_mb, workers_mb, work_mb, .. } = demand;
        let work = if work_mb == 0 { String::new() } else { format!(", their work {work_mb} MiB") };
        return Err(format!(
            "the run may need {wanted} MiB (parent {parent_mb} MiB, copied by workers {copied_mb} MiB, workers {workers_mb} MiB{work}), but {available} MiB are available, {SPARE_MB} MiB of them reserved; use less memory or fewer workers",
        ));
    }
    let tasks = demand.tasks;
    if let Some(free) = machine.free_tasks.filter(|f| tasks + SPARE_PIDS > *f) {
        return Err(format!(
            "the run may need {tasks} PIDs, but only {free} are free, {SPARE_PIDS} of them reserved; use fewer workers"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::catalog::find;

    fn judge(system: &str, change: impl FnOnce(&mut RunSpec), machine: Machine) -> Result<(), LaunchError> {
        let system = find(system).unwrap();
        let mut spec = system.defaults();
        change(&mut spec);
        validate(system, &spec, &Limits::default(), &machine)
    }

    #[test]
    fn memory_is_counted_for_every_copy() {
        let machine = Machine { available_mb: Some(1_000), free_tasks: Some(10_000) };
        let touch = |spec: &mut RunSpec| {
            (spec.task, spec.task_size, spec.parent_mb, spec.workers) = (TaskKind::Touch, Some(100), 100, 8);
        };
        let refused = judge("native/fork", touch, machine).unwrap_err().to_string();
        assert!(refused.contains("may need 908 MiB") && refused.contains("1000 MiB are available"), "{refused}");
        assert_eq!(judge("native/thread", touch, machine), Ok(()), "threads share one memory");
        assert_eq!(judge("native/fork", touch, Machine::default()), Ok(()), "a guard without a figure does not hold");
    }

    #[test]
    fn pids_are_left_to_others() {
        let machine = Machine { available_mb: None, free_tasks: Some(100) };
        assert!(
            matches!(judge("native/fork", |s| s.workers = 50, machine), Err(LaunchError::TooLarge(why)) if why.contains("only 100 are free"))
        );
        assert_eq!(judge("native/fork", |s| s.workers = 8, machine), Ok(()));
    }

    #[test]
    fn this_machine_can_be_read() {
        let machine = Machine::read();
        assert!(machine.available_mb.is_some_and(|mb| mb > 0), "{machine:?}");
        assert!(machine.free_tasks.is_some_and(|n| n > 0), "{machine:?}");
    }
}
