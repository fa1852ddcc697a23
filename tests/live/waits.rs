//! Names of waits: a program whose threads are held in known ways, read from outside without privileges.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::support::exclusive::full_name;

/// Thread names and what each must be said to wait for.
const HELD: [(&str, &str); 9] = [
    ("mutex-a", "futex wait"),
    ("mutex-b", "futex wait"),
    ("pipe", "reads pipe"),
    ("peer", "reads pipe"),
    ("epoll", "epoll"),
    ("sleep", "nanosleep"),
    ("child", "waits for child"),
    ("file-lock", "file lock"),
    ("fifo", "opens fifo"),
];

/// The name of a FIFO. Set for the program only, so that a run of all ignored tests does not start it.
const PROGRAM: &str = "CONCMON_TEST_HELD_THREADS";

/// Not a test: the program that the test looks at. It ends when its standard input does.
#[test]
#[ignore = "started by the test below"]
fn program() {
    let Some(fifo) = std::env::var_os(PROGRAM) else { return };
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
    // The writing end goes to `cat` alone, which ends with this program's standard input.
    let (mut end, writer) = std::io::pipe().unwrap();
    let writes = Command::new("cat").stdout(writer).spawn().unwrap().id();
    spawn("peer", Box::new(move || drop(end.read(&mut [0]))));
    spawn("sleep", Box::new(|| thread::sleep(Duration::from_secs(3600))));
    // `cat` ends with this program, whose standard input it shares.
    let mut cat = Command::new("cat").stdout(Stdio::null()).spawn().unwrap();
    spawn("child", Box::new(move || drop(cat.wait())));
    let locked = tempfile::NamedTempFile::new().unwrap();
    let again = locked.reopen().unwrap();
    // The name goes, the lock stays.
    let locked = locked.into_file();
    locked.lock().unwrap();
    spawn("file-lock", Box::new(move || drop(again.lock())));
    spawn("fifo", Box::new(move || drop(std::fs::File::open(fifo))));
    sched_setaffinity(Pid::from_raw(0), &first_cpu()).unwrap();
    println!("{writes} ready");
    std::io::stdout().flush().unwrap();
    let mut parent = Command::new("cat").stdout(Stdio::null()).spawn().unwrap();
    parent.wait().unwrap();
    drop(held);
    std::process::exit(0);
}

/// The first of the CPUs that this thread may run on.
fn first_cpu() -> CpuSet {
    let all = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let mut first = CpuSet::new();
    first.set((0..CpuSet::count()).find(|cpu| all.is_set(*cpu).unwrap()).unwrap()).unwrap();
    first
}

/// The same without the privileges of the tests, if they have any.
fn unprivileged(command: &mut Command) -> &mut Command {
    if nix::unistd::geteuid().is_root() { command.uid(65534).gid(65534) } else { command }
}

/// Ends the program even if the test fails.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Names and waits of the program's threads, as `concmon ps` prints them.
fn waits(pid: u32, source: &str, filter: &str) -> Vec<(String, Option<String>)> {
    let row = |row: &serde_json::Value| Some((row["comm"].as_str()?.to_owned(), row["wait"].as_str().map(str::to_owned)));
    rows(pid, source, filter, "tid,comm,wait").iter().filter_map(row).collect()
}

/// Rows of the program, as `concmon ps` prints them.
fn rows(pid: u32, source: &str, filter: &str, columns: &str) -> Vec<serde_json::Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_concmon"));
    let pid = pid.to_string();
    command.args(["ps", filter, "--threads", "--json", "--samples", "1", "--source", source, "-p", &pid]);
    let output = unprivileged(command.args(["--columns", columns])).env_remove("XDG_CONFIG_HOME").env("HOME", "/").output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    document["rows"].as_array().unwrap().clone()
}

