//! Kills concmon, the lab's guard, its supervisor, a run's root or a worker, while the run is launched, works, is held and is torn down.
//! Afterwards no process, file, socket, shared memory or control group is left. Each run has its own `/dev/shm` and `/var/tmp`, so that
//! other programs cannot disturb the check.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use concmon::lab::catalog::{RunSpec, StartMethod, TaskKind};
use concmon::lab::run::Run;

use crate::support::exclusive::full_name;
use crate::support::lab::{await_run, launcher, spec};
use crate::support::marked::{MARK, Marked, marked};

const PHASES: [&str; 4] = ["launch", "working", "holding", "teardown"];
const VICTIMS: [&str; 5] = ["concmon", "guard", "supervisor", "root", "worker"];
/// Python's own helpers are given a moment to end by themselves.
const GONE_WITHIN: Duration = Duration::from_secs(3);

/// Directories that all users of the machine share, mounted once more for one stage.
const SHARED: [&str; 2] = ["/dev/shm", "/var/tmp"];
const MOUNT: &str = "for at in /dev/shm /var/tmp; do mount -t tmpfs tmpfs \"$at\" || exit 1; done; exec \"$@\"";

/// What gives a command file systems of its own, if that may be had here.
fn own_mounts() -> Option<&'static str> {
    static FOUND: std::sync::OnceLock<Option<&str>> = std::sync::OnceLock::new();
    *FOUND.get_or_init(|| {
        let may = |flags: &&str| {
            let tried = Command::new("unshare").args([*flags, "sh", "-c", MOUNT, "sh", "true"]).output();
            tried.is_ok_and(|output| output.status.success())
        };
        let found = ["-m", "-rm"].into_iter().find(may);
        if found.is_none() {
            loudly!(
                "SKIPPED: no mount namespace may be made here, so what is left in {SHARED:?} cannot be told from that of others"
            );
        }
        found
    })
}

/// A process of its own with a launcher and a run in the phase that is wanted.
struct Stage {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    mark: String,
    scratch: tempfile::TempDir,
    /// Its own [`SHARED`], held open so that they can be looked at when all its processes are gone; none where it has no own ones.
    shared: Vec<File>,
}

