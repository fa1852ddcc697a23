//! Every version of CPython that can be read, in the situations that programs are in: the frames are those that the program itself reports.
//!
//! Each target stands still at known lines and prints what `sys._current_frames()` returns for its threads. What no interpreter here can
//! show is skipped, loudly.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use concmon::inspect;
use concmon::kernel::DetailReader;
use concmon::lab::python::{Interpreter, interpreters};
use concmon::snapshot::{DetailContent, Gil, PythonRuntime, PythonThread};
use serde_json::Value;

use crate::support::python as common;

/// Each version that is read, and whether it is the build without the GIL.
const VERSIONS: [(u8, bool); 8] =
    [(9, false), (10, false), (11, false), (12, false), (13, false), (14, false), (15, false), (13, true)];

/// What every target begins with. `tell(n)` prints what the interpreter itself reports of all its threads as soon as `n` of them are in a
/// function whose name begins with `stand`; `stay()` prints it again for each line of input.
/// `note_rounds(loop)` keeps in `loop.last` when an event loop last read its clock, which it does in each round.
const TELLING: &str = "
import json, os, sys, threading, time
def frames_of(frame):
    frames = []
    while frame is not None:
        frames.append([frame.f_code.co_name, frame.f_code.co_filename, frame.f_lineno])
        frame = frame.f_back
    return frames
def stacks():
    tids = {t.ident: (t.native_id, t.name) for t in threading.enumerate()}
    told = {}
    for ident, frame in sys._current_frames().items():
        if ident not in tids:
            continue
        told[str(tids[ident][0])] = {'name': tids[ident][1], 'frames': frames_of(frame)}
    return told
def standing(told):
    mine = str(threading.get_native_id())
    return sum(any(f[0].startswith('stand') for f in t['frames'][:4]) for tid, t in told.items() if tid != mine)
def tell(count):
    while True:
        told = stacks()
        if standing(told) >= count:
            break
        time.sleep(0.005)
    print(json.dumps({'pid': os.getpid(), 'threads': told}), flush=True)
def note_rounds(loop):
    plain = loop.time
    def noted():
        loop.last = plain()
        return loop.last
    loop.time = noted
def stay():
    while sys.stdin.readline():
        tell(0)
gate = threading.Lock()
gate.acquire()
def stand_at_gate():
    gate.acquire()
def begin(count, what=stand_at_gate):
    for n in range(count):
        threading.Thread(target=what, name='stander %d' % n, daemon=True).start()
";

/// A running target; ended when dropped.
struct Target {
    child: Child,
    lines: Receiver<String>,
}

/// How long a target may take for a line that it is asked for.
const ANSWER: Duration = Duration::from_secs(120);

impl Target {
    fn start(python: &Path, script: &str) -> Self {
        let script = format!("{TELLING}{script}");
        let mut command = Command::new(python);
        command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (to, lines) = channel();
        // Read on a thread of its own, so that a target that says nothing ends a test instead of all of them.
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        Self { child, lines }
    }

    /// What it reports now.
    fn ask(&mut self) -> Value {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.told()
    }

    /// Sends a line, and waits for the answer.
    fn command(&mut self, line: &str) -> Value {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
        self.told()
    }