/// The two that wait at one lock are found by that lock, and so is no other.
fn one_lock(pid: u32) {
    let at_mutex = rows(pid, "proc", "comm=mutex-a", "tid,lock,lock_waiters");
    let lock = at_mutex[0]["lock"].as_str().unwrap();
    assert!(lock.starts_with(&format!("{pid}:")) && at_mutex[0]["lock_waiters"] == 2, "{at_mutex:?}");
    let address = lock.split_once(':').unwrap().1;
    for filter in [format!("thread and lock={lock}"), format!("thread and lock={address}"), "thread and lock_waiters>1".into()] {
        let mut crowd = waits(pid, "proc", &filter);
        crowd.sort_unstable();
        assert_eq!(crowd.iter().map(|(comm, _)| comm.as_str()).collect::<Vec<_>>(), ["mutex-a", "mutex-b"], "{filter}");
    }
}

/// Its namespaces are ours, and the thread that bound itself to one CPU is distinguished from the others.
fn where_it_lives(pid: u32) {
    let own = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let found = rows(pid, "proc", "not thread", "pid,namespaces,pid_namespace,started,container");
    let namespace = format!("pid:[{}]", found[0]["pid_namespace"]);
    assert_eq!((found[0]["namespaces"].as_str(), namespace.as_str()), (Some("same"), own.to_str().unwrap()), "{found:?}");
    let started = found[0]["started"].as_str().unwrap();
    assert!(started.len() == 19 && started.starts_with("20"), "{started}");
    let cpus = |filter: &str| {
        let found = rows(pid, "proc", filter, "tid,affinity");
        let cpus: std::collections::BTreeSet<String> = found.iter().map(|row| row["affinity"].to_string()).collect();
        assert_eq!(cpus.len(), 1, "{found:?}");
        cpus
    };
    let pinned = cpus("comm=waits::program");
    let all = sched_getaffinity(Pid::from_raw(0)).unwrap();
    if (0..CpuSet::count()).filter(|cpu| all.is_set(*cpu).unwrap()).count() > 1 {
        assert_ne!(cpus("comm=sleep"), pinned, "each thread has CPUs of its own");
    }
}

#[test]
fn every_thread_is_said_to_wait_for_what_holds_it() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("requests");
    mkfifo(&fifo, Mode::from_bits_truncate(0o644)).unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .env(PROGRAM, &fifo)
        .args([&full_name(module_path!(), "program"), "--exact", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut program = Program(unprivileged(&mut command).spawn().unwrap());
    let pid = program.0.id();
    let mut said = Vec::new();
    let mut stdout = program.0.stdout.take().unwrap();
    while !said.ends_with(b" ready\n") {
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
    where_it_lives(pid);
    let held = waits(pid, "proc", "comm=file-lock");
    assert_eq!(held[0].1.as_deref(), Some(&*format!("file lock of PID {pid}")), "it waits for another thread of its own process");
    // With Yama the system call, which has the address, is shown to ancestors only; the function's name is shown anyway.
    let yama = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    if yama.is_err() || yama.is_ok_and(|scope| scope.trim() == "0") {
        let said = String::from_utf8_lossy(&said);
        let writer = said.lines().last().and_then(|line| line.strip_suffix(" ready")).unwrap();
        for (comm, want) in [("peer", format!("reads pipe from PID {writer}")), ("pipe", "reads pipe from itself".into())] {
            let found = waits(pid, "proc", &format!("comm={comm}"));
            assert_eq!(found[0].1.as_ref(), Some(&want), "the pipe's other end");
        }
        one_lock(pid);
        let opens = rows(pid, "proc", "comm=fifo", "tid")[0]["tid"].to_string();
        let why = unprivileged(Command::new(env!("CARGO_BIN_EXE_concmon")).args(["why", &opens])).output().unwrap();
        let words = String::from_utf8_lossy(&why.stdout);
        let want = format!("opens the FIFO {} for reading. It waits until another process opens it for writing.", fifo.display());
        assert!(words.contains(&want), "{words}");
        let crowd = waits(pid, "proc", "comm~^mutex-");
        assert!(crowd.iter().all(|(_, wait)| wait.as_ref().unwrap().ends_with("(2)")), "both at one lock: {crowd:?}");
        let epoll = waits(pid, "proc", "comm=epoll");
        assert_eq!(epoll[0].1.as_deref(), Some("epoll, 1 fd"));
    }
}
