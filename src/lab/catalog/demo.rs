//! Demos: the systems that one key after `n` launches, with work that lasts long enough to be watched.

use super::{RunSpec, TaskKind, find};

/// Pause between two creations of a demo, milliseconds. It is outside of every figure.
const PACE_MS: u32 = 150;
/// How long the work of a demo should take where every worker has a CPU, in units of work.
const UNITS_EACH: u32 = 10;

/// Most cells of a demo's concept: the sheet has room for whole texts.
pub const CONCEPT_CELLS: usize = 18;
/// Most cells of what to watch.
pub const WATCH_CELLS: usize = 37;

/// One demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demo {
    /// Key after `n`.
    pub key: char,
    /// The system.
    pub system: &'static str,
    /// What is demonstrated; a native and a Python demo with the same concept stand on one line.
    pub concept: &'static str,
    /// What to watch, in a few words.
    pub watch: &'static str,
    /// What each unit of work does, and its size; `None` for a system whose work is its own.
    work: Option<(TaskKind, u32)>,
    /// Units of work, where the demo's own number does not follow from its workers.
    units: Option<u32>,
    /// Memory of the parent, MiB.
    parent_mb: u32,
}

const fn demo(key: char, system: &'static str, concept: &'static str, watch: &'static str) -> Demo {
    Demo { key, system, concept, watch, work: None, units: None, parent_mb: 0 }
}

impl Demo {
    const fn computing(self, digits: u32) -> Self {
        Self { work: Some((TaskKind::Pi, digits)), ..self }
    }

    const fn sleeping(self, ms: u32) -> Self {
        Self { work: Some((TaskKind::Sleep, ms)), ..self }
    }

    const fn doing(self, units: u32) -> Self {
        Self { units: Some(units), ..self }
    }

    const fn holding(self, mb: u32) -> Self {
        Self { parent_mb: mb, ..self }
    }
}

/// Digits of pi that take native code and CPython some 0.2 to 0.4 s on a CPU of these years.
const NATIVE_DIGITS: u32 = 6_000;
const PYTHON_DIGITS: u32 = 2_500;
/// And half of that: its units run twice, by one thread and by several.
const TWICE_DIGITS: u32 = 1_800;
/// Blocks of 16 MiB to hash: some 10 ms each on a CPU with SHA instructions, some 60 ms on one without.
const BLOCKS: u32 = 200;
/// Milliseconds that a blocking call holds up a loop. All calls of a demo run one after the other.
const BLOCKING_MS: u32 = 150;

/// All demos: native and Python twins next to each other.
pub const DEMOS: &[Demo] = &[
    demo('f', "native/fork", "fork", "copies that share the parent's memory").computing(NATIVE_DIGITS),
    demo('F', "python/process-fork", "fork", "reading copies pages (refcounts)").computing(PYTHON_DIGITS),
    demo('s', "native/spawn", "spawn", "a fresh program each; nothing shared").computing(NATIVE_DIGITS),
    demo('S', "python/process-spawn", "spawn", "a new interpreter each, and a tracker").computing(PYTHON_DIGITS),
    demo('v', "native/forkserver", "fork server", "the workers are the server's children").computing(NATIVE_DIGITS),
    demo('V', "python/process-forkserver", "fork server", "a tracker, a server, workers below it").computing(PYTHON_DIGITS),
    demo('p', "native/process-pool", "process pool", "a free worker takes the next task").computing(NATIVE_DIGITS),
    demo('P', "python/process-pool-executor", "process pool", "manager and feeder threads appear").computing(PYTHON_DIGITS),
    demo('t', "native/thread-pool", "threads", "one PID, every CPU").computing(NATIVE_DIGITS),
    demo('T', "python/thread-pool-executor", "threads", "one GIL: together they use one CPU").computing(PYTHON_DIGITS),
    demo('a', "native/event-loop", "event loop", "one thread; its tasks wait together").sleeping(300),
    demo('A', "python/asyncio", "event loop", "one thread in epoll; tasks below it").sleeping(300),
    demo('b', "native/blocked-loop", "blocked event loop", "one call blocks; every task stops").sleeping(BLOCKING_MS),
    demo('B', "python/blocked-loop", "blocked event loop", "one call blocks; every task stops").sleeping(BLOCKING_MS),
    demo('c', "native/copy-on-write", "copy-on-write", "a write copies pages; D counts them").holding(64),
    demo('C', "python/copy-on-write", "copy-on-write", "a read copies pages; D counts them").holding(64),
    demo('z', "native/states", "process states", "R S D T t Z at once"),
    demo('g', "python/gil-threads", "GIL", "two threads take turns on one CPU").computing(TWICE_DIGITS),
    demo('h', "python/hash-threads", "GIL released", "hashing in C uses two CPUs").doing(BLOCKS),
    demo('i', "python/interpreters", "sub-interpreters", "one process, a GIL for each").computing(PYTHON_DIGITS),
];

