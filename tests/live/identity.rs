//! Actions reach the chosen process only: tests with dead, reused and protected PIDs.
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use concmon::kernel::ProcSource;
use concmon::kernel::allot::{CpuList, IoPriority};
use concmon::kernel::control::{self, ControlError, Signal};
use concmon::kernel::source::{Needs, Request, Source};
use concmon::snapshot::ProcKey;

use crate::support::exclusive::{busy, full_name};

/// A child that is killed and reaped even if the test fails.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        Self(Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("start sleep"))
    }
    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("pid")
    }
    fn key(&self) -> ProcKey {
        key_of(self.pid())
    }
    /// The same, of this process alone.
    fn stat_key(&self) -> ProcKey {
        let stat = std::fs::read(format!("/proc/{}/stat", self.pid())).expect("it lives");
        let stat = concmon::kernel::parse::stat::Stat::parse(&stat).expect("a stat line");
        ProcKey { pid: stat.pid, start_ticks: stat.start_ticks }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn key_of(pid: i32) -> ProcKey {
    let mut source = ProcSource::new("/proc").expect("/proc");
    let snapshot = source.sample(&Request::basic(Needs::empty())).expect("a sample");
    snapshot.processes.iter().find(|process| process.key.pid == pid).expect("the process is listed").key
}

fn signal(number: i32) -> Signal {
    Signal::from_number(number).expect("a signal")
}

#[test]
fn a_frozen_target_gets_exactly_the_signal_that_was_sent() {
    let mut sleeper = Sleeper::start();
    let target = control::freeze(sleeper.key()).expect("freeze");
    assert!(target.alive());
    target.signal(signal(libc::SIGTERM)).expect("send");
    assert_eq!(sleeper.0.wait().expect("wait").signal(), Some(libc::SIGTERM));
    assert!(!target.alive());
    assert!(matches!(target.signal(signal(libc::SIGTERM)), Err(ControlError::Vanished { .. })), "reaped: nobody must get it");
}

#[test]
fn real_time_signals_arrive_too() {
    let mut sleeper = Sleeper::start();
    let target = control::freeze(sleeper.key()).expect("freeze");
    target.signal(signal(libc::SIGRTMIN() + 3)).expect("send");
    assert_eq!(sleeper.0.wait().expect("wait").signal(), Some(libc::SIGRTMIN() + 3));
}

#[test]
fn another_process_with_the_same_pid_is_not_the_target() {
    let mut sleeper = Sleeper::start();
    let key = sleeper.key();
    let older = ProcKey { start_ticks: key.start_ticks - 1, ..key };
    assert!(matches!(control::freeze(older), Err(ControlError::Vanished { .. })));
    assert!(sleeper.0.try_wait().expect("wait").is_none(), "and it is untouched");
}

/// Runs a test of this file once more, as the first processes of a pid namespace of its own, where `ns_last_pid` makes pids repeat;
/// `false` from inside. Needs root: what it cannot try it says loudly.
fn in_own_namespace(test: &str, proof: &str) -> bool {
    if std::env::var_os("CONCMON_TEST_PID_NAMESPACE").is_some() {
        return false;
    }
    let me = std::env::current_exe().expect("own path");
    let output = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
        .arg(me)
        .args(["--exact", &full_name(module_path!(), test), "--nocapture", "--include-ignored"])
        .env("CONCMON_TEST_PID_NAMESPACE", "1")
        .output();
    match output {
        Ok(output) if output.status.success() => {
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            let line = told.lines().find(|line| line.contains(proof)).expect("the inner test did its work");
            loudly!("{line}");
        }
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("Operation not permitted") => {
            loudly!("SKIPPED: no pid namespace may be made here, so a pid cannot be made to repeat");
        }
        Ok(output) => panic!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
        Err(error) => loudly!("SKIPPED: unshare(1) does not start: {error}"),
    }
    true
}

/// A pid that is given to a second process.
#[test]
fn a_reused_pid_is_recognised_by_the_source_and_refused_by_control() {
    let _busy = busy();
    if in_own_namespace("a_reused_pid_is_recognised_by_the_source_and_refused_by_control", "pid was reused") {
        return;
    }
    let mut source = ProcSource::new("/proc").expect("/proc");
    let mut sample = |pid: i32| {
        let snapshot = source.sample(&Request::basic(Needs::empty())).expect("a sample");
        snapshot.processes.into_iter().find(|process| process.key.pid == pid)
    };
    let first = Sleeper::start();
    let (pid, key) = (first.pid(), sample(first.pid()).expect("listed").key);
    let frozen = control::freeze(key).expect("freeze");
    drop(first);
    outlast(key.start_ticks);
    std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).expect("set the next pid");
    let mut second = Sleeper::start();
    assert_eq!(second.pid(), pid, "the kernel gave the pid out again");
    let seen = sample(pid).expect("the new one is listed, though the kept descriptors belong to the old one");
    assert_eq!(seen.leader.comm.as_bytes(), b"sleep");
    assert_ne!(seen.key, key, "and it is another process");
    assert!(matches!(control::freeze(key), Err(ControlError::Vanished { .. })));
    assert!(matches!(frozen.signal(signal(libc::SIGKILL)), Err(ControlError::Vanished { .. })));
    assert!(second.0.try_wait().expect("wait").is_none(), "the newcomer is unharmed");
    println!("pid was reused");
}