impl Stage {
    fn set(system: &str, start: Option<StartMethod>, phase: &str, round: usize) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        for name in ["runtime", "tmp"] {
            std::fs::create_dir(scratch.path().join(name)).unwrap();
        }
        let mark = format!("sweep-{}-{}-{phase}-{round}", std::process::id(), system.replace('/', "-"));
        let exe = std::env::current_exe().unwrap();
        let mounts = own_mounts();
        let mut command = match mounts {
            // Each of them becomes the next: it is one process all the way.
            Some(flags) => {
                let mut command = Command::new("unshare");
                command.args([flags, "sh", "-c", MOUNT, "sh"]).arg(&exe);
                command
            }
            None => Command::new(&exe),
        };
        let mut child = command
            .args(["--exact", &full_name(module_path!(), "the_stage"), "--ignored", "--nocapture"])
            .env(MARK, &mark)
            .env("XDG_RUNTIME_DIR", scratch.path().join("runtime"))
            .env("TMPDIR", scratch.path().join("tmp"))
            .env("STAGE_SYSTEM", system)
            .env("STAGE_START", start.map_or("", StartMethod::name))
            .env("STAGE_PHASE", phase)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut stage = Self { child, lines, mark, scratch, shared: Vec::new() };
        stage.hear("the run is up");
        if mounts.is_some() {
            stage.shared = SHARED.map(|at| File::open(format!("/proc/{}/root{at}", stage.main())).unwrap()).into();
        }
        stage
    }

    /// What is in the directories where a run may leave something.
    fn files(&self) -> Vec<PathBuf> {
        let own = ["runtime", "tmp"].map(|name| self.scratch.path().join(name));
        let shared = self.shared.iter().map(|dir| PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())));
        own.into_iter().chain(shared).flat_map(|dir| std::fs::read_dir(dir).unwrap()).map(|entry| entry.unwrap().path()).collect()
    }

    /// How many objects of shared memory there are, named semaphores among them.
    fn shared_objects(&self) -> usize {
        let dir = self.shared.first().map(|dir| std::fs::read_dir(format!("/proc/self/fd/{}", dir.as_raw_fd())).unwrap());
        dir.map_or(0, Iterator::count)
    }

    fn hear(&mut self, what: &str) {
        let heard = self.lines.by_ref().map_while(Result::ok).any(|line| line.contains(what));
        assert!(heard, "{}: the stage did not come to {what:?}", self.mark);
    }

    fn main(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The pid of one of [`VICTIMS`]; of the nearest above that is there if it has not been created yet.
    fn find(&self, victim: &str) -> i32 {
        let all = marked(&self.mark);
        let child_of = |ppid: i32, helper: bool| {
            // CPython's resource tracker is no worker.
            let wanted = |p: &&Marked| p.args.contains("__lab-helper") == helper && !p.args.contains("resource_tracker");
            all.iter().filter(wanted).find(|p| p.ppid == ppid).map(|p| p.pid)
        };
        let chain =
            [Some(self.main()), child_of(self.main(), true), child_of(self.main(), true).and_then(|guard| child_of(guard, true))];
        let root = chain[2].and_then(|supervisor| child_of(supervisor, false));
        let worker = root.and_then(|root| child_of(root, false));
        let all = [chain[0], chain[1], chain[2], root, worker];
        let at = VICTIMS.iter().position(|name| *name == victim).unwrap();
        all[..=at].iter().rev().flatten().copied().next().unwrap()
    }

    fn assert_gone(&self, what: &str) {
        let began = Instant::now();
        loop {
            let processes: Vec<String> = marked(&self.mark)
                .into_iter()
                .filter(|p| p.pid != self.main() && p.state != 'Z')
                .map(|p| format!("{} {}", p.pid, p.args))
                .collect();
            let files = self.files();
            if processes.is_empty() && files.is_empty() {
                return;
            }
            assert!(began.elapsed() < GONE_WITHIN, "{what}: left after {GONE_WITHIN:?}: {processes:?}, {files:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kill(pid: i32) {
    // Gone already is as good.
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
}

/// Not a test: the process that holds the run.
#[test]
#[ignore = "it is started by the other tests and waits to be killed"]
fn the_stage() {
    let (Ok(system), Ok(phase)) = (std::env::var("STAGE_SYSTEM"), std::env::var("STAGE_PHASE")) else { return };
    let launcher = launcher();
    let start_method = std::env::var("STAGE_START").ok().and_then(|name| StartMethod::from_name(&name));
    // A run that stays to be looked at reports while it works; others report when their work is done.
    let long = RunSpec { hold_ms: 1, ..spec(&system, TaskKind::Sleep) };
    let long = RunSpec { workers: 4, tasks: 4, task_size: Some(60_000), timeout_ms: 120_000, ..long };
    let long = RunSpec { start_method: start_method.or(long.start_method), ..long };
    let wanted = if phase == "holding" { RunSpec { task_size: Some(1), hold_ms: 60_000, ..long } } else { long };
    let id = launcher.launch(wanted).unwrap();
    let there = |run: &Run| match phase.as_str() {
        "launch" => run.root_pid.is_some(),
        // It is looked at as soon as it is held.
        "holding" => !run.shape.is_empty(),
        _ => run.workers.iter().filter(|w| w.ready_ns.is_some()).count() == 4,
    };
    let run = await_run(&launcher, id, "the phase", |run| there(run) || run.ended());
    assert!(!run.ended(), "{:?}", run.phase);
    println!("the run is up");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    if line.starts_with("stop") {
        launcher.stop(id);
        println!("it is being stopped");
    }
    loop {
        std::thread::park();
    }
}

/// The most objects of shared memory that a run had when one of its processes was killed.
fn sweep(system: &str, start: Option<StartMethod>) -> usize {
    let (mut tried, mut objects, begun) = (0, 0, Instant::now());
    for phase in PHASES {
        for victim in VICTIMS {
            let mut stage = Stage::set(system, start, phase, tried);
            objects = objects.max(stage.shared_objects());
            let pid = stage.find(victim);
            if phase == "teardown" {
                stage.child.stdin.as_mut().unwrap().write_all(b"stop\n").unwrap();
                stage.hear("it is being stopped");
            }
            kill(pid);
            // What is then left without a parent ends with concmon.
            kill(stage.main());
            stage.child.wait().unwrap();
            stage.assert_gone(&format!("{system}, {victim} killed at {phase}"));
            tried += 1;
        }
    }
    assert_no_control_group();
    let how = start.map_or("", StartMethod::name);
    loudly!("{system} {how}: {tried} kills, 0 left of up to {objects} shared objects, {:.1} s", begun.elapsed().as_secs_f64());
    objects
}

/// Groups of helpers that are no more; those of other tests have a supervisor that lives.
fn assert_no_control_group() {
    let left = |base: &str| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(base).into_iter().flatten().flatten().map(|e| e.path());
        entries
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let supervisor = name.strip_prefix("concmon-lab-").and_then(|rest| rest.split('-').next());
                supervisor.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
            })
            .collect()
    };
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let all: Vec<PathBuf> = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].iter().flat_map(|base| left(base)).collect();
        if all.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "control groups left: {all:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn native_workers_in_every_phase() {
    sweep("native/fork", None);
}

#[test]
fn a_native_pool_in_every_phase() {
    sweep("native/process-pool", None);
}

#[test]
fn a_native_fork_server_in_every_phase() {
    sweep("native/forkserver", None);
}

fn python_pool(start: Option<StartMethod>) -> Option<usize> {
    let found = concmon::lab::python::interpreters(&[]);
    let system = "python/process-pool-executor";
    if let Some(why) = concmon::lab::python::availability(concmon::lab::catalog::find(system).unwrap(), &found) {
        loudly!("SKIPPED {system}: {why}");
        return None;
    }
    Some(sweep(system, start))
}

#[test]
fn a_python_pool_in_every_phase() {
    python_pool(None);
}

/// A spawned worker finds its pool's semaphores by their names: they stay in `/dev/shm` until they are removed.
#[test]
fn a_spawned_python_pool_in_every_phase() {
    if let (Some(objects), Some(_)) = (python_pool(Some(StartMethod::Spawn)), own_mounts()) {
        assert!(objects > 0, "there was something that could have been left");
    }
}