/// The demo with this key.
#[must_use]
pub fn demo_of(key: char) -> Option<&'static Demo> {
    DEMOS.iter().find(|demo| demo.key == key)
}

/// The demo of this system.
#[must_use]
pub fn demo_for(system: &str) -> Option<&'static Demo> {
    DEMOS.iter().find(|demo| demo.system == system)
}

impl Demo {
    /// Whether it runs on a Python interpreter.
    #[must_use]
    pub fn is_python(&self) -> bool {
        self.system.starts_with("python/")
    }

    /// What a launch on so many CPUs asks for: the fewer CPUs the workers share, the less each has to do.
    #[must_use]
    pub fn spec(&self, cpus: usize) -> Option<RunSpec> {
        let system = find(self.system)?;
        let mut spec = system.defaults();
        // A pause within an event loop would hold up the tasks that it has created already.
        spec.pace_ms = if self.work.is_some_and(|(task, _)| task == TaskKind::Pi) { PACE_MS } else { 0 };
        spec.parent_mb = self.parent_mb;
        if let Some((task, size)) = self.work {
            let workers = spec.workers.max(1);
            let at_once =
                if task == TaskKind::Pi { workers.min(u32::try_from(cpus).unwrap_or(u32::MAX)).max(1) } else { workers };
            spec.task = task;
            spec.task_size = Some(size);
            if system.params.tasks.is_some() {
                spec.tasks = (UNITS_EACH * at_once).max(workers * 2);
            }
        }
        spec.tasks = self.units.unwrap_or(spec.tasks);
        Some(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_demo_is_of_a_system_that_can_do_its_work() {
        for demo in DEMOS {
            let system = find(demo.system).unwrap_or_else(|| panic!("{} is no system", demo.system));
            assert!(demo.work.is_none_or(|(task, _)| system.tasks.contains(&task)), "{}", demo.system);
            assert!(demo.parent_mb == 0 || system.params.parent_mb, "{}", demo.system);
            assert!(demo.watch.len() <= WATCH_CELLS, "{}: {}", demo.system, demo.watch);
            assert!(demo.concept.len() <= CONCEPT_CELLS, "{}", demo.concept);
            assert_eq!(DEMOS.iter().filter(|d| d.key == demo.key || d.system == demo.system).count(), 1, "{}", demo.key);
        }
        assert!(demo_of('r').is_none() && demo_of('n').is_none(), "they have a meaning of their own after n");
    }

    #[test]
    fn only_what_runs_beside_its_creator_is_paced() {
        assert_eq!(demo_of('A').unwrap().spec(2).unwrap().pace_ms, 0);
        assert_eq!(demo_of('F').unwrap().spec(2).unwrap().pace_ms, PACE_MS);
    }

    #[test]
    fn few_cpus_have_less_to_do() {
        let pool = demo_of('p').unwrap();
        assert!(pool.spec(1).unwrap().tasks < pool.spec(64).unwrap().tasks);
        assert_eq!(pool.spec(64).unwrap().tasks, pool.spec(4).unwrap().tasks, "4 workers use 4 CPUs at most");
    }
}
