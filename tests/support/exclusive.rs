//! Keeps tests of one program apart: a test that measures time, memory or CPU shares, or uses up a resource of its process, runs alone.
//! What would change the whole process (priorities, limits, environment) runs in a process of its own.

use std::cell::Cell;
use std::process::Command;
use std::sync::{PoisonError, RwLock};

static MACHINE: RwLock<()> = RwLock::new(());

thread_local! {
    /// Whether this test holds the lock: taking it twice would wait for ever.
    static HELD: Cell<bool> = const { Cell::new(false) };
}

/// The lock of a test until it ends.
pub struct Held<G> {
    _guard: G,
}

impl<G> Held<G> {
    fn take(lock: impl FnOnce() -> G) -> Self {
        assert!(!HELD.replace(true), "a test takes alone() or busy() once");
        Self { _guard: lock() }
    }
}

impl<G> Drop for Held<G> {
    fn drop(&mut self) {
        HELD.set(false);
    }
}

/// For a test that measures or uses up a resource: no other test that takes this or [`busy`] runs meanwhile.
pub fn alone() -> Held<impl Sized> {
    // A failed test has changed nothing for the next one.
    Held::take(|| MACHINE.write().unwrap_or_else(PoisonError::into_inner))
}

/// For a test that loads the CPUs: not beside one that runs [`alone`].
pub fn busy() -> Held<impl Sized> {
    Held::take(|| MACHINE.read().unwrap_or_else(PoisonError::into_inner))
}

/// Whether other programs leave this process and its children less than two fifths of the CPUs that they want: then they wait, but not for each
/// other.
pub fn starved(pid: i32, cpus: usize) -> bool {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let family: Vec<String> = children.split_whitespace().map(str::to_owned).chain([pid.to_string()]).collect();
    let used_ns = || -> u64 {
        let tasks = family.iter().filter_map(|pid| std::fs::read_dir(format!("/proc/{pid}/task")).ok()).flatten().flatten();
        let figures = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
        figures.filter_map(|figures| figures.split(' ').next()?.parse::<u64>().ok()).sum()
    };
    let (before, begun) = (used_ns(), std::time::Instant::now());
    std::thread::sleep(std::time::Duration::from_secs(3));
    let share = (used_ns() - before) as f64 / (begun.elapsed().as_nanos() as f64 * cpus as f64);
    if share < 0.4 {
        loudly!("SKIPPED: other programs take the CPUs, these had {:.0} % of {cpus}", share * 100.0);
    }
    share < 0.4
}

/// The name by which the harness knows a test: `full_name(module_path!(), "test")`.
pub fn full_name(module: &str, test: &str) -> String {
    // The harness leaves the name of the crate out.
    module.split_once("::").map_or_else(|| test.to_owned(), |(_, inner)| format!("{inner}::{test}"))
}

/// Runs `body` in a process of its own: this test program again, with this test only. What the child prints to its standard error stays
/// visible; its failure is that of the test.
pub fn own_process(module: &str, test: &str, body: impl FnOnce()) {
    const INSIDE: &str = "CONCMON_TEST_OWN_PROCESS";
    let name = full_name(module, test);
    if std::env::var_os(INSIDE).is_some_and(|inside| inside == *name) {
        return body();
    }
    let me = std::env::current_exe().expect("the path of this program");
    let child = Command::new(me).args(["--exact", &name, "--include-ignored", "--nocapture"]).env(INSIDE, &name).output();
    let child = child.expect("this program starts again");
    let [out, error] = [&child.stdout, &child.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    if !error.is_empty() {
        loudly!("{}", error.trim_end());
    }
    assert!(child.status.success() && out.contains("1 passed"), "{name} in its own process: {}\n{out}", child.status);
}
