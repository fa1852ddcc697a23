//! A run ends with concmon, the helper, its guard and its root. Processes are found by a mark in their environment, which all descendants
//! inherit.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use concmon::lab::catalog::{self, RunSpec, Section, TaskKind};
use concmon::lab::python;
use concmon::lab::run::{Outcome, RunPhase};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::fs::inotify;

use crate::pools;
use crate::support::exclusive::full_name;
use crate::support::gone;
use crate::support::lab::{await_end, await_workers, launcher, spec};
use crate::support::marked::{MARK, Marked, marked};
use crate::support::programs;
use crate::support::python::{available, named};
use crate::support::together::at_a_time;

const PROCESS_SYSTEMS: [&str; 5] = ["native/fork", "native/exec", "native/spawn", "native/forkserver", "native/process-pool"];

/// The pools that make processes and can run here.
fn pools_here() -> impl Iterator<Item = &'static str> {
    let with_processes = |id: &&str| catalog::find(id).is_some_and(|s| s.section == Section::Processes);
    pools::systems().filter(with_processes).filter(|id| available(id))
}

/// The interpreter that runs the system here.
fn python_of(system: &str) -> Option<PathBuf> {
    let system = catalog::find(system).filter(|system| system.on_python())?;
    python::choose(system, None, &python::interpreters(&named())).ok().map(|interpreter| interpreter.path)
}

/// What a victim prints when it has stopped its run, and nothing is left of that.
const STOPPED: &str = "the run was stopped";

/// Nothing takes longer to be gone, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process of its own that holds a launcher and a run of `workers` workers which do nothing for a minute.
struct Victim {
    child: Child,
    mark: String,
    dir: PathBuf,
    /// What the names of semaphores and shared memory of its runs begin with.
    objects: Vec<String>,
    /// Removed with the victim.
    scratch: Option<tempfile::TempDir>,
}

