//! `concmon profile`: shares of functions are those that the program itself measured, waits have their reasons, and nothing is stopped.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use concmon::kernel::DetailReader;
use concmon::profile::sampler::{Options, Sampler, descendants};
use concmon::profile::{Mode, Place, Profile};

use super::{Target, on_each};

fn profile(pid: i32, mode: Mode, seconds: f64) -> Profile {
    let reader = DetailReader::open("/proc").unwrap();
    let options = Options { mode, duration: Duration::from_secs_f64(seconds), rate_hz: 100.0, threads: false };
    Sampler::new(reader, options, move |reader| descendants(reader, pid)).run()
}

/// The share of each function in all time of its own, percent.
fn shares(profile: &Profile) -> BTreeMap<String, f64> {
    let all: u64 = profile.total_ns();
    profile.functions().iter().map(|time| (time.function.to_string(), time.self_ns as f64 * 100.0 / all as f64)).collect()
}

/// Each function computes for its part of the CPU time of its thread, by the kernel's own clock of that. A turn takes no simple fraction or
/// multiple of the time between two looks: these would come at the same few places of it again and again.
const SHARED: &str = "
def spin_long(until):
    while time.thread_time() < until: pass
def spin_short(until):
    while time.thread_time() < until: pass
def work():
    while True:
        spin_long(time.thread_time() + 0.0213)
        spin_short(time.thread_time() + 0.0071)
def stand_rest():
    time.sleep(600)
import socket
ends = socket.socketpair()
def stand_hear():
    ends[0].recv(1)
begin(1, stand_rest)
begin(1, stand_hear)
tell(2)
work()
";

#[test]
fn shares_of_cpu_time_are_those_that_the_program_spends() {
    on_each(9, |python, _| {
        let mut target = Target::start(python, SHARED);
        target.told();
        let profile = profile(target.pid(), Mode::Cpu, 3.0);
        let found = shares(&profile);
        let (long, short) = (found["spin_long"], found.get("spin_short").copied().unwrap_or(0.0));
        let a = &profile.account;
        assert!(a.samples > 30 && a.torn * 10 < a.samples, "{}: {a:?}", python.display());
        // Each look has one sample of the thread that works. Where others take the CPUs there are fewer looks, and what they add up to errs
        // more: by four standard deviations at most.
        let most = 4.0 * 100.0 * (0.75 * 0.25 / f64::from(u32::try_from(a.looks).unwrap())).sqrt();
        assert!((long - 75.0).abs() < most && (short - 25.0).abs() < most, "{}: {found:?}, {a:?}", python.display());
        // Only what ran is counted: neither of the two threads that sleep.
        assert!(found.iter().all(|(name, share)| !name.starts_with("stand") || *share < 1.0), "{found:?}");
    });
}

#[test]
fn every_wait_has_its_reason_and_its_place() {
    on_each(9, |python, minor| {
        let mut target = Target::start(python, SHARED);
        target.told();
        let profile = profile(target.pid(), Mode::Wall, 1.0);
        let waits = profile.waits();
        let place = |name: &str| {
            let is_it = |place: &Place| matches!(place, Place::Function { function, .. } if &**function == name);
            waits.iter().find(|wait| wait.place.as_ref().is_some_and(is_it)).unwrap_or_else(|| panic!("{name}: {waits:?}"))
        };
        let share = |ns: u64| ns as f64 * 100.0 / profile.total_ns() as f64;
        let (rest, hear) = (place("stand_rest"), place("stand_hear"));
        // `time.sleep()` of older versions is a select() without descriptors.
        let sleep = if minor < 11 { "select" } else { "nanosleep" };
        assert_eq!(rest.reason.as_deref(), Some(sleep), "{}", python.display());
        assert!(hear.reason.as_deref().unwrap().starts_with("reads unix stream"), "{hear:?}");
        // Three threads, each a third of all time.
        assert!((share(rest.ns) - 33.3).abs() < 6.0 && (share(hear.ns) - 33.3).abs() < 6.0, "{waits:?}");
    });
}

/// A child that is ended when the test is.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_program_that_is_no_python_has_at_least_its_wait() {
    let child = Running(Command::new("sleep").arg("600").spawn().unwrap());
    let pid = i32::try_from(child.0.id()).unwrap();
    let profile = profile(pid, Mode::Wall, 0.5);
    let waits = profile.waits();
    assert_eq!(waits[0].reason.as_deref(), Some("nanosleep"), "{waits:?}");
    assert_eq!((profile.account.pythons, profile.account.processes), (0, 1));
    let names: Vec<String> = profile.places.iter().map(Place::label).collect();
    assert!(names.contains(&"sleep".to_owned()), "{names:?}");
}

