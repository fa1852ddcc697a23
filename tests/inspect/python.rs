//! Looking inside real Python processes: the reading matches what they do, does not disturb them, and gives a reason if it fails.
//!
//! Tests that no interpreter here supports are skipped loudly.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use concmon::inspect;
use concmon::kernel::DetailReader;
use concmon::lab::python::{Interpreter, interpreters};
use concmon::snapshot::{Detail, DetailContent, Gil, PythonRuntime, PythonThread};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::programs;
use crate::support::python as common;

const TWO_THREADS: &str = "
import threading, time
def inner(x):
    return x + 1
def hot_loop():
    x = 0
    while True:
        x = inner(x)
def nap():
    time.sleep(600)
def rest():
    nap()
threading.Thread(target=hot_loop, daemon=True).start()
threading.Thread(target=rest, daemon=True).start()
print('ready', flush=True)
hot_loop()
";

/// A Python that runs a script, until it is dropped.
struct Running(Child);

impl Running {
    fn start(python: &Path, arguments: &[&str], script: &str) -> Self {
        let mut child = Command::new(python)
            .args(arguments)
            .args(["-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{}", python.display());
        Self(child)
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    fn detail(&self) -> Detail {
        let reader = DetailReader::open("/proc").unwrap();
        inspect::read(&reader, reader.key_of(self.pid()).unwrap()).unwrap()
    }

    fn runtime(&self) -> PythonRuntime {
        match self.detail().content {
            Ok(DetailContent::Runtime(runtime)) => *runtime,
            other => panic!("{other:?}"),
        }
    }

    fn why_not(&self) -> String {
        self.detail().content.unwrap_err()
    }

    /// The first reading that is so; threads take their time to begin.
    fn once(&self, so: impl Fn(&PythonRuntime) -> bool) -> PythonRuntime {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let runtime = self.runtime();
            if so(&runtime) {
                return runtime;
            }
            assert!(Instant::now() < until, "{runtime:#?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn tids(&self) -> Vec<i32> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        tasks.map(|task| task.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
    }

    fn status(&self, key: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The newest interpreter that is so; says what is skipped if there is none.
fn python(what: &str, so: impl Fn(&Interpreter) -> bool) -> Option<PathBuf> {
    let found = interpreters(&common::named());
    let newest = found.interpreters.iter().filter(|i| so(i)).max_by_key(|i| i.version);
    if newest.is_none() {
        loudly!("SKIPPED: there is no {what} here (CONCMON_TEST_PYTHONS may name one)");
    }
    newest.map(|i| i.path.clone())
}

fn is_known(i: &Interpreter) -> bool {
    matches!(i.version, (3, 13..=15, _))
}

fn threads(runtime: &PythonRuntime) -> impl Iterator<Item = &PythonThread> {
    runtime.interpreters.iter().flat_map(|one| &one.threads)
}

fn functions(thread: &PythonThread) -> Vec<&str> {
    thread.frames.iter().map(|frame| &*frame.function).collect()
}

/// What each thread of `TWO_THREADS` executes, in every version.
fn assert_two_threads(running: &Running, runtime: &PythonRuntime) {
    let tids = running.tids();
    assert_eq!(threads(runtime).count(), 3);
    for thread in threads(runtime) {
        let task = thread.task.as_ref().unwrap();
        assert!(tids.contains(&task.tid) && thread.native_id == u64::try_from(task.tid).unwrap());
        let names = functions(thread);
        let hot = names.iter().position(|name| *name == "hot_loop");
        match hot {
            Some(at) if task.tid == running.pid() => assert_eq!(names[at..], ["hot_loop", "<module>"]),
            Some(at) => {
                // Before 3.11 a code object has no qualified name.
                let bare: Vec<&str> = names[at..].iter().map(|name| name.rsplit('.').next().unwrap_or(name)).collect();
                assert!(
                    bare.starts_with(&["hot_loop"]) && bare.ends_with(&["run", "_bootstrap_inner", "_bootstrap"]),
                    "{bare:?}"
                );
            }
            None => {
                assert_eq!(names[..2], ["nap", "rest"]);
                let lines: Vec<_> = thread.frames[..2].iter().map(|frame| (&*frame.file, frame.line)).collect();
                assert_eq!(lines, [("<string>", Some(10)), ("<string>", Some(12))]);
            }
        }
        assert!(hot.is_none_or(|at| at <= 1 && names[..at].iter().all(|name| *name == "inner")), "{names:?}");
    }
}

fn settled(runtime: &PythonRuntime) -> bool {
    let naps = threads(runtime).filter(|thread| functions(thread).first() == Some(&"nap")).count();
    naps == 1 && threads(runtime).filter(|thread| functions(thread).contains(&"hot_loop")).count() == 2
}

#[test]
fn functions_threads_and_the_holder_of_the_gil_are_those_of_the_script_and_it_is_not_disturbed() {
    for minor in 9..=15 {
        let Some(python) =
            python(&format!("CPython 3.{minor} with a GIL"), |i| i.version.0 == 3 && i.version.1 == minor && !i.free_threaded)
        else {
            continue;
        };
        let running = Running::start(&python, &[], TWO_THREADS);
        running.once(settled);
        let mut holders = std::collections::HashSet::new();
        let (mut waited, mut moved) = (0, 0);
        for _ in 0..200 {
            let runtime = running.runtime();
            assert!(!["T", "t", "Z"].iter().any(|state| running.status("State:").starts_with(state)));
            assert_eq!(running.status("TracerPid:"), "0");
            if let Gil::Held(native_id) = runtime.interpreters[0].gil {
                let holder = threads(&runtime).find(|thread| thread.holds_gil).unwrap();
                assert_eq!(holder.native_id, native_id);
                assert!(functions(holder).first() != Some(&"nap"), "one that sleeps holds nothing: {holder:?}");
                assert!(runtime.finding.starts_with(&format!("GIL held by thread {native_id} (")), "{}", runtime.finding);
                holders.insert(native_id);
            }
            waited += threads(&runtime).filter(|thread| thread.waits_for_gil).count();
            if threads(&runtime).any(|thread| thread.moved) {
                moved += 1;
            } else {
                assert_two_threads(&running, &runtime);
            }
        }
        assert_eq!(holders.len(), 2, "two threads want it, and each gets it");
        assert!(waited > 20 && moved < 100, "in 200 readings {waited} waits for the GIL, {moved} that moved");
    }
}

#[test]
fn a_stopped_process_is_read_all_the_same() {
    let Some(python) = python("CPython of 3.13 to 3.15", is_known) else { return };
    let running = Running::start(&python, &[], TWO_THREADS);
    running.once(settled);
    kill(Pid::from_raw(running.pid()), Signal::SIGSTOP).unwrap();
    let runtime = running.once(|runtime| runtime.finding.ends_with("; the process is stopped"));
    assert!(threads(&runtime).all(|thread| !thread.moved));
    assert_two_threads(&running, &runtime);
    assert!(running.status("State:").starts_with('T'), "it is not let go either");
}

#[test]
fn a_build_without_the_gil_says_so_and_one_that_switched_it_on_too() {
    let Some(python) = python("free-threaded CPython of 3.13 to 3.15", |i| is_known(i) && i.free_threaded) else { return };
    let running = Running::start(&python, &["-X", "gil=0"], TWO_THREADS);
    let runtime = running.once(settled);
    assert!(runtime.free_threaded && runtime.interpreters[0].gil == Gil::Off);
    assert!(
        runtime.finding.starts_with("this build runs without the GIL: 3 threads may run Python at once"),
        "{}",
        runtime.finding
    );
    assert_two_threads(&running, &running.once(|runtime| settled(runtime) && !threads(runtime).any(|thread| thread.moved)));
    let running = Running::start(&python, &["-X", "gil=1"], TWO_THREADS);
    let runtime = running.once(|runtime| matches!(runtime.interpreters[0].gil, Gil::Held(_)));
    assert!(runtime.finding.ends_with("; the build could run without it"), "{}", runtime.finding);
}

#[test]
fn sub_interpreters_are_told_apart() {
    let with = |i: &Interpreter| i.version >= (3, 14, 0) && is_known(i) && !i.free_threaded && i.interpreters.is_some();
    let Some(python) = python("CPython 3.14 with concurrent.interpreters", with) else { return };
    let script = "
import threading, time
from concurrent import interpreters
other = interpreters.create()
code = 'import time\\ndef sub_nap():\\n    time.sleep(600)\\nsub_nap()'
def main_side():
    other.exec(code)
threading.Thread(target=main_side, daemon=True).start()
print('ready', flush=True)
time.sleep(600)
";
    let running = Running::start(&python, &[], script);
    let sleeps = |runtime: &PythonRuntime| threads(runtime).any(|thread| functions(thread).first() == Some(&"sub_nap"));
    let runtime = running.once(sleeps);
    assert_eq!(runtime.interpreters.iter().map(|one| one.id).collect::<Vec<_>>(), [0, 1]);
    assert_ne!(runtime.interpreters[0].gil_address, runtime.interpreters[1].gil_address, "each has a lock of its own");
    let [inside] = &runtime.interpreters[1].threads[..] else { panic!("{runtime:#?}") };
    assert_eq!(functions(inside), ["sub_nap", "<module>"]);
    let outside = runtime.interpreters[0].threads.iter().find(|thread| thread.native_id == inside.native_id).unwrap();
    assert!(functions(outside).contains(&"main_side"), "one task, in both: {outside:?}");
    assert!(runtime.finding.starts_with("2 interpreters with 2 GILs: "), "{}", runtime.finding);
}

fn concmon(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_concmon")).arg("inspect").args(arguments).output().unwrap()
}

#[test]
fn what_cannot_be_read_says_why_in_one_sentence() {
    let output = concmon(&[&std::process::id().to_string()]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("is not CPython") && told.lines().count() == 1, "{told}");
    let output = concmon(&["2147483647"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "concmon: there is no process 2147483647\n");
    assert_eq!(concmon(&["0"]).status.code(), Some(2));
}

#[test]
fn a_version_that_is_too_old_is_named_and_a_copy_of_another_program_is_not_taken_for_it() {
    let found = interpreters(&common::named());
    let homes: std::collections::BTreeSet<PathBuf> =
        found.interpreters.iter().filter_map(|i| Some(i.path.parent()?.parent()?.parent()?.to_owned())).collect();
    let mut tried = 0;
    for home in homes {
        for entry in std::fs::read_dir(home).into_iter().flatten().flatten() {
            for (minor, name) in [(7, "2.7"), (6, "3.6"), (7, "3.7"), (8, "3.8")] {
                let python = entry.path().join("bin").join(format!("python{name}"));
                if !python.exists() {
                    continue;
                }
                let script = "import sys, time; sys.stdout.write('ready\\n'); sys.stdout.flush(); time.sleep(600)";
                let running = Running::start(&python, &[], script);
                let why = running.why_not();
                assert!(why.contains(&format!("is CPython {name}: frames can be read from 3.9 on")), "{minor} {why}");
                tried += 1;
            }
        }
    }
    if tried == 0 {
        loudly!("SKIPPED: there is no CPython before 3.9 here");
    }
    // A name proves nothing.
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("python3.7");
    programs::copy("/bin/sleep", &copy);
    let mut child = Command::new(&copy).arg("600").spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    let told = loop {
        let told = String::from_utf8(concmon(&[&child.id().to_string()]).stderr).unwrap();
        if told.contains("python3.7") || Instant::now() > until {
            break told;
        }
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(told.contains("python3.7 is not CPython"), "{told}");
}

#[test]
fn the_number_of_a_thread_is_answered_with_its_process() {
    let Some(python) = python("CPython of 3.13 to 3.15", is_known) else { return };
    let running = Running::start(&python, &[], TWO_THREADS);
    running.once(settled);
    let pid = running.pid();
    let tid = running.tids().into_iter().find(|tid| *tid != pid).unwrap();
    let sentence = format!("{tid} is a thread of process {pid}");
    let text = String::from_utf8(concmon(&[&tid.to_string()]).stdout).unwrap();
    assert!(text.lines().any(|line| line == format!("{sentence}, which is shown.")), "{text}");
    let value: Value = serde_json::from_slice(&concmon(&[&tid.to_string(), "--json"]).stdout).unwrap();
    assert_eq!(value["pid"], pid);
    assert!(value["notes"][0].as_str().unwrap().starts_with(&sentence), "{value}");
    // For a program that is no Python the answer is an error with the reason: a thread of this test.
    let tids = std::fs::read_dir("/proc/self/task").unwrap();
    let mut others = tids.map(|task| task.unwrap().file_name().into_string().unwrap());
    let own = std::process::id().to_string();
    let other = others.find(|tid| *tid != own).unwrap();
    let told = String::from_utf8(concmon(&[&other]).stderr).unwrap();
    assert!(
        told.contains(&format!("process {own} ({other} is a thread of process {own}): ")) && told.contains("is not CPython"),
        "{told}"
    );
}

#[test]
fn whoever_may_not_read_the_memory_is_told_what_would_help() {
    if !nix::unistd::geteuid().is_root() {
        loudly!("SKIPPED: only root has a process that others may not look into");
        return;
    }
    let Some(python) = python("CPython of 3.13 to 3.15", is_known) else { return };
    let running = Running::start(&python, &[], TWO_THREADS);
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = place.path().join("concmon");
    programs::copy(env!("CARGO_BIN_EXE_concmon"), &copy);
    let pid = running.pid().to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", copy.to_str().unwrap(), "inspect", &pid]);
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("permission denied") && told.contains("only its owner and root"), "{told}");
}

#[test]
fn json_is_what_the_schema_says_and_the_text_begins_with_the_finding() {
    let Some(python) = python("CPython of 3.13 to 3.15", is_known) else { return };
    let running = Running::start(&python, &[], TWO_THREADS);
    running.once(settled);
    let output = concmon(&[&running.pid().to_string(), "--json"]);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let schema: Value = serde_json::from_str(include_str!("../../assets/report/inspect.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let wrong = |value: &Value| schema.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect::<Vec<_>>();
    assert_eq!(wrong(&value), Vec::<String>::new());
    assert_eq!(value["interpreters"][0]["threads"].as_array().unwrap().len(), 3);
    for change in [
        |v: &mut Value| v["schema"] = "concmon.inspect/2".into(),
        |v: &mut Value| v["interpreters"][0]["gil"]["state"] = "perhaps".into(),
        |v: &mut Value| v["interpreters"][0]["threads"][0]["frames"] = 7.into(),
        |v: &mut Value| v["surplus"] = 1.into(),
    ] {
        let mut broken = value.clone();
        change(&mut broken);
        assert_ne!(wrong(&broken), Vec::<String>::new());
    }
    let text = String::from_utf8(concmon(&[&running.pid().to_string()]).stdout).unwrap();
    assert!(["GIL ", "this build"].iter().any(|begin| text.starts_with(begin)) && text.contains("hot_loop"), "{text}");
}

/// Maps a file that has what `.PyRuntime` begins with, and pointers that lead nowhere, in a circle, or to each other.
const FAKE: &str = "
import ctypes, mmap, os, struct, sys
place, kind = sys.argv[1], sys.argv[2]
names = b'\\0.shstrtab\\0.PyRuntime\\0'
words = [int.from_bytes(b'xdebugpy', 'little'), 0x030e0af0, 0] + [8 * (n % 64) for n in range(3, 512)]
body = struct.pack('<512Q', *words)
def section(name, kind, offset, size):
    return struct.pack('<IIQQQQIIQQ', name, kind, 3, 0, offset, size, 0, 0, 32, 0)
table = section(0, 0, 0, 0) + section(1, 3, 0x3000, len(names)) + section(11, 1, 0x1000, len(body))
ident = b'\\x7fELF\\x02\\x01\\x01' + bytes(9)
head = ident + struct.pack('<HHIQQQIHHHHHH', 3, 62, 1, 0, 0, 0x2000, 0, 64, 0, 0, 64, 3, 1)
image = bytearray(0x4000)
image[0:len(head)], image[0x1000:0x1000 + len(body)] = head, body
image[0x2000:0x2000 + len(table)], image[0x3000:0x3000 + len(names)] = table, names
path = os.path.join(place, 'libpython3.14.so.1.0')
with open(path, 'wb') as file:
    file.write(image)
file = open(path, 'r+b')
room = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE)
base = ctypes.addressof(ctypes.c_char.from_buffer(room))
if kind == 'circle':
    for at in range(0, 0x1000, 8):
        struct.pack_into('<Q', room, at, base)
    struct.pack_into('<Q', room, 0x1000 + 8 * 5, 1024)
    for word in range(128, 512):
        struct.pack_into('<Q', room, 0x1000 + 8 * word, base + 8 * (word % 300))
elif kind == 'wild':
    for word in range(100, 512):
        struct.pack_into('<Q', room, 0x1000 + 8 * word, (word * 0x9e3779b97f4a7c15) % 2**64)
print('ready', flush=True)
import time
time.sleep(600)
";

#[test]
fn a_made_up_runtime_does_not_hide_the_one_that_runs() {
    let Some(python) = python("CPython before 3.13", |i| i.version < (3, 13, 0)) else { return };
    let probe = Running::start(&python, &[], "print('ready', flush=True); import time; time.sleep(600)");
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", probe.pid()));
    if !maps.unwrap().contains("libpython") {
        loudly!("SKIPPED: this CPython has its runtime in the program, which is read before a mapped library");
        return;
    }
    for kind in ["as it is", "circle", "wild"] {
        let place = tempfile::tempdir().unwrap();
        let script = FAKE.replace("sys.argv[1], sys.argv[2]", &format!("{:?}, {kind:?}", place.path().to_str().unwrap()));
        let running = Running::start(&python, &[], &script);
        let began = Instant::now();
        let answer = running.detail().content;
        assert!(began.elapsed() < Duration::from_secs(5), "{kind}: {:?}", began.elapsed());
        // The runtime that runs is reported, in both orders of the two files.
        match answer {
            Ok(DetailContent::Runtime(runtime)) => {
                assert!(!runtime.file.ends_with(b"libpython3.14.so.1.0"), "{kind}: {runtime:?}");
            }
            other => panic!("{kind}: {other:?}"),
        }
        // A name that leads to another file by now is not followed.
        if kind == "wild" {
            let path = place.path().join("libpython3.14.so.1.0");
            std::fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
            assert!(running.detail().content.is_ok());
        }
    }
}

#[test]
fn many_threads_are_read_quickly() {
    let Some(python) = python("CPython of 3.13 to 3.15", is_known) else { return };
    for count in [4, 100] {
        let script = format!(
            "
import threading, time
def nap():
    time.sleep(600)
for _ in range({count} - 1):
    threading.Thread(target=nap, daemon=True).start()
print('ready', flush=True)
nap()
"
        );
        let running = Running::start(&python, &[], &script);
        running.once(|runtime| threads(runtime).filter(|thread| functions(thread).first() == Some(&"nap")).count() == count);
        let mut took: Vec<u64> = (0..20).map(|_| running.detail().took_ns).collect();
        took.sort_unstable();
        loudly!(
            "{count} threads: {:.2} ms per reading (median of 20), {:.2} at most",
            took[10] as f64 / 1e6,
            took[19] as f64 / 1e6
        );
        assert!(took[10] < 500_000_000, "{took:?}");
    }
}