/// Start times have the resolution of a clock tick: waits until the clock shows a later one, or two processes would be twins.
fn outlast(start_ticks: u64) {
    let ticks = || (concmon::clock::Clock::boot_ns(&concmon::clock::SystemClock)) / 10_000_000;
    while ticks() <= start_ticks + 1 {
        std::thread::yield_now();
    }
}

/// How many live at once while their pids are handed on: they share the wait for the next clock tick.
const AT_ONCE: usize = 50;

/// Hands `count` pids to a second process each, after the first was chosen and before the signal: none of the second may get it.
fn hand_pids_on(count: usize) {
    let begun = std::time::Instant::now();
    let (mut reused, mut refused, mut kept_off) = (0usize, 0usize, 0usize);
    while reused < count {
        let first: Vec<Sleeper> = (0..AT_ONCE).map(|_| Sleeper::start()).collect();
        let chosen: Vec<ProcKey> = first.iter().map(Sleeper::stat_key).collect();
        let frozen: Vec<_> = chosen.iter().map(|key| control::freeze(*key).expect("freeze")).collect();
        drop(first);
        outlast(chosen.iter().map(|key| key.start_ticks).max().expect("some were chosen"));
        let mut second: Vec<Sleeper> = chosen
            .iter()
            .map(|key| {
                std::fs::write("/proc/sys/kernel/ns_last_pid", (key.pid - 1).to_string()).expect("set the next pid");
                Sleeper::start()
            })
            .collect();
        for ((key, target), newcomer) in chosen.iter().zip(&frozen).zip(&second) {
            assert_eq!(newcomer.pid(), key.pid, "the kernel gave the pid out again");
            reused += 1;
            // Chosen and held before: what the dialog does.
            kept_off += usize::from(matches!(target.signal(signal(libc::SIGKILL)), Err(ControlError::Vanished { .. })));
            // Chosen before, held only now: what the table does when its sample is old.
            refused += usize::from(matches!(control::freeze(*key), Err(ControlError::Vanished { .. })));
        }
        for newcomer in &mut second {
            assert!(newcomer.0.try_wait().expect("wait").is_none(), "a newcomer was hit");
        }
    }
    assert_eq!((kept_off, refused), (reused, reused));
    println!("{reused} pids were reused, 0 wrong targets, {:.1} s", begun.elapsed().as_secs_f64());
}

