//! What threads wait for is named right: a program whose threads are held in known ways, looked at from outside without privilege.

#![expect(clippy::unwrap_used, reason = "a test that cannot prepare its stage has failed")]

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// Thread names and what each must be said to wait for.
const HELD: [(&str, &str); 6] = [
    ("mutex-a", "futex wait"),
    ("mutex-b", "futex wait"),
    ("pipe", "reads pipe"),
    ("epoll", "epoll"),
    ("sleep", "nanosleep"),
    ("child", "waits for child"),
];

/// Set for the program only, so that nobody starts it by asking for all ignored tests.
const PROGRAM: &str = "CONCMON_TEST_HELD_THREADS";

/// Not a test: the program that the test looks at. It ends when its standard input does.
#[test]
#[ignore = "started by the test below"]
fn program() {
    if std::env::var_os(PROGRAM).is_none() {
        return;
    }
    let lock = Arc::new(Mutex::new(()));
    let held = lock.lock().unwrap();
    let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| thread::Builder::new().name(name.into()).spawn(body).unwrap();
    for name in ["mutex-a", "mutex-b"] {
        let lock = Arc::clone(&lock);
        spawn(name, Box::new(move || drop(lock.lock())));
    }
    let (mut end, _writer) = std::io::pipe().unwrap();
    let listened = end.try_clone().unwrap();
    spawn("pipe", Box::new(move || drop(end.read(&mut [0]))));
    spawn(
        "epoll",
        Box::new(move || {
            let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
            epoll.add(&listened, EpollEvent::new(EpollFlags::EPOLLIN, 0)).unwrap();
            let _ = epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE);
        }),
    );
    spawn("sleep", Box::new(|| thread::sleep(Duration::from_secs(3600))));
    // `cat` ends with this program, whose standard input it shares.
    let mut cat = Command::new("cat").stdout(Stdio::null()).spawn().unwrap();
    spawn("child", Box::new(move || drop(cat.wait())));
    println!("ready");
    std::io::stdout().flush().unwrap();
    let mut parent = Command::new("cat").stdout(Stdio::null()).spawn().unwrap();
    parent.wait().unwrap();
    drop(held);
    std::process::exit(0);
}

/// The same without the privileges of the tests, if they have any.
fn unprivileged(command: &mut Command) -> &mut Command {
    if nix::unistd::geteuid().is_root() { command.uid(65534).gid(65534) } else { command }
}

/// Ends the program whatever becomes of the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Names and waits of the program's threads, as `concmon ps` tells them.
fn waits(pid: u32, source: &str, filter: &str) -> Vec<(String, Option<String>)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_concmon"));
    let pid = pid.to_string();
    command.args(["ps", filter, "--threads", "--json", "--samples", "1", "--source", source, "-p", &pid]);
    let output =
        unprivileged(command.args(["--columns", "tid,comm,wait"])).env_remove("XDG_CONFIG_HOME").env("HOME", "/").output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = |row: &serde_json::Value| Some((row["comm"].as_str()?.to_owned(), row["wait"].as_str().map(str::to_owned)));
    document["rows"].as_array().unwrap().iter().filter_map(row).collect()
}

#[test]
fn every_thread_is_said_to_wait_for_what_holds_it() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .env(PROGRAM, "1")
        .args(["program", "--exact", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut program = Program(unprivileged(&mut command).spawn().unwrap());
    let pid = program.0.id();
    let mut said = Vec::new();
    let mut stdout = program.0.stdout.take().unwrap();
    while !said.windows(6).any(|w| w == b"ready\n") {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "the program ended: {}", String::from_utf8_lossy(&said));
        said.push(byte[0]);
    }
    // They are started; that each has come to where it is held can only be looked for.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = waits(pid, "proc", "tid>0");
        let right = |(name, want): &(&str, &str)| {
            found.iter().any(|(comm, wait)| comm == name && wait.as_ref().is_some_and(|w| w.starts_with(want)))
        };
        if HELD.iter().all(right) {
            break;
        }
        assert!(Instant::now() < deadline, "{found:#?}");
    }
    let mut at_futex: Vec<String> = waits(pid, "proc", "thread and wait=futex").into_iter().map(|(comm, _)| comm).collect();
    at_futex.retain(|comm| HELD.iter().any(|(name, _)| name == comm));
    at_futex.sort_unstable();
    assert_eq!(at_futex, ["mutex-a", "mutex-b"], "and a filter finds those at the lock");
    // With Yama the system call, which has the address, is shown to ancestors only; the function's name is shown all the same.
    let yama = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    if yama.is_err() || yama.is_ok_and(|scope| scope.trim() == "0") {
        let crowd = waits(pid, "proc", "comm~^mutex-");
        assert!(crowd.iter().all(|(_, wait)| wait.as_ref().unwrap().ends_with("(2)")), "both at one lock: {crowd:?}");
        let epoll = waits(pid, "proc", "comm=epoll");
        assert_eq!(epoll[0].1.as_deref(), Some("epoll, 1 fd"));
    }
}
