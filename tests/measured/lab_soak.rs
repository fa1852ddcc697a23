//! Many runs of random systems in sequence, with random kills: nothing is left, and concmon does not grow.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use concmon::lab::catalog::{Params, RunSpec, SYSTEMS, System, python_program};
use concmon::lab::python;
use concmon::lab::run::{Outcome, Run, RunPhase};

use crate::support::exclusive::{alone, full_name};
use crate::support::lab::{await_end, await_run, launcher};
use crate::support::python::named;

/// Variable by which everything that the runs start is known.
const MARK: &str = "CONCMON_SOAK_MARK";
const RUNS: u64 = 50;
/// What of the runs is looked at before it is remembered how large concmon is.
const WARM: u64 = 8;

/// SplitMix64: the same choices in every test run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn choose<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let sides = u64::try_from(all.len()).unwrap();
        &all[usize::try_from(self.roll(sides)).unwrap()]
    }
}

/// Processes that carry the mark in their environment, except those of `known`.
fn marked(mark: &str, known: &BTreeSet<i32>) -> Vec<(i32, String)> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let carries = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|env| env.split(|b| *b == 0).any(|v| v == mark.as_bytes()))
    };
    let line = |pid: i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        (pid, String::from_utf8_lossy(&line).replace('\0', " "))
    };
    pids.filter(|pid| !known.contains(pid) && carries(pid)).map(line).collect()
}

/// Everything below a directory, and the semaphores and shared memory that multiprocessing makes.
fn files(base: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![base.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                open.push(entry.path());
            }
            found.insert(entry.path());
        }
    }
    let ours =
        |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b"sem.mp-") || name.as_encoded_bytes().starts_with(b"psm_");
    found.extend(
        std::fs::read_dir("/dev/shm")
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path())
            .filter(|p| p.file_name().is_some_and(ours)),
    );
    found
}

fn rss_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

fn spec(system: &System, dice: &mut Dice) -> RunSpec {
    let Params { workers, tasks, .. } = system.params;
    let task = *dice.choose(system.tasks);
    // Memory that is written to must be there; enough for the default size.
    let parent_mb = if task == concmon::lab::catalog::TaskKind::Touch { 16 } else { 0 };
    let hold_ms = u32::try_from(dice.roll(2) * 300).unwrap();
    let small = |n: u32| n.min(8);
    RunSpec {
        task,
        parent_mb,
        hold_ms,
        seed: dice.roll(1_000),
        timeout_ms: 20_000,
        workers: workers.map_or(system.params.fixed_workers, small),
        tasks: tasks.map_or(0, small),
        ..system.defaults()
    }
}

fn kill(pid: Option<i32>) {
    if let Some(pid) = pid {
        // It may have ended meanwhile: the test is about what remains. The PID is of this test's own run, or not used again yet.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
}

fn started(run: &Run) -> bool {
    run.ended() || run.root_pid.is_some()
}

#[test]
fn fifty_random_runs_with_random_kills_leave_nothing() {
    let _alone = alone();
    // In a process of its own, whose environment everything that it starts inherits.
    let base = tempfile::tempdir().unwrap();
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &full_name(module_path!(), "runs_and_kills"), "--ignored", "--nocapture"])
        .env(MARK, std::process::id().to_string())
        .env("TMPDIR", base.path())
        .env_remove("XDG_RUNTIME_DIR")
        .status()
        .unwrap();
    assert!(status.success());
    let left = files(base.path());
    assert!(left.iter().all(|p| !p.starts_with(base.path())), "after everything: {left:?}");
}

#[test]
#[ignore = "started by the other test, which gives it its environment"]
fn runs_and_kills() {
    let base = PathBuf::from(std::env::var_os("TMPDIR").unwrap());
    let mark = format!("{MARK}={}", std::env::var(MARK).unwrap());
    let me = i32::try_from(std::process::id()).unwrap();
    let shared_before = files(Path::new("/nonexistent"));
    let found = python::interpreters(&named());
    // A cluster is the user's own, and not here.
    let is_here = |s: &&System| !python_program(s.id).is_some_and(|program| program.cluster);
    let systems: Vec<&System> = SYSTEMS.iter().filter(is_here).filter(|s| python::availability(s, &found).is_none()).collect();
    let launcher = launcher().with_pythons(named());
    let mut dice = Dice(42);
    let (mut helpers, mut rss_before, mut verdicts) = (BTreeSet::new(), 0, [0_u32; 3]);
    for number in 0..RUNS {
        let spec = {
            let system = *dice.choose(&systems);
            spec(system, &mut dice)
        };
        let id = launcher.launch(spec.clone()).unwrap_or_else(|e| panic!("{spec:?}: {e}"));
        let run = await_run(&launcher, id, "it has started", started);
        match dice.roll(4) {
            0 => launcher.stop(id),
            1 => kill(run.root_pid),
            2 => {
                let run =
                    await_run(&launcher, id, "a worker is there", |r| r.ended() || r.workers.iter().any(|w| w.pid.is_some()));
                kill(run.workers.iter().filter_map(|w| w.pid).find(|pid| Some(*pid) != run.root_pid));
            }
            _ => {}
        }
        let run = await_end(&launcher, id);
        match &run.phase {
            RunPhase::Ended(Outcome::Done) => verdicts[0] += 1,
            RunPhase::Ended(Outcome::Failed(why)) => {
                assert!(!why.is_empty());
                verdicts[1] += 1;
            }
            RunPhase::Ended(Outcome::Stopped) => verdicts[2] += 1,
            other => panic!("{number}: {spec:?}: {other:?}\n{}", run.output),
        }
        if number == 0 {
            helpers = marked(&mark, &BTreeSet::from([me])).into_iter().map(|(pid, _)| pid).collect();
            assert_eq!(helpers.len(), 2, "guard and supervisor");
            helpers.insert(me);
        }
        let left = marked(&mark, &helpers);
        assert!(left.is_empty(), "{number}: {} left {left:?}", spec.system);
        if number == WARM {
            rss_before = rss_kb(std::process::id());
        }
    }
    let rss = rss_kb(std::process::id());
    eprintln!("{RUNS} runs: {verdicts:?} done, failed, stopped; concmon {rss_before} -> {rss} KB");
    assert!(verdicts.iter().all(|n| *n > 0), "{verdicts:?}: each kind of end was met");
    assert!(rss * 10 <= rss_before * 11, "concmon grew from {rss_before} to {rss} KB");
    let left: Vec<PathBuf> = files(&base).into_iter().filter(|p| p.starts_with(&base)).collect();
    let expected = |p: &PathBuf| {
        let name = p.file_name().unwrap().to_string_lossy();
        name == "lock" || name.starts_with("concmon-lab-")
    };
    assert!(left.iter().all(expected), "{left:?}");
    let shared: Vec<PathBuf> = files(Path::new("/nonexistent")).difference(&shared_before).cloned().collect();
    assert!(shared.is_empty(), "{shared:?}");
    drop(launcher);
    let left = marked(&mark, &BTreeSet::from([me]));
    assert!(left.is_empty(), "after the launcher: {left:?}");
}
