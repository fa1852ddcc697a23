//! The managed environment, made from its lock, and every system that needs packages run in it.
//!
//! Without a package index the test is skipped loudly. The environment stays in the directory that `CONCMON_TEST_DATA` names, or else in the
//! target directory, so that only the first test run makes it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use concmon::lab::catalog::{RunSpec, SYSTEMS, TaskKind, python_program};
use concmon::lab::launcher::Launcher;
use concmon::lab::protocol::Creation;

use crate::support::exclusive::alone;
use crate::support::lab as support;
use crate::support::lab::{launcher, number, run_on, spec};
use crate::support::python::assert_done;

/// `concmon lab setup` with this data directory.
fn setup(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_concmon"));
    command.args(["lab", "setup"]).env("XDG_DATA_HOME", data).stdin(Stdio::null());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The interpreter of the environment; `None`, said loudly, if the packages are not available here.
fn environment() -> Option<&'static PathBuf> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let named = std::env::var_os("CONCMON_TEST_DATA").map(PathBuf::from);
        let data = named.unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("lab-data"));
        let output = setup(&data).output().unwrap();
        if output.status.code() == Some(3) {
            loudly!("SKIPPED: the environment cannot be made here: {}", said(&output));
            return None;
        }
        assert!(output.status.success(), "{}", said(&output));
        let homes = std::fs::read_dir(data.join("concmon/python")).unwrap().flatten().map(|e| e.path().join("bin/python3"));
        Some(homes.into_iter().find(|p| p.is_file()).unwrap())
    });
    if made.is_none() {
        loudly!("SKIPPED: there is no environment, as said above");
    }
    made.as_ref()
}

fn in_environment() -> Option<Launcher> {
    environment().map(|python| launcher().with_pythons(vec![python.clone()]))
}

#[test]
fn every_system_that_needs_packages_meets_its_shape_in_the_environment() {
    let _alone = alone();
    let Some(launcher) = in_environment() else { return };
    let needy: Vec<_> =
        SYSTEMS.iter().filter(|s| python_program(s.id).is_some_and(|p| !p.packages.is_empty() && !p.cluster)).collect();
    assert!(needy.len() >= 9, "{}", needy.len());
    let runs = needy.iter().flat_map(|system| system.tasks.iter().map(|task| (*system, *task)));
    crate::support::together::at_a_time(2, runs, |(system, task)| {
        let run = run_on(&launcher, &RunSpec { task, tasks: system.defaults().tasks.min(20), ..system.defaults() });
        assert_done(&run);
        assert_eq!(run.workers.len(), run.spec.workers as usize, "{}", system.id);
        assert!(run.workers.iter().all(|w| w.creation_ns().is_some() && w.exited_ns.is_some()), "{}", system.id);
        assert!(run.costs.wall_ns.is_some_and(|ns| ns > 0), "{}", system.id);
    });
}

#[test]
fn a_second_set_up_has_nothing_to_do_and_one_that_fails_leaves_the_first() {
    let _alone = alone();
    let Some(python) = environment() else { return };
    let home = python.ancestors().nth(3).unwrap();
    let data = home.ancestors().nth(2).unwrap();
    let again = setup(data).output().unwrap();
    assert!(again.status.success() && said(&again).contains("already complete"), "{}", said(&again));
    // An environment of another lock is made again; where the packages are not available, the old one stays as it was.
    let mine = tempfile::tempdir().unwrap();
    let copy = mine.path().join("concmon/python").join(python.ancestors().nth(2).unwrap().file_name().unwrap());
    std::fs::create_dir_all(copy.join("bin")).unwrap();
    std::fs::write(copy.join("bin/python3"), "old").unwrap();
    std::fs::write(copy.join("concmon-lock.txt"), "another lock").unwrap();
    let offline = setup(mine.path())
        .env("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
        .env("PIP_NO_CACHE_DIR", "1")
        .env_remove("PIP_FIND_LINKS")
        .env("PIP_CONFIG_FILE", "/dev/null")
        .output()
        .unwrap();
    assert_eq!(offline.status.code(), Some(3), "{}", said(&offline));
    assert!(said(&offline).contains("aiofiles") && said(&offline).contains("PIP_INDEX_URL"), "{}", said(&offline));
    assert_eq!(std::fs::read_to_string(copy.join("bin/python3")).unwrap(), "old");
    assert_nothing_half_done(mine.path());
}

fn assert_nothing_half_done(data: &Path) {
    let workshop = data.join("concmon/python/.building");
    let left: Vec<_> = std::fs::read_dir(&workshop).map(|e| e.flatten().map(|e| e.file_name()).collect()).unwrap_or_default();
    assert!(left.iter().all(|name| name == "lock"), "{left:?}");
}

#[test]
fn a_set_up_that_is_interrupted_leaves_nothing() {
    let _alone = alone();
    if environment().is_none() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let child = setup(data.path()).env("TMPDIR", scratch.path()).stderr(Stdio::piped()).spawn().unwrap();
    let workshop = data.path().join("concmon/python/.building");
    // In the midst of it: as soon as pip has temporary files.
    let until = std::time::Instant::now() + support::PATIENCE;
    let building = || std::fs::read_dir(workshop.join("tmp")).is_ok_and(|e| e.flatten().any(|e| e.path().is_dir()));
    while !building() && std::time::Instant::now() < until {
        std::thread::yield_now();
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap()), nix::sys::signal::Signal::SIGINT)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("stopped; partial files were removed"), "{}", said(&output));
    assert_nothing_half_done(data.path());
    let left: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(left.is_empty(), "temporary files: {left:?}");
}

