//! `concmon problems` and `concmon why` of real programs that are stuck, started before concmon is; and of healthy ones at rest.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use concmon::causes::{Kind, Patience, Reader, Target, TaskId, Wait};
use concmon::kernel::ProcSource;
use concmon::kernel::proc_fs::ProcFs;
use concmon::kernel::source::{Needs, Request, Source as _};
use concmon::lab::python::interpreters;
use concmon::snapshot::Lock;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::exclusive::{alone, starved};
use crate::support::programs;
use crate::support::together::at_a_time;

mod children;
mod findings;
mod owners;
mod python_locks;

/// The compiled `support/stuck.c`.
static PROGRAM: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| compiled("cc", &[]).unwrap_or_else(|why| panic!("cc, which linking this test took too: {why}")));

/// `stuck` of `support/stuck.c` by this compiler with these options, or why there is none.
fn compiled(compiler: &str, options: &[&str]) -> Result<tempfile::TempDir, String> {
    let dir = tempfile::tempdir().unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/stuck.c");
    let mut command = Command::new(compiler);
    command.args(["-O1", "-pthread"]).args(options).args([source, "-o"]).arg(dir.path().join("stuck"));
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(dir) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// `stuck` of `support/stuck.go`, or why there is none.
fn compiled_go() -> Result<tempfile::TempDir, String> {
    let dir = tempfile::tempdir().unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/stuck.go");
    let mut command = Command::new("go");
    command.args(["build", "-o"]).arg(dir.path().join("stuck")).arg(source).env("GOCACHE", dir.path().join("cache"));
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(dir) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// The compiled `support/stuck.rs`; `None` without a compiler.
static RUST: LazyLock<Option<tempfile::TempDir>> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/stuck.rs");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler).args(["--edition", "2021", source, "-o"]).arg(dir.path().join("stuck")).output();
    match output {
        Ok(output) if output.status.success() => Some(dir),
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            loudly!("SKIPPED: there is no rustc here: {error}");
            None
        }
    }
});

/// A program with everything it starts, in a process group of its own, until it is dropped.
struct Stage(Child);

