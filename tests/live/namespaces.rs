//! A `/proc` of another PID namespace than concmon's: one number means two processes, and nothing may reach the wrong one. Each test makes
//! the namespaces, gives a process in one the number of a process in the other, and runs itself again in between. Needs root.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use concmon::inspect;
use concmon::kernel::allot::{CpuList, IoPriority};
use concmon::kernel::control::{self, ControlError, Signal};
use concmon::kernel::source::{Needs, Request, Source as _};
use concmon::kernel::{AutoSource, DetailReader, PidSpace, SourceChoice};
use concmon::snapshot::{DetailContent, DetailPart, EventTier, ProcKey, Tier};

use crate::support::exclusive::{busy, full_name};
use crate::support::pty;

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");
/// How often each action is tried, on a pair of processes of its own each time.
const TRIES: usize = 200;
/// Set in the test that is run again: what it acts on, PIDs as its `/proc` shows them.
const CHOSEN: &str = "CONCMON_TEST_CHOSEN";
/// The same of a Python, and the interpreter.
const CHOSEN_PYTHON: &str = "CONCMON_TEST_CHOSEN_PYTHON";
const INTERPRETER: &str = "CONCMON_TEST_INTERPRETER";
/// A file that one process of the container has locked and another waits for; their PIDs are in it.
const LOCK: &str = "CONCMON_TEST_LOCK";
/// Set where concmon is in a third namespace.
const ELSEWHERE: &str = "CONCMON_TEST_ELSEWHERE";

/// Processes that do nothing, killed when dropped.
struct Crowd(Vec<Child>);

impl Crowd {
    fn start(count: usize) -> Self {
        Self((0..count).map(|_| Self::one()).collect())
    }

    fn one() -> Child {
        Command::new("sleep").arg("86399").stdin(Stdio::null()).spawn().unwrap()
    }

    fn pids(&self) -> Vec<i32> {
        self.0.iter().map(|child| child.id().cast_signed()).collect()
    }

    /// What could have been changed of each, by system calls: alive, nice value, CPUs, I/O priority.
    fn state(&mut self) -> Vec<String> {
        let pids = self.pids();
        let words: Vec<String> = pids.iter().map(i32::to_string).collect();
        let io = Command::new("ionice").arg("-p").args(words).output().map(|out| String::from_utf8(out.stdout).unwrap());
        let io: Vec<String> = io.unwrap_or_default().lines().map(str::to_owned).collect();
        let of = |(at, child): (usize, &mut Child)| {
            let pid = rustix::process::Pid::from_raw(child.id().cast_signed());
            let nice = rustix::process::getpriority_process(pid);
            let cpus = rustix::thread::sched_getaffinity(pid).map(|set| set.count());
            format!("{:?} {nice:?} {cpus:?} {:?}", child.try_wait(), io.get(at))
        };
        self.0.iter_mut().enumerate().map(of).collect()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|child| drop(child.kill()));
        self.0.iter_mut().for_each(|child| drop(child.wait()));
    }
}

/// A Python that sleeps within a function of this name.
fn sleeping_python(interpreter: &str, function: &str) -> Child {
    let script = format!("import time\ndef {function}():\n  print('ready', flush=True)\n  time.sleep(86399)\n{function}()");
    let mut child = Command::new(interpreter).args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    await_ready(&mut child, 1);
    child
}

/// Waits until so many have said that they are ready.
fn await_ready(child: &mut Child, count: usize) {
    let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap()).lines().take(count).map(Result::unwrap).collect();
    assert_eq!(lines, vec!["ready"; count]);
}

/// An interpreter that can be looked into.
fn interpreter() -> Option<PathBuf> {
    let found = concmon::lab::python::interpreters(&[]);
    let known = found.interpreters.iter().filter(|i| matches!(i.version, (3, 13 | 14, _))).max_by_key(|i| i.version);
    if known.is_none() {
        loudly!("SKIPPED what looks inside a Python: there is no CPython 3.13 or 3.14 here");
    }
    known.map(|i| i.path.clone())
}

/// Whether namespaces may be made here; says so if not.
fn possible() -> bool {
    let tried = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).output();
    match tried {
        Ok(output) if output.status.success() => return true,
        Ok(output) => loudly!("SKIPPED: no PID namespace can be made here: {}", String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => loudly!("SKIPPED: unshare(1) does not start: {error}"),
    }
    false
}