/// The processes that have this in their environment.
fn marked(mark: &str) -> Vec<String> {
    let wanted = format!("CONCMON_TEST_MARK={mark}");
    let pids = std::fs::read_dir("/proc").unwrap().flatten().filter(|e| e.file_name().to_string_lossy().parse::<i32>().is_ok());
    pids.filter(|pid| {
        let environ = std::fs::read(pid.path().join("environ")).unwrap_or_default();
        environ.split(|b| *b == 0).any(|v| v == wanted.as_bytes())
    })
    .map(|pid| std::fs::read_to_string(pid.path().join("cmdline")).unwrap_or_default().replace('\0', " "))
    .collect()
}

/// pip has children of its own: none of them may go on when concmon is killed without a chance to say anything.
#[test]
fn a_set_up_that_is_killed_takes_its_installer_with_it() {
    let _alone = alone();
    let data = tempfile::tempdir().unwrap();
    // An index that takes calls and never answers.
    let index = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mark = format!("setup-{}", std::process::id());
    let mut child = setup(data.path())
        .env("CONCMON_TEST_MARK", &mark)
        .env("PIP_INDEX_URL", format!("http://{}/simple", index.local_addr().unwrap()))
        .env("PIP_CONFIG_FILE", "/dev/null")
        .env("PIP_NO_CACHE_DIR", "1")
        .env_remove("PIP_FIND_LINKS")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let until = std::time::Instant::now() + support::PATIENCE;
    index.set_nonblocking(true).unwrap();
    let called = loop {
        if let Ok((call, _)) = index.accept() {
            break call;
        }
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.code(), Some(3), "the set-up ended by itself");
            loudly!("SKIPPED: no interpreter or installer is here that a set-up could use");
            return;
        }
        assert!(std::time::Instant::now() < until, "nobody asked the index: {:?}", marked(&mark));
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert!(marked(&mark).iter().any(|args| args.contains(" pip ")), "{:?}", marked(&mark));
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = std::time::Instant::now();
    while !marked(&mark).is_empty() {
        assert!(killed.elapsed() < std::time::Duration::from_secs(1), "left after 1 s: {:?}", marked(&mark));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    drop(called);
}

#[test]
fn greenlets_share_one_kernel_thread() {
    let _alone = alone();
    let Some(launcher) = in_environment() else { return };
    let run =
        run_on(&launcher, &RunSpec { workers: 200, tasks: 200, task_size: Some(100), ..spec("python/gevent", TaskKind::Sleep) });
    assert_done(&run);
    assert_eq!(number(&run, "kernel_threads"), 1);
    assert!(run.workers.iter().all(|w| w.how == Some(Creation::Greenlet) && w.tid == run.root_pid));
    assert!(number(&run, "all_units_ns") < 2_000_000_000, "200 sleeps of 100 ms overlap");
}

#[test]
fn uvloop_answers_for_less_cpu_than_asyncio() {
    let _alone = alone();
    let Some(launcher) = in_environment() else { return };
    let cpu = |system| {
        number(&run_on(&launcher, &RunSpec { tasks: 1_000, ..spec(system, TaskKind::None) }), "server_cpu_ns_per_request")
    };
    let mut rounds: Vec<(u64, u64)> = (0..5).map(|_| (cpu("python/asyncio-echo"), cpu("python/uvloop-echo"))).collect();
    rounds.sort_unstable_by_key(|(asyncio, uvloop)| asyncio * 1000 / uvloop.max(&1));
    eprintln!("server CPU ns per request, asyncio and uvloop: {rounds:?}");
    // asyncio takes a buffer of 256 KiB for each read: whether that costs page faults each time is up to the allocator, so the factor
    // is 1.2 in one process and 4 in another.
    let (asyncio, uvloop) = rounds[2];
    assert!(asyncio > uvloop, "{rounds:?}");
}

#[test]
fn matrices_are_multiplied_in_parallel_with_the_gil_on() {
    let _alone = alone();
    let Some(launcher) = in_environment() else { return };
    if std::thread::available_parallelism().map_or(1, std::num::NonZero::get) < 2 {
        loudly!("SKIPPED: parallel speed-up needs two CPUs");
        return;
    }
    // Others may want the CPUs meanwhile, and nothing makes it better than it is: once is enough.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(90);
    let mut tried: Vec<u64> = Vec::new();
    while !tried.iter().any(|s| *s > 130) {
        assert!(std::time::Instant::now() < until, "in percent of one thread's speed: {tried:?}");
        tried.push(number(&run_on(&launcher, &spec("python/numpy-threads", TaskKind::Matmul)), "speed_up_percent"));
    }
}
