//! Live views of a process from its row: the timeline of its family, its profile, and the last minutes of the session.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use concmon::record::Replay;

use crate::support::key_script::bytes;
use crate::support::pty::{Program, Pty};

/// A shell that does nothing else than run; ended when dropped.
struct Busy(Child);

impl Busy {
    fn start() -> Self {
        Self(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap())
    }

    /// concmon with this process alone in its table.
    fn open(&self, more: &[&str]) -> Pty {
        let pid = self.0.id().to_string();
        let args = [&["--pid", &pid][..], more].concat();
        let pty = Pty::spawn(&Program { program: env!("CARGO_BIN_EXE_concmon"), args: &args, rows: 30, columns: 120, env: &[] });
        pty.wait_until("its row", |screen| screen.contents().lines().any(|line| line.contains(&pid) && line.contains("while")));
        pty
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// On a CPU for a part of a cell: on a busy machine a small one.
const RUNS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Waits until concmon has no thread of that name, or has one.
fn wait_for_thread(pty: &Pty, name: &str, is_there: bool) {
    let until = Instant::now() + Duration::from_secs(60);
    let tasks = format!("/proc/{}/task", pty.pid());
    loop {
        let comm = |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.ok()?.path().join("comm")).ok();
        let found = std::fs::read_dir(&tasks).unwrap().filter_map(comm).any(|comm| comm.trim() == name);
        if found == is_there {
            return;
        }
        assert!(Instant::now() < until, "the thread {name} {}", if is_there { "never began" } else { "goes on" });
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_live_timeline_of_a_row_shows_its_lanes_and_ends_when_it_is_left() {
    let busy = Busy::start();
    let mut pty = busy.open(&[]);
    let pid = busy.0.id().to_string();
    pty.send(&bytes("V"));
    pty.wait_until("its lane, with time on a CPU", |screen| {
        let text = screen.contents();
        let lane = text.lines().find(|line| line.starts_with('>') && line.contains(&pid));
        text.contains(&format!("live PID {pid} sh")) && lane.is_some_and(|lane| lane.contains(RUNS))
    });
    wait_for_thread(&pty, "family-lanes", true);
    pty.send(&bytes("Esc"));
    pty.wait_text("[1 Processes]");
    wait_for_thread(&pty, "family-lanes", false);
}

#[test]
fn the_live_profile_of_a_row_says_what_its_processes_do_and_ends_when_it_is_closed() {
    let busy = Busy::start();
    let mut pty = busy.open(&[]);
    pty.send(&bytes("f"));
    pty.wait_until("its figures", |screen| {
        let text = screen.contents();
        text.contains("1 process (0 Python), 1 task") && text.contains("samples in") && text.contains("PROGRAM OR THREAD")
    });
    wait_for_thread(&pty, "family-profile", true);
    pty.send(&bytes("Esc"));
    pty.wait_text("[1 Processes]");
    wait_for_thread(&pty, "family-profile", false);
}

#[test]
fn the_last_minutes_are_shown_without_touching_what_is_now_and_are_saved_as_a_recording() {
    let busy = Busy::start();
    let mut pty = busy.open(&["-d", "0.5"]);
    let directory = tempfile::tempdir().unwrap();
    let mut number = 0;
    let mut save = |pty: &mut Pty| {
        number += 1;
        let path = directory.path().join(format!("last{number}"));
        pty.send(format!(":save {}\r", path.display()).as_bytes());
        pty.wait_text(&format!("saved: concmon --replay {}", path.display()));
        Replay::open(&path).unwrap().frames()
    };
    // One sample a second is kept: two of them are a past.
    let until = Instant::now() + Duration::from_secs(60);
    let mut before = 0;
    while before < 3 {
        before = save(&mut pty);
        assert!(Instant::now() < until, "{before} samples are kept");
    }
    pty.send(b"{");
    pty.wait_until("the past", |screen| screen.contents().lines().next().is_some_and(|line| line.contains(" AGO")));
    pty.send(&bytes("F9"));
    pty.wait_text("is off while the past is shown");
    assert!(!pty.contents().contains("SIGTERM"), "{}", pty.contents());
    pty.send(&bytes("V"));
    pty.wait_text("Timeline is off while the past is shown");
    pty.send(&bytes("Esc"));
    pty.wait_until("what is now", |screen| screen.contents().lines().next().is_some_and(|line| !line.contains(" AGO")));
    // Sampling went on.
    while save(&mut pty) <= before {
        assert!(Instant::now() < until, "no more than {before} samples are kept");
    }
    pty.send(&bytes("F9"));
    pty.wait_text("SIGTERM");
}

#[test]
fn a_deadlock_marks_its_row_without_a_visit_to_the_problems_screen() {
    let script = "
import threading
one, other, both = threading.Lock(), threading.Lock(), threading.Barrier(2)
def take(first, second):
    with first:
        both.wait()
        second.acquire()
threading.Thread(target=take, args=(one, other)).start()
take(other, one)
";
    let stuck = Busy(Command::new("python3").args(["-c", script]).spawn().unwrap());
    let pid = stuck.0.id().to_string();
    let args = ["--pid", &pid];
    let pty = Pty::spawn(&Program { program: env!("CARGO_BIN_EXE_concmon"), args: &args, rows: 30, columns: 120, env: &[] });
    pty.wait_until("the mark of the row and the number of problems", |screen| {
        let text = screen.contents();
        let row = text.lines().find(|line| line.contains(&pid) && line.contains("python3"));
        row.is_some_and(|row| row.contains("deadlock"))
            && text.split_once("6 Problems ").is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
    });
    pty.wait_text("screen 6 says more");
    drop(stuck);
    pty.wait_until("no mark", |screen| !screen.contents().contains("deadlock"));
}