impl Victim {
    /// Comes back when every worker is there.
    fn start(system: &str, workers: u32) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut victim = Self::start_in(scratch.path(), system, workers);
        victim.scratch = Some(scratch);
        victim
    }

    /// The same with this directory for what the helper puts into files.
    fn start_in(dir: &Path, system: &str, workers: u32) -> Self {
        Self::start_until(dir, system, workers, "the run is up")
    }

    /// The same, until it prints this.
    fn start_until(dir: &Path, system: &str, workers: u32, words: &str) -> Self {
        let mark = format!("{}-{workers}", dir.display());
        let mut victim = Command::new(std::env::current_exe().unwrap());
        if let Some(python) = python_of(system) {
            // It need not look for interpreters: only this one is found.
            victim.env("VICTIM_PYTHON", python).env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent").env_remove("PYENV_ROOT");
        }
        let mut child = victim
            .args(["--exact", &full_name(module_path!(), "the_victim"), "--ignored", "--nocapture"])
            .env(MARK, &mark)
            .env("XDG_RUNTIME_DIR", dir)
            .env("VICTIM_SYSTEM", system)
            .env("VICTIM_WORKERS", workers.to_string())
            .env("VICTIM_UNTIL", words)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains(words)), "the victim did not print that {words}");
        let names = std::fs::read_dir(dir).unwrap().flatten().filter_map(|e| e.file_name().into_string().ok());
        Self { child, mark, dir: dir.to_owned(), objects: names.collect(), scratch: None }
    }

    fn processes(&self) -> Vec<Marked> {
        marked(&self.mark)
    }

    /// The guard (child of the victim) and the supervisor (child of the guard).
    fn helpers(&self) -> (i32, i32) {
        let all = self.processes();
        let helpers: Vec<&Marked> = all.iter().filter(|p| p.args.contains("__lab-helper")).collect();
        let guard = helpers.iter().find(|p| p.ppid == self.child.id().cast_signed()).unwrap().pid;
        (guard, helpers.iter().find(|p| p.ppid == guard).unwrap().pid)
    }

    /// Waits until no process but the victim itself and no file is left; panics with what is after [`PATIENCE`].
    fn assert_contained(&self) {
        let until = Instant::now() + PATIENCE;
        self.assert_no_process();
        // Watched before it is looked at: nothing is removed unseen in between.
        let removals = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&removals, &self.dir, inotify::WatchFlags::DELETE | inotify::WatchFlags::MOVED_FROM).unwrap();
        loop {
            let files: Vec<PathBuf> = std::fs::read_dir(&self.dir).unwrap().flatten().map(|e| e.path()).collect();
            if files.is_empty() {
                // They go before the directory.
                assert_eq!(self.objects_left(), Vec::<String>::new());
                return;
            }
            assert!(gone::readable_by(&removals, until), "left after {PATIENCE:?}: {files:?}");
            let _ = rustix::io::read(&removals, &mut [0_u8; 4096]);
        }
    }

    /// Semaphores and shared memory of its runs.
    fn objects_left(&self) -> Vec<String> {
        let names =
            std::fs::read_dir("/dev/shm").into_iter().flatten().flatten().filter_map(|e| e.file_name().into_string().ok());
        names.filter(|name| self.objects.iter().any(|object| name.contains(object.as_str()))).collect()
    }

    /// Waits until no process but the victim itself is left.
    fn assert_no_process(&self) {
        let until = Instant::now() + PATIENCE;
        loop {
            let left: Vec<Marked> =
                self.processes().into_iter().filter(|p| p.pid != self.child.id().cast_signed() && p.state != 'Z').collect();
            if left.is_empty() {
                return;
            }
            // Each is waited for, and then who they may have started meanwhile.
            let all_gone = left.iter().all(|p| gone::gone_by(p.pid, until));
            assert!(all_gone, "{} processes left after {PATIENCE:?}: {left:?}", left.len());
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kill_now(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// Not a test: the process that the tests below kill.
#[test]
#[ignore = "it is started by the other tests and waits to be killed"]
fn the_victim() {
    let Some(workers) = std::env::var("VICTIM_WORKERS").ok().and_then(|n| n.parse().ok()) else { return };
    let system = std::env::var("VICTIM_SYSTEM").unwrap();
    let launcher = launcher();
    // A Python run that is measured says of its workers when they have ended: one that stays says it at once.
    let hold_ms = if system.starts_with("python/") { 60_000 } else { 0 };
    let sleeps = spec(&system, TaskKind::Sleep);
    let python = std::env::var_os("VICTIM_PYTHON").map(PathBuf::from);
    let long = RunSpec { workers, tasks: workers, task_size: Some(60_000), timeout_ms: 120_000, hold_ms, python, ..sleeps };
    let id = launcher.launch(long).unwrap();
    await_workers(&launcher, id, workers);
    if std::env::var("VICTIM_UNTIL").is_ok_and(|words| words == STOPPED) {
        launcher.stop(id);
        assert_eq!(await_end(&launcher, id).phase, RunPhase::Ended(Outcome::Stopped));
        let own = std::process::id().cast_signed();
        let of_run = |p: &Marked| p.pid != own && !p.args.contains("__lab-helper") && p.state != 'Z';
        let left: Vec<Marked> = marked(&std::env::var(MARK).unwrap()).into_iter().filter(of_run).collect();
        assert!(left.is_empty(), "{left:?}");
        println!("{STOPPED}");
    } else {
        println!("the run is up");
    }
    // Holding the launcher: only the death of this process is to end what it has started.
    loop {
        std::thread::park();
    }
}

#[test]
fn killing_concmon_in_a_run_of_200_workers_leaves_nothing() {
    let mut victim = Victim::start("native/fork", 200);
    assert!(victim.processes().len() >= 203, "victim, guard, supervisor, root and 200 workers");
    victim.child.kill().unwrap();
    victim.child.wait().unwrap();
    victim.assert_contained();
}

#[test]
fn a_pool_that_is_stopped_leaves_nothing() {
    at_a_time(2, pools_here(), |system| {
        let scratch = tempfile::tempdir().unwrap();
        let mut victim = Victim::start_until(scratch.path(), system, 3, STOPPED);
        assert_eq!(victim.objects_left(), Vec::<String>::new(), "{system}");
        victim.child.kill().unwrap();
        victim.child.wait().unwrap();
        victim.assert_contained();
    });
}

#[test]
fn killing_concmon_in_a_run_of_a_pool_leaves_nothing() {
    at_a_time(2, pools_here(), |system| {
        let mut victim = Victim::start(system, 3);
        assert!(victim.processes().len() >= 7, "{system}: victim, guard, supervisor, root and 3 workers");
        victim.child.kill().unwrap();
        victim.child.wait().unwrap();
        victim.assert_contained();
    });
}

#[test]
fn killing_the_supervisor_leaves_nothing() {
    at_a_time(2, PROCESS_SYSTEMS.into_iter().map(|id| (id, 20)).chain(pools_here().map(|id| (id, 3))), |(system, workers)| {
        let victim = Victim::start(system, workers);
        kill_now(victim.helpers().1);
        victim.assert_contained();
    });
}

#[test]
fn killing_the_guard_leaves_nothing() {
    at_a_time(2, PROCESS_SYSTEMS.into_iter().map(|id| (id, 20)).chain(pools_here().map(|id| (id, 3))), |(system, workers)| {
        let victim = Victim::start(system, workers);
        kill_now(victim.helpers().0);
        victim.assert_contained();
    });
}

#[test]
fn killing_everybody_but_the_workers_at_once_leaves_no_process() {
    for system in PROCESS_SYSTEMS {
        let mut victim = Victim::start(system, 20);
        let (guard, supervisor) = victim.helpers();
        for pid in [guard, supervisor] {
            kill_now(pid);
        }
        victim.child.kill().unwrap();
        victim.child.wait().unwrap();
        // Parent-death signals end the processes. No process is left to remove the directory: the next helper does.
        victim.assert_no_process();
        let again = Victim::start_in(&victim.dir, system, 1);
        let dirs = std::fs::read_dir(&victim.dir).unwrap().count();
        assert_eq!(dirs, 1, "{system}: what was left behind is gone, the directory of the new helper is there");
        drop(again);
    }
}

#[test]
fn killing_the_root_ends_the_run_with_a_verdict() {
    let launcher = launcher();
    let id =
        launcher.launch(RunSpec { tasks: 4, task_size: Some(60_000), ..spec("native/forkserver", TaskKind::Sleep) }).unwrap();
    let run = await_workers(&launcher, id, 4);
    let root = run.root_pid.unwrap();
    kill_now(root);
    let ended = await_end(&launcher, id);
    assert_eq!(ended.phase, RunPhase::Ended(Outcome::Failed(format!("the run root (PID {root}) was killed by SIGKILL"))));
    for worker in &run.workers {
        assert!(!PathBuf::from(format!("/proc/{}", worker.pid.unwrap())).exists(), "{worker:?} outlived its run");
    }
    let again = launcher.launch(spec("native/fork", TaskKind::None)).unwrap();
    assert_eq!(await_end(&launcher, again).phase, RunPhase::Ended(Outcome::Done), "other runs go on");
}

#[test]
fn a_killed_helper_fails_its_runs_and_the_next_launch_starts_another() {
    let launcher = launcher();
    let id = launcher.launch(RunSpec { tasks: 4, task_size: Some(60_000), ..spec("native/fork", TaskKind::Sleep) }).unwrap();
    let run = await_workers(&launcher, id, 4);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", run.root_pid.unwrap())).unwrap();
    let supervisor: i32 = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap();
    kill_now(supervisor);
    let ended = await_end(&launcher, id);
    let RunPhase::Ended(Outcome::Failed(why)) = &ended.phase else { panic!("{:?}", ended.phase) };
    assert!(why.contains("helper ended"), "{why}");
    let again = launcher.launch(spec("native/fork", TaskKind::None)).unwrap();
    assert_eq!(await_end(&launcher, again).phase, RunPhase::Ended(Outcome::Done));
}

#[test]
fn dropping_the_launcher_ends_its_runs() {
    let scratch = launcher();
    let id = scratch.launch(RunSpec { tasks: 4, task_size: Some(60_000), ..spec("native/fork", TaskKind::Sleep) }).unwrap();
    let run = await_workers(&scratch, id, 4);
    let pids: Vec<i32> = run.workers.iter().filter_map(|w| w.pid).chain(run.root_pid).collect();
    drop(scratch);
    for pid in pids {
        assert!(!PathBuf::from(format!("/proc/{pid}")).exists(), "{pid} is still there");
    }
}

/// A user id that nothing else on a machine has.
const BOMBER: &str = "64123";
/// As many processes as that user may have: enough for a bomb, nothing to a machine.
const BOMB_PROCESSES: usize = 300;

/// Every process of the user, dead or not.
fn of_bomber() -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let statuses = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("status")).ok());
    statuses.filter(|status| status.lines().any(|line| line.split_whitespace().take(2).eq(["Uid:", BOMBER]))).count()
}