/// Runs a test of this file again behind a command, with these variables.
fn again(test: &str, wrapper: &[&str], env: &[(&str, String)]) {
    let me = std::env::current_exe().unwrap();
    let mut command = Command::new(wrapper[0]);
    command.args(&wrapper[1..]).arg(me).args(["--exact", &full_name(module_path!(), test), "--nocapture"]);
    let output = command.envs(env.iter().map(|(name, value)| (*name, value))).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let proof = text.lines().find(|line| line.starts_with("done: ")).map(str::to_owned);
    assert!(output.status.success() && proof.is_some(), "{text}");
    loudly!("{test}: {}", proof.unwrap());
}

fn joined(pids: &[i32]) -> String {
    pids.iter().map(i32::to_string).collect::<Vec<_>>().join(" ")
}

/// The processes to act on, if this is the test that was run again.
fn chosen() -> Option<Vec<i32>> {
    let text = std::env::var(CHOSEN).ok()?;
    Some(text.split_whitespace().map(|pid| pid.parse().unwrap()).collect())
}

fn key(pid: i32) -> ProcKey {
    DetailReader::open("/proc").unwrap().key_of(pid).unwrap()
}

/// What came of acting on every process, and each reason why nothing did, once.
#[derive(Debug, Default, PartialEq, Eq)]
struct Came {
    held: usize,
    niced: usize,
    pinned: usize,
    io: usize,
    signalled: usize,
    reasons: std::collections::BTreeSet<&'static str>,
}

/// Does to each process all that can be done to one; the signal, which ends it, last.
fn act_on(pids: &[i32]) -> Came {
    let mut came = Came::default();
    let one: CpuList = "0".parse().unwrap();
    for pid in pids {
        let mut count = |result: Result<(), ControlError>| match result {
            Ok(()) => 1,
            Err(ControlError::OtherNamespace { pid: told, why }) => {
                assert_eq!(told, *pid);
                came.reasons.insert(why);
                0
            }
            Err(other) => panic!("{pid}: {other}"),
        };
        let target = match control::freeze(key(*pid)) {
            Ok(target) => target,
            Err(error) => {
                count(Err(error));
                continue;
            }
        };
        let (niced, pinned) = (count(target.set_nice(None, 7)), count(target.set_affinity(&one)));
        let io = count(target.set_io_priority(IoPriority::Idle));
        let signalled = count(target.signal(Signal::from_number(libc::SIGTERM).unwrap()));
        came = Came {
            held: came.held + 1,
            niced: came.niced + niced,
            pinned: came.pinned + pinned,
            io: came.io + io,
            signalled: came.signalled + signalled,
            reasons: came.reasons,
        };
    }
    came
}

/// Looks inside the chosen Python as often as everything else is tried; it must be the one that sleeps in `chosen_one`.
fn look_inside() -> String {
    let Ok(pid) = std::env::var(CHOSEN_PYTHON) else { return "no Python looked into".to_owned() };
    let (reader, pid) = (DetailReader::open("/proc").unwrap(), pid.parse().unwrap());
    for _ in 0..TRIES {
        let content = inspect::read(&reader, key(pid)).unwrap().content;
        let Ok(DetailContent::Runtime(runtime)) = content else { panic!("{content:?}") };
        let threads = &runtime.interpreters[0].threads;
        let functions: Vec<&str> = threads[0].frames.iter().map(|frame| &*frame.function).collect();
        assert!(functions.contains(&"chosen_one") && !functions.contains(&"another"), "{functions:?}");
        assert_eq!(threads[0].task.as_ref().map(|task| task.tid), Some(pid), "its task is that of this /proc");
    }
    format!("{TRIES} looks inside")
}

