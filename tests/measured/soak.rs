//! The monitor over a long time, on a machine where processes come and go: memory and descriptors stay constant after the first minute, and
//! no tick is missed except those it counts.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::exclusive::alone;
use crate::support::key_script::bytes;
use crate::support::pty::{Program, Pty, row_of};

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");

/// Births and deaths a second.
const CHURN: u64 = 100;

/// What may be leaked on a long day, and what one looks at.
#[derive(Debug, Clone, Copy)]
struct Look {
    rss_kib: u64,
    /// Of that what it has taken for itself (`RssAnon`, proc_pid_status(5)). The rest is pages of its own file, which the kernel maps when
    /// code first runs and takes back when it needs the memory.
    own_kib: u64,
    descriptors: usize,
    threads: usize,
    children: usize,
}

fn look(pid: i32) -> Look {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let number = |key: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    Look {
        rss_kib: number("VmRSS:"),
        own_kib: number("RssAnon:"),
        descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
        threads: std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count(),
        children: std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
            .unwrap_or_default()
            .split_whitespace()
            .count(),
    }
}

/// Births after which everything that remembers the past is as full as it gets: the log of events holds 10,000, of which a short
/// process makes three, and names of the dead are dropped after 4,096.
const FULL: u64 = 4_500;

/// Starts [`CHURN`] short processes a second until stopped, the first [`FULL`] as fast as it can; how many there were.
fn churn(stop: &AtomicBool, born: &AtomicU64) {
    let step = Duration::from_micros(1_000_000 / CHURN);
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let child = Command::new("true").stdin(Stdio::null()).spawn();
        if let Ok(mut child) = child {
            child.wait().unwrap();
            born.fetch_add(1, Ordering::Relaxed);
        }
        if born.load(Ordering::Relaxed) < FULL {
            due = Instant::now();
            continue;
        }
        due += step;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// Ten ticks a second, so that a second is ten of the default's.
fn soak(warm: Duration, long: Duration) {
    let (stop, born) = (AtomicBool::new(false), AtomicU64::new(0));
    let (before, after, born) = std::thread::scope(|scope| {
        scope.spawn(|| churn(&stop, &born));
        // The last minutes are kept on purpose, within a bound of their own.
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config.toml");
        std::fs::write(&config, "last_minutes = 0\n").unwrap();
        let args = ["--config", config.to_str().unwrap(), "-d", "0.1"];
        let mut pty = Pty::spawn(&Program { program: CONCMON, args: &args, rows: 40, columns: 140, env: &[] });
        pty.wait_until("the process table", |screen| screen.alternate_screen() && row_of(screen, "COMMAND").is_some());
        let walk = |pty: &mut Pty, time: Duration| {
            let until = Instant::now() + time;
            let mut keys = ["t", "5", "1", "H", "t", "2", "1", "H", "Enter", "Esc"].iter().cycle();
            while Instant::now() < until {
                pty.send(&bytes(keys.next().unwrap()));
                std::thread::sleep(Duration::from_millis(200).min(until.saturating_duration_since(Instant::now())));
            }
        };
        while born.load(Ordering::Relaxed) < FULL {
            walk(&mut pty, Duration::from_secs(2));
        }
        walk(&mut pty, warm);
        let before = look(pty.pid());
        walk(&mut pty, long);
        let after = look(pty.pid());
        stop.store(true, Ordering::Relaxed);
        pty.send(&bytes("Esc Esc 1"));
        pty.wait_until("the table", |screen| row_of(screen, "COMMAND").is_some());
        pty.send(&bytes("q"));
        assert!(pty.wait_exit().success());
        pty.assert_restored();
        (before, after, born.load(Ordering::Relaxed))
    });
    loudly!("soak of {long:?} after {warm:?}: {born} processes came and went; {before:?}, then {after:?}");
    assert!(born > CHURN * warm.as_secs(), "there was churn: {born}");
    assert!(after.own_kib <= before.own_kib + before.rss_kib * 5 / 100, "memory: {before:?}, then {after:?}");
    // A handful are kept for as long as processes of the moment live, and one is open while a file is read.
    assert!(after.descriptors <= before.descriptors + 24, "descriptors: {before:?}, then {after:?}");
    assert!(after.threads <= before.threads + 1, "threads: {before:?}, then {after:?}");
    assert_eq!(after.children, before.children, "{before:?}, then {after:?}");
}

#[test]
fn half_a_minute_of_churn_leaves_it_as_it_was() {
    let _alone = alone();
    soak(Duration::from_secs(10), Duration::from_secs(20));
}

#[test]
#[ignore = "an hour, or SOAK_SECONDS: cargo test --release --test measured an_hour -- --ignored"]
fn an_hour_of_churn_leaves_it_as_it_was() {
    let _alone = alone();
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(3600);
    // By then the log of events and the names in it have reached their bounds, and every screen has been drawn some hundred times.
    soak(Duration::from_secs(300), Duration::from_secs(seconds));
}