impl Stage {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).process_group(0).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }

    fn c(case: &str) -> Self {
        Self::start(Command::new(PROGRAM.path().join("stuck")).arg(case))
    }

    fn rust(case: &str) -> Option<Self> {
        Some(Self::start(Command::new(RUST.as_ref()?.path().join("stuck")).arg(case)))
    }

    /// A finding with this id is reported of the program, within ten seconds or the looks that a slow machine takes.
    fn has_finding(&self, id: &str) -> Value {
        let begun = Instant::now();
        let mut seconds = "10";
        loop {
            let (code, found) = self.problems(seconds);
            holds(include_str!("../../assets/report/problems.schema.json"), &found);
            // A machine that is busy with other tests looks less often.
            seconds = "30";
            let findings = found["findings"].as_array().unwrap();
            if let Some(finding) = findings.iter().find(|finding| finding["id"] == id) {
                assert_eq!(code, i32::from(findings.iter().any(|finding| finding["level"] == "warning")));
                return finding.clone();
            }
            assert!(begun.elapsed() < Duration::from_secs(90), "{id} was not found: {found:#}");
        }
    }

    fn python(python: &Path, script: &str) -> Self {
        Self::start(Command::new(python).args(["-c", script]))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The exit code and the document of `concmon problems` for this program and what it started.
    fn problems(&self, seconds: &str) -> (i32, Value) {
        self.look(&["--for", seconds])
    }

    /// One look, unless an option asks for more.
    fn look(&self, options: &[&str]) -> (i32, Value) {
        let filter = format!("under({})", self.pid());
        let output = concmon().args(["problems", "--json"]).args(options).arg(&filter).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}{errors}")))
    }

    fn why(&self) -> Value {
        let output = concmon().args(["why", "--json", &self.pid().to_string()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let document = serde_json::from_slice(&output.stdout).unwrap();
        holds(include_str!("../../assets/report/why.schema.json"), &document);
        document
    }

    /// One problem of this kind is found, and `why` comes to the same end; the document.
    fn is_found(&self, cause: &str, tasks: usize) -> Value {
        let begun = Instant::now();
        // Another problem may be seen first while the program is still on its way there.
        loop {
            let (code, found) = self.problems("10");
            holds(include_str!("../../assets/report/problems.schema.json"), &found);
            let problems = found["problems"].as_array().unwrap();
            let [problem] = &problems[..] else { panic!("not one problem (exit {code}): {found:#}") };
            assert_eq!(code, 1);
            if problem["cause"] == cause && problem["tasks"].as_array().unwrap().len() == tasks {
                assert_eq!(self.why()["verdict"], "stuck", "{:#}", self.why());
                return problem.clone();
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "{cause} with {tasks} tasks was not found: {found:#}");
        }
    }

    /// A problem of this kind is found.
    fn has_problem(&self, cause: &str) -> Value {
        let begun = Instant::now();
        loop {
            let (_, found) = self.problems("5");
            if let Some(problem) = found["problems"].as_array().unwrap().iter().find(|problem| problem["cause"] == cause) {
                return problem.clone();
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{cause} was not found: {found:#}");
        }
    }

    /// Nothing is found although it is looked at for some time.
    fn is_healthy(&self) {
        let (code, found) = self.problems("2");
        assert_eq!((code, found["problems"].as_array().unwrap().len()), (0, 0), "{:?}: {found:#}", self.0);
        assert!(found["looked"]["tasks"].as_u64().unwrap() > 1);
        assert_eq!(found["looked"]["unread_python_processes"], 0, "{found:#}");
        assert_ne!(self.why()["verdict"], "stuck");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A group that is gone needs no signal.
        let _ = killpg(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

fn concmon() -> Command {
    Command::new(env!("CARGO_BIN_EXE_concmon"))
}

fn holds(schema: &str, value: &Value) {
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let wrong: Vec<String> = schema.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert_eq!(wrong, Vec::<String>::new(), "{value:#}");
}

/// Every interpreter of the releases in which locks differ.
fn pythons() -> Vec<PathBuf> {
    let named =
        std::env::var_os("CONCMON_TEST_PYTHONS").map(|v| std::env::split_paths(&v).collect::<Vec<_>>()).unwrap_or_default();
    let found = interpreters(&named);
    let mut paths = Vec::new();
    for minor in [9, 10, 11, 13, 14] {
        match found.interpreters.iter().find(|i| (i.version.0, i.version.1) == (3, minor) && !i.free_threaded) {
            Some(one) => paths.push(one.path.clone()),
            None => loudly!("SKIPPED: there is no CPython 3.{minor} here (CONCMON_TEST_PYTHONS may name one)"),
        }
    }
    paths
}

fn evidence(problem: &Value) -> String {
    problem["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["wait"]["evidence"].as_str().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn threads_that_wait_for_each_others_locks() {
    for (case, kinds) in [("abba", ["mutex", "mutex"]), ("rwlock", ["mutex", "rwlock"]), ("join", ["join", "join"])] {
        let stage = Stage::c(case);
        let problem = stage.is_found("lock_cycle", 2);
        let tasks = problem["tasks"].as_array().unwrap();
        let mut found: Vec<&str> = tasks.iter().map(|task| task["wait"]["kind"].as_str().unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, kinds, "{case}");
        // Each names the other.
        let (one, other) = (&tasks[0], &tasks[1]);
        assert_eq!((&one["wait"]["for_tid"], &other["wait"]["for_tid"]), (&other["tid"], &one["tid"]), "{case}");
    }
}

#[test]
fn a_lock_taken_twice_and_one_whose_owner_has_ended() {
    let stage = Stage::c("self");
    let problem = stage.is_found("self_lock", 1);
    assert_eq!(problem["tasks"][0]["wait"]["for_tid"], stage.pid());
    let stage = Stage::c("gone");
    let problem = stage.is_found("holder_gone", 1);
    assert!(evidence(&problem).contains("its recorded owner"), "{problem:#}");
}

#[test]
fn a_forked_child_at_a_lock_of_a_thread_that_it_does_not_have() {
    let stage = Stage::c("fork");
    let problem = stage.is_found("stuck_after_fork", 1);
    assert!(evidence(&problem).contains(&format!("of process {} held it", stage.pid())), "{problem:#}");
    assert_eq!(problem["behind"][0]["pid"], stage.pid(), "the parent waits for the child");
}

#[test]
fn processes_that_wait_for_each_other() {
    let stage = Stage::c("pipe");
    stage.is_found("process_cycle", 2);
    Stage::c("own-pipe").is_found("pipe_without_peer", 1);
    let locks = tempfile::tempdir().unwrap();
    let names = ["one", "other"].map(|name| locks.path().join(name));
    let stage = Stage::start(Command::new(PROGRAM.path().join("stuck")).arg("files").args(names));
    stage.is_found("file_lock_cycle", 2);
    let stage = Stage::c("semaphore");
    let problem = stage.is_found("semaphore_abandoned", 2);
    assert!(evidence(&problem).contains("value 0"), "{problem:#}");
}

#[test]
fn more_locks_of_c_programs_and_those_of_rust() {
    Stage::c("robust").is_found("holder_gone", 1);
    // Condition variables record no owner, but no thread of the process is left that could signal them.
    Stage::c("condition").is_found("no_thread_can_go_on", 3);
    for (case, cause, tasks) in [
        ("mutex", "no_thread_can_go_on", 3),
        ("channel", "no_thread_can_go_on", 3),
        ("rwlock", "no_thread_can_go_on", 2),
        ("condition", "no_thread_can_go_on", 2),
    ] {
        let Some(stage) = Stage::rust(case) else { return };
        let problem = stage.has_problem(cause);
        assert_eq!(problem["tasks"].as_array().unwrap().len(), tasks, "{case}: {problem:#}");
    }
}

/// Connections that have ended stand in the kernel's table for a minute: more than a megabyte of lines.
fn many_ended_connections() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for _ in 0..7_500 {
        let connection = std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let accepted = server.accept().unwrap();
        drop(connection);
        drop(accepted);
    }
}

#[test]
fn rings_of_sockets_and_a_child_of_vfork() {
    many_ended_connections();
    for (case, tasks) in [("ring", 3), ("unix", 2)] {
        let problem = Stage::c(case).is_found("process_cycle", tasks);
        for task in problem["tasks"].as_array().unwrap() {
            assert_eq!(task["wait"]["kind"], "socket", "{case}: {problem:#}");
        }
    }
    let stage = Stage::c("vfork");
    let problem = stage.is_found("stuck_after_fork", 1);
    assert_eq!(problem["behind"][0]["pid"], stage.pid(), "{problem:#}");
}

#[test]
fn python_programs_that_hold_the_gil_block_their_loop_or_lose_a_task() {
    let _alone = alone();
    let bound = "
import threading
def count():
    n = 0
    while True: n += 1
for _ in range(2): threading.Thread(target=count, daemon=True).start()
print('ready', flush=True)
threading.Event().wait()
";
    let held = "
import ctypes, threading, time
library = ctypes.PyDLL(None)
def native(): library.sleep(600)
def beat():
    while True: time.sleep(.01)
threading.Thread(target=beat, daemon=True).start()
time.sleep(.2)
print('ready', flush=True)
native()
";
    let blocked = "
import asyncio, time
def fetch(): time.sleep(600)
async def handler(): fetch()
async def main():
    print('ready', flush=True)
    await asyncio.gather(handler(), asyncio.sleep(1))
asyncio.run(main())
";
    let spin = "
import threading, time
def beat():
    while True: time.sleep(.5)
threading.Thread(target=beat, daemon=True).start()
def busy():
    while True: pass
print('ready', flush=True)
busy()
";
    let lost = "
import multiprocessing, os, signal, time
def task(i):
    time.sleep(1)
    return i
pool = multiprocessing.get_context('fork').Pool(2)
result = pool.map_async(task, range(2), chunksize=1)
time.sleep(.3)
os.kill(pool._pool[0].pid, signal.SIGKILL)
print('ready', flush=True)
result.get()
";
    let failing = "
import multiprocessing, time
def prepare():
    time.sleep(.1)
    raise RuntimeError('no database')
pool = multiprocessing.get_context('fork').Pool(2, initializer=prepare)
print('ready', flush=True)
pool.map(abs, range(4))
";
    at_a_time(4, pythons(), |python| {
        let held = Stage::python(&python, held).has_finding("gil_held_asleep");
        assert!(held["evidence"].as_str().unwrap().contains("native() at"), "{}: {held:#}", python.display());
        let blocked = Stage::python(&python, blocked).has_finding("loop_blocked");
        let words = blocked["evidence"].as_str().unwrap();
        assert!(words.contains("handler() at") && words.contains("fetch() at"), "{}: {blocked:#}", python.display());
        Stage::python(&python, lost).has_finding("task_lost");
        let failing = Stage::python(&python, failing).has_finding("workers_fail");
        assert!(failing["evidence"].as_str().unwrap().contains("with exit status 1"), "{}: {failing:#}", python.display());
    });
    // These use a CPU each.
    for python in pythons() {
        let bound = Stage::python(&python, bound);
        // Where the holder of the GIL mostly waits for a CPU, it is CPUs that are missing.
        if !starved(bound.pid().cast_signed(), 1) {
            let found = bound.has_finding("gil_bound");
            assert!(found["lines"].to_string().contains("count() at"), "{}: {found:#}", python.display());
        }
        drop(bound);
        let spin = Stage::python(&python, spin).has_finding("never_blocks");
        assert!(spin["evidence"].as_str().unwrap().contains("busy() at"), "{}: {spin:#}", python.display());
    }
}

#[test]
fn an_expression_that_matches_no_process_is_no_all_clear() {
    for expression in ["pid=1073741824", "comm=no-such-program && pid>1"] {
        let output = Command::new(env!("CARGO_BIN_EXE_concmon")).args(["problems", expression]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0), "{said}");
        assert!(said.contains(&format!("no process matches `{expression}`")), "{said}");
    }
}

#[test]
fn what_a_user_may_read_is_enough() {
    if !nix::unistd::geteuid().is_root() {
        loudly!("SKIPPED: the other tests ran as a user already");
        return;
    }
    // A directory that all users may enter.
    let dir = tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755)).tempdir().unwrap();
    let (program, own) = (dir.path().join("stuck"), dir.path().join("concmon"));
    programs::copy(PROGRAM.path().join("stuck"), &program);
    programs::copy(env!("CARGO_BIN_EXE_concmon"), &own);
    let stage = Stage::start(Command::new(&program).arg("abba").uid(65534).gid(65534));
    let filter = format!("pid={}", stage.pid());
    let output = Command::new(&own).args(["problems", "--json", "--for", "10", &filter]).uid(65534).gid(65534).output().unwrap();
    let found: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    if ptrace_is_restricted() {
        loudly!("SKIPPED: this machine lets users trace their descendants only");
        return;
    }
    assert_eq!(found["problems"][0]["cause"], "lock_cycle", "{found:#}");
    // The processes of root cannot be examined by that user, and concmon says so instead of reporting that all is well.
    let output = Command::new(&own).args(["problems", "pid=1"]).uid(65534).gid(65534).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stdout));
}

fn ptrace_is_restricted() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").is_ok_and(|scope| scope.trim() != "0")
}