/// The source does not join what the kernel reports of its own namespaces with the rows of this `/proc`.
fn assert_nothing_is_mixed() {
    let mut source = AutoSource::new("/proc", SourceChoice::Auto).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    let snapshot = loop {
        let snapshot = source.sample(&Request::basic(Needs::empty())).unwrap();
        if !snapshot.report.why.contains("being loaded") {
            break snapshot;
        }
        assert!(Instant::now() < until, "{:?}", snapshot.report);
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(snapshot.report.tier, Tier::Proc);
    assert!(snapshot.report.why.contains("another PID namespace"), "{}", snapshot.report.why);
    assert!(matches!(&snapshot.report.events, EventTier::Polling(why) if why.contains("another namespace")));
    assert!(AutoSource::new("/proc", SourceChoice::Bpf).is_err_and(|error| error.to_string().contains("another PID namespace")));
    let run = Command::new(CONCMON).args(["run", "--", "true"]).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.code() == Some(3) && said.contains("lab runs are off: this /proc is of "), "{run:?}");
    let helper = Command::new(CONCMON).arg("__lab-helper").stdin(Stdio::null()).output().unwrap();
    assert!(!helper.status.success() && String::from_utf8_lossy(&helper.stderr).contains("this /proc is of "), "{helper:?}");
}

/// `unshare --pid --fork` without `--mount-proc`: `/proc` shows the processes outside, system calls take the numbers inside.
#[test]
fn a_proc_of_the_namespace_outside_reaches_nobody_by_a_wrong_number() {
    let _busy = busy();
    let test = "a_proc_of_the_namespace_outside_reaches_nobody_by_a_wrong_number";
    if let Some(chosen) = chosen() {
        return inside_without_own_proc(&chosen);
    }
    if !possible() {
        return;
    }
    let mut outside = Crowd::start(TRIES);
    let before = outside.state();
    let mut env = vec![(CHOSEN, joined(&outside.pids()))];
    let python = interpreter().map(|path| path.display().to_string());
    let victim = Crowd(python.iter().map(|path| sleeping_python(path, "chosen_one")).collect());
    if let (Some(path), Some(pid)) = (python, victim.pids().first()) {
        env.extend([(INTERPRETER, path), (CHOSEN_PYTHON, pid.to_string())]);
    }
    // The shell is the first process in there, so that concmon is another one.
    again(test, &["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", "\"$@\"; exit $?", "sh"], &env);
    assert_eq!(outside.state(), before, "nobody outside was reached");
}

fn inside_without_own_proc(chosen: &[i32]) {
    let space = PidSpace::mounted().unwrap();
    let PidSpace::Outer { me, depth: 1 } = space else { panic!("{space:?}") };
    let numbered = |pid: i32| std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
    let mut others = Crowd(Vec::new());
    for pid in chosen {
        numbered(*pid);
        others.0.push(Crowd::one());
    }
    if let (Ok(pid), Ok(path)) = (std::env::var(CHOSEN_PYTHON), std::env::var(INTERPRETER)) {
        let pid = pid.parse().unwrap();
        numbered(pid);
        others.0.push(sleeping_python(&path, "another"));
        assert_eq!(others.pids(), [chosen, &[pid]].concat(), "each number means two processes");
    }
    let before = others.state();
    let came = act_on(chosen);
    let why = space.refusal().unwrap();
    assert_eq!(came, Came { reasons: [why].into(), ..Came::default() });
    let looked = look_inside();
    assert_eq!(others.state(), before, "nobody inside was reached");

    // Who must be left alone is known by the numbers of this /proc.
    assert!(matches!(control::freeze(key(1)), Err(ControlError::Init)));
    assert!(matches!(control::freeze(key(me)), Err(ControlError::Myself { pid }) if pid == me));
    let stat = std::fs::read("/proc/self/stat").unwrap();
    let init = concmon::kernel::parse::stat::Stat::parse(&stat).unwrap().ppid;
    assert!(matches!(control::freeze(key(init)), Err(ControlError::Init)), "the first process inside, {init} here");

    // A process inside is reached by the number that this /proc has for it: by signals, not by what takes numbers.
    let inside = Crowd::one();
    let number = pid_in_proc(inside.id());
    let mut inside = Crowd(vec![inside]);
    assert_eq!(act_on(&[number]), Came { held: 1, signalled: 1, reasons: [why].into(), ..Came::default() });
    assert_eq!(inside.0[0].wait().unwrap().signal(), Some(libc::SIGTERM));
    assert_nothing_is_mixed();
    println!("done: {TRIES} tries each of signal, nice, CPUs and I/O priority, {looked}; 0 wrong targets");
}