/// Functions that say where they are: `f_12_13` has lines 12 and 13. No other line may ever be seen while the program does all this.
#[test]
fn no_line_is_wrong_while_the_program_forks_ends_and_makes_code() {
    let wild = "
import gc, random
source = []
for n in range(60):
    line = 2 * n + 1
    source += ['def f_%d_%d(n):' % (line, line + 1), '    return f[n](n + 1) if n < 60 else sum(range(2000))']
def make():
    names = {}
    exec(compile('\\n'.join(source), 'wild.py', 'exec'), names)
    f = names['f'] = [v for k, v in names.items() if k.startswith('f_')]
    random.shuffle(f)
    f[0](1)
def churn():
    while True:
        make()
        gc.collect(0)
def fork():
    while True:
        pid = os.fork()
        if pid == 0:
            make()
            os._exit(0)
        os.waitpid(pid, 0)
import warnings
warnings.simplefilter('ignore')
for n in range(3): threading.Thread(target=churn, daemon=True).start()
print('{}', flush=True)
fork()
";
    on_each(9, |python, _| {
        let mut target = Target::start(python, wild);
        target.told();
        let mut right = 0;
        for _ in 0..20 {
            let profile = profile(target.pid(), Mode::Wall, 2.0);
            for place in &profile.places {
                let Place::Function { function, file, line, .. } = place else { continue };
                if &**file != "wild.py" || !function.starts_with("f_") {
                    continue;
                }
                let lines: Vec<u32> = function.split('_').skip(1).map(|line| line.parse().unwrap()).collect();
                assert!(line.is_some_and(|line| lines.contains(&line)), "{}: {place:?}", python.display());
                right += 1;
            }
            if right >= 10 {
                return;
            }
        }
        panic!("{}: {right} lines were seen", python.display());
    });
}

#[test]
fn the_process_is_neither_stopped_nor_traced() {
    on_each(9, |python, _| {
        let mut target = Target::start(python, SHARED);
        target.told();
        let pid = target.pid();
        let (done, seen) = (AtomicBool::new(false), AtomicU64::new(0));
        let watch = || {
            while !done.load(Ordering::Relaxed) {
                let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
                let state = status.lines().find_map(|line| line.strip_prefix("State:\t")).unwrap();
                assert!(!state.starts_with(['T', 't']), "{state}");
                assert!(status.contains("TracerPid:\t0"), "{status}");
                seen.fetch_add(1, Ordering::Relaxed);
            }
        };
        std::thread::scope(|scope| {
            let watch = scope.spawn(watch);
            let (mut looks, until) = (0, Instant::now() + Duration::from_secs(60));
            while (looks <= 5 || seen.load(Ordering::Relaxed) <= 20) && !watch.is_finished() && Instant::now() < until {
                looks += profile(pid, Mode::Wall, 0.5).account.looks;
            }
            done.store(true, Ordering::Relaxed);
            watch.join().unwrap();
            assert!(looks > 5 && seen.load(Ordering::Relaxed) > 20);
        });
    });
}

/// What py-spy says of the process while `profile_it` runs: samples by innermost function. It takes threads that it stopped for running
/// ones, so only the holder of the GIL is asked for.
fn beside_py_spy(
    py_spy: &std::ffi::OsStr,
    pid: i32,
    minor: u8,
    profile_it: impl FnOnce() -> Profile,
) -> Option<(BTreeMap<String, f64>, Profile)> {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("folded");
    let mut command = Command::new(py_spy);
    command.args(["record", "--gil", "-f", "raw", "-d", "4", "-r", "200", "-p", &pid.to_string(), "-o"]).arg(&file);
    let other = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let profile = profile_it();
    let output = other.wait_with_output().unwrap();
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        loudly!("SKIPPED: py-spy does not read CPython 3.{minor}: {}", why.lines().next_back().unwrap_or(""));
        return None;
    }
    let mut theirs: BTreeMap<String, f64> = BTreeMap::new();
    for line in std::fs::read_to_string(&file).unwrap().lines() {
        let (stack, count) = line.rsplit_once(' ').unwrap();
        let leaf = stack.rsplit(';').next().unwrap().split(' ').next().unwrap().to_owned();
        *theirs.entry(leaf).or_default() += count.parse::<f64>().unwrap();
    }
    Some((theirs, profile))
}

/// py-spy looks at the same process at the same time. It stops the process for each look, which is why it cannot be compared for cost.
#[test]
fn the_top_functions_are_those_of_py_spy() {
    let py_spy = std::env::var_os("CONCMON_TEST_PYSPY").unwrap_or_else(|| "py-spy".into());
    if Command::new(&py_spy).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        return loudly!("SKIPPED: there is no py-spy here (CONCMON_TEST_PYSPY may name it)");
    }
    on_each(9, |python, minor| {
        let mut target = Target::start(python, SHARED);
        target.told();
        let mut differences = Vec::new();
        let (mut all_theirs, mut all_ours): (BTreeMap<String, f64>, BTreeMap<String, f64>) = Default::default();
        // Both take samples. Where others take the CPUs these are few, and those of several measurements are added up.
        for _ in 0..10 {
            let profile_it = || profile(target.pid(), Mode::Cpu, 4.0);
            let Some((theirs, profile)) = beside_py_spy(&py_spy, target.pid(), minor, profile_it) else { return };
            for (name, count) in theirs {
                *all_theirs.entry(name).or_default() += count;
            }
            for time in profile.functions() {
                *all_ours.entry(time.function.to_string()).or_default() += time.self_ns as f64;
            }
            let (their_sum, our_sum): (f64, f64) = (all_theirs.values().sum(), all_ours.values().sum());
            differences.clear();
            for (name, count) in all_theirs.iter().filter(|(_, count)| **count * 100.0 / their_sum >= 5.0) {
                let (their, our) = (count * 100.0 / their_sum, all_ours.get(name).copied().unwrap_or(0.0) * 100.0 / our_sum);
                loudly!("{}: {name}: py-spy {their:.1} %, concmon {our:.1} %", python.display());
                differences.push((name.clone(), their, our));
            }
            if differences.iter().all(|(_, their, our)| (their - our).abs() < 5.0) {
                return;
            }
        }
        panic!("{}: function, py-spy, concmon: {differences:?}", python.display());
    });
}
