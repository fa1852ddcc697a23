//! C functions that hold the GIL while they block or compute: the thread is named as the holder, and the frames are those that faulthandler
//! prints, which needs no GIL.

use std::path::Path;
use std::time::{Duration, Instant};

use concmon::snapshot::Gil;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Target, frames, on_each, read, threads, told_frames};

/// A foreign function of `PyDLL` keeps the GIL, as an extension does that never releases it; so does a search of `re`. Another thread wants it.
const HOLDING: &str = "
import ctypes, faulthandler, re, signal
faulthandler.register(signal.SIGUSR1, file=sys.stdout, all_threads=True)
ours, theirs = os.pipe()
byte = ctypes.create_string_buffer(1)
keeping = ctypes.PyDLL(None)
never = re.compile('(a+)+$')
def report(frame):
    tid = threading.get_native_id()
    print(json.dumps({'holder': tid, 'threads': {str(tid): {'frames': frames_of(frame)}}}), flush=True)
def blocking():
    report(sys._getframe()); keeping.read(ours, byte, 1)
def computing():
    report(sys._getframe()); never.match('a' * 64 + 'b')
def stand_holding():
    what()
spinning = []
def stand_wanting():
    spinning.append(threading.get_native_id())
    while True: pass
def hold():
    threading.Thread(target=stand_wanting, daemon=True).start()
    while not spinning: time.sleep(0.001)
    print(json.dumps({'wanting': spinning[0]}), flush=True)
    begin(1, stand_holding)
    stay()
";

type Frame = (String, String, i64);

/// The stack of each thread as faulthandler prints it; the main thread's comes last and ends with the module. `None` if it did not come to
/// that: it prints what it can of frames that are just being made.
fn dumped(target: &mut Target) -> Option<Vec<Vec<Frame>>> {
    kill(Pid::from_raw(target.pid()), Signal::SIGUSR1).unwrap();
    let mut stacks: Vec<Vec<Frame>> = Vec::new();
    loop {
        let line = target.line(Duration::from_secs(5))?;
        if line.contains("hread 0x") {
            stacks.push(Vec::new());
        }
        let Some(frame) = line.trim().strip_prefix("File \"") else { continue };
        let (file, rest) = frame.split_once("\", line ")?;
        let (number, name) = rest.split_once(" in ")?;
        let name = name.rsplit('.').next()?.to_owned();
        let is_last = name == "<module>";
        stacks.last_mut()?.push((name, file.to_owned(), number.parse().ok()?));
        if is_last {
            stacks.sort();
            return Some(stacks);
        }
    }
}

fn held(python: &Path, what: &str) {
    let mut target = Target::start(python, &format!("{HOLDING}what = {what}\nhold()\n"));
    let wanting = target.told()["wanting"].as_u64().unwrap();
    let holder = target.told()["holder"].as_u64().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let expected = dumped(&mut target);
        let runtime = read(target.pid()).unwrap();
        let one = |tid: u64| threads(&runtime).find(|thread| thread.native_id == tid).unwrap();
        let mut found: Vec<Vec<Frame>> = threads(&runtime).map(frames).collect();
        found.sort();
        let is_held = runtime.interpreters[0].gil == Gil::Held(holder) && one(holder).holds_gil;
        if is_held && expected.as_ref() == Some(&found) && one(wanting).waits_for_gil && frames(one(holder))[0].0 == what {
            assert!(frames(one(wanting))[0].0 == "stand_wanting" && !one(holder).moved);
            assert!(runtime.finding.starts_with(&format!("GIL held by thread {holder} (")), "{}", runtime.finding);
            assert!(runtime.finding.contains(&format!(" in {what}()")), "{}", runtime.finding);
            return;
        }
        assert!(Instant::now() < until, "{}: {expected:?}, read {runtime:#?}", python.display());
    }
}

/// Without the GIL nothing is held, and faulthandler prints no other threads. The thread is attached to the interpreter anyway, so that
/// `sys._current_frames()`, which stops all of them, would never return: it reports its own frames, from the line of the call.
fn not_held(python: &Path, what: &str) {
    let mut target = Target::start(python, &format!("{HOLDING}what = {what}\nbegin(1, stand_holding)\nstay()\n"));
    let told = target.told();
    let holder = told["holder"].as_u64().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let runtime = read(target.pid()).unwrap();
        let one = threads(&runtime).find(|thread| thread.native_id == holder).unwrap();
        if frames(one) == told_frames(&told)[&holder] && !one.moved {
            assert_eq!(runtime.interpreters[0].gil, Gil::Off);
            return assert!(threads(&runtime).all(|thread| !thread.holds_gil && !thread.waits_for_gil));
        }
        assert!(Instant::now() < until, "{}: {told}, read {runtime:#?}", python.display());
    }
}

#[test]
fn a_c_function_that_blocks_or_computes_with_the_gil_is_the_line_that_called_it() {
    on_each(9, |python, _| {
        for what in ["blocking", "computing"] {
            if python.display().to_string().contains("13t") { not_held(python, what) } else { held(python, what) }
        }
    });
}