    /// The next line that it prints.
    fn told(&mut self) -> Value {
        let line = self.line(ANSWER).expect("it prints nothing");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    /// The next line that it prints within so long.
    fn line(&mut self, within: Duration) -> Option<String> {
        self.lines.recv_timeout(within).ok()
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(pid: i32) -> Result<PythonRuntime, String> {
    let reader = DetailReader::open("/proc").unwrap();
    match inspect::read(&reader, reader.key_of(pid).unwrap()).unwrap().content {
        Ok(DetailContent::Runtime(runtime)) => Ok(*runtime),
        Ok(other) => panic!("{other:?}"),
        Err(why) => Err(why),
    }
}

fn threads(runtime: &PythonRuntime) -> impl Iterator<Item = &PythonThread> {
    runtime.interpreters.iter().flat_map(|one| &one.threads)
}

/// Runs a situation with each version from `from` on that is here.
fn on_each(from: u8, run: impl Fn(&Path, u8)) {
    let found = interpreters(&common::named());
    for (minor, free_threaded) in VERSIONS.into_iter().filter(|(minor, _)| *minor >= from) {
        let is_it = |i: &&Interpreter| (i.version.0, i.version.1, i.free_threaded) == (3, minor, free_threaded);
        let Some(python) = found.interpreters.iter().filter(is_it).map(|i| i.path.clone()).next() else {
            let t = if free_threaded { "t" } else { "" };
            loudly!("SKIPPED: there is no CPython 3.{minor}{t} here (CONCMON_TEST_PYTHONS may name one)");
            continue;
        };
        run(&python, minor);
    }
}

/// A frame by its function's own name, its file and its line, folded ones as often as they are there.
fn frames(thread: &PythonThread) -> Vec<(String, String, i64)> {
    let one = |frame: &concmon::snapshot::PythonFrame| {
        let name = frame.function.rsplit('.').next().unwrap().to_owned();
        std::iter::repeat_n((name, frame.file.to_string(), frame.line.map_or(-1, i64::from)), frame.times)
    };
    thread.frames.iter().flat_map(one).collect()
}

/// The frames that the program reported, by TID.
fn told_frames(told: &Value) -> BTreeMap<u64, Vec<(String, String, i64)>> {
    let frame = |frame: &Value| {
        (frame[0].as_str().unwrap().to_owned(), frame[1].as_str().unwrap().to_owned(), frame[2].as_i64().unwrap())
    };
    let threads = told["threads"].as_object().unwrap().iter();
    threads
        .map(|(tid, thread)| (tid.parse().unwrap(), thread["frames"].as_array().unwrap().iter().map(frame).collect()))
        .collect()
}

/// Compares what was read with what the program reports, until both agree: a thread takes its time to reach the line where it stays, and
/// wrong frames never agree.
fn agreed(
    python: &Path,
    target: &mut Target,
    pid: i32,
    agree: impl Fn(&PythonRuntime, &Value) -> Result<(), String>,
) -> (PythonRuntime, Value) {
    let until = Instant::now() + Duration::from_secs(90);
    loop {
        let told = target.ask();
        let runtime = once_it_stays(python, pid);
        match agree(&runtime, &told) {
            Ok(()) => return (runtime, told),
            Err(why) => assert!(Instant::now() < until, "{}: {why}", python.display()),
        }
    }
}

/// Whether the frames of every thread but the reporting one are those reported, of at least so many.
fn as_told(runtime: &PythonRuntime, told: &Value, least: usize) -> Result<(), String> {
    let main = told["pid"].as_u64().unwrap();
    let expected = told_frames(told);
    let mut held = 0;
    let mut seen_main = false;
    for thread in threads(runtime) {
        if thread.task.is_none() || thread.moved || thread.left_out.is_some() || thread.deeper {
            return Err(format!("{thread:?}"));
        }
        if thread.native_id == main {
            seen_main = true;
            continue;
        }
        // After a fork `threading` of 3.9 has the TID that the thread had in the parent.
        let Some(expected) = expected.get(&thread.native_id) else { continue };
        if &frames(thread) != expected {
            return Err(format!("{:?}\nreported: {expected:?}", frames(thread)));
        }
        held += 1;
    }
    if held >= least && seen_main { Ok(()) } else { Err(format!("{held} threads of {least}, the main thread: {seen_main}")) }
}

/// Reads until the main thread waits for its input.
fn once_it_stays(python: &Path, pid: i32) -> PythonRuntime {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let why = match read(pid) {
            Ok(runtime) => {
                let main = threads(&runtime).find(|thread| thread.native_id == u64::try_from(pid).unwrap());
                // Decoders of 3.9 run in Python below it: in each of them it sleeps in the kernel.
                let stays = main.is_some_and(|main| {
                    let state = main.task.as_ref().map(|task| task.state.letter());
                    state == Some('S') && !main.moved && frames(main).first().is_some_and(|(name, ..)| name == "stay")
                });
                if stays && runtime.interpreters.iter().all(|one| !matches!(one.gil, Gil::Held(_) | Gil::Elsewhere)) {
                    return runtime;
                }
                format!("{:?}", runtime.finding)
            }
            Err(why) => why,
        };
        assert!(Instant::now() < until, "{}: {why}", python.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn frames_lines_and_names_of_threads_are_those_that_the_program_tells() {
    let script = "
class Deep:
    def stand_in_class(self, depth):
        # Names that are not ASCII, and lines before and behind the call.
        größe = [depth]
        名前 = (
            gate
            .acquire()
        )
        return größe, 名前
def caller(n):
    def inner():
        for _ in range(1):
            Deep().stand_in_class(
                n)
    try:
        inner()
    finally:
        pass
begin(2)
begin(3, lambda: [caller(n) for n in (1,)])
tell(5)
stay()
";
    on_each(9, |python, minor| {
        let mut target = Target::start(python, script);
        let pid = target.pid();
        target.told();
        let (runtime, told) = agreed(python, &mut target, pid, |runtime, told| as_told(runtime, told, 5));
        assert_eq!(runtime.version.minor(), (3, minor), "{}", python.display());
        assert_eq!(runtime.interpreters[0].thread_count, 6);
        for thread in threads(&runtime) {
            let name = told["threads"][thread.native_id.to_string()]["name"].as_str().unwrap();
            match minor {
                // From 3.14 on the kernel has the name; that of the main thread is the program's.
                14.. => {
                    let comm = thread.task.as_ref().unwrap().comm;
                    assert!(name == "MainThread" || *comm.as_bytes() == *name.as_bytes(), "{name} {comm:?}");
                }
                _ => assert_eq!(thread.name.as_deref(), Some(name), "{}", python.display()),
            }
        }
    });
}

#[test]
fn the_outermost_frames_of_a_deep_recursion_are_read_and_all_are_counted() {
    let script = "
sys.setrecursionlimit(20000)
def stand_deep(n):
    if n == 0:
        gate.acquire()
    stand_deep(n - 1)
def even(n):
    odd(n - 1) if n else gate.acquire()
def odd(n):
    even(n - 1) if n else gate.acquire()
def stand_even():
    even(1000)
threading.stack_size(512 << 20)
threading.Thread(target=stand_deep, args=(5000,), daemon=True).start()
threading.Thread(target=stand_even, daemon=True).start()
while sum(f.f_locals.get('n') == 0 for f in sys._current_frames().values()) < 2: time.sleep(0.01)
tell(0)
stay()
";
    on_each(9, |python, _| {
        let mut target = Target::start(python, script);
        let pid = target.pid();
        target.told();
        agreed(python, &mut target, pid, |runtime, told| {
            let expected = told_frames(told);
            let mut seen = 0;
            for thread in threads(runtime).filter(|thread| thread.native_id != u64::try_from(pid).unwrap()) {
                let Some(expected) = expected.get(&thread.native_id) else { continue };
                let kept = frames(thread);
                let left = thread.left_out.map_or(0, |left| left.count);
                let inner: usize = match thread.left_out {
                    Some(left) => thread.frames.iter().take(left.behind).map(|frame| frame.times).sum(),
                    None => kept.len(),
                };
                let outer = kept.len() - inner;
                let right = kept.len() + left == expected.len()
                    && kept[..inner] == expected[..inner]
                    && kept[inner..] == expected[expected.len() - outer..]
                    && thread.frames.len() <= 128
                    && !thread.deeper;
                let folded = thread.frames.iter().any(|frame| frame.times == 5000);
                if !right || !(folded || left > 800) {
                    let counts = (kept.len(), left, expected.len(), folded);
                    return Err(format!("{counts:?} {:?}, reported {:?}", &thread.frames[..3], &expected[..3]));
                }
                seen += 1;
            }
            if seen == 2 { Ok(()) } else { Err(format!("{seen} threads")) }
        });
    });
}

#[test]
fn of_3000_threads_the_main_one_is_read_and_the_count_is_the_true_one() {
    let script = "
threading.stack_size(64 << 10)
begin(3000)
tell(3000)
stay()
";
    on_each(9, |python, _| {
        let mut target = Target::start(python, script);
        let pid = target.pid();
        target.told();
        let (runtime, _) = agreed(python, &mut target, pid, |runtime, told| as_told(runtime, told, 2000));
        assert_eq!(runtime.interpreters[0].thread_count, 3001, "{:?}", runtime.notes);
        assert!(runtime.notes.iter().any(|note| note.contains("of its 3001 threads are read")), "{:?}", runtime.notes);
    });
}

#[test]
fn the_holder_of_the_gil_is_read_however_many_threads_there_are() {
    let script = "
threading.stack_size(64 << 10)
begin(2500)
tell(2500)
def stand_hot():
    print(json.dumps({'hot': threading.get_native_id()}), flush=True)
    while True: pass
threading.Thread(target=stand_hot, daemon=True).start()
stay()
";
    on_each(9, |python, minor| {
        let mut target = Target::start(python, script);
        target.told();
        let hot = target.told()["hot"].as_u64().unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let runtime = read(target.pid()).unwrap();
            if runtime.interpreters[0].gil == Gil::Off {
                assert_eq!(minor, 13);
                break;
            }
            assert_ne!(runtime.interpreters[0].gil, Gil::Elsewhere);
            if runtime.interpreters[0].gil == Gil::Held(hot) {
                let holder = threads(&runtime).find(|thread| thread.holds_gil).unwrap();
                assert!(holder.native_id == hot && frames(holder).first().is_none_or(|(name, ..)| name == "stand_hot"));
                assert_eq!(runtime.interpreters[0].thread_count, 2502);
                break;
            }
            assert!(Instant::now() < until, "{}", runtime.finding);
        }
    });
}

#[test]
fn a_child_of_fork_is_read_as_its_parent_is() {
    // The fork is done by a thread that is not the main one: in the child it is the only one.
    let script = "
import warnings
warnings.simplefilter('ignore')
begin(2)
def forker():
    if os.fork() == 0:
        begin(2)
        tell(2)
        stay()
        os._exit(0)
threading.Thread(target=forker).start()
while True: time.sleep(600)
";
    on_each(9, |python, _| {
        let mut target = Target::start(python, script);
        let told = target.told();
        let child = i32::try_from(told["pid"].as_i64().unwrap()).unwrap();
        let (runtime, _) = agreed(python, &mut target, child, |runtime, told| as_told(runtime, told, 2));
        assert_eq!(threads(&runtime).count(), 3, "{}", python.display());
        drop(target.child.stdin.take());
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::Signal::SIGKILL);
    });
}

/// The layouts in the program are those of the headers here.
#[test]
fn layouts_are_those_of_the_installed_headers() {
    let found = interpreters(&common::named());
    let mut pythons: Vec<PathBuf> = Vec::new();
    for minor in 9..=12 {
        let has_headers = |i: &&Interpreter| {
            let code = "import os, sysconfig; print(os.path.exists(sysconfig.get_path('include') + '/internal/pycore_interp.h'))";
            let output = Command::new(&i.path).args(["-c", code]).output();
            i.version.1 == minor && output.is_ok_and(|output| output.stdout == b"True\n")
        };
        match found.interpreters.iter().find(has_headers) {
            Some(python) => pythons.push(python.path.clone()),
            None => return loudly!("SKIPPED: there is no CPython 3.{minor} with headers here"),
        }
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/cpython_layouts.py");
    let output = Command::new(&pythons[3]).arg(script).args(&pythons).output().unwrap();
    if !output.status.success() {
        return loudly!("SKIPPED: no C compiler, or headers that it cannot use: {}", String::from_utf8_lossy(&output.stderr));
    }
    let made = String::from_utf8(output.stdout).unwrap();
    assert_eq!(made, include_str!("../../src/inspect/layouts.rs"));
}

mod asyncio;
mod columns;
mod embedded;
mod family;
mod greenlets;
mod holding;
mod interpreters;
mod profile;
mod trace;
mod trio;