/// Looks until it is so; no event reports other users' processes.
fn await_bomber(what: &str, patience: Duration, wanted: impl Fn(usize) -> bool) {
    let until = Instant::now() + patience;
    while !wanted(of_bomber()) {
        assert!(Instant::now() < until, "{what}: {} processes after {patience:?}", of_bomber());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Every process of it forks for ever; what its user may have is used up at once, and each that is killed makes room for the next.
#[test]
fn a_fork_bomb_goes_with_its_run() {
    if !nix::unistd::geteuid().is_root() {
        loudly!("SKIPPED a fork bomb: it is set off as a user of its own, and only root can become one");
        return;
    }
    // Where that user may execute it.
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let concmon = dir.path().join("concmon");
    programs::copy(env!("CARGO_BIN_EXE_concmon"), &concmon);
    for end in [Signal::SIGTERM, Signal::SIGKILL] {
        let become_it = [&format!("--reuid={BOMBER}"), &format!("--regid={BOMBER}"), "--clear-groups"];
        let mut run = Command::new("setpriv")
            .args(become_it)
            .args(["prlimit", &format!("--nproc={BOMB_PROCESSES}:{BOMB_PROCESSES}")])
            .arg(&concmon)
            .args(["run", "--", "/bin/sh", "-c", "b() { b & b & wait; }; while :; do b; done"])
            .env("TMPDIR", "/tmp")
            .env_remove("XDG_RUNTIME_DIR")
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It reaches its limit by little and little: even on a quiet machine that takes many seconds.
        await_bomber("the bomb", 4 * PATIENCE, |processes| processes > BOMB_PROCESSES * 3 / 4);
        kill(Pid::from_raw(i32::try_from(run.id()).unwrap()), end).unwrap();
        let told = Instant::now();
        run.wait().unwrap();
        await_bomber("the end of it", 4 * PATIENCE, |processes| processes == 0);
        loudly!("a fork bomb of {BOMB_PROCESSES} processes is gone {:.1?} after its concmon was sent {end}", told.elapsed());
    }
}
