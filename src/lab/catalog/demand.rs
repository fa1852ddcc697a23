//! Upper bounds of a run's resources: for the check before its launch, and for the limits of its control group.

use super::{RunSpec, Section, System, TOKIO_THREADS, TaskKind};

/// What one process of a run needs at least (stack, page tables, private pages), MiB; a generous round figure.
const PROCESS_MB: u64 = 1;
/// The same for a process with an interpreter in it.
const PYTHON_PROCESS_MB: u64 = 16;
/// What a thread holds of its own, KiB: 16 to 21 in CPython, 8 in a native run.
const THREAD_KB: u64 = 24;
/// What the parent of the copy-on-write exhibits holds where the spec does not say, MiB.
pub const COPY_ON_WRITE_MB: u32 = 64;

/// Upper bounds for one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Memory of the parent, MiB.
    pub parent_mb: u64,
    /// Copies of it that children make by writing to it, MiB.
    pub copied_mb: u64,
    /// What the workers need to be there, MiB.
    pub workers_mb: u64,
    /// What the units of work under way need, MiB.
    pub work_mb: u64,
    /// Tasks of the kernel, the root's and its helpers' among them.
    pub tasks: u64,
}

impl Demand {
    /// All memory, MiB.
    #[must_use]
    pub fn total_mb(&self) -> u64 {
        self.parent_mb + self.copied_mb + self.workers_mb + self.work_mb
    }
}

impl System {
    /// What a run of `spec` may take at most.
    #[must_use]
    pub fn demand(&self, spec: &RunSpec) -> Demand {
        let workers = u64::from(spec.workers);
        let separate = matches!(self.section, Section::Processes | Section::Exhibits);
        let name = self.id.rsplit('/').next().unwrap_or(self.id);
        let held = if name == "copy-on-write" && spec.parent_mb == 0 { COPY_ON_WRITE_MB } else { spec.parent_mb };
        // A page that a child writes to is copied: in the worst case every worker process has its own copy of what it touches.
        let written = match spec.task {
            _ if name == "copy-on-write" => held,
            TaskKind::Touch if separate => spec.size(),
            _ => 0,
        };
        let threads = if name == "async-vs-threads" { u64::from(spec.tasks) } else { 0 };
        let each = if self.on_python() { PYTHON_PROCESS_MB } else { PROCESS_MB };
        let at_once = if self.section == Section::Async { workers.min(u64::from(TOKIO_THREADS)) } else { workers };
        Demand {
            parent_mb: held.into(),
            copied_mb: u64::from(written) * workers,
            workers_mb: if separate { workers * each } else { threads * THREAD_KB / 1024 },
            work_mb: if spec.task == TaskKind::Matmul { matrices_mb(spec.size()) * at_once } else { 0 },
            tasks: workers * 2 + threads + 4,
        }
    }
}

/// Two factors and a product of 64-bit numbers, MiB, rounded up.
fn matrices_mb(rows: u32) -> u64 {
    (u64::from(rows) * u64::from(rows) * 8 * 3).div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::*;

    fn demand(system: &str, change: impl FnOnce(&mut RunSpec)) -> Demand {
        let system = find(system).unwrap();
        let mut spec = system.defaults();
        change(&mut spec);
        system.demand(&spec)
    }

    #[test]
    fn every_copy_and_every_matrix_counts() {
        let cow = demand("native/copy-on-write", |_| ());
        assert_eq!((cow.parent_mb, cow.copied_mb), (64, 256), "four children may copy all of what the parent holds by default");
        let cow = demand("python/copy-on-write", |s| s.parent_mb = 100);
        assert_eq!((cow.parent_mb, cow.copied_mb), (100, 400));
        let product = |s: &mut RunSpec| (s.task, s.task_size, s.workers) = (TaskKind::Matmul, Some(4096), 8);
        assert_eq!(demand("native/thread", product).work_mb, 8 * 384);
        assert_eq!(demand("native/tokio-multi", product).work_mb, 4 * 384, "no more at one time than the runtime has threads");
        assert_eq!(demand("native/thread", |_| ()).total_mb(), 0);
    }

    #[test]
    fn threads_that_are_no_workers_count_too() {
        let many = demand("native/async-vs-threads", |s| s.tasks = 10_000);
        assert!(many.tasks > 10_000 && many.workers_mb > 200, "{many:?}");
        assert_eq!(demand("native/fork", |s| s.workers = 8).tasks, 20);
    }
}
