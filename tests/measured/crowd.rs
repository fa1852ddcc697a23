//! Memory follows the present: what a crowd of processes or threads made the monitor take is given back within a minute of its end.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::exclusive::alone;
use crate::support::pty::{Program, Pty};

/// Processes or threads of the crowd: enough to take several times of what stays.
const CROWD: u32 = 4000;
/// What may stay beyond the ratio, bytes: the log of events has filled meanwhile, which is bounded, and what else runs on the machine
/// counts too.
const LOG: u64 = 4 << 20;
/// The same after a crowd of threads, which the log has no entries of.
const LOG_OF_THREADS: u64 = 3 << 19;

/// Makes a crowd of one kind, says so, and ends it when its standard input ends.
const PROGRAM: &str = r"
import os, signal, sys, threading
kind, count = sys.argv[1], int(sys.argv[2])
children = []
if kind == 'processes':
    for _ in range(count):
        child = os.fork()
        if child == 0:
            while True:
                signal.pause()
        children.append(child)
else:
    threading.stack_size(64 * 1024)
    end = threading.Event()
    for _ in range(count):
        threading.Thread(target=end.wait, daemon=True).start()
print('ready', flush=True)
sys.stdin.read()
for child in children:
    os.kill(child, signal.SIGKILL)
for child in children:
    os.waitpid(child, 0)
os._exit(0)
";

struct Crowd(Child);

impl Crowd {
    fn start(kind: &str) -> Option<Self> {
        let args = ["-I", "-c", PROGRAM, kind, &CROWD.to_string()];
        let mut child = Command::new("python3").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let mut line = String::new();
        let read = BufReader::new(child.stdout.take().unwrap()).read_line(&mut line);
        let crowd = Self(child);
        (read.is_ok() && line.trim() == "ready").then_some(crowd)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // It ends its children first, which a signal would leave behind.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Anonymous resident memory: the program's own pages are another matter, and in a debug build many.
fn anonymous(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Waits until it is as wanted, a minute at most; the last figure.
fn until(pid: i32, wanted: impl Fn(u64) -> bool) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let now = anonymous(pid);
        if wanted(now) || Instant::now() > deadline {
            return now;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn comes_and_goes(kind: &str, source: &str) {
    // The last minutes are kept on purpose, within a bound of their own.
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.toml");
    std::fs::write(&config, "last_minutes = 0\n").unwrap();
    let args = ["--config", config.to_str().unwrap(), "--source", source, "--delay", "0.5"];
    let mut pty = Pty::spawn(&Program { program: env!("CARGO_BIN_EXE_concmon"), args: &args, rows: 40, columns: 140, env: &[] });
    pty.wait_text("COMMAND");
    if source == "auto" {
        // The better tier, if there is one here, is loaded in the background.
        pty.wait_until("the end of loading", |screen| !screen.contents().contains("being loaded"));
    }
    if kind == "threads" {
        // With a row for each thread, as the sources otherwise keep little of it.
        pty.send(b"H");
    }
    // Steady once twenty readings in a row are the same.
    let (mut before, mut same) = (0, 0);
    let deadline = Instant::now() + Duration::from_secs(20);
    while same < 20 && Instant::now() < deadline {
        let now = anonymous(pty.pid());
        same = if now == before { same + 1 } else { 0 };
        before = now;
        std::thread::sleep(Duration::from_millis(100));
    }
    let Some(crowd) = Crowd::start(kind) else {
        loudly!("SKIPPED a crowd of {kind}: python3 is not installed, or may not make it");
        return;
    };
    let limit = before * 13 / 10 + if kind == "threads" { LOG_OF_THREADS } else { LOG };
    let peak = until(pty.pid(), |now| now > limit + (1 << 20));
    drop(crowd);
    let after = until(pty.pid(), |now| now <= limit);
    loudly!("{CROWD} {kind}, {source}: {} KiB before, {} at least with them, {} after", before >> 10, peak >> 10, after >> 10);
    assert!(peak > limit, "the crowd takes more than may stay, or this shows nothing: {peak} of {limit}");
    assert!(after <= limit, "{after} bytes stay of {peak}, and {before} were there before");
    pty.send(b"q");
    assert!(pty.wait_exit().success());
}

#[test]
fn a_crowd_of_processes_leaves_nothing_behind_in_proc() {
    let _alone = alone();
    comes_and_goes("processes", "proc");
}

#[test]
fn a_crowd_of_processes_leaves_nothing_behind_in_bpf() {
    let _alone = alone();
    comes_and_goes("processes", "auto");
}

#[test]
fn a_crowd_of_threads_leaves_nothing_behind() {
    let _alone = alone();
    comes_and_goes("threads", "auto");
}

#[test]
fn a_crowd_of_threads_leaves_nothing_behind_in_proc() {
    let _alone = alone();
    comes_and_goes("threads", "proc");
}