#[test]
fn a_thousand_reused_pids_and_no_wrong_target() {
    let _busy = busy();
    if !in_own_namespace("a_thousand_reused_pids_and_no_wrong_target", "0 wrong targets") {
        hand_pids_on(1_000);
    }
}

#[test]
#[ignore = "a minute: cargo test --test live ten_thousand -- --ignored"]
fn ten_thousand_reused_pids_and_no_wrong_target() {
    let _busy = busy();
    if !in_own_namespace("ten_thousand_reused_pids_and_no_wrong_target", "0 wrong targets") {
        hand_pids_on(10_000);
    }
}

#[test]
fn init_myself_and_kernel_threads_are_refused_with_a_reason() {
    assert!(matches!(control::freeze(ProcKey { pid: 1, start_ticks: 0 }), Err(ControlError::Init)));
    let me = i32::try_from(std::process::id()).expect("pid");
    let error = control::freeze(key_of(me)).expect_err("refused");
    assert!(error.to_string().contains("concmon itself"), "{error}");
    let mut source = ProcSource::new("/proc").expect("/proc");
    let snapshot = source.sample(&Request::basic(Needs::empty())).expect("a sample");
    match snapshot.processes.iter().find(|process| process.kernel_thread) {
        Some(thread) => {
            let error = control::freeze(thread.key).expect_err("refused");
            assert!(matches!(error, ControlError::KernelThread { .. }) && error.to_string().contains("kernel thread"), "{error}");
        }
        None => loudly!("SKIPPED: no kernel threads are visible in this pid namespace"),
    }
}

#[test]
fn cpus_and_io_priority_are_set_for_the_process() {
    let sleeper = Sleeper::start();
    let target = control::freeze(sleeper.key()).expect("freeze");
    let status = || std::fs::read_to_string(format!("/proc/{}/status", sleeper.pid())).expect("status");
    let allowed =
        || status().lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t").map(str::to_owned)).expect("the line");
    let before = allowed();
    let one: CpuList = before.split(['-', ',']).next().expect("a CPU").parse().expect("a number");
    target.set_affinity(&one).expect("one's own process");
    assert_eq!(allowed(), one.to_string());
    target.set_affinity(&before.parse().expect("as the kernel writes it")).expect("as before");
    assert_eq!(allowed(), before);
    let error = target.set_affinity(&"1023".parse().expect("a CPU")).expect_err("there is none");
    assert!(matches!(&error, ControlError::NoSuchCpu { cpus, .. } if cpus == "1023"), "{error}");
    assert_eq!(allowed(), before, "nothing has changed");
    for priority in [IoPriority::Idle, IoPriority::BestEffort(6)] {
        target.set_io_priority(priority).expect("giving way needs no privilege");
        let said = Command::new("ionice").args(["-p", &sleeper.pid().to_string()]).output();
        match said {
            Ok(said) => {
                let said = String::from_utf8_lossy(&said.stdout).into_owned();
                let wanted = if priority == IoPriority::Idle { "idle" } else { "best-effort: prio 6" };
                assert!(said.contains(wanted), "{said:?}");
            }
            Err(why) => loudly!("SKIPPED what ionice(1) says: {why}"),
        }
    }
}

#[test]
fn nice_is_set_for_the_process_and_a_foreign_tid_is_refused() {
    let sleeper = Sleeper::start();
    let target = control::freeze(sleeper.key()).expect("freeze");
    target.set_nice(None, 7).expect("raising needs no privilege");
    let mut source = ProcSource::new("/proc").expect("/proc");
    let snapshot = source.sample(&Request::basic(Needs::empty())).expect("a sample");
    let seen = snapshot.processes.iter().find(|process| process.key == sleeper.key()).expect("listed");
    assert_eq!(seen.leader.nice, 7);
    let stranger = Sleeper::start();
    assert!(matches!(target.set_nice(Some(stranger.pid()), 9), Err(ControlError::NoSuchTask { .. })));
}