#[test]
fn python_programs_that_are_stuck() {
    let abba = "
import threading
first, second, both = threading.Lock(), threading.Lock(), threading.Barrier(2)
def forward():
    with first:
        both.wait()
        with second: pass
def backward():
    with second:
        both.wait()
        with first: pass
threads = [threading.Thread(target=f) for f in (forward, backward)]
print('ready', flush=True)
for t in threads: t.start()
for t in threads: t.join()
";
    let alone = "
import threading
lock = threading.Lock()
lock.acquire()
print('ready', flush=True)
lock.acquire()
";
    let queue = "
import multiprocessing
def fill(queue): queue.put('x' * 5_000_000)
context = multiprocessing.get_context('fork')
queue = context.Queue()
process = context.Process(target=fill, args=(queue,))
process.start()
print('ready', flush=True)
process.join()
";
    let pipe = "
import subprocess, sys
child = subprocess.Popen([sys.executable, '-c', 'print(\"x\" * 1_000_000)'], stdout=subprocess.PIPE)
print('ready', flush=True)
child.wait()
";
    let fork = "
import os, threading
lock, held = threading.Lock(), threading.Event()
def hold():
    with lock:
        held.set()
        while True: os.read(os.pipe()[0], 1)
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    with lock: pass
    os._exit(0)
print('ready', flush=True)
os.waitpid(child, 0)
";
    let semaphore = "
import multiprocessing, os, signal
context = multiprocessing.get_context('fork')
lock = context.Lock()
def die():
    lock.acquire()
    os.kill(os.getpid(), signal.SIGKILL)
def work():
    with lock: pass
killed = context.Process(target=die)
killed.start()
killed.join()
others = [context.Process(target=work) for _ in range(2)]
for p in others: p.start()
print('ready', flush=True)
for p in others: p.join()
";
    at_a_time(3, pythons(), |python| {
        let problem = Stage::python(&python, abba).is_found("lock_cycle", 2);
        let functions: Vec<&str> =
            problem["tasks"].as_array().unwrap().iter().filter_map(|t| t["python"]["function"].as_str()).collect();
        assert!(functions.contains(&"forward") && functions.contains(&"backward"), "{}: {problem:#}", python.display());
        Stage::python(&python, alone).is_found("only_thread_waits", 1);
        Stage::python(&python, queue).is_found("process_cycle", 3);
        Stage::python(&python, pipe).is_found("process_cycle", 2);
        Stage::python(&python, fork).is_found("stuck_after_fork", 1);
        Stage::python(&python, semaphore).is_found("semaphore_abandoned", 3);
    });
}

