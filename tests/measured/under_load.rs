//! A key is answered beside 64 busy processes and constant allocation: measured from the byte that the terminal sends to the frame that it
//! receives. The promise holds for the release build; a debug build needs several times the CPU for a frame, so it only has to answer.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, setpriority_process};

use crate::support::exclusive::{alone, own_process};
use crate::support::pty::{Program, Pty, row_of};

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");

/// Busy processes, and how many more take 64 MB, write to all of it and give it back, again and again.
const BUSY: usize = 64;
const TAKERS: usize = 4;
/// Keys whose frames are waited for.
const KEYS: usize = if cfg!(debug_assertions) { 30 } else { 100 };
/// The 99th percentile at the most.
const PROMISE: Duration = if cfg!(debug_assertions) { Duration::from_secs(3) } else { Duration::from_millis(100) };
/// As fast as a user types in a hurry.
const PACE: Duration = Duration::from_millis(100);

/// Processes that are killed when dropped. Each may use 60 s of CPU time, so that none outlives the test for long even if that is killed.
struct Load(Vec<Child>);

impl Load {
    fn start() -> Self {
        let spin = "ulimit -t 60; while :; do :; done";
        let take = "ulimit -t 60; while :; do head -c 67108864 /dev/zero | tail | wc -c; done";
        let scripts = std::iter::repeat_n(spin, BUSY).chain(std::iter::repeat_n(take, TAKERS));
        // A session each: where the kernel shares the CPUs among sessions (sched_autogroup, sched(7)) all of them together would get no
        // more than the monitor alone. And a pipeline ends as a whole.
        let start = |script| Command::new("setsid").args(["sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Self(scripts.map(|script| start(script).expect("setsid of util-linux")).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            if let Some(group) = group {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Puts this test before all others while it lives: it stands for the terminal and the watch, which are not what is measured.
struct First {
    /// The nice value that the session had, where the kernel shares the CPUs among sessions.
    session: Option<String>,
}

impl First {
    const SESSION: &str = "/proc/self/autogroup";

    /// `None` where the kernel does not let this user (`RLIMIT_NICE`, setpriority(2); a number of a thread means that thread alone on
    /// Linux). Among sessions the thread's own value says nothing (sched(7), "The autogroup feature").
    fn go() -> Option<Self> {
        let threads = std::fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().file_name());
        let first = threads.map(|tid| Pid::from_raw(tid.to_str().unwrap().parse().unwrap()));
        if !first.into_iter().all(|tid| setpriority_process(tid, -20).is_ok()) {
            return None;
        }
        let shared = std::fs::read_to_string("/proc/sys/kernel/sched_autogroup_enabled").is_ok_and(|on| on.trim() == "1");
        let group = std::fs::read_to_string(Self::SESSION).ok().filter(|_| shared);
        let session = group.and_then(|text| Some(text.split_once(" nice ")?.1.trim().to_owned()));
        if session.is_some() && std::fs::write(Self::SESSION, "-20").is_err() {
            return None;
        }
        Some(Self { session })
    }
}

impl Drop for First {
    fn drop(&mut self) {
        if let Some(nice) = &self.session {
            let _ = std::fs::write(Self::SESSION, nice);
        }
    }
}

#[test]
fn a_key_is_drawn_beside_64_busy_processes() {
    let _alone = alone();
    // The priority of a process and of its session is never lowered again: what follows must not have it.
    own_process(module_path!(), "a_key_is_drawn_beside_64_busy_processes", keys_are_drawn);
}

fn keys_are_drawn() {
    let mut pty = Pty::spawn(&Program { program: CONCMON, args: &["-d", "0.5"], rows: 40, columns: 140, env: &[] });
    pty.wait_until("the process table", |screen| screen.alternate_screen() && row_of(screen, "COMMAND").is_some());
    let load = Load::start();
    let Some(_first) = First::go() else {
        loudly!("SKIPPED: this user may not put the test before its load, so the terminal would be measured and not the monitor");
        return;
    };
    // The load is there once the table has seen it.
    pty.wait_until("the load", |screen| screen.contents().matches("sh -c ulimit").count() > 20);
    // A neighbour of the machine may take a whole batch's time away; six in a row it would not.
    let calm = (1..=6).any(|_| press_and_look(&mut pty) < PROMISE);
    drop(load);
    assert!(calm, "in each of six batches one key of a hundred took longer than {PROMISE:?}");
    pty.send(b"q");
    assert!(pty.wait_exit().success());
    pty.assert_restored();
}

/// Presses keys that change the whole screen; the 99th percentile of what their frames took.
fn press_and_look(pty: &mut Pty) -> Duration {
    let mut taken: Vec<Duration> = Vec::with_capacity(KEYS);
    for (key, screen) in [("5", "[5 Events]"), ("1", "[1 Processes]")].into_iter().cycle().take(KEYS) {
        let sent = Instant::now();
        pty.send(key.as_bytes());
        pty.wait_until(screen, |seen| row_of(seen, screen).is_some());
        taken.push(sent.elapsed());
        std::thread::sleep(PACE.saturating_sub(sent.elapsed()));
    }
    taken.sort_unstable();
    let [median, p90, p99, most] = [50, 90, 99, 100].map(|share| taken[(taken.len() - 1) * share / 100]);
    loudly!(
        "{KEYS} keys beside {BUSY} busy processes and {TAKERS} that take memory, on {} CPUs: median {median:.1?}, p90 {p90:.1?}, p99 \
         {p99:.1?}, most {most:.1?}",
        std::thread::available_parallelism().unwrap()
    );
    p99
}