/// The number that `/proc`, of the namespace outside, has for a process of the one inside.
fn pid_in_proc(inner: u32) -> i32 {
    let suffix = format!("\t{inner}");
    let own = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|e| e.unwrap().file_name().to_str()?.parse::<i32>().ok());
    let mut found = pids.filter(|pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find(|line| line.starts_with("NSpid:")).unwrap_or_default().to_owned();
        let here = || std::fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|other| other == own);
        numbers.ends_with(&suffix) && here()
    });
    found.next().unwrap()
}

/// The script of a container: processes with given numbers, one of them a Python.
const CONTAINER: &str = r#"
numbered() { echo $(($1 - 1)) > /proc/sys/kernel/ns_last_pid; }
for pid in $CONCMON_TEST_CROWD; do numbered $pid; sleep 86399 & [ $! = $pid ] || exit 9; done
if [ -n "$CONCMON_TEST_INTERPRETER" ]; then
  numbered $CONCMON_TEST_CHOSEN_PYTHON
  "$CONCMON_TEST_INTERPRETER" -c 'import time
def chosen_one():
  # One write, as the shell below writes to the same pipe.
  print("ready\n", end="", flush=True)
  time.sleep(86399)
chosen_one()' &
  [ $! = $CONCMON_TEST_CHOSEN_PYTHON ] || exit 9
fi
flock --exclusive $CONCMON_TEST_LOCK sleep 86399 & holder=$!
while ! grep -q " $holder " /proc/locks; do :; done
flock --exclusive $CONCMON_TEST_LOCK true & waiter=$!
while ! grep -q -- "-> .* $waiter " /proc/locks; do :; done
echo $holder $waiter > $CONCMON_TEST_LOCK
echo ready
while :; do wait; sleep 1; done"#;

/// The ledger and the locks on files name processes by the numbers of this `/proc`.
fn assert_family_and_locks_are_of_this_proc() {
    let reader = DetailReader::open("/proc").unwrap();
    let content = |pid, part| reader.read(key(pid), part).unwrap().content.unwrap();
    let DetailContent::Ledger(ledger) = content(1, DetailPart::CopyOnWrite) else { panic!() };
    let parent = |key: ProcKey| {
        let stat = std::fs::read(format!("/proc/{}/stat", key.pid)).unwrap();
        let stat = concmon::kernel::parse::stat::Stat::parse(&stat).unwrap();
        (stat.ppid, stat.start_ticks)
    };
    assert!(ledger.children.len() > TRIES);
    assert!(ledger.children.iter().all(|child| parent(child.key) == (1, child.key.start_ticks)));

    let file = std::env::var(LOCK).unwrap();
    let pids = std::fs::read_to_string(&file).unwrap();
    let [holder, waiter] = pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<i32>>()[..] else { panic!() };
    for (pid, held, other) in [(holder, true, waiter), (waiter, false, holder)] {
        let DetailContent::Files(files) = content(pid, DetailPart::Files) else { panic!() };
        let locks = files.iter().find(|f| f.target.as_deref().is_ok_and(|t| *t == *file.as_bytes())).map(|f| &f.locks);
        assert!(locks.is_some_and(|locks| locks.len() == 1 && locks[0].held == held && locks[0].others == [other]), "{locks:?}");
    }
}