#[test]
fn servers_that_ask_each_other_and_a_reader_that_is_waited_for() {
    // The last request waits in the backlog of a server that itself waits for an answer.
    let servers = "
import os, socket
one, other = (socket.create_server(('127.0.0.1', 0)) for _ in range(2))
addresses = one.getsockname(), other.getsockname()
for own, ask in ((one, addresses[1]), (other, addresses[0])):
    if os.fork() == 0:
        (other if own is one else one).close()
        while True:
            connection, _ = own.accept()
            socket.create_connection(ask).recv(1)
one.close()
other.close()
request = socket.create_connection(addresses[0])
print('ready', flush=True)
request.recv(1)
";
    // The producer ended without an end marker.
    let reader = "
import multiprocessing
context = multiprocessing.get_context('fork')
def consume(jobs):
    while jobs.get() is not None: pass
jobs = context.Queue()
consumer = context.Process(target=consume, args=(jobs,))
consumer.start()
print('ready', flush=True)
consumer.join()
";
    at_a_time(3, pythons(), |python| {
        let problem = Stage::python(&python, servers).is_found("process_cycle", 2);
        assert!(problem["advice"].as_str().unwrap().contains("timeout for requests"), "{}: {problem:#}", python.display());
        let problem = Stage::python(&python, reader).is_found("process_cycle", 2);
        let advice = problem["advice"].as_str().unwrap();
        assert!(advice.contains("end marker"), "{}: {problem:#}", python.display());
    });
}

