//! The helper alone, controlled as concmon does, with runs that try to escape: daemons in their own sessions, orphans, silence.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use concmon::lab::catalog;
use concmon::lab::control::{KillReason, Notice, Order, Program, to_line};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::gone;

const PATIENCE: Duration = Duration::from_secs(20);

/// A helper and the socket to it.
struct Helper {
    guard: Child,
    orders: UnixStream,
    notices: BufReader<UnixStream>,
    dir: tempfile::TempDir,
}

impl Helper {
    fn start() -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let guard = Command::new(env!("CARGO_BIN_EXE_concmon"))
            .arg(concmon::lab::entry::HELPER)
            .env("XDG_RUNTIME_DIR", dir.path())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { guard, orders: ours.try_clone().unwrap(), notices: BufReader::new(ours), dir }
    }

    fn order(&mut self, order: &Order) {
        self.orders.write_all(&to_line(order)).unwrap();
    }

    /// Runs a shell script as run 1.
    fn script(&mut self, script: &str, program: Program, timeout_ms: u64) {
        let spec = catalog::RunSpec { timeout_ms, ..catalog::find("native/fork").unwrap().defaults() };
        let args = vec!["sh".into(), "-c".into(), script.into()];
        self.order(&Order::Launch {
            run: 1,
            spec: Box::new(spec),
            program: Box::new(Program { path: "/bin/sh".into(), args, ..program }),
        });
    }

    fn next(&mut self) -> Option<Notice> {
        let mut line = String::new();
        self.notices.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }

    /// Everything up to and with the notice that is wanted.
    fn until(&mut self, wanted: impl Fn(&Notice) -> bool) -> Vec<Notice> {
        let mut seen = Vec::new();
        while let Some(notice) = self.next() {
            let found = wanted(&notice);
            seen.push(notice);
            if found {
                return seen;
            }
        }
        panic!("the helper hung up after {seen:?}");
    }

    /// What the run prints, until it has printed `words` words.
    fn words(&mut self, words: usize) -> Vec<String> {
        let mut text = String::new();
        while text.split_whitespace().count() < words || !text.ends_with('\n') {
            for notice in self.until(|n| matches!(n, Notice::Output { .. })) {
                if let Notice::Output { text: more, .. } = notice {
                    text += &more;
                }
            }
        }
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn await_ended(&mut self) -> (u32, Option<KillReason>) {
        match self.until(|n| matches!(n, Notice::Ended { .. })).last() {
            Some(Notice::Ended { orphans, killed, .. }) => (*orphans, *killed),
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.orders.shutdown(std::net::Shutdown::Both);
        let _ = self.guard.wait();
    }
}

/// What the run has printed, in one text.
fn printed(notices: &[Notice]) -> String {
    notices.iter().filter_map(|n| if let Notice::Output { text, .. } = n { Some(text.as_str()) } else { None }).collect()
}

fn bare() -> Program {
    Program {
        path: "/bin/sh".into(),
        args: Vec::new(),
        env: Vec::new(),
        env_remove: Vec::new(),
        files: Vec::new(),
        directory: None,
    }
}

/// Two daemons, one of them an orphan of an orphan; prints their pids.
const DAEMONS: &str =
    "setsid sh -c 'echo $$; exec sleep 1000' & (setsid sh -c '(setsid sh -c \"echo \\$\\$; exec sleep 1000\" &) ' &) ;";

fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Waits until none of them is alive.
fn assert_dead(pids: &[String]) {
    for pid in pids {
        gone::await_gone(pid.parse().unwrap(), PATIENCE);
    }
}

#[test]
fn stopping_a_run_kills_its_daemons() {
    let mut helper = Helper::start();
    helper.script(&format!("{DAEMONS} wait; sleep 1000"), bare(), 60_000);
    let pids = helper.words(2);
    assert!(pids.iter().all(|pid| is_alive(pid)));
    helper.order(&Order::Stop { run: 1 });
    assert_eq!(helper.await_ended().1, Some(KillReason::Stopped));
    assert!(pids.iter().all(|pid| !is_alive(pid)), "none is left when the end is told");
}

#[test]
fn daemons_that_a_run_leaves_behind_are_killed_and_counted() {
    let mut helper = Helper::start();
    helper.script(DAEMONS, bare(), 60_000);
    let pids = helper.words(2);
    assert_eq!(helper.await_ended(), (2, None));
    assert!(pids.iter().all(|pid| !is_alive(pid)));
}

#[test]
fn the_guard_kills_the_daemons_of_a_killed_supervisor() {
    let mut helper = Helper::start();
    helper.script(&format!("echo $PPID; {DAEMONS} sleep 1000"), bare(), 60_000);
    let mut pids = helper.words(3);
    let supervisor: i32 = pids.remove(0).parse().unwrap();
    assert!(pids.iter().all(|pid| is_alive(pid)));
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
    assert_dead(&pids);
    helper.guard.wait().unwrap();
    assert_eq!(std::fs::read_dir(helper.dir.path()).unwrap().count(), 0, "its directory is gone");
}

#[test]
fn the_supervisor_kills_the_daemons_when_its_guard_is_killed() {
    let mut helper = Helper::start();
    helper.script(&format!("{DAEMONS} sleep 1000"), bare(), 60_000);
    let pids = helper.words(2);
    helper.guard.kill().unwrap();
    assert_dead(&pids);
}

#[test]
fn hanging_up_kills_the_daemons() {
    let mut helper = Helper::start();
    helper.script(&format!("{DAEMONS} sleep 1000"), bare(), 60_000);
    let pids = helper.words(2);
    drop(helper);
    assert!(pids.iter().all(|pid| !is_alive(pid)));
}

#[test]
fn a_run_starts_clean_and_knows_its_own() {
    let mut helper = Helper::start();
    let program = Program { env: vec![("GIVEN".into(), "here".into())], env_remove: vec!["CARGO*".into()], ..bare() };
    let script = "echo run=$CONCMON_LAB_RUN given=$GIVEN cargo=$CARGO_MANIFEST_DIR; test -S $CONCMON_LAB_SOCKET && echo socket; \
                  echo $TMPDIR; pwd; grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd | wc -l; echo oops >&2; exit 3";
    helper.script(script, program, 60_000);
    let seen = helper.until(|n| matches!(n, Notice::Ended { .. }));
    let text = printed(&seen);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["run=1 given=here cargo=", "socket"], "{text}");
    assert_eq!(lines[2], lines[3], "its temporary directory is where it starts");
    assert!(lines[2].starts_with(helper.dir.path().to_str().unwrap()));
    assert_eq!(lines[4].split_whitespace().last(), Some("0000000000000000"), "no signal is blocked");
    assert_eq!(lines[5].split_whitespace().last(), Some("0000000000000000"), "no signal is ignored");
    assert_eq!(lines[6].trim(), "4", "standard descriptors, and the one of the directory that ls reads");
    assert_eq!(lines[7], "oops", "standard error too");
    assert!(seen.iter().any(|n| matches!(n, Notice::RootEnded { status, .. } if *status == 3 << 8)));
    assert!(!Path::new(lines[2]).exists(), "what it could leave is gone with it");
}

#[test]
fn a_run_that_prints_without_end_does_not_keep_the_helper_from_stopping_it() {
    let mut helper = Helper::start();
    helper.script("yes", bare(), 60_000);
    helper.words(1000);
    helper.order(&Order::Stop { run: 1 });
    assert_eq!(helper.await_ended().1, Some(KillReason::Stopped));
}

#[test]
fn an_executable_that_is_not_there_is_told() {
    let mut helper = Helper::start();
    let spec = catalog::find("native/fork").unwrap().defaults();
    helper.order(&Order::Launch {
        run: 1,
        spec: Box::new(spec),
        program: Box::new(Program { path: "/nonexistent/python".into(), ..bare() }),
    });
    let seen = helper.until(|n| matches!(n, Notice::Ended { .. }));
    let said = printed(&seen).contains("cannot execute /nonexistent/python: ENOENT");
    assert!(said, "{seen:?}");
}
