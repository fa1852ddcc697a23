//! Acting on a process means acting on that process: what happens when a pid is dead, reused, or one that must be left alone.
#![expect(clippy::expect_used, reason = "a test that cannot prepare its stage has failed")]

#[macro_use]
#[path = "support/loudly.rs"]
mod loudly;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use concmon::kernel::ProcSource;
use concmon::kernel::control::{self, ControlError, Signal};
use concmon::kernel::source::{Needs, Request, Source};
use concmon::snapshot::ProcKey;

/// A child that is killed and reaped whatever the test does.
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

/// The real thing: a pid given to a second process. Needs a pid namespace of its own with `ns_last_pid`, that is, root.
#[test]
fn a_reused_pid_is_recognised_by_the_source_and_refused_by_control() {
    let inside = std::env::var_os("CONCMON_TEST_PID_NAMESPACE").is_some();
    if !inside {
        let me = std::env::current_exe().expect("own path");
        let output = Command::new("unshare")
            .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
            .arg(me)
            .args(["--exact", "a_reused_pid_is_recognised_by_the_source_and_refused_by_control", "--nocapture"])
            .env("CONCMON_TEST_PID_NAMESPACE", "1")
            .output();
        match output {
            Ok(output) if output.status.success() => {
                assert!(String::from_utf8_lossy(&output.stdout).contains("pid was reused"), "the inner test did its work");
            }
            Ok(output) if String::from_utf8_lossy(&output.stderr).contains("Operation not permitted") => {
                loudly!("SKIPPED: no pid namespace may be made here, so a pid cannot be made to repeat");
            }
            Ok(output) => panic!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
            Err(error) => loudly!("SKIPPED: unshare(1) does not start: {error}"),
        }
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
    // Start times have the resolution of a clock tick: wait until the clock shows another one, or the two would be twins.
    let ticks = || (concmon::clock::Clock::boot_ns(&concmon::clock::SystemClock)) / 10_000_000;
    while ticks() <= key.start_ticks + 1 {
        std::thread::yield_now();
    }
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