#[test]
fn healthy_programs_at_rest_are_not_called_stuck() {
    at_a_time(4, ["pool", "busy", "handler", "timeout"], |case| Stage::c(case).is_healthy());
    let shells =
        ["echo ready; sleep 600; :", "echo ready; sleep 600 | cat; :", "echo ready; (while sleep 1; do :; done) | cat | cat; :"];
    at_a_time(3, shells, |script| Stage::start(Command::new("sh").args(["-c", script])).is_healthy());
    let pool = "
import multiprocessing, time
pool = multiprocessing.get_context('fork').Pool(3)
pool.map(abs, range(9))
print('ready', flush=True)
time.sleep(600)
";
    let threads = "
import concurrent.futures, time
pool = concurrent.futures.ThreadPoolExecutor(3)
list(pool.map(abs, range(9)))
print('ready', flush=True)
time.sleep(600)
";
    let event = "
import queue, threading
jobs = queue.Queue()
threading.Thread(target=jobs.get, daemon=True).start()
print('ready', flush=True)
threading.Event().wait()
";
    let pythons = pythons();
    let programs = pythons.iter().flat_map(|python| [pool, threads, event].map(|script| (python, script)));
    at_a_time(4, programs, |(python, script)| Stage::python(python, script).is_healthy());
}