/// `nsenter --mount` into a container: `/proc` shows the container's processes, system calls take the numbers outside.
#[test]
fn a_proc_of_a_container_reaches_its_processes_and_nobody_outside() {
    let _busy = busy();
    let test = "a_proc_of_a_container_reaches_its_processes_and_nobody_outside";
    if let Some(chosen) = chosen() {
        let space = PidSpace::mounted().unwrap();
        assert_eq!(space, PidSpace::Foreign);
        let why = space.refusal().unwrap();
        if std::env::var_os(ELSEWHERE).is_some() {
            assert_eq!(act_on(&chosen), Came { reasons: [why].into(), ..Came::default() });
            println!("done: {TRIES} tries of each from a third namespace; nobody is within reach");
            return;
        }
        let looked = look_inside();
        assert_family_and_locks_are_of_this_proc();
        let came = act_on(&chosen);
        assert_eq!(came, Came { held: TRIES, signalled: TRIES, reasons: [why].into(), ..Came::default() });
        let until = Instant::now() + Duration::from_secs(20);
        while chosen.iter().any(|pid| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty()))
        {
            assert!(Instant::now() < until, "the signals have ended the container's processes");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(matches!(control::freeze(key(1)), Err(ControlError::Init)));
        assert_nothing_is_mixed();
        println!("done: {TRIES} signals arrived, {TRIES} tries each of nice, CPUs and I/O priority, {looked}; 0 wrong targets");
        return;
    }
    if !possible() {
        return;
    }
    let mut outside = Crowd::start(TRIES);
    let lock = tempfile::NamedTempFile::new().unwrap();
    let mut env = vec![(CHOSEN, joined(&outside.pids())), (LOCK, lock.path().display().to_string())];
    if let Some(path) = interpreter().map(|path| path.display().to_string()) {
        outside.0.push(sleeping_python(&path, "another"));
        env.extend([(CHOSEN_PYTHON, outside.pids()[TRIES].to_string()), (INTERPRETER, path)]);
    }
    let mut container = Command::new("unshare");
    container.args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", CONTAINER]);
    container.env("CONCMON_TEST_CROWD", &env[0].1).envs(env[1..].iter().cloned());
    let mut container = Crowd(vec![container.stdout(Stdio::piped()).spawn().unwrap()]);
    await_ready(&mut container.0[0], 1 + usize::from(outside.0.len() > TRIES));
    let unshare = container.0[0].id();
    let init = std::fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).unwrap();
    let before = outside.state();
    let enter = ["nsenter", "--target", init.trim(), "--mount"];
    let third = [&["unshare", "--pid", "--fork", "--kill-child"], &enter[..]].concat();
    again(test, &third, &[env.as_slice(), &[(ELSEWHERE, String::new())]].concat());
    again(test, &enter, &env);
    assert_eq!(outside.state(), before, "nobody outside was reached");
}

/// Where `/proc` is concmon's own, everything works.
fn assert_everything_works() {
    assert_eq!(PidSpace::mounted().unwrap(), PidSpace::Own);
    let mut crowd = Crowd::start(TRIES);
    let cpu_0: CpuList = "0".parse().unwrap();
    let nice = |pid: i32| rustix::process::getpriority_process(rustix::process::Pid::from_raw(pid)).unwrap();
    for (pid, child) in crowd.pids().into_iter().zip(&mut crowd.0) {
        let target = control::freeze(key(pid)).unwrap();
        target.set_nice(None, 7).unwrap();
        assert_eq!(nice(pid), 7);
        target.set_affinity(&cpu_0).unwrap();
        assert_eq!(rustix::thread::sched_getaffinity(rustix::process::Pid::from_raw(pid)).unwrap().count(), 1);
        target.set_io_priority(IoPriority::Idle).unwrap();
        target.signal(Signal::from_number(libc::SIGTERM).unwrap()).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
    }
    println!("done: {TRIES} of each reached their targets");
}

#[test]
fn in_a_container_with_its_own_proc_everything_works() {
    let _busy = busy();
    if chosen().is_some() {
        return assert_everything_works();
    }
    if possible() {
        let wrapper = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
        again("in_a_container_with_its_own_proc_everything_works", &wrapper, &[(CHOSEN, String::new())]);
    }
}

#[test]
fn on_the_plain_machine_everything_works() {
    let _busy = busy();
    assert_everything_works();
}

/// What the screen says to the keys that would act.
#[test]
fn keys_say_in_one_sentence_why_nothing_is_done_and_what_to_do() {
    if !possible() {
        return;
    }
    let outside = Crowd::start(1);
    let pid = outside.pids()[0].to_string();
    let args = ["--pid", "--fork", "--kill-child", CONCMON, "--pid", &pid];
    let mut pty = pty::Pty::spawn(&pty::Program { program: "unshare", args: &args, rows: 30, columns: 80, env: &[] });
    pty.wait_text("sleep 86399");
    pty.send(b"\x1b[19~");
    pty.wait_text("off: this /proc is of an outer PID namespace; run: unshare --mount-proc concmon");
    pty.send(b"k");
    pty.wait_text("is out of reach: this /proc is of an outer PID");
    pty.wait_text("no target can be signalled");
}
